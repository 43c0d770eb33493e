"""One subscription: where it stands, and what waits for its outlet. It never waits, and nobody waits for it."""

from collections.abc import Hashable, Sequence
from typing import Any, Final, Protocol

from app.errors import HubError
from app.live.cursor import Position
from app.live.interest import Interest
from app.live.matching import Told
from app.live.outlet import Outlet
from app.vocabulary import ChangeKind

#: Changes that wait for one outlet, newest of each kind and id, before it is told to resync.
MOST_PENDING: Final = 5_000
#: Changes on one page.
MOST_ON_PAGE: Final = 1_000

Key = tuple[ChangeKind, str]


class Resync(HubError):
    """A subscriber took its pages more slowly than changes arrived."""

    code = "RESYNC"


class FedPage(Protocol):
    """A page that was read for one subscriber. `keys`: what it shows of the present list, if it is of that."""

    @property
    def changes(self) -> Sequence[Any]: ...
    @property
    def position(self) -> Position: ...
    @property
    def more(self) -> bool: ...
    @property
    def keys(self) -> Sequence[Key]: ...


class Rendering(Protocol):
    """How changes are shown to all whose `key` is the same."""

    @property
    def key(self) -> Hashable: ...

    async def render(self, told: Sequence[Told]) -> Sequence[Any]:
        """Show changes, each as it is now."""
        ...

    def page(self, cursor: str, more: bool, changes: Sequence[Any]) -> str:
        """Put what was shown together to a page."""
        ...


class Feed(Protocol):
    """What a subscription asks for, ready to be read."""

    @property
    def interest(self) -> Interest: ...
    @property
    def rendering(self) -> Rendering: ...

    async def page(self, after: Position, first: int, until: Position | None = None) -> FedPage:
        """Give the next page of what there is, or of what changed, behind a position."""
        ...


class Owner(Protocol):
    """Who feeds subscribers."""

    def is_ready(self, subscriber: "Subscriber") -> None: ...
    def leave(self, subscriber: "Subscriber") -> None: ...


class Subscriber:
    """A subscription. Until it has `place` None it is fed from lists and log, up to `until`; then from the live stream.

    `delivered`: everything up to there was given to the outlet. `turns`: how many changes of its sight are still being
    gone through; the cursor stands before them until they are done. `renewed`: what was delivered when cursors were
    renewed last.
    """

    __slots__ = (
        "delivered", "feed", "group", "is_open", "is_queued", "outlet", "overflowed", "owner", "pending", "place",
        "renewed", "turns", "until",
    )  # fmt: skip

    def __init__(self, owner: Owner, feed: Feed, outlet: Outlet, place: Position, until: Position) -> None:
        self.owner = owner
        self.feed = feed
        self.outlet = outlet
        self.group: Any = None
        self.place: Position | None = place
        self.until = until
        self.delivered = self.renewed = place
        self.pending: dict[Key, Told] = {}
        self.turns = 0
        self.is_open = True
        self.is_queued = False
        self.overflowed = False

    @property
    def is_live(self) -> bool:
        return self.place is None

    def put(self, told: Told) -> None:
        """Keep a change for the outlet, in place of what it makes out of date."""
        if self.overflowed or not self.is_open:
            return
        pending = self.pending
        pending.pop((told.kind, told.id), None)
        pending[told.kind, told.id] = told
        if len(pending) > MOST_PENDING:
            pending.clear()
            self.overflowed = True

    def go_live(self) -> None:
        """End the start: everything up to `until` is told."""
        self.delivered, self.place = self.until, None

    def start_over(self, until: Position) -> None:
        """Read from the log, page by page, what was too much to keep."""
        if self.place is None:
            self.place = self.delivered
        self.until, self.turns, self.overflowed = until, 0, False

    def fail(self, errors: list[dict[str, Any]]) -> None:
        """End it with errors."""
        if self.is_open:
            self._end()
            self.outlet.fail(errors)

    def resume(self) -> None:
        """Go on: the outlet is ready again."""
        if self.is_open:
            self.owner.is_ready(self)

    def close(self) -> None:
        """Stop at once; the outlet hears nothing more."""
        if self.is_open:
            self._end()

    def _end(self) -> None:
        self.is_open = False
        self.pending.clear()
        self.owner.leave(self)
