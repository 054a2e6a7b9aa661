"""RAPL as perf events: from a written sysfs and a system call that is put in, and the real call on a real event."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.meters.counters import EnergyCounters
from pytest_greencode.meters.perf import PerfSource, open_event

SCALE = "2.3283064365386962890625e-10"  # 2^-32
DRAM_SCALE = "1.52587890625e-05"  # 2^-16
PKG, RAM, PSYS, CORES = 0x02, 0x03, 0x05, 0x01
NAMES = {"energy-pkg": PKG, "energy-ram": RAM, "energy-psys": PSYS, "energy-cores": CORES}


class Sys:
    """/sys with the PMU `power`."""

    def __init__(self, root: Path, *events: str, cpumask: str = "0", scales: Mapping[str, str] | None = None) -> None:
        self.devices, self.cpus = root / "devices", root / "cpu"
        self.pmu = self.devices / "power"
        (self.pmu / "events").mkdir(parents=True)
        (self.pmu / "type").write_text("9\n")
        (self.pmu / "cpumask").write_text(f"{cpumask}\n")
        for name in events:
            self.event(name, f"event=0x{NAMES[name]:02x}", (scales or {}).get(name, SCALE))

    def event(self, name: str, text: str, scale: str = SCALE, unit: str = "Joules") -> None:
        for suffix, content in (("", text), (".scale", scale), (".unit", unit)):
            (self.pmu / "events" / f"{name}{suffix}").write_text(f"{content}\n")

    def cpu(self, number: int, package: int, die: int = 0) -> None:
        topology = self.cpus / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text(f"{package}\n")
        (topology / "die_id").write_text(f"{die}\n")


class Kernel:
    """Stands in for perf_event_open: each count that a test gives can be read once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened: list[tuple[int, int, int]] = []
        self.errors: dict[int, int] = {}  # config -> errno

    def __call__(self, type_: int, config: int, cpu: int) -> int:
        if config in self.errors:
            raise OSError(self.errors[config], os.strerror(self.errors[config]))
        self.opened.append((type_, config, cpu))
        os.mkfifo(path := self.root / f"{config}-{cpu}")
        return os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def count(self, config: int, cpu: int, value: int, length: int = 8) -> None:
        file = os.open(self.root / f"{config}-{cpu}", os.O_RDWR)
        os.write(file, value.to_bytes(8, "little")[:length])
        os.close(file)


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


@pytest.fixture
def source(kernel: Kernel) -> Iterator[Callable[..., PerfSource]]:
    opened: list[PerfSource] = []

    def make(sys: Sys, **more: bool) -> PerfSource:
        opened.append(PerfSource(sys.devices, sys.cpus, open_event=kernel, **more))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def names(source: PerfSource) -> list[str]:
    return [domain.name for domain in source.domains]


# -- what is opened -----------------------------------------------------------------------------------------------


def test_each_listed_cpu_counts_its_package_and_dram(
    tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource]
) -> None:
    sys = Sys(tmp_path, "energy-pkg", "energy-ram", "energy-cores", cpumask="0,18")
    sys.cpu(0, package=0)
    sys.cpu(18, package=1)
    opened = source(sys)
    assert names(opened) == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert kernel.opened == [(9, PKG, 0), (9, RAM, 0), (9, PKG, 18), (9, RAM, 18)]
    assert opened.ignored == {"energy-cores": "part of the package"}


def test_a_mask_may_be_a_range_and_sockets_may_have_gaps(tmp_path: Path, source: Callable[..., PerfSource]) -> None:
    sys = Sys(tmp_path, "energy-pkg", cpumask="2-3,8")
    for cpu, package in ((2, 0), (3, 2), (8, 5)):
        sys.cpu(cpu, package=package)
    assert names(source(sys)) == ["package-0", "package-2", "package-5"]


def test_dies_have_names_of_their_own(tmp_path: Path, source: Callable[..., PerfSource]) -> None:
    sys = Sys(tmp_path, "energy-pkg", cpumask="0,4")
    sys.cpu(0, package=0, die=0)
    sys.cpu(4, package=0, die=1)
    assert names(source(sys)) == ["package-0-die-0", "package-0-die-1"]


def test_psys_is_no_cpu_and_stands_instead_of_all_when_asked_for(
    tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource]
) -> None:
    sys = Sys(tmp_path, "energy-pkg", "energy-ram", "energy-psys", cpumask="0,1")
    assert "psys" not in names(source(sys))
    kernel.opened.clear()
    assert names(source(sys, psys=True)) == ["psys"]
    assert kernel.opened == [(9, PSYS, 0)]


# -- units --------------------------------------------------------------------------------------------------------


def test_counts_are_scaled_without_rounding(tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource]) -> None:
    sys = Sys(tmp_path, "energy-pkg", "energy-ram", scales={"energy-ram": DRAM_SCALE})
    opened = source(sys)
    count = 9214055920048429572  # a double, of 53 bits, would be off by one
    kernel.count(PKG, 0, count)
    kernel.count(RAM, 0, 65536 * 3)
    assert opened.read_uj() == [count * 10**6 // 2**32, 3_000_000]
    assert opened.domains[0].range_uj == 2**32 * 10**6


def test_a_perf_counter_needs_no_heartbeat_to_speak_of(tmp_path: Path, source: Callable[..., PerfSource]) -> None:
    assert source(Sys(tmp_path, "energy-pkg")).domains[0].wrap_time_s > 86400 * 30


def test_a_window_through_the_counters(tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource]) -> None:
    sys = Sys(tmp_path, "energy-pkg", "energy-ram")
    opened = source(sys)
    for value in (0, 2**32, 3 * 2**32):
        kernel.count(PKG, 0, value)
        kernel.count(RAM, 0, value // 4)
    counters = EnergyCounters(opened)
    window = counters.between(counters.read(), counters.read())
    assert (window.package_uj, window.dram_uj) == (2_000_000, 500_000)


def test_an_event_that_has_stopped_is_a_fault_and_no_0(
    tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource]
) -> None:
    opened = source(Sys(tmp_path, "energy-pkg"))
    kernel.count(PKG, 0, 5, length=3)
    with pytest.raises(ValueError, match="package-0: its event has stopped"):
        opened.read_uj()


# -- none ---------------------------------------------------------------------------------------------------------


def test_no_pmu(tmp_path: Path) -> None:
    with pytest.raises(MeterUnavailable, match="no PMU that counts energy"):
        PerfSource(tmp_path)


def test_a_pmu_with_psys_alone_has_no_package_counter(tmp_path: Path, source: Callable[..., PerfSource]) -> None:
    """A virtual machine may show just that: a platform's counter, which is not the CPU's and stands still."""
    with pytest.raises(MeterUnavailable, match=r"no package counter \(energy-pkg\), only energy-psys"):
        source(Sys(tmp_path, "energy-psys"))


@pytest.mark.parametrize(
    "event",
    [
        {"text": "config=0x02"},
        {"text": "event=0x02,umask=0x1"},
        {"text": "event=0x02", "unit": "pJ"},
        {"text": "event=0x02", "scale": "0"},
        {"text": "event=0x02", "scale": "much"},
    ],
)
def test_an_event_in_other_units_is_not_guessed_at(
    tmp_path: Path, source: Callable[..., PerfSource], event: dict[str, str]
) -> None:
    sys = Sys(tmp_path)
    sys.event("energy-pkg", **event)
    with pytest.raises(MeterUnavailable, match="no package counter"):
        source(sys)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_no_permission_says_what_to_paste(
    tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource], code: int
) -> None:
    kernel.errors[PKG] = code
    with pytest.raises(MeterUnavailable) as caught:
        source(Sys(tmp_path, "energy-pkg"))
    for part in ("may not open", "perf_event_paranoid is", "CAP_PERFMON", "sudo sysctl kernel.perf_event_paranoid=0"):
        assert part in str(caught.value)


def test_an_event_that_the_cpu_lacks(tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource]) -> None:
    kernel.errors[PKG] = errno.EINVAL
    with pytest.raises(MeterUnavailable, match="cannot be opened: Invalid argument"):
        source(Sys(tmp_path, "energy-pkg"))


def test_dram_that_cannot_be_opened_is_told(tmp_path: Path, kernel: Kernel, source: Callable[..., PerfSource]) -> None:
    kernel.errors[RAM] = errno.EINVAL
    opened = source(Sys(tmp_path, "energy-pkg", "energy-ram"))
    assert names(opened) == ["package-0"]
    assert opened.ignored == {"package-0/dram": "cannot be opened: Invalid argument"}


def test_a_second_package_that_cannot_be_opened_leaves_no_descriptor(tmp_path: Path) -> None:
    sys = Sys(tmp_path, "energy-pkg", cpumask="0,1")
    kernel = Kernel(tmp_path)

    def second_fails(type_: int, config: int, cpu: int) -> int:
        if cpu == 1:
            raise OSError(errno.ENODEV, "No such device")
        return kernel(type_, config, cpu)

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(MeterUnavailable):
        PerfSource(sys.devices, sys.cpus, open_event=second_fails)
    assert len(os.listdir("/proc/self/fd")) == before


# -- the system call ----------------------------------------------------------------------------------------------

SOFTWARE, CPU_CLOCK = 1, 0


def test_the_real_system_call_counts_a_real_event() -> None:
    try:
        file = open_event(SOFTWARE, CPU_CLOCK, 0)
    except PermissionError as error:
        pytest.skip(f"perf events of a whole CPU: {error}")
    try:
        assert not os.get_inheritable(file)
        begin_ns = time.monotonic_ns()
        before = int.from_bytes(os.read(file, 8), "little")
        inner_ns = time.monotonic_ns()
        time.sleep(0.02)
        until_ns = time.monotonic_ns()
        after = int.from_bytes(os.read(file, 8), "little")
        end_ns = time.monotonic_ns()
    finally:
        os.close(file)
    # A CPU's clock goes on as time does; clocks may differ a little.
    assert (until_ns - inner_ns) * 0.98 <= after - before <= (end_ns - begin_ns) * 1.02


def test_the_real_system_call_reports_errors() -> None:
    with pytest.raises(OSError, match=r".+") as caught:
        open_event(0x7FFFFFFF, 0, 0)
    assert caught.value.errno in (errno.ENOENT, errno.EACCES, errno.EPERM)
