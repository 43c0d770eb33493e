"""All that the hub changes in uvicorn: bounds on what a client may leave unfinished, and an orderly stop.

uvicorn bounds neither the head of a request nor its time, nor how many requests are sent ahead, and it continues to
read the body of a request that was refused. The subclasses override methods that uvicorn does not document, therefore
pyproject.toml pins its minor version, and tests/http/test_uvicorn_limits.py compares what is overridden with what is
installed.
"""

import asyncio
import resource
import select
import signal
import socket
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any, Final, cast

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.http.disconnects import SCOPE_KEY, Client
from app.settings import Settings

MAXIMUM_HEAD_BYTES = 64_000
#: Requests sent ahead of the answer to the first one.
MAXIMUM_WAITING = 100
#: Interval between two checks of a connection that is not read because requests wait on it.
CHECKED_EVERY_S = 0.25
#: Time for a WebSocket client to close its side and to read what was sent before the end.
CLOSED_WITHIN_S = 10.0
#: Time for requests in progress when the server stops.
GRACE_S = 3


def server_config(application: Any, settings: Settings, **options: Any) -> uvicorn.Config:
    """Return uvicorn's settings for a hub, with the bounded protocols."""
    return uvicorn.Config(
        application,
        http=cast(type[asyncio.Protocol], partial(BoundedHttp, settings.body_timeout_s, settings.send_timeout_s)),
        ws=cast(type[asyncio.Protocol], partial(BoundedSocket, settings.send_timeout_s)),
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=settings.keepalive_s,
        ws_ping_timeout=settings.keepalive_s,
        ws_per_message_deflate=False,  # it would take most of a socket's memory
        access_log=False,
        proxy_headers=False,  # the application reads them itself, from the configured proxies only
        timeout_graceful_shutdown=GRACE_S,
        **options,
    )


def cut_off_silent_peers(listener: socket.socket, settings: Settings) -> None:
    """Set the listener's connections to be closed once a peer acknowledges nothing for `send_timeout_s`."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.send_timeout_s * 1000))


#: Of two of these a proxy may believe one and the hub the other.
SAID_ONCE: Final = frozenset(
    {
        *(b"authorization", b"content-encoding", b"content-length", b"content-type", b"host", b"origin"),
        b"transfer-encoding",
    }
)


def allow_many_connections() -> None:
    """Raise the process's limit of open files to its maximum: the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Server(uvicorn.Server):
    """uvicorn's server. `on_stop` ends what would otherwise stay open for ever; `stop_signals` stop only it."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_stop: Callable[[], None],
        on_start: Callable[[], Awaitable[None]] | None = None,
        stop_signals: Sequence[signal.Signals] = (),
    ) -> None:
        super().__init__(config)
        self._on_stop = on_stop
        self._on_start = on_start
        self._stop_signals = stop_signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._on_start is not None:
            await self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)
        for left in list(self.server_state.connections):
            left.transport.abort()  # its client reads nothing, and would not notice the end
        await asyncio.sleep(0)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        # The original raises the signal once more after the shutdown: connections and cluster could then not be
        # closed in peace.
        handled = [number for number in self._stop_signals if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._stop) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


# ---------------------------------------------------------------- HTTP


class BadHead(Exception):
    """The head of a request cannot be accepted."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP connection, with timeouts and a maximum head.

    The bodies of admitted requests have a timer of their own, where they are read.
    """

    def __init__(self, timeout_s: float, send_timeout_s: float, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._timeout_s = timeout_s
        #: A client that reads nothing of an answer for so long is gone, or wants to occupy memory.
        self._send_timeout_s = send_timeout_s
        self._client = Client()
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._checking: asyncio.TimerHandle | None = None
        self._in_head = True
        #: Bytes of the head in earlier chunks; bytes of the last chunk.
        self._head_bytes = self._received = 0
        self._message_ended = False
        self._refusal: BadHead | None = None

    # ---------------------------------------------------------------- what arrives

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._expect(self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self._checking = _cancelled(self._checking)
        self.resume_writing()
        super().connection_lost(exc)
        self._client.leave()

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

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)[SCOPE_KEY] = self._client

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes behind a chunked body is no header, and must not win over one
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._expect(None)
        may_be_long = self._head_bytes + self._received > MAXIMUM_HEAD_BYTES
        self._in_head, self._head_bytes = False, 0
        if may_be_long and self._head_size() > MAXIMUM_HEAD_BYTES:
            self._refusal = _too_large()
            raise self._refusal
        names = [name for name, _ in self.headers if name in SAID_ONCE]
        if len(names) > len(set(names)):
            self._refusal = BadHead(HTTPStatus.BAD_REQUEST, "a header that may come once is there twice")
            raise self._refusal
        if len(self.pipeline) >= MAXIMUM_WAITING:
            self._refusal = BadHead(HTTPStatus.BAD_REQUEST, f"more than {MAXIMUM_WAITING} requests wait for an answer")
            raise self._refusal
        super().on_headers_complete()
        if self.pipeline and self._checking is None:
            self._check()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def on_message_complete(self) -> None:
        self._expect(None)
        self._in_head = self._message_ended = True
        super().on_message_complete()

    def _check(self) -> None:
        """Close the connection if its client has: uvicorn reads nothing, and so no end, while requests wait."""
        self._checking = None
        if not self.pipeline or self.transport.is_closing():
            return
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        if poll.poll(0):
            self.transport.abort()
        else:
            self._checking = self.loop.call_later(CHECKED_EVERY_S, self._check)

    # ---------------------------------------------------------------- what is sent

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head and self.cycle.response_complete and self._receiving is None:
            # Answered before its body was there. Closing at once would take the answer from a client that still sends.
            self._expect(self.transport.close)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._sending = self._sending or self.loop.call_later(self._send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._sending = _cancelled(self._sending)

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser could not read."""
        self._refuse(self._refusal or BadHead(HTTPStatus.BAD_REQUEST, "this is not HTTP"))

    # ---------------------------------------------------------------- ends

    def _expect(self, otherwise: Callable[[], None] | None) -> None:
        """Call `otherwise` unless something arrives in time; None: nothing needs to arrive."""
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


# ---------------------------------------------------------------- WebSockets


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, closed when its client reads nothing for too long.

    The system alone cannot tell: a client that reads one byte now and then acknowledges it.
    """

    def __init__(self, send_timeout_s: float, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._send_timeout_s = send_timeout_s
        self._stalled: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._stalled or self.loop.call_later(self._send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled = _cancelled(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stalled = _cancelled(self._stalled)
        self._ending = _cancelled(self._ending)
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._end()

    def shutdown(self) -> None:
        super().shutdown()
        self._end()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        if not self.disconnected:
            self._end()

    def _end(self) -> None:
        self._ending = self._ending or self.loop.call_later(CLOSED_WITHIN_S, self.transport.abort)


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
