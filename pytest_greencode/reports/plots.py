"""The charts as figures of plotly.js: plain JSON values, for which nothing has to be installed.

Colours are `var(--name)` of the page's style sheet; its script puts in what they are at the moment. Names are escaped
twice: plotly takes some HTML in every text.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .charts import (
    COLOURS,
    SYMBOLS,
    BreakEven,
    Chart,
    Forest,
    Lanes,
    Lines,
    Mark,
    Scatter,
    Stacks,
    is_log,
    scatter_domain,
)
from .text import shorten, significant
from .texts import TEXTS, Bilingual

# Part -> colour of the style sheet, and plotly's name of its pattern. The page's own patterns follow the same table.
PARTS: Mapping[str, tuple[str, str]] = {
    "generation": ("--p-blue", ""),
    "execution": ("--p-orange", "/"),
    "harness": ("--p-grey", "."),
    "embodied": ("--p-sky", "-"),
    "embodied_generation": ("--p-sky", "-"),
    "embodied_execution": ("--p-yellow", "|"),
    "useful": ("--p-green", ""),
    "retried": ("--p-orange", "/"),
    "unsolved": ("--p-red", "x"),
    "solutions": ("--p-green", ""),
    "repetitions": ("--p-sky", "-"),
    "others": ("--p-red", "x"),
    "idle_reserved": ("--p-yellow", "|"),
    "idle_rest": ("--p-pale", ""),
    "missing": ("--p-grey", "\\"),
    "passed": ("--p-green", ""),
    "failed": ("--p-red", "x"),
    "error": ("--p-orange", "/"),
    "rerun": ("--p-yellow", "|"),
    "xfailed": ("--p-sky", "\\"),
    "xpassed": ("--p-blue", "."),
    "skipped": ("--p-pale", ""),
    "interrupted": ("--p-grey", "\\"),
    "background": ("--p-blue", "/"),
    "setup": ("--p-sky", "-"),
    "call": ("--p-blue", ""),
    "teardown": ("--p-yellow", "|"),
}
_DASHES = ("solid", "dash", "dot", "dashdot")
_INK, _SOFT, _RULE, _PAPER = "var(--ink)", "var(--soft)", "var(--rule)", "var(--paper)"

Figure = dict[str, Any]


def figure(chart: Chart, language: str) -> Figure:
    """`data` and `layout` for Plotly.newPlot, texts in the language. Raises nothing; no number in it is NaN."""
    if isinstance(chart, Scatter):
        return _scatter(chart, language)
    if isinstance(chart, Lines):
        return _lines(chart, language)
    if isinstance(chart, Stacks):
        return _stacks(chart, language)
    if isinstance(chart, Forest):
        return _forest(chart, language)
    if isinstance(chart, BreakEven):
        return _break_even(chart, language)
    return _lanes(chart, language)


def _words(text: Bilingual | str, language: str) -> str:
    return html.escape(text if isinstance(text, str) else text._asdict()[language], quote=False)


def _colour(mark: Mark) -> str:
    return f"var(--s{mark.index % COLOURS})"


def _name(mark: Mark) -> str:
    return html.escape(f"{mark.letter}  {mark.name}", quote=False)


def _marker(mark: Mark, size: int) -> dict[str, Any]:
    outline = {"color": _INK, "width": 1}
    return {"color": _colour(mark), "symbol": SYMBOLS[mark.index % len(SYMBOLS)], "size": size, "line": outline}


def _error(value: float, interval: Sequence[float] | None) -> tuple[float, float]:
    """How far the interval reaches above and below."""
    return (max(0.0, interval[1] - value), max(0.0, value - interval[0])) if interval else (0.0, 0.0)


def _axis(title: Bilingual, language: str, **more: Any) -> dict[str, Any]:
    return {
        "title": {"text": _words(title, language), "standoff": 10, "font": {"size": 13}},
        "gridcolor": _RULE,
        "linecolor": _SOFT,
        "zeroline": False,
        "automargin": True,
        **more,
    }


def _layout(x: dict[str, Any], y: dict[str, Any], height: int, **more: Any) -> dict[str, Any]:
    return {
        "xaxis": x,
        "yaxis": y,
        "height": height,
        "font": {"color": _INK, "size": 13},
        "paper_bgcolor": _PAPER,
        "plot_bgcolor": _PAPER,
        "margin": {"l": 56, "r": 16, "t": 24, "b": 48},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": _PAPER, "bordercolor": _SOFT, "font": {"color": _INK}},
        "legend": {
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
            "xanchor": "left",
            "traceorder": "normal",
        },
        **more,
    }


def _log(values: Sequence[float]) -> str:
    return "log" if is_log(values) else "linear"


def _places(count: int) -> dict[str, Any]:
    """An axis of names, the first on top, with room for whole marks."""
    return {"type": "category", "range": [count - 0.5, -0.5], "automargin": True, "gridcolor": _RULE}


def _scatter(chart: Scatter, language: str) -> Figure:
    data: list[dict[str, Any]] = []
    low, high, log = scatter_domain(chart)
    if chart.front:
        # From the axis up to the first point, and on from the last to the edge: what nothing here is better than.
        (first, _), (_, last) = chart.front[0], chart.front[-1]
        xs, ys = zip((first, 0.0), *chart.front, (high, last), strict=True)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": _words(TEXTS["front"], language),
                "x": list(xs),
                "y": list(ys),
                "line": {"shape": "hv", "dash": "dash", "color": _SOFT, "width": 1.5},
                "hoverinfo": "skip",
            }
        )
    for point in chart.points:
        (right, left), (up, down) = _error(point.x, point.x_interval), _error(point.y, point.y_interval)
        bars = {"type": "data", "symmetric": False, "color": _colour(point.mark), "thickness": 1.2}
        data.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": _name(point.mark),
                "text": [point.mark.letter],
                "textposition": "top right",
                "cliponaxis": False,
                "x": [point.x],
                "y": [point.y],
                "error_x": {**bars, "array": [right], "arrayminus": [left]},
                "error_y": {**bars, "array": [up], "arrayminus": [down]},
                "marker": _marker(point.mark, 12),
                "hovertemplate": "%{x:.3g}<br>%{y:.1f} %",
            }
        )
    ends = [math.log10(low), math.log10(high)] if log else [low, high]
    x = _axis(chart.x_title, language, type="log" if log else "linear", range=ends)
    return {"data": data, "layout": _layout(x, _axis(chart.y_title, language, range=[0, 102]), 460)}


def _lines(chart: Lines, language: str) -> Figure:
    data: list[dict[str, Any]] = []
    for line in chart.lines:
        errors = [_error(value, interval) for _, value, interval in line.points]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": _name(line.mark),
                "x": [k for k, _, _ in line.points],
                "y": [value for _, value, _ in line.points],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [up for up, _ in errors],
                    "arrayminus": [down for _, down in errors],
                    "color": _colour(line.mark),
                    "thickness": 1,
                },
                "line": {"color": _colour(line.mark), "dash": _DASHES[line.mark.index % len(_DASHES)], "width": 2},
                "marker": _marker(line.mark, 8),
                "hovertemplate": "k = %{x}<br>%{y:.3g}",
            }
        )
    ks = [k for line in chart.lines for k, _, _ in line.points]
    x = _axis(chart.x_title, language, type="log" if max(ks) > 10 else "linear")
    scale = _log([value for line in chart.lines for _, value, _ in line.points])
    above: dict[str, Any] = {"range": [0, chart.top]} if chart.top is not None else {"rangemode": "tozero"}
    y = _axis(chart.y_title, language, **({"type": "log"} if scale == "log" and chart.top is None else above))
    return {"data": data, "layout": _layout(x, y, 400)}


def _stacks(chart: Stacks, language: str) -> Figure:
    known = [stack for stack in chart.stacks if stack.values is not None]
    labels = [_words(shorten(stack.label._asdict()[language], 28), language) for stack in known]
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "name": _words(title, language),
            "y": labels,
            "x": [max(0.0, (stack.values or {}).get(part, 0.0)) for stack in known],
            "marker": {
                "color": f"var({PARTS[part][0]})",
                "line": {"color": _INK, "width": 0.5},
                "pattern": {"shape": PARTS[part][1], "fgcolor": _PAPER, "fillmode": "overlay", "size": 7},
            },
            "hovertemplate": "%{x:.3g}",
        }
        for part, title in chart.parts.items()
    ]
    y = _places(len(known))
    layout = _layout(_axis(chart.x_title, language), y, 150 + 44 * len(known), barmode="stack")
    return {"data": data, "layout": layout}


def _forest(chart: Forest, language: str) -> Figure:
    known = [each for each in chart.ranges if each.value is not None and each.value > 0]
    data: list[dict[str, Any]] = []
    for each in known:
        assert each.value is not None
        right, left = _error(each.value, each.interval)
        mark = each.mark or Mark(index=0, letter="", name="")
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": _words(each.label, language),
                "showlegend": False,
                "x": [each.value],
                "y": [_words(each.label, language)],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [right],
                    "arrayminus": [left],
                    "color": _colour(mark),
                },
                "marker": _marker(mark, 10),
                "hovertemplate": "%{x:.3g}",
            }
        )
    one = {"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": _INK, "width": 1}}
    y = _places(len(known))
    layout = _layout(_axis(chart.x_title, language, type="log"), y, 110 + 34 * len(known), shapes=[one])
    return {"data": data, "layout": layout}


def _break_even(chart: BreakEven, language: str) -> Figure:
    mark = Mark(index=0, letter="", name="")
    data: list[dict[str, Any]] = []
    if band := chart.band():
        xs, ys = zip(*band, strict=True)
        shade = {"fill": "toself", "fillcolor": _colour(mark), "opacity": 0.18, "line": {"width": 0}}
        data.append({"type": "scatter", "mode": "lines", "x": list(xs), "y": list(ys), "hoverinfo": "skip", **shade})
    xs, ys = zip(*_dotted(chart), strict=True)
    data.append(
        {
            "type": "scatter",
            "mode": "lines",
            "x": list(xs),
            "y": list(ys),
            "line": {"color": _colour(mark), "width": 2},
            "hovertemplate": "%{x:.3g}<br>%{y:.3g}<extra></extra>",
        }
    )
    if chart.at is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [chart.at],
                "y": [0.0],
                "text": [significant(chart.at)],
                "textposition": "bottom right",
                "marker": _marker(mark, 10),
                "hovertemplate": "%{x:.3g}<extra></extra>",
            }
        )
    none = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": _SOFT, "width": 1}}
    x = _axis(chart.x_title, language, range=[0, chart.until])
    y = _axis(chart.y_title, language, range=list(chart.reach()))
    return {"data": data, "layout": _layout(x, y, 340, shapes=[none], showlegend=False)}


def _dotted(chart: BreakEven, steps: int = 48) -> list[tuple[float, float]]:
    """The estimate's line in so many steps, so that each point of it can be asked for."""
    return [(chart.until * i / steps, chart.until * i / steps * chart.saved - chart.one_off) for i in range(steps + 1)]


def _lanes(chart: Lanes, language: str) -> Figure:
    data = [
        {
            "type": "heatmap",
            "x": [html.escape(task, quote=False) for task in chart.tasks],
            "y": [lane.mark.letter for lane in chart.lanes],
            "z": [[None if share is None else round(100 * share, 2) for share in lane.shares] for lane in chart.lanes],
            "hovertemplate": "%{x}<br>%{z:.1f} %<extra></extra>",
            "zmin": 0,
            "zmax": 100,
            "xgap": 1 if len(chart.tasks) <= 200 else 0,
            "ygap": 3,
            "colorscale": [[0, "var(--heat-0)"], [1, "var(--heat-4)"]],
            "colorbar": {"title": {"text": _words(TEXTS["share"], language)}, "thickness": 12},
        }
    ]
    x = _axis(chart.x_title, language, type="category", showticklabels=False, showgrid=False, ticks="")
    y = _places(len(chart.lanes))
    return {"data": data, "layout": _layout(x, y, 130 + 40 * len(chart.lanes))}


def finite(value: object) -> object:
    """The figure with None for every number that JSON has no word for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
