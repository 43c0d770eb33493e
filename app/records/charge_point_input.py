"""From one item of `chargePoints`, as plain JSON values, to a checked charge point or to what is wrong with it.

Items that pass cost one decoding by msgspec and a few comparisons; only those that do not are walked field by field.
Decisions (*hub*: the reference is silent)
- All flaws of an item are reported, up to `MOST_REFUSALS`; rules between fields are looked at once its shape is right.
- Words that form a set (restrictions, authentication methods, languages, resource classes) are stored once each. Equal
  connectors stay: an EVSE may have two of a kind.
- A spot's restrictions, where it has any, must include its EVSE's; else the item is refused, nothing is added silently.
- Instants of openings, schedules and timestamps lie in the years 1990 to 2199 and are kept as UTC.
- `twentyfourseven: false` beside regular hours is refused: exactly one of the two speaks.
"""

import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from itertools import islice, pairwise
from typing import Annotated, Any, TypeVar

import msgspec

from app.ids import InvalidId, normalise_evse_id, normalise_parking_id, normalise_tariff_id
from app.records.base import Point, rounded
from app.records.charge_point import (
    Address,
    ChargePoint,
    Connector,
    EvseParkingSpot,
    Image,
    OpeningTimes,
    Period,
    Ratings,
    RegularHours,
    RelatedLocation,
    RelatedResource,
    StatusPeriod,
    StoredAsSent,
)
from app.uploads.checks import (
    MOST_REFUSALS,
    Alpha3,
    AtLeastOne,
    Flaw,
    Instant,
    LocationId,
    Refusal,
    RefusalCode,
    Text255,
    is_list,
    is_object,
    refusals,
    sent_id,
    shape_flaws,
    show,
    too_long,
)
from app.vocabulary import AuthMethod, ChargePointStatus, ChargePointType, GeneralLocationType, Restriction

#: PostgreSQL takes far more; what lies outside is a mistake.
FIRST_YEAR, LAST_YEAR = 1990, 2199

Word = TypeVar("Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What operators and registers are held to differently. Lengths in characters."""

    location_name: int
    address: int
    city: int
    city_and_zip_code_required: bool
    auth_methods_required: bool


#: The reference's limits.
OPERATOR_LIMITS = Limits(
    location_name=100, address=45, city=45, city_and_zip_code_required=True, auth_methods_required=True
)
#: *hub*: a register's facts are better than none: it may not know city, zip code and authentication methods.
REGISTER_LIMITS = Limits(
    location_name=255, address=255, city=255, city_and_zip_code_required=False, auth_methods_required=False
)


class ChargePointInput(StoredAsSent, frozen=True, kw_only=True):
    """One item as sent: right in shape, ids not yet normalised, rules between fields not yet looked at."""

    evse_id: str
    location_id: LocationId
    timestamp: Instant | None = None
    location_name: Text255
    location_name_language: Alpha3
    address: Address
    position: Point
    related_locations: tuple[RelatedLocation, ...] = ()
    time_zone: Text255 | None = None
    opening_times: OpeningTimes | None = None
    status: ChargePointStatus | None = None
    status_schedule: tuple[StatusPeriod, ...] = ()
    location_type: GeneralLocationType
    parking_spots: tuple[EvseParkingSpot, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    auth_methods: tuple[AuthMethod, ...]
    connectors: Annotated[tuple[Connector, ...], AtLeastOne]
    charge_point_type: ChargePointType
    ratings: Ratings | None = None
    images: tuple[Image, ...] = ()
    related_resources: tuple[RelatedResource, ...] = ()
    user_interface_languages: tuple[Alpha3, ...] = ()


_SHAPE = msgspec.inspect.type_info(ChargePointInput)


def read_charge_point(
    raw: Any, index: int, *, limits: Limits = OPERATOR_LIMITS, argument: str = "chargePoints"
) -> ChargePoint | list[Refusal]:
    """Check one item and give the charge point, or every refusal (at least one). Never raises on a JSON value.

    `index` and `argument` make the paths: chargePoints[3].connectors[0].standard.
    """
    sent = _decode(raw)
    wrong = shape_flaws(raw, _SHAPE) if sent is None else list(islice(_rules(sent, limits), MOST_REFUSALS))
    if sent is None or wrong:
        return refusals(wrong, f"{argument}[{index}]", index, sent_id(raw, "evseId"))
    return _charge_point(sent)


def _decode(raw: Any) -> ChargePointInput | None:
    """Decode an item; once more without its nulls, which GraphQL lets stand for absent lists too."""
    try:
        return msgspec.convert(raw, ChargePointInput)
    except ValueError:  # msgspec.ValidationError, and UnicodeEncodeError for lone surrogates
        pass
    try:
        return msgspec.convert(without_nulls(raw, 4), ChargePointInput)
    except ValueError:
        return None


def without_nulls(value: Any, depth: int) -> Any:
    """Drop the null fields of objects, as deep as the input type goes."""
    if depth == 0:
        return value
    if is_object(value):
        return {name: without_nulls(each, depth - 1) for name, each in value.items() if each is not None}
    if is_list(value):
        return [without_nulls(each, depth - 1) for each in value]
    return value


# ---------------------------------------------------------------- rules between fields


def _rules(sent: ChargePointInput, limits: Limits) -> Iterator[Flaw]:
    """Return the flaws against the limits of this kind of sender, the ids and the rules between fields."""
    yield from id_flaws(sent.evse_id, normalise_evse_id, ".evseId")
    yield from _limit_flaws(sent, limits)
    if sent.timestamp is not None:
        yield from year_flaws(sent.timestamp, ".timestamp")
    if sent.time_zone is not None and sent.time_zone not in _time_zones():
        message = f"{show(sent.time_zone)} is not known; expected an IANA time zone like Europe/Berlin"
        yield Flaw(".timeZone", RefusalCode.UNKNOWN_VALUE, message)
    if sent.opening_times is not None:
        yield from _opening_flaws(sent.opening_times)
    for place, period in enumerate(sent.status_schedule):
        yield from _period_flaws(period.start, period.end, f".statusSchedule[{place}]", "start")
    if sent.parking_spots:
        yield from _spot_flaws(sent.parking_spots, frozenset(sent.restrictions))
    for place, connector in enumerate(sent.connectors):
        if connector.tariff_id is not None:
            yield from id_flaws(connector.tariff_id, normalise_tariff_id, f".connectors[{place}].tariffId")


def id_flaws(text: str, normalise: Callable[[str], str], path: str) -> Iterator[Flaw]:
    """Return the flaw of a text that is not an id."""
    try:
        normalise(text)
    except InvalidId as refusal:
        yield Flaw(path, RefusalCode.INVALID_ID, refusal.message)


def _limit_flaws(sent: ChargePointInput, limits: Limits) -> Iterator[Flaw]:
    if len(sent.location_name) > limits.location_name:
        yield too_long(sent.location_name, limits.location_name, ".locationName")
    yield from address_flaws(sent.address, limits)
    if limits.auth_methods_required and not sent.auth_methods:
        yield Flaw(".authMethods", RefusalCode.EMPTY, "the list is empty; expected at least one entry")


def address_flaws(address: Address, limits: Limits) -> Iterator[Flaw]:
    """Return the flaws of an address that is right in shape."""
    if len(address.address) > limits.address:
        yield too_long(address.address, limits.address, ".address.address")
    if address.city is not None and len(address.city) > limits.city:
        yield too_long(address.city, limits.city, ".address.city")
    if limits.city_and_zip_code_required:
        for name, text in (("city", address.city), ("zipCode", address.zip_code)):
            if text is None:
                yield Flaw(f".address.{name}", RefusalCode.REQUIRED, f"{name} is required")


def year_flaws(instant: datetime, path: str) -> Iterator[Flaw]:
    """Return the flaw of an instant that cannot be meant."""
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        message = f"{instant.isoformat()} is not possible; expected a year from {FIRST_YEAR} to {LAST_YEAR}"
        yield Flaw(path, RefusalCode.OUT_OF_RANGE, message)


def _period_flaws(begin: datetime, end: datetime | None, path: str, begins: str = "begin") -> Iterator[Flaw]:
    yield from year_flaws(begin, f"{path}.{begins}")
    if end is None:
        return
    yield from year_flaws(end, f"{path}.end")
    if end <= begin:
        message = f"the end {end.isoformat()} is not after {begin.isoformat()}; expected a later end"
        yield Flaw(f"{path}.end", RefusalCode.ORDER, message)


def _opening_flaws(times: OpeningTimes) -> Iterator[Flaw]:
    if (times.twentyfourseven is not None) == bool(times.regular_hours):
        stands = "both stand" if times.regular_hours else "neither stands"
        message = f"{stands}; expected exactly one of twentyfourseven and regularHours"
        yield Flaw(".openingTimes", RefusalCode.EXACTLY_ONE, message)
    yield from hours_flaws(times.regular_hours, ".openingTimes.regularHours")
    for name, periods in (
        ("exceptionalOpenings", times.exceptional_openings),
        ("exceptionalClosings", times.exceptional_closings),
    ):
        for place, period in enumerate(periods):
            yield from _period_flaws(period.begin, period.end, f".openingTimes.{name}[{place}]")


def hours_flaws(regular_hours: tuple[RegularHours, ...], path: str) -> Iterator[Flaw]:
    """Return the flaws of hours that end before they begin or overlap. HH:MM sorts as text."""
    for place, hours in enumerate(regular_hours):
        if hours.end <= hours.begin:
            message = f"the end {hours.end} is not after {hours.begin}; overnight hours are split at midnight"
            yield Flaw(f"{path}[{place}].end", RefusalCode.ORDER, message)
    places = sorted(range(len(regular_hours)), key=lambda place: by_day(regular_hours[place]))
    for first, second in pairwise(places):
        a, b = regular_hours[first], regular_hours[second]
        if a.weekday == b.weekday and b.begin < a.end:
            message = f"{b.begin}-{b.end} overlaps {a.begin}-{a.end} on weekday {a.weekday}; expected separate hours"
            yield Flaw(f"{path}[{second}]", RefusalCode.OVERLAP, message)


def by_day(hours: RegularHours) -> tuple[int, str]:
    """Order hours by weekday and beginning."""
    return hours.weekday, hours.begin


def _spot_flaws(spots: tuple[EvseParkingSpot, ...], restrictions: frozenset[Restriction]) -> Iterator[Flaw]:
    known: set[str] = set()
    for place, spot in enumerate(spots):
        path = f".parkingSpots[{place}]"
        try:
            parking_id = normalise_parking_id(spot.parking_id)
        except InvalidId as refusal:
            yield Flaw(f"{path}.parkingId", RefusalCode.INVALID_ID, refusal.message)
            continue
        if parking_id in known:
            message = f"{show(spot.parking_id)} stands twice; each spot of an EVSE is listed once"
            yield Flaw(f"{path}.parkingId", RefusalCode.DUPLICATE, message)
        known.add(parking_id)
        missing = restrictions.difference(spot.restrictions)
        if spot.restrictions and missing:
            message = f"the EVSE's {', '.join(sorted(missing))} is missing; a spot's restrictions include its EVSE's"
            yield Flaw(f"{path}.restrictions", RefusalCode.RESTRICTION_MISSING, message)


@cache
def _time_zones() -> frozenset[str]:
    """Return the IANA names, without those that only this machine has."""
    return frozenset(zoneinfo.available_timezones() - {"localtime", "Factory"})


# ---------------------------------------------------------------- the checked record


def _charge_point(sent: ChargePointInput) -> ChargePoint:
    return ChargePoint(
        evse_id=normalise_evse_id(sent.evse_id),
        evse_id_as_sent=sent.evse_id,
        location_id=sent.location_id.upper(),
        timestamp=None if sent.timestamp is None else sent.timestamp.astimezone(UTC),
        location_name=sent.location_name,
        location_name_language=sent.location_name_language,
        address=sent.address,
        position=Point(latitude=rounded(sent.position.latitude), longitude=rounded(sent.position.longitude)),
        related_locations=tuple(_related_location(each) for each in sent.related_locations),
        time_zone=sent.time_zone,
        opening_times=None if sent.opening_times is None else _opening_times(sent.opening_times),
        status=sent.status,
        status_schedule=tuple(_status_period(each) for each in sent.status_schedule),
        location_type=sent.location_type,
        parking_spots=tuple(_spot(each) for each in sent.parking_spots),
        restrictions=_set(sent.restrictions, Restriction),
        auth_methods=_set(sent.auth_methods, AuthMethod),
        connectors=tuple(each if each.tariff_id is None else _connector(each) for each in sent.connectors),
        charge_point_type=sent.charge_point_type,
        ratings=sent.ratings,
        images=sent.images,
        related_resources=tuple(_resource(each) for each in sent.related_resources),
        user_interface_languages=tuple(dict.fromkeys(sent.user_interface_languages)),
        **sent.stored_as_sent(),
    )


def _set(words: tuple[Word, ...], vocabulary: Iterable[Word]) -> tuple[Word, ...]:
    """Return each value once, in the vocabulary's order, so that the order sent makes no difference."""
    return words if len(words) < 2 else tuple(word for word in vocabulary if word in words)


def _related_location(sent: RelatedLocation) -> RelatedLocation:
    latitude, longitude = rounded(sent.latitude), rounded(sent.longitude)
    return RelatedLocation(latitude=latitude, longitude=longitude, name=sent.name, type=sent.type)


def _opening_times(sent: OpeningTimes) -> OpeningTimes:
    return OpeningTimes(
        twentyfourseven=sent.twentyfourseven,
        regular_hours=tuple(sorted(sent.regular_hours, key=by_day)),
        exceptional_openings=tuple(_period(each) for each in sent.exceptional_openings),
        exceptional_closings=tuple(_period(each) for each in sent.exceptional_closings),
        closed_charging=sent.closed_charging,
    )


def _period(sent: Period) -> Period:
    return Period(begin=sent.begin.astimezone(UTC), end=sent.end.astimezone(UTC))


def _status_period(sent: StatusPeriod) -> StatusPeriod:
    end = None if sent.end is None else sent.end.astimezone(UTC)
    return StatusPeriod(start=sent.start.astimezone(UTC), end=end, status=sent.status)


def _spot(sent: EvseParkingSpot) -> EvseParkingSpot:
    return EvseParkingSpot(
        parking_id=normalise_parking_id(sent.parking_id),
        restrictions=_set(sent.restrictions, Restriction),
        floor_level=sent.floor_level,
        number=sent.number,
    )


def _connector(sent: Connector) -> Connector:
    tariff_id = None if sent.tariff_id is None else normalise_tariff_id(sent.tariff_id)
    return Connector(standard=sent.standard, format=sent.format, tariff_id=tariff_id)


def _resource(sent: RelatedResource) -> RelatedResource:
    return RelatedResource(uri=sent.uri, classes=tuple(dict.fromkeys(sent.classes)))
