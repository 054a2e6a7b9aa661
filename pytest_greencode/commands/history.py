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
    run_in,
    stored_run,
)
from pytest_greencode.conditions import conditions_of_tests, selection_of
from pytest_greencode.economics.assumptions import Assumptions
from pytest_greencode.errors import UsageProblem
from pytest_greencode.ledger import ID_LENGTH, RunRow
from pytest_greencode.reports.text import escape
from pytest_greencode.run_gate import tests_of

if TYPE_CHECKING:
    from pytest_greencode.accounts import Account
    from pytest_greencode.history.figures import Line
    from pytest_greencode.history.trend import Logged

HELP = "the trend of key figures over a ledger's runs, or in a file that each run adds to"
_LAST = 30
_WIDEST = 10


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
    parser.add_argument(
        "--last", type=count, default=_LAST, metavar="N", help=f"so many runs of a series (default: {_LAST})"
    )
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
        if 0 <= (value := float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)) <= _WIDEST:
            return value
    raise argparse.ArgumentTypeError(f"expected a share from 0 to {_WIDEST}, such as 0.05 or 5%, found {text!r}")


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

            found = series_of(logged, margin=options.margin)
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


def _with_file(run: StoredRun, options: argparse.Namespace) -> tuple[list[str], list[Logged], list[Line]]:
    """What changed since the file's last lines; the last of these and the run's; and what is to be added."""
    from pytest_greencode.history.file import read_history
    from pytest_greencode.history.trend import Logged, changes
    from pytest_greencode.reports.history import history_lines

    account = run.account()
    run.refuse_unfinished(account, "and what is in the history stays")
    assumptions = run.assumptions(options.assumptions) or Assumptions()
    figures = [each.line for each in _logged(run, account, assumptions, options.revision or _commit(run))]
    before = read_history(options.file)
    known = {(line.at, line.key) for line in before.lines}
    added = [line for line in figures if (line.at, line.key) not in known]
    recent = _latest(before.lines, options.last)
    lines = history_lines(added, changes(recent, added, margin=options.margin), before.broken, before=recent)
    if len(added) < len(figures):
        lines.append(f"{'there':<13}this run is in {escape(str(options.file))} already, and is not added again")
    return lines, [Logged(line=line) for line in (*recent, *added)], added


def _latest(lines: Sequence[Line], runs: int) -> list[Line]:
    """Those of the last so many runs of each series."""
    series: dict[object, list[Line]] = {}
    for line in lines:
        series.setdefault(line.key, []).append(line)
    kept = {id(line) for found in series.values() for line in found[-runs:]}
    return [line for line in lines if id(line) in kept]


def _of_ledger(run: StoredRun, options: argparse.Namespace) -> tuple[list[Logged], list[str]]:
    """The ledger's runs up to the one asked for.

    Samples all by the sites and prices of the last run of samples, tests by those of the last run of tests, so that a
    change is one of the runs.
    """
    rows = [row for row in run.ledger.runs() if row.attempts or row.tests][::-1]
    at = next(position for position, row in enumerate(rows) if row.run_id == run.run_id)
    samples = [row for row in rows[: at + 1] if row.attempts][-options.last :]
    tests, notes = _of_tests(run, [row for row in rows[: at + 1] if row.tests], options.last)
    logged: list[Logged] = []
    for kind in (samples, tests):
        latest = run_in(run.ledger, kind[-1].run_id, options) if kind else run
        assumptions = latest.assumptions(options.assumptions) or Assumptions()
        for row in kind:
            each = replace(latest, run_id=row.run_id, facts=run.ledger.facts(row.run_id))
            name = row.run_id[:ID_LENGTH]
            account = each.account()
            account = replace(account, project=None) if kind is samples else replace(account, configurations=())
            if (why := each.why_unfinished(account)) is not None:
                notes.append(f"left out: run {escape(name)}, {why}")
            else:
                # A commit and a run's id look alike.
                revision = name if kind is samples else _commit(each) or f"run {name}"
                logged += _logged(each, account, assumptions, revision)
    return logged, notes


def _of_tests(run: StoredRun, rows: Sequence[RunRow], last: int) -> tuple[list[RunRow], list[str]]:
    """Of each series the last runs. A selection that was run once is no series, unless it is asked for."""
    series: dict[object, list[RunRow]] = {}
    for row in rows:
        facts = run.ledger.facts(row.run_id)
        series.setdefault((selection_of(facts), *conditions_of_tests(facts).items()), []).append(row)
    shown = [found[-last:] for found in series.values() if len(found) > 1 or found[-1].run_id == run.run_id]
    kept = {row.run_id for found in shown for row in found}
    notes = []
    if once := len(series) - len(shown):
        what = "1 run" if once == 1 else f"{once} runs"
        notes.append(f"left out: {what} of other tests or conditions, none twice; --run ID shows one")
    return [row for row in rows if row.run_id in kept], notes


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
