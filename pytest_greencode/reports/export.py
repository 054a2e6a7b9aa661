"""A run's tables for notebooks: CSV, JSON Lines or Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import islice

from ..errors import UsageProblem
from ..ledger import Ledger
from ..model import Factors
from ..run_account import account_of_run, pricing_of, records_of_run
from . import tables
from .csv import csv_lines
from .tables import Table

TABLES = ("attempts", "tasks", "configurations", "tests", "windows")
FORMATS = ("csv", "jsonl", "parquet")

_ROW_GROUP = 65_536


def run_table(
    name: str, ledger: Ledger, run_id: str, factors: Factors, *, attempts_allowed: int | None = None
) -> Table:
    """One of `TABLES` of a run; `attempts_allowed` is the headline's k. Raises LedgerError."""
    if name == "attempts":
        return tables.attempts(_attempts(ledger, run_id, factors))
    if name == "windows":
        return tables.windows(run_id, ledger.windows(run_id))
    account = account_of_run(ledger, run_id, factors, attempts_allowed=attempts_allowed)
    if name == "tests":
        return tables.project_tests(account.project)
    return tables.tasks(account) if name == "tasks" else tables.configurations(account)


def _attempts(ledger: Ledger, run_id: str, factors: Factors) -> Iterator[tables.Attempt]:
    records = records_of_run(ledger, run_id).attempts
    times = {work.key: (work.started_at, work.finished_at) for work in ledger.work(run_id) if work.key is not None}
    pricing = pricing_of(factors, ledger.facts(run_id))
    for record in records:
        started_at, finished_at = times.get(record.program_key, (None, None))
        cost = pricing.price(record)
        yield tables.Attempt(run_id=run_id, record=record, cost=cost, started_at=started_at, finished_at=finished_at)


def encoded(table: Table, kind: str) -> Iterator[bytes]:
    """The table in one of `FORMATS`, piece by piece. UsageProblem where Parquet is asked for without pyarrow."""
    if kind == "parquet":
        yield _parquet(table)
    elif kind == "csv":
        for line in csv_lines(table):
            yield line.encode()
    else:
        names = [name for name, _ in table.columns]
        for row in table.rows:
            yield json.dumps(dict(zip(names, row, strict=True)), allow_nan=False).encode() + b"\n"


def _parquet(table: Table) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageProblem(
            f"--format parquet needs pyarrow, which cannot be imported ({error}); install the extra:\n"
            "\tpip install 'pytest-greencode[parquet]'\nor take --format csv or jsonl"
        ) from None
    types = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in table.columns])
    buffer = io.BytesIO()
    with pyarrow.parquet.ParquetWriter(buffer, schema) as writer:
        while rows := list(islice(table.rows, _ROW_GROUP)):
            columns = zip(zip(*rows, strict=True), schema, strict=True)
            arrays = [pyarrow.array(cells, field.type) for cells, field in columns]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
    return buffer.getvalue()
