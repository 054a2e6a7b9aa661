"""What people copy into their CI: parsed, and its shell run in a small repository as far as that goes here."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parent.parent
CI = ROOT / "examples" / "ci"
WORKFLOWS = ("github-tests.yml", "github-gate.yml", "github-comment.yml")
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
MARKER = "<!-- pytest-greencode -->"
GH = """#!{python}
import json, os, pathlib, sys
arguments = sys.argv[1:]
calls = pathlib.Path("calls.jsonl")
body = next((pathlib.Path(a[6:]).read_text() for a in arguments if a.startswith("body=@")), None)
calls.open("a").write(json.dumps([arguments, body]) + "\\n")
if "--method" in arguments and "GET" in arguments:
    print(os.environ.get("PULL", ""))
elif "--paginate" in arguments:
    print(os.environ.get("COMMENTS", ""))
"""


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def scripts(found: Any) -> list[str]:
    """Every `run` in it, however deep."""
    if isinstance(found, Mapping):
        own = [str(found["run"])] if isinstance(found.get("run"), str) else []
        return own + [script for value in found.values() for script in scripts(value)]
    return [script for value in found for script in scripts(value)] if isinstance(found, list) else []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With tests of its own, and a `python` that has pytest-greencode and only notes what it should install."""
    (tmp_path / "test_it.py").write_text("def test_a(): sum(range(10_000))\ndef test_b(): pass\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    noted = '[ "$2" = pip ] && { echo "$@" >> pip.log; exit 0; }'
    (programs / "python").write_text(f'#!/bin/sh\n{noted}\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bash(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],  # as GitHub runs `shell: bash`
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )


# -- the action ------------------------------------------------------------------------------------------------------


def run_action(repository: Path, **inputs: str) -> tuple[dict[str, str], dict[str, str], str]:
    """Its steps in order: (outputs, outcome of each step, what was printed)."""
    action = read(ROOT / "action.yml")
    values = {name: str(each["default"]) for name, each in action["inputs"].items()} | inputs
    output, printed = repository / "output", ""
    outcomes = {}
    for step in action["runs"]["steps"]:
        output.write_text(output.read_text() if output.exists() else "")
        given = {name: str(value) for name, value in step["env"].items()}
        for name, value in given.items():
            known = {f"inputs.{key}": each for key, each in values.items()} | {"github.action_path": str(ROOT)}
            given[name] = EXPRESSION.sub(lambda match, known=known: known[match[1]], value)  # type: ignore[misc]
        summary = {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(repository / "summary.md")}
        if "failure" in outcomes.values() and "cancelled" not in step.get("if", ""):
            continue
        done = bash(step["run"], **given, **summary)
        outcomes[step["name"]] = "success" if done.returncode == 0 else "failure"
        printed += done.stdout + done.stderr
    return dict(line.split("=", 1) for line in output.read_text().splitlines()), outcomes, printed


def test_the_action_runs_tests_and_tells_the_headline(repository: Path) -> None:
    inputs = {"arguments": "-p no:cacheprovider -k 'test_a or test_b' --greencode-repeat 3"}
    outputs, outcomes, printed = run_action(repository, **inputs)
    assert set(outcomes.values()) == {"success"}, printed
    assert (repository / "pip.log").read_text().split()[-1] == str(ROOT)
    project = json.loads((repository / "greencode-report/report.json").read_text())["project"]
    assert outputs["exit-code"] == "0"
    assert float(outputs["energy-per-passing-test-j"]) == project["energy_per_passing_test_j"]["value"]
    assert float(outputs["cpu-seconds-per-passing-test"]) == project["cpu_seconds_per_passing_test"]["value"]
    assert [test["repetitions"] for test in project["tests"]] == [2, 2]
    assert (repository / "summary.md").read_text().startswith(MARKER)
    assert (repository / "greencode-report/comment.md").read_text() == (repository / "summary.md").read_text()
    assert json.loads((repository / "greencode-report/badge.json").read_text())["schemaVersion"] == 1
    [suite] = ET.parse(repository / "greencode-report/junit.xml").getroot().iter("testsuite")
    assert suite.get("tests") == "2"
    action = read(ROOT / "action.yml")
    named = {EXPRESSION.sub(lambda match: match[1], each["value"]) for each in action["outputs"].values()}
    assert named == {"inputs.directory", *(f"steps.{step}.outputs.{name}" for step, name in (
        ("run", "exit-code"), ("headline", "energy-per-passing-test-j"), ("headline", "cpu-seconds-per-passing-test")
    ))}  # fmt: skip


def test_a_failed_test_fails_the_action_and_is_reported(repository: Path) -> None:
    (repository / "test_it.py").write_text("def test_a(): pass\ndef test_b(): assert 0\n")
    outputs, outcomes, printed = run_action(repository, directory="out put")
    assert outcomes == {"Install": "success", "pytest --greencode": "failure", "Headline": "success"}, printed
    assert outputs["exit-code"] == "1"
    assert float(outputs["energy-per-passing-test-j"]) > 0
    assert (repository / "out put/comment.md").exists()


def test_arguments_are_text_and_no_script(repository: Path) -> None:
    outputs, _, printed = run_action(
        repository, requirement="pytest-greencode==9", arguments="-k '$(touch pwned)' `touch pwned` ;touch"
    )
    assert not (repository / "pwned").exists(), printed
    assert outputs["exit-code"] != "0"
    assert (repository / "pip.log").read_text().split()[-1] == "pytest-greencode==9"


# -- workflows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*(CI / name for name in WORKFLOWS), ROOT / "action.yml"], ids=lambda path: path.name)
def test_nothing_from_outside_is_put_into_a_script(path: Path) -> None:
    found = scripts(read(path))
    assert found
    assert [script for script in found if "${{" in script] == []


def test_tests_of_a_fork_may_write_nothing() -> None:
    workflow = read(CI / "github-tests.yml")
    triggers = workflow[True]  # YAML 1.1 takes "on" for a truth value
    assert set(triggers) == {"push", "pull_request"}
    assert workflow["permissions"] == {"contents": "read"}
    [job] = workflow["jobs"].values()
    checkout = next(step for step in job["steps"] if str(step.get("uses")).startswith("actions/checkout@"))
    assert checkout["with"] == {"persist-credentials": False}
    assert "secrets" not in (CI / "github-tests.yml").read_text().replace("no secrets", "")
    action = next(step for step in job["steps"] if "pytest-greencode@" in str(step.get("uses")))
    assert set(action["with"]) <= set(read(ROOT / "action.yml")["inputs"])


def test_the_gate_measures_both_sides_and_names_what_became_slow(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workflow's own shell, in a repository with one commit that makes a function ten times slower."""
    workflow = read(CI / "github-gate.yml")
    assert (set(workflow[True]), workflow["permissions"]) == ({"pull_request"}, {"contents": "read"})
    [job] = workflow["jobs"].values()
    base, pull = (step for step in job["steps"] if "env" in step)
    checkout = repository / "checkout"
    checkout.mkdir()
    (repository / "bin/greencode").write_text(
        f"#!{sys.executable}\nimport sys\nfrom pytest_greencode.cli import main\nsys.exit(main())\n"
    )
    (repository / "bin/greencode").chmod(0o755)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    commits = []
    for times in (1, 10):
        work = f"import time\ndef work(cpu_s):\n    end = time.thread_time() + {times} * cpu_s\n"
        Path("work.py").write_text(f"{work}    while time.thread_time() < end: pass\n")
        others = "\n".join(f"def test_other_{number}(): sum(range(300_000))" for number in range(12))
        Path("test_work.py").write_text(f"import work\ndef test_slow(): work.work(0.02)\n{others}\n")
        git = "git -c user.name=n -c user.email=e@example.org"
        made = bash(f"git init -q . && git add -A && {git} commit -qm {times} && git rev-parse HEAD")
        commits.append(made.stdout.strip())
    summary = repository / "summary.md"
    common = {"GITHUB_WORKSPACE": str(checkout), "GITHUB_STEP_SUMMARY": str(summary), "PYTHONPATH": f"{ROOT}:."}
    done = bash(base["run"], BASE=commits[0], **common)
    assert done.returncode == 0, done.stdout + done.stderr
    done = bash(pull["run"], RULE=pull["env"]["RULE"], **common)
    assert done.returncode == 8, done.stdout + done.stderr
    text = summary.read_text()
    assert "**gate: FAIL: `energy_per_passing_test_j`: " in text
    assert "is allowed: `test_work.py::test_slow` " in text


def test_who_may_write_runs_nothing_of_the_pull_request() -> None:
    workflow = read(CI / "github-comment.yml")
    assert workflow[True] == {"workflow_run": {"workflows": ["tests"], "types": ["completed"]}}
    assert workflow["permissions"] == {"actions": "read", "pull-requests": "write"}
    [job] = workflow["jobs"].values()
    assert [step for step in job["steps"] if "uses" in step] == []
    assert read(CI / "github-tests.yml")["name"] == "tests"


def comment_step() -> str:
    [job] = read(CI / "github-comment.yml")["jobs"].values()
    return str(job["steps"][-1]["run"])


@pytest.fixture
def gh(repository: Path) -> Path:
    program = repository / "bin" / "gh"
    program.write_text(GH.replace("{python}", sys.executable))
    program.chmod(0o755)
    (repository / "report").mkdir()
    return repository


def comment(gh: Path, **environment: str) -> tuple[int, list[Any]]:
    known = {"GH_REPO": "o/r", "HEAD_OWNER": "fork", "HEAD_BRANCH": "b", "HEAD_SHA": "a" * 40, "PULL": "7"}
    done = bash(comment_step(), **{**known, **environment})
    calls = gh / "calls.jsonl"
    return done.returncode, [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def test_a_comment_is_made_and_then_renewed(gh: Path) -> None:
    (gh / "report/comment.md").write_text(f"{MARKER}\n### Energy\n")
    code, calls = comment(gh)
    assert code == 0
    assert "head=fork:b" in calls[0][0]
    assert calls[-1][0][:2] == ["api", "repos/o/r/issues/7/comments"]
    assert calls[-1][1] == f"{MARKER}\n### Energy\n"
    code, calls = comment(gh, COMMENTS="123")
    assert code == 0
    assert calls[-1][0][:4] == ["api", "--method", "PATCH", "repos/o/r/issues/comments/123"]


def test_what_is_no_report_is_not_posted(gh: Path) -> None:
    (gh / "report/comment.md").write_text("Dear @team, please run this\n")
    assert comment(gh) == (1, [])
    (gh / "report/comment.md").write_text(f"{MARKER}\n{'x' * 65_536}")
    assert comment(gh) == (1, [])
    (gh / "report/comment.md").unlink()
    (gh / "report/comment.md").symlink_to("/etc/hostname")
    assert comment(gh) == (0, [])


def test_no_comment_on_a_closed_pull_request(gh: Path) -> None:
    (gh / "report/comment.md").write_text(f"{MARKER}\n")
    code, calls = comment(gh, PULL="")
    assert code == 0
    assert len(calls) == 1


# -- elsewhere -------------------------------------------------------------------------------------------------------


def test_gitlabs_job_runs(repository: Path) -> None:
    job = read(CI / "gitlab.yml")["greencode"]
    done = bash("\n".join(job["script"]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (repository / job["artifacts"]["reports"]["junit"]).exists()
    [folder] = job["artifacts"]["paths"]
    assert {path.name for path in (repository / folder).iterdir()} == {
        "junit.xml",
        "report.json",
        "report.md",
        "badge.svg",
    }


def test_the_pre_commit_hook_runs(repository: Path) -> None:
    [hook] = read(ROOT / ".pre-commit-hooks.yaml")
    [known] = read(CI / "pre-commit-config.yaml")["repos"]
    [used] = known["hooks"]
    assert used["id"] == hook["id"]
    assert hook["stages"] == ["pre-push", "manual"]
    done = bash(" ".join([hook["entry"], *used["args"]]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "per passing test" in done.stdout
    assert shutil.which("python") == str(repository / "bin" / "python")


def test_all_name_the_version_that_they_belong_to() -> None:
    from pytest_greencode import __version__

    for path in (CI / "github-tests.yml", CI / "github-gate.yml", CI / "pre-commit-config.yaml"):
        assert re.findall(r"@?v(\d+\.\d+\.\d+)\"?$", path.read_text(), re.MULTILINE) == [__version__], path.name
