"""Comparing configurations: against enumeration, against the jackknife, and on real verdicts."""

from __future__ import annotations

import csv
import json
import math
import random
from fractions import Fraction
from itertools import permutations, product
from pathlib import Path
from types import SimpleNamespace

import pytest
from builders import UNIT_FACTORS as FACTORS
from builders import attempt, machine, reading
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.accounting import account
from pytest_greencode.comparison import (
    cascade,
    cascades,
    common_attempts,
    compare,
    describe,
    effects,
    escape,
    factors_of,
    front,
    select,
    slope,
    stopping,
)
from pytest_greencode.comparison.pairs import cautions
from pytest_greencode.model import (
    Configuration,
    Intensity,
    Method,
    Verdict,
    canonical_settings,
)
from pytest_greencode.reports import compare as report

ROOT = Path(__file__).parent.parent
EXAMPLE = [(3, 0), (5, 1), (4, 0), (8, 0), (6, 1)]
READING = reading(energy_j=0.0, harness_energy_j=0.0)


def records_of(tasks, model="m", suite="suite", chain=False, **options):
    """`tasks`: by id, or as a list, the attempts of each as (cost in J, accepted); a cost of None is missing."""
    named = tasks if isinstance(tasks, dict) else {f"t/{number}": attempts for number, attempts in enumerate(tasks)}
    return [
        attempt(
            task_id,
            number,
            accepted=accepted,
            model=model,
            settings=options,
            generation={"energy_j": None if cost is None else float(cost)},
            suite=suite,
            program_key=f"{task_id}-{number}",
            reading=READING,
            extra={"chain": True} if chain else {},
        )
        for task_id, attempts in named.items()
        for number, (cost, accepted) in enumerate(attempts)
    ]


def configuration(tasks, model="m", **options):
    (found,) = account(records_of(tasks, model, **options), FACTORS).configurations
    return found


def keys(accounts):
    return [Configuration(model=each.model, settings=each.settings) for each in accounts]


def without(found, task):
    """An account without one of its tasks, as comparisons see it."""
    return replace(found, task_rows=found.task_rows[:task] + found.task_rows[task + 1 :])


def drawn(seed, tasks=40, attempts=4, scale=1.0, shift=0.0):
    """Tasks of their own difficulty (the same for every `seed`): harder ones are dearer."""
    difficulty, rng = random.Random(1), random.Random(seed)
    found = []
    for _ in range(tasks):
        p = difficulty.betavariate(1, 1)
        p = min(max(p + shift, 0.02), 0.98)
        found.append([(scale * (2 - p) * rng.lognormvariate(0, 0.5), rng.random() < p) for _ in range(attempts)])
    return found


costs = st.floats(0.01, 100)
some_tasks = st.lists(st.lists(st.tuples(costs, st.booleans()), min_size=3, max_size=5), min_size=10, max_size=14)


# Pairs.


def test_one_task_has_a_ratio_and_no_interval():
    a, b = configuration([EXAMPLE], "a"), configuration([[(2, 0), (4, 1), (1, 0)]], "b")
    found = compare(a, b, 2)
    # R_2 = 167/14; b: mu_F = 3/2, A_2 = 5/3, P_2 = 2/3, C_2 = 1 * 3/2 + 2/3 * 4 = 25/6, R_2 = 25/4
    assert found.co2e_g.value == pytest.approx(167 / 14 / (25 / 4), rel=1e-14)
    assert found.pass_probability.value_pp == pytest.approx(100 * (7 / 10 - 2 / 3))
    assert found.co2e_g.interval is found.pass_probability.interval_pp is found.cheaper is found.better is None
    assert found.co2e_g.reason == found.pass_probability.reason == "too few tasks: 1, an interval needs 10"


@given(some_tasks, st.integers(1, 3))
def test_the_same_samples_have_ratio_one(tasks, k):
    found = compare(configuration(tasks, "a"), configuration(tasks, "b"), k)
    assert found.pass_probability.value_pp == 0
    low, high = found.pass_probability.interval_pp
    assert low < 0 < high
    assert low == pytest.approx(-high)
    if any(accepted for task in tasks for _, accepted in task):
        assert found.co2e_g.value == found.energy_j.value == 1
        assert found.co2e_g.interval == (1, 1)
        assert found.co2e_g.distinguishable is False
    assert found.cheaper is found.better is None


@settings(deadline=None)
@given(some_tasks, some_tasks, st.integers(1, 3), st.floats(0.01, 100))
def test_sides_may_be_exchanged_and_units_changed(one, other, k, factor):
    a, b = configuration(one, "a"), configuration(other, "b")
    ab, ba = compare(a, b, k), compare(b, a, k)
    assert (ab.tasks, ab.left_out, ab.cheaper, ab.better) == (ba.tasks, ba.left_out, ba.cheaper, ba.better)
    assert ab.pass_probability.value_pp == pytest.approx(-ba.pass_probability.value_pp)
    assert ab.pass_probability.interval_pp == pytest.approx([-x for x in reversed(ba.pass_probability.interval_pp)])
    scaled = compare(configuration([[(factor * x, s) for x, s in task] for task in one], "a"), b, k)
    if ab.co2e_g.value is None:
        assert "none accepted" in ab.co2e_g.reason
        assert scaled.co2e_g.value is ba.co2e_g.value is None
        return
    assert ab.co2e_g.value == pytest.approx(1 / ba.co2e_g.value)
    assert scaled.co2e_g.value == pytest.approx(factor * ab.co2e_g.value)
    if ab.co2e_g.interval:
        low, high = ab.co2e_g.interval
        assert low <= ab.co2e_g.value <= high
        assert (low, high) == pytest.approx([1 / x for x in reversed(ba.co2e_g.interval)])
        assert scaled.co2e_g.interval == pytest.approx((factor * low, factor * high))


def test_the_paired_interval_is_the_jackknifes():
    """Leaving out one task at a time, without any formula for the error, finds the same standard error."""
    one, other = drawn(1, tasks=120), drawn(2, tasks=120, scale=0.8)
    found = compare(configuration(one, "a"), configuration(other, "b"), 2).co2e_g
    pair = [configuration(tasks) for tasks in (one, other)]
    logs = [math.log(compare(*(without(each, left) for each in pair), 2).co2e_g.value) for left in range(120)]
    mean = sum(logs) / 120
    error = math.sqrt(119 / 120 * sum((x - mean) ** 2 for x in logs))
    low, high = map(math.log, found.interval)
    assert (high - low) / 2 / error == pytest.approx(1.980, rel=0.03)  # Student's t, 119 degrees
    assert math.log(found.value) == pytest.approx((low + high) / 2)


def test_pairing_removes_what_tasks_share():
    one = drawn(1)
    other = [[(x * random.Random(n).uniform(1.25, 1.35), s) for x, s in task] for n, task in enumerate(one)]
    a, b = configuration(one, "a"), configuration(other, "b")
    found = compare(a, b, 1)
    low, high = a.retry[1].interval
    assert high / low > 1.3  # alone, either is uncertain by more than they differ
    assert found.cheaper == Configuration(model="a")
    assert 1.25 < 1 / found.co2e_g.interval[1] < 1 / found.co2e_g.interval[0] < 1.35


def test_only_shared_tasks_are_compared():
    one = {f"t/{i}": task for i, task in enumerate(drawn(1, tasks=14))}
    a, b = configuration(one, "a"), configuration(dict(list(one.items())[3:]) | {"u": [(900, 0)] * 4}, "b")
    found = compare(a, b, 1)
    assert (found.tasks, found.left_out, found.co2e_g.value) == (11, ("t/0", "t/1", "t/2", "u"), 1)


def test_reasons():
    good = [[(1, 1), (2, 0)]] * 12
    a = configuration(good, "a")
    for tasks, k, reason in [
        ([[(1, 0), (2, 0)]] * 12, 1, "b: none accepted"),
        ([[(None, 1), (2, 0)], *good[1:]], 1, "b: energy missing in 1 of 12 tasks"),
        ([[(0, 1), (0, 0)]] * 12, 1, "the cost is not positive"),
        (
            [*good[:11], [(1, 1)]],
            2,
            "b: 2 attempts allowed, but 1 of 12 tasks have fewer",
        ),
        ({"other": [(1, 1)] * 2}, 1, "no task in common"),
    ]:
        found = compare(a, configuration(tasks, "b"), k)
        assert (found.co2e_g.value, found.co2e_g.reason) == (None, reason)
        assert found.cheaper is None
    found = compare(a, configuration(good, "b", suite="other"), 1)
    assert (found.co2e_g.reason, found.pass_probability.reason, found.tasks) == (("different suites",) * 2 + (0,))
    # Energy may be missing where verdicts are known.
    assert compare(a, configuration([[(None, 1), (2, 1)]] * 12, "b"), 1).pass_probability.value_pp == -50
    with pytest.raises(ValueError, match="k must be at least 1"):
        compare(a, a, 0)


def test_a_chain_counts_as_logged():
    chain = [[(2, 0), (2, 0), (2, 1)]] * 5 + [[(2, 1)]] * 5 + [[(2, 0)] * 3] * 2
    alone = configuration([[(3, 1), (3, 0), (3, 0)]] * 12, "alone")
    found = compare(configuration(chain, "chain", chain=True), alone, 3)
    assert found.a.co2e_g == pytest.approx((5 * 6 + 5 * 2 + 2 * 6) / 10)
    assert found.b.co2e_g == pytest.approx(6)  # A_3 = 2
    assert found.pass_probability.value_pp == pytest.approx(-100 / 6)
    assert "a is a chain of attempts and counts as logged" in found.cautions


def test_what_else_differs():
    a = configuration([[(1, 1)]] * 10, "a")
    records = records_of([[(1, 1)]] * 10, "b")
    declared = replace(records[0], generation=replace(records[0].generation, energy_method=Method.DECLARED))
    (b,) = account([declared, *records[1:]], FACTORS).configurations
    assert cautions(a, a) == ("the GPU of a and b is not recorded",)
    assert "a's energy of generation is measured, b's declared" in cautions(a, b)

    def on(gpu, batch_size):
        return SimpleNamespace(
            hardware=gpu, workload=SimpleNamespace(batch_size=batch_size), provenance=a.provenance, chain=False
        )

    assert cautions(on(("H200",), 64), on(("H200",), 63)) == ()
    assert cautions(on(("H200",), 64), on(("A100", "H200"), None)) == (
        "different hardware: a on H200; b on A100, H200",
    )
    assert cautions(on(("H200",), 64), on((), 1)) == (
        "the GPU of b is not recorded",
        "different batch sizes: a 64, b 1 on average",
    )


def test_other_grids_and_machines_are_cautions():
    records = records_of([[(1, 1)]] * 10, "a")

    def under(records=records, **changes):
        (found,) = account(records, replace(FACTORS, **changes)).configurations
        return [c for c in cautions(plain, found) if "not recorded" not in c]

    def generated(**changes):
        return [replace(r, generation=replace(r.generation, **changes)) for r in records]

    (plain,) = account(records, FACTORS).configurations
    assert under() == under(records[:9]) == []
    other = Intensity(g_per_kwh=56, region="fr", year=2024, source="Ember (2025)")
    (grid,) = under(generation=other)
    assert grid == (
        "different grids or PUE: a unit 3.6e+06 g/kWh; PUE 1.0; "
        "b generation grid: fr 56 g/kWh; PUE 1.0; execution grid: unit 3.6e+06 g/kWh; PUE 1.0"
    )
    assert "PUE 1.5" in under(generation_pue=1.5)[0]
    # How many records there are is no difference in PUE.
    (nine,), (ten,) = (
        account(generated(pue_included=True)[:n], replace(FACTORS, generation_pue=1.5)).configurations for n in (9, 10)
    )
    assert "grids" not in " ".join(cautions(nine, ten))
    assert under(generated(pue_included=True), generation_pue=1.5)[0].endswith("PUE 1.0")
    (made,) = under(execution_machine=machine("laptop", kg=0))
    assert made == (
        "different machines behind the embodied carbon of execution: a server 0 kg over 4 years; "
        "b laptop 0 kg over 4 years"
    )
    assert under(execution_machine=None)[0].endswith("b no machine given")
    (time,) = under(generated(duration_s=1.0, batch_size=1))
    assert time == "embodied carbon of generation: a by time from energy at 1 W, b by recorded time"


def test_in_words():
    one = drawn(1)
    a, b = configuration(one, "a"), configuration([[(2 * x, s) for x, s in task] for task in one], "b")
    assert describe(compare(a, b, 1), "A", "B").startswith(
        "A takes 50 % [50 %, 50 %] less CO2e per accepted solution than B; pass@1 is not distinguishable (+0.0 pp ["
    )
    assert describe(compare(b, a, 1)).startswith("a takes 2 [2, 2] times the CO2e per accepted solution of b; ")
    assert describe(compare(a, a, 1)).startswith("a and b are not distinguishable by CO2e per accepted solution (a / b")
    all_solved = configuration([[(1, 1)]] * 40, "c")
    assert "; pass@1 " in (sentence := describe(compare(all_solved, a, 1)))
    assert sentence.endswith("] higher")
    assert describe(compare(a, all_solved, 1)).endswith("] lower")
    nothing = configuration([[(1, 0)]] * 40, "d")
    assert "cannot be compared by CO2e per accepted solution (b: none accepted)" in describe(compare(a, nothing, 1))
    few = describe(compare(configuration([EXAMPLE], "a"), configuration([EXAMPLE], "b"), 1))
    assert few.count("no interval: too few tasks: 1") == 2
    assert "pass@1 cannot be compared (no task in common)" in describe(compare(a, configuration({"x": EXAMPLE}), 1))


def test_common_attempts():
    a, b = configuration([EXAMPLE] * 2, "a"), configuration([EXAMPLE, EXAMPLE[:3]], "b")
    assert common_attempts([a]) == 5
    assert common_attempts([a, b]) == 3
    assert common_attempts([]) is None
    # A chain sets no limit, as it counts as logged; chains alone are named by the most attempts made.
    chains = [configuration([EXAMPLE[:1], EXAMPLE[:4]], chain=True), configuration([EXAMPLE[:2]] * 2, chain=True)]
    assert common_attempts([*chains, b]) == 3
    assert common_attempts(chains) == 4


def chain_of(cost, lengths, model, **options):
    """A chain per task: so many attempts, of which the last is accepted; 0: three that all fail."""
    tasks = [[(cost, i == n - 1) for i in range(n or 3)] for n in lengths]
    (found,) = account(records_of(tasks, model, chain=True, **options), FACTORS).configurations
    return found


def test_chains_are_compared_as_logged():
    lengths = [1, 2, 3, 0, 1, 2] * 4
    small, big = chain_of(1, lengths, "small", t=0), chain_of(10, [1] * 23 + [0], "big", t=0)
    k = common_attempts([small, big])
    assert k == 3
    found = compare(small, big, k)
    # 4 * (1 + 2 + 3 + 3 + 1 + 2) attempts for 20 solved; 26 for 23.
    assert found.co2e_g.value == pytest.approx(48 / 20 / (260 / 23))
    assert [found.cheaper] == keys([small])
    places = {p.configuration.model: (p.pass_probability, p.co2e_g, p.on_front) for p in front([small, big], k).points}
    assert places == {
        "small": (pytest.approx(20 / 24), pytest.approx(48 / 20), True),
        "big": (pytest.approx(23 / 24), pytest.approx(260 / 23), True),
    }
    (effect,) = effects([small, big], k)
    assert (effect.reference, effect.level, effect.co2e_g) == ('"big"', '"small"', found.co2e_g)
    assert select([small, big], 0.5, k).chosen.configuration.model == "small"
    # Small as logged, and where it failed (4 tasks, of which big fails one) big as logged.
    first = cascades([small, big], 1, k).ranked[0].cascade
    assert (first.first.model, first.first_attempts, first.second_attempts) == ("small", 3, 3)
    failed = [t for t, n in enumerate(lengths) if not n]
    assert first.co2e_g == pytest.approx((48 + 10 * len(failed)) / (20 + len(failed)))
    assert first.reason is None


# Front and selection.


def flat(cost, solved, model, tasks=60):
    """Every task costs the same per attempt; a share of them is solved."""
    return configuration([[(cost, t < solved)] for t in range(tasks)], model)


def test_the_front():
    dear = flat(100, 59, "dear")
    cheap = flat(1, 20, "cheap")
    beaten = flat(300, 50, "beaten")
    close = configuration([[(100.5 if t % 2 else 100, t < 59)] for t in range(60)], "close")
    found = front([dear, beaten, cheap, close, flat(1, 0, "none"), configuration([[(None, 1)]] * 60, "unknown")], 1)
    points = {point.configuration.model: point for point in found.points}
    assert [point.configuration.model for point in found.points] == ["cheap", "dear", "close", "beaten"]
    assert [point.on_front for point in found.points] == [True, True, False, False]
    assert [each.model for each in points["beaten"].dominated_by] == ["dear"]
    assert points["beaten"].told_apart is True
    assert points["cheap"].told_apart is None
    assert points["dear"].pass_interval[0] < 59 / 60 < points["dear"].pass_interval[1] <= 1
    assert {key.model: why for key, why in found.unusable.items()} == {
        "none": "none accepted",
        "unknown": "energy missing in 60 of 60 tasks",
    }


def test_a_run_broken_off_does_not_decide_for_all():
    tasks = {f"t/{i}": [(1, i % 2)] * 2 for i in range(12)}
    dear = {task: [(10 * x, 1) for x, _ in attempts] for task, attempts in tasks.items()}
    whole = [configuration(tasks, "cheap"), configuration(dear, "dear")]
    parts = [configuration({task: [(0.1, 1)] * 2}, f"part {task}") for task in ("t/1", "t/2")]
    five, six = (configuration(dict(list(tasks.items())[:n]), f"first {n}") for n in (5, 6))
    expected = front(whole, 1)
    for order in permutations([*whole, *parts]):
        found = front(order, 1)
        assert (found.tasks, found.points, found.left_out) == (12, expected.points, ())
        assert {key.model: why for key, why in found.unusable.items()} == {
            f"part {task}": "has 1 of 12 tasks that at least half of the configurations have" for task in ("t/1", "t/2")
        }
    assert front([*whole, five], 1).tasks == 12
    found = front([*whole, six], 1)  # half is enough
    assert (found.tasks, len(found.left_out), found.unusable) == (6, 6, {})
    chosen = select([*whole, *parts], 0.5, 1)
    assert (chosen.tasks, chosen.chosen.configuration.model, len(chosen.unusable)) == (12, "dear", 2)
    beside = cascades([*whole, *parts], 1, 2)
    assert (beside.tasks, len(beside.ranked)) == (12, 2)
    assert {key for key, _ in beside.unusable} == set(keys(parts))
    # Where no one is the odd one out, nobody is; and most of them may be smaller than one.
    apart = configuration({f"u/{i}": [(1, 1)] for i in range(12)}, "apart")
    assert set(front([whole[0], apart], 1).unusable.values()) == {"no task that all configurations have"}
    small = [configuration(dict(list(tasks.items())[:4]), str(i)) for i in range(3)]
    assert front([whole[0], *small], 1).tasks == 4
    # One whole run and one broken off: the whole one is left.
    assert [p.configuration.model for p in front([whole[0], parts[0]], 1).points] == ["cheap"]


def test_those_that_reach_the_target_but_have_no_cost_are_named():
    unknown = configuration([[(None, 1)]] * 60, "unknown")
    poor = configuration([[(None, t < 10)] for t in range(60)], "poor")
    found = select([flat(1, 30, "small"), unknown, poor], 0.8, 1)
    assert found.chosen is None
    assert [key.model for key in found.unusable_reaching] == ["unknown"]
    assert found.unusable[found.unusable_reaching[0]] == "energy missing in 60 of 60 tasks"


def test_dominated_by_chance_is_not_told_apart():
    """Two draws of the same configuration: one of them may dominate, but nobody could tell."""
    accounts = [configuration(drawn(seed), str(seed)) for seed in range(8)]
    found = front(accounts, 1)
    dominated = [point for point in found.points if not point.on_front]
    assert dominated
    assert sum(bool(point.told_apart) for point in dominated) <= len(dominated) / 2


@settings(deadline=None, max_examples=50)
@given(st.lists(some_tasks, min_size=1, max_size=5), st.integers(1, 3))
def test_nothing_dominates_the_front(several, k):
    found = front([configuration(tasks, str(i)) for i, tasks in enumerate(several)], k)
    place = {point.configuration: (point.pass_probability, point.co2e_g) for point in found.points}
    assert len(found.points) + len(found.unusable) == len(several)
    for point in found.points:
        p, g = place[point.configuration]
        beating = {key for key, (q, h) in place.items() if q >= p and h <= g and (q, h) != (p, g)}
        assert set(point.dominated_by) <= beating
        assert bool(point.dominated_by) == bool(beating)


def test_selection():
    accounts = [flat(1, 30, "small"), flat(3, 55, "middle"), flat(3.05, 56, "rival"), flat(20, 60, "large")]
    # Per accepted solution: 2, 3.27, 3.27, 20.
    found = select(accounts, 0.8, 1)
    assert found.chosen.configuration.model == "rival"
    assert [each.model for each in found.not_distinguishable] == ["middle"]
    assert [c.configuration.model for c in found.candidates] == ["rival", "middle", "large", "small"]
    assert found.chosen.lower_bound < found.chosen.pass_probability
    assert select(accounts, 0.9, 1).chosen.configuration.model == "large"
    assert select(accounts, 0.0, 1).chosen.configuration.model == "small"
    none = select(accounts, 0.97, 1)
    assert none.chosen is None
    assert none.nearest.configuration.model == "large"
    # Clopper & Pearson's bound is 0.05^(1/60) = 95.1 %.
    assert none.reason == (
        "not shown to reach 97 %: the nearest has pass@1 100.0 % on 60 tasks, at least 95.6 % with 95 % confidence; "
        "more tasks may show it"
    )
    assert select(accounts[:1], 0.9, 1).reason.endswith("with 95 % confidence")
    assert select([], 0.9, 1).reason == "no configuration can be compared"
    assert select([flat(1, 5, "few", tasks=5)], 0.5, 1).reason.startswith("no bound: too few tasks: 5")
    with pytest.raises(ValueError, match="between 0 and 1"):
        select(accounts, 80, 1)
    with pytest.raises(ValueError, match="different suites"):
        select([accounts[0], configuration([EXAMPLE], suite="other")], 0.5, 1)


# Factors.


def grid(base, changes):
    """A configuration per combination of changes {factor: {level: cost multiplier}}."""
    found = []
    for levels in product(*[changes[name].items() for name in changes]):
        scale = math.prod(multiplier for _, multiplier in levels)
        options = {name: level for name, (level, _) in zip(changes, levels, strict=True) if level is not None}
        tasks = [[(scale * x, s) for x, s in task] for task in base]
        found.append(configuration(tasks, options.pop("model"), **options))
    return found


def test_known_effects_are_found():
    changes = {
        "model": {"a": 1, "b": 5},
        "quantization": {None: 1, "awq": 1.3},
        "max_new_tokens": {64: 1, 512: 2, 1024: 3},
    }
    found = effects(grid(drawn(1), changes), 2)
    seen = {(e.factor, e.reference, e.level): e for e in found}
    assert [(*key, len(e.strata), round(e.co2e_g.value, 9)) for key, e in seen.items()] == [
        ("model", '"a"', '"b"', 6, 5),
        ("max_new_tokens", "64", "512", 4, 2),
        ("max_new_tokens", "64", "1024", 4, 3),
        ("max_new_tokens", "512", "1024", 4, 1.5),
        ("quantization", None, '"awq"', 6, 1.3),
    ]
    for effect in found:
        low, high = effect.co2e_g.interval
        assert low == pytest.approx(high, rel=1e-9)
        assert (effect.tasks, effect.unused, effect.left_out) == (40, 0, ())
        assert effect.pass_probability.value_pp == 0
        assert effect.covariates["prompt_tokens"] == (None, None)


def test_strata_share_their_tasks():
    """The interval over strata is that of the jackknife which leaves a task out of all strata at once."""

    accounts = [
        configuration(drawn(i, tasks=80, scale=1 + temperature), temperature=temperature, prompt=prompt)
        for i, (temperature, prompt) in enumerate(product((0.2, 0.8), ("short", "long")))
    ]

    def ratio(left=None):
        chosen = accounts if left is None else [without(each, left) for each in accounts]
        (found,) = [e for e in effects(chosen, 1) if e.factor == "temperature"]
        return found

    whole = ratio().co2e_g
    logs = [math.log(ratio(left).co2e_g.value) for left in range(80)]
    mean = sum(logs) / 80
    error = math.sqrt(79 / 80 * sum((x - mean) ** 2 for x in logs))
    low, high = map(math.log, whole.interval)
    assert (high - low) / 2 / error == pytest.approx(1.990, rel=0.04)
    assert len(ratio().strata) == 2


def test_configurations_that_differ_in_two_factors_say_nothing():
    a = configuration([EXAMPLE], "a", temperature=0)
    assert effects([a, configuration([EXAMPLE], "b", temperature=1)], 1) == ()
    assert effects([a, configuration([EXAMPLE], "a", temperature=1, suite="other")], 1) == ()
    assert effects([], 1) == ()


def test_a_stratum_without_a_ratio_is_counted():
    good, bad = [[(1, 1), (2, 0)]] * 12, [[(1, 0), (2, 0)]] * 12
    accounts = [
        configuration(good, "a", t=0),
        configuration(good, "a", t=1),
        configuration(good, "b", t=0),
        configuration(bad, "b", t=1),
    ]
    (model, t) = effects(accounts, 1)
    assert (model.unused, t.unused) == (1, 1)
    assert t.co2e_g.value == 1
    assert t.pass_probability.value_pp == pytest.approx(-25)
    (alone,) = effects(accounts[2:], 1)
    assert (alone.co2e_g.value, alone.co2e_g.reason) == (None, "a: none accepted")
    (missing,) = effects([configuration([[(None, 1)]], t=0), configuration([[(None, 1)]], t=1)], 1)
    assert "energy missing" in missing.co2e_g.reason
    (nothing,) = effects([configuration({"x": EXAMPLE}, t=0), configuration({"y": EXAMPLE}, t=1)], 1)
    assert nothing.co2e_g.reason == nothing.pass_probability.reason == "no task in common"


def test_factors_of_settings():
    options = canonical_settings({"model": "x", "top_p": 1.0, "stop": ["\n", "é"]})
    found = factors_of(replace(configuration([EXAMPLE], "a"), settings=options))
    assert found == {"model": '"a"', "settings.model": '"x"', "top_p": "1.0", "stop": '["\\n", "é"]'}


def test_any_level_has_a_place():
    """Not set, numbers by size, the rest by name; what a float cannot hold is no number here."""
    levels = [10**400, "text", 9, 10.5, True, None, math.nan, -1]
    accounts = [configuration([EXAMPLE], t=level) for level in levels]
    accounts.append(configuration([EXAMPLE]))
    first, *_ = found = effects(accounts, 1)
    assert len(found) == 9 * 8 / 2
    assert (first.reference, first.level) == (None, "-1")
    assert [e.level for e in found if e.reference == "-1"][:2] == ["9", "10.5"]


# Slopes.


def with_tokens(task, energy_j, tokens, model="m", batch_size=None):
    (record,) = records_of({task: [(energy_j, 1)]}, model)
    generation = replace(record.generation, prompt_tokens=tokens[0], completion_tokens=tokens[1], batch_size=batch_size)
    return replace(record, generation=generation)


def tokens_and_energies(seed, tasks=30, attempts=6, noise=0.0, slopes=(0.3, 1.1)):
    rng = random.Random(seed)
    found = []
    for task in range(tasks):
        prompt, common = rng.randint(50, 900), rng.gauss(0, noise)
        for _ in range(attempts):
            model = rng.choice("ab")
            completion = rng.randint(20, 500)
            logs = slopes[0] * math.log(prompt) + slopes[1] * math.log(completion)
            energy = math.exp((3 if model == "b" else 0) + logs + common + rng.gauss(0, noise))
            found.append(with_tokens(f"t/{task}", energy, (prompt, completion), model))
    return found


def test_slopes_without_noise_are_exact():
    found = slope(tokens_and_energies(1))
    assert found.slopes["prompt_tokens"].value == pytest.approx(0.3, abs=1e-9)
    assert found.slopes["completion_tokens"].value == pytest.approx(1.1, abs=1e-9)
    low, high = found.slopes["completion_tokens"].interval
    assert high - low < 1e-9
    assert (found.attempts, found.tasks, found.missing, found.batched) == (180, 30, 0, 0)


def test_slopes_are_least_squares_and_the_jackknife_is_real():
    numpy = pytest.importorskip("numpy")
    records = tokens_and_energies(2, noise=0.5)

    def fitted(rows):
        matrix = [
            [
                r.configuration.model == "a",
                r.configuration.model == "b",
                math.log(r.generation.prompt_tokens),
                math.log(r.generation.completion_tokens),
            ]
            for r in rows
        ]
        energies = [math.log(r.generation.energy_j) for r in rows]
        return numpy.linalg.lstsq(numpy.array(matrix, float), numpy.array(energies), rcond=None)[0][2:]

    whole = fitted(records)
    tasks = {r.task_id for r in records}
    left = [fitted([r for r in records if r.task_id != task]) for task in tasks]
    found = slope(records)
    for j, name in enumerate(("prompt_tokens", "completion_tokens")):
        error = math.sqrt(29 / 30 * sum((b[j] - whole[j]) ** 2 for b in left))
        low, high = found.slopes[name].interval
        assert found.slopes[name].value == pytest.approx(whole[j], rel=1e-9)
        assert (high - low) / 2 == pytest.approx(2.0452296 * error, rel=1e-6)


def test_slopes_cover_though_attempts_of_a_task_are_alike():
    covered = 0
    for seed in range(200):
        low, high = slope(tokens_and_energies(seed, noise=0.4, attempts=3)).slopes["prompt_tokens"].interval
        covered += low <= 0.3 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_slopes_that_cannot_be_had():
    records = tokens_and_energies(3)
    assert slope([]).slopes["prompt_tokens"].reason == "no attempt has energy and tokens"
    same = [with_tokens(r.task_id, 7.0, (r.generation.prompt_tokens, 5)) for r in records]
    assert "same for all attempts" in slope(same).slopes["prompt_tokens"].reason
    constant = [with_tokens(r.task_id, r.generation.energy_j, (100, r.generation.completion_tokens)) for r in records]
    assert slope(constant).slopes["completion_tokens"].reason == "prompt_tokens did not vary"
    assert slope(constant, ["completion_tokens"]).slopes["completion_tokens"].interval is not None
    collinear = [with_tokens(r.task_id, r.generation.energy_j, (i + 1, 3 * i + 3)) for i, r in enumerate(records)]
    assert "vary together" in slope(collinear).slopes["prompt_tokens"].reason
    odd = [with_tokens("t/x", energy, (1, 1), batch_size=8) for energy in (None, 0.0, -1.0, math.inf, math.nan)]
    assert slope([*records, *odd]).missing == 5
    assert slope([*records, with_tokens("t/x", 2.0, (10, 20), batch_size=8)]).batched == 1
    few = slope(records[:18]).slopes["completion_tokens"]
    assert (few.interval, few.reason) == (None, "too few tasks: 3, an interval needs 10")


# Stopping.


def enumerated(attempts, k):
    """(P, C) of retry-until-accepted, at most k, by walking every order of the attempts."""
    orders = list(permutations(attempts))
    passed = cost = Fraction(0)
    for order in orders:
        for x, accepted in order[:k]:
            cost += Fraction(x)
            if accepted:
                passed += 1
                break
    return passed / len(orders), cost / len(orders)


small_tasks = st.lists(
    st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=4, max_size=4), min_size=1, max_size=4
)


@settings(deadline=None)
@given(small_tasks, st.integers(0, 200))
def test_the_least_cost_per_resolved_task(tasks, otherwise):
    found = stopping(configuration(tasks), float(otherwise))
    if not any(accepted for task in tasks for _, accepted in task):
        assert (found.attempts, found.reason) == (None, "none accepted")
        return
    resolved = {0: Fraction(otherwise)}
    for k in range(1, 5):
        pairs = [enumerated(task, k) for task in tasks]
        resolved[k] = sum(c + (1 - p) * otherwise for p, c in pairs) / len(tasks)
    for step in found.curve:
        assert step.resolved_g == pytest.approx(float(resolved[step.k]))
    best = min(resolved.values())
    assert float(resolved[found.attempts or 0]) == pytest.approx(float(best))
    assert found.exhausted == (found.attempts == 4)


@settings(deadline=None)
@given(small_tasks, st.lists(st.integers(0, 200), min_size=4, max_size=4))
def test_the_least_cost_per_resolved_task_where_tasks_differ(tasks, otherwise):
    found = stopping(configuration(tasks), {f"t/{t}": float(otherwise[t]) for t in range(4)})
    if not any(accepted for task in tasks for _, accepted in task):
        assert (found.attempts, found.reason) == (None, "none accepted")
        return
    pairs = list(zip(tasks, otherwise, strict=False))
    resolved = {0: Fraction(sum(h for _, h in pairs), len(pairs))}
    for k in range(1, 5):
        total = Fraction(0)
        for task, h in pairs:
            p, c = enumerated(task, k)
            total += c + (1 - p) * h
        resolved[k] = total / len(pairs)
    for step in found.curve:
        assert step.resolved_g == pytest.approx(float(resolved[step.k]))
    assert float(resolved[found.attempts or 0]) == pytest.approx(float(min(resolved.values())))


def test_the_mean_of_other_costs_is_another_question():
    """The easy task is solved at once: only what the hard one costs a person says how often to retry."""
    found = configuration([[(1, 1)] * 4, [(1, 1), (1, 0), (1, 0), (1, 0)]])
    dear_when_hard, dear_when_easy = ({"t/0": h, "t/1": g} for h, g in ((0.0, 40.0), (40.0, 0.0)))
    assert stopping(found, dear_when_hard).attempts == 4
    assert stopping(found, dear_when_easy).attempts == 1
    assert stopping(found, 20.0) == stopping(found, {"t/0": 20.0, "t/1": 20.0})
    assert stopping(found, dear_when_hard).rule.endswith("with 0 to 40 g for a task that is not solved")
    partly = stopping(found, {"t/0": 1.0})
    assert (partly.attempts, partly.reason) == (
        None,
        "the cost of solving it otherwise is missing for 1 of 2 tasks",
    )
    assert {step.resolved_g for step in partly.curve} == {None}
    for wrong in ({"t/0": 1.0, "t/1": -1.0}, math.nan, math.inf):
        with pytest.raises(ValueError, match="must not be negative or infinite"):
            stopping(found, wrong)


@settings(deadline=None)
@given(small_tasks)
def test_the_marginal_cost(tasks):
    found = stopping(configuration(tasks))
    for step in found.curve:
        gains = [enumerated(task, step.k) for task in tasks]
        before = [enumerated(task, step.before) if step.before else (0, 0) for task in tasks]
        gain = sum(p for p, _ in gains) - sum(p for p, _ in before)
        cost = sum(c for _, c in gains) - sum(c for _, c in before)
        assert step.stuck == (gain == 0)
        assert step.marginal_g == (pytest.approx(float(cost / gain)) if gain else None)


def test_one_task_costs_the_same_at_any_k_on_average():
    """Wald's identity, by exact expectation over draws: E[C_k] / E[P_k] is E[x] / p for one task, whatever k."""
    p, x, n = Fraction(1, 3), 7, 4
    for k in range(1, n + 1):
        cost = passed = Fraction(0)
        for outcome in product((0, 1), repeat=n):
            chance = math.prod(p if accepted else 1 - p for accepted in outcome)
            one, other = enumerated([(x, accepted) for accepted in outcome], k)
            passed, cost = passed + chance * one, cost + chance * other
        assert cost / passed == x / p


def test_when_to_stop_without_another_cost():
    easy, hard = [(1, 1), (1, 0)] * 10, [(1, 1), *[(1, 0)] * 9] * 2
    found = stopping(configuration([easy] * 10 + [hard] * 10 + [[(1, 0)] * 20] * 5))
    assert found.curve[0].marginal_g == found.curve[0].co2e_g_per_accepted
    margins = [step.marginal_g for step in found.curve[:8]]
    assert margins == sorted(margins)
    assert margins[found.attempts - 1] <= 2 * margins[0] < margins[found.attempts]
    assert all(step.marginal_interval[0] < step.marginal_g < step.marginal_interval[1] for step in found.curve)
    assert stopping(configuration([easy] * 10), limit=1e6).exhausted
    # At temperature 0 a retry only costs.
    greedy = stopping(configuration([[(1, 1)] * 5] * 6 + [[(1, 0)] * 5] * 6))
    assert (greedy.attempts, greedy.curve[1].stuck, greedy.curve[1].marginal_g) == (1, True, None)
    # The rule says what was found.
    assert greedy.rule == "more attempts solve no further task"
    assert stopping(configuration([[(1, 1)] * 5] * 12)).rule == "more attempts solve no further task"
    assert found.rule == "the next attempts cost more than 2 times R_1 per further task solved"
    assert stopping(configuration([easy] * 10), limit=1e6).rule == "all tasks are solved by then"
    even = stopping(configuration([[(1, 1), (1, 0), (1, 0)]] * 12 + [[(1, 0)] * 3] * 12), limit=1e6)
    assert (even.exhausted, even.rule) == (True, "up to there a further task solved costs at most 1e+06 times R_1")
    assert stopping(configuration([EXAMPLE], chain=True)).reason == "the attempts of a chain cannot be redrawn"
    assert "energy missing" in stopping(configuration([[(None, 1)]])).reason
    assert stopping(configuration([easy] * 10), 0.5).reason == "solving a task otherwise costs less than trying"
    with pytest.raises(ValueError, match="must not be negative"):
        stopping(configuration([easy]), -1.0)
    with pytest.raises(ValueError, match="at least 1"):
        stopping(configuration([easy]), limit=0.5)


# Cascades.


@settings(deadline=None, max_examples=60)
@given(small_tasks, st.integers(1, 4), st.integers(1, 3), st.data())
def test_a_cascade_is_its_enumeration(small, k1, k2, data):
    big = [data.draw(st.lists(st.tuples(st.integers(5, 50), st.booleans()), min_size=3, max_size=3)) for _ in small]
    cost = passed = Fraction(0)
    for one, other in zip(small, big, strict=True):
        pairs = list(product(permutations(one), permutations(other)))
        for order, later in pairs:
            for x, accepted in [*order[:k1], *later[:k2]]:
                cost += Fraction(x, len(pairs))
                if accepted:
                    passed += Fraction(1, len(pairs))
                    break
    found = cascade(configuration(small, "small"), configuration(big, "big"), k1, k2)
    if not passed:
        assert (found.co2e_g, found.reason) == (None, "none accepted")
        return
    assert found.co2e_g == pytest.approx(float(cost / passed))
    assert found.pass_probability == pytest.approx(float(passed / len(small)))


def test_all_cascades_beside_the_configurations_alone():
    small = configuration([[(1, t < 30)] * 3 for t in range(60)], "small")
    big = configuration([[(30, t < 55 or t == 59)] for t in range(60)], "big")
    unknown = configuration([[(None, 1)]] * 60, "unknown")
    found = cascades([big, small, unknown], 2, 1)
    assert {key[0].model for key in found.unusable} == {"big", "unknown"}
    assert found.unusable[Configuration(model="big"), 2].startswith("2 attempts allowed")
    (ranked,) = found.ranked
    assert ranked.cascade == cascade(small, big, 2, 1)
    # 30 tasks at 1 J; 30 at 2 J and 30 J; 56 solved.
    assert ranked.cascade.co2e_g == pytest.approx((30 + 30 * 32) / 56)
    assert ranked.cascade.co2e_ratio.value == pytest.approx((30 + 30 * 32) / (60 * 30))
    assert ranked.cascade.co2e_ratio.distinguishable
    assert ranked.cascade.pass_difference.value_pp == 0
    assert (ranked.on_front, ranked.dominated_by) == (True, ())
    assert [(key.model, p, pytest.approx(g)) for key, p, g in found.singles] == [
        ("small", 0.5, 2),
        ("big", 56 / 60, 1800 / 56),
    ]
    beaten = cascades([configuration([[(40, t < 10)] for t in range(60)], "poor"), big], 1, 1)
    worst = beaten.ranked[-1]
    assert [each.model for each in worst.dominated_by] == ["big"]
    assert not worst.on_front
    assert cascades([], 1, 1).ranked == ()


def test_a_cascade_that_cannot_be():
    a = configuration([EXAMPLE], "a")
    assert cascade(a, configuration([EXAMPLE], suite="other"), 1, 1).reason == "different suites"
    assert cascade(a, configuration({"x": EXAMPLE}), 1, 1).reason == "no task in common"
    assert "energy missing" in cascade(a, configuration([[(None, 1)]]), 1, 1).co2e_ratio.reason
    assert "fewer" in cascade(a, a, 6, 1).pass_difference.reason


# As lines of text.


def notes_of(lines):
    return [" ".join(text.split()) for _, text in lines]


def name_of(found):
    return found.model


def test_lines_say_on_how_many_tasks_and_why_there_is_nothing():
    whole = {f"t/{i}": [(1, i % 2)] * 2 for i in range(12)}
    most = {task: [(10, 1)] * 2 for task in list(whole)[:8]}
    accounts = [configuration(whole, "whole"), configuration(most, "most")]
    ground = "on the 8 tasks that all have; 4 tasks left out"
    found = [
        notes_of(report._front(front(accounts, 1), name_of)),
        notes_of(report._cascades(cascades(accounts, 1, 1), name_of)),
        notes_of(report._selection(select(accounts, 0.1, 1), name_of)),
    ]
    assert [lines[0] for lines in found] == [ground] * 3
    assert all(len(lines) > 1 for lines in found)
    same = [accounts[0], configuration(whole, "other")]
    assert "left out" not in " ".join(
        notes_of(report._front(front(same, 1), name_of)) + notes_of(report._selection(select(same, 0.1, 1), name_of))
    )


def test_lines_name_what_reaches_the_target_and_has_no_cost():
    found = select([flat(1, 30, "small"), configuration([[(None, 1)]] * 60, "unknown")], 0.8, 1)
    # With one more task, not solved, 30/61 - 1.671 * sqrt(30 * 31 / 60) / 61.
    bound = "the nearest has pass@1 50.0 % on 60 tasks, at least 38.4 % with 95 % confidence"
    assert notes_of(report._selection(found, name_of)) == [
        f"none: not shown to reach 80 %: {bound}",
        "nearest is small",
        "unknown reaches pass@1 of 80.0 %, but cannot be compared: energy missing in 60 of 60 tasks",
    ]


def test_lines_say_why_a_chain_has_no_place_to_stop():
    found = stopping(chain_of(1, [1, 2, 0] * 4, "chain"))
    assert notes_of(report._stopping("chain", found)) == ["chain: not known: the attempts of a chain cannot be redrawn"]
    assert notes_of(report._stopping("none", stopping(configuration([[(1, 0)]] * 12)))) == []
    solved = stopping(configuration([[(1, 1), (1, 0)]] * 12), limit=1e6)
    assert notes_of(report._stopping("m", solved))[-1] == "m: k = 2: all tasks are solved by then"
    left = stopping(configuration([[(1, 1), (1, 0)]] * 12 + [[(1, 0)] * 2] * 4), limit=1e6)
    assert notes_of(report._stopping("m", left))[-1].endswith("; more attempts than were made may be better still")


# Accepted, but wrong.


def rejudged(records, wrong, suite="hidden", prefix="hidden"):
    """The same samples in another suite; `wrong` are (task number, sample) that fail there."""
    found = []
    for record in records:
        number = int(record.task_id.split("/")[1])
        failed = record.verdict is not Verdict.ACCEPTED or (number, record.sample_id) in wrong
        verdict = Verdict.TIMEOUT if failed else Verdict.ACCEPTED
        found.append(replace(record, suite=suite, task_id=f"{prefix}/{number}", verdict=verdict))
    return found


def test_escapes_by_hand():
    public = records_of([EXAMPLE, [(1, 1)] * 5, [(2, 0)] * 5], "m")
    hidden = rejudged(public, {(0, 1), (1, 0), (1, 4)})
    (found,) = account(public, FACTORS).configurations
    result = escape(found, public, hidden, 2)
    correct = Fraction(7, 10) * Fraction(1, 2) + Fraction(3, 5)
    cost = Fraction(167, 20) + 1 + 4
    assert result.correct_probability == pytest.approx(float(correct / 3))
    assert result.escape_rate == pytest.approx(float(1 - correct / (Fraction(7, 10) + 1)))
    assert result.co2e_g == pytest.approx(float(cost / correct))
    assert (result.accepted, result.escaped, result.unjudged, result.tasks) == (7, 3, 0, 3)
    assert (result.public, result.hidden, result.reason) == ("suite", "hidden", None)
    assert result.escape_interval is None


def test_escapes_over_many_tasks():
    public = records_of(drawn(1), "m")
    (found,) = account(public, FACTORS).configurations
    none = escape(found, public, rejudged(public, set()), 1)
    assert none.escape_rate == 0
    assert none.co2e_g == pytest.approx(found.retry[1].co2e_g_per_accepted)
    assert none.escape_interval[0] == 0
    assert 0.02 < none.escape_interval[1] < 0.2  # nothing seen is not nothing there
    some = escape(found, public, rejudged(public, {(t, s) for t in range(0, 40, 4) for s in range(4)}), 1)
    assert some.escape_interval[0] < some.escape_rate < some.escape_interval[1]
    assert some.co2e_interval[0] < some.co2e_g < some.co2e_interval[1]
    every = escape(found, public, rejudged(public, {(t, s) for t in range(40) for s in range(4)}), 1)
    assert (every.escape_rate, every.co2e_g, every.reason) == (1, None, "none correct")


def test_what_the_hidden_suite_does_not_know():
    public = records_of([[(1, 1), (1, 1)], [(1, 1), (1, 0)], [(1, 0), (1, 0)], [(1, 1), (1, 1)]], "m")
    hidden = rejudged(public, set())
    hidden = [r for r in hidden if r.task_id != "hidden/3"]
    hidden[1] = replace(hidden[1], verdict=Verdict.HARNESS_ERROR)
    hidden[2] = replace(hidden[2], verdict=None)
    (found,) = account(public, FACTORS).configurations
    result = escape(found, public, hidden, 1)
    assert result.left_out == ("t/1", "t/3")
    assert (result.tasks, result.accepted, result.unjudged) == (2, 1, 4)
    assert escape(found, public, [], 1).reason == "no task in common with the hidden suite"
    assert "fewer" in escape(found, public, hidden, 3).reason
    nothing = records_of([[(1, 0)]], "m")
    (failed,) = account(nothing, FACTORS).configurations
    assert escape(failed, nothing, rejudged(nothing, set()), 1).reason == "none accepted"
    with pytest.raises(ValueError, match="several suites"):
        escape(found, public, [*hidden, *rejudged(public, set(), suite="third")], 1)


# Everything.


def real(model, stem):
    """HumanEval verdicts of a real model, with the energies that its example samples carry."""
    with (ROOT / "tests" / "data" / "verdicts" / f"{stem}.csv").open(encoding="utf-8") as file:
        passed = {row["task_id"]: row["passed"] == "1" for row in csv.DictReader(file)}
    lines = (ROOT / "examples" / "humaneval" / f"{model}.jsonl").read_text(encoding="utf-8").splitlines()
    energies = {row["task_id"]: row.get("generation", {}).get("energy_j") for row in map(json.loads, lines)}
    return configuration({task: [(energies[task], accepted)] for task, accepted in passed.items()}, model)


def test_real_models():
    gemma = real("codegemma-7b", "inatel_codegemma_7b_n1")
    llama = real("codellama-7b", "inatel_codellama_7b_n1")
    qwen = real("qwen2.5-coder-7b", "inatel_qwen2.5-coder_7b_n1")
    found = compare(gemma, llama, 1)
    # Both solve 47 of 164, at 21.54 and 21.33 J each.
    assert (found.tasks, found.pass_probability.value_pp) == (164, 0)
    assert found.co2e_g.value == pytest.approx(21.536223773181213 / 21.327692648269494)
    assert found.co2e_g.distinguishable is False
    rng = random.Random(20261121)
    rows = [(a.accepted, b.accepted) for a, b in zip(gemma.task_rows, llama.task_rows, strict=True)]
    logs = []
    for _ in range(2000):
        chosen = rng.choices(rows, k=164)
        logs.append(math.log(sum(b for _, b in chosen) / sum(a for a, _ in chosen)))
    spread = math.sqrt(sum(x * x for x in logs) / 2000)
    low, high = map(math.log, found.co2e_g.interval)
    assert (high - low) / 2 == pytest.approx(1.97 * spread, rel=0.08)  # the bootstrap of whole tasks agrees
    better = compare(qwen, llama, 1)
    assert (better.co2e_g.value, better.co2e_g.reason) == (None, "a: energy missing in 164 of 164 tasks")
    assert better.better.model == "qwen2.5-coder-7b"


attempts = st.tuples(st.one_of(st.none(), st.just(0.0), st.floats(-1e20, 1e20), st.just(math.nan)), st.booleans())
any_tasks = st.dictionaries(
    st.sampled_from([f"t/{i}" for i in range(12)]), st.lists(attempts, min_size=1, max_size=3), min_size=1
)


@settings(deadline=None)
@given(st.lists(any_tasks, min_size=2, max_size=3), st.integers(1, 3), st.booleans())
def test_whatever_the_records_nothing_raises_and_nothing_is_infinite(several, k, chain):
    accounts = [configuration(tasks, str(i), chain=chain and not i) for i, tasks in enumerate(several)]
    values = []
    for a, b in product(accounts, accounts):
        found = compare(a, b, k)
        values += [found.co2e_g.value, found.energy_j.value, found.pass_probability.value_pp]
        values += [*(found.co2e_g.interval or ()), *(found.pass_probability.interval_pp or ())]
        assert (found.co2e_g.value is None) <= (found.co2e_g.reason is not None)
        assert describe(found)
        values.append(cascade(a, b, k, 1).co2e_g)
    for point in front(accounts, k).points:
        values += [point.co2e_g, point.pass_probability]
    for each in accounts:
        values += [step.marginal_g for step in stopping(each, 1.0).curve]
    selection = select(accounts, 0.5, k)
    assert (selection.chosen is None) == (selection.reason is not None)
    cascades(accounts, k, 1)
    effects(accounts, k)
    assert all(value is None or math.isfinite(value) for value in values)
