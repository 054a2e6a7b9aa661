"""The systematic band: how far the headline would move with the factors that all attempts have in common.

Grid, PUE, sensor scale and embodied totals are the same for every attempt: more tasks do not narrow this band, and it
is kept apart from the intervals of sampling. Drawn by Monte Carlo with a fixed seed. In a ratio, two configurations
that share a factor, by name and source, share its draws, and the factor leaves their ratio.

The ranges, as 5th and 95th percentile unless said otherwise:
    grid intensity        log-normal, a tenth more or less
    PUE                   its overhead (PUE - 1) times 0.5 to 1.5, uniform
    energy                log-normal, by method: measured a tenth, else twice or half (a share by CPU time is no share
                          of power, Kepler's documentation: 2 to 3 times; estimates of GPU energy against measurements:
                          0.45 to 2.59 times)
    embodied total (TE)   log-uniform over the range in which sources differ (`Machine`)
    lifetime (EL)         uniform over its range
    power, where it tells the time  log-normal, half as much or one and a half times
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from .model import OWN_GRID, AttemptRecord, Intensity, Machine, Method
from .pricing import Pricing, device_seconds
from .provenance import Provenance

DRAWS = 2000
SEED = 20250330

_Z95 = 1.6448536269514722
_GRID = 1.1
_POWER = 1.5
_ENERGY = {Method.MEASURED: 1.1}
_ENERGY_ELSE = 2.0
# A factor that moves a ratio by less than sums round has left it.
_ROUNDING = 1e-9


class Band(Struct, frozen=True, kw_only=True):
    """5th, 50th and 95th percentile, in the unit of the figure; `spans`: the ends with one factor moved alone."""

    p5: float
    p50: float
    p95: float
    spans: Mapping[str, tuple[float, float]]
    draws: int = DRAWS
    seed: int = SEED


class Factor(Struct, frozen=True):
    """One uncertain factor as a multiplier of 1: its name, and the multiplier at a quantile between 0 and 1.

    `source`: which grid, meter or site it is of. Two of one name and different sources are wrong independently.
    """

    name: str
    at: Callable[[float], float]
    source: str = ""

    @property
    def key(self) -> str:
        return f"{self.name}\0{self.source}" if self.source else self.name


class Term(Struct, frozen=True):
    """One part of a figure with the factors that multiply it."""

    value: float
    factors: tuple[Factor, ...]


def systematic_terms(
    parts_g: Mapping[str, float],
    counted: Sequence[AttemptRecord],
    pricing: Pricing,
    origins: Mapping[str, Provenance],
) -> list[Term]:
    """Grams per accepted solution (`parts_g`, keys PARTS) with what makes each part uncertain.

    Where the records name several grids or devices, the one of most attempts stands for all.
    """
    factors = pricing.factors
    terms = []
    made, ran = origins["energy_j.generation"], origins["energy_j.execution"]
    # Sensors of two kinds of device are two sensors, by whatever program they are read.
    devices = sorted({r.generation.gpu_model or "" for r in counted if r.generation is not None})
    made_energy = energy("generation", made.method, f"{made.source} {devices}")
    run_energy = energy("execution", ran.method, ran.source)
    included = all(record.generation is not None and record.generation.pue_included for record in counted)
    site = _commonest(map(pricing.generation_intensity, counted)) or factors.generation
    overhead = () if included else (pue("generation", factors.generation_pue, site.region),)
    terms.append(Term(parts_g["generation"], (made_energy, grid(site), *overhead)))
    there = factors.execution
    of_execution = (run_energy, grid(there), pue("execution", factors.execution_pue, there.region))
    terms.append(Term(parts_g["execution"], of_execution))
    device = _commonest(map(pricing.generation_machine, counted))
    if device is not None:
        reserved = (device_seconds(r.generation, device) for r in counted if r.generation is not None)
        from_energy = any(each is not None and each[1] is Method.ESTIMATED for each in reserved)
        timed = (made_energy, power(device, "generation")) if from_energy else ()
        terms.append(Term(parts_g["embodied_generation"], (*embodied(device, "generation"), *timed)))
    if factors.execution_machine is not None:
        terms.append(Term(parts_g["embodied_execution"], embodied(factors.execution_machine, "execution")))
    return terms


Found = TypeVar("Found")


def _commonest(found: Iterable[Found]) -> Found | None:
    counts = Counter(found)
    return counts.most_common(1)[0][0] if counts else None


def grid(intensity: Intensity) -> Factor:
    return Factor(f"grid {intensity.region}", _log_normal(_GRID), f"{intensity.g_per_kwh!r}")


def pue(site: str, value: float, region: str = "") -> Factor:
    return Factor(f"PUE of {site}", lambda q: (1 + (value - 1) * (0.5 + q)) / value, region)


def energy(site: str, method: Method, source: str = "") -> Factor:
    return Factor(f"energy of {site} ({method.value})", _log_normal(_ENERGY.get(method, _ENERGY_ELSE)), source)


def embodied(machine: Machine, site: str) -> tuple[Factor, Factor]:
    """Its total and its lifetime."""
    name = _name(machine, site)
    low, high, middle = machine.embodied_low_g, machine.embodied_high_g, machine.embodied_g
    shortest, longest, usual = machine.lifetime_low_s, machine.lifetime_high_s, machine.lifetime_s
    return (
        Factor(f"embodied total of {name}", lambda q: low / middle * (high / low) ** q if low > 0 else 1.0),
        # Falling, so that a higher quantile is a higher cost here too.
        Factor(f"lifetime of {name}", lambda q: usual / (longest + q * (shortest - longest))),
    )


def _name(machine: Machine, site: str) -> str:
    """A machine of the table is the same at both sites; the user's own may be two."""
    return f"the machine of {site}" if machine.name == OWN_GRID else machine.name


def power(machine: Machine, site: str) -> Factor:
    return Factor(f"power of {_name(machine, site)}", _log_normal(_POWER))


def band(terms: Sequence[Term]) -> Band:
    """The band of the sum of the terms. Factors of one name are one factor."""
    single = [Term(term.value, tuple(replace(factor, source="") for factor in term.factors)) for term in terms]
    factors = _factors(single)
    spans = {factor.name: (_moved(single, factor, 0.05), _moved(single, factor, 0.95)) for factor in factors}
    return _band(_values(single, _drawn(factors)), spans)


def ratio_band(numerator: Sequence[Term], denominator: Sequence[Term]) -> Band:
    """The band of the ratio of two sums; factors of both cancel as far as they are the same, and have no span then."""
    factors = _factors((*numerator, *denominator))
    drawn = _drawn(factors)
    pairs = zip(_values(numerator, drawn), _values(denominator, drawn), strict=True)
    spans: dict[str, tuple[float, float]] = {}
    for factor in factors:
        low, high = sorted(_moved(numerator, factor, q) / _moved(denominator, factor, q) for q in (0.05, 0.95))
        if high > low * (1 + _ROUNDING):
            earlier = spans.get(factor.name, (low, high))
            spans[factor.name] = min(low, earlier[0]), max(high, earlier[1])
    return _band((a / b for a, b in pairs), spans)


def _factors(terms: Sequence[Term]) -> list[Factor]:
    return list({factor.key: factor for term in terms for factor in term.factors}.values())


def _drawn(factors: Sequence[Factor]) -> dict[str, list[float]]:
    """Multipliers by key: the same draws for the same key, whatever else is drawn."""
    return {factor.key: [factor.at(quantile) for quantile in _quantiles(factor.key)] for factor in factors}


def _moved(terms: Sequence[Term], factor: Factor, quantile: float) -> float:
    """The sum with one factor moved alone."""
    by = factor.at(quantile)
    return math.fsum(term.value * (by if any(f.key == factor.key for f in term.factors) else 1.0) for term in terms)


def _band(values: Iterable[float], spans: Mapping[str, tuple[float, float]]) -> Band:
    ordered = sorted(values)
    p5, p50, p95 = (ordered[round(q * (len(ordered) - 1))] for q in (0.05, 0.5, 0.95))
    widest = sorted(spans.items(), key=lambda item: item[1][0] - item[1][1])
    return Band(p5=p5, p50=p50, p95=p95, spans=dict(widest))


def _values(terms: Sequence[Term], drawn: Mapping[str, Sequence[float]]) -> Iterable[float]:
    columns = []
    for term in terms:
        column = [term.value] * DRAWS
        for factor in term.factors:
            column = [value * by for value, by in zip(column, drawn[factor.key], strict=True)]
        columns.append(column)
    return map(math.fsum, zip(*columns, strict=True))


@lru_cache(maxsize=64)
def _quantiles(key: str) -> tuple[float, ...]:
    # Not for secrets: a fixed seed is the point.
    generator = random.Random(f"{SEED}:{key}")  # noqa: S311
    return tuple(generator.random() for _ in range(DRAWS))


def _log_normal(factor_at_95: float) -> Callable[[float], float]:
    from statistics import NormalDist  # few runs need it

    sigma = math.log(factor_at_95) / _Z95
    normal = NormalDist(0, sigma) if sigma else None
    return lambda q: math.exp(normal.inv_cdf(min(max(q, 1e-9), 1 - 1e-9))) if normal else 1.0
