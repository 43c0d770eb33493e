"""Lists have numbers and come into force at once; their parts come in many short transactions."""

from migrations.scripts import run_script

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_script("0010_lists.sql")
