"""Charts as data, and as still SVG pictures that need no library and no script.

A chart is a frozen value with its numbers in the units that its axes name. `svg` draws it at a width; `plots.py` hands
the same values to the library with which people explore them. Colours are classes of the page's style sheet (`s0` to
`s6` for configurations, `part-...` for parts), so that dark mode and print are its business; shapes, dashes, patterns
and letters say the same as the colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from markupsafe import Markup, escape
from msgspec import Struct

from ..statistics import Interval
from .text import columns, shorten, significant
from .texts import TEXTS, Bilingual

FULL, WIDE, HALF, NARROW = 1050, 720, 505, 340  # of the page's column, most of it, half of it, a phone
COLOURS = 7  # s0 to s6 in the style sheet
_FONT = 12
_CHARACTER = 6.6  # mean width of a character of the font, with some reserve
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
_LOG_FROM = 20.0  # spread beyond which an axis is logarithmic
_MOST_LETTERS = 26
_MOST_NAMED = 5  # configurations in one picture; of more, letters say which is which


class Mark(Struct, frozen=True, kw_only=True):
    """How one configuration looks everywhere: its place, its letter, and its escaped short name."""

    index: int
    letter: str
    name: str

    @property
    def css(self) -> str:
        return f"s{self.index % COLOURS}"

    @property
    def dash(self) -> str:
        return _DASHES[self.index % len(_DASHES)]


def letter(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    text = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, _MOST_LETTERS)
        text = chr(ord("A") + rest) + text
    return text


class Point(Struct, frozen=True, kw_only=True):
    mark: Mark
    x: float
    y: float
    x_interval: Interval | None = None
    y_interval: Interval | None = None


class Scatter(Struct, frozen=True, kw_only=True):
    """Points with intervals; `front` is the Pareto front for a small x and a large y. y is in percent."""

    points: tuple[Point, ...]
    front: tuple[tuple[float, float], ...]
    x_title: Bilingual
    y_title: Bilingual


class Line(Struct, frozen=True, kw_only=True):
    mark: Mark
    points: tuple[tuple[float, float, Interval | None], ...]


class Lines(Struct, frozen=True, kw_only=True):
    """y over k, which is on a logarithmic axis where it goes beyond 10. `top`: a fixed upper end of y."""

    lines: tuple[Line, ...]
    x_title: Bilingual
    y_title: Bilingual
    top: float | None = None


class Stack(Struct, frozen=True, kw_only=True):
    """One bar. `values` in the order of the chart's parts; None where the whole is not known."""

    label: Bilingual
    values: Mapping[str, float] | None


class Stacks(Struct, frozen=True, kw_only=True):
    """Horizontal bars of parts. `parts` names those that occur, in the order in which they are stacked."""

    stacks: tuple[Stack, ...]
    parts: Mapping[str, Bilingual]
    x_title: Bilingual
    top: float | None = None


class Range(Struct, frozen=True, kw_only=True):
    label: Bilingual
    value: float | None
    interval: Interval | None
    mark: Mark | None = None


class Forest(Struct, frozen=True, kw_only=True):
    """Ratios with their intervals on a logarithmic axis around 1."""

    ranges: tuple[Range, ...]
    x_title: Bilingual


class Lane(Struct, frozen=True, kw_only=True):
    mark: Mark
    shares: tuple[float | None, ...]


class Lanes(Struct, frozen=True, kw_only=True):
    """The share of accepted attempts, 0 to 1, of each task (None: no attempt) in a lane per configuration."""

    tasks: tuple[str, ...]
    lanes: tuple[Lane, ...]
    x_title: Bilingual


class BreakEven(Struct, frozen=True, kw_only=True):
    """What a change has saved in all, less its one-off cost: x * saved - one_off, for x up to `until`.

    `saved` is per unit of x, with its interval; `at` is where nothing is left to pay back, None for never.
    """

    one_off: float
    saved: float
    saved_interval: Interval | None
    until: float
    at: float | None
    x_title: Bilingual
    y_title: Bilingual

    def reach(self) -> Interval:
        """Of the y axis: the estimate's whole line, and the interval's as far as they leave it room."""
        end = self.until * self.saved - self.one_off
        ends = [self.until * each - self.one_off for each in self.saved_interval or ()]
        low, high = min(-self.one_off, end), max(0.35 * self.one_off, end)
        span = high - low
        return max(min([low, *ends]), low - span) - 0.06 * span, min(max([high, *ends]), high + span) + 0.06 * span

    def line(self, saved: float) -> list[tuple[float, float]]:
        """(x, y) of the line with so much saved, as far as it is within reach."""
        low, high = self.reach()
        end = self.until
        for limit in (low, high):
            if saved and 0 < (x := (limit + self.one_off) / saved) < end:
                end = x
        return [(0.0, -self.one_off), (end, end * saved - self.one_off)]

    def band(self) -> list[tuple[float, float]]:
        """The corners between the interval's two lines."""
        if self.saved_interval is None:
            return []
        low, high = self.reach()
        lower, upper = (self.line(each) for each in self.saved_interval)
        # The estimate's line is within reach: the better one can leave it at the top only, the worse at the bottom.
        above = [(self.until, high)] if upper[-1][0] < self.until else []
        below = [(self.until, low)] if lower[-1][0] < self.until else []
        return [*upper, *above, *below, *reversed(lower)]


class Moment(Struct, frozen=True, kw_only=True):
    """One run of a trend; `step` says how large the step to it was, empty where there was none."""

    label: str
    value: float | None
    interval: Interval | None
    step: str = ""


class Trend(Struct, frozen=True, kw_only=True):
    """A figure over runs, which stand at equal distances in their order. Its axis need not begin at 0."""

    mark: Mark
    moments: tuple[Moment, ...]
    y_title: Bilingual


Chart = Scatter | Lines | Stacks | Forest | Lanes | BreakEven


def svg(chart: Chart | Trend, width: int, labelled_by: str) -> Markup:
    """The picture, `width` units wide; `labelled_by` is the id of what describes it."""
    if isinstance(chart, Scatter):
        height, parts = _scatter(chart, width)
    elif isinstance(chart, Lines):
        height, parts = _lines(chart, width)
    elif isinstance(chart, Stacks):
        height, parts = _stacks(chart, width)
    elif isinstance(chart, Forest):
        height, parts = _forest(chart, width)
    elif isinstance(chart, BreakEven):
        height, parts = _break_even(chart, width)
    elif isinstance(chart, Trend):
        height, parts = _trend(chart, width)
    else:
        height, parts = _lanes(chart, width)
    return _picture(width, height, parts, f'role="img" aria-labelledby="{escape(labelled_by)}"')


def _picture(width: float, height: float, parts: Iterable[str], more: str = 'aria-hidden="true"') -> Markup:
    """The one place where strings become markup: numbers and classes are ours, texts went through `_text`."""
    size = f'viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" height="{_n(height)}"'
    return Markup(f"<svg {size} {more}>{''.join(parts)}</svg>")  # noqa: S704


def strip(value: float | None, interval: Interval | None, domain: Interval, mark: Mark, width: int = 130) -> Markup:
    """A value and its interval on a line without an axis, for tables; the same domain makes rows comparable."""
    axis = _Axis(*domain, 6, width - 6, log=is_log([*domain]))
    middle = 11.0
    parts = [f'<line x1="0" x2="{width}" y1="{middle}" y2="{middle}" class="rule"/>']
    if interval is not None:
        low, high = (axis.at(end) for end in interval)
        parts.append(_bar(low, high, middle, mark.css))
    if value is not None:
        parts.append(shape(mark, axis.at(value), middle, 5))
    return _picture(width, 22, parts)


def symbol(mark: Mark) -> Markup:
    """The mark of a configuration, for legends and tables."""
    return _picture(18, 18, [shape(mark, 9, 9, 6)])


def swatch(part: str) -> Markup:
    """The look of a part, for legends."""
    return _picture(18, 18, [f'<rect x="1" y="2" width="16" height="14" {_fill(part)}/>'])


def domain_of(values: Iterable[float]) -> Interval:
    """A domain with room around the values; (0, 1) without any."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    if is_log(known):
        return _around(low, high)
    low, high = min(0.0, low), max(0.0, high)
    return (low - 0.04 * (high - low) if low < 0 else 0.0), (high + 0.04 * (high - low)) or 1.0


def _around(low: float, high: float) -> Interval:
    return low / 1.15, high * 1.15


# -- shapes ---------------------------------------------------------------------------------------------------------

# Corners in units of the radius; the circle apart. Areas are about the same.
_POLYGONS: tuple[tuple[tuple[float, float], ...], ...] = (
    (),
    ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
    ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
    ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
    (
        *((-0.4, -1.15), (0.4, -1.15), (0.4, -0.4), (1.15, -0.4), (1.15, 0.4), (0.4, 0.4)),
        *((0.4, 1.15), (-0.4, 1.15), (-0.4, 0.4), (-1.15, 0.4), (-1.15, -0.4), (-0.4, -0.4)),
    ),
    tuple((1.1 * math.cos(math.pi * corner / 3), 1.1 * math.sin(math.pi * corner / 3)) for corner in range(6)),
    tuple(
        (radius * math.sin(math.pi * corner / 5), -radius * math.cos(math.pi * corner / 5))
        for corner in range(10)
        for radius in ((1.3 if corner % 2 == 0 else 0.6),)
    ),
)
# What plotly calls them, in the same order.
SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "hexagon", "star")


def shape(mark: Mark, x: float, y: float, radius: float) -> str:
    corners = _POLYGONS[mark.index % len(_POLYGONS)]
    if not corners:
        return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="mark {mark.css}"/>'
    points = " ".join(f"{_n(x + radius * dx)},{_n(y + radius * dy)}" for dx, dy in corners)
    return f'<polygon points="{points}" class="mark {mark.css}"/>'


def _bar(low: float, high: float, y: float, css: str) -> str:
    """A horizontal interval with ends."""
    d = f"M{_n(low)} {_n(y)}H{_n(high)}M{_n(low)} {_n(y - 4)}v8M{_n(high)} {_n(y - 4)}v8"
    return f'<path d="{d}" class="range {css}"/>'


def _fill(part: str) -> str:
    """A part's fill: its class, and its pattern, which the page defines once."""
    return f'class="part part-{part}" fill="url(#pattern-{part})"'


def _n(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: Bilingual | str, anchor: str = "start", css: str = "", more: str = "") -> str:
    texts = {"": text} if isinstance(text, str) else ({"": text.en} if text.en == text.ja else text._asdict())
    return "".join(
        f'<text x="{_n(x)}" y="{_n(y)}"'
        + (f' text-anchor="{anchor}"' if anchor != "start" else "")
        + (f' class="{css}"' if css else "")
        + (f' lang="{language}"' if language else "")
        + f"{more}>{escape(words)}</text>"
        for language, words in texts.items()
    )


def _width_of(text: str) -> float:
    return columns(text) * _CHARACTER


# -- axes -----------------------------------------------------------------------------------------------------------


class _Axis(Struct, frozen=True):
    """From values `low` to `high` to coordinates `start` to `end`; what lies outside ends at the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        found = _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)
        return found or [self.low, self.high]


def is_log(values: Sequence[float]) -> bool:
    """Whether values spread so far that their axis is logarithmic."""
    # What is 1e12 times less than another figure is no figure to make an axis for.
    return bool(values) and min(values) > 0 and 1e-12 < min(values) / max(values) < 1 / _LOG_FROM


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, about `most` of them at most."""
    span = high - low
    if not (span > 1e-300 and math.isfinite(span)):  # of less, a power of ten would be 0
        return [low]
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * power for step in (1, 2, 5, 10, 20) if span / (step * power) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.6g}") for number in range(first, last + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    if high / low < 5:
        return _linear_ticks(low, high, most)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        found = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
        found = [float(f"{tick:.6g}") for tick in found if low * 0.999 <= tick <= high * 1.001]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]


def _tick(value: float) -> str:
    return f"{value:.6g}".replace("e-0", "e-").replace("e+0", "e")


def _x_axis(axis: _Axis, top: float, bottom: float, title: Bilingual, ticks: Sequence[float] | None = None) -> str:
    if ticks is None:
        ticks = axis.ticks(max(2, int((axis.end - axis.start) / 50)))
    parts = []
    for tick in ticks:
        x = axis.at(tick)
        parts.append(f'<line x1="{_n(x)}" x2="{_n(x)}" y1="{_n(top)}" y2="{_n(bottom)}" class="grid"/>')
        parts.append(_text(x, bottom + 16, _tick(tick), "middle", "tick"))
    if axis.log:
        title = Bilingual(*(f"{text} ({TEXTS['log_scale']._asdict()[key]})" for key, text in title._asdict().items()))
    parts.append(f'<line x1="{_n(axis.start)}" x2="{_n(axis.end)}" y1="{_n(bottom)}" y2="{_n(bottom)}" class="axis"/>')
    parts.append(_text(axis.end, bottom + 34, title, "end", "title"))
    return "".join(parts)


def _y_axis(axis: _Axis, left: float, right: float, title: Bilingual, above: float = 12) -> str:
    """Ticks, and the title above the axis, where it can be read without turning one's head."""
    parts = []
    for tick in axis.ticks(6):
        y = axis.at(tick)
        parts.append(f'<line x1="{_n(left)}" x2="{_n(right)}" y1="{_n(y)}" y2="{_n(y)}" class="grid"/>')
        parts.append(_text(left - 8, y + 4, _tick(tick), "end", "tick"))
    if axis.log:
        title = Bilingual(*(f"{text} ({TEXTS['log_scale']._asdict()[key]})" for key, text in title._asdict().items()))
    parts.append(_text(0, axis.end - above, title, "start", "title"))
    return "".join(parts)


def _cost_domain(values: Sequence[float], intervals: Iterable[Interval | None]) -> tuple[float, float, bool]:
    """(low, high, logarithmic) that holds all values, and intervals as far as they leave the values room."""
    log = is_log(values)
    ends = [end for interval in intervals if interval for end in interval if math.isfinite(end)]
    if log:
        least, most = min(values) / 3, max(values) * 3
    else:
        reach = max(map(abs, values), default=1.0)
        least, most = min(0.0, *values, 0.0), 2 * reach or 1.0
    shown = [*values, *(min(max(end, least), most) for end in ends)]
    # The values alone say whether it is logarithmic: with their intervals they may spread farther than that allows.
    return (*(_around(min(shown), max(shown)) if log else domain_of(shown)), log)


# -- charts ---------------------------------------------------------------------------------------------------------


def scatter_domain(chart: Scatter) -> tuple[float, float, bool]:
    """(low, high, logarithmic) of the x axis."""
    low, high, log = _cost_domain([p.x for p in chart.points], [p.x_interval for p in chart.points])
    if log:  # domain_of looks at the values' own spread
        low, high = min(low, *(p.x / 1.3 for p in chart.points)), max(high, *(p.x * 1.3 for p in chart.points))
    return low, high, log


def _scatter(chart: Scatter, width: int) -> tuple[float, list[str]]:
    left, right, top = 40, width - 14, 34
    bottom = top + (300 if width > NARROW else 240)
    low, high, log = scatter_domain(chart)
    x, y = _Axis(low, high, left, right, log=log), _Axis(0, 100, bottom, top)
    parts = [_y_axis(y, left, right, chart.y_title), _x_axis(x, top, bottom, chart.x_title)]
    if chart.front:
        d = f"M{_n(x.at(chart.front[0][0]))} {_n(bottom)}"
        for cost, quality in chart.front:
            d += f"H{_n(x.at(cost))}V{_n(y.at(quality))}"
        parts.append(f'<path d="{d}H{right}" class="front"/>')
    for point in chart.points:
        px, py = x.at(point.x), y.at(point.y)
        if point.x_interval:
            parts.append(_bar(x.at(point.x_interval[0]), x.at(point.x_interval[1]), py, point.mark.css))
        if point.y_interval:
            ends = [y.at(end) for end in point.y_interval]
            d = f"M{_n(px)} {_n(ends[0])}V{_n(ends[1])}M{_n(px - 4)} {_n(ends[0])}h8M{_n(px - 4)} {_n(ends[1])}h8"
            parts.append(f'<path d="{d}" class="range {point.mark.css}"/>')
    parts += [shape(point.mark, x.at(point.x), y.at(point.y), 6) for point in chart.points]
    taken: list[tuple[float, float, float, float]] = []
    named = width > NARROW and len(chart.points) <= _MOST_NAMED
    for point in chart.points:
        parts.append(_label(point, x.at(point.x), y.at(point.y), named, right, top, bottom, taken))
    return bottom + 42, parts


def _label(
    point: Point,
    x: float,
    y: float,
    named: bool,
    right: float,
    top: float,
    bottom: float,
    taken: list[tuple[float, float, float, float]],
) -> str:
    """The point's letter, `named` with its name too; beside it, where nothing else is written."""
    name = f"{point.mark.letter}  {shorten(point.mark.name, 28)}" if named else point.mark.letter
    long = _width_of(name)
    for step in range(12):
        for side in (1, -1):
            for rise in (-1, 1):
                begin = x + 10 if side > 0 else x - 10 - long
                base = y + rise * (7 + 13 * step) + (4 if rise > 0 else -1) + (6 if rise > 0 else 0)
                box = (begin, base - 11, begin + long, base + 3)
                inside = box[0] >= 42 and box[2] <= right and box[1] >= top and box[3] <= bottom
                if inside and not any(_meet(box, other) for other in taken):
                    taken.append(box)
                    return _text(begin, base, name, css="name")
    return _text(x + 10, y - 8, point.mark.letter, css="name")


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _lines(chart: Lines, width: int) -> tuple[float, list[str]]:
    left, right, top = 46, width - 26, 34
    bottom = top + 220
    ks = sorted({x for line in chart.lines for x, _, _ in line.points})
    values = [value for line in chart.lines for _, value, _ in line.points]
    intervals = [interval for line in chart.lines for _, _, interval in line.points]
    low, high, log = (0.0, chart.top, False) if chart.top is not None else _cost_domain(values, intervals)
    x = _Axis(ks[0], ks[-1], left, right, log=ks[-1] > 10)
    y = _Axis(low, high, bottom, top, log=log)
    shown: list[float] = []
    for k in ks:  # every k is a whole number and has its tick where there is room
        if not shown or x.at(k) - x.at(shown[-1]) >= 24:
            shown.append(k)
    parts = [_y_axis(y, left, right, chart.y_title), _x_axis(x, bottom, bottom, chart.x_title, shown)]
    for line in chart.lines if len(chart.lines) <= _MOST_NAMED else ():  # more would be a mud
        known = [(k, interval) for k, _, interval in line.points if interval is not None]
        if len(known) > 1:
            upper = [f"{_n(x.at(k))} {_n(y.at(interval[1]))}" for k, interval in known]
            lower = [f"{_n(x.at(k))} {_n(y.at(interval[0]))}" for k, interval in reversed(known)]
            parts.append(f'<path d="M{"L".join([*upper, *lower])}Z" class="band {line.mark.css}"/>')
    ends = []
    for line in chart.lines:
        path = "L".join(f"{_n(x.at(k))} {_n(y.at(value))}" for k, value, _ in line.points)
        dash = f' stroke-dasharray="{line.mark.dash}"' if line.mark.dash else ""
        parts.append(f'<path d="M{path}" class="line {line.mark.css}"{dash}/>')
        parts += [shape(line.mark, x.at(k), y.at(value), 4) for k, value, _ in line.points]
        last = line.points[-1]
        ends.append((y.at(last[1]), x.at(last[0]), line.mark.letter))
    ends.sort()
    heights = _apart([height for height, _, _ in ends], top, bottom)
    parts += [
        _text(end + 9, height + 4, name, css="name") for height, (_, end, name) in zip(heights, ends, strict=True)
    ]
    return bottom + 42, parts


def _break_even(chart: BreakEven, width: int) -> tuple[float, list[str]]:
    left, right, top = 52, width - 18, 34
    bottom = top + 200
    low, high = chart.reach()
    x, y = _Axis(0.0, chart.until, left, right), _Axis(low, high, bottom, top)
    parts = [_y_axis(y, left, right, chart.y_title), _x_axis(x, bottom, bottom, chart.x_title)]

    def path(corners: Iterable[tuple[float, float]]) -> str:
        return "L".join(f"{_n(x.at(a))} {_n(y.at(b))}" for a, b in corners)

    if band := chart.band():
        parts.append(f'<path d="M{path(band)}Z" class="band s0"/>')
    zero = _n(y.at(0.0))
    parts.append(f'<line x1="{left}" x2="{_n(right)}" y1="{zero}" y2="{zero}" class="one"/>')
    parts.append(f'<path d="M{path(chart.line(chart.saved))}" class="line s0"/>')
    if chart.at is not None:
        parts.append(shape(Mark(index=0, letter="", name=""), x.at(chart.at), y.at(0.0), 5))
        parts.append(_text(x.at(chart.at) + 8, y.at(0.0) + 17, significant(chart.at), css="name"))
    return bottom + 42, parts


def _trend(chart: Trend, width: int) -> tuple[float, list[str]]:
    left, right, top = 56, width - 16, 50
    bottom = top + 170
    known = [(place, each, each.value) for place, each in enumerate(chart.moments) if each.value is not None]
    low, high = _room([value for _, _, value in known], [each.interval for _, each, _ in known])
    x, y = _Axis(0.0, max(len(chart.moments) - 1.0, 0.0), left + 12, right - 12), _Axis(low, high, bottom, top)
    parts = [_y_axis(y, left, right, chart.y_title, above=32)]
    parts.append(f'<line x1="{left}" x2="{_n(right)}" y1="{_n(bottom)}" y2="{_n(bottom)}" class="axis"/>')
    ends = [(chart.moments[0].label, left, "start"), (chart.moments[-1].label, right, "end")]
    parts += [_text(at, bottom + 17, label, anchor, "tick") for label, at, anchor in ends[: len(chart.moments)]]
    parts += _steps(chart, x, top, bottom)
    for place, each, _ in known:
        if each.interval is not None:
            upper, lower = (y.at(end) for end in reversed(each.interval))
            parts.append(f'<path d="M{_n(x.at(place))} {_n(lower)}V{_n(upper)}" class="range {chart.mark.css}"/>')
    path = "L".join(f"{_n(x.at(place))} {_n(y.at(value))}" for place, _, value in known)
    if len(known) > 1:
        parts.append(f'<path d="M{path}" class="line {chart.mark.css}"/>')
    radius = 4.5 if len(known) <= 40 else 2.5
    parts += [shape(chart.mark, x.at(place), y.at(value), radius) for place, _, value in known]
    return bottom + 26, parts


def _room(values: Sequence[float], intervals: Iterable[Interval | None]) -> tuple[float, float]:
    """A domain of all values, and of intervals as far as they leave these some of it."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    reach = max(high - low, 0.25 * max(abs(low), abs(high))) or 1.0
    ends = [end for interval in intervals if interval for end in interval if math.isfinite(end)]
    low, high = min([low, *(max(end, low - reach) for end in ends)]), max([high, *(min(e, high + reach) for e in ends)])
    # Less than a twentieth of the value is no trend to fill a picture with.
    pad = max(0.08 * (high - low), (0.05 * max(abs(low), abs(high)) - (high - low)) / 2) or 1.0
    return low - pad, high + pad


def _steps(chart: Trend, x: _Axis, top: float, bottom: float) -> Iterator[str]:
    """A line before each run to which there was a step, with its size where that finds room."""
    free = 0.0
    for place, each in enumerate(chart.moments):
        if not each.step:
            continue
        at = x.at(place - 0.5)
        yield f'<line x1="{_n(at)}" x2="{_n(at)}" y1="{_n(top - 6)}" y2="{_n(bottom)}" class="step"/>'
        half = _width_of(each.step) / 2
        middle = min(max(at, x.start + half), x.end - half)
        if middle - half >= free:
            free = middle + half + 6
            yield _text(middle, top - 12, each.step, "middle", "name")


def _apart(heights: Sequence[float], top: float, bottom: float, gap: float = 13.0) -> list[float]:
    """Ascending heights moved so that letters there do not cover each other, none out of the picture."""
    gap = min(gap, (bottom - top) / max(1, len(heights) - 1))
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    for place in range(len(placed) - 1, -1, -1):
        limit = bottom if place == len(placed) - 1 else placed[place + 1] - gap
        placed[place] = min(placed[place], limit)
    return placed


def _stacks(chart: Stacks, width: int) -> tuple[float, list[str]]:
    narrow = width <= NARROW
    labels = [stack.label for stack in chart.stacks]
    room = 0.0 if narrow else min(210.0, max(_width_of(text) for label in labels for text in label) + 14)
    left, right, top = max(room, 6), width - 16, 4
    row = 44 if narrow else 32
    bottom = top + row * len(chart.stacks) + 4
    totals = [sum(max(0.0, value) for value in stack.values.values()) for stack in chart.stacks if stack.values]
    x = _Axis(0, chart.top or max([*totals, 0.0]) * 1.02 or 1.0, left, right)
    parts = [_x_axis(x, top, bottom, chart.x_title)]
    for number, stack in enumerate(chart.stacks):
        y = top + row * number + (20 if narrow else 6)
        label = Bilingual(*(shorten(text, 48 if narrow else 30) for text in stack.label))
        parts.append(_text(0, y - 5, label, css="name") if narrow else _text(0, y + 14, label, css="name"))
        if stack.values is None:
            parts.append(_text(left + 6, y + 14, TEXTS["unknown"], css="tick"))
            continue
        sofar = 0.0
        for part in chart.parts:
            value = stack.values.get(part, 0.0)
            if not value > 0:
                continue
            begin, end = x.at(sofar), x.at(sofar + value)
            parts.append(f'<rect x="{_n(begin)}" y="{_n(y)}" width="{_n(end - begin)}" height="20" {_fill(part)}/>')
            sofar += value
    return bottom + 42, parts


def _fold(ratio: float) -> float:
    """How many times more or less; 1 for what is no ratio, and no more than an axis can show."""
    return min(max(ratio, 1 / ratio), 1e6) if ratio > 1e-6 else 1.0


def _forest(chart: Forest, width: int) -> tuple[float, list[str]]:
    narrow = width <= NARROW
    room = 0.0 if narrow else min(300.0, max(_width_of(text) for each in chart.ranges for text in each.label) + 14)
    left, right, top = max(room, 8), width - 16, 4
    row = 40 if narrow else 28
    bottom = top + row * len(chart.ranges) + 6
    known = [each.value for each in chart.ranges if each.value is not None]
    reach = max([1.25, *map(_fold, known)]) * 1.1
    ends = [end for each in chart.ranges if each.interval for end in each.interval]
    reach = max(reach, min(reach * 3, max(map(_fold, ends), default=1.0) * 1.05))
    x = _Axis(1 / reach, reach, left, right, log=True)
    parts = [_x_axis(x, top, bottom, chart.x_title)]
    one = _n(x.at(1))
    parts.append(f'<line x1="{one}" x2="{one}" y1="{top}" y2="{_n(bottom)}" class="one"/>')
    for number, each in enumerate(chart.ranges):
        y = top + row * number + (28 if narrow else 16)
        css = each.mark.css if each.mark else "plain"
        label = Bilingual(*(shorten(text, 50 if narrow else 44) for text in each.label))
        parts.append(_text(0, y - 12, label, css="name") if narrow else _text(0, y + 4, label, css="name"))
        if each.interval is not None and min(each.interval) > 0:
            parts.append(_bar(x.at(each.interval[0]), x.at(each.interval[1]), y, css))
        if each.value is not None and each.value > 0:
            mark = each.mark or Mark(index=0, letter="", name="")
            parts.append(shape(mark, x.at(each.value), y, 5).replace(mark.css, css))
        else:
            parts.append(_text(x.at(1) + 6, y + 4, TEXTS["unknown"], css="tick"))
    return bottom + 42, parts


def _lanes(chart: Lanes, width: int) -> tuple[float, list[str]]:
    left, right, height, gap = 26.0, width - 2.0, 26, 10
    step = (right - left) / max(1, len(chart.tasks))
    thick = step * 0.82 if step > 2 else step
    parts = []
    for number, lane in enumerate(chart.lanes):
        base = 4 + (height + gap) * number + height
        parts.append(_text(0, base - 9, lane.mark.letter, css="name"))
        parts.append(
            f'<rect x="{left}" y="{base - height}" width="{_n(right - left)}" height="{height}" class="lane"/>'
        )
        # One path for each shade: thousands of elements would make the page slow.
        shades: dict[int, list[str]] = {}
        missing = []
        for place, share in enumerate(lane.shares):
            x = left + step * place
            if share is None:
                missing.append(f"M{x:.2f} {base - height}h{thick:.2f}v{height}h-{thick:.2f}z")
            elif share > 0:
                tall = height * share
                shades.setdefault(math.ceil(share * 4), []).append(
                    f"M{x:.2f} {base - tall:.1f}h{thick:.2f}v{tall:.1f}h-{thick:.2f}z"
                )
        parts += [f'<path d="{"".join(bars)}" class="shade shade-{shade}"/>' for shade, bars in sorted(shades.items())]
        if missing:
            parts.append(f'<path d="{"".join(missing)}" fill="url(#pattern-missing)" class="part-missing"/>')
    bottom = 4.0 + (height + gap) * len(chart.lanes)
    parts.append(_text(left, bottom + 10, chart.x_title, css="title"))
    parts.append(_text(right, bottom + 10, f"{len(chart.tasks)}", "end", "tick"))
    return bottom + 18, parts
