"""`greencode report`: a run's account again, in any format."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from pytest_greencode.accounts import Account
from pytest_greencode.commands.output import say, warn, writing
from pytest_greencode.commands.stored_run import StoredRun, add_assumptions, add_run_options, stored_run, unfinished
from pytest_greencode.reports.names import task_named
from pytest_greencode.reports.registry import REPORTS, default_path, render_report, write_report, write_whole
from pytest_greencode.run_account import pricing_of, records_of_run

TERMINAL = "terminal"

HELP = "a run's account again, from the ledger, in any format"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    add_assumptions(parser)
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--format", choices=(TERMINAL, *REPORTS), default=TERMINAL, help="default: terminal, the table")
    kinds.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    kinds.add_argument("--explain", metavar="NAME[:TASK]", help="each formula with its numbers, from joules to grams")
    parser.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")


def run(options: argparse.Namespace) -> int:
    kind, output = options.format, options.output
    if output is None and kind != TERMINAL and REPORTS[kind].variable is not None:
        output = default_path(kind, os.environ, flag=f"--format {kind}")
    with stored_run(options, tests_too=True) as run:
        account = run.account()
        if options.explain is not None:
            text = "\n".join([*unfinished(account), *_explained(run, account, options.explain), *run.cautions()]) + "\n"
        elif kind == TERMINAL:
            from pytest_greencode.reports.gate import decision_in, gate_lines
            from pytest_greencode.reports.terminal import cautions, render_terminal

            decision = decision_in(run.facts)
            lines = [*render_terminal(account, notes=cautions(run.facts)), *run.places()]
            for part in () if decision is None else gate_lines(decision, account.configurations):
                lines += part
            text = "\n".join(lines) + "\n"
        else:
            findings = run.findings(options, account) if REPORTS[kind].with_findings else None
            if not REPORTS[kind].with_cautions:
                warn(run.cautions())
            if output is not None:
                with writing(output):
                    write_report(kind, output, account, run.facts, findings)
                return 0
            text = render_report(kind, account, run.facts, findings)
    if output is None:
        say(text.removesuffix("\n"))
    else:
        with writing(output):
            write_whole(output, [text.encode()])
    return 0


def _explained(run: StoredRun, account: Account, asked: str) -> Iterator[str]:
    """Each suite's account of what is asked for."""
    from pytest_greencode.reports.explain import explain

    named, task = task_named(asked, account.configurations, flag="--explain")
    records, pricing = records_of_run(run.ledger, run.run_id).attempts, pricing_of(run.factors, run.facts)
    found = [
        each
        for each in account.configurations
        if (each.model, each.settings) == (named.model, named.settings)
        and (task is None or task in {row.task_id for row in each.task_rows})
    ]
    for position, configuration in enumerate(found):
        yield from ["", ""] * bool(position)
        yield from explain(configuration, records, pricing, task_id=task)
