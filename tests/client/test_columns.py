"""Column names travel with sets and critics: a server and `:local:` refuse the same rows, and score the same others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import wdist
from wdist_client import APIStatusError, Client, InvalidRequest, SampleError
from wdist_client.command import main
from wdist_client.handles import evaluation

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)) * [1, 2, 3], columns=["a", "b", "c"])
QUICK: dict[str, Any] = {"critic": "affine", "steps": 1, "baseline_rows": 0}
ORDER = r"another order \(c, a, b\); (put them into the order a, b, c|read both with columns=\['a', 'b', 'c'\])"
OTHERS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "another order": (lambda frame: frame[["c", "a", "b"]], ORDER),
    "another name": (
        lambda frame: frame.rename(columns={"c": "z"}),
        r"c only in .*, z only in .*; (give both a, b, c|read both with columns=\['a', 'b'\])",
    ),
    "one column more": (lambda frame: frame.assign(d=1.0), "d only in|3 columns|shape"),
}


@pytest.fixture
def pair(client: Client) -> tuple[str, str]:
    """Ids of two sets that were sent as frames; their records come from the server."""
    sent = [client.sample_sets.create(FRAME + shift, name=f"week {shift}") for shift in (0, 1)]
    assert all(client.sample_sets.get(each.id).columns == ["a", "b", "c"] for each in sent)
    return sent[0].id, sent[1].id


@pytest.mark.parametrize("other", OTHERS)
def test_rows_with_other_columns_are_not_scored(
    client: Client, pair: tuple[str, str], tmp_path: Path, other: str
) -> None:
    change, words = OTHERS[other]
    job = client.estimates.create(*pair, **QUICK)
    job.wait()
    if other == "one column more":  # a frame's columns are chosen before it is sent
        np.testing.assert_array_equal(job.evaluate(change(FRAME)), job.evaluate(FRAME))
    else:
        with pytest.raises(SampleError, match=words):
            job.evaluate(change(FRAME))
    change(FRAME + 9).to_csv(tmp_path / "other.csv", index=False)
    sets = client.sample_sets.create(tmp_path / "other.csv"), client.sample_sets.create(change(FRAME + 8))
    for stored in sets:
        with pytest.raises(InvalidRequest, match=words) as refused:
            client.estimates.get(job.id).evaluate(stored)
        assert refused.value.errors[0]["field"] == "sample_set"


@pytest.mark.parametrize("more", [1.0, "Rome"])
def test_rows_with_more_columns_are_scored_as_advised(
    client: Client, pair: tuple[str, str], tmp_path: Path, more: object
) -> None:
    job = client.estimates.create(*pair, **QUICK)
    expected = job.wait().critic.evaluate(FRAME * 2)
    longer = (FRAME * 2).assign(more=more)[["more", "a", "b", "c"]]
    np.testing.assert_allclose(job.evaluate(longer), expected, rtol=1e-9)
    longer.to_csv(path := tmp_path / "longer.csv", index=False, float_format="%.17g")
    with pytest.raises((InvalidRequest, SampleError), match=r"ead .* with columns=\['a', 'b', 'c'\]"):
        job.evaluate(path)
    np.testing.assert_allclose(job.evaluate(path, columns=["a", "b", "c"]), expected, rtol=1e-9)


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", ["estimate", "matrix", "reference", "pairs"])
def test_sets_with_other_columns_are_not_compared(client: Client, pair: tuple[str, str], kind: str, other: str) -> None:
    change, words = OTHERS[other]
    third = client.sample_sets.create(change(FRAME + 8)).id
    make: dict[str, Callable[[], object]] = {
        "estimate": lambda: client.estimates.create(pair[0], third, **QUICK),
        "matrix": lambda: client.batches.matrix([*pair, third], **QUICK),
        "reference": lambda: client.batches.reference(pair[0], [pair[1], third], **QUICK),
        "pairs": lambda: client.batches.pairs([pair, (pair[1], third)], **QUICK),
    }
    before = [job.id for job in client.estimates.list()]
    with pytest.raises(InvalidRequest, match=words) as refused:
        make[kind]()
    assert kind == "estimate" or "week" in str(refused.value)
    assert [job.id for job in client.estimates.list()] == before  # none of a batch is queued


def test_equal_names_and_none_give_the_librarys_scores(client: Client, pair: tuple[str, str], tmp_path: Path) -> None:
    job = client.estimates.create(*pair, **QUICK)
    job.wait()
    expected = wdist.estimate_w1(FRAME, FRAME + 1, **QUICK).critic.evaluate(FRAME + 2)
    (FRAME + 2).to_csv(tmp_path / "same.csv", index=False, float_format="%.17g")
    for rows in (FRAME + 2, FRAME.to_numpy() + 2, client.sample_sets.create(tmp_path / "same.csv")):
        np.testing.assert_allclose(job.evaluate(rows), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (FRAME.assign(b=FRAME.b.where(FRAME.index != 270)), "the value nan in row 270, column 'b' is not finite"),
        (np.full((2, 3), np.inf), "the value inf in row 0, column 0 is not finite"),
        (FRAME * 1e300, "column 'a' is beyond the range of float32"),
        (FRAME[:0], r"shape \(0, 3\) holds no values"),
        (FRAME.assign(b="x"), r"column 'b' holds text.*drop=\['b'\]"),
        (FRAME.to_numpy()[0], r"shape \(1,\)"),
        (None, "the data is None"),
        (np.array(3.0), "the data is one value, 3.0, and no set of rows"),
        (np.array("march.csv"), "the data is one value, march.csv, and no set of rows"),
        ("march.csv", "cannot read march.csv: No such file"),
        (Path("march.csv"), "cannot read march.csv: No such file"),
        ("ss_1", "no .*ss_1"),
    ],
    ids=[
        "nan",
        "infinity",
        "beyond float32",
        "no rows",
        "text",
        "a vector",
        "nothing",
        "a number",
        "a word",
        "a name",
        "a path",
        "an id",
    ],
)
def test_rows_that_no_critic_takes(
    client: Client, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, rows: Any, words: str
) -> None:
    monkeypatch.setattr(evaluation, "MAX_EVALUATED_ROWS", 100)
    job = client.estimates.create(*pair, **QUICK)
    job.wait()
    with pytest.raises((SampleError, APIStatusError), match=words):
        job.evaluate(rows)


def test_the_same_values_under_other_names_are_another_set(client: Client) -> None:
    given = FRAME.to_numpy() + 5, FRAME + 5, (FRAME + 5).rename(columns={"a": "x"})
    names = None, ["a", "b", "c"], ["x", "b", "c"]
    stored = [client.sample_sets.create(each) for each in given]
    assert [client.sample_sets.get(each).columns for each in stored] == list(names)
    assert [client.sample_sets.create(each).id for each in given] == [each.id for each in stored]
    monday, tuesday = (client.sample_sets.create(FRAME + 5, name=day) for day in ("monday", "tuesday"))
    assert [client.sample_sets.get(each).name for each in (monday, tuesday)] == ["monday", "tuesday"]
    assert client.sample_sets.create(FRAME + 5, name="monday").id == monday.id


def test_the_command_refuses_what_the_server_refuses(
    server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Client(server.url) as client:
        ids = [client.sample_sets.create(FRAME + shift).id for shift in (0, 1)]
        job = client.estimates.create(*ids, **QUICK)
        expected = job.wait().critic.evaluate(FRAME + 3)
    (FRAME + 3).to_csv(tmp_path / "same.csv", index=False, float_format="%.17g")
    (FRAME + 3)[["c", "a", "b"]].to_csv(tmp_path / "order.csv", index=False)
    address = ["--url", server.url]
    assert main([*address, "evaluate", job.id, str(tmp_path / "same.csv")]) == 0
    np.testing.assert_allclose([float(line) for line in capsys.readouterr().out.split()], expected, rtol=1e-9)
    assert main([*address, "evaluate", job.id, str(tmp_path / "order.csv")]) == 2
    error = capsys.readouterr().err
    assert "order.csv" in error
    assert "put them into the order a, b, c" in error
    (FRAME + 3).assign(city="Rome").to_csv(tmp_path / "more.csv", index=False, float_format="%.17g")
    assert main([*address, "evaluate", job.id, str(tmp_path / "more.csv")]) == 2
    assert "takes no column 'city'. Read the file with --columns a --columns b --columns c" in capsys.readouterr().err


LONG = "x" * 250
PERMUTED: dict[str, list[Any]] = {"numbers": [2, 0, 1], "long names": [LONG + "1", LONG + "2", LONG + "3"]}


@pytest.mark.parametrize("kind", PERMUTED)
def test_names_are_compared_whole_and_numbers_are_names(client: Client, tmp_path: Path, kind: str) -> None:
    names = PERMUTED[kind]
    frame = pd.DataFrame(FRAME.to_numpy() * len(str(names)), columns=names)
    other = frame[[names[1], names[0], names[2]]] + 1
    source, target = client.sample_sets.create(frame), client.sample_sets.create(other)
    with pytest.raises(SampleError, match="another order"):
        client.estimates.create(source, target, **QUICK)
    with pytest.raises(InvalidRequest, match="another order"):
        client.estimates.create(source.id, target.id, **QUICK)
    with pytest.raises(SampleError, match=r"nothing tells whether they are in the same order|in another order"):
        client.estimates.create(source, client.sample_sets.create(frame.to_numpy() + 1), **QUICK)
    job = client.estimates.create(source, client.sample_sets.create(frame + 1), **QUICK)
    job.wait()
    with pytest.raises(SampleError, match="another order"):
        job.evaluate(other)
    frame.add(5).rename(columns=str).to_parquet(tmp_path / "same.parquet")
    stored = client.sample_sets.create(tmp_path / "same.parquet")
    np.testing.assert_array_equal(job.evaluate(stored), job.evaluate(frame + 5))


def test_names_that_are_repeated_are_refused(client: Client) -> None:
    with pytest.raises(SampleError, match="more than one column is named 'a'"):
        client.sample_sets.create(pd.DataFrame(FRAME.to_numpy() + 6, columns=["a", "b", "a"]))


def test_levels_that_a_critic_was_trained_without_are_told(client: Client, tmp_path: Path) -> None:
    table = FRAME.assign(city=np.where(np.arange(300) % 2, "Rome", "Oslo"), paid=np.arange(300) % 3 == 0)
    options: dict[str, Any] = {"categories": ["city", "paid"]}
    sets = (
        client.sample_sets.create(table, **options),
        client.sample_sets.create(table.assign(a=table.a + 1), **options),
    )
    job = client.estimates.create(*sets, **QUICK)
    job.wait()
    table.to_csv(path := tmp_path / "paid.csv", index=False, float_format="%.17g")
    np.testing.assert_allclose(job.evaluate(path), job.evaluate(table), rtol=1e-9)  # pandas writes True, not true
    with pytest.warns(UserWarning, match="trained without levels that the rows have.*: '.*land' of 'city'"):
        job.evaluate(table.assign(city="Åland"))
