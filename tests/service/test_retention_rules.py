"""Which entries go: the oldest first, as many as the limits ask for, and none that is in use."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wdist_service.retention.rules import DAY, GRACE_SECONDS, Entry, Limits, surplus

NOW = 1_000 * DAY

entries = st.lists(
    st.builds(
        Entry,
        st.just("estimate"),
        st.uuids().map(str),
        st.just("local"),
        st.floats(NOW - 100 * DAY, NOW),
        st.integers(0, 1000),
        st.booleans(),
    ),
    max_size=30,
    unique_by=lambda entry: entry.id,
)
limits = st.builds(
    Limits,
    st.none() | st.floats(0.1, 120),
    st.none() | st.integers(0, 30),
    st.none() | st.integers(0, 20_000),
)


def held(entry: Entry) -> bool:
    return entry.is_held


@given(entries, limits)
def test_the_limits_hold_for_what_may_go(found: list[Entry], given_limits: Limits) -> None:
    gone = {removal.entry.id for removal in surplus(found, given_limits, NOW, held)}
    left = [entry for entry in found if entry.id not in gone]
    may_go = [entry for entry in left if not entry.is_held and entry.at <= NOW - GRACE_SECONDS]
    if given_limits.days is not None:
        assert all(entry.is_held or NOW - entry.at <= given_limits.days * DAY for entry in left)
    if given_limits.count is not None:
        assert len(left) <= given_limits.count or not may_go
    if given_limits.bytes is not None:
        assert sum(entry.bytes for entry in left) <= given_limits.bytes or not may_go


@given(entries, limits)
def test_no_more_goes_than_must_and_nothing_in_use(found: list[Entry], given_limits: Limits) -> None:
    removals = list(surplus(found, given_limits, NOW, held))
    assert not any(removal.entry.is_held for removal in removals)
    assert [removal.entry.at for removal in removals] == sorted(removal.entry.at for removal in removals)
    if given_limits.days is None and removals:  # without the last removal, some limit did not hold
        gone = {removal.entry.id for removal in removals[:-1]}
        left = [entry for entry in found if entry.id not in gone]
        is_over = given_limits.count is not None and len(left) > given_limits.count
        size = sum(entry.bytes for entry in left)
        assert is_over or (given_limits.bytes is not None and size > given_limits.bytes)


@given(entries)
def test_without_limits_nothing_goes(found: list[Entry]) -> None:
    assert list(surplus(found, Limits(), NOW, held)) == []
