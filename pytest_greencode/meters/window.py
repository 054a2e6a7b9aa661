"""What a measurement needs of an energy counter: edges that lie on its ticks, and the energy between two of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, TypeVar

R = TypeVar("R")


class EnergyWindow(Protocol):
    """Energy between two readings. A domain that the machine does not count is None; `invalid` says why to drop it."""

    @property
    def duration_s(self) -> float: ...
    @property
    def package_uj(self) -> float | None: ...
    @property
    def dram_uj(self) -> float | None: ...
    @property
    def invalid(self) -> str | None: ...


class Counter(Protocol[R]):
    """A cumulative energy counter that ticks about once a millisecond."""

    def align(self) -> R:
        """Wait for the next tick, and read. Windows begin and end here, so that no unfinished tick is lost."""

    def between(self, start: R, end: R) -> EnergyWindow:
        """What was counted from `start` to `end`."""


def package_j(window: EnergyWindow) -> float | None:
    """Joules of the CPU packages."""
    return None if window.package_uj is None else window.package_uj * 1e-6


def cpu_j(window: EnergyWindow) -> float | None:
    """Joules of the CPU packages, or of the whole platform where that is read instead."""
    psys_uj = getattr(window, "psys_uj", None)
    return package_j(window) if psys_uj is None else float(psys_uj) * 1e-6


def package_and_dram_j(window: EnergyWindow) -> float | None:
    """Joules of the CPU packages and of the memory; None where the machine does not count both."""
    if window.package_uj is None or window.dram_uj is None:
        return None
    return (window.package_uj + window.dram_uj) * 1e-6


def machine_busy_cpu_s(root: Path = Path("/")) -> float | None:
    """CPU seconds that all processes have used since boot, user and system; None where it is not known.

    Of the first line of /proc/stat, in steps of a clock tick (10 ms). Idle, waiting and stolen time are not in it; a
    guest's time is in the user's already. Interrupts are left out: most kernels count by samples, at the system's clock
    tick, and what the tick itself sets off (balancing load between CPUs) is caught at it: 7 % of an idle CPU was seen
    beside a busy one.
    """
    try:
        label, *fields = (root / "proc/stat").read_text("ascii").splitlines()[0].split()
        user, nice, system = map(int, fields[:3])
    except (OSError, ValueError, IndexError):
        return None
    return (user + nice + system) / os.sysconf("SC_CLK_TCK") if label == "cpu" else None
