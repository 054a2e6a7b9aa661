"""`greencode compare`: configurations side by side."""

from __future__ import annotations

import argparse

from pytest_greencode.commands.found import show_found
from pytest_greencode.commands.stored_run import add_assumptions, add_run_options, share

HELP = "configurations side by side: pairs, front, factors, what to take"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    add_assumptions(parser)
    parser.add_argument("--target", type=share, metavar="SHARE", help="pass@k to reach, 0.8 or 80%%: select by it")


def run(options: argparse.Namespace) -> int:
    from pytest_greencode.reports.compare import compare_lines

    return show_found(options, compare_lines)
