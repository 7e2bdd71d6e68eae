"""Checks that two sample sets can be compared, and warnings about their columns and duplicate rows."""

import numpy as np
from numpy.typing import NDArray

from wdist.data.columns import check_kinds, check_names
from wdist.data.samples import SampleSet
from wdist.data.scaling import Scaling
from wdist.data.splits import MINIMUM_ROWS, Split
from wdist.data.tables.encoding import agreement_warnings
from wdist.definitions.figures import short
from wdist.errors import OptionError, SampleError

Hashes = NDArray[np.uint64]

SCALE_RATIO = 1_000.0  # largest over smallest deviation; beyond it the widest columns dominate the Euclidean distance
STEP_SHARE = 0.01  # of a column's spread; values stored in, or trained in, coarser steps are told of
FEWEST_IDENTIFIERS = 20  # rows a side; fewer different numbers are no sign of anything
DENSE = 2  # times as many whole numbers as rows, at most, between the least and the greatest identifier
SPREAD_ROWS = 10_000  # rows a side from which a column's spread is computed
TRAINING_ROUNDOFF = 2.0**-24  # of float32, in which critics are trained
SMALLEST_SPREAD = 1e-36  # weights are stored in float32, which ends at 1e-38
BLOCK_WORDS = 1 << 15  # 8-byte words hashed at once, so that the three passes over them stay in a core's cache
DUPLICATE_SHARE = 0.01  # of the test rows; fewer duplicates may be coincidence
SHARED_SHARE = 0.1  # of the target's rows; less overlap is normal: tables of two weeks may share some rows
DISTINCT_SHARE = 0.5  # below this share of distinct rows the values may simply be discrete


def check_pair(source: SampleSet, target: SampleSet, minimum_rows: int = MINIMUM_ROWS) -> list[str]:
    """Check in one streamed pass over each set that the two can be compared, and return warnings as text.

    Raises SampleError for different shapes or column names, uint8 images against another type, fewer than
    `minimum_rows` rows, values that are not finite, differences below 1e-36, or two identical constant sets. The
    message names the set, the row and the column.
    """
    check_kinds(source.array.shape, target.array.shape, source.name, target.name, (source.names, target.names))
    check_names(source.names, target.names, source.name, target.name)
    both = f"{source.name} and {target.name}"
    if source.row_shape != target.row_shape:
        raise SampleError(_shape_message(source, target))
    if source.is_image and (source.dtype == np.uint8) != (target.dtype == np.uint8):
        raise SampleError(
            f"{source.name} is {source.dtype} and {target.name} is {target.dtype}: uint8 images are divided by 255 "
            "and others are not; convert both to the same type and range"
        )
    for samples in (source, target):
        if samples.n < minimum_rows:
            raise SampleError(
                f"{samples.name}: {samples.n} rows are too few; at least {minimum_rows} are needed "
                "to train on some and certify on others"
            )
    p, q = source.statistics, target.statistics
    spread = float((np.maximum(p.maximum, q.maximum) - np.minimum(p.minimum, q.minimum)).max())
    if 0 < spread < SMALLEST_SPREAD:  # the deviation of such values may be 0, as their squares underflow
        raise SampleError(
            f"{both}: values differ by {spread:.3g} at most, too little to compute with: multiply both by "
            "one large number"
        )
    if not (np.any(p.deviation) or np.any(q.deviation)) and np.array_equal(p.mean, q.mean):
        raise SampleError(f"{both}: every row of both sets is the same; there is nothing to compare")
    constant = [
        f"{samples.name}: every row is the same (a point mass)"
        for samples, statistics in ((source, p), (target, q))
        if not np.any(statistics.deviation)
    ]
    return constant + resolution_warnings(source, target) + identifier_warnings(source, target)


def notes_of(*sets: SampleSet) -> list[str]:
    """What was left out when the sets were read."""
    return [f"{samples.name}: {note}" for samples in sets for note in samples.notes]


def reading_warnings(source: SampleSet, target: SampleSet) -> list[str]:
    """What was left out when the sets were read, and what their tables may write differently."""
    notes = notes_of(source, target)
    if source.table is None or target.table is None:
        return notes
    return notes + agreement_warnings(source.table, target.table, source.name, target.name)


def identifier_warnings(*sets: SampleSet) -> list[str]:
    """Warn of columns that name the rows of tables: whole numbers, each once in a set, and close to one another.

    A measurement is not so: of 20 draws among 40 numbers two are equal, with a probability above 0.99. Columns that
    count from 0 or 1 are told of where a set is read.
    """
    first = sets[0]
    if first.is_image or first.names is None or first.dimension < 2:
        return []
    found = [
        name for column, name in _numbers_of(first)
        if all(_is_identifier(each, column) for each in sets)
        and not any(f"column {name!r} holds" in note for each in sets for note in each.notes)
    ]  # fmt: skip
    if not found:
        return []
    shown = ", ".join(repr(name[:100]) for name in found[:5]) + (", ..." if len(found) > 5 else "")
    holds, names = ("holds", "it names") if len(found) == 1 else ("hold", "they name")
    return [
        f"column{'' if len(found) == 1 else 's'} {shown} {holds} a value of its own in every row, as numbers of "
        f"customers do: if {names} rows, that says nothing of the populations, but counts in the distance; leave "
        f"{'it' if len(found) == 1 else 'them'} out with drop={found[:5]!r}"
    ]


def _numbers_of(samples: SampleSet) -> list[tuple[int, str]]:
    """Places and names of the columns of numbers; times follow one another in every table that is a series."""
    if samples.encoding is None:
        return list(enumerate(samples.names or ()))
    columns = samples.encoding.schema.columns
    is_number = samples.encoding.is_number
    return [
        (k, columns[at].name)
        for k, at in enumerate(samples.encoding.table_columns)
        if is_number[k] and columns[at].kind == "number"
    ]


def _is_identifier(samples: SampleSet, column: int) -> bool:
    """Whether a column holds whole numbers, no two of them equal, that lie close to one another."""
    low, high = (float(getattr(samples.statistics, end)[column]) for end in ("minimum", "maximum"))
    is_close = low.is_integer() and high.is_integer() and samples.n - 1 <= high - low < DENSE * samples.n
    if samples.n < FEWEST_IDENTIFIERS or not is_close:
        return False
    seen = np.zeros(int(high - low) + 1, dtype=np.bool_)
    for start in range(0, samples.n, SPREAD_ROWS):
        values = np.asarray(samples.array[start : start + SPREAD_ROWS])[:, column].astype(np.float64)
        if not np.all(np.isfinite(values)) or np.any(values % 1):
            return False
        places = (values - low).astype(np.int64)
        if len(np.unique(places)) < len(places) or seen[places].any():
            return False
        seen[places] = True
    return True


def check_scaled(source: SampleSet, target: SampleSet, scale: Scaling) -> None:
    """Raise OptionError if the rescaled values are as large or as close as those that `check_pair` refuses."""
    if scale.kind == "none" and scale.category_cost is None:
        return
    lowest, highest = (
        np.array([_in_rows(samples, getattr(samples.statistics, end)) for samples in (source, target)])
        for end in ("minimum", "maximum")
    )
    with np.errstate(over="ignore"):
        ends = scale.apply(lowest.min(axis=0)), scale.apply(highest.max(axis=0))
        largest, spread = float(np.abs(ends).max()), float((ends[1] - ends[0]).max())
    if not largest <= float(np.finfo(np.float32).max):
        raise OptionError(
            f"scale: rescaled values reach {largest:.3g}, beyond the range of float32; take larger divisors"
        )
    if 0 <= spread < SMALLEST_SPREAD:
        raise OptionError(
            f"scale: rescaled values differ by {spread:.3g} at most, too little to compute with; take smaller divisors"
        )


def _in_rows(samples: SampleSet, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A statistic of each column, (d,), in the form of a row, (*row_shape,), and in the user's units."""
    shaped = values.reshape(samples.array.shape[1:]) / samples.divisor
    return (shaped.transpose(2, 0, 1) if samples.layout == "nhwc" else shaped).reshape(samples.row_shape)


def _shape_message(source: SampleSet, target: SampleSet) -> str:
    if len(source.row_shape) == len(target.row_shape) == 1:
        return (
            f"{source.name} has {source.row_shape[0]} columns and {target.name} has {target.row_shape[0]}; "
            "give both the same columns in the same order"
        )
    sizes = [" x ".join(map(str, each.array.shape[1:])) for each in (source, target)]
    return (
        f"{source.name} holds images of {sizes[0]} and {target.name} of {sizes[1]}: bring both to one size and one "
        "number of channels"
    )


def _pooled_deviation(source: SampleSet, target: SampleSet) -> NDArray[np.float64]:
    """Standard deviation of each column over both sets pooled, computed from their statistics."""
    p, q = source.statistics, target.statistics
    share = source.n / (source.n + target.n)
    between = share * (1 - share) * (p.mean - q.mean) ** 2
    return np.sqrt(share * p.deviation**2 + (1 - share) * q.deviation**2 + between)


def resolution_warnings(source: SampleSet, target: SampleSet) -> list[str]:
    """Warn about columns whose typical differences are lost in the steps in which values are stored or trained on.

    Each side is looked at by itself. The spread of a column is a distance of quantiles, because a few rows far away
    would make a standard deviation large. Neither loss can make a bound false: bounds are about the values as they are
    stored, and are computed in float64.
    """
    middles, spreads = zip(*(_middle_and_spread(samples) for samples in (source, target)), strict=True)
    centre = (source.statistics.mean + target.statistics.mean) / 2
    warnings = []
    for samples, middle, spread in zip((source, target), middles, spreads, strict=True):
        varies = spread > 0
        kept_in = samples.dtype if samples.dtype.kind == "f" else np.dtype(np.float64)
        stored = np.spacing(np.abs(middle).astype(kept_in)).astype(np.float64)
        if np.any(coarse := varies & (stored > STEP_SHARE * spread)):
            column = int(np.argmax(coarse))
            warnings.append(
                f"{samples.name}: {samples.column_name(column)} lies near {middle[column]:.6g}, where {kept_in} has "
                f"steps of {stored[column]:.2g}, and varies by only {spread[column]:.2g}: finer differences are lost; "
                "subtract a constant (the same from both sets) before the values are stored or converted"
            )
        trained = 2 * TRAINING_ROUNDOFF * np.abs(middle - centre)
        if np.any(lost := varies & (trained > STEP_SHARE * spread)):
            column = int(np.argmax(lost))
            warnings.append(
                f"{samples.name}: most values of {samples.column_name(column)} lie within {spread[column]:.2g} of each "
                f"other, but {abs(middle - centre)[column]:.2g} from the mean: training hardly sees how they differ, "
                "and the bound may be far too low; remove rows that are far away by mistake"
            )
    return warnings


def _middle_and_spread(samples: SampleSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and distance between the quantiles at 5 % and 95 % of each column (images flattened), of some rows."""
    step = max(1, -(-samples.n // SPREAD_ROWS), -(-samples.n * samples.dimension // (1 << 22)))
    rows = np.asarray(samples.array[::step]).astype(np.float64)
    rows = rows.reshape(len(rows), -1)
    for column in np.flatnonzero(np.isnan(rows).any(axis=0)):  # missing values
        present = rows[~np.isnan(rows[:, column]), column]
        rows[:, column] = np.resize(present, len(rows)) if len(present) else 0.0
    low, middle, high = np.quantile(rows, (0.05, 0.5, 0.95), axis=0)
    return middle, high - low


def scale_warnings(source: SampleSet, target: SampleSet, scale: Scaling) -> list[str]:
    """Warn about columns of a table that are so wide, even after `scale`, that they dominate the distance.

    After "standardize" or "robust", warn about columns that vary but were constant in the rows that fixed the unit.
    """
    if source.is_image:
        return []
    if scale.is_centred:
        return _constant_warnings((source, target), scale)
    deviation, names = _deviations(source, target, scale)
    varying = deviation[deviation > 0]
    if len(varying) < 2 or varying.max() < SCALE_RATIO * varying.min():
        return []
    wide = np.flatnonzero(deviation >= varying.max() / 10)
    shown = ", ".join(names[column] for column in wide[:5]) + (", ..." if len(wide) > 5 else "")
    after = "" if scale.kind == "none" else " after division by the given scale"
    advice = "consider scale='standardize'" if scale.kind != "vector" else "check the factors"
    return [
        f"columns differ in scale by a factor of {short(varying.max() / varying.min())}{after} (deviations "
        f"{short(varying.min())} to {short(varying.max())}): the distance is decided by {shown}; {advice}"
    ]


def _deviations(source: SampleSet, target: SampleSet, scale: Scaling) -> tuple[NDArray[np.float64], list[str]]:
    """The deviation of each column after `scale`, and what messages call it; a category is one column."""
    deviation, encoding = _pooled_deviation(source, target) / scale.divisor, source.encoding
    if encoding is None:
        return deviation, [source.column_name(column) for column in range(len(deviation))]
    squares = np.bincount(encoding.table_columns, deviation**2)
    return np.sqrt(squares), [f"column {name!r}" for name in encoding.schema.names]


def _constant_warnings(sets: tuple[SampleSet, SampleSet], scale: Scaling) -> list[str]:
    warnings = []
    for samples in sets:
        varies = samples.statistics.minimum < samples.statistics.maximum
        if not np.any(unscaled := scale.is_constant & varies):
            continue
        columns = np.flatnonzero(unscaled)
        shown = ", ".join(samples.column_name(int(column)) for column in columns[:5]) + (", ..." * (len(columns) > 5))
        warnings.append(
            f"{samples.name}: {shown} varies, but is constant in the select rows of {scale.fitted_on}, which fix the "
            "unit: it keeps the data's own unit beside columns in standard deviations; leave it out, or give scale as "
            "numbers"
        )
    return warnings


def row_hashes(samples: SampleSet) -> Hashes:
    """A 64-bit hash of the values of each row, (n,), streamed. Different rows have different hashes almost surely.

    Equal values have equal hashes whatever type, byte order and layout they are stored in: float64 is hashed, uint8
    images divided by 255, -0.0 as 0.0 and NaN as one NaN.
    """
    out = np.empty(samples.n, dtype=np.uint64)
    width = samples.dimension
    multipliers = np.random.default_rng(0).integers(0, 2**64, width, dtype=np.uint64) | np.uint64(1)
    step = max(1, BLOCK_WORDS // width)
    buffers = np.empty((2, min(step, samples.n), width))
    for start in range(0, samples.n, step):
        if samples.is_image:
            block = samples.rows(slice(start, start + step))
        else:
            block = np.asarray(samples.array[start : start + step])
        values, shifted = buffers[:, : len(block)]
        np.add(block.reshape(len(block), width), 0.0, out=values, dtype=np.float64)  # -0.0 becomes 0.0
        if np.isnan(np.dot(values.ravel(), values.ravel())):  # one pass, faster than looking for NaN in each value
            values[np.isnan(values)] = np.nan
        bits, above = values.view(np.uint64), shifted.view(np.uint64)
        np.right_shift(bits, np.uint64(32), out=above)
        bits ^= above  # whole numbers and float32 leave the lower bits 0, which multiplication would keep
        out[start : start + len(block)] = np.einsum("ij,j->i", bits, multipliers)  # modulo 2^64, by design
    return out


def duplicate_warnings(source: SampleSet, target: SampleSet, source_split: Split, target_split: Split) -> list[str]:
    """Warn about test rows that also occur among the train or select rows, and about rows that both sets share.

    If fewer than half of a set's rows are distinct, copies cannot be told from discrete values. The warning then says
    so, and rows shared by both sets are not reported. Where rows of one set coincide, some of the other's do, too: a
    share of the target up to twice that of the rows in a set that equal one of the other half. Only more is no chance.
    """
    warnings = []
    both = []
    is_discrete = False
    by_chance = 0.0
    for samples, split in ((source, source_split), (target, target_split)):
        hashes = row_hashes(samples)
        both.append(hashes)
        repeated = _repeated(np.concatenate([hashes[split.train], hashes[split.select]]), hashes[split.test])
        by_chance = max(by_chance, 2 * repeated / len(split.test))
        if repeated <= DUPLICATE_SHARE * len(split.test):
            continue
        if (distinct := _distinct(hashes)) < DISTINCT_SHARE * samples.n:
            is_discrete = True
            if distinct == 1:  # a point mass: `check_pair` warns about it
                continue
            warnings.append(
                f"{samples.name}: {distinct:,} of {samples.n:,} rows are distinct; if these are copies and not "
                "independent draws of discrete values, the bound and the p-value do not hold: remove copies, or give "
                "rows of one origin a common group"
            )
        else:
            warnings.append(
                f"{samples.name}: {repeated:,} of {len(split.test):,} test rows are equal to rows that the critic was "
                "fitted on. Rounded numbers coincide by chance, and then nothing is wrong. If rows were copied, the "
                "bound and the p-value do not hold: remove copies, or give rows of one origin a common group"
            )
    shared = 0 if is_discrete else _repeated(*both)
    if shared > SHARED_SHARE * target.n:
        said = f"{shared:,} of {target.n:,} rows of {target.name} also occur in {source.name}"
        if shared <= by_chance * target.n:
            warnings.append(
                f"{said}, no more than rows of one set coincide. If it is not by chance, the sets are not independent "
                "draws, and the bound and the p-value do not hold"
            )
        else:  # of all that a result warns of, this leaves least of it
            warnings.insert(0, f"{said}: the sets are not independent draws, and the bound and the p-value do not hold")
    return warnings


def _distinct(hashes: Hashes) -> int:
    """Number of distinct hashes. Sorts them in place."""
    hashes.sort()
    return 1 + int(np.count_nonzero(hashes[1:] != hashes[:-1]))


def _repeated(known: Hashes, looked_up: Hashes) -> int:
    """Number of looked-up hashes that are among the known ones. Sorts the known ones in place."""
    # an in-place sort and a search need two arrays of length n at most; np.unique and np.isin need several more
    known.sort()
    place = np.minimum(np.searchsorted(known, looked_up), len(known) - 1)
    return int(np.count_nonzero(known[place] == looked_up))


def range_ends(samples: SampleSet, ranges: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest possible value of each column of the stored array, (d,), in the data's own units.

    ranges: of all columns or of each in turn; of encoded rows those of numbers and times alone, others are 0 or 1.
    Raises OptionError if there are not as many as columns.
    """
    encoding = samples.encoding
    is_number = np.ones(samples.dimension, dtype=bool) if encoding is None else encoding.is_number
    per_column = 2 * int(is_number.sum())
    if len(ranges) not in ((2,) if samples.is_image else (2, per_column)):
        each = "column" if encoding is None else "column of numbers or times"
        other = "" if samples.is_image else f", or {per_column}: two for each {each}"
        raise OptionError(f"ranges: {len(ranges)} numbers were given; give 2, the lowest and the highest of all{other}")
    low, high = np.zeros(samples.dimension), np.ones(samples.dimension)
    low[is_number], high[is_number] = ranges[::2], ranges[1::2]
    return low, high


def check_ranges(samples: SampleSet, ranges: list[float]) -> None:
    """Raise OptionError if a value of the set lies outside its declared range, or if the ranges do not fit the columns.

    ranges: lowest and highest possible value in the data's own units, of all columns or of each in turn.
    """
    low, high = range_ends(samples, ranges)
    found = samples.statistics
    outside = np.flatnonzero((found.minimum < low) | (found.maximum > high))
    if samples.encoding is not None:  # statistics of a column without values are 0
        outside = outside[samples.encoding.is_number[outside]]
    if not len(outside):
        return
    column = int(outside[0])
    least, most = float(low[column]), float(high[column])
    value = float(found.minimum[column] if found.minimum[column] < least else found.maximum[column])
    raise OptionError(
        f"ranges: {samples.name} has {value:.6g} in row {_row_of(samples, column, value)}, "
        f"{samples.column_name(column)}, outside of {least:.6g} to {most:.6g}; "
        "give the lowest and the highest value that are possible"
    )


def _row_of(samples: SampleSet, column: int, value: float) -> int:
    """The number, in the data as given, of the first row with this value in a column of the stored array."""
    start = 0
    for start in range(0, samples.n, SPREAD_ROWS):
        part = np.asarray(samples.array[start : start + SPREAD_ROWS])
        found = part.reshape(len(part), -1)[:, column].astype(np.float64) == value
        if found.any():
            start += int(found.argmax())
            break
    return int(samples.numbers(np.array([start]))[0])
