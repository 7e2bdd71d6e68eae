"""Many estimates at once, and the critic on rows: on a real server and without one."""

import asyncio

import numpy as np
import pytest

from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist_client import AsyncClient, Client, Conflict, InvalidRequest, Matrix, NotFound

pytestmark = pytest.mark.timeout(120)
QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}


def rows(seed: int, shift: float = 0.0, n: int = 400) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, 2)) + shift).astype(np.float32)


def test_a_matrix_is_labelled_mirrored_and_below_the_truth(client: Client) -> None:
    sets = [client.sample_sets.create(rows(60 + i, shift=float(i)), name=f"week {i}") for i in range(3)]
    job = client.batches.matrix(sets, **QUICK)
    matrix = job.wait(timeout=100)
    assert (job.status, job.batch.counts.succeeded) == ("finished", 3)
    assert matrix.rows == matrix.columns == ["week 0", "week 1", "week 2"]
    np.testing.assert_array_equal(np.diag(matrix.lower_bound), 0)
    np.testing.assert_array_equal(np.diag(matrix.p_value), 1)
    assert np.all(matrix.adjusted_p_value >= matrix.p_value)
    np.testing.assert_array_equal(matrix.value, matrix.value.T)
    truth = np.sqrt(2) * np.abs(np.subtract.outer(range(3), range(3)))
    assert (matrix.lower_bound <= truth).all()
    assert matrix.lower_bound[0, 2] > 1.0
    assert matrix.complete
    np.testing.assert_array_equal(np.asarray(matrix), matrix.value)
    for text in (str(matrix), matrix._repr_html_()):
        assert "week 2" in text
        assert "W1 lies between, each pair by itself, each end with 95 % confidence, upper ends approximate" in text
        assert "all pairs together" not in text
        assert "adjusted so that all 3 pairs together may be judged by it (Holm)" in text
        assert "All of the 3 pairs differ, all judged together with 95 % confidence." in text
    assert str(matrix).splitlines()[5].split() == [
        "week",
        "1",
        *(rounded_down(matrix.lower_bound[1, 0]), "..", rounded_up(matrix.upper_bound[1, 0])),
        "-",
        *(rounded_down(matrix.lower_bound[1, 2]), "..", rounded_up(matrix.upper_bound[1, 2])),
    ]
    assert (matrix.upper_bound >= truth).all()
    assert np.isnan(matrix.simultaneous_lower_bound[0, 1])
    assert [e.status for e in job.results()] == ["succeeded"] * 3
    again = client.batches.get(job.id)
    np.testing.assert_array_equal(again.matrix().value, matrix.value)
    assert again.matrix().rows == [s.id for s in sets]
    assert job.id in {b.id for b in client.batches.list()}


def test_one_reference_against_many(client: Client) -> None:
    reference, *targets = [client.sample_sets.create(rows(70 + i, shift=float(i))) for i in range(3)]
    matrix = client.batches.reference(reference, targets, simultaneous=True, **QUICK).wait(timeout=100, progress=True)
    assert isinstance(matrix, Matrix)
    assert (matrix.rows, matrix.columns) == ([reference.id], [t.id for t in targets])
    assert matrix.value.shape == (1, 2)
    assert (matrix.simultaneous_lower_bound < matrix.lower_bound).all()
    assert (matrix.simultaneous_lower_bound > 0).all()
    assert (matrix.simultaneous_upper_bound > matrix.upper_bound).all()
    assert "W1 lies between, all 2 pairs together, each end with 95 % confidence" in str(matrix)


def test_a_diameter_gives_upper_bounds_of_pairs(client: Client) -> None:
    sets = [client.sample_sets.create(rows(170 + i, shift=float(i)), name=f"week {i}") for i in range(2)]
    job = client.batches.matrix(sets, diameter=20.0, **QUICK)
    matrix = job.wait(timeout=100)
    (estimate,) = job.results()
    assert estimate.result is not None
    assert estimate.result.upper_kind == "finite-sample"
    assert matrix.upper_bound[0, 1] == matrix.upper_bound[1, 0] == estimate.result.upper_bound
    assert matrix.upper_bound[0, 1] >= np.sqrt(2)
    np.testing.assert_array_equal(np.diag(matrix.upper_bound), 0)
    assert "W1 lies between, each pair by itself, each end with 95 % confidence" in str(matrix)
    for text in (str(matrix), matrix._repr_html_()):
        assert f"{rounded_down(matrix.lower_bound[0, 1])} .. {rounded_up(matrix.upper_bound[0, 1])}" in text
    assert matrix.simultaneous_upper_bound is not None
    np.testing.assert_array_equal(matrix.simultaneous_upper_bound, matrix.upper_bound)


def test_what_is_no_batch_is_refused(client: Client) -> None:
    stored = client.sample_sets.create(rows(80))
    with pytest.raises(InvalidRequest):
        client.batches.matrix([stored, stored])
    with pytest.raises(InvalidRequest):
        client.batches.matrix([stored])
    with pytest.raises(NotFound):
        client.batches.matrix([stored, "ss_unknown"])
    with pytest.raises(NotFound):
        client.batches.get("batch_unknown")


def test_a_batch_is_canceled_as_a_whole(client: Client) -> None:
    sets = [client.sample_sets.create(rows(90 + i, n=2000)) for i in range(3)]
    job = client.batches.matrix(sets, critic="groupsort", steps=200_000, baseline_rows=0)
    job.cancel()
    matrix = job.wait(timeout=60)
    assert job.status == "canceled"
    assert np.isnan(matrix.value[~np.eye(3, dtype=bool)]).all()


def test_the_critic_scores_new_rows(client: Client) -> None:
    source, target = client.sample_sets.create(rows(1)), client.sample_sets.create(rows(2, shift=2.0))
    job = client.estimates.create(source, target, **QUICK)
    result = job.wait(timeout=60)
    low, high = job.evaluate(rows(3)), job.evaluate(rows(4, shift=2.0))
    assert low.shape == (400,)
    # Scores are f itself: fresh rows differ by W1 = 2 sqrt(2) within five standard errors of a mean of 400.
    assert (high.mean() - low.mean()) / result.lipschitz_bound == pytest.approx(2 * np.sqrt(2), abs=5 * 1.5 / 20)
    many = np.repeat(rows(3), 26, axis=0)  # 10,400 rows: sent in two parts
    np.testing.assert_allclose(job.evaluate(many), np.repeat(low, 26), rtol=1e-12)
    # of sets that the server has: at once, and as a job of its own for more than 10,000 rows
    np.testing.assert_allclose(job.evaluate(client.sample_sets.create(rows(3))), low, rtol=1e-12)
    np.testing.assert_allclose(job.evaluate(client.sample_sets.create(many)), np.repeat(low, 26), rtol=1e-12)
    with pytest.raises(InvalidRequest):
        job.evaluate(rows(3)[:, :1])


def test_no_critic_before_the_end(client: Client) -> None:
    source, target = (client.sample_sets.create(rows(s, n=2000)) for s in (95, 96))
    job = client.estimates.create(source, target, critic="groupsort", steps=200_000, baseline_rows=0)
    with pytest.raises(Conflict, match="succeeded"):
        job.evaluate(rows(3))
    job.cancel()


def test_async_does_the_same(address: str) -> None:
    async def compare() -> tuple[Matrix, np.ndarray]:
        async with AsyncClient(address) as client:
            sets = [await client.sample_sets.create(rows(60 + i, shift=float(i)), name=f"{i}") for i in range(2)]
            batch = await client.batches.matrix(sets, **QUICK)
            matrix = await batch.wait(timeout=100)
            job = await client.estimates.get((await batch.results())[0])
            return matrix, await job.evaluate(rows(3))

    matrix, scores = asyncio.run(compare())
    assert matrix.lower_bound[0, 1] > 0.5
    assert scores.shape == (400,)
