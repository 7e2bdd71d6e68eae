"""Mini-batches of a sample set for training: small sets are kept in memory, large ones are read ahead from disk."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wdist.data.samples import SampleSet
from wdist.data.scaling import Scaling
from wdist.device import moved
from wdist.streams import Purpose, stream

PRELOAD_BYTES = 256 << 20  # per side; larger sets are read batch by batch, so memory use does not grow with n


class Batches:
    """Rows of one sample set as float32 tensors (batch, *row_shape): scaled, shifted, and divided by `unit`.

    The order depends only on the seed, the side and the step: every epoch is a seeded permutation, so a resumed run
    sees the same batches as an uninterrupted one. `columns` are those to take, if not all. `like` is another `Batches`
    over the same rows, perhaps with another batch size; the two share their memory. Rows that are not in memory are
    read one batch ahead in a background thread, through pinned memory if the device is a GPU.
    """

    def __init__(
        self,
        samples: SampleSet,
        index: NDArray[np.int64],
        scale: Scaling,
        *,
        seed: int,
        side: int,
        batch: int,
        device: torch.device,
        shift: NDArray[np.float64] | None = None,
        unit: float = 1.0,
        columns: NDArray[np.int64] | None = None,
        like: Batches | None = None,
    ) -> None:
        self.samples, self.index, self.scale = samples, index, scale
        self.shift, self.unit, self.columns = 0.0 if shift is None else shift, unit, columns
        self.seed, self.side, self.batch, self.device = seed, side, min(batch, len(index)), device
        self._epoch, self._order = -1, index
        self._reader: ThreadPoolExecutor | None = None
        self._ahead: tuple[int, Future[Tensor]] | None = None  # the step being read ahead, and its batch
        self._all: Tensor | None
        if like is not None:
            self._all = like._all
        else:
            row_bytes = 4 * (int(np.prod(samples.row_shape)) if columns is None else len(columns))
            self._all = self._read(index) if row_bytes * len(index) <= PRELOAD_BYTES else None

    def _read(self, index: NDArray[np.int64], *, is_ahead: bool = False) -> Tensor:
        # Rounded to float32 last: a time in seconds since 1970 keeps its fractions once the shift is subtracted.
        parts = [self._in_units(rows).astype(np.float32) for rows in self.samples.blocks(index)]
        return moved(torch.from_numpy(np.concatenate(parts)), self.device, is_ahead=is_ahead)

    def _in_units(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        centred: NDArray[np.float64] = self.scale.apply(rows) - self.shift
        return (centred if self.columns is None else centred[:, self.columns]) / self.unit

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            generator = stream(self.seed, Purpose.BATCHES, self.side, epoch)
            self._epoch, self._order = epoch, generator.permutation(len(self.index))
        return self._order

    def positions(self, step: int) -> NDArray[np.int64]:
        """Positions in `index` of the rows of step 0, 1, ...: (batch,). An incomplete last batch is dropped."""
        per_epoch = len(self.index) // self.batch
        epoch, k = divmod(step, per_epoch)
        return self._permutation(epoch)[k * self.batch : (k + 1) * self.batch]

    def rows(self, step: int) -> Tensor:
        """The batch for a step, (batch, *row_shape)."""
        positions = self.positions(step)
        if self._all is not None:
            return self._all[torch.as_tensor(positions, device=self.device)]
        ahead, self._ahead = self._ahead, None
        batch = ahead[1].result() if ahead is not None and ahead[0] == step else self._batch(positions)
        if self._reader is None:
            self._reader = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._ahead = (step + 1, self._reader.submit(self._batch, self.positions(step + 1)))
        return batch

    def _batch(self, positions: NDArray[np.int64]) -> Tensor:
        # sorted, because neighbouring rows share pages of the file
        return self._read(np.sort(self.index[positions]), is_ahead=True)

    def head(self, rows: int) -> Tensor:
        """The first `rows` rows of the index, (min(rows, n), *row_shape)."""
        return self._all[:rows] if self._all is not None else self._read(np.sort(self.index[:rows]))
