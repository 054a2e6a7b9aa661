"""What a rule says: FIELD[PATTERN]:LIMIT, such as `co2e_per_accepted_g:0.40` or `pass_at_1[qwen*]:-2pp`."""

from __future__ import annotations

import difflib
import enum
import math
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from ..errors import UsageProblem

# Of a session, or of `greencode check`, whose gate fails.
EXIT_CODE = 8


class Field(Struct, frozen=True, kw_only=True):
    """A quantity that can be limited: a sum over units divided by a sum over units.

    `share`: its values lie between 0 and 1. `less_is_better`: which side of a limit is the bad one. `k`: of pass_at_K.
    `of_tests`: of an ordinary test suite, and not of samples.
    """

    name: str
    unit: str
    share: bool = False
    less_is_better: bool = True
    k: int | None = None
    of_tests: bool = False


_FIELDS = {
    field.name: field
    for field in (
        Field(name="co2e_per_accepted_g", unit="g"),
        Field(name="energy_per_accepted_j", unit="J"),
        Field(name="money_per_accepted", unit=""),
        Field(name="waste_share", unit="", share=True),
        Field(name="energy_per_passing_test_j", unit="J", of_tests=True),
        Field(name="cpu_seconds_per_passing_test", unit="s", of_tests=True),
        Field(name="co2e_per_passing_test_g", unit="g", of_tests=True),
    )
}
_PASS_AT = re.compile(r"pass_at_([1-9][0-9]{0,5})")
_RULE = re.compile(r"(?P<field>[A-Za-z0-9_]+)(?:\[(?P<pattern>.*)\])?:(?P<limit>[^:\]]*)", re.DOTALL)
_LIMIT = re.compile(r"(?P<sign>[+-]?)(?P<number>[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|\.[0-9]+)\s*(?P<unit>%|pp|)")


def field_named(name: str) -> Field | None:
    if found := _PASS_AT.fullmatch(name):
        return Field(name=name, unit="", share=True, less_is_better=False, k=int(found[1]))
    return _FIELDS.get(name)


class Limit(str, enum.Enum):
    """What a rule's number is compared with: the value, its ratio to the baseline's, its difference from it."""

    VALUE = "value"
    RATIO = "ratio"
    POINTS = "points"


class Rule(Struct, frozen=True, kw_only=True):
    """`limit` is the bound of the value, of the ratio now / baseline, or of the difference in percentage points.

    `pattern`: of configurations, or of tests by their node ids; None for all. `text`: as it was written.
    """

    field: Field
    pattern: str | None
    kind: Limit
    limit: float
    text: str

    @property
    def relative(self) -> bool:
        """Whether it needs a baseline."""
        return self.kind is not Limit.VALUE

    def covers(self, names: Iterable[str]) -> bool:
        return self.pattern is None or any(
            # Node ids have brackets of their own.
            name == self.pattern or fnmatchcase(name, self.pattern)
            for name in names
        )


def parse_rules(texts: Iterable[str], *, flag: str) -> tuple[Rule, ...]:
    """All of them; a later rule for the same field and pattern replaces an earlier one. Raises UsageProblem."""
    rules = [parse_rule(text, flag=flag) for text in texts]
    return tuple({(rule.field.name, rule.pattern): rule for rule in rules}.values())


def parse_rule(text: str, *, flag: str) -> Rule:
    """Raises UsageProblem that says what was expected."""
    expected = "FIELD:LIMIT or FIELD[PATTERN]:LIMIT, such as co2e_per_accepted_g:0.40, co2e_per_accepted_g:+10%"
    found = _RULE.fullmatch(text.strip())
    if found is None:
        raise UsageProblem(f"{flag} {text!r}: expected {expected}, pass_at_1[qwen*]:-2pp")
    field = field_named(found["field"])
    if field is None:
        names = [*_FIELDS, "pass_at_1"]
        near = difflib.get_close_matches(found["field"], names, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageProblem(
            f"{flag} {text!r}: no field {found['field']}; {meant}expected one of {', '.join(_FIELDS)}, pass_at_K "
            "(K a number of attempts)"
        )
    kind, limit = _limit(found["limit"].strip(), field, f"{flag} {text!r}")
    return Rule(field=field, pattern=found["pattern"], kind=kind, limit=limit, text=text.strip())


def _limit(text: str, field: Field, where: str) -> tuple[Limit, float]:
    worse = "+" if field.less_is_better else "-"
    examples = f"a number, or {worse}10% against the baseline"
    if field.share:
        examples = f"a share such as 0.4 or 40%, or {worse}2pp or {worse}10% against the baseline"
    found = _LIMIT.fullmatch(text.lower())
    if found is None or not math.isfinite(float(found["number"])):
        raise UsageProblem(f"{where}: expected {examples}, found {text!r}")
    number = float(f"{found['sign']}{found['number']}")
    if found["unit"] == "pp":
        if not (field.share and found["sign"] and abs(number) <= 100):
            raise UsageProblem(f"{where}: percentage points are signed and of a share; expected {examples}")
        return Limit.POINTS, number
    if found["sign"]:
        if found["unit"] != "%" or number <= -100:
            raise UsageProblem(f"{where}: a sign compares with the baseline; expected {examples}")
        return Limit.RATIO, 1 + number / 100
    if found["unit"] == "%":
        if not field.share:
            raise UsageProblem(f"{where}: a percentage of what? expected {examples}")
        number /= 100
    if field.share and number > 1:
        raise UsageProblem(f"{where}: a share is at most 1; expected {examples}")
    return Limit.VALUE, number
