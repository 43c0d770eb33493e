"""The process's one reader of the log, and how what it reads reaches the subscribers.

A round is one transaction in one snapshot: rows of the log, the entities that they name, what each viewer may see, and
what is written of it for the sinks. It leads from the snapshot of the round before to its own, and only live
subscribers, which stand where the round before ended, are sent what it merged. Every other catches up by itself; else a
change and its undoing in one round would hide what that subscriber has.

Rounds lie at least `COALESCED_S` apart, and within one only the newest state of an id counts.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

import structlog

from app import metrics
from app.db.engine import Database, Reader
from app.errors import HubError
from app.live.log.cursor import Cursor, CursorExpired, Position, Snapshot, encode_cursor
from app.live.log.rows import LogRow, check_cursor, read_formers, read_position, read_rows
from app.live.stream.catching_up import CatchingUp
from app.live.stream.delivery import Group, deliver, renew_cursors
from app.live.stream.feed import Feed
from app.live.stream.index import Index
from app.live.stream.matching import Touched, changes_of, touched_by
from app.live.stream.pages import EntityKey, key_of, read_states
from app.live.stream.sink import Sink
from app.live.stream.subscriber import Phase, Query, Resync, Subscriber
from app.visibility.viewer_scope import EVERYBODY, NOTHING, Difference, Viewer, ViewerScope, read_scope_rows
from app.vocabulary import LogKind

log = structlog.get_logger(__name__)

#: Rows that one round takes.
CHUNK: Final = 5_000
COALESCED_S: Final = 0.05
POLLED_S: Final = 1.0
#: A subscriber that got no page for so long, or twice that, gets one with nothing but a cursor: old ones expire.
CURSORS_RENEWED_S: Final = 600.0
#: Matching pauses for the event loop after so long.
PAUSE_AFTER_S: Final = 0.005
AFTER_ERROR_S: Final = 1.0
#: Entities that come into view or leave it are matched in a round when they are so few; else subscribers catch up.
MOST_IN_ROUND: Final = 2_000
#: Rows of earlier rounds that are kept for subscribers that join.
MOST_RECENT: Final = 5_000


class TooManySubscriptions(HubError):
    """The process follows as many subscriptions as it can."""

    code = "TOO_MANY_SUBSCRIPTIONS"


@dataclass(frozen=True, slots=True)
class _Recent:
    """Rows of one whole round, and the snapshot that it began from."""

    base: Snapshot
    rows: Sequence[LogRow]


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round has read. `is_whole`: all rows between two snapshots, from one round to the next."""

    reader: Reader
    present: Position
    rows: Sequence[LogRow]
    is_whole: bool
    after: Cursor
    scopes: Mapping[Viewer, ViewerScope]


class Fanout:
    """All subscriptions of a process.

    `shown`: turns an error into what a subscriber is shown. `kept`: how long cursors live.
    """

    def __init__(
        self,
        database: Database,
        feeds: Collection[Feed],
        shown: Callable[[Exception], dict[str, Any]],
        most: int = 20_000,
        kept: timedelta = timedelta(days=7),
    ) -> None:
        self.database = database
        self.kept = kept
        self.shown = shown
        self.most = most
        self.cursor: Cursor = NOWHERE
        self.scopes: dict[Viewer, ViewerScope] = {}
        self._feeds: dict[str, Feed] = {kind: feed for feed in feeds for kind in feed.log_kinds}
        self._kinds = [*self._feeds, LogKind.VIEWER_SCOPE.value]
        self._indexes: dict[str, Index[Subscriber]] = {feed.name: Index() for feed in feeds}
        self._viewers: dict[Viewer, dict[Subscriber, None]] = {}
        self._groups: dict[Any, Group] = {}
        self._all: dict[Subscriber, None] = {}
        self._due: dict[Subscriber, None] = {}
        self._joining: dict[Subscriber, None] = {}
        self._recent: deque[_Recent] = deque()
        #: When the clock, not the log, changes a scope next.
        self._scopes_change_at: datetime | None = None
        self._cursors_renewed_at = monotonic()
        self._wake = asyncio.Event()
        self._catching_up = CatchingUp(self)

    def __len__(self) -> int:
        return len(self._all)

    # ---------------------------------------------------------------- coming and going

    def follow(self, query: Query, sink: Sink, cursor: Cursor) -> Subscriber:
        """Begin a subscription at a cursor. Raises: TooManySubscriptions."""
        if len(self._all) >= self.most:
            raise TooManySubscriptions(f"this process follows {self.most} subscriptions already", "try again later")
        subscriber = Subscriber(self, query, sink, cursor)
        group = self._groups.setdefault(query.rendering.key, Group(query.rendering))
        group.members += 1
        subscriber.group = group
        self._all[subscriber] = None
        self._viewers.setdefault(query.wanted.viewer, {})[subscriber] = None
        for wanted in query.wanted.feeds:
            self._indexes[wanted.feed.name].add(subscriber, wanted)
        self.is_ready(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Remove a subscriber that ended."""
        wanted = subscriber.query.wanted
        for entered in (self._all, self._due, self._joining):
            entered.pop(subscriber, None)
        for each in wanted.feeds:
            self._indexes[each.feed.name].remove(subscriber, each)
        there = self._viewers.get(wanted.viewer, {})
        there.pop(subscriber, None)
        if not there:
            self._viewers.pop(wanted.viewer, None)
            self.scopes.pop(wanted.viewer, None)
        subscriber.group.members -= 1
        if subscriber.group.members == 0:
            self._groups.pop(subscriber.group.rendering.key, None)

    def is_ready(self, subscriber: Subscriber) -> None:
        """Go on with a subscriber whose sink is ready."""
        if subscriber.phase is Phase.CATCHING_UP:
            self._catching_up.add(subscriber)
        elif subscriber.pending:
            self._due[subscriber] = None
            self._wake.set()

    def join(self, subscriber: Subscriber) -> None:
        """Take a subscriber that has caught up along in the next round."""
        subscriber.phase = Phase.JOINING
        self._joining[subscriber] = None
        self._wake.set()

    def _catch_up(self, subscriber: Subscriber) -> None:
        if subscriber.is_live and not subscriber.pending and not subscriber.overflowed:
            subscriber.cursor = self.cursor
        self._due.pop(subscriber, None)
        self._joining.pop(subscriber, None)
        subscriber.catch_up()
        self.is_ready(subscriber)

    # ---------------------------------------------------------------- the tasks

    async def run(self, news: Callable[[float], Awaitable[object]] | None = None) -> None:
        """Read and deliver until cancelled. `news`: waits for news of the log, at most so many seconds."""
        tasks = [asyncio.create_task(self._catching_up.run())]
        if news is not None:
            tasks.append(asyncio.create_task(self._listen(news)))
        try:
            while True:
                began = monotonic()
                await self._wait(await self._safely(), began)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, news: Callable[[float], Awaitable[object]]) -> None:
        while True:
            await news(POLLED_S)
            self._wake.set()

    async def _safely(self) -> bool:
        """Do a round; return whether there is more to do at once."""
        try:
            return await self._round()
        except CursorExpired as error:
            self._end_all(error)
        except Exception as error:
            log.warning("the log could not be read; it will be tried again", error=repr(error))
            self._due.update((each, None) for each in self._all if each.is_live and each.pending)
            await asyncio.sleep(AFTER_ERROR_S)
        return False

    async def _wait(self, busy: bool, began: float) -> None:
        if not busy:
            # Not `asyncio.wait_for`: in Python 3.11 it loses a cancellation that arrives together with the wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLLED_S):
                    await self._wake.wait()
        self._wake.clear()
        await asyncio.sleep(max(0.0, began + COALESCED_S - monotonic()))

    def _end_all(self, error: CursorExpired) -> None:
        """End all subscriptions. Those that begin from here on are not behind the cursor that expired."""
        for subscriber in list(self._all):
            subscriber.fail([self.shown(error)])
        self._reset()

    def _reset(self) -> None:
        self.cursor = NOWHERE
        self._recent.clear()

    # ---------------------------------------------------------------- a round

    async def _round(self) -> bool:
        """Read what is new and deliver what waits; return whether there is more to do at once."""
        if not self._all:
            self._reset()
            return False
        async with self.database.reading() as reader:
            round_ = await self._read(reader)
            await self._match(round_)
            self._advance(round_)
            self._relieve()
            more = await deliver(self, reader, self._due)
            if monotonic() > self._cursors_renewed_at + CURSORS_RENEWED_S:
                self._cursors_renewed_at = monotonic()
                await renew_cursors(self, list(self._all))
        return more or not self.cursor.is_whole

    async def _read(self, reader: Reader) -> _Round:
        present = await read_position(reader)
        if self.cursor is NOWHERE:
            self.cursor = Cursor(present)
        if (present.epoch, present.timeline) != (self.cursor.base.epoch, self.cursor.base.timeline):
            await check_cursor(reader, self.cursor, present, self.kept)
        cursor, target = self.cursor, self.cursor.target or present
        batch = await read_rows(
            reader, cursor.base.snapshot, target.snapshot, (cursor.transaction, cursor.row), self._kinds, CHUNK
        )
        metrics.STREAM_LAG.set((datetime.now(UTC) - batch.rows[0].at).total_seconds() if batch.rows else 0)
        is_whole = cursor.is_whole and batch.upto is None
        if batch.upto is None:
            after = Cursor(target)
        else:
            after = replace(cursor, target=target, transaction=batch.upto[0], row=batch.upto[1])
        scopes = await self._read_scopes(reader, batch.rows, present, is_whole)
        return _Round(reader, present, batch.rows, is_whole, after, scopes)

    def _advance(self, round_: _Round) -> None:
        if round_.is_whole:
            self._recent.append(_Recent(self.cursor.base.snapshot, round_.rows))
            while sum(len(each.rows) for each in self._recent) > MOST_RECENT or len(self._recent) > 100:
                self._recent.popleft()
        else:
            self._recent.clear()
        self.cursor = round_.after
        self.scopes = {viewer: scope for viewer, scope in round_.scopes.items() if viewer in self._viewers}

    async def _read_scopes(
        self, reader: Reader, rows: Sequence[LogRow], present: Position, is_whole: bool
    ) -> Mapping[Viewer, ViewerScope]:
        """Return what the viewers see in the round's snapshot. Only what may have changed is read."""
        stale = self._stale_viewers(rows, present.at, is_whole)
        if not stale:
            return self.scopes
        read = await read_scope_rows(reader, stale, present.at)
        ends = [each for each in (read.changes_at, self._scopes_change_at) if each is not None and each > present.at]
        self._scopes_change_at = min(ends, default=None)
        return {**self.scopes, **{viewer: read.present(viewer) for viewer in stale}}

    def _stale_viewers(self, rows: Sequence[LogRow], now: datetime, is_whole: bool) -> Collection[Viewer]:
        if not is_whole or (self._scopes_change_at is not None and now >= self._scopes_change_at):
            return list(self._viewers)
        moved = {role_id for row in rows if row.kind == LogKind.VIEWER_SCOPE for role_id in row.role_ids}
        return [viewer for viewer in self._viewers if viewer not in self.scopes or _is_moved(viewer, moved)]

    # ---------------------------------------------------------------- matching

    async def _match(self, round_: _Round) -> None:
        difference = self._went_elsewhere(round_)
        touched = touched_by(round_.rows, self._feeds)
        if not round_.is_whole:
            await self._read_formers(round_.reader, touched)
        joiners = self._joiners(round_)
        states = dict(
            await read_states(round_.reader, [*touched, *(each for some in joiners.values() for each in some)])
        )
        moved = await self._read_moved(round_, difference, {key_of(each) for each in touched})
        states |= {(each.feed.name, state.id): state for each, state in moved}
        await self._put([*touched, *(each for each, _ in moved)], states, round_)
        await self._join(joiners, states, round_)

    async def _read_formers(self, reader: Reader, touched: Sequence[Touched]) -> None:
        """Read how entities were at the base: the first rows about them may not be among those of this round."""
        existed = [each for each in touched if each.former is not None and each.former.existed]
        for feed in {each.feed.name: each.feed for each in existed}.values():
            of_feed = {each.id: each for each in existed if each.feed is feed}
            formers = await read_formers(reader, feed.entity_kind, of_feed.keys(), self.cursor.base.snapshot)
            for id_, former in formers.items():
                of_feed[id_].former = former

    def _went_elsewhere(self, round_: _Round) -> Difference:
        """Return what came into any viewer's view or went out of it.

        In the middle of many rows subscribers catch up by themselves instead.
        """
        difference = Difference()
        for viewer, subscribers in self._viewers.items():
            before, now = self.scopes.get(viewer), round_.scopes.get(viewer, NOTHING)
            if before is None or before == now:
                continue
            if round_.is_whole:
                difference |= now.minus(before) | before.minus(now)
            else:
                self._let_catch_up(subscribers)
        return difference

    def _let_catch_up(self, subscribers: Iterable[Subscriber]) -> None:
        for subscriber in [each for each in subscribers if each.is_live]:
            self._catch_up(subscriber)

    async def _read_moved(
        self, round_: _Round, difference: Difference, known: Collection[EntityKey]
    ) -> Sequence[tuple[Touched, Any]]:
        """Read the entities that came into view or went out of it, unless they are many."""
        moved: list[tuple[Touched, Any]] = []
        for feed in {feed.name: feed for feed in self._feeds.values()}.values():
            part = feed.concerns(difference)
            if not part or feed.through is None:
                continue
            rows = await round_.reader.fetch(feed.through, *feed.subjects(part), MOST_IN_ROUND + 1, planned=True)
            if len(rows) > MOST_IN_ROUND:
                self._let_catch_up(self._affected(round_))
                return ()
            states = [feed.state_of(row) for row in rows]
            moved += [
                (Touched(feed, state.id, round_.present.at, role_ids=_provider_of(feed, state)), state)
                for state in states
                if (feed.name, state.id) not in known
            ]
        return moved

    def _affected(self, round_: _Round) -> Sequence[Subscriber]:
        return [
            subscriber
            for viewer, subscribers in self._viewers.items()
            if viewer in self.scopes and self.scopes[viewer] != round_.scopes.get(viewer)
            for subscriber in subscribers
        ]

    async def _put(self, touched: Sequence[Touched], states: Mapping[EntityKey, Any], round_: _Round) -> None:
        """Decide for every entity which live subscribers are sent what."""
        paused_at = monotonic()
        # By subscriber: hashing a viewer for each of its changes would cost more than what is decided.
        scopes: dict[Subscriber, tuple[ViewerScope, ViewerScope]] = {}
        readers = self._readers(touched, round_)
        for each in touched:
            state = states.get(key_of(each))
            for subscriber in self._subscribers_near(each, state, readers):
                wanted = subscriber.query.wanted.of_feed(each.feed)
                if wanted is None or not subscriber.is_live:
                    continue
                if subscriber not in scopes:
                    viewer = subscriber.query.wanted.viewer
                    scopes[subscriber] = self.scopes.get(viewer, NOTHING), round_.scopes.get(viewer, NOTHING)
                before, scope = scopes[subscriber]
                changes = changes_of(each, state, wanted, scope, before)
                if changes:
                    subscriber.see(scope)
                    self._due[subscriber] = None
                for change in changes:
                    subscriber.put(change)
            if monotonic() > paused_at + PAUSE_AFTER_S:
                await asyncio.sleep(0)
                paused_at = monotonic()

    def _readers(self, touched: Iterable[Touched], round_: _Round) -> Mapping[int, Sequence[Subscriber]]:
        """Return the subscribers that see something through the providers of a round, or did before it."""
        providers = {role_id for each in touched if each.feed.provider_of is not None for role_id in each.role_ids}
        readers: dict[int, list[Subscriber]] = {role_id: [] for role_id in providers}
        for viewer, subscribers in self._viewers.items() if providers else ():
            before, now = self.scopes.get(viewer, NOTHING), round_.scopes.get(viewer, NOTHING)
            for role_id in providers & (before.providers | now.providers):
                readers[role_id] += subscribers
        return readers

    def _subscribers_near(
        self, touched: Touched, state: Any, readers: Mapping[int, Sequence[Subscriber]]
    ) -> Collection[Subscriber]:
        if touched.feed.provider_of is not None:
            return [subscriber for role_id in touched.role_ids for subscriber in readers[role_id]]
        former = () if touched.former is None else touched.former.places
        now = () if state is None else state.places
        return self._indexes[touched.feed.name].find(touched.id, (*former, *now), touched.role_ids)

    # ---------------------------------------------------------------- joining

    def _joiners(self, round_: _Round) -> Mapping[Subscriber, Sequence[Touched]]:
        """Return the subscribers that this round takes along, with what changed since their cursors."""
        joining = list(self._joining)  # they stay there until the round has succeeded
        taken: dict[Subscriber, Sequence[Touched]] = {}
        oldest = self._recent[0].base if self._recent else self.cursor.base.snapshot
        for subscriber in joining:
            seen = subscriber.cursor.base.snapshot
            scope = round_.scopes.get(subscriber.query.wanted.viewer, NOTHING)
            if not round_.is_whole or not seen.covers(oldest) or subscriber.scope != scope:
                self._catch_up(subscriber)
                continue
            taken[subscriber] = touched_by(self._rows_since(seen, round_), subscriber.query.wanted.by_kind)
        return taken

    def _rows_since(self, seen: Snapshot, round_: _Round) -> Iterable[LogRow]:
        for recent in self._recent:
            yield from (row for row in recent.rows if not seen.sees(row.transaction))
        yield from (row for row in round_.rows if not seen.sees(row.transaction))

    async def _join(
        self, joiners: Mapping[Subscriber, Sequence[Touched]], states: Mapping[EntityKey, Any], round_: _Round
    ) -> None:
        for subscriber, touched in joiners.items():
            if not subscriber.is_open:
                continue
            wanted, scope = subscriber.query.wanted, subscriber.scope
            for each in touched:
                feed = wanted.of_feed(each.feed)
                assert feed is not None
                for change in changes_of(each, states.get(key_of(each)), feed, scope, scope):
                    subscriber.put(change)
            subscriber.phase = Phase.LIVE
            self._joining.pop(subscriber, None)
            if subscriber.pending or subscriber.overflowed:
                self._due[subscriber] = None

    # ---------------------------------------------------------------- too much

    def _relieve(self) -> None:
        """Move subscribers that got too much at once to the log, if they take pages; end the others."""
        for subscriber in [each for each in self._due if each.overflowed]:
            if subscriber.sink.ready:
                self._catch_up(subscriber)
            else:
                self._due.pop(subscriber, None)
                subscriber.fail([self._resync(subscriber)])

    def _resync(self, subscriber: Subscriber) -> dict[str, Any]:
        error = self.shown(
            Resync(
                "pages were not taken as fast as things changed",
                "subscribe again with this cursor, for less, or take a new initial state",
            )
        )
        error["extensions"]["cursor"] = encode_cursor(subscriber.cursor)
        return error


#: While there are no subscribers the log is not read.
NOWHERE: Final = Cursor(Position("", 0, 0, datetime(1970, 1, 1, tzinfo=UTC), Snapshot()))


def _provider_of(feed: Feed, state: Any) -> tuple[int, ...]:
    return () if feed.provider_of is None else (feed.provider_of(state),)


def _is_moved(viewer: Viewer, roles: Collection[int]) -> bool:
    """Return whether a viewer's scope depends on one of the roles whose rows changed. For a provider's: perhaps."""
    return bool(roles) and (EVERYBODY in roles or viewer.role_id in roles or viewer.provider_id is not None)
