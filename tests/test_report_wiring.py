"""Reports as a run leaves them behind, serial and under pytest-xdist; without a sandbox, as what runs is known."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from conftest import right, with_sandbox, write_samples, wrong

from pytest_greencode.cli import main as greencode
from pytest_greencode.reports.registry import REPORTS

MEASURED = {"energy_j": 20.0, "energy_method": "measured", "source": "nvml"}
FILES = {kind: report.file_name for kind, report in REPORTS.items() if report.file_name}


def run(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider"),
            *with_sandbox("none", "--greencode-i-trust-this-code", "--greencode-meter", "estimated", *arguments),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=known | {"COLUMNS": "200"} | environment,
    )


@pytest.fixture(scope="module", params=[("-p", "no:xdist"), ("-n", "2")], ids=["serial", "parallel"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two models with every report."""
    root = tmp_path_factory.mktemp("reports")
    write_samples(root / "m.jsonl", right(0, generation=MEASURED), wrong(2, generation=MEASURED))
    write_samples(root / "=n.jsonl", right(0, generation=MEASURED, model="=n @you"))
    reports = [f"--greencode-report={kind}" for kind in REPORTS]
    summary = root / "summary.md"
    arguments = ("m.jsonl", "=n.jsonl", "--junitxml=junit.xml", *reports, *request.param)
    result = run(root, *arguments, GITHUB_STEP_SUMMARY=str(summary))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    for name in (*FILES.values(), str(summary)):
        assert f"report       {name.removeprefix(f'{root}/')}\n" in result.stdout
    return root


def test_every_report_is_written_to_its_own_file(finished: Path) -> None:
    assert {name for name in FILES.values() if not (finished / name).stat().st_size} == set()
    assert [path.name for path in finished.glob("*.part")] == []


def test_all_reports_say_the_same_number(finished: Path) -> None:
    report = json.loads((finished / FILES["json"]).read_text())
    costs = {each["model"]: each["per_accepted"]["co2e_g"] for each in report["configurations"]}
    assert None not in costs.values()
    with (finished / FILES["csv"]).open(newline="") as file:
        rows = {row["model"].removeprefix("'"): float(row["co2e_per_accepted_g"]) for row in csv.DictReader(file)}
    assert rows == costs
    properties = totals(finished / "junit.xml")
    names = {properties[f"greencode.{number}.model"]: number for number in (1, 2)}
    assert {m: float(properties[f"greencode.{n}.co2e_per_accepted_g"]) for m, n in names.items()} == costs
    best = f"{1e3 * min(costs.values()):.3g}"
    assert json.loads((finished / FILES["badge-json"]).read_text())["message"].startswith(best)
    assert best in (finished / FILES["badge"]).read_text()
    assert f" {best} " in (finished / "summary.md").read_text()
    assert (finished / "summary.md").read_text() == (finished / FILES["markdown"]).read_text()


def totals(path: Path) -> dict[str | None, str]:
    suite = ET.parse(path).getroot().find("testsuite")
    assert suite is not None
    assert len(suite.findall("testcase")) == 3
    [properties] = suite.findall("properties")
    return {item.get("name"): item.get("value") or "" for item in properties}


def test_the_ledger_alone_gives_the_same_reports(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    for kind in ("markdown", "csv", "csv-tasks", "badge", "badge-json"):
        assert greencode(["report", "--format", kind]) == 0
        assert capsys.readouterr().out == (finished / FILES[kind]).read_bytes().decode(), kind


def test_every_attempt_is_in_the_export(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished)
    assert greencode(["export", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sorted((row["model"], row["task_id"], row["verdict"]) for row in rows) == [
        ("=n @you", "HumanEval/0", "accepted"),
        ("m", "HumanEval/0", "accepted"),
        ("m", "HumanEval/2", "rejected"),
    ]
    assert all(row["energy_j"] > 0 and row["co2e_operational_g"] > 0 for row in rows)
    assert all(row["started_at"] <= row["finished_at"] for row in rows)


def test_a_step_summary_without_github_is_refused_before_the_first_attempt(tmp_path: Path) -> None:
    write_samples(tmp_path / "m.jsonl", right(0))
    result = run(tmp_path, "m.jsonl", "--greencode-report", "github")
    assert result.returncode == 4
    assert "found no $GITHUB_STEP_SUMMARY" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / ".greencode").exists()


def test_reports_that_cannot_be_written_are_said_and_the_account_shown(tmp_path: Path) -> None:
    write_samples(tmp_path / "m.jsonl", right(0))
    (tmp_path / "taken").mkdir()
    full = tmp_path / "full.md"
    full.write_bytes(b"x" * (1 << 20))
    reports = ("markdown:taken", "csv:/dev/full", "badge:/proc/none/x", "github:full.md")
    result = run(tmp_path, "m.jsonl", *(f"--greencode-report={report}" for report in reports))
    assert result.returncode == 0
    for report in reports:
        assert f"greencode: --greencode-report {report}: " in result.stdout
    assert "Traceback" not in result.stdout
    assert "ledger       .greencode/ledger.sqlite" in result.stdout
    assert list((tmp_path / "taken").iterdir()) == []
