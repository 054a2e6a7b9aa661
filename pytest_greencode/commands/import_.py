"""`greencode import`: what other tools and servers recorded of generations, joined to samples."""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pytest_greencode.commands.output import say, writing
from pytest_greencode.errors import FileFormatError, UsageProblem
from pytest_greencode.reports.text import escape, significant, wrap

if TYPE_CHECKING:
    from pytest_greencode.importers.entries import Entry
    from pytest_greencode.importers.joining import Joined

HELP = "what other tools and servers recorded of generations, joined to samples"
_WIDTH = 80
_MOST_BYTES = 1 << 30
_PARAMETERS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", nargs="?", metavar="FORMAT", help="what the files are; --list tells the formats")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="may be gzipped (.gz)")
    parser.add_argument("--list", action="store_true", help="the formats, and the fields that are read of each")
    parser.add_argument(
        "--samples", type=Path, metavar="FILE", help="JSONL to join to (default: make samples of replies)"
    )
    parser.add_argument("--output", type=Path, metavar="PATH", help="a file (default: standard output)")
    parser.add_argument("--model", metavar="NAME", help="whose generations these are, whatever the files say")
    parser.add_argument(
        "--where", action="append", default=[], metavar="FIELD=VALUE", help="only such records (repeatable)"
    )
    parser.add_argument("--split", choices=("tokens", "evenly"), help="share the energy of whole runs over the samples")
    parser.add_argument("--partial", action="store_true", help="join what fits, leave the rest")
    parser.add_argument("--overrule", action="store_true", help="replace what samples say already")
    parser.add_argument("--rising", action="store_true", help="figures that only rise are no counter's")
    parser.add_argument("--pue-included", action="store_true", help="the energies have the PUE in them")
    parser.add_argument("--scope", choices=("gpu", "all"), help="codecarbon: the GPUs alone (default), or all parts")
    parser.add_argument(
        "--suite", action="append", default=[], metavar="NAME=PATH", help="whose prompts tell tasks (HumanEval's do)"
    )
    group = parser.add_argument_group("estimates", "for records without an energy, from tokens and the model's size")
    group.add_argument("--estimate", choices=("flops", "ecologits"), help="by 2 N FLOPs a token, or by ecologits")
    group.add_argument("--active-parameters", type=_parameters, metavar="N", help="used for each token, such as 7b")
    group.add_argument("--parameters", type=_parameters, metavar="N", help="in all (default: as many as active)")


def run(options: argparse.Namespace) -> int:
    from pytest_greencode.importers.formats import FORMATS

    if options.list:
        for line in _listed():
            say(line)
        return 0
    if options.format is None or options.format not in FORMATS:
        found = "nothing" if options.format is None else escape(options.format)
        raise UsageProblem(f"FORMAT: expected one of {', '.join(FORMATS)}; found {found}; see --list")
    if not options.files:
        raise UsageProblem("FILE: expected at least one file; found none")
    if options.split and options.samples is None:
        raise UsageProblem("--split: expected --samples too, the samples to share the energy over")
    if (options.estimate is None) != (options.active_parameters is None):
        raise UsageProblem("--estimate and --active-parameters: expected both, or neither")
    entries = _entries(options)
    if options.samples is None:
        from pytest_greencode.importers.joining import samples_of

        lines = samples_of(entries, prompts=_prompts(options, entries), rising=options.rising)
        said = [f"{len(lines)} samples, made of {len(entries)} records"]
    else:
        joined = _joined(options, entries)
        lines, said = joined.lines, _told(joined)
    if options.estimate is not None:
        said += _estimate(options, lines)
    _write(options.output, lines)
    _conclude(options, [*said, *_totals(lines)])
    return 0


def _listed() -> Iterator[str]:
    from pytest_greencode.importers.formats import FORMATS

    for name, each in FORMATS.items():
        yield from wrap(each.what, _WIDTH, first=f"{name:<23}", rest=" " * 23)
        yield from wrap(each.reads, _WIDTH, first=" " * 4, rest=" " * 4)


def _parameters(text: str) -> float:
    scale = _PARAMETERS.get(text[-1:].lower())
    try:
        value = float(text[:-1] if scale else text) * (scale or 1)
    except ValueError:
        value = 0.0
    if not 1 <= value < 1e16:
        raise argparse.ArgumentTypeError(f"expected a number of parameters, such as 7b or 6.74e9; found {text}")
    return value


# --- reading ------------------------------------------------------------------------------------------------------


def _entries(options: argparse.Namespace) -> list[Entry]:
    from pytest_greencode.importers import codecarbon, joining
    from pytest_greencode.importers.formats import parse

    if options.scope is not None and options.format != "codecarbon":
        raise UsageProblem(f"--scope: only codecarbon's files have several parts; found {options.format}")
    entries: list[Entry] = []
    for path in options.files:
        text = _text(path, "FILE")
        if options.scope is None:
            entries += parse(options.format, text, str(path))
        else:
            entries += codecarbon.parse(text, str(path), scope=options.scope)
    for asked in options.where:
        try:
            chosen = joining.where(asked)
        except ValueError as error:
            raise UsageProblem(f"--where: {error}") from None
        entries = [entry for entry in entries if chosen(entry)]
        if not entries:
            raise UsageProblem(f"--where {escape(asked)}: no record is so")
    if options.model is not None:
        entries = [replace(entry, model=options.model) for entry in entries]
    if options.pue_included:
        entries = [
            replace(entry, generation=replace(entry.generation, pue_included=entry.generation.energy_j is not None))
            for entry in entries
        ]
    return entries


def _text(path: Path, flag: str) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageProblem(f"{flag} {path}: expected at most {_MOST_BYTES >> 30} GiB; split it")
        data = path.read_bytes()
        if path.name.endswith(".gz"):
            data = gzip.decompress(data)
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileFormatError(str(path), line, None, "UTF-8", f"byte 0x{data[error.start]:02x}") from None
    except (EOFError, gzip.BadGzipFile) as error:
        raise UsageProblem(f"{flag} {path}: expected gzip data; found {escape(str(error))}") from None
    except OSError as error:
        raise UsageProblem(f"{flag} {path}: {error.strerror or error}; expected a file that can be read") from None


def _prompts(options: argparse.Namespace, entries: Iterable[Entry]) -> Mapping[str, str]:
    """The task of each prompt of the suites, where there are prompts to find the tasks of."""
    if not any(entry.prompt is not None and entry.name is None for entry in entries):
        return {}
    from pytest_greencode.suites.formats import human_eval, read_suite

    suites = [human_eval()]
    for asked in options.suite:
        name, equals, path = asked.partition("=")
        if not equals or not name or not path:
            raise UsageProblem(f"--suite: expected NAME=PATH; found {escape(asked)}")
        suites.append(read_suite(name, Path(path)))
    return {task.prompt.strip(): task_id for suite in suites for task_id, task in suite.tasks.items()}


def _joined(options: argparse.Namespace, entries: Sequence[Entry]) -> Joined:
    from pytest_greencode.importers.joining import join
    from pytest_greencode.samples import read_samples

    path: Path = options.samples
    if not path.name.endswith((".jsonl", ".jsonl.gz")) or path.is_dir():
        raise UsageProblem(f"--samples {path}: expected a file of JSON lines, named .jsonl or .jsonl.gz")
    samples = read_samples(path, None)
    text = _text(path, "--samples").removeprefix("\ufeff")
    lines = {number: json.loads(line) for number, line in enumerate(text.split("\n"), 1) if line.strip()}
    return join(
        entries,
        samples,
        lines,
        prompts=_prompts(options, entries),
        split=options.split,
        partial=options.partial,
        overrule=options.overrule,
        rising=options.rising,
    )


def _estimate(options: argparse.Namespace, lines: Sequence[dict[str, Any]]) -> list[str]:
    """Gives an estimate to each line whose tokens are known, but not its energy, and says how many."""
    from pytest_greencode.generation.estimates import estimate, generation_flops

    estimated = 0
    for line in lines:
        generation = line.get("generation") or {}
        tokens = generation.get("completion_tokens")
        if generation.get("energy_j") is not None or not tokens:
            continue
        found = estimate(
            options.estimate,
            completion_tokens=tokens,
            active_parameters=options.active_parameters,
            total_parameters=options.parameters,
        )
        prompt_tokens = generation.get("prompt_tokens")
        flops = None if prompt_tokens is None else generation_flops(options.active_parameters, prompt_tokens + tokens)
        line["generation"] = {
            **generation,
            "energy_j": found.energy_j,
            "energy_method": "estimated",
            "energy_scope": found.scope,
            "source": found.source,
            **({} if flops is None or generation.get("flops") is not None else {"flops": flops}),
        }
        estimated += 1
    return [f"{estimated} energies estimated"]


# --- telling ------------------------------------------------------------------------------------------------------


def _told(joined: Joined) -> list[str]:
    from pytest_greencode.importers.joining import total_j

    said = [f"{joined.matched} of {joined.matched + len(joined.left)} samples joined"]
    if joined.unused:
        cost = total_j(joined.unused)
        said.append(
            f"{len(joined.unused)} records left out" + ("" if cost is None else f", {significant(cost)} J in all")
        )
    return said


def _totals(lines: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What energy the lines have now, by how it came to be; and how many have none."""
    sums: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    without = 0
    for line in lines:
        generation = line.get("generation") or {}
        if generation.get("energy_j") is None:
            without += 1
            continue
        key = generation.get("energy_method") or "declared", generation.get("energy_scope") or "of unknown scope"
        sums[key] += generation["energy_j"]
        counts[key] += 1
    for (method, scope), energy_j in sums.items():
        yield f"{significant(energy_j)} J {method} ({escape(str(scope))}) on {counts[method, scope]} of them"
    if without:
        yield f"{without} without an energy" + ("; --estimate gives one, from their tokens" if not sums else "")


def _write(output: Path | None, lines: Iterable[Mapping[str, Any]]) -> None:
    from pytest_greencode.reports.registry import write_whole

    text = "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)
    if output is None:
        sys.stdout.write(text)
        return
    data = text.encode("ascii")
    with writing(output):
        write_whole(output, [gzip.compress(data, mtime=0) if output.name.endswith(".gz") else data])


def _conclude(options: argparse.Namespace, said: Sequence[str]) -> None:
    """On standard error where the samples are on standard output."""
    stream = sys.stderr if options.output is None else sys.stdout
    for part in said:
        for line in wrap(part, _WIDTH, rest="  "):
            stream.write(f"{line}\n")
