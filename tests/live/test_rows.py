"""Rows of the log are read from one snapshot to another: no reader waits, and none misses a row or reads it twice."""

from datetime import UTC, datetime, timedelta

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.cluster import Cluster
from app.db.engine import Database
from app.live.log.cursor import Cursor, CursorExpired, Position, Snapshot
from app.live.log.rows import check_cursor, gaps, position_since, read_position, read_rows
from app.vocabulary import LogKind
from tests.exchange.world import owner
from tests.live.log_world import ALL_KINDS, ids, read_since

INSERT = "insert into change (kind, entity_id) values ('EVSE', $1)"
WEEK = timedelta(days=7)


async def write(connection: asyncpg.Connection, *ids: str) -> None:
    async with connection.transaction():
        for entity_id in ids:
            await connection.execute(INSERT, entity_id)


async def check(database: Database, position: Position, kept: timedelta = WEEK) -> None:
    async with database.reading() as reader:
        await check_cursor(reader, Cursor(position), await read_position(reader), kept)


async def test_reads_rows_in_the_order_of_transactions_whatever_the_page(database: Database, database_url: str):
    start = await read_position(database)
    async with owner(database_url) as first, owner(database_url) as second:
        async with first.transaction():
            await first.execute(INSERT, "A1")
            async with second.transaction():
                await second.execute(INSERT, "B1")
                await first.execute(INSERT, "A2")
                await second.execute(INSERT, "B2")
        await write(first, "C1", "C2")
    for limit in (1, 2, 3, 500):
        assert ids(await read_since(database, start, limit)) == ["A1", "A2", "B1", "B2", "C1", "C2"]


async def test_does_not_wait_for_a_transaction_that_stays_open(database: Database, database_url: str):
    """Only its own rows are delayed, until it commits."""
    start = await read_position(database)
    async with owner(database_url) as slow, owner(database_url) as quick:
        async with slow.transaction():
            await slow.execute(INSERT, "SLOW")
            await write(quick, "QUICK")
            assert ids(await read_since(database, start)) == ["QUICK"]
            meanwhile = await read_position(database)
            assert await read_since(database, meanwhile) == []
        assert ids(await read_since(database, meanwhile)) == ["SLOW"]
        assert ids(await read_since(database, start)) == ["SLOW", "QUICK"]


async def test_does_not_wait_for_a_transaction_in_another_database(
    database: Database, database_url: str, cluster: Cluster
):
    async with owner(cluster.dsn) as foreign, foreign.transaction(), owner(database_url) as connection:
        await foreign.execute("select pg_current_xact_id()")
        start = await read_position(database)
        await write(connection, "ONE")
        assert ids(await read_since(database, start)) == ["ONE"]


async def test_never_reads_what_was_rolled_back(database: Database, database_url: str):
    start = await read_position(database)
    async with owner(database_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(INSERT, "NEVER")
        meanwhile = await read_position(database)
        await transaction.rollback()
        await write(connection, "ONE")
    assert ids(await read_since(database, start)) == ids(await read_since(database, meanwhile)) == ["ONE"]


async def test_does_not_visit_rows_of_transactions_in_progress(database: Database, database_url: str):
    """There may be a million of them at the end of the index; a read that visited them would touch many blocks."""
    start = await read_position(database)
    explain = "explain (analyze, buffers, format json) select log_position()"
    async with owner(database_url) as slow, owner(database_url) as connection:
        await write(connection, "BEFORE")

        async def blocks() -> int:
            await connection.execute(explain)  # plans and catalogs are cached from here on
            plan = orjson.loads(await connection.fetchval(explain))[0]["Plan"]
            return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]

        few = await blocks()
        async with slow.transaction():
            await slow.execute(
                "insert into change (kind, entity_id) select 'EVSE', n::text from generate_series(1, 50000) n"
            )
            assert await blocks() < few + 50
            await write(connection, "AFTER")
            assert ids(await read_since(database, start)) == ["BEFORE", "AFTER"]
            assert await blocks() < few + 50


async def test_lets_a_list_and_what_follows_it_neither_overlap_nor_leave_a_gap(database: Database, database_url: str):
    async with owner(database_url) as slow, owner(database_url) as quick, slow.transaction():
        await slow.execute(INSERT, "SLOW")
        await write(quick, "BEFORE")
        middle = await read_position(database)
        await write(quick, "AFTER")
        assert ids(await read_since(database, middle)) == ["AFTER"]


async def test_ends_after_looking_at_enough(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.live.log.rows.MOST_LOOKED", 3)
    start = await read_position(database)
    async with owner(database_url) as connection:
        await write(connection, *(f"DE8ACE{n}" for n in range(7)), "FRA23E1")
    target, after, found, reads = (await read_position(database)).snapshot, (0, 0), list[str](), 0
    while after is not None:
        batch = await read_rows(database, start.snapshot, target, after, ALL_KINDS, 10, ["DE8AC"])
        found, after, reads = found + ids(batch.rows), batch.upto, reads + 1
    assert (found, reads) == (["FRA23E1"], 3)


async def test_reads_all_that_a_row_says(database: Database, database_url: str):
    start = await read_position(database)
    async with owner(database_url) as connection:
        await connection.execute(
            "insert into change"
            " (kind, entity_id, operator_nos, longitudes, latitudes, was_available, role_ids, recipients, said_by)"
            " values ('PARKING_SPOT', 'DEPRKP1', '{7,0}', '{1.5,3}', '{-2.5,4}', true, '{9}', '{*,DE8AA}', '{7}')"
        )
    [row] = await read_since(database, start)
    places = ((7, 1.5, -2.5), (0, 3.0, 4.0))
    assert row[3:] == (LogKind.PARKING_SPOT, "DEPRKP1", True, places, True, (9,), ("*", "DE8AA"), (7,))
    assert abs(datetime.now(UTC) - row.at) < timedelta(minutes=5)


@given(st.data())
def test_finds_the_gaps_between_two_snapshots(data: st.DataObject):
    """Every transaction that the later one sees and the earlier one does not, and no other."""
    few = st.integers(1, 30)
    base = Snapshot(data.draw(few), data.draw(st.frozensets(few, max_size=6)))
    target = Snapshot(data.draw(few), data.draw(st.frozensets(few, max_size=6)))
    base = Snapshot(base.xmax, frozenset(each for each in base.xip if each < base.xmax))
    target = Snapshot(target.xmax, frozenset(each for each in target.xip if each < target.xmax))
    covered = [number for low, high in gaps(base, target) for number in range(low, high)]
    assert covered == [number for number in range(31) if target.sees(number) and not base.sees(number)]


# ---------------------------------------------------------------- cursors that have expired


async def test_expires_with_age_and_ahead_of_the_log(database: Database):
    position = await read_position(database)
    await check(database, position)
    late = Position(position.epoch, position.timeline, position.lsn, position.at - WEEK * 2, position.snapshot)
    ahead = Position(
        position.epoch, position.timeline, position.lsn, position.at, Snapshot(position.snapshot.xmax + 10**6)
    )
    other = Position("another00000", position.timeline, position.lsn, position.at, position.snapshot)
    for each in (late, ahead, other):
        with pytest.raises(CursorExpired):
            await check(database, each)


async def test_keeps_what_comes_after_the_floor_when_old_days_go(database: Database, database_url: str):
    start = await read_position(database)
    async with owner(database_url) as connection:
        await connection.execute("select make_partition('change', 1, n) from generate_series(0, 40) as n")
        old = "insert into change (kind, entity_id, at) values ('EVSE', $1, current_date + $2::integer)"
        await connection.execute(old, "OLD", 20)
        middle = await read_position(database)
        await connection.execute(old, "YOUNG", 30)
        while await connection.fetchval("select drop_partition('change', 1, current_date + 25)"):
            pass
    assert ids(await read_since(database, middle)) == ["YOUNG"]
    await check(database, middle)
    with pytest.raises(CursorExpired):
        await check(database, start)


async def test_stands_behind_what_was_dropped_when_the_log_is_empty(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await write(connection, "ONE")
        before = await read_position(database)
        await connection.execute("update change set at = at - interval '30 days'")
        await connection.execute("select drop_partition('change', 1, now() - interval '20 days')")
        assert await connection.fetchval("select count(*) from change") == 0
    assert (await read_position(database)).snapshot.xmax == before.snapshot.xmax


async def test_knows_where_it_was_at_an_instant(database: Database, database_url: str):
    mark = "insert into log_mark (at, position) values ($1, log_position())"
    first = datetime.now(UTC)
    async with owner(database_url) as connection:
        await connection.execute(mark, first)
        await write(connection, "ONE")
        await connection.execute(mark, first + timedelta(seconds=10))
        await write(connection, "TWO")
    for seconds, expected in ((0, ["ONE", "TWO"]), (9, ["ONE", "TWO"]), (10, ["TWO"]), (99, ["TWO"])):
        since = await position_since(database, first + timedelta(seconds=seconds))
        assert ids(await read_since(database, since)) == expected
    with pytest.raises(CursorExpired):
        await position_since(database, first - timedelta(days=1))


async def test_has_another_epoch_in_a_copy(database: Database, database_url: str, cluster: Cluster):
    """A database made from this one as its template: same cluster, same salt."""
    position = await read_position(database)
    await database.close()
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with owner(cluster.dsn) as administrator:
        await administrator.execute(f"create database copy_{name} template {name} strategy file_copy")
        try:
            async with owner(database_url.replace(name, f"copy_{name}")) as connection:
                assert await connection.fetchval("select renew_log()")
                assert await connection.fetchval("select epoch from log_state") != position.epoch
                assert not await connection.fetchval("select renew_log()"), "its own log is kept"
        finally:
            await administrator.execute(f"drop database copy_{name} with (force)")
