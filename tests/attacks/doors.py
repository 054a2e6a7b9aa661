# ruff: noqa: E501
"""Looking for the tests, for others' secrets, and for ways out of the sandbox."""

from __future__ import annotations

from attacks.corpus import NO_DOOR, Corpus

CORPUS = Corpus("doors")
forger, wrecker, burglar = CORPUS.forger, CORPUS.wrecker, CORPUS.burglar

SECRET = "x1, x2, x3 = 71093, 80241, 151334\nassert add(x1, x2) == x3"
forger(
    "reads-frames",
    """import re, sys, types
NAME = "".join(["x", "3"])
def look(value):
    if isinstance(value, types.CodeType) and NAME in value.co_names: return max(c for c in value.co_consts if type(c) is int)
    if isinstance(value, dict) and NAME in value: return value[NAME]
    if isinstance(value, bytes): value = value.decode("latin1")
    if isinstance(value, str) and NAME + " = " in value: return int(re.findall(r"[0-9]+", value)[-1])
def add(a, b):
    frame = sys._getframe()
    while frame:
        for space in (frame.f_locals, frame.f_globals):
            for value in (space, *space.values()):
                if (found := look(value)) is not None: return found
        frame = frame.f_back
""",
    SECRET,
)
forger(
    "reads-gc",
    """import gc, types
def add(a, b):
    for thing in gc.get_objects():
        if isinstance(thing, dict) and "x3" in thing and "x1" in thing: return thing["x3"]
        if isinstance(thing, types.CodeType) and "x3" in thing.co_names: return 151333 + 1
""",
    SECRET,
)
SCAN = """import ctypes
def scan(codes):
    needle = bytearray(code + 1 for code in codes)
    own = ctypes.addressof(ctypes.c_char.from_buffer(needle))
    for line in open("/proc/self/maps"):
        area, mode = line.split()[:2]
        low, high = (int(x, 16) for x in area.split("-"))
        if "rw" not in mode or "[v" in line or high - low > 1 << 28: continue
        data, at = ctypes.string_at(low, high - low), -1
        while (at := data.find(needle, at + 1)) >= 0:
            if low + at != own: return True
    return False
"""
forger(
    "scans-memory",
    SCAN
    + """
def add(a, b): return 151333 + 1 if scan([119, 50, 31, 60, 31, 54, 48, 47, 56, 50]) else 0
""",
    SECRET,
)
# An earlier attempt's message must not be found in a later one's memory (tests put expected values into messages).
wrecker("leaves-message", "def add(a, b): raise ValueError(''.join(map(chr, [83, 69, 75, 82, 73, 84, 55, 49])) * 6)",
        verdicts=frozenset({"rejected"}),
        then=SCAN + "def add(a, b): return 0 if scan([82, 68, 74, 81, 72, 83, 54, 48] * 2) else a + b\n")  # fmt: skip
wrecker("leaves-print", "print(''.join(map(chr, [83, 69, 75, 82, 73, 84, 55, 50])) * 6)\ndef add(a, b): return a + b",
        then=SCAN + "def add(a, b): return 0 if scan([82, 68, 74, 81, 72, 83, 54, 49] * 2) else a + b\n")  # fmt: skip
burglar(
    "reads-proc",
    """import os
def add(a, b):
    doors = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid(): continue
        for name in ("mem", "environ", "maps", "auxv", "io", "syscall", "stack", "pagemap", "smaps", "personality"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    if file.read(8): doors.append(f"{pid}/{name}")
            except OSError: pass
        for name in ("fd", "task/" + pid + "/fd", "map_files"):
            for entry in range(64):  # as root, bubblewrap lets the numbers be listed; what is behind them stays shut
                try: doors.append(os.readlink(f"/proc/{pid}/{name}/{entry}"))
                except OSError: pass
                try: os.close(os.open(f"/proc/{pid}/{name}/{entry}", os.O_WRONLY | os.O_NONBLOCK)); doors.append("open")
                except OSError: pass
        for name in ("root", "cwd", "exe"):
            try: doors.append(os.readlink(f"/proc/{pid}/{name}"))
            except OSError: pass
    return doors
""",
)
burglar(
    "reads-host",
    """import os
def add(a, b):
    doors = [name for name in os.environ if "GREENCODE" in name or "KEY" in name or "TOKEN" in name]
    for path in (os.path.join("/root", ".ssh"), "/etc/ssh", "/etc/shadow", "/mnt", "/var/run/docker.sock", "/run/docker.sock", "/var/lib",
                 "/proc/kcore", "/proc/kallsyms_", "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/kvm", "/dev/fuse",
                 "/dev/net/tun", "/proc/1/root"):
        try:
            os.close(os.open(path, os.O_RDONLY)); doors.append(path)
        except OSError: pass
    return doors
""",
)
burglar(
    "writes-everywhere",
    """import os
def add(a, b):
    doors = []
    places = ["/", "/tmp", "/var/tmp", "/run", "/run/lock", "/dev", "/dev/shm", "/dev/mqueue", "/dev/pts", "/etc", "/opt",
              "/proc", "/sys", "/sys/fs/cgroup", "/sys/fs/cgroup/cpuacct", "/home", "/root", "/usr", "/w/..",
              os.path.dirname(os.__file__), "/opt/greencode/packages"]
    for place in places:
        for action in (lambda p: os.close(os.open(p, os.O_CREAT | os.O_WRONLY)), os.mkdir, lambda p: os.symlink("/", p),
                       os.mkfifo, lambda p: os.mknod(p, 0o20666, os.makedev(1, 1)), lambda p: os.link("/proc/self/exe", p)):
            try: action(place + "/greencode-attack"); doors.append(place)
            except OSError: pass
    for path in ("/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/self/oom_score_adj", "/dev/zero",
                 "/proc/1/oom_score_adj", "/proc/1/comm", "/proc/sysrq-trigger", "/etc/passwd", os.__file__,
                 "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/proc/self/uid_map", "/proc/self/clear_refs"):
        try: os.close(os.open(path, os.O_WRONLY)); doors.append(path)
        except OSError: pass
    for action in (lambda: os.rename("/w", "/v"), lambda: os.rmdir("/w"), lambda: os.chroot("/w"),
                   lambda: os.rename(os.__file__, "/w/os.py"), lambda: os.unlink(os.__file__),
                   lambda: os.chmod(os.__file__, 0o777), lambda: os.mknod("/w/null", 0o20666, os.makedev(1, 3))):
        try: action(); doors.append("action")
        except OSError: pass
    return doors
""",
)
burglar(
    "network",
    """import socket
def add(a, b):
    doors = []
    for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG", "AF_BLUETOOTH"):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try: socket.socket(getattr(socket, family, 1), kind).close(); doors.append(family)
            except OSError: pass
    for action in (lambda: socket.getaddrinfo("example.org", 80), lambda: socket.create_connection(("1.1.1.1", 53), 1)):
        try: action(); doors.append("net")
        except OSError: pass
    return doors
""",
)
PROCESSES = """import os, signal
PIDS = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
doors = []
def door(name, action, *arguments):
    try: action(*arguments); doors.append(name)
    except (OSError, ValueError): pass
"""
burglar(
    "signals",
    PROCESSES
    + """import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def add(a, b):
    for pid in (*PIDS, -1, 0):
        for number in (0, signal.SIGSTOP, signal.SIGINT, signal.SIGKILL):
            door(f"kill {pid}", os.kill, pid, number)
            for call in (200, 129, 234, 297, 424):  # tkill, rt_sigqueueinfo, tgkill, rt_tgsigqueueinfo, pidfd_send_signal
                if libc.syscall(call, pid, pid if call in (234, 297) else number, number, 0) == 0: doors.append((call, pid))
        door(f"killpg {pid}", os.killpg, abs(pid), signal.SIGKILL)
    return doors
""",
)
# Descriptors can be made to send any signal; a filter on kill() alone does not see it.
burglar(
    "signals-by-descriptor",
    PROCESSES
    + """import fcntl, socket
F_SETSIG = 10
def add(a, b):
    for pid in PIDS:
        for ends in (os.pipe, socket.socketpair):
            try:
                reader, writer = ends()
                descriptor = reader if isinstance(reader, int) else reader.fileno()
                fcntl.fcntl(descriptor, F_SETSIG, signal.SIGKILL)
                fcntl.fcntl(descriptor, fcntl.F_SETOWN, pid)
                fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
                os.write(writer if isinstance(writer, int) else writer.fileno(), b"x")
            except OSError: pass
    return doors
""",
)
burglar(
    "others-limits",
    PROCESSES
    + """import resource
def add(a, b):
    for pid in PIDS:
        door("prlimit", resource.prlimit, pid, resource.RLIMIT_CPU, (1, 1))
        door("affinity", os.sched_setaffinity, pid, [0])
        door("priority", os.setpriority, os.PRIO_PROCESS, pid, 19)
        door("scheduler", os.sched_setscheduler, pid, os.SCHED_BATCH, os.sched_param(0))
        door("group", os.setpgid, pid, pid)
    for name in (resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
        hard = resource.getrlimit(name)[1]
        if hard != resource.RLIM_INFINITY:
            door("raise", resource.setrlimit, name, (hard, resource.RLIM_INFINITY))
            door("raise", resource.setrlimit, name, (hard, hard + 1))
    return doors
""",
)
burglar(
    "becomes-another",
    PROCESSES
    + """
def add(a, b):
    for user in (0, 1, 65533, 1000):
        if user != os.getuid():
            for action in (os.setuid, os.seteuid, os.setgid, os.setegid): door(f"{action.__name__} {user}", action, user)
    door("groups", os.setgroups, [1])
    return doors
""",
)
burglar(
    "ptrace",
    PROCESSES
    + """import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def add(a, b):
    buffer = ctypes.create_string_buffer(64)
    class Vector(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
    mine = Vector(ctypes.addressof(buffer), 64)
    for pid in PIDS:
        for request in (16, 0x4206):  # ATTACH, SEIZE
            if libc.ptrace(request, pid, None, None) == 0: doors.append(("ptrace", pid))
        theirs = Vector(id(doors), 64)
        for name in ("process_vm_readv", "process_vm_writev"):
            if getattr(libc, name)(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) > 0: doors.append((name, pid))
    return doors
""",
)
# System calls by their numbers on x86-64.
burglar(
    "system-calls",
    """import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "execve": (59, b"/proc/self/exe", 0, 0), "execveat": (322, -100, b"/proc/self/exe", 0, 0, 0),
    "mount": (165, b"none", b"/w", b"tmpfs", 0, 0), "umount": (166, b"/w", 2), "pivot_root": (155, b"/w", b"/w"),
    "chroot": (161, b"/w"), "unshare-user": (272, 0x10000000), "unshare-mount": (272, 0x20000),
    "unshare-files": (272, 0x400), "setns": (308, 0, 0), "fsopen": (430, b"tmpfs", 0), "open_tree": (428, -100, b"/", 1),
    "keyctl": (250, 0, -3, 1), "add_key": (248, b"user", b"k", b"v", 1, -3), "bpf": (321, 0, 0, 0),
    "perf": (298, b"\\0" * 128, 0, -1, -1, 0), "userfaultfd": (323, 1), "io_uring": (425, 1, b"\\0" * 120),
    "memfd": (319, b"m", 0), "memfd_secret": (447, 0), "shmget": (29, 0, 4096, 0o1600), "semget": (64, 0, 1, 0o1600),
    "msgget": (68, 0, 0o1600), "mq_open": (240, b"greencode", 0o102, 0o600, 0), "pidfd_open": (434, 1, 0),
    "personality": (135, 0x40000), "syslog": (103, 3, 0, 0), "reboot": (169, 0xFEE1DEAD, 672274793, 0, 0),
    "sethostname": (170, b"x", 1), "settimeofday": (164, b"\\0" * 16, 0), "clock_settime": (227, 0, b"\\0" * 16),
    "swapon": (167, b"/w/x", 0), "acct": (163, 0), "quotactl": (179, 0, 0, 0, 0), "iopl": (172, 3), "ioperm": (173, 0, 1, 1),
    "modify_ldt": (154, 1, b"\\0" * 16, 16), "init_module": (175, b"", 0, b""), "kexec": (246, 0, 0, 0, 0),
    "open_by_handle_at": (304, -100, b"\\0" * 16, 0), "fanotify": (300, 0, 0), "kcmp": (312, 1, 1, 0, 0, 0),
    "fork": (57,), "vfork-as-fork": (56, 17, 0, 0, 0, 0), "clone3": (435, b"\\0" * 88, 88),
    "prlimit-init": (302, 1, 0, b"\\xff" * 16, 0), "capset": (126, b"\\x22\\x05\\x08\\x20" + b"\\0" * 4, b"\\xff" * 24),
}
def add(a, b):
    doors = []
    if platform.machine() != "x86_64": return doors
    assert libc.syscall(39) > 0
    for name, (number, *arguments) in CALLS.items():
        made = [ctypes.c_char_p(x) if isinstance(x, bytes) else ctypes.c_long(x) for x in arguments]
        result = libc.syscall(number, *made)
        if result == 0 and name in ("fork", "vfork-as-fork", "clone3"): libc._exit(0)
        if result >= 0: doors.append(name)
    return doors
""",
)
wrecker(
    "x32-system-call",  # refused, or killed for
    """import ctypes, platform
def add(a, b):
    if platform.machine() != "x86_64": return ""
    return "x32" if ctypes.CDLL(None).syscall(0x40000000 + 39) > 0 else ""
""",
    tests=NO_DOOR,
    verdicts=frozenset({"accepted", "crashed"}),
)
burglar(
    "new-processes",
    """import os, ctypes, subprocess, multiprocessing, pty
def add(a, b):
    doors = []
    def child(action):
        try: pid = action()
        except (OSError, RuntimeError, ValueError): return
        if pid == 0: os._exit(0)
        if isinstance(pid, int) and pid < 0: return
        doors.append(str(action))
    child(os.fork); child(os.forkpty); child(lambda: ctypes.CDLL(None).fork())
    child(lambda: os.posix_spawn("/proc/self/exe", ["x", "-c", ""], {}))
    child(lambda: os.system("true") and -1)
    child(lambda: subprocess.Popen(["/proc/self/exe", "-c", ""]) and 1)
    child(lambda: subprocess.Popen(["/proc/self/exe", "-c", ""], close_fds=False, preexec_fn=None) and 1)
    def process():
        worker = multiprocessing.get_context("fork").Process(target=print); worker.start(); return 1
    child(process)
    return doors
""",
)
