"""Baselines: the file, what it is compared with, and the commands; on ledgers that are filled without running."""

from __future__ import annotations

import json
from pathlib import Path

import cmarkgfm
import pytest
from builders import FACTORS, attempt, fill_ledger, grid, valid_report
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode import cli
from pytest_greencode.baseline import parse_baseline, read_baseline, written
from pytest_greencode.errors import FileFormatError, UsageProblem
from pytest_greencode.gate import Outcome, parse_rules
from pytest_greencode.ledger import Ledger
from pytest_greencode.plain import plain_values
from pytest_greencode.run_account import account_of_run
from pytest_greencode.run_gate import baseline_of_run, gate_of_run

FACTS = {
    "started_at": "2026-11-22T00:00:00Z",
    "cpu": "CPU one",
    "meter": {"source": "RAPL package-0", "method": "attributed"},
    "sandbox": {"sandbox": "docker", "image": "sha256:1"},
    "suites": [{"name": "humaneval", "version": "1", "sha256": "ab" * 32}],
    "options": {"timeout_s": None, "memory_bytes": 1 << 30, "extract": "auto", "attribution": "attributed"},
    "versions": {"pytest_greencode": "0.1.0"},
    "factors": plain_values(FACTORS),
}
COST = "co2e_per_accepted_g"


def records(model="m", times=1.0, tasks=20, settings=None, **changes):
    return [
        attempt(
            f"HumanEval/{t}",
            i,
            accepted=(t + i) % 2 == 0,
            model=model,
            settings=settings or {},
            generation={"energy_j": times * (20.0 + t), **changes.get("generation", {})},
        )
        for t in range(tasks)
        for i in range(2)
    ]


def judged(ledger, run_id, baseline, *rules, **options):
    arguments = {"factors": FACTORS, "baseline": baseline, "baseline_name": "b.json", **options}
    return gate_of_run(ledger, run_id, parse_rules(rules, flag=""), **arguments)


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A ledger below the working directory: `fill` adds a run."""
    monkeypatch.chdir(tmp_path)
    path = Path(".greencode/ledger.sqlite")

    class Book:
        ledger = None

        def fill(self, run_id, rows, **facts):
            fill_ledger(path, run_id, rows, {**FACTS, **facts})
            return Ledger(path, read_only=True)

    return Book()


def greencode(capsys, *arguments):
    code = cli.main([str(each) for each in arguments])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), " ".join(captured.err.split())


def baseline(ledger, run_id, factors=FACTORS):
    own = account_of_run(ledger, run_id, factors)
    return parse_baseline(written(baseline_of_run(ledger, run_id, own)), path="b.json")


def test_a_baseline_is_read_as_it_was_written(book):
    ledger = book.fill("one", [*records(), *records("n", settings={"temperature": 0.8}, tasks=3)])
    found = baseline(ledger, "one")
    assert parse_baseline(written(found), path="x") == found
    assert [(each.model, each.settings) for each in found.configurations] == [("m", "{}"), ("n", '{"temperature":0.8}')]
    assert len(written(found).splitlines()) < 110  # 43 of them tasks and configurations
    (line,) = (each for each in written(found).splitlines() if '"HumanEval/19"' in each)
    row = json.loads("{" + line.strip().rstrip(",") + "}")["HumanEval/19"]
    assert (row["attempts"], row["accepted"]) == (2, 1)
    assert row["energy_j"] == [39.5, 39.5]
    assert found.factors == FACTORS


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d.pop("greencode_baseline"), "greencode_baseline"),
        (lambda d: d.update(greencode_baseline=9), "greencode_baseline"),
        (lambda d: d.update(factors=3), "factors"),
        (lambda d: d["factors"].pop("generation"), "factors"),
        (lambda d: d["factors"]["execution"].update(g_per_kwh=-1), "factors"),
        (lambda d: d.update(regions={"X": {"g_per_kwh": "many"}}), "regions.X"),
        (lambda d: d.update(configurations={}), "configurations"),
        (lambda d: d["configurations"].append(d["configurations"][0]), "configurations"),
        (lambda d: d["configurations"].append(3), "configurations.1"),
        (lambda d: d["configurations"][0].pop("model"), "configurations.0.model"),
        (lambda d: d["configurations"][0].update(attempts_allowed="x"), "configurations.0.attempts_allowed"),
        (lambda d: d["configurations"][0]["tasks"].update(a=[]), "configurations.0.tasks.a"),
        (lambda d: d["configurations"][0]["tasks"]["HumanEval/0"].update(accepted=3), "tasks.HumanEval/0.accepted"),
        (lambda d: d["configurations"][0]["tasks"]["HumanEval/0"].update(energy_j=[1]), "tasks.HumanEval/0.energy_j"),
        (
            lambda d: d["configurations"][0]["tasks"]["HumanEval/0"].update(co2e_g=[None, None]),
            "tasks.HumanEval/0.co2e_g",
        ),
        (
            lambda d: d["configurations"][0]["tasks"]["HumanEval/0"].update(co2e_g=[1e400, 1]),
            "tasks.HumanEval/0.co2e_g",
        ),
    ],
)
def test_what_is_no_baseline_is_told_by_its_place(book, change, place):
    loaded = json.loads(written(baseline(book.fill("one", records()), "one")))
    change(loaded)
    with pytest.raises(FileFormatError, match=f"b.json: field '.*{place}'"):
        parse_baseline(json.dumps(loaded), path="b.json")


@given(st.text(max_size=60))
def test_any_text_is_told(text):
    with pytest.raises(FileFormatError):
        parse_baseline(text, path="b.json")


def test_a_file_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(UsageProblem, match="no such file; `greencode baseline save"):
        read_baseline(tmp_path / "none", flag="--greencode-baseline")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="expected UTF-8"):
        read_baseline(tmp_path / "bytes", flag="--greencode-baseline")


def test_the_grid_is_held_fixed_on_both_sides(book):
    """Another grid, PUE or region's figure moves neither side; 10 % more energy does."""
    region = {"generation": {"region": "X"}}
    book.fill("one", records(**region), regions={"X": plain_values(grid(400.0))})
    ledger = book.fill("two", records(times=1.25, **region), regions={"X": plain_values(grid(90.0))})
    kept = baseline(ledger, "one")
    assert kept.regions["X"].g_per_kwh == 400.0
    rules = [f"{COST}:+10%", f"{COST}[m]:+30%"]
    found = judged(ledger, "two", kept, *rules)
    assert [each.decision for each in found.rules] == [Outcome.FAIL, Outcome.PASS]
    cheaper = replace(FACTORS, generation=grid(10.0), execution=grid(10.0))
    refused = judged(ledger, "two", kept, *rules, factors=cheaper)
    assert refused.decision is Outcome.NOT_EVALUATED
    assert "grid of generation: baseline 473.01 g/kWh, PUE 1.2, now 10 g/kWh" in refused.rules[0].reason
    forced = judged(ledger, "two", kept, *rules, factors=cheaper, accept_differences=True)
    assert [each.compared for each in forced.rules] == [each.compared for each in found.rules]
    assert forced.rules[0].value == found.rules[0].value
    absolute = judged(ledger, "two", kept, f"{COST}:1", factors=cheaper).rules[0]
    assert absolute.value != found.rules[0].value


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"cpu": "CPU two"}, "CPU: baseline CPU one, now CPU two"),
        ({"meter": None}, "meter: baseline RAPL package-0, attributed, now none"),
        (
            {"sandbox": {"sandbox": "docker", "image": "sha256:2"}},
            "sandbox: baseline docker sha256:1, now docker sha256:2",
        ),
        (
            {"suites": [{"name": "humaneval", "version": "2", "sha256": "cd"}]},
            "suite: baseline 1 abababababab, now 2 cd",
        ),
        ({"options": {**FACTS["options"], "timeout_s": 1}}, "limits: baseline timeout_s None"),
        ({"options": {**FACTS["options"], "attribution": "exclusive"}}, "now RAPL package-0, exclusive"),
    ],
)
def test_a_baseline_of_something_else_is_refused_unless_asked_for(book, facts, told):
    book.fill("one", records())
    ledger = book.fill("two", records(times=1.25), **facts)
    kept = baseline(ledger, "one")
    refused = judged(ledger, "two", kept, f"{COST}:+10%")
    assert refused.decision is Outcome.NOT_EVALUATED
    assert told in refused.rules[0].reason
    forced = judged(ledger, "two", kept, f"{COST}:+10%", accept_differences=True)
    assert forced.decision is Outcome.FAIL
    assert any(told in each for each in forced.differences)


def test_another_number_of_attempts_is_refused_or_brought_down_to_the_smaller(book):
    """Two attempts a task on either side, the baseline's k is 1: accepted, both are at 1, and identical."""
    book.fill("one", records())
    ledger = book.fill("two", records())
    own = account_of_run(ledger, "one", FACTORS, attempts_allowed=1)
    kept = parse_baseline(written(baseline_of_run(ledger, "one", own)), path="b")
    refused = judged(ledger, "two", kept, f"{COST}:+10%")
    assert refused.rules[0].reason == "the baseline differs: attempts allowed: baseline 1, now 2"
    forced = judged(ledger, "two", kept, f"{COST}:+10%", accept_differences=True)
    assert (forced.decision, forced.rules[0].compared) == (Outcome.PASS, pytest.approx(1))
    assert forced.differences == ("attempts allowed: baseline 1, now 2",)


def test_attempts_that_did_not_finish_are_not_judged(book):
    rows = records(times=1.25)
    book.fill("one", records())
    ledger = book.fill("two", [*rows[:-3], *(replace(each, verdict=None) for each in rows[-3:])])
    found = judged(ledger, "two", baseline(ledger, "one"), f"{COST}:+10%", f"{COST}[m]:0.001")
    assert {each.reason for each in found.rules} == {
        "3 attempts have not finished; 1 tasks have no attempt that counts"
    }
    assert found.decision is Outcome.NOT_EVALUATED


# The commands.


def test_save_show_update(book, capsys):
    book.fill("0" * 32, records())
    code, out, _ = greencode(capsys, "baseline", "save", "b.json")
    assert (code, "humaneval m: co2e_per_accepted_g" in out, "CPU CPU one" in out) == (0, True, True)
    assert greencode(capsys, "baseline", "show", "b.json")[1] in out
    code, _, err = greencode(capsys, "baseline", "save", "b.json")
    assert (code, "is there already" in err) == (4, True)
    book.fill("1" * 32, [*records(times=2.0), *records("n")], started_at="2026-11-23T00:00:00Z")
    code, out, _ = greencode(capsys, "check", "--fail", f"{COST}:+10%", "--baseline", "b.json")
    assert (code, f"{COST} of m: 1.985 times the baseline's" in out) == (8, True)
    assert "n: not in the baseline; `greencode baseline update` adds it" in out
    assert greencode(capsys, "baseline", "update", "b.json")[0] == 0
    kept = read_baseline(Path("b.json"), flag="")
    assert [(each.model, each.run_id[0]) for each in kept.configurations] == [("m", "1"), ("n", "1")]
    code, out, _ = greencode(capsys, "check", "--fail", f"{COST}:+10%", "--baseline", "b.json", "--strict")
    assert (code, "gate pass: 2 of 2 checks" in out) == (0, True)
    code, _, err = greencode(capsys, "baseline", "update", "b.json", "--region", "FRA")
    assert (code, "its grid, PUE or machines are others than the run's" in err) == (4, True)
    assert [each.name for each in Path().glob("*.part")] == []


def test_a_run_that_was_broken_off_is_no_baseline(book, capsys):
    rows = records()
    book.fill("0" * 32, [*rows[1:], replace(rows[0], verdict=None)])
    code, _, err = greencode(capsys, "baseline", "save")
    assert (code, "1 attempts have no verdict" in err, Path("greencode-baseline.json").exists()) == (4, True, False)


def test_money_where_prices_are_known(book, capsys):
    Path("a.toml").write_text('[money]\ncurrency = "EUR"\nelectricity_per_kwh = 0.3\n', encoding="utf-8")
    book.fill("0" * 32, records())
    rule, prices = ("--fail", "money_per_accepted:+10%"), ("--assumptions", "a.toml")
    assert "no price given" in greencode(capsys, "check", "--fail", "money_per_accepted:1")[1]
    assert greencode(capsys, "check", "--fail", "money_per_accepted:1e-9", *prices)[0] == 8
    greencode(capsys, "baseline", "save", "plain.json")
    assert "it was saved without prices" in greencode(capsys, "check", *rule, *prices, "--baseline", "plain.json")[1]
    greencode(capsys, "baseline", "save", "priced.json", *prices)
    assert "gate pass" in greencode(capsys, "check", *rule, *prices, "--baseline", "priced.json")[1]
    book.fill("1" * 32, records(times=1.2), started_at="2026-11-23T00:00:00Z")
    code, out, _ = greencode(capsys, "check", *rule, *prices, "--baseline", "priced.json")
    assert (code, "money_per_accepted of m: 1.19" in out) == (8, True)


def test_noise_of_the_same_samples(book, capsys):
    for number, times in enumerate((1.0, 1.03, 0.98)):
        book.fill(str(number) * 32, records(times=times), started_at=f"2026-11-2{number}T00:00:00Z")
    book.fill("f" * 32, records(tasks=5), started_at="2026-11-10T00:00:00Z")
    code, out, _ = greencode(capsys, "check", "--aa")
    assert code == 0
    assert "co2e_per_accepted_g: standard deviation 2.5 %, at most 1.050 times apart, over 3 runs of 1 conf" in out
    # exp(t(0.99, 2) * 0.0249 * sqrt(2)) - 1 with t = 6.965 is 27.8 %.
    assert "--greencode-fail co2e_per_accepted_g:+28%" in out
    assert "--greencode-fail pass_at_1:-1pp" in out
    assert "runs 22222222, 11111111, 00000000" in out
    code, _, err = greencode(capsys, "check", "--aa", "00000000", "ffffffff")
    assert (code, "not of the same samples" in err) == (4, True)
    code, _, err = greencode(capsys, "check", "--aa", "00000000")
    assert (code, "nothing to compare it with" in err) == (4, True)


def test_slips_are_told(book, capsys):
    book.fill("0" * 32, records())
    for arguments, told in (
        (["check"], "no rule given, and the run had none"),
        (["check", "--fail", "pass_at_1:-2pp"], "compares with a baseline; say which: --baseline PATH"),
        (["check", "--fail", "pass_at_1:-2pp", "--baseline", "none"], "no such file"),
        (["check", "--fail", "x:1"], "no field x"),
        (["baseline", "show", "none"], "no such file"),
        (["baseline", "update", "none"], "no such file"),
    ):
        code, out, err = greencode(capsys, *arguments)
        assert (code, out) == (4, ""), arguments
        assert told in err


def test_the_run_s_gate_is_in_every_report_of_the_ledger(book, capsys):
    """The decision as it was made, in the run's facts; names in it are hostile."""
    hostile = "</script><img src=x onerror=alert(1)>\x1b[31m|`@you"
    ledger = book.fill("0" * 32, records(hostile))
    from pytest_greencode.gate.decisions import plain

    decision = judged(ledger, "0" * 32, None, f"{COST}:0.0001")
    Ledger(Path(".greencode/ledger.sqlite")).add_facts("0" * 32, gate=plain(decision))
    assert greencode(capsys, "report")[1].endswith("g [0.006794, 0.008503] (98 %), and 0.0001 is allowed")
    assert cli.main(["report", "--json"]) == 0
    report = valid_report(capsys.readouterr().out)
    assert (report["gate"]["decision"], report["gate"]["failed"]) == ("fail", True)
    assert "gate" not in report["run"]
    for kind in ("markdown", "html"):
        assert cli.main(["report", "--format", kind]) == 0
        out = capsys.readouterr().out
        assert "0.0001 is allowed" in out.replace("`", "")
        shown = cmarkgfm.github_flavored_markdown_to_html(out) if kind == "markdown" else out
        assert "<img" not in shown
        assert "\x1b" not in out
