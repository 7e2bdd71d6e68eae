"""What a result leads to: its critic, curve, picture, certificate; groups, labels and pairs; here and on a server."""

import asyncio
import html
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from server_process import ServerProcess

from wdist.verify import verify_certificate
from wdist_client import (
    AsyncClient,
    Client,
    Conflict,
    InvalidRequest,
    LeftOutWarning,
    OptionError,
    Result,
    SampleError,
    WdistError,
)

pytestmark = pytest.mark.timeout(120)
QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}


def rows(seed: int, shift: float = 0.0, n: int = 400) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, 2)) + shift).astype(np.float32)


def test_a_result_leads_to_its_critic_and_its_curve(client: Client) -> None:
    source, target = client.sample_sets.create(rows(1)), client.sample_sets.create(rows(2, shift=1.0))
    job = client.estimates.create(source, target, critic="groupsort", steps=40, baseline_rows=0)
    result = job.wait(timeout=60)
    scores = result.critic.evaluate(rows(2, shift=1.0)[:5])
    np.testing.assert_array_equal(scores, job.evaluate(rows(2, shift=1.0)[:5]))
    assert scores.mean() > result.critic.evaluate(rows(1)).mean()
    assert list(result.curve) == job.curve() != []
    assert len(result.plot().axes) == 2
    assert "while training" in result._repr_html_()
    assert job.result == result
    loose = Result.model_validate(result.model_dump())
    assert loose == result
    assert (loose.curve, len(loose.plot().axes)) == ((), 1)
    with pytest.raises(WdistError, match="lost its job"):
        loose.critic.evaluate(rows(1))


def test_a_result_is_kept_in_a_file_and_reported(client: Client, tmp_path: Path) -> None:
    source, target = client.sample_sets.create(rows(1)), client.sample_sets.create(rows(2, shift=1.0))
    result = client.estimates.create(source, target, critic="groupsort", steps=40, baseline_rows=50).wait(timeout=60)
    result.save(tmp_path / "r.wdist")
    kept = Result.load(tmp_path / "r.wdist")
    assert kept == result
    assert str(kept) == str(result)
    assert list(kept.curve) == list(result.curve)
    kept.report(tmp_path / "r.html", names=("last <week>", "this"))
    page = (tmp_path / "r.html").read_text()
    assert page.count("<svg") == 2
    assert "last &lt;week&gt; and this" in page
    assert html.escape(result.verdict.headline or "") in page
    assert html.escape(result.verdict.distance or "") in page
    assert "http" not in page
    with pytest.raises(WdistError, match="lost its job"):
        kept.critic.evaluate(rows(1))
    refused = {
        "no JSON": "not a result that wdist saved",
        "{}": "not a result that wdist saved",
        '{"format": "wdist client result", "version": 9}': "result format 9",
        '{"format": "wdist client result", "version": 1, "result": {}, "curve": []}': "damaged",
    }
    for text, words in refused.items():
        (tmp_path / "other").write_text(text)
        with pytest.raises(WdistError, match=words):
            Result.load(tmp_path / "other")


def test_the_certificate_verifies(client: Client, tmp_path: Path) -> None:
    for name, seed in (("x", 3), ("y", 4)):
        np.save(tmp_path / f"{name}.npy", rows(seed, shift=float(seed)))
    source, target = (client.sample_sets.create(tmp_path / f"{name}.npy") for name in "xy")
    job = client.estimates.create(source, target, **QUICK)
    with pytest.raises(Conflict, match="once it has succeeded"):
        client.estimates.create(source, target, critic="groupsort", steps=100_000).cancel().certificate()
    job.wait(timeout=60)
    content, path = job.certificate(), job.certificate(tmp_path / "c.cert")
    assert (path, path.read_bytes()) == (tmp_path / "c.cert", content)
    assert verify_certificate(tmp_path / "c.cert", tmp_path / "x.npy", tmp_path / "y.npy").valid


def test_groups_are_kept_whole(client: Client) -> None:
    labels = np.repeat(np.arange(100), 4)[:, None]
    sets = [client.sample_sets.create(r) for r in (rows(5), rows(6, 2.0), labels, labels + 100)]
    result = client.estimates.create(*sets[:2], groups=sets[2:], **QUICK).wait(timeout=60)
    assert result.n.source.test % 4 == 0
    assert 0 < result.lower_bound < 2 * np.sqrt(2)


def test_explicit_pairs_have_results_and_no_matrix(client: Client) -> None:
    a, b, c = (client.sample_sets.create(rows(7 + i, shift=float(i))) for i in range(3))
    job = client.batches.pairs([(a, b), (a, c, "far")], metadata={"night": "1"}, **QUICK)
    assert (job.batch.kind, job.batch.counts.total, job.batch.metadata) == ("pairs", 2, {"night": "1"})
    near, far = job.results(wait=True, timeout=60)
    assert (near.custom_id, far.custom_id) == (None, "far")
    assert near.result is not None
    assert far.result is not None
    assert near.result.value < far.result.value
    with pytest.raises(OptionError, match="has no matrix"):
        job.wait()
    with pytest.raises(Conflict, match="pairs"):
        job.matrix()


def test_jobs_are_found_by_their_labels(client: Client) -> None:
    source, target = client.sample_sets.create(rows(10)), client.sample_sets.create(rows(11))
    made = {
        n: client.estimates.create(source, target, metadata={"run": "labels", "n": n}, **QUICK).id for n in ("1", "2")
    }
    assert [found.id for found in client.estimates.list(metadata={"run": "labels", "n": "2"})] == [made["2"]]
    assert {found.id for found in client.estimates.list(metadata={"run": "labels"})} == set(made.values())


def test_jobs_have_names_by_which_they_are_found(client: Client) -> None:
    source, target = client.sample_sets.create(rows(20), name="Spring 1"), client.sample_sets.create(rows(21))
    job = client.estimates.create(source, target, name="Orders, first", **QUICK)
    assert (job.name, job.estimate.source_name, job.estimate.target_name) == ("Orders, first", "Spring 1", None)
    for text in ("orders, FIRST", "SPRING 1", job.id):
        assert [found.id for found in client.estimates.list(search=text)] == [job.id]
    assert client.estimates.rename(job, "second").name == "second"
    assert list(client.estimates.list(search="orders, first")) == []
    assert client.estimates.rename(job.id, None).name is None
    with pytest.raises(InvalidRequest, match="name"):
        client.estimates.rename(job, "")
    batch = client.batches.matrix([source, target], name="Both", **QUICK)
    assert client.batches.rename(batch, "all seasons").batch.name == "all seasons"
    for text in ("ALL SEASONS", "spring 1", batch.id):
        assert [found.id for found in client.batches.list(search=text)] == [batch.id]


def test_columns_are_dropped_and_labels_taken(server: ServerProcess, tmp_path: Path) -> None:
    table = pd.DataFrame(rows(12), columns=["a", "b"]).assign(who=[f"p{i // 4}" for i in range(400)])
    table.to_csv(tmp_path / "table.csv", index=False)
    with Client(server.url) as client:
        stored = client.sample_sets.create(tmp_path / "table.csv", drop=["who", "b"])
        labels = client.sample_sets.create(tmp_path / "table.csv", labels="who")
    assert (stored.shape, labels.shape) == ([400, 1], [400, 1])


def test_a_folder_of_images(server: ServerProcess, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, size=(3, 5, 4), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    with Client(server.url) as client:
        stored = client.sample_sets.create(tmp_path)
        assert (stored.shape, np.dtype(stored.dtype)) == ([3, 5, 4], np.uint8)
        assert client.sample_sets.create(str(tmp_path)).id == stored.id
        (tmp_path / "empty").mkdir()
        with pytest.raises(SampleError, match="holds no"):
            client.sample_sets.create(tmp_path / "empty")
        (tmp_path / "more").mkdir()
        Image.fromarray(pictures[0]).save(tmp_path / "more" / "3.png")
        with pytest.warns(
            LeftOutWarning, match=r"1 image in 1 subfolder was left out \('more'\): take it with subfolders"
        ):
            assert client.sample_sets.create(tmp_path).shape == [3, 5, 4]
        assert client.sample_sets.create(tmp_path, subfolders=True).shape == [4, 5, 4]


def test_an_async_job_finishes_with_what_it_has(server: ServerProcess) -> None:
    async def compare() -> None:
        async with AsyncClient(server.url) as client:
            source, target = [await client.sample_sets.create(rows(s, float(s))) for s in (15, 16)]
            job = await client.estimates.create(source, target, critic="groupsort", steps=200_000, baseline_rows=0)
            await job.finish()
            result = await job.wait(timeout=60)
            assert result.steps is not None
            assert 1 <= result.steps < 200_000

    asyncio.run(compare())


def test_async_results_lead_to_the_same(server: ServerProcess, tmp_path: Path) -> None:
    async def compare() -> None:
        async with AsyncClient(server.url) as client:
            source, target = [await client.sample_sets.create(rows(s, float(s))) for s in (13, 14)]
            job = await client.estimates.create(source, target, metadata={"a": "sync"}, **QUICK)
            result = await job.wait(timeout=60)
            assert (await result.critic.evaluate(rows(13))).shape == (400,)
            assert len(result.plot(curve=await job.curve()).axes) >= 1
            assert await job.certificate() == (await job.certificate(tmp_path / "c.cert")).read_bytes()
            assert [found.id async for found in client.estimates.list(metadata={"a": "sync"})] == [job.id]
            batch = await client.batches.pairs([(source, target)], **QUICK)
            assert [record.status for record in await batch.results(wait=True)] == ["succeeded"]

    asyncio.run(compare())
