"""Nothing is lost and nothing out of order, whatever the order of commits, whoever is cut off, and whatever crashes."""

import asyncio
import os
import random
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from app.db import cluster as clusters
from app.db.cluster import Cluster
from app.db.engine import Database
from app.db.migrate import migrate
from app.live.bus import Bus
from app.live.cursor import Position, decode_cursor, encode_cursor
from app.live.keeper import keep
from app.live.log import read_log, read_state
from app.settings import Settings
from tests.databases import CLUSTERS
from tests.exchange.world import add_evse, add_register_operator, owner
from tests.live.log_world import complete, head, ids, read_complete

WRITERS = 8
EVSES = 12
Place = tuple[int, int]
#: What happens to who is connected when a server goes away.
CUT = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def make_evses(database: Database) -> None:
    await add_register_operator(database, "DE8AC", evses=0)
    for number in range(EVSES):
        await add_evse(database, "DE8AC", number)


async def write(dsn: str, dice: random.Random, times: int) -> int:
    """Change real rows in transactions of 0 to 50 ms, some of which are rolled back; give how many were committed."""
    connection = await asyncpg.connect(dsn, timeout=30)
    committed = 0
    try:
        for _ in range(times):
            transaction = connection.transaction()
            await transaction.start()
            chosen = sorted(f"DE8ACE{n}" for n in dice.sample(range(EVSES), dice.randint(1, 3)))
            for evse_id in chosen:
                await connection.execute(
                    "update evse set content_hash = $2 where evse_id = $1", evse_id, dice.randbytes(8)
                )
            await asyncio.sleep(dice.uniform(0, 0.05))
            if dice.random() < 0.1:
                await transaction.rollback()
            else:
                await transaction.commit()
                committed += 1
    finally:
        connection.terminate()
    return committed


async def write_through(dsn: str, dice: random.Random, times: int) -> None:
    """Write as `write` does, and connect again when the server has gone."""
    while times > 0:
        with suppress(*CUT):
            await write(dsn, dice, 5)
            times -= 5
        await asyncio.sleep(0.05)


class Reader:
    """Reads until it is told that all was written, then the rest; keeps what it read in order."""

    def __init__(self, dsn: str, start: Position, dice: random.Random) -> None:
        self.dsn, self.after, self.dice = dsn, start, dice
        self.read: list[Place] = []
        self.no_more_is_written = False

    async def run(self) -> None:
        database = await Database.open(self.dsn, Settings(pool_size=1))
        try:
            idle = False
            while not (self.no_more_is_written and idle):
                with suppress(*CUT):
                    idle = await self.step(database)
        finally:
            database.terminate()

    async def step(self, database: Database) -> bool:
        """Read a page; say whether there was nothing left to read."""
        batch = await read_log(database, self.after, self.dice.randint(1, 20))
        self.read += [(row.transaction, row.id) for row in batch.rows]
        self.after = batch.upto
        if not batch.more:
            await self.pause()
        return not batch.rows

    async def pause(self) -> None:
        await asyncio.sleep(0.01)


class ReaderThatIsCut(Reader):
    """Loses its connection again and again, and goes on by the cursor's text. Half of its pages get lost on the way."""

    async def step(self, database: Database) -> bool:
        state = await read_state(database)
        cursor = encode_cursor(state.epoch, self.after)
        batch = await read_log(database, decode_cursor(cursor, state.epoch), self.dice.randint(1, 20), state.epoch)
        if self.dice.random() < 0.5:
            await database.reads.expire_connections()
            return False
        self.read += [(row.transaction, row.id) for row in batch.rows]
        self.after = batch.upto
        return not batch.rows


class ReaderThatIsWoken(Reader):
    """Waits for the bus, a second at most."""

    bus: Bus

    async def run(self) -> None:
        async with Bus.open(self.dsn, Settings()) as self.bus:
            await super().run()

    async def pause(self) -> None:
        await self.bus.wait(1)


class NaiveReader(Reader):
    """The broken twin: a serial number is not the order of commits."""

    last = 0

    async def step(self, database: Database) -> bool:
        rows = await database.fetch("select transaction, id from change where id > $1 order by id limit 20", self.last)
        self.read += [(row["transaction"], row["id"]) for row in rows]
        self.last = max([self.last, *(row["id"] for row in rows)])
        if not rows:
            await self.pause()
        return not rows


async def written_after(database: Database, start: Position) -> list[Place]:
    rows = await database.fetch(
        "select transaction, id from change where transaction >= $1 order by transaction, id", start.transaction
    )
    return [(row["transaction"], row["id"]) for row in rows]


async def read_while(readers: list[Reader], database_url: str, writing: Awaitable[object]) -> None:
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        async with asyncio.timeout(300):
            await writing
            database = await Database.open(database_url, Settings(pool_size=1))
            await complete(database)
            database.terminate()
            for reader in readers:
                reader.no_more_is_written = True
            await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def keepers(dsn: str, count: int) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run so many processes' keepers; one of them is it."""
    async with Bus.open(dsn, Settings()) as bus:
        tasks = [asyncio.create_task(keep(dsn, Settings(), bus)) for _ in range(count)]
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_loses_nothing_where_a_naive_reader_does(database: Database, database_url: str, seed: int):
    dice = random.Random(seed)
    await make_evses(database)
    start = await head(database)
    kinds = (Reader, ReaderThatIsCut, ReaderThatIsCut, ReaderThatIsWoken, NaiveReader)
    readers = [kind(database_url, start, random.Random(dice.random())) for kind in kinds]
    naive = readers[-1]
    assert isinstance(naive, NaiveReader)
    naive.last = max((row[0] for row in await database.fetch("select max(id) from change")), default=0)
    async with keepers(database_url, 2), owner(database_url) as connection:
        writing = asyncio.gather(*(write(database_url, random.Random(dice.random()), 40) for _ in range(WRITERS)))
        task = asyncio.create_task(read_while(readers, database_url, writing))
        for _ in range(3):  # whoever is the keeper loses its connection in the middle
            await asyncio.sleep(0.3)
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name in ('ochub keeper', 'ochub bus') and datname = current_database()"
            )
        await task
    expected = await written_after(database, start)
    assert len(expected) > sum(await writing)
    for reader in readers[:-1]:
        assert reader.read == expected, type(reader).__name__
    lost = set(expected) - set(naive.read)
    assert lost, "the naive reader lost nothing: this proves nothing"


# ---------------------------------------------------------------- a server that crashes


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory for a cluster of the test's own, which may crash and is as safe as a real one."""
    path = CLUSTERS / f"ochub-crash-{uuid4().hex[:8]}"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def crash(cluster: Cluster) -> None:
    """End a server at once: what it has not written by now is lost."""
    os.kill(int((cluster.home / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)


async def recover(home: Path) -> None:
    """Start the server again; it repairs itself."""
    (await asyncio.to_thread(clusters.start, home)).stop()


@pytest.mark.process
async def test_loses_nothing_when_the_server_crashes_in_the_middle(home: Path, seed: int):
    dice = random.Random(seed)
    with await asyncio.to_thread(clusters.start, home) as server:
        await migrate(server.dsn, Settings())
        database = await Database.open(server.dsn, Settings())
        await make_evses(database)
        start = await head(database)
        kinds = (Reader, ReaderThatIsCut, ReaderThatIsWoken)
        readers = [kind(server.dsn, start, random.Random(dice.random())) for kind in kinds]
        async with keepers(server.dsn, 2):
            writers = (write_through(server.dsn, random.Random(dice.random()), 60) for _ in range(WRITERS))
            writing = asyncio.gather(*writers)
            task = asyncio.create_task(read_while(readers, server.dsn, writing))
            for _ in range(2):
                await asyncio.sleep(0.6)
                crash(server)
                await recover(home)
            await task
        expected = await written_after(database, start)
        database.terminate()
    assert len(expected) > 100
    for reader in readers:
        assert reader.read == expected, type(reader).__name__


async def roll_back(connection: asyncpg.Connection, times: int) -> None:
    for _ in range(times):
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("insert into scratch values (1)")
        await transaction.rollback()


@pytest.mark.process
async def test_stands_behind_rows_because_numbers_come_again_after_a_crash(home: Path):
    """A cursor at the horizon would have passed over a change."""
    with await asyncio.to_thread(clusters.start, home) as server:
        await migrate(server.dsn, Settings())
        async with owner(server.dsn) as connection:
            # Nothing is written to the disk that nobody waits for.
            await connection.execute("alter system set wal_writer_delay = '10s'")
            await connection.execute("select pg_reload_conf()")
            await connection.execute("create table if not exists scratch (n integer)")
        # Whoever writes to the disk may have done so just then: only a number that came again proves anything.
        came_again = [await crash_beyond_the_disk(server, home, f"AGAIN{attempt}") for attempt in range(2)]
        while not any(came_again):
            assert len(came_again) < 10, "no number came again: this proves nothing"
            came_again.append(await crash_beyond_the_disk(server, home, f"AGAIN{len(came_again)}"))


async def crash_beyond_the_disk(server: Cluster, home: Path, entity_id: str) -> bool:
    """Crash after transactions that left nothing behind, then log a change, which a reader from before must find.

    Gives whether the change bears a number below the horizon from before.
    """
    database = await Database.open(server.dsn, Settings())
    async with owner(server.dsn) as connection:
        await roll_back(connection, 1)  # wakes the process that writes, so that it sleeps anew
        await connection.execute("select pg_sleep(0.5)")
        await roll_back(connection, 20)
    state = await read_state(database)
    crash(server)
    database.terminate()
    await recover(home)
    database = await Database.open(server.dsn, Settings())
    async with owner(server.dsn) as connection:
        await connection.execute("insert into change (kind, entity_id) values ('EVSE', $1)", entity_id)
    assert ids(await read_complete(database, state.head)) == [entity_id]
    [row] = await database.fetch("select transaction from change where entity_id = $1", entity_id)
    database.terminate()
    return row["transaction"] < state.horizon


@pytest.mark.process
async def test_has_another_epoch_in_a_restored_dump(database: Database, database_url: str, cluster: Cluster):
    """Dumped here, restored beside: the same salt, another database."""
    state = await read_state(database)
    name = f"restored_{uuid4().hex}"
    restored = database_url.replace(database_url.partition("?")[0].rpartition("/")[2], name)
    async with owner(cluster.dsn) as administrator:
        await administrator.execute(f"create database {name}")
        try:
            await dump_and_restore(database_url, restored)
            async with owner(restored) as connection:
                assert await connection.fetchval("select log_epoch()") != state.epoch
                assert (
                    await connection.fetchval("select salt from log_state")
                    == ((await database.fetch("select salt from log_state"))[0][0])
                )
        finally:
            await administrator.execute(f"drop database {name} with (force)")


async def dump_and_restore(source: str, target: str) -> None:
    # Both as the server's user does it, over its socket, whoever runs the tests: peers are mapped to one role.
    dump = await asyncio.create_subprocess_exec("pg_dump", source, stdout=asyncio.subprocess.PIPE)
    assert dump.stdout is not None
    script, _ = await dump.communicate()
    load = await asyncio.create_subprocess_exec(
        "psql", "-q", "-v", "ON_ERROR_STOP=1", target, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    await load.communicate(script)
    assert (dump.returncode, load.returncode) == (0, 0)
