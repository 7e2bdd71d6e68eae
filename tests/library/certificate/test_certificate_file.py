"""Certificates of real estimates: whatever was asked for, the independent verifier derives it again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wdist import Result, estimate_w1, verify_certificate
from wdist.certificate.file import Certificate
from wdist.errors import OptionError
from wdist.verify import verify_fresh
from wdist.verify.container import write_container
from wdist.verify.layers import KINDS


def sets(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((n, 4)).astype(np.float32)
    return x, (generator.standard_normal((n + 30, 4)) * [1, 1, 1, 3] + [0.3, 0, 0, 0]).astype(np.float32)


def estimate(x: Any, y: Any, **options: Any) -> Result:
    return estimate_w1(x, y, seed=3, steps=5, baseline_rows=0, device="cpu", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"critic": "affine"},
        {"critic": "sliced", "confidence": 0.99},
        {"critic": "groupsort", "scale": "standardize"},
        {"critic": "cone", "scale": [1.0, 2.0, 3.0, 4.0]},
        {"critic": "affine", "method": "empirical_bernstein"},
        {"critic": "affine", "method": "paired_betting"},
        {"critic": "affine", "split": "blocks"},
        {"critic": "sliced", "diameter": 60.0, "scale": 2.0},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_every_option_is_certified(options: dict[str, Any], tmp_path: Path) -> None:
    x, y = sets()
    result = estimate(x, y, **options)
    digest = result.certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", x, y, digest)
    assert report.valid, str(report)
    assert report.statement["lower_bound"] == result.lower_bound
    assert report.statement["value"] == result.value
    assert report.statement["p_value"] == result.p_value
    # two-sided statements share the error: what the lower bound alone holds at
    expected = result.confidence if result.upper_bound is None else 1 - (1 - result.confidence) / 2
    assert report.statement["confidence"] == pytest.approx(expected)


def test_uint8_images_from_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for name, top in (("a", 256), ("b", 150)):
        np.save(tmp_path / f"{name}.npy", generator.integers(0, top, (150, 8, 8, 3), dtype=np.uint8))
    files = tmp_path / "a.npy", tmp_path / "b.npy"
    result = estimate(*files, critic="bcop")
    result.certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", *files)
    assert report.valid, str(report)


@pytest.fixture(scope="module")
def grouped() -> tuple[np.ndarray, np.ndarray, Certificate, Result]:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 130, 900), generator.integers(70, 230, 1_000)  # some groups are on both sides
    effects = generator.standard_normal((230, 3))
    x, y = (effects[group] + generator.standard_normal((len(group), 3)) for group in labels)
    result = estimate(x, y + 1.5, critic="affine", groups=labels)
    return x, y + 1.5, result.certificate, result


def test_groups_are_certified(grouped: tuple[np.ndarray, np.ndarray, Certificate, Result], tmp_path: Path) -> None:
    x, y, certificate, result = grouped
    certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", x, y)
    assert report.valid, str(report)
    assert report.statement["value"] == result.value
    assert report.statement["p_value"] == result.p_value
    assert (tmp_path / "c.cert").read_bytes() == certificate.content


def test_paired_betting_refuses_groups() -> None:
    x, y = sets()
    with pytest.raises(OptionError, match="independent"):
        estimate(x, y, critic="affine", groups=(np.arange(len(x)), np.arange(len(y))), method="paired_betting")


@pytest.mark.parametrize("forgery", ["one row moved to another group", "rows taken as groups", "groups left out"])
def test_forged_groups_are_found_out(
    forgery: str, grouped: tuple[np.ndarray, np.ndarray, Certificate, Result], tmp_path: Path
) -> None:
    x, y, certificate, _ = grouped
    document, tensors = certificate.document, dict(certificate.tensors)
    if forgery == "one row moved to another group":
        codes = tensors["groups.source"].copy()
        test = tensors["test_rows.source"]
        codes[test[0]] = codes[test[-1]]
        tensors["groups.source"] = codes
    elif forgery == "rows taken as groups":
        tensors["groups.source"] = np.arange(len(x))
    else:
        document = document | {"split": document["split"] | {"mode": "random"}}
        del tensors["groups.source"], tensors["groups.target"]
    (tmp_path / "c.cert").write_bytes(write_container(document, tensors))
    report = verify_certificate(tmp_path / "c.cert", x, y)
    assert not report.valid
    assert report.checks[-1].name == "split"


def test_the_specification_names_every_field_layer_and_tensor(
    grouped: tuple[np.ndarray, np.ndarray, Certificate, Result],
) -> None:
    page = (Path(__file__).parents[3] / "docs/certificate.md").read_text()
    _, _, certificate, _ = grouped
    document = certificate.document
    fields = [*document, *document["statement"], *document["input"], *document["input"]["scale"], *document["critic"]]
    fields += ["difference_lower", "paired_betting", "betting", "empirical_bernstein"]
    fields += [name for name in document["split"] if name not in ("source", "target")]
    fields += [name for name in certificate.tensors if not name.startswith("layers.")]
    fields = [name for name in fields if name not in ("data", "split")] + ["data.source", "data.target"]
    for name in fields:
        assert f"`{name}`" in page, name
    for kind, (entry_fields, needed, optional, _) in KINDS.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{kind}` |")]
        for name in {*entry_fields, *needed, *optional}:
            assert f"`{name}`" in line, (kind, name)


def test_fresh_rows_of_a_trained_critic_show_the_distance_again(tmp_path: Path) -> None:
    x, y = sets(4_000)
    result = estimate(x[:2_000], y[:2_000], critic="sliced")
    digest = result.certificate.save(tmp_path / "c.cert")
    report = verify_fresh(tmp_path / "c.cert", x[2_000:], y[2_000:], digest)
    assert report.valid, str(report)
    # two evaluations of one critic on about 600 and 2,000 rows a side; scores deviate by at most 3
    assert abs(report.statement["value"] - result.value) < 4 * 3 * (1 / 600 + 1 / 2_000) ** 0.5
    assert report.statement["lower_bound"] > 0
    assert report.statement["p_value"] < 0.001
