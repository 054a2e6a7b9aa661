"""The account as JSON, in the shape of `data/report-1.schema.json`. Readers ignore keys they do not know."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from ..accounts import Account, ConfigurationAccount, MeasuredRow
from ..attribution import Balance
from ..model import Configuration

if TYPE_CHECKING:
    from ..comparison import Effect, Taken
    from ..economics.economy import Economy
    from ..economics.forecast import Forecast
    from ..findings import Decision, Findings

SCHEMA = 1

_RENAMED = {"pass_probability": "pass", "task_rows": "tasks", "tasks": "task_count"}


def render_json(account: Account, run_facts: Mapping[str, object], findings: Findings | None = None) -> str:
    """The report as ASCII JSON text: no NaN or infinity (null instead), lone surrogates as escapes.

    `run_facts` becomes `run`, but for its `gate`: versions, host, sandbox, meter and so on. What JSON has no word for
    is written as text.
    """
    report = {
        "schema": SCHEMA,
        "run": _plain({name: value for name, value in run_facts.items() if name != "gate"}),
        "factors": _plain(account.factors),
        "quarantined": _plain(account.quarantined),
        "energy_balance": _balance(account.balance),
        "configurations": [_configuration(configuration) for configuration in account.configurations],
        "measured_alone": [_measured(row) for row in account.measured],
        "repository_tests": [_plain(row) | {"settings": _settings(row.settings)} for row in account.tests],
        "project": _plain(account.project),
        "comparisons": [] if findings is None else [_plain(c) for suite in findings.suites for c in suite.comparisons],
        "findings": None if findings is None else _findings(findings),
        "gate": _plain(run_facts.get("gate")),
    }
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def _findings(findings: Findings) -> dict[str, Any]:
    """What the configurations of each suite, and each of them alone, come to."""
    return {
        "suites": [
            {
                "suite": _plain(suite.suite),
                "k": suite.k,
                "front": _plain(suite.front),
                "factors": [_effect(each) for each in suite.effects],
                "stopping": [
                    {"model": _plain(c.model), "settings": _settings(c.settings), **_plain(found)}
                    for c, found in zip(suite.configurations, suite.stoppings, strict=True)
                ],
                "cascades": [] if suite.cascades is None else _plain(suite.cascades.ranked),
                "selection": _plain(suite.selection),
                "taken": _taken(suite.taken),
                "decision": _decision(suite.decision),
            }
            for suite in findings.suites
        ],
        "economy": [_economy(each) for each in findings.economies],
        "one_off": _plain(findings.one_off),
        "forecasts": [_forecast(each) for each in findings.forecasts],
        "forecasts_unmet": _plain(findings.unmet),
        "regions": [
            {"suite": _plain(suite), "model": _plain(model), "settings": _settings(settings), "grids": _plain(rows)}
            for (suite, model, settings), rows in findings.regions.items()
        ],
        "embodied_by_use": [
            {"suite": _plain(suite), "model": _plain(model), "settings": _settings(settings), **_plain(found)}
            for (suite, model, settings), found in findings.by_use.items()
        ],
        "escapes": _plain(findings.escapes),
        "assumptions": [_plain(entry) for entry in findings.assumptions.entries],
        "assumptions_unused": _plain(findings.unused),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(effect)
    return plain | {"strata": len(effect.strata)}


def _taken(taken: Taken | None) -> dict[str, Any] | None:
    """Without the comparisons, which are findings of their own or follow from the tasks."""
    if taken is None:
        return None
    return {
        "model": _plain(taken.configuration.model),
        "settings": _settings(taken.configuration.settings),
        "criterion": _plain(taken.criterion),
        "alternatives": [
            {
                "model": _plain(each.configuration.model),
                "settings": _settings(each.configuration.settings),
                "co2e_g": _plain(each.comparison.co2e_g),
                "pass_probability": _plain(each.comparison.pass_probability),
                "tasks": each.comparison.tasks,
                "why": _plain(each.why),
                "reason": _plain(each.reason),
            }
            for each in taken.alternatives
        ],
    }


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "old": _name(decision.old),
        "new": _name(decision.new),
        "claim": _plain(decision.claim),
        "payback_g": _plain(decision.payback_g),
        "payback_money": _plain(decision.payback_money),
    }


def _name(configuration: ConfigurationAccount) -> dict[str, Any]:
    return {"model": _plain(configuration.model), "settings": _settings(configuration.settings)}


def _economy(economy: Economy) -> dict[str, Any]:
    """Without the costs of single tasks, which the configuration's tasks give."""
    money: dict[str, Any] = _plain(replace(economy.money, costs={}))
    del money["costs"]
    return {
        "suite": _plain(economy.configuration.suite),
        **_name(economy.configuration),
        **{
            name: _plain(getattr(economy, name))
            for name in (
                "co2e_g",
                "co2e_g_per_attempt",
                "energy_kwh",
                "energy_kwh_per_attempt",
                "time_s",
                "workstation_s",
                "workstation_s_per_attempt",
                "water_l",
                "primary_energy_mj",
                "human",
                "alternatives",
                "resolved",
            )
        },
        "money": money,
    }


def _forecast(forecast: Forecast) -> dict[str, Any]:
    return {
        **_name(forecast.economy.configuration),
        **{
            name: _plain(getattr(forecast, name))
            for name in ("demand", "month", "year", "solutions_per_month", "solutions_by", "per_accepted_g")
        },
    }


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
    if isinstance(value, Struct):
        return {_RENAMED.get(name, name): _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)


def _key(key: object) -> str:
    """A key as text: of a configuration, its model and settings."""
    return f"{key.model} {key.settings}" if isinstance(key, Configuration) else str(key)
