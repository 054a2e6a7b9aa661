"""Tokens of one request, as servers and libraries count them. Needs msgspec only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

# What each field is called: by us and OpenAI, by newer APIs of OpenAI and by Anthropic, by Ollama, by llama.cpp.
_PROMPT = ("prompt_tokens", "input_tokens", "prompt_eval_count", "tokens_evaluated")
_COMPLETION = ("completion_tokens", "output_tokens", "eval_count", "tokens_predicted")
_DETAILS = ("completion_tokens_details", "output_tokens_details")


class Usage(Struct, frozen=True, kw_only=True):
    """None: not counted. `completion_tokens` are all that the model wrote, those of reasoning included."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None


def usage_of(given: object) -> Usage:
    """From whatever has counts: a `Usage`, the `usage` of a response (a mapping or an object), or None.

    What is no count is none: a server may say anything.
    """
    if isinstance(given, Usage):
        return given
    details = next((found for name in _DETAILS if (found := _get(given, name)) is not None), None)
    return Usage(
        prompt_tokens=_count(given, _PROMPT),
        completion_tokens=_count(given, _COMPLETION),
        reasoning_tokens=_count(details, ("reasoning_tokens",)) if details else _count(given, ("reasoning_tokens",)),
    )


def _get(given: object, name: str) -> Any:
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def _count(given: object, names: tuple[str, ...]) -> int | None:
    values = (_get(given, name) for name in names)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**63), None)
