"""`pytest --greencode` on ordinary tests, as its users meet it: serial and under pytest-xdist, without samples."""

from __future__ import annotations

import csv
import html
import json
import os
import re
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import right, write_samples
from test_energy_run import RAPL, require_machine

from pytest_greencode.cli import main as greencode

Pytester = pytest.Pytester
USAGE_ERROR = 4
SUITE = """
import subprocess, sys, threading, time, unittest
import pytest

def burn(cpu_s):
    end = time.thread_time() + cpu_s
    while time.thread_time() < end:
        pass

CHILD = [sys.executable, "-S", "-E", "-c", "import time\\nwhile time.process_time() < 0.05: pass"]

@pytest.fixture(scope="module")
def shared():
    burn(0.04)
    yield
    burn(0.03)

def test_first(shared): burn(0.01)
def test_second(shared): burn(0.01)
def test_threads():
    threads = [threading.Thread(target=burn, args=(0.02,)) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
def test_child(): subprocess.run(CHILD, check=True)
def test_fails(): burn(0.02); assert 0
@pytest.fixture
def broken(): burn(0.01); raise ValueError
def test_errors(broken): pass
@pytest.mark.skip
def test_skipped(): pass
def test_skipped_late(): burn(0.01); pytest.skip("late")
@pytest.mark.xfail
def test_expected(): burn(0.01); assert 0
@pytest.mark.parametrize("number", [1, 2])
def test_many(number): burn(0.01 * number)
class TestOld(unittest.TestCase):
    @classmethod
    def setUpClass(cls): burn(0.02)
    def test_one(self): burn(0.01)
    def test_parts(self):
        for number in range(3):
            with self.subTest(number=number):
                burn(0.01)
                self.assertNotEqual(number, 1)
@pytest.mark.greencode(repeat=3)
def test_repeated(): burn(0.01)
@pytest.mark.greencode(max_cpu_s=0.005)
def test_over_its_limit(): burn(0.01)
@pytest.mark.greencode(max_energy_j=100, max_cpu_s=10)
def test_within_its_limits(): burn(0.01)
def test_block(greencode):
    with greencode.measure("sorting") as block:
        assert block.cpu_s is None
        burn(0.02)
    assert 0.019 <= block.cpu_s < 0.5
    assert block.energy_j > 0
"""
# CPU seconds of setup and of the call.
EXPECTED = {
    "test_first": (0.04, 0.01),
    "test_second": (0, 0.01),
    "test_threads": (0, 0.04),
    "test_child": (0, 0.05),
    "test_fails": (0, 0.02),
    "test_errors": (0.01, 0),
    "test_skipped": (0, 0),
    "test_skipped_late": (0, 0.01),
    "test_expected": (0, 0.01),
    "test_many[1]": (0, 0.01),
    "test_many[2]": (0, 0.02),
    "TestOld::test_one": (0.02, 0.01),
    "TestOld::test_parts": (0, 0.03),
    "test_repeated": (0, 0.01),
    "test_over_its_limit": (0, 0.01),
    "test_within_its_limits": (0, 0.01),
    "test_block": (0, 0.02),
}
NOT_PASSED = {
    "test_fails": "failed",
    "test_errors": "error",
    "test_skipped": "skipped",
    "test_skipped_late": "skipped",
    "test_expected": "xfailed",
    "TestOld::test_parts": "failed",
    "test_over_its_limit": "failed",
}
REPORTS = ("json", "html", "markdown", "csv", "badge", "badge-json", "github")


@dataclass(frozen=True)
class Run:
    root: Path
    status: int
    output: str

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "greencode-report.json").read_text(encoding="utf-8")))

    @property
    def project(self) -> dict[str, Any]:
        return dict(self.report["project"])

    @property
    def tests(self) -> dict[str, dict[str, Any]]:
        return {test["test_id"].partition("::")[2]: test for test in self.project["tests"]}


def run(root: Path, *arguments: str, meter: str = "estimated", **environment: str) -> Run:
    known = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--greencode", "--greencode-meter", meter]
    done = subprocess.run(
        [*command, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=known | {"COLUMNS": "80"} | environment,
    )
    found = Run(root, done.returncode, done.stdout + done.stderr)
    assert "INTERNALERROR" not in found.output, found.output
    return found


def raw_of_page(page: str) -> dict[str, Any]:
    """The suite in the raw numbers of a page."""
    [found] = re.findall('<pre tabindex="0" id="tests-raw">(.*?)</pre>', page, re.DOTALL)
    return dict(json.loads(html.unescape(found)))


@pytest.fixture(scope="module", params=[("-p", "no:xdist"), ("-n", "2")], ids=["serial", "parallel"])
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("project")
    (root / "test_suite.py").write_text(SUITE)
    reports = [f"--greencode-report={kind}" for kind in REPORTS]
    summary = str(root / "summary.md")
    found = run(root, "--junitxml=junit.xml", *reports, *request.param, GITHUB_STEP_SUMMARY=summary)
    assert found.status == 1, found.output
    return found


def test_each_test_is_counted_once_and_rightly(measured: Run) -> None:
    outcomes = {name: test["outcome"] for name, test in measured.tests.items()}
    assert outcomes == {name: NOT_PASSED.get(name, "passed") for name in EXPECTED}
    assert measured.project["selected"] == len(EXPECTED)
    assert measured.project["passing"] == len(EXPECTED) - len(NOT_PASSED)
    assert measured.project["lost"] == []


def test_cpu_time_is_that_of_the_phases_with_threads_and_children(measured: Run) -> None:
    for name, (setup_s, call_s) in EXPECTED.items():
        if name == "test_second" and measured.tests["test_second"]["setup_cpu_s"] > 0.02:
            setup_s = 0.04  # another worker makes the fixture for itself
        if name == "TestOld::test_parts" and pytest.version_tuple < (9,):
            call_s = 0.02  # a subtest that fails ends the test
        test = measured.tests[name]
        # A busy machine takes more CPU time for the same, too; and what burns here counts the sampler's with its own.
        assert 0.95 * setup_s <= test["setup_cpu_s"] < setup_s + 0.1, (name, test)
        # A child's interpreter has to start and to end, too.
        assert 0.95 * call_s <= test["call_cpu_s"] < call_s + (0.3 if name == "test_child" else 0.1), (name, test)
        parts_s = [test[f"{phase}_cpu_s"] for phase in ("setup", "call", "teardown")]
        assert test["cpu_s"] == pytest.approx(sum(parts_s))
    assert sum(test["teardown_cpu_s"] for test in measured.tests.values()) >= 0.03


def test_the_headline_is_everything_over_what_passed(measured: Run) -> None:
    project = measured.project
    cpu_s = sum(test["cpu_s"] for test in project["tests"]) + project["background"]["cpu_s"]
    assert project["tests_cost"]["cpu_s"] == pytest.approx(cpu_s)
    assert project["cpu_seconds_per_passing_test"]["value"] == pytest.approx(cpu_s / project["passing"])
    meter = measured.report["run"]["meter"]
    watts = meter["max_w_per_vcpu"] - meter["min_w_per_vcpu"]
    assert project["energy_per_passing_test_j"]["value"] == pytest.approx(cpu_s * watts / project["passing"])
    assert project["method"] == "estimated"
    assert 0 < project["wasted_share"] < 1
    # Collecting and plugins are apart; to start a Python and pytest takes some time.
    assert project["harness"]["cpu_s"] > 0.05


def test_a_repeated_test_has_an_interval_and_says_nothing_of_its_repetitions(measured: Run) -> None:
    test = measured.tests["test_repeated"]
    assert (test["attempts"], test["repetitions"]) == (1, 2)
    low, high = test["cpu_interval"]
    assert low <= test["cpu_s"] <= high
    assert 0.019 <= measured.project["repetitions"]["cpu_s"] < 0.3
    [total] = re.findall(r"(\d+) passed", measured.output)
    subtests = int(total) - measured.project["passing"]
    assert subtests in (0, 1)  # pytest counts a unittest of which a subtest failed


def test_blocks_are_in_the_report(measured: Run) -> None:
    [block] = measured.project["blocks"]
    assert (block["test_id"], block["name"]) == ("test_suite.py::test_block", "sorting")
    assert 0.019 <= block["cpu_s"] < 0.5
    assert block["energy_method"] == "estimated"


def test_the_json_is_as_its_schema_says(measured: Run) -> None:
    schema = json.loads(resources.files("pytest_greencode").joinpath("data/report-1.schema.json").read_text("utf-8"))
    jsonschema.validate(measured.report, schema, cls=jsonschema.Draft202012Validator)


def test_the_terminal_names_the_costliest_in_eighty_columns(measured: Run) -> None:
    lines = measured.output.splitlines()
    start = next(index for index, line in enumerate(lines) if re.fullmatch(r"=+ greencode =+", line))
    own = lines[start : next(i for i, line in enumerate(lines) if i > start and line.startswith("ledger"))]
    assert max(map(len, own)) <= 80
    assert own[1] == "17 tests, 10 passing"
    text = "\n".join(own)
    for name in ("test_suite.py::test_child", "all tests", "pytest itself", "costliest tests"):
        assert name in text
    assert "of CPU time per passing test" in " ".join(text.split())
    assert "the call took" in measured.output


def test_other_reports_have_the_same_numbers(measured: Run) -> None:
    project = measured.project
    with (measured.root / "greencode-report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["test_id"] for row in rows] == [test["test_id"] for test in project["tests"]]
    assert [float(row["cpu_s"]) for row in rows] == [test["cpu_s"] for test in project["tests"]]
    [suite] = ET.parse(measured.root / "junit.xml").getroot().iter("testsuite")
    properties = {each.get("name"): each.get("value") for each in suite.find("properties") or ()}
    assert properties["greencode.tests_passing"] == str(project["passing"])
    energy_j = project["energy_per_passing_test_j"]["value"]
    assert float(properties["greencode.energy_per_passing_test_j"] or 0) == energy_j
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    own = {each.get("name"): each.get("value") for each in cases["test_child"].iter("property")}
    assert float(own["greencode.cpu_s"] or 0) == pytest.approx(measured.tests["test_child"]["cpu_s"])
    markdown = (measured.root / "greencode-report.md").read_text(encoding="utf-8")
    assert markdown.startswith("<!-- pytest-greencode -->\n### Energy per passing test\n")
    assert (measured.root / "summary.md").read_text(encoding="utf-8") == markdown
    assert raw_of_page((measured.root / "greencode-report.html").read_text(encoding="utf-8")) == project
    badge = json.loads((measured.root / "greencode-report-badge.json").read_text())
    assert badge["label"] == "energy / passing test"
    assert badge["message"].endswith("mJ")


def test_the_ledger_tells_it_all_again(
    measured: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(measured.root)

    def told(*arguments: str) -> tuple[int, str, str]:
        code = greencode(arguments)
        out, err = capsys.readouterr()
        return code, out, " ".join(err.split())

    again = json.loads(told("report", "--json")[1])["project"]
    assert again == measured.project
    assert "17 tests, 10 passing" in told("report")[1]
    rows = [json.loads(line) for line in told("export", "--table", "tests", "--format", "jsonl")[1].splitlines()]
    assert [row["energy_j"] for row in rows] == [test["energy_j"] for test in measured.project["tests"]]
    assert told("runs")[1].splitlines()[1].split()[2:] == ["0", "0", "17"]
    for command in (["compare"], ["forecast"], ["export"]):
        code, _, err = told(*command)
        assert (code, "only tests of an ordinary suite" in err) == (4, True), command
    code, page, err = told("report", "--format", "html")
    assert (code, err) == (0, "")
    assert raw_of_page(page) == measured.project
    code, _, err = told("report", "--explain", "x")
    assert code == 4


# -- what may go wrong ---------------------------------------------------------------------------------------------


@pytest.fixture
def start(pytester: Pytester) -> Callable[..., pytest.RunResult]:
    """Runs `pytest --greencode` inside this process."""

    def start(*arguments: Any, on: bool = True) -> pytest.RunResult:
        own = ("--greencode", "--greencode-meter", "estimated") if on else ()
        return pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:cacheprovider", *own, *arguments)

    return start


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("max_j=1", "expected only max_energy_j=..., max_cpu_s=..., repeat=..., found max_j=..."),
        ("3", "expected only max_energy_j=..., max_cpu_s=..., repeat=..., found 3"),
        ("repeat=0", "repeat: expected a whole number from 1, found 0"),
        ("repeat=True", "repeat: expected a whole number from 1, found True"),
        ("max_cpu_s='1 s'", "max_cpu_s: expected a number above 0, found '1 s'"),
        ("max_energy_j=-1", "max_energy_j: expected a number above 0, found -1"),
    ],
)
def test_a_marker_that_cannot_be_kept_is_a_usage_error(
    start: Callable[..., pytest.RunResult], pytester: Pytester, marker: str, said: str
) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.greencode({marker})\ndef test_it(): pass\n")
    result = start()
    assert result.ret == USAGE_ERROR
    text = "\n".join([*result.outlines, *result.errlines])
    assert f"::test_it: @pytest.mark.greencode: {said}" in text
    assert "Traceback" not in text


def test_without_greencode_marker_and_fixture_are_there_and_nothing_is_written(
    start: Callable[..., pytest.RunResult], pytester: Pytester
) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.greencode(max_cpu_s=1e-9, repeat=3)
        def test_it(greencode):
            with greencode.measure("x") as block:
                sum(range(100_000))
            assert block.cpu_s > 0
            assert block.energy_j > 0
            assert block.energy_method == "estimated"
        """
    )
    result = start("--strict-markers", on=False)
    result.assert_outcomes(passed=1)
    assert not Path(".greencode").exists()


def test_limits_are_of_the_mean_call(start: Callable[..., pytest.RunResult], pytester: Pytester) -> None:
    pytester.makepyfile(
        """
        import time, pytest
        def burn(cpu_s):
            end = time.thread_time() + cpu_s
            while time.thread_time() < end: pass
        @pytest.fixture
        def dear(): burn(0.1)
        costs = [0.09, 0.01, 0.01]
        @pytest.mark.greencode(max_cpu_s=0.06, repeat=3)
        def test_on_average(dear): burn(costs.pop(0))
        @pytest.mark.greencode(max_energy_j=1e-6, repeat=2)
        def test_joules(): burn(0.01)
        """
    )
    result = start()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.re_match_lines([r"greencode: the call took [\d.]+ J \(mean of 2 runs\); max_energy_j=1e-06"])


def test_a_repetition_that_fails_does_not_decide_and_is_told(
    start: Callable[..., pytest.RunResult], pytester: Pytester
) -> None:
    pytester.makepyfile(
        """
        import pytest
        runs = []
        @pytest.mark.greencode(repeat=4)
        def test_shaky(record_property):
            record_property("run", len(runs))
            print("run", len(runs))
            runs.append(1)
            assert len(runs) != 2
        def test_after(): assert len(runs) == 3
        """
    )
    result = start("--junitxml=junit.xml", "-o", "junit_family=xunit1", "-rA")
    result.assert_outcomes(passed=2)
    text = " ".join(" ".join(result.outlines).split())
    assert "a repetition failed, though the test passed: test_a_repetition_that_fails" in text
    assert result.outlines.count("run 2") == 1
    assert not re.search(r"\brun 0\b", text)
    cases = ET.parse("junit.xml").getroot().iter("testcase")
    assert [each.get("value") for case in cases for each in case.iter("property") if each.get("name") == "run"] == ["2"]


def test_fixtures_of_larger_scope_outlive_repetitions(
    start: Callable[..., pytest.RunResult], pytester: Pytester
) -> None:
    pytester.makepyfile(
        """
        import pytest
        made = []
        @pytest.fixture(scope="module")
        def shared():
            made.append("module")
            yield
            made.append("end")
        @pytest.fixture
        def own(shared): made.append("function")
        def test_a(own): pass
        def test_b(own): assert made == ["module"] + (len(made) - 1) * ["function"]
        def test_c(): assert made.count("function") == 6
        """
    )
    start("--greencode-repeat", "3").assert_outcomes(passed=3)


def test_a_suite_where_all_is_repeated_has_an_interval(
    start: Callable[..., pytest.RunResult], pytester: Pytester
) -> None:
    pytester.makepyfile("def test_a(): sum(range(20_000))\ndef test_b(): sum(range(30_000))\ndef test_c(): assert 0\n")
    start("--greencode-repeat", "4", "--greencode-report", "json:r.json").assert_outcomes(passed=2, failed=1)
    figure = json.loads(Path("r.json").read_text())["project"]["energy_per_passing_test_j"]
    low, high = figure["interval"]
    assert low < figure["value"] < high


def test_nothing_is_resumed(start: Callable[..., pytest.RunResult], pytester: Pytester) -> None:
    pytester.makepyfile("def test_a(): pass\n")
    result = start("--greencode-resume")
    assert result.ret == USAGE_ERROR
    assert "--greencode-resume continues a run of samples files" in " ".join(" ".join(result.errlines).split())


def test_a_ledger_that_cannot_be_written_is_said_before_anything_runs(
    start: Callable[..., pytest.RunResult], pytester: Pytester
) -> None:
    pytester.makepyfile("def test_a(): pass\n")
    result = start("--greencode-ledger", "/proc/none/ledger.sqlite")
    assert result.ret == USAGE_ERROR
    assert "--greencode-ledger /proc/none/ledger.sqlite" in " ".join(result.errlines)


def test_no_tests_no_account(start: Callable[..., pytest.RunResult], pytester: Pytester) -> None:
    pytester.makepyfile("")
    result = start()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "= greencode =" not in "\n".join(result.outlines)


def test_an_interrupted_suite_is_accounted_for_so_far(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "def test_a(): pass\ndef test_b(): raise KeyboardInterrupt\ndef test_c(): pass\n"
    )
    found = run(tmp_path, "-p", "no:xdist")
    assert found.status == pytest.ExitCode.INTERRUPTED
    assert "2 tests, 1 passing" in found.output
    assert "1 of 3 selected tests did not run" in " ".join(found.output.split())


def test_hostile_names_are_shown_and_not_obeyed(start: Callable[..., pytest.RunResult], pytester: Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("x", ["=1+1"], ids=["\\u202e|`@you` <img src=x>"])
        def test_a(x): sum(range(100_000))
        """
    )
    start("--greencode-report", "markdown", "--greencode-report", "csv").assert_outcomes(passed=1)
    markdown = Path("greencode-report.md").read_text(encoding="utf-8")
    [row] = [line for line in markdown.splitlines() if "test_hostile" in line]
    assert row.count("`") == 2
    assert row.count("|") == 7
    assert "\u202e" not in markdown + Path("greencode-report.csv").read_text(encoding="utf-8")


def test_what_a_lost_worker_measured_is_missing_and_never_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("import os\ndef test_a(): pass\ndef test_dies(): os._exit(1)\n")
    found = run(tmp_path, "-n", "1", "--greencode-report", "json")
    assert found.status == 1
    project = found.project
    assert "test_a.py::test_dies" in project["lost"]
    assert project["energy_per_passing_test_j"]["value"] is None
    assert "died with their process" in " ".join(found.output.split())


def test_processes_that_outlive_their_test_are_named(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import subprocess, sys, time\n"
        "code = 'import time\\nwhile time.process_time() < 0.2: pass\\ntime.sleep(60)'\n"
        "left = []\n"
        "def test_leaks(): left.append(subprocess.Popen([sys.executable, '-S', '-E', '-c', code]))\n"
        "def test_waits():\n"
        "    time.sleep(1.5)\n"
        "def test_ends(): left[0].kill(); left[0].wait()\n"
    )
    found = run(tmp_path, "-p", "no:xdist", "--greencode-report", "json")
    assert found.status == 0
    project = found.project
    [left] = project["left_behind"]
    assert left["test_id"] == "test_a.py::test_leaks"
    assert 0.05 < left["cpu_s"] < 0.4
    assert project["background"]["cpu_s"] == pytest.approx(left["cpu_s"], abs=0.02)
    assert max(test["cpu_s"] for test in project["tests"]) < 0.2
    assert "outlived test_a.py::test_leaks" in " ".join(found.output.split())


def test_beside_samples_both_are_accounted_for(tmp_path: Path, any_sandbox: str) -> None:
    write_samples(tmp_path / "m.jsonl", right(0))
    (tmp_path / "test_a.py").write_text("def test_a(): sum(range(300_000))\n")
    found = run(
        tmp_path,
        *("-p", "no:xdist", "test_a.py", "m.jsonl", "--greencode-sandbox", any_sandbox, "--greencode-jobs", "1"),
        *("--greencode-report", "json", "--greencode-report", "csv"),
    )
    assert found.status == 0, found.output
    assert [test["test_id"] for test in found.project["tests"]] == ["test_a.py::test_a"]
    assert found.project["tests"][0]["cpu_s"] < 0.1
    [configuration] = found.report["configurations"]
    assert (configuration["model"], configuration["accepted"]) == ("m", 1)
    assert "1 test, 1 passing" in found.output
    assert (found.root / "greencode-report.csv").read_text().startswith("suite,model")


# -- with counters --------------------------------------------------------------------------------------------------


def test_counters_are_shared_by_cpu_time_and_tests_measured_alone(tmp_path: Path) -> None:
    """On the simulated machine, of which the power is known."""
    require_machine()
    (tmp_path / "test_a.py").write_text(
        "import time\n"
        "def burn(cpu_s):\n"
        "    end = time.thread_time() + cpu_s\n"
        "    while time.thread_time() < end: pass\n"
        "def test_a(greencode):\n"
        "    with greencode.measure('x') as block: burn(0.2)\n"
        "    assert block.energy_method == 'attributed', block\n"
        "def test_b(): burn(0.4)\n"
    )
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "--greencode"),
        *("--greencode-meter", "rapl", "--greencode-idle", "0.6", "--greencode-report", "json"),
    ]
    path = os.pathsep.join(filter(None, [str(RAPL.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(RAPL), "--", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": path},
    )
    found = Run(tmp_path, done.returncode, done.stdout + done.stderr)
    assert found.status == 0, found.output
    project = found.project
    assert project["method"] == "attributed"
    assert {test["energy_method"] for test in project["tests"]} == {"attributed"}
    first, second = (found.tests[name]["energy_j"] for name in ("test_a", "test_b"))
    assert first > 0
    assert second > 0
    balance = found.report["energy_balance"]
    parts = ("solutions_uj", "harness_uj", "other_processes_uj", "idle_reserved_uj", "idle_rest_uj")
    assert sum(balance[name] for name in parts) == balance["counter_uj"]
    total_j = project["tests_cost"]["energy_j"]
    assert total_j == pytest.approx(balance["solutions_uj"] * 1e-6, rel=1e-6)
    assert " tests " in " ".join(found.output.split())


def test_a_ledger_from_before_tests_were_measured_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "old.sqlite"
    from pytest_greencode.ledger import Ledger

    Ledger(path).close()
    connection = sqlite3.connect(path)
    connection.executescript("DROP TABLE test; DROP TABLE block;")
    connection.close()
    assert greencode(["runs", "--ledger", str(path)]) == 0
    assert greencode(["report", "--ledger", str(path)]) == 4
    assert "no attempts of any run" in " ".join(capsys.readouterr().err.split())
