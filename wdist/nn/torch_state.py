"""torch's modes as this library needs them, whatever the caller has set."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from wdist.device import KIND

_is_forked = False


def _note_fork() -> None:
    global _is_forked
    _is_forked = True


if hasattr(os, "register_at_fork"):  # there are no forks on Windows
    os.register_at_fork(after_in_child=_note_fork)


@contextmanager
def own_torch_state(threads: int | None = None) -> Iterator[None]:
    """Gradients on, inference mode and autocast off, new tensors on the CPU; the caller's modes come back after.

    All of these belong to one thread. The default dtype belongs to the process, so it is never set: tensors are made
    with a dtype.

    threads: how many torch may use, if the result must not depend on the caller's number. In a forked process it is
    one: torch would wait for ever for threads that only the parent has.
    """
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", KIND):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        if _is_forked or threads is not None:
            modes.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1 if _is_forked else threads or 1)
        yield
