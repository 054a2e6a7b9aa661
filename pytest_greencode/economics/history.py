"""The history of key figures: an append-only file, one JSON line for each configuration of each run.

A line says what a run found, with its intervals, so that a later run can be set beside the last one without its ledger
(`trend`). A merge is judged by the gate, which pairs tasks. Pure but for the file.
"""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from pytest_greencode.plain import plain_values

from ..comparison.fronts import energy_interval, pass_interval
from ..comparison.policy import retrying
from ..errors import FileFormatError
from ..model import Factors
from ..statistics import Interval
from .economy import Economy

SCHEMA = 1

_LATER = frozenset({"factors", "pass_interval", "energy_j_per_accepted", "energy_interval", "money_interval"})
_MOST = 1e30  # of any figure: beyond it another unit would overflow
_NUMBERS = ("pass_at_k", "co2e_g_per_accepted", "energy_j_per_accepted", "money_per_accepted", "waste_share")
_INTERVALS = ("interval", "pass_interval", "energy_interval", "money_interval")


class KeyFigures(Struct, frozen=True, kw_only=True):
    """One configuration in one run, at k = `attempts`. `at` is ISO 8601, `revision` the code's; None is not known.

    `interval` is that of the grams. `factors`: `factors_digest` of the grids, PUE and machines that it was accounted
    with. What has a default is not in lines of earlier versions.
    """

    at: str
    revision: str | None
    suite: str
    model: str
    settings: str
    tasks: int
    attempts: int | None
    pass_at_k: float | None
    co2e_g_per_accepted: float | None
    interval: Interval | None
    money_per_accepted: float | None
    currency: str
    waste_share: float | None
    reason: str | None
    factors: str | None = None
    pass_interval: Interval | None = None
    energy_j_per_accepted: float | None = None
    energy_interval: Interval | None = None
    money_interval: Interval | None = None

    @property
    def key(self) -> tuple[str, str, str, int | None, int, str | None]:
        """What has to be the same for two lines to be of one series: another grid is no change of the code."""
        return self.suite, self.model, self.settings, self.attempts, self.tasks, self.factors


class History(Struct, frozen=True, kw_only=True):
    """Lines in the file's order, and for each line that could not be read "PATH:LINE: why"."""

    lines: tuple[KeyFigures, ...]
    broken: tuple[str, ...]


def factors_digest(factors: Factors) -> str:
    """The same 12 hexadecimal digits for the same grids, PUE and machines, whatever their sources are called."""
    sites = [
        {"g_per_kwh": site.g_per_kwh, "pue": pue, "machine": None if machine is None else plain_values(machine)}
        for site, pue, machine in (
            (factors.generation, factors.generation_pue, factors.generation_machine),
            (factors.execution, factors.execution_pue, factors.execution_machine),
        )
    ]
    for site in sites:
        if isinstance(site["machine"], dict):
            site["machine"].pop("source")
    return hashlib.sha256(json.dumps(sites, sort_keys=True).encode()).hexdigest()[:12]


def key_figures(
    economies: Iterable[Economy], *, at: str, revision: str | None = None, factors: str | None = None
) -> list[KeyFigures]:
    """What a run adds to the history. `factors`: the digest of its account's."""
    found = []
    for economy in economies:
        configuration = economy.configuration
        k = configuration.per_accepted.attempts
        terms = None if k is None else retrying(configuration, k)
        found.append(
            KeyFigures(
                at=at,
                revision=revision,
                suite=configuration.suite,
                model=configuration.model,
                settings=configuration.settings,
                tasks=configuration.tasks,
                attempts=k,
                pass_at_k=None if k is None else configuration.pass_at.get(k),
                co2e_g_per_accepted=economy.co2e_g.value,
                interval=economy.co2e_g.interval,
                money_per_accepted=economy.money.per_accepted.value,
                currency=economy.money.currency,
                waste_share=configuration.waste_share,
                reason=economy.co2e_g.reason,
                factors=factors,
                pass_interval=None if terms is None else pass_interval(terms),
                energy_j_per_accepted=configuration.per_accepted.energy_j,
                energy_interval=None if terms is None else energy_interval(terms),
                money_interval=economy.money.per_accepted.interval,
            )
        )
    return found


def history_text(figures: Iterable[KeyFigures]) -> str:
    """ASCII JSON lines to append to the file."""
    return "".join(json.dumps({"schema": SCHEMA, **plain_values(each)}, allow_nan=False) + "\n" for each in figures)


def append_history(path: Path, figures: Iterable[KeyFigures]) -> None:
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
            lines.append(_key_figures(json.loads(line)))
        except (ValueError, RecursionError, TypeError, KeyError, OverflowError) as error:
            broken.append(f"{path}:{number}: no key figures: {type(error).__name__}")
    return History(lines=tuple(lines), broken=tuple(broken))


def _key_figures(record: Mapping[str, Any]) -> KeyFigures:
    names = KeyFigures.__struct_fields__
    values: dict[str, Any] = {name: record.get(name) if name in _LATER else record[name] for name in names}
    for name in ("at", "suite", "model", "settings", "currency"):
        if not isinstance(values[name], str):
            raise TypeError(name)
    for name in ("revision", "reason", "factors"):
        if not isinstance(values[name], (str, type(None))):
            raise TypeError(name)
    if type(values["tasks"]) is not int or type(values["attempts"]) not in (int, type(None)):
        raise TypeError("tasks")
    for name in _NUMBERS:
        values[name] = None if values[name] is None else _number(values[name])
    for name in _INTERVALS:
        if values[name] is not None:
            low, high = map(_number, values[name])
            values[name] = (low, high)
    return KeyFigures(**values)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _MOST:
        raise TypeError(value)
    return float(value)
