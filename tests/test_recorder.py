"""Samples with the energy of their generation: shared by tokens, conserved, flushed, resumed, never lost."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode.errors import FileFormatError, UsageProblem
from pytest_greencode.generation import GenerationRecorder
from pytest_greencode.generation.meters import MeteredEnergy
from pytest_greencode.generation.usage import Usage, usage_of
from pytest_greencode.model import Method
from pytest_greencode.samples import read_samples

ROOT = Path(__file__).parents[1]


class Counter:
    """A meter whose counter moves only when a test says so."""

    source, gpu_model, gpu_count = "test", "NVIDIA H200", 2

    def __init__(self, scope: str = "gpu", error: float | None = 0.05) -> None:
        self.total_j, self.broken, self.closed = 0.0, False, False
        self._scope, self._error = scope, error

    def read(self) -> tuple[float, bool]:
        return self.total_j, self.broken

    def between(self, start: tuple[float, bool], end: tuple[float, bool]) -> MeteredEnergy:
        broken = start[1] or end[1]
        return MeteredEnergy(
            energy_j=None if broken else end[0] - start[0],
            duration_s=1.0,
            method=Method.MEASURED,
            scope=self._scope,
            source=self.source,
            relative_error=self._error,
            reason="it broke" if broken else None,
        )

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that a test sets."""
    now = [100.0]
    monkeypatch.setattr("pytest_greencode.generation.windows.time.monotonic", lambda: now[0])
    return now


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def energies(path: Path) -> dict[tuple[str, int], float]:
    return {(row["task_id"], row["sample_id"]): row["generation"]["energy_j"] for row in rows(path)}


def recorder(path: Path, meters: Sequence[Any], **more: Any) -> GenerationRecorder:
    return GenerationRecorder(path / "samples.jsonl", model="m", meters=meters, **more)


def test_three_lines_get_energy_into_a_sample(tmp_path: Path, clock: list[float]) -> None:
    meter = Counter()
    with recorder(tmp_path, [meter], region="FRA") as made:
        with made.request("HumanEval/0") as request:
            meter.total_j, clock[0] = 21.0, 102.0
            request.finish("    return 1\n", {"prompt_tokens": 9, "completion_tokens": 5})
        meter.total_j += 100  # while nothing is in flight
        assert rows(made.path)[0]["generation"] == {
            "energy_j": 21.0,
            "energy_method": "measured",
            "energy_scope": "gpu",
            "source": "test",
            "energy_relative_error": 0.05,
            "duration_s": 2.0,
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "batch_size": 1,
            "gpu_model": "NVIDIA H200",
            "gpu_count": 2,
            "started_at": rows(made.path)[0]["generation"]["started_at"],
            "region": "FRA",
        }
        assert made.energy_j == 21.0
    (sample,) = read_samples(made.path, None)
    assert sample.generation is not None
    assert (sample.generation.energy_j, sample.generation.region) == (21.0, "FRA")
    assert meter.closed


def test_a_batch_is_split_by_output_tokens(tmp_path: Path, clock: list[float]) -> None:
    meters = [Counter(), Counter("cpu", None)]
    with recorder(tmp_path, meters) as made, made.batch(["a/0", "a/0", "a/1"]) as batch:
        meters[0].total_j, meters[1].total_j, clock[0] = 60.0, 20.0, 101.0
        for request, tokens in zip(batch, (100, 300, 400), strict=True):
            request.finish("x", {"completion_tokens": tokens})
            meters[0].total_j += 7  # what is done with the answers is no generation
    assert energies(made.path) == {("a/0", 0): 10.0, ("a/0", 1): 30.0, ("a/1", 0): 40.0}
    first = rows(made.path)[0]["generation"]
    assert (first["batch_size"], first["energy_method"], first["energy_scope"]) == (3, "attributed", "gpu+cpu")
    assert "energy_relative_error" not in first


def test_overlapping_requests_share_by_tokens_in_flight(tmp_path: Path, clock: list[float]) -> None:
    """A lives 0 to 4 s with 40 tokens, B 2 to 3 s with 30: while both live, B makes 30 tokens a second and A 10."""
    meter = Counter()
    with recorder(tmp_path, [meter]) as made, made.request("a/0") as a:
        clock[0], meter.total_j = 102.0, 20.0
        with made.request("a/1") as b:
            clock[0], meter.total_j = 103.0, 60.0
            b.finish("b", {"completion_tokens": 30})
        assert rows(made.path) == []  # B's share is not known before A's tokens are
        clock[0], meter.total_j = 104.0, 65.0
        a.finish("a", {"completion_tokens": 40})
        assert energies(made.path) == {("a/0", 0): 20.0 + 10.0 + 5.0, ("a/1", 0): 30.0}
        assert [row["generation"]["batch_size"] for row in rows(made.path)] == [2, 1]


@given(
    events=st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e3), st.floats(1e-3, 10)), min_size=1, max_size=30),
    counts=st.lists(st.one_of(st.none(), st.integers(0, 500)), min_size=30, max_size=30),
)
def test_nothing_is_lost_or_made(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, float, float]], counts: list[int | None]
) -> None:
    """Whatever overlaps, fails or is not counted: the requests' energies add up to what the meter counted."""
    folder = tmp_path_factory.mktemp("conserved")
    meter, now = Counter(), [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytest_greencode.generation.windows.time.monotonic", lambda: now[0])
        made = recorder(folder, [meter])
        alive: list[Any] = []
        begun: list[int] = []
        counted = 0.0
        for number, (kind, energy_j, seconds) in enumerate(events):
            counted += energy_j if alive else 0.0
            meter.total_j += energy_j
            now[0] += seconds
            if kind < 2 or not alive:
                request = made.request("a/0", sample_id=number)
                request.__enter__()
                alive.append(request)
                begun.append(number)
            elif kind == 2:
                alive.pop(0).finish("x", {"completion_tokens": counts[number]})
            else:
                alive.pop().__exit__(TimeoutError, TimeoutError(), None)
        total = made.energy_j
        made.close()
    found = rows(made.path)
    assert total == pytest.approx(counted)
    assert sum(row["generation"]["energy_j"] for row in found) == pytest.approx(counted, abs=1e-9)
    assert sorted(row["sample_id"] for row in found) == begun


def test_a_failed_request_keeps_its_energy_for_the_sample_that_follows(tmp_path: Path, clock: list[float]) -> None:
    meter = Counter()
    with recorder(tmp_path, [meter]) as made:
        with pytest.raises(TimeoutError), made.request("a/0"):
            meter.total_j, clock[0] = 8.0, 104.0
            raise TimeoutError("no answer in 4 s")
        assert not made.done("a/0")
        with made.request("a/0") as request:
            meter.total_j, clock[0] = 10.0, 105.0
            request.finish("x", {"completion_tokens": 7})
        with made.request("a/1"):
            meter.total_j = 13.0
    failed, sample, unfinished = rows(made.path)
    assert (failed["error"], failed["sample_id"]) == ("TimeoutError: no answer in 4 s", 0)
    assert "completion" not in failed
    assert (sample["completion"], sample["sample_id"]) == ("x", 0)
    assert unfinished["error"] == "it was never finished"
    first, second = read_samples(made.path, None)
    assert first.generation is not None
    assert second.generation is not None
    assert (first.generation.energy_j, first.generation.duration_s, first.completion) == (10.0, 5.0, "x")
    assert (second.generation.energy_j, second.completion) == (3.0, "")


def test_coroutines_that_are_cancelled_are_recorded(tmp_path: Path) -> None:
    meter = Counter()

    async def ask(made: GenerationRecorder, task_id: str, seconds: float) -> None:
        with made.request(task_id) as request:
            await asyncio.sleep(seconds)
            request.finish("x", {"completion_tokens": 1})

    async def run(made: GenerationRecorder) -> None:
        asks = [asyncio.create_task(ask(made, f"a/{seconds}", seconds)) for seconds in (0, 60)]
        await asyncio.sleep(0.05)
        meter.total_j += 4
        asks[1].cancel()
        await asyncio.gather(*asks, return_exceptions=True)

    with recorder(tmp_path, [meter]) as made:
        asyncio.run(run(made))
    assert {row["task_id"]: row.get("error") for row in rows(made.path)} == {"a/0": None, "a/60": "CancelledError"}
    assert sum(energies(made.path).values()) == 4.0


def test_many_threads_write_whole_lines_that_add_up(tmp_path: Path) -> None:
    meter, lock = Counter(), threading.Lock()

    def work(made: GenerationRecorder, name: int) -> None:
        for _ in range(25):
            with made.request(f"a/{name % 3}") as request:
                with lock:
                    meter.total_j += 1
                request.finish("x" * 3000, {"completion_tokens": 1 + name})

    with recorder(tmp_path, [meter]) as made:
        threads = [threading.Thread(target=work, args=(made, name)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({(row["task_id"], row["sample_id"]) for row in rows(made.path)}) == 200
    assert sum(energies(made.path).values()) == pytest.approx(200)
    assert all(row["generation"]["energy_j"] >= 0 for row in rows(made.path))


def test_a_meter_that_broke_leaves_the_energy_unknown_and_says_why(tmp_path: Path) -> None:
    meter = Counter()
    with recorder(tmp_path, [meter]) as made:
        with made.request("a/0") as request:
            meter.broken = True
            request.finish("x")
        meter.broken = False
        with made.request("a/1") as request:
            meter.total_j += 2
            request.finish("x")
        assert made.energy_j is None
    broken, well = (row["generation"] for row in rows(made.path))
    assert ("energy_j" in broken, "energy_method" in broken, broken["energy_unknown"]) == (False, False, "it broke")
    assert well["energy_j"] == 2.0


def test_without_a_meter_energy_is_missing_and_not_zero(tmp_path: Path) -> None:
    with recorder(tmp_path, []) as made, made.request("a/0") as request:
        request.finish("x", {"completion_tokens": 3})
    assert made.energy_j is None
    assert "energy_j" not in rows(made.path)[0]["generation"]
    (sample,) = read_samples(made.path, None)
    assert sample.generation is not None
    assert (sample.generation.energy_j, sample.generation.energy_method) == (None, Method.MISSING)


def test_a_file_is_continued(tmp_path: Path) -> None:
    with recorder(tmp_path, [], settings={"t": 1}) as made:
        for sample_id in (0, 2):
            with made.request("HumanEval/0", sample_id=sample_id) as request:
                request.finish("x")
    # As a full disk or a power cut leaves it.
    made.path.write_text(made.path.read_text() + '{"task_id": "HumanEval/0", "completion": "def f')
    with recorder(tmp_path, [], settings={"t": 1}) as made:
        assert made.mended is not None
        assert "samples.jsonl:3" in made.mended
        assert [made.done("HumanEval/0", sample_id) for sample_id in range(4)] == [True, False, True, False]
        assert made.done("Python/0")  # the same task by another name
        assert not made.done("HumanEval/0", settings={"t": 2})
        assert not made.done("HumanEval/0", model="other")
        with pytest.raises(UsageProblem, match="sample 2 of HumanEval/0 is there already"):
            made.request("HumanEval/0", sample_id=2).__enter__()
        with made.request("HumanEval/0") as first, made.request("HumanEval/0") as second:
            assert (first.sample_id, second.sample_id) == (1, 3)
            first.finish("y")
            second.finish("z")
    assert len(read_samples(made.path, None)) == 4


def test_a_last_line_without_its_end_is_kept(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_text('{"task_id": "a/0", "completion": "x"}')
    with GenerationRecorder(tmp_path / "samples.jsonl", meters=[]) as made:
        assert made.mended is None
        assert made.done("a/0")  # by the model that the file's name says
        with made.request("a/0") as request:
            request.finish("y")
    assert [row.get("sample_id") for row in rows(made.path)] == [None, 1]


def test_a_batch_that_cannot_begin_leaves_nothing_begun(tmp_path: Path) -> None:
    with recorder(tmp_path, []) as made:
        with (
            pytest.raises(UsageProblem, match="sample 0 of a/1 is there already, or being made"),
            made.batch([("a/0", 0), ("a/1", 0), ("a/1", 0)]),
        ):
            pytest.fail("it began")
        with made.batch(["a/0", "a/1"]) as batch:
            for request in batch:
                request.finish("x")
    assert [(row["task_id"], row["sample_id"]) for row in rows(made.path)] == [("a/0", 0), ("a/1", 0)]
    with pytest.raises(UsageProblem, match="the recorder was closed"), made.request("a/2"):
        pytest.fail("it began")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with recorder(tmp_path, []), pytest.raises(UsageProblem, match="another recorder is writing it"):
        recorder(tmp_path, [])
    recorder(tmp_path, []).close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nonsense\n{}\n", "samples.jsonl:1: expected a JSON object"),
        ('{"task_id": null, "completion": "x"}\n', "samples.jsonl:1: expected a sample"),
    ],
)
def test_what_is_no_samples_file_is_left_as_it_is(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(content)
    with pytest.raises(FileFormatError, match=message):
        recorder(tmp_path, [])
    assert path.read_text() == content


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").mkdir()
    with pytest.raises(UsageProblem, match="Is a directory; expected a file that samples can be written to"):
        recorder(tmp_path, [])
    with pytest.raises(UsageProblem, match=r"ends in \.jsonl"):
        GenerationRecorder(tmp_path / "samples.jsonl.gz", meters=[])
    with pytest.raises(TypeError, match="regoin"):
        GenerationRecorder(tmp_path / "more.jsonl", meters=[], regoin="FRA")


def test_a_full_disk_loses_nothing_and_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = recorder(tmp_path, [])
    whole = os.write
    monkeypatch.setattr(os, "write", lambda file, data: whole(file, data[:10]))
    with pytest.raises(UsageProblem, match="1 line not written, kept in memory"), made.request("a/0") as request:
        request.finish("x")
    assert made.path.read_text() == ""
    monkeypatch.setattr(os, "write", whole)
    with made.request("a/1") as request:
        request.finish("y")
    made.close()
    assert [row["task_id"] for row in rows(made.path)] == ["a/0", "a/1"]


def test_keys_of_the_environment_reach_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecret")
    with recorder(tmp_path, []) as made, pytest.raises(ValueError, match="sk"), made.request("a/0"):
        raise ValueError("Incorrect API key provided:\nsk-verysecret")
    assert rows(made.path)[0]["error"] == "ValueError: Incorrect API key provided: $OPENAI_API_KEY"


def test_a_script_that_forgets_to_close_loses_nothing(tmp_path: Path) -> None:
    script = """
import sys
from pytest_greencode.generation import GenerationRecorder
recorder = GenerationRecorder(sys.argv[1])
slow = recorder.request("a/0").__enter__()
with recorder.request("a/1") as quick:
    quick.finish("x", {"completion_tokens": 1})
"""
    path = tmp_path / "made.jsonl"
    subprocess.run(
        [sys.executable, "-c", script, path], check=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    found = {row["task_id"]: row for row in rows(path)}
    assert found["a/1"]["completion"] == "x"
    assert found["a/1"]["model"] == "made"
    assert found["a/1"]["generation"]["energy_j"] >= 0  # by this machine's own meters
    assert found["a/0"]["error"] == "the recorder was closed before it finished"


def test_the_recorder_needs_no_package_but_msgspec(tmp_path: Path) -> None:
    """As after `pip install --no-deps pytest-greencode msgspec`."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "msgspec").symlink_to(Path(msgspec.__file__).parent)
    script = """
import sys
sys.path[:0] = sys.argv[1:]
from pytest_greencode.generation import GenerationRecorder
with GenerationRecorder("s.jsonl", settings={"a": 1}) as recorder, recorder.request("a/0") as request:
    request.finish("x", {"completion_tokens": 1})
known = {*sys.stdlib_module_names, "pytest_greencode", "msgspec", "__main__"}
foreign = {name.partition(".")[0] for name in sys.modules} - known
assert not foreign, foreign
"""
    command = [sys.executable, "-I", "-S", "-c", script, str(ROOT), str(packages)]
    subprocess.run(command, check=True, timeout=60, cwd=tmp_path)
    assert rows(tmp_path / "s.jsonl")[0]["generation"]["energy_scope"] == "cpu"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, Usage()),
        ({"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 1}}, (1, 2, 1)),
        ({"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}, (1, 2, 1)),
        ({"prompt_eval_count": 1, "eval_count": 2}, (1, 2, None)),
        ({"prompt_tokens": -1, "completion_tokens": True, "completion_tokens_details": None}, (None, None, None)),
        ({"prompt_tokens": "9", "completion_tokens": 2**70}, (None, None, None)),
        (Usage(completion_tokens=4), (None, 4, None)),
    ],
)
def test_tokens_as_servers_count_them(given: object, expected: Usage | tuple[int | None, ...]) -> None:
    found = usage_of(given)
    assert expected in (found, (found.prompt_tokens, found.completion_tokens, found.reasoning_tokens))
