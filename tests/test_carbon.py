from __future__ import annotations

import math

import pytest

from pytest_greencode import carbon
from pytest_greencode.data import rows
from pytest_greencode.errors import UsageProblem
from pytest_greencode.model import Intensity


def test_the_table_is_well_formed():
    table = rows("grid_intensity.csv")
    codes = [row["iso3"] for row in table]
    assert len(codes) == len(set(codes)) > 200
    assert codes == sorted(codes)
    assert {"WOR", "FRA", "USA", "CHN", "DEU"} <= set(codes)
    for row in table:
        assert len(row["iso3"]) == 3
        assert row["iso3"].isascii()
        assert row["iso3"].isupper()
        assert row["name"]
        assert 0 < float(row["g_per_kwh"]) < 2000, row
        assert 2000 <= int(row["year"]) <= 2026, row


@pytest.mark.parametrize("region", ["FRA", "fra", " Fra "])
def test_a_country_is_found_in_any_case(region):
    assert carbon.grid_intensity(region) == Intensity(
        g_per_kwh=44.18, region="FRA", year=2024, source="Our World in Data / Ember", licence="CC-BY-4.0"
    )


@pytest.mark.parametrize("region", ["WOR", "wor", "world", "World"])
def test_the_world_has_names(region):
    assert carbon.grid_intensity(region) == carbon.world()
    assert carbon.world().region == "WOR"


@pytest.mark.parametrize(
    ("region", "near"), [("FR", "FRA (France)"), ("Germnay", "DEU (Germany)"), ("japan", "JPN (Japan)")]
)
def test_an_unknown_region_names_the_flag_the_nearest_and_the_way_out(region, near):
    with pytest.raises(UsageProblem) as problem:
        carbon.grid_intensity(region)
    text = str(problem.value)
    assert "--greencode-region" in text
    assert near in text
    assert "56g" in text


def test_another_flag_is_named_instead():
    with pytest.raises(UsageProblem, match=r"^--greencode-generation-region: unknown region 'XXX'"):
        carbon.parse_region("XXX", flag="--greencode-generation-region")


@pytest.mark.parametrize(
    ("text", "g_per_kwh"), [("56", 56), ("56g", 56), ("56 g", 56), ("56 g/kWh", 56), (" .5 ", 0.5), ("1e2G", 100)]
)
def test_the_users_own_number(text, g_per_kwh):
    assert carbon.parse_region(text) == Intensity(g_per_kwh=g_per_kwh, region="user", year=None, source="user")


def test_a_code_is_a_region():
    assert carbon.parse_region("FRA") == carbon.grid_intensity("FRA")


@pytest.mark.parametrize(
    "text", ["0", "0g", "-5", "1e999", "nan", "inf", "-inf", "56kg", "0.056 kg/kWh", "56 gCO2", "5,6", "", " ", "g"]
)
def test_everything_else_is_refused_with_a_way_out(text):
    with pytest.raises(UsageProblem, match=r"--greencode-region.*56g"):
        carbon.parse_region(text)


def test_every_country_is_finite_and_dated():
    for row in rows("grid_intensity.csv"):
        intensity = carbon.grid_intensity(row["iso3"])
        assert math.isfinite(intensity.g_per_kwh)
        assert intensity.year == int(row["year"])
