"""pyRAPL's sensor as a source of raw counters (extra `pyrapl`): it finds and reads them, all else is ours.

pyRAPL itself loses a sample in which a counter wraps. Its raw values go through the same arithmetic as every other
backend's; the ranges, which pyRAPL does not read, come from the powercap tree that it reads.

Its wheel also installs a package called `tests`, which hides a directory `tests` without `__init__.py` from `import
tests...`. Nothing here imports that package, and nothing here can take it away: `stray_tests` finds it. Whoever is
bitten gives the directory an `__init__.py`, or deletes the stray package.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import MeterUnavailable
from . import powercap
from .counters import PLAUSIBLE_W, Domain, Kind

OWN_READER = "The plugin's own readers, perf and powercap, need no pyRAPL and cope with more machines: use those."
INSTALL = f"{OWN_READER}\nTo have pyRAPL nevertheless:\n\n\tpip install 'pytest-greencode[pyrapl]'"

# pyRAPL's list of energies goes by socket, and within a socket by these.
_KINDS: tuple[Kind, ...] = ("package", "dram")
# What pyRAPL puts where it has no value.
_NONE = -1


class PyRaplSource:
    """Package and DRAM counters as `pyRAPL.setup()` finds them. Raises MeterUnavailable.

    pyRAPL's own sensor, which is global, is left as it was, so that a test suite's use of pyRAPL goes on.
    """

    backend = "pyrapl"

    def __init__(self, root: Path = powercap.ROOT) -> None:
        self._sensor = _sensor(_import(), root)
        self._ignored: dict[str, str] = {}
        values = self._raw()
        self._indexes = [index for index, value in enumerate(values) if value != _NONE]
        zones = _zones(root)
        self._domains = tuple(_domain(index, zones) for index in self._indexes)
        if not any(domain.kind == "package" for domain in self._domains):
            raise MeterUnavailable("pyRAPL finds no package counter", OWN_READER)

    @property
    def domains(self) -> Sequence[Domain]:
        """By socket, then package before DRAM."""
        return self._domains

    @property
    def ignored(self) -> Mapping[str, str]:
        """Nothing: pyRAPL does not tell what it leaves out."""
        return self._ignored

    def read_uj(self) -> list[int]:
        """The raw values, uJ. OSError or ValueError if one of them cannot be read."""
        values = self._raw()
        missing = [domain.name for index, domain in zip(self._indexes, self._domains, strict=True) if values[index] < 0]
        if missing:
            raise ValueError(f"pyRAPL has no value for {', '.join(missing)}")
        return [int(values[index]) for index in self._indexes]

    def close(self) -> None:
        """Close the files, which pyRAPL itself never does."""
        for device in getattr(self._sensor, "_device_api", {}).values():
            for file in device._sys_files:
                file.close()

    def _raw(self) -> Sequence[float]:
        values: Sequence[float] = self._sensor.energy()
        return values


def stray_tests() -> Path | None:
    """The package `tests` that pyRAPL's wheel has put beside itself, if it is still there."""
    try:
        files = importlib.metadata.files("pyRAPL") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.parts == ("tests", "__init__.py")]
    return found[0].parent if found and found[0].exists() else None


def _import() -> Any:
    try:
        with _quiet():
            return importlib.import_module("pyRAPL")
    except ImportError as error:
        raise MeterUnavailable(f"pyRAPL cannot be imported: {error}", INSTALL) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let pyRAPL be imported also where warnings are errors: it compiles with some, and logs that pandas is missing."""

    def foreign(record: logging.LogRecord) -> bool:
        return Path(record.pathname).parent.name not in ("pyRAPL", "outputs")

    root, nowhere = logging.getLogger(), logging.NullHandler()
    # A record without any handler would set up logging to stderr, for good.
    root.addHandler(nowhere)
    root.addFilter(foreign)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeFilter(foreign)
        root.removeHandler(nowhere)


def _sensor(module: Any, root: Path) -> Any:
    previous = module._sensor
    try:
        module.setup()
        return module._sensor
    except PermissionError as error:
        raise MeterUnavailable(f"{error.filename} may not be read by this user", powercap.REMEDY) from error
    except module.PyRAPLException as error:
        raise MeterUnavailable(f"pyRAPL finds no counter that it can read: {_why(root)}", OWN_READER) from error
    except (OSError, ValueError, IndexError) as error:
        raise MeterUnavailable(f"pyRAPL does not understand this machine: {error}", OWN_READER) from error
    finally:
        module._sensor = previous


def _why(root: Path) -> str:
    """What pyRAPL, which does not say why, most likely stumbled over."""
    packages = [name for name in _zones(root) if name.startswith("package-") and "/" not in name]
    if not packages:
        return f"{os.fspath(root)} has no package zone, as is usual in virtual machines and containers"
    if any("-die-" in name for name in packages):
        return f"it knows no packages of several dies, and here are {', '.join(packages)}"
    return f"it needs one zone for each socket, numbered without a gap below 10; here are {', '.join(packages)}"


def _zones(root: Path) -> dict[str, powercap.Zone]:
    try:
        return {zone.name: zone for zone in powercap.find_zones(root)[0]}
    except OSError:
        return {}


def _domain(index: int, zones: Mapping[str, powercap.Zone]) -> Domain:
    socket, kind = index // len(_KINDS), _KINDS[index % len(_KINDS)]
    name = f"package-{socket}" if kind == "package" else f"package-{socket}/{kind}"
    if name in zones:
        return zones[name].domain
    return Domain(kind=kind, name=name, range_uj=None, plausible_w=PLAUSIBLE_W[kind])
