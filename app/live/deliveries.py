"""From changes that wait to pages in the outlets: shown once per group, put together once for all who get the same."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

import structlog

from app.live.cursor import Position, encode_cursor
from app.live.facts import EvseFacts, SpotFacts
from app.live.interest import Interest
from app.live.matching import Told
from app.live.sight import NOTHING, Seen, Viewer
from app.live.subscriber import MOST_ON_PAGE, Key, Rendering, Subscriber
from app.vocabulary import ChangeAction

log = structlog.get_logger(__name__)

#: Rounds in a row in which a group's changes may fail to be read before its subscribers are told to go.
MOST_FAILURES: Final = 5

#: So many subscribers get a page before others get their turn.
AT_ONCE: Final = 500

Changes = Mapping[int, Any]


class Group:
    """Subscribers who ask the same in the same way, whose changes are shown once."""

    def __init__(self, rendering: Rendering) -> None:
        self.rendering = rendering
        self.members = 0
        self.failures = 0


class Reader(Protocol):
    """Who reads the log."""

    epoch: str
    position: Position
    sights: dict[Viewer, Seen]

    @property
    def shown(self) -> Callable[[Exception], dict[str, Any]]: ...


async def deliver(reader: Reader, due: MutableMapping[Subscriber, None]) -> bool:
    """Give every outlet that is ready a page of what waits for it; say whether more waits for some.

    Who is not ready will say when it is. No group is shown more than a page's worth at a time for each of its members,
    and those who wait for little come first: nobody waits for one who follows everything.
    """
    waiting: dict[Group, list[Subscriber]] = {}
    wanted: dict[Group, dict[int, Told]] = {}
    for subscriber in [each for each in due if each.is_open and each.is_live and each.outlet.ready]:
        _hide(subscriber, reader.sights.get(subscriber.feed.interest.viewer, NOTHING))
        waiting.setdefault(subscriber.group, []).append(subscriber)
        first = islice(subscriber.pending.values(), MOST_ON_PAGE)
        wanted.setdefault(subscriber.group, {}).update((id(told), told) for told in first)
    due.clear()
    pages: dict[Any, str] = {}
    more = False
    for group, told in sorted(wanted.items(), key=lambda each: len(each[1])):
        changes = await _rendered(reader, group, told.values())
        for subscriber in waiting[group]:
            if changes is None:
                _give_up(reader, subscriber)
                due[subscriber] = None
            elif subscriber.is_open and subscriber.outlet.ready and subscriber.pending:
                subscriber.outlet.page(_next_page(reader, subscriber, changes, pages))
                if subscriber.pending:
                    due[subscriber] = None
                    more = True
    return more


async def renew_cursors(reader: Reader, subscribers: Sequence[Subscriber]) -> None:
    """Give those who were told nothing since the last time a page without changes, for its cursor."""
    pages: dict[Any, str] = {}
    for number, subscriber in enumerate(subscribers):
        is_idle = subscriber.is_live and subscriber.delivered == subscriber.renewed
        if subscriber.is_open and is_idle and subscriber.outlet.ready and not subscriber.pending:
            subscriber.outlet.page(_next_page(reader, subscriber, {}, pages))
        subscriber.renewed = subscriber.delivered
        if number % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)


def _hide(subscriber: Subscriber, seen: Seen) -> None:
    """Take back what waited until it was out of sight."""
    interest = subscriber.feed.interest
    for key, told in subscriber.pending.items():
        facts = told.facts
        if told.action is ChangeAction.UPSERTED and facts is not None and not _is_shown(facts, interest, seen):
            subscriber.pending[key] = told.removed()


def _is_shown(facts: EvseFacts | SpotFacts, interest: Interest, seen: Seen) -> bool:
    return seen.has(facts) and (isinstance(facts, EvseFacts) or interest.reaches_spot(facts, seen))


async def _rendered(reader: Reader, group: Group, told: Iterable[Told]) -> Changes | None:
    """Show a group's changes, by identity; None when that failed."""
    listed = list(told)
    try:
        changes = await group.rendering.render(listed)
    except Exception as error:
        group.failures += 1
        log.warning("changes could not be shown", error=repr(error), failures=group.failures)
        return None
    group.failures = 0
    return {id(each): change for each, change in zip(listed, changes, strict=True)}


def _give_up(reader: Reader, subscriber: Subscriber) -> None:
    if subscriber.group.failures >= MOST_FAILURES:
        subscriber.fail([reader.shown(RuntimeError("changes could not be shown"))])


def _next_page(reader: Reader, subscriber: Subscriber, changes: Changes, pages: dict[Any, str]) -> str:
    """Take the next page's changes off a subscriber."""
    pending = subscriber.pending
    told: Sequence[Told] = list(pending.values())
    more = len(told) > MOST_ON_PAGE
    if more:
        told = told[:MOST_ON_PAGE]
        keys: Sequence[Key] = [each.key for each in told]
        for key in keys:
            del pending[key]
    else:
        pending.clear()
        if subscriber.turns == 0:
            subscriber.delivered = max(subscriber.delivered, reader.position)
    known = (subscriber.group, subscriber.delivered, more, tuple(map(id, told)))
    text = pages.get(known)
    if text is None:
        cursor = encode_cursor(reader.epoch, subscriber.delivered)
        text = subscriber.group.rendering.page(cursor, more, [changes[id(each)] for each in told])
        pages[known] = text
    return text
