"""Where a reader of the change log begins, now and at an instant; an epoch that a promotion changes at once."""

from migrations.scripts import run_script

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_script("0003_log.sql")
