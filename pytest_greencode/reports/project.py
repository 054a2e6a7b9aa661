"""What there is to say of an ordinary test suite: two tables and notes, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..model import Method
from ..project_account import PASSED, ItemAccount, ProjectAccount, Spent
from ..statistics import Interval
from .text import columns, escape, left, mass_unit, percent, right, shorten, significant

COSTLIEST = 10
_UNKNOWN = "?"
_MOST_NAMED = 3
_SCALES = (("", 1.0), ("m", 1e-3), ("µ", 1e-6))
_WORDS = {
    "failed": "failed",
    "error": "error",
    "rerun": "run again",
    "xfailed": "expected to fail",
    "xpassed": "passed unexpectedly",
    "interrupted": "interrupted",
    "background": "left running",
    "all": "all tests",
    "harness": "pytest itself",
}


class Part(NamedTuple):
    """An outcome of runs, the `background`, `all` tests, the `repetitions` or the `harness`.

    `tests` is how many it has; `share` is of all tests, None for what is beside them.
    """

    name: str
    tests: int | None
    spent: Spent
    share: float | None


class ProjectTable(NamedTuple):
    """Escaped cells; the first of each row is a name, the others are numbers."""

    heading: list[str]
    rows: list[list[str]]


def project_title(project: ProjectAccount) -> str:
    count = len(project.tests)
    ran = f"{count} test{'s' if count != 1 else ''}"
    return f"{ran}, {project.passing} passing"


def parts_of(project: ProjectAccount) -> Iterator[Part]:
    """Where CPU time and energy went: the outcomes and the background, which add up to `all`, and what is beside."""
    whole = project.tests_cost
    for outcome, spent in project.by_outcome.items():
        count = project.reruns if outcome == "rerun" else project.outcomes.get(outcome, 0)
        yield Part(outcome, count, spent, share_of(spent, whole))
    if project.background.cpu_s:
        yield Part("background", None, project.background, share_of(project.background, whole))
    yield Part("all", len(project.tests), whole, 1.0 if whole.cpu_s else None)
    if project.repetitions.cpu_s:
        yield Part("repetitions", None, project.repetitions, None)
    yield Part("harness", None, project.harness, None)


def outcome_table(project: ProjectAccount) -> ProjectTable:
    """Where CPU time and energy went, by what became of the runs."""
    rows = [
        [_WORDS.get(name, name), "" if tests is None else str(tests), *_costs(spent), _percent(share)]
        for name, tests, spent, share in parts_of(project)
    ]
    return ProjectTable(["", "tests", "CPU s", "J", "%"], rows)


def costliest(project: ProjectAccount) -> list[ItemAccount]:
    """All tests, those that used the most first."""
    return sorted(project.tests, key=lambda test: (test.energy_j or 0.0, test.cpu_s or 0.0), reverse=True)


def costliest_table(project: ProjectAccount, most: int = COSTLIEST) -> ProjectTable:
    """The tests that used the most, with their phases."""
    tests = costliest(project)[:most]
    cpu_unit, cpu = unit_of(test.cpu_s for test in tests)
    energy_unit, energy = unit_of(test.energy_j for test in tests)
    rows = []
    for test in tests:
        parts = (test.setup_cpu_s, test.call_cpu_s, test.teardown_cpu_s)
        phases = [_shown(part, cpu, 2) for part in parts]
        spent = Spent(cpu_s=test.cpu_s, energy_j=test.energy_j)
        name = escape(test.test_id) + ("" if test.outcome == PASSED else f" ({_WORDS.get(test.outcome, test.outcome)})")
        rows.append([name, *phases, _shown(test.energy_j, energy), _percent(share_of(spent, project.tests_cost))])
    heading = ["costliest tests", *(f"{phase} {cpu_unit}s" for phase in ("setup", "call", "teardown"))]
    return ProjectTable([*heading, f"{energy_unit}J", "%"], rows)


def project_notes(project: ProjectAccount) -> Iterator[tuple[str, str]]:
    """(key, text); all text is escaped."""
    energy, cpu = project.energy_per_passing_test_j, project.cpu_seconds_per_passing_test
    both = f"{amount(energy.value, energy.interval, 'J')} and {amount(cpu.value, cpu.interval, 's')} of CPU time"
    yield "per test", f"{both} per passing test, all runs of all tests counted"
    if energy.value is None and energy.reason:
        yield "unknown", escape(energy.reason)
    elif energy.interval is None and energy.reason:
        yield "interval", f"none: {escape(energy.reason)}; --greencode-repeat 5 gives one"
    else:
        yield "interval", "95 %, of these tests, over their repeated calls"
    carbon = project.co2e_per_passing_test_g
    if carbon.value is not None:
        unit, grams = mass_unit([carbon.value])
        parts = (project.operational_per_passing_test_g, project.embodied_per_passing_test_g)
        operational, embodied = (_UNKNOWN if part is None else significant(part / grams, 2) for part in parts)
        total = significant(carbon.value / grams)
        yield "carbon", f"{total} {unit}CO2e per passing test: operational {operational}, embodied {embodied}"
    if project.wasted_share:
        yield "wasted", f"{percent(project.wasted_share)} % went into runs of which no passing test came"
    if project.not_run:
        yield "incomplete", f"{project.not_run} of {project.selected} selected tests did not run, or were not recorded"
    if project.lost:
        yield "lost", f"no reading of {_listed(project.lost)}"
    if project.unsteady:
        yield "flaky", f"a repetition failed, though the test passed: {_listed(project.unsteady)}"
    alive = sorted(project.left_behind, key=lambda each: -each.cpu_s)
    for each in alive[:_MOST_NAMED]:
        what = f"{escape(each.name)} outlived {escape(each.test_id)}"
        yield "left running", f"{what}; {significant(each.cpu_s)} s of CPU time since, in no test's figure"
    if len(alive) > _MOST_NAMED:
        yield "left running", f"and {len(alive) - _MOST_NAMED} more processes"
    for note in project.notes:
        yield "note", escape(note)
    if project.method is not Method.MISSING:
        yield "energy", f"{project.method.value}: {escape(project.source)}"


def project_lines(project: ProjectAccount, width: int, verbosity: int) -> Iterator[str]:
    """The tables as text; notes are for whoever writes all of them."""
    yield project_title(project)
    if verbosity < 0:
        return
    yield ""
    yield from _table(outcome_table(project), width)
    yield ""
    yield from _table(costliest_table(project, 3 * COSTLIEST if verbosity else COSTLIEST), width)
    yield ""


def _table(table: ProjectTable, width: int) -> Iterator[str]:
    lines = [table.heading, *table.rows]
    widths = [max(columns(line[index]) for line in lines) for index in range(1, len(table.heading))]
    longest = max(columns(line[0]) for line in lines)
    room = min(longest, width - sum(widths) - 2 * len(widths))

    def shown(line: Sequence[str]) -> str:
        cells = [right(cell, size) for cell, size in zip(line[1:], widths, strict=True)]
        return "  ".join([left(shorten(line[0], room), room), *cells]).rstrip()

    yield shown(table.heading)
    yield "-" * (room + sum(widths) + 2 * len(widths))
    yield from map(shown, table.rows)


def project_badge(project: ProjectAccount) -> tuple[str, str, bool]:
    """(message, title, whether it is known) of the headline."""
    energy = project.energy_per_passing_test_j
    return amount(energy.value, energy.interval, "J"), project_title(project), energy.value is not None


def amount(value: float | None, interval: Interval | None, unit: str) -> str:
    """In the prefix that suits it, with its interval."""
    if value is None:
        return f"{_UNKNOWN} {unit}"
    prefix, scale = unit_of([value])
    ends = "" if interval is None else f" [{', '.join(significant(end / scale) for end in interval)}]"
    return f"{significant(value / scale)}{ends} {prefix}{unit}"


def unit_of(values: Iterable[float | None]) -> tuple[str, float]:
    """The prefix, and what it stands for, in which the largest value is at least 1."""
    largest = max((value for value in values if value), default=1.0)
    return next((scale for scale in _SCALES if scale[1] <= largest), _SCALES[-1])


def _costs(spent: Spent) -> list[str]:
    return [_shown(spent.cpu_s, 1.0), _shown(spent.energy_j, 1.0)]


def _shown(value: float | None, scale: float, digits: int = 3) -> str:
    return _UNKNOWN if value is None else significant(value / scale, digits)


def share_of(part: Spent, whole: Spent) -> float | None:
    """Of energy; of CPU time where energy is not known."""
    for one, all_ in ((part.energy_j, whole.energy_j), (part.cpu_s, whole.cpu_s)):
        if one is not None and all_:
            return one / all_
    return None


def _percent(share: float | None) -> str:
    return "" if share is None else percent(share)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(map(escape, names[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
