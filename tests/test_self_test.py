"""A sandbox that does not keep a promise is refused by that promise's name; what was found stands in the reports."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import docker.api
import pytest
from conftest import MEMORY_BYTES, executions, require_sandbox, right, with_sandbox, write_samples

from pytest_greencode.doctor import examine
from pytest_greencode.reports.trust import self_test_of, trust_cautions
from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind, UnsandboxedKind, find_bwrap
from pytest_greencode.sandboxes.docker import DockerKind
from pytest_greencode.sandboxes.self_test import PROMISES, BrokenPromise

USAGE_ERROR = 4
LEDGER = Path(".greencode/ledger.sqlite")
# A `bwrap` that forgets one of its arguments.
FORGETFUL = """#!{python}
import os, sys
kept = [word for word in sys.argv[1:] if word != "{word}"]
if "--unshare-all" in kept:
    kept.insert(kept.index("--unshare-all") + 1, "--share-net")
os.execv("{real}", ["bwrap", *kept])
"""


@pytest.fixture
def without_network_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_sandbox("bubblewrap")
    stub = tmp_path / "bin" / "bwrap"
    stub.parent.mkdir()
    stub.write_text(FORGETFUL.format(python=sys.executable, word="--unshare-net", real=find_bwrap()))
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(stub.parent), prepend=":")


def test_each_sandbox_keeps_its_promises(sandbox: str) -> None:
    kind = {"docker": DockerKind, "bubblewrap": BubblewrapKind}[sandbox](memory_bytes=MEMORY_BYTES)
    try:
        kind.start().close()
    finally:
        kind.close()
    checks = kind.describe()["self_test"]["checks"]
    assert set(checks.values()) == {"held"}
    assert set(PROMISES) - set(checks) <= ({"cgroup", "users"} if sandbox == "bubblewrap" else set())


@pytest.mark.docker
def test_a_closed_container_leaves_nothing_for_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which complains at the end of a session where it finds a closed socket (Python 3.13 and later)."""
    require_sandbox("docker")
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda complaint: complaints.append(complaint.exc_value))
    kind = DockerKind(memory_bytes=MEMORY_BYTES)
    try:
        kind.start().close()
    finally:
        kind.close()
    gc.collect()
    assert complaints == []


def test_no_sandbox_promises_nothing_and_says_what_is_open() -> None:
    kind = UnsandboxedKind(memory_bytes=MEMORY_BYTES)
    try:
        kind.start().close()
    finally:
        kind.close()
    checks = kind.describe()["self_test"]["checks"]
    assert checks["processes"].startswith("open: it is not process 1")
    assert checks["memory"] == "held"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("change", "broken", "remedy"),
    [
        ({"pids_limit": None}, {"threads", "cgroup"}, "Delegate=memory pids"),
        ({"mem_limit": None, "memswap_limit": None}, {"cgroup"}, "Delegate=memory pids"),
        ({"pid_mode": "host"}, {"processes"}, "greencode doctor"),
    ],
    ids=["no-pids-limit", "no-memory-limit", "host-processes"],
)
def test_a_container_that_lacks_a_limit_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], broken: set[str], remedy: str
) -> None:
    require_sandbox("docker")
    real = docker.api.APIClient.create_host_config
    monkeypatch.setattr(
        docker.api.APIClient, "create_host_config", lambda self, **arguments: real(self, **{**arguments, **change})
    )
    kind = DockerKind(memory_bytes=MEMORY_BYTES)
    try:
        with pytest.raises(BrokenPromise) as raised:
            kind.start()
    finally:
        kind.close()
    assert set(raised.value.found.broken) >= broken
    assert all(f"\n{name}: {PROMISES[name]}; open: " in str(raised.value) for name in broken)
    assert remedy in str(raised.value)


@pytest.mark.bubblewrap
@pytest.mark.usefixtures("without_network_namespace")
def test_a_broken_promise_is_a_usage_error_and_nothing_runs(pytester: pytest.Pytester) -> None:
    path = write_samples(Path("m.jsonl"), right(0))
    result = pytester.runpytest_subprocess(*with_sandbox("bubblewrap", path), timeout=60)
    text = result.stdout.str() + result.stderr.str()
    assert result.ret == USAGE_ERROR
    assert "the bubblewrap sandbox does not keep its promises" in text
    assert "network: a solution has no network and no sockets; open: " in " ".join(text.split())
    assert "Traceback" not in text
    assert executions(LEDGER) == {}


@pytest.mark.bubblewrap
@pytest.mark.usefixtures("without_network_namespace")
def test_doctor_names_the_broken_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    lines: list[str] = []
    assert examine(lines.append) == 1
    assert any(line.split()[:2] == ["bubblewrap", "missing"] for line in lines)
    states = {line.split()[0]: line.split()[1] for line in lines if line.startswith("  ") and line[2] != " "}
    assert states["network"] == "missing"
    assert states["files"] == states["signals"] == "ok"
    assert all(len(line) <= 80 or "/" in line for line in lines)


CHECKS = {"network": "held", "files": "held"}


@pytest.mark.parametrize(
    ("facts", "phrase", "whats"),
    [
        ({"sandbox": {"self_test": {"checks": CHECKS}}}, "self-test: 2 of 2 promises held", []),
        (
            {"sandbox": {"self_test": {"checks": {**CHECKS, "users\x1b": "open: 1"}}}},
            r"self-test: 2 of 3 promises held, not users\x1b",
            [r"the sandbox left open: users\x1b"],
        ),
        (
            {"suites": [{"name": "own\n", "same_process": 2}, {"name": "HumanEval", "same_process": 0}, 5]},
            None,
            [r"not tamper-proof: 2 tasks of own\n ran in one process with their tests"],
        ),
        ({"sandbox": None, "suites": None}, None, []),
        ({"sandbox": {"self_test": "x"}, "suites": [{"same_process": "many"}]}, None, []),
        ({}, None, []),
    ],
)
def test_reports_say_how_far_verdicts_can_be_trusted(
    facts: dict[str, Any], phrase: str | None, whats: list[str]
) -> None:
    assert self_test_of(facts) == phrase
    assert [what for what, _, _ in trust_cautions(facts)] == whats
