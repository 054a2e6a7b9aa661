"""Whole runs that measure energy, on a machine of which the truth is known: what they say, add up to and leave out."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import PROBLEMS, query, require_sandbox, right, skip_or_fail, with_sandbox, write_samples, wrong
from test_simulated_machine import RAPL, require_machine

from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.ledger import Ledger
from pytest_greencode.meters import choice
from pytest_greencode.model import Method
from pytest_greencode.run_account import account_of_run

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
        time.sleep(0.02)

LEDGER = ".greencode/ledger.sqlite"
truth = Truth.load(os.environ["RAPL_TRUTH"])
before = truth.read()
process = subprocess.Popen(sys.argv[1:])
{meanwhile}
status = process.wait()
after = truth.read()
Path("truth.json").write_text(json.dumps({{
    "own": truth.own, "busy_w": truth.machine.busy_w, "idle_w": truth.machine.idle_w, "elapsed_s": after.at_s - before.at_s,
    "busy_s": after.busy_s - before.busy_s, "package_uj": after.package_uj - before.package_uj,
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
    machine = [*machine, *(["--own"] if sandbox == "bubblewrap" else [])]
    command = [
        *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--greencode-report", "json:report.json"),
        *with_sandbox(sandbox, *arguments),
    ]
    path = os.pathsep.join(filter(None, [str(RAPL.parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(RAPL), *machine, "--", sys.executable, "-c", WATCHED.format(meanwhile=meanwhile), *command],
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
    assert attempts_energy_uj(run.report, "execution") == pytest.approx(truth_uj, rel=0.1)


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
        assert truth["idle_w"] * 0.98 < meter[when]["mean_w"] < most_w
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
    assert all(before[1] == after[0] for before, after in zip(rows, rows[1:], strict=False))
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
