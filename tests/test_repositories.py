# ruff: noqa: E501, ISC004
"""Candidates against a repository's own tests: the suite's file, what is refused, what is run, what cannot be forged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MEMORY_BYTES, each_sandbox, query, require_sandbox, with_sandbox, write_samples
from forgeries import FORGERIES, LEFT, WRONG
from msgspec.structs import replace

from pytest_greencode.candidate_tests import candidate_tests
from pytest_greencode.errors import FileFormatError
from pytest_greencode.model import Limits, Task, TestOutcome, TestOutcomes, Verdict
from pytest_greencode.reports.tests import failed_tests
from pytest_greencode.repository import changes_text, is_protected, patch_text, refusal
from pytest_greencode.sandboxes.base import Execution, Request, SandboxKind, WorkerSandbox
from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind
from pytest_greencode.sandboxes.docker import DockerKind
from pytest_greencode.suites.formats import canonical_program, program
from pytest_greencode.suites.repository_file import read_repository_suite

EXAMPLE = Path(__file__).parent.parent / "examples" / "repository"
SLUGS = (EXAMPLE / "project" / "shelf" / "slugs.py").read_text(encoding="utf-8")
LIMITS = Limits(cpu_s=10.0, memory_bytes=MEMORY_BYTES)


@pytest.fixture(scope="module")
def example() -> dict[str, Task]:
    return dict(read_repository_suite(EXAMPLE / "greencode.toml").tasks)


# -- what is refused before anything runs ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["tests/helper.py", "tests/data/x.txt", "conftest.py", "shelf/conftest.py", "pyproject.toml", "pytest.ini", "tox.ini",
     "test_more.py", "shelf/slugs_test.py", "sitecustomize.py", "sly-1.dist-info/entry_points.txt", "x.pth",
     "Sly-1.DIST-INFO/entry_points.txt", "SLY.egg-info/PKG-INFO", "tests.py",
     "shelf/__pycache__/slugs.cpython-311.pyc", "data/golden.json"],
)  # fmt: skip
def test_tests_and_what_configures_them_are_the_repositorys_own(path: str) -> None:
    assert is_protected(path, ("tests/unit::Class", "tests"), ("data/*",))


@pytest.mark.parametrize("path", ["shelf/slugs.py", "testing.py", "shelf/tests.py", "README.md", "latest/x.py"])
def test_everything_else_may_change(path: str) -> None:
    assert not is_protected(path, ("tests",))


def diff(path: str, old: str, new: str) -> str:
    return f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{old}\n+{new}\n"


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        (diff("tests/conftest.py", "import pytest", "import os"), "it changes tests/conftest.py, which is the repos"),
        ("--- /dev/null\n+++ b/tests/test_new.py\n@@ -0,0 +1 @@\n+pass\n", "it changes tests/test_new.py"),
        ("--- /dev/null\n+++ b/shelf/slugs.py/x.py\n@@ -0,0 +1 @@\n+pass\n", "a file and a directory in one place"),
        ("--- /dev/null\n+++ b/../x.py\n@@ -0,0 +1 @@\n+pass\n", "not below the repository"),
        (diff("shelf/slugs.py", "no such line", "x"), "the hunk at line 1 does not apply"),
        ("I would rather not.", "no unified diff"),
    ],
)
def test_a_patch_that_is_refused_says_why(example: dict[str, Task], patch: str, why: str) -> None:
    repository = example["shelf/faster-search"].repository
    assert repository is not None
    reason = refusal(patch_text(repository, patch))
    assert reason is not None
    assert why in reason


def test_equal_candidates_are_one(example: dict[str, Task]) -> None:
    task = example["shelf/slugs"]
    repository = task.repository
    assert repository is not None
    first = SLUGS.splitlines()[0]
    other = SLUGS.replace(first, "# Other.")
    changed = diff("shelf/slugs.py", first, "# Other.")
    by_patch = patch_text(repository, f"So:\n```diff\n{changed}```\n")
    assert by_patch == program(task, None, other) == program(task, other, None)
    assert by_patch == changes_text({"shelf/slugs.py": other})
    search = example["shelf/faster-search"]  # where there is no entry, what a model writes is a patch
    written = (EXAMPLE / "faster-search.patch").read_text(encoding="utf-8")
    assert program(search, written, None) == program(search, None, None, written) == canonical_program(search)


# -- the suite's file --------------------------------------------------------------------------------------------------


def test_a_suites_tasks(example: dict[str, Task]) -> None:
    slugs, search = example["shelf/slugs"], example["shelf/faster-search"]
    assert slugs.repository is not None
    assert search.repository is not None
    assert slugs.same_process
    assert (slugs.repository.tests, slugs.repository.entry) == (("tests/test_slugs.py",), "shelf/slugs.py")
    assert search.repository.tests == ("tests",)
    assert json.loads(canonical_program(slugs)) == {"files": {}}
    assert list(json.loads(canonical_program(search))["files"]) == ["shelf/search.py"]
    assert "pyproject.toml" in slugs.repository.files


def suite_file(directory: Path, text: str) -> Path:
    shutil.copytree(EXAMPLE / "project", directory / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (directory / "greencode.toml").write_text(text, encoding="utf-8")
    return directory / "greencode.toml"


SUITE = '[suite]\nname = "s"\nverdict = "same-process"\nroot = "project"\ntests = "tests"\n'
TASK = '[[task]]\ntask_id = "s/0"\n'


@pytest.mark.parametrize(
    ("text", "line", "field", "expected", "found"),
    [
        ("[suite]\nname = 's'\n[[task]]\ntask_id = 's/0'\n", 1, "suite.verdict", "this key", "nothing"),
        (SUITE.replace("same-process", "safe") + TASK, 3, "suite.verdict", "'same-process'", "'safe'"),
        (SUITE, None, "task", "this key", "nothing"),
        (f'{SUITE}{TASK}entri = "x"\n', 8, "task.0.entri", "(nearest: entry)", "'entri'"),
        (f'{SUITE}{TASK}entry = "tests/test_slugs.py"\n', 8, "task.0.entry", "no test", "test_slugs.py"),
        (f'{SUITE}{TASK}entry = "../x.py"\n', 8, "task.0.entry", "below the repository", "../x.py"),
        (f'{SUITE}{TASK}entry = "shelf/new.py"\n', 6, "task.0.canonical", "does not have", "nothing"),
        (f'{SUITE}{TASK}canonical = "no.patch"\n', 8, "task.0.canonical", "can be read", "No such file"),
        (f'{SUITE}{TASK}canonical = "greencode.toml"\n', 8, "task.0.canonical", "a patch", "greencode.toml"),
        (f'{SUITE}{TASK}tests = ["spec"]\n', 8, "task.0.tests", "of the repository", "spec"),
        (SUITE.replace('"tests"', '"spec"') + TASK, 5, "suite.tests", "of the repository", "spec"),
        (SUITE.replace('"project"', '"nowhere"') + TASK, 4, "suite.root", "a directory", "nowhere"),
        (f'{SUITE}memory = "lots"\n{TASK}', 6, "suite.memory", '"32m"', "lots"),
        (f"{SUITE}timeout_s = 0\n{TASK}", 6, "suite.timeout_s", "more than 0", "0"),
        (f'{SUITE}requirements = ["--pre"]\n{TASK}', 6, "suite.requirements", "a requirement", "--pre"),
        (f'{SUITE}image = "a"\nrequirements = ["b"]\n{TASK}', 1, "suite", "either image or requirements", "both"),
        (f"{SUITE}{TASK}{TASK}", 9, "task.1.task_id", "each task once", "'s/0' again"),
        ("[suite\n", 1, None, "TOML", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_with_its_place(
    tmp_path: Path, text: str, line: int | None, field: str | None, expected: str, found: str
) -> None:
    path = suite_file(tmp_path, text)
    with pytest.raises(FileFormatError) as caught:
        read_repository_suite(path)
    error = caught.value
    assert error.path == str(path)
    assert (error.line, expected in error.expected, found in error.found) == (line, True, True), str(error)
    assert field is None or (error.field or "").startswith(field)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such file"):
        read_repository_suite(tmp_path / "greencode.toml")


def test_what_holds_the_solution_is_not_copied(tmp_path: Path) -> None:
    path = suite_file(tmp_path, f'{SUITE}exclude = ["notes"]\n{TASK}canonical = "project/answer.patch"\n')
    project = tmp_path / "project"
    (project / "answer.patch").write_text((EXAMPLE / "faster-search.patch").read_text())
    for name in (".git/objects/x", "shelf/__pycache__/slugs.cpython-311.pyc", "notes/answer.py", "env/pyvenv.cfg"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("x")
    repository = read_repository_suite(path).tasks["s/0"].repository
    assert repository is not None
    assert {name.split("/")[0] for name in repository.files} == {"pyproject.toml", "shelf", "tests"}
    assert not [name for name in repository.files if name.endswith(".pyc")]


def test_a_link_that_leads_out_is_an_error(tmp_path: Path) -> None:
    path = suite_file(tmp_path, SUITE + TASK)
    (tmp_path / "project" / "shelf" / "secret.py").symlink_to("/etc/passwd")
    with pytest.raises(FileFormatError, match="a link that leads out of it"):
        read_repository_suite(path)


def test_the_digest_names_the_tree_and_how_its_tests_run(tmp_path: Path) -> None:
    path = suite_file(tmp_path, SUITE + TASK)
    digests = {read_repository_suite(path).sha256}
    (tmp_path / "project" / "shelf" / "slugs.py").write_text("changed = 1\n")
    digests.add(read_repository_suite(path).sha256)
    path.write_text(f'{SUITE}options = ["--strict-config"]\n{TASK}')
    digests.add(read_repository_suite(path).sha256)
    assert len(digests) == 3


# -- in a sandbox ------------------------------------------------------------------------------------------------------


class Bench:
    """One sandbox for a task, replaced when it says so."""

    def __init__(self, kind: SandboxKind, task: Task) -> None:
        assert task.repository is not None
        self.kind, self.task = kind.for_repository(task.repository.environment), task
        self._sandbox: WorkerSandbox | None = None
        self.gold = self.run(canonical_program(task), expected=None)

    def run(self, text: str, expected: tuple[str, ...] | None, task: Task | None = None) -> Execution:
        if self._sandbox is None:
            self._sandbox = self.kind.start()
        task = task or self.task
        assert task.repository is not None
        request = Request(task.repository.sha256, task, text, LIMITS, 60.0, expected)
        execution = next(iter(self._sandbox.run_all([request])))
        if execution.dirty:
            self.close()
        return execution

    def solution(self, text: str) -> Execution:
        return self.run(program(self.task, None, text), self.gold.test_names)

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
        self._sandbox = None


@pytest.fixture(scope="module", params=each_sandbox)
def bench(request: pytest.FixtureRequest, example: dict[str, Task]) -> Iterator[Bench]:
    kinds = {"docker": DockerKind, "bubblewrap": BubblewrapKind}
    kind = kinds[require_sandbox(request.param)](memory_bytes=MEMORY_BYTES)
    made = Bench(kind, example["shelf/slugs"])
    yield made
    made.close()
    made.kind.close()
    kind.close()


def test_the_canonical_solution_tells_which_tests_have_to_pass(bench: Bench) -> None:
    assert bench.gold.verdict is Verdict.ACCEPTED, bench.gold
    assert len(bench.gold.test_names) == 9
    assert "tests/test_slugs.py::test_a_slug_is_its_own_slug" in bench.gold.test_names
    again = bench.solution(SLUGS)
    assert (again.verdict, again.tests) == (Verdict.ACCEPTED, TestOutcomes(expected=9, passed=9))
    assert again.reading.cpu_s > 0
    assert again.reading.peak_memory_bytes


def test_results_are_told_test_by_test(bench: Bench) -> None:
    execution = bench.solution("def slug(title):\n    return '-'.join(title.lower().split()) or 1 / 0\n")
    assert execution.verdict is Verdict.REJECTED
    assert execution.tests is not None
    others = {each.test.partition("::")[2]: each for each in execution.tests.others}
    assert (execution.tests.expected, execution.tests.passed) == (9, 9 - len(others))
    assert {each.outcome for each in others.values()} == {"failed"}
    assert others["test_nothing_left[]"].message == "ZeroDivisionError: division by zero"
    assert "'oh----really?!' == 'oh-really'" in others["test_slug[  Oh -- really?! -oh-really]"].message
    assert execution.detail.startswith(f"{len(others)} of 9 tests did not pass: tests/test_slugs.py::test_slug[Les")


def test_a_file_that_is_no_python_is_malformed(bench: Bench) -> None:
    execution = bench.solution("def slug(title:\n")
    assert execution.verdict is Verdict.MALFORMED
    assert execution.detail.startswith("shelf/slugs.py: SyntaxError")


def test_hostile_messages_are_bounded(bench: Bench) -> None:
    program = "class E(Exception):\n    def __str__(self): return '\\x1b[2J\\ud800\\n' * 10**4\ndef slug(t): raise E\n"
    execution = bench.solution(program)
    assert execution.verdict is Verdict.REJECTED
    assert execution.tests is not None
    assert all(0 < len(each.message) <= 300 for each in execution.tests.others)
    assert len(execution.detail) <= 400


def test_nothing_of_an_attempt_is_there_in_the_next(bench: Bench) -> None:
    leaves = (
        "import os, pathlib, tempfile\n"
        "home = pathlib.Path(tempfile.gettempdir())\n"
        "found = sorted(str(path) for top in ('/w', home) for path in pathlib.Path(top).rglob('left*'))\n"
        "(home / 'left').write_text('x')\n"
        f"os.environ['LEFT'] = 'x'\nimport json\njson.left = 1\n{SLUGS}\nif found: raise LookupError(found)\n"
    )
    for _ in range(2):
        execution = bench.solution(leaves)
        assert execution.verdict is Verdict.ACCEPTED, execution
        assert not execution.dirty


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_not_accepted(bench: Bench, name: str) -> None:
    text = FORGERIES[name]
    execution = bench.solution(text if "def slug" in text else WRONG + text)
    assert execution.verdict not in (Verdict.ACCEPTED, Verdict.HARNESS_ERROR), execution
    assert execution.detail


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_is_what_the_documentation_says(bench: Bench, name: str) -> None:
    """The day one of these is rejected, the explanation has to change, too."""
    text = LEFT[name]
    assert bench.solution(text if "def slug" in text else WRONG + text).verdict is Verdict.ACCEPTED


TREE_TESTS = {
    # name: (the tests' file, whether the canonical solution is good for it)
    "outcomes": (
        "import pytest, unittest\nfrom m import f\n"
        "def test_plain(): assert f() == 1\n"
        "@pytest.mark.skip\ndef test_skipped(): pass\n"
        "@pytest.mark.xfail\ndef test_xfail(): assert f() == 2\n"
        "@pytest.mark.xfail\ndef test_xpass(): assert f() == 1\n"
        "class Test:\n    @pytest.mark.parametrize('x', [1, 2])\n    def test_in(self, x, tmp_path): assert f()\n"
        "class Unit(unittest.TestCase):\n    def test_unit(self):\n        with self.subTest(1): self.assertTrue(f())\n",
        4,
    ),
    "failing": ("from m import f\ndef test_wrong(): assert f() == 2\ndef test_right(): assert f() == 1\n", None),
    "failing-teardown": (
        "import pytest\n@pytest.fixture\ndef late():\n    yield\n    raise OSError\ndef test_late(late): pass\n",
        None,
    ),
    "failing-subtest": (
        "import unittest\nclass T(unittest.TestCase):\n    def test_sub(self):\n"
        "        with self.subTest(1): self.fail('no')\n",
        None,
    ),
    "none": ("from m import f\n", None),
    "unknown-option": ("def test(): pass\n", None),
}  # fmt: skip


@pytest.mark.parametrize("name", TREE_TESTS)
def test_which_tests_of_a_tree_count(bench: Bench, name: str) -> None:
    tests, passed = TREE_TESTS[name]
    assert bench.task.repository is not None
    files = {"m.py": b"def f(): return 1\n", "t/test_m.py": tests.encode(), "pytest.ini": b"[pytest]\naddopts = -x\n"}
    options = ("--no-such-option",) if name == "unknown-option" else ()
    repository = replace(bench.task.repository, files=files, sha256=name, tests=("t",), options=options, canonical={})
    execution = bench.run(changes_text({}), None, replace(bench.task, repository=repository))
    assert (execution.verdict is Verdict.ACCEPTED) == (passed is not None), execution
    if passed is not None:
        assert len(execution.test_names) == passed, execution
    if name == "unknown-option":
        assert "unrecognized arguments: --no-such-option" in execution.detail


# -- reports -----------------------------------------------------------------------------------------------------------


def test_failed_tests_are_counted_over_attempts_and_escaped() -> None:
    from builders import attempt

    records = [attempt("s/0", sample_id=index, accepted=index == 2, model="m\x1b") for index in range(3)]
    failed = TestOutcome(test="t.py::test_\x1b", outcome="failed", message="")
    missing = TestOutcome(test="t.py::test_b", outcome="missing")
    outcomes = {
        records[0].program_key: TestOutcomes(expected=4, passed=2, others=(missing, failed)),
        records[1].program_key: TestOutcomes(expected=4, passed=3, others=(replace(failed, message="\u202eE: x"),)),
        records[2].program_key: TestOutcomes(expected=4, passed=4),
    }
    (row,) = candidate_tests(records, outcomes)
    assert (row.attempts, row.expected) == (3, 4)
    assert [(each.test, dict(each.outcomes), each.message) for each in row.failed] == [
        ("t.py::test_\x1b", {"failed": 2}, "\u202eE: x"),
        ("t.py::test_b", {"missing": 1}, ""),
    ]
    ((key, text),) = failed_tests([row])
    assert key == "tests"
    assert text == r"m\x1b, s/0: t.py::test_\x1b failed in 2 of 3 attempts (\u202eE: x); 1 more of 4"
    assert list(candidate_tests(records, {})) == []


# -- through pytest ----------------------------------------------------------------------------------------------------


def report_of(pytester: pytest.Pytester, *arguments: str, sandbox: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    result = pytester.runpytest_subprocess(
        *with_sandbox(sandbox, "--greencode-meter", "estimated", "--greencode-report", "json:r.json", *arguments)
    )
    return result, json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))


EXPECTED = {
    ("careful", "slugs"): "accepted",
    ("careful", "borrowing"): "accepted",
    ("careful", "faster-search"): "accepted",
    ("hasty", "slugs"): "rejected",
    ("hasty", "borrowing"): "rejected",
    ("hasty", "faster-search"): "rejected",
    ("wasteful", "slugs"): "accepted",
    ("wasteful", "borrowing"): "timeout",
    ("wasteful", "faster-search"): "accepted",
    ("sly", "slugs"): "crashed",
    ("sly", "borrowing"): "rejected",
    ("sly", "faster-search"): "malformed",
}


def test_the_example(pytester: pytest.Pytester, any_sandbox: str) -> None:
    """Its suite lies beside the samples, and nobody need name it; a second session takes all of it over."""
    shutil.copytree(EXAMPLE, pytester.path / "e")
    result, report = report_of(pytester, "e/candidates.jsonl", "--greencode-green-capacity", sandbox=any_sandbox)
    assert result.ret == 0
    found = {
        (each["model"], task["task_id"].removeprefix("shelf/")): task["verdicts"]
        for each in report["configurations"]
        for task in each["tasks"]
    }
    assert found == {key: [verdict] for key, verdict in EXPECTED.items()}
    (suite,) = report["run"]["suites"]
    assert (suite["name"], suite["version"], suite["same_process"]) == ("shelf", "1", 3)
    result.stdout.fnmatch_lines(["tests        *"])
    tests = {(row["model"], row["task_id"]): row for row in report["repository_tests"]}
    failed = tests["hasty", "shelf/borrowing"]["failed"]
    assert [(each["test"], each["outcomes"]) for each in failed] == [
        ("tests/test_borrowing.py::test_the_order_of_taking", {"failed": 1})
    ]
    assert ("sly", "shelf/faster-search") not in tests  # refused, so no test ran
    ledger = pytester.path / ".greencode" / "ledger.sqlite"
    ((details,),) = query(ledger, "SELECT detail FROM execution WHERE verdict = 'malformed'")
    assert details.endswith("it changes tests/test_search.py, which is the repository's own")
    assert query(ledger, "SELECT count(*) FROM gold_tests") == [(3,)]

    before = query(ledger, "SELECT program_key, started_at FROM execution ORDER BY 1")
    result, again = report_of(pytester, "e/candidates.jsonl", "--greencode-resume", sandbox=any_sandbox)
    assert result.ret == 0
    assert again["repository_tests"] == report["repository_tests"]
    assert query(ledger, "SELECT program_key, started_at FROM execution ORDER BY 1") == before


def test_several_workers_and_retries_and_chat(pytester: pytest.Pytester, any_sandbox: str) -> None:
    shutil.copytree(EXAMPLE, pytester.path / "e")
    rows = [
        {"task_id": "shelf/slugs", "model": "m", "solution": "def slug(title):\n    return 1\n"},
        {"task_id": "shelf/slugs", "model": "m", "solution": f"Here it is:\n```python\n{SLUGS}```\nBye!"},
        {"task_id": "shelf/slugs", "model": "m", "patch": f"```diff\n{diff('shelf/slugs.py', 'no such', 'x')}```"},
        {"task_id": "HumanEval/53", "model": "m", "completion": "    return x + y\n"},
    ]
    write_samples(pytester.path / "c.jsonl", *rows)
    suite = "books=e/greencode.toml"
    result, report = report_of(
        pytester, "c.jsonl", "--greencode-suite", suite, "-n2", "--greencode-jobs", "1", sandbox=any_sandbox
    )
    assert result.ret == 0
    by_suite = {each["suite"]: each for each in report["configurations"]}
    assert by_suite["books"]["tasks"][0]["verdicts"] == ["rejected", "accepted", "malformed"]
    assert by_suite["books"]["extraction"]["rules"] == {"block": 1}
    assert by_suite["HumanEval"]["accepted"] == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"solution": "x", "patch": "y"}, "*expected exactly one of 'completion', 'solution' and 'patch'*"),
        (
            {"task_id": "shelf/faster-search", "solution": "x"},
            "*field 'solution': expected 'completion' or 'patch' for*",
        ),
        ({"task_id": "HumanEval/0", "patch": "x"}, "*field 'patch': expected 'completion' or 'solution' for*"),
    ],
)
def test_a_sample_of_a_form_that_its_task_does_not_take(
    pytester: pytest.Pytester, row: dict[str, str], message: str
) -> None:
    write_samples(pytester.path / "c.jsonl", {"task_id": "shelf/slugs", **row})
    arguments = ["c.jsonl", "--greencode-suite", f"shelf={EXAMPLE / 'greencode.toml'}", "--collect-only"]
    result = pytester.runpytest("--greencode", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])
