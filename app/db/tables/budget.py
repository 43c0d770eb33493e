"""What callers may still ask, for `app.budget`. Unlogged: after a crash of the database everybody starts afresh."""

from sqlalchemy import Column, Double, Table, Text

from app.db.tables.base import metadata

#: A bucket per kind of budget and caller. `granted`: the last lease, for the statement to return. `at`: seconds of the
#: epoch, by the clocks of the processes. Rows are updated in place, so half of each page stays free.
budget = Table(
    "budget",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("tokens", Double, nullable=False),
    Column("granted", Double, nullable=False),
    Column("at", Double, nullable=False),
    prefixes=["unlogged"],
    postgresql_with={"fillfactor": 50},
)
