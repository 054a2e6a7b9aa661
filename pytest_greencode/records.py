"""The file format of samples: what one line may hold, and of what type."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from pytest_greencode.model import Generation, Method, canonical_settings, canonical_task_id


def format_problem(expected: str, found: str | None = None, field: str | None = None) -> PydanticCustomError:
    """What a validator raises; without `found`, what was found is the value itself."""
    return PydanticCustomError("format", "expected {expected}", {"expected": expected, "found": found, "field": field})


def _task_id(value: object) -> str:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return canonical_task_id(value)
    raise format_problem("a string, or MBPP's number")


def _method(value: object) -> Method:
    try:
        return Method(value)
    except ValueError:
        raise format_problem("one of " + ", ".join(method.value for method in Method)) from None


def _encodable(text: str) -> str:
    # JSON may hold half of a surrogate pair. Code may keep it, and is malformed; a name must fit into reports.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise format_problem("text without lone surrogates")
    return text


def _settings(value: object) -> str:
    if not value and (value is None or value == {}):
        return "{}"
    if not isinstance(value, dict):
        raise format_problem("an object")
    try:
        return _encodable(canonical_settings(value))
    except RecursionError:
        raise format_problem("settings that nest less") from None


Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Text = Annotated[str, AfterValidator(_encodable)]
Name = Annotated[str, Field(min_length=1), AfterValidator(_encodable)]

_OTHER_ENERGY = re.compile(
    r"energy_?j|(?:.*_)?(?:energy|joules?|[kmgu]?wh|[kmgu]j|energy_?(?:consumed|consumption|joules?|[kmgu]?wh|[kmgu]j))",
    re.IGNORECASE,
)


class GenerationRecord(BaseModel):
    """What the generator recorded about one sample. Energy is in joules, in `energy_j` only."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    energy_j: Amount | None = None
    energy_method: Annotated[Method, BeforeValidator(_method)] | None = None
    energy_scope: Text | None = None
    source: Text | None = None
    duration_s: Amount | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    batch_size: Count | None = None
    gpu_model: Text | None = None
    gpu_count: Count | None = None
    flops: Amount | None = None
    pue_included: bool = False
    region: Text | None = None
    started_at: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_joules(cls, data: Any) -> Any:
        # Were a figure in another unit ignored like other unknown keys, it would count as "no energy recorded".
        for key in data if isinstance(data, dict) else ():
            if key not in cls.model_fields and _OTHER_ENERGY.fullmatch(key):
                raise format_problem("an energy in J, in the field 'energy_j'", f"the field {key[:60]!r}")
        return data

    @model_validator(mode="after")
    def _method_of_a_figure(self) -> GenerationRecord:
        if self.energy_j is not None and self.energy_method is Method.MISSING:
            raise format_problem("how 'energy_j' came to be", "'missing'", "energy_method")
        return self

    def generation(self) -> Generation:
        """The record as a value. An energy whose method is not told counts as declared."""
        method = Method.MISSING if self.energy_j is None else self.energy_method or Method.DECLARED
        return Generation(**{**vars(self), "energy_method": method})


class SampleRecord(BaseModel):
    """One line of a samples file, its `settings` as `canonical_settings` text.

    A line with `error` in place of a text is about a request that failed, and what it cost. Keys that are not named
    here are other tools' results, and ignored.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    task_id: Annotated[Name, BeforeValidator(_task_id)]
    completion: str | None = None
    solution: str | None = None
    patch: str | None = None
    model: Name | None = None
    sample_id: Count | None = None
    settings: Annotated[str, BeforeValidator(_settings)] = "{}"
    generation: GenerationRecord | None = None
    error: Any = None

    @property
    def failed(self) -> bool:
        return self.completion is None and self.solution is None and self.patch is None

    @model_validator(mode="after")
    def _one_text(self) -> SampleRecord:
        if self.failed and isinstance(self.error, str):
            return self
        given = [name for name in ("completion", "solution", "patch") if getattr(self, name) is not None]
        if len(given) != 1:
            found = "none of them" if not given else " and ".join(given)
            raise format_problem("exactly one of 'completion', 'solution' and 'patch'", found)
        return self
