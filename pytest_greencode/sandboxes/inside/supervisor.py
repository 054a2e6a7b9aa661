"""The program inside the sandbox, one per sandbox, handed over as text.

Four kinds of process:

* **supervisor** (this one): takes requests on standard input, answers on standard output; limits, kills, reaps, wipes.
* **zygote**: forks the solutions and does nothing else: a fork makes every page that either side touches afterwards
  cost a copy, so whoever forks should touch little. It never holds a test or a solution. Where repositories' tests are
  run there is a second one, with pytest imported (`repository`).
* **oracle (O)**: keeps the compiled tests of every task and runs them, in a fresh namespace each time, against proxies
  of the solution's functions. It also compiles the programs (parsing one runs nothing of it, and in S it would cost a
  copy of every page that the compiler touches). Trusted; has its own user.
* **solution (S)**: one per attempt, under another user. It executes the code and answers calls.

S and O share two pipes: calls go out, plain data comes back (`codec`). S has neither the tests nor a way to the
verdict. After each attempt every process of S's user is killed and reaped, and the work directory is wiped; whatever
does not end as it should makes the sandbox "dirty", and the host replaces it.

From the host: a 4-byte little-endian length, a JSON header of that length, then `size` bytes of payload.

    {"op": "task", "key", "size"}           payload: JSON {prelude, tests, call, entry_points, preload}, or of a
                                            repository {files: {path: base64}, tests, options, paths}
    {"op": "run", "key", "size", "repository", "cpu_s", "wall_s", "oracle_cpu_s", "output_bytes"}
                                            payload: the program, UTF-8, or for a repository JSON {files, expected}
To the host: first a line of JSON with facts about the sandbox, then one line per request, in order. `waited_s` says how
long an answer has been ready: they wait for each other.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import resource
import select
import signal
import socket
import stat
import sys
import time
import warnings
from typing import Any, NamedTuple

from pytest_greencode.sandboxes.inside.lockdown import (
    allow_writes_only_in,
    hand_down_no_capabilities,
    landlock_abi,
    no_new_privileges,
    not_dumpable,
    sandbox_filter,
)
from pytest_greencode.sandboxes.inside.oracle import oracle
from pytest_greencode.sandboxes.inside.repository import tests_process, warm_up_pytest
from pytest_greencode.sandboxes.inside.solution import CONTROL, PID, bare_libc, zygote
from pytest_greencode.sandboxes.inside.wire import (
    FRAME,
    SOLUTION_USER,
    limit,
    plain_text,
    read_exactly,
    read_frame,
    write_all,
)

WORK_DIRECTORY = os.environ.get("GREENCODE_WORK_DIRECTORY", "/w")
PRELOAD = os.environ.get("GREENCODE_PRELOAD")  # modules beside pytest; None where no repository's tests are run
MAX_FILE_BYTES = 16 << 20
GRACE_S = 1.0
MAX_ANSWER_DELAY_S = 0.05

# What solutions import most: a fork inherits them. Each shared library adds to the price of every fork, so no more.
PRELOADED = (
    "abc", "bisect", "collections.abc", "contextlib", "copy", "functools", "heapq", "itertools", "json", "math",
    "operator", "random", "re", "string", "typing",
)  # fmt: skip


def process_cpu_s(pid: int | None) -> float | None:
    """CPU time of a process with its threads, without its children. The clock's number: see clock_getcpuclockid(3)."""
    if pid is None:
        return None
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


class CpuCounter:
    """CPU time of the whole sandbox by its cgroup, or nothing where it cannot be seen."""

    def __init__(self, own_cgroup: bool) -> None:
        self.descriptor: int | None = None
        self.scale = 1.0
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

    def read_s(self) -> float | None:
        if self.descriptor is None:
            return None
        text = os.pread(self.descriptor, 256, 0)
        if text.startswith(b"usage_usec"):
            text = text.split(None, 2)[1]
        try:
            return int(text) * self.scale
        except ValueError:
            return None


class Crowd:
    """How many processes and threads the sandbox has, by its cgroup: a quick way to see that nobody is left."""

    def __init__(self, own_cgroup: bool) -> None:
        self.descriptor: int | None = None
        for path in ("/sys/fs/cgroup/pids/pids.current", "/sys/fs/cgroup/pids.current") if own_cgroup else ():
            with contextlib.suppress(OSError):
                self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                return

    def is_the_harness_alone(self, size: int) -> bool:
        """Supervisor, zygotes, oracle: so many. False when there are more, or when it cannot be told."""
        return self.descriptor is not None and os.pread(self.descriptor, 32, 0).strip() == b"%d" % size


def out_of_memory_kills() -> int | None:
    """How often the kernel killed for memory in this cgroup; None where it does not say."""
    for path in ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"):
        with contextlib.suppress(OSError, IndexError, ValueError), open(path) as lines:
            return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])
    return None


def cgroup_limits() -> dict[str, int]:
    """The sandbox's own limits as they can be seen from inside; what is not limited, or not seen, is missing."""
    found = {}
    for name, paths in {
        "pids": ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max"),
        "memory_bytes": ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"),
    }.items():
        for path in paths:
            with contextlib.suppress(OSError, ValueError), open(path) as limit_of:
                found[name] = int(limit_of.read())
    return found


class Spent(NamedTuple):
    """CPU seconds so far: of everything here (None if it cannot be seen), and of the harness's three processes."""

    sandbox_s: float | None
    supervisor_s: float
    zygote_s: float
    oracle_s: float


def order(request: dict[str, Any]) -> bytes:
    """For the oracle: a task's name and how many bytes of standard input are for it."""
    return f"{request['key']} {request['size']}".encode()


class Supervisor:
    def __init__(
        self, separate_users: bool, own_cgroup: bool, memory_bytes: int, answers: int, killed_first: KilledFirst
    ) -> None:
        self.separate_users, self.answers = separate_users, answers
        self.zygote, other = socket.socketpair()
        killed_first.set(1000)
        self.zygote_pid = bare_libc.fork()
        if self.zygote_pid == 0:
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            zygote(other, separate_users, memory_bytes, own_cgroup)
        other.close()
        self.tester, self.tester_pid = self.zygote, None
        self.tester_problem: str | None = None
        if PRELOAD is not None:
            self.start_tester(separate_users, memory_bytes, own_cgroup)
        killed_first.set(0)
        self.oracle, other = socket.socketpair()
        self.oracle_pid = bare_libc.fork()
        if self.oracle_pid == 0:
            self.oracle.close()
            self.zygote.close()
            self.tester.close()
            os.close(answers)
            oracle(other, separate_users, memory_bytes)
        other.close()
        self.oracle_died = False
        self.answers_waiting: list[tuple[dict[str, Any], float]] = []
        self.oldest_waiting_s = 0.0
        self.counter = CpuCounter(own_cgroup)
        self.own_cgroup = own_cgroup
        self.kills = out_of_memory_kills() if own_cgroup else None
        self.alone = os.getpid() == 1
        self.requests = select.poll()
        self.requests.register(0, select.POLLIN)
        self.crowd = Crowd(own_cgroup)
        self.harness = {pid for pid in (os.getpid(), self.zygote_pid, self.tester_pid, self.oracle_pid) if pid}
        self.spent = self.so_far()

    def start_tester(self, separate_users: bool, memory_bytes: int, own_cgroup: bool) -> None:
        """The zygote of repositories' tests."""
        self.tester, other = socket.socketpair()
        pid = self.tester_pid = bare_libc.fork()
        if pid == 0:
            self.tester.close()
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)

            def prepare() -> None:
                try:
                    warm_up_pytest(PRELOAD or "")
                except BaseException as error:
                    os.write(CONTROL, plain_text(f"{type(error).__name__}: {error}").encode())
                    os._exit(1)
                os.write(CONTROL, b"ready")

            zygote(other, separate_users, memory_bytes, own_cgroup, prepare=prepare, child=tests_process)
        other.close()
        said = self.tester.recv(4096)
        if said != b"ready":
            self.tester_problem = said.decode("utf-8", "replace") or "its process died"

    def answer(self, outcome: dict[str, Any]) -> None:
        """Answers wait for each other while there is more to do: on the way to the host each message is dear."""
        now_s = time.monotonic()
        self.answers_waiting.append((outcome, now_s))
        if len(self.answers_waiting) == 1:
            self.oldest_waiting_s = now_s
        if now_s - self.oldest_waiting_s > MAX_ANSWER_DELAY_S or not self.requests.poll(0):
            lines = [json.dumps({**each, "waited_s": now_s - ready_s}) for each, ready_s in self.answers_waiting]
            write_all(self.answers, "".join(f"{line}\n" for line in lines).encode())
            self.answers_waiting.clear()

    def serve(self) -> None:
        while True:
            try:
                (size,) = FRAME.unpack(read_exactly(0, FRAME.size))
            except EOFError:
                return
            request = json.loads(read_exactly(0, size))
            if request["op"] == "task":
                self.oracle.sendall(order(request))
                heard = self.hear()
                answer = {"error": "the tests' process died"} if heard is None else heard
                before, self.spent = self.spent, self.so_far()
                self.answer({**answer, "cpu_s": sum(self.spent[1:]) - sum(before[1:])})
            else:
                self.answer(self.attempt(request))

    def hear(self) -> dict[str, Any] | None:
        """What the oracle has to say; None when it died."""
        try:
            answer: dict[str, Any] = json.loads(read_frame(self.oracle.fileno()))
        except (EOFError, OSError):
            return None
        return answer

    def so_far(self) -> Spent:
        return Spent(
            self.counter.read_s(),
            time.process_time(),
            (process_cpu_s(self.zygote_pid) or 0.0) + (process_cpu_s(self.tester_pid) or 0.0),
            # Killed or not: it is reaped by nobody but us, and can be asked until then.
            process_cpu_s(self.oracle_pid) or 0.0,
        )

    def kill_oracle(self) -> None:
        """Whatever it was doing, nobody waits for it any more; the sandbox goes with it."""
        self.oracle_died = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.oracle_pid, signal.SIGKILL)

    def attempt(self, request: dict[str, Any]) -> dict[str, Any]:
        before = self.spent
        start_s = time.monotonic()

        calls_out, calls_in = os.pipe()
        replies_out, replies_in = os.pipe()
        output_out, output_in = os.pipe()
        forker = self.tester if request["repository"] else self.zygote
        socket.send_fds(forker, [b"s"], [calls_out, replies_in, output_in])
        socket.send_fds(self.oracle, [order(request)], [calls_in, replies_out])
        for descriptor in (calls_out, replies_in, output_in, calls_in, replies_out):
            os.close(descriptor)
        (pid,) = PID.unpack(forker.recv(PID.size))

        outcome, stopped, output_bytes = self.wait(request, pid, output_out, start_s, before.oracle_s)
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
        after = self.spent = self.so_far()
        oracle_cpu_s = after.oracle_s - before.oracle_s
        own_cpu_s = after.supervisor_s - before.supervisor_s + after.zygote_s - before.zygote_s
        hidden_s = 0.0
        if after.sandbox_s is not None and before.sandbox_s is not None:
            known_s = max(used_s, cpu_s) + orphans_cpu_s + oracle_cpu_s + own_cpu_s
            # Children that the solution let the kernel reap unseen appear in the cgroup alone.
            if after.sandbox_s - before.sandbox_s - known_s > 0.005 + 0.1 * known_s:
                hidden_s = after.sandbox_s - before.sandbox_s - known_s

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
            "tests": outcome.get("tests"),
            "dirty": dirty or self.oracle_died,
        }

    def wait(
        self,
        request: dict[str, Any],
        pid: int,
        output: int,
        start_s: float,
        oracle_start_s: float,
    ) -> tuple[dict[str, Any], tuple[str, str] | None, int]:
        """Until the oracle has spoken or a limit is passed: outcome, (verdict, detail) if stopped, bytes of output."""
        poller = select.poll()
        oracle = self.oracle.fileno()
        poller.register(oracle, select.POLLIN)
        poller.register(output, select.POLLIN)
        output_bytes = 0
        timeout_s = request["cpu_s"]
        stopped: tuple[str, str] | None = None
        give_up_s: float | None = None
        while True:
            ready = dict(poller.poll(max(1, int(timeout_s * 1000))))
            if oracle in ready:
                outcome = self.hear()
                if outcome is None:
                    self.kill_oracle()
                    return {}, stopped or ("crashed", "the tests' process died"), output_bytes
                return outcome, stopped, output_bytes
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
                    self.kill_oracle()
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

    def clean_up(self, pid: int) -> tuple[int, resource.struct_rusage, float, bool]:
        """Kill and reap everything that the solution left. Returns its wait status, usage, orphans' CPU time, dirty."""
        orphans_cpu_s = 0.0
        dirty = False
        # One that has just closed its pipes may be on its way out: its own status tells more than our signal.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        deadline_s = None
        while True:
            with contextlib.suppress(ChildProcessError):
                while not self.oracle_died:
                    orphan, _, orphan_usage = os.wait4(-1, os.WNOHANG)
                    if not orphan:
                        break
                    if orphan in self.harness:
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

    def kill_solution(self, pid: int) -> None:
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

    def leftovers(self) -> bool:
        """Whether a process that the solution left is still there (and kill it)."""
        # Without a PID namespace of our own (sandbox "none") everybody is a stranger, and nobody else is ours to kill.
        if not self.alone:
            return False
        if self.crowd.is_the_harness_alone(len(self.harness)):
            return False
        strangers = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in self.harness]
        for stranger in strangers:
            self.kill_solution(stranger)
        return bool(strangers)

    def wipe(self) -> bool:
        """Give the work directory back as it was, as the solution's user; False when something stays."""
        try:
            if not self.separate_users:
                os.chmod(WORK_DIRECTORY, 0o700)  # the solution's own, so it may have changed it
                for name in os.listxattr(WORK_DIRECTORY):
                    os.removexattr(WORK_DIRECTORY, name)
            crowded = bool(os.listdir(WORK_DIRECTORY))
            if crowded:
                if self.separate_users:
                    os.seteuid(SOLUTION_USER)
                try:
                    remove_below(WORK_DIRECTORY)
                finally:
                    if self.separate_users:
                        os.seteuid(0)
            os.utime(WORK_DIRECTORY, (0, 0))
            return not crowded or not os.listdir(WORK_DIRECTORY)
        except (OSError, MemoryError):
            return False

    def death(self, status: int, detail: str) -> tuple[str, str]:
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


def remove_below(directory: str) -> None:
    """Unlink everything under `directory`. The tree is hostile: no recursion, two descriptors, no link is followed.

    A directory's own directories are moved up to the top before it is removed, so depth does not matter.
    """
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while names := os.listdir(top):
            for name in names:
                if not _unlinked(name, top):
                    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
                    try:
                        for inner in os.listdir(below):
                            if not _unlinked(inner, below):
                                # No name that could be there already, in the way.
                                os.rename(inner, os.urandom(16).hex(), src_dir_fd=below, dst_dir_fd=top)
                    finally:
                        os.close(below)
                    os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _unlinked(name: str, parent: int) -> bool:
    """Remove a file or link; a directory is made accessible instead."""
    if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
        os.chmod(name, 0o700, dir_fd=parent)
        return False
    os.unlink(name, dir_fd=parent)
    return True


def can_switch_users() -> bool:
    """Whether solution and oracle can have users of their own (a sandbox in a user namespace often has one)."""
    if os.getuid() != 0 or os.getpid() != 1:
        return False
    try:
        os.seteuid(SOLUTION_USER)
    except OSError:
        return False
    os.seteuid(0)
    return True


def network_interfaces() -> list[str]:
    with open("/proc/net/dev") as lines:
        return sorted(line.partition(":")[0].strip() for line in lines if ":" in line)


class KilledFirst:
    """Whom the kernel kills when memory runs out: a solution, not those who judge it."""

    def __init__(self) -> None:
        self.score: int | None = None
        with contextlib.suppress(OSError):  # opened now, as no file outside the work directory can be later
            self.score = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)

    def set(self, score: int) -> None:
        """For this process, and those that it forks from now on."""
        if self.score is not None:
            with contextlib.suppress(OSError):
                os.write(self.score, str(score).encode())


def main() -> None:
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
    if not separate_users:
        os.chmod(WORK_DIRECTORY, 0o700)  # as `wipe` leaves it
    os.utime(WORK_DIRECTORY, (0, 0))
    memory_bytes = int(os.environ["GREENCODE_MEMORY_BYTES"])
    if core := os.environ.get("GREENCODE_CORE"):
        # Solution and oracle take turns: on one core they wake each other without an interrupt to another one.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {int(core)})
    packages = os.environ.get("GREENCODE_PACKAGES")
    if packages:
        sys.path.extend(packages.split(":"))
    if os.environ.get("GREENCODE_SITE"):  # an image of somebody's own has its packages where its Python looks for them
        import site

        for directory in site.getsitepackages():
            site.addsitedir(directory)
    os.environ.clear()
    os.environ.update(HOME=WORK_DIRECTORY, TMPDIR=WORK_DIRECTORY, PATH="", LANG="C.UTF-8")
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # one attempt has one core
    sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    own_cgroup = "own-cgroup" in sys.argv
    sys.argv = [""]
    interfaces, killed_first = network_interfaces(), KilledFirst()
    not_dumpable()
    hand_down_no_capabilities()
    no_new_privileges()
    landlocked = allow_writes_only_in(WORK_DIRECTORY)
    sandbox_filter().install()
    limit(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    limit(resource.RLIMIT_NOFILE, 256)
    limit(resource.RLIMIT_CORE, 0)
    gc.collect()
    gc.freeze()
    supervisor = Supervisor(separate_users, own_cgroup, memory_bytes, answers, killed_first)
    supervisor.answer(
        {
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "separate_users": separate_users,
            "landlock_abi": landlock_abi() if landlocked else 0,
            "network_interfaces": interfaces,
            "tests_problem": supervisor.tester_problem,
            "cgroup_limits": cgroup_limits() if own_cgroup else {},
            "cgroup_cpu": supervisor.counter.descriptor is not None,
            "cpu_s": sum(supervisor.spent[1:]),
        }
    )
    supervisor.serve()
