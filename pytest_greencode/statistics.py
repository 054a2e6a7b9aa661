"""Student's t, and intervals for a mean, for a ratio of sums, for shares and for differences. Standard library only.

Two questions, two intervals (the metric's section "Intervals"): `ratio_interval` treats tasks as the sample of "tasks
like these"; `noise_interval` takes the tasks as given and asks only for the sampling noise of their attempts.

Pairs (two costs per accepted solution on the same tasks) go by influences: what each task adds to the error of a
logarithm. Influences of several ratios on the same tasks are added or subtracted task by task, and the sum has its
interval by `influence_interval`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

CONFIDENCE = 0.95

Interval = tuple[float, float]

_SMALLEST_TAIL = 1e-100
_LARGE_DF = 1e5


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Confidence interval of the mean of independent values, in their unit: mean -+ t * s / sqrt(m), t on m-1 degrees.

    None for fewer than two values (Student 1908).
    """
    m = len(values)
    if m < 2:
        return None
    mean = math.fsum(values) / m
    squares = math.fsum((value - mean) ** 2 for value in values)
    half = student_t_quantile((1 + confidence) / 2, m - 1) * math.sqrt(squares / (m - 1) / m)
    return mean - half, mean + half


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], confidence: float = CONFIDENCE
) -> Interval | None:
    """Confidence interval of sum(numerators) / sum(denominators), whose pairs are independent clusters.

    Delta method on the logarithm, Student's t on m-1 degrees of freedom: with d_t = C_t - R*P_t,
    se(log R) = sqrt(m/(m-1) * sum d_t^2) / (R * sum P_t)  (Miller 2024, clustered errors; Fieller 1954 for the ratio).
    None where the ratio is not positive or there are fewer than two pairs. ValueError when the lengths differ.
    """
    influences = log_influences(numerators, denominators)
    if influences is None:
        return None
    return influence_interval(math.fsum(numerators) / math.fsum(denominators), influences, confidence)


def log_influences(numerators: Sequence[float], denominators: Sequence[float]) -> list[float] | None:
    """What each pair adds to the error of log(sum(numerators) / sum(denominators)): (C_t - R*P_t) / sum C.

    They add up to 0. None where the ratio is not positive. ValueError when the lengths differ.
    """
    pairs = list(zip(numerators, denominators, strict=True))
    total, weight = math.fsum(numerators), math.fsum(denominators)
    if total <= 0 or weight <= 0:
        return None
    ratio = total / weight
    return [(numerator - ratio * denominator) / total for numerator, denominator in pairs]


def influence_interval(ratio: float, influences: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Confidence interval of a positive `ratio`, given each cluster's influence on its logarithm.

    se(log ratio) = sqrt(m/(m-1) * sum z_t^2), Student's t on m-1 degrees of freedom. None for fewer than two clusters.
    """
    m = len(influences)
    if m < 2:
        return None
    error = math.sqrt(m / (m - 1) * math.fsum(z * z for z in influences))
    return _log_interval(ratio, error, m - 1, confidence)


def difference_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Confidence interval of the mean of paired differences of probabilities, each in [-1, 1].

    Two pairs are added, one won by either side (for differences of 0 and 1 this is Bonett & Price 2012), then mean -+
    t * sd / sqrt(m + 2). Without them pairs that all agree would have an interval of width 0, however few they are.
    None where there are no pairs.
    """
    m = len(differences)
    if not m:
        return None
    mean = math.fsum(differences) / (m + 2)
    variance = (math.fsum(difference * difference for difference in differences) + 2) / (m + 2) - mean * mean
    half = student_t_quantile((1 + confidence) / 2, max(m - 1, 1)) * math.sqrt(variance / (m + 2))
    return max(mean - half, -1.0), min(mean + half, 1.0)


def share_interval(parts: Sequence[float], wholes: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """Confidence interval of sum(parts) / sum(wholes), 0 <= part <= whole <= 1, whose pairs are independent clusters.

    Either end is that of the linearised ratio (se = sqrt(m/(m-1) * sum d_t^2) / sum wholes, Student's t) with one
    cluster added that speaks against it: (0, 1) for the lower, (1, 1) for the upper. Where all parts are 0 or all are
    whole, the end is close to Clopper & Pearson's, while without it the width would be 0. None without a whole.
    ValueError when the lengths differ.
    """
    pairs = list(zip(parts, wholes, strict=True))
    if not math.fsum(wholes) > 0:
        return None
    t = student_t_quantile((1 + confidence) / 2, len(pairs))
    low, high = (_shifted([*pairs, (worst, 1.0)], side * t) for worst, side in ((0.0, -1), (1.0, 1)))
    return max(low, 0.0), min(high, 1.0)


def guarded_mean_interval(
    values: Sequence[float], least: float, most: float, confidence: float = CONFIDENCE
) -> Interval | None:
    """Confidence interval of the mean of independent values, in their unit, some of which may be rare and large.

    As in `share_interval`, either end is that of the mean with one value added that speaks against it: `least` for the
    lower, `most` for the upper; Student's t. None where there are no values.
    """
    m = len(values)
    if not m:
        return None
    t = student_t_quantile((1 + confidence) / 2, m)
    ends = []
    for extra, side in ((least, -1), (most, 1)):
        mean = (math.fsum(values) + extra) / (m + 1)
        squares = math.fsum((value - mean) ** 2 for value in (*values, extra))
        ends.append(mean + side * t * math.sqrt(squares / m / (m + 1)))
    return ends[0], ends[1]


def _shifted(pairs: Sequence[tuple[float, float]], errors: float) -> float:
    """The ratio of sums, moved by `errors` times its standard error."""
    m, weight = len(pairs), math.fsum(whole for _, whole in pairs)
    ratio = math.fsum(part for part, _ in pairs) / weight
    squares = math.fsum((part - ratio * whole) ** 2 for part, whole in pairs)
    return ratio + errors * math.sqrt(m / (m - 1) * squares) / weight


def noise_interval(
    numerator: float,
    denominator: float,
    variances: Sequence[float],
    degrees: Sequence[int],
    confidence: float = CONFIDENCE,
) -> Interval | None:
    """Confidence interval of numerator / denominator, given what each task adds to the variance of the residual.

    `variances[t]` is the variance of C_t - R*P_t, known with `degrees[t]` degrees of freedom; Student's t takes their
    effective number (Welch 1947, Satterthwaite 1946). None where the ratio is not positive or no variance is known.
    """
    if numerator <= 0 or denominator <= 0 or not variances:
        return None
    variance = math.fsum(variances)
    # Shares, not the variances themselves: squares of tiny variances would underflow.
    spread = [(v / variance) ** 2 / d for v, d in zip(variances, degrees, strict=True)] if variance > 0 else []
    return _log_interval(
        numerator / denominator, math.sqrt(variance) / numerator, 1 / math.fsum(spread) if spread else 1, confidence
    )


def _log_interval(ratio: float, log_error: float, df: float, confidence: float) -> Interval | None:
    half = student_t_quantile((1 + confidence) / 2, max(df, 1.0)) * log_error
    # Beyond this the interval says nothing and exp() would soon overflow.
    return (ratio * math.exp(-half), ratio * math.exp(half)) if half < 100 else None


@lru_cache(maxsize=1024)
def student_t_quantile(p: float, df: float) -> float:
    """The t with P(T <= t) = p for Student's distribution with `df` degrees of freedom, to about 1e-12 relative.

    `p` lies strictly between 0 and 1 (tails down to 1e-100), `df` >= 1 and need not be whole. ValueError otherwise.
    Sources: tail by the incomplete beta function, DLMF 8.17.22; large `df` by Abramowitz & Stegun 26.7.5.
    """
    tail = min(p, 1 - p)
    if not (tail >= _SMALLEST_TAIL and df >= 1):
        raise ValueError(f"need 0 < p < 1 and df >= 1, found p={p!r}, df={df!r}")
    if p == 0.5:
        return 0.0
    if df >= _LARGE_DF:
        z = NormalDist().inv_cdf(p)
        return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df * df)
    low, high = 0.0, 1.0
    while _upper_tail(high, df) > tail:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        if _upper_tail(middle, df) > tail:
            low = middle
        else:
            high = middle
    return math.copysign(high, p - 0.5)


def _upper_tail(t: float, df: float) -> float:
    """P(T > t) for t >= 0: half of I_x(df/2, 1/2) at x = df / (df + t^2)."""
    a = df / 2
    square = t * t
    x, y = df / (df + square), square / (df + square)
    if y == 0:
        return 0.5
    front = math.exp(-a * math.log1p(square / df) + math.log(y) / 2 + _log_gamma_step(a)) / math.sqrt(math.pi)
    if x < (a + 1) / (a + 2.5):
        return front * _beta_fraction(x, a, 0.5) / a / 2
    return (1 - front * _beta_fraction(y, 0.5, a) / 0.5) / 2


def _log_gamma_step(a: float) -> float:
    """log(gamma(a + 1/2) / gamma(a)); by its asymptotic series where the difference of two lgamma would cancel."""
    if a < 30:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return math.log(a) / 2 - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of the incomplete beta function, by the modified Lentz method."""
    tiny = 1e-300
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or tiny)
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d or tiny)
            c = 1 + term / c or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value
