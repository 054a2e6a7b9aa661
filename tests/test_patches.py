# ruff: noqa: E501
"""Unified diffs: what difflib and git write is applied exactly, and what does not fit is refused."""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_greencode.patches import Refused, apply_patch

# Few different lines, so that hunks could fit in several places; some look like parts of a diff.
LINES = st.sampled_from(["a", "b", "", " ", "-", "+", "-- x", "++ y", "@@ -1 +1 @@", "\\ No", "é", "c\r", "\x0c"])
TEXTS = st.builds(
    lambda lines, end: "\n".join(lines) + (end if lines else ""),
    st.lists(LINES, max_size=25),
    st.sampled_from(["\n", ""]),
)


def unified(old: str, new: str, context: int = 3) -> str:
    """A diff as `diff -u` writes it: difflib leaves it to the caller to tell of a missing line end."""
    old_lines, new_lines = (text.split("\n") for text in (old, new))
    pairs = [
        [f"{line}\n" for line in lines[:-1]] + [line for line in lines[-1:] if line] for lines in (old_lines, new_lines)
    ]
    lines = difflib.unified_diff(*pairs, "a/f", "b/f", n=context)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@given(TEXTS, TEXTS, st.integers(0, 3))
@settings(max_examples=300)
def test_a_diff_leads_from_the_old_text_to_the_new(old: str, new: str, context: int) -> None:
    patch = unified(old, new, context)
    if patch:
        assert apply_patch(patch, {"f": old.encode()}) == {"f": new}


@given(TEXTS, TEXTS, st.lists(st.sampled_from(["x", "y", "z"]), min_size=1, max_size=9))
@settings(max_examples=100)
def test_a_diff_still_applies_where_lines_have_come_before_it(old: str, new: str, before: list[str]) -> None:
    head = "".join(f"{line}\n" for line in before)
    patch = unified("1\n2\n3\n" + old, "1\n2\n3\n" + new)
    if patch and "\n 3\n" in patch:  # without context a diff may fit in several places
        moved = apply_patch(patch, {"f": f"{head}1\n2\n3\n{old}".encode()})
        assert moved == {"f": f"{head}1\n2\n3\n{new}"}


HEADS = ["", "--- a/f\n+++ b/f\n", "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n", "diff --git a/f b/f\n"]


@given(st.sampled_from(HEADS), st.text(max_size=400), TEXTS)
@settings(max_examples=200)
def test_no_text_breaks_it(head: str, noise: str, old: str) -> None:
    with contextlib.suppress(Refused):
        assert apply_patch(head + noise, {"f": old.encode()})


FILES = {"pkg/a.py": b"1\n2\n3\n", "pkg/b.py": b"x = 1", "pkg/bin": b"\xff\0", "old.py": b"keep\n"}


@pytest.mark.parametrize(
    ("patch", "changed"),
    [
        ("diff --git a/new/__init__.py b/new/__init__.py\nnew file mode 100644\nindex 000..e69\n", {"new/__init__.py": ""}),
        ("diff --git a/old.py b/old.py\ndeleted file mode 100644\n--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-keep\n", {"old.py": None}),
        ("diff --git a/old.py b/new.py\nsimilarity index 100%\nrename from old.py\nrename to new.py\n", {"old.py": None, "new.py": "keep\n"}),
        ("diff --git a/old.py b/new.py\nrename from old.py\nrename to new.py\n--- a/old.py\n+++ b/new.py\n@@ -1 +1 @@\n-keep\n+kept\n", {"old.py": None, "new.py": "kept\n"}),
        ("--- pkg/a.py\t2026-01-01\n+++ pkg/a.py\t2026-01-02\n@@ -3 +3 @@\n-3\n+4\n", {"pkg/a.py": "1\n2\n4\n"}),
        ("--- a/pkg/b.py\n+++ b/pkg/b.py\n@@ -1 +1 @@\n-x = 1\n\\ No newline at end of file\n+x = 2\n", {"pkg/b.py": "x = 2\n"}),
        ("Sure!\r\n```diff\r\n--- a/pkg/a.py\r\n+++ b/pkg/a.py\r\n@@ -1 +1 @@\r\n-1\r\n+0\r\n```\r\n", {"pkg/a.py": "0\n2\n3\n"}),
        ("--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -1 +1 @@\n-1\n+0\n--- a/old.py\n+++ b/old.py\n@@ -1 +1 @@\n-keep\n+k\n", {"pkg/a.py": "0\n2\n3\n", "old.py": "k\n"}),
    ],
    ids=["empty", "deleted", "renamed", "renamed-and-changed", "dated", "no-line-end", "chat-with-crlf", "two"],
)  # fmt: skip
def test_what_git_and_models_write(patch: str, changed: dict[str, str | None]) -> None:
    assert apply_patch(patch, FILES) == changed


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ("", "no unified diff"),
        ("--- a/none.py\n+++ b/none.py\n@@ -1 +1 @@\n-1\n+2\n", "no such file"),
        ("--- a/pkg/bin\n+++ b/pkg/bin\n@@ -1 +1 @@\n-1\n+2\n", "not a text file"),
        ("--- /dev/null\n+++ b/old.py\n@@ -0,0 +1 @@\n+2\n", "but it is there"),
        ("diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc/passwd\n", "symbolic link"),
        ("diff --git a/x b/x\nGIT binary patch\nliteral 3\n", "binary"),
        ("--- a//etc/passwd\n+++ b//etc/passwd\n@@ -1 +1 @@\n-1\n+2\n", "not below the repository"),
        ("--- a/x/../../y\n+++ b/x/../../y\n@@ -1 +1 @@\n-1\n+2\n", "not below the repository"),
        ("--- a/x\x1b[2J\n+++ b/x\x1b[2J\n@@ -1 +1 @@\n-1\n+2\n", r"'x\x1b[2J'"),
        ("--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -1,3 +1 @@\n-1\n+2\n", "fewer or more lines"),
        ("--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ ... @@\n-1\n+2\n", "without line numbers"),
        ("--- a/pkg/a.py\n+++ b/pkg/a.py\n@@ -1,2 +1,2 @@\n 1\n-9\n+2\n", "does not apply"),
        ("--- a/pkg/a.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-1\n", "lines would be left"),
        ("diff --git a/old.py b/pkg/a.py\nrename from old.py\nrename to pkg/a.py\n", "but it is there"),
    ],
)  # fmt: skip
def test_what_is_refused(patch: str, why: str) -> None:
    with pytest.raises(Refused, match=re.escape(why)):
        apply_patch(patch, FILES)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_as_git_does(tmp_path: Path) -> None:
    """A diff that git made of a real tree is applied as git applied it."""
    before, after = tmp_path / "before", tmp_path / "after"
    for folder, files in ((before, {"a.py": "1\n2\n3\n4\n5\n6\n7\n8\n9", "gone.py": "x\n", "same.py": "s\n"}),
                          (after, {"a.py": "1\n2\n3\n4\nnew\n5\n6\n7\n8\n", "sub/made.py": "y", "same.py": "s\n"})):  # fmt: skip
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    patch = subprocess.run(
        ["git", "diff", "--no-index", "--no-prefix", "before", "after"], cwd=tmp_path, capture_output=True, text=True
    ).stdout
    patch = patch.replace("before/", "a/").replace("after/", "b/")
    files = {path.name: path.read_bytes() for path in before.iterdir()}
    assert apply_patch(patch, files) == {
        "a.py": (after / "a.py").read_text(),
        "gone.py": None,
        "sub/made.py": "y",
    }
