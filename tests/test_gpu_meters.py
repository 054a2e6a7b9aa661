"""GPU energy by NVML and amdsmi, on pretended libraries whose truth is known. No real GPU was ever read."""

from __future__ import annotations

import ctypes
import math
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_greencode.errors import MeterUnavailable
from pytest_greencode.generation import gpus
from pytest_greencode.generation.amd import AmdMeter
from pytest_greencode.generation.gpus import GpuMeter
from pytest_greencode.generation.meters import GenerationMeter
from pytest_greencode.generation.nvml import NvmlMeter
from pytest_greencode.model import Method


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s


class Card:
    """A GPU whose power is known. Its counter, in mJ, is brought up to date every 100 ms, as NVIDIA's driver does."""

    def __init__(
        self,
        clock: Clock,
        power_w: Callable[[float], float] = lambda at_s: 100.0,
        *,
        name: str | bytes = "NVIDIA H100 80GB HBM3",
        uuid: str = "GPU-0",
        counter: bool = True,
        mig: int | None = 0,
        utilization: int | None = 0,
    ) -> None:
        self.clock, self.power_w, self.name, self.uuid = clock, power_w, name, uuid
        self.counter, self.mig, self.utilization, self.lost, self.offset_mj = (
            counter,
            mig,
            utilization,
            False,
            7_000_000,
        )

    def truth_j(self, start_s: float, end_s: float, step_s: float = 1e-3) -> float:
        steps = max(1, round((end_s - start_s) / step_s))
        width = (end_s - start_s) / steps
        return math.fsum(self.power_w(start_s + (step + 0.5) * width) * width for step in range(steps))

    @property
    def total_mj(self) -> int:
        updated_s = math.floor(round(self.clock.now_s * 10, 6)) / 10
        return self.offset_mj + round(1e3 * self.truth_j(1000.0, updated_s))


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__(value)
        self.value = value

    def __str__(self) -> str:
        return {3: "Not Supported", 6: "Not Found", 9: "Driver Not Loaded", 15: "GPU is lost"}[self.value]


def nvml(cards: list[Card], *, driver: bool = True) -> types.ModuleType:
    """What `pynvml` of nvidia-ml-py has, as far as it is used: the names of NVML's C functions."""
    library: Any = types.ModuleType("pynvml")
    library.NVMLError, library.NVML_ERROR_NOT_SUPPORTED, library.NVML_ERROR_FUNCTION_NOT_FOUND = NVMLError, 3, 13
    library.NVML_DEVICE_MIG_ENABLE = 1
    library.opened = 0

    def call(function: Callable[..., Any]) -> Callable[..., Any]:
        def checked(card: Card, *arguments: Any) -> Any:
            if card.lost:
                raise NVMLError(15)
            found = function(card, *arguments)
            if found is None:
                raise NVMLError(3)
            return found

        return checked

    def initialise() -> None:
        if not driver:
            raise NVMLError(9)
        library.opened += 1

    def shut_down() -> None:
        library.opened -= 1

    def by_uuid(uuid: str) -> Any:
        if uuid.startswith("MIG-"):
            return ("instance", uuid)
        return next((card for card in cards if card.uuid == uuid), None) or raised(NVMLError(6))

    library.nvmlInit, library.nvmlShutdown = initialise, shut_down
    library.nvmlDeviceGetCount = lambda: len(cards)
    library.nvmlDeviceGetHandleByIndex = lambda index: cards[index]
    library.nvmlDeviceGetHandleByUUID = by_uuid
    library.nvmlDeviceGetDeviceHandleFromMigDeviceHandle = lambda instance: cards[0]
    library.nvmlDeviceGetIndex = cards.index
    library.nvmlDeviceGetName = call(lambda card: card.name)
    library.nvmlDeviceGetMigMode = call(lambda card: None if card.mig is None else [card.mig, card.mig])
    library.nvmlDeviceGetTotalEnergyConsumption = call(lambda card: card.total_mj if card.counter else None)
    library.nvmlDeviceGetPowerUsage = call(lambda card: round(1e3 * card.power_w(card.clock.now_s)))
    library.nvmlDeviceGetUtilizationRates = call(
        lambda card: None if card.utilization is None else types.SimpleNamespace(gpu=card.utilization, memory=0)
    )
    return library


def raised(error: Exception) -> Any:
    raise error


@pytest.fixture(autouse=True)
def _all_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(gpus, "time", found)
    return found


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[types.ModuleType], types.ModuleType]:
    def into(library: types.ModuleType) -> types.ModuleType:
        monkeypatch.setitem(sys.modules, library.__name__, library)
        return library

    return into


Install = Callable[[types.ModuleType], types.ModuleType]


def test_the_energy_of_a_window_is_the_counters_difference(clock: Clock, install: Install) -> None:
    cards = [Card(clock, lambda at_s: 300.0), Card(clock, lambda at_s: 200.0, uuid="GPU-1")]
    library = install(nvml(cards))
    meter: GenerationMeter[Any] = NvmlMeter()
    start = meter.read()
    clock.sleep(5)
    found = meter.between(start, meter.read())
    assert found.energy_j == pytest.approx(2500)
    assert (found.duration_s, found.method, found.scope) == (5, Method.MEASURED, "gpu")
    assert found.relative_error == pytest.approx(0.1 / 5)
    assert found.reason is None
    assert found.idle_j is None
    assert (meter.gpu_model, meter.gpu_count) == ("NVIDIA H100 80GB HBM3", 2)
    assert found.source == meter.source == "NVML (NVIDIA H100 80GB HBM3, GPU 0, 1)"
    assert library.opened == 1
    meter.close()
    meter.close()
    assert library.opened == 0


@given(
    st.lists(st.floats(0.001, 3), min_size=1, max_size=12),
    st.floats(50, 700),
    st.floats(0, 300),
)
def test_windows_add_up_and_each_is_true_to_its_stated_error(
    lengths: list[float], mean_w: float, swing_w: float
) -> None:
    """However short they are: what a slow counter has not yet told of one window is in the next."""
    clock = Clock()
    swing_w = min(swing_w, mean_w)
    card = Card(clock, lambda at_s: mean_w + swing_w * math.sin(at_s))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpus, "time", clock)
        patch.setitem(sys.modules, "pynvml", nvml([card]))
        meter = NvmlMeter()
        readings, times = [meter.read()], [clock.now_s]
        for length in lengths:
            clock.sleep(length)
            readings.append(meter.read())
            times.append(clock.now_s)
        windows = [meter.between(readings[index], readings[index + 1]) for index in range(len(lengths))]
        whole = meter.between(readings[0], readings[-1])
        meter.close()
    assert whole.energy_j is not None
    assert math.fsum(window.energy_j or 0 for window in windows) == pytest.approx(whole.energy_j)
    true_j = card.truth_j(times[0], times[-1])
    # What is not yet told at either end is at most 100 ms of the highest power.
    assert abs(whole.energy_j - true_j) <= 0.1 * (mean_w + swing_w) + 0.01
    if whole.duration_s > 0.1 and swing_w == 0:
        assert whole.relative_error is not None
        assert abs(whole.energy_j - true_j) <= whole.relative_error * true_j + 0.01


def test_a_window_shorter_than_an_update_says_that_it_knows_nothing(clock: Clock, install: Install) -> None:
    install(nvml([Card(clock)]))
    meter = NvmlMeter()
    start = meter.read()
    clock.sleep(0.03)
    found = meter.between(start, meter.read())
    assert found.energy_j == 0
    assert found.relative_error == 1


def test_idle_power_is_measured_and_told_of_every_window(clock: Clock, install: Install) -> None:
    install(nvml([Card(clock, lambda at_s: 70.0 if at_s < 1005 else 500.0), Card(clock, lambda at_s: 60.0)]))
    meter = NvmlMeter()
    assert meter.measure_idle(5) == pytest.approx(130)
    start = meter.read()
    clock.sleep(10)
    found = meter.between(start, meter.read())
    assert found.idle_j == pytest.approx(1300)
    assert found.energy_j == pytest.approx(5600)
    with pytest.raises(ValueError, match="at least 2 s"):
        meter.measure_idle(0.5)


def test_what_works_is_not_idle(clock: Clock, install: Install) -> None:
    install(nvml([Card(clock, utilization=40)]))
    meter = NvmlMeter()
    assert meter.measure_idle() is None
    assert meter.idle_w is None


def test_a_gpu_without_a_counter_is_sampled_and_says_so(
    clock: Clock, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "SAMPLE_S", 1e-3)
    install(nvml([Card(clock, lambda at_s: 100 + 10 * (at_s - 1000), name=b"Tesla P100-PCIE-16GB", counter=False)]))
    meter = NvmlMeter()
    start = meter.read()
    for _ in range(50):
        clock.sleep(0.1)
        meter.read()
    found = meter.between(start, meter.read())
    assert found.energy_j == pytest.approx(100 * 5 + 10 * 25 / 2, rel=0.01)
    assert found.method is Method.ESTIMATED
    assert "no energy counter: power, a mean of up to 1 s, was sampled" in found.source
    assert found.source.startswith("NVML (Tesla P100-PCIE-16GB, GPU 0)")
    meter.close()


def test_mig_and_modules_are_said(clock: Clock, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        nvml([Card(clock, mig=1, utilization=None), Card(clock, name="NVIDIA GH200 480GB", uuid="GPU-1", mig=None)])
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a, MIG-b")
    meter = NvmlMeter()
    assert meter.gpu_count == 1, "two instances of one GPU have one counter"
    assert meter.source.endswith("MIG: the energy of the whole GPU, of all its instances")
    module = NvmlMeter([1])
    start = module.read()
    clock.sleep(1)
    assert module.between(start, module.read()).scope == "module"
    assert "may include the CPU" in module.source


@pytest.mark.parametrize(("asked", "count"), [("1", 1), ("0,1", 2), ("GPU-1", 1), ("1,1", 1), ("0,-1,1", 1)])
def test_only_visible_gpus_count(
    clock: Clock, install: Install, monkeypatch: pytest.MonkeyPatch, asked: str, count: int
) -> None:
    install(nvml([Card(clock, name="A"), Card(clock, name="B", uuid="GPU-1")]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    meter = NvmlMeter()
    assert ("CUDA_DEVICE_ORDER=PCI_BUS_ID" in meter.source) == any(name.isdigit() for name in asked.split(","))
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert "CUDA_DEVICE_ORDER" not in NvmlMeter().source
    assert meter.gpu_count == count
    assert meter.gpu_model == (None if count == 2 else "A" if asked.startswith("0") else "B")


@pytest.mark.parametrize("asked", ["", "-1", "9"])
def test_no_visible_gpu_is_told(clock: Clock, install: Install, monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    library = install(nvml([Card(clock)]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    with pytest.raises(MeterUnavailable, match="CUDA_VISIBLE_DEVICES"):
        NvmlMeter()
    assert library.opened == 0


def test_what_is_not_there_is_told(clock: Clock, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    library = install(nvml([], driver=False))
    with pytest.raises(MeterUnavailable, match="Driver Not Loaded"):
        NvmlMeter()
    library = install(nvml([]))
    with pytest.raises(MeterUnavailable, match="no GPU"):
        NvmlMeter()
    lost = Card(clock)
    lost.lost = True
    library = install(nvml([Card(clock), lost]))
    with pytest.raises(MeterUnavailable, match="GPU is lost"):
        NvmlMeter()
    assert library.opened == 0
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeterUnavailable, match=r"pytest-greencode\[nvidia\]"):
        NvmlMeter()


def test_a_gpu_that_is_lost_or_reset_makes_a_window_unknown_not_free(clock: Clock, install: Install) -> None:
    card = Card(clock)
    install(nvml([card]))
    meter = NvmlMeter()
    start = meter.read()
    clock.sleep(5)
    card.offset_mj = 0
    found = meter.between(start, meter.read())
    assert found.energy_j is None
    assert found.reason == "a counter went backwards: the driver was loaded anew"
    card.lost = True
    found = meter.between(start, meter.read())
    assert found.energy_j is None
    assert found.reason == "NVMLError: GPU is lost"
    assert found.idle_j is None


# --- AMD --------------------------------------------------------------------------------------------------------


class AmdSmiException(Exception):
    pass


def amdsmi(cards: list[Card], *, old: bool = False, counts: bool = True) -> types.ModuleType:
    """What amdsmi has, as far as it is used: since 6.2 `energy_accumulator`, before `power`, in steps of 15.3 uJ."""
    library: Any = types.ModuleType("amdsmi")
    library.AmdSmiException, library.opened = AmdSmiException, 0
    library.AmdSmiInitFlags = types.SimpleNamespace(INIT_AMD_GPUS=2)

    def initialise(flag: int) -> None:
        assert flag == 2
        library.opened += 1

    def shut_down() -> None:
        library.opened -= 1

    def energy_count(card: Card) -> dict[str, float]:
        if not counts:
            raise AmdSmiException("AMDSMI_STATUS_NOT_SUPPORTED")
        # As ctypes' c_float gives it.
        resolution = ctypes.c_float(15.3).value
        key = "power" if old else "energy_accumulator"
        return {key: int(card.total_mj * 1e3 / resolution), "counter_resolution": resolution, "timestamp": 1}

    library.amdsmi_init, library.amdsmi_shut_down = initialise, shut_down
    library.amdsmi_get_processor_handles = lambda: cards
    library.amdsmi_get_gpu_asic_info = lambda card: {"market_name": card.name}
    library.amdsmi_get_energy_count = energy_count
    library.amdsmi_get_gpu_activity = lambda card: {"gfx_activity": card.utilization if card.mig == 0 else "N/A"}
    return library


@pytest.mark.parametrize("old", [False, True])
def test_amd_counts_in_its_own_resolution(clock: Clock, install: Install, old: bool) -> None:
    library = install(amdsmi([Card(clock, lambda at_s: 400.0, name="AMD Instinct MI300X")], old=old))
    meter: GenerationMeter[Any] = AmdMeter()
    start = meter.read()
    clock.sleep(10)
    found = meter.between(start, meter.read())
    assert found.energy_j == pytest.approx(4000, rel=1e-6)
    assert found.source == "amdsmi (AMD Instinct MI300X, GPU 0)"
    assert found.method is Method.MEASURED
    assert library.opened == 1
    meter.close()
    assert library.opened == 0


def test_amd_says_what_it_is_not(clock: Clock, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    library = install(amdsmi([Card(clock, name="AMD Instinct MI250X")], counts=False))
    with pytest.raises(MeterUnavailable, match="AMDSMI_STATUS_NOT_SUPPORTED"):
        AmdMeter()
    assert library.opened == 0
    install(amdsmi([Card(clock, name="AMD Instinct MI250X"), Card(clock, name="AMD Instinct MI250X")]))
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "0")
    meter = AmdMeter()
    assert meter.gpu_count == 1
    assert "both" in meter.source
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "")
    with pytest.raises(MeterUnavailable, match="no GPU"):
        AmdMeter()
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(MeterUnavailable, match="AMD's library"):
        AmdMeter()


def test_both_are_generation_meters() -> None:
    for kind in (NvmlMeter, AmdMeter):
        assert issubclass(kind, GpuMeter)
