"""`greencode baseline`: what later runs are compared with, made from a run, shown, and renewed."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from pytest_greencode.accounts import Account
from pytest_greencode.baseline import DEFAULT_BASELINE, Baseline, grids, read_baseline, written
from pytest_greencode.commands.output import say, writing
from pytest_greencode.commands.stored_run import StoredRun, add_run_options, stored_run
from pytest_greencode.errors import UsageProblem
from pytest_greencode.gate.rules import Field, field_named
from pytest_greencode.gate.subjects import Subject, subject_of, subject_of_tests
from pytest_greencode.ledger import ID_LENGTH
from pytest_greencode.pricing import Pricing
from pytest_greencode.project_costs import why_incomplete
from pytest_greencode.reports.registry import write_whole
from pytest_greencode.reports.terminal import keyed
from pytest_greencode.reports.text import escape, percent, shown_path, significant
from pytest_greencode.run_gate import baseline_of_run

HELP = "what later runs are compared with: save it from a run, show it, update it"

_SHOWN = (
    "co2e_per_accepted_g",
    "energy_per_accepted_j",
    "pass_at_1",
    "waste_share",
    "energy_per_passing_test_j",
    "cpu_seconds_per_passing_test",
    "co2e_per_passing_test_g",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("save", "show", "update"), help="a new file; what is in one; renew or add")
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        default=Path(DEFAULT_BASELINE),
        metavar="PATH",
        help=f"default: {DEFAULT_BASELINE}",
    )
    add_run_options(parser)
    parser.add_argument(
        "--assumptions", type=Path, metavar="FILE", help="prices, for rules on money (default: the run's)"
    )


def run(options: argparse.Namespace) -> int:
    path = options.path
    if options.action == "show":
        for line in _lines(read_baseline(path, flag="baseline show")):
            say(line)
        return 0
    if options.action == "save" and path.exists():
        raise UsageProblem(
            f"baseline save {path}: is there already; `greencode baseline update {path}` renews what this run has in it"
        )
    with stored_run(options, tests_too=True) as found:
        baseline = _baseline(found, options)
    gone: set[str] = set()
    if options.action == "update":
        before = read_baseline(path, flag="baseline update")
        if before.project is not None and baseline.project is not None:
            gone = {*before.project.tests} - {*baseline.project.tests}
        try:
            baseline = before.updated(baseline)
        except UsageProblem as problem:
            raise UsageProblem(f"baseline update {path}: {problem}; or save a new one under another name") from None
    with writing(path, f"baseline {options.action}"):
        write_whole(path, [written(baseline).encode()])
    for line in _lines(baseline, gone):
        say(line)
    say(f"{'baseline':<13}{shown_path(path.absolute(), Path.cwd())}")
    return 0


def _baseline(found: StoredRun, options: argparse.Namespace) -> Baseline:
    account = found.account()
    _check_complete(found, account)
    assumptions = found.assumptions(options.assumptions)
    return baseline_of_run(found.ledger, found.run_id, account, assumptions=assumptions)


def _check_complete(found: StoredRun, account: Account) -> None:
    broken = None if account.project is None else why_incomplete(account.project)
    if broken is not None:
        raise UsageProblem(
            f"run {escape(found.run_id[:ID_LENGTH])}: {broken}, and a baseline needs all; run `pytest --greencode` anew"
        )
    missing = sum(
        each.completeness.attempts_unfinished + each.completeness.harness_errors for each in account.configurations
    )
    if missing:
        raise UsageProblem(
            f"run {escape(found.run_id[:ID_LENGTH])}: {missing} attempts have no verdict, which a baseline needs; "
            "finish it first: the same `pytest --greencode FILE...` with --greencode-resume"
        )


def _lines(baseline: Baseline, gone: Collection[str] = ()) -> list[str]:
    return list(keyed([*_notes(baseline), *_gone(gone)], 80))


def _gone(gone: Collection[str]) -> Iterator[tuple[str, str]]:
    if gone:
        more = " ..." if len(gone) > 1 else ""
        yield "left out", f"tests of the old baseline that this run has not: {len(gone)}, {escape(min(gone))}{more}"


def _notes(baseline: Baseline) -> Iterator[tuple[str, str]]:
    fields = [field for name in _SHOWN if (field := field_named(name)) is not None]
    found: list[tuple[str, str, str, str, Mapping[str, str]]] = []
    for each in baseline.configurations:
        settings = "" if each.settings == "{}" else f" {escape(each.settings)}"
        tasks = f"{len(each.task_rows)} tasks, {sum(row.attempts for row in each.task_rows)} attempts"
        subject = subject_of(each, fields, each.attempts_allowed)
        text = f"{escape(each.model)}{settings}: {_values(subject, fields)} ({tasks})"
        found.append((escape(each.suite)[:11], text, each.run_id, each.saved_at, each.conditions))
    if (project := baseline.project) is not None:
        subject = subject_of_tests(project, fields, Pricing(baseline.factors))
        passing = sum(test.passed for test in project.tests.values())
        text = f"{_values(subject, fields)} ({len(project.tests)} tests, {passing} passing)"
        found.append(("tests", text, project.run_id, project.saved_at, project.conditions))
    common = {tuple(own.items()) for *_, own in found}
    for key, text, run_id, saved_at, own in found:
        yield key, text
        yield "saved", f"run {escape(run_id[:ID_LENGTH])} of {escape(saved_at)}"
        if len(common) > 1:
            yield "conditions", _conditions(own.items())
    if len(common) == 1:
        yield "conditions", _conditions(common.pop())
    yield "factors", "; ".join(f"{name} {escape(value)}" for name, value in grids(baseline.factors).items())
    yield "by", ", ".join(f"{escape(name)} {escape(value)}" for name, value in baseline.versions.items())


def _values(subject: Subject, fields: Iterable[Field]) -> str:
    values = []
    for field in fields:
        if field.name in subject.quantities:
            value = subject.quantities[field.name].value
            shown = "?" if value is None else f"{percent(value)} %" if field.share else f"{significant(value)}"
            values.append(f"{field.name} {shown}")
    return ", ".join(values)


def _conditions(conditions: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{escape(name)} {escape(value)}" for name, value in conditions)
