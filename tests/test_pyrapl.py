"""pyRAPL as a backend: its raw values through our arithmetic, and its failures in words."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import subprocess
import sys
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rapl.tree import RANGE_UJ, dram, package, write_tree
from test_simulated_machine import HERE, SECOND_CPU, inside, require_machine

import pytest_greencode
from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.meters.counters import EnergyCounters
from pytest_greencode.meters.pyrapl import PyRaplSource, stray_tests

pytestmark = pytest.mark.quiet

REQUIREMENT = "pyRAPL==0.2.3.1"

# -- a stand-in, for what pyRAPL does on machines that are not here -------------------------------------------------


class PyRAPL(types.ModuleType):
    """As much of pyRAPL as the adapter touches."""

    class PyRAPLException(Exception):
        pass

    def __init__(self, values: Sequence[float] = (), error: Exception | None = None) -> None:
        super().__init__("pyRAPL")
        self.values, self.error = list(values), error
        self._sensor: Any = "the user's own"

    def setup(self) -> None:
        if self.error is not None:
            raise self.error
        self._sensor = types.SimpleNamespace(energy=lambda: self.values)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(*values: float, error: Exception | None = None) -> PyRAPL:
        module = PyRAPL(values, error)
        monkeypatch.setitem(sys.modules, "pyRAPL", module)
        return module

    return install


def test_values_are_by_socket_package_before_dram(tmp_path: Path, stand_in: Any) -> None:
    write_tree(tmp_path, package(0, dram()), package(1, dram()))
    stand_in(1.0, 2.0, 3.0, 4.0)
    source = PyRaplSource(tmp_path)
    assert [d.name for d in source.domains] == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert source.read_uj() == [1, 2, 3, 4]
    assert source.domains[0].range_uj == RANGE_UJ


def test_no_dram_and_socket_gaps_are_left_out(tmp_path: Path, stand_in: Any) -> None:
    """Sockets 0 and 2: pyRAPL gives [x, -1, y] per device, and would add the -1."""
    write_tree(tmp_path, package(0), package(2))
    stand_in(5.0, -1, -1, -1, 7.0, -1)
    source = PyRaplSource(tmp_path)
    assert [d.name for d in source.domains] == ["package-0", "package-2"]
    assert source.read_uj() == [5, 7]


def test_a_wrap_of_one_socket_is_corrected(tmp_path: Path, stand_in: Any) -> None:
    write_tree(tmp_path, package(0), package(1))
    module = stand_in(float(RANGE_UJ - 1000), -1, 1000.0, -1)
    counters = EnergyCounters(PyRaplSource(tmp_path))
    start = counters.read()
    module.values[:] = [4000.0, -1, 10_000.0, -1]
    assert counters.between(start, counters.read()).package_uj == 5000 + 9000


def test_a_wrap_without_a_range_is_invalid(tmp_path: Path, stand_in: Any) -> None:
    module = stand_in(5000.0, -1)
    counters = EnergyCounters(PyRaplSource(tmp_path))
    start = counters.read()
    module.values[:] = [10.0, -1]
    assert "max_energy_range_uj" in str(counters.between(start, counters.read()).invalid)


def test_a_value_that_goes_missing_is_a_fault(tmp_path: Path, stand_in: Any) -> None:
    module = stand_in(5000.0, -1)
    counters = EnergyCounters(PyRaplSource(tmp_path))
    start = counters.read()
    module.values[:] = [-1, -1]
    assert "no value for package-0" in str(counters.between(start, counters.read()).invalid)


def test_the_user_s_own_sensor_is_left_alone(tmp_path: Path, stand_in: Any) -> None:
    module = stand_in(5.0, -1)
    PyRaplSource(tmp_path)
    assert module._sensor == "the user's own"
    module.error = PyRAPL.PyRAPLException()
    with pytest.raises(MeterUnavailable):
        PyRaplSource(tmp_path)
    assert module._sensor == "the user's own"


def test_no_permission_says_what_to_paste(tmp_path: Path, stand_in: Any) -> None:
    stand_in(error=PermissionError(13, "Permission denied", "/sys/class/powercap/intel-rapl/intel-rapl:0/energy_uj"))
    with pytest.raises(MeterUnavailable, match="energy_uj may not be read by this user") as caught:
        PyRaplSource(tmp_path)
    assert "CVE-2020-8694" in str(caught.value)


@pytest.mark.parametrize(
    ("zones", "reason"),
    [
        ([], "no package zone"),
        (["0-die-0", "0-die-1"], "no packages of several dies, and here are package-0-die-0, package-0-die-1"),
        ([0, 1], "one zone for each socket"),
    ],
)
def test_what_pyrapl_stumbles_over_is_named(
    tmp_path: Path, stand_in: Any, zones: Sequence[int | str], reason: str
) -> None:
    write_tree(tmp_path, *(package(zone) for zone in zones))
    stand_in(error=PyRAPL.PyRAPLException())
    with pytest.raises(MeterUnavailable, match=reason):
        PyRaplSource(tmp_path)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file"), ValueError("bad id"), IndexError("no sockets")]
)
def test_whatever_else_it_raises_is_no_traceback(tmp_path: Path, stand_in: Any, error: Exception) -> None:
    stand_in(error=error)
    with pytest.raises(MeterUnavailable, match="does not understand this machine"):
        PyRaplSource(tmp_path)


def test_without_pyrapl_it_says_how_to_do_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyRAPL", None)
    with pytest.raises(MeterUnavailable, match="cannot be imported") as caught:
        PyRaplSource()
    assert "pip install 'pytest-greencode[pyrapl]'" in str(caught.value)


def test_importing_it_is_silent_and_leaves_logging_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "pyRAPL"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "import logging, warnings\n"
        "logging.warning('no pandas')\nlogging.getLogger().error('no pymongo')\n"
        "warnings.warn('escape', SyntaxWarning)\n"
        "logging.getLogger('other').warning('heard')\n"
        "_sensor = None\nPyRAPLException = KeyError\ndef setup(): raise KeyError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pyRAPL", raising=False)
    handlers, filters = list(logging.root.handlers), list(logging.root.filters)
    with warnings.catch_warnings(), pytest.raises(MeterUnavailable):
        warnings.simplefilter("error")
        PyRaplSource(tmp_path)
    del sys.modules["pyRAPL"]
    assert (logging.root.handlers, logging.root.filters) == (handlers, filters)
    assert [record.message for record in caplog.records] == ["heard"]


# -- the real one -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pyrapl_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pyRAPL is. Installed, where it must be, beside this Python and not into it: it brings a package `tests`."""
    spec = importlib.util.find_spec("pyRAPL")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parents[1]
    if os.environ.get("GREENCODE_REQUIRE_SANDBOXES") != "1":
        pytest.skip("pyRAPL is not installed")
    target = tmp_path_factory.mktemp("pyrapl")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), REQUIREMENT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def search_path(pyrapl_path: Path) -> str:
    return f"{Path(pytest_greencode.__file__).parents[1]}:{HERE}:{pyrapl_path}"


def probe(pyrapl_path: Path, script: str, *machine: str, wraps: bool = False, user: int = 0) -> Any:
    """What a program says, as JSON, in which pyRAPL believes to be on the machine."""
    require_machine()
    environment = {"PYTHONPATH": search_path(pyrapl_path), "WRAPS": "1" * wraps, "USER_ID": str(user)}
    done = inside(*machine, "--", sys.executable, "-c", script, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


COMPARE = """
import json, os, time, pyRAPL
from rapl.machine import Truth
from test_simulated_machine import burn
from pytest_greencode.meters.counters import EnergyCounters
from pytest_greencode.meters.powercap import PowercapSource
from pytest_greencode.meters.pyrapl import PyRaplSource
pyRAPL.setup()
theirs = pyRAPL.Measurement("x")
ours, adapter = EnergyCounters(PowercapSource()), EnergyCounters(PyRaplSource())
def edge():
    return ours.read(), adapter.read(), ours.read()
def raw():
    return pyRAPL._sensor.energy()[-2]  # the last socket's package
with ours, adapter:
    a = edge()
    begun = raw()
    theirs.begin()
    burn(0.3)
    while os.environ["WRAPS"] and raw() > begun:
        time.sleep(0.01)
    theirs.end()
    time.sleep(0.1)
    b = edge()
low, high = ours.between(a[2], b[0]), ours.between(a[0], b[2])
mid = adapter.between(a[1], b[1])
print(json.dumps({"package": [low.package_uj, mid.package_uj, high.package_uj],
                  "dram": [low.dram_uj, mid.dram_uj, high.dram_uj],
                  "invalid": [low.invalid, mid.invalid, high.invalid], "theirs": theirs.result.pkg,
                  "domains": [[d.name for d in c.domains] for c in (ours, adapter)]}))
"""
# Goes round in 1 s: too slow for our heartbeat to come too late, soon enough to wait for.
WRAPS = ("--counter-bits", "22", "--idle-w", "300", "--limit-w", "400", "--no-dram")


def agree(found: Any, *kinds: str) -> None:
    assert found["invalid"] == [None, None, None]
    for kind in kinds:
        low, middle, high = found[kind]
        assert 0 < low <= middle <= high
    assert found["domains"][0] == found["domains"][1]


def test_it_agrees_with_our_own_reader(pyrapl_path: Path) -> None:
    agree(probe(pyrapl_path, COMPARE), "package", "dram")


def test_a_wrap_that_pyrapl_loses_is_not_lost(pyrapl_path: Path) -> None:
    found = probe(pyrapl_path, COMPARE, *WRAPS, wraps=True)
    assert found["theirs"] is None
    agree(found, "package")


@pytest.mark.skipif(not SECOND_CPU, reason="one CPU has one socket")
def test_a_wrap_that_pyrapl_takes_for_negative_energy_is_corrected(pyrapl_path: Path) -> None:
    found = probe(pyrapl_path, COMPARE, *WRAPS, "--packages", "2", wraps=True)
    assert found["theirs"] is None or min(found["theirs"]) < 0
    agree(found, "package")


@pytest.mark.skipif(not SECOND_CPU, reason="one CPU has one socket")
def test_sockets_with_a_gap(pyrapl_path: Path) -> None:
    found = probe(pyrapl_path, COMPARE, "--packages", "0,2")
    assert found["domains"][1] == ["package-0", "package-0/dram", "package-2", "package-2/dram"]
    agree(found, "package", "dram")


REASON = """
import json, os
import pyRAPL
from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.meters.pyrapl import PyRaplSource
os.setuid(int(os.environ["USER_ID"]))  # only now: another user may be unable to read Python's own files
try:
    PyRaplSource()
except MeterUnavailable as error:
    print(json.dumps(str(error)))
"""


def test_dies_are_named_as_the_reason(pyrapl_path: Path) -> None:
    assert "several dies, and here are package-0-die-0" in probe(pyrapl_path, REASON, "--dies", "2")


def test_permission_is_named_as_the_reason(pyrapl_path: Path) -> None:
    text = probe(pyrapl_path, REASON, user=65534)
    assert "energy_uj may not be read by this user" in text
    assert "CVE-2020-8694" in text


def test_it_can_be_imported_where_warnings_are_errors(pyrapl_path: Path, tmp_path: Path) -> None:
    """pyRAPL compiles with a warning, and logs two on import; neither gets through, nor does its package `tests`."""
    script = (
        "import logging, sys\n"
        "from pytest_greencode.meters.pyrapl import _import\n"
        "_import()\n"
        "print(logging.root.handlers, logging.root.filters, 'pyRAPL' in sys.modules, 'tests' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        # Compiled anew, or there would be nothing to warn of.
        env={"PYTHONPATH": search_path(pyrapl_path), "PYTHONPYCACHEPREFIX": str(tmp_path)},
    )
    assert (done.stdout, done.stderr) == ("[] [] True False\n", "")


def test_the_package_tests_that_it_brings_is_found(pyrapl_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(pyrapl_path))
    assert stray_tests() == pyrapl_path / "tests"


def test_no_stray_package_without_pyrapl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    assert stray_tests() is None
