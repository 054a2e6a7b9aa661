"""Two configurations on the same tasks: which one is cheaper per accepted solution, which one solves more.

Pairing matters: tasks that are hard and dear for one are so for the other, and that part of the noise cancels. So does
what is uncertain about grid, PUE and sensor, where both ran on the same ones: `cautions` say where they did not, and
`Ratio.systematic` how much that may be.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..accounts import MIN_TASKS, ConfigurationAccount
from ..model import Configuration
from ..reasons import Reason
from ..statistics import CONFIDENCE, Interval, difference_interval, influence_interval, log_influences
from ..uncertainty import Band, Term, ratio_band
from .policy import Terms, left_out, retrying, shared_tasks

# Ratios closer to 1 differ by rounding only: a run of 1e5 attempts adds up to about 1e-11 of it.
_ROUNDING = 1e-9

# Mean batch sizes closer than this are the same setting, whose last batch was not full.
_BATCH_TOLERANCE = 0.05

# How provenance says that a meter's energy has PUE in it already, and by what time embodied carbon was shared out.
_PUE_INCLUDED = re.compile(r" \(already in the energy of ([0-9]+) of ([0-9]+) records\)")
_TIME = re.compile(r"; (recorded time|wall time|time from energy at [0-9.e+-]+ W)\)")
_INNERMOST = re.compile(r" ?\([^()]*\)")


class Ratio(Struct, frozen=True, kw_only=True):
    """Cost per accepted solution, a over b, with the paired interval over tasks.

    `distinguishable`: whether the interval leaves 1 out; None where there is none. `reason`: why there is no value, or
    no interval. `systematic`: the band of what the two do not share (grid, machine, meter, method), 5 to 95 %;
    `robust`: whether the interval, moved to either end of that band, still leaves out 1. Both None where nobody gave
    the records, or the cost has no such parts.
    """

    value: float | None
    interval: Interval | None
    distinguishable: bool | None
    reason: str | None
    systematic: Band | None = None
    robust: bool | None = None

    @property
    def doubt(self) -> str | None:
        """The factor that does most to undo what the interval says; None where nothing undoes it."""
        if not self.distinguishable or self.robust is not False or self.systematic is None:
            return None
        return next(iter(self.systematic.spans), None)


class Difference(Struct, frozen=True, kw_only=True):
    """pass@k, a minus b, in percentage points; otherwise like `Ratio`, with 0 for 1."""

    value_pp: float | None
    interval_pp: Interval | None
    distinguishable: bool | None
    reason: str | None


class Side(Struct, frozen=True, kw_only=True):
    """One of the two, on the tasks compared: pass@k, and the cost per accepted solution."""

    configuration: Configuration
    pass_probability: float | None
    energy_j: float | None
    co2e_g: float | None


class Comparison(Struct, frozen=True, kw_only=True):
    """`a` beside `b` at most `k` attempts, on the `tasks` that both have; `left_out` are those that only one has.

    In reasons and cautions "a" and "b" are the two. `cautions`: what else differs than the configuration;
    they quote records, so whoever shows them escapes them.
    """

    suite: str
    k: int
    a: Side
    b: Side
    tasks: int
    left_out: tuple[str, ...]
    energy_j: Ratio
    co2e_g: Ratio
    pass_probability: Difference
    cautions: tuple[str, ...]
    confidence: float

    @property
    def cheaper(self) -> Configuration | None:
        """The one that takes fewer grams per accepted solution; None where that cannot be told."""
        if not self.co2e_g.distinguishable or self.co2e_g.value is None:
            return None
        return (self.a if self.co2e_g.value < 1 else self.b).configuration

    @property
    def better(self) -> Configuration | None:
        """The one that solves more; None where that cannot be told."""
        difference = self.pass_probability
        if not difference.distinguishable or difference.value_pp is None:
            return None
        return (self.a if difference.value_pp > 0 else self.b).configuration


# (configuration, k, tasks) -> its grams per accepted solution by part, with what makes each uncertain.
Parts = Callable[[ConfigurationAccount, int, Sequence[str]], Sequence[Term] | None]


def compare(
    a: ConfigurationAccount,
    b: ConfigurationAccount,
    k: int,
    *,
    confidence: float = CONFIDENCE,
    parts: Parts | None = None,
) -> Comparison:
    """Two configurations of one suite, retried until accepted, at most `k` attempts. ValueError for `k` below 1.

    `parts` are asked for the systematic band.
    """
    terms_a, terms_b = retrying(a, k), retrying(b, k)
    tasks = shared_tasks([terms_a, terms_b]) if a.suite == b.suite else ()
    reason = Reason("different_suites") if a.suite != b.suite else _reason(terms_a, terms_b, lambda terms: terms.reason)
    left = left_out([terms_a, terms_b], tasks) if reason is None else ()
    if reason is None:
        terms_a, terms_b = terms_a.on(tasks), terms_b.on(tasks)
        reason = None if tasks else Reason("no_common_task")
    ratio = ratios if reason is None else lambda *_: (no_ratio(reason), no_ratio(reason))
    energy_j, co2e_g = ratio(terms_a, terms_b, confidence)
    if parts is not None and co2e_g.value is not None:
        co2e_g = with_band(co2e_g, parts(a, k, tasks), parts(b, k, tasks))
    return Comparison(
        suite=a.suite,
        k=k,
        a=side(terms_a),
        b=side(terms_b),
        tasks=len(tasks),
        left_out=left,
        energy_j=energy_j,
        co2e_g=co2e_g,
        pass_probability=difference(terms_a, terms_b, confidence) if reason is None else no_difference(reason),
        cautions=cautions(a, b),
        confidence=confidence,
    )


def side(terms: Terms) -> Side:
    return Side(
        configuration=terms.configuration,
        pass_probability=terms.pass_probability,
        energy_j=terms.energy_j_per_accepted,
        co2e_g=terms.co2e_g_per_accepted,
    )


def no_ratio(reason: str) -> Ratio:
    return Ratio(value=None, interval=None, distinguishable=None, reason=reason)


def no_difference(reason: str) -> Difference:
    return Difference(value_pp=None, interval_pp=None, distinguishable=None, reason=reason)


def ratios(a: Terms, b: Terms, confidence: float) -> tuple[Ratio, Ratio]:
    """The ratios of J and of g per accepted solution, both policies on the same tasks (`Terms.on`)."""
    reason = _reason(a, b, lambda terms: terms.cost_reason)
    reason = reason or _reason(a, b, lambda terms: None if math.fsum(terms.accepted) > 0 else Reason("none_accepted"))
    if reason:
        return no_ratio(reason), no_ratio(reason)
    return (
        _ratio(a.energy_j, b.energy_j, a, b, confidence),
        _ratio(a.co2e_g, b.co2e_g, a, b, confidence),
    )


def _reason(a: Terms, b: Terms, of: Callable[[Terms], str | None]) -> str | None:
    """What is the matter with either, by its letter."""
    found = [Reason("of", name=name, reason=reason) for name, terms in (("a", a), ("b", b)) if (reason := of(terms))]
    return Reason.several(found)


def _ratio(
    costs_a: Sequence[float] | None, costs_b: Sequence[float] | None, a: Terms, b: Terms, confidence: float
) -> Ratio:
    influences_a = None if costs_a is None else log_influences(costs_a, a.accepted)
    influences_b = None if costs_b is None else log_influences(costs_b, b.accepted)
    if costs_a is None or costs_b is None or influences_a is None or influences_b is None:
        return no_ratio(Reason("not_positive"))
    value = math.fsum(costs_a) / math.fsum(a.accepted) / (math.fsum(costs_b) / math.fsum(b.accepted))
    return ratio_of(value, [x - y for x, y in zip(influences_a, influences_b, strict=True)], confidence)


def ratio_of(value: float, influences: Sequence[float], confidence: float) -> Ratio:
    """A ratio with its interval, from the influences of tasks on its logarithm."""
    if few := too_few(len(influences)):
        return Ratio(value=value, interval=None, distinguishable=None, reason=few)
    interval = influence_interval(value, influences, confidence)
    if interval is None:
        return Ratio(value=value, interval=None, distinguishable=None, reason=Reason("too_wide"))
    low, high = interval
    apart = low > 1 + _ROUNDING or high < 1 - _ROUNDING
    return Ratio(value=value, interval=interval, distinguishable=apart, reason=None)


def with_band(ratio: Ratio, a: Sequence[Term] | None, b: Sequence[Term] | None) -> Ratio:
    """The ratio with its systematic band."""
    if ratio.value is None or not a or not b:
        return ratio
    band = ratio_band(a, b)
    robust = ratio.distinguishable
    if robust and ratio.interval is not None:
        low, high = ratio.interval
        robust = low * band.p5 / ratio.value > 1 or high * band.p95 / ratio.value < 1
    return replace(ratio, systematic=band, robust=robust)


def difference(a: Terms, b: Terms, confidence: float) -> Difference:
    """The difference of pass@k, both policies on the same tasks."""
    return difference_of([p - q for p, q in zip(a.solved, b.solved, strict=True)], confidence)


def difference_of(differences: Sequence[float], confidence: float) -> Difference:
    """The mean of differences of pass@k per task, with its interval."""
    value_pp = 100 * math.fsum(differences) / len(differences)
    if few := too_few(len(differences)):
        return Difference(value_pp=value_pp, interval_pp=None, distinguishable=None, reason=few)
    interval = difference_interval(differences, confidence)
    if interval is None:
        return no_difference(Reason("no_common_task"))
    low, high = interval
    return Difference(
        value_pp=value_pp, interval_pp=(100 * low, 100 * high), distinguishable=low > 0 or high < 0, reason=None
    )


def too_few(tasks: int) -> str | None:
    return Reason("too_few_tasks", tasks=tasks, least=MIN_TASKS) if tasks < MIN_TASKS else None


# What else differs.


def cautions(a: ConfigurationAccount, b: ConfigurationAccount) -> tuple[str, ...]:
    """What makes the ratio say something else than the configuration does."""
    found = [_hardware_caution(a, b), _batch_caution(a, b), _grid_caution(a, b)]
    found += [
        caution(a, b, part) for part in ("generation", "execution") for caution in (_machine_caution, _time_caution)
    ]
    found += [
        Reason("different_method", part=part, a=one.method.value, b=other.method.value)
        for part in ("generation", "execution")
        if (one := a.provenance[f"energy_j.{part}"]).method is not (other := b.provenance[f"energy_j.{part}"]).method
    ]
    found += [Reason("counts_as_logged", name=name) for name, each in (("a", a), ("b", b)) if each.chain]
    return tuple(caution for caution in found if caution)


def _hardware_caution(a: ConfigurationAccount, b: ConfigurationAccount) -> str | None:
    one, other = hardware(a), hardware(b)
    if one and other:
        return None if one == other else Reason("different_hardware", a=", ".join(one), b=", ".join(other))
    unknown = " and ".join(name for name, found in (("a", one), ("b", other)) if not found)
    return Reason("hardware_unknown", which=unknown)


def _batch_caution(a: ConfigurationAccount, b: ConfigurationAccount) -> str | None:
    one, other = covariate(a, "batch_size"), covariate(b, "batch_size")
    if one is None or other is None or math.isclose(one, other, rel_tol=_BATCH_TOLERANCE):
        return None
    return Reason("different_batches", a=f"{one:.4g}", b=f"{other:.4g}")


def _grid_caution(a: ConfigurationAccount, b: ConfigurationAccount) -> str | None:
    one, other = (_grids(each.provenance["co2e_g.operational"].source) for each in (a, b))
    return None if one == other else Reason("different_grids", a=one, b=other)


def _grids(source: str) -> str:
    """Without the numbers of records, which differ though grids and PUE do not, and without sources."""
    told = _PUE_INCLUDED.sub(lambda found: f" already in {'all' if found[1] == found[2] else 'some'} energies", source)
    return _bare(told).removeprefix("grid: ")


def _machine_caution(a: ConfigurationAccount, b: ConfigurationAccount, part: str) -> str | None:
    one, other = (_bare(each.provenance[f"co2e_g.embodied_{part}"].source) or "unknown" for each in (a, b))
    return None if one == other else Reason("different_machines", part=part, a=one, b=other)


def _time_caution(a: ConfigurationAccount, b: ConfigurationAccount, part: str) -> str | None:
    one, other = (sorted(set(_TIME.findall(each.provenance[f"co2e_g.embodied_{part}"].source))) for each in (a, b))
    if one == other or not one or not other:
        return None
    return Reason("different_times", part=part, a=" and ".join(one), b=" and ".join(other))


def _bare(source: str) -> str:
    """Without what stands in brackets, those in brackets too."""
    while (shorter := _INNERMOST.sub("", source)) != source:
        source = shorter
    return source


def hardware(account: ConfigurationAccount) -> tuple[str, ...]:
    """The GPU models that the records name; empty where they name none."""
    return account.hardware


def covariate(account: ConfigurationAccount, name: str) -> float | None:
    """A mean over the records (prompt_tokens, completion_tokens, batch_size, duration_s), None where not recorded."""
    value = getattr(account.workload, name)
    return None if value is None else float(value)


# In words.


def describe(comparison: Comparison, a: str = "a", b: str = "b") -> str:
    """One sentence: "a takes 38 % [25 %, 49 %] less CO2e per accepted solution than b; pass@1 is not distinguishable".

    `a` and `b` are the names to show, escaped by whoever shows them.
    """
    cost = _cost_in_words(comparison.co2e_g, a, b) + _doubt_in_words(comparison.co2e_g)
    return f"{cost}; {_pass_in_words(comparison.pass_probability, comparison.k)}"


def _doubt_in_words(ratio: Ratio) -> str:
    return (
        "" if ratio.doubt is None else f", but not distinguishable once what is uncertain of {ratio.doubt} is counted"
    )


def _cost_in_words(ratio: Ratio, a: str, b: str) -> str:
    what = "CO2e per accepted solution"
    if ratio.value is None:
        return f"{a} and {b} cannot be compared by {what} ({ratio.reason})"
    if ratio.interval is None:
        return f"{a} takes {ratio.value:.3g} times the {what} of {b} (no interval: {ratio.reason})"
    low, high = ratio.interval
    if not ratio.distinguishable:
        return f"{a} and {b} are not distinguishable by {what} (a / b: {ratio.value:.3g} [{low:.3g}, {high:.3g}])"
    if ratio.value < 1:
        less = [f"{100 * (1 - value):.3g} %" for value in (ratio.value, high, low)]
        return f"{a} takes {less[0]} [{less[1]}, {less[2]}] less {what} than {b}"
    return f"{a} takes {ratio.value:.3g} [{low:.3g}, {high:.3g}] times the {what} of {b}"


def _pass_in_words(difference: Difference, k: int) -> str:
    if difference.value_pp is None:
        return f"pass@{k} cannot be compared ({difference.reason})"
    if difference.interval_pp is None:
        return f"pass@{k} {difference.value_pp:+.1f} pp (no interval: {difference.reason})"
    low, high = difference.interval_pp
    if not difference.distinguishable:
        return f"pass@{k} is not distinguishable ({difference.value_pp:+.1f} pp [{low:+.1f}, {high:+.1f}])"
    if difference.value_pp > 0:
        return f"pass@{k} {difference.value_pp:.1f} pp [{low:.1f}, {high:.1f}] higher"
    return f"pass@{k} {-difference.value_pp:.1f} pp [{-high:.1f}, {-low:.1f}] lower"
