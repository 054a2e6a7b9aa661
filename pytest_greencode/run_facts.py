"""What the ledger keeps of a run beside its attempts: machine, versions, sandbox, meter, suites, options."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

import pytest_greencode
from pytest_greencode.meters.metering import Metering
from pytest_greencode.model import Factors, Suite
from pytest_greencode.options import Options
from pytest_greencode.plain import plain_values
from pytest_greencode.reports.text import escape
from pytest_greencode.repository import Environment

if TYPE_CHECKING:
    from pytest_greencode.live import Live
    from pytest_greencode.sandboxes.base import SandboxKind


def run_facts(
    config: pytest.Config,
    options: Options,
    *,
    run_id: str,
    metering: Metering,
    kind: SandboxKind | None,
    environments: Mapping[Environment, SandboxKind],
    suites: Iterable[Suite],
    jobs: int,
    workers: int,
    live: Live | None,
    factors: Factors | None,
    assumptions: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Plain values only. `workers`: pytest-xdist's. `kind`, `environments`: the sandboxes, of samples and of
    repositories' own tests.
    """
    system = os.uname()  # not platform.platform(), which starts a program
    return {
        "run_id": run_id,
        "versions": {
            "pytest_greencode": pytest_greencode.__version__,
            "pytest": pytest.__version__,
            "python": platform.python_version(),
        },
        "host": system.nodename,
        "platform": f"{system.sysname}-{system.release}-{system.machine}",
        "cpu": metering.cpu,
        "cpu_count": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "sandbox": kind.describe() if kind is not None else None,
        "repositories": [
            {"requirements": list(environment.requirements), "image": each.describe()["image"]}
            for environment, each in environments.items()
        ],
        "meter": metering.describe(),
        "suites": [
            {
                "name": suite.name,
                "version": suite.version,
                "sha256": suite.sha256,
                "same_process": sum(task.same_process for task in suite.tasks.values()),
            }
            for suite in suites
        ],
        "options": {
            "jobs": jobs,
            "timeout_s": options.timeout_s,
            "memory_bytes": options.memory_bytes,
            "extract": "auto" if options.extract else "none",
            "attempts": options.attempts,
            "isolation": "attempt" if options.fresh_sandboxes else "worker",
            "stop_at_accepted": options.stop_at_accepted,
            "repair": options.live is not None and options.live.repair,
            "attribution": "exclusive" if options.exclusive else "attributed",
            "precision": options.precision,
            "weights": options.weights,
            "fail": [rule.text for rule in options.rules],
            "repeat": options.repeat,
            "workers": workers,
        },
        "generation": None if live is None else live.describe(),
        "factors": None if factors is None else plain_values(factors),
        "assumptions": assumptions,
        "command": [escape(argument) for argument in config.invocation_params.args],
        "started_at": now(),
    }


def now() -> str:
    """UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
