"""The best configuration's headline as a badge: an SVG picture, and JSON for shields.io's endpoint badge.

Both say it in text; the colour only tells a known figure from an unknown one. No font or script is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple
from xml.sax.saxutils import escape as escape_xml

from ..accounts import Account, ConfigurationAccount
from .project import project_badge
from .terminal import suite_tables
from .text import columns, escape, mass_unit, shorten, significant

LABEL = "CO2e / accepted"
TESTS_LABEL = "energy / passing test"
_KNOWN, _UNKNOWN = ("blue", "#007ec6"), ("lightgrey", "#6e6e6e")  # shields.io's name, and its like in the picture
_COLUMN_PX = 6.6  # about the width of a digit in Verdana of 11 px; the text is stretched to fit
_PADDING_PX = 6
_LONGEST_TITLE = 200


class _Badge(NamedTuple):
    message: str
    title: str
    known: bool
    label: str = LABEL


def render_badge(account: Account, _run_facts: Mapping[str, object] | None = None) -> str:
    """SVG, 20 pixels high: the label and "4.23 mg [4.14, 4.32]"; the title says of which model, suite and protocol."""
    badge = _badge(account)
    left, right = (round(columns(text) * _COLUMN_PX) + 2 * _PADDING_PX for text in (badge.label, badge.message))
    fill = (_KNOWN if badge.known else _UNKNOWN)[1]
    title = escape_xml(f"{badge.label}: {badge.message} ({badge.title})", {'"': "&quot;"})
    texts = (_text(badge.label, left / 2, left), _text(badge.message, left + right / 2, right))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" aria-label="{title}">'
        f"<title>{title}</title>"
        f'<rect width="{left}" height="20" fill="#555"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{fill}"/>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f"{''.join(texts)}</g></svg>\n"
    )


def render_badge_json(account: Account, _run_facts: Mapping[str, object] | None = None) -> str:
    """What https://shields.io/badges/endpoint-badge reads, its schema version 1."""
    badge = _badge(account)
    color = (_KNOWN if badge.known else _UNKNOWN)[0]
    return json.dumps({"schemaVersion": 1, "label": badge.label, "message": badge.message, "color": color}) + "\n"


def _text(text: str, middle: float, width: int) -> str:
    length = width - 2 * _PADDING_PX
    return (
        f'<text x="{middle:g}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{escape_xml(text)}</text>'
    )


def _badge(account: Account) -> _Badge:
    """Of the first suite's best configuration; how many it was the best of stands in the title. Else of the tests."""
    if not account.configurations and account.project is not None:
        return _Badge(*project_badge(account.project), label=TESTS_LABEL)
    table = next(suite_tables(account), None)
    if table is None or not table.rows:
        return _Badge("unknown", "no attempt has finished", known=False)
    row = table.rows[0]
    of = f", best of {len(table.rows)}" if len(table.rows) > 1 else ""
    title = shorten(f"{row.label} on {table.title}{of}", _LONGEST_TITLE)
    reason = row.configuration.per_accepted.reason
    return _Badge(
        message=_message(row.configuration),
        title=f"{title}; {shorten(escape(reason), _LONGEST_TITLE)}" if reason else title,
        known=row.configuration.per_accepted.co2e_g is not None,
    )


def _message(configuration: ConfigurationAccount) -> str:
    cost = configuration.per_accepted
    if cost.co2e_g is None:
        if cost.lower_bound_co2e_g is None:
            return "unknown"
        unit, grams = mass_unit([cost.lower_bound_co2e_g])
        return f"> {significant(cost.lower_bound_co2e_g / grams)} {unit}"
    unit, grams = mass_unit([cost.co2e_g])
    ends = "" if cost.interval is None else f" [{', '.join(significant(end / grams) for end in cost.interval)}]"
    return f"{significant(cost.co2e_g / grams)} {unit}{ends}"
