"""The band of what all attempts have in common: by enumeration where that is possible, and its own promises."""

import math

import pytest
from builders import attempt, machine
from builders import grid as grid_of
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.accounting import account
from pytest_greencode.model import OWN_GRID, Factors, Method
from pytest_greencode.uncertainty import Factor, Term, band, embodied, energy, grid, pue, ratio_band

GRID, OTHER = grid_of(400.0, "DEU"), grid_of(50.0, "FRA")
MACHINE = machine(
    "H100",
    embodied_g=300e3,
    embodied_low_g=164e3,
    embodied_high_g=575e3,
    lifetime_s=4.0,
    lifetime_low_s=3.0,
    lifetime_high_s=6.0,
    power_w=700.0,
)


def test_one_log_normal_factor_has_the_quantiles_it_promises():
    found = band([Term(100.0, (grid(GRID),))])
    assert found.p50 == pytest.approx(100, rel=0.01)
    assert (found.p5, found.p95) == (pytest.approx(100 / 1.1, rel=0.01), pytest.approx(110, rel=0.01))
    assert found.spans["grid DEU"] == (pytest.approx(100 / 1.1), pytest.approx(110))


def test_a_uniform_overhead():
    factor = pue("generation", 1.5)
    assert [factor.at(q) for q in (0, 0.5, 1)] == pytest.approx([1.25 / 1.5, 1, 1.75 / 1.5])
    assert [pue("here", 1.0).at(q) for q in (0, 1)] == [1, 1]


def test_embodied_ranges_are_those_of_the_sources():
    total, lifetime = embodied(MACHINE, "generation")
    assert [total.at(q) * 300 for q in (0, 1)] == pytest.approx([164, 575])
    assert total.at(0.5) * 300 == pytest.approx(math.sqrt(164 * 575))
    # A lifetime of 6 instead of 4 makes a second cost two thirds.
    assert [lifetime.at(q) for q in (0, 1)] == pytest.approx([4 / 6, 4 / 3])


def test_what_a_measurement_and_an_estimate_are_worth():
    measured, estimated = energy("x", Method.MEASURED), energy("x", Method.ESTIMATED)
    assert (measured.at(0.95), estimated.at(0.95)) == (pytest.approx(1.1), pytest.approx(2.0))
    assert energy("x", Method.ATTRIBUTED).at(0.05) == pytest.approx(0.5)


def test_a_sum_of_two_factors_against_numbers_drawn_otherwise():
    # Two uniform factors of equal weight: the sum has a triangular distribution, whose quantiles are known.
    uniform = [Factor(name, lambda q: 0.5 + q) for name in ("a", "b")]
    found = band([Term(1.0, (uniform[0],)), Term(1.0, (uniform[1],))])
    assert found.p50 == pytest.approx(2.0, abs=0.03)
    assert (found.p5, found.p95) == (
        pytest.approx(1 + math.sqrt(0.1), abs=0.04),
        pytest.approx(3 - math.sqrt(0.1), abs=0.04),
    )


def test_the_same_factor_twice_moves_together_and_leaves_a_ratio():
    one, other = Term(3.0, (grid(GRID),)), Term(2.0, (grid(GRID),))
    assert band([one, other]).p95 == pytest.approx(band([Term(5.0, (grid(GRID),))]).p95)
    ratio = ratio_band([one], [other])
    assert (ratio.p5, ratio.p95) == (pytest.approx(1.5), pytest.approx(1.5))
    apart = ratio_band([one], [Term(2.0, (grid(OTHER),))])
    assert apart.p5 < 1.4 < 1.6 < apart.p95


def test_what_only_bears_the_same_name_does_not_leave_a_ratio():
    one, other = (energy("x", Method.ESTIMATED, source) for source in ("meter", "guess"))
    assert ratio_band([Term(3.0, (one,))], [Term(2.0, (one,))]).spans == {}
    apart = ratio_band([Term(3.0, (one,))], [Term(2.0, (other,))])
    # Two log-normal factors of 2 each: sqrt(2) times as wide in the logarithm.
    width = 2 ** math.sqrt(2)
    assert (apart.p5, apart.p95) == (pytest.approx(1.5 / width, rel=0.06), pytest.approx(1.5 * width, rel=0.06))
    assert apart.spans == {"energy of x (estimated)": (pytest.approx(0.75), pytest.approx(3.0))}
    # Within one configuration a name is one factor.
    both = band([Term(1.0, (one,)), Term(1.0, (other,))])
    assert both.p95 == pytest.approx(band([Term(2.0, (one,))]).p95)


terms = st.lists(
    st.tuples(
        st.floats(0.001, 1e6),
        st.sets(
            st.sampled_from([grid(GRID), grid(OTHER), pue("x", 1.2), *embodied(MACHINE, "generation")]), max_size=4
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(terms, st.floats(0.01, 100))
def test_a_band_is_ordered_repeatable_and_scales(parts, scale):
    made = [Term(value, tuple(factors)) for value, factors in parts]
    found = band(made)
    assert found.p5 <= found.p50 <= found.p95
    assert found == band(made)
    bigger = band([Term(term.value * scale, term.factors) for term in made])
    assert bigger.p95 == pytest.approx(found.p95 * scale)
    total = math.fsum(term.value for term in made)
    assert all(low <= total * (1 + 1e-12) and total <= high * (1 + 1e-12) for low, high in found.spans.values())


def record(task, method=Method.MEASURED):
    return attempt(task, generation={"energy_method": method})


def test_the_headline_s_band_names_what_moves_it_most_first():
    factors = Factors(
        generation=GRID,
        execution=GRID,
        generation_pue=1.2,
        generation_machine=MACHINE,
        execution_machine=replace(MACHINE, name="server", embodied_g=9e5, lifetime_s=1.2e8, threads=64),
    )
    (configuration,) = account([record("a")], factors).configurations
    found = configuration.per_accepted.systematic
    assert found.p5 < configuration.per_accepted.co2e_g < found.p95
    widths = [high - low for low, high in found.spans.values()]
    assert widths == sorted(widths, reverse=True)
    assert {"grid DEU", "PUE of generation", "energy of generation (measured)", "power of H100"} <= set(found.spans)
    (guessed,) = account([record("a", method=Method.ESTIMATED)], factors).configurations
    wider = guessed.per_accepted.systematic
    assert wider.p95 / wider.p5 > found.p95 / found.p5


def test_two_machines_of_the_user_have_each_its_own_range():
    own = replace(MACHINE, name=OWN_GRID)
    exact = replace(own, embodied_low_g=own.embodied_g, embodied_high_g=own.embodied_g)
    alone = band([Term(1.0, embodied(own, "generation"))])
    beside = band([Term(1.0, embodied(own, "generation")), Term(1e-9, embodied(exact, "execution"))])
    assert (beside.p5, beside.p95) == (pytest.approx(alone.p5), pytest.approx(alone.p95))
