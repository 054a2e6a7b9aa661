"""The worked example of the documentation, computed; and the assumptions file it shows, read."""

import re
from pathlib import Path

from economy import FACTORS, A, R, economies, records_of

from pytest_greencode.economics import assumptions
from pytest_greencode.economics.expectation import Figure
from pytest_greencode.economics.forecast import forecast, stated_demand
from pytest_greencode.economics.payback import one_off, payback
from pytest_greencode.economics.usage import parse_usage
from pytest_greencode.reports.text import significant

DOCS = Path(__file__).parent.parent / "docs"
EXPLANATION = (DOCS / "explanation" / "economics.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference" / "assumptions.md").read_text(encoding="utf-8")


def block(text, language):
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


def test_the_worked_example():
    text = block(EXPLANATION, "toml")
    tasks = [[(3600.0, A), (3600.0, R)], [(3600.0, A), (3600.0, A)]]
    [found] = economies(records_of(tasks), text)
    [once] = economies(records_of(tasks), text, attempts_allowed=1)
    given = assumptions.parse_assumptions(text)
    paid = one_off(given, FACTORS)
    back = payback(paid.co2e_g, found.co2e_g, Figure(value=0.8, interval=(0.7, 0.9)), Figure(value=1000.0))
    computed = [
        found.co2e_g.value,
        found.money.per_accepted.value,
        found.human[0].other,
        found.human[1].other,
        100 * found.human[0].ratio.value,
        100 * found.human[0].break_even_pass_rate.value,
        found.workstation_s.value,
        once.resolved[0].total.value,
        forecast(stated_demand(given), found).month.co2e_g.value,
        paid.co2e_g.value,
        back.solutions,
        *back.solutions_span,
        back.months,
    ]
    table = EXPLANATION[EXPLANATION.index("| figure | value |") :]
    shown = re.findall(r"^\| .* \| ([0-9.]+) \|$", table, re.MULTILINE)
    assert shown == [significant(value) for value in computed]
    assert significant(found.money.per_attempt.value) == "0.00180"


def test_the_reference_shows_a_file_that_can_be_read():
    found = assumptions.parse_assumptions(block(REFERENCE, "toml"))
    assert found.alternative["snippets"].co2e_g_per_solution == 0.4
    assert [row.label for row in parse_usage(block(REFERENCE, "csv"), path="u.csv").rows] == ["backend", "data team"]


def test_every_key_is_in_the_reference():
    keys = {
        key
        for section in (
            assumptions.Money,
            assumptions.TokenPrice,
            assumptions.Hardware,
            assumptions.Human,
            assumptions.Alternative,
            assumptions.Usage,
            assumptions.OneOff,
            assumptions.Target,
        )
        for key in section.model_fields
    }
    assert [key for key in sorted(keys) if key not in REFERENCE] == []
    assert assumptions.WORKSTATION_SOURCE.split(" (")[1].split(",")[0] in REFERENCE
