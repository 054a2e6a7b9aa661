# ruff: noqa: E501
"""Values that do not fit through a pipe, or not twice."""

from __future__ import annotations

from attacks.corpus import Corpus
from attacks.replies import RAW

CORPUS = Corpus("values")
forger = CORPUS.forger

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
