"""What resuming needs to know of sight: how it was, and what became meanwhile of what went out of it."""

from migrations.scripts import run_script

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_script("0008_changes.sql")
