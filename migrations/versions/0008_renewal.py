"""Look for another cluster's numbers in the log within one snapshot: changes committed meanwhile are none of them."""

from migrations.scripts import run_script

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_script("0008_renewal.sql")
