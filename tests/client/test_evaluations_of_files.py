"""A critic on a server reads files and frames as the sets of its estimate were read, on every way to it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from server_process import ServerProcess

from wdist import estimate_w1
from wdist_client import AsyncClient, Client, Job, LeftOutWarning
from wdist_client.command import main
from wdist_client.errors import OptionError

QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0, "scale": "standardize"}
READING = {"categories": ["city"], "dates": ["born"], "time_unit": "days", "missing": "level", "drop": ["id"]}


def month(seed: int, rows: int = 300) -> pd.DataFrame:
    """A table of all that needs an option: text, dates, missing values and a column that says nothing."""
    rng = np.random.default_rng(seed)
    born = pd.Timestamp("1990-01-01") + pd.to_timedelta(rng.integers(0, 9000, rows), unit="D")
    price = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(seed / 3, 1, rows).round(3))
    city = rng.choice(["Bonn", "Köln", "Ulm"], rows)
    return pd.DataFrame({"id": [f"r{k}" for k in range(rows)], "price": price, "city": city, "born": born.astype(str)})


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("months")
    for k, name in enumerate(("january", "february", "march")):
        month(k).to_csv(folder / f"{name}.csv", index=False)
    month(2).to_csv(folder / "march-semicolons.csv", index=False, sep=";")
    return folder


@pytest.fixture(autouse=True)
def here(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)


@pytest.fixture
def job(client: Client) -> Job:
    done = client.estimate("january.csv", "february.csv", **READING, **QUICK)
    done.wait(timeout=60)
    return done


@pytest.fixture
def remote_job(server: ServerProcess) -> Iterator[Job]:
    with Client(server.url) as client:
        done = client.estimate("january.csv", "february.csv", **READING, **QUICK)
        done.wait(timeout=60)
        yield done


def test_a_file_is_scored_as_the_library_scores_it(job: Job) -> None:
    expected = estimate_w1("january.csv", "february.csv", **READING, **QUICK).critic.evaluate("march.csv")
    scores = job.evaluate("march.csv")
    np.testing.assert_allclose(scores, expected, atol=1e-9)
    for rows in (Path("march.csv"), pd.read_csv("march.csv")):
        np.testing.assert_array_equal(job.evaluate(rows), scores)
    np.testing.assert_array_equal(job.wait().critic.evaluate("march.csv"), scores)
    np.testing.assert_array_equal(job.evaluate("march-semicolons.csv", separator=";"), scores)
    pd.read_csv("march.csv").drop(columns="id").to_csv("march-without.csv", index=False)
    np.testing.assert_array_equal(job.evaluate("march-without.csv"), scores)
    stored = job._client.sample_sets.create("march.csv", **READING)
    np.testing.assert_array_equal(job.evaluate(stored.id), scores)
    with pytest.raises(OptionError, match="separator"):
        job.evaluate(stored, separator=";")


def test_of_a_deleted_source_the_target_tells_how(client: Client, job: Job) -> None:
    scores = job.evaluate("march.csv")
    client.sample_sets.delete(job.estimate.source)
    np.testing.assert_array_equal(job.evaluate("march.csv"), scores)


def test_rows_that_are_left_out_are_told_of(client: Client) -> None:
    reading = {**READING, "missing": "drop"}
    dropping = client.estimate("january.csv", "february.csv", **reading, **QUICK)
    dropping.wait(timeout=60)
    with pytest.warns(LeftOutWarning, match="one score for each row that was kept"):
        scores = dropping.evaluate("march.csv")
    assert len(scores) == month(2).price.notna().sum()


def test_what_was_sent_before_under_other_options_is_read_as_it_was_last(client: Client, tmp_path: Path) -> None:
    numbers = [pd.DataFrame(np.random.default_rng(60 + k).normal(size=(200, 2)), columns=["a", "b"]) for k in range(3)]
    for k, each in enumerate(numbers):
        each.to_csv(tmp_path / f"{k}.csv", index=False)
    numbers[2].iloc[3, 0] = np.nan
    numbers[2].to_csv(tmp_path / "2.csv", index=False)
    client.sample_sets.create(tmp_path / "0.csv")
    dropping = client.estimate(tmp_path / "0.csv", tmp_path / "1.csv", missing="drop", **QUICK)
    dropping.wait(timeout=60)
    with pytest.warns(LeftOutWarning):
        assert len(dropping.evaluate(tmp_path / "2.csv")) == 199


def test_levels_of_a_column_are_read_without_it(client: Client, tmp_path: Path) -> None:
    both = pd.concat([month(k).assign(shop=name) for k, name in enumerate(("north", "south"))])
    both.to_csv(tmp_path / "shops.csv", index=False)
    batch = client.matrix(tmp_path / "shops.csv", by="shop", **READING, **QUICK)
    batch.wait(timeout=60)
    one = client.estimates.get(batch.results()[0].id)
    assert one.evaluate("march.csv").shape == (300,)


def test_an_asynchronous_client_reads_alike(remote_job: Job, server: ServerProcess) -> None:

    async def scored() -> np.ndarray:
        async with AsyncClient(server.url) as connected:
            same = await connected.estimates.get(remote_job.id)
            found: np.ndarray = await (await same.wait()).critic.evaluate("march.csv")
            np.testing.assert_array_equal(await same.evaluate("march-semicolons.csv", separator=";"), found)
            return found

    np.testing.assert_array_equal(asyncio.run(scored()), remote_job.evaluate("march.csv"))


def test_the_command_reads_alike(remote_job: Job, server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    expected = remote_job.evaluate("march.csv")
    for file, *flags in (["march.csv"], ["march-semicolons.csv", "--separator", ";"]):
        assert main(["--url", server.url, "evaluate", remote_job.id, file, *flags]) == 0
        assert [float(line) for line in capsys.readouterr().out.splitlines()] == expected.tolist()


def test_a_batch_of_a_monitor_may_change_one_option(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(address) as client:
        monitor = client.monitors.create("january.csv", **READING, scale="standardize")
        by_name = monitor.update("march-semicolons.csv", separator=";", progress=False)
        assert by_name.number == 1
        frame = monitor.update(pd.read_csv("february.csv"))
        assert frame.number == 2
    if address != ":local:":
        month(7).to_csv("april.csv", index=False, sep=";")
        assert main(["--url", address, "monitor", "update", monitor.id, "april.csv", "--separator", ";"]) in (0, 3)
