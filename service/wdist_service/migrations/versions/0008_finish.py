"""When an estimate was asked to finish with what it has."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("estimates", sa.Column("finish_asked_at", sa.Float(), nullable=True))
