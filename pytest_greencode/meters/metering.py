"""The meter of one session, from the idle machine before the first sandbox to the idle machine after the last."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_greencode.plain import plain_values

from ..errors import MeterUnavailable
from ..ledger import Overhead
from ..model import Method, Window
from .estimated import EstimatedMeter
from .sampler import Machine, Sampler
from .window import cpu_j, machine_busy_cpu_s

if TYPE_CHECKING:
    from .baseline import Baseline
    from .counters import EnergyCounters
    from .exclusive import Measurement, Plan, Workload
    from .protocol import Caution, Environment

# What belongs to counters is imported with the first one: most machines where people work or test have none.
POWERCAP, PERF_EVENT = Path("/sys/class/powercap"), Path("/sys/bus/event_source/devices/power/events/energy-pkg")

BASELINE_WINDOWS = 5
# Below this part of the machine's CPUs idle power is idle power.
QUIET_SHARE = 0.05
# More uncertainty than this part of idle power is worth a word.
UNCERTAIN_SHARE = 0.05

Write = Callable[[list[Window], list[Overhead]], None]


class Metering:
    """Energy counters where there are some (or were asked for), else the estimate from CPU time, or neither.

    `choice`: "auto", "rapl", "psys", "pyrapl", "estimated" or "none". `idle_s`: how long the idle machine is measured,
    before and after. `reserved_cores`: what the run keeps for itself. Raises MeterUnavailable for counters that are not
    there.

    Of several processes of one session one reads the machine. The others are told its `kind` as their choice, and only
    note their own CPU time (`reads_machine` False). `exclusive`: there must be counters. `own_cpu_s`: what this process
    has used for itself, where that is not all its CPU time; it is then noted with every choice.

    `estimated` is the meter that prices CPU time by itself; None where windows of counters do, and for "none".
    `notice`: what the user should know of the choice made.
    """

    def __init__(
        self,
        choice: str,
        *,
        idle_s: float,
        reserved_cores: int,
        reads_machine: bool = True,
        exclusive: bool = False,
        own_cpu_s: Callable[[], float] | None = None,
    ) -> None:
        self._choice, self._idle_s, self._reads_machine = choice, idle_s, reads_machine
        self._own_cpu_s = own_cpu_s
        self._reserved_share = min(1.0, reserved_cores / (os.cpu_count() or 1))
        self.notice: str | None = None
        self._counters = self._opened(choice, needed=exclusive)
        priced = self._counters is None and choice in ("auto", "estimated")
        self.estimated = EstimatedMeter.of_host() if priced else None
        self._sampler: Sampler | None = None
        self._before: Baseline | None = None
        self._after: Baseline | None = None
        self._environment: Environment | None = None
        self._cautions: list[Caution] = []

    @property
    def kind(self) -> str:
        """ "counters", "estimated" or "none"."""
        return "counters" if self._counters is not None else "estimated" if self.estimated is not None else "none"

    @property
    def counters(self) -> EnergyCounters | None:
        return self._counters

    @property
    def sampler(self) -> Sampler | None:
        """What hands out windows, while it does."""
        return self._sampler

    @property
    def baseline(self) -> Baseline | None:
        """The idle machine as far as it is known by now."""
        if self._after is None or self._before is None:
            return self._before
        from .baseline import pooled

        return pooled(self._before, self._after)

    @property
    def cpu(self) -> str:
        return self.estimated.cpu if self.estimated is not None else EstimatedMeter.of_host().cpu

    def start(self, write: Write) -> None:
        """Measure the idle machine, then begin to hand out windows. To be called before anything else is started."""
        if self._choice == "none" and self._own_cpu_s is None:
            return
        own_cpu_s = self._own_cpu_s or time.process_time
        if self._choice == "none" or not self._reads_machine:
            self._sampler = Sampler(write, None, own_cpu_s=own_cpu_s)
            return
        counters = self._counters
        if counters is not None:
            from .protocol import cautions, read_environment

            self._environment = read_environment()
            self._cautions = cautions(self._environment)
            counters.__enter__()
            self._before = self._measured_idle(counters)
        self._sampler = Sampler(
            write,
            Machine(
                busy_cpu_s=busy_cpu_s,
                counters=counters,
                idle_w=self._before.mean_w if self._before is not None else None,
                idle_busy_cpus=self._before.busy_cpus if self._before is not None else None,
                reserved_share=self._reserved_share,
                meter=self._name() if counters is not None else None,
            ),
            own_cpu_s=own_cpu_s,
        )

    def stop(self, *, measure_idle: bool = True) -> tuple[float, float] | None:
        """The last window, and the idle machine again; (idle power in W, since when) where it is known better now.

        Raises what `write` raises.
        """
        sampler, self._sampler = self._sampler, None
        if sampler is None:
            return None
        sampler.stop()
        if self._counters is None:
            return None
        if measure_idle and self._before is not None:
            with contextlib.suppress(KeyboardInterrupt):  # then with what is known of it from before
                self._after = self._measured_idle(self._counters)
        from .protocol import cautions_between, read_environment

        if self._environment is not None:
            self._cautions += cautions_between(self._environment, read_environment())
        baseline = self.baseline
        return None if baseline is None else (baseline.mean_w, sampler.started_at)

    def measure_alone(self, workloads: Mapping[str, Workload], plan: Plan) -> dict[str, Measurement]:
        """Programs of one task, in turns, while nothing else runs. Needs counters and a baseline; else {}."""
        if self._counters is None or self._before is None:
            return {}
        from .exclusive import measure_exclusive

        return measure_exclusive(workloads, self._counters, self._before, plan, joules=cpu_j, busy_cpu_s=busy_cpu_s)

    def _opened(self, choice: str, *, needed: bool) -> EnergyCounters | None:
        if choice not in ("auto", "rapl", "psys", "pyrapl"):
            return None
        if choice == "auto" and not needed and not (POWERCAP.exists() or PERF_EVENT.exists()):
            return None
        from .choice import open_counters

        try:
            return open_counters("pyrapl" if choice == "pyrapl" else "auto", psys=choice == "psys")
        except MeterUnavailable as missing:
            if choice != "auto" or needed:
                flag = "--greencode-attribution exclusive" if choice == "auto" else f"--greencode-meter {choice}"
                raise MeterUnavailable(f"{flag}: {missing.reason}", missing.remedy) from None
            if missing.remedy:
                self.notice = "energy is estimated: counters are there but may not be read, see `greencode doctor`"
            return None

    def close(self) -> None:
        if self._counters is not None:
            self._counters.close()

    def _measured_idle(self, counters: EnergyCounters) -> Baseline | None:
        from .baseline import measure_baseline

        window_s = self._idle_s / BASELINE_WINDOWS
        return measure_baseline(counters, windows=BASELINE_WINDOWS, window_s=window_s, joules=cpu_j)

    def _name(self) -> str:
        assert self._counters is not None
        facts = self._counters.describe()
        names = ", ".join(domain.name for domain in self._counters.domains if domain.kind != "dram")
        return f"RAPL ({facts['backend']}: {names})"

    def describe(self) -> dict[str, Any] | None:
        """The facts a run records about its meter, and the protocol of the measurement."""
        if self._counters is None:
            return self.estimated.describe() if self.estimated is not None else None
        from .baseline import compare_baselines

        stability = None
        if self._before is not None and self._after is not None:
            stability = plain_values(compare_baselines(self._before, self._after))
        return {
            "method": Method.ATTRIBUTED.value,
            "source": self._name(),
            **self._counters.describe(),
            "idle_before": None if self._before is None else plain_values(self._before),
            "idle_after": None if self._after is None else plain_values(self._after),
            "idle_stability": stability,
            # Of a window of one second; energy above idle that is less is not told from idling.
            "noise_floor_j": None if self.baseline is None else self.baseline.noise_floor_j(1.0),
            "environment": None if self._environment is None else plain_values(self._environment),
            "cautions": [plain_values(caution) for caution in self.cautions()],
        }

    def cautions(self) -> list[Caution]:
        """What makes the energies less certain than they look."""
        found = list(self._cautions)
        if self._counters is None or self._environment is None:
            return found
        from .baseline import compare_baselines
        from .protocol import Caution

        if self._before is None:
            found.append(
                Caution(
                    what="Idle power could not be measured.",
                    why="Without it the energy above idle is not known.",
                    remedy="See the faults of the counters in the JSON report, and measure again.",
                )
            )
            return found
        share = self._before.busy_share
        if share is not None and share > QUIET_SHARE:
            found.append(
                Caution(
                    what=f"{share:.0%} of the machine was busy while idle power was measured.",
                    why="Idle power then includes other work, and the energy above it comes out too small.",
                    remedy="Stop other work, or give the machine more time: --greencode-idle 60.",
                )
            )
        known = self.baseline
        if known is not None and 2 * known.error_w > UNCERTAIN_SHARE * known.mean_w:
            found.append(
                Caution(
                    what=f"Idle power is known only as {known.mean_w:.3g} +- {2 * known.error_w:.2g} W.",
                    why="What runs for long at little above idle is uncertain by that times its duration.",
                    remedy="Give the machine rest and more time to be measured idle: --greencode-idle 60.",
                )
            )
        if self._after is not None:
            stability = compare_baselines(self._before, self._after)
            if not stability.stable:
                found.append(
                    Caution(
                        what=f"Idle power changed by {stability.change_w:+.3g} W during the run.",
                        why="The energy above idle may be off by up to that times the duration.",
                        remedy="Let the machine settle and measure again; the mean of both was used.",
                    )
                )
        return found


def busy_cpu_s() -> float | None:
    """CPU seconds that all processes of the machine have used since it was started; None where no one tells."""
    known = machine_busy_cpu_s()
    if known is not None:
        return known
    import psutil

    try:
        times = psutil.cpu_times()
    except (OSError, RuntimeError):
        return None
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
