"""Joules and grams of one attempt, its operational and its embodied carbon apart (ISO/IEC 21031, SCI).

    operational_g = energy_j * PUE * I / 3.6e6                  I in gCO2e/kWh, location-based
    embodied_g    = TE * (TiR / EL) * (RR / ToR)                TE in g; time reserved / lifetime; share reserved

The time for which a generation reserves its device is `duration_s * gpu_count / batch_size`, as a batch shares the
device; where that was not recorded, the energy it used over the device's power at work. An execution reserves one
hardware thread of its machine for its wall time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from .model import J_PER_KWH, AttemptRecord, Factors, Generation, Intensity, Machine, Method

# 278 GWh. No attempt costs that; beyond it a figure is a mistake, and sums of squares might overflow.
_LARGEST_J = 1e15
# 30 years; as above.
_LARGEST_S = 1e9

PARTS = ("generation", "execution", "embodied_generation", "embodied_execution")


def known(energy_j: float | None) -> float | None:
    """The energy, or None where it is missing, not a number, or beyond belief."""
    return energy_j if energy_j is not None and abs(energy_j) <= _LARGEST_J else None


def total(values: Iterable[float | None]) -> float | None:
    """The sum, or None where any part is missing or there is none."""
    found = []
    for value in values:
        if value is None:
            return None
        found.append(value)
    return math.fsum(found) if found else None


class Cost(NamedTuple):
    """Joules and grams of one attempt by part; None where a part is not known."""

    generation_j: float | None
    execution_j: float | None
    harness_j: float | None
    generation_g: float | None
    execution_g: float | None
    harness_g: float | None
    embodied_generation_g: float | None
    embodied_execution_g: float | None

    @property
    def solution_j(self) -> float | None:
        return total((self.generation_j, self.execution_j))

    @property
    def operational_g(self) -> float | None:
        return total((self.generation_g, self.execution_g))

    @property
    def embodied_g(self) -> float | None:
        return total((self.embodied_generation_g, self.embodied_execution_g))

    @property
    def solution_g(self) -> float | None:
        return total(self.parts_g)

    @property
    def parts_g(self) -> tuple[float | None, ...]:
        """In the order of PARTS."""
        return self.generation_g, self.execution_g, self.embodied_generation_g, self.embodied_execution_g


class Pricing:
    """Prices records; remembers the grid of each region and the machine of each GPU's name.

    `unknown_regions`: those that records name and nobody knows; the factors' own grid stands in for them."""

    def __init__(
        self,
        factors: Factors,
        intensity_for: Callable[[str], Intensity | None] | None = None,
        machine_for: Callable[[str], Machine | None] | None = None,
    ) -> None:
        self.factors = factors
        self._intensity_for = intensity_for
        self._machine_for = machine_for
        self._regions: dict[str, Intensity] = {}
        self.unknown_regions: set[str] = set()
        self._machines: dict[str, Machine | None] = {}
        for intensity in (factors.generation, factors.execution):
            _check_intensity(intensity)
        for pue in (factors.generation_pue, factors.execution_pue):
            if not 1 <= pue < math.inf:
                raise ValueError(f"PUE must be at least 1 and finite, found {pue!r}")
        self._execution_rate = factors.execution_pue * factors.execution.g_per_kwh / J_PER_KWH
        self._execution_embodied_g_per_s = _g_per_s(factors.execution_machine)

    def generation_intensity(self, record: AttemptRecord) -> Intensity:
        """The grid of the generation's own region, else that of the factors."""
        region = record.generation.region if record.generation else None
        if region is None or self._intensity_for is None:
            return self.factors.generation
        if region not in self._regions:
            known = self._intensity_for(region)
            intensity = known or self.factors.generation
            _check_intensity(intensity)
            if known is None:
                self.unknown_regions.add(region)
            self._regions[region] = intensity
        return self._regions[region]

    def generation_machine(self, record: AttemptRecord) -> Machine | None:
        """The device that the record names, else that of the factors."""
        name = record.generation.gpu_model if record.generation else None
        if name is None or self._machine_for is None:
            return self.factors.generation_machine
        if name not in self._machines:
            self._machines[name] = self._machine_for(name) or self.factors.generation_machine
        return self._machines[name]

    def execution_g(self, energy_j: float) -> float:
        """Operational grams of energy used at the test site."""
        return energy_j * self._execution_rate

    def execution_embodied_g(self, wall_s: float) -> float | None:
        """Embodied grams of one hardware thread of the test machine for so long; None without a machine."""
        rate = self._execution_embodied_g_per_s
        return None if rate is None else wall_s * rate

    def price(self, record: AttemptRecord) -> Cost:
        generation, reading = record.generation, record.reading
        generation_j = known(generation.energy_j) if generation else None
        execution_j = known(reading.energy_j) if reading else None
        harness_j = known(reading.harness_energy_j) if reading else None
        pue = 1.0 if generation and generation.pue_included else self.factors.generation_pue
        rate = pue * self.generation_intensity(record).g_per_kwh / J_PER_KWH
        machine = self.generation_machine(record)
        reserved = device_seconds(generation, machine) if generation and machine else None
        used_s = reading.wall_s if reading and 0 <= reading.wall_s <= _LARGEST_S else None
        return Cost(
            generation_j,
            execution_j,
            harness_j,
            None if generation_j is None else generation_j * rate,
            None if execution_j is None else self.execution_g(execution_j),
            None if harness_j is None else self.execution_g(harness_j),
            None if machine is None or reserved is None else reserved[0] * machine.embodied_g / machine.lifetime_s,
            None if used_s is None else self.execution_embodied_g(used_s),
        )


def device_seconds(generation: Generation, machine: Machine | None) -> tuple[float, Method] | None:
    """How long one device was reserved for a generation, s, and how that is known; None where nothing tells it.

    Recorded: duration * devices / batch size. Else estimated: energy / power at work. A duration without its batch
    size is not used, as a batch of 64 would count 64 times.
    """
    duration_s, batch_size = generation.duration_s, generation.batch_size
    if duration_s is not None and batch_size and 0 <= duration_s <= _LARGEST_S:
        return duration_s * (generation.gpu_count or 1) / batch_size, Method.ATTRIBUTED
    energy_j = known(generation.energy_j)
    if energy_j is not None and machine is not None and machine.power_w:
        return energy_j / machine.power_w, Method.ESTIMATED
    return None


def _g_per_s(machine: Machine | None) -> float | None:
    """Embodied carbon of one hardware thread's second."""
    return None if machine is None else machine.embodied_g / machine.lifetime_s / (machine.threads or 1)


def _check_intensity(intensity: Intensity) -> None:
    if not 0 <= intensity.g_per_kwh < math.inf:
        raise ValueError(f"carbon intensity must be finite and not negative, found {intensity.g_per_kwh!r} g/kWh")
