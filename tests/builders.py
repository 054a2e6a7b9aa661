"""The values that tests of the account, of comparisons and of reports are about: one way to make each."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema

from pytest_greencode.ledger import Finished, Ledger, Started
from pytest_greencode.model import (
    J_PER_KWH,
    AttemptRecord,
    Configuration,
    Factors,
    Generation,
    Intensity,
    Machine,
    Method,
    Reading,
    Sample,
    Verdict,
    canonical_settings,
)

A, R = Verdict.ACCEPTED, Verdict.REJECTED
GRID = Intensity(g_per_kwh=473.01, region="WOR", year=2024, source="Our World in Data / Ember", licence="CC-BY-4.0")
YEAR_S = 365 * 86400.0


def grid(g_per_kwh: float, region: str = "X") -> Intensity:
    return Intensity(g_per_kwh=g_per_kwh, region=region, year=2024, source="test")


def machine(name: str = "server", kg: float = 900.0, **changes: Any) -> Machine:
    values = {
        "name": name,
        "embodied_g": kg * 1e3,
        "embodied_low_g": kg * 500,
        "embodied_high_g": kg * 2e3,
        "lifetime_s": 4 * YEAR_S,
        "lifetime_low_s": 3 * YEAR_S,
        "lifetime_high_s": 6 * YEAR_S,
        "source": "test",
    }
    return Machine(**{**values, **changes})


def real_factors(intensity: Intensity = GRID, **changes: Any) -> Factors:
    """A GPU and a server as they are; both sites on one grid."""
    gpu = machine("H100", 1019.5, power_w=700.0)
    values = {"generation_machine": gpu, "execution_machine": machine(threads=96), **changes}
    return Factors(generation=intensity, execution=intensity, **values)


def weightless_factors(intensity: Intensity) -> Factors:
    """Machines that cost nothing to make, so that grams are those of energy."""
    free = machine(kg=0.0, power_w=1.0)
    return Factors(generation=intensity, execution=intensity, generation_machine=free, execution_machine=free)


FACTORS = real_factors(generation_pue=1.2)
# One joule is one gram, so that sums can be read.
UNIT_FACTORS = weightless_factors(grid(J_PER_KWH, "unit"))

_NONE: Mapping[str, Any] = MappingProxyType({})


def reading(**changes: Any) -> Reading:
    values = {
        "cpu_s": 0.1,
        "wall_s": 0.125,
        "peak_memory_bytes": None,
        "oracle_cpu_s": 0.0,
        "harness_cpu_s": 0.0,
        "energy_j": 0.5,
        "harness_energy_j": 0.1,
        "energy_method": Method.ESTIMATED,
        "energy_source": "cpu-tdp",
    }
    return Reading(**{**values, **changes})


def attempt(
    task_id: str = "HumanEval/0",
    sample_id: int = 0,
    *,
    accepted: bool = True,
    model: str = "model",
    settings: Mapping[str, Any] = _NONE,
    generation: Mapping[str, Any] | Generation | None = _NONE,
    energy_j: float | None = 0.5,
    **changes: Any,
) -> AttemptRecord:
    """One attempt that took 20 J of generation and `energy_j` of execution, unless told otherwise."""
    if isinstance(generation, Mapping):
        made = {"energy_j": 20.0, "energy_method": Method.MEASURED, "source": "nvml", **generation}
        generation = Generation(**made)
    values = {
        "suite": "humaneval",
        "task_id": task_id,
        "configuration": Configuration(model=model, settings=canonical_settings(settings)),
        "sample_id": sample_id,
        "path": "samples.jsonl",
        "program_key": f"{model}/{task_id}/{sample_id}",
        "generation": generation,
        "verdict": A if accepted else R,
        "reading": reading(energy_j=energy_j),
    }
    return AttemptRecord(**{**values, **changes})


def fill_ledger(path: Path, run_id: str, records: Iterable[AttemptRecord], facts: Mapping[str, Any]) -> None:
    """A run of these attempts in a ledger, as if they had been made; the folder is made where it is missing."""
    ledger = Ledger(path)
    ledger.begin(run_id, str(facts["started_at"]), facts)
    for record in records:
        sample = Sample(
            task_id=record.task_id,
            configuration=record.configuration,
            sample_id=record.sample_id,
            completion="x",
            generation=record.generation,
            path=record.path,
        )
        ledger.declare(run_id, [(sample, record.suite)])
        if record.verdict is not None:
            key = record.program_key
            own = Started(program_key=key, task_id=record.task_id, extraction="as-is", attempt=(sample, record.suite))
            ledger.start(run_id, [own], 0.0)
            outcome = Finished(verdict=record.verdict, detail="", reading=record.reading)
            ledger.finish(run_id, [(key, outcome)], 1.0)
    ledger.close()


@functools.cache
def report_validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(resources.files("pytest_greencode").joinpath("data/report-1.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def valid_report(text: str) -> dict[str, Any]:
    """A JSON report, checked against its schema."""
    report: dict[str, Any] = json.loads(text)
    report_validator().validate(report)
    return report
