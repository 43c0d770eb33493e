"""Migrations lead to the declared tables, run once, and say what they lack."""

import asyncio

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.migrate import is_current, migrate, sqlalchemy_url
from app.db.tables import metadata
from app.settings import Settings

#: Tables that PostGIS brings along.
FOREIGN = {"spatial_ref_sys"}


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
    return [difference for difference in compare_metadata(context, metadata) if not _is_foreign(difference)]


def _is_foreign(difference: object) -> bool:
    return isinstance(difference, tuple) and getattr(difference[1], "name", None) in FOREIGN


async def test_lead_to_the_declared_tables(database_url: str):
    engine = create_async_engine(sqlalchemy_url(database_url))
    try:
        async with engine.connect() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()


async def test_notice_a_column_that_is_not_declared(database_url: str):
    connection = await asyncpg.connect(database_url)
    await connection.execute("alter table partner add column forgotten text")
    await connection.close()
    engine = create_async_engine(sqlalchemy_url(database_url))
    try:
        async with engine.connect() as sync:
            assert len(await sync.run_sync(differences)) == 1
    finally:
        await engine.dispose()


async def test_lead_to_the_declared_constraints(database_url: str):
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "select conname from pg_constraint join pg_class on pg_class.oid = conrelid where relname = any($1)",
        [table.name for table in metadata.sorted_tables],
    )
    await connection.close()
    declared = {str(c.name) for table in metadata.sorted_tables for c in table.constraints if c.name}
    assert declared <= {row["conname"] for row in rows}


async def test_can_be_started_by_several_at_once_and_again(database_url: str):
    await asyncio.gather(*(migrate(database_url, Settings()) for _ in range(4)))
    assert await is_current(database_url)
