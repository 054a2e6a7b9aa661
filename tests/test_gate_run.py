"""The gate as a required check meets it: exit codes, the sentence, reports; no sandbox, as what runs is known."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import valid_report
from conftest import right, with_sandbox, write_samples

from pytest_greencode.cli import main as greencode

TASKS = (0, 2, 4, 7, 12, 13, 15, 16, 23, 27)
RULES = {
    "pass": "co2e_per_accepted_g:1000",
    "fail": "co2e_per_accepted_g:1e-9",
    "inconclusive": "energy_per_accepted_j:29.5",  # 20 to 38 J of generation, and some tenths of execution
    "not_evaluated": "pass_at_1[nobody]:0.5",
}
TESTS_FAILED, USAGE, GATE = 1, 4, 8


def samples(path: Path, times: float = 1.0) -> Path:
    """Ten tasks solved, the n-th with 20 + 2n J of generation."""
    rows = (
        right(task, generation={"energy_j": times * (20.0 + 2 * n), "energy_method": "measured", "source": "nvml"})
        for n, task in enumerate(TASKS)
    )
    return write_samples(path, *rows)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gate")
    (root / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (root / "test_fails.py").write_text("def test_it():\n    assert False\n", encoding="utf-8")
    samples(root / "m.jsonl")
    samples(root / "worse" / "m.jsonl", 1.2)
    return root


def options(*arguments: str) -> list[str]:
    common = ("--greencode-i-trust-this-code", "--greencode-meter", "estimated", "--greencode-jobs", "1")
    return ["-p", "no:cacheprovider", *with_sandbox("none", *common, *arguments)]


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(root: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code and output of pytest in a directory (`root`): inside this process, with workers in one of its own."""

    def run(*arguments: str, workers: bool = False, directory: Path = root) -> tuple[int, str]:
        monkeypatch.chdir(directory)
        monkeypatch.setenv("COLUMNS", "80")
        if not workers:
            found = pytester.runpytest_inprocess("-p", "no:xdist", *options(*arguments))
            return int(found.ret), "\n".join([*found.outlines, *found.errlines])
        command = [sys.executable, "-m", "pytest", "-n", "1", *options(*arguments)]
        process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return process.returncode, process.stdout + process.stderr

    return run


@pytest.mark.parametrize("workers", [False, True], ids=["serial", "parallel"])
@pytest.mark.parametrize("tests_fail", [False, True], ids=["tests pass", "tests fail"])
@pytest.mark.parametrize("outcome", RULES)
def test_exit_codes(run: Run, outcome: str, tests_fail: bool, workers: bool) -> None:
    files = ["m.jsonl", *(["test_fails.py"] if tests_fail else [])]
    ledger = f"{outcome}-{tests_fail}-{workers}.sqlite"
    arguments = ["-q", "--greencode-fail", RULES[outcome], "--greencode-ledger", ledger]
    code, text = run(*files, *arguments, workers=workers)
    assert code == (TESTS_FAILED if tests_fail else GATE if outcome == "fail" else 0), text
    words = {"pass": "pass", "fail": "FAIL", "inconclusive": "inconclusive", "not_evaluated": "not evaluated"}
    (sentence,) = (line for line in text.splitlines() if line.startswith("gate "))
    assert sentence.split(maxsplit=1)[1].startswith(words[outcome])
    assert "Traceback" not in text


@pytest.mark.parametrize("outcome", RULES)
def test_strict_lets_nothing_by_but_a_pass(run: Run, outcome: str) -> None:
    arguments = ["-q", "--greencode-fail", RULES[outcome], "--greencode-ledger", f"{outcome}-strict.sqlite"]
    code, text = run("m.jsonl", *arguments, "--greencode-strict")
    assert code == (0 if outcome == "pass" else GATE), text


def test_a_regression_fails_the_check_in_every_report(root: Path, run: Run) -> None:
    """Saved, gated by the ini file, and a generator that takes a fifth more: named in one sentence, and everywhere."""
    assert run("m.jsonl")[0] == 0
    assert greencode(["baseline", "save"]) == 0
    lines = ["[pytest]", "greencode_baseline = greencode-baseline.json", "greencode_fail ="]
    lines += ["    co2e_per_accepted_g:+10%", "    pass_at_1:-2pp"]
    (root / "pytest.ini").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run("m.jsonl")[0] == 0
    reports = [f"--greencode-report={kind}" for kind in ("json", "markdown", "html")]
    code, text = run("worse/m.jsonl", "--junitxml=junit.xml", "--color=yes", *reports)
    assert code == GATE
    red = [line for line in text.splitlines() if line.startswith("\x1b[31m")]
    sentence = " ".join(" ".join(line.removeprefix("\x1b[31m").removesuffix("\x1b[0m") for line in red).split())
    # A fifth, but for what a busy machine adds to one side or the other.
    told = re.match(r"gate FAIL: co2e_per_accepted_g of m: ([\d.]+) times the baseline's \[", sentence)
    assert told is not None, sentence
    assert float(told[1]) == pytest.approx(1.2, abs=0.03)
    assert sentence.endswith("and +10% is allowed")
    report = valid_report((root / "greencode-report.json").read_text(encoding="utf-8"))
    decisions = {rule["field"]: rule["decision"] for rule in report["gate"]["rules"]}
    assert decisions == {"co2e_per_accepted_g": "fail", "pass_at_1": "pass"}
    cost = next(rule for rule in report["gate"]["rules"] if rule["field"] == "co2e_per_accepted_g")
    (own,) = report["configurations"]
    assert cost["value"] == pytest.approx(own["per_accepted"]["co2e_g"], rel=1e-9)
    reason = cost["reason"]
    assert reason.split()[0] in sentence
    assert reason in (root / "greencode-report.html").read_text(encoding="utf-8").replace("&#39;", "'")
    assert "\u274c **gate: FAIL:" in (root / "greencode-report.md").read_text(encoding="utf-8")
    suite = ET.parse(root / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    properties = {item.get("name"): item.get("value") for item in suite.iterfind("properties/property")}
    assert properties["greencode.gate"] == "fail"
    code, text = run("worse/m.jsonl", "-qq", "--greencode-fail", "co2e_per_accepted_g:+50%")
    assert (code, "gate         pass: 2 of 2 checks" in text) == (0, True)
    with (root / "greencode-baseline.json").open(encoding="utf-8") as file:
        other = json.load(file)
    other["configurations"][0]["conditions"]["CPU"] = "another"
    (root / "other.json").write_text(json.dumps(other), encoding="utf-8")
    for differences, code in (("refuse", 0), ("accept", GATE)):
        given = ("--greencode-baseline", "other.json", "--greencode-differences", differences)
        found, text = run("worse/m.jsonl", *given)
        assert found == code
        assert "CPU: baseline another, now" in " ".join(text.split())


def test_what_cannot_be_gated_is_said_before_anything_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    file = samples(tmp_path / "m.jsonl")
    for arguments, said in (
        (["--greencode-fail", "co2e_per_acepted_g:1"], "did you mean co2e_per_accepted_g?"),
        (["--greencode-fail", "pass_at_1:-2pp"], "compares with a baseline; say which: --greencode-baseline PATH"),
        (["--greencode-fail", "pass_at_1:-2pp", "--greencode-baseline", "no.json"], "no.json: no such file"),
        (
            ["--greencode-fail", "pass_at_1:-2pp", "--greencode-baseline", "no.json"],
            "and this makes the run: -o greencode_baseline= -o greencode_fail=",
        ),
        (
            ["--greencode-baseline", "m.jsonl", "--greencode-fail", "pass_at_1:-2pp"],
            "expected JSON as `greencode baseline",
        ),
        (["--greencode-baseline", "m.jsonl"], "no rule compares with it"),
    ):
        code, text = run(file.name, *arguments, directory=tmp_path)
        assert code == USAGE
        assert said in " ".join(text.split())
        assert "Traceback" not in text
    assert not (tmp_path / ".greencode").exists()


def test_a_gate_without_samples_is_no_pass(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    code, text = run("--greencode-fail", RULES["fail"], "--greencode-strict", directory=tmp_path)
    assert code == GATE
    assert "gate         not evaluated: 1 of 1 check, and --greencode-strict asks for a pass" in text
