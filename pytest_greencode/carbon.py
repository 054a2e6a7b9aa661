"""Carbon intensity of the grid, from the carried table or from the user.

Location-based only, as ISO/IEC 21031 (Software Carbon Intensity, v1.1.0) demands: certificates and offsets do not
count.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Mapping

from .data import rows
from .errors import UsageProblem
from .model import OWN_GRID, Intensity

WORLD = "WOR"
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
