"""What `wdist remote` takes by its name: sets, estimates, batches and monitors; and what it says where that fails."""

import json
from pathlib import Path

import numpy as np
import pytest
from remote_command import QUICK, Ran, at_the_server, files
from scripted_server import Answer, ScriptedServer

from wdist_client import Client
from wdist_client.errors import OptionError

__all__ = ["at_the_server", "files"]  # fixtures


def test_rows_of_a_matrix_are_called_by_what_the_command_was_given(
    capsys: pytest.CaptureFixture[str], files: Path
) -> None:
    for k, place in enumerate(("january", "february")):
        (files / place).mkdir()
        np.save(files / place / "rows.npy", np.random.default_rng(20 + k).normal(size=(200, 2)) + k)
    given = ["january/rows.npy", "february/rows.npy"]
    assert [Ran(capsys, "upload", text, "--name", "same").status for text in given] == [0, 0]
    ids = Ran(capsys, "upload", *given).lines
    np.save(files / "named.npy", np.random.default_rng(22).normal(size=(200, 2)))
    (named,) = Ran(capsys, "upload", "named.npy", "--name", "March").lines
    for data, expected in (
        ([*given, "x.npy"], [*given, "x.npy"]),
        ([*ids, "x.npy"], [*ids, "x.npy"]),
        ([given[0], ids[1], named], [given[0], "rows.npy", "March"]),
    ):
        matrix = json.loads(Ran(capsys, "matrix", *data, *QUICK, "--json").out)
        assert matrix["rows"] == matrix["columns"] == expected
    row = json.loads(Ran(capsys, "matrix", *given, "x.npy", *QUICK, "--reference", "--json").out)
    assert (row["rows"], row["columns"]) == (given[:1], [given[1], "x.npy"])


@pytest.mark.parametrize(
    "arguments",
    [["estimate", "long.npy"], ["matrix", "long.npy"], ["compare", "long.npy", "y.npy"], ["upload", "long.npy"]],
)
def test_a_missing_file_is_told_before_anything_is_sent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("long", "y"):
        np.save(f"{name}.npy", np.random.default_rng(41).normal(size=(150, 2)))
    before = Ran(capsys, "sets").out
    found = Ran(capsys, *arguments, "lomg.npy")
    assert found.err == "wdist-remote: cannot read lomg.npy: No such file or directory; did you mean long.npy?\n"
    assert (found.status, Ran(capsys, "sets").out) == (2, before)


def test_one_name_is_not_for_several_sets(capsys: pytest.CaptureFixture[str]) -> None:
    refused = Ran(capsys, "upload", "x.npy", "y.npy", "--name", "both")
    assert (refused.status, refused.out) == (2, "")
    assert "--name is for one set" in refused.err


BY_NAME = ("result", "watch", "curve", "evaluations", "delete", "finish")


def test_errors_name_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, advice in (
        (["show", "est_none"], "`wdist-remote list` shows what there is"),
        (["show", "ss_none"], "`wdist-remote sets` shows what there is"),
        (["results", "batch_none"], "`wdist-remote batches` shows what there is"),
        *(([command, "week-99"], "`wdist-remote list` shows what there is") for command in BY_NAME),
        *(([command, "week-99"], "`wdist-remote batches` shows what there is") for command in ("cancel", "rename")),
        (["show", "week-99"], "`wdist-remote monitor list` shows what there is"),
        (["result", "week 99"], "`wdist-remote list` shows what there is"),
        (["certificate", "week-99", "c.cert"], "`wdist-remote list` shows what there is"),
        (["results", "week-99"], "`wdist-remote batches` shows what there is"),
        (["monitor", "show", "week-99"], "`wdist-remote monitor list` shows what there is"),
    ):
        ran = Ran(capsys, *arguments)
        assert (ran.status, len(ran.err.splitlines()), ran.err.rstrip().endswith(advice)) == (2, 1, True), ran.err
    with ScriptedServer([Answer(401, {"title": "No key"})]) as scripted:
        assert "give --key-file FILE" in Ran(capsys, "--url", scripted.url, "list").err
    waited = {"id": "est_1", "status": "running", "source": "ss_1", "target": "ss_2"}
    with ScriptedServer([Answer(200, waited)]) as scripted:
        ran = Ran(capsys, "--url", scripted.url, "result", "est_1", "--timeout", "0.1")
    assert (ran.status, f"come back with `wdist-remote --url {scripted.url} result est_1`" in ran.err) == (75, True)


@pytest.fixture
def stored() -> dict[str, str]:
    """Sets that are on the server by a name of their own, and no files here; with their ids."""
    rng = np.random.default_rng(70)
    with Client() as client:
        return {
            name: client.sample_sets.create(rng.normal(size=(200, 2)) + k, name=name).id
            for k, name in enumerate(("last year", "this-year", "next.year.csv"))
        }


def test_a_set_is_named_where_data_is_taken(capsys: pytest.CaptureFixture[str], stored: dict[str, str]) -> None:
    last, this, following = stored
    made = json.loads(Ran(capsys, "estimate", last, this, *QUICK, "--json").out)
    assert made == json.loads(Ran(capsys, "estimate", *list(stored.values())[:2], *QUICK, "--json").out) | {
        "seconds": made["seconds"]
    }
    job = Ran(capsys, "list", "--limit", "1").lines[0].split()[0]
    by_name = Ran(capsys, "evaluate", job, following)
    assert (by_name.status, by_name.lines) == (0, Ran(capsys, "evaluate", job, stored[following]).lines)
    matrix = json.loads(Ran(capsys, "matrix", last, this, "x.npy", *QUICK, "--json").out)
    assert matrix["rows"] == [last, this, "x.npy"]
    told = Ran(capsys, "compare", last, this, following, *QUICK)
    assert told.lines[0].startswith(f"`{this}` is closer to `{last}`")
    batch = told.err.split()[0]
    assert Ran(capsys, "rename", batch, "years").status == 0
    assert Ran(capsys, "comparison", "years").out == Ran(capsys, "comparison", batch).out
    assert Ran(capsys, "results", "years").out == Ran(capsys, "results", batch).out
    labels = Ran(capsys, "estimate", last, this, *QUICK, "--groups", "nobody", "x.npy")
    assert (labels.status, "no sample set called 'nobody'" in labels.err) == (2, True)


def test_a_file_goes_before_a_name(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    with Client() as client:
        client.sample_sets.create(np.random.default_rng(71).normal(size=(200, 5)), name="z.npy")
    ran = Ran(capsys, "estimate", "x.npy", "z.npy", *QUICK)
    assert ran.status == 0, "the set has 5 columns, the file 2"
    assert "a file that is here goes before a name" in " ".join(Ran(capsys, "estimate", "--help").out.split())


@pytest.mark.parametrize(
    "arguments", [["estimate", "{}", "x.npy"], ["monitor", "create", "{}"], ["evaluate", "?", "{}"]]
)
def test_several_sets_of_one_name_are_told_with_their_dates(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    job = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK).err.split()[0]
    rng = np.random.default_rng()
    with Client() as client:
        twice = [client.sample_sets.create(rng.normal(size=(150, 2)), name="twice") for _ in range(2)]
        ran = Ran(capsys, *[each.format("twice").replace("?", job) for each in arguments])
        assert (ran.status, "sample sets are called 'twice'" in ran.err) == (2, True), ran.err
        for each in twice:
            assert f"{each.id} ({each.created_at.astimezone():%Y-%m-%d %H:%M})" in ran.err
            client.sample_sets.delete(each)


def test_what_is_neither_a_file_nor_a_name_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["estimate", "0qz7", "x.npy"], ["upload", "0qz7"], ["monitor", "create", "0qz7"]):
        ran = Ran(capsys, *arguments)
        assert ran.status == 2
        assert ran.err == (
            "wdist-remote: there is no file 0qz7, and there is no sample set called '0qz7'; "
            "`wdist-remote sets` shows what there is\n"
        )


def test_a_name_that_is_nearly_one_is_told_it(capsys: pytest.CaptureFixture[str]) -> None:
    for kind, arguments in {
        "sample set": ["upload", "x.npy", "--name", "orders of April"],
        "monitor": ["monitor", "create", "y.npy", "--name", "orders of April"],
    }.items():
        made = Ran(capsys, *arguments).out.strip()
        wrong = (
            ["estimate", "orders of Aprl", "y.npy"] if kind == "sample set" else ["monitor", "show", "orders of Aprl"]
        )
        ran = Ran(capsys, *wrong)
        assert ran.status == 2
        assert f"there is no {kind} called 'orders of Aprl'; did you mean 'orders of April'?" in ran.err
        remove = ["delete", made] if kind == "sample set" else ["monitor", "delete", made]
        assert Ran(capsys, *remove).status == 0


def test_a_monitor_is_named_where_its_id_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    made = Ran(capsys, "monitor", "create", "x.npy", "--name", "all orders", "--steps", "1", "--critic", "affine")
    assert Ran(capsys, "monitor", "update", "all orders", "y.npy", "--quiet").status in (0, 3)
    by_id, by_name = (Ran(capsys, "monitor", "show", each) for each in (made.out.strip(), "all orders"))
    assert (by_id.out, by_id.status) == (by_name.out, by_name.status)
    for command in ("updates", "export", "thresholds", "pause", "resume"):
        assert Ran(capsys, "monitor", command, "all orders").status in (0, 3), command
    other = Ran(capsys, "monitor", "create", "y.npy", "--name", "all orders").out.strip()
    twice = Ran(capsys, "monitor", "update", "all orders", "z.npy")
    assert (twice.status, "2 monitors are called 'all orders'" in twice.err, other in twice.err) == (2, True, True)
    assert Ran(capsys, "monitor", "delete", other).status == 0
    assert Ran(capsys, "monitor", "delete", "all orders").status == 0


def test_estimates_are_named_where_they_are_changed(capsys: pytest.CaptureFixture[str]) -> None:
    job = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK, "--name", "to be changed").err.split()[0]
    for command in ("cancel", "finish"):
        assert Ran(capsys, command, "to be changed").out == f"{job} is succeeded\n"
    assert Ran(capsys, "rename", "to be changed", "changed").out == f"{job} is called changed\n"
    assert Ran(capsys, "delete", "changed").status == 0
    assert Ran(capsys, "show", job).status == 2


def test_the_client_says_where_ids_are_found(address: str) -> None:
    with Client(address) as client:
        for call, words in (
            (lambda: client.estimates.create("x.npy", "y.npy"), "client.estimate(...) takes files, sample_sets.create"),
            (lambda: client.estimates.create(Path("x.npy"), "ss_1"), "client.estimate(...) takes files"),
            (lambda: client.batches.matrix(["x.npy", "y.npy"]), "client.estimate(...) takes files"),
            (lambda: client.sample_sets.get("this year"), "client.sample_sets.list(name='this year') finds ids"),
            (lambda: client.sample_sets.delete("year"), "client.sample_sets.list(name='year') finds ids"),
            (lambda: client.estimates.get("week 1"), "client.estimates.list(search='week 1') finds ids"),
            (lambda: client.estimates.cancel("ss_1"), "'ss_1' is not an id (est_...), and this takes an estimate"),
            (lambda: client.batches.get("years"), "client.batches.list(search='years') finds ids"),
            (lambda: client.monitors.get("orders"), "client.monitors.list(name='orders') finds ids"),
        ):
            with pytest.raises(OptionError) as refused:
                call()
            assert words in str(refused.value)
        made = client.sample_sets.create(np.random.default_rng(73).normal(size=(150, 2)), name="of this test")
        assert [each.id for each in client.sample_sets.list(name="of this test")] == [made.id]
        assert client.estimate(made.id, "x.npy", critic="affine", steps=1).estimate.source == made.id
        watched = client.monitors.create(made, name="the watch of this test")
        assert [each.id for each in client.monitors.list(name="the watch of this test")] == [watched.id]
        assert not list(client.monitors.list(name="the watch"))
