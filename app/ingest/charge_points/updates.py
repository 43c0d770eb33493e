"""Uploads of charge points: who may write them, which ones are written, and why the others are refused.

An upload is one transaction of bounded statements. What needs no database is computed before. The operator is locked,
so that the agreement of locations is decided on a state that no other transaction changes.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database
from app.ids import separated_party_id
from app.ingest.charge_points import tables as evse_tables
from app.ingest.charge_points.location_agreement import (
    AgreedPlace,
    LocationKey,
    Placement,
    describe_mismatch,
    find_mismatches,
)
from app.ingest.charge_points.rows import content_of, hash_of, place_of
from app.ingest.charge_points.tables import StoredEvse, StoredLocation
from app.ingest.nouns import CHARGE_POINTS
from app.records.charge_point import ChargePoint, Read
from app.uploads.batches import batches
from app.uploads.checks import RefusalCode
from app.uploads.items import NotItsOperator, Owner, Reason, Report, by_index, read_ids, sort_out
from app.uploads.locks import OPERATOR, holding, lock_operators, share
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals, note_upload
from app.uploads.yielding import yielding

#: How many EVSEs one statement writes.
AT_ONCE: Final = 400


@dataclass(frozen=True, slots=True)
class Item:
    """A charge point on its way in: its index in the upload, and its row but for the time."""

    index: int
    row: Mapping[str, Any]
    placement: Placement


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a set of items."""

    accepted: int
    unchanged: int
    refused: Mapping[str, Reason]


async def update_charge_points(
    database: Database,
    items: Sequence[Read],
    owner: Owner,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Add or change charge points of an operator; what cannot go in is refused and keeps its previous record.

    The same upload again changes nothing. Of several items for one EVSE the last one counts.
    Raises: NotItsOperator.
    """
    operator_no = await operator_no_of(database, owner)
    own, refused = await sort_out(items, owner, CHARGE_POINTS)
    wanted = {each.evse_id: item_of(each, index, operator_no) async for index, each in yielding(own.items())}

    async def work(connection: Connection) -> Report:
        await begin(connection, operator_no, owner, now)
        outcome = await put(connection, wanted, now)
        late = [
            CHARGE_POINTS.refusal(wanted[evse_id].index, evse_id, reason) for evse_id, reason in outcome.refused.items()
        ]
        ordered = by_index((*refused, *late))
        await keep_refusals(connection, owner.partner_id, "updateChargePointList", ordered, now, refusals_kept)
        return Report(outcome.accepted, outcome.unchanged, 0, ordered)

    return await _write(database, operator_no, owner, len(wanted), work)


async def remove_charge_points(
    database: Database,
    evse_ids: Sequence[Any],
    owner: Owner,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Remove EVSEs of an operator by their ids in any spelling; one that is named twice counts once more as unchanged.

    An unknown id and another operator's are refused with the same message. Raises: NotItsOperator.
    """
    operator_no = await operator_no_of(database, owner)
    named, malformed = await read_ids(evse_ids, CHARGE_POINTS)

    async def work(connection: Connection) -> Report:
        await begin(connection, operator_no, owner, now)
        removed = await evse_tables.delete(connection, set(named.values()), [operator_no], now)
        absent = [CHARGE_POINTS.absent(index, id_, owner) for index, id_ in named.items() if id_ not in removed]
        refused = by_index((*malformed, *absent))
        await keep_refusals(connection, owner.partner_id, "removeChargePoints", refused, now, refusals_kept)
        return Report(0, len(evse_ids) - len(refused) - len(removed), len(removed), refused)

    return await _write(database, operator_no, owner, len(named), work)


async def _write(
    database: Database, operator_no: int, owner: Owner, size: int, work: Callable[[Connection], Awaitable[Report]]
) -> Report:
    """Run an upload's transaction; other uploads of its operator wait for a big one without a connection."""
    if size <= AT_ONCE:
        return await database.write(work, owner.partner_id)
    async with holding(database, OPERATOR, operator_no, owner.partner_id) as session:
        return await session.write(work)


def item_of(charge_point: ChargePoint, index: int, operator_no: int, source: str | None = None) -> Item:
    """Prepare a charge point: everything of its row that can be known before the transaction."""
    content = content_of(charge_point, source)
    row = {**content, "operator_no": operator_no, "content_hash": hash_of(content)}
    return Item(index, row, Placement(LocationKey(operator_no, charge_point.location_id), place_of(content)))


async def put(connection: Connection, wanted: Mapping[str, Item], now: datetime) -> Outcome:
    """Write EVSEs of an operator that is locked, but for those at odds with their locations."""
    before, reasons = await decide(connection, wanted)
    return await write_changed(connection, wanted, before, reasons, now)


async def decide(connection: Connection, wanted: Mapping[str, Item]) -> tuple[dict[str, StoredEvse], dict[str, Reason]]:
    """Return which of these EVSEs are stored, and which contradict their locations, each with the reason."""
    before = await evse_tables.find_evses(connection, wanted)
    moving = moving_placements(wanted, before)
    locations = await evse_tables.find_locations(
        connection, {placement.location for placement in moving.values()}, wanted, None
    )
    placements = {evse_id: stored.placement for evse_id, stored in before.items()}
    return before, mismatch_reasons(moving, find_mismatches(moving, placements, staying_places(locations)))


def moving_placements(wanted: Mapping[str, Item], before: Mapping[str, StoredEvse]) -> dict[str, Placement]:
    """Return the items whose locations something enters or changes; no item contradicts any other location."""
    unsettled = {
        item.placement.location
        for evse_id, item in wanted.items()
        if evse_id not in before or before[evse_id].placement != item.placement
    }
    return {evse_id: item.placement for evse_id, item in wanted.items() if item.placement.location in unsettled}


def staying_places(locations: Mapping[LocationKey, StoredLocation]) -> dict[LocationKey, AgreedPlace]:
    """Return the places of locations by the EVSEs that stay there."""
    return {key: AgreedPlace(each.place, each.staying) for key, each in locations.items() if each.staying is not None}


def mismatch_reasons(placements: Mapping[str, Placement], mismatches: Mapping[str, AgreedPlace]) -> dict[str, Reason]:
    """Explain mismatches."""
    return {
        evse_id: Reason(
            ".position" if placements[evse_id].place[:2] != against.place[:2] else ".address",
            RefusalCode.LOCATION_MISMATCH,
            describe_mismatch(placements[evse_id], against),
        )
        for evse_id, against in mismatches.items()
    }


async def write_changed(
    connection: Connection,
    wanted: Mapping[str, Item],
    before: Mapping[str, StoredEvse],
    refused: Mapping[str, Reason],
    now: datetime,
) -> Outcome:
    """Write what was not refused and says something new."""
    accepted = [evse_id for evse_id in wanted if evse_id not in refused]
    changed = [evse_id for evse_id in accepted if _says_something_new(wanted[evse_id], before.get(evse_id))]
    if not changed:
        return Outcome(0, len(accepted), refused)
    changed.sort(key=lambda evse_id: wanted[evse_id].placement.location)
    written = 0
    for some in batches(changed, AT_ONCE):
        written += await evse_tables.merge(
            connection, [wanted[evse_id].row for evse_id in some], _touched(some, wanted, before), now
        )
    await evse_tables.relink_moved(connection)
    return Outcome(written, len(accepted) - written, refused)


def _touched(
    evse_ids: Collection[str], wanted: Mapping[str, Item], before: Mapping[str, StoredEvse]
) -> set[LocationKey]:
    """Return the locations where these EVSEs are, or were."""
    there = {wanted[evse_id].placement.location for evse_id in evse_ids}
    return there | {before[evse_id].placement.location for evse_id in evse_ids if evse_id in before}


def _says_something_new(item: Item, before: StoredEvse | None) -> bool:
    return before is None or before.content_hash != item.row["content_hash"]


async def operator_no_of(database: Database, owner: Owner) -> int:
    """Return the number of the operator that an owner acts for. Raises: NotItsOperator."""
    if owner.operator_no is not None:
        return owner.operator_no
    rows = await database.fetch("select no from operator where role_id = $1", owner.role_id)
    if not rows:
        raise _not_its_operator(owner)
    return rows[0]["no"]


async def begin(connection: Connection, operator_no: int, owner: Owner, now: datetime) -> None:
    """Begin an upload of an operator: be its only writer. Raises: NotItsOperator."""
    # Nothing is written, and no transaction id taken, before it is sure that no list of theirs is on its way.
    await share(connection, OPERATOR, [operator_no])
    await note_upload(connection, owner.partner_id, now)
    roles = await lock_operators(connection, [operator_no])
    if roles.get(operator_no) != owner.role_id:
        raise _not_its_operator(owner)


def _not_its_operator(owner: Owner) -> NotItsOperator:
    return NotItsOperator(f"the role that acts here does not hold operator {separated_party_id(owner.party_id)}")
