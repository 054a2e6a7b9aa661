"""Instructions and floating-point operations of a sandbox's solutions, counted by the CPU, read from outside.

A counter is attached to the process that forks the solutions, and every fork inherits it (perf_event_open(2), inherit):
nothing in the sandbox is changed, and the solution cannot see it. Counters of a virtual machine are usually missing;
then so are the figures.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from .perf import SYSCALL

_HARDWARE, _RAW = 0, 4  # PERF_TYPE_HARDWARE, PERF_TYPE_RAW
INSTRUCTIONS = (_HARDWARE, 1)  # PERF_COUNT_HW_INSTRUCTIONS

# type, size, config, sample_period, sample_type, read_format, flags; the structure's first version has 64 bytes.
_ATTRIBUTES = struct.Struct("=IIQQQQQ16x")
_ENABLED_AND_RUNNING = 1 | 2  # PERF_FORMAT_TOTAL_TIME_ENABLED, _RUNNING
_INHERIT = 1 << 1
_FLAG_CLOSE_ON_EXEC = 8
_COUNT = struct.Struct("=QQQ")

# FP_ARITH_INST_RETIRED, event 0xC7, by operations per instruction; a fused multiply-add counts twice in hardware.
# Source: Linux, tools/perf/pmu-events/arch/x86/*/floating-point.json, for Broadwell and later.
_INTEL = ((0x03, 1), (0x04, 2), (0x18, 4), (0x60, 8), (0x80, 16))
# Models of family 6 before Broadwell have no such event.
_INTEL_WITHOUT = frozenset(range(0x3D)) | {0x3E, 0x3F, 0x45, 0x46}
# fp_ret_sse_avx_ops.all, PMCx003: counts operations, not instructions (the same, amdzen*/floating-point.json).
_AMD = ((0x0F, 1),)


class Operations(NamedTuple):
    """Counts of a stretch of time; None is not known."""

    instructions: int | None
    flops: int | None

    def plus(self, other: Operations) -> Operations:
        return Operations(*(None if a is None or b is None else a + b for a, b in zip(self, other, strict=True)))


# (type, config, pid) -> descriptor
OpenEvent = Callable[[int, int, int], int]


def open_inherited(type_: int, config: int, pid: int) -> int:
    """A descriptor that counts an event of a process and all that it forks from now on. OSError."""
    attributes = _ATTRIBUTES.pack(type_, _ATTRIBUTES.size, config, 0, 0, _ENABLED_AND_RUNNING, _INHERIT)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    any_cpu, no_group = ctypes.c_long(-1), ctypes.c_long(-1)
    file = syscall(
        ctypes.c_long(SYSCALL[platform.machine()]),
        ctypes.c_char_p(attributes),
        ctypes.c_long(pid),
        any_cpu,
        no_group,
        ctypes.c_ulong(_FLAG_CLOSE_ON_EXEC),
    )
    if file < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(file)


class _Counter(Struct):
    file: int
    weight: int
    last: tuple[int, int, int] = (0, 0, 0)

    def since_last(self) -> int | None:
        """What was counted since the last call, times its weight; scaled up for the time in which the counter was lent
        to others (perf_event_open(2)), None where it had none of that time."""
        now = _COUNT.unpack(os.read(self.file, _COUNT.size))
        count, enabled, running = (after - before for after, before in zip(now, self.last, strict=True))
        self.last = now
        if not running:
            return 0 if not enabled else None
        return max(0, int(count * enabled / running)) * self.weight


class OperationCounter:
    """What a process's descendants do. What the CPU or the kernel does not give is None; without a pid, all of it."""

    def __init__(
        self, pid: int | None, *, cpuinfo: Path = Path("/proc/cpuinfo"), open_event: OpenEvent = open_inherited
    ) -> None:
        self._files: list[int] = []
        self._instructions: tuple[_Counter, ...] = ()
        self._flops: tuple[_Counter, ...] = ()
        if pid is not None:
            self._instructions = self._opened([(*INSTRUCTIONS, 1)], pid, open_event)
            self._flops = self._opened(_flop_events(cpuinfo), pid, open_event)

    def _opened(self, events: Sequence[tuple[int, int, int]], pid: int, open_event: OpenEvent) -> tuple[_Counter, ...]:
        """All of these events or, as parts of a sum say nothing, none."""
        counters: list[_Counter] = []
        try:
            for type_, config, weight in events:
                counters.append(_Counter(open_event(type_, config, pid), weight))
        except (OSError, KeyError):
            for counter in counters:
                os.close(counter.file)
            return ()
        self._files += [counter.file for counter in counters]
        return tuple(counters)

    def since_last(self) -> Operations:
        """What was counted since the last call, or since the beginning."""
        return Operations(_sum(self._instructions), _sum(self._flops))

    def close(self) -> None:
        files, self._files = self._files, []
        self._instructions = self._flops = ()
        for file in files:
            os.close(file)


def _sum(counters: Sequence[_Counter]) -> int | None:
    values = [counter.since_last() for counter in counters]
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _flop_events(cpuinfo: Path) -> list[tuple[int, int, int]]:
    """(type, config, operations per count) of the events that make up FLOPs on this CPU; [] where none are known."""
    try:
        lines = cpuinfo.read_text("utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        return []
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    try:
        family, model = int(facts["cpu family"]), int(facts["model"])
    except (KeyError, ValueError):
        return []
    if facts.get("vendor_id") == "GenuineIntel" and family == 6 and model not in _INTEL_WITHOUT:
        return [(_RAW, umask << 8 | 0xC7, weight) for umask, weight in _INTEL]
    if facts.get("vendor_id") == "AuthenticAMD" and family in (0x17, 0x19, 0x1A):
        return [(_RAW, umask << 8 | 0x03, weight) for umask, weight in _AMD]
    return []


def forking_process(init_pid: int, proc: Path = Path("/proc"), *, of_repositories: bool = False) -> int | None:
    """The zygote of a sandbox, by this machine's number: the first child of the sandbox's process 1.

    `of_repositories`: the one that forks repositories' tests, the second child.

    None where that cannot be told, as when the sandbox is on another machine.
    """
    try:
        status = (proc / str(init_pid) / "status").read_text("ascii", errors="replace")
        numbers = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        children = (proc / str(init_pid) / "task" / str(init_pid) / "children").read_text("ascii").split()
    except (OSError, StopIteration):
        return None
    known = len(numbers) > 1 and numbers[-1] == "1" and len(children) > of_repositories
    return int(children[of_repositories]) if known else None
