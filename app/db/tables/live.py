"""Live status: what is said of EVSEs and parking spots now, when that runs out, and what was said before.

A row of status is born with its EVSE or spot and updated in place ever after: no index but the primary key, and half of
each page free, so that updates stay within their page.
"""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, func, text

from app.db.tables.base import Id, Instant, metadata, one_of
from app.vocabulary import MajorStatus, MinorStatus

NARROW = {"fillfactor": 50}
ALLOWED_PAIRS = (
    "case major when 'UNKNOWN' then minor is null"
    " when 'AVAILABLE' then minor is null or minor in ('AVAILABLE', 'RESERVED')"
    " else minor is null or minor <> 'AVAILABLE' end"
)


def _said_columns() -> tuple[Column[object], ...]:
    """Return the columns of a status's times. `at`: the sender's clock; null before the first status.

    `ttl`: as sent. `expires_at`: the ttl, or else the age at which the hub takes a status for out of date; from then on
    every reader sees UNKNOWN. `due`: when the entry in `status_expiry` that stands for it will be looked at.
    """
    return (
        Column("ttl", Instant),
        Column("at", Instant),
        Column("expires_at", Instant),
        Column("updated_at", Instant),
        Column("due", Instant),
    )


def _said_whole() -> CheckConstraint:
    return CheckConstraint(
        "(at is null) = (expires_at is null) and (at is null) = (updated_at is null)", name="said_whole"
    )


#: What the operator says of an EVSE. `blocked_until`: until then all spots linked to it are taken. That is the earliest
#: of their expiries, null when one of them is free; every transaction that changes spots or links keeps it current.
#: `has_session`: a session there has not ended; kept by `app/db/sql/sessions.sql`.
evse_status = Table(
    "evse_status",
    metadata,
    Column("evse_id", Id, ForeignKey("evse.evse_id", ondelete="CASCADE"), primary_key=True),
    Column("major", Text, nullable=False, server_default=text("'UNKNOWN'")),
    Column("minor", Text),
    *_said_columns(),
    Column("blocked_until", Instant),
    Column("has_session", Boolean, nullable=False, server_default=text("false")),
    one_of("major", MajorStatus),
    one_of("minor", MinorStatus),
    CheckConstraint(ALLOWED_PAIRS, name="allowed_pair"),
    _said_whole(),
    postgresql_with=NARROW,
)

#: The status of a parking spot by each that may publish it. `said_by`: 0 for its PSO, else the number of an operator
#: that links it. The PSO's row stands for the spot itself: it exists as long as the spot does, and is locked to create,
#: link or delete the spot, and to write any status of it.
parking_status = Table(
    "parking_status",
    metadata,
    Column("parking_id", Id, primary_key=True),
    Column("said_by", Integer, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False, server_default=text("'UNKNOWN'")),
    *_said_columns(),
    one_of("status", MajorStatus),
    _said_whole(),
    postgresql_with=NARROW,
)

#: When to look whether a status ran out: one entry per row of status that has a `due`, and stale ones. `kind`:
#: EVSE_STATUS or PARKING_STATUS.
status_expiry = Table(
    "status_expiry",
    metadata,
    Column("due", Instant, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("entity_id", Id, primary_key=True),
)

#: Every change of state that was accepted, and every running out. `at`: the sender's clock, which may run backwards;
#: partitions are by the hub's own.
status_history = Table(
    "status_history",
    metadata,
    Column("evse_id", Id, nullable=False),
    Column("at", Instant, nullable=False),
    Column("major", Text, nullable=False),
    Column("minor", Text),
    Column("recorded_at", Instant, nullable=False, server_default=func.now()),
    one_of("major", MajorStatus),
    one_of("minor", MinorStatus),
    Index(None, "evse_id", "at"),
    postgresql_partition_by="RANGE (recorded_at)",
)
