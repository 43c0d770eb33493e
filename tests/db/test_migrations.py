"""Migrations lead to the declared tables, run once, and say what they lack."""

import asyncio
import re
from uuid import uuid4

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Constraint, PrimaryKeyConstraint
from sqlalchemy.ext.asyncio import create_async_engine

from app.db.cluster import Cluster
from app.db.migrate import is_current, migrate, sqlalchemy_url
from app.db.tables import metadata
from app.settings import Settings
from tests.waiting import until_locked_out

#: Tables that PostGIS brings along, and partitions, which the hub makes and drops by itself.
UNDECLARED = re.compile(r"spatial_ref_sys|.*_(\d{8}|default)")


def differences(connection: Connection) -> list[object]:
    options = {"compare_type": True, "compare_server_default": False, "include_name": _is_declared}
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


def _is_declared(name: str | None, kind: str, parents: object) -> bool:
    return kind != "table" or not UNDECLARED.fullmatch(name or "")


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


def _is_empty(constraint: Constraint) -> bool:
    """Return whether this is SQLAlchemy's sign for a table without a primary key."""
    return isinstance(constraint, PrimaryKeyConstraint) and not constraint.columns


async def test_lead_to_the_declared_constraints(database_url: str):
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        "select conname from pg_constraint join pg_class on pg_class.oid = conrelid where relname = any($1)",
        [table.name for table in metadata.sorted_tables],
    )
    await connection.close()
    declared = {
        str(c.name) for table in metadata.sorted_tables for c in table.constraints if c.name and not _is_empty(c)
    }
    assert declared <= {row["conname"] for row in rows}


async def test_leave_no_trigger_function_without_its_trigger(database_url: str):
    connection = await asyncpg.connect(database_url)
    idle = await connection.fetch("""
        select proname from pg_proc
        where prorettype = 'trigger'::regtype and pronamespace = 'public'::regnamespace
        and not exists (select from pg_trigger where tgfoid = pg_proc.oid)
        and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e')""")
    await connection.close()
    assert [row["proname"] for row in idle] == []


async def test_can_be_started_by_several_at_once_and_again(database_url: str):
    await asyncio.gather(*(migrate(database_url, Settings()) for _ in range(4)))
    assert await is_current(database_url)


async def test_use_the_role_that_a_migration_of_another_database_creates_meanwhile(cluster: Cluster, database_url: str):
    role = f"hub_{uuid4().hex}"
    other, watcher = await asyncpg.connect(cluster.dsn), await asyncpg.connect(database_url)
    try:
        await other.execute(f"begin; create role {role} nologin")
        migrating = asyncio.create_task(migrate(database_url, Settings(runtime_role=role)))
        await until_locked_out(watcher, task=migrating)
        await other.execute("commit")
        await migrating
    finally:
        await other.close()
        await watcher.execute(f"drop owned by {role}; drop role {role}")
        await watcher.close()
