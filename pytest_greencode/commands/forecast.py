"""`greencode forecast`: money, human work, payback, and what a month in use will cost."""

from __future__ import annotations

import argparse

from pytest_greencode.commands.found import show_found
from pytest_greencode.commands.stored_run import add_assumptions, add_run_options

HELP = "money, human work, payback, and what a month in use will cost"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    add_assumptions(parser)


def run(options: argparse.Namespace) -> int:
    from pytest_greencode.reports.compare import outlook_lines

    return show_found(options, outlook_lines)
