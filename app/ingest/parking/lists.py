"""The whole list of a PSO's parking spots, as `app.uploads.whole_list` merges it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database
from app.db.tables import listed_parking_spot
from app.ingest.nouns import PARKING_SPOTS
from app.ingest.parking.tables import SPOT_COLUMNS, lock_spots_of, merge_spots, unpublish
from app.ingest.parking.updates import ReadSpot, begin, row_of
from app.records.parking_spot import ParkingSpot
from app.uploads.items import Owner, Report, sort_out
from app.uploads.list_parts import Part, StagedAs
from app.uploads.locks import PARKING_OPERATOR, parking_operator_number
from app.uploads.refusals import REFUSALS_KEPT
from app.uploads.whole_list import Listed, ListKind, Upload, take_in

STAGED: Final = StagedAs(
    operation="setParkingSpotList",
    removal="removeParkingSpots",
    noun=PARKING_SPOTS,
    table=listed_parking_spot.name,
    columns=tuple(column.name for column in listed_parking_spot.columns)[2:],
    id="parking_id",
)


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
    """Replace a PSO's whole list, or keep one part of it; the part that completes the list merges it.

    As `app.ingest.charge_points.lists.set_charge_points`.
    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals; Busy.
    """
    own, refused = await sort_out(items, owner, PARKING_SPOTS)

    async def beginning(connection: Connection) -> None:
        await begin(connection, owner, now)

    number = parking_operator_number(owner.party_id)
    upload = Upload(
        owner, owner.party_id, number, beginning, part, own, _row_of, refused, confirmed, now, refusals_kept
    )
    return await take_in(database, PARKING_SPOT_LIST, upload)


def _row_of(_: int, each: ParkingSpot) -> Mapping[str, Any]:
    return row_of(each)


# ---------------------------------------------------------------- merging

_CHANGED: Final = f"""
select {", ".join(f"listed.{name}" for name in SPOT_COLUMNS)}
from list_changed join {listed_parking_spot.name} as listed using (part_no, place) where n > $2 and n <= $3
"""

_REMOVED: Final = "select array_agg(id order by id) from list_removed"


#: Spots that are new to the PSO, and those that go: operators may create or delete the same ones by their links.
_NEW_AND_GONE: Final = """
select id as parking_id from list_changed
where not exists (
    select from parking_spot where parking_spot.parking_id = list_changed.id and content_hash is not null
)
union all select id from list_removed
"""


async def _lock_new_and_gone(connection: Connection, _: Listed) -> None:
    """Lock the spots that this list creates or deletes, before any row, as every writer that does so."""
    await connection.execute(lock_spots_of(_NEW_AND_GONE))


async def _write(connection: Connection, listed: Listed, above: int, to: int) -> None:
    """Merge differing spots; live status of spots that stand is left alone."""
    await merge_spots(connection, listed.now, _CHANGED, above, to)


async def _finish(connection: Connection, _: Listed) -> None:
    """Take the PSO's word about spots away that are gone."""
    removed = await connection.fetchval(_REMOVED)
    if removed:
        await unpublish(connection, removed)


PARKING_SPOT_LIST: Final = ListKind(
    staged=STAGED,
    lock=PARKING_OPERATOR,
    standing="select parking_id as id, content_hash from parking_spot where party_id = $1 and content_hash is not null",
    order="parking_id",
    refuse=None,
    prepare=_lock_new_and_gone,
    write=_write,
    finish=_finish,
)
