"""One row of the log for all operators that a transaction brings into a role's sight, and one for all it takes."""

from migrations.scripts import run_script

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_script("0014_sights_together.sql")
