"""Runs the attempts: units of work on a pool of sandboxes, in order, ahead of whoever waits for them. Knows no pytest.

One unit is one task of one samples file with all its attempts; units go to a sandbox in small batches. Before the
first attempt at a task its own canonical solution has to pass (the gold check).
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from pytest_greencode.errors import GreencodeError, SandboxError, SandboxLost, UsageProblem
from pytest_greencode.ledger import Finished, Gold, Ledger, Overhead, Started
from pytest_greencode.model import Configuration, Limits, Method, Reading, Sample, Task, Verdict
from pytest_greencode.repository import Environment, refusal
from pytest_greencode.sandboxes.base import Execution, Request, SandboxKind, WorkerSandbox, digest, not_run
from pytest_greencode.suites.formats import canonical_program, program

if TYPE_CHECKING:
    from pytest_greencode.meters.exclusive import Spent
    from pytest_greencode.meters.operations import OperationCounter, Operations

GOLD_ORACLE_CPU_S = 300.0
MIN_ORACLE_CPU_S = 5.0
ORACLE_CPU_PER_GOLD = 10.0
MAX_PROGRAM_BYTES = 4 << 20
# Attempts that go to a sandbox together. Results and the other sandboxes wait for a batch, so it is kept short in time:
# large while attempts take milliseconds, one where they take seconds.
MAX_BATCH = 64
BATCH_S = 0.25
SAVE_EVERY_S = 0.05


class Meter(Protocol):
    @property
    def method(self) -> Method: ...
    @property
    def source(self) -> str: ...
    def energy_j(self, cpu_s: float) -> float: ...


class Unit(Struct, frozen=True, kw_only=True):
    """One task of one samples file. `attempts` in the order in which they count.

    `following`: gives the next attempt after those that were made, None when there is none; then `attempts` only says
    what the first one will be called.
    """

    name: str
    task: Task
    attempts: tuple[Sample, ...]
    following: Callable[[Sequence[tuple[Sample, Finished]]], Sample | None] | None = None

    @property
    def size(self) -> int:
        """How many attempts it counts for where batches are made."""
        return len(self.attempts) if self.following is None else MAX_BATCH


class UnitResult(Struct, frozen=True, kw_only=True):
    """`outcomes` correspond to the unit's first attempts; fewer than those where it stopped at an accepted one."""

    outcomes: tuple[Finished, ...] = ()
    quarantined: str | None = None


class Policy(Struct, frozen=True, kw_only=True):
    """How attempts are made. `timeout_s` None: the task's own limit.

    `stop_at_accepted` ends a configuration's attempts at a task with the first accepted one, or with the `attempts`-th.
    `references`: each task's own solution is run in the same run, to compare with. `exclusive`: what is accepted is
    kept, to be measured alone afterwards. `fresh_sandboxes`: no two attempts see the same sandbox.
    """

    timeout_s: float | None = None
    memory_bytes: int = 1 << 30
    extract: bool = True
    stop_at_accepted: bool = False
    attempts: int | None = None
    references: bool = False
    exclusive: bool = False
    fresh_sandboxes: bool = False


class VerdictChanged(GreencodeError):
    """A program that was accepted is not any more."""


class Stopped(GreencodeError):
    """The run was stopped before this unit was done."""


class _Slot(Struct):
    """A place for one sandbox, filled when needed and emptied when it went bad."""

    sandbox: WorkerSandbox | None = None
    kind: SandboxKind | None = None
    operations: OperationCounter | None = None
    busy: threading.Lock = field(default_factory=threading.Lock)  # held while a batch runs
    attempt_s: float = BATCH_S / 8  # how long one took lately


class Seen(Struct):
    """What is known of a program's repetitions: each one's peak memory, and operations over all (None: unknown)."""

    peaks_bytes: list[int] = field(default_factory=list)
    runs: int = 0
    operations: Operations | None = None

    def add(self, runs: int, operations: Operations) -> None:
        self.runs += runs
        self.operations = operations if self.operations is None else self.operations.plus(operations)


class _Claim(Struct, kw_only=True):
    """An attempt's program. `outcome` is filled by whoever asked for the program first (`mine`)."""

    task: Task
    text: str
    gold: Gold
    started: Started
    outcome: Future[Finished]
    mine: bool


class _Alone(Struct):
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
        self._environments: dict[Environment, SandboxKind] = {}
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
        self._referred: set[str] = set()
        self._references: dict[str, dict[str, Request]] = {}
        self._accepted: dict[str, dict[str, Request]] = {}
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

    def use(self, environments: Mapping[Environment, SandboxKind]) -> None:
        """Where repositories' tests run; before the first of their units. The kinds are closed with the runner."""
        self._environments.update(environments)

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

    def finish(self) -> None:
        """Give up what nobody asked for, and wait until nothing runs any more. The sandboxes stay."""
        with self._work:
            pending, self._pending = self._pending, deque()
        for _, future in pending:
            future.set_exception(Stopped("nobody asked for it"))
        for slot in self._slots:
            with slot.busy:
                pass

    def accepted_programs(self) -> list[dict[str, Request]]:
        """What was accepted and the task's reference, by program key: a group for each task. For `workload`."""
        return [self._references.get(task, {}) | programs for task, programs in self._accepted.items()]

    def workload(self, request: Request, seen: Seen) -> Callable[[int], Spent]:
        """Runs a program so many times, one run after the other, in one sandbox. To be used when all units are done.

        `seen` takes what else is known of the runs. The workload raises VerdictChanged when a run is not accepted.
        """
        slot = self._slots[0]

        def run(repeats: int) -> Spent:
            from pytest_greencode.meters.exclusive import Spent  # few runs need it

            cpu_s = harness_cpu_s = 0.0
            sandbox, counter = self._sandbox(slot, request.task), self._operations(slot)
            counter.since_last()
            begun_at, start_s, start_cpu_s = time.time(), time.monotonic(), time.process_time()
            try:
                for first in range(0, repeats, MAX_BATCH):
                    for execution in sandbox.run_all([request] * min(MAX_BATCH, repeats - first)):
                        reading = execution.reading
                        cpu_s += reading.cpu_s
                        harness_cpu_s += reading.oracle_cpu_s + reading.harness_cpu_s
                        if execution.verdict is not Verdict.ACCEPTED or execution.dirty:
                            self._give_up(slot)
                            what = "it spoilt its sandbox" if execution.dirty else execution.verdict.value
                            raise VerdictChanged(f"{request.task.task_id}: {what} when repeated")
                        if reading.peak_memory_bytes is not None:
                            seen.peaks_bytes.append(reading.peak_memory_bytes)
            except SandboxLost as lost:
                self._give_up(slot)
                raise VerdictChanged(f"{request.task.task_id}: it took its sandbox with it when repeated") from lost
            finally:
                self._note("alone", begun_at, cpu_s + harness_cpu_s)
            wall_s, own_cpu_s = time.monotonic() - start_s, time.process_time() - start_cpu_s
            seen.add(repeats, counter.since_last())
            return Spent(cpu_s=cpu_s, harness_cpu_s=harness_cpu_s + own_cpu_s, wall_s=wall_s)

        return run

    def _operations(self, slot: _Slot) -> OperationCounter:
        from pytest_greencode.meters.operations import OperationCounter, forking_process

        if slot.operations is None:
            assert slot.sandbox is not None
            init_pid = slot.sandbox.host_pid()
            repositories = slot.kind is not self._kind
            forker = None if init_pid is None else forking_process(init_pid, of_repositories=repositories)
            slot.operations = OperationCounter(forker)
        return slot.operations

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
        for kind in (self._kind, *self._environments.values()):
            kind.close()

    def _loop(self, slot: _Slot) -> None:
        try:
            # Ahead of the first unit: collection goes on meanwhile.
            slot.sandbox, slot.kind = self._started(self._kind), self._kind
            problem: BaseException | None = None
        except BaseException as error:  # a bug of ours must not leave somebody waiting either
            problem = error
        if slot is self._slots[0]:
            self._first_start.set_exception(problem) if problem is not None else self._first_start.set_result(None)
        while True:
            with self._work:
                self._work.wait_for(lambda: self._pending or self._stopping)
                if self._stopping:
                    return
                batch = self._take(slot)
                slot.busy.acquire()
            try:
                self._batch(slot, batch)
            except BaseException as error:
                # A bug of ours must not leave somebody waiting either.
                stopped = self._stopping and isinstance(error, GreencodeError)
                for _, future in batch:
                    if not future.done():
                        future.set_exception(Stopped("the run was stopped") if stopped else error)
                if not self._stopping:
                    self._give_up(slot)  # what it still has to answer is not for the next batch
            finally:
                slot.busy.release()

    def _take(self, slot: _Slot) -> list[tuple[Unit, Future[UnitResult]]]:
        """The next units: enough for a batch, but never so many that another sandbox would be left without."""
        batch = [self._pending.popleft()]
        fair_share = len(self._pending) // (2 * len(self._slots))
        attempts = batch[0][0].size
        limit = min(MAX_BATCH, BATCH_S / slot.attempt_s)
        while len(batch) <= fair_share and attempts + self._pending[0][0].size <= limit:
            batch.append(self._pending.popleft())
            attempts += batch[-1][0].size
        return batch

    def _batch(self, slot: _Slot, batch: Sequence[tuple[Unit, Future[UnitResult]]]) -> None:
        checked = []
        for unit, future in batch:
            gold = self._check_gold(slot, unit.task)
            if gold.verdict is Verdict.ACCEPTED:
                checked.append((unit, future, gold))
                continue
            reason = f"its own canonical solution is {gold.verdict.value}"
            reason += f" ({gold.detail})" if gold.detail else ""
            attempts = [(sample, unit.task.suite) for sample in unit.attempts]
            self._ledger.skip(self._run_id, attempts, f"quarantined: {reason}")
            future.set_result(UnitResult(quarantined=reason))
        if self._policy.references:
            self._run_references(slot, [(unit.task, gold) for unit, _, gold in checked])
        for unit, future, gold in checked:
            if unit.following is None:
                continue
            try:
                future.set_result(UnitResult(outcomes=tuple(self._one_by_one(slot, unit, gold))))
            except UsageProblem as problem:
                if isinstance(problem, SandboxError):
                    raise
                future.set_exception(problem)  # whoever gives attempts has none; the sandbox is well
        checked = [each for each in checked if each[0].following is None]
        if self._policy.stop_at_accepted:
            for unit, future, gold in checked:
                future.set_result(UnitResult(outcomes=self._until_accepted(slot, unit, gold)))
            return
        work = [(unit.task, sample, gold) for unit, _, gold in checked for sample in unit.attempts]
        waiting = deque(checked)
        outcomes: list[Finished] = []
        for outcome in self._attempts(slot, work):
            outcomes.append(outcome)
            unit, future, _ = waiting[0]
            if len(outcomes) == len(unit.attempts):
                future.set_result(UnitResult(outcomes=tuple(outcomes)))
                waiting.popleft()
                outcomes = []

    def _run_references(self, slot: _Slot, tasks: Sequence[tuple[Task, Gold]]) -> None:
        claims = []
        for task, gold in tasks:
            with self._claims_lock:
                known = self._task_key(task) in self._referred
                self._referred.add(self._task_key(task))
            if not known:
                claims.append(self._claim(task, canonical_program(task), gold, None, "as-is"))
        for _ in self._execute(slot, claims):
            pass
        self._ledger.refer(
            self._run_id, [(each.task.suite, each.task.task_id, each.started.program_key) for each in claims]
        )

    def _one_by_one(self, slot: _Slot, unit: Unit, gold: Gold) -> Iterator[Finished]:
        """Each attempt comes of those before it."""
        assert unit.following is not None
        made: list[tuple[Sample, Finished]] = []
        while (sample := unit.following(made)) is not None:
            (outcome,) = self._attempts(slot, [(unit.task, sample, gold)])
            made.append((sample, outcome))
            yield outcome

    def _until_accepted(self, slot: _Slot, unit: Unit, gold: Gold) -> tuple[Finished, ...]:
        outcomes: list[Finished] = []
        done: dict[Configuration, str] = {}
        made: Counter[Configuration] = Counter()
        for sample in unit.attempts:
            configuration = sample.configuration
            if configuration in done:
                self._ledger.skip(self._run_id, [(sample, unit.task.suite)], f"not needed: {done[configuration]}")
                continue
            outcomes += self._attempts(slot, [(unit.task, sample, gold)])
            made[configuration] += 1
            if outcomes[-1].verdict is Verdict.ACCEPTED:
                done[configuration] = "an earlier attempt was accepted"
            elif made[configuration] == self._policy.attempts:
                done[configuration] = f"{self._policy.attempts} attempts were allowed"
        return tuple(outcomes)

    def _attempts(self, slot: _Slot, work: Sequence[tuple[Task, Sample, Gold]]) -> Iterator[Finished]:
        """The outcomes in order, each as soon as it and those before it are known."""
        claims = [
            self._claim(task, program(task, sample.completion, sample.solution, sample.patch), gold, sample, "as-is")
            for task, sample, gold in work
        ]
        held: dict[int, Finished] = {}  # from the first on that may not be its attempt's own
        for index, outcome in enumerate(self._execute(slot, claims)):
            if held or not _is_own(claims[index].started, outcome.verdict):
                held[index] = outcome
            else:
                yield outcome
        # What runs as it is stays as it is; only a text that is no program is searched for one.
        found: dict[int, tuple[str, str]] = {}
        for index, outcome in held.items():
            if not _is_own(claims[index].started, outcome.verdict):
                task, sample, _ = work[index]
                extracted = self._extracted(task, sample)
                if extracted is None:
                    self._ledger.assign(self._run_id, claims[index].started)
                else:
                    found[index] = extracted
        # Claimed only now, with nothing in between that could fail and leave others waiting for the claim.
        again = []
        for index, (text, rule) in found.items():
            task, sample, gold = work[index]
            again.append(self._claim(task, text, gold, sample, rule))
        held |= zip(found, self._execute(slot, again), strict=True)
        yield from held.values()

    def _extracted(self, task: Task, sample: Sample) -> tuple[str, str] | None:
        """The program in a chat reply and the rule that found it."""
        from pytest_greencode.extraction import extract  # few runs need it

        if sample.patch is not None or (task.repository is not None and task.repository.entry is None):
            return None  # what stands around a diff is passed over anyway
        reply = sample.completion if sample.completion is not None else sample.solution or ""
        with self._extracting:
            extracted = extract(reply, task.prompt if task.repository is None else "", task.entry_points)
        if extracted.rule in ("as-is", "none") or not (task.repository is None or extracted.is_program):
            return None
        code = extracted.code
        text = program(task, None, code) if extracted.is_program else program(task, code, None)
        return text, extracted.rule

    def _limits(self, task: Task) -> Limits:
        own = task.repository.environment.memory_bytes if task.repository is not None else None
        return Limits(cpu_s=self._policy.timeout_s or task.timeout_s, memory_bytes=own or self._policy.memory_bytes)

    def _kind_for(self, task: Task) -> SandboxKind:
        return self._kind if task.repository is None else self._environments[task.repository.environment]

    def _task_key(self, task: Task) -> str:
        """Names the task's tests: two tasks with this key in common are judged alike."""
        known = (task.suite, task.task_id)
        if known not in self._task_keys:
            parts = [task.prelude, task.tests, task.call, *task.entry_points, "|", *task.preload]
            if task.classes or task.same_process:
                parts += ["|", *task.classes, "|", *task.attributes, "|", str(task.same_process)]
            self._task_keys[known] = digest(*(parts if task.repository is None else (task.repository.sha256,)))
        return self._task_keys[known]

    def _check_gold(self, slot: _Slot, task: Task) -> Gold:
        limits = self._limits(task)
        text = canonical_program(task)
        key = digest(self._task_key(task), text, str(limits), self._kind_for(task).identity)
        with self._claims_lock:
            future = self._gold.get(key)
            mine = future is None
            if future is None:
                future = self._gold[key] = Future()
        if mine:
            try:
                gold = self._ledger.gold(key)
                if gold is None:
                    request = Request(self._task_key(task), task, text, limits, GOLD_ORACLE_CPU_S)
                    gold = self._run_gold(slot, request)
                    if gold.tests and gold.verdict is Verdict.ACCEPTED:
                        # Once more: tests that are called otherwise each time could never be told from missing ones.
                        again = self._run_gold(slot, replace(request, expected=gold.tests))
                        gold = gold if again.verdict is Verdict.ACCEPTED else again
                    if gold.verdict is not Verdict.HARNESS_ERROR:
                        self._ledger.remember_gold(key, task.task_id, gold)
                future.set_result(gold)
            except BaseException as error:
                with self._claims_lock:
                    self._gold.pop(key, None)
                future.set_exception(error)
                raise
        return future.result()

    def _run_gold(self, slot: _Slot, request: Request) -> Gold:
        with self._alone.shared():
            execution = self._run(slot, request, Verdict.HARNESS_ERROR)
        self._note_run("gold", execution)
        return Gold(
            verdict=execution.verdict,
            detail=execution.detail,
            oracle_cpu_s=execution.reading.oracle_cpu_s,
            tests=execution.test_names,
        )

    def _claim(self, task: Task, text: str, gold: Gold, sample: Sample | None, extraction: str) -> _Claim:
        key = digest(self._task_key(task), text, str(self._limits(task)), self._kind_for(task).identity)
        with self._claims_lock:
            outcome = self._claims.get(key)
            mine = outcome is None
            if outcome is None:
                outcome = self._claims[key] = Future()
        started = Started(
            program_key=key,
            task_id=task.task_id,
            attempt=(sample, task.suite) if sample is not None else None,
            extraction=extraction,
            provisional=self._policy.extract and extraction == "as-is",
        )
        return _Claim(task=task, text=text, gold=gold, started=started, outcome=outcome, mine=mine)

    def _execute(self, slot: _Slot, claims: Sequence[_Claim]) -> Iterator[Finished]:
        """The outcomes of programs, each run by whoever asked for it first; in order, each as soon as it is known."""
        mine = [claim for claim in claims if claim.mine]
        waiting = deque(claims)
        try:
            if mine:
                self._ledger.start(self._run_id, [claim.started for claim in mine], time.time())
                for _ in self._settle_all(slot, mine):
                    while waiting and waiting[0].outcome.done() and not waiting[0].outcome.exception():
                        yield self._outcome(waiting.popleft())
        except BaseException as error:
            for claim in mine:
                if not claim.outcome.done():
                    with self._claims_lock:
                        self._claims.pop(claim.started.program_key, None)
                    claim.outcome.set_exception(error)
            raise
        for claim in waiting:
            yield self._outcome(claim)

    def _outcome(self, claim: _Claim) -> Finished:
        outcome = claim.outcome.result()
        if self._policy.exclusive and outcome.verdict is Verdict.ACCEPTED:
            accepted = self._references if claim.started.attempt is None else self._accepted
            accepted.setdefault(self._task_key(claim.task), {})[claim.started.program_key] = self._request(claim)
        if not claim.mine and _is_own(claim.started, outcome.verdict):
            self._ledger.assign(self._run_id, claim.started)
        return outcome

    def _settle_all(self, slot: _Slot, claims: Sequence[_Claim]) -> Iterator[None]:
        """Run, and write down what finished as it comes, whatever happens to the rest; yields whenever it has."""
        timed_out: list[_Claim] = []
        finished: list[tuple[_Claim, Execution]] = []
        saved_s = time.monotonic()
        try:
            for claim, execution in zip(claims, self._run_all(slot, claims), strict=True):
                if execution.verdict is Verdict.TIMEOUT:
                    timed_out.append(claim)
                    self._note_run("repeated", execution)
                    continue
                finished.append((claim, execution))
                if time.monotonic() - saved_s > SAVE_EVERY_S:
                    self._settle(finished)
                    finished, saved_s = [], time.monotonic()
                    yield
        finally:
            self._settle(finished)
        yield
        for claim in timed_out:
            with self._alone.exclusive():
                execution = self._run(slot, self._request(claim))
            self._settle([(claim, execution)], repeats=1)
            yield

    def _settle(self, finished: Sequence[tuple[_Claim, Execution]], *, repeats: int = 0) -> None:
        """`repeats`: these are repetitions of attempts that timed out."""
        if not finished:
            return
        outcomes = [
            Finished(
                verdict=execution.verdict,
                detail=execution.detail,
                reading=self._with_energy(execution),
                flaky=repeats > 0 and execution.verdict is not Verdict.TIMEOUT,
                repeats=repeats,
                ended_at=execution.ended_at,
                tests=execution.tests,
            )
            for _, execution in finished
        ]
        keys = [claim.started.program_key for claim, _ in finished]
        own = [claim.started for claim, execution in finished if _is_own(claim.started, execution.verdict)]
        self._ledger.finish(self._run_id, list(zip(keys, outcomes, strict=True)), time.time(), own)
        for (claim, _), outcome in zip(finished, outcomes, strict=True):
            claim.outcome.set_result(outcome)

    def _request(self, claim: _Claim) -> Request:
        oracle_cpu_s = max(MIN_ORACLE_CPU_S, ORACLE_CPU_PER_GOLD * claim.gold.oracle_cpu_s)
        expected = claim.gold.tests if claim.task.repository is not None else None
        return Request(
            self._task_key(claim.task), claim.task, claim.text, self._limits(claim.task), oracle_cpu_s, expected
        )

    def _run_all(self, slot: _Slot, claims: Sequence[_Claim]) -> Iterator[Execution]:
        done = 0
        begun_at, start_s = time.time(), time.monotonic()
        with self._alone.shared():
            while done < len(claims):
                refused = _refused(claims[done])
                if refused is not None:
                    yield not_run(Verdict.MALFORMED, refused)
                    done += 1
                    continue
                kind = self._kind_for(claims[done].task)
                rest = list(
                    itertools.takewhile(
                        lambda each, kind=kind: _refused(each) is None and self._kind_for(each.task) is kind,  # type: ignore[misc]
                        claims[done:],
                    )
                )
                if self._policy.fresh_sandboxes:
                    rest = rest[:1]
                try:
                    requests = [self._request(each) for each in rest]
                    for execution in self._sandbox(slot, requests[0].task).run_all(requests):
                        done += 1
                        spent = self._spent(execution)
                        if spent:
                            self._note_loading(slot, begun_at)
                            self._give_up(slot)
                        yield execution
                        if spent:
                            break
                except SandboxLost:
                    self._give_up(slot)
                    execution = self._once_more(slot, self._request(claims[done]), Verdict.CRASHED)
                    done += 1
                    yield execution
        self._note_loading(slot, begun_at)
        slot.attempt_s = (slot.attempt_s + (time.monotonic() - start_s) / len(claims)) / 2

    def _once_more(self, slot: _Slot, request: Request, blame: Verdict) -> Execution:
        """A program that lost its sandbox, by itself in a fresh one; `blame`: the verdict if it loses that too."""
        start_s = time.monotonic()
        try:
            execution = next(iter(self._sandbox(slot, request.task).run_all([request])))
        except SandboxLost as lost:
            self._give_up(slot)
            # Nothing else was in there: what happens again is the program's doing.
            gone = not_run(blame, f"it took its sandbox with it, twice: {lost}")
            # Nobody could count its CPU time, and it was not free: as if it had kept one core busy all along.
            wall_s = time.monotonic() - start_s
            return replace(gone, reading=replace(gone.reading, cpu_s=wall_s, wall_s=wall_s))
        if self._spent(execution):
            self._give_up(slot)
        return execution

    def _run(self, slot: _Slot, request: Request, blame: Verdict = Verdict.CRASHED) -> Execution:
        try:
            execution = next(iter(self._sandbox(slot, request.task).run_all([request])))
        except SandboxLost:
            self._give_up(slot)
            return self._once_more(slot, request, blame)
        if self._spent(execution):
            self._give_up(slot)
        return execution

    def _spent(self, execution: Execution) -> bool:
        """Whether nothing else may run where this did."""
        return execution.dirty or self._policy.fresh_sandboxes

    def _sandbox(self, slot: _Slot, task: Task) -> WorkerSandbox:
        """The slot's sandbox, changed for one of another kind where the task needs that."""
        if self._stopping:
            raise Stopped("the run was stopped")
        kind = self._kind_for(task)
        if slot.kind is not kind:
            self._give_up(slot)
        if slot.sandbox is None:
            slot.sandbox, slot.kind = self._start(kind), kind
        return slot.sandbox

    @staticmethod
    def _give_up(slot: _Slot) -> None:
        if slot.operations is not None:
            slot.operations.close()
            slot.operations = None
        if slot.sandbox is not None:
            slot.sandbox.close()
            slot.sandbox = None

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

    def _started(self, kind: SandboxKind) -> WorkerSandbox:
        begun_at = time.time()
        sandbox = kind.start()
        try:
            if self._stopping:
                raise Stopped("the run was stopped")
            self._note("start", begun_at, sandbox.facts["cpu_s"])
        except BaseException:
            sandbox.close()
            raise
        return sandbox

    def _note(self, kind: str, begun_at: float, cpu_s: float, ended_at: float | None = None) -> None:
        """CPU time that no attempt answers for."""
        overhead = Overhead(kind=kind, started_at=begun_at, finished_at=ended_at or time.time(), cpu_s=cpu_s)
        self._ledger.note(self._run_id, overheads=[overhead])

    def _note_loading(self, slot: _Slot, begun_at: float) -> None:
        sandbox = slot.sandbox
        if sandbox is not None and sandbox.loading_cpu_s:
            self._note("load", begun_at, sandbox.loading_cpu_s)
            sandbox.loading_cpu_s = 0.0

    def _note_run(self, kind: str, execution: Execution) -> None:
        reading = execution.reading
        cpu_s = reading.cpu_s + reading.oracle_cpu_s + reading.harness_cpu_s
        self._note(kind, execution.ended_at - reading.wall_s, cpu_s, execution.ended_at)

    def _start(self, kind: SandboxKind) -> WorkerSandbox:
        try:
            return self._started(kind)
        except SandboxError as error:
            raise SandboxError(
                f"no sandbox can be started any more: {error}; what finished is in {self._ledger.path} "
                "(continue with --greencode-resume)"
            ) from error


def _refused(claim: _Claim) -> str | None:
    """Why a program is not run at all."""
    if len(claim.text) > MAX_PROGRAM_BYTES:
        return f"a program of {len(claim.text)} characters is not run"
    return None if claim.task.repository is None else refusal(claim.text)


def _is_own(started: Started, verdict: Verdict) -> bool:
    """Whether an execution's verdict is its attempt's: not while a malformed text may have a program in it."""
    return started.attempt is not None and not (started.provisional and verdict is Verdict.MALFORMED)
