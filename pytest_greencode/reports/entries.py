"""The configurations as the page names them, and how it writes numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple

from msgspec import Struct

from ..accounts import Account, ConfigurationAccount
from ..statistics import Interval
from . import charts
from .charts import Mark
from .extras import Key
from .names import Row, distinct, named, rank
from .text import escape, percent, shorten, significant

UNKNOWN = "?"
NAME_WIDTH = 40
_LONGEST = 400  # of a name or a fact


class Cell(NamedTuple):
    """A number as shown, and unrounded for sorting; (UNKNOWN, None) where it is not known."""

    shown: str
    value: float | None


class Entry(Struct, frozen=True, kw_only=True):
    """One configuration on one suite, as the page names it."""

    anchor: str
    mark: Mark
    full: str
    key: Key
    account: ConfigurationAccount
    raw: str

    @property
    def label(self) -> str:
        return f"{self.mark.letter}  {self.mark.name}"


def cut(text: str, longest: int = _LONGEST) -> str:
    """Escaped, in at most so many columns."""
    return shorten(escape(text[: 2 * longest]), longest)


def shown(value: float | None) -> str:
    return UNKNOWN if value is None or not math.isfinite(value) else significant(value)


def share(value: float | None) -> str:
    return UNKNOWN if value is None else percent(value)


def scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit


def scaled_interval(interval: Interval | None, unit: float) -> Interval | None:
    return None if interval is None else (interval[0] / unit, interval[1] / unit)


def cell_of(value: float | None) -> Cell:
    return Cell(shown(value), value)


def bracketed(interval: Interval | None) -> str:
    return "" if interval is None else f"[{', '.join(map(significant, interval))}]"


def ratio(value: float | None, interval: Interval | None) -> str:
    return f"{shown(value)} {bracketed(interval)}".strip()


def headline_part(configuration: ConfigurationAccount, name: str) -> Any:
    """A field of the headline, None for an account that does not model it."""
    return getattr(configuration.per_accepted, name, None)


def entries_of(account: Account, report: Mapping[str, Any]) -> list[Entry]:
    """Each suite's configurations, best first; the same configuration looks the same on every suite."""
    ordered: list[tuple[Row, Mapping[str, Any]]] = []
    raws = {id(c): raw for c, raw in zip(account.configurations, report["configurations"], strict=True)}
    for _, members in groupby(account.configurations, key=lambda configuration: configuration.suite):
        ordered += [(row, raws[id(row.configuration)]) for row in named(sorted(members, key=rank))]
    names = distinct([row.label for row, _ in ordered], NAME_WIDTH)
    places: dict[tuple[str, str], int] = {}
    entries = []
    for number, (row, raw) in enumerate(ordered):
        configuration = row.configuration
        place = places.setdefault((configuration.model, configuration.settings), len(places))
        entries.append(
            Entry(
                anchor=f"c{number + 1}",
                mark=Mark(index=place, letter=charts.letter(place), name=names[row.label]),
                full=cut(configuration.model)
                + (f"  {cut(configuration.settings)}" if configuration.settings != "{}" else ""),
                key=Key.of(configuration),
                account=configuration,
                raw=raw_lines(raw, "tasks"),
            )
        )
    return entries


def raw_lines(raw: Mapping[str, Any], rows: str) -> str:
    """JSON to be read: of what stands under `rows`, one a line."""
    lines = ",\n".join(f"  {json.dumps(row)}" for row in raw[rows])
    head = json.dumps({name: value for name, value in raw.items() if name != rows}, indent=1)
    return f'{head[:-2]},\n "{rows}": [\n{lines}\n ]\n}}' if lines else head


def pass_k(configuration: ConfigurationAccount) -> float | None:
    return configuration.pass_at.get(configuration.per_accepted.attempts or 0)


def solved_share(configuration: ConfigurationAccount) -> float | None:
    """The share of tasks with an accepted attempt."""
    rows = configuration.task_rows
    return sum(row.accepted > 0 for row in rows) / len(rows) if rows else None
