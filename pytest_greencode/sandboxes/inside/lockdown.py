"""Kernel restrictions, through ctypes alone: Landlock, seccomp, prctl. Linux on x86-64 and AArch64.

The wide filter is installed once, by the zygote, and every fork inherits it at no cost. The solution adds a narrow one:
its price grows with its length (the kernel runs it once for each system call number), so it is kept to a dozen entries.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_syscall = _libc.syscall

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

EPERM, ENOSYS = 1, 38
CLONE_THREAD = 0x00010000
CLONE_NEW_NAMESPACES = 0x7E020080

# Numbers of the system calls that nobody in the sandbox needs after the start: {name: (x86-64, AArch64)}.
# Source: the kernel's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
FORBIDDEN = {
    "socket": (41, 198), "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "kcmp": (312, 272),
    "shmget": (29, 194), "shmctl": (31, 195), "shmat": (30, 196), "shmdt": (67, 197),
    "semget": (64, 190), "semctl": (66, 191), "semtimedop": (220, 192), "semop": (65, 193),
    "msgget": (68, 186), "msgctl": (71, 187), "msgrcv": (70, 188), "msgsnd": (69, 189),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "mq_timedsend": (242, 182), "mq_timedreceive": (243, 183),
    "mq_notify": (244, 184), "mq_getsetattr": (245, 185),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268),
    "pidfd_send_signal": (424, 424), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "init_module": (175, 105), "delete_module": (176, 106), "finit_module": (313, 273),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "syslog": (103, 116), "personality": (135, 92),
    "quotactl": (179, 60), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142),
    "sethostname": (170, 161), "setdomainname": (171, 162), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "set_mempolicy": (238, 237), "mbind": (237, 235),
    "vmsplice": (278, 75), "fanotify_init": (300, 262), "sync": (162, 81), "syncfs": (306, 267),
}  # fmt: skip
FORBIDDEN_X86_64_ONLY = {"iopl": 172, "ioperm": 173, "uselib": 134, "modify_ldt": 154, "create_module": 174}

# What a solution may not do besides: new processes, signals, other processes' limits and scheduling.
FORBIDDEN_TO_SOLUTION = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274),
}  # fmt: skip
# A process's own limits may be read, and lowered.
PRLIMIT = (302, 261)
FORK_AND_VFORK = {"fork": 57, "vfork": 58}
# More for a solution, by argument: (numbers, which argument, its values). Signals by descriptor reach where kill does
# not (F_SETOWN, F_SETSIG, F_SETOWN_EX; FIOSETOWN, SIOCSPGRP).
FORBIDDEN_VALUES = (((72, 25), 1, (8, 10, 15)), ((16, 29), 1, (0x8901, 0x8902)))
# And memory that its limits do not count: shared mappings, and those that grow downwards (flags of mmap).
MMAP, MMAP_FLAGS, MAP_SHARED_OR_GROWSDOWN = (9, 222), 3, 0x0101
CLONE = (56, 220)
CLONE3 = (435, 435)

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7), "arm64": (1, 0xC00000B7)}

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_ERRNO = 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16


def _instruction(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, when_true, when_false, value)


_REFUSE = _instruction(_RETURN, _ERRNO | EPERM)


def _refuse_masks(masks: list[tuple[int, bool]]) -> list[bytes]:
    """EPERM when bits of a mask are set (or, for False, when none is) in the accumulator."""
    return [
        _instruction(_JUMP_SET, mask, *((0, 1) if refused_when_set else (1, 0))) + _REFUSE
        for mask, refused_when_set in masks
    ]


def _on_argument(argument: int, checks: list[bytes]) -> bytes:
    """Run `checks` (pairs of a jump and a return) over the low half of an argument; allow what passes them."""
    return _instruction(_LOAD, _ARGUMENTS + 8 * argument) + b"".join(checks) + _instruction(_RETURN, _ALLOW)


def _search(actions: list[tuple[int, bytes]]) -> bytes:
    """Jump to the action of the system call in the accumulator, by halves; allow what has none.

    The kernel runs a filter once for every number when it is installed, so the length of the path is its price.
    """
    if len(actions) == 1:
        number, action = actions[0]
        return _instruction(_JUMP_EQUAL, number, 0, len(action) // 8) + action + _instruction(_RETURN, _ALLOW)
    middle = len(actions) // 2
    low, high = _search(actions[:middle]), _search(actions[middle:])
    return _instruction(_JUMP_GREATER_EQUAL, actions[middle][0], len(low) // 8, 0) + low + high


def _program(actions: dict[int, bytes]) -> bytes:
    """A filter that does `actions` for these system calls and allows the others."""
    column, architecture = _MACHINES[platform.machine()]
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    if column == 0:  # the x32 table shares the architecture and is told by a bit of the number
        program += [_instruction(_JUMP_GREATER_EQUAL, 0x40000000, 0, 1), _instruction(_RETURN, _ERRNO | ENOSYS)]
    # glibc falls back to clone, whose flags a filter can read, when clone3 is not there.
    actions = {**actions, CLONE3[column]: _instruction(_RETURN, _ERRNO | ENOSYS)}
    return b"".join(program) + _search(sorted(actions.items()))


class Filter:
    """A seccomp filter, built before the fork so that installing it is one system call."""

    def __init__(self, code: bytes) -> None:
        self._code = ctypes.create_string_buffer(code, len(code))
        header = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(self._code))
        self._program = ctypes.create_string_buffer(header, len(header))

    def install(self) -> None:
        if _prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, self._program, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp filter refused")


def sandbox_filter() -> Filter:
    """For every process of the sandbox, installed once."""
    column, _ = _MACHINES[platform.machine()]
    actions = {pair[column]: _REFUSE for pair in FORBIDDEN.values()}
    if column == 0:
        actions |= dict.fromkeys(FORBIDDEN_X86_64_ONLY.values(), _REFUSE)
    actions[CLONE[column]] = _on_argument(0, _refuse_masks([(CLONE_NEW_NAMESPACES, True)]))
    return Filter(_program(actions))


def zygote_filter() -> Filter:
    """What neither the zygote nor a solution needs: signals, other processes' limits, memory that no limit counts."""
    column, _ = _MACHINES[platform.machine()]
    actions = {pair[column]: _REFUSE for pair in FORBIDDEN_TO_SOLUTION.values()}
    if column == 0:
        actions |= dict.fromkeys(FORK_AND_VFORK.values(), _REFUSE)
    for pair, argument, values in FORBIDDEN_VALUES:
        checks = [_instruction(_JUMP_EQUAL, value, 0, 1) + _REFUSE for value in values]
        actions[pair[column]] = _on_argument(argument, checks)
    actions[PRLIMIT[column]] = _on_argument(0, [_instruction(_JUMP_EQUAL, 0, 1, 0) + _REFUSE])
    actions[MMAP[column]] = _on_argument(MMAP_FLAGS, _refuse_masks([(MAP_SHARED_OR_GROWSDOWN, True)]))
    return Filter(_program(actions))


def solution_filter() -> Filter:
    """For a solution, besides the zygote's that it inherits: threads yes, processes no.

    No look at the architecture, no word about clone3: the filters before it have seen to that.
    """
    column, _ = _MACHINES[platform.machine()]
    clone = _on_argument(0, _refuse_masks([(CLONE_THREAD, False)]))
    return Filter(_instruction(_LOAD, _NUMBER) + _search([(CLONE[column], clone)]))


def no_new_privileges() -> None:
    if _prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs refused")


def not_dumpable() -> None:
    """Close /proc/<pid>/{mem,environ,maps,fd} and ptrace to processes of the same user."""
    _prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


_CAPABILITY_HEADER = struct.Struct("Ii")
_CAPABILITIES = struct.Struct("6I")  # effective, permitted, inheritable: low halves, then high ones
_CAPABILITY_VERSION = 0x20080522


def hand_down_no_capabilities() -> None:
    """Empty the inheritable set, which survives a change of user; it empties the ambient one as well."""
    header = _CAPABILITY_HEADER.pack(_CAPABILITY_VERSION, 0)
    found = ctypes.create_string_buffer(_CAPABILITIES.size)
    if _libc.capget(header, found) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be read")
    low_effective, low_permitted, _, high_effective, high_permitted, _ = _CAPABILITIES.unpack(found.raw)
    kept = _CAPABILITIES.pack(low_effective, low_permitted, 0, high_effective, high_permitted, 0)
    if _libc.capset(header, kept) != 0:
        raise OSError(ctypes.get_errno(), "capabilities cannot be given up")


_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_LANDLOCK_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE = 1 << 1
# WRITE_FILE, REMOVE_*, MAKE_*: by ABI 1; REFER (2); TRUNCATE (3). Source: include/uapi/linux/landlock.h.
_WRITES = (_WRITE_FILE | 0x1FF0, _WRITE_FILE | 0x3FF0, _WRITE_FILE | 0x7FF0)


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where it has none."""
    return max(0, int(_syscall(_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)))


def allow_writes_only_in(directory: str) -> bool:
    """Refuse every change of files outside `directory` (and writes to /dev/null); False where there is no Landlock."""
    abi = landlock_abi()
    if not abi:
        return False
    handled = _WRITES[min(abi, 3) - 1]
    ruleset = _syscall(_CREATE_RULESET, struct.pack("Q", handled), 8, 0)
    if ruleset < 0:
        return False
    try:
        for path, access in ((directory, handled), ("/dev/null", _WRITE_FILE)):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                if _syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0) != 0:
                    raise OSError(ctypes.get_errno(), f"Landlock rule for {path} refused")
            finally:
                os.close(descriptor)
        if _syscall(_RESTRICT_SELF, ruleset, 0) != 0:
            raise OSError(ctypes.get_errno(), "Landlock refused")
    finally:
        os.close(ruleset)
    return True
