"""Idle power of the machine: how large, how steady, and whether it was the same before and after a run.

The idle baseline is subtracted from every window, so its error is common to all of them and no repetition removes it:
it has to be in the interval. A machine that warms up or gets a neighbour between the two measurements widens it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from statistics import fmean, stdev
from typing import TypeVar

from msgspec import Struct

from ..statistics import CONFIDENCE, Interval, student_t_quantile
from .window import Counter, EnergyWindow, machine_busy_cpu_s, package_j

R = TypeVar("R")

# Of idle power, how much may change and still not matter: the spread that Green Metrics Tool allows a control workload.
TOLERANCE = 0.01


class Baseline(Struct, frozen=True, kw_only=True):
    """Idle power over `windows` windows of `window_s` seconds each: mean and standard deviation between windows, W.

    `busy_cpus`: how many CPUs were busy on average meanwhile, of `cpus`; None where it is not known.
    `drift_w`: by how much the power changed between two measurements that were put together.
    `dropped`: windows without a valid energy, which are in nothing else.
    """

    mean_w: float
    sd_w: float
    windows: int
    window_s: float
    busy_cpus: float | None = None
    cpus: int | None = None
    drift_w: float = 0.0
    dropped: int = 0

    @property
    def error_w(self) -> float:
        """Standard error of the mean power while something else ran, W: sqrt(sd^2 / windows + drift^2 / 12).

        The second term takes the power then as anywhere between the two measurements, all values alike (GUM 4.3.7).
        """
        return math.sqrt(self.sd_w**2 / self.windows + self.drift_w**2 / 12)

    @property
    def noise_w_sqrt_s(self) -> float:
        """Density of the idle noise, W * sqrt(s): the standard deviation of a mean over T seconds is this / sqrt(T)."""
        return self.sd_w * math.sqrt(self.window_s)

    @property
    def busy_share(self) -> float | None:
        """The share of the machine's CPU capacity that was busy, 0 to 1."""
        return None if self.busy_cpus is None or not self.cpus else self.busy_cpus / self.cpus

    def noise_floor_j(self, duration_s: float) -> float:
        """Dynamic energy, J, below which one window of `duration_s` cannot be told from idling: 2 standard deviations.

        sqrt(noise^2 * T + (error * T)^2), the window's own noise and the baseline's error.
        """
        return 2 * math.hypot(self.noise_w_sqrt_s * math.sqrt(duration_s), self.error_w * duration_s)


def measure_baseline(
    counter: Counter[R],
    *,
    windows: int = 12,
    window_s: float = 5.0,
    joules: Callable[[EnergyWindow], float | None] = package_j,
    busy_cpu_s: Callable[[], float | None] = machine_busy_cpu_s,
    sleep: Callable[[float], None] = time.sleep,
    cpus: int | None = None,
) -> Baseline | None:
    """Idle power, from `windows` windows of `window_s` seconds in which this process sleeps.

    The default takes a minute, like Green Metrics Tool's baseline phase. For a dynamic power P and a precision eps it
    needs windows >= (1.96 * sd / (eps * P))^2, or the baseline's error alone is larger than asked.
    None where fewer than two windows were valid. ValueError for fewer than two windows or a duration not above 0.
    """
    if windows < 2 or not 0 < window_s < math.inf:
        raise ValueError(f"need at least 2 windows of more than 0 s, found {windows} of {window_s!r} s")
    powers: list[float] = []
    durations: list[float] = []
    busy_before = busy_cpu_s()
    for _ in range(windows):
        start = counter.align()
        sleep(window_s)
        window = counter.between(start, counter.align())
        energy_j = joules(window)
        if window.invalid is None and energy_j is not None and window.duration_s > 0:
            powers.append(energy_j / window.duration_s)
            durations.append(window.duration_s)
    busy_after = busy_cpu_s()
    if len(powers) < 2:
        return None
    busy_cpus = None
    # Over all windows, since the counter of CPU time is too coarse for single ones.
    if busy_before is not None and busy_after is not None and len(powers) == windows:
        busy_cpus = max(0.0, busy_after - busy_before) / math.fsum(durations)
    return Baseline(
        mean_w=fmean(powers),
        sd_w=stdev(powers),
        windows=len(powers),
        window_s=fmean(durations),
        busy_cpus=busy_cpus,
        cpus=cpus or os.cpu_count(),
        dropped=windows - len(powers),
    )


class Stability(Struct, frozen=True, kw_only=True):
    """Whether idle power was the same before and after, by Welch's t test and a tolerance.

    `change_w` is after - before, `interval_w` its interval. Not `stable` when the interval is wholly on one side of 0
    *and* the change is larger than `tolerance_w`: one alone is either noise or too little to matter. A stable verdict
    from few or noisy windows says little: `interval_w` tells what could have hidden in them.
    """

    stable: bool
    change_w: float
    interval_w: Interval
    tolerance_w: float
    confidence: float
    advice: str | None


def compare_baselines(
    before: Baseline, after: Baseline, *, tolerance_w: float | None = None, confidence: float = CONFIDENCE
) -> Stability:
    """The two measurements compared (Welch 1947); `tolerance_w` defaults to 1 % of the power before."""
    tolerance_w = TOLERANCE * before.mean_w if tolerance_w is None else tolerance_w
    change_w = after.mean_w - before.mean_w
    half_w = half_width(((before.error_w**2, before.windows - 1), (after.error_w**2, after.windows - 1)), confidence)
    low_w, high_w = change_w - half_w, change_w + half_w
    stable = low_w <= 0 <= high_w or abs(change_w) <= tolerance_w
    return Stability(
        stable=stable,
        change_w=change_w,
        interval_w=(low_w, high_w),
        tolerance_w=tolerance_w,
        confidence=confidence,
        advice=None
        if stable
        else f"Idle power went from {before.mean_w:.3g} W to {after.mean_w:.3g} W during the run, so a dynamic energy "
        "may be off by up to the difference times its duration. Let the machine settle (temperature, other processes, "
        "updates) and measure again, or take both baselines together: then the intervals include the change.",
    )


def pooled(before: Baseline, after: Baseline) -> Baseline:
    """One baseline for what ran between the two: the mean of both, its error widened by the change between them.

    Worth having even where the change is small: idle power never rests, and the mean of both follows it half-way.
    """
    windows = before.windows + after.windows
    busy_cpus = None
    if before.busy_cpus is not None and after.busy_cpus is not None:
        busy_cpus = (before.busy_cpus + after.busy_cpus) / 2
    return Baseline(
        # Of the two means, not of all windows: the run lay in the middle.
        mean_w=(before.mean_w + after.mean_w) / 2,
        # Such that sd^2 / windows is the variance of that mean.
        sd_w=math.sqrt((before.sd_w**2 / before.windows + after.sd_w**2 / after.windows) / 4 * windows),
        windows=windows,
        window_s=(before.window_s + after.window_s) / 2,
        busy_cpus=busy_cpus,
        cpus=before.cpus,
        drift_w=math.hypot(after.mean_w - before.mean_w, before.drift_w, after.drift_w),
        dropped=before.dropped + after.dropped,
    )


def half_width(variances: tuple[tuple[float, float], ...], confidence: float) -> float:
    """Half the interval of a sum of independent parts, given each one's (variance, degrees of freedom).

    Student's t on the effective number of degrees (Welch 1947, Satterthwaite 1946).
    """
    variance = math.fsum(v for v, _ in variances)
    if not variance > 0:
        return 0.0
    # Shares, not the variances themselves: squares of tiny variances would underflow.
    df = 1 / math.fsum((v / variance) ** 2 / degrees for v, degrees in variances)
    return student_t_quantile((1 + confidence) / 2, max(df, 1.0)) * math.sqrt(variance)
