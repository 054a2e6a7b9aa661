"""Key figures from run to run, as lines of plain text: what changed since the last run, and trends with their steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from ..economics.economy import CO2E
from ..economics.expectation import Direction, Figure
from ..history.figures import Line, ProjectFigures
from ..history.trend import ENOUGH, Change, Point, Series, Trend
from .economics import by_suite, figure_text
from .project import amount, unit_of
from .terminal import keyed
from .text import columns, escape, left, mass_unit, percent, right, shorten, significant, wrap
from .texts import TEXTS, Bilingual, plain

_UNKNOWN = "?"
_RUN_COLUMNS = 32
_REVISION_COLUMNS = 14
_MOST_BROKEN = 5
_DIRECTIONS = {
    Direction.LESS: "less",
    Direction.MORE: "more",
    Direction.UNCERTAIN: "not told apart",
    Direction.UNKNOWN: "no interval",
}
_TITLES = {
    "co2e": "CO2e",
    "energy": "J",
    "money": "money",
    "pass": "pass",
    "waste": "waste",
    "energy_of_tests": "energy",
    "cpu": "CPU time",
    "passing": "passing",
}
# Where they are not the titles; {} is the unit.
_HEADS = {
    "co2e": "{}CO2e",
    "money": "{}",
    "pass": "pass {}",
    "waste": "waste {}",
    "energy_of_tests": "{}J/test",
    "cpu": "{}s CPU/test",
}


class Unit(NamedTuple):
    """What a trend's values are shown in: how it is called (of a J or s, its prefix), its size, and a value in it."""

    name: str
    size: float
    show: Callable[[float], str]


def history_lines(
    figures: Sequence[Line],
    changed: Sequence[Change],
    broken: Sequence[str] = (),
    *,
    before: Sequence[Line] = (),
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
        name = _on(names[each.suite, each.model, each.settings], each)
        now = _headline(each)
        change = then.get(each)
        if change is None:
            other = last.get((each.suite, each.model, each.settings))
            why = "" if other is None else f"; {_other(each, other)} since {when(other)}: not compared"
            notes.append(("new", f"{name}: {now}{why}"))
            continue
        ratio = _UNKNOWN if change.size.value is None else f"x {significant(change.size.value)}"
        since = f"{ratio} since {when(change.then)}: {_DIRECTIONS[change.direction]}"
        told = [change.size.reason] if change.size.value is None and change.size.reason else []
        if isinstance(each, ProjectFigures) and change.size.value is not None:
            told = [each for each in (f"margin {factors_text(change.margin)}", change.remark) if each]
        why = f" ({escape('; '.join(told))})" if told else ""
        notes.append(("change", f"{name}: {now}; {since}{why}"))
    notes += [("not read", escape(line)) for line in broken[:_MOST_BROKEN]]
    if len(broken) > _MOST_BROKEN:
        notes.append(("not read", f"and {len(broken) - _MOST_BROKEN} more lines"))
    return list(keyed(notes, max(width, 40)))


def _on(name: str, line: Line) -> str:
    return f"{name} on {escape(line.suite)}" if line.suite else name


def _headline(line: Line) -> str:
    if not isinstance(line, ProjectFigures):
        return figure_text(Figure(value=line.co2e_g_per_accepted, interval=line.interval, reason=line.reason), CO2E)
    energy, cpu = (
        amount(value, interval, unit)
        for value, interval, unit in (
            (line.energy_per_passing_test_j, line.energy_interval, "J"),
            (line.cpu_seconds_per_passing_test, line.cpu_interval, "s"),
        )
    )
    return f"{energy} and {cpu} of CPU time per passing test, {line.passing} of {line.tests} passing"


def when(line: Line) -> str:
    """When a run began, and of which revision it was."""
    return escape(f"{line.at} {line.revision or ''}".strip())


def _other(now: Line, then: Line) -> str:
    """In what two lines of one configuration differ, so that they are not of one series."""
    if isinstance(now, ProjectFigures) or isinstance(then, ProjectFigures):
        return "other factors"
    pairs = (("another k", now.attempts, then.attempts), ("other tasks", now.tasks, then.tasks))
    counts = [f"{what} ({new or _UNKNOWN}, was {old or _UNKNOWN})" for what, new, old in pairs if new != old]
    return ", ".join([*(["other factors"] if now.factors != then.factors else []), *counts])


# The trend.


def trend_lines(found: Sequence[Series], *, width: int = 80) -> list[str]:
    """For each series a row per run, and its steps in words. Lines of at most `width` columns (at least 40)."""
    width = max(width, 40)
    names = by_suite(series.last for series in found)
    lines: list[str] = []
    for series in found:
        last = series.last
        if lines:
            lines.append("")
        k = "" if isinstance(last, ProjectFigures) or last.attempts is None else f", k = {last.attempts}"
        lines += wrap(_on(names[last.suite, last.model, last.settings], last) + k, width)
        lines += ["", *_table(series, width)]
        notes = list(keyed(_changes(series), width))
        lines += ["", *notes] if notes else []
    if shared := "; ".join(conditions(found)):
        lines += ["", *keyed([("conditions", shared)], width)]
    rules = [line for rule in _rules(found) for line in wrap(rule, width)]
    lines += ["", *rules] if rules else []
    return lines if found else ["no runs with key figures"]


def _rules(found: Sequence[Series]) -> Iterator[str]:
    kinds = {isinstance(series.last, ProjectFigures) for series in found if len(series.lines) > 1}
    if False in kinds:
        yield (
            f"A step is a change from the run before whose 95 % interval is wholly beyond {margin_of_samples(found)}; "
            "that two runs of the same samples differ with the machine's state is in no interval."
        )
    if True in kinds:
        yield (
            "Of tests, those of both runs are compared. A step is beyond the margin, and this run and the next are "
            "apart from both before."
        )


def margin_of_samples(found: Iterable[Series]) -> str:
    of_samples = [series.trends for series in found if not isinstance(series.last, ProjectFigures)]
    return f"{100 * next((trend.margin for trends in of_samples for trend in trends), 0.0):g} %"


def _table(series: Series, width: int) -> Iterator[str]:
    """Columns that find no room are left out, the last first."""
    runs = [shorten(run_name(line), _RUN_COLUMNS) for line in series.lines]
    room = max(map(columns, runs))
    cells: list[tuple[str, list[str]]] = []
    used = room
    for trend in series.trends:
        head, column = _column(trend, interval=not cells)
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


def conditions(found: Iterable[Series]) -> list[str]:
    """Under which tests were measured, where that is the same in all series; what differs is in their names."""
    settings = [settings_of(series.last) for series in found if isinstance(series.last, ProjectFigures)]
    shared = settings[0].items() if settings else ()
    return [escape(f"{name} {value}") for name, value in shared if all(each.get(name) == value for each in settings)]


def settings_of(line: ProjectFigures) -> dict[str, object]:
    try:
        found = json.loads(line.settings)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def run_name(line: Line) -> str:
    """Shorter than `when`: the minute is enough to tell runs apart, and leaves room for numbers."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?Z", line.at)
    at = f"{found[1]} {found[2]}" if found else line.at
    return f"{escape(at)} {shorten(escape(line.revision or ''), _REVISION_COLUMNS)}".strip()


def unit(trend: Trend) -> Unit:
    """One for all runs."""
    name = trend.measure.name
    known = [point.value for point in trend.points if point.value is not None]
    if name == "co2e" or trend.measure.field is not None:
        called, size = mass_unit(known) if name == "co2e" else unit_of(known)
        return Unit(called, size, lambda value: significant(value / size))
    if name in ("pass", "waste"):
        return Unit("%", 0.01, percent)
    if name == "passing":
        return Unit("", 1.0, lambda value: f"{value:.0f}")
    return Unit(getattr(trend.points[-1].line, "currency", "") if name == "money" else "J", 1.0, significant)


def _column(trend: Trend, *, interval: bool) -> tuple[str, list[str]]:
    """Values, those of the first column with their intervals; a step is marked by a sign behind it."""
    called, _, show = unit(trend)
    name = trend.measure.name
    head = _HEADS.get(name, _TITLES[name]).format(escape(called)) or _TITLES[name]
    return head, [_marked(point, show, interval=interval) for point in trend.points]


def _marked(point: Point, show: Callable[[float], str], *, interval: bool) -> str:
    value = _UNKNOWN if point.value is None else show(point.value)
    ends = "" if point.interval is None or not interval else f" [{', '.join(map(show, point.interval))}]"
    step = point.change is not None and point.change.is_step
    return f"{value}{ends} {_sign(point.change) if step else ' '}"


def _sign(change: Change | None) -> str:
    return "+" if change is not None and change.direction is Direction.MORE else "-"


def _changes(series: Series) -> Iterator[tuple[str, str]]:
    of_tests = [trend for trend in series.trends if trend.measure.field is not None]
    if of_tests and len(series.lines) > 1:
        yield "margin", margin_text(of_tests[0]).en
    for change in steps(series):
        yield "step", f"{_size(change)} since {when(change.then)}{details(change).en}"
    for change in overall(series):
        yield "in all", f"{_size(change)} since the first{details(change).en}"


def details(change: Change) -> Bilingual:
    """Of which tests a step comes, and what is to be known of it."""
    because = f": {escape(change.because)}" if change.because else ""
    remarks = [plain(escape(change.remark))] if change.remark else []
    remarks += [TEXTS["history_latest"]] if change.latest else []
    return Bilingual(
        *(because + (f" ({'; '.join(each[language] for each in remarks)})" if remarks else "") for language in (0, 1))
    )


def margin_text(trend: Trend) -> Bilingual:
    """What a step of tests has to be beyond, and how that is known."""
    known = trend.shown_by
    text = "history_given" if known is None else "history_assumed" if known < ENOUGH else "history_shown"
    return TEXTS[text].filled(margin=factors_text(trend.margin), known=known, enough=ENOUGH)


def factors_text(margin: float) -> str:
    return f"x {significant(1 + margin)} or x {significant(1 / (1 + margin))}"


def steps(series: Series) -> Iterator[Change]:
    return _told_once(point.change for trend in series.trends for point in trend.points)


def overall(series: Series) -> Iterator[Change]:
    """From the first run to the last, where there are more."""
    return _told_once(trend.overall for trend in series.trends if len(trend.points) > 2)


def _told_once(changes: Iterable[Change | None]) -> Iterator[Change]:
    """The steps; one of tests' energy is one of their CPU time too."""
    told = set()
    for change in changes:
        if change is None or not change.is_step:
            continue
        if change.measure.field is not None:
            if change.now in told:
                continue
            told.add(change.now)
        yield change


def _size(change: Change) -> str:
    """How much it changed, and by which interval that is told."""
    of = "test" if isinstance(change.now, ProjectFigures) else "task"
    by = f"paired by {of}" if change.paired else "not paired"
    return f"{_TITLES[change.measure.name]} {size_text(change)}, {by}, in {when(change.now)}"


def size_text(change: Change) -> str:
    """A ratio, or a difference in points, with its interval."""
    relative = change.measure.relative

    def show(value: float) -> str:
        return significant(value) if relative else f"{100 * value:+.1f}"

    size = change.size
    # A headline of tests that ran once: what it is told by is the margin.
    known = size.interval is not None and size.interval[0] < size.interval[1]
    ends = "" if size.interval is None or not known else f" [{', '.join(map(show, size.interval))}]"
    shown = _UNKNOWN if size.value is None else show(size.value)
    return f"x {shown}{ends}" if relative else f"{shown}{ends} points"
