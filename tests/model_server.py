"""A model server for tests: OpenAI's protocol over real sockets, with answers and faults that a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# An answer: text (with usage and all), or what to do with the connection instead.
Answer = str | Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Callable[[dict[str, Any]], Answer]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: Any) -> None: ...

    def do_GET(self) -> None:
        self.send(200, {"object": "list", "data": [{"id": "tiny"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            server.asked.append({"path": self.path, **body})
            server.headers.append(dict(self.headers))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            answer = server.answer(body)
            if callable(answer):
                answer(self)
            elif body.get("stream"):
                self.stream([*answer[:3], answer[3:]], body)
            else:
                self.send(200, self.whole(answer, body))
        finally:
            with server.lock:
                server.at_once -= 1

    def whole(self, text: str, body: dict[str, Any]) -> dict[str, Any]:
        part = {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
        usage = {"prompt_tokens": 11, "completion_tokens": len(text.split()), "total_tokens": 0}
        return {"choices": [{"index": 0, "finish_reason": "stop", **part}], "usage": usage}

    def send(self, status: int, body: object, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def stream(self, pieces: list[str], body: dict[str, Any], *, whole: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for piece in pieces:
            part = {"delta": {"content": piece}} if "messages" in body else {"text": piece}
            self.event({"choices": [part]})
        if whole:
            self.event({"choices": [{"finish_reason": "stop", "delta": {}}]})
            self.event({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 5}})
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, event: object) -> None:
        self.wfile.write(f": a comment\ndata: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    # Faults, to be given as answers.

    def refuse(self, status: int, **headers: str) -> None:
        self.send(status, {"error": {"message": f"refused with {status}"}}, **headers)

    def hang(self) -> None:
        time.sleep(30)

    def drip(self) -> None:
        """Alive for ever, and no answer."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for _ in range(600):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.05)

    def cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.close_connection = True

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()


@contextmanager
def model_server(answer: Callable[[dict[str, Any]], Answer]) -> Iterator[Server]:
    server = Server(answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
