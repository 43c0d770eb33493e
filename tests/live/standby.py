"""A primary and streaming standbys of it, on the machine that runs the tests."""

import asyncio
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg

from app.db import cluster as clusters
from app.db.cluster import DATABASE, LOGIN_ROLE, PORT, Cluster
from app.db.cluster_home import Account, find_home
from app.db.postgres import find_binaries
from tests.databases import CLUSTERS
from tests.exchange.world import owner
from tests.waiting import eventually

REPLAYED = "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
END_OF_WAL = "select pg_current_wal_lsn()::text"
NOT_RECEIVING = "select not exists (select from pg_stat_wal_receiver)"


@dataclass(frozen=True)
class Primary:
    """A cluster that standbys may follow."""

    cluster: Cluster
    directory: Path

    @property
    def dsn(self) -> str:
        return self.cluster.dsn

    @property
    def conninfo(self) -> str:
        """The server's address as libpq's programs read it."""
        _, _, directory = self.dsn.partition("?host=")
        return f"host={directory.partition('&')[0]} port={PORT} user={LOGIN_ROLE}"


@dataclass(frozen=True)
class Standby:
    """A server that follows a primary until it is promoted."""

    dsn: str
    data: Path

    async def ask(self, sql: str, *args: object) -> object:
        async with owner(self.dsn) as connection:
            return await connection.fetchval(sql, *args)

    async def follows(self, primary: Primary) -> None:
        """Wait until everything that the primary has written is replayed."""
        async with owner(primary.dsn) as writer, owner(self.dsn) as connection:
            end = await writer.fetchval(END_OF_WAL)
            await eventually(lambda: connection.fetchval(REPLAYED, end))

    async def cut_off(self) -> None:
        """Stop receiving from the primary."""
        async with owner(self.dsn) as connection:
            await connection.execute("alter system set primary_conninfo = ''")
            await connection.execute("select pg_reload_conf()")
            await eventually(lambda: connection.fetchval(NOT_RECEIVING))

    async def promote(self) -> None:
        assert await self.ask("select pg_promote()")


@contextmanager
def running_primary() -> Iterator[Primary]:
    directory = CLUSTERS / f"ochub-primary-{uuid4().hex[:8]}"
    directory.mkdir()
    try:
        with clusters.start(directory) as cluster:
            with (cluster.home / "pg_hba.conf").open("a") as rules:
                rules.write("local replication all peer map=hub\n")
            asyncio.run(_reload(cluster.dsn))
            yield Primary(cluster, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


async def _reload(dsn: str) -> None:
    async with owner(dsn) as connection:
        await connection.execute("select pg_reload_conf()")


@asynccontextmanager
async def running_standby(primary: Primary) -> AsyncIterator[Standby]:
    """Copy the primary, and follow it."""
    home = find_home(primary.directory)
    binaries, place = find_binaries(), CLUSTERS / f"ochub-standby-{uuid4().hex[:8]}"
    place.mkdir(mode=0o755)
    shutil.chown(place, home.account.uid, home.account.gid)
    data = place / "data"
    try:
        copy = ["-D", data, "--write-recovery-conf", "--checkpoint=fast", "--dbname", primary.conninfo]
        await asyncio.to_thread(_run, home.account, [binaries / "pg_basebackup", *copy])
        server = _spawn(home.account, binaries, data, primary.cluster.home / "postgresql.conf")
        try:
            standby = Standby(f"postgresql://{LOGIN_ROLE}@/{DATABASE}?host={place}&port={PORT}", data)
            await _answering(standby, server)
            yield standby
        finally:
            server.send_signal(signal.SIGQUIT)
            await asyncio.to_thread(server.wait, 30)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _run(account: Account, command: list[Path | str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **account.process())
    assert done.returncode == 0, done.stderr


def _spawn(account: Account, binaries: Path, data: Path, configuration: Path) -> subprocess.Popen[bytes]:
    """Start a server with the primary's configuration, at a place of its own."""
    own = {"config_file": configuration, "unix_socket_directories": data.parent, "logging_collector": "off"}
    options = [option for name, value in own.items() for option in ("-c", f"{name}={value}")]
    with (data.parent / "server.log").open("wb") as log:
        command = [binaries / "postgres", "-D", data, *options]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **account.process())


async def _answering(standby: Standby, server: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(60):
        while True:
            assert server.poll() is None, (standby.data.parent / "server.log").read_text()
            with suppress(OSError, asyncpg.PostgresError):
                assert await standby.ask("select pg_is_in_recovery()")
                return
            await asyncio.sleep(0.02)


@contextmanager
def switch(directory: Path) -> Iterator["Switch"]:
    """Make an address that can be turned from one server to another."""
    link = directory.parent / f"ochub-switch-{uuid4().hex[:8]}"
    try:
        yield Switch(link)
    finally:
        link.unlink(missing_ok=True)


@dataclass(frozen=True)
class Switch:
    """The address of whichever server it was turned to."""

    link: Path

    @property
    def dsn(self) -> str:
        return f"postgresql://{LOGIN_ROLE}@/{DATABASE}?host={self.link}&port={PORT}"

    def turn_to(self, dsn: str) -> None:
        target = dsn.partition("?host=")[2].partition("&")[0]
        new = self.link.with_suffix(".new")
        new.symlink_to(target)
        new.rename(self.link)
