"""The simulation behind benchmarks/gate_power.md: nothing fails that did not change, and what did is caught."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from builders import UNIT_FACTORS, attempt
from real_accounts import DATA

from pytest_greencode.accounting import account
from pytest_greencode.gate import Outcome, subject_of

numpy = pytest.importorskip("numpy")

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import gate_power as simulation  # noqa: E402

pytestmark = pytest.mark.skipif(not (DATA / "verdicts").is_dir(), reason="no collection of public samples here")


def test_the_same_samples_again_and_a_regression():
    rng = numpy.random.default_rng(7)
    found = simulation.read(DATA, "inatel_qwen2.5-coder_7b_n1")
    assert found.accepted.mean() == pytest.approx(120 / 164)
    assert found.cost_j.mean() == pytest.approx(simulation.REQUEST_J)

    def gate(times):
        now, then = (
            simulation.measured(found, found.accepted, found.cost_j, rng, 0.005, factor, "same")
            for factor in (times, 1.0)
        )
        return simulation.judged(simulation.RULES, [now], [then])

    assert simulation.gates(25, lambda: gate(1.0)) == {Outcome.PASS: 25}
    assert simulation.gates(25, lambda: gate(simulation.REGRESSION))[Outcome.FAIL] >= 23


def test_a_run_is_what_the_product_makes_of_its_attempts():
    found = simulation.read(DATA, "sanger_code-cushman-001-10")
    still = numpy.random.Generator(numpy.random.PCG64(1))
    simulated = simulation.measured(found, found.accepted, found.cost_j, still, 0.0, 1.0, "x")
    noise = numpy.exp(simulation.ATTEMPT_SD * numpy.random.Generator(numpy.random.PCG64(1)).standard_normal((164, 10)))
    records = [
        attempt(task, i, accepted=bool(ok), generation={"energy_j": float(joules)}, energy_j=0.0)
        for task, verdicts, costs in zip(found.tasks, found.accepted, found.cost_j * noise, strict=True)
        for i, (ok, joules) in enumerate(zip(verdicts, costs, strict=True))
    ]
    (own,) = account(records, UNIT_FACTORS, attempts_allowed=1).configurations
    quantities = subject_of(own, simulation.FIELDS, 1).quantities
    for name, quantity in simulated.quantities.items():
        assert quantity.value == pytest.approx(quantities[name].value)
        units = quantities[name].units
        assert all(pair == pytest.approx(units[task]) for task, pair in quantity.units.items())


def test_attempts_drawn_anew_are_the_set_s_own():
    rng = numpy.random.default_rng(8)
    found = simulation.read(DATA, "sanger_code-cushman-001-10")
    assert found.accepted.sum() == 461
    accepted, cost_j = simulation.drawn_anew(found, rng)
    for task in (0, 80, 163):
        own = set(zip(found.accepted[task].tolist(), found.cost_j[task].tolist(), strict=True))
        assert set(zip(accepted[task].tolist(), cost_j[task].tolist(), strict=True)) <= own
    means = [simulation.drawn_anew(found, rng)[0].mean() for _ in range(50)]
    assert sum(means) / 50 == pytest.approx(461 / 1640, abs=0.01)
