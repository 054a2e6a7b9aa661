"""Hooks for other plugins. Implement them in a conftest.py or a plugin with `@pytest.hookimpl(optionalhook=True)`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_greencode.accounting import Account
    from pytest_greencode.model import Sample, Suite


@pytest.hookspec
def pytest_greencode_suites(config: pytest.Config) -> Iterable[Suite]:  # type: ignore[empty-body]
    """Suites besides HumanEval and those of `--greencode-suite`. A later suite's task replaces an earlier one's.

    Example::

        def pytest_greencode_suites(config):
            return [read_suite("in-house", Path("problems.jsonl"))]
    """


@pytest.hookspec(firstresult=True)
def pytest_greencode_load_samples(config: pytest.Config, path: Path) -> list[Sample] | None:
    """Read a samples file of a format of your own; None leaves it to the built-in readers.

    Example::

        def pytest_greencode_load_samples(config, path):
            if path.suffix == ".csv":
                return [Sample(task_id=..., configuration=Configuration(model="m"), sample_id=0, completion=...)]
    """


@pytest.hookspec
def pytest_greencode_account(config: pytest.Config, account: Account) -> None:
    """The account of the run, once it is complete; called where the reports are made (never in an xdist worker).

    Example::

        def pytest_greencode_account(config, account):
            for configuration in account.configurations:
                print(configuration.model, configuration.per_accepted.co2e_g)
    """
