"""OpenTelemetry's spans of generations (`gen_ai.*`), as OTLP's JSON or as the console exporter prints them.

The conventions know tokens and models, but neither tasks nor energies: attributes of our own say these,
`greencode.task_id`, `greencode.sample_id`, `greencode.energy_j`, `greencode.energy_method`, `greencode.energy_scope`.
Conventions: open-telemetry/semantic-conventions-genai, "Development" at the time of writing.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from ..model import Generation, Method
from .entries import Entry, Fields, documents, short
from .responses import utc

READS = (
    "gen_ai.usage.input_tokens, .output_tokens, .reasoning.output_tokens, gen_ai.response.model, gen_ai.request.model, "
    "gen_ai.output.messages, start and end; greencode.task_id, .sample_id, .energy_j, .energy_method, .energy_scope"
)
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_OPERATIONS = ("chat", "text_completion", "generate_content")


def parse(text: str, path: str) -> list[Entry]:
    """An entry for each span of a generation; others are left out. Raises FileFormatError."""
    found = documents(text, path)
    spans = [span for document in found for span in _spans(document)]
    entries = [_entry(span) for span in spans if _of_a_generation(span)]
    if not entries:
        expected = "spans with gen_ai.usage.output_tokens, or a gen_ai.operation.name that generates"
        raise found[0].problem(None, expected, f"{len(spans)} spans, none of them such" if spans else "no spans")
    return entries


def _spans(document: Fields) -> Iterator[Fields]:
    """With `attributes` a plain object, and the times in seconds since the epoch under `start` and `end`."""
    if document.has("resourceSpans"):
        for resource in document.children("resourceSpans"):
            for scope in resource.children("scopeSpans"):
                for span in scope.children("spans"):
                    yield _with(span, _otlp_attributes(span), "startTimeUnixNano", "endTimeUnixNano")
    elif document.has("context", "start_time", "end_time") and isinstance(document.values.get("attributes"), dict):
        yield _with(document, dict(document.values["attributes"]), "start_time", "end_time")


def _with(span: Fields, attributes: dict[str, Any], start: str, end: str) -> Fields:
    times = {"start": _seconds(span, start), "end": _seconds(span, end)}
    return replace(span, values={**span.values, "attributes": attributes, **times})


def _otlp_attributes(span: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for attribute in span.children("attributes"):
        value = attribute.child("value")
        for kind, each in value.values.items() if value else ():
            # OTLP's JSON writes 64-bit integers as text.
            whole = kind == "intValue" and isinstance(each, str)
            if whole and not _WHOLE.fullmatch(each):
                raise attribute.problem("value.intValue", "a whole number", short(each))
            found[attribute.text("key") or ""] = int(each) if whole else each
    return found


def _seconds(span: Fields, name: str) -> float:
    value = span.values.get(name)
    try:
        if name.endswith("Nano"):
            return int(value) / 1e9  # type: ignore[arg-type]
        return datetime.datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        raise span.problem(name, "a time", short(value)) from None


def _attributes(span: Fields) -> Fields:
    attributes = span.child("attributes")
    assert attributes is not None
    return attributes


def _of_a_generation(span: Fields) -> bool:
    attributes = _attributes(span)
    return attributes.has("gen_ai.usage.output_tokens") or attributes.values.get("gen_ai.operation.name") in _OPERATIONS


def _entry(span: Fields) -> Entry:
    attributes = _attributes(span)
    start, end = span.values["start"], span.values["end"]
    if end < start:
        raise span.problem("end", "a time not before the start", f"{start - end:g} s before")
    energy_j = attributes.amount("greencode.energy_j")
    method = attributes.text("greencode.energy_method")
    if method is not None and method not in {each.value for each in Method if each is not Method.MISSING}:
        raise attributes.problem(
            "greencode.energy_method", "measured, attributed, estimated or declared", short(method)
        )
    return span.entry(
        Generation(
            energy_j=energy_j,
            energy_method=Method.MISSING if energy_j is None else Method(method or "declared"),
            energy_scope=None if energy_j is None else attributes.text("greencode.energy_scope"),
            source=None if energy_j is None else "OpenTelemetry, greencode.energy_j",
            duration_s=end - start,
            prompt_tokens=attributes.count("gen_ai.usage.input_tokens"),
            completion_tokens=attributes.count("gen_ai.usage.output_tokens"),
            reasoning_tokens=attributes.count("gen_ai.usage.reasoning.output_tokens"),
            started_at=utc(start),
        ),
        name=attributes.text("greencode.task_id"),
        sample_id=attributes.count("greencode.sample_id"),
        model=attributes.text("gen_ai.response.model") or attributes.text("gen_ai.request.model"),
        reply=_reply(attributes.values.get("gen_ai.output.messages")),
    )


def _reply(messages: Any) -> str | None:
    """The text of the messages, which a span may carry where its instrumentation was told to."""
    if isinstance(messages, str):
        try:
            messages = json.loads(messages)
        except (ValueError, RecursionError):
            return None
    parts = [part for message in _objects(messages) for part in _objects(message.get("parts"))]
    texts = [part.get("content") for part in parts if part.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str)) or None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
