"""Images against a table are refused in words that say what the two are, wherever they are compared."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from server_process import ServerProcess

from wdist import Monitor, SampleError, compare_w1, estimate_w1, matrix_w1
from wdist.cli.main import main
from wdist_client import Client

WORDS = "photos holds images of 8 x 8 x 3 and reference.csv a table of 3 columns, which cannot be compared"
NEXT = "give two sets of images of one size, or two tables of the same columns"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Path("photos").mkdir()
    for k in range(120):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(f"photos/{k}.png")
    pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc")).to_csv("reference.csv", index=False)
    np.save("table.npy", rng.normal(size=(120, 2)))


@pytest.mark.parametrize("command", ["estimate", "matrix", "plan --detect"])
def test_the_command_says_what_they_are(capsys: pytest.CaptureFixture[str], command: str) -> None:
    name, *flags = command.split()
    assert main([name, "photos", "reference.csv", *flags]) == 2
    said = capsys.readouterr().err
    assert WORDS in said
    assert NEXT in said
    assert main([name, "table.npy", "photos", *flags]) == 2
    assert "table.npy holds a table of 2 columns and photos images of 8 x 8 x 3" in capsys.readouterr().err


def test_the_library_says_what_they_are() -> None:
    for call in (
        lambda: estimate_w1("photos", "reference.csv"),
        lambda: matrix_w1({"photos": "photos", "reference.csv": "reference.csv"}),
        lambda: compare_w1("photos", ["reference.csv", "table.npy"]),
    ):
        with pytest.raises(SampleError, match=f"{NEXT}|images of 8 x 8 x 3"):
            call()
    with pytest.raises(SampleError, match=r"images of 8 x 8 x 3 and .* a table of 3 columns"):
        Monitor("photos").update("reference.csv")


def test_a_client_says_what_they_are(client: Client) -> None:
    for call in (
        lambda: client.estimate("photos", "reference.csv"),
        lambda: client.matrix(["photos", "reference.csv"]),
        lambda: client.monitors.create("photos").update("reference.csv"),
    ):
        with pytest.raises(Exception, match=r"images of 8 x 8 x 3 and .* a table of 3 columns"):
            call()


def test_the_remote_command_says_what_they_are(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["remote", "--url", server.url, "estimate", "photos", "reference.csv"]) == 2
    assert WORDS in capsys.readouterr().err
