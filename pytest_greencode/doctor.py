"""What this machine can do, and what to paste where it cannot: `greencode doctor`."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator

from pytest_greencode.errors import GreencodeError
from pytest_greencode.meters.choice import open_counters
from pytest_greencode.meters.estimated import EstimatedMeter
from pytest_greencode.meters.protocol import cautions as cautions_of
from pytest_greencode.meters.protocol import read_environment
from pytest_greencode.meters.pyrapl import stray_tests
from pytest_greencode.reports.text import message
from pytest_greencode.sandboxes.base import SandboxKind

_MEMORY_BYTES = 1 << 30


Line = tuple[str, str, str]  # name, "ok" or "missing" or "note", text


def examine(say: Callable[[str], None], *, build: bool = False) -> int:
    """Says what there is; 1 where nothing can be run, or where the image that was asked for cannot be built."""
    checks: list[tuple[str, Callable[[], Iterable[Line]]]] = [
        ("python", lambda: [("python", "ok", f"{platform.python_version()} on {platform.platform()}")]),
        ("docker", _docker),
        ("image", lambda: _image(say, rebuild=build)),
        ("bubblewrap", _bubblewrap),
        ("counters", lambda: [("counters", "ok", _counters())]),
        ("estimate", lambda: [("estimate", "ok", EstimatedMeter.of_host().source)]),
        ("pyRAPL", _stray_tests),
        ("energy", _machine_notes),
    ]
    missing = set()
    for name, check in checks:
        try:
            lines = list(check())
        except (GreencodeError, OSError, subprocess.SubprocessError) as error:
            lines = [(name, "missing", str(error))]
        for key, state, text in lines:
            for shown in message(text, first=f"{key:<14}{state:<9}", rest=" " * 23):
                say(shown)
            if state == "missing":
                missing.add(name)
    if {"docker", "image"} & missing and "bubblewrap" in missing:
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


def _stray_tests() -> Iterator[Line]:
    if (stray := stray_tests()) is not None:
        text = (
            f"pyRAPL has put a package `tests` at {stray}, which hides a directory tests/ of yours that has no "
            "__init__.py; give yours one, or delete that package"
        )
        yield "pyRAPL", "note", text


def _machine_notes() -> Iterator[Line]:
    """What makes measured energy less certain on this machine, each with its remedy."""
    for caution in cautions_of(read_environment()):
        yield "energy", "note", f"{caution.what} {caution.why} {caution.remedy}"


def _docker() -> Iterator[Line]:
    from pytest_greencode.sandboxes.docker import connect, runtimes

    client = connect()
    version, info = client.version(), client.info()
    known = runtimes(client)
    client.close()
    yield "docker", "ok", f"engine {version.get('Version')}, API {version.get('ApiVersion')}"
    yield "cgroup", "ok", f"version {info.get('CgroupVersion', 1)}, driver {info.get('CgroupDriver')}"
    for warning in info.get("Warnings") or ():
        yield "docker", "note", str(warning)
    yield "runtimes", "ok", f"{', '.join(known)}: what --greencode-runtime may name"


def _image(say: Callable[[str], None], *, rebuild: bool) -> Iterator[Line]:
    from pytest_greencode.sandboxes.docker import DockerKind, build_image, connect

    client = connect()
    image = build_image(client, notify=say, rebuild=rebuild)
    client.close()
    kind = DockerKind(memory_bytes=_MEMORY_BYTES)
    try:
        yield from _started("image", kind, image[:19])
    finally:
        kind.close()


def _bubblewrap() -> Iterator[Line]:
    from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind

    kind = BubblewrapKind(memory_bytes=_MEMORY_BYTES)
    yield from _started("bubblewrap", kind, str(kind.describe()["engine"]))


def _started(name: str, kind: SandboxKind, what: str) -> Iterator[Line]:
    """A sandbox, and each of its promises as its self-test found it."""
    from pytest_greencode.sandboxes.self_test import PROMISES, REMEDIES, BrokenPromise

    try:
        sandbox = kind.start()
    except BrokenPromise as error:
        found = error.found
        yield name, "missing", f"{what}: it starts, but does not keep its promises, so nothing is run in it"
    else:
        facts = sandbox.facts
        sandbox.close()
        assert kind.self_test is not None
        found = kind.self_test
        yield name, "ok", f"{what}, Python {facts['python']}; {kind.tier}"
        if not facts["landlock_abi"]:
            yield "  landlock", "missing", f"writes are kept by mounts alone; {REMEDIES['files']}"
        else:
            yield "  landlock", "ok", f"ABI {facts['landlock_abi']}"
    for promise in found.promised:
        text = PROMISES[promise]
        if promise in found.broken:
            text += (
                f"; open: {found.broken[promise]}; {REMEDIES.get(promise, 'nothing to paste: take another sandbox')}"
            )
        yield f"  {promise}", "missing" if promise in found.broken else "ok", text
