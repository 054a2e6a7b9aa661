"""Tables, CSV, Parquet, badge and JUnit totals: complete, in order, and harmless wherever they are opened."""

from __future__ import annotations

import csv
import io
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reports import FACTORS, HOSTILE, A, R, records

from pytest_greencode import cli
from pytest_greencode.accounting import account
from pytest_greencode.accounts import ConfigurationAccount
from pytest_greencode.estimators import expected_cost, pass_probability
from pytest_greencode.ledger import Finished, Ledger, Started
from pytest_greencode.model import (
    Configuration,
    Generation,
    Method,
    Reading,
    Sample,
    Verdict,
    Window,
    canonical_settings,
)
from pytest_greencode.options import _LIST_OPTIONS
from pytest_greencode.reports import tables
from pytest_greencode.reports.badge import render_badge, render_badge_json
from pytest_greencode.reports.csv import csv_lines, render_csv, render_tasks_csv
from pytest_greencode.reports.export import FORMATS, TABLES, encoded
from pytest_greencode.reports.junit import junit_properties
from pytest_greencode.reports.registry import REPORTS, default_path, render_report, write_report, write_whole
from pytest_greencode.reports.tables import Table
from pytest_greencode.reports.text import escape

Z = Verdict.TIMEOUT


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def some_account(**arguments):  # type: ignore[no-untyped-def]
    found = [*records("a", [A, R, Z], 40.0, tasks=10, temperature=0.2), *records("b", [A, A], 20.0, tasks=10)]
    return account([*found, *records("c", [R], tasks=2), *records("d", [A], None, tasks=2)], FACTORS, **arguments)


# Tables.


def test_a_row_of_configurations_says_what_the_account_says() -> None:
    found = some_account()
    rows = rows_of(render_csv(found))
    assert [row["model"] for row in rows] == ["a", "b", "c", "d"]
    for row, configuration in zip(rows, found.configurations, strict=True):
        cost = configuration.per_accepted
        assert row["settings"] == configuration.settings
        assert row["co2e_per_accepted_g"] == ("" if cost.co2e_g is None else repr(cost.co2e_g))
        assert row["energy_per_accepted_j"] == ("" if cost.energy_j is None else repr(cost.energy_j))
        assert row["co2e_per_accepted_low_g"] == ("" if cost.interval is None else repr(cost.interval[0]))
        assert row["reason"] == (cost.reason or "")
        assert row["complete"] == str(configuration.completeness.complete).lower()
    a, b, c, d = rows
    assert (a["attempts_allowed"], a["accepted"], a["attempts"]) == ("3", "10", "30")
    assert float(a["correctness_coefficient"]) == found.configurations[0].retry[3].correctness_coefficient
    assert float(b["pass_at_k"]) == 1.0
    assert c["reason"] == "none accepted"
    assert float(c["co2e_per_accepted_lower_bound_g"]) > 0
    assert (d["energy_generation_j"], d["co2e_generation_g"], d["generation_energy_missing"]) == ("", "", "2")


def test_what_the_account_may_come_to_know_is_in_the_table_too() -> None:
    """Operational and embodied parts, their band, the workload and the hardware."""

    class Later:
        def __init__(self, **names: object) -> None:
            vars(self).update(names)

    known = some_account().configurations[0]
    names = {name: getattr(known, name) for name in ConfigurationAccount.__struct_fields__}
    cost = known.per_accepted
    more = {name: getattr(cost, name) for name in cost.__slots__} | {
        "operational_g": 1.0,
        "embodied_g": 2.0,
        "parts_g": {"generation": 0.75, "execution": 0.25, "embodied_generation": 1.5, "embodied_execution": 0.5},
        "systematic": Later(p5=2.5, p50=3.0, p95=4.0),
    }
    names |= {
        "per_accepted": Later(**more),
        "workload": Later(prompt_tokens=100.0, completion_tokens=50.0, batch_size=None, duration_s=2.0),
        "hardware": ("NVIDIA H200", "other"),
    }
    cells = {column.name: column.cell(Later(**names)) for column in tables.CONFIGURATION_COLUMNS}  # type: ignore[arg-type]
    assert (cells["operational_per_accepted_g"], cells["embodied_per_accepted_g"]) == (1.0, 2.0)
    assert cells["embodied_generation_per_accepted_g"] == 1.5
    assert (cells["systematic_p5_g"], cells["systematic_p95_g"]) == (2.5, 4.0)
    assert (cells["mean_prompt_tokens"], cells["mean_batch_size"], cells["hardware"]) == (
        100.0,
        None,
        "NVIDIA H200; other",
    )


def test_expected_costs_of_tasks_add_up_to_the_headline() -> None:
    found = some_account()
    rows = [row for row in rows_of(render_tasks_csv(found)) if row["model"] == "a"]
    assert [row["task_id"] for row in rows] == [f"HumanEval/{t}" for t in range(10)]
    assert {row["verdicts"] for row in rows} == {"accepted rejected timeout"}
    total = sum(float(row["expected_co2e_g"]) for row in rows)
    passed = sum(float(row["pass_probability"]) for row in rows)
    assert total / passed == pytest.approx(found.configurations[0].per_accepted.co2e_g)
    first = found.configurations[0].task_rows[0].energy_j
    assert first.accepted is not None
    assert first.failed is not None
    assert float(rows[0]["expected_energy_j"]) == expected_cost(3, 1, 3, first.accepted, first.failed)
    assert float(rows[0]["pass_probability"]) == float(pass_probability(3, 1, 3))


def test_a_task_without_the_headlines_k_or_its_energy_has_no_expected_cost() -> None:
    found = some_account(attempts_allowed=2)
    rows = {row["model"]: row for row in rows_of(render_tasks_csv(found))}
    assert rows["a"]["expected_co2e_g"] != ""
    assert (rows["c"]["pass_probability"], rows["c"]["expected_co2e_g"]) == ("", "")
    assert (rows["d"]["energy_per_attempt_j"], rows["d"]["co2e_per_attempt_g"]) == ("", "")


def test_every_field_of_an_attempt_has_a_column() -> None:
    names = [column.name for column in tables.ATTEMPT_COLUMNS]
    assert set(Reading.__struct_fields__) <= set(names)
    assert {f"generation_{name}" for name in Generation.__struct_fields__} <= set(names)
    assert {"verdict", "detail", "flaky", "repeats", "extraction", "started_at", "co2e_generation_g"} <= set(names)
    assert len(set(names)) == len(names)
    types = {column.name: column.type for column in tables.ATTEMPT_COLUMNS}
    assert [types[name] for name in ("peak_memory_bytes", "cpu_s", "generation_pue_included", "detail")] == [
        int,
        float,
        bool,
        str,
    ]


@pytest.mark.parametrize("columns", [tables.CONFIGURATION_COLUMNS, tables.TASK_COLUMNS, tables.WINDOW_COLUMNS])
def test_columns_are_named_once(columns: tuple[tables.Column[object], ...]) -> None:
    names = [column.name for column in columns]
    assert len(set(names)) == len(names)


# CSV.

any_cell = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
)
formula_text = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", " ", "\t", "\r\n", "'", "\u200b"]),
        st.sampled_from("=+-@\uff1d\uff0b\uff0d\uff20'\t|"),
        st.text(),
    ),
)


def in_csv(*cells: object) -> str:
    columns = tuple((f"c{number}", str) for number in range(len(cells)))
    return "".join(csv_lines(Table(name="t", columns=columns, rows=iter([cells]))))  # type: ignore[arg-type]


@given(st.lists(st.one_of(any_cell, formula_text), min_size=1, max_size=6))
def test_no_text_is_a_formula_and_every_text_comes_back(cells: list[object]) -> None:
    text = in_csv(*cells)
    assert text.count("\r\n") == 2
    assert text.replace("\r\n", "").isprintable()
    _, found = csv.reader(io.StringIO(text, newline=""))
    for cell, shown in zip(cells, found, strict=True):
        if isinstance(cell, str):
            assert not shown.lstrip().startswith(
                ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
            )
            assert shown.removeprefix("'") == escape(cell)
        elif cell is None:
            assert shown == ""
        else:
            assert type(cell)(json.loads(shown)) == cell


def test_numbers_are_plain_and_never_guarded() -> None:
    assert in_csv(-1.5, 1e-9, 10**20, True, None).splitlines()[1] == "-1.5,1e-09,100000000000000000000,true,"


def test_rfc_4180_quotes() -> None:
    assert in_csv('a,"b"', "c d").splitlines()[1] == '"a,""b""",c d'


def test_a_hostile_model_is_one_cell_of_one_line() -> None:
    text = render_csv(account(records(f"=HYPERLINK(1)\n{HOSTILE}", [A], tasks=1), FACTORS))
    assert len(text.splitlines()) == 2
    [row] = rows_of(text)
    assert row["model"] == "'" + escape(f"=HYPERLINK(1)\n{HOSTILE}").replace(
        r"\ud800", r"\\ud800".replace("\\\\", "\\")
    )


# The badge.

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("rows", "message", "color"),
    [
        (records("m", [A, R], 20.0, tasks=10), "4.59 mg [4.50, 4.67]", "blue"),
        (records("m", [A, R], 20.0, tasks=2), "4.43 mg", "blue"),
        (records("m", [R, R], tasks=10), "> 22.0 mg", "lightgrey"),
        (records("m", [A], None), "unknown", "lightgrey"),
        (records("m", [None], None), "unknown", "lightgrey"),
        ([], "unknown", "lightgrey"),
    ],
)
def test_the_badge_says_the_headline_in_words(rows: list[object], message: str, color: str) -> None:
    found = account(rows, FACTORS)  # type: ignore[arg-type]
    picture = ET.fromstring(render_badge(found))
    assert [element.text for element in picture.iter(f"{SVG}text")] == ["CO2e / accepted", message]
    assert json.loads(render_badge_json(found)) == {
        "schemaVersion": 1,
        "label": "CO2e / accepted",
        "message": message,
        "color": color,
    }


def test_the_badge_is_of_the_best_configuration_and_says_so() -> None:
    title = ET.fromstring(render_badge(some_account())).findtext(f"{SVG}title")
    assert title is not None
    assert "(b on humaneval: " in title
    assert "best of 4" in title


@given(st.text(max_size=300))
def test_a_hostile_name_is_text_in_the_badge(name: str) -> None:
    text = render_badge(account(records(f"</title><script>{name}", [A], tasks=1), FACTORS))
    picture = ET.fromstring(text)
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {"svg", "title", "rect", "g", "text"}
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace(escape(name), "")
    assert len(text) < 10_000


# JUnit.


def test_junit_totals_are_the_configurations_that_are_known() -> None:
    found = some_account()
    properties = dict(junit_properties(found))
    assert properties["greencode.configurations"] == "4"
    assert properties["greencode.1.model"] == "a"
    assert float(properties["greencode.1.co2e_per_accepted_g"]) == found.configurations[0].per_accepted.co2e_g
    assert properties["greencode.3.reason"] == "none accepted"
    assert "greencode.3.co2e_per_accepted_g" not in properties
    assert not any(value in ("None", "nan", "") for value in properties.values() if value != "")


# The registry.


def test_the_help_names_every_kind_of_report() -> None:
    [text] = [text for name, _, text in _LIST_OPTIONS if name == "report"]
    assert f": {', '.join(REPORTS)} (" in text


def test_every_kind_has_a_file_of_its_own() -> None:
    names = [default_path(kind, {"GITHUB_STEP_SUMMARY": "/x"}, flag="f") for kind in REPORTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", REPORTS)
def test_every_kind_renders_even_nothing(kind: str) -> None:
    assert render_report(kind, account([], FACTORS), {})
    assert render_report(kind, some_account(), {})


def test_a_step_summary_is_added_to_and_stays_within_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before")
    write_report("github", path, some_account(), {})
    write_report("github", path, some_account(), {})
    text = path.read_text()
    assert text.startswith("before\n<!-- pytest-greencode -->")
    assert text.count("### CO2e") == 2
    path.write_text("x" * ((1 << 20) - 3000))
    write_report("github", path, some_account(), {})
    assert path.stat().st_size <= 1 << 20
    assert "Left out" in path.read_text()
    path.write_text("x" * (1 << 20))
    with pytest.raises(Exception, match="holds 1048576 bytes already"):
        write_report("github", path, some_account(), {})
    assert path.stat().st_size == 1 << 20


def test_a_report_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_whole(path, [b"a", b"b"])
    assert path.read_bytes() == b"ab"

    def breaks():  # type: ignore[no-untyped-def]
        yield b"c"
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_whole(path, breaks())
    assert path.read_bytes() == b"ab"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    with pytest.raises(IsADirectoryError):
        write_whole(path.parent, [b"a"])
    link = tmp_path / "link"
    link.symlink_to(path)
    write_whole(link, [b"d"])
    assert link.is_symlink()
    assert path.read_bytes() == b"d"


# From a ledger.

RUN = "run-1"
HOSTILE_MODEL = "=evil\x1b[31m\n@you"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Three attempts, of which two have finished, and a window."""
    path = tmp_path / "ledger.sqlite"
    found = Ledger(path)
    found.begin(RUN, "2026-01-01T00:00:00Z", {"versions": {"pytest": "9"}, "sandbox": None, "meter": None})
    generation = Generation(energy_j=20.0, energy_method=Method.MEASURED, source="nvml", prompt_tokens=7, region="FRA")
    samples = [
        Sample(
            task_id=f"T/{number}",
            configuration=Configuration(model=HOSTILE_MODEL, settings=canonical_settings({"t": 1})),
            sample_id=0,
            completion="",
            generation=generation if number else None,
            path="m.jsonl",
        )
        for number in range(3)
    ]
    found.declare(RUN, [(sample, "suite") for sample in samples])
    reading = Reading(
        cpu_s=1.0,
        wall_s=2.0,
        peak_memory_bytes=1 << 20,
        oracle_cpu_s=0.25,
        harness_cpu_s=0.25,
        energy_j=3.0,
        harness_energy_j=1.5,
        energy_method=Method.ESTIMATED,
        energy_source="tdp",
    )
    for number, sample in enumerate(samples[:2]):
        found.start(
            RUN,
            [Started(program_key=f"k{number}", task_id=sample.task_id, attempt=(sample, "suite"), extraction="as-is")],
            10.0,
        )
        verdict = Verdict.ACCEPTED if number else Verdict.REJECTED
        found.finish(RUN, [(f"k{number}", Finished(verdict=verdict, detail="=x\ny", reading=reading))], 12.0)
    found.note(RUN, [Window(started_at=10.0, finished_at=11.0, duration_s=1.0, busy_cpu_s=0.5)])
    found.end(RUN, "2026-01-01T00:01:00Z")
    found.close()
    return path


def greencode(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, what was printed, and what was complained about, on one line."""
    code = cli.main([str(argument) for argument in arguments])
    printed, complaint = capsys.readouterr()
    return code, printed, " ".join(complaint.split())


def test_attempts_are_exported_with_every_field(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = greencode(capsys, "export", "--ledger", ledger, "--format", "jsonl", "--region", "360")
    assert code == 0
    rejected, accepted, unfinished = map(json.loads, text.splitlines())
    assert [row["verdict"] for row in (rejected, accepted, unfinished)] == ["rejected", "accepted", None]
    assert accepted["model"] == HOSTILE_MODEL
    assert accepted["settings"] == '{"t":1}'
    assert accepted["detail"] == "=x\ny"
    assert (accepted["started_at"], accepted["finished_at"]) == (10.0, 12.0)
    assert (accepted["energy_j"], accepted["energy_method"], accepted["peak_memory_bytes"]) == (
        3.0,
        "estimated",
        1 << 20,
    )
    assert (accepted["generation_energy_j"], accepted["generation_prompt_tokens"]) == (20.0, 7)
    assert accepted["co2e_execution_g"] == pytest.approx(3.0 * 360 / 3.6e6)
    assert accepted["co2e_operational_g"] == pytest.approx(accepted["co2e_generation_g"] + accepted["co2e_execution_g"])
    assert accepted["co2e_generation_g"] != pytest.approx(20.0 * 360 / 3.6e6)  # its own region's grid
    assert (rejected["generation_energy_j"], rejected["co2e_generation_g"], rejected["co2e_operational_g"]) == (
        None,
    ) * 3
    assert (unfinished["cpu_s"], unfinished["started_at"]) == (None, None)


@pytest.mark.parametrize("table", [table for table in TABLES if table != "tests"])
def test_every_table_has_the_same_rows_in_every_format(
    ledger: Path, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    _, lines, _ = greencode(capsys, "export", "--ledger", ledger, "--table", table, "--format", "jsonl")
    _, text, _ = greencode(capsys, "export", "--ledger", ledger, "--table", table)
    objects, rows = [json.loads(line) for line in lines.splitlines()], rows_of(text)
    assert len(objects) == len(rows) > 0
    for row, cells in zip(rows, objects, strict=True):
        assert list(row) == list(cells)
        for name, cell in cells.items():
            shown = row[name]
            if isinstance(cell, str):
                assert shown.removeprefix("'") == escape(cell)
            else:
                assert (json.loads(shown) if shown else None) == cell


def test_parquet_has_the_types_and_the_values(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "out" / "attempts.parquet"
    code, *_ = greencode(capsys, "export", "--ledger", ledger, "--format", "parquet", "--output", path)
    assert code == 0
    table = parquet.read_table(path)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert [kinds[name] for name in ("repeats", "cpu_s", "flaky", "detail")] == ["int64", "double", "bool", "string"]
    _, lines, _ = greencode(capsys, "export", "--ledger", ledger, "--format", "jsonl")
    assert table.to_pylist() == [json.loads(line) for line in lines.splitlines()]


def test_parquet_without_pyarrow_names_the_extra(
    ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "a.parquet"
    code, _, text = greencode(capsys, "export", "--ledger", ledger, "--format", "parquet", "--output", path)
    assert code == 4
    assert "pip install 'pytest-greencode[parquet]'" in text
    assert not path.exists()


@given(st.lists(st.tuples(any_cell), max_size=3))
def test_json_lines_are_json_whatever_the_cells(rows: list[tuple[object]]) -> None:
    table = Table(name="t", columns=(("c", str),), rows=iter(rows))  # type: ignore[arg-type]
    assert [json.loads(line)["c"] for line in b"".join(encoded(table, "jsonl")).splitlines()] == [
        row[0] for row in rows
    ]


@pytest.mark.parametrize("kind", ["terminal", *REPORTS])
def test_every_report_comes_from_the_ledger_alone(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "report"
    before = ledger.read_bytes()
    code, printed, _ = greencode(capsys, "report", "--ledger", ledger, "--format", kind, "--output", path)
    assert (code, printed) == (0, "")
    written = path.read_bytes().decode()
    assert "\x1b" not in written
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    code, printed, _ = greencode(capsys, "report", "--ledger", ledger, "--format", kind)
    shown = (tmp_path / "summary").read_text() if kind == "github" else printed
    assert (code, shown) == (0, written)
    assert ledger.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith("ledger")] == [ledger.name]


def test_json_is_still_a_flag_of_its_own(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        greencode(capsys, "report", "--ledger", ledger, "--json")[1]
        == greencode(capsys, "report", "--ledger", ledger, "--format", "json")[1]
    )


def test_a_step_summary_without_github_is_a_usage_error(
    ledger: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    code, _, text = greencode(capsys, "report", "--ledger", ledger, "--format", "github")
    assert code == 4
    assert "found no $GITHUB_STEP_SUMMARY" in text


def broken(path: Path, statement: str) -> None:
    import sqlite3

    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE run SET facts = '['",
        "UPDATE run SET facts = '[]'",
        "UPDATE run SET facts = '{\"meter\": 3}'",
        'UPDATE run SET facts = \'{"meter": {"cautions": [1]}}\'',
        "UPDATE attempt SET generation = '{}'",
        'UPDATE attempt SET generation = \'{"energy_method": "x"}\'',
        "UPDATE attempt SET model = CAST(x'ff' AS TEXT)",
        "UPDATE execution SET verdict = 'good'",
        "UPDATE execution SET cpu_s = 'x', energy_j = 'y'",
        "UPDATE window SET duration_s = 'x', meter = 'y', package_uj = 'z'",
        "DROP TABLE measured",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 0",
    ],
)
@pytest.mark.parametrize(
    "command", [("report",), ("report", "--format", "markdown"), *(("export", "--table", table) for table in TABLES)]
)
def test_a_broken_ledger_is_said_and_no_traceback(
    ledger: Path, capsys: pytest.CaptureFixture[str], statement: str, command: tuple[str, ...]
) -> None:
    broken(ledger, statement)
    code, _, text = greencode(capsys, *command, "--ledger", ledger)
    assert code in (0, 4)
    assert (code == 4) == text.startswith("greencode: ")


@pytest.mark.parametrize("command", ["report", "export"])
def test_what_is_no_ledger_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    for name, content in {"text": b"x" * 5000, "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
    for name in ("text", "empty", "missing", "."):
        code, _, text = greencode(capsys, command, "--ledger", tmp_path / name)
        assert code == 4
        assert text.startswith("greencode: --ledger ")
    assert (tmp_path / "empty").stat().st_size == 0


@pytest.mark.parametrize(
    "command", [("report", "--format", "csv"), ("report",), *(("export", "--format", kind) for kind in FORMATS[:2])]
)
def test_a_place_that_cannot_be_written_is_said(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "file" / "below", "/dev/full", "/proc/none/x"):
        code, _, text = greencode(capsys, *command, "--ledger", ledger, "--output", place)
        assert code == 4, place
        assert f"--output {place}: " in text
