"""The world that is measured: at least so many EVSEs, made in SQL out of imported ones, kept between runs.

It lies in a private cluster of its own in a data directory of its own, so that no other work of the hub is disturbed.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import Table

from app.auth import hash_secret, new_secret, shown_prefix
from app.db.cluster import DATABASE
from app.db.migrate import newest_revision
from app.db.tables import evse, location
from app.settings import Settings
from app.vocabulary import AuthMethod, ConnectorFormat, ConnectorStandard, connector_mask
from tests.benchmarks.questions import RARE, Spot

HERE = Path(__file__).parent
REGISTER = Path(__file__).parents[3] / "shared" / "data" / "irve" / "irve-static-fr.csv.gz"
WORLD, IMPORTED = "world", "imported"
NSP = "Benchmark NSP"
#: A new number makes kept worlds be created again.
LAYOUT = 3

#: In the ids of copies.
COPIED = "EB"
#: How a copy differs from its original; in SQL, `copy` is its number and `nth` the number of the EVSE.
RENAMED = {
    "evse_id": f"left(evse_id, 5) || '{COPIED}' || copy || 'B' || nth",
    "evse_id_as_sent": f"left(evse_id, 5) || '{COPIED}' || copy || 'B' || nth",
    "location_id": "location_id || '-B' || copy",
}
#: Copies a few kilometres further make cities denser.
DENSER = RENAMED | {
    "longitude": "least(longitude + copy * 0.037, 180)",
    "latitude": "least(latitude + copy * 0.023, 90)",
}
#: Copies far to the east are more countries, with cities like the first one's.
WIDER = RENAMED | {"longitude": "(longitude + copy * 16 + 180)::numeric % 360 - 180"}


@dataclass(frozen=True, slots=True)
class Import:
    """What the import of the real file, or of the demo, cost."""

    what: str
    seconds: float
    peak_mb: float
    evses: int


@dataclass(frozen=True, slots=True)
class World:
    """A database full of EVSEs, and an NSP with a key."""

    dsn: str
    evses: int
    operators: int
    nsp_role_id: int
    key: str
    imported: Import | None


def prepare_world(dsn: str, size: int, measure_import: bool) -> World:
    """Return the kept world, or create it; measure the import too if asked to, or if it was needed anyhow.

    Raises: subprocess.CalledProcessError when the import fails.
    """
    kept = asyncio.run(_is_kept(dsn, WORLD, size))
    imported = _import(dsn) if measure_import or not kept else None
    if not kept:
        asyncio.run(_make_world(dsn, size))
    return asyncio.run(_describe(_dsn_of(dsn, WORLD), imported))


def prepare_grown(dsn: str, size: int) -> str:
    """Return the kept database with exactly so many EVSEs, as wide as there are many, or make it from the import's."""
    name = f"grown_{size}"
    if not asyncio.run(_is_kept(dsn, name, size)):
        asyncio.run(_make_grown(dsn, name, size))
    return _dsn_of(dsn, name)


async def _make_grown(dsn: str, name: str, size: int) -> None:
    await _administer(dsn, f"drop database if exists {name}")
    await _administer(dsn, f"create database {name} template {IMPORTED}")
    connection = await asyncpg.connect(_dsn_of(dsn, name), server_settings={"synchronous_commit": "off"})
    try:
        there = await connection.fetchval("select count(*) from evse")
        await connection.execute(_copying_sql(there, size, WIDER, exactly=True))
        await connection.execute("vacuum analyze")
        await connection.execute(f"comment on database {name} is '{_description(size)}'")
    finally:
        await connection.close()


async def _describe(world_dsn: str, imported: Import | None) -> World:
    connection = await asyncpg.connect(world_dsn)
    try:
        role_id, key = await _issue_key(connection)
        evses = await connection.fetchval("select count(*) from evse")
        operators = await connection.fetchval("select count(*) from operator")
    finally:
        await connection.close()
    return World(world_dsn, evses, operators, role_id, key, imported)


async def find_spots(dsn: str, count: int, seed: int) -> Sequence[Spot]:
    """Choose EVSEs that everybody may see, by a seed."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            "select evse_id, evse.longitude, evse.latitude from evse join operator on operator.no = operator_no"
            " where open and not suspended order by md5(evse_id || $1::text) limit $2",
            str(seed),
            count,
        )
    finally:
        await connection.close()
    return [Spot(*row) for row in rows]


# ---------------------------------------------------------------- the import


def _import(dsn: str) -> Import:
    """Run the hub's own import into an empty database; with it come the schema and its migrations."""
    asyncio.run(_administer(dsn, f"drop database if exists {IMPORTED}"))
    asyncio.run(_administer(dsn, f"create database {IMPORTED}"))
    imported_dsn = _dsn_of(dsn, IMPORTED)
    _ochub(imported_dsn, "migrate")
    real = REGISTER.exists()
    began = time.perf_counter()
    peak_mb = _ochub(imported_dsn, *(("import", "irve-static", str(REGISTER)) if real else ("demo",)))
    seconds = time.perf_counter() - began
    evses: int = asyncio.run(_administer(imported_dsn, "select count(*) from evse"))
    return Import(REGISTER.name if real else "the demo's data", seconds, peak_mb, evses)


def _ochub(dsn: str, *arguments: str) -> float:
    """Run a command of the hub; give the most memory it held, in MB."""
    command = [sys.executable, "-c", "from app.cli import main; main()", *arguments]
    process = subprocess.Popen(command, env=os.environ | {"DATABASE_URL": dsn}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_maxrss / 1024


# ---------------------------------------------------------------- the world


async def _is_kept(dsn: str, name: str, size: int) -> bool:
    comment = "select shobj_description(oid, 'pg_database') from pg_database where datname = $1"
    return await _administer(dsn, comment, name) == _description(size)


def _description(size: int) -> str:
    source = REGISTER.name if REGISTER.exists() else "the demo"
    return f"layout {LAYOUT}, revision {newest_revision()}, {size} EVSEs from {source}"


async def _make_world(dsn: str, size: int) -> None:
    """Make copies until there are enough, then the tables of the object-relational baseline; leave a note when done."""
    await _administer(dsn, f"drop database if exists {WORLD}")
    await _administer(dsn, f"create database {WORLD} template {IMPORTED}")
    connection = await asyncpg.connect(_dsn_of(dsn, WORLD), server_settings={"synchronous_commit": "off"})
    try:
        there = await connection.fetchval("select count(*) from evse")
        await connection.execute(_copying_sql(there, size, DENSER, exactly=False))
        await connection.execute(_partners_sql())
        await connection.execute(_normalising_sql())
        await connection.execute("vacuum analyze")
        await connection.execute(f"comment on database {WORLD} is '{_description(size)}'")
    finally:
        await connection.close()


def _copying_sql(there: int, size: int, shifted: Mapping[str, str], exactly: bool) -> str:
    """Return the SQL that makes copies until there are at least, or exactly, so many EVSEs."""
    return (
        (HERE / "copies.sql")
        .read_text()
        .format(
            copies=max(0, -(-size // there) - 1),
            missing=max(0, size - there) if exactly else "all",
            location_columns=", ".join(_stored(location)),
            location_copies=", ".join(shifted.get(name, name) for name in _stored(location)),
            evse_columns=", ".join(_stored(evse)),
            evse_copies=", ".join(shifted.get(name, name) for name in _stored(evse)),
        )
    )


def _partners_sql() -> str:
    rare_mask = connector_mask([(ConnectorStandard(RARE), ConnectorFormat.SOCKET)])
    return (HERE / "world.sql").read_text().format(nsp=NSP, rare=RARE, rare_mask=rare_mask)


def _stored(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.computed is None]


def _normalising_sql() -> str:
    words = ", ".join(f"'{word.value}'" for word in AuthMethod)
    text = (HERE / "normalised.sql").read_text()
    return text.format(auth_methods=f"array[{words}]", runtime_role=Settings().runtime_role)


async def _issue_key(connection: asyncpg.Connection) -> tuple[int, str]:
    """Issue the NSP's only key; return its role and the key."""
    role = await connection.fetchrow(
        "select partner_role.id, partner_id from partner join partner_role on partner_id = partner.id where name = $1",
        NSP,
    )
    assert role is not None
    secret = new_secret()
    await connection.execute("delete from api_key where role_id = $1", role["id"])
    await connection.execute(
        "insert into api_key (role_id, partner_id, prefix, secret_hash, created_at) values ($1, $2, $3, $4, now())",
        role["id"],
        role["partner_id"],
        shown_prefix(secret),
        hash_secret(secret),
    )
    return role["id"], secret


async def _administer(dsn: str, statement: str, *arguments: object) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()


def _dsn_of(dsn: str, database: str) -> str:
    return dsn.replace(f"/{DATABASE}?", f"/{database}?")
