"""The hub that is followed: its world, how its statuses are changed, and the register that is imported beside."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg
import httpx

from app.db.engine import Database
from app.db.migrate import migrate
from app.ingest.charge_points.updates import Owner, update_charge_points
from app.records.base import Point
from app.settings import Settings
from tests.benchmarks.fanout_questions import AREAS, place_of
from tests.benchmarks.world import REGISTER
from tests.exchange.world import operator
from tests.ingest.world import MONDAY, charge_point

EVSES = 100  # of each area
PUSH = "mutation Push($evses: [EvseStatusInput!]!) { updateStatus(evses: $evses) { accepted } }"


def evse_id_of(number: int) -> str:
    """Return the EVSE of a change: the areas take turns."""
    return f"DE8ACE{number % AREAS}*{number // AREAS % EVSES:04}"


async def make_world(dsn: str) -> str:
    """Make all EVSEs, open to everybody; give their operator's key."""
    settings = Settings(database_url=dsn)
    await migrate(dsn, settings)
    database = await Database.open(dsn, settings)
    try:
        member = await operator(database, "DE8AC", open_=True)
        owner = Owner(member.caller.partner_id, member.caller.role_id, "DE8AC")
        for area in range(AREAS):
            longitude, latitude = place_of(area)
            position = Point(latitude=latitude, longitude=longitude)
            points = [
                charge_point(evse_id_of(area + AREAS * number), location_id=f"A{area}", position=position)
                for number in range(EVSES)
            ]
            assert not (await update_charge_points(database, points, owner, MONDAY)).refused
    finally:
        await database.close()
    return member.key.secret


class Committing:
    """Changes statuses in the hub's database, one transaction for each call; gives the time of its commit.

    `announce`: what a hub's process does after each commit.
    """

    def __init__(self, connection: asyncpg.Connection, announce: Callable[[], None]) -> None:
        self.connection = connection
        self.announce = announce
        self.number = 0

    async def __call__(self, count: int) -> float:
        ids = [evse_id_of(number) for number in range(self.number, self.number + count)]
        self.number += count
        async with self.connection.transaction():
            await self.connection.execute(
                "update evse_status set major = case major when 'AVAILABLE' then 'NOT_AVAILABLE' else 'AVAILABLE' end,"
                " at = now(), updated_at = now(), expires_at = now() + interval '1 day' where evse_id = any($1)",
                ids,
            )
            await self.connection.execute(
                "insert into change (kind, entity_id, was_available) select 'EVSE_STATUS', unnest($1::text[]), false",
                ids,
            )
        self.announce()
        return time.perf_counter()


class Pushing:
    """Changes statuses as an operator does, by `updateStatus`; gives the time at which the request was sent."""

    def __init__(self, client: httpx.AsyncClient, key: str) -> None:
        self.client, self.key = client, key
        self.number = 0

    async def __call__(self, count: int) -> float:
        begin = time.perf_counter()
        items = [self._status(number) for number in range(self.number, self.number + count)]
        self.number += count
        response = await self.client.post(
            "/graphql",
            json={"query": PUSH, "variables": {"evses": items}},
            headers={"Authorization": f"Bearer {self.key}"},
        )
        assert response.json().get("data") == {"updateStatus": {"accepted": count}}, response.text
        return begin

    def _status(self, number: int) -> dict[str, str]:
        minor = ("CHARGING", "OUT_OF_ORDER")[number // (AREAS * EVSES) % 2]
        return {"evseId": evse_id_of(number), "major": "NOT_AVAILABLE", "minor": minor}


@contextmanager
def importing(dsn: str) -> Iterator[subprocess.Popen[bytes]]:
    """Import the French register in a process of its own."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "import", "irve-static", str(REGISTER)]
    process = subprocess.Popen(command, env=os.environ | {"DATABASE_URL": dsn}, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
