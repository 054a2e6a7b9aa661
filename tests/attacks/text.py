# ruff: noqa: E501
"""Hostile text: as program, output, exception."""

from __future__ import annotations

from attacks.corpus import Corpus

CORPUS = Corpus("text")
forger = CORPUS.forger

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
