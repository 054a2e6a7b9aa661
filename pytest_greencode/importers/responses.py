"""Replies of servers: OpenAI's shape (vLLM, SGLang, llama.cpp, TGI, `transformers serve`), the same with an energy in
it (Neuralwatt, GreenPT), Ollama's, llama.cpp's and TGI's own.

One reply is a JSON object; in a log it stands on a line of its own. Which task and sample it answers is not in it: a
key `task_id` beside the others (and `sample_id`), or OpenAI's batch form, {"custom_id": "HumanEval/0#1", "response":
{"body": {...}}}, says it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from ..model import Generation, Method
from .entries import Entry, Fields, documents, short

_OPENAI = (
    "usage.prompt_tokens, .completion_tokens, .completion_tokens_details.reasoning_tokens, model, created, choices[0]"
)
READS_OPENAI = f"{_OPENAI}, timings.prompt_ms + .predicted_ms (llama.cpp). No energy"
READS_NEURALWATT = f"energy.energy_joules (J), .duration_seconds, .attribution_method; {_OPENAI}"
READS_GREENPT = f"impact.energy.total (unit Wms: mJ), impact.inferenceTime.total (unit ms), impact.version; {_OPENAI}"
READS_OLLAMA = (
    "prompt_eval_count, eval_count, total_duration (ns), created_at, model, response or message.content. No energy"
)
READS_LLAMA_CPP = "content, tokens_predicted, tokens_evaluated, timings.prompt_ms + .predicted_ms, model. No energy"
READS_TGI = (
    "generated_text, details.generated_tokens, details.prefill (its length), details.energy_mj (mJ, of the whole GPU)"
)

Parser = Callable[[Fields], tuple[Generation, str | None, str | None]]
"""From a reply to what was recorded of it, its model, and its text."""


def parse_openai(text: str, path: str) -> list[Entry]:
    return _parsed(text, path, _openai)


def parse_neuralwatt(text: str, path: str) -> list[Entry]:
    return _parsed(text, path, _neuralwatt)


def parse_greenpt(text: str, path: str) -> list[Entry]:
    return _parsed(text, path, _greenpt)


def parse_ollama(text: str, path: str) -> list[Entry]:
    return _parsed(text, path, _ollama)


def parse_llama_cpp(text: str, path: str) -> list[Entry]:
    return _parsed(text, path, _llama_cpp)


def parse_tgi(text: str, path: str) -> list[Entry]:
    return _parsed(text, path, _tgi)


def _parsed(text: str, path: str, parser: Parser) -> list[Entry]:
    entries = []
    for line in documents(text, path):
        reply = _body(line)
        generation, model, words = parser(reply)
        name = line.text("task_id") or line.text("custom_id")
        sample_id = line.count("sample_id")
        entries.append(line.entry(generation, name=name, sample_id=sample_id, model=model, reply=words))
    return entries


def _body(line: Fields) -> Fields:
    """The reply itself: the line, or what OpenAI's batch files wrap around it."""
    if not line.has("custom_id"):
        response = line.child("response") if isinstance(line.values.get("response"), dict) else None
        return response or line
    response = line.child("response")
    if response is None:
        raise line.problem("response", "the reply to a request of the batch", "nothing: the request failed")
    status = response.count("status_code")
    if status is not None and status != 200:
        raise response.problem("status_code", "200", f"{status}: the request failed")
    return response.child("body") or response


# --- OpenAI's shape -----------------------------------------------------------------------------------------------


def _openai(reply: Fields) -> tuple[Generation, str | None, str | None]:
    for key, name in (("energy", "neuralwatt"), ("impact", "greenpt")):
        if reply.has(key):
            raise reply.problem(key, "a reply without an energy in it", f"one: import it as {name}")
    return _openai_reply(reply)


def _openai_reply(
    reply: Fields, energy_j: float | None = None, source: str | None = None, duration_s: float | None = None
) -> tuple[Generation, str | None, str | None]:
    usage, choices = reply.child("usage"), reply.children("choices")
    if usage is None or not choices:
        raise reply.problem(
            "usage" if choices else "choices", "a reply in OpenAI's shape: usage and choices", "nothing"
        )
    if len(choices) > 1:
        raise reply.problem("choices", "one choice (n = 1), as usage and energy are those of all", f"{len(choices)}")
    details = usage.child("completion_tokens_details")
    created = reply.amount("created")
    return (
        Generation(
            energy_j=energy_j,
            energy_method=Method.MISSING if energy_j is None else Method.ATTRIBUTED,
            source=source,
            duration_s=_seconds_of_timings(reply) if duration_s is None else duration_s,
            prompt_tokens=usage.count("prompt_tokens"),
            completion_tokens=usage.count("completion_tokens"),
            reasoning_tokens=details.count("reasoning_tokens") if details else None,
            started_at=utc(created) if created and "timings" not in reply.values else None,
        ),
        reply.text("model"),
        _content(choices[0]),
    )


def _content(choice: Fields) -> str | None:
    message = choice.child("message")
    content = message.values.get("content") if message else choice.values.get("text")
    return content if isinstance(content, str) else None


def _neuralwatt(reply: Fields) -> tuple[Generation, str | None, str | None]:
    energy = reply.child("energy")
    if energy is None:
        raise reply.problem("energy", "Neuralwatt's energy with energy_joules", "nothing (streamed replies have none)")
    energy_j = energy.required("energy_joules", "an energy in J")
    kwh = energy.amount("energy_kwh")
    if kwh is not None and not _equal(kwh * 3.6e6, energy_j):
        raise energy.problem("energy_kwh", f"the same as energy_joules, {energy_j:g} J", f"{kwh:g} kWh")
    method = energy.text("attribution_method")
    source = f"Neuralwatt, attribution {method}" if method else "Neuralwatt"
    return _openai_reply(reply, energy_j, source, energy.amount("duration_seconds"))


def _greenpt(reply: Fields) -> tuple[Generation, str | None, str | None]:
    impact = reply.child("impact")
    energy = impact.child("energy") if impact else None
    if impact is None or energy is None:
        raise reply.problem("impact.energy", "GreenPT's impact with its energy", "nothing")
    # 1 W ms = 1 mJ.
    energy_j = _in_unit(energy, "Wms") / 1e3
    time = impact.child("inferenceTime")
    version = impact.text("version")
    return _openai_reply(
        reply,
        energy_j,
        f"GreenPT, impact version {version}" if version else "GreenPT",
        _in_unit(time, "ms") / 1e3 if time else None,
    )


def _in_unit(figure: Fields, unit: str) -> float:
    if figure.text("unit") != unit:
        raise figure.problem("unit", f'"{unit}"', short(figure.values.get("unit")))
    return figure.required("total")


# --- their own shapes ---------------------------------------------------------------------------------------------


def _ollama(reply: Fields) -> tuple[Generation, str | None, str | None]:
    if not reply.has("eval_count", "total_duration"):
        missing = "eval_count" if reply.has("total_duration") else "total_duration"
        raise reply.problem(missing, "Ollama's final reply (done), with eval_count and total_duration", "nothing")
    message = reply.child("message")
    words = message.values.get("content") if message else reply.values.get("response")
    return (
        Generation(
            duration_s=reply.required("total_duration") / 1e9,
            # Absent where the whole prompt was cached.
            prompt_tokens=reply.count("prompt_eval_count"),
            completion_tokens=reply.count("eval_count"),
        ),
        reply.text("model"),
        words if isinstance(words, str) else None,
    )


def _llama_cpp(reply: Fields) -> tuple[Generation, str | None, str | None]:
    if not reply.has("content", "tokens_predicted", "timings"):
        raise reply.problem(None, "llama.cpp's reply: content, tokens_predicted and timings", "no such thing")
    return (
        Generation(
            duration_s=_seconds_of_timings(reply),
            prompt_tokens=reply.count("tokens_evaluated"),
            completion_tokens=reply.count("tokens_predicted"),
        ),
        reply.text("model"),
        reply.text("content"),
    )


def _tgi(reply: Fields) -> tuple[Generation, str | None, str | None]:
    details = reply.child("details")
    if not isinstance(reply.values.get("generated_text"), str) or details is None:
        raise reply.problem(None, "TGI's reply: generated_text and details", "no such thing")
    energy_mj = details.amount("energy_mj")
    prefill = details.values.get("prefill")
    return (
        Generation(
            energy_j=None if energy_mj is None else energy_mj / 1e3,
            energy_method=Method.MISSING if energy_mj is None else Method.MEASURED,
            energy_scope=None if energy_mj is None else "gpu",
            source=None if energy_mj is None else "TGI energy_mj, the whole GPU while the request ran",
            # Empty unless decoder_input_details was asked for.
            prompt_tokens=len(prefill) if isinstance(prefill, list) and prefill else None,
            completion_tokens=details.count("generated_tokens"),
        ),
        reply.text("model"),
        reply.values["generated_text"],
    )


def _seconds_of_timings(reply: Fields) -> float | None:
    timings = reply.child("timings")
    if timings is None or not timings.has("prompt_ms", "predicted_ms"):
        return None
    return (timings.required("prompt_ms") + timings.required("predicted_ms")) / 1e3


def utc(seconds: float) -> str | None:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None


def _equal(one: float, other: float) -> bool:
    # Both are rounded by who wrote them.
    return abs(one - other) <= 0.01 * max(one, other)
