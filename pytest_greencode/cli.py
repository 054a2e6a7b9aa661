"""The command line beside pytest: `greencode doctor` and `greencode report`. Reads ledgers, runs no attempts."""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pytest_greencode import __version__, carbon
from pytest_greencode.errors import GreencodeError, SandboxUnavailable, UsageProblem
from pytest_greencode.ledger import Ledger
from pytest_greencode.meters.choice import open_counters
from pytest_greencode.meters.estimated import EstimatedMeter
from pytest_greencode.meters.protocol import cautions as cautions_of
from pytest_greencode.meters.protocol import read_environment
from pytest_greencode.meters.pyrapl import stray_tests
from pytest_greencode.model import Factors
from pytest_greencode.reports.json import render_json
from pytest_greencode.reports.terminal import cautions, render_terminal
from pytest_greencode.reports.text import message, shown_path
from pytest_greencode.run_account import account_of_run

DEFAULT_LEDGER = ".greencode/ledger.sqlite"
_MEMORY_BYTES = 1 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 where something is missing (doctor), 4 for what the user can mend."""
    parser = argparse.ArgumentParser(prog="greencode", description="Grams of CO2e per accepted solution.")
    parser.add_argument("--version", action="version", version=f"greencode {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    doctor = commands.add_parser("doctor", help="what this machine can do, and what to paste where it cannot")
    doctor.add_argument("--build-image", action="store_true", help="make the worker image from this Python, anew")
    report = commands.add_parser("report", help="the last run's account again, from the ledger")
    report.add_argument("--ledger", type=Path, help=f"default: {DEFAULT_LEDGER} here or in the nearest directory above")
    report.add_argument("--run", metavar="ID", help="a run's id (default: the last run)")
    report.add_argument("--attempts", type=int, metavar="K", help="k of the headline (default: all in the file)")
    report.add_argument("--region", default="WOR", help="grid: ISO3 code or g/kWh (default: world average)")
    report.add_argument("--json", action="store_true", help="the JSON report instead of the table")
    options = parser.parse_args(arguments)
    try:
        return _doctor(build=options.build_image) if options.command == "doctor" else _report(options)
    except UsageProblem as error:
        _complain(error)
        return 4
    except GreencodeError as error:
        _complain(error)
        return 3
    except BrokenPipeError:
        return 0


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


def _report(options: argparse.Namespace) -> int:
    path = _ledger_path(options.ledger)
    if options.attempts is not None and options.attempts < 1:
        raise UsageProblem(f"--attempts: expected a whole number from 1, found {options.attempts}")
    ledger = Ledger(path)
    run_id = options.run or ledger.last_run()
    records = ledger.records(run_id) if run_id else []
    if not records or run_id is None:
        raise UsageProblem(f"--ledger {path}: no attempts of {f'run {run_id}' if run_id else 'any run'}")
    grid = carbon.parse_region(options.region, flag="--region")
    factors = Factors(generation=grid, execution=grid)
    result = account_of_run(ledger, run_id, factors, attempts_allowed=options.attempts)
    if options.json:
        _say(render_json(result, ledger.facts(run_id)))
    else:
        for line in render_terminal(result, notes=cautions(ledger.facts(run_id))):
            _say(line)
        _say(f"{'ledger':<13}{shown_path(path, Path.cwd())}")
    return 0


def _doctor(*, build: bool) -> int:
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


if __name__ == "__main__":
    sys.exit(main())
