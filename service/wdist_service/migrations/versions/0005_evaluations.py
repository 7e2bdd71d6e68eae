"""Evaluations of critics on whole sample sets."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("estimate_id", sa.String(40), nullable=False),
        sa.Column("sample_set_id", sa.String(40), nullable=False),
        sa.Column("gradient", sa.Boolean, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("finished_at", sa.Float(precision=53), nullable=True),
        sa.Column("holder", sa.String(40), nullable=True),
        sa.Column("held_until", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_evaluations_tenant_id")),
        sa.ForeignKeyConstraint(
            ["estimate_id"], ["estimates.id"], name=op.f("fk_evaluations_estimate_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    op.create_index("ix_evaluations_estimate", "evaluations", ["estimate_id", "id"])
    op.create_index("ix_evaluations_status", "evaluations", ["status", "id"])
    op.create_index("ix_evaluations_tenant", "evaluations", ["tenant_id"])
    op.create_index("ix_evaluations_sha256", "evaluations", ["sha256"])
