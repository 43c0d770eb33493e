"""What open sockets cost: the memory of a server's process per socket, and per subscription on it.

The baseline is a bare ASGI application under uvicorn as it comes, that accepts and says one word: what uvicorn and the
system's share of a socket in the process take by themselves.
"""

import asyncio
import base64
import os
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import asyncpg
import orjson

from app.db.cluster import DATABASE
from app.db.migrate import migrate
from app.settings import Settings
from tests.benchmarks.measure import PATIENCE_S, Server, serving

SOCKETS = 5_000
#: Subscriptions per socket.
EACH = 2
AT_ONCE = 100
LIMIT_S = 300
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
QUERY = """subscription ($latitude: Float!, $longitude: Float!) {
  changes(within: {near: {latitude: $latitude, longitude: $longitude, radiusM: 5000}}) {
    cursor hasMore changes { kind action id evse { status { major } } }
  }
}"""
HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: %s\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Units: bytes of resident memory; seconds to open all."""

    sockets: int
    per_socket: float
    per_bare_socket: float
    per_subscription: float
    opened_s: float
    subscribed_s: float


Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def run(dsn: str, sockets: int = SOCKETS) -> Figures:
    """Open all sockets on each server in turn and look at its memory. Takes at most about ten minutes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    url = asyncio.run(_make_world(dsn))
    with serving({"hub": ["hub", url], "bare": ["bare-sockets", url]}) as servers:
        return asyncio.run(asyncio.wait_for(_measure(servers, sockets), 2 * LIMIT_S))


async def _make_world(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("drop database if exists sockets")
        await connection.execute("create database sockets")
    finally:
        await connection.close()
    url = dsn.replace(f"/{DATABASE}?", "/sockets?")
    await migrate(url, Settings(database_url=url))
    return url


async def _measure(servers: Mapping[str, Server], sockets: int) -> Figures:
    bare = await _open_all(servers["bare"], 2)  # the first ones load code
    before = resident(servers["bare"])
    bare += await _open_all(servers["bare"], sockets)
    per_bare = (resident(servers["bare"]) - before) / sockets
    await _close(bare)

    hub = servers["hub"]
    lines = await _open_all(hub, 2)
    await _subscribe_all(lines)
    before, began = resident(hub), time.perf_counter()
    more = await _open_all(hub, sockets)
    opened, opened_s = resident(hub), time.perf_counter() - began
    began = time.perf_counter()
    await _subscribe_all(more)
    subscribed_s = time.perf_counter() - began
    after = resident(hub)
    await _close(lines + more)
    return Figures(
        sockets,
        (opened - before) / sockets,
        per_bare,
        (after - opened) / (sockets * EACH),
        opened_s,
        subscribed_s,
    )


def resident(server: Server) -> int:
    """Return the resident memory of a server's process in bytes."""
    return int(Path(f"/proc/{server.process_id}/statm").read_text().split()[1]) * PAGE_BYTES


# ---------------------------------------------------------------- clients, as small as may be


async def _open_all(server: Server, count: int) -> list[Line]:
    lines: list[Line] = []
    while len(lines) < count:
        batch = min(AT_ONCE, count - len(lines))
        lines += await asyncio.gather(*(_open(server) for _ in range(batch)))
    return lines


async def _open(server: Server) -> Line:
    until = time.monotonic() + PATIENCE_S
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HANDSHAKE % base64.b64encode(os.urandom(16)))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), until - time.monotonic())
    assert head.startswith(b"HTTP/1.1 101 "), head
    writer.write(_frame({"type": "connection_init"}))
    assert (await _hear(reader))["type"] == "connection_ack"
    return reader, writer


async def _subscribe_all(lines: Sequence[Line]) -> None:
    numbered = iter(enumerate(lines))
    while batch := list(islice(numbered, AT_ONCE)):
        await asyncio.gather(*(_subscribe(number, line) for number, line in batch))


async def _subscribe(number: int, line: Line) -> None:
    reader, writer = line
    for each in range(EACH):
        place = {"latitude": 45 + number % 97 / 10, "longitude": 1 + number // 97 / 10 + each / 20}
        payload = {"query": QUERY, "variables": place}
        writer.write(_frame({"type": "subscribe", "id": str(each), "payload": payload}))
    for _ in range(EACH):
        message = await _hear(reader)
        assert message["type"] == "next", message


async def _hear(reader: asyncio.StreamReader) -> dict[str, object]:
    """Read a text frame of the server; pings are passed over."""
    while True:
        first, length = await asyncio.wait_for(reader.readexactly(2), PATIENCE_S)
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        payload = await reader.readexactly(length)
        if first == 0x81:
            return orjson.loads(payload)


def _frame(message: object) -> bytes:
    """Write a text frame, masked with zeros."""
    payload = orjson.dumps(message)
    length = len(payload)
    size = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + length.to_bytes(2)
    return b"\x81" + size + bytes(4) + payload


async def _close(lines: Sequence[Line]) -> None:
    for _, writer in lines:
        writer.transport.abort()
    await asyncio.sleep(0)


def lines(figures: Figures) -> list[str]:
    """Format the figures."""
    times = figures.per_socket / figures.per_bare_socket
    return [
        (
            f"{figures.sockets:,} sockets: {figures.per_socket / 1000:.1f} kB each, {times:.2f} times a bare one's "
            f"{figures.per_bare_socket / 1000:.1f} kB; opened in {figures.opened_s:.1f} s"
        ),
        (
            f"{figures.sockets * EACH:,} subscriptions on them: {figures.per_subscription / 1000:.1f} kB each; "
            f"begun in {figures.subscribed_s:.1f} s"
        ),
    ]
