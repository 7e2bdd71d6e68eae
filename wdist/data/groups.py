"""Rows that belong together: the statement is then about drawing a group, and a row of it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import OptionError

Values = NDArray[np.float64]
Codes = NDArray[np.int64]


def checked_labels(given: Any, name: str, n: int) -> NDArray[Any]:
    """The labels of the n rows of the set `name` as an array (n,) of numbers, times or text.

    Raises OptionError for another shape, a missing label (None, NaN, NaT, NA, masked), and numbers mixed with text.
    """
    labels = np.asarray(given)
    if labels.shape != (n,):
        raise OptionError(f"groups: {name} has {n} rows, but labels of shape {labels.shape}")
    missing = np.ma.getmaskarray(given).copy() if isinstance(given, np.ma.MaskedArray) else np.zeros(n, dtype=bool)
    if labels.dtype == object:
        missing |= np.fromiter((_is_missing(label) for label in labels), dtype=bool, count=n)
    elif labels.dtype.kind in "fcmM":
        missing |= labels != labels  # NaN and NaT only
    if missing.any():
        raise OptionError(
            f"groups: the label of row {int(missing.argmax())} of {name} is missing ({int(missing.sum()):,} in all): "
            "leave such rows out, or give each a label of its own"
        )
    if labels.dtype == object:
        is_text = {isinstance(label, str) for label in labels}
        labels = np.array(labels.tolist())
        if len(is_text) > 1 or labels.shape != (n,) or labels.dtype == object:
            raise OptionError(f"groups: labels of {name} are of several types; give either numbers or text")
    return labels


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas.NA is neither
        return True


def group_means(scores: ArrayLike, groups: ArrayLike) -> tuple[Values, Codes]:
    """Mean score of each group and the group's label, in the order in which groups first appear.

    scores (n,), groups (n,) whole numbers. The order of first appearance is that of the seeded permutation of groups
    (`wdist.data.splits.split_groups`), as betting bounds need it.
    """
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(groups)
    names, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    means = np.bincount(inverse, weights=values, minlength=len(names)) / np.bincount(inverse, minlength=len(names))
    order = np.argsort(first, kind="stable")
    return means[order], names[order].astype(np.int64)
