"""A powercap tree as files, laid out as Linux does: zones nested below their control type, and linked from the top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# 2^32 - 1 units of 61.035 uJ, as on most CPUs, and of 15.3 uJ, as for the DRAM of Intel's servers.
RANGE_UJ = 262_143_328_850
DRAM_RANGE_UJ = 65_712_999_613


@dataclass(frozen=True, kw_only=True)
class Zone:
    """One zone; what is None has no file. `limits_w` are its power limits."""

    name: str
    energy_uj: int | str | None = 1_000_000
    range_uj: int | str | None = RANGE_UJ
    limits_w: tuple[float, ...] = ()
    children: tuple[Zone, ...] = ()


def package(number: int | str = 0, *children: Zone, **more: object) -> Zone:
    return Zone(name=f"package-{number}", children=children, **more)  # type: ignore[arg-type]


def dram(**more: object) -> Zone:
    return Zone(name="dram", **{"range_uj": DRAM_RANGE_UJ, **more})  # type: ignore[arg-type]


def write_tree(root: Path, *zones: Zone, control_type: str = "intel-rapl") -> Mapping[str, Path]:
    """Write `zones` below `root`, after those that are there; -> name ("package-0/dram") -> energy_uj."""
    top = root / control_type
    top.mkdir(parents=True, exist_ok=True)
    _link(top / "subsystem", root)
    counters: dict[str, Path] = {}
    present = len(list(top.glob(f"{control_type}:*")))
    for number, zone in enumerate(zones, start=present):
        _write(root, top, f"{control_type}:{number:x}", zone, zone.name, counters)
    return counters


def _write(root: Path, above: Path, directory: str, zone: Zone, name: str, counters: dict[str, Path]) -> None:
    path = above / directory
    path.mkdir()
    _link(path / "subsystem", root)
    _link(root / directory, path)
    files = {"name": zone.name, "energy_uj": zone.energy_uj, "max_energy_range_uj": zone.range_uj, "enabled": 1}
    for number, limit_w in enumerate(zone.limits_w):
        files[f"constraint_{number}_power_limit_uw"] = int(limit_w * 1e6)
    for file, content in files.items():
        if content is not None:
            (path / file).write_text(f"{content}\n", encoding="ascii")
    counters[name] = path / "energy_uj"
    for number, child in enumerate(zone.children):
        _write(root, path, f"{directory}:{number:x}", child, f"{name}/{child.name}", counters)


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        # Relative, so that the tree can be mounted elsewhere.
        up = len(link.parent.parts) - len(_common(link.parent, target).parts)
        link.symlink_to(Path(*[".."] * up, target.relative_to(_common(link.parent, target))))


def _common(first: Path, second: Path) -> Path:
    return next(path for path in [second, *second.parents] if path in [first, *first.parents])
