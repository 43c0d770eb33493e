"""Benchmarks compare what does the same: small runs of those that check it themselves."""

import asyncio

import asyncpg
import pytest

from app.db.cluster import DATABASE, Cluster
from tests.benchmarks import uploads
from tests.benchmarks.measure import AnswersDiffer

ITEMS, PART = 700, 300


@pytest.mark.process
def test_uploads_leave_the_same_rows_whoever_wrote_them(cluster: Cluster) -> None:
    told: list[None] = []
    figures = uploads.run(cluster.dsn, lambda: told.append(None), ITEMS, PART)
    assert len(told) == uploads.steps(ITEMS, PART) == 5 * 3
    assert min(figures.seconds.values()) > 0
    assert len(uploads.lines(figures)) == 8
    urls = {name: cluster.dsn.replace(f"/{DATABASE}?", f"/uploads_{name}?") for name in uploads.VARIANTS}
    minutes = asyncio.run(ask(urls["hub"], "select min(max_reservation_minutes) from evse having count(*) = 700"))
    assert minutes == uploads.CHANGED_MINUTES
    with pytest.raises(AnswersDiffer):
        asyncio.run(uploads.compare(urls))


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
