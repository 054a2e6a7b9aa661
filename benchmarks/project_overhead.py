"""What measuring costs: a suite of trivial tests under pytest, with and without `--greencode`.

Trivial tests are the worst case: all that is done per test is beside next to nothing. Both sides are whole processes in
the same environment, one after the other in turns; what counts is their CPU time (user and system, children included),
as wall time on a shared machine is others' too. The speed of such a machine changes from minute to minute by more than
what is looked for, so each run is compared with its neighbour, and the figures are medians of these pairs. Start-up
(imports, the ledger) is told apart by a suite of one test.

    python benchmarks/project_overhead.py [--rounds 7] [--tests 5000]

Writes benchmarks/project_overhead.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
PER_FILE = 100
SIDES = {"pytest": [], "pytest --greencode": ["--greencode"]}


def write_suite(directory: Path, tests: int) -> None:
    for number in range(0, tests, PER_FILE):
        body = "\n".join(f"def test_{i}():\n    assert True\n" for i in range(min(PER_FILE, tests - number)))
        (directory / f"test_{number:05d}.py").write_text(body)


def cpu_s(directory: Path, tests: int, arguments: list[str]) -> float:
    """CPU seconds of one run."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "greencode", *arguments, "."]
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPYCACHEPREFIX": str(directory / "bytecode"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = os.times()
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode or f"{tests} passed" not in done.stdout:
        sys.exit(f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tests", type=int, default=5000)
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.tests) < 2:
        parser.error("expected 2 rounds and 2 tests or more")
    pairs: dict[int, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        for tests in (1, arguments.tests):
            directory = Path(name) / str(tests)
            directory.mkdir()
            write_suite(directory, tests)
            for options in SIDES.values():
                cpu_s(directory, tests, options)  # compiles
            # A suite of one test takes so little that more rounds cost nothing.
            for turn in range(arguments.rounds * (3 if tests == 1 else 1)):
                order = list(SIDES) if turn % 2 else list(reversed(SIDES))
                found = {side: cpu_s(directory, tests, SIDES[side]) for side in order}
                plain_s, measured_s = (found[side] for side in SIDES)
                pairs.setdefault(tests, []).append((plain_s, measured_s))
                print(f"{tests} tests: {plain_s:.3f} s, with --greencode {measured_s:.3f} s", flush=True)
    report(pairs)


def report(pairs: dict[int, list[tuple[float, float]]]) -> None:
    few, many = pairs
    lines = [
        "# What measuring ordinary tests costs",
        "",
        f"CPU time of whole processes, s: medians of {len(pairs[few])} and {len(pairs[many])} pairs of neighbouring",
        "runs, quartiles of the pairs' differences in brackets.",
        f"Python {platform.python_version()}, pytest {version('pytest')}, {os.cpu_count()} cores.",
        f"Linux {platform.release()}; the meter is the estimate; load of the last minute {os.getloadavg()[0]:.1f}.",
        "",
        "| tests | pytest | pytest --greencode | more | share |",
        "|---|---|---|---|---|",
    ]
    more_s = {}
    for count, of in pairs.items():
        low, more_s[count], high = statistics.quantiles([measured_s - plain_s for plain_s, measured_s in of], n=4)
        plain_s, measured_s = (statistics.median(side) for side in zip(*of, strict=True))
        share = statistics.median(measured_s / plain_s - 1 for plain_s, measured_s in of)
        more = f"{more_s[count]:+.3f} s [{low:+.3f}, {high:+.3f}]"
        lines.append(f"| {count} | {plain_s:.2f} | {measured_s:.2f} | {more} | {share:+.1%} |")
    per_test_us = (more_s[many] - more_s[few]) / (many - few) * 1e6
    plain_s = statistics.median(plain_s for plain_s, _ in pairs[many])
    lines += [
        "",
        f"Per test {per_test_us:.0f} µs; pytest's own is {plain_s / many * 1e6:.0f}.",
        f"Without what the start takes once: {(more_s[many] - more_s[few]) / plain_s:+.1%}.",
        "",
        "Made by `python benchmarks/project_overhead.py`.",
        "",
    ]
    text = "\n".join(lines)
    (HERE / "project_overhead.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
