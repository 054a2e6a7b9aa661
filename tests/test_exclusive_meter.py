"""Exclusive measurement on a simulated machine: whether intervals cover the truth, and what is left out of them."""

import math
import random
from statistics import fmean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from simulated_counter import SimulatedMachine, SimulatedWindow

from pytest_greencode.meters.baseline import Baseline, measure_baseline, pooled
from pytest_greencode.meters.exclusive import (
    CONTENDED,
    NO_CPU_TIME,
    NO_ENERGY,
    WARM_UP,
    Plan,
    Spent,
    Window,
    estimate,
    measure_exclusive,
    relative_sd,
    window_length_s,
)
from pytest_greencode.meters.window import machine_busy_cpu_s, package_and_dram_j, package_j
from pytest_greencode.statistics import mean_interval, student_t_quantile

LAPTOP, DESKTOP, SERVER = (4, 10, 0.1), (20, 15, 0.3), (120, 12, 1.5)  # idle W, dynamic W, noise W * sqrt(s)


def idle(machine, **arguments):
    return measure_baseline(machine, busy_cpu_s=machine.busy_cpu_s, sleep=machine.sleep, **arguments)


def measure(machine, workloads, plan=None, baseline=None, **changes):
    arguments = {"busy_cpu_s": machine.busy_cpu_s, "own_cpu_s": machine.thread_cpu_s, "clock": machine.clock}
    return measure_exclusive(workloads, machine, baseline or idle(machine), plan, **arguments | changes)


def one(machine, workload, plan=None, **changes):
    return measure(machine, {"only": workload}, plan, **changes)["only"]


# Whether the interval covers.


@pytest.mark.parametrize("kind", [LAPTOP, DESKTOP, SERVER], ids=["laptop", "desktop", "server"])
def test_runs_of_50_ms_are_measured_within_5_percent_and_covered(kind):
    covered = near = 0
    errors = []
    for seed in range(100):
        machine = SimulatedMachine(*kind, seed=seed)
        workload = machine.workload(0.05)
        found = one(machine, workload)
        covered += found.interval[0] <= workload.truth_j <= found.interval[1]
        errors.append(found.energy_j / workload.truth_j - 1)
        near += abs(errors[-1]) <= 0.05
        assert found.relative_half_width <= 0.05 or found.stopped_by != "precision"
    assert covered >= 93
    assert near >= 93
    assert abs(fmean(errors)) < 0.01


def naive(windows, idle_w):
    """Stop at the first narrow interval, and forget the baseline: the mistake that the meter must not make."""
    values = []
    for window in windows:
        values.append(window.share * window.dynamic_j(idle_w) / window.runs)
        if len(values) >= 3:
            low, high = mean_interval(values)
            if (high - low) / 2 <= 0.05 * fmean(values):
                break
    return low, high


def test_stopping_when_narrow_without_a_correction_would_not_cover():
    covered = 0
    for seed in range(100):
        machine = SimulatedMachine(*SERVER, seed=seed)
        workload = machine.workload(0.05)
        baseline = idle(machine)
        plan = Plan(first_windows=60, max_windows=60, max_wall_s=1e9, min_window_s=2, max_window_s=2)
        low, high = naive(one(machine, workload, plan, baseline=baseline).kept, baseline.mean_w)
        covered += low <= workload.truth_j <= high
    assert covered < 91


def test_pooling_with_a_baseline_from_afterwards_covers_a_drift():
    covered = {"before": 0, "both": 0}
    for seed in range(100):
        machine = SimulatedMachine(*SERVER, seed=seed, drift_w=0.6, period_s=600)
        workload = machine.workload(0.05)
        before = idle(machine)
        found = one(machine, workload, baseline=before)
        both = estimate(found.kept, pooled(before, idle(machine)))
        covered["before"] += found.interval[0] <= workload.truth_j <= found.interval[1]
        covered["both"] += both.interval_j[0] <= workload.truth_j <= both.interval_j[1]
    assert covered["before"] < 80 < 85 < covered["both"]


def test_formula_of_the_windows_noise_against_simulation():
    """Edges not aligned: each loses up to a tick, uniformly."""
    random_ = random.Random(3)
    idle_w, dynamic_w, noise, tick_s, window_s = 20, 15, 0.3, 1e-3, 0.02
    found = []
    for _ in range(20_000):
        edges_j = (idle_w * random_.uniform(-0.5, 0.5) - (idle_w + dynamic_w) * random_.uniform(-0.5, 0.5)) * tick_s
        found.append(1 + (edges_j + noise * math.sqrt(window_s) * random_.gauss(0, 1)) / (dynamic_w * window_s))
    expected = relative_sd(idle_w=idle_w, dynamic_w=dynamic_w, window_s=window_s, tick_s=tick_s, noise_w_sqrt_s=noise)
    assert math.sqrt(variance(found)) == pytest.approx(expected, rel=0.03)


# The estimate from given windows.

STEADY = Baseline(mean_w=10, sd_w=0, windows=12, window_s=5)


def window(energy_j=30.0, runs=10, duration_s=1.0, cpu_s=0.9, harness_cpu_s=0.1):
    return Window(runs=runs, duration_s=duration_s, energy_j=energy_j, cpu_s=cpu_s, harness_cpu_s=harness_cpu_s)


def test_estimate_by_hand():
    found = estimate([window(28.0), window(30.0), window(32.0)], STEADY)
    # Dynamic 18, 20, 22 J; 9/10 of it over 10 runs.
    assert found.energy_j == pytest.approx(1.8)
    assert found.interval_j == pytest.approx(mean_interval([1.62, 1.8, 1.98]))
    assert found.noise_floor_j == pytest.approx(2 * 0.18 / math.sqrt(3))
    assert found.baseline_half_width_j == 0


def test_the_baselines_error_is_in_the_interval_however_many_windows():
    noisy = replace(STEADY, sd_w=2.0, windows=4)
    found = estimate([window()] * 1000, noisy)
    # 2 W / sqrt(4), times 0.9 s of each window's second, over 10 runs.
    assert found.baseline_sd_j == pytest.approx(0.09)
    assert found.half_width_j == pytest.approx(found.baseline_half_width_j) == student_t_quantile(0.975, 3) * 0.09


def test_what_gets_restless_later_widens_the_interval_and_what_gets_calm_does_not_narrow_it():
    calm, restless = [window(30.0 + e) for e in (-1, 0, 1)], [window(30.0 + e) for e in (-9, 0, 9)]
    per_window = [estimate(order, STEADY, first=3).windows_sd_j for order in (calm + restless, restless + calm)]
    both = [9 * x / 100 for x in (-1, 0, 1, -9, 0, 9)]
    assert per_window == pytest.approx([math.sqrt(variance(both) / 6), math.sqrt(variance(both[3:]) / 6)])


def test_one_window_is_no_estimate():
    assert estimate([], STEADY) is estimate([window()], STEADY) is None


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=30), st.floats(0, 5), st.integers(2, 30))
def test_any_windows_have_an_interval_around_their_mean(energies, sd_w, first):
    found = estimate([window(10 + e) for e in energies], replace(STEADY, sd_w=sd_w), first=first)
    assert found.energy_j == pytest.approx(fmean(energies) * 0.09)
    assert found.interval_j[0] <= found.energy_j <= found.interval_j[1]
    assert math.isfinite(found.half_width_j)


@given(st.floats(1, 500), st.floats(0.1, 200), st.floats(0.01, 3), st.floats(0.005, 0.3))
def test_the_window_is_as_long_as_the_formula_asks(idle_w, dynamic_w, noise, precision):
    plan = Plan(precision=precision, min_window_s=1e-9, max_window_s=1e9)
    exact = Baseline(mean_w=idle_w, sd_w=noise, windows=10**15, window_s=1)
    length_s = window_length_s(exact, dynamic_w, plan)
    found = relative_sd(idle_w=idle_w, dynamic_w=dynamic_w, window_s=length_s, tick_s=plan.tick_s, noise_w_sqrt_s=noise)
    assert found * student_t_quantile(0.975, 9) / math.sqrt(10) == pytest.approx(precision, rel=1e-3)


def test_the_longest_window_where_the_baseline_leaves_no_room():
    vague = Baseline(mean_w=100, sd_w=50, windows=2, window_s=1)
    assert window_length_s(vague, 1.0, Plan()) == Plan().max_window_s
    assert window_length_s(vague, 0.0, Plan()) == window_length_s(vague, -1.0, Plan()) == Plan().max_window_s


# What is kept apart and what is dropped.


def test_the_harness_is_kept_apart():
    machine = SimulatedMachine(20, 15, 0.0)
    bare, served = machine.workload(harness_share=0), machine.workload(harness_share=1.0)
    found = measure(machine, {"bare": bare, "served": served})
    for measurement in found.values():
        assert measurement.energy_j == pytest.approx(bare.truth_j, rel=0.02)
        assert measurement.cpu_s == pytest.approx(0.05, rel=0.02)
    # Waiting for the tick at a window's end is the harness's, too.
    assert 0 < found["bare"].harness_energy_j < 0.002 * bare.truth_j
    assert found["served"].harness_energy_j == pytest.approx(bare.truth_j, rel=0.02)


def test_contended_windows_are_dropped_and_counted():
    machine = SimulatedMachine(*DESKTOP)
    workload = machine.workload()
    turns = iter(range(10_000))

    def disturbed(repeats):
        if next(turns) % 3 == 0:
            machine.work(0.2)
        return workload(repeats)

    found = one(machine, disturbed)
    assert found.discarded[CONTENDED] >= 3
    assert found.windows == 10
    assert found.contention_known
    assert found.energy_j == pytest.approx(workload.truth_j, rel=0.03)
    blind = one(machine, disturbed, busy_cpu_s=lambda: None)
    assert CONTENDED not in blind.discarded
    assert not blind.contention_known


def test_what_is_busy_in_an_idle_machine_is_no_contention():
    machine = SimulatedMachine(20, 15, 0.0)
    baseline = replace(idle(machine), busy_cpus=0.5)
    workload = machine.workload()

    def beside_others(repeats):
        before_s = machine.now_s
        spent = workload(repeats)
        machine.busy_s += 0.5 * (machine.now_s - before_s)
        return spent

    assert set(one(machine, beside_others, baseline=baseline).discarded) == {WARM_UP}
    assert CONTENDED in one(machine, beside_others, baseline=replace(baseline, busy_cpus=0.0)).discarded


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"invalid": "counter went backwards"}, "counter went backwards"),
        ({"package_uj": None}, NO_ENERGY),
        ({"duration_s": 0.0}, NO_ENERGY),
    ],
)
def test_invalid_windows_are_dropped_never_zero(broken, reason):
    machine = SimulatedMachine(*DESKTOP)
    baseline, workload = idle(machine), machine.workload()
    between = machine.between
    turns = iter(range(10_000))

    def sometimes(start, end):
        seen = between(start, end)
        return replace(seen, **broken) if next(turns) % 2 else seen

    machine.between = sometimes
    found = one(machine, workload, baseline=baseline)
    assert found.discarded[reason] >= 5
    assert found.energy_j == pytest.approx(workload.truth_j, rel=0.03)
    machine.between = lambda start, end: replace(between(start, end), **broken)
    found = one(machine, workload, Plan(max_windows=7), baseline=baseline)
    assert (found.windows, found.runs, found.stopped_by) == (0, 0, "cap")
    assert found.energy_j is found.interval is found.noise_floor_j is found.below_noise_floor is None
    assert found.harness_energy_j is found.cpu_s is found.relative_half_width is None
    assert found.discarded == {reason: 7}


def test_work_without_cpu_time_is_no_work():
    machine = SimulatedMachine(*DESKTOP)

    def sleeper(repeats):
        machine.sleep(repeats * 0.1)
        return Spent(cpu_s=0.0, harness_cpu_s=0.0, wall_s=repeats * 0.1)

    found = one(machine, sleeper, Plan(max_windows=5))
    assert found.discarded == {NO_CPU_TIME: 5}


def test_below_the_noise_floor_is_said():
    machine = SimulatedMachine(120, 0.05, 1.5)
    found = one(machine, machine.workload(), Plan(max_windows=30))
    assert found.below_noise_floor
    assert abs(found.energy_j) < found.noise_floor_j
    assert found.stopped_by in ("baseline", "cap")
    machine = SimulatedMachine(*LAPTOP)
    assert one(machine, machine.workload()).below_noise_floor is False


# How it stops, and in what order.


def test_a_poor_baseline_ends_what_cannot_become_precise():
    machine = SimulatedMachine(*SERVER)
    found = one(machine, machine.workload(), baseline=idle(machine, windows=3, window_s=1.0))
    assert found.stopped_by == "baseline"
    assert found.relative_half_width > 0.05


def test_caps():
    machine = SimulatedMachine(*SERVER)
    baseline = replace(idle(machine), sd_w=0.0)
    found = one(machine, machine.workload(), Plan(precision=0.001, max_windows=13), baseline=baseline)
    assert found.stopped_by == "cap"
    assert found.windows + sum(found.discarded.values()) == 13
    before_s = machine.now_s
    found = one(machine, machine.workload(), Plan(precision=0.001, max_wall_s=30), baseline=baseline)
    assert found.stopped_by == "cap"
    assert 30 <= machine.now_s - before_s <= 30 + 12


def test_long_runs_are_one_a_window():
    machine = SimulatedMachine(*DESKTOP)
    workload = machine.workload(20.0, spread=0.01)
    found = one(machine, workload, Plan(max_wall_s=1000))
    assert found.runs == found.windows == 10
    assert found.discarded == {WARM_UP: 2}
    assert found.energy_j == pytest.approx(workload.truth_j, rel=0.05)


def test_short_runs_fill_the_window():
    machine = SimulatedMachine(*LAPTOP)
    workload = machine.workload(20e-6)
    found = one(machine, workload)
    assert all(0.4 < kept.duration_s < 1 for kept in found.kept)
    assert found.energy_j == pytest.approx(workload.truth_j, rel=0.03)


def test_workloads_take_turns_in_an_order_of_the_seed():
    def order(seed):
        machine = SimulatedMachine(*LAPTOP)
        turns = []

        def logged(name):
            workload = machine.workload()

            def run(repeats):
                turns.append(name)
                return workload(repeats)

            return run

        found = measure(machine, {name: logged(name) for name in "abc"}, Plan(seed=seed))
        assert list(found) == ["a", "b", "c"]
        return "".join(turns)

    turns = order(1)
    rounds = [turns[i : i + 3] for i in range(0, len(turns), 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) > 2
    assert turns == order(1) != order(2)


def test_what_a_workload_raises_is_the_callers():
    machine = SimulatedMachine(*LAPTOP)

    def fails(repeats):
        raise RuntimeError("the sandbox is gone")

    with pytest.raises(RuntimeError, match="gone"):
        one(machine, fails)


def test_nothing_to_measure():
    assert measure(SimulatedMachine(*LAPTOP), {}) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"precision": 0},
        {"precision": math.nan},
        {"confidence": 1},
        {"first_windows": 2},
        {"min_window_s": 0},
        {"min_window_s": 20},
        {"min_share": 1.1},
        {"warm_up_windows": -1},
        {"tick_s": -1},
    ],
)
def test_plans_that_cannot_be_kept(change):
    with pytest.raises(ValueError, match="plan"):
        Plan(**change)


# Readings.


def test_energy_of_the_domains():
    both = SimulatedWindow(1.0, 2e6, 3e6)
    assert (package_j(both), package_and_dram_j(both)) == (2, 5)
    assert package_and_dram_j(replace(both, dram_uj=None)) is package_and_dram_j(replace(both, package_uj=None)) is None


def test_busy_time_of_the_machine(tmp_path):
    assert machine_busy_cpu_s(tmp_path) is None
    stat = tmp_path / "proc" / "stat"
    stat.parent.mkdir()
    stat.write_text("cpu  100 20 30 99999 500 4 6 777 50 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n")
    assert machine_busy_cpu_s(tmp_path) == pytest.approx(1.5)
    for other in ("", "cpu 1 2\n", "intr 1 2 3 4 5 6 7\n", "cpu a b c d e f g\n"):
        stat.write_text(other)
        assert machine_busy_cpu_s(tmp_path) is None
