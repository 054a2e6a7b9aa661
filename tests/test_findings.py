"""What follows from an account: against numbers by hand, as text of 80 columns, as JSON, and from the command line."""

import json
import math
import re
import sqlite3
from pathlib import Path

import pytest
from builders import FACTORS, attempt, fill_ledger, machine, valid_report
from msgspec.structs import replace

from pytest_greencode import cli
from pytest_greencode.accounting import account
from pytest_greencode.carbon import S_PER_YEAR
from pytest_greencode.economics.assumptions import Assumptions, parse_assumptions
from pytest_greencode.economics.payback import ClaimKind, PaybackKind
from pytest_greencode.findings import find
from pytest_greencode.ledger import Ledger
from pytest_greencode.model import J_PER_KWH, Configuration, Method, Verdict
from pytest_greencode.plain import plain_values
from pytest_greencode.pricing import Pricing
from pytest_greencode.reports.compare import compare_lines, outlook_lines
from pytest_greencode.reports.json import render_json
from pytest_greencode.reports.page_extras import extras_of
from pytest_greencode.reports.registry import render_report

TASKS = 24


def of_model(model, solved, energy_j=20.0, attempts=2, **changes):
    """A model that solves every `solved`th task at its second attempt."""
    return [
        attempt(
            f"HumanEval/{t}",
            i,
            accepted=i == 1 and t % solved == 0,
            model=model,
            generation={"energy_j": energy_j + t, **changes.get("generation", {})},
            **{name: value for name, value in changes.items() if name != "generation"},
        )
        for t in range(TASKS)
        for i in range(attempts)
    ]


RECORDS = [*of_model("small", 2, 10.0), *of_model("big", 1, 100.0), *of_model("wasteful", 3, 200.0)]
MONEY = parse_assumptions(
    """
[money]
currency = "EUR"
electricity_per_kwh = 0.25
[human]
minutes_per_task = 12
hourly_rate = 50
[usage]
calls_per_day = 400
days_per_month = 30
[one_off.quantising]
energy_kwh = 3.2
money = 100
[target]
pass_at_k = 0.3
"""
)


def found_in(records, assumptions=MONEY, **arguments):
    accounted = account(records, FACTORS)
    return accounted, find(accounted, records, assumptions, **arguments)


def test_a_suite_side_by_side():
    _, found = found_in(RECORDS)
    (suite,) = found.suites
    assert [each.model for each in suite.configurations] == ["small", "big", "wasteful"]
    assert suite.k == 2
    assert [(c.a.configuration.model, c.b.configuration.model) for c in suite.comparisons] == [
        ("small", "big"),
        ("small", "wasteful"),
        ("big", "wasteful"),
    ]
    assert {p.configuration.model for p in suite.front.points if p.on_front} == {"small", "big"}
    assert suite.selection.chosen.configuration.model == "small"
    # From the best of the others to the cheapest.
    assert (suite.decision.old.model, suite.decision.new.model) == ("big", "small")
    assert len(suite.stoppings) == 3


def test_many_configurations_are_compared_with_the_cheapest_only():
    records = [record for i in range(8) for record in of_model(f"m{i}", 2, 10.0 * (i + 1))]
    _, found = found_in(records)
    assert [c.a.configuration.model for c in found.suites[0].comparisons] == ["m0"] * 7


def test_the_decision_is_between_those_that_are_named():
    _, found = found_in(RECORDS, old=Configuration(model="wasteful"), new=Configuration(model="small"))
    decision = found.suites[0].decision
    assert (decision.old.model, decision.new.model) == ("wasteful", "small")
    # 10 J + t against 200 J + t, and more tasks solved: less at better quality.
    assert decision.claim.kind is ClaimKind.LESS
    saved = 1 - decision.new.per_accepted.co2e_g / decision.old.per_accepted.co2e_g
    assert decision.claim.saved.value == pytest.approx(saved)
    assert decision.payback_g.kind is PaybackKind.PAYS_BACK
    once = found.one_off.co2e_g.value
    each = decision.old.per_accepted.co2e_g - decision.new.per_accepted.co2e_g
    assert decision.payback_g.solutions == pytest.approx(once / each)
    a_month = 400 * 30 * decision.old.pass_at[1]  # what is in use is what will be replaced
    assert decision.payback_g.months == pytest.approx(once / each / a_month)


def test_a_pair_that_does_not_share_its_grid_has_a_band():
    """Cheaper by a tenth: told apart on one grid, and not where each has its own of a tenth more or less."""
    at = {"source": "meter", "pue_included": True}
    records = [
        *of_model("here", 1, 100.0, generation=at),
        *of_model("same", 1, 90.0, generation=at),
        *of_model("away", 1, 90.0, generation=at | {"region": "AWA"}),
    ]
    away = replace(FACTORS.generation, region="AWA")
    pricing = Pricing(FACTORS, {"AWA": away}.get)
    found = find(accounted := account(records, pricing), records, MONEY, pricing)
    ratios = {(c.a.configuration.model, c.b.configuration.model): c.co2e_g for c in found.suites[0].comparisons}
    shared, apart = ratios["same", "here"], ratios["away", "here"]
    assert apart.value == pytest.approx(shared.value, rel=1e-12)
    assert apart.interval == pytest.approx(shared.interval)
    assert (shared.robust, apart.robust, shared.doubt, apart.doubt) == (True, False, None, "grid AWA")
    assert shared.systematic.p95 / shared.systematic.p5 < 1.02
    assert apart.systematic.p95 / apart.systematic.p5 == pytest.approx(1.1 ** (2 * math.sqrt(2)), rel=0.05)
    assert apart.systematic.p5 < apart.value < apart.systematic.p95
    text = " ".join("\n".join(compare_lines(found)).split())
    doubt = "not distinguishable once what is uncertain of grid AWA is counted"
    assert f"CO2e per accepted solution than here, but {doubt}; pass@2" in text
    assert "systematic away / here 0.9" in text
    assert "same / here 0.9" not in text
    page = render_report("html", accounted, {}, found)
    assert "not distinguishable once grid, machines and meters are counted" in page
    loaded = valid_report(render_json(accounted, {}, found))
    undone = [c for c in loaded["comparisons"] if c["co2e_g"]["distinguishable"] and not c["co2e_g"]["robust"]]
    assert [(c["a"]["configuration"]["model"], c["b"]["configuration"]["model"]) for c in undone] == [("away", "here")]
    decided = find(accounted, records, MONEY, pricing, old=Configuration(model="here"), new=Configuration(model="away"))
    assert decided.suites[0].decision.claim.doubt == "grid AWA"
    sentence, *_ = extras_of(decided, FACTORS).sentences
    assert sentence.text.en.endswith(doubt)
    assert sentence.text.ja.endswith("grid AWAの不確かさを含めると区別できない")
    assert sentence.tone == "neutral"


def test_a_chain_has_its_band_too():
    records = [replace(each, extra={"chain": True}) for each in (*of_model("a", 1, 10.0), *of_model("b", 1, 90.0))]
    _, found = found_in(records)
    (pair,) = found.suites[0].comparisons
    assert pair.co2e_g.robust
    assert pair.co2e_g.systematic.p5 < pair.co2e_g.value < pair.co2e_g.systematic.p95


def test_what_is_paid_once_has_the_run_itself():
    accounted, found = found_in(RECORDS)
    spent = math.fsum(c.co2e_g.total for c in accounted.configurations)
    assert found.one_off.co2e_g.value == pytest.approx(3.2 * FACTORS.generation.g_per_kwh + spent)


def test_other_grids_move_the_operational_part_only():
    accounted, found = found_in(RECORDS)
    for configuration in accounted.configurations:
        rows = {row.region: row for row in found.regions[configuration.suite, configuration.model, "{}"]}
        here = rows["WOR"]
        assert here.total_g == pytest.approx(configuration.per_accepted.co2e_g)
        assert here.operational_g == pytest.approx(configuration.per_accepted.operational_g)
        kwh = configuration.per_accepted.operational_g / FACTORS.execution.g_per_kwh
        assert rows["FRA"].operational_g == pytest.approx(kwh * rows["FRA"].g_per_kwh)
        assert rows["FRA"].total_g - rows["FRA"].operational_g == pytest.approx(here.total_g - here.operational_g)


def test_embodied_carbon_by_use():
    accounted, found = found_in(RECORDS)
    calls = 400 * 30 * 12 * 4
    for configuration in accounted.configurations:
        by_use = found.by_use["humaneval", configuration.model, "{}"]
        each = FACTORS.generation_machine.embodied_g / calls + FACTORS.execution_machine.embodied_g / 96 / calls
        kappa = configuration.retry[2].correctness_coefficient
        assert by_use.uses == pytest.approx([calls, calls])
        assert by_use.per_attempt_g == pytest.approx(each)
        assert by_use.per_accepted_g == pytest.approx(each * kappa)
        assert by_use.by_time_g == configuration.per_accepted.embodied_g
    assert FACTORS.generation_machine.lifetime_s == 4 * S_PER_YEAR
    _, without = found_in(RECORDS, Assumptions())
    assert without.by_use["humaneval", "small", "{}"].reason.startswith("nobody says how often")


def test_several_devices_have_no_common_use():
    records = [attempt("a", i, generation={"gpu_model": name}) for i, name in enumerate(("H100", "A100"))]
    accounted = account(records, FACTORS)
    pricing = Pricing(FACTORS, machine_for=lambda name: machine(name))
    found = find(accounted, records, MONEY, pricing)
    assert found.by_use["humaneval", "model", "{}"].reason == "the generator's device is not one and the same"


def test_escapes_to_a_stronger_suite():
    stronger = [
        replace(record, suite="humanevalplus", verdict=Verdict.REJECTED)
        if record.task_id == "HumanEval/0"
        else replace(record, suite="humanevalplus")
        for record in of_model("small", 2, 10.0)
    ]
    _, found = found_in(RECORDS, hidden=stronger)
    (escape,) = found.escapes
    assert (escape.configuration.model, escape.escaped, escape.accepted) == ("small", 1, TASKS // 2)
    assert escape.escape_rate == pytest.approx(1 / (TASKS // 2))


@pytest.mark.parametrize("records", [[], [attempt("a")], [attempt("a", generation={"energy_j": None})], RECORDS])
@pytest.mark.parametrize("assumptions", [Assumptions(), MONEY])
def test_every_report_shows_what_there_is(records, assumptions):
    accounted, found = found_in(records, assumptions)
    for width in (40, 80):
        lines = [*compare_lines(found, width=width), *outlook_lines(found, width=width)]
        assert max(map(len, lines)) <= width
        assert all(line == "" or line.isprintable() for line in lines)
    report = valid_report(render_json(accounted, {}, found))
    assert len(report["findings"]["economy"]) == len(accounted.configurations)
    assert render_report("html", accounted, {}, found)


def test_findings_in_the_page():
    accounted, found = found_in(RECORDS)
    extras = extras_of(found, accounted.factors)
    assert len(extras.comparisons) == 3
    assert {row.key.model for row in extras.money} == {"small", "big", "wasteful"}
    texts = [sentence.text.en for sentence in extras.sentences]
    assert len(texts) == 3 + 1 + 1  # the claim, payback in grams and in money; what to take; when to stop
    assert "Fewest grams at pass@2 of 30.0 % or more, with 95 % confidence: small" in texts
    assert {row.formula for row in extras.explanations} == {"R_k = Σ C_k / Σ P_k", "κ_k = Σ A_k / Σ P_k"}
    for row in extras.explanations:
        top, bottom = (float(part.split()[0]) for part in row.substituted.split(" / "))
        assert top / bottom == pytest.approx(float(row.result.split()[0]), rel=1e-4)
    assert all(sentence.text.en and sentence.text.ja for sentence in extras.sentences)
    assert any("100 currency" in row.value for row in extras.assumptions)


HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m\r\n=1+1\u202e"


def test_hostile_names_are_text_everywhere():
    records = [
        *of_model(HOSTILE, 2, 10.0, generation={"gpu_model": HOSTILE, "source": HOSTILE}),
        *of_model("m" + HOSTILE, 1, settings={HOSTILE: HOSTILE}),
    ]
    accounted, found = found_in(records, old=Configuration(model=HOSTILE))
    lines = [*compare_lines(found), *outlook_lines(found)]
    assert all(line == "" or line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 80
    page = render_report("html", accounted, {}, found)
    assert "<img src=x" not in page
    assert "\x1b" not in page
    json.loads(render_json(accounted, {}, found))


def test_factors_are_told_one_at_a_time():
    records = [
        *of_model("m", 2, 10.0, settings={"quantization": "awq"}),
        *of_model("m", 2, 20.0, settings={"quantization": "none"}),
    ]
    _, found = found_in(records)
    text = "\n".join(compare_lines(found))
    assert "quantization none over awq" in " ".join(text.split())


# The command line.

RUN = "0" * 32


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = Path(".greencode/ledger.sqlite")
    fill_ledger(path, RUN, RECORDS, {"started_at": "2026-11-22T00:00:00Z"})
    return path


def greencode(capsys, *arguments):
    code = cli.main([str(each) for each in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def set_facts(path, **facts):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE run SET facts = ?", (json.dumps(facts),))
    connection.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["report"],
        ["report", "--explain", "small"],
        ["report", "--format", "markdown"],
        ["report", "--format", "html"],
        ["report", "--json"],
        ["report", "--format", "csv"],
        ["report", "--format", "badge"],
        ["compare"],
        ["forecast"],
        ["history", "h.jsonl"],
        ["export"],
    ],
    ids=" ".join,
)
def test_a_run_that_kept_no_factors_is_priced_with_a_caution(ledger, capsys, arguments):
    caution = "the run does not say its grid, PUE and machines; assumed: the world's grid"
    code, out, err = greencode(capsys, *arguments)
    assert code == 0
    said = " ".join((err if arguments[-1] in ("csv", "badge", "export") else out).split())
    assert caution in re.sub("[`]", "", said.replace("&#39;", "'"))
    sites = ("--region", "DEU", "--machine", "laptop", "--generation-machine", "H100", "--pue", "1.2")
    assert "assumed: " not in "".join(greencode(capsys, *arguments, *sites)[1:])
    set_facts(ledger, factors=plain_values(FACTORS))
    assert "assumed: " not in "".join(greencode(capsys, *arguments)[1:])


def test_old_and_new_from_the_ledger_to_every_report(ledger, capsys):
    """The change that is named is the one judged; no other, and the other way round with the other sign."""
    code, out, _ = greencode(capsys, "report", "--json", "--old", "wasteful", "--new", "small")
    assert code == 0
    report = valid_report(out)
    (suite,) = report["findings"]["suites"]
    decision = suite["decision"]
    assert (decision["old"]["model"], decision["new"]["model"]) == ("wasteful", "small")
    costs = {each["model"]: each["per_accepted"]["co2e_g"] for each in report["configurations"]}
    assert decision["claim"]["saved"]["value"] == pytest.approx(1 - costs["small"] / costs["wasteful"], rel=1e-9)
    share = f"{100 * decision['claim']['saved']['value']:.3g}"
    for arguments in (["compare"], ["forecast"], ["report", "--format", "html"]):
        code, out, _ = greencode(capsys, *arguments, "--old", "wasteful", "--new", "small")
        assert code == 0
        text = " ".join(out.replace("\u00a0", " ").split())
        assert f"small: {share} % [" in text, arguments
        assert "less CO2e per accepted solution than wasteful" in text
    _, out, _ = greencode(capsys, "compare", "--old", "small", "--new", "wasteful")
    assert "more CO2e per accepted solution than small, while their quality is not told apart" in " ".join(out.split())
    _, out, _ = greencode(capsys, "compare", "--old", "small", "--new", "big")
    assert "more CO2e per accepted solution than small, at better quality" in " ".join(out.split())
    code, _, err = greencode(capsys, "compare", "--old", "small", "--new", "small")
    assert (code, "both are small" in err) == (4, True)


def test_compare(ledger, capsys):
    code, out, _ = greencode(capsys, "compare", "--target", "40%")
    assert code == 0
    assert "small takes" in " ".join(out.split())
    assert "select" in out
    assert max(map(len, out.splitlines())) <= 80


def test_forecast_takes_the_file(ledger, capsys):
    Path("a.toml").write_text('[money]\ncurrency = "EUR"\nelectricity_per_kwh = 0.25\n', encoding="utf-8")
    code, out, _ = greencode(capsys, "forecast", "--assumptions", "a.toml")
    assert code == 0
    assert "EUR" in out
    assert "a.toml:3" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[money]\nelectricity_per_kwh = 0.25\n", "a.toml:2"),
        ("[money]\ncurrency = 3\n", "a.toml:2"),
        ("[mony]\n", "a.toml"),
        ("[money\n", "a.toml:1"),
    ],
)
def test_a_slip_in_the_file_is_told_by_its_line(ledger, capsys, text, message):
    Path("a.toml").write_text(text, encoding="utf-8")
    code, out, err = greencode(capsys, "forecast", "--assumptions", "a.toml")
    assert (code, out) == (4, "")
    assert message in err.replace("\n", "")


def test_what_does_not_exist_is_said(ledger, capsys):
    for arguments, message in (
        (["compare", "--assumptions", "none.toml"], "no such file"),
        (["compare", "--stronger", "nobody"], "no attempts of such a run"),
        (["report", "--explain", "nobody"], "no such configuration or task"),
        (["report", "--region", "XYZ"], "unknown region"),
        (["report", "--machine", "0kg"], "kgCO2e above 0"),
    ):
        code, out, err = greencode(capsys, *arguments)
        assert (code, out) == (4, ""), arguments
        assert message in " ".join(err.split())


def test_explain_a_task(ledger, capsys):
    code, out, _ = greencode(capsys, "report", "--explain", "small:HumanEval/2")
    assert code == 0
    assert "What the task HumanEval/2 costs" in out
    assert out.count("    attempt: ") == 2


def test_the_history_grows_and_tells_changes(ledger, capsys, tmp_path):
    code, out, _ = greencode(capsys, "history", "h.jsonl", "--revision", "one")
    assert (code, out.splitlines()[0].split()[0]) == (0, "new")
    with Path("h.jsonl").open("a", encoding="utf-8") as file:
        file.write("{broken\n")
    code, out, _ = greencode(capsys, "history", "h.jsonl", "--region", "FRA")
    assert code == 0
    assert "since 2026-11-22T00:00:00Z one" in " ".join(out.split())
    assert "not read" in out
    assert len(Path("h.jsonl").read_text(encoding="utf-8").splitlines()) == 7
    Path("folder").mkdir()
    code, _, err = greencode(capsys, "history", "folder")
    assert code == 4
    assert "folder" in err


def test_sites_can_be_changed_afterwards(ledger, capsys):
    def grams(*arguments):
        _, out, _ = greencode(capsys, "report", "--json", *arguments)
        return json.loads(out)["configurations"][0]["per_accepted"]

    world, france = grams(), grams("--region", "FRA")
    assert france["embodied_g"] == pytest.approx(world["embodied_g"])
    assert france["operational_g"] == pytest.approx(world["operational_g"] * 44.18 / 473.01)
    own = grams("--generation-machine", "1000kg/4y", "--machine", "96kg/4y/96")
    twice = grams("--generation-machine", "2000kg/4y", "--machine", "96kg/4y/48")
    for part in ("embodied_generation", "embodied_execution"):
        assert twice["parts_g"][part] == pytest.approx(2 * own["parts_g"][part])
    facility = grams("--pue", "1.5", "--generation-pue", "1.5")
    assert facility["operational_g"] == pytest.approx(1.5 * world["operational_g"])


def test_the_run_s_own_sites_are_the_default(ledger, capsys):

    book = Ledger(ledger)
    book.begin(RUN, "2026-11-22T00:00:00Z", {"factors": plain_values(replace(FACTORS, execution_pue=2.0))})
    book.close()
    _, out, _ = greencode(capsys, "report", "--json")
    factors = json.loads(out)["factors"]
    assert (factors["execution_pue"], factors["generation_machine"]["name"]) == (2.0, "H100")
    book = Ledger(ledger)
    book.begin(RUN, "2026-11-22T00:00:00Z", {"factors": {"generation": 3}})
    book.close()
    code, _, err = greencode(capsys, "report")
    assert code == 4
    assert "factors are not as this version writes them" in " ".join(err.split())


def test_a_generation_without_energy_stays_unknown():
    records = [attempt("a", generation={"energy_j": None, "energy_method": Method.MISSING})]
    accounted, found = found_in(records)
    assert accounted.configurations[0].per_accepted.co2e_g is None
    assert found.regions == {}
    assert "?" in "\n".join(outlook_lines(found))


def test_water_and_primary_energy_by_factors_of_one_s_own():
    factors = replace(FACTORS, execution_pue=1.0, generation_pue=1.5)
    records = [attempt("a", energy_j=0.0)]  # 20 J of generation: 30 J at the meter
    text = "[impacts]\nwater_site_l_per_kwh = 0.5\nwater_grid_l_per_kwh = 3\nprimary_energy_mj_per_kwh = 10\n"
    accounted = account(records, factors)
    (economy,) = find(accounted, records, parse_assumptions(text)).economies
    assert economy.water_l == pytest.approx((20 * 0.5 + 30 * 3) / J_PER_KWH)
    assert economy.primary_energy_mj == pytest.approx(30 * 10 / J_PER_KWH)
    (economy,) = find(accounted, records, Assumptions()).economies
    assert economy.water_l is economy.primary_energy_mj is None


def test_a_person_s_work_is_per_task_when_deciding_when_to_stop():
    # Solved tasks are cheap to do by hand and unsolved ones dear, so that means over tasks would mislead.
    hard = {f"HumanEval/{t}": 100 for t in range(1, TASKS, 2)}
    minutes = "".join(f'[human.tasks."{task}"]\nminutes_per_task = {value}\n' for task, value in hard.items())
    records = of_model("small", 2, 10.0, attempts=4)
    _, found = found_in(records, parse_assumptions(f"[human]\nminutes_per_task = 0.001\n{minutes}"))
    (economy,), (stopping,) = found.economies, found.suites[0].stoppings
    (last,) = (step for step in stopping.curve if step.k == 4)
    assert last.resolved_g == pytest.approx(economy.resolved[0].total.value)


def test_different_numbers_of_attempts_are_compared_at_the_same():
    records = [*of_model("few", 2, 20.0, attempts=2), *of_model("many", 2, 20.0, attempts=4)]
    _, found = found_in(records)
    (suite,) = found.suites
    assert suite.k == 2
    assert suite.decision.payback_money.reason == "money is counted at other numbers of attempts than 2 (--attempts 2)"
    assert "not compared: they allow different numbers" in " ".join(" ".join(outlook_lines(found)).split())


def test_a_device_of_several_gpus_is_shared_out_whole():
    one, eight = (
        found_in([attempt("a", generation={"gpu_count": n, "duration_s": 1.0, "batch_size": 1})])[1] for n in (1, 8)
    )
    made = [found.by_use["humaneval", "model", "{}"].per_attempt_g for found in (one, eight)]
    thread = FACTORS.execution_machine.embodied_g / 96 / (400 * 30 * 12 * 4)
    assert made[1] - thread == pytest.approx(8 * (made[0] - thread))


def test_what_pays_back_is_judged_by_the_use_of_what_is_replaced():
    path = "u.csv"
    from pytest_greencode.economics.usage import parse_usage

    log = parse_usage("date,calls,configuration\n2026-11-02,100,big\n", path=path)
    _, found = found_in(RECORDS, usage=log, old=Configuration(model="big"), new=Configuration(model="small"))
    assert found.suites[0].decision.payback_g.months is not None


def test_nothing_is_paid_back_that_was_not_paid():
    accounted, found = found_in(RECORDS, Assumptions())
    assert "no one-off cost given" in " ".join(" ".join(compare_lines(found)).split())
    assert not any("paid back" in sentence.text.en for sentence in extras_of(found, accounted.factors).sentences)
