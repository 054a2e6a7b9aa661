"""Which counter is opened, and what people are told when there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rapl.machine import Machine, running
from rapl.tree import package, write_tree
from test_counters import DRAM, PACKAGE, Script

from pytest_greencode.errors import MeterUnavailable, UsageProblem
from pytest_greencode.meters import perf, powercap, pyrapl
from pytest_greencode.meters.choice import AUTO, BACKENDS, open_counters
from pytest_greencode.meters.counters import CounterSource, Domain, EnergyCounters
from pytest_greencode.meters.powercap import PowercapSource
from pytest_greencode.reports.text import message


class Clockwork(Script):
    """Counters at 10 W, but for those that stand still."""

    def __init__(self, *domains: Domain, still: tuple[Domain, ...] = (), backend: str = "clockwork") -> None:
        super().__init__(*domains)
        self.still, self.backend = still, backend

    def read_uj(self) -> list[int]:
        return [7 if domain in self.still else int(time.monotonic() * 1e7) % 10**11 for domain in self.domains]


def refuse(reason: str, remedy: str = "") -> Callable[[], CounterSource]:
    def opener() -> CounterSource:
        raise MeterUnavailable(reason, remedy)

    return opener


def test_auto_prefers_perf() -> None:
    openers = {name: lambda name=name: Clockwork(backend=name) for name in BACKENDS}
    assert open_counters(openers=openers).describe()["backend"] == "perf"
    assert open_counters("pyrapl", openers=openers).describe()["backend"] == "pyrapl"


def test_auto_takes_powercap_where_perf_is_missing_or_stands_still() -> None:
    for unusable in (refuse("no"), lambda: Clockwork(PACKAGE, still=(PACKAGE,))):
        openers = {"perf": unusable, "powercap": lambda: Clockwork(backend="powercap")}
        assert open_counters(openers=openers).describe()["backend"] == "powercap"


def test_what_was_asked_for_by_name_is_not_replaced() -> None:
    with pytest.raises(MeterUnavailable, match="perf: no such thing"):
        open_counters("perf", openers={"perf": refuse("no such thing"), "powercap": Clockwork})


def test_a_counter_that_stands_still_is_not_0_joules() -> None:
    source = Clockwork(PACKAGE, still=(PACKAGE,))
    with pytest.raises(MeterUnavailable, match=r"package-0 is there but stands still: no\s+working counter"):
        open_counters("perf", openers={"perf": lambda: source})
    assert source.closed


def test_dram_that_stands_still_is_missing_and_not_0() -> None:
    counters = open_counters("perf", openers={"perf": lambda: Clockwork(PACKAGE, DRAM, still=(DRAM,))})
    reading = counters.read()
    assert reading.dram_uj is None
    assert reading.package_uj is not None
    assert counters.describe()["ignored"] == {"package-0/dram": "stands still"}


def test_counters_that_fail_at_once_are_unavailable() -> None:
    source = Script()
    source.values = OSError(5, "Input/output error")
    with pytest.raises(MeterUnavailable, match="Input/output error"):
        open_counters("perf", openers={"perf": lambda: source})
    assert source.closed


def test_a_machine_in_motion_is_opened_and_its_tick_is_seen(tmp_path: Path) -> None:
    with running(Machine(tick_s=0.004), tmp_path / "powercap", tmp_path):
        counters = open_counters("powercap", openers={"powercap": lambda: PowercapSource(tmp_path / "powercap")})
    tick_s = counters.describe()["tick_s"]
    assert isinstance(tick_s, float)
    assert tick_s > 0.002


def test_the_failure_names_each_backend_its_reason_and_its_remedy_once() -> None:
    openers = {
        "perf": refuse("p " * 80, perf.REMEDY),
        "powercap": refuse("/sys/class/powercap may not be read", powercap.REMEDY),
    }
    with pytest.raises(UsageProblem) as caught:
        open_counters(openers=openers)
    lines = str(caught.value).splitlines()
    assert lines[0] == "no energy counter of the CPU can be read on this machine"
    assert [line.partition(":")[0] for line in lines if line.startswith(AUTO)] == list(AUTO)
    assert str(caught.value).count("sudo sysctl") == str(caught.value).count("groupadd") == 1
    assert fits(str(caught.value))


def fits(text: str) -> bool:
    """Whether it fits 80 columns as it is shown; commands to paste, which are shown whole, nearly do."""
    commands = [line[1:] for line in text.splitlines() if line.startswith("\t")]
    shown = [line for line in message(text) if line not in commands]
    return max(map(len, shown)) <= 80 and max(map(len, commands), default=0) <= 100


@pytest.mark.parametrize("remedy", [perf.REMEDY, powercap.REMEDY, pyrapl.INSTALL, pyrapl.OWN_READER])
def test_remedies_fit_a_terminal(remedy: str) -> None:
    assert fits(remedy)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize("psys", [False, True])
def test_this_machine_has_counters_or_reasons(backend: str, psys: bool) -> None:
    found = counters_or_reasons(backend, psys)
    if isinstance(found, str):
        assert fits(found)
        assert all(f"{name}: " in found for name in (AUTO if backend == "auto" else (backend,)))
    else:
        assert found.align().ticked
        found.close()


def counters_or_reasons(backend: str, psys: bool) -> EnergyCounters | str:
    try:
        return open_counters(backend, psys=psys)
    except MeterUnavailable as error:
        return str(error)


def test_a_written_tree_does_not_move(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0))
    with pytest.raises(MeterUnavailable, match="stands still"):
        open_counters("powercap", openers={"powercap": lambda: PowercapSource(tmp_path)})
