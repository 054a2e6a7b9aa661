"""The sampler: windows that follow each other without a gap, and nothing that a ledger refuses once is lost."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from pytest_greencode.errors import LedgerError
from pytest_greencode.ledger import Overhead
from pytest_greencode.meters.counters import Domain, EnergyCounters
from pytest_greencode.meters.sampler import Machine, Sampler
from pytest_greencode.model import Window

PACKAGE = Domain(kind="package", name="package-0", range_uj=1 << 40, plausible_w=1e6)
WINDOW_S = 0.02


class Source:
    """A counter that goes on by 7 uJ whenever it is read; `broken` is raised instead."""

    backend, ignored = "script", {}
    domains = (PACKAGE,)

    def __init__(self) -> None:
        self.value = 0
        self.broken: OSError | None = None

    def read_uj(self) -> list[int]:
        if self.broken is not None:
            raise self.broken
        self.value += 7
        return [self.value]

    def close(self) -> None:
        pass


class Notes:
    """Takes what a sampler writes; `refuse` says whether a write fails."""

    def __init__(self, refuse: Callable[[int], bool] = lambda number: False) -> None:
        self.windows: list[Window] = []
        self.overheads: list[Overhead] = []
        self.calls = 0
        self.refuse = refuse
        self.written = threading.Condition()

    def __call__(self, windows: list[Window], overheads: list[Overhead]) -> None:
        with self.written:
            self.calls += 1
            self.written.notify_all()
            if self.refuse(self.calls):
                raise LedgerError("disk full")
            self.windows += windows
            self.overheads += overheads

    def wait_for_calls(self, count: int) -> None:
        with self.written:
            assert self.written.wait_for(lambda: self.calls >= count, timeout=30)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def machine(source: Source) -> Machine:
    busy_s: Iterator[float] = itertools.count(100.0, 0.25)
    return Machine(
        busy_cpu_s=lambda: next(busy_s),
        counters=EnergyCounters(source),
        idle_w=4.0,
        reserved_share=0.5,
        meter="RAPL (script)",
    )


def follows_without_a_gap(pieces: list[Window] | list[Overhead]) -> bool:
    return all(before.finished_at == after.started_at for before, after in itertools.pairwise(pieces))


def test_windows_follow_each_other_without_a_gap_and_hold_all_energy(machine: Machine, source: Source) -> None:
    notes = Notes()
    begin_s = time.time()
    first_uj = source.value
    sampler = Sampler(notes, machine, window_s=WINDOW_S)
    notes.wait_for_calls(4)
    sampler.stop()
    assert len(notes.windows) >= 5
    assert follows_without_a_gap(notes.windows)
    assert begin_s <= sampler.started_at == notes.windows[0].started_at
    assert notes.windows[-1].finished_at <= time.time()
    energies_uj = [window.package_uj for window in notes.windows]
    assert energies_uj == [7] * len(energies_uj)
    assert source.value == first_uj + 7 * (1 + len(energies_uj))
    for window in notes.windows:
        assert (window.idle_w, window.reserved_share, window.meter) == (4.0, 0.5, "RAPL (script)")
        assert (window.busy_cpu_s, window.invalid, window.dram_uj) == (0.25, None, None)
        assert window.duration_s > 0


def test_a_ledger_that_fails_meanwhile_loses_nothing(machine: Machine) -> None:
    notes = Notes(lambda number: number in (1, 2, 4))
    sampler = Sampler(notes, machine, window_s=WINDOW_S)
    notes.wait_for_calls(5)
    sampler.stop()
    assert notes.windows[0].started_at == sampler.started_at
    assert len(notes.windows) == notes.calls
    assert follows_without_a_gap(notes.windows)
    assert follows_without_a_gap(notes.overheads)
    assert len(notes.overheads) == len(notes.windows)


def test_a_ledger_that_fails_in_the_end_is_told(machine: Machine) -> None:
    sampler = Sampler(Notes(lambda number: True), machine, window_s=60)
    with pytest.raises(LedgerError, match="disk full"):
        sampler.stop()


def test_who_does_not_read_the_machine_notes_its_own_cpu_time_only() -> None:
    notes = Notes()
    begin_s = time.process_time()
    sampler = Sampler(notes, None, window_s=WINDOW_S)
    while time.process_time() < begin_s + 0.1:
        pass
    sampler.stop()
    assert notes.windows == []
    assert {overhead.kind for overhead in notes.overheads} == {"host"}
    assert follows_without_a_gap(notes.overheads)
    noted_s = sum(overhead.cpu_s for overhead in notes.overheads)
    assert 0.09 <= noted_s <= time.process_time() - begin_s


def test_a_counter_that_cannot_be_read_makes_its_windows_invalid_and_no_others(
    machine: Machine, source: Source
) -> None:
    notes = Notes()
    sampler = Sampler(notes, machine, window_s=WINDOW_S)
    notes.wait_for_calls(2)
    source.broken = OSError("gone")
    notes.wait_for_calls(notes.calls + 2)
    source.broken = None
    notes.wait_for_calls(notes.calls + 3)
    sampler.stop()
    states = "".join("+" if window.invalid is None else "-" for window in notes.windows)
    assert states.lstrip("+").rstrip("+").strip("-") == ""
    assert states.startswith("+")
    assert states.endswith("+")
    assert "-" in states
    for window in notes.windows:
        assert (window.package_uj is None) == (window.invalid is not None)
        assert window.invalid in (None, "the counters could not be read: gone")


def test_a_machine_that_does_not_tell_its_cpu_time_has_none_and_not_zero() -> None:
    notes = Notes()
    Sampler(notes, Machine(busy_cpu_s=lambda: None), window_s=60).stop()
    [window] = notes.windows
    assert (window.busy_cpu_s, window.package_uj, window.idle_w, window.meter) == (None, None, None, None)
