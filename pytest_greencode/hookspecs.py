"""Hooks for other plugins. Implement them in a conftest.py or a plugin with `@pytest.hookimpl(optionalhook=True)`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_greencode.accounts import Account
    from pytest_greencode.generation.backend import Backend
    from pytest_greencode.model import Intensity, Sample, Suite


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


@pytest.hookspec(firstresult=True)
def pytest_greencode_intensity(config: pytest.Config, region: str) -> Intensity | None:
    """The grid's intensity for a region text, before any table is asked; None leaves it to them.

    Asked in the controlling process for what --greencode-region and --greencode-generation-region say, and for the
    regions that generation records name. g_per_kwh is location-based, above 0; `source` should say whose figure it is.

    Example::

        def pytest_greencode_intensity(config, region):
            if region == "our-site":
                return Intensity(g_per_kwh=212.0, region=region, year=2026, source="our utility's hourly mean")
    """


@pytest.hookspec(firstresult=True)
def pytest_greencode_generate(config: pytest.Config, url: str, model: str) -> Backend | None:
    """What answers for `--greencode-generate URL --greencode-model MODEL`; None leaves it to the built-in client.

    A backend of one's own is taken to run on this machine, in this process. Several threads ask it at once.

    Example::

        def pytest_greencode_generate(config, url, model):
            if url.startswith("transformers:"):
                return TransformersBackend(url.removeprefix("transformers:"), model=model)
    """
