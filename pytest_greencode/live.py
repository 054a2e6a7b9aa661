"""The live loop: samples are generated when it is their turn to be tested, each after the verdict before it."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pytest_greencode.errors import UsageProblem
from pytest_greencode.generation.backend import Backend, Prompt, RequestFailed
from pytest_greencode.generation.campaign import Cancelled, Job, Maker
from pytest_greencode.generation.client import ServerClient
from pytest_greencode.generation.meters import GenerationMeter, host_meters
from pytest_greencode.generation.prompts import prompt_for, repair_prompt, stops_for
from pytest_greencode.generation.recorder import GenerationRecorder
from pytest_greencode.generation.settings import PROMPT, checked, pair
from pytest_greencode.generation.whereabouts import meters_of_server
from pytest_greencode.ledger import Finished, Ledger
from pytest_greencode.model import Configuration, Generation, Sample, Suite, Task, Verdict, canonical_settings
from pytest_greencode.records import GenerationRecord
from pytest_greencode.runner import Stopped, Unit
from pytest_greencode.samples import read_samples, together

# A failed test's message may hold anything that the solution returned.
_MESSAGE_LENGTH = 500
_DEFAULTS: Mapping[str, Any] = {PROMPT: "chat", "temperature": 0.8, "max_tokens": 512}


class LiveOptions(Struct, frozen=True, kw_only=True):
    """What was asked for: see docs/reference. `settings` as typed, KEY=VALUE."""

    url: str
    model: str
    settings: tuple[str, ...]
    samples: Path | None
    meter: str
    attempts: int
    stop_at_accepted: bool
    repair: bool
    timeout_s: float = 600.0


def _seed(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise UsageProblem(f"--greencode-set seed: expected a whole number, found {value!r}")


class Live:
    """Units for the runner whose attempts are made on demand. `open` it before they run, `close` it after.

    `backend`: what answers; None: the server at the options' URL. Raises UsageProblem for settings and URLs that are
    none.
    """

    def __init__(self, options: LiveOptions, suites: Sequence[Suite], backend: Backend | None = None) -> None:
        self._options = options
        given = dict(pair(text, "--greencode-set") for text in options.settings)
        self._seed = _seed(given.pop("seed", None))
        asked = {**_DEFAULTS, **checked(given, "--greencode-set")}
        self._style = asked.pop(PROMPT)
        self._asked = asked
        # What a chain costs is not what as many attempts by themselves cost: a configuration of its own.
        self.settings: dict[str, Any] = {PROMPT: self._style, **asked, **({"repair": True} if options.repair else {})}
        self.configuration = Configuration(model=options.model, settings=canonical_settings(self.settings))
        self._backend = backend or ServerClient(options.url, options.model, timeout_s=options.timeout_s)
        self.suites = suites
        self._tasks = [task for suite in suites for task in suite.tasks.values()]
        self._positions = {task.task_id: position for position, task in enumerate(self._tasks)}
        self._there: dict[tuple[str, int], Sample] = {}
        self._spent: dict[tuple[str, int], list[Generation | None]] = {}
        self._lock = threading.Lock()
        self._path = Path()
        self.notice: str | None = None

    @property
    def name(self) -> str:
        return self._options.model

    def units(self) -> list[Unit]:
        return [
            Unit(
                name=f"generated::{task.task_id}",
                task=task,
                attempts=(self._sample(task, 0),),
                following=partial(self._following, task),
            )
            for task in self._tasks
        ]

    def open(self, ledger: Ledger, run_id: str, path: Path) -> None:
        """Samples that `path` has are tested and not made again. Raises UsageProblem where no server answers."""
        for task in self._tasks:
            prompt_for(task, self._style)  # what cannot be asked is said before anything is
        if isinstance(self._backend, ServerClient):
            self._backend.reach()
        self._ledger, self._run_id, self._path = ledger, run_id, path
        meters, reason = self._found_meters()
        if not meters:
            self.notice = f"the energy of generation is not known: {reason}"
        self._meters = [meter.source for meter in meters]
        self._recorder = GenerationRecorder(
            path, model=self._options.model, settings=self.settings, meters=meters, on_line=self._written
        )
        self._maker = Maker(self._backend, self._recorder)
        if path.stat().st_size:
            for sample in read_samples(path, None):
                if sample.configuration == self.configuration and sample.task_id in self._positions:
                    self._remember(sample)

    def _found_meters(self) -> tuple[list[GenerationMeter[Any]], str | None]:
        """And why there are none, if so."""
        if self._options.meter == "none":
            return [], "--greencode-generation-meter none"
        if self._options.meter == "auto" and isinstance(self._backend, ServerClient):
            return meters_of_server(self._backend.host, self._backend.port)
        return host_meters(whole_machine=isinstance(self._backend, ServerClient)), None

    def _remember(self, sample: Sample) -> None:
        key = sample.task_id, sample.sample_id
        if self._recorder.done(*key):
            self._there[key] = sample
        self._spent[key] = [sample.generation]

    def describe(self) -> dict[str, Any]:
        """The facts that a run records."""
        return {
            "backend": self._backend.place if isinstance(self._backend, ServerClient) else type(self._backend).__name__,
            "model": self._options.model,
            "settings": self.settings,
            "samples": str(self._path),
            "meters": self._meters,
        }

    def path_beside(self, ledger: Path, run_id: str) -> Path:
        """Where samples go unless the user says where."""
        name = re.sub(r"[^\w.-]+", "-", self._options.model).strip("-.") or "samples"
        return self._options.samples or ledger.parent / f"{name}-{run_id[:8]}.jsonl"

    def cancel(self) -> None:
        self._maker.cancel()

    def close(self) -> None:
        """Write what is left. Raises UsageProblem where that cannot be written."""
        self._recorder.close()

    # -- a task's attempts ---------------------------------------------------------------------------------------------

    def _sample(self, task: Task, sample_id: int, **more: Any) -> Sample:
        values = {"completion": "", "path": str(self._path), **more}
        return Sample(task_id=task.task_id, configuration=self.configuration, sample_id=sample_id, **values)

    def _following(self, task: Task, made: Sequence[tuple[Sample, Finished]]) -> Sample | None:
        options = self._options
        accepted = bool(made) and made[-1][1].verdict is Verdict.ACCEPTED
        if len(made) == options.attempts or (accepted and (options.stop_at_accepted or options.repair)):
            return None
        sample_id = len(made)
        sample = self._there.get((task.task_id, sample_id))
        position = self._positions[task.task_id] + sample_id * len(self._tasks)
        named = sample or self._sample(task, sample_id)
        self._ledger.declare(self._run_id, [(named, task.suite)], first=position)
        if sample is not None:
            self._ledger.generated(self._run_id, sample, task.suite)
            return sample
        stops = stops_for(task, self._style)
        job = Job(
            task_id=task.task_id,
            sample_id=sample_id,
            prompt=self._prompt(task, made),
            settings=self.settings,
            asked={"stop": list(stops), **self._asked} if stops else self._asked,
            seed=None if self._seed is None else self._seed + sample_id,
        )
        try:
            (reply,) = self._maker.make([job])
        except Cancelled:
            raise Stopped("the run was stopped") from None
        except RequestFailed:
            return named  # an attempt without an answer, which cost what it cost
        return replace(named, completion=reply.text)

    def _prompt(self, task: Task, made: Sequence[tuple[Sample, Finished]]) -> Prompt:
        if not (self._options.repair and made):
            return prompt_for(task, self._style)
        last, outcome = made[-1]
        message = f"{outcome.verdict.value}{': ' * bool(outcome.detail)}{outcome.detail}"[:_MESSAGE_LENGTH]
        return repair_prompt(task, self._style, [(last.completion or "", message)])

    def _written(self, row: Mapping[str, Any]) -> None:
        """The recorder knows what a request cost: so does the ledger."""
        task_id, sample_id = row["task_id"], row["sample_id"]
        generation = GenerationRecord.model_validate(row["generation"]).generation()
        with self._lock:
            spent = self._spent.setdefault((task_id, sample_id), [])
            spent.append(generation)
            whole = together(spent)
        task = self._tasks[self._positions[task_id]]
        self._ledger.generated(self._run_id, self._sample(task, sample_id, generation=whole), task.suite)
