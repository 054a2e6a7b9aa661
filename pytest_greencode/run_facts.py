"""What the ledger keeps of a run beside its attempts: machine, versions, sandbox, meter, suites, options."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pytest_greencode
from pytest_greencode.meters.metering import Metering
from pytest_greencode.model import Factors, Suite
from pytest_greencode.options import Options
from pytest_greencode.plain import plain_values
from pytest_greencode.reports.text import escape
from pytest_greencode.repository import Environment
from pytest_greencode.workload import looks_like_samples

if TYPE_CHECKING:
    from pytest_greencode.live import Live
    from pytest_greencode.sandboxes.base import SandboxKind


_GIT_S = 5.0


def run_facts(
    config: pytest.Config,
    options: Options,
    *,
    run_id: str,
    metering: Metering,
    kind: SandboxKind | None,
    environments: Mapping[Environment, SandboxKind],
    suites: Iterable[Suite],
    jobs: int,
    workers: int,
    live: Live | None,
    factors: Factors | None,
    assumptions: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Plain values only. `workers`: pytest-xdist's. `kind`, `environments`: the sandboxes, of samples and of
    repositories' own tests.
    """
    system = os.uname()  # not platform.platform(), which starts a program
    return {
        "run_id": run_id,
        "versions": {
            "pytest_greencode": pytest_greencode.__version__,
            "pytest": pytest.__version__,
            "python": platform.python_version(),
        },
        "host": system.nodename,
        "platform": f"{system.sysname}-{system.release}-{system.machine}",
        "cpu": metering.cpu,
        "cpu_count": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "sandbox": kind.describe() if kind is not None else None,
        "repositories": [
            {"requirements": list(environment.requirements), "image": each.describe()["image"]}
            for environment, each in environments.items()
        ],
        "meter": metering.describe(),
        "suites": [
            {
                "name": suite.name,
                "version": suite.version,
                "sha256": suite.sha256,
                "same_process": sum(task.same_process for task in suite.tasks.values()),
            }
            for suite in suites
        ],
        "options": {
            "jobs": jobs,
            "timeout_s": options.timeout_s,
            "memory_bytes": options.memory_bytes,
            "extract": "auto" if options.extract else "none",
            "attempts": options.attempts,
            "isolation": "attempt" if options.fresh_sandboxes else "worker",
            "stop_at_accepted": options.stop_at_accepted,
            "repair": options.live is not None and options.live.repair,
            "attribution": "exclusive" if options.exclusive else "attributed",
            "precision": options.precision,
            "weights": options.weights,
            "fail": [rule.text for rule in options.rules],
            "repeat": options.repeat,
            "workers": workers,
        },
        "generation": None if live is None else live.describe(),
        "factors": None if factors is None else plain_values(factors),
        "assumptions": assumptions,
        "command": [escape(argument) for argument in config.invocation_params.args],
        "selection": [escape(argument) for argument in _selection(config)],
        "commit": _commit(config.rootpath),
        "started_at": now(),
    }


def _selection(config: pytest.Config) -> list[str]:
    """Which of a repository's tests are to be run, relative to its root; nothing for all of them.

    The same however it is spelled. Files of samples have none of its tests.
    """
    base, option = config.invocation_params.dir, config.option
    places = set()
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        for argument in config.args:
            place, colons, test = argument.partition("::")
            path = Path(os.path.abspath(base / place))
            if not looks_like_samples(path):
                places.add(os.path.relpath(path, config.rootpath) + colons + test)
    chosen = [] if "." in places else sorted(places)
    for flag, values in (
        ("-k", [option.keyword]),
        ("-m", [option.markexpr]),
        ("--deselect", sorted(option.deselect or ())),
        ("--ignore", sorted(option.ignore or ())),
        ("--ignore-glob", sorted(option.ignore_glob or ())),
    ):
        chosen += [part for value in values if value for part in (flag, str(value))]
    # Of the cache's plugin, which may be off.
    return chosen + [flag for flag, name in (("--lf", "lf"), ("--sw", "stepwise")) if getattr(option, name, False)]


def _commit(directory: Path) -> str | None:
    """What git has checked out there, with a + where files that it knows have changed since; None without git."""
    command = ("git", "-c", "core.fsmonitor=false", "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=7")
    try:
        found = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, errors="replace", timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return escape(found.stdout.strip()) or None if found.returncode == 0 else None


def now() -> str:
    """UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
