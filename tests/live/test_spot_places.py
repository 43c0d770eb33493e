"""A spot that is visible through one operator and stands at another's EVSE: which changes its followers receive."""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from app.auth import Caller
from app.db.engine import Database
from app.ingest.parking.updates import update_parking_spots
from app.records.charge_point import EvseParkingSpot
from schema.subscription import ChangeSource
from tests.ingest.parking_world import spot
from tests.live.streams import DE, FR, Client, Moving, listed, running, until

HERE, THERE = (10.1, 48.3), (1.0, 40.0)
P1 = ("PARKING_SPOT", "DE*PRK*P1")
LINK = (EvseParkingSpot(parking_id="DEPRKP1"),)


def near(longitude: float, latitude: float) -> dict[str, Any]:
    return {"near": {"latitude": latitude, "longitude": longitude, "radiusM": 25_000}}


@pytest.fixture
async def world(database: Database) -> Moving:
    """The first operator, visible by contract, links the spot there; the second, open to all, here."""
    world = await Moving.make(database, random.Random(1))
    await world.put(DE, 1, at=THERE, parking_spots=LINK)
    await world.put(FR, 1, at=HERE, parking_spots=LINK)
    return world


class Followers:
    """A caller that follows a region around each place, and everything; live or by queries."""

    def __init__(self, world: Moving, source: ChangeSource | None, caller: Caller | None) -> None:
        self.world, self.source = world, source
        kinds = ["PARKING_SPOT"]
        self.here, self.there = Client(caller, near(*HERE), kinds=kinds), Client(caller, near(*THERE), kinds=kinds)
        self.anywhere = Client(caller, kinds=kinds)
        self.all = (self.here, self.there, self.anywhere)

    @property
    def held(self) -> tuple[bool, bool, Any]:
        """Return whether it is held here and there, and its known position."""
        return P1 in self.here.held, P1 in self.there.held, self.place

    @property
    def place(self) -> Any:
        spot = self.anywhere.held.get(P1)
        if spot is None:
            return "gone"
        position = spot["position"]
        return position and (position["longitude"], position["latitude"])

    async def begin(self) -> None:
        for each in self.all:
            if self.source is not None:
                await each.connect(self.source)
                await until(lambda each=each: each.look() or each.cursor, "the beginning")
                continue
            await each.ask_on(self.world.database)
            _, spots = await listed(self.world.database, each)
            each.held = {("PARKING_SPOT", id_): node for id_, node in spots.items()}

    async def hear(self, here: bool, there: bool, place: Any) -> None:
        """Wait until the followers hold this."""
        if self.source is None:
            for each in self.all:
                await each.ask_on(self.world.database)
            assert self.held == (here, there, place)
            return

        def holds() -> bool:
            for each in self.all:
                each.look()
            return self.held == (here, there, place)

        await until(holds, f"{(here, there, place)} instead of {self.held}")


@pytest.fixture(params=["live", "resumed"])
async def source(request: pytest.FixtureRequest, world: Moving) -> AsyncIterator[ChangeSource | None]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(running(world.database)) if request.param == "live" else None


async def following(world: Moving, source: ChangeSource | None, caller: Caller | None) -> Followers:
    """Start followers that hold what the lists show now."""
    followers = Followers(world, source, caller)
    await followers.begin()
    return followers


async def test_follows_each_place_that_a_viewer_knows(world: Moving, source: ChangeSource | None):
    stranger = await following(world, source, None)
    nsp = await following(world, source, world.nsp.caller)
    await world.put(DE, 1, at=(1.0, 40.01), parking_spots=LINK)
    await nsp.hear(here=True, there=True, place=None)
    await world.put(DE, 1, at=HERE, parking_spots=LINK)
    await nsp.hear(here=True, there=False, place=None)
    await stranger.hear(here=True, there=False, place=None)
    assert not stranger.there.told, "it was never seen there"
    await update_parking_spots(world.database, [spot("DEPRKP1", at=THERE)], world.pso, world.later())
    await world.contract("DEPRK")
    await nsp.hear(here=True, there=True, place=THERE)
    await update_parking_spots(world.database, [spot("DEPRKP1")], world.pso, world.later())
    await nsp.hear(here=True, there=False, place=None)
    await stranger.hear(here=True, there=False, place=None)
    assert not stranger.there.told, "its operator has no contract with the PSO"


async def test_takes_a_spot_back_where_an_operator_links_it_no_more(world: Moving, source: ChangeSource | None):
    stranger = await following(world, source, None)
    nsp = await following(world, source, world.nsp.caller)
    await world.remove(DE, 1)
    for each in (nsp, stranger):
        await each.hear(here=True, there=False, place=None)
    await world.put(DE, 1, at=THERE, parking_spots=LINK)
    await world.put(FR, 1, at=HERE, parking_spots=())
    await nsp.hear(here=False, there=True, place=None)
    await stranger.hear(here=False, there=False, place="gone")
    assert not stranger.there.told


async def test_takes_a_place_away_with_the_operator_whose_it_is(world: Moving, source: ChangeSource | None):
    """The spot is still visible, through the other."""
    nsp = await following(world, source, world.nsp.caller)
    await world.contract(DE)
    await nsp.hear(here=True, there=False, place=None)
    await world.contract(DE)
    await nsp.hear(here=True, there=True, place=None)


async def test_takes_a_place_away_that_changed_meanwhile(world: Moving, source: ChangeSource | None):
    nsp = await following(world, source, world.nsp.caller)
    await world.contract(DE)
    await world.put(DE, 1, at=HERE, parking_spots=LINK)
    await nsp.hear(here=True, there=False, place=None)
    await world.contract(DE)
    await nsp.hear(here=True, there=False, place=None)


async def test_shows_what_a_pso_publishes_while_an_operator_has_a_contract_with_it(
    world: Moving, source: ChangeSource | None
):
    await update_parking_spots(world.database, [spot("DEPRKP1", at=(10.11, 48.31))], world.pso, world.later())
    nsp = await following(world, source, world.nsp.caller)
    await nsp.hear(here=True, there=True, place=None)
    await world.contract("DEPRK")
    await nsp.hear(here=True, there=True, place=(10.11, 48.31))
    # Where only the PSO's position lies in the region.
    await world.put(FR, 1, at=THERE, parking_spots=LINK)
    await nsp.hear(here=True, there=True, place=(10.11, 48.31))
    await world.contract("DEPRK")
    await nsp.hear(here=False, there=True, place=None)


async def test_tells_of_links_and_of_the_pso_only_those_who_see_them(world: Moving, source: ChangeSource | None):
    """The caller sees the second operator's link: neither the first one's, nor the PSO, nor their contract."""
    stranger = await following(world, source, None)
    told = len(stranger.anywhere.told)
    await world.contract("DEPRK")
    await update_parking_spots(world.database, [spot("DEPRKP1", at=HERE, number="7")], world.pso, world.later())
    for by in (DE, "DEPRK"):
        await world.say_spot(1, by)
    await world.put(DE, 1, at=HERE, parking_spots=LINK)
    await world.put(DE, 2, at=HERE, parking_spots=LINK)
    await world.remove(DE, 1, 2)
    await world.contract("DEPRK")
    await world.put(FR, 1, at=THERE, parking_spots=LINK)
    await stranger.hear(here=False, there=True, place=None)
    assert len(stranger.anywhere.told) == told + 1
