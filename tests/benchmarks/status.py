"""How many status items a second go in through `updateStatus`, beside the baseline, and how many updates stay in place.

Both variants have a database of their own with the same EVSEs, and take the same bodies. A body speaks of a thousand
EVSEs; the next bodies of other thousands; when all have been spoken of, the first thousand's turn comes again, with
another status for all of them or for every tenth.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

import asyncpg
import orjson

from app.db.cluster import DATABASE
from app.db.engine import Database
from app.db.migrate import migrate
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.settings import Settings
from tests.benchmarks.measure import Result, Server, Variant, measure, serving
from tests.exchange.world import operator
from tests.ingest.world import MONDAY, charge_point

ITEMS = 1_000
#: One client alone: several would speak of the same EVSEs at once, and what changes would be chance.
CLIENTS = (1,)
#: Blocks of a thousand EVSEs.
BLOCKS = 20
TARGETS = {100: 3.0, 10: 4.0}
HOT_TARGET = 0.9
UPDATES = 100_000
DOCUMENT = "mutation Now($evses: [EvseStatusInput!]!) { updateStatus(evses: $evses) { accepted unchanged } }"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured. `times`: items/s of the hub over the baseline's, by the share that changes."""

    results: Sequence[Result]
    times: Mapping[int, float]
    hot: float
    updates: int


def run(dsn: str, rounds: int, seconds: float, postmaster: int, progress: Callable[[], None]) -> Figures:
    """Make both worlds and measure."""
    key = asyncio.run(_make_world(dsn, "status_hub"))
    asyncio.run(_make_world(dsn, "status_orm"))
    commands = {"hub": ["hub", _dsn(dsn, "status_hub")], "orm": ["status-orm", _dsn(dsn, "status_orm")]}
    with serving(commands) as servers:
        variants = [variant for share in TARGETS for variant in _variants(share, servers, key)]
        results = measure(variants, CLIENTS, rounds, seconds, postmaster, progress)
    updates, hot = asyncio.run(_hot_share(_dsn(dsn, "status_hub")))
    times = {share: _times(results, share) for share in TARGETS}
    return Figures(results, times, hot, updates)


def steps(rounds: int) -> int:
    """Return how often `run` calls its `progress`."""
    return 2 * len(TARGETS) * (1 + rounds * len(CLIENTS))


def lines(figures: Figures) -> Sequence[str]:
    """Format the figures with their targets."""
    found = [_line(result) for result in figures.results]
    for share, times in figures.times.items():
        word = "reached" if times >= TARGETS[share] else "NOT reached"
        found.append(f"{share} % changed: {times:.2f} times the baseline; to reach: {TARGETS[share]:g}: {word}")
    word = "reached" if figures.hot >= HOT_TARGET and figures.updates >= UPDATES else "NOT reached"
    found.append(f"HOT share of {figures.updates:,} updates: {figures.hot:.1%}; to reach: {HOT_TARGET:.0%}: {word}")
    return found


def _line(result: Result) -> str:
    r = result.median
    return (
        f"{result.variant.question}, {result.variant.name}: {r.per_s * ITEMS:,.0f} items/s,"
        f" p50 {r.p50_ms:.1f} ms, p99 {r.p99_ms:.1f} ms, CPU of server {r.server_ms:.1f} ms and PostgreSQL"
        f" {r.postgres_ms:.1f} ms per call"
    )


def _times(results: Sequence[Result], share: int) -> float:
    rounds = {each.variant.name: each.rounds for each in results if each.variant.question == _question(share)}
    return median(hub.per_s / orm.per_s for hub, orm in zip(rounds["hub"], rounds["orm"], strict=True))


# ---------------------------------------------------------------- what is sent


def _question(share: int) -> str:
    return f"{share} % changed"


def _variants(share: int, servers: Mapping[str, Server], key: str) -> list[Variant]:
    bodies = _bodies(share)
    return [
        Variant(_question(share), "hub", servers["hub"], [_request(body, key) for body in bodies]),
        Variant(_question(share), "orm", servers["orm"], [_request(body, key) for body in bodies]),
    ]


def _bodies(share: int) -> list[bytes]:
    """Return the bodies of a cycle after which everything is as it was: item n changes in turns n, n + every, ..."""
    every, blocks = 100 // share, BLOCKS * share // 100
    ttl = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    states = ({"major": "AVAILABLE"}, {"major": "NOT_AVAILABLE", "minor": "CHARGING"})
    return [
        orjson.dumps(
            {
                "query": DOCUMENT,
                "variables": {
                    "evses": [
                        {"evseId": f"DE*8AC*E{block * ITEMS + n}", **states[(turn + n) // every % 2], "ttl": ttl}
                        for n in range(ITEMS)
                    ]
                },
            }
        )
        for turn in range(2 * every)
        for block in range(blocks)
    ]


def _request(body: bytes, key: str) -> bytes:
    head = (
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


# ---------------------------------------------------------------- the worlds


def _dsn(dsn: str, name: str) -> str:
    return dsn.replace(f"/{DATABASE}?", f"/{name}?")


async def _make_world(dsn: str, name: str) -> str:
    """Make a database with an operator's EVSEs; give the operator's key."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"drop database if exists {name} with (force)")
    await connection.execute(f"create database {name}")
    await connection.close()
    url = _dsn(dsn, name)
    await migrate(url, Settings(database_url=url))
    database = await Database.open(url, Settings(database_url=url))
    try:
        member = await operator(database)
        owner = Owner(member.caller.partner_id, member.caller.role_id, "DE8AC")
        for first in range(0, BLOCKS * ITEMS, 5_000):
            points = [charge_point(f"DE8ACE{n}") for n in range(first, first + 5_000)]
            await update_charge_points(database, points, owner, MONDAY)
        return member.key.secret
    finally:
        await database.close()


async def _hot_share(dsn: str) -> tuple[int, float]:
    """Read what PostgreSQL counted, once it has counted everything."""
    connection = await asyncpg.connect(dsn)
    before, counted = (-1, -1), (0, 0)
    while before != counted:
        await asyncio.sleep(2)
        row = await connection.fetchrow(
            "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'evse_status'"
        )
        assert row is not None
        before, counted = counted, (row["n_tup_upd"], row["n_tup_hot_upd"])
    await connection.close()
    return counted[0], counted[1] / max(counted[0], 1)
