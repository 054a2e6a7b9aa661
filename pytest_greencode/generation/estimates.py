"""Energy of a generation that nobody measured, from its tokens and the model's size: an estimate, with its error.

FLOPs of a forward pass: 2 * N per token, N the active parameters (Kaplan et al. 2020, arXiv 2001.08361, section 2.1;
attention over a context far shorter than 12 * width adds little).
"""

from __future__ import annotations

import importlib
import math
from typing import Any, Final

from msgspec import Struct

from ..errors import UsageProblem

# Joules of GPU energy per FLOP of output tokens (2 N each), in servers that batch: the geometric mean over the 123 rows
# of ML.ENERGY's leaderboard v2 for code (Apache-2.0; 9 models of 2 to 70 B, A100-40GB and H100, vLLM, HumanEval+, 32 to
# 1536 requests at once; N as models.json there has it). The factor is that of the row farthest from it, one of those
# with 32 requests at once.
J_PER_FLOP: Final = 13.7e-12
J_PER_FLOP_FACTOR: Final = 2.6

# GPU energy by ecologits 0.11.3 over that of the same rows: 0.25 to 4.0 (H100 alone 0.45 to 2.7).
ECOLOGITS_FACTOR: Final = 4.0

METHODS: Final = ("flops", "ecologits")
_NO_GRID: Final = dict.fromkeys(
    (
        "if_electricity_mix_adpe",
        "if_electricity_mix_pe",
        "if_electricity_mix_gwp",
        "if_electricity_mix_wue",
        "datacenter_wue",
    ),
    0.0,
)
_J_PER_KWH: Final = 3.6e6


class EnergyEstimate(Struct, frozen=True, kw_only=True):
    """`energy_j` and the range it was seen to lie in, J. `scope`: of which hardware. `source` says all of it."""

    energy_j: float
    low_j: float
    high_j: float
    scope: str
    source: str


def generation_flops(active_parameters: float, tokens: int) -> float:
    """FLOPs of the forward passes over `tokens`, those of the prompt too: 2 * N * tokens."""
    return 2 * _positive(active_parameters, "active parameters") * tokens


def estimate(
    method: str, *, completion_tokens: int, active_parameters: float, total_parameters: float | None = None
) -> EnergyEstimate:
    """The energy of a request by one of METHODS. Parameters are counted, not in billions.

    Both are of datacentre GPUs that work on many requests at once; alone, a request costs many times as much.
    `total_parameters` (of a mixture of experts) decides how many GPUs ecologits takes; None: all are active.
    Raises ValueError for tokens or parameters of 0 or less, and UsageProblem where ecologits is not installed.
    """
    tokens = int(_positive(completion_tokens, "completion tokens"))
    active = _positive(active_parameters, "active parameters")
    if method == "flops":
        energy_j, factor, scope = J_PER_FLOP * generation_flops(active, tokens), J_PER_FLOP_FACTOR, "gpu"
        how = f"2 * {active:.4g} * {tokens} FLOPs at {J_PER_FLOP * 1e12:g} pJ, of batched datacentre GPUs"
    elif method == "ecologits":
        total = _positive(active if total_parameters is None else total_parameters, "parameters")
        energy_j, version = _ecologits_j(tokens, active, total)
        factor, scope = ECOLOGITS_FACTOR, "gpu+server"
        how = f"ecologits {version}, {active / 1e9:.4g} B active of {total / 1e9:.4g} B parameters, {tokens} tokens"
    else:
        raise ValueError(f"expected one of {', '.join(METHODS)}, found {method!r}")
    return EnergyEstimate(
        energy_j=energy_j,
        low_j=energy_j / factor,
        high_j=energy_j * factor,
        scope=scope,
        source=f"{how}; within a factor of {factor:g}, more where requests are not batched",
    )


def _ecologits_j(tokens: int, active: float, total: float) -> tuple[float, str]:
    """Of GPUs and their server, without PUE, J; and by which version."""
    try:
        llm: Any = importlib.import_module("ecologits.impacts.llm")
        version = importlib.import_module("importlib.metadata").version("ecologits")
    except ImportError:
        raise UsageProblem(
            "ecologits is not installed; `pip install 'pytest-greencode[estimate]'`, or estimate by flops"
        ) from None
    found = llm.compute_llm_impacts_dag(
        model_active_parameter_count=active / 1e9,
        model_total_parameter_count=total / 1e9,
        output_token_count=tokens,
        request_latency=math.inf,
        datacenter_pue=1.0,
        **_NO_GRID,
    )
    return float(found["request_energy"]) * _J_PER_KWH, version


def _positive(value: float, what: str) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"expected {what} above 0, found {value!r}")
    return value
