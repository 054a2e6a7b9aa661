"""What else was compared beside the configuration to take, and why each of the others was not taken."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from ..accounts import ConfigurationAccount
from ..model import Configuration
from .fronts import Selection
from .pairs import Comparison, compare
from .policy import configuration_of


class Criterion(str, enum.Enum):
    """By what one was taken."""

    NAMED = "named"
    TARGET = "target"  # the fewest grams among those that reach the target
    NEAREST = "nearest"  # none reaches it; this one comes nearest
    FEWEST = "fewest"  # the fewest grams


class WhyNot(str, enum.Enum):
    NOT_COMPARED = "not_compared"
    BELOW_TARGET = "below_target"  # its pass@k is not shown to reach what is asked for
    NOT_TOLD_APART = "not_told_apart"  # in grams; it may as well be taken
    MORE = "more"
    MORE_FOR_QUALITY = "more_for_quality"  # more grams, and a higher pass@k
    LESS_AND_WORSE = "less_and_worse"  # fewer grams, and a lower pass@k
    LESS = "less"  # fewer grams, but another was asked for
    NO_INTERVAL = "no_interval"


class Alternative(Struct, frozen=True, kw_only=True):
    """`comparison` is of it (a) beside the one that is taken (b). `reason` says why it was not compared, or only so."""

    configuration: Configuration
    comparison: Comparison
    why: WhyNot
    reason: str | None


class Taken(Struct, frozen=True, kw_only=True):
    """The configuration to take, by `criterion`, and the others in their order."""

    configuration: Configuration
    criterion: Criterion
    alternatives: tuple[Alternative, ...]


def taken(
    accounts: Sequence[ConfigurationAccount],
    k: int,
    *,
    named: Configuration | None = None,
    selection: Selection | None = None,
    unusable: Mapping[Configuration, str],
) -> Taken | None:
    """Which of the configurations of one suite to take, cheapest first in `accounts`; None where none can be judged.

    `named`: asked for by name; else what `selection` found; else the first that is not in `unusable`.
    """
    known = {configuration_of(account): account for account in accounts}
    criterion, one = _choice(known, named, selection, unusable)
    if one is None:
        return None
    reached = None if selection is None else {each.configuration: each.meets for each in selection.candidates}
    found = []
    for configuration, account in known.items():
        if configuration == one:
            continue
        comparison = compare(account, known[one], k)
        why, reason = _why_not(comparison, configuration, reached, unusable)
        found.append(Alternative(configuration=configuration, comparison=comparison, why=why, reason=reason))
    return Taken(configuration=one, criterion=criterion, alternatives=tuple(found))


def _choice(
    known: Iterable[Configuration],
    named: Configuration | None,
    selection: Selection | None,
    unusable: Mapping[Configuration, str],
) -> tuple[Criterion, Configuration | None]:
    if named is not None and named in known:
        return Criterion.NAMED, named
    if selection is not None:
        if selection.chosen is not None:
            return Criterion.TARGET, selection.chosen.configuration
        return Criterion.NEAREST, None if selection.nearest is None else selection.nearest.configuration
    return Criterion.FEWEST, next((each for each in known if each not in unusable), None)


def _why_not(
    comparison: Comparison,
    configuration: Configuration,
    reached: Mapping[Configuration, bool] | None,
    unusable: Mapping[Configuration, str],
) -> tuple[WhyNot, str | None]:
    ratio, quality = comparison.co2e_g, comparison.pass_probability
    if configuration in unusable or ratio.value is None:
        return WhyNot.NOT_COMPARED, unusable.get(configuration) or ratio.reason
    if reached is not None and not reached.get(configuration, False):
        return WhyNot.BELOW_TARGET, None
    if ratio.distinguishable is None:
        return WhyNot.NO_INTERVAL, ratio.reason
    if not ratio.distinguishable:
        return WhyNot.NOT_TOLD_APART, None
    points = (quality.value_pp or 0.0) if quality.distinguishable else 0.0
    if ratio.value > 1:
        return (WhyNot.MORE_FOR_QUALITY if points > 0 else WhyNot.MORE), None
    return (WhyNot.LESS_AND_WORSE if points < 0 else WhyNot.LESS), None
