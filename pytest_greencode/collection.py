"""Samples files as pytest collects them: one item per task of a file, with all the task's attempts inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from msgspec.structs import replace

from pytest_greencode.ledger import Finished
from pytest_greencode.model import Configuration, Verdict
from pytest_greencode.reports.text import escape, message

if TYPE_CHECKING:
    from pytest_greencode.runner import Unit, UnitResult

SUFFIXES = (".jsonl", ".jsonl.gz", ".json")
MARKER = "greencode"


class Attempts(Protocol):
    """What collection needs of the session."""

    @property
    def fail_rejected(self) -> bool: ...
    @property
    def attempts_allowed(self) -> int | None: ...
    def units(self, path: Path) -> Sequence[Unit]: ...
    def generated_units(self) -> Sequence[Unit]: ...
    def result(self, unit: Unit) -> UnitResult: ...


ATTEMPTS = pytest.StashKey[Attempts]()
RESULT: pytest.StashKey[UnitResult] = pytest.StashKey()


def is_samples_file(path: Path) -> bool:
    return path.name.endswith(SUFFIXES)


def is_samples_directory(path: Path) -> bool:
    """EvalPlus's layout: a directory for each task (`HumanEval_0/0.py`)."""
    try:
        return path.is_dir() and any(
            entry.is_dir() and entry.name.rpartition("_")[0] in ("HumanEval", "Mbpp") for entry in path.iterdir()
        )
    except OSError:
        return False


class Rejected(Exception):
    """No attempt at the task was accepted (only raised with --greencode-rejected fail)."""


class HarnessFault(Exception):
    """The harness failed; says nothing about the model."""


class _Samples(pytest.Collector):
    path: Path

    def collect(self) -> Iterator[TaskItem]:
        for unit in self.config.stash[ATTEMPTS].units(self.path):
            yield TaskItem.from_parent(self, name=escape(unit.task.task_id), unit=unit)


class SamplesFile(_Samples, pytest.File):
    """A samples file named on the command line."""


class SamplesDirectory(_Samples, pytest.Directory):
    """The same for a directory in EvalPlus's layout."""


class Generated(pytest.Collector):
    """Tasks whose samples are generated while they are tested; named as their model."""

    def collect(self) -> Iterator[TaskItem]:
        for unit in self.config.stash[ATTEMPTS].generated_units():
            yield TaskItem.from_parent(self, name=escape(unit.task.task_id), unit=unit)


class TaskItem(pytest.Item):
    """One task of a samples file. Passes when its attempts were made, whatever became of them (by default)."""

    def __init__(self, *, unit: Unit, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.unit = unit
        self.add_marker(MARKER)

    def runtest(self) -> None:
        attempts = self.config.stash[ATTEMPTS]
        result = attempts.result(self.unit)
        # More attempts may have been made than are allowed: they tell of every k, but the task is decided without them.
        allowed = first_attempts(self.unit, result.outcomes, attempts.attempts_allowed)
        self.stash[RESULT] = replace(result, outcomes=allowed)
        if result.quarantined is not None:
            pytest.skip(f"quarantined: {escape(result.quarantined)}")
        faults = [outcome for outcome in result.outcomes if outcome.verdict is Verdict.HARNESS_ERROR]
        if faults:
            raise HarnessFault(f"{len(faults)} of {len(result.outcomes)} attempts: {escape(faults[0].detail)}")
        if attempts.fail_rejected and not accepted(allowed):
            raise Rejected(describe(allowed))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Rejected):
            return "\n".join(message(f"rejected: {excinfo.value}"))
        if isinstance(excinfo.value, HarnessFault):
            return "\n".join(message(f"harness error: {excinfo.value}"))
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        line = self.unit.attempts[0].line
        return self.path, None if line is None else line - 1, self.name


def first_attempts(unit: Unit, outcomes: Sequence[Finished], allowed: int | None) -> tuple[Finished, ...]:
    """Of each configuration's outcomes the first `allowed`."""
    # Fewer where the runner itself stopped in time; those that were made one by one are all allowed.
    if allowed is None or unit.following is not None or len(outcomes) < len(unit.attempts):
        return tuple(outcomes)
    made: Counter[Configuration] = Counter()
    first = []
    for sample, outcome in zip(unit.attempts, outcomes, strict=True):
        made[sample.configuration] += 1
        if made[sample.configuration] <= allowed:
            first.append(outcome)
    return tuple(first)


def accepted(outcomes: Sequence[Finished]) -> int:
    return sum(outcome.verdict is Verdict.ACCEPTED for outcome in outcomes)


def describe(outcomes: Sequence[Finished]) -> str:
    """One line: how many attempts, how they ended, and why the first one failed."""
    verdicts = [outcome.verdict.value for outcome in outcomes]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in sorted(set(verdicts)))
    first = next((outcome.detail for outcome in outcomes if outcome.detail), "")
    attempts = f"{len(outcomes)} attempt{'s' if len(outcomes) != 1 else ''}"
    return f"{attempts}: {counts}" + (f"; first: {escape(first)[:200]}" if first else "")
