"""The history of key figures: what is written is read again, and what is broken is told."""

import json
import math

import pytest
from economy import A, R, economies, records_of
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_html import check

from pytest_greencode.economics.expectation import Direction
from pytest_greencode.errors import FileFormatError
from pytest_greencode.history.figures import KeyFigures, key_figures
from pytest_greencode.history.file import history_text, read_history
from pytest_greencode.history.trend import CO2E, MEASURES, Logged, change, changes, series_of
from pytest_greencode.reports.history import trend_lines
from pytest_greencode.reports.history_page import render_history
from pytest_greencode.reports.texts import LANGUAGES, TEXTS
from pytest_greencode.reports.trackers import TRACKERS

MONEY = '[money]\ncurrency = "EUR"\nelectricity_per_kwh = 0.30\n'
AT = "2026-11-21T10:00:00Z"


def run(factor, verdicts=(A, A, R), tasks=12, text=MONEY, **arguments):
    attempts = [[(factor * (3600.0 + t), verdict) for verdict in verdicts] for t in range(tasks)]
    return key_figures(economies(records_of(attempts), text, **arguments), at=AT, revision="abc")


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "history.jsonl"
    assert read_history(path).lines == ()
    first, second = run(1.0), run(2.0, text="")
    for figures in (first, second):
        with path.open("a", encoding="utf-8") as file:
            file.write(history_text(figures))
    assert list(read_history(path).lines) == [*first, *second]
    [one] = first
    assert one.pass_at_k == pytest.approx(1.0)
    assert one.money_per_accepted == pytest.approx(one.co2e_g_per_accepted / 500 * 0.30)
    assert second[0].money_per_accepted is None


def test_a_broken_line_is_told_and_the_others_read(tmp_path):
    path = tmp_path / "history.jsonl"
    good = history_text(run(1.0))
    broken = ["{", "[]", "{}", good.replace('"m"', "3"), good.replace('"tasks"', '"task"'), "\udcff"]
    broken += [
        good.replace('"waste_share": 0', '"waste_share": 1e40, "x": 0'),
        good.replace('"waste_share": 0', '"waste_share": NaN, "x": 0'),
        good.replace('"interval": [', '"interval": [1,'),
    ]
    text = "".join(line.strip() + "\n" for line in broken) + good
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    found = read_history(path)
    assert len(found.lines) == 1
    assert [line.split(":")[1] for line in found.broken] == [str(n) for n in range(1, len(broken) + 1)]
    with pytest.raises(FileFormatError):
        read_history(tmp_path)


def test_a_step_is_told_by_the_interval_of_the_change():
    before = [*run(5.0), *run(1.0)]
    [worse] = changes(before, run(2.0))
    assert (worse.size.value, worse.direction, worse.paired) == (pytest.approx(2.0), Direction.MORE, False)
    [better] = changes(before, run(0.5))
    assert better.direction is Direction.LESS
    assert changes(before, run(1.0))[0].direction is Direction.UNCERTAIN
    # Other tasks are another series.
    assert changes(before, run(1.0, tasks=3)) == []
    [few] = changes(run(1.0, tasks=3), run(1.0, tasks=3))
    assert few.direction is Direction.UNKNOWN
    [none] = changes(before, run(1.0, verdicts=(R, R, R)))
    assert (none.size.value, none.now.reason) == (None, "none accepted")
    # Another k is another series.
    assert changes(before, run(1.0, attempts_allowed=1)) == []


def line(value, low, high, at=AT, **more):
    empty = dict.fromkeys(("revision", "pass_at_k", "money_per_accepted", "waste_share", "reason"))
    names = {"suite": "s", "model": "m", "settings": "{}", "currency": "", "tasks": 12, "attempts": 1}
    return (
        KeyFigures(at=at, **empty, **names, co2e_g_per_accepted=value, interval=(low, high))
        if not more
        else replace(line(value, low, high, at), **more)
    )


def test_two_runs_intervals_add_in_squares():
    """Half widths of log 1.3 and log 1.2 make one of sqrt(log(1.3)^2 + log(1.2)^2)."""
    found = change(CO2E, Logged(line=line(1.0, 1 / 1.3, 1.3)), Logged(line=line(2.0, 2 / 1.2, 2.4)))
    half = math.hypot(math.log(1.3), math.log(1.2))
    assert found.size.interval == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))
    # Only the ends that face each other say how small the change may be.
    skew = change(CO2E, Logged(line=line(1.0, 0.01, 1.1)), Logged(line=line(2.0, 1.9, 100.0)))
    low = math.hypot(math.log(1.1), math.log(2 / 1.9))
    assert skew.size.interval[0] == pytest.approx(2 * math.exp(-low))
    assert skew.direction is Direction.MORE


def test_a_change_within_the_margin_is_no_step():
    then, now = Logged(line=line(1.0, 0.9999, 1.0001)), Logged(line=line(1.008, 1.0079, 1.0081))
    assert change(CO2E, then, now, margin=0.0).direction is Direction.MORE
    assert change(CO2E, then, now).direction is Direction.UNCERTAIN
    assert change(CO2E, now, then, margin=0.005).direction is Direction.LESS


def test_with_their_economies_runs_are_paired_by_task():
    """Tasks that cost 1 to 12 times as much: alone each run's interval is wide, but every task costs 1.1 times."""

    def logged(factor):
        attempts = [[(factor * 3600.0 * (t + 1), A), (factor * 3600.0 * (t + 1), R)] for t in range(12)]
        found = economies(records_of(attempts), MONEY)
        return Logged(line=key_figures(found, at=AT)[0], economy=found[0])

    before, after = logged(1.0), logged(1.1)
    for measure in MEASURES[:3]:
        paired = change(measure, before, after)
        assert paired.paired
        assert paired.size.value == pytest.approx(1.1, rel=1e-3)
        assert paired.direction is Direction.MORE
        alone = change(measure, replace(before, economy=None), after)
        assert (alone.paired, alone.direction) == (False, Direction.UNCERTAIN)
    solved = next(measure for measure in MEASURES if measure.name == "pass")
    assert change(solved, before, after).direction is Direction.UNCERTAIN


def test_trends_by_series():
    lines = [line(1.0, 0.9, 1.1, f"2026-11-0{day}") for day in range(1, 5)]
    lines += [line(2.0, 1.9, 2.1, "2026-11-05"), replace(lines[0], model="other"), replace(lines[0], factors="f")]
    found = series_of([Logged(line=each) for each in lines])
    assert [len(each.lines) for each in found] == [5, 1, 1]
    (trend,) = found[0].trends  # of what is known
    assert [point.change is not None and point.change.is_step for point in trend.points] == [False] * 4 + [True]
    assert trend.overall.is_step
    assert found[1].trends[0].overall is None
    text = trend_lines(found)
    assert max(map(len, text)) <= 80
    assert any(each.endswith("2.00 [1.90, 2.10] +") for each in text)
    assert "CO2e x 2.00 [1.79, 2.25], not paired, in 2026-11-05 since 2026-11-04" in " ".join(" ".join(text).split())


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(max_size=12), st.floats(1e-300, 1e30), st.floats(0, 1), st.none() | st.floats(0, 1)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(sorted(LANGUAGES)),
)
def test_any_history_is_drawn(rows, language):
    lines = [
        line(value, value * (1 - share), value * (1 + share), at, model=at or "m", pass_at_k=passed, currency=at)
        for at, value, share, passed in rows
    ]
    found = series_of([Logged(line=each) for each in [*lines, *lines]])
    assert all(each == "" or each.isprintable() for each in trend_lines(found))
    page = check(render_history(found, language=language))
    assert page.values("id").count("summary") == 1


def test_the_page_marks_steps():
    values = [1.0, 1.0, 1.5, 1.5, 0.7]
    lines = [line(v, v * 0.95, v * 1.05, f"2026-11-0{day + 1}T00:00:00Z") for day, v in enumerate(values)]
    page = check(render_history(series_of([Logged(line=each) for each in lines])))
    sentences = [text for _, text in page.texts if "not paired" in text]
    assert ["x 0.467" in sentences[0], "x 1.50" in sentences[1]] == [True, True]
    assert sum(tag == "line" and a.get("class") == "step" for tag, a in page.elements) == 2 * 2  # wide and narrow
    assert "x 1.50" in page.text("text")
    none = check(render_history([]))
    assert TEXTS["history_none"].en in none.text()


HOSTILE = "</script><img src=x onerror=alert(1)>`|\x1b[31m\u202e"


def test_what_services_track_is_called_the_same_whatever_else_is_there():
    one = [replace(each, settings='{"t":1}') for each in run(1.0)]
    other = replace(one[0], settings='{"t":2}')
    for tool in TRACKERS.values():
        text, both = json.loads(tool(one)), json.loads(tool([*one, other]))
        if isinstance(text, list):
            assert text == both[: len(text)]
        else:
            assert {name: both[name] for name in text} == text
    entries = {each["name"].split(": ", 2)[2]: each for each in json.loads(TRACKERS["github-action-benchmark"](one))}
    assert entries["CO2e per accepted solution"]["value"] == one[0].co2e_g_per_accepted
    assert entries["money per accepted solution"]["unit"] == "EUR"
    assert entries["tasks not solved (1 - pass@3)"]["value"] == 0.0
    assert entries["tasks not solved (1 - pass@3)"]["range"].startswith("0 .. ")
    ((_, measures),) = json.loads(TRACKERS["bencher"](one)).items()
    low, high = one[0].interval
    assert measures["co2e-per-accepted"] == {
        "value": one[0].co2e_g_per_accepted,
        "lower_value": low,
        "upper_value": high,
    }
    assert all(len(slug) <= 64 for slug in measures)


def test_what_is_not_known_is_not_tracked_and_names_are_tame():
    [dark] = run(1.0, verdicts=(R,))
    names = {each["name"].rsplit(": ", 1)[1] for each in json.loads(TRACKERS["github-action-benchmark"]([dark]))}
    assert names == {"tasks not solved (1 - pass@1)", "wasted share"}
    hostile = replace(dark, model=HOSTILE * 50, suite=HOSTILE, currency=HOSTILE)
    for tool in TRACKERS.values():
        found = json.loads(tool([hostile]))
        for name in [each["name"] for each in found] if isinstance(found, list) else found:
            assert not set(name) & set("`|")
            assert name.isprintable()
            assert len(name) <= 1024


@given(st.text())
def test_any_name_survives(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("history") / "h.jsonl"
    attempts = [[(3600.0, A)]]
    figures = key_figures(economies(records_of(attempts, model=name)), at=AT)
    path.write_text(history_text(figures), encoding="ascii")
    assert list(read_history(path).lines) == figures
