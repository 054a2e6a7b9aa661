"""What is paid once, when it is paid back, and what may be claimed of two configurations. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from ..model import Factors
from ..reasons import Reason
from .expectation import Direction, Figure, direction, unknown

if TYPE_CHECKING:
    from .assumptions import Assumptions
    from .economy import Economy


NOTHING_GIVEN = Reason("no_one_off")


class OneOffCost(Struct, frozen=True, kw_only=True):
    """What is paid once, item by item (name, gCO2e, money) and in all; a sum is None where an item's is."""

    items: tuple[tuple[str, Figure, Figure], ...]
    co2e_g: Figure
    money: Figure


def one_off(
    assumptions: Assumptions, factors: Factors, *, run_g: Figure | None = None, run_money: Figure | None = None
) -> OneOffCost:
    """The costs named in the file and, unless it has an item "benchmarking", the benchmark run's own.

    An item's grams are `co2e_g` + `energy_kwh` * I, its money `money` + `energy_kwh` * price, at the generation site.
    """
    price = assumptions.money.electricity_per_kwh.generation
    items = []
    for name, item in assumptions.one_off.items():
        grams: Figure
        paid: Figure
        if item.co2e_g is None and item.energy_kwh is None:
            grams = unknown(Reason("item_without_cost", name=name))
        else:
            grams = Figure(value=(item.co2e_g or 0.0) + (item.energy_kwh or 0.0) * factors.generation.g_per_kwh)
        if item.energy_kwh and price is None:
            paid = unknown(Reason("not_given", name="money.electricity_per_kwh"))
        elif item.money is None and item.energy_kwh is None:
            paid = unknown(Reason("not_given", name=f"one_off.{name}.money"))
        else:
            paid = Figure(value=(item.money or 0.0) + (item.energy_kwh or 0.0) * (price or 0.0))
        items.append((name, grams, paid))
    if "benchmarking" not in assumptions.one_off and (run_g is not None or run_money is not None):
        items.append(
            (Reason("this_run"), run_g or unknown(Reason("not_known")), run_money or unknown(Reason("not_known")))
        )
    return OneOffCost(
        items=tuple(items),
        co2e_g=_sum_of([(name, grams) for name, grams, _ in items]),
        money=_sum_of([(name, paid) for name, _, paid in items]),
    )


def run_cost(economies: Sequence[Economy]) -> tuple[Figure, Figure]:
    """What the benchmark run itself emitted (g, with its harness) and cost (without it), all attempts of all."""
    grams, paid = [], []
    for economy in economies:
        configuration = economy.configuration
        total = configuration.co2e_g.total
        reason = configuration.pool.reason or Reason("harness_unknown")
        grams.append((configuration.model, Figure(value=total) if total is not None else unknown(reason)))
        costs = economy.money.costs
        if isinstance(costs, str):
            paid.append((configuration.model, unknown(costs)))
        else:
            spent = math.fsum(costs[row.task_id].attempt * row.attempts for row in configuration.task_rows)
            paid.append((configuration.model, Figure(value=spent)))
    return _sum_of(grams), _sum_of(paid)


def _sum_of(items: Sequence[tuple[str, Figure]]) -> Figure:
    if not items:
        return unknown(NOTHING_GIVEN)
    known = [figure.value for _, figure in items if figure.value is not None]
    if len(known) < len(items):
        name, figure = next((name, figure) for name, figure in items if figure.value is None)
        return unknown(Reason("of", name=name, reason=figure.reason or Reason("not_known")))
    return Figure(value=math.fsum(known))


class PaybackKind(str, enum.Enum):
    PAYS_BACK = "pays_back"
    NEVER = "never"
    UNCERTAIN = "uncertain"  # the interval of the saving contains 0
    UNKNOWN = "unknown"


Span = tuple[float | None, float | None]  # None is never


class Payback(Struct, frozen=True, kw_only=True):
    """N* = one-off cost / (R_old - R_new), in accepted solutions, and in months at so many of them a month.

    `saved` is the divisor, below 0 where the new one costs more. The ends of the spans belong to those of the saving:
    the best case first, None for never. `reason` says why something is not known.
    """

    kind: PaybackKind
    one_off: Figure
    saved: Figure
    solutions: float | None = None
    solutions_span: Span | None = None
    months: float | None = None
    months_span: Span | None = None
    per_month: float | None = None
    reason: str | None = None


def payback(one_off: Figure, old: Figure, ratio: Figure, per_month: Figure) -> Payback:
    """When a one-off cost is paid back by what each accepted solution saves.

    All in one unit but `ratio`, R_new / R_old with its paired interval, which also is where the interval comes from;
    `old` is R_old, and `per_month` accepted solutions in a month. Without a paired interval nobody knows whether it
    pays back: then the kind is UNKNOWN, and `solutions` still the estimate (None where the saving is not positive).
    """
    for needed in (one_off, old, ratio):
        if needed.value is None:
            saved = Figure(reason=needed.reason)
            return Payback(kind=PaybackKind.UNKNOWN, one_off=one_off, saved=saved, reason=needed.reason)
    assert one_off.value is not None
    assert old.value is not None
    assert ratio.value is not None
    cost, each = one_off.value, old.value

    def saving(share: float) -> float:
        return each * (1 - share)

    def solutions(share: float) -> float | None:
        saved = saving(share)
        return _finite(cost / saved) if saved > 0 else None

    def months(count: float | None) -> float | None:
        return _finite(count / per_month.value) if count is not None and per_month.value else None

    estimate = solutions(ratio.value)
    kinds = {
        Direction.LESS: PaybackKind.PAYS_BACK,
        Direction.MORE: PaybackKind.NEVER,
        Direction.UNCERTAIN: PaybackKind.UNCERTAIN,
        Direction.UNKNOWN: PaybackKind.UNKNOWN,
    }
    kind = kinds[direction(ratio)] if each > 0 else PaybackKind.NEVER
    span = None if ratio.interval is None else (solutions(ratio.interval[0]), solutions(ratio.interval[1]))
    ends = None if ratio.interval is None else (saving(ratio.interval[1]), saving(ratio.interval[0]))
    no_months = Reason("no_solutions") if per_month.value == 0 else per_month.reason if not per_month.value else None
    in_months = span is not None and bool(per_month.value)
    return Payback(
        kind=kind,
        one_off=one_off,
        saved=Figure(value=saving(ratio.value), interval=ends, reason=ratio.reason),
        solutions=estimate,
        solutions_span=span,
        months=months(estimate),
        months_span=(months(span[0]), months(span[1])) if in_months and span is not None else None,
        per_month=per_month.value,
        reason=ratio.reason if kind is PaybackKind.UNKNOWN else no_months,
    )


def _finite(value: float) -> float | None:
    """What takes longer than a number can tell is never."""
    return value if math.isfinite(value) else None


class ClaimKind(str, enum.Enum):
    LESS = "less"
    MORE = "more"
    UNCERTAIN = "uncertain"
    WORSE_QUALITY = "worse_quality"
    UNPROVEN_QUALITY = "unproven_quality"
    UNKNOWN = "unknown"


class Claim(Struct, frozen=True, kw_only=True):
    """ "X % less CO2e per accepted solution at equal quality", or why that may not be said.

    `saved`: 1 - R_new / R_old, a share, below 0 where the new one emits more. `quality`: difference of pass@k, new -
    old, a share. `margin`: the loss of pass@k that still counts as equal, where the user gave one. `doubt`: what is
    uncertain, and would undo LESS or MORE if it were counted.
    """

    kind: ClaimKind
    saved: Figure
    quality: Figure
    margin: float | None
    reason: str | None = None
    doubt: str | None = None


def claim(ratio: Figure, quality: Figure, margin: float | None = None, *, doubt: str | None = None) -> Claim:
    """`ratio`: R_new / R_old and its paired interval; `quality`: pass@k new - old and its paired interval.

    Nothing is claimed where the quality is distinguishably worse, or not compared. With a margin, the quality counts as
    equal only where the interval excludes a larger loss; without one, "not distinguishably worse" is all that is meant.
    """
    saved = Figure(reason=ratio.reason)
    if ratio.value is not None:
        ends = None if ratio.interval is None else (1 - ratio.interval[1], 1 - ratio.interval[0])
        saved = Figure(value=1 - ratio.value, interval=ends, reason=ratio.reason)
    kind, reason = _claim_kind(ratio, quality, margin)
    doubt = doubt if kind in (ClaimKind.LESS, ClaimKind.MORE) else None
    return Claim(kind=kind, saved=saved, quality=quality, margin=margin, reason=reason, doubt=doubt)


def _claim_kind(ratio: Figure, quality: Figure, margin: float | None) -> tuple[ClaimKind, str | None]:
    if ratio.value is None or ratio.interval is None:
        return ClaimKind.UNKNOWN, ratio.reason or Reason("no_ratio_interval")
    if quality.interval is None:
        return ClaimKind.UNKNOWN, quality.reason or Reason("quality_not_compared")
    if quality.interval[1] < 0:
        return ClaimKind.WORSE_QUALITY, None
    if margin is not None and quality.interval[0] < -margin:
        return ClaimKind.UNPROVEN_QUALITY, None
    return ClaimKind(direction(ratio).value), None
