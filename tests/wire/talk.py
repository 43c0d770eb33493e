"""Speaking graphql-transport-ws and server-sent events, message by message."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.hub import Hub

PROTOCOL = "graphql-transport-ws"
#: Slow machines are waited for; nothing here is measured.
PATIENCE_S = 30
#: A client that has left messages unread never gets the hub's answer to its close.
CLOSE_S = 1


class Talk:
    """One socket, seen from its client."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, type_: str, **more: Any) -> None:
        self.socket.send(json.dumps({"type": type_, **more}))

    def init(self, payload: Any = None) -> None:
        self.send("connection_init", **({} if payload is None else {"payload": payload}))
        assert self.hear() == {"type": "connection_ack"}

    def subscribe(self, id_: str, query: str, variables: Any = None, **more: Any) -> None:
        given = {} if variables is None else {"variables": variables}
        self.send("subscribe", id=id_, payload={"query": query, **given, **more})

    def hear(self) -> Any:
        return json.loads(self.socket.recv(PATIENCE_S))

    def hear_of(self, id_: str) -> list[dict[str, Any]]:
        """Return all messages of one operation up to its end; others are left out."""
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["type"] == "next":
            message = self.hear()
            if message.get("id") == id_:
                heard.append(message)
        return heard

    def end(self) -> tuple[int, str]:
        """Return the hub's close code and reason, whatever is said before."""
        with pytest.raises(ConnectionClosed) as closed:
            self._read_to_the_end()
        assert closed.value.rcvd is not None, "the connection was cut, not closed"
        return closed.value.rcvd.code, closed.value.rcvd.reason

    def _read_to_the_end(self) -> None:
        while True:
            self.socket.recv(PATIENCE_S)


@contextmanager
def talk(hub: Hub, *protocols: str, headers: dict[str, str] | None = None, **options: Any) -> Iterator[Talk]:
    """Open a socket."""
    url = f"{hub.url.replace('http', 'ws', 1)}/graphql"
    subprotocols = [Subprotocol(each) for each in protocols or (PROTOCOL,)]
    settings: dict[str, Any] = {"compression": None, "close_timeout": CLOSE_S, **options}
    with connect(url, subprotocols=subprotocols, additional_headers=headers, **settings) as socket:
        try:
            yield Talk(socket)
        finally:
            socket.close()
            socket.socket.close()  # the library leaves that to a thread, which may come late


# ---------------------------------------------------------------- server-sent events


@contextmanager
def events(hub: Hub, query: str, headers: dict[str, str] | None = None, **more: Any) -> Iterator[httpx.Response]:
    """Request a stream."""
    accept = {"Accept": "text/event-stream", **(headers or {})}
    with hub.client.stream("POST", "/graphql", json={"query": query, **more}, headers=accept) as response:
        yield response


def parsed(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Yield events as they come: name and data. A comment is an event named `:`."""
    name, data = "", list[str]()
    for line in response.iter_lines():
        match line.partition(":"):
            case "", ":", _:
                yield ":", None
            case "event", _, value:
                name = value.strip()
            case "data", _, value:
                data.append(value.removeprefix(" "))
            case "", "", "":
                if name:
                    yield name, json.loads("\n".join(data)) if any(data) else None
                name, data = "", []
            case other:
                raise AssertionError(f"not an event stream: {other}")
