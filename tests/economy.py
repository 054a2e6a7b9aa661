"""Records whose grams, kWh, tokens and hours can be computed in the head."""

from __future__ import annotations

from builders import A, R, attempt, grid, reading, weightless_factors

from pytest_greencode.accounting import account
from pytest_greencode.economics.assumptions import parse_assumptions
from pytest_greencode.economics.economy import economy
from pytest_greencode.economics.resources import key_of, uses
from pytest_greencode.model import Method

__all__ = ["FACTORS", "GRID", "A", "R", "economies", "record", "records_of"]

GRID = grid(500.0)
FACTORS = weightless_factors(GRID)


def record(task_id="t0", sample_id=0, verdict=A, model="m", generation_j=3600.0, execution_j=0.0, **changes):
    """1 Wh and so 0.5 g; 150 + 100 tokens; 7.2 s in a batch of 4, so 0.0005 device hours; 1.8 s of execution."""
    recorded = {
        "energy_j": generation_j,
        "source": None,
        "duration_s": 7.2,
        "batch_size": 4,
        "prompt_tokens": 150,
        "completion_tokens": 100,
    }
    values = {
        "suite": "suite",
        "reading": reading(
            wall_s=1.8, energy_j=execution_j, harness_energy_j=0.0, energy_method=Method.MEASURED, energy_source=None
        ),
        **changes,
        "generation": recorded | changes.get("generation", {}),
    }
    return attempt(task_id, sample_id, model=model, verdict=verdict, **values)


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
