"""What the reports say of a repository's tests that candidates failed. Names and messages are hostile text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from ..candidate_tests import CandidateTests
from ..model import Configuration
from .text import escape, shorten

_MOST_ROWS = 12
_MESSAGE_COLUMNS = 160


def failed_tests(rows: Sequence[CandidateTests]) -> Iterator[tuple[str, str]]:
    """(key, text) of each configuration and task with tests that did not pass, the first dozen; all is escaped."""
    failed = [row for row in rows if row.failed]
    several = {row.model for row in failed if len({each.settings for each in rows if each.model == row.model}) > 1}
    for row in islice(failed, _MOST_ROWS):
        first, *more = row.failed
        name = Configuration(model=row.model, settings=row.settings)
        who = escape(f"{name.model} {name.settings}" if row.model in several else name.model)
        times = "" if row.attempts == 1 else f" in {first.attempts} of {row.attempts} attempts"
        outcome = ", ".join(map(escape, first.outcomes))
        why = f" ({shorten(escape(first.message), _MESSAGE_COLUMNS)})" if first.message else ""
        rest = f"; {len(more)} more of {row.expected}" if more else ""
        yield "tests", f"{who}, {escape(row.task_id)}: {escape(first.test)} {outcome}{times}{why}{rest}"
    if len(failed) > _MOST_ROWS:
        yield (
            "tests",
            f"and {len(failed) - _MOST_ROWS} more tasks with tests that did not pass; the JSON report has all",
        )
