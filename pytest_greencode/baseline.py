"""A baseline: what a later run is compared with. A small JSON file, a line for each task, for a review to read.

It keeps counts and mean costs, under which conditions they were measured, and the factors by which joules became grams:
these are held fixed when a later run is compared, so that another year's grid is no change of the code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pytest_greencode.plain import plain_values

from .accounts import CostMeans, TaskRow
from .conditions import told_apart
from .economics.expectation import Costs, TaskCost
from .errors import FileFormatError, LedgerError, UsageProblem
from .model import Factors, Intensity, canonical_settings
from .project_account import Spent, Variance
from .project_costs import CostOfTest, ProjectCosts
from .run_account import factors_of_run

SCHEMA = 1
DEFAULT_BASELINE = "greencode-baseline.json"
_KEY = "greencode_baseline"
_DIGITS = 9
_MOST_BYTES = 64 << 20


class Money(Struct, frozen=True, kw_only=True):
    """Expected cost of each task at k attempts, and the acceptances that it is divided by."""

    currency: str
    tasks: Costs


class BaselineConfiguration(Struct, frozen=True, kw_only=True):
    """One configuration as it was: what `comparison.policy.retrying` asks of an account.

    `conditions`, by name: CPU, meter, sandbox image, suite, limits. `samples`: a digest of the programs that ran.
    """

    suite: str
    model: str
    settings: str
    chain: bool
    attempts_allowed: int | None
    samples: str | None
    conditions: Mapping[str, str]
    task_rows: tuple[TaskRow, ...]
    money: Money | None
    run_id: str
    saved_at: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.suite, self.model, self.settings


class Baseline(Struct, frozen=True, kw_only=True):
    """`regions`: the grids that records named, as they were when it was saved. `versions`: of what saved it.

    `project`: the tests of an ordinary suite.
    """

    factors: Factors
    regions: Mapping[str, Intensity]
    versions: Mapping[str, str]
    configurations: tuple[BaselineConfiguration, ...]
    project: ProjectCosts | None = None

    def updated(self, other: Baseline) -> Baseline:
        """With the other's configurations in place of one's own, or beside them, and its tests in place of one's own.

        UsageProblem for other factors, and where tests would be lost only because others were asked for.
        """
        if grids(self.factors) != grids(other.factors):
            raise UsageProblem(
                "its grid, PUE or machines are others than the run's, and a baseline has one set of them: "
                f"{'; '.join(told_apart(grids(self.factors), grids(other.factors)))}"
            )
        ours, theirs = self.project, other.project
        if ours is not None and theirs is not None and None not in (ours.selection, theirs.selection):
            gone = {*ours.tests} - {*theirs.tests}
            if gone and ours.selection != theirs.selection:
                raise UsageProblem(
                    f"the run is of {_selected(theirs)}, the baseline of {_selected(ours)}, and {len(gone)} of its "
                    "tests would be lost; run the same tests again, then update"
                )
        merged = {each.key: each for each in (*self.configurations, *other.configurations)}
        return replace(
            other,
            regions={**self.regions, **other.regions},
            configurations=tuple(merged[key] for key in sorted(merged)),
            project=other.project or self.project,
        )


def _selected(project: ProjectCosts) -> str:
    return repr(project.selection) if project.selection else "all tests"


def grids(factors: Factors) -> dict[str, str]:
    """The factors by name, in words that are equal where they are."""
    sites = (
        ("generation", factors.generation, factors.generation_pue, factors.generation_machine),
        ("execution", factors.execution, factors.execution_pue, factors.execution_machine),
    )
    found = {}
    for site, grid, pue, made in sites:
        found[f"grid of {site}"] = f"{grid.g_per_kwh:g} g/kWh, PUE {pue:g}"
        found[f"machine of {site}"] = (
            "none" if made is None else f"{made.name} {made.embodied_g / 1e3:g} kg, 1 of {made.threads or 1}"
        )
    return found


# The file.


def written(baseline: Baseline) -> str:
    """The file's text: sorted, one line for each task and each test, numbers to nine digits."""
    head = {
        _KEY: SCHEMA,
        "versions": dict(baseline.versions),
        "factors": plain_values(baseline.factors),
        "regions": {name: plain_values(each) for name, each in sorted(baseline.regions.items())},
    }
    lines = json.dumps(head, indent=1, allow_nan=False).splitlines()[:-1]
    lines[-1] += ","
    if baseline.project is not None:
        lines += _project_lines(baseline.project)
    lines.append(' "configurations": [')
    for number, each in enumerate(baseline.configurations):
        own = {
            "suite": each.suite,
            "model": each.model,
            "settings": _settings(each.settings),
            "run": each.run_id,
            "saved_at": each.saved_at,
            "attempts_allowed": each.attempts_allowed,
            "chain": each.chain,
            "samples": each.samples,
            "conditions": dict(each.conditions),
            "currency": None if each.money is None else each.money.currency,
        }
        lines.append("  {")
        lines += [f"   {json.dumps(name)}: {json.dumps(value, allow_nan=False)}," for name, value in own.items()]
        lines.append('   "tasks": {')
        lines += _rows({row.task_id: _row(row, each.money) for row in each.task_rows}, "    ")
        lines.append("   }")
        lines.append("  }," if number + 1 < len(baseline.configurations) else "  }")
    return "\n".join([*lines, " ]", "}"]) + "\n"


def _project_lines(project: ProjectCosts) -> list[str]:
    own = {
        "run": project.run_id,
        "saved_at": project.saved_at,
        "selection": project.selection,
        "conditions": dict(project.conditions),
        "startup_cpu_s": _rounded(project.startup_cpu_s),
        "left_running": {
            "cpu_s": _rounded(project.background.cpu_s),
            "energy_j": _rounded(project.background.energy_j),
        },
    }
    lines = [' "project": {']
    lines += [f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}," for name, value in own.items()]
    lines.append('  "tests": {')
    lines += _rows({test_id: _test(cost) for test_id, cost in project.tests.items()}, "   ")
    return [*lines, "  }", " },"]


def _rows(rows: Mapping[str, Mapping[str, Any]], indent: str) -> list[str]:
    """A line for each, with commas between."""
    lines = [f"{indent}{json.dumps(name)}: {json.dumps(row, allow_nan=False)}" for name, row in rows.items()]
    return [f"{line}," for line in lines[:-1]] + lines[-1:]


def _test(cost: CostOfTest) -> dict[str, Any]:
    found: dict[str, Any] = {
        "passed": cost.passed,
        "cpu_s": _rounded(cost.cpu_s),
        "energy_j": _rounded(cost.energy_j),
        "wall_s": _rounded(cost.wall_s),
    }
    for name, variance in (("cpu_error_s", cost.cpu_variance), ("energy_error_j", cost.energy_variance)):
        if variance is not None:
            found[name] = [_rounded(math.sqrt(variance[0])), variance[1]]
    return found


def _settings(text: str) -> object:
    """As the object they are; as text where they are none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) else text


def _row(row: TaskRow, money: Money | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "attempts": row.attempts,
        "accepted": row.accepted,
        "energy_j": _pair(row.energy_j),
        "co2e_g": _pair(row.co2e_g),
    }
    if money is not None and row.task_id in money.tasks:
        cost = money.tasks[row.task_id]
        found["money"] = [_rounded(cost.cost), _rounded(cost.passed), _rounded(cost.attempt)]
    return found


def _pair(means: CostMeans) -> list[float | None] | None:
    """Mean of the accepted attempts, mean of the failed."""
    return None if means.attempt is None else [_rounded(means.accepted), _rounded(means.failed)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")


def read_baseline(path: Path, *, flag: str) -> Baseline:
    """Raises UsageProblem where it cannot be read, FileFormatError where it is none."""
    try:
        if not path.is_file():
            raise UsageProblem(f"{flag} {path}: no such file; `greencode baseline save {path}` makes it from a run")
        if path.stat().st_size > _MOST_BYTES:
            raise UsageProblem(f"{flag} {path}: larger than any baseline; expected one of `greencode baseline save`")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FileFormatError(str(path), None, None, "UTF-8", "other bytes") from None
    except OSError as error:
        raise UsageProblem(f"{flag} {path}: {error.strerror or error}; expected a file that can be read") from error
    return parse_baseline(text, path=str(path))


def parse_baseline(text: str, *, path: str) -> Baseline:
    """Raises FileFormatError that names the field."""
    try:
        found = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", None)
        raise FileFormatError(path, line, None, "JSON as `greencode baseline save` writes it", str(error)) from None
    except RecursionError:
        raise FileFormatError(path, None, None, "JSON as `greencode baseline save` writes it", "deep nesting") from None
    if not isinstance(found, dict) or _KEY not in found:
        raise FileFormatError(path, None, _KEY, "a baseline of pytest-greencode", "none")
    if found[_KEY] != SCHEMA:
        raise FileFormatError(path, None, _KEY, f"schema {SCHEMA}", f"{found[_KEY]!r}, of another version")
    reader = _Reader(path)
    configurations = [
        reader.configuration(each, f"configurations.{number}")
        for number, each in enumerate(reader.sequence(found, "configurations", ""))
    ]
    if len({each.key for each in configurations}) < len(configurations):
        raise FileFormatError(path, None, "configurations", "each configuration once", "one of them twice")
    return Baseline(
        factors=reader.factors(found),
        regions=reader.regions(found),
        versions={str(name): str(value) for name, value in reader.mapping(found, "versions", "").items()},
        configurations=tuple(configurations),
        project=None if found.get("project") is None else reader.project(found),
    )


class _Reader:
    """Takes a baseline's JSON apart; what is wrong is told by its place."""

    def __init__(self, path: str) -> None:
        self.path = path

    def wrong(self, where: str, expected: str, found: object) -> FileFormatError:
        return FileFormatError(self.path, None, where, expected, f"{found!r}"[:80])

    def mapping(self, of: Mapping[str, Any], name: str, where: str) -> Mapping[str, Any]:
        found = of.get(name)
        if not isinstance(found, dict):
            raise self.wrong(f"{where}{name}", "an object", found)
        return found

    def sequence(self, of: Mapping[str, Any], name: str, where: str) -> Sequence[Any]:
        found = of.get(name)
        if not isinstance(found, list):
            raise self.wrong(f"{where}{name}", "a list", found)
        return found

    def text(self, of: Mapping[str, Any], name: str, where: str) -> str:
        found = of.get(name)
        if not isinstance(found, str):
            raise self.wrong(f"{where}{name}", "text", found)
        return found

    def count(self, of: Mapping[str, Any], name: str, where: str) -> int:
        found = of.get(name)
        if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 10**9:
            raise self.wrong(f"{where}{name}", "a whole number from 0", found)
        return found

    def numbers(self, of: Mapping[str, Any], name: str, where: str, size: int) -> list[float | None] | None:
        found = of.get(name)
        if found is None:
            return None
        if not isinstance(found, list) or len(found) != size:
            raise self.wrong(f"{where}{name}", f"null, or a list of {size} numbers", found)
        for each in found:
            is_number = isinstance(each, (int, float)) and not isinstance(each, bool)
            if each is not None and not (is_number and abs(each) < 1e15):
                raise self.wrong(f"{where}{name}", "finite numbers", each)
        return [None if each is None else float(each) for each in found]

    def factors(self, found: Mapping[str, Any]) -> Factors:
        try:
            known = factors_of_run({"factors": self.mapping(found, "factors", "")})
        except LedgerError as error:
            raise self.wrong(
                "factors", "grids, PUE and machines as `greencode baseline save` writes them", error
            ) from None
        if known is None or not all(0 <= grid.g_per_kwh < math.inf for grid in (known.generation, known.execution)):
            raise self.wrong("factors", "grids of 0 g/kWh or more", known)
        return known

    def regions(self, found: Mapping[str, Any]) -> dict[str, Intensity]:
        names = set(Intensity.__struct_fields__)
        regions = {}
        for region, values in self.mapping(found, "regions", "").items():
            known = isinstance(values, dict) and set(values) <= names
            rate = values.get("g_per_kwh") if known else None
            if not isinstance(rate, (int, float)) or not 0 <= rate < math.inf:
                raise self.wrong(f"regions.{region}", "a grid's intensity", values)
            try:
                regions[region] = Intensity(**values)
            except TypeError as error:
                raise self.wrong(f"regions.{region}", "a grid's intensity", error) from None
        return regions

    def configuration(self, found: object, where: str) -> BaselineConfiguration:
        if not isinstance(found, dict):
            raise self.wrong(where, "an object", found)
        where += "."
        allowed = found.get("attempts_allowed")
        rows, money = [], {}
        for task_id, values in self.mapping(found, "tasks", where).items():
            row, cost = self.row(task_id, values, f"{where}tasks.{task_id}")
            rows.append(row)
            if cost is not None:
                money[task_id] = cost
        currency, samples, settings = found.get("currency"), found.get("samples"), found.get("settings")
        return BaselineConfiguration(
            suite=self.text(found, "suite", where),
            model=self.text(found, "model", where),
            settings=settings
            if isinstance(settings, str)
            else canonical_settings(self.mapping(found, "settings", where)),
            chain=found.get("chain") is True,
            attempts_allowed=None if allowed is None else max(1, self.count(found, "attempts_allowed", where)),
            samples=samples if isinstance(samples, str) else None,
            conditions={str(n): str(v) for n, v in self.mapping(found, "conditions", where).items()},
            task_rows=tuple(rows),
            money=Money(currency=currency, tasks=money) if isinstance(currency, str) else None,
            run_id=str(found.get("run") or ""),
            saved_at=str(found.get("saved_at") or ""),
        )

    def project(self, of: Mapping[str, Any]) -> ProjectCosts:
        found, where = self.mapping(of, "project", ""), "project."
        left = self.mapping(found, "left_running", where)
        return ProjectCosts(
            tests={
                test_id: self.test(values, f"{where}tests.{test_id}")
                for test_id, values in self.mapping(found, "tests", where).items()
            },
            background=Spent(
                cpu_s=self.amount(left, "cpu_s", f"{where}left_running."),
                energy_j=self.amount(left, "energy_j", f"{where}left_running."),
            ),
            startup_cpu_s=self.amount(found, "startup_cpu_s", where),
            conditions={str(n): str(v) for n, v in self.mapping(found, "conditions", where).items()},
            run_id=str(found.get("run") or ""),
            saved_at=str(found.get("saved_at") or ""),
            selection=None if found.get("selection") is None else self.text(found, "selection", where),
        )

    def test(self, found: object, where: str) -> CostOfTest:
        if not isinstance(found, dict):
            raise self.wrong(where, "an object", found)
        where += "."
        if not isinstance(found.get("passed"), bool):
            raise self.wrong(where + "passed", "true or false", found.get("passed"))
        return CostOfTest(
            found["passed"],
            self.amount(found, "cpu_s", where),
            self.amount(found, "energy_j", where),
            self.amount(found, "wall_s", where),
            self.variance(found, "cpu_error_s", where),
            self.variance(found, "energy_error_j", where),
        )

    def amount(self, of: Mapping[str, Any], name: str, where: str) -> float | None:
        found = of.get(name)
        if found is None:
            return None
        if not isinstance(found, (int, float)) or isinstance(found, bool) or not 0 <= found < 1e15:
            raise self.wrong(f"{where}{name}", "null, or a number from 0", found)
        return float(found)

    def variance(self, of: Mapping[str, Any], name: str, where: str) -> Variance | None:
        pair = self.numbers(of, name, where, 2)
        if pair is None:
            return None
        error, degrees = pair
        if error is None or error < 0 or degrees is None or degrees < 1:
            raise self.wrong(f"{where}{name}", "a standard error and its degrees of freedom, 1 or more", pair)
        return error * error, int(degrees)

    def row(self, task_id: str, found: object, where: str) -> tuple[TaskRow, TaskCost | None]:
        if not isinstance(found, dict):
            raise self.wrong(where, "an object", found)
        where += "."
        n, c = self.count(found, "attempts", where), self.count(found, "accepted", where)
        if n < 1 or c > n:
            raise self.wrong(where + "accepted", f"at most the attempts, of which there is one or more ({n})", c)
        money = self.numbers(found, "money", where, 3)
        nothing = CostMeans(attempt=None, accepted=None, failed=None)
        row = TaskRow(
            task_id=task_id,
            attempts=n,
            accepted=c,
            verdicts=(),
            energy_j=self.means(found, "energy_j", where, n, c),
            co2e_g=self.means(found, "co2e_g", where, n, c),
            operational_g=nothing,
            embodied_g=nothing,
        )
        return row, None if money is None else TaskCost(*(each or 0.0 for each in money))

    def means(self, found: Mapping[str, Any], name: str, where: str, n: int, c: int) -> CostMeans:
        pair = self.numbers(found, name, where, 2)
        if pair is None:
            return CostMeans(attempt=None, accepted=None, failed=None)
        accepted, failed = pair
        if (c and accepted is None) or (c < n and failed is None):
            raise self.wrong(where + name, "the means of the accepted and of the failed attempts", pair)
        attempt = (c * (accepted or 0.0) + (n - c) * (failed or 0.0)) / n
        return CostMeans(attempt=attempt, accepted=accepted if c else None, failed=failed if c < n else None)
