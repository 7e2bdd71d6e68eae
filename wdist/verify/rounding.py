"""What float64 arithmetic may cost: the standard model, and Euclidean norms that allow for underflow."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

EPSILON = float(np.finfo(np.float64).eps)
U = EPSILON / 2  # the relative error of one operation, at most
UNDERFLOW = 1e-150  # squares of smaller numbers are lost
NORM_ROUNDING = 1.01  # of the norms that errors are computed from, and of the bound itself


def row_norms(x: Values) -> Values:
    """Euclidean norms of rows, (n, ...) -> (n,), and what underflow may have taken from them."""
    flat = x.reshape(len(x), -1)
    norms: Values = np.sqrt(np.einsum("ij,ij->i", flat, flat)) + UNDERFLOW
    return norms


def norm_of(weights: Values | None) -> float:
    """Euclidean (Frobenius) norm, and what underflow may have taken from it; 0 for None."""
    return 0.0 if weights is None else float(np.linalg.norm(weights)) + UNDERFLOW
