"""The run in a ledger that a command is about: its options, and its account."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from pytest_greencode.accounts import Account
from pytest_greencode.economics.assumptions import Assumptions, read_assumptions
from pytest_greencode.economics.economy import Economy
from pytest_greencode.errors import LedgerError, UsageProblem
from pytest_greencode.findings import Findings
from pytest_greencode.ledger import DEFAULT_LEDGER, ID_LENGTH, Ledger, nearest_ledger
from pytest_greencode.model import Configuration, Factors
from pytest_greencode.project_costs import why_incomplete
from pytest_greencode.reports.names import configuration_named
from pytest_greencode.reports.text import escape, shown_path
from pytest_greencode.run_account import (
    account_of_run,
    assumptions_of_run,
    economies_of_run,
    factors_of_run,
    findings_of_run,
)
from pytest_greencode.sites import SiteTexts, assumed, factors_of

_LATEST = 5
_OF_TESTS = (
    "only tests of an ordinary suite, and this command is about samples; for tests there are `greencode report`, "
    "`greencode history` and `greencode export --table tests`"
)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and what its account depends on."""
    add_ledger(parser)
    parser.add_argument("--run", metavar="ID", help="a run's id or how it begins (default: the last run)")
    parser.add_argument("--attempts", type=count, metavar="K", help="k of the headline (default: as in the run)")
    sites = parser.add_argument_group("sites", "as --greencode-..., without it as in the run")
    sites.add_argument("--region", metavar="ISO3|G", help="grid of both sites: ISO3 code or g/kWh")
    sites.add_argument("--generation-region", metavar="ISO3|G", help="grid of the generation site")
    sites.add_argument("--machine", metavar="NAME|KG", help="the test machine's embodied carbon")
    sites.add_argument("--generation-machine", metavar="NAME|KG", help="the generator's, where a sample names no GPU")
    sites.add_argument("--pue", type=_pue, metavar="PUE", help="power usage effectiveness of the test site")
    sites.add_argument("--generation-pue", type=_pue, metavar="PUE", help="the same of the generation site")


def add_ledger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ledger", type=Path, help=f"default: {DEFAULT_LEDGER} here or in the nearest directory above")


def add_assumptions_file(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--assumptions", type=Path, metavar="FILE", help="prices, work, usage (default: the run's)")


def add_assumptions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("decisions")
    add_assumptions_file(group)
    group.add_argument(
        "--old",
        metavar="NAME",
        help="what is in use: a model or its label (default: of the others that can be judged, the best by pass@1)",
    )
    group.add_argument("--new", metavar="NAME", help="what may replace it (default: the cheapest in grams)")
    group.add_argument("--stronger", metavar="ID", help="a run of the same samples on a stronger suite")


def count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")


def _pue(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 1 <= (value := float(text)) <= 5:
            return value
    raise argparse.ArgumentTypeError(f"expected a power usage effectiveness from 1 to 5, found {text}")


def share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a share above 0 and up to 1, such as 0.8 or 80%, found {text}")


# What a command reads.


class StoredRun(Struct, frozen=True, kw_only=True):
    """A run in a ledger, and how the user wants it to be accounted for."""

    ledger: Ledger
    run_id: str
    factors: Factors
    facts: Mapping[str, Any]
    attempts: int | None

    def account(self) -> Account:
        return account_of_run(self.ledger, self.run_id, self.factors, attempts_allowed=self.attempts)

    def economies(self, account: Account, assumptions: Assumptions) -> Sequence[Economy]:
        return economies_of_run(self.ledger, self.run_id, account, assumptions)

    def findings(self, options: argparse.Namespace, account: Account) -> Findings:
        stronger = None if options.stronger is None else run_named(self.ledger, options.stronger, "--stronger")
        old, new = _change(options, account)
        return findings_of_run(
            self.ledger,
            self.run_id,
            account,
            self.assumptions(options.assumptions) or Assumptions(),
            old=old,
            new=new,
            target=getattr(options, "target", None),
            stronger=stronger,
        )

    def assumptions(self, path: Path | None) -> Assumptions | None:
        """Those of a file, else the run's; None where it had none."""
        if path is not None:
            return read_assumptions(path)
        return assumptions_of_run(self.facts) if self.facts.get("assumptions") else None

    def cautions(self) -> list[str]:
        """Lines on what makes the figures less certain than they look."""
        from pytest_greencode.reports.terminal import cautions, keyed

        return list(keyed(cautions(self.facts), 80))

    def why_unfinished(self, account: Account) -> str | None:
        """What the run has not come to."""
        if count := sum(each.completeness.attempts_unfinished for each in account.configurations):
            return f"{count} attempts have not finished"
        return None if account.project is None else why_incomplete(account.project)

    def refuse_unfinished(self, account: Account, why: str) -> None:
        """UsageProblem where attempts are still to be made, or tests have not run."""
        if (unfinished := self.why_unfinished(account)) is not None:
            again = "finish it first: the same `pytest --greencode FILE...` with --greencode-resume"
            if not account.configurations:
                again = "run it anew, without -x or an interruption"
            raise UsageProblem(f"run {escape(self.run_id[:ID_LENGTH])}: {unfinished}, {why}; {again}")

    def places(self) -> list[str]:
        """Where the numbers come from: which run, and the ledger."""
        started = escape(str(self.facts.get("started_at") or "at a time that is not known"))
        return [
            f"{'run':<13}{escape(self.run_id[:ID_LENGTH])}, started {started}",
            f"{'ledger':<13}{shown_path(self.ledger.path, Path.cwd())}",
        ]


def _change(options: argparse.Namespace, account: Account) -> tuple[Configuration | None, Configuration | None]:
    """What `--old` and `--new` mean."""
    finished = [configuration for configuration in account.configurations if configuration.attempts]
    old, new = (
        None if asked is None else configuration_named(asked, finished, flag=flag)
        for flag, asked in (("--old", options.old), ("--new", options.new))
    )
    if old is None or new is None:
        return old, new
    if old == new:
        raise UsageProblem(f"--old and --new: both are {escape(options.old)}; say two configurations")
    suites = [
        {each.suite for each in finished if (each.model, each.settings) == (one.model, one.settings)}
        for one in (old, new)
    ]
    if not suites[0] & suites[1]:
        raise UsageProblem("--old and --new: no suite has attempts of both; say two configurations of one suite")
    return old, new


def run_named(ledger: Ledger, asked: str, flag: str, *, tests_too: bool = False) -> str:
    """The run whose id is or begins so; `tests_too`: one of an ordinary test suite will do. Raises UsageProblem."""
    runs = ledger.runs()
    found = [each for each in runs if asked and each.run_id.startswith(asked)]
    found = [each for each in found if each.run_id == asked] or found
    if len(found) == 1 and (found[0].attempts or (tests_too and found[0].tests)):
        return found[0].run_id
    if len(found) == 1 and found[0].tests:
        raise UsageProblem(f"{flag} {escape(asked)}: {_OF_TESTS}")
    shown = found if len(found) > 1 else [each for each in runs if each.attempts or (tests_too and each.tests)]
    listed = ", ".join(
        f"{escape(each.run_id if len(found) > 1 else each.run_id[:ID_LENGTH])} ({escape(each.started_at)}, "
        f"{f'{each.attempts} attempts' if each.attempts else f'{each.tests} tests'})"
        for each in shown[:_LATEST]
    )
    what = f"{len(found)} runs begin so" if len(found) > 1 else "no attempts of such a run"
    raise UsageProblem(
        f"{flag} {escape(asked)}: {what} in {ledger.path}; the latest: {listed or 'none'}; see `greencode runs`"
    )


@contextlib.contextmanager
def stored_run(options: argparse.Namespace, *, tests_too: bool = False) -> Iterator[StoredRun]:
    """The run that is asked for; `tests_too`: one of an ordinary test suite will do.

    What cannot be read is a usage problem.
    """
    path = ledger_path(options.ledger)
    ledger = Ledger(path, read_only=True)
    try:
        if options.run is None:
            run_id = ledger.last_run(with_tests=tests_too)
        else:
            run_id = run_named(ledger, options.run, "--run", tests_too=tests_too)
        if run_id is None and not tests_too and ledger.last_run(with_tests=True) is not None:
            raise UsageProblem(f"--ledger {path}: {_OF_TESTS}")
        if run_id is None or not (ledger.records(run_id) or (tests_too and ledger.tests(run_id))):
            raise UsageProblem(f"--ledger {path}: no attempts of any run; run `pytest --greencode FILE...` first")
        yield run_in(ledger, run_id, options)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # A ledger is a file like any other: whatever may stand in it.
        raise LedgerError(
            f"--ledger {path}: not as this version writes it ({type(error).__name__}: {error})"
        ) from error
    finally:
        ledger.close()


def run_in(ledger: Ledger, run_id: str, options: argparse.Namespace) -> StoredRun:
    """As it was accounted for, unless the user wants it otherwise."""
    facts, sites = ledger.facts(run_id), _sites(options)
    caution = assumed(sites, facts)
    if caution is not None:
        facts["cautions"] = [caution]
    given = facts.get("options", {}).get("attempts")
    return StoredRun(
        ledger=ledger,
        run_id=run_id,
        factors=factors_of(sites, known=factors_of_run(facts), threads=facts.get("cpu_count")),
        facts=facts,
        attempts=options.attempts or (given if isinstance(given, int) and given >= 1 else None),
    )


def ledger_path(given: Path | None) -> Path:
    """What was asked for, else the one that a run here or in a directory above has written."""
    here = Path.cwd()
    path = (given if given.exists() else None) if given else nearest_ledger(here)
    if path is not None:
        return path
    where = f"--ledger {given}: no such file" if given else f"no {DEFAULT_LEDGER} in {here} or above"
    raise UsageProblem(f"{where}; run `pytest --greencode FILE...` first, or say where: --ledger PATH")


def _sites(options: argparse.Namespace) -> SiteTexts:
    return SiteTexts(
        prefix="--",
        region=options.region,
        generation_region=options.generation_region,
        machine=options.machine,
        generation_machine=options.generation_machine,
        pue=options.pue,
        generation_pue=options.generation_pue,
    )


def unfinished(account: Account) -> list[str]:
    """What to know before anything else: of which configurations attempts are still to be made."""
    from pytest_greencode.reports.terminal import keyed, unfinished_notes

    lines = list(keyed(unfinished_notes(account), 80))
    return [*lines, ""] if lines else []
