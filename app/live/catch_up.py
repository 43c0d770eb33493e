"""What changed since a position: pages for who asks, and for subscribers that were away, by the same rules as live."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.db.engine import Database
from app.live.cursor import Position
from app.live.facts import fetch_facts
from app.live.interest import Interest
from app.live.log import LogRow, read_log
from app.live.matching import Told, changes_of, segments, touched_by, turned_changes
from app.live.past import Past
from app.live.sight import both, either
from app.live.turning import PAGE, turn_of, turned_page
from app.vocabulary import ChangeKind

#: Rows read at once, and in all for one page: a page that found nothing among so many says where to go on.
CHUNK = 2_000
MOST_SCANNED = 20_000


@dataclass(frozen=True, slots=True)
class Page:
    """Changes, newest of each kind and id; everything up to `position` is told. `more`: there is more to read."""

    told: Sequence[Told]
    position: Position
    more: bool
    epoch: str


async def changes_after(
    database: Database, interest: Interest, after: Position, first: int, until: Position | None = None
) -> Page:
    """Give the next changes behind a position, `first` or so at most, none behind `until`.

    A removal in two kinds, and the spots of EVSEs that come into sight or go out of it, are not torn apart.

    Raises: CursorExpired when the log does not go back so far.
    """
    batch = await read_log(database, after, CHUNK)
    # Read after the rows: whatever they say of sight is in it.
    past = await Past.read(database, interest.viewer, after)
    reading = _Reading(database, interest, past, first, after)
    scanned = 0
    while True:
        rows = [row for row in batch.rows if _is_due(row, past, until)]
        scanned += len(rows)
        if not await reading.take(rows):
            return reading.page(batch.epoch, more=True)
        if len(rows) < len(batch.rows):
            more = until is None or batch.rows[len(rows)].position <= until
            return reading.page(batch.epoch, more, upto=rows[-1].position if rows else None)
        reading.position = max(reading.position, batch.upto)
        if not batch.more or scanned >= MOST_SCANNED:
            return reading.page(batch.epoch, batch.more)
        batch = await read_log(database, reading.position, CHUNK)


def _is_due(row: LogRow, past: Past, until: Position | None) -> bool:
    return row.transaction < past.horizon and (until is None or row.position <= until)


@dataclass(slots=True)
class _Reading:
    """One page in the making; up to `position` it is told."""

    database: Database
    interest: Interest
    past: Past
    first: int
    position: Position
    told: dict[tuple[ChangeKind, str], Told] = field(default_factory=dict[tuple[ChangeKind, str], Told])

    def page(self, epoch: str, more: bool, upto: Position | None = None) -> Page:
        return Page(list(self.told.values()), max(self.position, upto or self.position), more, epoch)

    async def take(self, rows: Sequence[LogRow]) -> bool:
        """Take rows in; false when the page is full before their end."""
        for part in segments(rows):
            done = await (self._turn(part) if isinstance(part, LogRow) else self._rows(part))
            if not done:
                return False
        return True

    async def _rows(self, rows: list[LogRow]) -> bool:
        touched = touched_by(rows)
        facts = await fetch_facts(
            self.database,
            [each.id for each in touched if not each.is_spot],
            [each.id for each in touched if each.is_spot],
        )
        await self._see_no_less_than_facts()
        logged = self.past.before(rows[0].position)
        seen, before = both(logged, self.past.seen), either(logged, self.past.seen)
        count = len(rows)
        while True:
            told = [told for each in touched for told in changes_of(each, facts, self.interest, seen, before)]
            if count == 1 or len(self.told.keys() | {each.key for each in told}) <= self.first:
                break
            count = count // 2
            touched = touched_by(rows[:count])
        if len(told) > 0 and len(self.told) >= self.first:
            return False
        self._add(told)
        self.position = rows[count - 1].position
        if count == len(rows):
            return True
        return False if len(self.told) >= self.first else await self._rows(rows[count:])

    async def _turn(self, row: LogRow) -> bool:
        """Tell of everybody whom a row about sight brings or takes."""
        going_on = self.position.entity if self.position == row.within(self.position.entity) else ""
        if not self.past.concerns(row):
            self.position = row.position
            return True
        before, turn = self.past.before(row.within("")), turn_of(row)
        after: str | None = going_on
        while after is not None:
            if len(self.told) >= self.first:
                self.position = row.within(after)
                return False
            limit = max(1, (self.first - len(self.told)) // max(1, len(self.interest.evse_kinds)))
            turned, after = await turned_page(self.database, turn, after, min(limit, PAGE))
            await self._see_no_less_than_facts()
            seen = both(self.past.before(row.position), self.past.seen)
            for each in turned:
                self._add(turned_changes(each, self.interest, seen, before, row.at))
        self.position = row.position
        return True

    async def _see_no_less_than_facts(self) -> None:
        """Renew what is known of sight: what was read of EVSEs and spots must not be newer, as in the fan-out."""
        self.past = await self.past.renewed(self.database)

    def _add(self, told: Sequence[Told]) -> None:
        for each in told:
            self.told.pop(each.key, None)
            self.told[each.key] = each
