"""Whole lists come into force at once and are told of bit by bit: nobody keeps what went, whatever happens between."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import asyncpg
import pytest

from app.db.engine import Database
from app.exchange.actor import CONSOLE
from app.exchange.partners import revoke_role
from app.ingest.charge_points import lists as charge_point_lists
from app.ingest.charge_points.lists import set_charge_points
from app.ingest.parking import lists as parking_spot_lists
from app.ingest.parking.lists import set_parking_spots
from app.ingest.parking.updates import update_parking_spots
from app.records.base import Point
from app.records.charge_point import EvseParkingSpot
from app.records.parking_spot import ParkingSpot
from app.vocabulary import Role
from tests.exchange.world import enrol, utc_now
from tests.ingest.parking_world import owner_of, spot
from tests.ingest.world import charge_point
from tests.live.log_world import complete
from tests.live.streams import DE, FR, Client, Moving, running, until

HERE, THERE = (10.1, 48.3), (1.0, 40.0)
LINK = (EvseParkingSpot(parking_id="DEPRKP1"),)
P1, E3 = ("PARKING_SPOT", "DE*PRK*P1"), ("EVSE", "FR*A23*E3")
SPOTS = ["PARKING_SPOT"]
LOCATED = "select located_by, longitude from parking_spot where parking_id = 'DEPRKP1'"


class Death(Exception):
    """The process dies here."""


class Held:
    """Holds a list back when it is in force and nobody was told of it. `go`: tells them."""

    def __init__(self, lists: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        self.in_force, self.go = asyncio.Event(), asyncio.Event()
        settle, calls = lists.settle, iter(range(9))

        async def held(*args: Any) -> None:
            if next(calls):
                self.in_force.set()
                await self.go.wait()
            await settle(*args)

        monkeypatch.setattr(lists, "settle", held)


@pytest.fixture
async def world(database: Database) -> Moving:
    return await Moving.make(database, random.Random(1))


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write lists of all sizes beside what stands."""
    monkeypatch.setattr(parking_spot_lists, "AT_ONCE", 0)
    monkeypatch.setattr(charge_point_lists, "AT_ONCE", 0)


def near(place: tuple[float, float]) -> dict[str, Any]:
    return {"near": {"longitude": place[0], "latitude": place[1], "radiusM": 25_000}}


async def put_list(world: Moving, *spots: ParkingSpot) -> None:
    await set_parking_spots(world.database, list(spots), world.pso, None, True, world.later())


async def update(world: Moving, spots: Sequence[ParkingSpot]) -> None:
    await update_parking_spots(world.database, list(spots), world.pso, world.later())


@pytest.mark.parametrize("at_once", [1_000, 0])
@pytest.mark.parametrize("named", [True, False])
async def test_leaves_a_spot_where_its_operator_says_it_is(
    world: Moving, monkeypatch: pytest.MonkeyPatch, at_once: int, named: bool
):
    monkeypatch.setattr(parking_spot_lists, "AT_ONCE", at_once)
    await update(world, [spot("DEPRKP1", number="1")])
    await world.put(FR, 1, at=HERE, parking_spots=LINK)
    await world.put(DE, 1, at=THERE, parking_spots=LINK)
    before = await world.database.fetch(LOCATED)
    assert before[0]["longitude"] == HERE[0]
    await put_list(world, spot("DEPRKP1", number="2") if named else spot("DEPRKP2"))
    assert await world.database.fetch(LOCATED) == before


@pytest.mark.parametrize("way", ["live", "resumed"])
async def test_takes_back_a_spot_that_moved_and_was_unlinked_before_that_was_told(
    world: Moving, monkeypatch: pytest.MonkeyPatch, way: str
):
    await update(world, [spot("DEPRKP1", HERE)])
    await world.put(FR, 1, at=HERE, parking_spots=LINK)
    client = Client(None, near(HERE), kinds=SPOTS)
    await complete(world.database)
    async with running(world.database) as source:
        await client.connect(source)
        await until(lambda: client.look() or P1 in client.held, "the beginning")
        if way == "resumed":
            client.cut()
        held = Held(parking_spot_lists, monkeypatch)
        listing = asyncio.create_task(put_list(world, spot("DEPRKP1", THERE)))
        await held.in_force.wait()
        await world.put(FR, 1, at=HERE, parking_spots=())
        held.go.set()
        await listing
        if way == "resumed":
            await client.connect(source)
        await until(lambda: client.look() or not client.held, "it is taken back")


async def test_takes_back_a_spot_whose_pso_went_out_of_sight_before_the_list_was_told(
    world: Moving, monkeypatch: pytest.MonkeyPatch
):
    await update(world, [spot("DEPRKP1", HERE)])
    await world.contract("DEPRK")
    async with running(world.database) as source:
        client = Client(world.members[DE].caller, near(HERE), kinds=SPOTS)
        await client.connect(source)
        await until(lambda: client.look() or P1 in client.held, "the beginning")
        held = Held(parking_spot_lists, monkeypatch)
        listing = asyncio.create_task(put_list(world, spot("DEPRKP8", THERE)))
        await held.in_force.wait()
        await world.contract("DEPRK")
        await until(lambda: client.look() or not client.held, "it is taken back")
        held.go.set()
        await listing


async def test_takes_back_an_evse_whose_operator_went_out_of_sight_before_the_list_was_told(
    world: Moving, monkeypatch: pytest.MonkeyPatch
):
    await world.put(FR, 3, at=HERE, parking_spots=())
    async with running(world.database) as source:
        client = Client(None, near(HERE))
        await client.connect(source)
        await until(lambda: client.look() or E3 in client.held, "the beginning")
        held = Held(charge_point_lists, monkeypatch)
        other = charge_point("FRA23E4", position=Point(longitude=THERE[0], latitude=THERE[1]))
        listing = asyncio.create_task(
            set_charge_points(world.database, [other], world.operators[FR], None, True, world.later())
        )
        await held.in_force.wait()
        await world.open(FR, False)
        await until(lambda: client.look() or not client.held, "it is taken back")
        held.go.set()
        await listing


async def test_takes_back_what_was_seen_at_its_new_place_before_the_list_was_told(
    world: Moving, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """A status shows it there; its PSO goes out of sight; the list is told; and all that is read at once."""
    await update(world, [spot("DEPRKP1", HERE)])
    await world.contract("DEPRK")
    async with running(world.database) as source:
        client = Client(world.members[DE].caller, near(THERE), kinds=["PARKING_SPOT", "PARKING_STATUS"])
        await client.connect(source)
        await until(lambda: client.look() or client.cursor, "the beginning")
        held = Held(parking_spot_lists, monkeypatch)
        listing = asyncio.create_task(put_list(world, spot("DEPRKP1", THERE)))
        await held.in_force.wait()
        await world.say_spot(1)
        await until(lambda: client.look() or client.held, "its status is told")
        writer = await asyncpg.connect(database_url)
        async with writer.transaction():  # readers wait for it
            await writer.execute("select pg_current_xact_id()")
            await world.contract("DEPRK")
            held.go.set()
            await listing
        await writer.close()
        await until(lambda: client.look() or not client.held, "all is taken back")


async def test_lets_a_new_holder_of_the_party_id_go_on_where_a_process_of_the_last_one_died(
    world: Moving, monkeypatch: pytest.MonkeyPatch
):
    async def die(*_: Any) -> None:
        raise Death

    with monkeypatch.context() as patch, suppress(Death):
        patch.setattr(parking_spot_lists, "note_in_force", die)
        await put_list(world, spot("DEPRKP1"))
    last = world.members["DEPRK"].party
    await revoke_role(world.database, CONSOLE, last.partner_id, last.name, utc_now())
    [member] = await enrol(world.database, "Another", (Role.PSO, "DEPRK"))
    await set_parking_spots(world.database, [spot("DEPRKP2")], owner_of(member), None, True, world.later())
    assert [row[0] for row in await world.database.fetch("select parking_id from parking_spot")] == ["DEPRKP2"]
