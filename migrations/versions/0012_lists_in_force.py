"""Names of lists that went into force are remembered for a day."""

from migrations.scripts import run_script

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_script("0012_lists_in_force.sql")
