"""Rows that belong together: the result is then about drawing a group, then a row from it."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wdist.data.labels import OWN, Codes, codes_of, matched
from wdist.data.seeded import SeededScores
from wdist.errors import OptionError

Values = NDArray[np.float64]


def checked_labels(given: Any, name: str, n: int, *, may_be_codes: bool = True) -> Codes:
    """Codes (n,) of the group labels of the n rows of the set `name`; `wdist.data.labels` says which are equal.

    may_be_codes: whether int64 numbers from 2^62 on may be codes already. Raises OptionError if the shape is wrong, a
    label is missing (None, NaN, NaT, NA, masked), or is neither a number nor text nor a time.
    """
    labels = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
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
    try:
        return codes_of(labels, may_be_codes=may_be_codes)
    except OptionError as error:
        raise OptionError(f"groups: {name}: {error}") from error


def comparable(source: Codes, target: Codes) -> tuple[Codes, Codes]:
    """The codes of both sets, equal where the labels are.

    Raises OptionError if one set has only whole numbers and the other only text, so that no group could be in both.
    """
    is_own = [(np.abs(codes) < OWN) for codes in (source, target)]
    if any(mine.all() and not theirs.any() for mine, theirs in (is_own, is_own[::-1])):
        raise OptionError(
            "groups: labels are text (or fractions, or of 19 digits) in one set and whole numbers in the other; "
            "give both sets labels of one type"
        )
    return matched(source, target)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # pandas.NA has no truth value
        return True


def group_means(scores: ArrayLike, groups: ArrayLike) -> tuple[Values, Codes]:
    """Mean score and label of each group, in the order in which the groups first appear.

    scores (n,); groups (n,) whole numbers. Bounds need `seeded_group_means`.
    """
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(groups)
    names, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    means = np.bincount(inverse, weights=values, minlength=len(names)) / np.bincount(inverse, minlength=len(names))
    order = np.argsort(first, kind="stable")
    return means[order], names[order].astype(np.int64)


def seeded_group_means(
    scores: tuple[SeededScores, SeededScores], groups: tuple[Codes, Codes], seed: int
) -> tuple[SeededScores, SeededScores]:
    """Mean score of each test group of both sets, in an order for bounds.

    scores: of the test rows of both sets. groups: the code of each of these rows. seed: the one that split them.

    `wdist.data.splits.split_groups` permutes the groups of one set only and the groups of both, and lets them take
    turns. If a set has both kinds, their turns depend on the kind, and the scores may depend on it, too: customers who
    came back may differ from the others. Such a set's groups are therefore permuted once more.
    """
    means, names = zip(*(group_means(s.values, codes) for s, codes in zip(scores, groups, strict=True)), strict=True)
    ordered = []
    for side in (0, 1):
        order, is_shared = names[side], np.isin(names[side], names[1 - side])
        if is_shared.any() and not is_shared.all():
            order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 8, side]))).permutation(order)
        ordered.append(SeededScores.of(means[side], names[side], order))
    return ordered[0], ordered[1]
