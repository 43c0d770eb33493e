"""Made-up live status of the demo's EVSEs and spots, pushed by the ways that real ones take."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.db.engine import Database
from app.ingest.status.updates import update_status
from app.records.status import EvseStatus, ParkingStatus
from app.uploads.items import Owner
from app.vocabulary import MajorStatus, MinorStatus, Role

#: How often each state is found, in percent.
STATES: Final[Mapping[tuple[MajorStatus, MinorStatus | None], int]] = {
    (MajorStatus.AVAILABLE, None): 60,
    (MajorStatus.NOT_AVAILABLE, MinorStatus.CHARGING): 28,
    (MajorStatus.NOT_AVAILABLE, MinorStatus.RESERVED): 2,
    (MajorStatus.NOT_AVAILABLE, MinorStatus.OUT_OF_ORDER): 4,
    (MajorStatus.UNKNOWN, None): 6,
}
SPOT_STATES: Final = {MajorStatus.AVAILABLE: 60, MajorStatus.NOT_AVAILABLE: 35, MajorStatus.UNKNOWN: 5}
TRUST: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Speaker:
    """A partner's role that pushes, and the ids it may speak of."""

    owner: Owner
    role: Role
    ids: Sequence[str]


_EVSES: Final = """
select partner_id, role_id, operator.party_id, array_agg(evse_id order by evse_id) from evse
join operator on operator.no = operator_no join partner_role on partner_role.id = role_id
where operator.party_id = any($1) group by 1, 2, 3 order by 3
"""
_SPOTS: Final = """
select partner_id, partner_role.id, spot.party_id, array_agg(parking_id order by parking_id) from parking_spot as spot
join partner_role on partner_role.party_id = spot.party_id and role = 'PSO' and revoked_at is null
where spot.party_id = any($1) group by 1, 2, 3 order by 3
"""


async def speakers(database: Database, party_ids: Iterable[str]) -> list[Speaker]:
    """Return the senders of status among the operators and parking spot operators of these party ids."""
    listed = list(party_ids)
    found: list[Speaker] = []
    for role, sql in ((Role.EVSE_OPERATOR, _EVSES), (Role.PSO, _SPOTS)):
        for partner_id, role_id, party_id, ids in await database.fetch(sql, listed):
            found.append(Speaker(Owner(partner_id, role_id, party_id), role, ids))
    return found


async def push(database: Database, speaker: Speaker, ids: Sequence[str], chance: random.Random, now: datetime) -> int:
    """Push a state by chance for each of these ids; gives how many are new."""
    evses = [_evse_status(id_, chance, now) for id_ in ids] if speaker.role is Role.EVSE_OPERATOR else []
    spots = [_spot_status(id_, chance, now) for id_ in ids] if speaker.role is Role.PSO else []
    return (await update_status(database, evses, spots, speaker.owner, speaker.role, now, TRUST)).accepted


async def push_all(database: Database, party_ids: Iterable[str], seed: int, now: datetime) -> int:
    """Push a state for every EVSE and spot; gives how many are new."""
    chance = random.Random(seed)
    return sum([await push(database, each, each.ids, chance, now) for each in await speakers(database, party_ids)])


async def keep_pushing(
    database: Database, party_ids: Iterable[str], per_s: int, clock: Callable[[], datetime], told: Callable[[int], None]
) -> None:
    """Change some states each second, until cancelled; `told` hears how many are new."""
    chance, listed = random.Random(), await speakers(database, party_ids)
    if not listed:
        return
    while True:
        for speaker in listed:
            ids = chance.sample(list(speaker.ids), min(len(speaker.ids), max(1, per_s // len(listed))))
            told(await push(database, speaker, ids, chance, clock()))
        await asyncio.sleep(1)


def _evse_status(evse_id: str, chance: random.Random, now: datetime) -> EvseStatus:
    [(major, minor)] = chance.choices(list(STATES), list(STATES.values()))
    return EvseStatus(evse_id=evse_id, major=major, minor=minor, ttl=None, at=now)


def _spot_status(parking_id: str, chance: random.Random, now: datetime) -> ParkingStatus:
    [status] = chance.choices(list(SPOT_STATES), list(SPOT_STATES.values()))
    return ParkingStatus(parking_id=parking_id, status=status, ttl=None, at=now)
