"""Quality against cost: the configurations that no other one beats in both, and the cheapest that is good enough.

Pass@k (higher is better) against grams per accepted solution (lower is better), all on the same tasks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..accounts import ConfigurationAccount
from ..model import Configuration
from ..statistics import CONFIDENCE, Interval, ratio_interval, share_interval
from .pairs import difference, ratios, too_few
from .policy import Terms, on_common_ground, retrying


class Point(Struct, frozen=True, kw_only=True):
    """One configuration: pass@k and grams per accepted solution, each with its interval over tasks.

    `dominated_by`: those on the front that are no worse in either and better in one. `told_apart`: whether a
    difference to one of these, in grams or in pass@k, is distinguishable; None where it is on the front, or where there
    are no intervals. One that is dominated, but not told apart, may as well be on the front.
    """

    configuration: Configuration
    pass_probability: float
    pass_interval: Interval | None
    co2e_g: float
    co2e_interval: Interval | None
    dominated_by: tuple[Configuration, ...]
    told_apart: bool | None

    @property
    def on_front(self) -> bool:
        return not self.dominated_by


class Front(Struct, frozen=True, kw_only=True):
    """All comparable configurations, cheapest first; `unusable` are the others, with reasons.

    `tasks`: how many they were compared on; `left_out`: tasks that not all of them have.
    """

    k: int
    tasks: int
    left_out: tuple[str, ...]
    points: tuple[Point, ...]
    unusable: Mapping[Configuration, str]
    confidence: float


class Candidate(Struct, frozen=True, kw_only=True):
    """One configuration before a target: `lower_bound` of its pass@k holds one-sided; None with too few tasks."""

    configuration: Configuration
    pass_probability: float
    lower_bound: float | None
    co2e_g: float
    meets: bool


class Selection(Struct, frozen=True, kw_only=True):
    """The cheapest configuration whose pass@k reaches `target` (0 to 1) with `confidence`.

    `chosen` is None where there is none: `nearest` then has the highest lower bound, and `reason` says what is missing.
    `not_distinguishable`: others that meet the target and whose cost cannot be told from that of the chosen.
    `candidates` are sorted: those that meet it by cost, then the others by lower bound. `unusable_reaching`: those of
    `unusable` that reach the target on their own tasks, and might be chosen if they could be compared.
    """

    k: int
    target: float
    tasks: int
    left_out: tuple[str, ...]
    chosen: Candidate | None
    nearest: Candidate | None
    reason: str | None
    not_distinguishable: tuple[Configuration, ...]
    candidates: tuple[Candidate, ...]
    unusable: Mapping[Configuration, str]
    unusable_reaching: tuple[Configuration, ...]
    confidence: float


def front(accounts: Sequence[ConfigurationAccount], k: int, *, confidence: float = CONFIDENCE) -> Front:
    """The Pareto front of configurations of one suite. ValueError for several suites, and for `k` below 1."""
    policies, unusable, left = on_common_ground([retrying(account, k) for account in accounts])
    best = undominated(policies)
    points = [_point(terms, best, confidence) for terms in policies]
    return Front(
        k=k,
        tasks=len(policies[0].tasks) if policies else 0,
        left_out=left,
        points=tuple(sorted(points, key=lambda point: (point.co2e_g, -point.pass_probability, point.configuration))),
        unusable={terms.configuration: why for terms, why in unusable},
        confidence=confidence,
    )


def undominated(policies: Sequence[Terms]) -> list[Terms]:
    """Those that no other one dominates."""
    at = [coordinates(each) for each in policies]
    best: set[tuple[float, float]] = set()
    most = -math.inf
    # The cheapest first, and of these the best: one that solves more than all before it is dominated by none.
    for p, g in sorted(set(at), key=lambda point: (point[1], -point[0])):
        if p > most:
            best.add((p, g))
            most = p
    return [each for each, point in zip(policies, at, strict=True) if point in best]


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """By their `coordinates`: no worse in pass@k and in grams per accepted solution, and better in one of them."""
    (p, g), (q, h) = one, other
    return p >= q and g <= h and (p, g) != (q, h)


def coordinates(terms: Terms) -> tuple[float, float]:
    """(pass@k, grams per accepted solution); ValueError where either is not known."""
    p, g = terms.pass_probability, terms.co2e_g_per_accepted
    if p is None or g is None:
        raise ValueError(f"a front needs pass@k and cost of all: {terms.reason or terms.cost_reason}")
    return p, g


def _point(terms: Terms, best: Sequence[Terms], confidence: float) -> Point:
    p, g = coordinates(terms)
    dominators = [other for other in best if dominates(coordinates(other), (p, g))]
    return Point(
        configuration=terms.configuration,
        pass_probability=p,
        pass_interval=pass_interval(terms, confidence),
        co2e_g=g,
        co2e_interval=_cost_interval(terms, terms.co2e_g, confidence),
        dominated_by=tuple(other.configuration for other in dominators),
        told_apart=told_apart(terms, dominators, confidence),
    )


def pass_interval(terms: Terms, confidence: float = CONFIDENCE) -> Interval | None:
    """Of pass@k over tasks; None with too few of them."""
    return None if too_few(len(terms.tasks)) else share_interval(terms.solved, [1.0] * len(terms.tasks), confidence)


def energy_interval(terms: Terms, confidence: float = CONFIDENCE) -> Interval | None:
    """Of J per accepted solution over tasks; None with too few of them, or where energies are missing."""
    return _cost_interval(terms, terms.energy_j, confidence)


def _cost_interval(terms: Terms, costs: Sequence[float] | None, confidence: float) -> Interval | None:
    if not costs or too_few(len(terms.tasks)):
        return None
    return ratio_interval(costs, terms.accepted, confidence)


def told_apart(terms: Terms, others: Sequence[Terms], confidence: float) -> bool | None:
    """Whether a difference to one of the others is distinguishable; None where there are none, or no interval."""
    found = [
        known
        for other in others
        for known in (
            ratios(terms, other, confidence)[1].distinguishable,
            difference(terms, other, confidence).distinguishable,
        )
        if known is not None
    ]
    return any(found) if found else None


def select(
    accounts: Sequence[ConfigurationAccount], target: float, k: int, *, confidence: float = CONFIDENCE
) -> Selection:
    """The least grams per accepted solution among configurations of one suite that reach `target` for sure enough.

    Reaching means that the one-sided lower confidence bound of pass@k, over tasks, is at least `target` (0 to 1).
    ValueError for another target, for several suites, and for `k` below 1.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"the target of pass@k must be between 0 and 1, found {target!r}")
    policies, unusable, left = on_common_ground([retrying(account, k) for account in accounts])
    pairs = [(terms, _candidate(terms, target, confidence)) for terms in policies]
    pairs.sort(key=lambda pair: _rank(pair[1]))
    chosen = nearest = reason = None
    rivals: tuple[Configuration, ...] = ()
    if pairs and pairs[0][1].meets:
        terms, chosen = pairs[0]
        rivals = tuple(
            candidate.configuration
            for other, candidate in pairs[1:]
            if candidate.meets and not ratios(terms, other, confidence)[1].distinguishable
        )
    elif pairs:
        nearest = pairs[0][1]
        reason = _why_not(nearest, target, k, len(pairs[0][0].tasks), confidence)
    else:
        reason = "no configuration can be compared"
    return Selection(
        k=k,
        target=target,
        tasks=len(pairs[0][0].tasks) if pairs else 0,
        left_out=left,
        chosen=chosen,
        nearest=nearest,
        reason=reason,
        not_distinguishable=rivals,
        candidates=tuple(candidate for _, candidate in pairs),
        unusable={terms.configuration: why for terms, why in unusable},
        unusable_reaching=tuple(terms.configuration for terms, _ in unusable if _reaches(terms, target, confidence)),
        confidence=confidence,
    )


def _candidate(terms: Terms, target: float, confidence: float) -> Candidate:
    p, g = coordinates(terms)
    bound = _lower_bound(terms, confidence)
    return Candidate(
        configuration=terms.configuration,
        pass_probability=p,
        lower_bound=bound,
        co2e_g=g,
        meets=bound is not None and bound >= target,
    )


def _lower_bound(terms: Terms, confidence: float) -> float | None:
    """Of pass@k, one-sided; None with too few tasks."""
    # Either end of a two-sided interval at 2c - 1 is a one-sided bound at c.
    interval = share_interval(terms.solved, [1.0] * len(terms.tasks), 2 * confidence - 1)
    return interval[0] if interval and not too_few(len(terms.tasks)) else None


def _reaches(terms: Terms, target: float, confidence: float) -> bool:
    bound = _lower_bound(terms, confidence)
    return bound is not None and bound >= target


def _rank(candidate: Candidate) -> tuple[object, ...]:
    if candidate.meets:
        return (0, candidate.co2e_g, candidate.configuration)
    bound = -1.0 if candidate.lower_bound is None else candidate.lower_bound
    return (1, -bound, -candidate.pass_probability, candidate.co2e_g, candidate.configuration)


def _why_not(nearest: Candidate, target: float, k: int, tasks: int, confidence: float) -> str:
    if nearest.lower_bound is None:
        return f"no bound: {too_few(tasks)}"
    found = f"the nearest has pass@{k} {100 * nearest.pass_probability:.1f} % on {tasks} tasks"
    bound = f"at least {100 * nearest.lower_bound:.1f} % with {100 * confidence:g} % confidence"
    more = "; more tasks may show it" if nearest.pass_probability >= target else ""
    return f"not shown to reach {100 * target:g} %: {found}, {bound}{more}"
