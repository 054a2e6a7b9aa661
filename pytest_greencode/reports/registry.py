"""The kinds of reports there are, and how one gets into a file."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from ..errors import UsageProblem

if TYPE_CHECKING:
    from ..findings import Findings
    from ..report_account import Account

RunFacts = Mapping[str, Any]


# GitHub takes 1 MiB a step (docs.github.com, workflow commands, "Step isolation and limits").
STEP_SUMMARY_BYTES = 1 << 20


def _lazy(module: str, function: str) -> Callable[..., str]:
    """A renderer that is imported when it is asked for: few runs report in more than one way."""

    def render(*arguments: Any, **options: Any) -> str:
        text: str = getattr(importlib.import_module(f".{module}", __package__), function)(*arguments, **options)
        return text

    return render


def _html(account: Account, run_facts: RunFacts, findings: Findings | None) -> str:
    from .html import render_html  # brings jinja2, which the other reports do not need
    from .page_extras import extras_of, extras_without_findings, with_gate

    extras = extras_without_findings(account) if findings is None else extras_of(findings, account.factors)
    extras = with_gate(extras, account, run_facts)
    return render_html(account, run_facts, extras=extras)


class ReportType(Struct, frozen=True, kw_only=True):
    """`render` makes the text, `file_name` is where it goes unless told otherwise.

    `render` takes (account, run_facts), and the findings too with `with_findings`. Without `with_cautions` it has no
    place for the run's cautions.
    `variable` names the environment variable that tells where, in place of a name. With `append_limit_bytes` the text
    goes to the end of what is in the file already, and together they are no longer; then `render` takes `limit_bytes`.
    """

    render: Callable[..., str]
    with_findings: bool = False
    with_cautions: bool = True
    file_name: str = ""
    variable: str | None = None
    append_limit_bytes: int | None = None


REPORTS: Mapping[str, ReportType] = {
    "json": ReportType(render=_lazy("json", "render_json"), with_findings=True, file_name="greencode-report.json"),
    "html": ReportType(render=_html, with_findings=True, file_name="greencode-report.html"),
    "markdown": ReportType(
        render=_lazy("markdown", "render_markdown"), with_findings=True, file_name="greencode-report.md"
    ),
    "github": ReportType(
        render=_lazy("markdown", "render_markdown"),
        with_findings=True,
        variable="GITHUB_STEP_SUMMARY",
        append_limit_bytes=STEP_SUMMARY_BYTES,
    ),
    "csv": ReportType(render=_lazy("csv", "render_csv"), with_cautions=False, file_name="greencode-report.csv"),
    "csv-tasks": ReportType(
        render=_lazy("csv", "render_tasks_csv"), with_cautions=False, file_name="greencode-report-tasks.csv"
    ),
    "badge": ReportType(render=_lazy("badge", "render_badge"), with_cautions=False, file_name="greencode-report.svg"),
    "badge-json": ReportType(
        render=_lazy("badge", "render_badge_json"), with_cautions=False, file_name="greencode-report-badge.json"
    ),
}


def default_path(kind: str, environment: Mapping[str, str], *, flag: str) -> Path:
    """Where a report goes unless told otherwise; relative paths are for the caller to place.

    Raises UsageProblem, naming `flag`, where the environment variable that would tell is not set.
    """
    report = REPORTS[kind]
    if report.variable is None:
        return Path(report.file_name)
    if not (found := environment.get(report.variable)):
        raise UsageProblem(
            f"{flag}: expected a step of GitHub Actions, found no ${report.variable}; elsewhere take markdown, "
            "which goes to a file"
        )
    return Path(found)


def render_report(kind: str, account: Account, run_facts: RunFacts, findings: Findings | None = None) -> str:
    """The text of a report of that kind."""
    return _rendered(kind, account, run_facts, findings)


def _rendered(kind: str, account: Account, run_facts: RunFacts, findings: Findings | None, **options: int) -> str:
    beyond = [findings] if REPORTS[kind].with_findings else []
    return REPORTS[kind].render(account, run_facts, *beyond, **options)


def write_report(
    kind: str, path: Path, account: Account, run_facts: RunFacts, findings: Findings | None = None
) -> None:
    """Makes a report and puts it where it belongs, whole or not at all. Raises OSError and UsageProblem."""
    limit_bytes = REPORTS[kind].append_limit_bytes
    if limit_bytes is None:
        write_whole(path, [render_report(kind, account, run_facts, findings).encode("utf-8", "backslashreplace")])
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        before = b"\n" if file.tell() else b""
        room = limit_bytes - file.tell() - len(before)
        text = _rendered(kind, account, run_facts, findings, limit_bytes=room).encode("utf-8", "backslashreplace")
        if len(text) > room:
            raise UsageProblem(
                f"it holds {file.tell()} bytes already, and takes {limit_bytes}; report in a step of its own"
            )
        file.write(before + text)


def write_whole(path: Path, content: Iterable[bytes]) -> None:
    """The content in a file that is there whole or not at all; what is no plain file is written to directly.

    Folders on the way are made. Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            file.writelines(content)
        return
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.writelines(content)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
