"""What a report shows beyond the account: finished values from other modules, each with its texts in both languages.

Numbers are plain floats in the unit of their name; None is not known. Names and notes may be hostile: who renders them
escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One finding for the head of the page. `tone`: "good", "bad" or "neutral", shown by a word-free mark."""

    text: Bilingual
    tone: str = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRow:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyRow:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """One grid, and grams of CO2e per accepted solution there for each configuration."""

    region: str
    g_per_kwh: float
    year: int | None
    co2e_g: Mapping[Key, float | None]
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumptionRow:
    """A value that somebody chose; `method` is one of model.Method's, `source` where it was given or found."""

    name: Bilingual
    value: str
    source: str
    method: str = "declared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A figure's formula with its numbers substituted. `key` None: it is of the run as a whole."""

    figure: Bilingual
    formula: str
    substituted: str
    result: str
    key: Key | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One rule of the gate; `decision` is pass, fail, inconclusive or not_evaluated."""

    field: str
    limit: str
    value: str
    decision: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """Everything beyond the account; what is empty is not shown."""

    sentences: tuple[Sentence, ...] = ()
    comparisons: tuple[ComparisonRow, ...] = ()
    factors: tuple[FactorRow, ...] = ()
    money: tuple[MoneyRow, ...] = ()
    regions: tuple[RegionRow, ...] = ()
    assumptions: tuple[AssumptionRow, ...] = ()
    explanations: tuple[Explanation, ...] = ()
    gate: tuple[GateRow, ...] = ()


NOTHING = Extras()
