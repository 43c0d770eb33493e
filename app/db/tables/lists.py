"""Whole lists on their way: parts that came, checked and in the shape of their tables, until the last one is there."""

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID
from sqlalchemy.schema import SchemaItem

from app.db.tables.base import Id, Instant, metadata
from app.db.tables.charge_points import evse

#: `list_id`: as the sender names it. A finished list has its report; its name, the hashes of its parts and the report
#: are kept for a day, its staged rows are not.
upload_list = Table(
    "upload_list",
    metadata,
    Column("no", Integer, Identity(always=True), primary_key=True),
    Column("partner_id", UUID, ForeignKey("partner.id"), nullable=False),
    Column("role_id", Integer, ForeignKey("partner_role.id"), nullable=False),
    Column("operation", Text, nullable=False),
    Column("list_id", Text, nullable=False),
    Column("begun_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("report", JSONB),
    CheckConstraint("(finished_at is null) = (report is null)", name="finished"),
    UniqueConstraint("role_id", "operation", "list_id"),
    Index(None, "partner_id"),
)

#: `content_hash`: of everything that was sent, so that a repeated part is recognised. `refused`: the number of refused
#: items; `refusals`: the first of their refusals. `kept_ids`: of refused items, whose previous records stay.
#: `staged`: its rows are still here.
list_part = Table(
    "list_part",
    metadata,
    Column("no", Integer, Identity(always=True), primary_key=True),
    Column("list_no", Integer, ForeignKey("upload_list.no", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("last", Boolean, nullable=False),
    Column("content_hash", LargeBinary, nullable=False),
    Column("items", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("refusals", JSONB, nullable=False),
    Column("kept_ids", ARRAY(Text), nullable=False),
    Column("staged", Boolean, nullable=False, server_default=text("true")),
    UniqueConstraint("list_no", "number"),
)


def place_in_list() -> tuple[SchemaItem, ...]:
    return (
        Column("part_no", Integer, ForeignKey("list_part.no", ondelete="CASCADE"), primary_key=True),
        Column("place", Integer, primary_key=True),
    )


#: Rows of `evse` but for their time; documents as text, since COPY is binary.
listed_evse = Table(
    "listed_evse",
    metadata,
    *place_in_list(),
    *(
        Column(column.name, Text() if isinstance(column.type, JSON) else column.type, nullable=column.nullable)
        for column in evse.columns
        if column.computed is None and column.name != "updated_at"
    ),
)

#: What a PSO says of its spots: columns of `parking_spot`.
listed_parking_spot = Table(
    "listed_parking_spot",
    metadata,
    *place_in_list(),
    Column("parking_id", Id, nullable=False),
    Column("longitude", Float(53)),
    Column("latitude", Float(53)),
    Column("restrictions", Integer, nullable=False),
    Column("floor_level", Text),
    Column("number", Text),
    Column("content_hash", LargeBinary, nullable=False),
)
