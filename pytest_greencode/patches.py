"""Unified diffs, applied to a tree of files in memory. Pure: nothing is read, written or run.

What `git apply` takes for text is taken: hunks may have moved, prose and fences around a diff are passed over. Unlike
`patch`, no line of context may differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

_HUNK: Final = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_LINK_OR_MODULE: Final = re.compile(r"(?:new file|new|old) mode (12|16)0000")
NOWHERE: Final = "/dev/null"


class Refused(Exception):
    """A candidate's change that is not made; the text says why."""


class _Hunk(Struct, frozen=True):
    """`old` and `new` are lines without ends; `open_old` and `open_new` say that the last one has no line end."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    open_old: bool
    open_new: bool


def apply_patch(patch: str, files: Mapping[str, bytes]) -> dict[str, str | None]:
    """The files that a unified diff changes, with their new text; None for one that it deletes.

    `files` by their path, which is relative, with "/". Raises Refused: no diff, a file that is not there or is no text,
    a hunk that does not fit.
    """
    changed: dict[str, str | None] = {}
    lines = patch.replace("\r\n", "\n").split("\n") if _is_crlf(patch, files) else patch.split("\n")
    position = 0
    while (section := _next_section(lines, position)) is not None:
        old_path, new_path, position = section
        hunks: list[_Hunk] = []
        while position < len(lines) and lines[position].startswith("@@"):
            hunk, position = _read_hunk(lines, position, new_path or old_path or "")
            hunks.append(hunk)
        _change(changed, files, old_path, new_path, hunks)
    if not changed:
        raise Refused("no unified diff that changes a file")
    return changed


def _is_crlf(patch: str, files: Mapping[str, bytes]) -> bool:
    """Whether all of the diff, and no file, has CRLF line ends: some clients write all their text so."""
    return 0 < patch.count("\n") == patch.count("\r\n") and not any(b"\r\n" in content for content in files.values())


def _next_section(lines: list[str], position: int) -> tuple[str | None, str | None, int] | None:
    """(old path, new path, line of the first hunk) of the next file; a path is None where there is no such file."""
    said: dict[str, str] = {}  # by the lines of git's own header
    while position < len(lines):
        line = lines[position]
        if line.startswith("diff --git "):
            if (section := _without_hunks(said)) is not None:
                return *section, position
            same = re.fullmatch(r"diff --git a/(.+) b/\1", line.rstrip())
            said = {"path": same[1]} if same else {}
        elif line.startswith(("Binary files ", "GIT binary patch")):
            raise Refused("a binary change")
        elif _LINK_OR_MODULE.match(line):
            raise Refused("a symbolic link or a submodule")
        elif line.startswith(("copy from ", "copy to ")):
            raise Refused("a copied file; expected its lines")
        elif match := re.match(r"rename (from|to) (.+)|(new|deleted) file mode ", line):
            said[match[1] or match[3]] = (match[2] or "").rstrip()
        elif line.startswith("--- ") and position + 1 < len(lines) and lines[position + 1].startswith("+++ "):
            return *_paths(line[4:], lines[position + 1][4:]), position + 2
        position += 1
    section = _without_hunks(said)
    return None if section is None else (*section, position)


def _without_hunks(said: Mapping[str, str]) -> tuple[str | None, str | None] | None:
    """A renamed file, or an empty one that is made or deleted."""
    if "from" in said and "to" in said:
        return _checked(said["from"]), _checked(said["to"])
    if "path" in said and ("new" in said or "deleted" in said):
        path = _checked(said["path"])
        return (None, path) if "new" in said else (path, None)
    return None


def _paths(old: str, new: str) -> tuple[str | None, str | None]:
    old, new = (text.split("\t")[0].strip() for text in (old, new))
    for prefixes in (("a/", "b/"), ("i/", "w/"), ("c/", "w/")):
        if (old == NOWHERE or old.startswith(prefixes[0])) and (new == NOWHERE or new.startswith(prefixes[1])):
            old, new = (text if text == NOWHERE else text[2:] for text in (old, new))
            break
    if old == new == NOWHERE:
        raise Refused("a change from nothing to nothing")
    return tuple(None if path == NOWHERE else _checked(path) for path in (old, new))  # type: ignore[return-value]


def _checked(path: str) -> str:
    """A path below the repository as it is written everywhere."""
    path = path.removeprefix("./")
    parts = path.split("/")
    if not path.isprintable() or "\\" in path or '"' in path or len(path) > 400:
        raise Refused(f"a path that is not plain: {path[:100]!a}")
    if any(part in ("", ".", "..") for part in parts):
        raise Refused(f"a path that is not below the repository: {path[:100]!a}")
    return path


def _read_hunk(lines: list[str], position: int, path: str) -> tuple[_Hunk, int]:
    header = _HUNK.match(lines[position])
    if header is None:
        raise Refused(f"{path}: a hunk without line numbers: {lines[position][:60]!a}")
    start, old_left, new_left = int(header[1]), int(header[2] or 1), int(header[3] or 1)
    old: list[str] = []
    new: list[str] = []
    open_old = open_new = False
    position += 1
    while position < len(lines) and (old_left > 0 or new_left > 0 or lines[position].startswith("\\")):
        sign, text = lines[position][:1] or " ", lines[position][1:]
        if sign == "\\":
            open_old = open_old or lines[position - 1][:1] != "+"
            open_new = open_new or lines[position - 1][:1] != "-"
            position += 1
            continue
        if sign not in " +-":
            break
        if sign != "+":
            old.append(text)
            old_left -= 1
        if sign != "-":
            new.append(text)
            new_left -= 1
        position += 1
    if old_left or new_left:
        raise Refused(f"{path}: the hunk at line {start} has fewer or more lines than it says")
    return _Hunk(start, tuple(old), tuple(new), open_old, open_new), position


def _change(
    changed: dict[str, str | None],
    files: Mapping[str, bytes],
    old_path: str | None,
    new_path: str | None,
    hunks: list[_Hunk],
) -> None:
    path = new_path or old_path or ""
    if old_path is None:
        if path in files or changed.get(path) is not None:
            raise Refused(f"{path}: to be made anew, but it is there")
        text = ""
    else:
        text = _text_of(changed, files, old_path)
        if new_path is not None and new_path != old_path and (new_path in files or changed.get(new_path) is not None):
            raise Refused(f"{new_path}: to be renamed to, but it is there")
    text = _with_hunks(text, hunks, path)
    if new_path is None and text:
        raise Refused(f"{path}: to be deleted, but lines would be left")
    if old_path is not None and old_path != new_path:
        changed[old_path] = None
    if new_path is not None:
        changed[new_path] = text


def _text_of(changed: Mapping[str, str | None], files: Mapping[str, bytes], path: str) -> str:
    text = changed.get(path)
    if text is not None:
        return text
    if path in changed or path not in files:
        raise Refused(f"{path}: no such file in the repository")
    try:
        return files[path].decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{path}: not a text file in UTF-8") from None


def _with_hunks(text: str, hunks: list[_Hunk], path: str) -> str:
    ends_open = bool(text) and not text.endswith("\n")
    lines = text.split("\n")
    if not ends_open:
        lines.pop()  # what is behind the last line end is no line
    result: list[str] = []
    done = moved = 0
    for hunk in hunks:
        at = _find(lines, hunk, done, moved, ends_open)
        if at is None:
            raise Refused(f"{path}: the hunk at line {hunk.start} does not apply")
        moved = at - _said(hunk)
        result += lines[done:at]
        result += hunk.new
        done = at + len(hunk.old)
        if done == len(lines):
            ends_open = hunk.open_new
        elif hunk.open_new:
            raise Refused(f"{path}: the hunk at line {hunk.start} is not at the end of the file")
    result += lines[done:]
    return "\n".join(result) + ("" if ends_open or not result else "\n")


def _said(hunk: _Hunk) -> int:
    """The index of the line that a hunk begins with, by its own words; without old lines it stands behind that line."""
    return hunk.start - 1 if hunk.old else hunk.start


def _find(lines: list[str], hunk: _Hunk, done: int, moved: int, ends_open: bool) -> int | None:
    """Where the old lines stand: the nearest place to where they should, behind what is done."""
    last = len(lines) - len(hunk.old)
    for at in _nearest(_said(hunk) + moved, done, last):
        if tuple(lines[at : at + len(hunk.old)]) == hunk.old and (not hunk.open_old or (at == last and ends_open)):
            return at
    return None


def _nearest(wanted: int, first: int, last: int) -> Iterator[int]:
    wanted = min(max(wanted, first), max(last, first))
    for distance in range(max(last - first, 0) + 1):
        for at in dict.fromkeys((wanted - distance, wanted + distance)):
            if first <= at <= last:
                yield at
