"""From ledger records to the account: what one accepted solution cost, failed attempts included. Pure.

What an attempt costs
    generation + execution, operational and embodied, is the cost of the solution, and all that the headline counts.
    The harness (sandbox, tests) is kept apart: it is in `energy_j.harness` and `energy_j.total`, never in the headline.
What counts as an attempt
    A finished one whose verdict is not HARNESS_ERROR. The others are no fault of the model: they are left out of n, c
    and every sum, and counted in `completeness`.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from .accounts import (
    MIN_TASKS,
    Account,
    Carbon,
    Completeness,
    ConfigurationAccount,
    CostMeans,
    Energy,
    Extraction,
    GenerationLoad,
    MeasuredRow,
    PerAccepted,
    Pool,
    Retry,
    TaskRow,
)
from .attribution import Balance
from .estimators import expected_attempts, expected_cost, lower_bound, pass_probability
from .model import (
    AttemptRecord,
    Configuration,
    Factors,
    Generation,
    Measured,
    Method,
    Reading,
    Verdict,
)
from .pricing import PARTS, Cost, Pricing, known, total
from .provenance import Provenance, provenance
from .reasons import Reason
from .statistics import CONFIDENCE, Interval, noise_interval, ratio_interval
from .uncertainty import Band, Term, band, systematic_terms

if TYPE_CHECKING:
    from .green_capacity import GreenCapacity

AS_IS = "as-is"  # a reply that needed no extraction


def account(
    records: Iterable[AttemptRecord],
    prices: Factors | Pricing,
    *,
    attempts_allowed: int | None = None,
    quarantined: Mapping[str, str] = MappingProxyType({}),
    balance: Balance | None = None,
    references: Iterable[AttemptRecord] = (),
    measured: Mapping[str, Measured] = MappingProxyType({}),
    weights: Mapping[str, float] | None = None,
) -> Account:
    """The account of ledger records, which may come in any order.

    `attempts_allowed` is the headline's k; without it, each configuration's smallest number of attempts of a task.
    `prices` are the factors, or a `Pricing` that also knows the regions and the GPUs that records name.
    `quarantined` maps task ids to reasons; their attempts are left out. `references` are executions of the
    tasks' own solutions, which Green Capacity compares with; `measured` are programs measured alone, by program key;
    `weights` of indicators ask for Green Capacity as one number too.
    ValueError when `attempts_allowed` is below 1 or a factor is not a sensible number.
    """
    if attempts_allowed is not None and attempts_allowed < 1:
        raise ValueError(f"attempts_allowed must be at least 1, found {attempts_allowed}")
    pricing = prices if isinstance(prices, Pricing) else Pricing(prices)
    groups: defaultdict[tuple[str, Configuration], list[AttemptRecord]] = defaultdict(list)
    for record in records:
        if record.task_id not in quarantined:
            groups[record.suite, record.configuration].append(record)
    # A reference that did not pass this time says nothing of what passing costs.
    known = {(r.suite, r.task_id): r for r in references if r.verdict is Verdict.ACCEPTED}
    return Account(
        configurations=tuple(
            _configuration(groups[key], pricing, attempts_allowed, known, weights) for key in sorted(groups)
        ),
        factors=pricing.factors,
        quarantined=dict(sorted(quarantined.items())),
        balance=balance,
        measured=_measured_rows(groups, known, measured),
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _ratio(numerator: float | None, denominator: float) -> float | None:
    return numerator / denominator if numerator is not None and denominator else None


# One task, and sums over tasks.


class _Costs(NamedTuple):
    """One task's costs in one unit: means and population variances of its accepted and its failed attempts."""

    n: int
    c: int
    accepted: float
    failed: float
    accepted_variance: float
    failed_variance: float

    @classmethod
    def of(cls, accepted: Sequence[float], failed: Sequence[float]) -> _Costs:
        means = _mean(accepted), _mean(failed)
        variances = _mean([(x - means[0]) ** 2 for x in accepted]), _mean([(x - means[1]) ** 2 for x in failed])
        return cls(len(accepted) + len(failed), len(accepted), *means, *variances)

    def expected(self, k: int) -> float:
        return expected_cost(self.n, self.c, k, self.accepted, self.failed)

    def passed(self, k: int) -> float:
        return float(pass_probability(self.n, self.c, k))

    def residual_variance(self, k: int, ratio: float) -> float:
        """Delete-one jackknife variance of C_k - ratio * P_k, for k < n (Efron & Stein 1981).

        Deleting an attempt changes the estimate by its verdict and, linearly, by its cost, so the n values need not be
        formed: their squares are those between the two verdicts and those of the costs within each.
        """
        n, c, failures = self.n, self.c, self.n - self.c
        accepted_gone = failed_gone = accepted_slope = failed_slope = 0.0
        if c:
            passed = float(pass_probability(n - 1, c - 1, k))
            accepted_gone = expected_cost(n - 1, c - 1, k, self.accepted, self.failed) - ratio * passed
            accepted_slope = passed / (c - 1) if c > 1 else 0.0
        if failures:
            passed = float(pass_probability(n - 1, c, k))
            failed_gone = expected_cost(n - 1, c, k, self.accepted, self.failed) - ratio * passed
            wasted = float(expected_attempts(n - 1, c, k)) - passed
            failed_slope = wasted / (failures - 1) if failures > 1 else 0.0
        between = c * failures / n * (accepted_gone - failed_gone) ** 2
        within = c * accepted_slope**2 * self.accepted_variance + failures * failed_slope**2 * self.failed_variance
        return (n - 1) / n * (between + within)


class _Task:
    """One task's records in sample order, priced; `counted` are those that are the model's own."""

    def __init__(self, task_id: str, records: Sequence[AttemptRecord], pricing: Pricing) -> None:
        self.task_id = task_id
        self.records = sorted(records, key=lambda record: (record.sample_id, record.path))
        self.counted = [r for r in self.records if r.verdict is not None and r.verdict is not Verdict.HARNESS_ERROR]
        self.costs = [pricing.price(record) for record in self.counted]
        self.n = len(self.counted)
        self.c = sum(r.verdict is Verdict.ACCEPTED for r in self.counted)
        self.energy_j = self._split([cost.solution_j for cost in self.costs])
        self.co2e_g = self._split([cost.solution_g for cost in self.costs])

    def _split(self, costs: Sequence[float | None]) -> _Costs | None:
        accepted: list[float] = []
        failed: list[float] = []
        for record, cost in zip(self.counted, costs, strict=True):
            if cost is None:
                return None
            (accepted if record.verdict is Verdict.ACCEPTED else failed).append(cost)
        return _Costs.of(accepted, failed)

    def parts_g(self, weight_accepted: float, weight_failed: float) -> list[float]:
        """Grams by part, in the order of PARTS: the weighted mean costs of accepted and of failed attempts."""
        weights = [
            weight_accepted / self.c if record.verdict is Verdict.ACCEPTED else weight_failed / (self.n - self.c)
            for record in self.counted
        ]
        columns = zip(*(cost.parts_g for cost in self.costs), strict=True)
        return [math.fsum((x or 0.0) * w for x, w in zip(column, weights, strict=True)) for column in columns]

    def row(self) -> TaskRow:
        return TaskRow(
            task_id=self.task_id,
            attempts=self.n,
            accepted=self.c,
            verdicts=tuple(record.verdict for record in self.records),
            energy_j=_cost_means(self.energy_j),
            co2e_g=_cost_means(self.co2e_g),
            operational_g=_cost_means(self._split([cost.operational_g for cost in self.costs])),
            embodied_g=_cost_means(self._split([cost.embodied_g for cost in self.costs])),
        )


def _cost_means(costs: _Costs | None) -> CostMeans:
    if costs is None:
        return CostMeans(attempt=None, accepted=None, failed=None)
    return CostMeans(
        attempt=(costs.c * costs.accepted + (costs.n - costs.c) * costs.failed) / costs.n,
        accepted=costs.accepted if costs.c else None,
        failed=costs.failed if costs.c < costs.n else None,
    )


def _natural(text: str) -> list[tuple[str, int]]:
    """Sort key by which HumanEval/9 stands before HumanEval/10."""
    return [(word, int(number or 0)) for word, number in re.findall(r"([^0-9]*)([0-9]{0,18})", text)]


def _ks(smallest: int, headline: int) -> list[int]:
    """1..10, 20, 50, 100, 200, 500, ... and the headline's own, as far as every task has so many attempts."""
    ks = {*range(1, 11), headline}
    decade = 10
    while decade <= smallest:
        ks |= {2 * decade, 5 * decade, 10 * decade}
        decade *= 10
    return sorted(k for k in ks if k <= smallest)


def _all(costs: Iterable[_Costs | None]) -> list[_Costs] | None:
    """The costs of all tasks, or None where any is missing."""
    known = []
    for cost in costs:
        if cost is None:
            return None
        known.append(cost)
    return known


def _retry(tasks: Sequence[_Task], k: int) -> Retry:
    m = len(tasks)
    passes = [float(pass_probability(task.n, task.c, k)) for task in tasks]
    passed = math.fsum(passes)
    attempts = math.fsum(float(expected_attempts(task.n, task.c, k)) for task in tasks)
    joules = _all(task.energy_j for task in tasks)
    grams = _all(task.co2e_g for task in tasks)
    energy_j = None if joules is None else math.fsum(costs.expected(k) for costs in joules)
    co2e_g = interval = this_benchmark = None
    if grams is not None:
        expected = [costs.expected(k) for costs in grams]
        co2e_g = math.fsum(expected)
        interval = _interval(expected, passes)
        if passed and all(task.n > k for task in tasks):
            variances = [costs.residual_variance(k, co2e_g / passed) for costs in grams]
            this_benchmark = noise_interval(co2e_g, passed, variances, [task.n - 1 for task in tasks])
    return Retry(
        pass_probability=passed / m,
        attempts=attempts / m,
        energy_j=_ratio(energy_j, m),
        co2e_g=_ratio(co2e_g, m),
        energy_j_per_accepted=_ratio(energy_j, passed),
        co2e_g_per_accepted=_ratio(co2e_g, passed),
        interval=interval,
        this_benchmark=this_benchmark,
        correctness_coefficient=_ratio(attempts, passed),
    )


def _interval(costs: Sequence[float], passes: Sequence[float]) -> Interval | None:
    return ratio_interval(costs, passes) if len(costs) >= MIN_TASKS else None


def _too_few(tasks: Sequence[_Task]) -> str | None:
    return Reason("too_few_tasks", tasks=len(tasks), least=MIN_TASKS) if len(tasks) < MIN_TASKS else None


# One configuration on one suite.


def _configuration(
    records: Sequence[AttemptRecord],
    pricing: Pricing,
    attempts_allowed: int | None,
    references: Mapping[tuple[str, str], AttemptRecord],
    weights: Mapping[str, float] | None,
) -> ConfigurationAccount:
    by_task: defaultdict[str, list[AttemptRecord]] = defaultdict(list)
    for record in records:
        by_task[record.task_id].append(record)
    planned = [_Task(task_id, by_task[task_id], pricing) for task_id in sorted(by_task, key=_natural)]
    tasks = [task for task in planned if task.n]
    counted = [record for task in tasks for record in task.counted]
    costs = [cost for task in tasks for cost in task.costs]
    accepted = sum(task.c for task in tasks)
    smallest = min((task.n for task in tasks), default=0)
    chain = any(record.extra.get("chain") is True for record in records)
    made = max((task.n for task in tasks), default=0) if chain else smallest
    headline_k = attempts_allowed or made or None
    completeness = _completeness(records, planned, costs)

    # In a chain an attempt depends on those before (it has seen them, or is made only if they failed): attempts cannot
    # be redrawn, so what the log itself says, the pool, is the headline.
    ks = [] if chain or not headline_k else _ks(smallest, headline_k)
    retry = {k: _retry(tasks, k) for k in ks}
    origins = provenance(counted, pricing)
    missing = _missing(completeness, len(counted), sum(cost.embodied_g is None for cost in costs))
    cost_j, cost_g = total(cost.solution_j for cost in costs), total(cost.solution_g for cost in costs)
    reasons = [*([] if counted else [Reason("no_finished")]), *missing]
    if counted and not accepted:
        reasons.append(Reason("none_accepted"))
    pool = Pool(
        energy_j_per_accepted=_ratio(cost_j, accepted),
        co2e_g_per_accepted=_ratio(cost_g, accepted),
        reason=Reason.several(reasons),
    )
    if not chain and headline_k and headline_k > smallest > 0:
        short = min(tasks, key=lambda task: task.n)
        reasons.append(Reason("task_too_short", k=headline_k, task=short.task_id, attempts=short.n))

    headline = retry.get(headline_k or 0)
    # The lower bound needs attempts that could be redrawn, too.
    fruitless = (None, None) if accepted or chain else (cost_j, cost_g)
    waste_share, unsolved_share = _shares(tasks, headline_k) if headline and headline_k else (None, None)
    if chain:
        waste_share, unsolved_share = _pooled_shares(tasks)
    first = records[0]
    return ConfigurationAccount(
        model=first.configuration.model,
        settings=first.configuration.settings,
        suite=first.suite,
        tasks=len(tasks),
        attempts=len(counted),
        accepted=accepted,
        pass_at={k: row.pass_probability for k, row in retry.items()},
        energy_j=_energy(costs),
        co2e_g=_carbon(costs),
        per_accepted=(
            _pooled(tasks, headline_k, pool, reasons, pricing, origins)
            if chain
            else _per_accepted(tasks, headline_k, headline, reasons, fruitless, pricing, origins)
        ),
        retry=retry,
        pool=pool,
        waste_share=waste_share,
        unsolved_share=unsolved_share,
        completeness=completeness,
        provenance=origins,
        extraction=_extraction(counted),
        chain=chain,
        deterministic=smallest > 1 and all(len({r.program_key for r in task.counted}) == 1 for task in tasks),
        flaky=sum(record.flaky for record in records),
        green_capacity=_green_capacity(tasks, references, weights),
        workload=_workload(counted),
        hardware=tuple(sorted({r.generation.gpu_model for r in counted if r.generation and r.generation.gpu_model})),
        task_rows=tuple(task.row() for task in tasks),
    )


def _green_capacity(
    tasks: Sequence[_Task],
    references: Mapping[tuple[str, str], AttemptRecord],
    weights: Mapping[str, float] | None,
) -> GreenCapacity | None:
    """None where no reference was run."""
    if not references:
        return None
    from .green_capacity import RESOLUTION_OF_MEANS, Cost, TaskCosts, green_capacity, single_runs  # few runs need it

    def indicators(reading: Reading) -> Cost:
        return Cost(
            run_time_s=reading.cpu_s,
            peak_memory_bytes=reading.peak_memory_bytes,
            energy_j=known(reading.energy_j),
            flops=reading.flops,
        )

    costs = []
    alone = True
    priced: list[Cost] = []
    for task in tasks:
        reference = references.get((task.records[0].suite, task.task_id))
        accepted = [r.reading for r in task.counted if r.verdict is Verdict.ACCEPTED and r.reading is not None]
        compared = [*accepted, reference.reading] if reference and reference.reading and accepted else []
        priced += map(indicators, compared)
        alone = alone and all(reading.energy_method is Method.MEASURED for reading in compared)
        costs.append(
            TaskCosts(
                task_id=task.task_id,
                attempts=task.n,
                accepted=[indicators(reading) for reading in accepted],
                reference=indicators(reference.reading) if reference and reference.reading else None,
            )
        )
    return green_capacity(costs, resolution=RESOLUTION_OF_MEANS if alone else single_runs(priced), weights=weights)


def _measured_rows(
    groups: Mapping[tuple[str, Configuration], Sequence[AttemptRecord]],
    references: Mapping[tuple[str, str], AttemptRecord],
    measured: Mapping[str, Measured],
) -> tuple[MeasuredRow, ...]:
    owners: defaultdict[tuple[str, str, str], list[tuple[str, str, int]]] = defaultdict(list)
    for (suite, configuration), records in groups.items():
        for record in records:
            if record.program_key in measured:
                owner = (configuration.model, configuration.settings, record.sample_id)
                owners[suite, record.task_id, record.program_key].append(owner)
    own = {(r.suite, r.task_id, r.program_key) for r in references.values() if r.program_key in measured}
    return tuple(
        MeasuredRow(
            suite=suite,
            task_id=task_id,
            samples=tuple(sorted(owners.get((suite, task_id, key), []))),
            reference=(suite, task_id, key) in own,
            measured=measured[key],
        )
        for suite, task_id, key in sorted({*owners, *own}, key=lambda each: (each[0], _natural(each[1]), each[2]))
    )


def _per_accepted(
    tasks: Sequence[_Task],
    k: int | None,
    row: Retry | None,
    reasons: Sequence[str],
    fruitless: tuple[float | None, float | None],
    pricing: Pricing,
    origins: Mapping[str, Provenance],
) -> PerAccepted:
    """`fruitless` is what all attempts cost (J, g) where none was accepted, else (None, None)."""
    n = sum(task.n for task in tasks)
    bounds = [None if cost is None else lower_bound(cost / n, n) for cost in fruitless]
    shown = None if reasons else row
    reason = Reason.several(reasons)
    parts_g: dict[str, float] = {}
    if shown and k is not None:
        weights = [_weights(task.n, task.c, k) for task in tasks]
        parts_g = _parts(tasks, weights, math.fsum(accepted for accepted, _ in weights))
    unknown = None if shown else Reason("no_headline")
    not_positive = Reason("not_positive")
    interval = shown.interval if shown else None
    interval_reason = unknown or _too_few(tasks) or not_positive
    this_benchmark = shown.this_benchmark if shown else None
    enough = k is not None and all(task.n > k for task in tasks)
    this_reason = unknown or (not_positive if enough else Reason("needs_more_attempts"))
    return PerAccepted(
        energy_j=shown.energy_j_per_accepted if shown else None,
        co2e_g=shown.co2e_g_per_accepted if shown else None,
        **_of_parts(parts_g),
        systematic=_systematic(tasks, parts_g, pricing, origins),
        interval=interval,
        interval_reason=None if interval else interval_reason,
        this_benchmark=this_benchmark,
        this_benchmark_reason=None if this_benchmark else this_reason,
        confidence=CONFIDENCE,
        attempts=k,
        reason=reason,
        lower_bound_energy_j=bounds[0],
        lower_bound_co2e_g=bounds[1],
    )


def _totals(tasks: Sequence[_Task]) -> list[float] | None:
    """Grams of all of each task's attempts."""
    grams = _all(task.co2e_g for task in tasks)
    return None if grams is None else [c.c * c.accepted + (c.n - c.c) * c.failed for c in grams]


def _weights(n: int, c: int, k: int) -> tuple[float, float]:
    """(P_k, A_k - P_k): how many accepted and how many failed attempts retrying makes on average."""
    passed = pass_probability(n, c, k)
    return float(passed), float(expected_attempts(n, c, k) - passed)


def _parts(tasks: Sequence[_Task], weights: Sequence[tuple[float, float]], accepted: float) -> dict[str, float]:
    """Grams per accepted solution by part, of so many accepted and failed attempts of each task."""
    by_task = [task.parts_g(*pair) for task, pair in zip(tasks, weights, strict=True)]
    return {part: math.fsum(grams) / accepted for part, grams in zip(PARTS, zip(*by_task, strict=True), strict=True)}


class _OfParts(TypedDict):
    operational_g: float | None
    embodied_g: float | None
    parts_g: Mapping[str, float]


def _of_parts(parts_g: Mapping[str, float]) -> _OfParts:
    if not parts_g:
        return {"operational_g": None, "embodied_g": None, "parts_g": {}}
    return {
        "operational_g": parts_g["generation"] + parts_g["execution"],
        "embodied_g": parts_g["embodied_generation"] + parts_g["embodied_execution"],
        "parts_g": parts_g,
    }


def uncertain_parts(
    records: Iterable[AttemptRecord], pricing: Pricing, k: int, tasks: Collection[str]
) -> list[Term] | None:
    """One configuration's grams per accepted solution, at most `k` attempts on these tasks, with what makes each part
    uncertain; None where it has no such number. A chain counts as logged."""
    by_task: defaultdict[str, list[AttemptRecord]] = defaultdict(list)
    for record in records:
        if record.task_id in tasks:
            by_task[record.task_id].append(record)
    found = [task for task_id, own in by_task.items() if (task := _Task(task_id, own, pricing)).n]
    chain = any(record.extra.get("chain") is True for own in by_task.values() for record in own)
    if any(task.co2e_g is None or not (chain or k <= task.n) for task in found):
        return None
    weights = [(float(task.c), float(task.n - task.c)) if chain else _weights(task.n, task.c, k) for task in found]
    if not (accepted := math.fsum(passed for passed, _ in weights)) > 0:
        return None
    parts_g = _parts(found, weights, accepted)
    counted = [record for task in found for record in task.counted]
    # A counter's noise can make an energy negative: nothing multiplies that into a band.
    return (
        systematic_terms(parts_g, counted, pricing, provenance(counted, pricing))
        if min(parts_g.values()) >= 0
        else None
    )


def _systematic(
    tasks: Sequence[_Task], parts_g: Mapping[str, float], pricing: Pricing, origins: Mapping[str, Provenance]
) -> Band | None:
    # A counter's noise can make an energy negative: nothing multiplies that into a band.
    if not parts_g or min(parts_g.values()) < 0:
        return None
    return band(systematic_terms(parts_g, [record for task in tasks for record in task.counted], pricing, origins))


def _pooled(
    tasks: Sequence[_Task],
    k: int | None,
    pool: Pool,
    reasons: Sequence[str],
    pricing: Pricing,
    origins: Mapping[str, Provenance],
) -> PerAccepted:
    """The headline of a chain: R_pool, with the interval over tasks."""
    totals = None if reasons else _totals(tasks)
    parts_g: dict[str, float] = {}
    if totals is not None:
        made = [(float(task.c), float(task.n - task.c)) for task in tasks]
        parts_g = _parts(tasks, made, math.fsum(accepted for accepted, _ in made))
    interval = _interval(totals, [float(task.c) for task in tasks]) if totals else None
    reason = Reason.several(reasons)
    why = None if interval else (Reason("no_headline") if reasons else _too_few(tasks) or Reason("not_positive"))
    return PerAccepted(
        energy_j=None if reasons else pool.energy_j_per_accepted,
        co2e_g=None if reasons else pool.co2e_g_per_accepted,
        **_of_parts(parts_g),
        systematic=_systematic(tasks, parts_g, pricing, origins),
        interval=interval,
        interval_reason=why,
        this_benchmark=None,
        this_benchmark_reason=Reason("chain"),
        confidence=CONFIDENCE,
        attempts=k,
        reason=reason,
        lower_bound_energy_j=None,
        lower_bound_co2e_g=None,
    )


def _pooled_shares(tasks: Sequence[_Task]) -> tuple[float | None, float | None]:
    """`_shares` of what was spent."""
    grams, totals = _all(task.co2e_g for task in tasks), _totals(tasks)
    if grams is None or not totals or not (spent := math.fsum(totals)) > 0:
        return None, None
    useful = math.fsum(costs.c * costs.accepted for costs in grams)
    unsolved = math.fsum(grams_t for costs, grams_t in zip(grams, totals, strict=True) if not costs.c)
    return 1 - useful / spent, unsolved / spent


def _shares(tasks: Sequence[_Task], k: int) -> tuple[float | None, float | None]:
    """(waste_share, unsolved_share) of the grams at k: on attempts thrown away, on tasks never solved."""
    grams = _all(task.co2e_g for task in tasks)
    if grams is None or not (spent := math.fsum(costs.expected(k) for costs in grams)) > 0:
        return None, None
    useful = math.fsum(costs.passed(k) * costs.accepted for costs in grams)
    return 1 - useful / spent, math.fsum(costs.expected(k) for costs in grams if not costs.c) / spent


def _energy(costs: Sequence[Cost]) -> Energy:
    parts = [
        total(c.generation_j for c in costs),
        total(c.execution_j for c in costs),
        total(c.harness_j for c in costs),
    ]
    return Energy(generation=parts[0], execution=parts[1], harness=parts[2], total=total(parts))


def _carbon(costs: Sequence[Cost]) -> Carbon:
    generation, execution = total(c.generation_g for c in costs), total(c.execution_g for c in costs)
    made, ran = total(c.embodied_generation_g for c in costs), total(c.embodied_execution_g for c in costs)
    harness, operational, embodied = (
        total(c.harness_g for c in costs),
        total((generation, execution)),
        total((made, ran)),
    )
    return Carbon(
        generation=generation,
        execution=execution,
        harness=harness,
        operational=operational,
        embodied_generation=made,
        embodied_execution=ran,
        embodied=embodied,
        total=total((operational, embodied, harness)),
    )


def _completeness(records: Sequence[AttemptRecord], planned: Sequence[_Task], costs: Sequence[Cost]) -> Completeness:
    unfinished = sum(record.verdict is None for record in records)
    return Completeness(
        attempts_planned=len(records),
        attempts_finished=len(records) - unfinished,
        attempts_unfinished=unfinished,
        harness_errors=sum(record.verdict is Verdict.HARNESS_ERROR for record in records),
        generation_missing=sum(cost.generation_j is None for cost in costs),
        execution_missing=sum(cost.execution_j is None for cost in costs),
        harness_missing=sum(cost.harness_j is None for cost in costs),
        tasks_left_out=tuple(task.task_id for task in planned if not task.n),
    )


def _missing(completeness: Completeness, attempts: int, embodied_missing: int) -> list[Reason]:
    parts = {"generation": completeness.generation_missing, "execution": completeness.execution_missing}
    reasons = [
        Reason("energy_missing", part=part, count=count, attempts=attempts) for part, count in parts.items() if count
    ]
    # Where the energy is missing, the embodied carbon mostly is for the same reason.
    if embodied_missing and not reasons:
        reasons.append(Reason("embodied_missing", count=embodied_missing, attempts=attempts))
    return reasons


def _workload(counted: Sequence[AttemptRecord]) -> GenerationLoad:
    generations = [record.generation for record in counted if record.generation is not None]

    def mean(value: Callable[[Generation], float | None]) -> float | None:
        found = [x for x in map(value, generations) if x is not None]
        return math.fsum(found) / len(found) if found else None

    return GenerationLoad(
        prompt_tokens=mean(lambda generation: generation.prompt_tokens),
        completion_tokens=mean(lambda generation: generation.completion_tokens),
        batch_size=mean(lambda generation: generation.batch_size),
        duration_s=mean(lambda generation: generation.duration_s),
    )


def _extraction(counted: Sequence[AttemptRecord]) -> Extraction:
    rules = Counter(record.extraction for record in counted if record.extraction != AS_IS)
    accepted = [record for record in counted if record.verdict is Verdict.ACCEPTED]
    as_is = sum(record.extraction == AS_IS for record in accepted)
    return Extraction(
        needed=rules.total(),
        accepted_as_is=as_is,
        accepted_extracted=len(accepted) - as_is,
        rules=dict(sorted(rules.items())),
    )
