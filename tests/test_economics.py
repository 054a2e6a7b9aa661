"""Money, time, human work, payback and claims: by hand, against enumeration, and what must hold for any records."""

import math
from itertools import permutations

import pytest
from economy import FACTORS, GRID, A, R, economies, record, records_of
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.accounting import account
from pytest_greencode.economics.assumptions import parse_assumptions
from pytest_greencode.economics.economy import disagreement, economy, spread, unused
from pytest_greencode.economics.expectation import Direction, Figure, TaskCost, direction, paired_ratio, per_accepted
from pytest_greencode.economics.payback import ClaimKind, PaybackKind, claim, one_off, payback, run_cost
from pytest_greencode.economics.resources import key_of, uses
from pytest_greencode.model import Factors
from pytest_greencode.statistics import ratio_interval

MONEY = """
[money]
currency = "EUR"
electricity_per_kwh = 0.30
[money.hardware.generation]
per_hour = 3.0
[human]
minutes_per_task = 12
hourly_rate = 50
"""
TWO_TASKS = [[(3600.0, A), (3600.0, R)], [(3600.0, A), (3600.0, A)]]

outcomes = st.tuples(st.floats(1, 1e6), st.sampled_from([A, R]))
tasks_of_two = st.lists(st.lists(outcomes, min_size=2, max_size=2), min_size=1, max_size=14)


# Money, time and a person, by hand.


def test_by_hand():
    [found] = economies(records_of(TWO_TASKS), MONEY)
    # A_2 is 3/2 and 1, P_2 is 1 and 1: 2.5 attempts for 2 solutions.
    assert found.co2e_g.value == pytest.approx(0.625)
    assert found.co2e_g_per_attempt.value == pytest.approx(0.5)
    assert found.energy_kwh.value == pytest.approx(0.00125)
    assert found.time_s.value == pytest.approx(1.25 * 9.0)
    parts = {part.name: part.per_attempt.value for part in found.money.parts}
    assert parts == pytest.approx(
        {"electricity_generation": 0.0003, "electricity_execution": 0.0, "hardware_generation": 0.0015}
    )
    assert found.money.per_attempt.value == pytest.approx(0.0018)
    assert found.money.per_accepted.value == pytest.approx(0.00225)
    assert found.money.unpriced == ("hardware_execution",)
    grams, money = found.human
    assert grams.other == pytest.approx(6.0)  # 12 min * 60 W = 12 Wh
    assert money.other == pytest.approx(10.0)
    assert grams.ratio.value == pytest.approx(0.625 / 6)
    assert grams.break_even_pass_rate.value == pytest.approx(0.5 / 6)
    assert money.break_even_pass_rate.value == pytest.approx(0.0018 / 10)
    # 0.625 g is 1.25 Wh: 75 s of 60 W.
    assert found.workstation_s.value == pytest.approx(75.0)
    assert found.workstation_s_per_attempt.value == pytest.approx(60.0)


def test_the_person_who_finishes_the_rest():
    [found] = economies(records_of(TWO_TASKS), MONEY, attempts_allowed=1)
    grams, money = found.resolved
    # The first task is accepted every other time: 0.5 g + half of 6 g, the second 0.5 g.
    assert grams.total.value == pytest.approx(2.0)
    assert (grams.attempts, grams.fallback) == pytest.approx((0.5, 1.5))
    assert money.total.value == pytest.approx(0.0018 + 2.5)
    assert economies(records_of(TWO_TASKS), MONEY)[0].resolved[0].fallback == 0


def test_what_a_person_finishes_has_an_interval_within_what_can_be():
    """A mean minus t errors went below 0, and where all tasks were solved it said that none ever would be left."""
    [found] = economies(records_of([[(3600.0, A)]] * 12), MONEY)
    total = found.resolved[0].total
    assert total.value == pytest.approx(0.5)
    low, high = total.interval
    # One task more, left to the person: (12 * 0.5 + 6.5) / 13, and t on 12 degrees times its error.
    mean, error = 12.5 / 13, math.sqrt((12 * (6 / 13) ** 2 + (72 / 13) ** 2) / 12 / 13)
    assert (low, high) == (pytest.approx(0.5), pytest.approx(mean + 2.178812829663 * error))
    [found] = economies(records_of([[(3600.0, A)]] * 11 + [[(3600.0, R)]]), MONEY)
    total = found.resolved[0].total
    assert total.interval[0] >= 0.5
    assert total.interval[0] < total.value < total.interval[1] < 6.5


def test_tokens_stand_for_the_generation():
    text = MONEY + "[[money.tokens]]\nmodel = 'm*'\nprompt_per_million = 2\ncompletion_per_million = 10\n"
    [found] = economies(records_of(TWO_TASKS), text)
    assert [part.name for part in found.money.parts] == ["electricity_execution", "tokens"]
    assert found.money.bought
    assert found.money.per_attempt.value == pytest.approx(150 * 2e-6 + 100 * 1e-5)


def test_a_tasks_own_minutes():
    text = MONEY + "[human.suites.suite]\nminutes_per_task = 24\n[human.tasks.t1]\nminutes_per_task = 60\n"
    [found] = economies(records_of(TWO_TASKS), text, attempts_allowed=1)
    assert found.human_work.co2e_g == pytest.approx({"t0": 12.0, "t1": 30.0})
    # What the accepted solutions would have taken: half of the first, all of the second.
    assert found.human[0].other == pytest.approx((0.5 * 12 + 30) / 1.5)
    assert found.human[0].ratio.value == pytest.approx(1.0 / 36)


def test_pue_is_of_the_meter_and_applied_once():
    factors = replace(FACTORS, generation_pue=1.5, execution_pue=1.2)
    tasks = [[(3600.0, A)]]
    [found] = economies(records_of(tasks), MONEY, factors=factors)
    assert found.energy_kwh.value == pytest.approx(0.0015)
    [found] = economies(records_of(tasks, generation={"pue_included": True}), MONEY, factors=factors)
    assert found.energy_kwh.value == pytest.approx(0.001)
    [found] = economies([record(generation_j=0.0, execution_j=3600.0)], MONEY, factors=factors)
    assert found.energy_kwh.value == pytest.approx(0.0012)


def test_what_is_not_known_has_a_reason():
    records = [record("t0"), record("t1", generation={"batch_size": None, "prompt_tokens": None})]
    [known] = economies(records, MONEY)
    assert known.money.per_accepted.value is not None  # energy at the device's power tells its time
    [found] = economies(records, MONEY, factors=replace(FACTORS, generation_machine=None))
    assert found.money.per_accepted == Figure(reason="device_h not recorded for 1 of 2 attempts")
    parts = {part.name: part.per_accepted.value for part in found.money.parts}
    assert parts["hardware_generation"] is None
    assert parts["electricity_generation"] == pytest.approx(0.0003)
    [found] = economies(records)
    assert found.money.per_accepted.reason == "no price given"
    assert found.human[0].ratio.reason == "human.minutes_per_task not given"
    assert found.resolved[1].total.reason == "no price given"
    configuration = account(records, FACTORS).configurations[0]
    without = economy(configuration, None, parse_assumptions(MONEY), FACTORS)
    assert without.money.per_accepted.reason == without.time_s.reason == "what the attempts used up was not given"
    assert without.co2e_g.value == pytest.approx(0.5)
    [found] = economies(records_of([[(3600.0, R)]]), MONEY)
    assert found.co2e_g.reason == found.money.per_accepted.reason == "none accepted"
    # A failed attempt costs all the same, and a break-even exists without an accepted one.
    assert found.money.per_attempt.value == pytest.approx(0.0018)
    assert found.human[0].break_even_pass_rate.value == pytest.approx(0.5 / 6)
    assert found.human[0].direction is Direction.UNKNOWN
    [found] = economies([record(verdict=None)], MONEY)
    assert found.co2e_g.reason == "no finished attempts"


def test_what_is_free_need_not_be_known():
    text = "[money]\ncurrency='EUR'\nelectricity_per_kwh=0\n[money.hardware.generation]\nper_hour=0\n"
    [found] = economies(records_of(TWO_TASKS, generation={"batch_size": None}), text)
    assert found.money.per_accepted.value == 0


def test_a_chain_costs_what_was_spent():
    [found] = economies(records_of([[(3600.0, R), (7200.0, A)], [(3600.0, A)]], extra={"chain": True}), MONEY)
    assert found.co2e_g.value == pytest.approx((1.5 + 0.5) / 2)
    assert found.money.per_accepted.value == pytest.approx((4 * 0.0003 + 3 * 0.0015) / 2)
    assert found.resolved[0].total.value == pytest.approx(1.0)


def test_alternatives():
    text = MONEY + "[alternative.a]\nco2e_g_per_solution = 0.5\n[alternative.b]\nmoney_per_solution = 1\n"
    [found] = economies(records_of(TWO_TASKS), text)
    (a_grams, a_money), (b_grams, b_money) = found.alternatives
    assert a_grams.ratio.value == pytest.approx(1.25)
    assert a_grams.break_even_pass_rate.value == pytest.approx(1.0)
    assert a_money.ratio.reason == "alternative.a.money_per_solution not given"
    assert b_grams.ratio.value is None
    assert b_money.ratio.value == pytest.approx(0.00225)


def test_a_slip_of_the_pen_is_told():
    text = MONEY + "[human.suites.mbbp]\nminutes_per_task=3\n[human.tasks.t9]\nminutes_per_task=3\n"
    text += "[[money.tokens]]\nmodel='gpt*'\nprompt_per_million=1\ncompletion_per_million=1\n"
    configurations = account(records_of(TWO_TASKS), FACTORS).configurations
    assert unused(parse_assumptions(text), configurations) == [
        "human.suites.mbbp",
        'human.tasks."t9"',
        "money.tokens 'gpt*'",
    ]


# Against the account and against enumeration.


@settings(deadline=None)
@given(tasks_of_two, st.sampled_from([1, 2]))
def test_grams_are_the_accounts_own(tasks, k):
    records = records_of(tasks)
    configuration = account(records, FACTORS, attempts_allowed=k).configurations[0]
    [found] = economies(records, MONEY, attempts_allowed=k)
    headline = configuration.per_accepted
    assert found.co2e_g.value == (None if headline.co2e_g is None else pytest.approx(headline.co2e_g))
    assert found.co2e_g.interval == (None if headline.interval is None else pytest.approx(headline.interval))
    assert (found.co2e_g.reason is None) == (found.co2e_g.interval is not None)
    # Money that is a price of energy is the headline's energy at that price.
    if headline.energy_j is not None:
        assert found.energy_kwh.value == pytest.approx(headline.energy_j / 3.6e6)
        electricity = found.money.parts[0].per_accepted.value
        assert electricity == pytest.approx(0.30 * headline.energy_j / 3.6e6)


def enumerated(tasks, k, cost):
    """(expected cost, expected acceptances) over all orders in which each task's attempts may be drawn."""
    spent = passed = 0.0
    for attempts in tasks:
        orders = list(permutations(attempts))
        for order in orders:
            for joules, verdict in order[:k]:
                spent += cost(joules) / len(orders)
                if verdict is A:
                    passed += 1 / len(orders)
                    break
    return spent, passed


@settings(deadline=None, max_examples=30)
@given(st.lists(st.lists(outcomes, min_size=3, max_size=3), min_size=1, max_size=4), st.integers(1, 3))
def test_money_equals_enumeration(tasks, k):
    [found] = economies(records_of(tasks), MONEY, attempts_allowed=k)
    spent, passed = enumerated(tasks, k, lambda joules: joules / 3.6e6 * 0.30 + 0.0015)
    left = sum(1 - enumerated([task], k, float)[1] for task in tasks)
    assert found.money.per_accepted.value == (pytest.approx(spent / passed) if passed else None)
    assert found.resolved[1].total.value == pytest.approx((spent + left * 10.0) / len(tasks))


@settings(deadline=None)
@given(tasks_of_two)
def test_parts_add_up(tasks):
    [found] = economies(records_of(tasks), MONEY)
    parts = [part.per_accepted.value for part in found.money.parts]
    if found.money.per_accepted.value is None:
        assert parts == [None] * 3
    else:
        assert math.fsum(parts) == pytest.approx(found.money.per_accepted.value)
    total = found.resolved[1]
    assert total.attempts + total.fallback == pytest.approx(total.total.value)


@settings(deadline=None)
@given(tasks_of_two, st.floats(1.01, 100))
def test_dearer_is_dearer(tasks, factor):
    [cheap] = economies(records_of(tasks), MONEY)
    [dear] = economies(records_of([[(j * factor, v) for j, v in task] for task in tasks]), MONEY)
    for get in (
        lambda e: e.co2e_g,
        lambda e: e.money.per_accepted,
        lambda e: e.human[0].ratio,
        lambda e: e.human[0].break_even_pass_rate,
        lambda e: e.resolved[0].total,
        lambda e: e.workstation_s,
    ):
        if get(cheap).value is not None:
            assert get(dear).value > get(cheap).value


@settings(deadline=None)
@given(tasks_of_two)
def test_the_sign_flips_at_the_break_even(tasks):
    """A person whose work costs exactly R makes the ratio 1; at k = 1, R times the pass rate is the break-even's x."""
    [found] = economies(records_of(tasks), MONEY, attempts_allowed=1)
    grams, rate = found.human[0], found.configuration.pass_at[1]
    if grams.ratio.value is not None:
        assert (grams.ratio.value < 1) == (rate > grams.break_even_pass_rate.value)
        assert grams.ratio.value == pytest.approx(grams.break_even_pass_rate.value / rate)
        # L < H says the same.
        assert (found.resolved[0].total.value < 6.0) == (grams.ratio.value < 1)


# Ratios and their intervals.

costs_of = st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 1)), min_size=10, max_size=30)


def as_costs(pairs):
    return {str(i): TaskCost(cost, passed, cost) for i, (cost, passed) in enumerate(pairs)}


@given(costs_of, st.floats(0.1, 10))
def test_a_constant_factor_is_known_exactly(pairs, factor):
    ratio = paired_ratio(as_costs([(factor * c, p) for c, p in pairs]), as_costs(pairs))
    assert ratio.value == pytest.approx(factor)
    assert ratio.interval == pytest.approx((factor, factor))


@given(costs_of, costs_of)
def test_ratios_are_symmetric_and_on_shared_tasks(a, b):
    there, back = paired_ratio(as_costs(a), as_costs(b)), paired_ratio(as_costs(b), as_costs(a))
    assert there.value == pytest.approx(1 / back.value)
    if there.interval is not None and back.interval is not None:
        assert there.interval == pytest.approx((1 / back.interval[1], 1 / back.interval[0]))
    shared = min(len(a), len(b))
    assert there.value == pytest.approx(paired_ratio(as_costs(a[:shared]), as_costs(b[:shared])).value)


@given(costs_of)
def test_against_what_is_exact_only_one_side_varies(pairs):
    ones = as_costs([(1.0, 1.0)] * len(pairs))
    expected = ratio_interval([c for c, _ in pairs], [p for _, p in pairs])
    assert paired_ratio(as_costs(pairs), ones).interval == pytest.approx(expected)


def test_ratios_that_are_not_known():
    good = as_costs([(1.0, 1.0)] * 10)
    assert paired_ratio("no grams", good).reason == paired_ratio(good, "no grams").reason == "no grams"
    assert paired_ratio(good, {}).reason == "no task in common"
    assert paired_ratio(as_costs([(1.0, 0.0)]), good).reason == "none accepted"
    assert paired_ratio(as_costs([(0.0, 1.0)]), good).reason == "the cost is not positive"
    few = paired_ratio(as_costs([(2.0, 1.0)] * 3), good)
    assert (few.value, few.interval, few.reason) == (2.0, None, "too few tasks: 3, an interval needs 10")
    assert direction(few) is Direction.UNKNOWN


def test_a_headline_needs_its_attempts():
    [found] = economies(records_of(TWO_TASKS), MONEY, attempts_allowed=3)
    assert found.co2e_g.reason == found.money.per_accepted.reason == "3 attempts allowed, but t0 has 2"
    assert per_accepted("why").reason == "why"


# Spread and disagreement.


def test_spread():
    assert spread([None, 2.0, 8.0, 0.0]).factor == 4
    assert (spread([None, 2.0, 8.0]).least, spread([None, 2.0, 8.0]).most) == (1, 2)
    assert spread([None, 2.0]) is None


def test_disagreement():
    found = disagreement([1.0, 2.0, None], [6.0, 3.0, 1.0])
    assert (found.greenest, found.cheapest, found.money_factor, found.co2e_factor) == (0, 1, 2.0, 2.0)
    assert disagreement([1.0, 2.0], [3.0, 6.0]) is None
    assert disagreement([1.0, 1.0], [3.0, 6.0]) is None
    assert disagreement([1.0, None], [3.0, 1.0]) is None


amounts = st.none() | st.floats(0, 100)


@given(st.lists(st.tuples(amounts, amounts), max_size=6))
def test_either_one_is_best_on_both_or_they_disagree(rows):
    known = [(g, m) for g, m in rows if g is not None and m is not None]
    found = disagreement([g for g, _ in rows], [m for _, m in rows])
    best_on_both = any(g == min(x for x, _ in known) and m == min(y for _, y in known) for g, m in known)
    assert (found is None) == (len(known) < 2 or best_on_both)


# One-off costs and payback.


def test_one_off_costs():
    text = (
        "[money]\ncurrency='EUR'\nelectricity_per_kwh=0.5\n[one_off.a]\nenergy_kwh=2\n[one_off.b]\nco2e_g=10\nmoney=7"
    )
    found = one_off(parse_assumptions(text), FACTORS)
    assert [(name, g.value, m.value) for name, g, m in found.items] == [("a", 1000.0, 1.0), ("b", 10.0, 7.0)]
    assert (found.co2e_g.value, found.money.value) == (1010.0, 8.0)
    assert one_off(parse_assumptions(""), FACTORS).co2e_g.reason == "no one-off cost given"
    unpriced = one_off(parse_assumptions("[one_off.a]\nenergy_kwh=2"), FACTORS)
    assert unpriced.co2e_g.value == 1000.0
    assert unpriced.money.reason == "a: money.electricity_per_kwh not given"


def test_the_benchmark_itself_is_a_one_off_cost():
    assumptions = parse_assumptions("[one_off.a]\nco2e_g=10")
    with_run = one_off(assumptions, FACTORS, run_g=Figure(value=5.0), run_money=Figure(reason="no price given"))
    assert (with_run.co2e_g.value, with_run.money.reason) == (15.0, "a: one_off.a.money not given")
    stated = parse_assumptions("[one_off.benchmarking]\nco2e_g=10")
    assert one_off(stated, FACTORS, run_g=Figure(value=5.0)).co2e_g.value == 10.0
    found = economies(records_of(TWO_TASKS), MONEY)
    known = [replace(e, configuration=replace(e.configuration, co2e_g=_total(e, 2.5))) for e in found]
    grams, money = run_cost(known)
    assert grams.value == 2.5
    assert money.value == pytest.approx(4 * 0.0018)


def _total(economy, grams):
    return replace(economy.configuration.co2e_g, total=grams)


MONTHLY = Figure(value=1000.0)


def test_payback_by_hand():
    found = payback(Figure(value=1000.0), Figure(value=0.625), Figure(value=0.8, interval=(0.7, 0.9)), MONTHLY)
    assert found.kind is PaybackKind.PAYS_BACK
    assert found.solutions == pytest.approx(8000)
    assert found.solutions_span == pytest.approx((1000 / 0.1875, 16000))
    assert found.months == pytest.approx(8.0)
    assert found.months_span == pytest.approx((1000 / 187.5, 16.0))


@pytest.mark.parametrize(
    ("ratio", "kind", "solutions", "span"),
    [
        (Figure(value=0.5, interval=(0.25, 1.0)), PaybackKind.UNCERTAIN, 20.0, (10 / 0.75, None)),
        (Figure(value=1.5, interval=(0.5, 2.0)), PaybackKind.UNCERTAIN, None, (20.0, None)),
        (Figure(value=1.5, interval=(1.2, 2.0)), PaybackKind.NEVER, None, (None, None)),
        (Figure(value=1.0, interval=(1.0, 1.0)), PaybackKind.UNCERTAIN, None, (None, None)),
        (Figure(value=0.5, reason="too few"), PaybackKind.UNKNOWN, 20.0, None),
        (Figure(reason="none accepted"), PaybackKind.UNKNOWN, None, None),
    ],
)
def test_payback_that_is_not_sure(ratio, kind, solutions, span):
    found = payback(Figure(value=10.0), Figure(value=1.0), ratio, MONTHLY)
    assert (found.kind, found.solutions, found.solutions_span) == (kind, solutions, span)
    assert (found.reason is not None) == (kind is PaybackKind.UNKNOWN)


def test_payback_without_a_use_has_no_months():
    ratio = Figure(value=0.5, interval=(0.4, 0.6))
    found = payback(Figure(value=10.0), Figure(value=1.0), ratio, Figure(reason="no usage given"))
    assert (found.solutions, found.months, found.months_span, found.reason) == (20.0, None, None, "no usage given")
    assert payback(Figure(value=10.0), Figure(value=1.0), ratio, Figure(value=0.0)).reason == "no solution in a month"
    assert payback(Figure(value=0.0), Figure(value=1.0), ratio, MONTHLY).months == 0


positive = st.floats(1e-3, 1e3)


@given(positive, positive, positive, positive, positive)
def test_payback_is_monotonic(cost, old, low, factor, month):
    """A dearer one-off takes longer, a larger saving less long; the ends enclose the estimate."""
    value, high = low * 1.1, low * 1.3
    ratio = Figure(value=value, interval=(low, high))
    found = payback(Figure(value=cost), Figure(value=old), ratio, Figure(value=month))
    dearer = payback(Figure(value=cost * (1 + factor)), Figure(value=old), ratio, Figure(value=month))
    assert (found.kind is PaybackKind.NEVER) == (low > 1)
    assert (found.kind is PaybackKind.PAYS_BACK) == (high < 1)
    assert (found.solutions is None) == (value >= 1)
    if found.solutions is not None:
        assert dearer.solutions > found.solutions
        best, worst = found.solutions_span
        assert best <= found.solutions
        assert worst is None or worst >= found.solutions
        assert (worst is None) == (high >= 1)
        assert found.months == pytest.approx(found.solutions / month)


finite = st.none() | st.floats(-1e300, 1e300)


@given(finite, finite, finite, finite)
def test_payback_is_finite_or_not_known(cost, old, ratio, month):
    found = payback(*(Figure(value=value, reason="?") for value in (cost, old, ratio, month)))
    for value in (found.solutions, found.months):
        assert value is None or math.isfinite(value)


# What may be claimed.

BETTER = Figure(value=0.05, interval=(0.01, 0.09))
SAME = Figure(value=-0.01, interval=(-0.04, 0.02))
WORSE = Figure(value=-0.05, interval=(-0.09, -0.01))


@pytest.mark.parametrize(
    ("ratio", "quality", "margin", "kind"),
    [
        ((0.6, 0.8), SAME, None, ClaimKind.LESS),
        ((0.6, 0.8), BETTER, None, ClaimKind.LESS),
        ((0.6, 0.8), WORSE, None, ClaimKind.WORSE_QUALITY),
        ((0.6, 0.8), WORSE, 0.5, ClaimKind.WORSE_QUALITY),
        ((0.6, 0.8), SAME, 0.02, ClaimKind.UNPROVEN_QUALITY),
        ((0.6, 0.8), SAME, 0.04, ClaimKind.LESS),
        ((0.9, 1.1), SAME, None, ClaimKind.UNCERTAIN),
        ((1.1, 1.4), SAME, None, ClaimKind.MORE),
        ((0.6, 0.8), Figure(reason="few"), None, ClaimKind.UNKNOWN),
        (None, SAME, None, ClaimKind.UNKNOWN),
    ],
)
def test_claims(ratio, quality, margin, kind):
    value = None if ratio is None else sum(ratio) / 2
    found = claim(Figure(value=value, interval=ratio, reason="why"), quality, margin)
    assert found.kind is kind
    assert (found.reason is not None) == (kind is ClaimKind.UNKNOWN)
    if ratio is not None:
        assert found.saved.value == pytest.approx(1 - value)
        assert found.saved.interval == pytest.approx((1 - ratio[1], 1 - ratio[0]))


# Resources.


def test_resources_leave_out_what_the_account_leaves_out():
    records = [*records_of(TWO_TASKS), record("t0", 9, verdict=None), record("q")]
    configuration = account(records, FACTORS, quarantined={"q": "why"}).configurations[0]
    found = uses(records, FACTORS, quarantined=("q",))[key_of(configuration)]
    assert found.attempts == configuration.attempts == 4
    assert [task.task_id for task in found.tasks] == ["t0", "t1"]
    assert found.tasks[0].means["prompt_tokens"].attempt == 150
    assert found.why_missing(["prompt_tokens"]) is None


def test_a_grid_that_emits_nothing_is_no_measure():
    free = replace(GRID, g_per_kwh=0.0)
    factors = replace(FACTORS, generation=free, execution=free)
    assert isinstance(factors, Factors)
    [found] = economies(records_of(TWO_TASKS), MONEY, factors=factors)
    assert found.workstation_s.reason == "a workstation that emits nothing"
    assert found.human[0].ratio.value is None
