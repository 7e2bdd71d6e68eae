"""Exact singular values of convolutions, and bounds of norms that account for their own rounding.

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

    With `half`, frequencies whose matrix is the complex conjugate of another's are left out.
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
    ||W||_2, where p is a modest polynomial (LAPACK Users' Guide, section 4.9); we take p = 10 (m + n).
    """
    W = matrix.detach().to("cpu", torch.float64)
    if not bool(W.isfinite().all()):
        return math.nan
    return float(torch.linalg.svdvals(W).max()) * (1 + 10 * sum(W.shape) * EPSILON)


def convolution_norm_bound(kernel: Tensor, grid: Grid) -> float:
    """Upper bound of the norm of a circular convolution (out, in, *k) on `grid`; NaN if the kernel is not finite.

    The cheap bound sigma^2 <= 1 + ||A A^* - I||_F on the smaller side is tried first at each frequency. If the largest
    is not within 1e-6 of 1, exact singular values are computed.
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

    It is a compression of the circular convolution on any torus of at least n + k - 1 points per axis. The layer's own
    grid is too small, because its ends would wrap around.
    """
    return convolution_norm_bound(kernel, tuple(n + k - 1 for n, k in zip(grid, kernel.shape[2:], strict=True)))


def any_grid(kernel_size: tuple[int, ...], oversampling: int = 8) -> tuple[Grid, float]:
    """A grid, and the factor by which the norm on *any* grid can exceed the norm on this one.

    sigma^2 = sup_v v^* A^* A v is a supremum of trigonometric polynomials of degree d = k - 1 per axis. Between N
    points each grows by at most 1 / cos(pi d / N) (Ehlich and Zeller, 1964); here N = 2 * oversampling * d.
    """
    grid = tuple(max(1, 2 * oversampling * (k - 1)) for k in kernel_size)
    axes = sum(k > 1 for k in kernel_size)
    return grid, math.cos(math.pi / (2 * oversampling)) ** (-axes / 2)


def largest_singular_value(kernel: Tensor, grid: Grid) -> Tensor:
    """The norm of the circular convolution (out, in, *k) on `grid`, a differentiable float64 scalar.

    The maximising frequency w and vectors u, v are found without building a graph. Only sigma = Re u^* A(w) v builds
    one, and its gradient is that of sigma_max.
    """
    K = kernel.double()
    with torch.no_grad():
        A = transfer_matrices(K, grid)
        narrow = A if A.shape[1] <= A.shape[2] else A.mH
        # Only the place of the maximum matters here, and Gram eigenvalues take a third of the time of singular values.
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
