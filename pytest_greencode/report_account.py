"""The account that every report is made of. Light, as a session without samples needs nothing of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from .accounts import ConfigurationAccount, MeasuredRow
    from .attribution import Balance
    from .candidate_tests import CandidateTests
    from .model import Factors
    from .project_account import ProjectAccount


class Account(Struct, frozen=True, kw_only=True):
    """All configurations, sorted by suite, model and settings; never summed over suites.

    `balance`: where the energy of the whole machine went while the run went on; None where nobody saw it.
    `measured`: the programs that were measured alone. `tests`: which of a repository's tests its candidates failed.
    `project`: an ordinary test suite that ran in the same session.
    """

    configurations: tuple[ConfigurationAccount, ...]
    factors: Factors
    quarantined: Mapping[str, str]
    balance: Balance | None = None
    measured: tuple[MeasuredRow, ...] = ()
    tests: tuple[CandidateTests, ...] = ()
    project: ProjectAccount | None = None
