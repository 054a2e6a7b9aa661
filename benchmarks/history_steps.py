"""How many steps `greencode history` marks where nothing changed, and how many it misses, of a truth that is known.

    python benchmarks/history_steps.py [--series 200] [--seed 20261122]

Draws histories of a suite of 20 tests (each 1.25 times as dear as the one before, own noise 2 %) on a machine that is
faster or slower as a whole from run to run, which nothing but the runs tells; in half of them the suite becomes dearer
halfway. Writes history_steps.md.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from pytest_greencode.gate import subject_of_tests  # noqa: E402
from pytest_greencode.history.figures import ProjectFigures  # noqa: E402
from pytest_greencode.history.trend import FIELDS_OF_TESTS, Logged, series_of  # noqa: E402
from pytest_greencode.model import Factors, Intensity  # noqa: E402
from pytest_greencode.pricing import Pricing  # noqa: E402
from pytest_greencode.project_account import Spent  # noqa: E402
from pytest_greencode.project_costs import CostOfTest, ProjectCosts  # noqa: E402

TESTS, WATTS, OWN_NOISE = 20, 4.0, 0.02
GRID = Intensity(region="x", g_per_kwh=1.0, source="x", year=None)
PRICING = Pricing(Factors(generation=GRID, execution=GRID))
Speed = Callable[[random.Random], float]
MACHINES: dict[str, Speed] = {
    "2 % from run to run": lambda rng: rng.lognormvariate(0, 0.02),
    "5 %": lambda rng: rng.lognormvariate(0, 0.05),
    "15 %": lambda rng: rng.lognormvariate(0, 0.15),
    "5 %, every tenth run at half speed": lambda rng: rng.lognormvariate(0, 0.05) * (2 if rng.random() < 0.1 else 1),
    "3 %, three of ten runs 1.5 times slower": lambda rng: (
        rng.lognormvariate(0, 0.03) * (1.5 if rng.random() < 0.3 else 1)
    ),
}
LENGTHS = (5, 10, 30, 60)
CHANGES = (1.1, 1.2, 1.5, 2.0, 3.0)
RUNS = 20  # of a history in which something changes


def history(rng: random.Random, speed: Speed, runs: int, change: float = 1.0) -> Iterator[Logged]:
    """`change`: how much dearer all of it is from the middle on."""
    for number in range(runs):
        factor = speed(rng) * (change if number >= runs // 2 else 1.0)
        costs = [1e-3 * 1.25**n * factor * rng.lognormvariate(0, OWN_NOISE) for n in range(TESTS)]
        tests = {f"t.py::test_{n}": CostOfTest(True, cost_s, WATTS * cost_s, cost_s) for n, cost_s in enumerate(costs)}
        at = f"run {number:03}"
        mean_s = math.fsum(costs) / TESTS
        line = ProjectFigures(
            at=at,
            revision=None,
            selection="",
            settings="{}",
            tests=TESTS,
            passing=TESTS,
            outcomes="",
            startup_cpu_s=None,
            energy_per_passing_test_j=WATTS * mean_s,
            energy_interval=None,
            cpu_seconds_per_passing_test=mean_s,
            cpu_interval=None,
            co2e_per_passing_test_g=None,
            co2e_interval=None,
            waste_share=0.0,
            reason=None,
            factors=None,
        )
        nothing = Spent(cpu_s=0.0, energy_j=0.0)
        known = ProjectCosts(tests=tests, background=nothing, startup_cpu_s=None, conditions={}, run_id=at, saved_at=at)
        yield Logged(line=line, tests=subject_of_tests(known, FIELDS_OF_TESTS, PRICING))


def steps(logged: list[Logged]) -> list[tuple[int, bool]]:
    """Of which runs, from 0, are steps; and whether the next run is still to confirm it."""
    (series,) = series_of(logged)
    points = enumerate(series.trends[0].points)
    return [(n, point.change.latest) for n, point in points if point.change is not None and point.change.is_step]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20261122)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    lines = [
        "# Steps in a history of tests",
        "",
        f"{options.series} histories each; Python {platform.python_version()}.",
        f"{TESTS} tests, own noise {100 * OWN_NOISE:g} %, and a machine that differs as a whole from run to run, which",
        "pytest's start does not tell.",
        "",
        "Nothing changed: histories in which a step is marked, %; in brackets those with the last run only, which the",
        "next may still take back.",
        "",
        f"| machine | {' | '.join(f'{length} runs' for length in LENGTHS)} |",
        f"|---|{'---|' * len(LENGTHS)}",
    ]
    for name, speed in MACHINES.items():
        cells = []
        for length in LENGTHS:
            found = [steps(list(history(rng, speed, length))) for _ in range(options.series)]
            sure = sum(any(not latest for _, latest in each) for each in found)
            waiting = sum(bool(each) for each in found) - sure
            cells.append(f"{100 * sure / options.series:.1f} [{100 * waiting / options.series:.1f}]")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"All of it dearer from run {RUNS // 2 + 1} of {RUNS} on: histories in which that run is marked, %.",
        "",
        f"| machine | {' | '.join(f'{change:g} times' for change in CHANGES)} |",
        f"|---|{'---|' * len(CHANGES)}",
    ]
    for name, speed in MACHINES.items():
        cells = []
        for change in CHANGES:
            hits = sum(RUNS // 2 in dict(steps(list(history(rng, speed, RUNS, change)))) for _ in range(options.series))
            cells.append(f"{100 * hits / options.series:.1f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", "Made by `python benchmarks/history_steps.py`."]
    (HERE / "history_steps.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
