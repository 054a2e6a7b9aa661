"""A repository with its own tests, and what a candidate may change in it. Pure values: the tree is in memory."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from .patches import Refused, apply_patch

SUITE_FILE: Final = "greencode.toml"
# What decides how tests run wins over every candidate: pytest's files of configuration, and what Python or pytest load
# unasked (plugins by their metadata, `site`'s customisations).
_CONFIGURATION: Final = (
    "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "tox.ini", "setup.cfg",
    "sitecustomize.py", "usercustomize.py", "*.pth", "*.pyc", SUITE_FILE,
)  # fmt: skip
_METADATA: Final = ("*.dist-info", "*.egg-info", "__pycache__")
_TESTS: Final = ("test_*.py", "*_test.py")


class Environment(Struct, frozen=True, kw_only=True):
    """What a sandbox for a repository has: an image, or this Python with what `requirements` name.

    `preload`: modules that are imported once, before the candidates' processes fork. `memory_bytes` None: what the
    session allows. Tasks with equal environments share sandboxes.
    """

    image: str | None = None
    requirements: tuple[str, ...] = ()
    preload: tuple[str, ...] = ()
    memory_bytes: int | None = None


class Repository(Struct, frozen=True, kw_only=True):
    """The tree that a candidate changes, and how its tests are run.

    `files` by relative path; `sha256` names them and all that is said here of how the tests run. `tests` and `options`
    are pytest's arguments; `paths` are the directories that modules are imported from. `entry`: the file that a
    `solution` is the text of, None where only patches are taken. `canonical`: what the task's own solution changes.
    """

    files: Mapping[str, bytes]
    sha256: str
    environment: Environment
    tests: tuple[str, ...]
    entry: str | None
    paths: tuple[str, ...] = (".",)
    options: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    canonical: Mapping[str, str | None]


def is_protected(path: str, tests: tuple[str, ...], protect: tuple[str, ...] = ()) -> bool:
    """Whether a file is the repository's own whatever a candidate says: tests and what configures them."""
    *folders, name = path.lower().split("/")  # Python finds a package's metadata in any case
    return (
        any(fnmatch.fnmatchcase(name, pattern) for pattern in (*_CONFIGURATION, *_TESTS))
        or any(fnmatch.fnmatchcase(folder, pattern) for folder in folders for pattern in _METADATA)
        or any(
            path in (test, f"{test}.py") or path.startswith(f"{test}/") or test == "." for test in map(_file_of, tests)
        )
        or any(fnmatch.fnmatchcase(path, pattern) for pattern in protect)
    )


def _file_of(argument: str) -> str:
    """The file or directory of one of pytest's arguments."""
    return argument.partition("::")[0].rstrip("/")


def solution_text(repository: Repository, solution: str) -> str:
    """The candidate that replaces the entry file (see `changes_text`)."""
    assert repository.entry is not None
    return changes_text({repository.entry: solution})


def patch_text(repository: Repository, patch: str) -> str:
    """The candidate that a patch makes; one that is refused says so (see `refusal`)."""
    try:
        changes = apply_patch(patch, repository.files)
        for path in changes:
            if is_protected(path, repository.tests, repository.protect):
                raise Refused(f"it changes {path}, which is the repository's own")
            _check_place(path, repository.files)
    except Refused as refused:
        return json.dumps({"refused": f"the patch is not applied: {refused}"})
    return changes_text(changes)


def _check_place(path: str, files: Mapping[str, bytes]) -> None:
    """A file cannot stand where a directory is, nor below a file."""
    parents = path.split("/")
    if any("/".join(parents[:end]) in files for end in range(1, len(parents))) or any(
        other.startswith(f"{path}/") for other in files
    ):
        raise Refused(f"{path}: a file and a directory in one place")


def changes_text(changes: Mapping[str, str | None]) -> str:
    """A candidate as text that equal candidates have in common: the files that it changes (None: deletes)."""
    return json.dumps({"files": dict(sorted(changes.items()))})


def refusal(text: str) -> str | None:
    """Why a candidate is not run, where that is known without running it."""
    reason: str | None = json.loads(text).get("refused")
    return reason
