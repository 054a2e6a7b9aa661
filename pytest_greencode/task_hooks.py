"""Hooks on each task of a samples file: when its turn comes, and what pytest and JUnit XML are told of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_greencode.collection import RESULT, TaskItem, accepted


class TaskHooks:
    """Hooks on each task; registered where there are samples, as other tests should not pay for them."""

    def __init__(self, ahead_of: Callable[[TaskItem, pytest.Item | None], None]) -> None:
        """`ahead_of` is told of each task, and what comes after it, before it runs."""
        self._ahead_of = ahead_of

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        if isinstance(item, TaskItem):
            self._ahead_of(item, nextitem)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        result = item.stash.get(RESULT, None)
        if result is not None and call.when == "call":
            # On the item, as JUnit XML takes the properties of the teardown's report.
            item.user_properties[:] = [
                (name, value) for name, value in item.user_properties if not str(name).startswith("greencode.")
            ] + [
                ("greencode.attempts", len(result.outcomes)),
                ("greencode.accepted", accepted(result.outcomes)),
                ("greencode.verdicts", " ".join(outcome.verdict.value for outcome in result.outcomes)),
            ]
        report = yield
        if result is not None and call.when == "call":
            # Plain values only: reports cross to the controller under xdist.
            report.greencode = {
                "attempts": len(result.outcomes),
                "accepted": accepted(result.outcomes),
                "verdicts": [outcome.verdict.value for outcome in result.outcomes],
            }
            if result.quarantined is not None and isinstance(report.longrepr, tuple):
                # Skipped where the task stands, not where this package says so.
                path, line, _ = item.reportinfo()
                report.longrepr = (os.fspath(path), (line or 0) + 1, report.longrepr[2])
        return report

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        facts = getattr(report, "greencode", None)
        if facts is None or report.when != "call" or not report.passed:
            return None
        if facts["accepted"]:
            word = "ACCEPTED" if facts["attempts"] == 1 else f"ACCEPTED {facts['accepted']}/{facts['attempts']}"
            return "passed", ".", (word, {"green": True})
        return "rejected", "r", ("REJECTED", {"yellow": True})
