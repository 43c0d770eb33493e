"""No cursor loses a change, on a standby or after a fail-over; cursors that would are refused."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

from app.db.engine import Database
from app.db.migrate import migrate
from app.live.log.cursor import Cursor, CursorExpired, Position, Snapshot
from app.live.log.rows import check_cursor, read_position
from app.settings import Settings
from tests.exchange.world import owner
from tests.live.log_world import ids, read_since
from tests.live.standby import Primary, Standby, running_primary, running_standby, switch
from tests.live.streams import DE, Client, Moving, running, until

pytestmark = pytest.mark.process

INSERT = "insert into change (kind, entity_id) values ('EVSE', $1)"
TOP = "select log_top(pg_current_snapshot())"
LEFT_AT = "select timeline_left_at(1)"
WEEK = timedelta(days=7)


@pytest.fixture
def primary() -> Iterator[Primary]:
    with running_primary() as primary:
        asyncio.run(migrate(primary.dsn, Settings()))
        yield primary


async def write(dsn: str, *ids: str) -> None:
    async with owner(dsn) as connection:
        for each in ids:
            await connection.execute(INSERT, each)


async def opened(stack: AsyncExitStack, dsn: str) -> Database:
    database = await Database.open(dsn, Settings(pool_size=2))
    stack.callback(database.terminate)
    return database


async def refusal(database: Database, position: Position) -> str | None:
    """Return why a cursor of a position is refused; None: it is valid."""
    async with database.reading() as reader:
        try:
            await check_cursor(reader, Cursor(position), await read_position(reader), WEEK)
        except CursorExpired as error:
            return str(error)
    return None


# ---------------------------------------------------------------- cursors that a standby made


async def test_loses_nothing_behind_a_cursor_of_a_standby(primary: Primary, seed: int):
    """A standby does not know which transactions are in progress; changes that it showed may be delivered again."""
    dice = random.Random(seed)
    async with running_standby(primary) as standby, AsyncExitStack() as stack:
        there, here = await opened(stack, primary.dsn), await opened(stack, standby.dsn)
        open_ = [await stack.enter_async_context(owner(primary.dsn)) for _ in range(6)]
        transactions = [each.transaction() for each in open_]
        lost_by_twin = 0
        for round_ in range(6):
            for number in dice.sample(range(6), 6):
                transactions[number] = open_[number].transaction()
                await transactions[number].start()
                await open_[number].execute(INSERT, f"OPEN{round_}.{number}")
                async with open_[number].transaction():
                    await open_[number].execute(INSERT, f"OPEN{round_}.{number}, NESTED")
                if dice.random() < 0.5:
                    await write(primary.dsn, f"QUICK{round_}.{number}")
            ended = dice.sample(range(6), dice.randint(0, 4))
            for number in ended:
                await transactions[number].commit()
            await write(primary.dsn, f"LAST{round_}")
            await standby.follows(primary)
            position, shown, top = await looked_at(here)
            assert shown & {f"LAST{round_}"}
            for number in {*range(6)} - {*ended}:
                await transactions[number].commit()
            assert await refusal(there, position) is None
            everything = {row[0] for row in await there.fetch("select entity_id from change")}
            assert {*ids(await read_since(there, position))} >= everything - shown
            twin = replace(position, snapshot=Snapshot(top))
            lost_by_twin += len((everything - shown) - {*ids(await read_since(there, twin))})
        assert lost_by_twin, "the broken twin, which ends where a primary's does, lost nothing: this proves nothing"


async def looked_at(database: Database) -> tuple[Position, set[str], int]:
    """Return what a standby shows in one snapshot: its position, all ids, and the end of the log."""
    async with database.reading() as reader:
        position = await read_position(reader)
        shown = {row[0] for row in await reader.fetch("select entity_id from change")}
        [[top]] = await reader.fetch(TOP)
    assert not position.snapshot.xip
    return position, shown, top


# ---------------------------------------------------------------- fail-over


async def test_resumes_after_a_fail_over_unless_the_new_server_may_lack_commits(primary: Primary):
    async with running_standby(primary) as standby, AsyncExitStack() as stack:
        there, here = await opened(stack, primary.dsn), await opened(stack, standby.dsn)
        async with owner(primary.dsn) as slow, slow.transaction():
            await slow.execute(INSERT, "SLOW")
            await write(primary.dsn, "BEFORE")
            replayed = await read_position(there)
            assert replayed.snapshot.xip
        await write(primary.dsn, "KEPT")
        await standby.follows(primary)
        of_standby = await read_position(here)
        await standby.cut_off()
        await write(primary.dsn, "LOST1", "LOST2")
        beyond = await read_position(there)
        await standby.promote()
        assert await refusal(here, beyond) is not None
        await write(standby.dsn, *(f"NEW{number}" for number in range(9)))
        present = await read_position(here)
        assert (replayed.timeline, present.timeline) == (1, 2)
        assert replayed.snapshot.xmax < beyond.snapshot.xmax < present.snapshot.xmax
        new = [f"NEW{number}" for number in range(9)]
        for position, expected in ((replayed, ["SLOW", "KEPT", *new]), (of_standby, new), (present, [])):
            assert await refusal(here, position) is None
            assert ids(await read_since(here, position)) == expected
        assert "failed over" in (await refusal(here, beyond) or "")
        assert ids(await read_since(here, beyond)) != new, "it would lose nothing: this proves nothing"
        await the_history_decides(standby, here, replayed, beyond)


async def the_history_decides(standby: Standby, here: Database, replayed: Position, beyond: Position) -> None:
    """The present timeline's file says where the earlier one ended; without it no earlier cursor is valid."""
    file = standby.data / "pg_wal" / "00000002.history"
    text = file.read_text()
    timeline, place, reason = text.splitlines()[0].split("\t")
    high, low = (int(part, 16) for part in place.split("/"))
    left_at = await standby.ask(LEFT_AT)
    assert (timeline, left_at) == ("1", (high << 32) + low), reason
    assert replayed.lsn <= (high << 32) + low < beyond.lsn
    file.rename(file.with_suffix(".away"))
    assert await standby.ask(LEFT_AT) is None
    assert "failed over" in (await refusal(here, replayed) or "")
    file.with_suffix(".away").rename(file)
    assert await refusal(here, replayed) is None
    async with owner(standby.dsn) as connection:
        await connection.execute(
            "create role ordinary; grant usage, create on schema public to ordinary;"
            " grant execute on function wal_position to ordinary; alter function timeline_left_at owner to ordinary"
        )
    assert await standby.ask(LEFT_AT) is None
    assert "failed over" in (await refusal(here, replayed) or "")


@pytest.mark.parametrize("lacks_commits", [False, True])
async def test_streams_on_after_a_fail_over_unless_commits_may_be_missing(primary: Primary, lacks_commits: bool):
    """The fan-out has a position too. If that is ahead of the new server, all subscribers read a new state."""
    with switch(primary.directory) as address:
        address.turn_to(primary.dsn)
        async with running_standby(primary) as standby, AsyncExitStack() as stack:
            database = await opened(stack, address.dsn)
            world = await Moving.make(database, random.Random(1))
            await world.put(DE, 1, parking_spots=())
            async with running(database) as source:
                client = Client(world.nsp.caller)
                await client.connect(source)
                await until(lambda: client.look() or client.ids("EVSE") == {"DE*8AC*E1"}, "the first state")
                await standby.follows(primary)
                if lacks_commits:
                    await standby.cut_off()
                    await world.put(DE, 2, parking_spots=())
                    await until(lambda: client.look() or "DE*8AC*E2" in client.ids("EVSE"), "the change")
                await standby.promote()
                address.turn_to(standby.dsn)
                outlet = client.outlet
                assert outlet is not None
                for pool in database.pools.values():
                    await pool.expire_connections()
                if lacks_commits:
                    await until(lambda: outlet.errors, "the end")
                    assert outlet.errors is not None
                    assert outlet.errors[0]["extensions"]["code"] == "CURSOR_EXPIRED"
                    client = Client(world.nsp.caller)
                    await client.connect(source)  # at once: before the fan-out's next round
                await world.put(DE, 3, parking_spots=())
                both = {"DE*8AC*E1", "DE*8AC*E3"}
                await until(lambda: client.look() or client.ids("EVSE") == both, "the change")
                await world.remove(DE, 1)
                await until(lambda: client.look() or client.ids("EVSE") == {"DE*8AC*E3"}, "the next change")
