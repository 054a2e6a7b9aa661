"""Student's t against known values, and whether the intervals cover what they promise."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode.statistics import (
    difference_interval,
    guarded_mean_interval,
    influence_interval,
    log_influences,
    mean_interval,
    noise_interval,
    ratio_interval,
    share_interval,
    student_t_quantile,
)


@pytest.mark.parametrize(
    ("p", "df", "expected"),
    [
        (0.95, 3, 2.353363434801823),
        (0.975, 3, 3.182446305283709),
        (0.975, 5, 2.570581835636314),
        (0.975, 10, 2.228138851986274),
        (0.995, 10, 3.169272672616951),
        (0.975, 30, 2.042272456301238),
        (0.95, 30, 1.697260886593957),
        (0.975, 100, 1.983971518523552),
    ],
)
def test_quantiles_of_the_table(p, df, expected):
    assert student_t_quantile(p, df) == pytest.approx(expected, rel=1e-9)
    assert student_t_quantile(1 - p, df) == pytest.approx(-expected, rel=1e-9)


@pytest.mark.parametrize("p", [0.5000001, 0.6, 0.75, 0.9, 0.975, 0.999, 1 - 1e-9])
def test_quantiles_in_closed_form(p):
    a = 4 * p * (1 - p)
    assert student_t_quantile(p, 1) == pytest.approx(1 / math.tan(math.pi * (1 - p)), rel=1e-9, abs=1e-15)
    assert student_t_quantile(p, 2) == pytest.approx((2 * p - 1) * math.sqrt(2 / a), rel=1e-9)


@pytest.mark.parametrize("df", [2, 4, 10, 30, 100])
@pytest.mark.parametrize("p", [0.51, 0.8, 0.975, 0.9999])
def test_quantile_inverts_the_series_for_even_df(p, df):
    """Abramowitz & Stegun 26.7.4."""
    angle = math.atan(student_t_quantile(p, df) / math.sqrt(df))
    term = total = 1.0
    for j in range(1, df // 2):
        term *= (2 * j - 1) / (2 * j) * math.cos(angle) ** 2
        total += term
    assert math.sin(angle) * total == pytest.approx(2 * p - 1, abs=1e-13)


@pytest.mark.parametrize("df", [1.5, 7, 29.9, 60.1, 163, 5000])
def test_quantile_inverts_the_density(df):
    t = student_t_quantile(0.975, df)
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    steps = 4000
    heights = [scale * (1 + (t * i / steps) ** 2 / df) ** (-(df + 1) / 2) for i in range(steps + 1)]
    simpson = t / steps / 3 * (heights[0] + 4 * sum(heights[1::2]) + 2 * sum(heights[2:-1:2]) + heights[-1])
    assert simpson == pytest.approx(0.475, abs=1e-10)


def test_quantile_joins_the_normal_one():
    assert student_t_quantile(0.5, 3) == 0
    assert student_t_quantile(0.975, 99_999) == pytest.approx(student_t_quantile(0.975, 100_001), rel=1e-9)
    assert student_t_quantile(0.975, 1e12) == pytest.approx(1.959963984540054, rel=1e-11)
    assert student_t_quantile(1 - 1e-12, 1) == pytest.approx(1 / math.tan(math.pi * 1e-12), rel=1e-3)


@pytest.mark.parametrize(("p", "df"), [(0, 5), (1, 5), (-1, 5), (math.nan, 5), (0.9, 0), (0.9, math.nan)])
def test_quantile_refuses(p, df):
    with pytest.raises(ValueError, match="need 0 < p < 1"):
        student_t_quantile(p, df)


def test_ratio_interval_by_hand():
    low, high = ratio_interval([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    # R = 2, d = (-1, 0, 1), se(log R) = sqrt(3/2 * 2) / 6
    half = student_t_quantile(0.975, 2) * math.sqrt(3) / 6
    assert (low, high) == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))


def test_no_interval():
    assert ratio_interval([1.0], [1.0]) is None
    assert ratio_interval([0.0, 0.0], [1.0, 1.0]) is None
    assert ratio_interval([1.0, 1.0], [0.0, 0.0]) is None
    assert noise_interval(0.0, 1.0, [1.0], [1]) is None
    assert noise_interval(1.0, 1.0, [], []) is None
    assert noise_interval(1.0, 1.0, [1e9], [1]) is None
    assert noise_interval(3.0, 2.0, [0.0, 0.0], [1, 1]) == (1.5, 1.5)
    with pytest.raises(ValueError, match="zip"):
        ratio_interval([1.0], [])


def test_the_interval_over_tasks_covers():
    """Tasks drawn anew each time: pass rate ~ Beta(2, 2), harder ones dearer, E[cost] / E[pass] = 2 / (1/2) = 4."""
    rng = random.Random(20261121)
    trials, tasks, attempts = 1200, 25, 4
    covered = 0
    for _ in range(trials):
        costs, passes = [], []
        for _ in range(tasks):
            p = rng.betavariate(2, 2)
            costs.append(sum((3 - 2 * p) * rng.gammavariate(2, 0.5) for _ in range(attempts)) / attempts)
            passes.append(sum(rng.random() < p for _ in range(attempts)) / attempts)
        interval = ratio_interval(costs, passes)
        covered += interval is not None and interval[0] <= 4 <= interval[1]
    assert 0.92 <= covered / trials <= 0.98


def test_a_guarded_mean_reaches_what_was_not_drawn():
    low, high = guarded_mean_interval([1.0] * 20, 1.0, 100.0)
    assert low == 1.0
    assert 1 + 99 / 21 < high < 100
    assert guarded_mean_interval([], 0, 1) is None
    values = [1.0, 2.0, 3.0, 50.0]
    shifted = guarded_mean_interval([value + 7 for value in values], 8, 60)
    assert shifted == pytest.approx([end + 7 for end in guarded_mean_interval(values, 1, 53)])


def test_mean_interval_by_hand():
    half = student_t_quantile(0.975, 2) / math.sqrt(3)
    assert mean_interval([1.0, 2.0, 3.0]) == pytest.approx((2 - half, 2 + half))
    assert mean_interval([2.0, 2.0]) == (2.0, 2.0)
    assert mean_interval([1.0]) is None


def test_influences_make_the_same_interval():
    numerators, denominators = [1.0, 2.0, 5.0], [0.5, 1.0, 0.75]
    influences = log_influences(numerators, denominators)
    assert math.fsum(influences) == pytest.approx(0, abs=1e-15)
    assert influence_interval(8 / 2.25, influences) == pytest.approx(ratio_interval(numerators, denominators))
    assert log_influences([1.0], [0.0]) is log_influences([0.0], [1.0]) is None
    assert influence_interval(1.0, [0.0]) is None
    assert influence_interval(2.0, [0.0, 0.0]) == (2, 2)


@pytest.mark.parametrize(("won", "lost", "neither"), [(0, 0, 10), (3, 1, 6), (12, 0, 8), (0, 20, 0)])
def test_differences_of_zero_and_one_by_the_four_cells(won, lost, neither):
    """Bonett & Price 2012: one is added to either cell that disagrees; here with Student's t."""
    m = won + lost + neither
    p, q = (won + 1) / (m + 2), (lost + 1) / (m + 2)
    half = student_t_quantile(0.975, m - 1) * math.sqrt((p + q - (p - q) ** 2) / (m + 2))
    found = difference_interval([1.0] * won + [-1.0] * lost + [0.0] * neither)
    assert found == pytest.approx((max(p - q - half, -1), min(p - q + half, 1)))
    assert found[0] <= (won - lost) / m <= found[1]


def test_differences_without_pairs():
    assert difference_interval([]) is None
    assert difference_interval([0.5]) == (-1, 1)


@pytest.mark.parametrize("m", [10, 20, 50, 164, 1000])
def test_a_share_of_everything_is_bounded_as_by_clopper_and_pearson(m):
    exact = 0.05 ** (1 / m)
    low, high = share_interval([1.0] * m, [1.0] * m, 0.9)
    assert high == 1
    assert abs((1 - low) / (1 - exact) - 1) < 0.12
    assert share_interval([0.0] * m, [1.0] * m, 0.9) == pytest.approx((0, 1 - low))


def test_shares():
    parts, wholes = [0.0, 0.25, 0.5, 0.0] * 5, [0.25, 0.5, 0.5, 1.0] * 5
    low, high = share_interval(parts, wholes)
    assert 0 < low < 1 / 3 < high < 1
    opposite = share_interval([whole - part for part, whole in zip(parts, wholes, strict=True)], wholes)
    assert opposite == pytest.approx((1 - high, 1 - low))
    assert share_interval([], []) is share_interval([0.0], [0.0]) is None
    assert share_interval([1.0], [1.0]) == (0, 1)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_a_share_is_in_its_interval(pairs):
    wholes = [whole for _, whole in pairs]
    parts = [share * whole for share, whole in pairs]
    if found := share_interval(parts, wholes):
        assert 0 <= found[0] <= found[1] <= 1
        assert found[0] - 1e-12 <= math.fsum(parts) / math.fsum(wholes) <= found[1] + 1e-12


@pytest.mark.parametrize("p", [0.6, 0.95])
def test_the_bound_of_a_share_holds(p):
    """One attempt at each of 30 tasks; a plain t interval has no bound where all pass, and then says 1."""
    rng = random.Random(3)
    held = 0
    for _ in range(1500):
        passed = [float(rng.random() < p) for _ in range(30)]
        held += share_interval(passed, [1.0] * 30, 0.9)[0] <= p
    assert held / 1500 >= 0.94
