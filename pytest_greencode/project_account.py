"""Energy per passing test of an ordinary test suite.

    energy per passing test = energy of all runs of all tests, and of what they left running / tests that passed

Runs that failed, that were run again and that ended in a skip are in the numerator and nowhere in the denominator, as
with accepted solutions. What pytest itself used (collecting, plugins, reporting) is the harness, a figure of its own.

A test that was repeated to measure it is paid for once: with the set-up of its first run, which makes the fixtures that
others share, the mean call of all its runs that passed, and the tear-down of its last. Its variance is that of the mean
call; the suite's is the sum over tests, which are the given ones (no claim is made on other tests).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, variance
from typing import Any

from .model import Block, Factors, ItemRun, Measured, Method
from .pricing import Pricing
from .statistics import CONFIDENCE, Interval, noise_interval, student_t_quantile

PASSED = "passed"
# In the order in which a reader wants them.
OUTCOMES = ("passed", "failed", "error", "rerun", "xfailed", "xpassed", "skipped", "interrupted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A named value with its interval at `confidence`. `reason` says why there is no value, or no interval."""

    value: float | None
    interval: Interval | None = None
    confidence: float = CONFIDENCE
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAccount:
    """One test, with all its runs. CPU time in s, energy in J; None where not known.

    `outcome` is that of the run that decided. `attempts` runs were paid for, all but the last of them for nothing;
    `repetitions` more were made to measure it. The phases are sums over the paid runs. `unsteady`: a repetition did
    not pass although the test did. Intervals are there where the test was repeated and passed.
    """

    test_id: str
    outcome: str
    attempts: int
    repetitions: int
    unsteady: bool
    cpu_s: float | None
    setup_cpu_s: float | None
    call_cpu_s: float | None
    teardown_cpu_s: float | None
    cpu_interval: Interval | None
    energy_j: float | None
    energy_interval: Interval | None
    energy_method: Method
    wall_s: float | None

    @property
    def passed(self) -> bool:
        return self.outcome == PASSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What something took: CPU time in s, energy in J. None where any part of it is not known."""

    cpu_s: float | None
    energy_j: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """A process that outlived the test which started it, and the CPU seconds that it used afterwards."""

    test_id: str
    name: str
    cpu_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectAccount:
    """An ordinary test suite. `selected` tests were to be run, `outcomes` counts those that were.

    `tests_cost` is the numerator: all paid runs and the `background` (what was left running). `by_outcome` splits it
    by what became of each run, without the background. `repetitions` and `harness` are apart. `wasted_share` is the
    part of the numerator's runs of which no passing test came (of energy; of CPU time where energy is not known).
    `lost`: tests of which nobody knows what they used, as their process died; then there is no headline.
    """

    selected: int | None
    passing: int
    outcomes: Mapping[str, int]
    tests_cost: Spent
    by_outcome: Mapping[str, Spent]
    background: Spent
    left_behind: tuple[LeftBehind, ...]
    repetitions: Spent
    harness: Spent
    energy_per_passing_test_j: Figure
    cpu_seconds_per_passing_test: Figure
    co2e_per_passing_test_g: Figure
    operational_per_passing_test_g: float | None
    embodied_per_passing_test_g: float | None
    wasted_share: float | None
    reruns: int
    unsteady: tuple[str, ...]
    lost: tuple[str, ...]
    method: Method
    source: str
    tests: tuple[ItemAccount, ...]
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def per_test(self) -> dict[str, tuple[float | None, float | None]]:
        """Test id -> (CPU seconds, joules), for pairing two runs of one suite."""
        return {test.test_id: (test.cpu_s, test.energy_j) for test in self.tests}

    @property
    def not_run(self) -> int:
        return max(0, (self.selected or 0) - len(self.tests))


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRecords:
    """What is known of a suite's run: its tests' runs with their energies, and what else was used meanwhile."""

    runs: Sequence[ItemRun]
    harness: Spent
    background: Spent
    source: str
    selected: int | None = None
    left_behind: Sequence[LeftBehind] = ()
    blocks: Sequence[Block] = ()
    measured: Mapping[str, Measured] = field(default_factory=dict)
    notes: Sequence[str] = ()


def project_account(records: ProjectRecords, factors: Factors) -> ProjectAccount | None:
    """The account of a suite's runs, in the order in which its tests first ran; None where there are none."""
    by_test: defaultdict[str, list[ItemRun]] = defaultdict(list)
    for run in records.runs:
        by_test[run.test_id].append(run)
    if not by_test:
        return None
    items = [_Item(runs, records.measured.get(test_id)) for test_id, runs in by_test.items()]
    tests = tuple(item.account() for item in items)
    paid = [part for item in items for part in item.paid]
    passing = sum(item.outcome == PASSED for item in items)
    lost = tuple(item.test_id for item in items if any(run.cpu_s is None for run in item.runs))
    cost = _sum([*(Spent(cpu_s=run.cpu_s, energy_j=run.energy_j) for run in paid), records.background])
    by_outcome = {
        outcome: _sum(Spent(cpu_s=run.cpu_s, energy_j=run.energy_j) for run in paid if _outcome(run) == outcome)
        for outcome in OUTCOMES
        if any(_outcome(run) == outcome for run in paid)
    }
    methods = Counter(run.energy_method for run in paid)
    energy = _figure(cost.energy_j, passing, lost, [item.energy_variance for item in items], items)
    return ProjectAccount(
        selected=records.selected,
        passing=passing,
        outcomes={outcome: count for outcome in OUTCOMES if (count := sum(item.outcome == outcome for item in items))},
        tests_cost=cost,
        by_outcome=by_outcome,
        background=records.background,
        left_behind=tuple(records.left_behind),
        repetitions=_sum(Spent(cpu_s=run.cpu_s, energy_j=run.energy_j) for run in records.runs if run.repetition),
        harness=records.harness,
        energy_per_passing_test_j=energy,
        cpu_seconds_per_passing_test=_figure(cost.cpu_s, passing, lost, [item.cpu_variance for item in items], items),
        **_carbon(energy, passing, _total(test.wall_s for test in tests), factors),
        wasted_share=_wasted(by_outcome),
        reruns=sum(len(item.paid) - 1 for item in items),
        unsteady=tuple(item.test_id for item in items if item.unsteady),
        lost=lost,
        method=max(methods, key=list(Method).index, default=Method.MISSING),
        source=records.source,
        tests=tests,
        blocks=tuple(_priced(block, by_test[block.test_id]) for block in records.blocks),
        notes=tuple(records.notes),
    )


def _outcome(run: ItemRun) -> str:
    return run.outcome if run.outcome in OUTCOMES else "interrupted"


# One test.


class _Item:
    """The runs of one test, and what is paid for them."""

    def __init__(self, runs: Sequence[ItemRun], measured: Measured | None) -> None:
        self.runs = runs
        self.test_id = runs[0].test_id
        attempts: dict[int, list[ItemRun]] = {}
        for run in runs:
            attempts.setdefault(run.attempt, []).append(run)
        # A session that was broken off may have repetitions alone.
        deciding = [
            next((run for run in group if not run.repetition), group[-1]) for _, group in sorted(attempts.items())
        ]
        self.outcome = _outcome(deciding[-1])
        self.repeated = [run for run in runs if run.repetition and run.outcome == PASSED]
        self.unsteady = self.outcome == PASSED and any(run.repetition and run.outcome != PASSED for run in runs)
        self.calls = [deciding[-1], *self.repeated] if self.outcome == PASSED and self.repeated else []
        first = min((run for run in runs if run.repetition), key=lambda run: run.repetition, default=None)
        self.paid = [*deciding[:-1], _averaged(deciding[-1], first, self.calls)]
        self.measured = measured if measured is not None and measured.above_noise else None
        if self.measured is not None:
            self.paid[-1] = _with_measured(self.paid[-1], self.measured)

    @property
    def cpu_variance(self) -> tuple[float, int] | None:
        """Of the test's CPU time, with its degrees of freedom; None where it was not repeated."""
        return _variance_of_mean([run.call_cpu_s for run in self.calls])

    @property
    def energy_variance(self) -> tuple[float, int] | None:
        if self.measured is not None:
            return _variance_of_interval(self.measured)
        return _variance_of_mean([_call_j(run) for run in self.calls])

    def account(self) -> ItemAccount:
        cost = _sum(Spent(cpu_s=run.cpu_s, energy_j=run.energy_j) for run in self.paid)
        walls = [
            run.finished_at - run.started_at
            for run in self.paid
            if run.started_at is not None and run.finished_at is not None
        ]
        methods = [run.energy_method for run in self.paid]
        return ItemAccount(
            test_id=self.test_id,
            outcome=self.outcome,
            attempts=len(self.paid),
            repetitions=sum(bool(run.repetition) for run in self.runs),
            unsteady=self.unsteady,
            cpu_s=cost.cpu_s,
            setup_cpu_s=_total(run.setup_cpu_s for run in self.paid),
            call_cpu_s=_total(run.call_cpu_s for run in self.paid),
            teardown_cpu_s=_total(run.teardown_cpu_s for run in self.paid),
            cpu_interval=_around(cost.cpu_s, self.cpu_variance),
            energy_j=cost.energy_j,
            energy_interval=_around(cost.energy_j, self.energy_variance),
            energy_method=max(methods, key=list(Method).index),
            wall_s=math.fsum(walls) if len(walls) == len(self.paid) else None,
        )


def _averaged(last: ItemRun, first: ItemRun | None, calls: Sequence[ItemRun]) -> ItemRun:
    """The run that decided, as it is paid for: see the module."""
    if first is None or last.cpu_s is None or first.cpu_s is None:
        return last
    call_s = fmean(run.call_cpu_s or 0.0 for run in calls) if calls else last.call_cpu_s
    paid = replace(last, setup_cpu_s=first.setup_cpu_s, call_cpu_s=call_s)
    parts = [_phase_j(first, first.setup_cpu_s), _phase_j(last, last.teardown_cpu_s)]
    parts += [_mean([_call_j(run) for run in calls])] if calls else [_call_j(last)]
    return replace(paid, energy_j=_total(parts))


def _with_measured(paid: ItemRun, measured: Measured) -> ItemRun:
    """What was measured alone is a whole run; what the paid one has beyond it, such as shared fixtures, is added."""
    beyond_s = max(0.0, (paid.cpu_s or 0.0) - (measured.cpu_s or 0.0))
    beyond_j = beyond_s * paid.energy_j / paid.cpu_s if paid.energy_j is not None and paid.cpu_s else 0.0
    energy_j = None if measured.energy_j is None else measured.energy_j + beyond_j
    return replace(paid, energy_j=energy_j, energy_method=Method.MEASURED)


def _phase_j(run: ItemRun, part_s: float | None) -> float | None:
    """A phase's part of a run's energy, by CPU time."""
    if run.energy_j is None or part_s is None or run.cpu_s is None:
        return None
    return run.energy_j * part_s / run.cpu_s if run.cpu_s else 0.0


def _call_j(run: ItemRun) -> float | None:
    return _phase_j(run, run.call_cpu_s)


def _variance_of_mean(values: Sequence[float | None]) -> tuple[float, int] | None:
    known = [value for value in values if value is not None]
    if len(known) < 2 or len(known) < len(values):
        return None
    return variance(known) / len(known), len(known) - 1


def _variance_of_interval(measured: Measured) -> tuple[float, int] | None:
    if measured.low_j is None or measured.high_j is None or measured.windows < 2:
        return None
    degrees = measured.windows - 1
    half = (measured.high_j - measured.low_j) / 2
    return (half / student_t_quantile((1 + measured.confidence) / 2, degrees)) ** 2, degrees


def _around(value: float | None, found: tuple[float, int] | None) -> Interval | None:
    if value is None or found is None:
        return None
    half = student_t_quantile((1 + CONFIDENCE) / 2, found[1]) * math.sqrt(found[0])
    return max(0.0, value - half), value + half


# The suite.


def _figure(
    cost: float | None,
    passing: int,
    lost: Sequence[str],
    variances: Sequence[tuple[float, int] | None],
    items: Sequence[_Item],
) -> Figure:
    """A cost over the passing tests. The interval asks for the noise of repeated runs, of these very tests."""
    if lost:
        return Figure(value=None, reason=f"{_tests(len(lost))} died with their process: what they used is not known")
    if cost is None:
        return Figure(value=None, reason="no energy is known of some runs")
    if not passing:
        return Figure(value=None, reason="no test passed")
    # What did not pass, or used nothing, was not repeated, and is taken as it is.
    known = [each for each, item in zip(variances, items, strict=True) if item.outcome == PASSED]
    once = sum(each is None for each in known)
    if once:
        return Figure(value=cost / passing, reason=f"{_tests(once)} of {passing} passing ran only once")
    degrees = [each[1] for each in known if each is not None]
    interval = noise_interval(cost, passing, [each[0] for each in known if each is not None], degrees)
    return Figure(value=cost / passing, interval=interval, reason=None if interval else "nothing varied")


def _carbon(energy: Figure, passing: int, wall_s: float | None, factors: Factors) -> dict[str, Any]:
    """Grams per passing test: operational by energy, embodied by the time for which a test holds a hardware thread."""
    pricing = Pricing(factors)
    operational = None if energy.value is None else pricing.execution_g(energy.value)
    embodied = None if wall_s is None or not passing else pricing.execution_embodied_g(wall_s)
    embodied = None if embodied is None else embodied / passing
    total = None if operational is None or embodied is None else operational + embodied
    interval = None
    if total is not None and embodied is not None and energy.interval is not None:
        low, high = (pricing.execution_g(end) + embodied for end in energy.interval)
        interval = (low, high)
    return {
        "co2e_per_passing_test_g": Figure(value=total, interval=interval, reason=energy.reason),
        "operational_per_passing_test_g": operational,
        "embodied_per_passing_test_g": embodied,
    }


def _wasted(by_outcome: Mapping[str, Spent]) -> float | None:
    for unit in ("energy_j", "cpu_s"):
        costs: dict[str, float | None] = {outcome: getattr(spent, unit) for outcome, spent in by_outcome.items()}
        whole = _total(costs.values())
        if whole:
            return 1 - (costs.get(PASSED) or 0.0) / whole
    return None


def _priced(block: Block, runs: Iterable[ItemRun]) -> Block:
    """A block whose energy was not known at once has its part of its test's, by CPU time."""
    if block.energy_j is not None:
        return block
    for run in runs:
        if run.started_at is not None and run.finished_at is not None:
            within = run.started_at <= block.started_at and block.finished_at <= run.finished_at
            energy_j = _phase_j(run, block.cpu_s)
            if within and energy_j is not None:
                return replace(block, energy_j=energy_j, energy_method=run.energy_method)
    return block


def _sum(parts: Iterable[Spent]) -> Spent:
    found = list(parts)
    return Spent(cpu_s=_total(part.cpu_s for part in found), energy_j=_total(part.energy_j for part in found))


def _total(values: Iterable[float | None]) -> float | None:
    found = list(values)
    return None if None in found else math.fsum(value or 0.0 for value in found)


def _mean(values: Sequence[float | None]) -> float | None:
    whole = _total(values)
    return None if whole is None else whole / len(values)


def _tests(count: int) -> str:
    return f"{count} test{'s' if count != 1 else ''}"
