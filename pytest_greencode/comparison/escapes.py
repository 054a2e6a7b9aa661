"""Accepted, but wrong: what a stronger, hidden suite says of the solutions that the public tests accepted.

Costs are those of the public run; the hidden suite only judges. Per task (metric, "accepted but wrong"):
P_correct = P_k * share of the accepted samples that also pass the hidden suite.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from ..accounts import ConfigurationAccount
from ..model import AttemptRecord, Configuration, Verdict
from ..statistics import CONFIDENCE, Interval, ratio_interval, share_interval
from .pairs import too_few
from .policy import configuration_of, retrying


class Escape(Struct, frozen=True, kw_only=True):
    """How much of what was accepted at most `k` attempts is wrong, on the tasks that both suites have.

    `escape_rate`: 1 - sum P_correct / sum P_k. `correct_probability`: mean P_correct. Costs are per correct solution:
    R_correct = sum C_k / sum P_correct. Intervals are over tasks. `accepted` samples were judged by the hidden suite,
    `escaped` of them failed it; `unjudged` ones have no verdict there. `left_out`: tasks without a judged one though
    some were accepted, or absent from the hidden suite. `reason`: why there is nothing, or no cost.
    """

    configuration: Configuration
    public: str
    hidden: str
    k: int
    tasks: int
    left_out: tuple[str, ...]
    accepted: int
    escaped: int
    unjudged: int
    pass_probability: float | None
    correct_probability: float | None
    escape_rate: float | None
    escape_interval: Interval | None
    energy_j: float | None
    co2e_g: float | None
    co2e_interval: Interval | None
    reason: str | None


def escape(
    account: ConfigurationAccount,
    records_public: Iterable[AttemptRecord],
    records_hidden: Iterable[AttemptRecord],
    k: int,
    *,
    confidence: float = CONFIDENCE,
) -> Escape:
    """One configuration's escape rate. `account` is that of its public run, whose records `records_public` are.

    Records of other configurations are passed over, and public ones of other suites. Tasks go together by their
    number, samples by their `sample_id`. ValueError for `k` below 1, and where the hidden records are of several
    suites.
    """
    configuration = configuration_of(account)
    public = [r for r in records_public if r.configuration == configuration and r.suite == account.suite]
    hidden = [r for r in records_hidden if r.configuration == configuration]
    suites = sorted({record.suite for record in hidden})
    if len(suites) > 1:
        raise ValueError("the hidden records are of several suites")
    judged = _verdicts(hidden)
    known_tasks = {number for number, _ in judged}
    accepted: Counter[str] = Counter()
    right: Counter[str] = Counter()
    unjudged: Counter[str] = Counter()
    for record in public:
        if record.verdict is not Verdict.ACCEPTED:
            continue
        verdict = judged.get((task_number(record.task_id), record.sample_id))
        if verdict is None:
            unjudged[record.task_id] += 1
        else:
            accepted[record.task_id] += 1
            right[record.task_id] += verdict is Verdict.ACCEPTED
    terms = retrying(account, k)
    tasks = [
        task for task in terms.tasks if task_number(task) in known_tasks and (accepted[task] or not unjudged[task])
    ]
    reason = terms.reason or (None if tasks else "no task in common with the hidden suite")
    terms = terms.on(tasks)
    correct = [
        p * right[task] / accepted[task] if accepted[task] else 0.0 for task, p in zip(tasks, terms.solved, strict=True)
    ]
    total, passed = math.fsum(correct), math.fsum(terms.solved)
    if reason is None:
        reason = terms.cost_reason or ("none accepted" if not passed else None if total else "none correct")
    few = too_few(len(tasks))
    share = None if few else share_interval(correct, terms.solved, confidence)
    return Escape(
        configuration=configuration,
        public=account.suite,
        hidden=suites[0] if suites else "",
        k=k,
        tasks=len(tasks),
        left_out=tuple(task for task in retrying(account, k).tasks if task not in set(tasks)),
        accepted=sum(accepted[task] for task in tasks),
        escaped=sum(accepted[task] - right[task] for task in tasks),
        unjudged=unjudged.total(),
        pass_probability=terms.pass_probability,
        correct_probability=total / len(tasks) if tasks else None,
        escape_rate=1 - total / passed if passed else None,
        escape_interval=(1 - share[1], 1 - share[0]) if share else None,
        energy_j=math.fsum(terms.energy_j) / total if terms.energy_j and total else None,
        co2e_g=math.fsum(terms.co2e_g) / total if terms.co2e_g and total else None,
        co2e_interval=ratio_interval(terms.co2e_g, correct, confidence) if terms.co2e_g and not few else None,
        reason=reason,
    )


def task_number(task_id: str) -> str:
    """What tasks of two suites have in common: the number at the end ("HumanEval/7" and "HumanEvalPlus/7")."""
    found = re.search(r"([0-9]+)\Z", task_id)
    return found[1].lstrip("0") or "0" if found else task_id


def _verdicts(records: Iterable[AttemptRecord]) -> Mapping[tuple[str, int], Verdict]:
    """What became of each sample of each task that the harness did not fail. The worst, where one was run twice."""
    found: defaultdict[tuple[str, int], set[Verdict]] = defaultdict(set)
    for record in records:
        if record.verdict is not None and record.verdict is not Verdict.HARNESS_ERROR:
            found[task_number(record.task_id), record.sample_id].add(record.verdict)
    return {key: min(verdicts, key=lambda verdict: verdict is Verdict.ACCEPTED) for key, verdicts in found.items()}
