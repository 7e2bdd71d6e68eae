"""All that differs between devices: which there are, how data reaches them, when their work is done.

No other module of the library names a kind of accelerator. What follows KIND below is executed only on a machine that
has one: see docs/guides/gpu.md. Everything else runs in the tests on a simulated accelerator, whose stand-in for this
module has the same functions.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from wdist.errors import OptionError

KIND = "cuda"  # of the accelerators that are supported


def is_there() -> bool:
    """Whether this process sees an accelerator."""
    return torch.cuda.is_available()


def chosen_device(name: str) -> torch.device:
    """The device of this name: auto (an accelerator if there is one), cpu, cuda, cuda:1, ...

    Raises OptionError for one that is unknown or not there.
    """
    if name == "auto":
        return torch.device(KIND if is_there() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(f"device {name!r} is unknown; choose 'auto', 'cpu' or 'cuda'") from None
    if device.type not in ("cpu", KIND):
        raise OptionError(f"device {name!r} is not supported; choose 'auto', 'cpu' or 'cuda'")
    if device.type == KIND and not is_there():
        raise OptionError(f"device {name!r} was asked for, but no CUDA device is available; use 'auto' or 'cpu'")
    if device.type == KIND and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise OptionError(f"device {name!r} was asked for, but there are only {count}: cuda:0 to cuda:{count - 1}")
    return device


def is_accelerator(device: torch.device) -> bool:
    """Whether work on this device is done beside the processor's own."""
    return device.type != "cpu"


def moved(rows: Tensor, device: torch.device, *, is_ahead: bool) -> Tensor:
    """Rows of the processor's memory on a device. is_ahead: they are not used at once, so that nothing waits for them.

    Memory that pages cannot leave is copied without the processor; torch keeps it until the copy is done.
    """
    if is_ahead and is_accelerator(device):
        return rows.pin_memory().to(device, non_blocking=True)
    return rows.to(device)


def finish_work() -> None:
    """Wait until accelerators have done what they were given, as times are taken of work that is done."""
    if is_there():
        torch.cuda.synchronize()


@functools.cache
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 matrix instructions; without them products are many times slower."""
    if device.type == KIND:
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def multiplies_by_blocks(device: torch.device) -> bool:
    """Whether it saves time to compute half of a symmetric product, in several calls; not measured on accelerators."""
    return device.type != KIND


def name_of(device: torch.device) -> str:
    """What the maker calls an accelerator."""
    return torch.cuda.get_device_name(device)


def described() -> list[str]:
    """A line for each accelerator: what it is, and how much of its memory is free."""
    found = []
    for index in range(torch.cuda.device_count()):
        free, total = (n / 2**30 for n in torch.cuda.mem_get_info(index))
        name = torch.cuda.get_device_name(index)
        found.append(f"{KIND}:{index} {name}, {free:.0f} of {total:.0f} GiB free, CUDA {torch.version.cuda}")
    return found
