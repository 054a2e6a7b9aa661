# ruff: noqa: E501
"""The filters of system calls, run by hand for both architectures: what a kernel would say to each number."""

from __future__ import annotations

import json
import platform
import struct
from collections.abc import Callable
from typing import Any

import pytest

from pytest_greencode.sandboxes.inside import lockdown
from pytest_greencode.sandboxes.seccomp import container_profile

ALLOW, KILL, REFUSE, ABSENT = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386, ARM = 0x40000003, 0x40000028
# From the kernel's tables (syscall_64.tbl; include/uapi/asm-generic/unistd.h), not from the module.
NUMBERS = {
    "x86_64": {"read": 0, "write": 1, "openat": 257, "socket": 41, "ptrace": 101, "execve": 59, "mmap": 9, "clone": 56,
               "clone3": 435, "kill": 62, "prlimit64": 302, "fcntl": 72, "ioctl": 16, "memfd_create": 319, "exit_group": 231,
               "io_uring_setup": 425, "mq_open": 240, "setns": 308, "futex": 202, "fork": 57, "tgkill": 234},
    "aarch64": {"read": 63, "write": 64, "openat": 56, "socket": 198, "ptrace": 117, "execve": 221, "mmap": 222, "clone": 220,
                "clone3": 435, "kill": 129, "prlimit64": 261, "fcntl": 25, "ioctl": 29, "memfd_create": 279, "exit_group": 94,
                "io_uring_setup": 425, "mq_open": 180, "setns": 268, "futex": 98, "tgkill": 131},
}  # fmt: skip
EVERYBODY = {"socket", "ptrace", "execve", "memfd_create", "io_uring_setup", "mq_open", "setns"}
SOLUTION = {"kill", "tgkill", "fork"}
THREAD = 0x3D0F00  # what glibc's pthread_create asks for


def verdict(code: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What a filter returns: classic BPF as the kernel runs it on `struct seccomp_data`."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("HBBI", code))
    accumulator = at = 0
    while True:
        operation, when_true, when_false, value = program[at]
        at += 1
        if operation == 0x06:
            return int(value)
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        else:
            compare: dict[int, Callable[[int, int], Any]] = {
                0x15: lambda a, b: a == b,
                0x35: lambda a, b: a >= b,
                0x45: lambda a, b: a & b,
            }
            at += when_true if compare[operation](accumulator, value) else when_false


@pytest.fixture(params=ARCHITECTURES)
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    return str(request.param)


def code_of(made: lockdown.Filter) -> bytes:
    return made._code.raw


def test_each_number_is_answered_as_it_should(machine: str) -> None:
    wide, zygote = code_of(lockdown.sandbox_filter()), code_of(lockdown.zygote_filter())
    for name, number in NUMBERS[machine].items():
        if name in ("clone", "clone3", "prlimit64", "fcntl", "ioctl", "mmap"):
            continue
        assert verdict(wide, ARCHITECTURES[machine], number) == (REFUSE if name in EVERYBODY else ALLOW), name
        assert verdict(zygote, ARCHITECTURES[machine], number) == (REFUSE if name in SOLUTION else ALLOW), name
    for filters in (wide, zygote):
        assert len(filters) % 8 == 0
        assert verdict(filters, ARCHITECTURES[machine], NUMBERS[machine]["clone3"]) == ABSENT


def test_arguments_decide(machine: str) -> None:
    numbers, architecture = NUMBERS[machine], ARCHITECTURES[machine]
    wide, zygote = code_of(lockdown.sandbox_filter()), code_of(lockdown.zygote_filter())
    narrow = code_of(lockdown.solution_filter())
    for flags in (0x10000000, 0x20000, 0x40000000, 0x02000000, 0x80):  # user, mount, net, cgroup, time
        assert verdict(wide, architecture, numbers["clone"], flags | 17) == REFUSE
    assert (
        verdict(wide, architecture, numbers["clone"], 17)
        == verdict(wide, architecture, numbers["clone"], THREAD)
        == ALLOW
    )
    assert verdict(narrow, architecture, numbers["clone"], THREAD) == ALLOW
    for flags in (17, 0x8000 | 17, 0x4100 | 17, 1 << 40 | 17):
        assert verdict(narrow, architecture, numbers["clone"], flags) == REFUSE
    assert verdict(zygote, architecture, numbers["prlimit64"], 0, 3) == ALLOW
    assert verdict(zygote, architecture, numbers["prlimit64"], 1, 3) == REFUSE
    for command, expected in ((8, REFUSE), (10, REFUSE), (15, REFUSE), (3, ALLOW), (1031, ALLOW)):
        assert verdict(zygote, architecture, numbers["fcntl"], 3, command) == expected
    for flags, expected in ((0x22, ALLOW), (0x21, REFUSE), (0x122, REFUSE), (0x02, ALLOW)):
        assert verdict(zygote, architecture, numbers["mmap"], 0, 4096, 3, flags) == expected


def test_other_architectures_are_killed_and_x32_is_absent(machine: str) -> None:
    for made in (lockdown.sandbox_filter(), lockdown.zygote_filter()):
        for architecture in {I386, ARM, *ARCHITECTURES.values()} - {ARCHITECTURES[machine]}:
            assert verdict(code_of(made), architecture, NUMBERS[machine]["read"]) == KILL
        if machine == "x86_64":
            assert verdict(code_of(made), ARCHITECTURES[machine], 0x40000000 | 39) == ABSENT


def test_what_the_worker_refuses_the_container_refuses_too() -> None:
    profile = json.loads(container_profile())
    allowed, clone, clone3 = profile["syscalls"]
    assert profile["defaultAction"] == clone3["action"] == "SCMP_ACT_ERRNO"
    assert clone["args"][0] == {"index": 0, "value": 0x7E020080, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    assert len(allowed["names"]) == len(set(allowed["names"]))
    # Before the worker's own filter an image's interpreter has to be started.
    assert set(allowed["names"]) & set(lockdown.FORBIDDEN) == {"execve"}
    assert not set(allowed["names"]) & set(lockdown.FORBIDDEN_X86_64_ONLY)
