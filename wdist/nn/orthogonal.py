"""Tensor functions for matrices with orthonormal rows or columns, and for block convolutions.

Every function takes (..., m, n) tensors and works on the smaller side: a wide matrix (m <= n) has orthonormal rows, a
tall one orthonormal columns. Working in "Gram space" means iterating on the p x p matrix W W^T, p = min(m, n), at a
cost of p^3 instead of p^2 max(m, n).
"""

import torch
from torch import Tensor


def wide(matrix: Tensor) -> Tensor:
    """The matrix, or a transposed view of it if it has more rows than columns."""
    return matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT


def symmetric(matrix: Tensor) -> Tensor:
    """The symmetric part (A + A^T) / 2."""
    total: Tensor = torch.add(matrix, matrix.mT)
    return total.mul(0.5)


def gram(matrix: Tensor) -> Tensor:
    """W W^T of the wide form, (..., p, p)."""
    W = wide(matrix)
    product: Tensor = W @ W.mT
    return product


def orthogonality_error(matrix: Tensor) -> Tensor:
    """||W W^T - I||_F of the wide form, (...): an upper bound of max |sigma^2 - 1|."""
    G = gram(matrix)
    error: Tensor = torch.linalg.matrix_norm(G - torch.eye(G.shape[-1], dtype=G.dtype, device=G.device))
    return error


def tangent(matrix: Tensor, direction: Tensor) -> Tensor:
    """Projects `direction` onto the tangent space of the Stiefel manifold at `matrix`: G - sym(G W^T) W.

    Both are (..., m, n). Source: Absil, Mahony, Sepulchre, "Optimization Algorithms on Matrix Manifolds", eq. 3.35.
    """
    W, G = wide(matrix), wide(direction) if direction.shape[-2] <= direction.shape[-1] else direction.mT
    projected = G - symmetric(G @ W.mT) @ W
    return projected if matrix.shape[-2] <= matrix.shape[-1] else projected.mT


def inverse_square_root(A: Tensor, iterations: int) -> Tensor:
    """A^(-1/2) of symmetric (..., p, p) matrices near the identity, by Newton-Schulz iterations.

    Converges quadratically for eigenvalues in (0, 3): e -> 3/4 e^2 for e = |lambda - 1|. All iterates commute with A.
    """
    identity = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
    Q = 1.5 * identity - 0.5 * A
    for _ in range(iterations - 1):
        Q = 1.5 * Q - 0.5 * (Q @ Q) @ (Q @ A)
    return Q


def newton_schulz(matrix: Tensor, iterations: int) -> Tensor:
    """Nearest semi-orthogonal matrix by cubic iterations W (3 I - W^T W) / 2, for singular values in (0, sqrt 3).

    The iterations run in Gram space and multiply W once. Source: Björck and Bowie (1971), first order.
    """
    W = wide(matrix)
    result = inverse_square_root(W @ W.mT, iterations) @ W
    return result if matrix.shape[-2] <= matrix.shape[-1] else result.mT


def bjorck(matrix: Tensor, iterations: int = 20) -> Tensor:
    """Differentiable first-order Björck orthogonalisation of an arbitrary (..., m, n) matrix.

    The matrix is first divided by sqrt(||W||_1 ||W||_inf) >= sigma_max, so the iteration converges from any full-rank
    start. Source: Björck and Bowie (1971); Anil, Lucas, Grosse (2019).
    """
    W = (
        matrix
        / (matrix.abs().sum(-1).amax(-1) * matrix.abs().sum(-2).amax(-1)).sqrt().clamp_min(1e-30)[..., None, None]
    )
    small = W.shape[-2] <= W.shape[-1]
    for _ in range(iterations):
        W = 1.5 * W - 0.5 * ((W @ W.mT) @ W if small else W @ (W.mT @ W))
    return W


def polar(matrix: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrix (the polar factor), computed and returned in float64.

    Uses Newton-Schulz iterations when the matrix is already close, as it usually is after the manifold optimiser, and
    the singular value decomposition otherwise.
    """
    W = matrix.double()
    if bool((orthogonality_error(W) < 0.5).all()):
        W = newton_schulz(W, 7)
        return newton_schulz(W, 1)
    U, _, Vh = torch.linalg.svd(W, full_matrices=False)
    return torch.matmul(U, Vh)


def random_orthogonal(
    *shape: int, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Haar-distributed semi-orthogonal matrices of shape (..., m, n). Source: Mezzadri (2007)."""
    *batch, m, n = shape
    normal = torch.randn(*batch, max(m, n), min(m, n), generator=generator, dtype=torch.float64)
    Q, R = torch.linalg.qr(normal)
    # Without the signs of R's diagonal the distribution depends on LAPACK's convention.
    Q = Q * torch.sign(torch.diagonal(R, dim1=-2, dim2=-1))[..., None, :]
    result: Tensor = Q if m >= n else Q.mT
    return result.to(dtype).contiguous()


def append_projector(kernel: Tensor, R: Tensor) -> Tensor:
    """kernel box [P, I - P] along the last axis, P = R R^T: (..., k, a, n) with taps k first gives (..., k + 1, a, n).

    Computes X P = (X R) R^T by two thin products instead of forming P.
    """
    kept = (kernel @ R) @ R.mT
    padding = (0, 0, 0, 0, 0, 1)
    shifted = (0, 0, 0, 0, 1, 0)
    return torch.nn.functional.pad(kept, padding) + torch.nn.functional.pad(kernel - kept, shifted)
