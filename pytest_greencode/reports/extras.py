"""What a report shows beyond the account: finished values from other modules, each with its texts in both languages.

Numbers are plain floats in the unit of their name; None is not known. Names and notes may be hostile: who renders them
escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct, field

from ..accounts import ConfigurationAccount
from ..statistics import Interval
from .texts import Bilingual


class Key(NamedTuple):
    """Which configuration of an account is meant; `settings` is its canonical JSON text."""

    suite: str
    model: str
    settings: str = "{}"

    @classmethod
    def of(cls, configuration: ConfigurationAccount) -> Key:
        return cls(configuration.suite, configuration.model, configuration.settings)


class Sentence(Struct, frozen=True, kw_only=True):
    """One finding for the head of a report. `tone`: "good", "bad" or "neutral", shown by a word-free mark.

    `topic`: a word for where there is no room for a mark, as the terminal's notes have it.
    """

    text: Bilingual
    tone: str = "neutral"
    topic: str = ""


class ComparisonRow(Struct, frozen=True, kw_only=True):
    """Two configurations paired by task: `ratio` is R of `first` / R of `second`, in gCO2e per accepted solution.

    `pass_difference_pp`: pass@k of the first minus the second's, percentage points. `distinguishable` is False where
    the interval of the ratio contains 1, None where there is none. `systematic`: the ratio's band by what the two do
    not share; with `robust` False it undoes what the interval says. `note` says why something is missing, or what
    differs beside (hardware, batch size).
    """

    first: Key
    second: Key
    ratio: float | None
    interval: Interval | None
    tasks: int
    distinguishable: bool | None
    pass_difference_pp: float | None = None
    pass_interval_pp: Interval | None = None
    systematic: Interval | None = None
    robust: bool | None = None
    note: Bilingual | None = None


class FactorRow(Struct, frozen=True, kw_only=True):
    """One factor moved alone from `low` to `high` (its levels as text); `ratio` is R at `high` / R at `low`."""

    suite: str
    factor: str
    low: str
    high: str
    ratio: float | None
    interval: Interval | None
    pairs: int
    distinguishable: bool | None
    note: Bilingual | None = None


class MoneyRow(Struct, frozen=True, kw_only=True):
    """What an accepted solution of one configuration costs in money, and what a person doing the same would.

    `human_seconds_equal`: how long a person's workstation runs for the grams of one accepted solution.
    """

    key: Key
    currency: str
    per_accepted: float | None
    parts: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    human_minutes: float | None = None
    human_money: float | None = None
    human_co2e_g: float | None = None
    human_seconds_equal: float | None = None
    reason: Bilingual | None = None


class RegionRow(Struct, frozen=True, kw_only=True):
    """One grid, and grams of CO2e per accepted solution there for each configuration."""

    region: str
    g_per_kwh: float
    year: int | None
    co2e_g: Mapping[Key, float | None]
    source: str = ""


class AssumptionRow(Struct, frozen=True, kw_only=True):
    """A value that somebody chose; `method` is one of model.Method's, `source` where it was given or found."""

    name: Bilingual
    value: str
    source: str
    method: str = "declared"


class Explanation(Struct, frozen=True, kw_only=True):
    """A figure's formula with its numbers substituted. `key` None: it is of the run as a whole."""

    figure: Bilingual
    formula: str
    substituted: str
    result: str
    key: Key | None = None


class GateRow(Struct, frozen=True, kw_only=True):
    """One rule of the gate; `decision` is pass, fail, inconclusive or not_evaluated."""

    field: str
    limit: str
    value: str
    decision: str
    reason: str = ""


class Amount(Struct, frozen=True, kw_only=True):
    """A number with its interval; `reason` says why it, or else its interval, is not known."""

    value: float | None = None
    interval: Interval | None = None
    reason: Bilingual | None = None


class TakenRow(Struct, frozen=True, kw_only=True):
    """The configuration to take on a suite, and by what it was taken: one of comparison.Criterion's."""

    key: Key
    criterion: str


class AlternativeRow(Struct, frozen=True, kw_only=True):
    """A configuration that was not taken, beside the one that was: `ratio` of g per accepted solution, it / taken.

    `why` is one of comparison.WhyNot's, `reason` what it says more.
    """

    key: Key
    ratio: Amount
    pass_difference_pp: Amount
    tasks: int
    why: str
    reason: Bilingual | None = None


class OtherWayRow(Struct, frozen=True, kw_only=True):
    """A person or another tool beside the configuration `key`: what one of its solutions takes there.

    Ratios are of `key` / the other way; `break_even_pass_rate` is that from which `key` emits no more, above 1 never.
    """

    key: Key
    name: Bilingual
    co2e_g: float | None
    co2e_ratio: Amount
    break_even_pass_rate: float | None
    money: float | None
    money_ratio: Amount
    currency: str


class CascadeRow(Struct, frozen=True, kw_only=True):
    """`first` at most so many times, then `second`: g per accepted solution, pass@k, and both beside `second` alone.

    `behind`: configurations that are, alone, no worse in either and better in one.
    """

    first: Key
    first_attempts: int
    second: Key
    second_attempts: int
    co2e_g: Amount
    pass_probability: float | None
    ratio: Amount
    pass_difference_pp: Amount
    on_front: bool
    behind: tuple[Key, ...] = ()


class MonthRow(Struct, frozen=True, kw_only=True):
    """A configuration in use for a month. `by` says by what the accepted ones are counted.

    `calls` None: so many accepted solutions are asked for, whatever calls that takes.
    """

    key: Key
    label: str
    calls: float | None
    solutions: Amount
    by: Bilingual
    energy_kwh: Amount
    co2e_g: Amount
    money: Amount
    currency: str


class PaybackRow(Struct, frozen=True, kw_only=True):
    """A one-off cost and what a change from `old` to `new` saves, in grams or, with a `currency`, in money.

    `kind` is one of economics.payback.PaybackKind's. Spans have the best case first; None in them is never.
    `per_month`: accepted solutions a month.
    """

    old: Key
    new: Key
    currency: str
    kind: str
    one_off: Amount
    saved: Amount
    solutions: float | None
    solutions_span: tuple[float | None, float | None] | None
    months: float | None
    months_span: tuple[float | None, float | None] | None
    per_month: float | None
    reason: Bilingual | None = None


class OneOffRow(Struct, frozen=True, kw_only=True):
    """An item that is paid once."""

    name: Bilingual
    co2e_g: Amount
    money: Amount
    currency: str


class Extras(Struct, frozen=True, kw_only=True):
    """Everything beyond the account; what is empty is not shown."""

    sentences: tuple[Sentence, ...] = ()
    comparisons: tuple[ComparisonRow, ...] = ()
    factors: tuple[FactorRow, ...] = ()
    taken: tuple[TakenRow, ...] = ()
    alternatives: tuple[AlternativeRow, ...] = ()
    other_ways: tuple[OtherWayRow, ...] = ()
    cascades: tuple[CascadeRow, ...] = ()
    months: tuple[MonthRow, ...] = ()
    month_notes: tuple[Bilingual, ...] = ()
    paybacks: tuple[PaybackRow, ...] = ()
    one_off: tuple[OneOffRow, ...] = ()
    money: tuple[MoneyRow, ...] = ()
    regions: tuple[RegionRow, ...] = ()
    assumptions: tuple[AssumptionRow, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    gate: tuple[GateRow, ...] = ()


NOTHING = Extras()
