"""How much generating may cost: a limit in joules, grams or money, and what was spent of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from ..errors import UsageProblem
from ..model import J_PER_KWH

if TYPE_CHECKING:
    from ..economics.assumptions import Assumptions

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?)\s*([^\s0-9].*)", re.IGNORECASE)
_ENERGY_J = {"j": 1.0, "kj": 1e3, "mj": 1e6, "wh": 3600.0, "kwh": J_PER_KWH}
_MASS_G = {"mg": 1e-3, "g": 1.0, "kg": 1e3}


class Budget(Struct, frozen=True, kw_only=True):
    """`limit` of what `j_to_unit` x energy + `per_prompt_token`, `per_completion_token` x tokens come to, in `unit`.

    `needs_energy`: whether it cannot be kept without a meter.
    """

    limit: float
    unit: str
    j_to_unit: float = 0.0
    per_prompt_token: float = 0.0
    per_completion_token: float = 0.0

    @property
    def needs_energy(self) -> bool:
        return self.j_to_unit > 0

    def spent(self, energy_j: float | None, prompt_tokens: int, completion_tokens: int) -> float | None:
        """In `unit`; None where the energy that it needs is not known."""
        if self.needs_energy and energy_j is None:
            return None
        tokens = prompt_tokens * self.per_prompt_token + completion_tokens * self.per_completion_token
        return (energy_j or 0.0) * self.j_to_unit + tokens


def parse_budget(text: str, *, g_per_kwh: float, pue: float, assumptions: Assumptions, model: str) -> Budget:
    """5000J, 1.5kWh, 3g (operational, at that grid and PUE), or an amount of the assumptions' currency.

    Money is by the model's token prices where there are some, else by electricity. Raises UsageProblem.
    """
    match = _AMOUNT.fullmatch(text.strip())
    limit, unit = (float(match[1]), match[2].strip()) if match else (0.0, "")
    if not 0 < limit < 1e300:
        raise UsageProblem(f"--budget: expected an amount above 0 such as 5000J, 3g or 0.50EUR, found {text!r}")
    # Whoever writes mJ means millijoules, and MJ a million: too far apart to guess.
    if unit in ("mJ", "mj"):
        raise UsageProblem(f"--budget {text}: millijoules or megajoules? Say J, kJ, MJ, Wh or kWh")
    if unit.lower() in _ENERGY_J:
        return Budget(limit=limit * _ENERGY_J[unit.lower()], unit="J", j_to_unit=1.0)
    if unit.lower() in _MASS_G:
        return Budget(limit=limit * _MASS_G[unit.lower()], unit="g", j_to_unit=pue * g_per_kwh / J_PER_KWH)
    money = assumptions.money
    if money.currency is None or unit != money.currency:
        known = f"{money.currency} of the assumptions" if money.currency else "a currency, with --assumptions FILE"
        raise UsageProblem(f"--budget {text}: expected J, kJ, MJ, Wh, kWh, mg, g, kg, or {known}, found {unit!r}")
    tokens = money.token_price(model)
    if tokens is not None:
        return Budget(
            limit=limit,
            unit=unit,
            per_prompt_token=tokens.prompt_per_million / 1e6,
            per_completion_token=tokens.completion_per_million / 1e6,
        )
    if money.electricity_per_kwh.generation is None:
        raise UsageProblem(
            f"--budget {text}: no price of {model}'s tokens and none of the generation's electricity in the "
            "assumptions; expected money.tokens or money.electricity_per_kwh"
        )
    return Budget(limit=limit, unit=unit, j_to_unit=pue * money.electricity_per_kwh.generation / J_PER_KWH)
