"""`greencode generate`: samples of a suite from a model, with the energy that each took."""

from __future__ import annotations

import argparse
import contextlib
import math
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from pytest_greencode import carbon
from pytest_greencode.commands.output import say
from pytest_greencode.economics.assumptions import Assumptions, read_assumptions
from pytest_greencode.errors import UsageProblem
from pytest_greencode.generation.backend import Backend, RequestFailed
from pytest_greencode.generation.budget import Budget, parse_budget
from pytest_greencode.generation.campaign import Campaign, Job, Maker, Progress
from pytest_greencode.generation.client import ServerClient
from pytest_greencode.generation.meters import GenerationMeter, host_meters
from pytest_greencode.generation.prompts import STYLES, prompt_for, stops_for
from pytest_greencode.generation.recorder import GenerationRecorder
from pytest_greencode.generation.settings import PROMPT, checked, grid, pair
from pytest_greencode.generation.whereabouts import meters_of_server
from pytest_greencode.model import J_PER_KWH, OWN_GRID, Intensity, Task
from pytest_greencode.reports.text import escape, message, percent, significant
from pytest_greencode.suites.catalogue import read_suite_file
from pytest_greencode.suites.formats import human_eval

HELP = "samples of a suite from a model, each with the energy that it took"

# The rest of `--stop` comes as it is typed.
_ESCAPES = {"\\n": "\n", "\\t": "\t"}
_SAY_EVERY_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("the model")
    where = model.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="a server that speaks OpenAI's protocol, such as http://localhost:8000/v1")
    where.add_argument("--transformers", metavar="NAME", help="a Hugging Face model, by name or path, in this process")
    add = model.add_argument
    add("--model", metavar="NAME", help="its name (default: the server's only one)")
    add("--dtype", default="auto", metavar="TYPE", help="with --transformers: float32, bfloat16 ... (default: auto)")
    text = "recorded with each sample, such as quantization=awq"
    add("--label", action="append", default=[], metavar="KEY=VALUE", help=text)
    add("--timeout", type=_positive, default=600.0, metavar="S", help="of one request (default: 600)")
    text = "requests for a sample until one is answered (default: 5)"
    add("--tries", type=_count, default=5, metavar="N", help=text)
    add("--stream", action="store_true", help="take answers piece by piece")
    add = parser.add_argument_group("the samples").add_argument
    add("--suite", metavar="NAME=PATH", help="the suite's file (default: HumanEval)")
    add("--limit", type=_count, metavar="N", help="only the suite's first N tasks")
    add("-n", type=_count, default=1, metavar="N", help="samples a task (default: 1)")
    add("--prompt", choices=STYLES, default="chat", help="how a task is put (default: chat)")
    add("--temperature", type=_temperature, metavar="X", help="default: 0 for one sample a task, 0.8 for several")
    add("--max-tokens", type=_count, default=512, metavar="N", help="of an answer (default: 512)")
    text = r"where an answer ends, \n for a new line (default: a function's end, with --prompt completion)"
    add("--stop", action="append", metavar="TEXT", help=text)
    add("--seed", type=int, metavar="S", help="sample i of a task gets this seed + i")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="more of the request: top_p=0.95")
    text = "settings to be combined, each a configuration: temperature=0.2,0.8 or prompt=short,long"
    add("--grid", action="append", default=[], metavar="KEY=A,B", help=text)
    add("--output", type=Path, metavar="PATH", help="continued if it is there (default: MODEL.jsonl)")
    add = parser.add_argument_group("what it costs").add_argument
    text = "requests at once, or the batch of --transformers (default: 1)"
    add("--concurrency", type=_count, default=1, metavar="N", help=text)
    text = "host: this machine's, though the server's URL says otherwise"
    add("--meter", choices=("auto", "host", "none"), default="auto", help=text)
    add("--budget", metavar="AMOUNT", help="stop when so much is used: 5000J, 3g, 0.50EUR")
    add("--assumptions", type=Path, metavar="FILE", help="prices, for a budget in money")
    add("--region", metavar="ISO3|G", help="grid of the generation site; recorded, and for grams")
    add("--pue", type=_pue, default=1.0, help="its power usage effectiveness, for grams (default: 1)")


def run(options: argparse.Namespace) -> int:
    """0 when all samples are there or the budget is used up, 1 when some got no answer, 130 after Ctrl-C."""
    tasks = _tasks(options)
    configurations = list(_configurations(options))
    with contextlib.ExitStack() as stack:
        backend, meters, notice = _backend(options)
        stack.callback(backend.close)
        budget = _budget(options, backend.model, meters)
        output = options.output or Path(f"{_file_name(backend.model)}.jsonl")
        region = _region(options).region
        facts: dict[str, Any] = {"region": region} if options.region and region != OWN_GRID else {}
        tally = Tally()
        recorder = stack.enter_context(
            GenerationRecorder(output, model=backend.model, meters=meters, on_line=tally.add, **facts)
        )
        jobs = list(_jobs(options, tasks, configurations, recorder))
        there = len(tasks) * len(configurations) * options.n - len(jobs)
        for text in _beforehand(options, recorder, meters, notice, there):
            _tell(text)
        return _generate(options, backend, recorder, jobs, budget, tally)


def _generate(
    options: argparse.Namespace,
    backend: Backend,
    recorder: GenerationRecorder,
    jobs: Sequence[Job],
    budget: Budget | None,
    tally: Tally,
) -> int:
    in_process = options.transformers is not None
    campaign = Campaign(
        Maker(backend, recorder, tries=options.tries),
        jobs,
        workers=1 if in_process else options.concurrency,
        batch=options.concurrency if in_process else 1,
    )
    shown = _Shown(options, recorder, budget, tally)
    progress = Progress(planned=len(jobs))
    code, end = 0, ""
    try:
        with _sigterm_as_ctrl_c():
            for progress in campaign.run(shown.enough):
                shown.update(progress)
    except KeyboardInterrupt:
        code, end = 130, "interrupted; the same command goes on with the rest"
    finally:
        recorder.close()
        shown.update(progress, last=True)
    if not code and progress.failed:
        code = 1
        end = f"{progress.failed} got no answer, the last for: {progress.last_failure}; the same command tries again"
    elif not code and progress.made < progress.planned:
        end = f"stopped by --budget {options.budget}; the same command goes on, with a budget of its own"
    if end:
        _tell(end)
    say(f"{escape(str(recorder.path))}: {progress.made} samples made{shown.spent()}")
    suite = f" --greencode-suite {options.suite}" if options.suite else ""
    say(f"next: pytest --greencode {escape(str(recorder.path) + suite)}")
    return code


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Nothing that was made is lost by it."""
    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler) if ours else None
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


class Tally(Struct):
    """What this command's lines add up to."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    of_failures_j: float = 0.0

    def add(self, row: Mapping[str, Any]) -> None:
        generation = row["generation"]
        self.of_failures_j += (generation.get("energy_j") or 0.0) if "error" in row else 0.0
        self.prompt_tokens += generation.get("prompt_tokens") or 0
        self.completion_tokens += generation.get("completion_tokens") or 0


class _Shown:
    """Progress on standard error: one line that is written anew on a terminal, else a line now and then."""

    def __init__(
        self, options: argparse.Namespace, recorder: GenerationRecorder, budget: Budget | None, tally: Tally
    ) -> None:
        self._recorder, self._budget, self._tally = recorder, budget, tally
        self._g_per_j = options.pue * _region(options).g_per_kwh / J_PER_KWH
        self._terminal = sys.stderr.isatty()
        self._said_s = time.monotonic()

    def enough(self) -> bool:
        if self._budget is None:
            return False
        spent = self._budget.spent(self._recorder.energy_j, self._tally.prompt_tokens, self._tally.completion_tokens)
        if spent is None:
            raise UsageProblem("--budget: the meter failed, so nobody knows what is spent; what was made is kept")
        return spent >= self._budget.limit

    def update(self, progress: Progress, *, last: bool = False) -> None:
        text = f"{progress.made}/{progress.planned} samples"
        text += f", {progress.failed} without an answer" if progress.failed else ""
        text += self.spent()
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{text[:79]}" + "\n" * last)
            sys.stderr.flush()
        elif not last and time.monotonic() - self._said_s > _SAY_EVERY_S:
            self._said_s = time.monotonic()
            _tell(text)

    def spent(self) -> str:
        """Energy and operational grams, as far as known."""
        energy_j = self._recorder.energy_j
        if energy_j is None:
            return ""
        text = f", {significant(energy_j)} J, {significant(energy_j * self._g_per_j)} g CO2e"
        if energy_j and self._tally.of_failures_j:
            text += f", {percent(self._tally.of_failures_j / energy_j)} % of it in failed requests"
        return text


def _tell(text: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in message(text, first="greencode: ", rest=" " * 11)))


def _beforehand(
    options: argparse.Namespace,
    recorder: GenerationRecorder,
    meters: Sequence[GenerationMeter[Any]],
    notice: str | None,
    there: int,
) -> Iterator[str]:
    if recorder.mended:
        yield recorder.mended
    if there:
        yield f"{recorder.path}: {there} samples are there already"
    yield f"energy: {'; '.join(meter.source for meter in meters) or f'not known ({notice})'}"
    if options.n > 1 and options.temperature == 0 and options.seed is None:
        yield "at temperature 0 all samples of a task are the same: retries would only waste"


# --- what to make ---------------------------------------------------------------------------------------------------


def _tasks(options: argparse.Namespace) -> list[Task]:
    if options.suite is None:
        suite = human_eval()
    else:
        name, separator, path = options.suite.partition("=")
        if not (name and separator and path):
            raise UsageProblem(f"--suite: expected NAME=PATH such as mbpp=data/mbpp.jsonl.gz, found {options.suite!r}")
        suite = read_suite_file(name, Path(path), flag="--suite", display_path=path)
    return list(suite.tasks.values())[: options.limit]


def _configurations(options: argparse.Namespace) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """(what is recorded, what is asked of the model) of each."""
    temperature = options.temperature if options.temperature is not None else (0.8 if options.n > 1 else 0.0)
    given: dict[str, Any] = {PROMPT: options.prompt, "temperature": temperature, "max_tokens": options.max_tokens}
    if options.stop:
        given["stop"] = [_unescaped(stop) for stop in options.stop]
    more = checked(dict(pair(text, "--set") for text in options.set), "--set")
    labels = dict(pair(text, "--label") for text in options.label)
    for combination in grid(options.grid):
        asked = {**given, **more, **combination}
        yield {**labels, **asked}, {key: value for key, value in asked.items() if key != PROMPT}


def _unescaped(text: str) -> str:
    for written, meant in _ESCAPES.items():
        text = text.replace(written, meant)
    return text


def _jobs(
    options: argparse.Namespace,
    tasks: Sequence[Task],
    configurations: Sequence[tuple[dict[str, Any], dict[str, Any]]],
    recorder: GenerationRecorder,
) -> Iterator[Job]:
    """Those that the file does not have. All tasks once before any twice: whenever it ends, what there is compares."""
    for sample_id in range(options.n):
        for settings, asked in configurations:
            for task in tasks:
                if not recorder.done(task.task_id, sample_id, settings=settings):
                    style = settings[PROMPT]
                    stops = stops_for(task, style)
                    yield Job(
                        task_id=task.task_id,
                        sample_id=sample_id,
                        prompt=prompt_for(task, style),
                        settings=settings,
                        asked={"stop": list(stops), **asked} if stops else asked,
                        seed=None if options.seed is None else options.seed + sample_id,
                    )


# --- who makes them -------------------------------------------------------------------------------------------------


def _backend(options: argparse.Namespace) -> tuple[Backend, list[GenerationMeter[Any]], str | None]:
    """The model, meters that see it, and why there are none, if so."""
    notice: str | None = "--meter none"
    if options.transformers is not None:
        from pytest_greencode.generation.in_process import TransformersBackend

        model = TransformersBackend(options.transformers, model=options.model, dtype=options.dtype)
        return model, [] if options.meter == "none" else host_meters(), notice
    client = ServerClient(options.url, options.model or "", timeout_s=options.timeout, stream=options.stream)
    client.reach()
    if options.model is None:
        client.model = _only_model(client)
    meters: list[GenerationMeter[Any]] = []
    if options.meter == "host":
        meters = host_meters(whole_machine=True)
    elif options.meter == "auto":
        meters, notice = meters_of_server(client.host, client.port)
    return client, meters, notice


def _only_model(client: ServerClient) -> str:
    try:
        found = client.models()
    except RequestFailed as failure:
        raise UsageProblem(f"--url {client.place}: {escape(str(failure))}") from None
    if len(found) != 1:
        names = ", ".join(map(escape, found)) or "a name, as the server tells none"
        raise UsageProblem(f"--model: expected {'one of ' * bool(found)}{names}")
    return found[0]


def _budget(options: argparse.Namespace, model: str, meters: Sequence[GenerationMeter[Any]]) -> Budget | None:
    region = _region(options)
    if options.budget is None:
        return None
    known = read_assumptions(options.assumptions) if options.assumptions else Assumptions()
    budget = parse_budget(options.budget, g_per_kwh=region.g_per_kwh, pue=options.pue, assumptions=known, model=model)
    if budget.needs_energy and not meters:
        raise UsageProblem(f"--budget {options.budget}: nothing here measures the generation, so nobody can keep to it")
    return budget


def _region(options: argparse.Namespace) -> Intensity:
    return carbon.parse_region(options.region or carbon.WORLD, flag="--region")


def _file_name(model: str) -> str:
    return re.sub(r"[^\w.-]+", "-", model).strip("-.") or "samples"


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text}")
    return int(text)


def _temperature(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) <= 10:
            return value
    raise argparse.ArgumentTypeError(f"expected a number from 0 to 10, found {text}")


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < math.inf:
            return value
    raise argparse.ArgumentTypeError(f"expected a number above 0, found {text}")


def _pue(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 1 <= (value := float(text)) <= 5:
            return value
    raise argparse.ArgumentTypeError(f"expected a power usage effectiveness from 1 to 5, found {text}")
