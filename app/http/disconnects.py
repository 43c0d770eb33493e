"""End work for a client that has left. The connection cancels the task itself, so waiting costs no second task."""

import asyncio
from types import TracebackType
from typing import Any

from starlette.types import Scope

#: Where the server puts the `Client` of a request.
SCOPE_KEY = "ochub.client"


class ClientLeft(Exception):
    """The client closed its connection before it had its answer."""


class Client:
    """The client of one connection: the task that works for it alone, and whether it has left."""

    __slots__ = ("has_left", "task")

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.has_left = False

    def leave(self) -> None:
        """Cancel the work for this client: its connection is closed."""
        self.has_left = True
        if self.task is not None:
            self.task.cancel()


class WhileConnected:
    """Cancel the block when the client leaves, together with the database statement that it waits for.

    For work without effects: reads and streams. Under a server that puts no client into the scope nothing is cancelled.

    Raises: ClientLeft.
    """

    __slots__ = ("_client",)

    def __init__(self, scope: Scope) -> None:
        self._client: Client | None = scope.get(SCOPE_KEY)

    def __enter__(self) -> None:
        client = self._client
        if client is not None:
            if client.has_left:
                raise ClientLeft
            client.task = asyncio.current_task()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        client = self._client
        if client is None:
            return
        task, client.task = client.task, None
        # One cancellation is the connection's. Any other ends the task itself, whether or not the client left.
        if client.has_left and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientLeft from error
