"""A client that applies every change holds what the lists show it, whatever happens and however often it is cut off."""

import asyncio
import random

import pytest

from app.db.engine import Database
from tests.length import rounds
from tests.live.streams import DE, FR, Client, Moving, listed, running, until

BOX = {"bounds": {"minimumLatitude": 48.2, "minimumLongitude": 10.0, "maximumLatitude": 49.0, "maximumLongitude": 11.0}}
NEAR = {"near": {"latitude": 48.3, "longitude": 10.1, "radiusM": 25_000}}
RING = {
    "polygon": [
        {"latitude": latitude, "longitude": longitude}
        for latitude, longitude in ((48.0, 9.8), (48.6, 9.8), (48.6, 10.2), (48.0, 10.2))
    ]
}


def clients_of(world: Moving) -> list[Client]:
    nsp = world.nsp.caller
    return [
        Client(nsp),
        Client(None),
        Client(nsp, BOX),
        Client(nsp, NEAR, {"minPowerKw": 50.0}),
        Client(nsp, RING, {"chargePointTypes": ["AC"]}, ["EVSE_STATUS"]),
        Client(nsp, BOX, {"availableNow": True}),
        Client(None, NEAR, {"availableNow": True}, ["EVSE"]),
        Client(nsp, None, {"evseIds": ["DE*8AC*E3", "FR*A23*E4"]}),
        Client(nsp, None, {"operatorIds": ["DE8AC"]}, ["EVSE", "EVSE_STATUS", "PARKING_SPOT", "PARKING_STATUS"]),
        Client(world.members[DE].caller, NEAR),
    ]


async def differences(world: Moving, client: Client) -> list[str]:
    evses, spots = await listed(world.database, client)
    kinds = client.kinds or ["EVSE", "EVSE_STATUS", *([] if client.matching else ["PARKING_SPOT", "PARKING_STATUS"])]
    if not any(kind.startswith("PARKING") for kind in kinds):
        spots = {}
    found: list[str] = []
    for shown, names in ((evses, ("EVSE", "EVSE_STATUS")), (spots, ("PARKING_SPOT", "PARKING_STATUS"))):
        held = client.ids(*names)
        found += [f"{id_} is held and not listed" for id_ in held - shown.keys()]
        found += [f"{id_} is listed and not held" for id_ in shown.keys() - held]
        first = next((name for name in names if name in kinds), "")
        found += [
            f"{id_} is another: {client.held.get((first, id_))}, {shown[id_]}"
            for id_ in held & shown.keys()
            if names[0] in kinds and client.held.get((first, id_)) != shown[id_]
        ]
    return found


async def settle(world: Moving, client: Client) -> None:
    """Wait until a client holds what the lists show."""
    found: list[str] = []
    for _ in range(1_500):
        client.look()
        found = await differences(world, client)
        if not found and client.cursor is not None:
            return
        await asyncio.sleep(0.02)
    raise AssertionError((client.variables, found))


@pytest.mark.parametrize("at_once", [1, 4])
async def test_ends_with_what_the_lists_show(database: Database, seed: int, at_once: int):
    world = await Moving.make(database, random.Random(seed))
    await world.put(DE, *range(8))
    await world.put(FR, *range(8))
    async with running(database) as source:
        clients = clients_of(world)
        asking = clients_of(world)
        for client in clients:
            await client.connect(source)
        for client in asking:
            await client.connect(source)
            await settle(world, client)
            assert client.cursor is not None
            client.cut()
        for number in range(rounds(30, full=120)):
            await asyncio.gather(*(world.step() for _ in range(at_once)))
            client = world.chance.choice(clients)
            if client.subscription is not None:
                client.look()
                if world.chance.random() < 0.4 and client.cursor is not None:
                    client.cut()
            elif world.chance.random() < 0.5:
                await client.connect(source)
            if number % 7 == 0:
                await world.chance.choice(asking).ask_on(database, world.chance.choice([1, 3, 500]))
        for client in clients:
            if client.subscription is None:
                await client.connect(source)
            await settle(world, client)
        for client in asking:
            await client.ask_on(database, 10)
            assert await differences(world, client) == [], client.variables


async def test_begins_now(database: Database):
    world = await Moving.make(database, random.Random(1))
    await world.put(DE, 1)
    async with running(database) as source:
        client = Client(world.nsp.caller)
        client.cursor = None
        await client.connect(source)
        outlet = client.outlet
        assert outlet is not None
        await until(lambda: outlet.pages)
        assert [change["id"] for change in outlet.pages[0]["changes"]["changes"]] == ["DE*8AC*E1"]
