"""`greencode import`: what tools and servers write, joined to samples; nonsense is refused, with its place."""

from __future__ import annotations

import gzip
import json
import math
import random
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_accounts import DATA

from pytest_greencode import cli
from pytest_greencode.errors import FileFormatError, UsageProblem
from pytest_greencode.generation.estimates import (
    ECOLOGITS_FACTOR,
    J_PER_FLOP,
    J_PER_FLOP_FACTOR,
    estimate,
    generation_flops,
)
from pytest_greencode.importers import codecarbon
from pytest_greencode.importers.entries import Entry
from pytest_greencode.importers.formats import FORMATS, parse
from pytest_greencode.importers.joining import join, place, refuse_nonsense
from pytest_greencode.model import Configuration, Generation, Method, Sample
from pytest_greencode.samples import read_samples

FILES = Path(__file__).parent / "data" / "importers"
FORMAT_OF = {
    "native.jsonl": "native",
    "codecarbon-tasks.csv": "codecarbon",
    "codecarbon-run.csv": "codecarbon",
    "zeus.csv": "zeus",
    "ml-energy-results.json": "ml-energy",
    "ml-energy-leaderboard-v2.json": "ml-energy-leaderboard",
    "ml-energy-leaderboard-v3.json": "ml-energy-leaderboard",
    "boamps.json": "boamps",
    "openai.jsonl": "openai",
    "openai-batch.jsonl": "openai",
    "neuralwatt.jsonl": "neuralwatt",
    "greenpt.jsonl": "greenpt",
    "ollama.jsonl": "ollama",
    "llama.cpp.jsonl": "llama.cpp",
    "tgi.jsonl": "tgi",
    "tensorrt-llm.jsonl": "tensorrt-llm",
    "opentelemetry-console.json": "opentelemetry",
    "opentelemetry-otlp.jsonl": "opentelemetry",
}
LEADERBOARD = DATA / "generation_energy" / "ml-energy-leaderboard-v2-code"
TASKS = ("HumanEval/53", "HumanEval/23", "HumanEval/45")


def entries_of(file: str) -> list[Entry]:
    return parse(FORMAT_OF[file], (FILES / file).read_text("utf-8"), file)


def refused(text: str, name: str) -> str:
    with pytest.raises(FileFormatError) as caught:
        parse(name, text, "file")
    return str(caught.value)


# --- what each format says ---------------------------------------------------------------------------------------


def test_every_format_has_a_file() -> None:
    assert set(FORMAT_OF.values()) == set(FORMATS)
    told = {path.name for path in FILES.iterdir()} - {"README.md"}
    assert told == {*FORMAT_OF, "codecarbon-flushed.csv"}
    readme = (FILES / "README.md").read_text("utf-8")
    assert [name for name in told if f"`{name}`" not in readme] == []


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        # cpu_energy + gpu_energy + ram_energy of the second line, kWh
        (
            "codecarbon-tasks.csv",
            {
                "energy_j": (8.909954511101306e-07 + 0.0 + 2.2244345555615535e-06) * 3.6e6,
                "energy_method": Method.ESTIMATED,
                "energy_scope": "cpu+memory",
                "duration_s": 0.40110046100016916,
                "region": "FRA",
                "gpu_count": None,
                "pue_included": False,
            },
        ),
        (
            "codecarbon-run.csv",
            {"energy_j": (6.630750783321776e-06 + 1.666723635333862e-05) * 3.6e6, "pue_included": True},
        ),
        (
            "zeus.csv",
            {
                "energy_j": 180 + 204,
                "energy_method": Method.MEASURED,
                "energy_scope": "gpu",
                "duration_s": 0.5524787902832031,
                "gpu_count": 2,
                "started_at": "2026-11-22T05:28:29.472223Z",
            },
        ),
        ("boamps.json", {"energy_j": 1.6927348630263522e-05 * 3.6e6, "energy_method": Method.DECLARED}),
        (
            "ml-energy-results.json",
            {
                "energy_j": 0.093545 * 7,
                "energy_method": Method.ATTRIBUTED,
                "prompt_tokens": 53,
                "completion_tokens": 7,
                "batch_size": 128,
                "gpu_model": "H100",
            },
        ),
        ("greenpt.jsonl", {"energy_j": 121.723, "duration_s": 0.47, "completion_tokens": 7}),
        ("neuralwatt.jsonl", {"energy_j": 25.2, "duration_s": 0.41, "energy_method": Method.ATTRIBUTED}),
        ("tgi.jsonl", {"energy_j": 31.25, "energy_scope": "gpu", "completion_tokens": 7, "prompt_tokens": None}),
        ("tensorrt-llm.jsonl", {"energy_j": 183402.0177 - 183021.5531, "duration_s": 51235.42 - 51234.102}),
        ("native.jsonl", {"energy_j": 21.3, "energy_method": Method.MEASURED, "energy_scope": "gpu"}),
        ("ollama.jsonl", {"energy_j": None, "duration_s": 0.174560334, "prompt_tokens": 53, "completion_tokens": 7}),
        ("llama.cpp.jsonl", {"energy_j": None, "duration_s": 1.439848, "completion_tokens": 7}),
        ("openai.jsonl", {"energy_j": None, "prompt_tokens": 53, "completion_tokens": 7, "duration_s": None}),
        ("opentelemetry-otlp.jsonl", {"duration_s": 0.048259019, "prompt_tokens": 53, "completion_tokens": 7}),
        ("opentelemetry-console.json", {"duration_s": 0.048259, "prompt_tokens": 53, "completion_tokens": 7}),
    ],
)
def test_the_first_record_in_joules_and_seconds(file: str, expected: dict[str, Any]) -> None:
    generation = entries_of(file)[0].generation
    found = {name: getattr(generation, name) for name in expected}
    assert found == {
        name: pytest.approx(value, rel=1e-6) if isinstance(value, float) else value for name, value in expected.items()
    }
    assert (generation.source is None) == (generation.energy_j is None)


def test_real_rows_of_the_leaderboard_give_their_joules() -> None:
    [row] = entries_of("ml-energy-leaderboard-v2.json")
    content = json.loads((FILES / "ml-energy-leaderboard-v2.json").read_text("utf-8"))
    assert row.generation.energy_j == content["Energy/req (J)"]
    assert row.generation.energy_method is Method.DECLARED
    assert row.per_request
    assert row.j_per_token == pytest.approx(content["Energy/req (J)"] / content["Avg Output Tokens"])
    assert (row.generation.gpu_count, row.generation.batch_size) == (1, 64)


@pytest.mark.skipif(not LEADERBOARD.exists(), reason="needs the leaderboard's 123 files beside the checkout")
def test_every_published_row_is_read() -> None:
    rows = [
        entry
        for path in sorted(LEADERBOARD.rglob("bs*.json"))
        for entry in parse("ml-energy-leaderboard", path.read_text("utf-8"), path.name)
    ]
    energies = [row.generation.energy_j or 0 for row in rows]
    assert len(rows) == 123
    assert (round(min(energies), 1), round(statistics.median(energies), 1), round(max(energies), 1)) == (
        5.6,
        20.2,
        349.9,
    )


def test_gpus_alone_or_all_parts_of_codecarbon() -> None:
    text = (FILES / "codecarbon-run.csv").read_text("utf-8")
    header, row = text.splitlines()
    names, values = header.split(","), row.split(",")
    values[names.index("gpu_energy")], values[names.index("gpu_count")] = "1e-05", "2"
    values[names.index("gpu_model")] = "2 x NVIDIA H100"
    with_gpus = f"{header}\n{','.join(values)}\n"
    [gpu] = codecarbon.parse(with_gpus, "file")
    assert gpu.generation.energy_j == pytest.approx(36)
    assert (gpu.generation.energy_method, gpu.generation.energy_scope) == (Method.MEASURED, "gpu")
    [every] = codecarbon.parse(with_gpus, "file", scope="all")
    assert every.generation.energy_j == pytest.approx(36 + (6.630750783321776e-06 + 1.666723635333862e-05) * 3.6e6)
    assert (every.generation.energy_method, every.generation.energy_scope) == (Method.ESTIMATED, "gpu+cpu+memory")


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_of_another_format_is_refused_and_recognised(name: str) -> None:
    for file, own in FORMAT_OF.items():
        if own != name:
            text = refused((FILES / file).read_text("utf-8"), name)
            assert text.startswith("file"), (name, file)
            assert f"this is a file of {own}" in text, (name, file, text)


@pytest.mark.parametrize("name", FORMATS)
@given(
    text=st.text(max_size=200)
    | st.sampled_from(["", "{}", "[]", "[1]", "null", "a,b\n1,2\n", '{"a": NaN}', "[" * 9999])
)
def test_any_text_is_refused_without_a_traceback(name: str, text: str) -> None:
    assert refused(text, name)


@pytest.mark.parametrize("file", FORMAT_OF)
def test_a_file_with_parts_cut_out_or_changed_is_read_or_refused(file: str) -> None:
    """Never a traceback, and never an energy that is negative or no number."""
    text = (FILES / file).read_text("utf-8")
    chance = random.Random(file)
    parts = ['""', "null", "-1", "1e999", "true", "[]", "{}", "x", "\x00", "9" * 400, ",", "\n", '"\\ud800"']
    for _ in range(60):
        start = chance.randrange(len(text))
        changed = text[:start] + chance.choice(parts) + text[start + chance.randrange(12) :]
        try:
            entries = parse(FORMAT_OF[file], changed, "file")
        except FileFormatError:
            continue
        for entry in entries:
            energy_j = entry.generation.energy_j
            assert energy_j is None or 0 <= energy_j < math.inf


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("zeus", "1795325309.4,HumanEval/0,0.55,180.0\n", "file:1: expected a header with start_time"),
        (
            "zeus",
            "start_time,window_name,elapsed_time\n1,HumanEval/0,2\n",
            "file:2: expected an energy of at least one GPU",
        ),
        ("zeus", "start_time,window_name,elapsed_time,gpu0_energy\n1,a,2\n", "file:2: expected 4 columns"),
        (
            "zeus",
            "start_time,window_name,elapsed_time,gpu0_energy\n1,a,2,x\n",
            "field 'gpu0_energy': expected a number",
        ),
        ("zeus", "start_time,window_name,elapsed_time,gpu0_energy\n1,a,2,-3\n", "expected a finite number from 0"),
        ("zeus", "start_time,window_name,elapsed_time,gpu0_energy\n" * 2, "file:2: expected one header"),
        (
            "native",
            '{"task_id": "a", "energy": 3}',
            "an energy in J, in the field 'energy_j', found the field 'energy'",
        ),
        ("native", '{"task_id": "a", "energy_kwh": 3}', "found the field 'energy_kwh'"),
        ("native", '{"task_id": "a", "energy_j": 3, "gpu_energy_j": 3}', "expected one energy"),
        ("native", '{"task_id": "a", "energy_j": 3, "pue": 1.2}', "is the PUE in the energy already?"),
        ("native", '{"task_id": "a", "energy_j": 3}\n{"energy_j": 4}', "file:2: field 'task_id'"),
        ("native", '{"task_id": "a"}', "expected energy_j, or another field"),
        (
            "greenpt",
            '{"impact": {"energy": {"total": 5, "unit": "Wh"}}}',
            "field 'impact.energy.unit': expected \"Wms\"",
        ),
        (
            "neuralwatt",
            '{"energy": {"energy_joules": 5, "energy_kwh": 5}}',
            "the same as energy_joules, 5 J, found 5 kWh",
        ),
        ("openai", '{"usage": {}, "choices": [{}, {}]}', "expected one choice (n = 1)"),
        ("openai", '{"custom_id": "a", "response": {"status_code": 429, "body": {}}}', "429: the request failed"),
        ("openai", '{"custom_id": "a", "response": null, "error": {}}', "the request failed"),
        ("ollama", '{"model": "m", "response": "a", "done": false}', "Ollama's final reply (done)"),
        ("tensorrt-llm", '{"total_energy_j": 5, "query_time": 1}', "two readings or more"),
        (
            "tensorrt-llm",
            '{"total_energy_j": 5, "query_time": 1}\n{"total_energy_j": 4, "query_time": 2}',
            "file:2: field 'total_energy_j': expected a later reading of the same server",
        ),
        (
            "ml-energy",
            '{"steady_state_energy_per_token": 0.1, "results": [{"output_len": 10, "energy": 7}]}',
            "steady_state_energy_per_token * output_len J",
        ),
        ("boamps", '{"task": {}, "measures": []}', "a BoAmps report"),
        ("opentelemetry", '{"resourceSpans": []}', "found no spans"),
        ("openai", '{"usage": {"completion_tokens": 1.5}, "choices": [{"text": ""}]}', "expected a whole number"),
        ("openai", '{"usage": {},\n "choices": [}', "file:2: expected JSON"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(name: str, text: str, expected: str) -> None:
    assert expected in refused(text, name)


def test_totals_that_run_on_within_a_run_are_refused() -> None:
    text = refused((FILES / "codecarbon-flushed.csv").read_text("utf-8"), "codecarbon")
    assert text.startswith("file:3: field 'run_id'")
    assert "run on across flush()" in text


# --- joining -----------------------------------------------------------------------------------------------------


def sample(task: str, number: int = 0, line: int = 1, *, model: str = "m", tokens: int | None = None) -> Sample:
    return Sample(
        task_id=task,
        configuration=Configuration(model=model),
        sample_id=number,
        completion="",
        generation=None if tokens is None else Generation(completion_tokens=tokens),
        path="s.jsonl",
        line=line,
    )


def entry(name: str | None, energy_j: float | None = 1.0, line: int = 1, **more: Any) -> Entry:
    facts = more.pop("facts", {})
    method = Method.MISSING if energy_j is None else more.pop("method", Method.MEASURED)
    return Entry(
        path="e.csv",
        line=line,
        name=name,
        generation=Generation(energy_j=energy_j, energy_method=method, source="tool", **facts),
        content=f"{name} {line}",
        **more,
    )


def line_of(each: Sample) -> dict[str, Any]:
    tokens = each.generation.completion_tokens if each.generation else None
    return {"task_id": each.task_id} | ({} if tokens is None else {"generation": {"completion_tokens": tokens}})


def joined(entries: list[Entry], samples: list[Sample], **more: Any) -> list[dict[str, Any]]:
    return join(entries, samples, {each.line: line_of(each) for each in samples if each.line}, **more).lines


def problem(entries: list[Entry], samples: list[Sample], **more: Any) -> str:
    with pytest.raises(UsageProblem) as caught:
        joined(entries, samples, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "task", "number"),
    [
        ("HumanEval/3", "HumanEval/3", 0),
        ("HumanEval/3#7", "HumanEval/3", 7),
        ("HumanEval/3:7", "HumanEval/3", 7),
        ("HumanEval/3/7", "HumanEval/3", 7),
        ("HumanEval_3_7", "HumanEval/3", 7),
        ("HumanEval_3", "HumanEval/3", 0),
        ("Python/3#7", "HumanEval/3", 7),
        ("HumanEval/31", "HumanEval/31", 0),
        ("HumanEval/4", None, None),
        ("warm-up", None, None),
        ("", None, None),
    ],
)
def test_names_of_tasks_and_samples(name: str, task: str | None, number: int | None) -> None:
    [placed] = place([entry(name)], {"HumanEval/3", "HumanEval/31"}, {})
    assert (placed.task, placed.number) == (task, number)


def test_without_a_number_records_are_samples_in_their_order() -> None:
    entries = [entry("HumanEval/3", 1, 1), entry("HumanEval/1", 2, 2), entry("HumanEval/3", 3, 3)]
    samples = [sample("HumanEval/3", 0, 1), sample("HumanEval/3", 1, 2), sample("HumanEval/1", 0, 3)]
    assert [line["generation"]["energy_j"] for line in joined(entries, samples)] == [1, 3, 2]
    entries[2] = entry("HumanEval/3#1", 3, 3)
    assert problem(entries, samples).startswith("e.csv:3: expected a sample's number in all records of 'HumanEval/3'")


def test_what_does_not_fit_is_told_and_left_only_when_asked() -> None:
    samples = [sample("HumanEval/1", 0, 1), sample("HumanEval/2", 0, 2)]
    entries = [entry("HumanEval/1", 5, 1), entry("HumanEval/1#0", 7, 2)]
    assert "e.csv:2: expected one record of sample 0" in problem([entry("HumanEval/1#0", 5), entries[1]], samples)
    text = problem([entries[0]], samples)
    assert text.startswith("1 samples have no record (s.jsonl:2 'HumanEval/2')")
    text = problem([entry("HumanEval/1#0", 5), entry("HumanEval/2#0", 1, 2), entry("HumanEval/2#1", 7.5, 3)], samples)
    assert text.startswith("1 records have no sample (e.csv:3; 7.5 J in all)")
    text = problem([entry("HumanEval/1"), entry("warm-up", 9, 2)], samples)
    assert text.startswith("e.csv:2: expected the name of a task of the samples")
    assert "--split tokens" in text
    found = join([entry("HumanEval/1"), entry("warm-up", 9, 2)], samples, {1: {}, 2: {}}, partial=True)
    assert (found.matched, len(found.left), [each.name for each in found.unused]) == (1, 1, ["warm-up"])
    assert "no record belongs to a sample" in problem([entry("warm-up")], samples, partial=True)


@given(
    st.lists(st.floats(0.001, 1e6), min_size=1, max_size=4),
    st.lists(st.integers(0, 5000), min_size=1, max_size=30),
    st.sampled_from(["tokens", "evenly"]),
)
def test_the_shares_of_a_run_add_up_to_it(runs_j: list[float], tokens: list[int], split: str) -> None:
    entries = [entry(None, energy_j, line, facts={"duration_s": 2.0}) for line, energy_j in enumerate(runs_j, 1)]
    samples = [sample("HumanEval/1", number, number + 1, tokens=each) for number, each in enumerate(tokens)]
    generations = [line["generation"] for line in joined(entries, samples, split=split)]
    assert math.fsum(each["energy_j"] for each in generations) == pytest.approx(math.fsum(runs_j))
    assert math.fsum(each["duration_s"] for each in generations) == pytest.approx(2.0 * len(runs_j))
    assert {each["energy_method"] for each in generations} == {"attributed"}
    assert [each["completion_tokens"] for each in generations] == tokens
    if split == "tokens":
        for each, count in zip(generations, tokens, strict=True):
            share = max(count, 1) / sum(max(each, 1) for each in tokens)
            assert each["energy_j"] == pytest.approx(math.fsum(runs_j) * share)


def test_a_run_is_shared_only_where_that_can_be_done() -> None:
    samples = [sample("HumanEval/1", 0, 1), sample("HumanEval/1", 1, 2, tokens=0)]
    assert problem([entry(None)], samples, split="tokens").startswith("s.jsonl:1: field 'generation.completion_tokens'")
    mean = entry(None, per_request=True, model="m")
    assert "found a mean per request" in problem([mean], samples, split="evenly")
    assert "records of whole runs" in problem([entry("HumanEval/1")], samples, split="evenly")
    assert "expected an energy to share" in problem([entry(None, None)], samples, split="evenly")
    both = [entry(None), entry(None, 2, 2, facts={"pue_included": True})]
    assert problem(both, samples, split="evenly").startswith("e.csv:2: field 'pue_included'")


def test_means_per_request_stand_for_each_sample_by_its_tokens() -> None:
    row = entry(None, 20.0, per_request=True, j_per_token=0.2, model="m", method=Method.DECLARED)
    samples = [
        sample("HumanEval/1", 0, 1, tokens=50),
        sample("HumanEval/1", 1, 2),
        sample("HumanEval/2", 0, 3, tokens=0),
    ]
    generations = [line["generation"] for line in joined([row], samples)]
    assert [each["energy_j"] for each in generations] == [pytest.approx(10), 20, 20]
    assert generations[0]["source"] == "tool; by the sample's 50 tokens"
    assert {each["energy_method"] for each in generations} == {"declared"}
    other = entry(None, 30.0, 2, per_request=True, model="m")
    assert "expected one row of model 'm'; found another" in problem([row, other], samples)
    assert "found 'else'" in problem([entry(None, 1, per_request=True, model="else")], samples)


def test_models_tell_samples_apart_and_may_not_differ() -> None:
    samples = [sample("HumanEval/1", 0, 1, model="a"), sample("HumanEval/1", 0, 2, model="b")]
    entries = [entry("HumanEval/1", 5, 1, model="b"), entry("HumanEval/1", 3, 2, model="a")]
    assert [line["generation"]["energy_j"] for line in joined(entries, samples)] == [3, 5]
    assert "expected what tells apart the 2 samples 0 of 'HumanEval/1'" in problem([entry("HumanEval/1")], samples)
    lines = {1: {"task_id": "HumanEval/1", "model": "a"}}
    with pytest.raises(FileFormatError, match="expected 'a', the samples' model"):
        join([entry("HumanEval/1", model="c")], samples[:1], lines)


def test_what_a_sample_says_already_is_overruled_only_when_asked() -> None:
    [one] = samples = [sample("HumanEval/1", 0, 1, tokens=10)]
    own = {"completion_tokens": 10, "energy_j": 4, "energy_method": "estimated", "energy_relative_error": 0.5, "x": 1}
    lines = {1: {"task_id": one.task_id, "generation": own, "mine": [1]}}
    record = entry("HumanEval/1", 6.0, facts={"completion_tokens": 11, "duration_s": 2.0})
    with pytest.raises(FileFormatError, match=r"e\.csv:1: .*a sample without an energy .* found 4 J at s\.jsonl:1"):
        join([record], samples, lines)
    lines[1]["generation"] = {"completion_tokens": 10, "x": 1}  # type: ignore[index]
    with pytest.raises(FileFormatError, match=r"expected 10, as s\.jsonl:1 has it .*, found 11: is this the same"):
        join([record], samples, lines)
    lines[1]["generation"] = own  # type: ignore[index]
    [line] = join([record], samples, lines, overrule=True).lines
    assert line["mine"] == [1]
    assert line["generation"] == {
        "completion_tokens": 11,
        "energy_j": 6.0,
        "energy_method": "measured",
        "source": "tool",
        "duration_s": 2.0,
        "x": 1,
    }


def test_a_record_that_stands_twice_is_refused() -> None:
    samples = [sample("HumanEval/1", 0, 1), sample("HumanEval/1", 1, 2)]
    first = entry("HumanEval/1", 5, 1)
    again = Entry(path="e.csv", line=9, name=first.name, generation=first.generation, content=first.content)
    assert problem([first, again], samples) == "e.csv:9: expected each record once, found the one of e.csv:1 again"


def test_nothing_is_free() -> None:
    assert "0 J: the window was too short" in problem([entry("HumanEval/1", 0.0)], [sample("HumanEval/1")])


@pytest.mark.parametrize("shape", ["rounds", "lines"])
def test_a_counter_that_runs_on_is_refused(shape: str) -> None:
    """Energy so far, of each task's samples or of the whole file, in place of each one's own."""
    chance = random.Random(shape)
    names = [f"HumanEval/{task}#{number}" for task in range(6) for number in range(4)]
    own = [chance.uniform(5, 20) for _ in names]
    restarts = 4 if shape == "rounds" else len(names)
    so_far = [math.fsum(own[index - index % restarts : index + 1]) for index in range(len(own))]
    samples = [sample(name.partition("#")[0], int(name[-1]), line) for line, name in enumerate(names, 1)]
    entries = [
        [entry(name, value, line) for line, (name, value) in enumerate(zip(names, figures, strict=True), 1)]
        for figures in (own, so_far)
    ]
    assert len(joined(entries[0], samples)) == 24
    text = problem(entries[1], samples)
    assert "a counter does that runs on" in text
    assert ("from sample to sample" if shape == "rounds" else "from") in text
    assert len(joined(entries[1], samples, rising=True)) == 24


def test_energies_in_no_order_are_hardly_ever_taken_for_a_counter() -> None:
    chance, refusals = random.Random(5), 0
    for _ in range(300):
        tasks, samples = chance.randint(1, 12), chance.randint(1, 6)
        entries = [
            entry(f"HumanEval/{task}#{number}", chance.random() + 0.1, task * 10 + number)
            for task in range(tasks)
            for number in range(samples)
        ]
        try:
            refuse_nonsense(place(entries, None, {}))
        except FileFormatError:
            refusals += 1
    assert refusals == 0


# --- the command -------------------------------------------------------------------------------------------------


def greencode(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["import", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def samples_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "samples.jsonl"
    lines = [{"task_id": f"HumanEval/{task}", "completion": "    pass\n", "note": "ä"} for task in (0, 0, 1, 1, 2, 2)]
    path.write_text("".join(json.dumps(line) + "\n\n" for line in lines), "utf-8")
    return path


def test_a_csv_is_joined_to_samples_that_pytest_can_run(samples_file: Path, capsys: Any) -> None:
    out = Path("out/joined.jsonl.gz")
    code, said, _ = greencode(capsys, "zeus", FILES / "zeus.csv", "--samples", samples_file, "--output", out)
    assert code == 0
    assert said.splitlines() == ["6 of 6 samples joined", "2688 J measured (gpu) on 6 of them"]
    found = read_samples(out, None)
    assert [each.generation and each.generation.energy_j for each in found] == [384, 512, 448, 576, 512, 256]
    notes = {json.loads(line)["note"] for line in gzip.decompress(out.read_bytes()).splitlines()}
    assert notes == {"ä"}


def test_samples_may_be_replaced_by_themselves_joined(samples_file: Path, capsys: Any) -> None:
    arguments = ("codecarbon", FILES / "codecarbon-tasks.csv", "--samples", samples_file, "--output", samples_file)
    assert greencode(capsys, *arguments)[0] == 0
    before = samples_file.read_bytes()
    code, _, said = greencode(capsys, *arguments)
    assert code == 4
    assert "a sample without an energy (--overrule" in " ".join(said.split())
    assert samples_file.read_bytes() == before, "a refusal changes nothing"
    assert greencode(capsys, *arguments, "--overrule")[0] == 0
    assert [path.name for path in samples_file.parent.iterdir()] == ["samples.jsonl"]


def test_replies_become_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, said = greencode(
        capsys, "openai", FILES / "openai.jsonl", "--estimate", "flops", "--active-parameters", "268m"
    )
    assert code == 0
    assert said.splitlines()[:2] == ["6 samples, made of 6 records", "6 energies estimated"]
    Path("made.jsonl").write_text(out, "utf-8")
    found = read_samples(Path("made.jsonl"), None)
    assert [(each.task_id, each.sample_id) for each in found] == [(task, number) for task in TASKS for number in (0, 1)]
    assert found[0].completion == "    return x + y\n\ndef"
    assert found[0].configuration.model == "gemma3-270m"
    generation = found[0].generation
    assert generation is not None
    assert generation.energy_method is Method.ESTIMATED
    assert generation.energy_j == pytest.approx(J_PER_FLOP * 2 * 268e6 * 7)
    assert generation.flops == 2 * 268e6 * (53 + 7)
    assert "within a factor of 2.6" in (generation.source or "")


def test_samples_of_ones_own_keep_their_settings_and_programs(tmp_path: Path, capsys: Any) -> None:
    lines = [
        {
            "task_id": "HumanEval/1",
            "solution": "def f(): ...",
            "model": "m",
            "settings": {"t": settings},
            "generation": own,
        }
        for settings, own in ((0.2, {"completion_tokens": 5}), (0.8, {"completion_tokens": 9}))
    ]
    path, estimated = tmp_path / "own.jsonl", ("--estimate", "flops", "--active-parameters", "7b")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    code, out, said = greencode(capsys, "native", path, *estimated)
    assert code == 0, said
    found = [json.loads(line) for line in out.splitlines()]
    # Sample 0 of two configurations.
    assert [line | {"generation": 0} for line in found] == [line | {"generation": 0, "sample_id": 0} for line in lines]
    assert [line["generation"]["energy_method"] for line in found] == ["estimated"] * 2
    code, again, said = greencode(capsys, "native", path, "--samples", path, *estimated)
    assert code == 0, said
    assert [json.loads(line)["generation"] for line in again.splitlines()] == [line["generation"] for line in found]


def test_what_generate_wrote_without_an_energy_is_estimated(tmp_path: Path, capsys: Any) -> None:
    """As from a server elsewhere, with a request that failed before."""
    own = {"task_id": "HumanEval/1", "model": "m", "settings": {"t": 0.2}, "sample_id": 0}
    failed = {**own, "error": "429", "generation": {"duration_s": 0.5, "batch_size": 1}}
    done = {
        **own,
        "completion": "    pass",
        "generation": {"duration_s": 2.0, "prompt_tokens": 9, "completion_tokens": 7},
    }
    path, out = tmp_path / "remote.jsonl", tmp_path / "estimated.jsonl"
    path.write_text(json.dumps(failed) + "\n" + json.dumps(done) + "\n", "utf-8")
    estimated = ("--estimate", "flops", "--active-parameters", "7b")
    code, _, said = greencode(capsys, "native", path, *estimated, "--output", out)
    assert code == 0, said
    first, second = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert first == failed, "nobody knows what it cost"
    assert second["generation"]["energy_j"] == pytest.approx(J_PER_FLOP * 2 * 7e9 * 7)
    [sample] = read_samples(out, None)
    assert sample.generation is not None
    assert sample.generation.energy_j is None
    assert "records of answers, for --samples" in greencode(capsys, "native", path, "--samples", path)[2]


def test_prompts_tell_the_tasks_of_ml_energys_results(capsys: Any) -> None:
    code, out, _ = greencode(capsys, "ml-energy", FILES / "ml-energy-results.json", "--model", "mine")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["task_id"] for line in lines] == list(TASKS)
    assert {line["model"] for line in lines} == {"mine"}


def test_rows_are_chosen_by_their_fields(tmp_path: Path, capsys: Any) -> None:
    samples = tmp_path / "s.jsonl"
    samples.write_text('{"task_id": "HumanEval/1", "completion": "", "model": "m"}\n', "utf-8")
    arguments = ("ml-energy-leaderboard", FILES / "ml-energy-leaderboard-v3.json", "--samples", samples, "--model", "m")
    code, _, said = greencode(capsys, *arguments)
    assert code == 4
    assert "`--where batch_size=64`" in said
    code, out, _ = greencode(capsys, *arguments, "--where", "batch_size=512", "--where", "gpu_model=b200")
    assert code == 0
    assert json.loads(out)["generation"]["energy_j"] == pytest.approx(27.5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), "expected one of native, codecarbon"),
        (("nothing",), "found nothing; see --list"),
        (("zeuss\x1b[2J",), "found zeuss\\x1b[2J"),
        (("zeus",), "expected at least one file"),
        (("zeus", "no-such-file"), "FILE no-such-file: No such file or directory"),
        (("zeus", "."), "FILE .: Is a directory"),
        (("zeus", FILES / "zeus.csv"), "expected a reply's text, to make a sample of"),
        (("zeus", FILES / "zeus.csv", "--samples", "no.jsonl"), "no.jsonl: expected a samples file"),
        (("zeus", FILES / "zeus.csv", "--samples", "no.csv"), "expected a file of JSON lines"),
        (("zeus", FILES / "zeus.csv", "--split", "evenly"), "--split: expected --samples too"),
        (("zeus", FILES / "zeus.csv", "--where", "colour=red"), "expected FIELD=VALUE, FIELD one of model"),
        (("zeus", FILES / "zeus.csv", "--where", "gpu_count=9"), "no record is so"),
        (("zeus", FILES / "zeus.csv", "--scope", "all"), "only codecarbon"),
        (
            ("openai", FILES / "openai.jsonl", "--estimate", "flops"),
            "--estimate and --active-parameters: expected both",
        ),
        (("openai", FILES / "openai.jsonl", "--active-parameters", "0b"), "expected a number of parameters"),
        (("openai", FILES / "openai.jsonl", "--output", "/proc/no/file"), "--output /proc/no/file"),
        (("openai", FILES / "zeus.csv"), "this is a file of zeus"),
    ],
)
def test_slips_are_told_in_a_message(
    arguments: tuple[object, ...], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, said = greencode(capsys, *arguments)
    assert code == 4
    assert out == ""
    assert expected in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 120


def test_what_is_no_text_or_no_gzip_is_told(tmp_path: Path, capsys: Any) -> None:
    binary, broken = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    binary.write_bytes(b"start_time\n\xff\xfe")
    broken.write_bytes(b"no gzip")
    assert f"{binary}:2: expected UTF-8, found byte 0xff" in " ".join(greencode(capsys, "zeus", binary)[2].split())
    assert "expected gzip data" in " ".join(greencode(capsys, "zeus", broken)[2].split())


def test_the_list_tells_every_format(capsys: Any) -> None:
    code, out, _ = greencode(capsys, "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == list(FORMATS)
    assert max(map(len, out.splitlines())) <= 80


# --- estimates ---------------------------------------------------------------------------------------------------


def test_flops_are_two_a_parameter_and_token() -> None:
    assert generation_flops(7e9, 100) == 1.4e12
    found = estimate("flops", completion_tokens=100, active_parameters=7e9)
    assert found.energy_j == pytest.approx(J_PER_FLOP * 1.4e12)
    assert (found.low_j, found.high_j) == (found.energy_j / J_PER_FLOP_FACTOR, found.energy_j * J_PER_FLOP_FACTOR)
    for tokens, parameters in ((0, 7e9), (10, 0.0), (10, math.nan)):
        with pytest.raises(ValueError, match="above 0"):
            estimate("flops", completion_tokens=tokens, active_parameters=parameters)
    with pytest.raises(ValueError, match="expected one of flops, ecologits"):
        estimate("guess", completion_tokens=1, active_parameters=1)


def published() -> list[tuple[float, float, float]]:
    """Of each published row: parameters, output tokens, J."""
    sizes = {name: each["params"] * 1e9 for name, each in json.loads((LEADERBOARD / "models.json").read_text()).items()}
    rows = [json.loads(path.read_text("utf-8")) for path in sorted(LEADERBOARD.rglob("bs*.json"))]
    return [(sizes[row["Model"]], row["Avg Output Tokens"], row["Energy/req (J)"]) for row in rows]


@pytest.mark.skipif(not LEADERBOARD.exists(), reason="needs the leaderboard's 123 files beside the checkout")
def test_joules_a_flop_are_those_of_the_published_measurements() -> None:
    ratios = [energy_j / (2 * size * tokens) for size, tokens, energy_j in published()]
    assert statistics.geometric_mean(ratios) == pytest.approx(J_PER_FLOP, rel=0.01)
    assert max(max(ratios) / J_PER_FLOP, J_PER_FLOP / min(ratios)) == pytest.approx(J_PER_FLOP_FACTOR, rel=0.02)


@pytest.mark.skipif(not LEADERBOARD.exists(), reason="needs the leaderboard's 123 files beside the checkout")
def test_ecologits_is_as_far_off_as_is_said() -> None:
    llm = pytest.importorskip("ecologits.impacts.llm", reason="needs ecologits (extra `estimate`)")
    zero = dict.fromkeys(("if_electricity_mix_adpe", "if_electricity_mix_pe", "if_electricity_mix_gwp"), 0.0)
    zero |= {"if_electricity_mix_wue": 0.0, "datacenter_wue": 0.0}
    ratios = []
    for size, tokens, energy_j in published():
        found = llm.compute_llm_impacts_dag(
            model_active_parameter_count=size / 1e9,
            model_total_parameter_count=size / 1e9,
            output_token_count=tokens,
            request_latency=math.inf,
            datacenter_pue=1.0,
            **zero,
        )
        ratios.append(found["gpu_required_count"] * found["gpu_energy"] * 3.6e6 / energy_j)
    assert max(max(ratios), 1 / min(ratios)) == pytest.approx(ECOLOGITS_FACTOR, rel=0.05)
    whole = estimate("ecologits", completion_tokens=99, active_parameters=7e9)
    assert whole.scope == "gpu+server"
    assert whole.source.startswith("ecologits ")
    assert 20 < whole.energy_j < 40


def test_without_ecologits_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ecologits.impacts.llm", None)
    with pytest.raises(UsageProblem, match=r"pytest-greencode\[estimate\]"):
        estimate("ecologits", completion_tokens=99, active_parameters=7e9)
