"""Samples are read as they are written by others; whatever is wrong is said with its place."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import least_cpu_s
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_greencode import samples as samples_module
from pytest_greencode.errors import SampleFormatError
from pytest_greencode.model import Configuration, Generation, Method, Sample
from pytest_greencode.records import canonical_task_id
from pytest_greencode.samples import read_samples, refuse_duplicates

TASKS = [f"HumanEval/{n}" for n in range(164)]
LINE = {"task_id": "HumanEval/0", "completion": "    return 1\n"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: Any, name: str = "model.jsonl") -> Path:
        path = tmp_path / name
        content = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        (2, "Mbpp/2"),
        ("MBPP/76", "Mbpp/76"),
        ("mbpp/76", "Mbpp/76"),
        ("Mbpp/76", "Mbpp/76"),
        ("Python/0", "HumanEval/0"),
        ("HumanEval/0", "HumanEval/0"),
        ("humaneval/x", "humaneval/x"),
        ("Python/x", "Python/x"),
    ],
)
def test_task_ids_have_one_form(given: str | int, canonical: str) -> None:
    assert canonical_task_id(given) == canonical


@pytest.mark.parametrize("name", ["qwen.jsonl", "qwen.jsonl.gz"])
def test_a_plain_human_eval_file(write: Callable[..., Path], name: str) -> None:
    other = {"task_id": "HumanEval/1", "solution": "def f(): pass", "passed": True, "_identifier": "x"}
    path = write(LINE, b"\n", other, LINE, name=name)
    qwen = Configuration(model="qwen")
    assert read_samples(path, TASKS, display_path="runs/qwen") == [
        Sample(
            task_id="HumanEval/0",
            configuration=qwen,
            sample_id=0,
            completion="    return 1\n",
            path="runs/qwen",
            line=1,
        ),
        Sample(
            task_id="HumanEval/1", configuration=qwen, sample_id=0, solution="def f(): pass", path="runs/qwen", line=3
        ),
        Sample(
            task_id="HumanEval/0",
            configuration=qwen,
            sample_id=1,
            completion="    return 1\n",
            path="runs/qwen",
            line=4,
        ),
    ]


def test_all_fields(write: Callable[..., Path]) -> None:
    generation = {
        "energy_j": 21, "energy_method": "measured", "energy_scope": "gpu", "source": "nvml", "duration_s": 1.9,
        "prompt_tokens": 131, "completion_tokens": 99, "reasoning_tokens": 0, "batch_size": 64, "gpu_count": 1,
        "gpu_model": "NVIDIA H200", "flops": None, "pue_included": False, "region": "FRA", "temperature_c": 61,
        "started_at": "2026-11-21T10:00:00Z", "energy_comment": "idle power is not subtracted",
    }  # fmt: skip
    extra = {"model": "m", "sample_id": 7, "settings": {"top_p": 1, "quantization": "awq"}, "generation": generation}
    (sample,) = read_samples(write({**LINE, **extra}), None)
    assert sample.configuration == Configuration(model="m", settings='{"quantization":"awq","top_p":1}')
    assert sample.sample_id == 7
    assert sample.generation == Generation(
        energy_j=21.0, energy_method=Method.MEASURED, energy_scope="gpu", source="nvml", duration_s=1.9,
        prompt_tokens=131, completion_tokens=99, reasoning_tokens=0, batch_size=64, gpu_count=1,
        gpu_model="NVIDIA H200", region="FRA", started_at="2026-11-21T10:00:00Z",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("generation", "method"),
    [
        ({"energy_j": 1}, Method.DECLARED),
        ({"energy_j": 0.0, "energy_method": "estimated"}, Method.ESTIMATED),
        ({"energy_j": None, "energy_method": "measured"}, Method.MISSING),
        ({"duration_s": 2}, Method.MISSING),
    ],
)
def test_the_method_is_that_of_a_figure(write: Callable[..., Path], generation: Any, method: Method) -> None:
    (sample,) = read_samples(write({**LINE, "generation": generation}), None)
    assert sample.generation is not None
    assert sample.generation.energy_method is method


def test_null_is_as_good_as_absent(write: Callable[..., Path]) -> None:
    nothing = dict.fromkeys(["solution", "model", "sample_id", "settings", "generation"])
    assert read_samples(write({**LINE, **nothing}), None) == read_samples(write(LINE), None)


def test_samples_are_counted_by_configuration_and_task(write: Callable[..., Path]) -> None:
    lines = [{**LINE, "model": model, "settings": {"t": t}} for model in "ab" for t in (0, 1) for _ in range(2)]
    assert [sample.sample_id for sample in read_samples(write(*lines), None)] == [0, 1] * 4


def test_a_lone_surrogate_in_code_is_kept(write: Callable[..., Path]) -> None:
    (sample,) = read_samples(write(b'{"task_id": "HumanEval/0", "completion": "\\ud800"}'), TASKS)
    assert sample.completion == "\ud800"


def test_a_byte_order_mark_and_carriage_returns(write: Callable[..., Path]) -> None:
    assert len(read_samples(write(b"\xef\xbb\xbf", json.dumps(LINE).encode() + b"\r\n\r\n", LINE), TASKS)) == 2


BROKEN: dict[str, tuple[Any, str]] = {
    "not UTF-8": (b'{"task_id": "\xff"}', "expected UTF-8, found byte 0xff at byte 14"),
    "not JSON": (b"{'task_id': 1}", "expected JSON (expecting property name enclosed in double quotes, column 2)"),
    "cut JSON": (b'{"task_id": "Hum', "JSON (strings that end on their line, column 13), found '\"Hum' without an end"),
    "line end in a string": (b'{"task_id": "Hum\n"}', "(strings that end on their line, column 13), found '\"Hum'"),
    "tab in a string": (b'{"task_id": "\t"}', r"JSON (control characters in strings escaped, column 14), found"),
    "nothing after a colon": (b'{"task_id":', "expected JSON (expecting value, column 12), found the end of the text"),
    "two objects": (b"{} {}", "expected JSON (extra data, column 4), found '{}'"),
    "deep JSON": (b"[" * 10**5, "found nesting too deep"),
    "long integer": (b'{"task_id": ' + b"1" * 5000 + b"}", "expected JSON with finite numbers, found"),
    "NaN": (b'{"generation": {"energy_j": NaN}}', "expected JSON with finite numbers, found 'NaN'"),
    "Infinity": (b'{"generation": {"energy_j": -Infinity}}', "expected JSON with finite numbers, found '-Infinity'"),
    "an infinite number": (b'{"settings": {"t": 1e999}}', "expected JSON with finite numbers, found '1e999'"),
    "not an object": (["HumanEval/0", "return"], "expected a JSON object, found ['HumanEval/0', 'return']"),
    "no task_id": ({"completion": ""}, "field 'task_id': expected this field, found nothing"),
    "task_id of a wrong type": ({**LINE, "task_id": 1.5}, "'task_id': expected a string, or MBPP's number, found 1.5"),
    "truth as task_id": ({**LINE, "task_id": True}, "field 'task_id': expected a string, or MBPP's number, found True"),
    "negative task_id": ({**LINE, "task_id": -1}, "field 'task_id': expected a string, or MBPP's number, found -1"),
    "empty task_id": ({**LINE, "task_id": ""}, "field 'task_id': expected a string that is not empty, found ''"),
    "unknown task": (
        {**LINE, "task_id": "HumanEva/12"},
        "field 'task_id': expected one of the 164 known tasks (nearest: 'HumanEval/12'), found 'HumanEva/12'",
    ),
    "neither text": (
        {"task_id": "HumanEval/0"},
        "expected exactly one of 'completion', 'solution' and 'patch', found none of them",
    ),
    "error of a wrong type": (
        {"task_id": "HumanEval/0", "error": 5},
        "'completion', 'solution' and 'patch', found none of them",
    ),
    "both texts": (
        {**LINE, "solution": ""},
        "expected exactly one of 'completion', 'solution' and 'patch', found completion and solution",
    ),
    "text of a wrong type": ({**LINE, "completion": ["a"]}, "field 'completion': expected a string, found ['a']"),
    "empty model": ({**LINE, "model": ""}, "field 'model': expected a string that is not empty, found ''"),
    "surrogate in model": ({**LINE, "model": "\ud800"}, r"expected text without lone surrogates, found '\ud800'"),
    "surrogate in settings": ({**LINE, "settings": {"a": "\ud800"}}, "field 'settings': expected text without lone"),
    "settings of a wrong type": ({**LINE, "settings": "greedy"}, "'settings': expected an object, found 'greedy'"),
    "negative sample_id": ({**LINE, "sample_id": -1}, "field 'sample_id': expected at least 0, found -1"),
    "huge sample_id": ({**LINE, "sample_id": 2**63}, "field 'sample_id': expected at most 9223372036854775807, found"),
    "sample_id of a wrong type": ({**LINE, "sample_id": "1"}, "field 'sample_id': expected an integer, found '1'"),
    "generation of a wrong type": ({**LINE, "generation": 3}, "field 'generation': expected an object, found 3"),
    "energy of a wrong type": (
        {**LINE, "generation": {"energy_j": "21 J"}},
        "field 'generation.energy_j': expected a number, found '21 J'",
    ),
    "truth as energy": ({**LINE, "generation": {"energy_j": True}}, "expected a number, found True"),
    "negative energy": ({**LINE, "generation": {"energy_j": -1}}, "energy_j': expected at least 0, found -1"),
    "half a token": ({**LINE, "generation": {"prompt_tokens": 1.5}}, "expected an integer, found 1.5"),
    "unknown method": (
        {**LINE, "generation": {"energy_j": 1, "energy_method": "guessed"}},
        "energy_method': expected one of measured, attributed, estimated, declared, missing, found 'guessed'",
    ),
    "a figure that is missing": (
        {**LINE, "generation": {"energy_j": 1, "energy_method": "missing"}},
        "field 'generation.energy_method': expected how 'energy_j' came to be, found 'missing'",
    ),
    "long and hostile value": (
        {**LINE, "sample_id": "\x1b[31m" + "x" * 10**6},
        r"expected an integer, found '\x1b[31mxxxx",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_said_with_its_place(write: Callable[..., Path], case: str) -> None:
    line, message = BROKEN[case]
    with pytest.raises(SampleFormatError) as raised:
        read_samples(write(LINE, b"\n", line), TASKS, display_path="a.jsonl")
    assert str(raised.value).startswith("a.jsonl:3: ")
    assert message in str(raised.value)
    assert len(str(raised.value)) < 250
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "key", ["energy", "energy_kwh", "energy_kWh", "energy_mj", "energy_wh", "energy_joules", "energy_consumed", "kwh",
            "gpu_energy_kwh", "total_energy", "joules", "Energy_J"]
)  # fmt: skip
def test_energy_in_another_unit_is_refused(write: Callable[..., Path], key: str) -> None:
    with pytest.raises(SampleFormatError) as raised:
        read_samples(write({**LINE, "generation": {key: 0.1}}), None, display_path="a")
    assert str(raised.value) == (
        f"a:1: field 'generation': expected an energy in J, in the field 'energy_j', found the field {key!r}"
    )


@pytest.mark.parametrize("explicit", [True, False])
def test_a_duplicate_names_both_lines(write: Callable[..., Path], explicit: bool) -> None:
    first = {**LINE, "sample_id": 1} if explicit else LINE
    path = write(LINE, first, {**LINE, "sample_id": 1})
    with pytest.raises(
        SampleFormatError, match=r"a:3: field 'sample_id': expected sample 1 of 'HumanEval/0' .*, at a:2$"
    ):
        read_samples(path, TASKS, display_path="a")


def test_a_duplicate_in_two_files_names_both(write: Callable[..., Path]) -> None:
    line = {**LINE, "model": "m", "settings": {"t": 1}}
    first = read_samples(write(line, name="a.jsonl"), None, display_path="a.jsonl")
    second = read_samples(write(LINE, line, name="b.jsonl"), None, display_path="b.jsonl")
    refuse_duplicates([*first, *second[:1]])
    with pytest.raises(
        SampleFormatError, match=r"^b.jsonl:2: .* with settings '{\"t\":1}' once, found it .* a.jsonl:1$"
    ):
        refuse_duplicates([*first, *second])


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file(write: Callable[..., Path], content: bytes) -> None:
    for name in ("a.jsonl", "a.jsonl.gz"):
        with pytest.raises(SampleFormatError, match="expected at least one sample, found an empty file"):
            read_samples(write(content, name=name), None)


def test_a_file_that_cannot_be_read(tmp_path: Path, write: Callable[..., Path]) -> None:
    with pytest.raises(SampleFormatError, match="found no such file"):
        read_samples(tmp_path / "absent.jsonl", None)
    with pytest.raises(SampleFormatError, match=r"a name ending in \.jsonl, \.jsonl\.gz, \.json, found 'a.csv'"):
        read_samples(write(LINE, name="a.csv"), None)


def test_permission_denied(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(LINE)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SampleFormatError, match="expected a readable file, found permission denied"):
        read_samples(path, None)


def test_broken_gzip(write: Callable[..., Path]) -> None:
    path = write(*[{**LINE, "sample_id": n, "completion": os.urandom(50).hex()} for n in range(100)], name="a.jsonl.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(SampleFormatError, match=r"a:\d+: expected the end of the gzip stream, found a truncated file"):
        read_samples(path, None, display_path="a")
    path.write_bytes(b"not gzip")
    with pytest.raises(SampleFormatError, match=r"a:1: expected gzip data, found .Not a gzipped file"):
        read_samples(path, None, display_path="a")
    path.write_bytes(whole[:200] + b"\xff" * 100 + whole[300:])
    with pytest.raises(SampleFormatError):
        read_samples(path, None)


def test_a_line_without_end_is_refused(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "LINE_BYTES", 1 << 20)
    with pytest.raises(SampleFormatError, match=":2: expected a line of at most 1 MiB, found a longer one"):
        read_samples(write(LINE, b" " * (1 << 20) + b"{}"), None)


def test_bigcode_lists_by_position(write: Callable[..., Path]) -> None:
    read = read_samples(write([["a", "b"], ["c", "d"]], name="gen.json"), TASKS)
    assert [(s.task_id, s.sample_id, s.solution, s.configuration.model, s.line) for s in read] == [
        ("HumanEval/0", 0, "a", "gen", None),
        ("HumanEval/0", 1, "b", "gen", None),
        ("HumanEval/1", 0, "c", "gen", None),
        ("HumanEval/1", 1, "d", "gen", None),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "expected a list of lists of programs, or JSON Lines in a file named .jsonl, found {}"),
        ([], "expected at least one sample, found an empty file"),
        ([["a"]] * 165, "expected at most 164 lists, one a task, found 165"),
        ([["a"], "b"], "field '[1]': expected a list of programs, found 'b'"),
        ([["a", None]], "field '[0][1]': expected a program, found None"),
        (b"{}\n{}", "expected JSON (extra data, line 2, column 1), found '{}'"),
    ],
)
def test_broken_bigcode_lists(write: Callable[..., Path], content: Any, message: str) -> None:
    with pytest.raises(SampleFormatError) as raised:
        read_samples(write(content, name="a.json"), TASKS)
    assert message in str(raised.value)


def test_positions_need_a_suite(write: Callable[..., Path]) -> None:
    with pytest.raises(SampleFormatError, match="expected a suite whose order the positions refer to, found none"):
        read_samples(write([["a"]], name="a.json"), None)


def test_evalplus_directories(tmp_path: Path) -> None:
    folder = tmp_path / "qwen"
    for name in ("HumanEval_10/0.py", "HumanEval_2/10.py", "HumanEval_2/9.py", "Mbpp_2/0.py", "HumanEval_2/notes.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("def f(): pass\n")
    (folder / "eval_results.json").write_text("{}")
    read = read_samples(folder, [*TASKS, "Mbpp/2"], display_path="runs/qwen")
    assert [(s.task_id, s.sample_id, s.path) for s in read] == [
        ("HumanEval/2", 9, "runs/qwen/HumanEval_2/9.py"),
        ("HumanEval/2", 10, "runs/qwen/HumanEval_2/10.py"),
        ("HumanEval/10", 0, "runs/qwen/HumanEval_10/0.py"),
        ("Mbpp/2", 0, "runs/qwen/Mbpp_2/0.py"),
    ]
    assert {s.configuration.model for s in read} == {"qwen"}
    assert {s.solution for s in read} == {"def f(): pass\n"}
    with pytest.raises(SampleFormatError, match=r"Mbpp_2/0\.py: field 'task_id': expected one of the 164"):
        read_samples(folder, TASKS)
    (folder / "Mbpp_2" / "final.py").write_text("")
    with pytest.raises(SampleFormatError, match=r"final\.py: field 'file name': expected a number.*, found 'final'"):
        read_samples(folder, None)


def test_broken_directories(tmp_path: Path) -> None:
    with pytest.raises(SampleFormatError, match="expected at least one sample, found an empty directory"):
        read_samples(tmp_path, None)
    (tmp_path / "HumanEval_0").mkdir()
    (tmp_path / "HumanEval_0" / "0.py").write_bytes(b"\xff")
    with pytest.raises(SampleFormatError, match=r"HumanEval_0/0.py: expected UTF-8, found byte 0xff at byte 1"):
        read_samples(tmp_path, None)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.binary()
    | st.builds(
        lambda record: json.dumps(record).encode(),
        st.dictionaries(
            st.sampled_from(["task_id", "completion", "solution", "model", "sample_id", "settings", "generation"]),
            JSON_VALUES
            | st.dictionaries(st.sampled_from(["energy_j", "energy_method", "source", "pue_included"]), JSON_VALUES),
        ),
    )
)
def test_any_line_is_a_sample_or_a_problem(write: Callable[..., Path], line: bytes) -> None:
    message = ""
    try:
        read_samples(write(line), None)
    except SampleFormatError as problem:
        message = str(problem)
    assert len(message) < 500


def test_16400_lines_cost_little_more_than_their_json(write: Callable[..., Path]) -> None:
    body = "    return [number for number in numbers if number > 0]\n" * 5
    generation = {"energy_j": 21.3, "energy_method": "measured", "completion_tokens": 99}
    path = write(
        *({"task_id": task, "completion": body, "generation": generation} for task in TASKS for _ in range(100))
    )
    assert len(read_samples(path, TASKS)) == 16_400
    reading_s = least_cpu_s(lambda: read_samples(path, TASKS))
    json_s = least_cpu_s(lambda: [json.loads(line) for line in path.read_text().splitlines()])
    assert reading_s < 20 * json_s


DATA = Path(os.environ.get("GREENCODE_DATA") or Path(__file__).parents[2] / "shared" / "data")
SETS = sorted((DATA / "samples").glob("*.jsonl.gz")) if DATA.is_dir() else []


@pytest.mark.skipif(not SETS, reason="GREENCODE_DATA names no folder with real samples")
@pytest.mark.parametrize("path", SETS, ids=lambda path: path.name.split(".jsonl")[0])
def test_real_samples_are_read_as_they_are(path: Path) -> None:
    read = read_samples(path, TASKS)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    assert [(s.task_id, s.completion) for s in read] == [(row["task_id"], row["completion"]) for row in rows]


def test_failed_requests_are_part_of_the_sample_that_followed_or_an_attempt(write: Callable[..., Path]) -> None:
    def spent(energy_j: float | None, duration_s: float | None, batch_size: int = 1) -> dict[str, Any]:
        values = {"energy_j": energy_j, "energy_method": "measured", "duration_s": duration_s, "batch_size": batch_size}
        return {"generation": {name: value for name, value in values.items() if value is not None}}

    def failed(task: int, **more: Any) -> dict[str, Any]:
        return {"task_id": f"HumanEval/{task}", "error": "HTTP 500", **more}

    path = write(
        failed(0, sample_id=0, **spent(2.0, 4.0, 4)),
        failed(0, sample_id=0, **spent(3.0, 6.0, 2)),
        {"task_id": "HumanEval/0", "completion": "x", "sample_id": 0, **spent(5.0, 1.0, 8)},
        failed(1, **spent(7.0, 1.0)),
        failed(2, sample_id=0, **spent(None, 1.0)),
        {"task_id": "HumanEval/2", "completion": "y", "sample_id": 0, **spent(5.0, None)},
        failed(3, sample_id=0),
        {"task_id": "HumanEval/3", "completion": "z", "sample_id": 0, **spent(5.0, 1.0)},
        {"task_id": "HumanEval/4", "completion": "a tool's own remark", "error": "timeout"},
    )
    found = {sample.task_id: sample for sample in read_samples(path, TASKS)}
    assert [found[task].completion for task in TASKS[:5]] == ["x", "", "y", "z", "a tool's own remark"]
    costs = {task: sample.generation for task, sample in found.items() if sample.generation is not None}
    first = costs["HumanEval/0"]
    # 1 s, 3 s and 1/8 s of the whole device, told as those of a batch of 8.
    assert (first.energy_j, first.duration_s, first.batch_size) == (10.0, 8 * (1.0 + 3.0 + 0.125), 8)
    assert costs["HumanEval/1"].energy_j == 7.0
    for task in ("HumanEval/2", "HumanEval/3"):  # a part is not known, so the whole is not
        assert (costs[task].energy_j, costs[task].energy_method, costs[task].duration_s) == (None, Method.MISSING, None)
    assert found["HumanEval/4"].generation is None
