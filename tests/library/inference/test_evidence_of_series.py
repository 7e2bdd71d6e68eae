"""Evidence of a series: its formula, what it may cost without drift, and what it keeps."""

import itertools
import json
import math

import numpy as np
import pytest

from wdist.data.seeded import SeededScores
from wdist.errors import OptionError
from wdist.inference.mean_bounds import mean_upper_bound
from wdist.inference.series.budget import Shares
from wdist.inference.series.evidence import RISKS, Evidence

LOW, HIGH = -3.0, 3.0


def scores(n: int, seed: int, mean: float = 0.0, rounding: float = 0.0) -> SeededScores:
    generator = np.random.default_rng(seed)
    return SeededScores.shuffled(generator.normal(mean, 1, n).clip(LOW, HIGH), seed, rounding)


def begun(tolerance: float = 0.0, lipschitz_bound: float = 1.0) -> Evidence:
    return Evidence.begin(0.05, 1, tolerance).replaced(scores(1_500, 0), LOW, HIGH, lipschitz_bound, (0.0, 1.0))


def test_it_is_the_average_capital_of_bets_that_begin_in_every_update() -> None:
    evidence, batches = begun(tolerance=0.1), [scores(500, seed, mean=0.3) for seed in range(1, 5)]
    factors = []
    for t, batch in enumerate(batches, start=1):
        evidence = evidence.added(batch)
        unit = (batch.values - LOW) / (HIGH - LOW)
        stakes = np.array(RISKS)[:, None] / evidence.ceiling
        factors.append(np.prod(1 + stakes * (unit - evidence.ceiling), axis=1))
        capital = np.full(len(RISKS), 1 / (t + 1))  # that of bets which have not begun: sum over s > t of 1/(s (s + 1))
        for start in range(1, t + 1):
            capital += np.prod(factors[start - 1 :], axis=0) / (start * (start + 1))
        assert evidence.value == pytest.approx(capital.mean(), rel=1e-9)
        assert evidence.value <= capital.mean()


def test_the_critic_is_bounded_on_the_reference_at_its_share_of_the_error() -> None:
    evidence = Evidence.begin(0.05, 1, tolerance=0.25)
    for k in (1, 2, 3):
        reference = scores(800, k)
        evidence = evidence.replaced(reference, LOW, HIGH, 2.0, (0.0, 1.0))
        alpha = Shares.of(0.05, 1, 1).of_critic(k)
        bound = mean_upper_bound(reference, LOW, HIGH, alpha, "target_stakes", (0.0, 1.0))
        expected = (bound + 2.0 * 0.25 - LOW) / (HIGH - LOW)
        assert evidence.ceiling == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("tolerance", [0.0, 0.2])
def test_without_drift_no_update_is_expected_to_add_evidence(tolerance: float) -> None:
    """Exactly, over all outcomes of two batches of scores at both ends, whose mean is the largest that is no drift."""
    evidence = begun(tolerance)
    up = evidence.ceiling

    def expectation(before: Evidence, batches: int) -> float:
        if batches == 0:
            return before.value
        total = 0.0
        for outcome in itertools.product((LOW, HIGH), repeat=2):
            chance = math.prod(up if value == HIGH else 1 - up for value in outcome)
            total += chance * expectation(before.added(SeededScores.shuffled(outcome, 0)), batches - 1)
        return total

    assert expectation(evidence, 1) <= 1.0
    assert expectation(evidence, 2) <= 1.0
    assert expectation(evidence, 2) == pytest.approx(1.0, abs=1e-9)  # nothing is given away either


def test_the_mean_of_the_reference_is_below_the_bound_as_often_as_promised() -> None:
    wrong, runs, alpha = 0, 400, 0.5
    for seed in range(runs):  # heavy tails: rare rows make up the mean
        rows = np.random.default_rng(seed).pareto(2.0, 300).clip(0, 50)
        evidence = Evidence.begin(alpha, 1, 0.0).replaced(SeededScores.shuffled(rows, seed), 0, 50, 1.0)
        wrong += evidence.ceiling * 50 < 1 - 1 / 51  # E min(X, 50) for P(X > x) = (1 + x)^-2
    promised = Shares.of(alpha, 1, 1).of_critic(1)
    assert wrong <= runs * promised + 4 * math.sqrt(runs * promised)


def test_drift_reaches_the_limit_and_a_tolerance_above_it_does_not() -> None:
    strict, tolerant = begun(), begun(tolerance=0.5)
    for seed in range(1, 6):
        batch = scores(500, seed, mean=0.4)
        strict, tolerant = strict.added(batch), tolerant.added(batch)
    assert strict.value > strict.limit
    assert tolerant.value < 2


def test_evidence_comes_soon_after_many_quiet_updates() -> None:
    evidence = begun()
    for seed in range(1, 101):
        evidence = evidence.added(scores(500, seed))
    quiet = evidence.value
    for seed in range(101, 104):
        evidence = evidence.added(scores(500, seed, mean=0.4))
    assert quiet < 1
    assert evidence.value > evidence.limit


def test_scores_are_worth_no_more_than_their_rounding_leaves() -> None:
    sharp, blurred = begun().added(scores(500, 1, mean=0.4)), begun().added(scores(500, 1, mean=0.4, rounding=0.5))
    assert sharp.value > blurred.value
    assert begun().added(scores(500, 1, mean=0.4, rounding=10.0)).value < 1
    reference = scores(1_500, 0, rounding=10.0)
    assert Evidence.begin(0.05, 1, 0.0).replaced(reference, LOW, HIGH, 1.0).added(scores(500, 1, 2.0)).value <= 1


def test_a_steeper_critic_counts_for_less() -> None:
    batch = scores(500, 1, mean=0.4)
    assert begun(0.1, lipschitz_bound=3.0).added(batch).value < begun(0.1).added(batch).value


@pytest.mark.parametrize(("low", "high", "tolerance"), [(1.0, 1.0, 0.0), (-3.0, 3.0, 50.0), (0.0, 5e-324, 0.0)])
def test_a_critic_that_cannot_show_drift_bets_nothing(low: float, high: float, tolerance: float) -> None:
    evidence = Evidence.begin(0.05, 1, tolerance)
    evidence = evidence.replaced(scores(200, 0).clip(low, high), low, high, 1.0)
    for seed in range(3):
        evidence = evidence.added(scores(200, seed, mean=2.0).clip(low, high))
    assert evidence.value == pytest.approx(1.0)
    assert evidence.value <= 1.0
    json.dumps(evidence.to_json(), allow_nan=False)


def test_what_is_stored_goes_on_to_the_bit() -> None:
    evidence = begun()
    for seed in range(1, 4):
        stored = Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False)))
        assert stored == evidence
        batch = scores(500, seed, mean=0.1)
        assert stored.added(batch) == evidence.added(batch)
        evidence = evidence.added(batch).replaced(scores(1_500, 0), LOW, HIGH, 1.0)


def test_overwhelming_evidence_is_still_a_number() -> None:
    evidence = begun()
    for seed in range(5):
        evidence = evidence.added(SeededScores.shuffled(np.full(20_000, HIGH), seed))
    assert math.isfinite(evidence.value)
    assert evidence.value > 1e200
    json.dumps(evidence.to_json(), allow_nan=False)


def test_an_update_leaves_the_evidence_before_it_as_it_was() -> None:
    before = begun()
    stored = before.to_json()
    before.added(scores(500, 1, mean=1.0))
    before.replaced(scores(500, 2), LOW, HIGH, 1.0)
    assert before.to_json() == stored


def test_misuse_is_refused() -> None:
    with pytest.raises(OptionError, match="no critic"):
        Evidence.begin(0.05, 1, 0.0).added(scores(500, 1))
    with pytest.raises(OptionError, match="tolerance"):
        Evidence.begin(0.05, 1, -0.1)
    with pytest.raises(OptionError, match="tolerance"):
        Evidence.begin(0.05, 1, math.nan)
    with pytest.raises(OptionError, match="outside"):
        begun().added(SeededScores.shuffled([0.0, 3.5], 0))
    with pytest.raises(OptionError, match="outside"):
        Evidence.begin(0.05, 1, 0.0).replaced(SeededScores.shuffled([0.0, 3.5], 0), LOW, HIGH, 1.0)
    for broken in ({}, {**begun().to_json(), "log_started": [0.0]}, {**begun().to_json(), "updates": 3}):
        with pytest.raises(OptionError, match="no stored evidence"):
            Evidence.from_json(broken)
