"""Each forged certificate is refused, or what its forger did is named among what is not checked."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import attacks_on_files  # noqa: F401 - it adds to ATTACKS
import attacks_on_statements  # noqa: F401 - it adds to ATTACKS
import attacks_on_tables  # noqa: F401 - it adds to ATTACKS
import attacks_on_upper_ends  # noqa: F401 - it adds to ATTACKS
import issuer_tables
import numpy as np
import pytest
from attack_kit import ATTACKS
from issuer import Array, Issued, issue

from wdist.verify import CertificateError, Report, verify_certificate, verify_fresh

SHIFT = 0.8  # of the honest sets, in the first column: no bound may be above it, in these units
SECONDS = 10  # no file keeps the verifier longer


@cache
def honest(base: tuple[tuple[str, Any], ...]) -> Issued:
    return issue(**dict(base))


def forged(name: str, path: Path) -> list[Array]:
    """Write the file, and return the two sets that go with it."""
    made = ATTACKS[name].forge(honest(ATTACKS[name].base).copy())
    path.write_bytes(made if isinstance(made, bytes) else made.content)
    return made.arrays if isinstance(made, Issued) else honest(ATTACKS[name].base).arrays


def words(report: Report) -> str:
    return str(report) + str(report.to_dict())


def test_the_kit_is_large() -> None:
    assert len(ATTACKS) >= 200


@pytest.mark.parametrize("name", ATTACKS)
def test_forgeries_are_refused_or_named(name: str, tmp_path: Path) -> None:
    attack = ATTACKS[name]
    arrays = forged(name, tmp_path / "c.cert")
    start = time.perf_counter()
    report = verify_certificate(tmp_path / "c.cert", *arrays)
    assert time.perf_counter() - start < SECONDS
    if attack.refused:
        assert not report.valid, str(report)
        assert report.checks[-1].name in attack.refused, str(report)
        assert "VERIFIED:" not in str(report).replace("NOT VERIFIED:", "")
        assert "\x1b" not in str(report)
    else:
        assert report.valid, str(report)
        assert any(attack.named in point for point in [*report.not_checked, report.sentence]), str(report)


@pytest.mark.parametrize("name", ATTACKS)
def test_no_forgery_gives_fresh_rows_a_distance_that_they_do_not_have(name: str, tmp_path: Path) -> None:
    forged(name, tmp_path / "c.cert")
    generator = np.random.default_rng(17)
    images = dict(ATTACKS[name].base).get("family") == "conv"
    shape = (4, 4) if images else (dict(ATTACKS[name].base).get("d", 4),)
    fresh = [generator.standard_normal((200, *shape)) for _ in range(2)]  # of one population: any bound is wrong
    if images:
        fresh = [np.clip(128 + 40 * each, 0, 255).astype(np.uint8) for each in fresh]
    if table := dict(ATTACKS[name].base).get("table"):
        unknown = table == "missing"
        fresh = [issuer_tables.rows(generator, 200, 0.0, missing=unknown, unknown=unknown) for _ in range(2)]
    try:
        report = verify_fresh(tmp_path / "c.cert", *fresh)
    except CertificateError:  # the critic does not take these rows
        return
    assert not report.valid or report.statement["lower_bound"] == 0, str(report)
    assert not report.valid or report.statement["upper_bound"] is None


ROUNDED = [name for name in ATTACKS if name.startswith(("shift of", "staircase", "cone with", "subnormal"))]


@pytest.mark.parametrize("name", ROUNDED)
def test_what_rounding_made_up_is_subtracted(name: str, tmp_path: Path) -> None:
    arrays = forged(name, tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", *arrays)
    assert report.statement["lower_bound"] == 0
    assert "Rounding: the value may be off by" in report.sentence


def test_fresh_statements_print_the_divisors_that_the_issuer_chose(tmp_path: Path) -> None:
    made = ATTACKS["divisors of standardize 1000 times smaller"]
    issued = made.forge(honest(made.base).copy())
    assert isinstance(issued, Issued)
    (tmp_path / "c.cert").write_bytes(issued.content)
    generator = np.random.default_rng(5)
    report = verify_fresh(tmp_path / "c.cert", *(generator.standard_normal((300, 4)) for _ in range(2)))
    assert report.valid
    for divisor in issued.document["input"]["scale"]["divisor"]:
        assert f"{divisor:.6g}" in report.sentence
    assert any("scale" in point for point in report.not_checked)


def test_files_of_version_1_say_who_wrote_them_and_what_to_do(tmp_path: Path) -> None:
    forged("version 1", tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", *honest(()).arrays)
    assert "written by wdist 0.2.0 in format 1" in report.checks[-1].detail
    assert "ask for a new certificate" in report.checks[-1].detail


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.astype(np.complex128),
        lambda x: x.astype(str),
        lambda x: x.astype(object),
        lambda x: np.zeros(len(x), dtype=[("a", "<f8")]),
        lambda x: x.astype("datetime64[s]"),
        lambda x: x[0, 0],
    ],
    ids=["complex", "text", "objects", "structured", "times", "a number"],
)
def test_rows_that_are_not_real_numbers_are_not_read(convert: Any, tmp_path: Path) -> None:
    (tmp_path / "c.cert").write_bytes(honest(()).content)
    x, y = honest(()).arrays
    for verify in (verify_certificate, verify_fresh):
        with pytest.raises(CertificateError, match="real numbers"):
            verify(tmp_path / "c.cert", convert(x), y)


def test_weaker_claims_are_no_forgeries_and_the_derived_figures_are_reported(tmp_path: Path) -> None:
    issued = honest(()).copy()
    truth = issued.document["statement"]["lower_bound"]
    issued.document["statement"] |= {"lower_bound": truth / 2, "p_value": 1.0, "rounding": 1.0}
    (tmp_path / "c.cert").write_bytes(issued.content)
    report = verify_certificate(tmp_path / "c.cert", *issued.arrays)
    assert report.valid, str(report)
    assert report.statement["lower_bound"] == pytest.approx(truth, abs=1e-8)
    assert report.statement["p_value"] == pytest.approx(1e-4)
    assert report.statement["rounding"] < 1e-9


def test_masked_values_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "c.cert").write_bytes(honest(()).content)
    x, y = honest(()).arrays
    masked = np.ma.masked_greater(x, 2.0)
    assert np.ma.is_masked(masked)
    for verify in (verify_certificate, verify_fresh):
        with pytest.raises(CertificateError, match="masked"):
            verify(tmp_path / "c.cert", masked, y)


def test_rows_without_columns_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "c.cert").write_bytes(honest(()).content)
    with pytest.raises(CertificateError, match="do not fit"):
        verify_fresh(tmp_path / "c.cert", np.zeros((5, 0)), np.zeros((5, 0)))
