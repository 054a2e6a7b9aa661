"""A repository's own tests around a candidate: both run in one process, and the oracle judges what that says.

A second zygote has pytest imported. For an attempt the oracle writes the tree with the candidate's files in it, as its
own user, so that the tests' process can read and not change it. That process, a fork of the zygote under the
solution's user, runs pytest and tells the outcome of each test as it comes, over a pipe.

It cannot be trusted: the candidate is in it. Against what a program may do without knowing this one there is

* the list of tests that have to pass, which is known from the canonical solution: whoever leaves early, skips or
  deselects has tests that are missing;
* canaries: tests that have to fail, under names and in places that the oracle draws for each attempt. Who makes pytest,
  `unittest` or all assertions say yes makes them pass, too;
* a word (nonce) that each line carries, in no environment, argument or file, and no outcome is taken back.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import random
import resource
import shutil
import sys
import time
from collections.abc import Generator, Iterator
from typing import Any, NamedTuple, NoReturn

from pytest_greencode.sandboxes.inside.lockdown import Filter, allow_writes_only_in
from pytest_greencode.sandboxes.inside.solution import CALLS, REPLIES, settle
from pytest_greencode.sandboxes.inside.wire import HELLO, plain_text, read_exactly, read_frame, write_all, write_frame

TREE, SCRATCH = "repository", "tmp"
MAX_SAID_BYTES = 16 << 20
MAX_TESTS = 20_000
MAX_ID_CHARACTERS = 500
MAX_MESSAGE_CHARACTERS = 300
MAX_RESULTS = 200  # of tests that did not pass; the rest are counted
SHOWN = 3
USAGE_ERROR = 4  # pytest's exit code

# What must fail, with a number of the attempt's own. Each asks another part of the machinery.
_CANARIES = (
    "def {name}():\n    value = {number}\n    assert value == {number} + 1\n",
    "def {name}():\n    import unittest\n    unittest.TestCase().assertEqual({number}, {number} + 1)\n",
    "def {name}():\n    import pytest\n    with pytest.raises(ValueError):\n        int('{number}')\n",
    "def {name}():\n    import pytest\n    assert {number} == pytest.approx({number} + 1)\n",
    "def {name}():\n    raise LookupError({number})\n",
)
_WORDS = (
    "accepts", "after", "all", "before", "changes", "default", "empty", "first", "given", "keeps", "large", "last",
    "long", "mixed", "more", "name", "none", "order", "other", "pair", "raises", "returns", "same", "short", "single",
    "size", "small", "text", "twice", "unknown", "value", "wrong", "zero",
)  # fmt: skip


# -- the zygote and the process of candidate and tests -----------------------------------------------------------------


def warm_up_pytest(modules: str) -> None:
    """Import what the suite asks for and pytest, and run that on a test that passes and one that fails.

    What is imported and filled here, no candidate has to pay for.
    """
    import pytest

    for module in filter(None, modules.split(",")):
        __import__(module)
    place = os.path.join(os.getcwd(), "warm-up")
    os.mkdir(place)
    path = list(sys.path)
    with open(os.path.join(place, "test_warm_up.py"), "w", encoding="utf-8") as file:
        file.write("def test_yes(tmp_path): pass\ndef test_no(): assert [1, 2] == [1, 3]\n")
    try:
        pytest.main(["-qq", "--color=no", "--tb=short", f"--rootdir={place}", "-p", "no:cacheprovider", place])
    finally:
        sys.path[:] = path
        sys.modules.pop("test_warm_up", None)
        for name in os.listdir():
            shutil.rmtree(name, ignore_errors=True)


def tests_process(narrow: Filter, separate_users: bool) -> NoReturn:
    """Never returns. Runs the tests of the tree as the oracle asks."""
    settle(narrow, separate_users)
    order = pickle.loads(read_frame(CALLS))
    os.close(CALLS)
    work = os.getcwd()
    scratch = os.path.join(work, SCRATCH)
    os.mkdir(scratch, 0o700)
    allow_writes_only_in(scratch)  # the tree is another user's, where there are two
    os.environ.update(HOME=scratch, TMPDIR=scratch)
    tree = os.path.join(work, TREE)
    os.chdir(tree)
    sys.path[:0] = [os.path.normpath(os.path.join(tree, path)) for path in order["paths"]]
    sys.argv = ["pytest"]
    if "tempfile" in sys.modules:
        sys.modules["tempfile"].tempdir = None  # type: ignore[attr-defined]
    main = sys.modules["pytest"].main
    witness = Witness(order)
    arguments = [
        *order["options"],
        *("-qq", "--color=no", "--tb=no", "--maxfail=0", f"--rootdir={tree}"),
        *("-o", f"cache_dir={scratch}/cache"),
        *order["tests"],
    ]
    # What is needed from here on is at hand already; nobody else need find it by its name.
    for name in [name for name in sys.modules if name.startswith("pytest_greencode")]:
        del sys.modules[name]
    vars(sys.modules["__main__"]).clear()
    sys.stderr = errors = io.StringIO()
    try:
        status = int(main(arguments, plugins=[witness]))
        reason = " ".join(errors.getvalue().split()) if status == USAGE_ERROR else ""
    except BaseException as error:
        status, reason = -1, _told(error)
    witness.end(status, reason)
    os._exit(0)


def _told(error: BaseException) -> str:
    """An exception in one line; its text may be hostile."""
    try:
        text = " ".join(plain_text(error).split()).removesuffix(" Use -v to get more diff")
    except BaseException:
        text = "(its text cannot be made)"
    name = plain_text(type(error).__name__)
    return f"{name}: {text}"[:MAX_MESSAGE_CHARACTERS] if text else name


class Witness:
    """A pytest plugin that tells what becomes of each test, and puts the canaries among them."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._nonce, self._canaries = order["nonce"], order["canaries"]
        self._said_hello = False
        self._states: dict[str, tuple[str, str]] = {}
        self._write, self._encode = write_all, json.dumps

    def _say(self, what: str, name: str, outcome: str, message: str) -> None:
        line = self._encode([self._nonce, what, name[:MAX_ID_CHARACTERS], outcome, message[:MAX_MESSAGE_CHARACTERS]])
        self._write(REPLIES, line.encode() + b"\n")

    def _hello(self) -> None:
        if not self._said_hello:
            self._said_hello = True
            usage = resource.getrusage(resource.RUSAGE_SELF)
            self._write(REPLIES, HELLO.pack(time.process_time(), usage.ru_maxrss * 1024))

    def end(self, status: int, reason: str) -> None:
        self._hello()
        self._say("end", "", str(status), reason)

    def pytest_load_initial_conftests(self) -> None:
        """Before any file of the tree is executed."""
        self._hello()

    def pytest_collection_modifyitems(self, session: Any, items: list[Any]) -> None:
        import pytest

        places = [
            index
            for index, item in enumerate(items)
            if isinstance(item.parent, pytest.Module) and (not index or items[index - 1].parent is item.parent)
        ]
        modules = [item.getparent(pytest.Module) for item in items]
        if not any(modules):
            return
        first = next(index for index, module in enumerate(modules) if module is not None)
        for name, text, place in self._canaries:
            at = places[place % len(places)] if places else first
            module = items[at].getparent(pytest.Module)
            namespace: dict[str, Any] = {"__name__": module.obj.__name__}
            exec(compile(text, str(module.path), "exec"), namespace)
            items.insert(at, pytest.Function.from_parent(module, name=name, callobj=namespace[name]))

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            lines = [line.removeprefix("E  ").strip() for line in str(report.longrepr).strip().splitlines()]
            self._say("test", str(report.nodeid), "error", plain_text(lines[-1] if lines else ""))
        elif report.skipped:
            self._say("test", str(report.nodeid), "skipped", plain_text(report.longrepr[-1]))

    def pytest_runtest_makereport(self, item: Any, call: Any) -> Generator[None, Any, Any]:
        report = yield
        error = call.excinfo
        before, message = self._states.get(item.nodeid, ("", ""))
        if error is not None and not report.skipped:
            now = "failed" if call.when == "call" else "error"
            message = message or _told(error.value)
        elif report.skipped:
            now = "xfailed" if hasattr(report, "wasxfail") else "skipped"
        elif not report.passed:
            now = "failed"
            message = message or plain_text(report.longrepr)
        elif call.when == "call":
            now = "xpassed" if hasattr(report, "wasxfail") else "passed"
        else:
            now = ""
        self._states[item.nodeid] = (before if before not in ("", "passed") else now or before, message)
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Also of subtests, which have reports and no phases."""
        if report.failed and self._states.get(report.nodeid, ("", ""))[0] in ("", "passed"):
            self._states[report.nodeid] = ("failed", " ".join(plain_text(report.longrepr).split()))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        outcome, message = self._states.pop(nodeid, ("", ""))
        self._say("test", nodeid, outcome or "missing", message)

    def pytest_internalerror(self, excinfo: Any) -> None:
        self._say("trouble", "", "", _told(excinfo.value))


# What `pytest.hookimpl` does, without importing pytest where it is not needed.
Witness.pytest_collection_modifyitems.pytest_impl = {"trylast": True}  # type: ignore[attr-defined]
Witness.pytest_runtest_makereport.pytest_impl = {"wrapper": True, "tryfirst": True}  # type: ignore[attr-defined]


# -- the oracle's side -------------------------------------------------------------------------------------------------


class RepositoryTask(NamedTuple):
    files: dict[str, bytes]
    tests: list[str]
    options: list[str]
    paths: list[str]


class Heard:
    """What the tests' process has said. `lied`: why it is not believed."""

    def __init__(self) -> None:
        self.outcomes: dict[str, tuple[str, str]] = {}
        self.ended: str | None = None
        self.trouble = ""
        self.lied: str | None = None

    def take(self, line: bytes, nonce: str) -> None:
        try:
            said, what, name, outcome, message = json.loads(line)
            plain = all(type(text) is str for text in (said, what, name, outcome, message))
        except (ValueError, TypeError, RecursionError):
            plain = False
        if not plain or said != nonce:
            self.lied = self.lied or "it said what no test says"
        elif what == "end":
            self.ended, self.trouble = outcome, self.trouble or message
        elif what == "trouble":
            self.trouble = self.trouble or message
        elif len(self.outcomes) >= MAX_TESTS and name not in self.outcomes:
            self.lied = self.lied or f"more than {MAX_TESTS} tests"
        else:
            before = self.outcomes.get(name)
            if before is None or (before[0] == "passed" and outcome != "passed"):  # no second chance, no taking back
                self.outcomes[name] = (outcome, message)


def load_repository(payload: dict[str, Any]) -> RepositoryTask:
    from base64 import b64decode

    files = {path: b64decode(content) for path, content in payload["files"].items()}
    return RepositoryTask(files, payload["tests"], payload["options"], payload["paths"])


def judge_repository(task: RepositoryTask, size: int, calls: int, replies: int, work: str) -> dict[str, Any]:
    """Run the tests of `task` once against the candidate that standard input holds next."""
    candidate = json.loads(read_exactly(0, size))
    changes, expected = candidate["files"], candidate["expected"]
    outcome: dict[str, Any] = {"status": "malformed", "detail": "", "cpu_before_s": 0.0, "memory_before_bytes": 0}
    for path, text in changes.items():
        if text is not None and path.endswith(".py"):
            try:
                compile(text, path, "exec", dont_inherit=True)
            except BaseException as error:
                return {**outcome, "detail": plain_text(f"{path}: {_told(error)}")}
    tree = os.path.join(work, TREE)
    try:
        write_tree(tree, task.files, changes)
        return {**outcome, **_run(task, expected, calls, replies)}
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def write_tree(tree: str, files: dict[str, bytes], changes: dict[str, str | None]) -> None:
    os.mkdir(tree, 0o755)
    made = {""}
    changed = {path: None if text is None else text.encode("utf-8", "surrogatepass") for path, text in changes.items()}
    for path, content in {**files, **changed}.items():
        if content is None:
            continue
        folder = os.path.dirname(path)
        if folder not in made:
            os.makedirs(os.path.join(tree, folder), 0o755, exist_ok=True)
            made.add(folder)
        descriptor = os.open(os.path.join(tree, path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            write_all(descriptor, content)
        finally:
            os.close(descriptor)


def _run(task: RepositoryTask, expected: list[str] | None, calls: int, replies: int) -> dict[str, Any]:
    chance = random.SystemRandom()
    nonce = os.urandom(16).hex()
    names: list[str] = []
    while len(names) < len(_CANARIES):
        name = "_".join(["test", *chance.sample(_WORDS, 3)])
        if name not in names and not any(name in known for known in expected or ()):
            names.append(name)
    canaries = [
        (name, text.format(name=name, number=chance.randrange(2, 1000)), chance.randrange(1 << 30))
        for name, text in zip(names, chance.sample(_CANARIES, len(_CANARIES)), strict=True)
    ]
    order = {
        "nonce": nonce,
        "canaries": canaries,
        "tests": task.tests,
        "options": task.options,
        "paths": task.paths,
    }
    heard = Heard()
    try:
        write_frame(calls, pickle.dumps(order))
        cpu_before_s, memory_before_bytes = HELLO.unpack(read_exactly(replies, HELLO.size))
    except (EOFError, OSError):
        return {"status": "crashed", "detail": "the tests' process died before it began"}
    for line in _lines(replies):
        heard.take(line, nonce)
        if heard.ended is not None or heard.lied is not None:
            break
    among = [name for name in heard.outcomes if name.rpartition("::")[2] in names]
    canary_outcomes = [heard.outcomes.pop(name)[0] for name in among]
    return {
        **_judged(heard, canary_outcomes, expected),
        "cpu_before_s": cpu_before_s,
        "memory_before_bytes": memory_before_bytes,
    }


def _lines(descriptor: int) -> Iterator[bytes]:
    rest = b""
    said = 0
    with contextlib.suppress(OSError):
        while (chunk := os.read(descriptor, 65536)) and said < MAX_SAID_BYTES:
            said += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            yield from lines


def _judged(heard: Heard, canaries: list[str], expected: list[str] | None) -> dict[str, Any]:
    """The verdict and its reasons; `expected` None: this is the canonical solution, whose tests are to be learnt."""
    known = expected if expected is not None else [n for n, (each, _) in heard.outcomes.items() if each == "passed"]
    needed = dict.fromkeys(known)
    amiss = [(n, *found) for n, found in heard.outcomes.items() if found[0] in ("failed", "error", "missing")]
    listed = {name for name, *_ in amiss}
    amiss += [
        # Of a file that could not be collected, its tests are missing for its reason.
        (name, *heard.outcomes.get(name, ("missing", heard.outcomes.get(name.partition("::")[0], ("", ""))[1])))
        for name in needed
        if name not in listed and heard.outcomes.get(name, ("",))[0] != "passed"
    ]
    passed = sum(heard.outcomes.get(name, ("",))[0] == "passed" for name in needed)
    tests = {"expected": len(needed), "passed": passed, "others": amiss[:MAX_RESULTS]}
    if expected is None:
        tests["names"] = list(needed)
    status, detail = "rejected", ""
    if heard.lied is not None:
        detail = f"not believed: {heard.lied}"
    elif heard.ended is None:
        status, detail = "crashed", f"it left when {passed} of {len(needed)} tests had passed"
    elif canaries.count("failed") != len(canaries):
        detail = "not believed: tests that must fail did not"
    elif amiss:
        count = sum(name in needed for name, *_ in amiss)
        detail = f"{count} of {len(needed)} tests" if expected is not None else f"{len(amiss)} tests"
        detail += " did not pass: " + ", ".join(_line(*each) for each in amiss[:SHOWN])
        if any(message.startswith("MemoryError") for *_, message in amiss):
            status = "memory"
    elif not needed or (expected is None and len(canaries) != len(_CANARIES)):
        detail = "no test function in a Python module passed"
    elif len(canaries) != len(_CANARIES):
        detail = "not believed: tests that must fail are missing"
    else:
        status = "accepted"
    if heard.trouble and status != "accepted":
        detail = f"{heard.trouble}; {detail}" if detail else heard.trouble
    return {"status": status, "detail": plain_text(detail), "tests": tests}


def _line(name: str, outcome: str, message: str) -> str:
    return f"{name} {outcome} ({message})" if message else f"{name} {outcome}"
