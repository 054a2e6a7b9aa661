"""The idle baseline: what it says of a machine whose truth is known, and when before and after are the same."""

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from simulated_counter import SimulatedMachine

from pytest_greencode.meters.baseline import Baseline, compare_baselines, half_width, measure_baseline, pooled
from pytest_greencode.statistics import student_t_quantile

BASELINES = st.builds(
    Baseline,
    mean_w=st.floats(1, 500),
    sd_w=st.floats(0, 20),
    windows=st.integers(2, 60),
    window_s=st.floats(0.1, 10),
    busy_cpus=st.one_of(st.none(), st.floats(0, 4)),
    cpus=st.just(8),
)


def idle(machine, **arguments):
    return measure_baseline(machine, busy_cpu_s=machine.busy_cpu_s, sleep=machine.sleep, **arguments)


def test_idle_power_its_spread_and_what_was_busy():
    found = [idle(SimulatedMachine(120, 12, 1.5, seed=seed), cpus=4) for seed in range(50)]
    assert fmean(b.mean_w for b in found) == pytest.approx(120, abs=0.1)
    assert fmean(b.sd_w**2 for b in found) == pytest.approx(1.5**2 / 5, rel=0.15)
    assert fmean(b.noise_w_sqrt_s for b in found) == pytest.approx(1.5, rel=0.1)
    assert found[0].windows == 12
    assert found[0].window_s == pytest.approx(5, rel=1e-3)
    assert 0 <= found[0].busy_share < 1e-3


def test_a_neighbour_shows_in_the_busy_share():
    machine = SimulatedMachine(20, 15, 0.1)

    def sleep(duration_s):
        machine.work(duration_s / 4)
        machine.sleep(duration_s * 3 / 4)

    found = measure_baseline(machine, busy_cpu_s=machine.busy_cpu_s, sleep=sleep, cpus=2)
    assert found.busy_cpus == pytest.approx(0.25, rel=0.01)
    assert found.busy_share == pytest.approx(0.125, rel=0.01)
    assert found.mean_w == pytest.approx(20 + 15 / 4, rel=0.01)
    assert measure_baseline(machine, busy_cpu_s=lambda: None, sleep=machine.sleep).busy_share is None


def test_invalid_windows_are_dropped():
    machine = SimulatedMachine(20, 15, 0.1)
    between = machine.between
    turns = iter(range(100))
    machine.between = lambda *edges: replace(between(*edges), invalid=None if next(turns) % 3 else "wrapped twice")
    found = idle(machine, windows=9)
    assert (found.windows, found.dropped) == (6, 3)
    assert found.mean_w == pytest.approx(20, rel=0.02)
    assert found.busy_cpus is None
    machine.invalid = "no permission"
    machine.between = between
    assert idle(machine) is None


@pytest.mark.parametrize(("windows", "window_s"), [(1, 5.0), (2, 0.0), (2, math.nan), (2, math.inf)])
def test_windows_that_tell_nothing_are_refused(windows, window_s):
    with pytest.raises(ValueError, match="at least 2 windows"):
        idle(SimulatedMachine(1, 1, 0), windows=windows, window_s=window_s)


def test_noise_floor_of_a_window():
    baseline = Baseline(mean_w=100, sd_w=0.5, windows=25, window_s=4)
    # Over 9 s: noise 0.5 * sqrt(4) * sqrt(9) = 3 J; baseline 0.5 / sqrt(25) * 9 = 0.9 J.
    assert baseline.noise_floor_j(9) == pytest.approx(2 * math.sqrt(9 + 0.81))


def test_stable_where_the_change_is_noise_or_too_small_to_matter():
    before = Baseline(mean_w=20, sd_w=0.3, windows=9, window_s=5)
    same = compare_baselines(before, replace(before, mean_w=20.25))
    assert same.stable
    assert same.advice is None
    half_w = student_t_quantile(0.975, 16) * 0.3 * math.sqrt(2 / 9)
    assert same.interval_w == pytest.approx((0.25 - half_w, 0.25 + half_w))
    moved = compare_baselines(before, replace(before, mean_w=20.5))
    assert not moved.stable
    assert "20 W to 20.5 W" in moved.advice
    assert compare_baselines(before, replace(before, mean_w=20.5), tolerance_w=0.6).stable
    # Certain, and of no matter.
    assert compare_baselines(replace(before, sd_w=0.0), replace(before, sd_w=0.0, mean_w=20.1)).stable


def test_false_alarms_are_as_rare_as_they_should_be():
    alarms = 0
    for seed in range(400):
        machine = SimulatedMachine(20, 15, 3.0, seed=seed)
        alarms += not compare_baselines(idle(machine), idle(machine), tolerance_w=0.0).stable
    assert 0.02 < alarms / 400 < 0.08


@given(BASELINES, BASELINES)
def test_pooling_is_between_the_two_and_no_surer_than_the_change_allows(before, after):
    both = pooled(before, after)
    assert min(before.mean_w, after.mean_w) <= both.mean_w <= max(before.mean_w, after.mean_w)
    squares = (before.error_w**2 + after.error_w**2) / 4 + (after.mean_w - before.mean_w) ** 2 / 12
    assert both.error_w == pytest.approx(math.sqrt(squares))
    assert both.windows == before.windows + after.windows
    assert pooled(after, before).error_w == pytest.approx(both.error_w)


@given(BASELINES, BASELINES)
def test_comparison_backwards(before, after):
    there, back = (compare_baselines(*order, tolerance_w=0.1) for order in ((before, after), (after, before)))
    assert there.stable == back.stable
    assert there.interval_w == pytest.approx((-back.interval_w[1], -back.interval_w[0]))


def test_half_width_of_parts():
    assert half_width(((4.0, 5),), 0.95) == pytest.approx(2 * student_t_quantile(0.975, 5))
    assert half_width(((0.0, 5), (0.0, 1)), 0.95) == 0
    # Equal parts with equal degrees count double.
    assert half_width(((2.0, 5), (2.0, 5)), 0.95) == pytest.approx(2 * student_t_quantile(0.975, 10))
