"""The tables of parking spots, written as sets from both sides: by those who link them, and by those who run them.

Whoever changes a spot or its links locks it first, by the row of its status: all spots of a transaction in the order of
their ids and after any operator, so that nobody waits in a circle. A spot lasts while its PSO publishes it or an EVSE
links it. A PSO writes the version in force, or with a whole list the next one (`app.ingest.spot_versions`). Links are
not of lists: both versions are brought up to date with them, but for one that ended: what it was is still to be told.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection
from app.db.staging import rows_of

#: A set of EVSEs as SQL with one parameter, and one that stands in a staging table.
NAMED_EVSES: Final = "select unnest($1::text[]) as evse_id"

_CREATE: Final = """
create temporary table if not exists touched_spot (parking_id text collate "C", operator_no integer)
on commit delete rows
"""

# ---------------------------------------------------------------- from the side of the EVSEs


async def touch_links(connection: Connection, evses: str, *args: Any) -> bool:
    """Lock the spots that these EVSEs link by now or will link by their rows; say whether there are any.

    A spot that is new is made. `evses` is a SELECT of `evse_id`s, `args` are its parameters.
    """
    linking = f"""
        select parking_id, operator.no as operator_no from ({evses}) as chosen join evse_parking_spot using (evse_id)
        join operator using (list_no)
        union all
        select unnest(parking_ids), operator.no from ({evses}) as chosen join evse using (evse_id)
        join operator using (list_no)
    """
    return await touch_spots(connection, linking, *args)


async def touch_spots(connection: Connection, linking: str, *args: Any) -> bool:
    """Lock spots, making those that are new; say whether there are any. `linking`: SELECT parking_id, operator_no."""
    if not await connection.fetchval(f"select exists ({linking})", *args):
        return False
    await connection.execute(_CREATE)
    await connection.execute(
        f"insert into touched_spot select parking_id, min(operator_no) from ({linking}) as linking group by parking_id",
        *args,
    )
    await connection.execute(_lock("select parking_id from touched_spot"))
    await connection.execute(_MAKE)
    return True


#: An update of nothing still locks its row. A plain SELECT could miss a spot that somebody else is removing.
def _lock(named: str) -> str:
    return f"""
    insert into parking_status (parking_id) select distinct parking_id from ({named}) as named order by parking_id
    on conflict (parking_id) do update set status = excluded.status where false
    """


async def make_and_lock(connection: Connection, parking_ids: Sequence[str]) -> None:
    """Lock a PSO's spots, those too that are new."""
    await connection.execute(_lock('select unnest($1::text[]) collate "C" as parking_id'), parking_ids)


# A spot needs a version to show now, and one for the day a list that is being written is in force: that may be about to
# end the one shown, or have brought the only one there is. Where none is shown the number of a list in force is free.
_MAKE: Final = """
with pending as (select no from spot_list where in_force_at is null), linking as (
    select parking_id, array[min(operator_no)] as operator_nos from touched_spot group by parking_id
)
insert into parking_spot_version (parking_id, list_no, until_no, operator_nos)
select linking.parking_id, coalesce(flipped.no, 0), coming.list_no, linking.operator_nos
from linking
left join spot_list as flipped
on flipped.party_id = substr(linking.parking_id, 1, 5) and flipped.in_force_at is not null
left join parking_spot_version as coming
on coming.parking_id = linking.parking_id and coming.list_no in (select no from pending)
where not exists (select from parking_spot where parking_spot.parking_id = linking.parking_id)
union all
select linking.parking_id, ending.until_no, null, linking.operator_nos
from linking cross join lateral (
    select until_no from parking_spot_version as version
    where version.parking_id = linking.parking_id and until_no in (select no from pending) limit 1
) as ending
where not exists (
    select from parking_spot_version as next
    where next.parking_id = linking.parking_id and next.list_no = ending.until_no
)
order by 1
"""


async def relink(connection: Connection, evses: str, *args: Any) -> None:
    """Bring the links of these EVSEs, and the spots they lead to, to what the EVSEs' rows say."""
    if await touch_links(connection, evses, *args):
        await connection.execute(_unlink(evses), *args)
        await connection.execute(_link(evses), *args)
        await refresh_touched(connection)


def _unlink(evses: str) -> str:
    return f"""
    delete from evse_parking_spot as link using ({evses}) as chosen, evse, operator
    where chosen.evse_id = link.evse_id and evse.evse_id = chosen.evse_id and evse.list_no = link.list_no
    and operator.list_no = link.list_no and parking_id <> all(parking_ids)
    """


def _link(evses: str) -> str:
    return f"""
    insert into evse_parking_spot (evse_id, list_no, parking_id)
    select evse_id, list_no, unnest(parking_ids) from ({evses}) as chosen join evse using (evse_id)
    join operator using (list_no)
    on conflict do nothing
    """


# Links of lists that are not yet in force count: what they name is there before they are, and visible when they are. Of
# several rows the one of a list in force says where the spot is. The operator that locates it goes on doing so while it
# links it: nobody moves a spot of others by linking it too.
_FIRST: Final = "operator.no is null, evse.operator_no is distinct from spot.located_by, evse.evse_id, evse.list_no"
_NOT_ENDED: Final = """
(spot.until_no is null or spot.until_no in (select no from spot_list where in_force_at is null))
"""
_LINKED: Final = f"""
select spot.parking_id, spot.list_no,
    coalesce(array_agg(distinct evse.operator_no) filter (where evse.operator_no is not null), '{{}}') as nos,
    case when own_longitude is null then (array_agg(evse.operator_no order by {_FIRST}))[1] end as operator_no,
    coalesce(own_longitude, (array_agg(evse.longitude order by {_FIRST}))[1]) as longitude,
    coalesce(own_latitude, (array_agg(evse.latitude order by {_FIRST}))[1]) as latitude
from (select distinct parking_id from touched_spot) as touched join parking_spot_version as spot using (parking_id)
left join evse_parking_spot as link using (parking_id)
left join evse on (evse.evse_id, evse.list_no) = (link.evse_id, link.list_no)
left join operator on operator.list_no = evse.list_no
where {_NOT_ENDED} group by spot.parking_id, spot.list_no
"""

_FORGET: Final = f"""
delete from parking_spot_version as spot using (select distinct parking_id from touched_spot) as touched
where spot.parking_id = touched.parking_id and content_hash is null and {_NOT_ENDED}
and not exists (select from evse_parking_spot where evse_parking_spot.parking_id = spot.parking_id)
"""

_REFRESH: Final = f"""
update parking_spot_version as spot set operator_nos = linked.nos, located_by = linked.operator_no,
    longitude = linked.longitude, latitude = linked.latitude
from ({_LINKED}) as linked
where (spot.parking_id, spot.list_no) = (linked.parking_id, linked.list_no)
and (spot.operator_nos, spot.located_by, spot.longitude, spot.latitude)
    is distinct from (linked.nos, linked.operator_no, linked.longitude, linked.latitude)
"""


async def refresh_touched(connection: Connection) -> None:
    """Bring touched spots up to date with their links; what nobody speaks of any more goes."""
    await connection.execute(_FORGET)
    await connection.execute(_REFRESH)


# ---------------------------------------------------------------- from the side of the PSO

SPOT_COLUMNS: Final = (
    "parking_id",
    "own_longitude",
    "own_latitude",
    "restrictions",
    "floor_level",
    "number",
    "content_hash",
)

#: Spots to write, given as columns.
NAMED_SPOTS: Final = f"""
select * from unnest($2::text[], $3::float8[], $4::float8[], $5::int[], $6::text[], $7::text[], $8::bytea[])
as said ({", ".join(SPOT_COLUMNS)})
"""


def columns_of(rows: Collection[Mapping[str, Any]]) -> list[list[Any]]:
    """Turn rows into the arguments of NAMED_SPOTS."""
    return [[row[name] for row in rows] for name in SPOT_COLUMNS]


#: Where a spot is by an EVSE, before a PSO's word about that comes or goes.
_LINKED_LONGITUDE, _LINKED_LATITUDE = (
    f"case when spot.located_by is not null then spot.{name} end" for name in ("longitude", "latitude")
)


async def merge_spots(connection: Connection, parking_ids: Sequence[str], now: datetime, spots: str, *args: Any) -> int:
    """Write what a PSO says of these spots; gives how many are new or changed.

    `spots` is a SELECT of SPOT_COLUMNS. Its first parameter, $1, is `now`; `args` are the others.
    """
    await make_and_lock(connection, parking_ids)
    status = await connection.execute(
        f"""
        insert into parking_spot_version as spot ({", ".join(SPOT_COLUMNS)}, list_no, longitude, latitude, updated_at)
        select {", ".join(f"said.{name}" for name in SPOT_COLUMNS)}, coalesce(shown.list_no, flipped.no, 0),
            said.own_longitude, said.own_latitude, $1::timestamptz
        from ({spots}) as said left join parking_spot as shown using (parking_id)
        left join spot_list as flipped
        on flipped.party_id = substr(parking_id, 1, 5) and flipped.in_force_at is not null
        order by parking_id
        on conflict (parking_id, list_no) do update set
            {", ".join(f"{name} = excluded.{name}" for name in SPOT_COLUMNS[1:])}, updated_at = excluded.updated_at,
            located_by = case when excluded.own_longitude is null then spot.located_by end,
            longitude = coalesce(excluded.own_longitude, {_LINKED_LONGITUDE}),
            latitude = coalesce(excluded.own_latitude, {_LINKED_LATITUDE})
        where spot.content_hash is distinct from excluded.content_hash
        """,
        now,
        *args,
    )
    written = rows_of(status)
    if written:
        await refresh_spots(connection, parking_ids)
    return written


_TOUCH: Final = """
insert into touched_spot
select parking_id from parking_spot_version where parking_id = any($1::text[]) and own_longitude is null
"""


async def refresh_spots(connection: Connection, parking_ids: Sequence[str]) -> None:
    """Let spots without a position of their own be found at their EVSEs; what nobody speaks of any more goes."""
    await connection.execute(_CREATE)
    await connection.execute(_TOUCH, parking_ids)
    await refresh_touched(connection)


_LOCK_KNOWN: Final = """
select from parking_status where parking_id = any($1) order by parking_id for no key update
"""

_PUBLISHED: Final = "select parking_id from parking_spot where parking_id = any($1) and content_hash is not null"

_DELETE_UNLINKED: Final = "delete from parking_spot where parking_id = any($1) and cardinality(operator_nos) = 0"

_UNPUBLISH: Final = f"""
update parking_spot as spot set own_longitude = null, own_latitude = null, restrictions = 0, floor_level = null,
    number = null, content_hash = null, updated_at = null,
    longitude = {_LINKED_LONGITUDE}, latitude = {_LINKED_LATITUDE}
where parking_id = any($1)
"""


async def unpublish(connection: Connection, parking_ids: Sequence[str]) -> set[str]:
    """Take a PSO's word about spots away and give their ids; those that EVSEs link wait for their PSO again."""
    await connection.execute(_LOCK_KNOWN, parking_ids)
    published = [row["parking_id"] for row in await connection.fetch(_PUBLISHED, parking_ids)]
    if published:
        await connection.execute(_DELETE_UNLINKED, published)
        await connection.execute(_UNPUBLISH, published)
        await refresh_spots(connection, published)
    return set(published)
