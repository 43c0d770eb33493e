"""No change is lost or read twice, whatever the order of commits, and whichever connections or servers fail."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from app.db import cluster as clusters
from app.db.cluster import Cluster
from app.db.engine import Database, Reading
from app.db.lending import Unavailable
from app.db.migrate import migrate
from app.live.log.cursor import Cursor, Position, Snapshot, decode_cursor, encode_cursor
from app.live.log.rows import read_position, read_rows
from app.live.log.wake_up import Bus
from app.settings import Settings
from tests.crashes import crash, crash_safe_home, recover
from tests.exchange.world import add_evse, add_register_operator, owner
from tests.length import rounds
from tests.live.log_world import ALL_KINDS, ids, read_since
from tests.live.streams import until
from tests.waiting import eventually

WRITERS, EVSES = 8, 12
#: Rows of one transaction that stays open all the time.
LATE_ROWS = rounds(5_000, full=100_000)
RowKey = tuple[int, int]
#: How connections fail when a server goes away.
CUT = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, Unavailable)

INSERT = "insert into change (kind, entity_id) values ('EVSE', $1)"
HASHES = "select evse_id, content_hash from evse where evse_id = any($1)"


# ---------------------------------------------------------------- writers


async def make_evses(database: Database) -> None:
    await add_register_operator(database, "DE8AC", evses=0)
    for number in range(EVSES):
        await add_evse(database, "DE8AC", number)


async def write(dsn: str, dice: random.Random, times: int, bus: Bus) -> None:
    """Change rows in transactions of 0 to 50 ms, a tenth of which is rolled back."""
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        for _ in range(times):
            transaction = connection.transaction()
            await transaction.start()
            for number in sorted(dice.sample(range(EVSES), dice.randint(1, 3))):
                change = "update evse set content_hash = $2 where evse_id = $1"
                await connection.execute(change, f"DE8ACE{number}", dice.randbytes(8))
            await asyncio.sleep(dice.uniform(0, 0.05))
            if dice.random() < 0.1:
                await transaction.rollback()
            else:
                await transaction.commit()
                bus.announce()
    finally:
        connection.terminate()


async def write_through(dsn: str, dice: random.Random, times: int, bus: Bus) -> None:
    """Write as `write` does, and connect again after a crash."""
    while times > 0:
        with suppress(*CUT):
            await write(dsn, dice, 5, bus)
            times -= 5
        await asyncio.sleep(0.05)


@asynccontextmanager
async def open_transaction(dsn: str, sql: str) -> AsyncIterator[None]:
    """Keep a transaction with a write open during the block, then commit it."""
    async with owner(dsn) as connection, connection.transaction():
        await connection.execute(sql)
        yield


# ---------------------------------------------------------------- readers


class Reader:
    """Reads pages until it is stopped. `read`: rows as they came; `held`: states of EVSEs that changed."""

    def __init__(self, dsn: str, start: Position, dice: random.Random) -> None:
        self.dsn, self.dice = dsn, dice
        self.cursor = Cursor(start)
        self.read: list[RowKey] = []
        self.held: dict[str, bytes] = {}
        self.idle = 0

    async def run(self) -> None:
        database = await Database.open(self.dsn, Settings(pool_size=1))
        try:
            while True:
                with suppress(*CUT):
                    if not await self.step(database):
                        self.idle += 1
                        await self.pause()
        finally:
            database.terminate()

    async def step(self, database: Database) -> bool:
        """Read a page. Return whether there may be more."""
        async with database.reading() as reading:
            keys, held, cursor = await self.page(reading)
        if self.arrives():
            self.read += keys
            self.held |= held
            self.cursor = cursor
        return bool(keys) or not cursor.is_whole

    def arrives(self) -> bool:
        return True

    async def page(self, reading: Reading) -> tuple[Sequence[RowKey], dict[str, bytes], Cursor]:
        cursor = decode_cursor(encode_cursor(self.cursor))
        target = cursor.target or await read_position(reading)
        base, after = cursor.base.snapshot, (cursor.transaction, cursor.row)
        batch = await read_rows(reading, base, target.snapshot, after, ALL_KINDS, self.limit())
        cursor = replace(cursor, target=target)
        if batch.upto is None:
            cursor = self.at(target)
        else:
            cursor = replace(cursor, transaction=batch.upto[0], row=batch.upto[1])
        held = await reading.fetch(HASHES, list({*ids(batch.rows)}))
        return [(row.transaction, row.id) for row in batch.rows], {row[0]: row[1] for row in held}, cursor

    def limit(self) -> int:
        return self.dice.choice([1, 7, 40, 1_000, 1_000])

    def at(self, position: Position) -> Cursor:
        return Cursor(position)

    async def pause(self) -> None:
        await asyncio.sleep(self.dice.uniform(0, 0.03))


class ReaderThatIsCut(Reader):
    """Loses its connection with half of its pages, and goes on by its last cursor."""

    async def step(self, database: Database) -> bool:
        more = await super().step(database)
        await database.reads.expire_connections()
        return more

    def arrives(self) -> bool:
        return self.dice.random() < 0.5

    def limit(self) -> int:
        return self.dice.choice([40, 1_000, 5_000])


class ReaderThatIsWoken(Reader):
    """Waits for the bus, a second at most."""

    async def run(self) -> None:
        async with Bus.open(self.dsn, Settings()) as self.bus:
            await super().run()

    async def pause(self) -> None:
        await self.bus.wait(1)


class ReaderByXmax(Reader):
    """A broken twin: it ignores which transactions below `xmax` had not ended."""

    def at(self, position: Position) -> Cursor:
        return Cursor(replace(position, snapshot=Snapshot(position.snapshot.xmax)))


class ReaderById(Reader):
    """A broken twin: a serial number is not the order of commits."""

    last = 0

    async def page(self, reading: Reading) -> tuple[Sequence[RowKey], dict[str, bytes], Cursor]:
        rows = await reading.fetch("select transaction, id from change where id > $1 order by id limit 1000", self.last)
        self.last = max([self.last, *(row[1] for row in rows)])
        return [(row[0], row[1]) for row in rows], {}, self.cursor


@asynccontextmanager
async def running(readers: Sequence[Reader]) -> AsyncIterator[None]:
    async with asyncio.timeout(300), asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.run()) for reader in readers]
        yield
        for task in tasks:
            task.cancel()


async def caught_up(readers: Sequence[Reader]) -> None:
    """Wait until each reader has begun a read after now, and found nothing."""
    seen = [reader.idle for reader in readers]
    pairs = list(zip(readers, seen, strict=True))
    await until(lambda: all(reader.idle >= before + 2 for reader, before in pairs), "all readers are up to date")


async def written(database: Database) -> set[RowKey]:
    rows = await database.fetch("select transaction, id from change")
    return {(row[0], row[1]) for row in rows}


async def assert_has_all(database: Database, reader: Reader, expected: set[RowKey]) -> None:
    name = type(reader).__name__
    assert len(reader.read) == len({*reader.read}), f"{name} read a row twice"
    assert {*reader.read} == expected, f"{name} lost {len(expected - {*reader.read})}"
    present = await database.fetch(HASHES, list(reader.held))
    assert {row[0]: row[1] for row in present} == reader.held, f"{name} holds an old state"


# ---------------------------------------------------------------- commits in any order


async def test_loses_nothing_where_naive_readers_do(database: Database, database_url: str, cluster: Cluster, seed: int):
    """Beside a transaction of another database that never ends, and a big one of this database that ends last."""
    dice = random.Random(seed)
    await make_evses(database)
    before, start = await written(database), await read_position(database)
    last = max(id_ for _, id_ in before)

    def made(kind: type[Reader]) -> Reader:
        return kind(database_url, start, random.Random(dice.random()))

    good = [made(kind) for kind in (Reader, Reader, ReaderThatIsCut, ReaderThatIsCut, ReaderThatIsWoken)]
    by_xmax, by_id = made(ReaderByXmax), made(ReaderById)
    assert isinstance(by_id, ReaderById)
    by_id.last = last
    late = f"insert into change (kind, entity_id) select 'EVSE', n::text from generate_series(1, {LATE_ROWS}) n"
    everybody = [*good, by_xmax, by_id]
    async with (
        Bus.open(database_url, Settings()) as bus,
        owner(database_url) as connection,
        open_transaction(cluster.dsn, "select pg_current_xact_id()"),
        running(everybody),
    ):
        async with open_transaction(database_url, late):
            writers = [
                write(database_url, random.Random(dice.random()), rounds(20, full=200), bus) for _ in range(WRITERS)
            ]
            writing = asyncio.gather(*writers)
            for _ in range(3):
                enough = len(good[0].read) + 40
                await until(lambda enough=enough: len(good[0].read) >= enough, "more rows are read")
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'ochub bus' and datname = current_database()"
                )
            await writing
            await caught_up(everybody)
            expected = await written(database) - before
            assert len(expected) > WRITERS * 20
            for reader in good:
                await assert_has_all(database, reader, expected)
        await caught_up(everybody)
        expected = await written(database) - before
    for reader in good:
        await assert_has_all(database, reader, expected)
    for twin in (by_xmax, by_id):
        assert len(expected - {*twin.read}) >= LATE_ROWS, "the broken twin lost nothing: this proves nothing"


# ---------------------------------------------------------------- a server that crashes


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for a cluster of the test's own, which may crash and is as safe as a real one."""
    with crash_safe_home() as path:
        yield path


@pytest.mark.process
async def test_loses_nothing_when_the_server_is_killed_in_the_middle(home: Path, seed: int):
    dice = random.Random(seed)
    with await asyncio.to_thread(clusters.start, home) as server:
        await migrate(server.dsn, Settings())
        database = await Database.open(server.dsn, Settings())
        await make_evses(database)
        before, start = await written(database), await read_position(database)
        kinds = (Reader, ReaderThatIsCut, ReaderThatIsWoken)
        readers = [kind(server.dsn, start, random.Random(dice.random())) for kind in kinds]
        async with Bus.open(server.dsn, Settings()) as bus, running(readers):
            times = rounds(20, full=200)
            writers = [write_through(server.dsn, random.Random(dice.random()), times, bus) for _ in range(WRITERS)]
            writing = asyncio.gather(*writers)
            for how in (signal.SIGKILL, signal.SIGQUIT):
                enough = len(readers[0].read) + 20
                await until(lambda enough=enough: len(readers[0].read) >= enough, "more rows are read")
                crash(server, how)
                await recover(home)
            await writing
            await caught_up(readers)
        database.terminate()
        database = await Database.open(server.dsn, Settings())
        expected = await written(database) - before
        assert len(expected) > 100
        for reader in readers:
            await assert_has_all(database, reader, expected)
        database.terminate()


async def roll_back(connection: asyncpg.Connection, times: int) -> None:
    for _ in range(times):
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("insert into scratch values (1)")
        await transaction.rollback()


@pytest.mark.process
async def test_stands_behind_rows_because_numbers_come_again_after_a_crash(home: Path):
    """A cursor at the server's next number would have passed over a change."""
    with await asyncio.to_thread(clusters.start, home) as server:
        await migrate(server.dsn, Settings())
        async with owner(server.dsn) as connection:
            # Nothing is written to the disk unless a commit waits for it.
            await connection.execute("alter system set wal_writer_delay = '10s'")
            await connection.execute("select pg_reload_conf()")
            await connection.execute("create table scratch (n integer)")
        # The server may have written to the disk just then: only a number that came again proves anything.
        for attempt in range(10):
            if await crash_beyond_the_disk(server, home, f"AGAIN{attempt}"):
                return
    raise AssertionError("no number came again: this proves nothing")


WRITER_SLEEPS = "select wait_event = 'WalWriterMain' from pg_stat_activity where backend_type = 'walwriter'"


async def crash_beyond_the_disk(server: Cluster, home: Path, entity_id: str) -> bool:
    """Crash after transactions that left nothing behind, then log a change, which a reader from before must find.

    Return whether the change has a number below the server's next one from before.
    """
    async with owner(server.dsn) as connection:
        await eventually(lambda: connection.fetchval(WRITER_SLEEPS))
        await roll_back(connection, 20)
        next_number = await connection.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        position = Position.of(await connection.fetchval("select log_position()"))
    crash(server, signal.SIGQUIT)
    await recover(home)
    database = await Database.open(server.dsn, Settings())
    async with owner(server.dsn) as connection:
        await connection.execute(INSERT, entity_id)
    [row] = await read_since(database, position)
    database.terminate()
    assert row.entity_id == entity_id
    return row.transaction < next_number
