"""The whole list of an operator's charge points: staged in parts, put in force at once.

What changed is found by reading. Little of it is written in one transaction; for much a new list is written beside the
old one, see `app.ingest.new_lists`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database, Session
from app.ingest.charge_points import tables as evse_tables
from app.ingest.charge_points.tables import STAGED_EVSES
from app.ingest.charge_points.updates import begin, item_of, operator_no_of
from app.ingest.list_changes import Changes, compare, places_of
from app.ingest.lists import (
    CHARGE_POINT_LIST,
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
from app.ingest.new_lists import begin_list, flip, list_in_force, write_list
from app.ingest.nouns import CHARGE_POINTS
from app.ingest.parking.tables import refresh_touched, touch_spots
from app.ingest.settle import settle
from app.records.charge_point import ChargePoint, Read
from app.uploads.checks import Refusal
from app.uploads.items import Owner, Report, by_index, sort_out
from app.uploads.locks import OPERATOR, holding
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals

#: How many EVSEs that are new, different or gone one transaction takes.
AT_ONCE: Final = 400

NO_ITEMS: Final = "a whole list without charge points would remove all"
OPERATION: Final = CHARGE_POINT_LIST.operation


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
    Raises: NotItsOperator; BadInput; ListIncomplete; ListTooLarge; EmptyList; TooManyRemovals; Busy.
    """
    operator_no = await operator_no_of(database, owner)
    own, refused = sort_out(items, owner, CHARGE_POINTS)

    def row_of(index: int, each: ChargePoint) -> Mapping[str, Any]:
        return item_of(each, index, operator_no).row

    in_part = part or the_whole()
    await forget_lists(database, now, owner.role_id)
    async with holding(database, OPERATOR, operator_no, owner.partner_id) as session:
        await settle(session, operator_no)
        list_ = _List(session, operator_no, owner, now, refusals_kept)
        await session.write(lambda connection: list_.begin(connection, refused))
        staged = await stage_part(session, list_.begin, CHARGE_POINT_LIST, owner, in_part, own, row_of, refused, now)
        if in_part.last and staged.missing:
            raise incomplete(in_part, staged.missing)
        if not staged.complete:
            return Report(len(own), 0, 0, by_index(refused))
        try:
            report = await list_.put_in_force(staged.list_no, confirmed)
        except (EmptyList, TooManyRemovals):
            if part is None:
                await forget_list(session, CHARGE_POINT_LIST, staged.list_no)
            raise
        await settle(session, operator_no)
        await (forget_list if part is None else forget_parts)(session, CHARGE_POINT_LIST, staged.list_no)
    return Report(report.accepted, report.unchanged, report.removed, by_index((*refused, *report.refused)))


@dataclass(frozen=True, slots=True)
class _List:
    """A list on its way into force, of an operator that is held."""

    session: Session
    operator_no: int
    owner: Owner
    now: datetime
    refusals_kept: int

    async def begin(self, connection: Connection, refused: Sequence[Refusal] = ()) -> None:
        """Begin a transaction. Raises: NotItsOperator."""
        await begin(connection, self.operator_no, self.owner, self.now)
        await keep_refusals(
            connection, self.owner.partner_id, OPERATION, by_index(refused), self.now, self.refusals_kept
        )

    async def put_in_force(self, list_no: int, confirmed: bool) -> Report:
        """Show the list instead of what stood. Raises: EmptyList; TooManyRemovals."""
        connection = self.session.connection
        changes = await compare(connection, list_no, self.operator_no)
        if changes is None:
            if not await has_refusals(connection, list_no):
                raise EmptyList(NO_ITEMS, "use removeChargePoints if that is meant")
            changes = Changes([], 0, [], [], 0)
        check_removals(changes.stood, len(changes.removed), confirmed, CHARGE_POINTS)
        number = None
        if changes.size > AT_ONCE:
            number = await begin_list(self.session, self.operator_no)
            old = await list_in_force(connection, self.operator_no)
            await write_list(self.session, number, old, changes, self.now)
        await self.session.write(lambda connection: self._finish(connection, list_no, number, changes))
        return Report(len(changes.changed), changes.unchanged, len(changes.removed), tuple(changes.refused))

    async def _finish(self, connection: Connection, list_no: int, number: int | None, changes: Changes) -> None:
        await self.begin(connection, changes.refused)
        await note_in_force(connection, list_no, self.now)
        if number is not None:
            await flip(connection, self.operator_no, number)
        elif changes.size:
            await _write(connection, self.operator_no, changes, self.now)


# ---------------------------------------------------------------- few changes

_CREATE: Final = """
create temporary table if not exists touched_location (list_no integer, location_id text collate "C")
on commit delete rows
"""

_STORED: Final = [name for name in STAGED_EVSES.columns if name != "updated_at"]

_STAGE: Final = f"""
insert into {STAGED_EVSES.name} ({", ".join(_STORED)}, updated_at)
select {", ".join(f"listed.{name}" for name in _STORED)}, $3
from unnest($1::int[], $2::int[]) as chosen (part_no, place) join listed_evse as listed using (part_no, place)
"""

_TOUCH: Final = f"""
insert into touched_location
select list_no, location_id from {STAGED_EVSES.name} join operator on operator.no = operator_no
union select list_no, evse.location_id from evse join operator using (list_no)
where evse_id in (select evse_id from {STAGED_EVSES.name}) or evse_id = any($1)
"""

_LINKING: Final = f"""
select unnest(parking_ids) as parking_id, operator_no from {STAGED_EVSES.name}
union all
select parking_id, no from evse_parking_spot join operator using (list_no)
where evse_id in (select evse_id from {STAGED_EVSES.name}) or evse_id = any($1)
"""


_DELETE: Final = "delete from evse using operator where evse.list_no = operator.list_no and evse_id = any($1)"


async def _write(connection: Connection, operator_no: int, changes: Changes, now: datetime) -> None:
    """Write all changes in this transaction."""
    await connection.execute(_CREATE)
    await connection.execute(STAGED_EVSES.create)
    await connection.execute(_STAGE, *places_of(changes.changed), now)
    await connection.execute(_TOUCH, changes.removed)
    linked = await touch_spots(connection, _LINKING, changes.removed)
    await connection.execute(_DELETE, changes.removed)
    await evse_tables.merge_staged(connection, "touched_location as touched", now)
    if linked:
        await refresh_touched(connection)
