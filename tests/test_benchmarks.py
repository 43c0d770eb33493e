"""Benchmarks compare what does the same: small runs of those that check it themselves."""

import asyncio

import asyncpg
import pytest

from app.db.cluster import DATABASE, Cluster
from tests.benchmarks import authorisation, uploads
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


@pytest.mark.process
def test_asks_for_tokens_of_lists_of_every_length(cluster: Cluster) -> None:
    told: list[None] = []
    postmaster = int((cluster.home / "data" / "postmaster.pid").read_text().split()[0])
    figures = authorisation.run(
        cluster.dsn, postmaster, lambda: told.append(None), 300, 100, rounds=1, requests=3, evses=20
    )
    assert len(told) == authorisation.steps(300, 100, rounds=1) == 1 + 1 + 3 + 3 + 2
    assert figures.list_s.keys() == figures.alone.keys() == figures.update_ms.keys() == {3, 30, 300}
    assert all(times.requests == 3 for times in figures.alone.values())
    assert 0 < figures.first_mb <= figures.peak_mb
    assert len(list(authorisation.lines(figures))) == 10
    url = cluster.dsn.replace(f"/{DATABASE}?", "/authorisation_300?")
    assert asyncio.run(ask(url, "select count(*) from authorisation where expires_at >= '2099-01-01'")) == 300
    sessions = figures.alone[300].requests + figures.meanwhile.requests
    assert asyncio.run(ask(url, "select count(*) from session")) == sessions


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()
