"""Connections: how long a request's head may be, and for how long a client may leave anything unfinished.

uvicorn bounds neither the head of a request nor its time, nor how many requests are sent ahead; and it goes on reading
the body of a request that was refused.
"""

from asyncio import Protocol, TimerHandle, Transport
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.settings import Settings

MAXIMUM_HEAD_BYTES = 64_000
#: Requests sent ahead of the answer to the first one.
MAXIMUM_WAITING = 100


def bounded_http(settings: Settings) -> type[Protocol]:
    """Give what uvicorn makes connections of."""
    return cast(type[Protocol], partial(BoundedHttp, settings.body_timeout_s, settings.send_timeout_s))


class BadHead(Exception):
    """A head cannot be taken."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP, with an end to what a client may leave unfinished.

    The bodies of requests that are let in have a timer of their own, where they are read.
    """

    def __init__(self, timeout_s: float, send_timeout_s: float, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._timeout_s = timeout_s
        #: Whoever takes nothing of an answer for so long is gone, or wants its memory held.
        self._send_timeout_s = send_timeout_s
        self._receiving: TimerHandle | None = None
        self._sending: TimerHandle | None = None
        self._in_head = True
        #: Of the head, in what came before; and all that came last.
        self._head_bytes = self._received = 0
        self._message_ended = False
        self._refusal: BadHead | None = None

    # ---------------------------------------------------------------- what comes

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._expect(self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._message_ended, self._received = False, len(data)
        super().data_received(data)
        if not self._in_head or self._message_ended or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAXIMUM_HEAD_BYTES:
            self._refuse(_too_large())
        elif self._receiving is None:
            self._expect(self._head_is_late)

    def on_headers_complete(self) -> None:
        self._expect(None)
        may_be_long = self._head_bytes + self._received > MAXIMUM_HEAD_BYTES
        self._in_head, self._head_bytes = False, 0
        if may_be_long and self._head_size() > MAXIMUM_HEAD_BYTES:
            self._refusal = _too_large()
            raise self._refusal
        if len(self.pipeline) >= MAXIMUM_WAITING:
            self._refusal = BadHead(HTTPStatus.BAD_REQUEST, f"more than {MAXIMUM_WAITING} requests wait for an answer")
            raise self._refusal
        super().on_headers_complete()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_message_complete(self) -> None:
        self._expect(None)
        self._in_head = self._message_ended = True
        super().on_message_complete()

    # ---------------------------------------------------------------- what goes

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head and self.cycle.response_complete and self._receiving is None:
            # Answered before its body was there. Closing at once would take the answer from who still sends.
            self._expect(self.transport.close)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self._sending or self.loop.call_later(self._send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read."""
        self._refuse(self._refusal or BadHead(HTTPStatus.BAD_REQUEST, "this is not HTTP"))

    # ---------------------------------------------------------------- ends

    def _expect(self, otherwise: Callable[[], None] | None) -> None:
        """Wait so long for what is to come next, and then do otherwise; None: nothing needs to come."""
        if self._receiving is not None:
            self._receiving.cancel()
        self._receiving = None if otherwise is None else self.loop.call_later(self._timeout_s, otherwise)

    def _head_is_late(self) -> None:
        self._receiving = None
        is_answering = self.cycle is not None and not self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]: none at first
        if is_answering or self.transport.is_closing():
            return  # once it is answered the connection is kept alive for some seconds only
        if self._head_bytes > 0:
            late = f"the head of the request did not arrive within {self._timeout_s:g} s"
            self._refuse(BadHead(HTTPStatus.REQUEST_TIMEOUT, late))
        else:
            self.transport.close()

    def _refuse(self, refusal: BadHead) -> None:
        error = {"message": str(refusal), "extensions": {"code": "BAD_REQUEST"}}
        body = orjson.dumps({"errors": [error]})
        head = (
            f"HTTP/1.1 {refusal.status} {refusal.status.phrase}\r\ncontent-type: application/json; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def _too_large() -> BadHead:
    return BadHead(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request's head is longer than {MAXIMUM_HEAD_BYTES} bytes"
    )
