"""What each test of an ordinary suite cost, on either side of a comparison: of a run, or as a baseline keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec import Struct

from .conditions import conditions_of_tests, selection_of
from .project_account import ProjectAccount, Spent, Variance


class CostOfTest(NamedTuple):
    """One test with all its paid runs: CPU time and wall time in s, energy in J; None where not known.

    Variances (of the mean, with their degrees of freedom) are there where the test was repeated and passed.
    """

    passed: bool
    cpu_s: float | None
    energy_j: float | None
    wall_s: float | None
    cpu_variance: Variance | None = None
    energy_variance: Variance | None = None


class ProjectCosts(Struct, frozen=True, kw_only=True):
    """By test id, and the `background`: what tests have left running. `conditions`: under which it was measured.

    `startup_cpu_s`: what starting pytest took. `selection`: what pytest was told to run, "" for all, None if not known.
    """

    tests: Mapping[str, CostOfTest]
    background: Spent
    startup_cpu_s: float | None
    conditions: Mapping[str, str]
    run_id: str
    saved_at: str
    selection: str | None = None


def costs_of_project(project: ProjectAccount, facts: Mapping[str, Any]) -> ProjectCosts:
    found = {}
    for test in project.tests:
        cpu, energy = project.variances.get(test.test_id, (None, None))
        found[test.test_id] = CostOfTest(test.passed, test.cpu_s, test.energy_j, test.wall_s, cpu, energy)
    return ProjectCosts(
        tests=dict(sorted(found.items())),
        background=project.background,
        startup_cpu_s=project.startup_cpu_s,
        conditions=conditions_of_tests(facts),
        run_id=str(facts.get("run_id") or ""),
        saved_at=str(facts.get("started_at") or ""),
        selection=selection_of(facts),
    )


def why_incomplete(project: ProjectAccount) -> str | None:
    """Why nothing may be judged by it, and no baseline made of it."""
    if project.lost:
        count = len(project.lost)
        return f"{count} test{'s' * (count != 1)} died with their process, and what they used is not known"
    if project.not_run or project.outcomes.get("interrupted"):
        missing = project.not_run + project.outcomes.get("interrupted", 0)
        return f"{missing} of {project.selected or len(project.tests)} selected tests did not run to their end"
    return None
