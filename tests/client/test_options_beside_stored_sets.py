"""A reading option that a stored set does not follow is refused, before anything is sent; never ignored."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from remote_command import QUICK, Ran, at_the_server, files

from wdist_client import AsyncClient, Client, InvalidRequest, OptionError, WdistError
from wdist_client.requests import post

__all__ = ["at_the_server", "files"]  # fixtures
OPTIONS: dict[str, Any] = {
    "columns": ["quantity"], "drop": ["price"], "categories": ["price"], "dates": ["price"], "time_unit": "days",
    "time_start": "2020-01-01", "missing": "drop", "decimal": ",", "separator": ";", "header": False,
    "encoding": "latin-1", "labels": "price",
}  # fmt: skip
TINY = {"critic": "affine", "steps": 1, "baseline_rows": 0}


def orders(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"quantity": rng.normal(size=200), "price": rng.normal(size=200) + seed})


@pytest.fixture
def week(tmp_path: Path) -> str:
    orders(3).to_csv(tmp_path / "week.csv", index=False)
    return str(tmp_path / "week.csv")


@pytest.mark.parametrize("option", OPTIONS)
def test_the_client_refuses_it(address: str, option: str, week: str) -> None:
    part: Any = {option: OPTIONS[option]}
    with Client(address) as client:
        stored = client.sample_sets.create(orders(1), name="jan")
        other = client.sample_sets.create(orders(2), name="feb")
        monitor = client.monitors.create(stored, critic="affine", steps=1)
        job = client.estimate(stored, other, **TINY)  # type: ignore[arg-type]
        before = len(list(client.sample_sets.list()))
        for call in (
            lambda: client.estimate(stored.id, other.id, **part),
            lambda: client.estimate(stored, week if option not in ("columns", "drop") else other, **part),
            lambda: client.matrix([week, stored], **part),
            lambda: client.compare(week, [stored, other], **part),
            lambda: client.monitors.create(stored.id, **part),
            lambda: monitor.update(other, **part),
            lambda: monitor.new_epoch(other.id, **part),
            lambda: client.sample_sets.create(stored.id, **part),
            *((lambda: job.evaluate(other.id, **part),) if option != "labels" else ()),
        ):
            with pytest.raises(OptionError, match=r"stored as (it was|they were) read") as refused:
                call()
            assert f"{option}=" in str(refused.value)
        for create in (
            lambda: client.estimates.create(stored, other, **part),
            lambda: client.batches.matrix([stored, other], **part),
        ):
            with pytest.raises(OptionError, match=rf"{option} says how data is read.*sample_sets\.create"):
                create()
        assert len(list(client.sample_sets.list())) == before

    async def asked() -> None:
        async with AsyncClient(address) as client:
            await client.estimate(stored.id, other.id, **part)

    if address != ":local:":
        with pytest.raises(OptionError, match="stored as they were read"):
            asyncio.run(asked())


def test_what_a_set_was_read_with_may_be_said_again(client: Client, week: str, tmp_path: Path) -> None:
    stored = client.sample_sets.create(week, drop=["price"])
    orders(4).to_csv(tmp_path / "next.csv", index=False)
    said = client.estimate(stored, tmp_path / "next.csv", drop=["price"], **TINY).wait()  # type: ignore[arg-type]
    alike = client.estimate(stored.id, tmp_path / "next.csv", **TINY).wait()  # type: ignore[arg-type]
    assert alike.value == said.value, "the file is read as the stored set was"
    orders(5).assign(number=range(200), note="n").to_csv(tmp_path / "more.csv", index=False)
    more = client.sample_sets.create(tmp_path / "more.csv", drop=["price", "number", "note"])
    part = client.estimate(stored.id, more.id, drop=["price"], **TINY).wait()  # type: ignore[arg-type]
    assert part.value == client.estimate(stored.id, more.id, **TINY).wait().value, "a part asks for nothing else"
    with pytest.raises(WdistError, match="would not change"):
        client.estimate(stored.id, more.id, drop=["quantity"], **TINY)  # type: ignore[arg-type]


def test_the_server_says_where_it_belongs(client: Client) -> None:
    if client.base_url.startswith("http"):
        with pytest.raises(InvalidRequest, match=r"drop says how a file is read.*POST /v1/sample-sets"):
            client._send(post("/v1/estimates", {"source": "ss_1", "target": "ss_2", "drop": ["price"]}))


def test_the_command_refuses_it_and_takes_names(capsys: pytest.CaptureFixture[str], week: str) -> None:
    with Client() as client:
        one = client.sample_sets.create(orders(11), name="of january")
        two = client.sample_sets.create(orders(12)[["quantity"]], name="of february")
    monitor = Ran(capsys, "monitor", "create", week, "--steps", "1", "--critic", "affine").out.strip()
    before = Ran(capsys, "sets").out
    for arguments in (
        ["estimate", "of january", "of february", *QUICK], ["estimate", week, "of january", *QUICK],
        ["matrix", "of january", "of february", *QUICK], ["compare", week, "of january", "of february", *QUICK],
        ["monitor", "create", "of january"], ["monitor", "update", monitor, "of january"],
        ["monitor", "epoch", monitor, "of january"], ["upload", "of january"],
    ):  # fmt: skip
        ran = Ran(capsys, *arguments, "--drop", "price")
        assert (ran.status, "--drop price would not change" in ran.err) == (2, True), ran.err
    assert Ran(capsys, "sets").out == before
    advice = Ran(capsys, "estimate", "of january", "of february", *QUICK).err
    assert "uploaded again with it: `wdist-remote upload FILE --columns quantity`" in advice
    assert one.id in Ran(capsys, "show", "of january").out
    job = Ran(capsys, "estimate", one.id, week, *QUICK, "--name", "of january").err.split()[0]
    ran = Ran(capsys, "delete", "of january")
    assert (ran.status, one.id in ran.err, job in ran.err) == (2, True, True)
    assert Ran(capsys, "delete", "of february").status == 0
    with Client() as client:
        assert two.id not in [each.id for each in client.sample_sets.list()]


def test_a_file_beside_a_set_of_another_name_is_read_as_it_was(client: Client, tmp_path: Path) -> None:
    """The options that say how a file is written, too: a name that somebody gave the set has no ending."""
    written: dict[str, Any] = {"decimal": ",", "separator": ";", "encoding": "cp1252"}
    for name, seed in (("jan.csv", 1), ("feb.csv", 2)):
        orders(seed).rename(columns={"price": "Umsätze"}).to_csv(
            tmp_path / name, index=False, decimal=",", sep=";", encoding="cp1252"
        )
    stored = client.sample_sets.create(tmp_path / "jan.csv", name="January", **written)
    job = client.estimate(stored, tmp_path / "feb.csv", **TINY)  # type: ignore[arg-type]
    read = client.sample_sets.get(job.estimate.target)
    assert read.columns == ["quantity", "Umsätze"]
    assert read.reading is not None
    assert {name: read.reading[name] for name in written} == written


@pytest.mark.parametrize(
    ("given", "meant"),
    [("categorys", "categories"), ("date", "dates"), ("dropp", "drop"), ("step", "steps"), ("decimals", "decimal")],
)
def test_a_misspelt_option_is_told_before_anything_is_sent(given: str, meant: str, week: str) -> None:
    with Client("http://127.0.0.1:9") as client:  # where nothing answers
        for ask in (
            lambda options: client.estimate(week, week, **options),
            lambda options: client.matrix([week, week], **options),
            lambda options: client.compare(week, [week, week], **options),
            lambda options: client.monitors.create(week, **options),
        ):
            options: Any = {given: 1}
            with pytest.raises(OptionError, match=f"there is no '{given}' here; did you mean '{meant}'"):
                ask(options)
        if meant != "steps":
            with pytest.raises(OptionError, match=f"did you mean '{meant}'"):
                client.estimates.create("ss_1", "ss_2", **options)


def test_files_are_called_by_their_names(client: Client, tmp_path: Path) -> None:
    for k, name in enumerate(("real.npy", "a.npy", "b.npy")):
        np.save(tmp_path / name, np.random.default_rng([7, k]).normal(size=(200, 2)) + k)
    found = client.compare(tmp_path / "real.npy", [tmp_path / "a.npy", str(tmp_path / "b.npy")], **TINY)
    assert found.comparison(timeout=60).reference == "real.npy"
    assert sorted(each.name for each in found.comparison().ranking) == ["a.npy", "b.npy"]
