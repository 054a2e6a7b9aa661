"""Reads a usage log: how often a model was called, day by day.

CSV with a header, or JSON Lines in a file named .jsonl: `date` and `calls`, and where known `accepted`, `configuration`
(a model's name) and `label` (a team, a kind of work). Rows may come in any order, and several for one day. What cannot
be read is kept and told, never dropped in silence.
"""

from __future__ import annotations

import csv
import datetime
import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from ..errors import FileFormatError

DAYS_PER_MONTH: Final = 365.25 / 12
LOG_BYTES: Final = 256 << 20
MOST_CALLS: Final = 10**15
_KNOWN: Final = ("date", "calls", "accepted", "configuration", "label")


class UsageRow(Struct, frozen=True, kw_only=True):
    """Calls on one day. `accepted` is None where the log does not say; "" stands for no configuration and no label."""

    date: datetime.date
    calls: int
    accepted: int | None = None
    configuration: str = ""
    label: str = ""


class BrokenLine(Struct, frozen=True, kw_only=True):
    """A line that could not be read: where, what was expected and found."""

    line: int
    field: str | None
    expected: str
    found: str


class UsageLog(Struct, frozen=True, kw_only=True):
    """What a log says, and which of its lines say nothing that can be understood; `ignored` are columns not used."""

    path: str
    rows: tuple[UsageRow, ...]
    broken: tuple[BrokenLine, ...]
    ignored: tuple[str, ...]

    def problems(self) -> Iterator[str]:
        """One text for each broken line, with file and line."""
        for each in self.broken:
            what = "" if each.field is None else f" field {each.field!r}:"
            yield f"{self.path}:{each.line}:{what} expected {each.expected}, found {each.found}"

    @property
    def span_days(self) -> int:
        """Days from the first to the last, both included; 0 without rows."""
        dates = [row.date for row in self.rows]
        return (max(dates) - min(dates)).days + 1 if dates else 0

    @property
    def days_with_rows(self) -> int:
        return len({row.date for row in self.rows})


def read_usage(path: Path, *, display_path: str | None = None) -> UsageLog:
    """The log at `path`. Raises FileFormatError where there is no log at all; broken lines are in the result."""
    shown = display_path or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(LOG_BYTES + 1)
    except FileNotFoundError:
        raise FileFormatError(shown, None, None, "a usage log", "no such file") from None
    except OSError as error:
        raise FileFormatError(shown, None, None, "a readable file", error.strerror or type(error).__name__) from None
    if len(content) > LOG_BYTES:
        raise FileFormatError(shown, None, None, f"at most {LOG_BYTES >> 20} MiB", "a larger file")
    # A byte that is no UTF-8 breaks its own line only.
    text = content.decode("utf-8-sig", "surrogateescape")
    return parse_usage(text, path=shown, json_lines=path.suffix == ".jsonl")


def parse_usage(text: str, *, path: str, json_lines: bool = False) -> UsageLog:
    """The log that a text holds. Raises FileFormatError for a CSV without the columns `date` and `calls`."""
    rows: list[UsageRow] = []
    broken: list[BrokenLine] = []
    ignored: dict[str, None] = {}
    for line, record in _json_records(text) if json_lines else _csv_records(text, path):
        if isinstance(record, BrokenLine):
            broken.append(record)
            continue
        ignored.update(dict.fromkeys(str(name) for name in record if name not in _KNOWN))
        found = _row(record, line)
        if isinstance(found, UsageRow):
            rows.append(found)
        else:
            broken.append(found)
    return UsageLog(path=path, rows=tuple(rows), broken=tuple(broken), ignored=tuple(ignored))


_Records = Iterator[tuple[int, "Mapping[str, Any] | BrokenLine"]]


def _json_records(text: str) -> _Records:
    # Not splitlines(), which also splits at characters that JSON strings may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg.lower() if isinstance(error, json.JSONDecodeError) else "a value too large or too deep"
            yield number, BrokenLine(line=number, field=None, expected=f"JSON ({reason})", found=_short(line))
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            yield number, BrokenLine(line=number, field=None, expected="a JSON object", found=_short(record))


def _csv_records(text: str, path: str) -> _Records:
    """Line by line: what a log holds needs no line ends in cells, and a stray quote then breaks its own line only."""
    header: list[str] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip(" \t\r,;"):
            continue
        try:
            (cells,) = csv.reader([line.rstrip("\r")], strict=True)
        except (csv.Error, ValueError) as error:
            yield number, BrokenLine(line=number, field=None, expected="CSV", found=_short(str(error)))
            continue
        if header is None:
            header = [cell.strip().lower() for cell in cells]
            for needed in ("date", "calls"):
                if header.count(needed) != 1:
                    expected = f"a header with one column {needed!r} (columns: {', '.join(_KNOWN)})"
                    raise FileFormatError(path, number, None, expected, _short(line))
        elif len(cells) != len(header):
            found = f"{len(cells)} in {_short(line)}"
            yield number, BrokenLine(line=number, field=None, expected=f"{len(header)} cells", found=found)
        else:
            yield number, dict(zip(header, cells, strict=True))
    if header is None:
        raise FileFormatError(path, None, None, f"a header with the columns {', '.join(_KNOWN)}", "an empty file")


def _row(record: Mapping[str, Any], line: int) -> UsageRow | BrokenLine:
    def broken(name: str, expected: str) -> BrokenLine:
        found = _short(record[name]) if name in record else "nothing"
        return BrokenLine(line=line, field=name, expected=expected, found=found)

    date = _date(record.get("date"))
    if date is None:
        return broken("date", "a date such as 2026-11-21")
    calls = _count(record.get("calls"))
    if calls is None:
        return broken("calls", "a whole number from 0")
    accepted = None
    if record.get("accepted") not in (None, ""):
        accepted = _count(record["accepted"])
        if accepted is None or accepted > calls:
            return broken("accepted", f"a whole number from 0 to the {calls} calls")
    names = [record.get(name) or "" for name in ("configuration", "label")]
    for name, value in zip(("configuration", "label"), names, strict=True):
        if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
            return broken(name, "UTF-8 text")
    return UsageRow(date=date, calls=calls, accepted=accepted, configuration=names[0].strip(), label=names[1].strip())


def _date(value: object) -> datetime.date | None:
    """A day; of a moment ("2026-11-21T10:00:00Z") its day as written."""
    if not isinstance(value, str):
        return None
    day = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].*)?", value.strip())
    try:
        return datetime.date.fromisoformat(day[1]) if day else None
    except ValueError:
        return None


def _count(value: object) -> int | None:
    if isinstance(value, str):
        text = value.strip()
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_CALLS:
        return None
    return value


_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def _short(value: object) -> str:
    text = _REPR.repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
