"""Expected costs under the headline's policy, and their ratios with intervals over tasks. Pure.

A task's cost is C_t = P_t * mu_accepted + (A_t - P_t) * mu_failed for "retry until accepted, at most k attempts"; in a
chain of attempts, what was spent. Linear in the means, so this holds for grams, money, kWh and seconds alike.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from ..accounts import MIN_TASKS, ConfigurationAccount, CostMeans
from ..estimators import expected_attempts, pass_probability
from ..reasons import Reason
from ..statistics import CONFIDENCE, Interval, ratio_interval, student_t_quantile

NONE_ACCEPTED = Reason("none_accepted")
NOT_POSITIVE = Reason("not_positive")


class Figure(Struct, frozen=True, kw_only=True):
    """A number and its 95 % interval over tasks like these; `reason` says why it, or else its interval, is None."""

    value: float | None = None
    interval: Interval | None = None
    reason: str | None = None

    def times(self, factor: float) -> Figure:
        """The figure in another unit, or so many of it; `factor` >= 0 and exact."""
        if self.value is None:
            return self
        interval = None if self.interval is None else (self.interval[0] * factor, self.interval[1] * factor)
        return Figure(value=self.value * factor, interval=interval, reason=self.reason)


def unknown(reason: str) -> Figure:
    return Figure(reason=reason)


class TaskCost(NamedTuple):
    """One task under the headline's policy, in one unit: expected cost, acceptance, and mean cost of one attempt."""

    cost: float
    passed: float
    attempt: float


Costs = Mapping[str, TaskCost]  # by task id


class Policy(NamedTuple):
    attempts: int
    chain: bool

    def weights(self, n: int, c: int) -> tuple[float, float]:
        """How many accepted and how many failed attempts of a task are expected."""
        if self.chain:
            return c, n - c
        passed = pass_probability(n, c, self.attempts)
        return float(passed), float(expected_attempts(n, c, self.attempts) - passed)


def policy_of(configuration: ConfigurationAccount) -> Policy | str:
    """The headline's policy, or the reason why there is none."""
    k = configuration.per_accepted.attempts
    smallest = min((row.attempts for row in configuration.task_rows), default=0)
    if k is None or not smallest:
        return Reason("no_finished")
    if not configuration.chain and k > smallest:
        return configuration.per_accepted.reason or Reason("a_task_too_short", k=k, attempts=smallest)
    return Policy(k, configuration.chain)


def task_costs(policy: Policy, tasks: Sequence[tuple[str, int, int, CostMeans]]) -> Costs | None:
    """The costs of (task id, n, c, means); None where a task's are not known."""
    found = {}
    for task_id, n, c, means in tasks:
        if means.attempt is None:
            return None
        accepted, failed = policy.weights(n, c)
        cost = accepted * (means.accepted or 0.0) + failed * (means.failed or 0.0)
        found[task_id] = TaskCost(cost, accepted, means.attempt)
    return found


def ratio_over_tasks(numerators: Sequence[float], denominators: Sequence[float]) -> Figure:
    """sum / sum over tasks, with its interval."""
    weight = math.fsum(denominators)
    if not weight > 0:
        return unknown(NONE_ACCEPTED)
    value = math.fsum(numerators) / weight
    if len(numerators) < MIN_TASKS:
        return Figure(value=value, reason=too_few(len(numerators)))
    interval = ratio_interval(numerators, denominators)
    return Figure(value=value, interval=interval, reason=None if interval else NOT_POSITIVE)


def too_few(tasks: int) -> str:
    return Reason("too_few_tasks", tasks=tasks, least=MIN_TASKS)


def per_accepted(costs: Costs | str) -> Figure:
    """R, in the unit of the costs."""
    if isinstance(costs, str):
        return unknown(costs)
    return ratio_over_tasks([task.cost for task in costs.values()], [task.passed for task in costs.values()])


def per_attempt(costs: Costs | str) -> Figure:
    """The mean over tasks of an attempt's mean cost, in the unit of the costs."""
    if isinstance(costs, str):
        return unknown(costs)
    return ratio_over_tasks([task.attempt for task in costs.values()], [1.0] * len(costs))


def paired_ratio(new: Costs | str, old: Costs | str) -> Figure:
    """R_new / R_old on the tasks that both have, with its paired interval.

    Delta method on log R_new - log R_old, tasks as clusters, Student's t on m-1 degrees of freedom: the residual of a
    task is d_t = (C_t - R*P_t) / sum C for each side, and their difference is what varies.
    """
    if isinstance(new, str) or isinstance(old, str):
        return unknown(new if isinstance(new, str) else str(old))
    shared = [task_id for task_id in new if task_id in old]
    sides = [[costs[task_id] for task_id in shared] for costs in (new, old)]
    ratios, residuals = [], []
    for side in sides:
        cost, passed = math.fsum(task.cost for task in side), math.fsum(task.passed for task in side)
        if not passed > 0:
            return unknown(NONE_ACCEPTED if shared else Reason("no_common_task"))
        if not cost > 0:
            return unknown(NOT_POSITIVE)
        ratios.append(cost / passed)
        residuals.append([(task.cost - ratios[-1] * task.passed) / cost for task in side])
    value, m = ratios[0] / ratios[1], len(shared)
    if m < MIN_TASKS:
        return Figure(value=value, reason=too_few(m))
    squares = math.fsum((a - b) ** 2 for a, b in zip(*residuals, strict=True))
    half = student_t_quantile((1 + CONFIDENCE) / 2, m - 1) * math.sqrt(m / (m - 1) * squares)
    if half > 100:
        return Figure(value=value, reason=Reason("spans_everything"))
    return Figure(value=value, interval=(value * math.exp(-half), value * math.exp(half)))


class Direction(str, enum.Enum):
    """Whether a cost is less than another's: told by an interval, not told by it, or no interval to tell it by."""

    LESS = "less"
    MORE = "more"
    UNCERTAIN = "uncertain"
    UNKNOWN = "unknown"


def direction(ratio: Figure) -> Direction:
    """Of a ratio ours / theirs."""
    if ratio.value is None or ratio.interval is None:
        return Direction.UNKNOWN
    low, high = ratio.interval
    if high < 1:
        return Direction.LESS
    return Direction.MORE if low > 1 else Direction.UNCERTAIN
