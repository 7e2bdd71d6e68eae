"""Jobs that wait for another job, or for a time."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("due_at", sa.Float(53), nullable=True))
