# ruff: noqa: E501
"""Resources used up, and things left behind for the next attempt."""

from __future__ import annotations

from attacks.corpus import ANY, NOT_ACCEPTED, Corpus

CORPUS = Corpus("bombs")
forger, wrecker = CORPUS.forger, CORPUS.wrecker

BAD = {
    "fork-bomb": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "fork-bomb-setsid": "import os, signal\nsignal.signal(15, signal.SIG_IGN)\nwhile True:\n"
    "    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass",
    "daemon": "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(1000)",
    "sigchld-ignored": "import os, signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\nif os.fork() == 0:\n"
    "    for _ in range(10**7): pass\n    os._exit(0)",
    "endless-loop": "while True: pass",
    "endless-try": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "endless-c": "import itertools\nlist(x for x in itertools.product(range(9), repeat=30) if not x)",
    "endless-power": "10 ** 10 ** 8 % 7 == str(9 ** 9 ** 8)",
    "endless-regex": "import re\nre.match('(a+)+b', 'a' * 60)",
    "endless-sleep": "import time\ntime.sleep(1000)",
    "endless-lock": "import threading\nthreading.Lock().acquire(); l = threading.Lock(); l.acquire(); l.acquire()",
    "endless-read": "import os\nr, w = os.pipe()\nos.read(r, 1)",
    "ignores-signals": "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
    "    except Exception: pass\nsignal.pthread_sigmask(0, range(1, 65))\nwhile True: pass",
    "alarm": "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(10)",
    "threads-forever": "import threading\n[threading.Thread(target=exec, args=('while 1: pass',)).start() for _ in range(8)]"
    "\nraise ValueError",
    "memory-bytes": "x = bytearray(1 << 40)",
    "memory-list": "x = []\nwhile True: x.append(bytearray(1 << 24))",
    "memory-doubling": "x = ['x']\nwhile True: x += x",
    "recursion": "def f(): f()\nf()",
    "recursion-unbound": "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return f([x])\nf(1)",
    "flood": "import os\nwhile True: os.write(1, b'x' * 65536)",
    "flood-errors": "import sys\nwhile True: print('x' * 10000, file=sys.stderr)",
    "stops-itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nraise ValueError",
}
for name, body in BAD.items():
    indented = "\n    ".join(body.split("\n"))
    forger(name, f"def add(a, b):\n    {indented}\n    return 0\n", cpu_s=0.3)
for name in ("endless-loop", "flood", "memory-list", "threads-forever"):
    forger(f"{name}-at-import", BAD[name] + "\ndef add(a, b): return 0\n", cpu_s=0.3)

wrecker(
    "thousand-threads",
    """import threading, time
threading.stack_size(32768)
started = 0
try:
    for _ in range(3000): threading.Thread(target=time.sleep, args=(30,), daemon=True).start(); started += 1
except RuntimeError: pass
def add(a, b): return started
""",
    tests="n = add(2, 3)\nassert n < 1000, n",
    verdicts=ANY - {"rejected"},
)
# Memory that RLIMIT_DATA does not see: shared, and growing downwards. More than the limit must not be had.
SEEN = "r = add(2, 3)\nassert r != 'all', r"
for name, flags in {"shared": "0x21", "growing-down": "0x122"}.items():
    wrecker(
        f"memory-{name}",
        f"""import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def add(a, b):
    for _ in range(20):
        place = libc.mmap(None, 1 << 27, 3, {flags}, -1, 0)
        if place in (None, 2**64 - 1): return "refused"
        ctypes.memset(place, 1, 1 << 27)
    return "all"
""",
        tests=SEEN,
        verdicts=ANY - {"rejected"},
        cpu_s=4.0,
    )
wrecker(
    "disk-full",
    """
try:
    for i in range(100):
        with open(f"f{i}", "wb") as file: file.write(bytes(8 << 20))
except OSError: pass
def add(a, b): return a + b
""",
    cpu_s=2.0,
)
wrecker(
    "inodes-full",
    """
import os
try:
    for i in range(20000): os.close(os.open(f"f{i}", os.O_CREAT | os.O_WRONLY))
except OSError: pass
def add(a, b): return a + b
""",
    cpu_s=2.0,
)
wrecker("sparse-terabyte", "import os\nopen('f', 'w').close()\ntry: os.truncate('f', 1 << 40)\nexcept OSError: pass\n"
        "def add(a, b): return a + b\n")  # fmt: skip
for depth in (100, 3000):
    wrecker(
        f"deep-tree-{depth}",
        f"""import os
try:
    for _ in range({depth}): os.mkdir("d"); os.chdir("d")
except OSError: pass
def add(a, b): return a + b
""",
    )
wrecker(
    "closed-directories",
    """import os
os.mkdir("a"); os.mkdir("a/b"); open("a/b/c", "w").close(); os.mkdir("e", 0)
os.chmod("a/b/c", 0); os.chmod("a/b", 0); os.chmod("a", 0)
def add(a, b): return a + b
""",
)
wrecker(
    "symlinks",
    """import os
for number, target in enumerate(("/", "/etc/passwd", "..", "/proc/self", os.__file__, "self", "/nowhere", "/proc/1/root")):
    os.symlink(target, f"link{number}")
os.mkdir("d"); os.symlink("/", "d/root"); os.symlink("self", "self"); os.chmod("d", 0o500)
def add(a, b): return a + b
""",
)
wrecker(
    "hostile-names",
    """import os
for name in (b"\\xff\\xfe", b"a\\nb", b"-rf", b"*", b"\\x1b[31m", b" ", b"x" * 255, "\\u202e".encode(), b"...", b"~"):
    open(name, "w").close()
os.mkfifo("fifo")
def add(a, b): return a + b
""",
)
for name, action in {
    "mode": "os.chmod('/w', 0)", "mode-500": "open('f', 'w').close(); os.chmod('/w', 0o500)",
    "times": "os.utime('/w', (123, 456))", "attribute": "os.setxattr('/w', 'user.a', b'hello')",
    "owner": "os.chown('/w', os.getuid(), os.getgid())",
}.items():  # fmt: skip
    wrecker(f"directory-{name}", f"import os\ntry: {action}\nexcept OSError: pass\ndef add(a, b): return a + b\n",
            then="""import os
def add(a, b):
    status = os.stat("/w")
    open("f", "w").close(); os.unlink("f")
    return a + b if not os.listxattr("/w") and status.st_mtime != 456 and not os.listdir() else 0
""")  # fmt: skip
wrecker(
    "leaves-state",
    """import builtins, os, sys, math, json, random, locale, decimal, resource
builtins.left = sys.left = math.left = os.environ["LEFT"] = "left"
sys.modules["left"] = math; sys.path.append("/w/left"); sys.setrecursionlimit(77); os.umask(0o777); os.chdir("/")
json.loads = builtins.len = lambda *a: 0
random.seed(0); decimal.getcontext().prec = 2; os.nice(5); sys.settrace(print)
try: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
except OSError: pass
r, w = os.pipe(); os.write(w, b"left")
open("/w/left", "w").close()
def add(a, b): return a + b
""",
    then="""import builtins, os, sys, math, decimal
def add(a, b):
    left = hasattr(builtins, "left") or hasattr(sys, "left") or hasattr(math, "left") or "LEFT" in os.environ
    left = left or "left" in sys.modules or sys.getrecursionlimit() < 900 or decimal.getcontext().prec != 28
    left = left or os.getcwd() != "/w" or os.listdir() or len([1]) != 1 or os.getpriority(os.PRIO_PROCESS, 0)
    return 0 if left else a + b
""",
)
wrecker(
    "holds-descriptors-in-flight",
    """import os, socket
def hold(descriptor):
    a, b = socket.socketpair(); c, d = socket.socketpair()
    socket.send_fds(a, [b"x"], [descriptor, d.fileno()])
    socket.send_fds(c, [b"x"], [b.fileno()])
for descriptor in range(1, 20):
    try: [hold(descriptor) for _ in range(5)]
    except OSError: pass
def add(a, b): os._exit(0)
""",
    verdicts=NOT_ACCEPTED,
)
forger(
    "time-patched",
    """import time
time.time = time.process_time = time.perf_counter = time.monotonic = time.thread_time = lambda: 0.0
def add(a, b):
    while True: pass
""",
    verdicts=frozenset({"timeout"}),
    cpu_s=0.3,
)
