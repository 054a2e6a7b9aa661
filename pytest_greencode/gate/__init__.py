"""Whether a run may pass: rules on named quantities, absolute or against a baseline, decided by intervals.

Pure functions on values; what a run or a baseline has is made into `Subject`s by `subjects`. Why decisions are made in
this way: docs/explanation/gate.md.
"""

from .decisions import FALSE_ALARM, Decision, Outcome, RuleDecision, decide, decision_from
from .noise import Noise, noise
from .rules import EXIT_CODE, Field, Limit, Rule, field_named, parse_rule, parse_rules
from .subjects import LEFT_RUNNING, Quantity, Subject, subject_of, subject_of_tests
from .suites import Change

__all__ = [
    "EXIT_CODE",
    "FALSE_ALARM",
    "LEFT_RUNNING",
    "Change",
    "Decision",
    "Field",
    "Limit",
    "Noise",
    "Outcome",
    "Quantity",
    "Rule",
    "RuleDecision",
    "Subject",
    "decide",
    "decision_from",
    "field_named",
    "noise",
    "parse_rule",
    "parse_rules",
    "subject_of",
    "subject_of_tests",
]
