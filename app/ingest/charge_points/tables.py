"""The tables of static charge points, read and written as sets: one writer per operator, one statement per table.

A location shows the words of its most recently updated EVSE (of several, the one with the smallest id) and lasts as
long as it has one; its address and position are those of all its EVSEs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

import asyncpg

from app.db.engine import Connection
from app.db.staging import merge_statement, rows_of, stage, staging_of, stored_columns, unstaged
from app.db.tables import evse, location
from app.ingest.charge_points.location_agreement import LocationKey, Placement
from app.ingest.charge_points.rows import PLACE_COLUMNS, Place
from app.ingest.parking.tables import link, refresh_touched, touch_links

STAGED_EVSES: Final = staging_of(evse)

#: What a location takes over from one of its EVSEs.
_WORDS: Final = tuple(column for column in stored_columns(location) if column.name != "updated_at")
LOCATION_WORDS: Final = tuple(column.name for column in _WORDS)

_PLACE: Final = ", ".join(PLACE_COLUMNS)

_TOUCHED: Final = "unnest($1::int[], $2::text[]) as touched (operator_no, location_id)"

_STAGED: Final = f"{STAGED_EVSES.name} as staged"

# Lists of ids are excluded with NOT IN, which is always one hash table: where the planner takes a list or a staging
# table for a few rows, NOT EXISTS compares each with each (400 ms instead of 15 for 2,000 rows). And they are excluded
# from a materialized set: else the planner expects to build that hash table for each location, and reads all EVSEs.


def differing(one: str, other: str) -> str:
    """Compare the words of two rows of locations. JSON has no equality of its own; as text it is what was written."""
    left, right = (", ".join(f"{row}.{name}::text" for name in LOCATION_WORDS) for row in (one, other))
    return f"({left}) is distinct from ({right})"


def staged_rows() -> str:
    """Select the staged EVSEs as rows of their table, by id."""
    columns = ", ".join(unstaged(column, "staged") for column in stored_columns(evse))
    return f"select {columns} from {_STAGED} order by evse_id"


@dataclass(frozen=True, slots=True)
class StoredEvse:
    """What the table holds of an EVSE: enough to decide about an upload of it."""

    placement: Placement
    source: str | None
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class StoredLocation:
    """A location's place, and one EVSE that stays there; None when none stays."""

    place: Place
    staying: str | None


_FIND_EVSES: Final = f"""
select evse_id, operator_no, location_id, source, content_hash, {_PLACE}
from evse where evse_id = any($1)
"""


async def find_evses(connection: Connection, evse_ids: Collection[str]) -> dict[str, StoredEvse]:
    """Return those of the EVSEs that are stored."""
    rows = await connection.fetch(_FIND_EVSES, sorted(evse_ids))
    return {
        row["evse_id"]: StoredEvse(
            Placement(LocationKey(row["operator_no"], row["location_id"]), _place(row)),
            row["source"],
            row["content_hash"],
        )
        for row in rows
    }


_FIND_LOCATIONS: Final = f"""
with there as materialized (
    select touched.operator_no, location_id, evse_id, source from {_TOUCHED} join evse using (operator_no, location_id)
), staying as (
    select operator_no, location_id, min(evse_id) as evse_id from there
    where evse_id not in (select unnest($3::text[]))
    and ($4::text is null or source is distinct from $4)
    group by operator_no, location_id
)
select touched.operator_no, touched.location_id, evse_id, {_PLACE}
from {_TOUCHED} join location using (operator_no, location_id)
left join staying on staying.operator_no = touched.operator_no and staying.location_id = touched.location_id
"""


async def find_locations(
    connection: Connection, locations: Collection[LocationKey], named: Collection[str], source: str | None
) -> dict[LocationKey, StoredLocation]:
    """Return the stored ones of the locations, each with an EVSE that stays: not `named`, not of this `source`."""
    rows = await connection.fetch(_FIND_LOCATIONS, *_columns(locations), sorted(named), source)
    return {
        LocationKey(row["operator_no"], row["location_id"]): StoredLocation(_place(row), row["evse_id"]) for row in rows
    }


_MOVE_ALONG: Final = f"""
with moved as (
    update evse set {", ".join(f"{name} = moved.{name}" for name in PLACE_COLUMNS)},
        content_hash = '', updated_at = $11
    from unnest(
        $1::int[], $2::text[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]
    ) as moved (operator_no, location_id, {_PLACE})
    where evse.operator_no = moved.operator_no and evse.location_id = moved.location_id and evse.source = $10
    returning evse_id
)
insert into moved_evse select evse_id from moved
"""


async def move_along(connection: Connection, places: Mapping[LocationKey, Place], source: str, now: datetime) -> None:
    """Put the EVSEs of a register where its new file puts their locations.

    They lose their content hashes, so that their items are written whatever they contain. Their links are left to
    `relink_moved`, which must follow in this transaction.
    """
    columns = _columns(places) + _columns(places.values(), len(PLACE_COLUMNS))
    await connection.execute(CREATE_MOVED)
    await connection.execute(_MOVE_ALONG, *columns, source, now)


_MERGE_LOCATIONS: Final = merge_statement(
    location,
    f"""
    with there as materialized (
        select {", ".join(f"evse.{column.name}" for column in _WORDS)}, updated_at as said_at, evse_id
        from {_TOUCHED} join evse using (operator_no, location_id)
    )
    select distinct on (operator_no, location_id) {", ".join(column.name for column in _WORDS)}, $3::timestamptz
    from (
        select * from there where evse_id not in (select evse_id from {STAGED_EVSES.name})
        union all
        select {", ".join(unstaged(column, "staged") for column in _WORDS)}, updated_at, evse_id
        from {_STAGED}
    ) as said
    order by operator_no, location_id, said_at desc, evse_id""",
    differing("location", "excluded"),
)

_MERGE_EVSES: Final = merge_statement(evse, staged_rows(), "evse.content_hash is distinct from excluded.content_hash")

_DELETE_EMPTY_LOCATIONS: Final = f"""
delete from location using {_TOUCHED}
where location.operator_no = touched.operator_no and location.location_id = touched.location_id
and not exists (
    select from evse where evse.operator_no = location.operator_no and evse.location_id = location.location_id
)
"""


# ---------------------------------------------------------------- written

#: EVSEs of this transaction whose links may lead to other spots, or that moved and link spots.
CREATE_MOVED: Final = """
create temporary table if not exists moved_evse (evse_id text collate "C") on commit delete rows
"""

MOVED_EVSES: Final = "select distinct evse_id from moved_evse"

_LINKS: Final = "parking_ids, operator_no, longitude, latitude"

_NOTE_MOVED: Final = f"""
insert into moved_evse select staged.evse_id from {_STAGED} left join evse using (evse_id)
where (cardinality(staged.parking_ids) > 0 or cardinality(evse.parking_ids) > 0)
and ({", ".join(f"staged.{name}" for name in _LINKS.split(", "))})
    is distinct from ({", ".join(f"evse.{name}" for name in _LINKS.split(", "))})
"""

_values_but_time: Final = itemgetter(*(name for name in STAGED_EVSES.columns if name != "updated_at"))


async def merge(
    connection: Connection, rows: Sequence[Mapping[str, Any]], touched: Collection[LocationKey], now: datetime
) -> int:
    """Write EVSE rows, and bring up to date the locations `touched`: where they are or were. Return how many changed.

    Their links are left to `relink_moved`, which must follow in this transaction.
    """
    await stage(connection, STAGED_EVSES, [(*_values_but_time(row), now) for row in rows])
    return await merge_staged(connection, _TOUCHED, now, *_columns(touched))


async def merge_staged(connection: Connection, touched: str, now: datetime, *args: Any) -> int:
    """Write the staged EVSE rows; return how many changed.

    `touched` is what names the locations to bring up to date in a FROM, `args` are its two parameters, if any.
    """

    def over(statement: str) -> str:
        return statement if args else statement.replace(_TOUCHED, touched).replace("$3", "$1")

    await connection.execute(CREATE_MOVED)
    await connection.execute(_NOTE_MOVED)
    # Locations first: an EVSE refers to its own.
    await connection.execute(over(_MERGE_LOCATIONS), *args, now)
    written = rows_of(await connection.execute(_MERGE_EVSES))
    await connection.execute(over(_DELETE_EMPTY_LOCATIONS), *args)
    return written


async def relink_moved(connection: Connection) -> None:
    """Update the links of the EVSEs that this transaction merged or moved, and the spots they lead to.

    It comes last and once: it locks all of these spots in one order, and then rows of live status.
    """
    await connection.execute(CREATE_MOVED)
    if await touch_links(connection, MOVED_EVSES):
        await connection.execute(lock_statuses(MOVED_EVSES))
        await link_moved(connection)
        await refresh_touched(connection)


async def link_moved(connection: Connection) -> None:
    """Bring the links of the merged EVSEs, whose spots are locked, to what their rows say."""
    await link(connection, MOVED_EVSES)


_DELETE_EVSES: Final = """
delete from evse using operator
where evse_id = any($1) and operator_no = operator.no and operator_no = any($2)
and ($3::text is null or (evse.source = $3 and operator.role_id is null))
returning evse_id, operator_no, location_id
"""

_OF_OPERATORS: Final = "select evse_id from evse where evse_id = any($1) and operator_no = any($2)"


async def delete(
    connection: Connection,
    evse_ids: Collection[str],
    operator_nos: Collection[int],
    now: datetime,
    source: str | None = None,
) -> set[str]:
    """Delete EVSEs of these operators and return their ids; with a `source` only its own that no partner holds."""
    named = sorted(evse_ids)
    linked = await touch_links(connection, _OF_OPERATORS, named, list(operator_nos))
    await connection.execute(lock_statuses(_OF_OPERATORS), named, list(operator_nos))
    rows = await connection.fetch(_DELETE_EVSES, named, list(operator_nos), source)
    if linked:
        await refresh_touched(connection)
    if rows:
        await merge(connection, [], {LocationKey(row["operator_no"], row["location_id"]) for row in rows}, now)
    return {row["evse_id"] for row in rows}


def lock_statuses(evses: str) -> str:
    """Compose the statement that locks the statuses of EVSEs, a SELECT of `evse_id`s, in the order of everybody."""
    return f"select from evse_status where evse_id in ({evses}) order by evse_id for no key update"


def _place(row: asyncpg.Record) -> Place:
    return tuple(row[name] for name in PLACE_COLUMNS)  # type: ignore[return-value]


def _columns(rows: Collection[Sequence[Any]], width: int = 2) -> list[list[Any]]:
    """Turn rows into columns, for `unnest`."""
    return [[row[i] for row in rows] for i in range(width)]
