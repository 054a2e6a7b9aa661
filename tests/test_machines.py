"""Embodied carbon: the carried table, names of GPUs, a user's own machine, other grids, water and primary energy."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import statistics
from fractions import Fraction
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode import carbon, data
from pytest_greencode.data import rows
from pytest_greencode.errors import UsageProblem
from pytest_greencode.model import Intensity

TABLE = rows("embodied.csv")
PARTS = [row for row in TABLE if row["kind"] == "part"]
GPUS = [row for row in TABLE if row["kind"] == "gpu"]
FLAG = "--greencode-machine"
DATA = Path(os.environ.get("GREENCODE_DATA") or Path(__file__).parents[2] / "shared" / "data")
ML_ENERGY = sorted((DATA / "generation_energy" / "ml-energy-leaderboard-v2-code").rglob("bs*.json"))
YEAR_S = 365 * 24 * 3600


def figure(row: dict[str, str], column: str) -> float:
    return float(row[column])


# -- the table ------------------------------------------------------------------------------------------------------


def test_the_table_is_well_formed():
    assert {row["kind"] for row in TABLE} == {"gpu", "part", "host"}
    names = [row["name"].lower() for row in TABLE]
    matches = [frozenset(row["match"].split()) for row in GPUS]
    assert len(names) == len(set(names))
    assert len(matches) == len(set(matches))
    for row in TABLE:
        assert 0 < figure(row, "low_kg") < figure(row, "kg") < figure(row, "high_kg") < 1e4, row
        assert row["source"]
        assert row["power_w"] == "" or 0 < float(row["power_w"]) <= 1500
        assert row["threads"] == "" or 1 <= int(row["threads"]) <= 512


@pytest.mark.parametrize("row", GPUS, ids=lambda row: row["name"])
def test_the_middle_of_a_gpu_is_the_geometric_mean_of_its_range(row):
    mean = math.sqrt(figure(row, "low_kg") * figure(row, "high_kg"))
    assert figure(row, "kg") == pytest.approx(mean, rel=0.01)  # rounding to whole kg


def computed(row: dict[str, str]) -> tuple[str, ...]:
    """The columns that are no figure of a source, but computed from such."""
    if row["name"] in (carbon.ANY_GPU, "1/8 any GPU server", "V100"):
        return ("kg", "low_kg", "high_kg")
    if "factor 2" in row["source"]:
        return ("low_kg", "high_kg")
    return ("kg", "low_kg") if row["name"] == "MI300X" else ("kg",) if row["kind"] == "gpu" else ()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_a_row_quotes_the_figures_that_it_rests_on(row):
    source = row["source"].replace("5700 / 8", "712.5")
    quoted = [float(number) for number in re.findall(r"\b[0-9]+(?:\.[0-9]+)?\b", source)]
    for column in {"kg", "low_kg", "high_kg"} - set(computed(row)):
        assert any(abs(figure(row, column) - number) <= 0.51 for number in quoted), column


def test_figures_that_are_computed_from_others():
    table = {row["name"]: row for row in TABLE}
    assert figure(table["V100"], "kg") == pytest.approx(math.sqrt(205.6 * 290.0), abs=0.5)
    for row in TABLE:
        if "factor 2" in row["source"]:
            assert figure(row, "low_kg") == pytest.approx(figure(row, "kg") / 2, abs=1)
            assert figure(row, "high_kg") == pytest.approx(figure(row, "kg") * 2, abs=1)
    times = figure(table["B200"], "high_kg") / figure(table["B200"], "low_kg")
    assert figure(table["MI300X"], "low_kg") == pytest.approx(figure(table["MI300X"], "high_kg") / times, rel=0.01)
    for any_row, others in (
        (table[carbon.ANY_GPU], [row for row in GPUS if row["name"] != carbon.ANY_GPU]),
        (table["1/8 any GPU server"], [row for row in PARTS if row["name"] != "1/8 any GPU server"]),
    ):
        low, high = min(figure(row, "low_kg") for row in others), max(figure(row, "high_kg") for row in others)
        assert (figure(any_row, "low_kg"), figure(any_row, "high_kg")) == (low, high)
        assert figure(any_row, "kg") == pytest.approx(math.sqrt(low * high), abs=0.5)
        powers = [float(row["power_w"]) for row in others if row["power_w"]]
        if powers:
            assert figure(any_row, "power_w") == pytest.approx(math.sqrt(min(powers) * max(powers)), abs=0.5)


def test_every_gpu_names_a_server():
    assert {row["server"] for row in GPUS} == {row["name"] for row in PARTS}
    assert all(row["server"] == "" for row in TABLE if row["kind"] != "gpu")


@pytest.mark.parametrize("name", ["embodied.csv", "grid_intensity.csv", "cpu_power_ccf.csv", "cpu_tdp.csv"])
def test_the_readme_of_the_tables_says_what_they_are(name):
    folder = resources.files(data)
    readme = folder.joinpath("README.md").read_text("utf-8")
    sha256 = hashlib.sha256(folder.joinpath(name).read_bytes()).hexdigest()
    assert re.search(rf"^\| `{name}` \| {len(rows(name))} \|.*\| `{sha256}` \|$", readme, re.MULTILINE)


def test_the_reference_page_has_every_row_of_the_table():
    page = (Path(__file__).parent.parent / "docs" / "reference" / "machines.md").read_text(encoding="utf-8")
    printed = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    for row in TABLE:
        cells = [row["name"], row["kg"], f"{row['low_kg']} to {row['high_kg']}", row["power_w"] or "?"]
        assert any(line[:4] == cells for line in printed), cells
        assert any(line[0] == row["name"] and row["source"] in line for line in printed), row["source"]
        if row["kind"] == "gpu":
            assert any(line[0] == row["name"] and row["server"] in line for line in printed), row["server"]


# -- GPUs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "row"),
    [
        # As the driver (NVML) says, as in ML.ENERGY's data, as clouds and people write.
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA-H100-80GB-HBM3", "H100"),
        ("nvidia_h100_sxm5", "H100"),
        ("8xH100", "H100"),
        ("8 x NVIDIA H100", "H100"),
        ("H100x8", "H100"),
        ("NVIDIA H200", "H200"),
        ("h200", "H200"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("A100-SXM4-40GB", "A100 40GB"),
        ("a100 40 GB", "A100 40GB"),
        ("a100-40g", "A100 40GB"),
        ("NVIDIA A100-PCIE-40GB", "A100 PCIe 40GB"),
        ("NVIDIA A100 80GB PCIe", "A100 PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("A100", "A100"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("Tesla T4", "T4"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA A10", "A10"),
        ("AMD Instinct MI300X OAM", "MI300X"),
    ],
)
def test_gpus_are_found_by_what_they_are_called(name, row):
    found = carbon.gpu(name, with_server=False)
    assert found is not None
    assert found.name == row


@pytest.mark.parametrize(
    "name",
    ["", "GPU", "NVIDIA GeForce RTX 4090", "NVIDIA GB200", "GH200 480GB", "NVIDIA L40", "RTX A1000", "A10G", "H1000",
     "Tesla T40", "TPUv4", "40gb pcie", "M1 Max", "\x1b[31mh", "9" * 1_000_000, "x" * 1_000_000],
)  # fmt: skip
def test_other_gpus_are_not_known(name):
    assert carbon.gpu(name) is None


@given(st.text())
def test_any_text_is_known_or_not(name):
    found = carbon.gpu(name)
    assert found is None or found.name in {f"{row['name']} with {row['server']}" for row in GPUS}


@pytest.mark.parametrize(
    ("name", "alone_g", "server_g", "server"),
    [
        ("H100", 307_000, 712_500, "1/8 p5.48xlarge"),
        ("A100-SXM4-40GB", 219_000, 374_000, "1/8 p4d.24xlarge"),
        ("Tesla T4", 131_000, 155_000, "1/8 g4dn.metal"),
    ],
)
def test_a_gpu_has_its_part_of_the_server(name, alone_g, server_g, server):
    alone, both = carbon.gpu(name, with_server=False), carbon.gpu(name)
    [part] = [row for row in PARTS if row["name"] == server]
    assert alone is not None
    assert both is not None
    assert (alone.embodied_g, both.embodied_g) == (alone_g, alone_g + server_g)
    assert both.embodied_low_g == alone.embodied_low_g + 1000 * figure(part, "low_kg")
    assert both.embodied_high_g == alone.embodied_high_g + 1000 * figure(part, "high_kg")
    assert both.name == f"{alone.name} with {server}"
    assert both.threads is None
    assert both.source == f"{alone.source}; {server}: {part['source']}"


def test_a_gpu_draws_less_than_its_board_may():
    found = carbon.gpu("H100")
    assert found is not None
    assert found.power_w == carbon.GPU_POWER_SHARE * 700
    # Of an A10 nobody says what it draws: energy tells its time by any GPU's power.
    unknown = carbon.gpu("A10")
    assert unknown is not None
    assert unknown.power_w == carbon.any_gpu().power_w


@pytest.mark.parametrize("with_server", [False, True])
def test_a_gpu_without_a_name_has_the_range_of_all(with_server):
    every = carbon.any_gpu(with_server=with_server)
    for row in GPUS:
        found = carbon.gpu(row["name"], with_server=with_server)
        if row["match"]:
            assert found is not None
            assert every.embodied_low_g <= found.embodied_low_g < found.embodied_g < found.embodied_high_g
            assert found.embodied_high_g <= every.embodied_high_g


def test_machines_live_four_years_give_or_take():
    for row in (row for row in TABLE if row["kind"] != "part"):
        machine = carbon.machine(row["name"], flag=FLAG)
        assert (machine.lifetime_low_s, machine.lifetime_s, machine.lifetime_high_s) == (
            3 * YEAR_S,
            4 * YEAR_S,
            6 * YEAR_S,
        )


@pytest.mark.skipif(not ML_ENERGY, reason="GREENCODE_DATA names no folder with ML.ENERGY's data")
def test_the_share_of_board_power_is_the_median_of_what_was_measured():
    boards = {"NVIDIA H100 80GB HBM3": 700, "NVIDIA A100-SXM4-40GB": 400}
    shares = []
    for path in ML_ENERGY:
        row = json.loads(path.read_text(encoding="utf-8"))
        power_w = row["Energy/req (J)"] / row["Avg Output Tokens"] * row["Token tput (tok/s)"]
        found = carbon.gpu(row["GPU"], with_server=False)
        assert found is not None
        assert found.power_w == carbon.GPU_POWER_SHARE * boards[row["GPU"]]
        shares.append(power_w / (row["TP"] * row["PP"]) / boards[row["GPU"]])
    assert len(shares) == 123
    assert abs(statistics.median(shares) - carbon.GPU_POWER_SHARE) < 0.001
    by_twentieths = statistics.quantiles(shares, n=20)
    assert (by_twentieths[0], by_twentieths[-1]) == pytest.approx((0.25, 0.70), abs=0.006)


# -- by name --------------------------------------------------------------------------------------------------------


def test_a_host_by_name():
    server = carbon.machine(" Server ", flag=FLAG)
    assert (server.name, server.embodied_g, server.embodied_low_g, server.embodied_high_g) == (
        "server",
        900_000,
        460_000,
        2_087_000,
    )
    assert (server.threads, server.power_w) == (96, 536)
    laptop = carbon.parse_machine("laptop", flag=FLAG)
    assert (laptop.embodied_g, laptop.power_w, laptop.threads) == (181_000, 75, None)


@pytest.mark.parametrize("name", ["NVIDIA H100 80GB HBM3", "h100"])
def test_a_gpu_by_name_comes_with_its_server(name):
    assert carbon.parse_machine(name, flag=FLAG) == carbon.gpu("H100")


@pytest.mark.parametrize(
    ("name", "near"), [("servr", "server"), ("Labtop", "laptop"), ("H10", "H100"), ("..900kg", "")]
)
def test_an_unknown_machine_names_the_flag_the_nearest_and_the_way_out(name, near):
    with pytest.raises(UsageProblem) as problem:
        carbon.parse_machine(name, flag=FLAG)
    text = str(problem.value)
    assert text.startswith(f"{FLAG}: unknown machine {name!r}")
    assert near in text.partition("Nearest: ")[2] or not near
    assert f"{FLAG} 1200kg/5y/64" in text


# -- the user's own -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kg", "years", "threads"),
    [
        ("1200kg", (1200, 1200, 1200), (3, 4, 6), None),
        (" 1200 KG ", (1200, 1200, 1200), (3, 4, 6), None),
        ("1.2e3kg/5y", (1200, 1200, 1200), (5, 5, 5), None),
        ("1200kg/5y/64", (1200, 1200, 1200), (5, 5, 5), 64),
        ("1200 kg / 2.5 y / 8", (1200, 1200, 1200), (2.5, 2.5, 2.5), 8),
        ("400..900kg", (400, 600, 900), (3, 4, 6), None),
        ("400 .. 900 kg/5y/64", (400, 600, 900), (5, 5, 5), 64),
        (".5kg", (0.5, 0.5, 0.5), (3, 4, 6), None),
        ("1200kg/64", (1200, 1200, 1200), (3, 4, 6), 64),
    ],
)
def test_the_users_own_machine(text, kg, years, threads):
    machine = carbon.parse_machine(text, flag=FLAG)
    assert (machine.name, machine.source, machine.power_w, machine.threads) == ("user", "user", None, threads)
    assert (machine.embodied_low_g, machine.embodied_g, machine.embodied_high_g) == pytest.approx(
        [1000 * each for each in kg]
    )
    assert (machine.lifetime_low_s, machine.lifetime_s, machine.lifetime_high_s) == tuple(YEAR_S * y for y in years)


@pytest.mark.parametrize(
    "text",
    ["0", "0kg", "0.0kg", "0..900kg", "-5kg", "900..400kg", "1e999kg", "1e10kg", "1200", "1200g", "1.2t", "1200kgs",
     "1200kg/", "1200kg/0y", "1200kg/-1y", "1200kg/101y", "1200kg/5y/0", "1200kg/5y/", "1200kg/5y/6.5", "1200kg/64/5y",
     "1200kg/5y/99999999", "5y", "400..kg", "1,200kg", "8xH100", "+5kg"],
)  # fmt: skip
def test_everything_else_is_refused_with_a_way_out(text):
    with pytest.raises(
        UsageProblem, match=rf"^{FLAG}: expected kgCO2e above 0.*1200kg/5y/64.*{FLAG} server"
    ) as problem:
        carbon.parse_machine(text, flag=FLAG)
    assert repr(text) in str(problem.value)


@given(st.text(alphabet="0123456789.eE+-kgy/ \u0661h100"))
def test_any_text_is_a_machine_above_nothing_or_refused(text):
    try:
        machine = carbon.parse_machine(text, flag=FLAG)
    except UsageProblem:
        return
    assert 0 < machine.embodied_low_g <= machine.embodied_g <= machine.embodied_high_g < math.inf
    assert 0 < machine.lifetime_low_s <= machine.lifetime_s <= machine.lifetime_high_s < math.inf
    assert machine.threads is None or machine.threads >= 1


# -- other grids ----------------------------------------------------------------------------------------------------


def test_the_same_work_on_other_grids_by_hand():
    rows = carbon.region_sensitivity(
        generation_j=50.0,
        execution_j=3.0,
        embodied_g=0.001,
        generation_pue=1.2,
        execution_pue=1.5,
        regions=("FRA", "pol", "FRA"),
    )
    france, poland = rows
    assert [(row.region, row.name) for row in rows] == [("FRA", "France"), ("POL", "Poland")]
    exact = (Fraction(50) * Fraction(12, 10) + Fraction(3) * Fraction(15, 10)) * Fraction("44.18") / 3_600_000
    assert france.operational_g == pytest.approx(float(exact), rel=1e-14)
    assert france.total_g == pytest.approx(float(exact) + 0.001, rel=1e-14)
    assert poland.operational_g / france.operational_g == pytest.approx(poland.g_per_kwh / france.g_per_kwh)
    assert (france.year, france.g_per_kwh) == (2024, 44.18)


def test_by_default_a_telling_spread_from_clean_to_dirty():
    rows = carbon.region_sensitivity(generation_j=1.0, execution_j=0.0, embodied_g=0.0)
    assert {row.region for row in rows} == set(carbon.REGIONS)
    assert "WOR" in {row.region for row in rows}
    intensities = [row.g_per_kwh for row in rows]
    assert intensities == sorted(intensities)
    assert intensities[-1] / intensities[0] > 15


def test_a_site_may_stay_where_it_is():
    here = Intensity(g_per_kwh=100.0, region="user", year=None, source="user")
    rows = carbon.region_sensitivity(generation_j=3.6e6, execution_j=3.6e6, embodied_g=0.0, generation_stays=here)
    assert [row.operational_g for row in rows] == pytest.approx([100 + row.g_per_kwh for row in rows])
    rows = carbon.region_sensitivity(generation_j=3.6e6, execution_j=3.6e6, embodied_g=0.0, execution_stays=here)
    assert [row.operational_g for row in rows] == pytest.approx([100 + row.g_per_kwh for row in rows])


@pytest.mark.parametrize("missing", ["generation_j", "execution_j"])
def test_missing_energy_is_missing_carbon(missing):
    known = {"generation_j": 1.0, "execution_j": 1.0, "embodied_g": 1.0}
    assert all(
        row.operational_g is None and row.total_g is None
        for row in carbon.region_sensitivity(**(known | {missing: None}))
    )


def test_without_embodied_there_is_no_total():
    for row in carbon.region_sensitivity(generation_j=1.0, execution_j=1.0, embodied_g=None):
        assert row.operational_g is not None
        assert row.total_g is None


def test_an_unknown_region_is_a_usage_problem():
    with pytest.raises(UsageProblem, match="XXX"):
        carbon.region_sensitivity(generation_j=1.0, execution_j=1.0, embodied_g=1.0, regions=("XXX",))


# -- water and primary energy ---------------------------------------------------------------------------------------


def test_water_and_primary_energy_by_hand():
    # 2 kWh at the device: 2 * (0.5 + 1.2 * 3) litres, 2 * 1.2 * 10 MJ.
    assert carbon.water_litres(7.2e6, wue_site_l_per_kwh=0.5, wue_grid_l_per_kwh=3.0, pue=1.2) == pytest.approx(8.2)
    assert carbon.primary_energy_mj(7.2e6, grid_mj_per_kwh=10.0, pue=1.2) == pytest.approx(24.0)


@pytest.mark.parametrize(
    ("pue", "factor"), [(0.9, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, -1.0), (1.0, math.nan)]
)
def test_factors_that_are_none(pue, factor):
    with pytest.raises(ValueError, match="PUE"):
        carbon.water_litres(1.0, wue_site_l_per_kwh=factor, wue_grid_l_per_kwh=0.0, pue=pue)
    with pytest.raises(ValueError, match="PUE"):
        carbon.primary_energy_mj(1.0, grid_mj_per_kwh=factor, pue=pue)
