"""Accounts of real verdicts and real joules per request, made without running anything."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

from builders import attempt, reading

from pytest_greencode.model import AttemptRecord, Method, Verdict

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GREENCODE_DATA") or ROOT.parent / "shared" / "data")
if not DATA.exists():
    DATA = ROOT.parents[1] / "shared" / "data"


def records(
    verdicts: Path, model: str, generation_j: float | None, source: str = "", **settings: object
) -> Iterator[AttemptRecord]:
    """The attempts of a file `row,task_id,sample_idx,passed,result`; `generation_j` is the mean joules per request."""
    with verdicts.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            accepted, result = row["passed"] == "1", row["result"]
            verdict = Verdict.ACCEPTED if accepted else Verdict.TIMEOUT if result == "timed out" else Verdict.REJECTED
            task = int(row["task_id"].split("/")[1])
            cpu_s = 3.0 if verdict is Verdict.TIMEOUT else 0.02 + 0.001 * (task % 37)
            declared = {
                "energy_j": generation_j,
                "energy_method": Method.DECLARED,
                "energy_scope": "gpu",
                "source": source or "declared",
            }
            yield attempt(
                row["task_id"],
                int(row["sample_idx"]),
                model=model,
                settings=settings,
                generation=None if generation_j is None else declared,
                verdict=verdict,
                path=verdicts.name,
                program_key=f"{model}/{row['row']}",
                reading=reading(
                    cpu_s=cpu_s,
                    wall_s=cpu_s,
                    peak_memory_bytes=9 << 20,
                    oracle_cpu_s=0.004,
                    harness_cpu_s=0.003,
                    energy_j=6.0 * cpu_s,
                    harness_energy_j=6.0 * 0.007,
                    energy_source="CPU power model",
                ),
            )


def example_records() -> list[AttemptRecord]:
    """The three models of examples/humaneval: verdicts of tests/data, joules as their samples declare them."""
    found: list[AttemptRecord] = []
    for verdicts in sorted((ROOT / "tests" / "data" / "verdicts").glob("*.csv")):
        model = verdicts.stem.removeprefix("inatel_").removesuffix("_n1").replace("_", "-")
        with (ROOT / "examples" / "humaneval" / f"{model}.jsonl").open(encoding="utf-8") as file:
            generation = json.loads(file.readline()).get("generation") or {}
        found += records(verdicts, model, generation.get("energy_j"), generation.get("source", ""))
    return found
