"""Who sees whom, kept beside what it follows from, so that the change log says who begins and who ceases to."""

from migrations.scripts import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_script("0004_sight.sql")
