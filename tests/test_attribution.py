"""The split of a counter's energy: exact, whole, and right where the truth is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.attribution import REPETITIONS, apportion, attribute, with_energy, with_measured
from pytest_greencode.model import AttemptRecord, Configuration, Measured, Method, Reading, Verdict, Window, Work

cpu_seconds = st.floats(0, 100, allow_nan=False)


def window(start: float, end: float, **facts: object) -> Window:
    known = {"package_uj": 0, "idle_w": 0.0, "busy_cpu_s": 0.0, "meter": "RAPL", **facts}
    return Window(started_at=start, finished_at=end, duration_s=end - start, **known)  # type: ignore[arg-type]


def work(key: str | None, start: float, end: float, cpu_s: float, harness_cpu_s: float = 0.0) -> Work:
    return Work(key=key, started_at=start, finished_at=end, cpu_s=cpu_s, harness_cpu_s=harness_cpu_s)


@given(st.integers(0, 10**12), st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=30))
def test_parts_are_whole_proportional_and_add_up(total: int, weights: list[float]) -> None:
    parts = apportion(total, weights)
    assert sum(parts) == total
    assert min(parts) >= 0
    if (whole := math.fsum(weights)) > 0:
        for part, weight in zip(parts, weights, strict=True):
            assert part == pytest.approx(total * (weight / whole), abs=2 + 1e-9 * total)
    else:
        assert parts[-1] == total


@given(
    energies=st.lists(st.one_of(st.none(), st.integers(0, 10**9)), min_size=1, max_size=8),
    pieces=st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.floats(0, 8), st.floats(0, 3), cpu_seconds, cpu_seconds),
        max_size=10,
    ),
    idle_w=st.floats(0, 500),
    busy_s=st.floats(0, 20),
    share=st.floats(0, 1),
)
def test_every_microjoule_is_somebodys(
    energies: list[int | None],
    pieces: list[tuple[str | None, float, float, float, float]],
    idle_w: float,
    busy_s: float,
    share: float,
) -> None:
    windows = [
        window(float(i), i + 1.0, package_uj=uj, idle_w=idle_w, busy_cpu_s=busy_s, reserved_share=share)
        for i, uj in enumerate(energies)
    ]
    done = [work(key, start, start + length, cpu, harness) for key, start, length, cpu, harness in pieces]
    done += [replace(each, key=None, kind=REPETITIONS) for each in done[:1]]
    split = attribute(windows, done)
    known = [uj for uj in energies if uj is not None]
    assert split is not None
    balance = split.balance
    assert balance.counter_uj == sum(known)
    parts = (
        balance.solutions_uj,
        balance.harness_uj,
        balance.repetitions_uj,
        balance.other_processes_uj,
        balance.idle_reserved_uj,
        balance.idle_rest_uj,
    )
    assert sum(parts) == balance.counter_uj
    assert min(parts) >= 0
    assert sum(balance.invalid.values()) == len(energies) - len(known)
    of_executions = sum(each.solution_uj + each.harness_uj for each in split.shares.values())
    assert of_executions <= balance.solutions_uj + balance.harness_uj


def test_two_parallel_executions_a_harness_and_a_stranger() -> None:
    # 10 s at 20 W idle and 10 W per busy CPU: 6 s + 2 s of solutions, 1 s of harness, 1 s of pytest, 2 s of a stranger.
    split = attribute(
        [window(0, 10, package_uj=320_000_000, idle_w=20.0, busy_cpu_s=12.0, reserved_share=0.5, dram_uj=7)],
        [work("a", 1, 9, 6.0, 1.0), work("b", 2, 4, 2.0), work(None, 0, 10, 0.0, 1.0)],
    )
    assert split is not None
    assert split.shares["a"].solution_uj == 60_000_000
    assert split.shares["a"].harness_uj == 10_000_000
    assert split.shares["b"].solution_uj == 20_000_000
    assert split.balance.harness_uj == 20_000_000
    assert split.balance.other_processes_uj == 20_000_000
    assert (split.balance.idle_reserved_uj, split.balance.idle_rest_uj) == (100_000_000, 100_000_000)
    assert split.balance.dram_uj == 7
    assert split.balance.own_share == pytest.approx(100 / 120)
    assert split.w_per_cpu == pytest.approx(10.0)


def test_work_over_two_windows_is_split_by_time() -> None:
    windows = [
        window(0, 1, package_uj=10_000_000, busy_cpu_s=1.0),
        window(1, 2, package_uj=40_000_000, busy_cpu_s=2.0),
    ]
    split = attribute(windows, [work("a", 0.5, 1.5, 1.0), work("b", 1.0, 1.0, 0.5)])
    assert split is not None
    assert split.shares["a"].solution_uj == 5_000_000 + 10_000_000
    assert split.shares["b"].solution_uj == 10_000_000  # a moment on an edge belongs to the window that begins there


def test_less_than_idle_is_idle() -> None:
    split = attribute([window(0, 1, package_uj=5, idle_w=1.0, busy_cpu_s=1.0)], [work("a", 0, 1, 1.0)])
    assert split is not None
    assert split.shares["a"].solution_uj == 0
    assert split.balance.idle_rest_uj == 5


def test_what_runs_when_the_machine_idles_is_paid_for_with_idle_power() -> None:
    # 10 W and a daemon on half a CPU of 20 W: 20 W idle. Beside it, 1 s of a solution and 1 s of a stranger.
    windows = [window(0, 2, package_uj=80_000_000, idle_w=20.0, idle_busy_cpus=0.5, busy_cpu_s=3.0)]
    split = attribute(windows, [work("a", 0, 1, 1.0)])
    assert split is not None
    assert split.shares["a"].solution_uj == 20_000_000
    assert split.balance.other_processes_uj == 20_000_000
    assert split.w_per_cpu == pytest.approx(20.0)


def test_work_at_an_uneven_speed_is_nobody_elses() -> None:
    # 2 s of CPU time in 4 s, of which 1.5 s in the first window, for want of a free CPU later.
    windows = [
        window(0, 2, package_uj=15_000_000, busy_cpu_s=1.5),
        window(2, 4, package_uj=5_000_000, busy_cpu_s=0.5),
    ]
    split = attribute(windows, [work("a", 0, 4, 2.0)])
    assert split is not None
    assert (split.shares["a"].solution_uj, split.balance.other_processes_uj) == (20_000_000, 0)


def test_own_cpu_time_above_the_systems_is_believed() -> None:
    split = attribute([window(0, 1, package_uj=10, busy_cpu_s=0.99)], [work("a", 0, 1, 1.0)])
    assert split is not None
    assert (split.shares["a"].solution_uj, split.balance.other_processes_uj) == (10, 0)


def record(key: str, **facts: object) -> AttemptRecord:
    reading = Reading(
        cpu_s=2.0,
        wall_s=2.0,
        peak_memory_bytes=None,
        oracle_cpu_s=0.5,
        harness_cpu_s=0.5,
        **facts,  # type: ignore[arg-type]
    )
    return AttemptRecord(
        suite="s",
        task_id="t/0",
        configuration=Configuration(model="m"),
        sample_id=0,
        path="m.jsonl",
        program_key=key,
        verdict=Verdict.ACCEPTED,
        reading=reading,
    )


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ({"package_uj": None, "invalid": "the counter was reset"}, "the counter was reset"),
        ({"package_uj": None}, "no counter was read"),
        ({"idle_w": None}, "idle power was not measured"),
    ],
)
def test_what_no_valid_window_holds_is_estimated_from_those_that_are(second: dict[str, object], reason: str) -> None:
    first = window(0, 4, package_uj=80_000_000, idle_w=5.0, busy_cpu_s=4.0)
    split = attribute(
        [first, window(4, 8, busy_cpu_s=4.0, **second)],
        [work("a", 0, 4, 2.0, 1.0), work("b", 3, 5, 2.0, 1.0), work("c", 9, 10, 2.0, 1.0)],
    )
    assert split is not None
    assert split.balance.invalid == {reason: 1}
    assert split.w_per_cpu == pytest.approx(60 / 4.5)  # 3 s of a, half of b's 3 s: more than the system's 4 s
    a, b, c, old, lost = with_energy(
        [
            record("a"),
            record("b"),
            record("c"),
            record("a", energy_j=1.0, energy_method=Method.MEASURED),
            replace(record("a"), reading=None),
        ],
        split,
    )
    assert a.reading is not None
    assert a.reading.energy_method is Method.ATTRIBUTED
    assert a.reading.energy_j == pytest.approx(2 * 60 / 4.5)
    assert a.reading.harness_energy_j == pytest.approx(60 / 4.5)
    for each in (b, c):
        assert each.reading is not None
        assert each.reading.energy_method is Method.ESTIMATED
        assert each.reading.energy_j == pytest.approx(2 * 60 / 4.5)
    assert old.reading is not None
    assert (old.reading.energy_j, old.reading.energy_method) == (1.0, Method.MEASURED)
    assert lost.reading is None


def test_nothing_was_counted() -> None:
    assert attribute([], [work("a", 0, 1, 1.0)]) is None
    split = attribute([window(0, 1, package_uj=None, invalid="it was reset")], [work("a", 0, 1, 1.0)])
    assert split is not None
    assert (split.balance.windows, split.balance.counter_uj, split.balance.dram_uj) == (0, 0, None)
    assert split.balance.invalid == {"it was reset": 1}
    assert split.w_per_cpu is None
    assert with_energy([record("a")], split) == [record("a")]


def test_repetitions_of_what_is_measured_alone_are_nobodys_solution() -> None:
    split = attribute(
        [window(0, 1, package_uj=30, busy_cpu_s=3.0)],
        [work("a", 0, 1, 1.0), replace(work(None, 0, 1, 0.0, 2.0), kind=REPETITIONS)],
    )
    assert split is not None
    assert (split.balance.solutions_uj, split.balance.harness_uj, split.balance.repetitions_uj) == (10, 0, 20)
    assert split.balance.own_share == 1


def measured(energy_j: float | None, noise_floor_j: float | None = 0.1, **facts: object) -> Measured:
    known = {"harness_energy_j": 0.25, "cpu_s": 1.5, "peak_memory_bytes": 4096, **facts}
    return Measured(
        energy_j=energy_j,
        low_j=None,
        high_j=None,
        confidence=0.95,
        noise_floor_j=noise_floor_j,
        windows=10,
        runs=100,
        discarded={},
        stopped_by="precision",
        **known,  # type: ignore[arg-type]
    )


def test_what_was_measured_alone_takes_the_place_of_a_share() -> None:
    shared = record("a", energy_j=1.0, harness_energy_j=0.5, energy_method=Method.ATTRIBUTED, energy_source="RAPL")
    [found] = with_measured([shared], {"a": measured(0.75)}, "RAPL")
    assert found.reading is not None
    assert (found.reading.energy_j, found.reading.harness_energy_j) == (0.75, 0.25)
    assert (found.reading.cpu_s, found.reading.peak_memory_bytes) == (1.5, 4096)
    assert found.reading.energy_method is Method.MEASURED
    assert found.reading.energy_source == "RAPL, above idle, alone and repeated"
    assert replace(found, reading=shared.reading) == shared


@pytest.mark.parametrize(
    "found",
    [
        measured(0.0999),
        measured(-5.0),
        measured(0.0),
        measured(None, None),
        measured(1.0, None),
    ],
)
def test_what_is_not_told_from_idling_is_not_used(found: Measured) -> None:
    shared = record("a", energy_j=1.0, energy_method=Method.ATTRIBUTED)
    assert with_measured([shared], {"a": found}, "RAPL") == [shared]


def test_only_the_programs_that_were_measured_change() -> None:
    others = [record("b", energy_j=1.0), replace(record("a"), reading=None)]
    assert with_measured(others, {"a": measured(0.75)}, "RAPL") == others


def test_what_alone_has_no_figure_for_stays() -> None:
    [found] = with_measured([record("a")], {"a": measured(0.75, cpu_s=None, peak_memory_bytes=None)}, "RAPL")
    assert found.reading is not None
    assert (found.reading.cpu_s, found.reading.peak_memory_bytes) == (2.0, None)


def test_a_clock_that_was_set_back_counts_nothing_twice() -> None:
    windows = [window(0, 2, package_uj=10, busy_cpu_s=1.0), window(1, 3, package_uj=10, busy_cpu_s=1.0)]
    split = attribute(windows, [work("a", 1, 2, 1.0)])
    assert split is not None
    assert split.balance.invalid == {"the clock was set back": 1}
    assert split.balance.counter_uj == 10
    assert not split.shares["a"].covered
