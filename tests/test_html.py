"""The HTML report without a browser: its structure, its languages, what is hostile, what is missing, how big it is."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import string
from collections import Counter
from html.parser import HTMLParser

import pytest
from builders import A, R, attempt, grid, reading, real_factors
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from real_accounts import example_records

from pytest_greencode import accounting
from pytest_greencode.accounting import account
from pytest_greencode.attribution import Balance
from pytest_greencode.comparison import front
from pytest_greencode.model import (
    Configuration,
    Verdict,
)
from pytest_greencode.reports import charts, figures, plots
from pytest_greencode.reports.extras import (
    AlternativeRow,
    Amount,
    AssumptionRow,
    CascadeRow,
    ComparisonRow,
    Explanation,
    Extras,
    FactorRow,
    GateRow,
    Key,
    MoneyRow,
    MonthRow,
    OneOffRow,
    OtherWayRow,
    PaybackRow,
    RegionRow,
    Sentence,
    TakenRow,
)
from pytest_greencode.reports.html import render_html
from pytest_greencode.reports.json import render_json
from pytest_greencode.reports.text import significant
from pytest_greencode.reports.texts import LANGUAGES, TEXTS, Bilingual, reason

FACTORS = real_factors(grid(481.0, "world"))
HOSTILE = [
    "</script><img src=x onerror=\"document.title='run'\">",
    "<script>document.title='run'</script>",
    "' onmouseover='document.title=1' x='\" onfocus=\"document.title=1",
    "javascript:document.title='run'",
    "--><!--<svg onload=document.title=1>]]>",
    "{{ 7*7 }}{% raw %}{name} {0} %s %{x}",
    "\u202emoc.elpmaxe\u202c\u2066\u200b\u200e",
    "\x1b[31mred\x1b]0;title\x07\r\n\x00",
    "\ud800\udfff lone",
    "&lt;b&gt;&amp;<b>bold</b><a href='https://example.com'>here</a>",
    "x" * 10_000,
    "長い名前" * 2_000,
    "e" + "\u0301" * 200,
    "</style></pre></title></details></svg></textarea>",
    "",
]


def records(model="m", tasks=12, verdicts=(A, R), generation_j=20.0, execution_j=0.5, suite="suite", **parameters):
    return [
        attempt(
            f"T/{task}",
            number,
            model=model,
            settings=parameters,
            generation={"energy_j": generation_j},
            suite=suite,
            program_key=f"{task}/{number}",
            verdict=verdict,
            reading=reading(
                wall_s=0.1,
                peak_memory_bytes=1 << 20,
                energy_j=None if execution_j is None else execution_j * (1 + task % 3),
            ),
        )
        for task in range(tasks)
        for number, verdict in enumerate(verdicts)
    ]


BALANCE = Balance(
    meter="RAPL package-0",
    counted=True,
    counter_uj=100_000_000,
    solutions_uj=30_000_000,
    harness_uj=10_000_000,
    repetitions_uj=5_000_000,
    other_processes_uj=25_000_000,
    idle_reserved_uj=10_000_000,
    idle_rest_uj=20_000_000,
    dram_uj=4_000_000,
    duration_s=61.0,
    windows=61,
    invalid={"it was reset": 1},
)


def render(rows, facts=None, extras=None, **arguments):
    language = arguments.pop("language", "en")
    made = account(rows, FACTORS, **arguments)
    return render_html(made, facts or {}, extras=extras or Extras(), language=language, interactive=False)


VOID = {"meta", "input", "br", "img", "link", "hr", "rect", "line", "circle", "path", "polygon"}


class Page(HTMLParser):
    """Elements as (tag, attributes); text by the element it stands in; complains of what is not nested."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open, self.faults = [], [], [], []
        self.feed(text)
        self.close()
        self.faults += [f"not closed: {tag}" for tag in self.open]

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if len(dict(attributes)) != len(attributes):
            self.faults.append(f"attribute twice: {attributes}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"unexpected </{tag}> at {self.getpos()}")

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    def text(self, *tags):
        return "".join(data for tag, data in self.texts if not tags or tag in tags)


def check(text):
    """What holds for every page; gives the page."""
    page = Page(text)
    assert page.faults == []
    text.encode("utf-8")
    ids = Counter(page.values("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    links = page.values("href")
    assert [link for link in links if not link.startswith("#") or link[1:] not in ids] == []
    targets = [
        name
        for attribute in ("aria-labelledby", "for", "data-table")
        for each in page.values(attribute)
        for name in each.split()
    ]
    assert [name for name in targets if name not in ids] == []
    assert [name for name in re.findall(r"url\(#([^)]+)\)", text) if name not in ids] == []
    # Nothing is loaded, nothing runs but what the policy names by its hash.
    assert {name for _, attributes in page.elements for name in attributes if name.startswith("on")} == set()
    assert page.values("src") == page.values("style") == page.values("action") == []
    assert not {"img", "iframe", "object", "embed", "link", "base", "form", "foreignobject", "use"} & {
        tag for tag, _ in page.elements
    }
    policy = next(a["content"] for tag, a in page.elements if tag == "meta" and a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    scripts = [data for tag, data in page.texts if tag == "script"]
    for code in [*scripts, *(data for tag, data in page.texts if tag == "style")]:
        assert f"sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}" in policy
    assert len(scripts) == 1
    # What is said in one language is said in the other, next to it.
    spoken = [a["lang"] for _, a in page.elements if a.get("lang") in LANGUAGES][1:]
    assert spoken[::2] == ["en"] * (len(spoken) // 2)
    assert spoken[1::2] == ["ja"] * (len(spoken) // 2)
    shown = page.text(*({tag for tag, _ in page.texts} - {"script", "style", "pre"}))
    assert all(c.isprintable() or c in "\n\xa0" for c in shown), sorted({c for c in shown if not c.isprintable()})
    return page


def raw(text):
    """The configurations and the run, put together again from the page's raw numbers."""
    blocks = [data for tag, data in Page(text).texts if tag == "pre"]
    *configurations, run = map(json.loads, blocks)
    return {**run, "configurations": configurations}


# -- what a page says -----------------------------------------------------------------------------------------------


def test_the_example_says_what_the_account_says():
    rows = example_records()
    made = account(rows, FACTORS)
    text = render_html(made, {"started_at": "2026-11-21T10:00:00Z", "host": "lab"}, interactive=False)
    page = check(text)
    assert "2026-11-21 10:00 UTC" in page.text()
    by_name = {c.model: c for c in made.configurations}
    assert set(by_name) == {"codegemma-7b", "codellama-7b", "qwen2.5-coder-7b"}
    for name in ("codegemma-7b", "codellama-7b"):
        cost = by_name[name].per_accepted
        assert significant(cost.co2e_g * 1e3) in page.text("a")
        low, high = (significant(end * 1e3) for end in cost.interval)
        assert f"[{low}, {high}]" in page.text("small")
    # Nobody recorded the energy of these generations: unknown, and why, in both languages.
    assert "generation energy missing for 164 of 164 attempts" in page.text("span")
    assert "試行 164 件中 164 件で生成エネルギーの記録がない" in page.text("span")


def test_raw_numbers_are_those_of_the_json_report():
    made = account([*records("a"), *records("</pre>&amp;<b>\ud800", temperature=0.5)], FACTORS, balance=BALANCE)
    facts = {"host": "</pre><script>", "meter": None}
    assert raw(render_html(made, facts, interactive=False)) == json.loads(render_json(made, facts))


def test_every_headline_leads_to_its_provenance_and_on_to_its_raw_numbers():
    text = render([*records("a"), *records("b", verdicts=(R, R))])
    for anchor in ("c1", "c2"):
        assert f'<a href="#{anchor}-from">' in text
        begin = text.index(f'id="{anchor}-from"')
        assert f'href="#{anchor}-raw"' in text[begin : text.index("</details>", begin)]
        assert f'<pre tabindex="0" id="{anchor}-raw">' in text


def test_provenance_shows_unrounded_values():
    made = account(records(), FACTORS)
    text = render_html(made, {}, interactive=False)
    (configuration,) = made.configurations
    assert f"<code>{configuration.per_accepted.co2e_g!r} g</code>" in text
    assert f"<code>{configuration.energy_j.harness!r} J</code>" in text
    assert "nvml" in text


def test_verdicts_stand_in_sample_order():
    verdicts = (
        A,
        R,
        R,
        Verdict.TIMEOUT,
        Verdict.MEMORY,
        Verdict.CRASHED,
        Verdict.MALFORMED,
        Verdict.HARNESS_ERROR,
        A,
        None,
    )
    page = check(render(records(tasks=2, verdicts=verdicts)))
    shown = "".join(data for tag, data in page.texts if tag == "span")
    assert "✓✗✗TM!~H✓·" in shown


def test_nothing_accepted_is_a_lower_bound_and_never_zero():
    page = check(render(records(verdicts=(R, R, R))))
    (headline,) = [data for tag, data in page.texts if tag == "a" and data.startswith(">")]
    made = account(records(verdicts=(R, R, R)), FACTORS).configurations[0].per_accepted
    assert headline == f"> {significant(made.lower_bound_co2e_g * 1e3)}"
    assert "none accepted" in page.text("span")
    assert "合格が 1 件もない" in page.text("span")


@pytest.mark.parametrize("missing", [{"generation_j": None}, {"execution_j": None}, {"generation_j": math.nan}])
def test_missing_energy_is_a_question_mark_with_its_reason(missing):
    page = check(render(records(**missing)))
    assert ("a", "?") in page.texts
    assert "energy missing for 24 of 24 attempts" in page.text("span")


def test_an_empty_account_says_so():
    page = check(render([]))
    assert "no attempts" in page.text("span")
    assert "試行がありません" in page.text("span")


def test_attempts_that_never_finished():
    page = check(render(records(verdicts=(None, None))))
    assert TEXTS["no_finished"].en in page.text("span")


def test_suites_stand_apart():
    page = check(render([*records("m", suite="one"), *records("m", suite="two"), *records("n", suite="two")]))
    assert page.text("span").count("one") >= 1
    assert "c3-from" in page.values("id")


def test_the_machine():
    page = check(render(records(), balance=BALANCE))
    assert "64.3" not in page.text()  # own share is 45 of 70 J above idle, so others have the rest
    assert f"{100 * 25 / 70:.1f}\xa0%" in page.text("span")
    assert "it was reset" in page.text("span")


def test_cautions_and_facts_of_the_run():
    caution = {"what": "It is virtual.", "why": "Others share it.", "remedy": "Bare metal."}
    facts = {
        "meter": {"source": "model", "cautions": [caution], "idle": {"w": 12.5, "none": None}},
        "suites": [{"name": "humaneval", "sha256": "abc"}],
        "command": ["--greencode", "<b>"],
    }
    page = check(render(records(), facts))
    cells = {data for tag, data in page.texts if tag in ("td", "code")}
    assert {"It is virtual.", "Others share it.", "Bare metal.", "meter.idle.w", "12.5", "suites[0].sha256"} <= cells
    assert "--greencode <b>" in cells


def test_quarantined_tasks_are_named():
    page = check(render(records(), quarantined={"T/1": "fails its own <solution>"}))
    assert "fails its own <solution>" in page.text("td")


def test_green_capacity():
    references = [
        replace(record, program_key=f"own/{record.task_id}", reading=replace(record.reading, cpu_s=0.2))
        for record in records(verdicts=(A,))
    ]
    page = check(render(records(), references=references, weights={"run_time_s": 1.0}))
    assert "green-capacity" in page.values("id")
    assert "2.00 (12)" in page.text("td")


def test_what_other_modules_add_is_shown():
    a, b = Key("suite", "a"), Key("suite", "b")
    both = Bilingual("English <b>", "日本語 <b>")
    extras = Extras(
        sentences=(Sentence(text=both, tone="good"),),
        comparisons=(
            ComparisonRow(first=a, second=b, ratio=0.5, interval=(0.4, 0.6), tasks=12, distinguishable=True),
            ComparisonRow(
                first=b, second=a, ratio=1.9, interval=(0.9, 4.0), tasks=12, distinguishable=False, note=both
            ),
            ComparisonRow(first=a, second=b, ratio=None, interval=None, tasks=0, distinguishable=None),
        ),
        factors=(
            FactorRow(
                suite="suite",
                factor="q<",
                low="no",
                high="awq",
                ratio=1.2,
                interval=None,
                pairs=3,
                distinguishable=None,
            ),
        ),
        money=(
            MoneyRow(
                key=a,
                currency="EUR<",
                per_accepted=0.0123,
                human_minutes=5.0,
                human_money=4.5,
                human_co2e_g=2.4,
                human_seconds_equal=1.5,
            ),
        ),
        regions=(RegionRow(region="FRA", g_per_kwh=44.2, year=2024, co2e_g={a: 0.001, b: None}, source="Ember"),),
        assumptions=(AssumptionRow(name=both, value="60 W <i>", source="assumptions.toml:3"),),
        explanations=(Explanation(figure=both, formula="R = C / P", substituted="R = 3 / 2", result="1.5", key=a),),
        gate=(GateRow(field="co2e_per_accepted_g", limit="0.4", value="0.5", decision="fail", reason="above"),),
    )
    page = check(render([*records("a"), *records("b")], extras=extras))
    everything = page.text()
    for expected in (
        "English <b>",
        "日本語 <b>",
        "0.0123 EUR<",
        "4.50 EUR<",
        "0.500 [0.400, 0.600]",
        "1.20",
        "q<",
        "awq / no",
        "FRA",
        "44.2",
        "60 W <i>",
        "assumptions.toml:3",
        "= 1.5",
        "co2e_per_accepted_g",
    ):
        assert expected in everything
    for key in ("distinguishable_less", "not_distinguishable", "decision_fail", "minutes"):
        assert TEXTS[key].en.format(minutes="5.00") in page.text("span")
    # The sentences stand first, in place of the one that the page would make itself.
    assert "an accepted solution costs" not in everything
    # Without extras none of this is there.
    assert "comparisons" not in check(render(records())).values("id")


# -- languages ------------------------------------------------------------------------------------------------------


def fields(text):
    return Counter(name for _, name, _, _ in string.Formatter().parse(text) if name)


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_is_there_in_both_languages(key):
    text = TEXTS[key]
    assert text.en.strip()
    assert text.ja.strip()
    assert fields(text.en) == fields(text.ja)
    assert text.en.isascii() or set(text.en) - set(string.printable) <= set("₂κμ")


def test_most_texts_are_translated():
    same = {key for key, text in TEXTS.items() if text.en == text.ja}
    assert same <= {
        "pass_at",
        "column_k",
        "column_joules",
        "column_intensity",
        "indicator_flops",
        "human_carbon",
    }
    japanese = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
    assert {key for key, text in TEXTS.items() if not japanese.search(text.ja)} <= same


def test_every_text_is_used():
    """Literally, or as the end of a family that is made from a name."""
    from importlib import resources

    folder = resources.files("pytest_greencode.reports")
    sources = "".join(
        folder.joinpath(name).read_text("utf-8")
        for name in (
            "html.py",
            "page.py",
            "page_outlook.py",
            "page_project.py",
            "outlook_extras.py",
            "figures.py",
            "provenance.py",
            "charts.py",
            "plots.py",
            "history.py",
            "history_page.py",
            "templates/frame.html",
            "templates/parts.html",
            "templates/report.html",
            "templates/history.html",
            "templates/tests.html",
        )
    )
    families = (
        "part_",
        "verdict_",
        "method_",
        "figure_",
        "formula_",
        "indicator_",
        "decision_",
        "column_",
        "filter_",
        "distinguishable_",
        "why_",
        "criterion_",
        "payback_",
        "measure_",
        "unit_",
    )
    unused = [
        key for key in TEXTS if not key.startswith(families) and f'"{key}"' not in sources and f"'{key}'" not in sources
    ]
    assert unused == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_language_is_a_choice(language):
    page = check(render(records(), language=language))
    assert page.elements[0] == ("html", {"lang": language})
    checked = [a["id"] for tag, a in page.elements if tag == "input" and "checked" in a and a.get("name") == "language"]
    assert checked == [f"language-{language}"]
    assert TEXTS["title"]._asdict()[language] in page.text("title")


def test_another_language_is_refused():
    with pytest.raises(ValueError, match="en, ja"):
        render([], language="fr")


def test_reasons_of_the_account_are_translated():
    made = [
        account(records(verdicts=(R,)), FACTORS),
        account(records(generation_j=None, execution_j=None), FACTORS),
        account(records(verdicts=(None,)), FACTORS),
        account(records(), FACTORS, attempts_allowed=5),
        account(records(tasks=3), FACTORS),
        account(records(generation_j=-5.0), FACTORS),
        account([replace(each, extra={"chain": True}) for each in records()], FACTORS),
    ]
    texts = {
        text
        for each in made
        for configuration in each.configurations
        for text in (
            configuration.per_accepted.reason,
            configuration.per_accepted.interval_reason,
            configuration.per_accepted.this_benchmark_reason,
            configuration.pool.reason,
        )
        if text
    }
    assert len(texts) >= 9
    assert [text for text in texts if re.search("[a-zA-Z]{2}", reason(text).ja)] == []
    assert accounting.MIN_TASKS == 10
    assert reason("something new") == ("something new", "something new")


# -- hostile --------------------------------------------------------------------------------------------------------


def hostile_outlook(key, both, name):
    some = Amount(value=2.0, interval=(1.0, 4.0))
    unknown = Amount(reason=both)
    return {
        "taken": (TakenRow(key=key, criterion="fewest"),),
        "alternatives": (
            AlternativeRow(
                key=key, ratio=unknown, pass_difference_pp=unknown, tasks=1, why="not_compared", reason=both
            ),
        ),
        "other_ways": (
            OtherWayRow(
                key=key,
                name=both,
                co2e_g=1.0,
                co2e_ratio=some,
                break_even_pass_rate=1.5,
                money=1.0,
                money_ratio=unknown,
                currency=name,
            ),
        ),
        "cascades": (
            CascadeRow(
                first=key,
                first_attempts=1,
                second=key,
                second_attempts=2,
                co2e_g=some,
                pass_probability=0.5,
                ratio=some,
                pass_difference_pp=unknown,
                on_front=False,
                behind=(key,),
            ),
        ),
        "months": (
            MonthRow(
                key=key,
                label=name,
                calls=1000.0,
                solutions=unknown,
                by=both,
                energy_kwh=some,
                co2e_g=some,
                money=unknown,
                currency=name,
            ),
        ),
        "month_notes": (both,),
        "paybacks": tuple(
            PaybackRow(
                old=key,
                new=key,
                currency=currency,
                kind="never",
                one_off=some,
                saved=Amount(value=-1.0, interval=(-2.0, 0.5)),
                solutions=None,
                solutions_span=(4.0, None),
                months=None,
                months_span=None,
                per_month=None,
                reason=both,
            )
            for currency in ("", name)
        ),
        "one_off": (OneOffRow(name=both, co2e_g=unknown, money=some, currency=name),),
    }


def hostile_page(names):
    rows = []
    for number, name in enumerate(names):
        rows += records(name or str(number), tasks=2, setting=name, **{f"k{number}": name})
    rows = [
        replace(row, task_id=names[int(row.task_id[2:]) % len(names)] + row.task_id, suite=names[0]) for row in rows
    ]
    rows += [
        replace(
            row,
            configuration=Configuration(model=name, settings=name),
            generation=replace(row.generation, source=name, region=name),
        )
        for name in names
        for row in records(tasks=1)
    ]
    key = Key(names[0], names[0], names[0])
    both = Bilingual(names[0], names[0])
    extras = Extras(
        sentences=(Sentence(text=both, tone=names[0]),),
        comparisons=(
            ComparisonRow(
                first=key, second=key, ratio=2.0, interval=(1.0, 4.0), tasks=1, distinguishable=True, note=both
            ),
        ),
        factors=(
            FactorRow(
                suite=names[0],
                factor=names[0],
                low=names[0],
                high=names[0],
                ratio=1.0,
                interval=None,
                pairs=1,
                distinguishable=False,
            ),
        ),
        money=(MoneyRow(key=key, currency=names[0], per_accepted=1.0, reason=both),),
        **hostile_outlook(key, both, names[0]),
        regions=(RegionRow(region=names[0], g_per_kwh=1.0, year=None, co2e_g={key: 1.0}, source=names[0]),),
        assumptions=(AssumptionRow(name=both, value=names[0], source=names[0], method=names[0]),),
        explanations=(Explanation(figure=both, formula=names[0], substituted=names[0], result=names[0], key=None),),
        gate=(GateRow(field=names[0], limit=names[0], value=names[0], decision=names[0], reason=names[0]),),
    )
    facts = {
        "host": names[0],
        "started_at": names[0],
        names[0]: names,
        "meter": {"cautions": [{"what": names[0], "why": names[0], "remedy": names[0]}]},
        "versions": {"pytest_greencode": names[0]},
    }
    balance = replace(BALANCE, meter=names[0], invalid={names[0]: 1})
    return render(rows, facts, extras, balance=balance, quarantined={names[0] + "q": names[0]})


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_what_is_hostile_is_text(number):
    names = HOSTILE[number:] + HOSTILE[:number]
    text = hostile_page(names)
    page = check(text)
    assert {a.get("name") for tag, a in page.elements if tag == "input"} >= {"language"}
    assert not {"b>bold", "onerror"} & {name for _, a in page.elements for name in a}
    # Nothing is longer than a line of the page can bear; the whole name is in the raw numbers.
    assert max(len(data) for tag, data in page.texts if tag not in ("script", "style", "pre")) < 3_000


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=3, unique=True))
def test_any_name_is_text(names):
    check(hostile_page(names))


def test_figures_of_plotly_hold_no_markup_of_a_name():
    mark = charts.Mark(index=0, letter="A", name="<b>x</b><a href='https://example.com'>y</a>&lt;")
    point = charts.Point(mark=mark, x=1.0, y=50.0)
    chart = charts.Scatter(points=(point,), front=(), x_title=TEXTS["axis_k"], y_title=TEXTS["axis_pass"])
    assert "<b>" not in json.dumps(plots.figure(chart, "en"))
    assert "&lt;b&gt;x" in json.dumps(plots.figure(chart, "en"))


def test_all_solved_is_not_certain():
    """Of 12 tasks all are solved: Clopper & Pearson's interval is 73.5 to 100 %. As the front has it."""
    rows = [*records("all", verdicts=(A,)), *records("half", verdicts=(A, R))]
    everything, half = account(rows, FACTORS, attempts_allowed=1).configurations
    for found, value in ((everything, 100.0), (half, 50.0)):
        (point,) = front([found], 1).points
        low, high = figures._pass_interval(found)
        assert (low, high) == pytest.approx(tuple(100 * end for end in point.pass_interval))
        assert low < value <= high <= 100
    low, high = figures._pass_interval(everything)
    assert (70 < low < 80, high) == (True, 100)


# -- size -----------------------------------------------------------------------------------------------------------


def test_a_thousand_tasks_of_five_configurations_fit():
    verdicts = [A, R, R, A, R, A, Verdict.TIMEOUT, R, A, R]
    rows = [row for model in "abcde" for row in records(model, tasks=1000, verdicts=verdicts)]
    made = account(rows, FACTORS)
    text = render_html(made, {}, interactive=False)
    assert len(text.encode()) < 10e6
    assert raw(text)["configurations"][4]["tasks"][999]["task_id"] == "T/999"
    assert not re.search(r'<details open><summary id="s1-tasks"', text)


# -- pictures -------------------------------------------------------------------------------------------------------

amounts = st.floats(1e-6, 1e9) | st.sampled_from([1.0, 2.0])
signed = amounts | st.floats(-1e6, 1e6) | st.just(0.0)
intervals = st.none() | st.tuples(amounts, amounts).map(lambda pair: (min(pair), max(pair)))
TITLE = Bilingual("title", "題")


def mark(index):
    return charts.Mark(index=index, letter=charts.letter(index), name=f"model {index}")


@st.composite
def any_chart(draw):
    count = draw(st.integers(1, 9))
    kind = draw(st.integers(0, 5))
    if kind == 0:
        points = [
            charts.Point(mark=mark(i), x=draw(signed), y=draw(st.floats(0, 100)), x_interval=draw(intervals))
            for i in range(count)
        ]
        return charts.Scatter(points=tuple(points), front=((points[0].x, points[0].y),), x_title=TITLE, y_title=TITLE)
    if kind == 1:
        ks = sorted(draw(st.sets(st.sampled_from([1, 2, 3, 5, 10, 20, 50, 100]), min_size=1)))
        lines = [
            charts.Line(mark=mark(i), points=tuple((float(k), draw(signed), draw(intervals)) for k in ks))
            for i in range(count)
        ]
        return charts.Lines(lines=tuple(lines), x_title=TITLE, y_title=TITLE)
    if kind == 2:
        stacks = [
            charts.Stack(
                label=Bilingual(f"m{i}", f"m{i}"),
                values=draw(st.none() | st.fixed_dictionaries({"generation": signed, "execution": signed})),
            )
            for i in range(count)
        ]
        parts = {"generation": TITLE, "execution": TITLE}
        return charts.Stacks(stacks=tuple(stacks), parts=parts, x_title=TITLE)
    if kind == 3:
        ranges = [
            charts.Range(label=TITLE, value=draw(st.none() | signed), interval=draw(intervals), mark=mark(i))
            for i in range(count)
        ]
        return charts.Forest(ranges=tuple(ranges), x_title=TITLE)
    if kind == 4:
        return charts.BreakEven(
            one_off=draw(amounts),
            saved=(saved := draw(signed)),
            saved_interval=draw(st.none() | st.tuples(amounts, amounts).map(lambda by: (saved - by[0], saved + by[1]))),
            until=(until := draw(amounts)),
            at=draw(st.none() | st.floats(0, 1).map(lambda share: share * until)),
            x_title=TITLE,
            y_title=TITLE,
        )
    tasks = tuple(f"t{i}" for i in range(draw(st.integers(1, 30))))
    lanes = [
        charts.Lane(mark=mark(i), shares=tuple(draw(st.none() | st.floats(0, 1)) for _ in tasks)) for i in range(count)
    ]
    return charts.Lanes(tasks=tasks, lanes=tuple(lanes), x_title=TITLE)


@settings(max_examples=150, deadline=None)
@given(any_chart(), st.sampled_from([charts.WIDE, charts.NARROW]))
def test_any_chart_is_drawn_inside_its_picture(chart, width):
    picture = str(charts.svg(chart, width, "caption"))
    page = Page(picture)
    assert page.faults == []
    height = float(page.elements[0][1]["height"])
    assert "nan" not in picture
    assert "inf" not in picture
    for tag, attributes in page.elements:
        for name in ("x", "x1", "x2", "cx"):
            if name in attributes and tag != "svg":
                assert -0.1 <= float(attributes[name]) <= width + 0.1, (tag, attributes)
        for name in ("y", "y1", "y2", "cy"):
            if name in attributes and tag != "svg":
                assert -0.1 <= float(attributes[name]) <= height + 0.1, (tag, attributes)
    for language in LANGUAGES:
        json.dumps(plots.finite(plots.figure(chart, language)), allow_nan=False)


@given(signed, signed, st.integers(2, 10))
def test_ticks_are_round_and_inside(a, b, most):
    low, high = min(a, b), max(a, b)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return
    ticks = charts._Axis(low, high, 0, 100).ticks(most)
    span = high - low
    assert all(low - 1e-6 * span - 1e-9 <= tick <= high + 1e-6 * span + 1e-9 or abs(tick) > 1e5 for tick in ticks)
    assert 1 <= len(ticks) <= most + 2


def test_parts_of_a_bar_are_as_long_as_they_are_large():
    stack = charts.Stack(label=Bilingual("m", "m"), values={"generation": 3.0, "execution": 1.0})
    parts = {"generation": TITLE, "execution": TITLE}
    page = Page(str(charts.svg(charts.Stacks(stacks=(stack,), parts=parts, x_title=TITLE), 680, "c")))
    first, second = (float(a["width"]) for tag, a in page.elements if tag == "rect")
    assert first == pytest.approx(3 * second, abs=0.2)


def test_letters():
    assert [charts.letter(index) for index in (0, 25, 26, 27, 701, 702)] == ["A", "Z", "AA", "AB", "ZZ", "AAA"]


def test_marks_differ_in_more_than_colour():
    looks = {charts.shape(mark(index), 0, 0, 5) for index in range(56)}
    assert len(looks) == 56
    assert len({charts.shape(mark(index), 0, 0, 5).split(" class")[0] for index in range(8)}) == 8


# -- colours --------------------------------------------------------------------------------------------------------


def palettes():
    from importlib import resources

    css = resources.files("pytest_greencode.reports").joinpath("templates/report.css").read_text("utf-8")
    blocks = re.findall(r":root \{([^}]*)\}", css)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block)) for block in blocks]


def luminance(colour):
    def linear(value):
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    r, g, b = (linear(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(a, b):
    """WCAG 2: (lighter + 0.05) / (darker + 0.05)."""
    first, second = sorted((luminance(a), luminance(b)), reverse=True)
    return (first + 0.05) / (second + 0.05)


@pytest.mark.parametrize("number", range(3), ids=["light", "dark", "print"])
def test_colours_have_contrast(number):
    palette = palettes()[number]
    paper = palette["paper"]
    for name in ("ink", "soft", "link", "good", "bad"):
        assert contrast(palette[name], paper) >= 4.5, name
        assert contrast(palette[name], palette["panel"]) >= 4.5, name
    for name in (f"s{index}" for index in range(charts.COLOURS)):
        assert contrast(palette[name], paper) >= 3, name
    # Shades of the heat map are ordered by lightness, whatever colours one sees.
    shades = [contrast(palette[f"heat-{step}"], paper) for step in range(5)]
    assert shades == sorted(shades)
    assert shades[-1] / shades[0] > 3
