"""Stands in for wdist/device.py where the accelerator is simulated: the same functions, and none of CUDA's calls."""

from __future__ import annotations

import accelerator
import torch
from torch import Tensor

KIND = accelerator.KIND
LIBRARY = accelerator.register()
calls: list[str] = []  # of what a real accelerator would have to do


def is_there() -> bool:
    return True


def chosen_device(name: str) -> torch.device:
    return torch.device("cpu") if name == "cpu" else torch.device(KIND, 0)


def is_accelerator(device: torch.device) -> bool:
    return device.type != "cpu"


def moved(rows: Tensor, device: torch.device, *, is_ahead: bool) -> Tensor:
    calls.append(f"moved {'ahead' if is_ahead else 'at once'}")
    return rows.to(device)


def finish_work() -> None:
    calls.append("finish_work")


def multiplies_bfloat16(device: torch.device) -> bool:
    return False


def multiplies_by_blocks(device: torch.device) -> bool:
    return True  # as on the processor, whose figures are compared


def name_of(device: torch.device) -> str:
    return "simulated accelerator"


def described() -> list[str]:
    return [f"{KIND}:0 simulated accelerator"]
