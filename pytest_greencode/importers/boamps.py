"""BoAmps reports (Boavizta's format for the energy of AI tasks): one task, measured by one tool or more."""

from __future__ import annotations

from ..model import Generation, Method
from .entries import J_PER_KWH, Entry, Fields, documents

READS = (
    "measures[].powerConsumption (kWh), measures[].measurementMethod, .version, .measurementDuration (s), "
    "infrastructure.components[] of type gpu"
)


def parse(text: str, path: str) -> list[Entry]:
    """An entry for each measure. Raises FileFormatError."""
    return [entry for report in documents(text, path) for entry in _entries(report)]


def _entries(report: Fields) -> list[Entry]:
    measures = report.children("measures")
    if not measures or report.child("task") is None:
        raise report.problem("measures", "a BoAmps report: task and measures", "neither, or an empty list")
    infrastructure = report.child("infrastructure")
    components = infrastructure.children("components") if infrastructure else []
    gpus = [each for each in components if (each.text("componentType") or "").casefold() == "gpu"]
    counts = [each.count("nbComponent") for each in gpus]
    return [
        measure.entry(
            Generation(
                energy_j=measure.required("powerConsumption", "an energy in kWh") * J_PER_KWH,
                energy_method=Method.DECLARED,
                source=" ".join(filter(None, ["BoAmps,", measure.text("measurementMethod"), measure.text("version")])),
                duration_s=measure.amount("measurementDuration"),
                gpu_model=gpus[0].text("componentName") if len(gpus) == 1 else None,
                gpu_count=sum(filter(None, counts)) if gpus and None not in counts else None,
            )
        )
        for measure in measures
    ]
