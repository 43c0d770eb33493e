"""The whole list of an operator's charge points: staged in parts, put in force at once.

Putting in force is set against set inside the database: the rows that changed go through the same statements as any
upload, the rows that the list does not name go. What was refused keeps its previous record.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from app.db.engine import Connection, Database
from app.db.staging import rows_of
from app.ids import separated_evse_id
from app.ingest import evse_tables
from app.ingest.charge_points import begin, item_of, mismatch_reasons, operator_no_of
from app.ingest.checks import RefusalCode
from app.ingest.evse_rows import PLACE_COLUMNS
from app.ingest.evse_tables import STAGED_EVSES
from app.ingest.lists import (
    CHARGE_POINT_LIST,
    EmptyList,
    Part,
    Staged,
    TooManyRemovals,
    begin_flip,
    check_removals,
    forget_list,
    incomplete,
    stage_part,
    the_whole,
)
from app.ingest.parking_tables import refresh_touched, touch_spots
from app.ingest.places import LocationKey, Spot, Standing, find_mismatches
from app.ingest.records import Read, Refusal
from app.ingest.refusals import REFUSALS_KEPT, keep_refusals
from app.ingest.uploads import CHARGE_POINTS, Owner, Reason, Report, by_index, sort_out


async def set_charge_points(
    database: Database,
    items: Sequence[Read],
    owner: Owner,
    part: Part | None,
    confirmed: bool,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Replace an operator's whole list, or keep one part of it; the part that completes the list puts it in force.

    Of a part that is only kept, `accepted` counts the items kept. Several items for one EVSE: the last one counts.
    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals.
    """
    operator_no = await operator_no_of(database, owner)
    own, refused = sort_out(items, owner, CHARGE_POINTS)
    rows = [(index, dict(item_of(each, index, operator_no).row)) for index, each in own.items()]
    in_part = part or the_whole()

    async def stage(connection: Connection) -> Staged:
        await begin(connection, operator_no, owner, now)
        await keep_refusals(
            connection, owner.partner_id, CHARGE_POINT_LIST.operation, by_index(refused), now, refusals_kept
        )
        return await stage_part(connection, CHARGE_POINT_LIST, owner, in_part, rows, refused, now)

    staged = await database.write(stage, partner=owner.partner_id)
    if in_part.last and staged.missing:
        raise incomplete(in_part, staged.missing)
    if not staged.complete:
        return Report(len(rows), 0, 0, by_index(refused))

    async def flip(connection: Connection) -> Report | None:
        await begin(connection, operator_no, owner, now)
        if not await begin_flip(connection, staged.list_no):
            return None
        report = await _put_in_force(connection, staged.list_no, operator_no, confirmed, now)
        await keep_refusals(
            connection, owner.partner_id, CHARGE_POINT_LIST.operation, report.refused, now, refusals_kept
        )
        return report

    try:
        report = await database.write(flip, partner=owner.partner_id)
    except (EmptyList, TooManyRemovals):
        if part is None:
            await forget_list(database, staged.list_no)
        raise
    await forget_list(database, staged.list_no)
    # Somebody else's copy of the same part put it in force meanwhile.
    report = report or Report(0, len(rows), 0, ())
    return Report(report.accepted, report.unchanged, report.removed, by_index((*refused, *report.refused)))


# ---------------------------------------------------------------- putting a list in force

_CREATE: Final = """
create temporary table if not exists chosen_evse (
    evse_id text collate "C", part integer, place integer, location_id text collate "C", changed boolean
) on commit delete rows;
create temporary table if not exists kept_evse (evse_id text collate "C") on commit delete rows;
create temporary table if not exists removed_evse (
    evse_id text collate "C", location_id text collate "C"
) on commit delete rows;
create temporary table if not exists touched_location (operator_no integer, location_id text collate "C")
on commit delete rows;
"""

_CHOOSE: Final = """
insert into chosen_evse
select evse_id, part, place, last.location_id, evse.content_hash is distinct from last.content_hash
from (
    select distinct on (evse_id) evse_id, part, place, location_id, content_hash from listed_evse
    where list_no = $1 order by evse_id, part desc, place desc
) as last left join evse using (evse_id)
"""

_DOUBLES: Final = """
select listed_evse.evse_id, listed_evse.part, listed_evse.place, chosen_evse.part as other
from listed_evse join chosen_evse using (evse_id)
where list_no = $1 and (listed_evse.part, listed_evse.place) <> (chosen_evse.part, chosen_evse.place)
"""

_KEEP: Final = """
insert into kept_evse select distinct unnest(kept_ids) from list_part where list_no = $1
except select evse_id from chosen_evse
"""

_FIND_REMOVED: Final = """
insert into removed_evse
select evse_id, location_id from evse where operator_no = $1
and evse_id not in (select evse_id from chosen_evse) and evse_id not in (select evse_id from kept_evse)
"""

_STORED: Final = [name for name in STAGED_EVSES.columns if name != "updated_at"]

_STAGE: Final = f"""
insert into {STAGED_EVSES.name} ({", ".join(_STORED)}, updated_at)
select {", ".join(f"listed.{name}" for name in _STORED)}, $2
from chosen_evse join listed_evse as listed using (part, place) where list_no = $1 and changed
"""

_TOUCH: Final = f"""
insert into touched_location
select operator_no, location_id from {STAGED_EVSES.name}
union select evse.operator_no, evse.location_id from {STAGED_EVSES.name} join evse using (evse_id)
union select $1::int, location_id from removed_evse
"""

_LINKING: Final = f"""
select unnest(parking_ids) as parking_id, operator_no from {STAGED_EVSES.name}
union all
select parking_id, $1::int from evse_parking_spot where evse_id in (
    select evse_id from {STAGED_EVSES.name} union all select evse_id from removed_evse
)
"""


async def _put_in_force(
    connection: Connection, list_no: int, operator_no: int, confirmed: bool, now: datetime
) -> Report:
    await connection.execute("set local work_mem = '256MB'")
    await connection.execute(_CREATE)
    await connection.execute(STAGED_EVSES.create)
    chosen = rows_of(await connection.execute(_CHOOSE, list_no))
    await connection.execute(_KEEP, list_no)
    # Nobody gathers statistics of temporary tables by himself, and NOT IN must be a hash table however long the list.
    await connection.execute("analyze chosen_evse; analyze kept_evse")
    refused = [_double(row) for row in await connection.fetch(_DOUBLES, list_no)]
    if not chosen:
        return await _nothing_to_put(connection, list_no)
    refused += await _refuse_mismatches(connection, list_no, operator_no)
    removed = rows_of(await connection.execute(_FIND_REMOVED, operator_no))
    standing = await connection.fetchval("select count(*) from evse where operator_no = $1", operator_no)
    check_removals(standing, removed, confirmed, CHARGE_POINTS)
    await connection.execute(_STAGE, list_no, now)
    await connection.execute(f"analyze {STAGED_EVSES.name} (evse_id, operator_no, location_id); analyze removed_evse")
    written = await _write(connection, operator_no, now)
    going_in = await connection.fetchval("select count(*) from chosen_evse")
    return Report(written, going_in - written, removed, tuple(refused))


async def _nothing_to_put(connection: Connection, list_no: int) -> Report:
    """Refuse a list without items; one whose items were all refused changes nothing."""
    if not await connection.fetchval(
        "select exists (select from list_part where list_no = $1 and refused > 0)", list_no
    ):
        raise EmptyList(
            "a whole list without charge points would remove all", "use removeChargePoints if that is meant"
        )
    return Report(0, 0, 0, ())


async def _write(connection: Connection, operator_no: int, now: datetime) -> int:
    await connection.execute(_TOUCH, operator_no)
    linked = await touch_spots(connection, _LINKING, operator_no)
    await connection.execute("delete from evse using removed_evse where evse.evse_id = removed_evse.evse_id")
    written = await evse_tables.merge_staged(connection, "touched_location as touched", now)
    if linked:
        await refresh_touched(connection)
    return written


def _double(row: asyncpg.Record) -> Refusal:
    evse_id, part, place = row["evse_id"], row["part"], row["place"]
    message = f"{separated_evse_id(evse_id)}, here in part {part}, stands in part {row['other']} again; that one counts"
    return CHARGE_POINTS.refusal(place, evse_id, Reason(".evseId", RefusalCode.DUPLICATE, message))


# ---------------------------------------------------------------- EVSEs of one location agree

_PLACE: Final = ", ".join(PLACE_COLUMNS)

# Where nothing changes nobody can contradict.
_SAID: Final = f"""
select listed.location_id, row({", ".join(f"listed.{name}" for name in PLACE_COLUMNS)})::text as place
from chosen_evse join listed_evse as listed using (part, place) where list_no = $1
union all
select evse.location_id, row({", ".join(f"evse.{name}" for name in PLACE_COLUMNS)})::text
from kept_evse join evse using (evse_id) where operator_no = $2
"""

_DISAGREE: Final = f"""
select exists (
    select from ({_SAID}) as said where location_id in (select location_id from chosen_evse where changed)
    group by location_id having min(place) <> max(place)
)
"""

_WANTED: Final = f"""
select listed.evse_id, part, place, listed.location_id, {", ".join(f"listed.{name}" for name in PLACE_COLUMNS)}
from chosen_evse join listed_evse as listed using (part, place) where list_no = $1 order by part, place
"""

_STAYING: Final = f"""
select min(evse_id) over (partition by location_id) as evse_id, location_id, {_PLACE}
from kept_evse join evse using (evse_id) where operator_no = $1
"""


async def _refuse_mismatches(connection: Connection, list_no: int, operator_no: int) -> list[Refusal]:
    """Take out of the chosen what disagrees on its location, and keep its previous record. Mostly nothing does."""
    if not await connection.fetchval(_DISAGREE, list_no, operator_no):
        return []
    rows = {row["evse_id"]: row for row in await connection.fetch(_WANTED, list_no)}
    wanted = {evse_id: _spot(row, operator_no) for evse_id, row in rows.items()}
    before = await evse_tables.find_evses(connection, wanted)
    staying = {
        LocationKey(operator_no, row["location_id"]): Standing(_spot(row, operator_no).place, row["evse_id"])
        for row in await connection.fetch(_STAYING, operator_no)
    }
    mismatches = find_mismatches(wanted, {evse_id: stored.spot for evse_id, stored in before.items()}, staying)
    await _take_out(connection, mismatches)
    reasons = mismatch_reasons(wanted, mismatches)
    return [CHARGE_POINTS.refusal(rows[evse_id]["place"], evse_id, reason) for evse_id, reason in reasons.items()]


async def _take_out(connection: Connection, evse_ids: Collection[str]) -> None:
    ids = list(evse_ids)
    await connection.execute("delete from chosen_evse where evse_id = any($1)", ids)
    await connection.execute("insert into kept_evse select unnest($1::text[])", ids)


def _spot(row: asyncpg.Record, operator_no: int) -> Spot:
    place: Any = tuple(row[name] for name in PLACE_COLUMNS)
    return Spot(LocationKey(operator_no, row["location_id"]), place)
