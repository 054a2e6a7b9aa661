"""The values that flow through the product, from a suite and its samples to ledger records.

All are frozen. Units stand in the names. Missing is None, never 0.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

if TYPE_CHECKING:
    from pytest_greencode.repository import Repository


class Verdict(str, enum.Enum):
    """What became of one attempt. Only `ACCEPTED` is a success; `HARNESS_ERROR` is never the model's fault."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"
    CRASHED = "crashed"
    MALFORMED = "malformed"
    HARNESS_ERROR = "harness_error"


class Method(str, enum.Enum):
    """How a figure came to be."""

    MEASURED = "measured"
    ATTRIBUTED = "attributed"
    ESTIMATED = "estimated"
    DECLARED = "declared"
    MISSING = "missing"


class Task(Struct, frozen=True, kw_only=True):
    """One problem of a suite.

    `prompt` is trusted text that stands before a completion. `tests` is the oracle's program: it is executed after
    `prelude` in a fresh namespace in which every name of `entry_points` is bound to the solution's function.
    `call` is executed last ("" where `tests` already runs by itself). `classes` are those entry points that are
    classes, `attributes` what the tests may ask of their instances. `same_process`: the tests run in the solution's
    process, where a verdict can be forged. `statement`: the problem in words, for who has to write it, where `prompt`
    does not say it already. `repository`: the task is to change one, whose own tests judge; `prompt` is then all that
    is said of it.
    """

    suite: str
    task_id: str
    prompt: str
    prelude: str
    tests: str
    call: str
    entry_points: tuple[str, ...]
    canonical_solution: str
    canonical_is_program: bool = False
    preload: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    same_process: bool = False
    timeout_s: float = 3.0
    statement: str = ""
    repository: Repository | None = None


class Suite(Struct, frozen=True, kw_only=True):
    """A set of tasks from one source; `sha256` is of the bytes it was read from."""

    name: str
    version: str
    sha256: str
    tasks: Mapping[str, Task]


class Generation(Struct, frozen=True, kw_only=True):
    """What the generator recorded about one sample (file format: design of samples, `generation`)."""

    energy_j: float | None = None
    energy_method: Method = Method.MISSING
    energy_scope: str | None = None
    source: str | None = None
    duration_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    batch_size: int | None = None
    gpu_model: str | None = None
    gpu_count: int | None = None
    flops: float | None = None
    pue_included: bool = False
    region: str | None = None
    started_at: str | None = None


_NUMBERED = re.compile(r"(mbpp|python)/([0-9]+)", re.IGNORECASE)
_SUITES = {"mbpp": "Mbpp", "python": "HumanEval"}


def canonical_task_id(task_id: str | int) -> str:
    """The id under which suites know a task: 2 and "MBPP/2" are "Mbpp/2", "Python/2" is "HumanEval/2"."""
    if isinstance(task_id, int):
        return f"Mbpp/{task_id}"
    numbered = _NUMBERED.fullmatch(task_id)
    return f"{_SUITES[numbered[1].lower()]}/{numbered[2]}" if numbered else task_id


def canonical_settings(settings: Mapping[str, Any]) -> str:
    """Settings as JSON text with sorted keys, so that equal settings are equal text."""
    return json.dumps(dict(settings), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Configuration(Struct, frozen=True, kw_only=True, order=True):
    """What is compared: a model under settings (`settings` is `canonical_settings` text)."""

    model: str
    settings: str = "{}"


class Sample(Struct, frozen=True, kw_only=True):
    """One text that a model wrote for one task.

    `completion` follows the task's prompt; `solution` is a whole program, or a repository's entry file; `patch` is a
    unified diff over a repository. Exactly one of them is not None.
    `path` and `line` say where it was read.
    """

    task_id: str
    configuration: Configuration
    sample_id: int
    completion: str | None = None
    solution: str | None = None
    patch: str | None = None
    generation: Generation | None = None
    path: str = ""
    line: int | None = None


class TestOutcome(Struct, frozen=True, kw_only=True):
    """What became of one test of a repository: "failed", "error", "missing", "skipped" ...; why, as the candidate's
    process says."""

    __test__ = False  # for whoever's pytest meets it

    test: str
    outcome: str
    message: str = ""


class TestOutcomes(Struct, frozen=True, kw_only=True):
    """The tests of one execution: how many had to pass, how many did, and the others (bounded: the first of them)."""

    __test__ = False

    expected: int
    passed: int
    others: tuple[TestOutcome, ...] = ()


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of one attempt. `cpu_s` is the solution's own CPU time; the wall limit is derived from it."""

    cpu_s: float = 3.0
    memory_bytes: int = 1 << 30
    output_bytes: int = 10 << 20


class Reading(Struct, frozen=True, kw_only=True):
    """What one execution cost, by the solution (`cpu_s`, `peak_memory_bytes`) and by the harness apart.

    `cpu_s`: CPU time of the solution and its children, net of the sandbox's own set-up.
    `oracle_cpu_s`: CPU time of the tests; `harness_cpu_s`: everything else the sandbox spent on the attempt.
    `peak_memory_bytes`: peak resident memory of the solution above what it started with.
    Energies are None where no meter gave one, and so are FLOPs where no counter did.
    """

    cpu_s: float
    wall_s: float
    peak_memory_bytes: int | None
    oracle_cpu_s: float
    harness_cpu_s: float
    energy_j: float | None = None
    harness_energy_j: float | None = None
    energy_method: Method = Method.MISSING
    energy_source: str | None = None
    flops: float | None = None


J_PER_KWH = 3.6e6
OWN_GRID = "user"  # the region and source of a figure that the user gave


class Window(Struct, frozen=True, kw_only=True):
    """A stretch of a run between two readings of the machine, over all its processes.

    `started_at` and `finished_at` are seconds since the epoch, `duration_s` is by a clock that nobody sets.
    `package_uj` and `dram_uj`: what the energy counters went on by, uJ; None without a counter, and where `invalid`
    says why it cannot be known. `idle_w`: the packages' power when nothing runs, W, None where it was not measured;
    `idle_busy_cpus`: how many CPUs the system's own processes kept busy then, whose energy is in `idle_w`.
    `busy_cpu_s`: CPU seconds of the whole machine, None where the system does not tell. `reserved_share`: the part of
    the machine's cores that the run keeps for itself, 0 to 1. `meter` names the counters.
    """

    started_at: float
    finished_at: float
    duration_s: float
    package_uj: int | None = None
    dram_uj: int | None = None
    idle_w: float | None = None
    idle_busy_cpus: float | None = None
    busy_cpu_s: float | None = None
    reserved_share: float = 0.0
    meter: str | None = None
    invalid: str | None = None


class Measured(Struct, frozen=True, kw_only=True):
    """One program measured alone, repeated: means per run above idle, J, s and bytes; None where not known.

    `low_j` and `high_j` hold the mean at `confidence`. An energy closer to 0 than `noise_floor_j` is not told from
    idling. `windows` of repeated runs were used, `runs` runs in all; `discarded` windows were not, by reason.
    `stopped_by`: "precision", "baseline" (the idle power is not known well enough for more) or "cap".
    `instructions` and `flops`: per run, by the CPU's own counters, of the solution with its start in the sandbox.
    """

    energy_j: float | None
    low_j: float | None
    high_j: float | None
    confidence: float
    noise_floor_j: float | None
    harness_energy_j: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    windows: int
    runs: int
    discarded: Mapping[str, int]
    stopped_by: str
    instructions: float | None = None
    flops: float | None = None

    @property
    def above_noise(self) -> bool:
        known = self.energy_j is not None and self.noise_floor_j is not None
        return known and self.energy_j >= self.noise_floor_j  # type: ignore[operator]


class Work(Struct, frozen=True, kw_only=True):
    """CPU time that this run used between two moments (seconds since the epoch): an execution, or the harness alone.

    `key` is the execution's program key; None for what no execution has to answer for: starting sandboxes, checking
    canonical solutions, the first run of what timed out, pytest itself. `kind` says which of these.
    """

    key: str | None
    started_at: float
    finished_at: float
    cpu_s: float
    harness_cpu_s: float
    kind: str | None = None


class ItemRun(Struct, frozen=True, gc=False):
    """One run of one test of an ordinary suite: what its three phases used, s of CPU time, children included.

    `attempt` counts the runs that are paid for, from 1: a flaky test that is run again has several. `repetition` is 0
    for the run that decides, and counts from 1 those that were made only to measure the test. `outcome` is None while
    it has not ended, and the phases are None where the process that measured them is lost. `work_key` is that of its
    `Work`. Energy, J, is of all three phases, None where no meter gives one.
    """

    test_id: str
    attempt: int
    repetition: int
    outcome: str | None
    started_at: float | None
    finished_at: float | None
    setup_cpu_s: float | None
    call_cpu_s: float | None
    teardown_cpu_s: float | None
    worker: str = ""
    work_key: str = ""
    energy_j: float | None = None
    energy_method: Method = Method.MISSING

    @property
    def cpu_s(self) -> float | None:
        setup_s, call_s, teardown_s = self.setup_cpu_s, self.call_cpu_s, self.teardown_cpu_s
        if setup_s is None or call_s is None or teardown_s is None:
            return None
        return setup_s + call_s + teardown_s


class Block(Struct, frozen=True, kw_only=True):
    """A named stretch within a test, s of CPU time; `energy_j` as it was known at once, None where it was not."""

    test_id: str
    name: str
    started_at: float
    finished_at: float
    cpu_s: float
    energy_j: float | None = None
    energy_method: Method = Method.MISSING


class Intensity(Struct, frozen=True, kw_only=True):
    """Carbon intensity of a grid, location-based."""

    g_per_kwh: float
    region: str
    year: int | None
    source: str
    licence: str | None = None


class Machine(Struct, frozen=True, kw_only=True):
    """What making a machine (a server, a GPU with its part of the server) emitted, and how long it serves.

    `embodied_g` is TE of ISO/IEC 21031 in gCO2e, `lifetime_s` its EL; each with the range in which sources differ.
    `power_w`: typical power at work, by which energy tells the time that was used; None where nobody knows.
    `threads`: hardware threads that share it (ToR), None for what is not shared by thread.
    """

    name: str
    embodied_g: float
    embodied_low_g: float
    embodied_high_g: float
    lifetime_s: float
    lifetime_low_s: float
    lifetime_high_s: float
    source: str
    power_w: float | None = None
    threads: int | None = None


class Factors(Struct, frozen=True, kw_only=True):
    """What turns joules into grams: the two sites' grids and their PUE, and the machines that stand there.

    `generation_machine` is for generations whose record names none. Without a machine, embodied carbon is missing.
    """

    generation: Intensity
    execution: Intensity
    generation_pue: float = 1.0
    execution_pue: float = 1.0
    generation_machine: Machine | None = None
    execution_machine: Machine | None = None


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One line of the ledger: an attempt, with its verdict and reading once it has finished.

    `verdict` is None while it has not finished (or was lost). `extraction` is "as-is" or the name of the rule that
    reduced the reply to its code.
    """

    suite: str
    task_id: str
    configuration: Configuration
    sample_id: int
    path: str
    program_key: str
    extraction: str = "as-is"
    generation: Generation | None = None
    verdict: Verdict | None = None
    detail: str = ""
    flaky: bool = False
    repeats: int = 0
    reading: Reading | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
