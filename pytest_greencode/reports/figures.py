"""The page's figures, made from the account."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..accounts import ConfigurationAccount
from ..estimators import pass_probability
from ..statistics import Interval, share_interval
from . import charts
from .charts import Chart
from .entries import NAME_WIDTH, Entry, cut, headline_part, pass_k, scaled_interval, solved_share
from .extras import ComparisonRow
from .names import distinct
from .text import mass_unit
from .texts import TEXTS, Bilingual, plain

INDICATORS = ("run_time_s", "peak_memory_bytes", "energy_j", "flops")
_PARTS = ("generation", "execution", "harness", "embodied", "embodied_generation", "embodied_execution")


class Figure(Struct, frozen=True, kw_only=True):
    id: str
    title: Bilingual
    chart: Chart
    parts: Mapping[str, Bilingual]  # of a stack, for its legend


def _axis(key: str, unit: str = "") -> Bilingual:
    return TEXTS[key].filled(unit=unit) if unit else TEXTS[key]


def figure_of(anchor: str, name: str, title: str, chart: Chart, parts: Mapping[str, Bilingual] | None = None) -> Figure:
    return Figure(id=f"{anchor}-{name}", title=TEXTS[title], chart=chart, parts=parts or {})


def quality(entries: Sequence[Entry], front: set[str], anchor: str, unit: str, grams: float) -> Figure | None:
    points = []
    for entry in entries:
        cost, quality = entry.account.per_accepted, pass_k(entry.account)
        if cost.co2e_g is None:
            continue
        quality = solved_share(entry.account) if quality is None else quality
        points.append(
            charts.Point(
                mark=entry.mark,
                x=cost.co2e_g / grams,
                y=100 * (quality or 0.0),
                x_interval=scaled_interval(cost.interval, grams),
                y_interval=_pass_interval(entry.account),
            )
        )
    if not points:
        return None
    on_front = [e.mark.index for e in entries if e.anchor in front]
    corners = sorted({(point.x, point.y) for point in points if point.mark.index in on_front})
    chart = charts.Scatter(
        points=tuple(points),
        front=tuple(corners) if len(points) > 1 else (),
        x_title=_axis("axis_carbon", unit),
        y_title=_axis("axis_pass"),
    )
    return figure_of(anchor, "quality", "quality", chart)


def _pass_interval(configuration: ConfigurationAccount) -> Interval | None:
    """Of pass@k in percent, tasks as the sample; only where the headline has an interval too."""
    k = configuration.per_accepted.attempts
    if configuration.per_accepted.interval is None or k not in configuration.retry:
        return None
    solved = [float(pass_probability(row.attempts, row.accepted, k)) for row in configuration.task_rows]
    found = share_interval(solved, [1.0] * len(solved))
    return None if found is None else (100 * found[0], 100 * found[1])


def retries(entries: Sequence[Entry], anchor: str, unit: str, grams: float) -> tuple[Figure, ...]:
    curves = [entry for entry in entries if len(entry.account.retry) > 1]
    if not curves:
        return ()
    costs, passes = [], []
    for entry in curves:
        rows = sorted(entry.account.retry.items())
        known = tuple(
            (float(k), row.co2e_g_per_accepted / grams, scaled_interval(row.interval, grams))
            for k, row in rows
            if row.co2e_g_per_accepted is not None
        )
        if known:
            costs.append(charts.Line(mark=entry.mark, points=known))
        solved = tuple((float(k), 100 * row.pass_probability, None) for k, row in rows)
        passes.append(charts.Line(mark=entry.mark, points=solved))
    k_title = TEXTS["axis_k"]
    figures = []
    if costs:
        cost = charts.Lines(lines=tuple(costs), x_title=k_title, y_title=_axis("axis_carbon", unit))
        figures.append(figure_of(anchor, "retry-cost", "chart_R", cost))
    solved_chart = charts.Lines(lines=tuple(passes), x_title=k_title, y_title=TEXTS["axis_pass"], top=100.0)
    return *figures, figure_of(anchor, "retry-pass", "chart_P", solved_chart)


def grams(entries: Sequence[Entry], anchor: str) -> tuple[Figure, ...]:
    """Parts of the headline where the account has them, and of everything that the attempts of the run cost."""
    of_headline = {entry.anchor: headline_part(entry.account, "parts_g") for entry in entries}
    of_run = {entry.anchor: _spent(entry.account) for entry in entries}
    found = (
        _parts_of("grams", "grams_per_accepted", "axis_carbon", of_headline, entries, anchor),
        _parts_of("spent", "grams_of_run", "axis_carbon_run", of_run, entries, anchor),
    )
    return tuple(filter(None, found))


def _parts_of(
    name: str,
    title: str,
    axis: str,
    parts: Mapping[str, Mapping[str, float] | None],
    entries: Sequence[Entry],
    anchor: str,
) -> Figure | None:
    known = {part for values in parts.values() if values for part, g in values.items() if g and g > 0}
    if not known:
        return None
    unit, grams = mass_unit(sum(max(0.0, g or 0.0) for g in values.values()) for values in parts.values() if values)
    names = {part: TEXTS[f"part_{part}"] for part in _PARTS if part in known}
    stacks = tuple(
        charts.Stack(
            label=plain(entry.label),
            values={part: (values.get(part) or 0.0) / grams for part in names} if values else None,
        )
        for entry in entries
        for values in (parts[entry.anchor],)
    )
    chart = charts.Stacks(stacks=stacks, parts=names, x_title=_axis(axis, unit))
    return figure_of(anchor, name, title, chart, names)


def _spent(configuration: ConfigurationAccount) -> Mapping[str, float] | None:
    """Grams of all attempts; None where the solution's part is not known."""
    carbon = configuration.co2e_g
    if carbon.generation is None or carbon.execution is None:
        return None
    beside = {"harness": carbon.harness, "embodied": carbon.embodied}
    return {"generation": carbon.generation, "execution": carbon.execution} | {
        name: g for name, g in beside.items() if g is not None
    }


def waste(entries: Sequence[Entry], anchor: str) -> Figure | None:
    names = {name: TEXTS[f"part_{name}"] for name in ("useful", "retried", "unsolved")}
    stacks = []
    for entry in entries:
        waste, unsolved = entry.account.waste_share, entry.account.unsolved_share
        values = None
        if waste is not None and unsolved is not None:
            shares = (1 - waste, waste - unsolved, unsolved)
            values = {name: max(0.0, 100 * share) for name, share in zip(names, shares, strict=True)}
        stacks.append(charts.Stack(label=plain(entry.label), values=values))
    if not any(stack.values for stack in stacks):
        return None
    chart = charts.Stacks(stacks=tuple(stacks), parts=names, x_title=TEXTS["axis_share"], top=100.0)
    return figure_of(anchor, "waste", "waste_title", chart, names)


def pair_of(row: ComparisonRow, entries: Sequence[Entry]) -> str:
    letters = {entry.key: entry.mark.letter for entry in entries}
    return " / ".join(letters.get(key) or cut(key.model, NAME_WIDTH) for key in (row.first, row.second))


def comparisons(rows: Sequence[ComparisonRow], entries: Sequence[Entry], anchor: str) -> Figure | None:
    if not any(row.ratio for row in rows):
        return None
    marks = {entry.key: entry.mark for entry in entries}
    ranges = tuple(
        charts.Range(
            label=plain(pair_of(row, entries)), value=row.ratio, interval=row.interval, mark=marks.get(row.first)
        )
        for row in rows
    )
    return figure_of(anchor, "comparisons", "comparisons", charts.Forest(ranges=ranges, x_title=TEXTS["axis_ratio"]))


def heat(entries: Sequence[Entry], anchor: str) -> Figure | None:
    shares = [{row.task_id: row.accepted / row.attempts for row in e.account.task_rows} for e in entries]
    tasks = list(dict.fromkeys(task for each in shares for task in each))
    if not tasks:
        return None

    def hardness(task: str) -> float:
        known = [each[task] for each in shares if task in each]
        return -math.fsum(known) / len(known)

    tasks.sort(key=hardness)
    lanes = tuple(
        charts.Lane(mark=entry.mark, shares=tuple(each.get(task) for task in tasks))
        for entry, each in zip(entries, shares, strict=True)
    )
    names = distinct([cut(task, 80) for task in tasks], 80)
    chart = charts.Lanes(tasks=tuple(names[cut(task, 80)] for task in tasks), lanes=lanes, x_title=TEXTS["axis_tasks"])
    return figure_of(anchor, "heat", "heat_title", chart)


def green_capacity(entries: Sequence[Entry], anchor: str) -> Figure | None:
    ranges = []
    for entry in entries:
        found = entry.account.green_capacity
        for name in used_indicators(entries) if found is not None else ():
            assert found is not None
            mean = found.log_ratio[name]
            ends = mean.interval
            interval = (math.exp(ends[0]), math.exp(ends[1])) if ends and max(map(abs, ends)) < 100 else None
            label = Bilingual(*(f"{entry.mark.letter}  {text}" for text in TEXTS[f"indicator_{name}"]))
            ranges.append(charts.Range(label=label, value=mean.ratio, interval=interval, mark=entry.mark))
    if not any(each.value for each in ranges):
        return None
    chart = charts.Forest(ranges=tuple(ranges), x_title=TEXTS["axis_green"])
    return figure_of(anchor, "green", "green_capacity", chart)


def used_indicators(entries: Sequence[Entry]) -> tuple[str, ...]:
    known = [capacity for entry in entries if (capacity := entry.account.green_capacity) is not None]
    return tuple(
        name
        for name in INDICATORS
        if known and (name != "flops" or any(capacity.log_ratio[name].tasks for capacity in known))
    )
