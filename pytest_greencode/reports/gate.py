"""The gate's decision as text: one sentence, a line for each rule, rows for a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..accounts import ConfigurationAccount
from ..gate.decisions import Decision, Outcome, RuleDecision, decision_from
from ..model import Configuration
from .extras import GateRow
from .names import labels
from .terminal import keyed
from .text import escape, percent, significant

WORDS = {
    Outcome.PASS: "pass",
    Outcome.FAIL: "FAIL",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.NOT_EVALUATED: "not evaluated",
}
_KEYS = {Outcome.NOT_EVALUATED: "not judged"}  # the column of keys is narrow
_TONES = {Outcome.PASS: "green", Outcome.FAIL: "red"}


def decision_in(run_facts: Mapping[str, Any]) -> Decision | None:
    """The decision that the run's facts tell of. Raises TypeError, ValueError and LookupError where it is none."""
    found = run_facts.get("gate")
    return None if found is None else decision_from(found)


def tone(decision: Decision) -> str:
    """The colour in a terminal."""
    return "red" if decision.failed else _TONES.get(decision.decision, "yellow")


def gate_sentence(
    decision: Decision, configurations: Sequence[ConfigurationAccount], *, reasons_stand_beside: bool = False
) -> str:
    """What was decided, and the first reason for it, but for a pass; escaped, on one line.

    With `reasons_stand_beside` only a failure repeats its reason.
    """
    word, count = WORDS[decision.decision], len(decision.rules)
    is_fail = decision.decision is Outcome.FAIL
    strict = ", and --greencode-strict asks for a pass" if decision.failed and not is_fail else ""
    reasons = [each for each in decision.rules if each.decision is decision.decision]
    if decision.decision is Outcome.PASS or not reasons or (reasons_stand_beside and not is_fail):
        return f"{word}: {len(reasons)} of {count} check{'s' * (count != 1)}{strict}"
    first = f"{rule_name(reasons[0], configurations)}: {escape(reasons[0].reason)}"
    more = f"; and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"{word}{strict}: {first}{more}"


def gate_notes(decision: Decision, configurations: Sequence[ConfigurationAccount]) -> Iterator[tuple[str, str]]:
    """(key, text) for each rule and configuration, the worst first, and what the baseline is of; escaped."""
    for each in sorted(decision.rules, key=lambda rule: list(Outcome).index(rule.decision)):
        yield (
            _KEYS.get(each.decision, WORDS[each.decision]),
            f"{rule_name(each, configurations)}: {escape(each.reason)}",
        )
    if decision.differences and any(each.baseline is not None for each in decision.rules):
        told = "; ".join(map(escape, decision.differences))
        yield "differs", f"compared all the same, as was asked for, but the baseline is not of the same: {told}"


def gate_lines(
    decision: Decision, configurations: Sequence[ConfigurationAccount], *, width: int = 80, verbosity: int = 0
) -> tuple[list[str], list[str]]:
    """Lines for the rules, none when pytest is quiet, and the sentence's."""
    shown = verbosity >= 0
    notes = gate_notes(decision, configurations) if shown else ()
    sentence = gate_sentence(decision, configurations, reasons_stand_beside=shown)
    return list(keyed(notes, width)), list(keyed([("gate", sentence)], width))


def gate_rows(decision: Decision, configurations: Sequence[ConfigurationAccount]) -> list[GateRow]:
    return [
        GateRow(
            field=rule_name(each, ())
            if each.suite == ""
            else f"{each.field} {subject_name(each, configurations)}".rstrip(),
            limit=each.rule.rpartition(":")[2],
            value="" if each.value is None else shown_value(each, each.value),
            decision=each.decision.value,
            reason=each.reason,
        )
        for each in decision.rules
    ]


def rule_name(rule: RuleDecision, configurations: Sequence[ConfigurationAccount]) -> str:
    """The rule's field and whom it was judged for; of tests, or where it was judged for nobody, as it was written."""
    if rule.suite == "":
        return escape(rule.rule.rpartition(":")[0])
    name = subject_name(rule, configurations)
    return f"{escape(rule.field)} of {name}" if name else escape(rule.rule)


def subject_name(rule: RuleDecision, configurations: Iterable[ConfigurationAccount]) -> str:
    """As the table calls it, with its suite where there are several; "" for none."""
    if rule.model is None:
        return ""
    known = list(configurations)
    suites = dict.fromkeys(each.suite for each in known)
    own = labels([each for each in known if each.suite == rule.suite])
    name = own.get(Configuration(model=rule.model, settings=rule.settings or "{}"))
    if name is None:
        name = escape(rule.model) + ("" if rule.settings in (None, "{}") else f" {escape(rule.settings or '')}")
    return f"{name} on {escape(rule.suite or '')}" if len(suites) > 1 and rule.suite else name


def shown_value(rule: RuleDecision, value: float) -> str:
    if rule.field.startswith("pass_at_") or rule.field == "waste_share":
        return f"{percent(value)} %"
    return f"{significant(value)} {rule.unit}".rstrip()
