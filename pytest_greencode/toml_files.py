"""TOML files that the user writes: read whole, parsed, and every mistake told with its line and key."""

from __future__ import annotations

import difflib
import re
import reprlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, ValidationError

from .errors import FileFormatError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KeyPath = tuple[str | int, ...]  # keys and indices that lead to a value

FILE_BYTES: Final = 1 << 20


def read_toml_text(path: Path, what: str, *, display_path: str | None = None) -> str:
    """The text of a file that should be `what`. `display_path` is how messages name it. Raises FileFormatError."""
    shown = display_path or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES + 1)
    except FileNotFoundError:
        raise FileFormatError(shown, None, None, what, "no such file") from None
    except OSError as error:
        raise FileFormatError(shown, None, None, "a readable file", error.strerror or type(error).__name__) from None
    if len(content) > FILE_BYTES:
        raise FileFormatError(shown, None, None, f"at most {FILE_BYTES >> 20} MiB", "a larger file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileFormatError(shown, line, None, "UTF-8", f"byte 0x{content[error.start]:02x}") from None


def parse_toml(text: str, shown: str) -> tuple[dict[str, Any], Mapping[KeyPath, int]]:
    """What TOML text says, and the lines of its tables and keys. Raises FileFormatError."""
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        at_end = "at end of document" in str(error)
        line = int(where[1]) if where else len(text.splitlines()) if at_end else None
        reason = "nesting too deep" if isinstance(error, RecursionError) else re.sub(r" \(at .*\)$", "", str(error))
        raise FileFormatError(shown, line, None, "TOML", reason) from None
    return content, _line_numbers(text)


def first_problem(
    error: ValidationError,
    lines: Mapping[KeyPath, int],
    shown: str,
    model: type[BaseModel],
    *,
    unit: Callable[[KeyPath], str] = lambda path: "",
) -> FileFormatError:
    """The first in the file, not in the order of the sections. `unit`: of the value at a path, "" if it has none."""
    problems = [(line_of(lines, problem["loc"]) or 0, problem) for problem in error.errors(include_url=False)]
    line, first = min(problems, key=lambda each: each[0])
    name, expected, found = _explained(first, model, unit)
    return FileFormatError(shown, line or None, name, expected, found)


# --- where values stand -----------------------------------------------------------------------------------------


def _line_numbers(text: str) -> dict[KeyPath, int]:
    """The line of every table and key, as far as lines alone tell it: keys inside an inline table have its line."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    quotes = ""
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip()
        if quotes:
            quotes = "" if quotes in content else quotes
            continue
        if header := re.fullmatch(r"(\[\[?)(.+?)\]\]?\s*(#.*)?", content):
            path = _keys(f"[{header[2]}]")
            if path is None:
                continue
            table = _within(path, counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            found.setdefault(table, number)
        elif key := re.match(r"""(?:"[^"]*"|'[^']*'|[^="'#])+=""", content):
            path = _keys(f"{key[0]}0")
            if path is not None:
                found.setdefault((*table, *path), number)
            for mark in ('"""', "'''"):
                quotes = mark if content.count(mark) == 1 else quotes
    return found


def _keys(toml: str) -> tuple[str, ...] | None:
    """The path of the only table or key in a piece of TOML."""
    try:
        content: object = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return None
    path = []
    while isinstance(content, dict) and content:
        key, content = next(iter(content.items()))
        path.append(key)
    return tuple(path)


def _within(path: tuple[str, ...], counts: Mapping[KeyPath, int]) -> KeyPath:
    """The path with the index of the last element of each array of tables on the way."""
    result: KeyPath = ()
    for position, key in enumerate(path):
        result = (*result, key)
        if result in counts and position < len(path) - 1:
            result = (*result, counts[result])
    return result


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return None


def dotted(path: KeyPath) -> str:
    return ".".join(f'"{key}"' if isinstance(key, str) and "." in key else str(key) for key in path)


def field_at(model: type[BaseModel], path: KeyPath) -> tuple[type[BaseModel] | None, str | None]:
    """(the section of `model` that a path leads into, or whose field it is; the description of that field)."""
    section: type[BaseModel] | None = model
    annotation: Any = model
    description = None
    for key in path:
        if get_origin(annotation) in (dict, list):
            annotation = get_args(annotation)[-1]
        elif section is not None and key in section.model_fields:
            found = section.model_fields[str(key)]
            annotation, description = found.annotation, found.description
        else:
            break
        section = _section_in(annotation) or section
    return section, description


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)


# --- messages ---------------------------------------------------------------------------------------------------

_EXPECTED: Final = {
    "string_type": "a string",
    "float_type": "a number",
    "dict_type": "a table",
    "model_type": "a table",
    "list_type": "an array",
    "finite_number": "a finite number",
    "string_too_short": "a string that is not empty",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least one",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
}


def _explained(problem: Any, model: type[BaseModel], unit_of: Callable[[KeyPath], str]) -> tuple[str | None, str, str]:
    """In which field, what was expected, and what was found."""
    path: KeyPath = problem["loc"]
    context = problem.get("ctx", {})
    name = dotted(path) or None
    if problem["type"] == "extra_forbidden":
        section, _ = field_at(model, path[:-1])
        known = list(section.model_fields) if section else []
        near = difflib.get_close_matches(str(path[-1])[:100], known, n=1)
        hint = f" (nearest: {near[0]})" if near else ""
        return name, f"one of the keys {', '.join(known)}{hint}", f"the unknown key {short(path[-1])}"
    if problem["type"] == "missing":
        return name, "this key", "nothing"
    template = _EXPECTED.get(problem["type"])
    expected = template.format_map(context) if template else str(context.get("expected", problem["msg"]))
    unit = unit_of(path)
    return name, f"{expected} ({unit})" if unit else expected, context.get("found") or short(problem["input"])


_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def short(value: object) -> str:
    """`value` on one line of at most 60 characters, control characters escaped."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
