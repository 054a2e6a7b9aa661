"""CodeCarbon's CSV: `emissions.csv`, a row for each run, and `emissions_*_RUN.csv`, a row for each task of a run."""

from __future__ import annotations

from ..model import Generation, Method
from .entries import J_PER_KWH, Entry, Fields, short, table

READS = (
    "duration (s), gpu_energy (kWh), or with cpu_energy and ram_energy where there is no GPU or with --scope all; "
    "task_name, run_id, gpu_model, gpu_count, country_iso_code, pue, codecarbon_version. Not emissions: the grid is "
    "chosen later"
)
_COLUMNS = ("run_id", "duration", "cpu_energy", "gpu_energy", "ram_energy", "energy_consumed")


def parse(text: str, path: str, *, scope: str = "gpu") -> list[Entry]:
    """`scope` "gpu" takes the GPUs alone where there are any, "all" also CPU and memory. Raises FileFormatError."""
    rows = table(text, path, _COLUMNS)
    first: dict[str, Fields] = {}
    for row in rows:
        run = row.text("run_id") or ""
        earlier = first.setdefault(run, row)
        # With task_name each row is a difference; without it a run's later rows contain the earlier ones.
        if earlier is not row and "task_name" not in row.values and earlier.values != row.values:
            raise row.problem(
                "run_id",
                "one row a run, its last",
                f"the run of line {earlier.line} again, {short(run)}: CodeCarbon's rows of a run are totals so far, "
                "they run on across flush()",
            )
    return [_entry(row, scope) for row in rows]


def _entry(row: Fields, scope: str) -> Entry:
    gpus = row.count("gpu_count")
    gpu, cpu, memory = (row.required(f"{part}_energy") for part in ("gpu", "cpu", "ram"))
    pue = row.amount("pue")
    version = row.text("codecarbon_version")
    tool = f"CodeCarbon {version}" if version else "CodeCarbon"
    gpu_alone = scope == "gpu" and bool(gpus or gpu)
    # The GPUs' is from their counters; the memory's is always a model, and the CPU's most of the time: no column tells.
    return row.entry(
        Generation(
            energy_j=(gpu if gpu_alone else gpu + cpu + memory) * J_PER_KWH,
            energy_method=Method.MEASURED if gpu_alone else Method.ESTIMATED,
            energy_scope="gpu" if gpu_alone else "gpu+cpu+memory" if gpus or gpu else "cpu+memory",
            source=f"{tool}, {'gpu_energy' if gpu_alone else 'cpu_energy + gpu_energy + ram_energy'}",
            duration_s=row.amount("duration"),
            gpu_model=row.text("gpu_model"),
            gpu_count=gpus or None,
            pue_included=pue is not None and pue != 1,
            region=row.text("country_iso_code"),
        ),
        name=row.text("task_name"),
    )
