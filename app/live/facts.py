"""What deciding whom a change concerns needs to know of an EVSE or a spot: read for many at once, kept by nobody."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from app.db.engine import Database


class EvseFacts(NamedTuple):
    """An EVSE as it is now. `available`: its combined status is. The other names are those of its columns."""

    evse_id: str
    operator_no: int
    party_id: str
    location_id: str
    longitude: float
    latitude: float
    connector_mask: int
    charge_point_type: str
    maximum_power_kw: float | None
    auth_methods: int
    location_type: str
    restrictions: int
    available: bool


class SpotFacts(NamedTuple):
    """A parking spot as it is now, with its places, parallel: one per EVSE that links it, and its own as operator 0."""

    parking_id: str
    party_id: str
    operator_nos: Sequence[int]
    longitudes: Sequence[float]
    latitudes: Sequence[float]


class Former(NamedTuple):
    """The places through which an EVSE or a spot was seen before, parallel; operator 0: the PSO's own word."""

    operator_nos: Sequence[int]
    longitudes: Sequence[float]
    latitudes: Sequence[float]


#: The number in place of an operator's for a position that the PSO itself gave, known to every viewer of the spot.
PSO_ITSELF: Final = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is there, by id; what is missing is not there."""

    evses: Mapping[str, EvseFacts] = field(default_factory=dict[str, EvseFacts])
    spots: Mapping[str, SpotFacts] = field(default_factory=dict[str, SpotFacts])


EVSE: Final = """
select evse.evse_id, operator_no, party_id, location_id, longitude, latitude, connector_mask, charge_point_type,
    maximum_power_kw, auth_methods, location_type, restrictions,
    major = 'AVAILABLE' and expires_at > now() and coalesce(blocked_until <= now(), true)
from evse join operator on operator.no = operator_no
join evse_status on evse_status.evse_id = evse.evse_id
"""
SPOT: Final = """
select parking_id, party_id, operator_nos || case when longitude is null then '{}' else '{0}' end::integer[],
    link_longitudes || case when longitude is null then '{}' else array[longitude] end,
    link_latitudes || case when latitude is null then '{}' else array[latitude] end
from parking_spot
"""

EVSES_BY_ID: Final = f"{EVSE} where evse.evse_id = any($1)"
SPOTS_BY_ID: Final = f"{SPOT} where parking_id = any($1)"


async def fetch_facts(database: Database, evse_ids: Collection[str], spot_ids: Collection[str]) -> Facts:
    """Read what is there of these EVSEs and spots."""
    evses, spots = await asyncio.gather(
        _fetch(database, EVSES_BY_ID, evse_ids), _fetch(database, SPOTS_BY_ID, spot_ids)
    )
    return facts_of(evses, spots)


async def _fetch(database: Database, sql: str, ids: Collection[str]) -> Sequence[Any]:
    return await database.fetch(sql, list(ids)) if ids else ()


def facts_of(evses: Sequence[Any], spots: Sequence[Any]) -> Facts:
    """Make facts of rows of EVSE and SPOT."""
    return Facts({row[0]: EvseFacts(*row) for row in evses}, {row[0]: SpotFacts(*row) for row in spots})
