"""What answers prompts: a server (`client`), or a model in this process (`in_process`). Needs msgspec only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from .usage import Usage


class Prompt(Struct, frozen=True, kw_only=True):
    """What a model is asked: the text itself to go on with, or (`chat`) messages of role and content."""

    text: str = ""
    chat: tuple[Mapping[str, str], ...] | None = None


class Reply(Struct, frozen=True, kw_only=True):
    """What a model answered. `finish_reason` "length": it was cut at the most tokens allowed."""

    text: str
    usage: Usage
    finish_reason: str | None = None


def before(text: str, stops: Sequence[str]) -> str:
    """The text up to the first stop sequence: some servers and libraries leave it at the end."""
    return text[: min((place for stop in stops if stop and (place := text.find(stop)) >= 0), default=len(text))]


class RequestFailed(Exception):
    """No answer, and why. `again`: another try may have one, not before `wait_s`; `usage`: what was made by then.

    `reached`: whether a server took the request at all.
    """

    def __init__(
        self, reason: str, *, again: bool = True, wait_s: float = 0.0, usage: Usage | None = None, reached: bool = True
    ) -> None:
        super().__init__(reason)
        self.again, self.wait_s, self.usage, self.reached = again, wait_s, usage or Usage(), reached


class Backend(Protocol):
    """Answers prompts. Threads may share it."""

    @property
    def model(self) -> str:
        """Its name in samples."""
        ...

    def answers(self, prompts: Sequence[Prompt], settings: Mapping[str, Any], seed: int | None) -> list[Reply]:
        """An answer to each prompt. `settings`: temperature, top_p, max_tokens, stop, and what else it knows.

        Raises RequestFailed; UsageProblem for what the user has to mend.
        """
        ...

    def close(self) -> None:
        """End what is under way."""
        ...
