"""Matrices: one split of each set, one unit for all cells, and what the figures and the text say."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from wdist import OptionError, SampleError, estimate_w1, matrix_w1
from wdist.data.pair import Shared
from wdist.estimate import Estimation
from wdist.inference.pair_matrix import (
    FIGURES,
    cells,
    claim,
    common_kind,
    common_units,
    kinds,
    pair_matrix,
    places,
    whole_answer,
)
from wdist.inference.simultaneous import adjusted_p_values
from wdist.matrix import Matrix
from wdist.options import Options
from wdist.result import Result
from wdist.verify import verify_certificate

QUICK: dict[str, Any] = {"critic": "affine", "baseline_rows": 0, "empirical": False}
SIZES = (300, 420, 500, 360)
PARTS = ("train", "select", "test")


def some_sets(d: int = 3) -> list[np.ndarray]:
    """Sets of one population but for a shift, with columns of unlike deviations; each row is one of its kind."""
    generator = np.random.default_rng(8)
    return [(generator.standard_normal((n, d)) + k) * [1.0, 10.0, 100.0][:d] for k, n in enumerate(SIZES)]


def grouped_sets() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sets of which some share groups, and the label of each row."""
    generator = np.random.default_rng(3)
    labels = [first + generator.permutation(1_200) % count for first, count in ((0, 240), (0, 240), (120, 300))]
    effects = generator.standard_normal((600, 2))
    return [effects[each] + generator.standard_normal((1_200, 2)) + k for k, each in enumerate(labels)], labels


def parts_by_set(matrix: Matrix, sets: list[np.ndarray]) -> dict[str, dict[tuple[str, ...], Any]]:
    """For each set, what each of its pairs took as train, select and test rows."""
    found: dict[str, dict[tuple[str, ...], Any]] = {name: {} for name in {*matrix.rows, *matrix.columns}}
    for result in matrix.results:
        certificate = result.certificate
        for side, name in zip(("source", "target"), result.names, strict=True):
            numbers = certificate.document["split"]["numbers"]
            rows = sets[numbers[side == "target"]]
            assert certificate.document["data"][side]["shape"][0] == len(rows)
            found[name][result.names] = _parts(result, side)
    return found


def _parts(result: Result, side: str) -> dict[str, tuple[int, ...]]:
    """The rows of each part, in order, from the pair that the result is about."""
    split = SPLITS[id(result)][side == "target"]
    return {part: tuple(getattr(split, part).tolist()) for part in PARTS}


SPLITS: dict[int, Any] = {}


@pytest.fixture(autouse=True)
def watched_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the splits of each estimate: a result says only how large the parts are."""
    run = Estimation.run

    def watched(self: Estimation) -> Result:
        result = run(self)
        SPLITS[id(result)] = self._pair.source_split, self._pair.target_split
        return result

    monkeypatch.setattr(Estimation, "run", watched)


def verified(result: Result, x: np.ndarray, y: np.ndarray, folder: Path) -> Any:
    digest = result.certificate.save(folder / "c.cert")
    report = verify_certificate(folder / "c.cert", x, y, digest)
    assert report.valid, str(report)
    assert report.statement["lower_bound"] == pytest.approx(result.lower_bound, abs=1e-6)
    return report


# --- one split of each set ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("split", ["random", "blocks"])
def test_a_set_is_split_once_for_all_its_pairs(reference: bool, split: str, tmp_path: Path) -> None:
    sets = some_sets()
    matrix = matrix_w1(sets, reference=reference, split=split, scale="standardize", **QUICK)
    for name, pairs in parts_by_set(matrix, sets).items():
        assert len(pairs) == (3 if not reference or name == "set 1" else 1)
        assert all(parts == next(iter(pairs.values())) for parts in pairs.values()), name
    for result, (i, j) in zip(matrix.results, _numbers(len(sets), reference), strict=True):
        assert result.certificate.document["split"]["numbers"] == [i, j]
        verified(result, sets[i], sets[j], tmp_path)


@pytest.mark.parametrize("reference", [False, True])
def test_groups_are_split_once_for_all_pairs(reference: bool, tmp_path: Path) -> None:
    sets, labels = grouped_sets()
    matrix = grouped_matrix(sets, labels, reference, tmp_path)
    part_of: dict[int, str] = {}
    for pairs in parts_by_set(matrix, sets).values():
        assert all(parts == next(iter(pairs.values())) for parts in pairs.values())
    for result, (i, j) in zip(matrix.results, _numbers(3, reference), strict=True):
        for k, side in ((i, "source"), (j, "target")):
            for part, rows in _parts(result, side).items():
                for group in labels[k][list(rows)].tolist():
                    assert part_of.setdefault(group, part) == part  # also where another set has the group
        report = verified(result, sets[i], sets[j], tmp_path)
        assert result.certificate.document["split"]["groups"] == {"all": 420, "fewest": 240}
        others = any("the groups of other sets" in point for point in report.not_checked)
        assert others == (len(np.union1d(labels[i], labels[j])) < 420)


def grouped_matrix(sets: list[np.ndarray], labels: list[np.ndarray], reference: bool, folder: Path) -> Matrix:
    pandas = pytest.importorskip("pandas")
    frames = {}
    for k, (rows, own) in enumerate(zip(sets, labels, strict=True)):
        frames[f"set {k + 1}"] = pandas.DataFrame({"a": rows[:, 0], "b": rows[:, 1], "who": own})
    return matrix_w1(frames, groups="who", reference=reference, scale="standardize", **QUICK)


def _numbers(count: int, reference: bool) -> list[tuple[int, int]]:
    return [(0, k) for k in range(1, count)] if reference else list(combinations(range(count), 2))


def test_two_sets_are_split_as_by_an_estimate() -> None:
    x, y, *_ = some_sets()
    alone, (pair,) = estimate_w1(x, y, **QUICK), matrix_w1([x, y], **QUICK).results
    assert (pair.value, pair.lower_bound, pair.p_value) == (alone.value, alone.lower_bound, alone.p_value)


def test_a_pair_needs_two_numbers() -> None:
    for numbers in ((2, 2), (-1, 0)):
        with pytest.raises(OptionError, match="is none"):
            Shared(numbers, None, "first")


def test_bounds_of_pairs_that_share_no_difference_are_wrong_as_rarely_as_they_say() -> None:
    """Equal populations: of each set number, bounds above 0 are as rare as alpha allows, in sorted files too."""
    generator, wrong, runs = np.random.default_rng(5), 0, 60
    for seed in range(runs):
        sets = [np.sort(generator.standard_normal((200, 1)), axis=0) for _ in range(3)]
        matrix = matrix_w1(sets, seed=seed, confidence=0.9, **QUICK)
        wrong += int((matrix.simultaneous_lower_bound[np.triu_indices(3, 1)] > 0).any())
    assert wrong <= 12  # binomial(60, .1): more than 12 in .6 % of cases


# --- one unit -------------------------------------------------------------------------------------------------------


def test_cells_are_in_the_unit_of_the_first_set(tmp_path: Path) -> None:
    first, second, *_ = some_sets()
    wider = second * [5.0, 1.0, 1.0]
    matrix = matrix_w1({"a": first, "b": second, "c": wider}, scale="standardize", **QUICK)
    scales = [result.scale for result in matrix.results]
    assert all(scale == scales[0] for scale in scales)
    select = first[list(_parts(matrix.results[0], "source")["select"])]
    np.testing.assert_allclose(scales[0]["divisor"], select.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(scales[0]["center"], select.mean(axis=0), rtol=1e-9)
    assert scales[0]["kind"] == "reference"
    assert matrix.units == "Euclidean distance in standard deviations of each column of a"
    named = matrix_w1({"runs/7": first, "b": second}, scale="standardize", **QUICK)
    assert " of runs/7" in named.units  # a name, and no path
    np.save(tmp_path / "first.npy", first)
    assert matrix_w1([tmp_path / "first.npy", second], scale="standardize", **QUICK).units.endswith(" of first.npy")
    assert matrix.value[0, 2] > 2 * matrix.value[0, 1]  # pooled deviations of a and c would hide most of it
    for result, (i, j) in zip(matrix.results, _numbers(3, reference=False), strict=True):
        report = verified(result, *((first, second, wider)[k] for k in (i, j)), tmp_path)
        assert any("which is none of these two" in point for point in report.not_checked) == (0 not in (i, j))
        assert "of the first set" in report.sentence


def test_the_unit_is_that_of_the_first_set_in_either_order() -> None:
    sets = some_sets()
    there, back = (matrix_w1(each, scale="standardize", **QUICK) for each in (sets, sets[::-1]))
    assert there.results[0].scale != back.results[0].scale
    turned = matrix_w1([sets[0], *sets[:0:-1]], scale="standardize", **QUICK)
    assert turned.results[0].scale == there.results[0].scale


def test_numbers_of_other_sets_do_not_move_the_unit() -> None:
    sets = some_sets()
    before = matrix_w1(sets, scale="standardize", **QUICK).results[-1].scale
    after = matrix_w1([sets[0], *(each * 1_000 for each in sets[1:])], scale="standardize", **QUICK).results[-1].scale
    assert before == after


def test_a_column_that_is_constant_in_the_first_set_keeps_its_unit_and_is_named() -> None:
    first, second, third, _ = some_sets()
    first[:, 1] = 4.0
    matrix = matrix_w1({"one": first, "two": second, "three": third}, scale="standardize", **QUICK)
    assert [result.scale["divisor"][1] for result in matrix.results] == [1.0] * 3
    told = [
        (row, column) for row, column, text in matrix.warnings if "column 1 varies" in text and "rows of one" in text
    ]
    assert told == [("one", "two"), ("one", "three"), ("two", "three"), ("two", "three")]
    assert not any("varies, but" in text for text in estimate_w1(second, third, scale="standardize", **QUICK).warnings)
    first[:, 1] = second[:, 1] = third[:, 1] = 4.0  # constant everywhere: nothing to tell
    again = matrix_w1([first, second, third], scale="standardize", **QUICK)
    assert not any("varies, but" in text for _, _, text in again.warnings)


def test_rows_of_the_first_set_that_are_no_numbers_are_named() -> None:
    first, second, third, _ = some_sets()
    first[:, 0] = np.nan
    options = Options.checked(scale="standardize", **QUICK)
    with pytest.raises(SampleError, match="first: select rows"):
        Estimation(second, third, options, shared=Shared((1, 2), first, "first"))
    with pytest.raises(SampleError, match=r"first has rows of shape \(2,\), not \(3,\)"):
        Estimation(second, third, options, shared=Shared((1, 2), first[:, :2], "first"))


# --- figures and text -----------------------------------------------------------------------------------------------


def test_a_matrix_has_the_figures_of_its_pairs() -> None:
    x, y, z, _ = some_sets()
    sets = {"x": x, "y": y, "z": z}
    matrix = matrix_w1(sets, diameter=20_000.0, **QUICK)
    assert matrix.rows == matrix.columns == ["x", "y", "z"]
    options = Options.checked(diameter=20_000.0, statements=3, **QUICK)
    alone = [
        Estimation(*pair, options, shared=Shared(numbers, x, "x")).run()
        for pair, numbers in (((x, y), (0, 1)), ((x, z), (0, 2)), ((y, z), (1, 2)))
    ]
    above = np.triu_indices(3, 1)
    for name in ("value", "lower_bound", "upper_bound", "p_value"):
        values = getattr(matrix, name)
        np.testing.assert_array_equal(values[above], [getattr(each, name) for each in alone])
        np.testing.assert_array_equal(values, values.T)
    together = [each.simultaneous["lower_bound"] for each in alone if each.simultaneous]
    np.testing.assert_array_equal(matrix.simultaneous_lower_bound[above], together)
    np.testing.assert_array_equal(matrix.adjusted_p_value[above], adjusted_p_values(matrix.p_value[above]))
    shown = str(matrix)
    for words in ("W1 lies between, each pair by itself, each end with 95 %", "all 3 pairs together", " .. ", "(Holm)"):
        assert words in shown
    assert shown.startswith("All of the 3 pairs differ, all judged together with 95 % confidence.\n")
    plain = matrix.to_dict()
    assert (plain["pairs"], plain["value"][0][1]) == (3, alone[0].value)


def test_one_reference_against_the_others() -> None:
    sets = some_sets()
    matrix = matrix_w1(sets[:3], reference=True, **QUICK)
    assert (matrix.rows, matrix.columns) == (["set 1"], ["set 2", "set 3"])
    assert matrix.value.shape == (1, 2)
    whole = matrix_w1(sets[:3], **QUICK)
    np.testing.assert_array_equal(matrix.value, whole.value[:1, 1:])
    assert "W1 lies between" in str(matrix)
    alone = matrix_w1(sets[:2], reference=True, **QUICK)
    np.testing.assert_array_equal(alone.simultaneous_lower_bound, alone.lower_bound)


def test_a_matrix_names_the_set_at_fault() -> None:
    good, broken, *_ = some_sets()
    broken[5, 1] = np.nan
    with pytest.raises(SampleError, match=r"^bad: the value nan in row 5, column 1"):
        matrix_w1({"good": good, "bad": broken}, **QUICK)
    with pytest.raises(OptionError, match="two sets"):
        matrix_w1([good])


def figures(lower: float, upper: float | None, **more: Any) -> dict[str, Any]:
    return {"value": lower, "lower_bound": lower, "upper_bound": upper, "p_value": 0.001, **more}


def test_upper_ends_stand_beside_lower_ends() -> None:
    together = {"statements": 3, "lower_bound": 0.25, "upper_bound": 2.5}
    results = [
        figures(0.5, 1.5, simultaneous=together, upper_kind="finite-sample", units="u", scale=None),
        figures(0.6, None, simultaneous={"statements": 3, "lower_bound": 0.3}, units="u", scale=None),
        None,
    ]
    found = pair_matrix(3, enumerate(results), reference=False)
    assert found["simultaneous_upper_bound"][0, 1] == found["simultaneous_upper_bound"][1, 0] == 2.5
    assert np.isnan(found["simultaneous_upper_bound"][0, 2])
    ends = found["lower_bound"], found["upper_bound"]
    said = kinds(*ends, found["p_value"], 0.95, "random")
    assert cells(*ends, said)[0][1:] == ["0.500 .. 1.50", ">= 0.600"]
    assert cells(*ends, said)[1][2] == "-"
    known = [each for each in results if each is not None]
    assert common_kind(known) == "finite-sample"
    assert common_kind([*known, figures(1.0, 2.0, upper_kind="approximate")]) == "approximate"
    assert "approximate" in claim(found["upper_bound"], "approximate", "each pair", "95 %")
    nothing = np.array([[0.0, np.nan], [np.nan, 0.0]])  # a set against itself has no bound to show
    assert claim(nothing, None, "each pair", "95 %") == "W1 is at least, each pair with 95 % confidence"
    assert common_units(known) == "u"
    assert common_units([*known, figures(1.0, 2.0, units="u", scale={"divisor": [2.0]})]) is None
    assert common_units([]) is None


def test_cells_and_the_answer_say_the_same_in_words() -> None:
    results = [
        figures(0.5, 1.5), figures(0.0, 0.1234, p_value=0.4), figures(0.0, 0.3),
        figures(0.01, 0.2, p_value=0.2), figures(0.7, 0.4), None,
    ]  # fmt: skip
    found = pair_matrix(4, enumerate(results), reference=False)
    ends = found["lower_bound"], found["upper_bound"]
    said = kinds(*ends, found["p_value"], 0.95, "random")
    shown = cells(*ends, said)
    assert [shown[i][j] for i, j in places(4, reference=False)] == [
        "0.500 .. 1.50", "no evidence, <= 0.124", "differ, <= 0.300", "undecided, 0.0100 .. 0.200", "0.700 .. 0.400",
        "-",
    ]  # fmt: skip
    pairs = [said[i][j] for i, j in places(4, reference=False)]
    assert whole_answer(pairs, "95 %") == (
        "2 of 5 pairs differ, all judged together with 95 % confidence; 1 without evidence of a difference; 1 "
        "undecided; 1 whose bounds contradict each other."
    )
    assert whole_answer(["no_evidence"] * 3, "95 %").startswith(
        "None of the 3 pairs is shown to differ, all judged together"
    )


def test_of_a_single_pair_each_upper_bound_is_simultaneous() -> None:
    for reference, shape in ((False, (2, 2)), (True, (1, 1))):
        found = pair_matrix(2, [(0, figures(0.5, 1.5))], reference=reference)
        assert {name: values.shape for name, values in found.items() if name in FIGURES} == dict.fromkeys(
            FIGURES, shape
        )
        i, j = places(2, reference=reference)[0]
        assert found["simultaneous_upper_bound"][i, j] == found["upper_bound"][i, j] == 1.5


def test_a_warning_of_many_pairs_is_printed_once() -> None:
    sets = [rows * [1.0, 1.0, 1e3] for rows in some_sets()]
    matrix = matrix_w1(sets, steps=2, **QUICK)
    wide = [text for *_, text in matrix.warnings if "differ in scale" in text]
    assert len(wide) == 6
    (printed,) = [line for line in str(matrix).splitlines() if "differ in scale" in line]
    assert printed == f"warning: set 1 (source) and set 2 (target), and 5 more pairs: {wide[0]}"


@pytest.mark.parametrize("kind", ["frame", "path"])
def test_one_table_without_by_is_told_what_to_give(kind: str, tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.arange(9.0), "shop": list("abcabcabc")})
    table.to_csv(tmp_path / "shops.csv", index=False)
    with pytest.raises(OptionError, match="two sets, or one table with by='column'"):
        matrix_w1(table if kind == "frame" else str(tmp_path / "shops.csv"))  # type: ignore[arg-type]


def test_an_estimate_by_a_column_is_told_that_a_matrix_does_it() -> None:
    with pytest.raises(OptionError, match="the levels of one table are compared by a matrix"):
        estimate_w1(np.zeros((9, 1)), np.ones((9, 1)), by="shop")  # type: ignore[call-arg]
