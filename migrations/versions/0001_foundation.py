"""Partners, contracts, keys, audit; operators, locations, EVSEs; row-level security."""

from migrations.scripts import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_script("0001_foundation.sql")
