"""RAPL counters as files: Linux' powercap tree, read through descriptors that stay open.

Zones go by their `name`, never by the number of their directory, which is hexadecimal and says nothing about sockets
(Linux, drivers/powercap/powercap_sys.c and intel_rapl_common.c).
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from ..errors import MeterUnavailable
from .counters import PLAUSIBLE_W, Domain, Kind

ROOT = Path("/sys/class/powercap")

# The same package may be seen through MSRs and through MMIO: the first of these that has a name is used.
_CONTROL_TYPES = ("intel-rapl", "intel-rapl-tpmi", "intel-rapl-mmio")
_ZONE = re.compile(rf"({'|'.join(_CONTROL_TYPES)})((?::[0-9a-f]+)+)")
_PACKAGE = re.compile(r"package-[0-9]+(-die-[0-9]+)?")
# A limit beyond this stands for "none".
_LIMIT_MAX_W = 1000.0

# Not indented, as it is to be pasted: the end of a here document stands at the start of its line.
COMMANDS = """\
sudo groupadd --system rapl
sudo usermod --append --groups rapl "$USER"
sudo tee /etc/udev/rules.d/70-rapl.rules <<'END'
ACTION=="add", SUBSYSTEM=="powercap", KERNEL=="intel-rapl*:*", \\
  RUN+="/bin/chgrp rapl /sys%p/energy_uj /sys%p/max_energy_range_uj", \\
  RUN+="/bin/chmod g+r /sys%p/energy_uj /sys%p/max_energy_range_uj"
END
sudo udevadm control --reload
sudo udevadm trigger --action=add --subsystem-match=powercap"""

REMEDY = (
    "Since CVE-2020-8694 (PLATYPUS) only root may read these counters, as they leak what other programs compute. Give "
    "them to a group of their own, for every boot, with:\n\n"
    + textwrap.indent(COMMANDS, "\t")
    + "\n\nand log in again. Do not make them readable for all (chmod a+r): model-written code could then read them "
    "too. For the same reason do not use --greencode-sandbox none as a member of that group."
)


class Zone(Struct, frozen=True, kw_only=True):
    """A directory of the tree. `name` includes the parent's: "package-0", "package-0/dram"."""

    path: Path
    name: str

    @property
    def kind(self) -> Kind | None:
        """What it counts; None for what a package already includes (core, uncore) and for strangers."""
        parent, _, name = self.name.rpartition("/")
        if not parent:
            return "psys" if name == "psys" else "package" if _PACKAGE.fullmatch(name) else None
        return "dram" if name == "dram" and _PACKAGE.fullmatch(parent) else None

    @property
    def domain(self) -> Domain:
        """How its counter behaves. ValueError unless it counts one of the three kinds."""
        if self.kind is None:
            raise ValueError(f"{self.name} is no package, DRAM or psys zone")
        return Domain(
            kind=self.kind,
            name=self.name,
            range_uj=_positive(self.path / "max_energy_range_uj"),
            plausible_w=self._limit_w() or PLAUSIBLE_W[self.kind],
        )

    def _limit_w(self) -> float | None:
        """The highest of the zone's power limits, W, such as those for seconds and for milliseconds."""
        files = [*self.path.glob("constraint_*_power_limit_uw"), *self.path.glob("constraint_*_max_power_uw")]
        limits_w = [(_positive(file) or 0) / 1e6 for file in files]
        return max((limit_w for limit_w in limits_w if 0 < limit_w <= _LIMIT_MAX_W), default=None)


def find_zones(root: Path = ROOT) -> tuple[list[Zone], dict[str, str]]:
    """RAPL's zones, each once, and what was left out, with the reason. OSError if there is no tree at `root`."""
    zones: dict[str, Zone] = {}
    ignored: dict[str, str] = {}
    for path in sorted(_zone_paths(root), key=_order):
        try:
            name = _name(path)
        except (OSError, UnicodeDecodeError) as error:
            ignored[path.name] = f"its name cannot be read: {error}"
            continue
        if name in zones:
            ignored[path.name] = f"shows {name} again, as {zones[name].path.name} does"
        else:
            zones[name] = Zone(path=path, name=name)
    return list(zones.values()), ignored


def _zone_paths(root: Path) -> Iterator[Path]:
    return (path for path in root.iterdir() if _ZONE.fullmatch(path.name))


def _order(path: Path) -> tuple[int, list[int]]:
    control_type, _, numbers = path.name.partition(":")
    return _CONTROL_TYPES.index(control_type), [int(number, 16) for number in numbers.split(":")]


def _name(path: Path) -> str:
    own = (path / "name").read_text("utf-8").strip()
    parent, _, _ = path.name.rpartition(":")
    # The zone above a zone is the one whose directory has its numbers but the last.
    return f"{_name(path.with_name(parent))}/{own}" if ":" in parent else own


def _positive(path: Path) -> int | None:
    try:
        value = int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return value if value > 0 else None


class PowercapSource:
    """The package and DRAM zones of the powercap tree at `root`, or psys instead of both.

    psys is the whole platform: on most machines it includes packages and DRAM, on some it is less than they are.
    The descriptors are not inherited by programs that are started. Raises MeterUnavailable.
    """

    backend = "powercap"

    def __init__(self, root: Path = ROOT, *, psys: bool = False) -> None:
        try:
            zones, self._ignored = find_zones(root)
        except OSError as error:
            raise MeterUnavailable(
                f"{root} cannot be listed ({error.strerror}): this system shows no powercap, as is usual in virtual "
                "machines, in containers and on hosted CI runners; measure on the machine itself"
            ) from error
        wanted = ("psys",) if psys else ("package", "dram")
        self._files: dict[str, int] = {}
        domains: list[Domain] = []
        for zone in zones:
            if zone.kind not in wanted:
                self._ignored[zone.name] = _why_not(zone, psys)
                continue
            try:
                self._files[zone.name] = os.open(zone.path / "energy_uj", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                # A machine without one of its packages would look frugal; without DRAM it merely tells less.
                if zone.kind != "dram":
                    self.close()
                    raise _unreadable(zone.path / "energy_uj", error) from error
                self._ignored[zone.name] = f"cannot be opened: {error.strerror}"
            else:
                domains.append(zone.domain)
        self._domains = tuple(domains)
        if not any(domain.kind != "dram" for domain in domains):
            self.close()
            raise MeterUnavailable(
                f"{root} has no {'psys' if psys else 'package'} counter of RAPL"
                + (f", only {', '.join(sorted(self._ignored))}" if self._ignored else "")
                + "; Docker and podman hide it from their containers: measure on the host"
            )

    @property
    def domains(self) -> Sequence[Domain]:
        """In the order of the tree."""
        return self._domains

    @property
    def ignored(self) -> Mapping[str, str]:
        """Zones that are not read, each with the reason."""
        return self._ignored

    def read_uj(self) -> list[int]:
        """The raw values, uJ. OSError or ValueError if one of them cannot be read."""
        return [_value(name, file) for name, file in self._files.items()]

    def close(self) -> None:
        """Close the descriptors. Again is harmless; to read afterwards is not possible."""
        files, self._files = self._files, {}
        for file in files.values():
            os.close(file)


def _value(name: str, file: int) -> int:
    text = os.pread(file, 32, 0)
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name}: expected a number of uJ, found {text!r}") from None


def _why_not(zone: Zone, psys: bool) -> str:
    if zone.kind == "psys":
        return "the whole platform, which includes the packages; read only when asked for, instead of them"
    if zone.kind is not None and psys:
        return "psys is read instead"
    return "part of the package above it" if "/" in zone.name else "no zone of RAPL that is known here"


def _unreadable(path: Path, error: OSError) -> MeterUnavailable:
    if isinstance(error, PermissionError):
        return MeterUnavailable(f"{path} may not be read by this user", REMEDY)
    return MeterUnavailable(f"{path} cannot be opened: {error.strerror}")
