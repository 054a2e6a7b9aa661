"""The formats that can be imported, and by which fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from ..errors import FileFormatError
from . import boamps, codecarbon, ml_energy, native, open_telemetry, responses, tensorrt_llm, zeus
from .entries import Entry


class Format(Struct, frozen=True, kw_only=True):
    """`what` the files are, `reads` which of their fields, with units; `parse` takes text and a name for messages."""

    what: str
    reads: str
    parse: Callable[[str, str], list[Entry]]


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "native": Format(what="your own JSON lines", reads=native.READS, parse=native.parse),
        "codecarbon": Format(
            what="CodeCarbon's emissions.csv, and its CSV of tasks", reads=codecarbon.READS, parse=codecarbon.parse
        ),
        "zeus": Format(what="Zeus's CSV of measurement windows", reads=zeus.READS, parse=zeus.parse),
        "ml-energy": Format(
            what="ML.ENERGY's results.json", reads=ml_energy.READS_RESULTS, parse=ml_energy.parse_results
        ),
        "ml-energy-leaderboard": Format(
            what="rows of ML.ENERGY's leaderboard, versions 2 and 3",
            reads=ml_energy.READS_LEADERBOARD,
            parse=ml_energy.parse_leaderboard,
        ),
        "boamps": Format(what="BoAmps reports", reads=boamps.READS, parse=boamps.parse),
        "openai": Format(
            what="replies in OpenAI's shape: vLLM, SGLang, llama.cpp, TGI, transformers serve; OpenAI's batch files",
            reads=responses.READS_OPENAI,
            parse=responses.parse_openai,
        ),
        "neuralwatt": Format(
            what="replies of Neuralwatt", reads=responses.READS_NEURALWATT, parse=responses.parse_neuralwatt
        ),
        "greenpt": Format(what="replies of GreenPT", reads=responses.READS_GREENPT, parse=responses.parse_greenpt),
        "ollama": Format(what="replies of Ollama", reads=responses.READS_OLLAMA, parse=responses.parse_ollama),
        "llama.cpp": Format(
            what="replies of llama.cpp's /completion", reads=responses.READS_LLAMA_CPP, parse=responses.parse_llama_cpp
        ),
        "tgi": Format(what="replies of TGI's /generate", reads=responses.READS_TGI, parse=responses.parse_tgi),
        "tensorrt-llm": Format(
            what="readings of TensorRT-LLM's /energy_metrics", reads=tensorrt_llm.READS, parse=tensorrt_llm.parse
        ),
        "opentelemetry": Format(
            what="OpenTelemetry's gen_ai spans, as OTLP's JSON or the console exporter's",
            reads=open_telemetry.READS,
            parse=open_telemetry.parse,
        ),
    }
)


def parse(name: str, text: str, path: str) -> list[Entry]:
    """The entries of a file of the format `name`. Where it is of another, FileFormatError says of which."""
    try:
        return FORMATS[name].parse(text, path)
    except FileFormatError as error:
        others = [other for other in _fitting(text, path) if other != name]
        if not others:
            raise
        hint = f"{error.found} (this is a file of {' or '.join(others)})"
        raise FileFormatError(error.path, error.line, error.field, error.expected, hint) from None


def _fitting(text: str, path: str) -> Iterator[str]:
    for name, each in FORMATS.items():
        try:
            each.parse(text, path)
        except FileFormatError:
            continue
        yield name
