"""Key figures from run to run, as lines of plain text: what changed since the last run, and trends with their steps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from ..economics.economy import CO2E
from ..economics.expectation import Direction, Figure
from ..economics.history import KeyFigures
from ..economics.trend import Change, Point, Series, Trend
from .economics import by_suite, figure_text
from .terminal import keyed
from .text import columns, escape, left, mass_unit, percent, right, shorten, significant, wrap

_UNKNOWN = "?"
_RUN_COLUMNS = 25
_DIRECTIONS = {
    Direction.LESS: "less",
    Direction.MORE: "more",
    Direction.UNCERTAIN: "not told apart",
    Direction.UNKNOWN: "no interval",
}
_TITLES = {"co2e": "CO2e", "energy": "J", "money": "money", "pass": "pass", "waste": "waste"}


def history_lines(
    figures: Sequence[KeyFigures],
    changed: Sequence[Change],
    broken: Sequence[str] = (),
    *,
    before: Sequence[KeyFigures] = (),
    width: int = 80,
) -> list[str]:
    """A run's key figures beside the last ones of the same series, and lines that could not be read.

    `before`: the file's lines, of which the last of the same configuration says why a series is a new one.
    """
    last = {(each.suite, each.model, each.settings): each for each in before}
    names = by_suite([*before, *figures])
    then = {change.now: change for change in changed}
    notes = []
    for each in figures:
        name = names[each.suite, each.model, each.settings]
        now = figure_text(Figure(value=each.co2e_g_per_accepted, interval=each.interval, reason=each.reason), CO2E)
        change = then.get(each)
        if change is None:
            other = last.get((each.suite, each.model, each.settings))
            why = "" if other is None else f"; {_other(each, other)} since {when(other)}: not compared"
            notes.append(("new", f"{name} on {escape(each.suite)}: {now}{why}"))
            continue
        ratio = _UNKNOWN if change.size.value is None else f"x {significant(change.size.value)}"
        since = f"{ratio} since {when(change.then)}: {_DIRECTIONS[change.direction]}"
        notes.append(("change", f"{name} on {escape(each.suite)}: {now}; {since}"))
    notes += [("not read", escape(line)) for line in broken]
    return list(keyed(notes, max(width, 40)))


def when(line: KeyFigures) -> str:
    """When a run began, and of which revision it was."""
    return escape(f"{line.at} {line.revision or ''}".strip())


def _other(now: KeyFigures, then: KeyFigures) -> str:
    """In what two lines of one configuration differ, so that they are not of one series."""
    pairs = (("another k", now.attempts, then.attempts), ("other tasks", now.tasks, then.tasks))
    counts = [f"{what} ({new or _UNKNOWN}, was {old or _UNKNOWN})" for what, new, old in pairs if new != old]
    return ", ".join([*(["other factors"] if now.factors != then.factors else []), *counts])


# The trend.


def trend_lines(found: Sequence[Series], *, margin: float, width: int = 80) -> list[str]:
    """For each series a row per run, and its steps in words. Lines of at most `width` columns (at least 40)."""
    width = max(width, 40)
    names = by_suite(series.last for series in found)
    lines: list[str] = []
    for series in found:
        last = series.last
        if lines:
            lines.append("")
        k = "" if last.attempts is None else f", k = {last.attempts}"
        lines += wrap(f"{names[last.suite, last.model, last.settings]} on {escape(last.suite)}{k}", width)
        lines += ["", *_table(series, width)]
        notes = list(keyed(_changes(series), width))
        lines += ["", *notes] if notes else []
    if found:
        lines += ["", *wrap(_rule(margin), width)]
    return lines or ["no runs with key figures"]


def _rule(margin: float) -> str:
    return (
        f"A step is a change from the run before whose 95 % interval lies wholly beyond {significant(100 * margin)} %; "
        "that two runs of the same differ with the machine's state is in no interval."
    )


def _table(series: Series, width: int) -> Iterator[str]:
    """Columns that find no room are left out, the last first."""
    runs = [shorten(run_name(line), _RUN_COLUMNS) for line in series.lines]
    room = max(map(columns, runs))
    cells: list[tuple[str, list[str]]] = []
    used = room
    for trend in series.trends:
        head, column = _column(trend)
        size = max(map(columns, (head, *column)))
        if cells and used + size + 2 > width:
            break
        used += size + 2
        cells.append((head, column))

    def line(run: str, texts: Sequence[str]) -> str:
        padded = [
            right(text, max(map(columns, (head, *column)))) for text, (head, column) in zip(texts, cells, strict=True)
        ]
        return "  ".join([left(run, room), *padded]).rstrip()

    yield line("run", [head for head, _ in cells])
    for position, run in enumerate(runs):
        yield line(run, [column[position] for _, column in cells])


def run_name(line: KeyFigures) -> str:
    """Shorter than `when`: the minute is enough to tell runs apart, and leaves room for numbers."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?Z", line.at)
    at = f"{found[1]} {found[2]}" if found else line.at
    return escape(f"{at} {(line.revision or '')[:8]}".strip())


def _column(trend: Trend) -> tuple[str, list[str]]:
    """Values with intervals; a step is marked by a sign behind it."""
    head, show = _unit(trend)
    return head, [_marked(point, show) for point in trend.points]


def _unit(trend: Trend) -> tuple[str, Callable[[float], str]]:
    name = trend.measure.name
    if name == "co2e":
        unit, grams = mass_unit(point.value for point in trend.points if point.value is not None)
        return f"{unit}CO2e", lambda value: significant(value / grams)
    if name in ("pass", "waste"):
        return f"{_TITLES[name]} %", percent
    if name == "money":
        return escape(trend.points[-1].line.currency) or _TITLES[name], significant
    return _TITLES[name], significant


def _marked(point: Point, show: Callable[[float], str]) -> str:
    value = _UNKNOWN if point.value is None else show(point.value)
    ends = "" if point.interval is None else f" [{', '.join(map(show, point.interval))}]"
    step = point.change is not None and point.change.is_step
    return f"{value}{ends} {_sign(point.change) if step else ' '}"


def _sign(change: Change | None) -> str:
    return "+" if change is not None and change.direction is Direction.MORE else "-"


def _changes(series: Series) -> Iterator[tuple[str, str]]:
    for trend in series.trends:
        steps = [point.change for point in trend.points if point.change is not None and point.change.is_step]
        for change in steps:
            yield "step", f"{_size(trend, change)} since {when(change.then)}"
        if trend.overall is not None and len(trend.points) > 2 and trend.overall.is_step:
            yield "in all", f"{_size(trend, trend.overall)} since the first"


def _size(trend: Trend, change: Change) -> str:
    """How much it changed, and by which interval that is told."""
    by = "paired by task" if change.paired else "not paired"
    return f"{_TITLES[trend.measure.name]} {size_text(trend, change)}, {by}, in {when(change.now)}"


def size_text(trend: Trend, change: Change) -> str:
    """A ratio, or a difference in points, with its interval."""
    relative = trend.measure.relative

    def show(value: float) -> str:
        return significant(value) if relative else f"{100 * value:+.1f}"

    size = change.size
    ends = "" if size.interval is None else f" [{', '.join(map(show, size.interval))}]"
    shown = _UNKNOWN if size.value is None else show(size.value)
    return f"x {shown}{ends}" if relative else f"{shown}{ends} points"
