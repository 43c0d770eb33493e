"""Readings and sessions."""

import asyncpg
import pytest

from app.db.engine import Connection, Database


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
