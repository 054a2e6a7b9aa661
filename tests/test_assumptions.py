"""The assumptions file: every value traced to its line, and every mistake named with it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode.economics.assumptions import Assumptions, parse_assumptions, read_assumptions
from pytest_greencode.errors import FileFormatError, UsageProblem
from pytest_greencode.model import Intensity

GRID = Intensity(g_per_kwh=500.0, region="X", year=2024, source="test")
FULL = """\
[money]
currency = "EUR"
electricity_per_kwh = { generation = 0.12, execution = 0.25 }

[[money.tokens]]
model = "gpt-4o*"
prompt_per_million = 2.5
completion_per_million = 10

[[money.tokens]]
model = "*"
prompt_per_million = 1
completion_per_million = 2

[money.hardware.generation]
price = 30000
lifetime_years = 4
used_hours_per_year = 5000
share = 0.5
[money.hardware.execution]
per_hour = 1.2

[human]
minutes_per_task = 12
hourly_rate = 50
region = "FRA"
workstation_w = 90
[human.suites.mbpp]
minutes_per_task = 6
[human.tasks."HumanEval/1"]
hourly_rate = 80

[alternative."snippet tool"]
co2e_g_per_solution = 0.4
money_per_solution = 0.02

[usage]
calls_per_day = 400
accept_rate = 0.3
days_per_month = 21

[one_off.quantising]
energy_kwh = 3.2
co2e_g = 10
money = 100

[target]
pass_at_k = 0.8
quality_margin = 0.02
"""


def problem(text):
    with pytest.raises(FileFormatError) as caught:
        parse_assumptions(text, path="a.toml")
    return caught.value


def test_everything_there_is_to_say():
    found = parse_assumptions(FULL, path="dir/a.toml")
    assert found.currency == "EUR"
    assert found.money.electricity_per_kwh.generation == 0.12
    assert found.money.token_price("gpt-4o-mini").completion_per_million == 10
    assert found.money.token_price("llama").completion_per_million == 2
    assert found.money.hardware.generation.per_used_hour() == 30000 * 0.5 / 20000
    assert found.money.hardware.execution.per_used_hour() == 1.2
    assert found.human.minutes("humaneval", "HumanEval/0") == 12
    assert found.human.minutes("mbpp", "Mbpp/2") == 6
    assert found.human.rate("mbpp", "Mbpp/2") == 50
    assert found.human.rate("humaneval", "HumanEval/1") == 80
    assert found.human.minutes("humaneval", "HumanEval/1") == 12
    assert found.human.grid(GRID).region == "FRA"
    assert found.human.power_w() == 90
    assert found.alternative["snippet tool"].money_per_solution == 0.02
    assert found.days_per_month == 21
    assert found.one_off["quantising"].energy_kwh == 3.2
    assert found.target.quality_margin == 0.02


def test_every_value_has_its_line():
    entries = {entry.name: entry for entry in parse_assumptions(FULL, path="a.toml").given}
    lines = FULL.splitlines()
    for name, entry in entries.items():
        path, line = entry.origin.split(":")
        assert path == "a.toml"
        key = name.split(".")[-1] if "electricity" not in name else "electricity_per_kwh"
        assert lines[int(line) - 1].startswith(key), name
    assert entries["human.workstation_w"].value == "90"
    assert entries["human.workstation_w"].unit == "W"
    assert entries["money.tokens.1.model"].origin == "a.toml:11"
    assert all(entry.unit for entry in entries.values())
    # Nothing is left to defaults here but the share of a machine paid by the hour.
    assert [e.name for e in parse_assumptions(FULL).entries if e.name not in entries] == [
        "money.hardware.execution.share"
    ]


def test_defaults_are_told_with_their_source():
    assert parse_assumptions("") == Assumptions(path="assumptions.toml")
    told = {entry.name: entry for entry in Assumptions().entries}
    assert set(told) == {"human.workstation_w", "human.region"}
    assert told["human.workstation_w"].value == "60"
    assert "Winrock International 2004" in told["human.workstation_w"].origin
    assert Assumptions().human.grid(GRID) is GRID
    bought = parse_assumptions(
        '[money]\ncurrency="EUR"\n[money.hardware.execution]\nprice=100\nlifetime_years=1\n[usage]\ncalls_per_day=3'
    )
    names = {entry.name for entry in bought.entries}
    assert {"money.hardware.execution.used_hours_per_year", "usage.days_per_month"} < names
    assert bought.money.hardware.execution.per_used_hour() == 100 / 8766
    assert math.isclose(bought.days_per_month, 30.4375)


def test_one_price_of_electricity_is_both_sites():
    found = parse_assumptions('[money]\ncurrency = "EUR"\nelectricity_per_kwh = 0.25').money.electricity_per_kwh
    assert (found.generation, found.execution) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("text", "line", "field", "expected", "found"),
    [
        ("[mony]", 1, "mony", "one of the keys money, human", "'mony'"),
        (
            "\n[money]\nelectricity_per_mwh = 3",
            3,
            "money.electricity_per_mwh",
            "nearest: electricity_per_kwh",
            "per_mwh",
        ),
        ('[money]\nelectricity_per_kwh = "0.2 EUR"', 2, "money.electricity_per_kwh", "currency per kWh", "'0.2 EUR'"),
        ("[money.electricity_per_kwh]\nexecution = true", 2, "money.electricity_per_kwh.execution", "a number", "True"),
        ("[human]\n\nminutes_per_task = '12'", 3, "human.minutes_per_task", "a number (minutes)", "'12'"),
        ("[human]\nminutes_per_task = 0", 2, "human.minutes_per_task", "more than 0", "0"),
        ("[human]\nhourly_rate = 3", 2, "human.hourly_rate", "money.currency", "no currency"),
        ("[alternative.a]\nmoney_per_solution=1", 2, "alternative.a.money_per_solution", "money.currency", "no curr"),
        ("[usage]\ncalls_per_day = 3\naccept_rate = 40", 3, "usage.accept_rate", "at most 1 (share of calls", "40"),
        ("[usage]\naccept_rate = 0.4", 1, "usage", "accept_rate beside calls_per_day", "without it"),
        ("[usage]\ncalls_per_day = 1\nlog = 'a'", 1, "usage", "one of calls_per_day", "calls_per_day and log"),
        ("[usage]\ncalls_per_day = nan", 2, "usage.calls_per_day", "a finite number", "nan"),
        ("[usage]\ncalls_per_day = -1", 2, "usage.calls_per_day", "at least 0", "-1"),
        ('[human]\nregion = "FRX"', 2, "human.region", "FRA", "'FRX'"),
        ("[human]\nregion = 56", 2, "human.region", "g/kWh", "56"),
        ("[one_off]\nenergy_kwh = 3", 2, "one_off.energy_kwh", "a table", "3"),
        (
            "[[money.tokens]]\nmodel = 'a'\nprompt_per_million=1",
            1,
            "money.tokens.0.completion_per_million",
            "key",
            "not",
        ),
        (
            "[money.hardware.execution]\nprice = 3",
            1,
            "money.hardware.execution",
            "price with lifetime_years",
            "neither",
        ),
        (
            "[money.hardware.execution]\nprice = 3\nlifetime_years = 1\nper_hour = 2",
            1,
            "money.hardware.execution",
            "either",
            "both",
        ),
        ("[money]\ncurrency = ''", 2, "money.currency", "not empty", "''"),
        ("a = 1\na = 2", 2, None, "TOML", ""),
        ("[target]\npass_at_k = 1979-05-27", 2, "target.pass_at_k", "a number", "date"),
    ],
)
def test_a_mistake_is_named(text, line, field, expected, found):
    error = problem(text)
    assert (error.line, error.field) == (line, field)
    assert expected in error.expected
    assert found in error.found
    assert str(error).startswith(f"a.toml:{line}:")


def test_the_first_mistake_of_the_file_is_named():
    assert problem("[target]\nwrong = 1\n[money]\nalso_wrong = 2").line == 2


def test_lines_after_a_text_of_several_lines():
    text = '[money]\ncurrency = """\nEUR"""\n[human]\n# minutes_per_task = 3\nminutes_per_task = 4'
    assert [entry.origin for entry in parse_assumptions(text).given] == ["assumptions.toml:2", "assumptions.toml:6"]


def test_files(tmp_path):
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf[usage]\r\nlog = 'logs/u.csv'\r\n")
    found = read_assumptions(path, display_path="a.toml")
    assert found.log_path == tmp_path / "logs" / "u.csv"
    assert found.given[0].origin == "a.toml:2"
    path.write_bytes(b"a = 1\n\xff")
    with pytest.raises(FileFormatError, match=r":2: expected UTF-8, found byte 0xff"):
        read_assumptions(path)
    with pytest.raises(FileFormatError, match="no such file"):
        read_assumptions(tmp_path / "none.toml")
    with pytest.raises(FileFormatError, match="expected a readable file"):
        read_assumptions(tmp_path)
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(FileFormatError, match="at most 1 MiB"):
        read_assumptions(path)


@given(st.text(max_size=200) | st.lists(st.sampled_from(FULL.splitlines()), max_size=12).map("\n".join))
def test_any_text_is_read_or_refused_with_a_reason(text):
    try:
        found = parse_assumptions(text, path="a.toml")
    except UsageProblem as error:
        refusal = str(error)
    else:
        assert all(entry.name and entry.origin for entry in found.entries)
        return
    assert refusal.startswith("a.toml")
    assert "expected" in refusal
