"""Wires a pytest session: hooks -> runner, project -> ledger -> account -> reports. Decides nothing itself.

Under pytest-xdist the controller opens the run and makes the reports; every worker runs the attempts of the items that
it is given and writes them into the same ledger. A serial session does both.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import collect_one_node
from msgspec.structs import replace

from pytest_greencode.closing import HARNESS_EXIT_CODE, Closing, lines_of
from pytest_greencode.collection import (
    ATTEMPTS,
    Generated,
    HarnessFault,
    SamplesDirectory,
    SamplesFile,
    TaskItem,
)
from pytest_greencode.errors import GreencodeError, UsageProblem
from pytest_greencode.ledger import Ledger, Overhead
from pytest_greencode.meters.metering import Metering
from pytest_greencode.model import OWN_GRID, Sample, Suite, Window
from pytest_greencode.options import Options
from pytest_greencode.plain import plain_values
from pytest_greencode.project import PROJECT, SENT, Project
from pytest_greencode.reports.text import escape, message, shown_path
from pytest_greencode.repository import Environment
from pytest_greencode.run_facts import now, run_facts
from pytest_greencode.sites import answered, factors_of
from pytest_greencode.task_hooks import TaskHooks
from pytest_greencode.workload import Workload, expand_globs, looks_like_samples, named_paths, node_id

if TYPE_CHECKING:
    from pytest_greencode.live import Live, LiveOptions
    from pytest_greencode.meters.alone import Alone
    from pytest_greencode.runner import Runner, Unit, UnitResult
    from pytest_greencode.sandboxes.base import SandboxKind

# What belongs to sandboxes is imported with the first one: ordinary tests need none.

# Waiting for longer than this wants a word.
LONG_S = 10.0


def start(config: pytest.Config) -> None:
    """Check everything that can be checked before the first attempt, then register the session's hooks."""
    try:
        session = GreencodeSession(config, Options.from_config(config))
    except (UsageProblem, pytest.UsageError) as error:
        raise _usage_error(error) from None
    config.stash[ATTEMPTS] = session
    config.pluginmanager.register(session, "greencode-session")
    _stop_orderly_on_sigterm(config)


def _stop_orderly_on_sigterm(config: pytest.Config) -> None:
    """As Ctrl-C does: sandboxes are removed, and what finished is accounted for. Whoever has a handler keeps it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:

        def restore() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        config.add_cleanup(restore)


def _usage_error(error: Exception) -> pytest.UsageError:
    prefix = "ERROR: "  # pytest's
    return pytest.UsageError("\n".join(message(str(error), first=prefix)).removeprefix(prefix))


def _reason_to_stop(error: GreencodeError) -> str:
    return f"\n{lines_of(error)}"  # pytest puts words of its own before it


class GreencodeSession:
    """The hooks of one session."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        worker = getattr(config, "workerinput", None)
        if worker is not None:
            options = replace(options, ledger=Path(worker["greencode_ledger"]))
        self.config, self.options = config, options
        self._is_worker = worker is not None
        self._only_collects = bool(config.getoption("collectonly", False))
        self._has_workers = not self._is_worker and bool(getattr(config.option, "dist", "no") != "no")
        self.fail_rejected = options.fail_rejected
        self.attempts_allowed = options.attempts
        # A worker accounts for nothing: what has to be asked is asked once, by the controller.
        self.factors = factors_of(options.sites, ask=self._ask) if worker is None else None
        self._closing = Closing(config, options, is_worker=self._is_worker)
        if options.live is not None and config.args_source is not pytest.Config.ArgsSource.ARGS:
            config.args[:] = []  # tests that happen to be here are not what was asked for
        expand_globs(config)
        samples = [looks_like_samples(path) for path in named_paths(config)]
        ordinary = not self._only_collects and not all(samples)
        self._one_at_a_time = options.exclusive or not (any(samples) or options.live)
        self._metering = Metering(
            options.meter if worker is None else worker["greencode_meter"],
            idle_s=options.idle_s,
            reserved_cores=self._reserved_cores(),
            reads_machine=worker is None,
            exclusive=options.exclusive,
            own_cpu_s=self._own_cpu_s if ordinary else None,
        )
        self._notices: list[str] = [self._metering.notice] if self._metering.notice else []
        self.workload: Workload | None = None
        self._live: Live | None = None
        self._declared: list[tuple[Sample, str]] = []
        self._kind: SandboxKind | None = None
        self._environments: dict[Environment, SandboxKind] = {}
        self._runner: Runner | None = None
        self._ledger: Ledger | None = None
        self._session: pytest.Session | None = None
        self._taken_over = 0
        self._alone: Alone | None = None
        self._project: Project | None = None
        self._blocks: dict[TaskItem, list[TaskItem]] = {}
        self._collected = False
        self.run_id = str(worker["greencode_run_id"]) if worker is not None else uuid.uuid4().hex
        try:
            if options.live is not None or any(samples):
                self._open()  # sandboxes start while suites and samples are read and pytest collects
            self.workload = Workload(config, options)
            sampled = bool(self.workload) or options.live is not None
            self._one_at_a_time = options.exclusive or not sampled
            if sampled:
                config.pluginmanager.register(TaskHooks(self._ahead_of), "greencode-tasks")
                self._open()
                self._open_environments(self.workload)
            if options.live is not None:
                self._live = self._opened_live(options.live, self.workload)
            if ordinary:
                self._measure_tests()
            if self._ledger is not None and not self._is_worker:
                self._ledger.begin(self.run_id, now(), self._facts())
        except BaseException:
            self._close()
            with contextlib.suppress(GreencodeError):
                self._stop_metering(measure_idle=False)
            raise

    # -- before the first attempt --------------------------------------------------------------------------------------

    def _open_ledger(self) -> None:
        """The ledger and the meter."""
        ledger = self._ledger = Ledger(self.options.ledger)
        if not self._is_worker and self.options.resume:
            last = ledger.last_run()
            if last is None:
                self._notices.append(f"nothing to resume in {self.options.ledger}: a new run")
            else:
                self._taken_over = len(ledger.finished(last))
                self._notices.append(f"resuming the last run: finished executions taken over: {self._taken_over}")
            self.run_id = last or self.run_id
        # Before the first sandbox, while the machine is idle.
        self._tell_idle()
        self._metering.start(self._note)

    def _note(self, windows: list[Window], overheads: list[Overhead]) -> None:
        """What the meter has seen, about once a second, and the tests that have ended meanwhile."""
        assert self._ledger is not None
        note = partial(self._ledger.note, self.run_id)
        if self._project is None:
            note(windows, overheads)
        else:
            self._project.write(note, windows, overheads)

    def _open(self) -> None:
        """The ledger and the sandboxes, once."""
        if self._only_collects or self._ledger is not None:
            return
        self._open_ledger()
        # The controller chooses too, though it starts none: an error is said once, and the workers all do the same.
        worker = getattr(self.config, "workerinput", None)
        chosen = self.options if worker is None else replace(self.options, sandbox=worker["greencode_sandbox"])
        from pytest_greencode.sandboxes.choice import choose_sandbox

        self._kind = choose_sandbox(
            chosen.sandbox,
            memory_bytes=chosen.memory_bytes,
            cores=self._cores(),
            image=chosen.image,
            runtime=chosen.runtime,
            notify=self._notices.append,
        )
        self._check_meter(self._kind)
        if self._has_workers:
            self._kind.start().close()  # what cannot start is said once, here, and not by every worker
        else:
            self._start_runner()

    def _open_environments(self, workload: Workload) -> None:
        """Kinds of sandboxes for repositories' own tests: what cannot be had is said before the first attempt."""
        if self._kind is None:
            return
        generated = workload.named_suites(self.options) if self.options.live is not None else ()
        for environment in workload.environments(generated):
            self._environments[environment] = kind = self._kind.for_repository(environment)
            if self._is_worker:
                continue
            kind.start().close()
        if self._runner is not None:
            self._runner.use(self._environments)

    def _opened_live(self, options: LiveOptions, workload: Workload) -> Live:
        from pytest_greencode.live import Live

        backend = self.config.hook.pytest_greencode_generate(config=self.config, url=options.url, model=options.model)
        live = Live(options, workload.named_suites(self.options), backend)
        if self._ledger is not None:
            known = self._ledger.facts(self.run_id).get("generation") or {}
            before = known.get("samples") if options.samples is None else None
            path = Path(before) if before else live.path_beside(self.options.ledger, self.run_id)
            live.open(self._ledger, self.run_id, path)
            place = shown_path(path, self.config.invocation_params.dir)
            self._notices.append(f"generating with {live.name}; samples are kept in {place}")
            self._notices += [live.notice] if live.notice else []
        return live

    def _measure_tests(self) -> None:
        """Project mode: whatever else than samples is collected."""
        if not self.workload and self.options.resume:
            raise UsageProblem(
                "--greencode-resume continues a run of samples files, and there is none among the arguments; "
                "leave it out: tests always run anew"
            )
        plan = None
        if self.options.exclusive:
            from pytest_greencode.meters.exclusive import Plan

            plan = Plan(precision=self.options.precision, max_wall_s=self.options.measure_s)
        paths = self.workload.paths if self.workload is not None else ()
        project = Project(
            self.config,
            repeat=self.options.repeat,
            plan=plan,
            only_reports=self._has_workers,
            samples=frozenset(node_id(path, self.config) for path in paths),
        )
        if self._ledger is None:
            self._open_ledger()
        project.begin(self._metering)
        self._project = self.config.stash[PROJECT] = project
        self.config.pluginmanager.register(project, "greencode-project")

    def _own_cpu_s(self) -> float:
        """CPU time of this process that no test answers for."""
        return time.process_time() if self._project is None else self._project.clock.outside_s()

    def _regions(self) -> dict[str, Any]:
        """What is said of the regions that the samples name: for the ledger, as nobody can be asked later."""
        named = {sample.generation.region for sample, _ in self._declared if sample.generation is not None}
        found = {region: answered(self._ask, region) for region in named if region is not None}
        return {region: plain_values(intensity) for region, intensity in found.items() if intensity is not None}

    def _ask(self, region: str) -> object:
        """What a plugin or a conftest.py says of a grid."""
        return self.config.hook.pytest_greencode_intensity(config=self.config, region=region)

    def _check_meter(self, kind: SandboxKind) -> None:
        remote = kind.describe().get("remote") if self._metering.kind == "counters" else None
        if remote is not None:
            raise UsageProblem(
                f"--greencode-meter {self.options.meter}: the counters are this machine's, but the Docker daemon at "
                f"{remote} runs the attempts, perhaps elsewhere; measure there, use a daemon behind a Unix socket or "
                "--greencode-sandbox bubblewrap, or estimate: --greencode-meter estimated"
            )

    def _close(self) -> None:
        if self._live is not None and self._ledger is not None:
            self._live.cancel()
        if self._runner is not None:
            self._runner.stop()
        elif self._kind is not None:
            for kind in (self._kind, *self._environments.values()):
                kind.close()

    def _facts(self) -> dict[str, Any]:
        return run_facts(
            self.config,
            self.options,
            run_id=self.run_id,
            metering=self._metering,
            kind=self._kind,
            environments=self._environments,
            suites=self._suites(),
            jobs=self._jobs(),
            workers=self._reserved_cores() if self._has_workers else 0,
            live=self._live,
            factors=self.factors,
            assumptions=self._closing.assumptions,
        )

    def _suites(self) -> list[Suite]:
        found = [
            *(self.workload.suites if self.workload is not None else ()),
            *(self._live.suites if self._live else ()),
        ]
        return list({suite.name: suite for suite in found}.values())

    def _cores(self) -> list[int]:
        """Cores for sandboxes, best first: xdist workers begin at different ones."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") if self._is_worker else "0"
        first = int(worker) * self._jobs() % len(cores) if cores and worker.isdigit() else 0
        return cores[first:] + cores[:first]

    def _jobs(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) if self._is_worker else 1
        return 1 if self._one_at_a_time else self.options.jobs or max(1, cores // workers)

    def _reserved_cores(self) -> int:
        if not self._has_workers:
            return self._jobs()
        workers = getattr(self.config.option, "numprocesses", None) or len(getattr(self.config.option, "tx", ())) or 1
        if self._one_at_a_time:
            return int(workers)
        return int(workers) * self.options.jobs if self.options.jobs else self._jobs()

    def _start_runner(self) -> Runner:
        if self._runner is None:
            from pytest_greencode.runner import Policy, Runner

            assert self._kind is not None
            assert self._ledger is not None
            self._runner = Runner(
                kind=self._kind,
                jobs=self._jobs(),
                ledger=self._ledger,
                run_id=self.run_id,
                policy=Policy(
                    timeout_s=self.options.timeout_s,
                    memory_bytes=self.options.memory_bytes,
                    extract=self.options.extract,
                    stop_at_accepted=self.options.stop_at_accepted,
                    attempts=self.options.attempts,
                    references=self.options.green_capacity,
                    exclusive=self.options.exclusive,
                    fresh_sandboxes=self.options.fresh_sandboxes,
                ),
                meter=self._metering.estimated,
            )
            self._runner.use(self._environments)
        return self._runner

    # -- what items ask for --------------------------------------------------------------------------------------------

    def units(self, path: Path) -> Sequence[Unit]:
        assert self.workload is not None
        return self.workload.units(path)

    def generated_units(self) -> Sequence[Unit]:
        return self._live.units() if self._live is not None else ()

    def result(self, unit: Unit) -> UnitResult:
        from pytest_greencode.runner import Stopped

        try:
            return self._start_runner().result(unit)
        except Stopped:
            raise pytest.exit.Exception("the run was stopped", returncode=pytest.ExitCode.INTERRUPTED) from None
        except GreencodeError as error:
            self._closing.failure = error
            text = _reason_to_stop(error)
            if self._is_worker and self._session is not None:
                # pytest-xdist takes pytest.exit in a worker for its crash; this is how a worker ends the session.
                self._session.shouldstop = text
                raise HarnessFault(str(error)) from None
            raise pytest.exit.Exception(text, returncode=HARNESS_EXIT_CODE) from None

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if self.workload is not None and file_path in self.workload:
            return SamplesFile.from_parent(parent, path=file_path, nodeid=node_id(file_path, self.config))
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if self.workload is not None and path in self.workload:
            return SamplesDirectory.from_parent(parent, path=path, nodeid=node_id(path, self.config))
        return None

    def pytest_report_header(self) -> list[str]:
        if self.factors is None:
            return []  # a worker's header is shown nowhere
        if self._only_collects and not self.workload and self._live is None:
            return []
        sandbox = self._kind.name if self._kind is not None else self.options.sandbox
        meter = {"counters": "RAPL"}.get(self._metering.kind, self._metering.kind)
        grid = self.factors.execution
        region = "" if grid.region == OWN_GRID else f"{grid.region} "
        grid_fact = f"grid {region}{grid.g_per_kwh:.4g} g/kWh"
        facts = f"sandbox {sandbox}, meter {meter}, jobs {self._jobs()}, {grid_fact}"
        if not self.workload and self._live is None:
            facts = f"no samples file among the arguments: each test is measured, meter {meter}, {grid_fact}"
        return [line for text in (facts, *self._notices) for line in message(text, first="greencode: ", rest=" " * 11)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """No file has these; they come before -k and --lf choose."""
        if self._live is not None:
            name = escape(self._live.name)
            report = collect_one_node(Generated.from_parent(session, name=name, nodeid=name))
            session.ihook.pytest_collectreport(report=report)  # so that pytest counts them
            items += [each for each in report.result if isinstance(each, pytest.Item)]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # Not in pytest_collection_modifyitems: --lf deselects around every other implementation of it.
        self._blocks = _neighbours(session.items) if self.workload or self._live is not None else {}
        ours = list(self._blocks)
        if not ours or self._only_collects or self._ledger is None:
            return
        self._declared = [(sample, item.unit.task.suite) for item in ours for sample in item.unit.attempts]
        if not self._is_worker:
            self._declare()
            self._start_runner().submit([item.unit for item in self._blocks[ours[0]]])

    def _declare(self) -> None:
        assert self._ledger is not None
        try:
            self._ledger.declare(self.run_id, self._declared)
        except UsageProblem as error:
            self._declared = []
            raise _usage_error(error) from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        # A worker's trouble is told by its items; raising here would look like its crash.
        if self._declared and self._runner is not None and not self._is_worker:
            try:
                self._runner.wait_until_ready()
            except UsageProblem as error:
                self._declared = []  # nothing was attempted: no account
                raise _usage_error(error) from None
            except GreencodeError as error:
                raise pytest.exit.Exception(_reason_to_stop(error), HARNESS_EXIT_CODE) from None
        result = yield
        if self._declared and self._runner is not None and self.options.exclusive:
            try:
                self._measure_alone(self._runner)
            except GreencodeError as error:
                self._closing.failure = error
                raise pytest.exit.Exception(_reason_to_stop(error), HARNESS_EXIT_CODE) from None
        return result

    def _measure_alone(self, runner: Runner) -> None:
        runner.finish()
        from pytest_greencode.meters.alone import Alone
        from pytest_greencode.meters.exclusive import Plan

        assert self._ledger is not None
        ledger, terminal = self._ledger, self.config.pluginmanager.get_plugin("terminalreporter")
        plan = Plan(precision=self.options.precision, max_wall_s=self.options.measure_s)
        self._alone = Alone(self._metering, plan, lambda measured: ledger.remember_measured(self.run_id, measured))
        tasks, programs = self._alone.count(runner)
        if terminal is not None:
            terminal.ensure_newline()
            text = (
                f"greencode: measuring {programs} accepted solutions and references of {tasks} tasks alone, "
                f"{_duration(self._alone.least_s(programs))} or more"
            )
            terminal.line("\n".join(message(text)))
        for problem in self._alone.run(runner):
            if terminal is not None:
                terminal.write("m" if problem is None else "x", flush=True)
            if problem is not None:
                self._closing.notices.append(("not measured", problem))
        if terminal is not None:
            terminal.line("")

    def _ahead_of(self, item: TaskItem, nextitem: pytest.Item | None) -> None:
        """Its turn has come: have attempts made ahead, as far as no ordinary test is measured meanwhile."""
        if not self._is_worker:
            if self._runner is not None:
                self._runner.submit([each.unit for each in self._blocks.get(item, ())])
        else:
            # A worker learns its items one ahead; that is how far it can run ahead.
            units = [each.unit for each in (item, nextitem) if isinstance(each, TaskItem)]
            self._start_runner().submit(units)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["greencode_run_id"] = self.run_id
        node.workerinput["greencode_ledger"] = str(self.options.ledger)
        node.workerinput["greencode_meter"] = self._metering.kind
        node.workerinput["greencode_sandbox"] = self.options.sandbox if self._kind is None else self._kind.name

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """The controller collects nothing itself: what the workers found is what is to be attempted."""
        if self._ledger is None or self._declared or self._collected:
            return
        self._collected = True
        units = self.workload.units_of(ids) if self.workload is not None else []
        if self._project is not None:
            self._project.selected = len(ids) - len(units)
        self._declared = [(sample, unit.task.suite) for unit in units for sample in unit.attempts]
        if units:
            self._declare()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Generator[None, None, None]:
        self._close()
        try:
            if self._live is not None and self._ledger is not None:
                self._live.close()
        except GreencodeError as error:
            self._closing.failure = error
        try:
            yield  # here pytest-xdist ends its workers, and only then the machine is idle again
        finally:
            self._finish(exitstatus)

    def _finish(self, exitstatus: int) -> None:
        try:
            self._account(exitstatus)
        finally:
            code = self._closing.exit_code()
            if self._session is not None and exitstatus == pytest.ExitCode.OK:
                self._session.exitstatus = code

    def _account(self, exitstatus: int) -> None:
        if self._ledger is None:
            self._metering.close()
            return
        try:
            if self._project is not None:
                self._project.finish()
                if self._is_worker:
                    self.config.workeroutput[SENT] = self._project.summary()  # type: ignore[attr-defined]
            self._stop_metering(measure_idle=exitstatus != pytest.ExitCode.INTERRUPTED and self._has_results())
        except GreencodeError as error:
            self._closing.failure = error  # the last window is not written; the account may still be made
        try:
            if not self._is_worker and self._has_results():
                self._settle(self._ledger)
        except GreencodeError as error:
            self._closing.failure = error

    def _has_results(self) -> bool:
        return bool(self._declared) or (self._project is not None and self._project.selected > 0)

    def _settle(self, ledger: Ledger) -> None:
        assert self.factors is not None
        # Only now it is known what the sandboxes' self-test found.
        more: dict[str, Any] = {
            "regions": self._regions(),
            "sandbox": self._kind.describe() if self._kind is not None else None,
        }
        if self._project is not None and self._project.selected:
            self._project.settle(ledger, self.run_id)
            more["tests"] = {"selected": self._project.selected, **self._project.summary()}
        ledger.end(self.run_id, now(), self._metering.describe(), **more)
        self._closing.settle(ledger, self.run_id, self.factors)

    def _tell_idle(self, first: str = "") -> None:
        """For whoever waits: nothing else moves meanwhile."""
        if self._metering.kind == "counters" and self.options.idle_s >= LONG_S:
            sys.stderr.write(f"{first}greencode: measuring the idle machine for {self.options.idle_s:g} s\n")

    def _stop_metering(self, *, measure_idle: bool) -> None:
        try:
            if measure_idle:
                self._tell_idle(first="\n")  # after the dots
            idle = self._metering.stop(measure_idle=measure_idle)
            baseline = self._metering.baseline
            if idle is not None and baseline is not None and self._ledger is not None:
                idle_w, since = idle
                self._ledger.set_idle_power(self.run_id, idle_w, since, idle_busy_cpus=baseline.busy_cpus)
                if self._alone is not None:
                    self._alone.settle()
        finally:
            self._metering.close()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        self._closing.show(terminalreporter, self._ledger, self.run_id, self._taken_over)

    def pytest_unconfigure(self) -> None:
        if self._ledger is not None:
            self._ledger.close()


def _neighbours(items: Sequence[pytest.Item]) -> dict[TaskItem, list[TaskItem]]:
    """The tasks that come one after the other, with no test in between, by each of them."""
    found: dict[TaskItem, list[TaskItem]] = {}
    group: list[TaskItem] = []
    for item in items:
        if isinstance(item, TaskItem):
            group.append(item)
            found[item] = group
        else:
            group = []
    return found


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
