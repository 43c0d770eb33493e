"""A subscription that ends while its pages are read cancels their statements, and delays no other subscription."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from app.db.engine import Database
from app.live.stream.catching_up import READERS
from app.live.stream.subscriber import Subscriber
from schema.changes import Following
from tests.exchange.world import owner
from tests.live.streams import FR, SUBSCRIPTION, Client, Collecting, Moving, running, subscribe, until
from tests.waiting import eventually

WAITING = """
select count(*) = $1 from pg_stat_activity
where datname = current_database() and application_name = 'ochub' and state = 'active' and wait_event = 'relation'
"""


@asynccontextmanager
async def locked(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Block readers of EVSEs. Yield a connection that may count them."""
    async with owner(database_url) as holder, owner(database_url) as watcher, holder.transaction():
        await holder.execute("lock table evse in access exclusive mode")
        yield watcher


async def test_ends_the_reading_of_a_subscriber_that_left(database: Database, database_url: str):
    world = await Moving.make(database, random.Random(1))
    await world.put(FR, 1, parking_spots=())
    async with running(database) as source:
        async with locked(database_url) as watcher:
            outlets = [Collecting() for _ in range(READERS)]
            there = [await subscribe(source, None, SUBSCRIPTION, each, {"initial": True}) for each in outlets]
            await eventually(lambda: watcher.fetchval(WAITING, READERS))
            for number, each in enumerate(there):
                each.close()
                await eventually(lambda number=number: watcher.fetchval(WAITING, READERS - 1 - number))
        client = Client(None)
        await client.connect(source)
        await until(lambda: client.look() or client.ids("EVSE") == {"FR*A23*E1"}, "the readers go on")
        assert not any(outlet.pages or outlet.errors for outlet in outlets)


async def test_reads_a_page_once_for_a_sink_that_is_ready_again_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    """A socket that several subscriptions share may be full, and free again, while a page of one of them is read."""
    world = await Moving.make(database, random.Random(1))
    await world.put(FR, 1, parking_spots=())
    begun, go_on = asyncio.Event(), asyncio.Event()
    page = Following.page

    async def held(following: Following, cursor: Any, first: int) -> Any:
        begun.set()
        await go_on.wait()
        return await page(following, cursor, first)

    monkeypatch.setattr(Following, "page", held)
    async with running(database) as source:
        outlet = Collecting()
        subscription = await subscribe(source, None, SUBSCRIPTION, outlet, {"initial": True})
        await begun.wait()
        outlet.ready = False
        subscription.resume()
        outlet.ready = True
        subscription.resume()
        for _ in range(10):  # enough for another reader to take it
            await asyncio.sleep(0)
        go_on.set()
        [subscriber] = source.fanout._all
        await until(lambda: subscriber.is_live, "the stream")
        assert lengths(outlet) == [1]


async def test_goes_on_for_a_sink_that_was_not_ready_when_its_page_was_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    world = await Moving.make(database, random.Random(1))
    await world.put(FR, 1, parking_spots=())
    async with running(database) as source:
        outlet = Collecting()
        read = asyncio.Event()
        page = Following.page

        async def filling(following: Following, cursor: Any, first: int) -> Any:
            found = await page(following, cursor, first)
            outlet.ready = False
            read.set()
            return found

        with monkeypatch.context() as patched:
            patched.setattr(Following, "page", filling)
            subscription = await subscribe(source, None, SUBSCRIPTION, outlet, {"initial": True})
            await read.wait()
            [subscriber] = source.fanout._all
            await until(lambda: subscriber.reading is None, "the end of the reading")
        outlet.ready = True
        subscription.resume()
        await until(lambda: subscriber.is_live, "the stream")
        assert lengths(outlet) == [1]


def lengths(outlet: Collecting) -> list[int]:
    """Return how many changes the pages have; the last one of an initial list may have none."""
    return [length for each in outlet.pages if (length := len(each["changes"]["changes"]))]


async def test_would_read_on_if_it_were_not_cancelled(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
):
    """The broken twin: a subscriber that does not cancel its reading."""

    def forget(subscriber: Subscriber) -> None:
        subscriber.is_open = False
        subscriber.owner.leave(subscriber)

    monkeypatch.setattr(Subscriber, "_end", forget)
    await Moving.make(database, random.Random(1))
    async with running(database) as source, locked(database_url) as watcher:
        subscription = await subscribe(source, None, SUBSCRIPTION, Collecting(), {"initial": True})
        await eventually(lambda: watcher.fetchval(WAITING, 1))
        subscription.close()
        for _ in range(20):
            assert await watcher.fetchval(WAITING, 1)
