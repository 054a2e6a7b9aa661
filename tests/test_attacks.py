# ruff: noqa: E501
"""Hostile programs in every sandbox: none gets a verdict it has not earned, and none is felt by the next attempt."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest
from attacks import ATTACKS
from attacks.corpus import ADDS, Attack
from attacks.replies import BOMBS, RAW
from conftest import Ground, require_sandbox

from pytest_greencode.sandboxes.docker import DockerKind

ENTRY_POINTS = ("add",)
HONEST = "def add(a, b): return a + b\n"
# What an attempt sees of the sandbox: nothing of it may change from one attempt to the next.
INSPECTOR = """import os
def add(a, b):
    files, processes = [], {}
    for place, directories, names in os.walk("/", followlinks=False):
        if place == "/": directories[:] = [d for d in directories if d not in ("proc", "sys", "usr", "lib", "lib64", "root")]
        files += [os.path.join(place, name) for name in directories + names]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/status") as file: status = dict(line.split(":", 1) for line in file)
        except OSError: continue
        if "Z" not in status["State"]:
            user = status["Uid"].split()[0]
            processes[user] = processes.get(user, 0) + int(status["Threads"])
    where = os.stat("/w")
    return (hash(tuple(sorted(files))), len(files), sorted(processes.items()), oct(where.st_mode), where.st_uid,
            os.listxattr("/w"), sorted(os.environ.items()), os.getcwd(), os.umask(0o22))
"""


def look(ground: Ground) -> str:
    """What an attempt sees of its surroundings."""
    return ground.run(INSPECTOR, "raise ValueError(add(2, 3))").detail


@pytest.fixture(scope="module")
def untouched(ground: Ground) -> str:
    first, second = look(ground), look(ground)
    assert first == second
    return first


@pytest.mark.parametrize("attack", [pytest.param(attack, id=attack.name) for attack in ATTACKS])
def test_attack(ground: Ground, untouched: str, attack: Attack, tmp_path: Path) -> None:
    sentinel = tmp_path / "sentinel"
    sentinel.write_text("here")

    try:
        execution = ground.run(
            attack.program,
            attack.tests,
            cpu_s=attack.cpu_s,
            oracle_cpu_s=attack.oracle_cpu_s,
            preload=attack.preload,
            classes=attack.classes,
            attributes=attack.attributes,
        )

        assert execution.verdict.value in attack.verdicts, execution
        assert execution.reading.cpu_s >= attack.min_cpu_s
        assert len(execution.detail) <= 4000
        execution.detail.encode()  # any host can print it
        assert ground.run(attack.then or HONEST, ADDS).verdict == "accepted"
        assert ground.run(HONEST, ADDS).verdict == "accepted"
        seen = look(ground)
        deadline_s = time.monotonic() + 2.0
        while seen != untouched and time.monotonic() < deadline_s:  # an oracle may still be on its way out
            time.sleep(0.05)
            seen = look(ground)
        assert seen == untouched
        assert [path.name for path in tmp_path.iterdir()] == ["sentinel"]
    except BaseException:
        ground.replace()  # so that the attacks after this one are judged by themselves
        raise


def test_replies_by_hand_reach_the_oracle(ground: Ground) -> None:
    """The control of the hand-made replies: honest ones are taken, so the hostile ones were refused for what they are."""
    program = f"{RAW}\ndef add(*a): serve(reply(b'K\\x05'))"
    assert ground.run(program, "assert add(2, 3) == 5\nassert add(1, 4) == 5").verdict == "accepted"


# Guesses yes until a call more shows that it was right, and leaves what it has learnt where the next one finds it: in
# the numbers that processes and threads get in turn. The marks 512 and, before the answers, 1 tell it from chance.
LEARNER = """
import _thread, os, threading
def leave(message):
    lock, seen = _thread.allocate_lock(), []
    while not seen or (seen[-1] - 4 * message) % 4096:
        lock.acquire()
        _thread.start_new_thread(lambda: (seen.append(threading.get_native_id()), lock.release()), ())
        with lock: pass
found = os.getpid() % 4096 // 4
known = bin(found - 512)[3:] if 512 < found < 1024 else ""
calls = 0
def add(a, b):
    global calls, known
    calls += 1
    if calls <= len(known): return known[calls - 1] == "1"
    leave(512 + int("1" + known + "0", 2))
    known += "1"
    return True
"""
ANSWERS = "".join(f"assert add({n}, 0) is {answer}\n" for n, answer in enumerate((False, True, False, False)))


@pytest.mark.parametrize("fresh", [False, True])
def test_attempts_can_tell_the_next_ones_unless_each_is_alone(ground: Ground, fresh: bool) -> None:
    """The day it is not accepted in a sandbox that many share, the explanation has to change, too."""
    found: list[str] = []
    for _ in range(3 if fresh else 24):  # four would do where nothing else takes a number between two attempts
        if fresh or not found:
            ground.replace()
        found.append(ground.run(LEARNER, ANSWERS, cpu_s=5.0).verdict.value)
        if "accepted" in found:
            break
    assert ("accepted" in found) is not fresh, found


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_oracle_memory_is_bounded(ground: Ground, name: str) -> None:
    """A reply of a few bytes must not take gigabytes of a host that has no memory cgroup around the sandbox."""
    attack = next(attack for attack in ATTACKS if attack.name == f"bomb-{name}")
    tests = (
        f"# {name}: an oracle of its own, as the peak is its whole life's\n"
        "try:\n    x = add(2, 3)\nfinally:\n    import resource\n"
        "    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n    raise LookupError(peak)\n"
    )
    detail = ground.run(attack.program, tests).detail
    if detail.startswith("LookupError: "):
        assert int(detail.removeprefix("LookupError: ")) < 2048


@pytest.mark.docker
def test_memory_that_the_kernel_takes_back_is_called_memory() -> None:
    """By its stack a solution can have more than its limit on data; the container's limit stops it, and it alone."""
    require_sandbox("docker")
    kind = DockerKind(memory_bytes=64 << 20)
    attack = next(attack for attack in ATTACKS if attack.name == "memory-stack")
    ground = Ground(kind, ENTRY_POINTS)
    try:
        execution = ground.run(attack.program, attack.tests, cpu_s=10.0)
        assert (execution.verdict, execution.dirty) == ("memory", False), execution
        assert ground.run(HONEST, ADDS).verdict == "accepted"
    finally:
        ground.replace()
        kind.close()


def test_garbage_in_the_oracle_does_not_starve_the_next(ground: Ground) -> None:
    """Cyclic garbage stays in the oracle's process until its collector comes by; an honest attempt must not pay for it."""
    body = b"]\x94(" + b"]" * 6_000_000 + b"eh\x00a"
    program = f"{RAW}\ndef add(*a): serve(reply({body[:3]!r} + b']' * 6_000_000 + {body[-4:]!r}))"
    for _ in range(2):
        assert ground.run(program, ADDS).verdict != "accepted"
        assert ground.run(f"x = bytearray(700 << 20)\n{HONEST}", ADDS).verdict == "accepted"


def test_many_attacks_leave_the_sandbox_quick(ground: Ground) -> None:
    def usual_s() -> float:
        return statistics.median(ground.run(HONEST, ADDS).reading.wall_s for _ in range(5))

    before_s = usual_s()
    for _ in range(30):
        assert ground.run("import os\ndef add(a, b): os._exit(0)", ADDS, cpu_s=0.3).verdict == "crashed"
    assert usual_s() < 10 * before_s
