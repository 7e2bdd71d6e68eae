"""What a tenant stores is kept once."""

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    pass
