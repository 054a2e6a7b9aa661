"""This project's two readings of known work: attributed from the windows of a run, and exclusive."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_greencode.attribution import Attribution, attribute
from pytest_greencode.ledger import Overhead
from pytest_greencode.meters.baseline import Baseline
from pytest_greencode.meters.counters import EnergyCounters
from pytest_greencode.meters.exclusive import Measurement, Plan, Spent, measure_exclusive
from pytest_greencode.meters.sampler import WINDOW_S, Machine, Sampler
from pytest_greencode.meters.window import machine_busy_cpu_s
from pytest_greencode.model import Window, Work
from rapl.load import Job, spin


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A run's work, the windows it fell into, and what was made of them."""

    work: list[Work]
    windows: list[Window]
    attribution: Attribution

    def errors(self, busy_w: float) -> list[float]:
        """Of each execution: its attributed energy over the true one, less 1."""
        shares = self.attribution.shares
        return [shares[w.key].solution_uj / (busy_w * w.cpu_s * 1e6) - 1 for w in self.work if w.key is not None]

    def error(self, busy_w: float) -> float:
        """Of all executions together."""
        true_uj = sum(busy_w * w.cpu_s * 1e6 for w in self.work)
        return self.attribution.balance.solutions_uj / true_uj - 1


def attributed(
    counters: EnergyCounters,
    baseline: Baseline,
    *,
    jobs: int,
    lengths: Sequence[tuple[float, int]],
    window_s: float = WINDOW_S,
) -> Batch:
    """Executions of (CPU seconds, so many times) in each of `jobs` processes side by side, on CPUs of their own."""
    windows: list[Window] = []
    overheads: list[Overhead] = []

    def write(more_windows: list[Window], more_overheads: list[Overhead]) -> None:
        windows.extend(more_windows)
        overheads.extend(more_overheads)

    machine = Machine(
        busy_cpu_s=machine_busy_cpu_s,
        counters=counters,
        idle_w=baseline.mean_w,
        idle_busy_cpus=baseline.busy_cpus,
        meter="RAPL",
    )
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(Job(cpu)) for cpu in range(jobs)]
        sampler = Sampler(write, machine, window_s=window_s)
        try:
            for cpu_s, times in lengths:
                for process in processes:
                    process.ask(cpu_s, times)
            done = [[spell for _ in lengths for spell in process.answer()] for process in processes]
        finally:
            sampler.stop()
    work = [
        Work(key=f"{job}-{number}", harness_cpu_s=0.0, **spell)
        for job, spells in enumerate(done)
        for number, spell in enumerate(spells)
    ]
    work += [
        Work(key=None, started_at=o.started_at, finished_at=o.finished_at, cpu_s=0.0, harness_cpu_s=o.cpu_s)
        for o in overheads
    ]
    attribution = attribute(windows, work)
    assert attribution is not None, windows
    return Batch(work=work, windows=windows, attribution=attribution)


def exclusive(counters: EnergyCounters, baseline: Baseline, *, cpu_s: float, plan: Plan | None = None) -> Measurement:
    """Runs of `cpu_s` each, measured alone."""

    def workload(runs: int) -> Spent:
        begun_s, begun_cpu_s = time.monotonic(), time.thread_time()
        used_s = sum(spin(cpu_s)["cpu_s"] for _ in range(runs))
        whole_s = time.thread_time() - begun_cpu_s
        return Spent(cpu_s=used_s, harness_cpu_s=whole_s - used_s, wall_s=time.monotonic() - begun_s)

    with pinned(0):
        return measure_exclusive({"": workload}, counters, baseline, plan)[""]


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """This thread stays on one CPU."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
