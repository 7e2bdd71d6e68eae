"""Whether the sets of a batch are split once for all its pairs."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("batches", sa.Column("is_split_once", sa.Boolean(), nullable=True))
