"""How far verdicts can be trusted, from a run's facts: the sandbox's self-test, tests that were not kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .text import escape

_HELD = "held"


def self_test_of(run_facts: Mapping[str, Any]) -> str | None:
    """The sandbox's self-test in a phrase; None where the run has none."""
    checks = _checks(run_facts)
    if not checks:
        return None
    broken = _broken(checks)
    held = f"self-test: {len(checks) - len(broken)} of {len(checks)} promises held"
    return f"{held}, not {', '.join(map(escape, broken))}" if broken else held


def trust_cautions(run_facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(what, why, remedy) of what makes verdicts less certain than a sandbox's should be."""
    broken = _broken(_checks(run_facts))
    if broken:
        yield (
            f"the sandbox left open: {', '.join(map(escape, broken))}",
            "a hostile solution may have reached what it should not",
            "run with --greencode-sandbox docker or bubblewrap",
        )
    suites = run_facts.get("suites")
    for suite in suites if isinstance(suites, (list, tuple)) else ():
        count = _mapping(suite).get("same_process")
        if isinstance(count, int) and count > 0:
            name = escape(str(_mapping(suite).get("name", "")))
            yield (
                f"not tamper-proof: {count} task{'s' * (count != 1)} of {name} ran in one process with their tests",
                "there a solution can forge its verdict",
                'leave `"verdict": "same-process"` out of the suite where the tests allow it',
            )


def _checks(run_facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(_mapping(run_facts.get("sandbox")).get("self_test")).get("checks"))


def _broken(checks: Mapping[str, Any]) -> list[str]:
    return [str(name) for name, found in checks.items() if found != _HELD]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def all_cautions(run_facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The run's own (`what`, `why`, `remedy`), then its meter's."""
    return [*run_facts.get("cautions", ()), *(run_facts.get("meter") or {}).get("cautions", ())]
