"""Bring a database to the present schema: tables by migrations, functions, triggers and views from `app/db/sql`.

Migrations change tables only. The files of `app/db/sql` hold the present text of everything else and are installed
whole whenever one of them is different. A migration drops first what cannot be replaced in place: a view that loses a
column, a function that returns something else.
"""

from hashlib import sha256
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.errors import HubError
from app.settings import Settings

SCRIPTS = Path(__file__).parents[2] / "migrations"

#: In the order in which they are installed: each uses those before it.
SQL_FILES = (
    "callers",
    "visibility",
    "status",
    "parking",
    "viewer_scope",
    "log",
    "partitions",
    "charge_points",
    "workflow",
    "authorisations",
    "sessions",
    "cdrs",
    "tariffs",
    "policies",
    "grants",
)

#: Geography, and times that exclude each other per EVSE.
EXTENSIONS = ("postgis", "btree_gist")

#: Any number of processes may start at once; one migrates, the others wait for it.
MIGRATION_LOCK = 0x0C4B


#: Roles belong to the whole server: a migration of another database, under a lock of its own, may create it meanwhile.
CREATE_ROLE = """
do $create_role$ begin create role {} nologin;
exception when duplicate_object or unique_violation then null;
end $create_role$
"""


class CannotMigrate(HubError):
    """The database lacks something that only its administrator can add."""

    code = "CANNOT_MIGRATE"


async def migrate(dsn: str, settings: Settings) -> None:
    """Create the runtime role and the extension where they are missing, then run the migrations that have not run.

    Raises: CannotMigrate with the SQL to run, when the rights are missing.
    """
    engine = create_async_engine(sqlalchemy_url(dsn), connect_args={"server_settings": {"lock_timeout": "5s"}})
    try:
        async with engine.connect() as lock:
            await lock.execute(text("set lock_timeout = 0"))
            await lock.execute(text(f"select pg_advisory_lock({MIGRATION_LOCK})"))
            await lock.commit()
            await _prepare(engine, settings.runtime_role)
            async with engine.connect() as connection:
                await connection.run_sync(_upgrade, settings.runtime_role)
                await _install_sql(connection, settings.runtime_role)
                await connection.execute(text("select renew_log()"))
                await connection.commit()
    finally:
        await engine.dispose()


def newest_revision() -> str | None:
    """Return the revision that this version of the hub expects."""
    return ScriptDirectory.from_config(_config()).get_current_head()


async def is_current(dsn: str) -> bool:
    """Return whether a database has the schema that this version of the hub expects."""
    engine = create_async_engine(sqlalchemy_url(dsn))
    try:
        async with engine.connect() as connection:
            found = await connection.run_sync(lambda c: MigrationContext.configure(c).get_current_revision())
        return found == newest_revision()
    finally:
        await engine.dispose()


def sqlalchemy_url(dsn: str) -> str:
    """Return the URL under which SQLAlchemy reaches a postgresql:// DSN with the driver the hub uses."""
    scheme, _, rest = dsn.partition("://")
    if scheme not in ("postgresql", "postgres"):
        raise CannotMigrate(f"DATABASE_URL begins with {scheme}://; expected postgresql://user@host/database")
    return f"postgresql+asyncpg://{rest}"


async def _prepare(engine: AsyncEngine, runtime_role: str) -> None:
    quoted = engine.dialect.identifier_preparer.quote(runtime_role)
    needed = " ".join(f"create extension {extension};" for extension in EXTENSIONS)
    async with engine.begin() as connection:
        is_there = text("select exists (select from pg_roles where rolname = :role)")
        member = text("select pg_has_role(current_user, :role, 'member')")
        try:
            for extension in EXTENSIONS:
                await connection.execute(text(f"create extension if not exists {extension}"))
            if not (await connection.execute(is_there, {"role": runtime_role})).scalar():
                await connection.execute(text(CREATE_ROLE.format(quoted)))
            if not (await connection.execute(member, {"role": runtime_role})).scalar():
                await connection.execute(text(f"grant {quoted} to current_user"))
        except Exception as error:
            raise CannotMigrate(
                f"cannot prepare the database: {getattr(error, 'orig', error)}",
                f"as its administrator run: {needed} create role {quoted} nologin; grant {quoted} to <the hub's user>;",
            ) from error


def _upgrade(connection: Connection, runtime_role: str) -> None:
    config = _config()
    config.attributes.update(connection=connection, runtime_role=runtime_role)
    command.upgrade(config, "head")
    connection.commit()


async def _install_sql(connection: AsyncConnection, runtime_role: str) -> None:
    """Install functions, triggers, views, policies and grants, unless they are installed as they are now."""
    role = connection.dialect.identifier_preparer.quote(runtime_role)
    texts = [(Path(__file__).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8") for name in SQL_FILES]
    script = "\n".join(texts).replace("{runtime_role}", role)
    found = sha256(script.encode()).hexdigest()
    if (await connection.execute(text("select hash from installed_sql"))).scalar() == found:
        return
    # Several statements at once: only the driver's own connection takes them.
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    await driver.execute(f"{script}; delete from installed_sql; insert into installed_sql values ('{found}')")
    await connection.commit()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    return config
