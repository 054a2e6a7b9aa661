"""Settings of generation as people type them: KEY=VALUE, and grids of them. Pure."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ..errors import UsageProblem
from .prompts import STYLES

PROMPT: Final = "prompt"
# What the product itself puts into a request.
_OURS: Final = {"model", "messages", "stream", "stream_options", "n", "seed"}
_RANGES: Final = {
    "temperature": (0, 10, float),
    "top_p": (0, 1, float),
    "min_p": (0, 1, float),
    "top_k": (-1, 1e6, int),
    "max_tokens": (1, 1e6, int),
}


def pair(text: str, flag: str) -> tuple[str, Any]:
    """KEY=VALUE; the value is JSON where it is some (0.8, true, ["a"]), else text. Raises UsageProblem."""
    key, separator, value = text.partition("=")
    if not (separator and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", key)):
        raise UsageProblem(f"{flag}: expected KEY=VALUE, found {text!r}")
    return key, _value(value)


def _value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    # "NaN" and "1e999" are numbers to Python alone.
    return text if isinstance(value, float) and value - value != 0 else value


def checked(settings: Mapping[str, Any], flag: str) -> dict[str, Any]:
    """The settings, equal ones as equal values: a temperature of 0 is 0.0.

    Raises UsageProblem for a known setting with a value that is none of its own.
    """
    found = dict(settings)
    for key, value in settings.items():
        if key in _OURS:
            raise UsageProblem(f"{flag} {key}: this is set by greencode itself; see `greencode generate --help`")
        if key == PROMPT and value not in STYLES:
            raise UsageProblem(f"{flag} {key}: expected one of {', '.join(STYLES)}, found {value!r}")
        if key == "stop":
            found[key] = [value] if isinstance(value, str) else value
            if not (isinstance(found[key], list) and all(isinstance(each, str) and each for each in found[key])):
                raise UsageProblem(f"{flag} {key}: expected a text or a list of texts, found {value!r}")
        if key in _RANGES:
            least, most, kind = _RANGES[key]
            numbers = (int,) if kind is int else (int, float)
            if isinstance(value, bool) or not isinstance(value, numbers) or not least <= value <= most:
                what = "a whole number" if kind is int else "a number"
                raise UsageProblem(f"{flag} {key}: expected {what} from {least:g} to {most:g}, found {value!r}")
            found[key] = kind(value)
    return found


def grid(texts: Iterable[str], flag: str = "--grid") -> Iterator[dict[str, Any]]:
    """All combinations of KEY=A,B ...; one empty one without any. Raises UsageProblem."""
    axes: dict[str, list[Any]] = {}
    for text in texts:
        key, _ = pair(text, flag)
        values = [checked({key: _value(part)}, flag)[key] for part in text.partition("=")[2].split(",")]
        if key in axes or len({json.dumps(value) for value in values}) < len(values) or "" in values:
            raise UsageProblem(f"{flag} {text}: expected each key and each of its values once")
        axes[key] = values
    for combination in itertools.product(*axes.values()):
        yield dict(zip(axes, combination, strict=True))
