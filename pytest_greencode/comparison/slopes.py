"""How the generation's energy goes with the tokens of single attempts: an elasticity, measured.

    log E = a_configuration + sum_j b_j * log tokens_j + error

b = 1: energy in proportion; 0: no effect; the sign is whatever comes out. Both token counts enter together, because
long prompts tend to have long answers. Configurations keep their own level, so b is the slope within them. Attempts of
a task share its prompt and are not independent: the interval is by a jackknife that leaves out whole tasks (CV3 of
MacKinnon, Nielsen & Webb 2023), with Student's t on tasks - 1 degrees of freedom.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from ..model import AttemptRecord, Generation
from ..statistics import CONFIDENCE, Interval, student_t_quantile
from .pairs import too_few

TOKENS = ("prompt_tokens", "completion_tokens")
# Below this part of its own variance a covariate is a combination of the others (or constant) up to rounding.
_SINGULAR = 1e-9


class Slope(Struct, frozen=True, kw_only=True):
    """d log E / d log tokens, with its interval over tasks; `reason` says why either is None."""

    value: float | None
    interval: Interval | None
    reason: str | None


class Slopes(Struct, frozen=True, kw_only=True):
    """One slope per covariate, from `attempts` of `tasks`; `missing` attempts lack energy or tokens.

    `batched` attempts shared a batch. Where its energy was divided by output tokens (as this project's recorder does),
    the slope against completion tokens within a batch is 1 by construction, and not a finding.
    """

    slopes: Mapping[str, Slope]
    attempts: int
    tasks: int
    missing: int
    batched: int
    confidence: float


def slope(
    records: Iterable[AttemptRecord], covariates: Sequence[str] = TOKENS, *, confidence: float = CONFIDENCE
) -> Slopes:
    """Slopes of log generation energy against the logs of `covariates` (numbers of `model.Generation`)."""
    rows: list[tuple[tuple[str, str], object, list[float]]] = []
    missing = batched = 0
    for record in records:
        values = _logs(record.generation, covariates)
        if values is None or record.generation is None:
            missing += 1
            continue
        batched += (record.generation.batch_size or 1) > 1
        rows.append(((record.suite, record.task_id), (record.suite, record.configuration), values))
    tasks = {task for task, _, _ in rows}
    whole, by_task = _moments(rows, len(covariates) + 1)
    estimate = _fit(whole)
    left = [_fit(_without(whole, part)) for part in by_task.values()] if estimate and len(tasks) > 1 else []
    found = {}
    for j, name in enumerate(covariates):
        if estimate is None:
            found[name] = Slope(value=None, interval=None, reason=_why(whole, covariates))
            continue
        reason = too_few(len(tasks)) or (None if all(left) else "one task alone decides it")
        values = [fit[j] for fit in left if fit]
        half = student_t_quantile((1 + confidence) / 2, max(len(tasks) - 1, 1)) * math.sqrt(
            (len(tasks) - 1) / len(tasks) * math.fsum((value - estimate[j]) ** 2 for value in values)
        )
        interval = None if reason else (estimate[j] - half, estimate[j] + half)
        found[name] = Slope(value=estimate[j], interval=interval, reason=reason)
    return Slopes(
        slopes=found,
        attempts=len(rows),
        tasks=len(tasks),
        missing=missing,
        batched=batched,
        confidence=confidence,
    )


def _logs(generation: Generation | None, covariates: Sequence[str]) -> list[float] | None:
    """log of every covariate and, last, of energy; None where one is missing or not positive."""
    if generation is None:
        return None
    values = [getattr(generation, name) for name in (*covariates, "energy_j")]
    if any(value is None or not 0 < value < math.inf for value in values):
        return None
    return [math.log(value) for value in values]


class _Moments(Struct):
    """Number, sums and sums of products of the columns, about a fixed origin."""

    n: int
    sums: list[float]
    products: list[list[float]]

    @classmethod
    def empty(cls, width: int) -> _Moments:
        return cls(0, [0.0] * width, [[0.0] * width for _ in range(width)])

    def add(self, row: Sequence[float]) -> None:
        self.n += 1
        for i, x in enumerate(row):
            self.sums[i] += x
            for j, y in enumerate(row):
                self.products[i][j] += x * y

    def less(self, other: _Moments) -> _Moments:
        return _Moments(
            self.n - other.n,
            [x - y for x, y in zip(self.sums, other.sums, strict=True)],
            [[x - y for x, y in zip(a, b, strict=True)] for a, b in zip(self.products, other.products, strict=True)],
        )


_Groups = Mapping[object, _Moments]


def _moments(
    rows: Sequence[tuple[tuple[str, str], object, list[float]]], width: int
) -> tuple[_Groups, Mapping[tuple[str, str], _Groups]]:
    """Moments per configuration, of all tasks and of each; about each configuration's mean, which keeps them exact."""
    columns: defaultdict[object, list[list[float]]] = defaultdict(list)
    for _, group, row in rows:
        columns[group].append(row)
    centres = {
        group: [math.fsum(column) / len(found) for column in zip(*found, strict=True)]
        for group, found in columns.items()
    }
    whole: dict[object, _Moments] = {group: _Moments.empty(width) for group in centres}
    by_task: dict[tuple[str, str], dict[object, _Moments]] = {}
    for task, group, row in rows:
        centred = [x - centre for x, centre in zip(row, centres[group], strict=True)]
        whole[group].add(centred)
        by_task.setdefault(task, {}).setdefault(group, _Moments.empty(width)).add(centred)
    return whole, by_task


def _without(whole: _Groups, part: _Groups) -> _Groups:
    return {group: moments.less(part[group]) if group in part else moments for group, moments in whole.items()}


def _within(groups: _Groups) -> list[list[float]]:
    """Sums of products about the means of the groups."""
    matrices = [
        [
            [product - x * y / moments.n for product, y in zip(row, moments.sums, strict=True)]
            for row, x in zip(moments.products, moments.sums, strict=True)
        ]
        for moments in groups.values()
        if moments.n
    ]
    return [[math.fsum(values) for values in zip(*rows, strict=True)] for rows in zip(*matrices, strict=True)]


def _fit(groups: _Groups) -> list[float] | None:
    """Least squares within groups, by elimination; None where the covariates leave it undetermined, or energy is
    constant."""
    matrix = _within(groups)
    if not matrix or not matrix[-1][-1] > 0:
        return None
    size = len(matrix) - 1
    equations = [row[:] for row in matrix[:size]]
    scales = [matrix[i][i] for i in range(size)]
    for i in range(size):
        if not equations[i][i] > _SINGULAR * scales[i]:
            return None
        for other in range(size):
            if other != i:
                factor = equations[other][i] / equations[i][i]
                equations[other] = [x - factor * y for x, y in zip(equations[other], equations[i], strict=True)]
    return [equations[i][size] / equations[i][i] for i in range(size)]


def _why(groups: _Groups, covariates: Sequence[str]) -> str:
    matrix = _within(groups)
    if not matrix:
        return "no attempt has energy and tokens"
    if not matrix[-1][-1] > 0:
        return "the energy is the same for all attempts: it was not measured for each"
    constant = [name for i, name in enumerate(covariates) if not matrix[i][i] > 0]
    if constant:
        return f"{' and '.join(constant)} did not vary"
    return f"{' and '.join(covariates)} vary together, or hardly"
