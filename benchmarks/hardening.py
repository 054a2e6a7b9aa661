"""What hardening costs: the worker as it is, and the same worker without its filters, Landlock and users, in one run.

HumanEval's canonical solutions in one sandbox of each sort, rounds interleaved. CPU time is the sandbox's own
(solution, tests, supervisor), wall time from the first request to the last answer; on a busy machine believe the first.

    python benchmarks/hardening.py [--rounds 7] [--sandbox docker --sandbox bubblewrap]

Writes benchmarks/hardening.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import docker.api

from pytest_greencode.model import Limits
from pytest_greencode.sandboxes import base, bubblewrap
from pytest_greencode.sandboxes import docker as docker_sandbox
from pytest_greencode.sandboxes.base import Request, SandboxKind, WorkerSandbox, digest
from pytest_greencode.suites.formats import canonical_program, human_eval

HERE = Path(__file__).parent
MEMORY_BYTES = 1 << 30
# Appended to the worker's modules; later ones take these names.
WITHOUT = {
    "lockdown": "\nFilter.install = lambda self: None\nallow_writes_only_in = lambda directory: False\n"
    "no_new_privileges = not_dumpable = hand_down_no_capabilities = lambda: None\n",
    "supervisor": "\ncan_switch_users = lambda: False\n",
}
UNHARDENED = {"read_only": False, "cap_drop": None, "security_opt": ["seccomp=unconfined"], "tmpfs": {"/w": ""}}


@contextlib.contextmanager
def unhardened() -> Iterator[None]:
    """Sandboxes that are started in here lack what hardens them."""
    texts, real = base.worker_texts(), docker.api.APIClient.create_host_config
    changed = {name: text + WITHOUT.get(name.rpartition(".")[2], "") for name, text in texts.items()}

    def host_config(self: Any, **arguments: Any) -> Any:
        return real(self, **{**arguments, **UNHARDENED, "cap_add": None})

    with contextlib.ExitStack() as stack:
        for module in (base, docker_sandbox, bubblewrap):
            stack.enter_context(mock.patch.object(module, "worker_texts", return_value=changed))
        for module in (docker_sandbox, bubblewrap):  # it would find out
            stack.enter_context(mock.patch.object(module, "prove", return_value=None))
        stack.enter_context(mock.patch.object(docker.api.APIClient, "create_host_config", host_config))
        yield


def kind_of(name: str) -> SandboxKind:
    kinds: dict[str, Any] = {"docker": docker_sandbox.DockerKind, "bubblewrap": bubblewrap.BubblewrapKind}
    return kinds[name](memory_bytes=MEMORY_BYTES, cores=sorted(os.sched_getaffinity(0)))  # type: ignore[no-any-return]


def one_round(sandbox: WorkerSandbox, requests: list[Request]) -> tuple[float, float]:
    """(CPU, wall) seconds per attempt."""
    start_s = time.perf_counter()
    done = list(sandbox.run_all(requests))
    wall_s = time.perf_counter() - start_s
    assert all(each.verdict == "accepted" and not each.dirty for each in done), [each for each in done if each.detail]
    readings = [each.reading for each in done]
    cpu_s = sum(each.cpu_s + each.oracle_cpu_s + each.harness_cpu_s for each in readings)
    return cpu_s / len(done), wall_s / len(done)


def _spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--sandbox", action="append", default=[])
    arguments = parser.parse_args()
    limits = Limits(cpu_s=30.0, memory_bytes=MEMORY_BYTES)
    # Without those that take a second each: what is sought is the price of an attempt, not of the work in it.
    tasks = [task for task in human_eval().tasks.values() if task.task_id not in ("HumanEval/75", "HumanEval/147")]
    requests = [
        Request(digest(task.tests, task.prelude), task, canonical_program(task), limits, 60.0) for task in tasks
    ]
    rows = []
    for name in arguments.sandbox or ["docker", "bubblewrap"]:
        hard_kind = kind_of(name)
        with unhardened():
            soft_kind = kind_of(name)
            soft = soft_kind.start()
        hard = hard_kind.start()
        for sandbox in (soft, hard):
            one_round(sandbox, requests)  # loads the tests
        found: dict[str, list[tuple[float, float]]] = {"hardened": [], "not": []}
        for turn in range(arguments.rounds):
            order = [("not", soft), ("hardened", hard)]
            for key, sandbox in order if turn % 2 else order[::-1]:
                found[key].append(one_round(sandbox, requests))
        for sandbox, kind in ((soft, soft_kind), (hard, hard_kind)):
            sandbox.close()
            kind.close()
        medians = {
            key: [statistics.median(column) for column in zip(*each, strict=True)] for key, each in found.items()
        }
        cells = [f"{1e3 * medians[key][index]:.2f}" for index in (0, 1) for key in ("not", "hardened")]
        ratios = [
            _spread([a[index] / b[index] for a, b in zip(found["hardened"], found["not"], strict=True)])
            for index in (0, 1)
        ]
        rows.append(f"| {name} | {cells[0]} | {cells[1]} | {ratios[0]} | {cells[2]} | {cells[3]} | {ratios[1]} |")
        print(rows[-1], flush=True)
    setting = (
        f"{len(requests)} canonical solutions of HumanEval, one sandbox, medians of {arguments.rounds} rounds, and of",
        f"the ratios of neighbours with their quartiles. Python {platform.python_version()}, on Linux",
        f"{platform.release()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.",
        "Not hardened: no filter of system calls, no Landlock, one user, no container profile.",
    )
    lines = [
        "# What hardening costs",
        "",
        *setting,
        "",
        "| sandbox | CPU ms per attempt, not hardened | hardened | x | wall ms, not hardened | hardened | x |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Made by `python benchmarks/hardening.py`.",
        "",
    ]
    (HERE / "hardening.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
