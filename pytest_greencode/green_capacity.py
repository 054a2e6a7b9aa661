"""Green Capacity: what accepted samples cost beside a reference solution of the same task, on the same tests and host.

Pure. Five indicators (Vartziotis et al. 2024, arXiv 2403.03344): run time, peak memory, energy, FLOPs and correctness.
The first four are a vector of log ratios per accepted sample, never one number unless weights are given; correctness is
the acceptance rate.

Log ratios, because they are symmetric: d = ln(reference / sample) is +0.69 for half the cost and -0.69 for twice, so a
mean over tasks is a geometric mean of ratios and does not depend on which side is called the reference.

Only accepted samples have costs that mean anything, so the vector is over the tasks that were solved, which are the
easier ones. Two configurations are comparable on the tasks that both solved: `task_rows` has them.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from .statistics import CONFIDENCE, Interval, mean_interval

INDICATORS = ("run_time_s", "peak_memory_bytes", "energy_j", "flops")
CORRECTNESS = "correctness"

# What the papers themselves print was not to be had; this is how a later study computed it.
LITERATURE = (
    "one reading of Vartziotis et al. 2024: PD = (reference - sample) / reference, 0 where rejected; GC = sum of "
    "max(PD, 0). The clipping hides regressions, and PD is at most 1 for gains but unbounded for losses."
)


class Cost(Struct, frozen=True, kw_only=True):
    """What one execution on the task's tests took. None is not known; FLOPs that no counter gave are None, not 0.

    `run_time_s`: CPU time, user and system, of the solution. Not wall time by default, which on a shared machine
    measures the neighbours, and everywhere the waiting for the tests; wall time will do where it was taken exclusively,
    but then for samples and references alike, and `green_capacity` is told.
    `peak_memory_bytes`: above what the process started with; 0 is a sample below the resolution.
    `energy_j`: dynamic energy; it may come out at or below 0 when the sample is below the noise floor.
    ValueError for what is not finite, or below 0 (energy apart).
    """

    run_time_s: float | None = None
    peak_memory_bytes: float | None = None
    energy_j: float | None = None
    flops: float | None = None

    def __post_init__(self) -> None:
        for name in INDICATORS:
            value = self[name]
            if value is not None and not (math.isfinite(value) and (value >= 0 or name == "energy_j")):
                raise ValueError(f"{name} must be a finite amount of 0 or more, found {value!r}")

    def __getitem__(self, indicator: str) -> float | None:
        value: float | None = getattr(self, indicator)
        return value


class Resolution(Struct, frozen=True, kw_only=True):
    """How finely an indicator is measured.

    An amount at or below `absolute` (in the indicator's unit) is not told from nothing. Two amounts are told apart when
    one is resolved and they differ by more than `absolute` and by more than `relative` of the larger.
    """

    absolute: float = 0.0
    relative: float = 0.0

    def resolves(self, amount: float) -> bool:
        return amount > self.absolute

    def compare(self, a: float, b: float) -> int:
        """-1 where `a` is less than `b`, 1 where it is more, 0 where they cannot be told apart."""
        if not (self.resolves(a) or self.resolves(b)):
            return 0
        a, b = max(a, 0.0), max(b, 0.0)
        if abs(a - b) <= max(self.absolute, self.relative * max(a, b)):
            return 0
        return -1 if a < b else 1


# For single runs: of two runs of the same program 95 % differ by less than 20 % in CPU time and 19 % in memory (820
# runs of HumanEval's canonical solutions, five of each, on two cores). Where energy is CPU time times a power it varies
# alike. Below: run time, the sandbox's own set-up is subtracted, and varies by about as much; memory, Linux counts
# resident pages in batches of 64 (TASK_RSS_EVENTS_THRESH), of 4 KiB. FLOPs are counted.
RESOLUTION: Mapping[str, Resolution] = MappingProxyType(
    {
        "run_time_s": Resolution(absolute=1e-3, relative=0.25),
        "peak_memory_bytes": Resolution(absolute=64 * 4096, relative=0.25),
        "energy_j": Resolution(relative=0.25),
        "flops": Resolution(),
    }
)


def single_runs(costs: Iterable[Cost]) -> dict[str, Resolution]:
    """RESOLUTION, and an energy that is shared by CPU time resolved as finely as the CPU time of these costs is."""
    known = [cost for cost in costs if cost.energy_j is not None and cost.run_time_s]
    run_time_s = math.fsum(cost.run_time_s or 0.0 for cost in known)
    # Of less than a microsecond in all nothing can be said, and least of all a power.
    w = math.fsum(cost.energy_j or 0.0 for cost in known) / run_time_s if run_time_s > 1e-6 else 0.0
    energy = Resolution(absolute=max(0.0, w) * RESOLUTION["run_time_s"].absolute, relative=0.25)
    return {**RESOLUTION, "energy_j": energy}


# For means over the repetitions of an exclusive measurement, hundreds or more: noise averages out, the clock behind CPU
# time counts nanoseconds. Energy: as narrow as an exclusive measurement is asked to be.
RESOLUTION_OF_MEANS: Mapping[str, Resolution] = MappingProxyType(
    {
        "run_time_s": Resolution(absolute=1e-5, relative=0.02),
        "peak_memory_bytes": Resolution(absolute=64 * 4096, relative=0.05),
        "energy_j": Resolution(relative=0.05),
        "flops": Resolution(relative=0.01),
    }
)


class Relation(str, enum.Enum):
    """The sample against its reference (Pareto), over the indicators that both have."""

    DOMINATES = "dominates"  # less of one, more of none
    DOMINATED = "dominated"
    INCOMPARABLE = "incomparable"  # less of one, more of another
    EQUAL = "equal"  # not told apart in any
    UNKNOWN = "unknown"  # no indicator that both have


class Comparison(Struct, frozen=True, kw_only=True):
    """One accepted sample against the reference.

    `log_ratio`: ln(reference / sample) per indicator, None where either is missing or below the resolution. Then the
    ratio is unbounded and no number is put in its place, but the order may be known, and `relation` uses it.
    `below_resolution`: the indicators both have, of which one amount at least is below the resolution.
    `performance_delta`: (reference - sample) / reference, None where either is missing or the reference is not above 0.
    """

    log_ratio: Mapping[str, float | None]
    below_resolution: tuple[str, ...]
    relation: Relation
    performance_delta: Mapping[str, float | None]


def compare(sample: Cost, reference: Cost, resolution: Mapping[str, Resolution] = RESOLUTION) -> Comparison:
    """The accepted `sample` beside the `reference`; an indicator without a resolution is taken to be exact."""
    log_ratio: dict[str, float | None] = dict.fromkeys(INDICATORS)
    delta: dict[str, float | None] = dict.fromkeys(INDICATORS)
    below: list[str] = []
    orders: set[int] = set()
    for name in INDICATORS:
        own, other = sample[name], reference[name]
        if own is None or other is None:
            continue
        scale = resolution.get(name, _EXACT)
        if scale.resolves(own) and scale.resolves(other):
            # Not the logarithm of the ratio, which might overflow.
            log_ratio[name] = math.log(other) - math.log(own)
        else:
            below.append(name)
        if other > 0:
            delta[name] = _finite((other - own) / other)
        orders.add(scale.compare(own, other))
    return Comparison(
        log_ratio=log_ratio, below_resolution=tuple(below), relation=_relation(orders), performance_delta=delta
    )


_EXACT = Resolution()


def _finite(value: float) -> float | None:
    """The value, or None where it, or a sum of such, would be no number."""
    return value if abs(value) < 1e300 else None


def _relation(orders: set[int]) -> Relation:
    """`orders`: -1, 0 or 1 for each indicator that both have; -1 is where the sample took less."""
    if not orders:
        return Relation.UNKNOWN
    if {-1, 1} <= orders:
        return Relation.INCOMPARABLE
    return Relation.DOMINATES if -1 in orders else Relation.DOMINATED if 1 in orders else Relation.EQUAL


class TaskCosts(Struct, frozen=True, kw_only=True):
    """One task: attempts made, what each accepted one cost, and what the reference did (None: it was not run).

    ValueError when more were accepted than attempted.
    """

    task_id: str
    attempts: int
    accepted: Sequence[Cost]
    reference: Cost | None

    def __post_init__(self) -> None:
        if not (self.attempts >= 1 and self.attempts >= len(self.accepted)):
            raise ValueError(f"{self.task_id}: {len(self.accepted)} accepted of {self.attempts} attempts")


class TaskCapacity(Struct, frozen=True, kw_only=True):
    """One task with accepted samples and a reference: the means over the samples that have the indicator."""

    task_id: str
    attempts: int
    accepted: int
    log_ratio: Mapping[str, float | None]
    relations: Mapping[str, int]


class MeanLogRatio(Struct, frozen=True, kw_only=True):
    """One indicator over tasks, each of the same weight.

    `value`: mean of ln(reference / sample); `interval` is over tasks like these, None for fewer than two. `tasks` and
    `samples` have it; of the other compared samples `missing` have no figure (or their reference has none), and
    `below_resolution` one too small to divide by.
    """

    value: float | None
    interval: Interval | None
    tasks: int
    samples: int
    missing: int
    below_resolution: int

    @property
    def ratio(self) -> float | None:
        """reference / sample, the geometric mean: 2 is half the reference's cost."""
        return None if self.value is None else _finite(math.exp(min(self.value, 700.0)))


class Scalar(Struct, frozen=True, kw_only=True):
    """The weighted mean of the log ratios, for those who must have one number; more is greener.

    `weights` are those asked for; `missing` are the weighted indicators that no task has. They are left out, and the
    others' weights made to sum to 1. The mean goes over the `tasks` that have all the rest. Correctness enters as
    ln(acceptance rate) over all tasks: 0 for a configuration that always succeeds, below 0 for all others.
    `value` is None where no task has the weighted indicators, or nothing was accepted.
    """

    value: float | None
    weights: Mapping[str, float]
    missing: tuple[str, ...]
    tasks: int


class LiteratureReading(Struct, frozen=True, kw_only=True):
    """PD and its clipped sum, for comparison with published figures; `label` says whose.

    `performance_delta`: mean over tasks per indicator. `score`: mean over tasks of the accepted samples' sums;
    `score_all_attempts`: the same with 0 for each attempt that was not accepted, over all tasks that have a reference.
    The sums go over `indicators`, those that any sample has, and over the `samples` that have all of them.
    """

    label: str
    performance_delta: Mapping[str, float | None]
    indicators: tuple[str, ...]
    missing: tuple[str, ...]
    samples: int
    score: float | None
    score_all_attempts: float | None


class GreenCapacity(Struct, frozen=True, kw_only=True):
    """One configuration's Green Capacity.

    `tasks` were attempted; `tasks_compared` have an accepted sample and a reference, and only they are in the vector.
    `correctness` is the acceptance rate, the mean over all tasks of accepted / attempts; None where there are none.
    `relations` counts the compared samples by `Relation`. `run_time` says which time it is, "cpu" or "wall".
    """

    tasks: int
    tasks_compared: int
    accepted: int
    samples_compared: int
    correctness: float | None
    log_ratio: Mapping[str, MeanLogRatio]
    relations: Mapping[str, int]
    run_time: str
    resolution: Mapping[str, Resolution]
    confidence: float
    scalar: Scalar | None
    literature: LiteratureReading
    task_rows: tuple[TaskCapacity, ...] = ()


def green_capacity(
    tasks: Iterable[TaskCosts],
    *,
    resolution: Mapping[str, Resolution] = RESOLUTION,
    weights: Mapping[str, float] | None = None,
    run_time: str = "cpu",
    confidence: float = CONFIDENCE,
) -> GreenCapacity:
    """The Green Capacity of one configuration's tasks.

    Accepted samples are averaged within their task first, so that tasks weigh the same however many samples passed.
    `weights` (of `INDICATORS` and "correctness") asks for the scalar. ValueError for a task given twice, and for
    weights that are unknown, negative, not finite or all 0.
    """
    tasks = list(tasks)
    if twice := [task_id for task_id, count in Counter(task.task_id for task in tasks).items() if count > 1]:
        raise ValueError(f"tasks given twice: {', '.join(sorted(twice))}")
    compared = [
        (task, [compare(cost, task.reference, resolution) for cost in task.accepted])
        for task in tasks
        if task.reference is not None and task.accepted
    ]
    everything = [comparison for _, comparisons in compared for comparison in comparisons]
    rows = tuple(_row(task, comparisons) for task, comparisons in compared)
    correctness = _mean([len(task.accepted) / task.attempts for task in tasks])
    return GreenCapacity(
        tasks=len(tasks),
        tasks_compared=len(compared),
        accepted=sum(len(task.accepted) for task in tasks),
        samples_compared=len(everything),
        correctness=correctness,
        log_ratio={name: _indicator(name, rows, everything, confidence) for name in INDICATORS},
        relations=_count(everything),
        run_time=run_time,
        resolution=dict(resolution),
        confidence=confidence,
        scalar=None if weights is None else _scalar(rows, correctness, weights),
        literature=_literature(tasks, compared),
        task_rows=rows,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    """The mean of the known values, None where there is none."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _count(comparisons: Iterable[Comparison]) -> dict[str, int]:
    counts = Counter(comparison.relation for comparison in comparisons)
    return {relation.value: counts[relation] for relation in Relation}


def _row(task: TaskCosts, comparisons: Sequence[Comparison]) -> TaskCapacity:
    return TaskCapacity(
        task_id=task.task_id,
        attempts=task.attempts,
        accepted=len(task.accepted),
        log_ratio={name: _mean(c.log_ratio[name] for c in comparisons) for name in INDICATORS},
        relations=_count(comparisons),
    )


def _indicator(
    name: str, rows: Sequence[TaskCapacity], comparisons: Sequence[Comparison], confidence: float
) -> MeanLogRatio:
    means = [value for row in rows if (value := row.log_ratio[name]) is not None]
    samples = sum(c.log_ratio[name] is not None for c in comparisons)
    below = sum(name in c.below_resolution for c in comparisons)
    return MeanLogRatio(
        value=_mean(means),
        interval=mean_interval(means, confidence),
        tasks=len(means),
        samples=samples,
        missing=len(comparisons) - samples - below,
        below_resolution=below,
    )


def _scalar(rows: Sequence[TaskCapacity], correctness: float | None, weights: Mapping[str, float]) -> Scalar:
    if unknown := sorted(set(weights) - {*INDICATORS, CORRECTNESS}):
        raise ValueError(f"no such indicators: {', '.join(unknown)}")
    if not all(0 <= weight < math.inf for weight in weights.values()) or not any(weights.values()):
        raise ValueError(f"weights must be finite, not negative and not all 0, found {dict(weights)}")
    asked = [name for name in INDICATORS if weights.get(name)]
    used = [name for name in asked if any(row.log_ratio[name] is not None for row in rows)]
    vectors = [vector for row in rows if (vector := _all(row.log_ratio, used)) is not None] if used else []
    means = [math.fsum(column) / len(vectors) for column in zip(*vectors, strict=True)]
    terms = [(weights[name], mean) for name, mean in zip(used, means, strict=bool(vectors))]
    if weights.get(CORRECTNESS) and correctness:
        terms.append((weights[CORRECTNESS], math.log(correctness)))
    # Correctness alone is a scalar only for those who asked for nothing else.
    known = vectors or (terms and not asked)
    total = math.fsum(weight for weight, _ in terms)
    return Scalar(
        value=math.fsum(weight * value for weight, value in terms) / total if known else None,
        weights=dict(weights),
        missing=tuple(name for name in asked if name not in used),
        tasks=len(vectors),
    )


def _all(values: Mapping[str, float | None], names: Iterable[str]) -> list[float] | None:
    """The values under `names`, or None where any is missing."""
    found = []
    for name in names:
        if (value := values[name]) is None:
            return None
        found.append(value)
    return found


def _literature(
    tasks: Sequence[TaskCosts], compared: Sequence[tuple[TaskCosts, Sequence[Comparison]]]
) -> LiteratureReading:
    deltas = [(task, [c.performance_delta for c in comparisons]) for task, comparisons in compared]
    used = tuple(name for name in INDICATORS if any(d[name] is not None for _, ds in deltas for d in ds))
    # Without a reference an unsolved task could not have scored either; with one its score is 0.
    unsolved = [task.task_id for task in tasks if task.reference is not None and not task.accepted]
    scores: list[float] = []
    scaled: list[float] = [0.0] * len(unsolved)
    samples = 0
    for task, ds in deltas:
        sums = [math.fsum(max(pd, 0.0) for pd in vector) for d in ds if used and (vector := _all(d, used)) is not None]
        if sums:
            samples += len(sums)
            scores.append(math.fsum(sums) / len(sums))
            # Accepted samples without all indicators are taken to be like those with.
            scaled.append(scores[-1] * len(task.accepted) / task.attempts)
    return LiteratureReading(
        label=LITERATURE,
        performance_delta={name: _mean(_mean(d[name] for d in ds) for _, ds in deltas) for name in INDICATORS},
        indicators=used,
        missing=tuple(name for name in INDICATORS if name not in used),
        samples=samples,
        score=_mean(scores),
        score_all_attempts=_mean(scaled) if scores else None,
    )
