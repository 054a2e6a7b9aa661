"""Hostile text from models, files and programs, all the way through a run into everything that it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import query, with_sandbox, write_samples

HOSTILE = "\x1b[2J\x1b]0;x\x07<script>alert(1)</script>\u202e\u2066\ud800|`@a` ](javascript:x)\r\n::error::x\x00=1+1"
NAME = HOSTILE.replace("\ud800", "")  # what no file may have, a program still may
REPORTS = {
    "json": "r.json", "html": "r.html", "markdown": "r.md", "github": "r.github", "csv": "r.csv", "csv-tasks": "t.csv",
    "badge": "r.svg", "badge-json": "b.json",
}  # fmt: skip
RAISES = "def has_close_elements(n, t):\n    raise ValueError({0!r})\n"
PRINTS = "print({0!r}.encode('utf-8', 'replace').decode())\ndef has_close_elements(n, t): return {0!r}\n"
NAMED = "E = type({0!r}.replace(chr(0), '').encode('utf-8', 'replace').decode(), (Exception,), {{}})\nraise E({0!r})\n"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|[\ud800-\udfff]")


def test_hostile_text_is_nowhere_what_it_would_be(pytester: pytest.Pytester, any_sandbox: str) -> None:
    rows = [
        {"task_id": "HumanEval/0", "solution": text.format(HOSTILE), "model": f"m{NAME}", "sample_id": number,
         "settings": {NAME: NAME}, "generation": {"energy_j": 1.0, "energy_method": "declared", "source": NAME}}
        for number, text in enumerate((RAISES, PRINTS, NAMED))
    ]  # fmt: skip
    rows.append({"task_id": "HumanEval/0", "completion": f"{HOSTILE}\n", "model": NAME, "gpu": HOSTILE})
    write_samples(Path("m.jsonl"), *rows)
    options = [f"--greencode-report={kind}:{path}" for kind, path in REPORTS.items()]
    result = pytester.runpytest_subprocess(
        *with_sandbox(any_sandbox, *options, "--junitxml=j.xml", "-p", "no:xdist", "-rA", "m.jsonl"), timeout=100
    )
    assert result.parseoutcomes() == {"rejected": 1}

    shown = {"terminal": result.stdout.str() + result.stderr.str()}
    shown |= {kind: Path(path).read_text(encoding="utf-8") for kind, path in REPORTS.items()}
    # A page's own scripts, of a library, have such characters; test_html looks at what the page puts into them.
    shown["html"] = re.sub(r"<script\b.*?</script>", "", shown["html"], flags=re.DOTALL)
    shown["junit"] = Path("j.xml").read_text(encoding="utf-8")
    for place, text in shown.items():
        found = RAW.search(text.replace("\r\n", "\n") if place.startswith("csv") else text)
        assert found is None, (place, text[max(0, found.start() - 80) : found.end() + 20])
        # What becomes of it in Markdown, where code may stand as it is, is test_markdown's.
        assert place not in ("html", "badge", "junit") or "<script>alert" not in text, place
        assert not re.search(r"^::error::", text, re.MULTILINE), place  # a command to GitHub's runner
    assert not re.search(r'^"?[=+@]', shown["csv"], re.MULTILINE)  # a formula to a spreadsheet
    models = {configuration["model"] for configuration in json.loads(shown["json"])["configurations"]}
    assert models == {NAME, f"m{NAME}"}  # data stay what they were
    details = query(Path(".greencode/ledger.sqlite"), "SELECT detail FROM execution")
    assert details
    assert all(len(detail or "") <= 4000 for (detail,) in details)
