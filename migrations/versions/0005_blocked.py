"""An EVSE whose block ran out but was not announced yet: its change is logged too; links wait for statuses."""

from migrations.scripts import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_script("0005_blocked.sql")
