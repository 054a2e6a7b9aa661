"""The account of a run in a ledger: the one way from records to numbers, for pytest and for the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from . import carbon
from .attribution import Attribution, attribute, with_energy, with_measured
from .candidate_tests import candidate_tests
from .errors import LedgerError, UsageProblem
from .ledger import Ledger
from .model import AttemptRecord, Configuration, Factors, Intensity, Machine, Measured, Window
from .pricing import Pricing
from .project_account import project_account
from .project_records import project_records
from .report_account import Account

if TYPE_CHECKING:
    from .economics.assumptions import Assumptions
    from .economics.economy import Economy
    from .economics.usage import UsageLog
    from .findings import Findings


class RunRecords(Struct, frozen=True, kw_only=True):
    """A run's attempts and canonical solutions with the energy that is theirs, and who used the machine's."""

    attempts: Sequence[AttemptRecord]
    references: Sequence[AttemptRecord]
    measured: Mapping[str, Measured]
    attribution: Attribution | None


def records_of_run(ledger: Ledger, run_id: str) -> RunRecords:
    """What a ledger knows of a run's attempts; `Reading.energy_j` as the account counts it. Raises LedgerError."""
    records, references = ledger.records(run_id), ledger.references(run_id)
    windows, meter = ledger.windows(run_id), ledger.facts(run_id).get("meter")
    measured = ledger.measured(run_id)
    attribution = None
    if any(window.meter is not None for window in windows):
        attribution = attribute(windows, ledger.work(run_id))
        if attribution is not None:
            name = attribution.balance.meter
            records = with_measured(with_energy(records, attribution), measured, name)
            references = with_measured(with_energy(references, attribution), measured, name)
    elif records:
        attribution = attribute(_modelled(windows, meter), ledger.work(run_id), counted=False)
    return RunRecords(
        attempts=records,
        references=references,
        measured=measured,
        attribution=attribution,
    )


def account_of_run(
    ledger: Ledger,
    run_id: str,
    factors: Factors,
    *,
    attempts_allowed: int | None = None,
    weights: Mapping[str, float] | None = None,
    regions: Mapping[str, Intensity] = MappingProxyType({}),
) -> Account:
    """Everything that a ledger knows of a run, accounted for. Raises LedgerError.

    `weights` of Green Capacity in place of the run's own; `regions` in place of what is known of them.
    """
    facts = ledger.facts(run_id)
    found, pricing = records_of_run(ledger, run_id), pricing_of(factors, facts, regions)
    project = project_account(project_records(ledger, run_id, found.attribution), factors)
    balance = None if found.attribution is None else found.attribution.balance
    if not found.attempts and project is not None:
        return Account(configurations=(), factors=factors, quarantined={}, balance=balance, project=project)
    from .accounting import account

    attempts = account(
        found.attempts,
        pricing,
        attempts_allowed=attempts_allowed,
        quarantined=ledger.quarantined(run_id),
        balance=balance,
        references=found.references,
        measured=found.measured,
        weights=weights or facts.get("options", {}).get("weights"),
    )
    return replace(attempts, tests=candidate_tests(found.attempts, ledger.test_outcomes(run_id)), project=project)


def assumptions_of_run(facts: Mapping[str, Any]) -> Assumptions:
    """Those that the run was given; without any, nothing is assumed. Raises FileFormatError."""
    from .economics.assumptions import Assumptions, parse_assumptions

    given = facts.get("assumptions")
    return parse_assumptions(given["text"], path=given["path"]) if given else Assumptions()


def findings_of_run(
    ledger: Ledger,
    run_id: str,
    account: Account,
    assumptions: Assumptions,
    *,
    target: float | None = None,
    old: Configuration | None = None,
    new: Configuration | None = None,
    stronger: str | None = None,
) -> Findings:
    """What follows from the run's account (`findings.find`); `stronger`: the id of a run on a stronger suite.

    Raises LedgerError, and FileFormatError for a usage log that cannot be read.
    """
    from .findings import find

    facts = ledger.facts(run_id)
    return find(
        account,
        records_of_run(ledger, run_id).attempts,
        assumptions,
        pricing_of(account.factors, facts),
        usage=_usage(assumptions, facts.get("assumptions") or {}),
        target=target,
        old=old,
        new=new,
        hidden=() if stronger is None else ledger.records(stronger),
    )


def economies_of_run(ledger: Ledger, run_id: str, account: Account, assumptions: Assumptions) -> tuple[Economy, ...]:
    """Each configuration's grams, money and time, without comparing them. Raises LedgerError."""
    from .findings import economies_of

    pricing = pricing_of(account.factors, ledger.facts(run_id))
    return economies_of(account, records_of_run(ledger, run_id).attempts, assumptions, pricing)


def _usage(assumptions: Assumptions, kept: Mapping[str, Any]) -> UsageLog | None:
    """The usage log: as the run has kept it, if these are its assumptions, else from the file."""
    from .economics.usage import parse_usage, read_usage

    if assumptions.log_path is None:
        return None
    if "log" in kept and kept.get("path") == assumptions.path:
        name = str(assumptions.log_path)
        return parse_usage(kept["log"], path=name, json_lines=name.endswith(".jsonl"))
    return read_usage(assumptions.log_path)


def factors_of_run(facts: Mapping[str, Any]) -> Factors | None:
    """The factors with which a run was accounted for; None where its facts have none. Raises LedgerError."""
    found = facts.get("factors")
    if found is None:
        return None
    try:
        values = dict(found)
        for site in ("generation", "execution"):
            values[site] = Intensity(**values[site])
            if values.get(f"{site}_machine") is not None:
                values[f"{site}_machine"] = Machine(**values[f"{site}_machine"])
        return Factors(**{name: values[name] for name in Factors.__struct_fields__ if name in values})
    except (TypeError, ValueError, KeyError) as error:
        raise LedgerError(f"the run's factors are not as this version writes them: {error}") from None


def pricing_of(
    factors: Factors, facts: Mapping[str, Any], regions: Mapping[str, Intensity] = MappingProxyType({})
) -> Pricing:
    """Prices by the factors, and by the regions and GPUs that the records themselves name.

    What a plugin said of regions while the run went on is in its facts, and counts before the carried table; `regions`
    count before both.
    """
    told = {region: Intensity(**values) for region, values in facts.get("regions", {}).items()} | dict(regions)
    return Pricing(factors, lambda region: told.get(region) or _intensity_of_region(region), carbon.gpu)


def _modelled(windows: Sequence[Window], meter: Mapping[str, Any] | None) -> list[Window]:
    """Windows with the energy that the run's CPU power model gives them, where a run had a model and no counter.

    P = cpus * P_min + busy * (P_max - P_min), the model of the attempts' own energy (meters/estimated.py).
    """
    if meter is None or "min_w_per_vcpu" not in meter or "cpus" not in meter:
        return []
    idle_w = meter["cpus"] * meter["min_w_per_vcpu"]
    busy_w = meter["max_w_per_vcpu"] - meter["min_w_per_vcpu"]
    return [
        replace(
            window,
            package_uj=round(1e6 * (idle_w * window.duration_s + busy_w * window.busy_cpu_s)),
            idle_w=idle_w,
            meter="CPU power model",
        )
        for window in windows
        if window.busy_cpu_s is not None
    ]


def _intensity_of_region(region: str) -> Intensity | None:
    try:
        return carbon.grid_intensity(region)
    except UsageProblem:
        return None
