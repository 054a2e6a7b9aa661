"""How far runs of the same samples differ (A/A): the machine's own noise, and the tolerance that it asks for.

The logarithms of a quantity over R runs have a standard deviation s, which is the noise of one run; it moves all tasks
together (temperature, clock, a neighbour) and so is in no interval over tasks. A new run and a baseline differ by s *
sqrt(2), and with Student's t for the few runs

    tolerance = exp(t * s * sqrt(2)) - 1,     P(T > t) = FALSE_ALARM on the runs' degrees of freedom

Where an ordinary suite is slower as all else is, the gate does not hold it against its tests; so there s is the smaller
of that of the value, and that of the value over what starting pytest took.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..statistics import student_t_quantile
from .decisions import FALSE_ALARM
from .subjects import Subject

Key = tuple[str, str, str]
# What sums of equal numbers in another order differ by.
_ROUNDING = 1e-12


class Noise(Struct, frozen=True, kw_only=True):
    """One field over `runs` runs of the same samples.

    `values`: by configuration, of each run. `deviation`: of the logarithm (of the value itself, for a share), pooled
    over configurations; `at_one_speed`: of an ordinary suite, over what starting pytest took. `tolerance`: the ratio -
    1, or for a share the difference, that a gate should allow at least.
    """

    field: str
    share: bool
    runs: int
    values: Mapping[Key, tuple[float, ...]]
    deviation: float
    at_one_speed: float | None
    tolerance: float


def noise(field: str, share: bool, runs: Sequence[Sequence[Subject]]) -> Noise | None:
    """None where fewer than two runs have a value of it."""
    values: dict[Key, tuple[float, ...]] = {}
    for subject in runs[0]:
        found = [each.quantities[field].value for run in runs for each in run if each.key == subject.key]
        known = tuple(value for value in found if value is not None and (share or value > 0))
        if len(known) == len(runs) > 1:
            values[subject.key] = known
    if not values:
        return None
    deviation = _deviation([known if share else [*map(math.log, known)] for known in values.values()])
    starts = [each.startup_cpu_s for run in runs for each in run if each.of_tests and each.key in values]
    at_one_speed = None
    if len(starts) == len(runs) and all(starts):
        pairs = zip(*values.values(), starts, strict=True)
        at_one_speed = _deviation([[math.log(value / start) for value, start in pairs if start]])
    # Configurations of one run share its machine's mood: they are no independent runs.
    reach = student_t_quantile(1 - FALSE_ALARM, len(runs) - 1) * math.sqrt(2)
    reach *= deviation if at_one_speed is None else min(deviation, at_one_speed)
    return Noise(
        field=field,
        share=share,
        runs=len(runs),
        values=values,
        deviation=deviation,
        at_one_speed=at_one_speed,
        tolerance=reach if share else math.expm1(min(reach, 100.0)),
    )


def _deviation(groups: Sequence[Sequence[float]]) -> float:
    """Pooled over groups of equal size."""
    degrees = sum(len(values) - 1 for values in groups)
    found = math.sqrt(math.fsum(map(_squares, groups)) / degrees)
    return 0.0 if found < _ROUNDING else found


def _squares(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values)
