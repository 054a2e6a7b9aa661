"""Findings on what to do, as rows of the page: what was not taken and why, cascades, a month in use, payback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..comparison import Comparison, Difference, Ratio
from ..economics.economy import Beside
from ..economics.expectation import Figure
from ..economics.payback import Payback
from ..findings import Findings, SuiteFindings
from ..model import Configuration
from .extras import (
    AlternativeRow,
    Amount,
    CascadeRow,
    Key,
    MonthRow,
    OneOffRow,
    OtherWayRow,
    PaybackRow,
    TakenRow,
)
from .text import significant
from .texts import TEXTS, Bilingual, plain, reason

if TYPE_CHECKING:
    from ..economics.forecast import Forecast
    from ..economics.usage import UsageLog

_MOST_PROBLEMS = 10


def amount(figure: Figure) -> Amount:
    return _amount(figure.value, figure.interval, figure.reason)


def _amount(value: float | None, interval: tuple[float, float] | None, why: str | None) -> Amount:
    return Amount(value=value, interval=interval, reason=reason(why) if why else None)


def _ratio(found: Ratio) -> Amount:
    return _amount(found.value, found.interval, found.reason)


def _difference(found: Difference) -> Amount:
    return _amount(found.value_pp, found.interval_pp, found.reason)


def _key(suite: SuiteFindings, configuration: Configuration) -> Key:
    return Key(suite.suite, configuration.model, configuration.settings)


def takens(findings: Findings) -> Iterator[TakenRow]:
    for suite in findings.suites:
        if suite.taken is not None:
            yield TakenRow(key=_key(suite, suite.taken.configuration), criterion=suite.taken.criterion.value)


def alternatives(findings: Findings) -> Iterator[AlternativeRow]:
    for suite in findings.suites:
        for each in suite.taken.alternatives if suite.taken is not None else ():
            found: Comparison = each.comparison
            yield AlternativeRow(
                key=_key(suite, each.configuration),
                ratio=_ratio(found.co2e_g),
                pass_difference_pp=_difference(found.pass_probability),
                tasks=found.tasks,
                why=each.why.value,
                reason=reason(each.reason) if each.reason else None,
            )


def other_ways(findings: Findings) -> Iterator[OtherWayRow]:
    """A person and other tools beside what is to be taken, else beside each configuration."""
    keys = {row.key for row in takens(findings)}
    single = {suite.suite: Key.of(suite.configurations[0]) for suite in findings.suites if suite.configurations}
    keys |= {key for suite, key in single.items() if suite not in {each.suite for each in keys}}
    for economy in findings.economies:
        key = Key.of(economy.configuration)
        ways = [(TEXTS["a_person"], economy.human), *((plain(pair[0].name), pair) for pair in economy.alternatives)]
        for name, (grams, money) in ways if key in keys else ():
            if grams.other is not None or money.other is not None:
                yield _other_way(key, name, grams, money)


def _other_way(key: Key, name: Bilingual, grams: Beside, money: Beside) -> OtherWayRow:
    return OtherWayRow(
        key=key,
        name=name,
        co2e_g=grams.other,
        co2e_ratio=amount(grams.ratio),
        break_even_pass_rate=grams.break_even_pass_rate.value,
        money=money.other,
        money_ratio=amount(money.ratio),
        currency=money.unit,
    )


def cascades(findings: Findings) -> Iterator[CascadeRow]:
    """Those whose cost is known, the least grams per accepted solution first."""
    for suite in findings.suites:
        for ranked in suite.cascades.ranked if suite.cascades is not None else ():
            each = ranked.cascade
            if each.co2e_g is None:
                continue
            yield CascadeRow(
                first=_key(suite, each.first),
                first_attempts=each.first_attempts,
                second=_key(suite, each.second),
                second_attempts=each.second_attempts,
                co2e_g=_amount(each.co2e_g, each.co2e_interval, each.reason),
                pass_probability=each.pass_probability,
                ratio=_ratio(each.co2e_ratio),
                pass_difference_pp=_difference(each.pass_difference),
                on_front=ranked.on_front,
                behind=tuple(_key(suite, other) for other in ranked.dominated_by),
            )


def months(findings: Findings) -> Iterator[MonthRow]:
    for found in findings.forecasts:
        yield _month(found)


def _month(found: Forecast) -> MonthRow:
    return MonthRow(
        key=Key.of(found.economy.configuration),
        label=found.demand.label,
        calls=found.demand.calls_per_month,
        solutions=amount(found.solutions_per_month),
        by=reason(found.solutions_by),
        energy_kwh=amount(found.month.energy_kwh),
        co2e_g=amount(found.month.co2e_g),
        money=amount(found.month.money),
        currency=found.economy.money.currency,
    )


def month_notes(findings: Findings) -> Iterator[Bilingual]:
    """What of the usage could be used, and what could not."""
    if findings.usage is not None:
        yield from _log_notes(findings.usage)
    for demand in findings.unmet:
        name = demand.configuration + (f" ({demand.label})" if demand.label else "")
        calls = "?" if demand.calls_per_month is None else significant(demand.calls_per_month)
        yield TEXTS["month_unmet"].filled(name=name, calls=calls)


def _log_notes(log: UsageLog) -> Iterator[Bilingual]:
    yield TEXTS["month_log"].filled(path=log.path, rows=len(log.rows), days=log.span_days, used=log.days_with_rows)
    if log.broken:
        yield TEXTS["month_not_read"].filled(count=len(log.broken))
        yield from map(plain, list(log.problems())[:_MOST_PROBLEMS])


def paybacks(findings: Findings) -> Iterator[PaybackRow]:
    """In grams, and in money where there is a currency; nothing where nothing is paid but the benchmark itself."""
    currency = findings.assumptions.currency
    for suite in findings.suites if findings.assumptions.one_off else ():
        decision = suite.decision
        if decision is None:
            continue
        old, new = Key.of(decision.old), Key.of(decision.new)
        yield _payback(old, new, decision.payback_g, "")
        if currency:
            yield _payback(old, new, decision.payback_money, currency)


def _payback(old: Key, new: Key, found: Payback, currency: str) -> PaybackRow:
    return PaybackRow(
        old=old,
        new=new,
        currency=currency,
        kind=found.kind.value,
        one_off=amount(found.one_off),
        saved=amount(found.saved),
        solutions=found.solutions,
        solutions_span=found.solutions_span,
        months=found.months,
        months_span=found.months_span,
        per_month=found.per_month,
        reason=reason(found.reason) if found.reason else None,
    )


def one_offs(findings: Findings) -> Iterator[OneOffRow]:
    if findings.assumptions.one_off:
        for name, grams, money in findings.one_off.items:
            yield OneOffRow(
                name=reason(name), co2e_g=amount(grams), money=amount(money), currency=findings.assumptions.currency
            )
