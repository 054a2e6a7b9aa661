"""`greencode export`: a run's tables."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_greencode.commands.output import warn, writing
from pytest_greencode.commands.stored_run import add_run_options, stored_run
from pytest_greencode.errors import UsageProblem
from pytest_greencode.reports.export import FORMATS, TABLES, encoded, run_table
from pytest_greencode.reports.registry import write_whole

HELP = "a run's tables, for notebooks and spreadsheets"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument("--table", choices=TABLES, default=TABLES[0], help=f"default: {TABLES[0]}")
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"default: {FORMATS[0]}")
    parser.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")


def run(options: argparse.Namespace) -> int:
    if options.format == "parquet" and options.output is None and sys.stdout.isatty():
        raise UsageProblem("--format parquet is nothing for a terminal; name a file: --output PATH")
    with stored_run(options, tests_too=options.table in ("tests", "windows")) as run:
        table = run_table(options.table, run.ledger, run.run_id, run.factors, attempts_allowed=run.attempts)
        content = encoded(table, options.format)
        if options.output is None:
            sys.stdout.buffer.writelines(content)
        else:
            with writing(options.output):
                write_whole(options.output, content)
        warn(run.cautions())
    return 0
