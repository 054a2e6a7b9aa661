"""The account as lines of plain text, one table per suite; colour is the caller's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..model import Configuration
from .names import Row, distinct, labels, named, rank
from .project import project_lines, project_notes
from .tests import failed_tests
from .text import columns, escape, left, mass_unit, percent, right, shorten, significant, wrap
from .trust import all_cautions, trust_cautions

if TYPE_CHECKING:
    from ..accounts import ConfigurationAccount, MeasuredRow
    from ..attribution import Balance
    from ..green_capacity import Scalar
    from ..report_account import Account

_UNKNOWN = "?"
_NARROWEST_NAME = 12
_LONGEST_LABEL = 40
_KEY_WIDTH = 11
_MOST_QUARANTINED = 10
# How quiet pytest may be (its -q is -1) until a note goes. Most say where numbers come from and go first; those that
# say of which attempts the numbers are stay.
_QUIETEST = {
    "unknown": -1,
    "flaky": -1,
    "same sample": -1,
    "not counted": -1,
    "disturbed": -1,
    "alone": -1,
    "per test": -99,
    "lost": -1,
    "left running": -1,
    "incomplete": -99,
    "quarantined": -99,
    "verdicts": -99,
    "resumed": -99,
}


class Column(NamedTuple):
    """Two heading lines and the cells; those with the least `worth` go first when the line is too narrow."""

    top: str
    bottom: str
    cells: list[str]
    worth: int

    @property
    def heading(self) -> str:
        """Both lines as one."""
        return self.top[:-1] + self.bottom if self.top.endswith("-") else f"{self.top} {self.bottom}".strip()

    @property
    def width(self) -> int:
        return max(map(columns, (self.top, self.bottom, *self.cells)))


def render_terminal(
    account: Account, *, width: int = 80, verbosity: int = 0, notes: Iterable[tuple[str, str]] = ()
) -> list[str]:
    """Lines of at most `width` columns (at least 40): for each suite a table, best configuration first, and footnotes.

    `verbosity` as pytest counts it: with -1 only notes that need attention, with -2 only those without which the
    numbers would be taken for others than they are. `notes` are further ones, (key, text).
    Every name from a model or a file is escaped: a line is one line and contains nothing a terminal would obey.
    """
    width = max(width, 40)
    lines: list[str] = []
    for table in suite_tables(account):
        if lines:
            lines.append("")
        lines += wrap(table.title, width)
        if table.rows:
            lines += ["", *_table(table.rows, table.columns, width), ""]
        if table.green_capacity:
            lines += [*_green_capacity(table.rows, table.green_capacity, width), ""]
        lines += keyed(table.notes, width, verbosity)
    if account.project is not None:
        lines += [*([""] if lines else []), *project_lines(account.project, width, verbosity)]
        lines += keyed(project_notes(account.project), width, verbosity)
    elif not account.configurations:
        lines.append("no attempts")
    return [*lines, *keyed([*run_notes(account), *notes], width, verbosity)]


class SuiteTable(NamedTuple):
    """What there is to show of a suite, best configuration first; all text but the suite's own name is escaped.

    `rows` are of configurations with a finished attempt, and `columns` have a cell for each of them; so has
    `green_capacity`, which is empty where nobody asked for it. `notes` (key, text) are of all configurations.
    """

    suite: str
    title: str
    rows: list[Row]
    columns: list[Column]
    green_capacity: list[Column]
    notes: list[tuple[str, str]]


def suite_tables(account: Account) -> Iterator[SuiteTable]:
    """One for each suite, in the account's order."""
    for suite, members in groupby(account.configurations, key=lambda configuration: configuration.suite):
        rows = named(sorted(members, key=rank))
        finished = [row for row in rows if row.configuration.attempts]
        compared = any(row.configuration.green_capacity is not None for row in finished)
        yield SuiteTable(
            suite=suite,
            title=_title(suite, [row.configuration for row in finished]),
            rows=finished,
            columns=_value_columns([row.configuration for row in finished]) if finished else [],
            green_capacity=_green_columns(finished) if compared else [],
            notes=list(_footnotes(rows)),
        )


def run_notes(account: Account) -> list[tuple[str, str]]:
    """(key, text) of what is said once for all suites; all text is escaped."""
    tests_too = account.project is not None
    return [
        *failed_tests(account.tests),
        *_alone(account.measured),
        *_quarantined(account.quarantined),
        *_balance(account.balance, tests_too),
    ]


def needs_attention(key: str) -> bool:
    """Whether a note says of which attempts the numbers are, or what is wrong with them, and not only where from."""
    return key in _QUIETEST


def keyed(notes: Iterable[tuple[str, str]], width: int, verbosity: int = 0) -> Iterator[str]:
    """Notes behind their keys, a repeated key shown once."""
    indent = " " * (_KEY_WIDTH + 2)
    last = ""
    for key, text in notes:
        if verbosity >= _QUIETEST.get(key, 0):
            yield from wrap(text, width, first=indent if key == last else left(key, len(indent)), rest=indent)
            last = key


def _title(suite: str, configurations: Sequence[ConfigurationAccount]) -> str:
    """What the table is of; without a configuration, why there is none."""
    if not configurations:
        return f"{escape(suite)}: no attempt has finished, so there is nothing to account for"
    tasks = sorted({configuration.tasks for configuration in configurations})
    counts = f"{tasks[0]}" if len(tasks) == 1 else f"{tasks[0]} to {tasks[-1]}"
    ks = {configuration.per_accepted.attempts for configuration in configurations} - {None}
    allowed = f", {_up_to(ks.pop() or 1)} per task" if len(ks) == 1 else ""
    return f"{escape(suite)}: {counts} task{'s' if counts != '1' else ''}{allowed}"


def _attempts(count: int) -> str:
    return f"{count} attempt{'s' if count != 1 else ''}"


def _up_to(count: int) -> str:
    return f"{'up to ' if count > 1 else ''}{_attempts(count)}"


# The table.


def _table(rows: Sequence[Row], values: list[Column], width: int) -> Iterator[str]:
    longest = max(len("model"), *(columns(row.name) for row in rows))
    gap, name_width = _fit(values, longest, width)
    while name_width < min(_NARROWEST_NAME, longest) and len(values) > 1:
        values.remove(min(values, key=lambda column: column.worth))
        gap, name_width = _fit(values, longest, width)
    names = distinct([row.name for row in rows], name_width)

    def line(name: str, cells: Sequence[str]) -> str:
        padded = [right(cell, column.width) for cell, column in zip(cells, values, strict=True)]
        return (" " * gap).join([left(name, name_width), *padded]).rstrip()

    if any(column.top for column in values):
        yield line("", [column.top for column in values])
    yield line("model", [column.bottom for column in values])
    yield "-" * (name_width + sum(column.width + gap for column in values))
    for position, row in enumerate(rows):
        yield line(names[row.name], [column.cells[position] for column in values])
        if row.settings:
            yield "  " + shorten(row.settings, width - 2)


def _fit(values: Sequence[Column], longest: int, width: int) -> tuple[int, int]:
    """(gap between columns, width of the names): wide gaps where the names still fit."""
    room = width - sum(column.width for column in values)
    gap = 2 if room - 2 * len(values) >= longest else 1
    return gap, min(longest, room - gap * len(values))


def _value_columns(configurations: Sequence[ConfigurationAccount]) -> list[Column]:
    result = [
        Column("accepted", "/attempts", [f"{c.accepted}/{c.attempts}" for c in configurations], 5),
        Column("pass@1", "%", [_pass(c, 1) for c in configurations], 4),
    ]
    ks = {c.per_accepted.attempts for c in configurations if c.retry} - {None, 1}
    if ks:
        k = next(iter(ks)) if len(ks) == 1 else None
        cells = [_pass(c, c.per_accepted.attempts or 1) for c in configurations]
        result.append(Column(f"pass@{k or 'k'}", "%", cells, 1))
    return [
        *result,
        *_carbon_columns(configurations),
        Column("J per", "accepted", [_energy(c) for c in configurations], 3),
        Column("waste", "%", [_or_unknown(c.waste_share, percent) for c in configurations], 2),
    ]


def _carbon_columns(configurations: Sequence[ConfigurationAccount]) -> list[Column]:
    """The estimate and its interval, each aligned, and its two parts; in one unit for all."""
    costs = [c.per_accepted for c in configurations]
    unit, grams = mass_unit(c for cost in costs for c in (cost.co2e_g, cost.lower_bound_co2e_g) if c is not None)
    estimates, intervals = [], []
    for configuration in configurations:
        cost = configuration.per_accepted
        estimate = _UNKNOWN
        if cost.co2e_g is not None:
            estimate = significant(cost.co2e_g / grams)
        elif cost.lower_bound_co2e_g is not None:
            estimate = f">{significant(cost.lower_bound_co2e_g / grams)}"
        estimates.append(estimate)
        intervals.append(_interval(configuration, grams))
    first, second = max(map(len, estimates)), max(map(len, intervals))
    cells = [f"{e:>{first}}" + f" {i:>{second}}" * (second > 0) for e, i in zip(estimates, intervals, strict=True)]
    parts = [
        Column(top, bottom, [_or_unknown(part(cost), lambda g: significant(g / grams, 2)) for cost in costs], 1)
        for top, bottom, part in (
            ("opera-", "tional", attrgetter("operational_g")),
            ("embo-", "died", attrgetter("embodied_g")),
        )
    ]
    bottom = "accepted [95 %]" if second else "accepted"
    return [Column(f"{unit}CO2e per", bottom, cells, 9), *parts]


def _interval(configuration: ConfigurationAccount, grams: float) -> str:
    cost = configuration.per_accepted
    if cost.interval is not None:
        return f"[{', '.join(significant(end / grams) for end in cost.interval)}]"
    return "too few tasks" if _has_too_few(configuration) else ""


def _has_too_few(configuration: ConfigurationAccount) -> bool:
    from ..accounts import MIN_TASKS  # the account is there, so this is too

    return configuration.per_accepted.co2e_g is not None and configuration.tasks < MIN_TASKS


def _pass(configuration: ConfigurationAccount, k: int) -> str:
    return _or_unknown(configuration.pass_at.get(k), percent)


def _energy(configuration: ConfigurationAccount) -> str:
    cost = configuration.per_accepted
    if cost.energy_j is None and cost.lower_bound_energy_j is not None:
        return f">{significant(cost.lower_bound_energy_j)}"
    return _or_unknown(cost.energy_j, significant)


def _or_unknown(value: float | None, shown: Callable[[float], str]) -> str:
    return _UNKNOWN if value is None else shown(value)


# Below this share of the energy above idle a run was not alone on the machine.
QUIET_SHARE = 0.8

# Green Capacity.

_INDICATOR_TITLES = {"run_time_s": "run time", "peak_memory_bytes": "memory", "energy_j": "energy", "flops": "FLOPs"}
_RELATION_TITLES = (("leaner", 5), ("heavier", 4), ("mixed", 3), ("same", 2))  # with their worth


GREEN_CAPACITY = (
    "Green Capacity: canonical solution / accepted sample, geometric mean (over so many tasks); above 1 the sample "
    "is leaner"
)


def _green_capacity(rows: Sequence[Row], values: list[Column], width: int) -> Iterator[str]:
    """Accepted samples beside the tasks' own solutions: reference / sample per indicator, and who dominates whom."""
    yield from wrap(GREEN_CAPACITY, width)
    yield ""
    yield from _table(rows, values, width)
    for name, scalar in scalars(rows):
        yield from wrap(f"{name}: {scalar}", width, first="  ", rest="  ")


def scalars(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """(model, Green Capacity as one number with its weights) of the rows that have it."""
    for row in rows:
        capacity = row.configuration.green_capacity
        if capacity is not None and capacity.scalar is not None:
            yield row.name, _scalar(capacity.scalar)


def _green_columns(rows: Sequence[Row]) -> list[Column]:
    known = [
        name
        for name in _INDICATOR_TITLES
        if name != "flops"
        or any((c := row.configuration.green_capacity) is not None and c.log_ratio[name].tasks for row in rows)
    ]
    heads = [*((_INDICATOR_TITLES[name], 9) for name in known), *_RELATION_TITLES]
    cells = zip(*(_green_cells(row.configuration, known) for row in rows), strict=True)
    return [Column("", head, list(column), worth) for (head, worth), column in zip(heads, cells, strict=True)]


def _green_cells(configuration: ConfigurationAccount, known: Sequence[str]) -> list[str]:
    found = configuration.green_capacity
    if found is None:
        return [_UNKNOWN] * (4 + len(known))
    ratios = [
        _UNKNOWN if (mean := found.log_ratio[name]).ratio is None else f"{significant(mean.ratio)} ({mean.tasks})"
        for name in known
    ]
    relations = [str(found.relations[relation]) for relation in ("dominates", "dominated", "incomparable", "equal")]
    return [*ratios, *relations]


def _scalar(scalar: Scalar) -> str:
    weights = ", ".join(f"{name} {significant(weight)}" for name, weight in scalar.weights.items())
    missing = f"; missing: {', '.join(scalar.missing)}" if scalar.missing else ""
    return f"weighted mean of log ratios {_or_unknown(scalar.value, significant)} ({weights}{missing})"


# The footnotes.


def _footnotes(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """(key, text) of what the table's numbers mean and leave out; empty ones do not appear.

    Of a configuration without an attempt there is only to say that it has none.
    """
    labels = distinct([row.label for row in rows], _LONGEST_LABEL)

    finished = [row for row in rows if row.configuration.attempts]

    def noted(
        key: str, note: Callable[[ConfigurationAccount], str], rows: Sequence[Row] = finished
    ) -> Iterator[tuple[str, str]]:
        """The note of each configuration, said once where all say the same."""
        by_text: dict[str, list[str]] = {}
        for row in rows:
            by_text.setdefault(note(row.configuration), []).append(labels[row.label])
        for text, names in by_text.items():
            if text:
                yield key, text if len(by_text) == 1 else f"{', '.join(names)}: {text}"

    if finished:
        yield "headline", "gCO2e of all attempts, failed ones too, per accepted solution: operational + embodied"
    if any(row.configuration.per_accepted.interval for row in finished):
        yield "interval", "95 %, over tasks like these"
    yield from noted("interval", _too_few)
    yield from _systematic(finished)
    if len({row.configuration.per_accepted.attempts for row in finished}) > 1:
        yield from noted("allowed (k)", lambda c: f"{_up_to(c.per_accepted.attempts or 1)} per task")
    yield from noted("unknown", _unknown)
    yield from noted("incomplete", incomplete, rows)
    yield from noted("extraction", _extraction)
    yield from noted(
        "flaky", lambda c: f"{_attempts(c.flaky)} gave different verdicts when repeated" if c.flaky else ""
    )
    yield from noted("same sample", _deterministic)
    yield from noted("generation", lambda c: _method(c, "energy_j.generation"))
    yield from noted("execution", lambda c: _method(c, "energy_j.execution"))
    yield from noted("factors", _factors)
    yield from noted("embodied", _embodied)


def _too_few(configuration: ConfigurationAccount) -> str:
    return configuration.per_accepted.interval_reason or "" if _has_too_few(configuration) else ""


def _unknown(configuration: ConfigurationAccount) -> str:
    cost = configuration.per_accepted
    bounded = "" if cost.lower_bound_co2e_g is None else " (> is the 95 % lower bound)"
    return escape(cost.reason or "") + bounded


def incomplete(configuration: ConfigurationAccount) -> str:
    """What is missing of what was planned; "" where nothing is."""
    facts = configuration.completeness
    unfinished = facts.attempts_unfinished
    left_out = [escape(task_id) for task_id in facts.tasks_left_out]
    parts = [
        f"{unfinished} of {_attempts(facts.attempts_planned)} not run, or not to the end" if unfinished else "",
        f"{_attempts(facts.harness_errors)} failed by the harness, not counted" if facts.harness_errors else "",
        f"tasks left out ({len(left_out)}): {', '.join(left_out[:3])}{' ...' if len(left_out) > 3 else ''}"
        if left_out and configuration.attempts
        else "",
        "continue with --greencode-resume" if unfinished else "",
    ]
    return "; ".join(filter(None, parts))


def unfinished_notes(account: Account) -> Iterator[tuple[str, str]]:
    """(key, text) for each configuration with attempts that have not finished: of all that is said of it, say first."""
    several = len({configuration.suite for configuration in account.configurations}) > 1
    for suite, members in groupby(account.configurations, key=attrgetter("suite")):
        group = list(members)
        names = labels(group, _LONGEST_LABEL)
        for each in group:
            if each.completeness.attempts_unfinished:
                on = f" on {escape(suite)}" if several else ""
                name = names[Configuration(model=each.model, settings=each.settings)]
                yield "incomplete", f"{name}{on}: {incomplete(each)}"


def _extraction(configuration: ConfigurationAccount) -> str:
    counts = configuration.extraction
    if not counts.needed:
        return ""
    rules = ", ".join(f"{count} {escape(rule)}" for rule, count in counts.rules.items())
    return (
        f"{counts.needed} of {configuration.attempts} replies had to be reduced to their code ({rules}); "
        f"accepted: {counts.accepted_extracted} of these, {counts.accepted_as_is} of the others"
    )


def _deterministic(configuration: ConfigurationAccount) -> str:
    return "all samples of every task are the same program: retries only waste" if configuration.deterministic else ""


def _method(configuration: ConfigurationAccount, figure: str) -> str:
    origin = configuration.provenance[figure]
    return f"energy {origin.method.value}{f': {escape(origin.source)}' if origin.source else ''}"


def _factors(configuration: ConfigurationAccount) -> str:
    return escape(configuration.provenance["co2e_g.operational"].source)


def _embodied(configuration: ConfigurationAccount) -> str:
    """Machines by name; where their figures come from stands in the JSON and in the explanation."""
    sources = [configuration.provenance[f"co2e_g.embodied_{site}"].source for site in ("generation", "execution")]
    return escape("; ".join(source.split(" (")[0] for source in sources if source))


def _systematic(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """How far all would move together, as factors of the headline; the widest of the configurations'."""
    bands = [(cost.systematic, cost.co2e_g) for row in rows if (cost := row.configuration.per_accepted).co2e_g]
    ratios = [(band.p5 / grams, band.p95 / grams, band) for band, grams in bands if band is not None]
    if ratios:
        low, high, band = min(ratios, key=lambda each: each[0] - each[1])
        most = [escape(name) for name in list(band.spans)[:2]]
        yield (
            "systematic",
            (
                f"grid, PUE, sensors and embodied figures may move all of them together, to {significant(low, 2)} .."
                f" {significant(high, 2)} times (5 to 95 %); most of it: {', '.join(most)}"
            ),
        )


def _quarantined(quarantined: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for task_id, reason in list(quarantined.items())[:_MOST_QUARANTINED]:
        yield "quarantined", f"{escape(task_id)}: {escape(reason)}"
    if (more := len(quarantined) - _MOST_QUARANTINED) > 0:
        yield "quarantined", f"and {more} more"


def _alone(rows: Sequence[MeasuredRow]) -> Iterator[tuple[str, str]]:
    """What became of measuring programs alone."""
    if not rows:
        return
    ends: Counter[str] = Counter()
    for row in rows:
        found = row.measured
        if found.energy_j is None:
            reasons = sorted(reason for reason in found.discarded if reason != "warm-up")
            ends[f"without enough valid windows ({', '.join(map(escape, reasons)) or 'too few'})"] += 1
        elif not found.above_noise:
            ends["below the noise of the idle machine"] += 1
        else:
            ends[_ENDS.get(found.stopped_by, "measured")] += 1
    listed = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    unusable = sum(not row.measured.above_noise for row in rows)
    keep = f"; these {unusable} keep their share by CPU time" if unusable else ""
    yield "alone", f"{len(rows)} programs, references among them: {listed}{keep}"


_ENDS = {
    "precision": "measured as precisely as asked",
    "baseline": "measured, less precisely than asked as idle power is not known better",
    "cap": "measured, less precisely than asked in the time allowed",
}


def _balance(balance: Balance | None, tests_too: bool) -> Iterator[tuple[str, str]]:
    """Where the machine's energy went while the run went on."""
    if balance is None:
        return
    parts = {
        "tests" if tests_too else "solutions": balance.solutions_uj,
        "harness": balance.harness_uj,
        "repetitions": balance.repetitions_uj,
        "other processes": balance.other_processes_uj,
        "idle, cores of this run": balance.idle_reserved_uj,
        "idle, other cores": balance.idle_rest_uj,
    }
    shown = ", ".join(f"{name} {significant(uj * 1e-6)} J" for name, uj in parts.items() if uj)
    dram = f"; DRAM {significant(balance.dram_uj * 1e-6)} J besides" if balance.dram_uj is not None else ""
    total = f"{significant(balance.counter_uj * 1e-6)} J in {significant(balance.duration_s)} s"
    if balance.windows:
        yield "machine", f"{total} by {escape(balance.meter)}: {shown}{dram}"
    share = balance.own_share
    if share is not None and share < QUIET_SHARE and balance.counted:
        others = f"{percent(1 - share)} % of the energy above idle was other processes'"
        yield "disturbed", f"{others}: shares by CPU time are rough then; measure on a quiet machine"
    for reason, count in balance.invalid.items():
        yield "not counted", f"{count} window{'s' * (count != 1)}: {escape(reason)}"


def cautions(run_facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Notes on what makes figures or verdicts less certain than they look; the JSON report says more of each."""
    notes = [("caution", escape(str(caution["what"]))) for caution in all_cautions(run_facts)]
    return [*(("verdicts", what) for what, _, _ in trust_cautions(run_facts)), *notes]
