"""Which of a repository's own tests its candidates failed: from executions' outcomes to rows for the report. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct

from .model import AttemptRecord, TestOutcome, TestOutcomes


class FailedTest(Struct, frozen=True, kw_only=True):
    """One test: in how many attempts it came to what (by outcome), and why the first time, as the candidate said."""

    test: str
    outcomes: Mapping[str, int]
    message: str

    @property
    def attempts(self) -> int:
        return sum(self.outcomes.values())


class CandidateTests(Struct, frozen=True, kw_only=True):
    """The tests of one task in the attempts of one configuration that ran them.

    `expected` had to pass in each; `failed`: those that did not, in most attempts first.
    """

    suite: str
    task_id: str
    model: str
    settings: str
    attempts: int
    expected: int
    failed: tuple[FailedTest, ...]


def candidate_tests(
    records: Iterable[AttemptRecord], outcomes: Mapping[str, TestOutcomes]
) -> tuple[CandidateTests, ...]:
    """A row for each configuration and task, in the order of the records; `outcomes` by program key."""
    groups: dict[tuple[str, str, str, str], list[TestOutcomes]] = {}
    for record in records:
        found = outcomes.get(record.program_key)
        if found is not None and record.verdict is not None:
            of = record.configuration
            groups.setdefault((record.suite, record.task_id, of.model, of.settings), []).append(found)
    return tuple(
        CandidateTests(
            suite=suite,
            task_id=task_id,
            model=model,
            settings=settings,
            attempts=len(found),
            expected=max(each.expected for each in found),
            failed=_failed(other for each in found for other in each.others),
        )
        for (suite, task_id, model, settings), found in groups.items()
    )


def _failed(others: Iterable[TestOutcome]) -> tuple[FailedTest, ...]:
    counts: dict[str, Counter[str]] = {}
    messages: dict[str, str] = {}
    for other in others:
        counts.setdefault(other.test, Counter())[other.outcome] += 1
        messages[other.test] = messages.get(other.test) or other.message
    rows = (FailedTest(test=test, outcomes=dict(found), message=messages[test]) for test, found in counts.items())
    return tuple(sorted(rows, key=lambda row: -row.attempts))
