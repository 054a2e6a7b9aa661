"""Values that tests of the account and of its reports are about."""

from __future__ import annotations

from typing import Any

from pytest_greencode.model import (
    AttemptRecord,
    Configuration,
    Factors,
    Generation,
    Intensity,
    Machine,
    Method,
    Reading,
    Verdict,
    canonical_settings,
)

GRID = Intensity(g_per_kwh=473.01, region="WOR", year=2024, source="Our World in Data / Ember", licence="CC-BY-4.0")
YEAR_S = 365 * 86400.0


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


FACTORS = Factors(
    generation=GRID,
    execution=GRID,
    generation_pue=1.2,
    generation_machine=machine("H100", 1019.5, power_w=700.0),
    execution_machine=machine(threads=96),
)


def attempt(
    task_id: str = "HumanEval/0",
    sample_id: int = 0,
    *,
    accepted: bool = True,
    model: str = "model",
    settings: dict[str, Any] | None = None,
    generation: dict[str, Any] | None = None,
    energy_j: float | None = 0.5,
    **changes: Any,
) -> AttemptRecord:
    """One attempt that took 20 J of generation and `energy_j` of execution, unless told otherwise."""
    values = {
        "suite": "humaneval",
        "task_id": task_id,
        "configuration": Configuration(model=model, settings=canonical_settings(settings or {})),
        "sample_id": sample_id,
        "path": "samples.jsonl",
        "program_key": f"{model}/{task_id}/{sample_id}",
        "generation": Generation(
            **{"energy_j": 20.0, "energy_method": Method.MEASURED, "source": "nvml", **(generation or {})}
        ),
        "verdict": Verdict.ACCEPTED if accepted else Verdict.REJECTED,
        "reading": Reading(
            cpu_s=0.1,
            wall_s=0.125,
            peak_memory_bytes=None,
            oracle_cpu_s=0.0,
            harness_cpu_s=0.0,
            energy_j=energy_j,
            harness_energy_j=0.1,
            energy_method=Method.ESTIMATED,
            energy_source="cpu-tdp",
        ),
    }
    return AttemptRecord(**{**values, **changes})
