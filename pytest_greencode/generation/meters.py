"""What a recorder needs of an energy meter, and the meters of this machine's CPU. Needs msgspec only."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from msgspec import Struct

from ..errors import MeterUnavailable
from ..meters.estimated import EstimatedMeter
from ..meters.window import cpu_j, machine_busy_cpu_s
from ..model import Method

if TYPE_CHECKING:
    from ..meters.counters import CounterReading, EnergyCounters

R = TypeVar("R")
_LOOK_EVERY_S = 1.0


class MeteredEnergy(Struct, frozen=True, kw_only=True):
    """What one meter says of the time between two of its readings.

    `energy_j`: all that the hardware used, idle power included, J; None where that is not known, and `reason` says why.
    `idle_j`: what of it the same hardware would have used idle, J; None where its idle power was not measured.
    `scope`: of which hardware: "gpu", "cpu", "dram", "module" (CPU and GPU in one), "node".
    `source`: the meter in words, such as "NVML (NVIDIA H200, GPU 0)".
    `relative_error`: 0.05 means +-5 %, of this window (a counter that is updated every 100 ms knows a window of 1 s
    only to 10 %); None where nobody states one.
    """

    energy_j: float | None
    duration_s: float
    method: Method
    scope: str
    source: str
    idle_j: float | None = None
    relative_error: float | None = None
    reason: str | None = None


class GenerationMeter(Protocol[R]):
    """Energy of hardware that generates, by readings of a cumulative counter.

    Any two readings make a window, so that windows may overlap, and those of neighbours add up to the whole. Every
    method may be called by several threads at once. Nothing is imported or opened before the meter is made; what is
    not there raises MeterUnavailable then.
    """

    @property
    def source(self) -> str:
        """As in MeteredEnergy."""
        ...

    @property
    def gpu_model(self) -> str | None:
        """The name of the devices, where they are GPUs of one kind."""
        ...

    @property
    def gpu_count(self) -> int | None: ...

    def read(self) -> R:
        """The counter now: quick, and never raises. What went wrong is told by `between`."""
        ...

    def between(self, start: R, end: R) -> MeteredEnergy:
        """The energy from `start` to `end`, two readings in their order. Additive but for `relative_error`:
        between(a, c).energy_j == between(a, b).energy_j + between(b, c).energy_j.
        """
        ...

    def close(self) -> None:
        """Give back what was opened. Again is harmless."""
        ...


# --- this machine ---------------------------------------------------------------------------------------------------


def host_meters(*, pid: int | None = None, whole_machine: bool = False) -> list[GenerationMeter[Any]]:
    """The best meters of this machine: its GPUs where there are some, and its CPU (counters, else an estimate).

    The estimate is of the process `pid` and all below it, None for this one, or of the `whole_machine`.
    """
    found = [*_gpu_meter("nvml", "NvmlMeter"), *_gpu_meter("amd", "AmdMeter")]
    try:
        found.append(CpuCounters())
    except MeterUnavailable:
        if whole_machine:
            found.append(CpuTime(cpu_s=machine_busy_cpu_s, whose="the whole machine"))
        else:
            found.append(CpuTime(pid=pid))
    return found


def _gpu_meter(module: str, name: str) -> list[GenerationMeter[Any]]:
    try:
        return [getattr(importlib.import_module(f".{module}", __package__), name)()]
    except (ImportError, MeterUnavailable):
        return []


class CpuCounters:
    """The CPU's own energy counters (RAPL): all packages of this machine, whoever used them.

    Raises MeterUnavailable where they cannot be read.
    """

    gpu_model: str | None = None
    gpu_count: int | None = None

    def __init__(self, counters: EnergyCounters | None = None) -> None:
        if counters is None:
            from ..meters.choice import open_counters

            counters = open_counters()
        self._counters = counters.__enter__()
        names = ", ".join(domain.name for domain in counters.domains if domain.kind != "dram")
        self.source = f"RAPL ({names}; the whole machine)"

    def read(self) -> CounterReading:
        return self._counters.read()

    def between(self, start: CounterReading, end: CounterReading) -> MeteredEnergy:
        window = self._counters.between(start, end)
        return MeteredEnergy(
            energy_j=cpu_j(window),
            duration_s=window.duration_s,
            method=Method.MEASURED,
            scope="cpu",
            source=self.source,
            reason=window.invalid,
        )

    def close(self) -> None:
        self._counters.close()


class CpuReading(NamedTuple):
    at_s: float
    cpu_s: float | None


class CpuTime:
    """CPU time of a process and its children times the power of a busy vCPU: an estimate (`meters.estimated`).

    energy_j = cpu_s * P_max, and idle_j = cpu_s * P_min of it, as what the vCPUs draw while they idle is nobody's.
    `pid` None: this process. `cpu_s` tells the CPU seconds in another way.
    """

    gpu_model: str | None = None
    gpu_count: int | None = None

    def __init__(
        self, *, pid: int | None = None, cpu_s: Callable[[], float | None] | None = None, whose: str = ""
    ) -> None:
        self._model = EstimatedMeter.of_host()
        self._cpu_s = cpu_s or (own_cpu_s if pid is None else ProcessTime(pid))
        whose = whose or ("this process" if pid is None else f"process {pid}")
        self.source = f"CPU time of {whose}; {self._model.source}"

    def read(self) -> CpuReading:
        return CpuReading(time.monotonic(), self._cpu_s())

    def between(self, start: CpuReading, end: CpuReading) -> MeteredEnergy:
        used_s = None if start.cpu_s is None or end.cpu_s is None else end.cpu_s - start.cpu_s
        # What went away took its CPU time with it.
        known_s = used_s if used_s is not None and used_s >= 0 else None
        return MeteredEnergy(
            energy_j=None if known_s is None else known_s * self._model.max_w_per_vcpu,
            idle_j=None if known_s is None else known_s * self._model.min_w_per_vcpu,
            duration_s=end.at_s - start.at_s,
            method=Method.ESTIMATED,
            scope="cpu",
            source=self.source,
            relative_error=self._model.relative_error,
            reason=None if known_s is not None else "the process whose CPU time is counted, or one of its, went away",
        )

    def close(self) -> None:
        """Nothing is open."""


def own_cpu_s() -> float:
    """CPU seconds of this process, its threads, and its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class ProcessTime:
    """CPU seconds of a process and all below it, ended children included; None once it is gone (Linux).

    What is below it is looked up once a second, as that reads all of /proc.
    """

    def __init__(self, pid: int, proc: Path = Path("/proc")) -> None:
        self._pid, self._proc = pid, proc
        self._pids: list[int] = []
        self._looked_s = -math.inf

    def __call__(self) -> float | None:
        found = [] if time.monotonic() - self._looked_s > _LOOK_EVERY_S else [self._stat(pid) for pid in self._pids]
        if not found or None in found:
            self._pids = self._below()
            self._looked_s = time.monotonic()
            found = [self._stat(pid) for pid in self._pids]
        ticks = [each[1] for each in found if each is not None]
        return sum(ticks) / os.sysconf("SC_CLK_TCK") if found and found[0] is not None else None

    def _below(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for entry in self._proc.iterdir():
            if entry.name.isdigit() and (stat := self._stat(int(entry.name))) is not None:
                children.setdefault(stat[0], []).append(int(entry.name))
        pids = [self._pid]
        for pid in pids:
            pids += children.get(pid, [])
        return pids

    def _stat(self, pid: int) -> tuple[int, int] | None:
        """Its parent, and its clock ticks with those of its ended children; None where it has ended (proc(5))."""
        try:
            # The name may hold anything, spaces and brackets too; what follows its last bracket are numbers.
            fields = (self._proc / str(pid) / "stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
            return int(fields[1]), sum(map(int, fields[11:15]))
        except (OSError, ValueError, IndexError):
            return None
