"""The kinds of reports there are, and how one gets into a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..accounting import Account
from ..errors import UsageProblem
from .badge import render_badge, render_badge_json
from .csv import render_csv, render_tasks_csv
from .json import render_json
from .markdown import STEP_SUMMARY_BYTES, render_markdown

RunFacts = Mapping[str, Any]
Render = Callable[[Account, RunFacts], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportType:
    """`render` makes the text, `file_name` is where it goes unless told otherwise.

    `variable` names the environment variable that tells where instead. With `append_limit_bytes` the text goes to the
    end of what is in the file already, and together they are no longer; then `render` takes `limit_bytes` too.
    """

    render: Callable[..., str]
    file_name: str = ""
    variable: str | None = None
    append_limit_bytes: int | None = None


REPORTS: Mapping[str, ReportType] = {
    "json": ReportType(render=render_json, file_name="greencode-report.json"),
    "markdown": ReportType(render=render_markdown, file_name="greencode-report.md"),
    "github": ReportType(render=render_markdown, variable="GITHUB_STEP_SUMMARY", append_limit_bytes=STEP_SUMMARY_BYTES),
    "csv": ReportType(render=render_csv, file_name="greencode-report.csv"),
    "csv-tasks": ReportType(render=render_tasks_csv, file_name="greencode-report-tasks.csv"),
    "badge": ReportType(render=render_badge, file_name="greencode-report.svg"),
    "badge-json": ReportType(render=render_badge_json, file_name="greencode-report-badge.json"),
}


def render_report(kind: str, account: Account, run_facts: RunFacts) -> str:
    """The text of a report of that kind."""
    return REPORTS[kind].render(account, run_facts)


def write_report(kind: str, path: Path, account: Account, run_facts: RunFacts) -> None:
    """Makes a report and puts it where it belongs, whole or not at all. Raises OSError and UsageProblem."""
    limit_bytes = REPORTS[kind].append_limit_bytes
    if limit_bytes is None:
        write_whole(path, render_report(kind, account, run_facts).encode("utf-8", "backslashreplace"))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        room = limit_bytes - file.tell()
        text = REPORTS[kind].render(account, run_facts, limit_bytes=room).encode("utf-8", "backslashreplace")
        if len(text) > room:
            raise UsageProblem(f"{path} holds {file.tell()} bytes already, and takes {limit_bytes}; report elsewhere")
        file.write(text)


def write_whole(path: Path, content: bytes) -> None:
    """The content in a file that is there whole or not at all; what is no plain file is written to directly.

    Folders on the way are made. Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("wb", buffering=0) as file:
            file.write(content)
        return
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
