"""The command line beside pytest: `greencode doctor`, `report` and `export`. Reads ledgers, runs no attempts."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_greencode import __version__
from pytest_greencode.errors import GreencodeError, LedgerError, SandboxUnavailable, UsageProblem
from pytest_greencode.ledger import Ledger
from pytest_greencode.meters.choice import open_counters
from pytest_greencode.meters.estimated import EstimatedMeter
from pytest_greencode.meters.protocol import cautions as cautions_of
from pytest_greencode.meters.protocol import read_environment
from pytest_greencode.meters.pyrapl import stray_tests
from pytest_greencode.model import Factors
from pytest_greencode.reports.export import FORMATS, TABLES, encoded, run_table
from pytest_greencode.reports.registry import REPORTS, default_path, render_report, write_report, write_whole
from pytest_greencode.reports.terminal import cautions, render_terminal
from pytest_greencode.reports.text import message, shown_path
from pytest_greencode.run_account import account_of_run
from pytest_greencode.sites import SiteTexts, factors_of, factors_of_run

DEFAULT_LEDGER = ".greencode/ledger.sqlite"
TERMINAL = "terminal"
_MEMORY_BYTES = 1 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 where something is missing (doctor), 4 for what the user can mend."""
    parser = argparse.ArgumentParser(prog="greencode", description="Grams of CO2e per accepted solution.")
    parser.add_argument("--version", action="version", version=f"greencode {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="what this machine can do, and what to paste where it cannot")
    doctor.add_argument("--build-image", action="store_true", help="make the worker image from this Python, anew")
    report = commands.add_parser("report", help="the last run's account again, from the ledger")
    _add_run_options(report)
    kinds = report.add_mutually_exclusive_group()
    kinds.add_argument("--format", choices=(TERMINAL, *REPORTS), default=TERMINAL, help="default: terminal, the table")
    kinds.add_argument("--json", action="store_const", const="json", dest="format", help="the same as --format json")
    report.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")
    export = commands.add_parser("export", help="a run's tables, for notebooks and spreadsheets")
    _add_run_options(export)
    export.add_argument("--table", choices=TABLES, default=TABLES[0], help=f"default: {TABLES[0]}")
    export.add_argument("--format", choices=FORMATS, default=FORMATS[0], help=f"default: {FORMATS[0]}")
    export.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")
    options = parser.parse_args(arguments)
    try:
        code = _COMMANDS[options.command](options)
        sys.stdout.flush()
        return code
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


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    """Which run, and what its account depends on."""
    parser.add_argument("--ledger", type=Path, help=f"default: {DEFAULT_LEDGER} here or in the nearest directory above")
    parser.add_argument("--run", metavar="ID", help="a run's id (default: the last run)")
    parser.add_argument("--attempts", type=int, metavar="K", help="k of the headline (default: all in the file)")
    sites = parser.add_argument_group("sites", "as --greencode-..., without it as in the run")
    sites.add_argument("--region", metavar="ISO3|G", help="grid of both sites: ISO3 code or g/kWh")
    sites.add_argument("--generation-region", metavar="ISO3|G", help="grid of the generation site")
    sites.add_argument("--machine", metavar="NAME|KG", help="the test machine's embodied carbon")
    sites.add_argument("--generation-machine", metavar="NAME|KG", help="the generator's, where a sample names no GPU")
    sites.add_argument("--pue", type=_pue, metavar="PUE", help="power usage effectiveness of the test site")
    sites.add_argument("--generation-pue", type=_pue, metavar="PUE", help="the same of the generation site")


def _pue(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 5:
        raise argparse.ArgumentTypeError(f"expected a power usage effectiveness from 1 to 5, found {text}")
    return value


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


def _ledger_path(given: Path | None) -> Path:
    """What was asked for, else the one that a run here or in a directory above has written."""
    here = Path.cwd()
    found = [given] if given else [directory / DEFAULT_LEDGER for directory in (here, *here.parents)]
    for path in found:
        if path.exists():
            return path
    where = f"--ledger {given}: no such file" if given else f"no {DEFAULT_LEDGER} in {here} or above"
    raise UsageProblem(f"{where}; run `pytest --greencode FILE...` first, or say where: --ledger PATH")


@contextlib.contextmanager
def _run(options: argparse.Namespace) -> Iterator[tuple[Ledger, str, Factors]]:
    """The ledger, the run that is asked for, and the factors of its account. What cannot be read is a usage problem."""
    path = _ledger_path(options.ledger)
    if options.attempts is not None and options.attempts < 1:
        raise UsageProblem(f"--attempts: expected a whole number from 1, found {options.attempts}")
    ledger = Ledger(path, read_only=True)
    try:
        run_id = options.run or ledger.last_run()
        if run_id is None or not ledger.records(run_id):
            raise UsageProblem(f"--ledger {path}: no attempts of {f'run {run_id}' if run_id else 'any run'}")
        yield ledger, run_id, factors_of(_sites(options), known=factors_of_run(ledger.facts(run_id)))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # A ledger is a file like any other: whatever may stand in it.
        raise LedgerError(
            f"--ledger {path}: not as this version writes it ({type(error).__name__}: {error})"
        ) from error
    finally:
        ledger.close()


def _report(options: argparse.Namespace) -> int:
    kind, output = options.format, options.output
    if output is None and kind != TERMINAL and REPORTS[kind].variable is not None:
        output = default_path(kind, os.environ, flag=f"--format {kind}")
    with _run(options) as (ledger, run_id, factors):
        result = account_of_run(ledger, run_id, factors, attempts_allowed=options.attempts)
        facts = ledger.facts(run_id)
        if kind != TERMINAL and output is not None:
            with _writing(output):
                write_report(kind, output, result, facts)
            return 0
        if kind == TERMINAL:
            lines = render_terminal(result, notes=cautions(facts))
            lines.append(f"{'ledger':<13}{shown_path(ledger.path, Path.cwd())}")
            text = "\n".join(lines) + "\n"
        else:
            text = render_report(kind, result, facts)
    if output is None:
        _say(text.removesuffix("\n"))
    else:
        with _writing(output):
            write_whole(output, [text.encode()])
    return 0


def _export(options: argparse.Namespace) -> int:
    if options.format == "parquet" and options.output is None and sys.stdout.isatty():
        raise UsageProblem("--format parquet is nothing for a terminal; name a file: --output PATH")
    with _run(options) as (ledger, run_id, factors):
        table = run_table(options.table, ledger, run_id, factors, attempts_allowed=options.attempts)
        content = encoded(table, options.format)
        if options.output is None:
            sys.stdout.buffer.writelines(content)
        else:
            with _writing(options.output):
                write_whole(options.output, content)
    return 0


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageProblem(
            f"--output {path}: {error.strerror or error}; expected a file that can be written"
        ) from error


def _doctor(options: argparse.Namespace) -> int:
    build: bool = options.build_image
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", lambda: f"{platform.python_version()} on {platform.platform()}"),
        ("docker", _docker),
        ("image", lambda: _image(rebuild=build)),
        ("bubblewrap", _bubblewrap),
        ("counters", _counters),
        ("estimate", lambda: EstimatedMeter.of_host().source),
    ]
    missing = set()
    for name, check in checks:
        try:
            verdict, text = "ok", check()
        except (GreencodeError, OSError, subprocess.SubprocessError) as error:
            verdict, text = "missing", str(error)
            missing.add(name)
        for line in message(text, first=f"{name:<11}{verdict:<9}", rest=" " * 20):
            _say(line)
    if (stray := stray_tests()) is not None:
        for line in message(
            f"pyRAPL has put a package `tests` at {stray}, which hides a directory tests/ of yours that has no "
            "__init__.py; give yours one, or delete that package",
            first=f"{'pyRAPL':<11}{'note':<9}",
            rest=" " * 20,
        ):
            _say(line)
    for line in _machine_notes():
        _say(line)
    if {"docker", "bubblewrap"} <= missing:
        _say("no sandbox: nothing can be run here until docker or bubblewrap is ok")
        return 1
    return 1 if build and "image" in missing else 0


def _counters() -> str:
    """The CPU's energy counters, if they can be read."""
    counters = open_counters()
    try:
        facts = counters.describe()
        names = ", ".join(domain.name for domain in counters.domains)
    finally:
        counters.close()
    return f"{facts['backend']}: {names}"


def _machine_notes() -> Iterator[str]:
    """What makes measured energy less certain on this machine, each with its remedy."""
    for caution in cautions_of(read_environment()):
        text = f"{caution.what} {caution.why} {caution.remedy}"
        yield from message(text, first=f"{'energy':<11}{'note':<9}", rest=" " * 20)


def _docker() -> str:
    from pytest_greencode.sandboxes.docker import connect

    client = connect()
    version = client.version()
    client.close()
    return f"engine {version.get('Version')}, API {version.get('ApiVersion')}"


def _image(*, rebuild: bool) -> str:
    from pytest_greencode.sandboxes.docker import DockerKind, build_image, connect

    client = connect()
    image = build_image(client, notify=_say, rebuild=rebuild)
    client.close()
    kind = DockerKind(memory_bytes=_MEMORY_BYTES)
    try:
        sandbox = kind.start()
        facts = sandbox.facts
        sandbox.close()
    finally:
        kind.close()
    landlock = f"Landlock ABI {facts['landlock_abi']}" if facts["landlock_abi"] else "no Landlock"
    return f"{image[:19]}, Python {facts['python']}, {landlock}, starts"


def _bubblewrap() -> str:
    from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind

    kind = BubblewrapKind(memory_bytes=_MEMORY_BYTES)
    sandbox = kind.start()
    facts = sandbox.facts
    sandbox.close()
    if not facts["landlock_abi"]:
        raise SandboxUnavailable("bubblewrap starts, but the kernel has no Landlock: writes are kept by mounts alone")
    return f"{kind.describe()['engine']}, Landlock ABI {facts['landlock_abi']}, starts"


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"doctor": _doctor, "report": _report, "export": _export}


if __name__ == "__main__":
    sys.exit(main())
