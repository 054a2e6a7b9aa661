"""Records whose grams, kWh, tokens and hours can be computed in the head."""

from __future__ import annotations

from pytest_greencode.accounting import account
from pytest_greencode.economics.assumptions import parse_assumptions
from pytest_greencode.economics.economy import economy
from pytest_greencode.economics.resources import key_of, uses
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
)

A, R = Verdict.ACCEPTED, Verdict.REJECTED
GRID = Intensity(g_per_kwh=500.0, region="X", year=2024, source="test")
# Hardware that emitted nothing, so that grams are those of electricity alone.
_WEIGHTLESS = Machine(
    name="weightless",
    embodied_g=0.0,
    embodied_low_g=0.0,
    embodied_high_g=0.0,
    lifetime_s=1.0,
    lifetime_low_s=1.0,
    lifetime_high_s=1.0,
    source="test",
    power_w=1.0,
)
_MACHINES = {"generation_machine", "execution_machine"} & set(Factors.__dataclass_fields__)
FACTORS = Factors(generation=GRID, execution=GRID, **dict.fromkeys(_MACHINES, _WEIGHTLESS))


def record(task_id="t0", sample_id=0, verdict=A, model="m", generation_j=3600.0, execution_j=0.0, **changes):
    """1 Wh and so 0.5 g; 150 + 100 tokens; 7.2 s in a batch of 4, so 0.0005 device hours; 1.8 s of execution."""
    generation = {
        "energy_j": generation_j,
        "energy_method": Method.MEASURED,
        "duration_s": 7.2,
        "batch_size": 4,
        "prompt_tokens": 150,
        "completion_tokens": 100,
    }
    generation |= changes.pop("generation", {})
    values = {
        "suite": "suite",
        "task_id": task_id,
        "configuration": Configuration(model=model),
        "sample_id": sample_id,
        "path": "samples.jsonl",
        "program_key": f"{task_id}-{sample_id}",
        "generation": Generation(**generation),
        "verdict": verdict,
        "reading": Reading(
            cpu_s=0.1,
            wall_s=1.8,
            peak_memory_bytes=None,
            oracle_cpu_s=0.0,
            harness_cpu_s=0.0,
            energy_j=execution_j,
            harness_energy_j=0.0,
            energy_method=Method.MEASURED,
        ),
    }
    return AttemptRecord(**values | changes)


def records_of(tasks, model="m", **changes):
    """One task for each sequence of (joules, verdict)."""
    return [
        record(f"t{number}", position, verdict, model=model, generation_j=joules, **changes)
        for number, attempts in enumerate(tasks)
        for position, (joules, verdict) in enumerate(attempts)
    ]


def economies(records, text="", factors=FACTORS, **arguments):
    """The economy of every configuration of records, by the assumptions in TOML text."""
    records = list(records)
    assumptions = parse_assumptions(text)
    found = uses(records, factors)
    return [
        economy(configuration, found.get(key_of(configuration)), assumptions, factors)
        for configuration in account(records, factors, **arguments).configurations
    ]
