"""The rows that are compared: drawn from seeds, and the thinned diamonds of examples/."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Pair = tuple[NDArray[np.generic], NDArray[np.generic]]
Labels = NDArray[np.int64]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def normals(seed: int, rows: int = 300, columns: int = 3, shift: float = 0.6) -> Pair:
    """Two normal populations, the target shifted along the first column."""
    x, y = np.random.default_rng(seed).normal(size=(2, rows, columns)).astype(np.float32)
    y[:, 0] += np.float32(shift)
    return x, y


def mixtures(seed: int, rows: int = 400, columns: int = 4) -> Pair:
    """Two mixtures of two normals with equal means, told apart by their shape alone."""
    generator = np.random.default_rng(seed)
    sides = []
    for spread in (0.5, 2.0):
        sign = np.where(generator.random(rows) < 0.5, -1.0, 1.0)[:, None]
        sides.append((generator.normal(size=(rows, columns)) + spread * sign).astype(np.float32))
    return sides[0], sides[1]


def shells(seed: int, rows: int, columns: int) -> Pair:
    """Two noisy spheres around one centre, which cones tell apart best."""
    generator = np.random.default_rng(seed)
    sides = []
    for radius in (1.0, 2.0):
        rays = generator.normal(size=(rows, columns))
        lengths = radius + 0.1 * generator.normal(size=(rows, 1))
        sides.append((rays * lengths / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32))
    return sides[0], sides[1]


def diamonds(every: int = 20) -> Pair:
    premium, very_good = (np.load(EXAMPLES / "diamonds" / f"{name}.npy") for name in ("premium", "very_good"))
    return premium[::every].copy(), very_good[::every].copy()


def strokes(seed: int, rows: int = 160, size: int = 16, thick: int = 2) -> NDArray[np.uint8]:
    """Grey images (rows, size, size): one horizontal and one vertical stroke, at random places."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 30, (rows, size, size))
    for image, (top, left) in zip(images, generator.integers(1, size - thick, (rows, 2)), strict=True):
        image[top : top + thick, 2:-2] += 180
        image[2:-2, left : left + thick] += 40
    return images.astype(np.uint8)


def grey(seed: int) -> Pair:
    return strokes(seed), strokes(seed + 1, thick=3)


def coloured(seed: int) -> Pair:
    """uint8 images (n, 16, 16, 3)."""
    source, target = ([strokes(seed + 10 * c + k, thick=2 + k) for c in range(3)] for k in (0, 1))
    return np.stack(source, axis=-1), np.stack(target, axis=-1)


def coloured_floats(seed: int) -> Pair:
    """The same as float32 (n, 3, 16, 16) in [0, 1]."""
    x, y = (np.ascontiguousarray((side / np.float32(255)).transpose(0, 3, 1, 2)) for side in coloured(seed))
    return x, y


def patients(seed: int, groups: int = 120, size: int = 3, shift: float = 1.0) -> Pair:
    """Rows of patients, `size` of each one after the other, who differ more from each other than their rows do."""
    generator = np.random.default_rng(seed)
    centres = np.repeat(generator.normal(size=(2, groups, 2)), size, axis=1)
    x, y = (centres + 0.1 * generator.normal(size=centres.shape)).astype(np.float32)
    return x, y + np.float32(shift)


def drifting(seed: int, rows: int = 400) -> Pair:
    """Autoregressive series of two columns."""
    noise = np.random.default_rng(seed).normal(size=(2, rows, 2))
    for t in range(1, rows):
        noise[:, t] += 0.7 * noise[:, t - 1]
    x, y = noise.astype(np.float32)
    return x, y + np.float32(1.0)


def quadrants(seed: int, rows: int) -> tuple[Rows, Labels]:
    """8 x 8 images (rows, 1, 8, 8) with one bright quadrant under noise; the label is its number."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 4, rows)
    images = generator.uniform(0, 0.6, (rows, 1, 8, 8)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        image[0, 4 * (label // 2) :, 4 * (label % 2) :][:4, :4] += np.float32(0.2)
    return images, labels


def npy(rows: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows)
    return buffer.getvalue()


def read_npy(content: bytes) -> NDArray[Any]:
    rows: NDArray[Any] = np.load(io.BytesIO(content))
    return rows


def table(seed: int) -> Any:
    """A frame of two columns of numbers and one of names."""
    import pandas as pd

    rows, _ = patients(seed)
    return pd.DataFrame({"patient": [f"p{k // 3}" for k in range(len(rows))], "u": rows[:, 0], "v": rows[:, 1]})


def files(seed: int) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Files of every kind with the parameters of their upload."""
    from PIL import Image

    frame, images = table(seed), coloured(seed)[0][:120]
    parquet, npz, archive = io.BytesIO(), io.BytesIO(), io.BytesIO()
    frame.to_parquet(parquet)
    np.savez_compressed(npz, first=normals(seed)[0], second=images)
    with zipfile.ZipFile(archive, "w") as folder:
        for k, image in enumerate(images):
            with folder.open(zipfile.ZipInfo(f"{k:03}.png"), "w") as file:
                Image.fromarray(image).save(file, "png")
    csv = frame.to_csv(index=False).encode()
    return {
        "parquet": (parquet.getvalue(), {"format": "parquet", "drop": "patient"}),
        "parquet labels": (parquet.getvalue(), {"format": "parquet", "labels": "patient"}),
        "csv": (csv, {"format": "csv", "drop": "patient"}),
        "csv labels": (csv, {"format": "csv", "labels": "patient"}),
        "npz": (npz.getvalue(), {"format": "npz", "member": "second"}),
        "zip": (archive.getvalue(), {"format": "images"}),
        "doubles": (npy(normals(seed)[0].astype(np.float64)), {}),
        "fortran order": (npy(np.asfortranarray(normals(seed)[0])), {}),
    }
