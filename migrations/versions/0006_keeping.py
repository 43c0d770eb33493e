"""What the keeper calls: partitions made and dropped with short locks, a log renewed after a restore, its health."""

from migrations.scripts import run_script

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_script("0006_keeping.sql")
