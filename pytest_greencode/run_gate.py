"""The gate of a run in a ledger, and the baseline that it leaves, for pytest and for the command line."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .accounts import Account, ConfigurationAccount
from .baseline import Baseline, BaselineConfiguration, Money, grids
from .conditions import conditions, told_apart
from .economics.expectation import Costs
from .gate.decisions import Decision, decide
from .gate.rules import Field, Rule
from .gate.subjects import Subject, subject_of, subject_of_tests
from .ledger import Ledger
from .model import AttemptRecord, Factors
from .pricing import Pricing
from .project_costs import costs_of_project, why_incomplete
from .run_account import account_of_run, pricing_of, records_of_run

if TYPE_CHECKING:
    from .economics.assumptions import Assumptions
    from .economics.economy import Economy


def gate_of_run(
    ledger: Ledger,
    run_id: str,
    rules: Sequence[Rule],
    *,
    factors: Factors,
    attempts_allowed: int | None = None,
    account: Account | None = None,
    baseline: Baseline | None = None,
    baseline_name: str | None = None,
    accept_differences: bool = False,
    strict: bool = False,
    assumptions: Assumptions | None = None,
) -> Decision:
    """The decision on a run. `account` spares making it again by the `factors`. Raises LedgerError."""
    facts = ledger.facts(run_id)
    own = account or account_of_run(ledger, run_id, factors, attempts_allowed=attempts_allowed)
    samples = samples_of(ledger.records(run_id))
    priced = assumptions if any(rule.field.name == "money_per_accepted" for rule in rules) else None
    subjects = subjects_of(own, rules, samples, _economies(ledger, run_id, own, priced))
    subjects += tests_of(own, _fields(rules), facts)
    if baseline is None or not any(rule.relative for rule in rules):
        return decide(rules, subjects, strict=strict)
    # The baseline's grids on both sides, as a grid that has changed is nobody's regression; and one number of attempts.
    common = _common_attempts(own, baseline)
    again = account_of_run(
        ledger, run_id, baseline.factors, attempts_allowed=attempts_allowed, regions=baseline.regions
    )
    repriced = subjects_of(again, rules, samples, _economies(ledger, run_id, again, priced), common)
    return decide(
        rules,
        subjects,
        references_of(baseline, rules, _currency(assumptions), common),
        repriced=[*repriced, *tests_of(again, _fields(rules), facts)],
        strict=strict,
        baseline=baseline_name or "baseline",
        differences=differences(baseline, own, facts),
        accept_differences=accept_differences,
    )


def differences(baseline: Baseline, account: Account, facts: Mapping[str, Any]) -> list[str]:
    """In what the baseline was measured otherwise: grid and machines, CPU, meter, sandbox, suite, limits."""
    found = told_apart(grids(baseline.factors), grids(account.factors))
    known = {(each.suite, each.model, each.settings) for each in account.configurations}
    for each in baseline.configurations:
        if each.key in known:
            found += told_apart(each.conditions, conditions(facts, each.suite))
    return list(dict.fromkeys(found))


def subjects_of(
    account: Account,
    rules: Iterable[Rule],
    samples: Mapping[tuple[str, str, str], str],
    economies: Mapping[tuple[str, str, str], Economy],
    attempts: Mapping[tuple[str, str, str], int] = MappingProxyType({}),
) -> list[Subject]:
    """The configurations of an account, with the quantities that the rules are about.

    `attempts`: k of some of them, in place of the headline's; money is the headline's only.
    """
    fields = _fields(rules)
    found = []
    for each in account.configurations:
        key = each.suite, each.model, each.settings
        economy, allowed = economies.get(key), each.per_accepted.attempts
        k = attempts.get(key, allowed)
        found.append(
            subject_of(
                each,
                fields,
                k,
                allowed=allowed,
                incomplete=_incomplete(each),
                money=_at(k, allowed, "no price given" if economy is None else economy.money.costs),
                samples=samples.get(key),
            )
        )
    return found


def tests_of(account: Account, fields: Iterable[Field], facts: Mapping[str, Any]) -> list[Subject]:
    """The ordinary test suite of an account, if it has one and fields are about it."""
    project, wanted = account.project, [field for field in fields if field.of_tests]
    if project is None or not wanted:
        return []
    costs = costs_of_project(project, facts)
    return [subject_of_tests(costs, wanted, Pricing(account.factors), incomplete=why_incomplete(project))]


def references_of(
    baseline: Baseline, rules: Iterable[Rule], currency: str | None, attempts: Mapping[tuple[str, str, str], int]
) -> list[Subject]:
    """What the baseline has of the rules' quantities; `attempts` as in `subjects_of`."""
    fields, found = _fields(rules), []
    for each in baseline.configurations:
        allowed = each.attempts_allowed
        k = attempts.get(each.key, allowed)
        money = _at(k, allowed, _kept(each, currency))
        found.append(subject_of(each, fields, k, allowed=allowed, money=money, samples=each.samples))
    if baseline.project is not None:
        found.append(subject_of_tests(baseline.project, fields, Pricing(baseline.factors)))
    return found


def _common_attempts(account: Account, baseline: Baseline) -> dict[tuple[str, str, str], int]:
    """Where the two allow different numbers of attempts, the smaller one."""
    kept = {each.key: each.attempts_allowed for each in baseline.configurations}
    found = {}
    for each in account.configurations:
        now, then = each.per_accepted.attempts, kept.get((each.suite, each.model, each.settings))
        if now is not None and then is not None:
            found[each.suite, each.model, each.settings] = min(now, then)
    return found


def _at(k: int | None, allowed: int | None, money: Costs | str) -> Costs | str:
    return money if k == allowed else f"money is known at {allowed} attempts only"


def _kept(each: BaselineConfiguration, currency: str | None) -> Costs | str:
    if each.money is None:
        return "it was saved without prices"
    return each.money.tasks if each.money.currency == currency else f"it is in {each.money.currency}"


def _fields(rules: Iterable[Rule]) -> list[Field]:
    return list({rule.field.name: rule.field for rule in rules}.values())


def _currency(assumptions: Assumptions | None) -> str | None:
    return None if assumptions is None else assumptions.currency


def _incomplete(account: ConfigurationAccount) -> str | None:
    """Why nothing may be judged by it: that an energy is missing concerns what needs it only."""
    facts = account.completeness
    parts = (
        (facts.attempts_unfinished, "attempts have not finished"),
        (facts.harness_errors, "attempts failed by the harness"),
        (len(facts.tasks_left_out), "tasks have no attempt that counts"),
    )
    return "; ".join(f"{count} {what}" for count, what in parts if count) or None


def samples_of(records: Iterable[AttemptRecord]) -> dict[tuple[str, str, str], str]:
    """By configuration a digest of its attempts' programs, which tells whether two runs are of the same samples."""
    programs: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for record in records:
        configuration = record.configuration
        key = record.suite, configuration.model, configuration.settings
        programs[key].append(f"{record.task_id}\0{record.sample_id}\0{record.program_key}")
    return {
        key: hashlib.sha256("\0\0".join(sorted(found)).encode("utf-8", "backslashreplace")).hexdigest()[:16]
        for key, found in programs.items()
    }


def _economies(
    ledger: Ledger, run_id: str, account: Account, assumptions: Assumptions | None
) -> dict[tuple[str, str, str], Economy]:
    if assumptions is None:
        return {}
    from .economics.economy import economy
    from .economics.resources import key_of, uses

    records, pricing = records_of_run(ledger, run_id).attempts, pricing_of(account.factors, ledger.facts(run_id))
    used = uses(records, pricing, quarantined=account.quarantined)
    return {
        key_of(each): economy(each, used.get(key_of(each)), assumptions, account.factors)
        for each in account.configurations
    }


def baseline_of_run(
    ledger: Ledger, run_id: str, account: Account, *, assumptions: Assumptions | None = None
) -> Baseline:
    """What a run leaves for later ones; configurations without a finished attempt are left out."""
    facts, records = ledger.facts(run_id), ledger.records(run_id)
    samples, pricing = samples_of(records), pricing_of(account.factors, facts)
    economies = _economies(ledger, run_id, account, assumptions)
    named = {record.generation.region: record for record in records if record.generation and record.generation.region}
    regions = {region: pricing.generation_intensity(record) for region, record in named.items() if region}
    found = []
    for each in account.configurations:
        key = each.suite, each.model, each.settings
        costs = economies[key].money.costs if key in economies else "no price given"
        if not each.task_rows:
            continue
        found.append(
            BaselineConfiguration(
                suite=each.suite,
                model=each.model,
                settings=each.settings,
                chain=each.chain,
                attempts_allowed=each.per_accepted.attempts,
                samples=samples.get(key),
                conditions=conditions(facts, each.suite),
                task_rows=each.task_rows,
                money=None if isinstance(costs, str) else Money(currency=_currency(assumptions) or "", tasks=costs),
                run_id=run_id,
                saved_at=str(facts.get("started_at") or ""),
            )
        )
    return Baseline(
        factors=account.factors,
        regions=regions,
        versions={str(name): str(value) for name, value in (facts.get("versions") or {}).items()},
        configurations=tuple(found),
        project=None if account.project is None else costs_of_project(account.project, facts),
    )
