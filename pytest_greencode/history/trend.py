"""How key figures went from run to run of one series, and where they stepped. Pure.

A step is a change from the run before whose 95 % interval leaves out everything nearer to none than a margin. Where
both runs' tasks are known the interval is paired by task; else it is made of the two runs' own (MOVER: Zou & Donner
2008, Stat. Med. 27:1693), which asks for more, as hard tasks are hard in both. Neither knows how far two runs of the
same differ because the machine was in another state: that is what the margin is for.

Ordinary tests are compared as the gate compares them: those of both runs, with the noise that their repetitions or
their neighbours show, and without what a slower machine explains. What is left of the machine's state is in all tests
alike, and the runs themselves show how much it is: the margin of tests is three times the middle change from run to run
(of logarithms; 2.02 standard deviations if these are normal; the lower of two middle ones, so that of few changes a
step and its repair do not hide each other). Of fewer than eight changes the missing ones are taken to be as large as
where nothing is known. There are many runs, and slow moments are not rare: one run alone makes no step. This run and
the next have to be apart from each of the two before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median_low

from msgspec import Struct
from msgspec.structs import replace

from ..comparison import compare
from ..economics.economy import Economy
from ..economics.expectation import NOT_POSITIVE, Direction, Figure, paired_ratio, unknown
from ..gate import Field, Quantity, Subject, field_named
from ..gate.suite_noise import ASSUMED
from ..gate.suites import against, named
from ..reasons import Reason
from ..statistics import CONFIDENCE, Interval, student_t_quantile
from .figures import KeyFigures, Line, ProjectFigures

MARGIN = 0.01
_WIDEST = 100.0  # of the logarithm of a ratio
_ALL = "all tests"
_MANY = 10**6  # degrees of freedom of what is not estimated
ENOUGH = 8  # changes that show their size
_ASSUMED = 0.6745 * math.sqrt(2) * ASSUMED  # the middle one of as many as one likes
_BEYOND = 3.0  # middle changes


class Measure(Struct, frozen=True, kw_only=True):
    """A key figure. `relative`: its changes are ratios, else differences of shares; `more_is_better`: of pass@k.

    `field`: what the gate calls it, of ordinary tests.
    """

    name: str
    value: str
    interval: str | None
    relative: bool = True
    more_is_better: bool = False

    @property
    def field(self) -> Field | None:
        found = field_named(self.value)
        return found if found is not None and found.of_tests else None


CO2E = Measure(name="co2e", value="co2e_g_per_accepted", interval="interval")
MEASURES = (
    CO2E,
    Measure(name="energy", value="energy_j_per_accepted", interval="energy_interval"),
    Measure(name="money", value="money_per_accepted", interval="money_interval"),
    Measure(name="pass", value="pass_at_k", interval="pass_interval", relative=False, more_is_better=True),
    _WASTE := Measure(name="waste", value="waste_share", interval=None, relative=False),
)
# Their grams are their joules by a grid that is the same in all runs of a series.
MEASURES_OF_TESTS = (
    _ENERGY_OF_TESTS := Measure(name="energy_of_tests", value="energy_per_passing_test_j", interval="energy_interval"),
    _CPU := Measure(name="cpu", value="cpu_seconds_per_passing_test", interval="cpu_interval"),
    Measure(name="passing", value="passing", interval=None, relative=False),
    _WASTE,
)
FIELDS_OF_TESTS = tuple(measure.field for measure in MEASURES_OF_TESTS if measure.field is not None)


class Logged(Struct, frozen=True, kw_only=True):
    """A line of a history; where the run's ledger is at hand with its economy, or with what each test cost."""

    line: Line
    economy: Economy | None = None
    tests: Subject | None = None


class Change(Struct, frozen=True, kw_only=True):
    """`size` is now / then, or now - then. Of samples it is a step where its interval is beyond the `margin`.

    Of tests, where the interval is beyond MARGIN, and the ratio beyond the margin without what a slower `machine`
    explains; `refuted`: runs beside these two do not agree; `latest`: there is no next one yet that could.

    `paired` by task, or by test. `because`: the tests of which it comes. `remark`: what is to be known of it.
    """

    measure: Measure
    then: Line
    now: Line
    size: Figure
    paired: bool
    margin: float
    machine: float = 1.0
    because: str = ""
    remark: str = ""
    refuted: bool = False
    latest: bool = False

    @property
    def direction(self) -> Direction:
        """Whether it is a step, and which way."""
        if self.size.value is None or self.size.interval is None:
            return Direction.UNKNOWN
        of_tests = self.measure.field is not None
        found = {self._beyond(end, min(self.margin, MARGIN) if of_tests else self.margin) for end in self.size.interval}
        if of_tests:
            found.add(self._beyond(self.size.value / self.machine, self.margin))
        return found.pop() if len(found) == 1 and not self.refuted else Direction.UNCERTAIN

    def _beyond(self, size: float, margin: float) -> Direction:
        least, most = (1 / (1 + margin), 1 + margin) if self.measure.relative else (0.0, 0.0)
        if size < least:
            return Direction.LESS
        return Direction.MORE if size > most else Direction.UNCERTAIN

    @property
    def is_step(self) -> bool:
        return self.direction in (Direction.LESS, Direction.MORE)


class Point(Struct, frozen=True, kw_only=True):
    """`change` is from the last run before of which the figure is known; None for the first."""

    line: Line
    value: float | None
    interval: Interval | None
    change: Change | None


class Trend(Struct, frozen=True, kw_only=True):
    """One key figure of one series; `overall` is from its first run to its last, None with one run.

    `margin`: what a step has to be beyond. `shown_by`: how many changes have shown it; None where it was given.
    """

    measure: Measure
    points: tuple[Point, ...]
    overall: Change | None
    margin: float
    shown_by: int | None = None


class Series(Struct, frozen=True, kw_only=True):
    """Runs of one configuration on the same tasks by the same factors, in their order; `trends` of what is known.

    Or runs of ordinary tests under the same conditions.
    """

    lines: tuple[Line, ...]
    trends: tuple[Trend, ...]

    @property
    def last(self) -> Line:
        return self.lines[-1]


def series_of(logged: Iterable[Logged], *, margin: float | None = None) -> list[Series]:
    """One for each series, in the order in which they begin.

    `margin`: the smallest relative change that is a step; None: MARGIN, and of tests what their runs show.
    """
    groups: dict[object, list[Logged]] = {}
    for each in logged:
        groups.setdefault(each.line.key, []).append(each)
    return [
        Series(
            lines=tuple(each.line for each in runs),
            trends=tuple(
                _trend(measure, runs, margin)
                for measure in measures_of(runs[0].line)
                if any(getattr(each.line, measure.value) is not None for each in runs)
            ),
        )
        for runs in groups.values()
    ]


def measures_of(line: Line) -> tuple[Measure, ...]:
    return MEASURES if isinstance(line, KeyFigures) else MEASURES_OF_TESTS


def changes(before: Sequence[Line], figures: Sequence[Line], *, margin: float | None = None) -> list[Change]:
    """Each run's grams beside the last of its series, of tests their energy (CPU time where it is not known).

    Those without a forerunner are left out.
    """
    found = []
    for now in figures:
        runs = [Logged(line=line) for line in (*before, now) if line.key == now.key]
        measure = CO2E if isinstance(now, KeyFigures) else _ENERGY_OF_TESTS
        if measure is _ENERGY_OF_TESTS and any(_of(measure, each.line)[0] is None for each in runs[-2:]):
            measure = _CPU
        found.append(_trend(measure, runs, margin).points[-1].change)
    return [each for each in found if each is not None]


def change(measure: Measure, then: Logged, now: Logged, *, margin: float = MARGIN) -> Change:
    """From one run of a series to another."""
    if (of_tests := _of_tests(measure, then, now, margin)) is not None:
        return of_tests
    found = _paired(measure, then, now)
    size = _unpaired(measure, then.line, now.line) if found is None else found
    return Change(measure=measure, then=then.line, now=now.line, size=size, paired=found is not None, margin=margin)


def _trend(measure: Measure, runs: Sequence[Logged], margin: float | None) -> Trend:
    compared = [_before(measure, runs, position) for position in range(len(runs))]
    found = [
        None if then is None else change(measure, runs[then], now) for then, now in zip(compared, runs, strict=True)
    ]
    shown_by = None
    if margin is None:
        margin = MARGIN
        if measure.field is not None:
            sizes = _sizes(found)
            shown_by, margin = len(sizes), max(MARGIN, _noise(sizes))
    points = []
    for each, from_before in zip(runs, found, strict=True):
        value, interval = _of(measure, each.line)
        moved = None if from_before is None else replace(from_before, margin=margin)
        points.append(Point(line=each.line, value=value, interval=interval, change=moved))
    overall = change(measure, runs[0], runs[-1], margin=margin) if len(runs) > 1 else None
    if measure.field is not None:
        known = [position for position, point in enumerate(points) if point.value is not None]
        points = [_confirmed(measure, runs, known, point, position) for position, point in enumerate(points)]
        if overall is not None and len(known) > 1:
            overall = _agreed(measure, runs, overall, known[:2], known[-2:])
    return Trend(measure=measure, points=tuple(points), overall=overall, margin=margin, shown_by=shown_by)


def _before(measure: Measure, runs: Sequence[Logged], position: int) -> int | None:
    """The last run before of which the figure is known; else the one before."""
    earlier = range(position - 1, -1, -1)
    known = (each for each in earlier if _of(measure, runs[each].line)[0] is not None)
    return next(known, position - 1 if position else None)


def _confirmed(measure: Measure, runs: Sequence[Logged], known: Sequence[int], point: Point, position: int) -> Point:
    """Of a series of tests; `known`: the runs of which the figure is."""
    if point.change is None or not point.change.is_step:
        return point
    before, after = ([each for each in known if each < position][-2:], [each for each in known if each >= position][:2])
    found = _agreed(measure, runs, point.change, before, after)
    return replace(point, change=replace(found, latest=len(after) == 1))


def _agreed(
    measure: Measure, runs: Sequence[Logged], found: Change, before: Sequence[int], after: Sequence[int]
) -> Change:
    """Refuted where any of these before and after, as far as it can be compared, is not apart as the two are."""
    others = (
        change(measure, runs[then], runs[now], margin=found.margin) for then in before for now in after if then < now
    )
    agree = all(other.size.value is None or other.direction is found.direction for other in others)
    return found if agree else replace(found, refuted=True)


def _sizes(changes: Iterable[Change | None]) -> list[float]:
    """Logarithms of the changes that are known, without signs and without what a slower machine explains."""
    known = [each for each in changes if each is not None and each.size.value is not None and each.size.value > 0]
    return [abs(math.log((each.size.value or 1.0) / each.machine)) for each in known]


def _noise(sizes: Sequence[float]) -> float:
    """How far two runs of the same tests may be apart, as far as the runs show it: that many times, less 1."""
    padded = [*sizes, *[_ASSUMED] * (ENOUGH - len(sizes))]
    return math.expm1(min(_BEYOND * median_low(padded), _WIDEST))


def _of(measure: Measure, line: Line) -> tuple[float | None, Interval | None]:
    return getattr(line, measure.value), None if measure.interval is None else getattr(line, measure.interval)


def _paired(measure: Measure, then: Logged, now: Logged) -> Figure | None:
    """Where both runs' tasks are at hand; None for a figure that has no paired interval."""
    if then.economy is None or now.economy is None or not isinstance(now.line, KeyFigures):
        return None
    if (k := now.line.attempts) is None:
        return None
    if measure.name == "money":
        return paired_ratio(now.economy.money.costs, then.economy.money.costs)
    found = compare(now.economy.configuration, then.economy.configuration, k)
    if measure.name == "pass":
        points = found.pass_probability
        ends = None if points.interval_pp is None else (points.interval_pp[0] / 100, points.interval_pp[1] / 100)
        value = None if points.value_pp is None else points.value_pp / 100
        return Figure(value=value, interval=ends, reason=points.reason)
    ratio = {"co2e": found.co2e_g, "energy": found.energy_j}.get(measure.name)
    return None if ratio is None else Figure(value=ratio.value, interval=ratio.interval, reason=ratio.reason)


def _unpaired(measure: Measure, then: Line, now: Line) -> Figure:
    (before, old), (after, new) = _of(measure, then), _of(measure, now)
    if before is None or after is None:
        return unknown(now.reason or then.reason or Reason("not_known"))
    if not measure.relative:
        ends = None if old is None or new is None else _mover(before, old, after, new)
        return Figure(value=after - before, interval=ends, reason=None if ends else "no interval of both")
    if not (before > 0 and after > 0 and math.isfinite(after / before)):
        return unknown(NOT_POSITIVE)
    if old is None or new is None or min(*old, *new) <= 0:
        return Figure(value=after / before, reason="no interval of both")
    logs = [tuple(map(math.log, interval)) for interval in (old, new)]
    low, high = _mover(math.log(before), (logs[0][0], logs[0][1]), math.log(after), (logs[1][0], logs[1][1]))
    if max(-low, high) > _WIDEST:
        return Figure(value=after / before, reason=Reason("spans_everything"))
    return Figure(value=after / before, interval=(math.exp(low), math.exp(high)))


def _mover(before: float, old: Interval, after: float, new: Interval) -> Interval:
    """Of after - before, from an interval of each: the distances to the ends that matter, in squares."""
    value = after - before
    return (
        value - math.hypot(after - new[0], old[1] - before),
        value + math.hypot(new[1] - after, before - old[0]),
    )


# Ordinary tests.


def _of_tests(measure: Measure, then: Logged, now: Logged, margin: float) -> Change | None:
    """The change of the tests of both runs; None for what is no cost of ordinary tests."""
    field, old, new = measure.field, then.line, now.line
    if field is None or not isinstance(old, ProjectFigures) or not isinstance(new, ProjectFigures):
        return None
    nothing = Change(measure=measure, then=old, now=new, size=unknown(NOT_POSITIVE), paired=False, margin=margin)
    paired = then.tests is not None and now.tests is not None
    if then.tests is not None and now.tests is not None:
        before, after = (each.quantities[field.name] for each in (then.tests, now.tests))
    elif old.outcomes != new.outcomes:
        return replace(nothing, size=unknown(Reason("other_tests")))
    else:
        before, after = (_as_one(measure, line) for line in (old, new))
    if reason := after.reason or before.reason:
        return replace(nothing, size=unknown(reason))
    found = against(after, before, CONFIDENCE, (new.startup_cpu_s, old.startup_cpu_s))
    if isinstance(found, str):
        return replace(nothing, size=unknown(found))
    if not math.isfinite(found.compared):
        return nothing
    return replace(
        nothing,
        size=Figure(value=found.compared, interval=found.interval, reason=None if found.interval else NOT_POSITIVE),
        paired=paired,
        machine=found.slower,
        because=named(found.changes, field.unit, found.factor) if paired else "",
        remark=found.remark,
    )


def _as_one(measure: Measure, line: ProjectFigures) -> Quantity:
    """A suite of which only the headline is known; where its tests ran once, the margin has all of its noise."""
    value, interval = _of(measure, line)
    if value is None:
        return Quantity(reason=line.reason or Reason("not_known"))
    error = 0.0
    if interval is not None:
        if not 0 < interval[0] <= interval[1]:
            return Quantity(reason=NOT_POSITIVE)
        error = math.log(interval[1] / interval[0]) / 2 / student_t_quantile((1 + CONFIDENCE) / 2, _MANY)
    return Quantity(units={_ALL: (value, 1.0)}, variances={_ALL: ((value * error) ** 2, _MANY)})
