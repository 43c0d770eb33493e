"""When operators come into sight or go out of it: all their EVSEs and spots, page by page, then and now.

What was there then and is not now, or is elsewhere, the log knows: the first row about it since. What came only since
then was never seen by whom it is out of sight for, so nothing is said of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.db.engine import Database
from app.live.facts import EVSE, SPOT, EvseFacts, SpotFacts, facts_of
from app.live.log import LogRow
from app.live.matching import Former, Turned

PAGE = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """Operators, or a PSO, whom somebody sees from `at` on, or sees no more.

    An instant, not a position: lists show what is committed, whether or not the log is complete up to there.
    """

    operator_nos: tuple[int, ...]
    pso: str | None
    at: datetime


def turn_of(row: LogRow) -> Turn:
    """Give whom a row about sight is about."""
    if row.operator_nos is not None:
        return Turn(tuple(row.operator_nos), None, row.at)
    return Turn((), row.entity_id, row.at)


#: Ids begin with the party id of their operator, so those of one stand together in an index; `~` comes after them all.
EVSES_OF_OPERATORS: Final = f"""
{EVSE} where evse.evse_id in (
    select behind.evse_id from operator cross join lateral (
        select evse_id from evse
        where evse_id > greatest($2, party_id) and evse_id < party_id || '~'
        and evse.list_no = operator.list_no
        order by evse_id limit $3
    ) as behind
    where no = any($1) order by behind.evse_id limit $3
) order by evse.evse_id
"""
CHANGED_EVSES: Final = """
select distinct on (entity_id) entity_id, existed, operator_nos, longitude, latitude
from operator cross join lateral (
    select * from change
    where kind = 'EVSE' and entity_id > greatest($2, party_id) and entity_id < party_id || '~'
    and at > $4
) as row
where no = any($1) order by entity_id, at limit $3
"""
SPOTS_OF_EVSES: Final = f"""
{SPOT} where parking_id = any($2) or parking_id in (
    select parking_id from evse_parking_spot join operator using (list_no) where evse_id = any($1)
)
"""
SPOTS_OF_PSO: Final = f"""
{SPOT} where parking_id > greatest($2, $1) and parking_id < $1 || '~' order by parking_id limit $3
"""
_CHANGED_SPOTS: Final = """
select distinct on (entity_id) entity_id, existed, operator_nos, longitude, latitude from change
where kind = 'PARKING_SPOT' and at > $1
"""
CHANGED_SPOTS_BY_ID: Final = f"{_CHANGED_SPOTS} and entity_id = any($2) order by entity_id, at"
CHANGED_SPOTS_OF_OPERATORS: Final = f"{_CHANGED_SPOTS} and operator_nos && $2 order by entity_id, at"
CHANGED_SPOTS_OF_PSO: Final = f"""
{_CHANGED_SPOTS} and entity_id > greatest($3, $2) and entity_id < $2 || '~'
order by entity_id, at limit $4
"""


async def turned_page(database: Database, turn: Turn, after: str, limit: int = PAGE) -> tuple[list[Turned], str | None]:
    """Give the next EVSEs and spots behind an id, and where to go on; None at the end."""
    if turn.pso is not None:
        return await _pso_page(database, turn, turn.pso, after, limit)
    nos = list(turn.operator_nos)
    present = await database.fetch(EVSES_OF_OPERATORS, nos, after, limit)
    changed = await database.fetch(CHANGED_EVSES, nos, after, limit, turn.at)
    end = _end(limit, present, changed)
    present, changed = _until(present, end), _until(changed, end)
    evses = facts_of(present, ()).evses
    turned = _turned(evses, _first(changed), is_spot=False)
    return turned + await _spots_with(database, turn, list(evses), first_page=not after), end


async def _spots_with(database: Database, turn: Turn, evse_ids: Sequence[str], first_page: bool) -> list[Turned]:
    """Give the spots of these EVSEs; with the first page also those that had one of them and have it no more."""
    gone: Sequence[Any] = ()
    if first_page:
        gone = await database.fetch(CHANGED_SPOTS_OF_OPERATORS, turn.at, list(turn.operator_nos))
    spots = facts_of((), await database.fetch(SPOTS_OF_EVSES, list(evse_ids), [row[0] for row in gone])).spots
    if not spots and not gone:
        return []
    changed = await database.fetch(CHANGED_SPOTS_BY_ID, turn.at, [*spots, *(row[0] for row in gone)])
    return _turned(spots, _first(changed), is_spot=True)


async def _pso_page(
    database: Database, turn: Turn, pso: str, after: str, limit: int
) -> tuple[list[Turned], str | None]:
    present = await database.fetch(SPOTS_OF_PSO, pso, after, limit)
    changed = await database.fetch(CHANGED_SPOTS_OF_PSO, turn.at, pso, after, limit)
    end = _end(limit, present, changed)
    spots = facts_of((), _until(present, end)).spots
    return _turned(spots, _first(_until(changed, end)), is_spot=True), end


def _end(limit: int, *listed: Sequence[Any]) -> str | None:
    """Give the id up to which all lists are whole; None when they are so to their ends."""
    return min((rows[-1][0] for rows in listed if len(rows) == limit), default=None)


def _until(rows: Sequence[Any], end: str | None) -> list[Any]:
    return [row for row in rows if end is None or row[0] <= end]


def _first(changed: Sequence[Any]) -> Mapping[str, Former | None]:
    """Give how things were that changed since; None for what was not there."""
    return {id_: Former(nos or (), *place) if existed else None for id_, existed, nos, *place in changed}


def _turned(
    present: Mapping[str, EvseFacts] | Mapping[str, SpotFacts], changed: Mapping[str, Former | None], is_spot: bool
) -> list[Turned]:
    listed: list[Turned] = []
    for id_ in present.keys() | changed.keys():
        facts = present.get(id_)
        former = changed[id_] if id_ in changed else _as_now(facts)
        listed.append(Turned(id_, facts, former, is_spot, id_ in changed))
    return sorted(listed, key=lambda each: each.id)


def _as_now(facts: EvseFacts | SpotFacts | None) -> Former | None:
    if facts is None:
        return None
    nos = (facts.operator_no,) if isinstance(facts, EvseFacts) else facts.operator_nos
    return Former(nos, facts.longitude, facts.latitude)
