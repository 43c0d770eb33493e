"""An index for EVSEs at places of a kind that is rare."""

from migrations.scripts import run_script

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_script("0011_location_types.sql")
