"""Public sets of ten attempts a task: what retrying until accepted takes, by the log, by the estimator and by a run.

The numbers expected are in the README of that collection: attempts until the first accepted one, and tasks accepted.
"""

from __future__ import annotations

import csv
import json
import math
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from builders import FACTORS, attempt
from conftest import require_sandbox
from test_verdicts import PUBLIC

from pytest_greencode.accounting import account

SETS = {
    "sanger_code-cushman-001-10": (955, 93),
    "rex_gpt35instruct_n10": (661, 109),
    "clippy_gpt-neo-125M_n10": (1631, 2),
    "ldb_gpt-3.5-turbo-0613_attempts": (393, 137),
}
pytestmark = pytest.mark.skipif(not (PUBLIC / "verdicts").is_dir(), reason="no collection of public samples here")


def verdicts_of(name: str) -> dict[str, list[bool]]:
    found: defaultdict[str, list[bool]] = defaultdict(list)
    with (PUBLIC / "verdicts" / f"{name}.csv").open() as file:
        for row in csv.DictReader(file):
            found[row["task_id"]].append(row["passed"] == "1")
    return found


def until_accepted(verdicts: list[bool]) -> list[bool]:
    return verdicts[: verdicts.index(True) + 1] if True in verdicts else verdicts


@pytest.mark.parametrize("name", SETS)
def test_a_log_that_stops_at_accepted(name: str) -> None:
    records = [
        attempt(task, i, accepted=accepted, extra={"chain": True})
        for task, verdicts in verdicts_of(name).items()
        for i, accepted in enumerate(until_accepted(verdicts))
    ]
    (found,) = account(records, FACTORS).configurations
    assert (found.attempts, found.accepted) == SETS[name]
    assert found.per_accepted.energy_j == pytest.approx(20.5 * found.attempts / found.accepted)


@pytest.mark.parametrize("name", [name for name in SETS if not name.startswith("ldb")])
def test_the_estimator_expects_what_random_orders_take_on_average(name: str) -> None:
    tasks = verdicts_of(name)
    records = [
        attempt(task, i, accepted=accepted) for task, verdicts in tasks.items() for i, accepted in enumerate(verdicts)
    ]
    (found,) = account(records, FACTORS).configurations
    generator = random.Random(1)
    drawn = []
    for _ in range(300):
        orders = [generator.sample(verdicts, len(verdicts)) for verdicts in tasks.values()]
        drawn.append(sum(len(until_accepted(order)) for order in orders))
    mean = math.fsum(drawn) / len(drawn)
    error = math.sqrt(sum((x - mean) ** 2 for x in drawn) / (len(drawn) - 1))
    expected = found.retry[10].attempts * found.tasks
    assert abs(expected - mean) < 4 * error / math.sqrt(len(drawn)) + 1e-9
    # The log is one such order.
    assert abs(expected - SETS[name][0]) < 4 * error
    assert found.retry[10].pass_probability * found.tasks == pytest.approx(SETS[name][1])


@pytest.mark.bubblewrap
def test_a_run_that_stops_at_accepted_makes_as_many_attempts(tmp_path: Path) -> None:
    require_sandbox("bubblewrap")
    name = "rex_gpt35instruct_n10"
    samples = PUBLIC / "samples" / f"{name}.jsonl.gz"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-qq", f"--rootdir={tmp_path}", "--greencode"]
    options = ["--greencode-stop-at-accepted", "--greencode-extract=none", "--greencode-sandbox=bubblewrap"]
    run = subprocess.run(
        [*command, str(samples), *options, "--greencode-meter=estimated", "--greencode-report=json:report.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (found,) = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["configurations"]
    assert (found["attempts"], found["accepted"]) == SETS[name]
