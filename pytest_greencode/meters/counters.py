"""The CPU's energy counters (RAPL), made safe to subtract: unwrapped, summed, and honest about what they missed.

A `CounterSource` gives raw values as a backend reads them (`perf`, `powercap`, `pyrapl`); everything that can go wrong
with raw values is handled here, once for all of them. A window is read at its two edges; in between, a heartbeat reads
often enough that no counter can wrap twice unseen.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

Kind = Literal["package", "dram", "psys"]

# Above what one domain of today's machines draws, for domains that do not tell.
PLAUSIBLE_W: Mapping[Kind, float] = {"package": 500.0, "dram": 250.0, "psys": 1000.0}
# More than this times the plausible power is no energy: the counter was reset, or the clock stood still.
IMPLAUSIBLE_FACTOR = 3.0
# Counters move in steps (of up to 1 J: psys of Sapphire Rapids), so a step may fall into a gap of microseconds.
STEP_ALLOWANCE_S = 1.0
# The smallest range of Linux' RAPL drivers: 2^32 - 1 units of 15.258 uJ. Assumed where a domain hides its range.
SMALLEST_RANGE_UJ = 65_532_610_987
HEARTBEAT_MAX_S = 30.0
# Clocks are read one after the other; a suspended machine is away for longer than this.
SUSPENDED_S = 0.1


class Domain(Struct, frozen=True, kw_only=True):
    """One counter. `name` is unique: "package-0", "package-0-die-1", "package-0/dram", "psys".

    `range_uj`: the value, uJ, after which the counter starts again from 0; None if the machine does not tell.
    `plausible_w`: the most power, W, that is believed of it.
    """

    kind: Kind
    name: str
    range_uj: int | None
    plausible_w: float

    @property
    def wrap_time_s(self) -> float:
        """The shortest time, s, in which the counter can go round once."""
        return (self.range_uj or SMALLEST_RANGE_UJ) / (self.plausible_w * 1e6)

    @property
    def package(self) -> str:
        """The package that a die belongs to: "package-0" of "package-0-die-1"."""
        return self.name.partition("-die-")[0]


class CounterSource(Protocol):
    """The raw counters of one backend, opened once and kept open."""

    @property
    def backend(self) -> str:
        """Its name in reports."""

    @property
    def domains(self) -> Sequence[Domain]:
        """What `read_uj` reads, in its order."""

    @property
    def ignored(self) -> Mapping[str, str]:
        """Counters that exist and are not read, each with the reason."""

    def read_uj(self) -> Sequence[int]:
        """The raw values, uJ, as they stand in the counters. OSError or ValueError if one of them cannot be read."""

    def close(self) -> None:
        """Give the descriptors back."""


class CounterReading(Struct, frozen=True, kw_only=True):
    """Energy since the counters were opened: cumulative, unwrapped, summed over packages; None where nothing counts it.

    `at_s` is `time.monotonic()`. `faults` counts what went wrong so far and `fault` is the last of it: two readings
    with unequal counts have no energy between them. `ticked`: the counter has just moved (see `EnergyCounters.align`).
    """

    at_s: float
    package_uj: int | None
    dram_uj: int | None
    psys_uj: int | None
    faults: int = 0
    fault: str | None = None
    ticked: bool = False


class EnergyWindow(Struct, frozen=True, kw_only=True):
    """Energy between two readings, uJ. `invalid` says why there is none; then every energy is None."""

    duration_s: float
    package_uj: int | None
    dram_uj: int | None
    psys_uj: int | None
    invalid: str | None = None


def between(start: CounterReading, end: CounterReading) -> EnergyWindow:
    """The energy from `start` to `end`, two readings of the same counters. ValueError if `end` is the earlier."""
    if end.at_s < start.at_s:
        raise ValueError(f"a window cannot end {start.at_s - end.at_s:g} s before it starts")
    duration_s = end.at_s - start.at_s
    if start.faults != end.faults:
        return EnergyWindow(duration_s=duration_s, package_uj=None, dram_uj=None, psys_uj=None, invalid=end.fault)
    return EnergyWindow(
        duration_s=duration_s,
        package_uj=_difference(start.package_uj, end.package_uj),
        dram_uj=_difference(start.dram_uj, end.dram_uj),
        psys_uj=_difference(start.psys_uj, end.psys_uj),
    )


def _difference(start_uj: int | None, end_uj: int | None) -> int | None:
    return None if start_uj is None or end_uj is None else end_uj - start_uj


def unwrap(domain: Domain, before_uj: int, after_uj: int, elapsed_s: float) -> tuple[int, str | None]:
    """(energy in uJ, None) that a counter went on by between two raw values, or (0, why that cannot be known).

    after - before, plus the range if the counter started again in between (Linux, power/powercap/powercap.rst; short of
    the truth by one unit of the counter, 61 uJ, per wrap). Right for at most one wrap, so `elapsed_s` must be shorter
    than a wrap can take.
    """
    if elapsed_s > domain.wrap_time_s:
        return 0, (
            f"{domain.name} was not read for {elapsed_s:.3g} s, but may go round within {domain.wrap_time_s:.3g} s"
        )
    energy_uj = after_uj - before_uj
    if energy_uj < 0:
        if domain.range_uj is None:
            return 0, f"{domain.name} went backwards, and its range (max_energy_range_uj) cannot be read"
        energy_uj += domain.range_uj
    limit_w = IMPLAUSIBLE_FACTOR * domain.plausible_w
    if energy_uj < 0 or energy_uj > limit_w * 1e6 * (elapsed_s + STEP_ALLOWANCE_S):
        return 0, (
            f"{domain.name} jumped from {before_uj} to {after_uj} uJ in {elapsed_s:.3f} s, which is more than "
            f"{limit_w:.0f} W: the counter was reset"
        )
    return energy_uj, None


def _suspended_s() -> float:
    """How long this machine has slept since it was started: a clock that counts it less one that does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)


class EnergyCounters:
    """The counters of a source, unwrapped. Thread-safe. As a context manager: with heartbeat, and closed at the end.

    Whatever goes wrong with one counter spoils every window that spans it, and no other: unreadable counters, a reset,
    a suspended machine, a gap in which a counter may have wrapped twice. The energy of a gap is lost, never guessed.

    Dies that show one and the same counter (Zen 1 and 2) are found when it is opened, and all but one ignored.

    Raises OSError or ValueError if the source cannot be read at all.
    """

    def __init__(
        self,
        source: CounterSource,
        *,
        clock: Callable[[], float] = time.monotonic,
        suspended_s: Callable[[], float] = _suspended_s,
    ) -> None:
        self._source, self._clock, self._suspended_s = source, clock, suspended_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None
        self._ignored = dict(source.ignored)
        self._used = list(enumerate(source.domains))
        self._faults = 0
        self._fault: str | None = None
        self._tick_s: float | None = None
        self._last: tuple[float, float, Sequence[int]] | None = (clock(), suspended_s(), source.read_uj())
        self._ignore_mirrored()
        self._total_uj: dict[Kind, int] = {domain.kind: 0 for domain in self.domains}

    @property
    def domains(self) -> tuple[Domain, ...]:
        """The counters that add to a reading."""
        return tuple(domain for _, domain in self._used)

    @property
    def heartbeat_s(self) -> float:
        """The longest time, s, between two readings: half of what the fastest counter needs to wrap, 30 s at most."""
        return min([HEARTBEAT_MAX_S, *(domain.wrap_time_s / 2 for domain in self.domains)])

    def __enter__(self) -> EnergyCounters:
        self._heart = threading.Thread(target=self._beat, name="greencode-heartbeat", daemon=True)
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the heartbeat and give the descriptors back. Again is harmless."""
        self._stop.set()
        if self._heart is not None:
            self._heart.join()
        with self._lock:
            self._source.close()

    def _beat(self) -> None:
        while not self._stop.wait(self.heartbeat_s):
            self.read()

    def read(self) -> CounterReading:
        """The counters now. Never raises: what cannot be read is a fault of the reading."""
        with self._lock:
            return self._read()

    def align(self, timeout_s: float = 0.05) -> CounterReading:
        """A reading just after the counter has moved, or after `timeout_s` one with `ticked` False.

        A counter moves about once per millisecond, so an edge that waits for it loses no part of a step. It busy-waits,
        which costs energy of its own: at the end of a window, read first.
        """
        first = self.read()
        while True:
            reading = self.read()
            if (reading.package_uj, reading.psys_uj) != (first.package_uj, first.psys_uj):
                return replace(reading, ticked=True)
            if reading.at_s - first.at_s >= timeout_s:
                return reading

    def between(self, start: CounterReading, end: CounterReading) -> EnergyWindow:
        """The energy from `start` to `end`. ValueError if `end` is the earlier."""
        return between(start, end)

    def stuck(self, timeout_s: float = 0.25) -> tuple[Domain, ...]:
        """The counters that do not move within `timeout_s`. A machine that runs this draws power, so they do not work.

        Also notes the tick period for `describe`.
        """
        begin_s = time.monotonic()
        with self._lock:
            first = last = self._source.read_uj()
            still = dict(self._used)
            ticks_s: list[float] = []
            while (still or len(ticks_s) < 4) and time.monotonic() - begin_s < timeout_s:
                raw = self._source.read_uj()
                still = {index: domain for index, domain in still.items() if raw[index] == first[index]}
                index = self._used[0][0]
                if raw[index] != last[index]:
                    ticks_s.append(time.monotonic())
                last = raw
        gaps_s = [after - before for before, after in itertools.pairwise(ticks_s)]
        self._tick_s = sorted(gaps_s)[len(gaps_s) // 2] if gaps_s else None
        return tuple(still.values())

    def ignore(self, domain: Domain, reason: str) -> None:
        """Leave a counter out of every reading from now on; to be called before the first one."""
        with self._lock:
            self._used = [(index, used) for index, used in self._used if used is not domain]
            self._ignored[domain.name] = reason
            self._total_uj = {used.kind: 0 for used in self.domains}

    def describe(self) -> dict[str, object]:
        """The facts a run records about its counters."""
        return {
            "backend": self._source.backend,
            "domains": {
                domain.name: {"range_uj": domain.range_uj, "plausible_w": domain.plausible_w} for domain in self.domains
            },
            "ignored": dict(self._ignored),
            "tick_s": self._tick_s,
            "heartbeat_s": self.heartbeat_s,
            "faults": self._faults,
            "last_fault": self._fault,
        }

    def _read(self) -> CounterReading:
        at_s, suspended_s = self._clock(), self._suspended_s()
        try:
            if self._stop.is_set():
                raise ValueError("they are closed")
            raw = self._source.read_uj()
        except (OSError, ValueError) as error:
            self._note(f"the counters could not be read: {error}")
            self._last = None
        else:
            self._advance(at_s, suspended_s, raw)
            self._last = at_s, suspended_s, raw
        return CounterReading(
            at_s=at_s,
            package_uj=self._total_uj.get("package"),
            dram_uj=self._total_uj.get("dram"),
            psys_uj=self._total_uj.get("psys"),
            faults=self._faults,
            fault=self._fault,
        )

    def _advance(self, at_s: float, suspended_s: float, raw: Sequence[int]) -> None:
        if self._last is None:
            # Nobody knows how much of it fell before the last reading, which failed, and how much after.
            self._note(self._fault or "the counters could not be read")
            return
        last_s, last_suspended_s, last = self._last
        if suspended_s - last_suspended_s > SUSPENDED_S:
            self._note(f"the machine was suspended for {suspended_s - last_suspended_s:.1f} s")
            return
        added_uj = dict.fromkeys(self._total_uj, 0)
        for index, domain in self._used:
            energy_uj, fault = unwrap(domain, last[index], raw[index], at_s - last_s)
            if fault is not None:
                self._note(fault)
                return
            added_uj[domain.kind] += energy_uj
        for kind, energy_uj in added_uj.items():
            self._total_uj[kind] += energy_uj

    def _note(self, fault: str) -> None:
        self._faults += 1
        self._fault = fault

    def _ignore_mirrored(self) -> None:
        for first, second in self._mirrored_candidates():
            if self._same(first, second):
                twin, kept = self._source.domains[second], self._source.domains[first]
                for index, domain in list(self._used):
                    if index == second or domain.name.startswith(f"{twin.name}/"):
                        self._used.remove((index, domain))
                        self._ignored[domain.name] = f"shows the same counter as {kept.name}"

    def _mirrored_candidates(self) -> list[tuple[int, int]]:
        """Each die of a package with the package's first die."""
        firsts: dict[str, int] = {}
        pairs = []
        for index, domain in self._used:
            if domain.kind == "package" and firsts.setdefault(domain.package, index) != index:
                pairs.append((firsts[domain.package], index))
        return pairs

    def _same(self, first: int, second: int) -> bool:
        """Whether two domains show one counter.

        Read in turn, the second of two such always lies between two values of the first, but for an offset where a
        backend counts from when it was opened. Two counters of their own may be equal once, yet do not move alike
        in steps of microjoules. Equal values that do not move, as on a machine that answers slowly, are taken for one.
        """
        offset_uj, steps = None, 0
        before = self._source.read_uj()
        deadline_s = time.monotonic() + 0.05
        while steps < 5 and time.monotonic() < deadline_s:
            after = self._source.read_uj()
            low, value, high = before[first], before[second], after[first]
            before = after
            if offset_uj is None:
                if low == high:
                    offset_uj = value - low
            elif high >= low:  # else it went round, which says nothing
                if not low <= value - offset_uj <= high:
                    return False
                steps += high > low
        return offset_uj is not None and ((offset_uj == 0 and before[first] > 0) or steps >= 5)
