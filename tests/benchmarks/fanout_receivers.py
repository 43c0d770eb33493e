"""Receivers: a socket for each subscriber, as light as Python allows, and what all of them receive."""

import asyncio
import base64
import gc
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from tests.benchmarks.fanout_questions import AREAS, SUBSCRIBERS

DEADLINE_S = 120
ALL = AREAS * SUBSCRIBERS


class Heard:
    """All receipts since the last `restart`. `receipts`: receiver, changes in the frame, time of arrival."""

    def __init__(self) -> None:
        self.subscribed = self.begun = 0
        self.restart()

    def restart(self) -> None:
        self.changes = self.bytes = 0
        self.receipts: list[tuple[int, int, float]] = []

    def note(self, receiver: int, changes: int, size: int) -> None:
        self.changes += changes
        self.bytes += size
        self.receipts.append((receiver, changes, time.perf_counter()))

    async def reaches(self, number: int) -> None:
        """Wait until so many changes were received, all receivers together."""
        async with asyncio.timeout(DEADLINE_S):
            while self.changes < number:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


class Receiver(asyncio.Protocol):
    """A subscriber: a socket that counts the changes it is sent, and notes when each came."""

    def __init__(self, number: int, subscribe: dict[str, Any], heard: Heard) -> None:
        self.number, self.subscribe, self.heard = number, subscribe, heard
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
        changes = frame.count(b'"action"')
        if changes:
            self.heard.note(self.number, changes, len(frame))
        elif b"connection_ack" in frame:
            self._send(self.subscribe)
            self.heard.subscribed += 1
        elif b'"next"' in frame:
            self.heard.begun += 1

    def _send(self, message: dict[str, Any]) -> None:
        text = orjson.dumps(message)
        length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
        self.transport.write(b"\x81" + length + b"\x00\x00\x00\x00" + text)


def area_of(receiver: int) -> int:
    return receiver // SUBSCRIBERS


@asynccontextmanager
async def following(
    port: int, subscribe: Callable[[int], dict[str, Any]], begins: bool = False
) -> AsyncIterator[Heard]:
    """Run all subscribers during the block. `begins`: a first page comes unasked.

    Garbage collection is off: in this one process it would delay all of them at once.
    """
    heard = Heard()
    gc.disable()
    loop = asyncio.get_running_loop()
    transports: list[asyncio.BaseTransport] = []
    try:
        for number in range(ALL):
            receiver = Receiver(number, subscribe(area_of(number)), heard)
            transports.append((await loop.create_connection(lambda receiver=receiver: receiver, "127.0.0.1", port))[0])
        async with asyncio.timeout(DEADLINE_S):
            while heard.subscribed < ALL or (begins and heard.begun < ALL):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        yield heard
    finally:
        for transport in transports:
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
        gc.enable()
