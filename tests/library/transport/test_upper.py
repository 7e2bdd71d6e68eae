"""The upper end stays above the truth as often as it says, where no bias of transport hides an error."""

import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from wdist import Result, estimate_w1
from wdist.certify import upper_end
from wdist.definitions.results.numbers import rounded_down, rounded_up
from wdist.errors import OptionError
from wdist.estimate import Estimation
from wdist.options import Options
from wdist.transport.exact import exact_w1
from wdist.transport.upper import (
    UpperEnd,
    diameter_from_ranges,
    finite_sample_deviation,
    upper_end_of_groups,
    upper_end_of_rows,
)

Rows = NDArray[np.float64]
QUICK = {"critic": "affine", "steps": 1, "baseline_rows": 0, "empirical": False}


class Given:
    def __init__(self, rows: Rows) -> None:
        self.samples, self.n = rows, len(rows)

    def rows(self, index: object) -> Rows:
        return self.samples[index]  # type: ignore[index]


def of_rows(x: Rows, y: Rows, diameter: float | None = None, seed: int = 0) -> UpperEnd:
    used = np.arange(len(x)), np.arange(len(y))
    found = upper_end_of_rows(Given(x), Given(y), used, "standard", seed, diameter)
    assert isinstance(found, UpperEnd)
    return found


def of_groups(x: Rows, y: Rows, codes: tuple[NDArray[np.int64], NDArray[np.int64]], seed: int = 0) -> UpperEnd:
    used = np.arange(len(x)), np.arange(len(y))
    found = upper_end_of_groups(Given(x), Given(y), used, codes, "standard", seed)
    assert isinstance(found, UpperEnd)
    return found


def wrong_share(run: Callable[[np.random.Generator], bool], runs: int) -> float:
    generator = np.random.default_rng(0)
    return sum(run(generator) for _ in range(runs)) / runs


def band(alpha: float, runs: int) -> float:
    """The largest share of wrong ones that chance explains at 1 in 10,000."""
    return float(stats.binom.ppf(0.9999, runs, alpha)) / runs


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("diameter", [None, 10.0], ids=["approximate", "finite-sample"])
def test_a_point_mass_leaves_transport_no_choice(dimension: int, diameter: float | None) -> None:
    """All mass goes one way, so that the cost is a mean: an end that is too low shows."""
    alpha, runs, n = 0.1, 1_500, 200
    truth = 5.0 / 2 + 1.0

    def run(generator: np.random.Generator) -> bool:
        x, y = np.zeros((30, dimension)), np.zeros((n, dimension))
        x[:, 0], y[:, 0] = -1.0, 5.0 * generator.random(n)
        return of_rows(x, y, diameter).bound(alpha) < truth

    share = wrong_share(run, runs)
    assert share <= band(alpha, runs)
    if diameter is None:  # and it is no larger than it must be
        assert share >= alpha / 2


def test_rows_of_both_sets_vary() -> None:
    """Two-point sets on the line whose mass moves one way: the cost is the difference of two means."""
    alpha, runs = 0.1, 1_500

    def run(generator: np.random.Generator) -> bool:
        x, y = (generator.random((n, 1)) < p for n, p in ((100, 0.2), (300, 0.8)))
        return of_rows(x.astype(float), y.astype(float)).bound(alpha) < 0.6

    assert alpha / 2 <= wrong_share(run, runs) <= band(alpha, runs)


@pytest.mark.parametrize("is_linked", [False, True])
def test_whole_groups_are_the_draws(is_linked: bool) -> None:
    """Rows of a group share a level, so that rows by themselves would say too little."""
    alpha, runs, groups, size = 0.1, 600, 60, 4

    def run(generator: np.random.Generator) -> bool:
        level = generator.normal(size=groups)
        other = level if is_linked else generator.normal(size=groups)
        x, y = np.repeat(level, size)[:, None], np.repeat(other, size)[:, None] + 3.0
        if is_linked:  # opposite effects of one level: the worst case of linked sets
            y = 6.0 - y
        codes = np.repeat(np.arange(groups), size)
        return of_groups(x, y, (codes, codes if is_linked else codes + groups)).bound(alpha) < 3.0

    assert wrong_share(run, runs) <= band(alpha, runs)


def test_groups_count_equally_whatever_their_sizes() -> None:
    codes = np.repeat(np.arange(10), [91, *[1] * 9])
    x = np.where(codes == 0, 0.0, 1.0)[:, None] * np.ones(2)
    found = of_groups(np.zeros((100, 2)), x, (np.arange(100), codes))
    assert found.cost == pytest.approx(0.9 * math.sqrt(2))
    assert found.units == (100, 10)


def test_formula_of_the_approximate_end() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 300, 3))
    y = y[:200] + 1
    found = of_rows(x, y)
    spread = np.trace(np.cov(x.T)) / 300 + np.trace(np.cov(y.T)) / 200
    assert found.deviation(0.05) == pytest.approx(NormalDist().inv_cdf(0.95) * math.sqrt(spread))
    assert found.cost >= exact_w1(x, y) * (1 - 1e-9)
    assert (found.kind, found.units) == ("approximate", (300, 200))


def test_formula_of_the_finite_sample_end() -> None:
    """Each term by itself: without variance Bernstein's last term, with the largest one McDiarmid's."""
    log = math.log(1 / (0.9 * 0.05))
    least = finite_sample_deviation((0.0, 0.0), (10**6, 10**6), 1.0, 0.05)
    assert log / 3 / 10**6 < least < 10 * log / 10**6
    most = finite_sample_deviation((0.5, 0.5), (100, 300), 1.0, 0.05)
    assert most == pytest.approx(math.sqrt(log / 2 * (1 / 100 + 1 / 300)))
    assert finite_sample_deviation((0.01, 0.01), (10**4, 10**4), 1.0, 0.05) < math.sqrt(log / 10**4) / 3


def test_never_above_the_diameter() -> None:
    x, y = np.random.default_rng(1).random((2, 100, 3))
    assert of_rows(x, y, 1.8).bound(0.05) <= 1.8


def test_known_ranges() -> None:
    assert diameter_from_ranges(np.zeros(16), np.ones(16)) == 4.0
    with pytest.raises(OptionError, match="ranges"):
        diameter_from_ranges(np.ones(3), np.zeros(3))


def shifted(n: int = 300, m: int = 250, by: float = 1.0) -> tuple[Rows, Rows]:
    generator = np.random.default_rng(0)
    return generator.random((n, 2)), generator.random((m, 2)) + np.array([by, 0])


def estimate(**options: object) -> Result:
    return estimate_w1(*shifted(), **QUICK, **options)  # type: ignore[arg-type]


def test_every_result_has_both_ends() -> None:
    result = estimate()
    assert result.upper is not None
    assert result.upper_bound is not None
    assert result.lower_bound < 1 < result.upper_bound
    assert result.upper_bound == pytest.approx(result.upper["cost"] + result.upper["deviation"])
    assert (result.upper_kind, result.no_upper_bound) == ("approximate", None)
    ends = f"between {rounded_down(result.lower_bound)} (95 %) and {rounded_up(result.upper_bound)} (95 %, approximate)"
    assert ends in result.meaning


def test_the_upper_end_never_changes_the_lower_bound() -> None:
    results = [
        estimate(),
        estimate(upper="none"),
        estimate(upper="tight"),
        estimate(diameter=9),
        estimate(ranges=[0, 9]),
    ]
    assert len({(result.value, result.lower_bound, result.p_value) for result in results}) == 1
    assert [result.upper_kind for result in results] == ["approximate", None, "approximate", *["finite-sample"] * 2]
    assert results[1].no_upper_bound is not None


def test_both_ends_of_several_statements() -> None:
    result = estimate(statements=20)
    assert result.simultaneous is not None
    assert result.simultaneous["lower_bound"] < result.lower_bound
    alone = estimate(confidence=1 - 0.05 / 20)
    assert result.simultaneous["upper_bound"] == pytest.approx(alone.upper_bound)


def test_blocks_of_time_have_no_upper_end_and_say_why(tmp_path: Path) -> None:
    result = estimate(split="blocks")
    assert result.upper_bound is None
    assert "ordered in time" in str(result.no_upper_bound)
    result.report(tmp_path / "report.html")
    for page in (str(result), result._repr_html_(), (tmp_path / "report.html").read_text(encoding="utf-8")):
        assert page.count(f"There is no upper bound: {result.no_upper_bound}.") == 1


def test_ranges_with_standardize() -> None:
    result = estimate(scale="standardize", ranges=[[0, 2], [0, 1]])
    assert result.upper_kind == "finite-sample"
    divisor = np.asarray(result.scale["divisor"])
    assert any(f"{np.hypot(2 / divisor[0], 1 / divisor[1]):.6g} apart" in warning for warning in result.warnings)


def test_rows_that_decided_the_unit_are_not_used() -> None:
    """Indicator columns fitted on the rows that the end uses: its bound was below the distance in 96 %."""
    options = Options.checked(scale="standardize", **QUICK)  # type: ignore[arg-type]
    levels, n, runs = 60, 200, 60
    chances = np.full(levels, 1 / levels)
    generator, wrong = np.random.default_rng(0), 0
    for seed in range(runs):
        y = np.eye(levels)[generator.choice(levels, n, p=chances)]
        pair = Estimation(np.zeros_like(y), y, options.model_copy(update={"seed": seed}))._pair
        found = upper_end(pair, options)
        assert isinstance(found, UpperEnd)
        assert found.units == (n - len(pair.source_split.select), n - len(pair.target_split.select))
        lengths = 1 / pair.scaling.divisor
        wrong += found.bound(0.05) < float(chances @ lengths)
    assert wrong / runs <= band(0.05, runs)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"diameter": 0.5}, "diameter 0.5 is smaller than the data"),
        ({"diameter": 0.0}, "diameter"),
        ({"diameter": 3.0, "split": "blocks"}, "leave out diameter or split"),
        ({"diameter": 3.0, "scale": "standardize"}, "give ranges instead"),
        ({"diameter": 3.0, "ranges": [0, 2]}, "not both"),
        ({"diameter": 3.0, "upper": "none"}, "leave out diameter or upper"),
        ({"diameter": 3.0, "groups": (np.arange(300) // 2, 500 + np.arange(250) // 2)}, "leave out diameter or groups"),
        ({"ranges": [0, 2], "groups": (np.arange(300) // 2, 500 + np.arange(250) // 2)}, "leave out ranges or groups"),
        ({"ranges": [0, 2], "split": "blocks"}, "leave out ranges or split"),
        ({"ranges": [0, 1.5]}, "ranges: target has .* column 0, outside of 0 to 1.5"),
        ({"ranges": [0, 2, 0]}, "two numbers for all columns"),
        ({"ranges": [2, 0]}, "the lowest, then the highest"),
        ({"ranges": [0, 2] * 3}, "give 2, the lowest and the highest of all, or 4"),
        ({"upper": "loose"}, "upper"),
    ],
    ids=str,
)
def test_refused_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        estimate(**options)
