"""Counts of operations: attached from outside, inherited by forks, summed with their weights, missing where unknown."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import pytest
from conftest import skip_or_fail

from pytest_greencode.meters.operations import (
    INSTRUCTIONS,
    OperationCounter,
    Operations,
    forking_process,
    open_inherited,
)
from pytest_greencode.model import Limits, Task, Verdict
from pytest_greencode.sandboxes.choice import choose_sandbox

TASK_CLOCK = (1, 1)  # PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, ns
INTEL = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 207\n"
AMD = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n"


class FakeEvents:
    """Descriptors whose counts are given by (type, config); (count, enabled, running)."""

    def __init__(self, directory: Path, counts: dict[tuple[int, int], tuple[int, int, int]]) -> None:
        self.directory, self.counts = directory, counts
        self.opened: list[int] = []

    def __call__(self, type_: int, config: int, pid: int) -> int:
        if (type_, config) not in self.counts:
            raise PermissionError(13, "no")
        path = self.directory / f"{type_}-{config}"
        path.write_bytes(struct.pack("=QQQ", *self.counts[type_, config]))
        self.opened.append(os.open(path, os.O_RDONLY))
        return self.opened[-1]


def cpuinfo(directory: Path, text: str) -> Path:
    path = directory / "cpuinfo"
    path.write_text(text)
    return path


def counter(directory: Path, text: str, counts: dict[tuple[int, int], tuple[int, int, int]]) -> OperationCounter:
    return OperationCounter(1, cpuinfo=cpuinfo(directory, text), open_event=FakeEvents(directory, counts))


def test_intel_instructions_are_weighed_by_their_width(tmp_path: Path) -> None:
    events = {(4, umask << 8 | 0xC7): (10, 5, 5) for umask in (0x03, 0x04, 0x18, 0x60, 0x80)}
    found = counter(tmp_path, INTEL, {INSTRUCTIONS: (1000, 5, 5), **events}).since_last()
    assert found == Operations(1000, 10 * (1 + 2 + 4 + 8 + 16))


def test_amd_counts_operations(tmp_path: Path) -> None:
    found = counter(tmp_path, AMD, {INSTRUCTIONS: (7, 1, 1), (4, 0x0F03): (33, 1, 1)}).since_last()
    assert found == Operations(7, 33)


def test_a_count_that_had_to_take_turns_is_scaled(tmp_path: Path) -> None:
    found = counter(tmp_path, AMD, {INSTRUCTIONS: (100, 10, 5), (4, 0x0F03): (30, 9, 3)}).since_last()
    assert found == Operations(200, 90)


@pytest.mark.parametrize(
    "text", ["", "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\n", "Processor: ARMv8\n"]
)
def test_a_cpu_without_known_events_has_no_flops(tmp_path: Path, text: str) -> None:
    assert counter(tmp_path, text, {INSTRUCTIONS: (5, 1, 1)}).since_last() == Operations(5, None)


def test_part_of_a_sum_is_no_sum(tmp_path: Path) -> None:
    events = FakeEvents(tmp_path, {INSTRUCTIONS: (5, 1, 1), (4, 0x03C7): (9, 1, 1)})
    counted = OperationCounter(1, cpuinfo=cpuinfo(tmp_path, INTEL), open_event=events)
    assert counted.since_last().flops is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(events.opened[-1])  # what was opened in vain is closed


def test_what_never_counted_is_missing_and_what_had_no_chance_yet_is_nothing(tmp_path: Path) -> None:
    assert counter(tmp_path, AMD, {INSTRUCTIONS: (0, 9, 0), (4, 0x0F03): (0, 0, 0)}).since_last() == Operations(None, 0)


def test_without_a_process_everything_is_missing() -> None:
    assert OperationCounter(None).since_last() == Operations(None, None)


def test_unknown_stays_unknown_in_sums() -> None:
    assert Operations(7, None).plus(Operations(5, 3)) == Operations(12, None)


def test_one_programs_count_does_not_leak_into_anothers(tmp_path: Path) -> None:
    """A counter that had to take turns is scaled by its turns since the last look, not by all since it was attached."""
    counted = counter(tmp_path, AMD, {INSTRUCTIONS: (1, 1, 1), (4, 0x0F03): (500, 100, 50)})
    assert counted.since_last().flops == 1000
    (tmp_path / "4-3843").write_bytes(struct.pack("=QQQ", 500, 200, 125))
    os.lseek(counted._files[-1], 0, os.SEEK_SET)
    assert counted._flops[0].since_last() == 0


def test_forks_of_a_process_are_counted_from_outside(tmp_path: Path) -> None:
    """With a software event, CPU time, as counters of hardware are rare where tests run."""
    ready_out, ready_in = os.pipe()
    go_out, go_in = os.pipe()
    parent = os.fork()
    if parent == 0:
        try:
            os.write(ready_in, b"r")
            os.read(go_out, 1)
            child = os.fork()
            if child == 0:
                end = time.process_time() + 0.05
                while time.process_time() < end:
                    pass
                os._exit(0)
            os.waitpid(child, 0)
            os.write(ready_in, b"d")
            os.read(go_out, 1)
        finally:
            os._exit(0)
    os.read(ready_out, 1)
    try:
        try:
            file = open_inherited(*TASK_CLOCK, parent)
        except OSError as error:
            pytest.skip(f"no perf events for this user: {error}")
        os.write(go_in, b"g")
        os.read(ready_out, 1)
        count_ns, _, _ = struct.unpack("=QQQ", os.read(file, 24))
        os.close(file)
        assert count_ns >= 0.05e9
    finally:
        os.write(go_in, b"g")
        os.waitpid(parent, 0)
        for descriptor in (ready_out, ready_in, go_out, go_in):
            os.close(descriptor)


@pytest.mark.parametrize(
    ("numbers", "children", "found"),
    [("77 1", "80 81", 80), ("77", "80", None), ("77 5", "80", None), ("77 1", "", None)],
)
def test_the_zygote_is_the_first_child_of_process_1_inside(
    tmp_path: Path, numbers: str, children: str, found: int | None
) -> None:
    (tmp_path / "77/task/77").mkdir(parents=True)
    (tmp_path / "77/status").write_text(f"Name:\tpython\nNSpid:\t{numbers}\n")
    (tmp_path / "77/task/77/children").write_text(children)
    assert forking_process(77, tmp_path) == found
    assert forking_process(77, tmp_path, of_repositories=True) == (81 if found == 80 else None)
    assert forking_process(78, tmp_path) is None


def test_solutions_are_counted_in_a_sandbox(sandbox: str) -> None:
    kind = choose_sandbox(sandbox, memory_bytes=1 << 28, cores=(), image=None, notify=print)
    worker = kind.start()
    try:
        init_pid = worker.host_pid()
        assert init_pid is not None
        zygote = forking_process(init_pid)
        assert zygote is not None
        try:
            file = open_inherited(*TASK_CLOCK, zygote)
        except OSError as error:
            skip_or_fail("perf events", str(error))
        task = Task(
            suite="s",
            task_id="t",
            prompt="",
            prelude="",
            tests="assert f() == 3000000",
            call="",
            entry_points=("f",),
            canonical_solution="",
        )
        program = "def f():\n    n = 0\n    while n < 3000000: n += 1\n    return n\n"
        execution = worker.run("key", task, program, Limits(), 5.0)
        count_ns, _, _ = struct.unpack("=QQQ", os.read(file, 24))
        os.close(file)
    finally:
        worker.close()
        kind.close()
    assert execution.verdict is Verdict.ACCEPTED
    # The fork's own start, which is not the solution's, is counted too.
    assert 0.95 < count_ns * 1e-9 / execution.reading.cpu_s < 1.5
