"""The account of a run as values, which mirror the report JSON. None is "not known"; the reason stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from .model import Measured, Verdict
from .provenance import Provenance
from .report_account import Account as Account
from .statistics import Interval
from .uncertainty import Band

if TYPE_CHECKING:
    from .green_capacity import GreenCapacity

# With fewer tasks an interval often does not exist, as none was solved, and promises nothing for those that do; and it
# commonly spans a factor of ten and more, with 2 or 3 tasks of many thousands.
MIN_TASKS = 10


class Energy(Struct, frozen=True, kw_only=True):
    """Joules of all counted attempts; `total` includes the harness. None where any attempt's part is missing."""

    generation: float | None
    execution: float | None
    harness: float | None
    total: float | None


class Carbon(Struct, frozen=True, kw_only=True):
    """Grams CO2e of all counted attempts.

    `operational` is generation + execution, and `embodied` the sum of its two parts; `harness` (operational) stands
    apart; `total` is the sum of the three.
    """

    generation: float | None
    execution: float | None
    harness: float | None
    operational: float | None
    embodied_generation: float | None
    embodied_execution: float | None
    embodied: float | None
    total: float | None


class PerAccepted(Struct, frozen=True, kw_only=True):
    """The headline R_k at k = `attempts`: cost per accepted solution, retries included.

    `co2e_g` is `operational_g` + `embodied_g`, and the sum of `parts_g`, whose keys are PARTS. `interval` (of `co2e_g`)
    is over tasks like these; `this_benchmark` covers only the noise of sampled attempts; `systematic` is what all
    attempts have in common. `reason` says why the headline is None. With none accepted the lower bounds hold at
    `confidence`.
    """

    energy_j: float | None
    co2e_g: float | None
    operational_g: float | None
    embodied_g: float | None
    parts_g: Mapping[str, float]
    systematic: Band | None
    interval: Interval | None
    interval_reason: str | None
    this_benchmark: Interval | None
    this_benchmark_reason: str | None
    confidence: float
    attempts: int | None
    reason: str | None
    lower_bound_energy_j: float | None
    lower_bound_co2e_g: float | None


class Retry(Struct, frozen=True, kw_only=True):
    """At most k attempts: means over tasks of P_k, A_k and C_k; then R_k, its intervals in g, and kappa_k."""

    pass_probability: float
    attempts: float
    energy_j: float | None
    co2e_g: float | None
    energy_j_per_accepted: float | None
    co2e_g_per_accepted: float | None
    interval: Interval | None
    this_benchmark: Interval | None
    correctness_coefficient: float | None


class Pool(Struct, frozen=True, kw_only=True):
    """R_pool: everything spent over everything accepted, what the log itself says."""

    energy_j_per_accepted: float | None
    co2e_g_per_accepted: float | None
    reason: str | None


class Completeness(Struct, frozen=True, kw_only=True):
    """What was planned and what became of it. Missing energies are counted over the counted attempts."""

    attempts_planned: int
    attempts_finished: int
    attempts_unfinished: int
    harness_errors: int
    generation_missing: int
    execution_missing: int
    harness_missing: int
    tasks_left_out: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every planned attempt is in the headline, at its full cost."""
        return not (
            self.attempts_unfinished
            or self.harness_errors
            or self.generation_missing
            or self.execution_missing
            or self.tasks_left_out
        )


class Extraction(Struct, frozen=True, kw_only=True):
    """How many replies had to be reduced to their code, by which rule, and what was accepted either way."""

    needed: int
    accepted_as_is: int
    accepted_extracted: int
    rules: Mapping[str, int]


class CostMeans(Struct, frozen=True, kw_only=True):
    """Mean cost of a task's attempts, its accepted and its failed; None where there are none or energy is missing."""

    attempt: float | None
    accepted: float | None
    failed: float | None


class TaskRow(Struct, frozen=True, kw_only=True):
    """One task: n and c, the verdict of every planned attempt in sample order (None: not finished), and mean costs.

    `co2e_g` is `operational_g` + `embodied_g`.
    """

    task_id: str
    attempts: int
    accepted: int
    verdicts: tuple[Verdict | None, ...]
    energy_j: CostMeans
    co2e_g: CostMeans
    operational_g: CostMeans
    embodied_g: CostMeans


class GenerationLoad(Struct, frozen=True, kw_only=True):
    """What the generations were like: means over the attempts that recorded it; None where none did."""

    prompt_tokens: float | None
    completion_tokens: float | None
    batch_size: float | None
    duration_s: float | None


class ConfigurationAccount(Struct, frozen=True, kw_only=True):
    """One configuration on one suite. `settings` is the configuration's canonical JSON text.

    `hardware` are the GPU models that its generation records name.
    """

    model: str
    settings: str
    suite: str
    tasks: int
    attempts: int
    accepted: int
    pass_at: Mapping[int, float]
    energy_j: Energy
    co2e_g: Carbon
    per_accepted: PerAccepted
    retry: Mapping[int, Retry]
    pool: Pool
    waste_share: float | None
    unsolved_share: float | None
    completeness: Completeness
    provenance: Mapping[str, Provenance]
    extraction: Extraction
    chain: bool
    deterministic: bool
    flaky: int
    green_capacity: GreenCapacity | None
    workload: GenerationLoad
    hardware: tuple[str, ...]
    task_rows: tuple[TaskRow, ...]


class MeasuredRow(Struct, frozen=True, kw_only=True):
    """One program measured alone: whose it is (model, settings, sample_id), and whether it is the task's own."""

    suite: str
    task_id: str
    samples: tuple[tuple[str, str, int], ...]
    reference: bool
    measured: Measured
