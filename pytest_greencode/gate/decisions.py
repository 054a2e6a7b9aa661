"""Rules and values to decisions: pass, fail, inconclusive, or not evaluated.

A rule fails only where the whole interval is beyond its limit, and passes only where the whole interval is within. The
intervals are paired over tasks against a baseline, or are of the noise of measuring given tests; their confidence is
raised with the number of things judged, so that a run without a regression fails at most FALSE_ALARM of the time by
chance, in all.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from pytest_greencode.plain import plain_values

from ..accounts import MIN_TASKS
from ..conditions import told_apart
from ..estimators import lower_bound
from ..statistics import (
    Interval,
    difference_interval,
    influence_interval,
    log_influences,
    ratio_interval,
    share_interval,
    student_t_quantile,
)
from .rules import Limit, Rule
from .subjects import Quantity, Subject
from .suites import Change, Comparison, against, alone, named

# Of the whole gate. Intervals of costs hold a little less than they promise: this leaves room to the 2 % aimed at.
FALSE_ALARM = 0.01
# Amounts of a baseline are kept to nine digits.
_ROUNDING = 1e-7
# Beyond so many times the units nobody will try.
_MOST_TIMES = 100.0


class Outcome(str, enum.Enum):
    """Of a rule, or of a gate: the worst of its rules, in this order."""

    FAIL = "fail"
    NOT_EVALUATED = "not_evaluated"
    INCONCLUSIVE = "inconclusive"
    PASS = "pass"  # noqa: S105


class RuleDecision(Struct, frozen=True, kw_only=True):
    """One rule and one subject. `suite`, `model`, `settings` are None where the rule found no subject.

    `value` and `baseline` are in the field's unit; `compared` (with `limit`) is the value, the ratio, or the difference
    in percentage points, by `kind`, and `interval` is its interval at `confidence`. `more_samples` would about tell,
    if they are like these; None where nothing is to be told, or no number would do. `changes`: of an ordinary test
    suite that did not pass, the tests that it comes from.
    """

    rule: str
    field: str
    unit: str
    kind: str
    limit: float
    suite: str | None
    model: str | None
    settings: str | None
    value: float | None
    baseline: float | None
    compared: float | None
    interval: Interval | None
    confidence: float
    units: int
    decision: Outcome
    reason: str
    more_samples: int | None = None
    changes: tuple[Change, ...] = ()


class Decision(Struct, frozen=True, kw_only=True):
    """`differences`: in what else the baseline differs from the run; they were accepted if rules are judged all the
    same. `baseline` names it. With `strict` only a pass is no failure."""

    decision: Outcome
    rules: tuple[RuleDecision, ...]
    strict: bool = False
    baseline: str | None = None
    differences: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return self.decision is Outcome.FAIL or (self.strict and self.decision is not Outcome.PASS)


def decision_from(values: Mapping[str, Any]) -> Decision:
    """What `plain_values` made of one. Raises TypeError, ValueError and KeyError for what is none."""
    names = set(RuleDecision.__struct_fields__)
    rules = []
    for each in values["rules"]:
        known = {name: value for name, value in each.items() if name in names}
        interval = known.get("interval")
        known |= {"decision": Outcome(known["decision"]), "interval": None if interval is None else tuple(interval)}
        known["changes"] = tuple(Change(**change) for change in known.get("changes", ()))
        rules.append(RuleDecision(**known))
    return Decision(
        decision=Outcome(values["decision"]),
        rules=tuple(rules),
        strict=bool(values.get("strict")),
        baseline=values.get("baseline"),
        differences=tuple(map(str, values.get("differences", ()))),
    )


def decide(
    rules: Sequence[Rule],
    subjects: Sequence[Subject],
    references: Sequence[Subject] = (),
    *,
    repriced: Sequence[Subject] | None = None,
    strict: bool = False,
    baseline: str | None = None,
    differences: Sequence[str] = (),
    accept_differences: bool = False,
) -> Decision:
    """Every rule for every subject that it covers.

    `repriced`: the subjects with the baseline's grids and machines, for rules against it; else these are `subjects`.
    `references`: what the baseline has. `differences`: in what the baseline is of another machine, suite and so on; a
    relative rule is not judged then, unless `accept_differences`. `baseline` names it.
    """
    gate = _Gate(
        references={each.key: each for each in references},
        baseline=baseline,
        differences=tuple(differences),
        accept=accept_differences,
        confidence=1 - 2 * FALSE_ALARM / max(1, sum(len(_covered(rule, subjects)) for rule in rules)),
    )
    against = subjects if repriced is None else repriced
    found = [each for rule in rules for each in gate.judged(rule, against if rule.relative else subjects)]
    worst = min((each.decision for each in found), key=list(Outcome).index, default=Outcome.NOT_EVALUATED)
    return Decision(
        decision=worst, rules=tuple(found), strict=strict, baseline=baseline, differences=tuple(gate.told(subjects))
    )


def _covered(rule: Rule, subjects: Iterable[Subject]) -> list[Subject]:
    return [found for each in subjects if (found := each.under(rule)) is not None]


class _Gate(Struct, frozen=True, kw_only=True):
    """What the judgements of one gate have in common."""

    references: Mapping[tuple[str, str, str], Subject]
    baseline: str | None
    differences: tuple[str, ...]
    accept: bool
    confidence: float

    def told(self, subjects: Sequence[Subject]) -> list[str]:
        """All differences, each once."""
        own = (
            text
            for each in subjects
            if each.key in self.references
            for text in _differences(each, self.references[each.key])
        )
        return list(dict.fromkeys([*self.differences, *own]))

    def judged(self, rule: Rule, subjects: Sequence[Subject]) -> list[RuleDecision]:
        covered = _covered(rule, subjects)
        found = [self._relative(rule, each) if rule.relative else self._absolute(rule, each) for each in covered]
        if rule.relative:
            # What is no longer run must not pass for that.
            known = {each.key for each in subjects}
            gone = [each for key, each in self.references.items() if key not in known]
            found += [
                self._told(rule, each, Outcome.NOT_EVALUATED, "in the baseline, but not in this run")
                for each in _covered(rule, gone)
            ]
        if not found:
            called = "test" if rule.field.of_tests else "configuration"
            has = any(rule.field.name in each.quantities for each in subjects)
            why = f"no {called} of this run is called so" if has else "nothing here has it"
            found = [self._told(rule, None, Outcome.NOT_EVALUATED, why)]
        return found

    def _told(self, rule: Rule, subject: Subject | None, decision: Outcome, reason: str, **more: Any) -> RuleDecision:
        none = {"value": None, "baseline": None, "compared": None, "interval": None, "units": 0}
        return RuleDecision(
            rule=rule.text,
            field=rule.field.name,
            unit=rule.field.unit,
            kind=rule.kind.value,
            limit=rule.limit,
            suite=None if subject is None else subject.suite,
            model=None if subject is None else subject.model,
            settings=None if subject is None else subject.settings,
            confidence=self.confidence,
            decision=decision,
            reason=reason,
            **{**none, **more},
        )

    def _absolute(self, rule: Rule, subject: Subject) -> RuleDecision:
        quantity = subject.quantities[rule.field.name]
        if subject.incomplete:
            return self._told(rule, subject, Outcome.NOT_EVALUATED, subject.incomplete)
        value = quantity.value
        if value is None:
            return self._without_value(rule, subject, quantity, rule.limit, 1.0, "")
        if subject.of_tests and (found := alone(quantity, self.confidence)) is not None:
            return self._of_tests(rule, subject, found)
        pairs = list(quantity.units.values())
        few = _too_few(pairs, subject.units_called)
        if rule.field.share:
            most = max((whole for _, whole in pairs), default=0.0) or 1.0
            tops, bottoms = ([min(max(x / most, 0.0), 1.0) for x in column] for column in _columns(pairs))
            interval = share_interval(tops, bottoms, self.confidence)
        else:
            interval = ratio_interval(*_columns(pairs), self.confidence)
        return self._judged(rule, subject, value, value, None if few else interval, few or "the value is not positive")

    def _relative(self, rule: Rule, subject: Subject) -> RuleDecision:
        def untold(reason: str) -> RuleDecision:
            return self._told(rule, subject, Outcome.NOT_EVALUATED, reason)

        if self.baseline is None:
            return untold("no baseline given")
        reference = self.references.get(subject.key)
        reference = None if reference is None else reference.under(rule)
        if reference is None:
            return untold("not in the baseline; `greencode baseline update` adds it")
        if subject.incomplete:
            return untold(subject.incomplete)
        differences = [*self.differences, *_differences(subject, reference)]
        if differences and not self.accept:
            return untold(f"the baseline differs: {'; '.join(differences)}")
        now, then = subject.quantities[rule.field.name], reference.quantities[rule.field.name]
        for name, quantity in (("the baseline", then), ("this run", now)):
            if quantity.reason and not (quantity is now and now.fruitless):
                return untold(f"{name}: {quantity.reason}")
        if subject.of_tests:
            found = against(now, then, self.confidence, (subject.startup_cpu_s, reference.startup_cpu_s))
            return untold(found) if isinstance(found, str) else self._of_tests(rule, subject, found)
        shared = [unit for unit in now.units if unit in then.units]
        then = then.on(shared)
        before = then.value
        if before is None or (before <= 0 and rule.kind is Limit.RATIO):
            what = subject.units_called
            return untold("nothing in the baseline to compare with" if shared else f"no {what} in common")
        if now.value is None:
            # Nothing accepted: a cost beyond the limit if even its lower bound is, against the worst of the baseline.
            pairs = list(then.units.values())
            worst = ratio_interval(*_columns(pairs), self.confidence)
            high = before if worst is None else worst[1]
            return self._without_value(rule, subject, now, rule.limit * high, high, " times the baseline's")
        now = now.on(shared)
        value = now.value
        if value is None:
            return untold(f"nothing to divide by among the {subject.units_called} in common")
        same = subject.samples is not None and subject.samples == reference.samples
        compared, interval = _paired(rule, now, then, self.confidence, guarded=not same)
        few = _too_few(shared, subject.units_called)
        none = few or "the value is not positive"
        return self._judged(rule, subject, value, compared, None if few else interval, none, baseline=before)

    def _without_value(
        self, rule: Rule, subject: Subject, quantity: Quantity, limit: float, unit: float, what: str
    ) -> RuleDecision:
        reason = quantity.reason or "not known"
        if quantity.fruitless is None:
            return self._told(rule, subject, Outcome.NOT_EVALUATED, reason)
        least = lower_bound(*quantity.fruitless, (1 + self.confidence) / 2)
        if least > limit:
            shown = f"more than {least / unit:.3g}{what}"
            return self._told(
                rule, subject, Outcome.FAIL, f"{reason}; {shown}, and {rule.text.rpartition(':')[2]} is allowed"
            )
        return self._told(
            rule, subject, Outcome.INCONCLUSIVE, f"{reason}; more than {least / unit:.3g}{what} is all that is known"
        )

    def _judged(
        self,
        rule: Rule,
        subject: Subject,
        value: float,
        compared: float,
        interval: Interval | None,
        why_none: str,
        *,
        baseline: float | None = None,
    ) -> RuleDecision:
        units = len(subject.quantities[rule.field.name].units)
        figures = {"value": value, "baseline": baseline, "compared": compared, "interval": interval, "units": units}
        if interval is None:
            return self._told(rule, subject, Outcome.INCONCLUSIVE, why_none, **figures)
        decision = _decided(rule, interval)
        more = _more(rule, compared, interval, units) if decision is Outcome.INCONCLUSIVE else None
        samples = None if more is None else math.ceil(more * subject.attempts)
        reason = _in_words(rule, decision, compared, interval, self.confidence, baseline)
        if more is not None:
            reason += f"; about {samples} more samples ({more} more {subject.units_called} like these) would"
        return self._told(rule, subject, decision, reason, **figures, more_samples=samples)

    def _of_tests(self, rule: Rule, subject: Subject, found: Comparison) -> RuleDecision:
        figures = {
            "value": found.value,
            "baseline": found.baseline,
            "compared": found.compared,
            "interval": found.interval,
            "units": found.tests,
        }
        if found.interval is None:
            return self._told(rule, subject, Outcome.INCONCLUSIVE, "the value is not positive", **figures)
        decision = _decided(rule, found.interval)
        reason = _in_words(rule, decision, found.compared, found.interval, self.confidence, found.baseline)
        changes = () if decision is Outcome.PASS else found.changes
        if changes and found.compared > rule.limit:
            reason += f": {named(changes, rule.field.unit, found.factor)}"
        remedy = found.remedy if decision is Outcome.INCONCLUSIVE else ""
        reason = "; ".join(each for each in (reason, found.remark, remedy) if each)
        return self._told(rule, subject, decision, reason, **figures, changes=changes)


def _decided(rule: Rule, interval: Interval) -> Outcome:
    low, high = interval if rule.field.less_is_better else (-interval[1], -interval[0])
    limit = rule.limit if rule.field.less_is_better else -rule.limit
    room = abs(limit) * _ROUNDING
    if low > limit + room:
        return Outcome.FAIL
    return Outcome.PASS if high <= limit + room else Outcome.INCONCLUSIVE


def _differences(subject: Subject, reference: Subject) -> list[str]:
    """Between the two sides of one configuration, attempts allowed and the tasks of a benchmark; or of a suite."""
    found = told_apart(reference.conditions, subject.conditions)
    if subject.allowed != reference.allowed:
        found.append(f"attempts allowed: baseline {reference.allowed}, now {subject.allowed}")
    if subject.of_tests:
        return found
    now, then = (
        {unit for quantity in each.quantities.values() for unit in quantity.units} for each in (subject, reference)
    )
    for count, what in ((len(then - now), "are not in this run"), (len(now - then), "are not in the baseline")):
        if count and now and then:
            found.append(f"{count} {subject.units_called} {what}")
    return found


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [top for top, _ in pairs], [bottom for _, bottom in pairs]


def _too_few(units: Sequence[object], called: str) -> str | None:
    return f"too few {called}: {len(units)}, an interval needs {MIN_TASKS}" if len(units) < MIN_TASKS else None


def _paired(
    rule: Rule, now: Quantity, then: Quantity, confidence: float, *, guarded: bool
) -> tuple[float, Interval | None]:
    """The ratio, or the difference in percentage points, with its paired interval; None where that needs more.

    `guarded`: other samples might have differed where these agree. The same programs run again would not.
    """
    value, before = now.value or 0.0, then.value or 0.0
    pairs = [(*now.units[unit], *then.units[unit]) for unit in now.units]
    tops, bottoms, tops_then, bottoms_then = (list(column) for column in zip(*pairs, strict=True))
    if rule.kind is Limit.RATIO:
        ratio = value / before
        ours, theirs = log_influences(tops, bottoms), log_influences(tops_then, bottoms_then)
        if ours is None or theirs is None:
            return ratio, None
        return ratio, influence_interval(ratio, [a - b for a, b in zip(ours, theirs, strict=True)], confidence)
    points, m = 100 * (value - before), len(pairs)
    if guarded and rule.field.k is not None:
        found = difference_interval([a - b for a, b in zip(tops, tops_then, strict=True)], confidence)
        return points, None if found is None else (100 * found[0], 100 * found[1])
    if m < 2:
        return points, None
    weight, weight_then = math.fsum(bottoms), math.fsum(bottoms_then)
    squares = math.fsum(
        ((top - value * bottom) / weight - (other - before * base) / weight_then) ** 2
        for top, bottom, other, base in pairs
    )
    half = 100 * student_t_quantile((1 + confidence) / 2, m - 1) * math.sqrt(m / (m - 1) * squares)
    return points, (points - half, points + half)


def _more(rule: Rule, compared: float, interval: Interval, units: int) -> int | None:
    """How many more units would about tell: the interval shrinks with their square root."""
    below = compared < rule.limit
    end = interval[1] if below else interval[0]
    half, distance = abs(end - compared), abs(rule.limit - compared)
    if rule.kind is Limit.RATIO or (rule.kind is Limit.VALUE and not rule.field.share):
        if min(compared, end, rule.limit) <= 0:
            return None
        half, distance = abs(math.log(end / compared)), abs(math.log(rule.limit / compared))
    if distance * math.sqrt(_MOST_TIMES) < half:
        return None
    return max(1, math.ceil(units * ((half / distance) ** 2 - 1)))


def _in_words(
    rule: Rule, decision: Outcome, compared: float, interval: Interval, confidence: float, baseline: float | None
) -> str:
    unit = f" {rule.field.unit}" if rule.field.unit and rule.kind is Limit.VALUE else ""
    low, high = interval
    allowed = rule.text.rpartition(":")[2]
    if rule.kind is Limit.POINTS:
        text = f"{compared:+.1f} pp [{low:+.1f}, {high:+.1f}] against the baseline's {100 * (baseline or 0.0):.1f} %"
    elif rule.kind is Limit.RATIO:
        text = f"{compared:.4g} times the baseline's [{low:.4g}, {high:.4g}]"
    else:
        text = f"{compared:.4g}{unit} [{low:.4g}, {high:.4g}]"
    text += f" ({100 * confidence:.3g} %)"
    return {
        Outcome.PASS: f"{text}, within {allowed}",
        Outcome.FAIL: f"{text}, and {allowed} is allowed",
    }.get(decision, f"{text}: cannot be told from {allowed}")


def plain(decision: Decision) -> dict[str, Any]:
    """As the ledger and the JSON report keep it; `decision_from` reads it."""
    return {**plain_values(decision), "failed": decision.failed}
