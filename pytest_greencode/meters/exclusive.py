"""Energy of one run of a workload that has the machine to itself, repeated until the interval is narrow enough.

Several workloads take turns, in an order drawn anew for each round, so that what changes slowly (temperature, a
neighbour) falls on all of them alike. The first windows only warm up and tell how many runs a window needs.

The estimator is the mean over windows, since energies add up; a trimmed mean estimates something else where runs
differ. The interval is Student's, and two things would make it too narrow if they were left out:

The baseline. Its error is the same in all windows. It is a variance of its own, and degrees of freedom are Welch's and
Satterthwaite's for the sum.

Stopping when narrow. A standard deviation from few windows is often too small by chance, and that is when one would
stop. As in Stein's two stages (1945) the first `first_windows` are always taken, and the degrees of freedom remain
theirs. So does the standard deviation, unless that of all windows is larger: a machine that gets restless later widens
the interval.

Evidence, by simulation (tests/test_exclusive_meter.py repeats a part): ticks of 1 ms +- 10 %, steps of 61 uJ, a
baseline of 12 windows of 5 s, runs of 50 ms that vary by 5 %, asked for +-5 % at 95 %.

    idle, dynamic, noise              measured  covered  within 5 %  mean error  windows
    4 W, 10 W, 0.1 W*sqrt(s)          2000      95.6 %   100 %       0.00 %      10
    20 W, 15 W, 0.3                   4000      94.9 %   100 %       0.02 %      10
    120 W, 12 W, 1.5                  1500      95.0 %   96.7 %      0.07 %      16

On the last machine, of 600 (windows of 2 s): 95.8 % covered; 94 % with the degrees of freedom of all windows; 92 % if
these may be as few as 5, 90 % if 3; 89 % without the baseline's error, 85 % with neither. A trimmed mean with a
bootstrapped interval covers 92 % with 10 windows.

What it cannot see is idle power that changes slowly. A sine of 0.6 W amplitude and 600 s period in those 120 W leaves
80 % covered (of 1000); 94 % with the baseline measured again afterwards and both `pooled`, which is why callers should.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, variance
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ..statistics import CONFIDENCE, Interval, student_t_quantile
from .baseline import Baseline, half_width
from .window import Counter, EnergyWindow, machine_busy_cpu_s, package_j

R = TypeVar("R")

# The machine's count of busy CPU time is in steps of 10 ms, one for user and one for system time.
BUSY_RESOLUTION_S = 0.02

WARM_UP = "warm-up"
CONTENDED = "contended"
NO_ENERGY = "no energy reading"
NO_CPU_TIME = "no CPU time"


class Spent(Struct, frozen=True, kw_only=True):
    """What back-to-back runs took: CPU time of the solution, CPU time of all that served it, and wall time, s."""

    cpu_s: float
    harness_cpu_s: float
    wall_s: float


# Does this many runs, one after the other. What it raises ends the measurement.
Workload = Callable[[int], Spent]


class Plan(Struct, frozen=True, kw_only=True):
    """How long to measure.

    `precision`: half the interval over the mean. `max_windows` and `max_wall_s` bound each workload, with warm-up and
    dropped windows. `tick_s`: how often the counter is updated.
    `min_share`: the workload's part, harness included, of the CPU time above idle; below it a window is contended. What
    others use in the windows that are kept is counted as the workload's: at 0.95 about 5 % at worst, and
    `BUSY_RESOLUTION_S` more per window.
    ValueError for a plan that cannot be kept.
    """

    precision: float = 0.05
    confidence: float = CONFIDENCE
    first_windows: int = 10
    max_windows: int = 200
    max_wall_s: float = 300.0
    warm_up_windows: int = 1
    min_window_s: float = 0.5
    max_window_s: float = 10.0
    min_share: float = 0.95
    tick_s: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if not (
            0 < self.precision < 1
            and 0 < self.confidence < 1
            and self.first_windows >= 3
            and self.tick_s >= 0
            and self.warm_up_windows >= 0
            and 0 < self.min_window_s <= self.max_window_s
            and 0 <= self.min_share <= 1
        ):
            raise ValueError(f"a plan that cannot be kept: {self}")


class Window(Struct, frozen=True, kw_only=True):
    """One window: `runs` of the workload, the counter's energy, and the shares of CPU time by which it is divided."""

    runs: int
    duration_s: float
    energy_j: float
    cpu_s: float
    harness_cpu_s: float

    @property
    def share(self) -> float:
        """The solution's part of the CPU time."""
        return self.cpu_s / (self.cpu_s + self.harness_cpu_s)

    def dynamic_j(self, idle_w: float) -> float:
        """Energy above idling, of solution and harness."""
        return self.energy_j - idle_w * self.duration_s


class Estimate(Struct, frozen=True, kw_only=True):
    """Dynamic energy of one run, J: mean, interval, and the standard deviations of the two parts of its error."""

    energy_j: float
    interval_j: Interval
    windows_sd_j: float
    baseline_sd_j: float
    baseline_half_width_j: float

    @property
    def noise_floor_j(self) -> float:
        """Twice the standard deviation of the mean: an energy nearer to 0 is not told from idling."""
        return 2 * math.hypot(self.windows_sd_j, self.baseline_sd_j)

    @property
    def half_width_j(self) -> float:
        return (self.interval_j[1] - self.interval_j[0]) / 2


def estimate(
    windows: Sequence[Window], baseline: Baseline, *, first: int = 10, confidence: float = CONFIDENCE
) -> Estimate | None:
    """The solution's dynamic energy per run, from windows that were stopped at will after the `first` of them.

    Per window x = share * (E - P_idle * T) / runs; mean over windows. Variance of the mean: s^2 / n, where s is the
    larger of the first windows' standard deviation and of all windows', with the first's degrees of freedom (module);
    plus (mean of share * T / runs)^2 * error^2 for the baseline, with its own. None for fewer than two windows.
    """
    if len(windows) < 2:
        return None
    values = [w.share * w.dynamic_j(baseline.mean_w) / w.runs for w in windows]
    first = max(2, min(first, len(values)))
    windows_variance = max(variance(values[:first]), variance(values)) / len(values)
    exposure_s = fmean(w.share * w.duration_s / w.runs for w in windows)
    baseline_variance = (exposure_s * baseline.error_w) ** 2
    mean = fmean(values)
    half = half_width(((windows_variance, first - 1), (baseline_variance, baseline.windows - 1)), confidence)
    return Estimate(
        energy_j=mean,
        interval_j=(mean - half, mean + half),
        windows_sd_j=math.sqrt(windows_variance),
        baseline_sd_j=math.sqrt(baseline_variance),
        baseline_half_width_j=half_width(((baseline_variance, baseline.windows - 1),), confidence),
    )


def relative_sd(*, idle_w: float, dynamic_w: float, window_s: float, tick_s: float, noise_w_sqrt_s: float) -> float:
    """Standard deviation of one window's dynamic energy over that energy, the baseline's error apart.

    sqrt((P_i^2 + (P_i + P_d)^2) * tick^2 / 12 + noise^2 * T) / (P_d * T): ticks at both edges, uniform, and the idle
    noise. An upper bound where edges are aligned to ticks.
    """
    ticks = (idle_w**2 + (idle_w + dynamic_w) ** 2) * tick_s**2 / 12
    return math.sqrt(ticks + noise_w_sqrt_s**2 * window_s) / (dynamic_w * window_s)


def window_length_s(baseline: Baseline, dynamic_w: float, plan: Plan) -> float:
    """The window for which `plan.first_windows` of them are expected to suffice, within the plan's bounds.

    Solves t * relative_sd(T) / sqrt(n) = precision for T, quadratic in 1/T, t Student's on n - 1 degrees; what the
    baseline's error takes of the precision is taken off first. The longest where that leaves nothing.
    """
    t = student_t_quantile((1 + plan.confidence) / 2, plan.first_windows - 1)
    if not dynamic_w > 0:
        return plan.max_window_s
    left = (plan.precision / t) ** 2 - (baseline.error_w / dynamic_w) ** 2
    target = left * plan.first_windows * dynamic_w**2
    if not target > 0:
        return plan.max_window_s
    ticks = (baseline.mean_w**2 + (baseline.mean_w + dynamic_w) ** 2) * plan.tick_s**2 / 12
    noise = baseline.noise_w_sqrt_s**2
    # ticks / T^2 + noise / T = target, in the form that does not cancel.
    length_s = (noise + math.sqrt(noise**2 + 4 * ticks * target)) / (2 * target)
    return min(max(length_s, plan.min_window_s), plan.max_window_s)


class Measurement(Struct, frozen=True, kw_only=True):
    """One workload, measured alone. Energies are dynamic, per run.

    `energy_j`, its `interval` and the rest of the estimate are None where fewer than two windows were kept.
    `cpu_s`: the solution's CPU time per run; `harness_energy_j`: what served it, by CPU time, kept apart.
    `discarded` counts the windows that were not used, by reason. `stopped_by`: "precision"; "baseline", when the error
    of the idle power alone is more than the precision, and more windows would not help; "cap".
    `kept`: the windows, so that `estimate` can be had again with a baseline measured afterwards.
    """

    energy_j: float | None
    interval: Interval | None
    confidence: float
    noise_floor_j: float | None
    below_noise_floor: bool | None
    harness_energy_j: float | None
    cpu_s: float | None
    windows: int
    discarded: Mapping[str, int]
    runs: int
    contention_known: bool
    stopped_by: str
    kept: tuple[Window, ...]

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval over the mean; None where the mean is not above 0."""
        if self.interval is None or self.energy_j is None or self.energy_j <= 0:
            return None
        return (self.interval[1] - self.interval[0]) / 2 / self.energy_j


def measure_exclusive(
    workloads: Mapping[str, Workload],
    counter: Counter[R],
    baseline: Baseline,
    plan: Plan | None = None,
    *,
    joules: Callable[[EnergyWindow], float | None] = package_j,
    busy_cpu_s: Callable[[], float | None] = machine_busy_cpu_s,
    own_cpu_s: Callable[[], float] = time.thread_time,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Measurement]:
    """Measure each workload until its interval is as narrow as `plan.precision` asks or a cap is met.

    `joules` takes the energy out of a window; the baseline must have been measured with the same. `busy_cpu_s` is the
    machine's cumulative busy CPU time (None: not known, and contention is not looked for), `own_cpu_s` this thread's.
    The caller keeps the machine free of other attempts meanwhile.
    """
    plan = plan or Plan()
    stand = _Stand(counter, baseline, plan, joules, busy_cpu_s, own_cpu_s, clock)
    series = {name: _Series(workload, stand) for name, workload in workloads.items()}
    # The order of turns is no secret.
    order = random.Random(plan.seed)  # noqa: S311
    active = list(series.values())
    while active:
        order.shuffle(active)
        for one in active:
            one.step()
        active = [one for one in active if one.stopped_by is None]
    return {name: one.result() for name, one in series.items()}


class _Stand(Struct, Generic[R], frozen=True):
    """What all workloads are measured with."""

    counter: Counter[R]
    baseline: Baseline
    plan: Plan
    joules: Callable[[EnergyWindow], float | None]
    busy_cpu_s: Callable[[], float | None]
    own_cpu_s: Callable[[], float]
    clock: Callable[[], float]

    def window(self, workload: Workload, runs: int) -> tuple[Window | str, Spent, bool]:
        """One window, or why it does not count; what was spent; and whether contention could be seen."""
        start = self.counter.align()
        busy_before = self.busy_cpu_s()
        spent = workload(runs)
        # Waiting for the tick keeps a CPU busy, within the window.
        before_s = self.own_cpu_s()
        end = self.counter.align()
        harness_cpu_s = spent.harness_cpu_s + self.own_cpu_s() - before_s
        busy_after = self.busy_cpu_s()
        seen = self.counter.between(start, end)
        busy_s = None if busy_before is None or busy_after is None else busy_after - busy_before
        contended = self._contended(busy_s, spent.cpu_s + harness_cpu_s, seen.duration_s)
        energy_j = self.joules(seen)
        found: Window | str
        if seen.invalid is not None:
            found = seen.invalid
        elif energy_j is None or not seen.duration_s > 0:
            found = NO_ENERGY
        elif not spent.cpu_s > 0:
            found = NO_CPU_TIME
        elif contended:
            found = CONTENDED
        else:
            found = Window(
                runs=runs,
                duration_s=seen.duration_s,
                energy_j=energy_j,
                cpu_s=spent.cpu_s,
                harness_cpu_s=harness_cpu_s,
            )
        return found, spent, contended is not None

    def _contended(self, busy_s: float | None, own_s: float, duration_s: float) -> bool | None:
        """Whether others used too much of the CPU time above what is busy when the machine idles; None: not known."""
        if busy_s is None or self.baseline.busy_cpus is None:
            return None
        others_s = busy_s - self.baseline.busy_cpus * duration_s - own_s - BUSY_RESOLUTION_S
        return others_s > (1 - self.plan.min_share) * (own_s + others_s)


class _Series(Generic[R]):
    """One workload's windows so far."""

    def __init__(self, workload: Workload, stand: _Stand[R]) -> None:
        self.stopped_by: str | None = None
        self._workload = workload
        self._stand = stand
        self._runs_per_window = 1
        self._sized = False
        self._warm_ups = stand.plan.warm_up_windows
        self._kept: list[Window] = []
        self._discarded: Tally[str] = Tally()
        self._estimate: Estimate | None = None
        self._contention_known = False
        self._wall_s = 0.0

    def step(self) -> None:
        """Take one window; find its size first, which counts as warm-up."""
        plan, stand = self._stand.plan, self._stand
        started_s = stand.clock()
        found, spent, self._contention_known = stand.window(self._workload, self._runs_per_window)
        self._wall_s += stand.clock() - started_s
        if isinstance(found, str):
            self._discarded[found] += 1
        elif not self._sized:
            self._discarded[WARM_UP] += 1
        elif self._warm_ups:
            self._warm_ups -= 1
            self._discarded[WARM_UP] += 1
        else:
            self._kept.append(found)
            self._judge()
        if not self._sized:
            self._size(found, spent)
        if self.stopped_by is None and (
            len(self._kept) + self._discarded.total() >= plan.max_windows or self._wall_s >= plan.max_wall_s
        ):
            self.stopped_by = "cap"

    def _size(self, found: Window | str, spent: Spent) -> None:
        """Set the runs of the next window: ever more until one is long enough to tell the power, then what it asks."""
        plan, baseline = self._stand.plan, self._stand.baseline
        run_s = max(spent.wall_s, 1e-9) / self._runs_per_window
        if spent.wall_s < plan.min_window_s / 2:
            # A first run may be slow for reasons of its own, so not straight to the end.
            wanted = math.ceil(plan.min_window_s / run_s)
            self._runs_per_window = min(wanted, 100 * self._runs_per_window)
            return
        self._sized = True
        # Without a valid energy, as if the power were unknown: the precision is then reached by more windows.
        length_s = (
            plan.min_window_s
            if isinstance(found, str)
            else window_length_s(baseline, found.dynamic_j(baseline.mean_w) / found.duration_s, plan)
        )
        self._runs_per_window = max(1, math.ceil(length_s / run_s))

    def _judge(self) -> None:
        plan = self._stand.plan
        if len(self._kept) < plan.first_windows:
            return
        self._estimate = found = self._current()
        if found is None:
            return
        wanted_j = plan.precision * found.energy_j
        if found.half_width_j <= wanted_j:
            self.stopped_by = "precision"
        elif found.baseline_half_width_j > wanted_j and found.windows_sd_j <= found.baseline_sd_j:
            self.stopped_by = "baseline"

    def _current(self) -> Estimate | None:
        plan = self._stand.plan
        return estimate(self._kept, self._stand.baseline, first=plan.first_windows, confidence=plan.confidence)

    def result(self) -> Measurement:
        return _measurement(
            self._kept,
            self._stand.baseline,
            self._stand.plan,
            discarded=self._discarded,
            contention_known=self._contention_known,
            stopped_by=self.stopped_by or "cap",
        )


def again(measurement: Measurement, baseline: Baseline, plan: Plan | None = None) -> Measurement:
    """The same windows with an idle power that is known better, as from a baseline taken afterwards as well."""
    plan = plan or Plan()
    found = _measurement(
        measurement.kept,
        baseline,
        plan,
        discarded=measurement.discarded,
        contention_known=measurement.contention_known,
        stopped_by=measurement.stopped_by,
    )
    narrow = found.relative_half_width is not None and found.relative_half_width <= plan.precision
    return found if narrow or found.stopped_by != "precision" else replace(found, stopped_by="baseline")


def _measurement(
    kept: Sequence[Window],
    baseline: Baseline,
    plan: Plan,
    *,
    discarded: Mapping[str, int],
    contention_known: bool,
    stopped_by: str,
) -> Measurement:
    found = estimate(kept, baseline, first=plan.first_windows, confidence=plan.confidence)
    runs = sum(window.runs for window in kept)
    harness_j = math.fsum((1 - w.share) * w.dynamic_j(baseline.mean_w) for w in kept)
    return Measurement(
        energy_j=found.energy_j if found else None,
        interval=found.interval_j if found else None,
        confidence=plan.confidence,
        noise_floor_j=found.noise_floor_j if found else None,
        below_noise_floor=abs(found.energy_j) < found.noise_floor_j if found else None,
        harness_energy_j=harness_j / runs if found else None,
        cpu_s=math.fsum(w.cpu_s for w in kept) / runs if found else None,
        windows=len(kept),
        discarded=dict(sorted(discarded.items())),
        runs=runs,
        contention_known=contention_known,
        stopped_by=stopped_by,
        kept=tuple(kept),
    )
