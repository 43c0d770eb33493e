"""What a whole list of charge points changes: it is compared with what stands, by reading alone.

The operator is held meanwhile, so nothing moves. Of several items for one EVSE the last one counts; what is refused
keeps its previous record.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import asyncpg

from app.db.engine import Connection
from app.ids import separated_evse_id
from app.ingest.charge_points.location_agreement import LocationKey, Spot, Standing, find_mismatches
from app.ingest.charge_points.rows import PLACE_COLUMNS
from app.ingest.charge_points.tables import find_evses
from app.ingest.charge_points.updates import mismatch_reasons
from app.ingest.nouns import CHARGE_POINTS
from app.uploads.checks import Refusal, RefusalCode
from app.uploads.items import Reason
from app.uploads.yielding import sliced


class Listed(NamedTuple):
    """An item of a list: where it stands in it, and whose location it is of. `number` is its part's, as sent."""

    evse_id: str
    location_id: str
    part_no: int
    place: int
    number: int


class Stays(NamedTuple):
    """An EVSE that stands and stays."""

    evse_id: str
    location_id: str


@dataclass(slots=True)
class Changes:
    """What a list changes. `staying`: what stands and stays as it is, named by the list or kept from damage."""

    changed: list[Listed]
    unchanged: int
    staying: list[Stays]
    removed: list[str]
    stood: int
    refused: list[Refusal] = field(default_factory=list[Refusal])

    @property
    def size(self) -> int:
        return len(self.changed) + len(self.removed)


_LISTED: Final = """
select evse_id, location_id, content_hash, part_no, place, number
from listed_evse join list_part on list_part.no = part_no where list_no = $1 and complete order by number, place
"""

_STANDING: Final = """
select evse_id, location_id, content_hash from evse join operator using (list_no) where no = $1
"""

_KEPT: Final = "select distinct unnest(kept_ids) as evse_id from list_part where list_no = $1 and complete"


async def compare(connection: Connection, list_no: int, operator_no: int) -> Changes | None:
    """Compare a list with what stands of its operator; None when it has no items."""
    chosen: dict[str, tuple[Listed, bytes]] = {}
    refused: list[Refusal] = []
    async for row in sliced(await connection.fetch(_LISTED, list_no)):
        evse_id, location_id, content_hash, part_no, place, number = row
        if evse_id in chosen:
            refused.append(_double(chosen[evse_id][0], number))
        chosen[evse_id] = (Listed(evse_id, location_id, part_no, place, number), content_hash)
    if not chosen:
        return None
    standing = {row["evse_id"]: row async for row in sliced(await connection.fetch(_STANDING, operator_no))}
    kept = {row["evse_id"] for row in await connection.fetch(_KEPT, list_no)} - chosen.keys()
    mismatches = await _refuse_mismatches(connection, operator_no, chosen, standing, kept)
    for evse_id in mismatches:
        item = chosen.pop(evse_id)[0]
        kept.add(evse_id)
        refused.append(CHARGE_POINTS.refusal(item.place, evse_id, mismatches[evse_id]))
    changes = await _changes(chosen, standing, kept)
    changes.refused = refused
    return changes


async def _changes(
    chosen: Mapping[str, tuple[Listed, bytes]], standing: Mapping[str, asyncpg.Record], kept: Collection[str]
) -> Changes:
    changes = Changes([], 0, [], [], len(standing))
    async for item, content_hash in sliced(chosen.values()):
        if _is_new(item.evse_id, content_hash, standing):
            changes.changed.append(item)
        else:
            changes.unchanged += 1
            changes.staying.append(Stays(item.evse_id, item.location_id))
    async for evse_id, row in sliced(standing.items()):
        if evse_id in kept:
            changes.staying.append(Stays(evse_id, row["location_id"]))
        elif evse_id not in chosen:
            changes.removed.append(evse_id)
    changes.changed.sort(key=_by_location)
    changes.staying.sort(key=_by_location)
    return changes


def _is_new(evse_id: str, content_hash: bytes, standing: Mapping[str, asyncpg.Record]) -> bool:
    return evse_id not in standing or standing[evse_id]["content_hash"] != content_hash


def _by_location(each: Listed | Stays) -> tuple[str, str]:
    return each.location_id, each.evse_id


def _double(earlier: Listed, other: int) -> Refusal:
    evse_id, part = earlier.evse_id, earlier.number
    message = f"{separated_evse_id(evse_id)}, here in part {part}, stands in part {other} again; that one counts"
    return CHARGE_POINTS.refusal(earlier.place, evse_id, Reason(".evseId", RefusalCode.DUPLICATE, message))


# ---------------------------------------------------------------- EVSEs of one location agree

_PLACES: Final = ", ".join(PLACE_COLUMNS)

_WANTED: Final = f"""
select evse_id, location_id, {_PLACES} from unnest($1::int[], $2::int[]) as chosen (part_no, place)
join listed_evse using (part_no, place)
"""

_STANDING_PLACES: Final = f"""
select evse_id, location_id, {_PLACES} from evse join operator using (list_no) where evse_id = any($1)
"""

_DISAGREE: Final = f"""
select exists (
    select from (
        select location_id, row({_PLACES})::text as place from ({_WANTED}) as wanted
        union all
        select location_id, row({_PLACES})::text from ({_STANDING_PLACES.replace("$1", "$3")}) as standing
    ) as said
    group by location_id having min(place) <> max(place)
)
"""


async def _refuse_mismatches(
    connection: Connection,
    operator_no: int,
    chosen: Mapping[str, tuple[Listed, bytes]],
    standing: Mapping[str, asyncpg.Record],
    kept: Collection[str],
) -> dict[str, Reason]:
    """Say what disagrees on its location. Mostly nothing does, and where nothing changes nobody can contradict."""
    unsettled = {item.location_id for item, hash_ in chosen.values() if _is_new(item.evse_id, hash_, standing)}
    said = [item for item, _ in chosen.values() if item.location_id in unsettled]
    staying = [evse_id for evse_id in kept if evse_id in standing and standing[evse_id]["location_id"] in unsettled]
    if not await connection.fetchval(_DISAGREE, *places_of(said), staying):
        return {}
    rows = await connection.fetch(_WANTED, *places_of([item for item, _ in chosen.values()]))
    spots = {row["evse_id"]: _spot(row, operator_no) for row in rows}
    wanted = {evse_id: spots[evse_id] for evse_id in chosen}
    before = {evse_id: stored.spot for evse_id, stored in (await find_evses(connection, wanted)).items()}
    stay: dict[LocationKey, Standing] = {}
    for row in await connection.fetch(f"{_STANDING_PLACES} order by evse_id", list(kept)):
        spot = _spot(row, operator_no)
        stay.setdefault(spot.location, Standing(spot.place, row["evse_id"]))
    mismatches = await asyncio.to_thread(find_mismatches, wanted, before, stay)
    return mismatch_reasons(wanted, mismatches)


def places_of(items: Collection[Listed]) -> tuple[list[int], list[int]]:
    """Give parts and places, for `unnest`."""
    return [item.part_no for item in items], [item.place for item in items]


def _spot(row: asyncpg.Record, operator_no: int) -> Spot:
    place: Any = tuple(row[name] for name in PLACE_COLUMNS)
    return Spot(LocationKey(operator_no, row["location_id"]), place)
