"""The gate of an ordinary suite: noise of given tests, decisions, the baseline, commands, and a repository's CI."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from builders import FACTORS, attempt, fill_ledger, valid_report
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.cli import main
from pytest_greencode.errors import FileFormatError
from pytest_greencode.gate import (
    LEFT_RUNNING,
    Decision,
    Outcome,
    RuleDecision,
    Subject,
    decide,
    decision_from,
    field_named,
    parse_rule,
    subject_of_tests,
)
from pytest_greencode.gate.decisions import plain
from pytest_greencode.gate.suite_noise import ASSUMED, MIN_TESTS, Pair, ratio_noise, value_noise
from pytest_greencode.ledger import STARTUP, Ledger, Overhead
from pytest_greencode.model import ItemRun
from pytest_greencode.plain import plain_values
from pytest_greencode.pricing import Pricing
from pytest_greencode.project_account import Spent
from pytest_greencode.project_costs import CostOfTest, ProjectCosts
from pytest_greencode.reports.gate import gate_lines, gate_sentence
from pytest_greencode.statistics import noise_interval

ENERGY, CPU, CARBON = "energy_per_passing_test_j", "cpu_seconds_per_passing_test", "co2e_per_passing_test_g"
FIELDS = [field for name in (ENERGY, CPU, CARBON) if (field := field_named(name)) is not None]
WATTS = 4.0


def suite(
    cpu_s: Mapping[str, float],
    *,
    passed: Mapping[str, bool] | None = None,
    errors: Mapping[str, float] | None = None,
    left_s: float = 0.0,
    startup_s: float | None = 1.0,
    incomplete: str | None = None,
    **conditions: str,
) -> Subject:
    """Tests of so many CPU seconds, at 4 W; `errors` are those of the means of five calls."""
    tests = {}
    for name, seconds in cpu_s.items():
        variance = None if errors is None else ((errors[name] * seconds) ** 2, 4)
        energy = None if variance is None else (variance[0] * WATTS**2, 4)
        ok = True if passed is None else passed.get(name, True)
        tests[name] = CostOfTest(ok, seconds, WATTS * seconds, 2 * seconds, variance, energy)
    background = Spent(cpu_s=left_s, energy_j=WATTS * left_s)
    costs = ProjectCosts(
        tests=tests, background=background, startup_cpu_s=startup_s, conditions=conditions, run_id="r", saved_at=""
    )
    return subject_of_tests(costs, FIELDS, Pricing(FACTORS), incomplete=incomplete)


def many(count: int, factor: float = 1.0, noise: float = 0.0, seed: int = 1) -> dict[str, float]:
    rng = random.Random(seed)
    return {f"t.py::test_{i}": factor * 0.001 * 1.25 ** (i % 20) * rng.lognormvariate(0, noise) for i in range(count)}


def one(rule: str, now: Subject, then: Subject | None = None, **options: object) -> RuleDecision:
    rules = [parse_rule(rule, flag="")]
    baseline = None if then is None else "b.json"
    (found,) = decide(rules, [now], [then] if then else [], baseline=baseline, **options).rules  # type: ignore[arg-type]
    return found


# Noise.


def test_intervals_hold_what_they_promise_for_short_and_long_tests() -> None:
    """Noise that grows towards short tests, and a drift-free machine: 98 % intervals of an unchanged suite."""
    rng = random.Random(5)
    for tests, least in ((15, 0.96), (60, 0.96)):
        held = 0
        for _ in range(300):
            pairs = []
            for i in range(tests):
                cost = 0.0005 * 1.4 ** (i % 15)
                deviation = 0.03 + 0.1 * math.exp(-cost / 0.005)
                pairs.append(Pair(*(cost * rng.lognormvariate(0, deviation) for _ in range(2))))
            interval, assumed = ratio_noise(pairs, 0.98)
            assert interval is not None
            assert not assumed
            held += interval[0] <= 1 <= interval[1]
        assert held >= least * 300


def test_tests_that_changed_do_not_widen_the_interval_of_the_others() -> None:
    pairs = [Pair(now, then) for now, then in zip(many(40, noise=0.05).values(), many(40).values(), strict=True)]
    changed = [Pair(10 * pair.now, pair.then) if i in (3, 38) else pair for i, pair in enumerate(pairs)]
    (low, high), (low_c, high_c) = (ratio_noise(each, 0.98)[0] or (0, 0) for each in (pairs, changed))
    assert math.log(high / low) < 0.15
    assert math.log(high_c / low_c) < 0.3
    assert low_c > 1.3


def test_repetitions_count_where_they_show_more_than_the_spread_between_tests() -> None:
    still = [Pair(1.0, 1.0, (0.01, 4), (0.01, 4)) for _ in range(20)]
    found, assumed = ratio_noise(still, 0.95)
    expected = noise_interval(1.0, 1.0, [0.01 / 400] * 40, [4] * 40, 0.95)
    assert (found, assumed) == (pytest.approx(expected), False)
    noisy = [Pair(1.1 if i % 2 else 0.9, 1.0, (1e-8, 4), (1e-8, 4)) for i in range(20)]
    low, high = ratio_noise(noisy, 0.95)[0] or (0, 0)
    assert math.log(high / low) > 0.05


def test_what_ran_once_is_assumed_to_be_noisy_where_few_tests_tell() -> None:
    few = [Pair(1.0, 1.0)] * (MIN_TESTS - 1)
    found, assumed = ratio_noise(few, 0.98)
    z = 2.3263478740408408
    assert assumed
    assert found == pytest.approx((math.exp(-z * ASSUMED * math.sqrt(2)), math.exp(z * ASSUMED * math.sqrt(2))))
    assert ratio_noise([Pair(1.0, 1.0)] * MIN_TESTS, 0.98) == ((1.0, 1.0), False)
    assert ratio_noise([Pair(0.0, 1.0)], 0.98) == (None, False)
    assert value_noise([(2.0, None), (1.0, None)], 2, 0.98) == pytest.approx(
        (1.5 * math.exp(-z * ASSUMED), 1.5 * math.exp(z * ASSUMED)), rel=1e-5
    )
    known = value_noise([(2.0, (0.01, 4)), (1.0, (0.01, 4))], 2, 0.98)
    assert known == pytest.approx(noise_interval(3.0, 2.0, [0.01, 0.01], [4, 4], 0.98))
    assert value_noise([(0.0, None)], 1, 0.98) is None


costs = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=40)


@given(costs, st.sampled_from([ENERGY, CPU, CARBON]), st.floats(0.0, 200.0), st.floats(0.0, 5.0))
def test_nothing_changed_never_fails(values: list[float], field: str, allowed: float, left_s: float) -> None:
    same = suite({f"t::{i}": value for i, value in enumerate(values)}, left_s=left_s)
    found = one(f"{field}:+{allowed:.3f}%", same, same)
    assert found.compared == pytest.approx(1)
    assert found.decision is (Outcome.PASS if len(values) >= MIN_TESTS else found.decision)
    assert found.decision is not Outcome.FAIL


@given(costs, st.floats(0.1, 50.0), st.floats(0.1, 10.0))
def test_units_of_cost_do_not_matter(values: list[float], factor: float, unit: float) -> None:
    def decided(scale: float) -> RuleDecision:
        now = {f"t::{i}": scale * value * (factor if i % 3 == 0 else 1) for i, value in enumerate(values)}
        return one(f"{CPU}:+25%", suite(now), suite({f"t::{i}": scale * value for i, value in enumerate(values)}))

    found, scaled = decided(1.0), decided(unit)
    assert scaled.compared == pytest.approx(found.compared)
    assert scaled.interval == pytest.approx(found.interval)


# Decisions.


def test_a_test_ten_times_slower_fails_and_is_named() -> None:
    then, now = many(30), many(30, noise=0.04, seed=3)
    now["t.py::test_18"] *= 10
    found = one(f"{ENERGY}:+25%", suite(now), suite(then))
    assert found.decision is Outcome.FAIL
    assert found.compared == pytest.approx(sum(now.values()) / sum(then.values()))
    assert found.interval is not None
    assert found.interval[0] > 1.25
    change, *others = found.changes
    assert (change.test_id, change.now, change.then) == (
        "t.py::test_18",
        pytest.approx(WATTS * now["t.py::test_18"]),
        pytest.approx(WATTS * then["t.py::test_18"]),
    )
    assert change.share > 0.9
    assert all(each.share < 0.1 for each in others)
    lines, sentence = gate_lines(Decision(decision=found.decision, rules=(found,)), ())
    text = " ".join(" ".join(sentence).split())
    assert f"FAIL: {ENERGY}: " in text
    assert "+25% is allowed: t.py::test_18 " in text
    assert "times, " in text.partition("was ")[2]
    assert max(map(len, [*lines, *sentence])) <= 80
    whole = Decision(decision=found.decision, rules=(found,))
    assert decision_from(json.loads(json.dumps(plain(whole)))).rules == (found,)


def test_a_machine_that_is_slower_is_no_test_s_fault() -> None:
    then, now = suite(many(30)), many(30, factor=1.4, noise=0.02)
    slower = one(f"{CPU}:+25%", suite(now, startup_s=1.4), then)
    assert slower.decision is Outcome.INCONCLUSIVE
    assert slower.compared == pytest.approx(1.4, rel=0.05)
    assert "all was 1.4 times as slow here, pytest's start too" in slower.reason
    # Every test slower, and pytest's start as before: the tests' own.
    own = one(f"{CPU}:+25%", suite(now), then)
    assert own.decision is Outcome.FAIL
    assert "spread over many tests (the middle test 1.4 times what it was), the most in" in own.reason
    # Only pytest's start was slower: that says nothing of the tests.
    start = suite({name: cost * (10 if name.endswith("_19") else 1) for name, cost in many(30).items()}, startup_s=3.0)
    assert one(f"{CPU}:+25%", start, then).decision is Outcome.FAIL
    # A faster machine may hide what has become slower.
    assert one(f"{CPU}:+25%", suite(many(30, factor=0.8, noise=0.02), startup_s=0.6), then).decision is Outcome.PASS
    assert one(f"{CPU}:-15%", suite(many(30, factor=0.8, noise=0.02), startup_s=0.6), then).decision is (
        Outcome.INCONCLUSIVE
    )


def test_few_tests_that_ran_once_fail_far_beyond_and_repetitions_tell_the_rest() -> None:
    then = {"a": 0.1, "b": 0.2, "c": 0.3}
    errors = dict.fromkeys(then, 0.01)
    for factor, decision in ((4.0, Outcome.FAIL), (1.4, Outcome.INCONCLUSIVE), (0.5, Outcome.PASS)):
        now = {name: factor * cost for name, cost in then.items()}
        found = one(f"{CPU}:+25%", suite(now), suite(then))
        assert (found.decision, found.units) == (decision, 3)
        assert "too few tests to show their noise, so it is assumed" in found.reason
        assert ("--greencode-repeat 5, here and for the baseline" in found.reason) == (decision.value == "inconclusive")
        repeated = one(f"{CPU}:+25%", suite(now, errors=errors), suite(then, errors=errors))
        assert repeated.decision is (Outcome.PASS if factor < 1 else Outcome.FAIL)
        assert "assumed" not in repeated.reason
    near = one(f"{CPU}:+1%", suite(then, errors=errors), suite(then, errors=errors))
    assert near.decision is Outcome.INCONCLUSIVE
    assert near.reason.endswith("--greencode-repeat higher still, here and for the baseline, narrows it")


def test_an_absolute_limit_of_tests_that_ran_once_or_were_repeated() -> None:
    subject = suite(many(12))
    value = subject.quantities[CPU].value or 0.0
    for limit, decision in ((value / 4, Outcome.FAIL), (value / 1.1, Outcome.INCONCLUSIVE), (2 * value, Outcome.PASS)):
        found = one(f"{CPU}:{limit:.6f}", subject)
        assert (found.decision, found.value, found.baseline) == (decision, pytest.approx(value), None)
        assert "all tests ran once, and their noise is assumed" in found.reason
    assert "--greencode-repeat 5 measures the noise" in one(f"{CPU}:{value / 1.1:.6f}", subject).reason
    failed = one(f"{CPU}:{value / 4:.6f}", subject)
    assert "of the cost)" in failed.reason
    assert failed.changes[0].share == pytest.approx(max(many(12).values()) / sum(many(12).values()))
    errors = dict.fromkeys(many(12), 0.01)
    found = one(f"{CPU}:{value / 1.1:.6f}", suite(many(12), errors=errors))
    assert found.decision is Outcome.FAIL
    variances = [(0.01 * cost) ** 2 for cost in many(12).values()]
    expected = noise_interval(sum(many(12).values()), 12, variances, [4] * 12, 0.98)
    assert found.interval == pytest.approx(expected)


def test_a_pattern_means_tests_by_node_id_brackets_and_all() -> None:
    then = {"a.py::test_x[1]": 0.1, "a.py::test_x[2]": 0.1, "b.py::test_y": 0.1, LEFT_RUNNING[:4]: 0.1}
    now = suite({**then, "b.py::test_y": 1.0})
    # Four tests that ran once: three times as much may be noise, ten times may not.
    for pattern, units, decision in (
        ("a.py::test_x[1]", 1, Outcome.PASS),
        ("a.py::*", 2, Outcome.PASS),
        ("b.py::*", 1, Outcome.FAIL),
        ("*", 4, Outcome.INCONCLUSIVE),
    ):
        found = one(f"{CPU}[{pattern}]:+100%", now, suite(then))
        assert (found.units, found.decision) == (units, decision)
        assert gate_sentence(Decision(decision=Outcome.FAIL, rules=(replace(found, decision=Outcome.FAIL),)), ()).find(
            f"{CPU}[{pattern}]: "
        ) == len("FAIL: ")
    nobody = one(f"{CPU}[c.py::*]:+100%", now, suite(then))
    assert (nobody.decision, nobody.reason) == (Outcome.NOT_EVALUATED, "no test of this run is called so")
    assert one(f"{CPU}[a.py::*]:+100%", now, suite({"b.py::test_y": 0.1})).reason.startswith("not in the baseline")


def test_tests_come_and_go_and_those_in_common_are_judged() -> None:
    then = many(30)
    now = {name: 1.5 * cost for name, cost in list(then.items())[5:]} | {"new": 9.0}
    found = one(f"{CPU}:+10%", suite(now, passed={"t.py::test_7": False}), suite(then))
    assert (found.decision, found.compared, found.units) == (Outcome.FAIL, pytest.approx(1.5), 24)
    assert "left out: 1 new, 5 no longer here, 1 passed on one side only" in found.reason
    assert one(f"{CPU}:+60%", suite(now), suite(then)).decision is Outcome.PASS
    apart = one(f"{CPU}:+10%", suite({"x": 1.0}), suite(then))
    assert apart.decision is Outcome.NOT_EVALUATED
    assert apart.reason == "no tests in common: x and so on now, t.py::test_0 then"
    failing = dict.fromkeys(then, False)
    assert one(f"{CPU}:+10%", suite(then, passed=failing), suite(then)).reason == "this run: no test passed"


def test_what_tests_left_running_counts_and_has_a_name() -> None:
    found = one(f"{CPU}:+25%", suite(many(30), left_s=1.0), suite(many(30)))
    assert (found.decision, found.changes[0].test_id) == (Outcome.FAIL, LEFT_RUNNING)
    assert "left running 1 s, was 0 s (100 % of the difference)" in found.reason
    assert found.units == 30


def test_what_cannot_be_judged_is_said() -> None:
    now, then = suite(many(12, factor=10)), suite(many(12))
    for reason, found in {
        "5 of 17 selected tests did not run": one(
            f"{CPU}:+10%", replace(now, incomplete="5 of 17 selected tests did not run"), then
        ),
        "no baseline given": one(f"{CPU}:+10%", now),
        "the baseline differs: Python: baseline 3.11, now 3.12": one(
            f"{CPU}:+10%", suite(many(12), Python="3.12"), suite(many(12), Python="3.11")
        ),
        "nothing here has it": one("co2e_per_accepted_g:1", now),
    }.items():
        assert (found.decision, found.reason) == (Outcome.NOT_EVALUATED, reason)
    forced = one(
        f"{CPU}:+10%", suite(many(12, 10), Python="3.12"), suite(many(12), Python="3.11"), accept_differences=True
    )
    assert forced.decision is Outcome.FAIL
    no_machine = subject_of_tests(
        ProjectCosts(
            tests={"a": CostOfTest(True, 1.0, None, 1.0)},
            background=Spent(cpu_s=0.0, energy_j=0.0),
            startup_cpu_s=None,
            conditions={},
            run_id="",
            saved_at="",
        ),
        FIELDS,
        Pricing(FACTORS),
    )
    assert one(f"{ENERGY}:1", no_machine).reason == "the energy of 1 test is not known"
    assert one(f"{CPU}:0.1", no_machine).decision is Outcome.FAIL


def test_grams_are_priced_by_the_grid_that_both_sides_have() -> None:
    subject = suite({"a": 2.0, "b": 1.0})
    pricing = Pricing(FACTORS)
    embodied = pricing.execution_embodied_g(6.0)
    assert embodied is not None
    assert subject.quantities[CARBON].value == pytest.approx((pricing.execution_g(12.0) + embodied) / 2)


def test_hostile_names_are_one_line_and_long_ones_short() -> None:
    name = "t.py::test[\x1b[31m\n\u202e" + "x" * 5000 + "]"
    found = one(f"{CPU}:+25%", suite({**many(12), name: 50.0}), suite({**many(12), name: 1.0}))
    lines, sentence = gate_lines(Decision(decision=found.decision, rules=(found,)), ())
    for line in (*lines, *sentence):
        assert len(line) <= 80
        assert line.isprintable()
    assert "\\x1b[31m\\n\\u202e" in "".join(line.strip() for line in sentence)
    assert len(found.reason) < 400
    assert found.changes[0].test_id == name


# The baseline, and commands.


FACTS = {
    "started_at": "2026-11-22T00:00:00Z",
    "cpu": "CPU one",
    "meter": {"source": "a model", "max_w_per_vcpu": 5.0, "min_w_per_vcpu": 1.0},
    "options": {"attribution": "attributed", "repeat": 1, "workers": 0},
    "versions": {"pytest_greencode": "0.1.0", "python": "3.11.7", "pytest": "9.2.0"},
    "factors": plain_values(FACTORS),
}
LEDGER = Path(".greencode/ledger.sqlite")


def fill(
    run_id: str,
    costs_s: Mapping[str, float],
    *,
    selected: int | None = None,
    repeat: int = 1,
    samples: bool = False,
    **more: object,
) -> None:
    """A run of tests in a ledger, as if it had been made."""
    facts = {
        **FACTS,
        "run_id": run_id,
        "started_at": f"2026-11-22T00:00:0{run_id[0]}Z",
        "options": {"attribution": "attributed", "repeat": repeat, "workers": 0},
        "tests": {"selected": len(costs_s) if selected is None else selected},
        "selection": [],
        **more,
    }
    records = [attempt(f"HumanEval/{t}", 0, generation={"energy_j": 20.0 + t}) for t in range(12)] if samples else []
    fill_ledger(LEDGER, run_id, records, facts)
    ledger = Ledger(LEDGER)
    rows = [
        ItemRun(name, 1, repetition, "passed", 1.0, 1.0 + cpu_s, 0.0, cpu_s * (1 + 0.01 * repetition), 0.0)
        for name, cpu_s in costs_s.items()
        for repetition in range(repeat)
    ]
    start = Overhead(kind=STARTUP, started_at=0.0, finished_at=1.0, cpu_s=1.0)
    ledger.note(run_id, [], [start], tests=rows)
    ledger.close()


@pytest.fixture
def greencode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        code = main(list(arguments))
        captured = capsys.readouterr()
        return code, " ".join((captured.out + captured.err).split())

    return call


def test_save_show_check_and_update(greencode) -> None:  # type: ignore[no-untyped-def]
    fill("1" * 32, many(15))
    code, text = greencode("baseline", "save")
    assert code == 0
    assert f"tests {ENERGY} 0.0" in text
    assert "(15 tests, 15 passing)" in text
    assert "Python 3.11; pytest 9; repeat 1; workers 0" in text
    assert greencode("baseline", "show")[1] in text
    written = Path("greencode-baseline.json").read_text(encoding="utf-8")
    (line,) = (each for each in written.splitlines() if "test_14" in each)
    assert json.loads("{" + line.strip().rstrip(",") + "}")["t.py::test_14"]["cpu_s"] == pytest.approx(0.001 * 1.25**14)
    gate = ("check", "--baseline", "greencode-baseline.json")
    assert greencode(*gate, "--fail", f"{ENERGY}:+5%")[0] == 0
    slow = {**many(15), "t.py::test_14": 0.2, "t.py::test_new": 0.1}
    del slow["t.py::test_0"]
    fill("2" * 32, slow)
    code, text = greencode(*gate, "--fail", f"{ENERGY}:+25%")
    assert code == 8
    assert "t.py::test_14 800 mJ, was 90.9 mJ (8.8 times, 100 % of the difference)" in text
    assert "1 new, 1 no longer here" in text
    fill("3" * 32, many(15), selected=17)
    assert "2 of 17 selected tests did not run to their end" in greencode(*gate, "--fail", f"{ENERGY}:+25%")[1]
    code, text = greencode("baseline", "update")
    assert (code, "2 of 17 selected tests did not run" in text) == (4, True)
    code, text = greencode("baseline", "update", "--run", "2222")
    assert code == 0
    assert "tests of the old baseline that this run has not: 1, t.py::test_0" in text
    code, text = greencode(*gate, "--run", "2222", "--fail", f"{ENERGY}:+5%", "--strict")
    assert (code, "gate pass: 1 of 1 check" in text) == (0, True)
    Path("greencode-baseline.json").write_text(written.replace("CPU one", "CPU two"), encoding="utf-8")
    assert "CPU: baseline CPU two, now CPU one" in greencode(*gate, "--run", "2222", "--fail", f"{ENERGY}:+5%")[1]


def test_a_run_of_some_tests_does_not_take_the_others_out_of_the_baseline(greencode) -> None:  # type: ignore[no-untyped-def]
    fill("1" * 32, many(15), selection=[])
    assert greencode("baseline", "save")[0] == 0
    fill("2" * 32, many(3), selection=["-k", "test_1\x1b"])
    code, text = greencode("baseline", "update")
    assert code == 4
    assert r"the run is of '-k test_1\x1b', the baseline of all tests, and 12 of its tests would be lost" in text
    assert "(15 tests, 15 passing)" in greencode("baseline", "show")[1]
    fill("3" * 32, many(14), selection=[])
    assert greencode("baseline", "update")[0] == 0
    assert "(14 tests, 14 passing)" in greencode("baseline", "show")[1]


def test_a_run_of_tests_and_samples_leaves_both(greencode) -> None:  # type: ignore[no-untyped-def]
    fill("1" * 32, many(15), repeat=3, samples=True)
    code, text = greencode("baseline", "save")
    assert (code, "12 tasks, 12 attempts" in text, "(15 tests, 15 passing)" in text) == (0, True, True)
    row = json.loads(Path("greencode-baseline.json").read_text())["project"]["tests"]["t.py::test_3"]
    assert row["cpu_error_s"] == [pytest.approx(row["cpu_s"] / 1.01 * 0.01 / math.sqrt(3), rel=1e-6), 2]
    rules = ("--fail", f"{CPU}:+5%", "--fail", "co2e_per_accepted_g:+5%", "--strict")
    code, text = greencode("check", "--baseline", "greencode-baseline.json", *rules)
    assert (code, "gate pass: 2 of 2 checks" in text) == (0, True)
    report = valid_report(_json(greencode))
    assert report["project"]["variances"]["t.py::test_3"]["cpu"][1] == 2


def _json(greencode) -> str:  # type: ignore[no-untyped-def]
    assert greencode("report", "--json", "--output", "r.json")[0] == 0
    return Path("r.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("project", []),
        ("project.tests", None),
        ("project.left_running", 3),
        ("project.left_running.cpu_s", -1),
        ("project.startup_cpu_s", "1"),
        ("project.conditions", None),
        ("project.tests.t.py::test_0", 1),
        ("project.tests.t.py::test_0.passed", 1),
        ("project.tests.t.py::test_0.cpu_s", float("inf")),
        ("project.tests.t.py::test_0.cpu_error_s", [1]),
        ("project.tests.t.py::test_0.cpu_error_s", [1, 0]),
        ("project.tests.t.py::test_0.energy_error_j", [-1, 3]),
    ],
)
def test_what_is_wrong_in_a_baseline_is_told_by_its_place(greencode, place: str, value: object) -> None:  # type: ignore[no-untyped-def]
    from pytest_greencode.baseline import parse_baseline

    fill("1" * 32, many(2))
    greencode("baseline", "save")
    loaded = json.loads(Path("greencode-baseline.json").read_text(encoding="utf-8"))
    inner, name = loaded, place
    if ".tests." in place:
        inner, name = loaded["project"]["tests"], place.removeprefix("project.tests.")
        if "." in name.removeprefix("t.py::test_0"):
            inner, name = inner["t.py::test_0"], name.rpartition(".")[2]
    elif "." in place:
        *path, name = place.split(".")
        for part in path:
            inner = inner[part]
    inner[name] = value
    with pytest.raises(FileFormatError, match=f"b.json: field '{place}"):
        parse_baseline(json.dumps(loaded), path="b.json")


def test_the_machine_s_noise_over_runs_of_the_same_tests(greencode) -> None:  # type: ignore[no-untyped-def]
    fill("0" * 32, many(15))
    assert "one run, and nothing to compare it with" in greencode("check", "--aa")[1]
    for number, factor in enumerate((1.03, 0.98, 1.0), 1):
        fill(str(number) * 32, many(15, factor))
    fill("8" * 32, many(14))
    fill("9" * 32, many(15), repeat=3)
    code, text = greencode("check", "--aa", "--run", "3333")
    assert code == 0
    assert f"{CPU}: standard deviation 2.0 %, at most 1.051 times apart, over 4 runs of the tests" in text
    assert "2.0 % at one speed of the machine" in text
    assert f"--greencode-fail {ENERGY}:+15%" in text
    assert text.endswith("runs 33333333, 22222222, 11111111, 00000000")
    code, text = greencode("check", "--aa", "0", "8")
    assert (code, "not of the same tests under the same conditions" in text) == (4, True)


# A repository's CI.

WORK = """
import time

def spin(cpu_s):
    end = time.thread_time() + cpu_s
    while time.thread_time() < end:
        pass

def quick(number):
    spin(0.004 + 0.001 * number)

def total():
    spin(0.01)
"""
TESTS = """
import pytest, work

@pytest.mark.parametrize("number", range(11))
def test_quick(number): work.quick(number)

def test_total(): work.total()
"""
INI = f"""
[pytest]
addopts = -p no:cacheprovider
greencode_baseline = greencode-baseline.json
greencode_fail = {ENERGY}:+25%
"""


def test_a_commit_that_makes_a_function_ten_times_slower_fails_with_its_name(
    tmp_path: Path, greencode, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    """As a user meets it: measured, saved, gated; what changes nothing passes, serial and in parallel."""
    monkeypatch.setenv("COLUMNS", "80")
    Path("work.py").write_text(WORK, encoding="utf-8")
    Path("test_work.py").write_text(TESTS, encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pytest", "--greencode", "--greencode-meter", "estimated", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), str(tmp_path)])}
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
        assert "Traceback" not in found.stdout + found.stderr
        return found.returncode, found.stdout

    assert run()[0] == 0
    assert greencode("baseline", "save")[0] == 0
    Path("pytest.ini").write_text(INI, encoding="utf-8")
    code, text = run("--greencode-strict")
    assert code == 0, text
    Path("work.py").write_text(WORK.replace("spin(0.01)", "spin(0.1)"), encoding="utf-8")
    code, text = run("--color=yes")
    assert code == 8, text
    red = [line.removesuffix("\x1b[0m")[5:] for line in text.splitlines() if line.startswith("\x1b[31m")]
    sentence = " ".join(" ".join(red).split())
    assert sentence.startswith(f"gate FAIL: {ENERGY}: ")
    assert "+25% is allowed: test_work.py::test_total " in sentence
    assert max(map(len, red)) <= 80
    code, text = run("-n", "1", "--greencode-differences", "accept")
    assert code == 8, text
    assert "workers: baseline 0, now 1" in " ".join(text.split())
