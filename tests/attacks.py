"""Attacks on a hub, from outside: used by tests at a size of seconds, and by `make soak ARGS=attack` at full size."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg

#: Over the whole world nothing has so many: every location is looked at, twenty times.
WORLD = "{bounds: {minimumLatitude: -90, minimumLongitude: -180, maximumLatitude: 90, maximumLongitude: 180}}"
COSTLY = (
    "{"
    + " ".join(
        f"a{n}: locations(within: {WORLD}, first: 1, minAvailable: 900) {{ nodes {{ name }} }}" for n in range(20)
    )
    + "}"
)


def request(query: str, variables: Any = None, key: str | None = None) -> bytes:
    """Write a POST request to /graphql."""
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"POST /graphql HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n{authorization}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def ask_and_leave(url: str, asked: bytes, count: int, stays_s: float) -> None:
    """Send a request so many times at once, each on a connection of its own, and close these after a while."""
    address = urlsplit(url)
    with ExitStack() as stack:
        for _ in range(count):
            plug = stack.enter_context(socket.create_connection((address.hostname or "", address.port or 80), 10))
            plug.sendall(asked)
        time.sleep(stays_s)


def send_at_once(url: str, asked: bytes, count: int) -> list[int]:
    """Send a request so many times at once, in full where the hub takes it; return the statuses of the answers."""
    with ThreadPoolExecutor(count) as senders:
        return list(senders.map(partial(_send, url), [asked] * count))


def _send(url: str, asked: bytes) -> int:
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 80), 60) as plug:
        with suppress(ConnectionError):  # it is answered before it was sent, and cut off
            plug.sendall(asked)
        with suppress(ConnectionError):
            return int(plug.recv(4_096).split()[1])
    return 0


def charge_points(count: int) -> list[dict[str, Any]]:
    """Return items that fill a body: 1,000 are 0.6 MB."""
    return [{"evseId": f"DE*SON*E{number}", "locationName": "x" * 500} for number in range(count)]


#: What an uploader sends; and without its key, or with one of another role.
UPLOAD = "mutation ($points: [ChargePointInput!]!) { updateChargePointList(chargePoints: $points) { accepted } }"


def zigzag(count: int, longitude: float = 0.0, latitude: float = 0.0) -> dict[str, Any]:
    """Return an area of so many corners, all of whose edges pass every latitude of its degree."""
    return {
        "polygon": [
            {"longitude": longitude + number / count, "latitude": latitude + number % 2} for number in range(count)
        ]
    }


async def backends(dsn: str) -> Sequence[int]:
    """Return the processes of the server, on this machine, that work for the hub of a database."""
    watcher = await asyncpg.connect(dsn)
    try:
        rows = await watcher.fetch(
            "select pid from pg_stat_activity where datname = current_database() and application_name = 'ochub'"
        )
        return [row["pid"] for row in rows]
    finally:
        await watcher.close()


@contextmanager
def hanging(pids: Sequence[int]) -> Iterator[None]:
    """Stop processes for the length of the block: they end nothing and close nothing, as on a disk that hangs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
