"""Sentences and lines on money, human work and use: both languages, 80 columns, and nothing hostile gets through."""

import re

import pytest
from economy import FACTORS, A, R, economies, records_of
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_greencode.economics.assumptions import parse_assumptions
from pytest_greencode.economics.economy import CO2E
from pytest_greencode.economics.expectation import Figure, unknown
from pytest_greencode.economics.forecast import Demand, forecast, forecasts, logged_demands
from pytest_greencode.economics.payback import Claim, ClaimKind, PaybackKind, claim, one_off, payback
from pytest_greencode.economics.usage import parse_usage
from pytest_greencode.reasons import Reason
from pytest_greencode.reports import sentences
from pytest_greencode.reports.economics import (
    assumption_lines,
    duration,
    economics_lines,
    forecast_lines,
    one_off_lines,
)
from pytest_greencode.reports.sentences import LANGUAGES, amount, claim_sentence, payback_sentence
from pytest_greencode.reports.text import columns

HOSTILE = "evil\x1b[31m\r\nmodel\u202e\ud800\u200b{0}{new}"
MONEY = """
[money]
currency = "EUR"
electricity_per_kwh = 0.30
[human]
minutes_per_task = 12
hourly_rate = 50
"""
SAME = Figure(value=-0.01, interval=(-0.04, 0.02))
MONTHLY = Figure(value=1000.0)


def ratio(low, high):
    return Figure(value=(low * high) ** 0.5, interval=(low, high))


def said(found, **arguments):
    return claim_sentence(found, old="old", new="new", **arguments)


# Sentences.


def test_what_is_saved():
    shown = said(claim(Figure(value=0.7, interval=(0.6, 0.8)), SAME))
    assert shown == (
        "new: 30.0 % [20.0, 40.0] less CO2e per accepted solution than old, while their quality is not told apart "
        "(pass@k -1.0 points [-4.0, +2.0])"
    )
    shown = said(claim(Figure(value=1.3, interval=(1.2, 1.4)), SAME))
    assert shown.startswith("new: 30.0 % [20.0, 40.0] more CO2e per accepted solution than old, while their quality")


def test_what_may_not_be_claimed():
    uncertain = said(claim(Figure(value=0.9, interval=(0.7, 1.2)), SAME))
    assert "cannot be told: from 30.0 % less to 20.0 % more" in uncertain
    worse = said(claim(ratio(0.5, 0.6), Figure(value=-0.05, interval=(-0.08, -0.02))))
    assert worse == "No saving of new over old is claimed, as its quality is worse: pass@k -5.0 points [-8.0, -2.0]"
    unproven = said(claim(ratio(0.5, 0.6), SAME, 0.02))
    assert unproven.endswith("a loss of up to 2.00 points counts as equal")
    assert said(claim(unknown("none accepted"), SAME)).endswith("is not known: none accepted")
    assert said(claim(ratio(0.5, 0.6), Figure())).endswith("the quality was not compared")


def test_when_it_is_paid_back():
    found = payback(Figure(value=1000.0), Figure(value=0.625), Figure(value=0.8, interval=(0.7, 0.9)), MONTHLY)
    assert payback_sentence(found) == (
        "The one-off cost of 1.00 kgCO2e is paid back after 8.00 months [5.33, 16.0] "
        "(8000 accepted solutions [5333, 16000], at 1,000 a month)"
    )
    assert "初期コスト1.00 EURの回収期間は" in payback_sentence(
        payback(Figure(value=1.0), Figure(value=0.625), ratio(0.7, 0.9), MONTHLY), unit="EUR", language="ja"
    )


def test_when_it_is_not():
    old, cost = Figure(value=1.0), Figure(value=10.0)
    assert payback_sentence(payback(cost, old, ratio(1.2, 1.4), MONTHLY)) == (
        "The one-off cost of 10.0 gCO2e is never paid back: nothing is saved per accepted solution"
    )
    never = payback_sentence(payback(cost, old, ratio(0.5, 1.2), MONTHLY))
    assert never.endswith("cannot be told: 0.0200 months at best, never at worst")
    without = payback_sentence(payback(cost, old, ratio(0.5, 0.6), unknown("no usage given")))
    assert without.endswith("after 22.1 accepted solutions [20.0, 25.0]; months are not known: no usage given")
    assert payback_sentence(payback(unknown("no one-off cost given"), old, ratio(0.5, 0.6), MONTHLY)).endswith(
        "is not known: no one-off cost given"
    )


@pytest.mark.parametrize("catalogue", [sentences._CLAIMS, sentences._PAYBACKS, sentences._WORDS])
def test_both_languages_say_everything(catalogue):
    assert set(catalogue) == set(LANGUAGES)
    english, japanese = catalogue["en"], catalogue["ja"]
    assert set(english) == set(japanese)
    for key in english:
        slots = [sorted(re.findall(r"{(\w+)}", text)) for text in (english[key], japanese[key])]
        assert slots[0] == slots[1], key
    assert set(sentences._CLAIMS["en"]) == set(ClaimKind)
    assert set(sentences._PAYBACKS["en"]) == set(PaybackKind)


@pytest.mark.parametrize(
    "reason",
    [
        Reason("none_accepted"),
        Reason.several([Reason("energy_missing", part="generation", count=3, attempts=4), Reason("none_accepted")]),
        Reason("resource_missing", resource="device_h", count=1, attempts=2),
        Reason("no_one_off"),
    ],
)
def test_reasons_have_their_japanese(reason):
    shown = said(
        Claim(kind=ClaimKind.UNKNOWN, saved=Figure(), quality=Figure(), margin=None, reason=reason), language="ja"
    )
    assert not re.search(r"missing|accepted|given|few|recorded", shown)


figures = st.builds(
    Figure,
    value=st.none() | st.floats(-1e6, 1e6),
    interval=st.none() | st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(lambda ends: tuple(sorted(ends))),
    reason=st.none() | st.just(HOSTILE),
)


@given(figures, figures, figures, st.none() | st.floats(0, 1), st.sampled_from(LANGUAGES))
def test_any_sentence_is_one_printable_line(a, b, c, margin, language):
    shown = claim_sentence(claim(a, b, margin), old=HOSTILE, new=HOSTILE, language=language)
    shown += payback_sentence(payback(a, b, c, Figure(value=margin)), language=language)
    assert shown.isprintable()
    assert "None" not in shown
    assert "nan" not in shown


def test_amounts():
    assert amount(0.00625, CO2E) == "6.25 mgCO2e"
    assert amount(1500.0, CO2E) == "1.50 kgCO2e"
    assert amount(3.0, "EUR\n") == r"3.00 EUR\n"
    assert amount(None, "EUR") == "?"
    assert [duration(s) for s in (2e-6, 0.5, 60, 150, 9000, 2e5)] == [
        "2.00 µs",
        "500 ms",
        "60.0 s",
        "2.50 min",
        "2.50 h",
        "2.31 d",
    ]


# Lines.

TASKS = [[(3600.0, A), (3600.0, R)], [(3600.0, A), (3600.0, A)]]


def joined(lines):
    return " ".join(" ".join(lines).split())


def test_side_by_side():
    records = [*records_of(TASKS), *records_of([[(j / 2, v) for j, v in task] for task in TASKS], model="thrifty")]
    shown = economics_lines(economies(records, MONEY + "[alternative.tool]\nco2e_g_per_solution = 2\n"))
    assert "pass@1 %  pass@2 %" in shown[2]
    table = shown[4 : shown.index("", 4)]
    rows = {line.split("  ")[0]: line.split() for line in table}
    assert rows["thrifty"][1:] == ["75.0", "100", "11.2", "s", "312", "mg", "0.000188"]
    assert rows["m"][1:] == ["75.0", "100", "11.2", "s", "625", "mg", "0.000375"]
    assert rows["a person"][2:] == ["12.0", "min", "6.00", "g", "10.0"]
    assert rows["tool"][1:] == ["?", "2.00", "g", "?"]
    # The best first, a person and other tools last.
    assert list(rows) == ["thrifty", "m", "a person", "tool"]
    text = joined(shown)
    assert "m: 75.0 s of a 60 W workstation; one attempt 60.0 s" in text
    assert "m: CO2e: 10.4 % of 6.00 gCO2e; break-even at a pass rate of 8.33 %" in text
    assert "m: tool: CO2e: 31.2 % of 2.00 gCO2e; break-even at a pass rate of 25.0 %" in text
    assert "spread CO2e: m is 2.00 times thrifty" in text
    assert "disagree" not in text


def test_grams_and_money_that_disagree():
    prices = "[[money.tokens]]\nmodel='thrifty'\nprompt_per_million=1000\ncompletion_per_million=1000\n"
    records = [*records_of(TASKS), *records_of([[(j / 2, v) for j, v in task] for task in TASKS], model="thrifty")]
    text = joined(economics_lines(economies(records, MONEY + prices)))
    assert "disagree CO2e and money: thrifty emits least and costs 833 times as much" in text
    assert "m is cheapest and emits 2.00 times as much" in text
    assert "the sums are over different parts" in text


def test_what_is_not_known_is_a_question_mark_with_its_reason():
    text = joined(
        economics_lines(economies(records_of(TASKS, generation={"energy_j": None, "duration_s": None}), MONEY))
    )
    assert "unknown CO2e: generation energy missing for 4 of 4 attempts" in text
    assert "money: generation_kwh not recorded for 4 of 4 attempts" in text
    assert economics_lines([]) == ["no attempts"]


def test_forecasts_and_what_the_log_left_out():
    log = parse_usage(
        "date,calls,accepted,configuration,label,x\n2026-11-01,100,25,m,team a,\nbroken,1,,,,\n2026-11-01,5,,n,b,\n",
        path="u.csv",
    )
    met, unmet = forecasts(logged_demands(log), economies(records_of(TASKS), MONEY))
    text = joined(forecast_lines(met, unmet=unmet, log=log))
    assert "m on suite, team a" in text
    assert "3,044 calls a month, 761 accepted (share of accepted calls in use)" in text
    assert "CO2e 1.52 kgCO2e a month, 18.3 kgCO2e a year" in text
    assert "in use 2.00 gCO2e per accepted solution" in text
    assert "not read 1 lines, whose calls are in no figure u.csv:3: field 'date'" in text
    assert "not used columns x" in text
    assert "not met n (b): 152 calls a month of no configuration here" in text
    assert forecast_lines([]) == ["no usage given: nothing to forecast"]


def test_the_appendix():
    found = parse_assumptions(MONEY + "[one_off.q]\nenergy_kwh = 2\n")
    text = joined(assumption_lines(found.entries))
    assert "human.minutes_per_task = 12 minutes (assumptions.toml:6)" in text
    assert "human.workstation_w = 60 W (default of 60 W: upper end" in text

    assert one_off_lines(one_off(found, FACTORS), "EUR") == ["one-off      q: 1.00 kgCO2e, 0.600 EUR"]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from([A, R])), min_size=1, max_size=2), min_size=1, max_size=12
    ),
    st.sampled_from([HOSTILE, "模型" * 20, "x" * 200, "m"]),
    st.sampled_from([40, 60, 80, 120]),
    st.sampled_from(["", MONEY]),
)
def test_lines_fit_and_are_printable(tasks, name, width, text):
    found = economies([*records_of(tasks, model=name), *records_of(tasks, model="n")], text)
    demand = Demand(calls_per_month=1e7, solutions_per_month=None, accepted_share=0.1, source="", label=name)
    log = parse_usage(f"date,calls,{'c' * 90}\n\x1b,{name!r}", path=name.replace("\n", ""))
    shown = [
        *economics_lines(found, width=width),
        *forecast_lines([forecast(demand, each) for each in found], unmet=[demand], log=log, width=width),
        *assumption_lines(parse_assumptions(text, path=name).entries, width=width),
    ]
    for line in shown:
        assert columns(line) <= width
        assert line.isprintable()


def test_quality_is_called_equal_only_where_a_margin_is_kept():
    less = Figure(value=0.7, interval=(0.6, 0.8))

    def said(quality, margin=None):
        low, high = quality
        found = claim(less, Figure(value=(low + high) / 2, interval=quality), margin)
        return claim_sentence(found, old="old", new="new", k=4)

    assert "at equal quality (pass@4" in said((-0.01, 0.01), margin=0.02)
    assert "while their quality is not told apart" in said((-0.2, 0.3))
    assert "at better quality" in said((0.02, 0.1))
    assert "at better quality" in said((0.02, 0.1), margin=0.02)
    assert "No saving" in said((-0.1, 0.1), margin=0.02)
