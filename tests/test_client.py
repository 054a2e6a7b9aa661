"""The client of model servers against a real one on this machine: answers, and every way of giving none."""

import socket
import threading
import time
from collections.abc import Callable

import pytest
from model_server import Answer, Handler, model_server

from pytest_greencode.errors import UsageProblem
from pytest_greencode.generation.backend import Prompt, RequestFailed
from pytest_greencode.generation.client import ServerClient
from pytest_greencode.generation.usage import Usage

CHAT = Prompt(chat=({"role": "user", "content": "write"},))
TEXT = Prompt(text="def f():\n")


def failure(answer: Answer, *, stream: bool = False, timeout_s: float = 10.0) -> RequestFailed:
    with model_server(lambda body: answer) as server, pytest.raises(RequestFailed) as caught:
        ServerClient(server.url, "tiny", timeout_s=timeout_s, stream=stream).ask(TEXT, {})
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", [TEXT, CHAT])
def test_an_answer(prompt: Prompt, stream: bool) -> None:
    with model_server(lambda body: "return 1 # ü\n more words") as server:
        client = ServerClient(server.url, "tiny", stream=stream)
        reply = client.ask(prompt, {"temperature": 0.5, "stop": ["\ndef"]})
        assert client.models() == ["tiny"]
    assert (reply.text, reply.finish_reason) == ("return 1 # ü\n more words", "stop")
    assert reply.usage == Usage(prompt_tokens=11, completion_tokens=5 if stream else 6)
    (asked,) = server.asked
    assert (asked["model"], asked["temperature"], asked["stop"], asked["stream"]) == ("tiny", 0.5, ["\ndef"], stream)
    expected = "/v1/chat/completions" if prompt.chat else "/v1/completions"
    assert asked["path"] == expected


@pytest.mark.parametrize("given", ["{host}", "http://{host}", "http://{host}/v1/", "http://{host}/v1/chat/completions"])
def test_urls_as_people_write_them(given: str) -> None:
    with model_server(lambda body: "x") as server:
        host = server.url.removeprefix("http://").removesuffix("/v1")
        assert ServerClient(given.format(host=host), "tiny").ask(CHAT, {}).text == "x"
    assert server.asked[0]["path"] == "/v1/chat/completions"


@pytest.mark.parametrize("given", ["", "ftp://host/v1", "http://", "http://host:port", "http://[::1"])
def test_what_is_no_url_is_said(given: str) -> None:
    with pytest.raises(UsageProblem, match="the server's URL: expected one like http://localhost:8000/v1"):
        ServerClient(given, "tiny")


@pytest.mark.parametrize("given", ["http://me:sk-secret@host/v1", "http://host/v1?api_key=sk-secret"])
def test_a_key_in_a_url_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(UsageProblem, match="OPENAI_API_KEY") as caught:
        ServerClient(given, "tiny")
    assert "sk-secret" not in str(caught.value)


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with model_server(lambda body: "x") as server:
        client = ServerClient(server.url, "tiny")
        client.ask(TEXT, {})
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
        client.ask(TEXT, {})
        monkeypatch.setenv("GREENCODE_API_KEY", "sk-2")
        client.ask(TEXT, {})
        monkeypatch.setenv("GREENCODE_API_KEY", "sk-2\nX-Other: y")
        with pytest.raises(UsageProblem, match="expected one word") as caught:
            client.ask(TEXT, {})
    assert [headers.get("Authorization") for headers in server.headers] == [None, "Bearer sk-1", "Bearer sk-2"]
    assert "sk-2" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "stream", "reason", "again", "wait_s"),
    [
        (lambda h: h.refuse(429, Retry_After="7"), False, "HTTP 429 .*refused with 429", True, 7.0),
        (lambda h: h.refuse(429, Retry_After="nonsense"), False, "HTTP 429", True, 0.0),
        (lambda h: h.refuse(429, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"), False, "HTTP 429", True, 0.0),
        (lambda h: h.refuse(500), True, "HTTP 500 Internal Server Error: 'refused with 500'", True, 0.0),
        (lambda h: h.refuse(400), False, "HTTP 400", False, 0.0),
        (lambda h: h.send(200, b"<html>busy"), False, "expected JSON, found '<html>busy'", True, 0.0),
        (lambda h: h.send(200, b"[" * 100_000), False, "expected JSON", True, 0.0),
        (lambda h: h.send(200, {"choices": []}), False, "expected an answer with choices", True, 0.0),
        (lambda h: h.send(200, [1]), False, "expected an answer with choices", True, 0.0),
        (lambda h: h.send(200, {"error": {"message": "oom"}}), True, "with choices, found .*oom", True, 0.0),
        (lambda h: h.send(200, {"choices": [{"text": 5}]}), False, "expected an answer with text", True, 0.0),
        (lambda h: h.send(200, {"choices": [{"message": [1]}]}), False, "expected an answer with text", True, 0.0),
        (Handler.cut, False, "the answer broke off after 13 bytes", True, 0.0),
        (Handler.hang_up, False, "broke off", True, 0.0),
        (lambda h: h.stream(["a", "b"], {}, whole=False), True, "the stream broke off before its end", True, 0.0),
        (
            lambda h: (h.stream(["a"], {}, whole=False), h.wfile.write(b"data: {nope\n\n")),
            True,
            "JSON in the",
            True,
            0.0,
        ),
        (lambda h: (h.stream(["a"], {}, whole=False), h.event({"error": "oom"})), True, "error in the str", True, 0.0),
    ],
)
def test_what_is_no_answer_is_a_reason(
    answer: Callable[[Handler], None], stream: bool, reason: str, again: bool, wait_s: float
) -> None:
    found = failure(answer, stream=stream)
    with pytest.raises(RequestFailed, match=reason):
        raise found
    assert (found.again, found.wait_s, found.reached) == (again, wait_s, True)


def test_how_far_a_stream_got_is_known() -> None:
    assert failure(lambda h: h.stream(["a", "b"], {}, whole=False), stream=True).usage == Usage(completion_tokens=2)


@pytest.mark.parametrize("answer", [Handler.hang, Handler.drip])
def test_no_server_keeps_anyone_waiting(answer: Callable[[Handler], None]) -> None:
    start_s = time.monotonic()
    found = failure(answer, timeout_s=0.3)
    assert str(found) == "no answer within 0.3 s"
    assert time.monotonic() - start_s < 5


def test_who_waits_can_be_cancelled() -> None:
    with model_server(lambda body: Handler.hang) as server:
        client = ServerClient(server.url, "tiny")
        threading.Timer(0.2, client.close).start()
        with pytest.raises(RequestFailed, match="it was cancelled"):
            client.ask(TEXT, {})
        with pytest.raises(RequestFailed, match="it was cancelled"):
            client.ask(TEXT, {})
    assert len(server.asked) == 1


def test_no_server_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RequestFailed, match=f"no connection to 127.0.0.1:{port}: Connection refused") as caught:
        ServerClient(f"http://127.0.0.1:{port}/v1", "tiny").ask(TEXT, {})
    assert not caught.value.reached


@pytest.mark.parametrize(
    ("status", "what"), [(401, "refuses access"), (403, "refuses"), (404, "no such model or path")]
)
def test_what_no_other_try_mends_is_the_users_to_mend(status: int, what: str) -> None:
    with model_server(lambda body: lambda h: h.refuse(status)) as server, pytest.raises(UsageProblem, match=what):
        ServerClient(server.url, "tiny").ask(TEXT, {})
