"""Splits into train, select and test: sizes, streams, whole groups."""

import numpy as np
import pytest

from wdist.data.splits import GroupOrder, split_rows
from wdist.errors import OptionError, SampleError


@pytest.mark.parametrize(
    ("n", "sizes"), [(100, (40, 10, 50)), (150, (60, 15, 75)), (400, (160, 40, 200)), (1_000, (500, 100, 400))]
)
def test_split_sizes(n: int, sizes: tuple[int, int, int]) -> None:
    split = split_rows(n, seed=3)
    assert (len(split.train), len(split.select), len(split.test)) == sizes
    assert split.sizes() == dict(zip(("train", "select", "test"), sizes, strict=True))
    np.testing.assert_array_equal(np.sort(np.concatenate([split.train, split.select, split.test])), np.arange(n))


def test_split_is_a_function_of_seed_and_side() -> None:
    def order(seed: int, side: int) -> list[int]:
        split = split_rows(500, seed, side)
        return [*split.train, *split.select, *split.test]

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_split_follows_the_documented_stream() -> None:
    stream = np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=(0x77646973, 1, 1))))
    expected = stream.permutation(200)
    split = split_rows(200, seed=7, number=1)
    np.testing.assert_array_equal(np.concatenate([split.train, split.select, split.test]), expected)


def test_split_is_independent_of_what_users_draw_with_the_seed() -> None:
    for theirs in (np.random.default_rng(7), np.random.default_rng([7, 1]), *np.random.default_rng(7).spawn(20)):
        order = theirs.permutation(200)
        for side in (0, 1):
            split = split_rows(200, seed=7, number=side)
            assert not np.array_equal(np.concatenate([split.train, split.select, split.test]), order)


def test_blocks_of_time_stay_whole() -> None:
    split = split_rows(1_000, seed=0, mode="blocks")
    assert split.train.max() < split.select.min() <= split.select.max() < split.test.min()
    assert not np.array_equal(split.test, np.sort(split.test))


def test_split_refuses() -> None:
    with pytest.raises(SampleError, match="99 rows are too few"):
        split_rows(99, seed=0)
    with pytest.raises(OptionError, match="unknown"):
        split_rows(200, seed=0, mode="stratified")
    with pytest.raises(OptionError, match="negative"):
        split_rows(200, seed=-1)


def test_groups_are_never_divided() -> None:
    generator = np.random.default_rng(0)
    source = generator.integers(0, 200, 3_000)
    target = generator.integers(100, 300, 2_000)  # 100 groups are in both sets
    x, y, (codes_x, codes_y) = GroupOrder.of((source, target), seed=1).pair()
    assert len({(int(a), int(b)) for a, b in zip(codes_x, source, strict=True)}) == len(np.unique(source))
    parts = {
        name: set(codes_x[getattr(x, name)]) | set(codes_y[getattr(y, name)]) for name in ("train", "select", "test")
    }
    assert not parts["train"] & parts["test"]
    assert not parts["train"] & parts["select"]
    assert not parts["select"] & parts["test"]
    for split, codes, n in ((x, codes_x, 3_000), (y, codes_y, 2_000)):
        assert len(set(codes[split.test])) >= 50
        assert sum(split.sizes().values()) == n


def test_too_few_groups() -> None:
    with pytest.raises(SampleError, match="source: 5 groups are too few"):
        GroupOrder.of((np.arange(1_000) % 5, np.arange(1_000)), seed=0).pair()
