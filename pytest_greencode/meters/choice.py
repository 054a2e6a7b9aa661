"""Which energy counter a session reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from ..errors import MeterUnavailable
from .counters import CounterSource, EnergyCounters
from .perf import PerfSource
from .powercap import PowercapSource
from .pyrapl import PyRaplSource

Open = Callable[[], CounterSource]

BACKENDS = ("perf", "powercap", "pyrapl")
# pyRAPL is asked for by name: it reads the same files as powercap, on fewer machines.
AUTO = ("perf", "powercap")


def open_counters(
    backend: str = "auto", *, psys: bool = False, openers: Mapping[str, Open] | None = None
) -> EnergyCounters:
    """The counters of `backend`: one of `BACKENDS`, or "auto" for perf, else powercap.

    `psys` reads the whole platform's counter instead of packages and DRAM. A counter that does not move is none.
    `openers` stand in for the backends' own. Raises MeterUnavailable, whose text says for each backend why not, and
    what to do.
    """
    openers = openers if openers is not None else _openers(psys)
    failures: dict[str, MeterUnavailable] = {}
    for name in AUTO if backend == "auto" else (backend,):
        found = _opened(openers[name])
        if isinstance(found, EnergyCounters):
            return found
        failures[name] = found
    raise MeterUnavailable(_reasons(failures), _remedies(failures))


def _openers(psys: bool) -> dict[str, Open]:
    return {
        "perf": partial(PerfSource, psys=psys),
        "powercap": partial(PowercapSource, psys=psys),
        "pyrapl": partial(_pyrapl, psys),
    }


def _pyrapl(psys: bool) -> CounterSource:
    if psys:
        raise MeterUnavailable("pyRAPL does not read psys")
    return PyRaplSource()


def _opened(opener: Open) -> EnergyCounters | MeterUnavailable:
    """Counters that work, or why there are none."""
    try:
        source = opener()
    except MeterUnavailable as failure:
        return failure
    try:
        counters = EnergyCounters(source)
        stuck = counters.stuck()
    except (OSError, ValueError) as error:
        source.close()
        return MeterUnavailable(f"the counters cannot be read: {error}")
    for domain in stuck:
        if domain.kind != "dram":
            source.close()
            return MeterUnavailable(
                f"{domain.name} is there but stands still: no working counter, as in many virtual machines"
            )
        counters.ignore(domain, "stands still")
    return counters


def _reasons(failures: Mapping[str, MeterUnavailable]) -> str:
    told = [f"{name}: {failure.reason}" for name, failure in failures.items()]
    return "\n".join(["no energy counter of the CPU can be read on this machine", *told])


def _remedies(failures: Mapping[str, MeterUnavailable]) -> str:
    remedies = dict.fromkeys(failure.remedy for failure in failures.values() if failure.remedy)
    return "\n\nor:\n\n".join(remedies)
