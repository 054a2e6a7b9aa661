"""The file of a history: append-only JSON lines, one for each configuration of each run, and for its ordinary tests.

A line says what a run found, with its intervals, so that a later run can be set beside the last one without its ledger
(`trend`). A merge is judged by the gate, which pairs tasks.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, ValidationError, convert

from ..errors import FileFormatError
from ..plain import plain_values
from .figures import KeyFigures, Line, ProjectFigures

SCHEMA = 1

_KINDS: Mapping[object, type[Line]] = {"samples": KeyFigures, "tests": ProjectFigures}


class History(Struct, frozen=True, kw_only=True):
    """Lines in the file's order, and for each line that could not be read "PATH:LINE: why"."""

    lines: tuple[Line, ...]
    broken: tuple[str, ...]


def history_text(figures: Iterable[Line]) -> str:
    """ASCII JSON lines to append to the file."""
    return "".join(
        json.dumps({"schema": SCHEMA, "of": _kind(each), **plain_values(each)}, allow_nan=False) + "\n"
        for each in figures
    )


def _kind(line: Line) -> object:
    return next(name for name, kind in _KINDS.items() if isinstance(line, kind))


def append_history(path: Path, figures: Iterable[Line]) -> None:
    """Adds lines to the file, which is made where there is none; a last line cut short is ended first. OSError."""
    with path.open("a+b") as file:
        if file.seek(0, 2):
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(history_text(figures).encode("ascii"))


def read_history(path: Path) -> History:
    """The history at `path`, empty where there is no file yet. Raises FileFormatError where it cannot be read."""
    try:
        # A device may be read without end, and a pipe be waited for.
        if not stat.S_ISREG(mode := path.stat().st_mode):
            found = "a directory" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
            raise FileFormatError(str(path), None, None, "a regular file", found)
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return History(lines=(), broken=())
    except OSError as error:
        expected = "a history of key figures"
        raise FileFormatError(str(path), None, None, expected, error.strerror or type(error).__name__) from None
    lines, broken = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            lines.append(_line(json.loads(line)))
        except (ValidationError, ValueError, RecursionError, TypeError, AttributeError, LookupError) as error:
            broken.append(f"{path}:{number}: no key figures: {type(error).__name__}")
    return History(lines=tuple(lines), broken=tuple(broken))


def _line(record: Any) -> Line:
    """Lines of earlier versions say nothing of what they are of: it is samples."""
    return convert(record, _KINDS[record.get("of", "samples")])
