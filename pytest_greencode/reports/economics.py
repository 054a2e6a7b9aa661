"""Grams, money and time beside human work, and forecasts, as lines of plain text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from ..accounts import ConfigurationAccount
from ..economics.economy import CO2E, Beside, Economy, disagreement, spread
from ..economics.expectation import Figure
from ..economics.forecast import Demand, Forecast
from ..economics.payback import OneOffCost
from ..economics.resources import key_of
from ..model import Configuration
from .names import Called, distinct, labels
from .sentences import amount
from .terminal import keyed
from .text import columns, escape, left, mass_unit, percent, right, shorten, significant, wrap

if TYPE_CHECKING:
    from ..economics.assumptions import Entry
    from ..economics.usage import UsageLog

_UNKNOWN = "?"
_NARROWEST_NAME = 8
_PERSON = "a person"
_PARTS = {
    "electricity_generation": "electricity of generation",
    "electricity_execution": "electricity of execution",
    "tokens": "tokens",
    "hardware_generation": "hardware of generation",
    "hardware_execution": "hardware of execution",
}


def economics_lines(economies: Sequence[Economy], *, width: int = 80) -> list[str]:
    """Side by side, by suite: each configuration, a person and other tools, per accepted solution; then notes.

    Lines of at most `width` columns (at least 40). Every name from a model or a file is escaped.
    """
    width = max(width, 40)
    lines: list[str] = []
    ordered = sorted(economies, key=lambda each: each.configuration.suite)
    for suite, group in groupby(ordered, key=lambda each: each.configuration.suite):
        members = sorted(group, key=_rank)
        if lines:
            lines.append("")
        ks = {each.configuration.per_accepted.attempts for each in members}
        allowed = f", k = {ks.pop()}" if len(ks) == 1 else ""
        lines += wrap(f"{escape(suite)}: per accepted solution, failed attempts included{allowed}", width)
        names = _names(members)
        lines += ["", *_side_by_side(members, names, width), ""]
        lines += keyed(_notes(members, names), width)
    return lines or ["no attempts"]


def one_off_lines(cost: OneOffCost, currency: str, *, width: int = 80) -> list[str]:
    """What is paid once, item by item."""
    notes = [
        (
            "one-off",
            f"{escape(name)}: {figure_text(grams, CO2E)}, {figure_text(money, currency)}",
        )
        for name, grams, money in cost.items
    ]
    return list(keyed(notes, max(width, 40)))


def assumption_lines(entries: Iterable[Entry], *, width: int = 80) -> list[str]:
    """Every assumption in use with its origin, for the appendix."""
    lines: list[str] = []
    for entry in entries:
        unit = f" {escape(entry.unit)}" if entry.unit else ""
        text = f"{escape(entry.name)} = {escape(entry.value)}{unit} ({escape(entry.origin)})"
        lines += wrap(text, max(width, 40), rest="  ")
    return lines


# Side by side.


def by_suite(called: Iterable[_OnSuite]) -> dict[tuple[str, str, str], str]:
    """What each is called among those of its suite, by (suite, model, settings)."""
    members: dict[str, list[_OnSuite]] = {}
    for each in called:
        members.setdefault(each.suite, []).append(each)
    return {
        (suite, found.model, found.settings): label
        for suite, group in members.items()
        for found, label in labels(group).items()
    }


class _OnSuite(Called, Protocol):
    @property
    def suite(self) -> str: ...


def _names(members: Sequence[Economy]) -> list[str]:
    """What the members of a suite are called in its table and notes: no two alike."""
    known = labels([economy.configuration for economy in members])
    found = (economy.configuration for economy in members)
    return [known[Configuration(model=each.model, settings=each.settings)] for each in found]


def _rank(economy: Economy) -> tuple[bool, float, str, str]:
    value, found = economy.co2e_g.value, economy.configuration
    return value is None, math.inf if value is None else value, found.model, found.settings


def _side_by_side(members: Sequence[Economy], names: Sequence[str], width: int) -> Iterator[str]:
    """Rows of configurations, of a person and of other tools; the columns that nobody fills are left out."""
    first = members[0]
    human_g, human_money = first.human
    minutes = first.human_work.minutes
    human_s = None if isinstance(minutes, str) else 60 * math.fsum(minutes.values()) / len(minutes)
    others = [(_PERSON, human_s, human_g.other, human_money.other)]
    others += [(escape(grams.name), None, grams.other, money.other) for grams, money in first.alternatives]
    rows: list[tuple[str, float | None, float | None, float | None]]
    rows = [
        (name, e.time_s.value, e.co2e_g.value, e.money.per_accepted.value)
        for name, e in zip(names, members, strict=True)
    ]
    rows += [row for row in others if any(value is not None for value in row[1:])]
    beside = [""] * (len(rows) - len(members))
    # A person's grams are thousands of times those of a model: each has the unit that suits it.
    currency = escape(first.money.currency) or "money"
    cells = [
        *((head, [*column, *beside]) for head, column in _pass_columns([e.configuration for e in members])),
        ("time", [_shown(row[1], duration) for row in rows]),
        ("CO2e", [_shown(row[2], _mass) for row in rows]),
        (currency, [_shown(row[3], significant) for row in rows]),
    ]
    cells = [
        (head, column) for head, column in cells if head == "CO2e" or any(cell not in ("", _UNKNOWN) for cell in column)
    ]
    yield from _table([row[0] for row in rows], cells, width)


def _pass_columns(configurations: Sequence[ConfigurationAccount]) -> Iterator[tuple[str, list[str]]]:
    """pass@1, and pass@k of the k that the rest of the table is of, where that is another."""
    ks = [each.per_accepted.attempts for each in configurations]
    yield "pass@1 %", [_shown(each.pass_at.get(1), percent) for each in configurations]
    if others := set(ks) - {1, None}:
        found = [each.pass_at.get(k or 0) for each, k in zip(configurations, ks, strict=True)]
        yield f"pass@{others.pop() if len(set(ks)) == 1 else 'k'} %", [_shown(value, percent) for value in found]


def _table(names: Sequence[str], cells: Sequence[tuple[str, Sequence[str]]], width: int) -> Iterator[str]:
    widths = [max(columns(text) for text in (head, *column)) for head, column in cells]
    while len(widths) > 1 and width - sum(widths) - 2 * len(widths) < _NARROWEST_NAME:
        cells, widths = cells[1:], widths[1:]
    room = min(max(map(columns, names)), max(width - sum(widths) - 2 * len(widths), 1))

    def line(name: str, texts: Iterable[str]) -> str:
        shown = [right(shorten(text, size), size) for text, size in zip(texts, widths, strict=True)]
        return "  ".join([left(shorten(name, room), room), *shown]).rstrip()

    short = distinct(names, room)
    yield line("", [head for head, _ in cells])
    yield "-" * (room + sum(widths) + 2 * len(widths))
    for position, name in enumerate(names):
        yield line(short[name], [column[position] for _, column in cells])


# The notes.


def _notes(members: Sequence[Economy], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    several = len(members) > 1
    for economy, name in zip(members, names, strict=True):
        who = f"{name}: " if several else ""
        for key, text in _notes_of(economy):
            yield key, who + text
    yield from _best(members, names)


def _notes_of(economy: Economy) -> Iterator[tuple[str, str]]:
    currency = economy.money.currency
    if economy.co2e_g.value is None:
        yield "unknown", f"CO2e: {escape(economy.co2e_g.reason or '')}"
    else:
        yield (
            "CO2e",
            f"{figure_text(economy.co2e_g, CO2E)}; one attempt {figure_text(economy.co2e_g_per_attempt, CO2E)}",
        )
        work = economy.human_work
        seconds, one = economy.workstation_s, economy.workstation_s_per_attempt
        if seconds.value is not None and one.value is not None:
            power = f"a {work.workstation_w:g} W workstation"
            yield "= work", f"{duration(seconds.value)} of {power}; one attempt {duration(one.value)}"
    if economy.time_s.value is None and economy.time_s.reason:
        yield "unknown", f"time: {escape(economy.time_s.reason)}"
    yield from _money_notes(economy)
    if economy.water_l is not None:
        yield "water", f"{significant(economy.water_l)} l"
    if economy.primary_energy_mj is not None:
        yield "primary", f"{significant(economy.primary_energy_mj)} MJ of primary energy"
    for unit, side in zip((CO2E, currency), economy.human, strict=True):
        for text in _beside(side, unit):
            yield "person", text
    for pair in economy.alternatives:
        for unit, side in zip((CO2E, currency), pair, strict=True):
            for text in _beside(side, unit):
                yield "other tool", f"{escape(side.name)}: {text}"
    for unit, found in zip((CO2E, currency), economy.resolved, strict=True):
        if found.total.value is not None:
            parts = f"attempts {amount(found.attempts, unit)} + person {amount(found.fallback, unit)}"
            yield "resolved", f"{figure_text(found.total, unit)} per task, a person finishing the rest: {parts}"


def _money_notes(economy: Economy) -> Iterator[tuple[str, str]]:
    money = economy.money
    if not money.parts:
        return
    if money.per_accepted.value is None:
        yield "unknown", f"money: {escape(money.per_accepted.reason or '')}"
    else:
        total = f"{figure_text(money.per_accepted, money.currency)}; one attempt "
        yield "money", total + figure_text(money.per_attempt, money.currency)
    parts = [f"{_PARTS[part.name]} {_shown(part.per_accepted.value, significant)}" for part in money.parts]
    yield "money", ", ".join(parts)
    if money.unpriced:
        yield "money", f"not counted, as no price is given: {', '.join(_PARTS[name] for name in money.unpriced)}"
    if money.bought:
        yield "money", "the price of tokens stands for the electricity and hardware of generation"


def _beside(side: Beside, unit: str) -> Iterator[str]:
    if side.ratio.value is None or side.other is None:
        return
    what = "CO2e" if unit == CO2E else escape(unit)
    share = f"{significant(100 * side.ratio.value)} %{_interval(side.ratio.times(100))}"
    rate = side.break_even_pass_rate.value
    flips = ""
    if rate is not None:
        flips = f"; break-even at a pass rate of {significant(100 * rate)} %"
        flips += ", which no model reaches" if rate > 1 else ""
    yield f"{what}: {share} of {amount(side.other, unit)}{flips}"


def _best(members: Sequence[Economy], names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """How far configurations lie apart, and whether grams and money agree on the best."""
    grams = [economy.co2e_g.value for economy in members]
    # Sums over different parts are not compared.
    parts = [{part.name for part in economy.money.parts} for economy in members]
    unpriced = any(economy.money.unpriced for economy in members)
    money = [economy.money.per_accepted.value for economy in members]
    if len({economy.configuration.per_accepted.attempts for economy in members}) > 1:
        yield "spread", "not compared: they allow different numbers of attempts (--attempts K makes them the same)"
        return
    for what, values in (("CO2e", grams), ("money", money)):
        if (found := spread(values)) is not None:
            yield "spread", f"{what}: {names[found.most]} is {significant(found.factor)} times {names[found.least]}"
    if (differ := disagreement(grams, money)) is not None:
        more = [
            "" if differ.money_factor is None else f" and costs {significant(differ.money_factor)} times as much",
            "" if differ.co2e_factor is None else f" and emits {significant(differ.co2e_factor)} times as much",
        ]
        text = f"{names[differ.greenest]} emits least{more[0]}; {names[differ.cheapest]} is cheapest{more[1]}"
        yield "disagree", f"CO2e and money: {text}"
    if unpriced and any(each != parts[0] for each in parts):
        yield "money", "the sums are over different parts, and not to be compared as they are"


# Forecasts.


def forecast_lines(
    forecasts: Iterable[Forecast],
    *,
    unmet: Iterable[Demand] = (),
    log: UsageLog | None = None,
    most_problems: int = 10,
    width: int = 80,
) -> list[str]:
    """For each demand and configuration what a month and a year cost, then what of the log could not be used."""
    width, forecasts = max(width, 40), list(forecasts)
    names = by_suite(found.economy.configuration for found in forecasts)
    lines: list[str] = []
    for found in forecasts:
        label = f", {escape(found.demand.label)}" if found.demand.label else ""
        if lines:
            lines.append("")
        configuration = found.economy.configuration
        lines += wrap(f"{names[key_of(configuration)]} on {escape(configuration.suite)}{label}", width)
        lines += keyed(_forecast(found), width)
    lines += keyed(_log_notes(log, unmet, most_problems), width)
    return lines or ["no usage given: nothing to forecast"]


def _forecast(found: Forecast) -> Iterator[tuple[str, str]]:
    demand, solutions = found.demand, found.solutions_per_month
    if demand.calls_per_month is not None:
        calls = f"{_count(demand.calls_per_month)} calls a month"
        if solutions.value is None:
            yield "demand", f"{calls}; accepted: {escape(solutions.reason or _UNKNOWN)}"
        else:
            yield "demand", f"{calls}, {_count(solutions.value)} accepted ({found.solutions_by})"
    else:
        yield "demand", f"{_shown(solutions.value, _count)} accepted solutions a month"
    currency = found.economy.money.currency
    rows = (
        ("CO2e", CO2E, found.month.co2e_g, found.year.co2e_g),
        ("electricity", "kWh", found.month.energy_kwh, found.year.energy_kwh),
        ("money", currency, found.month.money, found.year.money),
    )
    for key, unit, month, year in rows:
        if month.value is None:
            yield key, f"? ({escape(month.reason or '')})"
        else:
            yield key, f"{figure_text(month, unit)} a month, {figure_text(year, unit)} a year"
    if found.per_accepted_g.value is not None:
        yield "in use", f"{figure_text(found.per_accepted_g, CO2E)} per accepted solution"


def _log_notes(log: UsageLog | None, unmet: Iterable[Demand], most: int) -> Iterator[tuple[str, str]]:
    if log is not None:
        days = f"{len(log.rows)} rows over {log.span_days} days, {log.days_with_rows} of them with a row"
        yield "log", f"{escape(log.path)}: {days}"
        if log.broken:
            yield "not read", f"{len(log.broken)} lines, whose calls are in no figure"
            for text in list(log.problems())[:most]:
                yield "not read", escape(text)
            if len(log.broken) > most:
                yield "not read", f"and {len(log.broken) - most} more"
        if log.ignored:
            yield "not used", f"columns {', '.join(map(escape, log.ignored))}"
    for demand in unmet:
        label = f" ({escape(demand.label)})" if demand.label else ""
        calls = _shown(demand.calls_per_month, _count)
        yield "not met", f"{escape(demand.configuration)}{label}: {calls} calls a month of no configuration here"


# Numbers.


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 1e-3:
        return f"{significant(seconds * 1e6)} µs"
    if seconds < 1:
        return f"{significant(seconds * 1e3)} ms"
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{significant(seconds / size)} {unit}"
    return f"{significant(seconds)} s"


def _mass(grams: float) -> str:
    unit, size = mass_unit([abs(grams)])
    return f"{significant(grams / size)} {unit}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else significant(value)


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return _UNKNOWN if value is None else show(value)


def figure_text(figure: Figure, unit: str) -> str:
    """A figure with its interval in the same unit; "?" and why where it is not known."""
    if figure.value is None:
        return f"? ({escape(figure.reason or '')})" if figure.reason else _UNKNOWN
    name, size = escape(unit), 1.0
    if unit == CO2E:
        name, size = mass_unit([abs(figure.value)])
        name += "CO2e"
    return f"{significant(figure.value / size)} {name}".rstrip() + _interval(figure.times(1 / size))


def _interval(figure: Figure) -> str:
    """Nothing where the ends are shown as one number: then all attempts were given the same cost."""
    if figure.interval is None:
        return ""
    low, high = map(significant, figure.interval)
    return f" [{low}, {high}]" if low != high else ""
