"""`greencode generate`: prompts, settings, budgets, and a campaign against a real server with all its faults."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from model_server import Answer, Handler, model_server
from msgspec.structs import replace

from pytest_greencode.cli import main
from pytest_greencode.economics.assumptions import Assumptions, parse_assumptions
from pytest_greencode.errors import UsageProblem
from pytest_greencode.generation import whereabouts
from pytest_greencode.generation.budget import parse_budget
from pytest_greencode.generation.meters import ProcessTime
from pytest_greencode.generation.prompts import BODY_ENDS, STYLES, prompt_for, repair_prompt, stops_for
from pytest_greencode.generation.settings import grid, pair
from pytest_greencode.generation.whereabouts import listening_pid, meters_of_server
from pytest_greencode.model import Task
from pytest_greencode.samples import read_samples
from pytest_greencode.suites.formats import human_eval, read_suite
from pytest_greencode.suites.repository_file import read_repository_suite

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
HUMAN_EVAL = human_eval().tasks


@pytest.fixture(autouse=True)
def quick_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_greencode.generation.campaign._FIRST_WAIT_S", 0.002)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


# --- prompts --------------------------------------------------------------------------------------------------------


def test_a_task_in_every_style() -> None:
    task = HUMAN_EVAL["HumanEval/0"]
    assert prompt_for(task, "completion").text == task.prompt
    assert stops_for(task, "completion") == BODY_ENDS
    lengths = []
    for style in ("short", "chat", "long"):
        prompt = prompt_for(task, style)
        assert prompt.chat is not None
        assert task.prompt.rstrip() in prompt.chat[0]["content"]
        assert stops_for(task, style) == ()
        lengths.append(len(prompt.chat[0]["content"]))
    assert lengths == sorted(lengths)


def test_mbpp_is_put_in_words_with_its_tests(tmp_path: Path) -> None:
    row = {"task_id": 2, "text": "Write a function.", "code": "def f(): return 1", "test_setup_code": "",
           "test_list": ["assert f() == 1", "assert f() < 2"], "challenge_test_list": []}  # fmt: skip
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(row))
    (task,) = read_suite("mbpp", tmp_path / "mbpp.jsonl").tasks.values()
    words = "Write a function.\nYour code should pass these tests:\n\nassert f() == 1\nassert f() < 2"
    assert prompt_for(task, "completion").text == f'"""\n{words}\n"""\n'
    assert stops_for(task, "completion") == ()  # a whole program begins with def
    chat = prompt_for(task, "chat").chat
    assert chat is not None
    assert chat[0]["content"].endswith(words)


def test_a_repository_is_shown_without_its_tests_and_solutions() -> None:
    suite = read_repository_suite(ROOT / "examples" / "repository" / "greencode.toml")
    slugs, _, faster = suite.tasks.values()
    chat = prompt_for(slugs, "chat").chat
    assert chat is not None
    text = chat[0]["content"]
    assert text.startswith("Write `shelf/slugs.py`")
    assert text.endswith("Answer with nothing but the whole text of shelf/slugs.py, in one code block.")
    assert "class Shelf" in text
    assert "def slug" not in text
    assert "def test_" not in text
    assert prompt_for(slugs, "completion").text.startswith('"""\nWrite `shelf/slugs.py`')
    assert stops_for(slugs, "completion") == ()
    chat = prompt_for(faster, "chat").chat
    assert chat is not None
    assert "def slug" in chat[0]["content"]
    assert chat[0]["content"].endswith("unified diff over the repository, in one code block.")
    with pytest.raises(UsageProblem, match="asks for a patch"):
        prompt_for(faster, "completion")
    long = replace(slugs.repository, files={**slugs.repository.files, "shelf/long.py": b"# " * 100_000})
    chat = prompt_for(replace(slugs, repository=long), "chat").chat
    assert chat is not None
    assert "Not shown: shelf/long.py" in chat[0]["content"]


def test_a_task_that_says_nothing_cannot_be_asked() -> None:
    task = Task(
        suite="own", task_id="own/1", prompt="", prelude="", tests="", call="", entry_points=(), canonical_solution=""
    )
    with pytest.raises(UsageProblem, match="own own/1: expected a prompt, or a text and test_list"):
        prompt_for(task, "chat")


@pytest.mark.parametrize("style", STYLES)
def test_a_repair_shows_the_answer_and_why_it_failed(style: str) -> None:
    task = HUMAN_EVAL["HumanEval/0"]
    prompt = repair_prompt(task, style, [("def wrong(): pass", "rejected: AssertionError")])
    text = prompt.text or json.dumps(prompt.chat)
    assert "def wrong(): pass" in text
    assert "rejected: AssertionError" in text
    if style == "completion":
        assert prompt.text.endswith(task.prompt)
        compile(prompt.text + "    pass\n", "prompt", "exec")
    else:
        assert prompt.chat is not None
        assert [message["role"] for message in prompt.chat] == ["user", "assistant", "user"]


# --- settings and budgets -------------------------------------------------------------------------------------------


def test_a_grid_is_all_combinations() -> None:
    assert list(grid([])) == [{}]
    assert list(grid(["temperature=0.2,0.8", "prompt=short,long"])) == [
        {"temperature": temperature, "prompt": prompt} for temperature in (0.2, 0.8) for prompt in ("short", "long")
    ]
    assert pair('stop=["a", "b"]', "--set") == ("stop", ["a", "b"])
    assert pair("quantization=awq", "--label") == ("quantization", "awq")
    assert [repr(each["temperature"]) for each in grid(["temperature=0,1e-1"])] == ["0.0", "0.1"]
    assert list(grid(["stop=END"])) == [{"stop": ["END"]}]
    assert pair("x=NaN", "--set") == ("x", "NaN")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "temperature",
            "=1",
            "a b=1",
            "temperature=hot",
            "temperature=1,1",
            "top_p=2",
            "max_tokens=0.5",
            "top_k=true",
        ),
        *("stop=5", "prompt=huge", "seed=1,2", "model=a,b", "x=1,,2"),
    ],
)
def test_a_grid_that_is_none(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"^--grid"):
        list(grid([text]))


MONEY = parse_assumptions(
    '[money]\ncurrency = "EUR"\nelectricity_per_kwh = 0.36\n'
    '[[money.tokens]]\nmodel = "gpt-*"\nprompt_per_million = 1\ncompletion_per_million = 4\n'
)


@pytest.mark.parametrize(
    ("text", "model", "spent", "limit"),
    [
        ("5000J", "m", 3600.0, 5000.0),
        ("1 kWh", "m", 3600.0, 3.6e6),
        ("2MJ", "m", 3600.0, 2e6),
        ("3g", "m", 3600.0 * 1.2 * 500 / 3.6e6, 3.0),
        ("500mg", "m", 3600.0 * 1.2 * 500 / 3.6e6, 0.5),
        ("0.50EUR", "m", 3600.0 * 1.2 * 0.36 / 3.6e6, 0.5),
        ("0.50EUR", "gpt-9", (1000 * 1 + 500 * 4) / 1e6, 0.5),
    ],
)
def test_what_a_budget_counts(text: str, model: str, spent: float, limit: float) -> None:
    budget = parse_budget(text, g_per_kwh=500, pue=1.2, assumptions=MONEY, model=model)
    assert budget.limit == pytest.approx(limit)
    assert budget.spent(3600.0, 1000, 500) == pytest.approx(spent)
    assert (budget.spent(None, 1000, 500) is None) == budget.needs_energy == (model == "m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "expected an amount above 0 such as"),
        ("0J", "expected an amount above 0"),
        ("-3g", "expected an amount above 0"),
        ("5mJ", "millijoules or megajoules"),
        ("5USD", "or EUR of the assumptions, found 'USD'"),
        ("nanJ", "expected an amount"),
    ],
)
def test_a_budget_that_is_none(text: str, message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        parse_budget(text, g_per_kwh=500, pue=1.2, assumptions=MONEY, model="m")


def test_money_without_prices_is_no_budget() -> None:
    with pytest.raises(UsageProblem, match="or a currency, with --assumptions FILE, found 'EUR'"):
        parse_budget("1EUR", g_per_kwh=1, pue=1, assumptions=Assumptions(), model="m")
    with pytest.raises(UsageProblem, match=r"expected money\.tokens or money\.electricity_per_kwh"):
        parse_budget("1EUR", g_per_kwh=1, pue=1, assumptions=parse_assumptions('[money]\ncurrency = "EUR"'), model="m")


# --- where a server is ----------------------------------------------------------------------------------------------


def test_the_process_behind_a_port_is_found() -> None:
    with model_server(lambda body: "x") as server:
        port = server.server_address[1]
        assert listening_pid(port) == os.getpid()
        (meter,) = (each for each in meters_of_server("localhost", port)[0] if each.gpu_model is None)
        start = meter.read()
        deadline_s = time.process_time() + 0.05
        while time.process_time() < deadline_s:
            pass
        energy = meter.between(start, meter.read())
    assert energy.energy_j is not None
    assert energy.energy_j > 0
    assert energy.scope == "cpu"
    assert listening_pid(port) is None


def test_cpu_time_of_a_process_has_that_of_its_children() -> None:
    busy = "import time\nwhile time.process_time() < 0.4: pass\n"
    script = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\ninput()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE)
    measured = ProcessTime(process.pid)
    deadline_s = time.monotonic() + 60
    while (measured() or 0) < 0.4 and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert 0.4 <= (measured() or 0) < 5
    process.communicate(b"\n")
    assert measured() is None


def test_a_server_elsewhere_is_not_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    meters, reason = meters_of_server("gpu-box.example", 8000)
    assert (meters, reason) == (
        [],
        "the server is at gpu-box.example, and only the machine that it runs on can measure it",
    )
    monkeypatch.setattr(whereabouts, "process_name", lambda pid: "ssh")
    with model_server(lambda body: "x") as server:
        meters, reason = meters_of_server("127.0.0.1", server.server_address[1])
    assert meters == []
    assert reason is not None
    assert reason.endswith("belongs to ssh, which passes requests on, nobody knows where")


# --- the command ----------------------------------------------------------------------------------------------------


def generate(*arguments: Any) -> int:
    return main(["generate", *map(str, arguments)])


def test_a_grid_is_made_whatever_the_server_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """429, 500, garbage, half an answer, hanging up: each sample is made, each failure in the file with its cost."""
    faults: list[Answer] = [
        lambda h: h.refuse(429, Retry_After="0.01"),
        lambda h: h.refuse(500),
        lambda h: h.send(200, b"garbage"),
        Handler.cut,
        Handler.hang_up,
        Handler.hang,
    ]
    numbers, picked = itertools.count(), random.Random(3)

    def answer(body: dict[str, Any]) -> Answer:
        number = next(numbers)
        if number < len(faults):
            return faults[number]
        return picked.choice(faults[:5]) if picked.random() < 0.2 else "    return 1\n"

    path = tmp_path / "made.jsonl"
    with model_server(answer) as server:
        asked = ("--url", server.url, "--limit", 5, "-n", 2, "--grid", "temperature=0.2,0.8", "--concurrency", 4,
                 "--label", "quantization=awq", "--seed", 7, "--prompt", "completion", "--tries", 9, "--timeout", 0.5,
                 "--output", path)  # fmt: skip
        assert generate(*asked) == 0
        count = len(server.asked)
        assert generate(*asked) == 0  # nothing is left to be made
        assert len(server.asked) == count
    made = [row for row in rows(path) if "completion" in row]
    failed = [row for row in rows(path) if "error" in row]
    assert len(made) == 20
    assert len(made) + len(failed) == count
    assert {row["error"].partition(":")[0] for row in failed} >= {
        "HTTP 429 Too Many Requests",
        "no answer within 0.5 s",
    }
    assert all(row["generation"]["energy_j"] >= 0 for row in rows(path))
    assert sum(row["generation"]["energy_j"] for row in rows(path)) > 0
    settings = {json.dumps(row["settings"], sort_keys=True) for row in made}
    assert settings == {
        f'{{"max_tokens": 512, "prompt": "completion", "quantization": "awq", "temperature": {temperature}}}'
        for temperature in (0.2, 0.8)
    }
    seeds = {(body["seed"], body["temperature"]) for body in server.asked}
    assert seeds == {(seed, temperature) for seed in (7, 8) for temperature in (0.2, 0.8)}
    assert all(body["stop"] == list(BODY_ENDS) and "quantization" not in body for body in server.asked)
    samples = read_samples(path, list(HUMAN_EVAL))
    assert len(samples) == 20
    assert {sample.configuration.model for sample in samples} == {"tiny"}
    total_j = sum(sample.generation.energy_j or 0 for sample in samples if sample.generation)
    assert total_j == pytest.approx(sum(row["generation"]["energy_j"] for row in rows(path)))
    assert "20 samples are there already" in capsys.readouterr().err


def test_a_stop_sequence_that_a_server_leaves_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "made.jsonl"
    with model_server(lambda body: "    return 1\n\n\ndef") as server:
        assert generate("--url", server.url, "--limit", 1, "--prompt", "completion", "--output", path) == 0
    assert rows(path)[0]["completion"] == "    return 1\n\n"


def test_requests_go_on_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def answer(body: dict[str, Any]) -> Answer:
        together.wait(60)
        return "x"

    path = tmp_path / "made.jsonl"
    with model_server(answer) as server:
        assert generate("--url", server.url, "--limit", 4, "--concurrency", 4, "--output", path) == 0
    # The first ones wait for the others to come: on a busy machine mostly alone.
    assert max(row["generation"]["batch_size"] for row in rows(path)) in (2, 3, 4)


def test_a_sample_without_an_answer_is_an_attempt_that_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "made.jsonl"

    def answer(body: dict[str, Any]) -> Answer:
        return "x" if "has_close_elements" in json.dumps(body["messages"]) else lambda h: h.refuse(500)

    with model_server(answer) as server:
        assert generate("--url", server.url, "--limit", 2, "--tries", 3, "--output", path) == 1
    assert "1 got no answer, the last for: HTTP 500" in capsys.readouterr().err.replace("\n           ", " ")
    answered, silent = read_samples(path, list(HUMAN_EVAL))
    assert (answered.completion, silent.completion) == ("x", "")
    assert silent.generation is not None
    spent = [row["generation"]["energy_j"] for row in rows(path) if row["task_id"] == silent.task_id]
    assert len(spent) == 3
    assert silent.generation.energy_j == pytest.approx(sum(spent))


def test_a_hopeless_server_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with model_server(lambda body: lambda h: h.refuse(400)) as server:
        assert generate("--url", server.url, "--output", tmp_path / "made.jsonl") == 4
        assert len(server.asked) == 10
    assert "10 requests in a row got no answer; the last: HTTP 400" in capsys.readouterr().err.replace("\n", " ")


class Steady:
    """A meter that counts 10 J for each time that it is read, so that every request costs some."""

    source, gpu_model, gpu_count = "steady", None, None

    def __init__(self) -> None:
        self._reads = itertools.count()

    def read(self) -> float:
        return 10.0 * next(self._reads)

    def between(self, start: float, end: float) -> Any:
        from pytest_greencode.generation.meters import MeteredEnergy
        from pytest_greencode.model import Method

        return MeteredEnergy(
            energy_j=end - start, duration_s=1, method=Method.MEASURED, scope="gpu", source=self.source
        )

    def close(self) -> None: ...


def test_a_budget_stops_and_the_next_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_greencode.commands.generate.meters_of_server", lambda *place: ([Steady()], None))
    path = tmp_path / "made.jsonl"
    with model_server(lambda body: "x") as server:
        arguments = ("--url", server.url, "--limit", 8, "--output", path, "--budget")
        assert generate(*arguments, "45J") == 0
        assert len(rows(path)) == 5
        assert sum(row["generation"]["energy_j"] for row in rows(path)) == 50.0
        assert "stopped by --budget 45J" in capsys.readouterr().err
        assert generate(*arguments, "1e6J") == 0
        assert len(rows(path)) == 8
        monkeypatch.setattr("pytest_greencode.commands.generate.meters_of_server", lambda *place: ([], "why not"))
        assert generate(*arguments, "45J") == 4
        assert "nothing here measures the generation" in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_made_and_what_was_cancelled(tmp_path: Path) -> None:
    numbers = itertools.count()
    waiting = threading.Event()

    def answer(body: dict[str, Any]) -> Answer:
        number = next(numbers)
        if number < 3:
            return "x"
        if number == 4:  # both that go on at once hang, so the three answers are written
            waiting.set()
        return Handler.hang

    path = tmp_path / "made.jsonl"
    with model_server(answer) as server:
        command = [sys.executable, "-m", "pytest_greencode.cli", "generate", "--url", server.url, "--output", str(path)]
        running = subprocess.Popen(
            [*command, "--concurrency", "2"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert waiting.wait(30)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted; the same command goes on with the rest" in errors
    found = rows(path)
    assert sum("completion" in row for row in found) == 3
    assert {row.get("error") for row in found} == {None, "it was cancelled"}


def test_keys_reach_no_file_and_no_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENCODE_API_KEY", "sk-verysecret")

    def echo(body: dict[str, Any]) -> Callable[[Handler], None]:
        return lambda h: h.send(400, {"error": {"message": f"bad key {h.headers['Authorization']}\x1b[2J"}})

    with model_server(echo) as server:
        assert generate("--url", server.url, "--limit", 1, "--output", tmp_path / "made.jsonl") == 1
        assert server.headers[0]["Authorization"] == "Bearer sk-verysecret"
    shown = capsys.readouterr()
    assert "bad key Bearer $GREENCODE_API_KEY" in shown.err.replace("\n           ", " ")
    for text in ((tmp_path / "made.jsonl").read_text(), shown.out, shown.err):
        assert "verysecret" not in text
        assert "\x1b" not in text


@pytest.mark.parametrize(
    ("status", "message"), [(401, "the server refuses access"), (404, "the server has no such model or path")]
)
def test_what_the_user_has_to_mend_stops_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], status: int, message: str
) -> None:
    with model_server(lambda body: lambda h: h.refuse(status)) as server:
        assert generate("--url", server.url, "--output", tmp_path / "made.jsonl", "--concurrency", 3) == 4
        assert len(server.asked) <= 3
    assert message in capsys.readouterr().err


# --- in process -----------------------------------------------------------------------------------------------------


class Row(list):  # type: ignore[type-arg]
    def tolist(self) -> list[int]:
        return list(self)

    def __getitem__(self, index: Any) -> Any:
        return Row(list.__getitem__(self, index)) if isinstance(index, slice) else list.__getitem__(self, index)


class Words:
    """A tokenizer with a word for a token: 0 pads, 1 ends."""

    pad_token_id, eos_token_id, chat_template = 0, 1, "some"
    words = ("<pad>", "<end>")

    def __call__(self, texts: list[str], **options: Any) -> Any:
        rows = [[self.number(word) for word in text.split()] for text in texts]
        length = max(map(len, rows))
        filled = [Row([0] * (length - len(row)) + row) for row in rows]
        mask = SimpleNamespace(sum=lambda dim: [len(row) for row in rows])

        class Inputs(dict):  # type: ignore[type-arg]
            def to(self, device: str) -> Any:
                return self

        return Inputs(input_ids=SimpleNamespace(shape=(len(rows), length), rows=filled), attention_mask=mask)

    def number(self, word: str) -> int:
        if word not in self.words:
            self.words = (*self.words, word)
        return self.words.index(word)

    def decode(self, tokens: list[int], skip_special_tokens: bool) -> str:
        return " ".join(self.words[token] for token in tokens if token > 1)

    def apply_chat_template(self, messages: Any, **options: Any) -> str:
        return "user: " + messages[0]["content"]


def fake_packages(monkeypatch: pytest.MonkeyPatch, tokenizer: Words, generate: Callable[..., Any]) -> None:
    """What of torch and transformers is used, and no more."""
    model = SimpleNamespace(generate=generate, generation_config=SimpleNamespace(eos_token_id=[1]))
    model.to = model.eval = lambda *device: model
    loaded = SimpleNamespace(from_pretrained=lambda name, **options: model)
    tokenizers = SimpleNamespace(from_pretrained=lambda name, **options: tokenizer)
    torch = SimpleNamespace(
        dtype=type,
        cuda=SimpleNamespace(is_available=lambda: False),
        manual_seed=lambda seed: None,
        inference_mode=lambda: SimpleNamespace(__enter__=None),
    )

    class Mode:
        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> None: ...

    torch.inference_mode = Mode
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(
        sys.modules, "transformers", SimpleNamespace(AutoModelForCausalLM=loaded, AutoTokenizer=tokenizers)
    )


def test_a_model_in_this_process_answers_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, calls = Words(), []

    def made(*, input_ids: Any, attention_mask: Any, **options: Any) -> list[Row]:
        calls.append((len(input_ids.rows), options))
        a, b = tokenizer.number("return"), tokenizer.number("x")
        # The first ends after two tokens and is filled up, the others go on to the end.
        return [
            Row([*row, a, b, 1, 0, 0] if number == 0 else [*row, a, b, b, b, b])
            for number, row in enumerate(input_ids.rows)
        ]

    fake_packages(monkeypatch, tokenizer, made)
    path = tmp_path / "made.jsonl"
    arguments = ("--transformers", "org/gemma", "--limit", 5, "--concurrency", 3, "--max-tokens", 5, "--output", path)
    assert generate(*arguments, "--prompt", "completion", "--stop", "zz") == 0
    found = rows(path)
    assert [size for size, _ in calls] == [3, 2]
    assert [row["completion"] for row in found] == ["return x", *["return x x x x"] * 2, "return x", "return x x x x"]
    assert [row["generation"]["completion_tokens"] for row in found] == [3, 5, 5, 3, 5]
    assert [row["finish_reason"] for row in found] == ["stop", "length", "length", "stop", "length"]
    assert [row["generation"]["batch_size"] for row in found] == [3, 3, 3, 2, 2]
    assert {row["model"] for row in found} == {"gemma"}
    first = calls[0][1]
    assert (first["do_sample"], first["max_new_tokens"], first["stop_strings"]) == (False, 5, ["zz"])
    assert "temperature" not in first
    assert generate(*arguments, "--temperature", 0.5, "--set", "top_p=0.9") == 0
    assert (calls[-1][1]["do_sample"], calls[-1][1]["temperature"], calls[-1][1]["top_p"]) == (True, 0.5, 0.9)


def test_a_model_in_this_process_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made.jsonl"

    def runs_out(**options: Any) -> None:
        raise RuntimeError("CUDA out of memory\nmore")

    fake_packages(monkeypatch, Words(), runs_out)
    assert generate("--transformers", "org/gemma", "--limit", 1, "--output", path) == 1
    assert "CUDA out of memory" in rows(path)[0]["error"]
    assert generate("--transformers", "org/gemma", "--set", "logit_bias=1", "--output", path) == 4
    assert "has no setting logit_bias; it knows max_tokens" in capsys.readouterr().err.replace("\n", " ")
    monkeypatch.setitem(sys.modules, "torch", None)
    assert generate("--transformers", "org/gemma", "--output", path) == 4
    assert "pip install torch transformers" in capsys.readouterr().err.replace("\n", " ")
