# ruff: noqa: E501
"""Hostile programs, as data. `test_attacks.py` runs each in every sandbox; `test_codec.py` decodes `HOSTILE_PICKLES`.

Three kinds: a `forger` wants a verdict it has not earned and must not be accepted; a `wrecker` does damage and may end
in any of its verdicts; a `burglar` tries doors and answers with those that opened, so that it is accepted when none did.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

NOT_ACCEPTED = frozenset({"rejected", "crashed", "timeout", "memory", "output_limit", "malformed"})
ANY = NOT_ACCEPTED | {"accepted"}
ADDS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"
NO_DOOR = "doors = add(2, 3)\nif doors: raise ValueError(doors)"


@dataclass(frozen=True)
class Attack:
    name: str
    program: str
    tests: str = ADDS
    verdicts: frozenset[str] = NOT_ACCEPTED
    cpu_s: float = 0.5
    preload: tuple[str, ...] = ()
    # A program that must be accepted afterwards, in the same sandbox, against `ADDS`; None: the honest one.
    then: str | None = None


ATTACKS: list[Attack] = []


def forger(name: str, program: str, tests: str = ADDS, **more: object) -> None:
    ATTACKS.append(Attack(name, program, tests, **more))  # type: ignore[arg-type]


def wrecker(name: str, program: str, **more: object) -> None:
    ATTACKS.append(Attack(name, program, **{"verdicts": ANY, **more}))  # type: ignore[arg-type]


def burglar(name: str, program: str, **more: object) -> None:
    ATTACKS.append(Attack(name, program, NO_DOOR, frozenset({"accepted"}), **more))  # type: ignore[arg-type]


# -- verdicts by objects that are equal to everything --------------------------------------------------------------

EQUAL = """
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return hash(5)
    def __bool__(self): return True
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
"""
for base in [
    "object",
    "int",
    "float",
    "complex",
    "str",
    "bytes",
    "bytearray",
    "list",
    "tuple",
    "dict",
    "set",
    "frozenset",
    "BaseException",
    "Fraction",
    "Decimal",
    "date",
    "datetime",
    "timedelta",
    "deque",
    "Counter",
    "OrderedDict",
    "defaultdict",
    "UserDict",
    "UserList",
    "partial",
    "SimpleNamespace",
]:
    imports = (
        "from fractions import Fraction\nfrom decimal import Decimal\nfrom datetime import date, datetime, timedelta\n"
        "from collections import *\nfrom functools import partial\nfrom types import SimpleNamespace\n"
    )
    forger(
        f"equal-{base}",
        f"{imports}class T({base}):{EQUAL}\n"
        "def add(a, b):\n"
        "    for arguments in ((), (1,), (2000, 1, 1), (int,)):\n"
        "        try: return T(*arguments)\n"
        "        except Exception: pass\n",
    )

ALWAYS = f"class T:{EQUAL}\n"
forger("equal-in-list", f"{ALWAYS}def add(a, b): return [T()]", "assert add(2, 3) == [5]")
forger("equal-in-tuple", f"{ALWAYS}def add(a, b): return (T(), [T()])", "assert add(2, 3) == (5, [6])")
forger("equal-in-set", f"{ALWAYS}def add(a, b): return {{T()}}", "assert add(2, 3) == {5}")
forger("equal-as-key", f"{ALWAYS}def add(a, b): return {{T(): 1}}", "assert add(2, 3) == {5: 1}")
forger("equal-in-generator", f"{ALWAYS}def add(a, b): yield T()", "assert list(add(2, 3)) == [5]")
forger("equal-in-argument", f"{ALWAYS}def add(a): a[:] = [T()]", "x = [3]\nadd(x)\nassert x == [5]")
forger("equal-in-exception", f"{ALWAYS}def add(a, b): raise ValueError(T())",
       "try:\n    add(2, 3)\nexcept ValueError as error:\n    assert error.args[0] == 5")  # fmt: skip
forger("equal-member", f"{ALWAYS}def add(a): return [T()]", "assert 5 in add(2) and 6 in add(2)")
forger("equal-class", f"class M(type):{EQUAL}\nclass T(metaclass=M): pass\ndef add(a, b): return T")
forger("equal-spoofed-class", "class T:\n    __class__ = int\n    def __eq__(self, other): return True\n"
       "def add(a, b): return T()")  # fmt: skip
forger("equal-spoofed-module", f"{ALWAYS}T.__module__ = 'numpy'\nT.dtype = property(lambda s: s)\nT.kind = T.str = 'i'\n"
       "T.shape = ()\nT.tobytes = lambda s: b''\ndef add(a, b): return T()")  # fmt: skip
forger("equal-mock-any", "from unittest.mock import ANY\ndef add(a, b): return ANY")
forger("equal-reduce", "class T:\n    def __reduce__(self): return (eval, ('5',))\n"
       "    def __reduce_ex__(self, version): return 'add'\ndef add(a, b): return T()")  # fmt: skip
forger("equal-copyreg", "import copyreg\nclass T: pass\ncopyreg.pickle(T, lambda t: (eval, ('5',)))\n"
       "copyreg.add_extension('builtins', 'eval', 77)\ndef add(a, b): return T()")  # fmt: skip
forger("equal-array", f"import numpy\n{ALWAYS}def add(a, b): return numpy.array([T()], dtype=object)",
       "assert (add(2, 3) == [5]).all()", preload=("numpy",))  # fmt: skip
forger("equal-array-subclass",
       f"import numpy\nclass T(numpy.ndarray):{EQUAL}\ndef add(a, b): return numpy.zeros(3).view(T)",
       "assert all(add(2, 3) == [1, 2, 3])", preload=("numpy",))  # fmt: skip
forger("near-everything", "class T(float):\n    def __sub__(s, o): return 0.0\n    __rsub__ = __abs__ = __sub__\n"
       "def add(a, b): return T(1)", "assert abs(add(2, 3) - 5) < 1e-6")  # fmt: skip

# -- verdicts by ending early, or by saying so ---------------------------------------------------------------------

for name, statement in {
    "exit": "import os; os._exit(0)",
    "sys-exit": "import sys; sys.exit(0)",
    "system-exit": "raise SystemExit(0)",
    "quit-by-signal": "import signal; signal.raise_signal(9)",
    "abort": "import os; os.abort()",
    "segfault": "import ctypes; ctypes.string_at(0)",
    "closes-everything": "import os; os.closerange(0, 256)",
    "no-fork-exec": "import os; os.execv('/proc/self/exe', ['python3', '-c', ''])",
}.items():
    forger(f"{name}-at-import", f"{statement}\n")
    forger(f"{name}-in-call", f"def add(a, b):\n    {statement}\n")
forger("atexit", "import atexit, os\natexit.register(print, 'accepted')\ndef add(a, b): os._exit(0)")
for name in ["StopIteration", "StopAsyncIteration", "GeneratorExit", "KeyboardInterrupt", "BaseException", "Warning"]:
    forger(f"raises-{name}", f"def add(a, b): raise {name}(5)", "assert all(map(add, [2], [3]))\nassert add(2, 3) == 5")
forger("raises-own-base", "class T(BaseException): pass\ndef add(a, b): raise T()",
       "try:\n    add(2, 3)\nexcept Exception:\n    assert False\nassert add(2, 3) == 5")  # fmt: skip
forger("raises-group", "def add(a, b): raise BaseExceptionGroup('x', [SystemExit(0)])")
forger("swallowed-exit", "import os\ndef add(a, b): os._exit(0)",
       "try:\n    assert add(2, 3) == 5\nexcept:\n    pass")  # fmt: skip
forger(
    "prints-verdict",
    """import sys
for line in ('{"status": "accepted"}', '{"verdict": "accepted", "detail": ""}', 'passed', 'ok'):
    print(line, flush=True); print(line, file=sys.stderr, flush=True)
def add(a, b): return 0
""",
)
forger(
    "writes-every-descriptor",
    """import os, fcntl, json, struct
body = json.dumps({"status": "accepted", "detail": "", "cpu_before_s": 0, "memory_before_bytes": 1}).encode()
for descriptor in range(256):
    try: fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_NONBLOCK)
    except OSError: continue
    for data in (body, body + b"\\n", struct.pack("<I", len(body)) + body):
        try: os.write(descriptor, data)
        except OSError: pass
def add(a, b): return 0
""",
)
forger(
    "patches-builtins",
    """import builtins, math, operator
for module in (builtins, math, operator):
    for name in ("abs", "len", "all", "any", "eq", "isclose", "AssertionError"):
        if hasattr(module, name): setattr(module, name, lambda *a: True)
def add(a, b): return 0
""",
    "import math\nassert abs(add(2, 3) - 5) < 1 and math.isclose(add(2, 3), 5)",
)
forger(
    "trace-jump",
    """import sys
def trace(frame, event, argument):
    try: frame.f_lineno += 1
    except Exception: pass
    return trace
sys.settrace(trace)
frame = sys._getframe()
while frame: frame.f_trace = trace; frame = frame.f_back
def add(a, b): return 0
""",
)
SHADOW = """
import sys
class T:
    def __eq__(self, other): return True
frame = sys._getframe()
while frame:
    for space in (frame.f_globals, frame.f_locals, frame.f_locals.get("namespace")):
        if isinstance(space, dict) and "add" in space: space["add"] = lambda *a: T()
    frame = frame.f_back
class A:
    kind = "i"
    reshape = lambda self, *a: self
    __getitem__ = copy = lambda self, *a: T()
def dtype(text): return A()
def frombuffer(*a, **k): return A()
"""
forger("shadows-lazy-import", f"for name in ('colorsys', 'colorsys/__init__'):\n"
       f"    try: open(name + '.py', 'w').write({SHADOW!r})\n    except OSError: pass\ndef add(a, b): return 0\n",
       "import colorsys\n" + ADDS)  # fmt: skip
forger(
    "shadows-numpy",
    f"""open('numpy.py', 'w').write({SHADOW!r})
class Kind: str, kind = "i4", "i"
class Fake:
    dtype, shape = Kind(), ()
    def tobytes(self): return b"1234"
Fake.__module__ = "numpy"
def add(a, b): return Fake()
""",
)
forger(
    "shadows-everything",
    f"""import os, sys
for name in sys.stdlib_module_names:
    open(name + '.py', 'w').write({SHADOW!r})
def add(a, b): return {{1: [a.__class__, NotImplemented]}}
""",
    "import colorsys, this\n" + ADDS,
)

# -- replies made by hand ------------------------------------------------------------------------------------------

# Takes the place of the worker's own loop: finds the two pipes and answers every call with one body.
RAW = """
import fcntl, os, stat, struct, time
def _pipes(mode):
    found = []
    for descriptor in range(3, 256):
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == mode: found.append(descriptor)
        except OSError: pass
    return found
def send(body, size=None):
    data = struct.pack("<I", len(body) if size is None else size) + body
    for descriptor in _pipes(os.O_WRONLY):
        view = memoryview(data)
        while view: view = view[os.write(descriptor, view):]
def serve(body, size=None):
    send(body, size)
    while os.read(_pipes(os.O_RDONLY)[0], 1 << 16): send(body, size)
    os._exit(0)
def reply(value): return b"\\x80\\x05(\\x8c\\x05value" + value + b"NNt."
"""


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def build(name: str, *arguments: bytes) -> bytes:
    named = b"cgreencode\n" + name.encode() + b"\n"
    return named + b"(" + b"".join(arguments) + b"tR"


def state(**entries: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


PLAIN = b"cgreencode\nplain\n"
COUNTER = build("counter", b"]")
LONG_4_GIB = b"\x8a\x05\x00\x00\x00\x00\x01"

# name -> value part of a reply; what they ask for must be refused, or come out as plain data.
HOSTILE_PICKLES: dict[str, bytes] = {
    "eval": b"cbuiltins\neval\n(" + text("5") + b"tR",
    "eval-stack-global": text("builtins") + text("eval") + b"\x93(" + text("5") + b"tR",
    "os-system": b"cposix\nsystem\n(" + text("true") + b"tR",
    "getattr": b"cbuiltins\ngetattr\n(K\x01" + text("__class__") + b"tR",
    "type": b"cbuiltins\ntype\n(" + text("T") + b")}tR",
    "inst": b"(K\x05ibuiltins\nint\n",
    "inst-of-builder": b"(" + text("x") + b"igreencode\nopaque\n",
    "obj": b"(cbuiltins\nobject\no",
    "obj-of-builder": b"(" + PLAIN + b"K\x05o",
    "newobj-of-builder": PLAIN + b")\x81",
    "newobj-ex-of-builder": PLAIN + b")}\x92",
    "ext1": b"\x82\x01",
    "ext4": b"\x84\xff\xff\xff\x7f",
    "persid": b"Pidentity\n",
    "binpersid": b"K\x05Q",
    "next-buffer": b"\x97",
    "readonly-buffer": b"K\x05\x98",
    "dotted": b"cgreencode\nplain.__class__\n",
    "builder-class": b"cgreencode\n__class__\n",
    "codec-module": b"ccodec\nBUILDERS\n",
    "unknown-builder": b"cgreencode\nnothing\n",
    "build-on-builder": PLAIN + state(_build=PLAIN) + b"b",
    "slots-on-builder": PLAIN + b"N" + state(_build=PLAIN) + b"\x86b",
    "setitems-on-builder": PLAIN + b"(K\x01K\x02u",
    "appends-on-builder": PLAIN + b"(K\x01K\x02e",
    "build-on-type": build("plain_type", text("list")) + state(__eq__=PLAIN) + b"b",
    "slots-on-type": build("plain_type", text("dict")) + b"N" + state(get=PLAIN) + b"\x86b",
    "appends-on-type": build("plain_type", text("list")) + b"(K\x01K\x02e",
    "additems-on-type": build("plain_type", text("set")) + b"(K\x01\x90",
    "type-of-type": build("plain_type", text("type")),
    "type-of-object": build("plain_type", text("object")),
    "build-on-opaque": build("opaque", text("x")) + state(startswith=PLAIN, __eq__=PLAIN) + b"b",
    "slots-on-opaque": build("opaque", text("x")) + b"N" + state(startswith=PLAIN) + b"\x86b",
    "class-on-opaque": build("opaque", text("x")) + b"N" + state(__class__=build("plain_type", text("int"))) + b"\x86b",
    "build-on-counter": COUNTER + state(most_common=PLAIN, __eq__=PLAIN) + b"b",
    "class-on-counter": COUNTER + b"N" + state(__class__=build("plain_type", text("dict"))) + b"\x86b",
    "build-on-ordered-dict": build("ordered_dict", b"]") + state(get=PLAIN, move_to_end=PLAIN) + b"b",
    "build-on-defaultdict": build("defaultdict", b"]") + b"N" + state(default_factory=PLAIN) + b"\x86b",
    "slots-on-fraction": build("fraction", b"K\x01K\x02") + b"N" + state(_numerator=b"]", _denominator=b"]") + b"\x86b",
    "build-on-deque": build("deque", b"]N") + state(maxlen=b"K\x01") + b"b",
    "build-on-iterator": build("iterator", b"](K\x01K\x02e") + b"K\x7fb",
    "build-on-array": build("array", text("i4") + b"K\x01\x85" + b"C\x04abcd")
    + b"(K\x01K\x01\x85"
    + text("O")
    + b"\x88"
    + b"]tb",
    "object-array": build("array", text("O") + b"K\x01\x85" + b"C\x08abcdefgh"),
    "structured-array": build("array", text("i4,O") + b"K\x01\x85" + b"C\x0cabcdefghijkl"),
    "subarray": build("array", text("(2,)O") + b"K\x01\x85" + b"C\x10abcdefghijklmnop"),
    "array-of-nothing": build("array", text("U0") + b")C\x00"),
    "array-of-huge-shape": build("array", text("i4") + LONG_4_GIB + LONG_4_GIB + b"\x86C\x04abcd"),
    "fraction-of-zero": build("fraction", b"K\x01K\x00"),
    "decimal-of-words": build("decimal", text("five")),
    "decimal-snan": build("decimal", text("sNaN")),
    "datetime-with-zone": build("datetime", b"M\xd0\x07K\x01K\x01K\x00K\x00K\x00K\x00" + build("opaque", text("z"))),
    "date-of-bytes": build("date", b"C\x04abcd"),
    "deque-negative": build("deque", b"]J\xff\xff\xff\xff"),
    "iterator-of-nothing": build("iterator", b"N"),
    "range-of-words": build("range", text("x")),
    "unhashable-key": b"}(]K\x01u",
    "truncated": b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7f",
    "frame-opcode": b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f",
    "negative-bytes": b"T\xff\xff\xff\xffx",
    "negative-long": b"\x8b\xff\xff\xff\xff",
    "memo-missing": b"h\x63",
    "pop-nothing": b"0000000",
    "no-mark": b"t",
    "itself": b"]\x94h\x00a",
    "dict-itself": b"}\x94K\x01h\x00s",
    "deep-tuple": b"N" + b"\x85" * 500_000,
    "deep-list": b"]" * 300_000 + b"a" * 299_999,
    "protocol-99": b"\x80\x63K\x05",
    "reduce-int": b"K\x05)R",
    "reduce-none": b"N)R",
}
for name, body in HOSTILE_PICKLES.items():
    forger(f"pickle-{name}", f"{RAW}import zlib\nVALUE = zlib.decompress({__import__('zlib').compress(body)!r})\n"
           "def add(*arguments): serve(reply(VALUE))")  # fmt: skip


def raw(value: bytes) -> str:
    return f"{RAW}\ndef add(*arguments): serve(reply({value!r}))"


# Builders may not lend the tests methods that say yes to everything.
forger("lent-startswith", raw(HOSTILE_PICKLES["build-on-opaque"]), "assert add(2, 3).startswith('abc')")
forger("lent-most-common", raw(HOSTILE_PICKLES["build-on-counter"]), "assert add(2, 3).most_common(1) == 1")
forger("lent-get", raw(HOSTILE_PICKLES["build-on-ordered-dict"]), "assert add(2, 3).get(5) == 5 == add(2, 3).get(5)")
forger("between-everything", raw(HOSTILE_PICKLES["slots-on-fraction"]), "assert 5 <= add(2, 3) <= 5 <= add(2, 3) <= 6")
forger("lent-identity", raw(PLAIN), "assert add(2, 3)('x') == 'x'")
# Memory and time of the oracle are bounded too: what they may take is given in `test_attacks.py`.
BOMBS = {
    "memo": b"K\x05r" + struct.pack("<I", 300_000_000),
    "range": build("iterator", build("range", b"J\x00\x94\x35\x77")),
    "bytes": build("bytearray", build("plain_type", text("bytes")) + LONG_4_GIB + b"\x85R"),
    "sets": b"(" + b"\x8f" * 8_000_000 + b"l",
    "decimal-exponent": build("decimal", text("1e999999999")),
    "hash-collisions": b"}(" + b"".join(
        b"\x8a\x0b" + (i * (2**61 - 1) + 1).to_bytes(11, "little") + b"N" for i in range(20_000)) + b"u",
}  # fmt: skip
for name, body in BOMBS.items():
    wrecker(f"bomb-{name}", f"{RAW}import zlib\nVALUE = zlib.decompress({__import__('zlib').compress(body)!r})\n"
            "def add(*arguments): serve(reply(VALUE))", tests="x = add(2, 3)\nint(x)\n" + ADDS, verdicts=NOT_ACCEPTED)  # fmt: skip
for name, statement in {
    "huge-length": "send(b'', 0xFFFFFFFF)",
    "negative-length": "send(b'', 0x80000000)",
    "too-long": "send(b'x' * (20 << 20))",
    "half-a-frame": "send(b'abc', 100); time.sleep(100)",
    "half-a-header": "[os.write(d, b'ab') for d in _pipes(os.O_WRONLY)]; time.sleep(100)",
    "empty": "send(b'')",
    "not-a-pickle": "send(b'accepted')",
    "not-a-reply": "send(b'\\x80\\x05K\\x05.')",
    "status-accepted": "send(b'\\x80\\x05(\\x8c\\x08acceptedNNNt.')",
    "ready-again": "send(b'\\x80\\x05(\\x8c\\x05readyNNNt.')",
    "many-at-once": "[send(reply(b'K\\x05')) for _ in range(100)]",
    "noise": "[os.write(d, os.urandom(1 << 20)) for d in _pipes(os.O_WRONLY)]",
    "reads-own-replies": "[os.open(f'/proc/self/fd/{d}', os.O_RDWR) for d in _pipes(os.O_WRONLY)]; os._exit(0)",
}.items():
    forger(f"frame-{name}", f"{RAW}\ndef add(*arguments): {statement}")
    if "sleep" not in statement:
        forger(f"frame-{name}-at-import", f"{RAW}\n{statement}\ndef add(*arguments): return 0")

# -- looking for the tests and for others' secrets -----------------------------------------------------------------

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
        door("raise", resource.setrlimit, name, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
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
    "x32-getpid": (0x40000000 + 39,), "prlimit-init": (302, 1, 0, b"\\xff" * 16, 0), "capset": (126, b"\\x22\\x05\\x08\\x20" + b"\\0" * 4, b"\\xff" * 24),
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

# -- wrecking ------------------------------------------------------------------------------------------------------

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

# -- hostile text --------------------------------------------------------------------------------------------------

for name, expression in {
    "nul": "'\\0' * 100", "surrogate": "'\\ud800\\udfff'", "escape": "'\\x1b[2J\\x1b]0;x\\x07'", "newline": "'a\\nb\\r\\n{}'",
    "ten-megabytes": "'x' * 10_000_000", "bytes": "b'\\xff\\xfe'", "bidi": "'\\u202e\\u2066'",
}.items():  # fmt: skip
    forger(f"text-{name}", f"print({expression})\ndef add(a, b): raise ValueError({expression})")
    forger(f"text-{name}-at-import", f"raise RuntimeError({expression})")
forger("exception-without-text", "class E(Exception):\n    def __str__(self): raise ValueError\n    __repr__ = __str__\n"
       "def add(a, b): raise E()")  # fmt: skip
forger("exception-endless-text", "class E(Exception):\n    def __str__(self):\n        while True: pass\n"
       "def add(a, b): raise E()", cpu_s=0.3)  # fmt: skip
forger("exception-hostile-name", "E = type('\\x1b[31m' + 'x' * 10**6, (Exception,), {'__module__': 'builtins'})\n"
       "def add(a, b): raise E('x')")  # fmt: skip
forger("exception-hostile-mro", "class M(type):\n    def __getattribute__(s, n): raise SystemExit(0)\n"
       "class E(Exception, metaclass=M): pass\ndef add(a, b): raise E()")  # fmt: skip
forger("exception-chain", "def add(a, b):\n    e = ValueError('x'); e.__cause__ = e; e.__context__ = e; raise e")
for name, program in {
    "nul": "def add(a, b): return a + b\n\0",
    "bom": "\ufeffdef add(a, b): return a - b - 1\n",
    "surrogate": "x = '\ud800'\ndef add(a, b): return 0\n",
    "empty": "",
    "not-python": "Sure! Here is the function:\n```python\n",
    "coding-unknown": "# -*- coding: no-such-codec -*-\ndef add(a, b): return 0\n",
    "coding-shadow": "# -*- coding: colorsys -*-\ndef add(a, b): return 0\n",
    "coding-utf7": "# -*- coding: utf-7 -*-\ndef add(a, b): return 0\n",
    "coding-rot13": "# -*- coding: rot13 -*-\nqrs nqq(n, o): erghea 0\n",
    "five-megabytes": "x = 1\n" * 800_000 + "def add(a, b): return 0\n",
    "long-line": "x = [" + "1," * 1_000_000 + "]\ndef add(a, b): return 0\n",
    "nested-brackets": "x = " + "(" * 150 + ")" * 150 + "\ndef add(a, b): return 0\n",
    "nested-unary": "x = " + "-" * 1_000_000 + "1\ndef add(a, b): return 0\n",
    "nested-operators": "x = " + "1+" * 100_000 + "1\ndef add(a, b): return 0\n",
    "nested-blocks": "".join(" " * n + "if 1:\n" for n in range(99)) + " " * 99 + "x = 1\ndef add(a, b): return 0\n",
    "nested-attributes": "x = a" + ".a" * 100_000 + "\ndef add(a, b): return 0\n",
    "nested-fstrings": "x = " + "f'{" * 10 + "1" + "}'" * 10 + "\ndef add(a, b): return 0\n",
    "huge-power": "x = 2 ** 10 ** 9\ndef add(a, b): return 0\n",
    "huge-shift": "x = 1 << 10 ** 10\ndef add(a, b): return 0\n",
    "huge-repeat": "x = ('x' * 10 ** 6, ) * 10 ** 9\ndef add(a, b): return 0\n",
    "huge-digits": "x = " + "9" * 100_000 + "\ndef add(a, b): return 0\n",
}.items():
    forger(f"source-{name}", program, cpu_s=1.0)

# -- hostile values ------------------------------------------------------------------------------------------------

for name, expression in {
    "endless-generator": "__import__('itertools').count()",
    "huge-string": "'x' * (50 << 20)",
    "huge-int": "1 << (8 * (20 << 20))",
    "huge-list": "[0] * 20_000_000",
    "itself": "(lambda x: x.append(x) or x)([])",
    "deep": "__import__('functools').reduce(lambda x, _: [x], range(100_000), 0)",
    "module": "__import__('sys')",
    "function": "add",
    "lambda": "lambda *a: 5",
    "lock": "__import__('threading').Lock()",
    "file": "open('/dev/null')",
    "frame": "__import__('sys')._getframe()",
    "memoryview": "memoryview(b'5')",
    "nan": "float('nan')",
    "not-implemented": "NotImplemented",
}.items():
    forger(f"value-{name}", f"def add(a, b): return {expression}", cpu_s=1.0)
forger("argument-itself", "def add(a): a.append(a)", "x = [1]\nadd(x)\nassert x == [1, 5]")
forger("argument-cleared", "def add(a): a.clear()", "x = [1, 2]\nadd(x)\nassert x == [1, 2]")
forger("argument-other-type", "def add(a): a.__class__ = int", "x = [1]\nadd(x)\nassert x == [2]")
forger("arguments-too-many", f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x05value' + b'K\\x05' + b'](K\\x01K\\x02e}}\\x86Nt.')",
       "x = [1]\nassert add(x) == 5 == x[0]")  # fmt: skip
forger("arguments-forged", f"{RAW}\ndef add(*a): serve(b'\\x80\\x05(\\x8c\\x05value' + b'N' + b'K\\x07K\\x07\\x86}}\\x86Nt.')",
       "x, y = 2, 3\nadd(x, y)\nassert (x, y) == (7, 7)")  # fmt: skip
