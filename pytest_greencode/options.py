"""The command line and the ini file: registration, and the frozen `Options` that everything else is given."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import Struct

if TYPE_CHECKING:
    from pytest_greencode.gate.rules import Rule
    from pytest_greencode.live import LiveOptions
    from pytest_greencode.sites import SiteTexts

# Kept free of imports from this package: it is loaded in every pytest run, with --greencode or without.

GROUP = ("greencode", "grams of CO2e per accepted solution")
# (name, type of value, choices, help). The ini key is the same word; the command line wins.
_TEXT_OPTIONS: tuple[tuple[str, tuple[str, ...] | None, str, str], ...] = (
    ("sandbox", ("auto", "docker", "bubblewrap", "none"), "auto", "where attempts run (default: auto)"),
    ("jobs", None, "", "sandboxes that work at once (default: number of cores)"),
    ("timeout", None, "", "CPU seconds that a solution may use (default: the suite's own, 3 for HumanEval)"),
    ("memory", None, "1g", "memory that a solution may use, such as 512m or 1g (default: 1g)"),
    ("image", None, "", "container image for the docker sandbox (default: made from this Python)"),
    (
        "runtime",
        None,
        "",
        "the Docker engine's runtime, such as runsc or kata (default: the engine's own, mostly runc)",
    ),
    (
        "isolation",
        ("worker", "attempt"),
        "worker",
        "a sandbox serves a worker's attempts one after the other, or each attempt has a fresh one (default: worker)",
    ),
    ("extract", ("auto", "none"), "auto", "reduce chat replies to their code, or take samples as they are"),
    (
        "meter",
        ("auto", "rapl", "psys", "pyrapl", "estimated", "none"),
        "auto",
        "where the energy of execution comes from (default: auto, the CPU's counters or an estimate from CPU time)",
    ),
    (
        "attribution",
        ("attributed", "exclusive"),
        "attributed",
        "share a counter's energy by CPU time, or measure accepted solutions alone as well (default: attributed)",
    ),
    # No percent sign in a help text: argparse would take it for a format.
    ("precision", None, "5", "half the interval that exclusive measurement asks for, in percent (default: 5)"),
    ("measure-time", None, "60", "seconds that measuring one solution alone may take (default: 60)"),
    ("repeat", None, "1", "runs of each ordinary test, for an interval of what it uses (default: 1)"),
    ("weights", None, "", "Green Capacity as one number too: run_time_s=1,energy_j=2 (default: the vector alone)"),
    ("idle", None, "5", "seconds for which the idle machine is measured, before and after, by a counter (default: 5)"),
    ("attempts", None, "", "attempts allowed per task, k of the headline (default: all in the file)"),
    (
        "region",
        None,
        "WOR",
        "grid of the test site: ISO3 code, g/kWh as a number, or live:uk and the like (default: world average)",
    ),
    (
        "generation-region",
        None,
        "",
        "grid of the generation site, where a sample names none (default: --greencode-region)",
    ),
    (
        "machine",
        None,
        "server",
        "the test machine's embodied carbon: server, laptop, desktop, or KG[/YEARS[/THREADS]] (default: server)",
    ),
    (
        "generation-machine",
        None,
        "",
        "the same for the generator's, where a sample names no GPU: H100 and the like (default: any datacentre GPU)",
    ),
    ("pue", None, "1.0", "power usage effectiveness of the test site (default: 1.0)"),
    (
        "generation-pue",
        None,
        "1.0",
        "the same for the generation site, where a record does not include it (default: 1.0)",
    ),
    ("assumptions", None, "", "TOML file of prices, human work and usage, for reports about money (default: none)"),
    ("generate", None, "", "URL of a model server: each task's samples are generated, and tested at once"),
    ("model", None, "", "the model that --greencode-generate asks for"),
    ("samples", None, "", "file for generated samples, continued if it is there (default: beside the ledger)"),
    (
        "generation-meter",
        ("auto", "host", "none"),
        "auto",
        "what measures generation: auto, this machine if the server's URL says so; host, this machine anyway",
    ),
    ("baseline", None, "", "file of `greencode baseline save` that relative rules compare with (default: none)"),
    (
        "differences",
        ("refuse", "accept"),
        "refuse",
        "compare with a baseline of another CPU, meter, image, suite, grid or number of attempts (default: refuse)",
    ),
    ("rejected", ("report", "fail"), "report", "a task without an accepted attempt is reported, or fails the session"),
    ("ledger", None, ".greencode/ledger.sqlite", "where every attempt is recorded (default: .greencode/ledger.sqlite)"),
)
_LIST_OPTIONS = (
    ("suite", "NAME=PATH", "a suite's file: humanevalplus, mbpp, mbppplus or a name of yours (repeatable)"),
    (
        "override",
        "PATH",
        "JSONL of {task_id, tests|canonical_solution|timeout_s} that replaces parts of tasks (repeatable)",
    ),
    ("set", "KEY=VALUE", "a setting of generation: temperature=0.8, max_tokens=512, prompt=short (repeatable)"),
    (
        "fail",
        "FIELD:LIMIT",
        (
            "fail the session (exit code 8) beyond a limit: co2e_per_accepted_g:0.40, or against the baseline "
            "pass_at_1:-2pp; FIELD[PATTERN] for some configurations (repeatable)"
        ),
    ),
    (
        "report",
        "TYPE[:PATH]",
        "write a report: json, html, markdown, github, csv, csv-tasks, badge, badge-json (repeatable)",
    ),
)
_FLAGS = (
    ("stop-at-accepted", "stop a task's attempts at the first accepted one"),
    ("repair", "with --greencode-generate: a failed attempt and why it failed go into the next one's prompt"),
    ("green-capacity", "run each task's canonical solution too, and compare accepted samples with it"),
    ("resume", "continue the ledger's last run: run only what is missing"),
    ("strict", "an inconclusive gate, or one that cannot be evaluated, fails too"),
    ("i-trust-this-code", "second flag that --greencode-sandbox none asks for"),
)


def ini_name(name: str) -> str:
    return "greencode_" + name.replace("-", "_")


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup(*GROUP)
    group.addoption(
        "--greencode",
        action="store_true",
        default=False,
        help="run samples files, measure ordinary tests, and account for them",
    )
    for name, choices, _, text in _TEXT_OPTIONS:
        metavar = None if choices else name.upper().replace("-", "_")
        group.addoption(f"--greencode-{name}", dest=ini_name(name), choices=choices, metavar=metavar, help=text)
        parser.addini(ini_name(name), text, default="")
    for name, metavar, text in _LIST_OPTIONS:
        group.addoption(
            f"--greencode-{name}", dest=ini_name(name), action="append", default=[], metavar=metavar, help=text
        )
        parser.addini(ini_name(name), text, type="linelist", default=[])
    for name, text in _FLAGS:
        group.addoption(f"--greencode-{name}", dest=ini_name(name), action="store_true", default=False, help=text)


class Options(Struct, frozen=True, kw_only=True):
    """What the user asked for, checked. Paths are absolute."""

    sandbox: str
    jobs: int | None
    timeout_s: float | None
    memory_bytes: int
    image: str | None
    runtime: str | None
    fresh_sandboxes: bool
    extract: bool
    meter: str
    idle_s: float
    exclusive: bool
    precision: float
    measure_s: float
    repeat: int
    green_capacity: bool
    weights: dict[str, float] | None
    attempts: int | None
    sites: SiteTexts
    assumptions: Path | None
    rules: tuple[Rule, ...]
    baseline: Path | None
    accept_differences: bool
    strict: bool
    fail_rejected: bool
    ledger: Path
    suites: tuple[tuple[str, Path], ...]
    overrides: tuple[Path, ...]
    reports: tuple[tuple[str, Path], ...]
    stop_at_accepted: bool
    live: LiveOptions | None
    resume: bool
    trusted: bool

    @classmethod
    def from_config(cls, config: pytest.Config) -> Options:
        """Raises pytest.UsageError that names the flag, what was expected and what was found."""
        texts = {name: _value(config, name, choices, default) for name, choices, default, _ in _TEXT_OPTIONS}
        lists = {
            name: [*config.getini(ini_name(name)), *config.getoption(ini_name(name))] for name, _, _ in _LIST_OPTIONS
        }
        flags = {name: bool(config.getoption(ini_name(name))) for name, _ in _FLAGS}
        if texts["sandbox"] == "none" and not flags["i-trust-this-code"]:
            raise pytest.UsageError(
                "--greencode-sandbox none runs model-written code as you, on this machine; if you trust it, add "
                "--greencode-i-trust-this-code, else use docker or bubblewrap"
            )
        if texts["runtime"] and texts["sandbox"] not in ("auto", "docker"):
            raise pytest.UsageError(
                f"--greencode-runtime {texts['runtime']} is a runtime of the Docker engine, but --greencode-sandbox is "
                f"{texts['sandbox']}; leave one of them out"
            )
        if texts["attribution"] == "exclusive":
            _check_exclusive(config, texts)
        from pytest_greencode.sites import SiteTexts  # only now: see above

        base = config.invocation_params.dir
        return cls(
            sandbox=texts["sandbox"],
            jobs=_whole_number("jobs", texts["jobs"]),
            timeout_s=_seconds("timeout", texts["timeout"]),
            memory_bytes=_bytes("memory", texts["memory"]),
            image=texts["image"] or None,
            runtime=texts["runtime"] or None,
            fresh_sandboxes=texts["isolation"] == "attempt",
            extract=texts["extract"] == "auto",
            meter=texts["meter"],
            idle_s=_some_seconds("idle", texts["idle"]),
            exclusive=texts["attribution"] == "exclusive",
            precision=_precision(texts["precision"]),
            measure_s=_some_seconds("measure-time", texts["measure-time"]),
            repeat=_whole_number("repeat", texts["repeat"]) or 1,
            green_capacity=flags["green-capacity"] or bool(texts["weights"]) or texts["attribution"] == "exclusive",
            weights=_weights(texts["weights"]),
            attempts=_whole_number("attempts", texts["attempts"]),
            sites=SiteTexts(
                prefix="--greencode-",
                region=texts["region"],
                generation_region=texts["generation-region"] or None,
                machine=texts["machine"],
                generation_machine=texts["generation-machine"] or None,
                pue=_pue("pue", texts["pue"]),
                generation_pue=_pue("generation-pue", texts["generation-pue"]),
            ),
            assumptions=_path(config, "assumptions", texts["assumptions"]) if texts["assumptions"] else None,
            rules=_rules(lists["fail"], texts["baseline"]),
            baseline=_path(config, "baseline", texts["baseline"]) if texts["baseline"] else None,
            accept_differences=texts["differences"] == "accept",
            strict=flags["strict"],
            fail_rejected=texts["rejected"] == "fail",
            ledger=_ledger(config, texts["ledger"]),
            suites=tuple(_suite(base, text) for text in lists["suite"]),
            overrides=tuple(base / text for text in lists["override"]),
            reports=tuple(_report(base, text) for text in lists["report"]),
            stop_at_accepted=flags["stop-at-accepted"] or flags["repair"],
            live=_live(config, texts, tuple(lists["set"]), flags),
            resume=flags["resume"],
            trusted=flags["i-trust-this-code"],
        )


def _live(
    config: pytest.Config, texts: dict[str, str], settings: tuple[str, ...], flags: dict[str, bool]
) -> LiveOptions | None:
    if not texts["generate"]:
        for name, given in (("model", texts["model"]), ("samples", texts["samples"]), ("set", settings)):
            if given:
                raise pytest.UsageError(f"--greencode-{name} is for generating: expected --greencode-generate URL too")
        if flags["repair"]:
            raise pytest.UsageError("--greencode-repair is for generating: expected --greencode-generate URL too")
        return None
    if not texts["model"]:
        raise pytest.UsageError("--greencode-generate: expected the model's name too: --greencode-model NAME")
    if hasattr(config, "workerinput") or getattr(config.option, "dist", "no") != "no":
        raise pytest.UsageError(
            "--greencode-generate: one process measures what generating costs, but pytest-xdist runs several; leave -n "
            "out (`-n0`, `-p no:xdist`), and set how many tasks go on at once with --greencode-jobs"
        )
    from pytest_greencode.live import LiveOptions  # only now: see above

    return LiveOptions(
        url=texts["generate"],
        model=texts["model"],
        settings=settings,
        samples=_path(config, "samples", texts["samples"]) if texts["samples"] else None,
        meter=texts["generation-meter"],
        attempts=_whole_number("attempts", texts["attempts"]) or 1,
        stop_at_accepted=flags["stop-at-accepted"],
        repair=flags["repair"],
    )


def _rules(texts: list[str], baseline: str) -> tuple[Rule, ...]:
    if not texts and not baseline:
        return ()
    from pytest_greencode.gate.rules import parse_rules

    rules = parse_rules(texts, flag="--greencode-fail")
    relative = next((rule for rule in rules if rule.relative), None)
    if relative is not None and not baseline:
        raise pytest.UsageError(
            f"--greencode-fail {relative.text}: compares with a baseline; say which: --greencode-baseline PATH "
            "(`greencode baseline save PATH` makes one from the last run)"
        )
    if baseline and relative is None:
        raise pytest.UsageError(
            f"--greencode-baseline {baseline}: no rule compares with it; give one, such as --greencode-fail "
            "co2e_per_accepted_g:+10%"
        )
    return rules


def _check_exclusive(config: pytest.Config, texts: dict[str, str]) -> None:
    """Nothing else may run while a solution is measured alone."""
    flag = "--greencode-attribution exclusive"
    if texts["jobs"] not in ("", "1"):
        raise pytest.UsageError(
            f"{flag} measures one solution at a time, but --greencode-jobs is {texts['jobs']}; leave it out, or share "
            "energy by CPU time: --greencode-attribution attributed"
        )
    if hasattr(config, "workerinput") or getattr(config.option, "dist", "no") != "no":
        raise pytest.UsageError(
            f"{flag} measures one solution at a time, but pytest-xdist runs several workers; leave -n out (`-n0`, "
            "`-p no:xdist`), or share energy by CPU time: --greencode-attribution attributed"
        )
    if texts["meter"] in ("estimated", "none"):
        raise pytest.UsageError(
            f"{flag} needs the CPU's energy counters, but --greencode-meter is {texts['meter']}; expected auto, "
            "rapl or pyrapl"
        )


def _value(config: pytest.Config, name: str, choices: tuple[str, ...] | None, default: str) -> str:
    given = config.getoption(ini_name(name))
    if given is None:
        given = str(config.getini(ini_name(name))).strip() or default
        if choices and given not in choices:
            raise pytest.UsageError(f"ini {ini_name(name)}: expected one of {', '.join(choices)}, found {given!r}")
    return str(given)


def _path(config: pytest.Config, name: str, text: str) -> Path:
    """What stands in the ini file belongs to the project, what is typed to where it is typed."""
    typed = config.getoption(ini_name(name)) is not None
    return (config.invocation_params.dir if typed else config.rootpath) / text


def _ledger(config: pytest.Config, text: str) -> Path:
    """By default in the project that pytest is started in, so that `greencode`, which looks upward, finds it.

    Without a project of its own, rootdir is what the arguments happen to have in common.
    """
    if config.getoption(ini_name("ledger")) is not None or str(config.getini(ini_name("ledger"))).strip():
        return _path(config, "ledger", text)
    here, root = config.invocation_params.dir, config.rootpath
    project = config.inipath is not None or config.getoption("rootdir", None) is not None
    return (root if project and here.is_relative_to(root) else here) / text


def _expected(name: str, expected: str, found: str) -> pytest.UsageError:
    return pytest.UsageError(f"--greencode-{name}: expected {expected}, found {found!r}")


def _whole_number(name: str, text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) < 1:
        raise _expected(name, "a whole number from 1", text)
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _seconds(name: str, text: str) -> float | None:
    return _some_seconds(name, text) if text else None


def _some_seconds(name: str, text: str) -> float:
    value = _number(text)
    if not 0 < value <= 3600:
        raise _expected(name, "seconds above 0 and up to 3600", text)
    return value


def _precision(text: str) -> float:
    value = _number(text.strip().removesuffix("%"))
    if not 0.1 <= value <= 50:
        raise _expected("precision", "percent from 0.1 to 50", text)
    return value / 100


def _weights(text: str) -> dict[str, float] | None:
    """NAME=NUMBER of indicators, separated by commas."""
    if not text.strip():
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    weights = {name.strip(): _number(number) for name, _, number in pairs}
    known = ("run_time_s", "peak_memory_bytes", "energy_j", "flops", "correctness")
    if not all(name in known and 0 <= weight < math.inf for name, weight in weights.items()) or not any(
        weights.values()
    ):
        raise _expected("weights", f"NAME=NUMBER,... with NAME of {', '.join(known)}, not all 0", text)
    return weights


def _pue(name: str, text: str) -> float:
    value = _number(text)
    if not 1 <= value <= 5:
        raise _expected(name, "a power usage effectiveness from 1 to 5", text)
    return value


def _bytes(name: str, text: str) -> int:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmg]?)(?:i?b)?", text.strip().lower())
    value = int(float(match[1]) * {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[match[2]]) if match else 0
    if not 32 << 20 <= value <= 1 << 40:
        raise _expected(name, "an amount of memory from 32m, such as 512m or 1g", text)
    return value


def _suite(base: Path, text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise _expected("suite", "NAME=PATH, such as mbpp=data/mbpp.jsonl.gz", text)
    return name, base / path


def _report(base: Path, text: str) -> tuple[str, Path]:
    from pytest_greencode.reports.registry import REPORTS, default_path

    kind, _, path = text.partition(":")
    if kind not in REPORTS:
        raise _expected("report", f"TYPE or TYPE:PATH with TYPE one of {', '.join(REPORTS)}", text)
    return kind, base / (path or default_path(kind, os.environ, flag=f"--greencode-report {kind}"))
