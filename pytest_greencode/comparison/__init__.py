"""Comparing configurations: pairs, Pareto front, factors, when to stop, cascades, selection, wrong but accepted.

Pure functions on the account. Their statistics: docs/explanation/comparison.md.
"""

from .alternatives import Alternative, Criterion, Taken, WhyNot, taken
from .cascading import Cascade, Cascades, RankedCascade, cascade, cascades
from .escapes import Escape, escape
from .factors import Effect, effects, factors_of
from .fronts import Candidate, Front, Point, Selection, front, select
from .pairs import Comparison, Difference, Ratio, Side, compare, describe
from .policy import common_attempts
from .retries import Step, Stopping, stopping
from .slopes import Slope, Slopes, slope

__all__ = [
    "Alternative",
    "Candidate",
    "Cascade",
    "Cascades",
    "Comparison",
    "Criterion",
    "Difference",
    "Effect",
    "Escape",
    "Front",
    "Point",
    "RankedCascade",
    "Ratio",
    "Selection",
    "Side",
    "Slope",
    "Slopes",
    "Step",
    "Stopping",
    "Taken",
    "WhyNot",
    "cascade",
    "cascades",
    "common_attempts",
    "compare",
    "describe",
    "effects",
    "escape",
    "factors_of",
    "front",
    "select",
    "slope",
    "stopping",
    "taken",
]
