"""The simulation behind benchmarks/interval_coverage.md knows its truth."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import pytest

numpy = pytest.importorskip("numpy")

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import interval_coverage as simulation  # noqa: E402


@pytest.mark.parametrize("scenario", simulation.SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("k", [1, 5])
def test_the_truth_is_what_many_draws_say(scenario, k):
    """Integration against 300,000 tasks, whose attempts are expected values."""
    rng = numpy.random.default_rng(7)
    truth = simulation.Truth(scenario, k)
    p = rng.beta(scenario.a, scenario.b, 300_000)
    other = simulation.shifted(p, simulation.LOGIT_SHIFT + simulation.LOGIT_SD * rng.standard_normal(len(p)))
    scale = numpy.exp(simulation.SLOPE * (0.5 - p) + simulation.TASK_SD * rng.standard_normal(len(p)))
    (passed, cost), (passed_b, cost_b) = simulation.policy(p, k), simulation.policy(other, k)
    ratio = (scale * cost).sum() / passed.sum()
    assert truth.passed == pytest.approx(passed.mean(), abs=0.003)
    assert truth.ratio == pytest.approx(ratio, rel=0.01)
    assert truth.paired == pytest.approx(ratio / (1.3 * (scale * cost_b).sum() / passed_b.sum()), rel=0.005)
    assert truth.difference_pp == pytest.approx(100 * (passed - passed_b).mean(), abs=0.15)
    if k == 1:
        assert truth.passed == pytest.approx(scenario.a / (scenario.a + scenario.b), rel=1e-4)


def test_attempts_as_drawn_cost_what_the_truth_says():
    rng = numpy.random.default_rng(8)
    p = numpy.full(20_000, 0.3)
    drawn = simulation.Drawn.of(rng, p, numpy.ones(20_000), 4)
    assert drawn.cost.sum() / drawn.accepted.sum() == pytest.approx(drawn.own_ratio(1), rel=0.02)
    assert drawn.own_ratio(1) == pytest.approx((0.7 * 1.2 + 0.3) / 0.3)


def test_a_trial_asks_the_product_for_every_interval():
    rng = numpy.random.default_rng(9)
    tallies = defaultdict(simulation.Tally)
    scenario = simulation.SCENARIOS[0]
    truths = {k: simulation.Truth(scenario, k) for k in (1, 5)}
    for _ in range(20):
        simulation.one_trial(rng, scenario, 20, 10, truths, tallies)
    for k in (1, 5):
        held = tallies[20, 10, k].held
        right = ("tasks", "benchmark", "paired", "difference", "bound", "L 10", "L 1000")
        assert all(len(held[name]) == 20 for name in (*right, "inside", "L 10, plain t", "L 1000, plain t"))
        assert all(sum(held[name]) >= 14 for name in right)
    # Drawing attempts again inside tasks makes few of them fail all five times, so R comes out too large or too small.
    shifts = tallies[20, 10, 5].values["shift"]
    assert abs(sum(shifts) / len(shifts)) > 2
    assert set(tallies[20, 10, 1].held) - set(tallies[20, 10, 5].held) == {"independent"}
