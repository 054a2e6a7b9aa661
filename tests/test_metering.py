"""A session's meter: which kind it is, the idle machine before and after, and what it warns of."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rapl.machine import Machine, running

from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.ledger import Overhead
from pytest_greencode.meters import baseline, choice, metering
from pytest_greencode.meters.exclusive import Plan, Spent
from pytest_greencode.meters.metering import Metering
from pytest_greencode.meters.powercap import PowercapSource
from pytest_greencode.model import Window

IDLE_W = 10.0


class Notes:
    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.overheads: list[Overhead] = []

    def __call__(self, windows: list[Window], overheads: list[Overhead]) -> None:
        self.windows += windows
        self.overheads += overheads


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Counters that any meter finds, of a machine that draws 10 W and nothing for CPU time; -> their tree."""
    root = tmp_path / "powercap"

    def missing() -> Any:
        raise MeterUnavailable("not here")

    openers = {"perf": missing, "pyrapl": missing, "powercap": lambda: PowercapSource(root)}
    monkeypatch.setattr(choice, "_openers", lambda psys: openers)
    monkeypatch.setattr(metering, "POWERCAP", root)
    with running(Machine(idle_w=IDLE_W, busy_w=0.0, dram=False), root, tmp_path):
        yield root


@pytest.fixture
def no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise MeterUnavailable("not here", "buy one")

    monkeypatch.setattr(choice, "_openers", lambda psys: dict.fromkeys(choice.BACKENDS, missing))


def meter(name: str, **more: Any) -> Metering:
    return Metering(name, **{"idle_s": 0.1, "reserved_cores": 1, **more})


def test_auto_takes_the_counters_where_there_are_some(counters: Path) -> None:
    found = meter("auto")
    assert (found.kind, found.estimated) == ("counters", None)
    found.close()


@pytest.mark.usefixtures("no_counters")
def test_auto_estimates_where_there_are_none() -> None:
    found = meter("auto")
    assert found.kind == "estimated"
    assert found.counters is None
    assert found.estimated is not None
    assert found.describe() == found.estimated.describe()


@pytest.mark.parametrize(("name", "kind"), [("estimated", "estimated"), ("none", "none")])
def test_counters_are_left_alone_by_who_does_not_want_them(counters: Path, name: str, kind: str) -> None:
    found = meter(name)
    assert (found.kind, found.counters) == (kind, None)
    assert (found.estimated is None) == (name == "none")


@pytest.mark.usefixtures("no_counters")
@pytest.mark.parametrize(
    ("name", "exclusive", "flag"),
    [
        ("rapl", False, "--greencode-meter rapl"),
        ("pyrapl", False, "--greencode-meter pyrapl"),
        ("pyrapl", True, "--greencode-meter pyrapl"),
        ("auto", True, "--greencode-attribution exclusive"),
    ],
)
def test_counters_that_are_asked_for_and_missing_are_an_error_with_its_flag(
    name: str, exclusive: bool, flag: str
) -> None:
    with pytest.raises(MeterUnavailable) as raised:
        meter(name, exclusive=exclusive)
    assert str(raised.value).startswith(f"{flag}: no energy counter")
    assert raised.value.remedy == "buy one"


def test_idle_power_is_measured_before_and_after_and_both_are_used(counters: Path) -> None:
    notes = Notes()
    found = meter("rapl")
    before_s = time.time()
    found.start(notes)
    first = found.baseline
    assert first is not None
    assert first.mean_w == pytest.approx(IDLE_W, rel=0.02)
    known = found.stop()
    assert known is not None
    idle_w, since = known
    assert before_s < since == notes.windows[0].started_at
    assert found.baseline is not None
    assert idle_w == found.baseline.mean_w
    assert found.baseline.windows == 2 * first.windows
    facts = found.describe()
    assert facts is not None
    found.close()
    assert idle_w == pytest.approx((facts["idle_before"]["mean_w"] + facts["idle_after"]["mean_w"]) / 2)
    assert facts["idle_stability"] is not None
    assert {window.idle_w for window in notes.windows} == {first.mean_w}
    json.dumps(facts)
    # The second time there is nothing to stop.
    assert found.stop() is None


def test_a_run_that_is_broken_off_knows_the_idle_power_from_before(counters: Path) -> None:
    found = meter("rapl")
    found.start(Notes())
    first = found.baseline
    known = found.stop(measure_idle=False)
    assert first is not None
    assert known is not None
    assert known[0] == first.mean_w
    facts = found.describe()
    assert facts is not None
    assert (facts["idle_after"], facts["idle_stability"]) == (None, None)
    found.close()


def test_the_reserved_share_is_of_all_cores_and_no_more_than_all(
    counters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering.os, "cpu_count", lambda: 8)
    shares = []
    for cores in (2, 99):
        notes = Notes()
        found = meter("rapl", reserved_cores=cores)
        found.start(notes)
        found.stop(measure_idle=False)
        found.close()
        shares += [window.reserved_share for window in notes.windows]
    assert shares == [0.25, 1.0]


@pytest.mark.parametrize("kind", ["counters", "estimated"])
def test_of_several_processes_one_reads_the_machine(kind: str) -> None:
    notes = Notes()
    found = meter(kind, reads_machine=False)
    assert (found.kind, found.counters) == ("none" if kind == "counters" else kind, None)
    found.start(notes)
    assert found.stop() is None
    assert notes.windows == []
    assert len(notes.overheads) == 1


def test_without_a_meter_nothing_is_noted() -> None:
    notes = Notes()
    found = meter("none")
    found.start(notes)
    assert found.stop() is None
    assert (notes.windows, notes.overheads, found.describe()) == ([], [], None)


@pytest.mark.usefixtures("no_counters")
def test_an_estimate_has_windows_of_cpu_time_without_energy() -> None:
    notes = Notes()
    found = meter("auto")
    found.start(notes)
    assert found.stop() is None
    [window] = notes.windows
    assert (window.package_uj, window.idle_w, window.meter) == (None, None, None)
    assert window.busy_cpu_s is not None
    assert found.cautions() == []


def told(found: Metering) -> str:
    return "\n".join(caution.what for caution in found.cautions())


def busy_machine(monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """A machine of which this share is always busy."""
    begin_s = time.monotonic()
    cpus = metering.os.cpu_count() or 1
    real: Callable[..., Any] = baseline.measure_baseline
    monkeypatch.setattr(
        baseline,
        "measure_baseline",
        lambda *a, **k: real(*a, **k, busy_cpu_s=lambda: (time.monotonic() - begin_s) * cpus * share),
    )


@pytest.mark.parametrize(("share", "warned"), [(0.01, False), (0.3, True)])
def test_a_machine_that_is_busy_when_it_should_idle_is_warned_of(
    counters: Path, monkeypatch: pytest.MonkeyPatch, share: float, warned: bool
) -> None:
    busy_machine(monkeypatch, share)
    found = meter("rapl")
    found.start(Notes())
    text = r"^3\d% of the machine was busy while idle power was measured\.$"
    assert (re.search(text, told(found), re.MULTILINE) is not None) == warned
    found.stop(measure_idle=False)
    found.close()


def test_idle_power_that_cannot_be_measured_is_warned_of_and_is_not_zero(
    counters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    found = meter("rapl")

    def broken(self: PowercapSource) -> list[int]:
        raise OSError("gone")

    monkeypatch.setattr(PowercapSource, "read_uj", broken)
    found.start(notes)
    assert found.baseline is None
    assert "Idle power could not be measured." in told(found)
    assert found.measure_alone({"a": no_work}, Plan()) == {}
    assert found.stop() is None
    assert [(window.idle_w, window.package_uj) for window in notes.windows] == [(None, None)]
    assert notes.windows[0].invalid == "the counters could not be read: gone"
    found.close()


def no_work(runs: int) -> Spent:
    raise AssertionError("this was not to be run")


def test_without_counters_nothing_is_measured_alone() -> None:
    found = meter("estimated")
    found.start(Notes())
    assert found.measure_alone({"a": no_work}, Plan()) == {}
    found.stop()
