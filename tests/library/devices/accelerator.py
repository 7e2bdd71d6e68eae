"""A simulated accelerator: torch's tensors of a device of its own, whose numbers lie in the processor's memory.

Registered once for a process, as torch's place for devices of others (PrivateUse1). As on a real accelerator, an
operation whose tensors lie on two devices fails, and NumPy cannot read what lies on it. It is stricter in one thing:
an index must lie on the device, too. Nothing of it is asynchronous, and no number is rounded in another way.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

KIND = "simulated"
aten = torch.ops.aten
_MOVES = {aten._to_copy.default, aten.copy_.default}  # what may read one device and write another


class OnDevice(torch.Tensor):
    """A tensor of the simulated device. `held` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> OnDevice:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device(KIND, 0),
        )  # fmt: skip
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def __repr__(self) -> str:
        return f"OnDevice({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, dict(kwargs or {}))


class Work:
    """How many operations the device ran."""

    operations = 0


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    Work.operations += 1
    leaves, spec = tree_flatten((args, kwargs))
    if operation not in _MOVES:
        for leaf in leaves:
            # Single numbers of the processor go along, as with a real accelerator.
            if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnDevice) and leaf.dim() > 0:
                raise RuntimeError(f"{operation}: tensors on {leaf.device} and on {KIND}:0, shape {tuple(leaf.shape)}")
    given = [leaf.held if isinstance(leaf, OnDevice) else leaf for leaf in leaves]
    inner_args, inner_kwargs = tree_unflatten(given, spec)
    goes_away = False
    if inner_kwargs.get("device") is not None:
        goes_away = torch.device(inner_kwargs["device"]).type != KIND
        inner_kwargs = inner_kwargs | {"device": torch.device("cpu")}
    out = operation(*inner_args, **inner_kwargs)
    if operation is aten.copy_.default:
        return args[0]
    if goes_away:
        return out
    made = tree_map(lambda each: OnDevice(each) if isinstance(each, torch.Tensor) else each, out)
    return return_and_correct_aliasing(operation, args, kwargs, made)


class _Module:
    """What torch asks of a device's module, `torch.simulated`."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


def _empty(operation: Any) -> Any:
    def make(*args: Any, **kwargs: Any) -> OnDevice:
        Work.operations += 1
        return OnDevice(operation(*args, **kwargs | {"device": torch.device("cpu"), "pin_memory": None}))

    return make


def register() -> torch.library.Library:
    """Make the device known to torch. It lasts as long as what is returned."""
    _setup_privateuseone_for_python_backend(KIND, backend_module=_Module())
    library = torch.library.Library("aten", "IMPL")
    for name in ("empty.memory_format", "empty_strided"):  # torch makes all other new tensors of these
        packet, _, overload = name.partition(".")
        library.impl(name, _empty(getattr(getattr(aten, packet), overload or "default")), "PrivateUse1")
    return library
