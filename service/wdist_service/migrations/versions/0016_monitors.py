"""Monitors and their updates."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    json = sa.JSON(none_as_null=True)
    op.create_table(
        "monitors",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("metadata", json, nullable=False),
        sa.Column("thresholds", json, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("paused_at", sa.Float(precision=53), nullable=True),
        sa.Column("paused_in", sa.Integer(), nullable=True),
        sa.Column("updates", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.String(40), nullable=True),
        sa.Column("alarms_on", sa.Integer(), nullable=False),
        sa.Column("series_lower_bound", sa.Float(precision=53), nullable=True),
        sa.Column("updated_at", sa.Float(precision=53), nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("request_digest", sa.String(64), nullable=True),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        # Long columns at the end: SQLite reads through them to those behind.
        sa.Column("alarms", json, nullable=False),
        sa.Column("figures", json, nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_monitors_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitors")),
        sa.UniqueConstraint("tenant_id", "idempotency_key", name=op.f("uq_monitors_tenant_id")),
    )
    op.create_index("ix_monitors_tenant", "monitors", ["tenant_id", "id"])
    op.create_table(
        "monitor_epochs",
        sa.Column("monitor_id", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reference_id", sa.String(40), nullable=False),
        sa.Column("reference_name", sa.String(200), nullable=False),
        sa.Column("reference_rows", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("options", json, nullable=False),
        sa.Column("units", sa.String(200), nullable=True),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(
            ["monitor_id"], ["monitors.id"], name=op.f("fk_monitor_epochs_monitor_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("monitor_id", "number", name=op.f("pk_monitor_epochs")),
    )
    op.create_index("ix_monitor_epochs_reference", "monitor_epochs", ["reference_id"])
    op.create_table(
        "monitor_labels",
        sa.Column("label", sa.String(32), nullable=False),
        sa.Column("monitor_id", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(
            ["monitor_id"], ["monitors.id"], name=op.f("fk_monitor_labels_monitor_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("label", "monitor_id", name=op.f("pk_monitor_labels")),
    )
    op.create_index(op.f("ix_monitor_labels_monitor_id"), "monitor_labels", ["monitor_id"])
    _create_updates(json)


def _create_updates(json: sa.JSON) -> None:
    op.create_table(
        "monitor_updates",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("monitor_id", sa.String(40), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sample_set_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=True),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("outline", sa.String(64), nullable=False),
        sa.Column("at", json, nullable=True),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("figures", json, nullable=True),
        sa.Column("raised", json, nullable=True),
        sa.Column("cleared", json, nullable=True),
        sa.ForeignKeyConstraint(["id"], ["jobs.id"], name=op.f("fk_monitor_updates_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["monitor_id"], ["monitors.id"], name=op.f("fk_monitor_updates_monitor_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_monitor_updates")),
    )
    op.create_index("ix_monitor_updates_monitor", "monitor_updates", ["monitor_id", "id"])
    op.create_index("ix_monitor_updates_content", "monitor_updates", ["monitor_id", "content"])
    op.create_index("ix_monitor_updates_outline", "monitor_updates", ["monitor_id", "outline"])
    op.create_index("ix_monitor_updates_sample_set", "monitor_updates", ["sample_set_id"])
