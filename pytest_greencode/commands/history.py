"""`greencode history`: key figures from run to run: of a file that each run adds to, or of the runs in a ledger."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pytest_greencode.commands.output import say, writing
from pytest_greencode.commands.stored_run import (
    StoredRun,
    add_assumptions_file,
    add_run_options,
    count,
    stored_run,
)
from pytest_greencode.economics.assumptions import Assumptions
from pytest_greencode.errors import UsageProblem
from pytest_greencode.ledger import ID_LENGTH
from pytest_greencode.reports.text import escape
from pytest_greencode.run_gate import tests_of

if TYPE_CHECKING:
    from pytest_greencode.accounts import Account
    from pytest_greencode.economics.assumptions import Assumptions
    from pytest_greencode.history.figures import Line
    from pytest_greencode.history.trend import Logged

HELP = "the trend of key figures over a ledger's runs, or in a file that each run adds to"
_LAST = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar="FILE",
        help="JSON lines, made where there is none: add the run's key figures, and say what changed since the last",
    )
    parser.add_argument(
        "--revision", metavar="REV", help="with FILE: of the code that was measured (default: the commit, in git)"
    )
    parser.add_argument("--html", type=Path, metavar="PATH", help="the trend as a page, too")
    parser.add_argument("--last", type=count, default=_LAST, metavar="N", help=f"so many runs (default: {_LAST})")
    parser.add_argument(
        "--margin",
        type=_margin,
        metavar="SHARE",
        help="the smallest change that is a step, 0.05 or 5%% (default: 1%%, and of tests what their runs show)",
    )
    add_run_options(parser)
    add_assumptions_file(parser)


def _margin(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a share from 0 and below 1, such as 0.05 or 5%, found {text}")


def run(options: argparse.Namespace) -> int:
    from pytest_greencode.history.file import append_history
    from pytest_greencode.history.trend import series_of

    with stored_run(options, tests_too=True) as run:
        if options.file is None:
            if options.revision is not None:
                raise UsageProblem("--revision goes into a file; name it: `greencode history FILE --revision REV`")
            logged, notes = _of_ledger(run, options)
            lines = _trend_lines(logged, options.margin)
        else:
            lines, logged, added = _with_file(run, options)
        if options.html is not None:
            from pytest_greencode.reports.history_page import render_history
            from pytest_greencode.reports.registry import write_whole

            found = series_of(_latest(logged, options.last), margin=options.margin)
            with writing(options.html, "--html"):
                write_whole(options.html, [render_history(found).encode("utf-8", "backslashreplace")])
        if options.file is None:
            lines += ["", *notes, *run.places()[1:]]
        else:
            # Last, so that whoever has to do it again does not find the run there twice.
            with writing(options.file, "FILE"):
                append_history(options.file, added)
        lines += run.cautions()
    for line in lines:
        say(line)
    return 0


def _trend_lines(logged: Sequence[Logged], margin: float | None) -> list[str]:
    from pytest_greencode.history.trend import series_of
    from pytest_greencode.reports.history import trend_lines

    return trend_lines(series_of(logged, margin=margin))


def _latest(logged: Sequence[Logged], runs: int) -> list[Logged]:
    """Those of the last so many runs."""
    moments = list(dict.fromkeys((each.line.at, each.line.revision) for each in logged))[-runs:]
    return [each for each in logged if (each.line.at, each.line.revision) in moments]


def _with_file(run: StoredRun, options: argparse.Namespace) -> tuple[list[str], list[Logged], list[Line]]:
    """What changed since the file's last lines; these and the run's; and what is to be added."""
    from pytest_greencode.history.file import read_history
    from pytest_greencode.history.trend import Logged, changes
    from pytest_greencode.reports.history import history_lines

    account = run.account()
    run.refuse_unfinished(account, "and what is in the history stays")
    figures = [
        each.line
        for each in _logged(
            run, account, run.assumptions(options.assumptions) or Assumptions(), options.revision or _commit(run)
        )
    ]
    before = read_history(options.file)
    lines = history_lines(
        figures, changes(before.lines, figures, margin=options.margin), before.broken, before=before.lines
    )
    return lines, [Logged(line=line) for line in (*before.lines, *figures)], figures


def _of_ledger(run: StoredRun, options: argparse.Namespace) -> tuple[list[Logged], list[str]]:
    """The ledger's runs up to the one asked for, all by its factors and prices, so that a change is one of the runs."""
    assumptions = run.assumptions(options.assumptions) or Assumptions()
    rows = [row for row in run.ledger.runs() if row.attempts or row.tests][::-1]
    at = next(position for position, row in enumerate(rows) if row.run_id == run.run_id)
    logged: list[Logged] = []
    notes = []
    for row in rows[max(0, at + 1 - options.last) : at + 1]:
        each = replace(run, run_id=row.run_id, facts=run.ledger.facts(row.run_id))
        account = each.account()
        why = each.why_unfinished(account)
        if why is not None:
            notes.append(f"left out: run {escape(row.run_id[:ID_LENGTH])}, {why}")
            continue
        logged += _logged(each, account, assumptions, _commit(each) or row.run_id[:ID_LENGTH])
    return logged, notes


def _commit(run: StoredRun) -> str | None:
    found = run.facts.get("commit")
    return None if found is None else str(found)


def _logged(run: StoredRun, account: Account, assumptions: Assumptions, revision: str | None) -> Iterator[Logged]:
    from pytest_greencode.history.figures import factors_digest, key_figures, project_figures
    from pytest_greencode.history.trend import FIELDS_OF_TESTS, Logged

    at, factors = str(run.facts.get("started_at", "")), factors_digest(account.factors)
    if account.configurations:
        economies = run.economies(account, assumptions)
        lines = key_figures(economies, at=at, revision=revision, factors=factors)
        for line, economy in zip(lines, economies, strict=True):
            yield Logged(line=line, economy=economy)
    if account.project is not None:
        [tests] = tests_of(account, FIELDS_OF_TESTS, run.facts)
        figures = project_figures(account.project, run.facts, revision=revision, factors=factors)
        yield Logged(line=figures, tests=tests)
