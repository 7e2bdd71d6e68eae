"""Retention: when deleted jobs used a sample set, and the order in which jobs ended."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("sample_sets", sa.Column("used_at", sa.Float(53), nullable=True))
    op.create_index("ix_jobs_finished", "jobs", ["finished_at", "id"])
