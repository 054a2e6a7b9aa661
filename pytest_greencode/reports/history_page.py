"""Trends of key figures as one HTML page: still pictures, steps marked, English and Japanese, offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from ..economics.expectation import Direction
from ..history.figures import ProjectFigures
from ..history.trend import Change, Point, Series, Trend
from . import charts
from .charts import Mark, Moment
from .economics import by_suite
from .entries import NAME_WIDTH, UNKNOWN, cut
from .history import (
    Unit,
    details,
    margin_of_samples,
    margin_text,
    overall,
    run_name,
    settings_of,
    size_text,
    steps,
    unit,
    when,
)
from .names import distinct
from .templating import asset, content_policy, environment, trusted
from .text import escape, significant
from .texts import LANGUAGES, TEXTS, Bilingual, plain


class Picture(Struct, frozen=True, kw_only=True):
    """A figure that is a still picture only."""

    id: str
    title: Bilingual
    chart: charts.Trend
    parts: tuple[()] = ()


class RunCell(Struct, frozen=True, kw_only=True):
    """A figure of one run; `step` and its tone where the change from the run before is one."""

    text: str
    small: str
    value: float | None
    step: str
    tone: str


class SeriesPart(Struct, frozen=True, kw_only=True):
    anchor: str
    mark: Mark
    of: Bilingual
    figures: tuple[Picture, ...]
    titles: tuple[Bilingual, ...]
    rows: tuple[tuple[str, tuple[RunCell, ...]], ...]


class HistoryPage(Struct, frozen=True, kw_only=True):
    """`sentences`: (tone, text) for each step, the latest first."""

    runs: int
    rules: tuple[Bilingual, ...]
    sentences: tuple[tuple[str, Bilingual], ...]
    series: tuple[SeriesPart, ...]


def render_history(found: Sequence[Series], *, language: str = "en") -> str:
    """The page as text, to be written as UTF-8."""
    style, script = asset("report.css"), asset("report.js")
    page = _page(found)
    return (
        environment()
        .get_template("history.html")
        .render(
            page=page,
            sections=[],
            title=TEXTS["history_title"]._asdict()[language],
            language=language,
            languages=LANGUAGES,
            policy=content_policy(style, [script]),
            style=trusted(style),
            script=trusted(script),
            patterns=[],
        )
    )


def _page(found: Sequence[Series]) -> HistoryPage:
    labels = by_suite(series.last for series in found)
    names = distinct(list(dict.fromkeys(labels.values())), NAME_WIDTH)
    places: dict[tuple[str, str], int] = {}
    parts, sentences = [], []
    for number, series in enumerate(found):
        last = series.last
        place = places.setdefault((last.model, last.settings), len(places))
        name = names[labels[last.suite, last.model, last.settings]]
        mark = Mark(index=place, letter=charts.letter(place), name=name)
        parts.append(_series(series, f"h{number + 1}", mark))
        sentences += list(_sentences(series, mark))
    sentences.sort(key=lambda each: each[0], reverse=True)
    return HistoryPage(
        runs=len({(line.at, line.revision) for series in found for line in series.lines}),
        rules=tuple(_rules(found)),
        sentences=tuple((tone, text) for _, tone, text in sentences),
        series=tuple(parts),
    )


def _rules(found: Sequence[Series]) -> Iterator[Bilingual]:
    kinds = {isinstance(series.last, ProjectFigures) for series in found}
    if False in kinds:
        yield TEXTS["history_rule"].filled(margin=margin_of_samples(found))
    if True in kinds:
        yield TEXTS["history_rule_tests"]


def _sentences(series: Series, mark: Mark) -> Iterator[tuple[str, str, Bilingual]]:
    """(when, tone, text) of each step, and of what all runs come to."""
    for change in steps(series):
        yield change.now.at, _tone(change), _said("history_step", change, mark)
    for change in overall(series):
        yield "", _tone(change), _said("history_all", change, mark)


def _said(key: str, change: Change, mark: Mark) -> Bilingual:
    size = size_text(change)
    words = {
        "name": f"{mark.letter}  {mark.name}",
        "figure": TEXTS[f"measure_{change.measure.name}"],
        "size": plain(size) if change.measure.relative else Bilingual(size, size.replace("points", "ポイント")),
        "by": _by(change),
    }
    if key == "history_step":
        words["run"] = cut(run_name(change.now), 60)
    said = TEXTS[key].filled(**words)
    return Bilingual(*(text + more for text, more in zip(said, details(change), strict=True)))


def _by(change: Change) -> Bilingual:
    if not change.paired:
        return TEXTS["unpaired"]
    return TEXTS["paired_by_test" if isinstance(change.now, ProjectFigures) else "paired"]


def _tone(change: Change) -> str:
    return "good" if (change.direction is Direction.MORE) == change.measure.more_is_better else "bad"


def _series(series: Series, anchor: str, mark: Mark) -> SeriesPart:
    shown = [(trend, unit(trend)) for trend in series.trends]
    return SeriesPart(
        anchor=anchor,
        mark=mark,
        of=_of(series),
        figures=tuple(_figure(trend, found, anchor, mark) for trend, found in shown if _is_drawn(trend)),
        titles=tuple(_title(trend, found.name) for trend, found in shown),
        rows=tuple(
            (cut(run_name(line), 60), tuple(_cell(trend, trend.points[place], found.show) for trend, found in shown))
            for place, line in enumerate(series.lines)
        ),
    )


def _is_drawn(trend: Trend) -> bool:
    """What is known of one run only, nothing in all, or a count that stays the same, needs no picture."""
    values = [point.value for point in trend.points if point.value is not None]
    return len(values) > 1 and any(values) and (trend.measure.name != "passing" or len({*values}) > 1)


def _of(series: Series) -> Bilingual:
    last = series.last
    if isinstance(last, ProjectFigures):
        compared = [trend for trend in series.trends[:1] if len(trend.points) > 1 and trend.measure.field is not None]
        margin = TEXTS["history_margin"].filled(margin=margin_text(compared[0])) if compared else plain("")
        known = ", ".join(escape(f"{name} {value}") for name, value in settings_of(last).items())
        return TEXTS["history_of_tests"].filled(count=last.tests, passing=last.passing, conditions=known, margin=margin)
    k = UNKNOWN if last.attempts is None else str(last.attempts)
    return TEXTS["history_of"].filled(suite=cut(last.suite), k=k, tasks=last.tasks)


def _title(trend: Trend, called: str) -> Bilingual:
    """The column's, with its unit."""
    name = trend.measure.name
    if name in ("pass", "waste"):
        return Bilingual(*(f"{text}, {called}" for text in TEXTS["measure_pass" if name == "pass" else "waste"]))
    if name == "money":
        return Bilingual(*(f"{text} ({cut(called, 12)})" for text in TEXTS["money_per_accepted"]))
    known = {"co2e": "carbon_per_accepted", "energy": "energy_per_accepted", "passing": "measure_passing"}
    return TEXTS[known.get(name) or f"unit_{name}"].filled(unit=called)


def _figure(trend: Trend, found: Unit, anchor: str, mark: Mark) -> Picture:
    moments = tuple(
        Moment(
            label=cut(point.line.at[:10] or when(point.line), 20),
            value=None if point.value is None else point.value / found.size,
            interval=None
            if point.interval is None
            else (point.interval[0] / found.size, point.interval[1] / found.size),
            step=_step(trend, point),
        )
        for point in trend.points
    )
    name = trend.measure.name
    chart = charts.Trend(mark=mark, moments=moments, y_title=_title(trend, found.name))
    return Picture(id=f"{anchor}-{name}", title=TEXTS[f"measure_{name}"], chart=chart)


def _step(trend: Trend, point: Point) -> str:
    """Its size without the interval."""
    change = point.change
    if change is None or not change.is_step or change.size.value is None:
        return ""
    return f"x {significant(change.size.value)}" if trend.measure.relative else f"{100 * change.size.value:+.1f}"


def _cell(trend: Trend, point: Point, show: Callable[[float], str]) -> RunCell:
    step = _step(trend, point)
    return RunCell(
        text=UNKNOWN if point.value is None else show(point.value),
        small="" if point.interval is None else f"[{', '.join(map(show, point.interval))}]",
        value=point.value,
        step=size_text(point.change) if step and point.change is not None else "",
        tone=_tone(point.change) if step and point.change is not None else "",
    )
