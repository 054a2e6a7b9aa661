"""The oracle: tests, run against a solution in another process. Trusted; careful about all that comes from there."""

from __future__ import annotations

import builtins
import contextlib
import json
import marshal
import os
import pickle
import random
import resource
import socket
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from pytest_greencode.sandboxes.inside import codec
from pytest_greencode.sandboxes.inside.codec import decode, encode
from pytest_greencode.sandboxes.inside.lockdown import not_dumpable
from pytest_greencode.sandboxes.inside.objects import Handle, OracleSide, RemoteClass, Returned, handle_type
from pytest_greencode.sandboxes.inside.repository import RepositoryTask, judge_repository, load_repository
from pytest_greencode.sandboxes.inside.solution import describe
from pytest_greencode.sandboxes.inside.wire import (
    CAPTURE,
    HELLO,
    ORACLE_USER,
    WATCH,
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
MAX_DEPTH = 50  # of calls back and forth


class SolutionGone(BaseException):
    """S has closed its side. A BaseException, so that a test's `except Exception` does not hide it."""


class SolutionError(Exception):
    """The solution raised something that is no built-in exception."""


class LoadedTask(NamedTuple):
    prelude: CodeType
    tests: CodeType
    call: CodeType
    entry_points: tuple[str, ...]
    classes: frozenset[str]
    names: frozenset[str]
    handles: type[Handle] | None
    same_process: bool
    knows_numpy: bool


IMMUTABLE = (int, float, str, bool, bytes, complex, type(None))


class Remote:
    """The oracle's view of S: `call` a function of it by name, or ask for what `objects` names by number."""

    def __init__(self, calls: int, replies: int, task: LoadedTask) -> None:
        self.calls, self.replies, self.names = calls, replies, task.names
        self.bridge = codec.bridge = OracleSide(self.ask, task.names, task.handles)
        codec.numpy_known = task.knows_numpy
        self.own_stdout = sys.stdout  # the tests may put another one there, to see what is printed
        self.depth = 0
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
        return self.decoded(body)

    def decoded(self, body: bytes) -> tuple[str, Any, Any, Any]:
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

    def ask(self, name: Any, positional: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> Any:
        if codec.decoding():  # a hostile pickle can make the unpickler call methods
            raise pickle.UnpicklingError("a question while an answer is read")
        return self.call(name, positional, named or {})

    def send(self, name: Any, mode: int, arguments: bytes) -> None:
        if self.lost:
            raise self.lost
        try:
            write_frame(self.calls, pickle.dumps((name, mode, arguments), 5))
        except OSError:
            self.lost = SolutionGone("the solution's process died")
            raise self.lost from None

    def call(self, name: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> Any:
        mode = WATCH if named or not all(type(value) in IMMUTABLE for value in positional) else 0
        if sys.stdout is not self.own_stdout:
            mode |= CAPTURE
        self.send(name, mode, encode((positional, named)))
        while True:
            status, value, after, argument = self.receive()
            if status != "callback":
                break
            self.call_back(value, after)
        if status == "printed" and mode & CAPTURE and type(value) is str and type(after) is bytes:
            sys.stdout.write(value)
            status, value, after, argument = self.decoded(after)
        if status == "value":
            if after is not None:
                take_over(positional, named, after)
            if type(argument) is int and 0 <= argument < len(positional):
                return positional[argument]
            return value.function if type(value) is Returned else value
        if status == "raised" and type(value) is type(after) is str:  # a message that is none would be made one here
            self.raised = plain_text(value)
            raise exception_of(value, after)
        if status == "missing":
            self.missing = True
            raise NameError(f"name {name!r} is not defined")
        self.lost = BadReply("an unknown reply")
        raise self.lost

    def call_back(self, number: Any, arguments: Any) -> None:
        """S calls a function of the tests that it was given."""
        self.depth += 1
        try:
            if self.depth > MAX_DEPTH:
                self.lost = BadReply("calls back and forth, too deep")
                raise self.lost
            positional, named = arguments
            if type(positional) is not tuple or type(named) is not dict:
                raise TypeError("arguments that are none")
            result = (("result", ""), self.bridge.build("callback", number)(*positional, **named))
        except Exception as error:
            name, text = describe(error)
            result = (("result", name), text)
        finally:
            self.depth -= 1
        self.send(result[0], 0, encode(((result[1],), {})))

    def proxy(self, name: str, classes: frozenset[str] = frozenset()) -> Callable[..., Any]:
        if name in classes:
            return RemoteClass(self.ask, name, self.names)

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
    if kind is not type(new) or isinstance(old, Handle):
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
        # As text: as bytes a comment could name another encoding, and the program would be another one.
        code = compile(program.decode("utf-8", "surrogatepass"), "<solution>", "exec", dont_inherit=True)
    except BaseException as error:
        return {**outcome, "detail": plain_text(": ".join(describe(error)))}
    remote = Remote(calls, replies, task)
    parts = (task.prelude, code, task.tests, task.call) if task.same_process else (code,)
    namespace: dict[str, Any] = {}
    problem: BaseException | None = None
    try:
        write_frame(calls, marshal.dumps((parts, task.handles is not None)))
        try:  # while S begins
            if not task.same_process:
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
        elif task.same_process:
            status = "accepted"  # says the solution; that is what such a task asks for
        else:
            for entry_point in task.entry_points:
                namespace[entry_point] = remote.proxy(entry_point, task.classes)
            exec(task.tests, namespace)
            exec(task.call, namespace)
            status = "accepted"
    except (SolutionGone, BadReply):
        pass
    except BaseException as error:
        _, text = describe(error)  # its text may hold a value of the solution's, and fail to be made
        detail = plain_text(f"{type(error).__name__}: {text}" if text else type(error).__name__)
    sys.stdout, codec.bridge = remote.own_stdout, None
    namespace.clear()  # its functions hold it: without this it would wait for the collector
    if remote.lost is not None:
        status = "crashed" if isinstance(remote.lost, SolutionGone) else "rejected"
        detail = plain_text(remote.lost)
    elif status == "rejected" and remote.missing:
        status = "malformed"
    elif status == "rejected" and remote.raised == "MemoryError":
        status = "memory"
    remote.lost = remote.lost or SolutionGone("its attempt is over")
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
    random.seed()  # the solution's side begins with a known state: it could foresee what tests draw
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
    classes, names = frozenset(payload["classes"]), frozenset(payload["attributes"])
    return LoadedTask(
        prelude=prelude,
        tests=tests,
        call=call,
        entry_points=tuple(payload["entry_points"]),
        classes=classes,
        names=frozenset(name for name in names if not name.startswith("__")),
        handles=handle_type(names) if classes else None,
        same_process=payload["same_process"],
        knows_numpy="numpy" in payload["preload"],
    )
