# ruff: noqa: E501
"""Attacks by somebody who came to the sandbox later, looking for what its builders had not thought of."""

from __future__ import annotations

import zlib

from attacks.corpus import NOT_ACCEPTED, Corpus
from attacks.replies import RAW, build, text

CORPUS = Corpus("fresh")
forger, wrecker, burglar = CORPUS.forger, CORPUS.wrecker, CORPUS.burglar


def answering(body: bytes) -> str:
    return (
        f"{RAW}import zlib\nVALUE = zlib.decompress({zlib.compress(body)!r})\ndef add(*arguments): serve(reply(VALUE))"
    )


def number(digits: int, last: int) -> bytes:
    """An integer of so many bytes."""
    return b"\x8b" + (digits + 1).to_bytes(4, "little") + bytes([last]) + b"\xff" * (digits - 1) + b"\0"


# -- the oracle's own work, made long ------------------------------------------------------------------------------

forger("work-fraction", answering(build("fraction", number(3 << 20, 1) + number(3 << 20, 3))), oracle_cpu_s=1.0)
forger("work-decimal-digits", answering(build("decimal", b"X" + (4 << 20).to_bytes(4, "little") + b"7" * (4 << 20))),
       "x = add(2, 3)\nassert x * x * x == 5", oracle_cpu_s=1.0)  # fmt: skip
forger("work-array-type", answering(build("array", text("U200000000") + b")" + b"C\x00")), preload=("numpy",))
forger(
    "work-array-dimensions",
    answering(build("array", text("i4") + b"(" + b"K\x01" * 90 + b"t" + b"C\x04abcd")),
    preload=("numpy",),
)
forger("work-array-of-records", answering(build("array", text("V4") + b"K\x01\x85" + b"C\x04abcd")), preload=("numpy",))
forger("work-many-frames", f"{RAW}\nBODY = reply(b'B' + (8 << 20).to_bytes(4, 'little') + bytes(8 << 20))\n"
       "def add(*arguments): serve(BODY)", "for _ in range(2000):\n    add(2, 3)", oracle_cpu_s=1.0)  # fmt: skip
forger("work-drip", f"{RAW}\nimport time\ndef add(*arguments):\n    data = struct.pack('<I', 1000) + bytes(1000)\n"
       "    for byte in data: os.write(_pipes(os.O_WRONLY)[0], bytes([byte])); time.sleep(0.01)\n", cpu_s=0.2)  # fmt: skip
forger("work-equal-depth", "def add(a, b):\n    x = []\n    for _ in range(900): x = [x]\n    return x",
       "x, y = add(2, 3), add(2, 3)\nassert x == y and x == 5")  # fmt: skip

# -- replies out of turn -------------------------------------------------------------------------------------------

forger("turn-answers-ahead", f"{RAW}\nimport threading\ndef add(*arguments):\n    send(reply(b'K\\x00'))\n"
       "    threading.Thread(target=lambda: [time.sleep(0.01) or send(reply(b'K\\x05')) for _ in range(50)]).start()\n"
       "    return 5")  # fmt: skip
forger(
    "turn-index-of-an-argument",
    f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x05valueNNK\\x00t.')",
    "assert add(2, 3) == 5",
)
forger("turn-index-true", f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x05valueNN\\x88t.')", "assert add(2, 5) == 5")
forger(
    "turn-index-negative",
    f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x05valueNNJ\\xff\\xff\\xff\\xfft.')",
    "assert add(2, 5) == 5",
)
forger("turn-status-not-text", f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(C\\x05valueK\\x05NNt.')")
forger("turn-missing-forged", f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x07missingNNNt.')",
       "try:\n    add(2, 3)\nexcept NameError:\n    assert False")  # fmt: skip
forger("turn-ready-before-code", f"{RAW}\nsend(b'\\x80\\x05(\\x8c\\x05readyNNNt.')\nraise SystemExit(0)")
forger("turn-packets", f"{RAW}\nfor d in _pipes(os.O_WRONLY):\n    try: fcntl.fcntl(d, fcntl.F_SETFL, os.O_DIRECT | os.O_WRONLY)\n"
       "    except OSError: pass\ndef add(a, b): return [0] * 50000")  # fmt: skip
forger("turn-small-pipes", f"{RAW}\nfor d in _pipes(os.O_WRONLY) + _pipes(os.O_RDONLY): fcntl.fcntl(d, 1031, 4096)\n"
       "def add(a, b): return 'x' * 300000")  # fmt: skip
forger(
    "turn-swaps-pipes",
    f"{RAW}\nr, w = _pipes(os.O_RDONLY)[0], _pipes(os.O_WRONLY)[0]\ndef add(a, b):\n    os.dup2(w, r); return 5\n",
)
forger("turn-named-not-a-dict", f"{RAW}\ndef add(**n): serve(b'\\x80\\x05(\\x8c\\x05value' + b'K\\x05' + b'(]](K\\x09eK\\x07tNt.')",
       "x = [1]\nadd(x=x)\nassert x == [7]")  # fmt: skip
forger("turn-worker-patched", """import sys
for name, module in list(sys.modules.items()):
    if name.startswith("pytest_greencode"):
        for key in ("decode", "encode", "judge", "read_frame", "exception_of", "replace_contents"):
            if hasattr(module, key): setattr(module, key, lambda *a, **k: b"accepted")
def add(a, b): return 0
""")  # fmt: skip
forger(
    "turn-audit-hook",
    "import sys\ndef hook(event, arguments): raise SystemExit(0)\nsys.addaudithook(hook)\ndef add(a, b): return 0\n",
)
forger("turn-own-filter", """import ctypes, struct
libc = ctypes.CDLL(None)
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x00050000), 8)
header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 1, ctypes.addressof(code)), 16)
def add(a, b):
    libc.prctl(22, 2, header, 0, 0)
    return 0
""")  # fmt: skip

# -- machine code, and ways round the filter -----------------------------------------------------------------------

CODE = """import ctypes, mmap, platform
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def run(code):
    place = libc.mmap(None, 4096, 7, 0x22, -1, 0)
    ctypes.memmove(place, code, len(code))
    return ctypes.CFUNCTYPE(ctypes.c_long)(place)()
"""
forger("code-of-32-bits", f"{CODE}\ndef add(a, b):\n    if platform.machine() != 'x86_64': raise ValueError\n"
       "    return 5 if run(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3') > 0 else 0",
       verdicts=frozenset({"crashed"}) if __import__("platform").machine() == "x86_64" else NOT_ACCEPTED)  # fmt: skip
burglar("code-forks", f"{CODE}\ndef add(a, b):\n    if platform.machine() != 'x86_64': return ''\n"
        "    pid = run(b'\\xb8\\x39\\x00\\x00\\x00\\x0f\\x05\\xc3')\n    if pid == 0: libc._exit(0)\n    return 'fork' if pid > 0 else ''")  # fmt: skip
burglar(
    "odd-system-calls",
    """import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "socketcall-by-connect": (42, 3, b"\\0" * 16, 16), "fsmount": (432, 0, 0, 0), "pidfd_getfd": (438, 3, 1, 0),
    "process_mrelease": (448, 3, 0), "process_madvise": (440, 3, 0, 0, 0, 0), "ioprio_init": (251, 1, 1, 0),
    "setpriority-user": (141, 2, 0, 5), "sched_setattr-init": (314, 1, b"\\0" * 56, 0), "rt_tgsigqueue": (297, 1, 1, 9, b"\\0" * 128),
    "vmsplice": (278, 1, 0, 0, 0), "migrate_pages": (256, 1, 1, 0, 0), "move_pages": (279, 1, 0, 0, 0, 0, 0),
    "lookup_dcookie": (212, 0, b"", 0), "name_to_handle": (303, -100, b"/", b"\\0" * 136, b"\\0" * 8, 0),
    "swapoff": (168, b"/w"), "nfsservctl": (180, 0, 0, 0), "uselib": (134, b"/w"), "delete_module": (176, b"x", 0),
    "finit_module": (313, 0, b"", 0), "kexec_file": (320, 0, 0, 0, 0, 0), "adjtimex-set": (159, b"\\xff" * 208),
}
def add(a, b):
    doors = []
    if platform.machine() != "x86_64": return doors
    for name, (number, *arguments) in CALLS.items():
        made = [ctypes.c_char_p(x) if isinstance(x, bytes) else ctypes.c_long(x) for x in arguments]
        if libc.syscall(number, *made) >= 0: doors.append(name)
    return doors
""",
)
burglar(
    "descriptors",
    """import os, stat
def add(a, b):
    doors = []
    for name in os.listdir("/proc/self/fd"):
        try: where, kind = os.readlink(f"/proc/self/fd/{name}"), os.fstat(int(name)).st_mode
        except OSError: continue
        if not (stat.S_ISFIFO(kind) or where in ("/dev/null", f"/proc/{os.getpid()}/fd")): doors.append(where)
    try:
        if os.read(0, 100): doors.append("input")
    except OSError: pass
    return doors
""",
)
burglar(
    "secrets-by-name",
    """import gc, os, sys
def add(a, b):
    doors = [name for name in os.environ if name.startswith("GREENCODE")]
    doors += [word for word in sys.argv + getattr(sys, "orig_argv", [])[:1] if "own-cgroup" in word]
    for thing in gc.get_objects():
        if isinstance(thing, dict) and "entry_points" in thing and "tests" in thing: doors.append("a task")
        if type(thing).__name__ in ("LoadedTask", "Supervisor", "Remote"): doors.append(type(thing).__name__)
    return doors
""",
)

# -- things that outlive a process ---------------------------------------------------------------------------------

wrecker(
    "outlives-locks",
    """import fcntl, os
held = [open(path) for path in (os.__file__, "/dev/null", "/proc/self/status")]
for file in held:
    for take in (fcntl.flock, fcntl.lockf):
        try: take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError: pass
def add(a, b): return a + b
""",
    then="""import fcntl, os
def add(a, b):
    with open(os.__file__) as file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return a + b
""",
)
wrecker(
    "outlives-watches",
    """import ctypes
libc = ctypes.CDLL(None)
while (watch := libc.inotify_init()) >= 0: libc.inotify_add_watch(watch, b"/w", 0xFFF)
def add(a, b): return a + b
""",
    then="import ctypes\ndef add(a, b): return a + b if ctypes.CDLL(None).inotify_init() >= 0 else 0\n",
)
wrecker(
    "outlives-timers",
    """import ctypes, platform
libc, made = ctypes.CDLL(None), ctypes.create_string_buffer(8)
for _ in range(200_000):
    if libc.syscall(222 if platform.machine() == "x86_64" else 107, 1, None, made) < 0: break
def add(a, b): return a + b
""",
    cpu_s=2.0,
)
wrecker("outlives-session", "import os\nfor call in (os.setsid, os.setpgrp, lambda: os.setpgid(0, 0)):\n    try: call()\n    except OSError: pass\n"
        "def add(a, b): os.kill(0, 0); return a + b\n", verdicts=NOT_ACCEPTED)  # fmt: skip
wrecker("outlives-names", "import ctypes, threading\nlibc = ctypes.CDLL(None)\nlibc.prctl(15, b'\\x1b[31m) R 1 \\n', 0, 0, 0)\n"
        "threading.Thread(target=lambda: libc.prctl(15, b')))', 0, 0, 0)).start()\ndef add(a, b): return a + b\n")  # fmt: skip
wrecker("outlives-landlock", """import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
for _ in range(20):
    rules = libc.syscall(444, struct.pack("Q", 0x1FFF), 8, 0)
    if rules < 0 or libc.syscall(446, rules, 0) != 0: break
def add(a, b): return a + b
""")  # fmt: skip
wrecker("outlives-hard-links", "import os\nopen('a', 'w').close()\nfor n in range(3000):\n    try: os.link('a', f'l{n}')\n    except OSError: break\n"
        "os.mkdir('d'); os.rename('d', 'e'); os.chmod('e', 0o1777)\ndef add(a, b): return a + b\n", cpu_s=2.0)  # fmt: skip
wrecker("outlives-limits", """import resource
for name in dir(resource):
    if name.startswith("RLIMIT_"):
        try: resource.setrlimit(getattr(resource, name), (0, 0))
        except (OSError, ValueError): pass
def add(a, b): return a + b
""")  # fmt: skip
