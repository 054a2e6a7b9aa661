"""Records of one's own: JSON lines with task_id and the fields of a sample's `generation`, flat or within it."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ..model import Generation, canonical_settings
from ..records import GenerationRecord
from ..samples import explained
from .entries import Entry, Fields, documents

READS = (
    "task_id, sample_id, model, settings, and the fields of a sample's generation (energy_j, energy_method, "
    "energy_scope, duration_s, tokens ...; also gpu_energy_j), flat or within generation; tool, tool_version, "
    "attribution; completion or solution"
)


def parse(text: str, path: str) -> list[Entry]:
    """An entry for each line. Raises FileFormatError."""
    return [_entry(line) for line in documents(text, path)]


def _entry(line: Fields) -> Entry:
    name = line.values.get("task_id")
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        raise line.problem("task_id", "a task's id", "nothing" if name is None else type(name).__name__)
    within = line.child("generation")
    generation = _generation(within or line, flat=within is None)
    whole_program = not line.has("completion") and line.has("solution")
    error = line.text("error") if not line.has("completion") and not whole_program else None
    settings = line.child("settings")
    return line.entry(
        generation,
        name=f"Mbpp/{name}" if isinstance(name, int) else name,
        sample_id=line.count("sample_id"),
        model=line.text("model"),
        settings=canonical_settings(settings.values) if settings else None,
        reply=line.text("solution" if whole_program else "completion"),
        whole_program=whole_program,
        error=error,
    )


def _generation(fields: Fields, *, flat: bool) -> Generation:
    values: dict[str, Any] = dict(fields.values)
    if "gpu_energy_j" in values:
        if values.get("energy_j") is not None:
            raise fields.problem("gpu_energy_j", "one energy, energy_j or gpu_energy_j", "both")
        if values.get("energy_scope") not in (None, "gpu"):
            raise fields.problem("energy_scope", '"gpu", as the energy is in gpu_energy_j', str(values["energy_scope"]))
        values |= {"energy_j": values.pop("gpu_energy_j"), "energy_scope": "gpu"}
    if values.get("pue") not in (None, 1, 1.0) and "pue_included" not in values:
        raise fields.problem("pue", "pue_included beside it: is the PUE in the energy already?", str(values["pue"]))
    values.setdefault("source", _source(fields))
    try:
        record = GenerationRecord.model_validate(values)
    except ValidationError as error:
        field, expected, found = explained(error.errors(include_url=False)[0])
        raise fields.problem(field, expected, found) from None
    known = set(GenerationRecord.model_fields) - {"source", "pue_included"}
    if not known & {key for key, value in values.items() if value is not None}:
        expected = "energy_j, or another field of a generation"
        raise fields.problem(None if flat else "generation", expected, "none of them")
    return record.generation()


def _source(fields: Fields) -> str | None:
    tool = " ".join(filter(None, [fields.text("tool"), fields.text("tool_version")]))
    attribution = fields.text("attribution")
    parts = [tool, f"attribution {attribution}" if attribution else ""]
    return ", ".join(filter(None, parts)) or None
