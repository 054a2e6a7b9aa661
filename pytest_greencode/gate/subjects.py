"""What rules are about: the quantities of a configuration (or of a test suite), as sums over its units."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from ..comparison.policy import HasTasks, retrying
from ..economics.expectation import Costs
from ..estimators import pass_probability
from ..pricing import Pricing
from ..project_account import Variance
from ..project_costs import CostOfTest, ProjectCosts
from .rules import Field, Rule

# What tests have left running is a unit of its own, for which no test answers.
LEFT_RUNNING = "left running"


class Quantity(Struct, frozen=True, kw_only=True):
    """sum(numerators) / sum(denominators) over `units`, by unit; `reason` says why there is no such number.

    `fruitless`: where the denominators add up to 0, the mean cost of an attempt and how many were made. `variances`: of
    the numerators of the units that were repeated.
    """

    units: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    reason: str | None = None
    fruitless: tuple[float, int] | None = None
    variances: Mapping[str, Variance] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        weight = math.fsum(denominator for _, denominator in self.units.values())
        if self.reason or not weight > 0:
            return None
        return math.fsum(numerator for numerator, _ in self.units.values()) / weight

    def on(self, names: Iterable[str]) -> Quantity:
        """The same over some of its units."""
        return Quantity(units={name: self.units[name] for name in names}, reason=self.reason, variances=self.variances)


class Subject(Struct, frozen=True, kw_only=True):
    """One configuration on one suite, or an ordinary test suite (`of_tests`; `suite` is empty then).

    `quantities` by field name. `incomplete`: why none of them may be judged. `attempts` per unit, on average.
    `allowed` is the headline's k. `samples` tells whether two subjects are of the same programs; None where nobody
    knows. Units are the tasks of a benchmark, so that one more or less is a difference to a baseline; or the tests of
    a project, which come and go. `conditions`: under which tests were measured; `startup_cpu_s`: what starting pytest
    took meanwhile.
    """

    suite: str
    model: str
    settings: str = "{}"
    quantities: Mapping[str, Quantity]
    incomplete: str | None = None
    attempts: float = 1.0
    allowed: int | None = None
    samples: str | None = None
    of_tests: bool = False
    conditions: Mapping[str, str] = field(default_factory=dict)
    startup_cpu_s: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.suite, self.model, self.settings

    @property
    def units_called(self) -> str:
        return "tests" if self.of_tests else "tasks"

    def under(self, rule: Rule) -> Subject | None:
        """What a rule is about: the configuration if its pattern means it, of a suite the tests that it means."""
        if rule.field.name not in self.quantities:
            return None
        if not self.of_tests:
            return self if rule.covers(self.names) else None
        if rule.pattern is None:
            return self
        quantity = self.quantities[rule.field.name]
        chosen = [name for name in quantity.units if rule.covers([name])]
        return replace(self, quantities={rule.field.name: quantity.on(chosen)}) if chosen else None

    @property
    def names(self) -> list[str]:
        """What a rule's pattern may be written for: the model, with its settings as JSON or as they are printed."""
        return [self.model, f"{self.model} {self.settings}", f"{self.model} ({_printed(self.settings)})"]


def _printed(settings: str) -> str:
    try:
        found = json.loads(settings)
    except (ValueError, RecursionError):
        return settings
    if not isinstance(found, dict):
        return settings
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in found.items()
    )


def subject_of(
    account: HasTasks,
    fields: Iterable[Field],
    k: int | None,
    *,
    allowed: int | None = None,
    incomplete: str | None = None,
    money: Costs | str = "no price given",
    samples: str | None = None,
) -> Subject:
    """A configuration at most `k` attempts a task; `allowed` are `k` unless told otherwise. `money` is of these."""
    rows = account.task_rows
    return Subject(
        suite=account.suite,
        model=account.model,
        settings=account.settings,
        quantities={each.name: _quantity(account, each, k, money) for each in fields if not each.of_tests},
        incomplete=incomplete or (None if rows and k else "no finished attempts"),
        attempts=sum(row.attempts for row in rows) / len(rows) if rows else 1.0,
        allowed=k if allowed is None else allowed,
        samples=samples,
    )


def _quantity(account: HasTasks, field: Field, k: int | None, money: Costs | str) -> Quantity:
    if k is None or not account.task_rows:
        return Quantity(reason="no finished attempts")
    if field.k is not None:
        if account.chain:
            return Quantity(reason="the attempts of a chain cannot be redrawn")
        solved = retrying(account, field.k)
        return Quantity(
            units={t: (p, 1.0) for t, p in zip(solved.tasks, solved.solved, strict=True)}, reason=solved.reason
        )
    terms = retrying(account, k)
    if field.name == "money_per_accepted":
        if isinstance(money, str):
            return Quantity(reason=money)
        return _ratio({task: (cost.cost, cost.passed) for task, cost in money.items()}, account, None)
    reason = terms.reason or terms.cost_reason
    costs = terms.energy_j if field.name == "energy_per_accepted_j" else terms.co2e_g
    if reason or costs is None:
        return Quantity(reason=reason or "the cost is not known")
    if field.name == "waste_share":
        return _waste(account, dict(zip(terms.tasks, costs, strict=True)), k)
    means = {
        row.task_id: row.energy_j if field.name == "energy_per_accepted_j" else row.co2e_g for row in account.task_rows
    }
    spent = math.fsum(row.attempts * (means[row.task_id].attempt or 0.0) for row in account.task_rows)
    units = {task: pair for task, *pair in zip(terms.tasks, costs, terms.accepted, strict=True)}
    return _ratio({task: (cost, accepted) for task, (cost, accepted) in units.items()}, account, spent)


def _ratio(units: Mapping[str, tuple[float, float]], account: HasTasks, spent: float | None) -> Quantity:
    if math.fsum(accepted for _, accepted in units.values()) > 0:
        return Quantity(units=units)
    attempts = sum(row.attempts for row in account.task_rows)
    redrawn = spent is not None and attempts and not account.chain
    return Quantity(
        units=units, reason="none accepted", fruitless=(spent / attempts, attempts) if redrawn and spent else None
    )


def _waste(account: HasTasks, costs: Mapping[str, float], k: int) -> Quantity:
    """The share of the grams that went into attempts that were thrown away."""
    units = {}
    for row in account.task_rows:
        accepted = row.accepted if account.chain else float(pass_probability(row.attempts, row.accepted, k))
        cost = costs[row.task_id]
        units[row.task_id] = cost - accepted * (row.co2e_g.accepted or 0.0), cost
    return Quantity(units=units, reason=None if math.fsum(costs.values()) > 0 else "the cost is not positive")


# An ordinary test suite.


def subject_of_tests(
    costs: ProjectCosts, fields: Iterable[Field], pricing: Pricing, *, incomplete: str | None = None
) -> Subject:
    """A suite's tests; grams by `pricing`."""
    return Subject(
        suite="",
        model="tests",
        quantities={each.name: _of_tests(costs, each, pricing) for each in fields if each.of_tests},
        incomplete=incomplete,
        of_tests=True,
        conditions=costs.conditions,
        startup_cpu_s=costs.startup_cpu_s,
    )


def _of_tests(costs: ProjectCosts, field: Field, pricing: Pricing) -> Quantity:
    background = costs.background
    left = CostOfTest(False, background.cpu_s, background.energy_j, 0.0)
    units, variances, unknown = {}, {}, 0
    for name, test in (*costs.tests.items(), (LEFT_RUNNING, left)):
        cost, variance = _cost_of_test(test, field, pricing)
        if cost is None:
            unknown += 1
            continue
        units[name] = cost, float(test.passed)
        if variance is not None:
            variances[name] = variance
    reason = None
    if unknown:
        what = "CPU time" if field.unit == "s" else "carbon" if field.unit == "g" else "energy"
        reason = f"the {what} of {unknown} test{'s' * (unknown != 1)} is not known"
    elif not any(test.passed for test in costs.tests.values()):
        reason = "no test passed"
    return Quantity(units=units, reason=reason, variances=variances)


def _cost_of_test(test: CostOfTest, field: Field, pricing: Pricing) -> tuple[float | None, Variance | None]:
    if field.unit == "s":
        return test.cpu_s, test.cpu_variance
    if field.unit == "J" or test.energy_j is None:
        return test.energy_j, test.energy_variance
    embodied = None if test.wall_s is None else pricing.execution_embodied_g(test.wall_s)
    if embodied is None:
        return None, None
    found, rate = test.energy_variance, pricing.execution_g(1.0)
    return pricing.execution_g(test.energy_j) + embodied, None if found is None else (found[0] * rate**2, found[1])
