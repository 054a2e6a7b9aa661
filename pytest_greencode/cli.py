"""The command line beside pytest: `greencode report`, `compare`, `forecast`, `history` ... Runs no attempts."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pytest_greencode import __version__
from pytest_greencode.accounts import Account
from pytest_greencode.economics.assumptions import read_assumptions
from pytest_greencode.errors import GreencodeError, LedgerError, UsageProblem
from pytest_greencode.findings import Findings
from pytest_greencode.ledger import Ledger
from pytest_greencode.model import Configuration, Factors
from pytest_greencode.reports.names import configuration_named, task_named
from pytest_greencode.reports.registry import REPORTS, default_path, render_report, write_report, write_whole
from pytest_greencode.reports.text import columns, escape, left, message, right, shown_path
from pytest_greencode.run_account import (
    account_of_run,
    assumptions_of_run,
    findings_of_run,
    pricing_of,
    records_of_run,
)
from pytest_greencode.sites import SiteTexts, factors_of, factors_of_run

DEFAULT_LEDGER = ".greencode/ledger.sqlite"
TERMINAL = "terminal"
_ID_LENGTH = 8
_LATEST = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 where something is missing (doctor), 4 for what the user can mend."""
    try:
        options = _options(sys.argv[1:] if arguments is None else arguments)
        code = _COMMANDS[options.command](options)
        sys.stdout.flush()
    except UsageProblem as error:
        _complain(error)
        return 4
    except GreencodeError as error:
        _complain(error)
        return 3
    except BrokenPipeError:
        _silence()
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _silence()
        _complain(UsageProblem(f"{where}{error.strerror or error}"))
        return 4
    return code


class _Parser(argparse.ArgumentParser):
    """What cannot be parsed is a problem of the user like any other: one message, exit code 4."""

    def error(self, message: str) -> NoReturn:
        raise UsageProblem(f"{escape(message)}; see `{self.prog} --help`")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    # The parser alone has options without a value before the command.
    command = next((each for each in arguments if not each.startswith("-")), None)
    if command is not None and command not in _COMMANDS:
        near = difflib.get_close_matches(command, _COMMANDS, n=1)
        meant = f"did you mean `greencode {near[0]}`?" if near else f"expected one of {', '.join(_COMMANDS)}"
        raise UsageProblem(f"no command {escape(command)}; {meant} See `greencode --help`")
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        what = escape(" ".join(unknown))
        raise UsageProblem(f"unknown to {command}: {what}; see `greencode {command} --help`")
    return options


def _parser() -> argparse.ArgumentParser:
    from pytest_greencode.reports.export import FORMATS, TABLES

    parser = _Parser(prog="greencode", description="Grams of CO2e per accepted solution.")
    parser.add_argument("--version", action="version", version=f"greencode {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    report = commands.add_parser("report", help="a run's account again, from the ledger, in any format")
    _add_run_options(report)
    _add_assumptions(report)
    kinds = report.add_mutually_exclusive_group()
    kinds.add_argument("--format", choices=(TERMINAL, *REPORTS), default=TERMINAL, help="default: terminal, the table")
    kinds.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    kinds.add_argument("--explain", metavar="NAME[:TASK]", help="each formula with its numbers, from joules to grams")
    report.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")
    compare = commands.add_parser("compare", help="configurations side by side: pairs, front, factors, what to take")
    _add_run_options(compare)
    _add_assumptions(compare)
    compare.add_argument("--target", type=_share, metavar="SHARE", help="pass@k to reach, 0.8 or 80%%: select by it")
    forecast = commands.add_parser("forecast", help="money, human work, payback, and what a month in use will cost")
    _add_run_options(forecast)
    _add_assumptions(forecast)
    history = commands.add_parser("history", help="add a run's key figures to a file, and say what changed since")
    history.add_argument("file", type=Path, metavar="FILE", help="JSON lines, made where there is none")
    history.add_argument("--revision", metavar="REV", help="of the code that was measured")
    _add_run_options(history)
    _add_assumptions(history)
    export = commands.add_parser("export", help="a run's tables, for notebooks and spreadsheets")
    _add_run_options(export)
    export.add_argument("--table", choices=TABLES, default=TABLES[0], help=f"default: {TABLES[0]}")
    export.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"default: {FORMATS[0]}")
    export.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")
    runs = commands.add_parser("runs", help="the runs of a ledger, the latest first")
    _add_ledger(runs)
    doctor = commands.add_parser("doctor", help="what this machine can do, and what to paste where it cannot")
    doctor.add_argument("--build-image", action="store_true", help="make the worker image from this Python, anew")
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and what its account depends on."""
    _add_ledger(parser)
    parser.add_argument("--run", metavar="ID", help="a run's id or how it begins (default: the last run)")
    parser.add_argument("--attempts", type=_count, metavar="K", help="k of the headline (default: as in the run)")
    sites = parser.add_argument_group("sites", "as --greencode-..., without it as in the run")
    sites.add_argument("--region", metavar="ISO3|G", help="grid of both sites: ISO3 code or g/kWh")
    sites.add_argument("--generation-region", metavar="ISO3|G", help="grid of the generation site")
    sites.add_argument("--machine", metavar="NAME|KG", help="the test machine's embodied carbon")
    sites.add_argument("--generation-machine", metavar="NAME|KG", help="the generator's, where a sample names no GPU")
    sites.add_argument("--pue", type=_pue, metavar="PUE", help="power usage effectiveness of the test site")
    sites.add_argument("--generation-pue", type=_pue, metavar="PUE", help="the same of the generation site")


def _add_ledger(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ledger", type=Path, help=f"default: {DEFAULT_LEDGER} here or in the nearest directory above")


def _add_assumptions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("decisions")
    group.add_argument("--assumptions", type=Path, metavar="FILE", help="prices, work, usage (default: the run's)")
    group.add_argument(
        "--old",
        metavar="NAME",
        help="what is in use: a model or its label (default: of the others that can be judged, the best by pass@1)",
    )
    group.add_argument("--new", metavar="NAME", help="what may replace it (default: the cheapest in grams)")
    group.add_argument("--stronger", metavar="ID", help="a run of the same samples on a stronger suite")


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")


def _pue(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 1 <= (value := float(text)) <= 5:
            return value
    raise argparse.ArgumentTypeError(f"expected a power usage effectiveness from 1 to 5, found {text}")


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)) <= 1:
            return value
    raise argparse.ArgumentTypeError(f"expected a share above 0 and up to 1, such as 0.8 or 80%, found {text}")


# What a command reads.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run in a ledger, and how the user wants it to be accounted for."""

    ledger: Ledger
    run_id: str
    factors: Factors
    facts: Mapping[str, Any]
    attempts: int | None

    def account(self) -> Account:
        return account_of_run(self.ledger, self.run_id, self.factors, attempts_allowed=self.attempts)

    def findings(self, options: argparse.Namespace, account: Account) -> Findings:
        stronger = None if options.stronger is None else _run_id(self.ledger, options.stronger, "--stronger")
        old, new = _change(options, account)
        return findings_of_run(
            self.ledger,
            self.run_id,
            account,
            assumptions_of_run(self.facts) if options.assumptions is None else read_assumptions(options.assumptions),
            old=old,
            new=new,
            target=getattr(options, "target", None),
            stronger=stronger,
        )

    def places(self) -> list[str]:
        """Where the numbers come from: which run, and the ledger."""
        started = escape(str(self.facts.get("started_at") or "at a time that is not known"))
        return [
            f"{'run':<13}{escape(self.run_id[:_ID_LENGTH])}, started {started}",
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
        f"{escape(each.run_id if len(found) > 1 else each.run_id[:_ID_LENGTH])} ({escape(each.started_at)}, "
        f"{each.attempts} attempts)"
        for each in shown[:_LATEST]
    )
    what = f"{len(found)} runs begin so" if len(found) > 1 else "no attempts of such a run"
    raise UsageProblem(
        f"{flag} {escape(asked)}: {what} in {ledger.path}; the latest: {listed or 'none'}; see `greencode runs`"
    )


@contextlib.contextmanager
def _run(options: argparse.Namespace) -> Iterator[_Run]:
    """The run that is asked for. What cannot be read is a usage problem."""
    path = _ledger_path(options.ledger)
    ledger = Ledger(path, read_only=True)
    try:
        run_id = ledger.last_run() if options.run is None else _run_id(ledger, options.run, "--run")
        if run_id is None or not ledger.records(run_id):
            raise UsageProblem(f"--ledger {path}: no attempts of any run; run `pytest --greencode FILE...` first")
        facts = ledger.facts(run_id)
        given = facts.get("options", {}).get("attempts")
        yield _Run(
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


def _ledger_path(given: Path | None) -> Path:
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


# The commands.


def _report(options: argparse.Namespace) -> int:
    kind, output = options.format, options.output
    if output is None and kind != TERMINAL and REPORTS[kind].variable is not None:
        output = default_path(kind, os.environ, flag=f"--format {kind}")
    with _run(options) as run:
        account = run.account()
        if options.explain is not None:
            text = "\n".join([*_unfinished(account), *_explained(run, account, options.explain)]) + "\n"
        elif kind == TERMINAL:
            from pytest_greencode.reports.terminal import cautions, render_terminal

            text = "\n".join([*render_terminal(account, notes=cautions(run.facts)), *run.places()]) + "\n"
        else:
            findings = run.findings(options, account) if REPORTS[kind].with_findings else None
            if output is not None:
                with _writing(output):
                    write_report(kind, output, account, run.facts, findings)
                return 0
            text = render_report(kind, account, run.facts, findings)
    if output is None:
        _say(text.removesuffix("\n"))
    else:
        with _writing(output):
            write_whole(output, [text.encode()])
    return 0


def _unfinished(account: Account) -> list[str]:
    """What to know before anything else: of which configurations attempts are still to be made."""
    from pytest_greencode.reports.terminal import keyed, unfinished_notes

    lines = list(keyed(unfinished_notes(account), 80))
    return [*lines, ""] if lines else []


def _explained(run: _Run, account: Account, asked: str) -> Iterator[str]:
    """Each suite's account of what is asked for."""
    from pytest_greencode.reports.explain import explain

    named, task = task_named(asked, account.configurations, flag="--explain")
    records, pricing = records_of_run(run.ledger, run.run_id).attempts, pricing_of(run.factors, run.facts)
    found = [
        each
        for each in account.configurations
        if (each.model, each.settings) == (named.model, named.settings)
        and (task is None or task in {row.task_id for row in each.task_rows})
    ]
    for position, configuration in enumerate(found):
        yield from ["", ""] * bool(position)
        yield from explain(configuration, records, pricing, task_id=task)


def _compare(options: argparse.Namespace) -> int:
    from pytest_greencode.reports.compare import compare_lines

    return _found(options, compare_lines)


def _forecast(options: argparse.Namespace) -> int:
    from pytest_greencode.reports.compare import outlook_lines

    return _found(options, outlook_lines)


def _found(options: argparse.Namespace, shown: Callable[[Findings], list[str]]) -> int:
    with _run(options) as run:
        account = run.account()
        for line in [*_unfinished(account), *shown(run.findings(options, account)), "", *run.places()]:
            _say(line)
    return 0


def _history(options: argparse.Namespace) -> int:
    from pytest_greencode.economics.history import (
        append_history,
        changes,
        factors_digest,
        key_figures,
        read_history,
    )
    from pytest_greencode.reports.economics import history_lines

    with _run(options) as run:
        account = run.account()
        if unfinished := sum(each.completeness.attempts_unfinished for each in account.configurations):
            raise UsageProblem(
                f"run {escape(run.run_id[:_ID_LENGTH])}: {unfinished} attempts have not finished, and what is in the "
                "history stays; finish it first: the same `pytest --greencode FILE...` with --greencode-resume"
            )
        figures = key_figures(
            run.findings(options, account).economies,
            at=str(run.facts.get("started_at", "")),
            revision=options.revision,
            factors=factors_digest(account.factors),
        )
        before = read_history(options.file)
        lines = history_lines(figures, changes(before, figures), before.broken, before=before.lines)
        with _writing(options.file, "FILE"):
            append_history(options.file, figures)
    for line in lines:
        _say(line)
    return 0


def _runs(options: argparse.Namespace) -> int:
    """A row for each run; more of an id where its beginning is another's too."""
    path = _ledger_path(options.ledger)
    ledger = Ledger(path, read_only=True)
    try:
        runs = ledger.runs()
    finally:
        ledger.close()
    size = _ID_LENGTH
    while len({each.run_id[:size] for each in runs}) < len(runs):
        size += 1
    rows = [("run", "started", "attempts", "finished")]
    rows += [(escape(e.run_id[:size]), escape(e.started_at), str(e.attempts), str(e.finished)) for e in runs]
    first, second = (max(map(columns, column)) for column in list(zip(*rows, strict=True))[:2])
    for run_id, started, attempts, finished in rows:
        _say(f"{left(run_id, first)}  {left(started, second)}  {right(attempts, 8)}  {right(finished, 8)}")
    _say(f"ledger: {shown_path(path, Path.cwd())}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from pytest_greencode.reports.export import encoded, run_table

    if options.format == "parquet" and options.output is None and sys.stdout.isatty():
        raise UsageProblem("--format parquet is nothing for a terminal; name a file: --output PATH")
    with _run(options) as run:
        table = run_table(options.table, run.ledger, run.run_id, run.factors, attempts_allowed=run.attempts)
        content = encoded(table, options.format)
        if options.output is None:
            sys.stdout.buffer.writelines(content)
        else:
            with _writing(options.output):
                write_whole(options.output, content)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from pytest_greencode.doctor import examine

    return examine(_say, build=options.build_image)


@contextlib.contextmanager
def _writing(path: Path, flag: str = "--output") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageProblem(f"{flag} {path}: {error.strerror or error}; expected a file that can be written") from error


def _silence() -> None:
    """Nothing more can be said on standard output, so that Python does not try at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    sys.stdout.write(
        text.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8") + "\n"
    )


def _complain(error: Exception) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in message(str(error), first="greencode: ")))


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "report": _report,
    "compare": _compare,
    "forecast": _forecast,
    "history": _history,
    "export": _export,
    "runs": _runs,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
