"""What turns joules into grams at the two sites: from what the user says of them, or from a run's facts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from . import carbon
from .errors import UsageProblem
from .model import Factors, Intensity, Machine

# Asked before any table: region text -> its intensity, or None.
Ask = Callable[[str], object]


class SiteTexts(Struct, frozen=True, kw_only=True):
    """What the user says of the sites; None where nothing was said. `prefix` begins the names of the flags."""

    prefix: str
    region: str | None = None
    generation_region: str | None = None
    machine: str | None = None
    generation_machine: str | None = None
    pue: float | None = None
    generation_pue: float | None = None


def factors_of(
    texts: SiteTexts, *, known: Factors | None = None, ask: Ask = lambda region: None, threads: int | None = None
) -> Factors:
    """Factors from what was said; of the rest those that are `known`, else the defaults.

    A region that is given for the test site is the generation's too, unless that has its own. Raises UsageProblem
    with the flag. `threads`: hardware threads of the machine that the run was made on, this one's where not given.
    """
    asked: dict[str, Intensity] = {}

    def intensity(text: str, flag: str) -> Intensity:
        if text not in asked:
            asked[text] = answered(ask, text, flag) or _intensity(text, flag)
        return asked[text]

    execution, generation = (None, None) if known is None else (known.execution, known.generation)
    if texts.region is not None or execution is None:
        execution = intensity(texts.region or carbon.WORLD, f"{texts.prefix}region")
        generation = execution if texts.region is not None or generation is None else generation
    if texts.generation_region is not None or generation is None:
        text = texts.generation_region or texts.region or carbon.WORLD
        generation = intensity(text, f"{texts.prefix}generation-region")
    execution_machine = None if known is None else known.execution_machine
    if texts.machine is not None or execution_machine is None:
        execution_machine = _own(
            carbon.parse_machine(texts.machine or "server", flag=f"{texts.prefix}machine"), threads
        )
    generation_machine = None if known is None else known.generation_machine
    if texts.generation_machine is not None:
        flag = f"{texts.prefix}generation-machine"
        generation_machine = carbon.parse_machine(texts.generation_machine, flag=flag)
        if generation_machine.power_w is None:
            # By it energy tells the time where the records do not.
            generation_machine = replace(generation_machine, power_w=carbon.any_gpu().power_w)
    return Factors(
        generation=generation,
        execution=execution,
        generation_pue=texts.generation_pue or (known.generation_pue if known else 1.0),
        execution_pue=texts.pue or (known.execution_pue if known else 1.0),
        generation_machine=generation_machine or carbon.any_gpu(),
        execution_machine=execution_machine,
    )


# Flags without which a run whose facts have no factors is priced by today's defaults, and what these are.
_DEFAULTS = (
    ("region", "the world's grid"),
    ("machine", "a server for the tests"),
    ("generation_machine", "a datacentre GPU where a record names none"),
    ("pue", "PUE 1"),
)


def assumed(texts: SiteTexts, facts: Mapping[str, Any]) -> dict[str, str] | None:
    """The caution (`what`, `why`, `remedy`) that a run's own factors are not known; None where they are, or are given.

    Runs were once written down without them.
    """
    missing = [(name, default) for name, default in _DEFAULTS if getattr(texts, name) is None]
    if facts.get("factors") is not None or not missing:
        return None
    return {
        "what": f"the run does not say its grid, PUE and machines; assumed: {', '.join(each for _, each in missing)}",
        "why": "it was written by a version that did not keep them, so what it was given is not known",
        "remedy": f"say them: {', '.join(texts.prefix + name.replace('_', '-') for name, _ in missing)}",
    }


def answered(ask: Ask, region: str, flag: str = "a record's region") -> Intensity | None:
    """What a plugin or a conftest.py says of this region, if any does. Raises UsageProblem for what is no intensity."""
    found = ask(region)
    if found is None:
        return None
    if isinstance(found, Intensity) and 0 < found.g_per_kwh < math.inf:
        return found
    raise UsageProblem(
        f"{flag} {region!r}: the hook pytest_greencode_intensity answered {found!r}; expected None or an Intensity "
        "above 0 g/kWh and finite"
    )


def _intensity(text: str, flag: str) -> Intensity:
    if not carbon.is_live(text):
        return carbon.parse_region(text, flag=flag)
    from .intensity_sources import live_intensity  # asks the network: few runs do

    return live_intensity(text, flag=flag)


def _own(machine: Machine, threads: int | None) -> Machine:
    """Where nothing is said of its threads, they are those of the machine that ran the attempts."""
    return machine if machine.threads else replace(machine, threads=threads or os.cpu_count())
