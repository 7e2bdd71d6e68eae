"""The independent verifier accepts true certificates, and nothing that was altered."""

import hashlib
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from certified import FAMILIES, Case, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from wdist.verify import CertificateError, Report, main, verify_certificate, verify_fresh
from wdist.verify.container import read_container, write_container


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture(scope="module")
def table() -> Case:
    return Case("groupsort")


def assert_derived(report: Report, case: Case) -> None:
    """The derived figures are those of the library, which searches bounds to 1e-9 of the interval of the scores."""
    stated = case.certificate.document["statement"]
    low, high = stated["clip"]
    small = 4e-9 * (high - low) / case.critic.lipschitz_bound
    assert abs(report.statement["value"] - stated["value"]) < small
    assert -1e-3 * small <= report.statement["lower_bound"] - stated["lower_bound"] < small
    assert report.statement["p_value"] == pytest.approx(stated["p_value"])
    assert stated["rounding"] <= report.statement["rounding"] * 1.01 < stated["rounding"] + 1e-3 * small


# --- true certificates ---------------------------------------------------------------------------------------------


def test_true_certificates_pass(case: Case, tmp_path: Path) -> None:
    digest = case.certificate.save(tmp_path / "c.wdist")
    assert digest == hashlib.sha256((tmp_path / "c.wdist").read_bytes()).hexdigest()
    for side, array in zip("ab", case.arrays, strict=True):
        np.save(tmp_path / f"{side}.npy", array)
    report = verify_certificate(tmp_path / "c.wdist", tmp_path / "a.npy", tmp_path / "b.npy", digest)
    assert report.valid, str(report)
    assert len(report.checks) == 11
    assert_derived(report, case)
    assert "VERIFIED: lower bound" in str(report)
    assert "Units: Euclidean distance" in str(report)
    assert "pproximate" not in str(report)
    assert any("fitted and chosen without the test rows" in point for point in report.not_checked)
    assert not any("--sha256" in point for point in report.not_checked)


def test_any_safetensors_reader_opens_the_file(table: Case, tmp_path: Path) -> None:
    from safetensors import safe_open

    table.certificate.save(tmp_path / "c.safetensors")
    with safe_open(tmp_path / "c.safetensors", framework="numpy") as stored:
        assert json.loads(stored.metadata()["wdist_certificate"]) == table.certificate.document
        for name, tensor in table.certificate.tensors.items():
            np.testing.assert_array_equal(stored.get_tensor(name), tensor)


# --- altered certificates ------------------------------------------------------------------------------------------


def test_two_hundred_single_byte_changes_are_all_rejected(table: Case, tmp_path: Path) -> None:
    content = table.certificate.content
    generator = np.random.default_rng(0)
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / "c.wdist"
    for place in generator.choice(len(content), 200, replace=False):
        altered = bytearray(content)
        altered[place] ^= int(generator.integers(1, 256))
        path.write_bytes(altered)
        assert not verify_certificate(path, *table.arrays, digest).valid
        assert not verify_certificate(path, *table.arrays).valid  # the file's own digest and spelling see it as well
    path.write_bytes(content)
    assert verify_certificate(path, *table.arrays, digest).valid


def test_other_data_are_rejected(table: Case, tmp_path: Path) -> None:
    table.certificate.save(tmp_path / "c.wdist")
    x, y = table.arrays
    changed = x.copy()
    changed[7, 2] = np.nextafter(changed[7, 2], np.float32(9))
    for source, target, words in (
        (y, x, "the two sets are exchanged"),
        (x, x, "the same set was given twice, the first set of this certificate"),
        (
            changed,
            y,
            "the first set is not the certified one: it was changed since, or is another; the second is",
        ),
        (x, x[::-1], "the second set is not the certified one"),
        (x[::-1], y, "the first set is not the certified one"),
        (x.astype(np.float64), y, "the first has type float64, certified was float32"),
        (x[:-1], y, f"the first has shape {x[:-1].shape}, certified was {x.shape}"),
        (changed, y[::-1], "neither set is a certified one"),
    ):
        report = verify_certificate(tmp_path / "c.wdist", source, target)
        assert not report.valid
        assert report.checks[-1].name == "data"
        assert words in report.checks[-1].detail


def test_files_that_are_no_certificates(table: Case, tmp_path: Path) -> None:
    path = tmp_path / "c.wdist"
    content = table.certificate.content
    for bad in (
        b"",
        b"\0" * 7,
        b"\xff" * 64,
        content[:-1],
        content + b"\0",
        content[:100],
        b"\x02" + b"\0" * 7 + b"{}",
    ):
        path.write_bytes(bad)
        assert not verify_certificate(path, *table.arrays).valid
        assert "NOT VERIFIED" in str(verify_certificate(path, *table.arrays))


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.npy": (lambda path: None, "No such file"),
    "table.csv": (lambda path: path.write_text("a,b\n1,2\n"), "`wdist verify` reads tables"),
    "archive.npz": (lambda path: np.savez(path, x=np.zeros((9, 6))), "`wdist verify` reads tables"),
    "no-archive.npz": (lambda path: path.write_bytes(b"PK\x03\x04 and no more"), "is not a .npy file"),
    "empty.npy": (lambda path: path.write_bytes(b""), "is not a .npy file"),
    "short.npy": (lambda path: path.write_bytes(npy(np.zeros((400, 6)))[:-1]), "is not a .npy file"),
    "words.npy": (lambda path: path.write_bytes(npy(np.array(["a", "b"]))), "not an array of real numbers"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
}


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("verify", [verify_certificate, verify_fresh])
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_neither_verified_nor_refuted(
    name: str, verify: Callable[..., Report], table: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, words = UNREADABLE[name]
    write(tmp_path / name)
    table.certificate.save(tmp_path / "c.wdist")
    good = rows("groupsort", 500, 11, 0.0)
    np.save(tmp_path / "good.npy", good)
    for source, target in ((tmp_path / name, good), (good, tmp_path / name)):
        with pytest.raises(CertificateError, match=re.escape(words)):
            verify(tmp_path / "c.wdist", source, target)
    files = [str(tmp_path / each) for each in ("c.wdist", name, "good.npy")]
    assert main([*files, *(["--fresh"] if verify is verify_fresh else [])]) == 2
    said = capsys.readouterr()
    assert (said.out, words in said.err) == ("", True)


@pytest.mark.parametrize("verify", [verify_certificate, verify_fresh])
def test_a_certificate_that_cannot_be_read_is_not_refuted(
    verify: Callable[..., Report], table: Case, tmp_path: Path
) -> None:
    for path, words in ((tmp_path / "missing", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CertificateError, match=words):
            verify(path, *table.arrays)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x[:, :5], "do not fit a critic"),
        (lambda x: x[:1], "at least 2 are needed"),
        (lambda x: np.where(x == x[7, 3], np.nan, x), "is not finite"),
        (lambda x: x.astype(str), "not an array of real numbers"),
        (lambda x: x[:0], "at least 2 are needed"),
    ],
)
def test_fresh_rows_that_the_critic_does_not_take_refute_nothing(
    change: Callable[[np.ndarray], np.ndarray], words: str, table: Case, tmp_path: Path
) -> None:
    table.certificate.save(tmp_path / "c.wdist")
    x, y = rows("groupsort", 500, 11, 0.0), rows("groupsort", 600, 12, 0.8)
    for source, target in ((change(x), y), (x, change(y))):
        with pytest.raises(CertificateError, match=words):
            verify_fresh(tmp_path / "c.wdist", source, target)


def test_another_spelling_of_the_same_content_is_rejected(table: Case) -> None:
    content = table.certificate.content
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    respelled = json.dumps(header).encode()
    with pytest.raises(CertificateError, match="canonical"):
        read_container(len(respelled).to_bytes(8, "little") + respelled + content[8 + size :])


@given(
    document=st.dictionaries(
        st.text(max_size=5),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    ),
    shapes=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=4), max_size=4),
    junk=st.binary(max_size=80),
)
@settings(max_examples=60, deadline=None)
def test_container_returns_what_was_written_and_never_crashes(
    document: dict[str, Any], shapes: list[list[int]], junk: bytes
) -> None:
    dtypes = [np.float32, np.float64, np.int64]
    tensors = {f"t{i}": np.full(shape, i, dtypes[i % 3]) for i, shape in enumerate(shapes)}
    content = write_container(document, tensors)
    read, stored = read_container(content)
    assert read == document
    assert {name: (t.dtype, t.tolist()) for name, t in stored.items()} == {
        name: (t.dtype, t.tolist()) for name, t in tensors.items()
    }
    for bad in (junk, content[: len(content) // 2] + junk, len(junk).to_bytes(8, "little") + junk):
        with pytest.raises(CertificateError):
            read_container(bad)


# --- fresh rows, the command, independence -------------------------------------------------------------------------


def test_fresh_rows_get_a_statement_of_their_own(table: Case, tmp_path: Path) -> None:
    digest = table.certificate.save(tmp_path / "c.wdist")
    x, y = rows("groupsort", 500, 11, 0.0), rows("groupsort", 600, 12, 0.8)
    report = verify_fresh(tmp_path / "c.wdist", x, y, digest)
    assert report.valid, str(report)
    statement = report.statement
    bound = table.critic.lipschitz_bound
    assert statement["value"] == pytest.approx(
        (table.critic.evaluate(y).mean() - table.critic.evaluate(x).mean()) / bound
    )
    assert 0 <= statement["lower_bound"] < statement["value"]
    used = verify_fresh(tmp_path / "c.wdist", x, table.arrays[1], digest)
    assert not used.valid
    assert "fresh rows are needed" in str(used)


def test_fresh_frames_with_columns_in_different_orders_are_refused(table: Case, tmp_path: Path) -> None:
    table.certificate.save(tmp_path / "c.wdist")
    x, y = (pd.DataFrame(rows("affine", 300, seed, 0.8)).add_prefix("column ") for seed in (31, 32))
    assert verify_fresh(tmp_path / "c.wdist", x, y).valid
    with pytest.raises(CertificateError, match="the two sets have other columns"):
        verify_fresh(tmp_path / "c.wdist", x, y[y.columns[::-1]])


def test_fresh_bounds_do_not_depend_on_a_file_sorted_by_score(table: Case, tmp_path: Path) -> None:
    table.certificate.save(tmp_path / "c.wdist")
    wrong = 0
    for seed in range(20):  # both sets from one distribution: any positive bound is wrong
        x, y = rows("groupsort", 300, 100 + seed, 0.0), rows("groupsort", 300, 200 + seed, 0.0)
        order_x, order_y = np.argsort(table.critic.evaluate(x)), np.argsort(-table.critic.evaluate(y))
        wrong += verify_fresh(tmp_path / "c.wdist", x[order_x], y[order_y]).statement["lower_bound"] > 0
    assert wrong <= 6  # binomial(20, 0.05) exceeds 6 less than once in 10,000


def test_command_line(table: Case, tmp_path: Path) -> None:
    digest = table.certificate.save(tmp_path / "c.wdist")
    for side, array in zip("ab", table.arrays, strict=True):
        np.save(tmp_path / f"{side}.npy", array)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "wdist.verify", "c.wdist", "a.npy", "b.npy", *arguments]
        environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    good = run("--sha256", digest)
    assert (good.returncode, good.stderr) == (0, "")
    assert "VERIFIED" in good.stdout
    wrong = run("--sha256", "0" * 64)
    assert wrong.returncode == 1
    assert "NOT VERIFIED" in wrong.stdout
    report = json.loads(run("--json").stdout)
    assert report["valid"] is True
    assert report["statement"]["confidence"] == 0.95
    assert run("--fresh").returncode == 1  # the issuer's own rows


INDEPENDENCE = """
import sys
import wdist.verify
loaded = {name for name in sys.modules if name.partition(".")[0] in ("wdist", "torch", "ot", "safetensors", "scipy")}
allowed = {name for name in loaded if name == "wdist" or name.startswith("wdist.verify")}
sys.exit(", ".join(sorted(loaded - allowed)) or None)
"""


def test_nothing_of_the_library_is_imported() -> None:
    run = subprocess.run([sys.executable, "-c", INDEPENDENCE], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_p_values_of_many_rows_are_verified(tmp_path: Path) -> None:
    case = Case("affine", n=20_000)
    case.certificate.save(tmp_path / "c.wdist")
    report = verify_certificate(tmp_path / "c.wdist", *case.arrays)
    assert report.valid, str(report)


@pytest.mark.parametrize("family", ["groupsort", "cone"])
def test_a_hundred_thousand_test_rows_take_seconds(family: str, tmp_path: Path) -> None:
    case = Case(family, n=333_333)
    case.certificate.save(tmp_path / "c.wdist")
    start = time.perf_counter()
    assert verify_certificate(tmp_path / "c.wdist", *case.arrays).valid
    assert (
        time.perf_counter() - start < 20
    )  # about 1 s on two idle cores, these nets being small; the rest is for busy ones
