"""Parking spots, and which EVSEs they serve."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables.base import Id, Instant, mask_within, metadata, views
from app.db.tables.charge_points import NO_WORDS, position_columns
from app.vocabulary import Restriction

#: A spot that its PSO published, or that waits for its PSO: known only because an EVSE's operator linked it.
#: `own_longitude` and `own_latitude` are the PSO's word; the position where the spot is found is that, or else the one
#: of one of its EVSEs. `operator_nos`: whose EVSEs link it, so that visibility is decided by comparing small numbers.
#: `located_by`: whose EVSE gave the position, which is nobody's to know who does not see that operator.
#: `list_no`: the whole list it came with, while that is not in force nobody is shown it; 0: it came otherwise.
#: `until_no`: the list that puts an end to it, it is shown until that is in force. A spot has one version, and a second
#: one while such a list is on its way. Versions that are shown, or will be, are kept up to date with the spot's links.
parking_spot_version = Table(
    "parking_spot_version",
    metadata,
    Column("parking_id", Id, primary_key=True),
    Column("list_no", Integer, primary_key=True, server_default=text("0")),
    Column("until_no", Integer),
    Column("party_id", Id, Computed("substr(parking_id, 1, 5)", persisted=True), nullable=False),
    Column("own_longitude", Float(53)),
    Column("own_latitude", Float(53)),
    *position_columns(known=False),
    Column("restrictions", Integer, nullable=False, server_default=text("0")),
    Column("floor_level", Text),
    Column("number", Text),
    Column("operator_nos", ARRAY(Integer), nullable=False, server_default=NO_WORDS),
    Column("located_by", Integer),
    # Of what the PSO published, and when that changed; null while it has not.
    Column("content_hash", LargeBinary),
    Column("updated_at", Instant),
    mask_within("restrictions", Restriction),
    CheckConstraint("(longitude is null) = (latitude is null)", name="whole_position"),
    CheckConstraint(
        "(own_longitude is null) = (own_latitude is null)"
        " and (own_longitude is null or (longitude = own_longitude and latitude = own_latitude))",
        name="own_position",
    ),
    # A position of nobody's would be everybody's to see.
    CheckConstraint(
        "(located_by is not null) = (longitude is not null and own_longitude is null)"
        " and (located_by is null or located_by = any(operator_nos))",
        name="located",
    ),
    # Nobody says anything of such a spot: it goes.
    CheckConstraint("content_hash is not null or cardinality(operator_nos) > 0", name="known"),
    CheckConstraint("(updated_at is null) = (content_hash is null)", name="published"),
    Index(None, "geog", postgresql_using="gist"),
    Index("parking_spot_version_lonlat_idx", text("(geog::geometry)"), postgresql_using="gist"),
    Index(None, "party_id"),
)

#: The version of each spot that is in force: what everybody reads. A view, so that nobody can forget what is not shown.
parking_spot = Table(
    "parking_spot",
    views,
    *(
        Column(column.name, column.type)
        for column in parking_spot_version.columns
        if column.name not in ("list_no", "until_no")
    ),
)

#: Whole lists of spots that are being written, and those in force of which the log is not told to the end: up to
#: `told_to`. A PSO has one at a time.
spot_list = Table(
    "spot_list",
    metadata,
    Column("no", Integer, primary_key=True, server_default=text("nextval('list_number')")),
    Column("party_id", Id, nullable=False),
    Column("in_force_at", Instant),
    Column("told_to", Id, nullable=False, server_default=text("''")),
    UniqueConstraint("party_id"),
)

#: The links of an EVSE's record, from both sides; written with the EVSE, whose row keeps them for its own reading.
evse_parking_spot = Table(
    "evse_parking_spot",
    metadata,
    Column("evse_id", Id, primary_key=True),
    Column("list_no", Integer, primary_key=True),
    Column("parking_id", Id, ForeignKey("parking_status.parking_id"), primary_key=True),
    ForeignKeyConstraint(["evse_id", "list_no"], ["evse.evse_id", "evse.list_no"], ondelete="CASCADE"),
    Index(None, "parking_id"),
)
