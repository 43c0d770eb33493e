"""Empty databases for the parts."""

import asyncpg


async def make_database(dsn: str, name: str) -> str:
    """Make an empty database on the server behind `dsn`, in place of one that an earlier run left."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"drop database if exists {name} with (force)")
    await connection.execute(f"create database {name}")
    await connection.close()
    head, _, tail = dsn.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{tail}"
