"""Where training runs: the device, and what of it is recorded."""

import platform
from importlib.metadata import version
from typing import Any

import torch

from grokviz.config import TrainingConfig
from grokviz.errors import GrokvizError, argument

RECORDED_PACKAGES = ("grokviz", "torch", "transformer-lens", "numpy")


def device_named(name: str) -> torch.device:
    """The device that torch calls `name`.

    Raises:
        GrokvizError: it cannot be used here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device, dtype=torch.float64).item()  # the loss is float64, and it is read
    except (RuntimeError, AssertionError, TypeError) as error:  # torch raises any of them for a device that cannot
        reason = str(error).splitlines()[0]
        raise GrokvizError(f"device {name!r} cannot be used ({reason}); try {argument('device')} cpu") from error
    return device


def environment_of(training: TrainingConfig, engine_name: str) -> dict[str, Any]:
    """Versions, device, engine and threads; the vector instructions too, on which the last bits depend."""
    device = torch.device(training.device)
    return {
        "versions": {name: version(name) for name in RECORDED_PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": f"{device} ({torch.cuda.get_device_name(device)})"
        if device.type == "cuda"
        else f"{device} ({torch.backends.cpu.get_cpu_capability()})",
        "engine": engine_name,
        "threads": torch.get_num_threads(),
    }
