"""`greencode doctor`: what this machine can do."""

from __future__ import annotations

import argparse

from pytest_greencode.commands.output import say
from pytest_greencode.doctor import examine

HELP = "what this machine can do, and what to paste where it cannot"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--build-image", action="store_true", help="make the worker image from this Python, anew")


def run(options: argparse.Namespace) -> int:
    return examine(say, build=options.build_image)
