"""CPU time of phases: threads, children, servers of fixtures, what is left behind, daemons. Real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from pytest_greencode.meters.family import Family, waited_s
from pytest_greencode.meters.phases import PhaseClock
from pytest_greencode.meters.sampler import Sampler

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")

BURN = "import time\nwhile time.process_time() < {}: pass\n"
ASKED = """
import sys, time
for line in sys.stdin:
    end = time.process_time() + float(line)
    while time.process_time() < end:
        pass
    print(flush=True)
"""
START_S = 0.15  # more than an interpreter takes to start and to end, on a busy machine


def burn(cpu_s: float) -> None:
    end = time.thread_time() + cpu_s
    while time.thread_time() < end:
        pass


def child(code: str, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-E", "-c", code], **more)  # type: ignore[call-overload, no-any-return]


class Server:
    """Uses as much CPU time as it is asked to."""

    def __init__(self) -> None:
        self.process = child(ASKED, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.use(0)

    def use(self, cpu_s: float) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{cpu_s}\n".encode())
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"\n"

    def stop(self) -> None:
        self.process.communicate()


@pytest.fixture
def clock() -> PhaseClock:
    clock = PhaseClock()
    clock.resume()
    clock.begin()
    return clock


@contextmanager
def phase(clock: PhaseClock, *, serving: bool = False) -> Iterator[list[float]]:
    used: list[float] = []
    clock.start(serving=serving)
    try:
        yield used
    finally:
        used.append(clock.stop())


def test_a_phase_has_all_its_threads_and_only_its_own_time(clock: PhaseClock) -> None:
    with phase(clock) as used:
        threads = [threading.Thread(target=burn, args=(0.03,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    burn(0.02)
    with phase(clock) as idle:
        pass
    assert 0.06 <= used[0] < 0.1
    assert idle[0] < 0.03


def test_children_that_were_waited_for_are_in_the_phase(clock: PhaseClock) -> None:
    with phase(clock) as used:
        child(BURN.format(0.05)).wait()
    assert 0.05 <= used[0] < 0.05 + START_S
    assert clock.left == []
    assert clock.background_s() == 0.0


def test_what_pytest_itself_starts_between_tests_is_no_phases(clock: PhaseClock) -> None:
    child(BURN.format(0.05)).wait()
    clock.begin()
    with phase(clock) as used:
        burn(0.001)
    assert used[0] < 0.02


def test_the_server_of_a_fixture_counts_for_whoever_uses_it(clock: PhaseClock) -> None:
    with phase(clock, serving=True) as started:
        server = Server()
    clock.end("a")
    clock.begin()
    with phase(clock) as used:
        server.use(0.05)
    with phase(clock) as idle:
        pass
    clock.end("b")
    server.use(0.03)  # between two tests
    clock.begin()
    with phase(clock) as ended:
        server.stop()
    clock.end("c")
    assert started[0] < START_S
    assert 0.05 <= used[0] < 0.1
    assert idle[0] < 0.03
    assert ended[0] < 0.05
    assert clock.left == []
    assert 0.03 <= clock.background_s() < 0.08


def test_what_a_test_leaves_running_is_named_and_in_no_later_test(clock: PhaseClock) -> None:
    with phase(clock) as used:
        server = Server()
        server.use(0.02)
    clock.end("t::leaks")
    clock.begin()
    with phase(clock) as later:
        server.use(0.05)
    clock.end("t::later")
    try:
        assert 0.02 <= used[0] < 0.02 + START_S
        assert later[0] < 0.03
        [(test, left)] = clock.left
        assert test == "t::leaks"
        assert left.pid == server.process.pid
        assert 0.05 <= left.after_s < 0.1
        assert 0.05 <= clock.background_s() < 0.1
    finally:
        server.stop()
    clock.begin()
    with phase(clock) as after:
        pass
    # Now this process has waited for it, and what it had used is in no phase a second time.
    assert after[0] < 0.03
    assert clock.background_s() < 0.1


def test_nothing_is_lost_and_nothing_is_counted_twice(clock: PhaseClock) -> None:
    before_s = waited_s()
    total_s = 0.0
    with phase(clock, serving=True) as used:
        server = Server()
    total_s += used[0]
    for number in range(4):
        clock.begin()
        with phase(clock) as used:
            server.use(0.01)
            left = Server() if number == 1 else None
            child(BURN.format(0.03)).wait()
        clock.end("t")
        total_s += used[0]
        if left is not None:
            left.use(0.02)
            left.stop()
    clock.begin()
    with phase(clock) as used:
        server.stop()
    clock.end("t")
    total_s += used[0] + clock.background_s()
    assert total_s == pytest.approx(waited_s() - before_s, abs=0.03)


def test_a_grandchild_counts_through_its_parent(clock: PhaseClock) -> None:
    shell = f"{sys.executable} -S -E -c '{BURN.format(0.05)}'; sleep 5"
    with phase(clock) as used:
        parent = subprocess.Popen(["sh", "-c", shell])
        deadline_s = time.monotonic() + 20
        while "sleep" not in _names(parent.pid) and time.monotonic() < deadline_s:
            time.sleep(0.01)
    parent.kill()
    parent.wait()
    assert 0.05 <= used[0] < 0.05 + START_S


def _names(pid: int) -> set[str]:
    return {process.name() for process in psutil.Process(pid).children()}


def test_a_daemon_is_found_by_the_test_that_pytest_had_named(
    clock: PhaseClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = time.time() - 1
    clock.resume()
    assert list(clock.strays({"tests/t.py::test_d[a (b)]"}, since)) == []
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/t.py::test_d[a (b)] (call)")
    with phase(clock) as used:
        command = f"{sys.executable} -S -E -c '{BURN.format(0.05)}time.sleep(20)' >/dev/null 2>&1 & echo $!"
        done = subprocess.run(["setsid", "sh", "-c", command], capture_output=True, text=True, check=True)
    clock.end("tests/t.py::test_d[a (b)]")
    pid = int(done.stdout)
    try:
        deadline_s = time.monotonic() + 20
        while time.clock_gettime((~pid << 3) | 2) < 0.05 and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert clock.left == []
        assert list(clock.strays({"tests/t.py::test_other"}, since)) == []
        assert list(clock.strays({"tests/t.py::test_d[a (b)]"}, time.time() + 60)) == []
        [(test, stray)] = clock.strays({"tests/t.py::test_d[a (b)]"}, since)
        assert (test, stray.pid) == ("tests/t.py::test_d[a (b)]", pid)
        assert 0.05 <= stray.total_s < 0.05 + START_S
        assert used[0] < START_S
    finally:
        os.kill(pid, 9)


def test_the_sampler_is_no_tests_business(clock: PhaseClock) -> None:
    sampler = Sampler(lambda windows, overheads: burn(0.01), None, window_s=0.02, own_cpu_s=clock.outside_s)
    clock.sampler = sampler
    try:
        with phase(clock) as used:
            time.sleep(0.2)
        worked_s = sampler.cpu_s()
    finally:
        sampler.stop()
    assert worked_s > 0.02
    assert used[0] < 0.5 * worked_s
    assert clock.outside_s() >= worked_s


def test_outside_stands_still_while_a_phase_goes_on(clock: PhaseClock) -> None:
    with phase(clock):
        before_s = clock.outside_s()
        burn(0.03)
        assert clock.outside_s() - before_s < 0.01
    burn(0.03)
    assert clock.outside_s() - before_s > 0.025


def test_a_family_without_children_asks_nobody() -> None:
    family = Family()
    family.look()
    assert family.living == {}
    assert family.new == []
