"""Readings and sessions."""

import asyncio

import asyncpg
import pytest

from app.db.engine import Connection, Database
from tests.exchange.world import owner


@pytest.mark.parametrize("planned", [False, True])
async def test_raises_the_error_of_the_statement_that_failed(database: Database, planned: bool):
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with database.reading() as reader:
            await reader.fetch("select 1 / 0", planned=planned)


async def test_announces_each_transaction_of_a_session(database: Database):
    """A list is followed by long work in the same session; readers of the log need not wait for its end."""
    announced: list[int] = []
    database.committed = lambda: announced.append(len(announced))

    async def work(connection: Connection) -> None:
        await connection.execute("select 1")

    async with database.session() as session:
        await session.write(work)
        assert announced == [0]
        await session.write(work)
    assert announced == [0, 1]


async def test_ends_when_it_is_cancelled_although_its_connection_was_cut(database: Database, database_url: str) -> None:
    """The end of the transaction fails then, and that error must not take the place of the cancellation."""
    is_cut = asyncio.Event()

    async def work(connection: Connection) -> None:
        connection.add_termination_listener(lambda _: is_cut.set())
        async with owner(database_url) as other:
            pid = await connection.fetchval("select pg_backend_pid()")
            await other.execute("select pg_terminate_backend($1)", pid)
        await is_cut.wait()
        writing.cancel()
        await asyncio.Event().wait()

    writing = asyncio.create_task(database.write(work))
    with pytest.raises(asyncio.CancelledError):
        await writing
