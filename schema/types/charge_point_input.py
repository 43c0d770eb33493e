"""What operators publish: the input types that introspection and editors show.

The items themselves are read by `app.records.charge_point_input`, one by one, so that a bad one does not keep
the others out.
"""

from typing import Any

import strawberry

from schema.scalars import DateTime, EvseId, ParkingId, TariffId
from schema.types.common import (
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
from schema.types.inputs import PointInput, option


def required(description: str, name: str | None = None) -> Any:
    return strawberry.field(description=description, name=name)


def optional(description: str, name: str) -> Any:
    return strawberry.field(description=description, name=name, default=strawberry.UNSET)


@strawberry.input(description="Postal address. OCHP chargePointAddress.")
class AddressInput:
    house_number: str | None = option("1 to 6 of A-Z, 0-9, space and -.")
    address: str = required("Street, 2 to 45 characters.")
    city: str = required("City, 1 to 45 characters.")
    zip_code: str = required("Postal code, 1 to 10 of A-Z, 0-9, space and -.")
    country: str = required("ISO 3166-1 alpha-3, e.g. DEU.")


@strawberry.input(description="A point that belongs to the place, such as an entrance. OCHP relatedLocation.")
class RelatedLocationInput:
    latitude: float = required("Degrees north, WGS 84.")
    longitude: float = required("Degrees east, WGS 84.")
    name: str | None = option("Name of the point, at most 255 characters.")
    type: RelatedLocationType = required("What the point is.")


@strawberry.input(description="Hours of one weekday, local to the location. OCHP and OCPI regularHours.")
class RegularHoursInput:
    weekday: int = required("1 Monday to 7 Sunday.")
    begin: str = required("HH:MM, local time.")
    end: str = required("HH:MM, local time, after begin; 24:00 is the end of the day. Overnight hours are sent as two.")


@strawberry.input(description="A half-open period of time. OCHP exceptionalPeriod.")
class PeriodInput:
    begin: DateTime = required("First instant inside.")
    end: DateTime = required("First instant outside, after begin.")


@strawberry.input(
    description="Exactly one of twentyfourseven and regularHours. Absent opening times: unknown. OCHP openingTimes."
)
class OpeningTimesInput:
    twentyfourseven: bool | None = option("True: always open; false: only in exceptional openings.")
    regular_hours: list[RegularHoursInput] | None = option("Hours of the week; split days take several entries.")
    exceptional_openings: list[PeriodInput] | None = option("Open although the regular hours say closed.")
    exceptional_closings: list[PeriodInput] | None = option("Closed although the regular hours say open.")
    closed_charging: bool | None = option("True: a plugged car goes on charging while the place is closed.")


@strawberry.input(description="A change of the static status planned ahead. OCHP statusSchedule.")
class StatusPeriodInput:
    start: DateTime = required("First instant of the status.")
    end: DateTime | None = option("First instant after it; absent: open.")
    status: ChargePointStatus = required("Overrides the static status while it applies.")


@strawberry.input(description="A parking spot in front of the EVSE. OCHP parkingSpot.")
class EvseParkingSpotInput:
    parking_id: ParkingId = required("Id of the spot; one spot may serve several EVSEs.")
    restrictions: list[Restriction] | None = option("Who may park on it; if given, includes those of the EVSE.")
    floor_level: str | None = option("Floor, 1 to 4 of A-Z, 0-9, +, / and -.")
    number: str | None = option("Number painted on it, 1 to 5 of A-Z, 0-9, +, / and -.")


@strawberry.input(description="A connector of the EVSE. OCHP and OCPI Connector.")
class ConnectorInput:
    standard: ConnectorStandard = required("Kind of connector.")
    format: ConnectorFormat = required("Socket, or cable with a plug.")
    tariff_id: TariffId | None = option("The tariff that applies here.")


@strawberry.input(description="What the EVSE can deliver. OCHP ratings.")
class RatingsInput:
    maximum_power_kw: float = required("Most that can be drawn, kW.", name="maximumPowerKw")
    guaranteed_power_kw: float | None = optional("Least that is always there, kW.", name="guaranteedPowerKw")
    nominal_voltage_v: int | None = optional("Nominal voltage, 1 to 1000 V.", name="nominalVoltageV")


@strawberry.input(description="A picture or logo. OCHP images.")
class ImageInput:
    uri: str = required("Where it lies: http, https, ftp or file; at most 255 characters.")
    thumb_uri: str | None = option("Where a small version lies.")
    class_: ImageClass = required("What it shows.", name="class")
    type: str = required("File type, e.g. png; 1 to 4 characters.")
    width: int | None = option("Pixels, 1 to 99999.")
    height: int | None = option("Pixels, 1 to 99999.")


@strawberry.input(description="A page about the charge point. OCHP relatedResource.")
class RelatedResourceInput:
    uri: str = required("Address of the page, http or https; at most 255 characters.")
    classes: list[RelatedResourceClass] = required("What the page is about; not empty.")


@strawberry.input(description="One EVSE as its operator publishes it. OCHP ChargePointInfo.")
class ChargePointInput:
    evse_id: EvseId = required("Id under your own party id.")
    location_id: str = required(
        "Station or pool, 1 to 36 of A-Z, 0-9, space, * and -; its EVSEs agree on address and position."
    )
    timestamp: DateTime | None = option("Your own time of last change.")
    location_name: str = required("Name of the place, at most 100 characters.")
    location_name_language: str = required("Language of the name, ISO 639-3, e.g. DEU.")
    address: AddressInput = required("Postal address.")
    position: PointInput = required("Where it is.")
    related_locations: list[RelatedLocationInput] | None = option("Entrances, exits and the like.")
    time_zone: str | None = option("IANA name; derived from the position when absent.")
    opening_times: OpeningTimesInput | None = option("When it can be used; absent: unknown.")
    status: ChargePointStatus | None = option("Static status; absent counts as OPERATIVE.")
    status_schedule: list[StatusPeriodInput] | None = option("Planned changes of the static status.")
    telephone_number: str | None = option("Hotline, e.g. +49 731 1234567.")
    location_type: GeneralLocationType = required("Kind of place. OCHP location.")
    parking_spots: list[EvseParkingSpotInput] | None = option("The spots in front of it.")
    restrictions: list[Restriction] | None = option("Who or what may use it.")
    auth_methods: list[AuthMethod] = required("How a session may be authorised; not empty.")
    connectors: list[ConnectorInput] = required("Its connectors; not empty.")
    charge_point_type: ChargePointType = required("AC or DC.")
    ratings: RatingsInput | None = option("What it can deliver.")
    images: list[ImageInput] | None = option("Pictures and logos.")
    related_resources: list[RelatedResourceInput] | None = option("Pages about it.")
    user_interface_languages: list[str] | None = option("Languages at the charge point, ISO 639-3.")
    max_reservation_minutes: int | None = option("Longest reservation, 1 to 1000 minutes. OCHP maxReservation.")


@strawberry.input(description="A parking spot as its PSO publishes it.")
class ParkingSpotInput:
    parking_id: ParkingId = required("Id under your own party id; one spot may serve several EVSEs.")
    position: PointInput | None = option("Where it is; absent: where its EVSEs are.")
    restrictions: list[Restriction] | None = option("Who may park on it.")
    floor_level: str | None = option("Floor, 1 to 4 of A-Z, 0-9, +, / and -.")
    number: str | None = option("Number painted on it, 1 to 5 of A-Z, 0-9, +, / and -.")


@strawberry.input(description="A part of a whole list that is too big for one request.")
class ListPart:
    list_id: strawberry.ID = required(
        "Your own name of the list; the same in all its parts. Of one that went into force within a day, the next list "
        "of that name begins with part 1; other parts are refused until then."
    )
    number: int = required("Which part, from 1; the same number again replaces the part.")
    last: bool = required("Whether the list ends here; it goes into force once this part and all before it are there.")
