"""Pages from templates: what all share. Hostile text is escaped here, and only style and scripts of ours may run."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from typing import TYPE_CHECKING

from markupsafe import Markup
from markupsafe import escape as markup_escape

from . import charts
from .entries import cut
from .text import significant
from .texts import LANGUAGES, TEXTS, Bilingual

if TYPE_CHECKING:
    from jinja2 import Environment

_LONGEST = 1000  # of a sentence


@functools.cache
def environment() -> Environment:
    import jinja2

    made = jinja2.Environment(
        keep_trailing_newline=True,
        loader=jinja2.FunctionLoader(asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(shown=cut, number=significant)
    made.globals.update(
        t=_text_of,
        say=_both,
        symbol=charts.symbol,
        swatch=charts.swatch,
        svg=charts.svg,
        FULL=charts.FULL,
        WIDE=charts.WIDE,
        HALF=charts.HALF,
        NARROW=charts.NARROW,
        raw=_raw,
    )
    return made


def asset(name: str) -> str:
    return resources.files(__package__).joinpath("templates").joinpath(name).read_text("utf-8")


def _text_of(key: str, /, **values: object) -> Markup:
    """A text of the catalogue, filled, in both languages."""
    return _both(TEXTS[key], **values)


def _both(text: Bilingual | str, /, **values: object) -> Markup:
    """A text in each language, of which the style sheet shows one; it may come from elsewhere, so it is escaped too."""
    if isinstance(text, str):
        return markup_escape(cut(text, _LONGEST))
    filled = [
        markup_escape(words).format(
            **{
                name: getattr(value, language) if isinstance(value, Bilingual) else value
                for name, value in values.items()
            }
        )
        if values
        else markup_escape(words)
        for language, words in zip(LANGUAGES, (cut(words, _LONGEST) for words in text), strict=True)
    ]
    filled = [words.replace(" %", "\u00a0%") for words in filled]
    if len(set(filled)) == 1:
        return filled[0]
    return Markup("").join(
        Markup('<span lang="{}">{}</span>').format(language, words)
        for language, words in zip(LANGUAGES, filled, strict=True)
    )


def trusted(text: str) -> Markup:
    """Our own style and scripts, and JSON that holds no `<`."""
    return Markup(text)  # noqa: S704


def _raw(text: str) -> Markup:
    """Text between tags. Quotes may stay there, and JSON has many."""
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))  # noqa: S704


def json_in_html(value: object) -> str:
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content_policy(style: str, scripts: Iterable[str]) -> str:
    """Nothing from anywhere; these scripts, this style.

    plotly.js writes style elements and attributes of its own, so with it styles are not bound to a hash; they can load
    nothing either way.
    """
    scripts = list(scripts)
    styles = _hash(style) if len(scripts) == 1 else "'unsafe-inline'"
    images = "" if len(scripts) == 1 else " img-src data: blob:;"
    sources = " ".join(map(_hash, scripts))
    return f"default-src 'none'; script-src {sources}; style-src {styles};{images} base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
