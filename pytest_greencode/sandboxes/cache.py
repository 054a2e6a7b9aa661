"""Bytes that take a while to make, kept in the user's cache directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_directory() -> Path | None:
    """Where this package keeps things for its user; None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greencode"
    except RuntimeError:
        return None


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """One process of this user at a time makes what has this name; without a cache directory nobody waits."""
    directory = cache_directory()
    with contextlib.ExitStack() as stack:
        if directory is not None:
            with contextlib.suppress(OSError):
                directory.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((directory / f"{name}.lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(name: str, make: Callable[[], bytes], *, good: Callable[[bytes], bool] = bool) -> bytes:
    """What `make` gave under this name before, if it is still `good`, else what it gives now.

    A cache that cannot be read or written is as good as none.
    """
    directory = cache_directory()
    if directory is None:
        return make()
    path = directory / name
    with contextlib.suppress(OSError):
        known = path.read_bytes()
        if good(known):
            return known
    made = make()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(made)
        temporary.replace(path)
    return made
