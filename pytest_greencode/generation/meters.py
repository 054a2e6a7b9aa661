"""What a recorder needs of an energy meter, and the meters of this machine's CPU. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from ..model import Method

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredEnergy:
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
