"""The expiry of a status is a change too: the sweeper publishes it, and writes it into the history.

Readers need no sweeper: they compare `expires_at` with their own clock. It serves those who follow changes. A row's
`due` refers to its entry in `status_expiry`; an entry that no row refers to is out of date and is deleted. Statuses are
renewed more often than they expire, so a renewed one keeps its entry, which is read early and inserted again.
"""

from datetime import datetime
from typing import Final

from app.db.engine import Connection, Database
from app.ingest.status.tables import REFRESH_CONTRADICTIONS

CHUNK: Final = 1_000


async def sweep(database: Database, now: datetime, chunk: int = CHUNK) -> int:
    """Publish every status that has expired, oldest first; return their number. Sweeps may run concurrently."""
    total = 0
    while True:
        taken, published = await database.write(lambda connection: _sweep_chunk(connection, now, chunk))
        total += published
        if taken < chunk:
            return total


async def _sweep_chunk(connection: Connection, now: datetime, chunk: int) -> tuple[int, int]:
    """Read so many entries in one short transaction; return their number, and that of the expired statuses."""
    entries = await connection.fetch(_TAKE, now, chunk)
    spots = {row["entity_id"] for row in entries if row["kind"] == "PARKING_STATUS"}
    evses = {row["entity_id"] for row in entries if row["kind"] == "EVSE_STATUS"}
    published = 0
    if spots:
        await connection.execute(_LOCK_SPOTS, list(spots))
    if entries:
        await connection.execute(_LOCK_EVSES, list(evses), list(spots))
    if spots:
        published += len(free := await connection.fetchval(_END_SPOTS, now, list(spots)) or ())
        await connection.execute(_UNBLOCK, free, now)
    if evses:
        row = await connection.fetchrow(_END_EVSES, now, list(evses))
        assert row is not None
        published += row["published"]
        if row["contradicting"]:
            await connection.execute(REFRESH_CONTRADICTIONS, row["contradicting"])
    return len(entries), published


#: Each sweeper skips the entries that another one holds.
_TAKE: Final = """
with taken as materialized (
    select due, kind, entity_id from status_expiry where due <= $1
    order by due, kind, entity_id limit $2 for update skip locked
)
delete from status_expiry using taken
where (status_expiry.due, status_expiry.kind, status_expiry.entity_id) = (taken.due, taken.kind, taken.entity_id)
returning status_expiry.kind, status_expiry.entity_id
"""

_LOCK_SPOTS: Final = """
select from parking_status where parking_id = any($1::text[]) and said_by = 0 order by parking_id for no key update
"""

_LOCK_EVSES: Final = """
select from evse_status
where evse_id = any($1::text[] || array(select evse_id from evse_parking_spot where parking_id = any($2::text[])))
order by evse_id for no key update
"""

#: The entries of rows whose `due` is past were among those taken; those of other rows are still to come.
_END_SPOTS: Final = """
with met as materialized (
    select parking_id, said_by, expires_at, expires_at <= $1 as over from parking_status
    where parking_id = any($2::text[]) and due <= $1
), written as (
    update parking_status as spot set due = case when not over then met.expires_at end
    from met where spot.parking_id = met.parking_id and spot.said_by = met.said_by
), entered as (
    insert into status_expiry (due, kind, entity_id)
    select expires_at, 'PARKING_STATUS', parking_id from met where not over on conflict do nothing
), logged as (
    insert into change (kind, entity_id, said_by)
    select 'PARKING_STATUS', parking_id, array[said_by] from met where over order by expires_at
)
select array_agg(parking_id) from met where over
"""

_UNBLOCK: Final = """
select refresh_blocked(array(select distinct evse_id from evse_parking_spot where parking_id = any($1::text[])), $2)
"""

#: `was_available` disregards the spots: whether they were occupied before, and logged as that, is no longer known.
_END_EVSES: Final = """
with met as materialized (
    select evse_id, major, expires_at, has_session, expires_at <= $1 as over from evse_status
    where evse_id = any($2::text[]) and due <= $1
), written as (
    update evse_status as status set due = case when not over then met.expires_at end
    from met where status.evse_id = met.evse_id
), entered as (
    insert into status_expiry (due, kind, entity_id)
    select expires_at, 'EVSE_STATUS', evse_id from met where not over on conflict do nothing
), recorded as (
    insert into status_history (evse_id, at, major) select evse_id, expires_at, 'UNKNOWN' from met where over
), logged as (
    insert into change (kind, entity_id, was_available)
    select 'EVSE_STATUS', evse_id, major = 'AVAILABLE' from met where over order by expires_at
)
select count(*) as published, array_agg(evse_id) filter (where has_session) as contradicting from met where over
"""
