"""One contract for a server and for `:local:`: what is stored, refused, computed and reported is the same for both."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from server_process import ServerProcess

from wdist import compare_w1, matrix_w1
from wdist.inference.comparison import compared_figures
from wdist.verify import verify_certificate
from wdist_client import (
    APIStatusError,
    AsyncClient,
    Client,
    Conflict,
    EstimateCanceled,
    InvalidRequest,
    Job,
    NotFound,
    OptionError,
    Result,
    SampleSet,
    UnsupportedFormat,
    uploads,
)

pytestmark = pytest.mark.timeout(180)
QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}
LONG = {"critic": "groupsort", "steps": 200_000, "baseline_rows": 0}


def rows(seed: int, n: int = 400, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)) + shift


def table(seed: int, shift: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(rows(seed, shift=shift), columns=["a", "b", "c"])


def pair(client: Client, seed: int) -> tuple[SampleSet, SampleSet]:
    return client.sample_sets.create(rows(seed)), client.sample_sets.create(rows(seed + 1, shift=1.0))


def refused(call: Callable[[], object]) -> APIStatusError:
    with pytest.raises(APIStatusError) as caught:
        call()
    return caught.value


def fields(error: APIStatusError) -> list[str]:
    return [each["field"] for each in error.errors]


# Sets


def test_a_set_is_described_listed_and_deleted(client: Client) -> None:
    x = rows(900)
    stored = client.sample_sets.create(x, name="first")
    assert (stored.name, stored.shape, stored.dtype, stored.rows) == ("first", [400, 3], "<f8", 400)
    assert stored.statistics["columns"][1] == pytest.approx(
        {"min": x[:, 1].min(), "max": x[:, 1].max(), "mean": x[:, 1].mean(), "std": x[:, 1].std()}
    )
    assert stored.statistics["std"] == pytest.approx(x.std())
    assert stored.statistics["constant"] is False
    assert next(iter(client.sample_sets.list())).id == stored.id
    assert client.sample_sets.get(stored) == stored
    client.sample_sets.delete(stored)
    assert refused(lambda: client.sample_sets.get(stored)).status == 404
    assert refused(lambda: client.sample_sets.delete(stored)).status == 404


def test_the_same_rows_are_one_set_in_whatever_file_they_come(client: Client, tmp_path: Path) -> None:
    frame = table(910)
    frame.to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
    frame.to_csv(tmp_path / "rows.tsv", index=False, float_format="%.17g", sep="\t")
    frame.to_parquet(tmp_path / "rows.parquet")
    values = np.ascontiguousarray(frame)
    np.save(tmp_path / "rows.npy", values)
    np.savez(tmp_path / "rows.npz", x=values, y=np.ones(3))
    stored = client.sample_sets.create(tmp_path / "rows.csv", name="table")
    assert (stored.name, stored.columns) == ("table", ["a", "b", "c"])
    for name in ("tsv", "parquet"):
        assert client.sample_sets.create(tmp_path / f"rows.{name}").id == stored.id, name
    assert client.sample_sets.create(frame).id == stored.id
    unnamed = client.sample_sets.create(tmp_path / "rows.npy")
    assert client.sample_sets.create(tmp_path / "rows.npz", member="x").id == unnamed.id
    frame.rename(columns={"c": "z"}).to_csv(tmp_path / "renamed.csv", index=False, float_format="%.17g")
    renamed = client.sample_sets.create(tmp_path / "renamed.csv")
    assert renamed.columns == ["a", "b", "z"]
    found = {each.id for each in client.sample_sets.list(sha256=stored.sha256)}
    assert found == {stored.id, unnamed.id, renamed.id}


def test_a_large_table_keeps_its_name_and_columns(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "RESUMABLE_BYTES", 1000)
    table(915).assign(who="p").to_csv(tmp_path / "rows.csv", index=False)
    stored = client.sample_sets.create(tmp_path / "rows.csv", drop=["who", "c"])
    assert (stored.name, stored.columns, stored.shape) == (None, ["a", "b"], [400, 2])


@pytest.mark.parametrize(
    ("name", "part", "status", "field", "words"),
    [
        ("x.csv", {"drop": ["q"]}, 422, ["body"], "'q'"),
        ("x.npy", {"drop": ["a"]}, 422, ["drop"], "no names of columns"),
        ("x.npz", {}, 422, ["body"], "2 arrays"),
        ("holes.csv", {}, 422, ["body"], "column 'b', line 7"),
        ("x.odt", {}, 415, ["filename"], r"x\.odt"),
    ],
)
def test_files_are_refused_with_the_same_words(
    client: Client, tmp_path: Path, name: str, part: dict[str, object], status: int, field: list[str], words: str
) -> None:
    frame = table(920)
    frame.to_csv(tmp_path / "x.csv", index=False)
    frame.to_csv(tmp_path / "x.odt", index=False)
    np.save(tmp_path / "x.npy", frame.to_numpy())
    np.savez(tmp_path / "x.npz", x=frame.to_numpy(), y=frame.to_numpy())
    frame.assign(b=frame.b.where(frame.index != 5)).to_csv(tmp_path / "holes.csv", index=False)
    with pytest.raises(APIStatusError, match=words) as caught:
        client.sample_sets.create(tmp_path / name, **part)  # type: ignore[arg-type]
    assert (caught.value.status, fields(caught.value)) == (status, field)
    assert isinstance(caught.value, UnsupportedFormat if status == 415 else InvalidRequest)


# Estimates


def test_an_estimate_from_submission_to_certificate(client: Client, tmp_path: Path) -> None:
    source, target = pair(client, 930)
    job = client.estimates.create(source, target, metadata={"for": "contract"}, idempotency_key="contract-930", **QUICK)
    result = job.wait(timeout=120)
    assert 0 < result.lower_bound < result.value < np.sqrt(3) * 1.2
    assert client.estimates.get(job.id).result == result
    assert job.id in [found.id for found in client.estimates.list(metadata={"for": "contract"})]
    assert job.evaluate(rows(932)).shape == (400,)
    assert isinstance(job.curve(), list)
    for name, data in (("x", rows(930)), ("y", rows(931, shift=1.0))):
        np.save(tmp_path / f"{name}.npy", data)
    job.certificate(tmp_path / "c.cert")
    assert verify_certificate(tmp_path / "c.cert", tmp_path / "x.npy", tmp_path / "y.npy").valid
    again = client.estimates.create(
        source, target, metadata={"for": "contract"}, idempotency_key="contract-930", **QUICK
    )
    assert again.id == job.id
    other = refused(lambda: client.estimates.create(source, target, idempotency_key="contract-930", **QUICK))
    assert (other.status, fields(other)) == (422, ["Idempotency-Key"])
    client.estimates.delete(job.id)
    assert refused(lambda: client.estimates.get(job.id)).status == 404


REFUSED = [
    ({"confidence": 1.5}, ["confidence"]),
    ({"confidence": 2, "seed": -1, "priority": "x"}, ["confidence", "seed", "priority"]),
    ({"critic": "oracle"}, ["critic"]),
    ({"critic": "bcop"}, ["critic"]),
    ({"sharpness": 3}, ["sharpness"]),
    ({"confidnce": 0.9}, ["confidnce"]),
    ({"steps": 0}, ["steps"]),
    ({"steps": 1, "max_seconds": 1}, ["steps"]),
    ({"max_seconds": 1e6}, ["max_seconds"]),
    ({"statements": "q"}, ["statements"]),
    ({"baseline_rows": 6000}, ["baseline_rows"]),
    ({"scale": [1]}, ["scale"]),
    ({"scale": []}, ["scale"]),
    ({"scale": [1, "2", 3]}, ["scale.1"]),
    ({"layout": "nhwc"}, ["layout"]),
    *(({"device": device}, ["device"]) for device in ("gpu", "meta", "", 1)),
    ({"priority": "x"}, ["priority"]),
    ({"metadata": {"a": 1}}, ["metadata.a"]),
    ({"metadata": "q"}, ["metadata"]),
    ({"metadata": {"a": "b" * 513}}, ["metadata.a"]),
    ({"metadata": {"a" * 65: "b"}}, ["metadata." + "a" * 65]),
    ({"metadata": {str(k): "" for k in range(51)}}, ["metadata"]),
]


def said_of(call: Callable[[Client], object], server: ServerProcess) -> tuple[int, str, list[dict[str, object]]]:
    """What a server and a local client both say of a call. Nothing is queued where it is refused."""
    said = []
    for address in (server.url, ":local:"):
        with Client(address) as client:
            before = len(list(client.estimates.list()))
            error = refused(lambda client=client: call(client))
            assert len(list(client.estimates.list())) == before
            said.append((error.status, error.detail, error.errors))
    assert said[0] == said[1]
    return said[0]


@pytest.mark.parametrize(("options", "named"), REFUSED)
def test_options_are_refused_with_the_same_words(
    server: ServerProcess, options: dict[str, object], named: list[str]
) -> None:
    calls = [
        lambda client: client.estimates.create(*pair(client, 930), **options),
        lambda client: client.batches.matrix(pair(client, 930), simultaneous=True, **options),
    ]
    for call in calls:
        status, detail, errors = said_of(call, server)
        assert (status, [each["field"] for each in errors]) == (422, named)
        assert detail == "; ".join(str(each["message"]) for each in errors)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client, x, _: client.batches.matrix([x]), "matrix is"),
        (lambda client, x, _: client.batches.matrix([x, x]), "matrix names a set twice"),
        (lambda client, x, y: client.batches.reference(x, [y, y]), "targets names a set twice"),
        (lambda client, *_: client.batches.pairs([]), "pairs is"),
        (lambda client, x, y: client.batches.pairs([(x, y, "a"), (y, x, "a")]), "pairs uses a custom_id twice"),
        (lambda client, x, y: client.batches.pairs([(x, y, 3)]), "pairs.0.custom_id is 3"),
        (lambda client, x, y: client.batches.matrix([x, y], simultaneous="x"), "simultaneous is 'x'"),
        (lambda client, x, y: client.estimates.create(x, y, groups={}), "groups is"),
        (lambda client, x, y: client.estimates.create(x, y, groups=[x, y], split="blocks"), "groups are split"),
        (lambda client, x, y: client.estimates.create(x, y, groups=[x, y], ranges=[-9, 9]), "leave out ranges"),
        (lambda client, *_: list(client.estimates.list(status="foo")), "status is 'foo'; it must be 'queued'"),
    ],
)
def test_requests_are_refused_with_the_same_words(
    server: ServerProcess, call: Callable[..., object], words: str
) -> None:
    # Ids of its own that are the same for both, as messages repeat them.
    ids = "ss_aaaaaaaaaaaaaaaaaaaaaaaa", "ss_bbbbbbbbbbbbbbbbbbbbbbbb"
    status, detail, _ = said_of(lambda client: call(client, *ids), server)
    assert status == 422
    assert words in detail


def test_numbers_of_numpy_are_options(client: Client) -> None:
    numbers = {"seed": np.int64(3), "confidence": np.float64(0.9), "scale": np.array([1, 2, 3]), "steps": np.uint8(2)}
    options = {"critic": "affine", "baseline_rows": np.array(0), "empirical": np.bool_(False), **numbers}
    result = client.estimates.create(*pair(client, 930), **options).wait(timeout=120)
    assert (result.seed, result.confidence) == (3, 0.9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": ["ss_a"]}, "^groups takes two sets"),
        ({"groups": 3}, "^groups takes two sets"),
        ({"groups": "ss_a"}, "^groups takes two sets"),
        ({"confidence": float("nan")}, "^confidence is nan; it must be a finite number$"),
        ({"scale": np.array([1, np.inf])}, r"^scale is .*; it must be a finite number$"),
        ({"seed": object()}, "^seed cannot be written as JSON: it is of type object$"),
    ],
)
def test_options_that_cannot_be_sent_are_named(client: Client, options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        client.estimates.create("ss_a", "ss_b", **options)


def test_what_is_said_of_several_options_is_said_once(client: Client) -> None:
    error = refused(lambda: client.estimates.create(*pair(client, 930), seed=-1, steps=0))
    assert str(error).count("seed is -1") == str(error).count("steps is 0") == 1


def test_sets_that_cannot_be_compared_are_refused_at_once(client: Client) -> None:
    source = client.sample_sets.create(rows(940))
    for other, field in ((rows(941)[:, :2], "target"), (rows(942, n=50), "target")):
        target = client.sample_sets.create(other)
        error = refused(lambda target=target: client.estimates.create(source, target, **QUICK))
        assert (error.status, fields(error)) == (422, [field])
    assert refused(lambda: client.estimates.create(source, "ss_unknown")).status == 404


def test_groups_of_a_table(client: Client, tmp_path: Path) -> None:
    for name, shift in (("x", 0.0), ("y", 1.0)):
        frame = table(len(name) + int(shift) + 950, shift).assign(who=[f"p{i // 2}" for i in range(400)])
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    sets = [client.sample_sets.create(tmp_path / f"{name}.csv", drop=["who"]) for name in "xy"]
    labels = client.sample_sets.create(tmp_path / "x.csv", labels="who")
    assert (labels.shape, labels.dtype) == ([400, 1], "<i8")
    result = client.estimates.create(*sets, groups=(labels, labels), **QUICK).wait(timeout=120)
    assert (result.split, result.n.source.test % 2) == ("groups", 0)
    short = client.sample_sets.create(np.arange(300))
    error = refused(lambda: client.estimates.create(*sets, groups=(short, short), **QUICK))
    assert (error.status, fields(error)) == (422, ["groups"])


def test_a_running_job_is_canceled_and_keeps_its_sets_until_then(client: Client) -> None:
    source, target = pair(client, 960)
    job = client.estimates.create(source, target, **LONG)
    for call in (lambda: client.sample_sets.delete(source), lambda: client.estimates.delete(job.id), job.certificate):
        assert refused(call).status == 409
    job.cancel()
    with pytest.raises(EstimateCanceled):
        job.wait(timeout=60)
    client.sample_sets.delete(source)


def test_a_running_job_finishes_with_what_it_has(client: Client) -> None:
    source, target = pair(client, 965)
    job = client.estimates.create(source, target, **LONG)
    while job.refresh().progress is None:
        time.sleep(0.05)
    assert job.finish().estimate.finishing
    result = job.wait(timeout=60)
    assert result.steps is not None
    assert 1 <= result.steps < LONG["steps"]
    assert any("ended early" in warning for warning in result.warnings)
    assert any(event.type == "status" and event.data.get("finishing") for event in job.events())
    assert job.finish().estimate == job.refresh().estimate


# Batches


def test_a_matrix_and_a_reference_of_the_same_sets(client: Client) -> None:
    sets = [client.sample_sets.create(rows(970 + k, shift=float(k)), name=f"set {k}") for k in range(3)]
    square = client.batches.matrix(sets, simultaneous=True, diameter=20.0, **QUICK).wait(timeout=150)
    row = client.batches.reference(sets[0], sets[1:], simultaneous=True, diameter=20.0, **QUICK).wait(timeout=150)
    for name in ("value", "lower_bound", "upper_bound", "p_value"):
        whole, first = getattr(square, name), getattr(row, name)
        np.testing.assert_array_equal(whole, whole.T)
        np.testing.assert_array_equal(np.diag(whole), 1.0 if name == "p_value" else 0.0)
        np.testing.assert_array_equal(first, whole[:1, 1:])
    together = square.simultaneous_lower_bound
    assert (together[0, 1:] < row.simultaneous_lower_bound[0]).all()  # three statements instead of two
    assert (row.simultaneous_lower_bound < row.lower_bound).all()
    smallest = square.p_value[np.triu_indices(3, 1)].min()
    assert square.adjusted_p_value.min() == pytest.approx(3 * smallest)
    explicit = client.batches.pairs([(sets[0], sets[1], "mine")], **QUICK)
    (only,) = explicit.results(wait=True)
    assert (only.status, only.result is None) == ("succeeded", False)
    assert refused(explicit.matrix).status == 409
    assert refused(lambda: client.batches.matrix([sets[0], sets[0]])).status == 422
    assert refused(lambda: client.batches.get("batch_unknown")).status == 404


@pytest.mark.parametrize("reference", [False, True])
def test_all_pairs_have_one_unit_and_the_figures_of_the_library(client: Client, reference: bool) -> None:
    sets = {f"set {k}": rows(990 + k, n=300 + 50 * k, shift=float(k)) * [1, 10, 1 + 9 * k] for k in range(3)}
    expected = matrix_w1(sets, reference=reference, scale="standardize", **QUICK)
    stored = [client.sample_sets.create(each, name=name) for name, each in sets.items()]
    given = {"scale": "standardize", "simultaneous": True, **QUICK}
    job = (
        client.batches.reference(stored[0], stored[1:], **given)
        if reference
        else client.batches.matrix(stored, **given)
    )
    found = job.wait(timeout=150)
    for name in ("value", "lower_bound", "simultaneous_lower_bound", "p_value", "adjusted_p_value"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.units == expected.units
    assert "of each column of set 0" in str(found)
    for estimate, result in zip(job.results(), expected.results, strict=True):
        assert estimate.result is not None
        assert estimate.result.scale == result.scale == expected.results[0].scale


def test_groups_of_a_matrix_have_the_figures_of_the_library(client: Client, tmp_path: Path) -> None:
    frames = {f"set {k}": table(880 + k, shift=float(k)).assign(who=np.arange(400) // 2 + 80 * k) for k in range(3)}
    expected = matrix_w1(frames, groups="who", scale="standardize", **QUICK)
    stored, groups = [], {}
    for name, frame in frames.items():
        stored.append(client.sample_sets.create(frame.drop(columns="who"), name=name))
        groups[stored[-1].id] = client.sample_sets.create(frame[["who"]]).id
    found = client.batches.matrix(stored, groups=groups, scale="standardize", **QUICK).wait(timeout=150)
    for name in ("value", "lower_bound", "p_value"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.units == expected.units


def test_the_first_set_stays_until_all_pairs_are_done(client: Client) -> None:
    stored = [client.sample_sets.create(rows(870 + k, shift=float(k))) for k in range(3)]
    job = client.batches.matrix(stored, scale="standardize", **LONG)
    *others, last = (client.estimates.get(each.id) for each in job.results())
    for each in others:
        each.cancel()
    while not all(each.refresh().estimate.ended for each in others):
        time.sleep(0.05)
    with pytest.raises(Conflict):
        client.sample_sets.delete(stored[0])
    last.cancel()
    while not last.refresh().estimate.ended:
        time.sleep(0.05)
    client.sample_sets.delete(stored[0])


@pytest.mark.parametrize("options", [{}, {"simultaneous": True}, {"statements": 5}])
def test_the_simultaneous_bound_of_a_single_pair_is_that_of_the_library(client: Client, options: dict) -> None:
    x, y = rows(980), rows(981, shift=1.0)
    given = {name: value for name, value in options.items() if name != "simultaneous"}
    expected = matrix_w1([x, y], **given, **QUICK)
    sets = [client.sample_sets.create(each) for each in (x, y)]
    square = client.batches.matrix(sets, **options, **QUICK).wait(timeout=150)
    row = client.batches.reference(sets[0], sets[1:], **options, **QUICK).wait(timeout=150)
    for found, part in ((square, np.s_[:]), (row, np.s_[:1, 1:])):
        assert found.simultaneous_lower_bound == pytest.approx(expected.simultaneous_lower_bound[part], rel=1e-6)
        assert found.lower_bound == pytest.approx(expected.lower_bound[part], rel=1e-6)
        assert "all pairs together" not in str(found)
    assert (row.simultaneous_lower_bound[0, 0] == row.lower_bound[0, 0]) == (not given)


@pytest.mark.parametrize("given", [{}, {"scale": 2.0, "confidence": 0.9}, {"diameter": 20.0}], ids=str)
def test_a_comparison_is_that_of_the_library(client: Client, given: dict[str, Any]) -> None:
    sets = {
        name: rows(seed, shift=shift) for name, seed, shift in (("real", 1070, 0.0), ("a", 1071, 0.5), ("b", 1072, 1.5))
    }
    expected = compare_w1(sets["real"], {"a": sets["a"], "b": sets["b"]}, delta=0.3, **given, **QUICK)
    stored = [client.sample_sets.create(each, name=name) for name, each in sets.items()]
    job = client.batches.compare(stored[0], stored[1:], **given, **QUICK)
    found = job.comparison(delta=0.3, timeout=150)
    results = [json.loads(each.result.model_dump_json()) for each in job.results() if each.result is not None]
    assert found.model_dump(exclude={"warnings"}) == compared_figures("real", ["a", "b"], results, 0.3).model_dump()
    assert found.warnings == expected.warnings
    assert len(found.warnings) == sum(len(each["warnings"]) for each in results)
    for one, other in zip(
        (*found.ranking, *found.differences), (*expected.ranking, *expected.differences), strict=True
    ):
        for name in {"lower_bound", "upper_bound", "value", "shown"} & one.model_dump().keys():
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6)  # sums depend on the threads
    assert str(found).splitlines()[2:6] == str(expected).replace("from reference", "from real").splitlines()[2:6]
    assert "<table>" in found._repr_html_()
    by_id = client.batches.get(job.id).comparison()
    assert by_id.delta is None
    assert [each.name for each in by_id.ranking] == [each.name for each in found.ranking]
    assert job.wait().value.shape == (1, 2)  # it is a reference batch too


def test_a_comparison_is_refused_with_the_same_words(client: Client) -> None:
    x, y, z = (client.sample_sets.create(rows(seed)) for seed in (1075, 1076, 1077))
    for targets, options, words in (
        ([y], {}, "at least two candidates"),
        ([y, x], {}, "the reference is among the targets"),
        ([y, z], {"upper": "none"}, "upper: a comparison needs"),
        ([y, z], {"split": "blocks"}, "split: a comparison needs"),
    ):
        error = refused(lambda t=targets, o=options: client.batches.compare(x, t, **o, **QUICK))
        assert (error.status, words in str(error)) == (422, True), str(error)
    plain = client.batches.reference(x, [y, z], **QUICK)
    plain.wait(timeout=150)
    assert refused(plain.comparison).status == 409
    job = client.batches.compare(x, [y, z], **QUICK)
    error = refused(lambda: job.comparison(delta=0.0, timeout=150))
    assert (error.status, fields(error)) == (422, ["delta"])


# Both at once


def figures(result: Result) -> tuple[float | None, ...]:
    return result.value, result.lower_bound, result.upper_bound, result.p_value, result.lipschitz_bound


def test_server_and_local_give_equal_figures(server: ServerProcess, tmp_path: Path) -> None:
    table(980).to_csv(tmp_path / "x.csv", index=False)
    table(981, shift=0.5).to_parquet(tmp_path / "y.parquet")
    found: list[Result] = []
    for address in (server.url, ":local:"):
        with Client(address) as client:
            sets = [client.sample_sets.create(tmp_path / name) for name in ("x.csv", "y.parquet")]
            job: Job = client.estimates.create(*sets, critic="groupsort", steps=20, seed=3, diameter=30.0, statements=4)
            found.append(job.wait(timeout=120))
    assert figures(found[0]) == pytest.approx(figures(found[1]), rel=1e-6)
    assert found[0].simultaneous is not None
    assert found[1].simultaneous is not None
    assert found[0].simultaneous.lower_bound == pytest.approx(found[1].simultaneous.lower_bound, rel=1e-6)
    assert found[0].n == found[1].n


def test_the_async_client_keeps_the_contract(address: str, tmp_path: Path) -> None:
    table(990).to_csv(tmp_path / "x.csv", index=False)

    async def run() -> tuple[SampleSet, Result, int]:
        async with AsyncClient(address) as client:
            source = await client.sample_sets.create(tmp_path / "x.csv", drop=["c"])
            target = await client.sample_sets.create(table(991, shift=1.0), drop=["c"])
            result = await (await client.estimates.create(source, target, **QUICK)).wait(timeout=120)
            with pytest.raises(NotFound) as caught:
                await client.estimates.create(source, "ss_unknown")
            return source, result, caught.value.status

    source, result, status = asyncio.run(run())
    assert (source.columns, source.shape, status) == (["a", "b"], [400, 2], 404)
    assert result.lower_bound > 0


def test_numbers_and_scores_are_of_the_rows_that_were_kept(client: Client, tmp_path: Path) -> None:
    frame = table(2_001, shift=1.0)
    frame.loc[[0, 3, 4], "a"] = np.nan
    frame.loc[100:, "a"] = np.arange(100.0, 400.0)  # the price of row k is k, of which 3 rows before are left out
    frame.to_csv(tmp_path / "march.csv", index=False)
    source = client.sample_sets.create(table(2_000))
    target = client.sample_sets.create(tmp_path / "march.csv", missing="drop")
    assert target.rows == 397
    job = client.estimates.create(source, target, upper="none", **QUICK)
    witness = job.wait().witness
    assert "count only the 397 rows of the target that were kept" in witness.numbering
    assert str(witness).endswith(witness.numbering)
    content = frame.dropna()["a"].to_numpy()
    largest = [content[each.row] for each in witness.unusual(5)["target"]]
    assert largest == [each.row + 3 for each in witness.unusual(5)["target"]]
    assert job.evaluate(target).shape == (397,)
