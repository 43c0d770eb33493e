"""What is left to do when a whole list is in force: the change log is told what is different, the old rows go.

It goes from EVSE to EVSE in the order of their ids, and notes in each transaction how far it came, so that a process
that dies leaves nothing out and tells nothing twice.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from app.db.engine import Busy, Connection, Database, Session
from app.ingest.parking.tables import refresh_touched, touch_spots
from app.uploads.batch_sizes import in_pieces, walk
from app.uploads.locks import OPERATOR, holding

T = TypeVar("T")


def happened_at(list_: str, column: str) -> str:
    """Give when a list's changes happened, as SQL: when it came into force, whenever the log is told.

    Readers count on rows not being written long after; after the death of a process it may be.
    """
    return f"(select greatest({column}, clock_timestamp() - interval '4 minutes') from {list_})"


_OVER: Final = """
select out.list_no, operator.list_no as in_force, out.told_to, operator.party_id
from list_out_of_force as out join operator on operator.no = out.operator_no
where operator_no = $1 order by out.list_no
"""

# Ids of an operator's EVSEs begin with its party id.
_NEXT: Final = """
select max(evse_id) from (
    select distinct evse_id from evse where evse_id > $1 and evse_id >= $2 and evse_id < $2 || '~'
    and list_no = any($3) order by evse_id limit $4
) as next
"""

_TELL: Final = f"""
insert into change (at, kind, entity_id, existed, operator_nos, longitudes, latitudes)
select {happened_at("list_out_of_force where list_no = $1", "ended_at")}, 'EVSE', evse_id, stale.evse_id is not null,
    case when stale.evse_id is not null then array[stale.operator_no] end, array[stale.longitude], array[stale.latitude]
from (select * from evse where list_no = $1 and evse_id > $3 and evse_id <= $4) as stale
full join (select * from evse where list_no = $2 and evse_id > $3 and evse_id <= $4) as fresh using (evse_id)
where stale.content_hash is distinct from fresh.content_hash order by evse_id
"""

_OLD: Final = "evse where list_no = $1 and evse_id > $2 and evse_id <= $3"
_LINKING: Final = f"select unnest(parking_ids) as parking_id, operator_no from {_OLD}"

# Of all that had spots or has some now.
_REFRESH_BLOCKED: Final = """
select refresh_blocked(array_agg(distinct evse_id), now()) from evse
where list_no in ($1, $2) and evse_id > $3 and evse_id <= $4 and parking_ids <> '{}'
having count(*) > 0
"""


async def settle(session: Session, operator_no: int) -> None:
    """Tell the change log of an operator's list, if that is not done, and clear away rows that are not in force."""
    for row in await session.connection.fetch(_OVER, operator_no):
        await _walk(session, row["list_no"], row["in_force"], row["party_id"], row["told_to"])
        await _end(session, row["list_no"])


async def _walk(session: Session, old: int, new: int, party_id: str, told_to: str | None) -> None:
    lists = [old] if told_to is None else [old, new]

    async def next_(after: str, rows: int) -> str | None:
        return await session.connection.fetchval(_NEXT, after, party_id, lists, rows)

    await walk(session, told_to or "", next_, partial(_step, was_in_force=told_to is not None, old=old, new=new))


async def _step(connection: Connection, after: str, to: str, was_in_force: bool, old: int, new: int) -> None:
    linked = await touch_spots(connection, _LINKING, old, after, to)
    if was_in_force:
        await connection.execute(_TELL, old, new, after, to)
        await connection.execute("update list_out_of_force set told_to = $2 where list_no = $1", old, to)
        await connection.execute(_REFRESH_BLOCKED, old, new, after, to)
    await connection.execute(f"delete from {_OLD}", old, after, to)
    if linked:
        await refresh_touched(connection)


async def _end(session: Session, old: int) -> None:
    async def locations(connection: Connection, piece: Sequence[Any]) -> None:
        ids = [row["location_id"] for row in piece]
        await connection.execute("delete from location where list_no = $1 and location_id = any($2)", old, ids)

    left = await session.connection.fetch("select location_id from location where list_no = $1 order by 1", old)
    await in_pieces(session, left, locations)
    await session.write(lambda connection: connection.execute("delete from list_out_of_force where list_no = $1", old))


async def settle_all(database: Database) -> None:
    """Settle what dead processes left; where somebody is at work let him."""
    left = await database.fetch("select distinct operator_no from list_out_of_force")
    await settle_each(database, OPERATOR, {row["operator_no"]: row["operator_no"] for row in left}, settle)


async def settle_each(
    database: Database, kind: int, left: Mapping[int, T], settle: Callable[[Session, T], Awaitable[None]]
) -> None:
    """Hold each party by its number and settle what is left of its lists, but for those that somebody holds."""
    for number, party in left.items():
        try:
            async with holding(database, kind, number, None, patience_s=0.0) as session:
                await settle(session, party)
        except Busy:
            continue
