# ruff: noqa: E501, ISC004
"""What honest programs may do in every sandbox, and that the readings say what they cost."""

from __future__ import annotations

import pytest
from conftest import MEMORY_BYTES, Ground

from pytest_greencode.model import Limits, Task
from pytest_greencode.sandboxes.base import Request

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
    "coding": ("# -*- coding: latin-1 -*-\ndef f(): return 1", "assert f() == 1"),
    "many-calls": ("def f(x): return x * x", "assert all(f(i) == i * i for i in range(2000))"),
}  # fmt: skip
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


def test_timeout_costs_at_least_its_limit(ground: Ground) -> None:
    execution = ground.run("def f():\n    while True: pass", "f()", cpu_s=0.4)
    assert execution.verdict == "timeout"
    assert 0.4 <= execution.reading.cpu_s < 1.5


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
