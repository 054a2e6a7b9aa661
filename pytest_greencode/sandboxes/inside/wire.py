"""What the processes of the sandbox share: bytes on descriptors, users and limits."""

from __future__ import annotations

import os
import resource
import struct

SOLUTION_USER, ORACLE_USER = map(int, os.environ.get("GREENCODE_USERS", "65534 65533").split())

FRAME = struct.Struct("<I")
HELLO = struct.Struct("<dq")  # CPU seconds and resident bytes of a solution before its first statement
# How a call is made: its arguments are compared afterwards; what it prints is wanted.
WATCH, CAPTURE = 1, 2
MAX_PRINTED = 1 << 20
MAX_REPLY_BYTES = 16 << 20
MAX_DETAIL_CHARACTERS = 400


class BadReply(BaseException):
    """S sent something that is not a reply. A BaseException, so that a test's `except Exception` does not hide it."""


def plain_text(value: object) -> str:
    """Bounded text that any encoding can carry."""
    return str(value)[:MAX_DETAIL_CHARACTERS].encode("utf-8", "backslashreplace").decode()


def read_exactly(descriptor: int, size: int) -> bytes:
    """`size` bytes of `descriptor`; EOFError when it ends before."""
    chunk = os.read(descriptor, min(size, 1 << 20))
    if len(chunk) == size:
        return chunk
    chunks = []
    while chunk:
        chunks.append(chunk)
        size -= len(chunk)
        if not size:
            return b"".join(chunks)
        chunk = os.read(descriptor, min(size, 1 << 20))
    raise EOFError


def write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_frame(descriptor: int, body: bytes) -> None:
    write_all(descriptor, FRAME.pack(len(body)) + body)


def read_frame(descriptor: int) -> bytes:
    """One frame's body. Both sides take turns, so what one read brings is never more than one frame."""
    chunk = os.read(descriptor, 65536)
    if not chunk:
        raise EOFError
    while len(chunk) < FRAME.size:
        chunk += read_exactly(descriptor, FRAME.size - len(chunk))
    (size,) = FRAME.unpack_from(chunk)
    missing = FRAME.size + size - len(chunk)
    if missing < 0 or size > MAX_REPLY_BYTES:
        raise BadReply("a frame that is too large" if missing >= 0 else "more than one reply")
    return chunk[FRAME.size :] + (read_exactly(descriptor, missing) if missing else b"")


def limit(name: int, value: int, *, soft: int | None = None) -> None:
    """Lower a resource limit; a hard limit that is already lower stays. `soft`: what it is until somebody raises it."""
    _, hard = resource.getrlimit(name)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(name, (value if soft in (None, resource.RLIM_INFINITY) else min(soft, value), value))


def become(user: int) -> None:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
