"""Versions of parking spots: a PSO's whole list, however long, comes into force at once."""

from migrations.scripts import run_script

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_script("0015_spot_lists.sql")
