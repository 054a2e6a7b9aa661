"""Zeus's log of measurement windows (`ZeusMonitor(log_file=...)`): a CSV with the GPUs' energies in J."""

from __future__ import annotations

import re

from ..model import Generation, Method
from .entries import Entry, Fields, table
from .responses import utc

READS = "start_time (s since the epoch), window_name, elapsed_time (s), gpu0_energy, gpu1_energy ... (J)"
_GPU = re.compile(r"gpu[0-9]+_energy")


def parse(text: str, path: str) -> list[Entry]:
    """An entry for each window. Raises FileFormatError."""
    return [_entry(row) for row in table(text, path, ("start_time", "window_name", "elapsed_time"))]


def _entry(row: Fields) -> Entry:
    gpus = [name for name in row.values if name and _GPU.fullmatch(name)]
    if not gpus:
        raise row.problem(None, "an energy of at least one GPU (gpu0_energy)", "none: Zeus saw no GPU")
    start = row.amount("start_time")
    return row.entry(
        Generation(
            energy_j=sum(row.required(name, "an energy in J") for name in gpus),
            energy_method=Method.MEASURED,
            energy_scope="gpu",
            source="Zeus, " + " + ".join(gpus),
            duration_s=row.amount("elapsed_time"),
            gpu_count=len(gpus),
            started_at=utc(start) if start else None,
        ),
        name=row.text("window_name"),
    )
