"""`wdist remote list`: lines that fit the terminal."""

import json
import re

import pytest
from remote_command import QUICK, Ran, at_the_server, files

__all__ = ["at_the_server", "files"]  # fixtures


def test_the_list_has_names_dates_and_answers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "a long name of what was compared that no terminal has room for beside all the rest"
    name = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK).err.split()[0]
    assert Ran(capsys, "rename", name, long).out == f"{name} is called {long}\n"
    (line,) = Ran(capsys, "list", "--search", "ROOM FOR").lines
    told = r"succeeded  20\d\d-\d\d-\d\d \d\d:\d\d  a long name of what.*x\.npy and y\.npy  They differ"
    assert re.search(told, line)
    assert Ran(capsys, "list", "--search", name).lines == [line]
    assert json.loads(Ran(capsys, "list", "--json", "--search", "room for").out)[0]["name"] == long
    assert Ran(capsys, "result", long).out == Ran(capsys, "result", name).out
    other = Ran(capsys, "estimate", "x.npy", "y.npy", *QUICK, "--name", long).err.split()[0]
    twice = Ran(capsys, "show", long)
    assert (twice.status, f"2 estimates are called {long!r}" in twice.err, other in twice.err) == (2, True, True)
    assert Ran(capsys, "show", "another name").status == 2
    assert Ran(capsys, "delete", other).status == 0
    with monkeypatch.context() as shown:
        shown.setattr("wdist_client.command.listing.width", lambda: 80)
        narrow = Ran(capsys, "list").lines
        assert max(map(len, narrow)) <= 80
        assert narrow[0].split()[0] == name
        assert narrow[1].split("  ")[2:][0] == "x.npy and y.npy"
    assert Ran(capsys, "rename", name).out == f"{name} has no name\n"
    assert Ran(capsys, "list", "--search", "room for").out == ""
