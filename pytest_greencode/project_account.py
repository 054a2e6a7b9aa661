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
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean, variance
from typing import Any, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from .model import Block, Factors, ItemRun, Measured, Method
from .pricing import Pricing
from .reasons import Reason
from .statistics import CONFIDENCE, Interval, noise_interval, student_t_quantile

PASSED = "passed"
_WEAKEST_LAST = list(Method)
# With its degrees of freedom.
Variance = tuple[float, int]
# In the order in which a reader wants them.
OUTCOMES = ("passed", "failed", "error", "rerun", "xfailed", "xpassed", "skipped", "interrupted")


class Figure(Struct, frozen=True, kw_only=True):
    """A named value with its interval at `confidence`. `reason` says why there is no value, or no interval."""

    value: float | None
    interval: Interval | None = None
    confidence: float = CONFIDENCE
    reason: str | None = None


class Variances(NamedTuple):
    """Of the mean CPU time (s^2) and energy (J^2) of a test's runs; None where not known."""

    cpu: Variance | None
    energy: Variance | None


class ItemAccount(Struct, frozen=True, kw_only=True, gc=False):
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


class Spent(Struct, frozen=True, kw_only=True):
    """What something took: CPU time in s, energy in J. None where any part of it is not known."""

    cpu_s: float | None
    energy_j: float | None


class LeftBehind(Struct, frozen=True, kw_only=True):
    """A process that outlived the test which started it, and the CPU seconds that it used afterwards."""

    test_id: str
    name: str
    cpu_s: float


class ProjectAccount(Struct, frozen=True, kw_only=True):
    """An ordinary test suite. `selected` tests were to be run, `outcomes` counts those that were.

    `tests_cost` is the numerator: all paid runs and the `background` (what was left running). `by_outcome` splits it
    by what became of each run, without the background. `repetitions` and `harness` are apart. `wasted_share` is the
    part of the numerator's runs of which no passing test came (of energy; of CPU time where energy is not known).
    `lost`: tests of which nobody knows what they used, as their process died; then there is no headline.
    `variances`: of the tests that were repeated and passed. `startup_cpu_s`: of the harness, what starting Python and
    pytest took, in all processes: the same work in every run, which tells how fast the machine was.
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
    startup_cpu_s: float | None
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
    variances: Mapping[str, Variances] = field(default_factory=dict)
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def not_run(self) -> int:
        return max(0, (self.selected or 0) - len(self.tests))


class ProjectRecords(Struct, frozen=True, kw_only=True):
    """What is known of a suite's run: its tests' runs with their energies, and what else was used meanwhile."""

    runs: Sequence[ItemRun]
    harness: Spent
    background: Spent
    source: str
    selected: int | None = None
    startup_cpu_s: float | None = None
    left_behind: Sequence[LeftBehind] = ()
    blocks: Sequence[Block] = ()
    measured: Mapping[str, Measured] = field(default_factory=dict)
    notes: Sequence[str] = ()


def project_account(records: ProjectRecords, factors: Factors) -> ProjectAccount | None:
    """The account of a suite's runs, in the order in which its tests first ran; None where there are none."""
    by_test: dict[str, list[ItemRun]] = {}
    for run in records.runs:
        by_test.setdefault(run.test_id, []).append(run)
    if not by_test:
        return None
    tests: list[ItemAccount] = []
    paid: dict[str, list[ItemRun]] = {outcome: [] for outcome in OUTCOMES}
    variances: dict[str, Variances] = {}
    reruns = 0
    for test_id, runs in by_test.items():
        if len(runs) == 1 and test_id not in records.measured:
            # Nearly all tests run once, and there may be many.
            tests.append(test := _once(runs[0]))
            paid[test.outcome].append(runs[0])
            continue
        item = _Item(runs, records.measured.get(test_id))
        tests.append(item.account())
        reruns += len(item.paid) - 1
        for run in item.paid:
            paid[_outcome(run)].append(run)
        if item.outcome == PASSED:
            variances[test_id] = item.variances
    spent = {outcome: _spent(runs) for outcome, runs in paid.items() if runs}
    cost = _sum([*spent.values(), records.background])
    outcomes = Counter(test.outcome for test in tests)
    passing = outcomes[PASSED]
    lost = tuple(dict.fromkeys(run.test_id for run in records.runs if run.setup_cpu_s is None))
    energy = _figure(cost.energy_j, passing, lost, [each.energy for each in variances.values()])
    return ProjectAccount(
        selected=records.selected,
        passing=passing,
        outcomes={outcome: outcomes[outcome] for outcome in OUTCOMES if outcomes[outcome]},
        tests_cost=cost,
        by_outcome=spent,
        background=records.background,
        left_behind=tuple(records.left_behind),
        repetitions=_spent([run for run in records.runs if run.repetition]),
        harness=records.harness,
        startup_cpu_s=records.startup_cpu_s,
        energy_per_passing_test_j=energy,
        cpu_seconds_per_passing_test=_figure(cost.cpu_s, passing, lost, [each.cpu for each in variances.values()]),
        **_carbon(energy, passing, _total([test.wall_s for test in tests]), factors),
        wasted_share=_wasted(spent),
        reruns=reruns,
        unsteady=tuple(test.test_id for test in tests if test.unsteady),
        lost=lost,
        method=_weakest({test.energy_method for test in tests}),
        source=records.source,
        tests=tuple(tests),
        variances=variances,
        blocks=tuple(_priced(block, by_test.get(block.test_id, ())) for block in records.blocks),
        notes=(*_alone(tests, records.measured), *records.notes),
    )


def _alone(tests: Sequence[ItemAccount], measured: Mapping[str, Measured]) -> Iterator[str]:
    """What became of measuring tests alone."""
    found = [measured[test.test_id] for test in tests if test.test_id in measured]
    if found:
        below = sum(not each.above_noise for each in found)
        keep = f"; {below} are below the noise of the idle machine and keep their share by CPU time" if below else ""
        yield f"{_tests(len(found))} measured alone and repeated{keep}"


def _outcome(run: ItemRun) -> str:
    return run.outcome if run.outcome in OUTCOMES else "interrupted"


# One test.


class _Item:
    """The runs of one test, and what is paid for them."""

    def __init__(self, runs: Sequence[ItemRun], measured: Measured | None) -> None:
        self.test_id = runs[0].test_id
        self.measured = measured if measured is not None and measured.above_noise else None
        self.calls: list[ItemRun] = []
        self.unsteady, self.repetitions = False, 0
        self.paid = list(runs)
        if len(runs) > 1:
            self._choose(runs)
        self.outcome = _outcome(self.paid[-1])
        if self.measured is not None:
            self.paid[-1] = _with_measured(self.paid[-1], self.measured)

    def _choose(self, runs: Sequence[ItemRun]) -> None:
        """Of several runs those that are paid for."""
        attempts: dict[int, list[ItemRun]] = {}
        for run in runs:
            attempts.setdefault(run.attempt, []).append(run)
        # A session that was broken off may have repetitions alone.
        self.paid = [
            next((run for run in group if not run.repetition), group[-1]) for _, group in sorted(attempts.items())
        ]
        repeated = [run for run in runs if run.repetition]
        self.repetitions = len(repeated)
        if repeated:
            last = self.paid[-1]
            passed = [run for run in repeated if run.outcome == PASSED]
            if last.outcome == PASSED:
                self.unsteady = len(passed) < len(repeated)
                self.calls = [last, *passed] if passed else []
            self.paid[-1] = _averaged(last, min(repeated, key=lambda run: run.repetition), self.calls)

    @property
    def variances(self) -> Variances:
        cpu = _variance_of_mean([run.call_cpu_s for run in self.calls])
        if self.measured is not None:
            return Variances(cpu, _variance_of_interval(self.measured))
        return Variances(cpu, _variance_of_mean([_call_j(run) for run in self.calls]))

    def account(self) -> ItemAccount:
        paid, cost, variances = self.paid, _spent(self.paid), self.variances
        return ItemAccount(
            test_id=self.test_id,
            outcome=self.outcome,
            attempts=len(paid),
            repetitions=self.repetitions,
            unsteady=self.unsteady,
            cpu_s=cost.cpu_s,
            setup_cpu_s=_total([run.setup_cpu_s for run in paid]),
            call_cpu_s=_total([run.call_cpu_s for run in paid]),
            teardown_cpu_s=_total([run.teardown_cpu_s for run in paid]),
            cpu_interval=_around(cost.cpu_s, variances.cpu),
            energy_j=cost.energy_j,
            energy_interval=_around(cost.energy_j, variances.energy),
            energy_method=_weakest(run.energy_method for run in paid),
            wall_s=_total([_wall_s(run) for run in paid]),
        )


def _once(run: ItemRun) -> ItemAccount:
    """A test that ran once."""
    return ItemAccount(
        test_id=run.test_id,
        outcome=_outcome(run),
        attempts=1,
        repetitions=0,
        unsteady=False,
        cpu_s=run.cpu_s,
        setup_cpu_s=run.setup_cpu_s,
        call_cpu_s=run.call_cpu_s,
        teardown_cpu_s=run.teardown_cpu_s,
        cpu_interval=None,
        energy_j=run.energy_j,
        energy_interval=None,
        energy_method=run.energy_method,
        wall_s=_wall_s(run),
    )


def _weakest(methods: Iterable[Method]) -> Method:
    return max(methods, key=_WEAKEST_LAST.index)


def _wall_s(run: ItemRun) -> float | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return max(0.0, run.finished_at - run.started_at)


def _averaged(last: ItemRun, first: ItemRun, calls: Sequence[ItemRun]) -> ItemRun:
    """The run that decided, as it is paid for: see the module."""
    if last.cpu_s is None or first.cpu_s is None:
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


def _variance_of_mean(values: Sequence[float | None]) -> Variance | None:
    known = [value for value in values if value is not None]
    if len(known) < 2 or len(known) < len(values):
        return None
    return variance(known) / len(known), len(known) - 1


def _variance_of_interval(measured: Measured) -> Variance | None:
    if measured.low_j is None or measured.high_j is None or measured.windows < 2:
        return None
    degrees = measured.windows - 1
    half = (measured.high_j - measured.low_j) / 2
    return (half / student_t_quantile((1 + measured.confidence) / 2, degrees)) ** 2, degrees


def _around(value: float | None, found: Variance | None) -> Interval | None:
    if value is None or found is None:
        return None
    half = student_t_quantile((1 + CONFIDENCE) / 2, found[1]) * math.sqrt(found[0])
    return max(0.0, value - half), value + half


# The suite.


def _figure(cost: float | None, passing: int, lost: Sequence[str], variances: Sequence[Variance | None]) -> Figure:
    """A cost over the passing tests, given each one's variance. The interval is of the noise of repeated calls.

    What did not pass was not repeated, and is taken as it is.
    """
    if lost:
        return Figure(value=None, reason=Reason("tests_lost", count=len(lost)))
    if cost is None:
        return Figure(value=None, reason=Reason("runs_without_energy"))
    if not passing:
        return Figure(value=None, reason=Reason("none_passed"))
    known = [each for each in variances if each is not None]
    if len(known) < passing:
        once = Reason("ran_once", count=passing - len(known), passing=passing)
        return Figure(value=cost / passing, reason=once)
    interval = noise_interval(cost, passing, [each[0] for each in known], [each[1] for each in known])
    return Figure(value=cost / passing, interval=interval, reason=None if interval else Reason("nothing_varied"))


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
    unknown = operational is not None and embodied is None
    why = Reason("machine_unknown") if unknown else energy.reason
    return {
        "co2e_per_passing_test_g": Figure(value=total, interval=interval, reason=why),
        "operational_per_passing_test_g": operational,
        "embodied_per_passing_test_g": embodied,
    }


def _wasted(by_outcome: Mapping[str, Spent]) -> float | None:
    for unit in ("energy_j", "cpu_s"):
        costs: dict[str, float | None] = {outcome: getattr(spent, unit) for outcome, spent in by_outcome.items()}
        whole = _total([*costs.values()])
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


def _spent(runs: Sequence[ItemRun]) -> Spent:
    return Spent(cpu_s=_total([run.cpu_s for run in runs]), energy_j=_total([run.energy_j for run in runs]))


def _sum(parts: Sequence[Spent]) -> Spent:
    return Spent(cpu_s=_total([part.cpu_s for part in parts]), energy_j=_total([part.energy_j for part in parts]))


def _total(values: Sequence[float | None]) -> float | None:
    if len(values) == 1:
        return values[0]
    return None if None in values else math.fsum(value or 0.0 for value in values)


def _mean(values: Sequence[float | None]) -> float | None:
    whole = _total(values)
    return None if whole is None else whole / len(values)


def _tests(count: int) -> str:
    return f"{count} test{'s' if count != 1 else ''}"
