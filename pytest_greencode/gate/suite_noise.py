"""The noise of measuring an ordinary suite: intervals that take its tests as given, and ask how well they are known.

An interval over tests would ask about other tests: one test that has become ten times slower would make it wide, and
hide itself. Here, with a_i and b_i a test's share of the cost now and then, and s_i the standard deviation of
log(now_i / then_i) that measuring alone brings,

    var(log ratio) = sum (a_i^2 + b_i^2) s_i^2 / 2

s_i is the larger of what repetitions show, and of the spread of log(now_j / then_j) among the tests that cost about as
much (short ones are noisier): repetitions in one process do not see what differs from process to process. The spread
is the standard deviation around the median of all tests, without those that are beyond 4 * 1.4826 median distances, so
that a few may change without widening it (reweighted as in Rousseeuw & Croux 1993, section 4, with a wider fence); what
all have in common is not in it. Too few tests for it, and none repeated: ASSUMED.

Of 10 tests a spread is known so badly that Student's t makes intervals wider than if nothing were known. They end where
that one would, unless the spread itself is larger: half width = min(t * se, z * max(se, ASSUMED * sqrt(2))).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median
from typing import NamedTuple

from ..project_account import Variance
from ..statistics import Interval, noise_interval

# Fewer say nothing of their spread.
MIN_TESTS = 10
# Standard deviation of the logarithm of what one run takes, where nothing tells: more than in most series of runs on a
# busy machine (benchmarks/innocent_merges.md).
ASSUMED = 0.2
_FENCE = 4 * 1.4826  # median distances: four standard deviations of a normal distribution
_EFFICIENCY = 0.8  # of that estimate, cautiously: so many degrees of freedom a test
# A third of the tests are neighbours, within these bounds.
_NEIGHBOURHOOD = 3
_FEWEST_NEIGHBOURS, _MOST_NEIGHBOURS = 20, 40
_KNOWN = 10**6  # degrees of freedom of what is not estimated


class Pair(NamedTuple):
    """One test's cost now and then, 0 or more, with the variances that repetitions give; None where it ran once."""

    now: float
    then: float
    now_variance: Variance | None = None
    then_variance: Variance | None = None


def ratio_noise(pairs: Sequence[Pair], confidence: float) -> tuple[Interval | None, bool]:
    """The interval of sum(now) / sum(then), None where either is 0; and whether any noise had to be assumed."""
    now, then = math.fsum(each.now for each in pairs), math.fsum(each.then for each in pairs)
    if now <= 0 or then <= 0:
        return None, False
    spreads = _spreads(pairs)
    parts: list[Variance] = []
    between: list[Variance] = []
    unknown_now = unknown_then = 0.0
    for position, each in enumerate(pairs):
        a, b = each.now / now, each.then / then
        own: list[Variance] = []
        if each.now_variance is not None and each.then_variance is not None:
            own = [
                (variance / total / total, degrees)
                for (variance, degrees), total in ((each.now_variance, now), (each.then_variance, then))
            ]
        spread, degrees = (0.0, 0) if spreads is None else spreads[position]
        spread *= (a * a + b * b) / 2
        if spreads is not None and spread >= math.fsum(variance for variance, _ in own):
            between.append((spread, degrees))
        elif own:
            parts += own
        else:
            unknown_now, unknown_then = unknown_now + a, unknown_then + b
    # Nothing is known of these: their errors may all have the same sign.
    parts += [((ASSUMED * share) ** 2, _KNOWN) for share in (unknown_now, unknown_then) if share]
    if between:
        parts.append((math.fsum(variance for variance, _ in between), _degrees(between, _neighbours(len(pairs)))))
    found = _interval(now / then, parts, confidence)
    most = NormalDist().inv_cdf((1 + confidence) / 2) * max(
        math.sqrt(math.fsum(variance for variance, _ in parts)), ASSUMED * math.sqrt(2)
    )
    low, high = found or (0.0, math.inf)
    bounded = max(low, now / then * math.exp(-most)), min(high, now / then * math.exp(most))
    return bounded, unknown_now + unknown_then > 0


def value_noise(costs: Sequence[tuple[float, Variance | None]], per: float, confidence: float) -> Interval | None:
    """Of sum(costs) / per: of repetitions, and ASSUMED for what ran once. None where it is not positive."""
    whole = math.fsum(cost for cost, _ in costs)
    if whole <= 0 or per <= 0:
        return None
    parts = [(found[0] / whole / whole, found[1]) for _, found in costs if found is not None]
    once = math.fsum(cost for cost, found in costs if found is None)
    if once:
        parts.append(((ASSUMED * once / whole) ** 2, _KNOWN))
    return _interval(whole / per, parts, confidence)


def _interval(value: float, parts: Sequence[Variance], confidence: float) -> Interval | None:
    """`parts` are of the logarithm."""
    found = noise_interval(1.0, 1.0, [variance for variance, _ in parts], [degrees for _, degrees in parts], confidence)
    return None if found is None else (value * found[0], value * found[1])


def _spreads(pairs: Sequence[Pair]) -> list[Variance] | None:
    """Of each test the variance of the logarithm among its neighbours by cost; None where there are too few."""
    order = sorted(range(len(pairs)), key=lambda position: pairs[position].now + pairs[position].then)
    both = [position for position in order if pairs[position].now > 0 and pairs[position].then > 0]
    if len(both) < MIN_TESTS:
        return None
    logs = [math.log(pairs[position].now / pairs[position].then) for position in both]
    middle = median(logs)
    distances = [abs(each - middle) for each in logs]
    size, known = _neighbours(len(both)), 0
    found: list[Variance] = [(0.0, 1)] * len(pairs)
    # Neighbourhoods a fourth of their size apart, as a suite may have thousands of tests.
    groups: dict[int, Variance] = {}
    for position in order:
        first = min(max(0, known - size // 2), len(both) - size)
        first -= first % max(1, size // 4)
        if first not in groups:
            groups[first] = _trimmed(distances[first : first + size])
        found[position] = groups[first]
        known += pairs[position].now > 0 and pairs[position].then > 0
    return found


def _trimmed(distances: Sequence[float]) -> Variance:
    fence = _FENCE * median(distances)
    within = [each for each in distances if each <= fence]
    degrees = max(1, len(within) - 1)
    return math.fsum(each * each for each in within) / degrees, max(1, round(_EFFICIENCY * degrees))


def _neighbours(tests: int) -> int:
    return min(tests, max(_FEWEST_NEIGHBOURS, min(tests // _NEIGHBOURHOOD, _MOST_NEIGHBOURS)))


def _degrees(between: Sequence[Variance], neighbours: int) -> int:
    """Of the sum: those of a neighbourhood, and more of them where more tests than that matter."""
    whole = math.fsum(variance for variance, _ in between)
    if whole <= 0:
        return _KNOWN
    shares = [variance / whole for variance, _ in between]
    own = math.fsum(share * degrees for share, (_, degrees) in zip(shares, between, strict=True))
    mattering = 1 / math.fsum(share * share for share in shares)
    return max(1, round(own * max(1.0, mattering / neighbours)))
