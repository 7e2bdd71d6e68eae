"""The connected components of orthogonal convolutions, and how doubling the channels joins them (Li et al., 2019).

A one-dimensional orthogonal convolution of n channels and K taps has a unitary transfer matrix A(w) = sum_t A_t exp(-i
w t) at every w, and det A(w) = s exp(-i r w) with a sign s and an integer r. In W(H, P_1..P_(K-1)), s = det H and r =
sum_i (n - rank P_i): both are continuous and discrete, so that no path of orthogonal convolutions changes them.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from wdist.errors import OptionError
from wdist.nn.orthogonal import append_projector
from wdist.nn.spectra import transfer_matrices


def projector_kernel(H: Tensor, R: Sequence[Tensor]) -> Tensor:
    """W(H, P_1..P_(K-1)) = H box [P_1, I - P_1] box ... in one dimension: (n, n, K), with P_i = R_i R_i^T.

    H (n, n) orthogonal; each R_i (n, k_i) with orthonormal columns, k_i from 0 to n. Source: Li et al. (2019), section
    3.
    """
    X = H[None]
    for each in R:
        X = append_projector(X, each)
    return torch.permute(X, (1, 2, 0))


def invariant(kernel: Tensor) -> tuple[int, int]:
    """(s, r) of an orthogonal kernel (n, n, K): det A(w) = s exp(-i r w). Raises OptionError where it is not
    orthogonal."""
    n, _, taps = kernel.shape
    points = 8 * n * taps  # the phase of det turns by less than pi between two of them
    A = transfer_matrices(kernel.double(), (points,), half=False)
    identity = torch.eye(n, dtype=A.dtype)
    if float((A @ A.mH - identity).abs().max()) > 0.05:
        raise OptionError("the kernel is not orthogonal: no invariant is defined")
    determinant = torch.linalg.det(A)
    turns = torch.angle(determinant.roll(-1) / determinant).sum() / (2 * math.pi)
    return int(determinant[0].real.sign()), -round(float(turns))


def components(channels: int, taps: int) -> int:
    """2 (K - 1) n + 2, Theorem 1: two signs times r = 0 ... (K - 1) n."""
    return 2 * (taps - 1) * channels + 2


def common_kernel(ranks: Sequence[int], channels: int) -> Tensor:
    """The delay kernel in W(I, P) with these ranks that depends on their sum only: (n, n, K), the upper bound of
    Theorem 1.

    All W(H, P) of given ranks and sign form one connected set (Grassmannians and SO(n) are connected). Handing out the
    delays round robin, diagonal projectors of any ranks with the same sum give this same kernel, so that these sets
    touch.
    """
    R, start = [], 0
    identity = torch.eye(channels, dtype=torch.float64)
    for rank in ranks:
        delayed = [(start + i) % channels for i in range(channels - rank)]
        start = (start + channels - rank) % channels
        R.append(identity[:, [i for i in range(channels) if i not in delayed]])
    return projector_kernel(identity, R)


def double_channels(H: Tensor, R: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Theorem 2: (H', R') on 2n channels, every R' of rank n, whose convolution acts on the first n as W(H, P) does.

    H' = diag(H, I) and P' = diag(P, I - P): the second half makes up the rank. Works for one and two dimensions alike.
    """
    n = H.shape[0]
    eye, zero = torch.eye(n, dtype=H.dtype), torch.zeros(n, n, dtype=H.dtype)
    doubled = []
    for each in R:
        full = torch.linalg.qr(torch.cat((each, eye), 1))[0] if each.shape[1] < n else each
        rest = full[:, each.shape[1] : n]
        top = torch.cat((each, each.new_zeros(n, rest.shape[1])), 1)
        bottom = torch.cat((rest.new_zeros(n, each.shape[1]), rest), 1)
        doubled.append(torch.cat((top, bottom)))
    return torch.cat((torch.cat((H, zero), 1), torch.cat((zero, eye), 1))), doubled
