"""When operators come into sight or go out of it: all their EVSEs and spots, page by page, then and now.

What was there then and is not now, or is elsewhere, the log knows: the rows about it since, and those that it is still
to be told of whole lists that came into force. What came only since then was never seen by whom it is out of sight for,
so nothing is said of it.
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
        and evse.list_no = operator.list_no
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
    select parking_id from evse_parking_spot join operator using (list_no) where evse_id = any($1)
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

#: What lists in force put an end to, as far as the log is still to be told. Lateral with a limit: there is hardly ever
#: such a list, and no plan must begin with the EVSEs or spots.
UNTOLD_EVSES: Final = """
select evse_id, array[ended.operator_no], array[longitude], array[latitude]
from (select * from list_out_of_force where operator_no = any($1) and told_to is not null) as list
cross join lateral (
    select * from evse where evse.list_no = list.list_no and evse_id > greatest($2, list.told_to) and evse_id <= $3
    order by evse_id limit $4
) as ended
order by evse_id limit $4
"""
_UNTOLD_SPOTS: Final = """
select parking_id, operator_nos || case when own_longitude is null then '{}' else '{0}' end::integer[],
    array(select case when no = located_by then longitude end from unnest(operator_nos) as no)
        || case when own_longitude is null then '{}' else array[own_longitude] end,
    array(select case when no = located_by then latitude end from unnest(operator_nos) as no)
        || case when own_latitude is null then '{}' else array[own_latitude] end
from (select * from spot_list where in_force_at is not null) as list
cross join lateral (
    select * from parking_spot_version where until_no = list.no and parking_id > list.told_to
"""
UNTOLD_SPOTS_OF_PSO: Final = f"""
{_UNTOLD_SPOTS} and list.party_id = $1 and parking_id > greatest($2, $1) and parking_id <= least($1 || '{END}', $3)
    order by parking_id limit $4
) as ended order by parking_id
"""
UNTOLD_SPOTS_BY_ID: Final = f"""
{_UNTOLD_SPOTS} and (parking_id = any($1) or parking_id > list.party_id and operator_nos && $2)
    order by parking_id limit $3
) as ended
"""
#: More than any list has.
ALL: Final = 1_000_000


async def turned_page(database: Database, turn: Turn, after: str, limit: int = PAGE) -> tuple[list[Turned], str | None]:
    """Give the next EVSEs and spots behind an id, and where to go on; None at the end."""
    if turn.pso is None:
        whom, present_of = list(turn.operator_nos), EVSES_OF_OPERATORS
        untold_of, changed_of = UNTOLD_EVSES, CHANGED_EVSES
    else:
        whom, present_of = turn.pso, SPOTS_OF_PSO
        untold_of, changed_of = UNTOLD_SPOTS_OF_PSO, CHANGED_SPOTS_OF_PSO
    present = await database.fetch(present_of, whom, after, limit)
    end = _end_of(present, limit)
    # Before what was told: what is told meanwhile is in both, and in one of them for sure.
    untold = await database.fetch(untold_of, whom, after, end or END, limit)
    end = _end_of(untold, limit) or end
    changed = await database.fetch(changed_of, *_since(turn), whom, after, end or END, limit)
    end = _end_of(changed, limit) or end
    present, untold = ([row for row in rows if end is None or row[0] <= end] for rows in (present, untold))
    if turn.pso is not None:
        return _turned(facts_of((), present).spots, untold, changed, is_spot=True), end
    evses = facts_of(present, ()).evses
    turned = _turned(evses, untold, changed, is_spot=False)
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
        untold = await database.fetch(UNTOLD_SPOTS_BY_ID, [], whom, ALL)
        rows = await database.fetch(SPOTS_THAT_HAD, *_since(turn), whom)
        gone = [row[0] for row in (*untold, *rows)]
    spots = facts_of((), await database.fetch(SPOTS_OF_EVSES, list(evse_ids), gone)).spots
    if not spots and not gone:
        return []
    ids = [*spots, *gone]
    untold = await database.fetch(UNTOLD_SPOTS_BY_ID, ids, [], ALL)
    changed = await database.fetch(CHANGED_SPOTS_BY_ID, *_since(turn), ids)
    return _turned(spots, untold, changed, is_spot=True)


def _turned(
    present: Mapping[str, EvseFacts] | Mapping[str, SpotFacts],
    untold: Iterable[Any],
    changed: Iterable[Any],
    is_spot: bool,
) -> list[Turned]:
    changes = {id_: _formers(present.get(id_), rows) for id_, rows in changed}
    for id_, *former in untold:
        changes.setdefault(id_, _as_now(present.get(id_))).append(Former(*former))
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
