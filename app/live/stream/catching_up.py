"""From where a subscription begins to where the stream is: page by page, from lists and from the log."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from app.live.log.cursor import encode_cursor
from app.live.stream.subscriber import MOST_ON_PAGE, Phase, Subscriber

#: Pages that are read at the same time.
READERS: Final = 4


class Stream(Protocol):
    """The stream that subscribers join in the end."""

    def join(self, subscriber: Subscriber) -> None: ...

    @property
    def shown(self) -> Callable[[Exception], dict[str, Any]]: ...


class CatchingUp:
    """Subscribers that are not live, and whose sinks are ready."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._waiting: asyncio.Queue[Subscriber] = asyncio.Queue()

    def add(self, subscriber: Subscriber) -> None:
        """Queue a subscriber for its next page."""
        if not subscriber.is_queued and subscriber.reading is None:
            subscriber.is_queued = True
            self._waiting.put_nowait(subscriber)

    async def run(self) -> None:
        """Read pages until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(READERS):
                tasks.create_task(self._read_pages())

    async def _read_pages(self) -> None:
        while True:
            subscriber = await self._waiting.get()
            subscriber.is_queued = False
            if not (subscriber.is_open and subscriber.sink.ready) or subscriber.phase is not Phase.CATCHING_UP:
                continue
            reading = subscriber.reading = asyncio.create_task(self._read_page(subscriber))
            try:
                await asyncio.wait([reading])
            finally:
                reading.cancel()  # where this reader is cancelled itself
                subscriber.reading = None
            self._go_on(subscriber, reading)

    def _go_on(self, subscriber: Subscriber, reading: asyncio.Task[None]) -> None:
        """Queue a subscriber for its next page, or fail one whose page could not be read.

        Only now: two pages from one cursor would be sent twice. A page is cancelled only when its subscriber has left.
        """
        error = None if reading.cancelled() else reading.exception()
        if isinstance(error, Exception):
            subscriber.fail([self._stream.shown(error)])
        elif subscriber.is_open and subscriber.phase is Phase.CATCHING_UP:
            self.add(subscriber)

    async def _read_page(self, subscriber: Subscriber) -> None:
        query, before = subscriber.query, subscriber.cursor
        page = await query.page(before, MOST_ON_PAGE)
        if not subscriber.is_open or not subscriber.sink.ready:
            return
        subscriber.cursor = page.cursor
        # Pages without changes too, while there is more to read: a client that is cut off need not begin again. A
        # subscriber that only falls in step with the stream again is sent none.
        if page.changes or page.more or subscriber.has_more:
            subscriber.renewed, subscriber.has_more = page.cursor, page.more
            subscriber.sink.page(query.rendering.page(encode_cursor(page.cursor), page.more, page.changes))
        if not page.more:
            subscriber.scope = page.scope
            self._stream.join(subscriber)
