"""When operators come into sight or go out of it: all their EVSEs and spots, page by page, then and now.

What was there then and is not now, or is elsewhere, the log knows by its rows since. What came only since then was
never seen by whom it is out of sight for, so nothing is said of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.db.engine import Database
from app.live.cursor import Position
from app.live.facts import EVSE, SPOT, EvseFacts, Former, SpotFacts, facts_of
from app.live.log import LogRow
from app.live.matching import Turned

PAGE = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """Operators, or a PSO, whom somebody sees from `position` in the log, and from `at`, on, or sees no more.

    Both, because lists show what is committed, and the log is read by the numbers of transactions: what was written
    later by only one of the two may have been seen before.
    """

    operator_nos: tuple[int, ...]
    pso: str | None
    at: datetime
    position: Position


def turn_of(row: LogRow) -> Turn:
    """Give whom a row about sight is about."""
    if row.operator_nos is not None:
        return Turn(tuple(row.operator_nos), None, row.at, row.position)
    return Turn((), row.entity_id, row.at, row.position)


#: Behind all ids.
END: Final = "~"
#: Ids begin with the party id of their operator, so those of one stand together in an index, and operators are gone
#: through one after the other, no further than the page reaches.
EVSES_OF_OPERATORS: Final = f"""
{EVSE} where evse.evse_id in (
    select behind.evse_id from operator cross join lateral (
        select evse_id from evse
        where evse_id > greatest($2, party_id) and evse_id < party_id || '{END}'
        order by evse_id limit $3
    ) as behind
    where no = any($1) and party_id || '{END}' > $2 order by party_id, behind.evse_id limit $3
) order by evse.evse_id
"""
#: Rows since a turn ($1 its instant, $2 and $3 its position); none is written long before its transaction ends.
_SINCE: Final = "at > $1::timestamptz - interval '5 minutes' and (at > $1 or (transaction, id) > ($2, $3))"
#: One entity's rows, in the order in which they were written: how it was before each, and whether that is surely later.
_CHANGES: Final = """
jsonb_agg(
    jsonb_build_array(existed, operator_nos, longitudes, latitudes, at > $1 and (transaction, id) > ($2, $3))
    order by at, id
)
"""
CHANGED_EVSES: Final = f"""
select entity_id, {_CHANGES}
from operator cross join lateral (
    select * from change
    where kind = 'EVSE' and entity_id > greatest($5, party_id) and entity_id <= least(party_id || '{END}', $6)
    and {_SINCE}
) as row
where no = any($4) group by entity_id order by entity_id limit $7
"""
SPOTS_OF_EVSES: Final = f"""
{SPOT} where parking_id = any($2) or parking_id in (
    select parking_id from evse_parking_spot where evse_id = any($1)
)
"""
SPOTS_OF_PSO: Final = f"""
{SPOT} where parking_id > greatest($2, $1) and parking_id < $1 || '{END}' order by parking_id limit $3
"""
_SPOTS_SINCE: Final = f"from change where kind = 'PARKING_SPOT' and {_SINCE}"
SPOTS_THAT_HAD: Final = f"select distinct entity_id {_SPOTS_SINCE} and operator_nos && $4"
CHANGED_SPOTS_BY_ID: Final = f"select entity_id, {_CHANGES} {_SPOTS_SINCE} and entity_id = any($4) group by entity_id"
CHANGED_SPOTS_OF_PSO: Final = f"""
select entity_id, {_CHANGES} {_SPOTS_SINCE} and entity_id > greatest($5, $4)
and entity_id <= least($4 || '{END}', $6)
group by entity_id order by entity_id limit $7
"""


async def turned_page(database: Database, turn: Turn, after: str, limit: int = PAGE) -> tuple[list[Turned], str | None]:
    """Give the next EVSEs and spots behind an id, and where to go on; None at the end."""
    if turn.pso is None:
        whom, present_of = list(turn.operator_nos), EVSES_OF_OPERATORS
        changed_of = CHANGED_EVSES
    else:
        whom, present_of = turn.pso, SPOTS_OF_PSO
        changed_of = CHANGED_SPOTS_OF_PSO
    present = await database.fetch(present_of, whom, after, limit)
    end = _end_of(present, limit)
    changed = await database.fetch(changed_of, *_since(turn), whom, after, end or END, limit)
    end = _end_of(changed, limit) or end
    present = [row for row in present if end is None or row[0] <= end]
    if turn.pso is not None:
        return _turned(facts_of((), present).spots, changed, is_spot=True), end
    evses = facts_of(present, ()).evses
    turned = _turned(evses, changed, is_spot=False)
    return turned + await _spots_with(database, turn, list(evses), first_page=not after), end


def _end_of(rows: Sequence[Any], limit: int) -> str | None:
    """Give where rows break off, None when they are all."""
    return rows[-1][0] if len(rows) == limit else None


def _since(turn: Turn) -> tuple[datetime, int, int]:
    return turn.at, turn.position.transaction, turn.position.row


async def _spots_with(database: Database, turn: Turn, evse_ids: Sequence[str], first_page: bool) -> list[Turned]:
    """Give the spots of these EVSEs; with the first page also those that had one of them and have it no more."""
    gone: list[str] = []
    whom = list(turn.operator_nos) if first_page else []
    if first_page:
        gone = [row[0] for row in await database.fetch(SPOTS_THAT_HAD, *_since(turn), whom)]
    spots = facts_of((), await database.fetch(SPOTS_OF_EVSES, list(evse_ids), gone)).spots
    if not spots and not gone:
        return []
    ids = [*spots, *gone]
    changed = await database.fetch(CHANGED_SPOTS_BY_ID, *_since(turn), ids)
    return _turned(spots, changed, is_spot=True)


def _turned(
    present: Mapping[str, EvseFacts] | Mapping[str, SpotFacts],
    changed: Iterable[Any],
    is_spot: bool,
) -> list[Turned]:
    changes = {id_: _formers(present.get(id_), rows) for id_, rows in changed}
    listed: list[Turned] = []
    for id_ in present.keys() | changes.keys():
        facts = present.get(id_)
        formers = changes[id_] if id_ in changes else _as_now(facts)
        listed.append(Turned(id_, facts, formers, is_spot, id_ in changes))
    return sorted(listed, key=lambda each: each.id)


def _formers(facts: EvseFacts | SpotFacts | None, rows: Iterable[Any]) -> list[Former]:
    """Give how what changed may have been seen: before each row that is not behind one that is surely later."""
    formers: list[Former] = []
    later = False
    for existed, operator_nos, longitudes, latitudes, is_later in rows:
        if existed and not later:
            formers.append(Former(operator_nos or (), longitudes or (), latitudes or ()))
        later = is_later
    return formers if later else formers + _as_now(facts)


def _as_now(facts: EvseFacts | SpotFacts | None) -> list[Former]:
    if facts is None:
        return []
    if isinstance(facts, EvseFacts):
        return [Former((facts.operator_no,), (facts.longitude,), (facts.latitude,))]
    return [Former(facts.operator_nos, facts.longitudes, facts.latitudes)]
