"""Ordinary tests: what each of them uses, in the process that runs them. Project mode of `pytest --greencode`.

The phases of a test (setup, call, teardown) are measured inside of all other plugins' wrappers, so that what plugins do
around a test is theirs. One row a run goes to the ledger; energies and totals are computed from there.
"""

from __future__ import annotations

import contextlib
import copy
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key
from _pytest.runner import runtestprotocol
from msgspec import Struct

from pytest_greencode.attribution import attribute
from pytest_greencode.collection import MARKER, TaskItem
from pytest_greencode.ledger import BACKGROUND, STARTUP, Ledger, Overhead
from pytest_greencode.meters.estimated import EstimatedMeter
from pytest_greencode.meters.phases import PhaseClock
from pytest_greencode.model import Block, ItemRun, Method, Window, Work
from pytest_greencode.project_account import PASSED
from pytest_greencode.reports.text import escape, significant

if TYPE_CHECKING:
    from pytest_greencode.meters.exclusive import Measurement, Plan, Spent
    from pytest_greencode.meters.metering import Metering

REPETITIONS = "alone"
SENT = "greencode_tests"  # what a worker sends at its end
Note = Callable[..., None]
PROJECT: pytest.StashKey[Project] = pytest.StashKey()


# -- the marker ---------------------------------------------------------------------------------------------------


class Terms(Struct, frozen=True, kw_only=True):
    """What a test's marker asks for. Limits are of the call: fixtures are paid by whoever comes first."""

    max_energy_j: float | None = None
    max_cpu_s: float | None = None
    repeat: int | None = None


def terms_of(item: pytest.Item) -> Terms | None:
    """The nearest `@pytest.mark.greencode(...)` of a test; None without one. Raises pytest.UsageError."""
    marker = item.get_closest_marker(MARKER)
    if marker is None:
        return None
    known = ("max_energy_j", "max_cpu_s", "repeat")
    where = f"{escape(item.nodeid)}: @pytest.mark.{MARKER}"
    wrong = [repr(value) for value in marker.args] + [f"{name}=..." for name in marker.kwargs if name not in known]
    if wrong:
        expected = ", ".join(f"{name}=..." for name in known)
        raise pytest.UsageError(f"{where}: expected only {expected}, found {escape(', '.join(wrong))}")
    for name, value in marker.kwargs.items():
        whole = name == "repeat"
        right = isinstance(value, int) and value >= 1 if whole else isinstance(value, (int, float)) and value > 0
        if not right or isinstance(value, bool):
            expected = "a whole number from 1" if whole else "a number above 0"
            raise pytest.UsageError(f"{where}: {name}: expected {expected}, found {escape(repr(value))}")
    return Terms(**marker.kwargs)


# -- blocks -------------------------------------------------------------------------------------------------------


class MeasuredBlock(Struct):
    """A stretch of a test: CPU time of this process and its children, s, and energy, J; None while it goes on.

    `energy_j` stays None where it cannot be known yet: by a counter that another process reads (pytest-xdist). Then the
    report has it. `energy_method` says how it is known.
    """

    name: str
    cpu_s: float | None = None
    wall_s: float | None = None
    energy_j: float | None = None
    energy_method: str = Method.MISSING.value


class Greencode:
    """The fixture `greencode`."""

    def __init__(self, test_id: str, clock: PhaseClock, prices: Prices, blocks: list[Block] | None) -> None:
        self._test_id, self._clock, self._prices, self._blocks = test_id, clock, prices, blocks

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[MeasuredBlock]:
        """Measure what is done within: `with greencode.measure("sorting") as m: ...`, then `m.cpu_s`, `m.energy_j`."""
        block = MeasuredBlock(str(name))
        began_s, started_at = time.perf_counter(), time.time()
        price, before_s = self._prices.begin(), self._clock.now_s()
        try:
            yield block
        finally:
            block.cpu_s = max(0.0, self._clock.now_s() - before_s)
            energy_j, method = price(block.cpu_s)
            block.wall_s = time.perf_counter() - began_s
            block.energy_j, block.energy_method = energy_j, method.value
            if self._blocks is not None:
                self._blocks.append(
                    Block(
                        test_id=self._test_id,
                        name=block.name,
                        started_at=started_at,
                        finished_at=started_at + block.wall_s,
                        cpu_s=block.cpu_s,
                        energy_j=energy_j,
                        energy_method=method,
                    )
                )


class Prices:
    """Energy of a stretch as soon as it is over: by the counters, or by the model of the CPU."""

    def __init__(self, metering: Metering | None) -> None:
        """Without a session's metering, by the model."""
        self._metering = metering
        self._model = EstimatedMeter.of_host() if metering is None else metering.estimated

    def begin(self) -> Callable[[float], tuple[float | None, Method]]:
        """To be called when the stretch begins; its answer when it ends, with the CPU seconds that it used."""
        model = self._model
        if model is not None:
            return lambda cpu_s: (model.energy_j(cpu_s), Method.ESTIMATED)
        sampler = None if self._metering is None else self._metering.sampler
        if sampler is None or self._metering is None or self._metering.counters is None:
            return lambda cpu_s: (None, Method.MISSING)
        before = sampler.edge()

        def price(cpu_s: float) -> tuple[float | None, Method]:
            window = sampler.window(before, sampler.edge())
            return (None, Method.MISSING) if window is None else _attributed(window, cpu_s)

        return price


def _attributed(window: Window, cpu_s: float) -> tuple[float | None, Method]:
    work = Work(key="", started_at=window.started_at, finished_at=window.finished_at, cpu_s=cpu_s, harness_cpu_s=0.0)
    found = attribute([window], [work])
    share = None if found is None else found.shares.get("")
    if share is None or not share.covered:
        return None, Method.MISSING
    return share.solution_uj * 1e-6, Method.ATTRIBUTED


def greencode_fixture(request: pytest.FixtureRequest) -> Greencode:
    """Of the session's project mode; without it a clock and a model of its own, and nothing is recorded."""
    project = request.config.stash.get(PROJECT, None)
    if project is None:
        return Greencode(request.node.nodeid, PhaseClock(), Prices(None), None)
    return Greencode(name_of(request.node), project.clock, project.prices, project.blocks)


# -- the session --------------------------------------------------------------------------------------------------


class _Running(Struct, gc=False):
    """A run of a test under way."""

    node_id: str
    test_id: str
    attempt: int
    repetition: int
    started_at: float
    setup_cpu_s: float = 0.0
    call_cpu_s: float = 0.0
    teardown_cpu_s: float = 0.0
    finished_at: float = 0.0
    outcome: str | None = None
    energy_j: float | None = None

    @property
    def cpu_s(self) -> float:
        return self.setup_cpu_s + self.call_cpu_s + self.teardown_cpu_s


class _Changed(Exception):
    """A test that passed does not pass any more."""


class Project:
    """The hooks of one process. `repeat` is for tests whose marker says nothing; `plan` measures each test alone.

    `only_reports`: other processes run the tests. `samples`: node ids of samples files, which are none of its business.
    """

    def __init__(
        self,
        config: pytest.Config,
        *,
        repeat: int,
        plan: Plan | None,
        only_reports: bool,
        samples: frozenset[str] = frozenset(),
    ) -> None:
        self.clock = PhaseClock()
        self.blocks: list[Block] = []
        self.selected = 0
        self.from_workers: list[dict[str, Any]] = []
        self._config, self._repeat, self._plan, self._only_reports = config, repeat, plan, only_reports
        self._samples = samples
        self._worker = os.environ.get("PYTEST_XDIST_WORKER", "") if hasattr(config, "workerinput") else ""
        self._metering: Metering | None = None
        self.prices: Prices
        self._terms: dict[pytest.Item, Terms] = {}
        self._run: _Running | None = None
        self._after_other = True
        self._repetition = 0
        self._silent = False
        self._attempts: dict[str, int] = {}
        self._done: list[_Running] = []
        self._calls: list[_Running] = []
        self._reported: dict[str, str] = {}
        self._overheads: list[Overhead] = []
        self._background_s = 0.0
        self._properties = False
        self._measurements: dict[str, Measurement] = {}
        self._notes: dict[str, list[str]] = {}
        self._started_at = time.time()

    def begin(self, metering: Metering) -> None:
        """The meter runs: from now on what is used is seen. What this process had used before is the harness's."""
        self._metering, self.prices = metering, Prices(metering)
        self.clock.sampler = metering.sampler
        if not self._only_reports:
            now, cpu_s = time.time(), time.process_time()
            self._overheads.append(Overhead(kind=STARTUP, started_at=now - cpu_s, finished_at=now, cpu_s=cpu_s))

    # -- to the ledger -------------------------------------------------------------------------------------------------

    def write(self, note: Note, windows: list[Window], overheads: list[Overhead]) -> None:
        """Note what has ended since. What `note` raises leaves everything for the next time."""
        self._note_background(overheads)
        done, blocks, more = self._done[:], self.blocks[:], self._overheads[:]
        note(windows, [*overheads, *more], tests=[self._row(run) for run in done], blocks=blocks)
        # Others may have been added meanwhile.
        del self._done[: len(done)], self.blocks[: len(blocks)], self._overheads[: len(more)]

    def _note_background(self, overheads: Sequence[Overhead]) -> None:
        background_s = self.clock.background_s()
        used_s, self._background_s = background_s - self._background_s, background_s
        if used_s > 0 and overheads:
            last = overheads[-1]
            self._overheads.append(
                Overhead(kind=BACKGROUND, started_at=last.started_at, finished_at=last.finished_at, cpu_s=used_s)
            )

    def _row(self, run: _Running) -> ItemRun:
        return ItemRun(
            run.test_id,
            run.attempt,
            run.repetition,
            run.outcome,
            run.started_at,
            run.finished_at,
            run.setup_cpu_s,
            run.call_cpu_s,
            run.teardown_cpu_s,
            self._worker,
        )

    def finish(self) -> None:
        """No test runs any more: close the last one, and look for what tests have left running."""
        self._close_run()
        now = time.time()
        for test, stray in self.clock.strays(set(self._attempts), self._started_at):
            self.clock.left.append((test, stray))
            self._overheads.append(
                Overhead(kind=BACKGROUND, started_at=self._started_at, finished_at=now, cpu_s=stray.total_s)
            )

    def summary(self) -> dict[str, list[Any]]:
        """What this process and its workers know of the tests that stands in no row of the ledger; plain values."""
        left = [
            {"test_id": test, "name": relative.name, "cpu_s": relative.after_s} for test, relative in self.clock.left
        ]
        notes = [
            f"{what}: {', '.join(tests[:3])}{f' and {len(tests) - 3} more' if len(tests) > 3 else ''}"
            for what, tests in self._notes.items()
        ]
        found: dict[str, list[Any]] = {"left_behind": [*left], "notes": [*notes]}
        for sent in self.from_workers:
            for name in found:
                found[name] += sent[name]
        return found

    def settle(self, ledger: Ledger, run_id: str) -> None:
        """What was measured alone, with the idle machine as it is known now; and tests of which there is no row."""
        baseline = None if self._metering is None else self._metering.baseline
        if baseline is not None and self._measurements and self._plan is not None:
            from pytest_greencode.meters.alone import as_measured
            from pytest_greencode.meters.exclusive import again
            from pytest_greencode.runner import Seen

            measured = {
                test: as_measured(again(each, baseline, self._plan), Seen())
                for test, each in self._measurements.items()
            }
            ledger.remember_measured(run_id, measured)
        known = ledger.test_ids(run_id) if self._reported else set()
        lost = [
            ItemRun(
                test_id=test,
                attempt=1,
                repetition=0,
                outcome=outcome,
                started_at=None,
                finished_at=None,
                setup_cpu_s=None,
                call_cpu_s=None,
                teardown_cpu_s=None,
            )
            for test, outcome in self._reported.items()
            if test not in known and test.rpartition("@")[0] not in known
        ]
        if lost:
            ledger.note(run_id, tests=lost)

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        ordinary = [item for item in session.items if item.__class__ is not TaskItem]
        self.selected = len(ordinary)
        self._properties = bool(self._worker) or self._config.stash.get(xml_key, None) is not None
        above: dict[Any, bool] = {}  # whether what a test stands in has the marker
        for item in ordinary:
            parent = item.parent
            if parent not in above:
                above[parent] = parent is not None and parent.get_closest_marker(MARKER) is not None
            marked = above[parent] or any(mark.name == MARKER for mark in item.own_markers)
            if marked and (terms := terms_of(item)) is not None:
                self._terms[item] = terms
        if self._plan is not None or self._repeat > 1 or any(terms.repeat for terms in self._terms.values()):
            self._config.pluginmanager.register(_Repeats(self), "greencode-repeats")

    def pytest_report_collectionfinish(self) -> list[str]:
        if self._plan is None or not self.selected or self._config.getoption("collectonly", False):
            return []
        windows = 1 + self._plan.warm_up_windows + self._plan.first_windows
        least_s = self.selected * min(windows * self._plan.min_window_s, self._plan.max_wall_s)
        least = f"{least_s:.0f} s" if least_s < 120 else f"{least_s / 60:.0f} min"
        return [f"greencode: measuring {self.selected} tests alone, {least} or more"]

    # What every test passes through asks for the class itself: isinstance is slow for pytest's, which are abstract.

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        if item.__class__ is TaskItem:
            self._after_other = True
            return (yield)
        run = self._next(item)
        self.clock.start(serving=True)
        try:
            return (yield)
        finally:
            run.setup_cpu_s = self.clock.stop()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        run = self._run
        if run is None or item.__class__ is TaskItem:
            return (yield)
        limited = self._terms.get(item) if self._terms else None
        price = self.prices.begin() if limited is not None and limited.max_energy_j is not None else None
        self.clock.start(serving=False)
        try:
            result = yield
        finally:
            run.call_cpu_s = self.clock.stop()
        if limited is not None and not self._silent:
            if price is not None:
                run.energy_j = price(run.call_cpu_s)[0]
            self._calls.append(run)
            if not run.repetition:
                self._check(limited)
        return result

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        run = self._run
        if run is None or item.__class__ is TaskItem:
            return (yield)
        self.clock.start(serving=False)
        try:
            return (yield)
        finally:
            run.teardown_cpu_s = self.clock.stop()
            run.finished_at = time.time()
            self.clock.end(run.test_id)
            if self._properties and not self._silent:
                self._add_properties(item, run)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "passed" and report.when != "call":
            return
        run = self._run
        if run is None or run.node_id != report.nodeid:
            self._not_measured(report)
        else:
            run.outcome = _outcome(run.outcome, report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """What a worker has to say at its end; one that died says nothing."""
        sent = getattr(node, "workeroutput", None) or {}
        if SENT in sent:
            self.from_workers.append(sent[SENT])

    # -- a run ---------------------------------------------------------------------------------------------------------

    def _next(self, item: pytest.Item) -> _Running:
        """A run of this test begins, and the one before is over."""
        self._close_run()
        if self._after_other:
            self._after_other = False
            self.clock.resume()
        node_id = item.nodeid
        name = node_id if "@" not in node_id else name_of(item)
        attempt = self._attempts.get(name, 0) + 1
        if not self._repetition:
            self._attempts[name] = attempt
        self.clock.begin()
        self._run = run = _Running(node_id, name, attempt, self._repetition, time.time())
        return run

    def _close_run(self) -> None:
        run, self._run = self._run, None
        if run is not None and not self._silent:
            run.finished_at = run.finished_at or time.time()
            self._done.append(run)
        if run is not None and not run.repetition:
            self._calls = []

    def _not_measured(self, report: pytest.TestReport) -> None:
        """A report of a test that did not run in this process (a worker's, or one that died with its worker)."""
        if report.nodeid.partition("::")[0] not in self._samples:
            found = _outcome(self._reported.get(report.nodeid), report)
            if found is not None:
                self._reported[report.nodeid] = found

    def _add_properties(self, item: pytest.Item, run: _Running) -> None:
        """For JUnit XML. A test that is run again has kept those of its last run."""
        model = None if self._metering is None else self._metering.estimated
        item.user_properties[:] = [
            (name, value) for name, value in item.user_properties if not str(name).startswith("greencode.")
        ]
        item.user_properties.append(("greencode.cpu_s", round(run.cpu_s, 9)))
        if model is not None:
            item.user_properties.append(("greencode.energy_j", float(significant(model.energy_j(run.cpu_s), 6))))

    def _check(self, limits: Terms) -> None:
        """Fail the test whose calls took more than its marker allows, on average of its runs."""
        of = f" (mean of {len(self._calls)} runs)" if len(self._calls) > 1 else ""
        for name, unit, limit, values in (
            ("max_cpu_s", "s of CPU time", limits.max_cpu_s, [run.call_cpu_s for run in self._calls]),
            ("max_energy_j", "J", limits.max_energy_j, [run.energy_j for run in self._calls]),
        ):
            if limit is None:
                continue
            known = [value for value in values if value is not None]
            if len(known) < len(values):
                self._say(f"{name} could not be checked, as energy is not known while a test runs", self._calls[-1])
            elif (mean := sum(known) / len(known)) > limit:
                pytest.fail(f"greencode: the call took {significant(mean)} {unit}{of}; {name}={limit:g}", pytrace=False)

    def _say(self, what: str, run: _Running) -> None:
        self._notes.setdefault(what, []).append(run.test_id)

    # -- repetitions ---------------------------------------------------------------------------------------------------

    def repetitions_of(self, item: pytest.Item) -> int:
        terms = self._terms.get(item)
        return self._repeat if terms is None or terms.repeat is None else terms.repeat

    def repeat(self, item: pytest.Item) -> None:
        """Runs of a test that nobody is told of, before the one that decides."""
        wanted = max(self.repetitions_of(item), 2 if self._plan is not None else 1)
        for repetition in range(1, wanted):
            if self._unreported(item, repetition) != PASSED:
                return
        if self._plan is not None:
            self._measure_alone(item, self._plan)

    def _unreported(self, item: pytest.Item, repetition: int) -> str | None:
        """One run, and its outcome."""
        properties, sections = list(item.user_properties), list(item._report_sections)
        self._repetition = repetition
        try:
            reports = runtestprotocol(item, log=False, nextitem=_sibling(item))
        finally:
            self._repetition = 0
        item.user_properties[:], item._report_sections[:] = properties, sections
        outcome = None if self._run is None else self._run.outcome  # some subtests are told of as they end
        for report in reports:
            outcome = _outcome(outcome, report)
        if self._run is not None:
            self._run.outcome = outcome
        return outcome

    def _measure_alone(self, item: pytest.Item, plan: Plan) -> None:
        from pytest_greencode.meters.exclusive import Spent

        assert self._metering is not None
        assert self._run is not None
        self._close_run()
        name, spent_s, since = name_of(item), 0.0, time.time()

        def workload(runs: int) -> Spent:
            nonlocal spent_s
            began_s, outside_s, cpu_s = time.perf_counter(), self.clock.outside_s(), 0.0
            for _ in range(runs):
                outcome = self._unreported(item, 1)
                run = self._run
                if outcome != PASSED or run is None:
                    raise _Changed
                cpu_s += run.cpu_s
            spent_s += cpu_s
            return Spent(
                cpu_s=cpu_s,
                harness_cpu_s=max(0.0, self.clock.outside_s() - outside_s),
                wall_s=time.perf_counter() - began_s,
            )

        self._silent = True
        try:
            found = self._metering.measure_alone({name: workload}, plan)
            self._measurements |= found
            if not found:
                self._notes.setdefault("not measured alone, as idle power is not known", []).append(name)
        except _Changed:
            self._notes.setdefault("not measured alone, as a repetition did not pass", []).append(name)
        finally:
            self._close_run()
            self._silent = False
            self._overheads.append(Overhead(kind=REPETITIONS, started_at=since, finished_at=time.time(), cpu_s=spent_s))


class _Repeats:
    """Registered where tests are repeated: others need not pay for the hook."""

    def __init__(self, project: Project) -> None:
        self._project = project

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        if not isinstance(item, TaskItem):
            self._project.repeat(item)
        return (yield)


def name_of(item: pytest.Item) -> str:
    """A test's node id, without the name of a group that some versions of pytest-xdist append."""
    if "@" in item.nodeid:
        for marker in item.iter_markers("xdist_group"):
            return item.nodeid.removesuffix(f"@{marker.kwargs.get('name') or next(iter(marker.args), 'default')}")
    return item.nodeid


def _sibling(item: pytest.Item) -> pytest.Item:
    """A test that comes next and shares everything but the test itself: then the fixtures of its module stay."""
    return copy.copy(item)


def _outcome(before: str | None, report: Any) -> str | None:
    """The outcome of a run after one more of its reports."""
    seen = report.__dict__
    if before is None and report.outcome == "passed" and "wasxfail" not in seen and "context" not in seen:
        return PASSED if report.when == "call" else None
    if report.when == "???":  # pytest-xdist's word for a test that died with its worker
        return "failed"
    part = getattr(report, "context", None) is not None  # of a subtest: it decides nothing unless it fails
    if report.failed:
        return "failed" if report.when == "call" else "error"
    if report.outcome == "rerun":
        return "rerun"
    if part or before in ("failed", "error", "rerun"):
        return before
    if report.skipped:
        return "xfailed" if hasattr(report, "wasxfail") else "skipped"
    if report.when == "call":
        return "xpassed" if hasattr(report, "wasxfail") else PASSED
    return before
