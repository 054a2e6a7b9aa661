"""Money, time and human work beside grams, per accepted solution and per resolved task. Pure.

    per accepted        R = sum C_t / sum P_t
    per resolved task   L = mean(C_t + (1 - P_t) * H_t)      a person of cost H_t finishes what is left
    break-even          p* = sum x_t / sum H_t               x_t: mean cost of an attempt of task t

One attempt and, where it fails, a person cost x + (1 - p) * H, the person alone H: the benefit's sign flips at
p* = x / H. The cost per accepted solution, x / p, equals H at the same p*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from ..accounts import MIN_TASKS, ConfigurationAccount, CostMeans
from ..carbon import primary_energy_mj, water_litres
from ..model import J_PER_KWH, Factors, Intensity
from ..reasons import Reason
from ..statistics import Interval, guarded_mean_interval, ratio_interval
from .expectation import (
    Costs,
    Direction,
    Figure,
    direction,
    per_accepted,
    per_attempt,
    policy_of,
    ratio_over_tasks,
    task_costs,
    too_few,
    unknown,
)
from .resources import Use

if TYPE_CHECKING:
    from .assumptions import Assumptions

CO2E = "gCO2e"  # the unit of grams where another figure is in money
S_PER_MINUTE = 60.0
MINUTES_PER_H = 60.0

# What money is spent on, and the resources that each part prices.
PARTS: Mapping[str, tuple[str, ...]] = {
    "electricity_generation": ("generation_kwh",),
    "electricity_execution": ("execution_kwh",),
    "tokens": ("prompt_tokens", "completion_tokens"),
    "hardware_generation": ("device_h",),
    "hardware_execution": ("machine_h",),
}
_OWN_GENERATION = ("electricity_generation", "hardware_generation")
_EXECUTION = ("electricity_execution", "hardware_execution")

NO_PRICE = Reason("no_price")
NO_RECORDS = Reason("no_records")


def carbon_costs(configuration: ConfigurationAccount) -> Costs | str:
    """gCO2e of each task, or the reason why they are not known."""
    policy = policy_of(configuration)
    if isinstance(policy, str):
        return policy
    found = task_costs(policy, [(r.task_id, r.attempts, r.accepted, r.co2e_g) for r in configuration.task_rows])
    return found if found is not None else configuration.pool.reason or Reason("grams_missing")


# --- money ------------------------------------------------------------------------------------------------------


class MoneyPart(Struct, frozen=True, kw_only=True):
    """One part of PARTS, in the currency."""

    name: str
    per_attempt: Figure
    per_accepted: Figure


class Money(Struct, frozen=True, kw_only=True):
    """What a configuration costs, in the currency: the sum of `parts`, those that have a price.

    `unpriced` parts would be paid but have no price, and are not in the sum. `bought`: a token price stands for the
    generation's electricity and hardware, which are then not added. `costs` are the sum's, by task, or why not.
    """

    currency: str
    parts: tuple[MoneyPart, ...]
    unpriced: tuple[str, ...]
    bought: bool
    per_attempt: Figure
    per_accepted: Figure
    costs: Costs | str


def unit_prices(assumptions: Assumptions, model: str) -> dict[str, dict[str, float]]:
    """By part of PARTS that has a price, the price of a unit of each of its resources, in the currency."""
    money = assumptions.money
    found: dict[str, dict[str, float]] = {}
    tokens = money.token_price(model)
    if tokens is not None:
        per_million = (tokens.prompt_per_million, tokens.completion_per_million)
        found["tokens"] = {name: price / 1e6 for name, price in zip(PARTS["tokens"], per_million, strict=True)}
    for site in ("generation", "execution"):
        if site == "generation" and tokens is not None:
            continue
        electricity = getattr(money.electricity_per_kwh, site)
        if electricity is not None:
            found[f"electricity_{site}"] = {f"{site}_kwh": electricity}
        hardware = getattr(money.hardware, site)
        if hardware is not None:
            (resource,) = PARTS[f"hardware_{site}"]
            found[f"hardware_{site}"] = {resource: hardware.per_used_hour()}
    return {part: found[part] for part in PARTS if part in found}


def money(configuration: ConfigurationAccount, use: Use | None, assumptions: Assumptions) -> Money:
    """What a configuration costs at the assumed prices; without `use` only the reason why that is not known."""
    prices = unit_prices(assumptions, configuration.model)
    bought = "tokens" in prices
    payable = (("tokens",) if bought else _OWN_GENERATION) + _EXECUTION
    parts = []
    for name, by_resource in prices.items():
        costs = _money_costs(configuration, use, by_resource)
        parts.append(MoneyPart(name=name, per_attempt=per_attempt(costs), per_accepted=per_accepted(costs)))
    every = {resource: price for by_resource in prices.values() for resource, price in by_resource.items()}
    total = _money_costs(configuration, use, every) if every else NO_PRICE
    return Money(
        currency=assumptions.currency,
        parts=tuple(parts),
        unpriced=tuple(part for part in payable if part not in prices),
        bought=bought,
        per_attempt=per_attempt(total),
        per_accepted=per_accepted(total),
        costs=total,
    )


def _money_costs(configuration: ConfigurationAccount, use: Use | None, prices: Mapping[str, float]) -> Costs | str:
    """What each task costs at these prices of resources. A resource that is free need not be known."""
    prices = {resource: price for resource, price in prices.items() if price}
    return _resource_costs(configuration, use, prices)


def time_to_accepted(configuration: ConfigurationAccount, use: Use | None) -> Figure:
    """Seconds until an accepted solution, attempts one after the other: generation and execution of each."""
    return per_accepted(_resource_costs(configuration, use, {"duration_s": 1.0}))


def electricity(configuration: ConfigurationAccount, use: Use | None) -> Costs | str:
    """kWh at the meters of both sites, by task, or why they are not known."""
    return _resource_costs(configuration, use, {"generation_kwh": 1.0, "execution_kwh": 1.0})


def _resource_costs(configuration: ConfigurationAccount, use: Use | None, prices: Mapping[str, float]) -> Costs | str:
    policy = policy_of(configuration)
    if isinstance(policy, str):
        return policy
    if use is None:
        return NO_RECORDS
    tasks = []
    for task in use.tasks:
        means = [(task.means[resource], price) for resource, price in prices.items()]
        tasks.append((task.task_id, task.attempts, task.accepted, _combined(means)))
    found = task_costs(policy, tasks)
    return found if found is not None else use.why_missing(prices) or Reason("not_recorded")


def _combined(means: Sequence[tuple[CostMeans, float]]) -> CostMeans:
    """The sum of means times prices. A task without accepted (or failed) attempts has that mean None in all."""

    def total(get: Callable[[CostMeans], float | None]) -> float | None:
        known = [(get(mean), price) for mean, price in means]
        if any(value is None for value, _ in known):
            return None
        return math.fsum((value or 0.0) * price for value, price in known)

    return CostMeans(
        attempt=total(lambda mean: mean.attempt),
        accepted=total(lambda mean: mean.accepted),
        failed=total(lambda mean: mean.failed),
    )


# --- human work, and other tools --------------------------------------------------------------------------------


class HumanWork(Struct, frozen=True, kw_only=True):
    """A person doing the tasks: by task, minutes, gCO2e of the workstation and money of the hours, or why not known."""

    workstation_w: float
    grid: Intensity
    minutes: Mapping[str, float] | str
    co2e_g: Mapping[str, float] | str
    money: Mapping[str, float] | str


def human_work(configuration: ConfigurationAccount, assumptions: Assumptions, factors: Factors) -> HumanWork:
    """Grams are minutes * W * 60 / 3.6e6 * I, operational only; money is hours * rate."""
    human = assumptions.human
    grid, power_w = human.grid(factors.execution), human.power_w()
    task_ids = [row.task_id for row in configuration.task_rows]
    minutes = _of_each(task_ids, lambda task_id: human.minutes(configuration.suite, task_id), "human.minutes_per_task")
    rates = _of_each(task_ids, lambda task_id: human.rate(configuration.suite, task_id), "human.hourly_rate")
    kwh_per_minute = power_w * S_PER_MINUTE / J_PER_KWH
    money: Mapping[str, float] | str = rates if isinstance(rates, str) else minutes
    if not isinstance(minutes, str) and not isinstance(rates, str):
        money = {task_id: minutes[task_id] / MINUTES_PER_H * rates[task_id] for task_id in task_ids}
    return HumanWork(
        workstation_w=power_w,
        grid=grid,
        minutes=minutes,
        co2e_g=minutes
        if isinstance(minutes, str)
        else {task_id: value * kwh_per_minute * grid.g_per_kwh for task_id, value in minutes.items()},
        money=money,
    )


def _of_each(task_ids: Sequence[str], find: Callable[[str], float | None], name: str) -> Mapping[str, float] | str:
    found: dict[str, float] = {}
    for task_id in task_ids:
        value = find(task_id)
        if value is None:
            return Reason("not_given_for", name=name, task=task_id) if found else Reason("not_given", name=name)
        found[task_id] = value
    return found or Reason("no_finished")


def workstation_s(co2e_g: Figure, workstation_w: float, grid: Intensity) -> Figure:
    """For how many seconds a workstation emits as much: g * 3.6e6 / (W * I)."""
    if not workstation_w * grid.g_per_kwh > 0:
        return unknown(Reason("emits_nothing"))
    return co2e_g.times(J_PER_KWH / (workstation_w * grid.g_per_kwh))


class Beside(Struct, frozen=True, kw_only=True):
    """A configuration beside another way to the same solutions, in one unit (CO2E or the currency).

    `other`: its mean cost of the solutions that were accepted here. `ratio` = ours / other; below 1 ours costs less.
    `break_even_pass_rate`: at and above this share of accepted attempts ours costs no more; above 1 it never does.
    """

    name: str
    unit: str
    ours: Figure
    other: float | None
    ratio: Figure
    break_even_pass_rate: Figure
    direction: Direction


def beside(name: str, unit: str, costs: Costs | str, other: Mapping[str, float] | str) -> Beside:
    """`other` is the other way's cost of each task, or why it is not known. Taken as exact: the interval is ours."""
    ours = per_accepted(costs)
    if isinstance(costs, str) or isinstance(other, str):
        none = unknown(other if isinstance(other, str) else str(costs))
        mean = None if isinstance(other, str) else math.fsum(other.values()) / len(other)
        return Beside(
            name=name,
            unit=unit,
            ours=ours,
            other=mean,
            ratio=none,
            break_even_pass_rate=none,
            direction=Direction.UNKNOWN,
        )
    tasks = [(task, other[task_id]) for task_id, task in costs.items()]
    replaced = [task.passed * theirs for task, theirs in tasks]
    passed = math.fsum(task.passed for task, _ in tasks)
    ratio = ratio_over_tasks([task.cost for task, _ in tasks], replaced)
    return Beside(
        name=name,
        unit=unit,
        ours=ours,
        other=math.fsum(replaced) / passed if passed else math.fsum(theirs for _, theirs in tasks) / len(tasks),
        ratio=ratio,
        break_even_pass_rate=ratio_over_tasks([task.attempt for task, _ in tasks], [theirs for _, theirs in tasks]),
        direction=direction(ratio),
    )


class Resolved(Struct, frozen=True, kw_only=True):
    """L: cost per task when a person finishes what k attempts left; `total` = `attempts` + `fallback`."""

    unit: str
    total: Figure
    attempts: float | None
    fallback: float | None


def _resolved_interval(spent: Sequence[float], values: Sequence[float], fallback: Sequence[float]) -> Interval | None:
    """L with a task added that was solved, or was left to the person, at the mean cost of the attempts.

    A few tasks that nobody solved are most of L, and a small sample may have none of them: without the added task the
    interval holds in as few as 7 % of runs (benchmarks/interval_coverage.md). Never below what the attempts take.
    """
    attempts = ratio_interval(spent, [1.0] * len(spent))
    mean = math.fsum(spent) / len(spent)
    found = guarded_mean_interval(values, mean, mean + math.fsum(fallback) / len(fallback))
    return None if found is None or attempts is None else (max(found[0], attempts[0]), found[1])


def resolved(unit: str, costs: Costs | str, fallback: Mapping[str, float] | str) -> Resolved:
    """`fallback` is a person's cost of each task, or why it is not known."""
    if isinstance(costs, str) or isinstance(fallback, str):
        reason = costs if isinstance(costs, str) else str(fallback)
        return Resolved(unit=unit, total=unknown(reason), attempts=None, fallback=None)
    m = len(costs)
    # A task of a chain is resolved once, however often it was accepted.
    left = [(1 - min(task.passed, 1.0)) * fallback[task_id] for task_id, task in costs.items()]
    spent = [task.cost for task in costs.values()]
    values = [a + b for a, b in zip(spent, left, strict=True)]
    return Resolved(
        unit=unit,
        total=Figure(
            value=math.fsum(values) / m,
            interval=_resolved_interval(spent, values, list(fallback.values())) if m >= MIN_TASKS else None,
            reason=None if m >= MIN_TASKS else too_few(m),
        ),
        attempts=math.fsum(spent) / m,
        fallback=math.fsum(left) / m,
    )


# --- one configuration, and all of them -------------------------------------------------------------------------


class Economy(Struct, frozen=True, kw_only=True):
    """One configuration: grams, money and time per accepted solution, and the same work done otherwise.

    `human` and each of `alternatives` hold grams first, then money; `resolved` likewise. `water_l` and
    `primary_energy_mj` are per accepted solution, None without their factors.
    """

    configuration: ConfigurationAccount
    co2e_g: Figure
    co2e_g_per_attempt: Figure
    energy_kwh: Figure
    energy_kwh_per_attempt: Figure
    money: Money
    time_s: Figure
    workstation_s: Figure
    workstation_s_per_attempt: Figure
    human_work: HumanWork
    human: tuple[Beside, Beside]
    alternatives: tuple[tuple[Beside, Beside], ...]
    resolved: tuple[Resolved, Resolved]
    carbon_costs: Costs | str
    water_l: float | None
    primary_energy_mj: float | None


def economy(
    configuration: ConfigurationAccount, use: Use | None, assumptions: Assumptions, factors: Factors
) -> Economy:
    """Everything there is to say of one configuration. `use` is what `resources.uses` found of it."""
    grams = carbon_costs(configuration)
    spent = money(configuration, use, assumptions)
    kwh = electricity(configuration, use)
    work = human_work(configuration, assumptions, factors)
    co2e_g, co2e_g_per_attempt = per_accepted(grams), per_attempt(grams)
    kwh_per_accepted = per_accepted(kwh)
    currency = assumptions.currency

    def both(name: str, co2e_g: Mapping[str, float] | str, money: Mapping[str, float] | str) -> tuple[Beside, Beside]:
        return beside(name, CO2E, grams, co2e_g), beside(name, currency, spent.costs, money)

    def constant(value: float | None, name: str) -> Mapping[str, float] | str:
        if value is None:
            return Reason("not_given", name=name)
        return {row.task_id: value for row in configuration.task_rows} or Reason("no_finished")

    return Economy(
        configuration=configuration,
        co2e_g=co2e_g,
        co2e_g_per_attempt=co2e_g_per_attempt,
        energy_kwh=kwh_per_accepted,
        energy_kwh_per_attempt=per_attempt(kwh),
        money=spent,
        time_s=time_to_accepted(configuration, use),
        workstation_s=workstation_s(co2e_g, work.workstation_w, work.grid),
        workstation_s_per_attempt=workstation_s(co2e_g_per_attempt, work.workstation_w, work.grid),
        human_work=work,
        human=both("human", work.co2e_g, work.money),
        alternatives=tuple(
            both(
                name,
                constant(other.co2e_g_per_solution, f"alternative.{name}.co2e_g_per_solution"),
                constant(other.money_per_solution, f"alternative.{name}.money_per_solution"),
            )
            for name, other in assumptions.alternative.items()
        ),
        resolved=(resolved(CO2E, grams, work.co2e_g), resolved(currency, spent.costs, work.money)),
        carbon_costs=grams,
        water_l=_water_l(configuration, kwh_per_accepted, assumptions),
        primary_energy_mj=_primary_energy_mj(kwh_per_accepted, assumptions),
    )


def _water_l(configuration: ConfigurationAccount, at_meter: Figure, assumptions: Assumptions) -> float | None:
    """Litres per accepted solution; None unless both factors are given."""
    site, grid = assumptions.impacts.water_site_l_per_kwh, assumptions.impacts.water_grid_l_per_kwh
    energy_j, kwh = configuration.per_accepted.energy_j, at_meter.value
    if site is None or grid is None or not energy_j or kwh is None:
        return None
    # What the meter shows over what the devices took; the records' own PUE is in both.
    pue = max(kwh * J_PER_KWH / energy_j, 1.0)
    return water_litres(energy_j, wue_site_l_per_kwh=site, wue_grid_l_per_kwh=grid, pue=pue)


def _primary_energy_mj(at_meter: Figure, assumptions: Assumptions) -> float | None:
    """MJ per accepted solution."""
    factor = assumptions.impacts.primary_energy_mj_per_kwh
    if factor is None or at_meter.value is None:
        return None
    return primary_energy_mj(at_meter.value * J_PER_KWH, grid_mj_per_kwh=factor)


def unused(assumptions: Assumptions, configurations: Sequence[ConfigurationAccount]) -> list[str]:
    """The names of assumptions that no configuration here has a use for: suites, tasks, and models of token prices.

    Not an error, as a file may serve several runs; but it may be a slip of the pen.
    """
    suites = {configuration.suite for configuration in configurations}
    tasks = {row.task_id for configuration in configurations for row in configuration.task_rows}
    human = assumptions.human
    used = {id(assumptions.money.token_price(configuration.model)) for configuration in configurations}
    return [
        *(f"human.suites.{suite}" for suite in human.suites if suite not in suites),
        *(f'human.tasks."{task_id}"' for task_id in human.tasks if task_id not in tasks),
        *(f"money.tokens {price.model!r}" for price in assumptions.money.tokens if id(price) not in used),
    ]


class Spread(Struct, frozen=True, kw_only=True):
    """How far configurations lie apart: the positions of the least and the most, and most / least."""

    least: int
    most: int
    factor: float


def spread(values: Sequence[float | None]) -> Spread | None:
    """None for fewer than two known values above 0."""
    known = sorted((value, position) for position, value in enumerate(values) if value is not None and value > 0)
    if len(known) < 2:
        return None
    (low, least), (high, most) = known[0], known[-1]
    return Spread(least=least, most=most, factor=high / low)


class Disagreement(Struct, frozen=True, kw_only=True):
    """Grams and money name different configurations as the best, by their positions.

    `money_factor`: what the greenest costs over what the cheapest does; `co2e_factor`: the cheapest's grams over the
    greenest's.
    """

    greenest: int
    cheapest: int
    money_factor: float | None
    co2e_factor: float | None


def disagreement(co2e_g: Sequence[float | None], money: Sequence[float | None]) -> Disagreement | None:
    """Among configurations of which both are known; None where the two agree or fewer than two are known."""
    known = [
        (grams, spent, position)
        for position, (grams, spent) in enumerate(zip(co2e_g, money, strict=True))
        if grams is not None and spent is not None
    ]
    if len(known) < 2:
        return None
    greenest = min(known, key=lambda each: (each[0], each[1]))
    cheapest = min(known, key=lambda each: (each[1], each[0]))
    if greenest[1] <= cheapest[1] or cheapest[0] <= greenest[0]:
        return None
    return Disagreement(
        greenest=greenest[2],
        cheapest=cheapest[2],
        money_factor=greenest[1] / cheapest[1] if cheapest[1] > 0 else None,
        co2e_factor=cheapest[0] / greenest[0] if greenest[0] > 0 else None,
    )
