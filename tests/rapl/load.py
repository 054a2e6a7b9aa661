"""Work of which the energy is known on a simulated machine: busy loops of so much CPU time, pinned, also side by side.

    python load.py CPU
    python load.py --pace SHARE
    python load.py --bustle SHARE

The first does what it is told on standard input, see `serve`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any


def spin(cpu_s: float) -> dict[str, float]:
    """Keep a CPU busy for so much of its time; -> when (seconds since the epoch), and the CPU time, s.

    Whoever asks for its own CPU time has it counted up to now, so that the machine's is not a clock tick late.
    """
    started_at, begun_s = time.time(), time.thread_time()
    while (used_s := time.thread_time() - begun_s) < cpu_s:
        for _ in range(100):
            pass
    return {"started_at": started_at, "finished_at": time.time(), "cpu_s": used_s}


def serve(cpu: int, do: Callable[[float], dict[str, Any]]) -> None:
    """Do what is asked on standard input, {"cpu_s": 0.05, "times": 3}, on one CPU; answer with a list of results."""
    os.sched_setaffinity(0, {cpu % (os.cpu_count() or 1)})
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps([do(asked["cpu_s"]) for _ in range(asked["times"])]), flush=True)


@contextlib.contextmanager
def daemon(kind: str, share: float) -> Iterator[None]:
    """A process that runs beside: "--pace" or "--bustle"."""
    command = [sys.executable, "-E", "-s", str(Path(__file__)), kind, str(share)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # to start it takes as long as seconds of bustle
        yield
    finally:
        process.kill()
        process.wait()


class Job:
    """A process that serves. `command` ends with the number of its CPU if it is to be another than `load.py`'s."""

    def __init__(self, cpu: int, command: Sequence[str] = (), **options: Any) -> None:
        command = command or [sys.executable, "-E", "-s", str(Path(__file__))]
        self._process = subprocess.Popen(
            [*command, str(cpu)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
        )
        self._answer()

    def ask(self, cpu_s: float, times: int = 1) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"cpu_s": cpu_s, "times": times}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> list[dict[str, Any]]:
        return list(json.loads(self._answer()))

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")
        return str(line)

    def __enter__(self) -> Job:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30 if kind is None else 0.1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def pace(share: float, step_s: float = 0.005) -> None:
    """A daemon that uses `share` of a CPU, whatever else goes on: what it was kept from it does later."""
    begun_s = time.monotonic()
    while True:
        ahead_s = time.thread_time() / share - (time.monotonic() - begun_s)
        if ahead_s > 0:
            time.sleep(ahead_s)
        spin(step_s)


def bustle(share: float, mean_s: float = 0.005) -> None:
    """What a system does by itself, now and then: `share` of a CPU in all, at random."""
    while True:
        time.sleep(random.expovariate(share / mean_s))
        spin(random.expovariate(1 / mean_s))


if __name__ == "__main__":
    if sys.argv[1] in ("--pace", "--bustle"):
        print("ready", flush=True)
        {"--pace": pace, "--bustle": bustle}[sys.argv[1]](float(sys.argv[2]))
    serve(int(sys.argv[1]), spin)
