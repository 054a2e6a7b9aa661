"""How many merges that change nothing fail the gate of a small repository, and how many slow ones it catches.

    python benchmarks/innocent_merges.py [--merges 50] [--slow 3] [--series RUNS,BUSY ...]

A repository of 15 tests of 1 to 100 ms as a user would set it up: five runs and `greencode check --aa` for the
tolerance, `greencode baseline save`, and then pytest with the rule, once a merge. An innocent merge changes a comment;
a slow one makes one function do its work ten times. Each series has so many runs of each test, and so many processes
beside it that keep a core busy. Every run is a process of its own, and what counts is its exit code; +25 % is judged on
the same runs. Then each innocent run is the baseline of each other one, with and without what the start of pytest tells
of the machine's speed. Writes innocent_merges.md.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent)]

from pytest_greencode.baseline import read_baseline  # noqa: E402
from pytest_greencode.gate import EXIT_CODE, Subject, decide, parse_rule  # noqa: E402
from pytest_greencode.ledger import DEFAULT_LEDGER, Ledger  # noqa: E402
from pytest_greencode.run_account import account_of_run  # noqa: E402
from pytest_greencode.run_gate import gate_of_run, tests_of  # noqa: E402

FIELD = "energy_per_passing_test_j"
EXAMPLE = f"{FIELD}:+25%"
BASELINE = "greencode-baseline.json"

WORK = '''"""Revision {revision}."""
import hashlib, json, re

def digest(n):
    found = b""
    for i in range(n):
        found = hashlib.sha256(found + b"x" * 64).digest()
    return found

def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

def words(n):
    return len(re.findall(r"w(\\d+)", " ".join(f"w{{i % 97}} " for i in range(n))))

def ordered(n):
    return sorted(((i * 7919) % 10007 for i in range(n)), key=lambda x: (x % 13, x))

def dumps(n):
    return len(json.dumps({{str(i): list(range(i % 20)) for i in range(n)}}))
'''
SLOW = """
once = {name}
def {name}(n):
    return [once(n) for _ in range(10)][0]
"""
TESTS = """import pytest, work

SIZES = {
    "digest": (1500, 8000, 40000), "fibonacci": (15, 18, 21), "words": (2000, 12000, 60000),
    "ordered": (3000, 20000, 80000), "dumps": (300, 3000, 12000),
}

@pytest.mark.parametrize(("name", "size"), [(name, size) for name, sizes in SIZES.items() for size in sizes])
def test_it(name, size):
    assert getattr(work, name)(size)
"""
# What is made slow, in turns: half of the suite's cost, and about a tenth and a fifth of it.
SLOWED = ("ordered", "digest", "words")


class Repository:
    """In a directory of its own, with a ledger for one series of runs."""

    def __init__(self, directory: Path, repeat: int) -> None:
        self.directory = directory
        (directory / "test_work.py").write_text(TESTS, encoding="utf-8")
        (directory / "pytest.ini").write_text(
            f"[pytest]\naddopts = -p no:cacheprovider\ngreencode_repeat = {repeat}\n", encoding="utf-8"
        )
        self.change(0)

    def change(self, revision: int, slow: str | None = None) -> None:
        text = WORK.format(revision=revision) + (SLOW.format(name=slow) if slow else "")
        (self.directory / "work.py").write_text(text, encoding="utf-8")

    def greencode(self, *arguments: str) -> tuple[int, str]:
        return self._process("from pytest_greencode.cli import main; import sys; sys.exit(main())", arguments)

    def pytest(self, *arguments: str) -> tuple[int, str]:
        code = "import pytest, sys; sys.exit(pytest.main())"
        return self._process(code, ["-q", "--greencode", *arguments])

    def _process(self, code: str, arguments: Sequence[str]) -> tuple[int, str]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent)]), "COLUMNS": "200"}
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if done.returncode not in (0, EXIT_CODE):
            sys.exit(f"{arguments}: exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done.returncode, " ".join(done.stdout.split())

    def judged(self, rule: str) -> str:
        """The last run's decision by another rule."""
        ledger = Ledger(self.directory / DEFAULT_LEDGER, read_only=True)
        try:
            run_id = ledger.last_run(with_tests=True) or ""
            baseline = read_baseline(self.directory / BASELINE, flag="")
            factors = baseline.factors
            account = account_of_run(ledger, run_id, factors)
            rules = [parse_rule(rule, flag="")]
            found = gate_of_run(ledger, run_id, rules, factors=factors, account=account, baseline=baseline)
            return found.decision.value
        finally:
            ledger.close()

    def last(self) -> Subject:
        """The last run's tests."""
        ledger = Ledger(self.directory / DEFAULT_LEDGER, read_only=True)
        try:
            run_id = ledger.last_run(with_tests=True) or ""
            factors = read_baseline(self.directory / BASELINE, flag="").factors
            account = account_of_run(ledger, run_id, factors)
            (found,) = tests_of(account, [parse_rule(EXAMPLE, flag="").field], ledger.facts(run_id))
            return found
        finally:
            ledger.close()


def pairs(runs: Sequence[Subject]) -> str:
    """Every run against every other."""
    told = []
    for percent in (25, 50):
        rule = parse_rule(f"{FIELD}:+{percent}%", flag="")
        shares = []
        for speeds in (True, False):
            sides = runs if speeds else [replace(each, startup_cpu_s=None) for each in runs]
            found = Counter(
                decide([rule], [now], [then], baseline="b").decision.value
                for now in sides
                for then in sides
                if now is not then
            )
            shares.append(f"{100 * found['fail'] / found.total():.1f} %")
        told.append(f"at +{percent} % {shares[0]} fail, without the machine's speed {shares[1]}")
    tests, starts = (
        [math.log(value) for each in runs if (value := of(each))]
        for of in (lambda each: each.quantities[FIELD].value, lambda each: each.startup_cpu_s)
    )
    correlation = statistics.correlation(tests, starts)
    return (
        f"of all pairs of {len(runs)} innocent runs, {'; '.join(told)}. Standard deviation of the logarithm: "
        f"{100 * statistics.stdev(tests):.0f} % of the suite, {100 * statistics.stdev(starts):.0f} % of the start of "
        f"pytest; correlation {correlation:.2f}."
    )


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but that."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()


def series(directory: Path, merges: int, slow: int, repeat: int, others: int) -> list[str]:
    repository = Repository(directory, repeat)
    with busy(others):
        for _ in range(5):
            repository.pytest()
        _, told = repository.greencode("check", "--aa")
        repository.greencode("baseline", "save")
        (percent,) = re.findall(rf"{FIELD}:\+(\d+)%", told)
        rule = f"{FIELD}:+{percent}%"
        gate = ("--greencode-baseline", BASELINE, "--greencode-fail", rule)
        counts = {rule: Counter[str](), EXAMPLE: Counter[str]()}
        red, runs = 0, []
        for number in range(merges):
            repository.change(number)
            red += repository.pytest(*gate)[0] == EXIT_CODE
            runs.append(repository.last())
            for each, counted in counts.items():
                counted[repository.judged(each)] += 1
        assert red == counts[rule]["fail"]
        caught = {rule: Counter[str](), EXAMPLE: Counter[str]()}
        named = Counter[str]()
        for name in SLOWED:
            for number in range(slow):
                repository.change(number, slow=name)
                code, text = repository.pytest(*gate)
                named[name] += code == EXIT_CODE and f"test_it[{name}-" in text.partition("gate ")[2]
                for each, counted in caught.items():
                    counted[f"{name} {repository.judged(each)}"] += 1
    load = os.getloadavg()[0]
    beside = f"{repeat} | {f'{others} busy processes' if others else 'as it was'}"
    rows = []
    for each in (rule, EXAMPLE):
        innocent = counts[each]
        cells = [f"{innocent[outcome]}" for outcome in ("fail", "inconclusive", "pass")]
        slowed = [f"{caught[each][f'{name} fail']} of {slow}" for name in SLOWED]
        rows.append(f"| {beside}, load {load:.1f} | `{each.rpartition(':')[2]}` | {' | '.join([*cells, *slowed])} |")
    sentence = ", ".join(f"{name} {named[name]}" for name in SLOWED)
    note = f"{beside.replace(' |', ',')}: red sentences that name a test of the slow function, by the first rule:"
    return [*rows, f"\n* {note} {sentence}; {pairs(runs)}"]


LEGEND = """# Merges that change nothing, and slow ones

Of {merges} merges each that change a comment, how many failed, could not be told and passed; and how many failed of
{slow} each that make a function ten times slower: `ordered` (about half of the suite's energy), `digest` and `words`
(about a sixth each). The first rule of each machine is the one that `greencode check --aa` proposed from five runs. The
baseline is one run. *Runs*: of each test.

| runs | machine | rule | innocent: fail | inconclusive | pass | {names} |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--merges", type=int, default=50)
    parser.add_argument("--slow", type=int, default=3)
    parser.add_argument("--series", nargs="*", default=["1,0", "1,2", "5,0", "5,2"], metavar="RUNS,BUSY")
    parser.add_argument("--out", type=Path, default=HERE / "innocent_merges.md")
    given = parser.parse_args()
    rows, notes = [], []
    for text in given.series:
        repeat, others = map(int, text.split(","))
        with tempfile.TemporaryDirectory() as name:
            found = series(Path(name), given.merges, given.slow, repeat, others)
        rows += found[:-1]
        notes.append(found[-1])
        sys.stderr.write("\n".join(found) + "\n")
    text = LEGEND.format(merges=given.merges, slow=given.slow, names=" | ".join(f"slow {name}" for name in SLOWED))
    lines = [
        *rows,
        *notes,
        f"Python {platform.python_version()}, pytest {version('pytest')}, {os.cpu_count()} cores of a virtual machine",
        "that others used too; energy is the estimate, so it is CPU time.",
        "",
        "Made by `python benchmarks/innocent_merges.py`.",
        "",
    ]
    given.out.write_text(text + "\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
