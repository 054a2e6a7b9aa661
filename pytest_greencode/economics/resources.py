"""What attempts used up, by resource: the quantities that prices are put on.

A cost in money is linear in these, so its expectation over retries is that of the resources times their prices, exactly
as grams are joules times a rate.

    generation_kwh, execution_kwh   electricity at the meter: energy * PUE
    prompt_tokens, completion_tokens  as recorded; where a provider counts reasoning in its output, so does the latter
    device_h     for which a device is reserved, as for its embodied carbon (`pricing.device_seconds`)
    machine_h    wall time of the execution, for which it reserves its place on the machine
    duration_s   how long one waits for an attempt: duration of its generation + wall time of its execution
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from ..accounts import ConfigurationAccount, CostMeans
from ..model import J_PER_KWH, AttemptRecord, Factors, Verdict
from ..pricing import Pricing, device_seconds
from ..reasons import Reason

S_PER_H = 3600.0

GENERATION = ("generation_kwh", "prompt_tokens", "completion_tokens", "device_h")
EXECUTION = ("execution_kwh", "machine_h")
RESOURCES = (*GENERATION, *EXECUTION, "duration_s")


class TaskUse(Struct, frozen=True, kw_only=True):
    """One task: n, c, and by resource the mean use of its attempts, its accepted and its failed.

    Where one attempt's use is not known, all three means are None.
    """

    task_id: str
    attempts: int
    accepted: int
    means: Mapping[str, CostMeans]


class Use(Struct, frozen=True, kw_only=True):
    """What one configuration used on one suite; `missing` counts, by resource, the attempts whose use is not known."""

    tasks: tuple[TaskUse, ...]
    attempts: int
    missing: Mapping[str, int]

    def why_missing(self, resources: Iterable[str]) -> str | None:
        """Which of the resources are not known, and of how many attempts; None where all are known."""
        counts = [(name, self.missing.get(name, 0)) for name in resources]
        return Reason.several(
            Reason("resource_missing", resource=name, count=count, attempts=self.attempts)
            for name, count in counts
            if count
        )


Key = tuple[str, str, str]  # suite, model, settings


def uses(
    records: Iterable[AttemptRecord], prices: Factors | Pricing, *, quarantined: Collection[str] = ()
) -> dict[Key, Use]:
    """What each configuration used, over the attempts that `accounting.account` counts, with the energies given."""
    pricing = prices if isinstance(prices, Pricing) else Pricing(prices)
    groups: defaultdict[Key, defaultdict[str, list[AttemptRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record.task_id in quarantined or record.verdict in (None, Verdict.HARNESS_ERROR):
            continue
        key = record.suite, record.configuration.model, record.configuration.settings
        groups[key][record.task_id].append(record)
    return {key: _use(groups[key], pricing) for key in sorted(groups)}


def key_of(configuration: ConfigurationAccount) -> Key:
    """Under which `uses` has what a configuration used."""
    return configuration.suite, configuration.model, configuration.settings


def _use(tasks: Mapping[str, Sequence[AttemptRecord]], pricing: Pricing) -> Use:
    rows = []
    missing = dict.fromkeys(RESOURCES, 0)
    for task_id, records in tasks.items():
        amounts = [_amounts(record, pricing) for record in records]
        accepted = [record.verdict is Verdict.ACCEPTED for record in records]
        for name in RESOURCES:
            missing[name] += sum(amount[name] is None for amount in amounts)
        rows.append(
            TaskUse(
                task_id=task_id,
                attempts=len(records),
                accepted=sum(accepted),
                means={name: _means([amount[name] for amount in amounts], accepted) for name in RESOURCES},
            )
        )
    return Use(tasks=tuple(rows), attempts=sum(row.attempts for row in rows), missing=missing)


def _amounts(record: AttemptRecord, pricing: Pricing) -> dict[str, float | None]:
    generation, reading, factors = record.generation, record.reading, pricing.factors
    amounts: dict[str, float | None] = dict.fromkeys(RESOURCES)
    generation_s = execution_s = None
    if generation is not None:
        pue = 1.0 if generation.pue_included else factors.generation_pue
        generation_s = generation.duration_s
        amounts["generation_kwh"] = _scaled(generation.energy_j, pue / J_PER_KWH)
        amounts["prompt_tokens"] = _scaled(generation.prompt_tokens, 1)
        amounts["completion_tokens"] = _scaled(generation.completion_tokens, 1)
        reserved = device_seconds(generation, pricing.generation_machine(record))
        amounts["device_h"] = None if reserved is None else _scaled(reserved[0], 1 / S_PER_H)
    if reading is not None:
        execution_s = reading.wall_s
        amounts["execution_kwh"] = _scaled(reading.energy_j, factors.execution_pue / J_PER_KWH)
        amounts["machine_h"] = _scaled(execution_s, 1 / S_PER_H)
    if generation_s is not None and execution_s is not None:
        amounts["duration_s"] = _scaled(generation_s + execution_s, 1)
    return amounts


def _scaled(amount: float | None, factor: float) -> float | None:
    """The amount in another unit; None where it is missing or no finite number."""
    return amount * factor if amount is not None and math.isfinite(amount) else None


def _means(amounts: Sequence[float | None], accepted: Sequence[bool]) -> CostMeans:
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return CostMeans(attempt=None, accepted=None, failed=None)
    passed = [amount for amount, good in zip(known, accepted, strict=True) if good]
    failed = [amount for amount, good in zip(known, accepted, strict=True) if not good]
    return CostMeans(attempt=_mean(known), accepted=_mean(passed), failed=_mean(failed))


def _mean(amounts: Sequence[float]) -> float | None:
    return math.fsum(amounts) / len(amounts) if amounts else None
