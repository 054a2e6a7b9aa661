"""Plain text: hostile strings made safe, numbers and units, columns counted as a terminal shows them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median_low

ELLIPSIS = "…"

_UNITS = (("kg", 1e3), ("g", 1.0), ("mg", 1e-3), ("µg", 1e-6), ("ng", 1e-9))
_MOST_MARKS = 2
_GLUE = "\0"  # in no escaped text


def escape(text: str) -> str:
    r"""Text that a terminal shows as one line and does not obey: `\x1b`, `\n`, `\u202e`, `\ud800` stand for the rest.

    Whatever is not printable is escaped: controls, ANSI, line ends, bidi and zero-width characters, lone surrogates,
    private and unassigned ones. So are combining marks without a base, and those piled up beyond two.
    """
    if text.isascii() and text.isprintable():
        return text
    shown, marks = [], _MOST_MARKS
    for character in text:
        is_mark = unicodedata.category(character).startswith("M")
        marks = marks + 1 if is_mark else 0
        safe = character.isprintable() and marks <= _MOST_MARKS
        shown.append(character if safe else character.encode("unicode_escape").decode("ascii"))
    return "".join(shown)


def columns(text: str) -> int:
    """How many terminal columns escaped text takes: wide characters two, combining ones none."""
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def left(text: str, width: int) -> str:
    """Text at the left of `width` columns."""
    return text + " " * (width - columns(text))


def right(text: str, width: int) -> str:
    """Text at the right of `width` columns."""
    return " " * (width - columns(text)) + text


def head(text: str, width: int) -> str:
    """As much of the beginning of text as fits into `width` columns."""
    used = 0
    for position, character in enumerate(text):
        used += _columns_of(character)
        if used > width:
            return text[:position]
    return text


def shorten(text: str, width: int) -> str:
    """Text in at most `width` columns; what is too long loses its middle, as names differ at their ends."""
    if columns(text) <= width:
        return text
    if width < 3:
        return head(text, width)
    front = head(text, width // 2)
    room = width - columns(front) - 1
    start = len(text)
    while start > 0 and columns(text[start - 1 :]) <= room:
        start -= 1
    while start < len(text) and _columns_of(text[start]) == 0:
        start += 1
    return front + ELLIPSIS + text[start:]


def wrap(text: str, width: int, *, first: str = "", rest: str = "", split_words: bool = True) -> Iterator[str]:
    """Lines of at most `width` columns, split at spaces where possible, behind `first` and then `rest`.

    Without `split_words` a longer word keeps its line to itself: half a path is of no use to who would copy it.
    """
    line, indent, empty = first, columns(rest), True
    for word in text.split(" "):
        if not empty and columns(line) + 1 + columns(word) > width:
            yield line.rstrip()
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
        while split_words and columns(line) > width > indent + 2:
            part = head(line, width)
            yield part
            line = rest + line[len(part) :]
    yield line.rstrip()


def message(text: str, width: int = 80, *, first: str = "", rest: str = "") -> Iterator[str]:
    """A message of one or more lines, escaped and wrapped, behind `first` and then `rest`.

    A command can be pasted: it stays on one line when it is in backticks, and is shown as it is when its line begins
    with a tab.
    """
    for line in text.splitlines():
        if line.startswith("\t"):
            yield escape(line[1:])
            continue
        glued = re.sub("`[^`]*`", lambda command: command[0].replace(" ", _GLUE), escape(line))
        for part in wrap(glued, width, first=first, rest=rest, split_words=False):
            yield part.replace(_GLUE, " ")
        first = rest


def shown_path(path: Path, base: Path) -> str:
    """A path as who stands in `base` would write it: relative below it, else absolute."""
    return escape(str(path.relative_to(base) if path.is_relative_to(base) else path))


def significant(value: float, digits: int = 3) -> str:
    """A number to `digits` significant digits; plain between 0.0001 and a million, else as 1.23e8."""
    if value == 0:
        return "0"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 <= power < 6:
        return f"{value:.{max(digits - 1 - power, 0)}f}"
    return f"{mantissa}e{power}"


def mass_unit(grams: Iterable[float]) -> tuple[str, float]:
    """The one unit (name, grams in it) for a column of masses: the largest in which the middle one is at least 1."""
    positive = sorted(value for value in grams if 0 < value < math.inf)
    middle = median_low(positive) if positive else 1.0
    return next((unit for unit in _UNITS if unit[1] <= middle), _UNITS[-1])


def percent(share: float) -> str:
    """A share in percent to one decimal; only a true 0 or 1 reads 0 or 100."""
    if share <= 0 or share >= 1:
        return "0" if share <= 0 else "100"
    shown = f"{100 * share:.1f}"
    return {"0.0": "<0.1", "100.0": ">99.9"}.get(shown, shown)
