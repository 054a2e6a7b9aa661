"""Measures known work with one tool, as the tool's own documentation says; runs in that tool's environment.

    python energy_probe.py TOOL CPU

Each answer has what the tool read, in uJ, and the truth between its begin and its end, so that what lies between the
truth's edges and the tool's is the tool's error.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from rapl.load import serve, spin
from rapl.machine import Truth

# What a block of code used: of the packages, and of the memory; uJ, None where the tool gives nothing.
Found = dict[str, float | None]


class Meter:
    """A block is measured by `with meter.block() as found`; `found` is filled at its end."""

    def block(self) -> contextlib.AbstractContextManager[Found]:
        raise NotImplementedError


class Nothing(Meter):
    @contextlib.contextmanager
    def block(self) -> Iterator[Found]:
        yield {}


class Greencode(Meter):
    """Our counters read at both edges: the whole machine, as the others give it."""

    def __init__(self) -> None:
        from pytest_greencode.meters.choice import open_counters

        self.counters = open_counters("powercap")
        self.counters.__enter__()

    @contextlib.contextmanager
    def block(self) -> Iterator[Found]:
        found: Found = {}
        start = self.counters.read()
        yield found
        window = self.counters.between(start, self.counters.read())
        found.update(package_uj=window.package_uj, dram_uj=window.dram_uj)


class PyRapl(Meter):
    def __init__(self) -> None:
        import pyRAPL

        pyRAPL.setup()
        self.measurement = pyRAPL.Measurement

    @contextlib.contextmanager
    def block(self) -> Iterator[Found]:
        found: Found = {}
        measurement = self.measurement("work")
        measurement.begin()
        yield found
        measurement.end()
        package, dram = measurement.result.pkg, measurement.result.dram
        found.update(package_uj=package and sum(package), dram_uj=dram and sum(dram))


class PyJoules(Meter):
    def __init__(self) -> None:
        from pyJoules.energy_meter import EnergyContext
        from pyJoules.handler import EnergyHandler

        class Keep(EnergyHandler):  # type: ignore[misc]
            def process(self, trace: Any) -> None:
                self.energy: Mapping[str, float] = next(iter(trace)).energy

        self.handler, self.context = Keep(), EnergyContext

    @contextlib.contextmanager
    def block(self) -> Iterator[Found]:
        found: Found = {}
        with self.context(handler=self.handler):
            yield found
        for kind in ("package", "dram"):
            values = [uj for name, uj in self.handler.energy.items() if name.startswith(kind)]
            found[f"{kind}_uj"] = sum(values) if values else None


class CodeCarbon(Meter):
    """Packages and memory are one figure, and only where memory is asked for with RAPL_INCLUDE_DRAM."""

    def __init__(self) -> None:
        os.chdir(tempfile.mkdtemp())  # it writes emissions.csv, and looks for settings
        from codecarbon import OfflineEmissionsTracker

        self.tracker = OfflineEmissionsTracker
        self.dram = "RAPL_INCLUDE_DRAM" in os.environ

    @contextlib.contextmanager
    def block(self) -> Iterator[Found]:
        found: Found = {}
        with self.tracker(country_iso_code="FRA", log_level="error", rapl_include_dram=self.dram) as tracker:
            yield found
        uj = tracker.final_emissions_data.cpu_energy * 3.6e12
        found.update(package_uj=uj, dram_uj=0.0 if self.dram else None)


class Zeus(Meter):
    def __init__(self) -> None:
        from zeus.monitor import ZeusMonitor

        self.monitor = ZeusMonitor(gpu_indices=[])

    @contextlib.contextmanager
    def block(self) -> Iterator[Found]:
        found: Found = {}
        self.monitor.begin_window("work")
        yield found
        result = self.monitor.end_window("work")
        for kind, values in (("package", result.cpu_energy), ("dram", result.dram_energy)):
            found[f"{kind}_uj"] = sum(values.values()) * 1e6 if values else None


METERS: Mapping[str, Callable[[], Meter]] = {
    "none": Nothing,
    "greencode": Greencode,
    "pyRAPL": PyRapl,
    "pyJoules": PyJoules,
    "codecarbon": CodeCarbon,
    "zeus": Zeus,
}


def settle(truth: Truth, busy_cpus: float = 0.2, timeout_s: float = 30.0) -> None:
    """Wait until the processes that a tool has started are up."""
    deadline_s, after = time.monotonic() + timeout_s, truth.read()
    while time.monotonic() < deadline_s:
        before = after
        time.sleep(0.5)
        after = truth.read()
        if after.busy_s - before.busy_s < busy_cpus * (after.at_s - before.at_s):
            return


def main() -> None:
    tool, cpu = sys.argv[1:]
    meter, truth = METERS[tool](), Truth.load(os.environ["RAPL_TRUTH"])
    # The first time it may start processes, look for hardware, compile.
    with meter.block():
        pass
    settle(truth)

    def measure(cpu_s: float) -> dict[str, Any]:
        """One block; of 0 s: what it costs to measure nothing."""
        wall_s, own_s = time.perf_counter(), time.process_time()
        if not cpu_s:
            with meter.block():
                pass
            return {"wall_s": time.perf_counter() - wall_s, "cpu_s": time.process_time() - own_s}
        with meter.block() as found:
            spin(0.0)  # CPU time up to now
            before = truth.read()
            used_s = spin(cpu_s)["cpu_s"]
            after = truth.read()
        return {
            **found,
            "true_package_uj": after.package_uj - before.package_uj,
            "true_dram_uj": after.dram_uj - before.dram_uj,
            "caused_uj": truth.machine.busy_w * used_s * 1e6,
        }

    serve(int(cpu), measure)


if __name__ == "__main__":
    main()
