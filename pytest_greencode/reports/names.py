"""What configurations are called: escaped names, and the settings in which namesakes differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ..accounts import ConfigurationAccount
from .text import escape, shorten


class Row(NamedTuple):
    """A configuration, its escaped model name, and the settings in which it differs from its namesakes."""

    name: str
    settings: str
    configuration: ConfigurationAccount

    @property
    def label(self) -> str:
        return f"{self.name} ({self.settings})" if self.settings else self.name


def named(configurations: Sequence[ConfigurationAccount]) -> list[Row]:
    """The configurations with what tells them apart, in the order given."""
    namesakes: dict[str, list[dict[str, str]]] = {}
    for configuration in configurations:
        namesakes.setdefault(configuration.model, []).append(_settings(configuration.settings))
    rows = []
    for configuration in configurations:
        own, others = _settings(configuration.settings), namesakes[configuration.model]
        keys = sorted({key for other in others for key in other})
        differing = [key for key in keys if any(other.get(key) != own.get(key) for other in others)]
        shown = [f"{escape(key)}={escape(own[key])}" if key in own else f"no {escape(key)}" for key in differing]
        rows.append(Row(escape(configuration.model), ", ".join(shown), configuration))
    return rows


def rank(configuration: ConfigurationAccount) -> tuple[bool, float, str, str]:
    """Sort key: by the headline; the unknown last, those with a lower bound among them by it."""
    cost = configuration.per_accepted
    order = cost.co2e_g if cost.co2e_g is not None else cost.lower_bound_co2e_g
    return cost.co2e_g is None, float("inf") if order is None else order, configuration.model, configuration.settings


def distinct(names: Sequence[str], width: int) -> dict[str, str]:
    """What each name is shown as in `width` columns; numbered where shortening made two the same."""
    shown = {name: shorten(name, width) for name in names}
    seen = Counter(shown.values())
    numbers: Counter[str] = Counter()
    for name, short in shown.items():
        if seen[short] > 1:
            numbers[short] += 1
            number = f"~{numbers[short]}"
            shown[name] = shorten(name, width - len(number)) + number
    return shown


def _settings(text: str) -> dict[str, str]:
    try:
        settings = json.loads(text)
        if isinstance(settings, dict):
            return {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    except (ValueError, RecursionError):
        pass
    return {"settings": text}
