"""The estimators, exactly and against enumeration; then the account of records."""

import math
import random
from fractions import Fraction
from itertools import permutations

import pytest
from builders import UNIT_FACTORS as FACTORS
from builders import A, R, attempt, grid, reading
from builders import machine as any_machine
from conftest import least_cpu_s
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.accounting import account
from pytest_greencode.estimators import expected_attempts, expected_cost, lower_bound, pass_probability
from pytest_greencode.model import (
    J_PER_KWH,
    Configuration,
    Factors,
    Generation,
    Intensity,
    Method,
    Verdict,
    canonical_settings,
)
from pytest_greencode.pricing import PARTS, Pricing
from pytest_greencode.statistics import noise_interval, ratio_interval

UNIT = grid(J_PER_KWH, "unit")
YEAR_S = 365.25 * 86400


def machine(kg, power_w=100.0, threads=None, name="machine"):
    """Over a million seconds, so that a gram a second is easily made."""
    lives = {"lifetime_s": 1e6, "lifetime_low_s": 0.75e6, "lifetime_high_s": 1.5e6}
    return any_machine(name, kg, power_w=power_w, threads=threads, **lives)


EXAMPLE = [(3, R), (5, A), (4, R), (8, R), (6, A)]


def record(task_id="t", sample_id=0, verdict=A, generation_j=1.0, execution_j=0.0, harness_j=0.25, **changes):
    values = {
        "suite": "suite",
        "model": "model",
        "program_key": f"{task_id}-{sample_id}",
        "generation": {"energy_j": generation_j},
        "reading": reading(wall_s=0.1, energy_j=execution_j, harness_energy_j=harness_j),
    }
    return attempt(task_id, sample_id, verdict=verdict, **values | changes)


def records_of(tasks):
    """`tasks`: for each a list of (cost in J, verdict)."""
    return [
        record(f"t/{t}", i, verdict, float(cost))
        for t, attempts in enumerate(tasks)
        for i, (cost, verdict) in enumerate(attempts)
    ]


def only(records, **arguments):
    (configuration,) = account(records, FACTORS, **arguments).configurations
    return configuration


# The estimators.


@pytest.mark.parametrize(
    ("k", "attempts", "passed", "cost", "ratio"),
    [
        (1, 1, Fraction(2, 5), Fraction(26, 5), 13),
        (2, Fraction(8, 5), Fraction(7, 10), Fraction(167, 20), Fraction(167, 14)),
        (3, Fraction(19, 10), Fraction(9, 10), Fraction(199, 20), Fraction(199, 18)),
        (4, 2, 1, Fraction(21, 2), Fraction(21, 2)),
        (5, 2, 1, Fraction(21, 2), Fraction(21, 2)),
    ],
)
def test_worked_example(k, attempts, passed, cost, ratio):
    assert expected_attempts(5, 2, k) == attempts
    assert pass_probability(5, 2, k) == passed
    exact = expected_cost(5, 2, k, Fraction(11, 2), Fraction(5))
    assert (exact, exact / passed) == (cost, ratio)
    assert isinstance(exact, Fraction)
    row = only(records_of([EXAMPLE])).retry[k]
    assert row.co2e_g_per_accepted == pytest.approx(float(ratio), rel=1e-14)
    assert row.energy_j == pytest.approx(float(cost), rel=1e-14)
    assert row.attempts == float(attempts)


def enumerate_orders(attempts, k):
    """(P, A, C) of retry-until-accepted, at most k, by walking every order of the attempts."""
    orders = list(permutations(attempts))
    passed = made = Fraction(0)
    cost = Fraction(0)
    for order in orders:
        for x, accepted in order[:k]:
            made += 1
            cost += x
            if accepted:
                passed += 1
                break
    return passed / len(orders), made / len(orders), cost / len(orders)


some_attempts = st.lists(st.tuples(st.fractions(0, 100, max_denominator=20), st.booleans()), min_size=1, max_size=6)


def means(attempts):
    groups = [[x for x, accepted in attempts if accepted is wanted] for wanted in (True, False)]
    return [sum(group) / Fraction(len(group)) if group else Fraction(0) for group in groups]


@given(some_attempts, st.data())
def test_estimators_equal_enumeration(attempts, data):
    k = data.draw(st.integers(1, len(attempts)))
    n, c = len(attempts), sum(accepted for _, accepted in attempts)
    assert enumerate_orders(attempts, k) == (
        pass_probability(n, c, k),
        expected_attempts(n, c, k),
        expected_cost(n, c, k, *means(attempts)),
    )


counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@given(counts, st.lists(st.fractions(0, 1000), min_size=4, max_size=4))
def test_parts_add_up_exactly(nck, parts):
    accepted, failed, more_accepted, more_failed = parts
    whole = expected_cost(*nck, accepted + more_accepted, failed + more_failed)
    assert whole == expected_cost(*nck, accepted, failed) + expected_cost(*nck, more_accepted, more_failed)


@given(counts)
def test_estimators_in_range(nck):
    n, c, k = nck
    passed, attempts = pass_probability(n, c, k), expected_attempts(n, c, k)
    assert 0 <= passed <= 1 <= attempts <= k
    assert passed <= attempts
    if k > 1:
        assert passed >= pass_probability(n, c, k - 1)
        assert attempts >= expected_attempts(n, c, k - 1)
    if c == 0:
        assert (passed, attempts) == (0, k)
    if c == n:
        assert (passed, attempts) == (1, 1)


@pytest.mark.parametrize("nck", [(0, 0, 1), (5, 6, 1), (5, -1, 1), (5, 2, 0), (5, 2, 6)])
def test_estimators_refuse(nck):
    for estimator in (pass_probability, expected_attempts):
        with pytest.raises(ValueError, match="need 0 <= c <= n"):
            estimator(*nck)


# The account.

verdicts = st.sampled_from([A, R, Verdict.TIMEOUT, Verdict.MEMORY, Verdict.CRASHED, Verdict.MALFORMED])
some_tasks = st.lists(st.lists(st.tuples(st.floats(0, 1e6), verdicts), min_size=1, max_size=6), min_size=1, max_size=5)


@given(some_tasks)
def test_account_in_range(tasks):
    result = only(records_of(tasks))
    costs = [cost for task in tasks for cost, _ in task]
    assert result.energy_j.generation == math.fsum(costs)
    assert result.co2e_g.operational == pytest.approx(math.fsum(costs))
    assert result.accepted == sum(verdict is A for task in tasks for _, verdict in task)
    passes = [result.retry[k].pass_probability for k in result.retry]
    assert passes == sorted(passes)
    for row in result.retry.values():
        if row.pass_probability:
            assert row.correctness_coefficient >= 1
            assert row.co2e_g_per_accepted >= 0
        else:
            assert row.correctness_coefficient is row.co2e_g_per_accepted is None
    if result.waste_share is not None:
        assert -1e-12 <= result.unsolved_share <= result.waste_share + 1e-9 <= 1 + 1e-8


@given(st.integers(1, 6), st.data())
def test_pool_is_the_first_ratio_for_equal_n(n, data):
    attempt = st.tuples(st.floats(0, 1e6), verdicts)
    tasks = data.draw(st.lists(st.lists(attempt, min_size=n, max_size=n), min_size=1, max_size=5))
    result = only(records_of(tasks))
    if result.accepted:
        assert result.pool.co2e_g_per_accepted == pytest.approx(result.retry[1].co2e_g_per_accepted, rel=1e-12)
    else:
        assert result.pool.co2e_g_per_accepted is None


@given(some_tasks, st.randoms(use_true_random=False))
def test_order_of_records_does_not_matter(tasks, rng):
    records = records_of(tasks)
    shuffled = list(records)
    rng.shuffle(shuffled)
    assert account(shuffled, FACTORS) == account(records, FACTORS)


def test_pool_of_the_worked_example():
    result = only(records_of([EXAMPLE]))
    assert result.pool.co2e_g_per_accepted == 13
    assert result.per_accepted.attempts == 5
    assert result.per_accepted.co2e_g == pytest.approx(10.5)
    assert result.per_accepted.interval is None
    assert result.per_accepted.interval_reason == "too few tasks: 1, an interval needs 10"
    assert result.waste_share == pytest.approx(1 - 5.5 / 10.5)
    assert result.unsolved_share == 0
    (row,) = result.task_rows
    assert row.verdicts == (R, A, R, R, A)
    assert (row.energy_j.attempt, row.energy_j.accepted, row.energy_j.failed) == pytest.approx((5.2, 5.5, 5))


@given(some_tasks, st.data())
def test_missing_never_becomes_zero(tasks, data):
    records = records_of(tasks)
    position = data.draw(st.integers(0, len(records) - 1))
    part = data.draw(st.sampled_from(["generation", "execution", "no generation", "no reading", "nan"]))
    one = records[position]
    records[position] = {
        "generation": replace(one, generation=Generation()),
        "execution": replace(one, reading=replace(one.reading, energy_j=None)),
        "no generation": replace(one, generation=None),
        "no reading": replace(one, reading=None),
        "nan": replace(one, generation=Generation(energy_j=math.nan)),
    }[part]
    result = only(records)
    missing = "execution" if part in ("execution", "no reading") else "generation"
    assert f"{missing} energy missing for 1 of {len(records)} attempts" in result.per_accepted.reason
    assert result.per_accepted.co2e_g is result.per_accepted.energy_j is result.pool.co2e_g_per_accepted is None
    assert result.per_accepted.lower_bound_co2e_g is result.waste_share is result.energy_j.total is None
    assert getattr(result.energy_j, missing) is result.co2e_g.operational is None
    known = "generation" if missing == "execution" else "execution"
    assert getattr(result.energy_j, known) is not None
    assert result.provenance[f"energy_j.{missing}"].method is Method.MISSING
    assert result.pass_at[1] == pytest.approx(only(records_of(tasks)).pass_at[1])
    for row in result.retry.values():
        assert row.co2e_g is row.energy_j is row.co2e_g_per_accepted is row.interval is None
        assert row.attempts >= 1


def test_none_accepted():
    result = only(records_of([[(2, R)] * 10, [(4, R)] * 10]))
    headline = result.per_accepted
    assert (headline.co2e_g, headline.reason) == (None, "none accepted")
    assert headline.lower_bound_co2e_g == pytest.approx(3 / (1 - 0.05 ** (1 / 20)))
    assert headline.lower_bound_energy_j == pytest.approx(lower_bound(3, 20))
    assert (result.waste_share, result.unsolved_share) == (1, 1)
    assert result.pass_at[10] == 0
    assert result.retry[10].co2e_g == pytest.approx(30)


def test_the_harness_is_never_the_models_fault():
    records = [
        *records_of([[(1, A), (1, R)], [(1, A), (1, A)]]),
        record("t/0", 7, Verdict.HARNESS_ERROR, 100.0),
        record("t/1", 7, None, 100.0, reading=None),
        record("t/9", 0, None, reading=None),
    ]
    result = only(records)
    assert (result.tasks, result.attempts, result.accepted) == (2, 4, 3)
    assert result.energy_j.generation == 4
    assert result.per_accepted.co2e_g is not None
    facts = result.completeness
    assert (facts.attempts_planned, facts.attempts_finished, facts.attempts_unfinished) == (7, 5, 2)
    assert facts.harness_errors == 1
    assert facts.tasks_left_out == ("t/9",)
    assert not facts.complete
    assert only(records[:4]).completeness.complete
    assert result.task_rows[0].verdicts == (A, R, Verdict.HARNESS_ERROR)


def test_nothing_finished():
    result = only([record(verdict=None, reading=None)])
    assert (result.attempts, result.pass_at, result.retry) == (0, {}, {})
    assert result.per_accepted.reason == "no finished attempts"
    assert result.energy_j.total is result.energy_j.generation is result.per_accepted.attempts is None
    assert account([], FACTORS).configurations == ()


def test_harness_energy_stays_apart():
    result = only([record("a", 0, A, 10.0, 2.0, 5.0), record("b", 0, A, 10.0, 2.0, 5.0)])
    assert (result.energy_j.harness, result.energy_j.total) == (10, 34)
    assert (result.co2e_g.harness, result.co2e_g.operational) == pytest.approx((10, 24))
    assert (result.co2e_g.embodied, result.co2e_g.total) == (0, 34)
    assert result.per_accepted.energy_j == result.per_accepted.co2e_g == pytest.approx(12)


def test_grams():
    french = Intensity(g_per_kwh=36.0, region="FRA", year=2024, source="test")
    factors = Factors(
        generation=Intensity(g_per_kwh=360.0, region="world", year=2024, source="test"),
        execution=Intensity(g_per_kwh=720.0, region="DEU", year=2024, source="test"),
        generation_pue=1.5,
        execution_pue=2.0,
    )

    def grams(generation):
        result = account(
            [record(generation=generation, execution_j=1000.0)],
            Pricing(factors, lambda region: {"FRA": french}.get(region)),
        )
        return result.configurations[0].co2e_g

    assert grams(Generation(energy_j=1e4)).generation == pytest.approx(1.5)
    assert grams(Generation(energy_j=1e4)).execution == pytest.approx(0.4)
    assert grams(Generation(energy_j=1e4, pue_included=True)).generation == pytest.approx(1.0)
    assert grams(Generation(energy_j=1e4, region="FRA")).generation == pytest.approx(0.15)
    assert grams(Generation(energy_j=1e4, region="Atlantis")).generation == pytest.approx(1.5)


@pytest.mark.parametrize(
    "factors",
    [
        replace(FACTORS, generation_pue=0.5),
        replace(FACTORS, execution_pue=math.nan),
        replace(FACTORS, execution=replace(UNIT, g_per_kwh=math.nan)),
        replace(FACTORS, generation=replace(UNIT, g_per_kwh=-1.0)),
    ],
)
def test_senseless_factors(factors):
    with pytest.raises(ValueError, match=r"PUE|intensity"):
        account([], factors)


def test_attempts_allowed():
    tasks = [[(1, A)] * 3, [(1, R), (1, A), (1, A), (1, A)]]
    assert only(records_of(tasks)).per_accepted.attempts == 3
    assert (
        only(records_of(tasks), attempts_allowed=2).per_accepted.co2e_g
        == only(records_of(tasks)).retry[2].co2e_g_per_accepted
    )
    too_many = only(records_of(tasks), attempts_allowed=4)
    assert too_many.per_accepted.reason == "4 attempts allowed, but t/0 has 3"
    assert too_many.per_accepted.co2e_g is too_many.waste_share is None
    assert set(too_many.pass_at) == {1, 2, 3}
    with pytest.raises(ValueError, match="at least 1"):
        account([], FACTORS, attempts_allowed=0)


def test_which_k():
    result = only(records_of([[(1, A)] * 230]), attempts_allowed=77)
    assert list(result.retry) == [*range(1, 11), 20, 50, 77, 100, 200]


def test_the_same_program_every_time():
    same = [record("t", i, A, program_key="x") for i in range(3)]
    assert only(same).deterministic
    assert not only(same[:1]).deterministic
    assert not only([*same, record("t", 3, A, program_key="y")]).deterministic


def test_extraction_flaky_and_quarantine():
    records = [
        record("t/2", 0, A),
        record("t/10", 0, A, extraction="block", flaky=True),
        record("t/1", 0, R, extraction="block"),
        record("t/3", 0, R, extraction="unescaped"),
        record("t/4", 0, R),
    ]
    result = only(records, quarantined={"t/4": "its own solution fails"})
    counts = result.extraction
    assert (counts.needed, counts.accepted_as_is, counts.accepted_extracted) == (3, 1, 1)
    assert counts.rules == {"block": 2, "unescaped": 1}
    assert (result.flaky, result.attempts) == (1, 4)
    assert [row.task_id for row in result.task_rows] == ["t/1", "t/2", "t/3", "t/10"]


def test_suites_and_configurations_stay_apart():
    hot = Configuration(model="model", settings=canonical_settings({"temperature": 1}))
    records = [
        record(),
        record(configuration=hot),
        record(suite="other"),
        record(configuration=Configuration(model="a")),
    ]
    found = [(c.suite, c.model, c.settings) for c in account(records, FACTORS).configurations]
    assert found == [
        ("other", "model", "{}"),
        ("suite", "a", "{}"),
        ("suite", "model", '{"temperature":1}'),
        ("suite", "model", "{}"),
    ]


def test_the_headline_of_a_chain_is_its_pool():
    result = only([record("t", i, v, 2.0, extra={"chain": True}) for i, v in enumerate([R, R, A])])
    assert result.chain
    assert result.pool.co2e_g_per_accepted == pytest.approx(6)
    assert result.retry == result.pass_at == {}
    assert result.per_accepted.energy_j == result.pool.energy_j_per_accepted


def test_intervals():
    rng = random.Random(5)
    tasks = [[(rng.lognormvariate(0, 1), rng.choice([A, R, R])) for _ in range(6)] for _ in range(8)]
    tasks += [[(1, A)] * 6, [(2, R)] * 6, [(3.0, A), *[(float(i), R) for i in range(5)]]]
    for k in (1, 2, 5):
        row = only(records_of(tasks), attempts_allowed=k).retry[k]
        cost_and_pass = [estimate(task, k) for task in tasks]
        expected, passes = zip(*cost_and_pass, strict=True)
        ratio = sum(expected) / sum(passes)
        assert row.co2e_g_per_accepted == pytest.approx(ratio)
        assert row.interval == pytest.approx(ratio_interval(expected, passes))
        variances = []
        for task in tasks:
            left = [estimate(task[:i] + task[i + 1 :], k) for i in range(6)]
            residuals = [cost - ratio * passed for cost, passed in left]
            centre = sum(residuals) / 6
            variances.append(5 / 6 * sum((residual - centre) ** 2 for residual in residuals))
        assert row.this_benchmark == pytest.approx(
            noise_interval(sum(expected), sum(passes), variances, [5] * len(tasks))
        )
    headline = only(records_of(tasks)).per_accepted
    assert headline.interval is not None
    assert headline.this_benchmark is None
    assert headline.this_benchmark_reason == "needs more attempts of every task than the k allowed"


@pytest.mark.parametrize(("tasks", "known"), [(2, False), (9, False), (10, True)])
def test_an_interval_needs_ten_tasks(tasks, known):
    rows = [[(1.0, A), (1.0 + t, R)] for t in range(tasks)]
    headline = only(records_of(rows)).per_accepted
    assert headline.co2e_g is not None
    assert (headline.interval is not None) is known
    assert headline.interval_reason == (None if known else f"too few tasks: {tasks}, an interval needs 10")


def estimate(attempts, k):
    accepted = [x for x, verdict in attempts if verdict is A]
    failed = [x for x, verdict in attempts if verdict is not A]
    n, c = len(attempts), len(accepted)
    cost = expected_cost(n, c, k, sum(accepted) / max(c, 1), sum(failed) / max(n - c, 1))
    return cost, float(pass_probability(n, c, k))


def test_the_interval_of_this_benchmark_covers():
    """The same tasks every time, fresh attempts: the truth is sum of mean costs over sum of pass rates."""
    rng = random.Random(11)
    tasks = [(rng.uniform(0.1, 0.9), rng.uniform(1, 3)) for _ in range(12)]
    truth = sum(cost for _, cost in tasks) / sum(p for p, _ in tasks)
    trials, covered = 300, 0
    for _ in range(trials):
        drawn = [
            [(cost * rng.gammavariate(4, 0.25), A if rng.random() < p else R) for _ in range(6)] for p, cost in tasks
        ]
        low, high = only(records_of(drawn), attempts_allowed=1).retry[1].this_benchmark
        covered += low <= truth <= high
    assert 0.91 <= covered / trials <= 0.985


def test_provenance():
    records = [
        record("a", 0, A),
        record("b", 0, A, generation=Generation(energy_j=1.0, energy_method=Method.DECLARED, source="table")),
        record("c", 0, A, generation=Generation(energy_j=1.0)),
    ]
    origins = only(records).provenance
    assert origins["energy_j.generation"].method is Method.DECLARED
    assert origins["energy_j.generation"].methods == {"declared": 2, "measured": 1}
    assert origins["energy_j.generation"].source == "nvml, samples file, table"
    assert origins["energy_j.execution"].source == "cpu-tdp"
    assert origins["co2e_g.operational"].source == "grid: unit 3.6e+06 g/kWh (2024, test); PUE 1.0"
    assert origins["co2e_g.embodied"].method is Method.ESTIMATED
    assert origins["co2e_g.embodied_generation"].source == "server 0 kg over 4 years (test; time from energy at 1 W)"
    (bare,) = account(records, Factors(generation=UNIT, execution=UNIT)).configurations
    assert bare.provenance["co2e_g.embodied"].method is bare.provenance["per_accepted"].method is Method.MISSING
    assert "harness" in origins["per_accepted"].source


@settings(max_examples=20, deadline=None)
@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(allow_nan=True, allow_infinity=True))
def test_any_float_is_survived(generation_j, execution_j):
    result = only([record(t, i, v, generation_j, execution_j) for t in "ab" for i, v in enumerate([A, R, A])])
    for row in result.retry.values():
        for value in (row.energy_j, row.co2e_g, row.co2e_g_per_accepted, *(row.interval or ())):
            assert value is None or math.isfinite(value)


def test_its_time_is_linear_in_attempts():
    rng = random.Random(3)

    def seconds(attempts):
        records = records_of([[(rng.random(), rng.choice([A, R])) for _ in range(attempts)] for _ in range(164)])
        return least_cpu_s(lambda: only(records))

    assert seconds(200) < 2 * 8 * seconds(25)


# Embodied carbon.


def priced(records, generation_machine, execution_machine):
    factors = replace(FACTORS, generation_machine=generation_machine, execution_machine=execution_machine)
    (configuration,) = account(records, factors).configurations
    return configuration


def test_the_worked_example_with_embodied_carbon_adds_up():
    # 1 g for every second of the device, and 1 J at 100 W is 0.01 s of it.
    result = priced(records_of([EXAMPLE]), machine(1000), machine(1000, threads=4))
    for k, ratio in ((1, 13), (2, 167 / 14), (5, 10.5)):
        attempts = result.retry[k].correctness_coefficient
        assert result.retry[k].energy_j_per_accepted == pytest.approx(ratio, rel=1e-14)
        # 0.1 s of wall time on one of four threads of the test machine for every attempt.
        assert result.retry[k].co2e_g_per_accepted == pytest.approx(ratio * 1.01 + attempts * 0.025, rel=1e-14)
    headline = result.per_accepted
    assert headline.operational_g == pytest.approx(10.5, rel=1e-14)
    assert headline.embodied_g == pytest.approx(0.105 + 2 * 0.025, rel=1e-14)
    assert tuple(headline.parts_g) == PARTS
    assert math.fsum(headline.parts_g.values()) == pytest.approx(headline.co2e_g, rel=1e-14)


@given(st.lists(some_attempts, min_size=1, max_size=5), st.floats(0.001, 1000), st.floats(0.001, 1000))
def test_parts_add_up_to_the_headline(tasks, made_kg, ran_kg):
    tasks = [[(float(x), A if accepted else R) for x, accepted in attempts] for attempts in tasks]
    result = priced(records_of(tasks), machine(made_kg), machine(ran_kg, threads=2))
    headline = result.per_accepted
    assert result.co2e_g.total == pytest.approx(
        result.co2e_g.operational + result.co2e_g.embodied + result.co2e_g.harness, rel=1e-12
    )
    if headline.co2e_g is None:
        assert headline.parts_g == {}
        assert headline.operational_g is headline.embodied_g is headline.systematic is None
    else:
        assert headline.operational_g + headline.embodied_g == pytest.approx(headline.co2e_g, rel=1e-12)
        assert math.fsum(headline.parts_g.values()) == pytest.approx(headline.co2e_g, rel=1e-12)


@pytest.mark.parametrize(
    ("recorded", "grams"),
    [
        ({"duration_s": 2.0, "batch_size": 4}, 0.5),
        ({"duration_s": 2.0, "batch_size": 4, "gpu_count": 8}, 4.0),
        ({"duration_s": 2.0}, 0.5),  # nobody knows how many shared the device: 50 J at 100 W
        ({}, 0.5),
        ({"duration_s": math.inf, "batch_size": 4}, 0.5),
    ],
)
def test_embodied_carbon_of_a_generation(recorded, grams):
    generation = Generation(energy_j=50.0, energy_method=Method.MEASURED, **recorded)
    result = priced([record(generation=generation)], machine(1000), machine(0))
    assert result.co2e_g.embodied_generation == pytest.approx(grams)
    assert result.co2e_g.embodied_execution == 0


def test_a_device_is_known_by_its_name_else_the_default_stands_in():
    def machine_for(name):
        return machine(2000, name="H100") if name == "NVIDIA H100" else None

    def embodied(gpu_model):
        generation = Generation(
            energy_j=1.0, energy_method=Method.MEASURED, duration_s=1.0, batch_size=1, gpu_model=gpu_model
        )
        factors = replace(FACTORS, generation_machine=machine(1000))
        (found,) = account([record(generation=generation)], Pricing(factors, machine_for=machine_for)).configurations
        return found.co2e_g.embodied_generation, found.hardware

    assert embodied("NVIDIA H100") == (pytest.approx(2.0), ("NVIDIA H100",))
    assert embodied("Abacus") == (pytest.approx(1.0), ("Abacus",))
    assert embodied(None) == (pytest.approx(1.0), ())


def test_without_a_machine_there_is_no_headline_and_the_reason():
    result = priced([record()], None, machine(0))
    assert result.per_accepted.co2e_g is result.co2e_g.embodied is result.co2e_g.total is None
    assert result.per_accepted.reason == "embodied carbon missing for 1 of 1 attempts"
    assert result.co2e_g.operational == 1.0


def test_what_the_generations_were_like():
    generation = {"energy_j": 1.0, "energy_method": Method.MEASURED}
    records = [
        record("a", 0, A, generation=Generation(**generation, prompt_tokens=10, batch_size=8, duration_s=1.0)),
        record("b", 0, A, generation=Generation(**generation, prompt_tokens=20, completion_tokens=5)),
        record("c", 0, A, generation=None),
    ]
    load = only(records).workload
    assert (load.prompt_tokens, load.completion_tokens, load.batch_size, load.duration_s) == (15, 5, 8, 1)
    assert only([record()]).workload.prompt_tokens is None
