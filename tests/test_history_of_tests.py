"""The history of ordinary tests: of whose runs it is, and where their cost stepped."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from builders import FACTORS
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_gate_suites import LEDGER, WATTS, fill, many, suite
from test_gate_suites import greencode as greencode
from test_html import check

from pytest_greencode.economics.expectation import Direction
from pytest_greencode.gate import Subject
from pytest_greencode.history.figures import ProjectFigures
from pytest_greencode.history.file import append_history, history_text, read_history
from pytest_greencode.history.trend import MARGIN, Change, Logged, Series, changes, series_of
from pytest_greencode.ledger import Ledger
from pytest_greencode.plain import plain_values
from pytest_greencode.reports.history import details, history_lines, size_text, steps, trend_lines
from pytest_greencode.reports.history_page import render_history
from pytest_greencode.reports.texts import LANGUAGES
from pytest_greencode.reports.trackers import TRACKERS

Greencode = Callable[..., tuple[int, str]]


def line(cpu_s: float = 0.001, *, day: int = 1, **more: object) -> ProjectFigures:
    figures = ProjectFigures(
        at=f"2026-11-{day:02}T00:00:00Z",
        revision=f"r{day}",
        selection="",
        settings='{"CPU":"a CPU"}',
        tests=12,
        passing=12,
        outcomes="same",
        startup_cpu_s=1.0,
        energy_per_passing_test_j=WATTS * cpu_s,
        energy_interval=None,
        cpu_seconds_per_passing_test=cpu_s,
        cpu_interval=None,
        co2e_per_passing_test_g=cpu_s,
        co2e_interval=None,
        waste_share=0.0,
        reason="12 of 12 passing tests ran only once",
        factors="f",
    )
    return replace(figures, **more)


def logged(runs: Sequence[Mapping[str, float]], startups: Sequence[float] = ()) -> list[Logged]:
    """Runs of tests by what each of them cost."""
    found = []
    for day, costs in enumerate(runs, start=1):
        tests: Subject = suite(costs)
        mean = math.fsum(costs.values()) / len(costs)
        startup = startups[day - 1] if startups else 1.0
        found.append(Logged(line=line(mean, day=day, startup_cpu_s=startup, tests=len(costs)), tests=tests))
    return found


def told(found: Sequence[Series]) -> list[Change]:
    return [change for series in found for change in steps(series)]


# Where a step is.


def test_a_slow_test_is_a_step_and_is_named_once() -> None:
    """Of energy and of CPU time, which are one here."""
    usual = [many(30, noise=0.02, seed=seed) for seed in range(5)]
    slow = [{**costs, "t.py::test_19": 10 * costs["t.py::test_19"]} for costs in usual]
    found = series_of(logged([*usual, *slow, *usual]))
    worse, better = told(found)
    assert (worse.now.at[:10], better.now.at[:10]) == ("2026-11-06", "2026-11-11")
    assert worse.because.startswith("t.py::test_19 ")
    assert better.because.startswith("t.py::test_19 ")
    assert "(0.098" in better.because
    assert worse.paired
    text = " ".join(" ".join(trend_lines(found)).split())
    assert text.count("step") == 1 + text.count("A step is")
    assert "paired by test, in 2026-11-06T00:00:00Z r6 since 2026-11-05T00:00:00Z r5: t.py::test_19" in text


def speeds(series: int, runs: int = 20, noise: float = 0.15) -> list[float]:
    rng = random.Random(series)
    return [rng.lognormvariate(0, noise) for _ in range(runs)]


def at(factors: Sequence[float], *, tests: int = 20, noise: float = 0.02) -> list[Logged]:
    return logged([many(tests, factor=factor, noise=noise, seed=n) for n, factor in enumerate(factors)])


def moments(found: Sequence[Series]) -> list[int]:
    """Of which runs, from 1, are steps."""
    return [int(change.now.at[8:10]) for change in told(found)]


def test_runs_of_the_same_show_how_far_a_step_is() -> None:
    """Every run is up to 30 % faster or slower as a whole, as on a busy machine: no interval of the tests shows it."""
    false = [len(told(series_of(at(speeds(series))))) for series in range(40)]
    assert sum(map(bool, false)) <= 6
    given = [len(told(series_of(at(speeds(series)), margin=MARGIN))) for series in range(10)]
    assert sum(given) >= 20  # which is what it would be without
    for series in range(5):
        first, second = speeds(series)[:10], speeds(100 + series)[:10]
        assert 11 in moments(series_of(at([*first, *(4 * speed for speed in second)])))


def test_the_margin_is_three_times_the_lower_middle_change_and_assumed_where_few_tell() -> None:
    def margin(*sizes: float) -> tuple[float, int | None]:
        factors = [1.0]
        for size in sizes:
            factors.append(factors[-1] * math.exp(size))
        trend = series_of(at(factors, noise=0.0))[0].trends[0]
        return math.log1p(trend.margin), trend.shown_by

    assumed = 3 * 0.6745 * math.sqrt(2) * 0.2
    assert margin(0.05, 0.03, 0.04, 0.02, 0.09, 0.01, 0.08, 0.07) == (pytest.approx(3 * 0.04), 8)
    assert margin(0.05, 0.03, 0.04) == (pytest.approx(assumed), 3)
    assert margin(0.05, 0.03, 0.04, 0.01) == (pytest.approx(3 * 0.05), 4)
    # A step and its repair do not hide each other.
    assert margin(0.01, 0.99, -0.99, 0.01) == (pytest.approx(assumed), 4)
    assert margin(*[0.0001] * 9) == (pytest.approx(math.log1p(MARGIN)), 9)
    assert series_of(at([1.0, 1.1]), margin=0.2)[0].trends[0].shown_by is None


def test_one_run_alone_is_no_step_and_the_latest_waits_for_the_next() -> None:
    usual = [1.0, 1.01, 0.99, 1.02, 1.0, 0.98]
    assert moments(series_of(at([*usual, 2.0, *usual]))) == []
    [latest] = told(series_of(at([*usual, 2.0])))
    assert latest.latest
    assert "the next run has to confirm it" in details(latest).en
    [known] = told(series_of(at([*usual, 2.0, 2.01])))
    assert not known.latest
    assert "the next run" not in details(known).en
    assert moments(series_of(at([*usual, 2.0, 2.01, *usual]))) == [7, 9]
    # From the first to the last, one run at either end does not count either.
    assert series_of(at([2.0, *usual, 1.0]))[0].trends[0].overall.direction is Direction.UNCERTAIN
    assert series_of(at([1.0, 1.0, *usual, 2.0, 2.0]))[0].trends[0].overall.is_step


def test_a_run_of_which_nothing_is_known_is_passed_over() -> None:
    usual = at([1.0, 1.01, 0.99, 1.02, 1.0, 1.0, 2.0, 2.0])
    dark = replace(
        usual[5], line=replace(usual[5].line, energy_per_passing_test_j=None, cpu_seconds_per_passing_test=None)
    )
    assert moments(series_of([*usual[:5], dark, *usual[6:]])) == [7]


def test_what_a_slower_machine_explains_is_no_step() -> None:
    runs = [many(30, noise=0.01, seed=n) for n in range(6)]
    runs += [many(30, factor=1.6, noise=0.01, seed=n) for n in range(6, 9)]
    startups = [1.0] * 6 + [1.6] * 3
    assert moments(series_of(logged(runs))) == [7]
    assert moments(series_of(logged(runs, startups=startups))) == []
    # Nor does it make the margin wider.
    turns = [many(30, factor=1.5 ** ((n + 1) // 2 % 2), noise=0.01, seed=n) for n in range(12)]
    speeds = [1.5 ** ((n + 1) // 2 % 2) for n in range(12)]
    assert series_of(logged(turns, startups=speeds))[0].trends[0].margin < 0.1
    assert series_of(logged(turns))[0].trends[0].margin > 0.3


def test_tests_come_and_go_and_those_of_both_runs_are_compared() -> None:
    runs = [many(30, noise=0.01, seed=n) for n in range(5)]
    more = [{**costs, "t.py::test_huge": 50.0} for costs in runs]
    [series] = series_of(logged([*runs, *more]))
    assert told([series]) == []
    change = series.trends[0].points[5].change
    assert change is not None
    assert change.remark == "left out: 1 new"
    assert change.size.value == pytest.approx(1.0, rel=0.1)
    none = series_of(logged([{"a::x": 1.0}, {"b::y": 1.0}]))[0].trends[0].points[1].change
    assert none is not None
    assert none.size.value is None
    assert "no tests in common" in str(none.size.reason)


def test_without_their_ledger_only_the_same_tests_are_compared() -> None:
    lines = [line(0.001 * (1 + 0.01 * (day % 2)), day=day) for day in range(1, 7)]
    now = line(0.004, day=8)
    [worse] = changes(lines, [now])
    assert (worse.is_step, worse.paired, worse.because) == (True, False, "")
    assert worse.size.value == pytest.approx(4 / 1.0)
    [same] = changes(lines, [line(0.00102, day=8)])
    assert not same.is_step
    [other] = changes(lines, [replace(now, outcomes="other")])
    assert (other.size.value, other.is_step) == (None, False)
    text = " ".join(" ".join(history_lines([replace(now, outcomes="other")], [other], before=lines)).split())
    assert "? since 2026-11-06T00:00:00Z r6: no interval (not the same tests" in text
    # Other conditions, other tests that were asked for, another grid: other series.
    for apart in ({"settings": "{}"}, {"selection": "-k x"}, {"factors": "g"}):
        assert changes(lines, [replace(now, **apart)]) == []
    dark = replace(now, energy_per_passing_test_j=None, reason="no energy is known of some runs")
    [by_time] = changes(lines, [dark])
    assert by_time.measure.name == "cpu"


def test_intervals_of_repeated_tests_say_how_well_a_change_is_known() -> None:
    def change(half: float) -> Change:
        then, now = (
            replace(line(cost, day=day), energy_interval=((1 - half) * WATTS * cost, (1 + half) * WATTS * cost))
            for day, cost in ((1, 0.001), (2, 0.0013))
        )
        return changes([then], [now], margin=0.01)[0]

    assert (change(0.05).is_step, change(0.3).is_step) == (True, False)
    interval = change(0.05).size.interval
    assert interval is not None
    half = math.log(1.05 / 0.95) / 2
    assert interval[0] == pytest.approx(1.3 * math.exp(-math.hypot(half, half)), rel=0.01)
    # Without repetitions the runs alone show what is noise; of two runs nothing is known yet.
    [once] = changes([line(0.001, day=1)], [line(0.0013, day=2)])
    assert not once.is_step
    assert size_text(once) == "x 1.30"


def test_the_simulation_behind_the_documented_rates_finds_what_it_put_in() -> None:
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    import history_steps as simulation

    quiet, rng = simulation.MACHINES["2 % from run to run"], random.Random(1)
    assert (10, False) in simulation.steps(list(simulation.history(rng, quiet, 20, 2.0)))
    assert simulation.steps(list(simulation.history(rng, quiet, 5))) == []


# The file, and what is shown.


def test_lines_of_both_kinds_are_read_again_and_broken_ones_told(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    whole = [line(), line(day=2, selection=None, startup_cpu_s=None, energy_interval=(0.0, 1.0))]
    append_history(path, whole)
    good = history_text([line()])
    broken = [
        good.replace('"tests": 12', '"tests": -1'),
        good.replace('"tests": 12', '"tests": 1.5'),
        good.replace('"passing"', '"passed"'),
        good.replace('"of": "tests"', '"of": "else"'),
        good.replace('"of": "tests"', '"of": []'),
        good.replace('"of": "tests", ', ""),
        good.replace('"startup_cpu_s": 1.0', '"startup_cpu_s": 1e99'),
        good.replace('"startup_cpu_s": 1.0', f'"startup_cpu_s": {10**400}'),
        good.replace('"startup_cpu_s": 1.0', '"startup_cpu_s": NaN'),
        good.replace('"energy_interval": null', '"energy_interval": [1]'),
        "3\n",
    ]
    with path.open("a", encoding="ascii") as file:
        file.writelines(broken)
    found = read_history(path)
    assert list(found.lines) == whole
    assert [each.split(":")[1] for each in found.broken] == [str(n) for n in range(3, 3 + len(broken))]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=12), st.none() | st.floats(0, 1e29), st.integers(0, 10**9)), min_size=1, max_size=5
    ),
    st.sampled_from(sorted(LANGUAGES)),
)
@example(rows=[("", 1e12, 0), ("", 1e-142, 0), ("", 1e29, 0), ("", 1e-310, 0)], language="en")
def test_any_history_is_drawn(rows: list[tuple[str, float | None, int]], language: str) -> None:
    lines = [
        replace(
            line(),
            at=text,
            revision=text,
            selection=text,
            settings=text,
            tests=count,
            passing=count,
            energy_per_passing_test_j=cost,
            energy_interval=None if cost is None else (cost / 2, cost),
            reason=text,
        )
        for text, cost, count in rows
    ]
    found = series_of([Logged(line=each) for each in [*lines, *lines]])
    shown = [*trend_lines(found), *history_lines(lines, changes(lines, lines), before=lines)]
    assert all(each == "" or each.isprintable() for each in shown)
    page = check(render_history(found, language=language))
    assert page.values("id").count("summary") == 1
    for tool in TRACKERS.values():
        json.loads(tool(lines))


def test_hostile_names_are_shown_and_not_obeyed() -> None:
    name = "t.py::test[</script><img src=x onerror=alert(1)>\x1b[31m\u202e]"
    usual = [{**many(12), name: 0.01 + 0.0001 * n} for n in range(5)]
    found = series_of(logged([*usual, {**many(12), name: 1.0}]))
    lines = trend_lines(found)
    assert all(each == "" or each.isprintable() for each in lines)
    assert max(map(len, lines)) <= 80
    page = check(render_history(found))
    assert any("onerror" in text for _, text in page.texts)
    assert not any("onerror" in attributes for _, attributes in page.elements)


# The command.


def test_the_trend_of_a_ledger(greencode: Greencode) -> None:
    for digit in "1234":
        fill(digit * 32, many(20, noise=0.01, seed=int(digit)), commit=f"abc000{digit}")
    fill("5" * 32, {**many(20), "t.py::test_19": 1.0})
    fill("6" * 32, many(3), selection=["-k", "test_1"])
    fill("7" * 32, many(20), selected=25)
    code, text = greencode("history", "--html", "trend.html")
    assert code == 0
    assert "conditions CPU CPU one; Python 3.11; meter a model, attributed; pytest 9; repeat 1; workers 0" in text
    assert "2026-11-22 00:00 abc0001" in text
    assert "2026-11-22 00:00 run 55555555" in text
    assert "margin x 1.77 or x 0.564, assumed in part: 4 of 8 changes that would show it" in text
    assert "(the next run has to confirm it)" in text
    assert "since 2026-11-22T00:00:04Z abc0004: t.py::test_19 4 J, was 2" in text
    assert "tests of -k" not in text
    assert "left out: 1 run of other tests or conditions, none twice; --run ID shows one" in text
    assert "tests of -k test_1" in greencode("history", "--run", "6666")[1]
    assert "left out: run 77777777, 5 of 25 selected tests did not run to their end" in text
    assert "t.py::test_19" in Path("trend.html").read_text(encoding="utf-8")
    assert "t.py::" not in greencode("history", "--run", "4444")[1]
    assert "margin x 1.10 or x 0.909, as given" in greencode("history", "--margin", "10%")[1]
    assert "found ''" in greencode("history", "--margin", "")[1]


def test_samples_keep_the_sites_of_their_last_run(greencode: Greencode) -> None:
    """A run of tests later, in another place, moves no grams of theirs."""
    fill("1" * 32, many(20), samples=True)
    before = greencode("history")[1]
    fill("2" * 32, many(20))
    other = plain_values(replace(FACTORS, generation=replace(FACTORS.generation, g_per_kwh=1.0)))
    fill("3" * 32, many(20), factors=other)
    after = greencode("history")[1]
    grams = re.search(r"2026-11-22 00:00 11111111 [^J]*?(\S+ \[[^]]*\])", before)
    assert grams is not None
    assert grams[1] in after


def test_a_file_that_each_run_adds_to(greencode: Greencode) -> None:
    fill("1" * 32, many(20), commit="abc0001+")
    code, text = greencode("history", "h.jsonl")
    assert (code, text.startswith("new tests: ")) == (0, True)
    assert "CPU time per passing test, 20 of 20 passing" in text
    assert "this run is in h.jsonl already, and is not added again" in greencode("history", "h.jsonl")[1]
    fill("2" * 32, many(20, factor=3))
    code, text = greencode("history", "h.jsonl", "--revision", "v2")
    assert "x 3.00 since 2026-11-22T00:00:01Z abc0001+: more (margin x 1.77 or x 0.564)" in text
    lines = read_history(Path("h.jsonl")).lines
    assert [each.revision for each in lines] == ["abc0001+", "v2"]
    assert lines[0].outcomes == lines[1].outcomes  # the same tests passed, whatever they cost
    code, text = greencode("history", "h.jsonl", "--region", "FRA")
    assert "other factors since 2026-11-22T00:00:02Z v2: not compared" in text
    fill("4" * 32, many(19))
    assert "(not the same tests, or not the same of them passed)" in greencode("history", "h.jsonl")[1]
    with Path("h.jsonl").open("a") as file:
        file.write("{\n" * 9)
    fill("5" * 32, many(19))
    assert "not read h.jsonl:5: " in (text := greencode("history", "h.jsonl")[1])
    assert "and 4 more lines" in text
    fill("6" * 32, many(20), selected=21)
    code, text = greencode("history", "h.jsonl")
    assert code == 4
    assert "1 of 21 selected tests did not run to their end, and what is in the history stays; run it anew" in text
    assert len(read_history(Path("h.jsonl")).lines) == 5


def test_runs_of_other_commits_are_not_the_machine_s_noise(greencode: Greencode) -> None:
    for digit in "123":
        fill(digit * 32, many(20, noise=0.01, seed=int(digit)), commit="abc0001")
    fill("4" * 32, many(20, factor=50), commit="abc0002")
    fill("5" * 32, many(20, noise=0.01), commit="abc0001")
    code, text = greencode("check", "--aa")
    assert code == 0
    assert "runs 55555555, 33333333, 22222222, 11111111" in text
    assert "44444444" in greencode("check", "--aa", "4444", "5555")[1]  # who names runs knows what they are


def test_services_that_track_figures_get_those_of_tests(greencode: Greencode) -> None:
    fill("1" * 32, many(20), selection=["tests/unit", "-k", "a|b`"])
    code, text = greencode("export", "--format", "bencher")
    assert code == 0
    ((name, measures),) = json.loads(text).items()
    assert name == r"tests of tests/unit -k a\x7cb\x60 (Python 3.11)"
    mean = math.fsum(many(20).values()) / 20
    assert measures["cpu-time-per-passing-test"] == {"value": pytest.approx(mean)}
    assert measures["energy-per-passing-test"] == {"value": pytest.approx(WATTS * mean)}
    entries = json.loads(greencode("export", "--format", "github-action-benchmark")[1])
    assert entries[0]["name"] == rf"{name}: energy per passing test"
    assert entries[0]["extra"] == "20 tests, run of 2026-11-22T00:00:01Z"
    fill("2" * 32, many(20), selected=21)
    assert greencode("export", "--format", "bencher")[0] == 4
    fill("3" * 32, many(20), repeat=3)
    assert "tests (Python 3.11, repeat 3)" in json.loads(greencode("export", "--format", "bencher")[1])


def test_a_run_keeps_its_commit_and_which_tests_it_is_of(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", "-C", str(tmp_path)]

    def facts(*arguments: str) -> dict[str, object]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--greencode", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        ledger = Ledger(tmp_path / LEDGER, read_only=True)
        try:
            run_id = ledger.last_run(with_tests=True)
            assert run_id is not None
            return ledger.facts(run_id)
        finally:
            ledger.close()

    before = facts()
    assert (before["commit"], before["selection"]) == (None, [])
    for command in (["init", "-q"], ["add", "test_a.py"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    clean = facts("-k", "test_a", "./test_a.py")
    assert clean["commit"] == commit[:7]
    assert clean["selection"] == ["test_a.py", "-k", "test_a"]
    with (tmp_path / "test_a.py").open("a") as file:
        file.write("def test_c(): pass\n")
    assert facts(".")["commit"] == f"{commit[:7]}+"


def test_what_selects_tests_is_kept_however_it_is_spelled(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = slow\n")
    sub = pytester.mkdir("sub")
    for place in (pytester.path, sub):
        (place / f"test_{place.name.replace('-', '_')}.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    name = "sub/test_sub.py"

    def selection(*arguments: str, place: Path = pytester.path) -> object:
        command = [sys.executable, "-m", "pytest", "-q", "--greencode", *arguments]
        subprocess.run(command, cwd=place, check=False, capture_output=True)
        ledger = Ledger(pytester.path / LEDGER, read_only=True)
        try:
            run_id = ledger.last_run(with_tests=True)
            assert run_id is not None
            assert ledger.facts(run_id)["command"] == ["-q", "--greencode", *arguments]
            return ledger.facts(run_id)["selection"]
        finally:
            ledger.close()

    assert selection() == selection(".") == selection(str(pytester.path)) == selection("sub", ".") == []
    assert selection(f"{name}::test_a") == [f"{name}::test_a"]
    assert selection(place=sub) == selection("sub/") == selection(str(sub)) == ["sub"]
    assert selection("--deselect", f"{name}::test_a", "-m", "not slow") == [
        *("-m", "not slow", "--deselect", f"{name}::test_a")
    ]
    assert selection("--ignore=sub", "--ignore-glob=*.x") == ["--ignore", "sub", "--ignore-glob", "*.x"]
    assert selection("--lf") == ["--lf"]
