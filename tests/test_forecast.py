"""Usage logs, read whole or with each broken line told; forecasts, by hand and what must hold for any demand."""

import datetime

import pytest
from economy import A, R, economies, records_of
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode.economics.assumptions import parse_assumptions
from pytest_greencode.economics.forecast import Demand, forecast, forecasts, logged_demands, stated_demand
from pytest_greencode.economics.usage import DAYS_PER_MONTH, UsageRow, parse_usage, read_usage
from pytest_greencode.errors import FileFormatError

MONEY = '[money]\ncurrency = "EUR"\nelectricity_per_kwh = 0.30\n'
TWO_TASKS = [[(3600.0, A), (3600.0, R)], [(3600.0, A), (3600.0, A)]]


def parsed(text, **arguments):
    return parse_usage(text, path="u.csv", **arguments)


# The log.


def test_a_log():
    text = "Date , calls,accepted,configuration,label,cost\n2026-11-01,100,40,m,a,9\n2026-11-03T10:00:00Z,50,,,,\n"
    found = parsed(text)
    assert found.rows == (
        UsageRow(date=datetime.date(2026, 11, 1), calls=100, accepted=40, configuration="m", label="a"),
        UsageRow(date=datetime.date(2026, 11, 3), calls=50),
    )
    assert (found.broken, found.ignored) == ((), ("cost",))
    assert (found.span_days, found.days_with_rows) == (3, 2)


def test_json_lines():
    text = '{"date": "2026-11-01", "calls": 3, "label": "\u2028"}\n\n{"date": "2026-11-01", "calls": 1, "accepted": 1}'
    found = parsed(text, json_lines=True)
    assert [row.calls for row in found.rows] == [3, 1]
    assert found.broken == ()


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ("2026-13-01,1,0", "date", "a date such as"),
        ("20261101,1,0", "date", "a date such as"),
        ("2026-11-01,,0", "calls", "a whole number"),
        ("2026-11-01,1.5,0", "calls", "a whole number"),
        ("2026-11-01,-1,0", "calls", "a whole number"),
        ("2026-11-01,99999999999999999,0", "calls", "a whole number"),
        ("2026-11-01,²,0", "calls", "a whole number"),
        ("2026-11-01,3,4", "accepted", "from 0 to the 3 calls"),
        ("2026-11-01,3", None, "3 cells"),
        ('2026-11-01,"3,4', None, "CSV"),
        ("2026-W45-1,3,0", "date", "a date such as"),
    ],
)
def test_a_broken_line_is_told_and_costs_no_other(line, field, expected):
    found = parsed(f"date,calls,accepted\n2026-11-01,5,1\n{line}\n2026-11-02,7,2\n")
    assert [row.calls for row in found.rows] == [5, 7]
    [broken] = found.broken
    assert (broken.line, broken.field) == (3, field)
    assert expected in broken.expected
    assert next(found.problems()).startswith("u.csv:3:")


@pytest.mark.parametrize("line", ["[]", "{", "3", '{"calls": 3}', '{"date": 3, "calls": 3}', "[" * 100000, "9" * 5000])
def test_a_broken_json_line_is_told(line):
    found = parsed(f'{line}\n{{"date": "2026-11-02", "calls": 7}}', json_lines=True)
    assert [row.calls for row in found.rows] == [7]
    assert [broken.line for broken in found.broken] == [1]


@pytest.mark.parametrize("text", ["", "\n\n", "day,calls\n1,2", "date,calls,calls\n"])
def test_no_log_at_all(text):
    with pytest.raises(FileFormatError, match="header"):
        parsed(text)


def test_files(tmp_path):
    path = tmp_path / "u.csv"
    path.write_bytes(b"\xef\xbb\xbfdate,calls,label\r\n2026-11-01,3,\xff\r\n2026-11-02,4,b\r\n")
    found = read_usage(path, display_path="u.csv")
    assert [row.calls for row in found.rows] == [4]
    assert list(found.problems()) == ["u.csv:2: field 'label': expected UTF-8 text, found '\\udcff'"]
    with pytest.raises(FileFormatError, match="no such file"):
        read_usage(tmp_path / "none.csv")


cells = st.text(st.characters(exclude_characters="\n", exclude_categories=("Cs",)), max_size=12)


@given(st.lists(cells | st.sampled_from(["2026-11-01,3,x", "2026-11-02,4,y"]), max_size=12), st.booleans())
def test_every_line_is_a_row_or_told(lines, json_lines):
    found = parse_usage("\n".join(["date,calls,label", *lines]), path="u", json_lines=json_lines)
    blank = sum(not line.strip() if json_lines else not line.strip(" \t\r,;") for line in lines)
    assert len(found.rows) + len(found.broken) == len(lines) - blank + json_lines
    assert len(list(found.problems())) == len(found.broken)


# Demands.


def test_demands_of_a_log():
    log = parsed(
        "date,calls,accepted,configuration,label\n"
        "2026-11-01,100,40,m,a\n2026-11-10,100,,m,a\n2026-11-02,50,,m,b\n2026-11-02,7,1,n,\n"
    )
    found = {(demand.configuration, demand.label): demand for demand in logged_demands(log)}
    # Ten days from first to last, whoever called.
    assert found["m", "a"].calls_per_month == pytest.approx(20 * DAYS_PER_MONTH)
    assert found["m", "a"].accepted_share == pytest.approx(0.4)
    assert found["m", "b"].calls_per_month == pytest.approx(5 * DAYS_PER_MONTH)
    assert found["m", "b"].accepted_share is None
    assert found["n", ""].accepted_share == pytest.approx(1 / 7)
    assert sum(demand.calls_per_month for demand in found.values()) == pytest.approx(257 / 10 * DAYS_PER_MONTH)
    met, unmet = forecasts(found.values(), economies(records_of(TWO_TASKS)))
    assert [forecast.demand.label for forecast in met] == ["a", "b"]
    assert [demand.configuration for demand in unmet] == ["n"]
    assert logged_demands(parsed("date,calls\n")) == ()


def test_stated_demands():
    calls = stated_demand(parse_assumptions("[usage]\ncalls_per_day = 10\ndays_per_month = 20\naccept_rate = 0.5"))
    assert (calls.calls_per_month, calls.solutions_per_month, calls.accepted_share) == (200, None, 0.5)
    solutions = stated_demand(parse_assumptions("[usage]\nsolutions_per_month = 10"))
    assert (solutions.calls_per_month, solutions.solutions_per_month) == (None, 10)
    assert stated_demand(parse_assumptions("")) is None
    assert stated_demand(parse_assumptions("[usage]\nlog = 'u.csv'")) is None


# Forecasts.


def demand(**changes):
    values = {"calls_per_month": None, "solutions_per_month": None, "accepted_share": None, "source": "test"}
    return Demand(**values | changes)


def test_calls_by_hand():
    [economy] = economies(records_of(TWO_TASKS), MONEY)
    found = forecast(demand(calls_per_month=1000.0), economy)
    assert found.month.co2e_g.value == pytest.approx(500.0)
    assert found.month.energy_kwh.value == pytest.approx(1.0)
    assert found.month.money.value == pytest.approx(0.3)
    assert found.year.co2e_g.value == pytest.approx(6000.0)
    assert found.solutions_per_month.value == pytest.approx(750.0)
    assert found.solutions_by == "pass@1 of the benchmark"
    assert found.per_accepted_g.value is None
    used = forecast(demand(calls_per_month=1000.0, accepted_share=0.25), economy)
    assert used.solutions_per_month.value == pytest.approx(250.0)
    assert used.per_accepted_g.value == pytest.approx(2.0)
    assert forecast(demand(calls_per_month=1000.0, accepted_share=0.0), economy).per_accepted_g.value is None


def test_solutions_by_hand():
    [economy] = economies(records_of(TWO_TASKS), MONEY)
    found = forecast(demand(solutions_per_month=1000.0), economy)
    assert found.month.co2e_g.value == pytest.approx(625.0)
    assert found.month.money.value == pytest.approx(0.375)
    assert found.solutions_per_month.value == 1000.0


def test_what_is_not_known_stays_so():
    [economy] = economies(records_of([[(3600.0, R)]]))
    found = forecast(demand(solutions_per_month=10.0), economy)
    assert found.year.co2e_g.reason == "none accepted"
    assert found.year.money.reason == "no price given"
    assert forecast(demand(calls_per_month=10.0), economy).month.co2e_g.value == pytest.approx(5.0)


@given(
    st.lists(st.tuples(st.floats(1, 1e5), st.sampled_from([A, R])), min_size=10, max_size=14),
    st.floats(0, 1e6),
    st.floats(1, 10),
    st.sampled_from(["calls_per_month", "solutions_per_month"]),
)
def test_twice_the_demand_is_twice_the_cost(attempts, amount, factor, unit):
    [economy] = economies(records_of([[attempt] for attempt in attempts]), MONEY)
    found = forecast(demand(**{unit: amount}), economy).month
    more = forecast(demand(**{unit: amount * factor}), economy).month
    for name in ("co2e_g", "energy_kwh", "money"):
        less, larger = getattr(found, name), getattr(more, name)
        assert (less.value is None) == (larger.value is None)
        if less.value is not None:
            assert larger.value == pytest.approx(less.value * factor)
            assert larger.interval == pytest.approx(tuple(end * factor for end in less.interval))
            low, high = less.interval
            assert low <= less.value * (1 + 1e-9)
            assert less.value <= high * (1 + 1e-9)
