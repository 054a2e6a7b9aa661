"""Rules, quantities and decisions: by hand, by property, and as they are shown."""

from __future__ import annotations

import json
import math
import random

import pytest
from builders import UNIT_FACTORS, A, R, attempt, reading
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.accounting import account
from pytest_greencode.errors import UsageProblem
from pytest_greencode.gate import (
    FALSE_ALARM,
    Decision,
    Limit,
    Outcome,
    Quantity,
    Subject,
    decide,
    decision_from,
    field_named,
    noise,
    parse_rule,
    parse_rules,
    subject_of,
)
from pytest_greencode.gate.decisions import plain
from pytest_greencode.reports.gate import gate_lines, gate_rows, gate_sentence
from pytest_greencode.statistics import influence_interval, log_influences, ratio_interval, student_t_quantile

COST, PASS, WASTE = "co2e_per_accepted_g", "pass_at_1", "waste_share"


def rule(text):
    return parse_rule(text, flag="--fail")


# Rules.


@pytest.mark.parametrize(
    ("text", "field", "pattern", "kind", "limit"),
    [
        ("co2e_per_accepted_g:0.40", COST, None, Limit.VALUE, 0.4),
        ("co2e_per_accepted_g:4e-3", COST, None, Limit.VALUE, 0.004),
        (" co2e_per_accepted_g:+10% ", COST, None, Limit.RATIO, 1.1),
        ("energy_per_accepted_j:-5%", "energy_per_accepted_j", None, Limit.RATIO, 0.95),
        ("pass_at_10:-2pp", "pass_at_10", None, Limit.POINTS, -2.0),
        ("pass_at_1:80%", PASS, None, Limit.VALUE, 0.8),
        ("pass_at_1:.8", PASS, None, Limit.VALUE, 0.8),
        ("waste_share[qwen*]:+2pp", WASTE, "qwen*", Limit.POINTS, 2.0),
        ("waste_share[a:b [x]]:0.5", WASTE, "a:b [x]", Limit.VALUE, 0.5),
        ("energy_per_passing_test_j:+15%", "energy_per_passing_test_j", None, Limit.RATIO, 1.15),
    ],
)
def test_a_rule_as_it_is_written(text, field, pattern, kind, limit):
    found = rule(text)
    assert (found.field.name, found.pattern, found.kind, found.text) == (field, pattern, kind, text.strip())
    assert found.limit == pytest.approx(limit)
    assert found.relative is (kind is not Limit.VALUE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected FIELD:LIMIT"),
        ("co2e_per_accepted_g", "expected FIELD:LIMIT"),
        ("co2e_per_acepted_g:1", "did you mean co2e_per_accepted_g?"),
        ("pass_at_0:1", "no field pass_at_0"),
        ("co2e_per_accepted_g:", "expected a number, or +10%"),
        ("co2e_per_accepted_g:nan", "expected a number"),
        ("co2e_per_accepted_g:1e999", "expected a number"),
        ("co2e_per_accepted_g:10%", "a percentage of what?"),
        ("co2e_per_accepted_g:+3", "a sign compares with the baseline"),
        ("co2e_per_accepted_g:-100%", "a sign compares with the baseline"),
        ("co2e_per_accepted_g:+2pp", "percentage points are signed and of a share"),
        ("pass_at_1:2pp", "percentage points are signed"),
        ("pass_at_1:3", "a share is at most 1"),
        ("pass_at_1:-2pp x", "expected a share such as 0.4 or 40%, or -2pp"),
    ],
)
def test_what_is_no_rule_is_told(text, said):
    with pytest.raises(UsageProblem) as caught:
        rule(text)
    assert str(caught.value).startswith(f"--fail {text!r}: ")
    assert said in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_rule_or_is_told(text):
    try:
        found = rule(text)
    except UsageProblem:
        return
    assert math.isfinite(found.limit)


def test_a_later_rule_replaces_an_earlier_one_of_the_same():
    found = parse_rules(["pass_at_1:0.5", f"{COST}:1", "pass_at_1:0.6", "pass_at_1[x]:0.7"], flag="")
    assert [each.text for each in found] == ["pass_at_1:0.6", f"{COST}:1", "pass_at_1[x]:0.7"]


def test_a_pattern_is_of_the_model_with_its_settings_or_without():
    subject = Subject(suite="s", model="qwen", settings='{"t":0.8,"q":"awq"}', quantities={})
    for pattern in ("qwen", "q*", "*0.8*", 'qwen {"t":0.8,*', "qwen (t=0.8, q=awq)"):
        assert rule(f"{COST}[{pattern}]:1").covers(subject.names), pattern
    for pattern in ("", "Qwen", "*0.9*"):
        assert not rule(f"{COST}[{pattern}]:1").covers(subject.names), pattern


# Decisions.


def costing(costs, model="m", accepted=None, **changes):
    """A subject by the cost of each task, of which one is accepted, unless `accepted` says how many."""
    units = {f"t/{i}": (cost, 1.0 if accepted is None else accepted[i]) for i, cost in enumerate(costs)}
    return Subject(**{"suite": "s", "model": model, "quantities": {COST: Quantity(units=units)}, **changes})


COSTS = [1.0 + 0.05 * (i % 7) for i in range(40)]


def one(text, now, then=None, **options):
    given = {} if then is None else {"references": [then], "baseline": "b.json"}
    found = decide([rule(text)], [now], **{**given, **options})
    assert len(found.rules) == 1
    return found.rules[0]


def test_an_absolute_limit_beyond_within_and_in_the_interval():
    value = math.fsum(COSTS) / 40
    low, high = ratio_interval(COSTS, [1.0] * 40, 1 - 2 * FALSE_ALARM)
    assert low < value < high
    for limit, outcome in (
        (low * 0.999, Outcome.FAIL),
        (high * 1.001, Outcome.PASS),
        ((low + value) / 2, Outcome.INCONCLUSIVE),
        ((high + value) / 2, Outcome.INCONCLUSIVE),
    ):
        found = one(f"{COST}:{limit!r}", costing(COSTS))
        assert found.decision is outcome
        assert (found.value, found.compared) == (pytest.approx(value), pytest.approx(value))
        assert found.interval == pytest.approx((low, high))
        assert (found.more_samples is None) is (outcome is not Outcome.INCONCLUSIVE)


def test_a_ratio_is_paired_over_tasks():
    """Tasks that differ tenfold, and a change of 12 % with 1 % of noise: the pairs tell, the values alone could not."""
    rng = random.Random(3)
    then = [rng.lognormvariate(0, 1) for _ in range(60)]
    now = [1.12 * cost * rng.lognormvariate(0, 0.01) for cost in then]
    found = one(f"{COST}:+10%", costing(now), costing(then))
    ratio = math.fsum(now) / math.fsum(then)
    ones = [1.0] * 60
    influences = [a - b for a, b in zip(log_influences(now, ones), log_influences(then, ones), strict=True)]
    assert found.compared == pytest.approx(ratio)
    assert found.interval == pytest.approx(influence_interval(ratio, influences, 1 - 2 * FALSE_ALARM))
    assert found.decision is Outcome.FAIL
    assert found.reason.startswith("1.118 times the baseline's [1.112, ")
    assert found.reason.endswith("(98 %), and +10% is allowed")
    assert one(f"{COST}:+15%", costing(now), costing(then)).decision is Outcome.PASS
    apart = [ratio_interval(costs, ones) for costs in (now, then)]
    assert apart[0][0] < apart[1][1]


@given(st.lists(st.floats(0.01, 100), min_size=10, max_size=30), st.floats(1.01, 3))
def test_identical_runs_pass_and_a_regression_of_all_tasks_fails(costs, factor):
    assert one(f"{COST}:+1%", costing(costs), costing(costs)).decision is Outcome.PASS
    assert one(f"{COST}:+0%", costing(costs), costing(costs)).decision is Outcome.PASS
    worse = costing([cost * factor * 1.02 for cost in costs])
    assert one(f"{COST}:+{100 * (factor - 1)!r}%", worse, costing(costs)).decision is Outcome.FAIL


@given(
    st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=10, max_size=30),
    st.floats(0.5, 2),
    st.floats(1.0, 2),
)
def test_a_looser_limit_is_never_judged_harder(pairs, limit, looser):
    now, then = costing([a for a, _ in pairs]), costing([b for _, b in pairs])
    order = [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS]
    strict, loose = (one(f"{COST}:{100 * (x - 1):+.6f}%", now, then) for x in (limit, limit * looser))
    assert order.index(strict.decision) <= order.index(loose.decision)


def test_so_many_more_samples_tell():
    now = costing([1.08 * cost * (1.1 if i % 2 else 0.9) for i, cost in enumerate(COSTS)])
    found = one(f"{COST}:+10%", now, costing(COSTS))
    assert found.decision is Outcome.INCONCLUSIVE
    assert f"about {found.more_samples} more samples" in found.reason
    times = 1 + math.ceil(found.more_samples / 40)
    more = costing([cost for _ in range(times) for cost, _ in now.quantities[COST].units.values()])
    assert one(f"{COST}:+10%", more, costing(COSTS * times)).decision is Outcome.PASS
    assert one(f"{COST}:+7.999%", now, costing(COSTS)).reason.endswith("cannot be told from +7.999%")
    assert one(f"{COST}:+10%", replace(now, attempts=5.0), costing(COSTS)).more_samples == 5 * found.more_samples


def test_points_of_a_share():
    def passing(shares, **changes):
        units = {f"t/{i}": (share, 1.0) for i, share in enumerate(shares)}
        return Subject(suite="s", model="m", quantities={PASS: Quantity(units=units)}, **changes)

    then = passing([1.0] * 60 + [0.0] * 40, samples="x")
    again = one("pass_at_1:-2pp", passing([1.0] * 60 + [0.0] * 40, samples="x"), then)
    assert (again.decision, again.interval) == (Outcome.PASS, (0.0, 0.0))
    # Other samples that agree are no proof: these might have differed.
    anew = one("pass_at_1:-2pp", passing([1.0] * 60 + [0.0] * 40, samples="y"), then)
    assert anew.decision is Outcome.INCONCLUSIVE
    assert anew.interval[0] < -2 < 0 < anew.interval[1]
    lost = one("pass_at_1:-2pp", passing([1.0] * 40 + [0.0] * 60, samples="y"), then)
    assert lost.decision is Outcome.FAIL
    assert lost.reason.startswith("-20.0 pp [-")
    assert "against the baseline's 60.0 %" in lost.reason
    better = one("pass_at_1:-2pp", passing([1.0] * 90 + [0.0] * 10), then)
    assert better.decision is Outcome.PASS
    assert one("pass_at_1:30%", then).decision is Outcome.PASS
    assert one("pass_at_1:90%", then).decision is Outcome.FAIL
    assert one("pass_at_1:60%", then).decision is Outcome.INCONCLUSIVE
    assert one("pass_at_1:-40%", passing([1.0] * 20 + [0.0] * 80), then).decision is Outcome.FAIL


def test_few_tasks_tell_nothing():
    found = one(f"{COST}:0.001", costing(COSTS[:9]))
    assert (found.decision, found.interval) == (Outcome.INCONCLUSIVE, None)
    assert found.reason == "too few tasks: 9, an interval needs 10"
    assert one(f"{COST}:+1%", costing(COSTS[:9]), costing(COSTS[:9])).decision is Outcome.INCONCLUSIVE


def test_nothing_accepted_fails_where_even_its_lower_bound_is_beyond():
    units = {f"t/{i}": (1.0, 0.0) for i in range(40)}
    none = Quantity(units=units, reason="none accepted", fruitless=(1.0, 40))
    nothing = replace(costing(COSTS), quantities={COST: none})
    # 40 attempts of 1 g without an acceptance: with 99 % confidence more than 1 / (1 - 0.01^(1/40)) = 9.2 g each.
    assert one(f"{COST}:9", nothing).decision is Outcome.FAIL
    assert one(f"{COST}:10", nothing).decision is Outcome.INCONCLUSIVE
    found = one(f"{COST}:+10%", nothing, costing(COSTS))
    assert found.decision is Outcome.FAIL
    assert found.reason.startswith("none accepted; more than 7.7")
    assert one(f"{COST}:+900%", nothing, costing(COSTS)).decision is Outcome.INCONCLUSIVE


def test_what_is_incomplete_missing_or_of_something_else_is_not_evaluated():
    text = f"{COST}:+10%"
    now, then = costing([2 * cost for cost in COSTS]), costing(COSTS)
    cases = {
        "3 attempts have not finished": one(text, replace(now, incomplete="3 attempts have not finished"), then),
        "no baseline given": one(text, now),
        "not in the baseline; `greencode baseline update` adds it": one(
            text, replace(now, model="new"), then, references=[]
        ),
        "this run: energy missing": one(text, replace(now, quantities={COST: Quantity(reason="energy missing")}), then),
        "the baseline: energy missing": one(
            text, now, replace(then, quantities={COST: Quantity(reason="energy missing")})
        ),
        "the baseline differs: CPU: baseline a, now b": one(text, now, then, differences=["CPU: baseline a, now b"]),
        "the baseline differs: attempts allowed: baseline 1, now 2": one(
            text, replace(now, allowed=2), replace(then, allowed=1)
        ),
        "the baseline differs: 4 tasks are not in this run": one(text, costing(COSTS[:36]), then),
        "the baseline differs: 4 tasks are not in the baseline": one(text, now, costing(COSTS[:36])),
    }
    for reason, found in cases.items():
        assert (found.decision, found.reason) == (Outcome.NOT_EVALUATED, reason)
    told = decide([rule(text)], [now], [then], baseline="b", differences=["CPU: a, b"], accept_differences=True)
    assert (told.decision, told.differences) == (Outcome.FAIL, ("CPU: a, b",))
    fewer = one(text, costing([2 * cost for cost in COSTS[:36]]), then, accept_differences=True)
    assert (fewer.decision, fewer.compared) == (Outcome.FAIL, pytest.approx(2))


def test_nobody_passes_by_not_being_there():
    found = decide([rule(f"{COST}:+10%")], [costing(COSTS)], [costing(COSTS), costing(COSTS, "gone")], baseline="b")
    assert found.decision is Outcome.NOT_EVALUATED
    assert [(each.model, each.decision, each.reason) for each in found.rules][1:] == [
        ("gone", Outcome.NOT_EVALUATED, "in the baseline, but not in this run")
    ]
    found = decide([rule(f"{COST}[x*]:1"), rule("energy_per_passing_test_j:1")], [costing(COSTS)])
    assert [each.reason for each in found.rules] == ["no configuration of this run is called so", "nothing here has it"]
    assert decide([], []).decision is Outcome.NOT_EVALUATED


def test_the_worst_decides_and_strict_takes_a_pass_only():
    ok, broken = costing(COSTS), replace(costing(COSTS, "n"), incomplete="x")
    passing, failing = rule(f"{COST}[m]:100"), rule(f"{COST}[m]:0.01")
    mean = math.fsum(COSTS) / 40
    for rules, outcome in (
        ([passing], Outcome.PASS),
        ([passing, rule(f"{COST}[m*]:{mean!r}")], Outcome.INCONCLUSIVE),
        ([passing, rule(f"{COST}[m*]:{mean!r}"), rule(f"{COST}[n]:1")], Outcome.NOT_EVALUATED),
        ([passing, rule(f"{COST}[n]:1"), failing], Outcome.FAIL),
    ):
        found = decide(rules, [ok, broken])
        assert (found.decision, found.failed) == (outcome, outcome is Outcome.FAIL)
        assert decide(rules, [ok, broken], strict=True).failed is (outcome is not Outcome.PASS)


def test_more_rules_ask_for_more_confidence():
    subjects = [costing(COSTS, name) for name in "abcde"]
    found = decide([rule(f"{COST}:1"), rule(f"{COST}[a]:2")], subjects)
    assert len(found.rules) == 6
    assert [each.confidence for each in found.rules] == pytest.approx([1 - 2 * FALSE_ALARM / 6] * 6)


def test_identical_noise_rarely_fails():
    """At a tolerance of 0, where every second run is a little worse: the promise is of the interval alone."""
    rng = random.Random(11)
    failed = 0
    for _ in range(400):
        truth = [rng.lognormvariate(0, 0.6) for _ in range(40)]
        now, then = (costing([cost * rng.lognormvariate(0, 0.1) for cost in truth]) for _ in range(2))
        failed += one(f"{COST}:+0%", now, then).decision is Outcome.FAIL
    assert failed <= 400 * 0.02 + 5


# Quantities of an account.


def test_the_quantities_of_an_account_are_its_own():
    records = [
        attempt(
            f"t/{t}",
            i,
            accepted=(t + i) % 3 == 0,
            generation={"energy_j": 5.0 + t + i},
            reading=reading(energy_j=0.25 * (i + 1)),
        )
        for t in range(12)
        for i in range(4)
    ]
    fields = [field_named(name) for name in (COST, "energy_per_accepted_j", PASS, "pass_at_3", WASTE)]
    (found,) = account(records, UNIT_FACTORS, attempts_allowed=2).configurations
    values = {name: q.value for name, q in subject_of(found, fields, 2).quantities.items()}
    expected = {
        COST: found.per_accepted.co2e_g,
        "energy_per_accepted_j": found.per_accepted.energy_j,
        PASS: found.pass_at[1],
        "pass_at_3": found.pass_at[3],
        WASTE: found.waste_share,
    }
    assert values == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}
    (chain,) = account([replace(each, extra={"chain": True}) for each in records], UNIT_FACTORS).configurations
    quantities = subject_of(chain, fields, chain.per_accepted.attempts).quantities
    assert quantities[COST].value == pytest.approx(chain.per_accepted.co2e_g)
    assert quantities[WASTE].value == pytest.approx(chain.waste_share)
    assert quantities[PASS].reason == "the attempts of a chain cannot be redrawn"
    unknown = subject_of(found, [field_named("pass_at_9"), field_named("energy_per_passing_test_j")], 2).quantities
    assert {name: quantity.value for name, quantity in unknown.items()} == {"pass_at_9": None}


def test_an_account_with_nothing_accepted_or_measured():
    records = [attempt(f"t/{t}", verdict=R) for t in range(12)]
    (found,) = account(records, UNIT_FACTORS).configurations
    quantity = subject_of(found, [field_named(COST)], 1).quantities[COST]
    assert (quantity.value, quantity.reason, quantity.fruitless) == (None, "none accepted", (20.5, 12))
    (found,) = account([replace(records[0], generation=None, verdict=A)], UNIT_FACTORS).configurations
    assert subject_of(found, [field_named(COST)], 1).quantities[COST].reason == "energy missing in 1 of 1 tasks"
    assert subject_of(found, [field_named(PASS)], 1).quantities[PASS].value == 1


# Noise.


def test_the_noise_of_runs_and_the_tolerance_that_it_asks_for():
    runs = [[costing([value * cost for cost in COSTS])] for value in (1.0, 1.02, 0.99, 1.01)]
    found = noise(COST, False, runs)
    logs = [math.log(value) for value in (1.0, 1.02, 0.99, 1.01)]
    mean = math.fsum(logs) / 4
    deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / 3)
    assert found.deviation == pytest.approx(deviation)
    reach = student_t_quantile(1 - FALSE_ALARM, 3) * deviation * math.sqrt(2)
    assert found.tolerance == pytest.approx(math.exp(reach) - 1)
    assert found.values["s", "m", "{}"] == pytest.approx([x * math.fsum(COSTS) / 40 for x in (1.0, 1.02, 0.99, 1.01)])
    assert noise(COST, False, runs[:1]) is None
    missing = replace(costing(COSTS), quantities={COST: Quantity(reason="none accepted")})
    assert noise(COST, False, [runs[0], [missing]]) is None


# As it is shown.

HOSTILE = "</script>\x1b[31m`|\n\u202e"


def some_decision(**changes):
    rules = [rule(f"{COST}:0.01"), rule(f"{COST}[m*]:100"), rule("pass_at_1:0.5")]
    return decide(rules, [costing(COSTS), costing(COSTS, HOSTILE)], **changes)


def test_a_decision_survives_the_ledger():
    found = some_decision(strict=True)
    assert decision_from(json.loads(json.dumps(plain(found)))) == found
    for broken in ({}, {"decision": "x", "rules": []}, {"decision": "pass", "rules": [{}]}):
        with pytest.raises((TypeError, ValueError, LookupError)):
            decision_from(broken)


@pytest.mark.parametrize("verbosity", [0, -1])
def test_text_is_narrow_and_says_the_reason_once_more_where_it_fails(verbosity):
    found = some_decision()
    rules, sentence = gate_lines(found, (), verbosity=verbosity)
    assert all(len(line) <= 80 and line.isprintable() for line in [*rules, *sentence])
    assert bool(rules) is (verbosity == 0)
    text = " ".join(" ".join(sentence).split())
    assert text.startswith("gate FAIL: co2e_per_accepted_g of m: 1.144 g [1.1")
    assert text.endswith("and 0.01 is allowed; and 1 more")
    rows = gate_rows(found, ())
    assert [row.decision for row in rows].count("fail") == 2
    assert rows[0].value == "1.14 g"
    assert "\x1b" not in str(rows)


def test_what_passes_is_said_shortly():
    found = decide([rule(f"{COST}:100")], [costing(COSTS)])
    assert gate_sentence(found, ()) == "pass: 1 of 1 check"
    unsure = decide([rule(f"{COST}[x]:100")], [costing(COSTS)], strict=True)
    assert gate_sentence(unsure, ()).startswith("not evaluated, and --greencode-strict asks for a pass: ")
    assert isinstance(unsure, Decision)
