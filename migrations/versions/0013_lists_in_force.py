"""Names of lists that went into force are remembered for a day."""

from migrations.scripts import run_script

revision = "0013"
down_revision = "0011"


def upgrade() -> None:
    run_script("0013_lists_in_force.sql")
