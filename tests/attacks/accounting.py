# ruff: noqa: E501
"""Work that should not be seen: CPU time and memory that a solution hides from whoever counts them."""

from __future__ import annotations

from attacks.corpus import ANY, NOT_ACCEPTED, Corpus

CORPUS = Corpus("accounting")
forger, wrecker, burglar = CORPUS.forger, CORPUS.wrecker, CORPUS.burglar

BURN = "def burn():\n    import time\n    end = time.process_time() + 0.3\n    while time.process_time() < end: pass\n"
HIDDEN = {
    "at-import": f"{BURN}burn()\ndef add(a, b): return a + b\n",
    "in-threads": f"{BURN}import threading\ndef add(a, b):\n    each = [threading.Thread(target=burn) for _ in range(3)]\n"
    "    [t.start() for t in each]; [t.join() for t in each]\n    return a + b\n",
    "in-detached-thread": f"{BURN}import _thread, time\ndone = _thread.allocate_lock(); done.acquire()\n"
    "_thread.start_new_thread(lambda: (burn(), done.release()), ())\ndef add(a, b):\n    done.acquire(timeout=9)\n    return a + b\n",
    "in-finalizer": f"{BURN}class T:\n    def __del__(self): burn()\ndef add(a, b):\n    T()\n    return a + b\n",
    "in-signal-handler": f"{BURN}import signal\nsignal.signal(signal.SIGALRM, lambda *a: burn())\ndef add(a, b):\n"
    "    import time\n    signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.1)\n    return a + b\n",
    "in-the-kernel": "import os, time\ndef add(a, b):\n    end = time.process_time() + 0.3\n    zero = os.open('/dev/zero', os.O_RDONLY)\n"
    "    while time.process_time() < end: os.read(zero, 1 << 22)\n    return a + b\n",
    "in-encoding": f"{BURN}class T(list):\n    def __iter__(self): burn(); return list.__iter__(self)\n"
    "    def __reduce_ex__(self, version): burn(); return (list, ())\ndef add(a, b):\n    sorted(T([1])); return a + b\n",
    "under-a-patched-clock": f"{BURN}burn_ = burn\ndef add(a, b):\n    burn_()\n    import time\n"
    "    time.process_time = time.thread_time = time.clock_gettime = lambda *a: 0.0\n    return a + b\n",
}
for name, program in HIDDEN.items():
    wrecker(
        f"cpu-{name}",
        program,
        tests="assert add(2, 3) == 5",
        cpu_s=3.0,
        min_cpu_s=0.25,
        verdicts=frozenset({"accepted"}),
    )

for name, action in {
    "auto-reaped": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n    pid = os.fork()",
    "wait-less-clone": "pid = libc.syscall(CLONE, 0, 0, 0, 0, 0)",
    "sibling": "pid = libc.syscall(CLONE, 0x8000 | 17, 0, 0, 0, 0)",
    "shares-memory": "pid = libc.syscall(CLONE, 0x100 | 0x800, 0, 0, 0, 0)",
    "vfork": "pid = libc.syscall(CLONE, 0x100 | 0x4000 | 17, 0, 0, 0, 0)",
    "high-bits": "pid = libc.syscall(CLONE, ctypes.c_ulong(1 << 40 | 17), 0, 0, 0, 0)",
    "new-namespace": "pid = libc.syscall(CLONE, 0x10000000 | 17, 0, 0, 0, 0)",
}.items():
    burglar(
        f"process-{name}",
        f"""import ctypes, os, platform, signal
libc = ctypes.CDLL(None, use_errno=True)
CLONE = 56 if platform.machine() == "x86_64" else 220
def add(a, b):
    {action}
    if pid == 0:
        for _ in range(10**8): pass
        os._exit(0)
    return "a process" if pid > 0 else ""
""".replace("pid = os.fork()", "try: pid = os.fork()\n    except OSError: pid = -1"),
    )
# Memory that the limit on private data does not count. More than the limit must not be had.
MEMORY = """import ctypes, mmap, os, resource, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
GONE = (None, 2**64 - 1)
"""
for name, body in {
    "stack": """    call = 160 if os.uname().machine == "x86_64" else 164
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1] & (2**64 - 1)
    libc.syscall(call, 3, struct.pack("QQ", hard, hard))
    low = next(int(line.split("-")[0], 16) for line in open("/proc/self/maps") if "[stack]" in line)
    for step in range(1, 20 * 1024): ctypes.memset(low - (step << 17), 1, 1 << 17)
    return "all"
""",
    "read-only-first": """    for _ in range(20):
        place = libc.mmap(None, 1 << 27, 1, 0x22, -1, 0)
        if place in GONE or libc.mprotect(ctypes.c_void_p(place), ctypes.c_size_t(1 << 27), 3) != 0: return "refused"
        ctypes.memset(place, 1, 1 << 27)
    return "all"
""",
    "private-file": """    with open("big", "wb") as file: file.truncate(16 << 20)
    file = os.open("big", os.O_RDONLY)
    for _ in range(160):
        place = libc.mmap(None, 16 << 20, 3, 2, file, 0)
        if place in GONE: return "refused"
        ctypes.memset(place, 1, 16 << 20)
    return "all"
""",
    "remapped": """    places = []
    for _ in range(20):
        place = libc.mmap(None, 4096, 3, 0x22, -1, 0)
        libc.mremap.restype = ctypes.c_void_p
        place = libc.mremap(ctypes.c_void_p(place), ctypes.c_size_t(4096), ctypes.c_size_t(1 << 27), 1)
        if place in GONE: return "refused"
        ctypes.memset(place, 1, 1 << 27)
    return "all"
""",
    "heap": """    libc.sbrk.restype = ctypes.c_void_p
    for _ in range(20):
        place = libc.sbrk(ctypes.c_long(1 << 27))
        if place in GONE: return "refused"
        ctypes.memset(place, 1, 1 << 27)
    return "all"
""",
}.items():
    wrecker(
        f"memory-{name}",
        f"{MEMORY}def add(a, b):\n{body}",
        tests="r = add(2, 3)\nassert r != 'all', r",
        verdicts=ANY - {"rejected"},
        cpu_s=6.0,
    )
burglar(
    "memory-anonymous-files",
    """import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
def add(a, b):
    doors = []
    for name, numbers in {"memfd": (319, 279), "secret": (447, 447)}.items():
        if libc.syscall(numbers[platform.machine() != "x86_64"], b"x", 0) >= 0: doors.append(name)
    if hasattr(os, "memfd_create"):
        try: doors.append(os.memfd_create("x"))
        except OSError: pass
    return doors
""",
)
# Kernel memory on the solution's account is bounded by its descriptors; and it is gone afterwards.
wrecker(
    "memory-in-pipes",
    """import fcntl, os
held = []
try:
    while True:
        r, w = os.pipe(); held += [r, w]
        fcntl.fcntl(w, 1031, 1 << 20); os.set_blocking(w, False)
        os.write(w, bytes(1 << 20))
except OSError: pass
def add(a, b): return a + b
""",
    cpu_s=2.0,
)
wrecker(
    "memory-in-nameless-files",
    """import os
held = []
try:
    while True:
        held.append(os.open("/w", os.O_TMPFILE | os.O_RDWR)); os.write(held[-1], bytes(15 << 20))
except OSError: pass
def add(a, b): return a + b
""",
    cpu_s=2.0,
    then="""import os
def add(a, b):
    for number in range(3):
        with open(f"f{number}", "wb") as file: file.write(bytes(15 << 20))
    return a + b
""",
)
forger("cpu-forever-after-the-answer", "import _thread\ndef spin():\n    while True: pass\ndef add(a, b):\n    _thread.start_new_thread(spin, ())\n    return 0\n",
       verdicts=NOT_ACCEPTED)  # fmt: skip
