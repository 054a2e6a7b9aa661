"""What measuring costs: a suite of trivial tests under pytest, with and without `--greencode`.

Trivial tests are the worst case: all that is done per test is beside next to nothing. Both sides are whole processes in
the same environment, in turns; what counts is their CPU time (user and system, children included), as wall time on a
shared machine is others' too. Even so the machine should do nothing else: beside others, the same work takes more CPU
time, and varies by more than what is looked for. The load is printed. The share is that of the medians' difference.
Start-up (imports, the ledger) is told apart by a suite of one test.

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
    runs: dict[tuple[int, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for tests in (1, arguments.tests):
            directory = Path(name) / str(tests)
            directory.mkdir()
            write_suite(directory, tests)
            for options in SIDES.values():
                cpu_s(directory, tests, options)  # compiles
            for _ in range(arguments.rounds):
                for side, options in SIDES.items():
                    runs.setdefault((tests, side), []).append(cpu_s(directory, tests, options))
                    print(f"{tests} tests, {side}: {runs[tests, side][-1]:.2f} s", flush=True)
    report(runs, arguments.tests, arguments.rounds)


def report(runs: dict[tuple[int, str], list[float]], tests: int, rounds: int) -> None:
    median = {key: statistics.median(values) for key, values in runs.items()}
    lines = [
        "# What measuring ordinary tests costs",
        "",
        f"CPU time of whole processes, s: medians of {rounds} interleaved runs, least and most in brackets.",
        f"Python {platform.python_version()}, pytest {version('pytest')}, {os.cpu_count()} cores.",
        f"Linux {platform.release()}; the meter is the estimate; load of the last minute {os.getloadavg()[0]:.1f}.",
        "",
        "| tests | pytest | pytest --greencode | more | per test |",
        "|---|---|---|---|---|",
    ]
    for count in (1, tests):
        plain, measured = (median[count, side] for side in SIDES)
        shown = [
            f"{median[count, side]:.2f} [{min(runs[count, side]):.2f}, {max(runs[count, side]):.2f}]" for side in SIDES
        ]
        more = f"{(measured - plain) / plain:+.1%}" if count > 1 else f"{measured - plain:+.2f} s"
        start_s = median[1, "pytest --greencode"] - median[1, "pytest"]
        per_test = f"{(measured - plain - start_s) / count * 1e6:.0f} µs" if count > 1 else ""
        lines.append(f"| {count} | {shown[0]} | {shown[1]} | {more} | {per_test} |")
    first, last = (median[count, "pytest --greencode"] - median[count, "pytest"] for count in (1, tests))
    share = (last - first) / median[tests, "pytest"]
    lines += [
        "",
        f"Without what the start takes once: {share:+.1%}.",
        "",
        "Made by `python benchmarks/project_overhead.py`.",
        "",
    ]
    text = "\n".join(lines)
    (HERE / "project_overhead.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
