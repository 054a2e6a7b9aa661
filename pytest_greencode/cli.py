"""The command line beside pytest: `greencode report`, `compare`, `forecast`, `history` ... Runs no attempts."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pytest_greencode import __version__
from pytest_greencode.commands import COMMANDS, command
from pytest_greencode.errors import GreencodeError, UsageProblem
from pytest_greencode.reports.text import escape, message


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, 1 where something is missing (doctor), 4 for what the user can mend."""
    try:
        options = _options(sys.argv[1:] if arguments is None else arguments)
        code = command(options.command).run(options)
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
    name = next((each for each in arguments if not each.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f"did you mean `greencode {near[0]}`?" if near else f"expected one of {', '.join(COMMANDS)}"
        raise UsageProblem(f"no command {escape(name)}; {meant} See `greencode --help`")
    options, unknown = _parser(name).parse_known_args(arguments)
    if unknown:
        what = escape(" ".join(unknown))
        raise UsageProblem(f"unknown to {name}: {what}; see `greencode {name} --help`")
    return options


def _parser(only: str | None) -> argparse.ArgumentParser:
    """Of one command only where one is asked for: the others need not be imported."""
    parser = _Parser(prog="greencode", description="Grams of CO2e per accepted solution.")
    parser.add_argument("--version", action="version", version=f"greencode {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS if only is None else (only,):
        each = command(name)
        each.add_arguments(commands.add_parser(name, help=each.HELP))
    return parser


def _silence() -> None:
    """Nothing more can be said on standard output, so that Python does not try at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(error: Exception) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in message(str(error), first="greencode: ")))


if __name__ == "__main__":
    sys.exit(main())
