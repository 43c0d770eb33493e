"""All tables as they were at the first release."""

from migrations.scripts import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_script("0001_baseline.sql")
