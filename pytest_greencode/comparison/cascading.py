"""A cheap configuration first, and a dear one where it fails: what that costs and solves.

The tests decide who goes on to the second, so the figures hold only where such tests exist before the code is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ..accounts import ConfigurationAccount
from ..model import Configuration
from ..reasons import Reason
from ..statistics import CONFIDENCE, Interval, ratio_interval
from .fronts import coordinates, dominates, undominated
from .pairs import Difference, Ratio, difference, no_difference, no_ratio, ratios, too_few
from .policy import Step, Terms, followed, left_out, on_common_ground, retrying


class Cascade(Struct, frozen=True, kw_only=True):
    """`first` at most `first_attempts` times, then `second` at most `second_attempts` times, on `tasks` of both.

    `pass_probability`, and J and g per accepted solution (g with its interval over tasks). `co2e_ratio` and
    `pass_difference` are the cascade over (minus) `second` alone. `reason` says why there is nothing.
    """

    first: Configuration
    second: Configuration
    first_attempts: int
    second_attempts: int
    tasks: int
    left_out: tuple[str, ...]
    pass_probability: float | None
    energy_j: float | None
    co2e_g: float | None
    co2e_interval: Interval | None
    co2e_ratio: Ratio
    pass_difference: Difference
    reason: str | None


class RankedCascade(Struct, frozen=True, kw_only=True):
    """A cascade among all others: `dominated_by` are the single configurations that are no worse in either pass@k or
    grams and better in one; `on_front` says that nothing, single or cascade, is so."""

    cascade: Cascade
    dominated_by: tuple[Configuration, ...]
    on_front: bool


class Cascades(Struct, frozen=True, kw_only=True):
    """Every ordered pair of configurations, the least grams per accepted solution first, all on the same tasks.

    `singles` are the configurations alone at `second_attempts`, (configuration, pass@k, grams per accepted solution),
    cheapest first. `unusable` are (configuration, attempts allowed) that cannot be compared, with reasons. A chain
    counts as logged, first or second: its number of attempts is the largest made.
    """

    first_attempts: int
    second_attempts: int
    tasks: int
    left_out: tuple[str, ...]
    ranked: tuple[RankedCascade, ...]
    singles: tuple[tuple[Configuration, float, float], ...]
    unusable: Mapping[Step, str]


def cascade(
    first: ConfigurationAccount,
    second: ConfigurationAccount,
    first_attempts: int,
    second_attempts: int,
    *,
    confidence: float = CONFIDENCE,
) -> Cascade:
    """One cascade of two configurations of one suite. ValueError for numbers of attempts below 1."""
    one, other = retrying(first, first_attempts), retrying(second, second_attempts)
    return _cascade(one, other, confidence, None if first.suite == second.suite else Reason("different_suites"))


def cascades(
    accounts: Sequence[ConfigurationAccount],
    first_attempts: int,
    second_attempts: int,
    *,
    confidence: float = CONFIDENCE,
) -> Cascades:
    """All cascades of configurations of one suite beside the configurations alone.

    ValueError for several suites and for numbers of attempts below 1.
    """
    firsts = [retrying(account, first_attempts) for account in accounts]
    seconds = [retrying(account, second_attempts) for account in accounts]
    found, unusable, left = on_common_ground([*firsts, *seconds])
    steps = {terms.steps: terms for terms in found}
    firsts = [steps[terms.steps] for terms in firsts if terms.steps in steps]
    seconds = [steps[terms.steps] for terms in seconds if terms.steps in steps]
    pairs = [(one, other) for one in firsts for other in seconds if one.configuration != other.configuration]
    policies = [followed(one, other) for one, other in pairs]
    best = {terms.steps for terms in undominated([*policies, *seconds])}
    alone = [(each.configuration, coordinates(each)) for each in seconds]
    ranked = [
        RankedCascade(
            cascade=_cascade(one, other, confidence),
            dominated_by=tuple(each for each, at in alone if dominates(at, coordinates(terms))),
            on_front=terms.steps in best,
        )
        for (one, other), terms in zip(pairs, policies, strict=True)
    ]
    singles = [(each.configuration, each.pass_probability or 0.0, each.co2e_g_per_accepted or 0.0) for each in seconds]
    return Cascades(
        first_attempts=first_attempts,
        second_attempts=second_attempts,
        tasks=len(found[0].tasks) if found else 0,
        left_out=left,
        ranked=tuple(sorted(ranked, key=_by_cost)),
        singles=tuple(sorted(singles, key=lambda single: (single[2], single[0]))),
        unusable={terms.steps[0]: why for terms, why in unusable},
    )


def _by_cost(ranked: RankedCascade) -> tuple[object, ...]:
    found = ranked.cascade
    return (found.co2e_g, -(found.pass_probability or 0), found.first, found.second)


def _cascade(one: Terms, other: Terms, confidence: float, reason: str | None = None) -> Cascade:
    terms = followed(one, other)
    reason = reason or terms.reason or terms.cost_reason
    if reason is None and terms.co2e_g_per_accepted is None:
        reason = Reason("none_accepted")
    alone = other.on(terms.tasks) if reason is None else other
    few = too_few(len(terms.tasks))
    return Cascade(
        first=one.configuration,
        second=other.configuration,
        first_attempts=one.steps[0][1],
        second_attempts=other.steps[0][1],
        tasks=0 if reason else len(terms.tasks),
        left_out=() if reason else left_out([one, other], terms.tasks),
        pass_probability=None if reason else terms.pass_probability,
        energy_j=None if reason else terms.energy_j_per_accepted,
        co2e_g=None if reason else terms.co2e_g_per_accepted,
        co2e_interval=(
            None if reason or few or not terms.co2e_g else ratio_interval(terms.co2e_g, terms.accepted, confidence)
        ),
        co2e_ratio=no_ratio(reason) if reason else ratios(terms, alone, confidence)[1],
        pass_difference=no_difference(reason) if reason else difference(terms, alone, confidence),
        reason=reason,
    )
