"""The tables of parking spots, written as sets from both sides: by operators that link them, and by PSOs.

A transaction that changes a spot's links, or creates or deletes a spot, locks it first, by the row of its PSO's status:
all its spots in the order of their ids and after any operator, so that no transactions deadlock. Rows of spots come
after that, in the same order, and statuses of EVSEs last. A spot lasts while its PSO publishes it or an EVSE links it.

A link is its operator's own statement, about any spot: what the PSO publishes, its status included, comes with it only
while the two have a contract.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection
from app.db.staging import rows_of
from app.uploads.batches import batches
from app.uploads.locks import SPOT_CONTRACTS

#: How many spots one statement writes.
AT_ONCE: Final = 1_000

#: Spots of this transaction: by links that are there, and with the linking EVSE by those that are to come.
_CREATE: Final = """
create temporary table if not exists touched_spot (
    parking_id text collate "C", evse_id text collate "C", operator_no integer, longitude float8, latitude float8
) on commit delete rows
"""

# ---------------------------------------------------------------- from the side of the EVSEs


async def touch_links(connection: Connection, evses: str, *args: Any) -> bool:
    """Lock the spots that these EVSEs link by now or will link by their rows; return whether there are any.

    A spot that is new is made. `evses` is a SELECT of `evse_id`s, `args` are its parameters.
    """
    await connection.execute(f"{_CREATE}; delete from touched_spot")
    touched = await connection.execute(
        f"""
        insert into touched_spot
        select parking_id from ({evses}) as chosen join evse_parking_spot using (evse_id)
        """,
        *args,
    )
    coming = await connection.execute(
        f"""
        insert into touched_spot
        select distinct unnest(parking_ids), evse_id, operator_no, longitude, latitude
        from ({evses}) as chosen join evse using (evse_id)
        """,
        *args,
    )
    if not rows_of(touched) + rows_of(coming):
        return False
    await connection.execute(_SHARE_CONTRACTS, SPOT_CONTRACTS)
    await connection.execute(lock_spots_of("select parking_id from touched_spot"))
    await connection.execute(_MAKE)
    return True


_SHARE_CONTRACTS: Final = """
select pg_advisory_xact_lock_shared($1, operator_no)
from (select distinct operator_no from touched_spot where operator_no is not null order by operator_no) as linking
"""


def lock_spots_of(named: str) -> str:
    """Compose the statement that locks spots, a SELECT of `parking_id`s, and makes the status of a new one.

    An update of nothing still locks its row. A plain SELECT could miss a spot that another transaction is deleting.
    """
    return f"""
    insert into parking_status (parking_id, said_by)
    select distinct parking_id, 0 from ({named}) as named order by parking_id
    on conflict (parking_id, said_by) do update set status = excluded.status where false
    """


async def make_and_lock(connection: Connection, parking_ids: Sequence[str]) -> None:
    """Lock a PSO's spots, new ones too."""
    await connection.execute(lock_spots_of('select unnest($1::text[]) collate "C" as parking_id'), parking_ids)


# No other transaction links a spot that does not exist yet, so the new links are all there are.
_MAKE: Final = """
insert into parking_spot (parking_id, operator_nos, link_longitudes, link_latitudes, contracted_nos)
select parking_id, array_agg(operator_no order by evse_id), array_agg(longitude order by evse_id),
    array_agg(latitude order by evse_id), coalesce(array_agg(distinct operator_no) filter (where contracted), '{}')
from (
    select *, (operator_no, substr(parking_id, 1, 5)) in (select operator_no, party_id from spot_contract) as contracted
    from touched_spot
) as touched
where evse_id is not null
and not exists (select from parking_spot where parking_spot.parking_id = touched.parking_id)
group by parking_id order by parking_id
on conflict (parking_id) do nothing
"""


async def link(connection: Connection, evses: str, *args: Any) -> None:
    """Bring the links of these EVSEs, whose spots are locked, to what their rows say."""
    await connection.execute(_unlink(evses), *args)
    await connection.execute(_link(evses), *args)


def _unlink(evses: str) -> str:
    return f"""
    delete from evse_parking_spot as link using ({evses}) as chosen, evse
    where chosen.evse_id = link.evse_id and evse.evse_id = chosen.evse_id and parking_id <> all(parking_ids)
    """


def _link(evses: str) -> str:
    return f"""
    insert into evse_parking_spot (evse_id, parking_id, operator_no, contracted)
    select evse_id, parking_id, operator_no,
        (operator_no, substr(parking_id, 1, 5)) in (select operator_no, party_id from spot_contract)
    from ({evses}) as chosen join evse using (evse_id) cross join unnest(parking_ids) as parking_id
    on conflict do nothing
    """


_LOCK_ROWS: Final = """
select from parking_spot where parking_id in (select parking_id from touched_spot)
order by parking_id for no key update
"""

_FORGET: Final = """
delete from parking_spot as spot using (select distinct parking_id from touched_spot) as touched
where spot.parking_id = touched.parking_id and content_hash is null
and not exists (select from evse_parking_spot where evse_parking_spot.parking_id = spot.parking_id)
"""

_LINKED: Final = """
select touched.parking_id, coalesce(array_agg(operator_no order by evse_id) filter (where found), '{}') as nos,
    coalesce(array_agg(longitude order by evse_id) filter (where found), '{}') as longitudes,
    coalesce(array_agg(latitude order by evse_id) filter (where found), '{}') as latitudes,
    coalesce(array_agg(distinct operator_no) filter (where contracted), '{}') as contracted_nos
from (select distinct parking_id from touched_spot) as touched
left join (
    select parking_id, evse_id, link.operator_no, contracted, longitude, latitude, true as found
    from evse_parking_spot as link join evse using (evse_id)
) as link using (parking_id)
group by touched.parking_id
"""

_REFRESH: Final = f"""
update parking_spot as spot
set operator_nos = linked.nos, link_longitudes = linked.longitudes, link_latitudes = linked.latitudes,
    contracted_nos = linked.contracted_nos
from ({_LINKED}) as linked
where spot.parking_id = linked.parking_id
and (spot.operator_nos, spot.link_longitudes, spot.link_latitudes, spot.contracted_nos)
    is distinct from (linked.nos, linked.longitudes, linked.latitudes, linked.contracted_nos)
"""


async def refresh_touched(connection: Connection) -> None:
    """Bring touched spots up to date with their links; a spot that neither links nor its PSO speak of goes."""
    await connection.execute(_LOCK_ROWS)
    await connection.execute(_FORGET)
    await connection.execute(_REFRESH)


# ---------------------------------------------------------------- from the side of the PSO

SPOT_COLUMNS: Final = (
    "parking_id",
    "longitude",
    "latitude",
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
    """Return rows as the arguments of NAMED_SPOTS."""
    return [[row[name] for row in rows] for name in SPOT_COLUMNS]


async def merge_spots(connection: Connection, now: datetime, spots: str, *args: Any) -> int:
    """Write what a PSO says of these spots; return how many are new or changed.

    `spots` is a SELECT of SPOT_COLUMNS. Its first parameter, $1, is `now`; `args` are the others.
    """
    status = await connection.execute(
        f"""
        insert into parking_spot as spot ({", ".join(SPOT_COLUMNS)}, updated_at)
        select {", ".join(f"said.{name}" for name in SPOT_COLUMNS)}, $1::timestamptz from ({spots}) as said
        order by parking_id
        on conflict (parking_id) do update set
            {", ".join(f"{name} = excluded.{name}" for name in SPOT_COLUMNS[1:])}, updated_at = excluded.updated_at
        where spot.content_hash is distinct from excluded.content_hash
        """,
        now,
        *args,
    )
    return rows_of(status)


_LOCK_KNOWN: Final = """
select from parking_status where parking_id = any($1) and said_by = 0 order by parking_id for no key update
"""

_PUBLISHED: Final = """
select parking_id from parking_spot where parking_id = any($1) and content_hash is not null
order by parking_id for no key update
"""

_DELETE_UNLINKED: Final = "delete from parking_spot where parking_id = any($1) and cardinality(operator_nos) = 0"

_UNPUBLISH: Final = """
update parking_spot set longitude = null, latitude = null, restrictions = 0, floor_level = null, number = null,
    content_hash = null, updated_at = null
where parking_id = any($1)
"""


async def unpublish(connection: Connection, parking_ids: Sequence[str]) -> set[str]:
    """Delete what a PSO publishes of spots, whose ids are sorted; return the ids of those that were published.

    A spot that EVSEs link stays without it, until its PSO publishes it again.
    """
    await connection.execute(_LOCK_KNOWN, parking_ids)
    published: set[str] = set()
    for some in batches(parking_ids, AT_ONCE):
        found = [row["parking_id"] for row in await connection.fetch(_PUBLISHED, some)]
        if found:
            await connection.execute(_DELETE_UNLINKED, found)
            await connection.execute(_UNPUBLISH, found)
        published.update(found)
    return published
