"""Rows that belong together: the result is then about drawing a group, then a row from it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import OptionError

Values = NDArray[np.float64]
Codes = NDArray[np.int64]


def checked_labels(given: Any, name: str, n: int) -> NDArray[Any]:
    """The group labels of the n rows of the set `name` as an array (n,) of numbers, times or text.

    Raises OptionError if the shape is wrong, a label is missing (None, NaN, NaT, NA, masked), or numbers and text are
    mixed.
    """
    labels = np.asarray(given)
    if labels.shape != (n,):
        raise OptionError(f"groups: {name} has {n} rows, but labels of shape {labels.shape}")
    missing = np.ma.getmaskarray(given).copy() if isinstance(given, np.ma.MaskedArray) else np.zeros(n, dtype=bool)
    if labels.dtype == object:
        missing |= np.fromiter((_is_missing(label) for label in labels), dtype=bool, count=n)
    elif labels.dtype.kind in "fcmM":
        missing |= labels != labels  # true only for NaN and NaT
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
    except TypeError:  # pandas.NA has no truth value
        return True


def group_means(scores: ArrayLike, groups: ArrayLike) -> tuple[Values, Codes]:
    """Mean score and label of each group, in the order in which the groups first appear.

    scores (n,); groups (n,) whole numbers. The order of first appearance follows the seeded permutation of the groups
    (`wdist.data.splits.split_groups`), which is the order that betting bounds need.
    """
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(groups)
    names, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    means = np.bincount(inverse, weights=values, minlength=len(names)) / np.bincount(inverse, minlength=len(names))
    order = np.argsort(first, kind="stable")
    return means[order], names[order].astype(np.int64)
