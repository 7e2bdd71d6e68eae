"""What a critic refuses to score: other columns, another order, and rows that are not finite numbers of its shape."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import wdist
from wdist.critics.critic import Critic, load_critic
from wdist.errors import SampleError
from wdist.verify import CertificateError, read_critic

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)) * [1, 2, 3], columns=["a", "b", "c"])
QUICK: dict[str, Any] = {"critic": "affine", "steps": 1, "baseline_rows": 0}
Score = Callable[[Any], np.ndarray]

MORE = "one column more"
# What is given, what the library says of it, and what the verifier's reader says.
FAULTS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "another order": (
        lambda: FRAME[["c", "a", "b"]],
        r"another order \(c, a, b\); put them into the order a, b, c",
        "the columns c, a, b; this critic takes a, b, c",
    ),
    "another name": (
        lambda: FRAME.rename(columns={"c": "z"}),
        "it lacks 'c', and has 'z': give it the columns a, b, c, in that order",
        "the columns a, b, z; this critic takes a, b, c",
    ),
    "the numbers of pandas": (
        lambda: pd.DataFrame(FRAME.to_numpy()),
        "a, b, c only in the critic, 0, 1, 2 only in the rows",
        "the columns 0, 1, 2; this critic takes a, b, c",
    ),
    MORE: (
        lambda: FRAME.assign(d=1.0),
        "",  # see test_columns_that_a_critic_does_not_need_may_be_there
        "the columns a, b, c, d",
    ),
    "one column less": (
        lambda: FRAME[["a", "b"]],
        "it lacks 'c': give it the columns a, b, c",
        "the columns a, b; this",
    ),
    "a missing value": (
        lambda: FRAME.assign(b=FRAME.b.where(FRAME.index != 7)),
        r"rows: column 'b', row 7 \(the first is 0\) has a missing value",
        "row 7 holds a value that is not finite",
    ),
    "infinity": (lambda: np.full((4, 3), np.inf), "inf in row 0, column 0 is not finite", "row 0 holds"),
    "beyond float32": (lambda: FRAME * 1e300, "column 'a' is beyond the range of float32", "row 0 holds"),
    "no rows": (lambda: FRAME[:0], r"shape \(0, 3\) holds no values", r"shape \(0, 3\) holds no rows"),
    "a vector": (
        lambda: FRAME.to_numpy()[0],
        r"have shape \(1,\), this critic takes \(3,\); a single row is an array of shape \(1, 3\)",
        r"shape \(1,\) do not fit a critic of \(3,\)",
    ),
    "text": (lambda: FRAME.assign(b="x"), "column 'b' holds text", "not an array of real numbers"),
    "images": (lambda: np.zeros((5, 4, 4, 3), np.uint8), r"takes tables with rows of shape \(3,\)", "uint8"),
    "nothing": (lambda: None, "rows is None", "not an array of real numbers"),
}
EQUAL: dict[str, Callable[[], Any]] = {
    "pandas": lambda: FRAME,
    "polars": lambda: pl.from_pandas(FRAME),
    "pyarrow": lambda: pa.Table.from_pandas(FRAME),
    "an array": FRAME.to_numpy,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stored critic of a frame's columns."""
    made = tmp_path_factory.mktemp("critic")
    wdist.estimate_w1(FRAME + 1, FRAME, **QUICK).critic.save(made)
    return made


@pytest.fixture(params=["evaluate", "gradient"])
def what(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != MORE])
def test_rows_that_a_critic_does_not_take(folder: Path, what: str, fault: str) -> None:
    rows, words, reader_words = FAULTS[fault]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # 1e300 as float32
        with pytest.raises(SampleError, match=words):
            getattr(load_critic(folder), what)(rows())
        with pytest.raises(CertificateError, match=reader_words):
            getattr(read_critic(folder), what)(rows())


@pytest.mark.parametrize("kind", EQUAL)
def test_rows_with_the_same_names_or_none_have_the_same_scores(folder: Path, what: str, kind: str) -> None:
    critic, reader = load_critic(folder), read_critic(folder)
    expected = (critic.scores if what == "evaluate" else critic.slopes)(FRAME.to_numpy(np.float64))
    for scorer in (critic, reader):
        np.testing.assert_allclose(getattr(scorer, what)(EQUAL[kind]()), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["frame", "polars", "csv", "parquet"])
def test_columns_that_a_critic_does_not_need_may_be_there(folder: Path, tmp_path: Path, what: str, kind: str) -> None:
    more = FRAME.assign(city="Rome", d=np.nan)[["city", "a", "d", "b", "c"]]
    given: Any = {"frame": more, "polars": pl.from_pandas(more)}.get(kind, tmp_path / f"rows.{kind}")
    if kind == "csv":
        more.to_csv(given, index=False, float_format="%.17g")
    elif kind == "parquet":
        more.to_parquet(given)
    critic = load_critic(folder)
    np.testing.assert_array_equal(getattr(critic, what)(given), getattr(critic, what)(FRAME))


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_files_are_checked_as_frames_are(folder: Path, tmp_path: Path, ending: str) -> None:
    critic = load_critic(folder)
    for name, frame in (("same", FRAME), ("order", FRAME[["c", "a", "b"]])):
        path = tmp_path / f"{name}.{ending}"
        frame.to_csv(path, index=False, float_format="%.17g") if ending == "csv" else frame.to_parquet(path)
    np.testing.assert_array_equal(critic.evaluate(tmp_path / f"same.{ending}"), critic.evaluate(FRAME))
    with pytest.raises(SampleError, match="another order"):
        critic.evaluate(tmp_path / f"order.{ending}")


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float16, np.float32])
def test_numbers_of_any_type_are_the_same_rows(folder: Path, dtype: type) -> None:
    whole = (np.arange(12).reshape(4, 3) % 2).astype(dtype)
    for scorer in (load_critic(folder), read_critic(folder)):
        np.testing.assert_array_equal(scorer.evaluate(whole), scorer.evaluate(whole.astype(np.float64)))
        assert scorer.evaluate(whole[:1]).shape == (1,)


def test_a_critic_of_unnamed_columns_takes_any_names(tmp_path: Path) -> None:
    wdist.estimate_w1(FRAME.to_numpy(), FRAME.to_numpy() + 1, **QUICK).critic.save(tmp_path)
    document = json.loads((tmp_path / "critic.json").read_text())
    assert "columns" not in document
    critic: Critic = load_critic(tmp_path)
    np.testing.assert_array_equal(
        critic.evaluate(FRAME[["c", "a", "b"]]), critic.evaluate(FRAME[["c", "a", "b"]].to_numpy())
    )


def test_names_stand_where_version_0_1_does_not_look(folder: Path) -> None:
    document = json.loads((folder / "critic.json").read_text())
    assert (document["format"], document["columns"]) == (1, ["a", "b", "c"])
    assert set(document["input"]) == {"row_shape", "layout", "uint8", "scale"}  # 0.1 refuses any other field


@pytest.mark.parametrize("name", ["estimate_w1", "matrix_w1"])
@pytest.mark.parametrize("fault", ["another order", "another name", MORE, "one column less"])
def test_sets_with_other_columns_are_not_compared(name: str, fault: str) -> None:
    other = FAULTS[fault][0]()
    given = (FRAME, other) if name == "estimate_w1" else ({"first": FRAME, "second": other},)
    with pytest.raises(SampleError, match=r"another order|different columns") as refused:
        getattr(wdist, name)(*given, **QUICK)
    assert "read both with columns=['a', 'b'" in str(refused.value)
    if name == "matrix_w1":
        assert "first" in str(refused.value)
        assert "second" in str(refused.value)


def test_numbered_columns_keep_their_order(tmp_path: Path) -> None:
    numbered = pd.DataFrame(FRAME.to_numpy())
    with pytest.raises(SampleError, match=r"another order \(1, 0, 2\); put them into the order 0, 1, 2"):
        wdist.estimate_w1(numbered, numbered[[1, 0, 2]] + 1, **QUICK)
    wdist.estimate_w1(numbered, FRAME.to_numpy() + 1, **QUICK).critic.save(tmp_path)
    for scorer, error in ((load_critic(tmp_path), SampleError), (read_critic(tmp_path), CertificateError)):
        with pytest.raises(error, match="1, 0, 2"):
            scorer.evaluate(numbered[[1, 0, 2]])
        np.testing.assert_array_equal(scorer.evaluate(numbered), scorer.evaluate(FRAME.to_numpy()))


@pytest.mark.parametrize("as_file", [True, False])
def test_columns_that_were_left_out_need_not_be_there(tmp_path: Path, as_file: bool) -> None:
    extra = FRAME.assign(city="Rome", born="2001-02-03")
    critic = wdist.estimate_w1(extra.assign(a=FRAME.a + 1), extra, drop=["city", "born"], **QUICK).critic

    def given(frame: pd.DataFrame) -> Any:
        if not as_file:
            return frame
        frame.to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
        return tmp_path / "rows.csv"

    for there in (extra, extra.drop(columns="city"), FRAME):
        np.testing.assert_array_equal(critic.evaluate(given(there)), critic.evaluate(FRAME.to_numpy()))
    with pytest.raises(SampleError, match="it lacks 'b', 'c': give it the columns a, b, c, in that order") as refused:
        critic.evaluate(given(extra[["a", "city"]]))
    with pytest.raises(SampleError, match="column 'b'") as of_text:
        critic.evaluate(given(FRAME.assign(b="many")))
    assert "=" not in f"{refused.value}{of_text.value}", "evaluate takes no options"


TABLE = pd.DataFrame(
    {
        "a": np.random.default_rng(1).normal(size=200),
        "paid": np.arange(200) % 3 == 0,
        "city": np.where(np.arange(200) % 2, "Rome", "Oslo"),
    }
)
BOOLEANS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "booleans": lambda frame: frame,
    "pandas": lambda frame: frame.assign(paid=frame.paid.astype(str)),
    "R": lambda frame: frame.assign(paid=frame.paid.astype(str).str.upper()),
    "JSON": lambda frame: frame.assign(paid=frame.paid.astype(str).str.lower()),
}


@pytest.mark.parametrize("trained", BOOLEANS)
@pytest.mark.parametrize("scored", BOOLEANS)
def test_a_boolean_is_one_level_however_it_is_written(tmp_path: Path, trained: str, scored: str) -> None:
    sets = BOOLEANS[trained](TABLE.assign(a=TABLE.a + 1)), BOOLEANS[scored](TABLE)
    result = wdist.estimate_w1(*sets, categories=["paid", "city"], **QUICK)
    assert not [warning for warning in result.warnings if "level" in warning]
    result.critic.save(tmp_path)
    critic = load_critic(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(critic.evaluate(sets[1]), critic.evaluate(BOOLEANS[trained](TABLE)))


def test_levels_that_a_critic_was_trained_without_are_told() -> None:
    critic = wdist.estimate_w1(TABLE.assign(a=TABLE.a + 1), TABLE, categories=["paid", "city"], **QUICK).critic
    new = TABLE.assign(city=np.where(np.arange(200) % 2, "rome", "Bergen"))
    with pytest.warns(UserWarning, match="trained without levels|spell differently") as told:
        critic.evaluate(new)
    assert [str(each.message) for each in told] == [
        "the critic was trained without levels that the rows have, and takes all of them alike: 'Bergen' of 'city', "
        "'rome' of 'city'",
        "levels that the critic and the rows may only spell differently are category_cost apart: 'Rome' and 'rome' of "
        "'city'; write them alike in both",
    ]
    assert all(each.filename == __file__ for each in told)
