"""Energy per passing test, by hand and for any runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, variance

import pytest
from builders import FACTORS
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.model import Block, ItemRun, Measured, Method
from pytest_greencode.project_account import (
    OUTCOMES,
    LeftBehind,
    ProjectAccount,
    ProjectRecords,
    Spent,
    project_account,
)
from pytest_greencode.statistics import noise_interval, student_t_quantile

W = 4.0  # of a busy CPU


def run(
    test_id: str = "t::a",
    outcome: str | None = "passed",
    *,
    setup: float | None = 0.0,
    call: float = 1.0,
    teardown: float = 0.0,
    attempt: int = 1,
    repetition: int = 0,
    watts: float | None = W,
) -> ItemRun:
    cpu_s = None if setup is None else setup + call + teardown
    known = watts is not None and cpu_s is not None
    return ItemRun(
        test_id=test_id,
        attempt=attempt,
        repetition=repetition,
        outcome=outcome,
        started_at=None if setup is None else 100.0,
        finished_at=None if cpu_s is None else 100.0 + 2 * cpu_s,
        setup_cpu_s=setup,
        call_cpu_s=None if setup is None else call,
        teardown_cpu_s=None if setup is None else teardown,
        energy_j=cpu_s * watts if known else None,  # type: ignore[operator]
        energy_method=Method.ESTIMATED if known else Method.MISSING,
    )


def of(*runs: ItemRun, background_s: float = 0.0, **more: object) -> ProjectAccount:
    records = ProjectRecords(
        runs=runs,
        harness=Spent(cpu_s=7.0, energy_j=28.0),
        background=Spent(cpu_s=background_s, energy_j=background_s * W),
        source="a model",
        **more,  # type: ignore[arg-type]
    )
    found = project_account(records, FACTORS)
    assert found is not None
    return found


def test_all_runs_of_all_tests_are_paid_for_by_those_that_passed() -> None:
    found = of(
        run("a", setup=0.5, call=1.0, teardown=0.25),
        run("b", "failed", call=2.0),
        run("c", "rerun", call=3.0),
        run("c", call=3.5, attempt=2),
        run("d", "skipped", setup=0.125, call=0.0),
        run("e", "xfailed", call=0.5),
        background_s=1.0,
        selected=7,
    )
    total_s = 1.75 + 2 + 3 + 3.5 + 0.125 + 0.5 + 1.0
    assert found.cpu_seconds_per_passing_test.value == total_s / 2
    assert found.energy_per_passing_test_j.value == total_s / 2 * W
    assert found.energy_per_passing_test_j.interval is None
    assert found.energy_per_passing_test_j.reason == "2 of 2 passing tests ran only once"
    assert found.tests_cost == Spent(cpu_s=total_s, energy_j=total_s * W)
    assert found.wasted_share == pytest.approx(1 - (1.75 + 3.5) / (total_s - 1.0))
    assert found.outcomes == {"passed": 2, "failed": 1, "xfailed": 1, "skipped": 1}
    assert (found.passing, found.reruns, found.not_run) == (2, 1, 2)
    assert found.harness == Spent(cpu_s=7.0, energy_j=28.0)
    assert found.by_outcome["rerun"] == Spent(cpu_s=3.0, energy_j=12.0)
    assert next((test.cpu_s, test.energy_j) for test in found.tests if test.test_id == "c") == (6.5, 26.0)


def test_grams_are_of_the_energy_and_of_the_time_on_one_hardware_thread() -> None:
    found = of(run("a"), run("b"))
    operational = W * FACTORS.execution_pue * FACTORS.execution.g_per_kwh / 3.6e6
    assert found.operational_per_passing_test_g == pytest.approx(operational)
    machine = FACTORS.execution_machine
    if machine is None:
        assert found.embodied_per_passing_test_g is None
        assert found.co2e_per_passing_test_g.value is None
    else:
        embodied = 2.0 * machine.embodied_g / machine.lifetime_s / (machine.threads or 1)
        assert found.embodied_per_passing_test_g == pytest.approx(embodied)
        assert found.co2e_per_passing_test_g.value == pytest.approx(operational + embodied)


def test_without_a_passing_test_there_is_a_reason_and_no_figure() -> None:
    found = of(run("a", "failed"))
    assert found.energy_per_passing_test_j.value is None
    assert found.energy_per_passing_test_j.reason == "no test passed"
    assert found.wasted_share == 1.0


def test_what_died_with_its_process_is_never_taken_for_nothing() -> None:
    found = of(run("a"), run("b", "failed", setup=None))
    assert found.lost == ("b",)
    for figure in (found.energy_per_passing_test_j, found.cpu_seconds_per_passing_test):
        assert figure.value is None
        assert figure.reason == "tests that died with their process: 1; what they used is not known"
    assert found.tests_cost == Spent(cpu_s=None, energy_j=None)


def test_without_a_meter_cpu_time_is_known_and_energy_is_not() -> None:
    found = of(run("a", watts=None), run("b", "failed", watts=None))
    assert found.cpu_seconds_per_passing_test.value == 2.0
    assert found.energy_per_passing_test_j.value is None
    assert found.energy_per_passing_test_j.reason == "no energy is known of some runs"
    assert found.wasted_share == 0.5
    assert found.method is Method.MISSING


def test_a_repeated_test_is_paid_for_once() -> None:
    """With the first set-up, the mean call and the last tear-down."""
    calls = [1.2, 0.9, 1.0, 1.1]
    found = of(
        run(setup=5.0, call=calls[0], repetition=1),
        run(setup=0.1, call=calls[1], repetition=2),
        run(setup=0.1, call=calls[2], repetition=3),
        run(setup=0.1, call=calls[3], teardown=3.0),
    )
    paid_s = 5.0 + mean(calls) + 3.0
    assert found.cpu_seconds_per_passing_test.value == pytest.approx(paid_s)
    assert found.energy_per_passing_test_j.value == pytest.approx(paid_s * W)
    assert found.repetitions.cpu_s == pytest.approx(5.0 + 0.2 + 1.2 + 0.9 + 1.0)
    spread = variance(calls) / 4
    assert found.cpu_seconds_per_passing_test.interval == pytest.approx(noise_interval(paid_s, 1, [spread], [3]))
    half = student_t_quantile(0.975, 3) * math.sqrt(spread)
    assert found.tests[0].cpu_interval == pytest.approx((paid_s - half, paid_s + half))
    assert found.tests[0].repetitions == 3


def test_a_repetition_that_failed_is_said_and_in_no_mean() -> None:
    found = of(run(call=1.0, repetition=1), run("t::a", "failed", call=9.0, repetition=2), run(call=2.0))
    assert found.unsteady == ("t::a",)
    assert found.tests[0].call_cpu_s == 1.5
    assert found.passing == 1


def test_an_interval_needs_repetitions_of_every_passing_test() -> None:
    repeated = [run("a", call=1.0, repetition=1), run("a", call=1.1)]
    assert of(*repeated).energy_per_passing_test_j.interval is not None
    assert of(*repeated, run("b", "failed")).energy_per_passing_test_j.interval is not None
    both = of(*repeated, run("b")).energy_per_passing_test_j
    assert both.interval is None
    assert both.reason == "1 of 2 passing tests ran only once"


def measured(energy_j: float, cpu_s: float, *, noise_floor_j: float = 0.01) -> Measured:
    return Measured(
        energy_j=energy_j,
        low_j=energy_j - 0.1,
        high_j=energy_j + 0.1,
        confidence=0.95,
        noise_floor_j=noise_floor_j,
        harness_energy_j=0.0,
        cpu_s=cpu_s,
        peak_memory_bytes=None,
        windows=10,
        runs=100,
        discarded={},
        stopped_by="precision",
    )


def test_what_was_measured_alone_counts_and_shared_fixtures_are_added() -> None:
    runs = (run(setup=2.0, call=1.0, repetition=1), run(setup=0.5, call=1.0))
    found = of(*runs, measured={"t::a": measured(7.0, 1.5)})
    # 2 + 1 s are paid for, 1.5 s were measured alone; the rest is the fixture's, at the run's own power.
    assert found.tests[0].energy_j == pytest.approx(7.0 + 1.5 * W)
    assert found.tests[0].energy_method is Method.MEASURED
    low, high = found.tests[0].energy_interval or (0, 0)
    assert (high - low) / 2 == pytest.approx(0.1)
    assert found.notes == ("1 test measured alone and repeated",)


def test_what_drowns_in_noise_keeps_its_share_by_cpu_time() -> None:
    found = of(run(call=1.0), measured={"t::a": measured(7.0, 1.0, noise_floor_j=8.0)})
    assert found.tests[0].energy_j == W
    assert "below the noise" in found.notes[0]


def test_a_block_has_its_part_of_its_test_where_energy_was_not_known_at_once() -> None:
    block = Block(test_id="t::a", name="x", started_at=100.0, finished_at=100.5, cpu_s=0.25)
    late, other = of(
        run(), blocks=[block, Block(test_id="gone", name="y", started_at=0, finished_at=1, cpu_s=1)]
    ).blocks
    assert (late.energy_j, late.energy_method) == (0.25 * W, Method.ESTIMATED)
    assert other.energy_j is None


def test_left_behind_and_an_empty_suite() -> None:
    left = LeftBehind(test_id="t::a", name="sleep", cpu_s=0.5)
    assert of(run(), left_behind=[left]).left_behind == (left,)
    nothing = Spent(cpu_s=0.0, energy_j=0.0)
    assert project_account(ProjectRecords(runs=[], harness=nothing, background=nothing, source=""), FACTORS) is None


seconds = st.floats(0, 1e4)
runs_of_tests = st.lists(
    st.builds(
        run,
        st.sampled_from("abcdef"),
        st.sampled_from([*OUTCOMES, None]),
        setup=seconds,
        call=seconds,
        teardown=seconds,
    ),
    min_size=1,
    max_size=30,
)


def numbered(runs: Sequence[ItemRun]) -> list[ItemRun]:
    """Each further run of a test is one more attempt at it."""
    seen: dict[str, int] = {}
    result = []
    for each in runs:
        seen[each.test_id] = seen.get(each.test_id, 0) + 1
        result.append(replace(each, attempt=seen[each.test_id]))
    return result


@given(runs_of_tests, seconds)
def test_nothing_that_was_used_is_lost_and_nothing_is_counted_twice(runs: list[ItemRun], background_s: float) -> None:
    found = of(*numbered(runs), background_s=background_s)
    total_s = math.fsum(each.cpu_s or 0 for each in runs) + background_s
    assert found.tests_cost.cpu_s == pytest.approx(total_s)
    assert math.fsum(part.cpu_s or 0 for part in found.by_outcome.values()) + background_s == pytest.approx(total_s)
    assert math.fsum(test.cpu_s or 0 for test in found.tests) + background_s == pytest.approx(total_s)
    assert sum(found.outcomes.values()) == len(found.tests) == len({each.test_id for each in runs})
    assert found.reruns == len(runs) - len(found.tests)
    if found.passing:
        assert found.cpu_seconds_per_passing_test.value == pytest.approx(total_s / found.passing)
    assert found.wasted_share is None or -1e-9 <= found.wasted_share <= 1 + 1e-9


@given(runs_of_tests, seconds)
def test_a_failing_run_more_never_looks_greener(runs: list[ItemRun], call: float) -> None:
    before = of(*numbered(runs)).energy_per_passing_test_j.value
    after = of(*numbered([*runs, run("new", "failed", call=call)])).energy_per_passing_test_j.value
    assert (before is None) == (after is None)
    assert before is None or after is None or after >= before
