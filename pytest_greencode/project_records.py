"""What a ledger knows of an ordinary test suite that ran: its tests with their energies, and what else was used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .attribution import Attribution
from .ledger import BACKGROUND, STARTUP, Ledger
from .model import Method
from .project_account import LeftBehind, ProjectRecords, Spent

# Kinds of overhead that are neither tests' nor the harness's, but the price of measuring.
_MEASURING = ("alone", "repeated")


def project_records(ledger: Ledger, run_id: str, attribution: Attribution | None) -> ProjectRecords:
    """The runs of a suite's tests in a ledger, priced as the session's meter prices. Raises LedgerError.

    By counters each run has its share of them; what no valid window holds gets this run's mean power of a busy CPU. By
    the estimate, energy is CPU time times the power that the session's facts have.
    """
    facts = ledger.facts(run_id)
    prices = _Prices(facts.get("meter") or {}, attribution)
    overhead_s = ledger.overhead_cpu_s(run_id)
    harness_s = sum(seconds for kind, seconds in overhead_s.items() if kind not in (*_MEASURING, BACKGROUND))
    harness_j = prices.of(harness_s)
    if prices.counted is not None and harness_j is not None:
        # Seen in the windows, but for what was used before there were any.
        startup_j = prices.of(overhead_s.get(STARTUP, 0.0)) or 0.0
        harness_j = prices.counted.balance.harness_uj * 1e-6 + startup_j
    background_s = overhead_s.get(BACKGROUND, 0.0)
    background_j, _ = prices.of_work(BACKGROUND, background_s)
    suite = facts.get("tests") or {}
    return ProjectRecords(
        runs=ledger.tests(run_id, prices.of_work),
        harness=Spent(cpu_s=harness_s, energy_j=harness_j),
        background=Spent(cpu_s=background_s, energy_j=background_j),
        source=prices.source,
        startup_cpu_s=overhead_s.get(STARTUP),
        selected=suite.get("selected"),
        left_behind=[LeftBehind(**each) for each in suite.get("left_behind", ())],
        blocks=ledger.blocks(run_id),
        measured=ledger.measured(run_id),
        notes=list(suite.get("notes", ())),
    )


class _Prices:
    """What CPU time costs in a session: by its counters, by the model of its CPU, or nobody knows."""

    def __init__(self, meter: Mapping[str, Any], attribution: Attribution | None) -> None:
        self.counted = attribution if attribution is not None and attribution.balance.counted else None
        self._w: float | None = None
        self.source = ""
        if self.counted is not None:
            self._w = self.counted.w_per_cpu
            self.source = f"{self.counted.balance.meter}, above idle, by CPU time"
        elif "max_w_per_vcpu" in meter:
            self._w = meter["max_w_per_vcpu"] - meter["min_w_per_vcpu"]
            self.source = str(meter.get("source", ""))

    def of(self, cpu_s: float) -> float | None:
        return None if self._w is None else cpu_s * self._w

    def of_work(self, key: str, cpu_s: float) -> tuple[float | None, Method]:
        """The energy of a piece of work, J, and how it is known."""
        share = None if self.counted is None else self.counted.shares.get(key)
        if share is not None and share.covered:
            return share.solution_uj * 1e-6, Method.ATTRIBUTED
        energy_j = 0.0 if cpu_s == 0 else self.of(cpu_s)
        return energy_j, Method.MISSING if energy_j is None else Method.ESTIMATED
