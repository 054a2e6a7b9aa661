"""Tables of a run with flat, named columns and units in the names: what CSV, JSON Lines, Parquet and JUnit are made of.

A cell is text, a number, a truth value or None, which is "not known" and never 0. Text is as the model or file gave it;
escaping is for whoever shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, Generic, TypeVar

from msgspec import Struct

from ..accounts import Account, ConfigurationAccount, CostMeans, TaskRow
from ..estimators import expected_attempts, expected_cost, pass_probability
from ..model import AttemptRecord, Generation, Reading, Window
from ..pricing import PARTS, Cost
from ..project_account import ItemAccount, ProjectAccount
from ..statistics import Interval

Cell = str | int | float | bool | None
Row = TypeVar("Row")


class Column(Struct, Generic[Row], frozen=True):
    """A column: its name, the type of its cells (each may be None as well), and how a row gives the cell."""

    name: str
    type: type[str | int | float | bool]
    of: Callable[[Row], Any]

    def cell(self, row: Row) -> Cell:
        value = self.of(row)
        if isinstance(value, Enum):
            value = value.value
        if value is None:
            return None
        if self.type is str:
            # A lone surrogate is in no UTF-8.
            text = str(value)
            return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
        cell: Cell = self.type(value)
        return None if isinstance(cell, float) and not math.isfinite(cell) else cell


class Table(Struct, frozen=True, kw_only=True):
    """`rows` may be walked through once."""

    name: str
    columns: tuple[tuple[str, type[str | int | float | bool]], ...]
    rows: Iterator[tuple[Cell, ...]]


def _table(name: str, columns: tuple[Column[Row], ...], rows: Iterable[Row]) -> Table:
    return Table(
        name=name,
        columns=tuple((column.name, column.type) for column in columns),
        rows=(tuple(column.cell(row) for column in columns) for row in rows),
    )


# One row a configuration.


def configurations(account: Account) -> Table:
    """Everything that the account says of a configuration, in the account's order."""
    return _table("configurations", CONFIGURATION_COLUMNS, account.configurations)


def _at(path: str) -> Callable[[Any], object]:
    """The attribute at the end of a dotted path; None where anything on the way is None."""
    first, *rest = path.split(".")

    def at(row: object) -> object:
        value = getattr(row, first)
        for name in rest:
            if value is None:
                return None
            value = getattr(value, name)
        return value

    return at


def _end(path: str, index: int) -> Callable[[Any], object]:
    """One end of the interval at a path."""

    at = _at(path)

    def end(row: object) -> object:
        interval: Interval | None = at(row)  # type: ignore[assignment]
        return None if interval is None else interval[index]

    return end


def _part(name: str) -> Callable[[ConfigurationAccount], object]:
    return lambda c: c.per_accepted.parts_g.get(name)


def _headline(name: str) -> Callable[[ConfigurationAccount], object]:
    """Of the row of `retry` that belongs to the headline's k."""

    def at(c: ConfigurationAccount) -> object:
        row = c.retry.get(c.per_accepted.attempts or 0)
        return None if row is None else getattr(row, name)

    return at


def _origin(figure: str, name: str) -> Callable[[ConfigurationAccount], object]:
    return lambda c: getattr(c.provenance.get(figure), name, None)


def _ratio(indicator: str) -> Callable[[ConfigurationAccount], object]:
    return lambda c: c.green_capacity and getattr(c.green_capacity.log_ratio.get(indicator), "ratio", None)


def _relation(name: str) -> Callable[[ConfigurationAccount], object]:
    return lambda c: c.green_capacity and c.green_capacity.relations.get(name)


CONFIGURATION_COLUMNS: tuple[Column[ConfigurationAccount], ...] = (
    Column("suite", str, _at("suite")),
    Column("model", str, _at("model")),
    Column("settings", str, _at("settings")),
    Column("tasks", int, _at("tasks")),
    Column("attempts", int, _at("attempts")),
    Column("accepted", int, _at("accepted")),
    # The headline.
    Column("attempts_allowed", int, _at("per_accepted.attempts")),
    Column("pass_at_1", float, lambda c: c.pass_at.get(1)),
    Column("pass_at_k", float, _headline("pass_probability")),
    Column("expected_attempts", float, _headline("attempts")),
    Column("correctness_coefficient", float, _headline("correctness_coefficient")),
    Column("co2e_per_accepted_g", float, _at("per_accepted.co2e_g")),
    Column("co2e_per_accepted_low_g", float, _end("per_accepted.interval", 0)),
    Column("co2e_per_accepted_high_g", float, _end("per_accepted.interval", 1)),
    Column("interval_reason", str, _at("per_accepted.interval_reason")),
    Column("this_benchmark_low_g", float, _end("per_accepted.this_benchmark", 0)),
    Column("this_benchmark_high_g", float, _end("per_accepted.this_benchmark", 1)),
    Column("this_benchmark_reason", str, _at("per_accepted.this_benchmark_reason")),
    Column("confidence", float, _at("per_accepted.confidence")),
    Column("operational_per_accepted_g", float, _at("per_accepted.operational_g")),
    Column("embodied_per_accepted_g", float, _at("per_accepted.embodied_g")),
    *(Column(f"{part}_per_accepted_g", float, _part(part)) for part in PARTS),
    *(
        Column(f"systematic_{point}_g", float, _at(f"per_accepted.systematic.{point}"))
        for point in ("p5", "p50", "p95")
    ),
    Column("energy_per_accepted_j", float, _at("per_accepted.energy_j")),
    Column("reason", str, _at("per_accepted.reason")),
    Column("co2e_per_accepted_lower_bound_g", float, _at("per_accepted.lower_bound_co2e_g")),
    Column("energy_per_accepted_lower_bound_j", float, _at("per_accepted.lower_bound_energy_j")),
    Column("pool_co2e_per_accepted_g", float, _at("pool.co2e_g_per_accepted")),
    Column("pool_energy_per_accepted_j", float, _at("pool.energy_j_per_accepted")),
    Column("waste_share", float, _at("waste_share")),
    Column("unsolved_share", float, _at("unsolved_share")),
    # Sums over all attempts.
    *(
        Column(f"energy_{part}_j", float, _at(f"energy_j.{part}"))
        for part in ("generation", "execution", "harness", "total")
    ),
    *(
        Column(f"co2e_{part}_g", float, _at(f"co2e_g.{part}"))
        for part in (
            "generation",
            "execution",
            "harness",
            "operational",
            "embodied_generation",
            "embodied_execution",
            "embodied",
            "total",
        )
    ),
    # How complete, and where from.
    Column("complete", bool, _at("completeness.complete")),
    *(
        Column(name, int, _at(f"completeness.{name}"))
        for name in ("attempts_planned", "attempts_finished", "attempts_unfinished", "harness_errors")
    ),
    *(
        Column(f"{part}_energy_missing", int, _at(f"completeness.{part}_missing"))
        for part in ("generation", "execution", "harness")
    ),
    Column("tasks_left_out", int, lambda c: len(c.completeness.tasks_left_out)),
    Column("replies_reduced_to_code", int, _at("extraction.needed")),
    Column("flaky", int, _at("flaky")),
    Column("deterministic", bool, _at("deterministic")),
    Column("chain", bool, _at("chain")),
    Column("generation_energy_method", str, _origin("energy_j.generation", "method")),
    Column("generation_energy_source", str, _origin("energy_j.generation", "source")),
    Column("execution_energy_method", str, _origin("energy_j.execution", "method")),
    Column("execution_energy_source", str, _origin("energy_j.execution", "source")),
    Column("co2e_method", str, _origin("per_accepted", "method")),
    Column("grid", str, _origin("co2e_g.operational", "source")),
    Column("hardware", str, lambda c: "; ".join(c.hardware) or None),
    # What was asked of the generator, means over attempts.
    Column("mean_prompt_tokens", float, _at("workload.prompt_tokens")),
    Column("mean_completion_tokens", float, _at("workload.completion_tokens")),
    Column("mean_batch_size", float, _at("workload.batch_size")),
    Column("mean_generation_s", float, _at("workload.duration_s")),
    # Green Capacity: canonical solution / accepted sample, geometric means; then counts of samples.
    *(
        Column(f"green_capacity_{name}_ratio", float, _ratio(indicator))
        for name, indicator in (
            ("run_time", "run_time_s"),
            ("peak_memory", "peak_memory_bytes"),
            ("energy", "energy_j"),
            ("flops", "flops"),
        )
    ),
    *(
        Column(f"green_capacity_{name}", int, _relation(name))
        for name in ("dominates", "dominated", "incomparable", "equal", "unknown")
    ),
)


# One row a task of a configuration.


class _Task(Struct, frozen=True, kw_only=True):
    configuration: ConfigurationAccount
    row: TaskRow

    @property
    def k(self) -> int | None:
        """The headline's k, where this task's attempts tell of it."""
        k = self.configuration.per_accepted.attempts
        return k if k is not None and k <= self.row.attempts and not self.configuration.chain else None

    def expected(self, means: CostMeans) -> float | None:
        """C_k, in the unit of the means."""
        if self.k is None or means.attempt is None:
            return None
        return expected_cost(self.row.attempts, self.row.accepted, self.k, means.accepted or 0.0, means.failed or 0.0)

    def of(self, estimate: Callable[[int, int, int], object]) -> object:
        return None if self.k is None else estimate(self.row.attempts, self.row.accepted, self.k)


def tasks(account: Account) -> Table:
    """Every task of every configuration (long form): n, c, what became of each attempt, P_k, A_k, C_k, mean costs."""
    rows = (_Task(configuration=c, row=row) for c in account.configurations for row in c.task_rows)
    return _table("tasks", TASK_COLUMNS, rows)


TASK_COLUMNS: tuple[Column[_Task], ...] = (
    *(Column(name, str, _at(f"configuration.{name}")) for name in ("suite", "model", "settings")),
    Column("task_id", str, _at("row.task_id")),
    Column("attempts", int, _at("row.attempts")),
    Column("accepted", int, _at("row.accepted")),
    Column("verdicts", str, lambda t: " ".join("unfinished" if v is None else v.value for v in t.row.verdicts)),
    Column("attempts_allowed", int, _at("configuration.per_accepted.attempts")),
    Column("pass_probability", float, lambda t: t.of(pass_probability)),
    Column("expected_attempts", float, lambda t: t.of(expected_attempts)),
    Column("expected_energy_j", float, lambda t: t.expected(t.row.energy_j)),
    Column("expected_co2e_g", float, lambda t: t.expected(t.row.co2e_g)),
    *(
        Column(f"{cost}_{which}_{unit}", float, _at(f"row.{cost}_{unit}.{name}"))
        for cost, unit in (("energy", "j"), ("co2e", "g"), ("operational", "g"), ("embodied", "g"))
        for which, name in (
            ("per_attempt", "attempt"),
            ("per_accepted_attempt", "accepted"),
            ("per_failed_attempt", "failed"),
        )
    ),
)


# One row an attempt.


class Attempt(Struct, frozen=True, kw_only=True):
    """An attempt as the account sees it; times in seconds since the epoch."""

    run_id: str
    record: AttemptRecord
    cost: Cost
    started_at: float | None
    finished_at: float | None


def attempts(rows: Iterable[Attempt]) -> Table:
    """Every attempt: outcome, reading with attributed energy, generation record, grams by part."""
    return _table("attempts", ATTEMPT_COLUMNS, rows)


def _type(annotation: object) -> type[str | int | float | bool]:
    """The type of a cell for a field's annotation, such as "float | None"; text for all that is no plain type."""
    names: dict[str, type[str | int | float | bool]] = {"int": int, "float": float, "bool": bool}
    return names.get(str(annotation).split(" | ")[0], str)


def _columns(of: type[Any], path: str, prefix: str = "") -> tuple[Column[Any], ...]:
    """A column for each field of a Struct."""
    return tuple(
        Column(f"{prefix}{name}", _type(kind), _at(f"{path}.{name}")) for name, kind in of.__annotations__.items()
    )


ATTEMPT_COLUMNS: tuple[Column[Attempt], ...] = (
    Column("run_id", str, _at("run_id")),
    *(
        Column(name, kind, _at(f"record.{path}"))
        for name, kind, path in (
            ("suite", str, "suite"),
            ("task_id", str, "task_id"),
            ("model", str, "configuration.model"),
            ("settings", str, "configuration.settings"),
            ("sample_id", int, "sample_id"),
            ("path", str, "path"),
            ("program_key", str, "program_key"),
            ("extraction", str, "extraction"),
            ("verdict", str, "verdict"),
            ("detail", str, "detail"),
            ("flaky", bool, "flaky"),
            ("repeats", int, "repeats"),
        )
    ),
    Column("started_at", float, _at("started_at")),
    Column("finished_at", float, _at("finished_at")),
    *_columns(Reading, "record.reading"),
    *_columns(Generation, "record.generation", "generation_"),
    *(
        Column(f"co2e_{part}_g", float, _at(f"cost.{part}_g"))
        for part in (
            "generation",
            "execution",
            "operational",
            "embodied_generation",
            "embodied_execution",
            "embodied",
            "solution",
            "harness",
        )
    ),
)


# One row a test of an ordinary suite.


def project_tests(project: ProjectAccount | None) -> Table:
    """Every test, in the order in which they first ran: outcome, runs, CPU time by phase, energy."""
    return _table("tests", TEST_COLUMNS, () if project is None else project.tests)


TEST_COLUMNS: tuple[Column[ItemAccount], ...] = (
    Column("test_id", str, _at("test_id")),
    Column("outcome", str, _at("outcome")),
    *(Column(name, int, _at(name)) for name in ("attempts", "repetitions")),
    *(Column(name, float, _at(name)) for name in ("cpu_s", "setup_cpu_s", "call_cpu_s", "teardown_cpu_s")),
    Column("cpu_low_s", float, _end("cpu_interval", 0)),
    Column("cpu_high_s", float, _end("cpu_interval", 1)),
    Column("energy_j", float, _at("energy_j")),
    Column("energy_low_j", float, _end("energy_interval", 0)),
    Column("energy_high_j", float, _end("energy_interval", 1)),
    Column("energy_method", str, _at("energy_method")),
    Column("wall_s", float, _at("wall_s")),
)

_TOTALS: tuple[Column[ProjectAccount], ...] = (
    Column("tests", int, lambda p: len(p.tests)),
    Column("tests_passing", int, _at("passing")),
    *(
        Column(f"{name}{end}", float, of)
        for name in ("energy_per_passing_test_j", "cpu_seconds_per_passing_test", "co2e_per_passing_test_g")
        for end, of in (
            ("", _at(f"{name}.value")),
            (".low", _end(f"{name}.interval", 0)),
            (".high", _end(f"{name}.interval", 1)),
        )
    ),
    Column("tests_wasted_share", float, _at("wasted_share")),
    Column("tests_energy_j", float, _at("tests_cost.energy_j")),
    Column("tests_cpu_s", float, _at("tests_cost.cpu_s")),
    Column("harness_energy_j", float, _at("harness.energy_j")),
    Column("harness_cpu_s", float, _at("harness.cpu_s")),
    Column("tests_energy_method", str, _at("method")),
)
PROJECT_TOTALS = tuple((column.name, column.type) for column in _TOTALS)


def project_totals(project: ProjectAccount) -> tuple[Cell, ...]:
    """The totals of a suite, named as in PROJECT_TOTALS."""
    return tuple(column.cell(project) for column in _TOTALS)


# One row a window.


def windows(run_id: str, rows: Iterable[Window]) -> Table:
    """What the meters saw of the machine, about a second at a time."""
    return _table("windows", WINDOW_COLUMNS, ((run_id, window) for window in rows))


WINDOW_COLUMNS: tuple[Column[tuple[str, Window]], ...] = (
    Column("run_id", str, lambda row: row[0]),
    *(
        Column(name, _type(kind), lambda row, name=name: getattr(row[1], name))  # type: ignore[misc]
        for name, kind in Window.__annotations__.items()
    ),
)
