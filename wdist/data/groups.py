"""Rows that belong together: the statement is then about drawing a group, and a row of it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.errors import OptionError

Values = NDArray[np.float64]
Codes = NDArray[np.int64]

GROUP_PERMUTATIONS = 9_999


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


def group_permutation_p_value(
    means_x: Values,
    groups_x: Codes,
    means_y: Values,
    groups_y: Codes,
    seed: int,
    permutations: int = GROUP_PERMUTATIONS,
) -> float:
    """P-value of P = Q against mean f(Y) > mean f(X) over whole groups: (k + 1) / (B + 1).

    means_*: (groups,) mean scores; groups_*: their labels, comparable between the sides. Labels of groups on one side
    only are permuted among such groups; a group on both sides has its two means swapped with probability 1/2.
    """
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 2])))
    _, at_x, at_y = np.intersect1d(groups_x, groups_y, return_indices=True)
    only_x, only_y = np.delete(means_x, at_x), np.delete(means_y, at_y)
    n, m = len(means_x), len(means_y)
    pooled = np.concatenate([only_x, only_y])
    total = float(pooled.sum())
    # mean over Y less mean over X of a labelling, from the sum over Y of the groups on one side only (s) and the
    # halved swings of the groups on both (each contributes +-)
    swing = (means_y[at_y] - means_x[at_x]) * (1 / n + 1 / m) / 2
    centre = float((means_y[at_y] + means_x[at_x]).sum()) * (1 / m - 1 / n) / 2

    def statistic(sum_y: Values, swings: Values) -> Values:
        out: Values = sum_y / m - (total - sum_y) / n + centre + swings
        return out

    observed = float(statistic(np.array([only_y.sum()]), np.array([swing.sum()]))[0])
    observed -= 1e-12 * (np.abs(pooled).sum() * (1 / n + 1 / m) + np.abs(swing).sum() + abs(centre))
    reached, done = 0, 0
    batch = max(1, (1 << 21) // (n + m))
    while done < permutations:
        size = min(batch, permutations - done)
        shuffled = generator.permuted(np.broadcast_to(pooled, (size, len(pooled))), axis=1)
        flips = generator.integers(0, 2, (size, len(swing))) * 2.0 - 1.0
        reached += int((statistic(shuffled[:, len(only_x) :].sum(axis=1), flips @ swing) >= observed).sum())
        done += size
    return (reached + 1) / (permutations + 1)
