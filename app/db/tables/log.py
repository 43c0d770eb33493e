"""The change log: which entity changed in which transaction, and what cannot be seen any more of how it was before.

Rows hold no state: readers read the present one. A reader's position is a snapshot (app/db/sql/log.sql).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables.base import Id, Instant, metadata, one_of
from app.vocabulary import LogKind

#: `existed`: the entity was there before. `operator_nos`, `longitudes`, `latitudes`: parallel, the places through which
#: it was seen before; operator 0: the PSO's own position of a spot. `said_by`: of a spot the operators whose links,
#: contracts or statuses changed, 0 for what the PSO publishes: no other viewer is concerned. `was_available`: the
#: combined status before a change of status. `role_ids`: the roles that a private row belongs to, or whose viewer scope
#: changed (0: everybody's). A tariff lies nowhere, at 0, 0; `recipients`: the providers that are shown something else
#: of it now; with `*` among them, all callers but these.
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
    Column("longitudes", ARRAY(Double)),
    Column("latitudes", ARRAY(Double)),
    Column("was_available", Boolean),
    Column("role_ids", ARRAY(Integer)),
    Column("recipients", ARRAY(Text)),
    Column("said_by", ARRAY(Integer)),
    one_of("kind", LogKind),
    Index(None, "transaction", "id"),
    # How an entity was at a cursor stands in the first row about it since, whatever the numbers of the transactions.
    Index(
        "change_entity_idx",
        "kind",
        "entity_id",
        "id",
        postgresql_where=text("kind in ('EVSE', 'PARKING_SPOT', 'TARIFF', 'AUTHORISATION', 'SESSION', 'CDR')"),
    ),
    postgresql_partition_by="RANGE (at)",
)

#: One row. `epoch` names the log: cursors of another one are not good here. `floor`: one more than the highest
#: transaction whose rows are no longer kept. `written_by`: the cluster and database whose transactions have these
#: numbers. `key` seals what is given out of positions (app/db/seal.py).
log_state = Table(
    "log_state",
    metadata,
    Column("epoch", Text, primary_key=True, server_default=text("right(gen_random_uuid()::text, 12)")),
    Column("floor", BigInteger, nullable=False),
    Column("written_by", Text, nullable=False),
    Column(
        "key",
        LargeBinary,
        nullable=False,
        server_default=text("uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())"),
    ),
)

#: Positions at instants, noted every few seconds: where changes since an instant begin. `position`: see log_position().
log_mark = Table(
    "log_mark",
    metadata,
    Column("at", Instant, primary_key=True),
    Column("position", Text, nullable=False),
)
