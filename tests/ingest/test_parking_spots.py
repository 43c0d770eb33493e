"""Parking spots from both sides: their PSO's word, and the links of EVSEs."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import Database
from app.ingest.charge_points.updates import remove_charge_points, update_charge_points
from app.ingest.parking import tables
from app.ingest.parking.lists import set_parking_spots
from app.ingest.parking.updates import remove_parking_spots, update_parking_spots
from app.records.base import Point
from app.records.charge_point import ChargePoint, EvseParkingSpot
from app.records.parking_spot import ParkingSpot
from app.records.parking_spot_input import read_parking_spot
from app.uploads import whole_list
from app.uploads.batches import batches
from app.uploads.items import NotItsOperator, Owner, Report
from app.vocabulary import Restriction
from tests.ingest.parking_world import make_pso, spot, spot_contradictions, spots_by_id
from tests.ingest.world import LYON, MONDAY, TUESDAY, ULM, World, charge_point, make_owner, make_world
from tests.length import rounds
from tests.waiting import deadlocks

PLACE = Point(latitude=48.5, longitude=9.5)


@pytest.fixture
async def world(database: Database) -> World:
    return await make_world(database)


@pytest.fixture
async def pso(database: Database) -> Owner:
    return await make_pso(database)


def linked(evse_id: str, *parking_ids: str, **more: Any) -> ChargePoint:
    return charge_point(evse_id, parking_spots=tuple(EvseParkingSpot(parking_id=id_) for id_ in parking_ids), **more)


def counts(report: Report) -> tuple[int, int, int, list[str]]:
    return report.accepted, report.unchanged, report.removed, [each.code for each in report.refused]


async def places_of(world: World, parking_id: str) -> list[tuple[bool, float, float]]:
    """Return where a spot is found: whether a place is its PSO's own word, and its position."""
    rows = await world.database.fetch(
        "select own, latitude, longitude from parking_place where parking_id = $1 order by place_no", parking_id
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("as_list", [False, True])
async def test_removes_many_spots_page_by_page(
    world: World, pso: Owner, monkeypatch: pytest.MonkeyPatch, as_list: bool
):
    removed: list[int] = []

    def counting(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
        for some in batches(items, size):
            removed.append(len(some))
            yield some

    spots = [spot(f"DEPRKP{n}") for n in range(8)]
    await update_parking_spots(world.database, spots, pso, MONDAY)
    await update_charge_points(world.database, [linked("DE8ACE1", "DEPRKP4")], world.german, MONDAY)
    monkeypatch.setattr(tables, "AT_ONCE", 3)
    monkeypatch.setattr(tables, "batches", counting)
    if as_list:
        report = await set_parking_spots(world.database, spots[:1], pso, None, True, TUESDAY)
    else:
        report = await remove_parking_spots(
            world.database, [each.parking_id for each in reversed(spots[1:])], pso, TUESDAY
        )
    assert (report.removed, removed) == (7, [3, 3, 1])
    assert sorted(await spots_by_id(world.database)) == ["DEPRKP0", "DEPRKP4"]
    assert await spot_contradictions(world.database) == []


async def test_publishes_a_spot_and_says_unchanged_the_second_time(world: World, pso: Owner):
    published = spot("DEPRKP1", position=PLACE, restrictions=(Restriction.DISABLED,), floor_level="-1", number="12")
    assert counts(await update_parking_spots(world.database, [published], pso, MONDAY)) == (1, 0, 0, [])
    before = await spots_by_id(world.database)
    assert before["DEPRKP1"]["updated_at"] == MONDAY
    assert (before["DEPRKP1"]["restrictions"], before["DEPRKP1"]["floor_level"]) == (4, "-1")
    assert counts(await update_parking_spots(world.database, [published], pso, TUESDAY)) == (0, 1, 0, [])
    assert await spots_by_id(world.database) == before


AT_ULM, AT_LYON, AT_PLACE = ((at.latitude, at.longitude) for at in (ULM, LYON, PLACE))


async def test_finds_a_spot_at_its_evse_and_where_its_pso_says_it_is(world: World, pso: Owner):
    await update_charge_points(world.database, [linked("DE8ACE1", "DEPRKP1")], world.german, MONDAY)
    assert (await spots_by_id(world.database))["DEPRKP1"]["updated_at"] is None
    assert await places_of(world, "DEPRKP1") == [(False, *AT_ULM)]
    await update_parking_spots(world.database, [spot("DEPRKP1", number="7")], pso, MONDAY)
    assert await places_of(world, "DEPRKP1") == [(False, *AT_ULM)]
    await update_parking_spots(world.database, [spot("DEPRKP1", position=PLACE)], pso, MONDAY)
    assert await places_of(world, "DEPRKP1") == [(True, *AT_PLACE), (False, *AT_ULM)]
    await update_parking_spots(world.database, [spot("DEPRKP1")], pso, MONDAY)
    assert await places_of(world, "DEPRKP1") == [(False, *AT_ULM)]
    await remove_parking_spots(world.database, ["DE*PRK*P1"], pso, MONDAY)
    assert (await spots_by_id(world.database))["DEPRKP1"]["content_hash"] is None
    await remove_charge_points(world.database, ["DE8ACE1"], world.german, MONDAY)
    assert await spots_by_id(world.database) == {}


async def test_follows_an_evse_that_moves_or_links_another_spot(world: World):
    await update_charge_points(world.database, [linked("DE8ACE1", "DEPRKP1", "DEPRKP2")], world.german, MONDAY)
    await update_charge_points(world.database, [linked("DE8ACE1", "DEPRKP2", position=LYON)], world.german, MONDAY)
    assert await places_of(world, "DEPRKP1") == []
    assert await places_of(world, "DEPRKP2") == [(False, *AT_LYON)]
    assert await spot_contradictions(world.database) == []


async def test_keeps_one_place_for_each_position_of_linking_evses(world: World):
    """EVSEs at the same position share a place, also those of several operators; each is logged with the links."""
    for id_ in ("DE8ACE1", "DE8ACE2"):
        await update_charge_points(world.database, [linked(id_, "DEPRKP1")], world.german, MONDAY)
    await update_charge_points(world.database, [linked("FRA23E1", "DEPRKP1")], world.french, MONDAY)
    assert await places_of(world, "DEPRKP1") == [(False, *AT_ULM)]
    await update_charge_points(world.database, [linked("FRA23E1", "DEPRKP1", position=LYON)], world.french, MONDAY)
    assert await places_of(world, "DEPRKP1") == [(False, *AT_LYON), (False, *AT_ULM)]
    german, french = world.german.operator_no, world.french.operator_no
    rows = await world.database.fetch(
        "select existed, operator_nos, longitudes, latitudes from change where kind = 'PARKING_SPOT' order by id"
    )
    ulm = ULM.longitude, ULM.latitude
    assert [tuple(row) for row in rows] == [
        (False, None, None, None),
        (True, [german], [ulm[0]], [ulm[1]]),
        (True, [german, german], [ulm[0]] * 2, [ulm[1]] * 2),
        (True, [german, german, french], [ulm[0]] * 3, [ulm[1]] * 3),
    ]
    assert await spot_contradictions(world.database) == []


async def test_logs_the_own_word_of_a_pso_as_operator_0(world: World, pso: Owner):
    await update_charge_points(world.database, [linked("DE8ACE1", "DEPRKP1")], world.german, MONDAY)
    await update_parking_spots(world.database, [spot("DEPRKP1", position=PLACE)], pso, MONDAY)
    await update_parking_spots(world.database, [spot("DEPRKP1", position=LYON)], pso, MONDAY)
    row = (await world.database.fetch("select * from change where kind = 'PARKING_SPOT' order by id desc limit 1"))[0]
    assert row["operator_nos"] == [world.german.operator_no, 0]
    assert row["longitudes"] == [ULM.longitude, PLACE.longitude]
    assert row["latitudes"] == [ULM.latitude, PLACE.latitude]


async def test_refuses_foreign_spots_with_the_same_words_whether_or_not_they_are_there(world: World, pso: Owner):
    other = await make_pso(world.database, "FRPRK")
    await update_parking_spots(world.database, [spot("FRPRKP1")], other, MONDAY)
    report = await update_parking_spots(world.database, [spot("FRPRKP1"), spot("FRPRKP2")], pso, MONDAY)
    there, absent = report.refused
    assert (there.path, there.code) == ("parkingSpots[0].parkingId", "INVALID_ID")
    assert there.message.replace("P1", "P2") == absent.message
    report = await remove_parking_spots(world.database, ["FRPRKP1", "FRPRKP2", "x", 7], pso, MONDAY)
    assert counts(report) == (0, 0, 0, ["INVALID_ID"] * 4)
    assert report.refused[0].message.replace("P1", "P2") == report.refused[1].message
    assert "FRPRKP1" in await spots_by_id(world.database)


async def test_lets_the_last_of_several_items_for_a_spot_count(world: World, pso: Owner):
    items = [spot("DEPRKP1", number="1"), spot("DEPRKP1", number="2")]
    assert counts(await update_parking_spots(world.database, items, pso, MONDAY)) == (1, 0, 0, ["DUPLICATE"])
    assert (await spots_by_id(world.database))["DEPRKP1"]["number"] == "2"


async def test_refuses_a_role_that_does_not_hold_the_party_id(world: World, pso: Owner):
    with pytest.raises(NotItsOperator):
        await update_parking_spots(world.database, [], Owner(pso.partner_id, pso.role_id, "DEXXX"), MONDAY)


@pytest.mark.parametrize(
    ("raw", "path", "code"),
    [
        ({"parkingId": "DE*PRK*E1"}, ".parkingId", "INVALID_ID"),
        ({}, ".parkingId", "REQUIRED"),
        (None, "", "WRONG_TYPE"),
        ({"parkingId": "DEPRKP1", "floorLevel": "-1000"}, ".floorLevel", "PATTERN"),
        ({"parkingId": "DEPRKP1", "number": "a"}, ".number", "PATTERN"),
        ({"parkingId": "DEPRKP1", "position": {"latitude": 91, "longitude": 0}}, ".position.latitude", "OUT_OF_RANGE"),
        ({"parkingId": "DEPRKP1", "position": {"latitude": 1}}, ".position.longitude", "REQUIRED"),
        ({"parkingId": "DEPRKP1", "restrictions": ["FREE"]}, ".restrictions[0]", "UNKNOWN_VALUE"),
        ({"parkingId": "DEPRKP1", "status": "AVAILABLE"}, ".status", "UNKNOWN_FIELD"),
        ({"parkingId": "\ud800"}, ".parkingId", "INVALID_ID"),
    ],
)
def test_refuses_a_bad_item_with_its_path(raw: Any, path: str, code: str):
    refused = read_parking_spot(raw, 3)
    assert isinstance(refused, list)
    assert [(each.path, each.index, each.code) for each in refused] == [(f"parkingSpots[3]{path}", 3, code)]


def test_reads_nulls_as_absent_and_words_once():
    raw = {"parkingId": "de*prk*p1", "position": None, "restrictions": ["DISABLED", "DISABLED"], "number": None}
    assert read_parking_spot(raw, 0) == spot("DEPRKP1", restrictions=(Restriction.DISABLED,))


SPOTS = [f"DEPRKP{n}" for n in range(4)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("link"), st.integers(0, 2), st.lists(st.sampled_from(SPOTS), unique=True, max_size=3)),
        st.tuples(st.just("unlink"), st.integers(0, 2), st.just([])),
        st.tuples(st.just("publish"), st.booleans(), st.lists(st.sampled_from(SPOTS), unique=True, max_size=3)),
        st.tuples(st.just("remove"), st.booleans(), st.lists(st.sampled_from(SPOTS), unique=True, max_size=3)),
    ),
    min_size=3,
    max_size=10,
)


@settings(max_examples=rounds(5, full=15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_keeps_spots_and_links_consistent_whatever_happens(world: World, pso: Owner, steps: list[Any]):
    for what, which, ids in steps:
        if what == "link":
            where = ULM if which == 0 else LYON
            items = [linked(f"DE8ACE{which}", *ids, location_id=f"L{which}", position=where)]
            await update_charge_points(world.database, items, world.german, MONDAY)
        elif what == "unlink":
            await remove_charge_points(world.database, [f"DE8ACE{which}"], world.german, MONDAY)
        elif what == "publish":
            items = [spot(id_, position=PLACE if which else None) for id_ in ids]
            await update_parking_spots(world.database, items, pso, MONDAY)
        else:
            await remove_parking_spots(world.database, ids, pso, MONDAY)
        assert await spot_contradictions(world.database) == []


@pytest.mark.parametrize("way", ["update", "list", "list in pieces"])
async def test_lets_operators_and_the_pso_write_the_same_spots_at_once(
    world: World, pso: Owner, way: str, monkeypatch: pytest.MonkeyPatch
):
    if way == "list in pieces":
        monkeypatch.setattr(whole_list, "AT_ONCE", 5)
    owners = [world.german, world.french, await make_owner(world.database, "DE777")]
    ids = [f"DEPRKP{n}" for n in range(40)]

    async def link(owner: Owner, turn: int) -> None:
        mine = ids[turn % 7 :: 2] if turn % 2 else list(reversed(ids[turn % 5 :]))
        items = [linked(f"{owner.party_id}E{n}", id_, location_id=f"L{n}") for n, id_ in enumerate(mine)]
        await update_charge_points(world.database, items, owner, MONDAY)
        await remove_charge_points(world.database, [f"{owner.party_id}E{n}" for n in range(0, 40, 3)], owner, MONDAY)

    async def publish(turn: int) -> None:
        spots: list[ParkingSpot] = [spot(id_, number=str(turn)) for id_ in reversed(ids[turn::2])]
        if way == "update":
            await update_parking_spots(world.database, list(spots), pso, MONDAY)
        else:
            await set_parking_spots(world.database, list(spots), pso, None, True, MONDAY)
        await remove_parking_spots(world.database, list(reversed(ids[::3])), pso, MONDAY)

    for turn in range(rounds(2, full=6)):
        await asyncio.gather(*(link(owner, turn) for owner in owners), publish(turn))
    assert await spot_contradictions(world.database) == []
    assert await deadlocks(world.database) == 0
