"""The whole list of a PSO's parking spots: staged in parts, then put in force.

At once where it changes little enough for one short transaction, else spot after spot.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg

from app.db.engine import Connection, Database, Session
from app.ids import separated_parking_id
from app.ingest.checks import RefusalCode
from app.ingest.lists import (
    PARKING_SPOT_LIST,
    EmptyList,
    Part,
    TooManyRemovals,
    check_removals,
    forget_list,
    forget_lists,
    forget_parts,
    has_refusals,
    incomplete,
    note_in_force,
    stage_part,
    the_whole,
)
from app.ingest.operator_locks import PARKING_OPERATOR, holding
from app.ingest.pace import in_pieces
from app.ingest.parking_spots import ReadSpot, begin, row_of
from app.ingest.parking_tables import SPOT_COLUMNS, merge_spots, unpublish
from app.ingest.records import ParkingSpot, Refusal
from app.ingest.refusals import REFUSALS_KEPT, keep_refusals
from app.ingest.slices import sliced
from app.ingest.uploads import PARKING_SPOTS, Owner, Reason, Report, by_index, sort_out

OPERATION: Final = PARKING_SPOT_LIST.operation

#: Of up to so many spots that differ readers see the old list or the new one. They take about a quarter of a second.
AT_ONCE: Final = 3_000

Starting = Callable[..., Awaitable[None]]


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
    in_part = part or the_whole()
    await forget_lists(database, now, owner.role_id)

    async def starting(connection: Connection, refused: Sequence[Refusal] = ()) -> None:
        await begin(connection, owner, now)
        await keep_refusals(connection, owner.partner_id, OPERATION, by_index(refused), now, refusals_kept)

    async with holding(database, PARKING_OPERATOR, owner.role_id, owner.partner_id) as session:
        await session.write(lambda connection: starting(connection, refused))
        staged = await stage_part(session, starting, PARKING_SPOT_LIST, owner, in_part, own, _row_of, refused, now)
        if in_part.last and staged.missing:
            raise incomplete(in_part, staged.missing)
        if not staged.complete:
            return Report(len(own), 0, 0, by_index(refused))
        try:
            report = await _put_in_force(session, starting, staged.list_no, owner, confirmed, now)
        except (EmptyList, TooManyRemovals):
            if part is None:
                await forget_list(session, PARKING_SPOT_LIST, staged.list_no)
            raise
        await (forget_list if part is None else forget_parts)(session, PARKING_SPOT_LIST, staged.list_no)
    return Report(report.accepted, report.unchanged, report.removed, by_index((*refused, *report.refused)))


def _row_of(_: int, each: ParkingSpot) -> Mapping[str, Any]:
    return row_of(each)


_LISTED: Final = """
select parking_id, content_hash, part_no, place, number as part
from (select part_no, place, parking_id, content_hash from listed_parking_spot) as listed
join list_part on list_part.no = part_no where list_no = $1 and complete order by part, place
"""

_STANDING: Final = "select parking_id, content_hash from parking_spot where party_id = $1 and content_hash is not null"

_KEPT: Final = "select distinct unnest(kept_ids) as parking_id from list_part where list_no = $1 and complete"

_SPOTS: Final = f"""
select {", ".join(f"listed.{name}" for name in SPOT_COLUMNS)}
from unnest($2::int[], $3::int[]) as chosen (part_no, place) join listed_parking_spot as listed using (part_no, place)
"""

#: With those that go as they stand: nothing is written of them, but all rows are locked in the order of their ids.
_SPOTS_AND_THOSE_THAT_GO: Final = f"""
{_SPOTS} union all
select parking_id, own_longitude, own_latitude, restrictions, floor_level, number, content_hash from parking_spot
where parking_id = any($4::text[])
"""


async def _put_in_force(
    session: Session, starting: Starting, list_no: int, owner: Owner, confirmed: bool, now: datetime
) -> Report:
    """Write what changed."""
    connection = session.connection
    chosen: dict[str, asyncpg.Record] = {}
    refused: list[Refusal] = []
    async for row in sliced(await connection.fetch(_LISTED, list_no)):
        earlier = chosen.get(row["parking_id"])
        if earlier is not None:
            refused.append(_double(earlier, row["part"]))
        chosen[row["parking_id"]] = row
    if not chosen:
        if not await has_refusals(connection, list_no):
            raise EmptyList("a list without parking spots would remove all", "use removeParkingSpots if that is meant")
        return Report(0, 0, 0, ())
    standing: dict[str, bytes] = {
        row["parking_id"]: row["content_hash"] for row in await connection.fetch(_STANDING, owner.party_id)
    }
    kept = {row["parking_id"] for row in await connection.fetch(_KEPT, list_no)}
    removed = sorted(standing.keys() - chosen.keys() - kept)
    check_removals(len(standing), len(removed), confirmed, PARKING_SPOTS)
    changed = [row for id_, row in sorted(chosen.items()) if standing.get(id_) != row["content_hash"]]

    async def write(connection: Connection, some: Sequence[asyncpg.Record]) -> None:
        await merge_spots(connection, now, _SPOTS, *_places(some))

    async def take_away(connection: Connection, some: Sequence[str]) -> None:
        await unpublish(connection, some)

    async def finish(connection: Connection) -> None:
        await starting(connection, refused)
        await note_in_force(connection, list_no, now)

    async def at_once(connection: Connection) -> None:
        await finish(connection)
        await merge_spots(connection, now, _SPOTS_AND_THOSE_THAT_GO, *_places(changed), removed)
        await unpublish(connection, removed)

    if len(changed) + len(removed) <= AT_ONCE:
        await session.write(at_once)
    else:
        await in_pieces(session, changed, write)
        await in_pieces(session, removed, take_away)
        await session.write(finish)
    return Report(len(changed), len(chosen) - len(changed), len(removed), tuple(refused))


def _places(rows: Sequence[asyncpg.Record]) -> tuple[list[int], list[int]]:
    return [row["part_no"] for row in rows], [row["place"] for row in rows]


def _double(row: asyncpg.Record, other: int) -> Refusal:
    parking_id, part = row["parking_id"], row["part"]
    message = f"{separated_parking_id(parking_id)}, here in part {part}, stands in part {other} again; that one counts"
    return PARKING_SPOTS.refusal(row["place"], parking_id, Reason(".parkingId", RefusalCode.DUPLICATE, message))
