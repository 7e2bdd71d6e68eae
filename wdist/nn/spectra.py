"""Singular values of convolutions, exactly, and bounds of norms that include the rounding of their own computation.

A convolution on a torus is block diagonal in the Fourier basis: its singular values are those of the (out, in) transfer
matrices A(w) = sum_t K_t exp(-i <w, t>), one for each frequency w of the grid (Sedghi, Gupta, Long, 2019).
"""

import math

import torch
from torch import Tensor

EPSILON = torch.finfo(torch.float64).eps
Grid = tuple[int, ...]


def transfer_matrices(kernel: Tensor, grid: Grid, *, half: bool = True) -> Tensor:
    """A(w) at the frequencies of a torus: kernel (out, in, *k) -> (frequencies, out, in), complex.

    half: leave out the frequencies whose matrix is the complex conjugate of another's.
    """
    axes = tuple(range(2, kernel.dim()))
    transform = torch.fft.rfftn if half else torch.fft.fftn
    transfer: Tensor = transform(_wrap(kernel, grid), s=grid, dim=axes)
    return torch.permute(transfer.flatten(2), (2, 0, 1))


def _wrap(kernel: Tensor, grid: Grid) -> Tensor:
    """Adds up taps that coincide on the torus."""
    for axis, size in enumerate(grid, 2):
        if kernel.shape[axis] > size:
            index = torch.arange(kernel.shape[axis], device=kernel.device) % size
            shape = (*kernel.shape[:axis], size, *kernel.shape[axis + 1 :])
            kernel = kernel.new_zeros(shape).index_add(axis, index, kernel)
    return kernel


def convolution_singular_values(kernel: Tensor, grid: Grid) -> Tensor:
    """All min(out, in) * prod(grid) singular values of the circular convolution, descending, float64."""
    A = transfer_matrices(kernel.detach().to("cpu", torch.float64), grid, half=False)
    values: Tensor = torch.linalg.svdvals(A).flatten()
    return values.sort(descending=True).values


def matrix_norm_bound(matrix: Tensor) -> float:
    """Upper bound of the spectral norm of (m, n): float64 svdvals inflated by LAPACK's backward error.

    NaN for a matrix that is not finite. Computed singular values are exact for W + E with ||E||_2 <= p(m, n) eps
    ||W||_2, p a modest polynomial (LAPACK Users' Guide, section 4.9); p = 10 (m + n) is taken.
    """
    W = matrix.detach().to("cpu", torch.float64)
    if not bool(W.isfinite().all()):
        return math.nan
    return float(torch.linalg.svdvals(W).max()) * (1 + 10 * sum(W.shape) * EPSILON)


def convolution_norm_bound(kernel: Tensor, grid: Grid) -> float:
    """Upper bound of the norm of a circular convolution (out, in, *k) on `grid`; NaN where the kernel is not finite.

    Per frequency the cheap bound sigma^2 <= 1 + ||A A^* - I||_F on the smaller side comes first; where the largest is
    not within 1e-6 of 1, exact singular values.
    """
    K = kernel.detach().to("cpu", torch.float64)
    if not bool(K.isfinite().all()):
        return math.nan
    A = transfer_matrices(K, grid)
    A = A.mT if A.shape[1] > A.shape[2] else A
    p, n = A.shape[1:]
    # ||.||_2 <= ||.||_F of the matrix of absolute sums over taps bounds every A(w); FFTs round by less than 8
    # log2(grid) eps of it (Higham, "Accuracy and Stability", theorem 24.2), products by n eps.
    size = float(K.abs().flatten(2).sum(2).square().sum())
    rounding = EPSILON * (16 + 8 * math.log2(math.prod(grid))) * math.sqrt(size)
    deviation = A @ A.mH - torch.eye(p, dtype=A.dtype)
    frobenius = float(torch.linalg.matrix_norm(deviation).max()) + (n + 8) * EPSILON * size
    if frobenius <= 2e-6:
        return math.sqrt(1 + frobenius) + rounding
    return float(torch.linalg.svdvals(A).max()) * (1 + 10 * (p + n) * EPSILON) + rounding


def zero_padded_norm_bound(kernel: Tensor, grid: Grid) -> float:
    """Upper bound of the norm of a zero-padded convolution on `grid`.

    It is a compression of the circular convolution on any torus of at least n + k - 1 points an axis (on the layer's
    own grid the wrapped ends would be wrong).
    """
    return convolution_norm_bound(kernel, tuple(n + k - 1 for n, k in zip(grid, kernel.shape[2:], strict=True)))


def any_grid(kernel_size: tuple[int, ...], oversampling: int = 8) -> tuple[Grid, float]:
    """A grid, and the factor by which the norm on *any* grid can exceed the norm on this one.

    sigma^2 = sup_v v^* A^* A v is a trigonometric polynomial of degree d = k - 1 an axis, so that between N points it
    grows by at most 1 / cos(pi d / N) (Ehlich and Zeller, 1964): N = 2 * oversampling * d.
    """
    grid = tuple(max(1, 2 * oversampling * (k - 1)) for k in kernel_size)
    axes = sum(k > 1 for k in kernel_size)
    return grid, math.cos(math.pi / (2 * oversampling)) ** (-axes / 2)


def largest_singular_value(kernel: Tensor, grid: Grid) -> Tensor:
    """The norm of the circular convolution (out, in, *k) on `grid`, a differentiable float64 scalar.

    The frequency w and the vectors u, v of the maximum are found without a graph; sigma = Re u^* A(w) v keeps the
    graph, and its gradient is that of sigma_max.
    """
    K = kernel.double()
    with torch.no_grad():
        A = transfer_matrices(K, grid)
        narrow = A if A.shape[1] <= A.shape[2] else A.mH
        # Eigenvalues of the Gram matrices: a third of the time of singular values, and only the place is wanted.
        worst = int(torch.linalg.eigvalsh(narrow @ narrow.mH)[:, -1].argmax())
        U, _, Vh = torch.linalg.svd(A[worst], full_matrices=False)
        index = torch.unravel_index(torch.tensor(worst), (*grid[:-1], grid[-1] // 2 + 1))
        phase = torch.zeros(K.shape[2:], dtype=torch.float64, device=K.device)
        for axis, (position, size) in enumerate(zip(index, grid, strict=True)):
            taps = torch.arange(K.shape[2 + axis], dtype=torch.float64, device=K.device)
            angle = -2 * math.pi * float(position) / size * taps
            phase = phase + angle.reshape(-1, *(1,) * (K.dim() - 3 - axis))
        dual = (U[:, 0].conj()[:, None] * Vh[0].conj())[(...,) + (None,) * phase.dim()] * torch.polar(
            torch.ones_like(phase), phase
        )
        weights = dual.real
    sigma: Tensor = (K * weights).sum()
    return sigma
