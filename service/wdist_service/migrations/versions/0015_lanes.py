"""Jobs that wait for another job, or for a time."""

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Nothing yet."""
