"""Commands that show what was found beyond the account."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pytest_greencode.commands.output import say
from pytest_greencode.commands.stored_run import stored_run, unfinished
from pytest_greencode.findings import Findings


def show_found(options: argparse.Namespace, shown: Callable[[Findings], list[str]]) -> int:
    with stored_run(options) as run:
        account = run.account()
        found = shown(run.findings(options, account))
        for line in [*unfinished(account), *found, "", *run.cautions(), *run.places()]:
            say(line)
    return 0
