"""The page's parts on what to do: what was not taken and why, cascades, a month in use, payback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from . import charts
from .entries import UNKNOWN, Entry, bracketed, cut, scaled, scaled_interval, share, shown
from .extras import AlternativeRow, Amount, CascadeRow, Extras, Key, MonthRow, OneOffRow, OtherWayRow, PaybackRow
from .figures import Figure
from .text import mass_unit, significant
from .texts import TEXTS, Bilingual, plain

_MOST_CASCADES = 12
_LONGEST_MONTHS = 240.0  # twenty years; a chart of more would decide nothing


class Shown(Struct, frozen=True, kw_only=True):
    """A figure as shown, its interval, and why either is not known; `value` sorts."""

    text: str | Bilingual
    small: str | Bilingual = ""
    reason: Bilingual | None = None
    value: float | None = None


class AlternativeLine(Struct, frozen=True, kw_only=True):
    entry: Entry
    cells: tuple[Shown, ...]
    tasks: int
    why: str
    reason: Bilingual | None


class OtherWayLine(Struct, frozen=True, kw_only=True):
    name: Bilingual
    cells: tuple[Shown, ...]


class CascadeLine(Struct, frozen=True, kw_only=True):
    first: Entry
    first_attempts: int
    second: Entry
    second_attempts: int
    cells: tuple[Shown, ...]
    behind: str
    on_front: bool


class MonthLine(Struct, frozen=True, kw_only=True):
    entry: Entry
    label: str
    cells: tuple[Shown, ...]
    by: Bilingual


class PaybackLine(Struct, frozen=True, kw_only=True):
    unit: Bilingual
    cells: tuple[Shown, ...]
    kind: str
    reason: Bilingual | None


class Outlook(Struct, frozen=True, kw_only=True):
    """Of one suite. Units are those of the columns' headings; `taken` and the change are by entry."""

    taken: Entry | None
    criterion: str
    alternatives: tuple[AlternativeLine, ...]
    other_ways: tuple[OtherWayLine, ...]
    other_unit: str
    other_currency: str
    cascades: tuple[CascadeLine, ...]
    cascades_left: int
    cascade_unit: str
    months: tuple[MonthLine, ...]
    month_unit: str
    month_currency: str
    change: tuple[Entry, Entry] | None
    paybacks: tuple[PaybackLine, ...]
    payback_figures: tuple[Figure, ...]


def outlook_of(entries: Sequence[Entry], extras: Extras, anchor: str) -> Outlook:
    """What `extras` says of the configurations of one suite."""
    known = {entry.key: entry for entry in entries}
    order = {key: place for place, key in enumerate(known)}
    taken = next((row for row in extras.taken if row.key in known), None)
    others = [row for row in extras.other_ways if row.key in known]
    ladders = [row for row in extras.cascades if row.first in known and row.second in known]
    months = [row for row in extras.months if row.key in known]
    paybacks = [row for row in extras.paybacks if row.old in known and row.new in known]
    other_unit, other_g = mass_unit(row.co2e_g for row in others if row.co2e_g is not None)
    cascade_unit, cascade_g = mass_unit(row.co2e_g.value for row in ladders if row.co2e_g.value is not None)
    month_unit, month_g = mass_unit(row.co2e_g.value for row in months if row.co2e_g.value is not None)
    currencies = [*(row.currency for row in others), *(row.currency for row in months)]
    currency = cut(next(filter(None, currencies), ""), 12)
    return Outlook(
        taken=known[taken.key] if taken else None,
        criterion=taken.criterion if taken else "",
        alternatives=tuple(_alternative(row, known) for row in extras.alternatives if row.key in known),
        other_ways=tuple(_other_way(row, other_g, currency) for row in others),
        other_unit=other_unit,
        other_currency=currency,
        cascades=tuple(_cascade(row, known, cascade_g) for row in _useful(ladders)),
        cascades_left=max(0, len(ladders) - _MOST_CASCADES),
        cascade_unit=cascade_unit,
        months=tuple(_month(row, known, month_g, currency) for row in sorted(months, key=lambda row: order[row.key])),
        month_unit=month_unit,
        month_currency=currency,
        change=(known[paybacks[0].old], known[paybacks[0].new]) if paybacks else None,
        paybacks=tuple(map(_payback, paybacks)),
        payback_figures=tuple(_break_evens(paybacks, anchor)),
    )


def amount_shown(amount: Amount, unit: float = 1.0) -> Shown:
    """In a unit of so many; without a value, why."""
    return Shown(
        text=shown(scaled(amount.value, unit)),
        small=bracketed(scaled_interval(amount.interval, unit)),
        reason=_cut(amount.reason) if amount.interval is None or amount.value is None else None,
        value=amount.value,
    )


def _cut(text: Bilingual | None) -> Bilingual | None:
    return None if text is None else Bilingual(*(cut(words) for words in text))


# -- what was not taken ----------------------------------------------------------------------------------------------


def _alternative(row: AlternativeRow, known: Mapping[Key, Entry]) -> AlternativeLine:
    points = row.pass_difference_pp
    return AlternativeLine(
        entry=known[row.key],
        # Why there is no ratio stands in the last column.
        cells=(replace(amount_shown(row.ratio), reason=None), _points(points)),
        tasks=row.tasks,
        why=row.why,
        reason=_cut(row.reason),
    )


def _points(points: Amount) -> Shown:
    def signed(value: float) -> str:
        return f"{value:+.1f}"

    return Shown(
        text=UNKNOWN if points.value is None else signed(points.value),
        small="" if points.interval is None else f"[{', '.join(map(signed, points.interval))}]",
        reason=_cut(points.reason) if points.interval is None else None,
        value=points.value,
    )


def _other_way(row: OtherWayRow, grams: float, currency: str) -> OtherWayLine:
    rate = row.break_even_pass_rate
    never = rate is not None and rate > 1
    cells = [
        Shown(text=shown(scaled(row.co2e_g, grams)), value=row.co2e_g),
        _share_of(row.co2e_ratio),
        Shown(text=share(None if never else rate), reason=TEXTS["no_rate"] if never else None, value=rate),
    ]
    if currency:
        cells += [Shown(text=shown(row.money), value=row.money), _share_of(row.money_ratio)]
    return OtherWayLine(name=_cut(row.name) or plain(""), cells=tuple(cells))


def _share_of(ratio: Amount) -> Shown:
    return amount_shown(ratio, 0.01)


# -- cascades --------------------------------------------------------------------------------------------------------


def _useful(rows: Sequence[CascadeRow]) -> list[CascadeRow]:
    """Those on the front, then the others, the cheapest first; as many as anybody reads."""
    return sorted(rows, key=lambda row: not row.on_front)[:_MOST_CASCADES]


def _cascade(row: CascadeRow, known: Mapping[Key, Entry], grams: float) -> CascadeLine:
    return CascadeLine(
        first=known[row.first],
        first_attempts=row.first_attempts,
        second=known[row.second],
        second_attempts=row.second_attempts,
        cells=(
            amount_shown(row.co2e_g, grams),
            Shown(text=share(row.pass_probability), value=row.pass_probability),
            amount_shown(row.ratio),
            _points(row.pass_difference_pp),
        ),
        behind=", ".join(known[key].mark.letter for key in row.behind if key in known),
        on_front=row.on_front,
    )


# -- a month in use --------------------------------------------------------------------------------------------------


def count(value: float | None) -> str:
    """How many calls or solutions; nobody counts their fractions where there are many."""
    return UNKNOWN if value is None else f"{value:,.0f}" if value >= 100 else significant(value)


def _month(row: MonthRow, known: Mapping[Key, Entry], grams: float, currency: str) -> MonthLine:
    solutions = Shown(text=count(row.solutions.value), reason=_cut(row.solutions.reason), value=row.solutions.value)
    cells = [
        Shown(text="-" if row.calls is None else count(row.calls), value=row.calls),
        solutions,
        amount_shown(row.energy_kwh),
        amount_shown(row.co2e_g, grams),
    ]
    if currency:
        cells.append(amount_shown(row.money))
    return MonthLine(entry=known[row.key], label=cut(row.label, 60), cells=tuple(cells), by=_cut(row.by) or plain(""))


# -- payback ---------------------------------------------------------------------------------------------------------


def one_off_cells(rows: Iterable[OneOffRow]) -> tuple[str, tuple[tuple[Bilingual, tuple[Shown, ...]], ...]]:
    """(unit of grams, (name, cells) for each item)."""
    rows = list(rows)
    unit, grams = mass_unit(row.co2e_g.value for row in rows if row.co2e_g.value is not None)
    return unit, tuple(
        (
            Bilingual(*(cut(words, 60) for words in row.name)),
            (amount_shown(row.co2e_g, grams), *((amount_shown(row.money),) if row.currency else ())),
        )
        for row in rows
    )


def _payback(row: PaybackRow) -> PaybackLine:
    def cell(amount: Amount) -> Shown:
        amount = replace(amount, reason=None)  # it stands in the last column
        if row.currency:
            return amount_shown(amount)
        unit, grams = mass_unit([abs(amount.value or 0.0)])
        found = amount_shown(amount, grams)
        return found if found.value is None else replace(found, text=f"{found.text} {unit}")

    return PaybackLine(
        unit=plain(cut(row.currency, 12)) if row.currency else TEXTS["in_grams"],
        cells=(
            cell(row.one_off),
            cell(row.saved),
            _until(row.solutions, row.solutions_span),
            _until(row.months, row.months_span),
        ),
        kind=row.kind,
        reason=_cut(row.reason),
    )


def _until(value: float | None, span: tuple[float | None, float | None] | None) -> Shown:
    """Until a cost is paid back; without a saving, or at an end without one, never."""
    ends = [TEXTS["never"] if end is None else plain(count(end)) for end in span or ()]
    none: str | Bilingual = TEXTS["never"] if span is not None else UNKNOWN
    small: str | Bilingual = ""
    if any(end is not None for end in span or ()):
        small = Bilingual(*(f"[{', '.join(words)}]" for words in zip(*ends, strict=True)))
    return Shown(text=none if value is None else count(value), small=small, value=value)


def _break_evens(rows: Iterable[PaybackRow], anchor: str) -> Iterator[Figure]:
    for row in rows:
        chart = _break_even(row)
        if chart is not None:
            name, title = ("payback-money", "payback_money") if row.currency else ("payback-grams", "payback_grams")
            yield Figure(id=f"{anchor}-{name}", title=TEXTS[title], chart=chart, parts={})


def _break_even(row: PaybackRow) -> charts.BreakEven | None:
    """Over months where their accepted solutions are known, else over accepted solutions."""
    cost, saved = row.one_off.value, row.saved.value
    if not cost or saved is None:
        return None
    by_month = bool(row.per_month)
    rate = row.per_month or 1.0
    at = row.months if by_month else row.solutions
    unit, size = ("", 1.0) if row.currency else mass_unit([cost])
    # Where it never is, twice the cost is lost at the right edge, or ten years have passed.
    until = 2 * at if at else 2 * cost / (abs(saved) * rate) if saved else 120.0
    if by_month:
        if at and at > _LONGEST_MONTHS:
            return None
        until = until if at else min(until, 120.0)
    if not 0 < until < 1e12:
        return None
    ends = row.saved.interval
    per_x = rate / size
    return charts.BreakEven(
        one_off=cost / size,
        saved=saved * per_x,
        saved_interval=None if ends is None else (ends[0] * per_x, ends[1] * per_x),
        until=until,
        at=at,
        x_title=TEXTS["axis_months" if by_month else "axis_solutions"],
        y_title=TEXTS["axis_saved"].filled(unit=cut(row.currency, 12) if row.currency else f"{unit} CO₂e"),
    )
