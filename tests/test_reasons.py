"""Reasons are said in every language of the page, wherever they come from."""

from __future__ import annotations

import copy
import json
import pickle
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import FACTORS, attempt
from msgspec import Struct
from msgspec.structs import replace
from test_findings import MONEY, RECORDS, found_in, of_model

import pytest_greencode
from pytest_greencode.accounting import account
from pytest_greencode.economics.assumptions import Assumptions, parse_assumptions
from pytest_greencode.findings import find
from pytest_greencode.model import Configuration
from pytest_greencode.reasons import ENGLISH, Reason
from pytest_greencode.reports.page_extras import extras_of
from pytest_greencode.reports.texts import REASONS, reason

JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("code", ENGLISH)
def test_each_has_its_japanese_and_is_used(code: str) -> None:
    assert fields(REASONS[code]) == fields(ENGLISH[code])
    assert JAPANESE.search(REASONS[code]) or code == "of"
    folder = Path(pytest_greencode.__file__).parent
    assert any(f'"{code}"' in path.read_text("utf-8") for path in folder.rglob("*.py") if "reasons" not in path.name)


def test_the_two_catalogues_have_the_same_codes() -> None:
    assert set(REASONS) == set(ENGLISH)


def test_a_reason_is_its_text_and_stays_one() -> None:
    found = Reason("energy_missing", part="generation", count=3, attempts=4)
    assert found == "generation energy missing for 3 of 4 attempts"
    assert json.dumps([found]) == json.dumps([str(found)])
    for twin in (copy.deepcopy(found), pickle.loads(pickle.dumps(found)), str(found)):
        assert twin == found
        assert reason(twin).ja == "試行 4 件中 3 件で生成エネルギーの記録がない"
    both = Reason.several([found, None, Reason("of", name="x", reason=Reason("none_accepted"))])
    assert both == "generation energy missing for 3 of 4 attempts; x: none accepted"
    assert both is not None
    assert reason(both).ja == "試行 4 件中 3 件で生成エネルギーの記録がない、x: 合格が 1 件もない"
    assert Reason.several([None]) is None
    assert reason("what a plugin says") == ("what a plugin says", "what a plugin says")


def bilinguals(value: object) -> Iterator[tuple[str, str]]:
    if hasattr(value, "en"):
        yield value.en, value.ja
    elif isinstance(value, Struct):
        for each in value.__struct_fields__:
            yield from bilinguals(getattr(value, each))
    elif isinstance(value, tuple):
        for each in value:
            yield from bilinguals(each)


SILENT = parse_assumptions('[money]\ncurrency = "EUR"\n[one_off.quantising]\nenergy_kwh = 1\n[target]\npass_at_k = 0.3')
UNKNOWN = [*of_model("small", 2), *of_model("dark", 1, generation={"energy_j": None})]
FEW = [each for each in RECORDS if int(each.task_id.split("/")[1]) < 6]
NONE = [
    *of_model("small", 2),
    *[attempt(f"HumanEval/{t}", i, accepted=False, model="bad") for t in range(24) for i in (0, 1)],
]
CHAINED = [replace(each, extra={"chain": True}) for each in of_model("small", 2)]


@pytest.mark.parametrize("assumptions", [Assumptions(), SILENT, MONEY])
@pytest.mark.parametrize(
    "records",
    [RECORDS, UNKNOWN, FEW, NONE, [*CHAINED, *of_model("big", 1)], [*of_model("a", 2, attempts=1), *of_model("b", 2)]],
)
def test_no_sentence_or_note_stays_english(records: list[object], assumptions: Assumptions) -> None:
    """Every text of the page beside names: what is English in it is the name of a thing."""
    accounted, found = found_in(records, assumptions)
    extras = extras_of(found, accounted.factors)
    shown = replace(extras, assumptions=())
    for english, japanese in bilinguals(shown):
        words = re.findall(r"[a-z]{3,}", english)
        # What names nothing of ours and is the same in both was not translated.
        assert japanese != english or len(words) < 3, english


def test_the_first_screen_says_in_japanese_why_nothing_is_known() -> None:
    accounted = account(UNKNOWN, FACTORS)
    found = find(accounted, UNKNOWN, SILENT, new=Configuration(model="dark"), old=Configuration(model="small"))
    texts = [each.text.ja for each in extras_of(found, FACTORS).sentences]
    assert any("課題 24 件中 24 件でエネルギーの記録がない" in text for text in texts)
    assert any("生成エネルギーの記録がない" in text for text in texts)
    assert not any(re.search(r"missing|recorded|known|given", text) for text in texts)
