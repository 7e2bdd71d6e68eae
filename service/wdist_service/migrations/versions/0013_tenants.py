"""What a tenant stores is kept once and counted, and estimates are found by an index of labels."""

import json
from hashlib import sha256

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_AT_ONCE = 1_000
_FREE_BYTES = 4096  # as in keys/quotas.py


def upgrade() -> None:
    for table in ("sample_sets", "jobs", "batches"):
        op.add_column(table, sa.Column("stored_bytes", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("batches", sa.Column("statements", sa.Integer(), nullable=True))
    op.add_column("batches", sa.Column("first_id", sa.String(40), nullable=True))
    op.add_column("batches", sa.Column("last_id", sa.String(40), nullable=True))
    op.create_index("ix_batches_tenant", "batches", ["tenant_id", "id"])
    op.create_table(
        "job_labels",
        sa.Column("label", sa.String(32), nullable=False),
        sa.Column("first_id", sa.String(40), nullable=False),
        sa.Column("last_id", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=True),
        sa.Column("batch_id", sa.String(40), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_labels_job_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_job_labels_batch_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("label", "first_id", name=op.f("pk_job_labels")),
    )
    op.create_index(op.f("ix_job_labels_job_id"), "job_labels", ["job_id"])
    op.create_index(op.f("ix_job_labels_batch_id"), "job_labels", ["batch_id"])
    _count()
    _label()
    op.create_index("ix_jobs_stored", "jobs", ["tenant_id", "stored_bytes"])
    op.create_index("ix_sample_sets_stored", "sample_sets", ["tenant_id", "stored_bytes"])


def _count() -> None:
    """Count what is stored already: sets with their descriptions, files of jobs, long requests."""
    connection = op.get_bind()
    most = "max" if connection.dialect.name == "sqlite" else "greatest"

    def beyond(*columns: str) -> str:
        return (
            f"{most}(0, "
            + " + ".join(f"coalesce(length(CAST({c} AS TEXT)), 0)" for c in columns)
            + f" - {_FREE_BYTES})"
        )

    described = beyond("statistics", "column_names", "table_schema", "notes", "reading")
    op.execute(f"UPDATE sample_sets SET stored_bytes = bytes + {described}")  # noqa: S608
    op.execute(f"UPDATE batches SET stored_bytes = {beyond('options', 'metadata', 'sets')}")  # noqa: S608
    files = "(SELECT coalesce(sum(bytes), 0) FROM artifacts WHERE job_id = jobs.id)"
    request = f"(SELECT {beyond('options', 'metadata')} FROM estimates WHERE estimates.id = jobs.id)"  # noqa: S608
    op.execute(f"UPDATE jobs SET stored_bytes = {files} + coalesce({request}, 0)")  # noqa: S608


def _label() -> None:
    """Index the labels of the estimates that are there, each by itself: those of a batch may have others among them."""
    connection = op.get_bind()
    jobs = sa.table("jobs", sa.column("id"), sa.column("tenant_id"))
    estimates = sa.table("estimates", sa.column("id"), sa.column("metadata", sa.JSON()))
    entries = sa.table(
        "job_labels", sa.column("label"), sa.column("first_id"), sa.column("last_id"), sa.column("job_id")
    )
    query = (
        sa.select(jobs.c.id, jobs.c.tenant_id, estimates.c.metadata)
        .join(estimates, estimates.c.id == jobs.c.id)
        .order_by(jobs.c.id)
        .limit(_AT_ONCE)
    )
    last = ""
    while found := connection.execute(query.where(jobs.c.id > last)).all():
        last = found[-1].id
        made = [
            {"label": _digest(row.tenant_id, key, value), "first_id": row.id, "last_id": row.id, "job_id": row.id}
            for row in found
            for key, value in (row[2] or {}).items()
        ]
        if made:
            connection.execute(entries.insert(), made)


def _digest(tenant_id: str, key: str, value: str) -> str:
    """As in estimates/labels.py."""
    return sha256(json.dumps([tenant_id, key, value]).encode()).hexdigest()[:32]
