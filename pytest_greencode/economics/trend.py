"""How key figures went from run to run of one series, and where they stepped. Pure.

A step is a change from the run before whose 95 % interval leaves out everything nearer to none than a margin. Where
both runs' tasks are known the interval is paired by task; else it is made of the two runs' own (MOVER: Zou & Donner
2008, Stat. Med. 27:1693), which asks for more, as hard tasks are hard in both. Neither knows how far two runs of the
same differ because the machine was in another state: that is what the margin is for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from msgspec import Struct

from ..comparison import compare
from ..reasons import Reason
from ..statistics import Interval
from .economy import Economy
from .expectation import NOT_POSITIVE, Direction, Figure, paired_ratio, unknown
from .history import KeyFigures

MARGIN = 0.01
_WIDEST = 100.0  # of the logarithm of a ratio


class Measure(Struct, frozen=True, kw_only=True):
    """A key figure. `relative`: its changes are ratios, else differences of shares; `more_is_better`: of pass@k."""

    name: str
    value: str
    interval: str | None
    relative: bool = True
    more_is_better: bool = False


CO2E = Measure(name="co2e", value="co2e_g_per_accepted", interval="interval")
MEASURES = (
    CO2E,
    Measure(name="energy", value="energy_j_per_accepted", interval="energy_interval"),
    Measure(name="money", value="money_per_accepted", interval="money_interval"),
    Measure(name="pass", value="pass_at_k", interval="pass_interval", relative=False, more_is_better=True),
    Measure(name="waste", value="waste_share", interval=None, relative=False),
)


class Logged(Struct, frozen=True, kw_only=True):
    """A line of a history, with the run's economy where its ledger is at hand."""

    line: KeyFigures
    economy: Economy | None = None


class Change(Struct, frozen=True, kw_only=True):
    """`size` is now / then, or now - then; `direction` says whether it is a step, and which way. `paired` by task."""

    then: KeyFigures
    now: KeyFigures
    size: Figure
    paired: bool
    direction: Direction

    @property
    def is_step(self) -> bool:
        return self.direction in (Direction.LESS, Direction.MORE)


class Point(Struct, frozen=True, kw_only=True):
    """`change` is from the run before; None for the first."""

    line: KeyFigures
    value: float | None
    interval: Interval | None
    change: Change | None


class Trend(Struct, frozen=True, kw_only=True):
    """One key figure of one series; `overall` is from its first run to its last, None with one run."""

    measure: Measure
    points: tuple[Point, ...]
    overall: Change | None


class Series(Struct, frozen=True, kw_only=True):
    """Runs of one configuration on the same tasks by the same factors, in their order; `trends` of what is known."""

    lines: tuple[KeyFigures, ...]
    trends: tuple[Trend, ...]

    @property
    def last(self) -> KeyFigures:
        return self.lines[-1]


def series_of(logged: Iterable[Logged], *, margin: float = MARGIN) -> list[Series]:
    """One for each series, in the order in which they begin. `margin`: the smallest relative change that is a step."""
    groups: dict[object, list[Logged]] = {}
    for each in logged:
        groups.setdefault(each.line.key, []).append(each)
    return [
        Series(
            lines=tuple(each.line for each in runs),
            trends=tuple(
                _trend(measure, runs, margin)
                for measure in MEASURES
                if any(getattr(each.line, measure.value) is not None for each in runs)
            ),
        )
        for runs in groups.values()
    ]


def changes(before: Sequence[KeyFigures], figures: Sequence[KeyFigures], *, margin: float = MARGIN) -> list[Change]:
    """Each run's grams beside the last of its series; those without a forerunner are left out."""
    last = {line.key: line for line in before}
    return [
        change(CO2E, Logged(line=last[now.key]), Logged(line=now), margin=margin) for now in figures if now.key in last
    ]


def change(measure: Measure, then: Logged, now: Logged, *, margin: float = MARGIN) -> Change:
    """From one run of a series to another."""
    size = _paired(measure, then, now)
    paired = size is not None
    if size is None:
        size = _unpaired(measure, then.line, now.line)
    none, least = (1.0, margin) if measure.relative else (0.0, 0.0)
    return Change(then=then.line, now=now.line, size=size, paired=paired, direction=_direction(size, none, least))


def _trend(measure: Measure, runs: Sequence[Logged], margin: float) -> Trend:
    points = []
    before = None
    for each in runs:
        value, interval = _of(measure, each.line)
        points.append(
            Point(
                line=each.line,
                value=value,
                interval=interval,
                change=None if before is None else change(measure, before, each, margin=margin),
            )
        )
        before = each
    overall = change(measure, runs[0], runs[-1], margin=margin) if len(runs) > 1 else None
    return Trend(measure=measure, points=tuple(points), overall=overall)


def _of(measure: Measure, line: KeyFigures) -> tuple[float | None, Interval | None]:
    return getattr(line, measure.value), None if measure.interval is None else getattr(line, measure.interval)


def _direction(size: Figure, none: float, margin: float) -> Direction:
    if size.value is None or size.interval is None:
        return Direction.UNKNOWN
    low, high = size.interval
    if high < none - margin:
        return Direction.LESS
    return Direction.MORE if low > none + margin else Direction.UNCERTAIN


def _paired(measure: Measure, then: Logged, now: Logged) -> Figure | None:
    """Where both runs' tasks are at hand; None for a figure that has no paired interval."""
    k = now.line.attempts
    if then.economy is None or now.economy is None or k is None:
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


def _unpaired(measure: Measure, then: KeyFigures, now: KeyFigures) -> Figure:
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
