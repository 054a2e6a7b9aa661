"""The suites of a session: HumanEval, those that the user and other plugins give, and overrides of their tasks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pytest_greencode.errors import SampleFormatError, UsageProblem
from pytest_greencode.model import Suite, canonical_task_id
from pytest_greencode.repository import SUITE_FILE
from pytest_greencode.suites.formats import VERDICTS, human_eval, judged, read_suite

if TYPE_CHECKING:
    import pytest

    from pytest_greencode.options import Options

MAX_TIMEOUT_S = 3600
_REPLACEABLE = {"tests": str, "canonical_solution": str, "prelude": str, "timeout_s": float, "verdict": str}


def load_suites(config: pytest.Config, options: Options) -> list[Suite]:
    """Later suites take precedence: a task id belongs to the last suite that has it."""
    suites = [human_eval()]
    for more in config.hook.pytest_greencode_suites(config=config):
        suites += more
    suites += [_repository_suite(path, None, _shown(config, path)) for path in _lying_by(config, options)]
    suites += [
        read_suite_file(name, path, flag="--greencode-suite", display_path=_shown(config, path))
        for name, path in options.suites
    ]
    owners = {task_id: index for index, suite in enumerate(suites) for task_id in suite.tasks}
    suites = [
        replace(suite, tasks={key: task for key, task in suite.tasks.items() if owners[key] == index})
        for index, suite in enumerate(suites)
    ]
    for path in options.overrides:
        suites = _override(suites, path)
    return suites


def read_suite_file(name: str, path: Path, *, flag: str, display_path: str | None = None) -> Suite:
    """A suite that the user names: tasks, or a repository with its own tests, by the file's ending."""
    if path.suffix == ".toml":
        return _repository_suite(path, name, display_path)
    return read_suite(name, path, flag=flag)


def _repository_suite(path: Path, name: str | None, display_path: str | None) -> Suite:
    from pytest_greencode.suites.repository_file import read_repository_suite  # few sessions have one

    return read_repository_suite(path, name=name, display_path=display_path)


def _lying_by(config: pytest.Config, options: Options) -> Iterator[Path]:
    """Suite files that nobody named: beside a samples file, or in pytest's root directory."""
    base = config.invocation_params.dir
    named = [base / argument.partition("::")[0] for argument in config.args]
    folders = [path.parent if path.is_file() else path for path in named]
    given = {path.resolve() for _, path in options.suites}
    found = dict.fromkeys((folder / SUITE_FILE).resolve() for folder in [config.rootpath, *folders])
    yield from (path for path in found if path.is_file() and path not in given)


def _shown(config: pytest.Config, path: Path) -> str:
    return os.path.relpath(path, config.invocation_params.dir)


def _override(suites: list[Suite], path: Path) -> list[Suite]:
    """Replace parts of tasks by a file's lines. A suite that was changed says so in its version."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageProblem(f"--greencode-override {path}: {error}; expected a JSONL file of tasks' parts") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        task_id, parts = _parts(path, number, line)
        for index, suite in enumerate(suites):
            if task_id in suite.tasks:
                known = suite.tasks[task_id]
                verdict = parts.pop("verdict", VERDICTS[known.same_process])
                try:
                    task = judged(replace(known, **parts), verdict)
                except (SyntaxError, ValueError) as error:
                    raise SampleFormatError(
                        str(path), number, None, f"Python, and a verdict of {', '.join(VERDICTS)}", str(error)
                    ) from error
                tasks = {**suite.tasks, task_id: task}
                note = f"{task_id} overridden"
                version = suite.version if note in suite.version else f"{suite.version}, {note}"
                suites[index] = replace(suite, tasks=tasks, version=version)
                break
        else:
            raise SampleFormatError(str(path), number, "task_id", "a task of the suites in use", repr(task_id))
    return suites


def _parts(path: Path, number: int, line: str) -> tuple[str, dict[str, Any]]:
    try:
        row = json.loads(line)
        task_id = canonical_task_id(row.pop("task_id"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SampleFormatError(str(path), number, "task_id", "a JSON object with task_id", line[:60]) from error
    for field, value in row.items():
        if field not in _REPLACEABLE:
            raise SampleFormatError(str(path), number, field, f"one of {', '.join(_REPLACEABLE)}", "another field")
        kind = _REPLACEABLE[field]
        number_for_float = kind is float and isinstance(value, int) and not isinstance(value, bool)
        if not isinstance(value, kind) and not number_for_float:
            raise SampleFormatError(str(path), number, field, kind.__name__, type(value).__name__)
        if kind is float and not 0 < value <= MAX_TIMEOUT_S:
            raise SampleFormatError(str(path), number, field, f"seconds above 0 and up to {MAX_TIMEOUT_S}", str(value))
    return task_id, row
