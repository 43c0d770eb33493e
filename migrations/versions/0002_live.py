"""Live status, its history and its expiry; the change log, written by triggers wherever static rows change."""

from migrations.scripts import run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_script("0002_live.sql")
