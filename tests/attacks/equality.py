# ruff: noqa: E501
"""Verdicts by values that are equal to everything."""

from __future__ import annotations

from attacks.corpus import Corpus

CORPUS = Corpus("equality")
forger = CORPUS.forger

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
