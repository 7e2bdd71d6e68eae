"""compare_w1 on rows: the estimates it makes, what it says of them, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wdist import Comparison, OptionError, SampleError, compare_w1, estimate_w1
from wdist.inference.comparison import compared_figures

QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}


def rows(seed: int, shift: float = 0.0, n: int = 500) -> np.ndarray:
    return np.random.default_rng(seed).normal((shift, 0.0), 1.0, (n, 2))


def test_two_candidates_and_the_estimates_behind_them() -> None:
    reference, new, old = rows(1), rows(2, 0.5), rows(3, 1.5, n=700)
    found = compare_w1(reference, {"new": new, "old": old}, **QUICK)
    assert isinstance(found, Comparison)
    assert [each.name for each in found.ranking] == ["new", "old"]
    (difference,) = found.differences
    assert 0 < difference.lower_bound < 1.0 < difference.upper_bound
    assert found.sentence.startswith("`new` is closer to `reference` than `old`, by ")
    for result in found.results:
        assert result.simultaneous is not None
        assert result.simultaneous["statements"] == 8
        assert result.lower_bound > result.simultaneous["lower_bound"]
    # The first pair of a comparison is split as one estimate is.
    assert found.results[0].value == estimate_w1(reference, new, **QUICK).value
    again = compared_figures("reference", ["new", "old"], [each.to_dict() for each in found.results])
    assert again.model_dump() == {name: found.to_dict()[name] for name in again.model_dump()}
    lines = str(found).splitlines()
    assert lines[0] == found.sentence
    assert lines[4].split()[:2] == ["1", "new"]
    assert len([line for line in lines if not line.startswith("warning")]) == 6


def test_a_candidate_of_the_reference_population_cannot_be_beaten() -> None:
    found = compare_w1(rows(1), [rows(2), rows(3), rows(4, 2.0)], delta=0.9, **QUICK)
    assert [(each.name, each.best, each.worst) for each in found.ranking[-1:]] == [("candidate 3", 3, 3)]
    assert {each.best for each in found.ranking[:2]} == {1}
    assert [each.within_delta for each in found.differences] == [True, False, False]
    assert all(result.simultaneous["statements"] == 6 for result in found.results if result.simultaneous)
    assert found.sentence in str(found)
    assert found.differences[2].sentence in str(found)


def test_assumed_ranges_make_it_hold_for_any_number_of_rows() -> None:
    near, far = (np.random.default_rng(seed).uniform(low, low + 0.2, (500, 1)) for seed, low in ((2, 0.1), (3, 0.7)))
    reference = np.random.default_rng(1).uniform(0.0, 0.2, (500, 1))
    found = compare_w1(reference, [near, far], ranges=[0.0, 1.0], **QUICK)
    assert found.kind == "finite-sample"
    assert "(95 %)" in found.sentence
    assert found.differences[0].answer == "yes"
    assert all(result.simultaneous["statements"] == 4 for result in found.results if result.simultaneous)


def test_columns_and_groups_of_tables(tmp_path: Path) -> None:
    def table(seed: int, shift: float) -> pd.DataFrame:
        who = np.repeat(np.arange(200) + 1_000 * seed, 3)
        return pd.DataFrame(rows(seed, shift, n=600), columns=["a", "b"]).assign(who=who, note=1.0)

    frames = [table(seed, shift) for seed, shift in ((1, 0.0), (2, 0.5), (3, 2.5))]
    found = compare_w1(frames[0], frames[1:], drop=["note"], groups="who", **QUICK)
    assert found.results[0].split == "groups"
    assert found.differences[0].answer == "yes"
    assert found.differences[0].lower_bound == pytest.approx(
        found.results[1].simultaneous["lower_bound"] - found.results[0].simultaneous["upper_bound"]
    )
    paths = [tmp_path / f"{name}.csv" for name in ("real", "a", "b")]
    for path, frame in zip(paths, frames, strict=True):
        frame.drop(columns="who").to_csv(path, index=False)
    of_files = compare_w1(paths[0], paths[1:], **QUICK)
    assert of_files.reference == str(paths[0])
    assert [each.name for each in of_files.ranking] == [str(path) for path in paths[1:]]


def test_wrong_input_is_refused_before_anything_is_trained() -> None:
    x, y, z = rows(1), rows(2), rows(3)
    for candidates, given, words in (
        ([], {}, "at least two candidates"),
        ([y], {}, "at least two candidates"),
        ([y, z], {"delta": 0.0}, "delta: 0 is not above 0"),
        ([y, z], {"delta": -1.0}, "delta: -1 is not above 0"),
        ([y, z], {"upper": "none"}, "upper: a comparison needs the upper bounds"),
        ([y, z], {"split": "blocks"}, "split: a comparison needs upper bounds"),
        ({"reference": y, "b": z}, {}, "two sets are called 'reference'"),
    ):
        with pytest.raises(OptionError, match=words):
            compare_w1(x, candidates, **QUICK, **given)
    with pytest.raises(SampleError, match="old"):
        compare_w1(x, {"new": y, "old": z[:, :1]}, **QUICK)
