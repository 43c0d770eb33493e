"""From rows of the log to what a subscriber is sent: decided in memory, by how entities are and how they were.

An entity that comes into view is published in a kind that was asked for, one that leaves it in all of them, whatever
the cause: a client that keeps entities by id, or by kind and id, holds what the lists show. One that stays in view is
published where a statement changed that the viewer reads, or others are read now.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from app.live.log.rows import Former, LogRow
from app.live.stream.feed import Before, Feed, FeedFilter, Had, Kind
from app.visibility.viewer_scope import ViewerScope
from app.vocabulary import ChangeAction


class Change(NamedTuple):
    """A change as it is published. `state`: of the entity as it is now, None where it is removed."""

    kind: Kind
    action: ChangeAction
    id: str
    at: datetime
    state: Any

    @property
    def key(self) -> tuple[Kind, str]:
        return self.kind, self.id

    def removed(self) -> "Change":
        """Return the change that takes it away again."""
        return Change(self.kind, ChangeAction.REMOVED, self.id, self.at, None)


#: Among those whose statements changed: a row that does not tell them apart.
ALL: Final = -1


@dataclass(slots=True)
class Touched:
    """What rows of the log say of one entity, and how it was before them.

    `former`: by the first of its rows about its record; None: its record did not change. `audiences`: of an entity that
    differs from viewer to viewer, the recipients that each row names and the row's instant. `record_said_by`,
    `status_said_by`: whose statements changed. Changes are made once, for all subscribers that are sent the same.
    """

    feed: Feed
    id: str
    at: datetime
    record_at: datetime | None = None
    status_at: datetime | None = None
    former: Former | None = None
    former_row: int | None = None
    was_available: set[bool | None] = field(default_factory=set[bool | None])
    role_ids: tuple[int, ...] = ()
    audiences: tuple[tuple[tuple[str, ...], datetime], ...] = ()
    record_said_by: set[int] = field(default_factory=set[int])
    status_said_by: set[int] = field(default_factory=set[int])
    _changes: dict[tuple[Kind, ChangeAction], Change] = field(default_factory=dict[tuple[Kind, ChangeAction], Change])
    _before: Before | None = None

    def add(self, row: LogRow) -> None:
        """Add a row. Of several the one with the lowest id says how the entity was: see app.live.log.rows."""
        self.at = max(self.at, row.at)
        self.role_ids = tuple({*self.role_ids, *row.role_ids})
        if self.feed.changed_for is not None:
            self.audiences = (*self.audiences, (row.recipients, row.at))
        if row.kind != self.feed.entity_kind:
            self.status_at = max(self.status_at or row.at, row.at)
            self.was_available.add(row.was_available)
            self.status_said_by.update((ALL,) if row.said_by is None else row.said_by)
            return
        self.record_at = max(self.record_at or row.at, row.at)
        self.record_said_by.update((ALL,) if row.said_by is None else row.said_by)
        if self.former_row is None or row.id < self.former_row:
            self.former, self.former_row = Former(row.existed, row.places, row.role_ids), row.id

    @property
    def has_rows(self) -> bool:
        """Return whether the log says anything of it; else it came into view of some subscriber, or left it."""
        return self.record_at is not None or self.status_at is not None

    @property
    def before(self) -> Before:
        """Return how it was: once, when all its rows are there, for all subscribers."""
        if self._before is None:
            self._before = Before(self.former, frozenset(self.was_available))
        return self._before

    def exactly(self, formers: Mapping[tuple[str, str], Former]) -> "Touched":
        """Use how the entity was where that was read."""
        former = formers.get((self.feed.name, self.id))
        if former is not None:
            self.former, self._before = former, None
        return self

    def changed_at(self, kind: Kind) -> datetime | None:
        """Return when this kind of change happened; None: it did not."""
        return self.record_at if kind is self.feed.kinds[0] else self.status_at

    def concerns(self, kind: Kind, read: frozenset[int] | None) -> bool:
        """Return whether this kind of change happened to what a viewer reads: these parties' statements; None: all."""
        if self.changed_at(kind) is None:
            return False
        said_by = self.record_said_by if kind is self.feed.kinds[0] else self.status_said_by
        return read is None or ALL in said_by or not said_by.isdisjoint(read)

    def change(self, kind: Kind, action: ChangeAction, state: Any) -> Change:
        """Return the change that is published: the same one to all subscribers."""
        change = self._changes.get((kind, action))
        if change is None:
            state = state if action is ChangeAction.UPSERTED else None
            change = Change(kind, action, self.id, self.changed_at(kind) or self.at, state)
            self._changes[kind, action] = change
        return change


def touched_by(rows: Iterable[LogRow], feeds: Mapping[str, Feed]) -> list[Touched]:
    """Gather what rows say of each entity of the feeds."""
    by_id: dict[tuple[str, str], Touched] = {}
    for row in rows:
        feed = feeds.get(row.kind)
        if feed is None:
            continue
        touched = by_id.get((feed.name, row.entity_id))
        if touched is None:
            touched = by_id[feed.name, row.entity_id] = Touched(feed, row.entity_id, row.at)
        touched.add(row)
    return list(by_id.values())


def changes_of(
    touched: Touched, state: Any, wanted: FeedFilter, scope: ViewerScope, scope_before: ViewerScope
) -> Sequence[Change]:
    """Decide what a subscriber is sent that sees `scope`, and saw `scope_before` at the snapshot it comes from."""
    same = scope is scope_before or scope == scope_before
    if same and not touched.has_rows:
        return ()  # it came into view of other subscribers, or left it
    if touched.has_rows and wanted.roles is not None and wanted.roles.isdisjoint(touched.role_ids):
        return ()  # what changed is another role's to read
    kinds = wanted.kinds
    has = state is not None and wanted.has(state, scope)
    had = wanted.had(touched.id, touched.before, state, scope_before, has if same else None)
    if has and touched.feed.changed_for is not None:
        at = touched.feed.changed_for(wanted, touched, state, scope, scope_before)
        upserted = Change(kinds[0], ChangeAction.UPSERTED, touched.id, at or touched.at, state)
        return () if had is Had.SURELY and at is None else (upserted,)
    if has:
        read, read_before = _statements(touched, state, scope, scope_before) if had is Had.SURELY else (None, None)
        anew = had is not Had.SURELY or read != read_before
        return [
            touched.change(kind, ChangeAction.UPSERTED, state)
            for kind in kinds
            if touched.concerns(kind, read) or (anew and kind is kinds[0])
        ]
    if had is Had.NO:
        return ()
    return [touched.change(kind, ChangeAction.REMOVED, None) for kind in kinds]


def _statements(
    touched: Touched, state: Any, scope: ViewerScope, scope_before: ViewerScope
) -> tuple[frozenset[int] | None, frozenset[int] | None]:
    """Return the parties whose statements a viewer reads of an entity now, and read before; None: all viewers' same."""
    statements = touched.feed.statements
    if statements is None:
        return None, None
    before = state.places if touched.former is None else touched.former.places
    return statements(touched.id, state.places, state, scope), statements(touched.id, before, state, scope_before)
