"""The system calls that a container may make: the engine's filter, around those that the worker sets for itself.

An engine's own profile is made for everything that people run in containers, and allows ptrace, io_uring, System V
memory and sockets. This one is a list of what Python and the worker use; all else is refused with EPERM. `clone` may
make no namespaces, and `clone3`, whose flags no filter can read, does not exist, so that the C library uses `clone`.
"""

from __future__ import annotations

import json

CLONE_NEW_NAMESPACES = 0x7E020080
EPERM, ENOSYS = 1, 38

_ALLOWED = """
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3
    open openat openat2 creat access faccessat faccessat2 stat lstat fstat newfstatat statx statfs fstatfs
    getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat
    symlink symlinkat readlink readlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask
    mknod mknodat truncate ftruncate fallocate fadvise64 readahead fsync fdatasync sync_file_range
    copy_file_range sendfile splice tee flock fcntl ioctl utime utimes utimensat futimesat
    setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
    removexattr lremovexattr fremovexattr inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
    mmap mprotect munmap mremap msync mincore madvise brk mlock mlock2 munlock mlockall munlockall membarrier
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack restart_syscall
    kill tkill tgkill pause alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun
    timer_delete timerfd_create timerfd_settime timerfd_gettime signalfd signalfd4 eventfd eventfd2
    select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait
    epoll_pwait2 pipe pipe2 socketpair sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown getsockopt setsockopt
    getsockname getpeername fork vfork execve exit exit_group wait4 waitid set_tid_address
    futex futex_waitv futex_wait futex_wake set_robust_list get_robust_list rseq gettid getpid getppid getpgid getpgrp
    getsid setsid setpgid uname sysinfo times getrusage getrlimit setrlimit prlimit64 getpriority setpriority
    ioprio_get sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler
    sched_setscheduler sched_getattr sched_setattr sched_get_priority_max sched_get_priority_min sched_rr_get_interval
    getcpu nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time getrandom
    getuid geteuid getgid getegid getgroups getresuid getresgid setuid setgid setreuid setregid setresuid setresgid
    setgroups setfsuid setfsgid capget capset prctl arch_prctl set_thread_area get_thread_area seccomp
    landlock_create_ruleset landlock_add_rule landlock_restrict_self
""".split()  # noqa: SIM905 - a list of 230 strings would be a page long


def container_profile() -> str:
    """The profile as the JSON text that engines take (`--security-opt seccomp=` of its text, not of a path)."""
    refused = {"index": 0, "value": CLONE_NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [
            {"names": _ALLOWED, "action": "SCMP_ACT_ALLOW"},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [refused]},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    }
    return json.dumps(profile)
