"""Whole runs that measure energy, on a machine of which the truth is known: what they say, add up to and leave out."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import query, require_sandbox, right, skip_or_fail, with_sandbox, write_samples, wrong
from test_simulated_machine import RAPL, require_machine

from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.meters import choice

pytestmark = pytest.mark.quiet

LEDGER = Path(".greencode/ledger.sqlite")
USAGE_ERROR, INTERRUPTED = 4, 2
GENERATION = {"energy_j": 20.0, "energy_method": "measured", "source": "nvml"}
# What runs on the simulated machine: a command, with the truth before and after, and what is done to it meanwhile.
WATCHED = """
import json, os, signal, sqlite3, subprocess, sys, time
from pathlib import Path
from rapl.machine import POWERCAP, Truth

def count(text):
    try:
        return sqlite3.connect(LEDGER, timeout=30).execute("SELECT count(*) FROM " + text).fetchone()[0]
    except sqlite3.Error:
        return 0

def wait_until(reached):
    deadline_s = time.monotonic() + 60
    while not reached():
        assert process.poll() is None and time.monotonic() < deadline_s, "it never came to that"
        time.sleep(0.05)

LEDGER = ".greencode/ledger.sqlite"
truth = Truth.load(os.environ["RAPL_TRUTH"])
before = truth.read()
process = subprocess.Popen(sys.argv[1:])
{meanwhile}
status = process.wait()
after = truth.read()
Path("truth.json").write_text(json.dumps({{
    "own": truth.own, "busy_w": truth.machine.busy_w, "idle_w": truth.machine.idle_w,
    "elapsed_s": after.at_s - before.at_s, "busy_s": after.busy_s - before.busy_s,
    "package_uj": after.package_uj - before.package_uj,
}}))
sys.exit(status)
"""
COUNTER_FAILS = """
counter = POWERCAP / "intel-rapl:0/energy_uj"
wait_until(lambda: count("window WHERE package_uj IS NOT NULL") >= 2)
os.kill(truth.simulator, signal.SIGSTOP)
try:
    counter.write_text("")
    wait_until(lambda: count("window WHERE package_uj IS NULL") >= 2)
finally:
    os.kill(truth.simulator, signal.SIGCONT)
"""
INTERRUPT = """
wait_until(lambda: count("execution WHERE verdict IS NOT NULL") >= 3)
process.send_signal(signal.SIGINT)
"""
INTERRUPT_ALONE = """
wait_until(lambda: count("measured") >= 1)
process.send_signal(signal.SIGINT)
"""
STRANGER = """
wait_until(lambda: count("window") >= 1)
stranger_s = time.process_time() + 0.8
while time.process_time() < stranger_s:
    pass
"""


def busy(number: int, rounds: int = 150_000, **more: Any) -> dict[str, Any]:
    """A right solution that counts to `rounds` whenever it is called: some 10 ms."""
    sample = right(number, generation=GENERATION, **more)
    return {**sample, "completion": f"    for _ in range({rounds}):\n        pass\n{sample['completion']}"}


def busy_and_wrong(number: int, rounds: int, **more: Any) -> dict[str, Any]:
    code = f"    for _ in range({rounds}):\n        pass\n    return 'wrong'\n"
    return {**wrong(number, generation=GENERATION, **more), "completion": code}


@dataclass(frozen=True)
class EnergyRun:
    """What a run on the simulated machine left behind."""

    root: Path
    status: int
    output: str

    @property
    def ledger(self) -> Path:
        return self.root / LEDGER

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads((self.root / "report.json").read_text(encoding="utf-8")))

    @property
    def truth(self) -> dict[str, float]:
        return dict(json.loads((self.root / "truth.json").read_text(encoding="utf-8")))

    @property
    def balance(self) -> dict[str, Any]:
        return dict(self.report["energy_balance"])

    def notes(self, key: str) -> list[str]:
        """The account's notes with this key, each as one line."""
        text, found = "", []
        for line in [*self.output.splitlines(), "end"]:
            if not line.startswith(" "):
                found += [text] if text else []
                text = line[13:] if line[:13].strip() == key else ""
            elif text:
                text += f" {line.strip()}"
        return found


def measure(
    root: Path, *arguments: Any, sandbox: str = "bubblewrap", machine: Sequence[str] = (), meanwhile: str = ""
) -> EnergyRun:
    """`pytest --greencode` on the simulated machine, in `root`, with a report.

    Containers are the daemon's children, so only with bubblewrap is the machine the run's own.
    """
    require_machine()
    require_sandbox(sandbox)
    machine = [*machine, *(["--whole"] if sandbox == "docker" else [])]
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--greencode-report", "json:report.json"),
        *with_sandbox(sandbox, *arguments),
    ]
    script = WATCHED.format(meanwhile=meanwhile)
    path = os.pathsep.join(filter(None, [str(RAPL.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [
            sys.executable,
            str(RAPL),
            *machine,
            "--",
            sys.executable,
            "-c",
            script,
            *command,
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "PYTHONPATH": path},
    )
    run = EnergyRun(root, done.returncode, done.stdout + done.stderr)
    assert "Traceback" not in run.output, run.output
    assert "INTERNALERROR" not in run.output, run.output
    return run


def validate(report: Mapping[str, Any]) -> None:
    schema = json.loads(resources.files("pytest_greencode").joinpath("data/report-1.schema.json").read_text("utf-8"))
    jsonschema.validate(report, schema, cls=jsonschema.Draft202012Validator)


def parts_uj(balance: Mapping[str, Any]) -> int:
    names = ("solutions_uj", "harness_uj", "other_processes_uj", "idle_reserved_uj", "idle_rest_uj")
    return sum(balance[name] for name in names)


def cpu_s(ledger: Path) -> dict[str, float]:
    """CPU seconds of each program that finished."""
    return dict(query(ledger, "SELECT program_key, cpu_s FROM execution WHERE verdict IS NOT NULL"))


def attempts_energy_uj(report: Mapping[str, Any], part: str) -> float:
    return sum(each["energy_j"][part] for each in report["configurations"]) * 1e6


# -- energy shared by CPU time ------------------------------------------------------------------------------------

QUICK = ("--greencode-meter", "rapl", "--greencode-idle", "0.6")


def write_work(folder: Path) -> list[Path]:
    """Two models. No program is written twice: an execution is an attempt."""
    first = [busy(number, model="m") for number in (0, 2, 12)] + [busy_and_wrong(4, 900_000, model="m")]
    second = [busy(number, 120_000, model="n") for number in (0, 12)] + [busy_and_wrong(2, 800_000, model="n")]
    return [write_samples(folder / "a/m.jsonl", *first), write_samples(folder / "b/m.jsonl", *second)]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> EnergyRun:
    root = tmp_path_factory.mktemp("energy")
    return measure(root, *QUICK, *write_work(root))


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> EnergyRun:
    pytest.importorskip("xdist")
    root = tmp_path_factory.mktemp("energy-workers")
    return measure(root, *QUICK, "-n2", *write_work(root))


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> EnergyRun:
    root = tmp_path_factory.mktemp("energy-docker")
    return measure(root, *QUICK, *write_work(root), sandbox="docker")


@pytest.fixture(params=["serial", "workers", pytest.param("docker", marks=pytest.mark.docker)])
def measured(request: pytest.FixtureRequest) -> EnergyRun:
    """The same attempts in this process, on two workers, and in Docker."""
    found: EnergyRun = request.getfixturevalue(request.param)
    assert found.status == 0, found.output
    return found


def test_the_header_says_that_counters_are_read(measured: EnergyRun) -> None:
    assert re.search(r"^greencode: sandbox .*, meter RAPL, ", measured.output, re.MULTILINE)


def test_every_microjoule_of_the_counter_is_in_the_balance(measured: EnergyRun) -> None:
    validate(measured.report)
    balance = measured.balance
    assert parts_uj(balance) == balance["counter_uj"]
    assert min(balance["solutions_uj"], balance["harness_uj"], balance["idle_reserved_uj"]) > 0
    assert balance["invalid"] == {}
    assert "RAPL (powercap: package-0)" in balance["meter"]
    rows = query(measured.ledger, "SELECT package_uj FROM window")
    assert balance["counter_uj"] == sum(uj for (uj,) in rows)
    assert balance["windows"] == len(rows)


def test_the_balance_is_no_more_than_the_machine_used(measured: EnergyRun) -> None:
    balance, truth = measured.balance, measured.truth
    assert balance["duration_s"] < truth["elapsed_s"]
    assert balance["counter_uj"] < truth["package_uj"]
    # Above idle nothing but CPU time uses energy, so there cannot be more than all of it took. Idle power is measured,
    # with what is busy then.
    dynamic_uj = balance["counter_uj"] - balance["idle_reserved_uj"] - balance["idle_rest_uj"]
    assert dynamic_uj < 1.05 * truth["busy_w"] * truth["busy_s"] * 1e6


@pytest.mark.parametrize("name", ["serial", "workers"])
def test_attempts_have_what_their_cpu_time_took(request: pytest.FixtureRequest, name: str) -> None:
    """Within 10 %: CPU time of the machine is counted in steps of 10 ms."""
    run: EnergyRun = request.getfixturevalue(name)
    require_own_machine(run)
    truth_uj = run.truth["busy_w"] * sum(cpu_s(run.ledger).values()) * 1e6
    assert attempts_energy_uj(run.report, "execution") == pytest.approx(truth_uj, rel=0.2)


def require_own_machine(run: EnergyRun) -> None:
    """Or else the idle power is that of whatever else runs here."""
    if not run.truth["own"]:
        skip_or_fail("simulated machine", "no control group can be made")


def test_attempts_have_no_more_than_the_balance(measured: EnergyRun) -> None:
    report, balance = measured.report, measured.balance
    execution_uj, harness_uj = (attempts_energy_uj(report, part) for part in ("execution", "harness"))
    assert execution_uj <= balance["solutions_uj"] + 1
    assert execution_uj + harness_uj <= balance["solutions_uj"] + balance["harness_uj"] + 1
    # All that ran as an attempt is an attempt's.
    assert execution_uj == pytest.approx(balance["solutions_uj"])


def test_attempts_that_windows_hold_are_attributed(measured: EnergyRun) -> None:
    for configuration in measured.report["configurations"]:
        assert configuration["per_accepted"]["energy_j"] is not None
        for figure in ("energy_j.execution", "energy_j.harness"):
            origin = configuration["provenance"][figure]
            assert origin["methods"] == {"attributed": configuration["attempts"]}
            assert origin["source"] == "RAPL (powercap: package-0), above idle, by CPU time"
    [execution] = measured.notes("execution")
    assert execution.startswith("energy attributed: RAPL")
    [machine] = measured.notes("machine")
    assert "solutions" in machine
    assert "DRAM" in machine


def test_the_run_knows_how_it_was_measured(measured: EnergyRun) -> None:
    meter = measured.report["run"]["meter"]
    truth = measured.truth
    for when in ("idle_before", "idle_after"):
        # What runs at the same time is in it.
        most_w = truth["idle_w"] + (0.2 if truth["own"] else os.cpu_count() or 1) * truth["busy_w"]
        assert truth["idle_w"] * 0.98 < meter[when]["mean_w"] < most_w * 1.02
        assert meter[when]["windows"] == 5
    assert set(meter["idle_stability"]) >= {"stable", "change_w", "interval_w"}
    assert meter["environment"]["cpus"] == os.cpu_count()
    for caution in meter["cautions"]:
        assert set(caution) == {"what", "why", "remedy"}
        assert any(caution["what"] in note for note in measured.notes("caution"))
    assert meter["faults"] == 0


def test_windows_have_the_mean_of_both_idle_powers(measured: EnergyRun) -> None:
    meter = measured.report["run"]["meter"]
    mean_w = (meter["idle_before"]["mean_w"] + meter["idle_after"]["mean_w"]) / 2
    assert query(measured.ledger, "SELECT DISTINCT idle_w FROM window") == [(pytest.approx(mean_w),)]


def test_the_ledger_alone_gives_the_same_numbers(measured: EnergyRun) -> None:
    command = [sys.executable, "-m", "pytest_greencode.cli", "report", "--ledger", str(measured.ledger)]
    found = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True, cwd=measured.root)
    again, report = json.loads(found.stdout), measured.report
    for key in ("energy_balance", "configurations", "measured_alone", "quarantined"):
        assert again[key] == report[key]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=measured.root).stdout
    assert EnergyRun(measured.root, 0, shown).notes("machine") == measured.notes("machine")


def test_one_process_reads_the_machine_for_all_workers(workers: EnergyRun) -> None:
    rows = query(workers.ledger, "SELECT started_at, finished_at FROM window ORDER BY started_at")
    assert all(before[1] == after[0] for before, after in itertools.pairwise(rows))
    hosts = query(workers.ledger, "SELECT started_at, finished_at, cpu_s FROM overhead WHERE kind = 'host'")
    # Three processes note their own CPU time, each piece behind its last; the controller's pieces are the windows.
    assert len({start for start, _, _ in hosts} - {end for _, end, _ in hosts}) == 3
    assert set(rows) < {(start, end) for start, end, _ in hosts}
    assert all(used_s >= 0 for _, _, used_s in hosts)
    starts = query(workers.ledger, "SELECT count(*) FROM overhead WHERE kind = 'start'")
    assert starts == [(2,)]


def attempted(run: EnergyRun) -> dict[tuple[str, str], list[str]]:
    return {
        (configuration["model"], task["task_id"]): task["verdicts"]
        for configuration in run.report["configurations"]
        for task in configuration["tasks"]
    }


def test_workers_and_one_process_account_for_the_same_attempts(serial: EnergyRun, workers: EnergyRun) -> None:
    assert attempted(serial) == attempted(workers)
    assert len(attempted(serial)) == 7
    for run in (serial, workers):
        for configuration in run.report["configurations"]:
            facts = configuration["completeness"]
            missing = ("attempts_unfinished", "harness_errors", "execution_missing", "harness_missing")
            assert [facts[name] for name in missing] == [0, 0, 0, 0]


def test_files_outside_of_the_root_are_told_apart(tmp_path: Path) -> None:
    """Two files of one name, neither below the root: all their tasks are attempted, in one process and in two."""
    root = tmp_path / "project"
    root.mkdir()
    paths = write_work(tmp_path / "elsewhere")
    runs = {}
    for name in ("serial", "workers"):
        here = root / name
        here.mkdir()
        more = ["-n2"] if name == "workers" else []
        runs[name] = measure(here, *QUICK, "-v", "--rootdir", root, "--greencode-ledger", LEDGER, *more, *paths)
        assert runs[name].status == 0, runs[name].output
        told = set(re.findall(r"\S+/(elsewhere/\S+::HumanEval/\d+)\b", runs[name].output))
        assert told == {f"elsewhere/a/m.jsonl::HumanEval/{number}" for number in (0, 2, 4, 12)} | {
            f"elsewhere/b/m.jsonl::HumanEval/{number}" for number in (0, 2, 12)
        }
    assert len(attempted(runs["serial"])) == 7
    assert attempted(runs["serial"]) == attempted(runs["workers"])
    for run in runs.values():
        assert query(run.ledger, "SELECT count(*), count(program_key) FROM attempt") == [(7, 7)]


def test_a_stranger_has_its_own_share_and_attempts_do_not_pay_for_it(tmp_path: Path) -> None:
    rows = [busy_and_wrong(number, 20_000_000, model="m") for number in range(10)]
    path = write_samples(tmp_path / "m.jsonl", *rows)
    run = measure(tmp_path, *QUICK, "--greencode-jobs", 1, path, meanwhile=STRANGER)
    assert run.status == 0, run.output
    require_own_machine(run)
    busy_w = run.truth["busy_w"]
    # Within 20 %, and what looks into the ledger meanwhile.
    assert 0.5 < run.balance["other_processes_uj"] / (0.8 * busy_w * 1e6) < 1.6
    truth_uj = busy_w * sum(cpu_s(run.ledger).values()) * 1e6
    assert attempts_energy_uj(run.report, "execution") == pytest.approx(truth_uj, rel=0.25)


# -- what goes wrong meanwhile --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> EnergyRun:
    """The counter cannot be read for some seconds in the middle; attempts are under way all the time."""
    root = tmp_path_factory.mktemp("energy-failing")
    rows = [busy_and_wrong(number, 25_000_000, model="m") for number in range(8)]
    rows.append(busy(12, model="m"))
    arguments = ("--greencode-jobs", 1, "--greencode-timeout", 30, write_samples(root / "m.jsonl", *rows))
    return measure(root, *QUICK, *arguments, meanwhile=COUNTER_FAILS)


def test_windows_of_a_counter_that_fails_are_invalid_with_the_reason(failing: EnergyRun) -> None:
    assert failing.status == 0, failing.output
    rows = query(failing.ledger, "SELECT package_uj, invalid FROM window ORDER BY started_at")
    states = "".join("-" if uj is None else "+" for uj, _ in rows)
    assert re.fullmatch(r"\++-+\+*", states)
    for uj, invalid in rows:
        assert (uj is None) == (invalid is not None)
        assert invalid is None or "package-0: expected a number of uJ, found b''" in invalid
    balance = failing.balance
    assert (balance["windows"], sum(balance["invalid"].values())) == (states.count("+"), states.count("-"))
    assert parts_uj(balance) == balance["counter_uj"]
    assert failing.report["run"]["meter"]["faults"] > 0


def test_attempts_in_windows_without_energy_are_estimated_and_never_zero(failing: EnergyRun) -> None:
    [configuration] = failing.report["configurations"]
    origin = configuration["provenance"]["energy_j.execution"]
    assert origin["method"] == "estimated"
    assert set(origin["methods"]) == {"attributed", "estimated"}
    assert sum(origin["methods"].values()) == configuration["attempts"] == 9
    assert all(task["energy_j"]["attempt"] > GENERATION["energy_j"] for task in configuration["tasks"])
    assert configuration["completeness"]["execution_missing"] == 0
    assert "no valid window" in origin["source"]
    require_own_machine(failing)
    truth_uj = failing.truth["busy_w"] * sum(cpu_s(failing.ledger).values()) * 1e6
    assert attempts_energy_uj(failing.report, "execution") == pytest.approx(truth_uj, rel=0.1)


def test_the_terminal_says_what_was_not_counted(failing: EnergyRun) -> None:
    [note] = failing.notes("not counted")
    assert re.match(r"\d+ windows?: ", note)
    assert "expected a number of uJ" in note


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[EnergyRun, EnergyRun]:
    """A run that was interrupted, and its continuation on a machine that idles at more."""
    root = tmp_path_factory.mktemp("energy-resumed")
    rows = [busy_and_wrong(number, 8_000_000, model="m") for number in range(9)]
    rows.append(busy(12, model="m"))
    path = write_samples(root / "m.jsonl", *rows)
    arguments = (*QUICK, "--greencode-jobs", 1, path)
    first = measure(root, *arguments, meanwhile=INTERRUPT)
    before = query(first.ledger, "SELECT program_key, cpu_s, started_at FROM execution WHERE verdict IS NOT NULL")
    assert 3 <= len(before) < 10
    second = measure(root, *arguments, "--greencode-resume", machine=["--idle-w", "25"])
    after = query(second.ledger, "SELECT program_key, cpu_s, started_at FROM execution WHERE verdict IS NOT NULL")
    assert set(before) < set(after)
    return first, second


def test_what_was_interrupted_is_accounted_for_so_far(resumed: tuple[EnergyRun, EnergyRun]) -> None:
    first, _ = resumed
    assert first.status == INTERRUPTED, first.output
    assert first.notes("incomplete")[0].startswith(("3 ", "4 ", "5 ", "6 ", "7 "))


def test_a_resumed_run_is_complete_with_the_energy_of_both_sessions(resumed: tuple[EnergyRun, EnergyRun]) -> None:
    _, second = resumed
    assert second.status == 0, second.output
    validate(second.report)
    [configuration] = second.report["configurations"]
    facts = configuration["completeness"]
    assert (facts["attempts_finished"], facts["execution_missing"], facts["harness_missing"]) == (10, 0, 0)
    assert configuration["provenance"]["energy_j.execution"]["methods"] == {"attributed": 10}
    assert all(task["energy_j"]["attempt"] > GENERATION["energy_j"] for task in configuration["tasks"])
    require_own_machine(second)
    truth_uj = second.truth["busy_w"] * sum(cpu_s(second.ledger).values()) * 1e6
    assert attempts_energy_uj(second.report, "execution") == pytest.approx(truth_uj, rel=0.1)


def test_each_session_keeps_its_own_idle_power(resumed: tuple[EnergyRun, EnergyRun]) -> None:
    _, second = resumed
    require_own_machine(second)
    rows = query(second.ledger, "SELECT idle_w, min(started_at) FROM window GROUP BY idle_w ORDER BY 2")
    (first_w, _), (second_w, _) = rows
    assert 9.8 < first_w < 13
    assert 24.5 < second_w < 28
    meter = second.report["run"]["meter"]
    assert second_w == pytest.approx((meter["idle_before"]["mean_w"] + meter["idle_after"]["mean_w"]) / 2)


# -- measured alone -------------------------------------------------------------------------------------------------


def above_noise(row: Mapping[str, Any]) -> bool:
    return bool(row["energy_j"] >= row["noise_floor_j"])


@pytest.fixture(scope="module")
def exclusive(tmp_path_factory: pytest.TempPathFactory) -> EnergyRun:
    root = tmp_path_factory.mktemp("energy-exclusive")
    rows = [busy(0, 2_000_000, model="m"), busy_and_wrong(2, 200_000, model="m"), right(12, model="m")]
    alone = ("--greencode-attribution", "exclusive", "--greencode-precision", "10%", "--greencode-measure-time", "12")
    return measure(root, "--greencode-idle", "1", *alone, write_samples(root / "m.jsonl", *rows))


def test_what_was_accepted_and_its_references_are_measured_alone(exclusive: EnergyRun) -> None:
    assert exclusive.status == 0, exclusive.output
    validate(exclusive.report)
    rows = exclusive.report["measured_alone"]
    found = [(row["task_id"], row["reference"], [sample["model"] for sample in row["samples"]]) for row in rows]
    # The last sample is its task's own solution: one program, measured once, is both.
    assert sorted(found) == [
        ("HumanEval/0", False, ["m"]),
        ("HumanEval/0", True, []),
        ("HumanEval/12", True, ["m"]),
    ]
    for row in rows:
        assert row["low_j"] < row["energy_j"] < row["high_j"]
        assert row["windows"] >= 2
        assert row["runs"] >= row["windows"]
        assert row["cpu_s"] > 0
        assert row["peak_memory_bytes"] is not None
        assert row["stopped_by"] in ("precision", "baseline", "cap")


def test_the_energy_of_a_heavy_program_is_right_within_15_percent(exclusive: EnergyRun) -> None:
    require_own_machine(exclusive)
    [row] = [row for row in exclusive.report["measured_alone"] if row["samples"] and not row["reference"]]
    assert row["cpu_s"] > 0.05
    assert row["energy_j"] == pytest.approx(exclusive.truth["busy_w"] * row["cpu_s"], rel=0.15)


def test_accepted_attempts_have_the_energy_measured_alone_and_others_a_share(exclusive: EnergyRun) -> None:
    [configuration] = exclusive.report["configurations"]
    origin = configuration["provenance"]["energy_j.execution"]
    above = [row for row in exclusive.report["measured_alone"] if above_noise(row)]
    accepted = sum(bool(row["samples"]) for row in above)
    assert accepted >= 1
    assert origin["methods"] == {"measured": accepted, "attributed": 3 - accepted}
    [heavy] = [row for row in above if row["samples"] and not row["reference"]]
    tasks = {task["task_id"]: task for task in configuration["tasks"]}
    assert tasks["HumanEval/0"]["energy_j"]["accepted"] == pytest.approx(GENERATION["energy_j"] + heavy["energy_j"])


def test_green_capacity_compares_the_heavy_sample_with_its_reference(exclusive: EnergyRun) -> None:
    [configuration] = exclusive.report["configurations"]
    found = configuration["green_capacity"]
    assert (found["task_count"], found["tasks_compared"], found["accepted"]) == (3, 2, 2)
    heavy = next(task for task in found["tasks"] if task["task_id"] == "HumanEval/0")
    assert heavy["relations"]["dominated"] == 1
    assert heavy["log_ratio"]["run_time_s"] < 0
    same = next(task for task in found["tasks"] if task["task_id"] == "HumanEval/12")
    assert same["relations"]["equal"] == 1


def account_lines(output: str) -> list[str]:
    """What the terminal says from the measurement on."""
    lines = output.splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.startswith("collected ")) :]


def green_capacity_table(output: str) -> list[str]:
    lines = output.splitlines()
    [begin] = [number for number, line in enumerate(lines) if line.startswith("Green Capacity")]
    blank, end = [number for number, line in enumerate(lines) if not line and number > begin][:2]
    return lines[blank + 1 : end]


def test_the_table_of_green_capacity_has_at_most_80_columns(exclusive: EnergyRun) -> None:
    heading, _, row = green_capacity_table(exclusive.output)
    assert heading.split()[:3] == ["model", "run", "time"]
    assert row.startswith("m ")
    assert max(map(len, account_lines(exclusive.output))) <= 80
    assert "greencode: measuring 3 accepted solutions and references of 2 tasks alone, " in exclusive.output.replace(
        "\n", " "
    )


def test_what_was_measured_alone_before_an_interruption_counts(tmp_path: Path) -> None:
    rows = [busy(number, 1_000_000, model="m") for number in (0, 2, 12)]
    alone = ("--greencode-attribution", "exclusive", "--greencode-precision", "50", "--greencode-measure-time", "1.5")
    path = write_samples(tmp_path / "m.jsonl", *rows)
    run = measure(tmp_path, "--greencode-idle", "0.6", *alone, path, meanwhile=INTERRUPT_ALONE)
    assert run.status == INTERRUPTED, run.output
    validate(run.report)
    rows = run.report["measured_alone"]
    assert rows
    assert {row["task_id"] for row in rows} < {f"HumanEval/{number}" for number in (0, 2, 12)}
    used = sum(bool(row["samples"]) and row["energy_j"] is not None and above_noise(row) for row in rows)
    [configuration] = run.report["configurations"]
    methods = configuration["provenance"]["energy_j.execution"]["methods"]
    assert methods.get("measured", 0) == used
    # All attempts had been made.
    assert configuration["completeness"]["attempts_finished"] == sum(methods.values()) == 3


# -- without counters -----------------------------------------------------------------------------------------------


@pytest.fixture
def no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on most virtual machines."""

    def missing() -> Any:
        raise MeterUnavailable("this machine has none", "measure elsewhere")

    monkeypatch.setattr(choice, "_openers", lambda psys: dict.fromkeys(choice.BACKENDS, missing))


@pytest.fixture
def run(pytester: pytest.Pytester, any_sandbox: str, no_counters: None) -> Callable[..., EnergyRun]:
    """Runs `pytest --greencode` inside this process, on a machine without counters."""

    def run(*arguments: Any) -> EnergyRun:
        found = pytester.runpytest_inprocess(
            *("-p", "no:cacheprovider", "--greencode-report", "json:report.json"),
            *with_sandbox(any_sandbox, "--greencode-jobs", 1, *arguments),
        )
        return EnergyRun(pytester.path, int(found.ret), "\n".join([*found.outlines, *found.errlines]))

    return run


def test_without_counters_energy_is_estimated_and_says_so_with_its_error(run: Callable[..., EnergyRun]) -> None:
    found = run(write_samples(Path("m.jsonl"), busy(0, model="m")))
    assert "meter estimated" in found.output
    validate(found.report)
    [configuration] = found.report["configurations"]
    origin = configuration["provenance"]["energy_j.execution"]
    assert origin["methods"] == {"estimated": 1}
    [execution] = found.notes("execution")
    assert execution.startswith("energy estimated: ")
    assert "error" in execution or "%" in execution
    balance = found.balance
    assert balance["meter"] == "CPU power model"
    assert parts_uj(balance) == balance["counter_uj"]
    assert balance["dram_uj"] is None
    assert "by CPU power model" in found.notes("machine")[0]


def test_without_a_meter_there_is_no_balance_and_the_headline_says_why(run: Callable[..., EnergyRun]) -> None:
    found = run("--greencode-meter", "none", write_samples(Path("m.jsonl"), busy(0, model="m")))
    assert found.status == 0
    validate(found.report)
    assert found.report["energy_balance"] is None
    assert query(found.ledger, "SELECT count(*) FROM window") == [(0,)]
    [configuration] = found.report["configurations"]
    headline = configuration["per_accepted"]
    assert (headline["co2e_g"], headline["energy_j"]) == (None, None)
    assert headline["reason"] == "execution energy missing for 1 of 1 attempts"
    assert found.notes("unknown") == ["execution energy missing for 1 of 1 attempts"]
    assert configuration["energy_j"]["execution"] is None
    assert found.notes("machine") == []


def test_green_capacity_without_counters_compares_what_is_known(run: Callable[..., EnergyRun]) -> None:
    rows = [busy(0, model="m"), right(2, model="m", generation=GENERATION), busy_and_wrong(4, 10, model="m")]
    found = run("--greencode-green-capacity", write_samples(Path("m.jsonl"), *rows))
    validate(found.report)
    heading, _, row = green_capacity_table(found.output)
    # FLOPs are not counted, so they are not there.
    assert heading.split() == ["model", "run", "time", "memory", "energy", "leaner", "heavier", "mixed", "same"]
    ratio = r"(\?|[\d.e-]+ \(\d\))"  # of how many tasks
    assert re.fullmatch(rf"m +{ratio} +{ratio} +{ratio} +0 +1 +0 +1", row)
    assert max(map(len, account_lines(found.output))) <= 80
    assert found.report["measured_alone"] == []
    [configuration] = found.report["configurations"]
    assert configuration["green_capacity"]["log_ratio"]["flops"]["value"] is None
    assert configuration["provenance"]["energy_j.execution"]["methods"] == {"estimated": 3}
    assert "measured" not in "\n".join(found.notes("execution"))
    # References are nobody's attempts.
    assert configuration["attempts"] == 3
    assert query(found.ledger, "SELECT count(*) FROM reference") == [(3,)]


EXCLUSIVE = ("--greencode-attribution", "exclusive")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([*EXCLUSIVE, "--greencode-jobs=2"], ["--greencode-attribution exclusive", "--greencode-jobs is 2"]),
        ([*EXCLUSIVE, "-n2"], ["--greencode-attribution exclusive", "pytest-xdist", "-n0"]),
        ([*EXCLUSIVE, "--greencode-meter=estimated"], ["--greencode-attribution exclusive", "is estimated"]),
        ([*EXCLUSIVE, "--greencode-meter=none"], ["--greencode-attribution exclusive", "is none"]),
        ([*EXCLUSIVE], ["--greencode-attribution exclusive: no energy counter", "this machine has none"]),
        ([*EXCLUSIVE, "--greencode-meter=rapl"], ["--greencode-meter rapl: no energy counter", "measure elsewhere"]),
        (["--greencode-meter=rapl"], ["--greencode-meter rapl: no energy counter", "measure elsewhere"]),
        (["--greencode-meter=pyrapl"], ["--greencode-meter pyrapl: no energy counter", "pyrapl: this machine"]),
        *(
            ([f"--greencode-{name}={value}"], [f"--greencode-{name}: expected", f"found {value!r}"])
            for name in ("idle", "measure-time")
            for value in ("", "0", "-1", "nan", "3601", "long")
        ),
        *(
            ([f"--greencode-precision={value}"], ["--greencode-precision: expected percent", f"found {value!r}"])
            for value in ("", "0", "0.05", "51", "nan", "5 per cent")
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(
    pytester: pytest.Pytester, no_counters: None, arguments: list[str], expected: list[str]
) -> None:
    """One message that names the flag, before anything is started."""
    if "-n2" in arguments:
        pytest.importorskip("xdist")
    path = write_samples(Path("m.jsonl"), right(0))
    found = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--greencode", *arguments, str(path))
    output = "\n".join([*found.outlines, *found.errlines])
    assert found.ret == USAGE_ERROR, output
    text = " ".join(output.split())
    for part in expected:
        assert part in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert len(re.findall(r"\bERROR: |\berror: ", text)) == 1
    assert not LEDGER.exists()


def test_precision_may_have_a_percent_sign(run: Callable[..., EnergyRun]) -> None:
    path = write_samples(Path("m.jsonl"), right(0))
    found = run("--greencode-precision", "7.5%", path)
    assert found.report["run"]["options"]["precision"] == 0.075
