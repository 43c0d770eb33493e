"""Synthetic stations: the places are real, everything in them is invented, as its names show.

Source of the places: GeoNames, CC BY 4.0 (app/demo_places.json). Streets, house numbers and zip codes only look like
those of their country; web addresses end in `.example`, telephone numbers are from ranges kept free for fiction.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

PLACES = Path(__file__).parent / "demo_places.json"
EVSES = 3_000
BIGGEST = 8
METRES_PER_DEGREE = 111_195

#: An EVSE as `ChargePointInput` takes it.
Input = dict[str, Any]


class Country(msgspec.Struct, frozen=True, rename="camel"):
    """How addresses look there. In `zip_code` # stands for a digit, @ for a letter."""

    language: str
    zip_code: str
    streets: tuple[str, ...]
    garage: str
    shops: str
    park: str


class Place(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    country: str
    latitude: float
    longitude: float
    population: int
    time_zone: str
    geoname_id: int


class Places(msgspec.Struct, frozen=True):
    source: str
    licence: str
    countries: dict[str, Country]
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Outlet:
    """A kind of EVSE: power in kW, voltage in V, connectors as (standard, format)."""

    type: str
    power_kw: float
    voltage_v: int
    connectors: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Site:
    """A kind of location: how many EVSEs of which kinds, and when it is open (None: unknown)."""

    type: str
    name: Callable[[Country, Place, str], str]
    sizes: Sequence[int]
    outlets: Sequence[Outlet]
    hours: Sequence[Input | None]
    restrictions: tuple[str, ...] = ()
    levels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Operator:
    """A synthetic operator. `home`: countries where most of its stations stand; empty: everywhere."""

    name: str
    party_id: str
    share: float
    sites: Mapping[str, int]
    home: frozenset[str] = frozenset()
    telephone_number: str | None = None
    open: bool = False


def _daily(days: range, *parts: tuple[str, str]) -> list[Input]:
    return [{"weekday": day, "begin": begin, "end": end} for day in days for begin, end in parts]


ALWAYS = {"twentyfourseven": True}
GARAGE_HOURS = {"regularHours": _daily(range(1, 8), ("06:00", "24:00")), "closedCharging": True}
NIGHT_GARAGE_HOURS = {"regularHours": _daily(range(1, 8), ("00:00", "01:00"), ("05:30", "24:00"))}
SHOP_HOURS = {"regularHours": _daily(range(1, 7), ("08:00", "20:00")), "closedCharging": False}
LATE_SHOP_HOURS = {"regularHours": [*_daily(range(1, 7), ("07:00", "22:00")), *_daily(range(7, 8), ("10:00", "18:00"))]}
SPLIT_HOURS = {"regularHours": _daily(range(1, 6), ("08:00", "12:00"), ("13:30", "18:00")), "closedCharging": True}

SOCKET_11 = Outlet("AC", 11, 400, (("IEC_62196_T2", "SOCKET"),))
SOCKET_22 = Outlet("AC", 22, 400, (("IEC_62196_T2", "SOCKET"),))
CABLE_22 = Outlet("AC", 22, 400, (("IEC_62196_T2", "CABLE"),))
BOTH_SOCKETS = Outlet("AC", 22, 400, (("IEC_62196_T2", "SOCKET"), ("DOMESTIC_F", "SOCKET")))
DC_50 = Outlet("DC", 50, 500, (("IEC_62196_T2_COMBO", "CABLE"), ("CHADEMO", "CABLE")))
DC_150 = Outlet("DC", 150, 920, (("IEC_62196_T2_COMBO", "CABLE"),))
DC_150_BOTH = Outlet("DC", 150, 920, (("IEC_62196_T2_COMBO", "CABLE"), ("CHADEMO", "CABLE")))
DC_300 = Outlet("DC", 300, 920, (("IEC_62196_T2_COMBO", "CABLE"),))
DC_350 = Outlet("DC", 350, 1000, (("IEC_62196_T2_COMBO", "CABLE"),))

SITES: Mapping[str, Site] = {
    "street": Site(
        "ON_STREET",
        lambda _country, _place, address: address,
        sizes=(1, 2, 2, 2, 2, 4),
        outlets=(SOCKET_11, SOCKET_22, SOCKET_22, BOTH_SOCKETS),
        hours=(ALWAYS, ALWAYS, ALWAYS, ALWAYS, ALWAYS, None),
    ),
    "garage": Site(
        "PARKING_GARAGE",
        lambda country, _place, address: f"{country.garage} {address}",
        sizes=(2, 4, 4, 6, 8),
        outlets=(SOCKET_11, SOCKET_22, CABLE_22),
        hours=(ALWAYS, GARAGE_HOURS, GARAGE_HOURS, NIGHT_GARAGE_HOURS, None),
        restrictions=("EV_ONLY",),
        levels=("-2", "-1", "0", "1"),
    ),
    "shops": Site(
        "PARKING_LOT",
        lambda country, place, _address: f"{country.shops} {place.name}",
        sizes=(2, 2, 3, 4, 6),
        outlets=(CABLE_22, SOCKET_22, DC_50, DC_150_BOTH),
        hours=(ALWAYS, SHOP_HOURS, SHOP_HOURS, LATE_SHOP_HOURS),
        restrictions=("CUSTOMERS",),
    ),
    "yard": Site(
        "PRIVATE",
        lambda _country, _place, address: address,
        sizes=(1, 2, 3),
        outlets=(SOCKET_11, SOCKET_22, DC_50),
        hours=(SPLIT_HOURS, SPLIT_HOURS, None),
        restrictions=("CUSTOMERS", "EV_ONLY"),
    ),
    "park": Site(
        "PARKING_LOT",
        lambda country, place, _address: f"{country.park} {place.name}",
        sizes=(4, 4, 6, 8),
        outlets=(DC_150, DC_300, DC_300, DC_350),
        hours=(ALWAYS,),
        restrictions=("EV_ONLY", "PLUGGED"),
    ),
}

TOWN = {"street": 50, "garage": 25, "shops": 20, "yard": 5}
FAST = {"park": 70, "shops": 30}

OPERATORS = (
    Operator(
        "Demo Charging Centre",
        "DEDCC",
        0.22,
        TOWN,
        frozenset({"DEU", "AUT", "CHE", "CZE", "SVK", "POL", "HUN"}),
        telephone_number="+49 30 23125 014",
    ),
    Operator(
        "Demo Charging West",
        "FRDCW",
        0.22,
        TOWN,
        frozenset({"FRA", "BEL", "LUX", "NLD", "GBR", "IRL"}),
        telephone_number="+33 1 99 00 12 34",
    ),
    Operator(
        "Demo Charging South",
        "ITDCS",
        0.18,
        TOWN,
        frozenset({"ITA", "ESP", "PRT", "SVN", "HRV", "SRB", "BGR", "ROU"}),
    ),
    Operator(
        "Demo Charging North",
        "SEDCN",
        0.12,
        TOWN,
        frozenset({"SWE", "NOR", "FIN", "DNK", "EST", "LTU"}),
        telephone_number="+46 8 465 004 12",
    ),
    Operator("Demo Fast Charging", "NLDFC", 0.12, FAST, telephone_number="+44 20 7946 0123"),
    Operator("Demo Town Charging", "ATDTC", 0.14, TOWN, open=True),
)


@cache
def known_places() -> Places:
    """Read the real data: places, and how addresses look in their countries."""
    return msgspec.json.decode(PLACES.read_bytes(), type=Places)


def charge_points(operator: Operator, seed: int, now: datetime, parking_party: str | None = None) -> Iterator[Input]:
    """Make an operator's EVSEs; the same seed and day give the same ones.

    `parking_party`: whose ids the parking spots of its garages bear; its own by default.
    """
    chance = random.Random(f"{seed} {operator.party_id}")
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    wanted, station = round(EVSES * operator.share), 0
    while wanted > 0:
        station += 1
        evses = _station(chance, operator, station, today, parking_party or operator.party_id)
        yield from evses[:wanted]
        wanted -= len(evses)


def _station(
    chance: random.Random, operator: Operator, number: int, today: datetime, parking_party: str
) -> list[Input]:
    place = _place(chance, operator, number)
    site = SITES[chance.choices(list(operator.sites), list(operator.sites.values()))[0]]
    shared = _shared(chance, operator, number, place, site)
    size = chance.choice(site.sizes)
    # One or two kinds of charge points per station: operators buy in dozens.
    kinds = chance.sample(site.outlets, k=min(2, len(site.outlets)))
    first = size if chance.random() < 0.6 else size // 2
    return [
        {
            **shared,
            "evseId": f"{_separated(operator.party_id)}*E{number:05}*{n + 1}",
            "timestamp": _instant(today - timedelta(minutes=chance.randrange(60 * 24 * 400))),
            **_what(operator, kinds[0] if n < first else kinds[1]),
            **_status(chance, today),
            "parkingSpots": _parking_spots(chance, site, parking_party, number, n),
        }
        for n in range(size)
    ]


def _shared(chance: random.Random, operator: Operator, number: int, place: Place, site: Site) -> Input:
    """Make what all EVSEs of a station have in common."""
    country = known_places().countries[place.country]
    address = _address(chance, country, place)
    position = _near(chance, place.latitude, place.longitude, _spread_m(place))
    website = f"https://{operator.name.lower().replace(' ', '-')}.example"
    return {
        "locationId": f"{operator.party_id[2:]}-{number:05}",
        "locationName": site.name(country, place, f"{address['address']} {address['houseNumber']}"),
        "locationNameLanguage": country.language,
        "locationType": site.type,
        "address": address,
        "position": position,
        "relatedLocations": _entrances(chance, site, position),
        # Without a time zone the hub derives it from the position.
        "timeZone": place.time_zone if chance.random() < 0.7 else None,
        "openingTimes": chance.choice(site.hours),
        "telephoneNumber": operator.telephone_number,
        "restrictions": [*site.restrictions],
        "images": [{"uri": f"{website}/logo.svg", "class": "OPERATOR_LOGO", "type": "svg"}],
        "relatedResources": [{"uri": f"{website}/stations/{number}", "classes": ["STATION_INFO"]}],
        "userInterfaceLanguages": list(dict.fromkeys((country.language, "ENG"))),
        "maxReservationMinutes": 30 if chance.random() < 0.2 else None,
    }


def tariff_ids(party_id: str) -> Mapping[str, float]:
    """Return the ids of the tariffs that an operator's connectors name, with the power of their EVSEs in kW."""
    return {_tariff_id(party_id, outlet): outlet.power_kw for site in SITES.values() for outlet in site.outlets}


def _tariff_id(party_id: str, outlet: Outlet) -> str:
    return f"{_separated(party_id)}*T{outlet.type}{outlet.power_kw:g}"


def _what(operator: Operator, outlet: Outlet) -> Input:
    tariff_id = _tariff_id(operator.party_id, outlet)
    cards = ["RFID_MIFARE_CLS", "RFID_MIFARE_DES", "OPERATOR_AUTH"]
    paid = ["DIRECT_CREDITCARD", "DIRECT_DEBITCARD"] if outlet.type == "DC" else []
    plug_and_charge = ["IEC_15118"] if outlet.power_kw >= 150 else []
    return {
        "chargePointType": outlet.type,
        "connectors": [
            {"standard": standard, "format": format_, "tariffId": tariff_id} for standard, format_ in outlet.connectors
        ],
        "ratings": {
            "maximumPowerKw": outlet.power_kw,
            "guaranteedPowerKw": outlet.power_kw / 2 if outlet.power_kw >= 300 else None,
            "nominalVoltageV": outlet.voltage_v,
        },
        "authMethods": [*cards, *paid, *plug_and_charge],
    }


def _status(chance: random.Random, today: datetime) -> Input:
    soon = today + timedelta(days=chance.randint(2, 30))
    later = soon + timedelta(days=chance.randint(1, 10))
    return chance.choices(
        (
            {"status": "OPERATIVE"},
            {},
            {"status": "OPERATIVE", "statusSchedule": [_period(soon, later, "INOPERATIVE")]},
            {"status": "INOPERATIVE", "statusSchedule": [_period(soon, None, "OPERATIVE")]},
            {"status": "PLANNED", "statusSchedule": [_period(later, None, "OPERATIVE")]},
            {"status": "CLOSED"},
        ),
        (900, 40, 20, 20, 15, 5),
    )[0]


def _period(start: datetime, end: datetime | None, status: str) -> Input:
    return {"start": _instant(start), "end": None if end is None else _instant(end), "status": status}


def _parking_spots(chance: random.Random, site: Site, party_id: str, station: int, n: int) -> list[Input]:
    if not site.levels:
        return []
    restrictions = ["EV_ONLY", *(["DISABLED"] if n == 0 and chance.random() < 0.3 else [])]
    return [
        {
            "parkingId": f"{_separated(party_id)}*P{station:05}*{n + 1}",
            "restrictions": restrictions,
            "floorLevel": site.levels[station % len(site.levels)],
            "number": f"{chance.choice('ABCD')}{n + 1:02}",
        }
    ]


def _place(chance: random.Random, operator: Operator, number: int) -> Place:
    """Choose where a station stands: the first ones in the biggest places, so that there all operators are met."""
    places = known_places().places
    weights = [place.population**0.5 * (1 if _is_home(operator, place) else 0.05) for place in places]
    home = sorted((place for place in places if _is_home(operator, place)), key=lambda place: -place.population)
    return home[number - 1] if number <= BIGGEST else chance.choices(places, weights)[0]


def _is_home(operator: Operator, place: Place) -> bool:
    return not operator.home or place.country in operator.home


def _address(chance: random.Random, country: Country, place: Place) -> Input:
    return {
        "houseNumber": f"{chance.randint(1, 120)}{chance.choice(('', '', '', 'A', 'B'))}",
        "address": chance.choice(country.streets),
        "city": place.name,
        "zipCode": "".join(_character(chance, c) for c in country.zip_code),
        "country": place.country,
    }


def _character(chance: random.Random, pattern: str) -> str:
    return chance.choice({"#": "123456789", "@": "ABCDEFGHJKLMNPRSTUVWXY"}.get(pattern, pattern))


def _entrances(chance: random.Random, site: Site, position: Input) -> list[Input]:
    if not site.levels:
        return []
    entrance = _near(chance, position["latitude"], position["longitude"], 30)
    return [{**entrance, "name": None, "type": "ENTRANCE"}]


def _spread_m(place: Place) -> float:
    """Return how far from its centre a place's stations stand: 1 km in a small town, 4 km in a capital."""
    return min(4_000.0, max(800.0, 1_000 * (place.population / 100_000) ** 0.45))


def _near(chance: random.Random, latitude: float, longitude: float, spread_m: float) -> Input:
    north_m, east_m = chance.gauss(0, spread_m), chance.gauss(0, spread_m)
    per_longitude_m = METRES_PER_DEGREE * math.cos(math.radians(latitude))
    return {
        "latitude": round(latitude + north_m / METRES_PER_DEGREE, 6),
        "longitude": round(longitude + east_m / per_longitude_m, 6),
    }


def _separated(party_id: str) -> str:
    return f"{party_id[:2]}*{party_id[2:]}"


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
