"""The run in a ledger that a command is about: its options, and its account."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_greencode.accounts import Account
from pytest_greencode.economics.assumptions import Assumptions, read_assumptions
from pytest_greencode.economics.economy import Economy
from pytest_greencode.errors import LedgerError, UsageProblem
from pytest_greencode.findings import Findings
from pytest_greencode.ledger import Ledger
from pytest_greencode.model import Configuration, Factors
from pytest_greencode.reports.names import configuration_named
from pytest_greencode.reports.text import escape, shown_path
from pytest_greencode.run_account import account_of_run, assumptions_of_run, economies_of_run, findings_of_run
from pytest_greencode.sites import SiteTexts, factors_of, factors_of_run

DEFAULT_LEDGER = ".greencode/ledger.sqlite"
ID_LENGTH = 8
_LATEST = 5


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """A run in a ledger, and how the user wants it to be accounted for."""

    ledger: Ledger
    run_id: str
    factors: Factors
    facts: Mapping[str, Any]
    attempts: int | None

    def account(self) -> Account:
        return account_of_run(self.ledger, self.run_id, self.factors, attempts_allowed=self.attempts)

    def assumptions(self, options: argparse.Namespace) -> Assumptions:
        return assumptions_of_run(self.facts) if options.assumptions is None else read_assumptions(options.assumptions)

    def economies(self, account: Account, assumptions: Assumptions) -> Sequence[Economy]:
        return economies_of_run(self.ledger, self.run_id, account, assumptions)

    def findings(self, options: argparse.Namespace, account: Account) -> Findings:
        stronger = None if options.stronger is None else _run_id(self.ledger, options.stronger, "--stronger")
        old, new = _change(options, account)
        return findings_of_run(
            self.ledger,
            self.run_id,
            account,
            self.assumptions(options),
            old=old,
            new=new,
            target=getattr(options, "target", None),
            stronger=stronger,
        )

    def refuse_unfinished(self, account: Account, why: str) -> None:
        """UsageProblem where attempts are still to be made."""
        if count := sum(each.completeness.attempts_unfinished for each in account.configurations):
            raise UsageProblem(
                f"run {escape(self.run_id[:ID_LENGTH])}: {count} attempts have not finished, {why}; finish it first: "
                "the same `pytest --greencode FILE...` with --greencode-resume"
            )

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


def _run_id(ledger: Ledger, asked: str, flag: str) -> str:
    """The run whose id is or begins so. Raises UsageProblem."""
    runs = ledger.runs()
    found = [each for each in runs if asked and each.run_id.startswith(asked)]
    found = [each for each in found if each.run_id == asked] or found
    if len(found) == 1 and found[0].attempts:
        return found[0].run_id
    shown = found if len(found) > 1 else [each for each in runs if each.attempts]
    listed = ", ".join(
        f"{escape(each.run_id if len(found) > 1 else each.run_id[:ID_LENGTH])} ({escape(each.started_at)}, "
        f"{each.attempts} attempts)"
        for each in shown[:_LATEST]
    )
    what = f"{len(found)} runs begin so" if len(found) > 1 else "no attempts of such a run"
    raise UsageProblem(
        f"{flag} {escape(asked)}: {what} in {ledger.path}; the latest: {listed or 'none'}; see `greencode runs`"
    )


@contextlib.contextmanager
def stored_run(options: argparse.Namespace) -> Iterator[StoredRun]:
    """The run that is asked for. What cannot be read is a usage problem."""
    path = ledger_path(options.ledger)
    ledger = Ledger(path, read_only=True)
    try:
        run_id = ledger.last_run() if options.run is None else _run_id(ledger, options.run, "--run")
        if run_id is None or not ledger.records(run_id):
            raise UsageProblem(f"--ledger {path}: no attempts of any run; run `pytest --greencode FILE...` first")
        facts = ledger.facts(run_id)
        given = facts.get("options", {}).get("attempts")
        yield StoredRun(
            ledger=ledger,
            run_id=run_id,
            factors=factors_of(_sites(options), known=factors_of_run(facts), threads=facts.get("cpu_count")),
            facts=facts,
            attempts=options.attempts or (given if isinstance(given, int) and given >= 1 else None),
        )
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # A ledger is a file like any other: whatever may stand in it.
        raise LedgerError(
            f"--ledger {path}: not as this version writes it ({type(error).__name__}: {error})"
        ) from error
    finally:
        ledger.close()


def ledger_path(given: Path | None) -> Path:
    """What was asked for, else the one that a run here or in a directory above has written."""
    here = Path.cwd()
    found = [given] if given else [directory / DEFAULT_LEDGER for directory in (here, *here.parents)]
    for path in found:
        if path.exists():
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
