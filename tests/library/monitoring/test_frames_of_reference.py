"""The frame of a reference: its map is 1-Lipschitz, its ruler is one for all encodings, and what a set holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from wdist.data.content import content_sha256
from wdist.data.samples import SampleSet, encode_together, open_samples
from wdist.data.scaling import Scaling
from wdist.data.splits import split_rows
from wdist.definitions.reading import Selection
from wdist.monitoring.frame import Frame, with_table

LEVEL = Selection(categories=["kind"], missing="level")


def table(n: int, seed: int, levels: list[str]) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    rows = pd.DataFrame({"v": generator.normal(5, 2, n), "kind": generator.choice(levels, n).astype(object)})
    rows["is"] = generator.random(n) < 0.4
    rows.loc[generator.random(n) < 0.1, "kind"] = None
    rows.loc[generator.random(n) < 0.1, "v"] = np.nan
    return rows


def distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.linalg.norm(y - row, axis=1) for row in x])


@pytest.mark.parametrize("scale", [None, "standardize", "robust", [3.0]])
def test_framed_rows_are_no_further_apart_than_rows_and_known_ones_just_as_far(scale: Any) -> None:
    reference = with_table(open_samples(table(300, 1, ["a", "b", "c"]), take=LEVEL))
    batch = with_table(open_samples(table(200, 2, ["b", "new", "newer"]), take=LEVEL))
    split = split_rows(300, 0, 0)
    frame = Frame.of(reference, split, scale, 0.7)
    framed = [frame.scaling.apply(frame.framed(each).rows(slice(None))) for each in (reference, batch)]
    source, target, scaling = frame.together(reference, batch)
    whole = [scaling.apply(each.rows(slice(None))) for each in (source, target)]
    projected, true = distances(*framed), distances(*whole)
    assert (projected <= true * (1 + 1e-12)).all()
    np.testing.assert_allclose(projected, true, rtol=1e-12)  # a row of the reference knows no new level
    among = distances(framed[1], framed[1]), distances(whole[1], whole[1])
    assert (among[0] <= among[1] * (1 + 1e-12)).all()
    assert (among[0] < among[1] - 0.01).any()  # two new levels are one point of the frame


@pytest.mark.parametrize("scale", [None, "standardize", "robust", 2.0, [3.0]])
def test_the_ruler_is_that_of_the_reference_in_every_encoding(scale: Any) -> None:
    reference = with_table(open_samples(table(300, 1, ["a", "b"]), take=LEVEL))
    batch = with_table(open_samples(table(200, 2, ["b", "new"]), take=LEVEL))
    split = split_rows(300, 0, 0)
    first, second = encode_together(reference, batch)
    other_split = split_rows(200, 0, 1)
    fitted = Scaling.fit(scale, first, second, split, other_split, (first, split), 0.7)
    _, target, carried = Frame.of(reference, split, scale, 0.7).together(reference, batch)
    np.testing.assert_array_equal(carried.apply(target.rows(slice(None))), fitted.apply(second.rows(slice(None))))


def test_a_frame_is_kept_to_the_bit() -> None:
    reference = with_table(open_samples(table(300, 1, ["a", "b"]), take=LEVEL))
    frame = Frame.of(reference, split_rows(300, 0, 0), "standardize", 1.0)
    again = Frame.from_json(frame.to_json())
    rows = frame.framed(reference).rows(slice(None))
    np.testing.assert_array_equal(again.scaling.apply(rows), frame.scaling.apply(rows))
    assert again.to_json() == frame.to_json()


def of(rows: Any, **take: Any) -> SampleSet:
    return open_samples(rows, take=Selection(**take))


def test_equal_rows_have_equal_content_in_any_order_type_and_coding() -> None:
    rows = np.arange(12.0).reshape(6, 2)
    same = [rows, rows[::-1].copy(), rows.astype(np.float32), rows.astype(np.int64), np.asfortranarray(rows)]
    assert len({content_sha256(of(each)) for each in same}) == 1
    others = [rows[:-1], np.add(rows, 1), rows.reshape(4, 3), np.concatenate([rows, rows])]
    assert len({content_sha256(of(each)) for each in [rows, *others]}) == 5


def test_levels_count_by_their_names() -> None:
    levels = pd.DataFrame({"kind": ["a", "b", "b", None]})
    content = content_sha256(of(levels, categories=["kind"], missing="level"))
    turned = content_sha256(of(levels[::-1], categories=["kind"], missing="level"))  # "b" is met first
    renamed = content_sha256(of(levels.replace("b", "c"), categories=["kind"], missing="level"))
    assert content == turned != renamed
