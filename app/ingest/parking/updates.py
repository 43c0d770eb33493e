"""What becomes of uploaded parking spots; an upload is one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final

from app.db.engine import Connection, Database
from app.ids import separated_party_id
from app.ingest.nouns import PARKING_SPOTS
from app.ingest.parking.tables import AT_ONCE, NAMED_SPOTS, columns_of, make_and_lock, merge_spots, unpublish
from app.records.base import rounded
from app.records.parking_spot import ParkingSpot
from app.uploads.batches import batches
from app.uploads.checks import Refusal
from app.uploads.content import content_hash
from app.uploads.items import NotItsOperator, Owner, Report, by_index, read_ids, sort_out
from app.uploads.locks import PARKING_OPERATOR, holding, parking_operator_number, share
from app.uploads.refusals import REFUSALS_KEPT, keep_refusals, note_upload
from app.uploads.yielding import yielding
from app.vocabulary import Restriction, mask_of

ReadSpot = ParkingSpot | Refusal

#: Count up when the same spot must be written again because its row came to mean something else.
LAYOUT: Final = 1


async def update_parking_spots(
    database: Database,
    items: Sequence[ReadSpot],
    owner: Owner,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Add or change parking spots of a PSO; what cannot go in is refused and keeps its previous record.

    The same upload again changes nothing. Of several items for one spot the last one counts.
    Raises: NotItsOperator.
    """
    own, refused = await sort_out(items, owner, PARKING_SPOTS)
    rows = [row_of(spot) async for spot in yielding(own.values())]
    rows.sort(key=lambda row: row["parking_id"])

    async def work(connection: Connection) -> Report:
        await begin(connection, owner, now)
        await make_and_lock(connection, [row["parking_id"] for row in rows])
        written = 0
        for some in batches(rows, AT_ONCE):
            written += await merge_spots(connection, now, NAMED_SPOTS, *columns_of(some))
        report = Report(written, len(rows) - written, 0, by_index(refused))
        await keep_refusals(connection, owner.partner_id, "updateParkingSpotList", report.refused, now, refusals_kept)
        return report

    return await _write(database, owner, len(rows), work)


async def _write(
    database: Database, owner: Owner, size: int, work: Callable[[Connection], Awaitable[Report]]
) -> Report:
    """Run an upload's transaction; other uploads of its PSO wait for a big one without a connection."""
    if size <= AT_ONCE:
        return await database.write(work, partner=owner.partner_id)
    async with holding(
        database, PARKING_OPERATOR, parking_operator_number(owner.party_id), owner.partner_id
    ) as session:
        return await session.write(work)


async def remove_parking_spots(
    database: Database,
    parking_ids: Sequence[Any],
    owner: Owner,
    now: datetime,
    *,
    refusals_kept: int = REFUSALS_KEPT,
) -> Report:
    """Remove parking spots of a PSO; one that EVSEs link is known by these links only, as before it was published.

    An unknown id, another PSO's and one that was never published are refused with the same message.
    Raises: NotItsOperator.
    """
    named, malformed = await read_ids(parking_ids, PARKING_SPOTS)
    own = sorted({parking_id for parking_id in named.values() if parking_id.startswith(owner.party_id)})

    async def work(connection: Connection) -> Report:
        await begin(connection, owner, now)
        removed = await unpublish(connection, own)
        absent = [PARKING_SPOTS.absent(index, id_, owner) for index, id_ in named.items() if id_ not in removed]
        refused = by_index((*malformed, *absent))
        await keep_refusals(connection, owner.partner_id, "removeParkingSpots", refused, now, refusals_kept)
        return Report(0, len(parking_ids) - len(refused) - len(removed), len(removed), refused)

    return await _write(database, owner, len(own), work)


def row_of(spot: ParkingSpot) -> dict[str, Any]:
    """Return what the PSO says of a spot as columns, with a hash over it; what is absent is not part of the hash."""
    at = spot.position
    content: dict[str, Any] = {
        "parking_id": spot.parking_id,
        "longitude": None if at is None else rounded(at.longitude),
        "latitude": None if at is None else rounded(at.latitude),
        "restrictions": mask_of(spot.restrictions, Restriction),
        "floor_level": spot.floor_level,
        "number": spot.number,
    }
    return {**content, "content_hash": content_hash(content, LAYOUT)}


_HOLDS: Final = """
select from partner_role where id = $1 and role = 'PSO' and party_id = $2 and revoked_at is null for share
"""


async def begin(connection: Connection, owner: Owner, now: datetime) -> None:
    """Begin an upload of a PSO, and lock its role against revocation. Raises: NotItsOperator."""
    await connection.execute("set local plan_cache_mode = force_custom_plan")
    await share(connection, PARKING_OPERATOR, [parking_operator_number(owner.party_id)])
    await note_upload(connection, owner.partner_id, now)
    if not await connection.fetch(_HOLDS, owner.role_id, owner.party_id):
        party_id = separated_party_id(owner.party_id)
        raise NotItsOperator(f"the role that acts here does not hold parking spot operator {party_id}")
