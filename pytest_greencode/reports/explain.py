"""A headline taken apart: each formula with its numbers put in, from the ledger's records to grams per accepted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from ..accounts import ConfigurationAccount, CostMeans, TaskRow
from ..estimators import expected_attempts, expected_cost, pass_probability
from ..model import AttemptRecord, Machine, Verdict
from ..pricing import PARTS, Pricing, device_seconds
from ..provenance import describe_intensity
from ..statistics import student_t_quantile
from .text import escape, wrap

_YEAR_S = 365 * 86400


def explain(
    configuration: ConfigurationAccount,
    records: Sequence[AttemptRecord],
    pricing: Pricing,
    *,
    task_id: str | None = None,
    width: int = 80,
) -> Iterator[str]:
    """Lines of at most `width` columns. `records` are the run's; those of the configuration are picked out.

    With `task_id` all attempts of that task are taken apart, else the first attempt that has energy stands as the
    example and the tasks that weigh most are listed. Numbers have 6 digits, so that the sums can be checked by hand.
    """
    own = [
        record
        for record in records
        if record.suite == configuration.suite
        and (record.configuration.model, record.configuration.settings) == (configuration.model, configuration.settings)
    ]
    rows = {row.task_id: row for row in configuration.task_rows}
    for indent, text in _explained(configuration, own, rows, pricing, task_id):
        yield from wrap(text, width, first=" " * indent, rest=" " * (indent + 4)) if text else [""]


def _explained(
    configuration: ConfigurationAccount,
    records: Sequence[AttemptRecord],
    rows: dict[str, TaskRow],
    pricing: Pricing,
    task_id: str | None,
) -> Iterator[tuple[int, str]]:
    headline = configuration.per_accepted
    settings = "" if configuration.settings == "{}" else f" {configuration.settings}"
    yield 0, f"{escape(configuration.model + settings)} on {escape(configuration.suite)}"
    yield 0, ""
    shown = [record for record in records if record.task_id == task_id] if task_id else records
    counted = [r for r in shown if r.verdict is not None and r.verdict is not Verdict.HARNESS_ERROR]
    if not task_id:
        counted = [r for r in counted if pricing.price(r).solution_g is not None][:1] or counted[:1]
    yield 0, "What an attempt costs" + ("" if task_id else " (the first, as an example)")
    for record in counted:
        yield from _attempt(record, pricing)
    k = headline.attempts
    row = rows.get(task_id or (counted[0].task_id if counted else ""))
    if row is not None and k is not None and not configuration.chain and k <= row.attempts:
        yield 0, ""
        yield from _task(row, k)
    yield 0, ""
    yield from _headline(configuration)


def _attempt(record: AttemptRecord, pricing: Pricing) -> Iterator[tuple[int, str]]:
    cost, generation, reading = pricing.price(record), record.generation, record.reading
    verdict = record.verdict.value if record.verdict is not None else "not finished"
    yield 2, f"{escape(record.task_id)}, sample {record.sample_id}: {verdict}"
    if cost.generation_j is None or generation is None:
        yield 4, "generation: energy not recorded, so its grams are unknown (not 0)"
    else:
        included = generation.pue_included
        pue = 1.0 if included else pricing.factors.generation_pue
        grid = pricing.generation_intensity(record)
        source = f"{generation.energy_method.value}, {generation.source or 'samples file'}"
        yield (
            4,
            (
                f"generation: {_number(cost.generation_j)} J ({escape(source)}) x PUE {pue:g}"
                f"{' (in the energy already)' if included else ''} x {grid.g_per_kwh:g} g/kWh / 3.6e6 ="
                f" {_number(cost.generation_g)} g  [{escape(describe_intensity(grid))}]"
            ),
        )
    if cost.execution_j is None or reading is None:
        yield 4, "execution: no energy known, so its grams are unknown (not 0)"
    else:
        factors = pricing.factors
        source = f"{reading.energy_method.value}, {reading.energy_source or 'unnamed meter'}"
        yield (
            4,
            (
                f"execution: {_number(cost.execution_j)} J ({escape(source)}; {_number(reading.cpu_s)} s of CPU time)"
                f" x PUE {factors.execution_pue:g} x {factors.execution.g_per_kwh:g} g/kWh / 3.6e6 ="
                f" {_number(cost.execution_g)} g  [{escape(describe_intensity(factors.execution))}]"
            ),
        )
    yield from _embodied_generation(record, cost.embodied_generation_g, pricing)
    machine = pricing.factors.execution_machine
    if machine is None or reading is None or cost.embodied_execution_g is None:
        yield 4, "embodied, execution: unknown (no machine, or no time)"
    else:
        threads = f" x 1/{machine.threads} of it" if machine.threads and machine.threads > 1 else ""
        yield (
            4,
            (
                f"embodied, execution: {_made(machine)} x {_number(reading.wall_s)} s{threads} ="
                f" {_number(cost.embodied_execution_g)} g  [{escape(machine.name)}]"
            ),
        )
    parts = " + ".join(_number(part) for part in cost.parts_g)
    yield 4, f"attempt: {parts} = {_number(cost.solution_g)} g"


def _embodied_generation(record: AttemptRecord, grams: float | None, pricing: Pricing) -> Iterator[tuple[int, str]]:
    generation, machine = record.generation, pricing.generation_machine(record)
    reserved = device_seconds(generation, machine) if generation and machine else None
    if generation is None or machine is None or reserved is None:
        yield 4, "embodied, generation: unknown (neither time with batch size nor energy with the device's power)"
        return
    if generation.duration_s is not None and generation.batch_size:
        time = (
            f"{_number(generation.duration_s)} s x {generation.gpu_count or 1} device(s) / batch of"
            f" {generation.batch_size}"
        )
    else:
        time = f"{_number(generation.energy_j)} J / {machine.power_w:g} W"
    yield (
        4,
        (
            f"embodied, generation: {_made(machine)} x ({time} = {_number(reserved[0])} s) ="
            f" {_number(grams)} g  [{escape(machine.name)}]"
        ),
    )


def _made(machine: Machine) -> str:
    """TE / EL."""
    return f"{machine.embodied_g:.6g} g / ({machine.lifetime_s / _YEAR_S:g} years = {machine.lifetime_s:.6g} s)"


def _task(row: TaskRow, k: int) -> Iterator[tuple[int, str]]:
    n, c = row.attempts, row.accepted
    passed, attempts = pass_probability(n, c, k), expected_attempts(n, c, k)
    yield 0, f"What the task {escape(row.task_id)} costs, retried until accepted, at most k = {k} times"
    yield 2, f"n = {n} attempts, c = {c} accepted"
    yield 2, f"P_k = 1 - C({n - c}, {k}) / C({n}, {k}) = {_fraction(passed)}"
    if c:
        yield (
            2,
            f"A_k = ({n} + 1) / ({c} + 1) x [1 - C({n - c}, {k}) / C({n + 1}, {k})] = {_fraction(attempts)} attempts",
        )
    else:
        yield 2, f"A_k = k = {k} attempts, as none was accepted"
    yield from _task_cost("grams", row.co2e_g, n, c, k, "g")
    yield from _task_cost("joules", row.energy_j, n, c, k, "J")


def _task_cost(name: str, means: CostMeans, n: int, c: int, k: int, unit: str) -> Iterator[tuple[int, str]]:
    if means.attempt is None:
        yield 2, f"C_k in {name}: unknown, as an attempt's cost is"
        return
    accepted, failed = means.accepted or 0.0, means.failed or 0.0
    passed, attempts = pass_probability(n, c, k), expected_attempts(n, c, k)
    yield (
        2,
        (
            f"C_k = (A_k - P_k) x mean of failed + P_k x mean of accepted = {_fraction(attempts - passed)} x"
            f" {_number(failed)} {unit} + {_fraction(passed)} x {_number(accepted)} {unit} ="
            f" {_number(expected_cost(n, c, k, accepted, failed))} {unit}"
        ),
    )


def _headline(configuration: ConfigurationAccount) -> Iterator[tuple[int, str]]:
    headline, rows = configuration.per_accepted, configuration.task_rows
    k = headline.attempts
    yield 0, "What an accepted solution costs"
    if headline.co2e_g is None or k is None:
        yield 2, f"unknown: {escape(headline.reason or 'no headline')}"
        if headline.lower_bound_co2e_g is not None:
            yield (
                2,
                (
                    f"none of N = {configuration.attempts} attempts was accepted: at least mean cost /"
                    f" (1 - 0.05^(1/N)) = {_number(headline.lower_bound_co2e_g)} g with 95 % confidence"
                ),
            )
        return
    if configuration.chain:
        spent = _sum((row.co2e_g.attempt or 0.0) * row.attempts for row in rows)
        yield (
            2,
            (
                f"attempts depend on each other, so R is what the log says: {_number(spent)} g /"
                f" {configuration.accepted} accepted = {_number(headline.co2e_g)} g"
            ),
        )
    else:
        yield from _ratio(configuration, k)
    yield 2, f"of this: {', '.join(f'{_PART_NAMES[part]} {_number(headline.parts_g[part])} g' for part in PARTS)}"
    yield (
        2,
        (
            f"operational {_number(headline.operational_g)} g + embodied {_number(headline.embodied_g)} g ="
            f" {_number(headline.co2e_g)} g"
        ),
    )
    band = headline.systematic
    if band is not None:
        yield (
            2,
            (
                f"systematic band (5 to 95 % of {band.draws} draws, seed {band.seed}): {_number(band.p5)} to"
                f" {_number(band.p95)} g; one factor moved alone:"
            ),
        )
        for name, (low, high) in band.spans.items():
            if low != high:
                yield 4, f"{escape(name)}: {_number(low)} to {_number(high)} g"


_PART_NAMES = {
    "generation": "generation",
    "execution": "execution",
    "embodied_generation": "embodied of generation",
    "embodied_execution": "embodied of execution",
}


def _ratio(configuration: ConfigurationAccount, k: int) -> Iterator[tuple[int, str]]:
    headline, rows = configuration.per_accepted, configuration.task_rows
    costs = [
        expected_cost(row.attempts, row.accepted, k, row.co2e_g.accepted or 0.0, row.co2e_g.failed or 0.0)
        for row in rows
    ]
    passes = [float(pass_probability(row.attempts, row.accepted, k)) for row in rows]
    attempts = _sum(float(expected_attempts(row.attempts, row.accepted, k)) for row in rows)
    cost, passed, m = _sum(costs), _sum(passes), len(rows)
    ratio = cost / passed
    yield (
        2,
        f"R_k = sum of C_k / sum of P_k over {m} tasks = {_number(cost)} g / {_number(passed)} = {_number(ratio)} g",
    )
    yield (
        2,
        (
            f"kappa_k = sum of A_k / sum of P_k = {_number(attempts)} / {_number(passed)} ="
            f" {_number(attempts / passed)} attempts per accepted solution"
        ),
    )
    ranked = sorted(zip(costs, passes, rows, strict=True), key=lambda each: -each[0])
    heaviest = ", ".join(
        f"{escape(row.task_id)} {_number(c)} g (P_k {_number(p)}, {100 * c / cost:.1f} %)" for c, p, row in ranked[:5]
    )
    yield 2, f"the tasks with the largest C_k: {heaviest}"
    if headline.interval is None:
        yield 2, f"no interval: {escape(headline.interval_reason or '')}"
        return
    squares = _sum((c - ratio * p) ** 2 for c, p in zip(costs, passes, strict=True))
    error = math.sqrt(m / (m - 1) * squares) / cost
    t = student_t_quantile((1 + headline.confidence) / 2, m - 1)
    low, high = headline.interval
    yield (
        2,
        (
            f"interval over tasks like these: se(log R) = sqrt(m/(m-1) x sum of (C_k - R P_k)^2) / (R x sum of P_k) ="
            f" {_number(error)}; t = {_number(t)} on {m - 1} degrees;"
            f" R x exp(-+ t se) = {_number(low)} to {_number(high)} g"
        ),
    )


def _sum(values: Iterable[float]) -> float:
    return math.fsum(values)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"


def _fraction(value: object) -> str:
    text = str(value)
    return text if len(text) <= 12 else f"{float(value):.6g}"  # type: ignore[arg-type]
