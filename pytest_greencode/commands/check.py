"""`greencode check`: rules on a run in the ledger, and what its machine's own noise is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_greencode.baseline import read_baseline
from pytest_greencode.commands.output import say
from pytest_greencode.commands.stored_run import StoredRun, add_run_options, run_named, stored_run
from pytest_greencode.errors import UsageProblem
from pytest_greencode.gate import (
    EXIT_CODE,
    FALSE_ALARM,
    Field,
    Noise,
    Subject,
    field_named,
    noise,
    parse_rules,
    subject_of,
)
from pytest_greencode.ledger import ID_LENGTH
from pytest_greencode.reports.gate import gate_lines
from pytest_greencode.reports.terminal import keyed
from pytest_greencode.reports.text import escape, percent, significant
from pytest_greencode.run_account import account_of_run
from pytest_greencode.run_gate import gate_of_run, samples_of, tests_of

HELP = "rules on a run in the ledger; --aa: how far runs of the same samples or tests differ"

_AA_FIELDS = (
    "co2e_per_accepted_g",
    "energy_per_accepted_j",
    "pass_at_1",
    "waste_share",
    "energy_per_passing_test_j",
    "cpu_seconds_per_passing_test",
)
_MOST_RUNS = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    gate = parser.add_argument_group("gate", "as --greencode-..., without it as in the run")
    gate.add_argument("--fail", action="append", default=[], metavar="FIELD:LIMIT", help="a rule (repeatable)")
    gate.add_argument("--baseline", type=Path, metavar="PATH", help="what relative rules compare with")
    gate.add_argument(
        "--differences",
        choices=("refuse", "accept"),
        default="refuse",
        help="a baseline of another CPU, meter, image, suite, grid or number of attempts (default: refuse)",
    )
    gate.add_argument("--strict", action="store_true", help="only a pass is exit code 0")
    gate.add_argument(
        "--assumptions", type=Path, metavar="FILE", help="prices, for rules on money (default: the run's)"
    )
    parser.add_argument(
        "--aa",
        nargs="*",
        metavar="ID",
        help="instead: how far these runs differ, or without IDs all of the last run's samples or tests; proposes a "
        "tolerance",
    )


def run(options: argparse.Namespace) -> int:
    with stored_run(options, tests_too=True) as found:
        return _noise(found, options.aa) if options.aa is not None else _gate(found, options)


def _gate(found: StoredRun, options: argparse.Namespace) -> int:
    own = found.facts.get("options", {}).get("fail") or []
    rules = parse_rules(options.fail or own, flag="--fail")
    if not rules:
        raise UsageProblem("no rule given, and the run had none; say one: --fail co2e_per_accepted_g:0.40")
    if options.baseline is None and (relative := [rule for rule in rules if rule.relative]):
        raise UsageProblem(f"--fail {relative[0].text}: compares with a baseline; say which: --baseline PATH")
    account = found.account()
    decision = gate_of_run(
        found.ledger,
        found.run_id,
        rules,
        factors=found.factors,
        attempts_allowed=found.attempts,
        account=account,
        baseline=None if options.baseline is None else read_baseline(options.baseline, flag="--baseline"),
        baseline_name=None if options.baseline is None else str(options.baseline),
        accept_differences=options.differences == "accept",
        strict=options.strict,
        assumptions=found.assumptions(options.assumptions),
    )
    rules_lines, sentence = gate_lines(decision, account.configurations)
    for line in [*found.cautions(), *found.places(), *rules_lines, *sentence]:
        say(line)
    return EXIT_CODE if decision.failed else 0


# A/A.


def _noise(found: StoredRun, asked: Sequence[str]) -> int:
    ids = [run_named(found.ledger, each, "--aa", tests_too=True) for each in asked] if asked else _alike(found)
    known = [field for name in _AA_FIELDS if (field := field_named(name)) is not None]
    by_id = {run_id: _subjects(found, run_id, known) for run_id in dict.fromkeys(ids)}
    first = _what_ran(by_id[ids[0]])
    if not asked:
        by_id = {run_id: run for run_id, run in by_id.items() if _what_ran(run) == first}
    elif any(_what_ran(run) != first for run in by_id.values()):
        raise UsageProblem(
            "--aa: the runs are not of the same samples, or not of the same tests under the same conditions, so their "
            "difference is not the machine's alone"
        )
    if len(by_id) < 2:
        raise UsageProblem(
            "--aa: one run, and nothing to compare it with; run the same `pytest --greencode ...` five times or so and "
            "ask anew"
        )
    runs = list(by_id.values())
    fields = [field for field in known if any(field.name in each.quantities for run in runs for each in run)]
    listed = ", ".join(escape(run_id[:ID_LENGTH]) for run_id in by_id)
    for line in keyed([*_notes(fields, runs), ("runs", listed)], 80):
        say(line)
    return 0


def _alike(found: StoredRun) -> list[str]:
    """The run that is asked for, and others of its programs and of its tests, the latest first.

    Tests of another commit are other code, and their difference is not the machine's.
    """
    ledger = found.ledger

    def what_ran(run_id: str) -> tuple[object, ...]:
        tests = ledger.test_ids(run_id)
        return samples_of(ledger.records(run_id)), tests, ledger.facts(run_id).get("commit") if tests else None

    wanted = what_ran(found.run_id)
    others = [row.run_id for row in ledger.runs() if row.finished == row.attempts and (row.attempts or row.tests)]
    alike = [run_id for run_id in others[:_MOST_RUNS] if what_ran(run_id) == wanted]
    return [found.run_id, *alike]


def _subjects(found: StoredRun, run_id: str, fields: Sequence[Field]) -> list[Subject]:
    samples = samples_of(found.ledger.records(run_id))
    account = account_of_run(found.ledger, run_id, found.factors, attempts_allowed=found.attempts)
    return [
        *(
            subject_of(
                each, fields, each.per_accepted.attempts, samples=samples.get((each.suite, each.model, each.settings))
            )
            for each in account.configurations
        ),
        *tests_of(account, fields, found.ledger.facts(run_id)),
    ]


def _what_ran(run: Sequence[Subject]) -> tuple[object, ...]:
    """Digests of the programs; tests with whether they passed, and under which conditions."""
    found: list[object] = []
    for each in run:
        passed = {(name, pair[1]) for quantity in each.quantities.values() for name, pair in quantity.units.items()}
        what = (frozenset(passed), *each.conditions.items()) if each.of_tests else each.samples
        found += [(each.key, what)] if what else []
    return tuple(sorted(found, key=repr))


def _notes(fields: Sequence[Field], runs: Sequence[Sequence[Subject]]) -> Iterator[tuple[str, str]]:
    proposed = []
    for field in fields:
        found = noise(field.name, field.share, runs)
        if found is None:
            yield "unknown", f"{field.name}: no configuration has it in every run"
            continue
        yield "noise", _told(found, field)
        limit = _limit(found, field)
        proposed.append(f"{field.name}:{limit}")
    yield "", ""
    chance = f"{100 * FALSE_ALARM:g} %"
    yield "proposed", f"limits that noise like this exceeds in fewer than {chance} of runs without a change:"
    for rule in proposed:
        yield "proposed", f"--greencode-fail {rule}"
    if len(runs) < 5:
        yield "few runs", f"{len(runs)} runs say little of their noise, and the limits allow for that: make it five"


def _told(found: Noise, field: Field) -> str:
    count = len(found.values)
    what = "the tests" if field.of_tests else f"{count} configuration{'s' * (count != 1)}"
    many = f"over {found.runs} runs of {what}"
    if found.at_one_speed is not None:
        many += f"; {percent(found.at_one_speed)} % at one speed of the machine, as starting pytest tells it"
    spreads = [
        max(values) - min(values) if found.share else max(values) / min(values) for values in found.values.values()
    ]
    if found.share:
        return (
            f"{found.field}: standard deviation {significant(100 * found.deviation)} pp, at most"
            f" {significant(100 * max(spreads))} pp apart, {many}"
        )
    return (
        f"{found.field}: standard deviation {percent(found.deviation)} %, at most"
        f" {significant(max(spreads), 4)} times apart, {many}"
    )


def _limit(found: Noise, field: Field) -> str:
    """Rounded up to whole percent or points, and never 0: no machine is without noise."""
    number = max(1, -int(-100 * found.tolerance // 1))
    sign = "+" if field.less_is_better else "-"
    return f"{sign}{number}{'pp' if found.share else '%'}"
