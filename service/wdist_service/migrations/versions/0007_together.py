"""How many estimates a trainer ran together, sharing the time of one device."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("estimates", sa.Column("together", sa.Integer(), nullable=True))
    op.drop_index("ix_estimates_figures", "estimates")
    figures = ["status", "attempt", "failures", "started_at", "finished_at", "created_at", "together"]
    op.create_index("ix_estimates_figures", "estimates", figures)
