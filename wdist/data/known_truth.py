"""Pairs of distributions with a known Wasserstein-1 distance and a critic that attains it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wdist.errors import OptionError

Rows = NDArray[np.float32]
Values = NDArray[np.float64]
Draw = Callable[[int, np.random.Generator], Rows]

W1_PAIRS = 1 << 20  # Monte Carlo samples for the distance of a funnel pair: relative standard error about 4e-4


@dataclass(frozen=True)
class KnownTruth:
    """Two distributions on R^d, their W1, and a 1-Lipschitz u with E_Q u - E_P u = W1 (the optimal critic).

    draw_source, draw_target: (n, generator) -> float32 (n, d), i.i.d.; potential: rows -> float64 (n,).
    """

    name: str
    dim: int
    w1: float
    draw_source: Draw
    draw_target: Draw
    potential: Callable[[Rows], Values]

    def pair(self, n: int, seed: int) -> tuple[Rows, Rows, float]:
        """n independent rows from each side, and W1."""
        streams = [np.random.default_rng([seed, side]) for side in (0, 1)]
        return self.draw_source(n, streams[0]), self.draw_target(n, streams[1]), self.w1


class Funnels:
    """Funnel pairs after Korotin, Kolesov and Burnaev, "Kantorovich Strikes Back!" (NeurIPS 2022).

    u(x) = min_k (||x - a_k|| + b_k), centres a_k uniform in the cube [-2.5, 2.5]^dim, b_k ~ 0.1 N(0, 1). Q is uniform
    on the cube. P is Q with each y moved towards its active centre along the ray from that centre. The rays of u are
    transport rays, so W1(P, Q) = E ||x - y||, and u itself is an optimal critic.
    """

    half_width = 2.5
    exponent = 8

    def __init__(self, dim: int, funnels: int, seed: int) -> None:
        if dim < 1 or funnels < 1:
            raise OptionError(f"funnels need a positive dimension and number, not {dim} and {funnels}")
        self.dim, self.funnels, self.seed = dim, funnels, seed
        generator = np.random.default_rng([seed, dim, funnels])
        self.centres = generator.uniform(-self.half_width, self.half_width, (funnels, dim))
        self.offsets = 0.1 * generator.standard_normal(funnels)
        gaps = np.linalg.norm(self.centres[:, None] - self.centres[None], axis=2) if funnels <= 512 else None
        self._gaps = gaps

    def potential(self, rows: Rows) -> Values:
        """u at rows (n, dim)."""
        return np.concatenate([self._active(block)[1] for block in _blocks(rows.astype(np.float64), self.funnels)])

    def _active(self, y: Values) -> tuple[NDArray[np.intp], Values]:
        """For a block (n, dim): the index of the centre that attains the minimum, and the value of u."""
        squared = (y**2).sum(1)[:, None] + (self.centres**2).sum(1) - 2 * y @ self.centres.T
        values = np.sqrt(np.maximum(squared, 0.0)) + self.offsets
        active = values.argmin(axis=1)
        # the expansion above loses digits near a centre, so the minimum is recomputed from differences
        return active, np.linalg.norm(y - self.centres[active], axis=1) + self.offsets[active]

    def couple(self, n: int, generator: np.random.Generator) -> tuple[Values, Values]:
        """n optimally coupled pairs x ~ P, y ~ Q, each float64 (n, dim)."""
        y = generator.uniform(-self.half_width, self.half_width, (n, self.dim))
        return np.concatenate([self._transport(block) for block in _blocks(y, self.funnels)]), y

    def _transport(self, y: Values) -> Values:
        active, _ = self._active(y)
        origin = self.centres[active]
        length = np.linalg.norm(y - origin, axis=1)
        direction = (y - origin) / np.maximum(length, 1e-300)[:, None]
        end = np.maximum(np.minimum(self._wall(origin, direction), self._handover(active, direction)), length)
        moved: Values = origin + direction * (end * (length / np.maximum(end, 1e-300)) ** self.exponent)[:, None]
        return moved

    def _wall(self, origin: Values, direction: Values) -> Values:
        """Distance along the ray from the centre to the wall of the cube."""
        with np.errstate(divide="ignore"):
            distances = (np.sign(direction) * self.half_width - origin) / direction
        nearest: Values = np.where(direction == 0, np.inf, distances).min(axis=1)
        return nearest

    def _handover(self, active: NDArray[np.intp], direction: Values) -> Values:
        """Distance along the ray at which another funnel takes over.

        With c = a_m - a_k and delta = b_k - b_m:
        s + delta <= ||s e - c|| if and only if 2 s (delta + <e, c>) <= ||c||^2 - delta^2.
        """
        projected = direction @ self.centres.T
        along = projected - np.take_along_axis(projected, active[:, None], axis=1)
        delta = self.offsets[active][:, None] - self.offsets
        squared_gap = self._squared_gaps()[active]
        slope = 2 * (delta + along)
        with np.errstate(divide="ignore", invalid="ignore"):
            distances = np.where(slope > 0, (squared_gap - delta**2) / slope, np.inf)
        np.put_along_axis(distances, active[:, None], np.inf, axis=1)
        nearest: Values = distances.min(axis=1)
        return nearest

    def _squared_gaps(self) -> Values:
        if self._gaps is None:
            raise OptionError("more than 512 funnels are not supported")
        squared: Values = self._gaps**2
        return squared

    def w1(self, pairs: int = W1_PAIRS) -> tuple[float, float]:
        """W1 and its standard error, estimated from `pairs` coupled pairs drawn from a separate random stream."""
        generator = np.random.default_rng([self.seed, self.dim, self.funnels, 7])
        total, squares, done = 0.0, 0.0, 0
        while done < pairs:
            n = min(1 << 16, pairs - done)
            x, y = self.couple(n, generator)
            cost = np.linalg.norm(x - y, axis=1)
            total, squares, done = total + cost.sum(), squares + (cost**2).sum(), done + n
        mean = total / done
        return float(mean), float(np.sqrt(max(0.0, squares / done - mean**2) / done))

    def truth(self, pairs: int = W1_PAIRS) -> KnownTruth:
        """This pair of distributions as a KnownTruth, whose draws are not coupled."""

        def draw_source(n: int, generator: np.random.Generator) -> Rows:
            return self.couple(n, generator)[0].astype(np.float32)

        def draw_target(n: int, generator: np.random.Generator) -> Rows:
            return generator.uniform(-self.half_width, self.half_width, (n, self.dim)).astype(np.float32)

        name = f"funnels d={self.dim} N={self.funnels}"
        return KnownTruth(name, self.dim, self.w1(pairs)[0], draw_source, draw_target, self.potential)


def _blocks(rows: Values, funnels: int) -> list[Values]:
    """The rows in blocks small enough that each table of distances stays near 32 MB."""
    size = max(1, (1 << 22) // max(funnels, rows.shape[1]))
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@lru_cache(maxsize=64)
def _funnel_truth(dim: int, funnels: int, seed: int) -> KnownTruth:
    return Funnels(dim, funnels, seed).truth()


def funnel_pair(dim: int, funnels: int, n: int, seed: int) -> tuple[Rows, Rows, float]:
    """n uncoupled rows from each side of a funnel pair, float32 (n, dim), and its population W1 (from 2^20 pairs)."""
    return _funnel_truth(dim, funnels, seed).pair(n, seed)


def _normal(dim: int) -> Draw:
    def draw(n: int, generator: np.random.Generator) -> Rows:
        return generator.standard_normal((n, dim), dtype=np.float32)

    return draw


def translation_truth(dim: int, shift: float) -> KnownTruth:
    """N(0, I) against itself shifted by `shift` along the diagonal: W1 = shift, attained by the projection onto it."""
    axis = np.full(dim, dim**-0.5)

    def draw_target(n: int, generator: np.random.Generator) -> Rows:
        return (generator.standard_normal((n, dim)) + shift * axis).astype(np.float32)

    return KnownTruth(f"translation d={dim}", dim, shift, _normal(dim), draw_target, lambda rows: rows @ axis)


def scaling_truth(dim: int, factor: float) -> KnownTruth:
    """N(0, I) against itself stretched by `factor` >= 1 along the first axis: W1 = (factor - 1) sqrt(2 / pi).

    The one-dimensional quantile coupling gives the value; |x_1| attains it.
    """
    if factor < 1:
        raise OptionError(f"factor {factor} is below 1; swap the sides")

    def draw_target(n: int, generator: np.random.Generator) -> Rows:
        rows = generator.standard_normal((n, dim))
        rows[:, 0] *= factor
        return rows.astype(np.float32)

    w1 = (factor - 1) * float(np.sqrt(2 / np.pi))
    return KnownTruth(
        f"scaling d={dim}", dim, w1, _normal(dim), draw_target, lambda rows: np.abs(rows[:, 0].astype(np.float64))
    )


def spheres_truth(dim: int, inner: float, outer: float) -> KnownTruth:
    """Uniform on two concentric spheres: W1 = outer - inner, attained by the norm."""
    if not 0 <= inner <= outer:
        raise OptionError(f"radii {inner} and {outer} must be in ascending order")

    def on_sphere(radius: float) -> Draw:
        def draw(n: int, generator: np.random.Generator) -> Rows:
            rows = generator.standard_normal((n, dim))
            rows *= radius / np.linalg.norm(rows, axis=1, keepdims=True)
            return rows.astype(np.float32)

        return draw

    return KnownTruth(
        f"spheres d={dim}",
        dim,
        outer - inner,
        on_sphere(inner),
        on_sphere(outer),
        lambda rows: np.linalg.norm(rows.astype(np.float64), axis=1),
    )


def identical_truth(dim: int) -> KnownTruth:
    """N(0, I) against itself: W1 = 0. Any critic attains it; this one is the first coordinate."""
    return KnownTruth(
        f"identical d={dim}", dim, 0.0, _normal(dim), _normal(dim), lambda rows: rows[:, 0].astype(np.float64)
    )


def heavy_tail_truth(dim: int, shift: float, degrees: float = 2.5) -> KnownTruth:
    """Independent Student t coordinates, shifted by `shift` along the first axis: W1 = shift, attained by x_1."""

    def draw_source(n: int, generator: np.random.Generator) -> Rows:
        return generator.standard_t(degrees, (n, dim)).astype(np.float32)

    def draw_target(n: int, generator: np.random.Generator) -> Rows:
        rows = generator.standard_t(degrees, (n, dim))
        rows[:, 0] += shift
        return rows.astype(np.float32)

    return KnownTruth(
        f"heavy tails d={dim}", dim, shift, draw_source, draw_target, lambda rows: rows[:, 0].astype(np.float64)
    )
