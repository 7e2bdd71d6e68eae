"""Estimates and batches have names, and are found by them and by those of their sample sets."""

import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_AT_ONCE = 1_000


def upgrade() -> None:
    for table in ("jobs", "batches"):
        op.add_column(table, sa.Column("name", sa.String(200), nullable=True))
    for table in ("jobs", "batches", "sample_sets"):
        op.add_column(table, sa.Column("name_key", sa.Text(), nullable=True))
    _fold()
    named = sa.text("name_key IS NOT NULL")
    op.create_index(
        "ix_jobs_named", "jobs", ["tenant_id", "kind", "id", "name_key"], sqlite_where=named, postgresql_where=named
    )
    op.create_index("ix_sample_sets_named", "sample_sets", ["tenant_id", "name_key", "id"])
    for side in ("source", "target"):  # with the id, so that a search for the estimates of a set reads the index alone
        op.drop_index(f"ix_estimates_{side}", "estimates")
        op.create_index(f"ix_estimates_{side}", "estimates", [f"{side}_id", "id"])


def _fold() -> None:
    """Make the sets that are there known by their names."""
    connection = op.get_bind()
    sets = sa.table("sample_sets", sa.column("id"), sa.column("name"), sa.column("name_key"))
    query = sa.select(sets.c.id, sets.c.name).where(sets.c.name.is_not(None)).order_by(sets.c.id).limit(_AT_ONCE)
    change = sets.update().where(sets.c.id == sa.bindparam("key")).values(name_key=sa.bindparam("folded"))
    last = ""
    while found := connection.execute(query.where(sets.c.id > last)).all():
        last = found[-1].id
        connection.execute(change, [{"key": row.id, "folded": _folded(row.name)} for row in found])


def _folded(name: str) -> str:
    """As in text.py."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
