"""One lease for every process that holds something; deaths of workers are counted for each job."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("workers", sa.Column("role", sa.String(8), nullable=False, server_default="worker"))
    op.add_column("jobs", sa.Column("worker_deaths", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("furthest", sa.Float(precision=53), nullable=True))
    # All processes of the earlier version have ended, and so have their requests.
    op.execute("UPDATE uploads SET lock = NULL")
    op.add_column("uploads", sa.Column("holder_id", sa.String(40), nullable=True))
    op.drop_column("uploads", "locked_until")
