"""AMD GPUs' energy by amdsmi, which comes with ROCm. Nothing is imported before a meter is made."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from typing import Any

from ..errors import MeterUnavailable
from .gpus import Device, GpuMeter, visible

# AMD documents none; the same care as with NVML.
UPDATE_S = 0.1
_VISIBLE = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")


class AmdMeter(GpuMeter):
    """All AMD GPUs of this machine, or those that HIP_VISIBLE_DEVICES or `devices` (indices) name.

    The counter is that of `amdsmi_get_energy_count`, in steps of its own resolution. Of a card with two dies (MI250)
    the first has the energy of both, and the second none.

    Raises MeterUnavailable where there is no library, no driver or no GPU with a counter.
    """

    def __init__(self, devices: Sequence[int] | None = None) -> None:
        try:
            # It prints where its own library is missing.
            with contextlib.redirect_stdout(io.StringIO()):
                library: Any = importlib.import_module("amdsmi")
        except Exception as error:  # OSError, KeyError, AttributeError: by version, without ROCm
            raise MeterUnavailable(
                f"AMD's library for Python cannot be used: {type(error).__name__}: {error}"
            ) from None
        try:
            library.amdsmi_init(library.AmdSmiInitFlags.INIT_AMD_GPUS)
        except library.AmdSmiException as error:
            raise MeterUnavailable(f"amdsmi cannot be used: {error}") from None
        try:
            handles = dict(enumerate(library.amdsmi_get_processor_handles()))
            asked = visible(_VISIBLE) if devices is None else [str(each) for each in devices]
            if asked is not None:
                handles = {index: handle for index, handle in handles.items() if str(index) in asked}
            if not handles:
                raise MeterUnavailable("amdsmi knows no GPU that this process is allowed to see.")
            found = [_device(library, index, handle) for index, handle in handles.items()]
            for device in found:
                device.energy_j()
        except library.AmdSmiException as error:
            library.amdsmi_shut_down()
            raise MeterUnavailable(f"amdsmi cannot read the GPUs' energy counters: {error}") from None
        except BaseException:
            library.amdsmi_shut_down()
            raise
        super().__init__(found, "amdsmi", UPDATE_S, library.amdsmi_shut_down)


def _device(library: Any, index: int, handle: Any) -> Device:
    model = str(library.amdsmi_get_gpu_asic_info(handle).get("market_name") or "AMD GPU")

    def energy_j() -> float:
        found = library.amdsmi_get_energy_count(handle)
        # "power" until amdsmi 6.2; the resolution is in uJ.
        count = found["energy_accumulator"] if "energy_accumulator" in found else found["power"]
        return float(count) * float(found["counter_resolution"]) / 1e6

    def busy() -> bool | None:
        try:
            activity = library.amdsmi_get_gpu_activity(handle).get("gfx_activity")
        except library.AmdSmiException:
            return None
        return activity > 0 if isinstance(activity, int) else None

    note = "MI250: the first die's counter has the energy of both" if "MI250" in model else ""
    return Device(label=str(index), model=model, energy_j=energy_j, busy=busy, note=note)
