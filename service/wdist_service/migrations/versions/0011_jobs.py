"""One record for jobs of every kind: `jobs`, of which `estimates` and `evaluations` keep what is theirs alone."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

# Columns that estimates had and jobs have.
_MOVED = (
    "tenant_id", "status", "priority", "created_at", "started_at", "finished_at", "attempt", "failures", "worker_id",
    "progress", "error", "cost_seconds", "finish_asked_at", "together", "idempotency_key", "request_digest",
)  # fmt: skip
# A worker that is known to be dead. It holds the evaluations that were on their way, so that the first living worker
# takes them over, as it does with the jobs of any dead one.
_DEAD = "wrk_of_an_earlier_version"
_WHAT = "CASE WHEN gradient THEN 'gradient' ELSE 'values' END"


def upgrade() -> None:
    _create_jobs()
    columns = ", ".join(_MOVED)
    op.execute(f"INSERT INTO jobs (id, kind, {columns}) SELECT id, 'estimate', {columns} FROM estimates")  # noqa: S608
    _refer_to_jobs()
    op.execute("CREATE TABLE moving AS SELECT * FROM evaluations")
    op.create_index("ix_moving", "moving", ["estimate_id", "sample_set_id"])
    op.drop_table("evaluations")
    _reduce_estimates()
    _move_evaluations()
    op.drop_table("moving")


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("tenant_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("priority", sa.String(8), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("started_at", sa.Float(precision=53), nullable=True),
        sa.Column("finished_at", sa.Float(precision=53), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.String(40), nullable=True),
        sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("cost_seconds", sa.Float(precision=53), nullable=True),
        sa.Column("finish_asked_at", sa.Float(precision=53), nullable=True),
        sa.Column("together", sa.Integer(), nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("request_digest", sa.String(64), nullable=True),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_jobs_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("tenant_id", "kind", "idempotency_key", name=op.f("uq_jobs_tenant_id")),
    )
    op.create_index("ix_jobs_list", "jobs", ["tenant_id", "kind", "id"])
    op.create_index("ix_jobs_list_status", "jobs", ["tenant_id", "kind", "status", "id"])
    op.create_index("ix_jobs_waiting", "jobs", ["tenant_id", "status", "priority", "created_at", "id"])
    op.create_index("ix_jobs_worker", "jobs", ["worker_id", "status"])
    figures = ["status", "kind", "attempt", "failures", "started_at", "finished_at", "created_at", "together"]
    op.create_index("ix_jobs_figures", "jobs", figures)


def _refer_to_jobs() -> None:
    """Let events and files refer to jobs. SQLite copies the tables for it, and must not give an event's id again."""
    connection = op.get_bind()
    is_sqlite = connection.dialect.name == "sqlite"
    last = None
    if is_sqlite:
        last = connection.execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'events'")).scalar()
    op.drop_index("ix_events_estimate", "events")
    op.execute("ALTER TABLE events RENAME COLUMN estimate_id TO job_id")
    with op.batch_alter_table("events", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.drop_constraint("fk_events_estimate_id", type_="foreignkey")
        table.create_foreign_key(op.f("fk_events_job_id"), "jobs", ["job_id"], ["id"], ondelete="CASCADE")
    op.create_index("ix_events_job", "events", ["job_id", "id"])
    if last is not None:
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = 'events'"))
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', :seq)"), {"seq": last})
    op.execute("ALTER TABLE artifacts RENAME COLUMN estimate_id TO job_id")
    with op.batch_alter_table("artifacts") as table:
        table.drop_constraint("fk_artifacts_estimate_id", type_="foreignkey")
        table.create_foreign_key(op.f("fk_artifacts_job_id"), "jobs", ["job_id"], ["id"], ondelete="CASCADE")


def _reduce_estimates() -> None:
    # No other table refers to estimates now: SQLite copies the table, and would delete what refers to it.
    for name in ("tenant", "tenant_status", "figures", "worker"):
        op.drop_index(f"ix_estimates_{name}", "estimates")
    with op.batch_alter_table("estimates") as table:
        table.drop_constraint("uq_estimates_tenant_id", type_="unique")
        table.drop_constraint("fk_estimates_tenant_id", type_="foreignkey")
        for column in _MOVED:
            table.drop_column(column)
        table.create_foreign_key(op.f("fk_estimates_id"), "jobs", ["id"], ["id"], ondelete="CASCADE")


def _move_evaluations() -> None:
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("estimate_id", sa.String(40), nullable=False),
        sa.Column("sample_set_id", sa.String(40), nullable=False),
        sa.Column("gradient", sa.Boolean, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("identity", sa.String(100), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["jobs.id"], name=op.f("fk_evaluations_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["estimate_id"], ["estimates.id"], name=op.f("fk_evaluations_estimate_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint("identity", name=op.f("uq_evaluations_identity")),
    )
    op.create_index("ix_evaluations_estimate", "evaluations", ["estimate_id", "id"])
    op.create_index("ix_evaluations_sample_set", "evaluations", ["sample_set_id"])
    on_their_way = "status IN ('queued', 'running')"
    op.execute(
        "INSERT INTO jobs (id, kind, tenant_id, status, priority, created_at, started_at, finished_at, attempt, "  # noqa: S608
        "failures, worker_id, error) SELECT id, 'evaluation', tenant_id, "
        f"CASE WHEN {on_their_way} THEN 'running' ELSE status END, 'normal', created_at, NULL, finished_at, 1, 0, "
        f"CASE WHEN {on_their_way} THEN '{_DEAD}' ELSE NULL END, error FROM moving"
    )
    op.execute(
        "INSERT INTO workers (id, name, slots, devices, started_at, beat_at) "  # noqa: S608
        f"SELECT '{_DEAD}', '{_DEAD}', 0, '[]', 0, 0 WHERE EXISTS (SELECT 1 FROM moving WHERE {on_their_way})"
    )
    # Of equal ones, which two requests at the same moment could make, the first is the one to find again.
    equal = (
        "SELECT min(id) FROM moving other WHERE other.estimate_id = moving.estimate_id AND "
        "other.sample_set_id = moving.sample_set_id AND other.gradient = moving.gradient AND other.status <> 'failed'"
    )
    op.execute(
        "INSERT INTO evaluations (id, estimate_id, sample_set_id, gradient, rows, bytes, identity) "  # noqa: S608
        "SELECT id, estimate_id, sample_set_id, gradient, rows, bytes, "
        f"CASE WHEN id = ({equal}) THEN estimate_id || ':' || sample_set_id || ':' || {_WHAT} END FROM moving"
    )
    op.execute(
        f"INSERT INTO artifacts (job_id, name, sha256, bytes) SELECT id, {_WHAT} || '.npy', sha256, bytes "  # noqa: S608
        "FROM moving WHERE sha256 IS NOT NULL"
    )
