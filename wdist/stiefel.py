"""One step on the Stiefel manifold, with as few products of full size as possible.

For wide W (p x n, W W^T = I) and momentum M (p x n), both batched:

    S = sym(M W^T)                      normal part of M
    T = M - S W                         tangent projection
    D = Q T,  Q ~ (T T^T)^(-1/2)        direction: all singular values near 1, by quintic Newton-Schulz iterations
    V = W - lr D
    W <- (V V^T)^(-1/2) V               retraction (polar factor)

Every Gram matrix follows from C = M W^T and M M^T: with K = C - S (skew),

    T T^T = M M^T + X + X^T,            X = S (K - S / 2)
    V V^T = I - lr (Q K + (Q K)^T) + lr^2 Q T T^T Q

so that only four products have the size p x p x n (two to form C and M M^T, two to apply the result to W and M); all
others are p x p x p. For square W everything is a rotation: T = K W, D = O W with O the (skew) polar factor of K, and W
<- (I - lr O + lr^2 O^2 / 2) W is orthogonal up to lr^4 / 4.

Drift. The retractions are polynomials of degree 4 in E = V V^T - I (error 0.25 |E|^5) or exact to lr^4 / 4, and the
formulas above use W W^T = I, so that deviations add up instead of being mended: `restore_orthogonality`, every few
steps, squares what has been collected. Measured in float32 over thousands of steps: |W W^T - I|_F < 1e-5.
"""

import torch
from torch import Tensor

# Two quintics x (a + b x^2 + c x^4), each the best approximation of 1 on what the one before it leaves of [0.001, 1]:
# the slope at 0 is 34, values stay in (0, 2). Lifting the small singular values matters more than evenness: on MNIST
# after 300 steps 3.38 against 3.30 for the pair made for [0.03, 1] and 3.40 for three iterations of Muon's quintic.
# Source: Amsel et al., "The Polar Express" (2025).
QUINTICS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
)
# Relative to the largest eigenvalue: keeps rounding from making eigenvalues of a Gram matrix negative, which the
# quintics would blow up (seen as NaN after some hundred steps).
DAMPING = 1e-6


class Workspace:
    """Reusable buffers by name: a fresh megabyte costs more in page faults than the arithmetic done on it."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.Size, torch.dtype, torch.device], Tensor] = {}

    def like(self, name: str, tensor: Tensor) -> Tensor:
        """An uninitialised contiguous buffer with the shape, dtype and device of `tensor`."""
        return self.square(name, tensor, tensor.shape)

    def square(self, name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
        """An uninitialised buffer of `shape` with the dtype and device of `tensor`."""
        key = (name, shape, tensor.dtype, tensor.device)
        if key not in self._buffers:
            self._buffers[key] = torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
        return self._buffers[key]


def stiefel_step(W: Tensor, M: Tensor, lr: float, workspace: Workspace | None = None) -> Tensor:
    """The next point on the manifold from W (b, p, n), p <= n, against the momentum M (b, p, n).

    The result lives in the workspace, where one is given, until its next use.
    """
    space = workspace or Workspace()
    if W.shape[-2] == 1:
        return _sphere_step(W, M, lr)
    return _rotation_step(W, M, lr, space) if W.shape[-2] == W.shape[-1] else _wide_step(W, M, lr, space)


def restore_orthogonality(W: Tensor) -> Tensor:
    """One Newton-Schulz iteration: deviations e of W W^T from I become 3/4 e^2."""
    return torch.baddbmm(W, W @ W.mT, W, beta=1.5, alpha=-0.5)


def _sphere_step(W: Tensor, M: Tensor, lr: float) -> Tensor:
    """Unit rows: W - lr D with the normalised tangent D, normalised."""
    T = M - (M * W).sum(-1, keepdim=True) * W
    V = W - lr * torch.nn.functional.normalize(T, dim=-1, eps=1e-30)
    return torch.nn.functional.normalize(V, dim=-1)


def _rotation_step(W: Tensor, M: Tensor, lr: float, space: Workspace) -> Tensor:
    C = torch.bmm(M, W.mT, out=space.like("C", W))
    O = _odd_polar(torch.sub(C, C.mT, out=space.like("K", W)), space)  # noqa: E741
    # 1/2 + lr^2 / 8 makes the step exactly orthogonal to order lr^6 where sigma(O) = 1.
    E = torch.baddbmm(O, O, O, beta=-lr, alpha=lr * lr * (0.5 + lr * lr / 8), out=space.like("C", W))
    return torch.baddbmm(W, E, W, out=space.like("K2", W))


def _odd_polar(K: Tensor, space: Workspace) -> Tensor:
    """Approximate polar factor of skew K (b, p, p), itself skew; K is overwritten."""
    G = torch.bmm(K, K.mT, out=space.like("G", K))
    G2 = torch.bmm(G, G, out=space.like("G2", K))
    # (sum of sigma^8)^(1/4) >= sigma_max^2, and much closer to it than the trace.
    inverse = torch.linalg.matrix_norm(G2, keepdim=True).sqrt_().clamp_min_(1e-30).reciprocal_()
    (a, b, c), (d, e, f) = QUINTICS
    G.mul_(b * inverse).addcmul_(G2, c * inverse.square())
    K.mul_(inverse.sqrt())
    K = torch.baddbmm(K, G, K, beta=a, out=space.like("K1", K))
    torch.bmm(K, K.mT, out=G)
    torch.bmm(G, G, out=G2)
    G.mul_(e).add_(G2, alpha=f)
    return torch.baddbmm(K, G, K, beta=d, out=G2)


def _wide_step(W: Tensor, M: Tensor, lr: float, space: Workspace) -> Tensor:
    shape = torch.Size((*W.shape[:-1], W.shape[-2]))
    C = torch.bmm(M, W.mT, out=space.square("C", W, shape))
    MM = torch.bmm(M, M.mT, out=space.square("MM", W, shape))
    S = torch.add(C, C.mT, out=space.square("S", W, shape)).mul_(0.5)
    K = C.sub_(S)
    X = torch.bmm(S, torch.sub(K, S, alpha=0.5, out=space.square("q", W, shape)), out=space.square("X", W, shape))
    floor = MM.diagonal(dim1=-2, dim2=-1).mean(-1)
    A = MM.add_(X).add_(X.mT)
    Q, QAQ = _inverse_root(A, floor, space)
    QK = torch.bmm(Q, K, out=X)
    E = torch.add(QK, QK.mT, out=space.square("E", W, shape)).mul_(-lr).add_(QAQ, alpha=lr * lr)
    E2 = torch.bmm(E, E, out=QAQ)
    # Z - I = (I + E)^(-1/2) - I up to E^4: -E/2 + 3/8 E2 + E2 (-5/16 E + 35/128 E2)
    Z = torch.mul(E, -0.5, out=X).add_(E2, alpha=0.375)
    Z.baddbmm_(E2, E.mul_(-0.3125).add_(E2, alpha=35 / 128))
    F = torch.baddbmm(Q, Z, Q, out=E).mul_(lr)
    V = torch.baddbmm(W, Z.baddbmm_(F, S), W, out=space.like("V", W))
    return V.baddbmm_(F, M, alpha=-1)


def _inverse_root(A: Tensor, floor: Tensor, space: Workspace) -> tuple[Tensor, Tensor]:
    """Q ~ A^(-1/2) and Q A Q ~ I for positive semi-definite A (b, p, p); A is overwritten.

    floor (b,): the mean eigenvalue of the matrix relative to which A was rounded.
    """
    A2 = torch.bmm(A, A, out=space.like("A2", A))
    inverse = torch.linalg.matrix_norm(A2).sqrt_().add_(floor, alpha=1e-6).add_(1e-30).reciprocal_()
    (a, b, c), (d, e, f) = QUINTICS
    # A' = (A / scale + delta I) / (1 + delta), and its square from that of A. The quintics blow up outside [0, 1]:
    # delta keeps rounding from making eigenvalues negative, the division keeps them below 1 where the tangent part of
    # M is lost in rounding and delta is near 1 (a critic at its optimum went to NaN without it; its steps vanish now).
    delta = DAMPING * (1 + floor * inverse)
    inverse = inverse / (1 + delta)
    share = (delta / (1 + delta))[:, None]
    scale = inverse[:, None, None]
    A.mul_(scale)
    q = A2.mul_(scale.square()).add_(A * (2 * share[..., None]))
    q.diagonal(dim1=-2, dim2=-1).add_(share.square())
    A.diagonal(dim1=-2, dim2=-1).add_(share)
    q = q.mul_(c).add_(A, alpha=b)
    q.diagonal(dim1=-2, dim2=-1).add_(a)
    qA = torch.bmm(q, A, out=space.like("qA", A))
    A = torch.bmm(qA, q, out=A)
    r = torch.bmm(A, A, out=qA).mul_(f).add_(A, alpha=e)
    r.diagonal(dim1=-2, dim2=-1).add_(d)
    Q = torch.bmm(r, q, out=space.like("Q", A))
    rA = torch.bmm(r, A, out=q)
    return Q.mul_(scale.sqrt()), torch.bmm(rA, r, out=A)
