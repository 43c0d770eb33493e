"""The commands that keep the hub running: up for development, serve for production, migrate between versions."""

import asyncio
import shlex
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import click
import orjson
import structlog
import uvloop

from app.cli.connect import (
    STOP_SIGNALS,
    bring_up_to_date,
    current_settings,
    database_of,
    given_flags,
    require_present_schema,
    takes_settings,
    url_of,
)
from app.cli.workers import live_with_parent, run_workers
from app.db.engine import Database
from app.errors import HubError
from app.gc_tuning import overlook_what_stays
from app.http.uvicorn_limits import Server, allow_many_connections, cut_off_silent_peers, server_config
from app.logs import configure_logs, log_requests, masked
from app.settings import Settings

DEVELOPMENT, PRODUCTION = "DEVELOPMENT", "PRODUCTION"
SERVER_SETTINGS = tuple(each.name for each in fields(Settings))


log = structlog.get_logger("ochub")


class CannotListen(HubError):
    """The address cannot be listened on."""

    code = "CANNOT_LISTEN"


@click.command
@takes_settings(*SERVER_SETTINGS)
def up() -> None:
    """Run the hub for development, with GraphiQL.

    \b
    Example:
      ochub up --port 9000

    Brings the database up to date first. Without DATABASE_URL it starts a PostgreSQL of its own, kept in --data-dir.
    Ctrl-C stops everything it started.
    """
    _run_server(current_settings(), DEVELOPMENT)


@click.command
@takes_settings(*SERVER_SETTINGS)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    envvar="OCHUB_WORKERS",
    help="Server processes on the one port. [OCHUB_WORKERS; default 1]",
)
def serve(workers: int) -> None:
    """Run the hub for production, without GraphiQL.

    \b
    Example:
      DATABASE_URL=postgresql://ochub@db/ochub ochub serve --host 0.0.0.0 --log-format json

    It never migrates: where the database is behind it refuses to start, until `ochub migrate` has run.
    """
    if workers == 1:
        _run_server(current_settings(), PRODUCTION)
    else:
        _run_workers(current_settings(), workers)


@click.command("migrate")
@takes_settings("database_url", "data_dir", "runtime_role")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: from, to.")
def migrate_(as_json: bool) -> None:
    """Bring the database to the schema of this version.

    \b
    Example:
      DATABASE_URL=postgresql://ochub@db/ochub ochub migrate

    It may run beside a hub that serves, and twice at a time: the second has nothing to do.
    """
    settings = current_settings()
    with database_of(settings) as dsn:
        before, after = asyncio.run(bring_up_to_date(dsn, settings))
    if as_json:
        click.echo(orjson.dumps({"from": before, "to": after}))
    elif before == after:
        click.echo(f"The schema is at {after} already.")
    else:
        click.echo(f"The schema went from {before or 'nothing'} to {after}.")


def _run_server(settings: Settings, profile: str) -> None:
    configure_logs(settings)
    with (
        _listening(settings.host, settings.port) as listener,
        database_of(settings) as dsn,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, profile, dsn, listener))


def _run_workers(settings: Settings, count: int) -> None:
    configure_logs(settings)
    with _listening(settings.host, settings.port) as listener, database_of(settings) as dsn:
        asyncio.run(require_present_schema(dsn))
        run_workers(count, _work, settings, dsn, listener)


def _work(settings: Settings, dsn: str, listener: socket.socket) -> None:
    """Serve, as one of several processes."""
    live_with_parent()
    configure_logs(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, PRODUCTION, dsn, listener))


async def _serve(settings: Settings, profile: str, dsn: str, listener: socket.socket) -> None:
    # Only here: building the schema takes longer than most other commands need altogether.
    from app.main import Profile, create_app

    if profile == DEVELOPMENT:
        await bring_up_to_date(dsn, settings)
    else:
        await require_present_schema(dsn)
    application = create_app(dsn, settings, Profile(profile))

    async def announce() -> None:
        url = url_of(*listener.getsockname()[:2])
        if profile == DEVELOPMENT:
            _welcome(url, await _is_empty(application.state.database))
        else:
            log.info("serving", url=url)

    cut_off_silent_peers(listener, settings)
    allow_many_connections()
    config = server_config(log_requests(application), settings, log_config=None, server_header=False)
    overlook_what_stays()
    await Server(config, application.stop, announce, STOP_SIGNALS).serve(sockets=[listener])
    log.info("stopped")


async def _is_empty(database: Database) -> bool:
    return (await database.fetch("select not exists (select from evse)"))[0][0]


@contextmanager
def _listening(host: str, port: int) -> Generator[socket.socket]:
    """Listen on the port before anything else is started, so that a port in use is reported at once.

    Raises: CannotListen.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Without what Python adds to the system's words.
        reason = str(error.strerror).partition(" (while")[0]
        raise CannotListen(
            f"cannot listen on port {port} of {host}: {reason}",
            "choose another port with --port or OCHUB_PORT, another address with --host or OCHUB_HOST",
        ) from error
    with listener:
        yield listener


def _welcome(url: str, empty: bool) -> None:
    click.echo(f"OCHub serves on {url}")
    click.echo(f"GraphiQL, with examples: {url}/graphql")
    if empty:
        click.echo(f"The hub is empty. Fill it with synthetic data: {_command('demo')}")
    click.echo("Stop with Ctrl-C.")


def _command(name: str) -> str:
    """Return a command of this hub as it can be pasted beside this one, with the flags that name the database."""
    given = given_flags()
    flags = [
        part
        for setting in ("database_url", "data_dir")
        if setting in given
        for part in (f"--{setting.replace('_', '-')}", masked(str(given[setting])))
    ]
    return shlex.join([str(Path(sys.argv[0])), name, *flags])
