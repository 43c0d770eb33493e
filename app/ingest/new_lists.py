"""A whole list that changes much: written beside what stands under a number of its own, then in force at once.

However long the writing takes, no transaction of it is long, and readers see the old list or the new one:

1. `write_list`: all rows of the new list are written under a number that no operator has, so nobody is shown them.
2. The flip, one tiny statement: the operator has that number now.
3. `app.ingest.settle`: the change log is told what became different, and the rows of the old number go.

The operator is held all the time. A process that dies leaves rows of a number that no operator has, and a note of it in
`list_out_of_force`: with the next list, or with the hub's own rounds, they go.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Session
from app.db.staging import stored_columns, unstaged
from app.db.tables import evse
from app.ingest.charge_points.tables import LOCATION_WORDS, differing
from app.ingest.list_changes import Changes, Listed, Stays
from app.ingest.parking.tables import refresh_touched, touch_spots
from app.uploads.batch_sizes import in_pieces

_EVSE: Final = [column for column in stored_columns(evse) if column.name not in ("list_no", "updated_at")]
_EVSE_NAMES: Final = ", ".join(column.name for column in _EVSE)
_LISTED_EVSE: Final = ", ".join(unstaged(column, "listed") for column in _EVSE)
_WORDS: Final = ", ".join(LOCATION_WORDS)
_LISTED_WORDS: Final = ", ".join(f"listed.{name}" for name in LOCATION_WORDS).replace(
    "related_locations", "related_locations::json"
)
_SAID_WORDS: Final = ", ".join(f"said.{name}" for name in LOCATION_WORDS)

# A location must be there before its EVSEs; what it shows is decided when all of them are.
_PLACE_STAYING: Final = f"""
insert into location (list_no, {_WORDS}, updated_at) select $1, {_WORDS}, updated_at from location
where list_no = $2 and location_id = any($3) order by location_id on conflict do nothing
"""

_COPY_STAYING: Final = f"""
insert into evse (list_no, {_EVSE_NAMES}, updated_at) select $1, {_EVSE_NAMES}, updated_at from evse
where list_no = $2 and evse_id = any($3) order by evse_id
"""

_CHOSEN: Final = """
unnest($1::int[], $2::int[]) as chosen (part_no, place) join listed_evse as listed using (part_no, place)
"""

# The first one of a location counts: all are as new, and they come in the order of ids. Where the words are those of
# the old list, the time is too.
_PLACE_LISTED: Final = f"""
insert into location (list_no, {_WORDS}, updated_at)
select distinct on (listed.location_id) $3::int, {_LISTED_WORDS}, coalesce(old.updated_at, $4::timestamptz)
from {_CHOSEN}
left join location as old
on old.list_no = $5 and old.location_id = listed.location_id and not {differing("old", "listed")}
order by listed.location_id, evse_id on conflict do nothing
"""

_COPY_LISTED: Final = f"""
insert into evse (list_no, {_EVSE_NAMES}, updated_at) select $3::int, {_LISTED_EVSE}, $4::timestamptz
from {_CHOSEN} order by evse_id
"""

_LINK: Final = """
insert into evse_parking_spot (evse_id, list_no, parking_id)
select distinct evse_id, list_no, unnest(parking_ids) from evse where list_no = $1 and evse_id = any($2)
"""

_LINKING: Final = """
select unnest(parking_ids) as parking_id, operator_no from evse where list_no = $1 and evse_id = any($2)
"""

# What stays may be older than what is new beside it, and newer than what is gone.
_SAY: Final = f"""
with newest as (
    select distinct on (location_id) {_WORDS} from evse where list_no = $1 and location_id = any($3)
    order by location_id, updated_at desc, evse_id
), said as (
    select newest.*, coalesce(old.updated_at, $4::timestamptz) as said_at
    from newest left join location as old
    on old.list_no = $2 and old.location_id = newest.location_id and not {differing("old", "newest")}
)
update location set ({_WORDS}, updated_at) = row({_SAID_WORDS}, said_at)
from said
where list_no = $1 and location.location_id = said.location_id
and (updated_at <> said_at or {differing("location", "said")})
"""


_BEGIN: Final = """
insert into list_out_of_force (list_no, operator_no) values (nextval('list_number'), $1) returning list_no
"""


async def begin_list(session: Session, operator_no: int) -> int:
    """Take the number of a new list; note that its rows are to be cleared away as long as it is not in force."""

    async def work(connection: Connection) -> int:
        return await connection.fetchval(_BEGIN, operator_no)

    return await session.write(work)


async def write_list(session: Session, number: int, old: int, changes: Changes, now: datetime) -> None:
    """Write the list that the changes lead to under its number; `old` is the one in force."""

    async def staying(connection: Connection, piece: Sequence[Stays]) -> None:
        ids = [each.evse_id for each in piece]
        await connection.execute(_PLACE_STAYING, number, old, sorted({each.location_id for each in piece}))
        await connection.execute(_COPY_STAYING, number, old, ids)
        await _link(connection, number, ids)

    async def changed(connection: Connection, piece: Sequence[Listed]) -> None:
        chosen = ([each.part_no for each in piece], [each.place for each in piece])
        await connection.execute(_PLACE_LISTED, *chosen, number, now, old)
        await connection.execute(_COPY_LISTED, *chosen, number, now)
        await _link(connection, number, [each.evse_id for each in piece])

    async def say(connection: Connection, piece: Sequence[str]) -> None:
        await connection.execute(_SAY, number, old, piece, now)

    await in_pieces(session, changes.staying, staying)
    await in_pieces(session, changes.changed, changed)
    await in_pieces(session, sorted({each.location_id for each in changes.staying}), say)


async def _link(connection: Connection, number: int, ids: list[str]) -> None:
    if await touch_spots(connection, _LINKING, number, ids):
        await connection.execute(_LINK, number, ids)
        await refresh_touched(connection)


_FLIP: Final = """
with new as (delete from list_out_of_force where list_no = $1), old as (
    insert into list_out_of_force (list_no, operator_no, told_to, ended_at)
    select list_no, no, '', clock_timestamp() from operator where no = $2
)
update operator set list_no = $1 where no = $2
"""


async def flip(connection: Connection, operator_no: int, number: int) -> None:
    """Let an operator's new list be in force from the end of this transaction on."""
    await connection.execute(_FLIP, number, operator_no)


async def list_in_force(connection: Connection, operator_no: int) -> Any:
    """Give the number of the operator's list in force."""
    return await connection.fetchval("select list_no from operator where no = $1", operator_no)
