"""What has to be the same for joules and verdicts of two runs to be comparable, by name, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def conditions(facts: Mapping[str, Any], suite: str) -> dict[str, str]:
    """Of samples on one suite."""
    sandbox, options = (facts.get(name) or {} for name in ("sandbox", "options"))
    suites = {each.get("name"): each for each in facts.get("suites") or ()}
    known = suites.get(suite, {})
    return {
        **_machine(facts),
        "sandbox": f"{sandbox.get('sandbox')} {sandbox.get('image')}",
        "suite": f"{known.get('version')} {str(known.get('sha256'))[:12]}",
        "limits": ", ".join(f"{name} {options.get(name)}" for name in ("timeout_s", "memory_bytes", "extract")),
    }


def conditions_of_tests(facts: Mapping[str, Any]) -> dict[str, str]:
    """Of an ordinary test suite. A patch release of Python or pytest makes no difference that a gate would see.

    Repetitions are warmer than the first run, and workers share caches and power.
    """
    versions, options = (facts.get(name) or {} for name in ("versions", "options"))
    python, pytest = (str(versions.get(name)).split(".") for name in ("python", "pytest"))
    return {
        **_machine(facts),
        "Python": ".".join(python[:2]),
        "pytest": pytest[0],
        **{name: str(options[name]) for name in ("repeat", "workers") if options.get(name) is not None},
    }


def selection_of(facts: Mapping[str, Any]) -> str | None:
    """What pytest was told to run, "" for all; None where it was not kept."""
    selection = facts.get("selection")
    return None if selection is None else " ".join(map(str, selection))


def told_apart(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{name}: baseline {was}, now {now[name]}" for name, was in then.items() if name in now and now[name] != was
    ]


def _machine(facts: Mapping[str, Any]) -> dict[str, str]:
    meter, options = (facts.get(name) or {} for name in ("meter", "options"))
    return {
        "CPU": str(facts.get("cpu")),
        "meter": f"{meter.get('source')}, {options.get('attribution')}" if meter else "none",
    }
