"""Sample sets of coded tables, and one content under several names."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    # SQLite changes a constraint by copying the table; no foreign key refers to it.
    with op.batch_alter_table("sample_sets") as table:
        table.add_column(sa.Column("table_schema", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("notes", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("reading", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("file_sha256", sa.String(64), nullable=True))
        table.add_column(sa.Column("identity", sa.String(64), nullable=True))
        table.drop_constraint("uq_sample_sets_tenant_id", type_="unique")
        table.create_unique_constraint(op.f("uq_sample_sets_identity"), ["identity"])
    op.create_index("ix_sample_sets_tenant", "sample_sets", ["tenant_id", "id"])
    _identify()


def _identify() -> None:
    """Give the sets that are there the identity that the application computes; none of them is a coded table."""
    connection = op.get_bind()
    sets = sa.table(
        "sample_sets", sa.column("id"), sa.column("tenant_id"), sa.column("sha256"), sa.column("name"),
        sa.column("column_names", sa.JSON(none_as_null=True)), sa.column("identity"),
    )  # fmt: skip
    found = connection.execute(sa.select(sets)).all()
    changes = [
        {
            "key": row.id,
            "digest": sha256(
                json.dumps([row.tenant_id, row.sha256, row.name, row.column_names, None, None]).encode()
            ).hexdigest(),
        }
        for row in found
    ]
    if changes:
        change = sets.update().where(sets.c.id == sa.bindparam("key")).values(identity=sa.bindparam("digest"))
        connection.execute(change, changes)
