"""Charge points from records to tables: what goes in, what stays out, what moves."""

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import Database
from app.db.staging import stored_columns
from app.db.tables import evse
from app.ingest.charge_points import location_agreement as places
from app.ingest.charge_points import updates as charge_points
from app.ingest.charge_points.location_agreement import AgreedPlace, LocationKey, Placement, find_mismatches
from app.ingest.charge_points.rows import content_of, hash_of, time_zone_at
from app.ingest.charge_points.updates import (
    NotItsOperator,
    Owner,
    Report,
    item_of,
    remove_charge_points,
    update_charge_points,
)
from app.records.base import Point
from app.records.charge_point import (
    ChargePoint,
    Connector,
    EvseParkingSpot,
    Image,
    OpeningTimes,
    Period,
    Read,
    RegularHours,
    RelatedLocation,
    RelatedResource,
    StatusPeriod,
)
from app.uploads.checks import Refusal
from app.vocabulary import (
    AuthMethod,
    ChargePointStatus,
    ConnectorFormat,
    ConnectorStandard,
    ImageClass,
    RelatedLocationType,
    RelatedResourceClass,
    Restriction,
    connector_mask,
    mask_of,
)
from tests.ingest.world import (
    LYON,
    MONDAY,
    SQUARE,
    TUESDAY,
    ULM,
    WEDNESDAY,
    World,
    charge_point,
    contradictions,
    evse_ids,
    make_owner,
    make_world,
    rows_by_id,
    waiting_behind,
)
from tests.length import rounds
from tests.waiting import until_locked_out


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


async def upload(world: World, *items: Read, owner: Owner | None = None, now: datetime = MONDAY) -> Report:
    return await update_charge_points(world.database, items, owner or world.german, now)


def counts(report: Report) -> tuple[int, int, int, list[str]]:
    return report.accepted, report.unchanged, report.removed, [each.code for each in report.refused]


FULL = charge_point(
    "DE8ACE1",
    evse_id_as_sent="de*8ac*e1",
    timestamp=MONDAY,
    related_locations=(RelatedLocation(latitude=48.4, longitude=9.99, name="Hof", type=RelatedLocationType.ENTRANCE),),
    opening_times=OpeningTimes(
        regular_hours=(RegularHours(weekday=1, begin="08:00", end="24:00"),),
        exceptional_closings=(Period(begin=MONDAY, end=TUESDAY),),
    ),
    status=ChargePointStatus.OPERATIVE,
    status_schedule=(StatusPeriod(start=TUESDAY, status=ChargePointStatus.CLOSED),),
    telephone_number="+49 731 1",
    restrictions=(Restriction.CUSTOMERS, Restriction.EV_ONLY),
    auth_methods=(AuthMethod.OPERATOR_AUTH, AuthMethod.PUBLIC),
    connectors=(
        Connector(standard=ConnectorStandard.IEC_62196_T2_COMBO, format=ConnectorFormat.CABLE, tariff_id="DE8ACT1"),
        Connector(standard=ConnectorStandard.DOMESTIC_F, format=ConnectorFormat.SOCKET),
    ),
    parking_spots=(
        EvseParkingSpot(parking_id="DE8ACP1", restrictions=(Restriction.DISABLED,), floor_level="-1"),
        EvseParkingSpot(parking_id="DE8ACP2", number="12"),
    ),
    images=(Image(uri="https://x.example/a.png", class_=ImageClass.OPERATOR_LOGO, type="png"),),
    related_resources=(RelatedResource(uri="https://x.example", classes=(RelatedResourceClass.FEEDBACK_FORM,)),),
    user_interface_languages=("DEU", "FRA"),
    max_reservation_minutes=30,
)


#: A record that no reader lets through; the database's own checks do not either.
NOWHERE = charge_point("DE8ACE9", position=Point(latitude=91.0, longitude=0.0))


# ---------------------------------------------------------------- what is stored


async def test_stores_a_charge_point_whole(world: World) -> None:
    assert counts(await upload(world, FULL)) == (1, 0, 0, [])
    row = (await rows_by_id(world.database))["DE8ACE1"]
    expected: dict[str, Any] = {
        "evse_id_as_sent": "de*8ac*e1",
        "operator_no": world.german.operator_no,
        "longitude": ULM.longitude,
        "latitude": ULM.latitude,
        "house_number": "1",
        "address": "Münsterplatz",
        "location_name": "Am Münster",
        "time_zone": "Europe/Berlin",
        "timestamp": MONDAY,
        "restrictions": mask_of((Restriction.EV_ONLY, Restriction.CUSTOMERS), Restriction),
        "auth_methods": mask_of((AuthMethod.PUBLIC, AuthMethod.OPERATOR_AUTH), AuthMethod),
        "static_status": "OPERATIVE",
        "connector_mask": connector_mask((each.standard, each.format) for each in FULL.connectors),
        "connector_standards": ["IEC_62196_T2_COMBO", "DOMESTIC_F"],
        "connector_formats": ["CABLE", "SOCKET"],
        "connector_tariff_ids": ["DE8ACT1", None],
        "parking_ids": ["DE8ACP1", "DE8ACP2"],
        "parking_restrictions": [mask_of((Restriction.DISABLED,), Restriction), 0],
        "parking_floor_levels": ["-1", None],
        "parking_numbers": [None, "12"],
        "user_interface_languages": ["DEU", "FRA"],
        "maximum_power_kw": 22.0,
        "source": None,
        "updated_at": MONDAY,
    }
    assert {name: row[name] for name in expected} == expected


async def test_writes_documents_in_the_shape_of_the_api(world: World) -> None:
    await upload(world, FULL)
    row = (await rows_by_id(world.database))["DE8ACE1"]
    assert row["opening_times"] == {
        "twentyfourseven": None,
        "regularHours": [{"weekday": 1, "begin": "08:00", "end": "24:00"}],
        "exceptionalOpenings": [],
        "exceptionalClosings": [{"begin": "2026-03-02T12:00:00Z", "end": "2026-03-03T12:00:00Z"}],
        "closedCharging": None,
    }
    assert row["status_schedule"] == [{"start": "2026-03-03T12:00:00Z", "end": None, "status": "CLOSED"}]
    assert row["related_locations"] == [{"latitude": 48.4, "longitude": 9.99, "name": "Hof", "type": "ENTRANCE"}]
    assert row["images"] == [
        {
            "uri": "https://x.example/a.png",
            "thumbUri": None,
            "class": "OPERATOR_LOGO",
            "type": "png",
            "width": None,
            "height": None,
        }
    ]
    assert row["related_resources"] == [{"uri": "https://x.example", "classes": ["FEEDBACK_FORM"]}]


def test_fills_every_column_that_the_database_does_not_compute() -> None:
    row = item_of(FULL, 0, 1).row
    assert {*row, "updated_at"} == {column.name for column in stored_columns(evse)}


@pytest.mark.parametrize(
    ("position", "zone"),
    [
        (LYON, "Europe/Paris"),
        (Point(latitude=5.55, longitude=0.0), "Africa/Accra"),
        (Point(latitude=45.0, longitude=-30.0), None),
        (Point(latitude=0.0, longitude=0.0), None),
    ],
)
def test_derives_the_time_zone_on_land_only(position: Point, zone: str | None) -> None:
    assert time_zone_at(position.longitude, position.latitude) == zone


async def test_prefers_the_time_zone_that_was_sent(world: World) -> None:
    await upload(world, charge_point("DE8ACE1", time_zone="Europe/Busingen"))
    [row] = (await rows_by_id(world.database)).values()
    assert row["time_zone"] == "Europe/Busingen"


# ---------------------------------------------------------------- the hash


def _hash(record: ChargePoint, source: str | None = None) -> bytes:
    return hash_of(content_of(record, source))


CHANGES: list[dict[str, Any]] = [
    {"evse_id": "DE8ACE2"},
    {"evse_id_as_sent": "DE8ACE1"},
    {"location_id": "L2"},
    {"timestamp": TUESDAY},
    {"location_name": "Am Munster"},
    {"location_name_language": "FRA"},
    {"address": msgspec.structs.replace(SQUARE, house_number=None)},
    {"position": Point(latitude=48.398013, longitude=9.991543)},
    {"related_locations": ()},
    {"time_zone": "Europe/Paris"},
    {"opening_times": None},
    {"status": None},
    {"status_schedule": ()},
    {"telephone_number": None},
    {"location_type": "OTHER"},
    {"parking_spots": FULL.parking_spots[::-1]},
    {"restrictions": ()},
    {"auth_methods": (AuthMethod.PUBLIC,)},
    {"connectors": FULL.connectors[::-1]},
    {"charge_point_type": "DC"},
    {"ratings": None},
    {"images": ()},
    {"related_resources": ()},
    {"user_interface_languages": ()},
    {"max_reservation_minutes": None},
]


def test_tries_a_change_of_every_field() -> None:
    assert {name for change in CHANGES for name in change} == set(ChargePoint.__struct_fields__)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_hashes_every_field(change: dict[str, Any]) -> None:
    raw = msgspec.to_builtins(FULL) | msgspec.to_builtins(
        {
            ChargePoint.__struct_encode_fields__[ChargePoint.__struct_fields__.index(name)]: value
            for name, value in change.items()
        }
    )
    assert _hash(msgspec.convert(raw, ChargePoint)) != _hash(FULL)


def test_hashes_where_it_came_from() -> None:
    assert _hash(FULL, "register") != _hash(FULL)


def test_hashes_what_is_meant_not_how_it_is_written() -> None:
    alike = msgspec.structs.replace(
        FULL,
        timestamp=MONDAY.astimezone(timezone(timedelta(hours=2))),
        restrictions=FULL.restrictions[::-1],
        auth_methods=FULL.auth_methods[::-1],
        position=Point(latitude=48.3980120001, longitude=9.991543),
    )
    assert _hash(alike) == _hash(FULL)
    at_zero = charge_point("DE8ACE1", position=Point(latitude=0.0, longitude=0.0))
    below_zero = charge_point("DE8ACE1", position=Point(latitude=-0.0, longitude=-0.0000001))
    assert _hash(at_zero) == _hash(below_zero)


@pytest.mark.process
def test_hashes_alike_in_every_process() -> None:
    script = "from tests.ingest.test_charge_points import FULL, _hash\nprint(_hash(FULL).hex())"
    found = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {_hash(FULL).hex()}


# ---------------------------------------------------------------- twice, in part


async def test_says_unchanged_and_touches_nothing_when_the_same_comes_again(world: World) -> None:
    await upload(world, FULL, charge_point("DE8ACE2"))
    before = await rows_by_id(world.database)
    locations = await world.database.fetch("select *, xmin::text from location")
    assert counts(await upload(world, FULL, charge_point("DE8ACE2"), now=TUESDAY)) == (0, 2, 0, [])
    assert await rows_by_id(world.database) == before
    assert await world.database.fetch("select *, xmin::text from location") == locations


async def test_writes_only_what_says_something_new(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"), charge_point("DE8ACE2"))
    before = await rows_by_id(world.database)
    report = await upload(
        world, charge_point("DE8ACE1"), charge_point("DE8ACE2", max_reservation_minutes=5), now=TUESDAY
    )
    assert counts(report) == (1, 1, 0, [])
    after = await rows_by_id(world.database)
    assert after["DE8ACE1"] == before["DE8ACE1"]
    assert (after["DE8ACE2"]["max_reservation_minutes"], after["DE8ACE2"]["updated_at"]) == (5, TUESDAY)


async def test_leaves_charge_points_alone_that_an_upload_does_not_name(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"), charge_point("DE8ACE2"))
    await upload(world, charge_point("FRA23E1", position=LYON), owner=world.french)
    before = await rows_by_id(world.database)
    await upload(world, charge_point("DE8ACE3"), now=TUESDAY)
    after = await rows_by_id(world.database)
    assert {evse_id: after[evse_id] for evse_id in before} == before
    assert list(after) == ["DE8ACE1", "DE8ACE2", "DE8ACE3", "FRA23E1"]


async def test_takes_the_good_part_of_an_upload(world: World) -> None:
    flaws = [
        Refusal(path=f"chargePoints[1].{field}", index=1, id="x", code="REQUIRED", message="it is required")
        for field in ("address", "evseId")
    ]
    report = await upload(world, charge_point("DE8ACE1"), *flaws, charge_point("FRA23E1"), charge_point("DE8ACE2"))
    assert counts(report) == (2, 0, 0, ["REQUIRED", "REQUIRED", "INVALID_ID"])
    assert [(each.path, each.index) for each in report.refused] == [
        ("chargePoints[1].address", 1),
        ("chargePoints[1].evseId", 1),
        ("chargePoints[2].evseId", 2),
    ]
    assert await evse_ids(world.database) == ["DE8ACE1", "DE8ACE2"]


async def test_takes_an_empty_upload(world: World) -> None:
    assert counts(await upload(world)) == (0, 0, 0, [])


async def test_lets_the_last_of_several_items_for_one_evse_count(world: World) -> None:
    first, last = charge_point("DE8ACE1", max_reservation_minutes=1), charge_point("DE8ACE1", max_reservation_minutes=2)
    report = await upload(world, first, charge_point("DE8ACE2"), last)
    assert counts(report) == (2, 0, 0, ["DUPLICATE"])
    assert (report.refused[0].path, report.refused[0].id) == ("chargePoints[0].evseId", "DE*8AC*E1")
    assert "chargePoints[2]" in report.refused[0].message
    assert (await rows_by_id(world.database))["DE8ACE1"]["max_reservation_minutes"] == 2


async def test_survives_a_transaction_that_failed_on_the_same_connection(world: World) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="position"):
        await upload(world, charge_point("DE8ACE1", location_id="L2"), NOWHERE)
    assert await evse_ids(world.database) == []
    assert counts(await upload(world, charge_point("DE8ACE1"))) == (1, 0, 0, [])


# ---------------------------------------------------------------- whose it is


async def test_refuses_a_foreign_party_id_whether_or_not_the_thing_exists(world: World) -> None:
    await upload(world, charge_point("FRA23E1", position=LYON), owner=world.french)
    there, not_there = charge_point("FRA23E1"), charge_point("FRA23E2")
    report = await upload(world, there, not_there)
    assert counts(report) == (0, 0, 0, ["INVALID_ID", "INVALID_ID"])
    first, second = (each.message for each in report.refused)
    assert first.replace("E1", "E2") == second
    assert (await rows_by_id(world.database))["FRA23E1"]["longitude"] == LYON.longitude


async def test_finds_the_operator_of_a_role_by_itself(world: World) -> None:
    known = world.german
    owner = Owner(known.partner_id, known.role_id, known.party_id)
    assert counts(await upload(world, charge_point("DE8ACE1"), owner=owner)) == (1, 0, 0, [])
    [row] = (await rows_by_id(world.database)).values()
    assert row["operator_no"] == known.operator_no


@pytest.mark.parametrize("operator_no", [None, "french"])
async def test_refuses_a_role_that_does_not_hold_the_operator(world: World, operator_no: str | None) -> None:
    number = world.french.operator_no if operator_no else None
    stranger = Owner(world.german.partner_id, 12345, "FRA23", number)
    with pytest.raises(NotItsOperator, match=r"FR\*A23"):
        await upload(world, charge_point("FRA23E1"), owner=stranger)
    with pytest.raises(NotItsOperator, match=r"FR\*A23"):
        await remove_charge_points(world.database, ["FRA23E1"], stranger, MONDAY)


# ---------------------------------------------------------------- locations


async def location_of(world: World, location_id: str = "L1") -> Mapping[str, Any] | None:
    rows = await world.database.fetch("select * from location where location_id = $1", location_id)
    return dict(rows[0]) if rows else None


async def test_shows_the_words_of_the_most_recently_updated_evse(world: World) -> None:
    await upload(world, charge_point("DE8ACE2", location_name="two"), charge_point("DE8ACE1", location_name="one"))
    assert (await location_of(world) or {})["location_name"] == "one"
    await upload(world, charge_point("DE8ACE2", location_name="two again"), now=TUESDAY)
    assert (await location_of(world) or {})["location_name"] == "two again"
    await upload(world, charge_point("DE8ACE3", location_name="late news of old"), now=MONDAY)
    assert (await location_of(world) or {})["location_name"] == "two again"
    await remove_charge_points(world.database, ["DE8ACE2"], world.german, WEDNESDAY)
    assert (await location_of(world) or {})["location_name"] == "one"
    assert await contradictions(world.database) == []


async def test_leaves_a_location_alone_whose_words_stay_the_same(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"))
    before = await location_of(world)
    await upload(world, charge_point("DE8ACE1", max_reservation_minutes=5), charge_point("DE8ACE2"), now=TUESDAY)
    assert await location_of(world) == before


async def test_removes_a_location_with_its_last_evse(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"), charge_point("DE8ACE2"))
    await upload(world, charge_point("DE8ACE1", location_id="L2"), now=TUESDAY)
    assert await location_of(world) is not None
    assert await location_of(world, "L2") is not None
    await upload(world, charge_point("DE8ACE2", location_id="L2"), now=WEDNESDAY)
    assert await location_of(world) is None
    assert await contradictions(world.database) == []


async def test_keeps_equal_location_ids_of_two_operators_apart(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"))
    report = await upload(world, charge_point("FRA23E1", position=LYON), owner=world.french)
    assert counts(report) == (1, 0, 0, [])
    assert await contradictions(world.database) == []


ELSEWHERE = Point(latitude=48.398012, longitude=9.991544)


async def test_refuses_an_evse_at_odds_with_those_that_stay(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"))
    other_street = msgspec.structs.replace(SQUARE, address="Hirschstraße")
    report = await upload(
        world, charge_point("DE8ACE2", position=ELSEWHERE), charge_point("DE8ACE3", address=other_street)
    )
    assert counts(report) == (0, 0, 0, ["LOCATION_MISMATCH", "LOCATION_MISMATCH"])
    assert [each.path for each in report.refused] == ["chargePoints[0].position", "chargePoints[1].address"]
    assert report.refused[0].message == (
        "location L1: it is at Münsterplatz 1, 89073 Ulm, DEU at 48.398012, 9.991543 (DE*8AC*E1),"
        " this item says Münsterplatz 1, 89073 Ulm, DEU at 48.398012, 9.991544;"
        " EVSEs of one location agree on address and coordinates, so move all of them in one upload"
    )


async def test_sees_no_difference_beyond_the_sixth_decimal(world: World) -> None:
    nearly = Point(latitude=ULM.latitude + 4e-7, longitude=ULM.longitude - 4e-7)
    assert counts(await upload(world, charge_point("DE8ACE1"), charge_point("DE8ACE2", position=nearly))) == (
        2,
        0,
        0,
        [],
    )


async def test_moves_a_location_with_an_upload_that_names_all_its_evses(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"), charge_point("DE8ACE2"))
    await upload(world, charge_point("FRA23E1"), owner=world.french)
    partly = await upload(world, charge_point("DE8ACE1", position=LYON), now=TUESDAY)
    assert counts(partly) == (0, 0, 0, ["LOCATION_MISMATCH"])
    both = [charge_point(evse_id, position=LYON) for evse_id in ("DE8ACE1", "DE8ACE2")]
    assert counts(await upload(world, *both, now=TUESDAY)) == (2, 0, 0, [])
    assert (await location_of(world) or {})["time_zone"] is not None
    assert await contradictions(world.database) == []


async def test_lets_the_most_frequent_word_of_a_new_location_stand(world: World) -> None:
    report = await upload(
        world,
        charge_point("DE8ACE1", position=LYON),
        charge_point("DE8ACE2"),
        charge_point("DE8ACE3"),
        charge_point("DE8ACE4", position=LYON, location_id="L2"),
        charge_point("DE8ACE5", location_id="L2"),
    )
    assert counts(report) == (3, 0, 0, ["LOCATION_MISMATCH"] * 2)
    assert [each.index for each in report.refused] == [0, 4]
    assert "most EVSEs of this upload" in report.refused[0].message
    assert await contradictions(world.database) == []


async def test_lets_a_refused_evse_hold_the_location_it_was_to_leave(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"), charge_point("DE8ACE2", location_id="L2", position=LYON))
    report = await upload(
        world,
        charge_point("DE8ACE3", position=LYON),  # fits only if E1 really leaves L1
        charge_point("DE8ACE1", location_id="L2"),  # at odds with E2, which stays there
        now=TUESDAY,
    )
    assert counts(report) == (0, 0, 0, ["LOCATION_MISMATCH"] * 2)
    assert await evse_ids(world.database) == ["DE8ACE1", "DE8ACE2"]
    assert await contradictions(world.database) == []


async def test_lets_an_evse_that_stays_outvote_those_that_go(world: World) -> None:
    await upload(world, *(charge_point(f"DE8ACE{n}") for n in (1, 2, 3)))
    moved = [charge_point(f"DE8ACE{n}", position=LYON) for n in (1, 2)]
    report = await upload(world, *moved, charge_point("DE8ACE3"), charge_point("DE8ACE4"), now=TUESDAY)
    assert counts(report) == (1, 1, 0, ["LOCATION_MISMATCH"] * 2)
    assert await contradictions(world.database) == []


def test_decides_a_long_chain_of_moves_in_no_time() -> None:
    """Each EVSE takes the place of the next; the last cannot go, so none can. Quadratic work would take minutes."""
    here = tuple(SQUARE.__struct_fields__)
    keys = [LocationKey(1, f"L{n}") for n in range(40_000)]

    def place(n: int) -> Any:
        return (float(n), 0.0, *here)

    before = {f"E{n}": Placement(key, place(n)) for n, key in enumerate(keys)}
    wanted = {f"E{n}": Placement(keys[n + 1], place(n)) for n in range(len(keys) - 1)}
    standing = {keys[-1]: AgreedPlace(place(len(keys) - 1), f"E{len(keys) - 1}")}
    assert set(find_mismatches(wanted, before, standing)) == set(wanted)


# ---------------------------------------------------------------- locations, any sequence of uploads

EVSES = [f"DE8ACE{n}" for n in range(6)]
LOCATIONS = ["L1", "L2", "L3"]
POSITIONS = [ULM, LYON, ELSEWHERE]

Stated = tuple[str, str, Point]  # EVSE, location, position
State = dict[str, tuple[str, Point]]

stated = st.tuples(st.sampled_from(EVSES), st.sampled_from(LOCATIONS), st.sampled_from(POSITIONS))
uploads = st.lists(stated, min_size=1, max_size=8)
removals = st.sets(st.sampled_from(EVSES), min_size=1, max_size=3)
steps = st.lists(st.one_of(uploads, uploads, removals), min_size=1, max_size=6)


def refused_by_the_rule(state: State, upload_: Sequence[Stated]) -> set[str]:
    """Return in the plainest way which EVSEs of an upload are refused: find one cause, refuse, begin again."""
    wanted = {evse_id: (location, position) for evse_id, location, position in upload_}
    refused: set[str] = set()
    while found := _cause(state, wanted, refused):
        refused |= found
    return refused


def _cause(state: State, wanted: State, refused: set[str]) -> set[str]:
    going_in = {evse_id: each for evse_id, each in wanted.items() if evse_id not in refused}
    after = {**state, **going_in}
    for evse_id, (location, position) in going_in.items():
        for other, stays in state.items():
            if after[other] == stays and stays[0] == location and stays[1] != position:
                return {evse_id}
    for location in dict.fromkeys(location for location, _ in wanted.values()):
        said = [position for where, position in going_in.values() if where == location]
        if len(set(said)) > 1:
            most = max(said.count(position) for position in said)
            winner = next(position for position in said if said.count(position) == most)
            return {e for e, (where, position) in going_in.items() if where == location and position != winner}
    return set()


def in_order(upload_: Sequence[Stated]) -> list[Stated]:
    """Keep the last item of each EVSE, in the order of the upload."""
    last = {evse_id: index for index, (evse_id, *_) in enumerate(upload_)}
    return [each for index, each in enumerate(upload_) if last[each[0]] == index]


class Twins:
    """The tables and a dictionary, told the same things."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.state: State = {}

    async def begin(self) -> None:
        await self.world.database.write(_empty)

    async def take(self, step: Sequence[Stated] | set[str], now: datetime) -> None:
        if isinstance(step, set):
            await self._remove(step, now)
        else:
            await self._upload(step, now)
        stored = await self.world.database.fetch("select evse_id, location_id, longitude, latitude from evse")
        found = {row[0]: (row[1], Point(longitude=row[2], latitude=row[3])) for row in stored}
        assert found == self.state
        assert await contradictions(self.world.database) == []

    async def _upload(self, step: Sequence[Stated], now: datetime) -> None:
        items = [
            charge_point(each, location_id=where, position=at, location_name=f"{each} {now}")
            for each, where, at in step
        ]
        report = await upload(self.world, *items, now=now)
        refused = refused_by_the_rule(self.state, in_order(step))
        codes = Counter(each.code for each in report.refused)
        assert {items[each.index].evse_id for each in report.refused if each.code == "LOCATION_MISMATCH"} == refused
        assert codes["DUPLICATE"] == len(step) - len(in_order(step))
        assert report.accepted + report.unchanged + len(report.refused) == len(items)
        self.state |= {each: (where, at) for each, where, at in in_order(step) if each not in refused}

    async def _remove(self, step: set[str], now: datetime) -> None:
        report = await remove_charge_points(self.world.database, sorted(step), self.world.german, now)
        assert report.removed == len(step & self.state.keys())
        assert len(report.refused) == len(step - self.state.keys())
        self.state = {evse_id: each for evse_id, each in self.state.items() if evse_id not in step}


async def _empty(connection: Any) -> None:
    await connection.execute("delete from evse")
    await connection.execute("delete from location")


@settings(
    max_examples=rounds(15, full=60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sequence=steps)
async def test_keeps_every_location_in_agreement_whatever_comes(world: World, sequence: list[Any]) -> None:
    twins = Twins(world)
    await twins.begin()
    for day, step in enumerate(sequence):
        await twins.take(step, MONDAY + timedelta(days=day))


@settings(max_examples=rounds(300, full=2_000))
@given(before=st.lists(stated, max_size=8), upload_=uploads)
def test_refuses_what_the_rule_refuses(before: list[Stated], upload_: list[Stated]) -> None:
    state = consistent(before)
    assert decided(state, upload_) == refused_by_the_rule(state, in_order(upload_))


def consistent(said: Sequence[Stated]) -> State:
    """Create a possible state: the first EVSE of a location decides where it is."""
    at: dict[str, Point] = {}
    return {evse_id: (location, at.setdefault(location, position)) for evse_id, location, position in said}


def decided(state: State, upload_: Sequence[Stated]) -> set[str]:
    """Apply the hub's own rule, without a database."""

    def placement(location: str, position: Point) -> Placement:
        return Placement(LocationKey(1, location), (position.longitude, position.latitude, None, "", None, None, ""))

    wanted = {evse_id: placement(location, position) for evse_id, location, position in in_order(upload_)}
    before = {evse_id: placement(*each) for evse_id, each in state.items()}
    staying = {
        each.location: AgreedPlace(each.place, evse_id) for evse_id, each in before.items() if evse_id not in wanted
    }
    known = {evse_id: each for evse_id, each in before.items() if evse_id in wanted}
    return set(find_mismatches(wanted, known, staying))


async def test_would_be_caught_without_the_consequences_of_refusals(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken twin: it ignores what a refused EVSE, staying where it was, means for the other EVSEs."""
    whole = places.find_mismatches
    monkeypatch.setattr(charge_points, "find_mismatches", lambda wanted, before, standing: whole(wanted, {}, standing))
    twins = Twins(world)
    await twins.take([(EVSES[0], "L1", ULM), (EVSES[1], "L2", LYON)], MONDAY)
    with pytest.raises(AssertionError):
        await twins.take([(EVSES[2], "L1", LYON), (EVSES[0], "L2", ULM)], TUESDAY)
    assert [each["what"] for each in await contradictions(world.database)] != []


# ---------------------------------------------------------------- removing


async def test_removes_by_every_spelling(world: World) -> None:
    await upload(world, *(charge_point(f"DE8ACE{n}") for n in (1, 2, 3)), charge_point("DE8ACE4*5"))
    report = await remove_charge_points(
        world.database, ["de*8ac*e1", "DE8ACE2", "DE*8AC*E4*5", "de8ace2"], world.german, TUESDAY
    )
    assert counts(report) == (0, 1, 3, [])
    assert await evse_ids(world.database) == ["DE8ACE3"]
    assert await contradictions(world.database) == []


async def test_refuses_to_remove_what_is_unknown_or_foreign_with_the_same_words(world: World) -> None:
    await upload(world, charge_point("FRA23E1"), owner=world.french)
    await upload(world, charge_point("DE8ACE1"))
    ids = ["DE8ACE1", "FRA23E1", "FRA23E2", "DE8ACE2", "nonsense", None, 7, "\x00\ud800"]
    report = await remove_charge_points(world.database, ids, world.german, TUESDAY)
    assert counts(report) == (0, 0, 1, ["INVALID_ID"] * 7)
    assert [(each.path, each.index) for each in report.refused] == [(f"evseIds[{n}]", n) for n in range(1, 8)]
    foreign, unknown_foreign, unknown = (each.message for each in report.refused[:3])
    assert foreign == "FR*A23*E1 is no charge point of DE*8AC"
    assert unknown_foreign == "FR*A23*E2 is no charge point of DE*8AC"
    assert unknown == "DE*8AC*E2 is no charge point of DE*8AC"
    assert await evse_ids(world.database) == ["FRA23E1"]
    await world.database.fetch("select 1")


# ---------------------------------------------------------------- refusals kept


async def kept(world: World, owner: Owner) -> list[tuple[str, int, str]]:
    rows = await world.database.fetch_private(
        owner.partner_id, False, "select operation, index, code from refusal order by id"
    )
    return [tuple(row) for row in rows]


async def test_keeps_refusals_for_the_partner_alone(world: World) -> None:
    await upload(world, charge_point("FRA23E1"), charge_point("DE8ACE1"))
    await remove_charge_points(world.database, ["x\x00\ud800"], world.german, TUESDAY)
    assert await kept(world, world.german) == [
        ("updateChargePointList", 0, "INVALID_ID"),
        ("removeChargePoints", 0, "INVALID_ID"),
    ]
    assert await kept(world, world.french) == []
    [row] = await world.database.fetch_private(
        world.german.partner_id, False, "select last_upload_at from partner where id = $1", world.german.partner_id
    )
    assert row["last_upload_at"] == TUESDAY


async def test_keeps_the_newest_refusals_only(world: World) -> None:
    for _ in range(3):
        foreign = [charge_point(f"FRA23E{n}") for n in range(4)]
        report = await update_charge_points(world.database, foreign, world.german, MONDAY, refusals_kept=6)
        assert len(report.refused) == 4
    assert [index for _, index, _ in await kept(world, world.german)] == [2, 3, 0, 1, 2, 3]
    many = [charge_point(f"FRA23E{n}") for n in range(10)]
    await update_charge_points(world.database, many, world.german, MONDAY, refusals_kept=6)
    assert [index for _, index, _ in await kept(world, world.german)] == [4, 5, 6, 7, 8, 9]


async def test_keeps_no_refusal_of_an_upload_that_failed(world: World) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="position"):
        await upload(world, charge_point("FRA23E1"), NOWHERE)
    assert await kept(world, world.german) == []


# ---------------------------------------------------------------- many at once


async def test_takes_twenty_uploads_of_one_operator_at_once(world: World) -> None:
    """All move the same location, each elsewhere: the last upload wins, and no transactions deadlock."""

    async def move(n: int) -> Report:
        position = Point(latitude=48.0 + n / 100, longitude=9.0)
        items = [charge_point(f"DE8ACE{k}", position=position, max_reservation_minutes=n + 1) for k in range(30)]
        return await upload(world, *(items if n % 2 else items[::-1]), now=MONDAY + timedelta(seconds=n))

    reports = await asyncio.gather(*(move(n) for n in range(20)))
    assert [counts(report) for report in reports] == [(30, 0, 0, [])] * 20
    assert await contradictions_of_place(world) == []


async def test_waits_for_whoever_writes_the_same_operator(world: World) -> None:
    await upload(world, charge_point("DE8ACE1"))
    assert world.german.operator_no is not None
    for work in (
        upload(world, charge_point("DE8ACE2")),
        remove_charge_points(world.database, ["DE8ACE1"], world.german, TUESDAY),
    ):
        before = await evse_ids(world.database)
        async with waiting_behind(world.database, world.german.operator_no) as watcher:
            task = asyncio.create_task(work)
            other = await upload(world, charge_point("FRA23E1"), owner=world.french)
            await until_locked_out(watcher, task=task)
            assert not task.done()
            assert other.accepted + other.unchanged == 1
        await task
        assert await evse_ids(world.database) != before


async def test_locks_the_partner_before_the_operator(world: World) -> None:
    """As suspending a partner does; the other way round the two could wait for each other."""
    owner = world.german
    async with world.database.writes.acquire() as connection, connection.transaction():
        await connection.execute("set local role none")  # which may see the waits of other sessions
        await connection.execute("select from partner where id = $1 for update", owner.partner_id)
        task = asyncio.create_task(upload(world, charge_point("DE8ACE1")))
        await until_locked_out(connection, task=task)
        assert not task.done()
        await connection.execute("select from operator where no = $1 for update nowait", owner.operator_no)
    assert counts(await task) == (1, 0, 0, [])


async def contradictions_of_place(world: World) -> list[Any]:
    return [each for each in await contradictions(world.database) if each["what"] != "words"]


async def test_takes_uploads_of_four_operators_at_once(world: World) -> None:
    owners = [world.german, world.french, *[await make_owner(world.database, each) for each in ("NLX01", "CHY02")]]

    async def work(n: int) -> Report:
        owner = owners[n % 4]
        ids = [f"{owner.party_id}E{k}" for k in range(25)]
        if n % 5 == 4:
            return await remove_charge_points(world.database, ids[:5], owner, MONDAY)
        items = [charge_point(each, max_reservation_minutes=n + 1) for each in (ids if n % 2 else ids[::-1])]
        return await upload(world, *items, charge_point(f"XX000E{n}"), owner=owner)

    reports = await asyncio.gather(*(work(n) for n in range(40)))
    assert all(report.accepted == 25 for n, report in enumerate(reports) if n % 5 != 4)
    assert await contradictions_of_place(world) == []
    for owner in owners:
        assert len(await kept(world, owner)) >= 8
