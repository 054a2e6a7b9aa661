"""What a sandbox needs besides to run a repository's own tests: pytest, the packages it requires, room for its tree."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pytest_greencode.errors import SandboxUnavailable, UsageProblem
from pytest_greencode.reports.text import escape
from pytest_greencode.repository import Environment
from pytest_greencode.sandboxes.base import WorkerSandbox, digest
from pytest_greencode.sandboxes.cache import cache_directory
from pytest_greencode.sandboxes.runtime import Runtime, repository_runtime

WORK_BYTES = 64 << 20
REPOSITORY_WORK_BYTES = 256 << 20
INSTALL_TIMEOUT_S = 1800


def preload_variables(environment: Environment | None) -> dict[str, str]:
    """Tells the worker that repositories' tests are to be run, and what to import before."""
    return {} if environment is None else {"GREENCODE_PRELOAD": ",".join(environment.preload)}


def runtime_for(environment: Environment, sandbox: str) -> Runtime:
    """This Python with pytest and what the environment requires. Raises SandboxUnavailable, UsageProblem."""
    if environment.image is not None:
        raise SandboxUnavailable(
            f"a suite asks for the container image {environment.image}, which the sandbox {sandbox} cannot run; "
            "use --greencode-sandbox docker, or `requirements` in place of `image`"
        )
    return repository_runtime(installed(environment.requirements))


def ready_for_tests(sandbox: WorkerSandbox) -> WorkerSandbox:
    """The sandbox, if repositories' tests can be run in it where they shall. Raises UsageProblem, and closes it."""
    problem = sandbox.facts["tests_problem"]
    if problem is not None:
        sandbox.close()
        raise UsageProblem(
            f"the suite's tests cannot be run in the sandbox: {escape(problem)}; what they and `preload` need beside "
            "pytest belongs into the suite's `requirements`, and with `image` all of it into the image"
        )
    return sandbox


def installed(requirements: tuple[str, ...]) -> Path | None:
    """The directory with these packages, installed by pip on this side and kept in the user's cache."""
    if not requirements:
        return None
    cache = cache_directory()
    if cache is None:
        raise UsageProblem("`requirements` of a suite are installed in a cache directory: set XDG_CACHE_HOME")
    target = cache / f"requirements-{digest(sys.version, sys.platform, *requirements)[:16]}"
    if target.is_dir():
        return target
    sys.stderr.write(f"greencode: installing {', '.join(requirements)[:200]} (once)\n")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=cache))
    except OSError as error:
        raise UsageProblem(f"{cache}: {error.strerror or error}; expected a directory that can be written") from error
    try:
        place.chmod(0o755)
        _install(requirements, place)
        with contextlib.suppress(OSError):  # another process has it meanwhile
            os.rename(place, target)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return target


def _install(requirements: tuple[str, ...], place: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--target", str(place), *requirements]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageProblem(f"the suite's requirements cannot be installed: {error}") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()][-3:]
        raise UsageProblem(
            "\n".join(["the suite's requirements cannot be installed; pip says:", *said, "what was run:"])
            + f"\n\t{' '.join(command)}"
        )
