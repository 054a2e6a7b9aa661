"""What one record of a file says about a generation, and how files are taken apart so that errors name their line."""

from __future__ import annotations

import csv
import io
import json
import math
import reprlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from ..errors import FileFormatError
from ..model import Generation

J_PER_KWH: Final = 3.6e6


class Entry(Struct, frozen=True, kw_only=True):
    """One record of a file.

    `generation` has the energy and what else was recorded of it. `name` is what the file calls the record, which may
    say the task and the sample; `sample_id` where a field of its own says it. `settings` as a configuration has them.
    `prompt` and `reply` are the texts, where the file has them; `whole_program` tells of the reply, and `error` why
    there is none. `per_request`: a mean over requests, which stands for each sample of the model alike; `j_per_token`
    belongs to it. `content` is the whole record, by which one that stands twice is known.
    """

    path: str
    line: int | None
    generation: Generation
    name: str | None = None
    sample_id: int | None = None
    model: str | None = None
    settings: str | None = None
    prompt: str | None = None
    reply: str | None = None
    whole_program: bool = False
    error: str | None = None
    per_request: bool = False
    j_per_token: float | None = None
    content: str = ""

    @property
    def place(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"

    def problem(self, expected: str, found: str, field: str | None = None) -> FileFormatError:
        return FileFormatError(self.path, self.line, field, expected, found)


class Fields(Struct, frozen=True, kw_only=True):
    """A JSON object or a row of a CSV, and where it stands. Values are checked as they are read.

    In a CSV (`texts`) every value is text, and an empty one is missing.
    """

    path: str
    line: int | None
    values: Mapping[str, Any]
    within: str = ""
    texts: bool = False

    def problem(self, name: str | None, expected: str, found: str) -> FileFormatError:
        return FileFormatError(self.path, self.line, None if name is None else self.within + name, expected, found)

    def has(self, *names: str) -> bool:
        return all(self._value(name) is not None for name in names)

    def amount(self, name: str) -> float | None:
        """A finite number from 0; None where it is missing."""
        value = self._value(name)
        if self.texts and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                raise self.problem(name, "a number", short(value)) from None
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.problem(name, "a number", short(value))
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not (math.isfinite(number) and number >= 0):
            raise self.problem(name, "a finite number from 0", short(value))
        return number

    def required(self, name: str, what: str = "a number") -> float:
        number = self.amount(name)
        if number is None:
            raise self.problem(name, what, "nothing")
        return number

    def count(self, name: str) -> int | None:
        number = self.amount(name)
        if number is not None and (number != int(number) or number >= 2**63):
            raise self.problem(name, "a whole number", short(self.values[name]))
        return None if number is None else int(number)

    def text(self, name: str) -> str | None:
        """A text; None where it is missing or empty."""
        value = self._value(name)
        if value is not None and not isinstance(value, str):
            raise self.problem(name, "a string", short(value))
        return value or None

    def child(self, name: str) -> Fields | None:
        """An object within; None where there is none."""
        value = self._value(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.problem(name, "an object", short(value))
        return Fields(path=self.path, line=self.line, values=value, within=f"{self.within}{name}.")

    def children(self, name: str) -> list[Fields]:
        """The objects of a list within; none where there is no list."""
        value = self._value(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.problem(name, "a list", short(value))
        for position, each in enumerate(value):
            if not isinstance(each, dict):
                raise self.problem(f"{name}[{position}]", "an object", short(each))
        return [
            Fields(path=self.path, line=self.line, values=each, within=f"{self.within}{name}[{position}].")
            for position, each in enumerate(value)
        ]

    def entry(self, generation: Generation, **more: Any) -> Entry:
        try:
            content = json.dumps(self.values, sort_keys=True, separators=(",", ":"))
        except RecursionError:
            raise self.problem(None, "a record that nests less", "one that nests too deep") from None
        return Entry(path=self.path, line=self.line, generation=generation, content=content, **more)

    def _value(self, name: str) -> Any:
        value = self.values.get(name)
        return None if self.texts and value == "" else value


def documents(text: str, path: str) -> list[Fields]:
    """The JSON objects of a file: one, one on each line, one after the other, or in a list. Raises FileFormatError."""
    text = text.removeprefix("\ufeff")
    found = list(_objects(text, path))
    if not found:
        raise FileFormatError(path, None, None, "JSON objects", "an empty file")
    return found


def _objects(text: str, path: str) -> Iterator[Fields]:
    position, line = 0, 1
    while True:
        start = position
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
        line += text.count("\n", start, position)
        if position == len(text):
            return
        try:
            value, end = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            at = line + text.count("\n", position, error.pos)
            near = short(text[error.pos : error.pos + 61].partition("\n")[0]) if error.pos < len(text) else "the end"
            raise FileFormatError(path, at, None, f"JSON ({error.msg.lower()})", near) from None
        except (ValueError, RecursionError) as error:
            found = "nesting too deep" if isinstance(error, RecursionError) else short(str(error))
            raise FileFormatError(path, line, None, "JSON with finite numbers", found) from None
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                raise FileFormatError(path, line, None, "a JSON object", short(each))
            yield Fields(path=path, line=line, values=each)
        line += text.count("\n", position, end)
        position = end


def _finite(literal: str) -> float:
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(literal)
    return value


_DECODER: Final = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


def table(text: str, path: str, columns: Collection[str]) -> list[Fields]:
    """The rows of a CSV whose header has at least `columns`. Raises FileFormatError."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    expected = f"a header with {', '.join(columns)}"
    found: list[Fields] = []
    header: list[str] | None = None
    try:
        for row in rows:
            line = rows.line_num
            if not row:
                continue
            if header is None:
                missing = [name for name in columns if name not in row]
                if missing:
                    raise FileFormatError(path, line, None, expected, f"none of {', '.join(missing)} in {short(row)}")
                twice = sorted({name for name in row if row.count(name) > 1})
                if twice:
                    raise FileFormatError(path, line, None, "each column once", f"two named {short(twice[0])}")
                header = row
            elif row == header:
                raise FileFormatError(path, line, None, "one header, on the first line", "another")
            elif len(row) != len(header):
                raise FileFormatError(path, line, None, f"{len(header)} columns, as in the header", f"{len(row)}")
            else:
                found.append(Fields(path=path, line=line, values=dict(zip(header, row, strict=True)), texts=True))
    except csv.Error as error:
        raise FileFormatError(path, rows.line_num, None, "CSV", short(str(error))) from None
    if not found:
        raise FileFormatError(path, None, None, "rows below a header", "none" if header else "an empty file")
    return found


_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def short(value: object) -> str:
    """`value` on one line of at most 60 characters, control characters escaped."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
