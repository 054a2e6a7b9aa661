"""Joins entries to samples by task and sample, or makes samples of the replies in them. Adds up: no energy gets lost
or counted twice without being told."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ..errors import UsageProblem
from ..model import Generation, Method, Sample, canonical_task_id
from .entries import Entry, short

# Chance that unordered figures rise all the way, in every task or in the whole file; below it they are a counter's.
_BY_CHANCE: Final = 1e-6
_SHOWN: Final = 3
_NUMBERED: Final = re.compile(r"(?P<task>.+?)[#:@/_ .-](?P<sample>[0-9]{1,18})", re.DOTALL)
# Of a task that nobody knows beforehand, only what is no part of a task's own name.
_MARKED: Final = re.compile(r"(?P<task>.+?)[#:](?P<sample>[0-9]{1,18})", re.DOTALL)

_ENERGY: Final = ("energy_j", "energy_method", "energy_scope", "source", "pue_included")
_TOKENS: Final = ("prompt_tokens", "completion_tokens", "reasoning_tokens")
_OTHERS: Final = ("duration_s", "batch_size", "gpu_model", "gpu_count", "flops", "region", "started_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """`lines` are samples as JSON objects, each with its `generation`.

    `matched` of them have got something, `left` are samples without an entry, `unused` entries without a sample.
    """

    lines: list[dict[str, Any]]
    matched: int
    left: list[Sample]
    unused: list[Entry]


# --- what makes no sense ----------------------------------------------------------------------------------------


def refuse_nonsense(entries: Sequence[Entry], *, rising: bool = False) -> None:
    """Raises FileFormatError for a record that stands twice, for an energy of 0 J, and for a counter that runs on
    where single energies are meant (`rising` lets it pass)."""
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.content, entry)
        if first is not entry and entry.generation.energy_j is not None:
            raise entry.problem("each record once", f"the one of {first.place} again")
        if entry.generation.energy_j == 0:
            expected = "more than 0 J, as no generation is free"
            found = "0 J: the window was too short for the counter, or nothing was measured"
            raise entry.problem(expected, found, "energy")
    if not rising:
        for name in ("energy_j", "duration_s", "completion_tokens"):
            _refuse_counter(entries, name)


def _refuse_counter(entries: Sequence[Entry], name: str) -> None:
    figures = [(entry, getattr(entry.generation, name)) for entry in entries if not entry.per_request]
    figures = [(entry, figure) for entry, figure in figures if figure is not None]
    by_task: defaultdict[str | None, list[tuple[Entry, float]]] = defaultdict(list)
    for entry, figure in figures:
        by_task[entry.name and _task_and_sample(entry.name, None)[0]].append((entry, figure))
    for groups, where in ((by_task.values(), "from sample to sample of every task"), ([figures], "from line to line")):
        several = [group for group in groups if len(group) > 1]
        if several and all(_rises(group) for group in several):
            chance = -sum(math.lgamma(len(group) + 1) for group in several)
            if chance < math.log(_BY_CHANCE):
                entry = several[0][1][0]
                found = f"one that rises {where}, as a counter that runs on does (--rising takes it as it is)"
                raise entry.problem("a figure of one generation alone", found, name)


def _rises(group: Sequence[tuple[Entry, float]]) -> bool:
    return all(one < other for (_, one), (_, other) in zip(group, group[1:], strict=False))


# --- which task and sample --------------------------------------------------------------------------------------


def _task_and_sample(name: str, known: Iterable[str] | None) -> tuple[str | None, int | None]:
    """From a name such as "HumanEval/3#1": the task, None where it is not `known`, and the sample where it is said."""
    if known is None:
        marked = _MARKED.fullmatch(name)
        return (canonical_task_id(marked["task"]), int(marked["sample"])) if marked else (canonical_task_id(name), None)
    for text in (name, name.replace("_", "/", 1)):
        if canonical_task_id(text) in known:
            return canonical_task_id(text), None
        numbered = _NUMBERED.fullmatch(text)
        while numbered:
            if canonical_task_id(numbered["task"]) in known:
                return canonical_task_id(numbered["task"]), int(numbered["sample"])
            numbered = _NUMBERED.fullmatch(text, 0, numbered.end("task")) if "/" in numbered["task"] else None
    return None, None


def placed(
    entries: Iterable[Entry], known: Iterable[str] | None, prompts: Mapping[str, str]
) -> list[tuple[Entry, str | None, int | None]]:
    """Each entry with its task and sample; None for the task of what names none.

    Where no sample is said, the entries of a model and task are numbered in their order, as samples files are.
    `prompts` has the task of a prompt's text.
    """
    found: list[tuple[Entry, str | None, int | None]] = []
    counts: Counter[tuple[str | None, str]] = Counter()
    said: dict[tuple[str | None, str], bool] = {}
    for entry in entries:
        task, sample = (None, None) if entry.name is None else _task_and_sample(entry.name, known)
        if task is None and entry.prompt is not None:
            task = prompts.get(entry.prompt.strip())
        if task is not None:
            sample = entry.sample_id if entry.sample_id is not None else sample
            key = entry.model, task
            if said.setdefault(key, sample is not None) != (sample is not None):
                raise entry.problem(f"a sample's number for all records of {short(task)}, or for none", "both")
            if sample is None:
                sample, counts[key] = counts[key], counts[key] + 1
        found.append((entry, task, sample))
    return found


# --- joining ----------------------------------------------------------------------------------------------------


def join(
    entries: Sequence[Entry],
    samples: Sequence[Sample],
    lines: Sequence[Mapping[str, Any]],
    *,
    prompts: Mapping[str, str],
    model: str | None = None,
    split: str | None = None,
    partial: bool = False,
    replaced: bool = False,
) -> Joined:
    """The samples' `lines` with what the entries say of them.

    `model` is whose the entries are, whatever they say. `split` shares the energy of entries that name no task over all
    samples: "tokens", by their completion_tokens, or "evenly". `partial` lets samples without an entry and entries
    without a sample be; `replaced` lets entries overrule what a sample says already.
    Raises FileFormatError (an entry's or a sample's place) and UsageProblem.
    """
    if model is not None:
        entries = [replace(entry, model=model) for entry in entries]
    if any(entry.per_request for entry in entries):
        found = _by_model(entries, samples)
    else:
        known = {sample.task_id for sample in samples}
        by_task = placed(entries, known, prompts)
        nameless = [entry for entry, task, _ in by_task if task is None]
        if split is not None:
            named = [entry for entry, task, _ in by_task if task is not None]
            if named:
                raise named[0].problem("records of whole runs, for --split", f"one of a task, {short(named[0].name)}")
            found = list(zip(samples, _shares(nameless, samples, split), strict=True))
        else:
            found = _by_task(by_task, samples)
            if nameless and not partial:
                raise _nameless(nameless[0])
    taken = {id(sample) for sample, _ in found}
    used = {id(origin) for _, entry in found for origin in _origins(entry, entries, split)}
    left = [sample for sample in samples if id(sample) not in taken]
    unused = [entry for entry in entries if id(entry) not in used]
    if not found or not partial:
        _refuse_leftovers(left, unused, found)
    generations = {id(sample): entry for sample, entry in found}
    merged = [
        dict(line) if id(sample) not in generations else _merged(line, sample, generations[id(sample)], replaced)
        for sample, line in zip(samples, lines, strict=True)
    ]
    return Joined(lines=merged, matched=len(found), left=left, unused=unused)


def _origins(entry: Entry, entries: Sequence[Entry], split: str | None) -> Sequence[Entry]:
    return entries if split is not None else [each for each in entries if each is entry or each.content == entry.content]


def _nameless(entry: Entry) -> UsageProblem:
    what = "no task" if entry.name is None else f"none of the samples' tasks: {short(entry.name)}"
    return UsageProblem(
        f"{entry.place}: expected a record that names a task of the samples, such as HumanEval/0, or HumanEval/0#1 for "
        f"sample 1; found {what}\nIf it is the energy of a whole run, share it: `--split tokens` (by the samples' "
        "completion_tokens) or `--split evenly`. If it is no generation of these samples: `--partial`."
    )


def _refuse_leftovers(left: Sequence[Sample], unused: Sequence[Entry], found: Sequence[object]) -> None:
    if not found:
        raise UsageProblem("no record belongs to a sample; is --samples the file of these generations?")
    parts = []
    if left:
        names = ", ".join(f"{sample.path}:{sample.line} {short(sample.task_id)}" for sample in left[:_SHOWN])
        parts.append(f"{len(left)} samples have no record ({names}{' ...' if len(left) > _SHOWN else ''})")
    if unused:
        names = ", ".join(entry.place for entry in unused[:_SHOWN])
        energies = [entry.generation.energy_j for entry in unused if entry.generation.energy_j is not None]
        cost = f", {math.fsum(energies):.4g} J in all" if energies else ""
        parts.append(f"{len(unused)} records have no sample ({names}{' ...' if len(unused) > _SHOWN else ''}{cost})")
    if parts:
        raise UsageProblem(f"{'; '.join(parts)}. Expected one for the other; `--partial` joins what fits")


def _by_task(
    by_task: Iterable[tuple[Entry, str | None, int | None]], samples: Sequence[Sample]
) -> list[tuple[Sample, Entry]]:
    of_task: defaultdict[tuple[str, int], list[Sample]] = defaultdict(list)
    for sample in samples:
        of_task[sample.task_id, sample.sample_id].append(sample)
    found: list[tuple[Sample, Entry]] = []
    taken: dict[int, Entry] = {}
    for entry, task, number in by_task:
        if task is None or number is None:
            continue
        candidates = of_task[task, number]
        if len(candidates) > 1:
            candidates = [each for each in candidates if each.configuration.model == entry.model]
            if len(candidates) != 1:
                models = "no model" if entry.model is None else f"model {short(entry.model)}"
                several = f"{len(of_task[task, number])} samples {number} of {task}, by several configurations"
                raise entry.problem(f"the model of one of the {several}", models, "model")
        if not candidates:
            continue
        sample = candidates[0]
        first = taken.setdefault(id(sample), entry)
        if first is not entry:
            raise entry.problem(f"one record of sample {number} of {short(task)}", f"that of {first.place} before")
        found.append((sample, entry))
    return found


def _by_model(entries: Sequence[Entry], samples: Sequence[Sample]) -> list[tuple[Sample, Entry]]:
    """A mean per request stands for each sample of its model; by token where the sample has tokens."""
    models = {sample.configuration.model for sample in samples}
    rows: dict[str, Entry] = {}
    for entry in entries:
        name = entry.model or ""
        if name not in models and len(models) > 1:
            continue
        if name not in models:
            raise UsageProblem(
                f"{entry.place}: expected a row of the samples' model, {short(next(iter(models)))}; found one of "
                f"{short(name)}. If they are the same, say so: `--model {next(iter(models))}`"
            )
        if name in rows:
            raise UsageProblem(
                f"{entry.place}: expected one row for model {short(name)}; found another, at {rows[name].place}. Choose "
                "by `--where`, such as `--where batch_size=64`"
            )
        rows[name] = entry
    return [
        (sample, _of_request(rows[sample.configuration.model], sample))
        for sample in samples
        if sample.configuration.model in rows
    ]


def _of_request(entry: Entry, sample: Sample) -> Entry:
    tokens = sample.generation.completion_tokens if sample.generation else None
    if not tokens or entry.j_per_token is None:
        return entry
    source = f"{entry.generation.source}; by its {tokens} tokens"
    return replace(entry, generation=replace(entry.generation, energy_j=entry.j_per_token * tokens, source=source))


def _shares(entries: Sequence[Entry], samples: Sequence[Sample], split: str) -> list[Entry]:
    """The entries' energy and time, shared over the samples; their sum is what the entries say."""
    if split == "evenly":
        weights = [1.0] * len(samples)
    else:
        weights = []
        for sample in samples:
            tokens = sample.generation.completion_tokens if sample.generation else None
            if tokens is None:
                raise UsageProblem(
                    f"{sample.path}:{sample.line}: expected generation.completion_tokens, for --split tokens; found none. "
                    "`--split evenly` needs no tokens"
                )
            weights.append(float(tokens))
    total = math.fsum(weights)
    if not total:
        raise UsageProblem("--split tokens: expected samples with completion tokens; found 0 tokens in all")
    first = entries[0].generation
    energies = [entry.generation.energy_j for entry in entries]
    times = [entry.generation.duration_s for entry in entries]
    energy_j = None if None in energies else math.fsum(energies)  # type: ignore[arg-type]
    duration_s = None if None in times else math.fsum(times)  # type: ignore[arg-type]
    method = Method.ATTRIBUTED if first.energy_method is Method.MEASURED else first.energy_method
    how = "by tokens" if split == "tokens" else "evenly"
    return [
        replace(
            entries[0],
            generation=replace(
                first,
                energy_j=None if energy_j is None else energy_j * weight / total,
                energy_method=method,
                duration_s=None if duration_s is None else duration_s * weight / total,
                source=f"{first.source}; a run's {energy_j:.6g} J over {len(samples)} samples {how}",
                started_at=None,
            ),
        )
        for weight in weights
    ]


def _merged(line: Mapping[str, Any], sample: Sample, entry: Entry, replaced: bool) -> dict[str, Any]:
    """The line with what the entry says. What the sample itself says of its energy or tokens may not differ."""
    own = dict(line.get("generation") or {})
    said = as_record(entry.generation)
    own_model = line.get("model")
    if own_model is not None and entry.model is not None and own_model != entry.model:
        raise entry.problem(
            f"records of the samples' model, {short(own_model)} (if they are the same: --model {own_model})",
            short(entry.model),
            "model",
        )
    if not replaced:
        where = f"{sample.path}:{sample.line}"
        if own.get("energy_j") is not None and "energy_j" in said:
            raise entry.problem(f"a sample without an energy (--replace overrules it)", f"{own['energy_j']} J at {where}")
        for name in _TOKENS:
            if own.get(name) is not None and name in said and own[name] != said[name]:
                expected = f"{own[name]} {name}, as {where} has it (--replace overrules it)"
                raise entry.problem(expected, f"{said[name]}: is this the same generation?", name)
    if "energy_j" in said:
        for name in _ENERGY:
            own.pop(name, None)
    kept = {} if replaced else {name: own[name] for name in (*_TOKENS, *_OTHERS) if own.get(name) is not None}
    return {**line, "generation": {**own, **said, **kept}}


def as_record(generation: Generation) -> dict[str, Any]:
    """What is known of a generation, as a sample's line has it."""
    names = (*(_ENERGY if generation.energy_j is not None else ()), *_TOKENS, *_OTHERS)
    values = {name: getattr(generation, name) for name in names}
    if "energy_method" in values:
        values["energy_method"] = generation.energy_method.value
    return {name: value for name, value in values.items() if value is not None and value is not False}


# --- making samples ---------------------------------------------------------------------------------------------


def samples_of(entries: Sequence[Entry], *, prompts: Mapping[str, str], model: str | None = None) -> list[dict[str, Any]]:
    """The lines of a samples file, of entries that carry the replies. Raises FileFormatError."""
    found = []
    for entry, task, sample in placed(entries, None, prompts):
        if entry.reply is None:
            raise entry.problem("the reply's text, or --samples with a file that has it", "no text")
        if task is None:
            expected = 'which task it answers (a key "task_id" beside the others), or --samples'
            raise entry.problem(expected, "none" if entry.prompt is None else "a prompt of no task")
        named = model or entry.model
        line: dict[str, Any] = {"task_id": task, "completion": entry.reply, "sample_id": sample}
        if named is not None:
            line["model"] = named
        found.append(line | {"generation": as_record(entry.generation)})
    return found


Where = Callable[[Entry], bool]


def where(text: str) -> Where:
    """The choice that FIELD=VALUE means, of the entry's model or a field of its generation. Raises ValueError."""
    name, equals, value = text.partition("=")
    if not equals or name not in ("model", "source", *_OTHERS):
        raise ValueError(f"expected FIELD=VALUE, FIELD one of model, source, {', '.join(_OTHERS)}; found {text}")

    def chosen(entry: Entry) -> bool:
        found = entry.model if name == "model" else getattr(entry.generation, name)
        return str(found) == value or (isinstance(found, str) and value.casefold() in found.casefold())

    return chosen
