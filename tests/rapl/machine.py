"""A simulated machine: RAPL counters that follow this machine's real CPU time by a power model that is known exactly.

Energy of a domain = idle_w * time + busy_w * CPU time of everything that runs here, so a measurement can be compared
with the truth, which `Truth.read` computes at any moment from the same clocks, without units, ticks or wraps.

CPU time is that of the whole machine, the simulation's own included: it is a daemon like any other, and `Truth` says
what it costs. The source is, by what there is: cgroup v1 `cpuacct.usage` (exact when a task stops running, up to one
scheduler tick late, 4 ms at 250 Hz, while it runs on), cgroup v2 `cpu.stat` of the root, or /proc/stat (10 ms).
Both truth and counters see it late alike: what the model does not have, the machine did not use.

For a command it is the CPU time of the command and its children alone, as if nothing else ran here: in a control group
of their own, which /proc/stat then tells of too. With `--whole`, and where no such group can be made, it is the whole
machine's; `Truth.own` says which. Containers of a daemon are no children.

    python tests/rapl [--packages 2] [--tick-s 0.001] ... -- command...

runs a command where /sys/class/powercap is the simulation, with `RAPL_TRUTH` naming the file for `Truth.load`. Needs
root; the command may run as another user (`--user`).
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import functools
import json
import os
import random
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rapl.tree import Zone, write_tree

HERE = Path(__file__).parent
POWERCAP = Path("/sys/class/powercap")
CPUS = Path("/sys/devices/system/cpu")
PMU = Path("/sys/bus/event_source/devices/power")
WIDTH = 20  # of a counter's file: it must not shrink when the counter wraps, so it ends in empty lines


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Powers are of the whole machine; package n of N has n / (1 + ... + N) of them, so that no two are alike.

    A counter moves in units every `tick_s` +- `jitter_s` and wraps at 2^counter_bits units; it starts at `start_uj`.
    With `dies`, each package shows its one counter as so many dies. `limit_w` is the limit that a package names.

    Where /proc/stat matters let it jitter by half a tick: CPU time is sampled there, at the system's clock ticks, and a
    simulation in step with them is seen always or never.
    """

    packages: tuple[int, ...] = (0,)
    dies: int = 1
    dram: bool = True
    psys: bool = False
    idle_w: float = 10.0
    busy_w: float = 15.0
    dram_idle_w: float = 1.0
    dram_busy_w: float = 2.0
    rest_w: float = 5.0
    tick_s: float = 0.001
    jitter_s: float = 0.0
    unit_nj: int = 61_035
    dram_unit_nj: int = 15_300
    counter_bits: int = 32
    start_uj: int = 123_456_789
    limit_w: float = 500.0

    def package_uj(self, elapsed_ns: int, busy_ns: int) -> float:
        return (self.idle_w * elapsed_ns + self.busy_w * busy_ns) / 1e3

    def dram_uj(self, elapsed_ns: int, busy_ns: int) -> float:
        return (self.dram_idle_w * elapsed_ns + self.dram_busy_w * busy_ns) / 1e3 if self.dram else 0.0

    def psys_uj(self, elapsed_ns: int, busy_ns: int) -> float:
        rest_uj = self.rest_w * elapsed_ns / 1e3
        return self.package_uj(elapsed_ns, busy_ns) + self.dram_uj(elapsed_ns, busy_ns) + rest_uj

    @property
    def range_uj(self) -> int:
        return _uj((1 << self.counter_bits) - 1, self.unit_nj)

    @property
    def dram_range_uj(self) -> int:
        return _uj((1 << self.counter_bits) - 1, self.dram_unit_nj)


def _uj(units: int, unit_nj: int) -> int:
    return units * unit_nj // 1_000


# -- CPU time -----------------------------------------------------------------------------------------------------


class BusyTime:
    """CPU time of the machine, ns, since some moment."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or self._find()
        self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._parse = {"cpuacct.usage": int, "cpu.stat": _usage, "stat": _jiffies}[self.path.name]

    def read_ns(self) -> int:
        return self._parse(os.pread(self._file, 256, 0))

    @staticmethod
    def _find() -> Path:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        first = [Path(m[1], "cpuacct.usage") for m in mounts if m[2] == "cgroup" and "cpuacct" in m[3].split(",")]
        second = [Path(m[1], "cpu.stat") for m in mounts if m[2] == "cgroup2"]
        return next((path for path in first + second if path.exists()), Path("/proc/stat"))


def _usage(text: bytes) -> int:
    """Of "usage_usec 12\\n..."."""
    return int(text.split(None, 2)[1]) * 1000


def _jiffies(text: bytes) -> int:
    """Of "cpu  user nice system idle iowait irq softirq ..."."""
    user, nice, system, _, _, irq, softirq = map(int, text.split(None, 8)[1:8])
    return (user + nice + system + irq + softirq) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


# -- truth --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Energy:
    """True energies, uJ, since the simulation began, and the CPU time, s, of the machine."""

    at_s: float
    busy_s: float
    package_uj: float
    dram_uj: float
    psys_uj: float


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What the machine has used, at any moment, exactly."""

    machine: Machine
    busy_path: str
    started_ns: int
    started_busy_ns: int
    simulator: int
    own: bool = False

    @classmethod
    def load(cls, path: str | Path) -> Truth:
        data = json.loads(Path(path).read_text("ascii"))
        machine = data.pop("machine")
        return cls(machine=Machine(**{**machine, "packages": tuple(machine["packages"])}), **data)

    def save(self, path: Path) -> None:
        # Whoever waits for the file finds it whole.
        part = path.with_suffix(".part")
        part.write_text(json.dumps(dataclasses.asdict(self)), "ascii")
        part.replace(path)

    def read(self) -> Energy:
        now_ns, busy_ns = time.monotonic_ns(), _busy_time(Path(self.busy_path)).read_ns()
        elapsed_ns, busy_ns = now_ns - self.started_ns, busy_ns - self.started_busy_ns
        return Energy(
            at_s=now_ns / 1e9,
            busy_s=busy_ns / 1e9,
            package_uj=self.machine.package_uj(elapsed_ns, busy_ns),
            dram_uj=self.machine.dram_uj(elapsed_ns, busy_ns),
            psys_uj=self.machine.psys_uj(elapsed_ns, busy_ns),
        )

    def simulator_cpu_s(self) -> float:
        """CPU time, s, of the simulation itself (Linux: the clock id of a process is made of its number)."""
        return time.clock_gettime((~self.simulator << 3) | 2)


@functools.cache
def _busy_time(path: Path) -> BusyTime:
    return BusyTime(path)


# -- simulation ---------------------------------------------------------------------------------------------------


def _zones(machine: Machine) -> list[Zone]:
    dram = (Zone(name="dram", energy_uj="", range_uj=machine.dram_range_uj),) if machine.dram else ()
    parts = (Zone(name="core", energy_uj=0, range_uj=machine.range_uj), *dram)
    zones = [
        Zone(name=name, energy_uj="", range_uj=machine.range_uj, limits_w=(machine.limit_w,), children=parts)
        for package in machine.packages
        for name in _names(machine, package)
    ]
    psys = [Zone(name="psys", energy_uj="", range_uj=machine.range_uj)] if machine.psys else []
    return zones + psys


def _names(machine: Machine, package: int) -> list[str]:
    return [f"package-{package}" + (f"-die-{die}" if machine.dies > 1 else "") for die in range(machine.dies)]


def build(machine: Machine, root: Path) -> None:
    """Write the machine's tree, with the kernel's permissions."""
    counters = write_tree(root, *_zones(machine))
    for name, path in counters.items():
        first = re.sub(r"-die-[0-9]+", "-die-0", name)
        if first != name:
            # One counter under several names: one file, so that they can never be seen apart.
            path.unlink()
            path.hardlink_to(counters[first])
    for path in counters.values():
        path.chmod(0o400)


def simulate(machine: Machine, root: Path, truth_path: Path, group: Group | None = None) -> None:
    """Move the counters until stdin is closed, and /proc/stat's stand-in with them where a group is the machine."""
    with contextlib.suppress(OSError):
        # Counters of a real machine do not wait for a free CPU.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    # Nor do they take one: work on the first CPUs is left alone.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    first = {path: (path / "name").read_text().strip() for path in (root / "intel-rapl").glob("intel-rapl:*")}
    files = {name: path for path, name in reversed(first.items())}
    total = sum(range(1, len(machine.packages) + 1))
    mask = (1 << machine.counter_bits) - 1

    counters = []  # (file, unit, what time and what CPU time add to it in W, units at the start)
    for number, package in enumerate(machine.packages, start=1):
        path, share = files[_names(machine, package)[0]], number / total
        start = machine.start_uj * 1_000 // machine.unit_nj
        power = machine.idle_w * share, machine.busy_w * share
        counters.append((os.open(path / "energy_uj", os.O_WRONLY), machine.unit_nj, *power, start * number))
        for child in path.glob("intel-rapl:*"):
            if (child / "name").read_text().strip() == "dram":
                power = machine.dram_idle_w * share, machine.dram_busy_w * share
                counters.append((os.open(child / "energy_uj", os.O_WRONLY), machine.dram_unit_nj, *power, start))
    if machine.psys:
        idle_w = machine.idle_w + machine.rest_w + machine.dram * machine.dram_idle_w
        power = idle_w, machine.busy_w + machine.dram * machine.dram_busy_w
        counters.append((os.open(files["psys"] / "energy_uj", os.O_WRONLY), machine.unit_nj, *power, 0))

    busy = BusyTime(group.usage if group is not None else None)
    stat = os.open(group.stat, os.O_WRONLY) if group is not None else None
    truth = Truth(
        machine=machine,
        busy_path=str(busy.path),
        started_ns=time.monotonic_ns(),
        started_busy_ns=busy.read_ns(),
        simulator=os.getpid(),
        own=group is not None,
    )
    due_s, announced = time.monotonic(), False
    while True:
        now_ns = time.monotonic_ns()
        elapsed_ns, busy_ns = now_ns - truth.started_ns, busy.read_ns() - truth.started_busy_ns
        for file, unit_nj, idle, working, start in counters:
            units = (start + int((idle * elapsed_ns + working * busy_ns) / unit_nj)) & mask
            os.pwrite(file, (b"%d" % _uj(units, unit_nj)).ljust(WIDTH, b"\n"), 0)
        if stat is not None:
            os.pwrite(stat, _cpu_line(elapsed_ns, busy_ns), 0)
        if not announced:
            truth.save(truth_path)
            announced = True
        due_s += machine.tick_s
        wait_s = due_s - time.monotonic()
        if wait_s < 0:  # late by a tick or more: those are gone
            due_s -= wait_s
        if machine.jitter_s:
            wait_s += random.uniform(-machine.jitter_s, machine.jitter_s)
        if select.select([0], [], [], max(0.0, wait_s))[0]:
            return


def _cpu_line(elapsed_ns: int, busy_ns: int) -> bytes:
    """The first line of /proc/stat, always of the same length."""
    jiffy_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    idle_ns = max(0, elapsed_ns * (os.cpu_count() or 1) - busy_ns)
    return b"cpu  %020d 0 0 %020d 0 0 0 0 0 0\n" % (busy_ns // jiffy_ns, idle_ns // jiffy_ns)


@contextlib.contextmanager
def running(machine: Machine, root: Path, state: Path, group: Group | None = None) -> Iterator[Truth]:
    """The machine's counters below `root`, moving. `state`: a directory for the files of the simulation."""
    build(machine, root)
    settings = state / "machine.json"
    settings.write_text(json.dumps(dataclasses.asdict(machine)), "ascii")
    command = [sys.executable, "-E", "-s", str(HERE), "--simulate", str(root), str(settings), str(state / "truth.json")]
    command += [str(group.usage), str(group.stat)] if group is not None else []
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        while not (state / "truth.json").exists():
            if process.poll() is not None:
                raise RuntimeError(f"the simulation ended with {process.returncode}")
            time.sleep(0.005)
        yield Truth.load(state / "truth.json")
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=10)


# -- in place of this machine's own -------------------------------------------------------------------------------

_NEW_MOUNTS, _BIND, _REC, _PRIVATE, _DETACH = 0x20000, 0x1000, 0x4000, 1 << 18, 2


def _libc(name: str, *arguments: object) -> None:
    encoded = [os.fsencode(a) if isinstance(a, (str, Path)) else a for a in arguments]
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*encoded) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}", str(arguments[1] if len(arguments) > 1 else ""))


def _mount(source: str | Path, target: Path, kind: str | None = None, flags: int = 0) -> None:
    _libc("mount", source, target, kind, ctypes.c_ulong(flags), None)


def enter(machine: Machine, state: Path) -> None:
    """Leave this machine's mounts for private ones, in which powercap is empty and the sockets are the machine's."""
    _libc("unshare", _NEW_MOUNTS)
    _mount("none", Path("/"), None, _REC | _PRIVATE)
    if not POWERCAP.exists():
        # sysfs takes no directory, so all its classes get a place beside the one it lacks.
        old = state / "class"
        old.mkdir()
        classes = POWERCAP.parent
        _mount(classes, old, None, _BIND)
        _mount("tmpfs", classes, "tmpfs")
        classes.chmod(0o755)
        for entry in old.iterdir():
            (classes / entry.name).mkdir()
            _mount(entry, classes / entry.name, None, _BIND)
        _libc("umount2", old, _DETACH)
        POWERCAP.mkdir()
    _mount("tmpfs", POWERCAP, "tmpfs")
    POWERCAP.chmod(0o755)
    if PMU.exists():
        # The counters of the machine itself would be found first.
        _mount("tmpfs", PMU, "tmpfs")
    topologies = sorted(CPUS.glob("cpu[0-9]*/topology/physical_package_id"), key=lambda p: int(p.parts[-3][3:]))
    if len(topologies) < len(machine.packages):
        raise SystemExit(f"{len(machine.packages)} packages need as many CPUs, and here are {len(topologies)}")
    for number, topology in enumerate(topologies):
        file = state / f"package_of_cpu{number}"
        file.write_text(f"{machine.packages[number % len(machine.packages)]}\n", "ascii")
        _mount(file, topology, None, _BIND)


@dataclass(frozen=True)
class Group:
    """A control group: where its CPU time is told, and the file that stands in for /proc/stat."""

    usage: Path
    stat: Path

    @classmethod
    @contextlib.contextmanager
    def made(cls, state: Path) -> Iterator[Group | None]:
        """A new one, empty; None where this machine does not let us."""
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        first = [(Path(m[1]), "cpuacct.usage") for m in mounts if m[2] == "cgroup" and "cpuacct" in m[3].split(",")]
        second = [(Path(m[1]), "cpu.stat") for m in mounts if m[2] == "cgroup2"]
        for root, name in first + second:
            path = root / state.name
            try:
                path.mkdir()
                group = cls(path / name, state / "stat")
                BusyTime(group.usage).read_ns()
                _move(path)
                _move(root)
            except OSError:
                continue
            _, _, rest = Path("/proc/stat").read_text().partition("\n")
            group.stat.write_bytes(_cpu_line(0, 0) + rest.encode())
            try:
                yield group
            finally:
                with contextlib.suppress(OSError):  # whoever is left in there keeps it
                    path.rmdir()
            return
        yield None

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """This process, and all that it starts, within."""
        # Sandboxes may mount /proc only where one can be seen whole already.
        whole = self.stat.with_name("proc")
        whole.mkdir()
        _mount("proc", whole, "proc")
        _mount(self.stat, Path("/proc/stat"), None, _BIND)
        _move(self.usage.parent)
        try:
            yield
        finally:
            _move(self.usage.parents[1])
            _libc("umount2", whole, _DETACH)


def _move(group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))


def can_enter() -> str | None:
    """Why `enter` would fail here; None if it works."""
    if sys.platform != "linux":
        return "mount namespaces are Linux'"
    tried = subprocess.run(
        [sys.executable, "-E", "-s", str(HERE), "--", "true"], capture_output=True, text=True, check=False
    )
    return None if tried.returncode == 0 else (tried.stderr.strip().splitlines() or ["unknown"])[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["--simulate"]:
        root, settings, truth, *own = map(Path, arguments[1:])
        data = json.loads(settings.read_text("ascii"))
        simulate(Machine(**{**data, "packages": tuple(data["packages"])}), root, truth, Group(*own) if own else None)
        return 0
    parser = argparse.ArgumentParser(prog="python tests/rapl", description="Run a command on a simulated machine.")
    parser.add_argument("--packages", type=_packages, default=(0,), help="how many, or their numbers: 2, or 0,2")
    for field in dataclasses.fields(Machine):
        option = f"--{field.name.replace('_', '-')}"
        if isinstance(field.default, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default)
        elif isinstance(field.default, (int, float)):
            parser.add_argument(option, type=type(field.default), default=field.default)
    parser.add_argument("--user", type=int, help="number of the user that the command runs as")
    parser.add_argument("--whole", action="store_true", help="the CPU time of all that runs here counts")
    parser.add_argument("command", nargs="+")
    options = vars(parser.parse_args(arguments))
    user, own, command = options.pop("user"), not options.pop("whole"), options.pop("command")
    machine = Machine(**options)
    state = Path(tempfile.mkdtemp(prefix="rapl-"))
    state.chmod(0o755)
    try:
        enter(machine, state)
        with contextlib.ExitStack() as stack:
            group = stack.enter_context(Group.made(state)) if own else None
            stack.enter_context(running(machine, POWERCAP, state, group))
            if group is not None:
                stack.enter_context(group.joined())
            environment = {**os.environ, "RAPL_TRUTH": str(state / "truth.json")}
            return subprocess.run(command, env=environment, user=user, group=user, check=False).returncode
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _packages(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(",")) if "," in text else tuple(range(int(text)))
