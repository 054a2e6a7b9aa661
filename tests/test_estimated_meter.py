from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode.data import rows
from pytest_greencode.meters import estimated
from pytest_greencode.meters.estimated import EstimatedMeter
from pytest_greencode.model import Method

NOWHERE = Path("no such cpuinfo")
AMOUNTS = st.floats(min_value=0, max_value=1e9)


@pytest.fixture
def meter_for(tmp_path):
    def build(**facts: str) -> EstimatedMeter:
        cpuinfo = tmp_path / "cpuinfo"
        keys = {"cpu_family": "cpu family", "model_name": "model name"}
        lines = "".join(f"{keys.get(key, key)}\t: {value}\n" for key, value in facts.items())
        cpuinfo.write_text(f"processor\t: 0\n{lines}\nprocessor\t: 1\n{lines}\n")
        return EstimatedMeter.of_host(cpuinfo)

    return build


def intel(model: int, stepping: int = 1, name: str = "Intel(R) Xeon(R) Processor", **more: str) -> dict[str, str]:
    numbers = {"cpu_family": "6", "model": str(model), "stepping": str(stepping)}
    return {"vendor_id": "GenuineIntel", **numbers, "model_name": name, **more}


def amd(family: int, model: int, name: str = "AMD EPYC Processor", **more: str) -> dict[str, str]:
    numbers = {"cpu_family": str(family), "model": str(model), "stepping": "1"}
    return {"vendor_id": "AuthenticAMD", **numbers, "model_name": name, **more}


DESKTOP = intel(158, 10, "Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz")


@pytest.mark.parametrize(
    ("facts", "architecture"),
    [
        (intel(45), "Sandy Bridge"),
        (intel(63), "Haswell"),
        (intel(79), "Broadwell"),
        (intel(85, 4), "Skylake"),
        (intel(85, 7), "Cascade Lake"),
        (intel(158, 10, "Intel(R) Xeon(R) E-2176G CPU @ 3.70GHz"), "Coffee Lake"),
        (intel(106), "Ice Lake"),
        (intel(143), "Sapphire Rapids"),
        (intel(207, 2), "Emerald Rapids"),
        (intel(173), "Granite Rapids"),
        (amd(23, 1), "EPYC 1st Gen"),
        (amd(23, 49), "EPYC 2nd Gen"),
        (amd(25, 1), "EPYC 3rd Gen"),
        (amd(25, 17), "EPYC 4th Gen"),
        (amd(25, 160), "EPYC 4th Gen"),
    ],
)
def test_servers_are_known_by_their_numbers_even_in_a_virtual_machine(meter_for, facts, architecture):
    meter = meter_for(**facts, flags="fpu hypervisor")
    row = next(row for row in rows("cpu_power_ccf.csv") if row["architecture"] == architecture)
    assert meter.basis == "ccf"
    assert architecture in meter.source
    assert meter.min_w_per_vcpu == float(row["min_w_per_vcpu"])
    assert meter.max_w_per_vcpu == float(row["max_w_per_vcpu"])
    assert meter.relative_error == 0.5


def test_a_desktop_goes_by_its_tdp(meter_for):
    meter = meter_for(**DESKTOP, siblings="12", flags="fpu")
    assert meter.basis == "tdp"
    assert meter.max_w_per_vcpu == pytest.approx(65 / 12)
    assert meter.min_w_per_vcpu == pytest.approx(6.5 / 12)
    assert "65 W over 12 threads" in meter.source


@pytest.mark.parametrize("name", ["AMD Ryzen 7 5800X 8-Core Processor", "AMD Ryzen 7 5800X"])
def test_names_match_whole_and_without_decoration(meter_for, name):
    assert meter_for(**amd(25, 33, name, siblings="16", flags="fpu")).max_w_per_vcpu == pytest.approx(105 / 16)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (DESKTOP | {"siblings": "2", "flags": "fpu hypervisor"}, "TDP known but not the threads"),
        (DESKTOP | {"siblings": "0"}, "TDP known but not the threads"),
        (DESKTOP, "TDP known but not the threads"),
        (intel(999), "CPU model not recognised"),
        (amd(26, 2), "CPU model not recognised"),
        ({"vendor_id": "GenuineIntel", "cpu_family": "six", "model": "?"}, "CPU model not recognised"),
        ({"model_name": "riscv thing"}, "CPU model not recognised"),
        ({}, "CPU model not recognised"),
    ],
)
def test_an_unknown_cpu_is_said(meter_for, facts, why):
    meter = meter_for(**facts)
    assert meter.basis == "default"
    assert meter.source.startswith(why)
    assert facts.get("model_name", "") in meter.source
    assert (meter.min_w_per_vcpu, meter.max_w_per_vcpu, meter.relative_error) == (0.74, 3.5, 1.0)


def test_no_cpuinfo_is_an_unknown_cpu():
    assert "not recognised" in EstimatedMeter.of_host(NOWHERE).source


def test_the_wider_error_covers_every_row_but_the_oldest():
    default_w = estimated.DEFAULT_MAX_W_PER_VCPU - estimated.DEFAULT_MIN_W_PER_VCPU
    outside = [
        row["architecture"]
        for row in rows("cpu_power_ccf.csv")
        if abs(float(row["max_w_per_vcpu"]) - float(row["min_w_per_vcpu"]) - default_w)
        > estimated.RELATIVE_ERROR_UNKNOWN_CPU * default_w
    ]
    assert outside == ["Sandy Bridge"]


def test_this_host_has_a_meter():
    meter = EstimatedMeter.of_host()
    assert meter.method is Method.ESTIMATED
    assert 0 < meter.min_w_per_vcpu < meter.max_w_per_vcpu
    assert "\n" not in meter.source
    facts = meter.describe()
    assert facts["method"] == "estimated"
    assert facts["source"] == meter.source


METER = EstimatedMeter.of_host(NOWHERE)


def test_nothing_costs_nothing():
    assert METER.energy_j(0) == 0


@given(AMOUNTS, AMOUNTS)
def test_energy_is_linear_and_monotone(a, b):
    assert METER.energy_j(a) + METER.energy_j(b) == pytest.approx(METER.energy_j(a + b))
    assert (METER.energy_j(a) <= METER.energy_j(b)) == (a <= b) or METER.energy_j(a) == METER.energy_j(b)


@pytest.mark.parametrize("amount", [-1.0, math.nan, math.inf])
def test_no_energy_of_an_impossible_amount(amount):
    with pytest.raises(ValueError, match="finite"):
        METER.energy_j(amount)


def test_the_ccf_table_is_well_formed():
    table = rows("cpu_power_ccf.csv")
    assert len({row["architecture"] for row in table}) == len(table) == 15
    for row in table:
        assert 0 < float(row["min_w_per_vcpu"]) <= float(row["max_w_per_vcpu"]) < 20, row


def test_every_server_model_has_its_row():
    assert set(estimated._INTEL_SERVERS.values()) <= {row["architecture"] for row in rows("cpu_power_ccf.csv")}


def test_the_tdp_table_is_well_formed():
    tdp_w: dict[str, str] = {}
    for row in rows("cpu_tdp.csv"):
        assert 0 < float(row["tdp_w"]) <= 1000, row
        assert tdp_w.setdefault(estimated._plain(row["model"]), row["tdp_w"]) == row["tdp_w"], row
    assert len(tdp_w) > 4000
