"""A short soak: attempts and attacks in random order while workers are killed. The long one is benchmarks/soak.py."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import psutil
import pytest
from conftest import require_sandbox

from pytest_greencode.sandboxes.bubblewrap import BubblewrapKind

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

from soak import MEMORY_BYTES, cases, soak

ATTEMPTS = 160


@pytest.mark.bubblewrap
def test_no_verdict_is_wrong_or_lost_while_workers_are_killed(tmp_path: Path) -> None:
    require_sandbox("bubblewrap")
    draw = random.Random(7)
    left_before = {child.pid for child in psutil.Process().children()}

    def kill_one() -> bool:
        workers = [child for child in psutil.Process().children() if child.name() == "bwrap"]
        if workers:
            draw.choice(workers).kill()
        return bool(workers)

    outcome = soak(
        lambda: BubblewrapKind(memory_bytes=MEMORY_BYTES),
        cases(ATTEMPTS, seed=7),
        tmp_path / "ledger.sqlite",
        kill_one=kill_one,
        kill_every_s=1.0,
    )

    assert outcome.wrong == []
    assert sum(outcome.verdicts.values()) == ATTEMPTS
    assert outcome.verdicts["nothing"] == 0
    assert outcome.verdicts["accepted"] > ATTEMPTS // 2
    assert outcome.attacks >= ATTEMPTS // 20
    assert outcome.kills > 0
    assert max(outcome.descriptors) - min(outcome.descriptors) <= 12
    assert {child.pid for child in psutil.Process().children()} <= left_before
