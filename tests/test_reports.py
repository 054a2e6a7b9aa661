"""The terminal table and the JSON report: safe, narrow, in order, and as the schema says."""

import json
import math
import unicodedata
from pathlib import Path

import jsonschema
import pytest
from builders import A, R, attempt, grid, reading, real_factors, report_validator, valid_report
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_greencode.accounting import account
from pytest_greencode.attribution import Balance
from pytest_greencode.model import (
    AttemptRecord,
    Configuration,
    Measured,
    Method,
    Reading,
    Verdict,
    canonical_settings,
)
from pytest_greencode.plain import plain_values
from pytest_greencode.reports import text
from pytest_greencode.reports.json import render_json
from pytest_greencode.reports.terminal import cautions, render_terminal

FACTORS = real_factors(grid(481.0, "world"))
HOSTILE = "evil\x1b[31m\r\nmodel\u202e\ud800\u200b"


def records(model, verdicts, joules=20.0, suite="humaneval", tasks=3, changes=None, **parameters):
    generation = {"energy_j": joules, "energy_scope": "gpu"}
    made = [
        attempt(
            f"HumanEval/{t}",
            i,
            model=model,
            settings=parameters,
            generation=generation,
            suite=suite,
            verdict=verdict,
            program_key=f"{t}/{i}",
            reading=reading(wall_s=0.1, energy_j=0.2 * (t + 1)),
        )
        for t in range(tasks)
        for i, verdict in enumerate(verdicts)
    ]
    return [replace(each, **changes or {}) for each in made]


def terminal(rows, **arguments):
    return "\n".join(render_terminal(account(rows, FACTORS, **arguments)))


def report(rows, run_facts=None, **arguments):
    return valid_report(render_json(account(rows, FACTORS, **arguments), run_facts or {}))


# Text.


def columns_shown(line):
    """Counted apart from the code under test."""
    zero = sum(unicodedata.category(c) in ("Mn", "Me") for c in line)
    return (
        len(line)
        - zero
        + sum(unicodedata.east_asian_width(c) in "WF" and unicodedata.category(c) != "Mn" for c in line)
    )


def test_escape():
    assert text.escape(HOSTILE) == r"evil\x1b[31m\r\nmodel\u202e\ud800\u200b"
    assert text.escape("naïve 模型 e\u0301") == "naïve 模型 e\u0301"
    assert text.escape("\u0301") == r"\u0301"
    assert text.escape("z" + "\u0301" * 4) == "z\u0301\u0301" + r"\u0301\u0301"
    assert text.escape("\U000e0041\xa0\u2028") == r"\U000e0041\xa0\u2028"


hostile_text = st.text(st.characters(), max_size=60)


@given(hostile_text)
def test_escaped_text_is_printable(value):
    assert text.escape(value).isprintable()
    text.escape(value).encode()


@given(hostile_text.map(text.escape), st.integers(0, 30))
def test_shorten(value, width):
    short = text.shorten(value, width)
    assert text.columns(short) <= width
    if text.columns(value) <= width:
        assert short == value


@given(st.lists(hostile_text.map(text.escape), max_size=8).map(" ".join), st.integers(20, 60))
def test_wrap(value, width):
    lines = list(text.wrap(value, width, first="key  ", rest="     "))
    assert all(text.columns(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "key" + "".join(value.split())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1, "1.00"),
        (9.999, "10.0"),
        (412.4, "412"),
        (999_499, "999499"),
        (1_234_567, "1.23e6"),
        (0.000412, "0.000412"),
        (4.12e-9, "4.12e-9"),
        (-2.5, "-2.50"),
    ],
)
def test_significant(value, shown):
    assert text.significant(value) == shown


@pytest.mark.parametrize(
    ("grams", "unit"),
    [
        ([], "g"),
        ([0.0], "g"),
        ([2e-7], "ng"),
        ([0.002, 0.5], "mg"),
        ([3e-6, 4e-6, 1.0], "µg"),
        ([1.0], "g"),
        ([5e3], "kg"),
    ],
)
def test_mass_unit(grams, unit):
    assert text.mass_unit(grams)[0] == unit


def test_percent():
    assert [text.percent(x) for x in (0, 1e-9, 0.5, 0.9999, 1)] == ["0", "<0.1", "50.0", ">99.9", "100"]


def test_long_words_of_messages_stay_whole():
    path = "/a/path/of/more/columns/than/the/line/has"
    assert list(text.message("run `a b c d e` or else `f g`", 12)) == ["run", "`a b c d e`", "or else", "`f g`"]
    assert list(text.message(f"a \x1b\n{path} end", 20, first="x: ")) == [r"x: a \x1b", path, "end"]


@pytest.mark.parametrize(
    ("path", "shown"), [("/a/b/c.json", "c.json"), ("/a/d.json", "/a/d.json"), ("/a/b/e\n", r"e\n")]
)
def test_paths_are_shown_from_where_one_stands(path, shown):
    assert text.shown_path(Path(path), Path("/a/b")) == shown


# The terminal.


def test_the_table():
    rows = [*records("dear", [A, R], 40.0, tasks=10), *records("cheap", [A, R], 20.0, tasks=10)]
    rows += [*records("hopeless", [R, R], tasks=10), *records("unknown", [A, A], None, tasks=10)]
    lines = render_terminal(account(rows, FACTORS, quarantined={"HumanEval/77": "its own solution fails"}))
    assert lines == [
        "humaneval: 10 tasks, up to 2 attempts per task",
        "",
        "          accepted pass@1 pass@2         mgCO2e per opera- embo-    J per waste",
        "model    /attempts      %      %    accepted [95 %] tional  died accepted     %",
        "-" * 79,
        # 31.6 J x 481 / 3.6e6, and of 30 J / 700 W of an H100 and 0.15 s of a thread of the server.
        "cheap        10/20   50.0    100  4.59 [4.50, 4.67]    4.2  0.36     31.6  33.3",
        "dear         10/20   50.0    100  8.94 [8.85, 9.03]    8.2  0.70     61.6  33.3",
        "hopeless      0/20      0      0 >22.0                   ?     ?     >152   100",
        "unknown      20/20    100    100     ?                   ?     ?        ?     ?",
        "",
        "headline     gCO2e of all attempts, failed ones too, per accepted solution:",
        "             operational + embodied",
        "interval     95 %, over tasks like these",
        "systematic   grid, PUE, sensors and embodied figures may move all of them",
        "             together, to 0.87 .. 1.2 times (5 to 95 %); most of it: energy of",
        "             generation (measured), grid world",
        "unknown      hopeless: none accepted (> is the 95 % lower bound)",
        "             unknown: generation energy missing for 20 of 20 attempts",
        "generation   cheap, dear, hopeless: energy measured: nvml (gpu)",
        "             unknown: energy missing",
        "execution    energy estimated: cpu-tdp",
        "factors      grid: world 481 g/kWh (2024, test); PUE 1.0",
        "embodied     cheap, dear, hopeless: H100 1019.5 kg over 4 years; server 900 kg",
        "             over 4 years, 1 of 96 threads",
        "             unknown: server 900 kg over 4 years, 1 of 96 threads",
        "quarantined  HumanEval/77: its own solution fails",
    ]


def test_footnotes():
    rows = records("m", [A, R])
    rows += records("m", [A], tasks=1, changes={"sample_id": 5, "extraction": "block", "flaky": True})
    rows += records("m", [Verdict.HARNESS_ERROR], tasks=1, changes={"sample_id": 6})
    rows += records("m", [None], tasks=1, changes={"sample_id": 7, "task_id": "lost", "reading": None})
    shown = " ".join(terminal(rows).split())
    assert "1 of 9 attempts not run, or not to the end; 1 attempt failed by the harness, not counted" in shown
    assert "not counted; tasks left out (1): lost" in shown
    assert "1 of 7 replies had to be reduced to their code (1 block); accepted: 1 of these, 3 of the others" in shown
    assert "flaky 1 attempt gave different verdicts when repeated" in shown
    assert "retries only waste" in terminal(records("m", [A, A], changes={"program_key": "same"}))
    assert terminal([]) == "no attempts"


def test_too_few_tasks_have_no_interval():
    lines = terminal(records("m", [A, R], 20.0)).splitlines()
    assert lines[3].endswith("accepted [95 %] tional  died accepted     %")
    assert lines[5].split()[-7:] == ["too", "few", "tasks", "4.1", "0.36", "30.6", "33.3"]
    assert "interval     too few tasks: 3, an interval needs 10" in lines
    many = [*records("m", [A, R], 20.0), *records("n", [A, R], 20.0, tasks=10)]
    assert "interval     95 %, over tasks like these\n             m: too few tasks" in terminal(many)


def test_what_was_not_run_is_said_in_words():
    nothing = {"verdict": None, "reading": None}
    lines = terminal(records("m", [None], changes=nothing)).splitlines()
    assert lines == [
        "humaneval: no attempt has finished, so there is nothing to account for",
        "incomplete   3 of 3 attempts not run, or not to the end; continue with",
        "             --greencode-resume",
    ]
    lines = terminal([*records("m", [None], changes=nothing), *records("n", [A], tasks=7)]).splitlines()
    assert lines[0] == "humaneval: 7 tasks, 1 attempt per task"
    assert not any(line.startswith("m ") for line in lines)
    assert "incomplete   m: 3 of 3 attempts not run, or not to the end; continue with" in lines


def test_quiet_reports_have_what_needs_attention():
    rows = [*records("m", [A, R]), *records("unknown", [A, A], None)]
    rows += records("m", [None], tasks=1, changes={"sample_id": 7, "reading": None})
    accounted = account(rows, FACTORS, quarantined={"HumanEval/7": "its own solution fails"})

    def keys(verbosity):
        lines = render_terminal(accounted, verbosity=verbosity, notes=[("resumed", "a few")])
        return [line.split()[0] for line in lines[lines.index("", 2) :] if line[:1].strip()]

    assert keys(0)[:2] == ["headline", "interval"]
    assert keys(0)[-2:] == ["quarantined", "resumed"]
    assert keys(-1) == ["unknown", "incomplete", "quarantined", "resumed"]
    assert keys(-2) == ["incomplete", "quarantined", "resumed"]


def test_suites_are_never_mixed():
    shown = terminal([*records("m", [A]), *records("m", [A], suite="mbpp")])
    assert shown.count("model ") == 2
    assert "humaneval: 3 tasks" in shown
    assert "mbpp: 3 tasks" in shown


def test_settings_that_differ_are_shown():
    rows = [*records("m", [A], temperature=0.2, top_p=1), *records("m", [A], 30.0, temperature=0.8, top_p=1)]
    rows += records("other", [A], top_k=4)
    lines = terminal(rows).splitlines()
    assert "  temperature=0.2" in lines
    assert "  temperature=0.8" in lines
    assert not any("top_" in line for line in lines)
    lines = terminal(
        [*records("m", [A], a=1), *records("m", [A], 30.0, a=1, b=2), *records("m", [A], 40.0)]
    ).splitlines()
    assert lines[6:11:2] == [
        "  a=1, no b",
        "  a=1, b=2",
        "  no a, no b",
    ]


def test_shortened_names_stay_distinct():
    start, end = "organisation/family-", "-instruct-awq-of-some-length"
    rows = [record for size in ("7b", "14b") for record in records(f"{start}{size}{end}", [A, R])]
    table = terminal(rows).splitlines()[5:7]
    assert all("…" in line for line in table)
    assert len({line.split()[0] for line in table}) == 2


def test_hostile_names_in_the_terminal():
    rows = records(
        HOSTILE, [A, R], changes={"suite": HOSTILE, "task_id": HOSTILE, "extraction": HOSTILE}, **{HOSTILE: 1}
    )
    shown = render_terminal(account(rows, FACTORS, quarantined={HOSTILE + "2": HOSTILE}))
    assert all(line.isprintable() for line in shown)
    assert any(r"\x1b" in line for line in shown)


joules = st.none() | st.floats(0, 1e12) | st.floats(0, 1e-12)
configurations = st.lists(
    st.tuples(
        hostile_text,
        st.lists(st.sampled_from([A, R, Verdict.TIMEOUT, Verdict.HARNESS_ERROR, None]), min_size=1, max_size=4),
        joules,
        st.dictionaries(hostile_text, hostile_text | st.floats() | st.none(), max_size=3),
        st.sampled_from(["humaneval", "模型" * 30]),
    ),
    max_size=4,
)


def build(drawn):
    rows = []
    for model, verdicts, joules, parameters, suite in drawn:
        changes = {"configuration": Configuration(model=model, settings=canonical_settings(parameters)), "suite": suite}
        rows += records(model, verdicts, joules, changes=changes | {"extraction": model})
    return rows


@settings(deadline=None, max_examples=40)
@given(configurations, st.sampled_from([40, 80, 120]))
def test_lines_are_printable_and_never_too_long(drawn, width):
    for line in render_terminal(account(build(drawn), FACTORS), width=width):
        assert columns_shown(line) <= width
        assert line.isprintable()
        line.encode()


# JSON.


@settings(deadline=None, max_examples=40)
@given(configurations)
def test_any_account_is_a_valid_report(drawn):
    report(build(drawn))


def test_report():
    loaded = report([*records("m", [A, R], tasks=10, temperature=0.2), *records("z", [R], None)], {"host": "here"})
    first, second = loaded["configurations"]
    assert loaded["schema"] == 1
    assert loaded["run"] == {"host": "here"}
    assert (loaded["comparisons"], loaded["gate"]) == ([], None)
    assert first["settings"] == {"temperature": 0.2}
    assert first["tasks"][0]["verdicts"] == ["accepted", "rejected"]
    assert first["retry"]["1"]["pass"] == first["pass_at"]["1"] == 0.5
    assert first["retry"]["2"]["correctness_coefficient"] == 1.5
    low, high = first["per_accepted"]["interval"]
    assert low < first["per_accepted"]["co2e_g"] < high
    assert second["per_accepted"]["co2e_g"] is None
    assert second["per_accepted"]["reason"] == "generation energy missing for 3 of 3 attempts; none accepted"
    assert second["co2e_g"]["embodied_generation"] is None


# Energy balance, Green Capacity, and what was measured alone.

BALANCE = Balance(
    meter="RAPL (powercap: package-0)",
    counted=True,
    counter_uj=100_000_000,
    solutions_uj=10_000_000,
    harness_uj=20_000_000,
    repetitions_uj=0,
    other_processes_uj=0,
    idle_reserved_uj=30_000_000,
    idle_rest_uj=40_000_000,
    dram_uj=5_000_000,
    duration_s=7.0,
    windows=7,
    invalid={"it was reset": 1, "the machine was suspended": 2},
)


def costs(cpu_s, memory, joules, method=Method.ATTRIBUTED):
    return Reading(
        cpu_s=cpu_s,
        wall_s=0.1,
        peak_memory_bytes=memory,
        oracle_cpu_s=0.0,
        harness_cpu_s=0.0,
        energy_j=joules,
        harness_energy_j=joules,
        energy_method=method,
    )


def references(reading, tasks=3, suite="humaneval", key="own/{}"):
    return [
        AttemptRecord(
            suite=suite,
            task_id=f"HumanEval/{t}",
            configuration=Configuration(model="reference"),
            sample_id=0,
            path="",
            program_key=key.format(t),
            verdict=A,
            reading=reading,
        )
        for t in range(tasks)
    ]


def alone(**facts):
    known = {
        "energy_j": 0.5,
        "low_j": 0.4,
        "high_j": 0.6,
        "confidence": 0.95,
        "noise_floor_j": 0.01,
        "harness_energy_j": 0.1,
        "cpu_s": 0.2,
        "peak_memory_bytes": 1 << 20,
        "windows": 10,
        "runs": 100,
        "discarded": {"warm-up": 2},
        "stopped_by": "precision",
    }
    return Measured(**known | facts)


def notes(lines, key):
    """The texts of a key, each on one line; a key that is repeated is shown once."""
    found, last = [], ""
    for line in lines:
        last = line[:13].strip() or last
        if last == key and line.strip():
            found.append(line[13:])
    return found


def test_the_terminal_says_where_the_machines_energy_went():
    shown = render_terminal(account(records("m", [A]), FACTORS, balance=BALANCE))
    text_shown = " ".join(notes(shown, "machine"))
    assert text_shown == (
        "100 J in 7.00 s by RAPL (powercap: package-0): solutions 10.0 J, harness 20.0 J, "
        "idle, cores of this run 30.0 J, idle, other cores 40.0 J; DRAM 5.00 J besides"
    )
    assert notes(shown, "not counted") == ["1 window: it was reset", "2 windows: the machine was suspended"]


def test_without_a_balance_the_terminal_says_nothing_of_the_machine():
    shown = render_terminal(account(records("m", [A]), FACTORS))
    assert notes(shown, "machine") == notes(shown, "not counted") == []


def test_quiet_keeps_what_was_not_counted_and_leaves_out_where_energy_went():
    rows = account(records("m", [A]), FACTORS, balance=BALANCE)
    shown = render_terminal(rows, verbosity=-1)
    assert notes(shown, "machine") == []
    assert len(notes(shown, "not counted")) == 2


def test_a_balance_of_a_hostile_meter_is_printable():
    balance = replace(BALANCE, meter=HOSTILE, invalid={HOSTILE: 1})
    facts = {"meter": {"cautions": [{"what": HOSTILE, "why": HOSTILE, "remedy": HOSTILE}]}}
    shown = render_terminal(account(records("m", [A]), FACTORS, balance=balance), notes=cautions(facts))
    assert all(line.isprintable() for line in shown)
    assert any(r"\x1b" in line for line in notes(shown, "caution"))


def green_table(lines):
    begin = next(number for number, line in enumerate(lines) if line.startswith("Green Capacity"))
    blank, end = [number for number, line in enumerate(lines) if not line and number > begin][:2]
    return lines[blank + 1 : end]


def compared(**changes):
    """Samples of 0.1 s and 1 MB beside references that take twice the time and half of the memory."""
    rows = records("m", [A, R], changes={"reading": costs(0.1, 1 << 30, 2.0)} | changes)
    return rows, references(costs(0.2, 1 << 29, 2.0))


def test_green_capacity_in_the_terminal():
    rows, known = compared()
    heading, rule, line = green_table(render_terminal(account(rows, FACTORS, references=known)))
    # An indicator that nobody has takes no room.
    assert heading.split() == ["model", "run", "time", "memory", "energy", "leaner", "heavier", "mixed", "same"]
    assert set(rule) == {"-"}
    assert line.split() == ["m", "2.00", "(3)", "0.500", "(3)", "1.00", "(3)", "0", "0", "3", "0"]


def test_flops_are_shown_where_they_were_counted():
    counted = replace(costs(0.1, 1 << 30, 2.0, Method.MEASURED), flops=100.0)
    rows, _ = compared(reading=counted)
    shown = render_terminal(account(rows, FACTORS, references=references(replace(counted, flops=200.0))))
    heading, _, line = green_table(shown)
    assert heading.split()[5] == "FLOPs"
    assert line.split()[7:9] == ["2.00", "(3)"]


def test_green_capacity_as_one_number_names_its_weights_and_what_is_missing():
    rows, known = compared()
    shown = render_terminal(account(rows, FACTORS, references=known, weights={"run_time_s": 1.0, "flops": 2.0}))
    assert "m: weighted mean of log ratios 0.693 (run_time_s 1.00, flops 2.00; missing: flops)" in " ".join(
        line.strip() for line in shown
    )


def test_without_references_there_is_no_table_of_green_capacity():
    assert "Green Capacity" not in terminal(records("m", [A]))


def test_configurations_of_one_name_are_told_apart_in_both_tables():
    rows = [*records("m", [A], temperature=0.2), *records("m", [A], temperature=0.8)]
    shown = render_terminal(account(rows, FACTORS, references=references(costs(0.2, None, 1.0))))
    assert [line.strip() for line in green_table(shown) if "temperature" in line] == [
        "temperature=0.2",
        "temperature=0.8",
    ]


@pytest.mark.parametrize("width", range(40, 121, 8))
@pytest.mark.parametrize("model", ["m", "a-model-with-a-name-that-is-longer-than-any-line-of-a-terminal-has-room-for"])
def test_the_table_of_green_capacity_keeps_to_the_width(model, width):
    configuration = Configuration(model=model)
    rows, known = compared(configuration=configuration)
    shown = render_terminal(account(rows, FACTORS, references=known, balance=BALANCE), width=width)
    assert max(map(columns_shown, shown)) <= width
    heading = green_table(shown)[0]
    # The most telling column stays.
    assert "energy" in heading
    assert "same" in heading or width < 80
    assert "same" not in heading or width > 56


def test_green_capacity_in_the_report():
    rows, known = compared()
    found = report(rows, references=known)["configurations"][0]["green_capacity"]
    assert (found["task_count"], found["tasks_compared"], found["samples_compared"]) == (3, 3, 3)
    assert found["correctness"] == 0.5
    assert found["log_ratio"]["run_time_s"]["value"] == pytest.approx(math.log(2))
    assert found["log_ratio"]["peak_memory_bytes"]["value"] == pytest.approx(-math.log(2))
    assert found["log_ratio"]["flops"] == {
        "value": None,
        "interval": None,
        "task_count": 0,
        "samples": 0,
        "missing": 3,
        "below_resolution": 0,
    }
    assert found["relations"] == {"dominates": 0, "dominated": 0, "incomparable": 3, "equal": 0, "unknown": 0}
    assert found["resolution"]["run_time_s"] == {"absolute": 1e-3, "relative": 0.25}
    assert report(rows)["configurations"][0]["green_capacity"] is None


def test_means_of_what_was_measured_alone_are_told_apart_more_finely():
    measured = costs(0.1, 1 << 30, 2.0, Method.MEASURED)
    rows = records("m", [A, R], changes={"reading": measured})
    for canonical, absolute_s in ((measured, 1e-5), (costs(0.1, 1 << 30, 2.0), 1e-3)):
        [found] = report(rows, references=references(canonical))["configurations"]
        assert found["green_capacity"]["resolution"]["run_time_s"]["absolute"] == absolute_s


def test_what_was_measured_alone_in_the_report():
    rows = [*records("m", [A, R], temperature=0.2), *records("n", [A])]
    known = [*references(costs(0.1, None, 1.0), tasks=1), *references(costs(0.1, None, 1.0), tasks=3, key="{}/0")[1:2]]
    nothing = alone(
        energy_j=None,
        low_j=None,
        high_j=None,
        noise_floor_j=None,
        harness_energy_j=None,
        cpu_s=None,
        peak_memory_bytes=None,
        stopped_by="cap",
    )
    measured = {"own/0": alone(), "0/0": nothing, "1/0": alone(), "nobody's": alone()}
    found = report(rows, references=known, measured=measured)["measured_alone"]
    by_program = {(row["task_id"], row["reference"], len(row["samples"])): row for row in found}
    # Its own solution; two models' program; two models' program that is the task's own.
    assert set(by_program) == {("HumanEval/0", True, 0), ("HumanEval/0", False, 2), ("HumanEval/1", True, 2)}
    assert by_program["HumanEval/0", False, 2]["samples"] == [
        {"model": "m", "settings": {"temperature": 0.2}, "sample_id": 0},
        {"model": "n", "settings": {}, "sample_id": 0},
    ]
    assert by_program["HumanEval/0", False, 2]["energy_j"] is None
    assert by_program["HumanEval/0", True, 0]["discarded"] == {"warm-up": 2}


amounts = st.floats(0, 1e9) | st.floats(0, 1e-9) | st.just(0.0)
readings = st.builds(
    costs,
    amounts,
    st.none() | st.integers(0, 1 << 45),
    st.none() | amounts | st.floats(-1, 0),
    st.sampled_from([Method.ATTRIBUTED, Method.MEASURED, Method.ESTIMATED]),
)


@settings(deadline=None, max_examples=25)
@given(configurations, readings, readings, st.integers(0, 3), st.sampled_from([40, 60, 80, 120]))
def test_any_comparison_is_a_valid_report_and_fits(drawn, reading, reference, tasks, width):
    rows = [replace(row, reading=reading) for row in build(drawn)]
    known = references(reference, tasks=tasks)
    measured = {row.program_key: alone() for row in [*rows, *known]}
    arguments = {"references": known, "measured": measured, "balance": BALANCE}
    report(rows, **arguments)
    for line in render_terminal(account(rows, FACTORS, **arguments), width=width):
        assert columns_shown(line) <= width
        assert line.isprintable()


@pytest.mark.parametrize(
    "broken",
    [
        {"measured_alone": [{}]},
        {"measured_alone": None},
        {"energy_balance": {"meter": "RAPL"}},
        {"energy_balance": {**plain_values(BALANCE), "solutions_uj": 0.5}},
    ],
)
def test_the_schema_refuses_what_no_report_says(broken):
    loaded = report(records("m", [A]), balance=BALANCE)
    with pytest.raises(jsonschema.ValidationError):
        report_validator().validate(loaded | broken)


def test_the_schema_refuses_a_green_capacity_without_its_vector():
    rows, known = compared()
    loaded = report(rows, references=known)
    del loaded["configurations"][0]["green_capacity"]["log_ratio"]["energy_j"]
    with pytest.raises(jsonschema.ValidationError):
        report_validator().validate(loaded)


def test_json_survives_what_is_hostile():
    facts = {"nan": math.nan, "inf": [math.inf], HOSTILE: HOSTILE, "path": object, "nested": {1: (Verdict.ACCEPTED,)}}
    rendered = render_json(account(records(HOSTILE, [A], value=math.nan), FACTORS), facts)
    assert rendered.isascii()
    assert r"\ud800" in rendered
    loaded = json.loads(rendered, parse_constant=pytest.fail)
    assert loaded["run"]["nan"] is None
    assert loaded["run"]["inf"] == [None]
    assert loaded["run"]["nested"] == {"1": ["accepted"]}
    assert loaded["configurations"][0]["model"] == HOSTILE
    assert loaded["configurations"][0]["settings"] == {"value": None}
    broken = Configuration(model="m", settings="{not json")
    assert report(records("m", [A], changes={"configuration": broken}))["configurations"][0]["settings"] == "{not json"
