"""Warnings about duplicate rows that cast doubt on the independence of train and test rows."""

import numpy as np
from numpy.typing import NDArray

from wdist.data.samples import SampleSet
from wdist.data.splits import Split

Hashes = NDArray[np.uint64]

BLOCK_WORDS = 1 << 15  # 8-byte words hashed at once, so that the three passes over them stay in a core's cache
SHARE = 0.01  # of the test rows; fewer duplicates may be coincidence
SHARED_SHARE = 0.1  # of the target's rows; less overlap is normal: tables of two weeks may share some rows
DISTINCT_SHARE = 0.5  # below this share of distinct rows the values may simply be discrete


def row_hashes(samples: SampleSet) -> Hashes:
    """A 64-bit hash of each row's bytes, (n,), streamed. Different rows have different hashes almost surely."""
    out = np.empty(samples.n, dtype=np.uint64)
    itemsize, width = samples.dtype.itemsize, samples.dimension
    words = -(-itemsize * width // 8)
    multipliers = np.random.default_rng(0).integers(0, 2**64, words, dtype=np.uint64) | np.uint64(1)
    step = max(1, BLOCK_WORDS // max(1, words))
    for start in range(0, samples.n, step):
        block = np.ascontiguousarray(samples.array[start : start + step])
        mixed = np.zeros((len(block), words), dtype=np.uint64)
        mixed.view(np.uint8)[:, : itemsize * width] = block.view(np.uint8).reshape(len(block), -1)
        mixed ^= mixed >> np.uint64(29)
        mixed *= multipliers  # wraps around modulo 2^64, by design
        mixed ^= mixed >> np.uint64(32)
        out[start : start + len(block)] = mixed.sum(axis=1, dtype=np.uint64)
    return out


def duplicate_warnings(source: SampleSet, target: SampleSet, source_split: Split, target_split: Split) -> list[str]:
    """Warn about test rows that also occur among the train or select rows, and about rows that both sets share.

    If fewer than half of a set's rows are distinct, copies cannot be told from discrete values. The warning then says
    so, and rows shared by both sets are not reported.
    """
    warnings = []
    both = []
    is_discrete = False
    for samples, split in ((source, source_split), (target, target_split)):
        hashes = row_hashes(samples)
        both.append(hashes)
        repeated = _repeated(np.concatenate([hashes[split.train], hashes[split.select]]), hashes[split.test])
        if repeated <= SHARE * len(split.test):
            continue
        if (distinct := _distinct(hashes)) < DISTINCT_SHARE * samples.n:
            is_discrete = True
            if distinct == 1:  # a point mass: `check_pair` warns about it
                continue
            warnings.append(
                f"{samples.name}: {distinct:,} of {samples.n:,} rows are distinct; if these are copies and not "
                "independent draws of discrete values, the bound and the p-value do not hold: remove copies, or give "
                "rows of one origin a common group"
            )
        else:
            warnings.append(
                f"{samples.name}: {repeated:,} of {len(split.test):,} test rows are copies of rows that the critic was "
                "fitted on; unless they are independent draws that happen to coincide, the bound and the p-value do "
                "not hold: remove copies, or give rows of one origin a common group"
            )
    shared = 0 if is_discrete else _repeated(*both)
    if shared > SHARED_SHARE * target.n:
        warnings.append(
            f"{shared:,} of {target.n:,} rows of target also occur in source: the sets are not independent draws, "
            "and the bound and the p-value do not hold"
        )
    return warnings


def _distinct(hashes: Hashes) -> int:
    """Number of distinct hashes. Sorts them in place."""
    hashes.sort()
    return 1 + int(np.count_nonzero(hashes[1:] != hashes[:-1]))


def _repeated(known: Hashes, looked_up: Hashes) -> int:
    """Number of looked-up hashes that are among the known ones. Sorts the known ones in place."""
    # an in-place sort and a search need two arrays of length n at most; np.unique and np.isin need several more
    known.sort()
    place = np.minimum(np.searchsorted(known, looked_up), len(known) - 1)
    return int(np.count_nonzero(known[place] == looked_up))
