"""The HTML report in a real browser: nothing runs that should not, what should works, on a phone and on paper too."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from browser import Browser
from msgspec.structs import replace
from real_accounts import example_records
from test_findings import RECORDS, found_in
from test_history import line
from test_html import FACTORS, HOSTILE, A, R, hostile_page, records

from pytest_greencode.accounting import account
from pytest_greencode.history.trend import Logged, series_of
from pytest_greencode.reports.history_page import render_history
from pytest_greencode.reports.html import render_html
from pytest_greencode.reports.page_extras import extras_of
from pytest_greencode.reports.texts import TEXTS

pytestmark = pytest.mark.chromium
TITLE = TEXTS["title"]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "example.html"
    path.write_text(render_html(account(example_records(), FACTORS), {"host": "lab"}, interactive=False), "utf-8")
    return path


@pytest.fixture(scope="module")
def retries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [*records("a", verdicts=(A, R, A, R)), *records("b", verdicts=(R, R, A, A), generation_j=30.0)]
    rows += records("c", verdicts=(R, R, R, R))
    path = tmp_path_factory.mktemp("html") / "retries.html"
    path.write_text(render_html(account(rows, FACTORS), {"host": "lab"}, interactive=False), "utf-8")
    return path


def seen(browser: Browser, selector: str) -> list[str]:
    """The text of each element as it is shown; hidden ones are empty."""
    text = "(e.innerText ?? (e.getClientRects().length ? e.textContent : '')).trim()"
    return list(browser.evaluate(f"Array.from(document.querySelectorAll({json.dumps(selector)}), e => {text})"))


def column(browser: Browser, number: int) -> list[str]:
    return seen(browser, f"table.tasks tbody tr:not([hidden]) > :nth-child({number})")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scripts", [True, False])
def test_it_opens_without_complaint_and_fits(browser: Browser, example: Path, width: int, scripts: bool) -> None:
    browser.media()
    browser.open(example, width=width, scripts=scripts)
    assert browser.trouble == []
    assert browser.evaluate("document.title") == f"{TITLE.en} - humaneval"
    # Wide tables scroll by themselves; the page does not.
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    pictures = browser.evaluate(
        "Array.from(document.querySelectorAll('figure svg'), e => e.getBoundingClientRect()).filter(r => r.width)"
        ".map(r => [r.left, r.right])"
    )
    assert len(pictures) >= 4
    assert min(left for left, _ in pictures) >= 0
    assert max(right for _, right in pictures) <= width


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with all that findings add to it."""
    path = tmp_path_factory.mktemp("html") / "decided.html"
    accounted, found = found_in(RECORDS)
    extras = extras_of(found, accounted.factors)
    path.write_text(render_html(accounted, {}, extras=extras, interactive=False), "utf-8")
    return path


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("html") / "history.html"
    lines = [line(v, 0.9 * v, 1.1 * v, f"2026-11-0{day + 1}T00:00:00Z") for day, v in enumerate((1.0, 1.1, 2.0))]
    hostile = [replace(each, model=HOSTILE[0], suite=HOSTILE[1], revision=HOSTILE[2]) for each in lines]
    found = series_of([Logged(line=each) for each in [*lines, *hostile]])
    path.write_text(render_history(found), "utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("page", ["decided", "history"])
def test_what_to_do_and_the_trend_fit_too(
    browser: Browser, request: pytest.FixtureRequest, page: str, width: int
) -> None:
    browser.media()
    browser.open(request.getfixturevalue(page), width=width)
    assert browser.trouble == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    shown = seen(browser, "section h2")
    assert all(shown)
    # Payback is drawn in grams and in money; a trend for the grams of each series.
    drawn = "Array.from(document.querySelectorAll('figure svg'), e => e.getBoundingClientRect()).filter(r => r.width)"
    pictures = browser.evaluate(f"{drawn}.map(r => [r.left, r.right])")
    assert len(pictures) >= 2
    assert max(right for _, right in pictures) <= width


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 2))
def test_hostile_names_run_nothing(browser: Browser, tmp_path: Path, number: int) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(hostile_page(HOSTILE[number:] + HOSTILE[:number]), "utf-8")
    browser.open(path, width=360)
    assert browser.trouble == []
    assert browser.evaluate("document.title").startswith(TITLE.en)
    assert browser.evaluate("document.querySelectorAll('img, iframe, main script, a[href*=\":\"]').length") == 0
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    # The page's own end is still there, after everything.
    assert browser.evaluate("document.body.lastElementChild.previousElementSibling.tagName") == "FOOTER"


def test_the_policy_stops_what_would_get_in(browser: Browser, example: Path, tmp_path: Path) -> None:
    """A page with a script and an image smuggled in: the policy, not only the escaping, holds."""
    path = tmp_path / "broken.html"
    smuggled = "<script>document.title='run'</script><img src='https://example.com/x.png' onerror='document.title=1'>"
    path.write_text(example.read_text("utf-8").replace("<main>", f"<main>{smuggled}"), "utf-8")
    browser.open(path)
    assert browser.evaluate("document.title").startswith(TITLE.en)
    assert any("Content Security Policy" in each for each in browser.trouble)


@pytest.mark.parametrize("scripts", [True, False])
def test_one_language_at_a_time_and_a_switch_that_needs_no_script(
    browser: Browser, example: Path, scripts: bool
) -> None:
    browser.open(example, scripts=scripts)
    assert seen(browser, "h1") == [TITLE.en]
    # As a mouse does it, which works without scripts too.
    x, y = browser.evaluate(
        "(r => [r.left + r.width / 2, r.top + r.height / 2])"
        "(document.querySelector('.choose-ja').getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert seen(browser, "h1") == [TITLE.ja]
    shown = browser.evaluate("document.body.innerText")
    assert TEXTS["methods"].ja in shown
    assert TEXTS["methods"].en not in shown
    assert not any(seen(browser, "figure svg text[lang=en]"))
    assert browser.evaluate("document.documentElement.lang") == ("ja" if scripts else "en")
    # And by the keyboard.
    browser.evaluate("document.getElementById('language-ja').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="ArrowUp", code="ArrowUp", windowsVirtualKeyCode=38)
    assert seen(browser, "h1") == [TITLE.en]


def test_tables_sort_by_value_with_the_unknown_last(browser: Browser, retries: Path) -> None:
    browser.open(retries)
    heads = "document.querySelectorAll('table.tasks thead th')"
    assert column(browser, 1)[:4] == ["T/0", "T/0", "T/0", "T/1"]
    for press, order in (("ascending", 1), ("descending", -1)):
        browser.evaluate(f"{heads}[5].querySelector('button').click()")  # of accepted: c has none
        assert browser.evaluate(f"{heads}[5].getAttribute('aria-sort')") == press
        values = column(browser, 6)
        assert values[-12:] == ["-"] * 12
        numbers = [order * float(value) for value in values[:-12]]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) > 1
    browser.evaluate(f"{heads}[0].querySelector('button').click()")
    assert column(browser, 1)[-3:] == ["T/11"] * 3
    assert browser.evaluate(f"{heads}[5].getAttribute('aria-sort')") is None
    assert browser.trouble == []


def test_headings_of_tables_are_buttons_for_the_keyboard(browser: Browser, retries: Path) -> None:
    browser.open(retries)
    browser.evaluate("document.querySelector('table.tasks thead th:nth-child(3) button').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    assert column(browser, 3)[:12] == ["0/4"] * 12


def test_tables_filter(browser: Browser, retries: Path) -> None:
    browser.open(retries)
    assert browser.evaluate("document.querySelector('.filter').hidden") is False

    def type_in(text: str) -> None:
        browser.evaluate(
            f"(e => {{ e.value = {json.dumps(text)}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
            "(document.querySelector('.filter [type=search]'))"
        )

    type_in("t/1 ")
    assert set(column(browser, 1)) == {"T/1", "T/10", "T/11"}
    assert seen(browser, ".filter output") == ["9"]
    browser.evaluate("document.querySelector('.filter [value=never]').click()")
    assert seen(browser, ".filter output") == ["3"]
    assert set(column(browser, 3)) == {"0/4"}
    type_in("")
    assert seen(browser, ".filter output") == ["12"]


def test_without_scripts_there_is_nothing_that_does_nothing(browser: Browser, retries: Path) -> None:
    browser.open(retries, scripts=False)
    assert browser.evaluate("document.querySelectorAll('th button').length") == 0
    assert browser.evaluate("getComputedStyle(document.querySelector('.filter')).display") == "none"


@pytest.mark.parametrize("scripts", [True, False])
def test_a_headline_leads_to_its_raw_number_in_two_clicks(browser: Browser, retries: Path, scripts: bool) -> None:
    browser.open(retries, "#c1-from", scripts=scripts)
    (configuration,) = account(records("a", verdicts=(A, R, A, R)), FACTORS).configurations
    exact = repr(configuration.per_accepted.co2e_g)
    assert any(exact in text for text in seen(browser, "#c1-from ~ .scroll code"))
    browser.open(retries, "#c1-raw", scripts=scripts)
    assert any(exact in text for text in seen(browser, "#c1-raw"))
    assert seen(browser, "#c2-raw") == [""]


def test_dark_mode_is_dark(browser: Browser, example: Path) -> None:
    light = []
    for dark in (False, True):
        browser.media(dark=dark)
        browser.open(example)
        colours = browser.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
        light.append([sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours])
    browser.media()
    (paper, ink), (dark_paper, dark_ink) = light
    assert paper > 600
    assert ink < 150
    assert dark_paper < 150
    assert dark_ink > 600


def test_on_paper_there_is_nothing_to_press(browser: Browser, retries: Path) -> None:
    browser.open(retries)
    browser.media("print")
    for selector in (".filter", "nav", ".languages", "#raw"):
        assert browser.evaluate(f"getComputedStyle(document.querySelector('{selector}')).display") == "none"
    pictures = browser.evaluate(
        "Array.from(document.querySelectorAll('.still svg')).filter(e => e.getClientRects().length).length"
    )
    assert pictures >= 5
    browser.media()
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 16


def test_it_opens_quickly_with_five_thousand_rows(browser: Browser, tmp_path: Path) -> None:
    verdicts = [A, R, R, A, R, A, R, R, A, R]
    rows = [row for model in "abcde" for row in records(model, tasks=1000, verdicts=verdicts)]
    path = tmp_path / "large.html"
    path.write_text(render_html(account(rows, FACTORS), {}, interactive=False), "utf-8")
    browser.open(path)
    timing = browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert timing < 20_000  # 1 s here; a loaded machine takes longer
    browser.evaluate("document.querySelector('#tasks details').open = true")
    browser.evaluate("document.querySelectorAll('table.tasks thead th button')[4].click()")
    assert len(column(browser, 1)) == 5000
    assert browser.trouble == []


@pytest.mark.skipif(importlib.util.find_spec("plotly") is None, reason="plotly is not installed (extra `html`)")
def test_charts_to_explore(browser: Browser, tmp_path: Path) -> None:
    names = ["<b>bold</b><a href='https://example.com'>here</a>", "</script><script>document.title='run'</script>", "m"]
    rows = [row for name in names for row in records(name, verdicts=(A, R, A, R), generation_j=10.0 * len(name))]
    made = account(rows, FACTORS)
    path = tmp_path / "plotly.html"
    path.write_text(render_html(made, {}, interactive=True), "utf-8")
    assert path.read_text("utf-8").count("plotly.js v") <= 2
    browser.media()
    browser.open(path)
    browser.wait_for("document.querySelectorAll('figure.explored').length > 0")
    for figure in browser.evaluate("Array.from(document.querySelectorAll('figure[data-plot]'), e => e.id)"):
        browser.evaluate(f"document.getElementById({json.dumps(figure)}).scrollIntoView()")
        browser.wait_for(f"document.getElementById({json.dumps(figure)}).classList.contains('explored')")
    assert browser.trouble == []
    assert browser.evaluate("document.title").startswith(TITLE.en)
    assert browser.evaluate("document.querySelectorAll('.plot svg a').length") == 0
    assert "<b>bold</b>" in browser.evaluate("document.querySelector('.plot .legend').textContent")
    # Texts follow the language, and the paper the still pictures.
    browser.evaluate("document.getElementById('language-ja').click()")
    browser.wait_for("document.querySelector('.plot').textContent.includes('解けた課題の割合')")
    browser.media("print")
    assert browser.evaluate("getComputedStyle(document.querySelector('.plot')).display") == "none"
    assert browser.evaluate("document.querySelector('.still svg').getClientRects().length") == 1
    browser.media()
    # A viewer that runs no scripts shows the pictures.
    browser.open(path, scripts=False)
    assert browser.evaluate("document.querySelector('.still svg').getClientRects().length") == 1
    assert browser.evaluate("document.querySelectorAll('.plot').length") == 0
