"""Configurations side by side, as lines of plain text: pairs, front, factors, when to stop, cascades, what to take."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from ..carbon import RegionRow
from ..comparison import Cascades, Comparison, Effect, Escape, Front, Selection, Stopping, describe
from ..comparison.policy import configuration_of
from ..comparison.retries import CHAIN
from ..economics.economy import CO2E
from ..economics.resources import key_of
from ..findings import Findings, SuiteFindings
from ..model import Configuration
from ..statistics import Interval
from .economics import assumption_lines, by_suite, economics_lines, forecast_lines, one_off_lines
from .names import distinct, labels
from .sentences import claim_sentence, payback_sentence
from .terminal import keyed
from .text import columns, escape, left, mass_unit, percent, right, significant, wrap

_MOST = 5
# A narrower band is what is left of factors that both share.
_SHOWN_BAND = 1.01

Names = Callable[[Configuration], str]
_Notes = Iterator[tuple[str, str]]


def compare_lines(findings: Findings, *, width: int = 80) -> list[str]:
    """Lines of at most `width` columns (at least 40), suite by suite. Every name is escaped."""
    width = max(width, 40)
    lines: list[str] = []
    for suite in findings.suites:
        names = names_of(suite)
        if lines:
            lines.append("")
        lines += wrap(_title(suite), width)
        lines.append("")
        lines += keyed(_suite(suite, names, findings), width)
        rows = [
            (names(configuration_of(each)), findings.regions[key_of(each)])
            for each in suite.configurations
            if key_of(each) in findings.regions
        ]
        if rows:
            lines += ["", *wrap("gCO2e per accepted solution, were both sites on another grid", width), ""]
            lines += _regions(rows, width)
        escapes = [each for each in findings.escapes if each.public == suite.suite]
        if escapes:
            lines += ["", *keyed(_escapes(escapes, names), width)]
    return lines or ["no attempts"]


def outlook_lines(findings: Findings, *, width: int = 80) -> list[str]:
    """Money and human work beside it, what is paid once, payback, forecasts, and all that was assumed."""
    width, currency = max(width, 40), findings.assumptions.currency
    lines = economics_lines(findings.economies, width=width)
    lines += ["", *keyed(_by_use(findings), width)]
    if findings.one_off.items:
        lines += ["", *one_off_lines(findings.one_off, currency, width=width)]
    for suite in findings.suites:
        if suite.decision is not None:
            on = f"on {escape(suite.suite)}: " if len(findings.suites) > 1 else ""
            notes = decision_notes(suite, names_of(suite), findings)
            lines += ["", *keyed(((key, on + text) for key, text in notes), width)]
    lines += ["", *forecast_lines(findings.forecasts, unmet=findings.unmet, log=findings.usage, width=width)]
    lines += ["", "assumptions", *assumption_lines(findings.assumptions.entries, width=width)]
    if findings.unused:
        lines += wrap(f"without effect here: {escape(', '.join(findings.unused))}", width)
    return lines


def _by_use(findings: Findings) -> _Notes:
    """Embodied carbon by time, as in the headline, and by use."""
    names = by_suite(each.configuration for each in findings.economies)
    several = len({suite for suite, _, _ in names}) > 1
    for key, found in findings.by_use.items():
        if found.by_time_g is None:
            continue
        name = names[key] + (f" on {escape(key[0])}" if several else "")
        time, use = (None if value is None else _mass(value) for value in (found.by_time_g, found.per_accepted_g))
        if use is None:
            yield "embodied", f"{name}: by time {time}; by use unknown: {escape(found.reason or '')}"
            continue
        lives = ", ".join(
            f"{escape(machine.name)} {significant(machine.embodied_g / 1e3)} kg over {significant(uses)} calls"
            for machine, uses in zip(found.machines, found.uses, strict=True)
        )
        yield "embodied", f"{name}: by time {time}, by use {use} per accepted solution ({lives})"


def _mass(value: float) -> str:
    unit, grams = mass_unit([value])
    return f"{significant(value / grams)} {unit}"


def decision_notes(suite: SuiteFindings, names: Names, findings: Findings) -> _Notes:
    """What may be said of changing from one to the other, and of whom nothing can be said."""
    decision, currency = suite.decision, findings.assumptions.currency
    if decision is None:
        return
    old, new = (names(configuration_of(each)) for each in (decision.old, decision.new))
    yield "decision", claim_sentence(decision.claim, old=old, new=new, k=suite.k)
    for configuration, reason in (suite.front.unusable if suite.front is not None else {}).items():
        yield "not judged", f"{names(configuration)}: {escape(reason)}"
    if not findings.assumptions.one_off:
        yield "payback", "no one-off cost given ([one_off.NAME] in --assumptions)"
        return
    yield "payback", payback_sentence(decision.payback_g, unit=CO2E)
    if currency:
        yield "payback", payback_sentence(decision.payback_money, unit=currency)


def names_of(suite: SuiteFindings) -> Names:
    """How the configurations of a suite are called, escaped."""
    known = labels(suite.configurations)

    def name(configuration: Configuration) -> str:
        return known.get(configuration) or escape(configuration.model)

    return name


def _title(suite: SuiteFindings) -> str:
    count = len(suite.configurations)
    attempts = "" if suite.k is None else f", at most {suite.k} attempt{'s' * (suite.k != 1)} per task"
    return f"{escape(suite.suite)}: {count} configuration{'s' * (count != 1)}{attempts}"


def _suite(suite: SuiteFindings, names: Names, findings: Findings) -> _Notes:
    if len(suite.configurations) < 2:
        yield "compare", "one configuration alone: nothing to compare it with"
    for comparison in suite.comparisons:
        yield from _pair(comparison, names)
    if suite.front is not None:
        yield from _front(suite.front, names)
    for effect in suite.effects:
        if effect.factor != "model":
            yield "factor", _effect(effect)
    for account, found in zip(suite.configurations, suite.stoppings, strict=True):
        yield from _stopping(names(configuration_of(account)), found)
    if suite.cascades is not None:
        yield from _cascades(suite.cascades, names)
    if suite.selection is not None:
        yield from _selection(suite.selection, names)
    yield from decision_notes(suite, names, findings)


def _pair(comparison: Comparison, names: Names) -> _Notes:
    a, b = names(comparison.a.configuration), names(comparison.b.configuration)
    yield "pair", f"{escape(describe(comparison, a, b))} ({comparison.tasks} tasks)"
    ratio = comparison.co2e_g
    if (band := ratio.systematic) is not None and band.p95 > band.p5 * _SHOWN_BAND:
        most = escape(next(iter(band.spans), ""))
        yield (
            "systematic",
            (
                f"{a} / {b} {significant(ratio.value or 0.0)} may be {significant(band.p5)} .. {significant(band.p95)}"
                f" by what the two do not share (5 to 95 %); most of it: {most}"
            ),
        )
    if comparison.left_out:
        yield "pair", f"{len(comparison.left_out)} tasks that only one of them has are left out"
    for caution in comparison.cautions:
        yield "caution", f"{a} (a), {b} (b): {escape(caution)}"


def _front(found: Front, names: Names) -> _Notes:
    if found.points and found.left_out:
        yield "front", _ground(found.tasks, found.left_out)
    on = [names(point.configuration) for point in found.points if point.on_front]
    if on:
        yield "front", f"nothing is both better and cheaper than {', '.join(on)}"
    for point in found.points:
        if point.dominated_by:
            by = ", ".join(names(each) for each in point.dominated_by[:3])
            doubt = "" if point.told_apart else ", but the difference cannot be told from chance"
            yield "front", f"{names(point.configuration)} is behind {by}{doubt}"
    for configuration, reason in found.unusable.items():
        yield "unknown", f"{names(configuration)}: {escape(reason)}"


def _ground(tasks: int, left_out: Sequence[str]) -> str:
    count = len(left_out)
    return f"on the {tasks} task{'s' * (tasks != 1)} that all have; {count} task{'s' * (count != 1)} left out"


def _effect(effect: Effect) -> str:
    level, reference = level_text(effect.level), level_text(effect.reference)
    ratio, energy = effect.co2e_g, effect.energy_j
    strata = f"{len(effect.strata)} pair{'s' * (len(effect.strata) != 1)} of configurations"
    text = f"{escape(effect.factor)} {level} over {reference} ({strata}, {effect.tasks} tasks): "
    if ratio.value is None:
        return text + escape(ratio.reason or "")
    told = "" if ratio.distinguishable or ratio.interval is None else ", not distinguishable from 1"
    points = effect.pass_probability
    quality = (
        "" if points.value_pp is None else f"; pass {points.value_pp:+.1f} pp{_ends(points.interval_pp, signed=True)}"
    )
    joules = "" if energy.value is None else f", J x {significant(energy.value)}"
    return f"{text}CO2e x {significant(ratio.value)}{_ends(ratio.interval)}{told}{joules}{quality}"


def level_text(level: str | None) -> str:
    """A factor's level as text."""
    if level is None:
        return "not set"
    value = json.loads(level)
    return escape(value if isinstance(value, str) else level)


def _ends(interval: Interval | None, *, signed: bool = False) -> str:
    if interval is None:
        return ""
    low, high = (f"{end:+.1f}" if signed else significant(end) for end in interval)
    return f" [{low}, {high}]"


def _stopping(name: str, found: Stopping) -> _Notes:
    if found.reason == CHAIN:
        yield "stop at", f"{name}: not known: {escape(found.reason)}"
    if len(found.curve) < 2:
        return
    unit, grams = mass_unit([step.co2e_g_per_accepted or 0.0 for step in found.curve])
    curve = ", ".join(
        f"{step.k}: {_amount(step.co2e_g_per_accepted, grams)} (pass {percent(step.pass_probability)} %)"
        for step in found.curve
    )
    yield "R_k", f"{name}: {unit} per accepted solution at k = {curve}"
    if found.attempts is None:
        yield "stop at", f"{name}: not known: {escape(found.reason or '')}"
        return
    unsolved = found.curve[-1].pass_probability < 1
    more = "; more attempts than were made may be better still" if found.exhausted and unsolved else ""
    yield "stop at", f"{name}: k = {found.attempts}: {escape(found.rule)}{more}"


def _amount(value: float | None, unit: float) -> str:
    return "?" if value is None else significant(value / unit)


def _cascades(found: Cascades, names: Names) -> _Notes:
    useful = [ranked for ranked in found.ranked if ranked.on_front and ranked.cascade.co2e_g is not None][:_MOST]
    if useful and found.left_out:
        yield "cascade", _ground(found.tasks, found.left_out)
    for ranked in useful:
        each = ranked.cascade
        unit, grams = mass_unit([each.co2e_g or 0.0])
        yield (
            "cascade",
            (
                f"{names(each.first)} ({each.first_attempts}), then {names(each.second)} ({each.second_attempts}):"
                f" {_amount(each.co2e_g, grams)} {unit} per accepted solution{_scaled(each.co2e_interval, grams)},"
                f" pass {percent(each.pass_probability or 0.0)} %"
            ),
        )


def _scaled(interval: Interval | None, unit: float) -> str:
    return "" if interval is None else _ends((interval[0] / unit, interval[1] / unit))


def _selection(found: Selection, names: Names) -> _Notes:
    if found.candidates and found.left_out:
        yield "select", _ground(found.tasks, found.left_out)
    yield from _selected(found, names)
    for configuration in found.unusable_reaching:
        reason, target = escape(found.unusable[configuration]), percent(found.target)
        yield "select", f"{names(configuration)} reaches pass@{found.k} of {target} %, but cannot be compared: {reason}"


def _selected(found: Selection, names: Names) -> _Notes:
    if found.chosen is None:
        yield "select", f"none: {escape(found.reason or '')}"
        if found.nearest is not None:
            yield "select", f"nearest is {names(found.nearest.configuration)}"
        return
    chosen = found.chosen
    unit, grams = mass_unit([chosen.co2e_g])
    bound = "" if chosen.lower_bound is None else f", at least {percent(chosen.lower_bound)} % with 95 % confidence"
    yield (
        "select",
        (
            f"{names(chosen.configuration)}: {_amount(chosen.co2e_g, grams)} {unit} per accepted solution at"
            f" pass@{found.k} of {percent(chosen.pass_probability)} %{bound};"
            f" asked for: {percent(found.target)} %"
        ),
    )
    if found.not_distinguishable:
        others = ", ".join(names(each) for each in found.not_distinguishable)
        yield "select", f"not distinguishable from it in cost: {others}"


def _escapes(found: Sequence[Escape], names: Names) -> _Notes:
    for each in found:
        if each.escape_rate is None:
            yield "escaped", f"{names(each.configuration)}: not known: {escape(each.reason or '')}"
            continue
        unit, grams = mass_unit([each.co2e_g or 0.0])
        interval = each.escape_interval
        ends = "" if interval is None else f" [{percent(interval[0])}, {percent(interval[1])}]"
        cost = "" if each.co2e_g is None else f"; {_amount(each.co2e_g, grams)} {unit} per correct solution"
        yield (
            "escaped",
            (
                f"{names(each.configuration)}: {percent(each.escape_rate)} %{ends} of what {escape(each.public)}"
                f" accepts fails {escape(each.hidden)} ({each.escaped} of {each.accepted} samples){cost}"
            ),
        )


def _regions(tables: Sequence[tuple[str, Sequence[RegionRow]]], width: int) -> Iterator[str]:
    """A row for each grid, a column for each configuration, as many as fit."""
    unit, grams = mass_unit(row.total_g or 0.0 for _, table in tables for row in table)
    grids = [f"{row.region} {row.g_per_kwh:.0f} g/kWh" for row in tables[0][1]]
    first = max(map(columns, (*grids, unit)))
    room = max((width - first) // len(tables) - 2, 16)
    short = distinct([name for name, _ in tables], room)
    shown = [(short[name], [_amount(row.total_g, grams) for row in table]) for name, table in tables]
    used, kept = first, []
    for name, cells in shown:
        size = max(map(columns, (name, *cells)))
        if used + size + 2 > width:
            break
        used += size + 2
        kept.append((name, cells, size))
    yield "  ".join([left(f"{unit}CO2e", first), *(right(name, size) for name, _, size in kept)])
    for position, grid in enumerate(grids):
        yield "  ".join([left(grid, first), *(right(cells[position], size) for _, cells, size in kept)])
    if len(kept) < len(shown):
        yield from wrap(f"and {len(shown) - len(kept)} more in the JSON and the page", width)
