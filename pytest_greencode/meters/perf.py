"""RAPL counters as perf events: the kernel unwraps them to 64 bits and knows which CPU speaks for which die.

The system call has no wrapper in libc; it is made through ctypes (man 2 perf_event_open).
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import platform
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from msgspec import Struct

from ..errors import MeterUnavailable
from .counters import PLAUSIBLE_W, Domain, Kind

DEVICES = Path("/sys/bus/event_source/devices")
CPUS = Path("/sys/devices/system/cpu")
_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")

# __NR_perf_event_open of Linux, by architecture.
SYSCALL = {"x86_64": 298, "i686": 336, "i386": 336, "aarch64": 241}
_FLAG_CLOSE_ON_EXEC = 8
# struct perf_event_attr: the first 24 bytes are type, size, config and sample_period. All else is 0, which asks for a
# count alone. 64 bytes are the structure's first version, which every kernel takes.
_ATTRIBUTES = struct.Struct("=IIQQ40x")

_EVENTS: Mapping[Kind, str] = {"package": "energy-pkg", "dram": "energy-ram", "psys": "energy-psys"}

REMEDY = (
    "Events of a whole CPU need CAP_PERFMON, or kernel.perf_event_paranoid of 0 or less:\n\n"
    "\tsudo sysctl kernel.perf_event_paranoid=0\n\n"
    "That holds until the next boot and lets every user of this machine profile it, a sandbox's too unless seccomp "
    "keeps it from perf_event_open (as Docker's profile does)."
)

# (type, config, CPU) -> descriptor
OpenEvent = Callable[[int, int, int], int]


def open_event(type_: int, config: int, cpu: int) -> int:
    """A descriptor that counts an event on one CPU, whoever runs there; 8 bytes are read from it. OSError."""
    number = SYSCALL.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"perf_event_open is not known on {platform.machine()}")
    attributes = _ATTRIBUTES.pack(type_, _ATTRIBUTES.size, config, 0)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    everyone, no_group = ctypes.c_long(-1), ctypes.c_long(-1)
    file = syscall(
        ctypes.c_long(number),
        ctypes.c_char_p(attributes),
        everyone,
        ctypes.c_long(cpu),
        no_group,
        ctypes.c_ulong(_FLAG_CLOSE_ON_EXEC),
    )
    if file < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(file)


class _Event(Struct, frozen=True, kw_only=True):
    """An event of the PMU: `config` selects it, one count of it is `unit_uj`."""

    config: int
    unit_uj: Fraction


class _Counter(Struct, frozen=True, kw_only=True):
    name: str
    file: int
    unit_uj: Fraction


class PerfSource:
    """`energy-pkg` and `energy-ram` of the PMU `power`, or `energy-psys` instead of both.

    One descriptor for each CPU in the PMU's `cpumask`, that is for each package or die. The descriptors are not
    inherited by programs that are started. Raises MeterUnavailable.
    """

    backend = "perf"

    def __init__(
        self,
        devices: Path = DEVICES,
        cpus: Path = CPUS,
        *,
        psys: bool = False,
        open_event: OpenEvent = open_event,
    ) -> None:
        pmu = devices / "power"
        wanted: tuple[Kind, ...] = ("psys",) if psys else ("package", "dram")
        try:
            type_ = int((pmu / "type").read_text("ascii"))
            listed = _cpu_list((pmu / "cpumask").read_text("ascii"))
        except (OSError, ValueError) as error:
            raise MeterUnavailable(
                f"{pmu} is no PMU that counts energy ({error}): the kernel has none for this CPU, as is usual in "
                "virtual machines and on hosted CI runners"
            ) from error
        events, self._ignored = _events(pmu, wanted)
        if wanted[0] not in events:
            names = sorted(path.name for path in (pmu / "events").glob("energy-*") if "." not in path.name)
            raise MeterUnavailable(
                f"{pmu} has no {wanted[0]} counter ({_EVENTS[wanted[0]]}), only {', '.join(names) or 'nothing'}"
            )
        self._counters: list[_Counter] = []
        domains: list[Domain] = []
        packages = _packages(cpus, listed[:1] if psys else listed)  # one platform has one psys
        for (cpu, package), (kind, event) in itertools.product(packages.items(), events.items()):
            name = {"package": package, "dram": f"{package}/dram", "psys": "psys"}[kind]
            try:
                file = open_event(type_, event.config, cpu)
            except OSError as error:
                # A machine without one of its packages would look frugal; without DRAM it merely tells less.
                if kind != "dram":
                    self.close()
                    raise _refused(pmu, error) from error
                self._ignored[name] = f"cannot be opened: {error.strerror}"
                continue
            self._counters.append(_Counter(name=name, file=file, unit_uj=event.unit_uj))
            range_uj = int(2**64 * event.unit_uj)
            domains.append(Domain(kind=kind, name=name, range_uj=range_uj, plausible_w=PLAUSIBLE_W[kind]))
        self._domains = tuple(domains)

    @property
    def domains(self) -> Sequence[Domain]:
        """By CPU, then package before DRAM."""
        return self._domains

    @property
    def ignored(self) -> Mapping[str, str]:
        """Events that are not read, each with the reason."""
        return self._ignored

    def read_uj(self) -> list[int]:
        """The counts, uJ, since each was opened. OSError or ValueError if one of them cannot be read."""
        return [_count_uj(counter) for counter in self._counters]

    def close(self) -> None:
        """Close the descriptors. Again is harmless; to read afterwards is not possible."""
        counters, self._counters = self._counters, []
        for counter in counters:
            os.close(counter.file)


def _count_uj(counter: _Counter) -> int:
    data = os.read(counter.file, 8)
    if len(data) != 8:
        raise ValueError(f"{counter.name}: its event has stopped, as when its CPU is taken offline")
    # As unit_uj * count would be, but without a fraction reduced at every read.
    return int.from_bytes(data, "little") * counter.unit_uj.numerator // counter.unit_uj.denominator


def _cpu_list(text: str) -> list[int]:
    """CPUs of a list as sysfs writes it: "0,2-3". ValueError if it names none."""
    ranges = (part.partition("-") for part in text.strip().split(","))
    return [cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)]


def _events(pmu: Path, wanted: Sequence[Kind]) -> tuple[dict[Kind, _Event], dict[str, str]]:
    found: dict[Kind, _Event] = {}
    ignored: dict[str, str] = {}
    for kind, name in _EVENTS.items():
        try:
            event = _event(pmu / "events" / name)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            ignored[name] = f"cannot be understood: {error}"
            continue
        if kind in wanted:
            found[kind] = event
        else:
            ignored[name] = (
                "psys is read instead" if "psys" in wanted else "the whole platform, read only when asked for"
            )
    for path in (pmu / "events").glob("energy-*"):
        if "." not in path.name and path.name not in _EVENTS.values():
            ignored[path.name] = "part of the package"
    return found, ignored


def _event(path: Path) -> _Event:
    text = path.read_text("ascii").strip()
    match = re.fullmatch(r"event=0x([0-9a-fA-F]+)", text)
    if match is None:
        raise ValueError(f"{path}: expected event=0x.., found {text!r}")
    unit = path.with_name(f"{path.name}.unit").read_text("ascii").strip()
    if unit != "Joules":
        raise ValueError(f"{path}.unit: expected Joules, found {unit!r}")
    scale = Fraction(path.with_name(f"{path.name}.scale").read_text("ascii").strip())
    if scale <= 0:
        raise ValueError(f"{path}.scale: expected more than 0, found {scale}")
    return _Event(config=int(match[1], 16), unit_uj=scale * 1_000_000)


def _packages(cpus: Path, listed: Sequence[int]) -> dict[int, str]:
    """CPU -> the package, or the die, that it speaks for."""
    packages = {cpu: _topology(cpus, cpu, "physical_package_id", cpu) for cpu in listed}
    dies = {cpu: _topology(cpus, cpu, "die_id", cpu) for cpu in listed}
    alone = {cpu: list(packages.values()).count(packages[cpu]) == 1 for cpu in listed}
    return {cpu: f"package-{packages[cpu]}" + ("" if alone[cpu] else f"-die-{dies[cpu]}") for cpu in listed}


def _topology(cpus: Path, cpu: int, name: str, default: int) -> int:
    try:
        return int((cpus / f"cpu{cpu}" / "topology" / name).read_text("ascii"))
    except (OSError, ValueError):
        return default


def _refused(pmu: Path, error: OSError) -> MeterUnavailable:
    if error.errno not in (errno.EACCES, errno.EPERM):
        return MeterUnavailable(f"an event of {pmu} cannot be opened: {error.strerror}")
    try:
        paranoid = _PARANOID.read_text("ascii").strip()
    except OSError:
        paranoid = "unknown"
    return MeterUnavailable(
        f"this user may not open the events of {pmu} (kernel.perf_event_paranoid is {paranoid})", REMEDY
    )
