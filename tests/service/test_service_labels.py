"""Lists of estimates by labels and names, read from indexes, against the same lists by looking at every row."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete
from stores import Stores

from wdist_service import tenancy
from wdist_service.app import ensure_tenant
from wdist_service.database import Database
from wdist_service.estimates import labels
from wdist_service.ids import new_id, new_ids
from wdist_service.settings import Settings
from wdist_service.tables import Batch, Estimate, Job, SampleSet, Status
from wdist_service.text import search_key

LABELS = [
    ("run", "1"),
    ("run", "2"),
    ("team", "blue"),
    ("team", "red"),
    ("odd: key", 'with "quotes" and : too'),
    ("", ""),
]


@pytest.fixture
def database(tmp_path: Path, stores: Stores) -> Iterator[Database]:
    made = Database(Settings(data=tmp_path, **stores.settings()))
    made.migrate()
    with made.write() as session:
        for tenant in ("local", "other"):
            ensure_tenant(session, tenant)
    yield made
    made.close()


def estimate(identifier: str, tenant: str, status: str, labels: dict[str, str], batch: str | None = None) -> Estimate:
    return Estimate(
        id=identifier, tenant_id=tenant, status=status, source_id="ss_1", target_id="ss_2", own_options={},
        own_labels=labels, created_at=time.time(), batch_id=batch,
    )  # fmt: skip


def fill(database: Database, rng: random.Random) -> dict[str, tuple[str, str, dict[str, str]]]:
    """Estimates of two tenants, alone and in batches; owner, state and labels of each that is left."""
    known: dict[str, tuple[str, str, dict[str, str]]] = {}
    with database.write() as session:
        for _ in range(40):
            tenant, given = rng.choice(["local", "local", "other"]), dict(rng.sample(LABELS, rng.randrange(4)))
            batch = None
            if is_batch := rng.random() < 0.4:
                batch = Batch(
                    id=new_id("batch"), tenant_id=tenant, kind="pairs", size=1, options={}, priority="normal",
                    labels=given, created_at=time.time(),
                )  # fmt: skip
            ids = new_ids("est", rng.randrange(1, 12)) if is_batch else [new_id("est")]
            rows = [
                estimate(key, tenant, rng.choice(list(Status)), {} if batch else given, batch and batch.id)
                for key in ids
            ]
            session.add_all(rows if batch is None else [batch, *rows])
            session.flush()
            if batch is None:
                labels.label_estimate(session, rows[0])
            else:
                batch.first_id, batch.last_id = ids[0], ids[-1]
                labels.label_batch(session, batch)
            known |= {row.id: (tenant, str(row.status), given) for row in rows}
        gone = rng.sample(sorted(known), len(known) // 5)
        session.execute(delete(Job).where(Job.id.in_(gone)), execution_options={"synchronize_session": False})
    return {key: value for key, value in known.items() if key not in gone}


@pytest.mark.both_stores
@pytest.mark.parametrize("few", [0, 3, pytest.param(1000, marks=pytest.mark.slow)])
def test_pages_are_those_that_looking_at_every_row_gives(
    database: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """few: below how many rows of a state a list is read by the state. Each way is taken, and gives the same."""
    monkeypatch.setattr(labels, "_FEW", few)
    rng = random.Random(few)
    known = fill(database, rng)
    met = 0
    for _ in range(150):
        tenant, wanted = rng.choice(["local", "other"]), rng.sample(LABELS, rng.randrange(1, 3))
        statuses = rng.sample([str(status) for status in Status], rng.choice([0, 0, 1, 3]))
        limit = rng.randrange(1, 12)
        expected = [
            key
            for key, (owner, status, given) in sorted(known.items(), reverse=True)
            if owner == tenant and (not statuses or status in statuses) and set(wanted) <= set(given.items())
        ]
        found: list[str] = []
        after = None
        while True:
            with database.read() as session:
                rows, after = labels.page(session, tenant, wanted, statuses, limit, after)
            assert len(rows) == limit or after is None
            assert all(row.labels == known[row.id][2] for row in rows)
            found += [row.id for row in rows]
            if after is None:
                break
            assert after == found[-1]
        assert found == expected, (tenant, wanted, statuses, limit)
        met += bool(expected)
    assert met > 30


@pytest.mark.both_stores
def test_labels_go_with_what_has_them(database: Database) -> None:
    fill(database, random.Random(7))
    with database.write() as session:
        session.execute(delete(Job), execution_options={"synchronize_session": False})
        session.execute(delete(Batch))
    with database.read() as session:
        assert session.query(labels.JobLabel).count() == 0


NAMES = [
    "Straße, 100 %", "STRASSE 100 %", "e\u0301tude", "ÉTUDE", "a_b", "aXb", "İstanbul", "100 / 2",
    "back\\slash", "日本語", None, None,
]  # fmt: skip
TEXTS = [
    "strasse", "STRASSE", "Étude", "e", "%", "_", "a_b", "A", "/", "\\", "本", "istanbul", "nowhere", "", "est_",
    "EST_0",
]  # fmt: skip


@pytest.mark.both_stores
@pytest.mark.parametrize("few", [0, 5, 1000])
def test_a_search_finds_what_looking_at_every_name_finds(
    database: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """few: below how many finds a list is read by them; each way gives the same, beside states, labels and pages."""
    monkeypatch.setattr(tenancy, "_FEW", few)
    rng = random.Random(few)
    known = fill(database, rng)
    names: dict[str, list[str]] = {}
    with database.write() as session:
        sets = {tenant: [stored_set(tenant, rng.choice(NAMES)) for _ in range(6)] for tenant in ("local", "other")}
        session.add_all([each for some in sets.values() for each in some])
        gone = rng.choice(sets["local"])
        for row in session.query(Estimate):
            source, target = rng.sample(sets[row.tenant_id], 2)
            row.source_id, row.target_id, row.own_name = source.id, target.id, rng.choice(NAMES)
            there = [each.name for each in (source, target) if each is not gone]
            names[row.id] = [name for name in (row.own_name, *there) if name is not None]
        session.flush()
        session.delete(gone)
    met = 0
    for text in TEXTS:
        tenant, statuses = (
            rng.choice(["local", "other"]),
            rng.sample([str(each) for each in Status], rng.choice([0, 3])),
        )
        wanted, key = rng.sample(LABELS, rng.choice([0, 0, 1])), search_key(text)
        expected = [
            identifier
            for identifier, (owner, status, given) in sorted(known.items(), reverse=True)
            if owner == tenant and (not statuses or status in statuses) and set(wanted) <= set(given.items())
            if any(key in search_key(name) for name in names[identifier])
            or (key.startswith("est_") and identifier.startswith(key))
        ]
        found: list[str] = []
        after, is_first = None, True
        while is_first or after is not None:
            with database.read() as session:
                rows, after = labels.page(session, tenant, wanted, statuses, 3, after, text)
            found, is_first = found + [row.id for row in rows], False
        assert found == expected, (text, tenant, wanted, statuses)
        met += bool(expected)
    assert met > 5


def stored_set(tenant: str, name: str | None) -> SampleSet:
    return SampleSet(
        id=new_id("ss"), tenant_id=tenant, name=name, sha256="0" * 64, bytes=1, rows=1, shape=[1, 1], dtype="<f4",
        statistics={}, created_at=time.time(),
    )  # fmt: skip


@pytest.mark.both_stores
def test_the_longest_name_in_any_script_can_be_stored_and_found(database: Database) -> None:
    for character in "a\U0001d160\ufb03\u0390\U00010400\u0958":  # whose folded forms are up to three characters
        with database.write() as session:
            session.add(made := stored_set("local", 200 * character))
            row = estimate(new_id("est"), "local", "succeeded", {})
            row.own_name, row.source_id = 200 * character, made.id
            session.add(row)
        with database.read() as session:
            for text in (200 * character, character):
                found, _ = labels.page(session, "local", [], (), 20, None, text)
                assert row.id in [each.id for each in found]
            assert found[0].source_name == 200 * character
