"""What of the machine decides how far a measurement can be trusted, and what to do about it.

Read from the kernel's files under `root`. What a kernel, a container or a virtual machine does not show is None, which
is not the same as switched off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from .window import machine_busy_cpu_s

# A machine less idle than this disturbs its own measurement (Green Metrics Tool checks for the same).
IDLE_LOAD_SHARE = 0.1
HOT_C = 85.0
STEAL_SHARE = 0.01

_CPU = "sys/devices/system/cpu"


class Environment(Struct, frozen=True, kw_only=True):
    """Facts of the machine at one moment; None is not known.

    `boost`: whether the CPU may exceed its base frequency. `governors`, `drivers`: of frequency scaling, all there are.
    `frequency_limited`: whether a CPU's upper limit is set below what it can do. `min_frequency_hz`,
    `max_frequency_hz`: the limits, the least and the most over CPUs.
    `smt`: whether hardware threads share cores. `load_1min`: processes running or waiting, mean of a minute.
    `steal_s`, `busy_s`: since boot, CPU seconds taken by the hypervisor, and used here. `virtual`: a virtual machine.
    `sgx`: Intel SGX is enabled, under which energy counters may be filtered; whether they are stands in a register that
    only the kernel reads (IA32_MISC_PACKAGE_CTLS).
    `throttle_events`: since boot, as often as CPUs count them, each for its core and its package: only a change means
    anything.
    `temperature_c`: the hottest package sensor.
    """

    kernel: str | None
    cpu: str | None
    microcode: str | None
    cpus: int | None
    virtual: bool | None
    boost: bool | None
    governors: tuple[str, ...] | None
    drivers: tuple[str, ...] | None
    min_frequency_hz: float | None
    max_frequency_hz: float | None
    frequency_limited: bool | None
    smt: bool | None
    load_1min: float | None
    steal_s: float | None
    busy_s: float | None
    sgx: bool | None
    throttle_events: int | None
    temperature_c: float | None


def read_environment(root: Path = Path("/")) -> Environment:
    """The facts of the machine whose /proc and /sys lie under `root`. Never raises for what is missing or malformed."""
    cpuinfo = _cpuinfo(root / "proc/cpuinfo")
    flags = cpuinfo["flags"].split() if "flags" in cpuinfo else None
    cpus = sorted((root / _CPU).glob("cpu[0-9]*"))
    limits = [_numbers(cpu / "cpufreq" / name for cpu in cpus) for name in ("scaling_min_freq", "scaling_max_freq")]
    throttled = _numbers(
        cpu / "thermal_throttle" / f"{part}_throttle_count" for cpu in cpus for part in ("core", "package")
    )
    return Environment(
        kernel=_text(root / "proc/sys/kernel/osrelease"),
        cpu=cpuinfo.get("model name"),
        microcode=cpuinfo.get("microcode"),
        cpus=len(cpus) or None,
        virtual=None if flags is None else "hypervisor" in flags,
        boost=_boost(root / _CPU),
        governors=_distinct(cpu / "cpufreq/scaling_governor" for cpu in cpus),
        drivers=_distinct(cpu / "cpufreq/scaling_driver" for cpu in cpus),
        min_frequency_hz=min(limits[0]) * 1e3 if limits[0] else None,
        max_frequency_hz=max(limits[1]) * 1e3 if limits[1] else None,
        frequency_limited=_limited(cpus),
        smt=_switch(root / _CPU / "smt/active"),
        load_1min=_load(root / "proc/loadavg"),
        steal_s=_stolen_s(root / "proc/stat"),
        busy_s=machine_busy_cpu_s(root),
        # The kernel shows the flag only where the firmware has enabled it.
        sgx=None if flags is None else "sgx" in flags,
        throttle_events=int(sum(throttled)) if throttled else None,
        temperature_c=_temperature(root / "sys/class"),
    )


class Caution(Struct, frozen=True, kw_only=True):
    """One thing to know about a measurement: what was found, why it matters, and what can be done."""

    what: str
    why: str
    remedy: str


def cautions(environment: Environment) -> list[Caution]:
    """What in the machine's state makes energies noisy or not comparable. Nothing is said of what is not known."""
    return list(_cautions(environment))


def cautions_between(before: Environment, after: Environment) -> list[Caution]:
    """What happened during a run, from the facts before and after it."""
    return list(_cautions_between(before, after))


def _cautions(environment: Environment) -> Iterator[Caution]:
    if environment.virtual:
        yield Caution(
            what="This is a virtual machine.",
            why="Its neighbours share the CPU, and energy counters, where there are any, are the host's or made up.",
            remedy="Measure on bare metal; here energies can be estimated from CPU time only.",
        )
    if environment.boost:
        yield Caution(
            what="Turbo (boost) is on.",
            why="Frequency, and with it energy per run, then depends on temperature and on what other cores do.",
            remedy="For the measurement: echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo, or "
            "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost.",
        )
    if environment.governors and environment.governors != ("performance",):
        yield Caution(
            what=f"The frequency governor is {', '.join(environment.governors)}.",
            why="It changes the frequency with the load, so that short runs are made at another one than long runs.",
            remedy="For the measurement: sudo cpupower frequency-set -g performance.",
        )
    if environment.frequency_limited:
        yield Caution(
            what="The CPU's upper frequency limit is set below what it can do.",
            why="Energies are not those of the CPU as it usually runs, and compare only under the same limit.",
            remedy="Lift it (scaling_max_freq = cpuinfo_max_freq), or report it with the results.",
        )
    if environment.smt:
        yield Caution(
            what="Hardware threads share cores (SMT).",
            why="A CPU second costs less energy beside a busy sibling than alone, so sharing by CPU time is inexact.",
            remedy="For the measurement: echo off | sudo tee /sys/devices/system/cpu/smt/control.",
        )
    load, cpus = environment.load_1min, environment.cpus
    if load is not None and cpus and load > max(IDLE_LOAD_SHARE * cpus, 0.5):
        yield Caution(
            what=f"The load was {load:g} on {cpus} CPUs.",
            why="What else runs is in the idle baseline or in the workload's energy, and it changes.",
            remedy="Stop other work, wait for the load to fall, and measure again.",
        )
    if environment.sgx:
        yield Caution(
            what="Intel SGX is enabled.",
            why="The CPU may then add noise to its energy counters against side channels; short windows suffer most.",
            remedy="Disable SGX in the firmware, or trust only what ran for many seconds.",
        )
    if environment.temperature_c is not None and environment.temperature_c >= HOT_C:
        yield Caution(
            what=f"The CPU is at {environment.temperature_c:.0f} degrees Celsius.",
            why="A hot CPU leaks more, so that its idle power is higher, and it may throttle.",
            remedy="Let it cool down, mind its fans, and leave pauses between windows.",
        )


def _cautions_between(before: Environment, after: Environment) -> Iterator[Caution]:
    throttled = _increase(before.throttle_events, after.throttle_events)
    if throttled:
        yield Caution(
            what=f"The CPU throttled {throttled:g} times during the run (as its CPUs count it).",
            why="It ran slower for its temperature, so that run times and energies are not those of a cool machine.",
            remedy="Improve the cooling or lower the load, and measure again.",
        )
    stolen_s, busy_s = _increase(before.steal_s, after.steal_s), _increase(before.busy_s, after.busy_s)
    if stolen_s and busy_s is not None and stolen_s > STEAL_SHARE * (stolen_s + busy_s):
        yield Caution(
            what=f"The hypervisor took {stolen_s:.3g} s of CPU time, beside {busy_s:.3g} s used here.",
            why="Other machines on the host were served first: wall times are too long, and caches were theirs.",
            remedy="Use a dedicated host, or bare metal.",
        )
    changed = [
        f"{name.replace('_', ' ')} ({_shown(old)} to {_shown(new)})"
        for name in ("kernel", "microcode", "boost", "governors", "max_frequency_hz", "smt")
        if (old := getattr(before, name)) != (new := getattr(after, name)) and None not in (old, new)
    ]
    if changed:
        yield Caution(
            what=f"Changed during the run: {', '.join(changed)}.",
            why="Energies from before and after the change are not of the same machine.",
            remedy="Find what changed it (power profiles, tuning daemons), and measure again.",
        )


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _increase(before: float | None, after: float | None) -> float | None:
    """None where either is not known, or the counter began anew."""
    return None if before is None or after is None or after < before else after - before


# The kernel's files.


def _text(path: Path) -> str | None:
    """The file's text without the white space around it; None where there is none."""
    try:
        return path.read_text("utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _text(path) or ""
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20 else None


def _numbers(paths: Iterable[Path]) -> list[int]:
    return [number for number in map(_number, paths) if number is not None]


def _switch(path: Path) -> bool | None:
    return {0: False, 1: True}.get(-1 if (number := _number(path)) is None else number)


def _distinct(paths: Iterable[Path]) -> tuple[str, ...] | None:
    return tuple(sorted({text for text in map(_text, paths) if text})) or None


def _boost(cpu: Path) -> bool | None:
    """Intel's own driver says what it forbids, all others what they allow."""
    no_turbo = _switch(cpu / "intel_pstate/no_turbo")
    return _switch(cpu / "cpufreq/boost") if no_turbo is None else not no_turbo


def _limited(cpus: Iterable[Path]) -> bool | None:
    pairs = ((_number(cpu / "cpufreq/scaling_max_freq"), _number(cpu / "cpufreq/cpuinfo_max_freq")) for cpu in cpus)
    below = [limit < most for limit, most in pairs if limit is not None and most is not None]
    return any(below) if below else None


def _load(path: Path) -> float | None:
    first = (_text(path) or "").partition(" ")[0]
    return float(first) if first.isascii() and first.replace(".", "", 1).isdigit() and len(first) <= 20 else None


def _stolen_s(stat: Path) -> float | None:
    """CPU seconds since boot in which the hypervisor ran something else: the eighth figure of the first line."""
    label, *fields = (_text(stat) or "").partition("\n")[0].split() or [""]
    if label != "cpu" or len(fields) < 8 or not (fields[7].isascii() and fields[7].isdigit() and len(fields[7]) <= 20):
        return None
    return int(fields[7]) / os.sysconf("SC_CLK_TCK")


def _cpuinfo(path: Path) -> Mapping[str, str]:
    """The keys and values of the first processor."""
    pairs = (line.partition(":") for line in (_text(path) or "").partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _temperature(sensors: Path) -> float | None:
    """The hottest of the packages' sensors, degrees Celsius: thermal zones, else the CPU's hardware monitor."""
    zones = [zone / "temp" for zone in _named(sensors / "thermal", "thermal_zone*", "type", {"x86_pkg_temp"})]
    # The first of a monitor is the package (Intel) or the control temperature (AMD).
    monitors = _named(sensors / "hwmon", "hwmon*", "name", {"coretemp", "k10temp", "zenpower"})
    found = _numbers(zones) or _numbers(monitor / "temp1_input" for monitor in monitors)
    return max(found) / 1000 if found else None


def _named(folder: Path, pattern: str, file: str, names: set[str]) -> list[Path]:
    return [entry for entry in sorted(folder.glob(pattern)) if _text(entry / file) in names]
