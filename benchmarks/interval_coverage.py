"""How often the intervals hold what they promise, by simulation of a truth that is known.

    python benchmarks/interval_coverage.py [--trials 400] [--seed 20261121]

Draws tasks with a chance p of acceptance (beta-distributed) and a cost (lognormal, hard tasks dearer, failed attempts
dearer), then attempts of two configurations on them; gives the attempts to the product as ledger records; and counts
how often its intervals hold the truth. Beside them the same for ways that are wrong. Writes interval_coverage.md.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from pytest_greencode.accounting import account  # noqa: E402
from pytest_greencode.accounts import ConfigurationAccount  # noqa: E402
from pytest_greencode.comparison import compare  # noqa: E402
from pytest_greencode.economics.economy import CO2E, resolved  # noqa: E402
from pytest_greencode.economics.expectation import Policy, task_costs  # noqa: E402
from pytest_greencode.estimators import expected_attempts, pass_probability  # noqa: E402
from pytest_greencode.model import (  # noqa: E402
    J_PER_KWH,
    AttemptRecord,
    Configuration,
    Factors,
    Generation,
    Intensity,
    Machine,
    Method,
    Reading,
    Verdict,
)
from pytest_greencode.statistics import mean_interval, ratio_interval, share_interval  # noqa: E402

TASKS = (10, 20, 50, 164)
ATTEMPTS = ((1, (1,)), (5, (1, 5)), (10, (1, 5)))
RESAMPLES = 200
# What a task that is not solved costs a person, in units of a mean attempt of a task of chance 1/2.
FALLBACKS = (10.0, 1000.0)

# The truth. A task of chance p costs exp(SLOPE * (1/2 - p) + TASK_SD * normal) per accepted attempt on average, a
# failed attempt FAILED times that, and single attempts vary by a factor of exp(ATTEMPT_SD * normal), mean 1. The second
# configuration is dearer, and its logit(p) is higher, by a normal amount.
SLOPE, TASK_SD, ATTEMPT_SD, FAILED = 1.0, 0.3, 0.4, 1.2
DEARER, LOGIT_SHIFT, LOGIT_SD = 1.3, 0.5, 0.7

UNIT = Intensity(g_per_kwh=J_PER_KWH, region="unit", year=None, source="1 J is 1 g")
# Made for nothing, so that grams are joules.
MACHINE = Machine(
    name="machine",
    embodied_g=0.0,
    embodied_low_g=0.0,
    embodied_high_g=0.0,
    lifetime_s=1.0,
    lifetime_low_s=1.0,
    lifetime_high_s=1.0,
    source="simulated",
    power_w=1.0,
)
FACTORS = Factors(generation=UNIT, execution=UNIT, generation_machine=MACHINE, execution_machine=MACHINE)
READING = Reading(
    cpu_s=0.0,
    wall_s=0.0,
    peak_memory_bytes=None,
    oracle_cpu_s=0.0,
    harness_cpu_s=0.0,
    energy_j=0.0,
    harness_energy_j=0.0,
    energy_method=Method.MEASURED,
)

Array = np.ndarray

LEGEND = """# Coverage of the intervals

Per cent of {trials} simulated runs in which an interval (nominal 95 %) holds the truth; a 95 has a standard error of
{error:.1f}. What is simulated stands in the program. An empty cell: there is no such interval.

* *R, tasks like these* and *R, this benchmark* (needs n > k): grams per accepted solution of one configuration.
* *pair's ratio*, *pass@k, pair*: two configurations on the same tasks, the ratio of R and the difference of pass@k.
* *bound*: the one-sided lower bound of pass@k by which a configuration is selected.
* *L, H*: cost per task when a person of cost H finishes what k attempts left; an attempt costs about 1.
* *none*: per cent of runs in which the pair had no ratio, as one of the two solved nothing. These do not count.

The wrong ways:

* *independent*: all attempts as if each were a task of its own, for R of tasks like these.
* *inside tasks*: attempts drawn again inside each task ({resamples} times), percentiles, for R of this benchmark;
  *shift of R*: how far the mean of the redrawn R is off the estimate.
* *plain t*: mean and standard deviation of the tasks, as they are.

"""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """p ~ Beta(a, b)."""

    name: str
    a: float
    b: float


SCENARIOS = (
    Scenario(name="half of the attempts accepted", a=0.8, b=0.8),
    Scenario(name="a suite nearly solved", a=3.0, b=0.5),
)


def policy(p: Array, k: int) -> tuple[Array, Array]:
    """(P_k, expected cost in units of the task's) of independent attempts with chance p."""
    fail = 1 - p
    passed = 1 - fail**k
    attempts = sum(fail**j for j in range(k))
    return passed, (attempts - passed) * FAILED + passed


def shifted(p: Array, amount: Array | float) -> Array:
    """p with its logit moved."""
    odds = p / np.maximum(1 - p, 1e-300) * np.exp(amount)
    return odds / (1 + odds)


class Truth:
    """Population values at k, by integration: midpoints of 40,000 beta quantile strata, and Gauss-Hermite over the
    second configuration's shift."""

    def __init__(self, scenario: Scenario, k: int) -> None:
        # No quantile function of the beta distribution in numpy: its density on a fine grid, in the variable that
        # takes the poles away (p = sin^2).
        angle = (np.arange(40_000) + 0.5) / 40_000 * np.pi / 2
        p = np.sin(angle) ** 2
        weight = np.sin(angle) ** (2 * scenario.a - 1) * np.cos(angle) ** (2 * scenario.b - 1)
        weight /= weight.sum()
        scale = np.exp(SLOPE * (0.5 - p) + TASK_SD**2 / 2)
        passed, cost = policy(p, k)
        nodes, node_weight = np.polynomial.hermite_e.hermegauss(31)
        node_weight = node_weight / node_weight.sum()
        passed_b = cost_b = 0.0
        for node, share in zip(nodes, node_weight, strict=True):
            found = policy(shifted(p, LOGIT_SHIFT + LOGIT_SD * node), k)
            passed_b += share * float((weight * found[0]).sum())
            cost_b += share * float((weight * scale * found[1]).sum()) * DEARER
        self.passed = float((weight * passed).sum())
        self.ratio = float((weight * scale * cost).sum()) / self.passed
        self.paired = self.ratio / (cost_b / passed_b)
        self.difference_pp = 100 * (self.passed - passed_b)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Attempts of one configuration: chances and costs of tasks, and (tasks, attempts) of acceptance and cost."""

    p: Array
    scale: Array
    accepted: Array
    cost: Array

    @classmethod
    def of(cls, rng: np.random.Generator, p: Array, scale: Array, n: int) -> Drawn:
        accepted = rng.random((len(p), n)) < p[:, None]
        noise = np.exp(ATTEMPT_SD * rng.standard_normal((len(p), n)) - ATTEMPT_SD**2 / 2)
        return cls(p=p, scale=scale, accepted=accepted, cost=scale[:, None] * noise * np.where(accepted, 1, FAILED))

    def account(self, model: str) -> ConfigurationAccount:
        configuration = Configuration(model=model)
        records = [
            AttemptRecord(
                suite="simulated",
                task_id=f"t/{task}",
                configuration=configuration,
                sample_id=sample,
                path="",
                program_key=f"{task}/{sample}",
                generation=Generation(energy_j=cost, energy_method=Method.MEASURED),
                verdict=Verdict.ACCEPTED if accepted else Verdict.REJECTED,
                reading=READING,
            )
            for task, row in enumerate(zip(self.accepted.tolist(), self.cost.tolist(), strict=True))
            for sample, (accepted, cost) in enumerate(zip(*row, strict=True))
        ]
        (found,) = account(records, FACTORS).configurations
        return found

    def own_ratio(self, k: int) -> float:
        """The truth of these very tasks."""
        passed, cost = policy(self.p, k)
        return float((self.scale * cost).sum() / passed.sum())


def bootstrap_inside_tasks(rng: np.random.Generator, drawn: Drawn, k: int) -> tuple[float, float, float]:
    """The wrong way: attempts drawn again inside each task. (low, high) of R_k by percentiles, and its mean."""
    m, n = drawn.accepted.shape
    chosen = rng.integers(0, n, (RESAMPLES, m, n)) + (np.arange(m) * n)[None, :, None]
    accepted, cost = drawn.accepted.ravel()[chosen], drawn.cost.ravel()[chosen]
    c = accepted.sum(2)
    useful = (cost * accepted).sum(2)
    mean_accepted = useful / np.maximum(c, 1)
    mean_failed = (cost.sum(2) - useful) / np.maximum(n - c, 1)
    passed = np.array([float(pass_probability(n, i, k)) for i in range(n + 1)])[c]
    attempts = np.array([float(expected_attempts(n, i, k)) for i in range(n + 1)])[c]
    total = ((attempts - passed) * mean_failed + passed * mean_accepted).sum(1)
    ratios = total / np.maximum(passed.sum(1), 1e-9)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return float(low), float(high), float(ratios.mean())


class Tally:
    """Of one cell: what each interval did in each trial."""

    def __init__(self) -> None:
        self.held: defaultdict[str, list[bool]] = defaultdict(list)
        self.values: defaultdict[str, list[float]] = defaultdict(list)
        self.without = 0

    def note(self, name: str, interval: Sequence[float] | None, truth: float) -> None:
        if interval is not None:
            self.held[name].append(interval[0] <= truth <= interval[1])

    def coverage(self, name: str) -> str:
        held = self.held[name]
        return f"{100 * sum(held) / len(held):.1f}" if held else ""

    def mean(self, name: str) -> str:
        values = self.values[name]
        return f"{sum(values) / len(values):+.1f}" if values else ""


def one_trial(rng: np.random.Generator, scenario: Scenario, m: int, n: int, truths: dict[int, Truth], tallies) -> None:
    p = rng.beta(scenario.a, scenario.b, m)
    scale = np.exp(SLOPE * (0.5 - p) + TASK_SD * rng.standard_normal(m))
    one = Drawn.of(rng, p, scale, n)
    other = Drawn.of(rng, shifted(p, LOGIT_SHIFT + LOGIT_SD * rng.standard_normal(m)), DEARER * scale, n)
    a, b = one.account("a"), other.account("b")
    for k, truth in truths.items():
        tally = tallies[m, n, k]
        row, found = a.retry[k], compare(a, b, k)
        tally.without += found.co2e_g.interval is None
        tally.note("tasks", row.interval, truth.ratio)
        tally.note("benchmark", row.this_benchmark, one.own_ratio(k))
        tally.note("paired", found.co2e_g.interval, truth.paired)
        tally.note("difference", found.pass_probability.interval_pp, truth.difference_pp)
        solved = [[float(pass_probability(n, int(c), k)) for c in each.accepted.sum(1)] for each in (one, other)]
        bound = share_interval(solved[0], [1.0] * m, 0.9)
        tally.note("bound", bound and (bound[0], math.inf), truth.passed)
        plain = mean_interval([100 * (x - y) for x, y in zip(*solved, strict=True)])
        tally.note("difference, plain t", plain, truth.difference_pp)
        plain = mean_interval(solved[0], 0.9)
        tally.note("bound, plain t", plain and (plain[0], math.inf), truth.passed)
        rows = [(row.task_id, row.attempts, row.accepted, row.co2e_g) for row in a.task_rows]
        costs = task_costs(Policy(k, False), rows)
        for cost in FALLBACKS:
            rest = truth.ratio * truth.passed + (1 - truth.passed) * cost
            total = resolved(CO2E, costs, dict.fromkeys(costs, cost)).total
            tally.note(f"L {cost:g}", total.interval, rest)
            plain = mean_interval([each.cost + (1 - each.passed) * cost for each in costs.values()])
            tally.note(f"L {cost:g}, plain t", plain, rest)
        if k == 1:
            pooled = ratio_interval(one.cost.ravel().tolist(), one.accepted.ravel().astype(float).tolist())
            tally.note("independent", pooled, truth.ratio)
        if n > 1 and row.co2e_g_per_accepted is not None:
            low, high, mean = bootstrap_inside_tasks(rng, one, k)
            tally.note("inside", (low, high), one.own_ratio(k))
            tally.values["shift"].append(100 * (mean / row.co2e_g_per_accepted - 1))


def head_of(*columns: str) -> list[str]:
    names = ["tasks", "n", "k", *columns]
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def table(scenario: Scenario, trials: int, rng: np.random.Generator) -> list[str]:
    tallies: defaultdict[tuple[int, int, int], Tally] = defaultdict(Tally)
    truths = {k: Truth(scenario, k) for k in (1, 5)}
    for m in TASKS:
        for n, ks in ATTEMPTS:
            for _ in range(trials):
                one_trial(rng, scenario, m, n, {k: truths[k] for k in ks}, tallies)
    lines = [f"## {scenario.name.capitalize()}: p ~ Beta({scenario.a:g}, {scenario.b:g})", ""]
    lines += [
        f"* k = {k}: pass@{k} {100 * truth.passed:.1f} %, R {truth.ratio:.3f}, ratio to the second configuration "
        f"{truth.paired:.3f}, difference of pass@{k} {truth.difference_pp:.1f} pp"
        for k, truth in truths.items()
    ]
    heads = ["R, tasks like these", "R, this benchmark", "pair's ratio", "pass@k, pair", "bound"]
    lines += ["", *head_of(*heads, *(f"L, H = {cost:g}" for cost in FALLBACKS), "none")]
    heads = ["independent", "inside tasks", "shift of R, %", "pass@k, pair, plain t", "bound, plain t"]
    wrong = head_of(*heads, *(f"L, H = {cost:g}, plain t" for cost in FALLBACKS))
    for (m, n, k), tally in tallies.items():
        head = f"| {m} | {n} | {k} | "
        right = [tally.coverage(name) for name in ("tasks", "benchmark", "paired", "difference", "bound")]
        right += [tally.coverage(f"L {cost:g}") for cost in FALLBACKS]
        lines.append(head + " | ".join([*right, f"{100 * tally.without / trials:.1f}"]) + " |")
        cells = [tally.coverage("independent"), tally.coverage("inside"), tally.mean("shift")]
        cells += [tally.coverage("difference, plain t"), tally.coverage("bound, plain t")]
        cells += [tally.coverage(f"L {cost:g}, plain t") for cost in FALLBACKS]
        wrong.append(head + " | ".join(cells) + " |")
    return [*lines, "", "The wrong ways:", "", *wrong, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--out", type=Path, default=HERE / "interval_coverage.md")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    started = time.process_time()
    tables = [table(scenario, given.trials, rng) for scenario in SCENARIOS]
    spent_s = time.process_time() - started
    error = 100 * math.sqrt(0.95 * 0.05 / given.trials)
    command = f"python benchmarks/interval_coverage.py --trials {given.trials} --seed {given.seed}"
    text = LEGEND.format(trials=given.trials, error=error, resamples=RESAMPLES)
    lines = [line for found in tables for line in found]
    versions = f"Python {platform.python_version()}, numpy {np.__version__}"
    lines += [f"Made by `{command}` in {spent_s:.0f} s of CPU time", f"({versions}).", ""]
    given.out.write_text(text + "\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
