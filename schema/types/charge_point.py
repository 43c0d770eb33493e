"""EVSEs, their connectors and spots, their locations and operators."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import Column, ColumnElement

from app.db.tables import evse, location, operator, parking_spot, tariff
from app.db.tables.charge_points import address_columns, position_columns
from app.ids import separated_evse_id, separated_parking_id, separated_tariff_id
from app.read.evses import filter_conditions
from app.read.live import TO_COMBINED_STATUS, TO_OWN_STATUS, usable_now
from app.read.locations import KEY, of_location
from app.read.parking import TO_POSITION, TO_PUBLISHED, served_by
from app.read.plan import Arguments, Via
from app.read.usable import USABLE_COLUMNS, Instant, effective_status, usable
from app.vocabulary import ChargePointStatus as StaticStatus
from schema.field import (
    arrays,
    column,
    computed,
    declared,
    document,
    documents,
    edge_cursor,
    edges,
    given,
    node,
    nodes,
    page,
    same_row,
    to_many,
    to_many_where,
    to_one,
)
from schema.scalars import Cursor, DateTime, EvseId, ParkingId, PartyId, TariffId
from schema.search_arguments import bind_filter
from schema.types.common import (
    AUTH_METHODS,
    RESTRICTIONS,
    Address,
    AuthMethod,
    ChargePointStatus,
    ChargePointType,
    ConnectorFormat,
    ConnectorStandard,
    GeneralLocationType,
    Image,
    OpeningTimes,
    PageInfo,
    Point,
    RelatedLocation,
    RelatedResource,
    Restriction,
    StatusPeriod,
    log_position,
)
from schema.types.inputs import EvseFilter
from schema.types.live import (
    Availability,
    LiveStatus,
    MajorStatus,
    availability_of_location,
    spot_status,
    spot_ttl,
    spot_updated_at,
    status_history_of,
)
from schema.types.price import PriceEstimate, list_price, price_of_evse
from schema.types.tariff import Tariff

#: What an EVSE's row holds with the same meaning as its location's, so that showing it needs no join.
SHARED_WITH_LOCATION = frozenset(
    {
        "operator_no",
        *KEY,
        *(c.name for c in (*address_columns(), *position_columns()) if isinstance(c, Column)),
    }
)


At = Annotated[DateTime | None, strawberry.argument(description="An instant; absent: now.")]


def at_instant(arguments: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Bind an optional instant."""
    at = arguments.get("at")
    return {"at": now if at is None else at}


def bind_at(arguments: Mapping[str, Any], now: datetime) -> Mapping[str, Any]:
    """Bind an instant only where one is given: now is more than an instant."""
    at = arguments.get("at")
    return {} if at is None else {"at": at}


def usable_then(*columns: Any) -> ColumnElement[Any]:
    *values, major, given = columns
    return usable(values, given("at", Instant)) if "at" in given.bound else usable_now(*values, major)


def status_then(status: ColumnElement[Any], schedule: ColumnElement[Any], given: Arguments) -> ColumnElement[Any]:
    return effective_status(status, schedule, given("at", Instant))


def to_decimetres(distance_m: float) -> float:
    return round(distance_m, 1)


def distance() -> Any:
    return given(
        "distance_m",
        "Metres from the centre or the route of the surrounding area, on the sphere, to a decimetre; else null.",
        to_decimetres,
    )


def along_route() -> Any:
    return given(
        "along_route_m",
        "Metres driven along the route of the surrounding area to where it is nearest; else null. "
        "A road between the same points of the polyline that is driven again, either way, counts the first time.",
        to_decimetres,
    )


UNKNOWN_STATUS = StaticStatus.UNKNOWN.value


def static_status(status: str | None) -> str:
    return UNKNOWN_STATUS if status is None else status


def published_restrictions(mask: int | None) -> Sequence[str]:
    return RESTRICTIONS(mask or 0)


def its_operator() -> Any:
    """Read the operator: a caller who sees one of its rows sees its name."""
    return to_one(operator, "The operator of it.", ("operator_no",), ("no",), visible_with_parent=True)


@strawberry.type(
    description="A party that runs EVSEs. OCHP operator (first five characters of an EVSE-ID), OCPI BusinessDetails."
)
class Operator:
    party_id: PartyId = column(description="Country and operator id.")
    name: str = column(description="Name, as the partner or the register gives it.")
    open: bool = column(description="True: everybody may see this operator's charge points, without a contract.")
    source: str | None = column(description="The register its charge points come from; null: the operator itself.")
    licence: str | None = column(
        description="Licence of the register's data; null: the contract between the partners rules."
    )


@strawberry.type(
    description="One plug or socket; of an EVSE's connectors one is usable at a time. OCHP and OCPI Connector."
)
class Connector:
    standard: ConnectorStandard = column("connector_standards", description="Kind of connector.")
    format: ConnectorFormat = column("connector_formats", description="Socket, or cable with a plug.")
    tariff_id: TariffId | None = column(
        "connector_tariff_ids",
        shape=separated_tariff_id,
        description="The tariff that applies here, as its operator names it; null: none named. OCPI tariff_ids.",
    )
    tariff: Tariff | None = to_one(
        tariff,
        "That tariff as it is meant for the caller; with `filter.providerId` in the root field, for that EVSP. Null: "
        "none is named, its operator has not published it, or it is not the caller's to see.",
        ("connector_tariff_ids",),
        ("tariff_id",),
        optional=True,
    )


@strawberry.type(description="What an EVSE can deliver. OCHP ratings.")
class Ratings:
    maximum_power_kw: float = column(description="Most that can be drawn, kW. OCPI max_electric_power (W).")
    guaranteed_power_kw: float | None = column(description="Least that is always there, kW.")
    nominal_voltage_v: int | None = column(description="Nominal voltage, V.")


@strawberry.type(
    description="A spot that cars park on while they charge. You see what its PSO publishes of it if you, or an "
    "operator that links it and that you see, have a contract with the PSO; else the links and statuses of operators "
    "that you see. OCHP parkingSpot."
)
class ParkingSpot:
    parking_id: ParkingId = column(shape=separated_parking_id, description="Id of the spot, unique in the hub.")
    status: MajorStatus = spot_status()
    ttl: DateTime | None = spot_ttl()
    updated_at: DateTime | None = spot_updated_at()
    restrictions: list[Restriction] = column(
        Via(TO_PUBLISHED, "restrictions"),
        shape=published_restrictions,
        sees_null=True,
        description="Which vehicles may park on it; empty: not stated. See also the record of the EVSE.",
    )
    floor_level: str | None = column(Via(TO_PUBLISHED, "floor_level"), description="Floor, e.g. -1.")
    number: str | None = column(Via(TO_PUBLISHED, "number"), description="Number painted on it.")
    position: Point | None = declared(
        TO_POSITION,
        "Where it is, as its PSO says; null: its PSO does not, or not to you. In areas it is found at its EVSEs, too.",
    )
    evses: list[Annotated["Evse", strawberry.lazy("schema.types.charge_point")]] = to_many(
        evse, "The EVSEs it serves, by id; those you may see.", ("parking_id",), served_by, ("evse_id",)
    )


@strawberry.type(description="A parking spot as the EVSE's operator linked it. OCHP parkingSpot of a charge point.")
class EvseParkingSpot:
    spot: ParkingSpot = to_one(parking_spot, "The spot.", ("parking_ids",), ("parking_id",), visible_with_parent=True)
    restrictions: list[Restriction] = column(
        "parking_restrictions", shape=RESTRICTIONS, description="Who may park on it."
    )
    floor_level: str | None = column("parking_floor_levels", description="Floor, e.g. -1.")
    number: str | None = column("parking_numbers", description="Number painted on it.")


@strawberry.type(
    description="Station or pool: the EVSEs of one operator at one address. "
    "Texts are those of its most recently updated EVSE. OCPI Location."
)
class Location:
    operator: Operator = its_operator()
    location_id: str = column(description="Unique within one operator. OCHP locationId, OCPI id.")
    name: str = column("location_name", description="Name of the place.")
    name_language: str = column("location_name_language", description="Language of the name, ISO 639-3.")
    address: Address = same_row("Postal address, common to its EVSEs.")
    position: Point = same_row("Where it is, common to its EVSEs.")
    time_zone: str | None = column(
        description="IANA name, derived from the position when the operator gives none; null: unknown."
    )
    location_type: GeneralLocationType = column(description="Kind of place.")
    related_locations: list[RelatedLocation] = documents("related_locations", "Entrances, exits and the like.")
    distance_m: float | None = distance()
    along_route_m: float | None = along_route()

    @to_many_where(
        evse,
        parent_columns=KEY,
        on=of_location,
        order=("evse_id",),
        where=filter_conditions,
        bind=bind_filter,
        visible_with_parent=True,
        description="Its EVSEs, by id.",
    )
    def evses(
        self,
        matching: Annotated[
            EvseFilter | None, strawberry.argument(name="filter", description="What an EVSE must have.")
        ] = None,
    ) -> list[Annotated["Evse", strawberry.lazy("schema.types.charge_point")]]: ...

    availability: Availability = availability_of_location()


@strawberry.type(description="One EVSE: charges one car at a time. OCHP ChargePointInfo, OCPI EVSE with its location.")
class Evse:
    evse_id: EvseId = column(shape=separated_evse_id, description="Id of the EVSE, separated form.")
    evse_id_as_sent: str = column(description="The id in the spelling of its operator or register.")
    operator: Operator = its_operator()
    location: Location = to_one(
        location,
        "The station or pool it belongs to.",
        parent_columns=KEY,
        columns=KEY,
        shared=SHARED_WITH_LOCATION,
        visible_with_parent=True,
    )
    position: Point = same_row("Where it is.")
    distance_m: float | None = distance()
    along_route_m: float | None = along_route()
    charge_point_type: ChargePointType = column(description="AC or DC.")
    connectors: list[Connector] = arrays("connector_standards", "Its connectors, at least one.")
    ratings: Ratings | None = same_row("What it can deliver; null: unknown.", present="maximum_power_kw")

    status: LiveStatus = declared(TO_OWN_STATUS, "What its operator says of it now.")
    combined_status: LiveStatus = declared(
        TO_COMBINED_STATUS,
        "Its status together with its parking spots: available, but all of them taken, is NOT_AVAILABLE, BLOCKED "
        "until the first of them may be free.",
    )

    @computed(
        *USABLE_COLUMNS,
        Via(TO_COMBINED_STATUS, "major"),
        sql=usable_then,
        bind=bind_at,
        description="Filters A to E of the protocol at `at`; without `at`, A to F now: combinedStatus is available "
        "besides. Null: the opening hours are unknown and nothing else rules it out.",
    )
    def usable(self, at: At = None) -> bool | None: ...

    @computed(
        "static_status",
        "status_schedule",
        sql=status_then,
        bind=at_instant,
        description="The static status after the schedule in force at `at`; without `at`, now.",
    )
    def effective_status(self, at: At = None) -> ChargePointStatus: ...

    static_status: ChargePointStatus = column(
        shape=static_status,
        sees_null=True,
        description="As sent; UNKNOWN when absent. The schedule is not applied. OCHP status.",
    )
    status_schedule: list[StatusPeriod] = documents("status_schedule", "Planned changes of the static status.")
    opening_times: OpeningTimes | None = document("opening_times", "When it can be used; null: unknown.")
    parking_spots: list[EvseParkingSpot] = arrays("parking_ids", "The spots in front of it.")
    status_history = status_history_of
    location_name: str = column(description="The place's name in this EVSE's own record. OCHP locationName.")
    location_name_language: str = column(description="Language of locationName, ISO 639-3.")
    location_type: GeneralLocationType = column(description="Kind of place in this EVSE's own record.")
    related_locations: list[RelatedLocation] = documents(
        "related_locations", "Entrances, exits and the like, in this EVSE's own record."
    )
    time_zone: str | None = column(
        description="IANA name, derived from the position when the operator gives none; null: unknown."
    )
    auth_methods: list[AuthMethod] = column(
        shape=AUTH_METHODS, description="How a session may be authorised; empty: unknown."
    )
    restrictions: list[Restriction] = column(shape=RESTRICTIONS, description="Who or what may use it.")
    images: list[Image] = documents("images", "Pictures and logos.")
    related_resources: list[RelatedResource] = documents("related_resources", "Pages about it.")
    user_interface_languages: list[str] = column(
        description="Languages at the charge point, ISO 639-3. OCHP userInterfaceLang."
    )
    telephone_number: str | None = column(description="Hotline of the operator.")
    max_reservation_minutes: int | None = column(
        description="Longest reservation, minutes; null: unknown. OCHP maxReservation."
    )
    price = price_of_evse
    timestamp: DateTime | None = column(
        description="The operator's own time of last change. OCHP timestamp, OCPI last_updated."
    )
    updated_at: DateTime = column(description="When the hub last saw a change.")


@strawberry.type(description="An EVSE and its place in the list (Relay).")
class EvseEdge:
    cursor: str = edge_cursor("Where the EVSE stands in this list; opaque.")
    node: Evse = node("The EVSE.")
    price: PriceEstimate | None = list_price()
    distance_m: float | None = distance()
    along_route_m: float | None = along_route()


@strawberry.type(description="A page of EVSEs (Relay connection): nearest first in an area around a point, else by id.")
class EvseConnection:
    edges: list[EvseEdge] = edges("The EVSEs with their cursors.")
    nodes: list[Evse] = nodes("The EVSEs alone.")
    page_info: PageInfo = page("What lies before and behind this page.")
    cursor: Cursor = log_position()


@strawberry.type(description="A location and its place in the list (Relay).")
class LocationEdge:
    cursor: str = edge_cursor("Where the location stands in this list; opaque.")
    node: Location = node("The location.")
    price: PriceEstimate | None = list_price()
    distance_m: float | None = distance()
    along_route_m: float | None = along_route()


@strawberry.type(
    description="A page of locations (Relay connection): by distance, along the route, else by operator and id."
)
class LocationConnection:
    edges: list[LocationEdge] = edges("The locations with their cursors.")
    nodes: list[Location] = nodes("The locations alone.")
    page_info: PageInfo = page("What lies before and behind this page.")
    cursor: Cursor = log_position()


@strawberry.type(description="A parking spot and its place in the list (Relay).")
class ParkingSpotEdge:
    cursor: str = edge_cursor("Where the spot stands in this list; opaque.")
    node: ParkingSpot = node("The spot.")
    distance_m: float | None = distance()
    along_route_m: float | None = along_route()


@strawberry.type(description="A page of parking spots (Relay connection): by distance, along the route, else by id.")
class ParkingSpotConnection:
    edges: list[ParkingSpotEdge] = edges("The spots with their cursors.")
    nodes: list[ParkingSpot] = nodes("The spots alone.")
    page_info: PageInfo = page("What lies before and behind this page.")
    cursor: Cursor = log_position()
