"""`greencode runs`: the runs of a ledger."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_greencode.commands.output import say
from pytest_greencode.commands.stored_run import add_ledger, ledger_path
from pytest_greencode.ledger import ID_LENGTH, Ledger
from pytest_greencode.reports.text import columns, escape, left, right, shown_path

HELP = "the runs of a ledger, the latest first"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_ledger(parser)


def run(options: argparse.Namespace) -> int:
    """A row for each run; more of an id where its beginning is another's too."""
    path = ledger_path(options.ledger)
    ledger = Ledger(path, read_only=True)
    try:
        runs = ledger.runs()
    finally:
        ledger.close()
    size = ID_LENGTH
    while len({each.run_id[:size] for each in runs}) < len(runs):
        size += 1
    rows = [("run", "started", "attempts", "finished", "tests")]
    rows += [
        (escape(e.run_id[:size]), escape(e.started_at), str(e.attempts), str(e.finished), str(e.tests)) for e in runs
    ]
    first, second = (max(map(columns, column)) for column in list(zip(*rows, strict=True))[:2])
    for run_id, started, *counts in rows:
        say("  ".join([left(run_id, first), left(started, second), *(right(count, 8) for count in counts)]))
    say(f"ledger: {shown_path(path, Path.cwd())}")
    return 0
