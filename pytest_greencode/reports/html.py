"""The account as one HTML page that works offline, from a file, without scripts, in English and Japanese.

The page is a function of the account, the run's facts and `Extras`. Everything that a model or a file named goes
through `text.escape` (controls, bidi, surrogates) and then through Jinja's autoescape. A content security policy names
the page's own style and scripts by their hashes and forbids all else, the network first.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ..accounts import Account
from . import plots
from .entries import cut
from .extras import NOTHING, Extras
from .json import render_json
from .page import Page, page_of
from .templating import asset, content_policy, environment, json_in_html, trusted
from .texts import LANGUAGES, TEXTS

_PATTERNS: Mapping[str, str] = {
    "": "",
    "/": "M-1 7L7 -1M-1 1L1 -1M5 7L7 5",
    "\\": "M-1 -1L7 7M-1 5L1 7M5 -1L7 1",
    "-": "M0 3H6",
    "|": "M3 0V6",
    "x": "M0 0L6 6M6 0L0 6",
    ".": "M2 3h2",
}

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

_FORMULAS_OF_TESTS = (
    ("test", "(Σ J_run + J_background) / n_passed"),
    ("test_grams", "g = J · PUE · I / 3.6e6  +  TE · t / EL · share"),
    ("test_interval", "x · exp(± t · se),  se² = Σ s² / (Σ J)²"),
    ("test_waste", "1 - Σ J_passed / Σ J_run"),
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
    style, script = asset("report.css"), asset("report.js")
    plotly = _plotly() if interactive and page.figures else ""
    figures = {
        figure.id: {each: plots.finite(plots.figure(figure.chart, each)) for each in LANGUAGES}
        for figure in (page.figures if plotly else ())
    }
    template = environment().get_template("report.html")
    has = _sections(page)
    return template.render(
        page=page,
        has=has,
        sections=[(key.replace("_", "-"), key) for key, there in has.items() if there],
        title=_title(page, language),
        tests_only=_tests_only(page),
        formulas=(*(() if _tests_only(page) else _FORMULAS), *(_FORMULAS_OF_TESTS if page.project else ())),
        texts=TEXTS,
        language=language,
        languages=LANGUAGES,
        policy=content_policy(style, [script, *([plotly] if plotly else [])]),
        style=trusted(style),
        script=trusted(script),
        plotly=trusted(plotly),
        figures=trusted(json_in_html(figures)) if plotly else "",
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
        "tests_spent": page.project is not None,
        "tests_all": page.project is not None,
        "tests_blocks": page.project is not None and bool(page.project.blocks),
        "balance": page.balance is not None,
        "methods": True,
        "raw": True,
    }


def _title(page: Page, language: str) -> str:
    """The window's title; it has one language only."""
    names = ", ".join(dict.fromkeys(suite.name for suite in page.suites))
    title = TEXTS["tests_title" if _tests_only(page) else "title"]
    return f"{title._asdict()[language]}{f' - {cut(names, 80)}' if names else ''}"


def _tests_only(page: Page) -> bool:
    return page.project is not None and not page.suites


@functools.cache
def _plotly() -> str:
    """plotly.js as it may stand in a page: line ends as browsers hash them, and nothing that ends the script."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")
