"""Whose EVSE says where a parking spot is: who does not see that operator does not learn of it."""

from migrations.scripts import run_script

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_script("0013_located.sql")
