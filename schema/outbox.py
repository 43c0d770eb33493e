"""What waits to be written to one client, in order and within bounds. Putting something there never waits."""

import asyncio
from collections.abc import Awaitable, Callable


class Outbox:
    """The texts that wait. `flow` is told False when too much waits, and True when all of it is written.

    Units: `bound` in characters, which are bytes where the text is ASCII.
    """

    __slots__ = ("_bound", "_flow", "_pending", "_room", "_size", "_wake", "closed", "full")

    def __init__(self, bound: int, flow: Callable[[bool], None]) -> None:
        self._bound = bound
        self._flow = flow
        self._pending: list[str] = []
        self._size = 0
        self._wake: asyncio.Future[None] | None = None
        self._room: asyncio.Event | None = None
        self.full = False
        self.closed = False

    def put(self, text: str) -> None:
        """Add a text; after the end it goes nowhere."""
        if self.closed:
            return
        self._pending.append(text)
        self._size += len(text)
        if self._size > self._bound and not self.full:
            self.full = True
            self._flow(False)
        self._go_on()

    def drop(self, beginning: str) -> None:
        """Take back what waits and begins so."""
        kept = [text for text in self._pending if not text.startswith(beginning)]
        self._size -= sum(map(len, self._pending)) - sum(map(len, kept))
        self._pending[:] = kept

    def close(self, now: bool = False) -> None:
        """Let `run` end once everything is written, or at once but for what is being written."""
        self.closed = True
        if now:
            self._pending.clear()
        self._go_on()

    async def room(self) -> None:
        """Wait while too much waits."""
        if self.full:
            self._room = self._room or asyncio.Event()
            await self._room.wait()

    async def run(self, write: Callable[[str], Awaitable[None]]) -> None:
        """Write whatever comes until the end; `write` returns once the connection takes more."""
        pending = self._pending
        while True:
            while pending:
                text = pending.pop(0)
                await write(text)
                self._size -= len(text)
            if self.full:
                self._drained()
            elif self.closed:
                return
            else:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake

    def _drained(self) -> None:
        self.full = False
        if self._room is not None:
            self._room.set()
            self._room = None
        self._flow(True)

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
