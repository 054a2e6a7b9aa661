"""Tables as CSV (RFC 4180): comma, CRLF, one heading line, UTF-8; a number as Python writes it, nothing for None.

Text is shown as a terminal would be shown it, so every record is one line. And no text is a formula: a spreadsheet
takes a cell that begins with = + - @ for one (CWE-1236), even behind spaces, and some take their full-width forms. Such
a text, and one that begins with an apostrophe itself, gets an apostrophe before it; taking one off restores each.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from ..accounts import Account
from . import tables
from .tables import Cell, Table
from .text import escape

_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20'")


def render_csv(account: Account, _run_facts: Mapping[str, object] | None = None) -> str:
    """One row a configuration; of an ordinary test suite alone, one row a test."""
    if not account.configurations and account.project is not None:
        return "".join(csv_lines(tables.project_tests(account.project)))
    return "".join(csv_lines(tables.configurations(account)))


def render_tasks_csv(account: Account, _run_facts: Mapping[str, object] | None = None) -> str:
    """One row a task of a configuration."""
    return "".join(csv_lines(tables.tasks(account)))


def csv_lines(table: Table) -> Iterator[str]:
    """The table's lines with their ends, the heading first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")

    def line(cells: list[str]) -> str:
        writer.writerow(cells)
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    yield line([name for name, _ in table.columns])
    for row in table.rows:
        yield line([_shown(cell) for cell in row])


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if not isinstance(cell, str):
        return repr(cell)
    text = escape(cell)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
