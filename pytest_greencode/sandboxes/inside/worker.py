"""The program inside the sandbox, one per sandbox, handed over as text.

Five kinds of process:

* **supervisor** (this one): takes requests on standard input, answers on standard output; limits, kills, reaps, wipes.
* **zygote**: forks the solutions and does nothing else: a fork makes every page that either side touches afterwards
  cost a copy, so whoever forks should touch little. It never holds a test or a solution.
* **oracle server**: keeps the compiled tests of every task and the modules they need; forks one oracle per task.
* **oracle (O)**: compiles a program (parsing it runs nothing of it, and in S it would cost a copy of every page that
  the compiler touches), sends S the code, and runs the tests against proxies of its functions. Has its own user.
* **solution (S)**: one per attempt, under another user. It executes the code and answers calls.

S and O share two pipes: calls go out, plain data comes back (`codec`). S has neither the tests nor a way to the
verdict. After each attempt every process of S's user is killed and reaped, and the work directory is wiped; whatever
does not end as it should makes the sandbox "dirty", and the host replaces it.

From the host: a 4-byte little-endian length, a JSON header of that length, then `size` bytes of payload.

    {"op": "task", "key", "size"}           payload: JSON {prelude, tests, call, entry_points, preload}
    {"op": "run", "key", "size", "cpu_s", "wall_s", "oracle_cpu_s", "output_bytes"}
                                            payload: the program, UTF-8
To the host: first a line of JSON with facts about the sandbox, then one line per request, in order.
"""

import builtins
import contextlib
import ctypes
import gc
import json
import marshal
import os
import pickle
import random
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time
import warnings

from codec import decode, encode
from lockdown import (
    allow_writes_only_in,
    landlock_abi,
    no_new_privileges,
    not_dumpable,
    sandbox_filter,
    solution_filter,
)

SOLUTION_USER, ORACLE_USER = 65534, 65533
WORK_DIRECTORY = os.environ.get("GREENCODE_WORK_DIRECTORY", "/w")

FRAME = struct.Struct("<I")
HELLO = struct.Struct("<dq")
MAX_REPLY_BYTES = 16 << 20
MAX_FILE_BYTES = 16 << 20
MAX_DETAIL_CHARACTERS = 400
GRACE_S = 1.0

# What solutions import most: a fork inherits them. Each shared library adds to the price of every fork, so no more.
PRELOADED = (
    "abc bisect cmath collections.abc contextlib copy dataclasses datetime decimal enum fractions functools heapq "
    "itertools json math numbers operator random re statistics string typing"
).split()

_libc = ctypes.PyDLL(None)  # PyDLL: the calls below keep the interpreter's lock, as a fork must


class SolutionGone(BaseException):
    """S has closed its side. A BaseException, so that a test's `except Exception` does not hide it."""


class BadReply(BaseException):
    """S sent something that is not a reply."""


class SolutionError(Exception):
    """The solution raised something that is no built-in exception."""


def plain_text(value):
    """Bounded text that any encoding can carry."""
    return str(value)[:MAX_DETAIL_CHARACTERS].encode("utf-8", "backslashreplace").decode()


def read_exactly(descriptor, size):
    """`size` bytes of `descriptor`; EOFError when it ends before."""
    chunk = os.read(descriptor, min(size, 1 << 20))
    if len(chunk) == size:
        return chunk
    chunks = []
    while chunk:
        chunks.append(chunk)
        size -= len(chunk)
        if not size:
            return b"".join(chunks)
        chunk = os.read(descriptor, min(size, 1 << 20))
    raise EOFError


def write_all(descriptor, data):
    data = memoryview(data)
    while data:
        data = data[os.write(descriptor, data) :]


def write_frame(descriptor, body):
    write_all(descriptor, FRAME.pack(len(body)) + body)


def read_frame(descriptor):
    """One frame's body. Both sides take turns, so what one read brings is never more than one frame."""
    chunk = os.read(descriptor, 65536)
    if not chunk:
        raise EOFError
    while len(chunk) < FRAME.size:
        chunk += read_exactly(descriptor, FRAME.size - len(chunk))
    (size,) = FRAME.unpack_from(chunk)
    missing = FRAME.size + size - len(chunk)
    if missing < 0 or size > MAX_REPLY_BYTES:
        raise BadReply("a frame that is too large" if missing >= 0 else "more than one reply")
    return chunk[FRAME.size :] + (read_exactly(descriptor, missing) if missing else b"")


def limit(name, value):
    """Lower a resource limit; a hard limit that is already lower stays."""
    _, hard = resource.getrlimit(name)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(name, (value, value))


def become(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


# ---------------------------------------------------------------------------------------------------------------------
# S: the solution
# ---------------------------------------------------------------------------------------------------------------------

CONTROL, CALLS, REPLIES, OUTPUT = 3, 4, 5, 6
DESCRIPTORS = struct.Struct("3i")
PID = struct.Struct("i")
CLONE_PARENT = 0x8000
_CLONE = {"x86_64": 56, "aarch64": 220, "arm64": 220}


def zygote(control, narrow, separate_users, memory_bytes):
    """Fork a solution for each three descriptors that come. Never returns.

    By the system call alone, without the interpreter's handlers around a fork: they seed `random` again and rebuild the
    state of `threading`, which touches a hundred pages. They serve processes with threads; this one has none. The child
    is the supervisor's (CLONE_PARENT), which reaps it.
    """
    os.dup2(control.fileno(), CONTROL)
    os.closerange(CONTROL + 1, 256)
    control = socket.socket(fileno=CONTROL)
    limit(resource.RLIMIT_DATA, memory_bytes)
    clone, number, flags = _libc.syscall, _CLONE[os.uname().machine], CLONE_PARENT | signal.SIGCHLD
    space = socket.CMSG_SPACE(DESCRIPTORS.size)
    gc.collect()
    gc.freeze()
    while True:
        _, ancillary, _, _ = control.recvmsg(1, space)
        if not ancillary:
            os._exit(0)
        # The lowest free numbers: CALLS, REPLIES, OUTPUT.
        pid = clone(number, flags, 0, 0, 0, 0)
        if pid == 0:
            try:
                solution(narrow, separate_users)
            finally:
                os._exit(70)
        os.close(CALLS)
        os.close(REPLIES)
        os.close(OUTPUT)
        control.send(PID.pack(pid))


def describe(error):
    """(built-in name of an exception, its text), from S: nothing here is trusted by O."""
    name = next((kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"), "Exception")
    try:
        text = plain_text(error)
    except BaseException:
        text = "(its text cannot be made)"
    return name, text


def solution(narrow, separate_users):
    """Never returns. Gives up every right that it does not need, then takes its code and serves."""
    os.close(CONTROL)
    os.dup2(OUTPUT, 1)
    os.dup2(OUTPUT, 2)
    os.close(OUTPUT)
    if separate_users:
        become(SOLUTION_USER)
    narrow.install()
    code = read_frame(CALLS)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    os.write(REPLIES, HELLO.pack(time.process_time(), usage.ru_maxrss * 1024))

    namespace = {}
    try:
        exec(marshal.loads(code), namespace)
    except BaseException as error:
        write_frame(REPLIES, encode(("raised", *describe(error))))
        os._exit(0)
    write_frame(REPLIES, pickle.dumps(("ready", None, None)))
    serve(namespace)
    os._exit(0)


def serve(namespace):
    while True:
        try:
            body = read_frame(CALLS)
        except EOFError:
            return
        name, watch, arguments = pickle.loads(body)
        try:
            positional, named = decode(arguments)
            if name not in namespace:
                write_frame(REPLIES, encode(("missing", name, None)))
                continue
            value = namespace[name](*positional, **named)
            # What the call did to its arguments goes back only where it did something.
            changed = bool(watch) and encode((positional, named)) != arguments
            reply = encode(("value", value, (positional, named) if changed else None))
        except BaseException as error:
            reply = encode(("raised", *describe(error)))
        write_frame(REPLIES, reply)


# ---------------------------------------------------------------------------------------------------------------------
# O: the oracle
# ---------------------------------------------------------------------------------------------------------------------

IMMUTABLE = (int, float, str, bool, bytes, complex, type(None))


class Solution:
    """The oracle's view of S: `call` a function of it by name."""

    def __init__(self, calls, replies):
        self.calls, self.replies = calls, replies
        self.lost = None
        self.raised = None
        self.missing = False

    def receive(self):
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
            if type(reply) is not tuple or len(reply) != 3 or type(reply[0]) is not str:
                raise pickle.UnpicklingError("not a reply")
        except MemoryError:
            self.lost = BadReply("a reply too large to hold")
            raise self.lost from None
        except Exception as error:
            self.lost = BadReply(f"a reply that is not plain data: {plain_text(error)}")
            raise self.lost from None
        return reply

    def call(self, name, positional, named):
        watch = bool(named) or not all(type(value) in IMMUTABLE for value in positional)
        arguments = encode((positional, named))
        if self.lost:
            raise self.lost
        try:
            write_frame(self.calls, pickle.dumps((name, watch, arguments), 5))
        except OSError:
            self.lost = SolutionGone("the solution's process died")
            raise self.lost from None
        status, value, after = self.receive()
        if status == "value":
            if after is not None:
                value = take_over(positional, named, after, value)
            return value
        if status == "raised":
            self.raised = plain_text(value)
            raise exception_of(value, after)
        if status == "missing":
            self.missing = True
            raise NameError(f"name {name!r} is not defined")
        self.lost = BadReply("an unknown reply")
        raise self.lost

    def proxy(self, name):
        def candidate(*positional, **named):
            return self.call(name, positional, named)

        candidate.__name__ = candidate.__qualname__ = name
        return candidate


def exception_of(name, text):
    """The built-in exception of that name, or SolutionError for one that would change the tests' own flow."""
    kind = getattr(builtins, name, None) if type(name) is str else None
    flow = (StopIteration, StopAsyncIteration, Warning)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, flow):
        with contextlib.suppress(Exception):
            return kind(text)
    return SolutionError(f"{plain_text(name)}: {plain_text(text)}")


def take_over(positional, named, after, value):
    """Give the tests' own arguments the contents they have in S; the value itself where S returned an argument."""
    try:
        new_positional, new_named = after
        pairs = [*zip(positional, new_positional, strict=True), *((named[key], new_named[key]) for key in named)]
    except Exception:
        raise SolutionError("arguments that do not match the call") from None
    for old, new in pairs:
        replace_contents(old, new)
        if value is new and type(old) is type(new):
            value = old
    return value


def replace_contents(old, new):
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
    elif kind in (dict, set) or hasattr(old, "clear") and hasattr(old, "update"):
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


def judge(task, size, calls, replies):
    """Run the tests of `task` once against the program that standard input holds next."""
    program = read_exactly(0, size)
    outcome = {"status": "malformed", "detail": "", "cpu_before_s": 0.0, "memory_before_bytes": 0}
    try:
        code = marshal.dumps(compile(program, "<solution>", "exec", dont_inherit=True))
    except BaseException as error:
        return {**outcome, "detail": plain_text(": ".join(describe(error)))}
    remote = Solution(calls, replies)
    try:
        write_frame(calls, code)
        outcome["cpu_before_s"], outcome["memory_before_bytes"] = HELLO.unpack(read_exactly(replies, HELLO.size))
    except (EOFError, OSError):
        return {**outcome, "status": "crashed", "detail": "the solution's process died before it began"}
    status, detail = "rejected", ""
    try:
        prelude, tests, call, entry_points = task
        namespace = {}
        exec(prelude, namespace)
        state, name, text = remote.receive()
        if state != "ready":
            remote.raised = plain_text(name)
            detail = f"{plain_text(name)}: {plain_text(text)}"
        else:
            for entry_point in entry_points:
                namespace[entry_point] = remote.proxy(entry_point)
            exec(tests, namespace)
            exec(call, namespace)
            status = "accepted"
    except (SolutionGone, BadReply):
        pass
    except BaseException as error:
        detail = plain_text(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    if remote.lost is not None:
        status = "crashed" if isinstance(remote.lost, SolutionGone) else "rejected"
        detail = plain_text(remote.lost)
    elif status == "rejected" and remote.missing:
        status = "malformed"
    elif status == "rejected" and remote.raised == "MemoryError":
        status = "memory"
    return {**outcome, "status": status, "detail": detail}


def oracle(task, control):
    """Serve the attempts of one task until the zygote closes `control`. Never returns."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 64, 2)
        if not message:
            os._exit(0)
        calls, replies = descriptors
        outcome = judge(task, int(message), calls, replies)
        os.close(calls)
        os.close(replies)
        control.sendall(json.dumps(outcome).encode())


def oracle_server(control, separate_users):
    """Never returns. Compiles tasks as they come and forks an oracle for each that is asked for."""
    os.setsid()
    if separate_users:
        become(ORACLE_USER)
    else:
        not_dumpable()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    tasks = {}
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not message:
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        request = json.loads(message)
        if request["op"] == "task":
            payload = read_exactly(0, request["size"])
            try:
                tasks[request["key"]] = load_task(json.loads(payload))
                control.sendall(b"{}")
            except BaseException as error:
                control.sendall(json.dumps({"error": plain_text(f"{type(error).__name__}: {error}")}).encode())
            continue
        pid = os.fork() if threading.active_count() > 1 or "numpy" in sys.modules else _libc.fork()
        if pid == 0:
            control.close()
            gc.freeze()
            oracle(tasks[request["key"]], socket.socket(fileno=descriptors[0]))
        os.close(descriptors[0])
        control.sendall(json.dumps({"pid": pid}).encode())


def load_task(payload):
    for module in payload["preload"]:
        __import__(module)
    code = [compile(payload[part], f"<{part}>", "exec") for part in ("prelude", "tests", "call")]
    return (*code, tuple(payload["entry_points"]))


# ---------------------------------------------------------------------------------------------------------------------
# The supervisor
# ---------------------------------------------------------------------------------------------------------------------


def process_cpu_s(pid):
    """CPU time of a process, threads included, children not: its clock's number is made of its pid (clock_getcpuclockid)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


class CpuCounter:
    """CPU time of the whole sandbox by its cgroup, or nothing where it cannot be seen."""

    def __init__(self, own_cgroup):
        self.descriptor, self.scale = None, 1.0
        for path, scale in (
            ()
            if not own_cgroup
            else (
                ("/sys/fs/cgroup/cpuacct/cpuacct.usage", 1e-9),
                ("/sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", 1e-9),
                ("/sys/fs/cgroup/cpu.stat", 1e-6),
            )
        ):
            with contextlib.suppress(OSError):
                self.descriptor, self.scale = os.open(path, os.O_RDONLY | os.O_CLOEXEC), scale
                if self.read_s() is not None:
                    return
        self.descriptor = None

    def read_s(self):
        if self.descriptor is None:
            return None
        text = os.pread(self.descriptor, 256, 0)
        if text.startswith(b"usage_usec"):
            text = text.split(None, 2)[1]
        try:
            return int(text) * self.scale
        except ValueError:
            return None


def out_of_memory_kills():
    """How often the kernel killed for memory in this cgroup; None where it does not say."""
    for path in ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"):
        with contextlib.suppress(OSError, IndexError, ValueError), open(path) as lines:
            return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])
    return None


class Supervisor:
    def __init__(self, separate_users, own_cgroup, memory_bytes, answers):
        self.separate_users, self.answers = separate_users, answers
        self.zygote, other = socket.socketpair()
        self.zygote_pid = _libc.fork()
        if self.zygote_pid == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            zygote(other, solution_filter(), separate_users, memory_bytes)
        other.close()
        self.control, other = socket.socketpair()
        self.server_pid = os.fork()
        if self.server_pid == 0:
            self.control.close()
            self.zygote.close()
            os.close(answers)
            oracle_server(other, separate_users)
        other.close()
        self.oracle = None
        self.oracle_key = None
        self.oracle_pid = None
        self.counter = CpuCounter(own_cgroup)
        self.kills = out_of_memory_kills() if own_cgroup else None
        self.own_cgroup = own_cgroup
        self.alone = os.getpid() == 1

    def answer(self, outcome):
        write_all(self.answers, json.dumps(outcome).encode() + b"\n")

    def serve(self):
        while True:
            try:
                (size,) = FRAME.unpack(read_exactly(0, FRAME.size))
            except EOFError:
                return
            request = json.loads(read_exactly(0, size))
            if request["op"] == "task":
                self.control.sendall(json.dumps(request).encode())
                self.answer(json.loads(self.control.recv(4096)))
            else:
                self.answer(self.attempt(request))

    def helpers_cpu_s(self):
        return (process_cpu_s(self.server_pid) or 0.0) + (process_cpu_s(self.zygote_pid) or 0.0)

    def oracle_for(self, key):
        if self.oracle_key != key:
            self.drop_oracle()
            self.oracle, other = socket.socketpair()
            socket.send_fds(self.control, [json.dumps({"op": "fork", "key": key}).encode()], [other.fileno()])
            other.close()
            self.oracle_pid = json.loads(self.control.recv(4096))["pid"]
            self.oracle_key = key
        return self.oracle

    def drop_oracle(self, kill=False):
        if self.oracle is not None:
            if kill:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.oracle_pid, signal.SIGKILL)
            self.oracle.close()
        self.oracle = self.oracle_key = self.oracle_pid = None

    def attempt(self, request):
        cgroup_start_s = self.counter.read_s()
        own_start_s = time.process_time()
        oracle = self.oracle_for(request["key"])
        oracle_start_s = process_cpu_s(self.oracle_pid) or 0.0
        helpers_start_s = self.helpers_cpu_s()
        start_s = time.monotonic()

        calls_out, calls_in = os.pipe()
        replies_out, replies_in = os.pipe()
        output_out, output_in = os.pipe()
        socket.send_fds(self.zygote, [b"s"], [calls_out, replies_in, output_in])
        socket.send_fds(oracle, [b"%d" % request["size"]], [calls_in, replies_out])
        for descriptor in (calls_out, replies_in, output_in, calls_in, replies_out):
            os.close(descriptor)
        (pid,) = PID.unpack(self.zygote.recv(PID.size))

        outcome, stopped, output_bytes = self.wait(request, pid, oracle, output_out, start_s, oracle_start_s)
        wall_s = time.monotonic() - start_s
        cpu_s = process_cpu_s(pid)
        status, usage, orphans_cpu_s, dirty = self.clean_up(pid)
        while chunk := os.read(output_out, 65536):
            output_bytes += len(chunk)
        os.close(output_out)

        used_s = usage.ru_utime + usage.ru_stime
        before_s = outcome.get("cpu_before_s", 0.0)
        cpu_s = used_s if cpu_s is None else cpu_s
        solution_cpu_s = max(0.0, cpu_s - before_s) + orphans_cpu_s
        oracle_cpu_s = max(0.0, (process_cpu_s(self.oracle_pid) or 0.0) - oracle_start_s) if self.oracle_pid else 0.0
        own_cpu_s = time.process_time() - own_start_s
        own_cpu_s += self.helpers_cpu_s() - helpers_start_s
        hidden_s = 0.0
        if cgroup_start_s is not None:
            total_s = self.counter.read_s() - cgroup_start_s
            known_s = max(used_s, cpu_s) + orphans_cpu_s + oracle_cpu_s + own_cpu_s
            # Children that the solution let the kernel reap unseen appear in the cgroup alone.
            if total_s - known_s > 0.005 + 0.1 * known_s:
                hidden_s = total_s - known_s

        verdict, detail = outcome.get("status", "crashed"), outcome.get("detail", "")
        if stopped is not None:
            verdict, detail = stopped
        elif output_bytes > request["output_bytes"]:
            verdict, detail = "output_limit", f"more than {request['output_bytes']} bytes of output"
        elif verdict == "crashed":
            verdict, detail = self.death(status, detail)
        if verdict == "accepted" and solution_cpu_s + hidden_s > request["cpu_s"]:
            verdict, detail = "timeout", f"{solution_cpu_s + hidden_s:.2f} s of CPU time"
        return {
            "verdict": verdict,
            "detail": detail,
            "cpu_s": solution_cpu_s + hidden_s,
            "hidden_cpu_s": hidden_s,
            "wall_s": wall_s,
            "peak_memory_bytes": max(0, usage.ru_maxrss * 1024 - outcome.get("memory_before_bytes", 0)) or None
            if outcome.get("memory_before_bytes")
            else None,
            "oracle_cpu_s": oracle_cpu_s,
            "harness_cpu_s": max(0.0, own_cpu_s + used_s - max(0.0, cpu_s - before_s)),
            "output_bytes": output_bytes,
            "dirty": dirty,
        }

    def wait(self, request, pid, oracle, output, start_s, oracle_start_s):
        """Until the oracle has spoken or a limit is passed: (outcome, (verdict, detail) if stopped, bytes of output)."""
        poller = select.poll()
        poller.register(oracle.fileno(), select.POLLIN)
        poller.register(output, select.POLLIN)
        output_bytes = 0
        timeout_s = request["cpu_s"]
        stopped = None
        give_up_s = None
        while True:
            ready = dict(poller.poll(max(1, int(timeout_s * 1000))))
            if oracle.fileno() in ready:
                message = oracle.recv(65536)
                if not message:
                    self.drop_oracle(kill=True)
                    return {}, stopped or ("crashed", "the tests' process died"), output_bytes
                return json.loads(message), stopped, output_bytes
            if output in ready:
                chunk = os.read(output, 65536) if ready[output] & select.POLLIN else b""
                output_bytes += len(chunk)
                if not chunk:
                    poller.unregister(output)
                if output_bytes > request["output_bytes"] and stopped is None:
                    stopped = ("output_limit", f"more than {request['output_bytes']} bytes of output")
                    os.kill(pid, signal.SIGKILL)
                    give_up_s = time.monotonic() + GRACE_S
            now_s = time.monotonic()
            if give_up_s is not None:
                if now_s >= give_up_s:
                    # The tests go on without the solution (a wide `except`, a hostile value): their process goes too.
                    self.drop_oracle(kill=True)
                    return {}, stopped, output_bytes
                timeout_s = give_up_s - now_s
                continue
            cpu_s = process_cpu_s(pid) or 0.0
            oracle_s = (process_cpu_s(self.oracle_pid) or 0.0) - oracle_start_s
            wall_s = now_s - start_s - oracle_s
            if cpu_s > request["cpu_s"]:
                stopped = ("timeout", f"{cpu_s:.2f} s of CPU time")
            elif wall_s > request["wall_s"]:
                stopped = ("timeout", f"{wall_s:.2f} s of wall time with {cpu_s:.2f} s of CPU time")
            elif oracle_s > request["oracle_cpu_s"]:
                stopped = ("timeout", f"the tests took {oracle_s:.2f} s of CPU time")
            if stopped is not None:
                os.kill(pid, signal.SIGKILL)
                give_up_s = now_s + GRACE_S
                timeout_s = GRACE_S
            else:
                timeout_s = (
                    min(request["cpu_s"] - cpu_s, request["wall_s"] - wall_s, request["oracle_cpu_s"] - oracle_s)
                    + 0.002
                )

    def clean_up(self, pid):
        """Kill and reap everything that the solution left. Returns its wait status, usage, orphans' CPU time, dirty."""
        orphans_cpu_s = 0.0
        dirty = False
        # One that has just closed its pipes may be on its way out: its own status tells more than our signal.
        self.kill_solution(pid)
        _, status, usage = os.wait4(pid, 0)
        deadline_s = None
        while True:
            with contextlib.suppress(ChildProcessError):
                while True:
                    orphan, _, orphan_usage = os.wait4(-1, os.WNOHANG)
                    if not orphan:
                        break
                    if orphan in (self.server_pid, self.zygote_pid):
                        raise SystemExit("a process of the harness died")
                    orphans_cpu_s += orphan_usage.ru_utime + orphan_usage.ru_stime
            if not self.leftovers():
                break
            now_s = time.monotonic()
            deadline_s = deadline_s or now_s + GRACE_S
            if now_s > deadline_s:
                dirty = True
                break
            time.sleep(0.001)
        if not self.wipe():
            dirty = True
        return status, usage, orphans_cpu_s, dirty

    def kill_solution(self, pid):
        if self.separate_users:
            # As the solution's user, "everybody we may signal" is the solution and all that it left: one atomic call.
            # The real user too, or the zygote would be among them; the saved one is the way back.
            os.setresuid(SOLUTION_USER, SOLUTION_USER, 0)
            try:
                os.kill(-1, signal.SIGKILL)
            except ProcessLookupError:
                pass
            finally:
                os.setresuid(0, 0, 0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def leftovers(self):
        """Whether a process that the solution left is still there (and kill it)."""
        # Without a PID namespace of our own (sandbox "none") everybody is a stranger, and nobody else is ours to kill.
        if not self.alone:
            return False
        known = {os.getpid(), self.zygote_pid, self.server_pid, self.oracle_pid}
        strangers = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in known]
        found = False
        for stranger in strangers:
            with contextlib.suppress(OSError):
                with open(f"/proc/{stranger}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                if parent != self.server_pid:  # else an oracle on its way out
                    found = True
                    self.kill_solution(stranger)
        return found

    def wipe(self):
        """Empty the work directory, as the solution's user, without recursion; False when something stays."""
        if not os.listdir(WORK_DIRECTORY):
            return True
        if self.separate_users:
            os.seteuid(SOLUTION_USER)
        try:
            remove_below(WORK_DIRECTORY)
        except (OSError, RecursionError, MemoryError):
            pass
        finally:
            if self.separate_users:
                os.seteuid(0)
        return not os.listdir(WORK_DIRECTORY)

    def death(self, status, detail):
        """What a wait status says about a solution that died."""
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            if number == signal.SIGKILL and self.own_cgroup:
                kills, self.kills = self.kills, out_of_memory_kills()
                if self.kills is not None and self.kills != kills:
                    return "memory", "killed by the kernel for its memory"
            if number == signal.SIGXCPU:
                return "timeout", "CPU time limit"
            if number == signal.SIGKILL:
                return "crashed", detail
            return "crashed", f"{detail}: signal {number}"
        return "crashed", f"{detail}: exit status {os.WEXITSTATUS(status)}"


def remove_below(directory):
    """Unlink everything under `directory`. Iterative, and never follows a link: the tree is hostile."""
    trail = [os.open(directory, os.O_RDONLY | os.O_DIRECTORY)]
    names = [os.listdir(trail[0])]
    path = [None]
    while trail:
        if not names[-1]:
            os.close(trail.pop())
            names.pop()
            name = path.pop()
            if trail:
                os.rmdir(name, dir_fd=trail[-1])
            continue
        name = names[-1].pop()
        try:
            os.unlink(name, dir_fd=trail[-1])
        except (IsADirectoryError, PermissionError):
            os.chmod(name, 0o700, dir_fd=trail[-1])
            child = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=trail[-1])
            trail.append(child)
            names.append(os.listdir(child))
            path.append(name)


def can_switch_users():
    """Whether solution and oracle can have users of their own (a sandbox in a user namespace often has one)."""
    if os.getuid() != 0 or os.getpid() != 1:
        return False
    try:
        os.seteuid(SOLUTION_USER)
    except OSError:
        return False
    os.seteuid(0)
    return True


def network_interfaces():
    return sorted(name for _, name in socket.if_nameindex())


def main():
    warnings.simplefilter("ignore")
    for module in PRELOADED:
        __import__(module)
    random.seed(0)  # a solution that draws lots draws the same ones each time
    separate_users = can_switch_users()
    answers = os.dup(1)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.makedirs(WORK_DIRECTORY, exist_ok=True)
    os.chdir(WORK_DIRECTORY)
    memory_bytes = int(os.environ["GREENCODE_MEMORY_BYTES"])
    packages = os.environ.get("GREENCODE_PACKAGES")
    if packages:
        sys.path.append(packages)
    os.environ.clear()
    os.environ.update(HOME=WORK_DIRECTORY, TMPDIR=WORK_DIRECTORY, PATH="", LANG="C.UTF-8")
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    own_cgroup = "own-cgroup" in sys.argv
    sys.argv = [""]
    interfaces = network_interfaces()
    not_dumpable()
    no_new_privileges()
    landlocked = allow_writes_only_in(WORK_DIRECTORY)
    sandbox_filter().install()
    limit(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    limit(resource.RLIMIT_NOFILE, 256)
    limit(resource.RLIMIT_CORE, 0)
    gc.collect()
    gc.freeze()
    supervisor = Supervisor(separate_users, own_cgroup, memory_bytes, answers)
    supervisor.answer(
        {
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "separate_users": separate_users,
            "landlock_abi": landlock_abi() if landlocked else 0,
            "network_interfaces": interfaces,
            "cgroup_cpu": supervisor.counter.descriptor is not None,
        }
    )
    supervisor.serve()


if __name__ == "__main__":
    main()
