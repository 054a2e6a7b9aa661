"""The worker image is made once."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker.errors
import pytest

from pytest_greencode.sandboxes import docker as sandbox


class Daemon:
    """Knows no image until one was imported, which takes a moment."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.images = self.api = self

    def get(self, name: str) -> Any:
        if not self.made:
            raise docker.errors.ImageNotFound(name)
        return SimpleNamespace(id="sha256:1")

    def import_image_from_data(self, data: bytes, *, repository: str, tag: str) -> str:
        time.sleep(0.2)
        self.made.append(tag)
        return ""


@pytest.mark.parametrize("cache", [True, False])
def test_workers_that_start_together_make_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: bool) -> None:
    """Where there is a cache directory; without one each makes it, and all have it."""
    home = tmp_path / "cache"
    if not cache:
        home.write_text("a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    monkeypatch.setattr(sandbox, "image_tar", lambda runtime: b"")
    daemon, said = Daemon(), []
    with ThreadPoolExecutor(4) as pool:
        found = [
            pool.submit(sandbox.build_image, cast("Any", daemon), notify=lambda text: said.append(text))
            for _ in range(4)
        ]
    assert [each.result() for each in found] == ["sha256:1"] * 4
    assert len(daemon.made) == len(said) == (1 if cache else 4)
