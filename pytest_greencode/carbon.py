"""Carbon intensity of grids and embodied carbon of machines, from the carried tables or from the user.

Location-based only, as ISO/IEC 21031 (Software Carbon Intensity, v1.1.0) demands: certificates and offsets do not
count. Its other term, M, is what making the machines emitted, by the share of their life that the work took.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from .data import rows
from .errors import UsageProblem
from .model import J_PER_KWH, OWN_GRID, Intensity, Machine

WORLD = "WOR"
LIVE = "live:"
_NUMBER = re.compile(r"[-+]?\.?\d")
_UNIT = re.compile(r"\s*g(\s*/\s*kwh)?$", re.IGNORECASE)


@functools.cache
def _countries() -> Mapping[str, tuple[str, Intensity]]:
    return {
        row["iso3"]: (
            row["name"],
            Intensity(
                g_per_kwh=float(row["g_per_kwh"]),
                region=row["iso3"],
                year=int(row["year"]),
                source="Our World in Data / Ember",
                licence="CC-BY-4.0",
            ),
        )
        for row in rows("grid_intensity.csv")
    }


def world() -> Intensity:
    """The world's average grid."""
    return _countries()[WORLD][1]


def is_live(text: str) -> bool:
    """Whether a region text asks for the intensity of this moment (`intensity_sources`)."""
    return text.strip().lower().startswith(LIVE)


def grid_intensity(region: str, *, flag: str = "--greencode-region") -> Intensity:
    """The yearly mean intensity of a country's grid, in gCO2e per kWh generated (life cycle, own generation).

    `region` is an ISO 3166-1 alpha-3 code in any case ("FRA"; Kosovo is "XKX"), or "WOR" or "world".
    Source: Our World in Data / Ember (CC-BY-4.0), the latest year the table has for that country; `data/README.md`.
    Raises UsageProblem for another region, naming `flag`, the nearest codes and the way out.
    """
    code = region.strip().upper()
    entry = _countries().get(WORLD if code == "WORLD" else code)
    if entry is None:
        near = _nearest(code)
        raise UsageProblem(
            f"{flag}: unknown region {region!r}; expected an ISO 3166-1 alpha-3 code such as FRA, or WOR (world). "
            + (f"Nearest: {', '.join(near)}. " if near else "")
            + f"Or give your grid's own intensity in gCO2e/kWh: {flag} 56g"
        )
    return entry[1]


def parse_region(text: str, *, flag: str = "--greencode-region") -> Intensity:
    """A region's code ("FRA") or the user's own intensity in gCO2e/kWh ("56", "56g", "56 g/kWh").

    Raises UsageProblem for an unknown code, and for a number that is not finite and above 0: no grid's life-cycle
    intensity is 0 (grids of nothing but hydropower read 24 g in the table), so a 0 is a market-based claim or a slip.
    """
    text = text.strip()
    if not _NUMBER.match(text):
        return grid_intensity(text, flag=flag)
    try:
        g_per_kwh = float(_UNIT.sub("", text))
    except ValueError:
        g_per_kwh = math.nan
    if not (math.isfinite(g_per_kwh) and g_per_kwh > 0):
        raise UsageProblem(
            f"{flag}: expected an intensity in gCO2e/kWh above 0, such as 56 or 56g, found {text!r}. "
            "A life-cycle, location-based intensity is never 0; certificates and offsets do not count"
        )
    return Intensity(g_per_kwh=g_per_kwh, region=OWN_GRID, year=None, source=OWN_GRID)


def _nearest(code: str) -> list[str]:
    """Up to five "FRA (France)" whose code or name resembles `code`."""
    known = {code: code for code in _countries()} | {name.upper(): code for code, (name, _) in _countries().items()}
    codes = dict.fromkeys(known[match] for match in difflib.get_close_matches(code, known, n=5))
    return [f"{code} ({_countries()[code][0]})" for code in codes]


# Machines.

# By 365 days a year, as those who publish lifetimes count. Used elsewhere: 3 (ecologits), 4 (Boavizta's servers,
# Green Metrics Tool), 5 (LLMCarbon) and 6 years (Boavizta's cloud servers and desktops).
S_PER_YEAR = 365 * 86400
LIFETIME_S = 4.0 * S_PER_YEAR
LIFETIME_LOW_S, LIFETIME_HIGH_S = 3.0 * S_PER_YEAR, 6.0 * S_PER_YEAR
# What GPUs drew of their board power while they wrote code: median of 123 settings of 9 models on A100 and H100, energy
# per token times tokens per second (ML.ENERGY leaderboard v2, HumanEval+; 5 to 95 %: 0.25 to 0.70). By the board power
# itself an energy would tell less than half of the time that it took.
GPU_POWER_SHARE = 0.445
ANY_GPU = "datacentre GPU"
OWN_MACHINE = "user"  # the name and source of a machine that the user gave

_QUANTITY = r"[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
_OWN_MACHINE = re.compile(
    rf"({_QUANTITY})(?:\s*\.\.\s*({_QUANTITY}))?\s*kg(?:\s*/\s*({_QUANTITY})\s*y)?(?:\s*/\s*([0-9]{{1,6}}))?",
    re.IGNORECASE,
)
# Of a GPU's name: "A100-SXM4-40GB" is a100 sxm4 40gb, and so is "8x A100 SXM4 40 GB".
_GIGABYTES = re.compile(r"([0-9]+)\s*gi?b?\b")
_MULTIPLE = re.compile(r"\b[0-9]+x\s*|x[0-9]+\b")
_WORD = re.compile(r"[a-z0-9]+")
_LONGEST_NAME = 200  # beyond it a record's word for its GPU is no name
_LARGEST_KG = 1e9


class _Row(Struct, frozen=True, kw_only=True):
    """A row of the table: `kind` is gpu, part or host; `words` are those that a GPU's name has to have."""

    kind: str
    words: frozenset[str]
    server: str
    machine: Machine

    def with_server(self) -> Machine:
        if not self.server:
            return self.machine
        machine, server = self.machine, _machines()[self.server.lower()].machine
        return replace(
            machine,
            name=f"{machine.name} with {server.name}",
            embodied_g=machine.embodied_g + server.embodied_g,
            embodied_low_g=machine.embodied_low_g + server.embodied_low_g,
            embodied_high_g=machine.embodied_high_g + server.embodied_high_g,
            source=f"{machine.source}; {server.name}: {server.source}",
        )


@functools.cache
def _machines() -> Mapping[str, _Row]:
    """The table by name in lower case."""
    return {
        row["name"].lower(): _Row(
            kind=row["kind"],
            words=frozenset(row["match"].split()),
            server=row["server"],
            machine=Machine(
                name=row["name"],
                embodied_g=1000 * float(row["kg"]),
                embodied_low_g=1000 * float(row["low_kg"]),
                embodied_high_g=1000 * float(row["high_kg"]),
                lifetime_s=LIFETIME_S,
                lifetime_low_s=LIFETIME_LOW_S,
                lifetime_high_s=LIFETIME_HIGH_S,
                source=row["source"],
                power_w=_power_w(row),
                threads=int(row["threads"]) if row["threads"] else None,
            ),
        )
        for row in rows("embodied.csv")
    }


def _power_w(row: Mapping[str, str]) -> float | None:
    share = GPU_POWER_SHARE if row["kind"] == "gpu" else 1.0
    return share * float(row["power_w"]) if row["power_w"] else None


def gpu(name: str, *, with_server: bool = True) -> Machine | None:
    """The GPU that a driver or a user calls `name` ("NVIDIA H100 80GB HBM3", "A100-SXM4-40GB"); None if unknown.

    With its part of the server around it (an eighth of one of eight such GPUs), or alone. The most specific row counts:
    an A100 of unknown memory has the range of both. `power_w` is what such a GPU draws as it generates (a share of its
    board power), not the server's. Ranges are added end to end. A MIG slice has the name of its GPU and so counts as a
    whole one.
    """
    text = _GIGABYTES.sub(r"\1gb", _MULTIPLE.sub(" ", name[:_LONGEST_NAME].lower()))
    words = set(_WORD.findall(text))
    known = [row for row in _machines().values() if row.words and row.words <= words]
    if not known:
        return None
    row = max(known, key=lambda row: len(row.words))
    found = row.with_server() if with_server else row.machine
    # By its power energy tells the time: where nobody says, any GPU's.
    return found if found.power_w is not None else replace(found, power_w=any_gpu().power_w)


def any_gpu(*, with_server: bool = True) -> Machine:
    """A GPU of which only that it stood in a data centre is known: the whole range of those that the table has."""
    row = _machines()[ANY_GPU.lower()]
    return row.with_server() if with_server else row.machine


def machine(name: str, *, flag: str) -> Machine:
    """The table's machine of that name in any case: "server", "laptop", "desktop", or a GPU (with its server).

    A server's `threads` are the whole machine's. Of a virtual machine the operator's server is meant, not what the
    guest sees. Raises UsageProblem for another name, with `flag`, the nearest names and the way out.
    """
    known = {key: row for key, row in _machines().items() if row.kind != "part"}
    if (row := known.get(name.strip().lower())) is not None:
        return row.with_server()
    if (found := gpu(name)) is not None:
        return found
    names = {key: row.machine.name for key, row in known.items()}
    near = [names[match] for match in difflib.get_close_matches(name.strip().lower(), names, n=5)]
    raise UsageProblem(
        f"{flag}: unknown machine {name!r}; expected one of {', '.join(names.values())}. "
        + (f"Nearest: {', '.join(near)}. " if near else "")
        + f"Or give your machine's own embodied carbon: {_own_machine_example(flag)}"
    )


def parse_machine(text: str, *, flag: str) -> Machine:
    """A machine of the table by its name, or the user's own: "1200kg", "1200kg/5y", "1200kg/5y/64", "900..2000kg".

    That is kgCO2e of making it, its life in years (without: 4, range 3 to 6) and its hardware threads (without: the
    run's own). A figure is taken as exact, a range by its geometric mean. Raises UsageProblem for
    an unknown name, and for what is not above 0: nothing was made for nothing.
    """
    text = text.strip()
    if not _NUMBER.match(text):
        return machine(text, flag=flag)
    parts = _OWN_MACHINE.fullmatch(text)
    low = float(parts[1]) if parts else 0.0
    high = float(parts[2] or parts[1]) if parts else 0.0
    years = float(parts[3]) if parts and parts[3] else None
    threads = int(parts[4]) if parts and parts[4] else None
    if not 0 < low <= high <= _LARGEST_KG or not (years is None or 0 < years <= 100) or threads == 0:
        raise UsageProblem(
            f"{flag}: expected kgCO2e above 0, then if known years of life (up to 100) and hardware threads, such as "
            f"1200kg, 900..2000kg/5y or 1200kg/5y/64, found {text!r}. No machine was made for nothing; or name one "
            f"of the table: {flag} server"
        )
    return Machine(
        name=OWN_MACHINE,
        embodied_g=1000 * (low if low == high else math.sqrt(low * high)),
        embodied_low_g=1000 * low,
        embodied_high_g=1000 * high,
        lifetime_s=LIFETIME_S if years is None else years * S_PER_YEAR,
        lifetime_low_s=LIFETIME_LOW_S if years is None else years * S_PER_YEAR,
        lifetime_high_s=LIFETIME_HIGH_S if years is None else years * S_PER_YEAR,
        source=OWN_MACHINE,
        threads=threads,
    )


def _own_machine_example(flag: str) -> str:
    return f"{flag} 1200kg/5y/64 (kgCO2e, years of life, hardware threads)"


# What the same work would emit elsewhere.

# From the cleanest large grid to the dirtiest, and the world.
REGIONS = ("SWE", "FRA", "GBR", "DEU", "USA", "JPN", "CHN", "IND", "POL", "ZAF", WORLD)


class RegionRow(Struct, frozen=True, kw_only=True):
    """gCO2e per accepted solution, were the work done on this grid; None where energy or embodied are not known."""

    region: str
    name: str
    year: int | None
    g_per_kwh: float
    operational_g: float | None
    total_g: float | None


def region_sensitivity(
    *,
    generation_j: float | None,
    execution_j: float | None,
    embodied_g: float | None,
    generation_pue: float = 1.0,
    execution_pue: float = 1.0,
    generation_stays: Intensity | None = None,
    execution_stays: Intensity | None = None,
    regions: Iterable[str] = REGIONS,
) -> tuple[RegionRow, ...]:
    """R of the same joules per accepted solution, were the grid another one; rows by intensity, least first.

    operational = (J_gen * PUE_gen * I_gen + J_exec * PUE_exec * I_exec) / 3.6e6; total = operational + embodied, which
    does not move. Both sites move unless one stays where it is. Joules are at the device; PUE must be 1 where they
    include it. Only the grid changes: not the machines, nor their PUE. Raises UsageProblem for an unknown region.
    """
    table = []
    for code in dict.fromkeys(regions):
        grid = grid_intensity(code, flag="region_sensitivity")
        at_generation, at_execution = generation_stays or grid, execution_stays or grid
        operational = _added(
            _times(generation_j, generation_pue * at_generation.g_per_kwh / J_PER_KWH),
            _times(execution_j, execution_pue * at_execution.g_per_kwh / J_PER_KWH),
        )
        table.append(
            RegionRow(
                region=grid.region,
                name=_countries()[grid.region][0],
                year=grid.year,
                g_per_kwh=grid.g_per_kwh,
                operational_g=operational,
                total_g=_added(operational, embodied_g),
            )
        )
    return tuple(sorted(table, key=lambda row: (row.g_per_kwh, row.region)))


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _added(*values: float | None) -> float | None:
    """The sum, None where a part is not known."""
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


# Impacts beside carbon, by the user's own factors; no part of the SCI.


def water_litres(energy_j: float, *, wue_site_l_per_kwh: float, wue_grid_l_per_kwh: float, pue: float = 1.0) -> float:
    """Litres of water for energy at the device: E * (WUE_site + PUE * WUE_grid), E in kWh.

    WUE_site (water usage effectiveness) is the data centre's own cooling water per kWh of IT energy, so PUE is not on
    it; WUE_grid is what power plants use per kWh that they generate. ValueError for factors below 0, or PUE below 1.
    """
    _check_factors(pue, wue_site_l_per_kwh, wue_grid_l_per_kwh)
    return energy_j / J_PER_KWH * (wue_site_l_per_kwh + pue * wue_grid_l_per_kwh)


def primary_energy_mj(energy_j: float, *, grid_mj_per_kwh: float, pue: float = 1.0) -> float:
    """MJ of primary energy for energy at the device: E * PUE * PE_grid, E in kWh. ValueError as in `water_litres`."""
    _check_factors(pue, grid_mj_per_kwh)
    return energy_j / J_PER_KWH * pue * grid_mj_per_kwh


def _check_factors(pue: float, *factors: float) -> None:
    if not 1 <= pue < math.inf or not all(0 <= factor < math.inf for factor in factors):
        raise ValueError(f"need PUE from 1 and factors from 0, all finite; found PUE {pue} and {factors}")
