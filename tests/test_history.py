"""The history of key figures: what is written is read again, and what is broken is told."""

import pytest
from economy import A, R, economies, records_of
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode.economics.expectation import Direction
from pytest_greencode.economics.history import changes, history_text, key_figures, read_history
from pytest_greencode.errors import FileFormatError

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


def test_a_change_is_one_where_intervals_do_not_overlap(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(history_text([*run(5.0), *run(1.0)]))
    history = read_history(path)
    [worse] = changes(history, run(2.0))
    assert (worse.ratio, worse.direction) == (pytest.approx(2.0), Direction.MORE)
    [better] = changes(history, run(0.5))
    assert better.direction is Direction.LESS
    assert changes(history, run(1.0))[0].direction is Direction.UNCERTAIN
    # Other tasks are another series.
    assert changes(history, run(1.0, tasks=3)) == []
    path.write_text(history_text(run(1.0, tasks=3)))
    [few] = changes(read_history(path), run(1.0, tasks=3))
    assert few.direction is Direction.UNKNOWN
    [none] = changes(history, run(1.0, verdicts=(R, R, R)))
    assert (none.ratio, none.now.reason) == (None, "none accepted")
    # Another k is another series.
    assert changes(history, run(1.0, attempts_allowed=1)) == []


@given(st.text())
def test_any_name_survives(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("history") / "h.jsonl"
    attempts = [[(3600.0, A)]]
    figures = key_figures(economies(records_of(attempts, model=name)), at=AT)
    path.write_text(history_text(figures), encoding="ascii")
    assert list(read_history(path).lines) == figures
