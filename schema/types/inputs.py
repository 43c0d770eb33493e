"""What a search takes: areas and filters."""

from typing import Any

import strawberry

from schema.scalars import DateTime, Decimal, EvseId, PartyId
from schema.types.common import (
    AuthMethod,
    ChargePointType,
    ConnectorFormat,
    ConnectorStandard,
    GeneralLocationType,
    Restriction,
    Role,
)


def option(description: str) -> Any:
    """Declare an input field that may be absent."""
    return strawberry.field(description=description, default=strawberry.UNSET)


@strawberry.input(description="Around a point; results come nearest first.")
class NearInput:
    latitude: float = strawberry.field(description="Degrees north of the centre, -90 to 90.")
    longitude: float = strawberry.field(description="Degrees east of the centre, -180 to 180.")
    radius_m: float = strawberry.field(
        default=10_000, description="Radius in metres on the sphere, above 0, at most 20100000.", name="radiusM"
    )


@strawberry.input(
    description="A box in degrees, half-open: minimum inside, maximum outside (but for the pole and 180 degrees). "
    "A minimum longitude above the maximum crosses the antimeridian."
)
class BoundsInput:
    minimum_latitude: float = strawberry.field(description="Southern edge, degrees.")
    minimum_longitude: float = strawberry.field(description="Western edge, degrees.")
    maximum_latitude: float = strawberry.field(description="Northern edge, degrees.")
    maximum_longitude: float = strawberry.field(description="Eastern edge, degrees.")


@strawberry.input(description="A point on the earth, rounded by the hub to six decimals.")
class PointInput:
    latitude: float = strawberry.field(description="Degrees north, WGS 84, -90 to 90.")
    longitude: float = strawberry.field(description="Degrees east, WGS 84, -180 to 180.")


@strawberry.input(description="Along a route; results come in driving order.")
class RouteInput:
    polyline: str = strawberry.field(
        description="The route in Google's polyline encoding, at most 50000 points, 5000 km."
    )
    precision: int = strawberry.field(
        default=5, description="Decimals of the encoding: 5, or 6 as some routers write it."
    )
    corridor_m: float = strawberry.field(
        default=2_000, description="Metres on either side, above 0, at most 50000.", name="corridorM"
    )


@strawberry.input(
    one_of=True,
    description="Exactly one. Results come ordered by distance from the centre, in driving order, else by id.",
)
class AreaInput:
    near: NearInput | None = option("Around a point.")
    bounds: BoundsInput | None = option("A box in degrees.")
    polygon: list[PointInput] | None = option(
        "Corner points, closed by the hub, at most 1000; edges are straight on a map in degrees, the border is inside."
    )
    route: RouteInput | None = option("A corridor along a route.")


@strawberry.input(
    description="What an EVSE must have; every filter that is given must be met, and any one value of its list."
)
class EvseFilter:
    evse_ids: list[EvseId] | None = option("One of these EVSEs.")
    location_ids: list[str] | None = option("At one of these locations, of whichever operator.")
    operator_ids: list[PartyId] | None = option("Of one of these operators.")
    connector_standards: list[ConnectorStandard] | None = option(
        "One connector of such a standard; with connectorFormats the same connector meets both."
    )
    connector_formats: list[ConnectorFormat] | None = option("One connector of such a format.")
    charge_point_types: list[ChargePointType] | None = option("AC or DC.")
    min_power_kw: float | None = strawberry.field(
        description="At least so many kW at most; EVSEs of unknown power do not match.",
        default=strawberry.UNSET,
        name="minPowerKw",
    )
    max_power_kw: float | None = strawberry.field(
        description="No more than so many kW; EVSEs of unknown power do not match.",
        default=strawberry.UNSET,
        name="maxPowerKw",
    )
    auth_methods: list[AuthMethod] | None = option("One of these ways to authorise.")
    location_types: list[GeneralLocationType] | None = option("At one of these kinds of place.")
    provider_id: PartyId | None = option(
        "Customers of this EVSP can charge there: a contract between it and the operator is in force. "
        "Only for an EVSP that you are or have a contract with; else nothing matches."
    )
    usable_at: DateTime | None = option(
        "Usable at this instant: filters A to E of the protocol, in the location's own time zone. "
        "EVSEs with unknown hours do not match."
    )
    available_now: bool | None = option(
        "True: usable now, filters A to F of the protocol: combinedStatus is available besides. False or absent: any."
    )
    without_restrictions: list[Restriction] | None = option("None of these restrictions.")


@strawberry.input(description="A session to be priced, at the tariffs that are meant for you. See `price` of an EVSE.")
class PriceInput:
    energy_kwh: Decimal = strawberry.field(description="Energy, kWh, 0 to 10000. It flows evenly.", name="energyKwh")
    duration_minutes: int = strawberry.field(description="Time of charging, minutes, 0 to 10080.")
    parking_minutes: int | None = option("Parked after charging, minutes, 0 to 10080; absent: 0.")
    power_kw: Decimal | None = strawberry.field(
        description="Power at which it charges, kW, 0 to 10000; absent: not known.",
        default=strawberry.UNSET,
        name="powerKw",
    )
    start: DateTime | None = option("When charging begins; absent: now.")
    connector: ConnectorStandard | None = option("At connectors of this standard; absent: any.")
    provider_id: PartyId | None = option("For a customer of this EVSP, as in `price` of an EVSE.")
    currency: str = strawberry.field(
        default="EUR", description="ISO 4217. Prices in other currencies are not compared: they count as not known."
    )


@strawberry.input(description="A role; partyId is required but for NSP and ADMINISTRATOR.")
class RoleInput:
    role: Role = strawberry.field(description="What the partner does.")
    party_id: PartyId | None = option("Its id in this role.")


@strawberry.input(description="A partner in one of its roles.")
class PartyRef:
    partner_id: strawberry.ID = strawberry.field(description="Id of the partner.")
    role: Role = strawberry.field(description="One of its roles.")
    party_id: PartyId | None = option("Its id in that role; absent for NSP and ADMINISTRATOR.")
