"""The distance of mixed tables is the declared one: against the raw values, and against exact transport under it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from raw_tables import Raw, coded, raw_distances

from benchmarks import mixed
from wdist import estimate_w1, load_critic, matrix_w1
from wdist.certify import upper_end
from wdist.data.samples import encode_together, open_samples
from wdist.data.scaling import Scaling
from wdist.errors import OptionError, SampleError
from wdist.estimate import Estimation
from wdist.options import Options

QUICK: dict[str, Any] = {"steps": 30, "baseline_rows": 0, "empirical": False}


def table(n: int, shift: float, levels: list[str], seed: int) -> dict[str, list[Any]]:
    generator = np.random.default_rng(seed)
    lost = generator.random((3, n)) < 0.1
    return {
        "carat": [None if gone else float(v) for gone, v in zip(lost[0], generator.normal(shift, 2, n), strict=True)],
        "cut": [None if gone else str(v) for gone, v in zip(lost[1], generator.choice(levels, n), strict=True)],
        "sold": [None if gone else bool(v) for gone, v in zip(lost[2], generator.random(n) < 0.4, strict=True)],
    }


def pair(n: int = 300) -> tuple[Raw, Raw]:
    """Two sets with a level of which the target has five rows, and levels that one side alone has."""
    x, y = table(n, 0.0, ["a", "b", "c"], 1), table(n, 1.0, ["b", "c", "d"], 2)
    y["cut"][::60] = [f"rare {k}" for k in range(0, n, 60)]
    return x, y


def distances(scaling: Scaling, x: Raw, y: Raw) -> np.ndarray:
    sides = encode_together(open_samples(coded(x), "source"), open_samples(coded(y), "target"))
    one, other = (scaling.apply(each.rows(slice(None))) for each in sides)
    return np.stack([np.linalg.norm(other - row, axis=1) for row in one])


@pytest.mark.parametrize("cost", [1.0, 0.3])
@pytest.mark.parametrize("scale", [None, "standardize", "robust", 2.0, [3.0]])
def test_encoded_rows_are_as_far_apart_as_the_raw_values(scale: Any, cost: float) -> None:
    x, y = pair()
    opened = Estimation(coded(x), coded(y), Options.checked(scale=scale, category_cost=cost, steps=1))._pair
    scaling, select = opened.scaling, [opened.source_split.select, opened.target_split.select]
    numbers = [[side["carat"][k] for k in rows] for side, rows in zip((x, y), select, strict=True)]
    present = np.array([value for side in numbers for value in side if value is not None])
    low, middle, high = np.quantile(present, (0.25, 0.5, 0.75))
    given = {None: 1.0, "standardize": present.std(), "robust": (high - low) / 1.349}
    divisor = float(np.max(scale if isinstance(scale, float | list) else given[scale]))
    center = middle if scale == "robust" else present.mean()
    expected = raw_distances(x, y, {"carat": divisor}, {"carat": center}, cost)
    np.testing.assert_allclose(distances(scaling, x, y), expected, rtol=1e-12)


@pytest.mark.parametrize("number", [0, 1, 2, 5, 7])
def test_random_tables_against_exact_transport_of_their_raw_rows(number: int) -> None:
    tables = mixed.random_tables(number, 400)
    found = mixed.compare(tables, steps=150)
    assert found.error < 1e-12
    assert found.value <= found.exact * (1 + 1e-9)  # a 1-Lipschitz function of the same rows never shows more
    assert found.cost >= 1 - 1e-9
    if tables.is_apart:
        assert found.share >= 0.9


@pytest.mark.parametrize("critic", ["affine", "sliced", "groupsort", "cone"])
def test_levels_without_train_rows_are_one_point_to_every_critic(critic: Any) -> None:
    x, y = pair()
    estimation = Estimation(coded(x), coded(y), Options.checked(critic=critic, **QUICK))
    trained, unseen = estimation._pair.columns, estimation._pair.source.encoding
    assert trained is not None
    assert unseen is not None
    left_out = [unseen.names[k] for k in range(len(unseen.columns)) if k not in trained]
    assert left_out
    assert all(name.startswith("cut=rare") for name in left_out)
    result = estimation.run()
    names = [name.removeprefix("cut=") for name in left_out]
    with pytest.warns(UserWarning, match="trained without levels that the rows have.*: 'never met' of 'cut'"):
        of_levels = [
            result.critic.evaluate(coded({**x, "cut": [name] * len(x["cut"])})) for name in [*names, "never met"]
        ]
    for scores in of_levels[1:]:
        np.testing.assert_array_equal(scores, of_levels[0])
    assert np.any(result.critic.evaluate(coded({**x, "cut": ["a"] * len(x["cut"])})) != of_levels[0])
    assert 0.9 < result.critic.lipschitz_bound < 1 + 1e-5


def test_a_critic_that_is_kept_takes_tables_as_it_did(tmp_path: Any) -> None:
    x, y = pair()
    critic = estimate_w1(coded(x), coded(y), critic="cone", scale="robust", **QUICK).critic
    critic.save(tmp_path)
    kept = load_critic(tmp_path)
    np.testing.assert_array_equal(kept.evaluate(coded(y)), critic.evaluate(coded(y)))
    encoded = encode_together(open_samples(coded(x), "x"), open_samples(coded(y), "y"))[1]
    np.testing.assert_array_equal(kept.evaluate(np.asarray(encoded.array)), critic.evaluate(coded(y)))
    assert kept.takes == critic.takes
    with pytest.raises(SampleError, match="'cut' holds"):
        kept.evaluate(coded({**y, "cut": [1.0] * len(y["cut"])}))


def test_columns_of_the_witness_are_those_of_the_table() -> None:
    x, y = pair(600)
    columns = estimate_w1(coded(x), coded(y), scale="standardize", category_cost=2.0, **QUICK).witness.columns
    assert {column.name for column in columns} == {"carat", "cut", "sold"}
    cut = next(column for column in columns if column.name == "cut")
    levels = [[value or "missing" for value in side["cut"]] for side in (x, y)]
    every = sorted({*levels[0], *levels[1]})
    shares = [np.array([side.count(level) / len(side) for level in every]) for side in levels]
    variation = 2.0 * np.abs(shares[0] - shares[1]).sum() / 2
    assert cut.lower_bound is not None
    assert 0 < cut.lower_bound < cut.value < variation * 1.15
    assert all(0 <= column.attribution <= 1 for column in columns)


def test_ranges_are_of_numbers_and_every_column_with_levels_adds_its_cost_once() -> None:
    x, y = pair()
    estimation = Estimation(coded(x), coded(y), Options.checked(ranges=[-30.0, 50.0], category_cost=3.0, steps=1))
    end = upper_end(estimation._pair, Options.checked(ranges=[-30.0, 50.0], category_cost=3.0))
    assert not isinstance(end, str)
    assert end.diameter == pytest.approx(np.sqrt(80.0**2 + 3 * 3.0**2))
    with pytest.raises(OptionError, match="2: two for each column of numbers or times"):
        Estimation(coded(x), coded(y), Options.checked(ranges=[-30.0, 50.0, 0.0, 1.0, 0.0, 1.0]))
    with pytest.raises(OptionError, match="column 'carat', outside"):
        Estimation(coded(x), coded(y), Options.checked(ranges=[0.0, 50.0]))
    with pytest.raises(OptionError, match="1 columns of numbers and times \\(carat\\)"):
        Estimation(coded(x), coded(y), Options.checked(scale=[1.0, 2.0]))


def test_rows_that_decide_where_missing_values_are_have_no_part_in_the_upper_end() -> None:
    x, y = pair()
    opened = Estimation(coded(x), coded(y), Options.checked(steps=1))._pair
    end = upper_end(opened, Options.checked())
    assert not isinstance(end, str)
    assert end.plan is not None
    assert not np.isin(end.plan.source, opened.source_split.select).any()
    assert end.units == (270, 270)


def test_pairs_of_a_matrix_have_the_first_sets_centre() -> None:
    sets = {
        name: coded(table(200, shift, ["a", "b"], k))
        for k, (name, shift) in enumerate({"p": 0.0, "q": 1.0, "r": 4.0}.items())
    }
    found = matrix_w1(sets, scale="robust", **QUICK)
    scales = [result.scale for result in found.results]
    assert {scale["kind"] for scale in scales} == {"robust_reference"}
    assert len({scale["center"][0] for scale in scales}) == 1
    plain = matrix_w1(sets, **QUICK).results
    assert len({result.scale["missing"]["center"][0] for result in plain}) == 1
    assert all(result.scale["missing"]["is_of_first"] for result in plain)


def test_what_decides_the_distance_belongs_to_a_checkpoint() -> None:
    x, y = pair()
    plain = Estimation(np.ones((200, 2)) * np.arange(200)[:, None], np.eye(200)[:, :2], Options.checked(steps=1))
    assert set(plain._selection._identity()) == {
        *("configs", "budget", "seed", "shape", "rows", "unit", "shift", "method_version")
    }
    costs = [
        Estimation(coded(x), coded(y), Options.checked(steps=1, category_cost=c))._selection._identity()
        for c in (1.0, 2.0)
    ]
    assert costs[0]["category_cost"] != costs[1]["category_cost"]
    assert costs[0]["encoding"] == costs[1]["encoding"]
    assert "rare 0" in costs[0]["encoding"]["columns"][1]["levels"]


def test_the_unit_of_the_distance_says_that_of_times() -> None:
    rows = pd.DataFrame({"x": np.arange(300.0), "sold": pd.date_range("2026-01-01", periods=300)})
    given: dict[str, Any] = {"critic": "affine", "time_unit": "days", **QUICK, "steps": 2}
    plain, standard = (estimate_w1(rows[::2], rows[1::2], scale=scale, **given) for scale in ("none", "standardize"))
    assert plain.units == "Euclidean distance in the data's own units, times in days"
    assert "days" not in standard.units


def test_columns_that_do_not_agree_are_named() -> None:
    x, y = pair()
    for change, said in (
        ({"cut": [1.0] * 300}, "column 'cut' holds a category in .* and numbers in .*: name it in categories"),
        ({"sold": [1.0] * 300}, "column 'sold' holds booleans in .* and numbers in"),
    ):
        with pytest.raises(SampleError, match=said):
            estimate_w1(coded(x), coded({**y, **change}), **QUICK)
    other = {**y, "cut": [f"other {value}" for value in y["cut"]]}
    warnings = estimate_w1(coded(x), coded(other), **QUICK).warnings
    assert any("no level of 'cut' in common" in warning for warning in warnings)
