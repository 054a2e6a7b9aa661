"""Where the page's figures come from: methods, sources, what the run recorded of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from ..accounts import ConfigurationAccount
from ..project_account import ProjectAccount
from .entries import UNKNOWN, cut, headline_part
from .text import escape
from .texts import TEXTS, Bilingual, plain, reason
from .trust import all_cautions, trust_cautions

_MOST_FACTS = 400


class Origin(Struct, frozen=True, kw_only=True):
    """One figure's provenance: its unrounded value, how it came to be, from what."""

    figure: Bilingual
    value: str
    method: str
    source: Bilingual


def origins_of(configuration: ConfigurationAccount) -> Iterator[Origin]:
    """Each headline figure unrounded, then each figure whose provenance the account tells."""
    cost, provenance = configuration.per_accepted, dict(configuration.provenance)
    headline = provenance.pop("per_accepted", None)
    method = "" if headline is None else headline.method.value
    formula = "R_pool" if configuration.chain else f"R_k, k = {cost.attempts}"

    def derived(key: str, value: object, unit: str, source: str, why: str | None = None) -> Origin:
        """Of the headline; where it is not known, `why`."""
        text = reason(why) if why and value is None else plain(source)
        return Origin(figure=TEXTS[key], value=_exact(value, unit), method=method, source=_cut_both(text))

    source = formula if headline is None else f"{formula}; {headline.source}"
    yield derived("figure_per_accepted", cost.co2e_g, "g", source, cost.reason)
    if cost.lower_bound_co2e_g is not None:
        yield derived("figure_lower_bound", cost.lower_bound_co2e_g, "g", "mean / (1 - 0.05^(1/N))")
    yield derived("figure_interval", cost.interval, "g", "R · exp(± t · se)", cost.interval_reason)
    yield derived("figure_this_benchmark", cost.this_benchmark, "g", "jackknife", cost.this_benchmark_reason)
    for name in ("operational_g", "embodied_g"):
        if (value := headline_part(configuration, name)) is not None:
            yield derived(f"figure_{name.removesuffix('_g')}_per_accepted", value, "g", formula)
    if (band := headline_part(configuration, "systematic")) is not None:
        yield derived("figure_systematic", (band.p5, band.p95), "g", "grid, PUE, sensors, embodied totals")
    yield derived("figure_energy_per_accepted", cost.energy_j, "J", formula, cost.reason)
    pool = configuration.pool
    yield derived("figure_pool", pool.co2e_g_per_accepted, "g", "R_pool", pool.reason)
    retry = configuration.retry.get(cost.attempts or 0)
    kappa = None if retry is None else retry.correctness_coefficient
    for key, share, made in (
        ("figure_waste_share", configuration.waste_share, "1 - Σ P_k · μ_P / Σ C_k"),
        ("figure_unsolved_share", configuration.unsolved_share, "Σ C_k (c = 0) / Σ C_k"),
        ("figure_kappa", kappa, "Σ A_k / Σ P_k"),
    ):
        yield Origin(figure=TEXTS[key], value=_exact(share, ""), method="", source=plain(made))
    for name, origin in provenance.items():
        found: Any = configuration
        for step in name.split("."):
            found = getattr(found, step, None)
        counts = [f"{count} {method}" for method, count in origin.methods.items()] if len(origin.methods) > 1 else []
        yield Origin(
            figure=TEXTS.get(f"figure_{name}", plain(escape(name))),
            value=_exact(found, "J" if name.startswith("energy_j") else "g" if name.startswith("co2e_g") else ""),
            method=origin.method.value,
            source=plain(cut("; ".join(filter(None, (origin.source, ", ".join(counts)))))),
        )


def origins_of_tests(project: ProjectAccount) -> Iterator[Origin]:
    """Each figure of a test suite, unrounded."""
    energy, cpu, carbon = (
        project.energy_per_passing_test_j,
        project.cpu_seconds_per_passing_test,
        project.co2e_per_passing_test_g,
    )
    by, whole, joules = project.method.value, project.tests_cost, plain(project.source)
    clocks, ends = TEXTS["source_cpu"], plain("x · exp(± t · se)")
    embodied_g = project.embodied_per_passing_test_g
    for key, value, unit, how, source, why in (
        ("per_test", energy.value, "J", by, plain(f"Σ J / n; {project.source}"), energy.reason),
        ("per_test_interval", energy.interval, "J", by, ends, energy.reason),
        ("per_test_cpu", cpu.value, "s", "measured", clocks, cpu.reason),
        ("per_test_cpu_interval", cpu.interval, "s", "measured", ends, cpu.reason),
        ("per_test_grams", carbon.value, "g", by, TEXTS["source_sum"], carbon.reason),
        ("per_test_operational", project.operational_per_passing_test_g, "g", by, plain("J · PUE · I / 3.6e6"), None),
        ("per_test_embodied", embodied_g, "g", "estimated", plain("TE · t / EL · share"), carbon.reason),
        ("waste_share", project.wasted_share, "", by, plain("1 - Σ J_passed / Σ J_run"), None),
        ("tests_energy", whole.energy_j, "J", by, joules, None),
        ("tests_cpu", whole.cpu_s, "s", "measured", clocks, None),
        ("repetitions_energy", project.repetitions.energy_j, "J", by, joules, None),
        ("pytest_energy", project.harness.energy_j, "J", by, joules, None),
        ("pytest_cpu", project.harness.cpu_s, "s", "measured", clocks, None),
    ):
        text = reason(why) if why and value is None else source
        known = how if value is not None else "missing"
        yield Origin(figure=TEXTS[f"figure_{key}"], value=_exact(value, unit), method=known, source=_cut_both(text))


def _cut_both(text: Bilingual) -> Bilingual:
    return Bilingual(*map(cut, text))


def _exact(value: object, unit: str) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(repr, value))}] {unit}".strip()
    return f"{value!r} {unit}".strip() if isinstance(value, (int, float)) else UNKNOWN


def cautions_of(run_facts: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """(what, why, remedy) of what makes the run's figures, or its verdicts, less certain than they look."""
    verdicts = ((cut(what), cut(why), cut(remedy)) for what, why, remedy in trust_cautions(run_facts))
    others = (
        (cut(str(each.get("what", ""))), cut(str(each.get("why", ""))), cut(str(each.get("remedy", ""))))
        for each in all_cautions(run_facts)
    )
    return (*verdicts, *others)


def facts_of(run_facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Facts as (path, text); the JSON at the page's end has those beyond `_MOST_FACTS`, and the whole of long ones."""
    for number, (path, value) in enumerate(_flat(run_facts, "")):
        if number == _MOST_FACTS:
            yield "...", "..."
            return
        yield cut(path, 120), UNKNOWN if value is None else cut(str(value))


def _flat(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if path in ("", "meter") and name == "cautions":
                continue  # they have a table of their own
            yield from _flat(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)):
        if all(not isinstance(item, (Mapping, list, tuple)) for item in value):
            yield path, " ".join(map(str, value))
        else:
            for number, item in enumerate(value):
                yield from _flat(item, f"{path}[{number}]")
    else:
        yield path, value
