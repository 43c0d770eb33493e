"""Operators that go out of sight while something else happens: before the reader has read it, and side by side."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from app.db.engine import Database
from app.live.cursor import encode_cursor
from app.live.facts import Former, SpotFacts
from app.live.fanout import Fanout
from app.live.interest import SPOT_KINDS, Interest
from app.live.log import read_state
from app.live.matching import Turned, turned_changes
from app.live.sight import Seen, Viewer
from app.live.turning import Turn, turned_page
from app.vocabulary import ChangeAction
from schema.subscription import ChangeSource, shown
from tests.live.streams import CORE, DE, FR, Client, Moving, running, until

NEAR = {"near": {"latitude": 48.3, "longitude": 10.1, "radiusM": 25_000}}
INSIDE, OUTSIDE = (10.1, 48.3), (1.0, 40.0)
E3, E4 = ("EVSE", "FR*A23*E3"), ("EVSE", "FR*A23*E4")

MOVE = """
update evse set longitude = $2, latitude = $3, content_hash = content_hash || '\\x00' where evse_id = $1
"""


@pytest.fixture
async def world(database: Database) -> Moving:
    world = await Moving.make(database, random.Random(1))
    await world.put(FR, 3, at=INSIDE, parking_spots=())
    await world.put(FR, 4, at=OUTSIDE, parking_spots=())
    return world


@pytest.fixture
async def hands(database_url: str) -> AsyncIterator[list[asyncpg.Connection]]:
    """Two connections, for transactions that overlap."""
    connections = [await asyncpg.connect(database_url) for _ in range(2)]
    yield connections
    for connection in connections:
        await connection.close()


async def begin(connection: asyncpg.Connection) -> Any:
    """Begin a transaction that has a number from now on."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("select pg_current_xact_id()")
    return transaction


async def hide(connection: asyncpg.Connection) -> None:
    """Take the open operator out of everybody's sight, with all that comes of it at the end of the transaction."""
    await connection.execute("update operator set open = false where party_id = $1", FR)
    await connection.execute("set constraints all immediate")


async def following(source: ChangeSource) -> Client:
    """Have a stranger follow until it holds what there is."""
    client = Client(None, NEAR)
    await client.connect(source)
    await until(lambda: client.look() or E3 in client.held, "the beginning")
    return client


async def test_takes_back_what_moved_away_in_a_transaction_that_overlaps(
    world: Moving, hands: list[asyncpg.Connection]
):
    """Written before its operator was hidden, committed after, and later in the log."""
    one, other = hands
    async with running(world.database) as source:
        client = await following(source)
        hiding = await begin(one)
        moving = await begin(other)
        await other.execute(MOVE, "FRA23E3", *OUTSIDE)
        await hide(one)
        await hiding.commit()
        await asyncio.sleep(0.2)
        await moving.commit()
        await until(lambda: client.look() or not client.held, "it is taken back")


async def test_takes_back_what_moved_here_before_the_end_of_the_hiding(world: Moving, hands: list[asyncpg.Connection]):
    """Written after its operator was hidden, but earlier in the log, and told before the hiding was committed."""
    one, other = hands
    async with running(world.database) as source:
        client = await following(source)
        moving = await begin(other)
        hiding = await begin(one)
        await hide(one)
        await other.execute(MOVE, "FRA23E4", *INSIDE)
        await moving.commit()
        await until(lambda: client.look() or E4 in client.held, "it is told")
        await hiding.commit()
        await until(lambda: client.look() or not client.held, "all is taken back")


@asynccontextmanager
async def reading(fanout: Fanout) -> AsyncIterator[None]:
    task = asyncio.create_task(fanout.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_takes_back_what_came_back_while_its_operator_was_hidden(world: Moving, hands: list[asyncpg.Connection]):
    """Read all at once: it left, its operator was hidden, it came back. By the sight of before it is there."""
    one, other = hands
    async with running(world.database) as source:
        client = await following(source)
        await world.say(FR, 3, "NOT_AVAILABLE")
        await until(lambda: client.look() or len(client.held) == 2, "its status is told")
        writing = await begin(other)  # readers wait for it
        await one.execute(MOVE, "FRA23E3", *OUTSIDE)
        async with one.transaction():
            await hide(one)
        await one.execute(MOVE, "FRA23E3", *INSIDE)
        await writing.commit()
        await until(lambda: client.look() or not client.held, "all is taken back")


async def test_takes_back_what_left_before_its_follower_came_and_the_reader_had_read_of_it(world: Moving):
    """Nobody else looked with these eyes when it moved and its operator went out of sight."""
    fanout = Fanout(world.database, shown)
    source = ChangeSource(CORE, fanout)
    await Client(world.nsp.caller).connect(source)  # so that the reader has a place before what follows
    client = Client(None, NEAR, held={E3: None}, cursor=encode_cursor(fanout.epoch, fanout.position))
    await world.put(FR, 3, at=OUTSIDE, parking_spots=())
    await world.open(FR, False)
    await client.connect(source)
    async with reading(fanout):
        await until(lambda: client.look() or not client.held, "it is taken back")


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_goes_through_several_operators_page_by_page(world: Moving, limit: int):
    """All that is there, or was at the turn, once and in the order of ids, whichever of them fill a page."""
    await world.put(DE, 1, 2, 5, parking_spots=())
    await world.put(FR, 7, 8, parking_spots=())
    numbers = {row[0]: row[1] for row in await world.database.fetch("select party_id, no from operator")}
    state = await read_state(world.database)
    turn = Turn((numbers[FR], numbers[DE]), None, datetime.now(UTC), state.head)
    await world.remove(DE, 2)
    await world.remove(FR, 3, 8)
    await world.put(FR, 7, at=OUTSIDE, parking_spots=())
    told, after, pages = list[Turned](), "", 0
    while after is not None:
        page, after = await turned_page(world.database, turn, after, limit)
        assert len(page) <= 2 * limit
        told, pages = told + page, pages + 1
    assert [(each.id, each.facts is not None, each.changed) for each in told] == [
        (f"{DE}E1", True, False),
        (f"{DE}E2", False, True),
        (f"{DE}E5", True, False),
        (f"{FR}E3", False, True),
        (f"{FR}E4", True, False),
        (f"{FR}E7", True, True),
        (f"{FR}E8", False, True),
    ]
    assert pages >= 7 // (2 * limit)


def test_tells_of_a_spot_again_that_was_not_seen_all_the_time():
    """Who sees the first operator lost it when only the second one linked it, and gets it back with the second."""
    first, second = Seen(frozenset({1}), frozenset({1}), frozenset()), Seen(frozenset({2}), frozenset({2}), frozenset())
    now, then = SpotFacts("DEPRKP1", "DEPRK", [2], [1.0], [1.0]), Former([1], [1.0], [1.0])
    interest, at = Interest.of(Viewer(None), SPOT_KINDS), datetime.now(UTC)
    turned = Turned("DEPRKP1", now, [then, Former([2], [1.0], [1.0])], is_spot=True, changed=True)
    assert [told.action for told in turned_changes(turned, interest, second, first, at)] == [ChangeAction.UPSERTED]
