"""What a policy costs and solves, task by task: the common ground of every comparison.

A policy is "attempts of a configuration until one is accepted, at most k", or one such after the other (a cascade).
Its expectations per task are exact and unbiased (metric: P_k and C_k); everything else here is sums over tasks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from ..accounts import ConfigurationAccount, CostMeans, TaskRow
from ..estimators import expected_cost, pass_probability
from ..model import Configuration
from ..reasons import Reason

Step = tuple[Configuration, int]  # a configuration, and the attempts that it is allowed


class Terms(Struct, frozen=True, kw_only=True):
    """Expectations under a policy, one number per task, in the order of `tasks`.

    `solved` is P_k; `accepted` what the cost is divided by, the same but
    for a chain that went on after a success. `co2e_g` and `energy_j` are C_k. `reason` says why nothing is known (then
    there are no tasks), `cost_reason` why the costs are None.
    """

    suite: str
    steps: tuple[Step, ...]
    tasks: tuple[str, ...] = ()
    solved: tuple[float, ...] = ()
    accepted: tuple[float, ...] = ()
    co2e_g: tuple[float, ...] | None = None
    energy_j: tuple[float, ...] | None = None
    reason: str | None = None
    cost_reason: str | None = None

    @property
    def configuration(self) -> Configuration:
        """The first step's."""
        return self.steps[0][0]

    @property
    def pass_probability(self) -> float | None:
        return math.fsum(self.solved) / len(self.solved) if self.solved else None

    @property
    def co2e_g_per_accepted(self) -> float | None:
        return self._per_accepted(self.co2e_g)

    @property
    def energy_j_per_accepted(self) -> float | None:
        return self._per_accepted(self.energy_j)

    def _per_accepted(self, costs: Sequence[float] | None) -> float | None:
        accepted = math.fsum(self.accepted)
        return math.fsum(costs) / accepted if costs and accepted > 0 else None

    def on(self, tasks: Sequence[str]) -> Terms:
        """The same on some of its tasks, in their order."""
        if self.tasks == tuple(tasks):
            return self
        at = {task: position for position, task in enumerate(self.tasks)}
        positions = [at[task] for task in tasks]

        def chosen(values: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(values[position] for position in positions)

        return replace(
            self,
            tasks=tuple(tasks),
            solved=chosen(self.solved),
            accepted=chosen(self.accepted),
            co2e_g=None if self.co2e_g is None else chosen(self.co2e_g),
            energy_j=None if self.energy_j is None else chosen(self.energy_j),
        )


class HasTasks(Protocol):
    """What a policy needs of a configuration's account: of this run, or of what a baseline has kept of one."""

    @property
    def suite(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def settings(self) -> str: ...
    @property
    def chain(self) -> bool: ...
    @property
    def task_rows(self) -> Sequence[TaskRow]: ...


def configuration_of(account: HasTasks) -> Configuration:
    return Configuration(model=account.model, settings=account.settings)


def retrying(account: HasTasks, k: int) -> Terms:
    """Attempts of one configuration until one is accepted, at most `k`.

    Attempts of a chain cannot be redrawn: it counts as logged, whatever `k`, and its step says how many attempts were
    made at most. ValueError when `k` is below 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, found {k}")
    rows = account.task_rows
    made = max((row.attempts for row in rows), default=k) if account.chain else k
    nothing = Terms(suite=account.suite, steps=((configuration_of(account), made),))
    if not rows:
        return replace(nothing, reason=Reason("no_finished"))
    if account.chain:
        accepted = tuple(float(row.accepted) for row in rows)
        solved = tuple(min(number, 1.0) for number in accepted)
    else:
        if short := sum(row.attempts < k for row in rows):
            return replace(nothing, reason=Reason("tasks_too_short", k=k, count=short, tasks=len(rows)))
        accepted = solved = tuple(float(pass_probability(row.attempts, row.accepted, k)) for row in rows)
    unknown = sum(row.co2e_g.attempt is None for row in rows)
    return replace(
        nothing,
        tasks=tuple(row.task_id for row in rows),
        solved=solved,
        accepted=accepted,
        co2e_g=_costs(account.chain, k, [(row, row.co2e_g) for row in rows]),
        energy_j=_costs(account.chain, k, [(row, row.energy_j) for row in rows]),
        cost_reason=Reason("tasks_without_energy", count=unknown, tasks=len(rows)) if unknown else None,
    )


def _costs(chain: bool, k: int, rows: Iterable[tuple[TaskRow, CostMeans]]) -> tuple[float, ...] | None:
    costs = []
    for row, means in rows:
        if means.attempt is None:
            return None
        if chain:
            costs.append(row.attempts * means.attempt)
        else:
            # An undefined mean has weight 0.
            costs.append(expected_cost(row.attempts, row.accepted, k, means.accepted or 0.0, means.failed or 0.0))
    return tuple(costs)


def followed(first: Terms, second: Terms) -> Terms:
    """`first`, and where it solves nothing `second`, on the tasks that both have.

    Per task C = C1 + (1 - P1) * C2 and P = 1 - (1 - P1)(1 - P2): attempts of the two are independent once the task is
    given, so the product of two unbiased estimates is unbiased.
    """
    tasks = shared_tasks([first, second])
    first, second = first.on(tasks), second.on(tasks)
    left = [1 - p for p in first.solved]
    solved = tuple(1 - q * (1 - p) for q, p in zip(left, second.solved, strict=True))

    def costs(one: tuple[float, ...] | None, other: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if one is None or other is None:
            return None
        return tuple(c1 + q * c2 for c1, q, c2 in zip(one, left, other, strict=True))

    return Terms(
        suite=first.suite,
        steps=first.steps + second.steps,
        tasks=tasks,
        solved=solved,
        accepted=solved,
        co2e_g=costs(first.co2e_g, second.co2e_g),
        energy_j=costs(first.energy_j, second.energy_j),
        reason=first.reason or second.reason or (None if tasks else Reason("no_common_task")),
        cost_reason=first.cost_reason or second.cost_reason,
    )


def shared_tasks(policies: Sequence[Terms]) -> tuple[str, ...]:
    """The tasks that all have, in the order of the first."""
    if not policies:
        return ()
    common = reduce(set.__and__, (set(terms.tasks) for terms in policies))
    return tuple(task for task in policies[0].tasks if task in common)


def left_out(policies: Sequence[Terms], tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks that some policy has, but which are not among `tasks`; sorted."""
    return tuple(sorted({task for terms in policies for task in terms.tasks} - set(tasks)))


def common_attempts(accounts: Iterable[ConfigurationAccount]) -> int | None:
    """The largest k that is known of every configuration: the default for comparing them.

    It is at most each headline's own. Chains have no k, since they count as logged, and do not limit it; where all are
    chains it is the largest number of attempts made. Configurations without an attempt do not count; None where
    nothing is left.
    """
    known = [account for account in accounts if account.task_rows]
    ks = [
        min([account.per_accepted.attempts or math.inf, *(row.attempts for row in account.task_rows)])
        for account in known
        if not account.chain
    ]
    if ks:
        return int(min(ks))
    return max((row.attempts for account in known for row in account.task_rows), default=None)


def on_common_ground(
    policies: Sequence[Terms],
) -> tuple[list[Terms], list[tuple[Terms, str]], tuple[str, ...]]:
    """All usable policies on the tasks that they share; the others, with reasons; and the tasks left out.

    A configuration with fewer than half of the common tasks (those that at least half of the configurations have) is
    left out: a run that was broken off would decide for all on its few tasks. ValueError where they are of different
    suites.
    """
    if len({terms.suite for terms in policies}) > 1:
        raise ValueError("configurations of different suites cannot be compared")
    unusable = [(terms, why) for terms in policies if (why := terms.reason or terms.cost_reason)]
    complete = [terms for terms in policies if not (terms.reason or terms.cost_reason)]
    partial = _partial(complete)
    unusable += [(terms, partial[terms.configuration]) for terms in complete if terms.configuration in partial]
    usable = [terms for terms in complete if terms.configuration not in partial]
    tasks = shared_tasks(usable)
    found = []
    for each in usable:
        terms = each.on(tasks)
        if why := _useless(terms):
            unusable.append((each, why))
        else:
            found.append(terms)
    return found, unusable, left_out(usable, tasks)


def _partial(policies: Sequence[Terms]) -> dict[Configuration, str]:
    """Those that have too few of the common tasks, with the reason. No order among them matters."""
    tasks = {terms.configuration: set(terms.tasks) for terms in policies}  # several policies of one count once
    holders = Counter(task for own in tasks.values() for task in own)
    common = {task for task, count in holders.items() if 2 * count >= len(tasks)}
    return {
        configuration: Reason("broken_off", own=len(own & common), common=len(common))
        for configuration, own in tasks.items()
        if 2 * len(own & common) < len(common)
    }


def _useless(terms: Terms) -> str | None:
    if not terms.tasks:
        return Reason("no_task_of_all")
    if not math.fsum(terms.accepted) > 0:
        return Reason("none_accepted")
    return None if terms.co2e_g and math.fsum(terms.co2e_g) > 0 else Reason("not_positive")
