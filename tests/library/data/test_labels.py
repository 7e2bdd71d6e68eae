"""Equal group labels are one group in both sets, and different ones are not, whatever holds them."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from wdist import OptionError, estimate_w1
from wdist.data.groups import checked_labels, comparable
from wdist.data.sources.rows import labels_of
from wdist.definitions.reading import Reading
from wdist_client import Client

BIG = 10**18
START = datetime.datetime(2026, 1, 31, 23, 59, 59, 500_000)
TIMES = [START + datetime.timedelta(hours=k, minutes=30) for k in range(5)]
DAYS = [datetime.date(2026, 1, 28) + datetime.timedelta(days=k) for k in range(5)]
TEXT = ["a", "b", "c d", "é", "A"]
# For each kind: columns of the same five labels.
LABELS: dict[str, list[Any]] = {
    "small": [
        np.arange(-2, 3), np.arange(-2.0, 3), np.arange(-2, 3, dtype=np.float32), np.arange(-2, 3, dtype=np.int8),
        ["-2", "-1.0", "0", "1e0", "2.00"], [Decimal(k).scaleb(2).scaleb(-2) for k in range(-2, 3)],
    ],
    "fractions": [
        np.arange(1, 6) / 10, ["0.1", "0.2", "0.3", "0.40", "5e-1"], [f"{k / 10:.17g}" for k in range(1, 6)],
        [Decimal(k) / 10 for k in range(1, 6)],
    ],
    "19 digits": [
        BIG + np.arange(5), BIG + np.arange(5, dtype=np.uint64), [str(BIG + k) for k in range(5)],
        [Decimal(BIG + k) for k in range(5)], [f"{BIG + k}.00" for k in range(5)],
    ],
    "64 bits": [2**62 + np.arange(5), 2**62 + np.arange(5, dtype=np.uint64), [str(2**62 + k) for k in range(5)]],
    "powers of two": [2.0 ** np.arange(57, 62), 2 ** np.arange(57, 62), [str(2.0**k) for k in range(57, 62)]],
    "beyond int64": [2**63 + np.arange(5, dtype=np.uint64), [str(2**63 + k) for k in range(5)]],
    "text": [TEXT, np.array(TEXT), pd.Categorical(TEXT)],
    "leading zeros": [["007", "00", "01", "0x1", "1_0"], np.array(["007", "00", "01", "0x1", "1_0"])],
    "days": [DAYS, np.array(DAYS, dtype="M8[D]"), np.array(DAYS, dtype="M8[ns]"), [str(day) for day in DAYS]],
    "times": [
        TIMES, np.array(TIMES, dtype="M8[us]"), np.array(TIMES, dtype="M8[ns]"), [each.isoformat() for each in TIMES],
        pd.Series(TIMES).dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin"), [f"{each}+00:00" for each in TIMES],
    ],
    "mixed": [["7", "x", "true", "0.5", "NULLs"], [7, "x", True, 0.5, "NULLs"], ["7.0", "x", "True", "5e-1", "NULLs"]],
}  # fmt: skip


def frame(labels: Any) -> pd.DataFrame:
    return pd.DataFrame({"g": labels if isinstance(labels, pd.Series | np.ndarray) else pd.Series(labels)})


def csv(labels: Any, path: Path) -> Any:
    frame(labels).to_csv(path.with_suffix(".csv"), index=False)
    return labels_of(path.with_suffix(".csv"), "g", "source", Reading())


def arrow(labels: Any) -> pa.Table:
    """Labels of several types have no column type of their own; they are written as text."""
    try:
        return pa.Table.from_pandas(frame(labels))
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.table({"g": [str(each) for each in labels]})


def parquet(labels: Any, path: Path) -> Any:
    pa_parquet.write_table(arrow(labels), path.with_suffix(".parquet"))
    return labels_of(path.with_suffix(".parquet"), "g", "source", Reading())


def in_polars(labels: Any, _: Path) -> Any:
    return labels_of(pl.from_arrow(arrow(labels)), "g", "source", Reading())


def local(labels: Any, path: Path) -> Any:
    """What a server stores: the client sends numbers as an array, everything else as a file."""
    with Client(":local:") as client:
        if isinstance(labels, np.ndarray) and labels.dtype.kind in "iuf":
            np.save(path.with_suffix(".npy"), labels[:, None])
            sent = client.sample_sets.create(path.with_suffix(".npy"))
        else:
            pa_parquet.write_table(arrow(labels), path.with_suffix(".parquet"))
            sent = client.sample_sets.create(path.with_suffix(".parquet"), labels="g")
        return np.array(client._transport._sets.find(sent.id).rows.array).ravel()


HOLDERS: dict[str, Callable[[Any, Path], Any]] = {
    "array": lambda labels, _: np.asarray(labels) if not isinstance(labels, list) else np.array(labels, dtype=object),
    "frame": lambda labels, _: labels_of(frame(labels), "g", "source", Reading()),
    "polars": in_polars,
    "csv": csv,
    "parquet": parquet,
    "local": local,
}


@pytest.mark.parametrize("kind", LABELS)
def test_equal_labels_are_one_group_and_others_are_not(kind: str, tmp_path: Path) -> None:
    held = {
        (name, k): checked_labels(hold(labels, tmp_path / f"{name}{k}"), "source", 5)
        for name, hold in HOLDERS.items()
        for k, labels in enumerate(LABELS[kind])
    }
    for one, other in combinations_with_replacement(held, 2):
        source, target = comparable(held[one], held[other])
        np.testing.assert_array_equal(source[:, None] == target[None, :], np.eye(5, dtype=bool), f"{one} and {other}")


def test_labels_of_different_kinds_are_different() -> None:
    for one, other in combinations_with_replacement(LABELS, 2):
        if one != other and {one, other} != {"mixed", "fractions"}:  # both have 0.5
            a, b = (checked_labels(np.array(list(LABELS[kind][0]), dtype=object), kind, 5) for kind in (one, other))
            shared = set(a.tolist()) & set(b.tolist())
            assert not shared, (one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("9007199254740993", 9007199254740992.0), ("1000000000000000001", 1e18), ("1e400", "1e500"), ("1e-400", 0),
        ("9007199254740993.5", 9007199254740994), ("0.12345678901234567890", "0.12345678901234567891"), ("-", "0"),
        ("12345678901234567890e9999999", "12345678901234567891e9999999"), ("7", "\u0667"), ("2026-02-30", "2026-02-31"),
        ("2026-01-01 00:00:00.000000001", "2026-01-01"), (True, 1), ("inf", "-inf"), ("a", "a "),
    ],
)  # fmt: skip
def test_close_labels_stay_apart(one: Any, other: Any) -> None:
    first, second = checked_labels(np.array([one, other], dtype=object), "source", 2)
    assert first != second


def test_a_number_that_float32_rounds_is_no_label() -> None:
    halves = checked_labels(np.array([0.5, 1.5], dtype=np.float32), "source", 2)
    np.testing.assert_array_equal(halves, checked_labels(np.array(["0.5", "1.5"]), "source", 2))
    with pytest.raises(OptionError, match=r"float32 label 0\.1 is not 0\.1 exactly"):
        checked_labels(np.array([0.1], dtype=np.float32), "source", 1)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(np.arange(400.0), id="3.0", marks=pytest.mark.slow),
        pytest.param(np.arange(400) / 2, id="3.5", marks=pytest.mark.slow),
        pytest.param(BIG + np.arange(400), id="1e18"),
    ],
)
def test_equal_populations_in_the_same_groups_are_not_told_apart(labels: np.ndarray, tmp_path: Path) -> None:
    """The rows of a group tell its side: groups that are torn apart give a bound above zero where W1 is 0."""
    generator = np.random.default_rng(1)
    effect = np.repeat(generator.normal(size=(400, 300)), 2, axis=0)
    columns = [f"c{k}" for k in range(300)]
    frames = [
        pd.DataFrame(sign * effect + 0.1 * generator.normal(size=effect.shape), columns=columns).assign(
            g=np.repeat(labels, 2)
        )
        for sign in (1, -1)
    ]
    for table, name in zip(frames, "xy", strict=True):
        table.to_csv(tmp_path / f"{name}.csv", index=False)
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
    csv, pairs = tmp_path / "x.csv", [tmp_path / "y.csv", tmp_path / "y.parquet", frames[1]]
    results = [
        estimate_w1(x, y, groups="g", critic="affine", baseline_rows=0, empirical=False, seed=0, confidence=0.999)
        for x, y in [(csv, other) for other in pairs] + [(frames[0], frames[1])]
    ]
    assert [result.lower_bound for result in results] == [0.0] * 4
    assert len({(result.value, result.p_value) for result in results}) == 1
