"""Tables the product carries; README.md in this folder says where each comes from."""

from __future__ import annotations

import csv
from importlib import resources


def rows(name: str) -> list[dict[str, str]]:
    """Rows of the table `name` ("grid_intensity.csv") by column name; its lines starting with "#" are provenance."""
    text = resources.files(__name__).joinpath(name).read_text("utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
