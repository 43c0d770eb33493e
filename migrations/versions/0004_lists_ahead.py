"""Whole lists go into force at once, however long it takes to write them."""

from migrations.scripts import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_script("0004_lists_ahead.sql")
