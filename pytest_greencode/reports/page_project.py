"""What the HTML page shows of an ordinary test suite: headline, where the energy went, every test, what else ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ..model import Block, Method
from ..project_account import PASSED, ItemAccount, ProjectAccount, Spent
from ..statistics import Interval
from . import charts, figures
from .entries import UNKNOWN, bracketed, cut, raw_lines, scaled, scaled_interval, share, shown
from .figures import Figure
from .names import distinct
from .page_outlook import Shown
from .project import COSTLIEST, costliest, parts_of, share_of, unit_of
from .provenance import Origin, origins_of_tests
from .text import mass_unit, significant
from .texts import TEXTS, Bilingual, plain, reason

# Rows of a table, and tests in the raw numbers: of 30,000 tests the page has some 4 MB.
MOST_ROWS = 1000
MOST_RAW = 10_000

_FAILED = ("failed", "error", "interrupted")
_PHASES = ("setup", "call", "teardown")
_LONGEST_NAME = 160
_LABEL_WIDTH = 30  # of a bar
_MOST_NAMED = 3


class TestLine(Struct, frozen=True, kw_only=True):
    """One test; `order` is its place in the run, `kind` what the filter sorts it into."""

    name: str
    order: int
    outcome: Bilingual
    flaky: bool
    kind: str
    cells: tuple[Shown, ...]


class ProjectPart(Struct, frozen=True, kw_only=True):
    """Everything of a test suite. Headings of columns stand beside their cells, as both have a unit.

    `..._left` are not in their table, `raw_left` (tests, blocks) not in the raw numbers either.
    """

    counts: Bilingual
    lead: Bilingual
    headline: tuple[tuple[Bilingual, Shown], ...]
    method: Bilingual | None
    notes: tuple[Bilingual, ...]
    spent: Figure | None
    parts: tuple[tuple[str, Bilingual, tuple[str, ...]], ...]
    costliest: Figure | None
    columns: tuple[Bilingual, ...]
    tests: tuple[TestLine, ...]
    blocks: tuple[tuple[str, str, tuple[Shown, ...]], ...]
    block_columns: tuple[Bilingual, ...]
    left_behind: tuple[tuple[str, str, Shown], ...]
    origins: tuple[Origin, ...]
    raw: str
    tests_left: int
    blocks_left: int
    processes_left: int
    raw_left: tuple[int, int]

    @property
    def figures(self) -> Iterator[Figure]:
        yield from filter(None, (self.spent, self.costliest))


def project_part(project: ProjectAccount, report: Mapping[str, Any]) -> ProjectPart:
    """`report` is the suite's part of the JSON report, for the raw numbers."""
    ranked = costliest(project)
    blocks = sorted(project.blocks, key=lambda block: (block.energy_j or 0.0, block.cpu_s), reverse=True)
    left = sorted(project.left_behind, key=lambda each: each.cpu_s, reverse=True)
    columns, tests = _tests(project, ranked[:MOST_ROWS])
    cpu, energy = unit_of(block.cpu_s for block in blocks), unit_of(block.energy_j for block in blocks)
    known = project.method is not Method.MISSING
    return ProjectPart(
        counts=TEXTS["tests_counts"].filled(tests=len(project.tests), passing=project.passing),
        lead=_lead(project),
        headline=_headline(project),
        method=TEXTS["tests_method"].filled(method=TEXTS[f"method_{project.method.value}"], source=cut(project.source))
        if known
        else None,
        notes=tuple(_notes(project)),
        spent=_spent(project),
        parts=tuple(_parts(project)),
        costliest=_costliest(ranked[:COSTLIEST]),
        columns=columns,
        tests=tests,
        blocks=tuple(
            (
                cut(block.name, _LONGEST_NAME),
                cut(block.test_id, _LONGEST_NAME),
                (_cell(block.cpu_s, cpu[1]), _cell(block.energy_j, energy[1])),
            )
            for block in blocks[:MOST_ROWS]
        ),
        block_columns=(_in("column_cpu", cpu), _in("column_energy", energy)),
        left_behind=tuple(
            (cut(each.name, _LONGEST_NAME), cut(each.test_id, _LONGEST_NAME), _cell(each.cpu_s))
            for each in left[:MOST_ROWS]
        ),
        origins=tuple(origins_of_tests(project)),
        raw=_raw(project, ranked, blocks, report),
        tests_left=_beyond(len(ranked), MOST_ROWS),
        blocks_left=_beyond(len(blocks), MOST_ROWS),
        processes_left=_beyond(len(left), MOST_ROWS),
        raw_left=(_beyond(len(ranked), MOST_RAW), _beyond(len(blocks), MOST_RAW)),
    )


def _in(key: str, unit: tuple[str, float]) -> Bilingual:
    return TEXTS[key].filled(unit=unit[0])


def _cell(value: float | None, scale: float = 1.0, interval: Interval | None = None) -> Shown:
    return Shown(text=shown(scaled(value, scale)), small=bracketed(scaled_interval(interval, scale)), value=value)


# -- the headline ---------------------------------------------------------------------------------------------------


def _headline(project: ProjectAccount) -> tuple[tuple[Bilingual, Shown], ...]:
    """(title, figure) of energy, CPU time, grams, outcomes and waste."""
    energy, cpu, carbon = (
        project.energy_per_passing_test_j,
        project.cpu_seconds_per_passing_test,
        project.co2e_per_passing_test_g,
    )
    j, s = unit_of([energy.value]), unit_of([cpu.value])
    parts = (project.operational_per_passing_test_g, project.embodied_per_passing_test_g)
    unit, grams = mass_unit(g for g in ([carbon.value] if carbon.value is not None else parts) if g is not None)
    operational, embodied = (UNKNOWN if part is None else significant(part / grams, 2) for part in parts)
    others = {TEXTS[f"part_{name}"]: count for name, count in project.outcomes.items() if name != PASSED}
    counts = Bilingual(*(", ".join(f"{text[i]} {count}" for text, count in others.items()) for i in (0, 1)))
    why = energy.reason if energy.interval is None else None
    return (
        (
            _in("column_per_test_energy", j),
            Shown(
                text=shown(scaled(energy.value, j[1])),
                small=bracketed(scaled_interval(energy.interval, j[1])),
                reason=_cut(reason(why)) if why else None,
            ),
        ),
        (_in("column_per_test_cpu", s), _cell(cpu.value, s[1], cpu.interval)),
        (
            TEXTS["column_per_test_grams"].filled(unit=unit),
            Shown(
                text=shown(scaled(carbon.value, grams)),
                small=bracketed(scaled_interval(carbon.interval, grams)),
                reason=TEXTS["operational_embodied"].filled(operational=operational, embodied=embodied),
            ),
        ),
        (TEXTS["column_passing"], Shown(text=f"{project.passing}/{len(project.tests)}", small=counts)),
        (TEXTS["column_wasted"], Shown(text=share(project.wasted_share))),
    )


def _lead(project: ProjectAccount) -> Bilingual:
    energy, carbon = project.energy_per_passing_test_j, project.co2e_per_passing_test_g
    if energy.value is None:
        return TEXTS["tests_lead_unknown"].filled(reason=_cut(reason(energy.reason or "")))
    prefix, scale = unit_of([energy.value])
    interval = bracketed(scaled_interval(energy.interval, scale))
    values: dict[str, object] = {
        "energy": " ".join(filter(None, (significant(energy.value / scale), interval, f"{prefix}J"))),
        "passing": project.passing,
        "tests": len(project.tests),
    }
    if carbon.value is None:
        return TEXTS["tests_lead_energy"].filled(**values)
    unit, grams = mass_unit([carbon.value])
    return TEXTS["tests_lead"].filled(**values, grams=f"{significant(carbon.value / grams)} {unit}")


def _cut(text: Bilingual) -> Bilingual:
    return Bilingual(*map(cut, text))


def _notes(project: ProjectAccount) -> Iterator[Bilingual]:
    """What to know before taking the numbers for more than they are."""
    if project.not_run:
        yield TEXTS["note_not_run"].filled(count=project.not_run, selected=project.selected)
    if project.lost:
        yield TEXTS["note_lost"].filled(names=_listed(project.lost))
    if project.unsteady:
        yield TEXTS["note_unsteady"].filled(names=_listed(project.unsteady))
    if project.energy_per_passing_test_j.interval is not None:
        yield TEXTS["note_repeated"]
    elif getattr(project.energy_per_passing_test_j.reason, "code", "") == "ran_once":
        yield TEXTS["note_no_interval"]
    for note in project.notes:
        yield plain(cut(note))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(cut(name, 80) for name in names[:_MOST_NAMED]) + (f" (+{more})" if more > 0 else "")


# -- where it went --------------------------------------------------------------------------------------------------


def _parts(project: ProjectAccount) -> Iterator[tuple[str, Bilingual, tuple[str, ...]]]:
    """(the part's look, its name, cells): tests, CPU s, J, share in percent."""
    for name, tests, spent, part in parts_of(project):
        counted = "" if tests is None else str(tests)
        cells = (counted, shown(spent.cpu_s), shown(spent.energy_j), "" if part is None else share(part))
        yield "" if name == "all" else name, _name(name), cells


def _name(part: str) -> Bilingual:
    return TEXTS["tests_harness" if part == "harness" else "tests_all" if part == "all" else f"part_{part}"]


def _spent(project: ProjectAccount) -> Figure | None:
    """A bar of all tests by outcome, and one for each of what is beside them; CPU time where energy is not known."""
    parts = [part for part in parts_of(project) if part.name != "all"]
    by_energy = all(part.spent.energy_j is not None for part in parts)

    def cost(spent: Spent) -> float | None:
        return spent.energy_j if by_energy else spent.cpu_s

    used = {part.name: value for part in parts if (value := cost(part.spent))}
    if not used or any(cost(part.spent) is None for part in parts):
        return None
    inside = {name: value for name, value in used.items() if name not in ("repetitions", "harness")}
    unit = unit_of([sum(inside.values()), *used.values()])
    bars = {"all": inside} | {name: {name: j_or_s} for name, j_or_s in used.items() if name not in inside}
    names = {name: _name(name) for name in used}
    chart = charts.Stacks(
        stacks=tuple(
            charts.Stack(label=_name(bar), values={name: values.get(name, 0.0) / unit[1] for name in names})
            for bar, values in bars.items()
            if values
        ),
        parts=names,
        x_title=_in("axis_tests_energy" if by_energy else "axis_tests_cpu", unit),
    )
    return figures.figure_of("suite", "spent", "tests_spent", chart, names)


def _costliest(tests: Sequence[ItemAccount]) -> Figure | None:
    """CPU time by phase; a bar a test."""
    unit = unit_of(test.cpu_s for test in tests)
    names = {phase: TEXTS[f"part_{phase}"] for phase in _PHASES}
    full = [cut(test.test_id, _LONGEST_NAME) for test in tests]
    short = distinct(full, _LABEL_WIDTH)
    stacks = []
    for name, test in zip(full, tests, strict=True):
        times = (test.setup_cpu_s, test.call_cpu_s, test.teardown_cpu_s)
        values = {phase: time / unit[1] for phase, time in zip(_PHASES, times, strict=True) if time is not None}
        stacks.append(charts.Stack(label=plain(short[name]), values=values if len(values) == len(_PHASES) else None))
    if not any(sum(stack.values.values()) for stack in stacks if stack.values):
        return None
    chart = charts.Stacks(stacks=tuple(stacks), parts=names, x_title=_in("axis_tests_cpu", unit))
    return figures.figure_of("suite", "costliest", "tests_costliest", chart, names)


# -- test by test ---------------------------------------------------------------------------------------------------


def _tests(project: ProjectAccount, tests: Sequence[ItemAccount]) -> tuple[tuple[Bilingual, ...], tuple[TestLine, ...]]:
    """The headings of the numbers, and the tests in the order given."""
    order = {test.test_id: place for place, test in enumerate(project.tests)}
    cpu, energy = unit_of(test.cpu_s for test in tests), unit_of(test.energy_j for test in tests)
    columns = (
        TEXTS["column_runs"],
        *(_in(f"column_{phase}", cpu) for phase in (*_PHASES, "cpu")),
        _in("column_energy", energy),
        TEXTS["column_share"],
    )
    lines = []
    for test in tests:
        part = share_of(Spent(cpu_s=test.cpu_s, energy_j=test.energy_j), project.tests_cost)
        repeated = TEXTS["times_repeated"].filled(count=test.repetitions) if test.repetitions else ""
        cells = (
            Shown(text=str(test.attempts), small=repeated, value=test.attempts),
            *(_cell(time, cpu[1]) for time in (test.setup_cpu_s, test.call_cpu_s, test.teardown_cpu_s)),
            _cell(test.cpu_s, cpu[1], test.cpu_interval),
            _cell(test.energy_j, energy[1], test.energy_interval),
            Shown(text=share(part), value=part),
        )
        kind = "passed" if test.passed else "failed" if test.outcome in _FAILED else "other"
        lines.append(
            TestLine(
                name=cut(test.test_id, _LONGEST_NAME),
                order=order[test.test_id],
                outcome=TEXTS[f"part_{test.outcome}"],
                flaky=test.unsteady,
                kind=kind,
                cells=cells,
            )
        )
    return columns, tuple(lines)


def _raw(
    project: ProjectAccount, ranked: Sequence[ItemAccount], blocks: Sequence[Block], report: Mapping[str, Any]
) -> str:
    """The suite's JSON, a test a line; the costliest tests and blocks alone where there are too many."""
    cut_down = {**report}
    for name, all_, best in (("tests", project.tests, ranked), ("blocks", project.blocks, blocks)):
        if len(best) > MOST_RAW:
            kept = set(map(id, best[:MOST_RAW]))
            cut_down[name] = [raw for each, raw in zip(all_, report[name], strict=True) if id(each) in kept]
    return raw_lines(cut_down, "tests")


def _beyond(count: int, most: int) -> int:
    return max(0, count - most)
