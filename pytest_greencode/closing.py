"""How a session ends: the account, what the gate decides, the reports, and the last lines in the terminal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key

from pytest_greencode.errors import GreencodeError, UsageProblem
from pytest_greencode.ledger import ID_LENGTH, Ledger, nearest_ledger
from pytest_greencode.model import Factors
from pytest_greencode.options import Options
from pytest_greencode.report_account import Account
from pytest_greencode.reports.registry import REPORTS, write_report
from pytest_greencode.reports.terminal import cautions, render_terminal
from pytest_greencode.reports.text import escape, message, shown_path
from pytest_greencode.run_account import account_of_run, assumptions_of_run, findings_of_run
from pytest_greencode.run_facts import now

if TYPE_CHECKING:
    from pytest_greencode.baseline import Baseline
    from pytest_greencode.findings import Findings
    from pytest_greencode.gate.decisions import Decision

HARNESS_EXIT_CODE = 3


class Closing:
    """What a session leaves: `account` and `decision` once it is over, and `failure`, if one ended it.

    What it needs for that is read when it is made, as a slip in a file should not show at the end.
    """

    def __init__(self, config: pytest.Config, options: Options, *, is_worker: bool) -> None:
        """Raises UsageProblem for files that cannot be used. A worker of pytest-xdist judges nothing."""
        self._config, self._options = config, options
        self.assumptions = _assumptions(options.assumptions)
        self._baseline = None if is_worker else _baseline(options.baseline)
        self._judges = bool(options.rules) and not is_worker and not config.getoption("collectonly", False)
        self.notices: list[tuple[str, str]] = []
        self.failure: GreencodeError | None = None
        self.account: Account | None = None
        self.decision: Decision | None = None

    def settle(self, ledger: Ledger, run_id: str, factors: Factors) -> None:
        """The account of a run that has ended, and the decision on it. Raises LedgerError."""
        account = account_of_run(ledger, run_id, factors, attempts_allowed=self._options.attempts)
        self.account = account
        self._config.hook.pytest_greencode_account(config=self._config, account=account)
        if self._options.rules:
            self.decision = self._decide(ledger, run_id, account)
        self._add_totals_to_junit(account)

    def exit_code(self) -> int:
        """Of a session in which no test failed."""
        if self._judges and self.decision is None and self.failure is None:
            from pytest_greencode.gate.decisions import decide

            # Nothing was attempted, and who asked for a gate should not take that for a pass.
            self.decision = decide(self._options.rules, (), strict=self._options.strict)
        if self.failure is not None:
            return HARNESS_EXIT_CODE
        if self.decision is not None and self.decision.failed:
            from pytest_greencode.gate.rules import EXIT_CODE

            return EXIT_CODE
        return pytest.ExitCode.OK

    def _decide(self, ledger: Ledger, run_id: str, account: Account) -> Decision:
        from pytest_greencode.gate.decisions import plain
        from pytest_greencode.run_gate import gate_of_run

        base = self._config.invocation_params.dir
        decision = gate_of_run(
            ledger,
            run_id,
            self._options.rules,
            factors=account.factors,
            attempts_allowed=self._options.attempts,
            account=account,
            baseline=self._baseline,
            baseline_name=None if self._options.baseline is None else shown_path(self._options.baseline, base),
            accept_differences=self._options.accept_differences,
            strict=self._options.strict,
            assumptions=assumptions_of_run(ledger.facts(run_id)) if self.assumptions else None,
        )
        ledger.add_facts(run_id, gate=plain(decision))
        return decision

    def _add_totals_to_junit(self, account: Account) -> None:
        """JUnit's file is written before the last idle power is measured, so there is no account yet: written again."""
        xml = self._config.stash.get(xml_key, None)
        if xml is None or not (account.configurations or account.project):
            return
        from pytest_greencode.reports.junit import junit_properties

        for name, value in junit_properties(account, self.decision):
            xml.add_global_property(name, value)
        try:
            xml.pytest_sessionfinish()
        except OSError as error:
            self.notices.append(("junit", f"the totals are not in {xml.logfile}: {error.strerror or error}"))

    def show(
        self, terminalreporter: pytest.TerminalReporter, ledger: Ledger | None, run_id: str, taken_over: int
    ) -> None:
        """The last lines of a session; writes the reports on the way. `taken_over`: executions of an earlier one."""
        if self.failure is not None:
            terminalreporter.line(lines_of(self.failure), red=True)
        if self.account is None or ledger is None or (not self.account.configurations and self.account.project is None):
            self._show_decision(terminalreporter)
            return
        verbosity, base = terminalreporter.verbosity, self._config.invocation_params.dir
        facts = {**ledger.facts(run_id), "finished_at": now()}
        findings, wrong = self._findings(ledger, run_id, facts)
        places, problems = [("ledger", self._options.ledger)], []
        for kind, path in self._options.reports:
            problem = self._write_report(kind, path, facts, findings)
            if problem is None:
                places.append(("report", path))
            else:
                option = f"--greencode-report {kind}:{shown_path(path, base)}"
                problems.append(f"greencode: {option}: {problem}; the ledger has everything")
        if wrong is not None:
            problems.append(f"greencode: --greencode-assumptions: {wrong}; reports are without what needs it")
        if verbosity >= -1:
            terminalreporter.write_sep("=", "greencode")
        notes = [*self.notices, *cautions(facts), *_resumed(taken_over)]
        width = min(80, terminalreporter._tw.fullwidth)
        for line in render_terminal(self.account, width=width, verbosity=verbosity, notes=notes):
            terminalreporter.line(line)
        if verbosity >= 0:
            terminalreporter.line(f"{'run':<13}{self._shown_again(base, run_id)}")
            for key, path in places:
                terminalreporter.line(f"{key:<13}{shown_path(path, base)}")
        self._show_decision(terminalreporter)
        for problem in problems:
            terminalreporter.line("\n".join(message(problem)), red=True)
        if verbosity >= -1:
            terminalreporter.line("")

    def _show_decision(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.decision is None:
            return
        from pytest_greencode.reports.gate import gate_lines, tone

        width = min(80, terminalreporter._tw.fullwidth)
        configurations = () if self.account is None else self.account.configurations
        rules, sentence = gate_lines(self.decision, configurations, width=width, verbosity=terminalreporter.verbosity)
        for line in rules:
            terminalreporter.line(line)
        for line in sentence:
            terminalreporter.line(line, **{tone(self.decision): True})

    def _shown_again(self, base: Path, run_id: str) -> str:
        """The run's id, in the command that shows the run again."""
        near = nearest_ledger(base)
        found = near is not None and near.samefile(self._options.ledger)
        where = "" if found else f" --ledger {shlex.quote(shown_path(self._options.ledger, base))}"
        return f"greencode report --run {escape(run_id[:ID_LENGTH])}{where}"

    def _findings(self, ledger: Ledger, run_id: str, facts: dict[str, Any]) -> tuple[Findings | None, str | None]:
        """What follows from the account, where a report shows it; and what is wrong with the files it takes."""
        asked = any(REPORTS[kind].with_findings for kind, _ in self._options.reports)
        if self.account is None or not self.account.configurations or not asked:
            return None, None
        try:
            found = findings_of_run(ledger, run_id, self.account, assumptions_of_run(facts))
        except UsageProblem as error:
            return None, str(error)
        return found, None

    def _write_report(self, kind: str, path: Path, facts: dict[str, Any], findings: Findings | None) -> str | None:
        """What went wrong, if anything."""
        assert self.account is not None
        try:
            write_report(kind, path, self.account, facts, findings)
        except OSError as error:
            return error.strerror or str(error)
        except UsageProblem as error:
            return str(error)
        return None


def lines_of(error: GreencodeError) -> str:
    return "\n".join(message(str(error), first="greencode: "))


def _resumed(count: int) -> list[tuple[str, str]]:
    text = f"{count} execution{'s are' if count != 1 else ' is'} of an earlier session; the numbers are of both"
    return [("resumed", text)] if count else []


def _assumptions(path: Path | None) -> dict[str, str] | None:
    """The file as the ledger keeps it, so that a later report needs no other file; its mistakes are usage errors."""
    if path is None:
        return None
    from pytest_greencode.economics.assumptions import read_assumptions
    from pytest_greencode.economics.usage import read_usage

    found = read_assumptions(path)
    kept = {"path": str(path), "text": path.read_text(encoding="utf-8-sig")}
    if found.log_path is not None:
        read_usage(found.log_path)
        kept["log"] = found.log_path.read_text(encoding="utf-8", errors="replace")
    return kept


def _baseline(path: Path | None) -> Baseline | None:
    if path is None:
        return None
    from pytest_greencode.baseline import read_baseline

    try:
        return read_baseline(path, flag="--greencode-baseline")
    except UsageProblem as problem:
        if path.exists():
            raise
        # An ini file that names it stands in the way of the run that it is made from.
        raise UsageProblem(f"{problem}, and this makes the run: -o greencode_baseline= -o greencode_fail=") from None
