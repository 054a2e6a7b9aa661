"""Reads the machine while a run goes on: energy counters, CPU time of everything, CPU time of this process."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from ..errors import GreencodeError
from ..ledger import Overhead
from ..model import Window

if TYPE_CHECKING:
    from .counters import CounterReading, EnergyCounters

# Long against the counters' tick (1 ms) and the system's clock tick (10 ms), short against a change of what runs.
WINDOW_S = 1.0


class Machine(Struct, frozen=True, kw_only=True):
    """What a window is read from. `counters` None: CPU time only.

    `idle_w` and `idle_busy_cpus` (see `Window`) are what is known of idling when the run begins.
    """

    busy_cpu_s: Callable[[], float | None]
    counters: EnergyCounters | None = None
    idle_w: float | None = None
    idle_busy_cpus: float | None = None
    reserved_share: float = 0.0
    meter: str | None = None


class Sampler:
    """A thread that hands a window, and this process's own CPU time in it, to `write` about once a second.

    The windows of a sampler follow each other without a gap. `machine` None: another process reads the machine, only
    the own CPU time is noted. `write` may raise; it is asked again with the next window. `own_cpu_s`: what is noted as
    this process's own, in place of all its CPU time.
    """

    def __init__(
        self,
        write: Callable[[list[Window], list[Overhead]], None],
        machine: Machine | None,
        *,
        window_s: float = WINDOW_S,
        own_cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._write, self._machine, self._window_s, self._own_cpu_s = write, machine, window_s, own_cpu_s
        self._stop = threading.Event()
        self._kept: tuple[list[Window], list[Overhead]] = ([], [])
        self.started_at = time.time()
        self._last = self._read(self.started_at)
        self._thread = threading.Thread(target=self._run, name="greencode-sampler", daemon=True)
        # Odd while the thread works: as long as it is even and the same, the thread has used no CPU time.
        self.turns = 0
        self._cpu_s = 0.0
        self._thread.start()

    def stop(self) -> None:
        """Close the last window. Raises what `write` raises."""
        self._stop.set()
        self._thread.join()
        self._sample()

    def cpu_s(self) -> float:
        """CPU seconds that the thread itself has used."""
        identity = self._thread.ident
        if identity is not None and self._thread.is_alive():
            with contextlib.suppress(OSError, RuntimeError):
                self._cpu_s = time.clock_gettime(time.pthread_getcpuclockid(identity))
        return self._cpu_s

    def _run(self) -> None:
        while not self._stop.wait(self._window_s):
            self.turns += 1
            # Whoever runs attempts meets the same ledger, and says so.
            with contextlib.suppress(GreencodeError):
                self._sample()
            self.turns += 1

    def edge(self) -> Edge:
        """A reading of the machine now, for a window of one's own."""
        return self._read(time.time())

    def window(self, before: Edge, after: Edge) -> Window | None:
        """What the machine did between two edges; None where another process reads it."""
        return None if self._machine is None else self._window(self._machine, before, after)

    def _sample(self) -> None:
        before, after = self._last, self._read(time.time())
        self._last = after
        windows, overheads = self._kept
        overheads.append(
            Overhead(
                kind="host",
                started_at=before.at,
                finished_at=after.at,
                cpu_s=max(0.0, after.own_cpu_s - before.own_cpu_s),
            )
        )
        if self._machine is not None:
            windows.append(self._window(self._machine, before, after))
        self._write(windows, overheads)
        self._kept = ([], [])

    def _read(self, at: float) -> Edge:
        machine = self._machine
        counters = machine.counters if machine is not None else None
        return Edge(
            at=at,
            own_cpu_s=self._own_cpu_s(),
            busy_cpu_s=machine.busy_cpu_s() if machine is not None else None,
            reading=counters.read() if counters is not None else None,
            clock_s=time.monotonic(),
        )

    @staticmethod
    def _window(machine: Machine, before: Edge, after: Edge) -> Window:
        window = Window(
            started_at=before.at,
            finished_at=after.at,
            duration_s=after.clock_s - before.clock_s,
            idle_w=machine.idle_w,
            idle_busy_cpus=machine.idle_busy_cpus,
            busy_cpu_s=None
            if before.busy_cpu_s is None or after.busy_cpu_s is None
            else max(0.0, after.busy_cpu_s - before.busy_cpu_s),
            reserved_share=machine.reserved_share,
            meter=machine.meter,
        )
        if before.reading is None or after.reading is None:
            return window
        assert machine.counters is not None
        energy = machine.counters.between(before.reading, after.reading)
        return replace(
            window,
            duration_s=energy.duration_s,
            package_uj=energy.package_uj if energy.psys_uj is None else energy.psys_uj,
            dram_uj=energy.dram_uj,
            invalid=energy.invalid,
        )


class Edge(Struct, frozen=True, kw_only=True):
    """One reading of everything, at a moment in seconds since the epoch and by a clock that nobody sets."""

    at: float
    clock_s: float
    own_cpu_s: float
    busy_cpu_s: float | None
    reading: CounterReading | None
