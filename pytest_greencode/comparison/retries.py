"""When to stop retrying.

For one task the cost per acceptance does not depend on k: every attempt costs the same on average and passes with the
same probability (Wald's identity). Over tasks it grows with k, because the later attempts go to the hard tasks, on
which they mostly fail. So R_k alone always says "1", and the question is what one more solved task costs at the margin:

    M(j -> k) = (C_k - C_j) / (P_k - P_j)          grams per task that k attempts solve and j do not

With a cost H of solving a task otherwise (a person, a larger model), the best k is the one with the least
L_k = C_k + (1 - P_k) * H (metric, L_k): retrying pays as long as M < H. Without H nothing in the data says when to
stop; then `LIMIT` times R_1 is used, a convention: until a task solved late costs twice one solved at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..accounts import MIN_TASKS, ConfigurationAccount
from ..statistics import CONFIDENCE, Interval, ratio_interval
from .policy import Terms, retrying

LIMIT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """At most `k` attempts, means over tasks; `before` is the next smaller k (0: no attempt).

    `marginal_g`: grams per task that is solved by k attempts, but not by `before`, with its interval over tasks; None
    where no further task is solved (`stuck`), or cost is unknown. `resolved_g`: L_k, None without H.
    """

    k: int
    before: int
    pass_probability: float
    co2e_g: float
    co2e_g_per_accepted: float | None
    marginal_g: float | None
    marginal_interval: Interval | None
    stuck: bool
    resolved_g: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The attempts at which to stop, among those known of every task, and the curve behind it.

    `rule` says how `attempts` was found. `attempts` is None where it cannot be found, or where not trying at all is
    best (0): `reason` says why. `exhausted`: the largest known k is suggested, so a larger one may be better still.
    """

    attempts: int | None
    rule: str
    reason: str | None
    exhausted: bool
    curve: tuple[Step, ...]


def stopping(
    account: ConfigurationAccount,
    otherwise_g: float | None = None,
    *,
    limit: float = LIMIT,
    confidence: float = CONFIDENCE,
) -> Stopping:
    """The suggested number of attempts of one configuration, over the ks of `account.retry`.

    `otherwise_g` is H, grams to solve a task otherwise. ValueError when it is negative, or `limit` is below 1.
    """
    if otherwise_g is not None and not otherwise_g >= 0:
        raise ValueError(f"the cost of solving a task otherwise must not be negative, found {otherwise_g!r}")
    if not limit >= 1:
        raise ValueError(f"the limit must be at least 1, found {limit!r}")
    rule = (
        f"the next attempts cost more than {limit:g} times R_1 per further task solved"
        if otherwise_g is None
        else f"least grams per task resolved, with {otherwise_g:g} g for a task that is not solved"
    )
    ks = sorted(account.retry)
    policies = [retrying(account, k) for k in ks]
    if reason := _reason(account, policies):
        return Stopping(attempts=None, rule=rule, reason=reason, exhausted=False, curve=())
    curve = _curve(ks, policies, otherwise_g, confidence)
    attempts = _by_margin(curve, limit) if otherwise_g is None else _by_resolution(curve, otherwise_g)
    return Stopping(
        attempts=attempts or None,
        rule=rule,
        reason=None if attempts else "solving a task otherwise costs less than trying",
        exhausted=attempts == ks[-1],
        curve=curve,
    )


def _reason(account: ConfigurationAccount, policies: Sequence[Terms]) -> str | None:
    if account.chain:
        return "the attempts of a chain cannot be redrawn"
    if not policies:
        return "no finished attempts"
    if reason := policies[0].reason or policies[0].cost_reason:
        return reason
    return None if account.accepted else "none accepted"


def _curve(
    ks: Sequence[int], policies: Sequence[Terms], otherwise_g: float | None, confidence: float
) -> tuple[Step, ...]:
    steps = []
    before, costs, solved = 0, [0.0] * len(policies[0].tasks), [0.0] * len(policies[0].tasks)
    for k, terms in zip(ks, policies, strict=True):
        more_cost = [c - b for c, b in zip(terms.co2e_g or (), costs, strict=True)]
        more_solved = [p - q for p, q in zip(terms.solved, solved, strict=True)]
        steps.append(_step(k, before, terms, more_cost, more_solved, otherwise_g, confidence))
        before, costs, solved = k, list(terms.co2e_g or ()), list(terms.solved)
    return tuple(steps)


def _step(
    k: int,
    before: int,
    terms: Terms,
    more_cost: Sequence[float],
    more_solved: Sequence[float],
    otherwise_g: float | None,
    confidence: float,
) -> Step:
    m = len(terms.tasks)
    cost, passed = math.fsum(terms.co2e_g or ()) / m, math.fsum(terms.solved) / m
    stuck = not any(gain > 0 for gain in more_solved)
    return Step(
        k=k,
        before=before,
        pass_probability=passed,
        co2e_g=cost,
        co2e_g_per_accepted=terms.co2e_g_per_accepted,
        marginal_g=None if stuck else math.fsum(more_cost) / math.fsum(more_solved),
        marginal_interval=None if stuck or m < MIN_TASKS else ratio_interval(more_cost, more_solved, confidence),
        stuck=stuck,
        resolved_g=None if otherwise_g is None else cost + (1 - passed) * otherwise_g,
    )


def _by_margin(curve: Sequence[Step], limit: float) -> int:
    """The k before the first whose margin is above the limit."""
    first = curve[0].marginal_g
    suggested = curve[0].k
    for step in curve[1:]:
        if first is None or step.marginal_g is None or step.marginal_g > limit * first:
            break
        suggested = step.k
    return suggested


def _by_resolution(curve: Sequence[Step], otherwise_g: float) -> int:
    """The least k with the least L_k; 0, where that is more than not trying at all."""
    best = min(curve, key=lambda step: (step.resolved_g, step.k))
    return best.k if best.resolved_g is not None and best.resolved_g <= otherwise_g else 0
