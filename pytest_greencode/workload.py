"""What a session has to attempt: the samples files among pytest's arguments, and the tasks that they are samples of."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_greencode.collection import is_samples_directory, is_samples_file
from pytest_greencode.errors import SampleFormatError, UsageProblem
from pytest_greencode.model import Configuration, Sample, Suite, Task
from pytest_greencode.options import Options
from pytest_greencode.reports.text import escape

if TYPE_CHECKING:
    from pytest_greencode.repository import Environment
    from pytest_greencode.runner import Unit


def expand_globs(config: pytest.Config) -> None:
    """A quoted pattern is a list of files too (and the only way where the shell expands nothing)."""
    base = config.invocation_params.dir
    arguments: list[str] = []
    for argument in config.args:
        path, separator, rest = argument.partition("::")
        if any(sign in path for sign in "*?[") and not (base / path).exists():
            found = sorted(glob.glob(str(base / path), recursive=True))
            if not found:
                raise UsageProblem(f"{path}: expected samples files, found none that match")
            arguments += [name + separator + rest for name in found]
        else:
            arguments.append(argument)
    config.args[:] = arguments


def named_paths(config: pytest.Config) -> list[Path]:
    """The paths among the arguments, each once."""
    base = config.invocation_params.dir
    return list(dict.fromkeys(Path(os.path.abspath(base / arg.partition("::")[0])) for arg in config.args))


def looks_like_samples(path: Path) -> bool:
    return is_samples_file(path) or is_samples_directory(path)


class Workload:
    """Read once, before the first attempt: a broken file raises SampleFormatError and nothing is run."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self._config = config
        self._suites: list[Suite] = []
        self._suite_of: dict[str, Suite] = {}
        self._tasks: dict[str, Task] = {}
        self._samples: dict[Path, list[Sample]] = {}
        self._units: dict[Path, tuple[Unit, ...]] = {}
        others = config.hook.pytest_greencode_load_samples.get_hookimpls()
        named = any(map(looks_like_samples, named_paths(config)))
        if others or options.suites or options.overrides or options.live is not None or named:
            self._load(options)

    def _load(self, options: Options) -> None:
        """Suites and samples; a session of ordinary tests has none, and need not wait for them."""
        from pytest_greencode.samples import refuse_duplicates
        from pytest_greencode.suites.catalogue import load_suites

        suites = self._suites = load_suites(self._config, options)
        self._suite_of = {task_id: suite for suite in suites for task_id in suite.tasks}
        self._tasks = {task_id: suite.tasks[task_id] for task_id, suite in self._suite_of.items()}
        self._samples = dict(self._read())
        for sample in self._all():
            _check_field(sample, self._tasks.get(sample.task_id))
        refuse_duplicates(sample for samples in self._samples.values() for sample in samples)

    def _read(self) -> Iterator[tuple[Path, list[Sample]]]:
        from pytest_greencode.samples import read_samples

        base = self._config.invocation_params.dir
        for path in named_paths(self._config):
            samples = self._config.hook.pytest_greencode_load_samples(config=self._config, path=path)
            if samples is None and looks_like_samples(path):
                samples = read_samples(path, list(self._tasks), display_path=os.path.relpath(path, base))
            if samples is not None:
                yield path, list(samples)

    def __contains__(self, path: Path) -> bool:
        return path in self._samples

    def __bool__(self) -> bool:
        return bool(self._samples)

    @property
    def paths(self) -> Collection[Path]:
        """The samples files."""
        return self._samples.keys()

    @property
    def suites(self) -> list[Suite]:
        """Those that have a sample."""
        used = {self._suite_of[sample.task_id].name: self._suite_of[sample.task_id] for sample in self._all()}
        return list(used.values())

    def environments(self, generated: Iterable[Suite] = ()) -> list[Environment]:
        """What the repositories of the samples' tasks need, and of suites that are generated for; each once."""
        tasks = [self._tasks[sample.task_id] for sample in self._all()]
        tasks += [task for suite in generated for task in suite.tasks.values()]
        repositories = (task.repository for task in tasks)
        return list(dict.fromkeys(each.environment for each in repositories if each is not None))

    def named_suites(self, options: Options) -> list[Suite]:
        """Those to generate for: what the user gave, else all there are."""
        return self._suites[-len(options.suites) :] if options.suites else self._suites

    def _all(self) -> Iterator[Sample]:
        for samples in self._samples.values():
            yield from samples

    def units(self, path: Path) -> Sequence[Unit]:
        """The tasks of a file, each with its attempts in the order in which they count."""
        from pytest_greencode.runner import Unit

        if path not in self._units:
            attempts: dict[str, list[Sample]] = {}
            for sample in self._samples[path]:
                attempts.setdefault(sample.task_id, []).append(sample)
            self._units[path] = tuple(
                Unit(name=f"{path}::{task_id}", task=self._tasks[task_id], attempts=in_order(samples))
                for task_id, samples in attempts.items()
            )
        return self._units[path]

    def units_of(self, node_ids: Sequence[str]) -> list[Unit]:
        """The units that items with these node ids stand for."""
        wanted = set(node_ids)
        found = []
        for path in self._samples:
            prefix = node_id(path, self._config)
            found += [unit for unit in self.units(path) if f"{prefix}::{escape(unit.task.task_id)}" in wanted]
        return found


def _check_field(sample: Sample, task: Task | None) -> None:
    """Raises SampleFormatError for a sample of a form that its task does not take."""
    fields = [name for name in ("completion", "solution", "patch") if getattr(sample, name) is not None]
    if task is None or task.repository is None:
        taken = ["completion", "solution"]
    else:
        taken = ["completion", "patch", *([] if task.repository.entry is None else ["solution"])]
    if wrong := [name for name in fields if name not in taken]:
        expected = f"{' or '.join(map(repr, taken))} for {sample.task_id}"
        raise SampleFormatError(sample.path, sample.line, wrong[0], expected, repr(wrong[0]))


def node_id(path: Path, config: pytest.Config) -> str:
    """What the items of a samples file are called before their "::", as pytest does for files below its root.

    Files elsewhere have no name in pytest, and two of them would be one.
    """
    return os.path.relpath(path, config.rootpath).replace(os.sep, "/")


def in_order(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Per configuration, by sample_id."""
    configurations: dict[Configuration, list[Sample]] = {}
    for sample in samples:
        configurations.setdefault(sample.configuration, []).append(sample)
    return tuple(
        sample for group in configurations.values() for sample in sorted(group, key=lambda sample: sample.sample_id)
    )
