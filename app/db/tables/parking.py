"""Parking spots, their places, and which EVSEs they serve."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.db.tables.base import Id, Instant, mask_within, metadata
from app.db.tables.charge_points import NO_WORDS, position_columns
from app.vocabulary import Restriction

#: A spot that its PSO published, or that waits for its PSO: known only because an EVSE's operator linked it.
#: `longitude` and `latitude` are the PSO's own word, or null. `operator_nos`, `link_longitudes`, `link_latitudes` are
#: parallel, one element per linking EVSE by id: its operator, so that visibility is decided by comparing small
#: numbers, and its position. `contracted_nos`: those of these operators that have a contract with the PSO: what the PSO
#: publishes is seen through them. A transaction that writes links, or moves a linking EVSE, keeps them current, and so
#: does one that changes a contract.
parking_spot = Table(
    "parking_spot",
    metadata,
    Column("parking_id", Id, primary_key=True),
    Column("party_id", Id, Computed("substr(parking_id, 1, 5)", persisted=True), nullable=False),
    *position_columns(known=False),
    Column("restrictions", Integer, nullable=False, server_default=text("0")),
    Column("floor_level", Text),
    Column("number", Text),
    Column("operator_nos", ARRAY(Integer), nullable=False, server_default=NO_WORDS),
    Column("link_longitudes", ARRAY(Float(53)), nullable=False, server_default=NO_WORDS),
    Column("link_latitudes", ARRAY(Float(53)), nullable=False, server_default=NO_WORDS),
    Column("contracted_nos", ARRAY(Integer), nullable=False, server_default=NO_WORDS),
    # Of what the PSO published, and when that changed; null while it has not.
    Column("content_hash", LargeBinary),
    Column("updated_at", Instant),
    mask_within("restrictions", Restriction),
    CheckConstraint("(longitude is null) = (latitude is null)", name="whole_position"),
    CheckConstraint(
        "cardinality(link_longitudes) = cardinality(operator_nos)"
        " and cardinality(link_latitudes) = cardinality(operator_nos)",
        name="links",
    ),
    # A spot that neither its PSO nor a link speaks of goes.
    CheckConstraint("content_hash is not null or cardinality(operator_nos) > 0", name="known"),
    CheckConstraint("(updated_at is null) = (content_hash is null)", name="published"),
    CheckConstraint("content_hash is not null or longitude is null", name="own_position"),
    Index(None, "party_id"),
)

#: The places where a spot is found, kept by triggers of `parking_spot`: `own`, as its PSO publishes it, and each
#: position of linking EVSEs. A place is known to viewers of one of `operator_nos`: of the operators that link the spot
#: there, or have a contract with the PSO. The PSO's is also known to those that see the PSO.
parking_place = Table(
    "parking_place",
    metadata,
    Column("parking_id", Id, ForeignKey("parking_spot.parking_id", ondelete="CASCADE"), primary_key=True),
    Column("place_no", SmallInteger, primary_key=True),
    Column("party_id", Id, Computed("substr(parking_id, 1, 5)", persisted=True), nullable=False),
    Column("own", Boolean, nullable=False),
    Column("operator_nos", ARRAY(Integer), nullable=False),
    *position_columns(),
    Index(None, "geog", postgresql_using="gist"),
    Index("parking_place_lonlat_idx", text("(geog::geometry)"), postgresql_using="gist"),
    Index(None, "party_id"),
)

#: The links of an EVSE's record, from both sides; written with the EVSE, whose row keeps them for its own reading.
#: `contracted`: its operator has a contract with the PSO of the spot, whose status counts for the EVSE then.
evse_parking_spot = Table(
    "evse_parking_spot",
    metadata,
    Column("evse_id", Id, ForeignKey("evse.evse_id", ondelete="CASCADE"), primary_key=True),
    Column("parking_id", Id, ForeignKey("parking_spot.parking_id"), primary_key=True),
    Column("operator_no", Integer, nullable=False),
    Column("contracted", Boolean, nullable=False, server_default=text("false")),
    Index(None, "parking_id"),
)
