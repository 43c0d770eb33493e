"""The whole list of a PSO's parking spots: staged in parts, put in force at once.

Only what differs is written: little of it in one transaction; much of it as versions of spots beside those that stand,
see `app.ingest.spot_versions`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import asyncpg

from app.db.engine import Connection, Database, Session
from app.ids import separated_parking_id
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
from app.ingest.nouns import PARKING_SPOTS
from app.ingest.parking.tables import make_and_lock, merge_spots, unpublish
from app.ingest.parking.updates import ReadSpot, begin, row_of
from app.ingest.spot_versions import (
    LISTED_SPOTS,
    begin_list,
    end_versions,
    flip,
    ids_of,
    places_of,
    settle,
    write_versions,
)
from app.records.parking_spot import ParkingSpot
from app.uploads.batch_sizes import in_pieces
from app.uploads.checks import Refusal, RefusalCode
from app.uploads.items import Owner, Reason, Report, by_index, sort_out
from app.uploads.locks import PARKING_OPERATOR, holding, parking_operator_number
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals
from app.uploads.yielding import sliced

OPERATION: Final = PARKING_SPOT_LIST.operation

#: How many spots that are new, different or gone one transaction takes.
AT_ONCE: Final = 1_000

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

    As `app.ingest.charge_points.lists.set_charge_points`.
    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals.
    """
    own, refused = sort_out(items, owner, PARKING_SPOTS)
    in_part = part or the_whole()
    await forget_lists(database, now, owner.role_id)

    async def starting(connection: Connection, refused: Sequence[Refusal] = ()) -> None:
        await begin(connection, owner, now)
        await keep_refusals(connection, owner.partner_id, OPERATION, by_index(refused), now, refusals_kept)

    number = parking_operator_number(owner.party_id)
    async with holding(database, PARKING_OPERATOR, number, owner.partner_id) as session:
        await settle(session, owner.party_id)
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
        await settle(session, owner.party_id)
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


@dataclass(frozen=True, slots=True)
class _Changes:
    """What is different with a list. `changed`: where it is staged, by id; `removed`: ids."""

    changed: Sequence[asyncpg.Record]
    unchanged: int
    removed: Sequence[str]
    refused: Sequence[Refusal]

    @property
    def size(self) -> int:
        return len(self.changed) + len(self.removed)


async def _put_in_force(
    session: Session, starting: Starting, list_no: int, owner: Owner, confirmed: bool, now: datetime
) -> Report:
    """Show the list instead of what stood. Raises: EmptyList; TooManyRemovals."""
    changes = await _compare(session.connection, list_no, owner, confirmed)
    number = None
    if changes.size > AT_ONCE:
        number = await session.write(lambda connection: begin_list(connection, owner.party_id))
        await in_pieces(session, changes.changed, partial(write_versions, number=number, now=now))
        await in_pieces(session, changes.removed, partial(end_versions, number=number))

    async def finish(connection: Connection) -> None:
        await starting(connection, changes.refused)
        await note_in_force(connection, list_no, now)
        if number is not None:
            await flip(connection, number)
        elif changes.size:
            await _write(connection, changes, now)

    await session.write(finish)
    return Report(len(changes.changed), changes.unchanged, len(changes.removed), tuple(changes.refused))


async def _compare(connection: Connection, list_no: int, owner: Owner, confirmed: bool) -> _Changes:
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
        return _Changes([], 0, [], [])
    standing: dict[str, bytes] = {
        row["parking_id"]: row["content_hash"] for row in await connection.fetch(_STANDING, owner.party_id)
    }
    kept = {row["parking_id"] for row in await connection.fetch(_KEPT, list_no)}
    removed = sorted(standing.keys() - chosen.keys() - kept)
    check_removals(len(standing), len(removed), confirmed, PARKING_SPOTS)
    changed = [row for id_, row in sorted(chosen.items()) if standing.get(id_) != row["content_hash"]]
    return _Changes(changed, len(chosen) - len(changed), removed, refused)


async def _write(connection: Connection, changes: _Changes, now: datetime) -> None:
    """Write all changes in this transaction."""
    parking_ids = ids_of(changes.changed)
    await make_and_lock(connection, [*parking_ids, *changes.removed])
    await merge_spots(connection, parking_ids, now, LISTED_SPOTS, *places_of(changes.changed))
    await unpublish(connection, changes.removed)


def _double(row: asyncpg.Record, other: int) -> Refusal:
    parking_id, part = row["parking_id"], row["part"]
    message = f"{separated_parking_id(parking_id)}, here in part {part}, stands in part {other} again; that one counts"
    return PARKING_SPOTS.refusal(row["place"], parking_id, Reason(".parkingId", RefusalCode.DUPLICATE, message))
