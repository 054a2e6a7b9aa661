"""The zygote, and the solutions that it forks. From `exec` on everything runs beside hostile code: O trusts none."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import functools
import gc
import io
import marshal
import os
import pickle
import resource
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, NoReturn, cast

from pytest_greencode.sandboxes.inside import codec
from pytest_greencode.sandboxes.inside.codec import decode, encode
from pytest_greencode.sandboxes.inside.lockdown import Filter, solution_filter, zygote_filter
from pytest_greencode.sandboxes.inside.objects import SolutionSide
from pytest_greencode.sandboxes.inside.wire import (
    CAPTURE,
    HELLO,
    MAX_PRINTED,
    SOLUTION_USER,
    WATCH,
    become,
    limit,
    plain_text,
    read_frame,
    write_frame,
)

CONTROL, CALLS, REPLIES, OUTPUT = 3, 4, 5, 6
DESCRIPTORS = struct.Struct("3i")
PID = struct.Struct("i")
CLONE_PARENT = 0x8000
# Threads reserve 64 MiB of addresses each; this is only behind the limit of what is used.
ADDRESS_BYTES = 8 << 30
MAX_THREADS = 64
# Loading a program costs less than the page faults around it, which are the fork's; not so tables of constants.
SMALL_PROGRAM_BYTES = 1 << 16
_CLONE = {"x86_64": 56, "aarch64": 220, "arm64": 220}


# PyDLL: calls through it keep the interpreter's lock, as a fork must.
bare_libc = ctypes.PyDLL(None)


def zygote(
    inherited: socket.socket,
    separate_users: bool,
    memory_bytes: int,
    own_cgroup: bool,
    *,
    prepare: Callable[[], None] | None = None,
    child: Callable[[Filter, bool], NoReturn] | None = None,
) -> NoReturn:
    """Fork a solution for each three descriptors that come. Never returns.

    `prepare`: what to do once before the first fork; `child`: what a fork does.

    By the system call alone, without the interpreter's handlers around a fork: they seed `random` again and rebuild the
    state of `threading`, which touches a hundred pages. They serve processes with threads; this one has none. The child
    is the supervisor's (CLONE_PARENT), which reaps it.
    """
    os.dup2(inherited.fileno(), CONTROL)
    os.closerange(CONTROL + 1, 256)
    control = socket.socket(fileno=CONTROL)
    limit(resource.RLIMIT_DATA, memory_bytes)
    limit(resource.RLIMIT_AS, memory_bytes + ADDRESS_BYTES)
    if not own_cgroup:  # which would count threads, and memory of every sort
        limit(resource.RLIMIT_NPROC, MAX_THREADS)
        limit(resource.RLIMIT_STACK, memory_bytes, soft=resource.getrlimit(resource.RLIMIT_STACK)[0])
    clone, number, flags = bare_libc.syscall, _CLONE[os.uname().machine], CLONE_PARENT | signal.SIGCHLD
    space = socket.CMSG_SPACE(DESCRIPTORS.size)
    zygote_filter().install()
    narrow = solution_filter()
    (prepare or warm_up)()
    if hasattr(bare_libc, "malloc_trim"):  # glibc's
        bare_libc.malloc_trim(0)
    gc.collect()
    gc.freeze()
    while True:
        _, ancillary, _, _ = control.recvmsg(1, space)
        if not ancillary:
            os._exit(0)
        # The lowest free numbers: CALLS, REPLIES, OUTPUT.
        pid = clone(number, flags, 0, 0, 0, 0)
        if pid < 0:
            os._exit(71)  # -1 would name every process to whoever is told it
        if pid == 0:
            try:
                (child or solution)(narrow, separate_users)
            finally:
                os._exit(70)
        os.close(CALLS)
        os.close(REPLIES)
        os.close(OUTPUT)
        control.send(PID.pack(pid))


_WARM_UP = """
from typing import Dict, List, Optional, Tuple
import math

def first(numbers: List[float], threshold: float = 0.5) -> bool:
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            if i != j and abs(a - b) < threshold:
                return True
    return sorted(set(numbers))[0] > max(numbers) // 2

def second(text: str) -> Dict[str, int]:
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return {key: value for key, value in counts.items() if len(key) % 2 == 0 or key[::-1] != key}
"""
WARM_UP_CALLS = 30


def warm_up() -> None:
    """Do once what solutions do, before the first fork.

    The interpreter rewrites code and fills caches while that is new, and each page that a solution writes to is one to
    copy: this saves it a quarter of them.
    """
    code = marshal.dumps(compile(_WARM_UP, "<warm-up>", "exec"))
    for _ in range(WARM_UP_CALLS):
        namespace: dict[str, Any] = {}
        exec(marshal.loads(code), namespace)
    calls_out, calls_in = os.pipe()
    _replies_out, replies_in = os.pipe()
    for source, target in ((calls_out, CALLS), (replies_in, REPLIES)):
        if source != target:
            os.dup2(source, target)
    for number in range(WARM_UP_CALLS):
        for name, arguments in (("first", ([1.0, 2.0, float(number)], 0.3)), ("second", ("a bb a ccc",))):
            write_frame(calls_in, pickle.dumps((name, WATCH, encode((arguments, {}))), 5))
    os.close(calls_in)
    serve(namespace)
    os.closerange(CONTROL + 1, 256)


def describe(error: BaseException) -> tuple[str, str]:
    """(built-in name of an exception, its text), from S: nothing here is trusted by O."""
    # Not by `__module__`, which says "builtins" of the program's own classes too.
    names = (kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
    name = next(names, "Exception")
    try:
        text = plain_text(error)
    except BaseException:
        text = "(its text cannot be made)"
    return name, text


def settle(narrow: Filter, separate_users: bool) -> None:
    """Give up every right that is not needed beside hostile code."""
    os.close(CONTROL)
    os.dup2(OUTPUT, 1)
    os.dup2(OUTPUT, 2)
    os.close(OUTPUT)
    if separate_users:
        become(SOLUTION_USER)
    narrow.install()


def hello() -> bytes:
    """CPU time and memory of this process by now."""
    return HELLO.pack(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def solution(narrow: Filter, separate_users: bool) -> NoReturn:
    """Never returns. Takes its code and serves."""
    settle(narrow, separate_users)
    before = hello()
    body = read_frame(CALLS)
    parts, objects = marshal.loads(body)
    if len(body) <= SMALL_PROGRAM_BYTES:
        before = hello()
    del body
    os.write(REPLIES, before)

    namespace: dict[str, Any] = {}
    codec.bridge = SolutionSide(namespace, objects, functools.partial(call_back, namespace))
    try:
        for part in parts:
            exec(part, namespace)
    except BaseException as error:
        write_frame(REPLIES, encode(("raised", *describe(error), None)))
        os._exit(0)
    write_frame(REPLIES, pickle.dumps(("ready", None, None, None)))
    serve(namespace)
    os._exit(0)


def serve(namespace: dict[str, Any]) -> Any:
    """Answer the tests' questions until they have none, or until one of them is the result of a call back."""
    while True:
        try:
            body = read_frame(CALLS)
        except EOFError:
            return None
        name, mode, arguments = pickle.loads(body)
        printed = None
        try:
            positional, named = decode(arguments, trusted=True)
            if type(name) is str:
                if name not in namespace:
                    write_frame(REPLIES, encode(("missing", name, None, None)))
                    continue
                function = namespace[name]
            elif name[0] == "result":
                return (*name, *positional)
            else:
                function = cast(SolutionSide, codec.bridge).target(name)
            if mode & CAPTURE:
                printed = io.StringIO()
                with contextlib.redirect_stdout(printed):
                    value = function(*positional, **named)
            else:
                value = function(*positional, **named)
            # What the call did to its arguments goes back only where it did something.
            watch = mode & WATCH
            changed = watch and encode((positional, named)) != arguments
            argument = next((index for index, each in enumerate(positional) if each is value), None) if watch else None
            reply = encode(("value", value, (positional, named) if changed else None, argument))
        except BaseException as error:
            reply = encode(("raised", *describe(error), None))
        if printed is not None:  # goes to the tests, which have put something in the place of their standard output
            reply = encode(("printed", printed.getvalue()[:MAX_PRINTED], reply, None))
        write_frame(REPLIES, reply)


def call_back(namespace: dict[str, Any], number: int, *positional: Any, **named: Any) -> Any:
    """Call a function of the tests, and answer their questions meanwhile."""
    write_frame(REPLIES, encode(("callback", number, (positional, named), None)))
    answer = serve(namespace)
    if answer is None:
        os._exit(0)
    _, raised, value = answer
    if not raised:
        return value
    kind = getattr(builtins, str(raised), None)
    raise kind(value) if isinstance(kind, type) and issubclass(kind, BaseException) else RuntimeError(value)
