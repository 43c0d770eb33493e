"""What a viewer saw, from a position in the log on: from what the log said of it last, turned back row by row.

Who sees whom by contract, or because it is theirs, is logged apart from whom everybody sees; a viewer sees both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from app.db.engine import Database
from app.live.cursor import CursorExpired, Position
from app.live.log import LogRow
from app.live.sight import Seen, Viewer, fetch_sights

MOST_TURNS = 5_000

#: What the log said last, and what it says since a position, in one snapshot. Role 0: everybody.
PAST: Final = """
with logged as materialized (
    select array(select operator_no from operator_sight where role_id = $1) as own,
        array(select operator_no from operator_sight where role_id = 0) as open,
        array(select party_id from parking_sight where role_id = $1) as psos,
        log_horizon() as horizon
)
select logged.*, turn.* from logged left join lateral (
    select transaction, id, role_id, operator_nos, entity_id, existed from change
    where kind = 'SIGHT' and (role_id = $1 or role_id is null) and (transaction, id) > ($2, $3)
    order by transaction, id limit $4
) as turn on true
order by transaction, id
"""


@dataclass(frozen=True, slots=True)
class Logged:
    """Whom a viewer sees by what the log said up to some row: who is seen by itself, and whom everybody sees."""

    own: frozenset[int] = frozenset()
    open: frozenset[int] = frozenset()
    psos: frozenset[str] = frozenset()

    def with_(self, turn: "SightRow | LogRow", in_sight: bool) -> "Logged":
        """Give the same with those that a row is about in sight, or out of it."""
        if turn.operator_nos is None:
            psos = self.psos | {turn.entity_id} if in_sight else self.psos - {turn.entity_id}
            return replace(self, psos=psos)
        which = "open" if turn.role_id is None else "own"
        had: frozenset[int] = getattr(self, which)
        return replace(self, **{which: had.union(turn.operator_nos) if in_sight else had.difference(turn.operator_nos)})

    def seen(self, viewer: Viewer, now: Seen) -> Seen:
        """Give it as a sight. `now`: what is seen now.

        The log does not know whose EVSEs are a provider's: operators that are seen now and not the provider's are left
        out. Of one that is not seen any more it is not known; to be told that its EVSEs are gone does no harm.
        """
        if viewer.administrator:
            return now
        operators = self.own | self.open
        if viewer.provider_id is None or now.evses_of is None or now.spots_of is None:
            return Seen(operators, operators, self.psos)
        return Seen(operators - (now.spots_of - now.evses_of), operators, self.psos)


class SightRow(NamedTuple):
    """A row about sight: about everybody's or the viewer's own, of operators or, without any, of a PSO."""

    position: Position
    role_id: int | None
    operator_nos: Sequence[int] | None
    entity_id: str
    existed: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What a viewer sees now, and saw since `start`. Rows at or beyond `horizon` may say more than was read here."""

    viewer: Viewer
    start: Position
    seen: Seen
    horizon: int
    #: As the log said last.
    last: Logged = Logged()
    #: The latest first.
    turns: Sequence[SightRow] = ()
    _known: dict[int, Logged] = field(default_factory=dict[int, Logged], repr=False)

    @classmethod
    async def read(cls, database: Database, viewer: Viewer, start: Position) -> "Past":
        """Read what was seen from a position on. Raises: CursorExpired when that changed too often to follow."""
        rows = await database.fetch(PAST, viewer.role_id, start.transaction, start.row, MOST_TURNS + 1)
        if len(rows) > MOST_TURNS:
            raise CursorExpired("what you may see changed too often since")
        own, open_, psos, horizon = rows[0][:4]
        seen = (await fetch_sights(database, [viewer]))[viewer]
        turns = [_turn(row[4:]) for row in reversed(rows) if row[4] is not None]
        return cls(viewer, start, seen, horizon, Logged(frozenset(own), frozenset(open_), frozenset(psos)), turns)

    async def renewed(self, database: Database) -> "Past":
        """Read it again: more may have happened since. Raises: CursorExpired."""
        return await Past.read(database, self.viewer, self.start)

    def concerns(self, row: LogRow) -> bool:
        """Say whether a row about sight is about this viewer's. The administrator's never changes."""
        return not self.viewer.administrator and row.role_id in (None, self.viewer.role_id)

    def logged(self, position: Position) -> Logged:
        """Give what the log had said up to a position: every later turn is turned back, the latest first."""
        later = sum(turn.position > position for turn in self.turns)
        if later not in self._known:
            logged = self.last
            for turn in self.turns[:later]:
                logged = logged.with_(turn, turn.existed)
            self._known[later] = logged
        return self._known[later]

    def before(self, position: Position) -> Seen:
        """Give what was seen at a position, going by the log."""
        return self.logged(position).seen(self.viewer, self.seen)


def _turn(values: Sequence[Any]) -> SightRow:
    transaction, row, *rest = values
    return SightRow(Position(transaction, row), *rest)
