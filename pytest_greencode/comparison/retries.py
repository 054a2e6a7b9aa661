"""When to stop retrying.

For one task the cost per acceptance does not depend on k: every attempt costs the same on average and passes with the
same probability (Wald's identity). Over tasks it grows with k, because the later attempts go to the hard tasks, on
which they mostly fail. So R_k alone always says "1", and the question is what one more solved task costs at the margin:

    M(j -> k) = (C_k - C_j) / (P_k - P_j)          grams per task that k attempts solve and j do not

With a cost H_t of solving each task otherwise (a person, a larger model), the best k is the one with the least
L_k = mean over tasks of C_k + (1 - P_k) * H_t (metric, L_k). H is per task: the tasks that retrying leaves unsolved are
the hard ones, and those may be dearer for a person too. Without H nothing in the data says when to stop; then `LIMIT`
times R_1 is used, a convention: until a task solved late costs twice one solved at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..accounts import MIN_TASKS, ConfigurationAccount
from ..reasons import Reason
from ..statistics import CONFIDENCE, Interval, ratio_interval
from .policy import Terms, retrying

LIMIT = 2.0
CHAIN = Reason("chain")


class Step(Struct, frozen=True, kw_only=True):
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


class Stopping(Struct, frozen=True, kw_only=True):
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
    otherwise_g: Mapping[str, float] | float | None = None,
    *,
    limit: float = LIMIT,
    confidence: float = CONFIDENCE,
) -> Stopping:
    """The suggested number of attempts of one configuration, over the ks of `account.retry`.

    `otherwise_g` is H, grams to solve a task otherwise, by task id, or one for all tasks. ValueError when one is
    negative or infinite, or `limit` is below 1.
    """
    known = otherwise_g.values() if isinstance(otherwise_g, Mapping) else () if otherwise_g is None else (otherwise_g,)
    for grams in known:
        if not 0 <= grams < math.inf:
            raise ValueError(f"the cost of solving a task otherwise must not be negative or infinite, found {grams!r}")
    if not limit >= 1:
        raise ValueError(f"the limit must be at least 1, found {limit!r}")
    # "Not tried at all" costs H too, so that it stands beside the ks.
    others = None if otherwise_g is None else _otherwise([row.task_id for row in account.task_rows], otherwise_g)
    rule = _margin_rule(limit) if others is None else _resolution_rule(others)
    ks = sorted(account.retry)
    policies = [retrying(account, k) for k in ks]
    if reason := _reason(account, policies):
        return Stopping(attempts=None, rule=rule, reason=reason, exhausted=False, curve=())
    unknown = sum(grams is None for grams in others or ())
    costs = None if others is None or unknown else [grams for grams in others if grams is not None]
    curve = _curve(ks, policies, costs, confidence)
    if unknown:
        reason = Reason("otherwise_missing", count=unknown, tasks=len(policies[0].tasks))
        return Stopping(attempts=None, rule=rule, reason=reason, exhausted=False, curve=curve)
    if costs is None:
        attempts, rule = _by_margin(curve, limit)
    else:
        attempts = _by_resolution(curve, math.fsum(costs) / len(costs))
    return Stopping(
        attempts=attempts or None,
        rule=rule,
        reason=None if attempts else Reason("otherwise_cheaper"),
        exhausted=attempts == ks[-1],
        curve=curve,
    )


def _otherwise(tasks: Sequence[str], otherwise_g: Mapping[str, float] | float) -> list[float | None]:
    if isinstance(otherwise_g, Mapping):
        return [otherwise_g.get(task) for task in tasks]
    return [otherwise_g] * len(tasks)


def _margin_rule(limit: float) -> str:
    return Reason("beyond_margin", limit=f"{limit:g}")


def _resolution_rule(others: Sequence[float | None]) -> str:
    known = [grams for grams in others if grams is not None] or [0.0]
    low, high = min(known), max(known)
    grams = f"{low:g} g" if low == high else f"{low:g} to {high:g} g"
    return Reason("least_resolved", grams=grams)


def _reason(account: ConfigurationAccount, policies: Sequence[Terms]) -> str | None:
    if account.chain:
        return CHAIN
    if not policies:
        return Reason("no_finished")
    if reason := policies[0].reason or policies[0].cost_reason:
        return reason
    return None if account.accepted else Reason("none_accepted")


def _curve(
    ks: Sequence[int], policies: Sequence[Terms], otherwise_g: Sequence[float] | None, confidence: float
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
    otherwise_g: Sequence[float] | None,
    confidence: float,
) -> Step:
    m = len(terms.tasks)
    cost, passed = math.fsum(terms.co2e_g or ()) / m, math.fsum(terms.solved) / m
    stuck = not any(gain > 0 for gain in more_solved)
    # Task by task: the tasks that are left are not like the rest, so that the mean H would be another number.
    left = None if otherwise_g is None else [(1 - p) * h for p, h in zip(terms.solved, otherwise_g, strict=True)]
    return Step(
        k=k,
        before=before,
        pass_probability=passed,
        co2e_g=cost,
        co2e_g_per_accepted=terms.co2e_g_per_accepted,
        marginal_g=None if stuck else math.fsum(more_cost) / math.fsum(more_solved),
        marginal_interval=None if stuck or m < MIN_TASKS else ratio_interval(more_cost, more_solved, confidence),
        stuck=stuck,
        resolved_g=None if left is None else cost + math.fsum(left) / m,
    )


def _by_margin(curve: Sequence[Step], limit: float) -> tuple[int, str]:
    """The k before the first whose margin is above the limit, or that solves nothing more; and which of these it is."""
    first, suggested = curve[0].marginal_g, curve[0]
    for step in curve[1:]:
        if step.stuck:
            return suggested.k, Reason("solves_no_more")
        if first is None or step.marginal_g is None or step.marginal_g > limit * first:
            return suggested.k, _margin_rule(limit)
        suggested = step
    if suggested.pass_probability >= 1:
        return suggested.k, Reason("all_solved")
    return suggested.k, Reason("within_margin", limit=f"{limit:g}")


def _by_resolution(curve: Sequence[Step], otherwise_g: float) -> int:
    """The least k with the least L_k; 0, where that is more than not trying at all, which is the mean H."""
    best = min(curve, key=lambda step: (step.resolved_g, step.k))
    return best.k if best.resolved_g is not None and best.resolved_g <= otherwise_g else 0
