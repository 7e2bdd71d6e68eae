"""Labelled images without random numbers: the same in every release of numpy, so that they need not be stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from idx_files import idx

VALIDATION = 5_000  # of the training images, `wdist reproduce robustness` holds out so many


def striped(count: int, side: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, side, side) of grey levels and labels from 0 to 9; a label is where two rows are bright."""
    k, row, column = np.ogrid[first : first + count, :side, :side]
    labels = np.arange(first, first + count) * 7 % 10
    images = (k * 31 + row * 13 + column * 29 + k * row * column) % 60
    bright = labels[:, None, None] * (side - 1) // 10
    images = images + np.where((row == bright) | (row == bright + 1), 180, 0)
    return images.astype(np.uint8), labels.astype(np.uint8)


def small_classes(count: int, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same as a robust classifier takes them: (count, 1, 8, 8) in [0, 1], and labels as whole numbers."""
    images, labels = striped(count, 8, first)
    return images[:, None].astype(np.float32) / np.float32(255), labels.astype(np.int64)


def write_mnist(folder: Path, train: int, test: int) -> Path:
    """Files of MNIST's form in folder/mnist; returns the folder."""
    (folder / "mnist").mkdir(parents=True)
    for part, (images, labels) in {"train": striped(train, 28), "t10k": striped(test, 28, train)}.items():
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            (folder / "mnist" / f"{part}-{name}-ubyte.gz").write_bytes(idx(array))
    return folder
