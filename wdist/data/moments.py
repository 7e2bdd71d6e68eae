"""Means and deviations of columns, in one pass over blocks of rows; missing values, NaN, are left out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class RunningMoments:
    """The least, the largest, mean and population deviation of each number of the rows (n, *shape) of all blocks.

    By Chan, Golub and LeVeque's pairwise update of differences to one row, so that an offset costs no digit. The
    deviation is exactly 0 where all values are equal, although the mean of equal numbers may be rounded. All are 0
    where every value is missing.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._first = np.full(shape, np.nan)
        self._mean, self._squares = np.zeros(shape), np.zeros(shape)
        self._lowest, self._highest = np.full(shape, np.inf), np.full(shape, -np.inf)
        self.count = np.zeros(shape, dtype=np.int64)

    def add(self, block: Values) -> None:
        """Take a block of rows (m, *shape), which is used up."""
        lost = np.isnan(block)
        has_lost = bool(lost.any())
        np.minimum(self._lowest, np.fmin.reduce(block, axis=0, initial=np.inf), out=self._lowest)
        np.maximum(self._highest, np.fmax.reduce(block, axis=0, initial=-np.inf), out=self._highest)
        self._begin(block, lost)
        block -= self._first
        if has_lost:
            block[lost] = 0.0
        present = len(block) - (np.count_nonzero(lost, axis=0) if has_lost else 0)
        count = self.count + present
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(present, block.sum(axis=0) / present, 0.0)
            share = np.where(count, present / count, 0.0)
        shift = mean - self._mean
        block -= mean
        if has_lost:
            block[lost] = 0.0
        self._squares += np.square(block, out=block).sum(axis=0) + shift**2 * self.count * share
        self._mean += shift * share
        self.count = count

    def _begin(self, block: Values, lost: NDArray[np.bool_]) -> None:
        """The row that differences are taken to: of each column its first value."""
        waiting = np.isnan(self._first)
        if waiting.any():
            place = lost.argmin(axis=0)  # of the first value that is there
            found = np.take_along_axis(block, place[None], axis=0)[0]
            self._first = np.where(waiting, found, self._first)

    @property
    def minimum(self) -> Values:
        return np.where(self.count > 0, self._lowest, 0.0)

    @property
    def maximum(self) -> Values:
        return np.where(self.count > 0, self._highest, 0.0)

    @property
    def mean(self) -> Values:
        return np.where(self.count > 0, np.nan_to_num(self._first) + self._mean, 0.0)

    @property
    def deviation(self) -> Values:
        squares = np.where(self._lowest >= self._highest, 0.0, self._squares)
        deviation: Values = np.sqrt(squares / np.maximum(self.count, 1))
        return deviation
