"""What configurations are called: escaped names and the settings in which namesakes differ, and which one is meant."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ..accounts import ConfigurationAccount
from ..errors import UsageProblem
from ..model import Configuration, canonical_settings
from .text import escape, shorten

LABEL_WIDTH = 36
_MOST_LISTED = 10


class Row(NamedTuple):
    """A configuration, its escaped model name, and the settings in which it differs from its namesakes."""

    name: str
    settings: str
    configuration: ConfigurationAccount

    @property
    def label(self) -> str:
        return _label(self.name, self.settings)


def _label(name: str, settings: str) -> str:
    return f"{name} ({settings})" if settings else name


class Called(Protocol):
    """What has a configuration's name: its account, or its line in a history."""

    @property
    def model(self) -> str: ...

    @property
    def settings(self) -> str: ...


def named(configurations: Sequence[ConfigurationAccount]) -> list[Row]:
    """The configurations with what tells them apart, in the order given."""
    parts = _told_apart(configurations)
    return [Row(*part, configuration) for part, configuration in zip(parts, configurations, strict=True)]


def _told_apart(configurations: Sequence[Called]) -> list[tuple[str, str]]:
    """Escaped model names, and the settings in which each differs from its namesakes."""
    namesakes: dict[str, list[dict[str, str]]] = {}
    for configuration in configurations:
        namesakes.setdefault(configuration.model, []).append(_settings(configuration.settings))
    parts = []
    for configuration in configurations:
        own, others = _settings(configuration.settings), namesakes[configuration.model]
        keys = sorted({key for other in others for key in other})
        differing = [key for key in keys if any(other.get(key) != own.get(key) for other in others)]
        shown = [f"{escape(key)}={escape(own[key])}" if key in own else f"no {escape(key)}" for key in differing]
        parts.append((escape(configuration.model), ", ".join(shown)))
    return parts


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


def labels(configurations: Iterable[Called], width: int = LABEL_WIDTH) -> dict[Configuration, str]:
    """What each configuration (of one suite) is called in at most `width` columns, escaped; no two are called alike."""
    full = _labels(configurations)
    short = distinct(list(full.values()), width)
    return {configuration: short[label] for configuration, label in full.items()}


def configuration_named(asked: str, configurations: Sequence[ConfigurationAccount], *, flag: str) -> Configuration:
    """The configuration that a user means by a model's name, a printed label, or a model and its settings as JSON.

    Raises UsageProblem where it is none of them, or where several are called so.
    """
    return _one(_meant(asked, configurations), asked, configurations, flag)


def task_named(
    asked: str, configurations: Sequence[ConfigurationAccount], *, flag: str
) -> tuple[Configuration, str | None]:
    """NAME or NAME:TASK, in which either may have colons of its own. Raises UsageProblem."""
    meant = _meant(asked, configurations)
    if meant:
        return _one(meant, asked, configurations, flag), None
    found: list[tuple[Configuration, str]] = []
    for colon in (position for position, character in enumerate(asked) if character == ":"):
        for configuration in _meant(asked[:colon], configurations):
            tasks = _tasks(configurations, configuration)
            found += [(configuration, task) for task in tasks if asked[colon + 1 :] in (task, escape(task))]
    one = _one(list(dict.fromkeys(each for each, _ in found)), asked, configurations, flag, rest="[:TASK]")
    return one, found[0][1]


def _one(
    meant: Sequence[Configuration],
    asked: str,
    configurations: Sequence[ConfigurationAccount],
    flag: str,
    rest: str = "",
) -> Configuration:
    if len(meant) == 1:
        return meant[0]
    known = _labels(configurations)
    if meant:
        which = _listed(f"{escape(each.model)} {escape(each.settings)}" for each in meant)
        raise UsageProblem(f"{flag} {escape(asked)}: {len(meant)} configurations are called so; say which: {which}")
    task = " or task; TASK such as HumanEval/0" if rest else ""
    expected = _listed(known.values()) or "none, as no attempt has finished"
    raise UsageProblem(f"{flag} {escape(asked)}: no such configuration{task}; expected NAME{rest} of {expected}")


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f", and {len(shown) - _MOST_LISTED} more" if len(shown) > _MOST_LISTED else ""
    return ", ".join(shown[:_MOST_LISTED]) + more


def _meant(asked: str, configurations: Sequence[ConfigurationAccount]) -> list[Configuration]:
    """All that may be meant. Model and settings go first: by them every configuration can be named."""
    known = list(dict.fromkeys(map(_configuration, configurations)))
    exact = [each for each in known if _is_exactly(asked, each)]
    if exact:
        return exact
    called: dict[Configuration, set[str]] = {each: {each.model, escape(each.model)} for each in known}
    groups = [[each for each in configurations if each.suite == suite] for suite in {c.suite for c in configurations}]
    for group in (configurations, *groups):
        for row in named(group):
            called[_configuration(row.configuration)].add(row.label)
        for configuration, label in labels(group).items():
            called[configuration].add(label)
    return [each for each, texts in called.items() if asked in texts]


def _is_exactly(asked: str, configuration: Configuration) -> bool:
    for model, settings in (
        (configuration.model, configuration.settings),
        (escape(configuration.model), escape(configuration.settings)),
    ):
        if not asked.startswith(model):
            continue
        rest = asked[len(model) :].strip()
        if rest and rest == settings:
            return True
        try:
            found = json.loads(rest)
            if isinstance(found, dict) and canonical_settings(found) == configuration.settings:
                return True
        except (ValueError, RecursionError):
            continue
    return False


def _labels(configurations: Iterable[Called]) -> dict[Configuration, str]:
    """Full labels; with their settings in full where a name was made to look like another one's label."""
    unique = list({_configuration(each): each for each in configurations}.values())
    found = {_configuration(each): _label(*part) for each, part in zip(unique, _told_apart(unique), strict=True)}
    seen = Counter(found.values())
    return {
        each: label if seen[label] == 1 else f"{escape(each.model)} {escape(each.settings)}"
        for each, label in found.items()
    }


def _configuration(called: Called) -> Configuration:
    return Configuration(model=called.model, settings=called.settings)


def _tasks(configurations: Sequence[ConfigurationAccount], wanted: Configuration) -> Iterator[str]:
    for each in configurations:
        if _configuration(each) == wanted:
            yield from (row.task_id for row in each.task_rows)


def _settings(text: str) -> dict[str, str]:
    try:
        settings = json.loads(text)
        if isinstance(settings, dict):
            return {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
    except (ValueError, RecursionError):
        pass
    return {"settings": text}
