"""A whole list of parking spots that changes much: written beside what stands, then in force at once.

However long the writing takes, no transaction of it is long, and readers see the old list or the new one:

1. `write_versions`, `end_versions`: what is new or different is written as versions of spots that nobody is shown yet,
   and the versions whose place they take are marked as ending with this list. What stays as it is stays untouched.
2. The flip, one tiny statement: the list is in force.
3. `settle`: the change log is told what became different, and versions that ended go.

The PSO is held all the time; operators that link its spots go on (`app.ingest.parking.tables`). What a process that
dies leaves is undone if it was not in force, else finished: with the next list, or with the hub's own rounds.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg

from app.db.engine import Connection, Database, Session
from app.ingest.parking.tables import SPOT_COLUMNS, make_and_lock, refresh_spots
from app.ingest.settle import happened_at, settle_each
from app.uploads.batch_sizes import walk
from app.uploads.locks import PARKING_OPERATOR, parking_operator_number

#: Rows of staged lists as SPOT_COLUMNS; the first parameter is left to others.
LISTED_SPOTS: Final = f"""
select {", ".join(f"listed.{name}" for name in SPOT_COLUMNS)}
from unnest($2::int[], $3::int[]) as chosen (part_no, place) join listed_parking_spot as listed using (part_no, place)
"""


async def begin_list(connection: Connection, party_id: str) -> int:
    """Take the number of a PSO's new list, whose versions nobody is shown until it is in force."""
    return await connection.fetchval("insert into spot_list (party_id) values ($1) returning no", party_id)


_END: Final = """
update parking_spot_version set until_no = $1
where parking_id = any($2::text[]) and until_no is null and list_no <> $1
"""

# Where a spot has no position of its own, the operator that located it goes on doing so.
_COME: Final = f"""
insert into parking_spot_version
    ({", ".join(SPOT_COLUMNS)}, list_no, operator_nos, located_by, longitude, latitude, updated_at)
select {", ".join(f"said.{name}" for name in SPOT_COLUMNS)}, $4, coalesce(old.operator_nos, '{{}}'),
    case when said.own_longitude is null then old.located_by end,
    coalesce(said.own_longitude, case when old.located_by is not null then old.longitude end),
    coalesce(said.own_latitude, case when old.located_by is not null then old.latitude end), $1::timestamptz
from ({LISTED_SPOTS}) as said
left join parking_spot_version as old on old.parking_id = said.parking_id and old.until_no = $4
order by said.parking_id
"""


async def write_versions(connection: Connection, rows: Sequence[asyncpg.Record], number: int, now: datetime) -> None:
    """Write the versions with which spots go on when the list is in force. `rows`: where they are staged."""
    parking_ids = ids_of(rows)
    await make_and_lock(connection, parking_ids)
    await connection.execute(_END, number, parking_ids)
    await connection.execute(_COME, now, *places_of(rows), number)
    await refresh_spots(connection, parking_ids)


# Those that EVSEs link are still known by that, where these are.
_WAIT: Final = """
insert into parking_spot_version (parking_id, list_no, operator_nos, located_by, longitude, latitude)
select parking_id, $1, operator_nos, located_by,
    case when located_by is not null then longitude end, case when located_by is not null then latitude end
from parking_spot_version
where parking_id = any($2::text[]) and until_no = $1 and cardinality(operator_nos) > 0 order by parking_id
"""


async def end_versions(connection: Connection, parking_ids: Sequence[str], number: int) -> None:
    """Let the PSO's word about spots end when the list is in force."""
    await make_and_lock(connection, parking_ids)
    await connection.execute(_END, number, parking_ids)
    await connection.execute(_WAIT, number, parking_ids)
    await refresh_spots(connection, parking_ids)


def ids_of(rows: Sequence[asyncpg.Record]) -> list[str]:
    """Give the ids of staged spots."""
    return [row["parking_id"] for row in rows]


def places_of(rows: Sequence[asyncpg.Record]) -> tuple[list[int], list[int]]:
    """Give where rows are staged, as columns."""
    return [row["part_no"] for row in rows], [row["place"] for row in rows]


async def flip(connection: Connection, number: int) -> None:
    """Let a list be in force from the end of this transaction on."""
    await connection.execute("update spot_list set in_force_at = clock_timestamp() where no = $1", number)


# ---------------------------------------------------------------- afterwards

# Ids of a PSO's spots begin with its party id.
_NEXT: Final = """
select max(parking_id) from (
    select distinct parking_id from parking_spot_version
    where parking_id > $1 and parking_id >= $2 and parking_id < $2 || '~'
    and coalesce(list_no = $3 or until_no = $3, false)
    order by parking_id limit $4
) as next
"""

_LOCK: Final = """
select from parking_status where parking_id in (
    select parking_id from parking_spot_version
    where parking_id > $2 and parking_id <= $3 and (list_no = $1 or until_no = $1)
) order by parking_id for no key update
"""

_TELL: Final = f"""
insert into change (at, kind, entity_id, existed, operator_nos, longitudes, latitudes)
select {happened_at("spot_list where no = $1", "in_force_at")}, 'PARKING_SPOT', parking_id,
    stale.parking_id is not null,
    stale.operator_nos || case when stale.own_longitude is null then '{{}}' else '{{0}}' end::integer[],
        array(select case when no = stale.located_by then stale.longitude end from unnest(stale.operator_nos) as no)
            || case when stale.own_longitude is null then '{{}}' else array[stale.own_longitude] end,
        array(select case when no = stale.located_by then stale.latitude end from unnest(stale.operator_nos) as no)
            || case when stale.own_latitude is null then '{{}}' else array[stale.own_latitude] end
from (select * from parking_spot_version where until_no = $1 and parking_id > $2 and parking_id <= $3) as stale
full join (select * from parking_spot_version where list_no = $1 and parking_id > $2 and parking_id <= $3) as fresh
using (parking_id)
where (fresh.content_hash, fresh.operator_nos, fresh.longitude, fresh.latitude, fresh.located_by)
    is distinct from (stale.content_hash, stale.operator_nos, stale.longitude, stale.latitude, stale.located_by)
order by parking_id
"""

_OLD: Final = "delete from parking_spot_version where until_no = $1 and parking_id > $2 and parking_id <= $3"
_NEW: Final = "delete from parking_spot_version where list_no = $1 and parking_id > $2 and parking_id <= $3"
_GO_ON: Final = """
update parking_spot_version set until_no = null where until_no = $1 and parking_id > $2 and parking_id <= $3
"""


async def settle(session: Session, party_id: str) -> None:
    """Tell the change log of a PSO's list in force and let go of what ended with it; undo one that is not in force."""
    row = await session.connection.fetchrow("select * from spot_list where party_id = $1", party_id)
    if row is None:
        return
    number, step = row["no"], _undo if row["in_force_at"] is None else _finish

    async def next_(after: str, rows: int) -> str | None:
        return await session.connection.fetchval(_NEXT, after, party_id, number, rows)

    await walk(session, row["told_to"], next_, partial(step, number=number))
    await session.write(lambda connection: connection.execute("delete from spot_list where no = $1", number))


async def _finish(connection: Connection, after: str, to: str, number: int) -> None:
    await connection.execute(_LOCK, number, after, to)
    await connection.execute(_TELL, number, after, to)
    await connection.execute("update spot_list set told_to = $2 where no = $1", number, to)
    await connection.execute(_OLD, number, after, to)


async def _undo(connection: Connection, after: str, to: str, number: int) -> None:
    await connection.execute(_LOCK, number, after, to)
    await connection.execute(_NEW, number, after, to)
    await connection.execute(_GO_ON, number, after, to)


async def settle_all(database: Database) -> None:
    """Settle what dead processes left; where somebody is at work let him."""
    left = [row["party_id"] for row in await database.fetch("select party_id from spot_list")]
    await settle_each(database, PARKING_OPERATOR, {parking_operator_number(each): each for each in left}, settle)
