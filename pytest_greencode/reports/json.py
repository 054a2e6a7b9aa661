"""The account as JSON, in the shape of `data/report-1.schema.json`. Readers ignore keys they do not know."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from ..accounting import Account, ConfigurationAccount, MeasuredRow
from ..attribution import Balance

SCHEMA = 1

_RENAMED = {"pass_probability": "pass", "task_rows": "tasks", "tasks": "task_count"}


def render_json(account: Account, run_facts: Mapping[str, object]) -> str:
    """The report as ASCII JSON text: no NaN or infinity (null instead), lone surrogates as escapes.

    `run_facts` becomes `run`: versions, host, sandbox, meter and so on; what JSON has no word for is written as text.
    """
    report = {
        "schema": SCHEMA,
        "run": _plain(run_facts),
        "factors": _plain(account.factors),
        "quarantined": _plain(account.quarantined),
        "energy_balance": _balance(account.balance),
        "configurations": [_configuration(configuration) for configuration in account.configurations],
        "measured_alone": [_measured(row) for row in account.measured],
        "comparisons": [],
        "gate": None,
    }
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def _balance(balance: Balance | None) -> dict[str, Any] | None:
    return None if balance is None else {**_plain(balance), "own_share": _plain(balance.own_share)}


def _configuration(configuration: ConfigurationAccount) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(configuration)
    return plain | {"settings": _settings(configuration.settings)}


def _measured(row: MeasuredRow) -> dict[str, Any]:
    samples = [
        {"model": _plain(model), "settings": _settings(settings), "sample_id": sample_id}
        for model, settings, sample_id in row.samples
    ]
    return {
        "suite": _plain(row.suite),
        "task_id": _plain(row.task_id),
        "reference": row.reference,
        "samples": samples,
        **_plain(row.measured),
    }


def _settings(text: str) -> object:
    """The settings as the object they are, or as their text where it is not JSON."""
    try:
        return _plain(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _plain(value: object) -> Any:
    """The value in what JSON has: its own types, text for all else, None for a number that is none."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value):
        return {_RENAMED.get(f.name, f.name): _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)
