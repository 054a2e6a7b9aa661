"""The record of a run, on disk before anything is judged: SQLite, one file for many runs.

An *attempt* is one sample to be verified. An *execution* is one run of one program; identical programs (same task,
code, limits and sandbox image) share it. A row of `execution` is written when it starts and filled in when it
finishes, so that whatever stops the session, finished work is kept and what was under way is known to be lost.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple, replace

from pytest_greencode.errors import LedgerError
from pytest_greencode.model import (
    AttemptRecord,
    Block,
    Configuration,
    Generation,
    ItemRun,
    Measured,
    Method,
    Reading,
    Sample,
    TestOutcome,
    TestOutcomes,
    Verdict,
    Window,
    Work,
)
from pytest_greencode.plain import plain_values

SCHEMA = 2
DEFAULT_LEDGER = ".greencode/ledger.sqlite"
ID_LENGTH = 8  # of a run's id as it is shown
# Kinds of overhead that others ask for by name.
BACKGROUND, STARTUP = "background", "startup"
_TABLES = """
CREATE TABLE IF NOT EXISTS run (
    run_id TEXT PRIMARY KEY, started_at TEXT NOT NULL, finished_at TEXT, facts TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS attempt (
    run_id TEXT NOT NULL, position INTEGER NOT NULL,
    model TEXT NOT NULL, settings TEXT NOT NULL, suite TEXT NOT NULL, task_id TEXT NOT NULL, sample_id INTEGER NOT NULL,
    path TEXT NOT NULL, generation TEXT, program_key TEXT, extraction TEXT NOT NULL DEFAULT 'as-is',
    skipped TEXT,
    PRIMARY KEY (run_id, model, settings, suite, task_id, sample_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS execution (
    run_id TEXT NOT NULL, program_key TEXT NOT NULL, task_id TEXT NOT NULL, started_at REAL NOT NULL, finished_at REAL,
    verdict TEXT, detail TEXT NOT NULL DEFAULT '', flaky INTEGER NOT NULL DEFAULT 0, repeats INTEGER NOT NULL DEFAULT 0,
    cpu_s REAL, wall_s REAL, peak_memory_bytes INTEGER, oracle_cpu_s REAL, harness_cpu_s REAL,
    energy_j REAL, harness_energy_j REAL, energy_method TEXT, energy_source TEXT,
    PRIMARY KEY (run_id, program_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS window (
    run_id TEXT NOT NULL, started_at REAL NOT NULL, finished_at REAL NOT NULL, duration_s REAL NOT NULL,
    package_uj INTEGER, dram_uj INTEGER, idle_w REAL, idle_busy_cpus REAL, busy_cpu_s REAL,
    reserved_share REAL NOT NULL, meter TEXT, invalid TEXT
);
CREATE TABLE IF NOT EXISTS overhead (
    run_id TEXT NOT NULL, kind TEXT NOT NULL, started_at REAL NOT NULL, finished_at REAL NOT NULL, cpu_s REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS reference (
    run_id TEXT NOT NULL, suite TEXT NOT NULL, task_id TEXT NOT NULL, program_key TEXT NOT NULL,
    PRIMARY KEY (run_id, suite, task_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS measured (
    run_id TEXT NOT NULL, program_key TEXT NOT NULL, energy_j REAL, low_j REAL, high_j REAL, confidence REAL NOT NULL,
    noise_floor_j REAL, harness_energy_j REAL, cpu_s REAL, peak_memory_bytes INTEGER, windows INTEGER NOT NULL,
    runs INTEGER NOT NULL, discarded TEXT NOT NULL, stopped_by TEXT NOT NULL, instructions REAL, flops REAL,
    PRIMARY KEY (run_id, program_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS test (
    run_id TEXT NOT NULL, test_id TEXT NOT NULL, attempt INTEGER NOT NULL, repetition INTEGER NOT NULL, outcome TEXT,
    started_at REAL, finished_at REAL, setup_cpu_s REAL, call_cpu_s REAL, teardown_cpu_s REAL, worker TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS tests_of_run ON test (run_id);
CREATE TABLE IF NOT EXISTS block (
    run_id TEXT NOT NULL, test_id TEXT NOT NULL, name TEXT NOT NULL, started_at REAL NOT NULL,
    finished_at REAL NOT NULL, cpu_s REAL NOT NULL, energy_j REAL, energy_method TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS gold (
    gold_key TEXT PRIMARY KEY, task_id TEXT NOT NULL, verdict TEXT NOT NULL, detail TEXT NOT NULL, oracle_cpu_s REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gold_tests (
    gold_key TEXT PRIMARY KEY, tests TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS test_outcomes (
    run_id TEXT NOT NULL, program_key TEXT NOT NULL, expected INTEGER NOT NULL, passed INTEGER NOT NULL,
    others TEXT NOT NULL,
    PRIMARY KEY (run_id, program_key)
) WITHOUT ROWID;
"""
_READING = ("cpu_s", "wall_s", "peak_memory_bytes", "oracle_cpu_s", "harness_cpu_s", "energy_j", "harness_energy_j",
            "energy_method", "energy_source")  # fmt: skip
_WINDOW = ("started_at", "finished_at", "duration_s", "package_uj", "dram_uj", "idle_w", "idle_busy_cpus",
           "busy_cpu_s", "reserved_share", "meter", "invalid")  # fmt: skip

_MEASURED = ("energy_j", "low_j", "high_j", "confidence", "noise_floor_j", "harness_energy_j", "cpu_s",
             "peak_memory_bytes", "windows", "runs", "discarded", "stopped_by", "instructions", "flops")  # fmt: skip

# The energy of a piece of work, J, and how it is known, from its key and its CPU seconds.
Price = Callable[[str, float], tuple[float | None, Method]]

# As the fields of `ItemRun` begin.
_TEST = ("test_id", "attempt", "repetition", "outcome", "started_at", "finished_at", "setup_cpu_s", "call_cpu_s",
         "teardown_cpu_s", "worker")  # fmt: skip
_OVERHEAD = ("kind", "started_at", "finished_at", "cpu_s")
_BLOCK = ("test_id", "name", "started_at", "finished_at", "cpu_s", "energy_j", "energy_method")
MAX_VARIABLES = 999  # of a statement, in every SQLite
_TEST_KEY = "test:"  # before a row's number: the key of its work

_FINISH = (
    "UPDATE execution SET finished_at = ?, verdict = ?, detail = ?, flaky = ?, repeats = ?, "  # noqa: S608
    + ", ".join(f"{name} = ?" for name in _READING)
    + " WHERE run_id = ? AND program_key = ? AND verdict IS NULL"
)


class Finished(Struct, frozen=True, kw_only=True):
    """The outcome of one execution, as the ledger keeps it. `ended_at`: when, if not just now.

    `tests`: of a candidate for a repository; the ledger gives them apart (`Ledger.test_outcomes`).
    """

    verdict: Verdict
    detail: str
    reading: Reading | None
    flaky: bool = False
    repeats: int = 0
    ended_at: float | None = None
    tests: TestOutcomes | None = None


class Started(Struct, frozen=True, kw_only=True):
    """An execution, and the attempt (sample, suite) on whose behalf it is looked for; None for a reference solution.

    `provisional`: whether it is the attempt's own is known only by its verdict, so the attempt is assigned to it later.
    """

    program_key: str
    task_id: str
    attempt: tuple[Sample, str] | None
    extraction: str
    provisional: bool = False


class Overhead(Struct, frozen=True, kw_only=True):
    """CPU seconds that no attempt answers for, between two moments (seconds since the epoch).

    `kind`: "host" (this package's own process), "start" (a sandbox), "load" (a task's tests), "gold" (a canonical
    solution), "repeated" (a run besides the one that counts), "alone" (the repetitions of what is measured alone),
    "startup" (this process until it began to measure), "background" (what tests started and
    left behind, and what fixtures' servers used between tests).
    """

    kind: str
    started_at: float
    finished_at: float
    cpu_s: float


class Gold(Struct, frozen=True, kw_only=True):
    """The verdict on a task's own canonical solution; of a repository also the tests that passed, which now have to."""

    verdict: Verdict
    detail: str
    oracle_cpu_s: float
    tests: tuple[str, ...] = ()


class RunRow(Struct, frozen=True, kw_only=True):
    """One run of a ledger. `finished`: attempts with a verdict, of those that were to be made; `tests` of a suite."""

    run_id: str
    started_at: str
    attempts: int
    finished: int
    tests: int = 0


def _insert(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """Many rows a statement: each gives up the interpreter's lock, and beside a busy thread waits 5 ms to get it."""
    places = f"({', '.join('?' * len(columns))})"
    at_once = MAX_VARIABLES // len(columns)
    for first in range(0, len(rows), at_once):
        some = rows[first : first + at_once]
        connection.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([places] * len(some))}",  # noqa: S608
            list(itertools.chain.from_iterable(some)),
        )


def identity(sample: Sample, suite: str) -> tuple[str, str, str, str, int]:
    """What an attempt is called within a run."""
    return (sample.configuration.model, sample.configuration.settings, suite, sample.task_id, sample.sample_id)


def _text(value: str) -> str:
    """SQLite text is UTF-8; a lone surrogate (legal in JSON) is not."""
    return value.encode("utf-8", "backslashreplace").decode()


class Ledger:
    """Thread-safe; several processes may have the same file open. Raises LedgerError when it cannot read or write.

    With `read_only` the file has to be there, and is left as it is.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        if read_only:
            self._connection = _read_only(path)
            return
        expected = "expected a path in a directory that can be written, or a ledger"
        # Before anything is opened: SQLite leaves a journal beside a device.
        _check_path(path, "--greencode-ledger", expected, writing=True)
        try:
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
                # Like pytest's own cache: nothing here is for version control.
                if path.parent.name == ".greencode":
                    (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if _is_foreign(self._connection):
                self._connection.close()
                raise LedgerError(f"--greencode-ledger {path}: {_NO_LEDGER}; give another path")
            if version not in (0, SCHEMA):
                self._connection.close()
                raise LedgerError(
                    f"--greencode-ledger {path}: written by another version (schema {version}, this one has {SCHEMA}); "
                    "give another path"
                )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            with self._writing():
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={SCHEMA}")
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"--greencode-ledger {path}: {_told(error)}; {expected}") from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise LedgerError(
                    f"the ledger {self.path} cannot be written: {error}; what finished before is kept in it "
                    "(continue with --greencode-resume)"
                ) from error

    def _rows(self, query: str, *arguments: object) -> list[Any]:
        with self._lock:
            try:
                return self._connection.execute(query, arguments).fetchall()
            except sqlite3.Error as error:
                raise LedgerError(f"the ledger {self.path} cannot be read: {error}") from error

    def begin(self, run_id: str, started_at: str, facts: Mapping[str, Any]) -> None:
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO run (run_id, started_at, facts) VALUES (?, ?, ?) "
                "ON CONFLICT (run_id) DO UPDATE SET facts = excluded.facts",
                (run_id, started_at, json.dumps(facts)),
            )

    def end(self, run_id: str, finished_at: str, meter: Mapping[str, Any] | None = None, **more: Any) -> None:
        """`meter`: the facts about it as they are known in the end; `more` of them by name."""
        facts = json.dumps({**self.facts(run_id), "meter": meter, **more})
        with self._writing() as connection:
            connection.execute(
                "UPDATE run SET finished_at = ?, facts = ? WHERE run_id = ?", (finished_at, facts, run_id)
            )

    def add_facts(self, run_id: str, **more: Any) -> None:
        facts = json.dumps({**self.facts(run_id), **more})
        with self._writing() as connection:
            connection.execute("UPDATE run SET facts = ? WHERE run_id = ?", (facts, run_id))

    def last_run(self, *, with_tests: bool = False) -> str | None:
        """The latest run in which an attempt finished, or a test of an ordinary suite too."""
        attempts = "SELECT 1 FROM execution WHERE execution.run_id = run.run_id AND verdict IS NOT NULL"
        tests = "SELECT 1 FROM test WHERE test.run_id = run.run_id"
        either = (
            f"EXISTS ({attempts}) OR EXISTS ({tests})" if with_tests and self._has_tests() else f"EXISTS ({attempts})"
        )
        rows = self._rows(f"SELECT run_id FROM run WHERE {either} ORDER BY started_at DESC, run.rowid DESC LIMIT 1")  # noqa: S608
        return str(rows[0][0]) if rows else None

    def _has_tests(self) -> bool:
        """A ledger that is only read may be older than the table."""
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'test'"))

    def runs(self) -> list[RunRow]:
        """All runs, the latest first."""
        rows = self._rows(
            "SELECT run.run_id, run.started_at, count(attempt.run_id), count(execution.verdict) FROM run"
            " LEFT JOIN attempt ON attempt.run_id = run.run_id AND attempt.skipped IS NULL"
            " LEFT JOIN execution ON execution.run_id = run.run_id AND execution.program_key = attempt.program_key"
            " GROUP BY run.run_id ORDER BY run.started_at DESC, run.rowid DESC"
        )
        tests = (
            self._rows("SELECT run_id, count(DISTINCT test_id) FROM test GROUP BY run_id") if self._has_tests() else []
        )
        of_run = dict(tests)
        return [
            RunRow(
                run_id=run_id,
                started_at=started_at,
                attempts=attempts,
                finished=finished,
                tests=of_run.get(run_id, 0),
            )
            for run_id, started_at, attempts, finished in rows
        ]

    def facts(self, run_id: str) -> dict[str, Any]:
        rows = self._rows("SELECT facts FROM run WHERE run_id = ?", run_id)
        return dict(json.loads(rows[0][0])) if rows else {}

    def declare(self, run_id: str, samples: Iterable[tuple[Sample, str]], *, first: int = 0) -> None:
        """Note what is to be attempted: (sample, suite), in positions from `first` on.

        Attempts that are known already stay as they are.
        """
        rows = []
        for position, (sample, suite) in enumerate(samples, first):
            generation = _generation_text(sample.generation)
            rows.append((run_id, position, *identity(sample, suite), _text(sample.path), generation))
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO attempt (run_id, position, model, settings, suite, task_id, sample_id, path,"
                " generation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def generated(self, run_id: str, sample: Sample, suite: str) -> None:
        """An attempt's generation, as it is known by now."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE attempt SET generation = ? WHERE run_id = ? AND model = ? AND settings = ? AND suite = ?"
                " AND task_id = ? AND sample_id = ?",
                (_generation_text(sample.generation), run_id, *identity(sample, suite)),
            )

    def skip(self, run_id: str, samples: Iterable[tuple[Sample, str]], reason: str) -> None:
        """Attempts that will not be made, and why (stop at accepted, attempts allowed, quarantine)."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE attempt SET skipped = ? WHERE run_id = ? AND model = ? AND settings = ? AND suite = ?"
                " AND task_id = ? AND sample_id = ?",
                [(reason, run_id, *identity(sample, suite)) for sample, suite in samples],
            )

    def start(self, run_id: str, started: Sequence[Started], at: float) -> None:
        """Executions begin."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO execution (run_id, program_key, task_id, started_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET started_at = excluded.started_at WHERE verdict IS NULL",
                [(run_id, each.program_key, each.task_id, at) for each in started],
            )
            for each in started:
                if not each.provisional:
                    self._assign(connection, run_id, each)

    def finish(
        self, run_id: str, finished: Sequence[tuple[str, Finished]], at: float, assign: Sequence[Started] = ()
    ) -> None:
        """Executions have ended: (program key, outcome); `assign`: what is now known to be an attempt's own."""
        with self._writing() as connection:
            for program_key, outcome in finished:
                self._finish(connection, run_id, program_key, outcome, at)
            for each in assign:
                self._assign(connection, run_id, each)

    @staticmethod
    def _finish(connection: sqlite3.Connection, run_id: str, program_key: str, outcome: Finished, at: float) -> None:
        reading = outcome.reading
        values = [None] * len(_READING) if reading is None else [getattr(reading, name) for name in _READING]
        ended_at = at if outcome.ended_at is None else outcome.ended_at
        facts = (ended_at, outcome.verdict.value, _text(outcome.detail), outcome.flaky, outcome.repeats)
        written = connection.execute(_FINISH, (*facts, *values, run_id, program_key)).rowcount
        if written and (tests := outcome.tests) is not None:
            others = json.dumps([(each.test, each.outcome, each.message) for each in tests.others])
            connection.execute(
                "INSERT OR REPLACE INTO test_outcomes VALUES (?, ?, ?, ?, ?)",
                (run_id, program_key, tests.expected, tests.passed, others),
            )
        if written or reading is None:
            return
        # Another process has run the same program meanwhile, and its outcome stands.
        cpu_s = reading.cpu_s + reading.oracle_cpu_s + reading.harness_cpu_s
        connection.execute(
            "INSERT INTO overhead (run_id, kind, started_at, finished_at, cpu_s) VALUES (?, 'repeated', ?, ?, ?)",
            (run_id, ended_at - reading.wall_s, ended_at, cpu_s),
        )

    def assign(self, run_id: str, shared: Started) -> None:
        """The attempt's verdict is that of an execution which began on behalf of another one."""
        with self._writing() as connection:
            self._assign(connection, run_id, shared)

    @staticmethod
    def _assign(connection: sqlite3.Connection, run_id: str, started: Started) -> None:
        if started.attempt is None:
            return
        connection.execute(
            "UPDATE attempt SET program_key = ?, extraction = ?, skipped = NULL WHERE run_id = ? AND model = ?"
            " AND settings = ? AND suite = ? AND task_id = ? AND sample_id = ?",
            (started.program_key, started.extraction, run_id, *identity(*started.attempt)),
        )

    def finished(self, run_id: str) -> dict[str, Finished]:
        """Executions that have an outcome, by program key."""
        rows = self._rows(
            f"SELECT program_key, verdict, detail, flaky, repeats, {', '.join(_READING)} FROM execution"  # noqa: S608
            " WHERE run_id = ? AND verdict IS NOT NULL",
            run_id,
        )
        return {
            row[0]: Finished(
                verdict=Verdict(row[1]),
                detail=row[2],
                flaky=bool(row[3]),
                repeats=row[4],
                reading=_reading(row[5:]),
            )
            for row in rows
        }

    def records(self, run_id: str) -> list[AttemptRecord]:
        """Every attempt of a run in its order; `verdict` None where none was reached. Skipped attempts are left out."""
        outcomes = self.finished(run_id)
        # What was stopped at the first accepted attempt is no sample of attempts: only the log itself can be told.
        options = self.facts(run_id).get("options", {})
        extra = {"chain": True} if options.get("stop_at_accepted") or options.get("repair") else {}
        rows = self._rows(
            "SELECT model, settings, suite, task_id, sample_id, path, generation, program_key, extraction FROM attempt"
            " WHERE run_id = ? AND skipped IS NULL ORDER BY position",
            run_id,
        )
        records = []
        for model, settings, suite, task_id, sample_id, path, generation, program_key, extraction in rows:
            record = AttemptRecord(
                suite=suite,
                task_id=task_id,
                configuration=Configuration(model=model, settings=settings),
                sample_id=sample_id,
                path=path,
                program_key=program_key or "",
                extraction=extraction,
                generation=_generation(generation),
                extra=extra,
            )
            outcome = outcomes.get(program_key)
            if outcome is not None:
                record = replace(
                    record,
                    verdict=outcome.verdict,
                    detail=outcome.detail,
                    flaky=outcome.flaky,
                    repeats=outcome.repeats,
                    reading=outcome.reading,
                )
            records.append(record)
        return records

    def quarantined(self, run_id: str) -> dict[str, str]:
        rows = self._rows(
            "SELECT DISTINCT task_id, skipped FROM attempt WHERE run_id = ? AND skipped LIKE 'quarantined: %'", run_id
        )
        return {task_id: reason.partition(": ")[2] for task_id, reason in rows}

    def note(
        self,
        run_id: str,
        windows: Sequence[Window] = (),
        overheads: Sequence[Overhead] = (),
        *,
        tests: Sequence[ItemRun] = (),
        blocks: Sequence[Block] = (),
    ) -> None:
        """What was read of the machine, what the harness used for itself, and the tests that have ended since."""
        with self._writing() as connection:
            for table, columns, rows in (
                ("window", _WINDOW, ([getattr(window, name) for name in _WINDOW] for window in windows)),
                ("overhead", _OVERHEAD, ([getattr(each, name) for name in _OVERHEAD] for each in overheads)),
                ("test", _TEST, ([_text(run.test_id), *astuple(run)[1 : len(_TEST)]] for run in tests)),
                ("block", _BLOCK, ([_cell(getattr(block, name)) for name in _BLOCK] for block in blocks)),
            ):
                _insert(connection, table, ("run_id", *columns), [[run_id, *row] for row in rows])

    def tests(self, run_id: str, price: Price | None = None) -> list[ItemRun]:
        """The runs of the tests of an ordinary suite, in the order in which they were written.

        `price` gives energies: it is asked with the key of a run's work and its CPU seconds.
        """
        if not self._has_tests():
            return []
        rows = self._rows(
            f"SELECT {', '.join(_TEST)}, setup_cpu_s + call_cpu_s + teardown_cpu_s, '{_TEST_KEY}' || rowid FROM test"  # noqa: S608
            " WHERE run_id = ? ORDER BY rowid",
            run_id,
        )
        found = []
        for *values, cpu_s, key in rows:
            energy_j, method = (None, Method.MISSING) if price is None or cpu_s is None else price(key, cpu_s)
            found.append(ItemRun(*values, key, energy_j, method))  # type: ignore[call-arg]
        return found

    def test_ids(self, run_id: str) -> set[str]:
        """Tests of an ordinary suite of which there is a run."""
        if not self._has_tests():
            return set()
        return {test_id for (test_id,) in self._rows("SELECT DISTINCT test_id FROM test WHERE run_id = ?", run_id)}

    def blocks(self, run_id: str) -> list[Block]:
        if not self._has_tests():
            return []
        rows = self._rows(f"SELECT {', '.join(_BLOCK)} FROM block WHERE run_id = ? ORDER BY rowid", run_id)  # noqa: S608
        found = (dict(zip(_BLOCK, row, strict=True)) for row in rows)
        return [Block(**row | {"energy_method": Method(row["energy_method"])}) for row in found]

    def set_idle_power(self, run_id: str, idle_w: float, since: float, *, idle_busy_cpus: float | None = None) -> None:
        """Idle power, W, of the windows that began at `since` or later: it is known better at the end of a session.

        `idle_busy_cpus`: the CPUs that were busy while it was measured.
        """
        with self._writing() as connection:
            connection.execute(
                "UPDATE window SET idle_w = ?, idle_busy_cpus = ? WHERE run_id = ? AND started_at >= ?",
                (idle_w, idle_busy_cpus, run_id, since),
            )

    def refer(self, run_id: str, references: Iterable[tuple[str, str, str]]) -> None:
        """Executions of tasks' own solutions: (suite, task id, program key)."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO reference (run_id, suite, task_id, program_key) VALUES (?, ?, ?, ?)",
                [(run_id, *reference) for reference in references],
            )

    def references(self, run_id: str) -> list[AttemptRecord]:
        """The tasks' own solutions that finished in a run, as records of a configuration "reference"."""
        outcomes = self.finished(run_id)
        rows = self._rows("SELECT suite, task_id, program_key FROM reference WHERE run_id = ?", run_id)
        return [
            AttemptRecord(
                suite=suite,
                task_id=task_id,
                configuration=Configuration(model="reference"),
                sample_id=0,
                path="",
                program_key=program_key,
                verdict=outcomes[program_key].verdict,
                reading=outcomes[program_key].reading,
            )
            for suite, task_id, program_key in rows
            if program_key in outcomes
        ]

    def remember_measured(self, run_id: str, measured: Mapping[str, Measured]) -> None:
        """Programs that were measured alone, by program key."""
        places = ", ".join("?" * (2 + len(_MEASURED)))
        rows = []
        for program_key, each in measured.items():
            fields = {name: getattr(each, name) for name in _MEASURED} | {"discarded": json.dumps(dict(each.discarded))}
            rows.append((run_id, program_key, *fields.values()))
        with self._writing() as connection:
            connection.executemany(
                f"INSERT OR REPLACE INTO measured (run_id, program_key, {', '.join(_MEASURED)})"  # noqa: S608
                f" VALUES ({places})",
                rows,
            )

    def measured(self, run_id: str) -> dict[str, Measured]:
        rows = self._rows(
            f"SELECT program_key, {', '.join(_MEASURED)} FROM measured WHERE run_id = ?",  # noqa: S608
            run_id,
        )
        found = {}
        for program_key, *values in rows:
            fields = dict(zip(_MEASURED, values, strict=True))
            found[program_key] = Measured(**fields | {"discarded": json.loads(fields["discarded"])})
        return found

    def windows(self, run_id: str) -> list[Window]:
        rows = self._rows(f"SELECT {', '.join(_WINDOW)} FROM window WHERE run_id = ?", run_id)  # noqa: S608
        return [Window(**dict(zip(_WINDOW, row, strict=True))) for row in rows]

    def work(self, run_id: str) -> list[Work]:
        """All CPU time that the run is known to have used: its executions', and the harness's own."""
        executions = self._rows(
            "SELECT program_key, max(started_at, finished_at - wall_s), finished_at, cpu_s,"
            " oracle_cpu_s + harness_cpu_s, NULL FROM execution WHERE run_id = ? AND wall_s IS NOT NULL",
            run_id,
        )
        overheads = self._rows(
            "SELECT NULL, started_at, finished_at, 0.0, cpu_s, kind FROM overhead"
            " WHERE run_id = ? AND kind <> 'background'",
            run_id,
        )
        # Unlike other overhead it is the tests' doing.
        background = self._rows(
            "SELECT kind, started_at, finished_at, cpu_s, 0.0, NULL FROM overhead"
            " WHERE run_id = ? AND kind = 'background'",
            run_id,
        )
        tests = [
            (run.work_key, run.started_at, run.finished_at, run.cpu_s, 0.0, None)
            for run in self.tests(run_id)
            if run.started_at is not None and run.finished_at is not None and run.cpu_s is not None
        ]
        return [
            Work(key=key, started_at=started, finished_at=finished, cpu_s=cpu_s, harness_cpu_s=harness_cpu_s, kind=kind)
            for key, started, finished, cpu_s, harness_cpu_s, kind in (*executions, *overheads, *background, *tests)
        ]

    def test_outcomes(self, run_id: str) -> dict[str, TestOutcomes]:
        """What became of repositories' tests, by program key."""
        if not self._rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'test_outcomes'"):
            return {}  # only read, and older than the table
        rows = self._rows("SELECT program_key, expected, passed, others FROM test_outcomes WHERE run_id = ?", run_id)
        return {
            key: TestOutcomes(
                expected=expected,
                passed=passed,
                others=tuple(TestOutcome(test=t, outcome=o, message=m) for t, o, m in json.loads(others)),
            )
            for key, expected, passed, others in rows
        }

    def overhead_cpu_s(self, run_id: str) -> dict[str, float]:
        """CPU seconds that no attempt and no test answers for, by kind."""
        rows = self._rows("SELECT kind, sum(cpu_s) FROM overhead WHERE run_id = ? GROUP BY kind", run_id)
        return dict(rows)

    def gold(self, gold_key: str) -> Gold | None:
        rows = self._rows(
            "SELECT verdict, detail, oracle_cpu_s, tests FROM gold LEFT JOIN gold_tests USING (gold_key)"
            " WHERE gold_key = ?",
            gold_key,
        )
        for verdict, detail, oracle_cpu_s, tests in rows:
            known = tuple(json.loads(tests)) if tests else ()
            return Gold(verdict=Verdict(verdict), detail=detail, oracle_cpu_s=oracle_cpu_s, tests=known)
        return None

    def remember_gold(self, gold_key: str, task_id: str, gold: Gold) -> None:
        with self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO gold VALUES (?, ?, ?, ?, ?)",
                (gold_key, task_id, gold.verdict.value, _text(gold.detail), gold.oracle_cpu_s),
            )
            if gold.tests:
                connection.execute(
                    "INSERT OR REPLACE INTO gold_tests VALUES (?, ?)", (gold_key, json.dumps(gold.tests))
                )

    def close(self) -> None:
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.close()


def nearest_ledger(directory: Path) -> Path | None:
    """The ledger that a run in this directory, or in one above, has written where it does by default."""
    found = (each / DEFAULT_LEDGER for each in (directory, *directory.parents))
    return next((path for path in found if path.exists()), None)


def _cell(value: object) -> object:
    return value.value if isinstance(value, Method) else _text(value) if isinstance(value, str) else value


_NO_LEDGER = "is no ledger of pytest-greencode"


def _check_path(path: Path, flag: str, expected: str, *, writing: bool = False) -> None:
    """Raises LedgerError for what exists and is no regular file, and for what may not be read (or written)."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise LedgerError(f"{flag} {path}: {_told(error)}; {expected}") from error
    if not stat.S_ISREG(mode):
        found = "a directory" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"
        raise LedgerError(f"{flag} {path}: {found}, no file; {expected}")
    for wanted, word in ((os.R_OK, "read"), (os.W_OK, "write"))[: 1 + writing]:
        if not os.access(path, wanted):
            raise LedgerError(f"{flag} {path}: no permission to {word} it; {expected}")
    if writing and not os.access(path.parent, os.W_OK | os.X_OK):
        raise LedgerError(f"{flag} {path}: no permission to write in {path.parent}; {expected}")


def _told(error: Exception) -> str:
    """What an operating system or SQLite says, in words."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return _NO_LEDGER if "not a database" in str(error) else str(error)


def _is_foreign(connection: sqlite3.Connection) -> bool:
    """Whether there are tables, and not those of a ledger."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return bool(names) and not names >= {"run", "attempt", "execution"}


def _read_only(path: Path) -> sqlite3.Connection:
    expected = "expected a ledger that `pytest --greencode` wrote"
    _check_path(path, "--ledger", expected)
    uri = f"{path.absolute().as_uri()}?mode="

    def opened(mode: str) -> tuple[sqlite3.Connection, int, bool]:
        connection = sqlite3.connect(uri + mode, uri=True, timeout=60, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA query_only=ON")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            return connection, version, version == 0 or _is_foreign(connection)
        except sqlite3.Error:
            connection.close()
            raise

    try:
        try:
            # Not mode=ro, which would leave the files of write-ahead logging behind.
            connection, version, foreign = opened("rw")
        except sqlite3.OperationalError:
            if Path(f"{path}-wal").exists():
                raise
            # A folder that cannot be written has no place for those files, and so there is no writer either.
            connection, version, foreign = opened("ro&immutable=1")
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(f"--ledger {path}: {_told(error)}; {expected}") from error
    if foreign:
        connection.close()
        raise LedgerError(f"--ledger {path}: {_NO_LEDGER}; {expected}")
    if version != SCHEMA:
        connection.close()
        raise LedgerError(f"--ledger {path}: schema {version}, this version reads {SCHEMA}; {expected}")
    return connection


def _reading(values: tuple[Any, ...]) -> Reading | None:
    if values[0] is None:
        return None
    fields = dict(zip(_READING, values, strict=True))
    fields["energy_method"] = Method(fields["energy_method"])
    return Reading(**fields)


def _generation_text(generation: Generation | None) -> str | None:
    if generation is None:
        return None
    return json.dumps({name: value for name, value in plain_values(generation).items() if value is not None})


def _generation(text: str | None) -> Generation | None:
    if text is None:
        return None
    fields = json.loads(text)
    fields["energy_method"] = Method(fields["energy_method"])
    return Generation(**fields)
