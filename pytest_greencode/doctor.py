"""What this machine can do, and what to paste where it cannot: `greencode doctor`."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterator

from pytest_greencode.errors import GreencodeError, SandboxUnavailable
from pytest_greencode.meters.choice import open_counters
from pytest_greencode.meters.estimated import EstimatedMeter
from pytest_greencode.meters.protocol import cautions as cautions_of
from pytest_greencode.meters.protocol import read_environment
from pytest_greencode.meters.pyrapl import stray_tests
from pytest_greencode.reports.text import message

_MEMORY_BYTES = 1 << 30


def examine(say: Callable[[str], None], *, build: bool = False) -> int:
    """Says what there is; 1 where nothing can be run, or where the image that was asked for cannot be built."""
    checks: list[tuple[str, Callable[[], str]]] = [
        ("python", lambda: f"{platform.python_version()} on {platform.platform()}"),
        ("docker", _docker),
        ("image", lambda: _image(say, rebuild=build)),
        ("bubblewrap", _bubblewrap),
        ("counters", _counters),
        ("estimate", lambda: EstimatedMeter.of_host().source),
    ]
    missing = set()
    for name, check in checks:
        try:
            verdict, text = "ok", check()
        except (GreencodeError, OSError, subprocess.SubprocessError) as error:
            verdict, text = "missing", str(error)
            missing.add(name)
        for line in message(text, first=f"{name:<11}{verdict:<9}", rest=" " * 20):
            say(line)
    if (stray := stray_tests()) is not None:
        for line in message(
            f"pyRAPL has put a package `tests` at {stray}, which hides a directory tests/ of yours that has no "
            "__init__.py; give yours one, or delete that package",
            first=f"{'pyRAPL':<11}{'note':<9}",
            rest=" " * 20,
        ):
            say(line)
    for line in _machine_notes():
        say(line)
    if {"docker", "bubblewrap"} <= missing:
        say("no sandbox: nothing can be run here until docker or bubblewrap is ok")
        return 1
    return 1 if build and "image" in missing else 0


def _counters() -> str:
    """The CPU's energy counters, if they can be read."""
    counters = open_counters()
    try:
        facts = counters.describe()
        names = ", ".join(domain.name for domain in counters.domains)
    finally:
        counters.close()
    return f"{facts['backend']}: {names}"


def _machine_notes() -> Iterator[str]:
    """What makes measured energy less certain on this machine, each with its remedy."""
    for caution in cautions_of(read_environment()):
        text = f"{caution.what} {caution.why} {caution.remedy}"
        yield from message(text, first=f"{'energy':<11}{'note':<9}", rest=" " * 20)


def _docker() -> str:
    from pytest_greencode.sandboxes.docker import connect

    client = connect()
    version = client.version()
    client.close()
    return f"engine {version.get('Version')}, API {version.get('ApiVersion')}"


def _image(say: Callable[[str], None], *, rebuild: bool) -> str:
    from pytest_greencode.sandboxes.docker import DockerKind, build_image, connect

    client = connect()
    image = build_image(client, notify=say, rebuild=rebuild)
    client.close()
    kind = DockerKind(memory_bytes=_MEMORY_BYTES)
    try:
        sandbox = kind.start()
        facts = sandbox.facts
        sandbox.close()
    finally:
        kind.close()
    landlock = f"Landlock ABI {facts['landlock_abi']}" if facts["landlock_abi"] else "no Landlock"
    return f"{image[:19]}, Python {facts['python']}, {landlock}, starts"


def _bubblewrap() -> str:
    from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind

    kind = BubblewrapKind(memory_bytes=_MEMORY_BYTES)
    sandbox = kind.start()
    facts = sandbox.facts
    sandbox.close()
    if not facts["landlock_abi"]:
        raise SandboxUnavailable("bubblewrap starts, but the kernel has no Landlock: writes are kept by mounts alone")
    return f"{kind.describe()['engine']}, Landlock ABI {facts['landlock_abi']}, starts"
