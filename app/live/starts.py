"""From where a subscription begins to where the reader of the log stands: page by page, from lists and from the log.

Pages are read while the live stream already puts aside what happens meanwhile; with the last one a subscriber is live.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from app.db.engine import Database
from app.live.cursor import encode_cursor
from app.live.deliveries import Reader
from app.live.sight import Viewer
from app.live.snapshot import read_snapshot
from app.live.subscriber import MOST_ON_PAGE, Subscriber

#: Starts that are read for at the same time.
STARTERS: Final = 4


class Stream(Reader, Protocol):
    """The live stream that starts lead to."""

    database: Database

    def is_ready(self, subscriber: Subscriber) -> None: ...
    async def renew(self, viewers: Iterable[Viewer]) -> None: ...


class Starts:
    """Subscribers that are not live yet, and whose outlets are ready."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._waiting: asyncio.Queue[Subscriber] = asyncio.Queue()

    def add(self, subscriber: Subscriber) -> None:
        """Let a subscriber have its next page."""
        if not subscriber.is_queued:
            subscriber.is_queued = True
            self._waiting.put_nowait(subscriber)

    async def run(self) -> None:
        """Give pages until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(STARTERS):
                tasks.create_task(self._give_pages())

    async def _give_pages(self) -> None:
        while True:
            subscriber = await self._waiting.get()
            subscriber.is_queued = False
            if not (subscriber.is_open and subscriber.outlet.ready) or subscriber.is_live:
                continue
            try:
                await self._give_page(subscriber)
            except Exception as error:
                subscriber.fail([self._stream.shown(error)])

    async def _give_page(self, subscriber: Subscriber) -> None:
        place, until, feed = subscriber.place, subscriber.until, subscriber.feed
        assert place is not None
        before = place
        changes: Sequence[Any] = ()
        done = not place.entity and place >= until
        if not done:
            snapshot = await read_snapshot(self._stream.database)
            page = await feed.page(place, MOST_ON_PAGE, until)
            if page.keys:  # it shows what is seen now, which may be more than was known here
                await self._stream.renew([feed.interest.viewer])
            if not subscriber.is_open or subscriber.place is not place:
                return
            for key in page.keys:
                told = subscriber.pending.get(key)
                if told is not None and snapshot.sees(told.transaction):
                    del subscriber.pending[key]
            place, changes = page.position, page.changes
            done = (not page.more or (not place.entity and place >= until)) and subscriber.until == until
        subscriber.place = place
        if done:
            subscriber.go_live()
        # Without changes too, where there is more to read: who is cut now need not begin at the old place again.
        if changes or done or place != before:
            subscriber.delivered = until if done else place
            cursor = encode_cursor(self._stream.epoch, subscriber.delivered)
            subscriber.outlet.page(feed.rendering.page(cursor, not done, changes))
        if subscriber.outlet.ready:
            self._stream.is_ready(subscriber)
