"""Honest certificates of an issuer that shares no code with the verifier: both find the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from issuer import issue

from wdist.verify import verify_certificate, verify_fresh

METHODS = ("betting", "empirical_bernstein", "paired_betting", "target_stakes")
LAYOUTS = [
    {"mode": "groups", "layout": layout, "method": method, "shift": 1.5}
    for layout in ("apart", "own", "mixed")
    for method in METHODS
    if (layout, method) != ("mixed", "paired_betting")
]
CASES: list[dict[str, Any]] = [
    *({"family": family} for family in ("affine", "groupsort", "cone", "conv")),
    *({"method": method} for method in METHODS[1:]),
    *({"method": method, "mode": "blocks"} for method in METHODS),
    *({"scale": scale, "offset": offset} for scale in ("number", "vector", "standardize") for offset in (0.0, 1e9)),
    *({"unit": unit, "offset": offset * unit} for unit in (1e-30, 1e29) for offset in (0.0, 1e9)),
    {"n": 6_000},  # cyclic shifts instead of shuffles would begin at 10,000 test rows
    {"shift": 30.0},  # every score at an end of the clip
    {"seed": 2**128 - 1},
    {"d": 1},
    {"d": 1, "unit": 1e-30, "offset": 1e-21},
    {"upper": False},
    {"diameter": 20.0},
    {"ranges": [-9.0, 9.0]},
    {"ranges": [-9.0, 9.0], "scale": "standardize"},
    {"ranges": [-9.0, 9.0, -8.0, 8.0, -7, 7, -6.0, 6.0], "scale": "vector"},
    {"ranges": [0, 255], "family": "conv"},
    {"diameter": 1e30, "unit": 1e29},
    {"d": 1, "ranges": [-1e4, 1e4]},
    *LAYOUTS,
    {"numbers": (7, 3)},
    {"numbers": (4, 0), "mode": "blocks"},
    *({"scale": "reference", "numbers": numbers} for numbers in ((0, 1), (5, 0), (2, 1))),
    {"mode": "groups", "others": 50, "numbers": (3, 4), "shift": 1.5},
    *(
        {"table": table, "scale": scale, "cost": cost}
        for table in ("mixed", "missing")
        for scale, cost in (("none", 1.0), ("number", 0.3), ("vector", 7.0), ("standardize", 1.0), ("robust", 2.5))
    ),
    *({"table": "missing", "scale": "robust_reference", "numbers": numbers} for numbers in ((0, 1), (5, 0), (2, 1))),
    *({"table": table, "ranges": [-9.0, 9.0], "scale": "robust"} for table in ("mixed", "missing")),
    {"table": "missing", "family": "cone"},
    {"table": "missing", "family": "groupsort", "mode": "blocks"},
    {"table": "missing", "mode": "groups", "layout": "mixed", "shift": 1.5},
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: " ".join(map(str, case.values())) or "plain")
def test_honest_certificates_are_verified(case: dict[str, Any], tmp_path: Path) -> None:
    issued = issue(**case)
    stated, unit = issued.document["statement"], case.get("unit", 1.0)
    (tmp_path / "c.cert").write_bytes(issued.content)
    report = verify_certificate(tmp_path / "c.cert", *issued.arrays)
    assert report.valid, str(report)
    tolerance = 1e-8 * unit + 4 * stated["rounding"]
    assert report.statement["value"] == pytest.approx(stated["value"], rel=0, abs=tolerance)
    assert report.statement["lower_bound"] == pytest.approx(stated["lower_bound"], rel=0, abs=tolerance)
    if case.get("mode") == "blocks":
        assert report.statement["p_value"] is None
    else:
        assert report.statement["p_value"] == pytest.approx(stated["p_value"], rel=1e-3)
    assert report.statement["rounding"] == pytest.approx(stated["rounding"], rel=0.3)
    upper = issued.document["upper"]
    if upper is None:
        assert report.statement["upper_bound"] is None
    else:
        shown = report.statement["upper"]
        assert report.statement["upper_bound"] == pytest.approx(upper["bound"], rel=1e-9, abs=shown["rounding"])
        assert shown["cost"] == pytest.approx(upper["cost"], rel=1e-9, abs=shown["rounding"])
        # an offset of 1e9 deviations costs the row 1e-7 of a deviation, where it is divided
        assert shown["rounding"] < 1e-5 * upper["bound"]
        assert ("finite-sample" in report.sentence) == ("diameter" in case or "ranges" in case)
    assert [check.name for check in report.checks] == [
        *("file", "container", "data", "split", "scale", "Lipschitz bound", "scores", "value", "lower bound"),
        *("p-value", "upper bound"),
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", ["none", "standardize"])
def test_fresh_rows_show_the_difference(method: str, scale: str, tmp_path: Path) -> None:
    issued = issue(method=method, scale=scale, n=400)
    (tmp_path / "c.cert").write_bytes(issued.content)
    generator = np.random.default_rng(9)
    x, y = (generator.standard_normal((n, 4)) for n in (2_000, 3_000))
    y[:, 0] += 0.8
    report = verify_fresh(tmp_path / "c.cert", x, y)
    assert report.valid, str(report)
    assert report.statement["upper_bound"] is None
    assert "There is no upper bound" in report.sentence
    assert 0.3 < report.statement["lower_bound"] < 0.9
    assert report.statement["p_value"] < 1e-3
    assert report.statement["rows"] == {"source": 2_000, "target": 3_000}
    assert [check.name for check in report.checks] == [
        *("file", "container", "fresh data", "Lipschitz bound", "fresh statement")
    ]


@pytest.mark.parametrize("mode", ["random", "blocks", "groups"])
def test_what_is_not_checked_is_said(mode: str, tmp_path: Path) -> None:
    issued = issue(mode=mode)
    (tmp_path / "c.cert").write_bytes(issued.content)
    points = verify_certificate(tmp_path / "c.cert", *issued.arrays).not_checked
    expected = ["file", "critic", "seed", "size of the test part", "prior", "order of the rows", "independence"]
    expected += ["reported figures"] + {
        "random": ["normal approximation"],
        "blocks": ["confidence"],
        "groups": ["groups"],
    }[mode]
    for word in expected:
        assert any(word in point for point in points), word
    assert len(points) == len(expected)
