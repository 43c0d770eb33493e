"""The whole list of a PSO's parking spots: staged in parts, put in force at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg

from app.db.engine import Connection, Database
from app.db.staging import rows_of
from app.ids import separated_parking_id
from app.ingest.checks import RefusalCode
from app.ingest.lists import (
    PARKING_SPOT_LIST,
    EmptyList,
    Part,
    Staged,
    TooManyRemovals,
    begin_flip,
    check_removals,
    forget_list,
    has_refusals,
    incomplete,
    stage_part,
    the_whole,
)
from app.ingest.parking_spots import ReadSpot, begin, row_of
from app.ingest.parking_tables import SPOT_COLUMNS, merge_spots, unpublish
from app.ingest.records import Refusal
from app.ingest.refusals import REFUSALS_KEPT, keep_refusals
from app.ingest.uploads import PARKING_SPOTS, Owner, Reason, Report, by_index, sort_out


async def set_parking_spots(
    database: Database,
    items: Sequence[ReadSpot],
    owner: Owner,
    part: Part | None,
    confirmed: bool,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Replace a PSO's whole list, or keep one part of it; the part that completes the list puts it in force.

    As `app.ingest.charge_point_lists.set_charge_points`.
    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals.
    """
    own, refused = sort_out(items, owner, PARKING_SPOTS)
    rows = [(index, row_of(each)) for index, each in own.items()]
    in_part = part or the_whole()

    async def stage(connection: Connection) -> Staged:
        await begin(connection, owner, now)
        await keep_refusals(
            connection, owner.partner_id, PARKING_SPOT_LIST.operation, by_index(refused), now, refusals_kept
        )
        return await stage_part(connection, PARKING_SPOT_LIST, owner, in_part, rows, refused, now)

    staged = await database.write(stage, partner=owner.partner_id)
    if in_part.last and staged.missing:
        raise incomplete(in_part, staged.missing)
    if not staged.complete:
        return Report(len(rows), 0, 0, by_index(refused))

    async def flip(connection: Connection) -> Report | None:
        await begin(connection, owner, now)
        if not await begin_flip(connection, staged.list_no):
            return None
        report = await _put_in_force(connection, staged.list_no, owner, confirmed, now)
        await keep_refusals(
            connection, owner.partner_id, PARKING_SPOT_LIST.operation, report.refused, now, refusals_kept
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


_CREATE: Final = """
create temporary table if not exists chosen_spot (parking_id text collate "C", part integer, place integer)
on commit delete rows
"""

_CHOOSE: Final = """
insert into chosen_spot
select distinct on (parking_id) parking_id, part, place from listed_parking_spot
where list_no = $1 order by parking_id, part desc, place desc
"""

_DOUBLES: Final = """
select parking_id, listed_parking_spot.part, listed_parking_spot.place, chosen_spot.part as other
from listed_parking_spot join chosen_spot using (parking_id)
where list_no = $1 and (listed_parking_spot.part, listed_parking_spot.place) <> (chosen_spot.part, chosen_spot.place)
"""

_STANDING: Final = """
select parking_id, parking_id not in (
    select parking_id from chosen_spot union all select unnest(kept_ids) from list_part where list_no = $2
) as removed
from parking_spot where party_id = $1 and content_hash is not null order by parking_id for no key update
"""

_SPOTS: Final = f"""
select {", ".join(f"listed.{name}" for name in SPOT_COLUMNS)}
from chosen_spot join listed_parking_spot as listed using (part, place) where list_no = $2
"""


async def _put_in_force(connection: Connection, list_no: int, owner: Owner, confirmed: bool, now: datetime) -> Report:
    await connection.execute(_CREATE)
    chosen = rows_of(await connection.execute(_CHOOSE, list_no))
    if not chosen:
        if not await has_refusals(connection, list_no):
            raise EmptyList("a list without parking spots would remove all", "use removeParkingSpots if that is meant")
        return Report(0, 0, 0, ())
    # Nobody gathers statistics of temporary tables by himself, and NOT IN must be a hash table however long the list.
    await connection.execute("set local work_mem = '256MB'; analyze chosen_spot")
    refused = [_double(row) for row in await connection.fetch(_DOUBLES, list_no)]
    standing = await connection.fetch(_STANDING, owner.party_id, list_no)
    removed = [row["parking_id"] for row in standing if row["removed"]]
    check_removals(len(standing), len(removed), confirmed, PARKING_SPOTS)
    written = await merge_spots(connection, now, _SPOTS, list_no)
    await unpublish(connection, removed)
    return Report(written, chosen - written, len(removed), tuple(refused))


def _double(row: asyncpg.Record) -> Refusal:
    parking_id, part, other = row["parking_id"], row["part"], row["other"]
    message = f"{separated_parking_id(parking_id)}, here in part {part}, stands in part {other} again; that one counts"
    return PARKING_SPOTS.refusal(row["place"], parking_id, Reason(".parkingId", RefusalCode.DUPLICATE, message))
