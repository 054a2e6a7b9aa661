"""A samples file that is being written: one writer, whole lines, and what it has already."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import FileFormatError, UsageProblem
from ..model import Configuration, canonical_settings, canonical_task_id

_FOUND_LENGTH = 60


class SamplesFile:
    """Appends lines to a JSONL file, each with one write. Raises UsageProblem for what cannot be opened or written.

    A last line that was cut is taken off when the file is opened (`mended` says what it was); one that only lacks its
    end of line gets it. A line that cannot be written, on a full disk for instance, is not half written: it is kept,
    and written before the next one.

    `default_model`: of lines that name none. `has` tells of samples; lines about failed requests (`error`) are none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mended: str | None = None
        self.default_model = path.name.removesuffix(".jsonl")
        if path.suffix != ".jsonl":
            raise UsageProblem(f"{path}: expected a name that ends in .jsonl to write samples to, found {path.name!r}")
        self._unwritten: list[bytes] = []
        self._ids: defaultdict[tuple[Configuration, str], set[int]] = defaultdict(set)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._problem(error) from error
        try:
            self._lock()
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def _problem(self, error: OSError, more: str = "") -> UsageProblem:
        reason = error.strerror or type(error).__name__
        return UsageProblem(f"{self.path}: {reason}{more}; expected a file that samples can be written to")

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise self._problem(error) from error
            raise UsageProblem(
                f"{self.path}: another recorder is writing it; wait for it, or give each its own file "
                "(pytest --greencode takes several)"
            ) from None

    def _read(self) -> None:
        try:
            with open(self._file, "rb", closefd=False) as file:
                for number, line in enumerate(file, 1):
                    text = line.strip()
                    if not line.endswith(b"\n") and text:
                        self._mend(line, number)
                    elif text:
                        self._note(self._parsed(text, number), number)
        except OSError as error:
            raise self._problem(error) from error

    def _mend(self, line: bytes, number: int) -> None:
        try:
            row = self._parsed(line.strip(), number)
        except FileFormatError:
            os.ftruncate(self._file, os.fstat(self._file).st_size - len(line))
            self.mended = f"{self.path}:{number}: the line was cut at {len(line)} bytes; it is taken off"
            return
        self._note(row, number)
        os.write(self._file, b"\n")

    def _parsed(self, text: bytes, number: int) -> Mapping[str, Any]:
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            found = repr(text[:_FOUND_LENGTH].decode("utf-8", "replace"))
            raise FileFormatError(str(self.path), number, None, "a JSON object", found)
        return row

    def _note(self, row: Mapping[str, Any], number: int) -> None:
        if "completion" not in row and "solution" not in row:
            return
        task_id, settings, sample_id = row.get("task_id"), row.get("settings"), row.get("sample_id")
        model = row.get("model")
        model = self.default_model if model is None else model
        if not isinstance(task_id, str | int) or not isinstance(model, str) or not isinstance(settings or {}, dict):
            raise FileFormatError(str(self.path), number, None, "a sample", "a line that is none")
        ids = self._ids[
            Configuration(model=model, settings=canonical_settings(settings or {})), canonical_task_id(task_id)
        ]
        ids.add(sample_id if isinstance(sample_id, int) else len(ids))

    def has(self, configuration: Configuration, task_id: str, sample_id: int) -> bool:
        return sample_id in self._ids.get((configuration, task_id), ())

    def samples(self, configuration: Configuration, task_id: str) -> int:
        """How many there are."""
        return len(self._ids.get((configuration, task_id), ()))

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write lines now. A sample that cannot be written is kept, and counts as had."""
        for row in rows:
            self._unwritten.append(json.dumps(row, ensure_ascii=True, allow_nan=False).encode() + b"\n")
            self._note(row, 0)
        self.flush()

    def flush(self) -> None:
        """Write what could not be written before."""
        while self._unwritten:
            line = self._unwritten[0]
            size = os.fstat(self._file).st_size
            try:
                if os.write(self._file, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                os.ftruncate(self._file, size)
                count = len(self._unwritten)
                raise self._problem(error, f": {count} line{'s' * (count != 1)} not written, kept in memory") from error
            del self._unwritten[0]

    def close(self) -> None:
        """Write what is left, and let others write. Raises as `flush` does."""
        if self._file < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._file)
            self._file = -1
