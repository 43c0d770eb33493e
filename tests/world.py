"""The default test world: its partners, what they hold, and which rows each may see.

Made by the hub's own commands. Everywhere there are at least two parents with different children, so that a read that
mixes them up cannot look right. Ids and instants are the same in every run; secrets are not.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.auth import Caller, Keys
from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.contracts import decline_contract, end_contract, propose_contract, set_contract, suspend_contract
from app.exchange.keys import issue_key
from app.exchange.partners import register_partner, suspend_partner
from app.exchange.roles import Party, RoleName
from app.exchange.tariffs.updates import update_tariffs
from app.ingest.charge_points.updates import Owner, item_of, put, update_charge_points
from app.ingest.status.updates import update_status
from app.records.charge_point import ChargePoint
from app.records.charge_point_input import REGISTER_LIMITS, read_charge_point
from app.records.status_input import Hearing, read_evse_statuses, read_parking_statuses
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.settings import Settings
from app.vocabulary import Role

BEGINNING = datetime(2024, 3, 4, 12, tzinfo=UTC)
FAR_AWAY = datetime(2199, 1, 1, tzinfo=UTC)
SOURCE, LICENCE = "Registre des bornes", "Licence Ouverte 2.0"

OPERATOR, EVSP = Role.EVSE_OPERATOR, Role.EVSP

#: The callers: a name, the partner behind it, its role. Fjordlade holds two roles.
CALLERS: Mapping[str, tuple[str, Role, str | None]] = {
    "leitstelle": ("Leitstelle", Role.ADMINISTRATOR, None),
    "sonnenstrom": ("Sonnenstrom", OPERATOR, "DESON"),
    "nordlicht": ("Nordlicht", OPERATOR, "DE823"),
    "fjordlade": ("Fjordlade", OPERATOR, "NOFJO"),
    "fjordlade-evsp": ("Fjordlade", EVSP, "NOFJO"),
    "verborgen": ("Verborgen", OPERATOR, "DEVER"),
    "ruhend": ("Ruhend", OPERATOR, "DERUH"),
    "mobilstrom": ("Mobilstrom", EVSP, "DEMOB"),
    "wegweiser": ("Wegweiser", Role.NSP, None),
    "neuling": ("Neuling", Role.NSP, None),
    "parkraum": ("Parkraum", Role.PSO, "DEPRK"),
}
OPEN = frozenset({"Sonnenstrom", "Ruhend"})

#: Whose EVSEs each caller sees. Ruhend is open but suspended, so its key does not even work.
VISIBLE_OPERATORS: Mapping[str | None, frozenset[str]] = {
    None: frozenset({"DESON", "FRREG"}),
    "sonnenstrom": frozenset({"DESON", "FRREG"}),
    "nordlicht": frozenset({"DESON", "FRREG", "DE823"}),
    "fjordlade": frozenset({"DESON", "FRREG", "NOFJO"}),
    "fjordlade-evsp": frozenset({"DESON", "FRREG"}),
    "verborgen": frozenset({"DESON", "FRREG", "DEVER"}),
    "mobilstrom": frozenset({"DESON", "FRREG", "NOFJO"}),
    "wegweiser": frozenset({"DESON", "FRREG", "DE823", "NOFJO"}),
    "neuling": frozenset({"DESON", "FRREG"}),
    "parkraum": frozenset({"DESON", "FRREG", "DE823"}),
    "leitstelle": frozenset({"DESON", "FRREG", "DE823", "NOFJO", "DEVER", "DERUH"}),
}


class World:
    """A filled hub: where its database is, and what the callers send."""

    def __init__(self, dsn: str, secrets: Mapping[str, str], partner_ids: Mapping[str, UUID]) -> None:
        self.dsn = dsn
        self.secrets = secrets
        self.partner_ids = partner_ids

    def __repr__(self) -> str:
        return "the world"

    def authorization(self, caller: str | None) -> dict[str, str]:
        """Return the headers that a caller sends; none for a caller without a key."""
        return {} if caller is None else {"Authorization": f"Bearer {self.secrets[caller]}"}


async def make_world(dsn: str) -> World:
    """Fill an empty migrated database."""
    await _make_ids_predictable(dsn)
    database = await Database.open(dsn, Settings())
    try:
        clock = _ticks()
        partner_ids = await _register_partners(database, clock)
        secrets = {name: await _issue_key(database, partner_ids, name, next(clock)) for name in CALLERS}
        await _upload(database, secrets, clock)
        await _conclude_contracts(database, secrets, partner_ids, clock)
        await suspend_partner(database, CONSOLE, partner_ids["Ruhend"], next(clock))
        await _say_statuses(database, secrets, clock)
        await _publish_tariffs(database, secrets)
    finally:
        await database.close()
    return World(dsn, secrets, partner_ids)


def _ticks() -> Iterator[datetime]:
    now = BEGINNING
    while True:
        yield now
        now += timedelta(minutes=1)


async def _make_ids_predictable(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for number, table in enumerate(("partner", "api_key", "contract"), 1):
            await connection.execute(f"create sequence {table}_number; grant usage on {table}_number to ochub_runtime")
            id_ = f"('{number:08x}-0000-4000-8000-' || lpad(nextval('{table}_number')::text, 12, '0'))::uuid"
            await connection.execute(f"alter table {table} alter column id set default {id_}")
    finally:
        await connection.close()


# ---------------------------------------------------------------- partners, keys, contracts


async def _register_partners(database: Database, clock: Iterator[datetime]) -> dict[str, UUID]:
    roles: dict[str, list[RoleName]] = {}
    for partner, role, party_id in CALLERS.values():
        roles.setdefault(partner, []).append(RoleName(role, party_id))
    return {
        partner: await register_partner(database, CONSOLE, partner, names, next(clock), partner in OPEN)
        for partner, names in roles.items()
    }


async def _issue_key(database: Database, partner_ids: Mapping[str, UUID], caller: str, now: datetime) -> str:
    issued = await issue_key(database, CONSOLE, _party(partner_ids, caller), FAR_AWAY, now)
    return issued.secret


def _party(partner_ids: Mapping[str, UUID], caller: str) -> Party:
    partner, role, party_id = CALLERS[caller]
    return Party(partner_ids[partner], RoleName(role, party_id))


async def caller_behind(database: Database, secret: str) -> Caller:
    """Read from the database the caller of a secret."""
    caller = await Keys(database, trusted_s=0).verify(f"Bearer {secret}")
    assert caller is not None
    return caller


async def _conclude_contracts(
    database: Database, secrets: Mapping[str, str], partner_ids: Mapping[str, UUID], clock: Iterator[datetime]
) -> None:
    """Contracts in every state; Verborgen is seen through none of its own."""

    async def set_(one: str, other: str) -> UUID:
        sides = _party(partner_ids, one), _party(partner_ids, other)
        return await set_contract(database, CONSOLE, *sides, next(clock))

    async def propose(one: str, other: str) -> UUID:
        proposer = await caller_behind(database, secrets[one])
        sides = _party(partner_ids, one), _party(partner_ids, other)
        return await propose_contract(database, proposer, *sides, next(clock))

    for one, other in (
        ("wegweiser", "nordlicht"),
        ("mobilstrom", "wegweiser"),
        ("mobilstrom", "fjordlade"),
        ("parkraum", "nordlicht"),
    ):
        await set_(one, other)
    await propose("neuling", "nordlicht")
    declined = await propose("neuling", "mobilstrom")
    await decline_contract(database, await caller_behind(database, secrets["mobilstrom"]), declined, next(clock))
    suspended = await set_("mobilstrom", "verborgen")
    await suspend_contract(database, await caller_behind(database, secrets["verborgen"]), suspended, next(clock))
    ended = await set_("wegweiser", "verborgen")
    await end_contract(database, CONSOLE, ended, next(clock))


# ---------------------------------------------------------------- charge points


async def _upload(database: Database, secrets: Mapping[str, str], clock: Iterator[datetime]) -> None:
    for caller, charge_points in UPLOADS.items():
        behind = await caller_behind(database, secrets[caller])
        assert behind.party_id is not None
        owner = Owner(behind.partner_id, behind.role_id, behind.party_id)
        # One by one: every EVSE has its own time of change.
        for raw in charge_points:
            read = read_charge_point(raw, 0)
            items = [read] if isinstance(read, ChargePoint) else read
            await update_charge_points(database, items, owner, next(clock))
    await _put_register(database, next(clock))


async def _put_register(database: Database, now: datetime) -> None:
    """Put an operator and its EVSEs as a register's file brings them."""

    async def work(connection: Any) -> None:
        no = await connection.fetchval(
            "insert into operator (party_id, name, open, source, licence) values ('FRREG', 'Régie', true, $1, $2)"
            " returning no",
            SOURCE,
            LICENCE,
        )
        read = [read_charge_point(raw, 0, limits=REGISTER_LIMITS) for raw in REGISTER]
        items = {each.evse_id: item_of(each, 0, no, SOURCE) for each in read if isinstance(each, ChargePoint)}
        assert len(items) == len(REGISTER)
        await put(connection, items, now)

    await database.write(work)


async def _publish_tariffs(database: Database, secrets: Mapping[str, str]) -> None:
    """Publish at the beginning, before every other upload, so that the last one of a partner stays what it is."""
    for caller, tariffs in TARIFFS.items():
        behind = await caller_behind(database, secrets[caller])
        assert behind.party_id is not None
        read = [read_tariff(raw, 0) for raw in tariffs]
        items = [each for each in read if isinstance(each, Tariff)]
        assert len(items) == len(tariffs)
        await update_tariffs(database, items, Owner(behind.partner_id, behind.role_id, behind.party_id), BEGINNING)


async def _say_statuses(database: Database, secrets: Mapping[str, str], clock: Iterator[datetime]) -> None:
    """Push what stands for as long as the tests are run, a word after a word: each has its own time."""
    for caller, words in STATUSES:
        behind, now = await caller_behind(database, secrets[caller]), next(clock)
        assert behind.party_id is not None
        owner = Owner(behind.partner_id, behind.role_id, behind.party_id)
        hearing = Hearing(now, FAR_AWAY)
        evses = await read_evse_statuses(words.get("evses", ()), hearing)
        spots = await read_parking_statuses(words.get("parkingSpots", ()), hearing)
        day = timedelta(days=1)
        report = await update_status(database, evses, spots, owner, behind.role, now, day, longest=FAR_AWAY - now)
        assert not report.refused, report.refused


def evse(
    evse_id: str,
    location: str,
    latitude: float,
    longitude: float,
    *connectors: str,
    kw: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a charge point as `ChargePointInput`. A connector is written STANDARD/FORMAT, maybe with /TARIFF."""
    return {
        "evseId": evse_id,
        "locationId": location,
        "locationName": f"{location.capitalize()} ({evse_id})",
        "locationNameLanguage": "DEU",
        "address": {
            "houseNumber": "1",
            "address": f"{location.capitalize()}weg",
            "city": "Ulm",
            "zipCode": "89073",
            "country": "DEU",
        },
        "position": {"latitude": latitude, "longitude": longitude},
        "locationType": "ON_STREET",
        "authMethods": ["PUBLIC"],
        "connectors": [_connector(*text.split("/")) for text in connectors],
        "chargePointType": "AC",
        **({} if kw is None else {"ratings": {"maximumPowerKw": kw}}),
        **more,
    }


def _connector(standard: str, format_: str, tariff_id: str | None = None) -> dict[str, Any]:
    return {"standard": standard, "format": format_, "tariffId": tariff_id}


T2_SOCKET, T2_CABLE, CCS, CHADEMO = (
    "IEC_62196_T2/SOCKET",
    "IEC_62196_T2/CABLE",
    "IEC_62196_T2_COMBO/CABLE",
    "CHADEMO/CABLE",
)

#: E1 was charging and is free now, but both of its spots are taken. What was said of E4*1 has run out.
STATUSES: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("sonnenstrom", {"evses": [{"evseId": "DE*SON*E1", "major": "NOT_AVAILABLE", "minor": "CHARGING"}]}),
    ("sonnenstrom", {"evses": [{"evseId": "DE*SON*E1", "major": "AVAILABLE"}]}),
    ("sonnenstrom", {"parkingSpots": [{"parkingId": f"DE*PRK*P{n}", "status": "NOT_AVAILABLE"} for n in (1, 2)]}),
    ("sonnenstrom", {"evses": [{"evseId": "DE*SON*E2", "major": "AVAILABLE", "minor": "RESERVED"}]}),
    ("sonnenstrom", {"evses": [{"evseId": "DE*SON*E3", "major": "AVAILABLE"}]}),
    (
        "sonnenstrom",
        {"evses": [{"evseId": "DE*SON*E4*1", "major": "AVAILABLE", "ttl": "2024-03-05T00:00:00Z"}]},
    ),
    ("nordlicht", {"evses": [{"evseId": "DE*823*E1234*5678", "major": "NOT_AVAILABLE", "minor": "OUT_OF_ORDER"}]}),
    # Sonnenstrom has no contract with it.
    ("parkraum", {"parkingSpots": [{"parkingId": "DE*PRK*P1", "status": "AVAILABLE"}]}),
)

NIGHT = {"regularHours": [{"weekday": 7, "begin": "22:00", "end": "24:00"}], "end": "2199-01-01T00:00:00Z"}

#: Sonnenstrom has individual tariffs for two providers, Fjordlade one for itself.
TARIFFS: Mapping[str, Sequence[Any]] = {
    "sonnenstrom": [
        {
            "tariffId": "DE*SON*T1",
            "individualTariffs": [
                {
                    "currency": "EUR",
                    "elements": [
                        {"billingItem": "SERVICE_FEE", "itemPrice": "0.50", "stepSize": "1"},
                        {"billingItem": "ENERGY", "itemPrice": "0.39", "stepSize": "0", "restriction": NIGHT},
                        {"billingItem": "ENERGY", "itemPrice": "0.490", "stepSize": "0"},
                    ],
                },
                {
                    "recipients": ["DEMOB"],
                    "currency": "EUR",
                    "elements": [{"billingItem": "ENERGY", "itemPrice": "0.35", "stepSize": "0"}],
                },
                {
                    "recipients": ["NOFJO", "ZZZZZ"],
                    "currency": "NOK",
                    "elements": [{"billingItem": "USAGE_TIME", "itemPrice": "12", "stepSize": "0.25"}],
                },
            ],
        },
    ],
    "fjordlade": [
        {
            "tariffId": "NO*FJO*T1",
            "individualTariffs": [
                {
                    "currency": "NOK",
                    "elements": [{"billingItem": "ENERGY", "itemPrice": "4.0", "stepSize": "0"}],
                },
                {
                    "recipients": ["DEMOB"],
                    "currency": "NOK",
                    "elements": [{"billingItem": "ENERGY", "itemPrice": "3.5", "stepSize": "0"}],
                },
            ],
        }
    ],
}

EVERYTHING: Mapping[str, Any] = {
    "locationName": "Parkhaus am Münster „Süd“",
    "timestamp": "2024-02-29T23:59:58+01:00",
    "relatedLocations": [
        {"latitude": 48.3981, "longitude": 9.9916, "name": "Einfahrt", "type": "ENTRANCE"},
        {"latitude": 48.3979, "longitude": 9.9914, "type": "EXIT"},
    ],
    "timeZone": "Europe/Berlin",
    "openingTimes": {
        "regularHours": [
            {"weekday": 1, "begin": "06:00", "end": "24:00"},
            {"weekday": 2, "begin": "06:00", "end": "12:00"},
            {"weekday": 2, "begin": "13:30", "end": "22:00"},
        ],
        "exceptionalOpenings": [{"begin": "2024-12-24T08:00:00Z", "end": "2024-12-24T12:00:00Z"}],
        "exceptionalClosings": [{"begin": "2024-12-25T00:00:00+01:00", "end": "2024-12-27T00:00:00+01:00"}],
        "closedCharging": True,
    },
    "status": "OPERATIVE",
    "statusSchedule": [
        {"start": "2024-05-01T00:00:00Z", "end": "2024-05-02T00:00:00Z", "status": "INOPERATIVE"},
        {"start": "2030-01-01T00:00:00Z", "status": "CLOSED"},
    ],
    "telephoneNumber": "+49 731 000-0",
    "locationType": "UNDERGROUND_GARAGE",
    "parkingSpots": [
        {
            "parkingId": "DE*PRK*P1",
            "restrictions": ["EV_ONLY", "PLUGGED", "DISABLED"],
            "floorLevel": "-1",
            "number": "12",
        },
        {"parkingId": "DE*PRK*P2"},
    ],
    "restrictions": ["EV_ONLY", "PLUGGED"],
    "authMethods": ["PUBLIC", "DIRECT_CREDITCARD", "RFID_MIFARE_DES"],
    "ratings": {"maximumPowerKw": 22, "guaranteedPowerKw": 11, "nominalVoltageV": 400},
    "images": [
        {
            "uri": "https://sonnenstrom.example/logo.png",
            "class": "OPERATOR_LOGO",
            "type": "png",
            "width": 64,
            "height": 32,
        },
        {
            "uri": "https://sonnenstrom.example/1.jpeg",
            "thumbUri": "https://sonnenstrom.example/1s.jpeg",
            "class": "STATION_PHOTO",
            "type": "jpeg",
        },
    ],
    "relatedResources": [
        {"uri": 'https://sonnenstrom.example/?a=1&b="2"', "classes": ["STATION_INFO", "FEEDBACK_FORM"]}
    ],
    "userInterfaceLanguages": ["DEU", "ENG"],
    "maxReservationMinutes": 30,
}

SONNENSTROM: Sequence[Mapping[str, Any]] = (
    evse("DE*SON*E1", "MUENSTER", 48.398012, 9.991543, f"{T2_SOCKET}/DE*SON*T1", "DOMESTIC_F/SOCKET", **EVERYTHING),
    evse("de*son*e2", "MUENSTER", 48.398012, 9.991543, T2_CABLE, kw=43, status="PLANNED"),
    evse(
        "DESONE3",
        "MUENSTER",
        48.398012,
        9.991543,
        CCS,
        f"{CHADEMO}/DE*SON*T2",
        chargePointType="DC",
        openingTimes={"twentyfourseven": True},
        authMethods=["RFID_MIFARE_DES"],
    ),
    evse("+49*824*1", "X", 0, 0, T2_SOCKET),  # refused: another's party id
    evse(
        "DE*SON*E4*1",
        "BAHNHOF",
        48.399433,
        9.982911,
        T2_SOCKET,
        T2_SOCKET,
        kw=11,
        locationType="PARKING_LOT",
        restrictions=["CUSTOMERS"],
        parkingSpots=[{"parkingId": "DE*PRK*P3", "restrictions": ["CUSTOMERS"], "number": "3A"}],
    ),
    evse("DE*SON*E4*2", "BAHNHOF", 48.399433, 9.982911, CCS, kw=150, chargePointType="DC", locationType="PARKING_LOT"),
    evse("DE*SON*E5", "NULL ISLAND", 0, 0, T2_SOCKET, kw=3.7),
    evse("DE*SON*E6", "NULL ISLAND", 0, 0, T2_CABLE, kw=7.4),
    evse("DE*SON*E7", "EQUATOR", 0, 0.25, T2_SOCKET),
    evse("DE*SON*E8", "MERIDIAN", 0.24, 0, T2_SOCKET),
    evse("DE*SON*E9", "EAST 180", -16.8, 180, T2_SOCKET),
    evse("DE*SON*E10", "WEST 180", -16.8, -180, T2_CABLE),
    evse("DE*SON*E11", "FAR EAST", -16.8, 179.99, T2_SOCKET),
    evse("DE*SON*E12", "FAR WEST", -16.8, -179.99, T2_CABLE),
    evse("DE*SON*E13", "POLE", 90, 0, T2_SOCKET),
    evse("DE*SON*E14", "BESIDE THE POLE", 89.9999, 90, T2_SOCKET),
    evse("DE*SON*E15", "BEHIND THE POLE", 89.9998, -135, T2_SOCKET),
)

NORDLICHT: Sequence[Mapping[str, Any]] = (
    evse(
        "+49*823*1234*5678",
        "KAI",
        48.4002,
        9.9921,
        CCS,
        kw=300,
        chargePointType="DC",
        authMethods=["IEC_15118", "PUBLIC"],
    ),
    evse("DE*823*E2", "KAI", 48.4002, 9.9921, CHADEMO, kw=50, chargePointType="DC", restrictions=["DISABLED"]),
    evse("DE*823*E3", "HOF", 48.4102, 9.9721, T2_SOCKET, "IEC_62196_T2_COMBO/SOCKET", kw=22, locationType="PRIVATE"),
    evse("DE*823*E4", "HOF", 48.4102, 9.9721, T2_CABLE, kw=22, locationType="PRIVATE", status="CLOSED"),
    evse("DE*823*E5", "HOF", 48.5, 9.9, T2_CABLE),  # refused: its location stands elsewhere
)

FJORDLADE: Sequence[Mapping[str, Any]] = (
    evse("NO*FJO*E1", "BRO", 48.3951, 9.9901, T2_SOCKET, kw=22, locationNameLanguage="NOR"),
    evse("NO*FJO*E2", "BRO", 48.3951, 9.9901, CCS, CHADEMO, T2_CABLE, kw=120, chargePointType="DC"),
)

VERBORGEN: Sequence[Mapping[str, Any]] = (
    evse("DE*VER*E1", "MUENSTER", 48.398, 9.9915, T2_SOCKET, kw=22),
    evse("DE*VER*E2", "MUENSTER", 48.398, 9.9915, CCS, kw=350, chargePointType="DC"),
    evse("DE*VER*E0*", "", 48.398, 9.9915),  # refused: twice
)

UPLOADS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "sonnenstrom": SONNENSTROM,
    "nordlicht": NORDLICHT,
    "fjordlade": FJORDLADE,
    "verborgen": VERBORGEN,
    "ruhend": (evse("DE*RUH*E1", "RUHE", 48.3981, 9.9917, T2_SOCKET, kw=22),),
}

REGISTER: Sequence[Mapping[str, Any]] = (
    evse(
        "FR*REG*E1",
        "GARE",
        48.3975,
        9.9935,
        "DOMESTIC_E/SOCKET",
        T2_SOCKET,
        kw=7,
        authMethods=[],
        address={"address": "Place de la Gare, 89073 Ulm", "country": "FRA"},
        locationNameLanguage="FRA",
    ),
    evse(
        "FR*REG*E2",
        "MAIRIE",
        48.3965,
        9.9945,
        T2_CABLE,
        authMethods=[],
        locationType="UNKNOWN",
        address={"address": "Hôtel de Ville", "country": "FRA"},
        locationNameLanguage="FRA",
    ),
)
