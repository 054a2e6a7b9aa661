"""Green Capacity: vectors by hand, relations against enumeration, and what must hold for any costs."""

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.green_capacity import (
    INDICATORS,
    Cost,
    Relation,
    Resolution,
    TaskCosts,
    compare,
    green_capacity,
)
from pytest_greencode.plain import plain_values
from pytest_greencode.statistics import mean_interval

EXACT = {name: Resolution() for name in INDICATORS}
ONE = Cost(run_time_s=1, peak_memory_bytes=1, energy_j=1, flops=1)
AMOUNTS = st.one_of(st.none(), st.integers(0, 4).map(float), st.floats(1e-3, 1e12))
COSTS = st.builds(Cost, **dict.fromkeys(INDICATORS, AMOUNTS))
WILD = st.builds(Cost, **dict.fromkeys(INDICATORS, st.floats(0, allow_infinity=False)))
ACCEPTED = st.lists(COSTS, max_size=3)
TASKS = st.lists(st.tuples(ACCEPTED, st.integers(1, 4), st.one_of(st.none(), COSTS)), max_size=6)


def task(task_id, accepted, reference=ONE, attempts=None):
    return TaskCosts(
        task_id=task_id, attempts=attempts or max(len(accepted), 1), accepted=accepted, reference=reference
    )


def tasks_of(drawn):
    return [
        task(f"t/{i}", accepted, reference, len(accepted) + more) for i, (accepted, more, reference) in enumerate(drawn)
    ]


def exactly(tasks, **arguments):
    return green_capacity(tasks, resolution=EXACT, **arguments)


# One sample.


def test_half_and_twice_are_symmetric():
    comparison = compare(
        Cost(run_time_s=0.5, peak_memory_bytes=2, energy_j=1),
        Cost(run_time_s=1, peak_memory_bytes=1, energy_j=1, flops=9),
        EXACT,
    )
    assert comparison.log_ratio == {
        "run_time_s": pytest.approx(math.log(2)),
        "peak_memory_bytes": pytest.approx(-math.log(2)),
        "energy_j": 0,
        "flops": None,
    }
    assert comparison.relation is Relation.INCOMPARABLE
    assert comparison.performance_delta == {
        "run_time_s": 0.5,
        "peak_memory_bytes": -1,
        "energy_j": 0,
        "flops": None,
    }


@pytest.mark.parametrize("sample", [0.0, 50.0, 100.0])
def test_what_is_below_the_resolution_has_an_order_but_no_ratio(sample):
    scale = {"peak_memory_bytes": Resolution(absolute=100)}
    reference = Cost(peak_memory_bytes=1000)
    comparison = compare(Cost(peak_memory_bytes=sample), reference, scale)
    assert comparison.log_ratio["peak_memory_bytes"] is None
    assert comparison.below_resolution == ("peak_memory_bytes",)
    assert comparison.relation is Relation.DOMINATES
    assert compare(reference, Cost(peak_memory_bytes=sample), scale).relation is Relation.DOMINATED
    assert compare(Cost(peak_memory_bytes=sample), Cost(peak_memory_bytes=0), scale).relation is Relation.EQUAL


def test_negative_dynamic_energy_is_below_the_resolution():
    comparison = compare(Cost(energy_j=-2.0), Cost(energy_j=-1.0), EXACT)
    assert comparison.log_ratio["energy_j"] is comparison.performance_delta["energy_j"] is None
    assert comparison.relation is Relation.EQUAL
    assert compare(Cost(energy_j=-2.0), ONE, EXACT).relation is Relation.DOMINATES


def test_nothing_in_common_is_unknown():
    assert compare(Cost(flops=1), Cost(energy_j=1)).relation is Relation.UNKNOWN
    assert compare(Cost(), Cost()).relation is Relation.UNKNOWN


@pytest.mark.parametrize(
    ("sample", "expected"), [(94.9, -1), (95.1, 0), (100, 0), (105.2, 0), (105.4, 1), (0, -1), (1e9, 1)]
)
def test_the_relative_resolution_is_of_the_larger(sample, expected):
    assert Resolution(absolute=1, relative=0.05).compare(sample, 100) == expected


@pytest.mark.parametrize("name", INDICATORS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0])
def test_impossible_costs_are_refused(name, value):
    if name == "energy_j" and value == -1:
        assert Cost(energy_j=value).energy_j == -1
    else:
        with pytest.raises(ValueError, match=name):
            Cost(**{name: value})


@given(COSTS, COSTS)
def test_relation_against_the_definition(sample, reference):
    pairs = [
        (sample[name], reference[name])
        for name in INDICATORS
        if sample[name] is not None and reference[name] is not None
    ]
    no_more, no_less = all(a <= b for a, b in pairs), all(a >= b for a, b in pairs)
    expected = {(True, True): "equal", (True, False): "dominates", (False, True): "dominated"}.get(
        (no_more, no_less), "incomparable"
    )
    assert compare(sample, reference, EXACT).relation == (expected if pairs else "unknown")


@given(COSTS, COSTS)
def test_exchange_of_sample_and_reference(sample, reference):
    there, back = compare(sample, reference), compare(reference, sample)
    for name in INDICATORS:
        d = there.log_ratio[name]
        assert back.log_ratio[name] == (None if d is None else -d)
    assert there.below_resolution == back.below_resolution
    swapped = {Relation.DOMINATES: Relation.DOMINATED, Relation.DOMINATED: Relation.DOMINATES}
    assert back.relation is swapped.get(there.relation, there.relation)


@given(COSTS, COSTS, st.sampled_from([0.25, 2.0, 1024.0]))
def test_the_unit_does_not_matter(sample, reference, factor):
    def scaled(cost):
        return Cost(**{name: None if cost[name] is None else cost[name] * factor for name in INDICATORS})

    plain, other = compare(sample, reference, EXACT), compare(scaled(sample), scaled(reference), EXACT)
    assert plain.relation is other.relation
    assert plain.performance_delta == other.performance_delta
    assert plain.log_ratio == {
        name: d if d is None else pytest.approx(d, abs=1e-9) for name, d in other.log_ratio.items()
    }


# A configuration.


def test_tasks_weigh_the_same_however_many_samples_passed():
    tasks = [
        task("a", [Cost(energy_j=0.5), Cost(energy_j=0.5), Cost(energy_j=0.125)], attempts=4),
        task("b", [Cost(energy_j=2)]),
        task("unsolved", [], attempts=8),
        task("no reference", [ONE], reference=None),
    ]
    capacity = exactly(tasks)
    energy = capacity.log_ratio["energy_j"]
    # Means of log2: (1 + 1 + 3)/3 and -1, so 1/3 over the tasks.
    assert energy.value == pytest.approx(math.log(2) / 3)
    assert energy.ratio == pytest.approx(2 ** (1 / 3))
    assert energy.interval == pytest.approx(mean_interval([5 / 3 * math.log(2), -math.log(2)]))
    assert (energy.tasks, energy.samples, energy.missing, energy.below_resolution) == (2, 4, 0, 0)
    assert (capacity.tasks, capacity.tasks_compared, capacity.accepted, capacity.samples_compared) == (4, 2, 5, 4)
    assert capacity.correctness == pytest.approx(float(Fraction(3 + 4 + 0 + 4, 16)))
    assert capacity.relations == {"dominates": 3, "dominated": 1, "incomparable": 0, "equal": 0, "unknown": 0}
    assert [row.task_id for row in capacity.task_rows] == ["a", "b"]
    assert capacity.log_ratio["flops"].value is capacity.log_ratio["flops"].interval is None
    assert capacity.log_ratio["flops"].missing == 4


def test_literature_reading_hides_what_got_worse():
    """A published evaluation has a memory PD of -1.2578 beside a GC of 0, as for a sample without any change."""
    reading = exactly([task("a", [replace(ONE, peak_memory_bytes=2.2578)])]).literature
    assert reading.performance_delta["peak_memory_bytes"] == pytest.approx(-1.2578)
    assert reading.score == 0
    assert exactly([task("a", [ONE])]).literature.score == 0


def test_literature_reading_by_hand():
    tasks = [
        task("a", [Cost(run_time_s=0.5, energy_j=0.25), Cost(run_time_s=1, energy_j=3)], attempts=4),
        task("b", [Cost(run_time_s=2, energy_j=0.5)]),
        task("c", [], attempts=2),
    ]
    reading = exactly(tasks).literature
    assert reading.indicators == ("run_time_s", "energy_j")
    assert reading.missing == ("peak_memory_bytes", "flops")
    assert reading.samples == 3
    # Sums of the clipped: a 5/4 and 0, b 1/2.
    assert reading.score == float(Fraction(5, 8) / 2 + Fraction(1, 2) / 2)
    assert reading.score_all_attempts == pytest.approx(float(Fraction(5, 8) * Fraction(2, 4) + Fraction(1, 2)) / 3)
    assert reading.performance_delta["energy_j"] == float((Fraction(3, 4) - 2) / 2 / 2 + Fraction(1, 2) / 2)
    assert "hides regressions" in reading.label


def test_scalar_prints_what_went_in():
    tasks = [
        task("a", [Cost(run_time_s=0.5, energy_j=0.25)]),
        task("b", [Cost(run_time_s=0.5)]),
        task("c", [], attempts=3),
        task("d", [], attempts=1),
    ]
    scalar = exactly(tasks, weights={"run_time_s": 1, "energy_j": 2, "flops": 5, "correctness": 1}).scalar
    # In units of ln 2, over task a alone: (1 * 1 + 2 * 2 + 1 * -1) / 4, acceptance being 1/2.
    assert scalar.value == pytest.approx(math.log(2))
    assert scalar.missing == ("flops",)
    assert scalar.tasks == 1
    assert scalar.weights["flops"] == 5
    assert exactly(tasks).scalar is None
    assert exactly(tasks, weights={"correctness": 3}).scalar.value == pytest.approx(-math.log(2))


def test_scalar_that_cannot_be():
    apart = [task("a", [Cost(run_time_s=1)]), task("b", [Cost(energy_j=1)])]
    both = {"run_time_s": 1, "energy_j": 1, "correctness": 1}
    scalar = exactly(apart, weights=both).scalar
    assert (scalar.value, scalar.missing, scalar.tasks) == (None, (), 0)
    assert exactly([task("a", [])], weights=both).scalar.value is None
    assert exactly([task("a", [])], weights={"correctness": 1}).scalar.value is None
    assert exactly([], weights=both).scalar.value is None


@pytest.mark.parametrize(
    "weights",
    [{}, {"energy_j": 0}, {"energy_j": -1, "flops": 2}, {"speed": 1}, {"flops": math.nan}, {"flops": math.inf}],
)
def test_weights_are_checked(weights):
    with pytest.raises(ValueError, match=r"indicators|weights"):
        exactly([], weights=weights)


def test_a_task_is_given_once_and_accepts_no_more_than_was_tried():
    with pytest.raises(ValueError, match="twice: a"):
        exactly([task("a", [ONE]), task("a", [])])
    with pytest.raises(ValueError, match="a: 1 accepted of 0"):
        TaskCosts(task_id="a", attempts=0, accepted=[ONE], reference=ONE)


def test_nothing_is_known_of_nothing():
    capacity = green_capacity([])
    assert capacity.correctness is capacity.literature.score is capacity.literature.score_all_attempts is None
    assert all(mean.value is mean.ratio is mean.interval is None for mean in capacity.log_ratio.values())


@given(st.lists(st.tuples(st.lists(WILD, max_size=3), st.just(1), WILD), max_size=4))
def test_no_costs_overflow(drawn):
    json.dumps(plain_values(green_capacity(tasks_of(drawn))), allow_nan=False)


@given(TASKS)
def test_any_costs_add_up_and_can_be_written(drawn):
    tasks = tasks_of(drawn)
    capacity = green_capacity(tasks, weights=dict.fromkeys(INDICATORS, 1))
    json.dumps(plain_values(capacity), allow_nan=False)
    assert sum(capacity.relations.values()) == capacity.samples_compared
    for mean in capacity.log_ratio.values():
        assert mean.samples + mean.missing + mean.below_resolution == capacity.samples_compared
        assert (mean.value is None) == (mean.tasks == 0)
        assert mean.interval is None or mean.interval[0] <= mean.value <= mean.interval[1]


@given(TASKS, st.integers(1, 3))
def test_a_sample_counted_more_often_changes_no_mean(drawn, times):
    once = green_capacity(tasks_of(drawn))
    often = green_capacity(tasks_of([(accepted * times, more, reference) for accepted, more, reference in drawn]))
    for name in INDICATORS:
        value = once.log_ratio[name].value
        assert often.log_ratio[name].value == (None if value is None else pytest.approx(value, abs=1e-9))
    assert often.literature.score == (
        None if once.literature.score is None else pytest.approx(once.literature.score, abs=1e-9)
    )
