"""`greencode history`: a run's key figures in a file, and what changed since the last."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_greencode.commands.output import say, writing
from pytest_greencode.commands.stored_run import add_assumptions, add_run_options, stored_run
from pytest_greencode.errors import UsageProblem
from pytest_greencode.ledger import ID_LENGTH
from pytest_greencode.reports.text import escape

HELP = "add a run's key figures to a file, and say what changed since"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines, made where there is none")
    parser.add_argument("--revision", metavar="REV", help="of the code that was measured")
    add_run_options(parser)
    add_assumptions(parser)


def run(options: argparse.Namespace) -> int:
    from pytest_greencode.economics.history import (
        append_history,
        changes,
        factors_digest,
        key_figures,
        read_history,
    )
    from pytest_greencode.reports.economics import history_lines

    with stored_run(options) as run:
        account = run.account()
        if unfinished := sum(each.completeness.attempts_unfinished for each in account.configurations):
            raise UsageProblem(
                f"run {escape(run.run_id[:ID_LENGTH])}: {unfinished} attempts have not finished, and what is in the "
                "history stays; finish it first: the same `pytest --greencode FILE...` with --greencode-resume"
            )
        figures = key_figures(
            run.findings(options, account).economies,
            at=str(run.facts.get("started_at", "")),
            revision=options.revision,
            factors=factors_digest(account.factors),
        )
        before = read_history(options.file)
        lines = history_lines(figures, changes(before, figures), before.broken, before=before.lines)
        with writing(options.file, "FILE"):
            append_history(options.file, figures)
        lines += run.cautions()
    for line in lines:
        say(line)
    return 0
