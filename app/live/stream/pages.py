"""Pages of changes since a cursor: for queries, and for subscribers that are not live, by the same rules as live.

A page is read in one snapshot. It goes from the cursor's base to a target, the position of its first page: first what
came into view or went out of it, then the rows of the log. Of operators that came or went, EVSEs are read through the
area or their ids; rows about them need not be, nor those about entities of providers that came or went.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from app.db.engine import Reader
from app.live.log.cursor import Cursor, Position
from app.live.log.rows import Former, LogRow, read_formers, read_formers_between, read_rows
from app.live.stream.feed import END, Feed, FeedFilter, Kind, SubscriptionFilter
from app.live.stream.matching import Change, Touched, changes_of, touched_by
from app.visibility.viewer_scope import Difference, ViewerScope, read_scope_rows
from app.vocabulary import ChangeAction

#: Rows read at once, and looked at in all for one page.
CHUNK: Final = 2_000
MOST_LOOKED: Final = 20_000
#: What a statement costs at least that looks at many rows and returns few.
LEAST_LOOKED: Final = 5_000
#: An area with at most so many entities is read through its index, all at once.
MOST_IN_AREA: Final = 2_000
#: In a cursor's `place`: entities of operators that came or went are being read, of which feed and up to which id.
SCOPE: Final = "scope"

PARTIES: Final = "select party_id from operator where no = any($1) order by party_id"


@dataclass(frozen=True, slots=True)
class Page:
    """Changes, newest of each kind and id. `scope`: what the viewer sees in the snapshot of the page."""

    changes: Sequence[Change]
    cursor: Cursor
    more: bool
    scope: ViewerScope


async def changes_after(
    reader: Reader, wanted: SubscriptionFilter, cursor: Cursor, first: int, present: Position
) -> Page:
    """Return the next changes since a cursor, about `first` at most. `present`: the reader's position.

    The removal of an entity in several kinds is not torn apart.
    """
    reading = await _Reading.begin(reader, wanted, cursor, first, present)
    if not wanted.feeds:
        return reading.page(Cursor(present))
    if cursor.place or (reading.difference and cursor.target is None):
        stopped_at = await _Walk(reading).run(cursor.place)
        if stopped_at is not None:
            return reading.page(reading.cursor.within(stopped_at))
        reading.cursor = reading.cursor.within("")
    await _read_rows(reading)
    return reading.page(reading.cursor)


@dataclass(slots=True)
class _Reading:
    """One page in the making. `before`: what the viewer saw at the base; `gained` and `lost`: since, at the target."""

    reader: Reader
    wanted: SubscriptionFilter
    cursor: Cursor
    first: int
    present: Position
    before: ViewerScope
    scope: ViewerScope
    gained: Difference
    lost: Difference
    changes: dict[tuple[Kind, str], Change] = field(default_factory=dict[tuple[Kind, str], Change])
    looked: int = 0

    @classmethod
    async def begin(
        cls, reader: Reader, wanted: SubscriptionFilter, cursor: Cursor, first: int, present: Position
    ) -> "_Reading":
        base, target = cursor.base, cursor.target or present
        viewer, seen = wanted.viewer, base.snapshot
        rows = await read_scope_rows(reader, [viewer], present.at, seen.xmax, seen.xip)
        before = rows.at(viewer, seen.sees, base.at)
        at_target = rows.at(viewer, target.snapshot.sees, target.at)
        return cls(
            reader, wanted, replace(cursor, target=target), first, present, before, rows.present(viewer),
            at_target.minus(before), before.minus(at_target),
        )  # fmt: skip

    @property
    def difference(self) -> Difference:
        return self.gained | self.lost

    @property
    def target(self) -> Position:
        return self.cursor.target or self.present

    @property
    def is_full(self) -> bool:
        return len(self.changes) >= self.first

    def page(self, cursor: Cursor) -> Page:
        more = not (cursor.is_whole and cursor.base.snapshot == self.present.snapshot)
        return Page(list(self.changes.values()), cursor, more, self.scope)

    def has_walked(self, row: LogRow, feed: Feed) -> bool:
        """Return whether a row is about an entity of a provider that came or went: all of these were read."""
        return not feed.concerns(self.difference).providers.isdisjoint(row.role_ids)

    def fits(self, changes: Collection[Change]) -> bool:
        """Return whether changes fit the page; some always fit an empty one."""
        return not self.changes or len(self.changes.keys() | {each.key for each in changes}) <= self.first

    def add(self, changes: Collection[Change]) -> None:
        for each in changes:
            self.changes.pop(each.key, None)
            self.changes[each.key] = each

    def changes_of(self, touched: Touched, state: Any) -> Sequence[Change]:
        wanted = self.wanted.of_feed(touched.feed)
        return () if wanted is None else changes_of(touched, state, wanted, self.scope, self.before)


# ---------------------------------------------------------------- what came into view, or went out of it


@dataclass(slots=True)
class _Walk:
    """The entities of operators and PSOs that came or went, feed by feed, in the order of ids."""

    reading: _Reading

    async def run(self, place: str) -> str | None:
        """Read on from a place; return the place where the page ended, None at the end of all."""
        name, after = _read_place(place)
        feeds = self.reading.wanted.feeds
        begin = next((index for index, each in enumerate(feeds) if each.feed.name == name), 0)
        for wanted in feeds[begin:]:
            stopped_at = await self._feed(wanted, after)
            if stopped_at is not None:
                return f"{SCOPE} {wanted.feed.name}:{stopped_at}"
            after = ""
        return None

    async def _feed(self, wanted: FeedFilter, after: str) -> str | None:
        reading, feed = self.reading, wanted.feed
        part, lost = feed.concerns(reading.difference), feed.concerns(reading.lost)
        if not part:
            return None
        while True:
            states, upto = await _read_states(reading.reader, wanted, part, after)
            formers, upto = await self._formers(feed, lost, states, after, upto)
            for id_ in sorted(states.keys() | formers.keys()):
                if id_ > upto:
                    break
                touched = Touched(feed, id_, reading.target.at, former=formers.get(id_))
                changes = reading.changes_of(touched, states.get(id_))
                if not reading.fits(changes):
                    return after
                reading.add(changes)
                after = id_
            if upto == END:
                return None
            after = upto
            reading.looked += max(len(states), CHUNK)
            if reading.is_full or reading.looked >= MOST_LOOKED:
                return after

    async def _formers(
        self, feed: Feed, lost: Difference, states: Mapping[str, Any], after: str, upto: str
    ) -> tuple[Mapping[str, Former], str]:
        """Read how entities were at the base. Of what went out of view also those that are not there any more."""
        reading = self.reading
        base, reader = reading.cursor.base.snapshot, reading.reader
        formers = dict(await read_formers(reader, feed.entity_kind, states.keys(), base))
        for begin, end in await self._ranges(feed, lost, after, upto):
            found, reached = await read_formers_between(reader, feed.entity_kind, begin, end, base, LEAST_LOOKED)
            formers |= {id_: each for id_, each in found.items() if feed.was_seen_through(id_, each, lost)}
            if reached < end:
                return formers, reached
        return formers, upto

    async def _ranges(self, feed: Feed, lost: Difference, after: str, upto: str) -> Sequence[tuple[str, str]]:
        """Return the ranges of ids in which entities may be that were seen through what went out of view."""
        if not lost:
            return ()
        if not feed.ids_by_operator:
            return ((after, upto),)
        rows = await self.reading.reader.fetch(PARTIES, list(lost.operators))
        ranges = [(max(after, party), min(upto, party + END)) for (party,) in rows]
        return [(begin, end) for begin, end in ranges if begin < end]


def _read_place(place: str) -> tuple[str, str]:
    """Return the feed and the id of a place in a walk."""
    name, _, after = place.removeprefix(SCOPE).strip().partition(":")
    return name, after


async def _read_states(
    reader: Reader, wanted: FeedFilter, part: Difference, after: str
) -> tuple[Mapping[str, Any], str]:
    """Read entities seen through a part of a scope behind an id, and up to which id these are all that are wanted."""
    feed = wanted.feed
    through = feed.subjects(part)
    if wanted.ids is not None:
        rows = await reader.fetch(feed.by_ids, [id_ for id_ in wanted.ids if id_ > after])
        return _states(feed, rows), END
    if wanted.region is not None and feed.in_boxes is not None:
        corners = [list(each) for each in zip(*wanted.region.boxes, strict=True)]
        rows = await reader.fetch(feed.in_boxes, *through, after, *corners, MOST_IN_AREA + 1, planned=True)
        if len(rows) <= MOST_IN_AREA:
            return _states(feed, rows), END
    assert feed.in_order is not None
    rows = await reader.fetch(feed.in_order, *through, after, CHUNK, planned=True)
    states = _states(feed, rows)
    return states, max(states) if len(rows) == CHUNK else END


def _states(feed: Feed, rows: Sequence[Any]) -> dict[str, Any]:
    states = (feed.state_of(row) for row in rows)
    return {state.id: state for state in states}


# ---------------------------------------------------------------- rows


async def _read_rows(reading: _Reading) -> None:
    """Read rows from the cursor on until the page is full, enough was looked at, or the target is reached."""
    feeds = reading.wanted.by_kind
    kinds = list(feeds)
    skipped = await _parties_walked(reading)
    while True:
        cursor, target = reading.cursor, reading.target
        batch = await read_rows(
            reading.reader,
            cursor.base.snapshot,
            target.snapshot,
            (cursor.transaction, cursor.row),
            kinds,
            CHUNK,
            skipped,
        )
        taken = await _take(reading, batch.rows, feeds)
        if taken < len(batch.rows):
            if taken:
                last = batch.rows[taken - 1]
                reading.cursor = replace(cursor, transaction=last.transaction, row=last.id)
            return
        if batch.upto is None:
            reading.cursor = Cursor(target)
            return
        reading.cursor = replace(cursor, transaction=batch.upto[0], row=batch.upto[1])
        reading.looked += max(len(batch.rows), LEAST_LOOKED if len(batch.rows) < CHUNK else 0)
        if reading.is_full or reading.looked >= MOST_LOOKED:
            return


async def _parties_walked(reading: _Reading) -> Sequence[str]:
    """Return the parties whose rows are not needed: all their EVSEs were read as what came or went."""
    operators = list(reading.difference.evses_of)
    if not operators:
        return ()
    return [party for (party,) in await reading.reader.fetch(PARTIES, operators)]


async def _take(reading: _Reading, rows: Sequence[LogRow], feeds: Mapping[str, Feed]) -> int:
    """Add the changes of as many rows as fit the page; return how many these are."""
    touched = _touched(reading, rows, feeds)
    states = await read_states(reading.reader, touched)
    exact = await read_exact_formers(reading, touched, states)
    count = len(rows)
    while count:
        some = touched if count == len(rows) else _touched(reading, rows[:count], feeds)
        changes = [
            change for each in some for change in reading.changes_of(each.exactly(exact), states.get(key_of(each)))
        ]
        if reading.fits(changes):
            reading.add(changes)
            return count
        count //= 2
    return 0


def _touched(reading: _Reading, rows: Sequence[LogRow], feeds: Mapping[str, Feed]) -> list[Touched]:
    return touched_by([row for row in rows if not reading.has_walked(row, feeds[row.kind])], feeds)


EntityKey = tuple[str, str]


def key_of(touched: Touched) -> EntityKey:
    return touched.feed.name, touched.id


async def read_states(reader: Reader, touched: Collection[Touched]) -> Mapping[EntityKey, Any]:
    """Read entities as they are now; those that are not there are missing."""
    states: dict[EntityKey, Any] = {}
    for feed in {each.feed.name: each.feed for each in touched}.values():
        ids = [each.id for each in touched if each.feed is feed]
        rows = await reader.fetch(feed.by_ids, ids)
        states |= {(feed.name, id_): state for id_, state in _states(feed, rows).items()}
    return states


async def read_exact_formers(
    reading: _Reading, touched: Collection[Touched], states: Mapping[EntityKey, Any]
) -> Mapping[EntityKey, Former]:
    """Read how those entities were at the base that are removed going by a row that may not be the first about them.

    A subscriber must not learn of the removal of what it never could see: of what was made and changed meanwhile.
    """
    removed = [
        each
        for each in touched
        if each.former is not None
        and any(change.action is ChangeAction.REMOVED for change in reading.changes_of(each, states.get(key_of(each))))
    ]
    exact: dict[EntityKey, Former] = {}
    base = reading.cursor.base.snapshot
    for feed in {each.feed.name: each.feed for each in removed}.values():
        ids = [each.id for each in removed if each.feed is feed]
        formers = await read_formers(reading.reader, feed.entity_kind, ids, base)
        exact |= {(feed.name, id_): former for id_, former in formers.items()}
    return exact
