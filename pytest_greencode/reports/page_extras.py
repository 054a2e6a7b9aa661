"""Findings as what the page shows beside the account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..accounts import Account
from ..comparison import Comparison, Effect
from ..economics.economy import Economy
from ..findings import Findings
from ..gate.decisions import Outcome
from ..model import Configuration, Factors
from ..provenance import describe_intensity, describe_machine
from ..reasons import Reason
from . import outlook_extras as outlook
from .compare import level_text
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
from .summary import sentences
from .text import significant
from .texts import Bilingual, plain, reason

if TYPE_CHECKING:
    from ..economics.assumptions import Entry


def extras_of(findings: Findings, factors: Factors) -> Extras:
    """`factors` are the account's."""
    return Extras(
        sentences=tuple(sentences(findings)),
        comparisons=tuple(_comparison(suite.suite, each) for suite in findings.suites for each in suite.comparisons),
        factors=tuple(
            _factor(suite.suite, each) for suite in findings.suites for each in suite.effects if each.factor != "model"
        ),
        taken=tuple(outlook.takens(findings)),
        alternatives=tuple(outlook.alternatives(findings)),
        other_ways=tuple(outlook.other_ways(findings)),
        cascades=tuple(outlook.cascades(findings)),
        months=tuple(outlook.months(findings)),
        month_notes=tuple(outlook.month_notes(findings)),
        paybacks=tuple(outlook.paybacks(findings)),
        one_off=tuple(outlook.one_offs(findings)),
        money=tuple(_money(each) for each in findings.economies),
        regions=tuple(_regions(findings)),
        explanations=tuple(_explanations(findings)),
        assumptions=(*_factors(factors), *(_assumption(entry) for entry in findings.assumptions.entries)),
    )


def extras_without_findings(account: Account) -> Extras:
    """The factors alone; of a test suite, those of the machine that it ran on."""
    return Extras(assumptions=tuple(_factors(account.factors, generation=bool(account.configurations))))


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
        topic="gate",
        text=_GATE.filled(sentence=sentence, word=_GATE_WORDS[decision.decision]),
        tone="bad" if decision.failed else "good" if decision.decision is Outcome.PASS else "neutral",
    )
    rows = tuple(gate_rows(decision, account.configurations))
    return replace(extras, gate=rows, sentences=(shown, *extras.sentences))


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


def _key(suite: str, configuration: Configuration) -> Key:
    return Key(suite, configuration.model, configuration.settings)


def _comparison(suite: str, found: Comparison) -> ComparisonRow:
    note = Reason.several([found.co2e_g.reason, *found.cautions])
    band = found.co2e_g.systematic
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


def _factors(factors: Factors, *, generation: bool = True) -> Iterator[AssumptionRow]:
    """Without `generation` those of execution alone."""
    first = 0 if generation else 1
    for name, intensity in (
        (Bilingual("Grid of generation", "生成側の電力網"), factors.generation),
        (Bilingual("Grid of execution", "実行側の電力網"), factors.execution),
    )[first:]:
        yield AssumptionRow(name=name, value=describe_intensity(intensity), source=intensity.source)
    for name, pue, option in (
        (Bilingual("PUE of generation", "生成側のPUE"), factors.generation_pue, "--greencode-generation-pue"),
        (Bilingual("PUE of execution", "実行側のPUE"), factors.execution_pue, "--greencode-pue"),
    )[first:]:
        yield AssumptionRow(name=name, value=f"{pue:g}", source=option)
    for name, machine in (
        (
            Bilingual("Generator's machine, where none is named", "生成側の機器（記録がない場合）"),
            factors.generation_machine,
        ),
        (Bilingual("Test machine", "実行側の機器"), factors.execution_machine),
    )[first:]:
        if machine is not None:
            low, high = machine.embodied_low_g / 1e3, machine.embodied_high_g / 1e3
            value = f"{describe_machine(machine)} ({significant(low)} to {significant(high)} kg)"
            yield AssumptionRow(name=name, value=value, source=machine.source, method="estimated")


def _assumption(entry: Entry) -> AssumptionRow:
    unit = f" {entry.unit}" if entry.unit else ""
    return AssumptionRow(name=plain(entry.name), value=f"{entry.value}{unit}", source=entry.origin)
