"""From a ledger to the account: which energy an attempt is given, and where the machine's went."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import grid, real_factors
from msgspec.structs import replace

from pytest_greencode.accounts import Account
from pytest_greencode.ledger import Finished, Ledger, Overhead, Started
from pytest_greencode.model import Configuration, Measured, Method, Reading, Sample, Verdict, Window
from pytest_greencode.run_account import account_of_run

RUN = "run-1"
FACTORS = real_factors(grid(500.0))
MODEL = {"cpus": 4, "min_w_per_vcpu": 0.5, "max_w_per_vcpu": 3.5}
READING = Reading(cpu_s=1.0, wall_s=2.0, peak_memory_bytes=1 << 20, oracle_cpu_s=0.25, harness_cpu_s=0.25)


class Run:
    """A ledger with a run of one attempt at each task, the n-th from 10 n to 10 n + 2."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.ledger.begin(RUN, "2026-01-01T00:00:00Z", {})

    def attempt(self, number: int, reading: Reading = READING, key: str | None = None) -> None:
        sample = Sample(
            task_id=f"T/{number}", configuration=Configuration(model="m"), sample_id=0, completion="", path="m.jsonl"
        )
        self.ledger.declare(RUN, [(sample, "suite")])
        self.execution(number, key or str(number), reading, (sample, "suite"))

    def execution(self, number: int, key: str, reading: Reading, attempt: Any = None) -> None:
        started = Started(program_key=key, task_id=f"T/{number}", attempt=attempt, extraction="as-is")
        self.ledger.start(RUN, [started], 10.0 * number)
        outcome = Finished(verdict=Verdict.ACCEPTED, detail="", reading=reading)
        self.ledger.finish(RUN, [(key, outcome)], 10.0 * number + 2)

    def window(self, number: int, **facts: Any) -> None:
        start_s = 10.0 * number
        known = {"package_uj": 100_000_000, "idle_w": 5.0, "busy_cpu_s": 5.0, "meter": "RAPL (x)", **facts}
        self.ledger.note(RUN, [Window(started_at=start_s, finished_at=start_s + 10, duration_s=10.0, **known)])

    def account(self) -> Account:
        return account_of_run(self.ledger, RUN, FACTORS)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path / "ledger.sqlite")
    yield run
    run.ledger.close()


def methods(account: Account) -> dict[str, int]:
    [configuration] = account.configurations
    return dict(configuration.provenance["energy_j.execution"].methods)


def test_a_counters_energy_goes_to_the_attempts_by_cpu_time(run: Run) -> None:
    run.attempt(0)
    run.window(0)
    run.ledger.note(RUN, overheads=[Overhead(kind="host", started_at=0.0, finished_at=10.0, cpu_s=1.0)])
    found = run.account()
    [configuration] = found.configurations
    # 50 J above idle by 5 s of CPU time: 1 s of solution, 0.5 s of tests and sandbox, 1 s of pytest, 2.5 s of others.
    assert configuration.energy_j.execution == pytest.approx(10.0)
    assert configuration.energy_j.harness == pytest.approx(5.0)
    assert methods(found) == {"attributed": 1}
    balance = found.balance
    assert balance is not None
    assert (balance.solutions_uj, balance.harness_uj, balance.other_processes_uj) == (
        10_000_000,
        15_000_000,
        25_000_000,
    )


def test_an_attempt_outside_of_the_valid_windows_is_estimated_and_never_zero(run: Run) -> None:
    for number in range(3):
        run.attempt(number)
    run.window(0)
    run.window(1, package_uj=None, invalid="it was reset")
    found = run.account()
    assert methods(found) == {"attributed": 1, "estimated": 2}
    [configuration] = found.configurations
    assert configuration.energy_j.execution == pytest.approx(30.0)
    assert found.balance is not None
    assert found.balance.invalid == {"it was reset": 1}


def test_counters_that_never_gave_an_energy_leave_it_missing_and_not_modelled(run: Run) -> None:
    run.attempt(0)
    run.window(0, package_uj=None, invalid="it was reset")
    run.ledger.end(RUN, "2026-01-01T00:01:00Z", {"method": "attributed", "source": "RAPL"})
    found = run.account()
    assert found.balance is not None
    assert (found.balance.windows, found.balance.invalid) == (0, {"it was reset": 1})
    [configuration] = found.configurations
    assert configuration.energy_j.execution is None
    assert configuration.per_accepted.co2e_g is None


def test_without_idle_power_there_is_no_energy_above_it(run: Run) -> None:
    run.attempt(0)
    run.window(0, idle_w=None)
    found = run.account()
    assert found.balance is not None
    assert found.balance.invalid == {"idle power was not measured": 1}
    assert found.configurations[0].completeness.execution_missing == 1


def test_without_counters_the_machine_is_modelled_as_the_attempts_are(run: Run) -> None:
    estimated = replace(
        READING, energy_j=3.0, harness_energy_j=1.5, energy_method=Method.ESTIMATED, energy_source="tdp"
    )
    run.attempt(0, estimated)
    run.window(0, package_uj=None, idle_w=None, meter=None, reserved_share=0.5)
    run.ledger.end(RUN, "2026-01-01T00:01:00Z", MODEL)
    found = run.account()
    balance = found.balance
    assert balance is not None
    assert balance.meter == "CPU power model"
    # 4 * 0.5 W idle for 10 s; (3.5 - 0.5) W for each of 5 busy CPU seconds, of which 1 is the solution's.
    assert balance.counter_uj == 35_000_000
    assert (balance.idle_reserved_uj, balance.idle_rest_uj) == (10_000_000, 10_000_000)
    assert (balance.solutions_uj, balance.harness_uj, balance.other_processes_uj) == (3_000_000, 1_500_000, 10_500_000)
    assert balance.dram_uj is None
    # The attempts' own estimate is left as it is.
    assert found.configurations[0].energy_j.execution == 3.0
    assert methods(found) == {"estimated": 1}


@pytest.mark.parametrize("meter", [None, {"cpus": 4}, {"method": "estimated"}])
def test_without_a_model_there_is_no_balance(run: Run, meter: dict[str, Any] | None) -> None:
    run.attempt(0)
    run.window(0, package_uj=None, idle_w=None, meter=None)
    run.ledger.end(RUN, "2026-01-01T00:01:00Z", meter)
    assert run.account().balance is None


def test_a_machine_that_does_not_tell_its_cpu_time_is_not_modelled(run: Run) -> None:
    run.attempt(0)
    run.window(0, package_uj=None, idle_w=None, meter=None, busy_cpu_s=None)
    run.ledger.end(RUN, "2026-01-01T00:01:00Z", MODEL)
    assert run.account().balance is None


def test_what_an_estimating_session_left_keeps_its_estimate_in_a_run_with_counters(run: Run) -> None:
    run.attempt(0, replace(READING, energy_j=3.0, harness_energy_j=1.5, energy_method=Method.ESTIMATED))
    run.window(0, package_uj=None, idle_w=None, meter=None)
    run.attempt(1)
    run.window(1)
    found = run.account()
    assert methods(found) == {"attributed": 1, "estimated": 1}
    assert found.configurations[0].energy_j.execution == pytest.approx(13.0)


def measured(energy_j: float) -> Measured:
    return Measured(
        energy_j=energy_j,
        low_j=energy_j / 2,
        high_j=energy_j * 2,
        confidence=0.95,
        noise_floor_j=0.5,
        harness_energy_j=0.125,
        cpu_s=0.75,
        peak_memory_bytes=None,
        windows=10,
        runs=50,
        discarded={},
        stopped_by="cap",
    )


def test_what_was_measured_alone_counts_for_attempt_and_reference_and_noise_for_neither(run: Run) -> None:
    for number in range(2):
        run.attempt(number)
        run.execution(number, f"own-{number}", READING)
        run.window(number)
        run.ledger.refer(RUN, [("suite", f"T/{number}", f"own-{number}")])
    run.ledger.remember_measured(RUN, {"0": measured(7.0), "own-0": measured(14.0), "1": measured(0.4)})
    found = run.account()
    [configuration] = found.configurations
    assert methods(found) == {"measured": 1, "attributed": 1}
    assert configuration.task_rows[0].energy_j.attempt is None  # no generation energy is known
    assert configuration.energy_j.execution == pytest.approx(7.0 + 10.0)
    assert configuration.attempts == 2
    capacity = configuration.green_capacity
    assert capacity is not None
    first, second = capacity.task_rows
    assert first.log_ratio["energy_j"] == pytest.approx(0.6931, abs=1e-4)
    assert second.log_ratio["energy_j"] == pytest.approx(0.0)
    assert [(row.task_id, row.reference) for row in found.measured] == [("T/0", False), ("T/0", True), ("T/1", False)]
