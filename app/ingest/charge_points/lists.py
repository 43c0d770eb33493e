"""The whole list of an operator's charge points, as `app.uploads.whole_list` merges it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database
from app.db.tables import listed_evse
from app.ingest.charge_points import tables as evse_tables
from app.ingest.charge_points.list_agreement import refuse_mismatches
from app.ingest.charge_points.tables import MOVED_EVSES, STAGED_EVSES, lock_statuses
from app.ingest.charge_points.updates import begin, item_of, operator_no_of
from app.ingest.nouns import CHARGE_POINTS
from app.ingest.parking.tables import refresh_touched, touch_links
from app.records.charge_point import ChargePoint, Read
from app.uploads.items import Owner, Report, sort_out
from app.uploads.list_parts import Part, StagedAs
from app.uploads.locks import OPERATOR
from app.uploads.refusals import REFUSALS_KEPT
from app.uploads.whole_list import AT_ONCE, Listed, ListKind, Upload, take_in

STAGED: Final = StagedAs(
    operation="setChargePointList",
    removal="removeChargePoints",
    noun=CHARGE_POINTS,
    table=listed_evse.name,
    columns=tuple(column.name for column in listed_evse.columns)[2:],
    id="evse_id",
)


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
    """Replace an operator's whole list, or keep one part of it; the part that completes the list merges it.

    Of a part that is only kept, `accepted` counts its items. Several items for one EVSE: the last one counts.
    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals; Busy.
    """
    operator_no = await operator_no_of(database, owner)
    own, refused = await sort_out(items, owner, CHARGE_POINTS)

    def row_of(index: int, each: ChargePoint) -> Mapping[str, Any]:
        return item_of(each, index, operator_no).row

    async def beginning(connection: Connection) -> None:
        await begin(connection, operator_no, owner, now)

    upload = Upload(
        owner, operator_no, operator_no, beginning, part, own, row_of, refused, confirmed, now, refusals_kept
    )
    return await take_in(database, CHARGE_POINT_LIST, upload)


# ---------------------------------------------------------------- merging

_TOUCHED: Final = """
create temporary table if not exists touched_location (operator_no integer, location_id text collate "C")
on commit delete rows; delete from touched_location
"""

_STORED: Final = [name for name in STAGED_EVSES.columns if name != "updated_at"]

_STAGE: Final = f"""
insert into {STAGED_EVSES.name} ({", ".join(_STORED)}, updated_at)
select {", ".join(f"listed.{name}" for name in _STORED)}, $3
from list_changed join {listed_evse.name} as listed using (part_no, place) where n > $1 and n <= $2
"""

_TOUCH: Final = f"""
insert into touched_location
select operator_no, location_id from {STAGED_EVSES.name}
union select evse.operator_no, evse.location_id from evse join {STAGED_EVSES.name} using (evse_id)
"""


async def _write(connection: Connection, listed: Listed, above: int, to: int) -> None:
    """Merge differing charge points; rows of live status are left alone, but for those that are born."""
    await connection.execute(f"{STAGED_EVSES.create}; delete from {STAGED_EVSES.name}; {_TOUCHED}")
    await connection.execute(_STAGE, above, to, listed.now)
    await connection.execute(_TOUCH)
    await evse_tables.merge_staged(connection, "touched_location as touched", listed.now)


_REMOVED: Final = "select id as evse_id from list_removed"

_TOUCH_REMOVED: Final = f"""
insert into touched_location
select distinct operator_no, location_id from evse where evse_id in ({_REMOVED} where n > $1 and n <= $2)
"""

_DELETE: Final = f"delete from evse where evse_id in ({_REMOVED} where n > $1 and n <= $2)"


async def _finish(connection: Connection, listed: Listed) -> None:
    """Lock live status, of spots before that of EVSEs; then bring links up to date and delete what is gone."""
    await connection.execute(evse_tables.CREATE_MOVED)
    removed = await connection.fetchval("select count(*) from list_removed")
    linked = await touch_links(connection, f"{MOVED_EVSES} union {_REMOVED}")
    await connection.execute(lock_statuses(f"{MOVED_EVSES} union {_REMOVED}"))
    await connection.execute(f"{STAGED_EVSES.create}; delete from {STAGED_EVSES.name}")
    for low in range(0, removed, AT_ONCE):
        await connection.execute(_TOUCHED)
        await connection.execute(_TOUCH_REMOVED, low, low + AT_ONCE)
        await connection.execute(_DELETE, low, low + AT_ONCE)
        await evse_tables.merge_staged(connection, "touched_location as touched", listed.now)
    if linked:
        await evse_tables.link_moved(connection)
        await refresh_touched(connection)


CHARGE_POINT_LIST: Final = ListKind(
    staged=STAGED,
    lock=OPERATOR,
    standing="select evse_id as id, content_hash from evse where operator_no = $1",
    order="location_id, evse_id",
    refuse=refuse_mismatches,
    prepare=None,
    write=_write,
    finish=_finish,
)
