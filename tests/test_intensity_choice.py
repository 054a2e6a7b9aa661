"""Which intensity a run takes: a plugin's, a live one, the table's; and that the run keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import query, right, with_sandbox, write_samples

from pytest_greencode import intensity_sources
from pytest_greencode.errors import UsageProblem
from pytest_greencode.model import Intensity

Pytester = pytest.Pytester
ASKED = "asked.txt"
CONFTEST = f"""
import pytest
from pytest_greencode.model import Intensity

class Mean(float):  # as numpy's float64 is one
    pass

@pytest.hookimpl(optionalhook=True)
def pytest_greencode_intensity(config, region):
    with open({ASKED!r}, "a") as file:
        print(region, file=file)
    if region in ("our-site", "FRA"):
        return Intensity(g_per_kwh=Mean(212.5), region=region, year=2026, source="our utility")
    return {{"none": 0, "zero": Intensity(g_per_kwh=0.0, region=region, year=None, source="certificates")}}.get(region)
"""


@pytest.fixture
def header(pytester: Pytester) -> Callable[..., pytest.RunResult]:
    """The head of a run that attempts nothing."""

    def header(*arguments: str) -> pytest.RunResult:
        path = write_samples(pytester.path / "m.jsonl", right(0))
        return pytester.runpytest_inprocess("-p", "no:xdist", "--greencode", "--collect-only", path, *arguments)

    return header


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A live source that answers from here; gives what it was asked."""
    asked: list[str] = []

    def answer(text: str, *, flag: str, **_: Any) -> Intensity:
        asked.append(f"{flag} {text}")
        if text == "live:broken":
            raise UsageProblem(f"{flag} {text!r}: no answer")
        return Intensity(g_per_kwh=139.0, region="GBR", year=2026, source="live, test; 2026-11-22T01:30Z")

    monkeypatch.setattr(intensity_sources, "live_intensity", answer)
    return asked


def test_a_plugin_is_asked_before_the_table(header, pytester):
    pytester.makeconftest(CONFTEST)
    for region in ("our-site", "FRA"):
        header("--greencode-region", region).stdout.fnmatch_lines(["*212.5 g/kWh*"])
    header("--greencode-region", "DEU").stdout.fnmatch_lines(["*grid DEU 344.1 g/kWh*"])
    assert Path(ASKED).read_text().split() == ["our-site", "FRA", "DEU"]  # once, though both sites have it


@pytest.mark.parametrize("region", ["none", "zero"])
def test_a_plugin_that_answers_nonsense_is_named(header, pytester, region):
    pytester.makeconftest(CONFTEST)
    result = header("--greencode-generation-region", region)
    assert result.ret == 4
    text = " ".join(" ".join(result.errlines).split())
    assert f"--greencode-generation-region '{region}': the hook pytest_greencode_intensity answered" in text


def test_a_live_figure_is_asked_once_for_both_sites(header, live):
    header("--greencode-region", "live:uk").stdout.fnmatch_lines(["*grid GBR 139 g/kWh*"])
    assert live == ["--greencode-region live:uk"]


def test_two_sites_are_asked_each(header, live):
    header("--greencode-region", "live:uk", "--greencode-generation-region", "live:uk:13")
    assert live == ["--greencode-region live:uk", "--greencode-generation-region live:uk:13"]


def test_nothing_is_asked_unless_it_is_wanted(header, live):
    header("--greencode-region", "GBR")
    header()
    assert live == []


def test_what_goes_wrong_ends_the_run_with_a_word(header, live):
    result = header("--greencode-region", "live:broken")
    assert result.ret == 4
    assert "--greencode-region 'live:broken': no answer" in " ".join(" ".join(result.errlines).split())


@pytest.mark.usefixtures("live")
def test_the_run_keeps_what_it_took(pytester, any_sandbox):
    pytester.makeconftest(CONFTEST)
    generation = {"energy_j": 3.6e6, "energy_method": "measured", "source": "nvml", "region": "our-site"}
    path = write_samples(pytester.path / "m.jsonl", right(0, generation=generation))
    arguments = (path, "--greencode-region", "live:uk", "--greencode-jobs", "1", "--greencode-report", "json:r.json")
    result = pytester.runpytest_inprocess("-p", "no:xdist", *with_sandbox(any_sandbox, *arguments))
    assert result.ret == 0
    report = json.loads(Path("r.json").read_text())
    expected = {
        "g_per_kwh": 139.0,
        "region": "GBR",
        "year": 2026,
        "source": "live, test; 2026-11-22T01:30Z",
        "licence": None,
    }
    assert report["factors"]["execution"] == report["run"]["factors"]["execution"] == expected
    [(facts,)] = query(Path(".greencode/ledger.sqlite"), "SELECT facts FROM run")
    assert json.loads(facts)["factors"]["execution"] == expected
    # 1 kWh on the grid that the plugin has for the record's own region.
    assert report["configurations"][0]["co2e_g"]["generation"] == pytest.approx(212.5)


@pytest.mark.usefixtures("live")
def test_no_record_makes_a_call(pytester, any_sandbox, live):
    generation = {"energy_j": 3.6e6, "energy_method": "measured", "source": "nvml", "region": "live:uk"}
    path = write_samples(pytester.path / "m.jsonl", right(0, generation=generation))
    pytester.runpytest_inprocess("-p", "no:xdist", *with_sandbox(any_sandbox, path, "--greencode-jobs", "1"))
    assert live == []


def test_workers_ask_nothing(pytester, any_sandbox, live):
    # A worker is another process, where `live` does not reach: its call would leave this machine, and fail.
    path = write_samples(pytester.path / "m.jsonl", right(0), right(1))
    arguments = (path, "--greencode-region", "live:uk", "--greencode-jobs", "1", "-n", "2")
    result = pytester.runpytest_inprocess(*with_sandbox(any_sandbox, *arguments))
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["factors *GBR 139 g/kWh (2026, live, test; 2026-11-22T01:30Z)*"])
    assert live == ["--greencode-region live:uk"]
