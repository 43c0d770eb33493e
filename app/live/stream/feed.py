"""What the stream needs to know of one family of entities. A feed is data: app.live.feeds declares them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Protocol

from app.live.log.rows import Former, Place
from app.visibility.viewer_scope import Difference, ViewerScope
from app.vocabulary import ChangeKind, LogKind
from geo.regions import Region

#: Behind all ids.
END: Final = "~"

#: What a change is published as. Private entities have subscriptions of their own, and no word in `ChangeKind`.
Kind = ChangeKind | LogKind


class State(Protocol):
    """An entity as it is in the snapshot of a reader."""

    @property
    def id(self) -> str: ...

    @property
    def places(self) -> Sequence[Place]: ...


class Had(Enum):
    """Whether a subscriber may hold an entity."""

    NO = "no"
    MAYBE = "maybe"
    SURELY = "surely"


@dataclass(frozen=True, slots=True)
class Before:
    """How an entity was at the snapshot that a subscriber comes from.

    `former`: its places then; None: they, and all of its record, are as now. `was_available`: what rows about its
    status say of its combined status before; empty where none does.
    """

    former: Former | None = None
    was_available: frozenset[bool | None] = frozenset()


class FeedFilter(Protocol):
    """What one subscriber asks of one feed. `kinds`: the first one is published when an entity comes into view.

    Where changes of entities have to be looked for: `ids`, else `roles`, else `region`; all None: everywhere.
    """

    @property
    def feed(self) -> "Feed": ...
    @property
    def kinds(self) -> tuple[Kind, ...]: ...
    @property
    def region(self) -> Region | None: ...
    @property
    def ids(self) -> frozenset[str] | None: ...
    @property
    def roles(self) -> frozenset[int] | None: ...

    def has(self, state: Any, scope: ViewerScope) -> bool:
        """Return whether an entity is seen and wanted as it is now."""
        ...

    def had(self, id_: str, before: Before, state: Any, scope: ViewerScope, has: bool | None = None) -> Had:
        """Return whether it was seen and wanted before.

        `state`: as it is now; None: it is not there. `has`: what `has` says of that in this scope, if known.
        """
        ...


def operators_and_psos(difference: Difference) -> Sequence[Sequence[Any]]:
    """Return the arguments of a statement about what is seen through a part of a difference."""
    return list(difference.operators), list(difference.psos)


@dataclass(frozen=True, slots=True)
class Feed:
    """A family of entities that is followed.

    `entity_kind`: rows of the log that say how an entity was before; `live_kinds`: its other rows. `kinds`: what
    changes are published as. `concerns`: the part of a difference of scopes that this feed goes by.

    Statements, all of which return what `state_of` reads: `by_ids`: $1 ids. `through`: seen through operators $1 or
    PSOs $2 (or what else `subjects` returns of a difference), at most $3. `in_boxes`: likewise, behind an id $3, in one
    of the boxes west, south, east, north $4 to $7, at most $8, by id. `in_order`: likewise, behind an id $3, at most
    $4, by id. The last three are None for feeds that do not go by scopes.
    """

    name: str
    entity_kind: LogKind
    live_kinds: tuple[LogKind, ...]
    kinds: tuple[Kind, ...]
    by_ids: str
    state_of: Callable[[Any], State]
    concerns: Callable[[Difference], Difference]
    was_seen_through: Callable[[str, Former, Difference], bool]
    through: str | None = None
    in_boxes: str | None = None
    in_order: str | None = None
    subjects: Callable[[Difference], Sequence[Sequence[Any]]] = operators_and_psos
    #: The parties, by number, whose statements about an entity a viewer reads. None: all viewers read the same.
    statements: Callable[[str, Sequence[Place], Any, ViewerScope], frozenset[int]] | None = None
    #: Whether an id begins with the party id of the one operator through which the entity is seen.
    ids_by_operator: bool = False
    #: The role of the one provider through which an entity is seen, by its state; rows of the log name it too.
    provider_of: Callable[[Any], int] | None = None
    #: Where an entity differs from viewer to viewer: when it became another for one, None: it did not. Takes the
    #: filter, what the log says of the entity (`Touched`), the entity as it is now, the scope and the one before.
    changed_for: Callable[[Any, Any, Any, ViewerScope, ViewerScope], datetime | None] | None = None

    @property
    def log_kinds(self) -> tuple[LogKind, ...]:
        return (self.entity_kind, *self.live_kinds)


def nothing(_: Difference) -> Difference:
    """Return the part of a difference that concerns a feed that goes by roles: none."""
    return Difference()


def seen_through_none(_: str, __: Former, ___: Difference) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class SubscriptionFilter:
    """All that one subscriber asks, of one feed or several."""

    viewer: Any
    feeds: tuple[FeedFilter, ...]

    def of_feed(self, feed: Feed) -> FeedFilter | None:
        for each in self.feeds:
            if each.feed is feed:
                return each
        return None

    @property
    def by_kind(self) -> Mapping[str, Feed]:
        """Return its feeds by the kinds of rows that may concern it."""
        return {kind.value: each.feed for each in self.feeds for kind in each.feed.log_kinds}
