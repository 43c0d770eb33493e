"""From a canonical charge point to a row of the EVSE table, with what is derived from it and a hash over all of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import tzfpy
from asyncpg import Range

from app.ingest.charge_points import usability
from app.records.base import rounded
from app.records.charge_point import ChargePoint, EvseParkingSpot
from app.uploads.content import content_hash
from app.vocabulary import AuthMethod, Restriction, connector_mask, mask_of

#: What EVSEs of one location agree on, as columns of `evse` and `location` alike.
PLACE_COLUMNS: Final = ("longitude", "latitude", "house_number", "address", "city", "zip_code", "country")

#: The values of PLACE_COLUMNS.
Place = tuple[float, float, str | None, str, str | None, str | None, str]

#: Count up when the same charge point must be written again because its row came to mean something else.
LAYOUT: Final = 2

#: Where no land is the zones are named by their offset, which would tell an app nothing about the place.
AT_SEA: Final = "Etc/"

encode_json = msgspec.json.Encoder().encode


def content_of(charge_point: ChargePoint, source: str | None) -> dict[str, Any]:
    """Return the columns that come from the charge point alone; `source` is the register it was read from.

    Not among them: operator_no, content_hash and updated_at.
    """
    at, address, ratings = charge_point.position, charge_point.address, charge_point.ratings
    connectors, spots = charge_point.connectors, charge_point.parking_spots
    longitude, latitude = rounded(at.longitude), rounded(at.latitude)
    return {
        "evse_id": charge_point.evse_id,
        "evse_id_as_sent": charge_point.evse_id_as_sent,
        "location_id": charge_point.location_id,
        "longitude": longitude,
        "latitude": latitude,
        "house_number": address.house_number,
        "address": address.address,
        "city": address.city,
        "zip_code": address.zip_code,
        "country": address.country,
        "location_name": charge_point.location_name,
        "location_name_language": charge_point.location_name_language,
        "location_type": charge_point.location_type.value,
        "related_locations": _document(charge_point.related_locations),
        "time_zone": charge_point.time_zone or time_zone_at(longitude, latitude),
        "timestamp": _utc(charge_point.timestamp),
        "opening_times": None if charge_point.opening_times is None else _document(charge_point.opening_times),
        "static_status": None if charge_point.status is None else charge_point.status.value,
        "status_schedule": _document(charge_point.status_schedule),
        **_usability(charge_point, time_zone_at(longitude, latitude)),
        "restrictions": mask_of(charge_point.restrictions, Restriction),
        "auth_methods": mask_of(charge_point.auth_methods, AuthMethod),
        "charge_point_type": charge_point.charge_point_type.value,
        "connector_mask": connector_mask((each.standard, each.format) for each in connectors),
        "connector_standards": [each.standard.value for each in connectors],
        "connector_formats": [each.format.value for each in connectors],
        "connector_tariff_ids": [each.tariff_id for each in connectors],
        "maximum_power_kw": None if ratings is None else float(ratings.maximum_power_kw),
        "guaranteed_power_kw": _number(None if ratings is None else ratings.guaranteed_power_kw),
        "nominal_voltage_v": None if ratings is None else ratings.nominal_voltage_v,
        **_spots(spots),
        "images": _document(charge_point.images),
        "related_resources": _document(charge_point.related_resources),
        "user_interface_languages": list(charge_point.user_interface_languages),
        **charge_point.stored_as_sent(),
        "source": source,
    }


def _usability(charge_point: ChargePoint, derived_zone: str | None) -> dict[str, Any]:
    times = charge_point.opening_times
    zone = usability.clock_zone(charge_point.time_zone, derived_zone)
    return {
        "clock_zone": zone,
        "regular_minutes": usability.regular_minutes(times, zone),
        "exceptional_openings": usability.instants(() if times is None else times.exceptional_openings),
        "exceptional_closings": usability.instants(() if times is None else times.exceptional_closings),
        "operative_at": usability.operative_at(charge_point.status, charge_point.status_schedule),
    }


def place_of(content: dict[str, Any]) -> Place:
    """Return an EVSE's address and position of its location."""
    return tuple(content[name] for name in PLACE_COLUMNS)  # type: ignore[return-value]


def hash_of(content: dict[str, Any]) -> bytes:
    """Return the hash by which a charge point that is sent again is found unchanged."""
    return content_hash(content, LAYOUT, _bounds)


@lru_cache(maxsize=10_000)
def time_zone_at(longitude: float, latitude: float) -> str | None:
    """Find the IANA time zone of a place on land; None at sea."""
    name = tzfpy.get_tz(longitude, latitude)
    return None if not name or name.startswith(AT_SEA) else name


def _bounds(range_: "Range[Any]") -> list[Any]:
    return [range_.lower, range_.upper]


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)


def _document(record: Any) -> str:
    """Write a record as the API shows it: camel case, nulls written out."""
    return encode_json(record).decode()


def _spots(spots: Sequence[EvseParkingSpot]) -> dict[str, Any]:
    return {
        "parking_ids": [spot.parking_id for spot in spots],
        "parking_restrictions": [mask_of(spot.restrictions, Restriction) for spot in spots],
        "parking_floor_levels": [spot.floor_level for spot in spots],
        "parking_numbers": [spot.number for spot in spots],
    }
