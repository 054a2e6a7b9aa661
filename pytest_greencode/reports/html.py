"""The account as one HTML page that works offline, from a file, without scripts, in English and Japanese.

The page is a function of the account, the run's facts and `Extras`. Everything that a model or a file named goes
through `text.escape` (controls, bidi, surrogates) and then through Jinja's autoescape. A content security policy names
the page's own style and scripts by their hashes and forbids all else, the network first.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from markupsafe import escape as markup_escape

from ..accounts import Account
from . import charts, plots
from .entries import cut
from .extras import NOTHING, Extras
from .json import render_json
from .page import Page, page_of
from .text import significant
from .texts import LANGUAGES, TEXTS, Bilingual

if TYPE_CHECKING:
    from jinja2 import Environment

_PATTERNS: Mapping[str, str] = {
    "": "",
    "/": "M-1 7L7 -1M-1 1L1 -1M5 7L7 5",
    "\\": "M-1 -1L7 7M-1 5L1 7M5 -1L7 1",
    "-": "M0 3H6",
    "|": "M3 0V6",
    "x": "M0 0L6 6M6 0L0 6",
    ".": "M2 3h2",
}

_LONGEST = 1000  # of a sentence
_FORMULAS = (
    ("cost", "g = (J_gen · PUE_gen · I_gen + J_exec · PUE_exec · I_exec) / 3.6e6  +  TE · t / EL · share"),
    ("pass", "P_k = 1 - C(n-c, k) / C(n, k)"),
    ("attempts", "A_k = (n+1)/(c+1) · [1 - C(n-c, k) / C(n+1, k)]"),
    ("expected", "C_k = (A_k - P_k) · μ_F + P_k · μ_P"),
    ("headline", "R_k = Σ C_k / Σ P_k"),
    ("kappa", "κ_k = Σ A_k / Σ P_k"),
    ("waste", "1 - Σ P_k · μ_P / Σ C_k"),
    ("interval", "R · exp(± t · se),  se² = m/(m-1) · Σ (C_k - R · P_k)² / (R · Σ P_k)²"),
)


def render_html(
    account: Account,
    run_facts: Mapping[str, Any],
    *,
    extras: Extras = NOTHING,
    language: str = "en",
    interactive: bool | None = None,
) -> str:
    """The page as text, to be written as UTF-8.

    `language`: which one is shown first, "en" or "ja"; both are there. `interactive`: put plotly.js (some 4 MB) into
    the page, for charts that people explore; None does where plotly is installed. Without it, and where no script may
    run, the same charts are still pictures. ValueError for another language; ModuleNotFoundError for `interactive`
    without plotly.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, found {language!r}")
    if interactive is None:
        interactive = find_spec("plotly") is not None
    report = json.loads(render_json(account, run_facts))
    page = page_of(account, run_facts, report, extras)
    style, script = _asset("report.css"), _asset("report.js")
    plotly = _plotly() if interactive and page.figures else ""
    figures = {
        figure.id: {each: plots.finite(plots.figure(figure.chart, each)) for each in LANGUAGES}
        for figure in (page.figures if plotly else ())
    }
    template = _environment().get_template("report.html")
    has = _sections(page)
    return template.render(
        page=page,
        has=has,
        sections=[(key.replace("_", "-"), key) for key, there in has.items() if there],
        title=_title(page, language),
        formulas=_FORMULAS,
        texts=TEXTS,
        language=language,
        languages=LANGUAGES,
        policy=_policy(style, [script, *([plotly] if plotly else [])]),
        style=_trusted(style),
        script=_trusted(script),
        plotly=_trusted(plotly),
        figures=_trusted(_json_in_html(figures)) if plotly else "",
        patterns=[(part, colour, _PATTERNS[pattern]) for part, (colour, pattern) in plots.PARTS.items()],
    )


def _sections(page: Page) -> dict[str, bool]:
    """Which sections there are, by their texts' keys, in the page's order."""
    suites = page.suites
    return {
        "quality": any(suite.quality for suite in suites),
        "retries": any(suite.summary for suite in suites),
        "grams": any(suite.grams or suite.waste for suite in suites),
        "comparisons": bool(page.factors)
        or any(suite.comparisons or suite.outlook.alternatives or suite.outlook.other_ways for suite in suites),
        "month": bool(page.month_notes) or any(suite.outlook.months for suite in suites),
        "payback": any(suite.outlook.paybacks for suite in suites),
        "tasks": any(suite.task_lines for suite in suites),
        "green_capacity": any(suite.green for suite in suites),
        "balance": page.balance is not None,
        "methods": True,
        "raw": True,
    }


def _title(page: Page, language: str) -> str:
    """The window's title; it has one language only."""
    names = ", ".join(dict.fromkeys(suite.name for suite in page.suites))
    return f"{TEXTS['title']._asdict()[language]}{f' - {cut(names, 80)}' if names else ''}"


@functools.cache
def _environment() -> Environment:
    import jinja2

    environment = jinja2.Environment(
        keep_trailing_newline=True,
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(shown=cut, number=significant)
    environment.globals.update(
        t=_text_of,
        say=_both,
        symbol=charts.symbol,
        swatch=charts.swatch,
        svg=charts.svg,
        FULL=charts.FULL,
        WIDE=charts.WIDE,
        HALF=charts.HALF,
        NARROW=charts.NARROW,
        raw=_raw,
    )
    return environment


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("templates").joinpath(name).read_text("utf-8")


def _text_of(key: str, /, **values: object) -> Markup:
    """A text of the catalogue, filled, in both languages."""
    return _both(TEXTS[key], **values)


def _both(text: Bilingual | str, /, **values: object) -> Markup:
    """A text in each language, of which the style sheet shows one; it may come from elsewhere, so it is escaped too."""
    if isinstance(text, str):
        return markup_escape(cut(text, _LONGEST))
    filled = [
        markup_escape(words).format(
            **{
                name: getattr(value, language) if isinstance(value, Bilingual) else value
                for name, value in values.items()
            }
        )
        if values
        else markup_escape(words)
        for language, words in zip(LANGUAGES, (cut(words, _LONGEST) for words in text), strict=True)
    ]
    filled = [words.replace(" %", "\u00a0%") for words in filled]
    if len(set(filled)) == 1:
        return filled[0]
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(language, words)
        for language, words in zip(LANGUAGES, filled, strict=True)
    )


def _trusted(text: str) -> Markup:
    """Our own style and scripts, and JSON that holds no `<`."""
    return Markup(text)  # noqa: S704


def _raw(text: str) -> Markup:
    """Text between tags. Quotes may stay there, and JSON has many."""
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))  # noqa: S704


def _json_in_html(value: object) -> str:
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(style: str, scripts: Iterable[str]) -> str:
    """Nothing from anywhere; these scripts, this style.

    plotly.js writes style elements and attributes of its own, so with it styles are not bound to a hash; they can load
    nothing either way.
    """
    scripts = list(scripts)
    styles = _hash(style) if len(scripts) == 1 else "'unsafe-inline'"
    images = "" if len(scripts) == 1 else " img-src data: blob:;"
    sources = " ".join(map(_hash, scripts))
    return f"default-src 'none'; script-src {sources}; style-src {styles};{images} base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


@functools.cache
def _plotly() -> str:
    """plotly.js as it may stand in a page: line ends as browsers hash them, and nothing that ends the script."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")
