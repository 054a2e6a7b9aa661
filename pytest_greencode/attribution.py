"""Who used the energy that a counter saw: windows of the machine's energy, split by CPU time, to the microjoule.

In each window the counter's difference is idle power times the duration, and dynamic energy above it. Dynamic energy
goes to whoever was busy, in proportion to CPU time (so does Kepler; Green Metrics Tool too): each execution's solution,
each execution's harness, this run's other work, and all other processes of the machine, but for the CPU time that is
used when it idles too: its energy is idle power. Equal CPU time need not mean equal power, which differs by a factor of
2 to 3 between instruction mixes: that is the error of this method, not in any figure here. Idle energy is no solution's
doing; the share of the cores reserved for the run is kept apart.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from .model import AttemptRecord, Measured, Method, Reading, Window, Work

# Readings of the clock at an edge that two windows share may differ by less.
CLOCK_TOLERANCE_S = 1e-3
# The kind of work that is measuring programs alone.
REPETITIONS = "alone"


class Balance(Struct, frozen=True, kw_only=True):
    """Where all energy of the valid windows went, uJ; the parts add up to `counter_uj` exactly.

    `repetitions_uj` went into measuring programs alone, `other_processes_uj` into what else ran on the machine.
    `idle_reserved_uj` belongs to the cores that the run had to itself, `idle_rest_uj` to the others. `dram_uj` is
    apart: a counter of its own, or None. `duration_s` and `invalid` are of the valid windows and of those left out, by
    reason. `meter` names the counters, or the model that stands in for them (`counted` False).
    """

    meter: str
    counted: bool
    counter_uj: int
    solutions_uj: int
    harness_uj: int
    repetitions_uj: int
    other_processes_uj: int
    idle_reserved_uj: int
    idle_rest_uj: int
    dram_uj: int | None
    duration_s: float
    windows: int
    invalid: Mapping[str, int]

    @property
    def own_share(self) -> float | None:
        """The share of dynamic energy that was this run's; below about 0.8 others have disturbed the measurement."""
        own_uj = self.solutions_uj + self.harness_uj + self.repetitions_uj
        dynamic_uj = own_uj + self.other_processes_uj
        return own_uj / dynamic_uj if dynamic_uj else None


class Share(Struct, frozen=True, kw_only=True):
    """Dynamic energy of one execution, uJ: its solution's, and its harness's (the tests and the sandbox).

    `covered`: whether valid windows hold all of it. Where they do not, the energies are of the part that they hold.
    """

    solution_uj: int
    harness_uj: int
    covered: bool


class Attribution(Struct, frozen=True, kw_only=True):
    """`shares` by program key. `w_per_cpu`: mean dynamic power of a busy CPU, W; None where nothing was busy."""

    shares: Mapping[str, Share]
    balance: Balance
    w_per_cpu: float | None


def attribute(windows: Sequence[Window], work: Sequence[Work], *, counted: bool = True) -> Attribution | None:
    """Split what the counters saw. None where there are no windows. `counted` False: a model's windows.

    CPU time within a piece of work is taken as even.
    """
    ordered = _apart(sorted(windows, key=lambda window: window.started_at))
    pieces, uncovered = _pieces(ordered, work)
    solution_uj: defaultdict[str | None, int] = defaultdict(int)
    harness_uj: defaultdict[str | None, int] = defaultdict(int)
    counter_uj = others_uj = repetitions_uj = idle_reserved_uj = idle_uj = 0
    dram_uj: int | None = 0
    busy_s = duration_s = 0.0
    invalid: Counter[str] = Counter()
    meters: Counter[str] = Counter()
    for window, here, others_s in zip(ordered, pieces, _others_s(ordered, pieces), strict=True):
        if (problem := _problem(window)) is not None:
            invalid[problem] += 1
            continue
        assert window.package_uj is not None
        assert window.idle_w is not None
        meters[window.meter or "a counter"] += 1
        counter_uj += window.package_uj
        duration_s += window.duration_s
        dram_uj = None if dram_uj is None or window.dram_uj is None else dram_uj + window.dram_uj
        window_idle_uj = min(window.package_uj, round(window.idle_w * window.duration_s * 1e6))
        idle_reserved_uj += round(window_idle_uj * window.reserved_share)
        idle_uj += window_idle_uj
        own_s = _cpu_s(here)
        busy_s += own_s + others_s
        weights = [seconds for _, solution_s, harness_s in here for seconds in (solution_s, harness_s)]
        *own_uj, rest_uj = apportion(window.package_uj - window_idle_uj, [*weights, others_s])
        others_uj += rest_uj
        for (each, _, _), of_solution_uj, of_harness_uj in zip(here, own_uj[::2], own_uj[1::2], strict=True):
            if each.kind == REPETITIONS:
                repetitions_uj += of_solution_uj + of_harness_uj
                continue
            solution_uj[each.key] += of_solution_uj
            harness_uj[each.key] += of_harness_uj
    if not ordered:
        return None
    balance = Balance(
        meter=", ".join(sorted(meters)),
        counted=counted,
        counter_uj=counter_uj,
        solutions_uj=sum(solution_uj.values()),
        harness_uj=sum(harness_uj.values()),
        repetitions_uj=repetitions_uj,
        other_processes_uj=others_uj,
        idle_reserved_uj=idle_reserved_uj,
        idle_rest_uj=idle_uj - idle_reserved_uj,
        dram_uj=dram_uj if meters else None,
        duration_s=duration_s,
        windows=meters.total(),
        invalid=dict(sorted(invalid.items())),
    )
    keys = sorted({each.key for each in work if each.key is not None})
    return Attribution(
        shares={
            key: Share(solution_uj=solution_uj[key], harness_uj=harness_uj[key], covered=key not in uncovered)
            for key in keys
        },
        balance=balance,
        w_per_cpu=(counter_uj - idle_uj) * 1e-6 / busy_s if busy_s else None,
    )


def _others_s(windows: Sequence[Window], pieces: Sequence[Sequence[_Piece]]) -> list[float]:
    """CPU seconds of all other processes in each window; 0 where it has no energy, or the system does not tell.

    What runs when the machine idles is paid for with idle power, not a second time. Our own processes are known better
    than the system's clock ticks of 10 ms, and when they ran less well than their even share of a window: what seems to
    be others' in one window is then missing in the one before or after it, and is ours. No further: what a stranger
    used minutes away stays its own.
    """
    rest_s = [
        window.busy_cpu_s - (window.idle_busy_cpus or 0.0) * window.duration_s - _cpu_s(here)
        if window.busy_cpu_s is not None and _problem(window) is None
        else 0.0
        for window, here in zip(windows, pieces, strict=True)
    ]
    for index in range(len(rest_s)):
        for neighbour in (index - 1, index + 1):
            if rest_s[index] < 0 and 0 <= neighbour < len(rest_s):
                taken_s = min(-rest_s[index], max(0.0, rest_s[neighbour]))
                rest_s[neighbour] -= taken_s
                rest_s[index] += taken_s
        rest_s[index] = max(0.0, rest_s[index])
    return rest_s


def _apart(windows: Sequence[Window]) -> list[Window]:
    """Windows in order; one that begins before the last one ended, by the clock of the day, is invalid."""
    apart: list[Window] = []
    for window in windows:
        overlaps = bool(apart) and window.started_at < apart[-1].finished_at - CLOCK_TOLERANCE_S
        apart.append(replace(window, package_uj=None, invalid="the clock was set back") if overlaps else window)
    return apart


def _problem(window: Window) -> str | None:
    """Why a window has no energy to split, if it has none."""
    if window.package_uj is None:
        return window.invalid or "no counter was read"
    return "idle power was not measured" if window.idle_w is None else None


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """`total` in whole parts proportional to `weights` (>= 0), adding up exactly; all to the last where all are 0.

    Each part is the difference of two rounded running totals, so none is off by more than 1 and none is negative.
    """
    whole = math.fsum(weights)
    if not whole > 0:
        return [*(0 for _ in weights[:-1]), total]
    parts = []
    running, given = 0.0, 0
    for weight in weights[:-1]:
        running += weight
        upto = min(total, round(total * (running / whole)))
        parts.append(max(0, upto - given))
        given = max(given, upto)
    return [*parts, total - given]


_Piece = tuple[Work, float, float]


def _cpu_s(pieces: Sequence[_Piece]) -> float:
    return math.fsum(solution_s + harness_s for _, solution_s, harness_s in pieces)


def _pieces(windows: Sequence[Window], work: Sequence[Work]) -> tuple[list[list[_Piece]], set[str | None]]:
    """For each window, (work, CPU seconds of solution, of harness) of each piece of work in it.

    And the keys of work that is not wholly in windows with a valid energy.
    """
    starts = [window.started_at for window in windows]
    pieces: list[list[_Piece]] = [[] for _ in windows]
    uncovered: set[str | None] = set()
    for each in work:
        length_s = each.finished_at - each.started_at
        covered = 0.0
        index = max(0, bisect_right(starts, each.started_at) - 1)
        while index < len(windows) and windows[index].started_at <= each.finished_at:
            window = windows[index]
            if length_s > 0:
                within_s = min(each.finished_at, window.finished_at) - max(each.started_at, window.started_at)
                share = max(0.0, within_s) / length_s
            else:
                share = float(window.started_at <= each.started_at < window.finished_at)
            if share > 0:
                pieces[index].append((each, each.cpu_s * share, each.harness_cpu_s * share))
                covered += share if _problem(window) is None else 0.0
            index += 1
        # A hair's breadth between windows is the clock's, not a gap.
        if covered < 1 - 1e-6:
            uncovered.add(each.key)
    return pieces, uncovered


def with_energy(records: Iterable[AttemptRecord], attribution: Attribution) -> list[AttemptRecord]:
    """The records with what their executions used, for those that have no energy yet.

    What ran outside the valid windows (a counter that failed, a session that was killed) gets this run's mean dynamic
    energy per CPU second instead, and says so.
    """
    return [
        record
        if record.reading is None or record.reading.energy_j is not None
        else replace(record, reading=_with_energy(record.reading, attribution, record.program_key))
        for record in records
    ]


def _with_energy(reading: Reading, attribution: Attribution, key: str) -> Reading:
    share, w = attribution.shares.get(key), attribution.w_per_cpu
    if share is not None and share.covered:
        return replace(
            reading,
            energy_j=share.solution_uj * 1e-6,
            harness_energy_j=share.harness_uj * 1e-6,
            energy_method=Method.ATTRIBUTED,
            energy_source=f"{attribution.balance.meter}, above idle, by CPU time",
        )
    if w is None:
        return reading
    return replace(
        reading,
        energy_j=reading.cpu_s * w,
        harness_energy_j=(reading.oracle_cpu_s + reading.harness_cpu_s) * w,
        energy_method=Method.ESTIMATED,
        energy_source=f"{attribution.balance.meter}: no valid window, so this run's mean of {w:.3g} W per busy CPU",
    )


def with_measured(
    records: Iterable[AttemptRecord], measured: Mapping[str, Measured], meter: str
) -> list[AttemptRecord]:
    """The records with energy, CPU time and memory of programs measured alone, where energy stands out of noise."""
    return [
        replace(record, reading=_with_measured(record.reading, found, meter))
        if record.reading is not None and (found := measured.get(record.program_key)) is not None and found.above_noise
        else record
        for record in records
    ]


def _with_measured(reading: Reading, found: Measured, meter: str) -> Reading:
    return replace(
        reading,
        energy_j=found.energy_j,
        harness_energy_j=found.harness_energy_j,
        cpu_s=reading.cpu_s if found.cpu_s is None else found.cpu_s,
        peak_memory_bytes=found.peak_memory_bytes or reading.peak_memory_bytes,
        flops=found.flops,
        energy_method=Method.MEASURED,
        energy_source=f"{meter}, above idle, alone and repeated",
    )
