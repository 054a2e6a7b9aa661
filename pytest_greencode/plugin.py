"""The entry point of pytest. Costs three registrations; everything else is imported only with --greencode."""

from __future__ import annotations

import pytest

from pytest_greencode import options


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_greencode import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("greencode") and not config.getoption("help") and not config.getoption("version", None):
        from pytest_greencode import session

        session.start(config)
