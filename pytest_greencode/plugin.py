"""The entry point of pytest. Costs a few registrations; everything else is imported only with --greencode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_greencode import options

if TYPE_CHECKING:
    from pytest_greencode.project import Greencode


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from pytest_greencode import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    # Always, so that suites with --strict-markers run without --greencode too.
    config.addinivalue_line(
        "markers",
        "greencode(max_energy_j, max_cpu_s, repeat): with --greencode, limits on a test's call, and how often to run "
        "it; also set on the tasks of a samples file",
    )
    if config.getoption("greencode") and not config.getoption("help") and not config.getoption("version", None):
        from pytest_greencode import session

        session.start(config)


@pytest.fixture
def greencode(request: pytest.FixtureRequest) -> Greencode:
    """Measures blocks of a test: `with greencode.measure("name") as m: ...`, then `m.cpu_s` and `m.energy_j`."""
    from pytest_greencode.project import greencode_fixture

    return greencode_fixture(request)
