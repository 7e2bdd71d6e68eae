"""The expected duration of each estimate."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("estimates", sa.Column("cost_seconds", sa.Float(precision=53), nullable=True))
