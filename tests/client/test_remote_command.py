"""`wdist remote` on a real server: what is printed where, exit status, and the way from files to a certificate."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from cyclopts import App
from remote_command import QUICK, Ran, at_the_server, files
from scripted_server import Answer, ScriptedServer
from server_process import ServerProcess, free_port

import wdist_client
from wdist.cli.main import app as wdist_app
from wdist.cli.main import main as wdist
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.result import Result as LibraryResult
from wdist_client import Client, Result
from wdist_client.command import commands
from wdist_client.command.actions import COMMANDS
from wdist_client.command.arguments import EstimateOptions
from wdist_client.contract import Options
from wdist_client.errors import InvalidRequest

__all__ = ["at_the_server", "files"]  # fixtures


def test_a_result_is_kept_and_reported(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept, page = str(tmp_path / "r.wdist"), tmp_path / "r.html"
    made = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK, "--json", "--save", kept, "--report", str(page))
    assert made.status == 0
    assert Result.load(kept).to_dict() == LibraryResult.load(kept).to_dict() == json.loads(made.out)
    assert "<h1>x.npy and y.npy</h1>" in page.read_text()
    job = Ran(capsys, "list", "--limit", "1").lines[0].split()[0]
    assert Ran(capsys, "result", job, "--report", str(tmp_path / "again.html")).status == 0
    assert (tmp_path / "again.html").read_text() == page.read_text()
    refused = Ran(capsys, "result", job, "--save", str(tmp_path / "no" / "where"))
    assert (refused.status, len(refused.err.splitlines())) == (2, 1)


def test_from_files_to_a_certificate(capsys: pytest.CaptureFixture[str], files: Path) -> None:
    sent = Ran(capsys, "upload", "x.npy", "y.npy")
    source, target = sent.lines
    assert (sent.status, source[:3]) == (0, "ss_")
    assert source in Ran(capsys, "sets").out
    made = Ran(capsys, "estimate", source, "y.npy", *QUICK, "--metadata", "night=1", "--json")
    result = json.loads(made.out)
    assert 0 < result["lower_bound"] <= np.sqrt(2)
    name = made.err.split()[0]
    listed = Ran(capsys, "list", "--metadata", "night=1")
    assert result["verdict"]["headline"] in listed.out
    assert f"W1 {rounded_down(result['lower_bound'])} .. {rounded_up(result['upper_bound'])}" in listed.out
    record = json.loads(Ran(capsys, "show", name).out)
    assert (record["id"], record["source"], record["target"]) == (name, source, target)
    said = result["verdict"]
    parts = [said[part] for part in ("headline", "distance", "size") if said[part]]
    assert Ran(capsys, "result", name).lines[1:][: len(parts)] == parts
    assert json.loads(Ran(capsys, "watch", name, "--json").lines[-1])["type"] == "completed"
    assert Ran(capsys, "watch", name).lines[1:][: len(parts)] == parts
    assert Ran(capsys, "curve", name, "--json").status == 0
    digest = Ran(capsys, "certificate", name, "c.cert").out.strip()
    assert wdist(["verify", "c.cert", "x.npy", "y.npy", "--sha256", digest]) == 0
    capsys.readouterr()
    scores = [float(line) for line in Ran(capsys, "evaluate", name, "y.npy").lines]
    assert Ran(capsys, "evaluate", name, "y.npy", "--out", "f.npy").out == ""
    np.savetxt(
        "y.csv", np.load("y.npy"), delimiter=",", header=",".join("abcdefgh"[: np.load("y.npy").shape[1]]), comments=""
    )
    read = [float(line) for line in Ran(capsys, "evaluate", name, "y.csv").lines]
    assert read == pytest.approx(scores, abs=1e-6)
    np.testing.assert_array_equal(np.load("f.npy"), scores)
    assert Ran(capsys, "delete", name).status == 0
    gone = Ran(capsys, "show", name)
    assert (gone.status, len(gone.err.splitlines())) == (2, 1)


def test_a_tolerance_is_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    below = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK, "--fail-above", "2")
    assert below.status == 0
    assert re.search(r"^passed: the lower bound, [\d.]+, is not above 2 \(--fail-above\)$", below.err, re.MULTILINE)
    above = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK, "--fail-above", "0.1")
    assert above.status == 1
    assert re.search(r"^failed: the lower bound, [\d.]+, is above 0\.1 \(--fail-above\)$", above.err, re.MULTILINE)


def test_a_job_is_left_watched_and_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    long = ("--critic", "groupsort", "--steps", "200000", "--no-wait")
    name = Ran(capsys, "estimate", "x.npy", "z.npy", *long).out.strip()
    waited = Ran(capsys, "result", name, "--timeout", "0.1")
    assert waited.status == 75
    assert "goes on" in waited.err
    assert Ran(capsys, "result", name, "--no-wait").status == 1
    assert "cancel" in Ran(capsys, "cancel", name).out
    ended = Ran(capsys, "result", name)
    assert ended.status == 1
    assert "was canceled" in ended.err


def test_a_job_is_told_to_finish(capsys: pytest.CaptureFixture[str]) -> None:
    long = ("--critic", "groupsort", "--steps", "200000", "--no-wait")
    name = Ran(capsys, "estimate", "x.npy", "z.npy", *long).out.strip()
    told = Ran(capsys, "finish", name, "--json")
    assert (told.status, json.loads(told.out)["finishing"]) == (0, True)
    ended = Ran(capsys, "result", name, "--json")
    assert ended.status == 0
    assert json.loads(ended.out)["steps"] < 200_000


def test_many_pairs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = Ran(capsys, "matrix", "x.npy", "y.npy", "z.npy", *QUICK, "--json")
    matrix = json.loads(made.out)
    assert matrix["rows"] == ["x.npy", "y.npy", "z.npy"]
    assert matrix["lower_bound"][0][2] > matrix["lower_bound"][0][1] > 0
    batch = made.err.split()[0]
    assert batch in Ran(capsys, "batches").out
    assert len(Ran(capsys, "results", batch).lines) == 3
    assert json.loads(Ran(capsys, "show", batch).out)["kind"] == "matrix"
    assert len(Ran(capsys, "matrix", "x.npy", "y.npy", "z.npy", *QUICK, "--reference").lines) == 9
    ranged = Ran(capsys, "matrix", "x.npy", "y.npy", *QUICK, "--ranges", "-30,30", "--json")  # no flag called -30,30
    assert json.loads(ranged.out)["upper_kind"] == "finite-sample"
    bounded = Ran(capsys, "matrix", "x.npy", "y.npy", *QUICK, "--diameter", "30", "--json")
    assert json.loads(bounded.out)["upper_bound"][0][1] >= np.sqrt(2)
    x, y, z = Ran(capsys, "upload", "x.npy", "y.npy", "z.npy").lines
    pairs = [{"source": x, "target": y}, {"source": x, "target": z, "custom_id": "far"}]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(map(json.dumps, pairs))))
    results = [json.loads(line) for line in Ran(capsys, "batch", "-", *QUICK).lines]
    assert [r["custom_id"] for r in results] == [None, "far"]


def test_which_set_is_closest(capsys: pytest.CaptureFixture[str]) -> None:
    made = Ran(capsys, "compare", "x.npy", "z.npy", "y.npy", *QUICK)
    assert made.lines[0].startswith("`y.npy` is closer to `x.npy` than `z.npy`, by ")
    assert made.lines[4].split()[:2] == ["1", "y.npy"]
    batch = made.err.split()[0]
    again = json.loads(Ran(capsys, "comparison", batch, "--delta", "1000", "--json").out)
    assert again["differences"][0]["within_delta"] is True
    assert (again["differences"][0]["answer"], again["delta"]) == ("no", 1000)
    few = Ran(capsys, "compare", "x.npy", "y.npy")
    assert (few.status, "at least two candidates" in few.err) == (2, True)
    wrong = Ran(capsys, "comparison", batch, "--delta", "0")
    assert (wrong.status, "delta" in wrong.err) == (2, True)


def test_standard_input_and_no_server_at_all(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = Path("y.npy").read_bytes()
    for url in ((), ("--url", ":local:")):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))
        piped = Ran(capsys, *url, "estimate", "x.npy", "-", *QUICK, "--json")
        assert json.loads(piped.out)["lower_bound"] > 0


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_pipe_is_read_as_its_first_bytes_say(capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"a": np.arange(120.0), "b": np.arange(120.0) % 7})
    write = {"csv": frame.to_csv, "xlsx": frame.to_excel}[kind]
    write(tmp_path / f"table.{kind}", index=False)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    sender = threading.Thread(target=lambda: pipe.write_bytes((tmp_path / f"table.{kind}").read_bytes()))
    sender.start()
    stored = json.loads(Ran(capsys, "upload", str(pipe), "--json").out)
    sender.join()
    assert (stored["rows"], stored["columns"]) == (120, ["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["upload", "nowhere.npy"], 2, "nowhere.npy"),
        (["estimate", "x.npy", "y.npy", "--confidence", "2"], 2, "confidence"),
        (["estimate", "-", "-"], 2, "only one"),
        (["show", "est_none"], 2, "est_none"),
        (["matrix", "x.npy"], 2, "two"),
        (["batch", "nowhere.jsonl"], 2, "nowhere.jsonl"),
        (["--url", "nonsense", "sets"], 2, "address"),
        (["--url", f"http://127.0.0.1:{free_port()}", "status"], 69, "wdist serve"),
    ],
)
def test_mistakes_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, words: str
) -> None:
    ran = Ran(capsys, *arguments)
    assert (ran.status, ran.out) == (status, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(("answer", "status"), [(401, 77), (403, 77), (429, 75), (507, 75)])
def test_what_the_server_says_is_an_exit_status(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, answer: int, status: int
) -> None:
    (tmp_path / "key").write_text("wd_secret\n")
    wait = {"Retry-After": "3600"}
    with ScriptedServer([Answer(answer, {"title": "No"}, wait)]) as scripted:
        ran = Ran(capsys, "--url", scripted.url, "--key-file", str(tmp_path / "key"), "show", "ss_1")
        assert ran.status == status
        assert scripted.asked[0].headers["authorization"] == "Bearer wd_secret"


def test_status_and_the_way_through_wdist(capsys: pytest.CaptureFixture[str], server: ServerProcess) -> None:
    assert wdist(["remote", "status"]) == 0
    said = capsys.readouterr().out
    assert server.url in said
    assert "ready" in said
    assert json.loads(Ran(capsys, "status", "--json").out)["ready"] is True
    assert Ran(capsys, "--version").out == f"wdist-remote {wdist_client.__version__}\n"


HELP = "from wdist_client.command import main\nassert main(['estimate', '--help']) == 0"


@pytest.mark.parametrize("statement", ["import wdist_client", HELP])
def test_little_is_imported_before_it_is_needed(statement: str) -> None:
    heavy = {"numpy", "pydantic", "httpx", "asyncio", "tqdm"}
    assert imported_by(statement).isdisjoint(heavy)


def test_the_library_of_the_command_is_not_imported_with_the_client() -> None:
    assert imported_by("from wdist_client import Client").isdisjoint({"cyclopts", "rich", "numpy", "tqdm"})


def imported_by(statement: str) -> set[str]:
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_options_are_those_of_the_client() -> None:
    assert {field.name for field in fields(EstimateOptions)} == set(Options.__annotations__)


@pytest.fixture
def tables(files: Path) -> Path:
    """An archive of two arrays, and a table with a column of text."""
    x, y = np.load(files / "x.npy"), np.load(files / "y.npy")
    np.savez(files / "both.npz", x=x, y=y)
    pd.DataFrame(x, columns=["first", "second"]).assign(who="somebody").to_csv(files / "who.csv", index=False)
    (files / "rows.data").write_bytes((files / "both.npz").read_bytes())
    (files / "binary.csv").write_bytes(bytes(range(256)))
    return files


def test_an_array_of_an_archive_is_data_of_each_command(capsys: pytest.CaptureFixture[str], tables: Path) -> None:
    sent = Ran(capsys, "upload", "both.npz:x", "both.npz:y", "x.npy", "y.npy")
    assert sent.status == 0
    with Client() as client:
        digests = [client.sample_sets.get(each).sha256 for each in sent.lines]
    assert digests[:2] == digests[2:]
    made = Ran(capsys, "estimate", "both.npz:x", "both.npz:y", *QUICK, "--json")
    assert json.loads(made.out)["lower_bound"] > 0
    name = made.err.split()[0]
    assert Ran(capsys, "evaluate", name, "both.npz:y").lines == Ran(capsys, "evaluate", name, sent.lines[1]).lines
    matrix = json.loads(Ran(capsys, "matrix", "both.npz:x", "both.npz:y", *QUICK, "--json").out)
    assert matrix["rows"] == ["both.npz:x", "both.npz:y"]
    assert Ran(capsys, "upload", "both.npz:x", "--member", "x").lines == sent.lines[:1]
    for arguments, words in ((["both.npz:x", "--member", "y"], "different arrays"), (["both.npz:z"], "'z'")):
        refused = Ran(capsys, "upload", *arguments)
        assert (refused.status, words in refused.err) == (2, True), refused.err


@pytest.mark.parametrize("url", [None, ":local:"])
def test_what_is_said_of_a_file_names_the_clients_arguments_and_the_commands_flags(
    url: str | None, capsys: pytest.CaptureFixture[str], tables: Path, server: ServerProcess
) -> None:
    where = [] if url is None else ["--url", url]
    with Client(url or server.url) as client:
        for file, argument, flag in (
            ("both.npz", "member='NAME'", "FILE.npz:NAME"),
            ("who.csv", "drop=['who']", "--drop who"),
            ("binary.csv", "let its name end in what it is", "let its name end in what it is"),
        ):
            with pytest.raises(InvalidRequest, match=re.escape(argument)) as caught:
                client.sample_sets.create(tables / file)
            said = Ran(capsys, *where, "upload", file)
            assert (said.status, said.out) == (2, "")
            assert flag in said.err
            assert said.err.startswith(f"wdist-remote: {file}: ") or url == ":local:"
            assert str(caught.value).startswith(f"{file}: ") or url == ":local:"
            assert "the body" not in str(caught.value) + said.err
            assert "?" not in str(caught.value) + said.err
    if url is None:
        said = Ran(capsys, "upload", "rows.data")
        assert "ends in none of" in said.err
        assert "?format" not in said.err


def test_what_the_server_refuses_is_called_by_its_name(server: ServerProcess, tables: Path) -> None:
    with Client(server.url) as client:
        for call, name in (
            (lambda: client.matrix(tables / "who.csv", by="whom"), "who.csv"),
            (lambda: client.sample_sets.create(pd.DataFrame({"a": ["x", "y"] * 60}), name="january"), "january"),
            (lambda: client.sample_sets.create(pd.DataFrame({"a": ["x", "y"] * 60})), "the data"),
        ):
            with pytest.raises(InvalidRequest) as refused:
                call()
            assert str(refused.value).startswith(f"{name}: "), refused.value


def test_each_command_that_reads_tables_leaves_columns_out(
    capsys: pytest.CaptureFixture[str], tables: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = Ran(capsys, "matrix", "who.csv", "x.npy", "y.npy", "--drop", "who", *QUICK, "--json")
    assert matrix.status == 2, "x.npy has no names of columns"
    (stored,) = Ran(capsys, "upload", "who.csv", "--drop", "who").lines
    pd.read_csv("who.csv").assign(first=5.0).to_csv("five.csv", index=False)
    matrix = Ran(capsys, "matrix", "who.csv", "five.csv", "--drop", "who", *QUICK, "--json")
    assert json.loads(matrix.out)["rows"] == ["who.csv", "five.csv"]
    name = Ran(capsys, "estimate", "who.csv", "five.csv", "--drop", "who", *QUICK).err.split()[0]
    scores = Ran(capsys, "evaluate", name, stored).lines
    assert len(scores) == 400
    assert Ran(capsys, "evaluate", name, "who.csv", "--drop", "who").lines == scores
    piped = SimpleNamespace(buffer=io.BytesIO((tables / "who.csv").read_bytes()), isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", piped)
    assert Ran(capsys, "evaluate", name, "-", "--drop", "who").lines == scores


# Every command, with arguments that are refused: no such id, sets that are too small, no pairs.
ARGUMENTS = {
    "status": [], "sets": [], "list": [], "batches": [], "upload": ["small.npy"],
    "estimate": ["small.npy", "small.npy"], "matrix": ["small.npy", "x.npy"], "batch": ["none.jsonl"],
    "compare": ["x.npy", "small.npy", "y.npy"], "comparison": ["batch_none"],
    "results": ["batch_none"], "certificate": ["est_none", "c.cert"], "evaluate": ["est_none", "x.npy"],
    **{name: ["est_none", "est_other"] for name in ("show", "finish", "cancel", "delete", "rename")},
    **{name: ["est_none"] for name in ("watch", "result", "curve", "evaluations")},
}  # fmt: skip


@pytest.mark.parametrize("flag", [["--json"], ["--url", ":local:"], ["--url=:local:"], ["--key-file", "no.key"]])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_shared_flag_may_stand_anywhere(capsys: pytest.CaptureFixture[str], command: str, flag: list[str]) -> None:
    np.save("small.npy", np.ones((50, 2)))
    Path("none.jsonl").write_text("")
    given, local = [command, *ARGUMENTS[command]], [] if "url" in flag[0] else ["--url", ":local:"]
    found = set()
    for place in range(len(given) + 1):
        ran = Ran(capsys, *local, *given[:place], *flag, *given[place:])
        said = re.sub(r"(ss|est|batch)_[0-9a-f]{24}|\d{4}-\d\d-\S+", "", ran.out + ran.err)
        found.add((ran.status, said))
    assert len(found) == 1
    assert ("no.key: No such file" in said) is (flag[-1] == "no.key")
    assert "request req_" not in said  # it is not the server of the environment that answers


def test_a_shared_flag_without_its_value_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "matrix", "x.npy", "y.npy", "--url")
    assert (ran.status, ran.err) == (2, "wdist-remote: --url needs a value: --url URL; see wdist-remote --help\n")


def flags_of(app: App, command: str) -> set[str]:
    """The long flags of a command, without those that say no."""
    arguments = app[command].assemble_argument_collection()
    taken = [argument for argument in arguments if argument.parameter.parse is not False]
    return {name for argument in taken for name in argument.names[:1] if name.startswith("--")}


def without_time(text: str) -> str:
    return re.sub(r"[\d.]+ s on \w+", "", text)


def test_the_text_of_a_result_is_that_of_wdist_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--critic", "affine", "--seed", "4", "--statements", "3")
    remote = Ran(capsys, "estimate", "x.npy", "y.npy", *options)
    assert (wdist(["estimate", "x.npy", "y.npy", *options]), remote.status) == (0, 0)
    here = capsys.readouterr().out
    assert without_time(remote.out) == without_time(here)
    with Client() as client:
        found = client.estimates.get(remote.err.split()[0]).wait()
    assert here.splitlines()[:3] == [
        "x.npy (source), y.npy (target)", found.verdict.headline, found.verdict.distance,
    ]  # fmt: skip


def test_flags_of_an_estimate_are_called_alike_with_and_without_a_server() -> None:
    here, there = (flags_of(app, "estimate") for app in (wdist_app, commands("wdist-remote")))
    assert there - here == {"--no-wait", "--timeout", "--priority", "--metadata", "--name"}
    assert here - there == {"--save-critic", "--certificate", "--json"}  # of which the last stands before the command


def test_json_has_the_witness_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    made = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK, "--json", "--witness")
    name = made.err.split()[0]
    assert set(json.loads(made.out)["witness"]) >= {"unusual", "histogram", "columns", "units", "means"}
    assert json.loads(Ran(capsys, "result", name, "--json", "--witness").out) == json.loads(made.out)
    assert "witness" not in json.loads(Ran(capsys, "result", name, "--json").out)
    assert "Held-out rows least like the other set" in Ran(capsys, "result", name, "--witness").out


def test_scores_of_a_file_with_rows_left_out_say_how_many_they_are(
    capsys: pytest.CaptureFixture[str], tables: Path
) -> None:
    frame = pd.read_csv("who.csv").drop(columns="who")
    frame.to_csv("whole.csv", index=False)
    frame.iloc[[0, 3], 0] = np.nan
    frame.to_csv("holes.csv", index=False)
    name = Ran(capsys, "estimate", "whole.csv", "holes.csv", "--missing", "drop", *QUICK).err.split()[0]
    said = Ran(capsys, "evaluate", name, "holes.csv", "--missing", "drop")
    assert len(said.lines) == len(frame) - 2
    assert f"There are {len(frame) - 2} scores: one for each row that was kept, in their order." in said.err
    assert "2 of 400 rows have missing values and were left out" in said.err
    assert "There are" not in Ran(capsys, "evaluate", name, "whole.csv", "--missing", "drop").err


@pytest.mark.slow
def test_watching_survives_a_restart_of_the_server(server: ServerProcess, files: Path) -> None:
    command, pipe = [sys.executable, "-m", "wdist_client"], subprocess.PIPE
    with Client(server.url) as client:
        sets = [client.sample_sets.create(files / f"{name}.npy") for name in "xy"]
        job = client.estimates.create(*sets, critic="groupsort", steps=200_000, baseline_rows=0)
        text, events = (
            subprocess.Popen([*command, *flags, "watch", job.id], stdout=pipe, stderr=pipe, text=True)
            for flags in ([], ["--json"])
        )
        assert text.stderr is not None
        assert events.stdout is not None
        before = [text.stderr.readline(), events.stdout.readline()]
        began = time.monotonic()
        server.stop()
        said = ""
        while "does not answer" not in said:
            said = text.stderr.readline()
        server.start()
        job.finish()
        out, err = text.communicate(timeout=60)
        lines = [*before[1:], *events.communicate(timeout=60)[0].splitlines()]
        assert (text.returncode, events.returncode) == (0, 0)
        assert out.splitlines()[1] == job.wait().verdict.headline
    assert len(err.splitlines()) <= time.monotonic() - began + 1
    assert all(re.match(r"queued|running|the server does not answer", line) for line in [before[0], *err.splitlines()])
    assert json.loads(lines[-1])["type"] == "completed"
