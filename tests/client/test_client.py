"""Upload, estimate, wait, cancel, errors; sync and async; on a real server and, where it applies, without one."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from server_process import ServerProcess

from wdist.verify import verify_certificate
from wdist_client import (
    AsyncClient,
    Client,
    Conflict,
    EstimateCanceled,
    InvalidRequest,
    Job,
    NotFound,
    Result,
    SampleError,
    WaitTimeout,
    WdistError,
    w1,
)
from wdist_client.display.numbers import rounded_down, rounded_up

pytestmark = pytest.mark.timeout(120)
QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0}
LONG = {"critic": "groupsort", "steps": 200_000, "baseline_rows": 0}


@pytest.fixture
def remote(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url) as connected:
        yield connected


@pytest.mark.parametrize("end", ["/", "/v1", "/v1/"])
def test_an_address_may_end_as_documentation_shows_paths(server: ServerProcess, end: str) -> None:
    with Client(server.url + end) as connected:
        stored = connected.sample_sets.create(rows(1))
        assert connected.sample_sets.get(stored.id).sha256 == stored.sha256


def rows(seed: int, n: int = 300, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, 4)) + shift).astype(np.float32)


def running(client: Client, seed: int) -> Job:
    """A job that trains for minutes, once it has begun."""
    source, target = (client.sample_sets.create(rows(s, n=2000)) for s in (seed, seed + 1))
    job = client.estimates.create(source, target, **LONG)
    deadline = time.monotonic() + 60
    while job.refresh().progress is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert job.status == "running"
    return job


def test_from_two_arrays_to_a_bound_below_the_truth(client: Client) -> None:
    x, y = rows(1, 1000), rows(2, 1000, shift=1.0)
    source, target = client.sample_sets.create(x, name="left"), client.sample_sets.create(y)
    assert (source.name, source.rows, source.shape, np.dtype(source.dtype)) == ("left", 1000, [1000, 4], np.float32)
    job = client.estimates.create(source, target, confidence=0.9, metadata={"why": "test"}, **QUICK)
    result = job.wait(timeout=60)
    # W1 of a translation is the length of the shift, 2; the affine critic reaches it.
    assert 1.0 < result.lower_bound < 2.0
    assert result.lower_bound < result.value < 2.3
    assert float(result) == result.lower_bound
    assert (result.confidence, result.n.source.test, result.seed) == (0.9, 400, 0)
    assert 1.0 <= result.lipschitz_bound < 1.00001
    assert (job.status, job.result, job.estimate.metadata) == ("succeeded", result, {"why": "test"})
    assert job.id in {found.id for found in client.estimates.list(status="succeeded")}
    assert client.estimates.get(job.id).wait(timeout=60) == result
    assert result.meaning in str(result).replace("\n", " ")


def test_one_call(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WDIST_BASE_URL", address)
    result = w1(rows(1), rows(2, shift=2.0).tolist(), **QUICK)
    assert isinstance(result, Result)
    assert 0 < float(result) < 4.0


def test_one_column_needs_no_second_axis(client: Client, tmp_path: Path) -> None:
    x, y = (np.random.default_rng(seed).normal(seed, 1, 400) for seed in range(2))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    source = client.sample_sets.create(x)
    assert (source.shape, source.rows) == ([400, 1], 400)
    targets = [client.sample_sets.create(given) for given in (y, pd.Series(y), tmp_path / "y.npy", y[:, None])]
    jobs = [client.estimates.create(source, target, **QUICK) for target in targets]
    bounds = [job.wait(timeout=60).lower_bound for job in jobs]
    assert 0 < bounds[0] <= 1
    assert bounds == [bounds[0]] * 4
    assert jobs[0].evaluate(y[:7]).shape == (7,)
    jobs[0].certificate(tmp_path / "c.cert")
    assert verify_certificate(tmp_path / "c.cert", tmp_path / "x.npy", tmp_path / "y.npy").valid


def test_same_bytes_are_sent_once_whatever_holds_them(client: Client, tmp_path: Path) -> None:
    x = rows(3)
    first = client.sample_sets.create(x, name="first")
    np.save(tmp_path / "x.npy", x)
    for same in (x.copy(), torch.from_numpy(x), pd.DataFrame(x), tmp_path / "x.npy", str(tmp_path / "x.npy"), first):
        assert client.sample_sets.create(same).id == first.id
    assert [found.id for found in client.sample_sets.list(sha256=first.sha256)] == [first.id]
    assert client.sample_sets.get(first.id) == client.sample_sets.get(first) == first


def test_a_large_file_is_streamed_with_a_bar(remote: Client, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "large.npy"
    np.save(path, np.random.default_rng(4).normal(size=(200_000, 8)).astype(np.float32))
    stored = remote.sample_sets.create(path, progress=True)
    assert stored.bytes == path.stat().st_size
    shown = capfd.readouterr().err
    assert "large.npy: hashing" in shown
    assert "large.npy: sending" in shown


def test_lists_are_paged_and_newest_first(client: Client) -> None:
    made = [client.sample_sets.create(rows(100 + i, n=100)).id for i in range(3)]
    listed = [found.id for found in client.sample_sets.list()]
    assert listed[:3] == made[::-1]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.full((200, 3), np.nan), "row"),
        (np.zeros((0, 3), np.float32), "no values"),
    ],
)
def test_rows_that_the_server_refuses(client: Client, data: np.ndarray, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        client.sample_sets.create(data)


def test_what_never_leaves_this_machine(client: Client, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_text("1 2 3")
    with pytest.raises(SampleError, match=r"not an \.npy file"):
        client.sample_sets.create(tmp_path / "x.npy")


def test_cancel_and_timeouts_of_a_running_job(client: Client) -> None:
    job = running(client, 20)
    with pytest.raises(WaitTimeout, match=r"goes on.*estimates.get"):
        job.wait(timeout=0.2)
    with pytest.raises(Conflict):
        client.sample_sets.delete(job.estimate.source)
    assert job.cancel().status in ("canceling", "canceled")
    with pytest.raises(EstimateCanceled, match="was canceled"):
        job.wait(timeout=30)
    assert job.status == "canceled"
    assert job.cancel().status == "canceled"
    client.estimates.delete(job.id)
    with pytest.raises(NotFound):
        job.refresh()
    client.sample_sets.delete(job.estimate.source)
    with pytest.raises(NotFound):
        client.sample_sets.get(job.estimate.source)


def test_progress_is_told_while_it_runs(client: Client) -> None:
    seen: list[int] = []
    source, target = client.sample_sets.create(rows(9, 500)), client.sample_sets.create(rows(10, 500))
    job = client.estimates.create(source, target, critic="groupsort", steps=40, baseline_rows=0)
    job.wait(timeout=60, progress=lambda estimate: seen.append(estimate.progress.step if estimate.progress else -1))
    assert seen == sorted(seen)
    assert seen[-1] > 0


def test_curve_and_picture(client: Client, tmp_path: Path) -> None:
    source, target = client.sample_sets.create(rows(15, 600)), client.sample_sets.create(rows(16, 600, shift=0.5))
    job = client.estimates.create(source, target, critic="groupsort", steps=60, baseline_rows=100)
    result = job.wait(timeout=60)
    curve = job.curve()
    assert curve
    assert [p.step for p in curve] == sorted(p.step for p in curve)
    job.plot().savefig(tmp_path / "with_curve.png")
    figure = result.plot()
    figure.savefig(tmp_path / "alone.png")
    title = f"W1 is between {rounded_down(result.lower_bound)} and {rounded_up(result.upper_bound)}"
    assert figure.axes[0].get_title("left") == title
    assert len(job.plot().axes) == 2


def test_a_local_client_ends_its_jobs_when_it_closes() -> None:
    with Client(":local:") as client:
        job = running(client, 50)
    assert job.refresh().status == "canceled"


def test_a_local_set_does_not_follow_later_changes_of_the_array() -> None:
    with Client(":local:") as client:
        x, y = rows(51), rows(52)
        source, target = client.sample_sets.create(x), client.sample_sets.create(y)
        expected = client.estimates.create(source, target, **QUICK).wait(timeout=60)
        x += 10
        assert client.estimates.create(source, target, **QUICK).wait(timeout=60).value == expected.value


def test_ctrl_c_leaves_the_job_running_and_says_how_to_return(server: ServerProcess, remote: Client) -> None:
    job = running(remote, 30)
    program = (
        f"from wdist_client import Client\n"
        f"client = Client({server.url!r})\n"
        f"client.estimates.get({job.id!r}).wait(progress=lambda e: print(e.status, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "running\n"
        os.kill(waiting.pid, signal.SIGINT)
        said = waiting.communicate(timeout=20)[1]
    assert f"Estimate {job.id} goes on without you" in said
    assert "KeyboardInterrupt" in said
    assert job.refresh().status == "running"
    job.cancel()


@pytest.mark.slow
def test_waiting_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    lease = {"WDIST_SERVER_BEAT_SECONDS": "0.5", "WDIST_SERVER_LEASE_SECONDS": "2"}
    first = ServerProcess(tmp_path / "data", environment=lease).start()
    try:
        with Client(first.url, max_retries=1) as client:
            source, target = client.sample_sets.create(rows(11)), client.sample_sets.create(rows(12, shift=1.0))
            job = client.estimates.create(source, target, **QUICK)
            results: list[Result] = []
            waiting = threading.Thread(target=lambda: results.append(job.wait(timeout=120)))
            waiting.start()
            first.kill()
            with ServerProcess(tmp_path / "data", environment=lease, port=first.port):
                waiting.join(120)
            assert [r.lower_bound > 0 for r in results] == [True]
    finally:
        first.kill()


def test_async_client_does_the_same(address: str, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", rows(14, shift=1.0))

    async def compare() -> tuple[Result, Result, list[str]]:
        async with AsyncClient(address) as client:
            assert await client.is_ready()
            source, target = await asyncio.gather(
                client.sample_sets.create(rows(13), name="x"), client.sample_sets.create(tmp_path / "y.npy")
            )
            job = await client.estimates.create(source, target, **QUICK)
            result = await job.wait(timeout=60, progress=True)
            listed = [found.id async for found in client.sample_sets.list()]
            with pytest.raises(NotFound):
                await client.estimates.get("est_unknown")
            return result, (await client.estimates.get(job)).result or result, [source.id in listed, job.status]

    result, again, facts = asyncio.run(compare())
    assert result == again
    assert facts == [True, "succeeded"]
    with Client(address) as client:
        source, target = client.sample_sets.create(rows(13)), client.sample_sets.create(tmp_path / "y.npy")
        same = client.estimates.create(source, target, **QUICK).wait(timeout=60)
    assert (same.value, same.lower_bound) == (result.value, result.lower_bound)


def test_async_waiting_can_be_given_up_and_the_job_goes_on(server: ServerProcess, remote: Client) -> None:
    job = running(remote, 40)

    async def give_up() -> None:
        async with AsyncClient(server.url) as patient:
            waiting = asyncio.ensure_future((await patient.estimates.get(job.id)).wait())
            await asyncio.sleep(0.3)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert (await (await patient.estimates.get(job.id)).cancel()).status in ("canceling", "canceled")

    asyncio.run(give_up())


def test_frames_with_other_columns_are_refused(client: Client) -> None:
    frame = pd.DataFrame(rows(71), columns=["a", "b", "c", "d"])
    source = client.sample_sets.create(frame)
    assert source.columns == ["a", "b", "c", "d"]
    with pytest.raises(SampleError, match="another order"):
        client.estimates.create(source, client.sample_sets.create(frame[["d", "b", "c", "a"]]), **QUICK)
    with pytest.raises(
        SampleError, match=r"d only in source, z only in target; read both with columns=\['a', 'b', 'c'\]"
    ):
        client.estimates.create(source, client.sample_sets.create((frame + 1).rename(columns={"d": "z"})), **QUICK)
    unnamed = client.sample_sets.create(rows(72))
    assert unnamed.columns is None
    with pytest.raises(SampleError, match="nothing tells whether they are in the same order"):
        client.estimates.create(source, unnamed, **QUICK)


@pytest.mark.parametrize("key", ["wd_abc def", "a,b,c\n1,2,3", "wd_\u201cabc\u201d"])
def test_a_key_that_cannot_be_one_is_never_shown(key: str) -> None:
    with pytest.raises(WdistError, match="not one word") as refused:
        Client("http://127.0.0.1:9", api_key=key)
    assert key[-3:] not in str(refused.value)


def test_a_key_with_a_newline_behind_it_is_that_key(server: ServerProcess) -> None:
    with Client(server.url, api_key="wd_of_an_open_server\n") as connected:
        assert list(connected.sample_sets.list()) is not None
