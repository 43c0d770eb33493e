"""Whole lists on their way: parts that came, checked and in the shape of their tables, until the last one is there."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.schema import SchemaItem

from app.db.tables.base import Id, Instant, metadata
from app.db.tables.charge_points import evse

#: `list_id`: as the sender calls it; null where nobody will speak of the list again. `in_force_at`: since when its rows
#: are in force; then it has no parts any more, but its name is known for a day.
upload_list = Table(
    "upload_list",
    metadata,
    Column("no", Integer, Identity(always=True), primary_key=True),
    Column("partner_id", UUID, ForeignKey("partner.id"), nullable=False),
    Column("role_id", Integer, ForeignKey("partner_role.id"), nullable=False),
    Column("operation", Text, nullable=False),
    Column("list_id", Text),
    Column("begun_at", Instant, nullable=False),
    Column("in_force_at", Instant),
    UniqueConstraint("role_id", "operation", "list_id"),
    Index(None, "partner_id"),
)

#: `complete`: all of its items are here, and no later copy took its place. `kept_ids`: of refused items, whose previous
#: records stay.
list_part = Table(
    "list_part",
    metadata,
    Column("no", Integer, Identity(always=True), primary_key=True),
    Column("list_no", Integer, ForeignKey("upload_list.no", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("complete", Boolean, nullable=False, server_default=text("false")),
    Column("last", Boolean, nullable=False),
    Column("items", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("kept_ids", ARRAY(Text), nullable=False),
    Index("list_part_complete_key", "list_no", "number", unique=True, postgresql_where=text("complete")),
    Index(None, "list_no"),
)


def _place_in_list() -> tuple[SchemaItem, ...]:
    return (
        Column("part_no", Integer, ForeignKey("list_part.no", ondelete="CASCADE"), primary_key=True),
        Column("place", Integer, primary_key=True),
    )


#: Rows of `evse` but for their list and time; documents as text, since COPY is binary.
listed_evse = Table(
    "listed_evse",
    metadata,
    *_place_in_list(),
    *(
        Column(column.name, Text() if isinstance(column.type, JSON) else column.type, nullable=column.nullable)
        for column in evse.columns
        if column.computed is None and column.name not in ("list_no", "updated_at")
    ),
)

#: What a PSO says of its spots.
listed_parking_spot = Table(
    "listed_parking_spot",
    metadata,
    *_place_in_list(),
    Column("parking_id", Id, nullable=False),
    Column("own_longitude", Float(53)),
    Column("own_latitude", Float(53)),
    Column("restrictions", Integer, nullable=False),
    Column("floor_level", Text),
    Column("number", Text),
    Column("content_hash", LargeBinary, nullable=False),
)
