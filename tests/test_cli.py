"""The command line: names, runs, slips and files that are none, each told in a line and with exit code 4."""

import json
import os
import re
import sqlite3
from pathlib import Path

import pytest
from builders import FACTORS, fill_ledger
from msgspec.structs import replace
from test_findings import HOSTILE, RUN, found_in, greencode, ledger, of_model  # noqa: F401

from pytest_greencode.accounting import account
from pytest_greencode.commands import stored_run
from pytest_greencode.errors import LedgerError, UsageProblem
from pytest_greencode.history.figures import KeyFigures, factors_digest
from pytest_greencode.history.file import read_history
from pytest_greencode.history.trend import changes
from pytest_greencode.ledger import Ledger
from pytest_greencode.model import Configuration, Sample
from pytest_greencode.reports.compare import compare_lines, outlook_lines
from pytest_greencode.reports.names import configuration_named, labels, task_named

HOT, COLD = {"temperature": 0.8}, {"temperature": 0}
TWO = [*of_model("my-7b", 2, settings=HOT), *of_model("my-7b", 1, settings=COLD), *of_model("other", 1)]


def named(asked, records=TWO):
    return configuration_named(asked, account(records, FACTORS).configurations, flag="--old")


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    "asked", ["my-7b (temperature=0.8)", 'my-7b {"temperature":0.8}', 'my-7b { "temperature": 0.8 }']
)
def test_a_configuration_by_label_or_settings(asked):
    assert named(asked) == Configuration(model="my-7b", settings='{"temperature":0.8}')
    assert named("other") == named("other {}") == Configuration(model="other")


def test_what_is_unknown_or_ambiguous_is_told_with_what_there_is():
    with pytest.raises(UsageProblem, match=r"--old nobody: no such configuration; expected NAME of .*temperature=0\.8"):
        named("nobody")
    with pytest.raises(UsageProblem, match=r'say which: my-7b \{"temperature":0\.8\}, my-7b \{"temperature":0\}'):
        named("my-7b")
    with pytest.raises(UsageProblem) as caught:
        named("nobody", of_model(HOSTILE, 1))
    assert str(caught.value).isprintable()


def test_a_name_that_looks_like_a_label_can_be_told_from_it():
    fake = "my-7b (temperature=0.8)"
    records = [*TWO, *of_model(fake, 1)]
    with pytest.raises(UsageProblem, match="say which"):
        named(fake, records)
    assert named(f"{fake} {{}}", records).model == fake
    known = labels(account(records, FACTORS).configurations)
    assert len(set(known.values())) == len(known) == 4


def test_a_task_behind_a_name_with_colons():
    configurations = account(of_model("org/m:7b", 1), FACTORS).configurations
    one = Configuration(model="org/m:7b")
    assert task_named("org/m:7b", configurations, flag="--explain") == (one, None)
    assert task_named("org/m:7b:HumanEval/3", configurations, flag="--explain") == (one, "HumanEval/3")
    with pytest.raises(UsageProblem, match="no such configuration or task"):
        task_named("org/m:7b:HumanEval/999", configurations, flag="--explain")


def test_long_namesakes_stay_apart():
    long = "organisation/a-model-with-a-long-name-{}-quantised-to-four-bits"
    records = [*of_model(long.format(1), 1, 10.0), *of_model(long.format(2), 2, 20.0)]
    _, found = found_in(records)
    lines = compare_lines(found)
    start = next(i for i, line in enumerate(lines) if line.startswith("gCO2e per accepted solution, were"))
    heading = lines[start + 2].split()
    assert len(set(heading[1:])) == 2
    assert max(map(len, [*lines, *outlook_lines(found)])) <= 80


def test_embodied_carbon_by_use_names_settings_and_suite():
    _, found = found_in([*TWO, *(replace(each, suite="mbpp") for each in TWO)])
    text = flat(" ".join(outlook_lines(found)))
    assert "my-7b (temperature=0.8) on humaneval: by time" in text
    assert "my-7b (temperature=0.8) on mbpp: by time" in text
    assert "on mbpp: " in text[text.index("decision ") :]


def test_the_change_is_asked_for_by_name(ledger, capsys, monkeypatch):  # noqa: F811
    asked = []
    real = stored_run.findings_of_run

    def spied(*arguments, old, new, **more):
        asked.append((old, new))
        return real(*arguments, old=None, new=None, **more)

    monkeypatch.setattr(stored_run, "findings_of_run", spied)
    assert greencode(capsys, "compare", "--old", "wasteful {}", "--new", "small")[0] == 0
    assert asked == [(Configuration(model="wasteful"), Configuration(model="small"))]
    for arguments, expected in (
        (["--old", "nobody"], "--old nobody: no such configuration; expected NAME of"),
        (["--old", "small", "--new", "small {}"], "say two configurations"),
    ):
        code, out, err = greencode(capsys, "forecast", *arguments)
        assert (code, out) == (4, "")
        assert expected in flat(err)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["reprot"], "did you mean `greencode report`?"),
        (["\x1b[31m\n"], "expected one of report"),
        ([], "see `greencode --help`"),
        (["compare", "--target", "many"], "expected a share above 0"),
        (["report", "--attempts", "x"], "expected a whole number from 1, found x"),
        (["report", "--pue", "0.5"], "usage effectiveness from 1 to 5"),
        (["report", "--format", "nothing"], "see `greencode report --help`"),
        (["report", "--regoin", "FRA"], "--regoin FRA; see `greencode report --help`"),
    ],
)
def test_a_slip_is_one_message(capsys, arguments, expected):
    code, out, err = greencode(capsys, *arguments)
    assert (code, out) == (4, "")
    assert expected in flat(err)
    assert max(map(len, err.splitlines())) <= 80
    assert all(line.isprintable() for line in err.splitlines())


def test_runs_and_their_beginnings(ledger, capsys):  # noqa: F811
    code, out, _ = greencode(capsys, "runs")
    assert code == 0
    assert out.splitlines()[1].split() == [RUN[:8], "2026-11-22T00:00:00Z", "144", "144", "0"]
    code, out, _ = greencode(capsys, "report", "--run", "000")
    assert code == 0
    assert f"run          {RUN[:8]}, started 2026-11-22T00:00:00Z" in out
    code, _, err = greencode(capsys, "compare", "--run", "f")
    assert code == 4
    assert f"{RUN[:8]} (2026-11-22T00:00:00Z, 144 attempts)" in flat(err)


def test_unfinished_attempts_come_first_and_into_no_history(ledger, capsys):  # noqa: F811
    book = Ledger(ledger)
    more = Sample(task_id="HumanEval/0", configuration=Configuration(model="small"), sample_id=9, completion="x")
    book.declare(RUN, [(more, "humaneval")])
    book.close()
    for command in (["compare"], ["forecast"], ["report", "--explain", "small"]):
        code, out, _ = greencode(capsys, *command)
        assert code == 0
        told = "incomplete small: 1 of 49 attempts not run, or not to the end; continue with --greencode-resume"
        assert flat(out).startswith(told)
    code, _, err = greencode(capsys, "history", "h.jsonl")
    assert code == 4
    assert "--greencode-resume" in err
    assert not Path("h.jsonl").exists()


def test_a_ledger_is_a_file_of_ours(tmp_path):
    pipe, foreign, empty = tmp_path / "pipe", tmp_path / "foreign.sqlite", tmp_path / "empty.sqlite"
    os.mkfifo(pipe)
    empty.touch()
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = foreign.read_bytes()
    for path, expected in (
        (tmp_path, "a directory"),
        (pipe, "a device"),
        (foreign, "is no ledger of pytest-greencode"),
    ):
        for read_only in (True, False):
            with pytest.raises(LedgerError, match=expected):
                Ledger(path, read_only=read_only)
    assert foreign.read_bytes() == before
    with pytest.raises(LedgerError, match="is no ledger"):
        Ledger(empty, read_only=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty.sqlite", "foreign.sqlite", "pipe"]


def test_no_permission_is_said(tmp_path, monkeypatch):
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(LedgerError, match="no permission to read"):
        Ledger(path, read_only=True)


def test_a_history_is_a_regular_file_and_its_lines_stay_whole(ledger, capsys, tmp_path):  # noqa: F811
    for path in ("/dev/full", tmp_path):
        code, _, err = greencode(capsys, "history", path)
        assert code == 4
        assert "expected a regular file" in flat(err)
    assert greencode(capsys, "history", "h.jsonl")[0] == 0
    file = Path("h.jsonl")
    file.write_bytes(file.read_bytes().removesuffix(b"\n"))
    code, out, _ = greencode(capsys, "history", "h.jsonl", "--region", "FRA")
    assert code == 0
    assert "other factors since 2026-11-22T00:00:00Z" in flat(out)
    assert "change" not in out
    found = read_history(file)
    assert (len(found.lines), found.broken) == (6, ())
    assert len({line.factors for line in found.lines}) == 2
    assert all(isinstance(line, KeyFigures) for line in found.lines)
    assert len(changes(found.lines, found.lines[3:])) == 3


def test_other_sources_are_no_other_factors():
    same = replace(FACTORS, execution=replace(FACTORS.execution, source="elsewhere"))
    other = replace(FACTORS, execution=replace(FACTORS.execution, g_per_kwh=1.0))
    assert factors_digest(same) == factors_digest(FACTORS) != factors_digest(other)


def test_the_ledger_s_runs_have_a_trend(ledger, capsys):  # noqa: F811
    """A second run of the same, in which one model needs twice as much, and a third that was broken off."""
    for run_id, at, factor in (("1" * 32, "2026-11-23T00:00:00Z", 2.0), ("2" * 32, "2026-11-24T00:00:00Z", 2.0)):
        records = []
        for record in [*of_model("small", 2, 10.0), *of_model("big", 1, 100.0)]:
            if record.configuration.model == "small":
                more = replace(record.generation, energy_j=factor * record.generation.energy_j)
                record = replace(record, generation=more)
            unfinished = run_id[0] == "2" and record.task_id == "HumanEval/3"
            records.append(replace(record, verdict=None) if unfinished else record)
        fill_ledger(ledger, run_id, records, {"started_at": at})
    code, out, err = greencode(capsys, "history", "--run", "2", "--html", "trend.html")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "left out: run 22222222, 4 attempts have not finished" in out
    blocks = {block.split(" on ")[0]: block for block in re.split(r"^(?=\w+ on humaneval)", out, flags=re.MULTILINE)}
    small, big, wasteful = (blocks[name] for name in ("small", "big", "wasteful"))
    assert "2026-11-22 00:00 00000000" in small
    assert "step CO2e x 1." in flat(small)
    assert "paired by task, in 2026-11-23T00:00:00Z 11111111 since 2026-11-22T00:00:00Z 00000000" in flat(small)
    assert "step" not in big.split("A step")[0]
    assert "2026-11-23" not in wasteful
    assert "x 1." in Path("trend.html").read_text("utf-8")
    # Up to the run that is asked for; the file has no run twice where the page cannot be written.
    code, out, _ = greencode(capsys, "history", "--run", RUN)
    assert "2026-11-23" not in out
    code, _, err = greencode(capsys, "history", "h.jsonl", "--run", RUN, "--html", "/dev/full")
    assert (code, Path("h.jsonl").exists()) == (4, False)
    assert "--html /dev/full" in err
    for arguments, told in (
        (["history", "--revision", "x"], "`greencode history FILE --revision REV`"),
        (["history", "--margin", "20"], "--margin: expected a share"),
        (["export", "--format", "bencher", "--table", "tasks"], "has key figures and no table"),
        (["export", "--format", "bencher", "--run", "2"], "4 attempts have not finished"),
    ):
        code, _, err = greencode(capsys, *arguments)
        assert code == 4
        assert told in flat(err)
    code, _, _ = greencode(capsys, "export", "--format", "bencher", "--run", RUN, "--output", "bmf.json")
    assert {name.split(": ")[1] for name in json.loads(Path("bmf.json").read_text())} == {
        "small k=2",
        "big k=2",
        "wasteful k=2",
    }
