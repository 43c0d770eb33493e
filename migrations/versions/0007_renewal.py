"""Look for another cluster's numbers in the log within one snapshot: changes committed meanwhile are none of them."""

from migrations.scripts import run_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_script("0007_renewal.sql")
