"""One step on the Stiefel manifold, with as few products of full size as possible.

For wide W (p x n, W W^T = I) and momentum M (p x n), both batched:

    S = sym(M W^T)                      normal part of M
    T = M - S W                         tangent projection
    D = Q T,  Q ~ (T T^T)^(-1/2)        direction: all singular values near 1, by quintic Newton-Schulz iterations
    V = W - lr D
    W <- (V V^T)^(-1/2) V               retraction (polar factor)

Very wide W: every Gram matrix follows from N = W W^T, C = M W^T and M M^T,

    T T^T = M M^T - P - P^T,  P = (C - S N / 2) S
    V V^T = N - lr (Q Y + (Q Y)^T) + lr^2 Q T T^T Q,  Y = T W^T = C - S N

so only five products have the size p x p x n, and all others p x p x p. Half of a symmetric product is computed, where
that saves time. For square W everything is a rotation:
T = K W, D = O W with O the (skew) polar factor of K = skew(M W^T), and W <- (I - lr O + lr^2 (1/2 + lr^2 / 8) O^2) W.

Drift. Directions have singular values s <= 1.71, so those of V = W - lr D are within lr s of those of W. The retraction
of a wide W is a series up to E^4 in E = V V^T - I, and it repairs any deviation that W came with. (Assuming W W^T = I
instead is unstable when the gradient is mostly normal: rounding grew to 1e25 in ten steps.) For any gradients, singular
values of W stay in [.993, 1.02] at lr = .15 and in [.9991, 1.0016] at .1. From .17 on the worst case diverges, hence
LARGEST_RATE. (Measured, the worst of seven kinds of gradients: 7e-4 from 1 at .15, 7e-5 at .1.) A rotation multiplies
sigma^2 by 1 + lr^4 (s^4 - s^2) / 4 + O(lr^6), at most 1 + 1.4 lr^4, and does not repair deviations. Every few steps,
`restore_orthogonality` squares the accumulated deviation.

Range. The direction does not depend on the size of M between norms of 1e-15 and 1e19 (float32). A larger finite M, or
one much smaller than that, gives no step; W stays on the manifold.
"""

import math

import torch
from torch import Tensor

from wdist.device import multiplies_bfloat16, multiplies_by_blocks

# Three quintics x (a + b x^2 + c x^4), each the minimax approximation of 1 on the interval to which the previous ones
# map [0.003, 1]. The values end in [0.35, 1.65], and the slope at 0 is 119. Raising the small singular values matters
# more than making all of them equal. Held-out value on MNIST (256 x 5, 400 steps, one seed): 3.515; quintics made for
# [0.001, 1] reach 3.507, for [0.03, 1] 3.477; two quintics 3.46, the exact polar factor 3.524. Method: Amsel et al.,
# "The Polar Express" (2025).
QUINTICS = (
    (8.383675958909649, -24.765922694648456, 18.357096377679770),
    (4.043420433202118, -3.011405063442735, 0.5695121700880815),
    (3.505571051305385, -2.626655008370853, 0.5257197017855502),
)
# The first two have slopes of 20 and 12 at the ends of their intervals. Values that bfloat16 rounding moves beyond the
# end would blow up, so singular values are kept this far below it.
LOW_PRECISION_MARGIN = 1.05
LOW_PRECISION_FROM = 192  # rows; smaller products are not faster in bfloat16 (measured: 128 even, 256 twice as fast)
# Rows from which half of a symmetric product is left out, and those of a block. Milliseconds of two cores with and
# without: 256 rows of 256 .19 and .21, 512 of 512 1.2 and 1.4, 512 of 4,096 8.4 and 11.4; 128 rows take longer so.
BLOCKS_FROM, BLOCK_ROWS = 256, 128
# Columns for each row from which Gram matrices are worth their small products. For 128 rows the other step takes 10 %
# less of 512 columns, 4 % less of 784 and as long of 1,024; for 512 rows 3 % more of 4,096.
VERY_WIDE = 8
TINY = 1e-15  # its square is still a float32; gradients that are smaller count as zero
HUGE = 1e38  # the norm of a gradient that overflows float32
LARGEST_RATE = 0.15  # see Drift above; measured with random gradients, wide shapes are 2 to 20 % off at .3, NaN at .4


def _noise(tensor: Tensor) -> float:
    """The relative size below which parts of a Gram matrix are rounding, not a direction: 4e-6 in float32.

    If they were amplified like a direction, the step would end far from the manifold. This was seen with gradients
    normal to it.
    """
    return 32 * torch.finfo(tensor.dtype).eps


class Workspace:
    """Reusable buffers by name: the page faults of a fresh megabyte cost more than the arithmetic done on it."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, torch.Size, torch.dtype, torch.device], Tensor] = {}

    def like(self, name: str, tensor: Tensor) -> Tensor:
        """An uninitialised contiguous buffer with the shape, dtype and device of `tensor`."""
        return self.shaped(name, tensor, tensor.shape)

    def shaped(self, name: str, tensor: Tensor, shape: torch.Size, dtype: torch.dtype | None = None) -> Tensor:
        """An uninitialised buffer of `shape` on the device of `tensor`, with its dtype unless another is given."""
        key = (name, shape, dtype or tensor.dtype, tensor.device)
        if key not in self._buffers:
            self._buffers[key] = torch.empty(shape, dtype=key[2], device=tensor.device)
        return self._buffers[key]

    def cast(self, name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        """`tensor` itself if it has the dtype, otherwise a converted copy in a buffer."""
        return tensor if tensor.dtype == dtype else self.shaped(name, tensor, tensor.shape, dtype).copy_(tensor)


def stiefel_step(
    W: Tensor, M: Tensor, lr: float, workspace: Workspace | None = None, direction_dtype: torch.dtype | None = None
) -> Tensor:
    """The next point on the manifold from W (b, p, n), p <= n, along the negative momentum M (b, p, n).

    Directions are orthogonalised in `direction_dtype`; by default `direction_precision` chooses it. With bfloat16 their
    singular values are a little less even. Retractions always use the dtype of W. If a workspace is given, it holds
    the result until its next use.
    """
    space = workspace or Workspace()
    if W.shape[-2] == 1:
        return _sphere_step(W, M, lr)
    dtype = direction_dtype or direction_precision(W)
    if W.shape[-2] == W.shape[-1]:
        return _rotation_step(W, M, lr, space, dtype)
    if W.shape[-1] >= VERY_WIDE * W.shape[-2] and not _is_small(W):
        return _very_wide_step(W, M, lr, space)
    return _wide_step(W, M, lr, space, dtype)


def _is_small(W: Tensor) -> bool:
    """Whether a product of full size costs less than the Python calls that it saves (about 10 us, measured)."""
    return W.shape[-2] ** 2 * W.shape[-1] <= 2**19


def direction_precision(W: Tensor) -> torch.dtype:
    """bfloat16 for large enough float32 matrices on devices that multiply it fast; otherwise the dtype of W."""
    is_worth_it = W.dtype == torch.float32 and min(W.shape[-2:]) >= LOW_PRECISION_FROM
    return torch.bfloat16 if is_worth_it and multiplies_bfloat16(W.device) else W.dtype


def restore_orthogonality(W: Tensor) -> Tensor:
    """One Newton-Schulz iteration: deviations e of W W^T from I become 3/4 e^2."""
    return torch.baddbmm(W, W @ W.mT, W, beta=1.5, alpha=-0.5)


def _sphere_step(W: Tensor, M: Tensor, lr: float) -> Tensor:
    """Unit rows: W - lr D with the normalised tangent D, normalised."""
    T = M - (M * W).sum(-1, keepdim=True) * W
    V = W - lr * torch.nn.functional.normalize(T, dim=-1, eps=TINY)
    return torch.nn.functional.normalize(V, dim=-1)


def _rotation_step(W: Tensor, M: Tensor, lr: float, space: Workspace, dtype: torch.dtype) -> Tensor:
    # Buffers are few and reused at once, because the step has to share the cache with the activations.
    C = torch.bmm(M, W.mT, out=space.like("G", W))
    K = torch.sub(C, C.mT, out=space.like("K", W))
    # The second term keeps rounding from becoming a full step when the gradient has no tangent part.
    size = torch.linalg.matrix_norm(K, keepdim=True).add_(torch.linalg.matrix_norm(C, keepdim=True), alpha=_noise(W))
    O = _polar(space.cast("X", K.div_(size.clamp_min_(TINY)), dtype), space)  # noqa: E741
    if dtype != W.dtype:  # in low precision it is not quite skew
        O = torch.sub(O, O.mT, out=K).mul_(0.5)  # noqa: E741
    # 1/2 + lr^2 / 8 makes the step exactly orthogonal to order lr^6 where sigma(O) = 1.
    E = torch.baddbmm(O, O, O, beta=-lr, alpha=lr * lr * (0.5 + lr * lr / 8), out=space.like("G", W))
    return torch.baddbmm(W, E, W, out=space.like("G2", W))


def _polar(X: Tensor, space: Workspace) -> Tensor:
    """Approximate polar factor of X (b, p, n), p <= n, with ||X||_F <= 1, skew if X is; X is overwritten."""
    small = _small(X)
    G = _symmetric(X, X.mT, space.shaped("G", X, small))
    G2 = _symmetric(G, G, space.shaped("G2", X, small))
    # (sum of sigma^8)^(1/4) >= sigma_max^2, and much closer to it than ||X||_F^2.
    size = torch.linalg.matrix_norm(G2, keepdim=True, dtype=torch.promote_types(X.dtype, torch.float32)).sqrt_()
    inverse = size.clamp_min_(TINY).reciprocal_()
    if X.dtype == torch.bfloat16:
        inverse.div_(LOW_PRECISION_MARGIN)
    other = space.like("X1", X)
    for i, (a, b, c) in enumerate(QUINTICS):
        if i == 0:
            G.mul_(b * inverse).addcmul_(G2, c * inverse.square())
            X.mul_(inverse.sqrt())
        else:
            G, G2 = _quadratic(_symmetric(X, X.mT, G), b, c, G2), G
        X, other = torch.baddbmm(X, G, X, beta=a, out=other), X
    return X


def _wide_step(W: Tensor, M: Tensor, lr: float, space: Workspace, dtype: torch.dtype) -> Tensor:
    """The step by six products of full size on the matrices themselves, and more if cheap (small or bfloat16)."""
    small = _small(W)
    C = torch.bmm(M, W.mT, out=space.shaped("C", W, small))
    S = torch.add(C, C.mT, out=space.shaped("S", W, small)).mul_(0.5)
    T = torch.baddbmm(M, S, W, alpha=-1, out=space.like("T", W))
    size = torch.linalg.matrix_norm(T, keepdim=True).clamp_min_(TINY)
    rounding = torch.linalg.matrix_norm(S, keepdim=True).mul_(_noise(W))
    if dtype == W.dtype and not _is_small(W):
        A = _finite(_symmetric(T, T.mT, C).div_(size.square()), size)
        Q = _inverse_root(A, space).mul_(lr / (size + rounding))
        V = torch.baddbmm(W, Q, T, alpha=-1, out=space.like("V", W))
    else:  # not from A: a Gram matrix squares the singular values, and rounding would swamp the small ones
        D = _polar(space.cast("X", T.div_(size), dtype), space)
        share = size.clamp_max(HUGE) / (size + rounding)
        V = torch.addcmul(W, D, share, value=-lr, out=space.like("V", W))
    N = _symmetric(V, V.mT, C)
    return torch.baddbmm(V, _retraction(N, space), V, out=T)


def _very_wide_step(W: Tensor, M: Tensor, lr: float, space: Workspace) -> Tensor:
    """The step by five products of full size: three give Gram matrices, and T and V are never formed."""
    small = _small(W)
    size = torch.linalg.matrix_norm(M, keepdim=True).clamp_min_(TINY)
    unit = size.reciprocal()
    C = torch.bmm(M, W.mT, out=space.shaped("C", W, small)).mul_(unit)
    A = _finite(_symmetric(M, M.mT, space.shaped("A", W, small)).mul_(unit).mul_(unit), size)
    N = _symmetric(W, W.mT, space.shaped("N", W, small))
    S = torch.add(C, C.mT, out=space.shaped("S", W, small)).mul_(0.5)
    X = torch.bmm(S, N, out=space.shaped("X", W, small))
    Y = torch.sub(C, X, out=space.shaped("Y", W, small))  # T W^T
    P = torch.bmm(C.sub_(X, alpha=0.5), S, out=X)
    A.sub_(P).sub_(P.mT)  # T T^T
    Q = _inverse_root(A, space)
    QY = torch.bmm(Q, Y, out=C)
    N.sub_(QY, alpha=lr).sub_(QY.mT, alpha=lr)
    N.add_(_symmetric(_symmetric(Q, A, X), Q, Y), alpha=lr * lr)
    Z = _retraction(N, space)
    F = torch.baddbmm(Q, Z, Q, out=A).mul_(lr)
    V = torch.baddbmm(W, Z.baddbmm_(F, S), W, out=space.like("V", W))
    return V.baddbmm_(F.mul_(unit), M, alpha=-1)


def _has_blocks(out: Tensor) -> bool:
    # bfloat16 is so much faster that the calls would cost more than they save.
    return out.shape[-1] >= BLOCKS_FROM and out.dtype != torch.bfloat16 and multiplies_by_blocks(out.device)


def _symmetric(A: Tensor, B: Tensor, out: Tensor) -> Tensor:
    """A @ B (b, p, p), which is symmetric: if large, blocks of rows up to the diagonal, and the rest mirrored."""
    if not _has_blocks(out):
        return torch.bmm(A, B, out=out)
    rows = out.shape[-1]
    for start in range(0, rows, BLOCK_ROWS):
        end = min(start + BLOCK_ROWS, rows)
        torch.bmm(A[:, start:end], B[..., :end], out=out[:, start:end, :end])
        out[:, :start, start:end].copy_(out[:, start:end, :start].mT)
    return out


def _quadratic(G: Tensor, b: float, c: float, out: Tensor) -> Tensor:
    """b G + c G^2 of a symmetric G (b, p, p)."""
    if _has_blocks(out):
        return _symmetric(G, G, out).mul_(c).add_(G, alpha=b)
    return torch.baddbmm(G, G, G, beta=b, alpha=c, out=out)


def _small(W: Tensor) -> torch.Size:
    return torch.Size((*W.shape[:-1], W.shape[-2]))


def _finite(A: Tensor, size: Tensor) -> Tensor:
    """A (b, p, p), with zeros for matrices that overflowed, whose norm `size` (b, 1, 1) overflowed too."""
    # On a CPU, checking first saves 10 us of 780 at 100 x 120; on a GPU the check would force a synchronisation.
    if size.is_cpu and math.isfinite((size if len(size) == 1 else size.sum()).item()):
        return A
    return A.nan_to_num_(0, 0, 0)


def _retraction(N: Tensor, space: Workspace) -> Tensor:
    """N^(-1/2) - I for N = I + E (b, p, p), by its series up to E^4 (error 0.25 |E|^5); N is overwritten."""
    N.diagonal(dim1=-2, dim2=-1).sub_(1)
    E2 = _symmetric(N, N, space.like("q", N))
    Z = torch.mul(N, -0.5, out=space.like("Z", N)).add_(E2, alpha=0.375)
    return Z.baddbmm_(E2, N.mul_(-0.3125).add_(E2, alpha=35 / 128))


def _inverse_root(A: Tensor, space: Workspace) -> Tensor:
    """Q ~ A^(-1/2) for positive semi-definite A (b, p, p) that carries the rounding of matrices of trace 1."""
    A2 = _symmetric(A, A, space.like("q", A))
    noise = _noise(A)
    inverse = torch.linalg.matrix_norm(A2, keepdim=True).sqrt_().add_(noise).reciprocal_()
    (a, b, c), *others = QUINTICS
    B = torch.mul(A, inverse, out=space.like("B", A))
    # The quintics blow up outside [0, 1]. Damping keeps eigenvalues above 0 that rounding would make negative; without
    # it, NaN appeared after some hundred steps. With `noise` in the scale, eigenvalues stay below 1 + noise even when
    # the tangent part of M is lost in rounding. So it is for a critic at its optimum, whose steps then vanish.
    damping = noise + noise * inverse
    B.diagonal(dim1=-2, dim2=-1).add_(damping[..., 0])
    # q = a + b B + c B^2 for B = A / scale + damping I, without forming B^2
    q = A2.mul_(c * inverse.square()).addcmul_(B, b + 2 * c * damping)
    q.diagonal(dim1=-2, dim2=-1).add_((a - c * damping.square())[..., 0])
    Q = r = q
    for i, (a, b, c) in enumerate(others):
        scratch = space.like(f"r{i}", A)
        _symmetric(_symmetric(r, B, scratch), r, B)  # polynomials in A, which commute
        r = _quadratic(B, b, c, scratch)
        r.diagonal(dim1=-2, dim2=-1).add_(a)
        Q = _symmetric(r, Q, space.like(f"Q{i}", A))
    return Q.mul_(inverse.sqrt())
