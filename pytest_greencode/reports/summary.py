"""What stands at the head of a report: what to take, what it saves and pays back, when to stop, what is incomplete."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from ..comparison import Selection
from ..comparison.policy import configuration_of
from ..economics.economy import CO2E
from ..economics.payback import ClaimKind, Payback
from ..findings import Decision, Findings, SuiteFindings
from .compare import Names, names_of
from .extras import Sentence
from .sentences import LANGUAGES, claim_sentence, payback_sentence
from .text import escape, percent
from .texts import Bilingual, reason

_LONG_MONTHS = 60  # what is paid back later is no good news
_TONES = {"less": "good", "pays_back": "good", "more": "bad", "never": "bad", "worse_quality": "bad"}
_ON = Bilingual("on {suite}: ", "{suite}：")
_INCOMPLETE = Bilingual(
    "{count} of {planned} attempts of {name} were not run, or not to the end",
    "{name}の試行{planned}件のうち{count}件が実行されていないか、完了していない",
)
_NOT_JUDGED = Bilingual("{name} cannot be judged: {reason}", "{name}は判断できない：{reason}")
_STOP = Bilingual("{name}: stop retrying after {k} attempts ({rule})", "{name}：再試行は{k}回まで（{rule}）")
_SELECTED = Bilingual(
    "Fewest grams at pass@{k} of {target} % or more, with 95 % confidence: {name}",
    "pass@{k}が{target} %以上（信頼度95 %）で最も排出の少ない構成：{name}",
)
_NOT_SELECTED = Bilingual(
    "No configuration reaches pass@{k} of {target} % with 95 % confidence; nearest: {name}",
    "pass@{k}が{target} %に信頼度95 %で達する構成はない。最も近いもの：{name}",
)


def sentences(findings: Findings) -> Iterator[Sentence]:
    """Suite by suite, which is named where there are several. Names are escaped; reasons quote records and are not."""
    for suite in findings.suites:
        on = _ON.filled(suite=escape(suite.suite)) if len(findings.suites) > 1 else Bilingual("", "")
        for each in _of_suite(suite, findings):
            yield replace(each, text=Bilingual(*(prefix + text for prefix, text in zip(on, each.text, strict=True))))


def _of_suite(suite: SuiteFindings, findings: Findings) -> Iterator[Sentence]:
    names = names_of(suite)
    for each in suite.configurations:
        if count := each.completeness.attempts_unfinished:
            planned, name = each.completeness.attempts_planned, names(configuration_of(each))
            text = _INCOMPLETE.filled(count=count, planned=planned, name=name)
            yield Sentence(topic="incomplete", text=text, tone="bad")
    if suite.decision is not None:
        yield from _decided(suite, suite.decision, findings)
    if suite.selection is not None:
        yield _selected(suite.selection, names)
    # Of the one with the fewest grams; the page has the curves of all.
    for configuration, found in zip(suite.configurations[:1], suite.stoppings, strict=False):
        if len(found.curve) > 1 and found.attempts is not None:
            name = names(configuration_of(configuration))
            yield Sentence(topic="stop at", text=_STOP.filled(name=name, k=found.attempts, rule=reason(found.rule)))


def _selected(found: Selection, names: Names) -> Sentence:
    candidate = found.chosen or found.nearest
    name = "-" if candidate is None else names(candidate.configuration)
    text = _NOT_SELECTED if found.chosen is None else _SELECTED
    return Sentence(
        topic="select",
        text=text.filled(k=found.k, target=percent(found.target), name=name),
        tone="bad" if found.chosen is None else "good",
    )


def _decided(suite: SuiteFindings, decision: Decision, findings: Findings) -> Iterator[Sentence]:
    names, currency = names_of(suite), findings.assumptions.currency
    old, new = (names(configuration_of(each)) for each in (decision.old, decision.new))
    claimed = (claim_sentence(decision.claim, old=old, new=new, language=each, k=suite.k) for each in LANGUAGES)
    sure = decision.claim.doubt is None
    tone = _TONES.get(decision.claim.kind.value, "neutral") if sure else "neutral"
    yield Sentence(topic="decision", text=Bilingual(*claimed), tone=tone)
    for configuration, why in (suite.front.unusable if suite.front is not None else {}).items():
        text = _NOT_JUDGED.filled(name=names(configuration), reason=reason(why))
        yield Sentence(topic="not judged", text=text)
    # Without a one-off cost there is nothing to pay back but the benchmark itself.
    paybacks = ((decision.payback_g, CO2E), *(((decision.payback_money, currency),) if currency else ()))
    for found, unit in paybacks if findings.assumptions.one_off else ():
        yield Sentence(
            topic="payback",
            text=Bilingual(*(payback_sentence(found, unit=unit, language=each) for each in LANGUAGES)),
            tone=_tone(found) if decision.claim.kind is ClaimKind.LESS and sure else "neutral",
        )


def _tone(found: Payback) -> str:
    late = found.months is not None and found.months > _LONG_MONTHS
    return "neutral" if late else _TONES.get(found.kind.value, "neutral")
