"""The tables of live status, written as sets: statuses replace stored ones; log and history record what changed.

All transactions lock in one order: statuses of spots by id, then statuses of EVSEs by id. The statement that writes
reads the previous statuses from the locked rows, so it knows what a reader saw and what it sees from now on.

- A status without a ttl is valid for as long as the hub trusts it. An expired one is UNKNOWN for readers, from that
  instant, whether or not the sweeper (`app.ingest.status.expiry`) logged that already; until it did, the row's `due`
  is set, and the transaction that overwrites the row logs the expiry instead.
- A row is written for every status received; it counts as changed when readers see something new, or its history
  does. Only then `updated_at` moves.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from app.db.engine import Connection
from app.records.status import EvseStatus, ParkingStatus


class Written(NamedTuple):
    """Numbers of a set of statuses: those not older than the stored ones, and those that changed something."""

    current: int
    changed: int


# ---------------------------------------------------------------- locks

_LOCK_EVSES: Final = """
select array_agg(evse_id) from (
    select evse_id from evse_status
    where evse_id = any($1::text[] || array(
        select evse_id from evse_parking_spot
        where parking_id = any($2::text[]) and (operator_no = $3 or (contracted and $3 = 0))
    ))
    order by evse_id for no key update
) as locked
"""

_LOCK_SPOTS: Final = """
select array_agg(parking_id) from (
    select parking_id from parking_status join parking_spot using (parking_id)
    where said_by = 0 and parking_id = any($1::text[]) and ($2 = 0 or $2 = any(operator_nos))
    order by parking_id for no key update of parking_status
) as locked
"""


async def lock_evses(
    connection: Connection, evse_ids: Collection[str], parking_ids: Collection[str], said_by: int
) -> frozenset[str]:
    """Lock the statuses of EVSEs, and of those for which the sender's statuses of these spots count.

    `said_by`: the number of an operator, 0 for a PSO. Returns the ids of those that are there.
    """
    return frozenset(await connection.fetchval(_LOCK_EVSES, list(evse_ids), list(parking_ids), said_by) or ())


async def lock_spots(connection: Connection, parking_ids: Collection[str], said_by: int) -> frozenset[str]:
    """Lock the statuses of spots, of an operator's only those that its EVSEs link; give the ids."""
    return frozenset(await connection.fetchval(_LOCK_SPOTS, list(parking_ids), said_by) or ())


# ---------------------------------------------------------------- EVSEs

#: `alive`: the stored status had not expired. `owed`: it had, and that is not logged yet. `swept`: it had, and the
#: sweeper wrote that into the history. A status that expired before it arrived is neither; its successor closes it.
_WRITE_EVSES: Final = """
with said as (
    select * from unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
    as said (evse_id, major, minor, ttl, at, expires_at)
), met as (
    select said.*, said.expires_at > $1 as lives,
        stood.major as stood_major, stood.minor as stood_minor, stood.expires_at as stood_until,
        stood.updated_at as stood_since, stood.due as stood_due, stood.has_session,
        coalesce(stood.expires_at > $1, false) as alive,
        coalesce(stood.blocked_until > $1, false) as blocked
    from said join evse_status as stood using (evse_id)
    where stood.at is null or said.at >= stood.at
), timed as (
    select met.*, stood_due is not null and not alive as owed,
        stood_major <> 'UNKNOWN' and stood_due is null and stood_since < stood_until and not alive as swept,
        coalesce(stood_until <= at, false) as over,
        case when major <> 'UNKNOWN' and lives then least(stood_due, expires_at) end as due
    from met
), judged as materialized (
    select timed.*,
        owed or row(case when alive then stood_major else 'UNKNOWN' end, case when alive then stood_minor end)
            is distinct from row(case when lives then major else 'UNKNOWN' end, case when lives then minor end)
            as announced,
        row(major, minor) is distinct from row(
            case when swept or over then 'UNKNOWN' else stood_major end,
            case when not (swept or over) then stood_minor end
        ) as in_history
    from timed
), written as (
    update evse_status as status set
        major = judged.major, minor = judged.minor, ttl = judged.ttl, at = judged.at, expires_at = judged.expires_at,
        due = judged.due,
        updated_at = case when announced or in_history or not lives then $1 else coalesce(stood_since, $1) end
    from judged where status.evse_id = judged.evse_id
    and row(status.major, status.minor, status.ttl, status.at, status.expires_at, status.due)
        is distinct from row(judged.major, judged.minor, judged.ttl, judged.at, judged.expires_at, judged.due)
), entered as (
    insert into status_expiry (due, kind, entity_id)
    select due, 'EVSE_STATUS', evse_id from judged where due is distinct from stood_due and due is not null
    on conflict do nothing
), closed as (
    insert into status_history (evse_id, at, major)
    select evse_id, stood_until, 'UNKNOWN' from judged
    where over and not swept and stood_major <> 'UNKNOWN' and (stood_until < at or not in_history)
), opened as (
    insert into status_history (evse_id, at, major, minor)
    select evse_id, case when swept then greatest(at, stood_until) else at end, major, minor
    from judged where in_history
), logged as (
    insert into change (kind, entity_id, was_available)
    select 'EVSE_STATUS', evse_id, stood_major = 'AVAILABLE' and (owed or (alive and not blocked))
    from judged where announced
)
select count(*) as current_ones, count(*) filter (where announced or in_history) as changed,
    array_agg(evse_id) filter (where has_session and (
        coalesce(stood_major = 'AVAILABLE' and stood_due is not null, false) <> (major = 'AVAILABLE' and lives)
    )) as contradicting
from judged
"""

#: A session is contradicted by a status that is AVAILABLE; see app/db/sql/sessions.sql. Most EVSEs have no session.
REFRESH_CONTRADICTIONS: Final = "select refresh_contradictions($1)"


async def write_evses(
    connection: Connection, statuses: Sequence[EvseStatus], now: datetime, trust: timedelta
) -> Written:
    """Write statuses of EVSEs, whose rows are locked; at most one for each, in the order of their ids."""
    row = await connection.fetchrow(
        _WRITE_EVSES,
        now,
        [each.evse_id for each in statuses],
        [each.major for each in statuses],
        [each.minor for each in statuses],
        [each.ttl for each in statuses],
        [each.at for each in statuses],
        [each.ttl or each.at + trust for each in statuses],
    )
    assert row is not None
    if row["contradicting"]:
        await connection.execute(REFRESH_CONTRADICTIONS, row["contradicting"])
    return Written(row["current_ones"], row["changed"])


# ---------------------------------------------------------------- spots

#: `$7`: the operator that sent them, or 0, the PSO. Each has statuses of its own; clocks of several are not compared.
_WRITE_SPOTS: Final = """
with said as (
    select * from unnest($2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[])
    as said (parking_id, status, ttl, at, expires_at)
), met as (
    select said.*, said.expires_at > $1 as lives, stood.status as stood_status, stood.due as stood_due,
        stood.updated_at as stood_since, coalesce(stood.expires_at > $1, false) as alive
    from said join parking_status as stood on stood.parking_id = said.parking_id and stood.said_by = $7
    where stood.at is null or said.at >= stood.at
), judged as materialized (
    select met.*,
        (stood_due is not null and not alive) or (case when alive then stood_status else 'UNKNOWN' end)
            is distinct from (case when lives then status else 'UNKNOWN' end) as announced,
        case when status <> 'UNKNOWN' and lives then least(stood_due, expires_at) end as due
    from met
), written as (
    update parking_status as spot set
        status = judged.status, ttl = judged.ttl, at = judged.at, expires_at = judged.expires_at, due = judged.due,
        updated_at = case when announced then $1 else coalesce(stood_since, $1) end
    from judged where spot.parking_id = judged.parking_id and spot.said_by = $7
    and row(spot.status, spot.ttl, spot.at, spot.expires_at, spot.due)
        is distinct from row(judged.status, judged.ttl, judged.at, judged.expires_at, judged.due)
), entered as (
    insert into status_expiry (due, kind, entity_id)
    select due, 'PARKING_STATUS', parking_id from judged where due is distinct from stood_due and due is not null
    on conflict do nothing
), logged as (
    insert into change (kind, entity_id, said_by)
    select 'PARKING_STATUS', parking_id, array[$7::integer] from judged where announced
)
select count(*) as current_ones, count(*) filter (where announced) as changed from judged
"""

_REFRESH_LINKED: Final = """
select refresh_blocked(array(
    select distinct evse_id from evse_parking_spot
    where parking_id = any($1::text[]) and (operator_no = $3 or (contracted and $3 = 0))
), $2)
"""


async def write_spots(
    connection: Connection, statuses: Sequence[ParkingStatus], now: datetime, trust: timedelta, said_by: int
) -> Written:
    """Write an operator's or a PSO's statuses of spots; these, and the EVSEs for which they count, are locked."""
    parking_ids = [each.parking_id for each in statuses]
    row = await connection.fetchrow(
        _WRITE_SPOTS,
        now,
        parking_ids,
        [each.status for each in statuses],
        [each.ttl for each in statuses],
        [each.at for each in statuses],
        [each.ttl or each.at + trust for each in statuses],
        said_by,
    )
    assert row is not None
    if row["current_ones"] > 0:
        await connection.execute(_REFRESH_LINKED, parking_ids, now, said_by)
    return Written(row["current_ones"], row["changed"])
