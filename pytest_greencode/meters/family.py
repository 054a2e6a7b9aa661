"""CPU time of everything that this process has started: children that were waited for, and those that live on.

The system adds a child's CPU time to its parent's account when the parent has waited for it. Until then it is read
where the child itself keeps it. Both together never jump: what a child had used moves from one account to the other.

    family = CPU time of children waited for + sum over living descendants (own + that of their waited-for children)

What nobody sees: a child that ends while SIGCHLD is ignored, and a process that leaves its parents (a daemon) and ends
before `strays` looks for it. Linux.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct

PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Set by pytest around each phase of a test, and inherited by what the test starts.
_CURRENT_TEST = b"PYTEST_CURRENT_TEST="


class Relative(Struct):
    """A living descendant. `cpu_s`: its own CPU time; `waited_s`: that of the children that it has waited for.

    `aside`: what it uses from then on is on an account of its own, by `set_aside`. `in_tree`: below this process, and
    not a daemon. `ended`: but nobody has waited for it.
    """

    pid: int
    parent: int
    name: str
    born: int  # clock ticks since boot
    cpu_s: float
    waited_s: float
    ended: bool = False
    aside: bool = False
    in_tree: bool = True
    before_s: float = 0.0

    @property
    def total_s(self) -> float:
        return self.cpu_s + self.waited_s

    @property
    def after_s(self) -> float:
        """What it has used since it was set aside."""
        return self.total_s - self.before_s


class Family:
    """The descendants of this process. Not thread-safe: its callers take turns.

    `new`: those who were found and are not the children of somebody known; for the caller to take away.
    """

    def __init__(self) -> None:
        self.living: dict[int, Relative] = {}
        self.new: list[Relative] = []
        self._buried_s = 0.0
        self._aside_s = 0.0  # what those set aside had used that are gone, less what all had used until then

    @staticmethod
    def has_children() -> bool:
        """Whether there is a child that was not waited for. Waits for none."""
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def read(self) -> tuple[float, float]:
        """CPU seconds of the family so far, and those in them that were used by who had been set aside."""
        gone = False
        for relative in self.living.values():
            cpu_s = _cpu_s(relative.pid)
            gone |= cpu_s is None
            relative.cpu_s = max(relative.cpu_s, cpu_s or 0.0)
        if gone:
            self.look()
        living_s, aside_s = 0.0, self._aside_s
        for relative in self.living.values():
            living_s += relative.total_s
            aside_s += relative.total_s if relative.aside else 0.0
        return waited_s() + living_s + self._buried_s, aside_s

    def look(self) -> None:
        """Find out who lives."""
        found = {relative.pid: relative for relative in _descendants(os.getpid())}
        for pid, relative in list(self.living.items()):
            now = found.get(pid) or _relative(pid)
            if now is not None and now.born == relative.born:
                relative.in_tree, relative.parent, relative.ended = pid in found, now.parent, now.ended
                relative.cpu_s, relative.waited_s = max(relative.cpu_s, now.cpu_s), now.waited_s
                continue
            del self.living[pid]
            if not relative.in_tree:
                self._buried_s += relative.total_s  # nobody of ours has waited for it
            parent = self.living.get(relative.parent)
            if relative.aside and (parent is None or not parent.aside):
                self._aside_s += relative.total_s
        for pid, relative in found.items():
            if pid not in self.living:
                self.living[pid] = relative
                parent = self.living.get(relative.parent)
                relative.aside = parent is not None and parent.aside
                if parent is None:
                    self.new.append(relative)

    def set_aside(self, relative: Relative) -> None:
        """From now on what it and its children use is counted apart."""
        if not relative.aside:
            relative.aside, relative.before_s = True, relative.total_s
            self._aside_s -= relative.total_s
            for child in self.living.values():
                if child.parent == relative.pid:
                    self.set_aside(child)


def waited_s() -> float:
    """CPU seconds of the children that this process has waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def strays(tests: Collection[str], since: float, known: Collection[int]) -> Iterator[tuple[str, Relative]]:
    """Processes that a test started and that left this process's tree, each with the test.

    They inherited the environment in which pytest names the test. `since`: no older ones, seconds since the epoch.
    """
    import psutil

    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) in known:
            continue
        with contextlib.suppress(OSError, psutil.Error):
            test = _test_of((entry / "environ").read_bytes())
            if test in tests and psutil.Process(int(entry.name)).create_time() >= since:
                relative = _relative(int(entry.name))
                if relative is not None:
                    yield test, relative


def _test_of(environ: bytes) -> str:
    """The test that pytest had named, as in "tests/test_a.py::test_b (call)"."""
    for entry in environ.split(b"\0"):
        if entry.startswith(_CURRENT_TEST):
            return entry.removeprefix(_CURRENT_TEST).decode("utf-8", "replace").rpartition(" (")[0]
    return ""


def _cpu_s(pid: int) -> float | None:
    """CPU time of a process with all its threads, to the nanosecond; None once somebody has waited for it.

    Linux makes the number of a process's clock of its own number (clock_getcpuclockid).
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


def _relative(pid: int) -> Relative | None:
    """As /proc/PID/stat has it; None for a process that is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name stands in parentheses and may have any of its own.
    head, _, rest = text.rpartition(b")")
    fields = rest.split()
    user, system, waited_user, waited_system = map(int, fields[11:15])
    return Relative(
        pid=pid,
        parent=int(fields[1]),
        name=head.partition(b"(")[2].decode("utf-8", "replace"),
        born=int(fields[19]),
        cpu_s=_cpu_s(pid) or (user + system) * _TICK_S,
        waited_s=(waited_user + waited_system) * _TICK_S,
        ended=fields[0] == b"Z",
    )


def _descendants(pid: int) -> Iterator[Relative]:
    """Parents before their children."""
    for child in _children(pid):
        relative = _relative(child)
        if relative is not None:
            yield relative
            yield from _descendants(child)


def _children(pid: int) -> list[int]:
    """Of all its threads. Kernels without CONFIG_PROC_CHILDREN are asked the slow way."""
    children: list[int] = []
    try:
        for task in (PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                children += map(int, (task / "children").read_bytes().split())
    except FileNotFoundError:
        import psutil

        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children()]
    return children
