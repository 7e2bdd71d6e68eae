"""How many threads torch uses for a training: a fixed rule of sizes, so that small nets train on one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wdist.critics.cost import step_threads

# For factorisations of weights: those of one estimate of 1,000 x 8 took 0.69 s of processor time on two threads beside
# other work, and take 0.02 s on one.
ONE_THREAD = 0.0


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """Let torch use as many of its threads as steps of so many operations are worth, and restore the number after.

    torch keeps the number for each Python thread, so concurrent trainings keep theirs. Only a Python thread whose first
    use of torch falls within this context starts with the number set here, which may be fewer than the process's.
    """
    available = torch.get_num_threads()
    torch.set_num_threads(step_threads(operations, available))
    try:
        yield
    finally:
        torch.set_num_threads(available)
