"""What one factor does: configurations that differ in exactly one, compared on the same tasks.

A factor is the model or one key of the settings (temperature, quantization, max_new_tokens, prompt style, ...). Its
sign is measured, never assumed. Each setting of all other factors in which both levels were run is a stratum; over
strata the effect is the geometric mean of their ratios, with equal weights, and the tasks are the clusters: a task's
influence is the mean of its influences in the strata, so that what strata share (the tasks) is not counted as
independent. The interval is for tasks like these under these settings, not for other settings.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from msgspec import Struct

from ..accounts import ConfigurationAccount
from ..reasons import Reason
from ..statistics import CONFIDENCE, log_influences
from .pairs import Comparison, Difference, Ratio, compare, covariate, difference_of, no_difference, no_ratio, ratio_of
from .policy import Terms, left_out, retrying, shared_tasks

MODEL = "model"
COVARIATES = ("prompt_tokens", "completion_tokens", "batch_size")


class Effect(Struct, frozen=True, kw_only=True):
    """`level` beside `reference` of one factor (canonical JSON text; None: the key is not set).

    Ratios are level over reference of J and g per accepted solution, and `pass_probability` is level minus reference,
    all combined over `strata` on the `tasks` that all of them have. `strata` are single comparisons, each on all its
    own tasks; of these `unused` are not in the ratios, as they have none. `covariates` are means over the strata of
    what was measured along (reference, level): what else the factor changes.
    """

    factor: str
    reference: str | None
    level: str | None
    energy_j: Ratio
    co2e_g: Ratio
    pass_probability: Difference
    tasks: int
    left_out: tuple[str, ...]
    strata: tuple[Comparison, ...]
    unused: int
    covariates: Mapping[str, tuple[float | None, float | None]]
    confidence: float


def factors_of(account: ConfigurationAccount) -> dict[str, str]:
    """A configuration's factors and their levels, as canonical JSON text."""
    settings = json.loads(account.settings)
    levels = {key: json.dumps(value, sort_keys=True, ensure_ascii=False) for key, value in settings.items()}
    if MODEL in levels:
        levels[f"settings.{MODEL}"] = levels.pop(MODEL)
    return {MODEL: json.dumps(account.model, ensure_ascii=False), **levels}


def effects(
    accounts: Sequence[ConfigurationAccount], k: int, *, model: bool = True, confidence: float = CONFIDENCE
) -> tuple[Effect, ...]:
    """Every factor and pair of levels that some configurations of one suite differ in alone, by factor and level.

    `model`: whether the model is one of the factors; of many models there are very many pairs.
    ValueError for `k` below 1.
    """
    strata: defaultdict[tuple[str, str | None, str | None], list[tuple[ConfigurationAccount, ConfigurationAccount]]]
    strata = defaultdict(list)
    known = [(account, factors_of(account)) for account in accounts]
    for (one, levels), (other, others) in combinations(known, 2):
        if one.suite != other.suite:
            continue
        changed = [name for name in {**levels, **others} if levels.get(name) != others.get(name)]
        if len(changed) != 1:
            continue
        factor = changed[0]
        if factor == MODEL and not model:
            continue
        (reference, first), (level, second) = sorted(
            [(levels.get(factor), one), (others.get(factor), other)], key=lambda pair: _level_order(pair[0])
        )
        strata[factor, reference, level].append((first, second))
    return tuple(
        _effect(*key, strata[key], k, confidence)
        for key in sorted(strata, key=lambda key: (key[0] != MODEL, key[0], _level_order(key[1]), _level_order(key[2])))
    )


def _level_order(level: str | None) -> tuple[int, float, str]:
    """Not set, then numbers by size, then the rest by name."""
    if level is None:
        return 0, 0.0, ""
    value = json.loads(level)
    # Compared before it is made a float, which a larger integer cannot be; NaN is in no order.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < sys.float_info.max:
        return 1, float(value), level
    return 2, 0.0, level


def _effect(
    factor: str,
    reference: str | None,
    level: str | None,
    pairs: Sequence[tuple[ConfigurationAccount, ConfigurationAccount]],
    k: int,
    confidence: float,
) -> Effect:
    comparisons = tuple(compare(second, first, k, confidence=confidence) for first, second in pairs)
    terms = [(retrying(first, k), retrying(second, k)) for first, second in pairs]
    # Tasks that all strata have, so that a task weighs the same in each.
    usable = [pair for pair in terms if not any(each.reason for each in pair)]
    everything = [each for pair in usable for each in pair]
    tasks = shared_tasks(everything)
    usable = [(one.on(tasks), other.on(tasks)) for one, other in usable] if tasks else []
    costed = [pair for pair in usable if all(_has_ratio(each) for each in pair)]
    if costed:
        energy_j, co2e_g = (
            _combined([(_costs(one, unit), _costs(other, unit)) for one, other in costed], costed, confidence)
            for unit in ("energy_j", "co2e_g")
        )
    else:
        alone = next((c.co2e_g.reason for c in comparisons if c.co2e_g.value is None), None)
        reason = alone or Reason("none_on_common" if tasks else "no_common_task")
        energy_j = co2e_g = no_ratio(reason)
    gains = [[p - q for p, q in zip(other.solved, one.solved, strict=True)] for one, other in usable]
    return Effect(
        factor=factor,
        reference=reference,
        level=level,
        energy_j=energy_j,
        co2e_g=co2e_g,
        pass_probability=(
            difference_of(_means(gains), confidence)
            if gains
            else no_difference(comparisons[0].pass_probability.reason or Reason("no_common_task"))
        ),
        tasks=len(tasks),
        left_out=left_out(everything, tasks),
        strata=comparisons,
        unused=len(pairs) - len(costed),
        covariates={
            name: (
                _known_mean([covariate(a, name) for a, _ in pairs]),
                _known_mean([covariate(b, name) for _, b in pairs]),
            )
            for name in COVARIATES
        },
        confidence=confidence,
    )


def _costs(terms: Terms, unit: str) -> tuple[float, ...]:
    return (terms.energy_j if unit == "energy_j" else terms.co2e_g) or ()


def _has_ratio(terms: Terms) -> bool:
    return all(math.fsum(_costs(terms, unit)) > 0 for unit in ("energy_j", "co2e_g")) and math.fsum(terms.accepted) > 0


def _combined(
    costs: Sequence[tuple[tuple[float, ...], tuple[float, ...]]],
    pairs: Sequence[tuple[Terms, Terms]],
    confidence: float,
) -> Ratio:
    """exp of the mean over strata of log(R_level / R_reference)."""
    logs, influences = [], []
    for (cost, other_cost), (one, other) in zip(costs, pairs, strict=True):
        below, above = log_influences(cost, one.accepted), log_influences(other_cost, other.accepted)
        if below is None or above is None:
            return no_ratio(Reason("not_positive"))
        influences.append([y - x for x, y in zip(below, above, strict=True)])
        ratio = math.fsum(cost) / math.fsum(one.accepted)
        logs.append(math.log(math.fsum(other_cost) / math.fsum(other.accepted) / ratio))
    return ratio_of(math.exp(math.fsum(logs) / len(logs)), _means(influences), confidence)


def _means(strata: Sequence[Sequence[float]]) -> list[float]:
    """Per task the mean over strata."""
    return [math.fsum(values) / len(strata) for values in zip(*strata, strict=True)]


def _known_mean(values: Sequence[float | None]) -> float | None:
    """The mean, None where any is unknown."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(values) else None
