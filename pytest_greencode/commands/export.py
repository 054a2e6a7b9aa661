"""`greencode export`: a run's tables, or its key figures for a service that tracks them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from pytest_greencode.commands.output import warn, writing
from pytest_greencode.commands.stored_run import StoredRun, add_assumptions_file, add_run_options, stored_run
from pytest_greencode.economics.assumptions import Assumptions
from pytest_greencode.errors import UsageProblem
from pytest_greencode.reports.export import FORMATS, TABLES, encoded, run_table
from pytest_greencode.reports.registry import write_whole
from pytest_greencode.reports.trackers import TRACKERS

HELP = "a run's tables, for notebooks and spreadsheets; its key figures, for services that track them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument("--table", choices=TABLES, help=f"default: {TABLES[0]}")
    parser.add_argument("--format", choices=(*FORMATS, *TRACKERS), default=FORMATS[0], help=f"default: {FORMATS[0]}")
    parser.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")
    add_assumptions_file(parser)


def run(options: argparse.Namespace) -> int:
    if options.format == "parquet" and options.output is None and sys.stdout.isatty():
        raise UsageProblem("--format parquet is nothing for a terminal; name a file: --output PATH")
    if options.format in TRACKERS and options.table is not None:
        raise UsageProblem(f"--table {options.table}: --format {options.format} has key figures and no table")
    with stored_run(options, tests_too=options.format in TRACKERS or options.table in ("tests", "windows")) as run:
        content: Iterable[bytes]
        if options.format in TRACKERS:
            content = [_key_figures(run, options)]
        else:
            name = options.table or TABLES[0]
            table = run_table(name, run.ledger, run.run_id, run.factors, attempts_allowed=run.attempts)
            content = encoded(table, options.format)
        if options.output is None:
            sys.stdout.buffer.writelines(content)
        else:
            with writing(options.output):
                write_whole(options.output, content)
        warn(run.cautions())
    return 0


def _key_figures(run: StoredRun, options: argparse.Namespace) -> bytes:
    from pytest_greencode.history.figures import Line, key_figures, project_figures

    account = run.account()
    run.refuse_unfinished(account, "and a part of a run is not to be tracked")
    lines: list[Line] = []
    if account.configurations:
        economies = run.economies(account, run.assumptions(options.assumptions) or Assumptions())
        lines += key_figures(economies, at=str(run.facts.get("started_at", "")))
    if account.project is not None:
        lines.append(project_figures(account.project, run.facts))
    return TRACKERS[options.format](lines).encode("ascii")
