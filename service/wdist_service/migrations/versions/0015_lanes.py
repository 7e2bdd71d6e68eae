"""Jobs that wait for another job, or for a time."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("waits_for", sa.String(40), nullable=True))
    op.add_column("jobs", sa.Column("due_at", sa.Float(53), nullable=True))
    op.add_column("jobs", sa.Column("dated_at", sa.Float(53), nullable=True))
    op.add_column("jobs", sa.Column("lane", sa.String(64), nullable=True))
    op.drop_index("ix_jobs_waiting", table_name="jobs")
    op.create_index("ix_jobs_active", "jobs", ["tenant_id", "status", "due_at", "cost_seconds"])
    _index("ix_jobs_ready", "status = 'queued' AND waits_for IS NULL AND due_at IS NULL", *_ORDER)
    _index("ix_jobs_due", "due_at IS NOT NULL", "status", "due_at", "id")
    _index("ix_jobs_waits_for", "waits_for IS NOT NULL", "waits_for")


_ORDER = ("tenant_id", "priority", "created_at", "id")


def _index(name: str, where: str, *columns: str) -> None:
    op.create_index(name, "jobs", list(columns), sqlite_where=sa.text(where), postgresql_where=sa.text(where))
