"""TensorRT-LLM's `/energy_metrics`: readings of one counter of all its GPUs, in J since the server started.

Two readings say what was used between them, so a file has one more reading than requests: the first before them, and
one after each, with the key `task_id` (and `sample_id`) of the request before it. Without these keys the readings are
one run's.
"""

from __future__ import annotations

from ..model import Generation, Method
from .entries import Entry, Fields, documents

READS = "total_energy_j (a counter in J), query_time (s, of the server's clock); task_id and sample_id beside them"


def parse(text: str, path: str) -> list[Entry]:
    """An entry for each reading after the first. Raises FileFormatError."""
    readings = documents(text, path)
    for reading in readings:
        if not reading.has("total_energy_j", "query_time"):
            raise reading.problem(None, "a reading of /energy_metrics: total_energy_j and query_time", "no such thing")
    first, *rest = readings
    if not rest:
        raise first.problem(None, "two readings or more: the counter's differences are energies", "one reading")
    if first.has("task_id"):
        raise first.problem("task_id", "a first reading from before the first request, without task_id", "a task's")
    entries = []
    for before, after in zip(readings, rest, strict=False):
        used_j = after.required("total_energy_j") - before.required("total_energy_j")
        took_s = after.required("query_time") - before.required("query_time")
        if used_j < 0 or took_s <= 0:
            raise after.problem(
                "total_energy_j" if used_j < 0 else "query_time",
                "a later reading of the same server",
                f"less than on line {before.line}: the server was started anew, or the lines are out of order",
            )
        entries.append(_entry(after, used_j, took_s))
    return entries


def _entry(reading: Fields, energy_j: float, duration_s: float) -> Entry:
    return reading.entry(
        Generation(
            energy_j=energy_j,
            energy_method=Method.MEASURED,
            energy_scope="gpu",
            source="TensorRT-LLM /energy_metrics, the server's GPUs between two readings",
            duration_s=duration_s,
        ),
        name=reading.text("task_id"),
        sample_id=reading.count("sample_id"),
    )
