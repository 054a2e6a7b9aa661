"""What the HTML page shows: rows, figures and notes, made from the account and not yet markup.

Every text from a model or a file is escaped for display here (`text.escape`), and cut where it is longer than anyone
reads; the raw numbers at the page's end have all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup
from msgspec import Struct

from ..accounts import Account, ConfigurationAccount, TaskRow
from ..attribution import Balance
from ..model import Verdict
from ..statistics import Interval
from . import charts, figures
from .entries import (
    UNKNOWN,
    Cell,
    Entry,
    bracketed,
    cell_of,
    cut,
    entries_of,
    headline_part,
    pass_k,
    ratio,
    scaled,
    scaled_interval,
    share,
    shown,
    solved_share,
)
from .extras import ComparisonRow, Explanation, Extras, FactorRow, MoneyRow, RegionRow
from .figures import Figure
from .page_outlook import Outlook, Shown, one_off_cells, outlook_of
from .page_project import ProjectPart, project_part
from .provenance import Origin, cautions_of, facts_of, origins_of
from .terminal import QUIET_SHARE
from .text import escape, mass_unit, percent, significant
from .texts import TEXTS, Bilingual, plain, reason

_RELATIONS = ("dominates", "dominated", "incomparable", "equal")
_GLYPHS: Mapping[Verdict | None, tuple[str, str]] = {
    Verdict.ACCEPTED: ("accepted", "✓"),
    Verdict.REJECTED: ("rejected", "✗"),
    Verdict.TIMEOUT: ("timeout", "T"),
    Verdict.MEMORY: ("memory", "M"),
    Verdict.OUTPUT_LIMIT: ("output_limit", "O"),
    Verdict.CRASHED: ("crashed", "!"),
    Verdict.MALFORMED: ("malformed", "~"),
    Verdict.HARNESS_ERROR: ("harness_error", "H"),
    None: ("lost", "·"),
}


class SummaryRow(Struct, frozen=True, kw_only=True):
    entry: Entry
    carbon: str
    interval: str
    reason: Bilingual | None
    systematic: tuple[str, str] | None
    embodied: str | None
    strip: Markup
    accepted: str
    pass_1: Cell
    pass_k: Cell
    energy: str
    waste: Cell
    on_front: bool
    money: MoneyRow | None
    money_shown: str
    human_shown: str
    human: tuple[tuple[Bilingual, Mapping[str, object]], ...]


class Lead(Struct, frozen=True, kw_only=True):
    text: Bilingual
    values: Mapping[str, object]
    tone: str


class Note(Struct, frozen=True, kw_only=True):
    letters: str
    text: Bilingual
    values: Mapping[str, object]


class TaskLine(Struct, frozen=True, kw_only=True):
    """One task of one configuration. `verdicts`: runs of the same verdict as (css name, glyphs)."""

    entry: Entry
    task: str
    order: int
    accepted: str
    share: float
    kind: str
    verdicts: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]


class RetryLine(Struct, frozen=True, kw_only=True):
    entry: Entry
    k: int
    cells: tuple[str, ...]


class GreenLine(Struct, frozen=True, kw_only=True):
    entry: Entry
    cells: tuple[str, ...]
    scalar: tuple[str, str] | None


class ComparedLine(Struct, frozen=True, kw_only=True):
    """A comparison or a factor: what is compared, the ratio with its interval, and how to read it (a text's key)."""

    row: ComparisonRow | FactorRow
    pair: str
    ratio: str
    difference: str
    verdict: str
    systematic: tuple[str, str] | None


class SuitePart(Struct, frozen=True, kw_only=True):
    """Everything of one suite."""

    anchor: str
    name: str
    counts: tuple[str, Mapping[str, object]]
    unit: str
    strip_log: bool
    k: int | None
    entries: tuple[Entry, ...]
    summary: tuple[SummaryRow, ...]
    leads: tuple[Lead, ...]
    notes: tuple[Note, ...]
    quality: Figure | None
    not_shown: str
    retries: tuple[Figure, ...]
    retry_lines: tuple[RetryLine, ...]
    retry_notes: tuple[Note, ...]
    grams: tuple[Figure, ...]
    waste: Figure | None
    comparisons: tuple[ComparedLine, ...]
    comparison_figure: Figure | None
    outlook: Outlook
    heat: Figure | None
    task_unit: str
    task_lines: tuple[TaskLine, ...]
    verdicts: tuple[tuple[str, str], ...]
    indicators: tuple[str, ...]
    green: tuple[GreenLine, ...]
    green_figure: Figure | None
    provenance: tuple[tuple[Entry, tuple[Origin, ...]], ...]


class BalancePart(Struct, frozen=True, kw_only=True):
    figure: Figure
    rows: tuple[tuple[Bilingual, str, str], ...]
    values: Mapping[str, object]
    counted: bool
    disturbed: str | None
    invalid: tuple[tuple[str, str], ...]


class Page(Struct, frozen=True, kw_only=True):
    suites: tuple[SuitePart, ...]
    project: ProjectPart | None
    balance: BalancePart | None
    quarantined: tuple[tuple[str, str], ...]
    cautions: tuple[tuple[str, str, str], ...]
    facts: tuple[tuple[str, str], ...]
    date: str
    host: str
    extras: Extras
    factors: tuple[ComparedLine, ...]
    regions: tuple[tuple[RegionRow, tuple[str, ...]], ...]
    region_entries: tuple[Entry, ...]
    region_unit: str
    explanations: tuple[tuple[Explanation, str], ...]
    one_off_unit: str
    one_off: tuple[tuple[Bilingual, tuple[Shown, ...]], ...]
    month_notes: tuple[Bilingual, ...]
    figures: tuple[Figure, ...]
    raw_run: str
    version: str


def page_of(account: Account, run_facts: Mapping[str, Any], report: Mapping[str, Any], extras: Extras) -> Page:
    """The page of an account; `report` is its JSON report, for the raw numbers."""
    entries = entries_of(account, report)
    suites = [
        _suite(number, list(members), extras)
        for number, (_, members) in enumerate(groupby(entries, key=lambda entry: entry.account.suite))
    ]
    project = None if account.project is None else project_part(account.project, report["project"])
    own = "part_solutions" if project is None else "part_both" if suites else "part_tests"
    balance = _balance(account.balance, TEXTS[own])
    drawn = [figure for suite in suites for figure in _figures(suite)] + ([balance.figure] if balance else [])
    drawn += project.figures if project else ()
    whole = {"configurations", *(["project"] if project else [])}
    letters = {entry.key: entry.mark.letter for entry in entries}
    priced = [entry for entry in entries if any(entry.key in row.co2e_g for row in extras.regions)]
    unit, grams = mass_unit(g for row in extras.regions for g in row.co2e_g.values() if g is not None)
    one_off_unit, one_off = one_off_cells(extras.one_off)
    return Page(
        suites=tuple(suites),
        project=project,
        balance=balance,
        quarantined=tuple((cut(task), cut(why)) for task, why in account.quarantined.items()),
        cautions=cautions_of(run_facts),
        facts=tuple(facts_of(run_facts)),
        date=_date(run_facts.get("started_at")),
        host=cut(str(run_facts.get("host") or "")),
        extras=extras,
        factors=tuple(_compared(row, f"{cut(row.high, 60)} / {cut(row.low, 60)}") for row in extras.factors),
        regions=tuple(
            (row, tuple(shown(scaled(row.co2e_g.get(entry.key), grams)) for entry in priced)) for row in extras.regions
        ),
        region_entries=tuple(priced),
        region_unit=unit,
        explanations=tuple((each, letters.get(each.key, UNKNOWN) if each.key else "") for each in extras.explanations),
        one_off_unit=one_off_unit,
        one_off=one_off,
        month_notes=tuple(_cut(text) for text in extras.month_notes),
        figures=tuple(drawn),
        raw_run=json.dumps({name: value for name, value in report.items() if name not in whole}, indent=1),
        version=cut(str((run_facts.get("versions") or {}).get("pytest_greencode", ""))),
    )


def _date(text: object) -> str:
    """A moment as people write it; what is none stays what it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::\d\d)?Z", str(text or ""))
    return f"{found[1]} {found[2]} UTC" if found else cut(str(text or ""))


def _figures(suite: SuitePart) -> Iterator[Figure]:
    one = (suite.quality, suite.waste, suite.comparison_figure, suite.heat, suite.green_figure)
    yield from filter(None, one)
    yield from suite.retries
    yield from suite.grams
    yield from suite.outlook.payback_figures


def _suite(number: int, entries: list[Entry], extras: Extras) -> SuitePart:
    anchor = f"s{number + 1}"
    finished = [entry for entry in entries if entry.account.attempts]
    costs = [entry.account.per_accepted for entry in entries]
    unit, grams = mass_unit(g for cost in costs for g in (cost.co2e_g, cost.lower_bound_co2e_g) if g is not None)
    ks = {entry.account.per_accepted.attempts for entry in finished} - {None}
    front = _front(finished)
    money = {row.key: row for row in extras.money}
    domain = _domain(finished, grams)
    summary = tuple(_summary_row(entry, front, unit, grams, domain, money.get(entry.key)) for entry in finished)
    retries = figures.retries(finished, anchor, unit, grams)
    task_unit, task_lines = _tasks(finished)
    comparisons = [row for row in extras.comparisons if row.first.suite == entries[0].account.suite]
    seen = {verdict for entry in finished for row in entry.account.task_rows for verdict in row.verdicts}
    return SuitePart(
        anchor=anchor,
        name=cut(entries[0].account.suite),
        counts=_counts(finished, ks),
        unit=unit,
        strip_log=charts.is_log(domain),
        k=next(iter(ks)) if len(ks) == 1 else None,
        entries=tuple(entries),
        summary=summary,
        leads=_leads(summary, unit),
        notes=tuple(_notes(entries)),
        quality=figures.quality(finished, front, anchor, unit, grams),
        not_shown=", ".join(e.mark.letter for e in finished if e.account.per_accepted.co2e_g is None),
        retries=retries,
        retry_lines=tuple(_retry_lines(finished, grams)) if retries else (),
        retry_notes=tuple(_shared(_retry_notes(finished))),
        grams=figures.grams(finished, anchor),
        waste=figures.waste(finished, anchor),
        comparisons=tuple(_compared(row, figures.pair_of(row, entries)) for row in comparisons),
        comparison_figure=figures.comparisons(comparisons, entries, anchor),
        outlook=outlook_of(finished, extras, anchor),
        heat=figures.heat(finished, anchor),
        task_unit=task_unit,
        task_lines=task_lines,
        verdicts=tuple(_GLYPHS[verdict] for verdict in _GLYPHS if verdict in seen),
        indicators=figures.used_indicators(finished),
        green=tuple(_green_lines(finished)),
        green_figure=figures.green_capacity(finished, anchor),
        provenance=tuple((entry, tuple(origins_of(entry.account))) for entry in entries),
    )


def _compared(row: ComparisonRow | FactorRow, pair: str) -> ComparedLine:
    difference, band = "", None
    if isinstance(row, ComparisonRow):
        band = row.systematic
        difference = ratio(row.pass_difference_pp, row.pass_interval_pp)
    if row.distinguishable is None or row.ratio is None:
        verdict = "unknown"
    elif not row.distinguishable:
        verdict = "not_distinguishable"
    elif isinstance(row, ComparisonRow) and row.robust is False:
        verdict = "not_robust"
    else:
        verdict = "distinguishable_less" if row.ratio < 1 else "distinguishable_more"
    return ComparedLine(
        row=row,
        pair=pair,
        ratio=ratio(row.ratio, row.interval),
        difference=difference,
        verdict=verdict,
        systematic=None if band is None else (significant(band[0]), significant(band[1])),
    )


def _counts(entries: Sequence[Entry], ks: set[int | None]) -> tuple[str, Mapping[str, object]]:
    tasks = sorted({entry.account.tasks for entry in entries})
    if not tasks:
        return "no_finished", {}
    count = f"{tasks[0]}" if len(tasks) == 1 else f"{tasks[0]}-{tasks[-1]}"
    if len(ks) != 1:
        return "counts_plain", {"tasks": count}
    k = next(iter(ks))
    return ("counts_one", {"tasks": count}) if k == 1 else ("counts", {"tasks": count, "k": k})


# -- summary --------------------------------------------------------------------------------------------------------


def _front(entries: Sequence[Entry]) -> set[str]:
    """Anchors of the Pareto front: no other has both a lower cost and a higher pass@k, by the point estimates."""
    known = [
        (cost, quality, entry.anchor)
        for entry in entries
        if (cost := entry.account.per_accepted.co2e_g) is not None and (quality := pass_k(entry.account)) is not None
    ]
    return {
        anchor
        for cost, quality, anchor in known
        if not any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q, _ in known)
    }


def _domain(entries: Sequence[Entry], grams: float) -> Interval:
    """Of the summary's strips: all estimates, and intervals as far as they leave those room."""
    costs = [entry.account.per_accepted for entry in entries]
    points = [cost.co2e_g / grams for cost in costs if cost.co2e_g is not None]
    reach = 3 * max(map(abs, points), default=1.0)
    ends = [end / grams for cost in costs if cost.interval for end in cost.interval]
    return charts.domain_of([*points, *(end for end in ends if abs(end) <= reach)])


def _summary_row(
    entry: Entry, front: set[str], unit: str, grams: float, domain: Interval, money: MoneyRow | None
) -> SummaryRow:
    configuration = entry.account
    cost = configuration.per_accepted
    carbon, energy = shown(scaled(cost.co2e_g, grams)), shown(cost.energy_j)
    if cost.co2e_g is None and cost.lower_bound_co2e_g is not None:
        carbon = f"> {significant(cost.lower_bound_co2e_g / grams)}"
    if cost.energy_j is None and cost.lower_bound_energy_j is not None:
        energy = f"> {significant(cost.lower_bound_energy_j)}"
    why = cost.reason if cost.co2e_g is None else cost.interval_reason
    band = headline_part(configuration, "systematic")
    embodied = headline_part(configuration, "embodied_g")
    return SummaryRow(
        entry=entry,
        carbon=carbon,
        interval=bracketed(scaled_interval(cost.interval, grams)),
        reason=_reason(why) if why and cost.interval is None else None,
        systematic=None if band is None else (significant(band.p5 / grams), significant(band.p95 / grams)),
        embodied=percent(embodied / cost.co2e_g) if embodied is not None and cost.co2e_g else None,
        strip=charts.strip(scaled(cost.co2e_g, grams), scaled_interval(cost.interval, grams), domain, entry.mark),
        accepted=f"{configuration.accepted}/{configuration.attempts}",
        pass_1=Cell(share(configuration.pass_at.get(1)), configuration.pass_at.get(1)),
        pass_k=Cell(share(pass_k(configuration)), pass_k(configuration)),
        energy=energy,
        waste=Cell(share(configuration.waste_share), configuration.waste_share),
        on_front=entry.anchor in front,
        money=money,
        money_shown=_amount(None if money is None else money.per_accepted, money),
        human_shown=_amount(None if money is None else money.human_money, money),
        human=tuple(_human(money, unit, grams)) if money is not None else (),
    )


def _amount(value: float | None, money: MoneyRow | None) -> str:
    return UNKNOWN if value is None or money is None else f"{significant(value)} {escape(money.currency)}"


def _human(money: MoneyRow, unit: str, grams: float) -> Iterator[tuple[Bilingual, Mapping[str, object]]]:
    if money.human_minutes is not None:
        yield TEXTS["minutes"], {"minutes": significant(money.human_minutes)}
    if money.human_co2e_g is not None:
        yield TEXTS["human_carbon"], {"value": significant(money.human_co2e_g / grams), "unit": unit}
    if money.human_seconds_equal is not None:
        yield TEXTS["equals_human"], {"seconds": significant(money.human_seconds_equal)}


def _reason(text: str) -> Bilingual:
    return _cut(reason(text))


def _cut(text: Bilingual) -> Bilingual:
    return Bilingual(*(cut(words) for words in text))


def _leads(rows: Sequence[SummaryRow], unit: str) -> tuple[Lead, ...]:
    """The best configuration in one sentence; where none is known, why."""
    if not rows:
        return ()
    row = rows[0]
    cost = row.entry.account.per_accepted
    values: dict[str, object] = {"name": row.entry.mark.name, "unit": unit, "value": row.carbon.removeprefix("> ")}
    if cost.co2e_g is not None:
        k = cost.attempts or 1
        values |= {
            "interval": f" {row.interval}" if row.interval else "",
            "solved": row.pass_k.shown if row.pass_k.value is not None else share(solved_share(row.entry.account)),
            "within": TEXTS["within"].filled(k=k) if k > 1 else "",
        }
        key = "lead_known"
    elif cost.lower_bound_co2e_g is not None:
        key = "lead_none"
    else:
        key, values = "lead_unknown", {**values, "reason": _reason(cost.reason or "")}
    more = [Lead(text=TEXTS["lead_more"], values={"count": len(rows) - 1}, tone="plain")] if len(rows) > 1 else []
    return Lead(text=TEXTS[key], values=values, tone="neutral"), *more


def _notes(entries: Sequence[Entry]) -> Iterator[Note]:
    """What to know before taking the numbers for more than they are."""
    yield from _shared(
        (entry.mark.letter, key, values) for entry in entries for key, values in _notes_of(entry.account)
    )


def _shared(notes: Iterable[tuple[str, str, Mapping[str, object]]]) -> Iterator[Note]:
    """Notes given as (letter, text's key, values), said once where several share one."""
    found: dict[tuple[str, tuple[tuple[str, object], ...]], list[str]] = {}
    for letter, key, values in notes:
        found.setdefault((key, tuple(values.items())), []).append(letter)
    for (key, items), letters in found.items():
        yield Note(letters=", ".join(letters), text=TEXTS[key], values=dict(items))


def _notes_of(configuration: ConfigurationAccount) -> Iterator[tuple[str, Mapping[str, object]]]:
    facts, extraction = configuration.completeness, configuration.extraction
    if not configuration.attempts:
        yield "no_finished", {}
    if facts.attempts_unfinished:
        yield "note_unfinished", {"count": facts.attempts_unfinished, "planned": facts.attempts_planned}
    if facts.harness_errors:
        yield "note_harness", {"count": facts.harness_errors}
    if facts.tasks_left_out and configuration.attempts:
        first = ", ".join(cut(task, 60) for task in facts.tasks_left_out[:3])
        more = " ..." if len(facts.tasks_left_out) > 3 else ""
        yield "note_left_out", {"count": len(facts.tasks_left_out), "tasks": first + more}
    if extraction.needed:
        rules = ", ".join(f"{count} {cut(rule, 60)}" for rule, count in extraction.rules.items())
        yield "note_extraction", {"count": extraction.needed, "attempts": configuration.attempts, "rules": rules}
    if configuration.flaky:
        yield "note_flaky", {"count": configuration.flaky}
    if configuration.deterministic:
        yield "note_same", {}
    if hardware := getattr(configuration, "hardware", ()):
        yield "note_hardware", {"hardware": ", ".join(cut(name, 60) for name in hardware[:4])}


# -- tables --------------------------------------------------------------------------------


def _retry_notes(entries: Sequence[Entry]) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    for entry in entries:
        known = {k: row.co2e_g_per_accepted for k, row in entry.account.retry.items()}
        costs = {k: cost for k, cost in known.items() if cost is not None}
        if len(costs) > 1:
            yield entry.mark.letter, "retries_least", {"k": min(costs, key=lambda k: (costs[k], k))}
        elif entry.account.chain:
            yield entry.mark.letter, "retries_chain", {}


def _retry_lines(entries: Sequence[Entry], grams: float) -> Iterator[RetryLine]:
    for entry in entries:
        for k, row in sorted(entry.account.retry.items()):
            yield RetryLine(
                entry=entry,
                k=k,
                cells=(
                    percent(row.pass_probability),
                    ratio(scaled(row.co2e_g_per_accepted, grams), scaled_interval(row.interval, grams)),
                    shown(row.energy_j_per_accepted),
                    shown(row.correctness_coefficient),
                ),
            )


def _tasks(entries: Sequence[Entry]) -> tuple[str, tuple[TaskLine, ...]]:
    rows = [(entry, row) for entry in entries for row in entry.account.task_rows]
    unit, grams = mass_unit(abs(row.co2e_g.attempt) for _, row in rows if row.co2e_g.attempt is not None)
    order: dict[str, int] = {}
    for _, row in rows:
        order.setdefault(row.task_id, len(order))
    lines = [_task_line(entry, row, order[row.task_id], grams) for entry, row in rows]
    return unit, tuple(sorted(lines, key=lambda line: line.order))


def _task_line(entry: Entry, row: TaskRow, order: int, grams: float) -> TaskLine:
    runs = [(_GLYPHS[verdict], len(list(same))) for verdict, same in groupby(row.verdicts)]
    mean = row.co2e_g
    # Where a task has none of a kind there is nothing to know.
    none = Cell("-", None)
    costs = [cell_of(scaled(cost, grams)) for cost in (mean.attempt, mean.accepted, mean.failed)]
    costs[1:] = [
        cell if count else none
        for cell, count in zip(costs[1:], (row.accepted, row.attempts - row.accepted), strict=True)
    ]
    return TaskLine(
        entry=entry,
        task=cut(row.task_id, 80),
        order=order,
        accepted=f"{row.accepted}/{row.attempts}",
        share=row.accepted / row.attempts,
        kind="never" if not row.accepted else "always" if row.accepted == row.attempts else "some",
        verdicts=tuple((css, glyph * count) for (css, glyph), count in runs),
        cells=(*costs, cell_of(row.energy_j.attempt)),
    )


def _green_lines(entries: Sequence[Entry]) -> Iterator[GreenLine]:
    indicators = figures.used_indicators(entries)
    for entry in entries:
        found = entry.account.green_capacity
        if found is None:
            continue
        ratios = [
            UNKNOWN if (mean := found.log_ratio[name]).ratio is None else f"{significant(mean.ratio)} ({mean.tasks})"
            for name in indicators
        ]
        scalar = None
        if found.scalar is not None:
            weights = ", ".join(f"{cut(name, 40)} {significant(w)}" for name, w in found.scalar.weights.items())
            missing = f"; {', '.join(found.scalar.missing)}: {UNKNOWN}" if found.scalar.missing else ""
            scalar = (shown(found.scalar.value), weights + missing)
        relations = [str(found.relations[relation]) for relation in _RELATIONS]
        yield GreenLine(entry=entry, cells=(share(found.correctness), *ratios, *relations), scalar=scalar)


# -- the machine ----------------------------------------------------------------------------------------------------


def _balance(balance: Balance | None, solutions: Bilingual) -> BalancePart | None:
    if balance is None or not (balance.windows or balance.invalid):
        return None
    joules = {
        "solutions": balance.solutions_uj * 1e-6,
        "harness": balance.harness_uj * 1e-6,
        "repetitions": balance.repetitions_uj * 1e-6,
        "others": balance.other_processes_uj * 1e-6,
        "idle_reserved": balance.idle_reserved_uj * 1e-6,
        "idle_rest": balance.idle_rest_uj * 1e-6,
    }
    own = {"harness": TEXTS["harness"], "solutions": solutions}
    names = {part: own.get(part) or TEXTS[f"part_{part}"] for part, j in joules.items() if j}
    total_j = balance.counter_uj * 1e-6
    rows = [
        (title, significant(joules[part]), percent(joules[part] / total_j) if total_j > 0 else UNKNOWN)
        for part, title in names.items()
    ]
    rows.append((TEXTS["total"], significant(total_j), "100" if total_j > 0 else UNKNOWN))
    if balance.dram_uj is not None:
        rows.append((TEXTS["part_dram"], significant(balance.dram_uj * 1e-6), ""))
    share = balance.own_share
    stack = charts.Stack(label=plain(""), values={part: joules[part] for part in names})
    chart = charts.Stacks(stacks=(stack,), parts=names, x_title=TEXTS["axis_energy"])
    return BalancePart(
        figure=figures.figure_of("machine", "balance", "balance", chart, names),
        rows=tuple(rows),
        values={
            "total": significant(total_j),
            "seconds": significant(balance.duration_s),
            "meter": cut(balance.meter),
        },
        counted=balance.counted,
        disturbed=percent(1 - share) if share is not None and share < QUIET_SHARE and balance.counted else None,
        invalid=tuple((str(count), cut(why)) for why, count in balance.invalid.items()),
    )
