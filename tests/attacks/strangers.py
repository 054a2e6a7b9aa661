# ruff: noqa: E501
"""Attacks by another stranger, who had read the worker's source and wanted a wrong program at the top of the table."""

from __future__ import annotations

from attacks.corpus import Corpus
from attacks.objects import CAPTURED
from attacks.replies import RAW, build, state, text

CORPUS = Corpus("strangers")
forger, wrecker, burglar = CORPUS.forger, CORPUS.wrecker, CORPUS.burglar


def saying(*parts: bytes, then: str = "pass") -> str:
    """A program whose every answer is one tuple of four."""
    return f"{RAW}\nBODY = b'\\x80\\x05(' + {b''.join(parts)!r} + b't.'\nclass Node: pass\ndef add(*arguments):\n    send(BODY)\n    while os.read(_pipes(os.O_RDONLY)[0], 1 << 16):\n        {then}\n        send(BODY)\n    os._exit(0)\n"


def answering(value: bytes, then: str = "pass") -> str:
    return saying(text("value"), value, b"NN", then=then)


# -- what the oracle says of a failure is made of what the solution sent -------------------------------------------

HUGE = b"\x8b" + (4097).to_bytes(4, "little") + b"\x7f" * 4096 + b"\0"  # more digits than Python writes out
DEEP = b"]" * 40_000 + b"a" * 39_999
LAUGHS = b"(K\x00K\x00l\x94" + b"".join(b"0(h" + bytes([n]) + b"h" + bytes([n]) + b"l\x94" for n in range(60))
NODE = {"classes": ("Node",), "attributes": ("data", "__str__", "__len__", "__iter__", "__contains__")}
HANDLE = build("handle", b"K\x00", text("Node"))
LEAVE = "os._exit(0)"
ABOUT_IT = "x = add(2, 3)\nassert x == 5, x"
for name, value in {"number": HUGE, "deep": DEEP, "laughs": LAUGHS, "surrogate": b"X\x03\0\0\0\xed\xa0\x80"}.items():
    more = {"oracle_cpu_s": 0.3}
    forger(f"message-{name}", answering(value), ABOUT_IT, **more)
    forger(f"raised-{name}", saying(text("raised"), text("ValueError"), value, b"N"), **more)
    forger(f"raised-{name}-as-name", saying(text("raised"), value, text("x"), b"N"), **more)
forger("message-handle-leaves", answering(HANDLE, LEAVE), ABOUT_IT, **NODE)
forger("raised-handle-leaves", saying(text("raised"), text("ValueError"), HANDLE, b"N", then=LEAVE), **NODE)
forger(
    "raised-before-ready",
    f"{RAW}\nsend(b'\\x80\\x05(' + {text('raised') + HUGE + DEEP!r} + b'Nt.')\n",
    oracle_cpu_s=1.0,
)

# -- values whose meaning changes on the way -----------------------------------------------------------------------

for name, value in {
    "int64": "numpy.int64(5)", "str_": "numpy.str_('x')", "bytes_": "numpy.bytes_(b'x')", "bool_": "numpy.bool_(True)",
    "float64": "numpy.float64(5)", "no-dimension": "numpy.array(5)",
    "longdouble": "numpy.longdouble(5)",
}.items():  # fmt: skip
    listed = {"str_": "['x']", "bytes_": "[b'x']", "bool_": "[True]"}.get(name, "[5]")
    forger(
        f"list-of-one-{name}",
        f"import numpy\ndef add(a, b): return {value}",
        f"assert add(2, 3) == {listed}",
        cpu_s=3.0,
    )
FRACTION = build("fraction", b"K\x05K\x01")
for name, slots in {"floats": b"G\x40\x14" + bytes(6), "booleans": b"\x88"}.items():
    made = build("fraction", b"K\x01K\x01") if name == "booleans" else FRACTION
    forger(
        f"fraction-of-{name}",
        answering(made + b"N" + state(_numerator=slots) + b"\x86b"),
        "assert type(add(2, 3).numerator) is not int",
    )
for name, value in {
    "timedelta-endless": build("timedelta", b"G\x7f\xf0" + bytes(6)),
    "keys-unhashable": build("dict_keys", b"](]e"),
    "text-of-deep": build("plain_type", text("str")) + DEEP + b"\x85R",
    "list-of-range": build("plain_type", text("list")) + build("range", b"J\xff\xff\xff\x7f") + b"\x85R",
    "int-of-digits": build("plain_type", text("int")) + b"X" + (5000).to_bytes(4, "little") + b"9" * 5000 + b"\x85R",
    "frozen-itself": b"(]\x94h\x00ah\x00\x85lh\x00\x91",
    "items-of-array": build("array", text("i4") + b"K\x01\x85" + b"C\x04abcd") + b"(K\x00" + HANDLE + b"u",
    "not-a-time": build("array", text("M8[s]") + b")" + b"C\x08" + bytes(7) + b"\x80"),
}.items():
    forger(f"decodes-{name}", answering(value), oracle_cpu_s=1.0)
forger("near-not-a-time", "import numpy\ndef add(a, b): return numpy.timedelta64('NaT')",
       "import numpy\nassert not abs(add(2, 3) - numpy.timedelta64(5, 's')) < numpy.timedelta64(1, 's')\nassert add(2, 3) == 5", preload=("numpy",), cpu_s=3.0)  # fmt: skip

# -- arguments, calls back and printed text that tests hold --------------------------------------------------------

ITSELF = b"]\x94h\x00a\x85}\x86"
forger(
    "argument-becomes-itself", saying(text("value"), b"K\x06", ITSELF, b"N"), "x = []\nx.append(x)\nassert add(x) == 5"
)
forger(
    "argument-empties-the-rest",
    "def add(a, b): b.clear(); a.extend(b); return a",
    "wanted = [2, 3]\nassert add([], wanted[:]) == wanted",
)
forger("argument-shared-twice", "def add(a, b): a.append(9)", "x = []\nadd(x, x)\nassert x == [9, 9]")
forger("argument-of-another-call", "seen = []\ndef add(a, b=None):\n    seen.append(a)\n    for each in seen: each[:] = [5]\n    return 0",
       "x, y = [1], [2]\nadd(x)\nadd(y)\nassert x == [1] != y or add(x) == 5")  # fmt: skip
for name, inner in {
    "call": text("callback") + b"K\x00)}\x86N",
    "deep-failure": text("raised") + text("ValueError") + b"]" * 30 + b"a" * 29 + b"N",
    "question": text("value") + HANDLE + b"NN",
}.items():
    body = b"\x80\x05(" + inner + b"t."
    forger(f"prints-a-{name}", saying(text("printed"), text("five"), b"C" + bytes([len(body)]) + body, b"N"), CAPTURED)
forger(
    "calls-back-the-tests-list",
    "def add(g): [g(5) for _ in range(3)]",
    "seen = []\nadd(seen.append)\nassert seen == [5]",
)
forger("calls-back-with-itself", "def add(g): return g(g)", "assert add(lambda f: f is None)")
forger(
    "iterator-of-all",
    "def add(a, b):\n    for n in range(10**9): yield n",
    "assert list(add(2, 3))[:1] == [5]",
    cpu_s=0.3,
    oracle_cpu_s=1.0,
)
forger(
    "instance-contains-all",
    "class Node:\n    def __contains__(self, x): raise SystemExit(0)\ndef add(a, b): return Node()",
    "assert 5 in add(2, 3)",
    **NODE,
)
forger(
    "instance-counts-itself",
    "class Node:\n    def __len__(self): return self\n    __iter__ = __len__\ndef add(a, b): return Node()",
    "assert len(add(2, 3)) == len(list(add(2, 3)))",
    **NODE,
)
forger("instance-as-argument-changes", "class Node:\n    data = 0\ndef add(x): x.__class__ = type('T', (), {'data': 1, '__eq__': lambda *a: True}); return x",
       "n = Node()\nassert add(n) is n and n == 5", **NODE)  # fmt: skip

# -- what the tests draw, and endings that are none ----------------------------------------------------------------

DRAWN = "import random\nx = random.getrandbits(64)\nassert add(2, 3) == x"
forger("foresees-what-is-drawn", "import random\ndef add(a, b): return random.getrandbits(64)", DRAWN)
forger(
    "foresees-from-a-known-seed", "import random\nrandom.seed(0)\ndef add(a, b): return random.getrandbits(64)", DRAWN
)
for name, statement in {
    "cancelled": "from concurrent.futures import CancelledError; raise CancelledError()",
    "groups-in-groups": "e = ValueError()\n    for _ in range(500): e = ExceptionGroup('x', [e])\n    raise e",
    "recursion": "raise RecursionError",
    "generator-exit": "yield 5; raise GeneratorExit",
    "stop-in-a-generator": "yield 5; raise StopIteration(5)",
    "while-encoded": "class M(type):\n        @property\n        def __module__(s): raise SystemExit(0)\n    return M('T', (), {})()",
    "assertion": "raise AssertionError",
}.items():
    forger(f"raises-{name}", f"def add(a, b):\n    {statement}\n", "assert list(map(add, [2], [3])) == [5]")

# -- left for the next attempt -------------------------------------------------------------------------------------

wrecker(
    "names-in-the-way",
    "import os\nfor n in range(60): os.makedirs(f'.greencode-{n}/a/b/c'); os.makedirs(f'd{n}/a/b/c')\ndef add(a, b): return a + b\n",
)
wrecker(
    "directory-default-rights",
    """import os, struct
RIGHTS = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, 0, 0xFFFFFFFF) for tag in (1, 4, 0x20))
os.mkdir("d")
for place in ("/w", "d"):
    try: os.setxattr(place, "system.posix_acl_default", RIGHTS)
    except OSError: pass
try: os.makedirs("d/e/f")
except OSError: pass
def add(a, b): return a + b
""",
)
wrecker("nodes-of-all-sorts", """import os, stat
for kind in (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK):
    try: os.mknod(f"n{kind}", kind | 0o4777, 0)
    except OSError: pass
    try: os.chmod(f"n{kind}", 0o6000)
    except OSError: pass
os.symlink("n" * 255, "l"); os.mkdir("d"); os.chmod("d", 0o1000)
def add(a, b): return a + b
""")  # fmt: skip
wrecker("threads-fill-the-sandbox", """import _thread
_thread.stack_size(32768)
lock = _thread.allocate_lock(); lock.acquire()
try:
    while True: _thread.start_new_thread(lock.acquire, ())
except RuntimeError: pass
def add(a, b): return a + b
""")  # fmt: skip

# -- doors ---------------------------------------------------------------------------------------------------------

burglar(
    "flushes-the-disks",
    """import ctypes, os, platform
libc = ctypes.CDLL(None)
def add(a, b):
    sync, syncfs = (162, 306) if platform.machine() == "x86_64" else (81, 267)
    here = os.open("/", os.O_RDONLY)
    return [name for name, result in (("sync", libc.syscall(sync)), ("syncfs", libc.syscall(syncfs, here))) if result == 0]
""",
)
burglar(
    "others-by-number",
    """import ctypes, os, platform, struct
libc = ctypes.CDLL(None, use_errno=True)
def add(a, b):
    doors, made = [], ctypes.create_string_buffer(8)
    timer_create = 222 if platform.machine() == "x86_64" else 107
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()):
        for command in (2, 3):  # PR_SCHED_CORE_SHARE_TO, _FROM
            if libc.prctl(62, command, pid, 0, 0) == 0: doors.append(("core", pid))
        event = struct.pack("QiiI44x", 0, 9, 4, pid)  # SIGEV_THREAD_ID
        if libc.syscall(timer_create, 1, event, made) == 0: doors.append(("timer", pid))
        for name in ("timerslack_ns", "autogroup", "sched", "comm", "coredump_filter", "oom_adj", "clear_refs", "attr/current",
                     "attr/exec", "setgroups", "projid_map", f"task/{pid}/comm", "timens_offsets", "make-it-fail"):
            try: os.close(os.open(f"/proc/{pid}/{name}", os.O_WRONLY)); doors.append((name, pid))
            except OSError: pass
        if libc.syscall(274 if platform.machine() == "x86_64" else 100, pid, made, made) == 0: doors.append(("robust list", pid))
        if libc.ioprio_set(1, pid, 3 << 13) == 0 if hasattr(libc, "ioprio_set") else False: doors.append(("ioprio", pid))
    return doors
""",
)
burglar(
    "memory-of-a-shadow-stack",
    """import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def add(a, b):
    return [] if libc.syscall(453, 0, 2 << 30, 1) < 0 else ["more than its limit"]
""",
)

# -- work that should not be seen ----------------------------------------------------------------------------------

BURN = "def burn():\n    import time\n    end = time.process_time() + 0.1\n    while time.process_time() < end: pass\n"
for name, program in {
    "while-encoded": f"{BURN}class M(type):\n    @property\n    def __module__(s): burn(); return 'x'\nclass T(metaclass=M): pass\ndef add(a, b): return T()\n",
    "while-described": f"{BURN}class E(ValueError):\n    def __str__(self): burn(); return 'x'\ndef add(a, b): raise E()\n",
    "in-a-weak-reference": f"{BURN}import weakref\nclass T: pass\ndef add(a, b):\n    t = T(); weakref.finalize(t, burn); del t\n    return a + b\n",
    "in-a-profile": f"{BURN}import sys\ndef add(a, b):\n    sys.setprofile(lambda *a: (sys.setprofile(None), burn()))\n    return a + b\n",
}.items():
    wrecker(f"hidden-{name}", program, cpu_s=2.0, min_cpu_s=0.08)

# -- programs that are read otherwise than they are run ------------------------------------------------------------

for encoding in ("utf-7", "unicode_escape"):
    line_end = {"utf-7": "+AAo-", "unicode_escape": "\\x0a"}[encoding]
    forger(
        f"source-hidden-in-{encoding}",
        f"# -*- coding: {encoding} -*-\ndef add(a, b): return 0  # {line_end}def add(a, b): return a + b\n",
    )
