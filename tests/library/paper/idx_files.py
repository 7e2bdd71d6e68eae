"""Files in the format of MNIST."""

import gzip

import numpy as np


def idx(array: np.ndarray) -> bytes:
    """A compressed idx file of unsigned bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(extent.to_bytes(4, "big") for extent in array.shape)
    return gzip.compress(header + array.tobytes())
