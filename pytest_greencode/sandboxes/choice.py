"""Which kind of sandbox a session uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_greencode.errors import SandboxUnavailable
from pytest_greencode.sandboxes.base import SandboxKind
from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind, UnsandboxedKind


def choose_sandbox(
    name: str,
    *,
    memory_bytes: int,
    cores: Sequence[int],
    image: str | None,
    notify: Callable[[str], None],
    runtime: str | None = None,
) -> SandboxKind:
    """The sandbox that was asked for. `auto`: Docker if its daemon answers, else bubblewrap if it starts.

    `cores`: sandboxes are bound to these in turn. Never anything weaker than asked for: raises SandboxUnavailable,
    whose text says how to get one.
    """
    if name == "none":
        return UnsandboxedKind(memory_bytes=memory_bytes, cores=cores)
    if name == "bubblewrap":
        return BubblewrapKind(memory_bytes=memory_bytes, cores=cores)
    from pytest_greencode.sandboxes.docker import DockerKind  # the SDK takes a while to load

    try:
        return DockerKind(memory_bytes=memory_bytes, cores=cores, image=image, runtime=runtime, notify=notify)
    except SandboxUnavailable as no_docker:
        if name == "docker" or image is not None or runtime is not None:
            raise
        try:
            kind = BubblewrapKind(memory_bytes=memory_bytes, cores=cores)
            kind.start().close()
        except SandboxUnavailable as no_bubblewrap:
            raise SandboxUnavailable(
                f"no sandbox for model-written code on this machine.\ndocker: {no_docker}\nbubblewrap: {no_bubblewrap}"
            ) from no_bubblewrap
        notify(f"bubblewrap, as {str(no_docker).partition(': ')[0]}")
        return kind
