"""What the change log costs who writes, how fast it is read, and what the relay costs while nothing happens.

Alone: `python -m tests.benchmarks.log`. In a database of its own, made and dropped.
"""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from statistics import median

import asyncpg
import click

from app.db import cluster
from app.db.cluster import DATABASE
from app.db.engine import Database, connect
from app.db.migrate import migrate
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.live.bus import Bus
from app.live.cursor import Position
from app.live.keeper import relay
from app.live.log import read_log, read_state
from app.settings import Settings
from tests.ingest.world import MONDAY, charge_point, make_owner

NAME = "ochub_bench_log"
ITEMS = 1_000
UPLOADS = 8
PAGE = 500
READ_S = 3.0
IDLE_S = 5.0


@dataclass(frozen=True, slots=True)
class LogFigures:
    """`with_log`, `without_log`: items per second of uploads that change each EVSE. `relay_*`: share of a core."""

    with_log: Sequence[float]
    without_log: Sequence[float]
    pages_per_s: float
    rows_per_s: float
    relay_process: float
    relay_database: float

    @property
    def log_costs(self) -> float:
        """How much longer an upload takes with the log than without."""
        return median(self.without_log) / median(self.with_log) - 1


async def measure_log(server_dsn: str, rounds: int) -> LogFigures:
    """Measure in a database of its own on that server."""
    async with _scratch(server_dsn) as dsn:
        settings = Settings(database_url=dsn)
        database = await Database.open(dsn, settings)
        try:
            start = (await read_state(database)).head
            with_log, without_log = await _upload(database, dsn, rounds)
            pages_per_s, rows_per_s = await _read(database, start)
            process, backend = await _idle(dsn, settings)
        finally:
            await database.close()
    return LogFigures(with_log, without_log, pages_per_s, rows_per_s, process, backend)


async def _upload(database: Database, dsn: str, rounds: int) -> tuple[list[float], list[float]]:
    """Upload the same EVSEs again and again, each time changed, in turn with the log's triggers and without."""
    owner = await make_owner(database, "DE8AC")
    versions = count()
    await _change_all(database, owner, next(versions))
    figures: dict[str, list[float]] = {"enable": [], "disable": []}
    for _ in range(rounds):
        for switch, seen in figures.items():
            await _switch_triggers(dsn, switch)
            begin = time.perf_counter()
            await _change_all(database, owner, next(versions))
            seen.append(ITEMS * UPLOADS / (time.perf_counter() - begin))
    await _switch_triggers(dsn, "enable")
    return figures["enable"], figures["disable"]


async def _change_all(database: Database, owner: Owner, version: int) -> None:
    for upload in range(UPLOADS):
        items = [charge_point(f"DE8ACE{upload}X{n}", telephone_number=f"+49{version:06}") for n in range(ITEMS)]
        report = await update_charge_points(database, items, owner, MONDAY + timedelta(seconds=version))
        assert report.accepted == ITEMS


async def _switch_triggers(dsn: str, switch: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"alter table evse {switch} trigger log_updated")
    finally:
        await connection.close()


async def _read(database: Database, start: Position) -> tuple[float, float]:
    """Read the log from its beginning, page by page, again and again. Shape: pages and rows per second."""
    pages = rows = 0
    begin, after = time.perf_counter(), start
    while time.perf_counter() - begin < READ_S:
        batch = await read_log(database, after, PAGE)
        pages, rows = pages + 1, rows + len(batch.rows)
        after = batch.upto if batch.more else start
    took_s = time.perf_counter() - begin
    return pages / took_s, rows / took_s


async def _idle(dsn: str, settings: Settings) -> tuple[float, float]:
    """Let the relay look for changes where there are none. Shape: shares of a core, of this process and its backend."""
    connection = await connect(dsn, settings, "ochub keeper")
    try:
        backend = Path(f"/proc/{connection.get_server_pid()}/stat")
        async with Bus.open(dsn, settings) as bus:
            task = asyncio.create_task(relay(connection, bus, settings.relay_interval_s))
            await asyncio.sleep(0.5)
            before, begin = (_own_cpu_s(), _cpu_s(backend)), time.perf_counter()
            await asyncio.sleep(IDLE_S)
            took_s = time.perf_counter() - begin
            shares = (_own_cpu_s() - before[0]) / took_s, (_cpu_s(backend) - before[1]) / took_s
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return shares
    finally:
        connection.terminate()


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _cpu_s(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@asynccontextmanager
async def _scratch(server_dsn: str) -> AsyncIterator[str]:
    dsn = server_dsn.replace(f"/{DATABASE}?", f"/{NAME}?")
    administrator = await asyncpg.connect(server_dsn)
    try:
        await administrator.execute(f"drop database if exists {NAME} with (force)")
        await administrator.execute(f"create database {NAME}")
        await migrate(dsn, Settings(database_url=dsn))
        yield dsn
        await administrator.execute(f"drop database {NAME} with (force)")
    finally:
        await administrator.close()


def told(figures: LogFigures) -> Iterator[str]:
    """Say what was measured, a line for each."""
    yield (
        f"change log: uploads of {ITEMS:,} items, all changed: {median(figures.with_log):,.0f} items/s with it, "
        f"{median(figures.without_log):,.0f} without: {figures.log_costs:+.0%}"
    )
    yield f"change log: {figures.pages_per_s:,.0f} pages/s of {PAGE}, {figures.rows_per_s:,.0f} rows/s, one reader"
    yield f"change log: idle relay: {figures.relay_process:.1%} of a core, {figures.relay_database:.1%} in PostgreSQL"


@click.command(context_settings={"show_default": True})
@click.option("--rounds", default=5, help="How often uploads are measured, with the log and without.")
@click.option("--data-dir", default="var/benchmarks", type=click.Path(path_type=Path), help="Where the server is.")
def main(rounds: int, data_dir: Path) -> None:
    """Measure the change log alone."""
    with cluster.start(data_dir) as running:
        for line in told(asyncio.run(measure_log(running.dsn, rounds))):
            click.echo(line)


if __name__ == "__main__":
    main()
