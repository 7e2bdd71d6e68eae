"""A result that is saved, loaded and reported: everything it had comes back, without the rows and without pickle."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from wdist import Result, estimate_w1
from wdist.errors import WdistError

COLUMNS = ["height", "<script>alert(1)</script>", "weight"]


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(4)
    return tuple(  # type: ignore[return-value]
        pd.DataFrame(generator.normal(shift, size=(400, 3)), columns=COLUMNS) for shift in (0.0, 0.7)
    )


@pytest.fixture(scope="module")
def result() -> Result:
    found = estimate_w1(*frames(), critic="groupsort", steps=30, baseline_rows=50)
    _ = found.certificate, found.witness
    return found


@pytest.fixture(scope="module")
def saved(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "r.wdist"
    result.save(path)
    return path


def test_everything_comes_back(result: Result, saved: Path) -> None:
    loaded = Result.load(saved)
    assert loaded == result
    assert str(loaded) == str(result)
    assert loaded.names == result.names == ("source", "target")
    assert loaded.certificate.content == result.certificate.content
    assert loaded.witness.to_dict() == result.witness.to_dict()
    assert np.array_equal(loaded.witness.source_rows, result.witness.source_rows)
    x, y = frames()
    assert np.array_equal(loaded.critic.evaluate(y), result.critic.evaluate(y))
    assert np.array_equal(loaded.critic.gradient(x), result.critic.gradient(x))
    assert loaded.critic.lipschitz_bound == result.lipschitz_bound
    assert loaded.critic.takes == result.critic.takes


def test_it_is_read_in_a_process_that_has_never_seen_the_rows(saved: Path, result: Result) -> None:
    program = (
        f"from wdist import Result; r = Result.load({str(saved)!r}); print(repr(r.lower_bound), r.certificate.sha256)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [repr(result.lower_bound), result.certificate.sha256]


def test_the_file_is_safetensors_and_holds_no_pickle(saved: Path) -> None:
    tensors = load_file(saved)
    assert {"certificate", "witness.source_scores", "critic.layers.0.shift"} <= set(tensors)
    assert b"cnumpy" not in saved.read_bytes()


def test_a_second_save_of_a_loaded_result_is_the_same_file(saved: Path, tmp_path: Path) -> None:
    Result.load(saved).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_what_was_not_made_is_not_kept(tmp_path: Path) -> None:
    small = estimate_w1(*frames(), critic="affine", baseline_rows=0)
    small.save(tmp_path / "r")
    loaded = Result.load(tmp_path / "r")
    for part in ("certificate", "witness"):
        with pytest.raises(WdistError, match="asked for before"):
            getattr(loaded, part)
    loaded.report(tmp_path / "r.html")
    assert "The critic's scores" not in (tmp_path / "r.html").read_text()
    with pytest.raises(WdistError, match="asked for before"):
        loaded.report(tmp_path / "r.html", rows=3)
    assert small.certificate.content, "saving does not take it from the result itself"


def altered(path: Path, to: Path, **header: Any) -> Path:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    entries = json.loads(content[8 : 8 + size])
    entries["__metadata__"] |= header
    text = json.dumps(entries).encode()
    to.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    return to


def test_other_files_are_refused_in_words(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    save_file({"a": np.zeros(2, np.float32)}, other)
    with pytest.raises(WdistError, match="is not a result that wdist saved"):
        Result.load(other)
    other.write_bytes(saved.read_bytes()[:200])
    with pytest.raises(WdistError, match="is not a result that wdist saved"):
        Result.load(other)
    with pytest.raises(WdistError, match="result format 7, this version of wdist reads 1"):
        Result.load(altered(saved, other, wdist_result='{"version": 7}'))
    with pytest.raises(WdistError, match="damaged"):
        Result.load(altered(saved, other, wdist_result='{"version": 1, "figures": {}}'))
    with pytest.raises(FileNotFoundError):
        Result.load(tmp_path / "missing")


class Reader(HTMLParser):
    """What a report's markup holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_a_report_is_one_file_with_pictures_and_names_and_no_rows(result: Result, tmp_path: Path) -> None:
    result.report(tmp_path / "r.html", names=("last <week>", "this & that"))
    text = (tmp_path / "r.html").read_text()
    page = Reader(text)
    assert page.tags.count("svg") == 3
    assert "script" not in page.tags
    assert page.links == []
    assert "http" not in text.replace("http-equiv", "")
    said = result.verdict
    for words in (
        "last <week>",
        "this & that",
        said.headline,
        said.distance,
        *COLUMNS,
        f"{result.lower_bound:.5g}",
        "30 steps",
    ):
        assert words in page.words
    assert result.certificate.sha256 in page.words
    _, y = frames()
    assert not any(f"{value:.6g}" in text for value in y.to_numpy().ravel())


def test_rows_are_in_a_report_that_is_asked_for_them(result: Result, tmp_path: Path) -> None:
    result.report(tmp_path / "r.html", rows=2)
    words = Reader((tmp_path / "r.html").read_text()).words
    for frame, side in zip(frames(), ("source", "target"), strict=True):
        first, second, third = result.witness.unusual(3)[side]
        assert all(f"{value:.6g}" in words for row in (first, second) for value in frame.iloc[row.row])
        assert f"{frame.iloc[third.row, 0]:.6g}" not in words


def test_images_are_shown_as_pictures(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, size=(2, 120, 5, 4), dtype=np.uint8)
    found = estimate_w1(images[0], images[1] // 2, critic="affine", baseline_rows=0)
    found.report(tmp_path / "r.html", rows=3)
    page = Reader((tmp_path / "r.html").read_text())
    assert page.tags.count("img") == 6
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(page.links[0].partition(",")[2]))))
    assert np.array_equal(drawn, images[0][found.witness.unusual(1)["source"][0].row])


def test_sets_are_called_by_their_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, frame in zip(("a.csv", "b.csv"), frames(), strict=True):
        frame.to_csv(name, index=False)
    assert estimate_w1("a.csv", Path("b.csv"), critic="affine", baseline_rows=0).names == ("a.csv", "b.csv")
