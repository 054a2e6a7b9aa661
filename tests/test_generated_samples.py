"""The samples of a real model in benchmarks/generation are what its page says they are."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from pytest_greencode.model import Method
from pytest_greencode.samples import read_samples

FOLDER = Path(__file__).parent.parent / "benchmarks" / "generation"
PAGE = (FOLDER / "README.md").read_text("utf-8")
ROW = re.compile(r"\| `(?P<file>[^`]+)` \| (?P<samples>\d+)[^|]*\| (?P<tokens>[\d,]+) \| (?P<joules>[\d,]+) \|")
ROWS = {row["file"]: row for row in ROW.finditer(PAGE)}


def test_every_file_is_on_the_page() -> None:
    assert set(ROWS) == {path.name for path in FOLDER.glob("*.jsonl.gz")}


@pytest.mark.parametrize("file", ROWS)
def test_the_page_has_the_figures_of_the_file(file: str) -> None:
    row = ROWS[file]
    generations = [sample.generation for sample in read_samples(FOLDER / file, None)]
    known = [each for each in generations if each is not None]
    assert len(known) == len(generations) == int(row["samples"])
    assert {each.energy_method for each in known} == {Method.ESTIMATED}
    assert all("CPU time of" in (each.source or "") and "Emerald Rapids" in (each.source or "") for each in known)
    tokens = sum(each.completion_tokens or 0 for each in known)
    energy_j = math.fsum(each.energy_j or 0 for each in known)
    assert f"{tokens:,}" == row["tokens"]
    assert f"{energy_j:,.0f}" == row["joules"]
    assert all(each.energy_j and each.energy_j > 0 for each in known)
