"""Records what generating samples cost: a samples file whose every line has its energy. Needs msgspec only.

from pytest_greencode.generation import GenerationRecorder

recorder = GenerationRecorder("samples.jsonl", model="my-7b")
with recorder.request(task_id) as request:
    reply = generate(prompt)
    request.finish(reply.text, reply.usage)
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import UsageProblem
from ..model import Configuration, Generation, canonical_settings, canonical_task_id
from .meters import GenerationMeter, host_meters
from .samples_file import SamplesFile
from .usage import Usage, usage_of
from .windows import Flight, Share, Windows

_ERROR_LENGTH = 300
_SECRET_LENGTH = 8
_SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


class GenerationRecorder:
    """Writes samples to `path` as they come, with the energy that the hardware used for each.

    `model` and `settings`: of requests that name none. `meters` None: the best of this machine (`host_meters`), which
    is right where the model runs on this machine; () where it does not, and energies are missing. A file that is there
    is continued; only one recorder writes it at a time. `on_line` is told each line. `facts`: more fields for each
    line's `generation`, such as region="FRA" or pue_included=True.

    Requests may overlap, in threads or coroutines: they share the energy by their output tokens (`windows`). A line is
    written as soon as a request, and every request that overlapped it, has finished; `close` (or the end of `with`)
    writes the rest. A request that fails is a line with its `error`: its energy belongs to the sample that a later
    request gets under the same sample_id, else to an attempt that came to nothing.

    Raises UsageProblem for a file that cannot be read or written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        settings: Mapping[str, Any] | None = None,
        meters: Sequence[GenerationMeter[Any]] | None = None,
        on_line: Callable[[Mapping[str, Any]], None] = lambda row: None,
        **facts: Any,
    ) -> None:
        unknown = sorted(facts.keys() - set(Generation.__struct_fields__))
        if unknown:
            raise TypeError(f"a generation has no {', '.join(unknown)}; expected fields of model.Generation")
        self._file = SamplesFile(Path(path))
        self.meters = host_meters() if meters is None else list(meters)
        self._model, self._settings, self._facts = model or self._file.default_model, dict(settings or {}), facts
        self._windows = Windows(self.meters)
        self._lock = threading.RLock()
        self._begun: dict[tuple[Configuration, str, int | None], Request] = {}
        self._waiting: list[Request] = []
        self._on_line = on_line
        self._closed = False
        atexit.register(_close, weakref.ref(self))

    # -- what is there -------------------------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def mended(self) -> str | None:
        """What was wrong with the end of the file, and was mended; None if nothing was."""
        return self._file.mended

    @property
    def energy_j(self) -> float | None:
        """What the meters counted while any request was in flight, J; None where a part of it is not known."""
        with self._lock:
            return None if self._windows.missed else self._windows.energy_j

    def done(
        self, task_id: str, sample_id: int = 0, *, model: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> bool:
        """Whether the file has this sample already, so that it need not be made again."""
        with self._lock:
            return self._file.has(self._configuration(model, settings), canonical_task_id(task_id), sample_id)

    def _configuration(self, model: str | None, settings: Mapping[str, Any] | None) -> Configuration:
        settings = self._settings if settings is None else settings
        return Configuration(model=model or self._model, settings=canonical_settings(settings))

    # -- requests ------------------------------------------------------------------------------------------------------

    def request(
        self,
        task_id: str,
        *,
        model: str | None = None,
        settings: Mapping[str, Any] | None = None,
        sample_id: int | None = None,
    ) -> Request:
        """One request to a model; a context manager around it. `sample_id` None: the next one.

        Raises UsageProblem for a sample that the file has, or that is being made.
        """
        settings = dict(self._settings if settings is None else settings)
        return Request(self, canonical_task_id(task_id), model or self._model, settings, sample_id)

    def batch(
        self,
        requests: Iterable[str | tuple[str, int]],
        *,
        model: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Batch:
        """Requests that the model works on together: task ids, or (task id, sample_id). A context manager.

        They begin together, and end when the first of them is finished.
        """
        pairs = [(each, None) if isinstance(each, str) else each for each in requests]
        return Batch(
            self,
            [
                self.request(task_id, model=model, settings=settings, sample_id=sample_id)
                for task_id, sample_id in pairs
            ],
        )

    def close(self) -> None:
        """Write what is left, and let others write the file. Requests that are still open failed. Again is harmless."""
        with self._lock:
            self._closed = True
            for request in [each for each in self._begun.values() if each.open]:
                request.fail("the recorder was closed before it finished")
            try:
                self._file.close()
            finally:
                for meter in self.meters:
                    meter.close()

    def __enter__(self) -> GenerationRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- for requests --------------------------------------------------------------------------------------------------

    def _begin(self, requests: Sequence[Request]) -> None:
        with self._lock:
            if self._closed:
                raise UsageProblem(f"{self.path}: the recorder was closed; a request begins before that")
            begun: list[Request] = []
            try:
                for request in requests:
                    request.sample_id = self._sample_id(request)
                    self._begun[request.key] = request
                    begun.append(request)
            except BaseException:
                for request in begun:
                    del self._begun[request.key]
                raise
            for request, flight in zip(requests, self._windows.begin(len(requests)), strict=True):
                request.flight = flight
                request.started_at = datetime.now(timezone.utc)

    def _sample_id(self, request: Request) -> int:
        asked = request.sample_id
        ids = itertools.count() if asked is None else [asked]
        for sample_id in ids:
            taken = (request.configuration, request.task_id, sample_id) in self._begun
            if not taken and not self._file.has(request.configuration, request.task_id, sample_id):
                return sample_id
        raise UsageProblem(
            f"{self.path}: sample {asked} of {request.task_id} is there already, or being made; ask the recorder "
            "first: recorder.done(task_id, sample_id)"
        )

    def _end(self, requests: Sequence[Request]) -> None:
        """The hardware works on them no more."""
        with self._lock:
            self._windows.end([each.flight for each in requests if each.flight is not None and not each.flight.ended])

    def _close(self, request: Request, tokens: int | None) -> None:
        """What it came to is known: write it, and whatever waited for it."""
        with self._lock:
            flight = request.flight
            assert flight is not None
            self._windows.close(flight, tokens)
            if request.failed:
                del self._begun[request.key]  # the next may try for the same sample
            self._waiting.append(request)
            settled, self._waiting = _parted(self._waiting)
            for each in settled:
                assert each.flight is not None
                each.share = self._windows.share(each.flight)
                if not each.failed:
                    del self._begun[each.key]
            rows = [each.row(self._facts, self.meters) for each in settled]
            try:
                self._file.append(rows)
            finally:
                for row in rows:
                    self._on_line(row)


def _parted(requests: Sequence[Request]) -> tuple[list[Request], list[Request]]:
    """Those whose energy is known, and the others."""
    parts: tuple[list[Request], list[Request]] = ([], [])
    for request in requests:
        parts[request.flight is None or not request.flight.settled].append(request)
    return parts


def _close(recorder: weakref.ref[GenerationRecorder]) -> None:
    """At the end of a program that forgot to."""
    if (found := recorder()) is not None:
        found.close()


class Request:
    """One request, from `GenerationRecorder.request`. `sample_id` is known inside the `with`, `share` once written."""

    def __init__(
        self,
        recorder: GenerationRecorder,
        task_id: str,
        model: str,
        settings: dict[str, Any],
        sample_id: int | None,
    ) -> None:
        self.task_id, self.model, self.settings, self.sample_id = task_id, model, settings, sample_id
        self.configuration = Configuration(model=model, settings=canonical_settings(settings))
        self.flight: Flight | None = None
        self.share: Share | None = None
        self.started_at: datetime | None = None
        self._recorder = recorder
        self._together: Sequence[Request] = (self,)
        self._said: dict[str, Any] | None = None
        self._usage = Usage()

    @property
    def key(self) -> tuple[Configuration, str, int | None]:
        return self.configuration, self.task_id, self.sample_id

    @property
    def open(self) -> bool:
        """Whether it has begun, and neither finished nor failed."""
        return self.flight is not None and self._said is None

    @property
    def failed(self) -> bool:
        return self._said is not None and "error" in self._said

    def finish(
        self, text: str, usage: object = None, *, whole_program: bool = False, finish_reason: str | None = None
    ) -> None:
        """The model has answered: `text` continues the task's prompt, or is a chat reply, or (`whole_program`) all.

        `usage`: tokens as the server or library counts them (`usage.usage_of`); `completion_tokens` share the energy.
        """
        said = {"solution" if whole_program else "completion": text}
        self._close(said | ({"finish_reason": finish_reason} if finish_reason else {}), usage)

    def fail(self, reason: str, usage: object = None) -> None:
        """There is no answer. What it cost until now is recorded."""
        self._close({"error": shown_reason(reason)}, usage)

    def _close(self, said: dict[str, Any], usage: object) -> None:
        if not self.open:
            raise RuntimeError("a request is finished once, inside its `with`")
        self._recorder._end(self._together)
        self._said, self._usage = said, usage_of(usage)
        self._recorder._close(self, self._usage.completion_tokens)

    def __enter__(self) -> Request:
        self._recorder._begin([self])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.open:
            self.fail(_told(error))

    def row(self, facts: Mapping[str, Any], meters: Sequence[GenerationMeter[Any]]) -> dict[str, Any]:
        """The line of the samples file."""
        assert self.share is not None
        assert self.flight is not None
        assert self.started_at is not None
        share = self.share
        device = next((meter for meter in meters if meter.gpu_model is not None), None)
        generation = {
            "energy_j": share.energy_j,
            "energy_method": share.method.value if share.energy_j is not None else None,
            "energy_scope": share.scope,
            "source": share.source,
            "energy_relative_error": share.relative_error,
            "energy_unknown": share.reason,
            "duration_s": round(self.flight.duration_s, 6),
            "prompt_tokens": self._usage.prompt_tokens,
            "completion_tokens": self._usage.completion_tokens,
            "reasoning_tokens": self._usage.reasoning_tokens,
            "batch_size": max(1, round(share.in_flight)),
            "gpu_model": device.gpu_model if device else None,
            "gpu_count": device.gpu_count if device else None,
            "started_at": self.started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **facts,
        }
        return {
            "task_id": self.task_id,
            **(self._said or {}),
            "model": self.model,
            "sample_id": self.sample_id,
            "settings": self.settings,
            "generation": {name: value for name, value in generation.items() if value is not None},
        }


class Batch(Sequence[Request]):
    """Requests that a model works on together, from `GenerationRecorder.batch`, in their order."""

    def __init__(self, recorder: GenerationRecorder, requests: Sequence[Request]) -> None:
        self._recorder, self._requests = recorder, list(requests)
        for request in self._requests:
            request._together = self._requests

    def __getitem__(self, index: Any) -> Any:
        return self._requests[index]

    def __len__(self) -> int:
        return len(self._requests)

    def __enter__(self) -> Batch:
        self._recorder._begin(self._requests)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for request in self._requests:
            if request.open:
                request.fail(_told(error))


def _told(error: BaseException | None) -> str:
    if error is None:
        return "it was never finished"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def shown_reason(text: str) -> str:
    """A reason on one line, without anything that the environment keeps secret (keys, tokens, passwords)."""
    for name, value in os.environ.items():
        if len(value) >= _SECRET_LENGTH and any(word in name.upper() for word in _SECRETS):
            text = text.replace(value, f"${name}")
    return " ".join(text.split())[:_ERROR_LENGTH]
