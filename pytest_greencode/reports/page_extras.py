"""Findings as what the page shows beside the account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..accounts import Account
from ..comparison import Comparison, Effect, Selection
from ..comparison.policy import configuration_of
from ..economics.economy import CO2E, Economy
from ..economics.payback import ClaimKind, Payback
from ..findings import Decision, Findings, SuiteFindings
from ..gate.decisions import Outcome
from ..model import Configuration, Factors
from ..provenance import describe_intensity, describe_machine
from .compare import level_text, names_of
from .extras import (
    AssumptionRow,
    ComparisonRow,
    Explanation,
    Extras,
    FactorRow,
    Key,
    MoneyRow,
    RegionRow,
    Sentence,
)
from .gate import decision_in, gate_rows, gate_sentence
from .sentences import claim_sentence, payback_sentence
from .text import percent, significant
from .texts import Bilingual, plain, reason

if TYPE_CHECKING:
    from ..economics.assumptions import Entry


def extras_of(findings: Findings, factors: Factors) -> Extras:
    """`factors` are the account's."""
    return Extras(
        sentences=tuple(_sentences(findings)),
        comparisons=tuple(_comparison(suite.suite, each) for suite in findings.suites for each in suite.comparisons),
        factors=tuple(
            _factor(suite.suite, each) for suite in findings.suites for each in suite.effects if each.factor != "model"
        ),
        money=tuple(_money(each) for each in findings.economies),
        regions=tuple(_regions(findings)),
        explanations=tuple(_explanations(findings)),
        assumptions=(*_factors(factors), *(_assumption(entry) for entry in findings.assumptions.entries)),
    )


_GATE = Bilingual("Gate: {sentence}", "ゲート判定：{word}（{sentence}）")
_GATE_WORDS = {
    Outcome.PASS: "合格",
    Outcome.FAIL: "不合格",
    Outcome.INCONCLUSIVE: "判定不能",
    Outcome.NOT_EVALUATED: "未評価",
}


def with_gate(extras: Extras, account: Account, run_facts: Mapping[str, Any]) -> Extras:
    """With the gate's decision, where the run had one."""
    decision = decision_in(run_facts)
    if decision is None:
        return extras
    sentence = gate_sentence(decision, account.configurations)
    shown = Sentence(
        text=_GATE.filled(sentence=sentence, word=_GATE_WORDS[decision.decision]),
        tone="bad" if decision.failed else "good" if decision.decision is Outcome.PASS else "neutral",
    )
    rows = tuple(gate_rows(decision, account.configurations))
    return replace(extras, gate=rows, sentences=(shown, *extras.sentences))


_INCOMPLETE = Bilingual(
    "Incomplete: {count} of {planned} attempts of {name} were not run, or not to the end",
    "未完了：{name}の試行{planned}件のうち{count}件が実行されていないか、完了していない",
)


def _sentences(findings: Findings) -> Iterator[Sentence]:
    currency = findings.assumptions.currency
    for suite in findings.suites:
        for each in suite.configurations:
            if count := each.completeness.attempts_unfinished:
                name = names_of(suite)(configuration_of(each))
                planned = each.completeness.attempts_planned
                yield Sentence(text=_INCOMPLETE.filled(count=count, planned=planned, name=name), tone="bad")
        if suite.decision is not None:
            yield from _decided(suite, suite.decision, currency, paid=bool(findings.assumptions.one_off))
        if suite.selection is not None:
            yield _selected(suite, suite.selection)
        # Of the one with the fewest grams; the page has the curves of all.
        for configuration, found in zip(suite.configurations[:1], suite.stoppings, strict=False):
            if len(found.curve) > 1 and found.attempts is not None:
                name = names_of(suite)(configuration_of(configuration))
                yield Sentence(text=_STOP.filled(name=name, k=found.attempts, rule=found.rule))


_STOP = Bilingual("{name}: stop retrying after {k} attempts ({rule})", "{name}：再試行は{k}回まで（{rule}）")
_SELECTED = Bilingual(
    "Fewest grams at pass@{k} of {target} % or more, with 95 % confidence: {name}",
    "pass@{k}が{target} %以上（信頼度95 %）で最も排出の少ない構成：{name}",
)
_NOT_SELECTED = Bilingual(
    "No configuration reaches pass@{k} of {target} % with 95 % confidence; nearest: {name}",
    "pass@{k}が{target} %に信頼度95 %で達する構成はない。最も近いもの：{name}",
)


def _selected(suite: SuiteFindings, found: Selection) -> Sentence:
    candidate = found.chosen or found.nearest
    name = "-" if candidate is None else names_of(suite)(candidate.configuration)
    text = _NOT_SELECTED if found.chosen is None else _SELECTED
    return Sentence(
        text=text.filled(k=found.k, target=percent(found.target), name=name),
        tone="bad" if found.chosen is None else "good",
    )


def _explanations(findings: Findings) -> Iterator[Explanation]:
    """The two ratios of each configuration, with the sums over tasks put in."""
    for suite in findings.suites:
        for each in suite.configurations:
            row = each.retry.get(each.per_accepted.attempts or 0)
            if row is None or row.co2e_g is None or not row.pass_probability:
                continue
            passed, key = row.pass_probability * each.tasks, Key.of(each)
            cost, attempts = row.co2e_g * each.tasks, row.attempts * each.tasks
            yield Explanation(
                figure=Bilingual("CO2e per accepted solution", "合格1件あたりのCO2e"),
                formula="R_k = Σ C_k / Σ P_k",
                substituted=f"{cost:.6g} g / {passed:.6g}",
                result=f"{cost / passed:.6g} g",
                key=key,
            )
            yield Explanation(
                figure=Bilingual("Attempts per accepted solution", "合格1件あたりの試行回数"),
                formula="κ_k = Σ A_k / Σ P_k",
                substituted=f"{attempts:.6g} / {passed:.6g}",
                result=f"{attempts / passed:.6g}",
                key=key,
            )


_NOT_JUDGED = Bilingual("{name} cannot be judged: {reason}", "{name}は判断できない：{reason}")
_LONG_MONTHS = 60  # what is paid back later is no good news
_TONES = {"less": "good", "pays_back": "good", "more": "bad", "never": "bad", "worse_quality": "bad"}


def _decided(suite: SuiteFindings, decision: Decision, currency: str, *, paid: bool) -> Iterator[Sentence]:
    names = names_of(suite)
    old, new = (names(Configuration(model=each.model, settings=each.settings)) for each in (decision.old, decision.new))
    sure = decision.claim.doubt is None
    yield Sentence(
        text=Bilingual(
            *(claim_sentence(decision.claim, old=old, new=new, language=each, k=suite.k) for each in ("en", "ja"))
        ),
        tone=_TONES.get(decision.claim.kind.value, "neutral") if sure else "neutral",
    )
    for configuration, reason_text in (suite.front.unusable if suite.front is not None else {}).items():
        yield Sentence(text=_NOT_JUDGED.filled(name=names(configuration), reason=reason(reason_text)))
    # Without a one-off cost there is nothing to pay back but the benchmark itself.
    paybacks = ((decision.payback_g, CO2E), *(((decision.payback_money, currency),) if currency else ()))
    for found, unit in paybacks if paid else ():
        yield Sentence(
            text=Bilingual(*(payback_sentence(found, unit=unit, language=each) for each in ("en", "ja"))),
            tone=_tone(found) if decision.claim.kind is ClaimKind.LESS and sure else "neutral",
        )


def _tone(found: Payback) -> str:
    late = found.months is not None and found.months > _LONG_MONTHS
    return "neutral" if late else _TONES.get(found.kind.value, "neutral")


def _key(suite: str, configuration: Configuration) -> Key:
    return Key(suite, configuration.model, configuration.settings)


def _comparison(suite: str, found: Comparison) -> ComparisonRow:
    why = [found.co2e_g.reason, *found.cautions]
    band = found.co2e_g.systematic
    note = "; ".join(text for text in why if text)
    return ComparisonRow(
        first=_key(suite, found.a.configuration),
        second=_key(suite, found.b.configuration),
        ratio=found.co2e_g.value,
        interval=found.co2e_g.interval,
        tasks=found.tasks,
        distinguishable=found.co2e_g.distinguishable,
        pass_difference_pp=found.pass_probability.value_pp,
        pass_interval_pp=found.pass_probability.interval_pp,
        systematic=None if band is None else (band.p5, band.p95),
        robust=found.co2e_g.robust,
        note=reason(note) if note else None,
    )


def _factor(suite: str, found: Effect) -> FactorRow:
    return FactorRow(
        suite=suite,
        factor=found.factor,
        low=level_text(found.reference),
        high=level_text(found.level),
        ratio=found.co2e_g.value,
        interval=found.co2e_g.interval,
        pairs=len(found.strata),
        distinguishable=found.co2e_g.distinguishable,
        note=reason(found.co2e_g.reason) if found.co2e_g.reason else None,
    )


def _money(found: Economy) -> MoneyRow:
    configuration, money, work = found.configuration, found.money, found.human_work
    grams, paid = found.human
    minutes = None if isinstance(work.minutes, str) else sum(work.minutes.values()) / len(work.minutes)
    why = money.per_accepted.reason
    return MoneyRow(
        key=Key.of(configuration),
        currency=money.currency,
        per_accepted=money.per_accepted.value,
        parts={part.name: part.per_accepted.value for part in money.parts if part.per_accepted.value is not None},
        human_minutes=minutes,
        human_money=paid.other,
        human_co2e_g=grams.other,
        human_seconds_equal=found.workstation_s.value,
        reason=reason(why) if why else None,
    )


def _regions(findings: Findings) -> Iterator[RegionRow]:
    tables = findings.regions
    first = next(iter(tables.values()), ())
    for position, row in enumerate(first):
        yield RegionRow(
            region=f"{row.name} ({row.region})",
            g_per_kwh=row.g_per_kwh,
            year=row.year,
            co2e_g={Key(*key): table[position].total_g for key, table in tables.items()},
            source="Our World in Data / Ember",
        )


def _factors(factors: Factors) -> Iterator[AssumptionRow]:
    for name, intensity in (
        (Bilingual("Grid of generation", "生成側の電力網"), factors.generation),
        (Bilingual("Grid of execution", "実行側の電力網"), factors.execution),
    ):
        yield AssumptionRow(name=name, value=describe_intensity(intensity), source=intensity.source)
    for name, pue in (
        (Bilingual("PUE of generation", "生成側のPUE"), factors.generation_pue),
        (Bilingual("PUE of execution", "実行側のPUE"), factors.execution_pue),
    ):
        yield AssumptionRow(name=name, value=f"{pue:g}", source="--greencode-pue, --greencode-generation-pue")
    for name, machine in (
        (
            Bilingual("Generator's machine, where none is named", "生成側の機器（記録がない場合）"),
            factors.generation_machine,
        ),
        (Bilingual("Test machine", "実行側の機器"), factors.execution_machine),
    ):
        if machine is not None:
            low, high = machine.embodied_low_g / 1e3, machine.embodied_high_g / 1e3
            value = f"{describe_machine(machine)} ({significant(low)} to {significant(high)} kg)"
            yield AssumptionRow(name=name, value=value, source=machine.source, method="estimated")


def _assumption(entry: Entry) -> AssumptionRow:
    unit = f" {entry.unit}" if entry.unit else ""
    return AssumptionRow(name=plain(entry.name), value=f"{entry.value}{unit}", source=entry.origin)
