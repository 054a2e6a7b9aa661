"""What commands print and write."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_greencode.errors import UsageProblem


def say(text: str) -> None:
    sys.stdout.write(
        text.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8") + "\n"
    )


def warn(lines: Iterable[str]) -> None:
    """What a file of numbers has no place for."""
    sys.stderr.writelines(f"{line}\n" for line in lines)


@contextlib.contextmanager
def writing(path: Path, flag: str = "--output") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageProblem(f"{flag} {path}: {error.strerror or error}; expected a file that can be written") from error
