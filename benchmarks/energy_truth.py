"""Readings against the truth: this project's and its peers' on a simulated machine of which every joule is known.

    python benchmarks/energy_truth.py [--coverage 100] [--raw FILE]

Needs root, for the simulated machine (tests/rapl). Makes a virtual environment for each peer and writes
benchmarks/energy_truth.md. With `--raw`, parts that are in the file are not done again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from rapl.load import Job, daemon  # noqa: E402
from rapl.machine import Truth  # noqa: E402
from rapl.readings import attributed, exclusive  # noqa: E402

from pytest_greencode.ledger import Ledger  # noqa: E402
from pytest_greencode.meters import sampler  # noqa: E402
from pytest_greencode.meters.baseline import Baseline, measure_baseline  # noqa: E402
from pytest_greencode.meters.choice import open_counters  # noqa: E402
from pytest_greencode.meters.counters import EnergyCounters  # noqa: E402
from pytest_greencode.meters.exclusive import Plan  # noqa: E402
from pytest_greencode.meters.window import machine_busy_cpu_s  # noqa: E402

Part = Mapping[str, Any]

PEERS = {
    "pyRAPL": ["pyRAPL==0.2.3.1"],
    "pyJoules": ["pyJoules==0.5.1"],
    "codecarbon": ["codecarbon==3.3.2"],
    "zeus": ["zeus==0.16.0"],
}
TOOLS = ["greencode", *PEERS]

# CPU seconds, and how often a tool measures them.
LENGTHS = [(0.001, 40), (0.01, 40), (0.05, 20), (0.2, 10), (1.0, 4), (10.0, 1)]
# A run of ours has more than one execution in a window.
BATCHES = [(cpu_s, max(times, round(3 / cpu_s))) for cpu_s, times in LENGTHS]

# What is special about the machine, and the lengths that show it.
DEFECTS: dict[str, tuple[str, list[tuple[float, int]]]] = {
    "two packages": ("--packages 2", [(1.0, 4)]),
    "a wrap": ("--counter-bits 20 --limit-w 40 --no-dram", [(1.0, 10)]),
    "15 wraps": ("--counter-bits 18 --limit-w 40 --no-dram", [(10.0, 1)]),
    "AMD, two dies": ("--dies 2 --no-dram", [(1.0, 4)]),
    "psys": ("--packages 2 --psys", [(1.0, 4)]),
    "packages and DRAM": ("--packages 2", [(1.0, 4)]),
    "a stranger, from now": ("--packages 2", [(1.0, 4)]),
    "a stranger, always": ("--packages 2", [(1.0, 4)]),
}
# What the system does by itself: the share of a CPU.
BUSTLE = 0.01
# What a stranger uses.
STRANGER = 0.5
COVERAGE_S = 0.05


# -- on the simulated machine -------------------------------------------------------------------------------------


def inside(part: Part) -> Any:
    """Do a part on a machine that is never quite idle."""
    with daemon("--bustle", BUSTLE):
        return KINDS[part["kind"]](part, Truth.load(os.environ["RAPL_TRUTH"]))


@contextlib.contextmanager
def stranger(part: Part, when: str) -> Iterator[None]:
    with daemon("--pace", STRANGER) if part.get("stranger") == when else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def probes(part: Part) -> Iterator[list[Job]]:
    """A process for each job, each with the tool."""
    command = [part["python"], str(HERE / "energy_probe.py"), part["tool"]]
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(Job(cpu, command, env={**os.environ, **part["environment"]}))
            for cpu in range(part["jobs"])
        ]


def peer(part: Part, truth: Truth) -> list[list[dict[str, Any]]]:
    """Per length: what each block was read as, and what is true."""
    found = []
    with probes(part) as jobs, stranger(part, part.get("stranger", "")):
        for cpu_s, times in part["lengths"]:
            for job in jobs:
                job.ask(cpu_s, times)
            found.append([each for job in jobs for each in job.answer()])
    return found


def cost(part: Part, truth: Truth) -> dict[str, float]:
    """Of measuring nothing."""
    with probes(part) as (job,):
        job.ask(0.0, part["times"])
        found = job.answer()
    return {name: statistics.median(each[name] for each in found) for name in ("wall_s", "cpu_s")}


@contextlib.contextmanager
def idle(part: Part) -> Iterator[tuple[EnergyCounters, Baseline]]:
    """Counters and the idle power, and then whoever disturbs."""
    with open_counters("powercap") as counters, stranger(part, "always"):
        baseline = measure_baseline(counters, window_s=part["window_s"])
        assert baseline is not None
        with stranger(part, "run"):
            yield counters, baseline


def attribution(part: Part, truth: Truth) -> list[dict[str, Any]]:
    """Per length: the error of each execution, and of all together."""
    found = []
    with idle(part) as (counters, baseline):
        for length in part["lengths"]:
            batch = attributed(counters, baseline, jobs=part["jobs"], lengths=[length])
            busy_w = truth.machine.busy_w
            found.append({"errors": batch.errors(busy_w), "error": batch.error(busy_w)})
    return found


def alone(part: Part, truth: Truth) -> list[dict[str, Any]]:
    """Per length: the error of one exclusive measurement, and the interval that it gave."""
    found = []
    with idle(part) as (counters, baseline):
        for cpu_s, _ in part["lengths"]:
            begun_s = time.monotonic()
            plan = Plan(max_windows=15) if part.get("stranger") else Plan()
            measured = exclusive(counters, baseline, cpu_s=cpu_s, plan=plan)
            true_j = truth.machine.busy_w * (measured.cpu_s or cpu_s)
            found.append(
                {
                    "error": None if measured.energy_j is None else measured.energy_j / true_j - 1,
                    "half_width": measured.relative_half_width,
                    "covered": None
                    if measured.interval is None
                    else measured.interval[0] <= true_j <= measured.interval[1],
                    "windows": measured.windows,
                    "discarded": measured.discarded,
                    "wall_s": time.monotonic() - begun_s,
                }
            )
    return found


def sampling(part: Part, truth: Truth) -> float:
    """The share of a CPU that the sampler takes, with its ledger and the heartbeat."""
    with tempfile.TemporaryDirectory() as directory, open_counters("powercap") as counters:
        ledger = Ledger(Path(directory, "ledger.sqlite"))
        machine = sampler.Machine(busy_cpu_s=machine_busy_cpu_s, counters=counters, idle_w=1.0, meter="RAPL")
        one = sampler.Sampler(lambda windows, overheads: ledger.note("run", windows, overheads), machine)
        begun_s, begun_cpu_s = time.monotonic(), time.process_time()
        time.sleep(part["wall_s"])
        share = (time.process_time() - begun_cpu_s) / (time.monotonic() - begun_s)
        one.stop()
        ledger.close()
    return share


KINDS = {
    "peer": peer,
    "cost": cost,
    "attribution": attribution,
    "alone": alone,
    "sampling": sampling,
}


# -- outside ------------------------------------------------------------------------------------------------------


class Runner:
    """Does parts, each on a simulated machine of its own; keeps them in a file if there is one."""

    def __init__(self, environments: Path, raw: Path | None) -> None:
        self.environments, self.raw = environments, raw
        self.done: dict[str, Any] = json.loads(raw.read_text()) if raw and raw.exists() else {}

    def python(self, tool: str) -> Path | str:
        """The interpreter that has the tool, or why there is none."""
        if tool not in PEERS:
            return Path(sys.executable)
        directory = self.environments / tool
        python = directory / "bin/python"
        if not (directory / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(directory)], check=True)
            command = [str(python), "-m", "pip", "install", "--quiet", *PEERS[tool]]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"not installed: {last_line(done.stderr)}"
            (directory / "installed").touch()
        return python

    def tool(self, tool: str, options: str, **part: Any) -> Any:
        """Results, or a text that says why there are none."""
        python = self.python(tool)
        if isinstance(python, str):
            return python
        environment = {"PYTHONPATH": str(ROOT)} if tool == "greencode" else {}
        if part.pop("dram", False):
            environment["RAPL_INCLUDE_DRAM"] = "1"
        return self.part(options, {"jobs": 1, **part, "tool": tool, "python": str(python), "environment": environment})

    def part(self, options: str, part: Part) -> Any:
        # Without the paths of this machine.
        key = json.dumps(
            [options, {**part, "python": "", "environment": [*part.get("environment", ())]}], sort_keys=True
        )
        if key not in self.done:
            self.done[key] = self._measure(options, part)
            if self.raw:
                self.raw.write_text(json.dumps(self.done))
        return self.done[key]

    def _measure(self, options: str, part: Part) -> Any:
        command = [sys.executable, str(ROOT / "tests/rapl"), *options.split(), "--"]
        command += [sys.executable, str(Path(__file__)), "--inside", json.dumps(part)]
        begun_s = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        name = " ".join(str(part.get(word, "")) for word in ("kind", "tool", "jobs", "stranger"))
        print(f"{name} {options}: {time.monotonic() - begun_s:.0f} s", flush=True)
        if done.returncode:
            print(done.stderr, flush=True)
            # The first traceback is the tool's own, the second says that its process has ended.
            return last_line(done.stderr.split("Traceback")[1])
        return json.loads(done.stdout.splitlines()[-1])


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def measure(runner: Runner, runs: int) -> dict[str, Any]:
    """All parts, in an order that has the short ones first."""
    found: dict[str, Any] = {"cost": {}, "defects": {}, "lengths": {}, "alone": {}}
    for tool in TOOLS:
        found["cost"][tool] = runner.tool(tool, "--packages 2", kind="cost", times=20 if tool == "codecarbon" else 500)
    found["sampling"] = runner.part("--packages 2", {"kind": "sampling", "wall_s": 20})
    for name, (options, lengths) in DEFECTS.items():
        when = {"a stranger, from now": "run", "a stranger, always": "always"}.get(name)
        more = {"stranger": when} if when else {}
        row = found["defects"][name] = {}
        for tool in TOOLS:
            dram = {"dram": True} if "DRAM" in name else {}
            row[tool] = runner.tool(tool, options, kind="peer", lengths=lengths, **more, **dram)
        own = {"jobs": 1, "window_s": 1.0, "lengths": lengths, **more}
        row["attributed"] = runner.part(options, {"kind": "attribution", **own})
        if "10.0" not in str(lengths):
            row["exclusive"] = runner.part(options, {"kind": "alone", **own})
    for jobs in (1, 2):
        for tool in TOOLS:
            found["lengths"][tool, jobs] = runner.tool(tool, "--packages 2", kind="peer", jobs=jobs, lengths=LENGTHS)
        part = {"kind": "attribution", "jobs": jobs, "window_s": 2.0, "lengths": BATCHES}
        found["lengths"]["attributed", jobs] = runner.part("--packages 2", part)
    found["alone"] = [
        runner.part("--packages 2", {"kind": "alone", "window_s": 2.0, "lengths": [length]})[0] for length in LENGTHS
    ]
    part = {"kind": "alone", "window_s": 0.5, "lengths": [(COVERAGE_S, 1)]}
    found["coverage"] = [runner.part("--packages 2", {**part, "run": run})[0] for run in range(runs)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Readings of energy against the truth.")
    parser.add_argument("--coverage", type=int, default=0, help="exclusive measurements whose intervals are checked")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-peers", help="where the peers are installed")
    parser.add_argument("--raw", type=Path, help="keep results here, and do not measure again what is there")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        print(json.dumps(inside(json.loads(arguments.inside))))
        return
    # What waits for a CPU takes longer, and more idle energy with it.
    with contextlib.suppress(OSError):
        os.nice(-15)
        Path("/proc/self/autogroup").write_text("-15")
    runner = Runner(arguments.environments.absolute(), arguments.raw)
    found = measure(runner, arguments.coverage)
    text = report(found)
    (HERE / "energy_truth.md").write_text(text)
    print(text)


# -- the report ---------------------------------------------------------------------------------------------------

PREFACE = """\
On a simulated machine (tests/rapl). Its counters follow the real CPU time of what runs on it by a
power model: 10 W idle, 15 W for each busy CPU, updated every ms. So the true energy of anything is
known. It shows what readers make of counters. It cannot show what is wrong with the counters of a
real CPU, and on it equal CPU time is equal energy, which on a real one may be off by a factor of 2.
The system itself uses {bustle:.0%} of a CPU, in bursts at random: what runs is never quite alone.

Workloads are busy loops of so much CPU time, each pinned to a CPU. Errors are in %: the median of
the readings / what 90 % of them are within. Below ten readings that is the worst.

Tools, each in an environment of its own: {peers}.
Each measures as its documentation says: pyRAPL's Measurement, pyJoules' EnergyContext, CodeCarbon's
OfflineEmissionsTracker as a context (the whole machine, the default; cpu_energy), Zeus' begin_window
and end_window (the sum of cpu_energy). The first reading of each, in which it sets itself up, is left
out. *Counters* are two plain readings of ours; *attributed* and *exclusive* are this plugin's energies.

Python {python}, Linux {linux}, {cpus} CPUs."""
WHOLE = """\
The packages' energy from the begin to the end of a block, against the truth of the same moments.
Two jobs are two processes side by side that each measure their own work. An edge is late by up to
a tick of the counter, so that all readers take 1 ms for nothing, one tick or two; what a tool does between its
own reading and the block is in its reading too. CodeCarbon does not read again within 50 ms of its last
reading, so that shorter blocks are told nothing or next to it."""
CAUSED = """\
15 W times the CPU time of the one workload. The peers do not claim to tell this: their readings
include the idle machine and the other job, and it is the reader who takes them for the workload's.
*Attributed* takes idle power off and shares the rest by CPU time over windows of a second; "sum" is
of all executions of the run. *Exclusive* repeats one workload, with the machine to itself, until the
interval (95 %) is narrow enough: each figure is one measurement. It is not for two jobs."""
DEFECT = """\
One job, runs of 1 s (15 wraps: 10 s): the median, and the worst where it is another. Against what each
claims; with a stranger, against what the workload has caused. For "a wrap" the range is made so small
that about every other run has one. DRAM: packages and DRAM together, where a tool gives both
(CodeCarbon with rapl_include_dram=True). A stranger uses half a CPU, either from after the idle power
was measured, or all the time."""
REASONS = """\
* pyRAPL and pyJoules subtract what they read: after a wrap there is no reading, a negative one, or one that is
a few wraps short.
* CodeCarbon corrects one wrap between two of its readings, which are 15 s apart.
* Zen 1 and 2 show one counter as two dies. Zeus adds both, pyJoules finds no package, pyRAPL does not start.
* Zeus takes psys for another CPU.
* CodeCarbon leaves DRAM out although it is told to include it.
* Whoever reads the whole machine charges the stranger to the workload. Exclusive measurement refuses to work beside a
stranger, unless it has been there all the time and so is part of idling."""
COST = """\
Half of what begin and end take around nothing, median. The tree is in memory: on a real machine the
kernel reads a register on the package's own CPU, some us more for every reader. Not in it: Zeus keeps
a process for each zone, CodeCarbon two threads."""

COLUMNS = 80
NAMES = {
    "greencode": "counters",
    "codecarbon": "CodeCarbon",
    "zeus": "Zeus",
    "attributed": "attributed",
    "exclusive": "exclusive",
}


def fill(text: str) -> Iterator[str]:
    """Its paragraphs, each followed by an empty line but the last."""
    for number, paragraph in enumerate(text.split("\n\n")):
        yield from [""] * (number > 0)
        yield from textwrap.wrap(paragraph, COLUMNS, break_long_words=False, break_on_hyphens=False)


def percent(error: float) -> str:
    """Of a share: signed, in %."""
    return f"{100 * error:+.1f}" if abs(error) < 0.0995 else f"{100 * error:+.0f}"


def spread(errors: Sequence[float]) -> str:
    """The median, and what 90 % of the readings are within."""
    within = sorted(map(abs, errors))[max(0, round(0.9 * len(errors)) - 1)]
    return f"{percent(statistics.median(errors))}/{percent(within)[1:]}"


def errors(blocks: Sequence[Mapping[str, Any]], against: str) -> list[float | None]:
    """What each block was read as, over the truth, less 1; None where there was no reading."""
    return [
        None if block["package_uj"] is None else block["package_uj"] / block[f"{against}_uj"] - 1 for block in blocks
    ]


def total_errors(blocks: Sequence[Mapping[str, Any]]) -> list[float | None]:
    """As `errors`, of packages and DRAM together."""
    return [
        None
        if block["package_uj"] is None or block["dram_uj"] is None
        else (block["package_uj"] + block["dram_uj"]) / (block["true_package_uj"] + block["true_dram_uj"]) - 1
        for block in blocks
    ]


def defect(found: Sequence[float | None]) -> str:
    """All readings in a few characters: the median, the worst where it is another, and how many there are not."""
    known = [error for error in found if error is not None]
    if not known:
        return "none"
    median, worst = statistics.median(known), max(known, key=abs)
    text = percent(median) + (f" to {percent(worst)}" if abs(worst - median) > 0.02 else "")
    return text + (f", {len(found) - len(known)}/{len(found)} lost" if len(known) < len(found) else "")


def duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"


def table(*rows: Sequence[str]) -> list[str]:
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)] + [""]


def length_rows(found: Mapping[str, Any], jobs: int, against: str) -> Iterator[list[str]]:
    for tool in TOOLS:
        lengths = found["lengths"][tool, jobs]
        if isinstance(lengths, str):
            yield [NAMES.get(tool, tool), lengths, *[""] * (len(LENGTHS) - 1)]
            continue
        cells = [[error for error in errors(blocks, against) if error is not None] for blocks in lengths]
        yield [NAMES.get(tool, tool), *(spread(cell) if cell else "none" for cell in cells)]


def defect_cell(row: Mapping[str, Any], name: str, tool: str) -> str:
    value = row.get(tool)
    if value is None:
        return "-"
    if isinstance(value, str):
        return "fails"
    if tool == "attributed":
        return percent(value[0]["error"])
    if tool == "exclusive":
        return "refuses" if value[0]["error"] is None else percent(value[0]["error"])
    if "stranger" in name:
        return defect(errors(value[0], "caused"))
    return defect(total_errors(value[0]) if "DRAM" in name else errors(value[0], "true_package"))


def report(found: Mapping[str, Any]) -> str:
    head = ["", *(duration(cpu_s) for cpu_s, _ in LENGTHS)]
    preface = PREFACE.format(
        peers=", ".join(package for packages in PEERS.values() for package in packages),
        python=platform.python_version(),
        linux=platform.release(),
        cpus=os.cpu_count(),
        bustle=BUSTLE,
    )
    lines = ["# Energy readings against the truth", "", *fill(preface)]
    lines += ["", "## What each tool claims: energy of the machine, idle included", "", *fill(WHOLE), ""]
    for jobs in (1, 2):
        lines += table([f"{jobs} job{'s' * (jobs > 1)}", *head[1:]], *length_rows(found, jobs, "true_package"))
    lines += ["## What the workload has caused", "", *fill(CAUSED), ""]
    for jobs in (1, 2):
        ours = found["lengths"]["attributed", jobs]
        rows = [
            ["attributed", *(spread(each["errors"]) for each in ours)],
            ["the same, sum", *(percent(each["error"]) for each in ours)],
        ]
        if jobs == 1:
            rows.append(["exclusive", *(percent(each["error"]) for each in found["alone"])])
            rows.append(["its interval", *(f"+-{100 * each['half_width']:.1f}" for each in found["alone"])])
        rows += length_rows(found, jobs, "caused")
        lines += table([f"{jobs} job{'s' * (jobs > 1)}", *head[1:]], *rows)
    lines += ["## What goes wrong where", "", *fill(DEFECT), ""]
    names = list(found["defects"])
    for some in (names[:4], names[4:]):
        rows = (
            [NAMES.get(tool, tool), *(defect_cell(found["defects"][name], name, tool) for name in some)]
            for tool in (*TOOLS, "attributed", "exclusive")
        )
        lines += table(["", *some], *rows)
    for reason in REASONS.split("\n* "):
        lines += textwrap.wrap(f"* {reason.removeprefix('* ')}", COLUMNS, subsequent_indent="  ")
    failures = {row[tool] for row in found["defects"].values() for tool in TOOLS if isinstance(row[tool], str)}
    lines += [*(f"* fails: {failure}" for failure in sorted(failures)), ""]
    lines += ["## What measuring costs", "", *fill(COST), ""]
    costs = {tool: value for tool, value in found["cost"].items() if not isinstance(value, str)}
    lines += table(
        ["", "one reading, us", "of which CPU, us"],
        *(
            [NAMES.get(tool, tool), *(f"{each[of] / 2 * 1e6:.0f}" for of in ("wall_s", "cpu_s"))]
            for tool, each in costs.items()
        ),
    )
    lines += [
        f"The sampler of a run, with its ledger and the heartbeat: {100 * found['sampling']:.2f} % of one CPU.",
        "",
    ]
    if found["coverage"]:
        lines += [*covered(found["coverage"]), ""]
    return "\n".join([*lines, "Made by `python benchmarks/energy_truth.py --coverage 100`.", ""])


def covered(measured: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = [each for each in measured if each["error"] is not None]
    within = sum(abs(each["error"]) <= 0.05 for each in known)
    worst = max(abs(each["error"]) for each in known)
    half = statistics.median(each["half_width"] for each in known)
    seconds = statistics.median(each["wall_s"] for each in known)
    yield "## Exclusive, again and again"
    yield ""
    yield f"{len(measured)} measurements of {duration(COVERAGE_S)}, each with a baseline of its own (12 windows of"
    yield f"0.5 s): {sum(each['covered'] for each in known)} of {len(known)} intervals (95 %) cover the truth,"
    yield f"{within} are within 5 % of it. Worst error {100 * worst:.1f} %, median half width {100 * half:.2f} %,"
    yield f"{seconds:.0f} s each without the baseline."


if __name__ == "__main__":
    main()
