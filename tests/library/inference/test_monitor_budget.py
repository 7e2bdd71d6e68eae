"""The error of a monitor is never more than it says, however many epochs and updates there are."""

import itertools
import math

import pytest

from wdist.errors import OptionError
from wdist.inference.series.budget import Shares, share_of
from wdist.inference.series.schedule import is_replacement


def bounds(shares: Shares) -> float:
    return shares.lower + shares.upper + shares.columns + shares.change


def evidence(shares: Shares) -> float:
    return shares.evidence_reference + shares.evidence_batches


def test_shares_without_an_end_sum_to_at_most_one_and_waste_nothing() -> None:
    partial = math.fsum(share_of(k) for k in range(1, 100_001))
    tail = 6 / math.pi**2  # the sum of 1 / k^2 over k > K is between 1 / (K + 1) and 1 / K
    assert partial + tail / 100_000 >= 1 - 1e-12
    assert partial + tail / 100_001 <= 1 + 1e-12


@pytest.mark.parametrize("alpha", [0.05, 0.5, 1e-9])
def test_all_statements_of_all_epochs_and_updates_sum_to_at_most_alpha(alpha: float) -> None:
    epochs, updates = 40, 200
    every = [[Shares.of(alpha, epoch, update) for update in range(1, updates + 1)] for epoch in range(1, epochs + 1)]
    total = math.fsum(bounds(shares) for epoch in every for shares in epoch)
    total += math.fsum(evidence(epoch[0]) for epoch in every)  # once an epoch
    # What further epochs and updates may take: 1 / K is more than the tail of the sum of 1 / k^2.
    first = 6 / math.pi**2
    rest = alpha / 2 * (first / epochs * 2 + first / updates)
    assert total < alpha
    assert total + rest >= alpha * (1 - 1e-12)


def test_the_critics_of_an_epoch_share_its_error() -> None:
    shares = Shares.of(0.05, 2, 7)
    assert shares.of_critic(3) == shares.evidence_reference * share_of(3)
    assert math.fsum(shares.of_critic(k) for k in range(1, 10_000)) < shares.evidence_reference


def test_evidence_has_one_error_in_all_updates_of_an_epoch() -> None:
    first, later = Shares.of(0.05, 3, 1), Shares.of(0.05, 3, 400)
    assert evidence(first) == evidence(later)
    assert later.lower < first.lower


@pytest.mark.parametrize(("alpha", "epoch", "update"), [(0.0, 1, 1), (1.0, 1, 1), (0.05, 0, 1), (0.05, 1, 0)])
def test_shares_of_nothing_are_refused(alpha: float, epoch: int, update: int) -> None:
    with pytest.raises(OptionError):
        Shares.of(alpha, epoch, update)


def test_the_first_update_has_a_critic_and_no_critic_stays_for_more_than_eight_updates() -> None:
    replacements = [update for update in range(1, 500) if is_replacement(update)]
    assert replacements[:6] == [1, 2, 4, 8, 16, 24]
    assert max(later - earlier for earlier, later in itertools.pairwise(replacements)) == 8
    with pytest.raises(OptionError):
        is_replacement(0)
