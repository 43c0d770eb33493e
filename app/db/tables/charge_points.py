"""Operators, locations and EVSEs: everything static that an app shows."""

from typing import Any

from geoalchemy2 import Geography
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INT4MULTIRANGE, TSTZMULTIRANGE
from sqlalchemy.schema import SchemaItem

from app.db.tables.base import Document, Id, Instant, each_of, mask_within, metadata, one_of
from app.vocabulary import (
    AuthMethod,
    ChargePointStatus,
    ChargePointType,
    ConnectorFormat,
    ConnectorStandard,
    GeneralLocationType,
    Restriction,
)

NO_WORDS = text("'{}'")
NO_DOCUMENTS = text("'[]'")
ALWAYS = text("'{(,)}'")

#: An operator of EVSEs. Known by a register (role_id null, source and licence set) or held by a partner's role. `no`
#: stands for the party id inside the hub: visibility is decided by comparing small numbers.
operator = Table(
    "operator",
    metadata,
    Column("no", Integer, Identity(always=True), primary_key=True),
    Column("party_id", Id, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("open", Boolean, nullable=False, server_default=text("false")),
    Column("suspended", Boolean, nullable=False, server_default=text("false")),
    Column("source", Text),
    Column("licence", Text),
    Column("role_id", Integer, ForeignKey("partner_role.id"), unique=True),
    CheckConstraint("party_id ~ '^[A-Z]{2}[A-Z0-9]{3}$'", name="party_id"),
)


def position_columns(known: bool = True) -> tuple[SchemaItem, ...]:
    """Return longitude and latitude (WGS 84 degrees) and the geography computed from them, which cannot disagree.

    `known`: there is always a position.
    """
    return (
        Column("longitude", Float(53), nullable=not known),
        Column("latitude", Float(53), nullable=not known),
        Column[Any](
            "geog",
            Geography("POINT", srid=4326, spatial_index=False),
            Computed("ST_SetSRID(ST_MakePoint(longitude, latitude), 4326)::geography", persisted=True),
            nullable=not known,
        ),
        CheckConstraint("longitude between -180 and 180 and latitude between -90 and 90", name="position"),
    )


def address_columns() -> tuple[SchemaItem, ...]:
    return (
        Column("house_number", Text),
        Column("address", Text, nullable=False),
        Column("city", Text),
        Column("zip_code", Text),
        Column("country", Text, nullable=False),
    )


def place_columns() -> tuple[SchemaItem, ...]:
    """Return what each EVSE says of its place; a location shows the words of its most recently updated EVSE."""
    return (
        Column("location_name", Text, nullable=False),
        Column("location_name_language", Text, nullable=False),
        Column("location_type", Text, nullable=False),
        Column("related_locations", Document, nullable=False, server_default=NO_DOCUMENTS),
        Column("time_zone", Text),
        one_of("location_type", GeneralLocationType),
    )


#: Station or pool: address and position are common to its EVSEs.
location = Table(
    "location",
    metadata,
    Column("operator_no", Integer, ForeignKey("operator.no"), primary_key=True),
    Column("location_id", Id, primary_key=True),
    *position_columns(),
    *address_columns(),
    *place_columns(),
    Column("updated_at", Instant, nullable=False),
    Index(None, "geog", postgresql_using="gist"),
    Index("location_lonlat_idx", text("(geog::geometry)"), postgresql_using="gist"),
)

#: One row answers the common read alone: what belongs to the EVSE's connectors and spots stands in parallel arrays, its
#: address and position beside those of its location. Live status lives elsewhere and is joined after the limit.
evse = Table(
    "evse",
    metadata,
    Column("evse_id", Id, primary_key=True),
    Column("evse_id_as_sent", Text, nullable=False),
    Column("operator_no", Integer, nullable=False),
    Column("location_id", Id, nullable=False),
    *position_columns(),
    *address_columns(),
    *place_columns(),
    Column("timestamp", Instant),
    Column("opening_times", Document),
    Column("static_status", Text),
    Column("status_schedule", Document, nullable=False, server_default=NO_DOCUMENTS),
    # What `app.read.usable` asks of the four columns above: sets of instants, and of minutes of the local week.
    Column("clock_zone", Text),
    Column("regular_minutes", INT4MULTIRANGE),
    Column("exceptional_openings", TSTZMULTIRANGE, nullable=False, server_default=NO_WORDS),
    Column("exceptional_closings", TSTZMULTIRANGE, nullable=False, server_default=NO_WORDS),
    Column("operative_at", TSTZMULTIRANGE, nullable=False, server_default=ALWAYS),
    Column("telephone_number", Text),
    Column("restrictions", Integer, nullable=False, server_default=text("0")),
    Column("auth_methods", Integer, nullable=False, server_default=text("0")),
    Column("charge_point_type", Text, nullable=False),
    Column("connector_mask", BigInteger, nullable=False),
    Column("connector_standards", ARRAY(Text), nullable=False),
    Column("connector_formats", ARRAY(Text), nullable=False),
    Column("connector_tariff_ids", ARRAY(Text), nullable=False),
    Column("maximum_power_kw", Float(53)),
    Column("guaranteed_power_kw", Float(53)),
    Column("nominal_voltage_v", Integer),
    Column("parking_ids", ARRAY(Text), nullable=False, server_default=NO_WORDS),
    Column("parking_restrictions", ARRAY(Integer), nullable=False, server_default=NO_WORDS),
    Column("parking_floor_levels", ARRAY(Text), nullable=False, server_default=NO_WORDS),
    Column("parking_numbers", ARRAY(Text), nullable=False, server_default=NO_WORDS),
    Column("images", Document, nullable=False, server_default=NO_DOCUMENTS),
    Column("related_resources", Document, nullable=False, server_default=NO_DOCUMENTS),
    Column("user_interface_languages", ARRAY(Text), nullable=False, server_default=NO_WORDS),
    Column("max_reservation_minutes", Integer),
    # Null: uploaded by the operator itself; else the register it came from.
    Column("source", Text),
    # Of everything above: an upload that says the same again changes nothing.
    Column("content_hash", LargeBinary, nullable=False),
    Column("updated_at", Instant, nullable=False),
    ForeignKeyConstraint(["operator_no", "location_id"], ["location.operator_no", "location.location_id"]),
    one_of("static_status", ChargePointStatus),
    one_of("charge_point_type", ChargePointType),
    each_of("connector_standards", ConnectorStandard),
    each_of("connector_formats", ConnectorFormat),
    mask_within("restrictions", Restriction),
    mask_within("auth_methods", AuthMethod),
    CheckConstraint(
        "cardinality(connector_standards) > 0"
        " and cardinality(connector_formats) = cardinality(connector_standards)"
        " and cardinality(connector_tariff_ids) = cardinality(connector_standards)",
        name="connectors",
    ),
    CheckConstraint(
        "cardinality(parking_restrictions) = cardinality(parking_ids)"
        " and cardinality(parking_floor_levels) = cardinality(parking_ids)"
        " and cardinality(parking_numbers) = cardinality(parking_ids)",
        name="parking_spots",
    ),
    CheckConstraint(
        "maximum_power_kw is not null or (guaranteed_power_kw is null and nominal_voltage_v is null)", name="ratings"
    ),
    Index(None, "geog", postgresql_using="gist"),
    # Bounding boxes are planar: degrees of longitude and latitude, half-open.
    Index("evse_lonlat_idx", text("(geog::geometry)"), postgresql_using="gist"),
    Index(None, "operator_no", "location_id"),
    # For what few have: rare plugs, high power.
    Index(None, "connector_standards", postgresql_using="gin", postgresql_with={"fastupdate": False}),
    Index(None, "maximum_power_kw"),
    Index(None, "location_type"),
)
