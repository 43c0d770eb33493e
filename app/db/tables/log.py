"""The change log: which entity changed in which transaction, and what cannot be seen any more of how it was before.

Rows hold no state: readers read the present one. A row's position is its transaction, then its number; rows of
transactions below `pg_snapshot_xmin` are complete, whatever order the transactions were committed in.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, Identity, Index, Integer, Table, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from app.db.tables.base import Id, Instant, metadata, one_of
from app.vocabulary import LogKind

#: `existed`: it was there before (SIGHT: it was seen before). `operator_nos`, `longitudes` and `latitudes` are
#: parallel: the places through which the entity was seen before the change; null where it was not there. An EVSE has
#: one place, of its operator. A parking spot has one per EVSE that linked it, and one of operator 0 if its PSO gave its
#: position: that is known to every viewer of the spot. SIGHT: `operator_nos` are the operators whose EVSEs a role
#: begins or ceases to see, and there is no entity; null where the row is about the PSO that is the entity.
#: `was_available`: the combined status before a change of status. `role_id`: for SIGHT, whose; null: everybody's.
change = Table(
    "change",
    metadata,
    Column("transaction", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text::bigint)")),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("at", Instant, nullable=False, server_default=func.clock_timestamp()),
    Column("kind", Text, nullable=False),
    Column("entity_id", Id, nullable=False),
    Column("existed", Boolean, nullable=False, server_default=text("true")),
    Column("operator_nos", ARRAY(Integer)),
    Column("longitudes", ARRAY(Float(53))),
    Column("latitudes", ARRAY(Float(53))),
    Column("was_available", Boolean),
    Column("role_id", Integer),
    one_of("kind", LogKind),
    Index(None, "transaction", "id"),
    Index("change_sight_idx", "transaction", "id", postgresql_where=text("kind = 'SIGHT'")),
    Index(
        "change_static_idx",
        "kind",
        "entity_id",
        "transaction",
        "id",
        postgresql_where=text("kind in ('EVSE', 'PARKING_SPOT')"),
    ),
    postgresql_partition_by="RANGE (at)",
)

#: One row. `salt` tells logs of different databases apart; changes of transactions below `floor` are not kept any more.
log_state = Table(
    "log_state",
    metadata,
    Column("salt", UUID, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("floor", BigInteger, nullable=False),
)

#: How far the log was complete at an instant: transactions below `transaction` had all ended.
log_mark = Table(
    "log_mark",
    metadata,
    Column("at", Instant, primary_key=True),
    Column("transaction", BigInteger, nullable=False),
)
