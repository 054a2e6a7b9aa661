"""The simulated machine keeps its promise: counters that follow the truth, and a truth that follows real CPU time."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import skip_or_fail
from rapl.machine import BusyTime, Energy, Machine, Truth, can_enter, running

import pytest_greencode
from pytest_greencode.meters.counters import CounterReading, EnergyCounters
from pytest_greencode.meters.powercap import PowercapSource

pytestmark = pytest.mark.quiet

HERE = Path(__file__).parent
RAPL = HERE / "rapl"
SECOND_CPU = (os.cpu_count() or 1) > 1


@functools.cache
def missing_machine() -> str | None:
    return can_enter()


def require_machine() -> None:
    reason = missing_machine()
    if reason is not None:
        skip_or_fail("simulated machine", reason)


def inside(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python tests/rapl` with these arguments; what takes too long leaves nothing behind."""
    line = [sys.executable, str(RAPL), *command]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        line, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment}, start_new_session=True
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=180)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(line, process.returncode, stdout, stderr)


def burn(seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        pass


def edge(counters: EnergyCounters, truth: Truth) -> tuple[Energy, CounterReading, Energy]:
    """A reading, and the truth before and after it: the counter has moved twice, so it is not behind the former."""
    before = truth.read()
    assert counters.align(timeout_s=30).ticked
    reading = counters.align(timeout_s=30)
    assert reading.ticked
    return before, reading, truth.read()


@pytest.mark.parametrize("jitter_s", [0.0, 0.0008])
@pytest.mark.parametrize("packages", [(0,), (0, 3)])
def test_the_counters_follow_the_truth(tmp_path: Path, packages: tuple[int, ...], jitter_s: float) -> None:
    machine = Machine(packages=packages, jitter_s=jitter_s)
    with running(machine, tmp_path / "powercap", tmp_path) as truth:
        counters = EnergyCounters(PowercapSource(tmp_path / "powercap"))
        start_low, start, start_high = edge(counters, truth)
        burn(0.1)
        time.sleep(0.1)
        end_low, end, end_high = edge(counters, truth)
        counters.close()
    window = counters.between(start, end)
    assert window.invalid is None
    # Each package may be behind by one unit at either edge, and by the tick that another package was waited for.
    units = 2 * len(packages) * machine.unit_nj / 1000
    ticks = 0 if len(packages) == 1 else start_high.package_uj - start_low.package_uj
    low = end_low.package_uj - start_high.package_uj - units - ticks
    high = end_high.package_uj - start_low.package_uj + units + ticks
    assert window.package_uj is not None
    assert low <= window.package_uj <= high
    assert window.dram_uj is not None
    assert window.dram_uj > machine.dram_idle_w * 0.2e6 * 0.9


def test_windows_across_wraps_are_right_or_say_that_they_are_not(tmp_path: Path) -> None:
    """It wraps every few hundredths of a second: a heartbeat that comes too late may be told, not hidden."""
    machine = Machine(counter_bits=16, idle_w=100.0, limit_w=150.0, dram=False)
    unit_uj = machine.unit_nj / 1000
    with running(machine, tmp_path / "powercap", tmp_path) as truth:
        most = 0.0
        with EnergyCounters(PowercapSource(tmp_path / "powercap")) as counters:
            for _ in range(20):
                start_low, start, start_high = edge(counters, truth)
                time.sleep(0.08)
                end_low, end, end_high = edge(counters, truth)
                window = counters.between(start, end)
                if window.invalid is not None:
                    assert window.package_uj is None
                    continue
                assert window.package_uj is not None
                lost_uj = unit_uj * (3 + window.package_uj // machine.range_uj)  # one unit a wrap, and the edges'
                assert end_low.package_uj - start_high.package_uj - lost_uj <= window.package_uj
                assert window.package_uj <= end_high.package_uj - start_low.package_uj + lost_uj
                most = max(most, window.package_uj / machine.range_uj)
    assert most > 1, "no window was valid across a wrap"


def test_the_truth_follows_cpu_time(tmp_path: Path) -> None:
    with running(Machine(), tmp_path / "powercap", tmp_path) as truth:
        before, own_s = truth.read(), time.process_time()
        burn(0.3)
        own_s = time.process_time() - own_s
        time.sleep(0.02)  # CPU time is exact once a task has stopped running
        after = truth.read()
    elapsed_s, busy_s = after.at_s - before.at_s, after.busy_s - before.busy_s
    assert busy_s >= own_s * 0.9
    assert busy_s <= elapsed_s * (os.cpu_count() or 1) * 1.1 + 0.1
    used_uj = after.package_uj - before.package_uj
    assert used_uj == pytest.approx((10.0 * elapsed_s + 15.0 * busy_s) * 1e6)
    assert after.psys_uj - before.psys_uj > used_uj + (after.dram_uj - before.dram_uj)


def test_the_truth_can_be_loaded_and_knows_its_cost(tmp_path: Path) -> None:
    with running(Machine(packages=(1, 4)), tmp_path / "powercap", tmp_path) as truth:
        assert Truth.load(tmp_path / "truth.json") == truth
        before_s = truth.simulator_cpu_s()
        burn(0.2)
        cost_s = truth.simulator_cpu_s() - before_s
    assert 0 < cost_s < 0.1


def test_the_simulation_ends_with_its_owner(tmp_path: Path) -> None:
    script = (
        f"import sys, time; sys.path.insert(0, {str(HERE)!r})\n"
        "from pathlib import Path; from rapl.machine import Machine, running\n"
        f"here = Path({str(tmp_path)!r})\n"
        "with running(Machine(), here / 'powercap', here) as truth:\n"
        "    print(truth.simulator, flush=True); time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    simulator = int(owner.stdout.readline())
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    deadline_s = time.monotonic() + 30
    while Path(f"/proc/{simulator}/cmdline").exists() and _alive(simulator):
        assert time.monotonic() < deadline_s, "the simulation goes on"
        time.sleep(0.01)
    owner.stdout.close()


def _alive(process: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


@pytest.mark.parametrize(
    ("name", "content", "busy_ns"),
    [
        ("cpuacct.usage", "8584585236051\n", 8584585236051),
        ("cpu.stat", "usage_usec 12\nuser_usec 7\nsystem_usec 5\n", 12_000),
        ("stat", "cpu  100 20 3 5000 600 7 8 90 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n", 138 * 10_000_000),
    ],
)
def test_cpu_time_is_read_from_what_there_is(tmp_path: Path, name: str, content: str, busy_ns: int) -> None:
    if name == "stat" and os.sysconf("SC_CLK_TCK") != 100:
        pytest.skip("written for 100 jiffies a second")
    (tmp_path / name).write_text(content)
    assert BusyTime(tmp_path / name).read_ns() == busy_ns


# -- in place of the machine --------------------------------------------------------------------------------------


def test_a_command_runs_on_the_machine_and_gives_its_status() -> None:
    require_machine()
    script = "cd /sys/class/powercap; cat intel-rapl:0/name intel-rapl/intel-rapl:0/intel-rapl:0:1/name; exit 7"
    done = inside("--", "sh", "-c", script)
    assert (done.stdout.split(), done.returncode) == (["package-0", "dram"], 7), done.stderr
    assert "rapl-" not in Path("/proc/self/mounts").read_text()


def test_other_classes_of_the_machine_stay_as_they_are() -> None:
    require_machine()
    listing = "import json, os; print(json.dumps({c: os.listdir(f'/sys/class/{c}') for c in os.listdir('/sys/class')}))"
    classes = json.loads(inside("--", sys.executable, "-c", listing).stdout)
    del classes["powercap"]
    here = {name: os.listdir(f"/sys/class/{name}") for name in os.listdir("/sys/class") if name != "powercap"}
    assert {name: set(entries) for name, entries in classes.items()} == {k: set(v) for k, v in here.items()}


@pytest.mark.skipif(not SECOND_CPU, reason="one CPU has one socket")
def test_the_sockets_are_the_machine_s() -> None:
    require_machine()
    done = inside(
        "--packages", "0,2", "--", "sh", "-c", "cat /sys/devices/system/cpu/cpu*/topology/physical_package_id"
    )
    assert set(done.stdout.split()) == {"0", "2"}, done.stderr


ALONE = """
import json, os, time
from rapl.machine import Truth
from pytest_greencode.meters.window import machine_busy_cpu_s
truth = Truth.load(os.environ["RAPL_TRUTH"])
def spin(seconds):
    begun_s = time.thread_time()
    while time.thread_time() - begun_s < seconds:
        pass
before, stat_before_s = truth.read(), machine_busy_cpu_s()
spin(0.5)
time.sleep(0.05)
after, stat_after_s = truth.read(), machine_busy_cpu_s()
print(json.dumps([after.busy_s - before.busy_s, stat_after_s - stat_before_s]))
"""


def test_the_command_has_the_machine_to_itself() -> None:
    """A stranger keeps a CPU busy, of which neither the counters nor /proc/stat see anything."""
    require_machine()
    path = f"{Path(pytest_greencode.__file__).parents[1]}:{HERE}"
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as stranger:
        try:
            done = inside("--", sys.executable, "-c", ALONE, PYTHONPATH=path)
        finally:
            stranger.kill()
    assert done.returncode == 0, done.stderr
    busy_s, stat_s = json.loads(done.stdout)
    assert busy_s == pytest.approx(0.5, abs=0.02)
    assert stat_s == pytest.approx(busy_s, abs=0.025)


def test_only_root_reads_the_counters_as_in_the_kernel() -> None:
    require_machine()
    done = inside("--user", "65534", "--", "sh", "-c", "cd /sys/class/powercap/intel-rapl:0; cat name; cat energy_uj")
    assert done.stdout == "package-0\n"
    assert "Permission denied" in done.stderr
