"""The HTML page of ordinary tests: what it says, what it leaves out, what is hostile; the browser's part at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from builders import FACTORS
from msgspec.structs import replace
from test_html import BALANCE, HOSTILE, check, records
from test_project_account import of, run

from pytest_greencode.accounting import account
from pytest_greencode.accounts import Account
from pytest_greencode.gate.decisions import Decision, Outcome, RuleDecision, plain
from pytest_greencode.model import Block
from pytest_greencode.project_account import LeftBehind, ProjectAccount
from pytest_greencode.reports import page_project
from pytest_greencode.reports.json import render_json
from pytest_greencode.reports.registry import render_report
from pytest_greencode.reports.text import significant
from pytest_greencode.reports.texts import TEXTS

SUITE = of(
    run("t.py::cheap", call=0.25),
    run("t.py::dear", setup=1.0, call=4.0, teardown=0.5),
    run("t.py::fails", "failed", call=2.0),
    run("t.py::again", "rerun", call=1.0),
    run("t.py::again", attempt=2, call=1.0),
    run("t.py::steady", repetition=1),
    run("t.py::steady", repetition=2, call=1.25),
    run("t.py::steady", call=1.5),
    run("t.py::skipped", "skipped", call=0.0),
    background_s=0.5,
    selected=8,
    left_behind=[LeftBehind(test_id="t.py::dear", name="server", cpu_s=0.5)],
    blocks=[Block(test_id="t.py::dear", name="sorting", started_at=100.0, finished_at=101.0, cpu_s=0.75)],
    notes=["a note of the run"],
)


def only(project: ProjectAccount | None = SUITE, **more: Any) -> Account:
    return Account(configurations=(), factors=FACTORS, quarantined={}, project=project, **more)


def page_of(found: Account, **facts: Any) -> str:
    return render_report("html", found, facts)


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without plotly.js, which is 5 MB a page."""
    monkeypatch.setattr("pytest_greencode.reports.html.find_spec", lambda name: None)


def suite_in(text: str) -> dict[str, Any]:
    blocks = [data for tag, data in check(text).texts if tag == "pre"]
    return dict(json.loads(blocks[-2]))


def test_it_says_what_the_account_says() -> None:
    text = page_of(only(balance=BALANCE), host="lab")
    page = check(text)
    energy, grams = SUITE.energy_per_passing_test_j.value, SUITE.co2e_per_passing_test_g.value
    assert energy is not None
    assert grams is not None
    assert TEXTS["tests_title"].en in page.text("span")
    assert f"A passing test costs {significant(energy)} J and {significant(grams * 1e3)} mg CO₂e." in page.text("span")
    assert "4/7" not in page.text("td")
    assert "4/6" in page.text("td")
    for name in ("cheap", "dear", "fails", "again", "steady", "skipped"):
        assert f"t.py::{name}" in page.text("td")
    shown = page.text()
    for said in (
        "2 of 8 selected tests did not run",
        "server",
        "sorting",
        "a note of the run",
        "3 of 4 passing tests ran only once",
        "合格したテスト 4 件中 3 件は 1 回しか実行していない",
        "repeated: 2",
        "a model",
        "run again",
        "left running",
    ):
        assert said in shown, said
    assert json.loads(render_json(only(), {}))["project"] == suite_in(text)
    # Solutions are none here, and nothing speaks of them.
    assert TEXTS["title"].en not in shown
    assert TEXTS["part_solutions"].en not in {data.strip() for _, data in page.texts}
    # From the headline to where it comes from, and on to the raw numbers.
    assert '<a href="#tests-from">' in text
    begin = text.index('id="tests-from"')
    assert 'href="#tests-raw"' in text[begin : text.index("</details>", begin)]
    assert repr(energy) in page.text("code")


def test_beside_samples_tests_are_one_more_section() -> None:
    found = replace(account([*records("a"), *records("b")], FACTORS, balance=BALANCE), project=SUITE)
    text = page_of(found)
    page = check(text)
    assert text.index('id="c1"') < text.index('id="tests"') < text.index('id="tests-spent"')
    assert f"<title>{TEXTS['title'].en} - suite</title>" in text
    assert TEXTS["part_both"].en in page.text("span")
    assert {TEXTS["scope"].en, TEXTS["scope_tests"].en} <= {data for _, data in page.texts}
    assert suite_in(text)["passing"] == 4
    assert '"project"' not in [data for tag, data in page.texts if tag == "pre"][-1]


@pytest.mark.parametrize(
    ("project", "said", "by_energy"),
    [
        (of(run("a", watts=None), run("b", "failed", watts=None)), ("energy is known", "エネルギーの不明な"), False),
        (of(run("a"), run("b", "failed", setup=None)), ("died with their process: 1", "テストが 1 件あり"), None),
        (of(run("a", "failed")), ("no test passed", "合格したテストがない"), True),
    ],
    ids=["no energy", "lost", "none passed"],
)
def test_what_is_not_known_is_never_zero(
    project: ProjectAccount, said: tuple[str, str], by_energy: bool | None
) -> None:
    page = check(page_of(only(project)))
    assert [data for tag, data in page.texts if tag == "a"].count("?") == 1
    shown = page.text()
    assert all(words in shown for words in said)
    axes = {name: TEXTS[f"axis_tests_{name}"].en.format(unit="") for name in ("energy", "cpu")}
    drawn = {name for name, title in axes.items() if title in page.text("text")}
    # The costliest are drawn by CPU time, whatever else is known.
    assert ("energy" in drawn) == bool(by_energy)


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 3))
def test_what_is_hostile_is_text(number: int) -> None:
    names = HOSTILE[number:] + HOSTILE[:number]
    check(hostile_page(names))


def hostile_page(names: list[str]) -> str:
    project = of(
        *(run(f"{place}{name}", "failed" if place % 3 else "passed") for place, name in enumerate(names)),
        left_behind=[LeftBehind(test_id=name, name=name, cpu_s=1.0) for name in names],
        blocks=[Block(test_id=name, name=name, started_at=1.0, finished_at=2.0, cpu_s=1.0) for name in names],
        notes=names,
    )
    project = replace(project, source=names[0], unsteady=tuple(names), lost=tuple(names))
    return page_of(only(project), host=names[0], cautions=[{"what": names[0], "why": names[0], "remedy": names[0]}])


def test_many_tests_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_project, "MOST_ROWS", 3)
    monkeypatch.setattr(page_project, "MOST_RAW", 5)
    blocks = [Block(test_id="t", name=f"b{i}", started_at=0.0, finished_at=1.0, cpu_s=9.0 - i) for i in range(7)]
    text = page_of(only(of(*(run(f"t::{place}", call=1 + place % 7) for place in range(9)), blocks=blocks)))
    page = check(text)
    kinds = page.values("data-kind")
    assert kinds == ["passed"] * 3
    assert "6 more, which used less, stand in the raw numbers." in page.text()
    assert "Left out here, as they used less: 4 tests, 2 blocks." in page.text()
    assert [block["name"] for block in suite_in(text)["blocks"]] == ["b0", "b1", "b2", "b3", "b4"]
    # The costliest, in the order in which they ran.
    assert [test["test_id"] for test in suite_in(text)["tests"]] == [f"t::{place}" for place in (2, 3, 4, 5, 6)]


def test_the_gate_stands_on_top() -> None:
    rule = RuleDecision(
        rule="energy_per_passing_test_j:2",
        field="energy_per_passing_test_j",
        unit="J",
        kind="absolute",
        limit=2.0,
        suite="",
        model="tests",
        settings="{}",
        value=13.0,
        baseline=None,
        compared=13.0,
        interval=None,
        confidence=0.95,
        units=4,
        decision=Outcome.FAIL,
        reason="13 J are more than 2 J",
    )
    decision = Decision(decision=Outcome.FAIL, rules=(rule,))
    page = check(page_of(only(), gate=plain(decision)))
    assert f"Gate: FAIL: energy_per_passing_test_j: {rule.reason}" in page.text("span")
    assert "13 J are more than 2 J" in page.text("td")


# -- in a browser ---------------------------------------------------------------------------------------------------


def column(browser: Browser, number: int) -> list[str]:
    rows = f"#tests-table tbody tr:not([hidden]) > :nth-child({number})"
    return list(browser.evaluate(f"Array.from(document.querySelectorAll('{rows}'), e => e.innerText.trim())"))


@pytest.mark.chromium
def test_on_a_phone_it_fits_sorts_and_filters(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "tests.html"
    path.write_text(page_of(only(balance=BALANCE)), "utf-8")
    browser.open(path, width=390)
    assert browser.trouble == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    drawn = "Array.from(document.querySelectorAll('.still svg'), e => e.getBoundingClientRect()).filter(r => r.width)"
    assert max(browser.evaluate(f"{drawn}.map(r => r.right)")) <= 390
    assert column(browser, 1)[0] == "t.py::dear"
    browser.evaluate("document.querySelector('#tests-table thead button').click()")
    assert column(browser, 1)[:2] == ["t.py::cheap", "t.py::dear"]
    browser.evaluate("document.querySelector('.filter [value=failed]').click()")
    assert column(browser, 2) == ["failed"]
    browser.open(path, "#tests-raw", width=390)
    assert browser.evaluate("document.getElementById('tests-raw').getClientRects().length") == 1


@pytest.mark.chromium
def test_hostile_names_run_nothing(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(hostile_page(HOSTILE), "utf-8")
    for scripts in (True, False):
        browser.open(path, width=390, scripts=scripts)
        assert browser.trouble == []
        assert browser.evaluate("document.title") == TEXTS["tests_title"].en
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390
