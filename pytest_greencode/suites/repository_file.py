"""Reads `greencode.toml`: tasks whose candidates change a repository and are judged by its own tests."""

from __future__ import annotations

import ast
import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pytest_greencode.errors import FileFormatError
from pytest_greencode.model import Suite, Task
from pytest_greencode.patches import Refused, apply_patch
from pytest_greencode.records import Name, format_problem
from pytest_greencode.repository import SUITE_FILE, Environment, Repository, is_protected
from pytest_greencode.toml_files import KeyPath, first_problem, line_of, parse_toml, read_toml_text, short

TIMEOUT_S: Final = 60.0
MAX_TIMEOUT_S: Final = 3600.0
MAX_FILE_BYTES: Final = 16 << 20  # the sandbox lets nobody write a larger one
MAX_TREE_BYTES: Final = 128 << 20
MAX_FILES: Final = 20_000
# Never copied: histories and caches, in which a candidate could find the canonical solution, and what is not theirs.
_LEFT_OUT: Final = (
    ".git", ".hg", ".svn", "__pycache__", "*.pyc", ".venv", "venv", ".tox", ".nox", "node_modules", ".mypy_cache",
    ".ruff_cache", ".pytest_cache", ".hypothesis", ".greencode", ".coverage", SUITE_FILE,
)  # fmt: skip


def _relative(value: str) -> str:
    """A path below the repository, as it is written everywhere."""
    path = os.path.normpath(value).replace(os.sep, "/")
    if path.startswith(("/", "../")) or path == "..":
        raise format_problem("a path below the repository", short(value))
    return path


def _test(value: str) -> str:
    path, separator, rest = value.partition("::")
    return _relative(path) + separator + rest


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _memory(value: object) -> int:
    match = re.fullmatch(r"([0-9]{1,9})([mg])", value) if isinstance(value, str) else None
    size = int(match[1]) << {"m": 20, "g": 30}[match[2]] if match else 0
    if not 32 << 20 <= size <= 1 << 40:
        raise format_problem('an amount of memory from "32m", such as "512m" or "1g"')
    return size


def _requirement(value: str) -> str:
    if not re.match(r"[A-Za-z0-9]", value):
        raise format_problem('a requirement such as "attrs>=25"', short(value))
    return value


def _module(value: str) -> str:
    if not all(part.isidentifier() for part in value.split(".")):
        raise format_problem("the name of a module", short(value))
    return value


RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_relative)]
_Paths = Annotated[list[RelativePath], BeforeValidator(_listed)]
_Tests = Annotated[
    list[Annotated[str, Field(min_length=1), AfterValidator(_test)]], Field(min_length=1), BeforeValidator(_listed)
]
_Requirements = list[Annotated[str, AfterValidator(_requirement)]] | Name


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Ways(_Section):
    """How tests are run: of a suite what its tasks do not say themselves."""

    root: Name | None = None
    tests: _Tests | None = None
    image: Name | None = None
    requirements: _Requirements | None = None
    preload: list[Annotated[str, AfterValidator(_module)]] | None = None
    path: _Paths | None = None
    options: list[str] | None = None
    exclude: list[Name] | None = None
    protect: list[Name] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S)] | None = None
    memory: Annotated[int, BeforeValidator(_memory)] | None = None

    @model_validator(mode="after")
    def _one_environment(self) -> _Ways:
        if self.image is not None and self.requirements is not None:
            raise format_problem("either image or requirements", "both")
        return self


class _Suite(_Ways):
    name: Name
    version: Name | None = None
    # No default: whoever writes the file has read that a candidate can forge what is judged so.
    verdict: Literal["same-process"]


class _Task(_Ways):
    task_id: Name
    prompt: str = ""
    prompt_file: Name | None = None
    entry: RelativePath | None = None
    canonical: Name | None = None

    @model_validator(mode="after")
    def _one_prompt(self) -> _Task:
        if self.prompt and self.prompt_file is not None:
            raise format_problem("either prompt or prompt_file", "both")
        return self


class _File(_Section):
    suite: _Suite
    task: Annotated[list[_Task], Field(min_length=1)]


def read_repository_suite(path: Path, *, name: str | None = None, display_path: str | None = None) -> Suite:
    """The suite of a `greencode.toml`, with the trees as they are now. Raises FileFormatError naming line and key.

    `name`: what it is called instead of what it says itself.
    """
    shown = display_path or str(path)
    text = read_toml_text(path, f"a suite's file ({SUITE_FILE})", display_path=shown)
    content, lines = parse_toml(text, shown)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise first_problem(error, lines, shown, _File) from None
    reader = _Reader(path.parent, shown, lines, file.suite, name or file.suite.name)
    tasks: dict[str, Task] = {}
    for index, each in enumerate(file.task):
        task = reader.task(each, ("task", index))
        if task.task_id in tasks:
            raise reader.problem(("task", index, "task_id"), "each task once", f"{task.task_id!r} again")
        tasks[task.task_id] = task
    trees = [task.repository.sha256 for task in tasks.values() if task.repository is not None]
    digest = hashlib.sha256("\0".join([text, *trees]).encode()).hexdigest()
    version = file.suite.version or f"{path.name} {digest[:12]}"
    return Suite(name=name or file.suite.name, version=version, sha256=digest, tasks=tasks)


class _Reader:
    def __init__(self, base: Path, shown: str, lines: Mapping[KeyPath, int], suite: _Suite, name: str) -> None:
        self._base, self._shown, self._lines, self._suite, self._name = base, shown, lines, suite, name
        self._trees: dict[tuple[str, tuple[str, ...]], dict[str, bytes]] = {}

    def problem(self, key: KeyPath, expected: str, found: str) -> FileFormatError:
        """About a key of a task, or where the task does not have it, of the suite."""
        for at in (key, ("suite", key[-1])):
            if at in self._lines:
                break
        else:
            at = key
        return FileFormatError(self._shown, line_of(self._lines, at), ".".join(map(str, at)), expected, found)

    def task(self, given: _Task, at: KeyPath) -> Task:
        def said(key: str, default: Any = None) -> Any:
            for section in (given, self._suite):
                value = getattr(section, key)
                if value is not None:
                    return value
            return default

        own_way = given.image is not None or given.requirements is not None
        image = given.image if own_way else self._suite.image
        requirements = given.requirements if own_way else self._suite.requirements
        environment = Environment(
            image=image,
            requirements=self._requirements(requirements, (*at, "requirements")),
            preload=tuple(said("preload", [])),
            memory_bytes=said("memory"),
        )
        prompt = given.prompt
        if given.prompt_file is not None:
            prompt = self._text(given.prompt_file, (*at, "prompt_file"))
        left_out = [*said("exclude", [])]
        root = self._base / said("root", ".")
        if given.canonical is not None and (self._base / given.canonical).is_relative_to(root):
            left_out.append((self._base / given.canonical).relative_to(root).as_posix())
        files = self._tree(root, tuple(left_out), (*at, "root"))
        tests = tuple(said("tests", ()))
        if not tests:
            raise self.problem((*at, "tests"), "the tests: files or directories", "nothing")
        for test in tests:
            path = test.partition("::")[0]
            if path != "." and path not in files and not any(other.startswith(f"{path}/") for other in files):
                raise self.problem((*at, "tests"), "a file or directory of the repository", short(path))
        protect = tuple(said("protect", ()))
        if given.entry is not None and is_protected(given.entry, tests, protect):
            expected = "a file that is no test and does not configure tests"
            raise self.problem((*at, "entry"), expected, short(given.entry))
        paths = tuple(said("path") or [".", *(["src"] if any(path.startswith("src/") for path in files) else [])])
        options = tuple(said("options", ()))
        canonical = self._canonical(given, files, at)
        told = {"tests": tests, "paths": paths, "options": options, "entry": given.entry, "protect": protect}
        return Task(
            suite=self._name,
            task_id=given.task_id,
            prompt=prompt,
            prelude="",
            tests="",
            call="",
            # By these the program in a chat reply is known.
            entry_points=_defined(canonical.get(given.entry) or files.get(given.entry)) if given.entry else (),
            canonical_solution="",
            timeout_s=said("timeout_s", TIMEOUT_S),
            same_process=True,
            repository=Repository(
                files=files,
                sha256=_digest(files, told),
                environment=environment,
                tests=tests,
                entry=given.entry,
                paths=paths,
                options=options,
                protect=protect,
                canonical=canonical,
            ),
        )

    def _requirements(self, given: list[str] | str | None, at: KeyPath) -> tuple[str, ...]:
        if not isinstance(given, str):
            return tuple(given or ())
        found = []
        for line in self._text(given, at).splitlines():
            requirement = re.sub(r"(^|\s)#.*", "", line).strip()
            if requirement and not re.match(r"[A-Za-z0-9]", requirement):
                raise self.problem(at, "a file with one requirement a line", short(requirement))
            found += [requirement] if requirement else []
        return tuple(found)

    def _canonical(self, given: _Task, files: Mapping[str, bytes], at: KeyPath) -> dict[str, str | None]:
        key = (*at, "canonical")
        if given.canonical is None:
            if given.entry is not None and given.entry not in files:
                expected = f"a file with the canonical {given.entry}, which the repository does not have"
                raise self.problem(key, expected, "nothing")
            return {}
        text = self._text(given.canonical, key)
        if given.canonical.endswith((".patch", ".diff")):
            try:
                return apply_patch(text, files)
            except Refused as refused:
                raise self.problem(key, "a patch that applies", str(refused)) from None
        if given.entry is None:
            raise self.problem(key, "a patch (.patch, .diff), as there is no entry", short(given.canonical))
        return {given.entry: text}

    def _text(self, name: str, at: KeyPath) -> str:
        try:
            return (self._base / name).read_text(encoding="utf-8")
        except OSError as error:
            raise self.problem(at, "a file that can be read", f"{short(name)}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise self.problem(at, "a text file in UTF-8", short(name)) from None

    def _tree(self, root: Path, left_out: tuple[str, ...], at: KeyPath) -> dict[str, bytes]:
        """The files below `root`, read once for all tasks that have them alike."""
        key = (str(root), left_out)
        if key not in self._trees:
            if not root.is_dir():
                raise self.problem(at, "a directory", short(str(root)))
            files: dict[str, bytes] = {}
            size = 0
            for path in _walk(root, left_out):
                try:
                    outside = path.is_symlink() and not path.resolve().is_relative_to(root.resolve())
                    content = b"" if outside else path.read_bytes()
                except OSError as error:
                    found = f"{path}: {error.strerror or error}"
                    raise self.problem(at, "files that can be read, or their names in `exclude`", found) from None
                name, size = path.relative_to(root).as_posix(), size + len(content)
                too_large = len(content) > MAX_FILE_BYTES or size > MAX_TREE_BYTES or len(files) >= MAX_FILES
                if outside or too_large or not name.isprintable():
                    found = "a link that leads out of it" if outside else "more" if too_large else "a name that is not"
                    raise self.problem(
                        at,
                        f"at most {MAX_FILES} files of up to {MAX_FILE_BYTES >> 20} MiB, {MAX_TREE_BYTES >> 20} MiB in "
                        "all, with printable names and no links out of it; `exclude` leaves files out",
                        f"{found}: {short(name)}",
                    )
                files[name] = content
            self._trees[key] = files
        return self._trees[key]


def _walk(root: Path, left_out: tuple[str, ...]) -> Iterator[Path]:
    """All files but those left out, in one order everywhere."""
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        inside = "" if here == root else here.relative_to(root).as_posix() + "/"

        def stays(name: str, inside: str = inside) -> bool:
            return not any(fnmatch.fnmatchcase(name, pattern) for pattern in _LEFT_OUT) and not any(
                fnmatch.fnmatchcase(each, pattern.rstrip("/")) for pattern in left_out for each in (name, inside + name)
            )

        folders[:] = sorted(name for name in folders if stays(name) and not (here / name / "pyvenv.cfg").exists())
        yield from (here / name for name in sorted(names) if stays(name) and (here / name).is_file())


def _defined(text: str | bytes | None) -> tuple[str, ...]:
    """The functions and classes at the top of a module."""
    try:
        body = ast.parse(text or "").body
    except (SyntaxError, ValueError):
        return ()
    return tuple(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef))


def _digest(files: Mapping[str, bytes], told: Mapping[str, Any]) -> str:
    """Names a tree, and all that is said of how its tests run."""
    total = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for path, content in files.items():
        total.update(f"\0{path}\0{hashlib.sha256(content).hexdigest()}".encode())
    return total.hexdigest()
