"""Joins entries to samples by task and sample, or makes samples of the replies in them. Adds up: no energy gets lost
or counted twice without being told."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from ..errors import UsageProblem
from ..model import Generation, Method, Sample, canonical_task_id
from .entries import Entry, short

# Chance that unordered figures rise all the way, in every task or in the whole file; below it they are a counter's.
_BY_CHANCE: Final = 1e-6
_SHOWN: Final = 3
_NUMBERED: Final = re.compile(r"(?P<task>.+?)[#:@/_ .-](?P<number>[0-9]{1,18})", re.DOTALL)
# Of a task that nobody knows beforehand, only what is no part of a task's own name.
_MARKED: Final = re.compile(r"(?P<task>.+?)[#:](?P<number>[0-9]{1,18})", re.DOTALL)

_ENERGY: Final = ("energy_j", "energy_method", "energy_scope", "source", "pue_included")
_OF_AN_ENERGY: Final = (*_ENERGY, "energy_relative_error", "energy_unknown")
_TOKENS: Final = ("prompt_tokens", "completion_tokens", "reasoning_tokens")
_OTHERS: Final = ("duration_s", "batch_size", "gpu_model", "gpu_count", "flops", "region", "started_at")


class Joined(Struct, frozen=True, kw_only=True):
    """`lines` are samples as JSON objects, each with its `generation`.

    `matched` of them got something, `left` are samples without an entry, `unused` entries without a sample.
    """

    lines: list[dict[str, Any]]
    matched: int
    left: list[Sample]
    unused: list[Entry]


# --- which task and sample --------------------------------------------------------------------------------------


class Placed(Struct, frozen=True, kw_only=True):
    """An entry, and the task and the sample's number that it is of; None for the task of what names none."""

    entry: Entry
    task: str | None
    number: int | None


def place(entries: Iterable[Entry], known: Collection[str] | None, prompts: Mapping[str, str]) -> list[Placed]:
    """Where each entry belongs. `known` are the tasks there are, None to take any; `prompts` has the task of a prompt.

    Where no sample is said, the entries of a configuration and task are numbered in their order, as samples files are.
    Raises FileFormatError.
    """
    found: list[Placed] = []
    counts: Counter[tuple[str | None, str | None, str]] = Counter()
    said: dict[tuple[str | None, str | None, str], bool] = {}
    for entry in entries:
        task, number = (None, None) if entry.name is None else _task_and_number(entry.name, known)
        if task is None and entry.prompt is not None:
            task = prompts.get(entry.prompt.strip())
        if task is not None:
            number = entry.sample_id if entry.sample_id is not None else number
            key = entry.model, entry.settings, task
            if said.setdefault(key, number is not None) != (number is not None):
                raise entry.problem(f"a sample's number in all records of {short(task)}, or in none", "both")
            if number is None:
                number = counts[key]
                counts[key] += 1
        found.append(Placed(entry=entry, task=task, number=number))
    return found


def _task_and_number(name: str, known: Collection[str] | None) -> tuple[str | None, int | None]:
    """From a name such as "HumanEval/3#1": the task, None where it is not `known`, and the sample where it is said."""
    if known is None:
        marked = _MARKED.fullmatch(name)
        return (canonical_task_id(marked["task"]), int(marked["number"])) if marked else (canonical_task_id(name), None)
    # Names of files and windows cannot always have a slash.
    for text in (name, name.replace("_", "/", 1)):
        if canonical_task_id(text) in known:
            return canonical_task_id(text), None
        numbered = _NUMBERED.fullmatch(text)
        if numbered and canonical_task_id(numbered["task"]) in known:
            return canonical_task_id(numbered["task"]), int(numbered["number"])
    return None, None


# --- what makes no sense ----------------------------------------------------------------------------------------


def refuse_nonsense(placed: Sequence[Placed], *, rising: bool = False) -> None:
    """Raises FileFormatError for a record that stands twice, for an energy of 0 J, and for a counter that runs on
    where single generations are meant (`rising` lets it pass)."""
    seen: dict[str, Entry] = {}
    for each in placed:
        entry = each.entry
        first = seen.setdefault(entry.content, entry)
        if first is not entry:
            raise entry.problem("each record once", f"the one of {first.place} again")
        if entry.generation.energy_j == 0:
            found = "0 J: the window was too short for the counter, or nothing was measured"
            raise entry.problem("more than 0 J, as no generation is free", found, "energy")
    if not rising:
        for name in ("energy_j", "duration_s", "completion_tokens"):
            _refuse_counter(placed, name)


def _refuse_counter(placed: Sequence[Placed], name: str) -> None:
    """Among n figures in no order, 1 of n! orders rises all the way; of several tasks all do with the product."""
    known = [(each, figure) for each in placed if (figure := getattr(each.entry.generation, name)) is not None]
    by_task: defaultdict[tuple[str | None, ...], list[tuple[Placed, float]]] = defaultdict(list)
    for each, figure in known:
        by_task[each.entry.model, each.entry.settings, each.task].append((each, figure))
    for group in by_task.values():
        group.sort(key=lambda pair: pair[0].number or 0)
    for groups, where in ((list(by_task.values()), "sample to sample of every task"), ([known], "record to record")):
        several = [group for group in groups if len(group) > 1]
        chance = -sum(math.lgamma(len(group) + 1) for group in several)
        if chance < math.log(_BY_CHANCE) and all(_rises([figure for _, figure in group]) for group in several):
            found = f"one that rises from {where}, as a counter does that runs on (--rising takes it as it is)"
            raise several[0][1][0].entry.problem("a figure of one generation alone", found, name)


def _rises(figures: Sequence[float]) -> bool:
    return all(figures[index] < figures[index + 1] for index in range(len(figures) - 1))


# --- joining ----------------------------------------------------------------------------------------------------


class _Match(NamedTuple):
    sample: Sample
    entry: Entry
    generation: Generation


def join(
    entries: Sequence[Entry],
    samples: Sequence[Sample],
    lines: Mapping[int, Mapping[str, Any]],
    *,
    prompts: Mapping[str, str] = MappingProxyType({}),
    split: str | None = None,
    partial: bool = False,
    overrule: bool = False,
    rising: bool = False,
) -> Joined:
    """The `lines` of the samples' file, by number, with what the entries say of the samples on them.

    `split` shares the energy of whole runs over all samples: "tokens", by their completion_tokens, or "evenly".
    `partial` lets be samples without an entry and entries without a sample; `overrule` lets entries overrule what a
    sample says already; `rising` as in `refuse_nonsense`.
    Raises UsageProblem, naming the record's or the sample's place.
    """
    placed = place(entries, {sample.task_id for sample in samples}, prompts)
    refuse_nonsense(placed, rising=rising or any(entry.per_request for entry in entries))
    for entry in entries:
        if entry.error is not None:
            raise entry.problem("records of answers, for --samples", "a request that failed", "error")
    unused: list[Entry] = []
    if any(entry.per_request for entry in entries):
        if split is not None:
            raise entries[0].problem("records of whole runs, for --split", "a mean per request")
        matches = _by_model(entries, samples)
    elif split is not None:
        matches = _shares(placed, samples, split)
    else:
        nameless = [each.entry for each in placed if each.task is None]
        if nameless and not partial:
            raise _nameless(nameless[0])
        matches = _by_task(placed, samples)
        used = {id(match.entry) for match in matches}
        unused = [entry for entry in entries if id(entry) not in used]
    matched = {match.sample.line for match in matches}
    left = [sample for sample in samples if sample.line not in matched]
    if not matches:
        raise UsageProblem("no record belongs to a sample; is --samples the file of these generations?")
    if not partial:
        _refuse_leftovers(left, unused)
    merged = dict(lines)
    for match in matches:
        assert match.sample.line is not None
        merged[match.sample.line] = _merged(lines[match.sample.line], match, overrule)
    return Joined(lines=[dict(line) for line in merged.values()], matched=len(matches), left=left, unused=unused)


def _nameless(entry: Entry) -> UsageProblem:
    what = "none" if entry.name is None else short(entry.name)
    return UsageProblem(
        f"{entry.place}: expected the name of a task of the samples, such as HumanEval/0, or HumanEval/0#1 for its "
        f"sample 1; found {what}\nThe energy of a whole run can be shared: `--split tokens` (by the samples' "
        "completion_tokens) or `--split evenly`. What is no generation of these samples can be left out: `--partial`."
    )


def _refuse_leftovers(left: Sequence[Sample], unused: Sequence[Entry]) -> None:
    parts = []
    if left:
        names = _listed([f"{sample.path}:{sample.line} {short(sample.task_id)}" for sample in left])
        parts.append(f"{len(left)} samples have no record ({names})")
    if unused:
        cost = total_j(unused)
        names = _listed([entry.place for entry in unused]) + ("" if cost is None else f"; {cost:.4g} J in all")
        parts.append(f"{len(unused)} records have no sample ({names})")
    if parts:
        raise UsageProblem(f"{'; '.join(parts)}; expected one record for each sample. `--partial` joins those that fit")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")


def total_j(entries: Iterable[Entry]) -> float | None:
    """Their energy in J, as far as it is known; None where none is."""
    energies = [entry.generation.energy_j for entry in entries if entry.generation.energy_j is not None]
    return math.fsum(energies) if energies else None


def _by_task(placed: Iterable[Placed], samples: Sequence[Sample]) -> list[_Match]:
    of_task: defaultdict[tuple[str | None, int | None], list[Sample]] = defaultdict(list)
    for sample in samples:
        of_task[sample.task_id, sample.sample_id].append(sample)
    matches: dict[int | None, _Match] = {}
    for each in placed:
        entry, candidates = each.entry, of_task[each.task, each.number]
        if len(candidates) > 1:
            same = [sample for sample in candidates if _may_be(entry, sample)]
            if len(same) != 1:
                found = "no model" if entry.model is None else f"model {short(entry.model)}, of {len(same)} of them"
                expected = f"what tells apart the {len(candidates)} samples {each.number} of {short(each.task)}"
                raise entry.problem(f"{expected}: their model, or in `native` their settings", found, "model")
            candidates = same
        for sample in candidates:
            if sample.line in matches:
                found = f"the second, after {matches[sample.line].entry.place}"
                raise entry.problem(f"one record of sample {each.number} of {short(each.task)}", found)
            matches[sample.line] = _Match(sample, entry, entry.generation)
    return list(matches.values())


def _may_be(entry: Entry, sample: Sample) -> bool:
    own = sample.configuration
    return entry.model in (None, own.model) and entry.settings in (None, own.settings)


def _by_model(entries: Sequence[Entry], samples: Sequence[Sample]) -> list[_Match]:
    """A mean per request stands for each sample of its model; by token where the sample has tokens."""
    models = {sample.configuration.model for sample in samples}
    rows: dict[str, Entry] = {}
    for entry in entries:
        name = entry.model or ""
        if name in rows:
            raise UsageProblem(
                f"{entry.place}: expected one row of model {short(name)}; found another, at {rows[name].place}. "
                "Choose one, such as `--where batch_size=64`"
            )
        rows[name] = entry
    if not models & rows.keys():
        mine, theirs = _listed(sorted(map(short, models))), _listed(sorted(map(short, rows)))
        raise UsageProblem(
            f"{entries[0].path}: expected a row of the samples' model, {mine}; found {theirs}. Where they are the "
            "same, `--model NAME` says so, NAME the samples'"
        )
    return [
        _Match(sample, row, _of_request(row, sample))
        for sample in samples
        if (row := rows.get(sample.configuration.model)) is not None
    ]


def _of_request(row: Entry, sample: Sample) -> Generation:
    tokens = sample.generation.completion_tokens if sample.generation else None
    if not tokens or row.j_per_token is None:
        return row.generation
    source = f"{row.generation.source}; by the sample's {tokens} tokens"
    return replace(row.generation, energy_j=row.j_per_token * tokens, source=source)


def _shares(placed: Sequence[Placed], samples: Sequence[Sample], split: str) -> list[_Match]:
    """The energy and time of whole runs, shared over the samples; the shares add up to what the entries say."""
    for each in placed:
        if each.task is not None:
            raise each.entry.problem("records of whole runs, for --split", f"one of {short(each.task)}")
    entries = [each.entry for each in placed]
    weights = [1.0 if split == "evenly" else _tokens(sample) for sample in samples]
    whole = math.fsum(weights)
    for entry in entries:
        for name in ("energy_scope", "energy_method", "pue_included", "region"):
            mine, first = getattr(entry.generation, name), getattr(entries[0].generation, name)
            if mine != first:
                raise entry.problem(f"{short(first)}, as {entries[0].place} has it", short(mine), name)
    run = entries[0].generation
    energy_j, duration_s = (
        math.fsum(figures) if None not in (figures := [getattr(entry.generation, name) for entry in entries]) else None
        for name in ("energy_j", "duration_s")
    )
    if energy_j is None:
        raise entries[0].problem("an energy to share", "none", "energy")
    how = "by their tokens" if split == "tokens" else "evenly"
    shared = replace(
        run,
        energy_method=Method.ATTRIBUTED if run.energy_method is Method.MEASURED else run.energy_method,
        source=f"{run.source}; {energy_j:.6g} J of a run shared over {len(samples)} samples {how}",
        started_at=None,
    )
    return [
        _Match(
            sample,
            entries[0],
            replace(
                shared,
                energy_j=energy_j * weight / whole,
                duration_s=None if duration_s is None else duration_s * weight / whole,
            ),
        )
        for sample, weight in zip(samples, weights, strict=True)
    ]


def _tokens(sample: Sample) -> float:
    tokens = sample.generation.completion_tokens if sample.generation else None
    if tokens is None:
        raise UsageProblem(
            f"{sample.path}:{sample.line}: field 'generation.completion_tokens': expected a number of tokens, for "
            "--split tokens, found nothing; `--split evenly` needs none"
        )
    return float(max(tokens, 1))  # no request is free, as in the recorder


def _merged(line: Mapping[str, Any], match: _Match, overrule: bool) -> dict[str, Any]:
    """The line with what the entry says. What the sample itself says of its energy or tokens may not differ."""
    sample, entry = match.sample, match.entry
    own, said = dict(line.get("generation") or {}), as_record(match.generation)
    if line.get("model") is not None and entry.model not in (None, line["model"]):
        expected = f"{short(line['model'])}, the samples' model (where they are the same, `--model NAME` says so)"
        raise entry.problem(expected, short(entry.model), "model")
    if not overrule:
        at = f"{sample.path}:{sample.line}"
        if own.get("energy_j") is not None and "energy_j" in said:
            expected = "a sample without an energy (--overrule replaces it)"
            raise entry.problem(expected, f"{own['energy_j']:g} J at {at}", "energy")
        for name in _TOKENS:
            if name in said and own.get(name) not in (None, said[name]):
                expected = f"{own[name]}, as {at} has it (--overrule replaces it)"
                raise entry.problem(expected, f"{said[name]}: is this the same generation?", name)
    if "energy_j" in said:
        own = {name: value for name, value in own.items() if name not in _OF_AN_ENERGY}
    kept = {} if overrule else {name: value for name, value in own.items() if value is not None}
    return {**line, "generation": {**own, **said, **kept}}


def as_record(generation: Generation) -> dict[str, Any]:
    """What is known of a generation, as a sample's line has it."""
    names = (*(_ENERGY if generation.energy_j is not None else ()), *_TOKENS, *_OTHERS)
    values = {name: getattr(generation, name) for name in names}
    if "energy_method" in values:
        values["energy_method"] = generation.energy_method.value
    return {name: value for name, value in values.items() if value is not None and value is not False}


# --- making samples ---------------------------------------------------------------------------------------------


def samples_of(
    entries: Sequence[Entry], *, prompts: Mapping[str, str] = MappingProxyType({}), rising: bool = False
) -> list[dict[str, Any]]:
    """The lines of a samples file, of entries that carry the replies. Raises FileFormatError."""
    found = []
    placed = place(entries, None, prompts)
    refuse_nonsense(placed, rising=rising)
    for each in placed:
        entry = each.entry
        if entry.reply is None and entry.error is None:
            raise entry.problem("a reply's text, to make a sample of", "none; say --samples FILE, which has the texts")
        if each.task is None:
            found_instead = "nothing" if entry.prompt is None else "a prompt that is no task's"
            raise entry.problem("the task that it answers, as task_id beside its other keys", found_instead, "task_id")
        text = "error" if entry.reply is None else "solution" if entry.whole_program else "completion"
        said = entry.error if entry.reply is None else entry.reply
        line: dict[str, Any] = {"task_id": each.task, text: said, "sample_id": each.number}
        if entry.model is not None:
            line["model"] = entry.model
        if entry.settings is not None:
            line["settings"] = json.loads(entry.settings)
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
