"""One item of an upload: every limit of the reference at its edge, every flaw named with its path, nothing raised."""

import copy
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.records.charge_point import ChargePoint, RegularHours
from app.records.charge_point_input import (
    OPERATOR_LIMITS,
    REGISTER_LIMITS,
    ChargePointInput,
    Limits,
    read_charge_point,
)
from app.uploads.checks import MEANINGS, MOST_REFUSALS, Refusal, RefusalCode
from app.vocabulary import AuthMethod, ConnectorStandard, Restriction
from tests.length import rounds

LEAST: dict[str, Any] = {
    "evseId": "DE*8AC*E12*1",
    "locationId": "loc-1",
    "locationName": "Parkhaus am Markt",
    "locationNameLanguage": "DEU",
    "address": {"address": "Marktstraße 1", "city": "Ulm", "zipCode": "89073", "country": "DEU"},
    "position": {"latitude": 48.4, "longitude": 9.99},
    "locationType": "PARKING_GARAGE",
    "authMethods": ["PUBLIC"],
    "connectors": [{"standard": "IEC_62196_T2", "format": "SOCKET"}],
    "chargePointType": "AC",
}
MOST: dict[str, Any] = LEAST | {
    "timestamp": "2026-03-01T12:00:00+02:00",
    "address": {"houseNumber": "12 A", "address": "Markt", "city": "Ulm", "zipCode": "89073", "country": "DEU"},
    "relatedLocations": [{"latitude": 48.39, "longitude": 9.99, "name": "Einfahrt", "type": "ENTRANCE"}],
    "timeZone": "Europe/Berlin",
    "openingTimes": {
        "regularHours": [
            {"weekday": 2, "begin": "06:00", "end": "24:00"},
            {"weekday": 1, "begin": "06:00", "end": "22:00"},
        ],
        "exceptionalOpenings": [{"begin": "2026-12-06T06:00:00Z", "end": "2026-12-06T18:00:00Z"}],
        "exceptionalClosings": [{"begin": "2026-12-24T12:00:00+01:00", "end": "2026-12-27T00:00:00+01:00"}],
        "closedCharging": True,
    },
    "status": "OPERATIVE",
    "statusSchedule": [{"start": "2026-05-01T00:00:00Z", "end": "2026-05-03T00:00:00Z", "status": "INOPERATIVE"}],
    "telephoneNumber": "+49-731-1234567",
    "parkingSpots": [
        {"parkingId": "de8acp1", "restrictions": ["DISABLED", "EV_ONLY"], "floorLevel": "-1", "number": "A/12"}
    ],
    "restrictions": ["EV_ONLY"],
    "authMethods": ["OPERATOR_AUTH", "RFID_MIFARE_CLS"],
    "connectors": [
        {"standard": "IEC_62196_T2", "format": "SOCKET", "tariffId": "de*8ac*t1"},
        {"standard": "IEC_62196_T2", "format": "CABLE"},
    ],
    "ratings": {"maximumPowerKw": 22, "guaranteedPowerKw": 11.5, "nominalVoltageV": 400},
    "images": [
        {
            "uri": "https://example.org/a.png",
            "thumbUri": "ftp://example.org/a.gif",
            "class": "STATION_PHOTO",
            "type": "png",
            "width": 1,
            "height": 99_999,
        }
    ],
    "relatedResources": [{"uri": "https://example.org/", "classes": ["OWNER_HOMEPAGE", "OPENING_TIMES"]}],
    "userInterfaceLanguages": ["DEU", "ENG"],
    "maxReservationMinutes": 30,
}
ABSENT = object()


def changed(path: str, value: Any, item: dict[str, Any] = MOST) -> dict[str, Any]:
    """Copy an item with one value replaced (or removed: ABSENT); a path like connectors[0].standard."""
    item = copy.deepcopy(item)
    *way, last = [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", path)]
    target: Any = item
    for step in way:
        target = target[step]
    if value is ABSENT:
        del target[last]
    else:
        target[last] = value
    return item


def accepted(item: Any, limits: Limits = OPERATOR_LIMITS) -> ChargePoint:
    answer = read_charge_point(item, 3, limits=limits)
    assert isinstance(answer, ChargePoint), answer
    return answer


def refused(item: Any, limits: Limits = OPERATOR_LIMITS) -> list[Refusal]:
    answer = read_charge_point(item, 3, limits=limits)
    assert isinstance(answer, list)
    assert answer
    return answer


def flaw(item: Any) -> tuple[str, str]:
    """Return path and code of an item's only refusal."""
    (refusal,) = refused(item)
    assert refusal.index == 3
    return refusal.path.removeprefix("chargePoints[3].").removeprefix("chargePoints[3]"), refusal.code


# ---------------------------------------------------------------- what becomes of a good item


def test_takes_what_is_required_and_gives_the_rest_its_defaults() -> None:
    charge_point = accepted(LEAST)
    assert charge_point.evse_id == "DE8ACE12*1"
    assert charge_point.evse_id_as_sent == "DE*8AC*E12*1"
    assert charge_point.location_id == "LOC-1"
    assert (charge_point.timestamp, charge_point.time_zone, charge_point.opening_times) == (None, None, None)
    assert (charge_point.status, charge_point.ratings, charge_point.max_reservation_minutes) == (None, None, None)
    assert charge_point.parking_spots == charge_point.restrictions == charge_point.images == ()
    assert charge_point.address.house_number is None


def test_keeps_every_field_that_was_sent() -> None:
    charge_point = accepted(MOST)
    times = charge_point.opening_times
    assert charge_point.timestamp is not None
    assert times is not None
    assert charge_point.timestamp == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert charge_point.timestamp.utcoffset() == timedelta(0)
    assert times.regular_hours == (
        RegularHours(weekday=1, begin="06:00", end="22:00"),
        RegularHours(weekday=2, begin="06:00", end="24:00"),
    )
    assert times.exceptional_openings[0].end == datetime(2026, 12, 6, 18, tzinfo=UTC)
    assert times.exceptional_closings[0].begin.isoformat() == "2026-12-24T11:00:00+00:00"
    assert (times.twentyfourseven, times.closed_charging) == (None, True)
    assert charge_point.parking_spots[0].parking_id == "DE8ACP1"
    assert charge_point.parking_spots[0].restrictions == (Restriction.EV_ONLY, Restriction.DISABLED)
    assert charge_point.auth_methods == (AuthMethod.RFID_MIFARE_CLS, AuthMethod.OPERATOR_AUTH)
    assert [each.tariff_id for each in charge_point.connectors] == ["DE8ACT1", None]
    assert charge_point.images[0].class_ == "STATION_PHOTO"
    assert charge_point.max_reservation_minutes == 30


def test_takes_null_for_every_field_that_may_be_absent() -> None:
    optional = set(MOST) - set(LEAST)
    assert accepted(LEAST | dict.fromkeys(optional)) == accepted(LEAST)
    nested = changed("parkingSpots[0].restrictions", None, changed("openingTimes.exceptionalOpenings", None))
    charge_point = accepted(changed("images[0].width", None, nested))
    assert charge_point.parking_spots[0].restrictions == ()


@pytest.mark.parametrize("name", sorted(LEAST))
@pytest.mark.parametrize("value", [ABSENT, None])
def test_names_a_required_field_that_is_not_there(name: str, value: Any) -> None:
    assert flaw(changed(name, value)) == (name, RefusalCode.REQUIRED)


@pytest.mark.parametrize(
    "path",
    [
        "address.address",
        "address.city",
        "address.zipCode",
        "address.country",
        "position.latitude",
        "relatedLocations[0].type",
        "openingTimes.regularHours[0].weekday",
        "openingTimes.exceptionalClosings[0].end",
        "statusSchedule[0].status",
        "parkingSpots[0].parkingId",
        "connectors[1].format",
        "ratings.maximumPowerKw",
        "images[0].class",
        "relatedResources[0].classes",
    ],
)
def test_names_a_required_field_of_a_part_that_is_not_there(path: str) -> None:
    assert flaw(changed(path, ABSENT)) == (path, RefusalCode.REQUIRED)


def test_rounds_coordinates_to_six_decimals_and_takes_the_gulf_of_guinea() -> None:
    position = accepted(changed("position", {"latitude": 48.39841249, "longitude": -0.0000001})).position
    assert (position.latitude, position.longitude) == (48.398412, 0.0)
    assert str(position.longitude) == "0.0"
    assert accepted(changed("position", {"latitude": 0, "longitude": 0})).position.latitude == 0.0


def test_keeps_equal_connectors_and_collapses_sets() -> None:
    two_alike = [{"standard": "IEC_62196_T2", "format": "SOCKET"}] * 2
    assert len(accepted(changed("connectors", two_alike)).connectors) == 2
    item = LEAST | {
        "restrictions": ["DISABLED", "EV_ONLY", "DISABLED"],
        "userInterfaceLanguages": ["ENG", "DEU", "ENG"],
    }
    charge_point = accepted(item | {"authMethods": ["PUBLIC", "PUBLIC"]})
    assert charge_point.restrictions == (Restriction.EV_ONLY, Restriction.DISABLED)
    assert charge_point.user_interface_languages == ("ENG", "DEU")
    assert charge_point.auth_methods == (AuthMethod.PUBLIC,)


# ---------------------------------------------------------------- limits, both sides of each edge

TEXT255 = "a" * 255
URI = "https://example.org/"


def fitting(path: str, *values: Any) -> list[Any]:
    return [pytest.param(path, value, id=f"{path}={value!r}"[:60]) for value in values]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *fitting("evseId", "+49*823*1234*5678", "de8ace1", "DE*8AC*E" + "1" * 31),
        *fitting("locationId", "a", "A" * 36, "0 *-z"),
        *fitting("locationName", "a", "ä" * 100, " a "),
        *fitting("locationNameLanguage", "FRA"),
        *fitting("address.houseNumber", "1", "12 A-B", " "),
        *fitting("address.address", "ab", "a" * 45),
        *fitting("address.city", "a", "a" * 45),
        *fitting("address.zipCode", "1", "AB-12 34567"[:10]),
        *fitting("position.latitude", -90, 90, 90.0, 0),
        *fitting("position.longitude", -180, 180, 0.0),
        *fitting("relatedLocations[0].name", "a", TEXT255),
        *fitting("relatedLocations[0].latitude", -90, 90),
        *fitting("timeZone", "Europe/Paris", "UTC", "America/Argentina/Buenos_Aires"),
        *fitting("timestamp", "1990-01-01T00:00:00Z", "2199-12-31T23:59:59-12:00", "2026-03-01t12:00:00.123456z"),
        *fitting("openingTimes.regularHours[0].weekday", 3, 7),
        *fitting("openingTimes.regularHours[0].begin", "00:00", "23:59"),
        *fitting("openingTimes.regularHours[0].end", "06:01", "24:00"),
        *fitting("telephoneNumber", "1", "+1" + "0" * 17, "0970732103", "+33 1 23"),
        *fitting("parkingSpots[0].parkingId", "DE*8AC*P1", "DE8ACP" + "1" * 31),
        *fitting("parkingSpots[0].floorLevel", "A", "+1/2", "-1"),
        *fitting("parkingSpots[0].number", "A", "+1/-2"),
        *fitting("connectors[0].tariffId", "DE*8AC*T" + "1" * 10, "FR8ACT1"),
        *fitting("ratings.maximumPowerKw", 0.001, 10_000, 22.08),
        *fitting("ratings.guaranteedPowerKw", 0, 10_000),
        *fitting("ratings.nominalVoltageV", 1, 1000),
        *fitting("images[0].uri", "http://a", "HTTPS://a", "ftp://a", "file:///a", URI + "a" * (255 - len(URI))),
        *fitting("images[0].type", "j", "jpeg", "svg"),
        *fitting("images[0].width", 1, 99_999),
        *fitting("relatedResources[0].uri", "http://a", URI + "a" * (255 - len(URI))),
        *fitting("maxReservationMinutes", 1, 1000),
    ],
)
def test_takes_values_up_to_the_edge(path: str, value: Any) -> None:
    accepted(changed(path, value))


def beyond(path: str, code: RefusalCode, *values: Any) -> list[Any]:
    return [pytest.param(path, code, value, id=f"{path}={value!r}"[:60]) for value in values]


@pytest.mark.parametrize(
    ("path", "code", "value"),
    [
        *beyond("evseId", RefusalCode.INVALID_ID, "", "FR", "DE*8ACE1", "DE8ACE" + "1" * 32, "DE8ACE1\n", "DE8ACP1"),
        *beyond("locationId", RefusalCode.PATTERN, "A" * 37, "a/b", "a_b", "ab\n", "\uff21", "Straße"),
        *beyond("locationId", RefusalCode.EMPTY, ""),
        *beyond("locationName", RefusalCode.EMPTY, "", " ", "\n\t\u00a0"),
        *beyond("locationName", RefusalCode.TOO_LONG, "a" * 101, TEXT255 + "a", "a" * 100_000),
        *beyond("locationName", RefusalCode.PATTERN, "a\x00b", "a\ud800"),
        *beyond("locationNameLanguage", RefusalCode.PATTERN, "de", "deu", "DEUT", "DEU\n", "DÉU"),
        *beyond("address.houseNumber", RefusalCode.PATTERN, "1234567", "12a", "1/2", "1\n"),
        *beyond("address.houseNumber", RefusalCode.EMPTY, ""),
        *beyond("address.address", RefusalCode.PATTERN, "a"),
        *beyond("address.address", RefusalCode.EMPTY, "", "  "),
        *beyond("address.address", RefusalCode.TOO_LONG, "a" * 46, TEXT255 + "a"),
        *beyond("address.city", RefusalCode.TOO_LONG, "a" * 46),
        *beyond("address.city", RefusalCode.EMPTY, " "),
        *beyond("address.zipCode", RefusalCode.PATTERN, "12345678901", "123a", "1.2"),
        *beyond("address.country", RefusalCode.PATTERN, "DE", "deu", "D1U"),
        *beyond("position.latitude", RefusalCode.OUT_OF_RANGE, -90.000001, 90.1, 10**400, -(10**400)),
        *beyond("position.longitude", RefusalCode.OUT_OF_RANGE, -180.1, 181, 1e308),
        *beyond("relatedLocations[0].longitude", RefusalCode.OUT_OF_RANGE, 180.5),
        *beyond("relatedLocations[0].name", RefusalCode.TOO_LONG, TEXT255 + "a"),
        *beyond(
            "timeZone", RefusalCode.UNKNOWN_VALUE, "Europe/Atlantis", "CEST", "europe/berlin", "localtime", "../UTC"
        ),
        *beyond("timeZone", RefusalCode.TOO_LONG, TEXT255 + "a"),
        *beyond(
            "timestamp",
            RefusalCode.PATTERN,
            "2026-03-01T12:00:00",
            "2026-03-01",
            "now",
            "",
            "\ud800",
            "2026-02-30T00:00:00Z",
        ),
        *beyond(
            "timestamp",
            RefusalCode.OUT_OF_RANGE,
            "1989-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z",
            "0001-01-01T00:00:00+10:00",
        ),
        *beyond("openingTimes.regularHours[0].weekday", RefusalCode.OUT_OF_RANGE, 0, 8, -1, 10**30),
        *beyond(
            "openingTimes.regularHours[0].begin", RefusalCode.PATTERN, "24:00", "6:00", "06:60", "0600", "06:00:00"
        ),
        *beyond("openingTimes.regularHours[0].end", RefusalCode.PATTERN, "24:01", "29:59", "25:00", "\uff12\uff14:00"),
        *beyond("telephoneNumber", RefusalCode.PATTERN, "+1" + "0" * 18, "+33.123", "tel:+33", "12a", "++1"),
        *beyond("parkingSpots[0].parkingId", RefusalCode.INVALID_ID, "DE8ACE1", "", "DE8ACP" + "1" * 32),
        *beyond("parkingSpots[0].floorLevel", RefusalCode.PATTERN, "12345", "eg", "1 2"),
        *beyond("parkingSpots[0].number", RefusalCode.PATTERN, "123456", "a1"),
        *beyond("connectors[0].tariffId", RefusalCode.INVALID_ID, "DE*8AC*T" + "1" * 11, "T1", ""),
        *beyond("ratings.maximumPowerKw", RefusalCode.OUT_OF_RANGE, 0, -1, 10_000.5, 22_000),
        *beyond("ratings.guaranteedPowerKw", RefusalCode.OUT_OF_RANGE, -0.1, 10_001),
        *beyond("ratings.nominalVoltageV", RefusalCode.OUT_OF_RANGE, 0, 1001),
        *beyond(
            "images[0].uri",
            RefusalCode.PATTERN,
            "example.org",
            "javascript:1",
            "data:1",
            "https://",
            "https://a b",
            " http://a",
        ),
        *beyond("images[0].uri", RefusalCode.TOO_LONG, URI + "a" * (256 - len(URI))),
        *beyond("images[0].thumbUri", RefusalCode.PATTERN, "x://a"),
        *beyond("images[0].type", RefusalCode.TOO_LONG, "jpeg2"),
        *beyond("images[0].type", RefusalCode.EMPTY, ""),
        *beyond("images[0].width", RefusalCode.OUT_OF_RANGE, 0, 100_000),
        *beyond("images[0].height", RefusalCode.OUT_OF_RANGE, 0, 100_000),
        *beyond("relatedResources[0].uri", RefusalCode.PATTERN, "ftp://a", "file:///a"),
        *beyond("relatedResources[0].classes", RefusalCode.EMPTY, []),
        *beyond("userInterfaceLanguages[0]", RefusalCode.PATTERN, "de"),
        *beyond("maxReservationMinutes", RefusalCode.OUT_OF_RANGE, 0, 1001),
        *beyond("authMethods", RefusalCode.EMPTY, []),
        *beyond("connectors", RefusalCode.EMPTY, []),
        *beyond("connectors[0].standard", RefusalCode.UNKNOWN_VALUE, "TYPE2", "iec_62196_t2", "", "\ud800"),
        *beyond("status", RefusalCode.UNKNOWN_VALUE, "Operative"),
    ],
)
def test_refuses_values_beyond_the_edge(path: str, code: RefusalCode, value: Any) -> None:
    assert flaw(changed(path, value)) == (path, code)


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("evseId", (1, True, [], {}, 1.5)),
        ("locationName", (1, True, [], {})),
        ("address", ("Ulm", 1, [], True)),
        ("position.latitude", ("48.4", True, [], {})),
        ("openingTimes.regularHours[0].weekday", ("1", True, 1.0, 1.5)),
        ("openingTimes.closedCharging", ("true", 1, [])),
        ("timestamp", (1, 1.5, True, [])),
        ("restrictions", ("EV_ONLY", {}, 1)),
        ("connectors", ("IEC_62196_T2", {"standard": "IEC_62196_T2", "format": "SOCKET"}, True)),
        ("connectors[0]", ("IEC_62196_T2", 1, None, [])),
        ("connectors[0].standard", (1, True, [])),
        ("ratings.nominalVoltageV", (230.5, "230", True)),
        ("maxReservationMinutes", ("30", 30.5, False)),
        ("images[0].class", (1, [], True)),
    ],
)
def test_refuses_values_of_another_type(path: str, values: tuple[Any, ...]) -> None:
    for value in values:
        assert flaw(changed(path, value)) == (path, RefusalCode.WRONG_TYPE)


@pytest.mark.parametrize("item", [None, True, 1, 1.5, "x", [], [LEAST], ""])
def test_refuses_an_item_that_is_no_object(item: Any) -> None:
    assert flaw(item) == ("", RefusalCode.WRONG_TYPE)


@pytest.mark.parametrize("path", ["evseid", "address.street", "connectors[0].power", "openingTimes.holidays"])
def test_refuses_fields_that_it_does_not_know(path: str) -> None:
    assert flaw(changed(path, 1)) == (path, RefusalCode.UNKNOWN_FIELD)


# ---------------------------------------------------------------- opening times, schedules, spots


def opened(**fields: Any) -> dict[str, Any]:
    return LEAST | {"openingTimes": fields}


def hours(weekday: int, begin: str, end: str) -> dict[str, Any]:
    return {"weekday": weekday, "begin": begin, "end": end}


DAY = {"begin": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    "fields",
    [
        {"twentyfourseven": True},
        {"twentyfourseven": False},
        {"twentyfourseven": False, "exceptionalOpenings": [DAY]},
        {"twentyfourseven": True, "regularHours": []},
        {"twentyfourseven": True, "regularHours": None},
        {"regularHours": [hours(1, "00:00", "24:00")]},
        {"regularHours": [hours(1, "08:00", "12:00"), hours(1, "12:00", "18:00"), hours(2, "08:00", "12:00")]},
        {
            "regularHours": [
                hours(day, b, e) for day in range(1, 8) for b, e in (("08:00", "12:00"), ("13:00", "18:00"))
            ]
        },
        {"regularHours": [hours(1, "08:00", "12:00")], "twentyfourseven": None, "closedCharging": False},
        {"twentyfourseven": True, "exceptionalClosings": [DAY, DAY]},
    ],
)
def test_takes_opening_times(fields: dict[str, Any]) -> None:
    accepted(opened(**fields))


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({}, "", RefusalCode.EXACTLY_ONE),
        ({"regularHours": []}, "", RefusalCode.EXACTLY_ONE),
        ({"exceptionalOpenings": [DAY]}, "", RefusalCode.EXACTLY_ONE),
        ({"twentyfourseven": True, "regularHours": [hours(1, "08:00", "12:00")]}, "", RefusalCode.EXACTLY_ONE),
        ({"twentyfourseven": False, "regularHours": [hours(1, "08:00", "12:00")]}, "", RefusalCode.EXACTLY_ONE),
        ({"regularHours": [hours(1, "12:00", "12:00")]}, ".regularHours[0].end", RefusalCode.ORDER),
        ({"regularHours": [hours(1, "22:00", "02:00")]}, ".regularHours[0].end", RefusalCode.ORDER),
        (
            {"regularHours": [hours(1, "13:00", "18:00"), hours(1, "08:00", "13:01")]},
            ".regularHours[0]",
            RefusalCode.OVERLAP,
        ),
        (
            {"regularHours": [hours(1, "08:00", "12:00"), hours(1, "08:00", "12:00")]},
            ".regularHours[1]",
            RefusalCode.OVERLAP,
        ),
        (
            {"twentyfourseven": True, "exceptionalClosings": [DAY | {"end": DAY["begin"]}]},
            ".exceptionalClosings[0].end",
            RefusalCode.ORDER,
        ),
        (
            {"twentyfourseven": False, "exceptionalOpenings": [DAY | {"begin": "1980-01-01T00:00:00Z"}]},
            ".exceptionalOpenings[0].begin",
            RefusalCode.OUT_OF_RANGE,
        ),
        (
            {"twentyfourseven": False, "exceptionalOpenings": [DAY | {"end": "9999-12-31T00:00:00Z"}]},
            ".exceptionalOpenings[0].end",
            RefusalCode.OUT_OF_RANGE,
        ),
    ],
)
def test_refuses_opening_times_that_contradict_themselves(fields: dict[str, Any], path: str, code: RefusalCode) -> None:
    assert flaw(opened(**fields)) == (f"openingTimes{path}", code)


def test_sorts_regular_hours_so_that_their_order_is_no_difference() -> None:
    entries = [hours(2, "08:00", "12:00"), hours(1, "13:00", "18:00"), hours(1, "08:00", "12:00")]
    assert accepted(opened(regularHours=entries)) == accepted(opened(regularHours=entries[::-1]))


def test_refuses_a_schedule_that_ends_before_it_starts() -> None:
    entry = {"start": "2026-05-01T00:00:00Z", "end": "2026-05-01T00:00:01Z", "status": "CLOSED"}
    assert accepted(LEAST | {"statusSchedule": [entry, {"start": entry["start"], "status": "PLANNED"}]}).status_schedule
    wrong = LEAST | {"statusSchedule": [entry, entry | {"end": "2026-05-01T01:00:00+01:00"}]}
    assert flaw(wrong) == ("statusSchedule[1].end", RefusalCode.ORDER)


@pytest.mark.parametrize("restrictions", [[], ["EV_ONLY"], ["EV_ONLY", "DISABLED"]])
def test_takes_a_spot_whose_restrictions_are_none_or_include_its_evses(restrictions: list[str]) -> None:
    accepted(changed("parkingSpots[0].restrictions", restrictions))


def test_refuses_a_spot_whose_restrictions_lack_one_of_its_evse() -> None:
    (refusal,) = refused(changed("parkingSpots[0].restrictions", ["DISABLED"]))
    assert (refusal.path, refusal.code) == ("chargePoints[3].parkingSpots[0].restrictions", "RESTRICTION_MISSING")
    assert "EV_ONLY is missing" in refusal.message


def test_refuses_the_same_spot_twice() -> None:
    spots = [{"parkingId": "DE*8AC*P1"}, {"parkingId": "de8acp1"}]
    assert flaw(LEAST | {"parkingSpots": spots}) == ("parkingSpots[1].parkingId", RefusalCode.DUPLICATE)


# ---------------------------------------------------------------- registers, refusals, everything else


def test_holds_a_register_to_wider_limits() -> None:
    item = LEAST | {"authMethods": [], "locationName": TEXT255, "address": {"address": TEXT255, "country": "FRA"}}
    charge_point = accepted(item, REGISTER_LIMITS)
    assert (charge_point.address.city, charge_point.address.zip_code, charge_point.auth_methods) == (None, None, ())
    assert {refusal.path.partition(".")[2] for refusal in refused(item)} == {
        "locationName",
        "address.address",
        "address.city",
        "address.zipCode",
        "authMethods",
    }
    assert refused(changed("locationName", TEXT255 + "a"), REGISTER_LIMITS)[0].code == RefusalCode.TOO_LONG
    assert refused(changed("evseId", "x"), REGISTER_LIMITS)[0].code == RefusalCode.INVALID_ID


def test_reports_every_flaw_of_an_item_up_to_a_bound() -> None:
    item = LEAST | {"evseId": 1, "position": {"latitude": 91}, "connectors": [{"standard": "X", "format": "Y"}], "x": 1}
    assert [(refusal.path, refusal.code) for refusal in refused(item)] == [
        ("chargePoints[3].x", "UNKNOWN_FIELD"),
        ("chargePoints[3].evseId", "WRONG_TYPE"),
        ("chargePoints[3].position.latitude", "OUT_OF_RANGE"),
        ("chargePoints[3].position.longitude", "REQUIRED"),
        ("chargePoints[3].connectors[0].standard", "UNKNOWN_VALUE"),
        ("chargePoints[3].connectors[0].format", "UNKNOWN_VALUE"),
    ]
    assert len(refused(LEAST | {"connectors": [1] * 1000})) == MOST_REFUSALS


def test_shows_the_value_and_what_is_possible() -> None:
    (refusal,) = refused(changed("connectors[0].format", "Socket"))
    assert refusal.message == "'Socket' is not known; possible: SOCKET, CABLE"
    assert refusal.id == "DE*8AC*E12*1"
    (refusal,) = refused(changed("address.city", "a" * 46))
    assert refusal.message == f"'{'a' * 46}' has 46 characters; at most 45 are possible"
    (refusal,) = refused(changed("position.latitude", 91))
    assert refusal.message == "91 is not possible; expected -90 to 90"


def test_has_a_sentence_for_every_code() -> None:
    assert set(MEANINGS) == set(RefusalCode)
    assert all(meaning.endswith(".") for meaning in MEANINGS.values())


def test_has_the_fields_of_the_public_face() -> None:
    face = Path(__file__).parents[3] / "shared" / "design" / "api.graphql"
    if not face.exists():
        pytest.skip("../shared/design is not there")
    text = re.sub(r'"[^"]*"', "", face.read_text().partition("input ChargePointInput {")[2].partition("\n}")[0])
    declared = dict(re.findall(r"(\w+): ([\[\]\w!]+)", text))
    fields = {field.encode_name: field.required for field in msgspec.structs.fields(ChargePointInput)}
    assert fields == {name: type_.endswith("!") for name, type_ in declared.items()}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**60), max_value=10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None), max_size=8)
    | st.sampled_from(["\x00", "\ud800", "EV_ONLY", "DE8ACE1", "2026-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
PATHS = sorted(
    {
        path
        for name, value in MOST.items()
        for path in [
            name,
            *([f"{name}.{key}" for key in value] if isinstance(value, dict) else []),
            *([f"{name}[0]"] if isinstance(value, list) else []),
            *(
                [f"{name}[0].{key}" for key in value[0]]
                if isinstance(value, list) and isinstance(value[0], dict)
                else []
            ),
        ]
    }
)


def check_refusals(answer: ChargePoint | list[Refusal]) -> None:
    """Every answer can be stored in PostgreSQL and sent as JSON."""
    if isinstance(answer, ChargePoint):
        texts = [answer.location_name, answer.address.address, answer.evse_id]
    else:
        assert answer
        texts = [text for refusal in answer for text in (refusal.path, refusal.id or "", refusal.message)]
        assert {refusal.code for refusal in answer} <= set(RefusalCode)
        assert max(len(refusal.message) for refusal in answer) < 1000
    for text in texts:
        assert "\x00" not in text
        text.encode()  # raises on a lone surrogate


@given(JSON)
def test_never_raises_on_any_json_value(item: Any) -> None:
    check_refusals(read_charge_point(item, 0))


@settings(max_examples=rounds(100, full=500))
@given(st.sampled_from(PATHS), JSON)
@example("evseId", "\x00\ud800")
@example("evseId", "a" * 100_000)
@example("locationName", " " * 100_000 + "\x00")
@example("openingTimes", json.loads("[" * 200 + "]" * 200))
@example("position.latitude", 10**5000)
def test_never_raises_on_any_value_at_any_path(path: str, value: Any) -> None:
    check_refusals(read_charge_point(changed(path, value), 0))


def test_never_descends_where_the_input_has_no_fields() -> None:
    value: Any = None
    for _ in range(50_000):
        value = [value]
    for path in PATHS:
        refused(changed(path, None) | {"images": value, "openingTimes": {"regularHours": value}})


@given(st.dictionaries(st.text(st.characters(codec=None), max_size=6), JSON, max_size=3))
def test_never_raises_on_any_field_name(extra: dict[str, Any]) -> None:
    check_refusals(read_charge_point(LEAST | {"connectors": [extra]} | extra, 0))


@given(st.sampled_from(sorted(ConnectorStandard)), st.permutations(sorted(AuthMethod)))
def test_reads_its_own_words(standard: ConnectorStandard, methods: list[AuthMethod]) -> None:
    item = LEAST | {"connectors": [{"standard": standard.value, "format": "CABLE"}], "authMethods": [*methods]}
    charge_point = accepted(json.loads(json.dumps(item)))
    assert charge_point.connectors[0].standard is standard
    assert charge_point.auth_methods == tuple(AuthMethod)
