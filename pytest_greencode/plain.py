"""Values as what JSON has."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from msgspec import to_builtins


def plain_values(value: object) -> Any:
    """Structs as dicts, tuples as lists, an enum's members as their values.

    Texts and numbers of others' types (a plugin's numpy.float64) become Python's own. Raises TypeError for all else.
    """
    return to_builtins(value, enc_hook=_own)


def _own(value: object) -> str | int | float:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise NotImplementedError
