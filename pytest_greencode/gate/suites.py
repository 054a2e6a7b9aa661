"""An ordinary test suite under a rule: what is compared, how well it is known, and which tests it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from msgspec import Struct

from ..statistics import Interval
from .subjects import LEFT_RUNNING, Quantity
from .suite_noise import Pair, ratio_noise, value_noise

_MOST_NAMED = 3
_LEAST_SHARE = 0.1
_LONGEST_NAME = 100
_WORTH_A_WORD = 0.05
_PREFIXES = (("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9))


class Change(Struct, frozen=True, kw_only=True):
    """One test's cost in the field's unit; `then` is the baseline's, None where there is none to compare with.

    `share`: of the difference between the two sides (beyond 1 where others became cheaper), or of the whole cost.
    """

    test_id: str
    now: float
    then: float | None
    share: float


class Comparison(Struct, frozen=True, kw_only=True):
    """`compared` is the value, or its ratio to the baseline's; `changes`, the most first. `factor`: the middle test's.

    `slower`: so many times slower was the machine, as far as no test answers for it. `remark`: what is to be known
    beside. `remedy`: what would tell, if it cannot be told.
    """

    value: float
    baseline: float | None
    compared: float
    interval: Interval | None
    tests: int
    changes: tuple[Change, ...]
    factor: float | None
    remark: str
    remedy: str
    slower: float = 1.0


def against(
    now: Quantity, then: Quantity, confidence: float, speeds: tuple[float | None, float | None]
) -> Comparison | str:
    """A suite and its baseline, on the tests of both that passed in both, or in neither; or why there is nothing.

    `speeds`: CPU seconds in which the same work was done now and then. What a slower machine explains is no test's
    fault, and a faster one no merit: the interval is at the baseline's speed, and reaches to what was measured.
    """
    common = [name for name in now.units if name in then.units]
    alike = [name for name in common if now.units[name][1] == then.units[name][1]]
    before, after = then.on(alike), now.on(alike)
    if set(common) <= {LEFT_RUNNING}:
        here, there = (_short(min({*each} - {LEFT_RUNNING}, default="none")) for each in (now.units, then.units))
        return f"no tests in common: {here} and so on now, {there} then"
    value, baseline = after.value, before.value
    if value is None or baseline is None:
        return "no test passed both then and now"
    if baseline <= 0:
        return "they cost nothing then"
    pairs = [
        Pair(after.units[name][0], before.units[name][0], now.variances.get(name), then.variances.get(name))
        for name in alike
    ]
    interval, assumed = ratio_noise(pairs, confidence)
    factors = [pair.now / pair.then for pair in pairs if pair.now > 0 and pair.then > 0]
    middle = median(factors) if factors else None
    slower = _explained(speeds, middle)
    if interval is not None:
        compared = value / baseline
        interval = min(compared, interval[0] / slower), max(compared, interval[1] / slower)
    counts = (
        (_count(now.units) - _count(common), "new"),
        (_count(then.units) - _count(common), "no longer here"),
        (len(common) - len(alike), "passed on one side only"),
    )
    apart = ", ".join(f"{count} {what}" for count, what in counts if count)
    remarks = [f"left out: {apart}"] if apart else []
    if abs(math.log(slower)) > _WORTH_A_WORD:
        remarks.append(f"all was {slower:.3g} times as slow here, pytest's start too, which no test answers for")
    remarks += ["too few tests to show their noise, so it is assumed"] if assumed else []
    passing = [name for name in alike if now.units[name][1]]
    repeated = all(name in side.variances for name in passing for side in (now, then))
    return Comparison(
        value=value,
        baseline=baseline,
        compared=value / baseline,
        interval=interval,
        tests=_count(alike),
        changes=_differences(after, before),
        factor=middle,
        remark="; ".join(remarks),
        remedy=f"--greencode-repeat {'higher still' if repeated else 5}, here and for the baseline, narrows it",
        slower=slower,
    )


def _explained(speeds: tuple[float | None, float | None], middle: float | None) -> float:
    """So many times slower is all, if what it took to start pytest and the middle test agree; the less of the two."""
    if not (speeds[0] and speeds[1] and middle):
        return 1.0
    both = speeds[0] / speeds[1], middle
    return max(1.0, min(both)) if middle > 1 else min(1.0, max(both))


def alone(quantity: Quantity, confidence: float) -> Comparison | None:
    """A suite without a baseline; None where it has no value."""
    value, tests = quantity.value, [name for name in quantity.units if name != LEFT_RUNNING]
    if value is None:
        return None
    whole = math.fsum(cost for cost, _ in quantity.units.values())
    # What tests left running, and tests that did not pass, are taken as they are where the others were repeated.
    passing = [name for name, (_, passed) in quantity.units.items() if passed]
    once = [name for name in passing if name not in quantity.variances]
    costs = [(cost, quantity.variances.get(name)) for name, (cost, _) in quantity.units.items()]
    if not once:
        costs = [(cost, found or (0.0, 1)) for cost, found in costs]
    changes = [
        Change(test_id=name, now=cost, then=None, share=cost / whole)
        for name, (cost, _) in quantity.units.items()
        if whole > 0
    ]
    of = "all tests" if len(once) == len(passing) else f"{len(once)} of {len(passing)} tests"
    return Comparison(
        value=value,
        baseline=None,
        compared=value,
        interval=value_noise(costs, math.fsum(passed for _, passed in quantity.units.values()), confidence),
        tests=len(tests),
        changes=_most(changes),
        factor=None,
        remark=f"{of} ran once, and their noise is assumed" if once else "",
        remedy="--greencode-repeat 5 measures the noise" if once else "",
    )


def named(changes: Sequence[Change], unit: str, factor: float | None) -> str:
    """Which tests it comes from: those that changed most, or that it is spread over many."""
    if not changes:
        return ""
    top = [each for each in changes if each.share >= _LEAST_SHARE] or list(changes[:1])
    told = ", ".join(_told(each, unit) for each in top)
    if math.fsum(each.share for each in top) < 0.5:
        middle = "" if factor is None else f" (the middle test {factor:.3g} times what it was)"
        return f"spread over many tests{middle}, the most in {told}"
    return told


def _told(change: Change, unit: str) -> str:
    name, share = _short(change.test_id), f"{100 * min(change.share, 1.0):.0f} %"
    if change.then is None:
        return f"{name} {_amount(change.now, unit)} ({share} of the cost)"
    was = f"{name} {_amount(change.now, unit)}, was {_amount(change.then, unit)}"
    times = f"{change.now / change.then:.3g} times, " if change.then > 0 else ""
    return f"{was} ({times}{share} of the difference)"


def _short(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME // 2 - 1]}\u2026{name[-_LONGEST_NAME // 2 :]}"


def _amount(value: float, unit: str) -> str:
    prefix, scale = next((each for each in _PREFIXES if abs(value) >= each[1]), _PREFIXES[-1] if value else ("", 1.0))
    return f"{value / scale:.3g} {prefix}{unit}"


def _differences(now: Quantity, then: Quantity) -> tuple[Change, ...]:
    """The tests that changed as their sum did: became dearer, or cheaper."""
    pairs = {name: (cost, then.units[name][0]) for name, (cost, _) in now.units.items()}
    whole = math.fsum(after - before for after, before in pairs.values())
    if not whole:
        return ()
    return _most(
        [
            Change(test_id=name, now=after, then=before, share=(after - before) / whole)
            for name, (after, before) in pairs.items()
            if (after - before) * whole > 0
        ]
    )


def _most(changes: Sequence[Change]) -> tuple[Change, ...]:
    return tuple(sorted(changes, key=lambda each: (-each.share, each.test_id))[:_MOST_NAMED])


def _count(names: Iterable[str]) -> int:
    return sum(name != LEFT_RUNNING for name in names)
