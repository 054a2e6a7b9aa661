"""Proof that a sandbox keeps its promises: an attempt like any other tries the doors, before the first real one.

What it tries, it tries from where hostile code will stand: a solution, under every limit and filter that solutions get.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from msgspec import Struct, field

from pytest_greencode.errors import SandboxLost, SandboxUnavailable
from pytest_greencode.model import Limits, Task, Verdict
from pytest_greencode.reports.text import escape
from pytest_greencode.sandboxes.base import WorkerSandbox

# What a solution must not be able to do, by the name under which reports have it.
PROMISES = {
    "network": "a solution has no network and no sockets",
    "files": "a solution writes nowhere but in its own directory",
    "processes": "a solution starts no processes and no programs",
    "threads": "the number of a solution's threads is bounded",
    "signals": "a solution cannot signal other processes",
    "secrets": "a solution cannot read or trace the tests' process and the supervisor",
    "users": "the solution, the tests and the supervisor are different users",
    "memory": "a solution cannot have more memory than its limit",
    "queues": "no message queue, shared memory or anonymous file outlives an attempt",
    "privileges": "a solution has no capabilities, cannot gain any, and is under a system-call filter",
    "cgroup": "the container's own limits on memory and processes are in force",
}
REMEDIES = {
    "files": "Landlock keeps files shut: Linux 5.13 or newer with `landlock` in /sys/kernel/security/lsm",
    "threads": "a pids cgroup (Docker), or an ordinary user or real root with CAP_SYS_ADMIN (bubblewrap)",
    "users": "an engine with at least 65536 user ids (/etc/subuid, /etc/subgid of a rootless one)",
    "cgroup": "let the engine use the controllers `memory` and `pids`: on rootless engines delegate them "
    "(systemd: `Delegate=memory pids` for user@.service), or use a rootful one",
}
# So many doors tried at once need little; a machine under load needs more time than it.
LIMITS = Limits(cpu_s=5.0, memory_bytes=0)
MOST_THREADS = 200

PROGRAM = """
import ctypes, mmap, os, platform, resource, socket, _thread

def probe(memory_bytes, most_threads):
    libc = ctypes.CDLL(None, use_errno=True)
    column = {"x86_64": 0}.get(platform.machine(), 1)
    others = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]
    doors, own = {}, os.getpid()

    def door(promise, name, action, *arguments):
        try:
            if action(*arguments) is not False:
                doors.setdefault(promise, str(name)[-20:])
        except (OSError, MemoryError, ValueError, AttributeError):
            pass

    def call(pair, *arguments):
        return libc.syscall(pair[column], *arguments) >= 0

    for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG"):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            door("network", family, lambda: socket.socket(getattr(socket, family), kind).close())

    def create(path):
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        os.unlink(path)

    place = os.getcwd()
    create(os.path.join(place, "greencode-probe"))
    for directory in ("/", "/tmp", "/var/tmp", "/run", "/dev", "/dev/shm", "/dev/mqueue", "/etc", "/opt", "/home",
                      os.path.dirname(place), os.path.dirname(os.__file__), "/sys/fs/cgroup"):
        if directory != place:
            door("files", directory, create, os.path.join(directory, "greencode-probe"))
            door("files", directory, os.mkdir, os.path.join(directory, "greencode-probe-directory"))
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", os.__file__):
        door("files", path, lambda: os.close(os.open(path, os.O_WRONLY)))

    def fork():
        made = call((56, 220), 17, 0, 0, 0, 0)
        if os.getpid() != own:
            os._exit(0)
        return made

    door("processes", "fork", fork)
    door("processes", "exec", os.execv, "/proc/self/exe", ["python3", "-c", ""])
    for pid in others:
        door("signals", f"kill:{pid}", os.kill, int(pid), 0)
        door("signals", f"limit:{pid}", resource.prlimit, int(pid), resource.RLIMIT_CORE)
        for name in ("mem", "environ", "maps", "auxv", "fd/0", "cwd"):
            door("secrets", f"{pid}/{name}", lambda: os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY)))
        door("secrets", f"ptrace:{pid}", call, (101, 117), 0x4206, int(pid), 0, 0)
        door("users", pid, lambda: os.stat(f"/proc/{pid}").st_uid == os.getuid())
    door("memory", "private", lambda: mmap.mmap(-1, memory_bytes + 1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close())
    door("memory", "shared", lambda: mmap.mmap(-1, 4096).close())
    door("queues", "mq_open", call, (240, 180), b"greencode-probe", 0o102, 0o600, 0)
    door("queues", "shmget", call, (29, 194), 0, 4096, 0o1600)
    door("queues", "msgget", call, (68, 186), 0, 0o1600)
    door("queues", "memfd", call, (319, 279), b"greencode-probe", 0)
    with open("/proc/self/status") as file:
        status = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    capabilities = [int(status["Cap" + which], 16) for which in ("Inh", "Prm", "Eff", "Amb")]
    door("privileges", "capabilities", lambda: any(capabilities))
    door("privileges", "no-new-privs", lambda: status["NoNewPrivs"] != "1")
    door("privileges", "seccomp", lambda: status["Seccomp"] != "2")

    stop, started = _thread.allocate_lock(), 0
    stop.acquire()
    _thread.stack_size(65536)
    try:
        while started < most_threads:
            _thread.start_new_thread(lambda: stop.acquire() and stop.release(), ())
            started += 1
        doors["threads"] = str(started)
    except RuntimeError:
        pass
    stop.release()
    return " ".join(f"{promise}={door}" for promise, door in doors.items())
"""
TESTS = """
found = probe({memory_bytes}, {most_threads})
if found:
    raise ValueError(found)
"""


class SelfTest(Struct, frozen=True, kw_only=True):
    """What a sandbox's self-test found. `broken`: promise -> the door that stood open; `promised`: all that it made."""

    promised: tuple[str, ...]
    broken: dict[str, str] = field(default_factory=dict)
    wall_s: float

    def describe(self) -> dict[str, object]:
        """For the run's facts: "held", or what was open."""
        checks = {name: f"open: {self.broken[name]}" if name in self.broken else "held" for name in self.promised}
        return {"checks": checks, "wall_s": round(self.wall_s, 4)}


def self_test(sandbox: WorkerSandbox, promised: Collection[str], memory_bytes: int) -> SelfTest:
    """Try all doors in `sandbox`. Raises SandboxUnavailable when the test itself cannot be made."""
    task = Task(
        suite="greencode",
        task_id="self-test",
        prompt="",
        prelude="",
        tests=TESTS.format(memory_bytes=memory_bytes, most_threads=MOST_THREADS),
        call="",
        entry_points=("probe",),
        canonical_solution="",
    )
    start_s = time.monotonic()
    execution = sandbox.run("greencode self-test", task, PROGRAM, LIMITS, LIMITS.cpu_s)
    wall_s = time.monotonic() - start_s
    broken: dict[str, str] = {}
    if execution.verdict is not Verdict.ACCEPTED:
        if not execution.detail.startswith("ValueError: ") or "=" not in execution.detail:
            raise SandboxUnavailable(
                f"the sandbox's self-test ends with {execution.verdict.value}: {escape(execution.detail)}"
            )
        pairs = (each.partition("=")[::2] for each in execution.detail.removeprefix("ValueError: ").split())
        broken.update((name, door) for name, door in pairs)
    if sandbox.facts["pid"] != 1:
        broken["processes"] = "it is not process 1 of a namespace of its own"
    if set(sandbox.facts["network_interfaces"]) - {"lo"}:
        broken["network"] = " ".join(sandbox.facts["network_interfaces"])
    broken = {name: escape(door) for name, door in broken.items() if name in promised}
    if "cgroup" in promised and (wrong := _limits_missing(sandbox, memory_bytes)):
        broken["cgroup"] = wrong
    return SelfTest(promised=tuple(promised), broken=broken, wall_s=wall_s)


def _limits_missing(sandbox: WorkerSandbox, memory_bytes: int) -> str | None:
    """Which of the container's own limits cannot be seen from inside."""
    limits = sandbox.facts["cgroup_limits"]
    pids, memory = limits.get("pids"), limits.get("memory_bytes")
    if pids is None or pids > MOST_THREADS:
        return f"processes: {pids or 'no limit'}"
    if memory is None or memory > memory_bytes + (2 << 30):
        return f"memory: {memory or 'no limit'}"
    return None


class BrokenPromise(SandboxUnavailable):
    """A sandbox failed its self-test: `found`."""

    def __init__(self, name: str, found: SelfTest) -> None:
        super().__init__(_refusal(name, found))
        self.found = found


def prove(sandbox: WorkerSandbox, name: str, promised: Collection[str], memory_bytes: int) -> SelfTest:
    """The self-test of a sandbox that may not break a promise. Raises BrokenPromise, and closes it, if it does."""
    try:
        found = self_test(sandbox, promised, memory_bytes)
        if found.broken:
            raise BrokenPromise(name, found)
    except SandboxLost as error:
        raise SandboxUnavailable(
            f"the {name} sandbox broke under its self-test, so nothing is run in it: {error}\n"
            "the worker needs a Linux kernel's own process handling: with --greencode-runtime take one that has it"
        ) from error
    except BaseException:
        sandbox.close()
        raise
    return found


def _refusal(name: str, found: SelfTest) -> str:
    lines = [f"the {name} sandbox does not keep its promises, so nothing is run in it:"]
    for promise, door in found.broken.items():
        remedy = f"; {REMEDIES[promise]}" if promise in REMEDIES else ""
        lines.append(f"{promise}: {PROMISES[promise]}; open: {door}{remedy}")
    lines.append("`--greencode-sandbox` names another one, and `greencode doctor` shows what this machine has")
    return "\n".join(lines)
