"""Does anything wear out? Thousands of attempts, one in ten an attack, while containers and their daemon are killed.

Honest right and wrong solutions of HumanEval and attacks from `tests/attacks` go through the runner in random order.
Meanwhile a random worker is killed every few seconds, and now and then the whole engine, which is started again; then
the run is resumed from its ledger, as `--greencode-resume` does. In the end every attempt must have a verdict, and the
right one. Memory and descriptors of this process are noted on the way and compared.

    python benchmarks/soak.py [--attempts 50000] [--seed 1]

Needs root and `dockerd`: an engine of its own is started in a temporary directory; no other one is touched. Writes
benchmarks/soak.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from attacks import ATTACKS  # noqa: E402 - the corpus is the tests'
from attacks.corpus import ADDS, NO_DOOR, Attack  # noqa: E402

from pytest_greencode.errors import SandboxError  # noqa: E402
from pytest_greencode.ledger import Ledger  # noqa: E402
from pytest_greencode.model import Configuration, Sample, Task, Verdict  # noqa: E402
from pytest_greencode.runner import Policy, Runner, Unit  # noqa: E402
from pytest_greencode.sandboxes.base import SandboxKind  # noqa: E402
from pytest_greencode.suites.formats import canonical_program, human_eval  # noqa: E402

MEMORY_BYTES = 1 << 28
SUITE = human_eval()
# Those of the corpus that stand alone and take little: half an hour of time-outs shows nothing more.
QUICK = [each for each in ATTACKS if each.tests in (ADDS, NO_DOOR) and each.cpu_s <= 0.5 and each.then is None]
TASKS = [task for task in SUITE.tasks.values() if task.task_id not in ("HumanEval/75", "HumanEval/147")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An attempt and the verdicts that are right for it."""

    unit: Unit
    verdicts: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Outcome:
    attempts: int = 0
    attacks: int = 0
    wrong: list[str] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    engine_kills: int = 0
    resumed: int = 0
    wall_s: float = 0.0
    rss_bytes: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)


def adder(tests: str) -> Task:
    """What the corpus attacks."""
    solution = "def add(a, b): return a + b\n" if tests == ADDS else "def add(a, b): return []\n"
    return Task(
        suite="attacks",
        task_id=f"add/{'doors' if tests == NO_DOOR else 'sums'}",
        prompt="",
        prelude="",
        tests=tests,
        call="",
        entry_points=("add",),
        canonical_solution=solution,
        canonical_is_program=True,
        timeout_s=0.5,
    )


def cases(attempts: int, seed: int) -> list[Case]:
    """Each program is another one, so that none shares an execution."""
    draw, made = random.Random(seed), []
    targets = {tests: adder(tests) for tests in (ADDS, NO_DOOR)}
    for number in range(attempts):
        note = f"\n# {number}\n"
        if draw.random() < 0.1:
            attack: Attack = draw.choice(QUICK)
            task, text, verdicts = targets[attack.tests], attack.program + note, attack.verdicts
        else:
            task = draw.choice(TASKS)
            text, verdicts = canonical_program(task) + note, frozenset({"accepted"})
            if draw.random() < 0.3:
                text = f"{text}def {task.entry_points[0]}(*a): return '{number}'\n"
                verdicts = frozenset({"rejected"})
        sample = Sample(
            task_id=task.task_id, configuration=Configuration(model="soak"), sample_id=number, solution=text
        )
        made.append(Case(unit=Unit(name=f"{number}", task=task, attempts=(sample,)), verdicts=verdicts))
    return made


def soak(
    kind: Callable[[], SandboxKind],
    work: Sequence[Case],
    ledger: Path,
    *,
    kill_one: Callable[[], bool],
    kill_every_s: float,
    wait_for_engine: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Run everything, whatever is killed meanwhile. `kill_one`: kills a worker, and says whether it found one."""
    outcome, done, own = Outcome(attempts=len(work)), threading.Event(), psutil.Process()
    outcome.attacks = sum(case.unit.task.suite == "attacks" for case in work)

    def killer() -> None:
        draw = random.Random(len(work))
        while not done.wait(draw.expovariate(1 / kill_every_s)):
            outcome.kills += kill_one()

    book = Ledger(ledger)
    book.begin("soak", "now", {})
    thread = threading.Thread(target=killer, daemon=True)
    thread.start()
    start_s = time.monotonic()
    left = list(work)
    try:
        while left:
            wait_for_engine()
            policy = Policy(memory_bytes=MEMORY_BYTES, extract=False)
            try:
                runner = Runner(kind=kind(), jobs=2, ledger=book, run_id="soak", policy=policy, meter=None)
            except SandboxError:
                continue
            try:
                runner.submit([case.unit for case in left])
                while left:
                    case = left[0]
                    (found,) = runner.result(case.unit).outcomes or (None,)
                    verdict = "nothing" if found is None else found.verdict.value
                    outcome.verdicts[verdict] += 1
                    if verdict not in case.verdicts:
                        program = case.unit.attempts[0].solution or ""
                        outcome.wrong.append(f"{case.unit.task.task_id}: {verdict}, {found}\n{program[:400]}")
                        say(outcome.wrong[-1])
                    left.pop(0)
                    if len(left) % max(1, len(work) // 50) == 0:
                        outcome.rss_bytes.append(own.memory_info().rss)
                        outcome.descriptors.append(own.num_fds())
                        state = f"{outcome.rss_bytes[-1] >> 20} MiB, {outcome.descriptors[-1]} descriptors"
                        tally = f"{outcome.kills} kills, {len(outcome.wrong)} wrong"
                        say(f"{len(work) - len(left)} of {len(work)}: {state}, {tally}")
            except SandboxError as error:
                outcome.resumed += 1
                say(f"resumed with {len(left)} left: {str(error)[:100]}")
            finally:
                runner.stop()
    finally:
        done.set()
        thread.join()
        book.close()
    outcome.wall_s = time.monotonic() - start_s
    return outcome


class Engine:
    """A Docker engine of our own, which may be killed."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.socket = directory, f"unix://{directory}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None
        self.kills = 0
        self.changing = threading.Lock()  # who waits for it may start it, too

    def start(self) -> None:
        command = ["dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "-H", self.socket]
        command += ["--data-root", f"{self.directory}/data", "--exec-root", f"{self.directory}/exec"]
        command += ["-p", f"{self.directory}/pid"]
        (self.directory / "pid").unlink(missing_ok=True)  # of one that was killed
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def wait(self) -> None:
        import docker

        for _ in range(600):
            with contextlib.suppress(Exception):
                client = docker.DockerClient(base_url=self.socket, timeout=20)
                client.ping()
                client.close()
                return
            with self.changing:
                if self.process is None or self.process.poll() is not None:
                    self._kill_containerd()
                    self.start()
            time.sleep(0.2)
        sys.exit(f"dockerd does not start: {(self.directory / 'log').read_text()[-2000:]}")

    def kill(self) -> None:
        """All of it at once, as the kernel would; then start it again."""
        with self.changing:
            assert self.process is not None
            self.process.kill()
            self.process.wait()
            self._kill_containerd()
            self.kills += 1
            time.sleep(1.0)
            self.start()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        self._kill_containerd()
        for _ in range(3):  # what a killed engine had mounted
            mounts = Path("/proc/self/mounts").read_text().splitlines()
            for place in [line.split()[1] for line in mounts if line.split()[1].startswith(str(self.directory))][::-1]:
                subprocess.run(["umount", place], check=False, capture_output=True)

    def _kill_containerd(self) -> None:
        """The engine's other half, which it starts itself."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((self.directory / "exec/containerd/containerd.pid").read_text()), signal.SIGKILL)

    def kill_one(self, draw: random.Random) -> bool:
        """A worker, or one time in thirty the engine."""
        import docker

        if draw.random() < 1 / 30:
            self.kill()
            return False
        with contextlib.suppress(Exception):  # it may be starting again
            client = docker.DockerClient(base_url=self.socket, timeout=20)
            running = client.containers.list(filters={"label": "greencode.session"})
            if running:
                draw.choice(running).kill()
            client.close()
            return bool(running)
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--attempts", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-every", type=float, default=15.0, help="seconds between kills, on average")
    arguments = parser.parse_args()
    from pytest_greencode.sandboxes.docker import DockerKind

    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="greencode-soak-", ignore_cleanup_errors=True) as name:
        engine = Engine(Path(name))
        os.environ["DOCKER_HOST"] = engine.socket
        engine.start()
        engine.wait()
        try:
            outcome = soak(
                lambda: DockerKind(memory_bytes=MEMORY_BYTES, cores=sorted(os.sched_getaffinity(0))),
                cases(arguments.attempts, arguments.seed),
                Path(name) / "ledger.sqlite",
                kill_one=lambda: engine.kill_one(draw),
                kill_every_s=arguments.kill_every,
                wait_for_engine=engine.wait,
                say=lambda text: print(text, flush=True),
            )
        finally:
            engine.stop()
        outcome.engine_kills = engine.kills
    report(outcome, arguments.seed)


def report(outcome: Outcome, seed: int) -> None:
    tenth = max(1, len(outcome.rss_bytes) // 10)

    def ends(values: list[int], unit: int) -> str:
        # The first tenth is what fills caches.
        early, late = values[tenth : 2 * tenth] or values[:1], values[-tenth:]
        means = [sum(some) / len(some) / unit for some in (early, late)]
        return f"{means[0]:.0f} to {means[1]:.0f}, at most {max(values) / unit:.0f}"

    killed = f"{outcome.kills} workers, the engine {outcome.engine_kills} times; resumed {outcome.resumed} times"
    lost = outcome.attempts - sum(outcome.verdicts.values()) + outcome.verdicts["nothing"]
    rows = {
        "attempts": f"{outcome.attempts}, of them {outcome.attacks} attacks",
        "killed meanwhile": killed,
        "without a verdict": lost,
        "with a wrong verdict": len(outcome.wrong),
        "verdicts": ", ".join(f"{name} {count}" for name, count in outcome.verdicts.most_common()),
        "memory of the runner, MiB": ends(outcome.rss_bytes, 1 << 20),
        "its descriptors": ends(outcome.descriptors, 1),
        "time": f"{outcome.wall_s / 60:.0f} min, {outcome.attempts / outcome.wall_s:.0f} attempts/s",
    }
    where = f"Python {platform.python_version()}, Linux {platform.release()}, Docker, 2 sandboxes, seed {seed}"
    lines = [
        "# Soak",
        "",
        f"One in ten attempts an attack, workers and the engine killed at random. {where}.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in rows.items()),
        "",
        "Memory and descriptors: from the second tenth of the run to the last.",
        "",
        "Made by `python benchmarks/soak.py`.",
        "",
    ]
    (HERE / "soak.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))
    if outcome.wrong or Verdict.ACCEPTED.value not in outcome.verdicts:
        sys.exit(1)


if __name__ == "__main__":
    main()
