"""The oracle: tests, run against a solution in another process. Trusted; careful about all that comes from there."""

from __future__ import annotations

import builtins
import contextlib
import json
import marshal
import os
import pickle
import resource
import socket
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from pytest_greencode.sandboxes.inside.codec import decode, encode
from pytest_greencode.sandboxes.inside.lockdown import not_dumpable
from pytest_greencode.sandboxes.inside.repository import RepositoryTask, judge_repository, load_repository
from pytest_greencode.sandboxes.inside.solution import describe
from pytest_greencode.sandboxes.inside.wire import (
    HELLO,
    ORACLE_USER,
    BadReply,
    become,
    limit,
    plain_text,
    read_exactly,
    read_frame,
    write_frame,
)

# Room for the tests and their modules, and for what is decoded: above the solution's own memory.
ORACLE_DATA_BYTES = 1 << 30
ORACLE_ADDRESS_BYTES = 8 << 30


class SolutionGone(BaseException):
    """S has closed its side. A BaseException, so that a test's `except Exception` does not hide it."""


class SolutionError(Exception):
    """The solution raised something that is no built-in exception."""


class LoadedTask(NamedTuple):
    prelude: CodeType
    tests: CodeType
    call: CodeType
    entry_points: tuple[str, ...]


IMMUTABLE = (int, float, str, bool, bytes, complex, type(None))


class Remote:
    """The oracle's view of S: `call` a function of it by name."""

    def __init__(self, calls: int, replies: int) -> None:
        self.calls, self.replies = calls, replies
        self.lost: SolutionGone | BadReply | None = None
        self.raised: str | None = None
        self.missing = False

    def receive(self) -> tuple[str, Any, Any, Any]:
        if self.lost:
            raise self.lost
        try:
            body = read_frame(self.replies)
        except (EOFError, OSError):
            self.lost = SolutionGone("the solution's process died")
            raise self.lost from None
        except BadReply as error:
            self.lost = error
            raise
        try:
            reply = decode(body)
            if type(reply) is not tuple or len(reply) != 4 or type(reply[0]) is not str:
                raise pickle.UnpicklingError("not a reply")
        except MemoryError:
            self.lost = BadReply("a reply too large to hold")
            raise self.lost from None
        except Exception as error:
            self.lost = BadReply(f"a reply that is not plain data: {plain_text(error)}")
            raise self.lost from None
        return reply

    def call(self, name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        watch = bool(named) or not all(type(value) in IMMUTABLE for value in positional)
        arguments = encode((positional, named))
        if self.lost:
            raise self.lost
        try:
            write_frame(self.calls, pickle.dumps((name, watch, arguments), 5))
        except OSError:
            self.lost = SolutionGone("the solution's process died")
            raise self.lost from None
        status, value, after, argument = self.receive()
        if status == "value":
            if after is not None:
                take_over(positional, named, after)
            if type(argument) is int and 0 <= argument < len(positional):
                return positional[argument]
            return value
        if status == "raised":
            self.raised = plain_text(value)
            raise exception_of(value, after)
        if status == "missing":
            self.missing = True
            raise NameError(f"name {name!r} is not defined")
        self.lost = BadReply("an unknown reply")
        raise self.lost

    def proxy(self, name: str) -> Callable[..., Any]:
        def candidate(*positional: Any, **named: Any) -> Any:
            return self.call(name, positional, named)

        candidate.__name__ = candidate.__qualname__ = name
        return candidate


def exception_of(name: object, text: object) -> Exception:
    """The built-in exception of that name, or SolutionError for one that would change the tests' own flow."""
    kind = getattr(builtins, name, None) if type(name) is str else None
    flow = (StopIteration, StopAsyncIteration, Warning)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, flow):
        for constructible in kind.__mro__:  # UnicodeDecodeError wants five arguments, its base ValueError one
            with contextlib.suppress(TypeError):
                return constructible(text)  # type: ignore[no-any-return]
    return SolutionError(f"{plain_text(name)}: {plain_text(text)}")


def take_over(positional: tuple[Any, ...], named: dict[str, Any], after: Any) -> None:
    """Give the tests' own arguments the contents that they have in S."""
    try:
        new_positional, new_named = after
        pairs = [*zip(positional, new_positional, strict=True), *((named[key], new_named[key]) for key in named)]
    except Exception:
        raise SolutionError("arguments that do not match the call") from None
    for old, new in pairs:
        replace_contents(old, new)


def replace_contents(old: Any, new: Any) -> None:
    kind = type(old)
    if kind is not type(new):
        return
    if kind is list:
        # Inner containers keep their identity where the shape allows it: the tests may hold them too.
        if len(old) == len(new):
            for index, (inner_old, inner_new) in enumerate(zip(old, new, strict=True)):
                if type(inner_old) is type(inner_new) and type(inner_old) in (list, dict, set):
                    replace_contents(inner_old, inner_new)
                else:
                    old[index] = inner_new
        else:
            old[:] = new
    elif kind is bytearray:
        old[:] = new
    elif kind in (dict, set) or (hasattr(old, "clear") and hasattr(old, "update")):
        old.clear()
        old.update(new)
    elif kind is tuple:
        for inner_old, inner_new in zip(old, new, strict=False):
            replace_contents(inner_old, inner_new)
    elif kind.__name__ == "deque":
        old.clear()
        old.extend(new)
    elif kind.__name__ == "ndarray" and old.shape == new.shape:
        old[...] = new


def judge(task: LoadedTask, size: int, calls: int, replies: int) -> dict[str, Any]:
    """Run the tests of `task` once against the program that standard input holds next."""
    program = read_exactly(0, size)
    outcome: dict[str, Any] = {"status": "malformed", "detail": "", "cpu_before_s": 0.0, "memory_before_bytes": 0}
    try:
        code = marshal.dumps(compile(program, "<solution>", "exec", dont_inherit=True))
    except BaseException as error:
        return {**outcome, "detail": plain_text(": ".join(describe(error)))}
    remote = Remote(calls, replies)
    namespace: dict[str, Any] = {}
    problem: BaseException | None = None
    try:
        write_frame(calls, code)
        try:  # while S begins
            exec(task.prelude, namespace)
        except BaseException as error:
            problem = error
        outcome["cpu_before_s"], outcome["memory_before_bytes"] = HELLO.unpack(read_exactly(replies, HELLO.size))
    except (EOFError, OSError):
        return {**outcome, "status": "crashed", "detail": "the solution's process died before it began"}
    status, detail = "rejected", ""
    try:
        if problem is not None:
            raise problem
        state, name, text, _ = remote.receive()
        if state != "ready":
            remote.raised = plain_text(name)
            detail = f"{plain_text(name)}: {plain_text(text)}"
        else:
            for entry_point in task.entry_points:
                namespace[entry_point] = remote.proxy(entry_point)
            exec(task.tests, namespace)
            exec(task.call, namespace)
            status = "accepted"
    except (SolutionGone, BadReply):
        pass
    except BaseException as error:
        detail = plain_text(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    namespace.clear()  # its functions hold it: without this it would wait for the collector
    if remote.lost is not None:
        status = "crashed" if isinstance(remote.lost, SolutionGone) else "rejected"
        detail = plain_text(remote.lost)
    elif status == "rejected" and remote.missing:
        status = "malformed"
    elif status == "rejected" and remote.raised == "MemoryError":
        status = "memory"
    return {**outcome, "status": status, "detail": detail}


def oracle(control: socket.socket, separate_users: bool, memory_bytes: int) -> NoReturn:
    """Compile tasks as they come and judge the attempts at them. Never returns."""
    os.setsid()
    limit(resource.RLIMIT_DATA, memory_bytes + ORACLE_DATA_BYTES)
    limit(resource.RLIMIT_AS, memory_bytes + ORACLE_ADDRESS_BYTES)
    if separate_users:
        become(ORACLE_USER)
    else:
        not_dumpable()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    work = os.getcwd()
    os.chdir("/")  # nothing that a solution leaves in its directory is near
    tasks: dict[str, LoadedTask | RepositoryTask] = {}
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 2)
        if not message:
            os._exit(0)
        key, _, size = message.decode().rpartition(" ")
        if not descriptors:
            payload = read_exactly(0, int(size))
            try:
                tasks[key] = load_task(json.loads(payload))
                answer: dict[str, Any] = {}
            except BaseException as error:
                answer = {"error": plain_text(f"{type(error).__name__}: {error}")}
        else:
            calls, replies = descriptors
            task = tasks[key]
            if isinstance(task, LoadedTask):
                answer = judge(task, int(size), calls, replies)
            else:
                answer = judge_repository(task, int(size), calls, replies, work)
            os.close(calls)
            os.close(replies)
        write_frame(control.fileno(), json.dumps(answer).encode())


def load_task(payload: dict[str, Any]) -> LoadedTask | RepositoryTask:
    if "files" in payload:
        return load_repository(payload)
    for module in payload["preload"]:
        __import__(module)
    prelude, tests, call = (compile(payload[part], f"<{part}>", "exec") for part in ("prelude", "tests", "call"))
    return LoadedTask(prelude, tests, call, tuple(payload["entry_points"]))
