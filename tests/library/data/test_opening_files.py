"""Files and pipes as they are opened: digests, labels of the rows that are kept, pipes, and memory."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from wdist import SampleError
from wdist.data.sources.advice import in_flags, in_python
from wdist.data.sources.files import open_file
from wdist.data.tables.naming import asked
from wdist.definitions.reading import Selection

MEMORY = """
import resource, sys
from wdist.data.sources.files import open_file
from wdist.definitions.reading import Selection
small, large = sys.argv[1:]
open_file(small, "source", Selection())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
open_file(large, "source", Selection())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
COMMAND = Path(sys.executable).with_name("wdist")


def test_the_digest_is_of_the_bytes_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    rows = open_file(path, "source", Selection())
    assert rows.file_sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    rows = open_file(tmp_path / "x.npy", "source", Selection())
    assert rows.file_sha256 == hashlib.sha256((tmp_path / "x.npy").read_bytes()).hexdigest()


def test_a_file_that_changed_since_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    rows = open_file(path, "source", Selection())
    path.write_text("a,b\n1,2\n3,4\n")
    assert rows.file_sha256 is None


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_labels_are_those_of_the_rows_that_are_kept(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    columns = {"v": [1.0, None, 3.0, 4.0], "who": ["p", "q", "p", "r"]}
    if ending == "csv":
        path.write_text("v,who\n1,p\n,q\n3,p\n4,r\n")
    else:
        pa_parquet.write_table(pa.table(columns), path)
    rows = open_file(path, "source", Selection(drop=["who"], missing="drop"))
    labels = open_file(path, "source", Selection(drop=[], columns=["v"], labels="who", missing="drop"))
    assert len(labels.array) == len(rows.array) == 3
    assert labels.array[0] == labels.array[1] != labels.array[2]


@pytest.mark.parametrize("missing", ["error", "drop", "level"])
def test_a_row_without_a_label_is_refused(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("v,who\n1,p\n2,\n")
    with pytest.raises(SampleError, match="column 'who', line 3 has a missing value; give every row a label"):
        open_file(path, "source", Selection(labels="who", missing=missing))  # type: ignore[arg-type]


def test_a_pipe_is_read_as_csv(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(gzip.compress(b"a,b\n1,2\n3,4\n"),))
    writer.start()
    rows = open_file(pipe, "source", Selection())
    writer.join()
    assert (rows.columns, rows.array.tolist(), rows.file_sha256) == (["a", "b"], [[1, 2], [3, 4]], None)


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="process substitution is a feature of bash")
def test_process_substitution(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shift in (("x", 0), ("y", 3)):
        lines = [f"{v + shift:.6f},g{k // 2}" for k, v in enumerate(rng.normal(size=400))]
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress("\n".join(["v,g", *lines]).encode()))
    command = (
        f"{COMMAND} estimate <(gunzip -c x.csv.gz) <(gunzip -c y.csv.gz) --groups g --critic affine --steps 1 "
        "--baseline-rows 0"
    )
    done = subprocess.run(["/bin/bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = f"{COMMAND} estimate x.csv.gz y.csv.gz --groups g --critic affine --steps 1 --baseline-rows 0"
    same = subprocess.run(["/bin/bash", "-c", files], cwd=tmp_path, capture_output=True, text=True, check=False)
    figures = [next(line for line in each.stdout.splitlines() if "bound" in line) for each in (done, same)]
    assert figures[0] == figures[1]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    """25 and 200 MB of values; the array itself is a file, whose pages count until the system takes them back."""
    for name, rows in (("small", 80_000), ("large", 640_000)):
        values = np.random.default_rng(0).integers(0, 100, size=(rows, 40)).astype(np.float64)
        table = pa.table({f"c{k}": values[:, k] for k in range(40)})
        if ending == "csv":
            import pyarrow.csv as pa_csv

            pa_csv.write_csv(table, tmp_path / f"{name}.csv")
        else:
            pa_parquet.write_table(table, tmp_path / f"{name}.parquet", row_group_size=20_000)
    command = [sys.executable, "-c", MEMORY, *(str(tmp_path / f"{name}.{ending}") for name in ("small", "large"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 << 10  # KiB


@pytest.mark.parametrize("value", ["cut", "the 'cut'", 'a "b" \\ c', "-1", "Größe", "a, b; c) d", "", "x.y"])
@pytest.mark.parametrize("option", ["drop", "categories", "separator", "decimal", "sheet", "time_unit"])
def test_advice_says_the_same_value_in_each_form(option: str, value: str) -> None:
    import shlex

    message = f"the column is no number: say {asked(option, value)}, or do not"
    given: dict[str, object] = {}
    words = in_python(message).removeprefix("the column is no number: say ").removesuffix(", or do not")
    exec(f"given.update({words})", {"given": given})  # the words are arguments of Python
    assert given == {option: [value] if option in ("drop", "categories") else value}
    for form in (in_flags(message), in_flags(in_python(message))):
        flags = shlex.split(form.removeprefix("the column is no number: say ").removesuffix(", or do not"))
        flag = f"--{option.replace('_', '-')}"
        assert flags == ([f"{flag}={value}"] if value.startswith("-") else [flag, value])


def test_advice_of_a_header_is_a_flag() -> None:
    said = f"say {asked('header', 'true')} or {asked('header', 'false')}"
    assert in_python(said) == "say header=True or header=False"
    assert in_flags(said) == in_flags(in_python(said)) == "say --header or --no-header"
