"""The host's end of the protocol with `inside/supervisor.py`, whatever the sandbox around it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.resources
import itertools
import json
import marshal
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, field

from pytest_greencode.errors import SandboxLost
from pytest_greencode.model import Limits, Reading, Task, TestOutcome, TestOutcomes, Verdict
from pytest_greencode.repository import Environment
from pytest_greencode.sandboxes.cache import cached

if TYPE_CHECKING:
    from pytest_greencode.sandboxes.self_test import SelfTest

FRAME = struct.Struct("<I")
# The wall limit stands behind the CPU limit and is generous, so that a busy machine does not flip a verdict.
WALL_PER_CPU_LIMIT = 4.0
START_TIMEOUT_S = 60.0
ANSWER_GRACE_S = 60.0


_INSIDE = f"{__package__}.inside"
_MODULES = ("codec", "lockdown", "wire", "objects", "solution", "repository", "oracle", "supervisor")

# The program that a sandbox's Python is started with: it takes the worker's modules from standard input and calls the
# last one's `main`. They do not come with the command line, because Python keeps several wide copies of that, which
# every fork would carry. With `-c` the first entry of the path is the current directory, which solutions can write.
BOOTSTRAP = """
import sys
sys.path[:] = [entry for entry in sys.path if entry.startswith("/")]
import marshal, os, types
def receive(size):
    data = b""
    while len(data) < size:
        data += os.read(0, size - len(data)) or sys.exit("no worker came")
    return data
for name, code in marshal.loads(receive(int.from_bytes(receive(4), "little"))):
    sys.modules[name] = types.ModuleType(name)
    exec(code, sys.modules[name].__dict__)
del code
sys.modules[name].main()
"""


def worker_texts() -> dict[str, str]:
    """The modules of the program inside, by the names under which they import each other; the last is the program."""
    directory = importlib.resources.files(__package__) / "inside"
    return {f"{_INSIDE}.{name}": (directory / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}


def worker_for(python: str | None) -> bytes:
    """What BOOTSTRAP takes: the modules, compiled where the sandbox has this very `python` (a name of its version).

    Compiling takes a while on either side; what this side compiles is kept in the user's cache.
    """
    texts = worker_texts()
    packages = [(_INSIDE.rsplit(".", count)[0], "") for count in range(_INSIDE.count("."), -1, -1)]
    if python is None:
        return _packed([*packages, *texts.items()])

    def compiled() -> bytes:
        codes = ((name, compile(text, f"<{name}>", "exec", optimize=2)) for name, text in texts.items())
        return _packed([*packages, *codes])

    return cached(f"worker-{digest(python, BOOTSTRAP, *texts.values())[:16]}", compiled)


def _packed(modules: list[Any]) -> bytes:
    body = marshal.dumps(modules)
    return FRAME.pack(len(body)) + body


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


class Transport(Protocol):
    """A byte stream to and from the worker's standard input and output."""

    def write(self, data: bytes) -> None:
        """Raises OSError when the worker is gone."""

    def read_line(self, timeout_s: float) -> bytes:
        """One line without its end. Raises EOFError when the worker is gone, TimeoutError after `timeout_s`."""

    def host_pid(self) -> int | None:
        """This machine's number of the worker; None where it runs on another one, or that cannot be told."""

    def close(self) -> str:
        """Stop the worker and release everything; what it wrote to its standard error, for messages."""


class Execution(Struct, frozen=True, kw_only=True):
    """What one run of one program came to, and when (seconds since the epoch). `dirty`: use the sandbox no more.

    `tests`: what became of a repository's tests; `test_names`: those that passed, of a canonical solution.
    """

    verdict: Verdict
    detail: str
    reading: Reading
    hidden_cpu_s: float = 0.0
    dirty: bool = False
    ended_at: float = field(default_factory=time.time)
    tests: TestOutcomes | None = None
    test_names: tuple[str, ...] = ()


class Request(Struct, frozen=True):
    """A program to run against the tests of `task`; `key` names these tests uniquely.

    `expected`: the tests of a repository that have to pass; None where they are to be learnt.
    """

    key: str
    task: Task
    program: str
    limits: Limits
    oracle_cpu_s: float
    expected: tuple[str, ...] | None = None

    @property
    def payload(self) -> bytes:
        if self.task.repository is None:
            return self.program.encode("utf-8", "surrogatepass")
        return json.dumps({**json.loads(self.program), "expected": self.expected}).encode()


def _message(header: Mapping[str, Any], payload: bytes) -> bytes:
    text = json.dumps({**header, "size": len(payload)}).encode()
    return FRAME.pack(len(text)) + text + payload


def not_run(verdict: Verdict, detail: str) -> Execution:
    """A verdict without a run: nothing was spent."""
    return Execution(
        verdict=verdict,
        detail=detail,
        reading=Reading(cpu_s=0.0, wall_s=0.0, peak_memory_bytes=None, oracle_cpu_s=0.0, harness_cpu_s=0.0),
    )


def _tests(answer: Mapping[str, Any] | None) -> dict[str, Any]:
    if answer is None:
        return {}
    others = tuple(TestOutcome(test=test, outcome=outcome, message=text) for test, outcome, text in answer["others"])
    found = TestOutcomes(expected=answer["expected"], passed=answer["passed"], others=others)
    return {"tests": found, "test_names": tuple(answer.get("names", ()))}


class WorkerSandbox:
    """One running worker. Not thread-safe: one attempt at a time.

    Raises SandboxLost from every method when the worker dies or stops answering; then only `close` may follow.
    """

    def __init__(self, transport: Transport, worker: bytes) -> None:
        """`worker`: what the program at the other end, BOOTSTRAP, is waiting for."""
        self._transport = transport
        self._known_tasks: set[str] = set()
        self.loading_cpu_s = 0.0  # CPU time for tasks' tests, before the first attempt at each
        with contextlib.suppress(OSError):  # one that is gone already is asked for its last words below
            transport.write(worker)
        self.facts: Mapping[str, Any] = self._receive(START_TIMEOUT_S)

    def run(self, key: str, task: Task, program: str, limits: Limits, oracle_cpu_s: float) -> Execution:
        """Run one program (see Request)."""
        return next(iter(self.run_all([Request(key, task, program, limits, oracle_cpu_s)])))

    def run_all(self, requests: Sequence[Request]) -> Iterator[Execution]:
        """Run programs one after the other; outcomes come in order, and after a dirty one no more should be taken.

        All are sent at once: on the way to a container every message passes several hands, and that adds up.
        """
        problems = {}
        messages = []
        for request in requests:
            if request.key not in self._known_tasks:
                problems[request.key] = self._load(request.key, request.task)
            if not problems.get(request.key):
                messages.append(
                    _message(
                        {
                            "op": "run",
                            "key": request.key,
                            "repository": request.task.repository is not None,
                            "cpu_s": request.limits.cpu_s,
                            "wall_s": WALL_PER_CPU_LIMIT * request.limits.cpu_s,
                            "oracle_cpu_s": request.oracle_cpu_s,
                            "output_bytes": request.limits.output_bytes,
                        },
                        request.payload,
                    )
                )
        self._write(b"".join(messages))
        for request in requests:
            if problem := problems.get(request.key):
                yield not_run(Verdict.HARNESS_ERROR, f"the tests cannot be loaded: {problem}")
                continue
            wall_s = WALL_PER_CPU_LIMIT * request.limits.cpu_s
            answer = self._receive(wall_s + request.oracle_cpu_s + ANSWER_GRACE_S)
            yield Execution(
                verdict=Verdict(answer["verdict"]),
                detail=answer["detail"],
                reading=Reading(
                    cpu_s=answer["cpu_s"],
                    wall_s=answer["wall_s"],
                    peak_memory_bytes=answer["peak_memory_bytes"],
                    oracle_cpu_s=answer["oracle_cpu_s"],
                    harness_cpu_s=answer["harness_cpu_s"],
                ),
                hidden_cpu_s=answer["hidden_cpu_s"],
                dirty=answer["dirty"],
                # Not when it was read: it may have waited for as long as the next attempt took.
                ended_at=time.time() - answer["waited_s"],
                **_tests(answer["tests"]),
            )

    def _load(self, key: str, task: Task) -> str | None:
        """What is wrong with the tests, if anything."""
        payload: dict[str, Any] = {
            "prelude": task.prelude,
            "tests": task.tests,
            "call": task.call,
            "entry_points": task.entry_points,
            "preload": task.preload,
            "classes": task.classes,
            "attributes": task.attributes,
            "same_process": task.same_process,
        }
        if (repository := task.repository) is not None:
            payload = {
                "files": {path: base64.b64encode(content).decode() for path, content in repository.files.items()},
                "tests": repository.tests,
                "options": repository.options,
                "paths": repository.paths,
            }
        self._write(_message({"op": "task", "key": key}, json.dumps(payload).encode()))
        answer = self._receive(START_TIMEOUT_S)
        self.loading_cpu_s += answer["cpu_s"]
        if "error" in answer:
            return str(answer["error"])
        self._known_tasks.add(key)
        return None

    def host_pid(self) -> int | None:
        """This machine's number of the worker's first process; None where that cannot be told."""
        return self._transport.host_pid()

    def close(self) -> None:
        self._transport.close()

    def _write(self, data: bytes) -> None:
        try:
            self._transport.write(data)
        except OSError as error:
            raise SandboxLost(f"the sandbox does not take requests any more: {error}") from error

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        try:
            line = self._transport.read_line(timeout_s)
        except (EOFError, OSError) as error:  # TimeoutError is an OSError
            last_words = self._transport.close().strip().splitlines()[-1:]
            raise SandboxLost(": ".join(["the sandbox is gone", *(last_words or [str(error)])])) from error
        answer = json.loads(line)
        if not isinstance(answer, dict):
            raise SandboxLost("the sandbox speaks another protocol")
        return answer


class Cores:
    """Hands out cores in turn, one for each sandbox that starts; "" (any) where there are none to hand out."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = itertools.cycle(map(str, cores) if cores else [""])

    def next(self) -> str:
        return next(self._cores)


class SandboxKind(Protocol):
    """A way to make sandboxes on this machine."""

    name: str
    tier: str
    self_test: SelfTest | None  # of the latest sandbox

    @property
    def identity(self) -> str:
        """Changes when anything changes that a verdict may depend on: image, Python, worker."""

    def describe(self) -> dict[str, Any]:
        """Facts for the report."""

    def start(self) -> WorkerSandbox:
        """A fresh sandbox that has kept its promises. Raises SandboxError."""

    def for_repository(self, environment: Environment) -> SandboxKind:
        """A kind of the same sort that also runs repositories' tests. Raises SandboxError, UsageProblem."""

    def close(self) -> None:
        """Remove what `start` left."""
