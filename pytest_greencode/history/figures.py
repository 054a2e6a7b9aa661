"""What a history keeps of a run: key figures of each configuration of samples, and of the ordinary tests. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from ..comparison.fronts import energy_interval, pass_interval
from ..comparison.policy import retrying
from ..conditions import conditions_of_tests, selection_of
from ..economics.economy import Economy
from ..model import Factors, canonical_settings
from ..plain import plain_values
from ..project_account import ProjectAccount

# Beyond it another unit would overflow.
_MOST = 10**30
Number = Annotated[float, Meta(ge=-_MOST, le=_MOST)]
Ends = tuple[Number, Number]
Count = Annotated[int, Meta(ge=0, le=10**12)]


class KeyFigures(Struct, frozen=True, kw_only=True):
    """One configuration in one run, at k = `attempts`. `at` is ISO 8601, `revision` the code's; None is not known.

    `interval` is that of the grams. `factors`: `factors_digest` of the grids, PUE and machines that it was accounted
    with. What has a default is not in lines of earlier versions.
    """

    at: str
    revision: str | None
    suite: str
    model: str
    settings: str
    tasks: Count
    attempts: Count | None
    pass_at_k: Number | None
    co2e_g_per_accepted: Number | None
    interval: Ends | None
    money_per_accepted: Number | None
    currency: str
    waste_share: Number | None
    reason: str | None
    factors: str | None = None
    pass_interval: Ends | None = None
    energy_j_per_accepted: Number | None = None
    energy_interval: Ends | None = None
    money_interval: Ends | None = None

    @property
    def key(self) -> tuple[object, ...]:
        """What has to be the same for two lines to be of one series: another grid is no change of the code."""
        return self.suite, self.model, self.settings, self.attempts, self.tasks, self.factors


class ProjectFigures(Struct, frozen=True, kw_only=True):
    """The ordinary tests of one run: `tests` of them ran, `passing` of these passed.

    `selection`: what pytest was told to run, "" for all, None where it was not kept. `settings`: the conditions under
    which they were measured, as JSON. `outcomes`: a digest of which tests passed and which did not.
    `startup_cpu_s`: what it took to start Python and pytest, which tells how fast the machine was. `reason`: why the
    energy, or its interval, is not known.
    """

    at: str
    revision: str | None
    selection: str | None
    settings: str
    tests: Count
    passing: Count
    outcomes: str
    startup_cpu_s: Number | None
    energy_per_passing_test_j: Number | None
    energy_interval: Ends | None
    cpu_seconds_per_passing_test: Number | None
    cpu_interval: Ends | None
    co2e_per_passing_test_g: Number | None
    co2e_interval: Ends | None
    waste_share: Number | None
    reason: str | None
    factors: str | None

    @property
    def key(self) -> tuple[object, ...]:
        """As of `KeyFigures`; tests come and go, and are no other series."""
        return "", self.model, self.settings, self.factors

    @property
    def suite(self) -> str:
        """None, in which no configuration of samples is."""
        return ""

    @property
    def model(self) -> str:
        if self.selection is None:
            return "tests, not known which"
        return f"tests of {self.selection}" if self.selection else "tests"


Line = KeyFigures | ProjectFigures


def factors_digest(factors: Factors) -> str:
    """The same 12 hexadecimal digits for the same grids, PUE and machines, whatever their sources are called."""
    sites = [
        {"g_per_kwh": site.g_per_kwh, "pue": pue, "machine": None if machine is None else plain_values(machine)}
        for site, pue, machine in (
            (factors.generation, factors.generation_pue, factors.generation_machine),
            (factors.execution, factors.execution_pue, factors.execution_machine),
        )
    ]
    for site in sites:
        if isinstance(site["machine"], dict):
            site["machine"].pop("source")
    return _digest(sites)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def key_figures(
    economies: Iterable[Economy], *, at: str, revision: str | None = None, factors: str | None = None
) -> list[KeyFigures]:
    """Of a run's samples. `factors`: the digest of its account's."""
    found = []
    for economy in economies:
        configuration = economy.configuration
        k = configuration.per_accepted.attempts
        terms = None if k is None else retrying(configuration, k)
        found.append(
            KeyFigures(
                at=at,
                revision=revision,
                suite=configuration.suite,
                model=configuration.model,
                settings=configuration.settings,
                tasks=configuration.tasks,
                attempts=k,
                pass_at_k=None if k is None else configuration.pass_at.get(k),
                co2e_g_per_accepted=economy.co2e_g.value,
                interval=economy.co2e_g.interval,
                money_per_accepted=economy.money.per_accepted.value,
                currency=economy.money.currency,
                waste_share=configuration.waste_share,
                reason=economy.co2e_g.reason,
                factors=factors,
                pass_interval=None if terms is None else pass_interval(terms),
                energy_j_per_accepted=configuration.per_accepted.energy_j,
                energy_interval=None if terms is None else energy_interval(terms),
                money_interval=economy.money.per_accepted.interval,
            )
        )
    return found


def project_figures(
    project: ProjectAccount, facts: Mapping[str, Any], *, revision: str | None = None, factors: str | None = None
) -> ProjectFigures:
    """Of a run's ordinary tests; `facts` are the run's."""
    energy, cpu, carbon = (
        project.energy_per_passing_test_j,
        project.cpu_seconds_per_passing_test,
        project.co2e_per_passing_test_g,
    )
    return ProjectFigures(
        at=str(facts.get("started_at") or ""),
        revision=revision,
        selection=selection_of(facts),
        settings=canonical_settings(conditions_of_tests(facts)),
        tests=len(project.tests),
        passing=project.passing,
        outcomes=_digest({test.test_id: test.passed for test in project.tests}),
        startup_cpu_s=project.startup_cpu_s,
        energy_per_passing_test_j=energy.value,
        energy_interval=energy.interval,
        cpu_seconds_per_passing_test=cpu.value,
        cpu_interval=cpu.interval,
        co2e_per_passing_test_g=carbon.value,
        co2e_interval=carbon.interval,
        waste_share=project.wasted_share,
        reason=energy.reason,
        factors=factors,
    )
