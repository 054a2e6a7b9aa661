"""Energy of GPUs by cumulative counters, whoever makes them: readings, windows, idle power. Needs msgspec only."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from ..model import Method
from .meters import MeteredEnergy

# How often power is read where a device has no counter of its energy, s.
SAMPLE_S = 0.1
_SHORTEST_IDLE_S = 2.0


class Device(Struct, frozen=True, kw_only=True):
    """One GPU: `energy_j` gives J since any moment, and raises what its library raises.

    `busy` tells whether it works now, None where that is not known. `sampled`: its energy is power times time, not a
    counter's. `note`: what else to know of it, such as that its counter is of several users.
    """

    label: str
    model: str
    energy_j: Callable[[], float]
    busy: Callable[[], bool | None]
    scope: str = "gpu"
    sampled: bool = False
    note: str = ""


class GpuReading(NamedTuple):
    at_s: float
    energies_j: tuple[float, ...] | None
    reason: str | None = None


class GpuMeter:
    """What `devices` used together, as a GenerationMeter. `update_s`: how often their counters are brought up to date.

    Idle power is part of every window; `measure_idle` tells how much of it that is.
    """

    def __init__(self, devices: Sequence[Device], library: str, update_s: float, close: Callable[[], None]) -> None:
        self._devices, self._update_s, self._close = tuple(devices), update_s, close
        self._lock = threading.Lock()
        self._open = True
        self.idle_w: float | None = None
        self.source = _source(library, self._devices)
        self._sampled = any(device.sampled for device in self._devices)
        self._scope = "module" if any(device.scope == "module" for device in self._devices) else "gpu"

    @property
    def gpu_model(self) -> str | None:
        models = {device.model for device in self._devices}
        return models.pop() if len(models) == 1 else None

    @property
    def gpu_count(self) -> int | None:
        return len(self._devices)

    def read(self) -> GpuReading:
        at_s = time.monotonic()
        try:
            return GpuReading(at_s, tuple(device.energy_j() for device in self._devices))
        except Exception as error:  # a library's own, of which there are dozens; a generation goes on
            return GpuReading(at_s, None, f"{type(error).__name__}: {error}")

    def between(self, start: GpuReading, end: GpuReading) -> MeteredEnergy:
        duration_s = end.at_s - start.at_s
        energy_j, reason = None, start.reason or end.reason
        if start.energies_j is not None and end.energies_j is not None:
            used = [after - before for before, after in zip(start.energies_j, end.energies_j, strict=True)]
            if min(used) < 0:
                reason = "a counter went backwards: the driver was loaded anew"
            else:
                # 0 in a window shorter than an update is right: the next window has its energy.
                energy_j = math.fsum(used)
        return MeteredEnergy(
            energy_j=energy_j,
            duration_s=duration_s,
            method=Method.ESTIMATED if self._sampled else Method.MEASURED,
            scope=self._scope,
            source=self.source,
            idle_j=None if self.idle_w is None or energy_j is None else self.idle_w * duration_s,
            relative_error=min(1.0, self._update_s / duration_s) if duration_s > 0 else 1.0,
            reason=None if energy_j is not None else reason or "a counter could not be read",
        )

    def measure_idle(self, duration_s: float = 5.0) -> float | None:
        """The devices' power while nothing runs on them, W, for all windows from now on; it takes `duration_s`.

        A model that is loaded keeps a GPU's clocks up: measure with it, and idle means waiting for requests. None, and
        nothing is changed, where a device works meanwhile or cannot be read. ValueError below 2 s.
        """
        if duration_s < _SHORTEST_IDLE_S:
            raise ValueError(f"expected at least {_SHORTEST_IDLE_S:g} s, as counters are slow; found {duration_s!r}")
        busy = self._busy()
        start = self.read()
        time.sleep(duration_s)
        window = self.between(start, self.read())
        if busy or self._busy() or window.energy_j is None:
            return None
        self.idle_w = window.energy_j / window.duration_s
        return self.idle_w

    def _busy(self) -> bool:
        return any(device.busy() for device in self._devices)

    def close(self) -> None:
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self._close()


def _source(library: str, devices: Sequence[Device]) -> str:
    parts = []
    for model in dict.fromkeys(device.model for device in devices):
        of_model = [device for device in devices if device.model == model]
        parts.append(f"{model}, GPU {', '.join(device.label for device in of_model)}")
    notes = dict.fromkeys(device.note for device in devices if device.note)
    return "; ".join([f"{library} ({'; '.join(parts)})", *notes])


class PowerSampler:
    """Energy of a device without a counter: its power, read every SAMPLE_S in a thread of its own, times time."""

    def __init__(self, power_w: Callable[[], float]) -> None:
        self._power_w = power_w
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._at_s, self._last_w, self._energy_j = time.monotonic(), power_w(), 0.0
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="greencode-gpu-power", daemon=True)
        self._thread.start()

    def energy_j(self) -> float:
        """J since it began. Raises what reading the power raised."""
        self._sample()
        with self._lock:
            if self._error is not None:
                raise self._error
            return self._energy_j

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        with self._lock:
            try:
                power_w, at_s = self._power_w(), time.monotonic()
            except Exception as error:  # told by energy_j
                self._error = error
                return
            # Trapezoids.
            self._energy_j += (self._last_w + power_w) / 2 * (at_s - self._at_s)
            self._at_s, self._last_w = at_s, power_w


def visible(variables: Sequence[str], environment: Callable[[str], str | None] = os.environ.get) -> list[str] | None:
    """The devices that this process is allowed, as the first variable that is set names them; None for all."""
    for name in variables:
        text = environment(name)
        if text is not None:
            return [part.strip() for part in text.split(",") if part.strip()]
    return None
