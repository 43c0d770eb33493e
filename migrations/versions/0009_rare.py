"""Indexes for what few EVSEs have."""

from migrations.scripts import run_script

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_script("0009_rare.sql")
