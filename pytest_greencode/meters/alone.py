"""What was accepted in a run, measured alone: one program at a time, after all attempts, on a machine kept idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

from ..model import Measured
from ..runner import Runner, Seen, VerdictChanged
from .exclusive import Measurement, Plan, again
from .metering import Metering


class Alone:
    """Measures task by task; `write` gets each task's results at once, and all again when idle power is known better.

    The programs of a task, its reference among them, take turns: what changes slowly falls on all alike.
    """

    def __init__(self, metering: Metering, plan: Plan, write: Callable[[dict[str, Measured]], None]) -> None:
        self._metering, self._plan, self._write = metering, plan, write
        self._measurements: dict[str, Measurement] = {}
        self._seen: dict[str, Seen] = {}

    @staticmethod
    def count(runner: Runner) -> tuple[int, int]:
        """How many tasks and how many programs there are to measure."""
        groups = runner.accepted_programs()
        return len(groups), sum(map(len, groups))

    def least_s(self, programs: int) -> float:
        """The shortest time that measuring so many programs takes, s."""
        plan = self._plan
        windows = 1 + plan.warm_up_windows + plan.first_windows
        return programs * min(windows * plan.min_window_s, plan.max_wall_s)

    def run(self, runner: Runner) -> Iterator[str | None]:
        """Measure; yields after each task, with what went wrong if something did. Raises what `write` raises."""
        for requests in runner.accepted_programs():
            seen = {key: Seen() for key in requests}
            workloads = {key: runner.workload(request, seen[key]) for key, request in requests.items()}
            try:
                found = self._metering.measure_alone(workloads, self._plan)
            except VerdictChanged as changed:
                yield str(changed)
                continue
            if not found:
                yield "idle power is not known, so nothing can be measured above it"
                return
            self._measurements |= found
            self._seen |= seen
            self._write(self._as_measured(found))
            yield None

    def settle(self) -> None:
        """Write everything again, with idle power as it is known in the end."""
        baseline = self._metering.baseline
        if baseline is None or not self._measurements:
            return
        self._measurements = {key: again(each, baseline, self._plan) for key, each in self._measurements.items()}
        self._write(self._as_measured(self._measurements))

    def _as_measured(self, measurements: dict[str, Measurement]) -> dict[str, Measured]:
        return {key: as_measured(each, self._seen[key]) for key, each in measurements.items()}


def as_measured(measurement: Measurement, seen: Seen) -> Measured:
    """As the ledger keeps it."""
    low_j, high_j = measurement.interval or (None, None)
    instructions, flops = seen.operations or (None, None)
    return Measured(
        energy_j=measurement.energy_j,
        low_j=low_j,
        high_j=high_j,
        confidence=measurement.confidence,
        noise_floor_j=measurement.noise_floor_j,
        harness_energy_j=measurement.harness_energy_j,
        cpu_s=measurement.cpu_s,
        peak_memory_bytes=round(median(seen.peaks_bytes)) if seen.peaks_bytes else None,
        windows=measurement.windows,
        runs=measurement.runs,
        discarded=measurement.discarded,
        stopped_by=measurement.stopped_by,
        instructions=None if instructions is None else instructions / seen.runs,
        flops=None if flops is None else flops / seen.runs,
    )
