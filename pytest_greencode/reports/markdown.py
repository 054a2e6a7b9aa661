"""The account as GitHub Markdown: a step summary or a comment on a pull request, no longer than GitHub takes.

Whatever comes from a model or a file can neither mark anything up, nor link, nor mention anybody: plain words stand as
they are, everything else stands in code spans, where GitHub looks for neither markup nor mentions nor references.
(Backslashes keep no mention away: it is looked for once the markup is gone, in all text but that of pre, code and a.)
Numbers and notes are the terminal's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..accounts import Account, ConfigurationAccount
from ..gate.decisions import Outcome
from .gate import decision_in, gate_notes, gate_sentence
from .names import Row
from .terminal import (
    GREEN_CAPACITY,
    Column,
    SuiteTable,
    cautions,
    needs_attention,
    run_notes,
    scalars,
    suite_tables,
)
from .text import escape, mass_unit, shorten, significant

# By it a bot finds its own comment again.
MARKER = "<!-- pytest-greencode -->"
# GitHub takes 65,536 characters a comment ("Body is too long (maximum is 65536 characters)"); a bot may add a line.
COMMENT_BYTES = 65_000

_NAME_COLUMNS = 80
_NOTE_COLUMNS = 600
_TASK_COLUMNS = 60
# Room for the last line, which says what was left out.
_RESERVE_BYTES = 200


def render_markdown(
    account: Account, run_facts: Mapping[str, Any], *, limit_bytes: int = COMMENT_BYTES, marker: str = MARKER
) -> str:
    """Tables of configurations and what needs attention; folded, where the numbers are from and each task's.

    At most `limit_bytes` of UTF-8 (at least 1000), which is at most as many characters. What does not fit is left out
    from the end of each part, and counted. `marker` is a comment that is not shown.
    """
    page = _Page(max(limit_bytes, 1000) - _RESERVE_BYTES)
    tables = list(suite_tables(account))
    page.add(_Part(opening=[marker, "### CO2e per accepted solution", ""]))
    if (decision := decision_in(run_facts)) is not None:
        sentence = f"gate: {gate_sentence(decision, account.configurations)}"
        mark = "\u274c" if decision.failed else "\u2705" if decision.decision is Outcome.PASS else "\u26a0\ufe0f"
        page.add(_Part(opening=[f"{mark} **{prose(sentence)}**", ""]))
        page.add(_notes("rules of the gate", gate_notes(decision, account.configurations)))
    if not tables:
        page.add(_Part(opening=["no attempts", ""]))
    for table in tables:
        page.add(_Part(opening=[f"#### {prose(table.title)}", ""]))
        if table.rows:
            page.add(_table(table.rows, table.columns, "configurations"))
        if table.green_capacity:
            page.add(_Part(opening=[prose(GREEN_CAPACITY), ""]))
            page.add(_table(table.rows, table.green_capacity, "rows of Green Capacity"))
            page.add(_notes("", [(name, text) for name, text in scalars(table.rows)]))
        page.add(_notes("notes", [note for note in table.notes if needs_attention(note[0])]))
    more = [*run_notes(account), *cautions(run_facts)]
    page.add(_notes("notes", [note for note in more if needs_attention(note[0])]))
    page.add(_folded("Where the numbers are from", _methods(tables, more, run_facts)))
    for table in tables:
        for row in table.rows:
            page.add(_tasks(table, row))
    return page.text()


# Hostile text made harmless.

# A word of letters (or two, as in g/kWh), a number, a sign: nothing that Markdown or GitHub would take for more. What
# may be a commit's name is no such word.
_PLAIN = re.compile(r"(?![0-9a-f]{7,})[A-Za-zµ][A-Za-z0-9]*(?:[-'/][A-Za-zµ]+)*'?|[0-9]{1,6}(?:[.,][0-9]{1,6})*|[%=-]?")
_WORD = re.compile(r"([(]?)(.*?)([).,:;]*)")


def prose(text: str) -> str:
    """Escaped text as running text: plain words as they are, all else in code spans."""
    words = []
    for word in text.split(" "):
        before, core, after = _WORD.fullmatch(word).groups()  # type: ignore[union-attr]  # every line matches
        if "(" in core and after.startswith(")"):
            core, after = f"{core})", after[1:]
        words.append(f"{before}{core if _PLAIN.fullmatch(core) else code(core)}{after}")
    # Two neighbouring code spans are one.
    return " ".join(words).replace("` `", " ")


def code(text: str) -> str:
    r"""Text as a code span on one line, in a table too: a backtick is shown as \x60, a vertical bar as \x7c."""
    shown = escape(text).replace("`", r"\x60").replace("|", r"\x7c")
    return f"`{shown}`" if shown.strip() else ""


def _html(text: str) -> str:
    """Text within an HTML block: nothing but letters and digits of ASCII stands for itself."""
    return re.sub(r"[^\w ]|_", lambda match: f"&#{ord(match[0])};", escape(text))


def _cell(text: str) -> str:
    """A number with what stands about it, as the terminal's table has it."""
    return re.sub(r"[\[\]<>*_~|\\`@#&]", lambda match: f"&#{ord(match[0])};", " ".join(text.split()))


# The page.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Lines that belong together: all, or the opening, as many of `lines` as there is room for, and the closing."""

    opening: Sequence[str] = ()
    lines: Sequence[str] = ()
    closing: Sequence[str] = ()
    what: str = "lines"


@dataclass(slots=True)
class _Page:
    """Lines up to a number of bytes; what found no room is counted by what it is."""

    room: int
    lines: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, part: _Part) -> None:
        frame = _bytes([*part.opening, *part.closing])
        first = _bytes(part.lines[:1])
        if frame + first > self.room:
            self.left_out[part.what] += max(1, len(part.lines))
            return
        self.room -= frame
        kept = 0
        for line in part.lines:
            if _bytes([line]) > self.room:
                break
            self.room -= _bytes([line])
            kept += 1
        self.lines += [*part.opening, *part.lines[:kept], *part.closing]
        if kept < len(part.lines):
            self.left_out[part.what] += len(part.lines) - kept

    def text(self) -> str:
        if self.left_out:
            counts = ", ".join(f"{count} {what}" for what, count in self.left_out.most_common())
            self.lines.append(f"*Left out, as GitHub takes no more: {counts}.*")
        return "\n".join(self.lines).rstrip("\n") + "\n"


def _bytes(lines: Iterable[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)


def _table(rows: Sequence[Row], columns: Sequence[Column], what: str) -> _Part:
    with_settings = any(row.settings for row in rows)
    heads = [
        "model",
        *(["settings"] if with_settings else []),
        *(_heading(column.heading) for column in columns),
    ]
    lines = []
    for position, row in enumerate(rows):
        names = [row.name, *([row.settings] if with_settings else [])]
        cells = [code(shorten(name, _NAME_COLUMNS)) for name in names]
        lines.append(_line([*cells, *(_cell(column.cells[position]) for column in columns)]))
    rule = ["---"] * (1 + with_settings) + ["--:"] * len(columns)
    return _Part(opening=[_line(heads), _line(rule)], lines=lines, closing=[""], what=what)


def _heading(text: str) -> str:
    return code(text) if "@" in text else _cell(text)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _notes(what: str, notes: Iterable[tuple[str, str]]) -> _Part:
    lines = [f"- **{prose(key.strip()) or '?'}**: {prose(shorten(text, _NOTE_COLUMNS))}" for key, text in notes]
    return _Part(lines=lines, closing=[""] if lines else [], what=what or "notes")


def _folded(summary: str, lines: Sequence[str], *, head: Sequence[str] = (), what: str = "notes") -> _Part:
    """`summary` is HTML."""
    opening = ["<details>", f"<summary>{summary}</summary>", "", *head]
    return _Part(opening=opening, lines=lines, closing=["", "</details>", ""], what=what)


def _methods(tables: Iterable[SuiteTable], more: Iterable[tuple[str, str]], run_facts: Mapping[str, Any]) -> list[str]:
    notes = [note for table in tables for note in table.notes] + list(more)
    rest = [note for note in notes if not needs_attention(note[0])]
    return list(_notes("", [*rest, *_run(run_facts)]).lines)


def _run(run_facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a reader needs to judge the run, and nothing of whose machine it was: neither host names nor paths."""
    versions = _mapping(run_facts.get("versions"))
    if versions:
        yield "versions", ", ".join(f"{escape(str(name))} {escape(str(versions[name]))}" for name in versions)
    sandbox, meter = _mapping(run_facts.get("sandbox")), _mapping(run_facts.get("meter"))
    facts = {
        "CPU": run_facts.get("cpu"),
        "sandbox": sandbox.get("tier") or sandbox.get("sandbox"),
        "meter": meter.get("source"),
        "begun": run_facts.get("started_at"),
    }
    for key, value in facts.items():
        if value:
            yield key, escape(str(value))
    suites = run_facts.get("suites")
    for suite in suites if isinstance(suites, (list, tuple)) else ():
        found = _mapping(suite)
        digest = str(found.get("sha256", ""))[:12]
        yield "suite", escape(f"{found.get('name', '')} {found.get('version', '')}, SHA-256 {digest}")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _tasks(table: SuiteTable, row: Row) -> _Part:
    configuration = row.configuration
    unit, grams = mass_unit(t.co2e_g.attempt for t in configuration.task_rows if t.co2e_g.attempt is not None)
    head = ["task", "accepted /attempts", "verdicts", f"{unit}CO2e per attempt"]
    name = f"<code>{_html(shorten(row.label, _NAME_COLUMNS))}</code>"
    suite = f"<code>{_html(shorten(escape(configuration.suite), _NAME_COLUMNS))}</code>"
    return _folded(
        f"Tasks: {name} on {suite}",
        list(_task_lines(configuration, grams)),
        head=[_line(head), _line(["---", "--:", "---", "--:"])],
        what="tasks",
    )


def _task_lines(configuration: ConfigurationAccount, grams: float) -> Iterator[str]:
    for task in configuration.task_rows:
        counts = Counter("unfinished" if verdict is None else verdict.value for verdict in task.verdicts)
        verdicts = ", ".join(f"{count} {verdict}".replace("_", " ") for verdict, count in counts.most_common())
        mean = task.co2e_g.attempt
        yield _line(
            [
                code(shorten(escape(task.task_id), _TASK_COLUMNS)),
                f"{task.accepted}/{task.attempts}",
                verdicts,
                "?" if mean is None else significant(mean / grams),
            ]
        )
