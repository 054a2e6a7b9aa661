"""What raw counters become: exact sums across wraps, and windows that say why they are none."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.meters.counters import (
    IMPLAUSIBLE_FACTOR,
    SMALLEST_RANGE_UJ,
    Domain,
    EnergyCounters,
    between,
    unwrap,
)

RANGE_UJ = 262_143_328_850
PACKAGE = Domain(kind="package", name="package-0", range_uj=RANGE_UJ, plausible_w=500.0)
SECOND = replace(PACKAGE, name="package-1")
DRAM = Domain(kind="dram", name="package-0/dram", range_uj=SMALLEST_RANGE_UJ, plausible_w=250.0)
PSYS = Domain(kind="psys", name="psys", range_uj=RANGE_UJ, plausible_w=1000.0)
UNKNOWN_RANGE = replace(PACKAGE, range_uj=None)


class Script:
    """A source whose values a test sets, and the clocks that go with it."""

    backend = "script"

    def __init__(self, *domains: Domain, values: Sequence[int] | None = None) -> None:
        self.domains = domains or (PACKAGE,)
        self.ignored: dict[str, str] = {}
        self.values: Sequence[int] | Exception = values or [1_000_000] * len(self.domains)
        self.now_s = 100.0
        self.suspended_s = 5.0
        self.closed = False

    def read_uj(self) -> list[int]:
        if isinstance(self.values, Exception):
            raise self.values
        return list(self.values)

    def close(self) -> None:
        self.closed = True

    def open(self) -> EnergyCounters:
        return EnergyCounters(self, clock=lambda: self.now_s, suspended_s=lambda: self.suspended_s)

    def later(self, seconds: float, *values: int | Exception) -> None:
        self.now_s += seconds
        self.values = values[0] if isinstance(values[0], Exception) else [v for v in values if isinstance(v, int)]


# -- sums ---------------------------------------------------------------------------------------------------------


def test_a_window_has_the_difference_and_the_time() -> None:
    script = Script(PACKAGE, DRAM, values=[10, 20])
    counters = script.open()
    start = counters.read()
    script.later(2.0, 1_000_010, 300_020)
    window = counters.between(start, counters.read())
    assert (window.package_uj, window.dram_uj, window.psys_uj) == (1_000_000, 300_000, None)
    assert window.duration_s == pytest.approx(2.0)
    assert window.invalid is None


def test_nothing_that_counts_is_none_and_a_still_counter_is_0() -> None:
    counters = Script(PACKAGE).open()
    window = counters.between(counters.read(), counters.read())
    assert (window.package_uj, window.dram_uj, window.psys_uj, window.invalid) == (0, None, None, None)


def test_packages_are_summed() -> None:
    script = Script(PACKAGE, SECOND, values=[5, 7])
    counters = script.open()
    start = counters.read()
    script.later(1.0, 105, 1007)
    assert counters.between(start, counters.read()).package_uj == 1100


def test_one_of_two_packages_wraps() -> None:
    """pyRAPL 0.2.3.1 gives [-262143323850, 9000] here, and None where a single package wraps."""
    script = Script(PACKAGE, SECOND, values=[RANGE_UJ - 1000, 1000])
    counters = script.open()
    start = counters.read()
    script.later(1.0, 4000, 10_000)
    assert counters.between(start, counters.read()).package_uj == 5000 + 9000


def test_the_first_read_after_a_wrap_is_right_at_once() -> None:
    """Zeus 0.16 gives -262143 J until its polling process has seen the wrap, up to a second later."""
    script = Script(values=[RANGE_UJ])
    counters = script.open()
    start = counters.read()
    script.later(1e-5, 61)
    assert counters.between(start, counters.read()).package_uj == 61


@given(
    range_uj=st.integers(1_000, 2**63),
    start=st.floats(0, 1),
    shares=st.lists(st.floats(0, 0.5), max_size=60),
)
def test_any_increments_read_twice_a_wrap_add_up(range_uj: int, start: float, shares: list[float]) -> None:
    domain = replace(PACKAGE, range_uj=range_uj)
    raw = min(int(start * range_uj), range_uj - 1)
    script = Script(domain, values=[raw])
    counters = script.open()
    first = counters.read()
    increments = [int(share * range_uj) for share in shares]
    readings = [first]
    for increment in increments:
        raw = (raw + increment) % range_uj
        script.later(increment / (domain.plausible_w * 1e6), raw)
        readings.append(counters.read())
    assert counters.between(first, readings[-1]).package_uj == sum(increments)
    for (a, b), increment in zip(itertools.pairwise(readings), increments, strict=True):
        assert between(a, b).package_uj == increment


def test_the_heartbeat_keeps_ten_wraps_while_nobody_reads() -> None:
    domain = Domain(kind="package", name="package-0", range_uj=1000, plausible_w=0.25)  # 4 ms around
    script = Script(domain)
    steps = itertools.count(1)
    enough = threading.Event()

    class Running(Script):
        """Goes on by 0.4 of its range, in the time that this takes at full power, whenever it is read."""

        now_s, total = 0.0, 0

        def read_uj(self) -> list[int]:
            if next(steps) > 40:
                enough.set()
            else:
                self.total += 400
            return [self.total % 1000]

    script = Running(domain)
    counters = EnergyCounters(script, clock=lambda: script.total / 400 * 0.4 * 0.004, suspended_s=lambda: 0.0)
    assert counters.heartbeat_s == pytest.approx(0.002)
    opened_uj = script.total
    start = counters.read()
    with counters:
        assert enough.wait(30), "no heartbeat"
        window = counters.between(start, counters.read())
    assert window.invalid is None
    assert window.package_uj == script.total - opened_uj - 400 > 10 * 1000
    assert script.closed


def test_the_heartbeat_is_half_of_the_fastest_wrap_and_30_s_at_most() -> None:
    assert Script(PACKAGE, DRAM).open().heartbeat_s == 30.0
    fast = replace(PACKAGE, plausible_w=5000.0)
    assert Script(DRAM, fast).open().heartbeat_s == pytest.approx(RANGE_UJ / 5e9 / 2)
    hidden = replace(UNKNOWN_RANGE, plausible_w=5000.0)
    assert Script(hidden).open().heartbeat_s == pytest.approx(SMALLEST_RANGE_UJ / 5e9 / 2)


def test_threads_may_read_at_once() -> None:
    class Busy(Script):
        count = 0

        def read_uj(self) -> list[int]:
            value = self.count
            time.sleep(0)  # another thread would now read the same
            self.count = value + 10
            return [value]

    counters = EnergyCounters(Busy(), suspended_s=lambda: 0.0)
    start = counters.read()
    seen: list[list[int | None]] = [[], [], [], []]
    threads = [
        threading.Thread(target=lambda own=own: own.extend(counters.read().package_uj for _ in range(200)))
        for own in seen
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = sorted(value for own in seen for value in own if value is not None)
    assert start.package_uj is not None
    assert values == list(range(start.package_uj + 10, start.package_uj + 10 * 801, 10))
    assert all(own == sorted(own, key=lambda value: value or 0) for own in seen)


# -- faults -------------------------------------------------------------------------------------------------------


def reset(script: Script) -> None:
    script.later(1.0, 50)


def unreadable(script: Script) -> None:
    script.later(1.0, OSError(5, "Input/output error"))


def garbage(script: Script) -> None:
    script.later(1.0, ValueError("expected a number"))


def suspended(script: Script) -> None:
    script.suspended_s += 60.0
    script.later(1.0, 200_000_000)


def gap(script: Script) -> None:
    script.later(RANGE_UJ / 500e6 + 1.0, 200_000_000)


def leap(script: Script) -> None:
    script.later(1.0, 200_000_000_000)


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (reset, "reset"),
        (unreadable, "Input/output error"),
        (garbage, "expected a number"),
        (suspended, "suspended for 60.0 s"),
        (gap, "not read for"),
        (leap, "W"),
    ],
)
def test_a_fault_reaches_every_window_that_spans_it_and_no_other(
    break_it: Callable[[Script], None], reason: str
) -> None:
    script = Script(values=[100_000_000])
    counters = script.open()
    before, just_before = counters.read(), counters.read()
    break_it(script)
    at = counters.read()
    script.later(0.5, 300_000_000 if break_it is not leap else 200_100_000_000)
    after = counters.read()
    script.later(0.5, script.read_uj()[0] + 70)
    later = counters.read()

    for start, end in [(before, at), (just_before, at), (before, after), (before, later)]:
        window = counters.between(start, end)
        assert window.package_uj is None
        assert window.invalid is not None
        assert reason in window.invalid
        assert window.duration_s > 0
    assert counters.between(before, just_before).package_uj == 0
    assert counters.between(after, later).package_uj == 70
    assert counters.between(after, later).invalid is None


def test_a_failed_read_is_no_0_and_its_energy_is_not_given_to_the_next() -> None:
    """codecarbon 3.3.2 takes a failed read for 0, and the next difference is the whole counter."""
    script = Script(values=[100_000_000])
    counters = script.open()
    start = counters.read()
    script.later(1.0, PermissionError(13, "Permission denied"))
    failed = counters.read()
    script.later(1.0, 101_000_000)
    recovered = counters.read()
    assert failed.package_uj == start.package_uj
    assert counters.between(failed, recovered).package_uj is None
    assert "Permission denied" in str(counters.between(failed, recovered).invalid)


def test_a_fault_between_readings_is_seen_by_heartbeats_and_told_to_the_window() -> None:
    script = Script(values=[100_000_000])
    counters = script.open()
    start = counters.read()
    unreadable(script)
    counters.read()  # a heartbeat
    script.later(1.0, 100_000_500)
    counters.read()  # another
    script.later(1.0, 100_000_600)
    assert counters.between(start, counters.read()).invalid is not None


def test_a_wrap_without_a_range_is_invalid() -> None:
    """codecarbon 3.3.2 adds a negative amount or 0 if max_energy_range_uj cannot be read (its issue 1309)."""
    script = Script(UNKNOWN_RANGE, values=[5000])
    counters = script.open()
    start = counters.read()
    script.later(1.0, 6000)
    forward = counters.read()
    assert counters.between(start, forward).package_uj == 1000
    script.later(1.0, 100)
    window = counters.between(forward, counters.read())
    assert window.package_uj is None
    assert "max_energy_range_uj" in str(window.invalid)


def test_one_bad_counter_spoils_the_sum_of_all() -> None:
    script = Script(PACKAGE, SECOND, values=[100_000_000, 100_000_000])
    counters = script.open()
    start = counters.read()
    script.later(1.0, 100_000_500, 50)
    end = counters.read()
    assert counters.between(start, end).package_uj is None
    assert end.package_uj == start.package_uj


@pytest.mark.parametrize("elapsed_s", [1e-6, 1.0, 30.0])
def test_energy_up_to_three_times_the_plausible_power_is_believed(elapsed_s: float) -> None:
    limit_uj = int(IMPLAUSIBLE_FACTOR * PACKAGE.plausible_w * 1e6 * (elapsed_s + 1.0))
    for before in (0, RANGE_UJ - 10):  # straight on, and through a wrap
        assert unwrap(PACKAGE, before, (before + limit_uj - 10) % RANGE_UJ, elapsed_s) == (limit_uj - 10, None)
        energy_uj, fault = unwrap(PACKAGE, before, (before + limit_uj + 10) % RANGE_UJ, elapsed_s)
        assert energy_uj == 0
        assert fault is not None


def test_a_value_beyond_the_range_is_no_wrap() -> None:
    energy_uj, fault = unwrap(PACKAGE, 2 * RANGE_UJ, 10, 1.0)
    assert energy_uj == 0
    assert fault is not None


def test_counters_that_cannot_be_read_at_all_are_an_error() -> None:
    script = Script()
    unreadable(script)
    with pytest.raises(OSError, match="Input/output"):
        script.open()


def test_closed_counters_have_no_energy() -> None:
    script = Ticking()
    counters = script.open()
    start = counters.read()
    counters.close()
    counters.close()
    assert "closed" in str(counters.between(start, counters.read()).invalid)


def test_a_window_ends_after_it_starts() -> None:
    script = Script()
    counters = script.open()
    start = counters.read()
    script.later(1.0, 1_000_001)
    end = counters.read()
    with pytest.raises(ValueError, match="before it starts"):
        counters.between(end, start)


# -- ticks --------------------------------------------------------------------------------------------------------


class Ticking(Script):
    """Moves by `step` at every `every`-th read."""

    def __init__(self, *domains: Domain, every: int = 7, step: int = 61) -> None:
        super().__init__(*domains)
        self.reads, self.every, self.step = 0, every, step

    def read_uj(self) -> list[int]:
        self.reads += 1
        self.now_s += 1e-4
        return [1000 + self.reads // self.every * self.step] * len(self.domains)


def test_align_returns_as_the_counter_moves() -> None:
    script = Ticking()
    counters = script.open()
    for _ in range(3):
        reading = counters.align()
        assert reading.ticked
        assert script.reads % script.every == 0


def test_align_on_psys() -> None:
    assert Ticking(PSYS).open().align().ticked


def test_align_says_that_no_tick_came() -> None:
    script = Ticking(step=0)
    counters = script.open()
    start_s = script.now_s
    assert not counters.align(timeout_s=0.02).ticked
    assert script.now_s - start_s == pytest.approx(0.02, abs=0.001)


def test_a_counter_that_moves_is_not_stuck_and_one_that_does_not_is() -> None:
    assert Ticking().open().stuck() == ()
    assert Script(PACKAGE, DRAM, values=[3, 4]).open().stuck(timeout_s=0.01) == (PACKAGE, DRAM)


def test_describe_tells_what_was_read_and_what_not() -> None:
    script = Ticking(PACKAGE, DRAM)
    script.ignored = {"package-0/core": "part of the package above it"}
    counters = script.open()
    assert counters.describe()["tick_s"] is None
    counters.stuck()
    counters.ignore(DRAM, "stands still")
    facts = counters.describe()
    assert facts["backend"] == "script"
    assert facts["domains"] == {"package-0": {"range_uj": RANGE_UJ, "plausible_w": 500.0}}
    assert facts["ignored"] == {"package-0/core": "part of the package above it", "package-0/dram": "stands still"}
    assert isinstance(facts["tick_s"], float)
    assert (facts["faults"], facts["last_fault"]) == (0, None)
    assert counters.read().dram_uj is None


# -- mirrored dies ------------------------------------------------------------------------------------------------

DIES = [replace(PACKAGE, name=f"package-0-die-{die}") for die in range(2)]


class Dies(Script):
    """Two dies. Every few reads the first goes on by a step, the second by `step_of_other`; so may it in between."""

    def __init__(self, other_uj: int, step_of_other: Callable[[int], int], domains: Sequence[Domain] = DIES) -> None:
        super().__init__(*domains)
        self.reads, self.first_uj, self.other_uj, self.step_of_other = 0, 1_000_000, other_uj, step_of_other

    def read_uj(self) -> list[int]:
        self.reads += 1
        if self.reads % 4 == 0:
            self.first_uj += 6100
            between_uj = self.first_uj if self.reads % 8 else self.first_uj - 6100
            self.other_uj += self.step_of_other(self.reads)
            return [between_uj, self.other_uj]
        return [self.first_uj, self.other_uj]


def names(counters: EnergyCounters) -> list[str]:
    return [domain.name for domain in counters.domains]


def test_dies_that_show_one_counter_are_counted_once() -> None:
    """codecarbon 3.3.2 adds both (its issue 1379): twice the energy of Zen 1 and 2."""
    script = Dies(1_000_000, lambda _: 6100)
    counters = script.open()
    assert names(counters) == ["package-0-die-0"]
    assert counters.describe()["ignored"] == {"package-0-die-1": "shows the same counter as package-0-die-0"}


def test_one_counter_from_two_openings_is_counted_once() -> None:
    """perf counts from when an event was opened, which is a little later for the second."""
    assert names(Dies(999_878, lambda _: 6100).open()) == ["package-0-die-0"]


def test_equal_values_that_stand_still_are_one_counter() -> None:
    assert names(Script(*DIES, values=[777, 777]).open()) == ["package-0-die-0"]
    assert len(names(Script(*DIES, values=[0, 0]).open())) == 2


@pytest.mark.parametrize("step", [lambda n: 6100 + 61 * (n % 3 - 1), lambda _: 6039, lambda _: 0, lambda _: 61000])
def test_dies_of_their_own_are_both_counted(step: Callable[[int], int]) -> None:
    for other_uj in (1_000_000, 5_000_000):
        assert len(names(Dies(other_uj, step).open())) == 2


def test_packages_are_never_taken_for_mirrored() -> None:
    assert len(names(Dies(1_000_000, lambda _: 6100, (PACKAGE, SECOND)).open())) == 2
