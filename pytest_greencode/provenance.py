"""Where the figures of an account come from: how each came to be (measured ... missing), and its sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from .model import OWN_GRID, AttemptRecord, Intensity, Machine, Method
from .pricing import Pricing, device_seconds, known

_Origin = tuple[Method, str]

_WEAKEST_LAST = list(Method)
_YEAR_S = 365 * 86400


class Provenance(Struct, frozen=True, kw_only=True):
    """How a figure came to be: the weakest method among its attempts (`methods` counts them), and the sources."""

    method: Method
    source: str
    methods: Mapping[str, int] = field(default_factory=dict)


def describe_intensity(intensity: Intensity) -> str:
    """One grid factor in words: "world 481 g/kWh (2024, Ember)", "56 g/kWh (given by the user)"."""
    if intensity.region == OWN_GRID:
        return f"{intensity.g_per_kwh:g} g/kWh (given by the user)"
    year = "" if intensity.year is None else f"{intensity.year}, "
    return f"{intensity.region} {intensity.g_per_kwh:g} g/kWh ({year}{intensity.source})"


def describe_machine(machine: Machine) -> str:
    """A machine's embodied carbon in words: "server 900 kg over 4 years, 1 of 96 threads"."""
    share = f", 1 of {machine.threads} threads" if machine.threads and machine.threads > 1 else ""
    return f"{machine.name} {machine.embodied_g / 1e3:g} kg over {machine.lifetime_s / _YEAR_S:.2g} years{share}"


def provenance(counted: Sequence[AttemptRecord], pricing: Pricing) -> dict[str, Provenance]:
    """By the figure's place in the report JSON."""
    generation = _origin(map(_generation_origin, counted))
    execution = _origin(map(_execution_origin, counted))
    harness = _origin(map(_harness_origin, counted))
    grid = _grid(counted, pricing)
    solution = _weakest((generation.method, execution.method))
    carbon = solution if solution is Method.MISSING else _weakest((solution, Method.ESTIMATED))
    made = _origin(_generation_machine_origin(record, pricing) for record in counted)
    ran = _execution_machine_origin(pricing)
    embodied = _weakest((made.method, ran[0]))
    return {
        "energy_j.generation": generation,
        "energy_j.execution": execution,
        "energy_j.harness": harness,
        "energy_j.total": Provenance(
            method=_weakest((solution, harness.method)), source="generation + execution + harness"
        ),
        "co2e_g.operational": Provenance(method=carbon, source=grid),
        "co2e_g.embodied_generation": made,
        "co2e_g.embodied_execution": Provenance(method=ran[0], source=ran[1]),
        "co2e_g.embodied": Provenance(method=embodied, source="time share of what making the machines emitted"),
        "per_accepted": Provenance(
            method=_weakest((carbon, embodied)),
            source="operational + embodied of generation and execution; the harness is apart",
        ),
    }


def _grid(counted: Sequence[AttemptRecord], pricing: Pricing) -> str:
    """The grids and PUE by which joules became grams; said once where both sites have the same."""
    factors = pricing.factors
    intensities = set(map(pricing.generation_intensity, counted)) or {factors.generation}
    generation = f"{_listed(map(describe_intensity, intensities))}; PUE {factors.generation_pue}"
    if already := sum(bool(record.generation and record.generation.pue_included) for record in counted):
        generation += f" (already in the energy of {already} of {len(counted)} records)"
    regions = (record.generation.region for record in counted if record.generation is not None)
    for region, count in sorted(Counter(r for r in regions if r in pricing.unknown_regions).items(), key=str):
        generation += f"; region {region!r} of {count} records is not known: the default grid stands for it"
    execution = f"{describe_intensity(factors.execution)}; PUE {factors.execution_pue}"
    same = generation == execution
    return f"grid: {execution}" if same else f"generation grid: {generation}; execution grid: {execution}"


def _generation_machine_origin(record: AttemptRecord, pricing: Pricing) -> _Origin:
    machine = pricing.generation_machine(record)
    reserved = device_seconds(record.generation, machine) if record.generation and machine else None
    if machine is None or reserved is None:
        return Method.MISSING, ""
    how = "recorded time" if reserved[1] is not Method.ESTIMATED else f"time from energy at {machine.power_w:g} W"
    # What a machine's making emitted is nowhere measured.
    return Method.ESTIMATED, f"{describe_machine(machine)} ({machine.source}; {how})"


def _execution_machine_origin(pricing: Pricing) -> _Origin:
    machine = pricing.factors.execution_machine
    if machine is None:
        return Method.MISSING, "no machine given"
    return Method.ESTIMATED, f"{describe_machine(machine)} ({machine.source}; wall time)"


def _origin_of(energy_j: float | None, method: Method, source: str) -> _Origin:
    if known(energy_j) is None:
        return Method.MISSING, ""
    # A number that came without a method is no more than declared.
    return (Method.DECLARED if method is Method.MISSING else method), source


def _generation_origin(record: AttemptRecord) -> _Origin:
    if (generation := record.generation) is None:
        return Method.MISSING, ""
    scope = f" ({generation.energy_scope})" if generation.energy_scope else ""
    return _origin_of(generation.energy_j, generation.energy_method, f"{generation.source or 'samples file'}{scope}")


def _execution_origin(record: AttemptRecord) -> _Origin:
    if (reading := record.reading) is None:
        return Method.MISSING, ""
    return _origin_of(reading.energy_j, reading.energy_method, reading.energy_source or "unnamed meter")


def _harness_origin(record: AttemptRecord) -> _Origin:
    if (reading := record.reading) is None:
        return Method.MISSING, ""
    return _origin_of(reading.harness_energy_j, reading.energy_method, reading.energy_source or "unnamed meter")


def _origin(origins: Iterable[_Origin]) -> Provenance:
    counts = Counter(origins)
    methods: Counter[str] = Counter()
    for (method, _), count in counts.items():
        methods[method.value] += count
    return Provenance(
        method=_weakest(method for method, _ in counts),
        source=_listed(source for _, source in counts),
        methods=dict(sorted(methods.items())),
    )


def _weakest(methods: Iterable[Method]) -> Method:
    return max(methods, key=_WEAKEST_LAST.index, default=Method.MISSING)


def _listed(names: Iterable[str], most: int = 4) -> str:
    distinct = sorted({name for name in names if name})
    more = len(distinct) - most
    return ", ".join(distinct[:most]) + (f" and {more} more" if more > 0 else "")
