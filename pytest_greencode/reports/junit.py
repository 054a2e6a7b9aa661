"""Totals of a run as properties of a JUnit test suite; the properties of single tests are pytest's own business."""

from __future__ import annotations

from ..accounts import Account
from ..gate.decisions import Decision
from . import tables
from .text import escape


def junit_properties(account: Account, decision: Decision | None = None) -> list[tuple[str, str]]:
    """(name, value): how many configurations there are, then all that is known of each, `greencode.1.model` and on.

    Names and numbers are those of the table of configurations; what is not known has no property. Text is escaped.
    Where there is a gate, `greencode.gate` has its decision. Of an ordinary test suite there are its totals.
    """
    gate = [] if decision is None else [("greencode.gate", decision.decision.value)]
    return [*_of_project(account), *gate, *_of_configurations(account)]


def _of_project(account: Account) -> list[tuple[str, str]]:
    if account.project is None:
        return []
    return [
        (f"greencode.{name}", str(cell))
        for (name, _), cell in zip(tables.PROJECT_TOTALS, tables.project_totals(account.project), strict=True)
        if cell is not None
    ]


def _of_configurations(account: Account) -> list[tuple[str, str]]:
    if not account.configurations and account.project is not None:
        return []
    table = tables.configurations(account)
    rows = list(table.rows)
    return [
        ("greencode.configurations", str(len(rows))),
        *(
            (f"greencode.{number}.{name}", escape(cell) if isinstance(cell, str) else str(cell))
            for number, row in enumerate(rows, 1)
            for (name, _), cell in zip(table.columns, row, strict=True)
            if cell is not None
        ),
    ]
