"""A machine of which the truth is known: an energy counter that ticks and jitters, idle noise, and work."""

from __future__ import annotations

import math
import random

from msgspec import Struct

from pytest_greencode.meters.exclusive import Spent


class SimulatedWindow(Struct, frozen=True):
    duration_s: float
    package_uj: float | None
    dram_uj: float | None = None
    invalid: str | None = None


class SimulatedMachine:
    """Time passes only by `sleep`, `work` and waiting for ticks; `energy_j` is what was really used.

    Ticks come every `tick_s` with a jitter of 10 %; the counter then shows the energy so far, in steps of `quantum_j`.
    Whoever waits for one keeps a CPU busy. `drift_w` is the amplitude of a sine of `period_s` in the idle power.
    """

    def __init__(
        self,
        idle_w,
        dynamic_w,
        noise_w_sqrt_s,
        *,
        seed=0,
        tick_s=1e-3,
        quantum_j=61e-6,
        drift_w=0.0,
        period_s=300.0,
    ):
        self.idle_w, self.dynamic_w, self.noise = idle_w, dynamic_w, noise_w_sqrt_s
        self.tick_s, self.quantum_j = tick_s, quantum_j
        self.drift_w, self.period_s = drift_w, period_s
        self.random = random.Random(seed)
        self.phase = self.random.uniform(0, 2 * math.pi)
        self.now_s = self.energy_j = self.busy_s = self.own_cpu_s = 0.0
        self.invalid = None

    def _pass(self, duration_s, dynamic_w=0.0):
        angle, rate = self.phase + 2 * math.pi * self.now_s / self.period_s, 2 * math.pi / self.period_s
        drift_j = self.drift_w / rate * (math.cos(angle) - math.cos(angle + rate * duration_s))
        noise_j = self.noise * math.sqrt(duration_s) * self.random.gauss(0, 1)
        self.energy_j += (self.idle_w + dynamic_w) * duration_s + drift_j + noise_j
        self.now_s += duration_s

    def sleep(self, duration_s):
        self._pass(duration_s)

    def work(self, duration_s, dynamic_w=None):
        self._pass(duration_s, self.dynamic_w if dynamic_w is None else dynamic_w)
        self.busy_s += duration_s

    def align(self):
        tick_s = (math.floor(self.now_s / self.tick_s) + 1 + self.random.uniform(-0.1, 0.1)) * self.tick_s
        wait_s = max(tick_s - self.now_s, 0.0)
        self.work(wait_s)
        self.own_cpu_s += wait_s
        shown_j = math.floor(self.energy_j / self.quantum_j) * self.quantum_j
        seen_late_s = self.random.uniform(0, 5e-6)
        return self.now_s + seen_late_s, shown_j, self.invalid

    def between(self, start, end):
        return SimulatedWindow(end[0] - start[0], (end[1] - start[1]) * 1e6, invalid=start[2] or end[2])

    def clock(self):
        return self.now_s

    def busy_cpu_s(self):
        return math.floor(self.busy_s * 100) / 100

    def thread_cpu_s(self):
        return self.own_cpu_s

    def workload(self, run_s=0.05, *, spread=0.05, harness_share=0.1, power=1.0):
        """Runs of `run_s` of CPU time each, give or take; `harness_share` more of it serves them. Truth: `truth_j`."""

        def run(repeats):
            cpu_s = max(1e-6, self.random.gauss(repeats * run_s, math.sqrt(repeats) * spread * run_s))
            harness_cpu_s = cpu_s * harness_share
            self.work(cpu_s + harness_cpu_s, power * self.dynamic_w)
            return Spent(cpu_s=cpu_s, harness_cpu_s=harness_cpu_s, wall_s=cpu_s + harness_cpu_s)

        run.truth_j = power * self.dynamic_w * run_s
        return run
