"""Who sees whom, as the change log said it last; kept by triggers (migrations/versions/0004_sight.sql).

Reads never ask here: what a caller sees is worked out anew by each of them.
"""

from sqlalchemy import Boolean, Column, Integer, Table

from app.db.tables.base import Id, metadata

#: The operators whose EVSEs a role sees. `role_id` 0: everybody sees them; roles have only those they see besides, by
#: contract or because they are theirs. The administrator sees all and has no rows.
operator_sight = Table(
    "operator_sight",
    metadata,
    Column("role_id", Integer, primary_key=True, autoincrement=False),
    Column("operator_no", Integer, primary_key=True, autoincrement=False),
)

#: The parking spot operators whose spots a role sees.
parking_sight = Table(
    "parking_sight",
    metadata,
    Column("role_id", Integer, primary_key=True, autoincrement=False),
    Column("party_id", Id, primary_key=True),
)

#: Roles whose sight the present transaction may have changed; `wide`: and that of those who have contracts with them.
sight_due = Table(
    "sight_due",
    metadata,
    Column("role_id", Integer, nullable=False),
    Column("wide", Boolean, nullable=False),
    prefixes=["unlogged"],
)
