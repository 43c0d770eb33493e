"""The process's one reader of the log, and how what it reads reaches those who subscribed to it.

A round: rows are read; what they are about is read once for all; in memory it is decided who hears of what; each group
of subscribers that asked the same has its changes shown once; every outlet that is ready gets its page. Rounds lie at
least `COALESCED_S` apart, and within that only the newest state of an id counts. Rows of sight renew who sees whom.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import structlog

from app import metrics
from app.db.engine import Database
from app.errors import HubError
from app.live.cursor import CursorExpired, Position, encode_cursor
from app.live.deliveries import Group, deliver, renew_cursors
from app.live.facts import EvseFacts, Facts, fetch_facts
from app.live.index import Index
from app.live.log import LogRow, fetch_sight_rows, read_log, read_state
from app.live.matching import Touched, changes_of, segments, touched_by, turned_changes
from app.live.outlet import Outlet
from app.live.past import Logged, Past
from app.live.sight import NOTHING, Seen, Viewer, both, either, fetch_sights
from app.live.starts import Starts
from app.live.subscriber import Feed, Resync, Subscriber
from app.live.turning import Turn, turn_of, turned_page

log = structlog.get_logger(__name__)

CHUNK: Final = 2_000
COALESCED_S: Final = 0.05
POLLED_S: Final = 1.0
#: Contracts begin and end by the clock too.
SIGHTS_RENEWED_S: Final = 3.0
#: Who was told nothing for so long, or twice that, gets a page with nothing but a cursor: old ones expire.
CURSORS_RENEWED_S: Final = 600.0
#: After so much matching others get their turn.
BREATH_S: Final = 0.005
AFTER_ERROR_S: Final = 1.0


class TooManySubscriptions(HubError):
    """This process has as many subscriptions as it can serve."""

    code = "TOO_MANY_SUBSCRIPTIONS"


class _Job:
    """EVSEs and spots that came into a viewer's sight or went out of it, to be gone through page by page."""

    def __init__(self, viewer: Viewer, turn: Turn, before: Seen, subscribers: Iterable[Subscriber]) -> None:
        self.viewer, self.turn, self.before = viewer, turn, before
        self.subscribers = list(subscribers)
        self.after = ""


class Fanout:
    """All subscriptions of a process.

    `shown`: turns an error into what a subscriber is shown.
    """

    def __init__(
        self,
        database: Database,
        shown: Callable[[Exception], dict[str, Any]],
        most: int = 20_000,
    ) -> None:
        self.database = database
        self.shown = shown
        self.most = most
        self.epoch = ""
        self.position = Position(0)
        self.sights: dict[Viewer, Seen] = {}
        self._index: Index[Subscriber] = Index()
        self._viewers: dict[Viewer, dict[Subscriber, None]] = {}
        self._groups: dict[Any, Group] = {}
        self._all: dict[Subscriber, None] = {}
        self._due: dict[Subscriber, None] = {}
        self._jobs: list[_Job] = []
        #: As the log has said so far, behind what is seen now.
        self._logged: dict[Viewer, Logged] = {}
        self._renewed_at = 0.0
        #: Rows about sight that the sights have seen, though the log may not be read so far.
        self._sight_rows: frozenset[int] = frozenset()
        self._cursors_renewed_at = monotonic()
        self._wake = asyncio.Event()
        self._starts = Starts(self)
        self._beginning = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._all)

    # ---------------------------------------------------------------- coming and going

    async def follow(self, feed: Feed, outlet: Outlet, begin: Callable[[Position], Position]) -> Subscriber:
        """Begin a subscription. `begin`: gives the place to start from, by where the reader stands.

        Raises: TooManySubscriptions; what `begin` raises.
        """
        if len(self._all) >= self.most:
            raise TooManySubscriptions(f"this process follows {self.most} subscriptions already", "try again later")
        viewer = feed.interest.viewer
        async with self._beginning:
            if not self._all:
                state = await read_state(self.database)
                self.epoch, self.position = state.epoch, state.head
            if viewer not in self.sights:
                past = await self._past_of(viewer)
                self.sights[viewer], self._logged[viewer] = past.seen, past.logged(self.position)
            place = begin(self.position)
            subscriber = Subscriber(
                self, feed, outlet, place, max(self.position, Position(place.transaction, place.row))
            )
            self._enter(subscriber, viewer)
        self.is_ready(subscriber)
        return subscriber

    async def _past_of(self, viewer: Viewer) -> Past:
        """Read what a viewer sees, and saw where this reader stands: what happened since is still to be told."""
        while True:
            past = await Past.read(self.database, viewer, self.position)
            if self.position <= Position(past.horizon):
                return past

    def _enter(self, subscriber: Subscriber, viewer: Viewer) -> None:
        rendering = subscriber.feed.rendering
        group = self._groups.setdefault(rendering.key, Group(rendering))
        group.members += 1
        subscriber.group = group
        self._all[subscriber] = None
        self._viewers.setdefault(viewer, {})[subscriber] = None
        self._index.add(subscriber, subscriber.feed.interest)

    def leave(self, subscriber: Subscriber) -> None:
        """Forget a subscriber that ended."""
        interest = subscriber.feed.interest
        self._all.pop(subscriber, None)
        self._due.pop(subscriber, None)
        self._index.remove(subscriber, interest)
        there = self._viewers.get(interest.viewer, {})
        there.pop(subscriber, None)
        if not there:
            self._viewers.pop(interest.viewer, None)
            self.sights.pop(interest.viewer, None)
            self._logged.pop(interest.viewer, None)
        subscriber.group.members -= 1
        if subscriber.group.members == 0:
            self._groups.pop(subscriber.group.rendering.key, None)

    def is_ready(self, subscriber: Subscriber) -> None:
        """Go on with a subscriber whose outlet is ready."""
        if not subscriber.is_live:
            self._starts.add(subscriber)
        elif subscriber.pending:
            self._due[subscriber] = None
            self._wake.set()

    # ---------------------------------------------------------------- the tasks

    async def run(self, news: Callable[[float], Awaitable[object]] | None = None) -> None:
        """Read and deliver until cancelled. `news`: waits for news of the log, at most so many seconds."""
        tasks = [asyncio.create_task(self._starts.run())]
        if news is not None:
            tasks.append(asyncio.create_task(self._listen(news)))
        try:
            while True:
                began = monotonic()
                await self._wait(await self._safely(), began)
        finally:
            for task in tasks:
                task.cancel()

    async def _listen(self, news: Callable[[float], Awaitable[object]]) -> None:
        while True:
            await news(POLLED_S)
            self._wake.set()

    async def _safely(self) -> bool:
        """Do a round; give whether there is more to do at once."""
        try:
            return await self._round()
        except CursorExpired as error:
            self._end_all(error)
        except Exception as error:
            log.warning("the log could not be read; it will be tried again", error=repr(error))
            await asyncio.sleep(AFTER_ERROR_S)
        return False

    async def _wait(self, busy: bool, began: float) -> None:
        if not busy:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLLED_S)
        self._wake.clear()
        await asyncio.sleep(max(0.0, began + COALESCED_S - monotonic()))

    def _end_all(self, error: CursorExpired) -> None:
        for subscriber in list(self._all):
            subscriber.fail([self.shown(error)])

    # ---------------------------------------------------------------- a round

    async def _round(self) -> bool:
        if not self._all:
            return False
        before = self.position
        batch = await read_log(self.database, before, CHUNK, self.epoch)
        metrics.STREAM_LAG.set((datetime.now(UTC) - batch.rows[0].at).total_seconds() if batch.rows else 0)
        # At once: who comes while these rows are gone through begins behind them all.
        self.position = max(batch.upto, self.position)
        try:
            await self._match(batch.rows, before)
        except BaseException:
            self.position = before
            raise
        if monotonic() > self._renewed_at + SIGHTS_RENEWED_S:
            self._renewed_at = monotonic()
            await self.renew(self._viewers)
        await self._work_on_jobs(before)
        self._relieve()
        more = await deliver(self, self._due)
        if monotonic() > self._cursors_renewed_at + CURSORS_RENEWED_S:
            self._cursors_renewed_at = monotonic()
            await renew_cursors(self, list(self._all))
        return more or batch.more or len(self._jobs) > 0

    async def _match(self, rows: Sequence[LogRow], before: Position) -> None:
        renewed: set[Viewer] = set()
        for part in segments(rows):
            if isinstance(part, LogRow):
                await self._turn_sights(part, renewed)
                continue
            touched = touched_by(part)
            facts = await fetch_facts(
                self.database,
                [each.id for each in touched if not each.is_spot],
                [each.id for each in touched if each.is_spot],
            )
            await self._see_no_less_than_facts(before)
            await self._tell(touched, facts)

    async def _tell(self, touched: Sequence[Touched], facts: Facts) -> None:
        breathed_at = monotonic()
        sights: dict[Viewer, tuple[Seen, Seen]] = {}
        for each in touched:
            there = facts.spots.get(each.id) if each.is_spot else facts.evses.get(each.id)
            places = [
                place for former in each.formers for place in zip(former.longitudes, former.latitudes, strict=True)
            ]
            if isinstance(there, EvseFacts):
                places.append((there.longitude, there.latitude))
            elif there is not None:
                places += zip(there.longitudes, there.latitudes, strict=True)
            for subscriber in self._index.find(None if each.is_spot else each.id, places):
                interest = subscriber.feed.interest
                if interest.viewer not in sights:
                    now, logged = self._seen_by(interest.viewer)
                    sights[interest.viewer] = both(logged, now), either(logged, now)
                told = changes_of(each, facts, interest, *sights[interest.viewer])
                if told:
                    for change in told:
                        subscriber.put(change)
                    self._due[subscriber] = None
            if monotonic() > breathed_at + BREATH_S:
                await asyncio.sleep(0)
                breathed_at = monotonic()

    def _seen_by(self, viewer: Viewer) -> tuple[Seen, Seen]:
        """Give what a viewer sees now, and what it sees going by what was read of the log.

        What is told is in both. What is held is in one of them: lists show what is committed, wherever the log is read.
        """
        now, logged = self.sights.get(viewer, NOTHING), self._logged.get(viewer)
        return now, NOTHING if logged is None else logged.seen(viewer, now)

    def _relieve(self) -> None:
        """Bring those on whom too much fell to where they can go on: the log, if they take pages, or elsewhere."""
        for subscriber in [each for each in self._due if each.overflowed]:
            self._due.pop(subscriber, None)
            if subscriber.is_live and not subscriber.outlet.ready:
                subscriber.fail([self._resync(subscriber)])
                continue
            for job in self._jobs:
                job.subscribers = [each for each in job.subscribers if each is not subscriber]
            subscriber.start_over(self.position)
            self.is_ready(subscriber)

    def _resync(self, subscriber: Subscriber) -> dict[str, Any]:
        error = self.shown(
            Resync(
                "pages were not taken as fast as things changed",
                "subscribe again with this cursor, for less, or take the present state anew",
            )
        )
        error["extensions"]["cursor"] = encode_cursor(self.epoch, subscriber.delivered)
        return error

    # ---------------------------------------------------------------- sight

    async def renew(self, viewers: Iterable[Viewer]) -> None:
        """Ask what viewers see now. What comes of that they are told when the log says so."""
        listed = [viewer for viewer in viewers if viewer in self._viewers]
        if not listed:
            return
        for viewer, seen in (await fetch_sights(self.database, listed)).items():
            if viewer in self._viewers:
                self._see(viewer, seen)

    async def _see_no_less_than_facts(self, before: Position) -> None:
        """Renew the sights if that may have changed since, going by the log behind a position.

        Facts are of now. What they say of something that changed after it went out of sight would be told by the sight
        of before, and the row about sight, which knows how it was then, would not take it back.
        """
        rows = await fetch_sight_rows(self.database, before)
        if not rows <= self._sight_rows:
            await self.renew(self._viewers)
        self._sight_rows = rows

    def _see(self, viewer: Viewer, seen: Seen) -> None:
        """Take note of a sight. Of whom a provider has contracts with the log does not speak: that is told at once."""
        before = self.sights[viewer]
        self.sights[viewer] = seen
        if viewer.provider_id is None or before.evses_of is None or seen.evses_of is None:
            return
        differing = before.evses_of ^ seen.evses_of
        if differing and before.spots_of == seen.spots_of:
            self._turn(viewer, Turn(tuple(sorted(differing)), None, datetime.now(UTC), self.position), before)

    async def _turn_sights(self, row: LogRow, renewed: set[Viewer]) -> None:
        """Go by a row about sight: renew what the viewers see, and go through whom it is about."""
        viewers = {viewer for viewer in self._viewers if _concerns(row, viewer)}
        await self.renew(viewers - renewed)
        renewed |= viewers
        for viewer in viewers & self._viewers.keys():
            logged = self._logged[viewer]
            self._logged[viewer] = logged.with_(row, not row.existed)
            before = logged.with_(row, row.existed).seen(viewer, self.sights[viewer])
            self._turn(viewer, turn_of(row), before)

    def _turn(self, viewer: Viewer, turn: Turn, before: Seen) -> None:
        subscribers = list(self._viewers[viewer])
        for subscriber in subscribers:
            subscriber.turns += 1
        self._jobs.append(_Job(viewer, turn, before, subscribers))

    async def _work_on_jobs(self, before: Position) -> None:
        """Go through some of what came into sight or went out of it; the rest has its turn in later rounds."""
        until = monotonic() + COALESCED_S / 2
        while self._jobs and monotonic() < until:
            job = self._jobs[0]
            job.subscribers = [each for each in job.subscribers if each.is_open]
            page, after = await turned_page(self.database, job.turn, job.after) if job.subscribers else ([], None)
            await self._see_no_less_than_facts(before)
            seen = both(*self._seen_by(job.viewer))
            for each in page:
                for subscriber in job.subscribers:
                    for change in turned_changes(each, subscriber.feed.interest, seen, job.before, job.turn.at):
                        subscriber.put(change)
                        self._due[subscriber] = None
            if after is not None:
                job.after = after
                continue
            self._jobs.pop(0)
            for subscriber in job.subscribers:
                subscriber.turns = max(0, subscriber.turns - 1)


def _concerns(row: LogRow, viewer: Viewer) -> bool:
    return not viewer.administrator and row.role_id in (None, viewer.role_id)
