"""A run's key figures for services that track them over time: github-action-benchmark and Bencher.

What they are called is the same in every run, whatever else is in it: by model and settings in full. Units are fixed
for the same reason. What is not known is left out: neither service has a word for it, and a 0 would be a lie.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..history.figures import Line, ProjectFigures
from ..statistics import Interval
from .history import settings_of
from .text import escape, shorten, significant

_LONGEST_NAME = 1024  # of a benchmark, in Bencher's reference of BMF


class _Measure(NamedTuple):
    """`slug` is Bencher's name of it (at most 64 characters); `title` the other's, of something to be small."""

    slug: str
    title: str
    unit: str
    value: float | None
    interval: Interval | None


def _measures(line: Line) -> Iterator[_Measure]:
    if isinstance(line, ProjectFigures):
        yield _Measure(
            "energy-per-passing-test",
            "energy per passing test",
            "J",
            line.energy_per_passing_test_j,
            line.energy_interval,
        )
        yield _Measure(
            "cpu-time-per-passing-test",
            "CPU time per passing test",
            "s",
            line.cpu_seconds_per_passing_test,
            line.cpu_interval,
        )
        yield _Measure(
            "co2e-per-passing-test", "CO2e per passing test", "g", line.co2e_per_passing_test_g, line.co2e_interval
        )
        yield _Measure("waste-share", "wasted share", "share", line.waste_share, None)
        return
    k = f"pass@{line.attempts}" if line.attempts else "pass@k"
    yield _Measure("co2e-per-accepted", "CO2e per accepted solution", "g", line.co2e_g_per_accepted, line.interval)
    yield _Measure(
        "energy-per-accepted", "energy per accepted solution", "J", line.energy_j_per_accepted, line.energy_interval
    )
    yield _Measure(
        "money-per-accepted",
        "money per accepted solution",
        line.currency,
        line.money_per_accepted,
        line.money_interval,
    )
    unsolved = None if line.pass_at_k is None else 1 - line.pass_at_k
    ends = None if line.pass_interval is None else (1 - line.pass_interval[1], 1 - line.pass_interval[0])
    yield _Measure("tasks-not-solved", f"tasks not solved (1 - {k})", "share", unsolved, ends)
    yield _Measure("waste-share", "wasted share", "share", line.waste_share, None)


def _name(line: Line) -> str:
    """Suite, model, settings and k; nothing in it breaks out of the code span in which a comment shows it."""
    if isinstance(line, ProjectFigures):
        usual = {"repeat": "1", "workers": "0"}
        told = {name: value for name, value in settings_of(line).items() if name in ("Python", *usual)}
        apart = ", ".join(f"{name} {value}" for name, value in told.items() if usual.get(name) != value)
        return _tame(f"{line.model} ({apart})" if apart else line.model)
    settings = "" if line.settings == "{}" else f" {line.settings}"
    k = "" if line.attempts is None else f" k={line.attempts}"
    return _tame(f"{line.suite}: {line.model}{settings}{k}")


def _tame(text: str) -> str:
    return shorten(escape(text).replace("`", r"\x60").replace("|", r"\x7c"), _LONGEST_NAME - 100)


def github_action_benchmark(lines: Sequence[Line]) -> str:
    """JSON for its tool `customSmallerIsBetter`: every figure is one that should be small."""
    entries = []
    for line in lines:
        for each in _measures(line):
            if each.value is None:
                continue
            entry: dict[str, object] = {
                "name": f"{_name(line)}: {each.title}",
                "unit": escape(each.unit),
                "value": each.value,
            }
            if each.interval is not None:
                entry["range"] = f"{significant(each.interval[0])} .. {significant(each.interval[1])} (95 %)"
            of = f"{line.tests} tests" if isinstance(line, ProjectFigures) else f"{line.tasks} tasks"
            entry["extra"] = f"{of}, run of {escape(line.at)}"
            entries.append(entry)
    return json.dumps(entries, indent=1, allow_nan=False) + "\n"


def bencher(lines: Sequence[Line]) -> str:
    """Bencher Metric Format; the ends of the 95 % interval are the lower and upper value."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for line in lines:
        measures: dict[str, dict[str, float]] = {}
        for each in _measures(line):
            if each.value is None:
                continue
            measures[each.slug] = {"value": each.value}
            if each.interval is not None:
                measures[each.slug] |= {"lower_value": each.interval[0], "upper_value": each.interval[1]}
        if measures:
            found[_name(line)] = measures
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


TRACKERS: Mapping[str, Callable[[Sequence[Line]], str]] = {
    "github-action-benchmark": github_action_benchmark,
    "bencher": bencher,
}
