"""Runs the attempts: units of work on a pool of sandboxes, in order, ahead of whoever waits for them. Knows no pytest.

One unit is one task of one samples file with all its attempts: they run one after the other in one sandbox, so that the
task's tests stay loaded there. Before the first of them the task's own canonical solution has to pass (the gold check).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from pytest_greencode.errors import GreencodeError, SandboxError, SandboxLost
from pytest_greencode.extraction import extract
from pytest_greencode.ledger import Finished, Gold, Ledger, Started
from pytest_greencode.model import Limits, Method, Reading, Sample, Task, Verdict
from pytest_greencode.sandboxes.base import Execution, SandboxKind, WorkerSandbox, digest, not_run
from pytest_greencode.suites.formats import canonical_program, program

GOLD_ORACLE_CPU_S = 300.0
MIN_ORACLE_CPU_S = 5.0
ORACLE_CPU_PER_GOLD = 10.0
MAX_PROGRAM_BYTES = 4 << 20


class Meter(Protocol):
    @property
    def method(self) -> Method: ...
    @property
    def source(self) -> str: ...
    def energy_j(self, cpu_s: float) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One task of one samples file. `attempts` in the order in which they count."""

    name: str
    task: Task
    attempts: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitResult:
    """`outcomes` correspond to the unit's first attempts; fewer than those where it stopped at an accepted one."""

    outcomes: tuple[Finished, ...] = ()
    quarantined: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How attempts are made. `timeout_s` None: the task's own limit."""

    timeout_s: float | None = None
    memory_bytes: int = 1 << 30
    extract: bool = True
    stop_at_accepted: bool = False


class Stopped(GreencodeError):
    """The run was stopped before this unit was done."""


@dataclass(slots=True)
class _Slot:
    """A place for one sandbox, filled when needed and emptied when it went bad.

    `unsaved` is an outcome that goes to the ledger together with the start of the next execution, or with the unit.
    """

    sandbox: WorkerSandbox | None = None
    unsaved: tuple[str, Finished] | None = None


@dataclass(slots=True)
class _Alone:
    """Attempts share the machine; the repetition of a time-out has it to itself (as far as this process goes)."""

    condition: threading.Condition = field(default_factory=threading.Condition)
    running: int = 0
    waiting: int = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self.condition:
            self.condition.wait_for(lambda: not self.waiting)
            self.running += 1
        try:
            yield
        finally:
            with self.condition:
                self.running -= 1
                self.condition.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        with self.condition:
            self.waiting += 1
            self.condition.wait_for(lambda: self.running == 0)
            self.running += 1
        try:
            yield
        finally:
            with self.condition:
                self.running -= 1
                self.waiting -= 1
                self.condition.notify_all()


class Runner:
    """A pool of `jobs` sandboxes. Every failure of the harness arrives in the units' futures as a GreencodeError."""

    def __init__(
        self, *, kind: SandboxKind, jobs: int, ledger: Ledger, run_id: str, policy: Policy, meter: Meter | None
    ) -> None:
        self._kind, self._ledger, self._run_id, self._policy, self._meter = kind, ledger, run_id, policy, meter
        self._pending: deque[tuple[Unit, Future[UnitResult]]] = deque()
        self._futures: dict[str, Future[UnitResult]] = {}
        self._work = threading.Condition()
        self._stopping = False
        self._alone = _Alone()
        self._claims_lock = threading.Lock()
        self._extracting = threading.Lock()  # it silences warnings, a setting of the whole process
        self._claims: dict[str, Future[Finished]] = {}
        self._gold: dict[str, Future[Gold]] = {}
        self._task_keys: dict[tuple[str, str], str] = {}
        for program_key, outcome in ledger.finished(run_id).items():
            future: Future[Finished] = Future()
            future.set_result(outcome)
            self._claims[program_key] = future
        self._slots = [_Slot() for _ in range(jobs)]
        self._first_start: Future[None] = Future()
        self._threads = [
            threading.Thread(target=self._loop, args=(slot,), name=f"greencode-{index}", daemon=True)
            for index, slot in enumerate(self._slots)
        ]
        for thread in self._threads:
            thread.start()

    def wait_until_ready(self) -> None:
        """Until the first sandbox has started. Raises SandboxError when it could not."""
        self._first_start.result()

    def submit(self, units: Sequence[Unit]) -> None:
        """Queue units behind those that are queued already. A unit that is known by its name is not queued again."""
        with self._work:
            for unit in units:
                if unit.name not in self._futures:
                    future: Future[UnitResult] = Future()
                    self._futures[unit.name] = future
                    self._pending.append((unit, future))
            self._work.notify_all()

    def result(self, unit: Unit) -> UnitResult:
        """Wait for a unit (queued now if it was not). Raises GreencodeError when the harness failed."""
        self.submit([unit])
        return self._futures[unit.name].result()

    def stop(self) -> None:
        """End now: running attempts are abandoned (the ledger knows them as started), sandboxes are removed."""
        with self._work:
            self._stopping = True
            pending, self._pending = self._pending, deque()
            self._work.notify_all()
        for _, future in pending:
            future.set_exception(Stopped("the run was stopped"))
        for slot in self._slots:
            if slot.sandbox is not None:
                slot.sandbox.close()
        for thread in self._threads:
            thread.join(timeout=10)
        self._kind.close()

    def _loop(self, slot: _Slot) -> None:
        try:
            slot.sandbox = self._kind.start()  # ahead of the first unit: collection goes on meanwhile
            problem = None
        except GreencodeError as error:
            problem = error
        if slot is self._slots[0]:
            self._first_start.set_exception(problem) if problem is not None else self._first_start.set_result(None)
        while True:
            with self._work:
                self._work.wait_for(lambda: self._pending or self._stopping)
                if self._stopping:
                    return
                unit, future = self._pending.popleft()
            try:
                try:
                    result = self._unit(slot, unit)
                finally:
                    self._save(slot, None)
                future.set_result(result)
            except GreencodeError as error:
                future.set_exception(Stopped("the run was stopped") if self._stopping else error)
            except BaseException as error:  # a bug of ours must not leave somebody waiting
                future.set_exception(error)

    def _unit(self, slot: _Slot, unit: Unit) -> UnitResult:
        gold = self._check_gold(slot, unit.task)
        if gold.verdict is not Verdict.ACCEPTED:
            reason = f"its own canonical solution is {gold.verdict.value}" + (
                f" ({gold.detail})" if gold.detail else ""
            )
            self._ledger.skip(
                self._run_id, [(sample, unit.task.suite) for sample in unit.attempts], f"quarantined: {reason}"
            )
            return UnitResult(quarantined=reason)
        outcomes = []
        for index, sample in enumerate(unit.attempts):
            outcome = self._attempt(slot, unit.task, sample, gold)
            outcomes.append(outcome)
            if self._policy.stop_at_accepted and outcome.verdict is Verdict.ACCEPTED:
                rest = [(later, unit.task.suite) for later in unit.attempts[index + 1 :]]
                self._ledger.skip(self._run_id, rest, "not needed: an earlier attempt was accepted")
                break
        return UnitResult(outcomes=tuple(outcomes))

    def _attempt(self, slot: _Slot, task: Task, sample: Sample, gold: Gold) -> Finished:
        text = program(task, sample.completion, sample.solution)
        outcome = self._execute(slot, task, text, gold, sample, "as-is")
        if outcome.verdict is Verdict.MALFORMED and self._policy.extract:
            # What runs as it is stays as it is; only a text that is no program is searched for one.
            reply = sample.completion if sample.completion is not None else sample.solution or ""
            with self._extracting:
                extracted = extract(reply, task.prompt, task.entry_points)
            if extracted.rule not in ("as-is", "none"):
                code = extracted.code
                text = program(task, None, code) if extracted.is_program else program(task, code, None)
                outcome = self._execute(slot, task, text, gold, sample, extracted.rule)
        return outcome

    def _limits(self, task: Task) -> Limits:
        return Limits(cpu_s=self._policy.timeout_s or task.timeout_s, memory_bytes=self._policy.memory_bytes)

    def _task_key(self, task: Task) -> str:
        """Names the task's tests: two tasks with this key in common are judged alike."""
        known = (task.suite, task.task_id)
        if known not in self._task_keys:
            self._task_keys[known] = digest(task.prelude, task.tests, task.call, *task.entry_points, "|", *task.preload)
        return self._task_keys[known]

    def _check_gold(self, slot: _Slot, task: Task) -> Gold:
        limits = self._limits(task)
        text = canonical_program(task)
        key = digest(self._task_key(task), text, str(limits), self._kind.identity)
        with self._claims_lock:
            future = self._gold.get(key)
            mine = future is None
            if future is None:
                future = self._gold[key] = Future()
        if mine:
            try:
                gold = self._ledger.gold(key)
                if gold is None:
                    execution = self._run(slot, task, text, limits, GOLD_ORACLE_CPU_S)
                    gold = Gold(
                        verdict=execution.verdict,
                        detail=execution.detail,
                        oracle_cpu_s=execution.reading.oracle_cpu_s,
                    )
                    if gold.verdict is not Verdict.HARNESS_ERROR:
                        self._ledger.remember_gold(key, task.task_id, gold)
                future.set_result(gold)
            except BaseException as error:
                with self._claims_lock:
                    self._gold.pop(key, None)
                future.set_exception(error)
                raise
        return future.result()

    def _execute(self, slot: _Slot, task: Task, text: str, gold: Gold, sample: Sample, extraction: str) -> Finished:
        """The outcome of a program, run by whoever asks for it first."""
        limits = self._limits(task)
        key = digest(self._task_key(task), text, str(limits), self._kind.identity)
        with self._claims_lock:
            future = self._claims.get(key)
            mine = future is None
            if future is None:
                future = self._claims[key] = Future()
        started = Started(program_key=key, attempt=(sample, task.suite), extraction=extraction)
        if not mine:
            self._ledger.assign(self._run_id, started)
            return future.result()
        try:
            self._save(slot, started)
            outcome = self._execute_claimed(slot, task, text, limits, gold)
        except BaseException as error:
            with self._claims_lock:
                self._claims.pop(key, None)
            future.set_exception(error)
            raise
        slot.unsaved = (key, outcome)
        future.set_result(outcome)
        return outcome

    def _save(self, slot: _Slot, started: Started | None) -> None:
        if slot.unsaved is not None or started is not None:
            self._ledger.turn(self._run_id, finished=slot.unsaved, started=started, at=time.time())
            slot.unsaved = None

    def _execute_claimed(self, slot: _Slot, task: Task, text: str, limits: Limits, gold: Gold) -> Finished:
        if len(text) > MAX_PROGRAM_BYTES:
            execution = not_run(Verdict.MALFORMED, f"a program of {len(text)} characters is not run")
            return Finished(verdict=execution.verdict, detail=execution.detail, reading=self._with_energy(execution))
        oracle_cpu_s = max(MIN_ORACLE_CPU_S, ORACLE_CPU_PER_GOLD * gold.oracle_cpu_s)
        execution = self._run(slot, task, text, limits, oracle_cpu_s)
        flaky, repeats = False, 0
        if execution.verdict is Verdict.TIMEOUT:
            execution = self._run(slot, task, text, limits, oracle_cpu_s, alone=True)
            flaky, repeats = execution.verdict is not Verdict.TIMEOUT, 1
        return Finished(
            verdict=execution.verdict,
            detail=execution.detail,
            reading=self._with_energy(execution),
            flaky=flaky,
            repeats=repeats,
        )

    def _with_energy(self, execution: Execution) -> Reading:
        reading = execution.reading
        if self._meter is None:
            return reading
        return replace(
            reading,
            energy_j=self._meter.energy_j(reading.cpu_s),
            harness_energy_j=self._meter.energy_j(reading.oracle_cpu_s + reading.harness_cpu_s),
            energy_method=self._meter.method,
            energy_source=self._meter.source,
        )

    def _run(
        self, slot: _Slot, task: Task, text: str, limits: Limits, oracle_cpu_s: float, *, alone: bool = False
    ) -> Execution:
        """Run once; a sandbox that dies under the attempt is replaced, and the attempt made once more."""
        with self._alone.exclusive() if alone else self._alone.shared():
            for last_try in (False, True):
                if self._stopping:
                    raise Stopped("the run was stopped")
                if slot.sandbox is None:
                    slot.sandbox = self._start()
                sandbox = slot.sandbox
                try:
                    execution = sandbox.run(self._task_key(task), task, text, limits, oracle_cpu_s)
                except SandboxLost as lost:
                    sandbox.close()
                    slot.sandbox = None
                    if last_try:
                        # A fresh sandbox, and nothing else in it: what happens again is the program's doing.
                        return not_run(Verdict.CRASHED, f"it took its sandbox with it, twice: {lost}")
                    continue
                if execution.dirty:
                    sandbox.close()
                    slot.sandbox = None
                return execution
        raise AssertionError

    def _start(self) -> WorkerSandbox:
        try:
            return self._kind.start()
        except SandboxError as error:
            raise SandboxError(
                f"no sandbox can be started any more: {error}; what finished is in {self._ledger.path} "
                "(continue with --greencode-resume)"
            ) from error
