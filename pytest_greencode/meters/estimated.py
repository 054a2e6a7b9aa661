"""CPU energy without a counter: CPU time times a cited power per vCPU. An estimate, and it says so."""

from __future__ import annotations

import functools
import math
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from msgspec import Struct

from ..data import rows
from ..model import Method

CPUINFO = Path("/proc/cpuinfo")

# CCF's own mean over architectures, for a processor it does not know: MIN_WATTS_AVG and MAX_WATTS_AVG in
# cloud-carbon-footprint/cloud-carbon-footprint, packages/aws/src/domain/AwsFootprintEstimationConstants.ts, commit
# 0656d55594b69d74ce35ff18019be36140beaa50 (Apache-2.0).
DEFAULT_MIN_W_PER_VCPU, DEFAULT_MAX_W_PER_VCPU = 0.74, 3.5

# Share of the TDP that an idle CPU draws, in codecarbon's load model P = TDP * (0.1 + 0.9 * load^3) (3.3.2, MIT).
TDP_IDLE_SHARE = 0.1

# CCF states no error; up to 40 % was seen for a model of this kind against meters (arXiv 2509.22092), and a container's
# share of CPU time is not its share of power.
RELATIVE_ERROR = 0.5
# Wide enough for every row of CCF's table but the oldest, Sandy Bridge.
RELATIVE_ERROR_UNKNOWN_CPU = 1.0

# Server models of Intel's family 6: Linux, arch/x86/include/asm/intel-family.h (names ending in _X and _D).
_INTEL_SERVERS = {
    0x2D: "Sandy Bridge",
    0x3E: "Ivy Bridge",
    0x3F: "Haswell",
    0x4F: "Broadwell",
    0x56: "Broadwell",
    0x6A: "Ice Lake",
    0x6C: "Ice Lake",
    0x8F: "Sapphire Rapids",
    0xCF: "Emerald Rapids",
    0xAD: "Granite Rapids",
    0xAE: "Granite Rapids",
}


class EstimatedMeter(Struct, frozen=True, kw_only=True):
    """Power of one vCPU (a hardware thread) of this host, and the energy that follows from it.

    Formula: P = P_min + load * (P_max - P_min) per vCPU, of Cloud Carbon Footprint (CCF), with CPU time as the load, so
    that the busy and the reserved share stay apart as they do for RAPL.

    Where the numbers come from (`basis`), the first that fits:
    "ccf"      the CPU is a server whose microarchitecture CCF lists. Its figures are a whole server's power at the wall
               over its threads (SPECpower), so they lie above what RAPL reads for the package.
    "tdp"      the model's name is in the TDP list: P_max = TDP / threads, P_min = 10 % of it. Not in a virtual machine,
               which does not know how many threads its host's package has.
    "default"  neither; CCF's mean over architectures.

    `relative_error` 0.5 means +-50 % of every energy given here.
    """

    method: ClassVar[Method] = Method.ESTIMATED

    cpu: str
    basis: str
    min_w_per_vcpu: float
    max_w_per_vcpu: float
    relative_error: float
    source: str

    @classmethod
    def of_host(cls, cpuinfo: Path = CPUINFO) -> EstimatedMeter:
        """The meter for the CPU that `cpuinfo` describes (Linux), else for the one `platform` names."""
        facts = _facts(cpuinfo)
        name = facts.get("model name") or platform.processor() or platform.machine() or "unnamed"
        numbers = (f"{key} {facts[key]}" for key in ("cpu family", "model", "stepping") if key in facts)
        cpu = ", ".join([name, *numbers])
        architecture = _architecture(facts)
        # The list is long, and needed by few.
        tdp_w, threads = (None, None) if architecture else (_tdp_w().get(_plain(name)), _threads_per_package(facts))
        if architecture:
            min_w, max_w = _ccf()[architecture]
            basis, error = "ccf", RELATIVE_ERROR
            origin = f"Cloud Carbon Footprint coefficients for {architecture} ({cpu})"
        elif tdp_w and threads:
            min_w, max_w = TDP_IDLE_SHARE * tdp_w / threads, tdp_w / threads
            basis, error = "tdp", RELATIVE_ERROR
            origin = f"TDP of {tdp_w:g} W over {threads} threads, idle at {TDP_IDLE_SHARE:.0%} (codecarbon; {cpu})"
        else:
            min_w, max_w = DEFAULT_MIN_W_PER_VCPU, DEFAULT_MAX_W_PER_VCPU
            basis, error = "default", RELATIVE_ERROR_UNKNOWN_CPU
            why = "TDP known but not the threads it is shared by" if tdp_w else "CPU model not recognised"
            origin = f"{why}: {cpu}; Cloud Carbon Footprint's mean over architectures"
        return cls(
            cpu=cpu,
            basis=basis,
            min_w_per_vcpu=min_w,
            max_w_per_vcpu=max_w,
            relative_error=error,
            source=f"{origin}: {min_w:.3g} to {max_w:.3g} W per vCPU, +-{error:.0%}",
        )

    def energy_j(self, cpu_s: float) -> float:
        """Dynamic energy, J, of `cpu_s` seconds of busy vCPU: cpu_s * (P_max - P_min).

        ValueError unless `cpu_s` is finite and >= 0.
        """
        return _amount(cpu_s) * (self.max_w_per_vcpu - self.min_w_per_vcpu)

    def describe(self) -> dict[str, str | float]:
        """The facts a run records about its meter."""
        return {
            "method": self.method.value,
            "cpu": self.cpu,
            "cpus": os.cpu_count() or 1,
            "basis": self.basis,
            "min_w_per_vcpu": self.min_w_per_vcpu,
            "max_w_per_vcpu": self.max_w_per_vcpu,
            "relative_error": self.relative_error,
            "source": self.source,
        }


def _amount(value: float) -> float:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"expected a finite amount of 0 or more, found {value!r}")
    return value


def _facts(cpuinfo: Path) -> Mapping[str, str]:
    """The first processor of a cpuinfo file, as its keys and values; empty where there is none."""
    try:
        first = cpuinfo.read_text("utf-8", errors="replace").strip().split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _number(facts: Mapping[str, str], key: str) -> int:
    """The decimal number under `key`, or -1, which matches no table."""
    text = facts.get(key, "")
    return int(text) if text.isascii() and text.isdigit() else -1


def _architecture(facts: Mapping[str, str]) -> str | None:
    """CCF's name for the CPU's microarchitecture, if it is a server that CCF lists.

    Desktop and laptop CPUs share microarchitectures with servers, not their power per thread: they go by their TDP.
    """
    vendor, name = facts.get("vendor_id"), facts.get("model name", "")
    family, model, stepping = (_number(facts, key) for key in ("cpu family", "model", "stepping"))
    if vendor == "GenuineIntel" and family == 6:
        # Steppings: Linux, tools/perf/pmu-events/arch/x86/mapfile.csv for model 0x55, intel-family.h for 0x9E.
        if model == 0x55 and stepping >= 0:
            return "Skylake" if stepping <= 4 else "Cascade Lake"
        if model == 0x9E and "Xeon" in name:
            return "Coffee Lake" if 10 <= stepping <= 13 else None
        return _INTEL_SERVERS.get(model)
    if vendor == "AuthenticAMD" and "EPYC" in name and model >= 0:
        # Zen generations: Linux, tools/perf/pmu-events/arch/x86/mapfile.csv.
        if family == 23:
            return "EPYC 1st Gen" if model <= 0x2F else "EPYC 2nd Gen"
        if family == 25:
            return "EPYC 3rd Gen" if model >> 4 in (0x0, 0x2, 0x4, 0x5) else "EPYC 4th Gen"
    return None


def _threads_per_package(facts: Mapping[str, str]) -> int | None:
    """Hardware threads of one package, None where that cannot be known."""
    threads = _number(facts, "siblings")
    return threads if threads > 0 and "hypervisor" not in facts.get("flags", "").split() else None


@functools.cache
def _ccf() -> Mapping[str, tuple[float, float]]:
    return {
        row["architecture"]: (float(row["min_w_per_vcpu"]), float(row["max_w_per_vcpu"]))
        for row in rows("cpu_power_ccf.csv")
    }


@functools.cache
def _tdp_w() -> Mapping[str, float]:
    return {_plain(row["model"]): float(row["tdp_w"]) for row in rows("cpu_tdp.csv")}


def _plain(name: str) -> str:
    """A CPU's name without the decoration that kernels and product pages add, so that equal models are equal text."""
    name = re.sub(r"\((r|tm)\)|@.*| with radeon.*", " ", name.casefold())
    name = re.sub(r"\b(cpu|processor|\d+th gen|[\w]+-core)\b", " ", name)
    return " ".join(name.split())
