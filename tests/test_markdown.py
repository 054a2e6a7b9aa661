"""The Markdown report as GitHub's own parser reads it: nothing hostile marks up, links or mentions, and limits hold."""

from __future__ import annotations

import functools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_reports import FACTORS, HOSTILE, A, R, records

from pytest_greencode.accounting import account
from pytest_greencode.accounts import Account
from pytest_greencode.economics.assumptions import parse_assumptions
from pytest_greencode.findings import Findings, find
from pytest_greencode.reports.markdown import COMMENT_BYTES, MARKER, code, prose, render_markdown
from pytest_greencode.reports.text import escape

PAYLOADS = [
    "@octocat",
    "a@octocat.com",
    "(@octocat),",
    "#1",
    "GH-1",
    "owner/repo#1",
    "deadbeef0123456789deadbeef0123456789dead",
    "12345678",
    "https://evil.example",
    "www.evil.example",
    "[text](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "[4.14, 4.32]: https://evil.example",
    "<https://evil.example>",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</summary></details><b>",
    "<!-- -->",
    "-->",
    "a | b | c",
    "a \\| b",
    "a\\",
    "`",
    "``a`` `b",
    "a ` | ` b",
    "*a* **b** _c_ ~~d~~",
    ":smile: :+1:",
    "$x$ $$y$$",
    "&lt;b&gt; &#64;octocat",
    "# heading",
    "- item",
    "> quote",
    "| - |",
    "---",
    "```\ncode",
    "a\n\n# b",
    "a\r\n| --- |",
    "\u202egnp.exe",
    "\u200b@octocat",
    "\uff20octocat",
    HOSTILE,
    " ",
    "x" * 5000,
]
TAGS = {
    "h3",
    "h4",
    "p",
    "strong",
    "em",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "ul",
    "li",
    "code",
    "details",
    "summary",
}


class Page(HTMLParser):
    """What a reader is shown: running text apart from what stands in code, where GitHub does nothing to it."""

    def __init__(self, markdown: str) -> None:
        super().__init__(convert_charrefs=True)
        self.running, self.code, self.tags, self.comments = "", [""], [""], [""]
        self.within: list[str] = []
        cmarkgfm = pytest.importorskip("cmarkgfm")
        options = pytest.importorskip("cmarkgfm.cmark").Options.CMARK_OPT_UNSAFE
        html = cmarkgfm.markdown_to_html_with_extensions(
            markdown, options=options, extensions=["table", "autolink", "strikethrough", "tasklist"]
        )
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        assert [name for name, _ in attributes if name != "align"] == []
        self.tags.append(tag)
        self.within.append(tag)
        if tag == "code":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.within.pop() == tag

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if "code" in self.within:
            self.code[-1] += data
        else:
            self.running += data


def hostile_rows(payload: str) -> list[Any]:
    """The payload wherever a model, a file or a record may put text."""
    return [
        *records(payload, [A, R], tasks=10, changes={"suite": payload}, key=payload),
        *records(payload, [A, R], tasks=10, changes={"suite": payload}, key="other"),
        *records("other", [A, A], None, tasks=10, changes={"suite": payload, "extraction": payload}),
        *records("other", [A, A], tasks=10, changes={"suite": payload, "task_id": f"t {payload}"}, other=payload),
    ]


def hostile(payload: str) -> str:
    rows = hostile_rows(payload)
    accounted = account(rows, FACTORS, quarantined={payload: payload})
    return rendered(accounted, rows, hostile_facts(payload), limit_bytes=1 << 20)


FACTS = {"host": "secret-host", "command": ["/home/me/x.jsonl"], "cpu": "Intel(R) Xeon(R) @ 2.20GHz"}


ASSUMED = parse_assumptions('[money]\ncurrency = "E|*R"\n[one_off.x]\nco2e_g = 1\nmoney = 1\n[target]\npass_at_k = 0.2')


def rendered(accounted: Account, rows: list[Any], facts: dict[str, Any], **options: Any) -> str:
    return render_markdown(accounted, facts, find(accounted, rows, ASSUMED), **options)


def hostile_facts(payload: str) -> dict[str, Any]:
    return {
        "versions": {payload: payload},
        "cpu": payload,
        "sandbox": {"tier": payload},
        "meter": {"source": payload, "cautions": [{"what": payload}]},
        "started_at": payload,
        "suites": [{"name": payload, "version": payload, "sha256": payload}],
    }


@functools.cache
def calm_tags() -> list[str]:
    return Page(hostile("calm")).tags


def check(payload: str) -> None:
    text = hostile(payload)
    page = Page(text)
    assert set(page.tags) - {""} <= TAGS
    assert page.within == []
    assert page.comments == ["", MARKER.removeprefix("<!--").removesuffix("-->")]
    for tag in ("table", "tr", "td", "th", "details", "summary", "h3", "h4"):
        assert page.tags.count(tag) == calm_tags().count(tag), tag
    ours = re.sub(r"\[(95 %|[+-]?[0-9.]+, [+-]?[0-9.]+)\]|>(?=[0-9])", "", page.running)
    assert not re.search(r"[@#<>\[\]|*_~`\\$&]|://|www\.|GH-|\b[0-9a-f]{7,40}\b", ours)
    assert all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_text_is_only_text(payload: str) -> None:
    check(payload)


@settings(max_examples=30, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PAYLOADS[:-1]), max_size=4).map("".join)))
def test_so_is_any_text(payload: str) -> None:
    check(payload)


@pytest.mark.parametrize("payload", PAYLOADS[:-1])
def test_hostile_text_is_shown_whole(payload: str) -> None:
    shown = escape(payload).replace("`", r"\x60").replace("|", r"\x7c")
    assert shown.strip() == Page(code(escape(payload))).code[-1].strip() or not shown.strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("95 %, over tasks like these", "95 %, over tasks like these"),
        ("grid: world 481 g/kWh (2024, Ember/OWID); PUE 1.0", "grid: world 481 g/kWh (2024, Ember/OWID); PUE 1.0"),
        ("ask @a and @b, (@c) now", "ask `@a` and `@b`, (`@c`) now"),
        ("two @a @b", "two `@a @b`"),
        ("Intel(R) x", "`Intel(R)` x"),
        ("(> is", "(`>` is"),
        (
            "38 % [25, 49] less, +1.5 points [-7.9, +7.9].",
            "38 % &#91;25, 49&#93; less, +1.5 points &#91;-7.9, +7.9&#93;.",
        ),
        ("[1, 2](x) [x, y] a[1, 2]", "`[1`, `2](x) [x`, `y] a[1`, `2]`"),
        ("", ""),
        ("a  b", "a  b"),
    ],
)
def test_plain_words_stay_and_all_else_is_code(text: str, shown: str) -> None:
    assert prose(text) == shown


def test_the_page() -> None:
    rows = [*records("dear", [A, R], 40.0, tasks=10, t=1), *records("hopeless", [R, R], tasks=10)]
    rows += records("dear", [A, R], 20.0, tasks=10, t=0)
    text = render_markdown(account(rows, FACTORS, quarantined={"HumanEval/77": "its own solution fails"}), FACTS)
    head = (
        "| model | settings | accepted /attempts | `pass@1 %` | `pass@2 %` | mgCO2e per accepted "
        "&#91;95 %&#93; | operational | embodied | J per accepted | waste % |"
    )
    assert text.split("<details>")[0].splitlines() == [
        MARKER,
        "### CO2e per accepted solution",
        "",
        "#### humaneval: 10 tasks, up to 2 attempts per task",
        "",
        head,
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |",
        "| `dear` | `t=0` | 10/20 | 50.0 | 100 | 4.59 &#91;4.50, 4.67&#93; | 4.2 | 0.36 | 31.6 | 33.3 |",
        "| `dear` | `t=1` | 10/20 | 50.0 | 100 | 8.94 &#91;8.85, 9.03&#93; | 8.2 | 0.70 | 61.6 | 33.3 |",
        "| `hopeless` |  | 0/20 | 0 | 0 | &#62;22.0 | ? | ? | &#62;152 | 100 |",
        "",
        "- **unknown**: hopeless: none accepted (`>` is the 95 % lower bound)",
        "",
        "- **quarantined**: `HumanEval/77`: its own solution fails",
        "",
    ]
    assert "- **execution**: energy estimated: cpu-tdp\n" in text
    assert "| `HumanEval/9` | 1/2 | 1 accepted, 1 rejected | 3.18 |\n" in text
    assert text.count("<summary>Tasks: ") == 3
    assert text.endswith("</details>\n")


def test_what_to_take_comes_first_and_pairs_with_their_reading() -> None:
    rows = [*records("dear", [A, R], 40.0, tasks=12), *records("cheap", [A, R], 20.0, tasks=12)]
    rows += records("twin", [A, R], 20.0, tasks=12)
    text = rendered(account(rows, FACTORS), rows, FACTS)
    lines = text.splitlines()
    head = lines[: lines.index("#### humaneval: 12 tasks, up to 2 attempts per task")]
    assert [re.match(r"- \*\*(.*?)\*\*", line)[1] for line in head if line.startswith("-")] == [
        "decision",
        "payback",
        "payback",
        "select",
        "stop at",
    ]
    pairs = [line.split(" | ") for line in lines if re.match(r"\| `.*` / `", line)]
    assert [(pair[0], pair[2]) for pair in pairs] == [
        ("| `cheap` / `twin`", "not distinguishable"),
        ("| `cheap` / `dear`", "first needs less"),
        ("| `twin` / `dear`", "first needs less"),
    ]
    few = [*records("a", [A], tasks=3), *records("b", [A], tasks=3)]
    assert "| not known: too few tasks: 3, an interval needs 10 |" in rendered(account(few, FACTORS), few, FACTS)


def test_a_comment_tells_neither_the_host_nor_its_paths() -> None:
    text = render_markdown(account(records("m", [A]), FACTORS), FACTS)
    assert "Xeon" in text
    assert "secret-host" not in text
    assert "/home" not in text


@pytest.mark.parametrize(
    "facts", [{"versions": 3, "sandbox": [], "suites": 3}, {"suites": ["x", None]}, {"meter": None}]
)
def test_facts_of_any_shape_do_no_harm(facts: dict[str, Any]) -> None:
    assert render_markdown(account([], FACTORS), facts)


def tasks_listed(text: str) -> int:
    return sum(line.startswith("| `HumanEval/") for line in text.splitlines())


def pairs_listed(text: str) -> int:
    return sum(bool(re.match(r"\| `.*` / `", line)) for line in text.splitlines())


def left_out(text: str, what: str) -> int:
    found = re.search(rf"^\*Left out, as GitHub takes no more: .*?([0-9]+) {what}", text, re.MULTILINE)
    return int(found[1]) if found else 0


@functools.cache
def three() -> tuple[Account, Findings]:
    rows = [row for model in "abc" for row in records(f"{model} é", [A, R], tasks=100)]
    accounted = account(rows, FACTORS)
    return accounted, find(accounted, rows, ASSUMED)


@settings(max_examples=40, deadline=None)
@given(st.integers(1000, 30_000))
def test_what_does_not_fit_is_left_out_and_counted(limit_bytes: int) -> None:
    accounted, found = three()
    text = render_markdown(accounted, FACTS, found, limit_bytes=limit_bytes)
    assert len(text.encode()) <= limit_bytes
    assert text.count("<details>") == text.count("</details>")
    assert tasks_listed(text) + left_out(text, "tasks") == 300
    assert pairs_listed(text) + left_out(text, "pairs") == 3
    assert ("Left out" in text) == (text != render_markdown(accounted, FACTS, found))
    # Where something was cut within, it says so there too.
    for count, what in re.findall(r"^\*and ([0-9]+) more ([a-z ]+)\*$", text, re.MULTILINE):
        assert left_out(text, what) >= int(count)


@pytest.mark.parametrize("name", ["m", "模型" * 100, "x" * 3000])
def test_hundreds_of_configurations_fit_into_a_comment(name: str) -> None:
    rows = [row for number in range(40) for row in records(f"{number}{name}", [A], tasks=1)]
    assert len(rendered(account(rows, FACTORS), rows, FACTS, limit_bytes=4_000).encode()) <= 4_000
    rows = [row for number in range(700) for row in records(f"{number}{name}", [A], tasks=1)]
    text = render_markdown(account(rows, FACTORS), FACTS)
    assert len(text.encode()) <= COMMENT_BYTES
    shown = sum(bool(re.match(r"\| `[0-9]", line)) for line in text.splitlines()) - pairs_listed(text)
    assert shown + left_out(text, "configurations") == 700
    assert shown > 100
