"""The queue of texts for one client, in order and bounded. Putting a text there never waits."""

import asyncio
from collections.abc import Awaitable, Callable


class SendQueue:
    """Texts to be written. `on_flow` is called with False when the bound is exceeded, with True when all is written.

    Units: `bound` in characters, which are bytes where the text is ASCII.
    """

    __slots__ = ("_bound", "_on_flow", "_pending", "_room", "_size", "_wake", "closed", "full")

    def __init__(self, bound: int, on_flow: Callable[[bool], None]) -> None:
        self._bound = bound
        self._on_flow = on_flow
        self._pending: list[str] = []
        self._size = 0
        self._wake: asyncio.Future[None] | None = None
        self._room: asyncio.Event | None = None
        self.full = False
        self.closed = False

    def put(self, text: str) -> None:
        """Add a text; one added after the end is dropped."""
        if self.closed:
            return
        self._pending.append(text)
        self._size += len(text)
        if self._size > self._bound and not self.full:
            self.full = True
            self._on_flow(False)
        self._wake_up()

    def drop(self, beginning: str) -> None:
        """Delete the pending texts that begin so."""
        kept = [text for text in self._pending if not text.startswith(beginning)]
        self._size -= sum(map(len, self._pending)) - sum(map(len, kept))
        self._pending[:] = kept

    def clear(self) -> None:
        """Delete all pending texts."""
        self.drop("")

    def close(self, now: bool = False) -> None:
        """End `run` once everything is written, or (`now`) right after the text that is being written."""
        self.closed = True
        if now:
            self.clear()
        self._wake_up()

    async def room(self) -> None:
        """Wait while the queue is full."""
        if self.full:
            self._room = self._room or asyncio.Event()
            await self._room.wait()

    async def run(self, write: Callable[[str], Awaitable[None]]) -> None:
        """Write texts as they come, until the end; `write` returns once the connection accepts more."""
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
        self._on_flow(True)

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
