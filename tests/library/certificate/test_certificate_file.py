"""Certificates of real estimates: whatever was asked for, the independent verifier derives it again."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wdist import Result, estimate_w1, verify_certificate
from wdist.certificate.file import Certificate
from wdist.definitions.figures import REPORTED
from wdist.inference.registry import METHODS
from wdist.inference.units import refuse_layout
from wdist.verify import contents, units, verify_fresh
from wdist.verify.net.layers import KINDS


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
        {"critic": "affine", "ranges": [-90.0, 90.0], "scale": "standardize"},
        {"critic": "affine", "ranges": [-9.0, 9.0, -9.0, 9.0, -9.0, 9.0, -90.0, 90.0], "confidence": 0.8},
        {"critic": "affine", "upper": "tight"},
        {"critic": "affine", "upper": "none"},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_every_option_is_certified(options: dict[str, Any], tmp_path: Path) -> None:
    x, y = sets()
    result = estimate(x, y, **options)
    digest = result.certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", x, y, digest)
    assert report.valid, str(report)
    assert report.statement["value"] == pytest.approx(result.value, rel=1e-12)
    # the library searches a bound to 1e-9 of the interval of the scores, which is a few units wide here
    assert -1e-12 <= report.statement["lower_bound"] - result.lower_bound < 1e-7
    assert report.statement["p_value"] == result.p_value
    assert report.statement["confidence"] == result.confidence
    if result.upper_bound is None:
        assert report.statement["upper_bound"] is None
        assert "upper bound" not in report.sentence
    else:
        assert result.upper is not None
        assert report.statement["upper_bound"] == pytest.approx(result.upper_bound, rel=1e-10)
        assert report.statement["upper_kind"] == result.upper_kind
        assert report.statement["upper"]["cost"] == pytest.approx(result.upper["cost"], rel=1e-10)
        assert report.statement["upper"]["deviation"] == pytest.approx(result.upper["deviation"], rel=1e-10)
        assert f"({result.upper_kind})" in report.sentence
        assert f"at confidence {result.confidence} each" in report.sentence


def test_numbers_on_the_line_need_no_plan(tmp_path: Path) -> None:
    x, y = (each[:, 0] for each in sets())
    result = estimate(x, y, critic="affine")
    result.certificate.save(tmp_path / "c.cert")
    assert not any(name.startswith("plan.") for name in result.certificate.tensors)
    report = verify_certificate(tmp_path / "c.cert", x, y)
    assert report.valid, str(report)
    assert report.statement["upper_bound"] == pytest.approx(result.upper_bound, rel=1e-12)


def test_uint8_images_from_files(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    for name, top in (("a", 256), ("b", 150)):
        np.save(tmp_path / f"{name}.npy", generator.integers(0, top, (150, 8, 8, 3), dtype=np.uint8))
    files = tmp_path / "a.npy", tmp_path / "b.npy"
    result = estimate(*files, critic="bcop")
    result.certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", *files)
    assert report.valid, str(report)
    assert report.statement["upper_bound"] == pytest.approx(result.upper_bound, rel=1e-10)


Grouped = tuple[np.ndarray, np.ndarray, Certificate, Result]
FIRST = {"apart": 300, "mixed": 70, "own": 0}  # the target's groups begin at this one, the source has 0 to 159


@pytest.fixture(scope="module", params=FIRST)
def grouped(request: pytest.FixtureRequest) -> Grouped:
    generator, first = np.random.default_rng(2), FIRST[request.param]
    labels = generator.integers(0, 160, 1_200), first + generator.integers(0, 160, 1_300)
    effects = generator.standard_normal((500, 3))
    x, y = (effects[group] + generator.standard_normal((len(group), 3)) for group in labels)
    result = estimate(x, y + 3, critic="affine", groups=labels)
    return x, y + 3, result.certificate, result


def test_groups_are_certified(grouped: Grouped, tmp_path: Path) -> None:
    x, y, certificate, result = grouped
    certificate.save(tmp_path / "c.cert")
    report = verify_certificate(tmp_path / "c.cert", x, y)
    assert report.valid, str(report)
    assert result.lower_bound > 0
    assert report.statement["value"] == pytest.approx(result.value, abs=1e-12)
    assert report.statement["lower_bound"] == pytest.approx(result.lower_bound, abs=1e-7)
    assert report.statement["p_value"] == pytest.approx(result.p_value, rel=1e-6)
    assert "groups count equally" in report.sentence
    assert result.upper_bound is not None
    assert report.statement["upper_bound"] is None
    assert "The issuer reports an upper bound, which was not checked." in report.sentence
    assert certificate.document["reported"]["upper_bound"] == result.upper_bound
    assert (tmp_path / "c.cert").read_bytes() == certificate.content


def test_the_specification_names_every_field_layer_and_tensor(grouped: Grouped) -> None:
    page = (Path(__file__).parents[3] / "docs/certificate.md").read_text()
    _, _, certificate, _ = grouped
    document = certificate.document
    fields = [
        *document,
        *document["statement"],
        *contents.UPPER,
        *contents.PLAN,
        *document["input"],
        *document["input"]["scale"],
        *document["critic"],
    ]
    fields += [name for name in document["split"] if name not in ("source", "target")]
    fields += [*document["split"]["source"], *METHODS, "family"]
    fields += [name for name in certificate.tensors if not name.startswith("layers.")]
    fields = [name for name in fields if name not in ("data", "split")] + ["data.source", "data.target"]
    for name in fields:
        assert f"`{name}`" in page, name
    for kind, (entry_fields, needed, optional, _) in KINDS.items():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{kind}` |")]
        for name in {*entry_fields, *needed, *optional}:
            assert f"`{name}`" in line, (kind, name)


def test_the_verifier_knows_what_the_library_reports_and_how_it_bounds() -> None:
    assert set(contents.REPORTED) == {"family", "upper_bound", *REPORTED}
    assert set(units.METHODS) == set(METHODS)
    for layout in ("apart", "own", "mixed"):
        known = {name for name, layouts in units.METHODS.items() if layout in layouts}
        assert known == {name for name in METHODS if refuse_layout(layout, name) is None}


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
