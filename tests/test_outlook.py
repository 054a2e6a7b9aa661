"""What to do, on the page: what was not taken and why, cascades, a month in use, payback; against numbers by hand."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from builders import FACTORS
from hypothesis import given
from hypothesis import strategies as st
from test_findings import MONEY, RECORDS, TASKS, found_in, of_model

from pytest_greencode.accounting import account
from pytest_greencode.comparison import Criterion, WhyNot, common_attempts
from pytest_greencode.economics.assumptions import Assumptions, parse_assumptions
from pytest_greencode.findings import find
from pytest_greencode.model import Configuration
from pytest_greencode.reports import charts
from pytest_greencode.reports.html import render_html
from pytest_greencode.reports.page_extras import extras_of
from pytest_greencode.reports.texts import TEXTS, Bilingual

TITLE = Bilingual("title", "題")


class Sections(HTMLParser):
    """The English text of each section, by its id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self._section = ""
        self._skipped = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self._section = dict(attributes)["id"] or ""
        if self._skipped or (tag == "span" and ("lang", "ja") in attributes):
            self._skipped += tag == "span"

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= bool(self._skipped and tag == "span")

    def handle_data(self, data: str) -> None:
        if self._section and not self._skipped and data.strip():
            self.texts.setdefault(self._section, []).append(data.strip())

    def __getitem__(self, section: str) -> str:
        return " ".join(self.texts.get(section, []))


def page(records, assumptions=MONEY, **arguments):
    accounted, found = found_in(records, assumptions, **arguments)
    return found, Sections(render_html(accounted, {}, extras=extras_of(found, accounted.factors), interactive=False))


def reasons(found):
    (suite,) = found.suites
    return {each.configuration.model: each.why for each in suite.taken.alternatives}


def test_why_each_of_the_others_was_not_taken():
    _, found = found_in(RECORDS, Assumptions())
    (suite,) = found.suites
    assert (suite.taken.configuration.model, suite.taken.criterion) == ("small", Criterion.FEWEST)
    assert reasons(found) == {"big": WhyNot.MORE_FOR_QUALITY, "wasteful": WhyNot.MORE}
    # It beside the one taken, as the account has them.
    small, big, _ = suite.configurations
    ratio = next(each for each in suite.taken.alternatives if each.configuration.model == "big").comparison.co2e_g
    assert ratio.value == pytest.approx(big.retry[2].co2e_g_per_accepted / small.retry[2].co2e_g_per_accepted)


def test_by_a_target_the_cheaper_ones_miss_it():
    _, found = found_in(RECORDS, target=0.8)
    (suite,) = found.suites
    assert (suite.taken.configuration.model, suite.taken.criterion) == ("big", Criterion.TARGET)
    assert reasons(found) == {"small": WhyNot.BELOW_TARGET, "wasteful": WhyNot.BELOW_TARGET}
    _, found = found_in(RECORDS, target=1.0)
    assert found.suites[0].taken.criterion is Criterion.NEAREST


def test_by_name_the_cheaper_ones_are_worse_or_were_not_asked_for():
    _, found = found_in(RECORDS, Assumptions(), new=Configuration(model="big"))
    assert found.suites[0].taken.criterion is Criterion.NAMED
    assert reasons(found) == {"small": WhyNot.LESS_AND_WORSE, "wasteful": WhyNot.MORE}
    same = [*of_model("cheap", 2, 10.0), *of_model("dear", 2, 100.0)]
    _, found = found_in(same, Assumptions(), new=Configuration(model="dear"))
    assert reasons(found) == {"cheap": WhyNot.LESS}


def test_what_cannot_be_told_is_said():
    twins = [*of_model("a", 2, 10.0), *of_model("b", 2, 10.0)]
    assert set(reasons(found_in(twins, Assumptions())[1]).values()) == {WhyNot.NOT_TOLD_APART}
    dark = [*of_model("a", 2, 10.0), *of_model("b", 2, generation={"energy_j": None})]
    found, shown = page(dark, Assumptions())
    assert reasons(found) == {"b": WhyNot.NOT_COMPARED}
    assert f"energy missing in {TASKS} of {TASKS} tasks" in shown["comparisons"]
    few = [each for each in RECORDS if int(each.task_id.split("/")[1]) < 6]
    assert set(reasons(found_in(few, Assumptions())[1]).values()) == {WhyNot.NO_INTERVAL}


def test_the_page_shows_it():
    found, shown = page(RECORDS)
    comparisons = shown["comparisons"]
    assert TEXTS["alternatives"].en in comparisons
    # The target of 30 % is reached by all three; so grams decide.
    assert "Beside A  small, which has the fewest grams among those shown to reach" in comparisons
    assert TEXTS["why_more_for_quality"].en in comparisons
    assert TEXTS["a_person"].en in comparisons
    best = found.suites[0].cascades.ranked[0].cascade
    assert best.first.model == "small"
    assert TEXTS["cascades_lead"].en in comparisons
    # 400 calls on 30 days, a quarter of the attempts of small accepted.
    month = shown["month"]
    assert "A small 12,000 3,000" in month
    forecast = next(each for each in found.forecasts if each.economy.configuration.model == "small")
    assert f"{forecast.month.energy_kwh.value:.3g}" in month
    assert TEXTS["payback_pays_back"].en in shown["payback"]
    assert "quantising" in shown["payback"]


def test_without_usage_and_one_off_costs_there_is_neither_section():
    _, shown = page(RECORDS, Assumptions())
    assert not shown["month"]
    assert not shown["payback"]


def test_months_are_counted_where_the_pace_is_known_else_solutions():
    found, _ = page(RECORDS)
    (suite,) = found.suites
    saved = suite.decision.payback_g.saved
    payback = suite.decision.payback_g
    assert payback.solutions == pytest.approx(payback.one_off.value / saved.value)
    assert payback.solutions_span == pytest.approx([payback.one_off.value / end for end in reversed(saved.interval)])
    silent = parse_assumptions('[money]\ncurrency="EUR"\n[one_off.x]\nco2e_g=1\nmoney=1')
    _, shown = page(RECORDS, silent)
    assert "no usage given" in shown["payback"]
    assert TEXTS["axis_solutions"].en in shown["payback"]
    assert TEXTS["axis_months"].en not in shown["payback"]


def test_never_is_said():
    found, shown = page(RECORDS, old=Configuration(model="small"), new=Configuration(model="big"))
    assert found.suites[0].decision.payback_g.saved.value < 0
    assert TEXTS["payback_never"].en in shown["payback"]
    assert TEXTS["never"].en in shown.texts["payback"]


def test_the_unmet_and_the_unread_stand_below_the_month(tmp_path):
    from pytest_greencode.economics.usage import parse_usage

    log = "date,calls,configuration\n2026-11-01,10,small\n2026-11-02,ten,small\n2026-11-02,5,elsewhere\n"
    usage = parse_usage(log, path="usage.csv", json_lines=False)
    accounted = account(RECORDS, FACTORS)
    found = find(accounted, RECORDS, MONEY, usage=usage)
    shown = Sections(render_html(accounted, {}, extras=extras_of(found, FACTORS), interactive=False))["month"]
    assert "usage.csv" in shown
    assert "Lines that could not be read, and whose calls are in no figure: 1" in shown
    assert "76.1 calls a month go to elsewhere" in shown  # 5 in two days


@given(
    st.floats(1e-6, 1e6),
    st.floats(-1e3, 1e3),
    st.floats(0, 1e3),
    st.floats(0, 1e3),
    st.floats(1e-3, 1e4),
)
def test_the_band_holds_the_line_and_stays_within_reach(cost, saved, below, above, until):
    chart = charts.BreakEven(
        one_off=cost,
        saved=saved,
        saved_interval=(saved - below, saved + above),
        until=until,
        at=None,
        x_title=TITLE,
        y_title=TITLE,
    )
    low, high = chart.reach()
    slack = 1e-6 * (high - low)
    for x, y in (*chart.band(), *chart.line(saved)):
        assert 0 <= x <= until
        assert low - slack <= y <= high + slack
    # The estimate is whole; the better line is not below it, the worse one not above.
    assert chart.line(saved)[-1][0] == until
    assert low < 0 < high


def test_configurations_are_taken_at_the_same_number_of_attempts():
    _, found = found_in([*of_model("a", 2, 10.0, attempts=2), *of_model("b", 2, 10.0, attempts=4)], Assumptions())
    (suite,) = found.suites
    assert common_attempts(suite.configurations) == 2
    assert {each.comparison.k for each in suite.taken.alternatives} == {2}
