"""Indexes for lists, and for metrics of all estimates without reading their results."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.drop_index("ix_estimates_tenant_status", "estimates")
    op.drop_index("ix_estimates_status", "estimates")
    op.create_index("ix_estimates_tenant", "estimates", ["tenant_id", "id"])
    op.create_index("ix_estimates_tenant_status", "estimates", ["tenant_id", "status", "id"])
    figures = ["status", "attempt", "failures", "started_at", "finished_at", "created_at"]
    op.create_index("ix_estimates_figures", "estimates", figures)
