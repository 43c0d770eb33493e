"""How fast changes reach 1,000 subscribers, 100 for each: over real sockets, beside two baselines that ask no database.

Alone: `python -m tests.benchmarks.fanout`. The hub's changes are committed to a database of its own; its times begin
with the commit. It puts what happens within 50 ms on one page, the baselines send each change on its own.
"""

import asyncio
import base64
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import asyncpg
import click
import httpx
import orjson

from app.db import cluster
from app.db.cluster import DATABASE
from app.db.engine import Database
from app.db.migrate import migrate
from app.exchange.actor import CONSOLE
from app.exchange.operators import set_operator_open
from app.ingest.charge_points import update_charge_points
from app.ingest.records import Point
from app.settings import Settings
from tests.benchmarks.fanout_questions import AREAS, HUBS, STRAWBERRYS, SUBSCRIBERS, place_of, variables_of
from tests.benchmarks.measure import serving
from tests.ingest.world import MONDAY, charge_point, make_owner

NAME = "ochub_bench_fanout"
EVSES = 100  # of each area
PACED_CHANGES = 60
PACE_S = 0.1
FLOODS = 5
DEADLINE_S = 120
ALL = AREAS * SUBSCRIBERS
#: Changes of a flood, fewer where each takes long.
AT_ONCE = {"raw": 500, "strawberry": 50, "hub": 500}


@dataclass(frozen=True, slots=True)
class Reached:
    """What one variant did. `p50_ms`, `p99_ms`: from commit or publication to receipt, at 1,000 deliveries/s."""

    deliveries_per_s: float
    p50_ms: float
    p99_ms: float


class Receiver(asyncio.Protocol):
    """A subscriber: a socket that counts the changes it is sent, and notes when each came."""

    def __init__(self, subscribe: dict[str, Any], heard: "Heard") -> None:
        self.subscribe, self.heard = subscribe, heard
        self.buffer = b""
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(
            b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
            b"Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.is_open:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert b" 101 " in head, head
            self.is_open, self.buffer = True, rest
            self._send({"type": "connection_init"})
        while (frame := self._frame()) is not None:
            self._hear(frame)

    def _frame(self) -> bytes | None:
        """Take one whole frame off the buffer."""
        if len(self.buffer) < 4:
            return None
        length, start = self.buffer[1] & 0x7F, 2
        if length == 126:
            length, start = int.from_bytes(self.buffer[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(self.buffer[2:10], "big"), 10
        if len(self.buffer) < start + length:
            return None
        frame, self.buffer = self.buffer[start : start + length], self.buffer[start + length :]
        return frame

    def _hear(self, frame: bytes) -> None:
        changes = frame.count(b'"action":') or frame.count(b'"action" :')
        if changes:
            self.heard.note(changes)
        elif b"connection_ack" in frame:
            self._send(self.subscribe)
            self.heard.subscribed += 1
        elif b'"next"' in frame:
            self.heard.begun += 1

    def _send(self, message: dict[str, Any]) -> None:
        text = orjson.dumps(message)
        length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
        self.transport.write(b"\x81" + length + b"\x00\x00\x00\x00" + text)


class Heard:
    """What all receivers heard."""

    def __init__(self) -> None:
        self.subscribed = self.begun = self.changes = 0
        self.times: list[float] = []

    def note(self, changes: int) -> None:
        self.changes += changes
        self.times.append(time.perf_counter())

    async def reaches(self, number: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while self.changes < number:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


Publish = Callable[[int], Awaitable[object]]


async def measure_variant(
    port: int, subscribe: Callable[[int], dict[str, Any]], publish: Publish, at_once: int, begins: bool = False
) -> Reached:
    """Open all sockets; publish a change now and then, then many `at_once`. `begins`: a first page comes unasked."""
    heard = Heard()
    loop = asyncio.get_running_loop()
    receivers = [
        (await loop.create_connection(lambda area=area: Receiver(subscribe(area), heard), "127.0.0.1", port))[0]
        for area in range(AREAS)
        for _ in range(SUBSCRIBERS)
    ]
    try:
        async with asyncio.timeout(DEADLINE_S):
            while heard.subscribed < ALL or (begins and heard.begun < ALL):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        latencies_ms = await _paced(heard, publish)
        rates = [await _flood(heard, publish, at_once) for _ in range(FLOODS)]
    finally:
        for transport in receivers:
            transport.abort()
    percentiles = quantiles(latencies_ms, n=100)
    return Reached(median(rates), percentiles[49], percentiles[98])


async def _paced(heard: Heard, publish: Publish) -> list[float]:
    latencies_ms: list[float] = []
    for _ in range(PACED_CHANGES):
        heard.times.clear()
        began, reached = time.perf_counter(), heard.changes + SUBSCRIBERS
        committed = await publish(1)
        begin = committed if isinstance(committed, float) else began
        await heard.reaches(reached)
        latencies_ms += [(at - begin) * 1000 for at in heard.times]
        await asyncio.sleep(max(0.0, began + PACE_S - time.perf_counter()))
    return latencies_ms


async def _flood(heard: Heard, publish: Publish, at_once: int) -> float:
    """Give changes delivered per second, when so many happen at once, as many in each area."""
    before, began = heard.changes, time.perf_counter()
    await publish(at_once)
    await heard.reaches(before + at_once * SUBSCRIBERS)
    return at_once * SUBSCRIBERS / (time.perf_counter() - began)


# ---------------------------------------------------------------- the hub's changes


class Committing:
    """Changes statuses in the hub's database, one transaction for each call; gives the time of its commit."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.number = 0

    async def __call__(self, count: int) -> float:
        ids = [_evse_id(number % AREAS, number // AREAS % EVSES) for number in range(self.number, self.number + count)]
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
        return time.perf_counter()


def _evse_id(area: int, number: int) -> str:
    return f"DE8ACE{area}*{number:04}"


async def _make_world(dsn: str) -> None:
    settings = Settings(database_url=dsn)
    await migrate(dsn, settings)
    database = await Database.open(dsn, settings)
    try:
        owner = await make_owner(database, "DE8AC")
        await set_operator_open(database, CONSOLE, "DE8AC", True, MONDAY)
        for area in range(AREAS):
            longitude, latitude = place_of(area)
            position = Point(latitude=latitude, longitude=longitude)
            points = [
                charge_point(_evse_id(area, number), location_id=f"A{area}", position=position)
                for number in range(EVSES)
            ]
            assert not (await update_charge_points(database, points, owner, MONDAY)).refused
    finally:
        await database.close()


async def measure_fanout(server_dsn: str) -> Mapping[str, Reached]:
    """Measure all variants, one after the other, in a database of its own."""
    administrating = await asyncpg.connect(server_dsn)
    dsn = server_dsn.replace(f"/{DATABASE}?", f"/{NAME}?")
    await administrating.execute(f"drop database if exists {NAME} with (force)")
    await administrating.execute(f"create database {NAME}")
    try:
        await _make_world(dsn)
        with serving(
            {"hub": ["hub", dsn], "strawberry": ["fanout-strawberry", ""], "raw": ["fanout-raw", ""]}
        ) as servers:
            ports = {name: server.port for name, server in servers.items()}
            return await _measure_all(dsn, ports)
    finally:
        await administrating.execute(f"drop database if exists {NAME} with (force)")
        await administrating.close()


async def _measure_all(dsn: str, ports: Mapping[str, int]) -> Mapping[str, Reached]:
    reached: dict[str, Reached] = {}
    for name in ("raw", "strawberry"):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports[name]}", timeout=DEADLINE_S) as client:

            async def publish(count: int, client: httpx.AsyncClient = client) -> None:
                (await client.post(f"/publish?count={count}")).raise_for_status()

            reached[name] = await measure_variant(ports[name], _asks_strawberry, publish, AT_ONCE[name])
    connection = await asyncpg.connect(dsn)
    try:
        reached["hub"] = await measure_variant(
            ports["hub"], _asks_hub, Committing(connection), AT_ONCE["hub"], begins=True
        )
    finally:
        await connection.close()
    return reached


def _asks_hub(area: int) -> dict[str, Any]:
    return {"type": "subscribe", "id": "1", "payload": {"query": HUBS, "variables": variables_of(area)}}


def _asks_strawberry(area: int) -> dict[str, Any]:
    return {"type": "subscribe", "id": "1", "payload": {"query": STRAWBERRYS, "variables": {"area": area}}}


def told(reached: Mapping[str, Reached]) -> Sequence[str]:
    """Give the lines to be printed."""
    hub, strawberry, raw = reached["hub"], reached["strawberry"], reached["raw"]
    lines = [
        f"{name}: {each.deliveries_per_s:,.0f} changes delivered/s;"
        f" at 1,000/s p50 {each.p50_ms:.1f} ms, p99 {each.p99_ms:.1f} ms"
        for name, each in reached.items()
    ]
    times = hub.deliveries_per_s / strawberry.deliveries_per_s, hub.deliveries_per_s / raw.deliveries_per_s
    return [*lines, f"hub: {times[0]:.1f} times Strawberry's own (to reach: 10), {times[1]:.2f} of the broadcast (0.5)"]


@click.command()
@click.option("--data-dir", default="var/benchmarks", type=click.Path(path_type=Path))
def main(data_dir: Path) -> None:
    with cluster.start(data_dir) as running:
        for line in told(asyncio.run(measure_fanout(running.dsn))):
            click.echo(line)


if __name__ == "__main__":
    main()
