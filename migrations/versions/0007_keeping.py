"""What the keeper calls: partitions made and dropped with short locks, a log renewed after a restore, its health."""

from migrations.scripts import run_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_script("0007_keeping.sql")
