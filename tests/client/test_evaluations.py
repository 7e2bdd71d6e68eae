"""Evaluations of stored sets are jobs: watched, listed, left and stopped from Python and from the command line."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from server_process import ServerProcess

from wdist_client import AsyncClient, Client, Evaluation, Job, NotFound, SampleSet
from wdist_client.command import main

ROWS = 12_000  # above what the server scores at once


def normal(seed: int, rows: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 3))


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url) as connected:
        yield connected


@pytest.fixture(scope="module")
def job(client: Client) -> Job:
    done = client.estimate(normal(0, 300), normal(1, 300) + 1, critic="affine", baseline_rows=0)
    done.wait(timeout=60)
    return done


@pytest.fixture
def many(client: Client) -> SampleSet:
    return client.sample_sets.create(normal(time.time_ns() % 2**32, ROWS), name="many")


@pytest.fixture
def busy(client: Client) -> Iterator[Job]:
    """An estimate that takes the only slot, so that others wait."""
    long = client.estimate(normal(2, 2000), normal(3, 2000), critic="groupsort", steps=1_000_000, baseline_rows=0)
    while long.refresh().status != "running":
        time.sleep(0.05)
    yield long
    long.cancel()


def waiting(job: Job, stored: SampleSet) -> Evaluation:
    """The evaluation of this set, once it is there."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := [each for each in job.evaluations() if each.sample_set == stored.id]:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no evaluation was asked for")


def test_a_bar_shows_the_rows_and_the_record_stays(
    job: Job, many: SampleSet, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = job.evaluate(many, progress=True)
    assert scores.shape == (ROWS,)
    assert f"{ROWS}/{ROWS}" in capsys.readouterr().err
    record = waiting(job, many)
    assert (record.status, record.done, record.rows, record.ended) == ("succeeded", ROWS, ROWS, True)
    job.delete_evaluation(record)
    assert many.id not in [each.sample_set for each in job.evaluations()]
    with pytest.raises(NotFound):
        job.delete_evaluation(record.id)


def test_ctrl_c_leaves_it_and_it_is_stopped_by_its_id(
    server: ServerProcess, job: Job, many: SampleSet, busy: Job, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [str(Path(sys.executable).with_name("wdist-remote")), "--url", server.url, "evaluate", job.id, many.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        record = waiting(job, many)
        time.sleep(0.5)  # it has read the answer, and asks how far the job is
        asking.send_signal(signal.SIGINT)
        _, said = asking.communicate(timeout=60)
    assert asking.returncode == 130
    assert f"Evaluation {record.id} goes on without you" in said
    assert f"`wdist-remote --url {server.url} evaluations {job.id} --delete {record.id}`" in said
    assert busy.refresh().status == "running"
    assert main(["--url", server.url, "evaluations", job.id]) == 0
    listed = next(line for line in capfd.readouterr().out.splitlines() if record.id in line)
    assert listed.split()[1:] == ["queued", "0", "of", f"{ROWS:,}", "rows", "many"]
    assert main(["--url", server.url, "evaluations", job.id, "--delete", record.id]) == 0
    assert record.id not in [each.id for each in job.evaluations()]


def test_one_that_was_left_is_the_same_when_it_is_asked_for_again(job: Job, many: SampleSet, busy: Job) -> None:
    async def ask_and_leave() -> None:
        async with AsyncClient(job._client.base_url) as connected:
            same = await connected.estimates.get(job.id)
            asking = asyncio.create_task(same.evaluate(many))
            while not [each for each in await same.evaluations() if each.sample_set == many.id]:
                await asyncio.sleep(0.1)
            asking.cancel()

    asyncio.run(ask_and_leave())
    record = waiting(job, many)
    busy.cancel()
    assert job.evaluate(many).shape == (ROWS,)
    assert waiting(job, many).id == record.id


def test_here_there_are_no_jobs_of_that_kind() -> None:
    with Client(":local:") as local:
        done = local.estimate(normal(0, 300), normal(1, 300) + 1, critic="affine", baseline_rows=0)
        done.wait(timeout=60)
        assert done.evaluate(local.sample_sets.create(normal(4, ROWS)), progress=True).shape == (ROWS,)
        assert done.evaluations() == []
