"""One subscription: its cursor, and the changes that wait for its sink. It never waits, and nothing waits for it."""

import asyncio
from collections.abc import Hashable, Sequence
from enum import Enum
from typing import Any, Final, Protocol

from app.db.engine import Reader
from app.errors import HubError
from app.live.log.cursor import Cursor
from app.live.stream.feed import Kind, SubscriptionFilter
from app.live.stream.matching import Change
from app.live.stream.sink import Sink
from app.visibility.viewer_scope import NOTHING, ViewerScope
from app.vocabulary import ChangeAction

#: Changes that wait for one sink, newest of each kind and id, before it has to resync.
MOST_PENDING: Final = 5_000
#: The work of an area that takes as long as the rest of matching a subscription with a change.
WORK_OF_ONE: Final = 10
#: Changes on one page.
MOST_ON_PAGE: Final = 1_000

Key = tuple[Kind, str]


class Resync(HubError):
    """A subscriber took its pages too slowly for what changed meanwhile."""

    code = "RESYNC"


class ReadPage(Protocol):
    """A page that was read for one subscriber. `scope`: what the viewer sees in the page's snapshot."""

    @property
    def changes(self) -> Sequence[Any]: ...
    @property
    def cursor(self) -> Cursor: ...
    @property
    def more(self) -> bool: ...
    @property
    def scope(self) -> ViewerScope: ...


class Rendering(Protocol):
    """How changes are written for all subscribers whose `key` is the same."""

    @property
    def key(self) -> Hashable: ...

    async def render(self, changes: Sequence[Change], reader: Reader) -> Sequence[Any]:
        """Write changes, each with its entity as the reader's snapshot has it."""
        ...

    def page(self, cursor: str, more: bool, changes: Sequence[Any]) -> str:
        """Put written changes together to a page."""
        ...


class Query(Protocol):
    """What a subscription asks, ready to be read."""

    @property
    def wanted(self) -> SubscriptionFilter: ...
    @property
    def rendering(self) -> Rendering: ...

    async def page(self, cursor: Cursor, first: int) -> ReadPage:
        """Read the next page of a list, or of what changed, since a cursor. Raises: CursorExpired."""
        ...


class Owner(Protocol):
    """The stream that feeds subscribers."""

    def is_ready(self, subscriber: "Subscriber") -> None: ...
    def leave(self, subscriber: "Subscriber") -> None: ...


class Phase(Enum):
    """Where a subscriber gets its pages from.

    CATCHING_UP: from lists and from the log, by itself. JOINING: it has everything up to its cursor, and the next round
    of the stream takes it along. LIVE: from the stream, whose cursor is its own.
    """

    CATCHING_UP = "catching up"
    JOINING = "joining"
    LIVE = "live"


class Subscriber:
    """A subscription.

    `cursor`: everything up to there was given to the sink, or never concerned it. `scope`: what the viewer saw when it
    was decided what waits; while joining, at the cursor. `renewed`: the cursor when cursors were renewed last.
    `has_more`: what the last page said, true before the first one.
    """

    __slots__ = (
        "cursor", "group", "has_more", "is_open", "is_queued", "overflowed", "owner", "pending", "phase", "query",
        "reading", "renewed", "scope", "sink",
    )  # fmt: skip

    def __init__(self, owner: Owner, query: Query, sink: Sink, cursor: Cursor) -> None:
        self.owner = owner
        self.query = query
        self.sink = sink
        self.group: Any = None
        self.phase = Phase.CATCHING_UP
        self.cursor = cursor
        self.renewed: Cursor | None = None
        self.scope: ViewerScope = NOTHING
        self.pending: dict[Key, Change] = {}
        self.has_more = True
        #: Reads its next page; ends with the subscriber, in the database too.
        self.reading: asyncio.Task[None] | None = None
        self.is_open = True
        self.is_queued = False
        self.overflowed = False

    @property
    def weight(self) -> int:
        """As how many subscriptions it counts: holding a place against its area may take as long as matching many."""
        regions = [each.region for each in self.query.wanted.feeds if each.region is not None]
        return max((1 + region.work // WORK_OF_ONE for region in regions), default=1)

    @property
    def is_live(self) -> bool:
        return self.phase is Phase.LIVE

    def put(self, change: Change) -> None:
        """Keep a change for the sink, in place of the one that it supersedes."""
        if self.overflowed or not self.is_open:
            return
        pending, key = self.pending, change.key
        pending.pop(key, None)
        pending[key] = change
        if len(pending) > MOST_PENDING:
            pending.clear()
            self.overflowed = True

    def see(self, scope: ViewerScope) -> None:
        """Use another scope: take back what waits and is not in view any more."""
        if scope is self.scope:
            return
        self.scope = scope
        feeds = {kind: each for each in self.query.wanted.feeds for kind in each.kinds}
        for key, change in self.pending.items():
            if change.action is ChangeAction.UPSERTED and not feeds[change.kind].has(change.state, scope):
                self.pending[key] = change.removed()

    def catch_up(self) -> None:
        """Read from the log, page by page, from the cursor on; what waits will be read again."""
        self.phase, self.overflowed = Phase.CATCHING_UP, False
        self.pending.clear()

    def fail(self, errors: list[dict[str, Any]]) -> None:
        """End it with errors."""
        if self.is_open:
            self._end()
            self.sink.fail(errors)

    def resume(self) -> None:
        """Go on: the sink is ready again."""
        if self.is_open:
            self.owner.is_ready(self)

    def close(self) -> None:
        """Stop at once; nothing more is written to the sink."""
        if self.is_open:
            self._end()

    def _end(self) -> None:
        self.is_open = False
        self.pending.clear()
        if self.reading is not None:
            self.reading.cancel()
        self.owner.leave(self)
