# ruff: noqa: E501, ISC004
"""What honest programs may do in every sandbox, and that the readings say what they cost."""

from __future__ import annotations

import pytest
from conftest import MEMORY_BYTES, Ground

from pytest_greencode.model import Limits, Task
from pytest_greencode.sandboxes.base import Request
from pytest_greencode.suites.formats import judged

ENTRY_POINTS = ("f",)

# name: (program, tests)
HONEST = {
    "list-in-place": ("def f(x): x.sort()", "x = [3, 1, 2]\nassert f(x) is None\nassert x == [1, 2, 3]"),
    "nested-in-place": ("def f(x): x[0].append(1)", "inner = []\nf([inner, 2])\nassert inner == [1]"),
    "dict-in-place": ("def f(x): x['b'] = 2", "x = {'a': 1}\nf(x)\nassert x == {'a': 1, 'b': 2}"),
    "set-in-place": ("def f(x): x.discard(1)", "x = {1, 2}\nf(x)\nassert x == {2}"),
    "bytearray-in-place": ("def f(x): x.reverse()", "x = bytearray(b'abc')\nf(x)\nassert x == b'cba'"),
    "named-in-place": ("def f(*, x): x.append(1)", "x = []\nf(x=x)\nassert x == [1]"),
    "identity-changed": ("def f(x): x.append(1); return x", "x = []\nassert f(x) is x"),
    "identity-unchanged": ("def f(x): return x", "x = [1]\nassert f(x) is x"),
    "copy-is-another": ("def f(x): return list(x)", "x = [1]\nassert f(x) == x and f(x) is not x"),
    "named-arguments": ("def f(a, *, b=2, **c): return a + b + sum(c.values())", "assert f(1, b=5, z=4) == 10 == f(8)"),
    "generator": ("def f():\n    yield 1\n    yield 2", "assert list(f()) == [1, 2]\nassert f() != [1, 2]"),
    "range": ("def f(): return range(3)", "assert f() == range(3)"),
    "fraction": ("from fractions import Fraction\ndef f(x): return x / 3", "from fractions import Fraction\n"
                 "assert f(Fraction(1)) == Fraction(1, 3)"),
    "decimal": ("from decimal import Decimal\ndef f(x): return x * 2", "from decimal import Decimal\n"
                "assert f(Decimal('1.10')) == Decimal('2.20')"),
    "datetime": ("from datetime import timedelta\ndef f(x): return x + timedelta(1)", "from datetime import *\n"
                 "assert f(datetime(2024, 2, 28, 1, 2, 3, 4)) == datetime(2024, 2, 29, 1, 2, 3, 4)"),
    "deque": ("from collections import deque\ndef f(): return deque([1, 2], 5)", "from collections import deque\n"
              "assert f() == deque([1, 2]) and f().maxlen == 5"),
    "counter": ("from collections import Counter\ndef f(x): return Counter(x)", "assert f('aab').most_common(1) == [('a', 2)]"),
    "ordered-dict": ("from collections import OrderedDict\ndef f(): return OrderedDict(b=1, a=2)",
                     "assert list(f()) == ['b', 'a'] and f() == {'a': 2, 'b': 1}"),
    "defaultdict": ("from collections import defaultdict\ndef f():\n    d = defaultdict(list); d[1].append(2)\n    return d",
                    "assert f() == {1: [2]}"),
    "views": ("def f(): return {1: 2}.keys(), {1: 2}.items(), {1: 2}.values()",
              "k, i, v = f()\nassert k == {1} and i == {(1, 2)} and list(v) == [2]"),
    "not-a-number": ("def f(): return float('nan')", "import math\nassert math.isnan(f()) and f() != f()"),
    "infinity": ("def f(): return float('-inf')", "assert f() == float('-inf')"),
    "big-integer": ("def f(x): return x ** 5000", "assert f(7) == 7 ** 5000"),
    "surrogate": ("def f(x): return x + '\\ud800'", "assert f('\\udfff\\0') == '\\udfff\\0\\ud800'"),
    "built-in-exception": ("def f(): raise ValueError('no')", "try:\n    f()\n    assert False\nexcept ValueError as e:\n"
                           "    assert str(e) == 'no'"),
    "own-exception": ("class E(ValueError): pass\ndef f(): raise E('no')", "try:\n    f()\n    assert False\n"
                      "except ValueError as e:\n    assert str(e) == 'no'"),
    "key-error": ("def f(): return {}['x']", "try:\n    f()\n    assert False\nexcept KeyError:\n    pass"),
    "unicode-error": ("def f(): return b'\\xff'.decode()", "try:\n    f()\n    assert False\nexcept ValueError:\n    pass"),
    "state": ("n = 0\ndef f():\n    global n\n    n += 1\n    return n", "assert [f(), f(), f()] == [1, 2, 3]"),
    "own-limits": ("import resource\ndef f():\n    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)\n"
                   "    resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))\n    return soft != 0", "assert f()"),
    "prints": ("def f():\n    print('hello', '\\ud800')\n    return 1", "assert f() == 1"),
    "own-file": ("def f():\n    with open('x', 'w') as w: w.write('hi')\n    with open('x') as r: return r.read()",
                 "assert f() == 'hi'"),
    "temporary-file": ("import tempfile\ndef f():\n    with tempfile.NamedTemporaryFile() as t:\n        t.write(b'x')\n"
                       "        return t.tell()", "assert f() == 1"),
    "threads": ("import threading\ndef f():\n    out = []\n    ts = [threading.Thread(target=out.append, args=(i,)) for i in "
                "range(8)]\n    [t.start() for t in ts]; [t.join() for t in ts]\n    return sorted(out)",
                "assert f() == list(range(8))"),
    "pool": ("from concurrent.futures import ThreadPoolExecutor\ndef f():\n    with ThreadPoolExecutor(4) as p: "
             "return list(p.map(abs, [-1, 2]))", "assert f() == [1, 2]"),
    "asyncio": ("import asyncio\nasync def g(): await asyncio.sleep(0); return 7\ndef f(): return asyncio.run(g())",
                "assert f() == 7"),
    "random": ("import random\ndef f(): random.seed(1); return random.random() < 1 and random.choice([4])", "assert f() == 4"),
    "recursion": ("def f(n): return n and 1 + f(n - 1)", "assert f(900) == 900"),
    "too-deep": ("def f(): return f()", "try:\n    f()\n    assert False\nexcept RecursionError:\n    pass"),
    "large": ("def f(x): return [y + 1 for y in x]", "assert f(list(range(100000))) == list(range(1, 100001))"),
    "dataclass": ("from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n"
                  "def f(): return P(3).x", "assert f() == 3"),
    "annotations": ("from typing import *\ndef f(x: List[Optional[int]]) -> Dict[str, int]: return {'a': x[0]}",
                    "assert f([1]) == {'a': 1}"),
    "main-guard": ("def f(): return 1\nif __name__ == '__main__': f = None", "assert f() == 1"),
    "coding": ("# -*- coding: latin-1 -*-\ndef f(): return len('é')", "assert f() == 1"),
    "numpy-scalars": ("import numpy as np\ndef f(x): return [np.mean(x), np.sum(x), np.all(x), np.float32(0.5), np.str_('x')]",
                      "assert f([1, 2]) == [1.5, 3, True, 0.5, 'x'] and isinstance(f([1, 2])[1], int)"),
    "many-calls": ("def f(x): return x * x", "assert all(f(i) == i * i for i in range(2000))"),
}  # fmt: skip
# What crosses by a number that stands for it.
CROSSING = {
    "callback": ("def f(g, x): return [g(y) for y in x]", "assert f(lambda y: y * 2, [1, 2]) == [2, 4]"),
    "callback-builtin": ("def f(g, x): return g(x)", "import operator\nassert f(len, [1]) == 1 and f(operator.neg, 2) == -2"),
    "callback-raises": ("def f(g):\n    try: g()\n    except KeyError as e: return repr(e)",
                        "def g(): raise KeyError('k')\nassert f(g) == \"KeyError(\\\"'k'\\\")\""),
    "callback-recursive": ("def f(g, n): return g(n)", "def g(n): return n and 1 + f(g, n - 1)\nassert f(g, 20) == 20"),
    "callback-returned": ("def f(g): return g", "g = lambda: 1\nassert f(g) is g\nassert f(f) is not None"),
    "callback-as-key": ("def f(x, key): return sorted(x, key=key)", "assert f(['bb', 'a'], key=lambda s: len(s)) == ['a', 'bb']"),
    "type-as-argument": ("def f(x, t): return isinstance(x, t)", "assert f(1, int) and f(KeyError(), object)"),
    "endless-generator": ("def f():\n    n = 0\n    while True: yield n; n += 1",
                          "g = f()\nassert [next(g) for _ in range(100)] == list(range(100))"),
    "lazy-generator": ("log = []\ndef f():\n    for n in range(3): log.append(n); yield n\n    1 / 0\ndef g(): return log",
                       "i = iter(f())\nassert next(i) == 0 and next(i) == 1"),
    "generator-that-ends-badly": ("def f():\n    yield 1\n    raise KeyError(2)",
                                  "g = f()\nassert next(g) == 1\ntry: next(g)\nexcept KeyError: pass\nelse: assert False"),
    "long-generator": ("def f(n): return (i * i for i in range(n))", "assert sum(f(50000)) == sum(i * i for i in range(50000))"),
    "map-of-callback": ("def f(g, x): return map(g, x)", "assert list(f(lambda y: y + 1, [1, 2])) == [2, 3]"),
    "captured-output": ("def f(x): print('hello', x)", "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as out:\n"
                        "    f(3)\nf(4)\nassert out.getvalue() == 'hello 3\\n'"),
}  # fmt: skip
STACK = """
class Stack:
    made = 0
    def __init__(self, items=()):
        self.items = list(items); self.below = None; Stack.made += 1
    def push(self, x): self.items.append(x); return self
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __getitem__(self, i): return self.items[i]
    def __iter__(self): return iter(self.items)
    def __enter__(self): return self
    def __exit__(self, *error): self.items.append("left")
    def __str__(self): return f"Stack of {len(self)}"
    def __eq__(self, other): return self.items == other.items
def f(stack): return stack.below if stack.below else stack
"""
OBJECTS = {
    "methods": "s = Stack()\ns.push(1).push(2)\nassert s.pop() == 2 and s.items == [1]",
    "attributes": "s, t = Stack(), Stack([5])\ns.below = t\nassert s.below.items == [5] and s.below is t and f(s) is t",
    "identity": "s = Stack()\nassert f(s) is s and s.push(1) is s and s in [s] and {s: 1}[s] == 1",
    "special": "s = Stack([4, 5])\nassert len(s) == 2 and s[1] == 5 and list(s) == [4, 5] and str(s) == 'Stack of 2'",
    "class-attribute": "Stack()\nStack()\nassert Stack.made == 2",
    "instance-of": "s = Stack()\nassert isinstance(s, Stack) and not isinstance(5, Stack)",
    "in-containers": "s = Stack([1])\nassert f(Stack([Stack([2])]))[0][0] == 2",
    "equality-is-identity": "assert Stack([1]) != Stack([1])",
    "no-other-attribute": "s = Stack()\nfor n in ('startswith', '__dict__', '_ask_', 'clear'):\n"
    "    try: getattr(s, n)()\n    except (AttributeError, TypeError): pass\n    else: assert False, n",
    "raises": "try: Stack().pop()\nexcept IndexError: pass\nelse: assert False",
    "truth": "assert Stack() and bool(Stack())",
    "context": "with Stack() as s: s.push(3)\nassert s.items == [3, 'left']",
}
ARRAYS = {
    "array": ("import numpy as np\ndef f(x): return np.array(x) * 2", "assert (f([1, 2]) == np.array([2, 4])).all()"),
    "array-in-place": ("def f(x): x += 1", "x = np.zeros(3)\nf(x)\nassert x.sum() == 3"),
    "scalar": ("import numpy as np\ndef f(x): return np.float64(x)", "assert type(f(1)) is np.float64 and f(1) == 1"),
    "matrix": ("def f(x): return x @ x.T", "assert (f(np.eye(20)) == np.eye(20)).all()"),
}
LOOP = "def f(n):\n    x = 0\n    for i in range(n): x += i * i\n    return 1\n"


@pytest.mark.parametrize("name", HONEST)
def test_honest_program(ground: Ground, name: str) -> None:
    program, tests = HONEST[name]
    execution = ground.run(program, tests)
    assert execution.verdict == "accepted", execution
    assert not execution.dirty


@pytest.mark.parametrize("name", CROSSING)
def test_what_is_no_plain_data_crosses(ground: Ground, name: str) -> None:
    execution = ground.run(*CROSSING[name])
    assert execution.verdict == "accepted", execution


@pytest.mark.parametrize("name", OBJECTS)
def test_instances_of_a_tasks_own_classes(ground: Ground, name: str) -> None:
    task = judged(
        Task(suite="t", task_id="t", prompt="", prelude="", tests="", call="", entry_points=("Stack",),
             canonical_solution=STACK, canonical_is_program=True), "split",
    )  # fmt: skip
    assert task.classes == ("Stack",)
    execution = ground.run(STACK, OBJECTS[name], classes=task.classes, attributes=task.attributes)
    assert execution.verdict == "accepted", execution
    # Where the tests ask for no classes, there are none.
    assert ground.run(STACK.replace("Stack", "Other"), "assert f is not None\nf(0)").verdict == "rejected"


def test_in_one_process_with_the_tests(ground: Ground) -> None:
    tests = "import io\nassert f.__code__.co_argcount == 1 and f(io.StringIO).__name__ == 'StringIO'"
    assert ground.run("def f(x): return x", tests, same_process=True).verdict == "accepted"
    assert ground.run("def f(x): return 5", tests, same_process=True).verdict == "rejected"
    assert ground.run("def f(x): return x", tests).verdict == "rejected"
    # What it is called not tamper-proof for.
    forged = "class T:\n    __eq__ = lambda *a: True\ndef f(x): return T()"
    assert ground.run(forged, "assert f(1) == 2", same_process=True).verdict == "accepted"
    assert ground.run("import os\nos._exit(0)", tests, same_process=True).verdict == "crashed"


@pytest.mark.parametrize("name", ARRAYS)
def test_honest_arrays(ground: Ground, name: str) -> None:
    pytest.importorskip("numpy")
    program, tests = ARRAYS[name]
    execution = ground.run(program, f"import numpy as np\n{tests}", preload=("numpy",))
    assert execution.verdict == "accepted", execution


def test_cpu_time_grows_with_the_work(ground: Ground) -> None:
    def cost(n: int) -> float:
        return min(ground.run(LOOP, f"assert f({n}) == 1").reading.cpu_s for _ in range(3))

    # A core's speed changes by a factor of 2 where others share its machine.
    assert 2 < cost(4_000_000) / cost(1_000_000) < 8


def test_peak_memory(ground: Ground) -> None:
    peak = ground.run(
        "def f(): return len(bytearray(50_000_000))", "assert f() == 50_000_000"
    ).reading.peak_memory_bytes
    assert peak is not None
    assert 45e6 < peak < 70e6


def test_a_table_of_constants_is_the_solutions(ground: Ground) -> None:
    """Not something that was there before its first statement."""
    table = f"T = ({','.join(map(str, range(10**6, 10**6 + 100_000)))})\ndef f(): return len(T)"
    small = ground.run("def f(): return 1", "assert f() == 1").reading
    reading = ground.run(table, "assert f() == 100_000").reading
    assert (reading.peak_memory_bytes or 0) > (small.peak_memory_bytes or 0) + 3_000_000
    assert reading.cpu_s > small.cpu_s + 0.001


def test_timeout_costs_at_least_its_limit(ground: Ground) -> None:
    execution = ground.run("def f():\n    while True: pass", "f()", cpu_s=0.4)
    assert execution.verdict == "timeout"
    # What its process had used before its program came is not its own.
    assert 0.39 <= execution.reading.cpu_s < 1.5


def test_threads_are_counted(ground: Ground) -> None:
    alone = ground.run(LOOP, "assert f(2_000_000) == 1").reading.cpu_s
    threads = (
        f"{LOOP}import threading\ndef g(n):\n    ts = [threading.Thread(target=f, args=(n,)) for _ in range(3)]\n"
        "    [t.start() for t in ts]; [t.join() for t in ts]\n    return 1\nf_, f = f, lambda n: None\n"
    ).replace("target=f", "target=f_") + "f = g\n"
    together = ground.run(threads, "assert f(2_000_000) == 1")
    assert together.verdict == "accepted", together
    assert 2.0 < together.reading.cpu_s / alone < 5.0


def test_tests_are_not_the_solutions_cost(ground: Ground) -> None:
    reading = ground.run("def f(): return 1", "sum(i * i for i in range(2_000_000))\nassert f() == 1").reading
    assert reading.oracle_cpu_s > 10 * reading.cpu_s


def test_an_answer_that_waited_for_the_next_one_says_when_it_was_ready(ground: Ground) -> None:
    """Answers are sent together; the first was ready half a second before the second."""
    sandbox = ground.kind.start()
    tests = "assert f() == 1"
    task = Task(
        suite="t", task_id="t/0", prompt="", prelude="", tests=tests, call="", entry_points=ENTRY_POINTS,
        canonical_solution="",
    )  # fmt: skip
    limits = Limits(cpu_s=3.0, memory_bytes=MEMORY_BYTES)
    programs = ["def f(): return 1", "import time\ndef f():\n    time.sleep(0.5)\n    return 1"]
    try:
        first, second = sandbox.run_all([Request("key", task, text, limits, 5.0) for text in programs])
    finally:
        sandbox.close()
    assert second.reading.wall_s >= 0.5
    assert second.ended_at - first.ended_at >= 0.5
