"""What a viewer saw, from a position in the log on: from what the log said of it last, turned back row by row.

Who sees whom by contract, or because it is theirs, is logged apart from whom everybody sees; a viewer sees both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    select transaction, id, role_id is null, operator_nos, entity_id, existed from change
    where kind = 'SIGHT' and (role_id = $1 or role_id is null) and (transaction, id) > ($2, $3)
    order by transaction, id limit $4
) as turn on true
order by transaction, id
"""


class _Turn(NamedTuple):
    """A row about sight: about everybody's or the viewer's own, of operators or, without any, of a PSO."""

    position: Position
    of_everybody: bool
    operator_nos: Sequence[int] | None
    entity_id: str
    existed: bool


@dataclass(frozen=True, slots=True)
class Past:
    """What a viewer sees now, and saw. Rows at or beyond `horizon` may say more of it than was read here."""

    viewer: Viewer
    seen: Seen
    horizon: int
    own: frozenset[int] = frozenset()
    open: frozenset[int] = frozenset()
    psos: frozenset[str] = frozenset()
    #: The latest first.
    turns: Sequence[_Turn] = ()
    _known: dict[int, Seen] = field(default_factory=dict[int, Seen], repr=False)

    @classmethod
    async def read(cls, database: Database, viewer: Viewer, after: Position) -> "Past":
        """Read what was seen from a position on. Raises: CursorExpired when that changed too often to follow."""
        rows = await database.fetch(PAST, viewer.role_id, after.transaction, after.row, MOST_TURNS + 1)
        if len(rows) > MOST_TURNS:
            raise CursorExpired("what you may see changed too often since")
        own, open_, psos, horizon = rows[0][:4]
        seen = (await fetch_sights(database, [viewer]))[viewer]
        turns = [_turn(row[4:]) for row in reversed(rows) if row[4] is not None]
        return cls(viewer, seen, horizon, frozenset(own), frozenset(open_), frozenset(psos), turns)

    def concerns(self, row: LogRow) -> bool:
        """Say whether a row about sight is about this viewer's. The administrator's never changes."""
        return not self.viewer.administrator and row.role_id in (None, self.viewer.role_id)

    def before(self, position: Position) -> Seen:
        """Give what was seen at a position: with every later turn turned back."""
        if self.viewer.administrator:
            return self.seen
        later = [turn for turn in self.turns if turn.position > position]
        if len(later) not in self._known:
            self._known[len(later)] = self._turned_back(later)
        return self._known[len(later)]

    def _turned_back(self, later: Iterable[_Turn]) -> Seen:
        own: dict[int, bool] = {}
        open_: dict[int, bool] = {}
        psos: dict[str, bool] = {}
        for turn in later:
            if turn.operator_nos is None:
                psos[turn.entity_id] = turn.existed
            else:
                (open_ if turn.of_everybody else own).update(dict.fromkeys(turn.operator_nos, turn.existed))
        operators = _then(self.own, own) | _then(self.open, open_)
        return Seen(self._narrowed(operators), operators, _then(self.psos, psos))

    def _narrowed(self, operators: frozenset[int]) -> frozenset[int]:
        """Leave out operators that were seen all the time and are not the provider's.

        Of one that is not seen any more it is not known; to be told that its EVSEs are gone does no harm.
        """
        if self.viewer.provider_id is None or self.seen.evses_of is None or self.seen.spots_of is None:
            return operators
        return operators - (self.seen.spots_of - self.seen.evses_of)


def _turn(values: Sequence[Any]) -> _Turn:
    transaction, row, *rest = values
    return _Turn(Position(transaction, row), *rest)


def _then(now: frozenset[Any], then: Mapping[Any, bool]) -> frozenset[Any]:
    return now.difference(then) | {each for each, existed in then.items() if existed}
