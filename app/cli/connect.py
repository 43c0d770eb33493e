"""From a command to a database: settings by flag or environment, a server that runs or is started for the command."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar, cast

import asyncpg
import click
from alembic.script import ScriptDirectory

from app.db import cluster
from app.db.engine import Database
from app.db.migrate import SCRIPTS, migrate, newest_revision
from app.db.supervision import supervised
from app.errors import HubError
from app.logs import configure_logs, masked
from app.settings import Settings, unknown_variables, variable_of

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

SETTINGS = {setting.name: setting for setting in fields(Settings)}
DATABASE_SETTINGS = ("database_url", "data_dir")
CHOICES = {"log_level": ("debug", "info", "warning", "error"), "log_format": ("auto", "json", "text")}
CONNECT_TIMEOUT_S = 10

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NoDatabase(HubError):
    """The database cannot be reached, or refuses the login."""

    code = "NO_DATABASE"


class SchemaBehind(HubError):
    """The database lacks migrations of this version; run `ochub migrate`."""

    code = "SCHEMA_BEHIND"


class SchemaAhead(HubError):
    """The database was migrated by a newer version of the hub."""

    code = "SCHEMA_AHEAD"


def takes_settings(*names: str) -> Callable[[F], F]:
    """Add one flag per named setting to a command; without the flag the environment counts."""

    def decorate(command: F) -> F:
        for name in reversed(names):
            command = _flag(name)(command)
        return command

    return decorate


def current_settings() -> Settings:
    """Read the settings of the running command: its flags, then the environment, then the defaults.

    What the environment has that is no setting is said on stderr.
    """
    for sentence in unknown_variables():
        click.echo(f"Warning: {sentence}", err=True)
    return Settings.from_environment(**given_flags())


def given_flags() -> dict[str, Any]:
    """Return the settings that the running command got as flags."""
    return cast(dict[str, Any], click.get_current_context().ensure_object(dict))


def url_of(host: str, port: int) -> str:
    """Return the URL at which a hub that listens there is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run_with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` on the hub's database, brought to the present schema first.

    Beside a running hub its database is used; where none runs and none is named, the private cluster is started and
    stopped again.
    Raises: NoDatabase, SchemaAhead, what the migrations and `work` raise.
    """
    settings = current_settings()
    configure_logs(settings if settings.log_level == "debug" else replace(settings, log_level="warning"))
    with database_of(settings) as dsn:
        return asyncio.run(_run(work, dsn, settings))


@contextmanager
def database_of(settings: Settings) -> Generator[str]:
    """Yield the DSN of the database to use in the block; the last user of a private cluster stops it."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    running = None
    try:
        with _signals_wait():
            running = cluster.start(settings.data_dir)
        with supervised(running):
            yield running.dsn
    finally:
        if running is not None:
            with _signals_wait():
                running.stop()


async def bring_up_to_date(dsn: str, settings: Settings) -> tuple[str | None, str | None]:
    """Run the migrations that are missing; give the revision before and after.

    Raises: NoDatabase, SchemaAhead.
    """
    before = await revision_of(dsn)
    wanted = require_known(before)
    if before != wanted:
        await migrate(dsn, settings)
    return before, wanted


async def require_present_schema(dsn: str) -> None:
    """Refuse a database on which this version of the hub cannot serve.

    Raises: NoDatabase, SchemaAhead, SchemaBehind.
    """
    revision = await revision_of(dsn)
    wanted = require_known(revision)
    if revision != wanted:
        raise SchemaBehind(
            f"the database's schema is at {revision or 'nothing'}, this version of the hub needs {wanted}",
            "run `ochub migrate` with the same settings first",
        )


def require_known(revision: str | None) -> str | None:
    """Return the revision of this version, if it knows that of the database.

    Raises: SchemaAhead.
    """
    known = {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaAhead(
            f"the database's schema is at {revision}, which this version of the hub does not know",
            "a newer version has migrated it: run that one",
        )
    return newest_revision()


async def revision_of(dsn: str) -> str | None:
    """Return the revision of a database's schema, None while it has none.

    Raises: NoDatabase.
    """
    connection = await connect(dsn)
    try:
        if await connection.fetchval("select to_regclass('alembic_version') is null"):
            return None
        return await connection.fetchval("select version_num from alembic_version")
    finally:
        await connection.close()


async def connect(dsn: str) -> asyncpg.Connection:
    """Open one connection as the role of the DSN.

    Raises: NoDatabase.
    """
    try:
        return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise NoDatabase(
            f"cannot use the database {masked(dsn)}: {error or type(error).__name__}",
            "check DATABASE_URL; without it the hub keeps a database of its own",
        ) from error


async def _run(work: Callable[[Database], Awaitable[T]], dsn: str, settings: Settings) -> T:
    await bring_up_to_date(dsn, settings)
    database = await Database.open(dsn, settings)
    try:
        return await work(database)
    finally:
        await database.close()


@contextmanager
def _signals_wait() -> Generator[None]:
    """Delay a signal to stop until the end of the block; a second one is not delayed.

    An exception while a process is being started would leave that process running, without a reference to it.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        if len(heard) > 1:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, hear)
    try:
        yield
    finally:
        restore()
        if len(heard) == 1:
            signal.raise_signal(heard[0])


def _flag(name: str) -> Callable[[F], F]:
    setting = SETTINGS[name]
    default = f"; default {setting.default}" if setting.default is not None else ""
    return click.option(
        f"--{name.replace('_', '-')}",
        name,
        type=_type_of(name, setting.type),
        expose_value=False,
        callback=_remember,
        help=f"{setting.metadata['meaning']}. [{variable_of(name)}{default}]",
    )


def _type_of(name: str, declared: Any) -> Any:
    if name in CHOICES:
        return click.Choice(CHOICES[name])
    if declared is Path:
        return click.Path(path_type=Path, file_okay=False)
    return declared if declared in (int, float) else str


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        context.ensure_object(dict)[parameter.name] = value
