"""What the documentation has to name, it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pytest_greencode.hookspecs
from pytest_greencode import options
from pytest_greencode.importers.formats import FORMATS
from pytest_greencode.model import Verdict

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs" / "reference" / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]


def test_every_option_is_in_the_reference() -> None:
    names = [name for name, *_ in (*options._TEXT_OPTIONS, *options._LIST_OPTIONS, *options._FLAGS)]

    assert [name for name in names if f"--greencode-{name}" not in REFERENCE] == []


def test_every_verdict_is_in_the_reference() -> None:
    assert [verdict.value for verdict in Verdict if f"`{verdict.value}`" not in REFERENCE] == []


def test_every_format_that_can_be_imported_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "import.md").read_text(encoding="utf-8")

    assert [name for name in FORMATS if f"`{name}`" not in page] == []


def test_every_hook_is_in_the_reference() -> None:
    hooks = [name for name in vars(pytest_greencode.hookspecs) if name.startswith("pytest_greencode_")]

    assert hooks
    assert [name for name in hooks if name not in REFERENCE] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    text = re.sub(r"`[^`\n]*`", "", (ROOT / page).read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]

    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []
