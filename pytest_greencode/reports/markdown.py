"""The account as GitHub Markdown: a step summary or a comment on a pull request, no longer than GitHub takes.

Whatever comes from a model or a file can neither mark anything up, nor link, nor mention anybody: plain words stand as
they are, everything else stands in code spans, where GitHub looks for neither markup nor mentions nor references.
(Backslashes keep no mention away: it is looked for once the markup is gone, in all text but that of pre, code and a.)
Numbers and notes are the terminal's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from ..accounts import Account, ConfigurationAccount
from ..gate.decisions import Outcome
from ..statistics import Interval
from .compare import names_of
from .gate import decision_in, gate_notes, gate_sentence
from .names import Row
from .project import ProjectTable, costliest_table, outcome_table, project_notes, project_title
from .summary import sentences
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
from .trust import self_test_of

if TYPE_CHECKING:
    from ..findings import Findings, SuiteFindings

# By it a bot finds its own comment again.
MARKER = "<!-- pytest-greencode -->"
# GitHub takes 65,536 characters a comment ("Body is too long (maximum is 65536 characters)"); a bot may add a line.
COMMENT_BYTES = 65_000

_NAME_COLUMNS = 80
_NOTE_COLUMNS = 600
_TASK_COLUMNS = 60
_MOST_TESTS = 50
# Room for the last line, which says what was left out.
_RESERVE_BYTES = 200


def render_markdown(
    account: Account,
    run_facts: Mapping[str, Any],
    findings: Findings | None = None,
    *,
    limit_bytes: int = COMMENT_BYTES,
    marker: str = MARKER,
) -> str:
    """What to take, tables of configurations and of pairs, what needs attention; folded, where the numbers are from.

    At most `limit_bytes` of UTF-8 (at least 1000), which is at most as many characters. What does not fit is left out
    from the end of each part, and counted. `marker` is a comment that is not shown.
    """
    page = _Page(max(limit_bytes, 1000) - _RESERVE_BYTES)
    tables = list(suite_tables(account))
    project = account.project
    title = "Energy per passing test" if project is not None and not tables else "CO2e per accepted solution"
    page.add(_Part(opening=[marker, f"### {title}", ""]))
    if (decision := decision_in(run_facts)) is not None:
        sentence = f"gate: {gate_sentence(decision, account.configurations)}"
        mark = "\u274c" if decision.failed else "\u2705" if decision.decision is Outcome.PASS else "\u26a0\ufe0f"
        page.add(_Part(opening=[f"{mark} **{prose(sentence)}**", ""]))
        page.add(_notes("rules of the gate", gate_notes(decision, account.configurations)))
    pairs: dict[str, SuiteFindings] = {}
    if findings is not None:
        page.add(_notes("sentences", [(each.topic, escape(each.text.en)) for each in sentences(findings)]))
        pairs = {suite.suite: suite for suite in findings.suites if suite.comparisons}
    if not tables and project is None:
        page.add(_Part(opening=["no attempts", ""]))
    if project is not None:
        page.add(_Part(opening=[f"#### {prose(project_title(project))}", ""]))
        page.add(_notes("notes", [note for note in project_notes(project) if needs_attention(note[0])]))
        page.add(_project_table(outcome_table(project), "rows"))
    for table in tables:
        page.add(_Part(opening=[f"#### {prose(table.title)}", ""]))
        if table.rows:
            page.add(_table(table.rows, table.columns, "configurations"))
        if table.green_capacity:
            page.add(_Part(opening=[prose(GREEN_CAPACITY), ""]))
            page.add(_table(table.rows, table.green_capacity, "rows of Green Capacity"))
            page.add(_notes("", [(name, text) for name, text in scalars(table.rows)]))
        if table.suite in pairs:
            page.add(_pairs(pairs[table.suite]))
        page.add(_notes("notes", [note for note in table.notes if needs_attention(note[0])]))
    own = [] if project is None else [note for note in project_notes(project) if not needs_attention(note[0])]
    more = [*own, *run_notes(account), *cautions(run_facts)]
    page.add(_notes("notes", [note for note in more if needs_attention(note[0])]))
    differing = [note for suite in pairs.values() for note in _cautions(suite)]
    page.add(_folded("Where the numbers are from", _methods(tables, [*differing, *more], run_facts)))
    if project is not None:
        costliest = _project_table(costliest_table(project, _MOST_TESTS), "tests")
        page.add(_folded("Costliest tests", costliest.lines, head=costliest.opening[:2], what="tests"))
    for table in tables:
        for row in table.rows:
            page.add(_tasks(table, row))
    return page.text()


# Hostile text made harmless.

# A word of letters (or two, as in g/kWh), a number, a sign: nothing that Markdown or GitHub would take for more. What
# may be a commit's name is no such word.
_PLAIN = re.compile(r"(?![0-9a-f]{7,})[A-Za-zµ][A-Za-z0-9]*(?:[-'/][A-Za-zµ]+)*'?|[0-9]{1,6}(?:[.,][0-9]{1,6})*|[%=-]?")
_SIGNED = re.compile(r"[+-][0-9]{1,6}(?:\.[0-9]{1,6})?")
# An interval of ours, whose brackets stand as entities, which mark nothing up.
_INTERVAL = re.compile(r"(?<!\S)\[([+-]?[0-9.]{1,12}), ([+-]?[0-9.]{1,12})\](?=[).,:;]*(?:\s|$))")
_INTERVAL_MARK = re.compile(r"\0(\S+),\0(\S+)\0")  # in no escaped text
_WORD = re.compile(r"([(]?)(.*?)([).,:;]*)")


def prose(text: str) -> str:
    """Escaped text as running text: plain words as they are, all else in code spans."""
    words = []
    for word in _INTERVAL.sub("\0\\1,\0\\2\0", text).split(" "):
        if interval := _INTERVAL_MARK.match(word):
            words.append(f"&#91;{interval[1]}, {interval[2]}&#93;{word[interval.end() :]}")
            continue
        before, core, after = _WORD.fullmatch(word).groups()  # type: ignore[union-attr]  # every line matches
        if "(" in core and after.startswith(")"):
            core, after = f"{core})", after[1:]
        words.append(f"{before}{core if _PLAIN.fullmatch(core) or _SIGNED.fullmatch(core) else code(core)}{after}")
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


class _Part(Struct, frozen=True, kw_only=True):
    """Lines that belong together: all, or the opening, as many of `lines` as there is room for, and the closing."""

    opening: Sequence[str] = ()
    lines: Sequence[str] = ()
    closing: Sequence[str] = ()
    what: str = "lines"


class _Page(Struct):
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
        cut = _bytes(part.lines) > self.room
        room = self.room - (_bytes(_more(len(part.lines), part.what)) if cut else 0)
        kept = 0
        for line in part.lines:
            if _bytes([line]) > room:
                break
            room -= _bytes([line])
            kept += 1
        left = len(part.lines) - kept
        more = _more(left, part.what) if left and _bytes(_more(left, part.what)) <= self.room else []
        self.room -= _bytes([*part.lines[:kept], *more])
        self.lines += [*part.opening, *part.lines[:kept], *more, *part.closing]
        if left:
            self.left_out[part.what] += left

    def text(self) -> str:
        if self.left_out:
            counts = ", ".join(f"{count} {what}" for what, count in self.left_out.most_common())
            self.lines.append(f"*Left out, as GitHub takes no more: {counts}.*")
        return "\n".join(self.lines).rstrip("\n") + "\n"


def _more(count: int, what: str) -> list[str]:
    """Where a table or a list was cut."""
    return ["", f"*and {count} more {what}*"]


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


def _project_table(table: ProjectTable, what: str) -> _Part:
    heads = [_cell(text) or " " for text in table.heading]
    lines = [
        _line([prose(name) if what == "rows" else code(shorten(name, _NAME_COLUMNS)), *map(_cell, cells)])
        for name, *cells in table.rows
    ]
    return _Part(
        opening=[_line(heads), _line(["---", *["--:"] * (len(heads) - 1)])], lines=lines, closing=[""], what=what
    )


_READINGS = {None: "not known", False: "not distinguishable"}


def _pairs(suite: SuiteFindings) -> _Part:
    """Each pair's ratio of CO2e per accepted solution with its paired interval, and how to read it."""
    names = names_of(suite)
    lines = []
    for found in suite.comparisons:
        ratio, points = found.co2e_g, found.pass_probability
        pair = " / ".join(code(shorten(names(side.configuration), _NAME_COLUMNS)) for side in (found.a, found.b))
        less = ratio.value is not None and ratio.value < 1
        reading = _READINGS.get(ratio.distinguishable, "first needs less" if less else "first needs more")
        cells = [
            "?" if ratio.value is None else significant(ratio.value) + _ends(ratio.interval, significant),
            reading if ratio.interval is not None else f"{reading}: {prose(shorten(escape(ratio.reason or ''), 120))}",
            "?" if points.value_pp is None else _signed(points.value_pp) + _ends(points.interval_pp, _signed),
            str(found.tasks),
        ]
        lines.append(_line([pair, _cell(cells[0]), cells[1], *map(_cell, cells[2:])]))
    heads = ["first / second", _cell("CO2e, ratio [95 %]"), "", f"{code(f'pass@{suite.k}')}, points", "tasks"]
    opening = [_line(heads), _line(["---", "--:", "---", "--:", "--:"])]
    return _Part(opening=opening, lines=lines, closing=[""], what="pairs")


def _signed(value: float) -> str:
    return f"{value:+.1f}"


def _ends(interval: Interval | None, shown: Callable[[float], str]) -> str:
    return "" if interval is None else f" [{', '.join(map(shown, interval))}]"


def _cautions(suite: SuiteFindings) -> Iterator[tuple[str, str]]:
    """What differs in a pair beside the configuration."""
    names = names_of(suite)
    for found in suite.comparisons:
        a, b = names(found.a.configuration), names(found.b.configuration)
        for caution in found.cautions:
            yield "caution", f"{a} (a), {b} (b): {escape(caution)}"


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
        "promises": self_test_of(run_facts),
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
