"""The assumptions file: prices, human work, usage and one-off costs, as the user states them in TOML.

Every value is optional and none is assumed silently: `Assumptions.entries` lists each value in use with its origin, the
file and line that gave it or the source of a default.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Struct, field
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ..carbon import parse_region
from ..errors import FileFormatError, UsageProblem
from ..model import Intensity
from ..records import Name, format_problem
from ..toml_files import KeyPath, dotted, field_at, first_problem, line_of, parse_toml, read_toml_text
from .usage import DAYS_PER_MONTH

WORKSTATION_W: Final = 60.0
# dot-com-alliance.org/POWERING_ICT/pub/Desktop_Computers.htm, which gives the laboratory's 50 to 55 W too.
WORKSTATION_SOURCE: Final = (
    "upper end of 40 to 60 W, an average desktop computer in use without its monitor (Winrock International 2004, "
    "after Lawrence Berkeley Laboratory 2001)"
)
HOURS_PER_YEAR: Final = 8766.0  # 365.25 days

# A field's description is its unit; messages and the list of entries show it.
Price = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e15, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ElectricityPrice(_Section):
    """What a kWh at the meter costs, at the two sites."""

    generation: Price | None = Field(default=None, description="currency per kWh")
    execution: Price | None = Field(default=None, description="currency per kWh")


def _both_sites(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"generation": value, "execution": value}
    if isinstance(value, dict):
        return value
    raise format_problem("a number, or a table with generation and execution")


class TokenPrice(_Section):
    """What a provider charges models whose name matches `model` (`*` and `?` stand for any text and character)."""

    model: Name = Field(description="pattern of model names")
    prompt_per_million: Price = Field(description="currency per million tokens")
    completion_per_million: Price = Field(description="currency per million tokens")


class Hardware(_Section):
    """A machine or device: bought (`price` over the hours it is used in its life) or paid by the hour.

    `share` of it is what one attempt reserves, 1 unless given: 0.0625 is one core of sixteen.
    """

    price: Price | None = Field(default=None, description="currency")
    lifetime_years: Annotated[Positive, Field(le=100)] | None = Field(default=None, description="years")
    used_hours_per_year: Annotated[Positive, Field(le=8784)] | None = Field(default=None, description="hours")
    per_hour: Price | None = Field(default=None, description="currency per hour of one device or machine")
    share: Share | None = Field(default=None, description="share, 0 to 1")

    @model_validator(mode="after")
    def _one_way(self) -> Hardware:
        bought = [self.price, self.lifetime_years, self.used_hours_per_year]
        if self.per_hour is not None and any(value is not None for value in bought):
            raise format_problem("either per_hour, or price with lifetime_years", "both")
        if self.per_hour is None and (self.price is None or self.lifetime_years is None):
            raise format_problem("per_hour, or price with lifetime_years", "neither")
        return self

    def per_used_hour(self) -> float:
        """Currency per hour of use of the reserved share."""
        share = 1.0 if self.share is None else self.share
        if self.per_hour is not None:
            return self.per_hour * share
        assert self.price is not None
        assert self.lifetime_years is not None
        return self.price * share / (self.lifetime_years * (self.used_hours_per_year or HOURS_PER_YEAR))


class HardwarePrices(_Section):
    generation: Hardware | None = None
    execution: Hardware | None = None


class Money(_Section):
    currency: Annotated[Name, Field(max_length=12)] | None = Field(default=None, description="name of the currency")
    electricity_per_kwh: Annotated[ElectricityPrice, BeforeValidator(_both_sites)] = ElectricityPrice()
    tokens: list[TokenPrice] = []
    hardware: HardwarePrices = HardwarePrices()

    def token_price(self, model: str) -> TokenPrice | None:
        """The first whose pattern matches."""
        return next((price for price in self.tokens if fnmatch.fnmatchcase(model, price.model)), None)


class HumanWork(_Section):
    minutes_per_task: Positive | None = Field(default=None, description="minutes")
    hourly_rate: Price | None = Field(default=None, description="currency per hour")


def _region(value: object) -> str:
    try:
        if isinstance(value, str):
            parse_region(value)
            return value
    except UsageProblem:
        pass
    raise format_problem('an ISO 3166-1 alpha-3 code such as "FRA", or g/kWh such as "56g"')


class Human(HumanWork):
    """The same work done by a person. A task's own figures go before its suite's, and those before the general ones."""

    workstation_w: Annotated[Positive, Field(le=1e5)] | None = Field(default=None, description="W")
    region: Annotated[str, BeforeValidator(_region)] | None = Field(default=None, description="grid of the workstation")
    suites: dict[str, HumanWork] = {}
    tasks: dict[str, HumanWork] = {}

    def power_w(self) -> float:
        return WORKSTATION_W if self.workstation_w is None else self.workstation_w

    def grid(self, default: Intensity) -> Intensity:
        """The workstation's grid; `default`, the test site's, where none is given."""
        return default if self.region is None else parse_region(self.region, flag="human.region")

    def minutes(self, suite: str, task_id: str) -> float | None:
        return self._first("minutes_per_task", suite, task_id)

    def rate(self, suite: str, task_id: str) -> float | None:
        """Currency per hour."""
        return self._first("hourly_rate", suite, task_id)

    def _first(self, name: str, suite: str, task_id: str) -> float | None:
        for work in (self.tasks.get(task_id), self.suites.get(suite), self):
            value: float | None = getattr(work, name, None)
            if value is not None:
                return value
        return None


class Alternative(_Section):
    """Another tool that does the same work."""

    co2e_g_per_solution: Positive | None = Field(default=None, description="gCO2e")
    money_per_solution: Positive | None = Field(default=None, description="currency")


class Usage(_Section):
    """How often the model is called in use: one of `calls_per_day`, `solutions_per_month` and `log`.

    `accept_rate` and `days_per_month` (those with calls) go with `calls_per_day`; a log tells both itself.
    """

    calls_per_day: Price | None = Field(default=None, description="attempts per day")
    accept_rate: Rate | None = Field(default=None, description="share of calls, 0 to 1")
    solutions_per_month: Price | None = Field(default=None, description="accepted solutions per month")
    days_per_month: Annotated[Positive, Field(le=31)] | None = Field(
        default=None, description="days with calls per month"
    )
    log: Name | None = Field(default=None, description="path of a usage log, from this file's directory")

    @model_validator(mode="after")
    def _one_way(self) -> Usage:
        given = [name for name in ("calls_per_day", "solutions_per_month", "log") if getattr(self, name) is not None]
        if len(given) > 1:
            raise format_problem("one of calls_per_day, solutions_per_month and log", " and ".join(given))
        for name in ("accept_rate", "days_per_month"):
            if getattr(self, name) is not None and self.calls_per_day is None:
                raise format_problem(f"{name} beside calls_per_day", f"{name} without it")
        return self


class OneOff(_Section):
    """A cost paid once. The sum of `co2e_g` and what `energy_kwh` emits; money likewise."""

    energy_kwh: Price | None = Field(default=None, description="kWh at the meter")
    co2e_g: Price | None = Field(default=None, description="gCO2e besides that of energy_kwh")
    money: Price | None = Field(default=None, description="currency besides that of energy_kwh")


class Impacts(_Section):
    """Impacts of electricity beside carbon, of both sites; no part of the SCI."""

    water_site_l_per_kwh: Price | None = Field(default=None, description="l per kWh of IT energy (WUE of the site)")
    water_grid_l_per_kwh: Price | None = Field(default=None, description="l per kWh at the meter (power plants)")
    primary_energy_mj_per_kwh: Price | None = Field(default=None, description="MJ per kWh at the meter")


class Target(_Section):
    pass_at_k: Rate | None = Field(default=None, description="share of tasks, 0 to 1")
    quality_margin: Rate | None = Field(default=None, description="difference of pass@k that counts as equal, 0 to 1")


class _File(_Section):
    money: Money = Money()
    human: Human = Human()
    alternative: dict[str, Alternative] = {}
    usage: Usage = Usage()
    one_off: dict[str, OneOff] = {}
    impacts: Impacts = Impacts()
    target: Target = Target()


class Entry(Struct, frozen=True, kw_only=True):
    """One value in use: its dotted name, the value as text, its unit, and where it comes from."""

    name: str
    value: str
    unit: str
    origin: str


class Assumptions(Struct, frozen=True, kw_only=True):
    """What the user assumes; without a file, nothing but the power of a workstation."""

    money: Money = field(default_factory=Money)
    human: Human = field(default_factory=Human)
    alternative: Mapping[str, Alternative] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    one_off: Mapping[str, OneOff] = field(default_factory=dict)
    impacts: Impacts = field(default_factory=Impacts)
    target: Target = field(default_factory=Target)
    path: str | None = None
    given: tuple[Entry, ...] = ()

    @property
    def days_per_month(self) -> float:
        """Days with calls, of `usage.calls_per_day`."""
        return DAYS_PER_MONTH if self.usage.days_per_month is None else self.usage.days_per_month

    @property
    def currency(self) -> str:
        return self.money.currency or ""

    @property
    def log_path(self) -> Path | None:
        """Where the usage log is; a relative path starts at the file's own directory."""
        return None if self.usage.log is None or self.path is None else Path(self.path).parent / self.usage.log

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every value in use: those given, in the file's order, then defaults with their sources."""
        return *self.given, *self._defaults()

    def _defaults(self) -> Iterator[Entry]:
        if self.human.workstation_w is None:
            origin = f"default of 60 W: {WORKSTATION_SOURCE}"
            yield Entry(name="human.workstation_w", value=f"{WORKSTATION_W:g}", unit="W", origin=origin)
        if self.human.region is None:
            origin = "default: the workstation stands where the tests run"
            yield Entry(name="human.region", value="the test site's grid", unit="", origin=origin)
        for site in ("generation", "execution"):
            hardware: Hardware | None = getattr(self.money.hardware, site)
            if hardware is None:
                continue
            name = f"money.hardware.{site}"
            if hardware.share is None:
                origin = "default: an attempt reserves the whole of it"
                yield Entry(name=f"{name}.share", value="1", unit="share", origin=origin)
            if hardware.price is not None and hardware.used_hours_per_year is None:
                origin = "default: in use all year (365.25 days), the least that an hour can cost"
                yield Entry(name=f"{name}.used_hours_per_year", value="8766", unit="hours", origin=origin)
        if self.usage.calls_per_day is not None and self.usage.days_per_month is None:
            origin = "default: every day, 365.25 / 12"
            yield Entry(name="usage.days_per_month", value=f"{DAYS_PER_MONTH:g}", unit="days", origin=origin)


def read_assumptions(path: Path, *, display_path: str | None = None) -> Assumptions:
    """The assumptions in a TOML file. `display_path` is how messages name it. Raises FileFormatError."""
    shown = display_path or str(path)
    text = read_toml_text(path, "an assumptions file", display_path=shown)
    return parse_assumptions(text, path=str(path), display_path=shown)


def parse_assumptions(text: str, *, path: str = "assumptions.toml", display_path: str | None = None) -> Assumptions:
    """The assumptions that TOML text states; `path` is where relative paths in it start. Raises FileFormatError."""
    shown = display_path or path
    content, lines = parse_toml(text, shown)
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise first_problem(error, lines, shown, _File, unit=_unit) from None
    leaves = list(_leaves(content))
    if file.money.currency is None:
        for leaf, _ in leaves:
            if "currency" in _unit(leaf):
                expected = "money.currency, since this is an amount of money"
                raise FileFormatError(shown, line_of(lines, leaf), dotted(leaf), expected, "no currency")
    return Assumptions(
        money=file.money,
        human=file.human,
        alternative=file.alternative,
        usage=file.usage,
        one_off=file.one_off,
        impacts=file.impacts,
        target=file.target,
        path=path,
        given=tuple(
            Entry(
                name=dotted(leaf),
                value=value if isinstance(value, str) else f"{value:g}",
                unit=_unit(leaf),
                origin=shown if (line := line_of(lines, leaf)) is None else f"{shown}:{line}",
            )
            for leaf, value in leaves
        ),
    )


# --- where values stand -----------------------------------------------------------------------------------------


def _leaves(content: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every value with its path, in the order of the file."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _leaves(value, (*path, number))
    else:
        yield path, content


def _unit(path: KeyPath) -> str:
    if path[:2] == ("money", "electricity_per_kwh"):
        return "currency per kWh"
    return field_at(_File, path)[1] or ""
