"""Every formula that `--explain` prints is right as it is printed: the tests calculate it."""

import math
import re

import pytest
from builders import FACTORS, attempt

from pytest_greencode.accounting import account
from pytest_greencode.pricing import Pricing
from pytest_greencode.reports.explain import explain

RECORDS = [
    attempt(
        f"HumanEval/{t}", i, accepted=(t + i) % 3 == 0, energy_j=0.1 * (t + 1), generation={"energy_j": 10.0 + t + i}
    )
    for t in range(12)
    for i in range(4)
]


def lines(records, task_id=None, width=80, **arguments):
    (configuration,) = account(records, FACTORS, **arguments).configurations
    return configuration, list(explain(configuration, records, Pricing(FACTORS), task_id=task_id, width=width))


def calculated(text):
    """(value of the formula, value behind its equals sign) of everything that is a formula of numbers alone."""
    plain = re.sub(r"\([^()=]*(?:\([a-z]+\)[^()=]*)?= ([0-9.e+-]+) s\)", r"\1", text)  # (4 years = 126144000 s)
    plain = re.sub(r"\([a-z][^()]*\)|\[[^]]*[a-zA-Z][^]]*\]|PUE ", "", plain)
    plain = re.sub(r"(?<=\d) (?:W|g/kWh|J|s|g|attempts|of it|accepted)\b", "", plain)
    for formula, value in re.findall(r"([-+0-9.e/ x]*[0-9]) = ([0-9][0-9.e+-]*)", plain):
        if re.search("[-+x/]", formula):
            yield eval(formula.replace("x", "*").strip(" *")), float(value)


@pytest.mark.parametrize(
    "recorded", [{}, {"duration_s": 2.0, "batch_size": 64, "gpu_count": 2}, {"pue_included": True}]
)
def test_formulas_with_their_numbers_give_what_is_behind_the_equals_sign(recorded):
    records = [attempt("HumanEval/0", i, accepted=i == 1, generation=recorded) for i in range(3)]
    configuration, shown = lines(records, "HumanEval/0", width=10_000)
    pairs = [pair for line in shown for pair in calculated(line)]
    assert len(pairs) >= 3 * 4
    for found, printed in pairs:
        assert found == pytest.approx(printed, rel=1e-4)
    # Three attempts, one of them accepted, and k = 3.
    assert any(line.strip().startswith("P_k = 1 - C(2, 3) / C(3, 3) = 1") for line in shown)
    assert any("A_k = (3 + 1) / (1 + 1) x [1 - C(2, 3) / C(4, 3)] = 2 attempts" in line for line in shown)
    assert f"= {configuration.per_accepted.co2e_g:.6g} g" in "\n".join(shown)


def test_the_whole_configuration():
    configuration, shown = lines(RECORDS, width=10_000)
    text = "\n".join(shown)
    headline = configuration.per_accepted
    low, high = headline.interval
    assert f"{low:.6g} to {high:.6g} g" in text
    assert f"= {configuration.retry[4].correctness_coefficient:.6g} attempts per accepted solution" in text
    assert "(the first, as an example)" in text
    band = headline.systematic
    assert f"{band.p5:.6g} to {band.p95:.6g} g" in text
    parts = re.search(r"of this: (.*)", text)[1]
    assert math.fsum(float(x) for x in re.findall(r"([0-9.e-]+) g", parts)) == pytest.approx(headline.co2e_g, rel=1e-5)


def test_lines_are_as_wide_as_asked():
    _, shown = lines(RECORDS)
    assert max(map(len, shown)) <= 80


def test_what_is_unknown_is_said():
    records = [attempt("a", generation={"energy_j": None}), attempt("b", energy_j=None, reading=None)]
    _, shown = lines(records, "a", width=10_000)
    text = "\n".join(shown)
    assert "generation: energy not recorded, so its grams are unknown (not 0)" in text
    assert "embodied, generation: unknown" in text
    assert "unknown: generation energy missing for 1 of 2 attempts" in text
    _, shown = lines(records, "b", width=10_000)
    assert any("execution: no energy known" in line for line in shown)


def test_none_accepted_has_its_lower_bound():
    configuration, shown = lines([attempt("a", i, accepted=False) for i in range(5)], width=10_000)
    text = "\n".join(shown)
    assert f"at least mean cost / (1 - 0.05^(1/N)) = {configuration.per_accepted.lower_bound_co2e_g:.6g} g" in text


def test_a_chain_is_what_the_log_says():
    records = [attempt("a", i, accepted=i == 1, extra={"chain": True}) for i in range(2)]
    configuration, shown = lines(records, width=10_000)
    assert f"= {configuration.per_accepted.co2e_g:.6g} g" in "\n".join(shown)


def test_hostile_names_are_escaped():
    _, shown = lines([attempt("a\x1b[31m", model="m\r\n\u202e")], "a\x1b[31m")
    assert all(line.isprintable() for line in shown)
