"""What a set holds, whatever its file format, its types and the order of its rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.data.checks import DISTINCT_SHARE
from wdist.data.samples import SampleSet
from wdist.data.tables.schema import TableColumn

SAMPLED = 64  # rows of a set by which it is known again in part
_BLOCK_NUMBERS = 1 << 20


@dataclass(frozen=True)
class Content:
    """What a set holds.

    Attributes:
        sha256: see `content_of`.
        rows: (n,), ascending: the first 64 bits of the digest of each row.
    """

    sha256: str
    rows: NDArray[np.uint64]

    @property
    def sample(self) -> NDArray[np.uint64]:
        """(64,), the smallest of `rows`: those of a random choice of rows, the same one wherever these rows occur."""
        return self.rows[:SAMPLED].copy()

    def share_of(self, sample: NDArray[np.uint64]) -> float:
        """About the share of another set's rows, of which this is the sample, that occur here; 0 if it is discrete."""
        if len(np.unique(sample)) < DISTINCT_SHARE * len(sample):
            return 0.0
        return float(np.isin(sample, self.rows).mean())


def content_sha256(samples: SampleSet) -> str:
    """The digest of `content_of`."""
    return content_of(samples).sha256


def content_of(samples: SampleSet) -> Content:
    """What is equal for sets of the same rows in any order, stored in any type and file format.

    The digest is the SHA-256 of the sorted SHA-256 digests (their first 16 bytes) of the rows, each of float64 values
    in the user's units; levels of a category and their codes do not matter, but their names do. Column names do not
    count.
    """
    table = samples.table
    digests, step = np.empty((samples.n, 2), dtype=">u8"), max(1, _BLOCK_NUMBERS // max(1, samples.dimension))
    names = [] if table is None else [_digests_of_levels(column) for column in table.columns]
    for start in range(0, samples.n, step):
        block = _numbers(samples, slice(start, start + step)) + 0.0  # -0.0 becomes 0.0
        block[np.isnan(block)] = np.nan  # one pattern of bits
        for k, levels in enumerate(names):
            if levels is not None:
                present = ~np.isnan(block[:, k])
                block[present, k] = levels[block[present, k].astype(np.intp)]
        own = b"".join(hashlib.sha256(row).digest()[:16] for row in np.ascontiguousarray(block, dtype="<f8"))
        digests[start : start + step] = np.frombuffer(own, dtype=">u8").reshape(-1, 2)
    whole = hashlib.sha256(f"wdist content 1 {samples.n}x{samples.dimension}\n".encode("ascii"))
    digests = digests[np.lexsort((digests[:, 1], digests[:, 0]))]
    whole.update(digests.tobytes())
    return Content(whole.hexdigest(), digests[:, 0].astype(np.uint64))


def _numbers(samples: SampleSet, part: slice) -> NDArray[np.float64]:
    """Rows as numbers, flat, (n, d); those of a table as codes, before they are encoded."""
    if samples.is_image:
        rows = samples.rows(part)
        return rows.reshape(len(rows), -1)
    block = np.asarray(samples.array[part], dtype=np.float64)
    return block.reshape(len(block), -1)


def _digests_of_levels(column: TableColumn) -> NDArray[np.float64] | None:
    """A number for each level of a category, from its name; None for other columns."""
    if column.kind != "category":
        return None
    return np.array([_number_of(level) for level in column.levels] or [0.0])


def _number_of(level: Any) -> float:
    digest = hashlib.sha256(json.dumps(level).encode()).digest()
    return float(int.from_bytes(digest[:6], "big"))
