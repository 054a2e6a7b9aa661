"""Asks a model server that speaks OpenAI's protocol: vLLM, SGLang, llama.cpp, Ollama, TGI, `transformers serve`.

Needs msgspec only. One request, one answer or one reason; who asks again, and when, is `generate`'s matter.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from msgspec.structs import replace

from ..errors import UsageProblem
from .backend import Prompt, Reply, RequestFailed, before
from .usage import Usage, usage_of

KEY_VARIABLES: Final = ("GREENCODE_API_KEY", "OPENAI_API_KEY")
_MOST_BYTES = 64 << 20
_MOST_ERROR_BYTES = 1 << 16
_SHOWN = 200
_CONNECT_S = 20.0
# What another try may mend. 4xx else: the request itself is wrong, and stays so.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})


class ServerClient:
    """A server at `url` (with or without /v1). Threads may share it. Raises UsageProblem for a URL that is none.

    `timeout_s`: of a whole request, to its last byte. `stream`: take answers piece by piece, so that it is known how
    far one got that breaks off. The key comes from the environment (KEY_VARIABLES) and goes nowhere but into the
    request's header.
    """

    def __init__(self, url: str, model: str, *, timeout_s: float = 600.0, stream: bool = False) -> None:
        self.model, self._timeout_s, self._stream = model, timeout_s, stream
        self._address = _address(url)
        self._lock = threading.Lock()
        self._exchanges: set[_Exchange] = set()
        self._closed = False

    @property
    def host(self) -> str:
        return self._address.hostname or ""

    @property
    def port(self) -> int:
        return self._address.port or (443 if self._address.scheme == "https" else 80)

    def reach(self) -> None:
        """Whether anybody is there at all, before anything is asked. Raises UsageProblem."""
        try:
            socket.create_connection((self.host, self.port), timeout=min(self._timeout_s, _CONNECT_S)).close()
        except OSError as error:
            raise UsageProblem(
                f"no model server at {self.host}:{self.port} ({_told(error)}); start it, or say where it is"
            ) from None

    def answers(self, prompts: Sequence[Prompt], settings: Mapping[str, Any], seed: int | None) -> list[Reply]:
        """As `backend.Backend`: each prompt's answer, one after the other."""
        with_seed = dict(settings) if seed is None else {**settings, "seed": seed}
        replies = [self.ask(prompt, with_seed) for prompt in prompts]
        return [replace(reply, text=before(reply.text, settings.get("stop") or ())) for reply in replies]

    def ask(self, prompt: Prompt, settings: Mapping[str, Any]) -> Reply:
        """One answer. `settings` go into the request as they are (temperature, max_tokens, stop, seed ...).

        Raises RequestFailed; UsageProblem where the server does not know us, the path or the model.
        """
        body: dict[str, Any] = {"model": self.model, **settings, "stream": self._stream}
        if self._stream:
            body["stream_options"] = {"include_usage": True}
        if prompt.chat is None:
            path, body = "/completions", {**body, "prompt": prompt.text}
        else:
            path, body = "/chat/completions", {**body, "messages": list(prompt.chat)}
        with self._exchange("POST", path, body) as exchange:
            if self._stream and exchange.content_type != "application/json":
                return _streamed(exchange.lines())
            return _reply(exchange.json())

    def models(self) -> list[str]:
        """Those that the server says it has. Raises as `ask` does."""
        with self._exchange("GET", "/models") as exchange:
            found = exchange.json()
        listed = found.get("data") if isinstance(found, dict) else None
        return [each["id"] for each in listed or () if isinstance(each, dict) and isinstance(each.get("id"), str)]

    def close(self) -> None:
        """End what is under way: whoever waits for an answer gets a RequestFailed."""
        with self._lock:
            self._closed = True
            for exchange in self._exchanges:
                exchange.abort("it was cancelled")

    @contextlib.contextmanager
    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Iterator[_Exchange]:
        exchange = _Exchange(self._address, self._timeout_s)
        with self._lock:
            if self._closed:
                raise RequestFailed("it was cancelled", again=False, reached=False)
            self._exchanges.add(exchange)
        try:
            exchange.open(method, path, body)
            yield exchange
        except (OSError, http.client.HTTPException) as error:
            # Never its repr: what the standard library says of a header may show the header.
            raise exchange.failure(f"{self.place} broke off: {_told(error)}") from None
        finally:
            with self._lock:
                self._exchanges.discard(exchange)
            exchange.close()

    @property
    def place(self) -> str:
        return f"{self._address.scheme}://{self._address.netloc}{self._address.path}"


class _Exchange:
    """One request on a connection of its own, that ends in time whatever the server does."""

    def __init__(self, address: SplitResult, timeout_s: float) -> None:
        self._address, self._timeout_s = address, timeout_s
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(address.hostname or "", address.port, timeout=min(timeout_s, _CONNECT_S))
        self._timer = threading.Timer(timeout_s, self.abort, (f"no answer within {timeout_s:g} s",))
        self._timer.daemon = True
        self._aborted: str | None = None
        self._socket: socket.socket | None = None
        self._response: http.client.HTTPResponse | None = None
        self._left = _MOST_BYTES

    def open(self, method: str, path: str, body: Mapping[str, Any] | None) -> None:
        try:
            self._connection.connect()
        except OSError as error:
            where = f"{self._address.hostname}:{self._connection.port}"
            raise RequestFailed(f"no connection to {where}: {_told(error)}", reached=False) from None
        self._socket = self._connection.sock
        self._socket.settimeout(None)  # from here on the timer is the limit, however slowly bytes drip
        if self._aborted:  # while there was no socket yet that could be shut
            raise self.failure("")
        self._timer.start()
        headers = {"Content-Type": "application/json", "Connection": "close"}
        if key := next((os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None):
            headers["Authorization"] = f"Bearer {_header(key)}"
        content = None if body is None else json.dumps(body).encode()
        self._connection.request(method, self._address.path + path, content, headers)
        self._response = self._connection.getresponse()
        if self._response.status != 200:
            raise self._refused(self._response)

    def _refused(self, response: http.client.HTTPResponse) -> Exception:
        status = response.status
        text = f"HTTP {status} {response.reason}: {_message(self._read(_MOST_ERROR_BYTES))}"
        if status in (401, 403):
            return UsageProblem(
                f"the server refuses access ({text}); the key is taken from {' or '.join(KEY_VARIABLES)}"
            )
        if status in (404, 405):
            return UsageProblem(f"the server has no such model or path ({text}); see its documentation for the URL")
        return RequestFailed(text, again=status in _PASSING, wait_s=_retry_after(response.headers.get("Retry-After")))

    @property
    def content_type(self) -> str:
        assert self._response is not None
        return str(self._response.headers.get_content_type())

    def json(self) -> Any:
        content = self._read(_MOST_BYTES + 1)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self.failure(f"expected JSON, found {_short(content)}") from None

    def lines(self) -> Iterator[bytes]:
        assert self._response is not None
        while True:
            try:
                line = self._response.readline(self._left)
            except (OSError, http.client.HTTPException) as error:
                raise self.failure(f"the stream broke off: {_told(error)}") from None
            if not line:
                break
            self._left -= len(line)
            if self._left <= 0:
                raise RequestFailed(f"more than {_MOST_BYTES >> 20} MiB", again=False)
            yield line
        if self._aborted:
            raise self.failure("")

    def _read(self, size: int) -> bytes:
        assert self._response is not None
        content = self._response.read(size)
        if len(content) > _MOST_BYTES:
            raise RequestFailed(f"more than {_MOST_BYTES >> 20} MiB", again=False)
        if self._aborted or (self._response.length and len(content) < size):
            raise self.failure(f"the answer broke off after {len(content)} bytes")
        return content

    def failure(self, reason: str) -> RequestFailed:
        return RequestFailed(self._aborted or reason)

    def abort(self, reason: str) -> None:
        self._aborted = reason
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it has ended by itself
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._timer.cancel()
        if self._response is not None:
            self._response.close()
        self._connection.close()


# --- answers --------------------------------------------------------------------------------------------------------


def _reply(body: Any) -> Reply:
    choice = _choice(body)
    message = choice.get("message")
    text = choice.get("text") if message is None else message.get("content") if isinstance(message, dict) else None
    if text is None and isinstance(message, dict) and "content" in message:
        text = ""  # it thought, and said nothing
    if not isinstance(text, str):
        raise RequestFailed(f"expected an answer with text, found {_short(json.dumps(choice).encode())}")
    return Reply(text=text, usage=usage_of(body.get("usage")), finish_reason=_finish_reason(choice))


def _choice(body: Any) -> dict[str, Any]:
    choices = body.get("choices") if isinstance(body, dict) else None
    if not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
        said = body.get("error") if isinstance(body, dict) else None
        found = _short(json.dumps(said if said is not None else body).encode())
        raise RequestFailed(f"expected an answer with choices, found {found}")
    return choices[0]


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    reason = choice.get("finish_reason")
    return reason[:_SHOWN] if isinstance(reason, str) else None


def _streamed(lines: Iterator[bytes]) -> Reply:
    """Server-sent events; each has a piece of the text, the last ones the reason to finish and the usage."""
    pieces: list[str] = []
    usage, reason, done = Usage(), None, False
    try:
        for line in lines:
            if not line.startswith(b"data:"):
                continue  # comments, empty lines, other fields
            data = line[5:].strip()
            if data == b"[DONE]":
                done = True
                break
            event = json.loads(data)
            if not isinstance(event, dict) or "error" in event:
                raise RequestFailed(f"an error in the stream: {_short(data)}")
            if event.get("usage"):
                usage = usage_of(event["usage"])
            if event.get("choices"):
                choice = _choice(event)
                reason = _finish_reason(choice) or reason
                delta = choice.get("delta")
                piece = delta.get("content") if isinstance(delta, dict) else choice.get("text")
                if isinstance(piece, str) and piece:
                    pieces.append(piece)
    except (ValueError, RecursionError):
        raise RequestFailed(f"expected JSON in the stream, found {_short(data)}", usage=_made(pieces)) from None
    except RequestFailed as failure:
        raise RequestFailed(str(failure), again=failure.again, usage=_made(pieces)) from None
    if not done and reason is None:
        raise RequestFailed("the stream broke off before its end", usage=_made(pieces))
    return Reply(text="".join(pieces), usage=usage, finish_reason=reason)


def _made(pieces: list[str]) -> Usage:
    """Of an answer that broke off: servers send a token or a few in a piece."""
    return Usage(completion_tokens=len(pieces))


# --- small things ---------------------------------------------------------------------------------------------------


def _address(url: str) -> SplitResult:
    try:
        address = urlsplit(url if "://" in url else f"http://{url}")
        well = address.scheme in ("http", "https") and address.hostname and (address.port or 1)
    except ValueError:
        well, address = False, urlsplit("")
    # A key in a URL would end up in shell histories, logs and messages.
    if address.username is not None or address.password is not None or address.query or address.fragment:
        raise UsageProblem(
            "the server's URL: expected http://HOST:PORT/v1 without user, password or query; a key is taken from the "
            f"environment ({' or '.join(KEY_VARIABLES)})"
        )
    if not well:
        raise UsageProblem(
            f"the server's URL: expected one like http://localhost:8000/v1, found {_short(url.encode())}"
        )
    path = address.path.rstrip("/")
    for ending in ("/chat/completions", "/completions"):
        path = path.removesuffix(ending)
    return address._replace(path=path if path else "/v1")


def _header(key: str) -> str:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageProblem(f"the key in {' or '.join(KEY_VARIABLES)}: expected one word of ASCII characters")
    return key


def _retry_after(text: str | None) -> float:
    """Seconds that a server asks to wait; 0 where it asks for none, or for nothing that can be understood."""
    if not text:
        return 0.0
    try:
        return max(0.0, float(text)) if math.isfinite(float(text)) else 0.0
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _message(content: bytes) -> str:
    """What an error's body says."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return _short(content)
    for name in ("error", "message", "detail"):
        if isinstance(body, dict) and name in body:
            body = body[name]
    return _short(body.encode() if isinstance(body, str) else json.dumps(body).encode())


def _short(content: bytes) -> str:
    text = " ".join(content[: 4 * _SHOWN].decode("utf-8", "replace").split())
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…") if text else "nothing"


def _told(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return type(error).__name__
