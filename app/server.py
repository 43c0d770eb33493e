"""The server: uvicorn, told what else has to end."""

import asyncio
import resource
import socket
from collections.abc import Callable

import uvicorn


def allow_many_connections() -> None:
    """Let the process have as many files and sockets open as it may have: the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Server(uvicorn.Server):
    """Ends, before it stops, what would otherwise stay open for ever."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)
        for left in list(self.server_state.connections):
            left.transport.abort()  # its client takes nothing, and would not have noticed the end
        await asyncio.sleep(0)
