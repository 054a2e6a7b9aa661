"""NVIDIA GPUs' energy by NVML (package nvidia-ml-py, extra `nvidia`). Nothing is imported before a meter is made."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from ..errors import MeterUnavailable
from .gpus import Device, GpuMeter, PowerSampler, visible

# The driver brings the counter up to date about every 100 ms: open-gpu-kernel-modules, nvrm_registry.h, through the
# ML.ENERGY blog of March 2026.
UPDATE_S = 0.1
_VISIBLE = ("CUDA_VISIBLE_DEVICES",)


class NvmlMeter(GpuMeter):
    """All NVIDIA GPUs of this machine, or those that CUDA_VISIBLE_DEVICES or `devices` (indices or UUIDs) name.

    Their counters give mJ since the driver was loaded, idle power included (Volta and newer). A GPU without one is
    sampled, which is an estimate and says so. A counter is a whole GPU's: with MIG it has the energy of all instances,
    and on Grace Hopper that of the module, the CPU with it; both are said in `source`.

    Raises MeterUnavailable where there is no library, no driver or no GPU.
    """

    def __init__(self, devices: Sequence[int | str] | None = None) -> None:
        try:
            library: Any = importlib.import_module("pynvml")
        except ImportError:
            raise MeterUnavailable(
                "NVIDIA's library for Python is not installed.", "pip install 'pytest-greencode[nvidia]'"
            ) from None
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            raise MeterUnavailable(f"NVML cannot be used: {error}.") from None
        samplers: list[PowerSampler] = []

        def close() -> None:
            for sampler in samplers:
                sampler.close()
            library.nvmlShutdown()

        try:
            asked = visible(_VISIBLE) if devices is None else [str(each) for each in devices]
            handles = _handles(library, asked)
            if not handles:
                whose = " that CUDA_VISIBLE_DEVICES lets this process see" if asked is not None else ""
                raise MeterUnavailable(f"NVML knows no GPU{whose}.")
            unsure = _order_is_unsure(library, asked)
            found = [_device(library, index, handle, samplers, unsure) for index, handle in handles.items()]
        except library.NVMLError as error:
            close()
            raise MeterUnavailable(f"NVML cannot read the GPUs: {error}.") from None
        except BaseException:
            close()
            raise
        super().__init__(found, "NVML", UPDATE_S, close)


def _handles(library: Any, asked: Sequence[str] | None) -> dict[int, Any]:
    """By index, each whole GPU once, though several of its MIG instances are asked for."""
    every = {index: library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())}
    if asked is None:
        return every
    found: dict[int, Any] = {}
    for name in asked:
        if name.lstrip("-").isdigit():
            if int(name) not in every:
                break  # as CUDA does: what follows an index that is none is not seen either
            index = int(name)
        else:
            handle = library.nvmlDeviceGetHandleByUUID(name)
            if name.startswith("MIG-"):
                handle = library.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
            index = library.nvmlDeviceGetIndex(handle)
        found[index] = every[index]
    return found


def _order_is_unsure(library: Any, asked: Sequence[str] | None) -> bool:
    """Whether an index may mean another GPU to CUDA, which has the fastest first, than to NVML, by PCI bus."""
    if not any(name.isdigit() for name in asked or ()) or visible(("CUDA_DEVICE_ORDER",)) == ["PCI_BUS_ID"]:
        return False
    handles = map(library.nvmlDeviceGetHandleByIndex, range(library.nvmlDeviceGetCount()))
    return len({library.nvmlDeviceGetName(handle) for handle in handles}) > 1


def _device(library: Any, index: int, handle: Any, samplers: list[PowerSampler], unsure: bool) -> Device:
    model = _text(library.nvmlDeviceGetName(handle))
    notes = ["GPUs are told by NVML's order, CUDA's may differ: set CUDA_DEVICE_ORDER=PCI_BUS_ID"] if unsure else []
    if _mig(library, handle):
        notes.append("MIG: the energy of the whole GPU, of all its instances")
    module = "GH200" in model or "GB200" in model
    if module:
        notes.append("on this module the counter may include the CPU's share")

    def counter_j() -> float:
        return float(library.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

    try:
        counter_j()
        energy_j, sampled = counter_j, False
    except library.NVMLError as error:
        if error.value not in (library.NVML_ERROR_NOT_SUPPORTED, library.NVML_ERROR_FUNCTION_NOT_FOUND):
            raise
        sampler = PowerSampler(lambda: float(library.nvmlDeviceGetPowerUsage(handle)) / 1e3)
        samplers.append(sampler)
        energy_j, sampled = sampler.energy_j, True
        notes.append("no energy counter: power, a mean of up to 1 s, was sampled 10 times a second")

    def busy() -> bool | None:
        try:
            return bool(library.nvmlDeviceGetUtilizationRates(handle).gpu > 0)
        except library.NVMLError:
            return None  # not told under MIG

    return Device(
        label=str(index),
        model=model,
        energy_j=energy_j,
        busy=busy,
        scope="module" if module else "gpu",
        sampled=sampled,
        note="; ".join(notes),
    )


def _mig(library: Any, handle: Any) -> bool:
    try:
        current, _ = library.nvmlDeviceGetMigMode(handle)
    except library.NVMLError:
        return False  # not a GPU that knows it
    return bool(current == library.NVML_DEVICE_MIG_ENABLE)


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
