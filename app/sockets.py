"""Connections that stay open: how uvicorn makes WebSockets, and for how long a client may take nothing."""

import asyncio
import socket
from functools import partial
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.settings import Settings

#: A client that does not close its side, or leaves unread what was sent before the end, is cut off after so long.
CLOSED_WITHIN_S = 10.0


def bounded_sockets(settings: Settings) -> dict[str, Any]:
    """Give uvicorn's settings for WebSockets. Compression is off: it would take most of a socket's memory."""
    return {
        "ws": cast(type[asyncio.Protocol], partial(BoundedSocket, settings.send_timeout_s)),
        "ws_max_size": settings.max_message_bytes,
        "ws_ping_interval": settings.keepalive_s,
        "ws_ping_timeout": settings.keepalive_s,
        "ws_per_message_deflate": False,
    }


def cut_off_silent_peers(listener: socket.socket, settings: Settings) -> None:
    """Let the system cut connections off, whatever is spoken there, whose peer acknowledges nothing for so long."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.send_timeout_s * 1000))


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, cut off when its client takes nothing for too long.

    The system alone cannot tell: a client that takes one byte now and then acknowledges it.
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
