"""The estimators of "retry until accepted, at most k attempts", exact. Pure arithmetic on (n, c, k).

n attempts of a task, c of them accepted, drawn without replacement; every estimator here is unbiased.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

from .statistics import CONFIDENCE

Number = TypeVar("Number", Fraction, float)


@lru_cache(maxsize=1 << 16)
def pass_probability(n: int, c: int, k: int) -> Fraction:
    """P_k = 1 - C(n-c, k) / C(n, k), the unbiased estimate of pass@k (Chen et al. 2021). ValueError unless k <= n."""
    _check(n, c, k)
    return 1 - Fraction(math.comb(n - c, k), math.comb(n, k))


@lru_cache(maxsize=1 << 16)
def expected_attempts(n: int, c: int, k: int) -> Fraction:
    """A_k = (n+1)/(c+1) * [1 - C(n-c, k) / C(n+1, k)], attempts made on average. ValueError unless k <= n."""
    _check(n, c, k)
    # For c = 0 the formula gives k exactly, at the price of needless large integers.
    return Fraction(n + 1, c + 1) * (1 - Fraction(math.comb(n - c, k), math.comb(n + 1, k))) if c else Fraction(k)


def expected_cost(n: int, c: int, k: int, mean_accepted: Number, mean_failed: Number) -> Number:
    """C_k = (A_k - P_k) * mu_F + P_k * mu_P, in the unit of the means; linear in them, so parts add up exactly.

    `mean_accepted` and `mean_failed` are the mean costs of the task's accepted and failed attempts; where there are
    none the mean has weight 0 and may be anything, by convention 0. Fractions give a Fraction, floats a float.
    """
    passed = pass_probability(n, c, k)
    return (expected_attempts(n, c, k) - passed) * mean_failed + passed * mean_accepted


def lower_bound(mean_cost: float, attempts: int, confidence: float = CONFIDENCE) -> float:
    """The least cost per accepted solution that N attempts without one leave likely, in the unit of `mean_cost`.

    mean_cost / p, p the largest acceptance rate with (1 - p)^N >= 1 - confidence (Clopper & Pearson 1934).
    """
    return mean_cost / -math.expm1(math.log1p(-confidence) / attempts)


def _check(n: int, c: int, k: int) -> None:
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"need 0 <= c <= n and 1 <= k <= n, found n={n}, c={c}, k={k}")
