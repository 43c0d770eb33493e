"""Connections whose client reads only when the test calls for it."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.hub import Hub

HANDSHAKE = (
    b"GET /graphql HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)
#: So that what the system keeps between the two is small beside what is sent.
RECEIVED_BYTES = 8_192


@contextmanager
def connection(hub: Hub) -> Iterator[socket.socket]:
    host, port = hub.url.removeprefix("http://").split(":")
    with socket.socket() as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED_BYTES)
        plug.settimeout(30)
        plug.connect((host, int(port)))
        yield plug


def frame(message: Any) -> bytes:
    """Write a text frame, masked with zeros."""
    payload = json.dumps(message).encode()
    return struct.pack("!BBH", 0x81, 0x80 | 126, len(payload)) + bytes(4) + payload


def subscribe_on_socket(plug: socket.socket, query: str) -> None:
    plug.sendall(HANDSHAKE)
    assert plug.recv(12) == b"HTTP/1.1 101"
    plug.sendall(frame({"type": "connection_init"}))
    plug.sendall(frame({"type": "subscribe", "id": "1", "payload": {"query": query}}))


def subscribe_by_events(plug: socket.socket, query: str) -> None:
    body = json.dumps({"query": query}).encode()
    head = b"POST /graphql HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"
    plug.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert plug.recv(12) == b"HTTP/1.1 200"
