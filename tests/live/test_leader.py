"""One process leads, another takes over, and its duties may be done twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from app.db.engine import Database
from app.live.log.leader import clear_log, lead, mark
from app.live.log.rows import position_since, read_position
from app.live.log.wake_up import Bus
from app.settings import Settings
from tests.exchange.world import owner
from tests.live.log_world import ids, read_since
from tests.waiting import eventually, until_locked_out

INSERT = "insert into change (kind, entity_id) values ('EVSE', $1)"
HOLDER = """
select pid from pg_locks where locktype = 'advisory' and granted and objid = 3148
and database = (select oid from pg_database where datname = current_database())
"""


@asynccontextmanager
async def leading(dsn: str, *duties: Any) -> AsyncIterator[Bus]:
    """Run a process's leader, and yield its bus."""
    settings = Settings(database_url=dsn)
    async with Bus.open(dsn, settings) as bus:
        task = asyncio.create_task(lead(dsn, settings, bus, duties))
        try:
            yield bus
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_is_one_of_several_and_another_when_that_is_gone(database_url: str):
    done: list[str] = []

    def duty(name: str) -> Callable[[Database, datetime], Awaitable[None]]:
        async def work(_database: Database, _now: datetime) -> None:
            done.append(name)

        return work

    async def did(name: str) -> bool:
        return name in done

    async with owner(database_url) as connection, leading(database_url, duty("first")):
        await eventually(lambda: did("first"))
        async with leading(database_url, duty("second")):
            assert len(await connection.fetch(HOLDER)) == 1
            # Its connection is cut: the next process that asks for the lock leads.
            before = await eventually(lambda: connection.fetchval(HOLDER))
            await connection.execute("select pg_terminate_backend($1)", before)
            await eventually(lambda: _other(connection, before))
            assert len(await connection.fetch(HOLDER)) == 1
    assert done


async def _other(connection: asyncpg.Connection, before: int) -> bool:
    return await connection.fetchval(HOLDER) not in (None, before)


async def test_goes_on_after_a_duty_that_failed(database_url: str):
    done: list[int] = []

    async def fail(_database: Database, _now: datetime) -> None:
        raise ValueError("a fault of ours")

    async def count(_database: Database, _now: datetime) -> None:
        done.append(1)

    async def enough() -> bool:
        return len(done) > 1

    async with leading(database_url, fail, count):
        await eventually(enough)


async def test_wakes_readers_of_other_processes_after_its_own_commits(database_url: str):
    """A mark or an expired status reaches readers before their next poll."""

    async def write(database: Database, now: datetime) -> None:
        await mark(database, now)

    settings = Settings(database_url=database_url)
    async with leading(database_url, write), Bus.open(database_url, settings) as other:
        async with asyncio.timeout(60):
            while not other.connected:
                await other.wait(0.1)
        while not await other.wait(5):
            pass


async def test_makes_partitions_ahead_and_drops_old_ones(database: Database, database_url: str):
    settings = Settings(change_days=0, status_history_days=1)
    parts = "select count(*) from pg_inherits where inhparent = $1::text::regclass"
    async with owner(database_url) as connection:
        await connection.execute(
            """
            create table change_20010101 partition of change for values from ('2001-01-01') to ('2001-01-02');
            create table status_history_20010104 partition of status_history
                for values from ('2001-01-04') to ('2001-01-11');
            insert into change (kind, entity_id, at) values ('EVSE', 'OLD', '2001-01-01 12:00Z');
            insert into change (kind, entity_id, at) values ('EVSE', 'OLD, NOWHERE', '2000-01-01 12:00Z');
            """
        )
        before = await read_position(database)
        await connection.execute(INSERT, "NEW")
        await clear_log(database, settings)
        await clear_log(database, settings)
        assert await connection.fetchval(parts, "change") == 5  # today, three days ahead, the one by default
        assert await connection.fetchval(parts, "status_history") == 3
        rows = await read_since(database, before)
        assert ids(rows) == ["NEW"]
        assert await connection.fetchval("select count(*) from change") == 1
        assert (await read_position(database)).floor == before.snapshot.xmax


async def test_makes_a_partition_that_readers_cannot_tell_from_the_others(database: Database, database_url: str):
    columns = """
        select attname, atttypid, attnotnull, pg_get_expr(adbin, adrelid) from pg_attribute
        left join pg_attrdef on (adrelid, adnum) = (attrelid, attnum) where attrelid = $1::text::regclass and attnum > 0
    """
    async with owner(database_url) as connection:
        assert await connection.fetchval("select make_partition('change', 1, 10)")
        name = await connection.fetchval(
            "select 'change_' || to_char((now() at time zone 'UTC')::date + 10, 'YYYYMMDD')"
        )
        assert await connection.fetch(columns, name) == await connection.fetch(columns, "change_default")
        await connection.execute("insert into change (kind, entity_id, at) values ('EVSE', 'X', now() + '10 days')")
        assert await connection.fetchval(f"select entity_id from {name}") == "X"
        indexes = "select count(*) from pg_index where indrelid = $1::text::regclass"
        assert await connection.fetchval(indexes, name) == await connection.fetchval(indexes, "change_default")


async def test_leaves_days_where_they_are_that_nobody_made_a_partition_for(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await connection.execute("insert into change (kind, entity_id, at) values ('EVSE', 'X', now() + '10 days')")
        assert not await connection.fetchval("select make_partition('change', 1, 10)")
        assert await connection.fetchval("select make_partition('change', 1, 11)")


async def test_gives_up_soon_where_a_lock_is_held(database: Database, database_url: str):
    async with owner(database_url) as holder, owner(database_url) as connection:
        await connection.execute(
            "create table change_20010101 partition of change for values from ('2001-01-01') to ('2001-01-02')"
        )
        async with holder.transaction():
            await holder.execute(INSERT, "SLOW")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await connection.execute("select drop_partition('change', 1, now())")
        assert await connection.fetchval("select drop_partition('change', 1, now())")


async def test_marks_how_far_the_log_was(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await connection.execute(INSERT, "ONE")
        await mark(database, datetime.now(UTC))
        instant = await connection.fetchval("select clock_timestamp()")
        await connection.execute(INSERT, "TWO")
        assert ids(await read_since(database, await position_since(database, instant))) == ["TWO"]


async def test_begins_a_log_anew_whose_numbers_are_another_clusters(database: Database, database_url: str):
    """A restored dump: it has numbers and scopes of transactions that this server has not reached."""
    async with owner(database_url) as connection:
        await connection.execute(
            "insert into change (transaction, kind, entity_id)"
            " select pg_current_xact_id()::text::bigint + 1000000, 'EVSE', 'FOREIGN'"
        )
        await connection.execute("insert into operator (party_id, name, open) values ('DE8AC', 'Open', true)")
        await connection.execute("update viewer_scope set began = began + 1000000")
        await connection.execute("update log_state set floor = floor + 1000000, written_by = 'another'")
        before = await read_position(database)
        async with leading(database_url):
            await eventually(lambda: connection.fetchval("select written_by <> 'another' from log_state"))
        start = await read_position(database)
        assert start.epoch != before.epoch
        await connection.execute(INSERT, "OURS")
        assert ids(await read_since(database, start)) == ["OURS"]
        assert not await connection.fetchval("select renew_log()")
        assert [row[0] for row in await database.fetch("select visible_operators(null)")] == [
            await connection.fetchval("select no from operator")
        ]


async def test_keeps_what_ended_as_long_as_cursors_live(database: Database, database_url: str):
    async with owner(database_url) as connection:
        await connection.execute("insert into operator (party_id, name, open) values ('DE8AC', 'Open', true)")
        await connection.execute("update operator set open = false")
        ended = "select count(*) from viewer_scope where ended is not null"
        await clear_log(database, Settings())
        assert await connection.fetchval(ended) == 1
        await connection.execute("update viewer_scope set ended_at = ended_at - interval '9 days'")
        await clear_log(database, Settings())
        assert await connection.fetchval(ended) == 0


async def test_begins_a_new_log_while_others_change_what_may_be_seen(database_url: str):
    """They wait for it, and it does not wait for them."""
    async with owner(database_url) as leader, owner(database_url) as other:
        await leader.execute("update log_state set written_by = 'another'")
        partner_id = await leader.fetchval(
            "insert into partner (id, name) values (gen_random_uuid(), 'P') returning id"
        )
        async with leader.transaction():
            await leader.execute("select renew_log()")
            add = "insert into partner_role (partner_id, role, party_id) values ($1, 'PSO', 'DE8AC')"
            adding = asyncio.create_task(other.execute(add, partner_id))
            await until_locked_out(leader, task=adding)
            await leader.execute("select refresh_viewer_scope(null)")
        await adding
        assert await leader.fetchval("select count(*) from viewer_scope where kind = 'PSO'") == 1
