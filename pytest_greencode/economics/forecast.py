"""What a configuration will cost in use: calls a day, or accepted solutions a month, times its costs. Pure.

    calls       c calls a day * days in a month * the mean cost of an attempt
    solutions   N accepted solutions a month * R_k, the cost of one, failed attempts included

A year is twelve such months. The intervals are those of the benchmark; the demand is taken as it is stated. A benchmark
says what its own tasks cost: work with longer prompts or answers costs more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from ..reasons import Reason
from .economy import Economy
from .expectation import Figure, unknown
from .usage import DAYS_PER_MONTH, UsageLog, UsageRow

if TYPE_CHECKING:
    from .assumptions import Assumptions

MONTHS = 12


class Demand(Struct, frozen=True, kw_only=True):
    """How much is asked for: `calls_per_month` attempts or `solutions_per_month` accepted ones, one of them None.

    `configuration` is a model's name, "" for whichever is looked at; `accepted_share` of the calls, None where unknown.
    """

    calls_per_month: float | None
    solutions_per_month: float | None
    accepted_share: float | None
    source: str
    configuration: str = ""
    label: str = ""


class Amounts(Struct, frozen=True, kw_only=True):
    """What something costs, in three units."""

    co2e_g: Figure
    energy_kwh: Figure
    money: Figure

    def times(self, factor: float) -> Amounts:
        return Amounts(
            co2e_g=self.co2e_g.times(factor),
            energy_kwh=self.energy_kwh.times(factor),
            money=self.money.times(factor),
        )


class Forecast(Struct, frozen=True, kw_only=True):
    """A demand met by a configuration.

    `solutions_per_month`: accepted ones; by the demand's own share of accepted calls, else by the benchmark's pass@1,
    which `solutions_by` says.
    `per_accepted_g`: by the demand's own share; None without one.
    """

    demand: Demand
    economy: Economy
    month: Amounts
    year: Amounts
    solutions_per_month: Figure
    solutions_by: str
    per_accepted_g: Figure


def stated_demand(assumptions: Assumptions) -> Demand | None:
    """What the assumptions file says itself; None where it says nothing, or points to a log."""
    usage = assumptions.usage
    source = assumptions.path or ""
    if usage.calls_per_day is not None:
        return Demand(
            calls_per_month=usage.calls_per_day * assumptions.days_per_month,
            solutions_per_month=None,
            accepted_share=usage.accept_rate,
            source=source,
        )
    if usage.solutions_per_month is not None:
        return Demand(
            calls_per_month=None,
            solutions_per_month=usage.solutions_per_month,
            accepted_share=None,
            source=source,
        )
    return None


def logged_demands(log: UsageLog) -> tuple[Demand, ...]:
    """One demand for each configuration and label of a log.

    The rate is that of the whole log's span, first to last day: who did not call on a day called 0 times.
    """
    groups: defaultdict[tuple[str, str], list[UsageRow]] = defaultdict(list)
    for row in log.rows:
        groups[row.configuration, row.label].append(row)
    return tuple(
        Demand(
            calls_per_month=sum(row.calls for row in rows) / log.span_days * DAYS_PER_MONTH,
            solutions_per_month=None,
            accepted_share=_accepted_share(rows),
            source=log.path,
            configuration=configuration,
            label=label,
        )
        for (configuration, label), rows in sorted(groups.items())
    )


def _accepted_share(rows: Sequence[UsageRow]) -> float | None:
    """Over the rows that say how many were accepted."""
    known = [(row.accepted, row.calls) for row in rows if row.accepted is not None]
    calls = sum(calls for _, calls in known)
    return sum(accepted for accepted, _ in known) / calls if calls else None


def forecast(demand: Demand, economy: Economy) -> Forecast:
    """The demand at this configuration's costs; what is not known carries its reason."""
    per_attempt = Amounts(
        co2e_g=economy.co2e_g_per_attempt,
        energy_kwh=economy.energy_kwh_per_attempt,
        money=economy.money.per_attempt,
    )
    per_accepted = Amounts(co2e_g=economy.co2e_g, energy_kwh=economy.energy_kwh, money=economy.money.per_accepted)
    if demand.calls_per_month is not None:
        month = per_attempt.times(demand.calls_per_month)
        solutions, by = _solutions(demand.calls_per_month, demand.accepted_share, economy)
    else:
        month = per_accepted.times(demand.solutions_per_month or 0.0)
        solutions, by = Figure(value=demand.solutions_per_month), Reason("by_statement")
    share = demand.accepted_share
    return Forecast(
        demand=demand,
        economy=economy,
        month=month,
        year=month.times(MONTHS),
        solutions_per_month=solutions,
        solutions_by=by,
        per_accepted_g=per_attempt.co2e_g.times(1 / share) if share else unknown(Reason("no_accepted_share")),
    )


def _solutions(calls: float, share: float | None, economy: Economy) -> tuple[Figure, str]:
    if share is not None:
        return Figure(value=calls * share), Reason("by_accepted_share")
    rate = economy.configuration.pass_at.get(1)
    if rate is None:
        return unknown(Reason("no_rate")), ""
    return Figure(value=calls * rate), Reason("by_pass_1")


def forecasts(demands: Iterable[Demand], economies: Sequence[Economy]) -> tuple[list[Forecast], list[Demand]]:
    """Each demand at the configurations it means, and the demands that mean none.

    A demand without a configuration is met by each in turn; one with a name by those of that model.
    """
    met: list[Forecast] = []
    unmet: list[Demand] = []
    for demand in demands:
        meant = [each for each in economies if demand.configuration in ("", each.configuration.model)]
        met += [forecast(demand, each) for each in meant]
        if not meant:
            unmet.append(demand)
    return met, unmet
