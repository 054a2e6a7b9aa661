"""A module for each command, named as it is typed; each is a `Command`."""

from __future__ import annotations

import argparse
import importlib
import keyword
from typing import Protocol, cast


class Command(Protocol):
    """What a command's module has."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int:
        """The exit code. Raises GreencodeError."""
        ...


COMMANDS = (
    "report",
    "compare",
    "forecast",
    "history",
    "check",
    "baseline",
    "export",
    "runs",
    "generate",
    "import",
    "doctor",
)


def command(name: str) -> Command:
    """One of COMMANDS, imported only now. A word of Python's is a module with an underscore behind it."""
    module = f"{name}_" if keyword.iskeyword(name) else name
    return cast(Command, importlib.import_module(f"{__name__}.{module}"))
