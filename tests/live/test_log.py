"""The log is read in order, up to what is complete, and from nowhere else than where it reaches."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.db.cluster import Cluster
from app.db.engine import Database
from app.live.cursor import CursorExpired, Position, decode_cursor, encode_cursor
from app.live.log import position_since, read_log, read_state
from app.vocabulary import LogKind
from tests.exchange.world import owner
from tests.live.log_world import complete, head, ids, read_complete

INSERT = "insert into change (kind, entity_id) values ('EVSE', $1)"


async def write(connection: asyncpg.Connection, *ids: str) -> None:
    async with connection.transaction():
        for entity_id in ids:
            await connection.execute(INSERT, entity_id)


async def test_gives_rows_in_the_order_of_transactions_whatever_the_page(database: Database, database_url: str):
    start = await head(database)
    async with owner(database_url) as first, owner(database_url) as second:
        async with first.transaction():
            await first.execute(INSERT, "A1")
            async with second.transaction():
                await second.execute(INSERT, "B1")
                await first.execute(INSERT, "A2")
                await second.execute(INSERT, "B2")
        await write(first, "C1", "C2")
    for limit in (1, 2, 3, 500):
        assert ids(await read_complete(database, start, limit)) == ["A1", "A2", "B1", "B2", "C1", "C2"]


async def test_waits_for_an_earlier_transaction_that_is_still_open(database: Database, database_url: str):
    start = await head(database)
    async with owner(database_url) as slow, owner(database_url) as quick:
        async with slow.transaction():
            await slow.execute(INSERT, "SLOW")
            await write(quick, "QUICK")
            batch = await read_log(database, start, 10)
            assert (ids(list(batch.rows)), batch.upto, batch.more) == ([], start, False)
            assert (await read_state(database)).head == start
        assert ids(await read_complete(database, batch.upto)) == ["SLOW", "QUICK"]


async def test_begins_after_what_a_list_in_the_same_statement_sees(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await write(connection, "BEFORE")
        middle = await head(database)
        await write(connection, "AFTER")
        assert ids(await read_complete(database, middle)) == ["AFTER"]


async def test_reads_a_row_again_of_which_only_some_entities_were_read(database: Database, database_url: str):
    start = await head(database)
    async with owner(database_url) as connection:
        await write(connection, "A", "B", "C")
    middle = (await read_complete(database, start))[1]
    assert ids(await read_complete(database, middle.within("E7"))) == ["B", "C"]
    assert ids(await read_complete(database, middle.position)) == ["C"]


async def test_tells_all_that_a_row_says(database: Database, database_url: str):
    start = await head(database)
    async with owner(database_url) as connection:
        await connection.execute(
            "insert into change (kind, entity_id, existed, operator_nos, longitudes, latitudes, was_available, role_id)"
            " values ('SIGHT', 'DE8AC', false, '{7,0}', '{1.5,3}', '{-2.5,4}', true, 9)"
        )
    [row] = await read_complete(database, start)
    assert row[3:] == (LogKind.SIGHT, "DE8AC", False, [7, 0], [1.5, 3], [-2.5, 4], True, 9)
    assert abs(datetime.now(UTC) - row.at) < timedelta(minutes=5)


async def test_expires_below_the_floor_and_ahead_of_the_head(database: Database, database_url: str):
    state = await read_state(database)
    for position in (Position(state.floor - 1), Position(state.horizon + 1_000_000)):
        with pytest.raises(CursorExpired):
            await read_log(database, position, 1)
    with pytest.raises(CursorExpired):
        await read_log(database, state.head, 1, epoch="another")
    assert await read_log(database, state.head, 1, epoch=state.epoch)


async def test_keeps_what_comes_after_the_floor_when_old_days_go(database: Database, database_url: str):
    start = await head(database)
    async with owner(database_url) as connection:
        await connection.execute("select make_partition('change', 1, n) from generate_series(0, 40) as n")
        old = "insert into change (kind, entity_id, at) values ('EVSE', $1, current_date + $2::integer)"
        await connection.execute(old, "OLD", 20)
        middle = await head(database)
        await connection.execute(old, "YOUNG", 30)
        while await connection.fetchval("select drop_partition('change', 1, current_date + 25)"):
            pass
    assert ids(await read_complete(database, middle)) == ["YOUNG"]
    with pytest.raises(CursorExpired):
        await read_log(database, start, 1)


async def test_knows_where_it_was_at_an_instant(database: Database, database_url: str):
    mark = "insert into log_mark (at, transaction) values ($1, log_horizon())"
    first = datetime.now(UTC)
    async with owner(database_url) as connection:
        await complete(database)
        await connection.execute(mark, first)
        await write(connection, "ONE")
        await complete(database)
        await connection.execute(mark, first + timedelta(seconds=10))
        await write(connection, "TWO")
    for seconds, expected in ((0, ["ONE", "TWO"]), (9, ["ONE", "TWO"]), (10, ["TWO"]), (99, ["TWO"])):
        since = await position_since(database, first + timedelta(seconds=seconds))
        assert ids(await read_complete(database, since)) == expected
    with pytest.raises(CursorExpired):
        await position_since(database, first - timedelta(days=1))


async def test_has_another_epoch_in_a_copy(database: Database, database_url: str, cluster: Cluster):
    """A database made from this one as its template: same cluster, same salt."""
    state = await read_state(database)
    await database.close()
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with owner(cluster.dsn) as administrator:
        await administrator.execute(f"create database copy_{name} template {name} strategy file_copy")
        try:
            async with owner(database_url.replace(name, f"copy_{name}")) as connection:
                epoch = await connection.fetchval("select log_epoch()")
            with pytest.raises(CursorExpired):
                decode_cursor(encode_cursor(state.epoch, state.head), epoch)
        finally:
            await administrator.execute(f"drop database copy_{name} with (force)")


async def test_has_the_same_epoch_for_everybody(database: Database, database_url: str):
    async with owner(database_url) as connection:
        asked = [read_state(database) for _ in range(3)]
        assert {state.epoch for state in await asyncio.gather(*asked)} == {
            await connection.fetchval("select log_epoch()")
        }
