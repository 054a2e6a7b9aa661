"""Wires a pytest session: hooks -> runner -> ledger -> account -> reports. Decides nothing itself.

Under pytest-xdist the controller opens the run and makes the reports; every worker runs the attempts of the items that
it is given and writes them into the same ledger. A serial session does both.
"""

from __future__ import annotations

import glob
import os
import platform
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
import pytest

import pytest_greencode
from pytest_greencode import carbon
from pytest_greencode.accounting import Account, account
from pytest_greencode.collection import (
    ATTEMPTS,
    MARKER,
    RESULT,
    HarnessFault,
    SamplesDirectory,
    SamplesFile,
    TaskItem,
    accepted,
    is_samples_directory,
    is_samples_file,
)
from pytest_greencode.errors import GreencodeError, UsageProblem
from pytest_greencode.ledger import Ledger
from pytest_greencode.meters.estimated import EstimatedMeter
from pytest_greencode.model import Configuration, Factors, Intensity, Sample, Suite, Task
from pytest_greencode.options import Options
from pytest_greencode.reports.json import render_json
from pytest_greencode.reports.terminal import render_terminal
from pytest_greencode.reports.text import escape
from pytest_greencode.runner import Policy, Runner, Stopped, Unit, UnitResult
from pytest_greencode.samples import read_samples, refuse_duplicates
from pytest_greencode.sandboxes.base import SandboxKind
from pytest_greencode.sandboxes.choice import choose_sandbox
from pytest_greencode.suites.catalogue import load_suites

HARNESS_EXIT_CODE = 3


def start(config: pytest.Config) -> None:
    """Check everything that can be checked before the first attempt, then register the session's hooks."""
    options = Options.from_config(config)
    try:
        session = GreencodeSession(config, options)
    except UsageProblem as error:
        raise pytest.UsageError(escape_lines(str(error))) from None
    config.stash[ATTEMPTS] = session
    config.addinivalue_line("markers", f"{MARKER}: a task of a samples file (set by pytest-greencode)")
    config.pluginmanager.register(session, "greencode-session")


def escape_lines(text: str) -> str:
    return "\n".join(escape(line) for line in text.splitlines())


class GreencodeSession:
    """The hooks of one session."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config, self.options = config, options
        worker = getattr(config, "workerinput", None)
        self._is_worker = worker is not None
        self._only_collects = bool(config.getoption("collectonly", False))
        self._has_workers = not self._is_worker and bool(getattr(config.option, "dist", "no") != "no")
        self.fail_rejected = options.fail_rejected
        self.factors = _factors(options)
        self.meter = None if options.meter == "none" else EstimatedMeter.of_host()
        self._samples: dict[Path, list[Sample]] = {}
        self._units: dict[Path, tuple[Unit, ...]] = {}
        self._declared: list[tuple[Sample, str]] = []
        self._kind: SandboxKind | None = None
        self._runner: Runner | None = None
        self._ledger: Ledger | None = None
        self._failure: GreencodeError | None = None
        self._session: pytest.Session | None = None
        self._notices: list[str] = []
        self.account: Account | None = None
        self.run_id = str(worker["greencode_run_id"]) if worker is not None else uuid.uuid4().hex
        self._expand_globs()
        try:
            if any(is_samples_file(path) or is_samples_directory(path) for path in self._named_paths()):
                self._open()  # sandboxes start while suites and samples are read and pytest collects
            self.suites = load_suites(config, options)
            self._suite_of: dict[str, Suite] = {task: suite for suite in self.suites for task in suite.tasks}
            self._tasks: dict[str, Task] = {key: task for suite in self.suites for key, task in suite.tasks.items()}
            self._samples = self._read_all()
            if self._samples:
                self._open()
            if self._ledger is not None and not self._is_worker:
                self._ledger.begin(self.run_id, _now(), self._facts())
        except BaseException:
            self._close()
            raise

    # -- before the first attempt --------------------------------------------------------------------------------------

    def _expand_globs(self) -> None:
        """A quoted pattern is a list of files too (and the only way where the shell expands nothing)."""
        arguments: list[str] = []
        for argument in self.config.args:
            path, separator, rest = argument.partition("::")
            if any(sign in path for sign in "*?[") and not (self._base / path).exists():
                found = sorted(glob.glob(str(self._base / path), recursive=True))
                if not found:
                    raise UsageProblem(f"{path}: expected samples files, found none that match")
                arguments += [name + separator + rest for name in found]
            else:
                arguments.append(argument)
        self.config.args[:] = arguments

    @property
    def _base(self) -> Path:
        return self.config.invocation_params.dir

    def _named_paths(self) -> Iterator[Path]:
        seen = set()
        for argument in self.config.args:
            path = Path(os.path.abspath(self._base / argument.partition("::")[0]))
            if path not in seen:
                seen.add(path)
                yield path

    def _read_all(self) -> dict[Path, list[Sample]]:
        """Every samples file that was named: a broken one stops the session before it begins."""
        read: dict[Path, list[Sample]] = {}
        for path in self._named_paths():
            shown = os.path.relpath(path, self._base)
            samples = self.config.hook.pytest_greencode_load_samples(config=self.config, path=path)
            if samples is None and (is_samples_file(path) or is_samples_directory(path)):
                samples = read_samples(path, list(self._tasks), display_path=shown)
            if samples is not None:
                read[path] = list(samples)
        refuse_duplicates(sample for samples in read.values() for sample in samples)
        return read

    def _open(self) -> None:
        """The ledger and the sandboxes, once."""
        if self._only_collects or self._ledger is not None:
            return
        ledger = self._ledger = Ledger(self.options.ledger)
        if not self._is_worker and self.options.resume:
            last = ledger.last_run()
            if last is None:
                self._notices.append(f"nothing to resume in {self.options.ledger}: a new run")
            self.run_id = last or self.run_id
        # The controller chooses too, though it starts none: an error is said once, and the workers all do the same.
        worker = getattr(self.config, "workerinput", None)
        chosen = self.options if worker is None else replace(self.options, sandbox=worker["greencode_sandbox"])
        self._kind = choose_sandbox(
            chosen.sandbox,
            memory_bytes=chosen.memory_bytes,
            cores=self._cores(),
            image=chosen.image,
            notify=self._notices.append,
        )
        if self._has_workers:
            self._kind.start().close()  # what cannot start is said once, here, and not by every worker
        else:
            self._start_runner()

    def _close(self) -> None:
        if self._runner is not None:
            self._runner.stop()
        elif self._kind is not None:
            self._kind.close()

    def _facts(self) -> dict[str, Any]:
        memory = psutil.virtual_memory()
        return {
            "run_id": self.run_id,
            "versions": {
                "pytest_greencode": pytest_greencode.__version__,
                "pytest": pytest.__version__,
                "python": platform.python_version(),
            },
            "host": platform.node(),
            "platform": platform.platform(),
            "cpu": self.meter.cpu if self.meter is not None else platform.processor(),
            "cpu_count": os.cpu_count(),
            "memory_bytes": memory.total,
            "sandbox": self._kind.describe() if self._kind is not None else None,
            "meter": self.meter.describe() if self.meter is not None else None,
            "suites": [
                {"name": suite.name, "version": suite.version, "sha256": suite.sha256} for suite in self._used_suites()
            ],
            "options": {
                "jobs": self._jobs(),
                "timeout_s": self.options.timeout_s,
                "memory_bytes": self.options.memory_bytes,
                "extract": "auto" if self.options.extract else "none",
                "attempts": self.options.attempts,
                "stop_at_accepted": self.options.stop_at_accepted,
            },
            "command": [escape(argument) for argument in self.config.invocation_params.args],
            "started_at": _now(),
        }

    def _used_suites(self) -> list[Suite]:
        used = {self._suite_of[sample.task_id].name for samples in self._samples.values() for sample in samples}
        return [suite for suite in self.suites if suite.name in used]

    def _cores(self) -> list[int]:
        """Cores for sandboxes, best first: xdist workers begin at different ones."""
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") if self._is_worker else "0"
        first = int(worker) * self._jobs() % len(cores) if cores and worker.isdigit() else 0
        return cores[first:] + cores[:first]

    def _jobs(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) if self._is_worker else 1
        return self.options.jobs or max(1, cores // workers)

    def _start_runner(self) -> Runner:
        if self._runner is None:
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
                ),
                meter=self.meter,
            )
        return self._runner

    # -- what items ask for --------------------------------------------------------------------------------------------

    def units(self, path: Path) -> Sequence[Unit]:
        if path not in self._units:
            attempts: dict[str, list[Sample]] = {}
            for sample in self._samples[path]:
                attempts.setdefault(sample.task_id, []).append(sample)
            self._units[path] = tuple(
                Unit(
                    name=f"{path}::{task_id}",
                    task=self._tasks[task_id],
                    attempts=_in_order(samples, self.options.attempts),
                )
                for task_id, samples in attempts.items()
            )
        return self._units[path]

    def result(self, unit: Unit) -> UnitResult:
        try:
            return self._start_runner().result(unit)
        except Stopped:
            raise pytest.exit.Exception("the run was stopped", returncode=pytest.ExitCode.INTERRUPTED) from None
        except GreencodeError as error:
            self._failure = error
            text = f"greencode: {escape_lines(str(error))}"
            if self._is_worker and self._session is not None:
                # pytest-xdist takes pytest.exit in a worker for its crash; this is how a worker ends the session.
                self._session.shouldstop = text
                raise HarnessFault(escape_lines(str(error))) from None
            raise pytest.exit.Exception(text, returncode=HARNESS_EXIT_CODE) from None

    # -- hooks ---------------------------------------------------------------------------------------------------------

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if file_path in self._samples:
            return SamplesFile.from_parent(parent, path=file_path)
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if path in self._samples:
            return SamplesDirectory.from_parent(parent, path=path)
        return None

    def pytest_report_header(self) -> list[str]:
        if not self._samples:
            return ["greencode: no samples file among the arguments (expected .jsonl, .jsonl.gz, .json)"]
        sandbox = self._kind.name if self._kind is not None else self.options.sandbox
        meter = "none" if self.meter is None else self.meter.method.value
        grid = self.factors.execution
        year = f", {grid.year}" if grid.year else ""
        return [
            (
                f"greencode: {pytest_greencode.__version__}, sandbox {sandbox}, meter {meter}, jobs {self._jobs()}, "
                f"grid {escape(grid.region)} {grid.g_per_kwh:g} g/kWh{year}"
            ),
            *(f"greencode: {escape(notice)}" for notice in self._notices),
        ]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # Not in pytest_collection_modifyitems: --lf deselects around every other implementation of it.
        ours = [item for item in session.items if isinstance(item, TaskItem)]
        if not ours or self._only_collects or self._ledger is None:
            return
        self._declared = [(sample, item.unit.task.suite) for item in ours for sample in item.unit.attempts]
        if not self._is_worker:
            self._ledger.declare(self.run_id, self._declared)
            self._start_runner().submit([item.unit for item in ours])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        if self._declared and self._runner is not None:
            try:
                self._runner.wait_until_ready()
            except UsageProblem as error:
                self._declared = []  # nothing was attempted: no account
                raise pytest.UsageError(escape_lines(str(error))) from None
            except GreencodeError as error:
                raise pytest.exit.Exception(f"greencode: {escape_lines(str(error))}", HARNESS_EXIT_CODE) from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        if self._is_worker:
            # A worker learns its items one ahead; that is how far it can run ahead.
            units = [each.unit for each in (item, nextitem) if isinstance(each, TaskItem)]
            if units:
                self._start_runner().submit(units)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        result = item.stash.get(RESULT, None)
        if result is not None and call.when == "call":
            # On the item, as JUnit XML takes the properties of the teardown's report.
            item.user_properties[:] = [
                (name, value) for name, value in item.user_properties if not str(name).startswith("greencode.")
            ] + [
                ("greencode.attempts", len(result.outcomes)),
                ("greencode.accepted", accepted(result.outcomes)),
                ("greencode.verdicts", " ".join(outcome.verdict.value for outcome in result.outcomes)),
            ]
        report = yield
        if result is not None and call.when == "call":
            # Plain values only: reports cross to the controller under xdist.
            report.greencode = {
                "attempts": len(result.outcomes),
                "accepted": accepted(result.outcomes),
                "verdicts": [outcome.verdict.value for outcome in result.outcomes],
            }
            if result.quarantined is not None and isinstance(report.longrepr, tuple):
                # Skipped where the task stands, not where this package says so.
                path, line, _ = item.reportinfo()
                report.longrepr = (os.fspath(path), (line or 0) + 1, report.longrepr[2])
        return report

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        facts = getattr(report, "greencode", None)
        if facts is None or report.when != "call" or not report.passed:
            return None
        if facts["accepted"]:
            word = "ACCEPTED" if facts["attempts"] == 1 else f"ACCEPTED {facts['accepted']}/{facts['attempts']}"
            return "passed", ".", (word, {"green": True})
        return "rejected", "r", ("REJECTED", {"yellow": True})

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["greencode_run_id"] = self.run_id
        node.workerinput["greencode_sandbox"] = self.options.sandbox if self._kind is None else self._kind.name

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """The controller collects nothing itself: what the workers found is what is to be attempted."""
        if self._ledger is None or self._declared:
            return
        wanted = set(ids)
        for path in self._samples:
            prefix = _node_path(self.config, path)
            for unit in self.units(path):
                if f"{prefix}::{escape(unit.task.task_id)}" in wanted:
                    self._declared += [(sample, unit.task.suite) for sample in unit.attempts]
        self._ledger.declare(self.run_id, self._declared)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._close()
        if self._ledger is None or self._is_worker or not self._declared:
            return
        try:
            self._ledger.end(self.run_id, _now())
            self.account = account(
                self._ledger.records(self.run_id),
                self.factors,
                attempts_allowed=self.options.attempts,
                quarantined=self._ledger.quarantined(self.run_id),
                intensity_for=_intensity_of_region,
            )
            self.config.hook.pytest_greencode_account(config=self.config, account=self.account)
        except GreencodeError as error:
            self._failure = error

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._failure is not None:
            terminalreporter.line(f"greencode: {escape_lines(str(self._failure))}", red=True)
        if self.account is None or not self.account.configurations:
            return
        terminalreporter.section("greencode")
        for line in render_terminal(self.account, width=min(80, terminalreporter._tw.fullwidth)):
            terminalreporter.line(line)
        if self._ledger is not None:
            facts = {**self._ledger.facts(self.run_id), "finished_at": _now()}
            for kind, path in self.options.reports:
                self._write_report(terminalreporter, kind, path, facts)

    def _write_report(
        self, terminalreporter: pytest.TerminalReporter, kind: str, path: Path, facts: dict[str, Any]
    ) -> None:
        assert self.account is not None
        shown = os.path.relpath(path, self._base)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(path.name + ".part")
            temporary.write_text(render_json(self.account, facts), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            terminalreporter.line(
                f"greencode: --greencode-report {kind}:{shown}: {error.strerror or error}; the ledger "
                f"{self.options.ledger} has everything",
                red=True,
            )
        else:
            terminalreporter.line(f"report       {shown}")

    def pytest_unconfigure(self) -> None:
        if self._ledger is not None:
            self._ledger.close()


def _in_order(samples: list[Sample], allowed: int | None) -> tuple[Sample, ...]:
    """Attempts as they count, per configuration by sample_id; `allowed` bounds the headline's k, not what is run."""
    configurations: dict[Configuration, list[Sample]] = {}
    for sample in samples:
        configurations.setdefault(sample.configuration, []).append(sample)
    return tuple(
        sample for group in configurations.values() for sample in sorted(group, key=lambda sample: sample.sample_id)
    )


def _node_path(config: pytest.Config, path: Path) -> str:
    relative = os.path.relpath(path, config.rootpath)
    return relative.replace(os.sep, "/")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _factors(options: Options) -> Factors:
    return Factors(
        execution=carbon.parse_region(options.region),  # first: its flag is what the other one defaults to
        generation=carbon.parse_region(options.generation_region, flag="--greencode-generation-region"),
        generation_pue=options.generation_pue,
        execution_pue=options.execution_pue,
    )


def _intensity_of_region(region: str) -> Intensity | None:
    try:
        return carbon.grid_intensity(region)
    except UsageProblem:
        return None
