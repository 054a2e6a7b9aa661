"""A Chromium without a display, driven over its DevTools protocol through two pipes; standard library only."""

from __future__ import annotations

import base64
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find_browser() -> str | None:
    """The program that GREENCODE_CHROMIUM names, or the first that is installed; None where there is none."""
    named = os.environ.get("GREENCODE_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One browser with one page. `trouble` collects what the page's console, its policy and its network complain of."""

    def __init__(self, program: str, timeout_s: float = 60.0) -> None:
        self._timeout_s = timeout_s
        self._profile = tempfile.mkdtemp(prefix="greencode-chromium-")
        commands_read, self._commands = os.pipe()
        self._answers, answers_write = os.pipe()
        arguments = [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
            f"--user-data-dir={self._profile}",
            "--remote-debugging-pipe",
            "about:blank",
        ]
        # The browser reads its commands from descriptor 3 and writes its answers to 4.
        script = f'exec "$@" 3<&{commands_read} 4>&{answers_write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", script, "chromium", *arguments],
            pass_fds=(commands_read, answers_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands_read)
        os.close(answers_write)
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._number = 0
        self._session: str | None = None
        self._loaded = False
        self.trouble: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events on the way are looked at."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._commands, data) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                found: dict[str, Any] = answer["result"]
                return found

    def open(
        self, path: Path, fragment: str = "", *, width: int = 1280, height: int = 900, scripts: bool = True
    ) -> None:
        """Load a file and wait until all of it is there."""
        self.trouble.clear()
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.resize(width, height)
        self._loaded = False
        # A changed fragment alone would not load the page again.
        self.call("Page.navigate", url="about:blank")
        while not self._loaded:
            self._look(self._next())
        self._loaded = False
        self.call("Page.navigate", url=f"{path.as_uri()}{fragment}")
        while not self._loaded:
            self._look(self._next())

    def resize(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def media(self, kind: str = "", *, dark: bool = False) -> None:
        """`kind` is "print", or empty for the screen."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def evaluate(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, expression: str) -> None:
        end = time.monotonic() + self._timeout_s
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            time.sleep(0.05)

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))
        return path

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)["data"])

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                data = os.read(self._answers, 1 << 20)
            except OSError:
                data = b""
            if not data:
                self._messages.put(None)
                return
            *whole, rest = (rest + data).split(b"\0")
            for message in whole:
                self._messages.put(json.loads(message))

    def _next(self) -> dict[str, Any]:
        try:
            message = self._messages.get(timeout=self._timeout_s)
        except queue.Empty:
            raise TimeoutError("the browser says nothing") from None
        if message is None:
            raise RuntimeError("the browser has ended")
        self._look(message)
        return message

    def _look(self, message: dict[str, Any]) -> None:
        method, values = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.trouble.append(json.dumps(values["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.trouble.append(json.dumps(values["args"]))
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.trouble.append(values["entry"]["text"])
        elif method == "Page.javascriptDialogOpening":
            self.trouble.append(f"dialog: {values['message']}")
        elif method == "Network.requestWillBeSent" and not values["request"]["url"].startswith(
            ("file:", "about:", "data:")
        ):
            self.trouble.append(f"request: {values['request']['url']}")
