"""What every format yields: one canonical record per thing, already checked, ids normalised.

Readers and GraphQL inputs end here; `app.ingest.charge_points.updates` decides what to do with each record.
Field names are those of `ChargePointInput`. Coordinates: WGS 84 degrees rounded to six decimals. The limits in the
types are checked when an item is decoded; `app.records.charge_point_input` adds the rules between fields.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from app.records.base import Point, Record
from app.uploads.checks import (
    AddressText,
    Alpha3,
    AtLeastOne,
    BeginTime,
    EndTime,
    FloorLevel,
    GuaranteedPowerKw,
    HouseNumber,
    ImageType,
    ImageUri,
    Instant,
    Latitude,
    Longitude,
    Pixels,
    PowerKw,
    Refusal,
    ReservationMinutes,
    ResourceUri,
    SpotNumber,
    TelephoneNumber,
    Text255,
    VoltageV,
    Weekday,
    ZipCode,
)
from app.vocabulary import (
    AuthMethod,
    ChargePointStatus,
    ChargePointType,
    ConnectorFormat,
    ConnectorStandard,
    GeneralLocationType,
    ImageClass,
    RelatedLocationType,
    RelatedResourceClass,
    Restriction,
)


class Address(Record, frozen=True, kw_only=True):
    """`city` and `zip_code` are None only for imported data; `country` is ISO 3166-1 alpha-3."""

    house_number: HouseNumber | None = None
    address: AddressText
    city: Text255 | None = None
    zip_code: ZipCode | None = None
    country: Alpha3


class RelatedLocation(Record, frozen=True, kw_only=True):
    latitude: Latitude
    longitude: Longitude
    name: Text255 | None = None
    type: RelatedLocationType


class RegularHours(Record, frozen=True, kw_only=True):
    """Local to the location. `weekday` 1 Monday .. 7 Sunday; HH:MM; `end` is after `begin` and may be 24:00."""

    weekday: Weekday
    begin: BeginTime
    end: EndTime


class Period(Record, frozen=True, kw_only=True):
    """Half-open, UTC."""

    begin: Instant
    end: Instant


class OpeningTimes(Record, frozen=True, kw_only=True):
    """Exactly one of `twentyfourseven` (not None) and `regular_hours` (not empty, in order, without overlap)."""

    twentyfourseven: bool | None = None
    regular_hours: tuple[RegularHours, ...] = ()
    exceptional_openings: tuple[Period, ...] = ()
    exceptional_closings: tuple[Period, ...] = ()
    closed_charging: bool | None = None


class StatusPeriod(Record, frozen=True, kw_only=True):
    start: Instant
    end: Instant | None = None
    status: ChargePointStatus


class EvseParkingSpot(Record, frozen=True, kw_only=True):
    """A spot in front of the EVSE, as the operator links it. `parking_id` is normalised."""

    parking_id: str
    restrictions: tuple[Restriction, ...] = ()
    floor_level: FloorLevel | None = None
    number: SpotNumber | None = None


class Connector(Record, frozen=True, kw_only=True):
    """`tariff_id` is normalised."""

    standard: ConnectorStandard
    format: ConnectorFormat
    tariff_id: str | None = None


class Ratings(Record, frozen=True, kw_only=True):
    maximum_power_kw: PowerKw
    guaranteed_power_kw: GuaranteedPowerKw | None = None
    nominal_voltage_v: VoltageV | None = None


class Image(Record, frozen=True, kw_only=True):
    uri: ImageUri
    thumb_uri: ImageUri | None = None
    class_: ImageClass = msgspec.field(name="class")
    type: ImageType
    width: Pixels | None = None
    height: Pixels | None = None


class RelatedResource(Record, frozen=True, kw_only=True):
    uri: ResourceUri
    classes: Annotated[tuple[RelatedResourceClass, ...], AtLeastOne]


class StoredAsSent(Record, frozen=True, kw_only=True):
    """The fields of an EVSE that are stored as they are sent, each in the column of its name."""

    telephone_number: TelephoneNumber | None = None
    max_reservation_minutes: ReservationMinutes | None = None

    def stored_as_sent(self) -> dict[str, Any]:
        """Return these fields by name."""
        return {name: getattr(self, name) for name in StoredAsSent.__struct_fields__}


class ChargePoint(StoredAsSent, frozen=True, kw_only=True):
    """One EVSE. `evse_id` is normalised, `evse_id_as_sent` what came; `location_id` is upper case."""

    evse_id: str
    evse_id_as_sent: str
    location_id: str
    timestamp: datetime | None = None
    location_name: str
    location_name_language: str
    address: Address
    position: Point
    related_locations: tuple[RelatedLocation, ...] = ()
    time_zone: str | None = None
    opening_times: OpeningTimes | None = None
    status: ChargePointStatus | None = None
    status_schedule: tuple[StatusPeriod, ...] = ()
    location_type: GeneralLocationType
    parking_spots: tuple[EvseParkingSpot, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    auth_methods: tuple[AuthMethod, ...]
    connectors: tuple[Connector, ...]
    charge_point_type: ChargePointType
    ratings: Ratings | None = None
    images: tuple[Image, ...] = ()
    related_resources: tuple[RelatedResource, ...] = ()
    user_interface_languages: tuple[str, ...] = ()


#: A reader yields one of these per item, in the order of its source: what it understood, or why not.
Read = ChargePoint | Refusal
