"""What the change log costs writers, how fast it is read, and what an idle stream costs.

Alone: `python -m tests.benchmarks.log`. In a database of its own, made and dropped.
"""

import asyncio
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
from app.db.engine import Database
from app.db.migrate import migrate
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.live.log.cursor import Position
from app.live.log.rows import read_position, read_rows
from app.settings import Settings
from app.vocabulary import LogKind
from tests.ingest.world import MONDAY, charge_point, make_owner

NAME = "ochub_bench_log"
ITEMS = 1_000
UPLOADS = 8
PAGE = 500
READ_S = 3.0


@dataclass(frozen=True, slots=True)
class LogFigures:
    """`with_log`, `without_log`: items per second of uploads that change each EVSE. `looks_per_s`: of idle rounds."""

    with_log: Sequence[float]
    without_log: Sequence[float]
    pages_per_s: float
    rows_per_s: float
    looks_per_s: float

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
            start = await read_position(database)
            with_log, without_log = await _upload(database, dsn, rounds)
            pages_per_s, rows_per_s = await _read(database, start)
            looks_per_s = await _look(database)
        finally:
            await database.close()
    return LogFigures(with_log, without_log, pages_per_s, rows_per_s, looks_per_s)


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
    kinds = [kind.value for kind in LogKind]
    begin, after = time.perf_counter(), (0, 0)
    while time.perf_counter() - begin < READ_S:
        async with database.reading() as reader:
            target = await read_position(reader)
            batch = await read_rows(reader, start.snapshot, target.snapshot, after, kinds, PAGE)
        pages, rows, after = pages + 1, rows + len(batch.rows), batch.upto or (0, 0)
    took_s = time.perf_counter() - begin
    return pages / took_s, rows / took_s


async def _look(database: Database) -> float:
    """Look at the log where nothing is new, as a round of the stream does. Shape: looks per second."""
    looks, begin, kinds = 0, time.perf_counter(), [kind.value for kind in LogKind]
    last = await read_position(database)
    while time.perf_counter() - begin < READ_S:
        async with database.reading() as reader:
            present = await read_position(reader)
            await read_rows(reader, last.snapshot, present.snapshot, (0, 0), kinds, PAGE)
        looks += 1
    return looks / (time.perf_counter() - begin)


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
    """Yield a line for each figure."""
    yield (
        f"change log: uploads of {ITEMS:,} items, all changed: {median(figures.with_log):,.0f} items/s with it, "
        f"{median(figures.without_log):,.0f} without: {figures.log_costs:+.0%}"
    )
    yield f"change log: {figures.pages_per_s:,.0f} pages/s of {PAGE}, {figures.rows_per_s:,.0f} rows/s, one reader"
    yield f"change log: {figures.looks_per_s:,.0f} looks/s where nothing is new"


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
