"""The runner against sandboxes that do as they are told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import query
from msgspec.structs import replace

from pytest_greencode.errors import SandboxError, SandboxLost
from pytest_greencode.ledger import Ledger
from pytest_greencode.model import AttemptRecord, Configuration, Limits, Method, Reading, Sample, Task, Verdict
from pytest_greencode.runner import (
    MAX_BATCH,
    MAX_PROGRAM_BYTES,
    SAVE_EVERY_S,
    Policy,
    Runner,
    Seen,
    Stopped,
    Unit,
    VerdictChanged,
)
from pytest_greencode.sandboxes.base import Execution, Request

GOLD = "    return 'gold'\n"
RUN = "run-1"
V = Verdict
Step = Verdict | Execution | Exception | Callable[[], Any]


def executed(verdict: Verdict, *, dirty: bool = False, detail: str = "", oracle_cpu_s: float = 0.25) -> Execution:
    reading = Reading(cpu_s=2.0, wall_s=3.0, peak_memory_bytes=1, oracle_cpu_s=oracle_cpu_s, harness_cpu_s=0.5)
    return Execution(verdict=verdict, detail=detail, reading=reading, dirty=dirty)


class FakeSandbox:
    def __init__(self, kind: FakeKind) -> None:
        self.kind, self.closed = kind, False
        self.facts = {"cpu_s": 0.1}
        self.loading_cpu_s = 0.0

    def host_pid(self) -> int | None:
        return None

    def run_all(self, requests: Sequence[Request]) -> Iterator[Execution]:
        for request in requests:
            assert not self.closed, "an attempt in a sandbox that was given up"
            yield self.kind.run(self, request.task, request.program, request.limits, request.oracle_cpu_s)

    def close(self) -> None:
        self.closed = True


class FakeKind:
    """`script`: a word in a program -> what its runs come to, one after the other (the last one for ever)."""

    name, tier, identity = "fake", "none", "fake-1"

    def __init__(self, script: dict[str, list[Step]]) -> None:
        self.script = {"gold": [V.ACCEPTED], **script}
        self.sandboxes: list[FakeSandbox] = []
        self.runs: list[tuple[str, FakeSandbox, Limits, float]] = []
        self.starts_left = 100
        self.closed = False
        self.lock = threading.Lock()

    def describe(self) -> dict[str, Any]:
        return {"sandbox": self.name}

    def start(self) -> FakeSandbox:
        with self.lock:
            if not self.starts_left:
                raise SandboxError("the daemon is gone")
            self.starts_left -= 1
            self.sandboxes.append(FakeSandbox(self))
            return self.sandboxes[-1]

    def close(self) -> None:
        self.closed = True

    def count(self, word: str) -> int:
        return sum(found == word for found, *_ in self.runs)

    def run(self, sandbox: FakeSandbox, task: Task, program: str, limits: Limits, oracle_cpu_s: float) -> Execution:
        word = next((word for word in self.script if word in program), "")
        with self.lock:
            number = self.count(word)
            self.runs.append((word, sandbox, limits, oracle_cpu_s))
        steps = self.script.get(word, [V.REJECTED])
        step = steps[min(number, len(steps) - 1)]
        came_to = step() if callable(step) else step
        if isinstance(came_to, Exception):
            raise came_to
        return came_to if isinstance(came_to, Execution) else executed(came_to)


def task(number: int = 0) -> Task:
    return Task(
        suite="fake",
        task_id=f"T/{number}",
        prompt="def f():\n",
        prelude="",
        tests=f"# {number}",
        call="",
        entry_points=("f",),
        canonical_solution=GOLD,
        timeout_s=7.0,
    )


def unit(*texts: str, number: int = 0, model: str = "m") -> Unit:
    samples = tuple(
        Sample(task_id=f"T/{number}", configuration=Configuration(model=model), sample_id=index, completion=text)
        for index, text in enumerate(texts)
    )
    return Unit(name=f"{model}::T/{number}", task=task(number), attempts=samples)


def body(word: str) -> str:
    return f"    return '{word}'\n"


class Bench:
    """Makes runners over one ledger and ends them."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger(path)
        self.ledger.begin(RUN, "2026-01-01T00:00:00Z", {})
        self.runners: list[Runner] = []

    def runner(self, kind: FakeKind, *, jobs: int = 1, meter: Any = None, **policy: Any) -> Runner:
        runner = Runner(kind=kind, jobs=jobs, ledger=self.ledger, run_id=RUN, policy=Policy(**policy), meter=meter)  # type: ignore[arg-type]
        self.runners.append(runner)
        return runner

    def results(self, runner: Runner, *units: Unit) -> list[list[Verdict]]:
        self.ledger.declare(RUN, [(sample, each.task.suite) for each in units for sample in each.attempts])
        runner.submit(units)
        return [[outcome.verdict for outcome in runner.result(each).outcomes] for each in units]

    def records(self) -> list[AttemptRecord]:
        return self.ledger.records(RUN)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "ledger.sqlite")
    yield bench
    for runner in bench.runners:
        runner.stop()
    bench.ledger.close()


def test_a_lost_sandbox_is_replaced_and_the_attempt_made_again(bench: Bench) -> None:
    kind = FakeKind({"unlucky": [SandboxLost("it died"), V.ACCEPTED]})
    assert bench.results(bench.runner(kind), unit(body("unlucky"))) == [[V.ACCEPTED]]
    assert [sandbox.closed for sandbox in kind.sandboxes] == [True, False]
    [record] = bench.records()
    assert (record.verdict, record.flaky) == (V.ACCEPTED, False)


def test_a_program_that_loses_two_sandboxes_is_to_blame(bench: Bench) -> None:
    kind = FakeKind({"deadly": [SandboxLost("it died")], "fine": [V.ACCEPTED]})
    assert bench.results(bench.runner(kind), unit(body("deadly"), body("fine"))) == [[V.CRASHED, V.ACCEPTED]]
    assert kind.count("deadly") == 2
    assert [record.detail for record in bench.records()] == ["it took its sandbox with it, twice: it died", ""]


def test_a_dirty_sandbox_is_not_used_again(bench: Bench) -> None:
    kind = FakeKind({"dirty": [executed(V.CRASHED, dirty=True)], "fine": [V.ACCEPTED]})
    assert bench.results(bench.runner(kind), unit(body("dirty"), body("fine"))) == [[V.CRASHED, V.ACCEPTED]]
    assert [sandbox.closed for sandbox in kind.sandboxes] == [True, False]
    assert kind.count("dirty") == 1


def test_fresh_sandboxes_see_one_attempt_each(bench: Bench) -> None:
    kind = FakeKind({"fine": [V.ACCEPTED], "slow": [V.TIMEOUT], "unlucky": [SandboxLost("it died"), V.ACCEPTED]})
    runner = bench.runner(kind, fresh_sandboxes=True)
    units = [unit(body("fine 1"), body("fine 2"), body("slow")), unit(body("unlucky"), number=1)]
    assert bench.results(runner, *units) == [[V.ACCEPTED, V.ACCEPTED, V.TIMEOUT], [V.ACCEPTED]]
    used = Counter(id(sandbox) for _, sandbox, *_ in kind.runs)
    assert set(used.values()) == {1}
    assert len(used) == 2 + 2 + 2 + 2  # two tasks' own solutions, two, the time-out twice, and the lost one twice


@pytest.mark.parametrize(
    ("steps", "verdict", "flaky"),
    [([V.TIMEOUT, V.ACCEPTED], V.ACCEPTED, True), ([V.TIMEOUT, V.TIMEOUT], V.TIMEOUT, False)],
)
def test_a_time_out_is_repeated_and_flaky_if_it_ends_differently(
    bench: Bench, steps: list[Step], verdict: Verdict, flaky: bool
) -> None:
    kind = FakeKind({"slow": steps})
    assert bench.results(bench.runner(kind), unit(body("slow"))) == [[verdict]]
    [record] = bench.records()
    assert (record.flaky, record.repeats, kind.count("slow")) == (flaky, 1, 2)


def test_a_time_out_is_repeated_while_nothing_else_runs(bench: Bench) -> None:
    side_by_side = threading.Barrier(2, timeout=10)
    repeating = threading.Event()
    overlaps = []

    def first_of_both(verdict: Verdict) -> Callable[[], Verdict]:
        def step() -> Verdict:
            side_by_side.wait()
            return verdict

        return step

    def brief() -> Verdict:
        overlaps.append(repeating.is_set())
        time.sleep(0.01)
        overlaps.append(repeating.is_set())
        return V.ACCEPTED

    def alone() -> Verdict:
        repeating.set()
        time.sleep(0.1)  # time for somebody else to begin
        repeating.clear()
        return V.TIMEOUT

    kind = FakeKind({"slow": [first_of_both(V.TIMEOUT), alone], "first": [first_of_both(V.ACCEPTED)], "brief": [brief]})
    others = unit(body("first"), *(f"{body('brief')}# {number}\n" for number in range(40)), number=1)
    bench.results(bench.runner(kind, jobs=2), unit(body("slow")), others)
    assert overlaps == [False] * 80
    assert kind.count("slow") == 2


def test_identical_programs_are_run_once_whoever_wrote_them(bench: Bench) -> None:
    kind = FakeKind({"same": [V.ACCEPTED]})
    units = [unit(body("same"), body("same"), model=model) for model in ("a", "b", "c")]
    assert bench.results(bench.runner(kind, jobs=3), *units) == [[V.ACCEPTED] * 2] * 3
    assert kind.count("same") == 1
    assert kind.count("gold") == 1
    assert {record.verdict for record in bench.records()} == {V.ACCEPTED}
    assert len({record.program_key for record in bench.records()}) == 1


def test_the_same_text_for_another_task_is_another_program(bench: Bench) -> None:
    kind = FakeKind({"same": [V.ACCEPTED]})
    bench.results(bench.runner(kind), unit(body("same"), number=0), unit(body("same"), number=1))
    assert kind.count("same") == 2


def test_a_task_whose_own_solution_fails_is_quarantined(bench: Bench) -> None:
    kind = FakeKind({"gold": [executed(V.REJECTED, detail="AssertionError")]})
    runner = bench.runner(kind)
    assert bench.results(runner, unit(body("fine"))) == [[]]
    assert runner.result(unit(body("fine"))).quarantined == "its own canonical solution is rejected (AssertionError)"
    assert list(bench.ledger.quarantined(RUN)) == ["T/0"]
    assert kind.count("gold") == 1
    assert len(kind.runs) == 1
    assert bench.records() == []


def test_a_task_is_checked_once_for_a_ledger(bench: Bench) -> None:
    first, second = FakeKind({}), FakeKind({})
    bench.results(bench.runner(first), unit(body("a")))
    bench.results(bench.runner(second), unit(body("b")))
    assert (first.count("gold"), second.count("gold")) == (1, 0)


def test_a_check_that_the_harness_spoilt_is_made_again(bench: Bench) -> None:
    first, second = FakeKind({"gold": [SandboxLost("gone")]}), FakeKind({})
    bench.results(bench.runner(first), unit(body("a")))
    assert bench.results(bench.runner(second), unit(body("a"))) == [[V.REJECTED]]
    assert second.count("gold") == 1


def test_attempts_stop_at_the_first_accepted_one(bench: Bench) -> None:
    kind = FakeKind({"right": [V.ACCEPTED]})
    runner = bench.runner(kind, stop_at_accepted=True)
    assert bench.results(runner, unit(body("wrong"), body("right"), body("never"))) == [[V.REJECTED, V.ACCEPTED]]
    assert len(kind.runs) == 3  # the gold check, and two attempts
    assert [record.sample_id for record in bench.records()] == [0, 1]


REPLY = "Sure:\n```python\ndef f():\n    return 'from a reply'\n```\n"


def test_each_configuration_stops_for_itself(bench: Bench) -> None:
    both = unit(body("good"), body("bad"), model="a").attempts + unit(body("bad"), body("good"), model="b").attempts
    mixed = Unit(name="mixed::T/0", task=task(), attempts=both)
    runner = bench.runner(FakeKind({"good": [V.ACCEPTED]}), stop_at_accepted=True)
    assert bench.results(runner, mixed) == [[V.ACCEPTED, V.REJECTED, V.ACCEPTED]]
    assert [(record.configuration.model, record.sample_id) for record in bench.records()] == [
        ("a", 0),
        ("b", 0),
        ("b", 1),
    ]


def test_stopping_at_accepted_makes_no_more_attempts_than_are_allowed(bench: Bench) -> None:
    runner = bench.runner(FakeKind({}), stop_at_accepted=True, attempts=2)
    assert bench.results(runner, unit(body("bad"), body("worse"), body("worst"))) == [[V.REJECTED, V.REJECTED]]


@pytest.mark.parametrize(("extract", "verdict"), [(True, V.ACCEPTED), (False, V.MALFORMED)])
def test_a_malformed_reply_is_run_as_the_code_in_it(bench: Bench, extract: bool, verdict: Verdict) -> None:
    kind = FakeKind({"Sure": [V.MALFORMED], "from a reply": [V.ACCEPTED]})
    assert bench.results(bench.runner(kind, extract=extract), unit(REPLY)) == [[verdict]]
    [record] = bench.records()
    assert record.verdict is verdict
    assert (record.extraction == "as-is") is not extract


def test_a_malformed_reply_has_no_verdict_before_it_was_searched_for_code(bench: Bench) -> None:
    kind = FakeKind({"Sure": [executed(V.MALFORMED, dirty=True)]})
    kind.starts_left = 1
    with pytest.raises(SandboxError):
        bench.results(bench.runner(kind), unit(REPLY))
    assert [record.verdict for record in bench.records()] == [None]


def test_what_runs_as_it_is_is_never_searched_for_code(bench: Bench) -> None:
    kind = FakeKind({"Sure": [V.CRASHED], "from a reply": [V.ACCEPTED]})
    assert bench.results(bench.runner(kind), unit(REPLY)) == [[V.CRASHED]]
    assert [record.extraction for record in bench.records()] == ["as-is"]


def test_a_sandbox_that_cannot_be_started_any_more_ends_the_run(bench: Bench) -> None:
    kind = FakeKind({"deadly": [SandboxLost("it died")]})
    kind.starts_left = 1
    runner = bench.runner(kind)
    with pytest.raises(SandboxError, match=r"(?s)the daemon is gone.*ledger\.sqlite.*--greencode-resume"):
        bench.results(runner, unit(body("deadly")))
    assert [record.verdict for record in bench.records()] == [None]


def test_what_finished_before_that_is_kept(bench: Bench) -> None:
    kind = FakeKind({"right": [V.ACCEPTED], "deadly": [SandboxLost("it died")]})
    kind.starts_left = 1
    with pytest.raises(SandboxError):
        bench.results(bench.runner(kind), unit(body("right"), body("deadly")))
    assert [record.verdict for record in bench.records()] == [V.ACCEPTED, None]


def test_a_bug_of_the_harness_reaches_whoever_waits(bench: Bench) -> None:
    kind = FakeKind({"bug": [RuntimeError("a bug")], "fine": [V.ACCEPTED]})
    runner = bench.runner(kind)
    with pytest.raises(RuntimeError, match="a bug"):
        bench.results(runner, unit(body("bug")))
    assert bench.results(runner, unit(body("fine"), number=1)) == [[V.ACCEPTED]]
    assert [sandbox.closed for sandbox in kind.sandboxes] == [True, False]  # it might have answered the wrong question


def test_a_result_does_not_wait_for_the_rest_of_its_batch(bench: Bench) -> None:
    entered, released = threading.Event(), threading.Event()

    def slow() -> Verdict:
        time.sleep(2 * SAVE_EVERY_S)
        return V.ACCEPTED

    def hang() -> Verdict:
        entered.set()
        assert released.wait(10)
        return V.REJECTED

    units = [unit(body(word), number=number) for number, word in enumerate(["slow", "slow", "hangs", *["other"] * 5])]
    kind = FakeKind({"slow": [slow], "hangs": [hang]})
    runner = bench.runner(kind)
    runner.submit(units)
    assert [outcome.verdict for outcome in runner.result(units[0]).outcomes] == [V.ACCEPTED]
    assert entered.wait(10)
    assert not released.is_set()
    released.set()
    assert [outcome.verdict for outcome in runner.result(units[2]).outcomes] == [V.REJECTED]


def test_a_run_goes_on_where_the_ledger_ends(bench: Bench) -> None:
    first, second = FakeKind({"right": [V.ACCEPTED]}), FakeKind({})
    runner = bench.runner(first)
    bench.results(runner, unit(body("right")))
    runner.stop()
    assert bench.results(bench.runner(second), unit(body("right"), body("new"))) == [[V.ACCEPTED, V.REJECTED]]
    assert [word for word, *_ in second.runs] == [""]


def test_the_limit_is_the_tasks_own_unless_the_user_gives_one(bench: Bench) -> None:
    own, given = FakeKind({}), FakeKind({})
    bench.results(bench.runner(own), unit(body("a")))
    bench.results(bench.runner(given, timeout_s=0.5, memory_bytes=64 << 20), unit(body("b")))
    assert {limits.cpu_s for _, _, limits, _ in own.runs} == {7.0}
    assert {(limits.cpu_s, limits.memory_bytes) for _, _, limits, _ in given.runs} == {(0.5, 64 << 20)}


def test_tests_that_take_long_have_longer(bench: Bench) -> None:
    quick, slow = FakeKind({}), FakeKind({"gold": [executed(V.ACCEPTED, oracle_cpu_s=9.0)]})
    bench.results(bench.runner(quick), unit(body("a"), number=1))
    bench.results(bench.runner(slow), unit(body("a"), number=2))
    assert slow.runs[-1][3] > 9.0 > quick.runs[-1][3]


def test_a_program_of_many_megabytes_is_not_run(bench: Bench) -> None:
    kind = FakeKind({"#": [V.ACCEPTED]})
    verdicts = bench.results(bench.runner(kind, extract=False), unit("#" * (MAX_PROGRAM_BYTES + 1)))
    assert verdicts == [[V.MALFORMED]]
    assert kind.count("#") == 0


class TwoWatts:
    method, source = Method.ESTIMATED, "two watts"

    def energy_j(self, cpu_s: float) -> float:
        return 2.0 * cpu_s


def test_the_solutions_energy_is_kept_apart_from_the_harnesss(bench: Bench) -> None:
    bench.results(bench.runner(FakeKind({}), meter=TwoWatts()), unit(body("a")))
    reading = bench.records()[0].reading
    assert reading is not None
    assert (reading.energy_j, reading.harness_energy_j) == (4.0, 1.5)
    assert (reading.energy_method, reading.energy_source) == (Method.ESTIMATED, "two watts")


def test_without_a_meter_energy_is_missing_and_not_zero(bench: Bench) -> None:
    bench.results(bench.runner(FakeKind({})), unit(body("a")))
    reading = bench.records()[0].reading
    assert reading is not None
    assert (reading.energy_j, reading.harness_energy_j, reading.energy_method) == (None, None, Method.MISSING)


def test_a_stopped_run_tells_whoever_waits_and_leaves_no_sandbox(bench: Bench) -> None:
    entered, released = threading.Event(), threading.Event()

    def hang() -> Exception:
        entered.set()
        released.wait(10)
        return SandboxLost("closed under the attempt")

    kind = FakeKind({"hangs": [hang]})
    runner = bench.runner(kind)
    units = [unit(body("hangs"), number=0), unit(body("waits"), number=1)]
    runner.submit(units)
    assert entered.wait(10)
    threading.Timer(0.1, released.set).start()
    runner.stop()
    for each in units:
        with pytest.raises(Stopped):
            runner.result(each)
    assert all(sandbox.closed for sandbox in kind.sandboxes)
    assert kind.closed
    assert Counter(word for word, *_ in kind.runs)["waits"] == 0


# -- references, and what is measured alone ---------------------------------------------------------------------------


def test_a_tasks_own_solution_is_run_once_whoever_attempts_the_task(bench: Bench) -> None:
    kind = FakeKind({"fine": [V.ACCEPTED]})
    units = [unit(body("fine"), body("bad"), number=n, model=m) for n in range(2) for m in ("a", "b")]
    runner = bench.runner(kind, jobs=2, references=True)
    bench.results(runner, *units)
    runner.stop()
    # Each task's is checked once, and run once.
    assert kind.count("gold") == 4
    references = {record.task_id: record for record in bench.ledger.references(RUN)}
    assert set(references) == {"T/0", "T/1"}
    assert {record.verdict for record in references.values()} == {V.ACCEPTED}
    assert not {record.program_key for record in references.values()} & {r.program_key for r in bench.records()}
    assert len(bench.records()) == 8


def test_a_sample_that_is_its_tasks_own_solution_shares_the_execution_and_stays_an_attempt(bench: Bench) -> None:
    kind = FakeKind({})
    bench.results(bench.runner(kind, references=True), unit(GOLD, body("bad")))
    assert kind.count("gold") == 2  # the check, and the one for both
    [reference] = bench.ledger.references(RUN)
    same, other = bench.records()
    assert same.program_key == reference.program_key != other.program_key
    assert (same.verdict, other.verdict) == (V.ACCEPTED, V.REJECTED)


def test_without_references_none_is_run(bench: Bench) -> None:
    kind = FakeKind({})
    bench.results(bench.runner(kind), unit(body("bad")))
    assert kind.count("gold") == 1
    assert bench.ledger.references(RUN) == []


def test_a_reference_that_is_known_already_is_not_run_again(bench: Bench) -> None:
    first, second = FakeKind({}), FakeKind({})
    bench.results(bench.runner(first, references=True), unit(body("a")))
    bench.results(bench.runner(second, references=True), unit(body("a"), body("b")))
    assert (first.count("gold"), second.count("gold")) == (2, 0)
    assert [record.task_id for record in bench.ledger.references(RUN)] == ["T/0"]


def test_what_was_accepted_is_kept_by_task_with_its_reference(bench: Bench) -> None:
    kind = FakeKind({"good": [V.ACCEPTED], "fine": [V.ACCEPTED]})
    runner = bench.runner(kind, references=True, exclusive=True)
    bench.results(runner, unit(body("good"), body("bad"), body("fine"), body("good")), unit(body("bad"), number=1))
    [programs] = runner.accepted_programs()
    assert sorted(request.program.strip().splitlines()[-1].strip() for request in programs.values()) == [
        "return 'fine'",
        "return 'gold'",
        "return 'good'",
    ]
    assert bench.runner(kind, references=True).accepted_programs() == []


def test_what_was_accepted_before_a_run_is_resumed_is_measured_too(bench: Bench) -> None:
    kind = FakeKind({"good": [V.ACCEPTED]})
    bench.results(bench.runner(kind, references=True, exclusive=True), unit(body("good")))
    again = bench.runner(kind, references=True, exclusive=True)
    bench.results(again, unit(body("good")))
    assert [len(programs) for programs in again.accepted_programs()] == [2]
    assert kind.count("good") == 1


def overheads(bench: Bench, kind: str) -> list[float]:
    return [cpu_s for (cpu_s,) in query(bench.ledger.path, "SELECT cpu_s FROM overhead WHERE kind = ?", kind)]


def measured_alone(bench: Bench, kind: FakeKind) -> tuple[Callable[[int], Any], Seen]:
    """A workload of one accepted program, and what is seen of its runs."""
    runner = bench.runner(kind, exclusive=True)
    assert bench.results(runner, unit(body("good"))) == [[V.ACCEPTED]]
    [programs] = runner.accepted_programs()
    seen = Seen()
    return runner.workload(next(iter(programs.values())), seen), seen


def test_a_workload_runs_a_program_so_many_times_and_says_what_it_took(bench: Bench) -> None:
    kind = FakeKind({"good": [V.ACCEPTED]})
    workload, seen = measured_alone(bench, kind)
    runs = MAX_BATCH + 3
    spent = workload(runs)
    assert kind.count("good") == 1 + runs
    assert spent.cpu_s == 2.0 * runs
    assert spent.harness_cpu_s >= 0.75 * runs
    assert (seen.peaks_bytes, seen.runs, seen.operations) == ([1] * runs, runs, (None, None))
    # Nobody's attempt: the run's own, and none of its time is counted with this process's.
    assert overheads(bench, "alone") == [2.75 * runs]
    assert len(bench.records()) == 1


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (V.REJECTED, "T/0: rejected when repeated"),
        (executed(V.ACCEPTED, dirty=True), "T/0: it spoilt its sandbox when repeated"),
        (SandboxLost("it died"), "T/0: it took its sandbox with it when repeated"),
    ],
)
def test_a_program_that_changes_its_mind_is_not_measured_and_its_sandbox_not_used(
    bench: Bench, step: Step, reason: str
) -> None:
    kind = FakeKind({"good": [V.ACCEPTED, V.ACCEPTED, step, V.ACCEPTED]})
    workload, _ = measured_alone(bench, kind)
    with pytest.raises(VerdictChanged, match=reason):
        workload(5)
    assert kind.count("good") == 3
    assert [sandbox.closed for sandbox in kind.sandboxes] == [True]
    assert overheads(bench, "alone") == [2.75 * (1 if isinstance(step, SandboxLost) else 2)]
    assert workload(2).cpu_s == 4.0  # in a fresh one


def test_cpu_time_that_no_attempt_answers_for_is_noted(bench: Bench) -> None:
    kind = FakeKind({"slow": [V.TIMEOUT]})
    bench.results(bench.runner(kind), unit(body("slow")))
    assert overheads(bench, "start") == [0.1]
    assert overheads(bench, "gold") == [2.75]
    assert overheads(bench, "repeated") == [2.75]
    assert overheads(bench, "alone") == []


def test_an_execution_ends_when_the_sandbox_says_and_not_when_its_answer_comes(bench: Bench) -> None:
    ended_at = time.time() + 1000

    def earlier() -> Execution:
        return replace(executed(V.REJECTED), ended_at=ended_at)

    bench.results(bench.runner(FakeKind({"early": [earlier]})), unit(body("early")))
    [found] = [work for work in bench.ledger.work(RUN) if work.key is not None]
    assert (found.started_at, found.finished_at) == (ended_at - 3.0, ended_at)
