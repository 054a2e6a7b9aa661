"""The ledger: on disk before anything is judged, shared by processes, and readable whatever happened."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from conftest import query
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.errors import LedgerError
from pytest_greencode.ledger import Finished, Gold, Ledger, Overhead, Started
from pytest_greencode.model import (
    Configuration,
    Generation,
    Measured,
    Method,
    Reading,
    Sample,
    Verdict,
    Window,
    Work,
)

RUN = "run-1"
READING = Reading(
    cpu_s=0.5,
    wall_s=0.75,
    peak_memory_bytes=4096,
    oracle_cpu_s=0.25,
    harness_cpu_s=0.125,
    energy_j=1.5,
    harness_energy_j=None,
    energy_method=Method.ESTIMATED,
    energy_source="model",
)
ACCEPTED = Finished(verdict=Verdict.ACCEPTED, detail="", reading=READING)


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.begin(RUN, "2026-01-01T00:00:00Z", {"host": "here"})
    yield ledger
    ledger.close()


def sample(number: int = 0, *, model: str = "m", task_id: str = "T/0", **more) -> Sample:
    configuration = Configuration(model=model, settings=more.pop("settings", "{}"))
    return Sample(task_id=task_id, configuration=configuration, sample_id=number, completion="x", **more)


def declared(ledger: Ledger, *samples: Sample) -> None:
    ledger.declare(RUN, [(each, "suite") for each in samples])


def begun(ledger: Ledger, each: Sample, key: str, at: float = 1.0) -> None:
    ledger.start(RUN, [Started(program_key=key, task_id=each.task_id, attempt=(each, "suite"), extraction="as-is")], at)


def ended(ledger: Ledger, key: str, outcome: Finished = ACCEPTED, at: float = 2.0) -> None:
    ledger.finish(RUN, [(key, outcome)], at)


def test_what_goes_in_comes_out(ledger: Ledger) -> None:
    generation = Generation(energy_j=20.0, energy_method=Method.MEASURED, source="nvml", completion_tokens=9)
    each = sample(3, settings='{"temperature":0.8}', generation=generation, path="runs/m.jsonl")
    outcome = Finished(verdict=Verdict.TIMEOUT, detail="3 s", reading=READING, flaky=True, repeats=1)
    declared(ledger, each)
    begun(ledger, each, "key")
    ended(ledger, "key", outcome)
    [record] = ledger.records(RUN)
    assert (record.suite, record.task_id, record.sample_id, record.path) == ("suite", "T/0", 3, "runs/m.jsonl")
    assert (record.configuration, record.generation) == (each.configuration, generation)
    assert (record.verdict, record.detail, record.reading) == (Verdict.TIMEOUT, "3 s", READING)
    assert (record.flaky, record.repeats, record.program_key, record.extraction) == (True, 1, "key", "as-is")
    assert ledger.finished(RUN) == {"key": outcome}


def test_attempts_come_in_the_order_in_which_they_were_declared(ledger: Ledger) -> None:
    declared(ledger, sample(1, model="z"), sample(0, model="a"), sample(0, model="z"))
    assert [(r.configuration.model, r.sample_id) for r in ledger.records(RUN)] == [("z", 1), ("a", 0), ("z", 0)]


def test_what_did_not_finish_is_an_attempt_without_a_verdict(ledger: Ledger) -> None:
    declared(ledger, sample(0), sample(1))
    begun(ledger, sample(0), "begun")
    assert [(record.verdict, record.reading) for record in ledger.records(RUN)] == [(None, None)] * 2
    assert ledger.finished(RUN) == {}


def test_an_execution_that_is_begun_again_counts_from_then(ledger: Ledger) -> None:
    declared(ledger, sample(0))
    begun(ledger, sample(0), "key", at=1.0)
    begun(ledger, sample(0), "key", at=5.0)
    assert query(ledger.path, "SELECT started_at, verdict FROM execution") == [(5.0, None)]


def test_one_execution_serves_every_attempt_that_shares_it(ledger: Ledger) -> None:
    declared(ledger, sample(0), sample(1))
    begun(ledger, sample(0), "key")
    ledger.assign(RUN, Started(program_key="key", task_id="t", attempt=(sample(1), "suite"), extraction="fence"))
    ended(ledger, "key")
    assert [(r.verdict, r.extraction) for r in ledger.records(RUN)] == [
        (Verdict.ACCEPTED, "as-is"),
        (Verdict.ACCEPTED, "fence"),
    ]


def test_skipped_attempts_are_left_out_and_quarantined_ones_named(ledger: Ledger) -> None:
    declared(ledger, sample(0), sample(1), sample(0, task_id="T/1"))
    ledger.skip(RUN, [(sample(1), "suite")], "not needed: an earlier attempt was accepted")
    ledger.skip(RUN, [(sample(0, task_id="T/1"), "suite")], "quarantined: its own solution fails: badly")
    assert [(record.task_id, record.sample_id) for record in ledger.records(RUN)] == [("T/0", 0)]
    assert ledger.quarantined(RUN) == {"T/1": "its own solution fails: badly"}


def test_an_attempt_that_is_made_after_all_is_not_skipped_any_more(ledger: Ledger) -> None:
    declared(ledger, sample(0))
    ledger.skip(RUN, [(sample(0), "suite")], "not needed")
    begun(ledger, sample(0), "key")
    assert len(ledger.records(RUN)) == 1


def test_declaring_again_changes_nothing(ledger: Ledger) -> None:
    declared(ledger, sample(0))
    begun(ledger, sample(0), "key")
    ended(ledger, "key")
    before = ledger.records(RUN)
    declared(ledger, sample(0))
    assert ledger.records(RUN) == before


def test_runs_are_kept_apart(ledger: Ledger) -> None:
    declared(ledger, sample(0))
    begun(ledger, sample(0), "key")
    ended(ledger, "key")
    ledger.begin("run-2", "2026-01-02T00:00:00Z", {"host": "there"})
    assert ledger.facts(RUN) == {"host": "here"}
    assert ledger.records("run-2") == []
    assert ledger.finished("run-2") == {}


def test_attempts_of_a_run_that_stops_at_accepted_are_a_chain(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.begin(RUN, "2026-01-01T00:00:00Z", {"options": {"stop_at_accepted": True}})
    declared(ledger, sample(0))
    assert [record.extra for record in ledger.records(RUN)] == [{"chain": True}]
    ledger.close()


def test_the_last_run_is_the_last_one_in_which_anything_finished(ledger: Ledger) -> None:
    declared(ledger, sample(0))
    begun(ledger, sample(0), "key")
    assert ledger.last_run() is None
    ended(ledger, "key")
    ledger.begin("run-2", "2026-01-02T00:00:00Z", {})
    assert ledger.last_run() == RUN


def test_a_run_that_is_resumed_has_the_facts_of_its_last_session(ledger: Ledger) -> None:
    ledger.begin(RUN, "2026-01-02T00:00:00Z", {"host": "there"})
    assert ledger.facts(RUN) == {"host": "there"}
    assert query(ledger.path, "SELECT started_at FROM run") == [("2026-01-01T00:00:00Z",)]


def test_an_empty_ledger_has_no_last_run(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new.sqlite")
    assert ledger.last_run() is None
    ledger.close()


def test_gold_checks_outlive_runs(ledger: Ledger) -> None:
    gold = Gold(verdict=Verdict.REJECTED, detail="no", oracle_cpu_s=0.5)
    ledger.remember_gold("gold-key", "T/0", gold)
    ledger.close()
    again = Ledger(ledger.path)
    assert (again.gold("gold-key"), again.gold("other")) == (gold, None)
    again.close()


TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(detail=TEXTS, number=st.integers(0, 2**63 - 1))
def test_any_detail_can_be_written_and_read(ledger: Ledger, detail: str, number: int) -> None:
    each = sample(number)
    declared(ledger, each)
    key = uuid.uuid4().hex  # an outcome stands, once it is written
    begun(ledger, each, key)
    ended(ledger, key, Finished(verdict=Verdict.REJECTED, detail=detail, reading=READING))
    found = ledger.finished(RUN)[key].detail
    assert found == detail.encode("utf-8", "backslashreplace").decode()


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    samples = [sample(number) for number in range(80)]
    declared(ledger, *samples)

    def work(mine: list[Sample]) -> None:
        for each in mine:
            begun(ledger, each, str(each.sample_id))
            ended(ledger, str(each.sample_id))

    threads = [threading.Thread(target=work, args=(samples[start::8],)) for start in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.verdict for record in ledger.records(RUN)] == [Verdict.ACCEPTED] * 80


WRITER = """
import os, sys, pathlib
sys.path[:0] = sys.argv[3:]
import test_ledger as t
ledger = t.Ledger(pathlib.Path(sys.argv[1]))
for number in range(30):
    each = t.sample(number, model=sys.argv[2])
    t.declared(ledger, each)
    t.begun(ledger, each, f"{sys.argv[2]}/{number}")
    if number == 29:
        os._exit(9)
    t.ended(ledger, f"{sys.argv[2]}/{number}")
"""


def test_processes_share_a_ledger_and_their_death_loses_only_what_was_under_way(ledger: Ledger) -> None:
    command = [sys.executable, "-c", WRITER, str(ledger.path)]
    here = str(Path(__file__).parent)
    writers = [subprocess.Popen([*command, model, here]) for model in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [9, 9]
    records = ledger.records(RUN)
    assert len(records) == 60
    assert sorted(r.program_key for r in records if r.verdict is None) == ["a/29", "b/29"]


def test_a_ledger_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "future.sqlite"
    query(path, "PRAGMA user_version=99")
    with pytest.raises(LedgerError, match="schema 99"):
        Ledger(path)
    assert query(path, "SELECT count(*) FROM sqlite_master") == [(0,)]


def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes\n" * 1000)
    with pytest.raises(LedgerError, match=r"--greencode-ledger .*notes\.txt"):
        Ledger(path)
    assert path.read_text() == "notes\n" * 1000


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="expected a path in a directory that can be written"):
        Ledger(tmp_path / "file" / "ledger.sqlite")


def test_a_ledger_that_loses_its_tables_says_that_it_cannot_be_written(ledger: Ledger) -> None:
    connection = sqlite3.connect(ledger.path)
    connection.execute("DROP TABLE execution")
    connection.close()
    with pytest.raises(LedgerError, match="cannot be written"):
        begun(ledger, sample(0), "key")
    declared(ledger, sample(0))  # what is there can still be used


def test_a_new_default_folder_keeps_itself_out_of_version_control(tmp_path: Path) -> None:
    Ledger(tmp_path / ".greencode" / "ledger.sqlite").close()
    Ledger(tmp_path / "mine" / "ledger.sqlite").close()
    assert (tmp_path / ".greencode" / ".gitignore").read_text() == "*\n"
    assert not (tmp_path / "mine" / ".gitignore").exists()


# -- what is known of a run's energy --------------------------------------------------------------------------------


def window(at: float, **facts) -> Window:
    return Window(started_at=at, finished_at=at + 1, duration_s=1.0, **facts)


def test_windows_come_back_as_they_were_noted(ledger: Ledger) -> None:
    full = window(
        1.5, package_uj=1 << 60, dram_uj=7, idle_w=4.5, busy_cpu_s=0.25, reserved_share=0.5, meter="RAPL", invalid=None
    )
    bare = window(2.5, invalid="it was reset")
    ledger.note(RUN, [full])
    ledger.note(RUN, [bare], [])
    ledger.note("another", [window(9.0)])
    assert ledger.windows(RUN) == [full, bare]


def test_idle_power_that_is_known_better_is_that_of_its_own_session(ledger: Ledger) -> None:
    ledger.note(RUN, [window(1.0, idle_w=10.0), window(2.0, idle_w=10.0)])
    ledger.note(RUN, [window(100.0, idle_w=20.0), window(101.0, idle_w=20.0)])
    ledger.note("another", [window(200.0, idle_w=30.0)])
    ledger.set_idle_power(RUN, 21.0, 100.0)
    assert [each.idle_w for each in ledger.windows(RUN)] == [10.0, 10.0, 21.0, 21.0]
    assert [each.idle_w for each in ledger.windows("another")] == [30.0]


def test_work_is_what_executions_and_the_harness_used_and_when(ledger: Ledger) -> None:
    declared(ledger, sample(0), sample(1), sample(2))
    for number in range(3):
        begun(ledger, sample(number), str(number), at=10.0)
    ended(ledger, "0", at=10.25)  # its 0.75 s of wall time began before it was asked for: no clock is that good
    ended(ledger, "1", at=12.0)
    ledger.note(RUN, overheads=[Overhead(kind="gold", started_at=1.0, finished_at=2.0, cpu_s=0.5)])
    ledger.note("another", overheads=[Overhead(kind="gold", started_at=1.0, finished_at=2.0, cpu_s=0.5)])
    assert ledger.work(RUN) == [
        Work(key="0", started_at=10.0, finished_at=10.25, cpu_s=0.5, harness_cpu_s=0.375),
        Work(key="1", started_at=11.25, finished_at=12.0, cpu_s=0.5, harness_cpu_s=0.375),
        # The last one was lost: nobody knows what it used.
        Work(key=None, started_at=1.0, finished_at=2.0, cpu_s=0.0, harness_cpu_s=0.5, kind="gold"),
    ]


def test_an_execution_ends_when_it_did_and_not_when_it_is_written(ledger: Ledger) -> None:
    declared(ledger, sample(0))
    begun(ledger, sample(0), "key", at=10.0)
    ended(ledger, "key", replace(ACCEPTED, ended_at=12.0), at=20.0)
    [found] = ledger.work(RUN)
    assert (found.started_at, found.finished_at) == (11.25, 12.0)


def test_references_are_records_of_their_own_and_no_attempts(ledger: Ledger) -> None:
    declared(ledger, sample(0))
    begun(ledger, sample(0), "shared")
    for key in ("shared", "lost", "finished"):
        if key != "shared":
            ledger.start(RUN, [Started(program_key=key, task_id="T/1", attempt=None, extraction="as-is")], 1.0)
    ended(ledger, "shared")
    ended(ledger, "finished")
    ledger.refer(RUN, [("suite", "T/0", "shared"), ("suite", "T/1", "lost"), ("other", "T/1", "finished")])
    ledger.refer(RUN, [("suite", "T/0", "shared")])
    found = {(record.suite, record.task_id): record for record in ledger.references(RUN)}
    assert set(found) == {("suite", "T/0"), ("other", "T/1")}
    assert found["suite", "T/0"].reading == READING
    assert {record.configuration for record in found.values()} == {Configuration(model="reference")}
    assert [record.configuration.model for record in ledger.records(RUN)] == ["m"]
    assert ledger.references("another") == []


def test_what_was_measured_alone_comes_back_and_the_last_word_counts(ledger: Ledger) -> None:
    full = Measured(
        energy_j=0.5,
        low_j=0.4,
        high_j=0.6,
        confidence=0.95,
        noise_floor_j=0.01,
        harness_energy_j=0.125,
        cpu_s=0.25,
        peak_memory_bytes=1 << 20,
        windows=12,
        runs=480,
        discarded={"warm-up": 2, "contended": 1},
        stopped_by="precision",
    )
    nothing = replace(
        full,
        energy_j=None,
        low_j=None,
        high_j=None,
        noise_floor_j=None,
        harness_energy_j=None,
        cpu_s=None,
        peak_memory_bytes=None,
        discarded={},
        stopped_by="cap",
    )
    ledger.remember_measured(RUN, {"a": nothing, "b": nothing})
    ledger.remember_measured(RUN, {"a": full})
    ledger.remember_measured(RUN, {})
    assert ledger.measured(RUN) == {"a": full, "b": nothing}
    assert ledger.measured("another") == {}


def test_the_facts_of_the_meter_are_those_at_the_end(ledger: Ledger) -> None:
    ledger.begin(RUN, "2026-01-01T00:00:00Z", {"host": "here", "meter": {"idle_after": None}})
    ledger.end(RUN, "2026-01-01T00:01:00Z", {"idle_after": 3.0})
    assert ledger.facts(RUN) == {"host": "here", "meter": {"idle_after": 3.0}}


def test_of_two_processes_with_the_same_program_the_first_outcome_stands(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path / "l.sqlite"), Ledger(tmp_path / "l.sqlite")
    first.begin(RUN, "2026-01-01T00:00:00Z", {})
    declared(first, sample(0), sample(1))
    begun(first, sample(0), "same", at=10.0)
    begun(second, sample(1), "same", at=10.5)
    ended(first, "same", at=12.0)
    begun(second, sample(1), "same", at=12.5)  # does not undo what is finished
    assert set(first.finished(RUN)) == {"same"}
    ended(second, "same", at=13.0)
    [execution, repeated] = first.work(RUN)
    assert (execution.key, execution.finished_at) == ("same", 12.0)
    assert (repeated.kind, repeated.finished_at, repeated.harness_cpu_s) == ("repeated", 13.0, 0.875)
    assert all(record.verdict is not None for record in first.records(RUN))
