"""The sentences a manager reads, in English and Japanese: what is saved, and when it is paid back, or why not known."""

from __future__ import annotations

from collections.abc import Mapping

from ..economics.economy import CO2E
from ..economics.expectation import Figure
from ..economics.payback import Claim, ClaimKind, Payback, PaybackKind, Span
from .text import escape, mass_unit, significant
from .texts import reason as in_both

LANGUAGES = ("en", "ja")

_CLAIMS: Mapping[str, Mapping[ClaimKind, str]] = {
    "en": {
        ClaimKind.LESS: (
            "{new}: {share} % [{low}, {high}] less CO2e per accepted solution than {old}, {level} ({quality})"
        ),
        ClaimKind.MORE: (
            "{new}: {share} % [{low}, {high}] more CO2e per accepted solution than {old}, {level} ({quality})"
        ),
        ClaimKind.UNCERTAIN: (
            "Whether {new} emits less CO2e per accepted solution than {old} cannot be told: {ends} ({quality})"
        ),
        ClaimKind.WORSE_QUALITY: "No saving of {new} over {old} is claimed, as its quality is worse: {quality}",
        ClaimKind.UNPROVEN_QUALITY: (
            "No saving of {new} over {old} is claimed, as equal quality is not shown: {quality}, and a loss of up to "
            "{margin} points counts as equal"
        ),
        ClaimKind.UNKNOWN: "Whether {new} saves CO2e per accepted solution over {old} is not known: {reason}",
    },
    "ja": {
        ClaimKind.LESS: (
            "{new}は{old}より、合格した解1件あたりのCO2eが{share} % [{low}, {high}] 少ない。{level}（{quality}）"
        ),
        ClaimKind.MORE: (
            "{new}は{old}より、合格した解1件あたりのCO2eが{share} % [{low}, {high}] 多い。{level}（{quality}）"
        ),
        ClaimKind.UNCERTAIN: (
            "合格した解1件あたりのCO2eが{old}より{new}で少ないかどうかは判断できない：{ends}（{quality}）"
        ),
        ClaimKind.WORSE_QUALITY: "{new}は{old}より品質が劣るため、削減効果は主張できない：{quality}",
        ClaimKind.UNPROVEN_QUALITY: (
            "同等の品質が示されていないため、{old}に対する{new}の削減効果は主張できない：{quality}、"
            "同等とみなす低下は{margin}ポイントまで"
        ),
        ClaimKind.UNKNOWN: "{new}が{old}に比べて合格した解1件あたりのCO2eを削減するかどうかは不明：{reason}",
    },
}
_PAYBACKS: Mapping[str, Mapping[PaybackKind, str]] = {
    "en": {
        PaybackKind.PAYS_BACK: "The one-off cost of {cost} is paid back after {when}",
        PaybackKind.NEVER: "The one-off cost of {cost} is never paid back: nothing is saved per accepted solution",
        PaybackKind.UNCERTAIN: (
            "Whether the one-off cost of {cost} is paid back cannot be told: {best} at best, {worst}"
        ),
        PaybackKind.UNKNOWN: "Whether the one-off cost is paid back is not known: {reason}",
    },
    "ja": {
        PaybackKind.PAYS_BACK: "初期コスト{cost}の回収期間は{when}",
        PaybackKind.NEVER: "初期コスト{cost}は回収できない：合格した解1件あたりの削減がない",
        PaybackKind.UNCERTAIN: "初期コスト{cost}を回収できるかどうかは判断できない：最良で{best}、{worst}",
        PaybackKind.UNKNOWN: "初期コストを回収できるかどうかは不明：{reason}",
    },
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "quality": "pass@{k} {value} points [{low}, {high}]",
        "quality_unknown": "pass@{k} not compared",
        "better": "at better quality",
        "equal": "at equal quality",
        "open": "while their quality is not told apart",
        "ends": "from {less} to {more}",
        "less": "{share} % less",
        "more": "{share} % more",
        "never": "never at worst",
        "worst": "{when} at worst",
        "months": "{value} months{span}",
        "solutions": "{value} accepted solutions{span}",
        "pace": ", at {value} a month",
        "no_months": "; months are not known: {reason}",
        "no_reason": "no reason given",
        "doubt": "; not distinguishable once what is uncertain of {factor} is counted",
    },
    "ja": {
        "quality": "pass@{k}の差 {value}ポイント [{low}, {high}]",
        "quality_unknown": "pass@{k}は未比較",
        "better": "品質はより高い",
        "equal": "品質は同等",
        "open": "品質の差は判別できない",
        "ends": "{less}から{more}まで",
        "less": "{share} %減",
        "more": "{share} %増",
        "never": "最悪では回収できない",
        "worst": "最悪で{when}",
        "months": "{value}か月{span}",
        "solutions": "合格した解{value}件分{span}",
        "pace": "、月{value}件として",
        "no_months": "（月数は不明：{reason}）",
        "no_reason": "理由の記録なし",
        "doubt": "。ただし{factor}の不確かさを含めると区別できない",
    },
}


def claim_sentence(claim: Claim, *, old: str, new: str, language: str = "en", k: int | None = None) -> str:
    """ "X % [a, b] less CO2e per accepted solution, at equal quality", or why that cannot be said. Names are escaped.

    `k`: attempts allowed. Quality is equal where a margin was given and is kept; without one at best "not told apart".
    """
    words = _WORDS[language]
    saved = claim.saved
    low, high = _ends(saved)
    if claim.kind is ClaimKind.MORE:
        low, high = -high, -low
    doubt = "" if claim.doubt is None else words["doubt"].format(factor=escape(claim.doubt))
    sentence = _CLAIMS[language][claim.kind].format(
        old=escape(old),
        new=escape(new),
        share=_percent(abs(saved.value or 0.0)),
        low=_percent(low),
        high=_percent(high),
        ends=words["ends"].format(less=_less_or_more(high, words), more=_less_or_more(low, words)),
        quality=_quality(claim.quality, words).format(k="k" if k is None else k),
        level=words[_level(claim)],
        margin=_percent(claim.margin or 0.0),
        reason=_reason(claim.reason, language),
    )
    return sentence + doubt


def payback_sentence(payback: Payback, *, unit: str = CO2E, language: str = "en") -> str:
    """ "pays back in Y months [a, b]", never, or why it cannot be told. `unit`: CO2E or the currency."""
    words = _WORDS[language]
    best, worst = _span(payback)
    return _PAYBACKS[language][payback.kind].format(
        cost=amount(payback.one_off.value, unit),
        when=_when(payback, words, language),
        best=_period(best, payback, words),
        worst=words["never"] if worst is None else words["worst"].format(when=_period(worst, payback, words)),
        reason=_reason(payback.reason, language),
    )


def amount(value: float | None, unit: str) -> str:
    """Grams in the unit that suits them, CO2e; money in its currency; "?" for what is not known."""
    if value is None:
        return "?"
    if unit == CO2E:
        name, grams = mass_unit([abs(value)])
        return f"{significant(value / grams)} {name}CO2e"
    return f"{significant(value)} {escape(unit)}".rstrip()


def _when(payback: Payback, words: Mapping[str, str], language: str) -> str:
    """Months and solutions, "12.0 months [9.0, 18.0] (340 accepted solutions [255, 510])", or why only solutions."""
    solutions = words["solutions"].format(**_with_span(payback.solutions, payback.solutions_span))
    if payback.months is None:
        return solutions + words["no_months"].format(reason=_reason(payback.reason, language))
    pace = "" if payback.per_month is None else words["pace"].format(value=f"{payback.per_month:,.0f}")
    return f"{words['months'].format(**_with_span(payback.months, payback.months_span))} ({solutions}{pace})"


def _span(payback: Payback) -> Span:
    return payback.months_span or payback.solutions_span or (None, None)


def _period(count: float | None, payback: Payback, words: Mapping[str, str]) -> str:
    unit = "months" if payback.months_span else "solutions"
    return words[unit].format(**_with_span(count, None))


def _with_span(value: float | None, span: Span | None) -> dict[str, str]:
    ends = [] if span is None else [significant(end) for end in span if end is not None]
    return {
        "value": "?" if value is None else significant(value),
        "span": f" [{', '.join(ends)}]" if len(ends) == 2 else "",
    }


def _ends(figure: Figure) -> tuple[float, float]:
    return figure.interval or (0.0, 0.0)


def _percent(share: float) -> str:
    return significant(100 * share)


def _less_or_more(saved: float, words: Mapping[str, str]) -> str:
    return words["less" if saved >= 0 else "more"].format(share=_percent(abs(saved)))


def _level(claim: Claim) -> str:
    """How the new one's quality is beside the old one's; worse ones have sentences of their own."""
    if claim.quality.interval is not None and claim.quality.interval[0] > 0:
        return "better"
    return "open" if claim.margin is None else "equal"


def _quality(quality: Figure, words: Mapping[str, str]) -> str:
    if quality.value is None or quality.interval is None:
        return words["quality_unknown"]
    value, low, high = (f"{100 * share:+.1f}" for share in (quality.value, *quality.interval))
    return words["quality"].replace("{k}", "{{k}}").format(value=value, low=low, high=high)


def _reason(reason: str | None, language: str) -> str:
    if not reason:
        return _WORDS[language]["no_reason"]
    return escape(in_both(reason)._asdict()[language])
