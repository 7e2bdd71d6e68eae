"""Random streams: one for each use of a seed, independent of each other and of what users draw with the same seed.

`numpy.random.default_rng(seed)` and its spawned children are other streams, so that rows which a user simulates with
the seed of an estimate are independent of its split.
"""

from enum import IntEnum

import numpy as np

from wdist.errors import OptionError

KEY = 0x77646973  # "wdis": no counter of SeedSequence.spawn gets that far


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of the certificate's format (docs/certificate.md)."""

    SPLIT = 1
    GROUPS = 2
    FRESH_ORDER = 3
    PERMUTATION_TEST = 4
    ORDER_OF_SCORES = 5
    BATCHES = 6
    WEIGHTS = 7
    DIRECTION = 8
    ANCHORS = 9
    PAIRS_OF_GROUPS = 10
    BASELINE = 11
    PLAN = 12
    UPDATE = 13
    SUBSET = 14
    SPREAD = 15


def stream(seed: int, purpose: Purpose, *numbers: int) -> np.random.Generator:
    """The generator of one purpose and seed; `numbers` (a side, an epoch) tell several streams of a purpose apart.

    Raises OptionError for a negative seed.
    """
    return np.random.Generator(np.random.PCG64(_sequence(seed, purpose, numbers)))


def torch_seed(seed: int, purpose: Purpose, *numbers: int) -> int:
    """A seed for `torch.Generator.manual_seed`: another stream than that of a user's `torch.manual_seed(seed)`."""
    return int(_sequence(seed, purpose, numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _sequence(seed: int, purpose: Purpose, numbers: tuple[int, ...]) -> np.random.SeedSequence:
    if seed < 0:
        raise OptionError(f"seed {seed} is negative; choose a whole number from 0 on")
    return np.random.SeedSequence(seed, spawn_key=(KEY, int(purpose), *numbers))
