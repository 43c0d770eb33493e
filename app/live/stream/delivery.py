"""From changes that wait to pages in the sinks: written once per group, put together once for all equal pages."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

import structlog

from app.db.engine import Reader
from app.live.log.cursor import Cursor, encode_cursor
from app.live.stream.matching import Change
from app.live.stream.subscriber import MOST_ON_PAGE, Key, Rendering, Subscriber
from app.visibility.viewer_scope import NOTHING, Viewer, ViewerScope

log = structlog.get_logger(__name__)

#: Rounds in a row in which a group's changes may fail to be read before its subscriptions end.
MOST_FAILURES: Final = 5

#: So many subscribers get a page before the event loop goes on.
AT_ONCE: Final = 500

Written = Mapping[int, Any]


class Group:
    """Subscribers that ask the same in the same way, whose changes are written once."""

    def __init__(self, rendering: Rendering) -> None:
        self.rendering = rendering
        self.members = 0
        self.failures = 0


class Stream(Protocol):
    """The stream, as far as deliveries depend on it. `cursor`: everything up to there is in `pending`."""

    cursor: Cursor
    scopes: dict[Viewer, ViewerScope]

    @property
    def shown(self) -> Callable[[Exception], dict[str, Any]]: ...


async def deliver(stream: Stream, reader: Reader, due: MutableMapping[Subscriber, None]) -> bool:
    """Send each ready sink its next page of pending changes. Return whether any sink has more pending.

    A group is written no more than a page's worth at a time for each of its members, and groups with few changes come
    first: no subscriber waits for one that follows everything.
    """
    waiting: dict[Group, list[Subscriber]] = {}
    wanted: dict[Group, dict[int, Change]] = {}
    for subscriber in [each for each in due if each.is_open and each.is_live and each.sink.ready]:
        subscriber.see(stream.scopes.get(subscriber.query.wanted.viewer, NOTHING))
        waiting.setdefault(subscriber.group, []).append(subscriber)
        first = islice(subscriber.pending.values(), MOST_ON_PAGE)
        wanted.setdefault(subscriber.group, {}).update((id(change), change) for change in first)
    due.clear()
    pages: dict[Any, str] = {}
    more = failed = False
    for group, changes in sorted(wanted.items(), key=lambda each: (each[0].failures, len(each[1]))):
        written = None if failed else await _written(reader, group, changes.values())
        if written is None and not failed:
            failed = True  # and with it the reader's transaction: the other groups have their turn in the next round
            _end_broken(stream, group, waiting[group])
        for subscriber in waiting[group]:
            if written is None:
                due[subscriber] = None  # a closed one is left out the next time
            elif subscriber.is_open and subscriber.sink.ready and subscriber.pending:
                subscriber.sink.page(_next_page(stream, subscriber, written, pages))
                if subscriber.pending:
                    due[subscriber] = None
                    more = True
    return more or failed


async def renew_cursors(stream: Stream, subscribers: Sequence[Subscriber]) -> None:
    """Send a page without changes, for its cursor, to subscribers that got no page since the last time."""
    pages: dict[Any, str] = {}
    for number, subscriber in enumerate(subscribers):
        is_idle = subscriber.is_live and subscriber.cursor == subscriber.renewed
        if subscriber.is_open and is_idle and subscriber.sink.ready and not subscriber.pending:
            subscriber.sink.page(_next_page(stream, subscriber, {}, pages))
        subscriber.renewed = subscriber.cursor
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)


async def _written(reader: Reader, group: Group, changes: Iterable[Change]) -> Written | None:
    """Write a group's changes, by identity; None when that failed."""
    listed = list(changes)
    try:
        written = await group.rendering.render(listed, reader)
    except Exception as error:
        group.failures += 1
        log.warning("changes could not be read for delivery", error=repr(error), failures=group.failures)
        return None
    group.failures = 0
    return {id(each): text for each, text in zip(listed, written, strict=True)}


def _end_broken(stream: Stream, group: Group, subscribers: Iterable[Subscriber]) -> None:
    """End the subscriptions of a group whose changes could not be read for several rounds in a row."""
    if group.failures >= MOST_FAILURES:
        for subscriber in subscribers:
            subscriber.fail([stream.shown(RuntimeError("changes could not be read for delivery"))])


def _next_page(stream: Stream, subscriber: Subscriber, written: Written, pages: dict[Any, str]) -> str:
    """Take the next page's changes off a subscriber."""
    pending = subscriber.pending
    changes: Sequence[Change] = list(pending.values())
    more = len(changes) > MOST_ON_PAGE
    if more:
        changes = changes[:MOST_ON_PAGE]
        keys: Sequence[Key] = [each.key for each in changes]
        for key in keys:
            del pending[key]
    else:
        pending.clear()
        subscriber.cursor = stream.cursor
    known = (subscriber.group, id(subscriber.cursor), more, tuple(map(id, changes)))
    text = pages.get(known)
    if text is None:
        cursor = encode_cursor(subscriber.cursor)
        text = subscriber.group.rendering.page(cursor, more, [written[id(each)] for each in changes])
        pages[known] = text
    return text
