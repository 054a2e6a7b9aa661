"""Verdicts by ending early, by saying so, or by changing what the tests stand on."""

from __future__ import annotations

from attacks.corpus import ADDS, Corpus

CORPUS = Corpus("endings")
forger = CORPUS.forger

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
