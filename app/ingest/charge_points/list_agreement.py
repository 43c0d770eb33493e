"""The EVSEs of one location agree on its address and position: which items of a whole list may go in.

Locations that disagree are found in SQL. Only what these locations need for a decision is read into the hub, some
locations at a time with all that follows from them: where their EVSEs were before, and what else the list puts there.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final

import asyncpg

from app.db.engine import Connection
from app.db.tables import listed_evse
from app.ingest.charge_points.location_agreement import AgreedPlace, LocationKey, Placement, find_mismatches
from app.ingest.charge_points.rows import PLACE_COLUMNS
from app.ingest.charge_points.tables import find_evses
from app.ingest.charge_points.updates import mismatch_reasons
from app.ingest.nouns import CHARGE_POINTS
from app.uploads.list_parts import ListRefusal
from app.uploads.whole_list import Listed, Refused

#: How many locations that disagree are decided together.
LOCATIONS_AT_ONCE: Final = 200

_PLACE: Final = ", ".join(PLACE_COLUMNS)

#: Mostly nothing disagrees, and no item contradicts a location that does not change.
_DISAGREEING: Final = f"""
select location_id from (
    select location_id, row({", ".join(f"listed.{name}" for name in PLACE_COLUMNS)})::text as said,
        evse.content_hash is distinct from chosen.content_hash as is_new
    from list_chosen as chosen join (select part_no, place, location_id, {_PLACE} from {listed_evse.name}) as listed
    using (part_no, place)
    left join (select evse_id, content_hash from evse) as evse on evse_id = chosen.id
    union all
    select location_id, row({_PLACE})::text, false from evse join list_kept on id = evse_id where operator_no = $1
) as item
where location_id > $2
group by location_id having min(said) <> max(said) and bool_or(is_new)
order by location_id limit $3
"""

_WANTED: Final = f"""
select evse_id, location_id, {_PLACE}, number, place
from list_chosen as chosen join {listed_evse.name} as listed using (part_no, place)
where listed.location_id = any($1) order by number, place
"""

_STAYING: Final = f"""
select evse_id, location_id, {_PLACE} from evse join list_kept on id = evse_id
where operator_no = $1 and location_id = any($2) order by evse_id
"""


async def refuse_mismatches(connection: Connection, listed: Listed) -> Refused:
    """Refuse the items that are at odds with their locations: their previous records stay."""
    refused, after = Refused(), ""
    while found := await connection.fetch(_DISAGREEING, listed.key, after, LOCATIONS_AT_ONCE):
        seeds = [row["location_id"] for row in found]
        refused.add(await _decide(connection, listed.key, seeds))
        after = seeds[-1]
    return refused


async def _decide(connection: Connection, operator_no: int, seeds: Sequence[str]) -> list[ListRefusal]:
    """Refuse what contradicts in some locations, and what follows from that in others."""
    items = await _items_around(connection, seeds)
    wanted = {evse_id: _placement(row, operator_no) for evse_id, row in items.items()}
    before = {evse_id: stored.placement for evse_id, stored in (await find_evses(connection, wanted)).items()}
    places = sorted({placement.location.location_id for placement in (*wanted.values(), *before.values())})
    stay: dict[LocationKey, AgreedPlace] = {}
    for row in await connection.fetch(_STAYING, operator_no, places):
        placement = _placement(row, operator_no)
        stay.setdefault(placement.location, AgreedPlace(placement.place, row["evse_id"]))
    mismatches = await asyncio.to_thread(find_mismatches, wanted, before, stay)
    await _keep(connection, mismatches)
    reasons = mismatch_reasons(wanted, mismatches)
    return [
        ListRefusal(items[evse_id]["number"], CHARGE_POINTS.refusal(items[evse_id]["place"], evse_id, reason))
        for evse_id, reason in reasons.items()
    ]


async def _items_around(connection: Connection, seeds: Sequence[str]) -> dict[str, Any]:
    """Return the list's items at these locations, at those where they were before, and so on."""
    items: dict[str, Any] = {}
    known, frontier = set(seeds), list(seeds)
    while frontier:
        rows = await connection.fetch(_WANTED, frontier)
        items |= {row["evse_id"]: row for row in rows}
        stored = await find_evses(connection, [row["evse_id"] for row in rows])
        before = {each.placement.location.location_id for each in stored.values()}
        frontier = sorted(before - known)
        known |= before
    return items


async def _keep(connection: Connection, refused: Collection[str]) -> None:
    ids = list(refused)
    await connection.execute("delete from list_chosen where id = any($1)", ids)
    await connection.execute("insert into list_kept select unnest($1::text[]) on conflict do nothing", ids)


def _placement(row: asyncpg.Record, operator_no: int) -> Placement:
    place: Any = tuple(row[name] for name in PLACE_COLUMNS)
    return Placement(LocationKey(operator_no, row["location_id"]), place)
